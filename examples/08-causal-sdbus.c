/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Order that others can rely on, in plain sd-bus: order=causal, see ORDER in org.framebus(5). Two of this are
 * a detector that calls Keep for each frame, and a recorder that has it by then: always, on a channel and on
 * the bus, though nobody waits for anybody. What to look at in a frame is in 01-subscribe-sdbus.c.
 * Run: 08-causal-sdbus [--frames N] [--bus] [--tell NAME] SOURCE   (NAME: what the other one prints first)
 * Prints "frame ORDER", "keep ORDER: have it" or "keep ORDER: not here". Status 0 after N frames.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define IFACE "org.framebus.Subscription1"

static sd_bus *bus, *from;                       /* from: where frames come, the bus or a channel */
static const char *broker, *path, *tell;         /* broker: NULL on a channel */
static const struct { _Atomic uint64_t committed; uint32_t version; } *page; /* on a channel */
static uint64_t told, last, frames_left = 100;   /* told: on the bus, the newest Committed */
static sd_bus_message *kept[64];                 /* staged: not to be believed yet; as they came */
static unsigned int n_kept;
static sd_event *event;
static sd_bus_error error = SD_BUS_ERROR_NULL;

static int check(int r) {
        if (r < 0)
                errx(1, "%s", error.message ? error.message : strerror(-r));
        return r;
}

/* What has none of its own, Lost or a replayed frame, waits only for what came before it. */
static uint64_t order_of(sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);
        uint64_t order = 0;

        if (strcmp(member, "Frame") == 0)
                sd_bus_message_read(m, "tt", NULL, &order);
        else if (strcmp(member, "FormatChanged") == 0 || strcmp(member, "Ended") == 0)
                sd_bus_message_read(m, "t", &order);
        sd_bus_message_rewind(m, 1);
        return order;
}

static void use(sd_bus_message *m) {
        uint64_t seq, order;

        if (strcmp(sd_bus_message_get_member(m), "Ended") == 0)
                sd_event_exit(event, 1);
        if (strcmp(sd_bus_message_get_member(m), "Frame") != 0 || frames_left == 0)
                return;
        sd_bus_message_read(m, "tt", &seq, &order);
        sd_bus_call_method_async(from, NULL, broker, path, IFACE, "Release", NULL, NULL, "at", 1, seq);
        if (order == 0)
                return;
        printf("frame %" PRIu64 "\n", last = order);
        if (tell) /* our act: all others were sent the frame before we were told that it is there */
                sd_bus_call_method_async(bus, NULL, tell, "/recorder", "org.framebus.Example", "Keep", NULL,
                                         NULL, "t", order);
        if (--frames_left == 0)
                sd_event_exit(event, 0);
}

static uint64_t committed(void) {
        return page ? page->committed : told; /* C11 reads an atomic with at least acquire */
}

static void use_kept(uint64_t up_to) {
        while (n_kept > 0 && order_of(kept[0]) <= up_to) {
                sd_bus_message *m = kept[0];

                memmove(kept, kept + 1, --n_kept * sizeof *kept);
                use(m);
                sd_bus_message_unref(m);
        }
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected")) {
                use_kept(committed()); /* what is more was not sent to everybody, and never will be */
                return sd_event_exit(event, 1);
        }
        if (!sd_bus_message_is_signal(m, IFACE, NULL) ||
            (broker && strcmp(sd_bus_message_get_sender(m), broker) != 0))
                return 0;
        if (sd_bus_message_is_signal(m, IFACE, "Committed"))
                sd_bus_message_read(m, "t", &told);
        else if (n_kept < 64) /* more than a window, with what comes between */
                kept[n_kept++] = sd_bus_message_ref(m);
        use_kept(committed());
        return 1;
}

/* The heart of it, with a channel: before anything of the bus, what was in the channel when that was sent.
 * Here a filter is enough. Replies to calls that wait for them would come ahead of filters: the same is to be
 * done there. */
static int on_bus(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        uint64_t up_to = committed();

        while (check(sd_bus_process(from, NULL)) > 0)
                ; /* never waits: all up to there was in the socket before it was committed */
        use_kept(up_to);
        return 0;
}

static int on_keep(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        uint64_t order;

        sd_bus_message_read(m, "t", &order);
        printf("keep %" PRIu64 ": %s\n", order, order <= last ? "have it" : "not here");
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable recorder[] = { SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Keep", "t", "", on_keep, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END };

/* A connection without a bus. The broker is silent until it is asked where to look what is committed. */
static void begin_channel(sd_bus_message *m) {
        sd_bus_message *reply;
        int fd;

        check(sd_bus_message_read(m, "ho", &fd, &path));
        check(sd_bus_new(&from));
        fd = check(fcntl(fd, F_DUPFD_CLOEXEC, 3));
        check(sd_bus_set_fd(from, fd, fd));
        check(sd_bus_negotiate_fds(from, 1));
        check(sd_bus_start(from));
        check(sd_bus_call_method(from, NULL, path, IFACE, "GetOrder", &error, &reply, NULL));
        check(sd_bus_message_read(reply, "h", &fd));
        page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED || page->version != 1)
                errx(1, "no page");
        sd_bus_message_unref(reply);
        check(sd_bus_add_filter(from, NULL, on_signal, NULL));
        check(sd_bus_add_filter(bus, NULL, on_bus, NULL));
        check(sd_bus_attach_event(from, event, 0));
}

/* As signals. The broker is silent until it is told that we listen where it says what is committed. */
static void begin_bus(sd_bus_message *m) {
        const char *key, *commits = NULL;
        char match[256];

        check(sd_bus_message_read(m, "o", &path));
        check(sd_bus_message_enter_container(m, 'a', "{sv}"));
        for (; sd_bus_message_enter_container(m, 'e', "sv") > 0; sd_bus_message_exit_container(m)) {
                check(sd_bus_message_read(m, "s", &key));
                if (strcmp(key, "commits") == 0)
                        check(sd_bus_message_read(m, "v", "o", &commits));
                else
                        check(sd_bus_message_skip(m, "v"));
        }
        from = bus;
        broker = sd_bus_message_get_sender(m);
        check(sd_bus_add_filter(bus, NULL, on_signal, NULL));
        snprintf(match, sizeof match, "type='signal',sender='%s',path='%s'", broker, commits);
        check(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                 "AddMatch", &error, NULL, "s", match));
        check(sd_bus_call_method(bus, broker, path, IFACE, "SetOptions", &error, NULL, "a{sv}", 1, "commits",
                                 "o", commits));
}

int main(int argc, char **argv) {
        static sd_bus_message *resolved, *m; /* what they say is used to the end */
        const char *name, *method = "Attach", *source;
        int i = 1;

        setlinebuf(stdout);
        for (; i < argc - 1; i++)
                if (strcmp(argv[i], "--bus") == 0)
                        method = "Subscribe";
                else if (strcmp(argv[i], "--frames") == 0)
                        frames_left = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--tell") == 0)
                        tell = argv[++i];
        if (i != argc - 1)
                errx(2, "usage: [--frames N] [--bus] [--tell NAME] SOURCE");
        check(sd_event_default(&event));
        check(sd_bus_open_user(&bus));
        check(sd_bus_get_unique_name(bus, &name));
        puts(name);
        check(sd_bus_add_object_vtable(bus, NULL, "/recorder", "org.framebus.Example", recorder, NULL));
        check(sd_bus_call_method(bus, "org.framebus", "/org/framebus", "org.framebus.Manager1", "Resolve",
                                 &error, &resolved, "s", argv[i]));
        check(sd_bus_message_read(resolved, "o", &source));
        check(sd_bus_call_method(bus, "org.framebus", source, "org.framebus.Source1", method, &error, &m,
                                 "a{sv}", 2, "order", "s", "causal", "window", "u", 16));
        if (method[0] == 'A')
                begin_channel(m);
        else
                begin_bus(m);
        check(sd_bus_attach_event(bus, event, 0));
        return check(sd_event_loop(event));
}
