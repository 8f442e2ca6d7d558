/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a subscription comes about, by each of the three ways.
 *
 * Invariants: signals on the bus count only from the unique name that answered Subscribe; a channel gets no
 * Hello, and no bus connection's privileges. It deliberately does no AddMatch for signals: directed signals
 * need none.
 */

#include "tests/bus/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "tests/bus/client/json.h"

void client_error(Client *c, const Sub *s, const char *what, const sd_bus_error *error, int r) {
        bool named = sd_bus_error_is_set(error);

        json_begin("error");
        if (s && c->config.count > 1)
                json_u64("sub", s->index);
        json_string("call", what);
        json_string("name", named ? error->name : NULL);
        json_string("message", named ? error->message : strerror(-r));
        json_end();
        c->status = 3;
}

void client_check_done(Client *c) {
        for (unsigned int i = 0; i < c->config.count; i++)
                if (!c->subs[i].done)
                        return;
        sd_event_exit(c->event, 0);
}

/* The bus */

static Sub *client_find(Client *c, const char *path) {
        for (unsigned int i = 0; i < c->config.count; i++)
                if (c->subs[i].path && c->subs[i].bus == c->bus && strcmp(c->subs[i].path, path) == 0)
                        return &c->subs[i];
        return NULL;
}

static int on_bus_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Client *c = userdata;
        Sub *s;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected")) {
                json_begin("disconnected");
                json_string("what", "bus");
                json_end();
                if (c->config.transport == TRANSPORT_BUS || c->config.no_open)
                        sd_event_exit(c->event, 0);
                return 0;
        }
        if (!sd_bus_message_is_signal(m, FB_IFACE_SUBSCRIPTION, NULL))
                return 0;
        s = client_find(c, sd_bus_message_get_path(m));
        if (!s)
                s = order_find(c, sd_bus_message_get_path(m));
        if (s && strcmp(s->owner, sd_bus_message_get_sender(m)) == 0)
                order_on_signal(s, m);
        else {
                json_begin("stray");
                json_string("member", sd_bus_message_get_member(m));
                json_string("path", sd_bus_message_get_path(m));
                json_string("sender", sd_bus_message_get_sender(m));
                json_end();
        }
        return 1;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Client *c = userdata;
        const char *name, *from, *to;

        if (sd_bus_message_read(m, "sss", &name, &from, &to) < 0)
                return 0;
        json_begin("owner");
        json_string("from", from);
        json_string("to", to);
        json_end();
        for (unsigned int i = 0; i < c->config.count; i++)
                if (c->subs[i].owner && c->subs[i].bus == c->bus && strcmp(c->subs[i].owner, from) == 0)
                        sub_disconnected(&c->subs[i], "owner");
        return 0;
}

static int client_resolve(Client *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;
        int r;

        if (c->config.source[0] == '/') {
                c->source_path = strdup(c->config.source);
                return c->source_path ? 0 : -ENOMEM;
        }
        r = sd_bus_call_method(c->bus, c->config.destination, FB_PATH_MANAGER, FB_IFACE_MANAGER, "Resolve",
                               &error, &reply, "s", c->config.source);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0) {
                client_error(c, NULL, "Resolve", &error, r);
                return r;
        }
        c->source_path = strdup(path);
        return c->source_path ? 0 : -ENOMEM;
}

static int bus_open(Client *c) {
        int r;

        r = sd_bus_new(&c->bus);
        if (r >= 0)
                r = sd_bus_set_address(c->bus, c->config.address);
        if (r >= 0)
                r = sd_bus_set_bus_client(c->bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(c->bus, !c->config.no_fd_passing);
        if (r >= 0)
                r = sd_bus_start(c->bus);
        if (r >= 0)
                r = sd_bus_add_filter(c->bus, NULL, on_bus_message, c);
        return r;
}

int client_connect(Client *c) {
        _cleanup_free_ char *match = NULL;
        int r;

        if (asprintf(&match,
                     "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                     "member='NameOwnerChanged',arg0='%s'",
                     c->config.destination) < 0)
                return -ENOMEM;
        r = bus_open(c);
        if (r >= 0)
                r = sd_bus_add_match(c->bus, NULL, match, on_owner_changed, c);
        if (r < 0) {
                client_error(c, NULL, "connect", NULL, r);
                return r;
        }
        return client_resolve(c);
}

/* A channel */

static int on_channel_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Sub *s = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
                sub_disconnected(s, "channel");
        else if (sd_bus_message_is_signal(m, FB_IFACE_SUBSCRIPTION, NULL) &&
                 strcmp(sd_bus_message_get_path(m), s->path) == 0)
                order_on_signal(s, m);
        else
                return 0;
        return 1;
}

static int channel_open(Sub *s, int fd_consume) {
        _cleanup_close_ int fd = fd_consume;
        int r;

        r = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : sd_bus_new(&s->bus);
        if (r >= 0)
                r = sd_bus_set_fd(s->bus, fd, fd);
        if (r < 0)
                return r;
        take_fd(fd);
        r = sd_bus_negotiate_fds(s->bus, !s->client->config.channel_no_fd_passing);
        if (r >= 0)
                r = sd_bus_add_filter(s->bus, NULL, on_channel_message, s);
        if (r >= 0)
                r = sd_bus_start(s->bus);
        if (r >= 0)
                r = sd_bus_attach_event(s->bus, s->client->event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}

/* The reply of Subscribe, Attach or AttachTo. */

static int sub_adopt(Sub *s, sd_bus_message *m) {
        Client *c = s->client;
        const char *path;
        int r, fd = -1;

        if (c->config.transport == TRANSPORT_PEER) {
                r = sd_bus_message_read(m, "h", &fd);
                if (r < 0)
                        return r;
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (fd < 0)
                        return -errno;
        } else if (c->config.transport == TRANSPORT_PEER_OWN_SOCKET)
                fd = take_fd(s->channel_fd);
        s->channel_fd = fd;
        r = sd_bus_message_read(m, "o", &path);
        if (r < 0)
                return r;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        if (c->config.transport == TRANSPORT_BUS) {
                s->bus = sd_bus_ref(c->bus);
                s->owner = strdup(sd_bus_message_get_sender(m));
                if (!s->owner)
                        return -ENOMEM;
        }
        return sub_read_granted(s, m, sd_bus_message_get_signature(m, true)[0] == 'h' ? "Attach" : "reply");
}

static int on_attached(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Sub *s = userdata;
        Client *c = s->client;
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                client_error(c, s, "subscribe", sd_bus_message_get_error(m), 0);
                s->done = true;
                client_check_done(c);
                return 0;
        }
        if (c->config.negotiate) {
                r = sub_read_granted(s, m, "Negotiate");
                s->done = true;
                client_check_done(c);
                return r;
        }
        r = sub_adopt(s, m);
        if (r >= 0 && s->channel_fd >= 0 && !c->config.no_open)
                r = channel_open(s, take_fd(s->channel_fd));
        if (r >= 0)
                r = order_begin(s);
        if (r < 0) {
                client_error(c, s, "adopt", NULL, r);
                s->done = true;
                client_check_done(c);
        }
        return 0;
}

static int sub_new_request(Sub *s, sd_bus_message **ret) {
        static const char *const methods[] = {"Subscribe", "Attach", "AttachTo"};
        Client *c = s->client;
        int r, pair[2];

        r = sd_bus_message_new_method_call(c->bus, ret, c->config.destination, c->source_path,
                                           FB_IFACE_SOURCE,
                                           c->config.negotiate ? "Negotiate" : methods[c->config.transport]);
        if (r < 0)
                return r;
        if (c->config.transport == TRANSPORT_PEER_OWN_SOCKET && !c->config.negotiate) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                        return -errno;
                s->channel_fd = pair[0];
                r = sd_bus_message_append(*ret, "h", pair[1]);
                fb_close(pair[1]);
                if (r < 0)
                        return r;
        }
        return options_append(*ret, &c->config.options);
}

int client_attach(Client *c) {
        for (unsigned int i = 0; i < c->config.count; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                int r;

                r = sub_new_request(&c->subs[i], &m);
                if (r >= 0)
                        r = sd_bus_call_async(c->bus, NULL, m, on_attached, &c->subs[i], 0);
                if (r < 0) {
                        client_error(c, &c->subs[i], "subscribe", NULL, r);
                        return r;
                }
        }
        return 0;
}

/* Calls without end whose replies, each with a descriptor, stay unread. */
int client_flood(Client *c) {
        sigset_t set;

        for (unsigned int i = 0; i < c->config.flood; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
                int r;

                r = sub_new_request(&c->subs[0], &m);
                if (r >= 0)
                        r = sd_bus_call_async(c->bus, NULL, m, on_attached, &c->subs[0], UINT64_MAX);
                if (r < 0)
                        return r;
        }
        sigfillset(&set);
        sigprocmask(SIG_UNBLOCK, &set, NULL); /* the flush may take for ever */
        json_begin("flooded");
        json_u64("calls", c->config.flood);
        json_end();
        return sd_bus_flush(c->bus);
}
