/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection and the loop.
 *
 * Signals: the handler sets a flag and writes to an eventfd that the loop polls; without SA_RESTART, so that
 * a write that waits ends as well. A second signal of the kind ends the program the hard way.
 */
#include "tools/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/wire.h"
#include "tools/text.h"

static bool interrupted;
static int interrupt_fd = -1;

static void on_signal(int sig) {
        int saved = errno;
        uint64_t one = 1;

        interrupted = true;
        (void)!write(interrupt_fd, &one, sizeof(one));
        errno = saved;
}

static int signals_catch(void) {
        struct sigaction end = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (interrupt_fd < 0)
                return -errno;
        sigaction(SIGINT, &end, NULL);
        sigaction(SIGTERM, &end, NULL);
        sigaction(SIGHUP, &end, NULL);
        sigaction(SIGPIPE, &ignore, NULL);
        return 0;
}

bool client_is_interrupted(void) {
        return __atomic_load_n(&interrupted, __ATOMIC_RELAXED);
}

void client_message(const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&text, format, args) < 0)
                text = NULL;
        va_end(args);

        fflush(stdout);
        fputs("framebusctl: ", stderr);
        text_print(stderr, text ? text : "no memory");
        putc('\n', stderr);
}

static int open_failed(const Options *o, int r) {
        if (r == -ENOMEDIUM && o->address)
                client_message("there is no %s bus here. Start it, or name another one with --address",
                               o->address);
        else if (r == -ENOMEDIUM)
                client_message("there is no bus: neither a system nor a session bus was found. Start one "
                               "(dbus-run-session makes a session bus for one command), or name one with "
                               "--address or in DBUS_SESSION_BUS_ADDRESS or FRAMEBUS_ADDRESS");
        else if (r == -EINVAL)
                client_message("%s is no D-Bus address, which looks like unix:path=/run/user/1000/bus",
                               o->address ? o->address : "what FRAMEBUS_ADDRESS says");
        else
                client_message("cannot connect to %s%s: %s. Is it running, and may you use it?",
                               o->address ? "the bus at " : "a bus", o->address ? o->address : "",
                               strerror(-r));
        return r == -EINVAL && o->address ? STATUS_USAGE : STATUS_NO_BROKER;
}

int client_open(Client *c, const Options *o, const char *source) {
        int r;

        *c = (Client){ .options = o, .source = source, .deadline_ns = UINT64_MAX, .tick_ns = UINT64_MAX,
                        .interrupt_status = STATUS_FAILED, .output_fd = -1 };
        if (source && !fb_source_name_is_valid(source)) {
                client_message("%s is no name of a source: 1 to 64 letters, digits and . _ : -, no dot in "
                               "front. `framebusctl list` shows the names",
                               source);
                return STATUS_USAGE;
        }

        r = signals_catch();
        if (r < 0) {
                client_message("cannot watch for signals: %s", strerror(-r));
                return STATUS_FAILED;
        }
        r = framebus_open(&c->fb, o->address);
        if (r < 0)
                return open_failed(o, r);
        return STATUS_OK;
}

void client_close(Client *c) {
        c->fb = framebus_close(c->fb);
        interrupt_fd = fb_close(interrupt_fd);
}

void client_finish(Client *c, int status) {
        if (c->done)
                return;
        c->done = true;
        c->status = status;
}

void client_wait_for(Client *c, const char *what, uint64_t default_ns) {
        uint64_t wait_ns = c->options->has_timeout ? c->options->timeout_ns : default_ns;

        c->waiting_for = what;
        c->deadline_ns = wait_ns > 0 ? clock_now_ns() + wait_ns : UINT64_MAX;
}

/* Waits for whatever comes first, or not at all. Returns 0 or a negative errno. */
static int client_poll(Client *c, bool wait) {
        struct pollfd fds[3] = { { .fd = interrupt_fd, .events = POLLIN },
                                 { .fd = c->output_fd, .events = POLLOUT } };
        uint64_t now, until = FB_MIN(c->deadline_ns, c->tick_ns);
        struct timespec ts;
        int events;

        events = framebus_get_events(c->fb);
        if (events < 0)
                return events;
        fds[2] = (struct pollfd){ .fd = framebus_get_fd(c->fb), .events = (short)events };

        until = FB_MIN(until, framebus_get_timeout(c->fb));
        now = clock_now_ns();
        until = wait && until > now ? FB_MIN(until - now, 3600 * NSEC_PER_SEC) : 0;
        ts = (struct timespec){ (time_t)(until / NSEC_PER_SEC), (long)(until % NSEC_PER_SEC) };
        if (ppoll(fds, FB_ELEMENTSOF(fds), &ts, NULL) < 0)
                return errno == EINTR ? 0 : -errno;
        if (fds[1].revents)
                c->on_output(c, c->userdata);
        return 0;
}

static void client_check_clock(Client *c) {
        uint64_t now = clock_now_ns();

        if (now >= c->tick_ns) {
                c->tick_ns = UINT64_MAX;
                c->on_tick(c, now, c->userdata);
        }
        if (!c->done && now >= c->deadline_ns) {
                client_message("%s did not come in time. %s", c->waiting_for,
                               c->source ? "`framebusctl show` of the source tells its state; --timeout "
                                           "waits longer"
                                         : "--timeout waits longer");
                client_finish(c, STATUS_TIMED_OUT);
        }
}

int client_run(Client *c) {
        while (!c->done) {
                int r = framebus_process(c->fb);

                if (r < 0) {
                        if (r == -ENOTCONN || r == -ECONNRESET)
                                client_message("the bus is gone");
                        else
                                client_message("the connection to the bus failed: %s", strerror(-r));
                        client_finish(c, STATUS_NO_BROKER);
                }
                if (client_is_interrupted())
                        client_finish(c, c->interrupt_status);
                if (!c->done)
                        client_check_clock(c);
                if (!c->done) {
                        r = client_poll(c, r == 0);
                        if (r < 0)
                                client_fail_errno(c, r, "cannot wait for the bus");
                }
        }
        return c->status;
}

void client_check_output(Client *c, int r) {
        if (r == -EPIPE)
                client_finish(c, STATUS_OK);
        else if (r < 0 && !c->done)
                client_fail_errno(c, r, "cannot write to standard output");
}
