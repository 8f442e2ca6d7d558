/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source of a publisher: Publish on the bus or an inherited channel, what the channel says, and the
 * states of the source. The channel is the source: when it ends, so does the publisher, and nothing is tried
 * again, as somebody else may have the name by then.
 *
 * Modes is the one call that is waited for: a source whose modes the broker refuses is none.
 */
#include "libframebus/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"
#include "libframebus/export.h"
#include "libframebus/mode.h"
#include "wire/codec.h"

int publisher_new_call(framebus_publisher *pub, const char *member, sd_bus_message **ret) {
        if (pub->closed || pub->ended || !pub->channel || !channel_is_open(pub->channel))
                return -ENOLINK;
        return sd_bus_message_new_method_call(channel_get_bus(pub->channel), ret, NULL, FB_PATH_PUBLICATION,
                                              FB_IFACE_PUBLICATION, member);
}

int publisher_send(framebus_publisher *pub, sd_bus_message *m) {
        int r = sd_bus_message_set_expect_reply(m, 0);

        if (r >= 0)
                r = channel_send(pub->channel, m);
        return r < 0 ? r : 0;
}

static void publisher_forget(framebus_publisher *pub) {
        pub->call = sd_bus_slot_unref(pub->call);
        pub->channel = channel_free(pub->channel);
        lending_clear(pub);
        pub->started = false;
        pub->wants_room = false;
        pub->n_unreleased = 0;
        pub->stats.unreleased = 0;
}

static void publisher_end(framebus_publisher *pub, const char *reason, const struct framebus_error *error) {
        publisher_forget(pub);
        publisher_tell(pub, ended, reason, error);
        pub->ended = true;
}

static void publisher_end_errno(framebus_publisher *pub, int r) {
        struct framebus_error error = { .name = "org.freedesktop.DBus.Error.Failed",
                                        .message = strerror(-r),
                                        .error = -r };

        publisher_end(pub, "refused", &error);
}

/* The channel */

static int send_description(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (pub->name || (!pub->description && !pub->driver))
                return 0; /* Publish said it */
        r = publisher_new_call(pub, "Describe", &m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0 && pub->description)
                r = sd_bus_message_append(m, "{sv}", "description", "s", pub->description);
        if (r >= 0 && pub->driver)
                r = sd_bus_message_append(m, "{sv}", "driver", "s", pub->driver);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : publisher_send(pub, m);
}

static int send_state(framebus_publisher *pub, const char *state, const char *reason) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = publisher_new_call(pub, "State", &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", state, reason ?: "");
        return r < 0 ? r : publisher_send(pub, m);
}

/* The first time; a refusal ends the publisher. */
static int on_modes_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_publisher *pub = userdata;
        struct framebus_error error;

        pub->call = sd_bus_slot_unref(pub->call);
        if (message_get_error(m, &error) && channel_is_open(pub->channel))
                publisher_end(pub, "refused", &error);
        return 0;
}

static int on_new_modes_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_publisher *pub = userdata;
        struct framebus_error error;

        pub->call = sd_bus_slot_unref(pub->call);
        if (message_get_error(m, &error))
                publisher_tell(pub, refused, 0, &error);
        return 0;
}

static int send_modes(framebus_publisher *pub, sd_bus_message_handler_t callback) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = publisher_new_call(pub, "Modes", &m);

        if (r >= 0)
                r = codec_append_modes(m, (ModeList){ pub->modes, pub->n_modes });
        if (r < 0)
                return r;
        pub->call = sd_bus_slot_unref(pub->call);
        r = sd_bus_call_async(channel_get_bus(pub->channel), &pub->call, m, callback, pub,
                              CALL_DEADLINE_USEC);
        return r < 0 ? r : 0;
}

static void on_start(framebus_publisher *pub, sd_bus_message *m) {
        VardictError error = {};
        struct framebus_mode public_mode;
        Start start;

        if (codec_read_start(m, &start, &error) != 0 || !lending_started(pub, &start))
                return;
        pub->started = true;
        mode_to_public(&start.mode, &public_mode);
        publisher_tell(pub, start, &public_mode);
}

static void on_stop(framebus_publisher *pub, sd_bus_message *m) {
        pub->started = false;
        pub->has_mode = false;
        pub->wants_room = false;
        lending_stopped(pub);
        publisher_tell(pub, stop);
}

static void on_keyframe_wanted(framebus_publisher *pub, sd_bus_message *m) {
        if (pub->started)
                publisher_tell_since(3, pub, keyframe_wanted);
}

static void on_release(framebus_publisher *pub, sd_bus_message *m) {
        const uint64_t *seqs;
        size_t n;

        if (codec_read_seqs(m, &seqs, &n) != 0)
                return;
        for (size_t i = 0; i < n; i++) {
                publisher_released(pub, seqs[i]);
                lending_released(pub, seqs[i]);
        }
}

static void on_refused(framebus_publisher *pub, sd_bus_message *m) {
        struct framebus_error error = {};
        uint64_t seq;

        if (sd_bus_message_read(m, "tss", &seq, &error.name, &error.message) <= 0)
                return;
        if (seq > 0 && seq == pub->refused_seq)
                return; /* the other half of a pair */
        error.error = EBADMSG;
        pub->refused_seq = seq;
        pub->stats.refused++;
        publisher_released(pub, seq);
        publisher_tell(pub, refused, seq, &error);
        lending_released(pub, seq);
}

static const struct {
        const char *member;
        void (*handle)(framebus_publisher *pub, sd_bus_message *m);
} signals[] = {
        { "Start", on_start },
        { "Stop", on_stop },
        { "KeyframeWanted", on_keyframe_wanted },
        { "Release", on_release },
        { "Retire", lending_on_retire },
        { "Refused", on_refused },
        { "SetControl", publisher_on_set_control },
        { "GetControl", publisher_on_get_control },
};

static int on_channel_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_publisher *pub = userdata;

        if (pub->closed || pub->ended || sd_bus_message_is_signal(m, FB_IFACE_PUBLICATION, NULL) <= 0)
                return 0;
        for (size_t i = 0; i < FB_ELEMENTSOF(signals); i++)
                if (strcmp(sd_bus_message_get_member(m), signals[i].member) == 0)
                        signals[i].handle(pub, m);
        return 0;
}

static int on_channel_setup(Channel *c, sd_bus *bus, void *userdata) {
        return sd_bus_add_filter(bus, NULL, on_channel_message, userdata);
}

static void on_channel_opened(Channel *c, void *userdata) {
        framebus_publisher *pub = userdata;
        int r;

        r = send_description(pub);
        if (r >= 0 && pub->lending.offered != 0)
                r = lending_describe(pub);
        if (r >= 0 && pub->controls.n > 0)
                r = publisher_send_controls(pub);
        if (r >= 0 && pub->n_modes > 0)
                r = send_modes(pub, on_modes_reply);
        if (r >= 0 && pub->early_state)
                r = send_state(pub, pub->early_state, pub->early_reason);
        if (r < 0)
                publisher_end_errno(pub, r);
        else
                publisher_tell(pub, published, pub->path);
}

static void on_channel_closed(Channel *c, void *userdata) {
        publisher_end(userdata, "closed", NULL);
}

static const ChannelHandler channel_handler = {
        .setup = on_channel_setup,
        .opened = on_channel_opened,
        .closed = on_channel_closed,
};

/* Publish */

static int on_publish_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_publisher *pub = userdata;
        struct framebus_error error;
        const char *path;
        int r, fd;

        pub->call = sd_bus_slot_unref(pub->call);
        if (message_get_error(m, &error)) {
                publisher_end(pub, "refused", &error);
                return 0;
        }
        r = sd_bus_message_read(m, "oh", &path, &fd);
        if (r >= 0) {
                pub->path = strdup(path);
                r = pub->path ? fd_dup_cloexec(fd) : -ENOMEM;
        }
        if (r >= 0)
                r = channel_new_client(pub->fb->event, r, CHANNEL_PRIORITY, &channel_handler, pub,
                                       &pub->channel);
        if (r < 0)
                publisher_end_errno(pub, r);
        return 0;
}

static int append_publish_options(sd_bus_message *m, const framebus_publisher *pub) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0 && pub->description)
                r = sd_bus_message_append(m, "{sv}", "description", "s", pub->description);
        if (r >= 0 && pub->driver)
                r = sd_bus_message_append(m, "{sv}", "driver", "s", pub->driver);
        if (r >= 0 && pub->allow_replacement)
                r = sd_bus_message_append(m, "{sv}", "allow-replacement", "b", 1);
        if (r >= 0 && pub->replace)
                r = sd_bus_message_append(m, "{sv}", "replace", "b", 1);
        if (r >= 0 && pub->queue)
                r = sd_bus_message_append(m, "{sv}", "queue", "b", 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int publisher_publish(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (!connection_can_take_fd(pub->fb))
                return -EMFILE;
        r = sd_bus_message_new_method_call(pub->fb->bus, &m, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                           "Publish");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", pub->name);
        if (r >= 0)
                r = append_publish_options(m, pub);
        return r < 0 ? r : connection_call(pub->fb, &pub->call, m, on_publish_reply, pub);
}

static void on_bus_ready(Waiter *w) {
        framebus_publisher *pub = list_entry(w, framebus_publisher, waiter);
        int r = publisher_publish(pub);

        if (r < 0)
                publisher_end_errno(pub, r);
}

/* For programs */

static framebus_publisher *publisher_free(framebus_publisher *pub) {
        if (!pub)
                return NULL;
        publisher_forget(pub);
        list_remove(&pub->waiter.link);
        list_remove(&pub->link);
        free(pub->name);
        free(pub->path);
        free(pub->description);
        free(pub->driver);
        free(pub->early_reason);
        free(pub->modes);
        control_list_clear(&pub->controls);
        free(pub);
        return NULL;
}

FB_DEFINE_CLEANUP(framebus_publisher *, publisher_free)

void publisher_reap(framebus_publisher *pub) {
        if (pub->closed)
                publisher_free(pub);
}

static int text_copy(const char *text, char **ret) {
        if (!text)
                return 0;
        if (strlen(text) > FB_TEXT_MAX)
                return -EINVAL;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* What a source offers says a format and a size, or a range of sizes. */
static int offers_from_public(const struct framebus_mode *modes, size_t n, Mode **ret_modes) {
        for (size_t i = 0; modes && i < n; i++)
                if (modes[i].fourcc == 0 || (modes[i].width == 0 && modes[i].width_range.max == 0) ||
                    (modes[i].height == 0 && modes[i].height_range.max == 0))
                        return -EINVAL;
        return modes_from_public(modes, n, false, ret_modes);
}

static int publisher_new(framebus *fb, const struct framebus_publish_options *options,
                         const struct framebus_publisher_events *events, void *userdata,
                         framebus_publisher **ret_pub) {
        _cleanup_(publisher_freep) framebus_publisher *pub = NULL;
        int r;

        if (!options || options->version > FRAMEBUS_PUBLISH_OPTIONS_VERSION || !events ||
            events->version > FRAMEBUS_PUBLISHER_EVENTS_VERSION || !events->start || !events->stop)
                return -EINVAL;
        pub = calloc(1, sizeof *pub);
        if (!pub)
                return -ENOMEM;
        pub->fb = fb;
        pub->events = events;
        pub->userdata = userdata;
        pub->next_seq = 1;
        pub->n_modes = options->n_modes;
        r = offers_from_public(options->modes, options->n_modes, &pub->modes);
        if (r >= 0 && options->version >= 1)
                r = lending_offer(pub, options->memories, options->n_memories);
        if (r >= 0)
                r = text_copy(options->description, &pub->description);
        if (r >= 0)
                r = text_copy(options->driver, &pub->driver);
        if (r < 0)
                return r;
        list_append(&fb->publishers, &pub->link);
        *ret_pub = take_ptr(pub);
        return 0;
}

FB_PUBLIC int framebus_publish(framebus *fb, const char *name, const struct framebus_publish_options *options,
                               const struct framebus_publisher_events *events, void *userdata,
                               framebus_publisher **ret_pub) {
        _cleanup_(publisher_freep) framebus_publisher *pub = NULL;
        int r;

        if (!name || !fb_source_name_is_valid(name) || !options || options->n_modes == 0)
                return -EINVAL;
        r = connection_check(fb);
        if (r >= 0)
                r = publisher_new(fb, options, events, userdata, &pub);
        if (r < 0)
                return r;
        pub->allow_replacement = options->allow_replacement;
        pub->replace = options->replace;
        pub->queue = options->queue;
        pub->name = strdup(name);
        if (!pub->name)
                return -ENOMEM;
        if (fb->bus)
                r = publisher_publish(pub);
        else
                connection_when_ready(fb, &pub->waiter, on_bus_ready);
        if (r < 0)
                return r;
        *ret_pub = take_ptr(pub);
        return 0;
}

FB_PUBLIC int framebus_publisher_new_from_fd(framebus *fb, int fd_consume,
                                             const struct framebus_publish_options *options,
                                             const struct framebus_publisher_events *events, void *userdata,
                                             framebus_publisher **ret_pub) {
        _cleanup_close_ int fd = fd_consume;
        _cleanup_(publisher_freep) framebus_publisher *pub = NULL;
        int r;

        r = publisher_new(fb, options, events, userdata, &pub);
        if (r >= 0)
                r = channel_new_client(fb->event, take_fd(fd), CHANNEL_PRIORITY, &channel_handler, pub,
                                       &pub->channel);
        if (r < 0)
                return r;
        *ret_pub = take_ptr(pub);
        return 0;
}

FB_PUBLIC framebus_publisher *framebus_publisher_close(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;

        if (!pub || pub->closed)
                return NULL;
        /* a capture program just hangs up: its source stays, and is started again when it is wanted */
        if (pub->name && publisher_new_call(pub, "Destroy", &m) >= 0)
                (void)publisher_send(pub, m);
        pub->closed = true;
        publisher_forget(pub);
        list_remove(&pub->waiter.link);
        if (!pub->fb->processing)
                publisher_free(pub);
        return NULL;
}

FB_PUBLIC int framebus_publisher_set_modes(framebus_publisher *pub, const struct framebus_mode *modes,
                                           size_t n_modes) {
        Mode *new_modes;
        int r;

        if (pub->ended)
                return -ENOLINK;
        if (n_modes == 0)
                return -EINVAL;
        r = offers_from_public(modes, n_modes, &new_modes);
        if (r < 0)
                return r;
        free(pub->modes);
        pub->modes = new_modes;
        pub->n_modes = n_modes;
        if (!pub->channel || !channel_is_open(pub->channel))
                return 0; /* told when it opens */
        return send_modes(pub, on_new_modes_reply);
}

FB_PUBLIC int framebus_publisher_set_state(framebus_publisher *pub, const char *state, const char *reason) {
        static const char *const states[] = { "streaming", "no-signal", "absent", "failed" };
        char *early_reason;
        size_t i = 0;

        while (i < FB_ELEMENTSOF(states) && strcmp(state, states[i]) != 0)
                i++;
        if (i == FB_ELEMENTSOF(states) || (reason && strlen(reason) > FB_TEXT_MAX))
                return -EINVAL;
        if (pub->ended)
                return -ENOLINK;
        if (pub->channel && channel_is_open(pub->channel))
                return send_state(pub, state, reason);
        early_reason = strdup(reason ?: "");
        if (!early_reason)
                return -ENOMEM;
        free(pub->early_reason);
        pub->early_reason = early_reason;
        pub->early_state = states[i];
        return 0;
}
