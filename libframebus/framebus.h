/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FRAMEBUS_H
#define FRAMEBUS_H

/**
 * libframebus - watch and publish video frames over Framebus.
 *
 * GUIDE
 *
 * A program has one `framebus`, a connection to a broker on the system bus, on the session bus or at an
 * address. It makes no threads. Put framebus_get_fd() in your event loop with the events of
 * framebus_get_events() and, if framebus_get_timeout() is not UINT64_MAX, wake up then at the latest; each
 * time call framebus_process(). All callbacks run inside framebus_process(), never inside the call that set
 * them up.
 *
 * Watching, in short:
 *
 *     static void on_frame(framebus_subscription *s, framebus_frame *f, void *userdata) {
 *             const void *data; size_t size;
 *             if (framebus_frame_map(f, 0, &data, &size) >= 0)
 *                     look_at(data, size, framebus_frame_get_plane(f, 0)->stride);
 *     }
 *     static const struct framebus_subscription_events events = {
 *             .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION, .frame = on_frame };
 *
 *     framebus_open(&fb, NULL);
 *     framebus_subscribe(fb, "camera", NULL, &events, NULL, &sub);
 *     for (;;) framebus_run_once(fb, UINT64_MAX);
 *
 * A frame that the callback got is released when the callback returns, unless it takes a reference; the last
 * framebus_frame_unref() gives the credit back. Hold as few frames as you can: when `window` of them are out,
 * further ones are lost for this subscription (and for no other), and `lost` tells how many and why.
 *
 * When the broker restarts, subscriptions attach again by themselves, with back-off; `disconnected` and then
 * `attached` tell.
 *
 * Order: with `order = FRAMEBUS_ORDER_CAUSAL` nobody acts on a frame that another has yet to see. If program
 * B is given a frame, or one later than it, and acts, and that act reaches program C, then C was given this
 * frame before, unless it is lost for C; B and C watch in causal order, and by the same transport. And all
 * causal subscriptions of all programs are given the frames of all their sources in one order: that of
 * framebus_frame_get_order(). It takes a broker that keeps frames back until it has sent them to everybody,
 * and a library that gives them out before it dispatches anything else. So let what other programs say come
 * this way, too:
 *
 *   - by D-Bus: use the connection of the library, framebus_get_bus(), for your objects, matches and calls.
 *     What is dispatched there comes after all frames that its sender can have known of. Calls go by
 *     framebus_call_async(): a synchronous sd_bus_call() overtakes what came before its answer.
 *   - by anything else, such as a socket of your own: before you act on what it says, framebus_barrier(). Let
 *     the other side send the order of the frame that it is about, or ask for all (UINT64_MAX).
 *
 * Frames never come late: one that finds no credit or a full socket is lost. So it is with drop =
 * FRAMEBUS_DROP_LATEST, too, which here means that of several that wait in this process the newest is given
 * out. The frame that is replayed to a newcomer is outside of the order.
 *
 * Setting brightness and the like: framebus_list_controls(), framebus_set_controls().
 *
 * Publishing: framebus_publish(), then wait for `start`; push frames with framebus_publisher_push_data() (one
 * copy, into a fresh sealed memfd) or fill a buffer of framebus_publisher_acquire() in place. Who has buffers
 * of its own that it fills again and again, such as those of a device, lends them without any copy: see enum
 * framebus_memory and framebus_publisher_push_fds().
 *
 * ERRORS: functions return a negative errno and change nothing, unless they say otherwise. What a broker
 * answers with a D-Bus error reaches a callback as `struct framebus_error`.
 *
 * Every struct that you pass in begins with a version: set it to the macro of the header that you compile
 * against.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRAMEBUS_VERSION_MAJOR 0
#define FRAMEBUS_VERSION_MINOR 1

typedef struct framebus framebus;
typedef struct framebus_subscription framebus_subscription;
typedef struct framebus_publisher framebus_publisher;
typedef struct framebus_frame framebus_frame;
typedef struct framebus_buffer framebus_buffer;

/* of systemd/sd-bus.h */
struct sd_bus;
struct sd_bus_message;

/** An error that the broker (or the bus) answered. Valid during the callback. */
struct framebus_error {
        const char *name;    /**< D-Bus error name, e.g. "org.framebus.Error.NoCommonMode" */
        const char *message; /**< for people */
        int error;           /**< the nearest errno, positive */
};

/* ---- The connection ---- */

/**
 * Connects to a broker. Does not block; a broker that is not running is activated by the first request.
 *
 * @ret_fb   the connection, owned by the caller: framebus_close()
 * @address  NULL: the address in the environment variable FRAMEBUS_ADDRESS, else the system bus if a broker
 *           shows a source there, else the session bus (if there is none, the system bus); "system";
 *           "session"; a D-Bus address ("unix:path=…"); or "none": no broker, only for
 *           framebus_publisher_new_from_fd()
 *
 * Errors: -ENOMEDIUM: no bus at all (no address to be found, or nobody there); -EINVAL: bad address; else
 * what connecting failed with.
 */
int framebus_open(framebus **ret_fb, const char *address);

/** Ends all subscriptions and publishers of @fb, without further callbacks, and frees it. Frames that are
 * still referenced stay readable. NULL is ignored. Must not be called from a callback. @return NULL */
framebus *framebus_close(framebus *fb);

/** A file descriptor to poll, owned by @fb, valid until framebus_close(). */
int framebus_get_fd(framebus *fb);

/** The poll(2) events to wait for on it. Ask before every poll. */
int framebus_get_events(framebus *fb);

/** When to call framebus_process() at the latest: CLOCK_MONOTONIC nanoseconds, 0: now, UINT64_MAX: no limit.
 * Ask before every poll. */
uint64_t framebus_get_timeout(framebus *fb);

/**
 * Does what there is to do, runs callbacks, never blocks. Not to be called from a callback: -EBUSY.
 * @return > 0 if something was done, 0 if not; -ENOTCONN: the bus connection is lost (subscriptions to a bus
 * that went away do not come back: framebus_close() and open again)
 */
int framebus_process(framebus *fb);

/** Waits for at most @timeout_ns (UINT64_MAX: for ever) and calls framebus_process(): for programs without an
 * event loop of their own. @return as framebus_process(); -EINTR on a signal */
int framebus_run_once(framebus *fb, uint64_t timeout_ns);

/** The address that was found, "system", "session" or the address given; NULL while it is still being looked
 * for. */
const char *framebus_get_address(framebus *fb);

/* ---- Modes ---- */

struct framebus_fraction {
        uint32_t num, den;
};

/** least, most and step; all 0: no range */
struct framebus_range {
        uint32_t min, max, step;
};

/** How frames look. In a wish, 0 means any. See org.framebus.Source1. */
struct framebus_mode {
        uint32_t fourcc;   /**< DRM_FORMAT_* of drm_fourcc.h, or the V4L2 fourcc of a compressed stream */
        uint32_t width;    /**< pixels */
        uint32_t height;   /**< pixels */
        uint32_t reserved; /**< 0 */
        uint64_t modifier; /**< DRM_FORMAT_MOD_*; 0: linear */
        struct framebus_fraction rate; /**< frames a second */
        struct framebus_range width_range, height_range;
        struct framebus_fraction rate_min, rate_max; /**< 0/0: no range */
};

/* ---- Memory ---- */

/** What a frame is in: who may write it while somebody looks at it. */
enum framebus_memory {
        /** A memfd with F_SEAL_SHRINK, _GROW, _WRITE and _SEAL: nobody, the kernel sees to it. Every
         * publisher can make it. */
        FRAMEBUS_MEMORY_SEALED = 0,
        /** A memfd on tmpfs with F_SEAL_SHRINK, _GROW and _FUTURE_WRITE: only the publisher, which promises
         * not to before every receiver has released the frame. */
        FRAMEBUS_MEMORY_LEASED = 1,
        /** A dma-buf, mostly open for reading only: only the device, under the same promise, unless the frame
         * is FRAMEBUS_FRAME_VOLATILE. */
        FRAMEBUS_MEMORY_DMABUF = 2
};

/* ---- Sources ---- */

/** A source as the broker shows it. Valid during the callback. */
struct framebus_source_info {
        const char *name;
        const char *description;
        const char *driver;
        const char *state; /**< "idle", "starting", "streaming", "no-signal", "absent", "failed" */
        const char *state_reason;
        const struct framebus_mode *modes; /**< n_modes of them; none until the source was asked once */
        size_t n_modes;
        struct framebus_mode mode; /**< the mode in force; fourcc 0: not running */
        uint32_t subscribers;
        uint64_t frames; /**< published; as of the last full look */
        /** Other names that mean it wherever a source is asked for, unless another has them, too: of a
         * camera, by its serial number and its place. NULL-terminated. */
        const char *const *aliases;
};

/**
 * Lists the sources, once.
 * @callback runs for each source with @error NULL, and at the end with both @info and @error NULL; on failure
 * once with
 * @error set
 */
typedef void (*framebus_list_callback)(framebus *fb, const struct framebus_source_info *info,
                                       const struct framebus_error *error, void *userdata);
int framebus_list(framebus *fb, framebus_list_callback callback, void *userdata);

#define FRAMEBUS_WATCH_EVENTS_VERSION 0
struct framebus_watch_events {
        uint32_t version;
        /** A source appeared, or one that was there changed (all of it is told again). */
        void (*changed)(framebus *fb, const struct framebus_source_info *info, void *userdata);
        /** A source is gone. */
        void (*removed)(framebus *fb, const char *name, void *userdata);
        /** Watching failed; tried again with back-off. */
        void (*failed)(framebus *fb, const struct framebus_error *error, void *userdata);
};
/** Tells of every source there is and of every change, until framebus_unwatch(). @events must stay valid. One
 * watch a connection: -EBUSY. */
int framebus_watch(framebus *fb, const struct framebus_watch_events *events, void *userdata);
/** Ends the watch; without one, nothing. */
void framebus_unwatch(framebus *fb);

/* ---- Subscriptions ---- */

enum framebus_transport {
        FRAMEBUS_TRANSPORT_PEER = 0, /**< a private channel: the default, cheapest, and private */
        FRAMEBUS_TRANSPORT_BUS = 1   /**< signals on the bus: seen by a session bus's monitors */
};

enum framebus_drop {
        FRAMEBUS_DROP_NEWEST = 0, /**< the frame that finds no credit is lost */
        FRAMEBUS_DROP_LATEST = 1  /**< all but the newest are lost */
};

enum framebus_order {
        FRAMEBUS_ORDER_FIFO = 0,  /**< that of this subscription alone */
        FRAMEBUS_ORDER_CAUSAL = 1 /**< one order among all that ask for it: see the guide */
};

#define FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION 2
struct framebus_subscribe_options {
        uint32_t version;
        enum framebus_transport transport;
        const struct framebus_mode *modes; /**< acceptable, the best first; NULL: any; copied */
        size_t n_modes;
        uint32_t window; /**< 1 to 16; 0: the default, 4 */
        enum framebus_drop drop;
        struct framebus_fraction max_rate; /**< 0/0 or 0/1: no limit */
        bool no_replay;                    /**< do not send the newest frame of before the subscription */
        /* since version 1 */
        /** Acceptable memory, the best first; NULL: leased, sealed; copied. One kind is granted; where sealed
         * is among them, frames that exist only so come, too. */
        const enum framebus_memory *memories;
        size_t n_memories;
        /* since version 2 */
        /** Brokers that cannot do it refuse: `ended` tells. */
        enum framebus_order order;
};

/** What was granted. Valid during the callback. */
struct framebus_granted {
        struct framebus_mode mode;
        uint32_t window;
        const char *drop, *memory, *order;
        uint64_t seq;      /**< the source's sequence number when granted */
        const char *epoch; /**< the broker's run */
};

#define FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION 0
/** All optional. Any of them may call framebus_subscription_close() on its own subscription. */
struct framebus_subscription_events {
        uint32_t version;
        /** Attached, for the first time or again (then with a new epoch or seq: do not compare with earlier
         * ones). */
        void (*attached)(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata);
        /** Frames from now on look like @mode. */
        void (*format)(framebus_subscription *sub, uint32_t format, const struct framebus_mode *mode,
                       void *userdata);
        /** A frame; see framebus_frame_ref(). It has been checked: seals, sizes, planes. */
        void (*frame)(framebus_subscription *sub, framebus_frame *frame, void *userdata);
        /** @count frames were lost before the next one; @reason as in org.framebus.Subscription1.Lost, or
         * "bad-payload" for frames that failed this library's checks, or "incomplete" for ones that came
         * without their descriptors, or found no room for them in this process. */
        void (*lost)(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata);
        void (*suspended)(framebus_subscription *sub, const char *reason, void *userdata);
        void (*resumed)(framebus_subscription *sub, void *userdata);
        /** The channel or the broker is gone; it is tried again after @retry_ns nanoseconds, or when the
         * broker is back. UINT64_MAX: never, as the bus is gone (see framebus_process()). */
        void (*disconnected)(framebus_subscription *sub, uint64_t retry_ns, void *userdata);
        /** Over: @reason as in org.framebus.Subscription1.Ended, or "refused" with @error set. Nothing comes
         * after it. framebus_subscription_close() is still yours to call. */
        void (*ended)(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                      void *userdata);
};

/**
 * Subscribes to @source (its name). Does not block: `attached` or `ended` follows.
 * @options  NULL: all defaults; copied
 * @events   must stay valid until framebus_subscription_close()
 * @ret_sub  owned by the caller
 * Errors: -EINVAL: an option out of range; -ENOMEDIUM: @fb has no broker.
 */
int framebus_subscribe(framebus *fb, const char *source, const struct framebus_subscribe_options *options,
                       const struct framebus_subscription_events *events, void *userdata,
                       framebus_subscription **ret_sub);

/** Ends it, without further callbacks. Frames that are still referenced stay readable. NULL is ignored.
 * @return NULL */
framebus_subscription *framebus_subscription_close(framebus_subscription *sub);

/** Changes window (0: keep), drop and max_rate while streaming; they hold after attaching again, too. -EINVAL
 * as framebus_subscribe(); -ENOTCONN while not attached. What the broker refuses is ignored here, and told by
 * `ended` when attaching again. Resumes a suspended subscription. */
int framebus_subscription_set_options(framebus_subscription *sub, uint32_t window, enum framebus_drop drop,
                                      struct framebus_fraction max_rate);

#define FRAMEBUS_SHARE_OPTIONS_VERSION 1
/** What a share is to have; never more than the subscription that it comes from. Zeros: the same. */
struct framebus_share_options {
        uint32_t version;
        uint32_t window;                      /**< 1 to 16; 0: the same */
        bool set_drop;                        /**< else the same */
        enum framebus_drop drop;
        struct framebus_fraction max_rate;    /**< 0/0: the same */
        bool no_replay;
        const enum framebus_memory *memories; /**< NULL: the same */
        size_t n_memories;
        /* since version 1 */
        bool set_order;                       /**< else the same */
        enum framebus_order order;
};

/** @channel: for another process, not opened yet, close-on-exec; the callback's to close. -1: @error is set.
 */
typedef void (*framebus_share_callback)(framebus_subscription *sub, int channel,
                                        const struct framebus_error *error, void *userdata);

/**
 * Makes a second channel for what @sub gets, to be sent to another process, which opens it by
 * framebus_subscribe_fd(), or with any D-Bus library. It has credit and losses of its own and outlives @sub,
 * but who made @sub is charged for it. See Share in org.framebus.Subscription1.
 *
 * @options   may be NULL; copied
 * @callback  runs once, unless @sub is closed before
 * Errors: -EINVAL: options that no broker takes; -ENOTCONN: not attached; -EBUSY: one is asked for already;
 * -EMFILE: no room for descriptors.
 */
int framebus_subscription_share(framebus_subscription *sub, const struct framebus_share_options *options,
                                framebus_share_callback callback, void *userdata);

/**
 * Watches what comes by a channel that somebody else made: the descriptor of a share, or of Attach, that
 * nobody has opened. @fb may be one of framebus_open(…, "none"). When the channel is gone that is the end:
 * `ended` with "disconnected", or what the broker said; nothing is tried again. In what `attached` tells all
 * is zero or empty.
 *
 * @fd_consume  owned by the subscription from now on, also on failure
 * @memories    acceptable kinds of memory; NULL: leased, sealed
 * Errors: as framebus_subscribe().
 */
int framebus_subscribe_fd(framebus *fb, int fd_consume, const enum framebus_memory *memories,
                          size_t n_memories, const struct framebus_subscription_events *events,
                          void *userdata, framebus_subscription **ret_sub);

struct framebus_subscription_stats {
        uint64_t delivered;   /**< frames that reached `frame` */
        uint64_t lost;        /**< sum of all `lost` */
        uint64_t bad_payload; /**< of these: failed this library's checks */
        uint64_t attached;    /**< times attached */
        uint32_t held;        /**< frames not yet released */
};
void framebus_subscription_get_stats(framebus_subscription *sub,
                                     struct framebus_subscription_stats *ret_stats);

/** Asks what framebus_subscribe() would get; exactly one of @granted and @error is set. */
typedef void (*framebus_negotiate_callback)(framebus *fb, const struct framebus_granted *granted,
                                            const struct framebus_error *error, void *userdata);
int framebus_negotiate(framebus *fb, const char *source, const struct framebus_subscribe_options *options,
                       framebus_negotiate_callback callback, void *userdata);

/* ---- Order: see the guide ---- */

/**
 * The bus connection that subscriptions use, for objects, matches and signals of your own. What is dispatched
 * on it comes after what was committed before it. It belongs to @fb, which runs it: do not attach it to an
 * event loop, do not process, wait on or close it, and make no synchronous calls.
 * @return NULL while it is still being looked for, without a broker, and when it is lost
 */
struct sd_bus *framebus_get_bus(framebus *fb);

/** @reply: the answer or an error (sd_bus_message_is_method_error()), valid during the callback. */
typedef void (*framebus_call_callback)(framebus *fb, struct sd_bus_message *reply, void *userdata);

/**
 * Sends a method call on framebus_get_bus() without waiting for the answer.
 * @m           a method call made for that connection; stays the caller's
 * @callback    runs once, from framebus_process(), unless @fb is closed before
 * @timeout_ns  nanoseconds for the answer; 0: the default, 25 s
 * Errors: -ENOTCONN: no connection (yet, or any more); else what sd_bus_call_async(3) says.
 */
int framebus_call_async(framebus *fb, struct sd_bus_message *m, framebus_call_callback callback,
                        void *userdata, uint64_t timeout_ns);

typedef void (*framebus_barrier_callback)(framebus *fb, void *userdata);

/**
 * Before acting on what came by another way than framebus_get_bus(): waits until all causal subscriptions of
 * @fb were given what was committed when this is called. Frames that come by a channel are here already; for
 * those by the bus the bus driver is asked something, which nobody can hold up. May be called from callbacks,
 * too.
 *
 * @order     that of the frame in question; UINT64_MAX: of everything
 * @done      runs once, from framebus_process(), unless @fb is closed before
 * @return 1: everything up to @order has been given out, @done does not run; 0: @done will run when it has
 * been Errors: -ENOTCONN: the bus is lost; -ENOMEM.
 */
int framebus_barrier(framebus *fb, uint64_t order, framebus_barrier_callback done, void *userdata);

/* ---- Frames ---- */

#define FRAMEBUS_FRAME_REPLAYED      (1u << 0) /**< of before the subscription: not part of the sequence */
#define FRAMEBUS_FRAME_KEYFRAME      (1u << 1) /**< decoding can begin with it: parameter sets are in it */
#define FRAMEBUS_FRAME_DISCONTINUITY (1u << 2)
#define FRAMEBUS_FRAME_VOLATILE      (1u << 4) /**< a dma-buf whose content may change while it is held */

struct framebus_plane {
        uint32_t memory; /**< index of the file descriptor */
        uint32_t stride; /**< bytes a line; 0: compressed */
        uint64_t offset; /**< bytes */
        uint64_t size;   /**< bytes */
};

/** A frame stays valid while a reference is held, also after its subscription was closed. So does its
 * content, but for FRAMEBUS_FRAME_VOLATILE, and for dma-bufs after the subscription is over: their device
 * goes on. Taking or dropping one is not thread-safe. */
framebus_frame *framebus_frame_ref(framebus_frame *frame);
/** The last unref releases the frame to the broker. NULL is ignored. @return NULL */
framebus_frame *framebus_frame_unref(framebus_frame *frame);

uint64_t framebus_frame_get_seq(const framebus_frame *frame);    /**< the source's number, +1 a frame */
uint64_t framebus_frame_get_order(const framebus_frame *frame);  /**< one order over all sources */
uint64_t framebus_frame_get_pts_ns(const framebus_frame *frame); /**< capture, CLOCK_MONOTONIC */
uint32_t framebus_frame_get_flags(const framebus_frame *frame);  /**< FRAMEBUS_FRAME_* */
uint32_t framebus_frame_get_format(const framebus_frame *frame); /**< as told by `format` */
/** The mode that `format` told for this frame. Valid as long as the frame. */
const struct framebus_mode *framebus_frame_get_mode(const framebus_frame *frame);
/** The device's own counter. @return false if the source has none */
bool framebus_frame_get_device_sequence(const framebus_frame *frame, uint32_t *ret_sequence);

/** Colour space, transfer function, encoding and quantization: numbers of videodev2.h (enum v4l2_colorspace,
 * v4l2_xfer_func, v4l2_ycbcr_encoding, v4l2_quantization). @return false if they are not known */
bool framebus_frame_get_colorimetry(const framebus_frame *frame, uint32_t ret_colorimetry[4]);
/** Which fields of an interlaced picture these are: enum v4l2_field of videodev2.h; 1 (V4L2_FIELD_NONE):
 * progressive. */
uint32_t framebus_frame_get_field(const framebus_frame *frame);

/** What it is in. */
enum framebus_memory framebus_frame_get_memory(const framebus_frame *frame);
/** Which of the publisher's buffers it is in: another frame of the same attachment with the same number is in
 * the same memory, so that an import can be kept. @return false: sealed, memory of its own */
bool framebus_frame_get_buffer(const framebus_frame *frame, uint64_t *ret_id);

size_t framebus_frame_get_n_planes(const framebus_frame *frame);
/** NULL if there is no such plane. Valid as long as the frame. */
const struct framebus_plane *framebus_frame_get_plane(const framebus_frame *frame, size_t plane);

/**
 * The bytes of a plane, read-only, mapped at the first call and valid as long as the frame. Of a dma-buf, the
 * processor's caches are brought in line at the mapping (DMA_BUF_IOCTL_SYNC), and access ends with the frame.
 * Errors: -EINVAL: no such plane; else what mmap(2) failed with.
 */
int framebus_frame_map(framebus_frame *frame, size_t plane, const void **ret_data, size_t *ret_size);

/** A duplicate of the file descriptor with that index, owned by the caller, close-on-exec; -EINVAL: no such
 * index. */
int framebus_frame_dup_fd(framebus_frame *frame, uint32_t memory);

/* ---- Controls ---- */

/** What can be set on a source: see org.framebus.Controls1 for the rules. */
enum framebus_control_type {
        FRAMEBUS_CONTROL_INTEGER = 0,
        FRAMEBUS_CONTROL_BOOLEAN = 1,      /**< 0 or 1 */
        FRAMEBUS_CONTROL_MENU = 2,         /**< the value of one of its items */
        FRAMEBUS_CONTROL_INTEGER_MENU = 3, /**< the same; the items' names are numbers */
        FRAMEBUS_CONTROL_BUTTON = 4,       /**< has no value; setting it to anything presses it */
        FRAMEBUS_CONTROL_STRING = 5,
        FRAMEBUS_CONTROL_BITMASK = 6, /**< `max` has all the bits */
        FRAMEBUS_CONTROL_INTEGER64 = 7
};

#define FRAMEBUS_CONTROL_READ_ONLY  (1u << 0)
#define FRAMEBUS_CONTROL_WRITE_ONLY (1u << 1) /**< has no value */
#define FRAMEBUS_CONTROL_INACTIVE   (1u << 2) /**< has no effect at present */
#define FRAMEBUS_CONTROL_DISABLED   (1u << 3)
#define FRAMEBUS_CONTROL_GRABBED    (1u << 4) /**< cannot be set while the device is in use */
#define FRAMEBUS_CONTROL_VOLATILE   (1u << 5) /**< changes by itself, without being told */
#define FRAMEBUS_CONTROL_UPDATE     (1u << 6) /**< setting it changes others */
#define FRAMEBUS_CONTROL_SLIDER     (1u << 7)

struct framebus_control_item {
        int64_t value;
        const char *name;
};

/** A value for a control. */
struct framebus_control_value {
        const char *id;   /**< the control's */
        const char *text; /**< of a string; else NULL, */
        int64_t value;    /**< and this counts */
};

struct framebus_control {
        const char *id;    /**< the name to set it by: 1 to 64 characters out of [a-z0-9-] */
        const char *name;  /**< for people */
        const char *group; /**< for people; NULL: not known */
        enum framebus_control_type type;
        uint32_t flags;                            /**< FRAMEBUS_CONTROL_READ_ONLY … */
        int64_t min, max, step;                    /**< of a string: of its bytes, at most 256 */
        int64_t default_value;                     /**< of buttons and strings: 0 */
        const struct framebus_control_item *items; /**< n_items of them; menus only */
        size_t n_items;
        bool has_value;
        int64_t value;
        const char *text;     /**< of a string with a value */
        uint64_t reserved[2]; /**< 0 */
};

/** The controls of @source, which its capture program is started for if it does not run. The callback runs
 * once, with @error NULL or set. All is valid during the callback. */
typedef void (*framebus_controls_callback)(framebus *fb, const struct framebus_control *controls, size_t n,
                                           const struct framebus_error *error, void *userdata);
int framebus_list_controls(framebus *fb, const char *source, framebus_controls_callback callback,
                           void *userdata);

/** What the controls @ids have, asked of the device where they are volatile; n 0: all that have a value. */
typedef void (*framebus_control_values_callback)(framebus *fb, const struct framebus_control_value *values,
                                                 size_t n, const struct framebus_error *error,
                                                 void *userdata);
int framebus_get_controls(framebus *fb, const char *source, const char *const *ids, size_t n,
                          framebus_control_values_callback callback, void *userdata);

/** Sets all of @values, 1 to 64, or, as far as the device can tell beforehand, none; the callback gets what
 * they have then. An error's message names the control. -EINVAL: none, too many, an id that no control can
 * have, or a text that is too long. */
int framebus_set_controls(framebus *fb, const char *source, const struct framebus_control_value *values,
                          size_t n, framebus_control_values_callback callback, void *userdata);

typedef struct framebus_control_watch framebus_control_watch;
#define FRAMEBUS_CONTROL_EVENTS_VERSION 0
/** Any of them may call framebus_control_watch_close(). */
struct framebus_control_events {
        uint32_t version;
        /** All controls: at first, when one is different in more than its value, and after the broker was
         * gone. */
        void (*listed)(framebus_control_watch *watch, const struct framebus_control *controls, size_t n,
                       void *userdata);
        /** These have other values. Told while the capture program runs: while anybody watches the source, or
         * asks for controls every second. */
        void (*changed)(framebus_control_watch *watch, const struct framebus_control_value *values, size_t n,
                        void *userdata);
        /** They cannot be listed; tried again when the broker comes back. */
        void (*failed)(framebus_control_watch *watch, const struct framebus_error *error, void *userdata);
};
/** Tells of the controls of @source until framebus_control_watch_close(). @events must stay valid. */
int framebus_watch_controls(framebus *fb, const char *source, const struct framebus_control_events *events,
                            void *userdata, framebus_control_watch **ret_watch);
/** Ends it, without further callbacks. NULL is ignored. @return NULL */
framebus_control_watch *framebus_control_watch_close(framebus_control_watch *watch);

/* ---- Publishing ---- */

#define FRAMEBUS_PUBLISH_OPTIONS_VERSION 1
struct framebus_publish_options {
        uint32_t version;
        const char *description, *driver; /**< NULL: the broker's defaults */
        /** What can be made, the best first; copied. At least one; a capture program may say it later, with
         * framebus_publisher_set_modes(). */
        const struct framebus_mode *modes;
        size_t n_modes;
        bool allow_replacement, replace, queue; /**< as for bus names */
        /* since version 1 */
        /** What it can lend, besides sealed memory; NULL: none; copied. */
        const enum framebus_memory *memories;
        size_t n_memories;
};

#define FRAMEBUS_PUBLISHER_EVENTS_VERSION 3
/** All optional but `start` and `stop`. */
struct framebus_publisher_events {
        uint32_t version;
        /** The source exists. @path: its object path; NULL for a capture program, which is not told. */
        void (*published)(framebus_publisher *pub, const char *path, void *userdata);
        /** Make frames that look like @mode; also to change the mode of a running publisher. */
        void (*start)(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata);
        /** Nobody watches. */
        void (*stop)(framebus_publisher *pub, void *userdata);
        /** There is room again after a push that found none. */
        void (*writable)(framebus_publisher *pub, void *userdata);
        /** The broker refused the frame with the publisher's number @seq; 0: the modes of
         * framebus_publisher_set_modes(). */
        void (*refused)(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                        void *userdata);
        /** The channel is gone: "closed" (the broker ended or dropped it), or "refused" with @error (Publish
         * failed). Nothing comes after it. A published name is not taken again by itself. */
        void (*ended)(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                      void *userdata);
        /* since version 1 */
        /** Somebody wants to set controls: of those that were said, of their types and in their ranges.
         * Answer by framebus_publisher_answer_controls(), from here or within 5 s. Without it nothing can be
         * set. */
        void (*set_controls)(framebus_publisher *pub, uint64_t cookie,
                             const struct framebus_control_value *values, size_t n, void *userdata);
        /** Somebody wants to know what these volatile controls have. Answer in the same way. */
        void (*get_controls)(framebus_publisher *pub, uint64_t cookie, const char *const *ids, size_t n,
                             void *userdata);
        /* since version 2 */
        /** Which kinds of memory are needed from now on, 1u << enum framebus_memory each, and how many
         * buffers of what is not sealed the receivers may hold together. Told right before `start`, and
         * again, alone, when it changes. Without a word: sealed only. Any kind may be pushed nevertheless. */
        void (*memories)(framebus_publisher *pub, uint32_t mask, uint32_t n_buffers, void *userdata);
        /** Nobody has @buffer any more: it may be filled again. May be pushed again from here. */
        void (*released)(framebus_publisher *pub, uint64_t buffer, void *userdata);
        /** @buffer must never be written again, and the library has forgotten it: unmap it, seal it if it is
         * a memfd (F_SEAL_WRITE, F_SEAL_SEAL), and close it. Told instead of `released` if it was lent. One
         * that a device is writing at this moment may be pushed once more when it is full; `retired` is told
         * again when it comes back. */
        void (*retired)(framebus_publisher *pub, uint64_t buffer, void *userdata);
        /* since version 3 */
        /** Somebody came, or lost a frame, and waits for a keyframe (FRAMEBUS_FRAME_KEYFRAME): make one soon.
         * Told at most twice a second, and only of formats whose frames build on others. */
        void (*keyframe_wanted)(framebus_publisher *pub, void *userdata);
};

/** Publishes a source called @name; `published` or `ended` follows. @events must stay valid. @ret_pub is
 * owned by the caller. -EINVAL: a name or mode that no broker takes. */
int framebus_publish(framebus *fb, const char *name, const struct framebus_publish_options *options,
                     const struct framebus_publisher_events *events, void *userdata,
                     framebus_publisher **ret_pub);

/** The same for a capture program that a broker started: the channel is @fd_consume (3), owned by the
 * publisher from now on, also on failure. @options: only description, driver and modes are used. */
int framebus_publisher_new_from_fd(framebus *fb, int fd_consume,
                                   const struct framebus_publish_options *options,
                                   const struct framebus_publisher_events *events, void *userdata,
                                   framebus_publisher **ret_pub);

/** Destroys the source (all its subscriptions end) and frees the publisher, without further callbacks.
 * @return NULL */
framebus_publisher *framebus_publisher_close(framebus_publisher *pub);

/** Replaces the modes, e.g. when the device changed. -EINVAL: none, or one that no broker takes; -ENOLINK:
 * ended. */
int framebus_publisher_set_modes(framebus_publisher *pub, const struct framebus_mode *modes, size_t n_modes);

/** Replaces what can be lent, besides sealed memory; n_memories 0: nothing. Say it before the first
 * framebus_process() after publishing if it is known by then. -EINVAL: a kind that there is not; -ENOLINK:
 * ended. */
int framebus_publisher_set_memories(framebus_publisher *pub, const enum framebus_memory *memories,
                                    size_t n_memories);

/**
 * Says what can be set, with present values; replaces what was said before. Copied. Call it before the first
 * framebus_process() after publishing, and whenever more than a value is different. -EINVAL: more than 256,
 * or one that no broker takes (ranges upside down, ids that are not different, texts of more than 256 bytes);
 * -ENOLINK: ended.
 */
int framebus_publisher_set_controls(framebus_publisher *pub, const struct framebus_control *controls,
                                    size_t n_controls);

/** Tells that controls have other values now, whatever the reason but framebus_publisher_answer_controls().
 * -EINVAL: no such control, or too long; -ENOLINK: not published (yet), or ended. */
int framebus_publisher_controls_changed(framebus_publisher *pub, const struct framebus_control_value *values,
                                        size_t n_values);

/**
 * Answers `set_controls` or `get_controls`.
 * @values  what the controls asked for have now; on failure those that were set nevertheless
 * @failed  the id of the control that failed; NULL: none in particular
 * @reason  for people; NULL or "": all was done
 * Errors as framebus_publisher_controls_changed().
 */
int framebus_publisher_answer_controls(framebus_publisher *pub, uint64_t cookie,
                                       const struct framebus_control_value *values, size_t n_values,
                                       const char *failed, const char *reason);

/** Tells "streaming", "no-signal", "absent" or "failed", and why (for people; NULL: ""; at most 256
 * bytes). Before `published` it is kept and told then. -EINVAL: another state, or too long; -ENOLINK:
 * ended. */
int framebus_publisher_set_state(framebus_publisher *pub, const char *state, const char *reason);

/** The mode of the frames pushed from now on; complete. Call it after each `start` and before the first push,
 * and whenever the picture changes its size or format. -EINVAL: incomplete; -ENOLINK: not published (yet), or
 * ended. */
int framebus_publisher_set_format(framebus_publisher *pub, const struct framebus_mode *mode);

/** Counts @count frames as lost at the source ("source"), before the next push. */
void framebus_publisher_add_lost(framebus_publisher *pub, uint64_t count);

/** About a pushed frame. */
#define FRAMEBUS_PUSH_INFO_VERSION 2
struct framebus_push_info {
        uint32_t version;
        uint32_t flags;  /**< FRAMEBUS_FRAME_KEYFRAME, _DISCONTINUITY; with a dma-buf _VOLATILE */
        uint64_t pts_ns; /**< capture time, CLOCK_MONOTONIC; 0: now */
        bool has_device_sequence;
        uint32_t device_sequence;
        size_t n_planes; /**< 1 to 4; 0: as framebus_mode_get_layout() says; compressed: one */
        struct framebus_plane planes[4]; /**< memory 0, but for framebus_publisher_push_fds() */
        /* since version 1 */
        bool has_colorimetry;
        uint32_t colorimetry[4]; /**< see framebus_frame_get_colorimetry() */
        uint32_t field;          /**< enum v4l2_field; 0 or 1: progressive */
        /* since version 2; for framebus_publisher_push_fds(), else 0 */
        enum framebus_memory memory;
        /** Of what is not sealed: your number for this set of descriptors, not 0, never used for another. */
        uint64_t buffer;
        /** Where the memories are mapped here, for the sealed copy that is made while somebody needs one;
         * data[0] NULL: the library maps them, and keeps the mapping as long as it knows the buffer. */
        const void *data[4];
};

/**
 * Publishes a copy of @size bytes at @data: into a fresh memfd, sealed.
 * @info  NULL: all defaults
 * Errors: -EAGAIN: too many frames are with the broker; this one was dropped and counted as lost; -ENOLINK:
 * not started, no format set since, or ended; -EINVAL: planes outside of @size, or other flags than the two;
 * -EMSGSIZE: more than the file system can hold.
 */
int framebus_publisher_push_data(framebus_publisher *pub, const void *data, size_t size,
                                 const struct framebus_push_info *info);

/** A writable buffer of @size bytes, to be filled in place and pushed or given back. Owned by the caller. */
int framebus_publisher_acquire(framebus_publisher *pub, size_t size, framebus_buffer **ret_buffer);
void *framebus_buffer_get_data(framebus_buffer *buffer);
size_t framebus_buffer_get_size(const framebus_buffer *buffer);
/** Gives it back without publishing. NULL is ignored. @return NULL */
framebus_buffer *framebus_buffer_discard(framebus_buffer *buffer);
/** Publishes it; it is consumed, also on failure. Its data must not be touched any more. Errors as
 * push_data. */
int framebus_publisher_push(framebus_publisher *pub, framebus_buffer *buffer_consume,
                            const struct framebus_push_info *info);

/**
 * Publishes memory that the caller made, of the kind that @info names, without a copy where nobody needs one:
 * 1 to 4 descriptors, which stay the caller's to close. The planes of @info name them by index. What lacks
 * seals or is too short is for the broker to refuse.
 *
 * A buffer that is not sealed is lent from here until `released` or `retired`, one of which is told for each
 * push that returned 0, from framebus_process(), after `refused` if the broker refused the frame. It must not
 * be written meanwhile. When the publisher ends only `ended` is told: receivers may go on looking at buffers
 * that were lent then, so these must not be written any more, only be freed.
 *
 * While somebody needs sealed memory (`memories`) one sealed copy is made for all of them; while nobody needs
 * the kind that is pushed, only that copy goes out.
 *
 * Errors as push_data, and: -EBUSY: the buffer is lent; -ENOBUFS: 64 others are known, see
 * framebus_publisher_forget(); -EINVAL: no buffer number; what mmap(2) failed with. On failure, -EAGAIN
 * included, the buffer stays the caller's and no event follows.
 */
int framebus_publisher_push_fds(framebus_publisher *pub, const int *fds_borrow, size_t n_fds,
                                const struct framebus_push_info *info);

/** @buffer is gone, as the caller freed it, and its number will not be used again; no event about it follows.
 * What was never pushed is ignored. Negative errno: the broker could not be told. */
int framebus_publisher_forget(framebus_publisher *pub, uint64_t buffer);

/** There is no buffer for the next frame, as all are lent: who has held one longest is suspended by the
 * broker, and keeps what it has; `retired` or `released` follow. Nothing happens if one is on its way
 * already. */
int framebus_publisher_want_buffer(framebus_publisher *pub);

struct framebus_publisher_stats {
        uint64_t pushed;     /**< frames that went to the broker */
        uint64_t dropped;    /**< frames that found no room */
        uint64_t lost;       /**< framebus_publisher_add_lost() */
        uint64_t refused;    /**< refused by the broker */
        uint32_t unreleased; /**< frames in sealed memory that the broker has not taken yet */
        uint32_t lent;       /**< buffers */
        uint64_t copied;     /**< frames that the library copied; push_data() counts, too */
        uint64_t copied_bytes;
};
void framebus_publisher_get_stats(framebus_publisher *pub, struct framebus_publisher_stats *ret_stats);

/* ---- Helpers ---- */

/** Bytes of a tightly packed frame of @mode and its planes in one memory; for every uncompressed linear
 * format this library knows. -ENOTSUP: compressed or unknown; -EINVAL: no size; -EOVERFLOW. */
int framebus_mode_get_layout(const struct framebus_mode *mode, struct framebus_plane ret_planes[4],
                             size_t *ret_n_planes, size_t *ret_size);

/** "NV12", "YUYV", … : the four characters of a fourcc, unprintable ones as dots. */
const char *framebus_fourcc_to_string(uint32_t fourcc, char ret_string[5]);
/** The other way; 1 to 4 characters, padded with spaces. 0: not a fourcc. */
uint32_t framebus_fourcc_from_string(const char *string);

#ifdef __cplusplus
}
#endif

#endif
