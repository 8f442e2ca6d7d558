/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "interfaces/names.h"
#include "wire/codec.h"

#define SOURCE_PATH       FB_PATH_SOURCE_PREFIX "/cam"
#define SUBSCRIPTION_PATH FB_PATH_SUBSCRIPTION "/abc"

const Mode fake_mode = {
        .fourcc = DRM_FORMAT_YUYV, .width = FAKE_WIDTH, .height = FAKE_HEIGHT, .rate = { 30, 1 }
};

/* What was said, in words */

/* "word,word": an array of strings. */
static void describe_words(sd_bus_message *m, char *p, size_t room) {
        const char *word;
        size_t n = 0;

        sd_bus_message_enter_container(m, 'v', "as");
        sd_bus_message_enter_container(m, 'a', "s");
        while (n < room && sd_bus_message_read_basic(m, 's', &word) > 0)
                n += (size_t)snprintf(p + n, room - n, "%s%s", n > 0 ? "," : "", word);
        sd_bus_message_exit_container(m);
        sd_bus_message_exit_container(m);
}

void fake_describe_options(sd_bus_message *m, char words[static FAKE_WORDS]) {
        const char *key, *contents, *text;
        char type, list[64];
        uint32_t a, b;
        int flag;

        if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
                return;
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                size_t n = strlen(words), room = FAKE_WORDS - n;
                char *p = words + n;

                sd_bus_message_read(m, "s", &key);
                sd_bus_message_peek_type(m, &type, &contents);
                if (strcmp(contents, "u") == 0 && sd_bus_message_read(m, "v", "u", &a) > 0)
                        snprintf(p, room, "%s=%u ", key, a);
                else if (strcmp(contents, "s") == 0 && sd_bus_message_read(m, "v", "s", &text) > 0)
                        snprintf(p, room, "%s=%s ", key, text);
                else if (strcmp(contents, "b") == 0 && sd_bus_message_read(m, "v", "b", &flag) > 0)
                        snprintf(p, room, "%s=%d ", key, flag);
                else if (strcmp(contents, "(uu)") == 0 && sd_bus_message_read(m, "v", "(uu)", &a, &b) > 0)
                        snprintf(p, room, "%s=%u/%u ", key, a, b);
                else if (strcmp(contents, "as") == 0) {
                        list[0] = 0;
                        describe_words(m, list, sizeof list);
                        snprintf(p, room, "%s=%s ", key, list);
                } else if (sd_bus_message_skip(m, "v") >= 0)
                        snprintf(p, room, "%s=%s ", key, contents);
                sd_bus_message_exit_container(m);
        }
        sd_bus_message_exit_container(m);
}

static void describe_options(Fake *fake, sd_bus_message *m) {
        fake->options[0] = 0;
        fake_describe_options(m, fake->options);
}

/* Subscription1: on a channel, or on the bus */

static int on_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        const uint64_t *seqs;
        size_t n;

        fake->n_release_messages++;
        if (codec_read_seqs(m, &seqs, &n) != 0)
                return -EBADMSG;
        for (size_t i = 0; i < n && fake->n_released < FB_ELEMENTSOF(fake->released); i++)
                fake->released[fake->n_released++] = seqs[i];
        return 1;
}

static int on_set_options(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        describe_options(userdata, m);
        return sd_bus_reply_method_return(m, "a{sv}", 0);
}

static int on_share(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_close_ int a = -1, b = -1;
        Fake *fake = userdata;

        describe_options(fake, m);
        if (fake->silent)
                return 1;
        if (fake->attach_error)
                return sd_bus_reply_method_errorf(m, fake->attach_error, "as the test says");
        if (fd_socketpair(&a, &b) < 0)
                return -ENOMEM;
        return sd_bus_reply_method_return(m, "h", a);
}

static int on_get_order(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        int i = fake->other && sd_bus_message_get_bus(m) == channel_get_bus(fake->other);

        fake->n_get_order++;
        if (fake->silent)
                return 1;
        if (!fake->causal)
                return sd_bus_reply_method_errorf(m, FB_ERROR_NOT_SUPPORTED, "order=fifo");
        if (!fake->page[i])
                fake->page_fd[i] = memfd_new_page("fake", FB_ORDER_PAGE_SIZE, (void **)&fake->page[i]);
        fake->page[i]->version = FB_ORDER_PAGE_VERSION;
        return sd_bus_reply_method_return(m, "h", fake->page_fd[i]);
}

static int on_close(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Fake *)userdata)->n_close++;
        return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable subscription_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Release", "at", "", on_release,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD("SetOptions", "a{sv}", "a{sv}", on_set_options, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Share", "a{sv}", "h", on_share, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("GetOrder", "", "h", on_get_order, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Close", "", "", on_close, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int channel_setup(Channel *c, sd_bus *bus, void *userdata) {
        int r = sd_bus_add_object_vtable(bus, NULL, FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION,
                                         subscription_vtable, userdata);

        return r < 0 ? r : fake_export_publication(userdata, bus);
}

static void channel_opened(Channel *c, void *userdata) {
        ((Fake *)userdata)->opened = true;
}

static void channel_closed(Channel *c, void *userdata) {
        Fake *fake = userdata;

        fake->hung_up = true;
        if (c == fake->other)
                fake->other = channel_free(fake->other);
        else
                fake->channel = channel_free(fake->channel);
}

static const ChannelHandler channel_handler = { channel_setup, channel_opened, channel_closed };

static int fake_channel(Fake *fake, int *ret_theirs) {
        int ours, r;

        r = fd_socketpair(&ours, ret_theirs);
        if (r < 0)
                return r;
        if (fake->two && fake->channel)
                fake_swap(fake);
        fake->channel = channel_free(fake->channel);
        fake->opened = fake->hung_up = false;
        return channel_new_server(fake->event, ours, 0, &channel_handler, fake, &fake->channel);
}

int fake_adopt(Fake *fake, int fd_consume) {
        return channel_new_server(fake->event, fd_consume, 0, &channel_handler, fake, &fake->channel);
}

/* Manager1 and Source1 */

static int on_resolve(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        fake->n_resolve++;
        if (fake->silent)
                return 1;
        if (fake->resolve_error)
                return sd_bus_reply_method_errorf(m, fake->resolve_error, "as the test says");
        return sd_bus_reply_method_return(m, "o", SOURCE_PATH);
}

static int append_granted(Fake *fake, sd_bus_message *m) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "window", "u", 4, "drop", "s",
                                          "newest", "memory", "s", "sealed", "order", "s",
                                          fake->causal ? "causal" : "fifo", "seq", "t", (uint64_t)41,
                                          "epoch", "s", "0123456789abcdef0123456789abcdef",
                                          "of-the-future", "(ss)", "a", "b");
        if (r >= 0 && fake->commits)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_COMMITS, "o", fake->commits);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "mode");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a{sv}");
        if (r >= 0)
                r = codec_append_mode(m, &fake_mode);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int reply_granted(Fake *fake, sd_bus_message *m, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        va_list ap;
        int r = sd_bus_message_new_method_return(m, &reply);

        va_start(ap, types);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(reply, types, ap);
        va_end(ap);
        if (r >= 0)
                r = append_granted(fake, reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_attach(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_close_ int theirs = -1;
        Fake *fake = userdata;
        int r;

        fake->n_attach++;
        describe_options(fake, m);
        if (fake->attach_error)
                return sd_bus_reply_method_errorf(m, fake->attach_error, "as the test says");
        r = fake_channel(fake, &theirs);
        return r < 0 ? r : reply_granted(fake, m, "ho", theirs, FB_PATH_SUBSCRIPTION);
}

static int on_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        fake->n_attach++;
        describe_options(fake, m);
        if (fake->silent)
                return 1;
        free(fake->subscriber);
        fake->subscriber = strdup(sd_bus_message_get_sender(m));
        return reply_granted(fake, m, "o", SUBSCRIPTION_PATH);
}

static int on_negotiate(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        describe_options(fake, m);
        if (fake->attach_error)
                return sd_bus_reply_method_errorf(m, fake->attach_error, "as the test says");
        return reply_granted(fake, m, "");
}

static int on_publish(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_close_ int theirs = -1;
        Fake *fake = userdata;
        int r;

        fake->n_publish++;
        if (fake->attach_error)
                return sd_bus_reply_method_errorf(m, fake->attach_error, "as the test says");
        r = fake_channel(fake, &theirs);
        return r < 0 ? r : sd_bus_reply_method_return(m, "oh", SOURCE_PATH, theirs);
}

static int on_watch(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Fake *)userdata)->n_watch++;
        return sd_bus_reply_method_return(m, "");
}

static int on_unwatch(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Fake *)userdata)->n_unwatch++;
        return sd_bus_reply_method_return(m, "");
}

static int get_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(m, "s", "cam");
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        return sd_bus_message_append(m, "s", fake->state[0] ? fake->state : "idle");
}

static int get_modes(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return codec_append_modes(m, (ModeList){ &fake_mode, 1 });
}

/* empty, as of a source that does not run */
static int get_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(m, "a{sv}", 0);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Resolve", "s", "o", on_resolve, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Publish", "sa{sv}", "oh", on_publish, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Watch", "", "", on_watch, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Unwatch", "", "", on_unwatch, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable source_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Attach", "a{sv}", "hoa{sv}", on_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", "a{sv}", "oa{sv}", on_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Negotiate", "a{sv}", "a{sv}", on_negotiate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Modes", "aa{sv}", get_modes, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Mode", "a{sv}", get_mode, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static int fake_export(Fake *fake) {
        int r = sd_bus_add_object_vtable(fake->bus, NULL, FB_PATH_MANAGER, FB_IFACE_MANAGER, manager_vtable,
                                         fake);

        if (r >= 0)
                r = sd_bus_add_object_vtable(fake->bus, NULL, SOURCE_PATH, FB_IFACE_SOURCE, source_vtable,
                                             fake);
        if (r >= 0)
                r = sd_bus_add_object_vtable(fake->bus, NULL, SUBSCRIPTION_PATH, FB_IFACE_SUBSCRIPTION,
                                             subscription_vtable, fake);
        if (r >= 0)
                r = sd_bus_add_object_manager(fake->bus, NULL, FB_PATH_MANAGER);
        return r;
}

bool fake_start(Fake *fake, const char *address) {
        int r = 0;

        if (!fake->event)
                r = sd_event_new(&fake->event);
        if (r >= 0)
                r = sd_bus_new(&fake->bus);
        if (r >= 0)
                r = sd_bus_set_address(fake->bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(fake->bus, 1);
        if (r >= 0)
                r = sd_bus_start(fake->bus);
        if (r >= 0)
                r = fake_export(fake);
        if (r >= 0)
                r = sd_bus_request_name(fake->bus, FB_BUS_NAME, 0);
        return r >= 0 && sd_bus_attach_event(fake->bus, fake->event, 0) >= 0;
}

void fake_hang_up(Fake *fake) {
        fake->channel = channel_free(fake->channel);
}

static void fake_forget_pages(Fake *fake) {
        for (int i = 0; i < 2; i++) {
                if (!fake->page[i])
                        continue;
                munmap(take_ptr(fake->page[i]), FB_ORDER_PAGE_SIZE);
                fb_close(fake->page_fd[i]);
        }
}

void fake_stop(Fake *fake) {
        fake_hang_up(fake);
        fake->other = channel_free(fake->other);
        fake_forget_pages(fake);
        fake_drop_frames(fake);
        fake->bus = sd_bus_flush_close_unref(fake->bus);
        free(fake->subscriber);
        fake->subscriber = NULL;
}

/* Signals */

int fake_new_signal(Fake *fake, const char *interface, const char *member, sd_bus_message **ret) {
        bool subscription = strcmp(interface, FB_IFACE_SUBSCRIPTION) == 0;
        int r;

        if (fake->channel)
                return sd_bus_message_new_signal(channel_get_bus(fake->channel), ret,
                                                 subscription ? FB_PATH_SUBSCRIPTION : FB_PATH_PUBLICATION,
                                                 interface, member);
        r = sd_bus_message_new_signal(fake->bus, ret, SUBSCRIPTION_PATH, interface, member);
        return r < 0 ? r : sd_bus_message_set_destination(*ret, fake->subscriber);
}

int fake_send_signal(Fake *fake, sd_bus_message *m) {
        return fake->channel ? channel_send(fake->channel, m) : sd_bus_send(fake->bus, m, NULL);
}

int fake_signal(Fake *fake, const char *interface, const char *member, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;
        int r = fake_new_signal(fake, interface, member, &m);

        va_start(ap, types);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        return r < 0 ? r : fake_send_signal(fake, m);
}

#define SWAP(a, b)                                                                                      \
        do {                                                                                            \
                __typeof__(a) _a = a;                                                                   \
                a = b;                                                                                  \
                b = _a;                                                                                 \
        } while (0)

void fake_swap(Fake *fake) {
        SWAP(fake->channel, fake->other);
        SWAP(fake->page[0], fake->page[1]);
        SWAP(fake->page_fd[0], fake->page_fd[1]);
}

int fake_commit(Fake *fake, uint64_t order, bool rings) {
        if (fake->channel)
                __atomic_store_n(&fake->page[0]->committed, order, __ATOMIC_RELEASE);
        if (!rings)
                return 0;
        if (fake->channel)
                return fake_signal(fake, FB_IFACE_SUBSCRIPTION, "Committed", "t", order);
        return sd_bus_emit_signal(fake->bus, fake->commits, FB_IFACE_SUBSCRIPTION, "Committed", "t", order);
}

int fake_format(Fake *fake, uint32_t format) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = fake_new_signal(fake, FB_IFACE_SUBSCRIPTION, "FormatChanged", &m);

        if (r >= 0)
                r = codec_append_format(m, 1, format, &fake_mode);
        fake->format = format;
        return r < 0 ? r : fake_send_signal(fake, m);
}

int fake_frame_fd(Fake *fake, uint64_t seq, int fd_consume, uint64_t size) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_close_ int fd = fd_consume;
        Frame f = { .seq = seq,
                    .order = seq,
                    .pts_ns = clock_now_ns(),
                    .format = fake->format,
                    .flags = fake->flags | fake->memory << FB_FRAME_MEMORY_SHIFT,
                    .meta = { .present = fake->buffer > 0 ? FRAME_META_BUFFER : 0, .buffer = fake->buffer },
                    .n_fds = 1,
                    .n_planes = 1,
                    .fds = { fd },
                    .planes = { { 0, FAKE_WIDTH * 2, 0, size } } };
        int r = fd < 0 ? fd : fake_new_signal(fake, FB_IFACE_SUBSCRIPTION, "Frame", &m);

        if (r >= 0)
                r = codec_append_frame(m, &f, 0);
        return r < 0 ? r : fake_send_signal(fake, m);
}

int fake_frame(Fake *fake, uint64_t seq) {
        char data[FAKE_SIZE];

        memset(data, (int)seq, sizeof data);
        return fake_frame_fd(fake, seq, memfd_new_sealed("fake", data, sizeof data), sizeof data);
}
