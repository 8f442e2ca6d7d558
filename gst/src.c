/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebussrc. Everything of Framebus is the receiver's; here it meets GStreamer's states, caps and clock.
 *
 * Caps are set by the first frame, as only frames tell about colors and fields, and again by each that looks
 * different. A reconfiguration that the present caps satisfy changes nothing; else the source is asked again,
 * with what is possible then. Frames are not changed: where downstream does not know GstVideoMeta they are
 * copied, and counted.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gst/caps.h"
#include "gst/elements.h"
#include "gst/receiver.h"
#include "gst/src-settings.h"

GST_DEBUG_CATEGORY_STATIC(framebus_src_debug);
#define GST_CAT_DEFAULT framebus_src_debug

#define RETRY_NS (500 * NSEC_PER_MSEC)

struct _FramebusSrc {
        GstPushSrc parent;

        SrcSettings settings; /* under the object's lock; the same from start to stop */
        Receiver *receiver;   /* between the two */

        /* the streaming thread's; what queries look at is under the object's lock */
        bool subscribed, has_look;
        Look look;
        GstVideoInfo info;
        bool raw, peer_knows_meta;
        GstCaps *granted; /* what was granted, until the first frame says more */
        GstClockTime last_pts;
        guint64 delivered, lost, copied;
};

G_DEFINE_FINAL_TYPE(FramebusSrc, framebus_src, GST_TYPE_PUSH_SRC)

/* Subscribing */

static void src_error(FramebusSrc *self, int k) {
        char *message = receiver_get_error(self->receiver);

        if (k == -ENOENT)
                GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("No source \"%s\".", self->settings.source),
                                  ("%s", message));
        else if (k == -ENOTSUP)
                GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                                  ("\"%s\" has nothing that is wanted.", self->settings.source),
                                  ("%s", message));
        else if (k == -EACCES)
                GST_ELEMENT_ERROR(self, RESOURCE, NOT_AUTHORIZED,
                                  ("\"%s\" may not be watched.", self->settings.source), ("%s", message));
        else
                GST_ELEMENT_ERROR(self, RESOURCE, READ, ("\"%s\" cannot be watched.", self->settings.source),
                                  ("%s", message));
        g_free(message);
}

static int src_subscribe_once(FramebusSrc *self, const struct framebus_mode *wishes, size_t n_wishes) {
        static const enum framebus_memory kinds[] = { FRAMEBUS_MEMORY_DMABUF, FRAMEBUS_MEMORY_LEASED,
                                                      FRAMEBUS_MEMORY_SEALED };
        struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION };
        enum framebus_memory memories[FB_ELEMENTSOF(kinds)];
        struct framebus_mode granted;
        int k;

        options.modes = n_wishes > 0 ? wishes : NULL;
        options.n_modes = n_wishes;
        options.memories = memories;
        GST_OBJECT_LOCK(self);
        options.transport = self->settings.transport;
        options.window = self->settings.window;
        options.drop = self->settings.drop;
        for (size_t i = 0; i < FB_ELEMENTSOF(kinds); i++)
                if (self->settings.memory & (1u << kinds[i]))
                        memories[options.n_memories++] = kinds[i];
        GST_OBJECT_UNLOCK(self);
        k = receiver_subscribe(self->receiver, self->settings.source, &options, &granted);
        self->subscribed = k >= 0;
        self->has_look = false;
        if (k >= 0) {
                gst_clear_caps(&self->granted);
                self->granted = caps_from_modes(&granted, 1);
        }
        return k;
}

/* What both the source and downstream can do; the caller's. Negative errno: of asking the source. */
static int src_get_common_caps(FramebusSrc *self, GstCaps **ret) {
        GstPad *pad = GST_BASE_SRC_PAD(self);
        struct framebus_mode *modes = NULL;
        size_t n_modes = 0;
        GstCaps *caps, *peer;
        int k = receiver_get_modes(self->receiver, self->settings.source, &modes, &n_modes);

        if (k < 0)
                return k;
        caps = n_modes > 0 ? caps_from_modes(modes, n_modes) : gst_pad_get_pad_template_caps(pad);
        g_free(modes);
        peer = gst_pad_peer_query_caps(pad, caps);
        GST_DEBUG_OBJECT(self, "source: %" GST_PTR_FORMAT ", downstream: %" GST_PTR_FORMAT, caps, peer);
        *ret = gst_caps_intersect_full(caps, peer, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(caps);
        gst_caps_unref(peer);
        return 0;
}

/* What is possible now, by the source's preference; then what is not, but would do, as sources change. */
static size_t src_get_wishes(FramebusSrc *self, const GstCaps *common, struct framebus_mode *ret,
                             size_t max) {
        GstPad *pad = GST_BASE_SRC_PAD(self);
        GstCaps *all = gst_pad_get_pad_template_caps(pad), *peer = gst_pad_peer_query_caps(pad, all);
        GstCaps *possible = gst_caps_intersect_full(all, peer, GST_CAPS_INTERSECT_FIRST);
        size_t n = caps_to_modes(common, ret, max);

        n += caps_to_modes(possible, ret + n, max - n);
        gst_caps_unref(possible);
        gst_caps_unref(peer);
        gst_caps_unref(all);
        return n;
}

static int src_subscribe(FramebusSrc *self) {
        struct framebus_mode *wishes;
        GstCaps *caps;
        size_t n;
        int k;

        for (;;) {
                k = src_get_common_caps(self, &caps);
                if (k >= 0 && gst_caps_is_empty(caps)) {
                        gst_caps_unref(caps);
                        return -EDOM; /* for the base class to say */
                }
                if (k >= 0) {
                        wishes = g_new(struct framebus_mode, MODES_MAX);
                        n = src_get_wishes(self, caps, wishes, MODES_MAX);
                        k = src_subscribe_once(self, wishes, n);
                        g_free(wishes);
                        gst_caps_unref(caps);
                }
                if (k != -ENOENT || self->settings.on_end != ON_END_WAIT)
                        return k;
                k = receiver_sleep(self->receiver, RETRY_NS);
                if (k < 0)
                        return k;
        }
}

static gboolean src_negotiate(GstBaseSrc *base) {
        FramebusSrc *self = FRAMEBUS_SRC(base);
        GstCaps *caps = gst_pad_get_current_caps(GST_BASE_SRC_PAD(base));
        bool fits;
        int k;

        if (!caps && self->granted)
                caps = gst_caps_ref(self->granted);
        fits = self->subscribed && caps && gst_pad_peer_query_accept_caps(GST_BASE_SRC_PAD(base), caps);
        gst_clear_caps(&caps);
        if (fits)
                return TRUE;
        k = src_subscribe(self);
        if (k < 0 && k != -ECANCELED && k != -EDOM)
                src_error(self, k);
        return k >= 0;
}

/* Frames */

static void src_look_at_allocation(FramebusSrc *self, GstQuery *query) {
        self->peer_knows_meta = gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
}

/* Frames come with memory of their own: no pool is needed. */
static gboolean src_decide_allocation(GstBaseSrc *base, GstQuery *query) {
        while (gst_query_get_n_allocation_pools(query) > 0)
                gst_query_remove_nth_allocation_pool(query, 0);
        src_look_at_allocation(FRAMEBUS_SRC(base), query);
        return TRUE;
}

static bool src_set_look(FramebusSrc *self, const Look *look) {
        GstCaps *caps = look_to_caps(look);
        GstQuery *query;
        bool ok;

        self->raw = caps_format_from_fourcc(look->mode.fourcc) != GST_VIDEO_FORMAT_UNKNOWN;
        ok = !gst_caps_is_empty(caps) && (!self->raw || gst_video_info_from_caps(&self->info, caps)) &&
             gst_base_src_set_caps(GST_BASE_SRC(self), caps);
        if (ok) {
                GST_OBJECT_LOCK(self);
                self->look = *look;
                self->has_look = true;
                GST_OBJECT_UNLOCK(self);
                query = gst_query_new_allocation(caps, FALSE);
                (void)gst_pad_peer_query(GST_BASE_SRC_PAD(self), query);
                src_look_at_allocation(self, query);
                gst_query_unref(query);
                gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
        }
        gst_caps_unref(caps);
        return ok;
}

/* CLOCK_MONOTONIC as the time of @clock: exact where that is it, else by the present distance. */
static GstClockTime clock_from_monotonic(GstClock *clock, uint64_t monotonic_ns) {
        GstClockTime internal, external, num, den, now;
        GstClockType type = GST_CLOCK_TYPE_OTHER;
        uint64_t now_ns;

        if (G_OBJECT_TYPE(clock) == GST_TYPE_SYSTEM_CLOCK)
                g_object_get(clock, "clock-type", &type, NULL);
        if (type == GST_CLOCK_TYPE_MONOTONIC) {
                gst_clock_get_calibration(clock, &internal, &external, &num, &den);
                return gst_clock_adjust_with_calibration(clock, monotonic_ns, internal, external, num, den);
        }
        now_ns = clock_now_ns();
        now = gst_clock_get_time(clock);
        return monotonic_ns >= now_ns ? now : now > now_ns - monotonic_ns ? now - (now_ns - monotonic_ns) : 0;
}

static GstClockTime frame_duration(const Look *look) {
        if (!look->mode.rate.num || !look->mode.rate.den)
                return GST_CLOCK_TIME_NONE;
        return gst_util_uint64_scale(GST_SECOND, look->mode.rate.den, look->mode.rate.num);
}

static void src_set_times(FramebusSrc *self, GstBuffer *buffer) {
        GstClock *clock = gst_element_get_clock(GST_ELEMENT(self));
        GstClockTime base = gst_element_get_base_time(GST_ELEMENT(self)), t = 0;

        if (clock) {
                t = clock_from_monotonic(clock, GST_BUFFER_PTS(buffer));
                t = t > base ? t - base : 0; /* of before it was playing */
                gst_object_unref(clock);
        }
        if (GST_CLOCK_TIME_IS_VALID(self->last_pts) && t < self->last_pts)
                t = self->last_pts;
        self->last_pts = t;
        GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = t;
        if (self->raw)
                GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
        GST_BUFFER_DURATION(buffer) = frame_duration(&self->look);
}

/* What a pipeline's owner can see of frames that are missing. */
static void src_tell_lost(FramebusSrc *self, const ReceiverFrame *f) {
        GstClockTime t = GST_BUFFER_PTS(f->buffer);
        GstMessage *m;

        GST_OBJECT_LOCK(self);
        self->lost += f->lost;
        m = gst_message_new_qos(GST_OBJECT(self), TRUE, t, t, t, frame_duration(&self->look));
        gst_message_set_qos_stats(m, GST_FORMAT_BUFFERS, self->delivered, self->lost);
        GST_OBJECT_UNLOCK(self);
        gst_element_post_message(GST_ELEMENT(self), m);
        gst_element_post_message(GST_ELEMENT(self),
                                 gst_message_new_element(GST_OBJECT(self),
                                                         gst_structure_new("framebus-lost", "count",
                                                                           G_TYPE_UINT64, f->lost, "reason",
                                                                           G_TYPE_STRING, f->reason, NULL)));
}

/* @f's buffer is consumed. */
static GstFlowReturn src_hand_out(FramebusSrc *self, ReceiverFrame *f, GstBuffer **ret_buffer) {
        GstBuffer *buffer = f->buffer, *copy;

        if ((!self->has_look || !look_equal(&self->look, &f->look)) && !src_set_look(self, &f->look)) {
                gst_buffer_unref(buffer);
                return GST_FLOW_NOT_NEGOTIATED;
        }
        src_set_times(self, buffer);
        if (f->lost > 0)
                src_tell_lost(self, f);
        if (f->lost > 0 || f->attached)
                GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
        if (self->raw && picture_is_plain(buffer, &self->info))
                gst_buffer_set_size(buffer, (gssize)GST_VIDEO_INFO_SIZE(&self->info));
        else if (self->raw && !self->peer_knows_meta) {
                copy = picture_copy_plain(buffer, &self->info);
                gst_buffer_unref(buffer);
                buffer = copy;
                if (!buffer)
                        return GST_FLOW_ERROR;
        }
        GST_OBJECT_LOCK(self);
        self->delivered++;
        self->copied += buffer != f->buffer;
        GST_OBJECT_UNLOCK(self);
        *ret_buffer = buffer;
        return GST_FLOW_OK;
}

static GstFlowReturn src_ended(FramebusSrc *self, int why) {
        int k;

        self->subscribed = false;
        if (why != -EAGAIN && self->settings.on_end == ON_END_EOS)
                return GST_FLOW_EOS;
        k = why == -EAGAIN || self->settings.on_end == ON_END_WAIT ? src_subscribe(self) : -EIO;
        if (k == -ECANCELED)
                return GST_FLOW_FLUSHING;
        if (k == -EDOM)
                return GST_FLOW_NOT_NEGOTIATED;
        if (k < 0)
                src_error(self, k);
        return k < 0 ? GST_FLOW_ERROR : GST_FLOW_OK;
}

static GstFlowReturn src_create(GstPushSrc *push, GstBuffer **ret_buffer) {
        FramebusSrc *self = FRAMEBUS_SRC(push);
        GstFlowReturn flow = GST_FLOW_OK;
        ReceiverFrame f;
        int k;

        while (flow == GST_FLOW_OK) {
                k = receiver_pop(self->receiver, &f);
                if (k >= 0)
                        return src_hand_out(self, &f, ret_buffer);
                flow = k == -ECANCELED ? GST_FLOW_FLUSHING : src_ended(self, k);
        }
        return flow;
}

/* States */

static gboolean src_start(GstBaseSrc *base) {
        FramebusSrc *self = FRAMEBUS_SRC(base);
        int k;

        if (!self->settings.source || !*self->settings.source) {
                GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("No source is named."),
                                  ("set the property \"source\""));
                return FALSE;
        }
        k = receiver_new(self->settings.bus, &self->receiver);
        if (k < 0) {
                GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("No bus with Framebus on it."),
                                  ("%s", g_strerror(-k)));
                return FALSE;
        }
        receiver_set_running(self->receiver, false);
        self->subscribed = self->has_look = false;
        self->last_pts = GST_CLOCK_TIME_NONE;
        self->delivered = self->lost = self->copied = 0;
        return TRUE;
}

static gboolean src_stop(GstBaseSrc *base) {
        FramebusSrc *self = FRAMEBUS_SRC(base);

        self->receiver = receiver_free(self->receiver);
        gst_clear_caps(&self->granted);
        return TRUE;
}

static gboolean src_unlock(GstBaseSrc *base) {
        receiver_set_flushing(FRAMEBUS_SRC(base)->receiver, true);
        return TRUE;
}

static gboolean src_unlock_stop(GstBaseSrc *base) {
        receiver_set_flushing(FRAMEBUS_SRC(base)->receiver, false);
        return TRUE;
}

static GstStateChangeReturn src_change_state(GstElement *element, GstStateChange transition) {
        Receiver *receiver = FRAMEBUS_SRC(element)->receiver;

        if (receiver && transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING)
                receiver_set_running(receiver, true);
        else if (receiver && transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED)
                receiver_set_running(receiver, false);
        return GST_ELEMENT_CLASS(framebus_src_parent_class)->change_state(element, transition);
}

static gboolean src_query(GstBaseSrc *base, GstQuery *query) {
        FramebusSrc *self = FRAMEBUS_SRC(base);
        GstClockTime duration;

        if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
                return GST_BASE_SRC_CLASS(framebus_src_parent_class)->query(base, query);
        GST_OBJECT_LOCK(self);
        duration = self->has_look ? frame_duration(&self->look) : GST_CLOCK_TIME_NONE;
        GST_OBJECT_UNLOCK(self);
        if (!GST_CLOCK_TIME_IS_VALID(duration))
                return GST_BASE_SRC_CLASS(framebus_src_parent_class)->query(base, query);
        gst_query_set_latency(query, TRUE, duration, duration * self->settings.window);
        return TRUE;
}

/* Properties */

static void src_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
        FramebusSrc *self = FRAMEBUS_SRC(object);
        bool known;

        GST_OBJECT_LOCK(self);
        known = settings_set(&self->settings, id, value);
        GST_OBJECT_UNLOCK(self);
        if (!known)
                G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static GstStructure *src_get_stats(FramebusSrc *self) {
        return gst_structure_new("framebussrc-stats", "delivered", G_TYPE_UINT64, self->delivered, "lost",
                                 G_TYPE_UINT64, self->lost, "copied", G_TYPE_UINT64, self->copied, NULL);
}

static void src_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec) {
        FramebusSrc *self = FRAMEBUS_SRC(object);
        bool known = true;

        GST_OBJECT_LOCK(self);
        if (id == SETTING_STATS)
                g_value_take_boxed(value, src_get_stats(self));
        else
                known = settings_get(&self->settings, id, value);
        GST_OBJECT_UNLOCK(self);
        if (!known)
                G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
}

static void src_finalize(GObject *object) {
        FramebusSrc *self = FRAMEBUS_SRC(object);

        settings_clear(&self->settings);
        G_OBJECT_CLASS(framebus_src_parent_class)->finalize(object);
}

static void framebus_src_init(FramebusSrc *self) {
        settings_init(&self->settings);
        gst_base_src_set_live(GST_BASE_SRC(self), TRUE);
        gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

static void framebus_src_class_init(FramebusSrcClass *class) {
        GstElementClass *element_class = GST_ELEMENT_CLASS(class);
        GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS(class);
        GstCaps *caps = caps_template();

        GST_DEBUG_CATEGORY_INIT(framebus_src_debug, "framebussrc", 0, "Framebus source");
        G_OBJECT_CLASS(class)->set_property = src_set_property;
        G_OBJECT_CLASS(class)->get_property = src_get_property;
        G_OBJECT_CLASS(class)->finalize = src_finalize;
        settings_install(G_OBJECT_CLASS(class));
        element_class->change_state = src_change_state;
        base_class->start = src_start;
        base_class->stop = src_stop;
        base_class->unlock = src_unlock;
        base_class->unlock_stop = src_unlock_stop;
        base_class->negotiate = src_negotiate;
        base_class->decide_allocation = src_decide_allocation;
        base_class->query = src_query;
        GST_PUSH_SRC_CLASS(class)->create = src_create;
        gst_element_class_set_static_metadata(element_class, "Framebus source", "Source/Video/Device",
                                              "Watches a source of Framebus, without a copy of its frames",
                                              "Framebus");
        gst_element_class_add_pad_template(element_class,
                                           gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
        gst_caps_unref(caps);
}
