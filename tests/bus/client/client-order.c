/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * order=causal: what is staged is kept until it is committed, and what the broker promises is checked: the
 * page cannot be written, says no less than Committed, and what is committed is there: after a look at the
 * commit and at everything that waits in a channel nothing may come there any more that is not newer.
 *
 * It deliberately does not hold back anything else: what others do about frames is not its business.
 */
#include "tests/bus/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "tests/bus/client/json.h"

static void order_begin_event(const Sub *s, const char *event) {
        json_begin(event);
        if (s->client->config.count > 1)
                json_u64("sub", s->index);
}

/* Each way in which one who is passed the page could try to write to it. */
static const char *page_attack(int fd, void *map) {
        char path[64];
        int again;

        if (mmap(NULL, FB_ORDER_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
                return "the page can be mapped for writing";
        if (mprotect(map, FB_ORDER_PAGE_SIZE, PROT_READ | PROT_WRITE) == 0)
                return "the page can be made writable";
        if (pwrite(fd, "x", 1, 0) >= 0)
                return "the page can be written";
        if (ftruncate(fd, 0) == 0 || ftruncate(fd, 2 * FB_ORDER_PAGE_SIZE) == 0)
                return "the page can be cut or made longer";
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, FB_ORDER_PAGE_SIZE) == 0)
                return "a hole can be made in the page";
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0)
                return "the page can be sealed";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        again = open(path, O_RDWR | O_CLOEXEC);
        if (again >= 0 &&
            (mmap(NULL, FB_ORDER_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) != MAP_FAILED ||
             pwrite(again, "x", 1, 0) >= 0))
                return "the page can be opened again and written";
        fb_close(again);
        return NULL;
}

static uint64_t get_committed(const Sub *s) {
        uint64_t page = s->page ? __atomic_load_n(&s->page->committed, __ATOMIC_ACQUIRE) : 0;

        return page > s->told ? page : s->told;
}

/* 0: none, it waits for what came before it alone. */
static uint64_t order_of(sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);
        uint64_t order = 0;

        if (strcmp(member, "Frame") == 0)
                (void)sd_bus_message_read(m, "tt", NULL, &order);
        else if (strcmp(member, "FormatChanged") == 0 || strcmp(member, "Ended") == 0)
                (void)sd_bus_message_read(m, "t", &order);
        (void)sd_bus_message_rewind(m, true);
        return order;
}

static void deliver(Sub *s) {
        while (s->n_kept > 0 && (s->client->config.no_gate || order_of(s->kept[0]) <= get_committed(s))) {
                sd_bus_message *m = s->kept[0];

                memmove(s->kept, s->kept + 1, --s->n_kept * sizeof s->kept[0]);
                sub_on_signal(s, m);
                sd_bus_message_unref(m);
        }
}

/* A look at the commit, then at everything that waits in a channel: what comes later has to be newer. Not if
 * @s is being dispatched. */
static void look_at(Sub *s) {
        uint64_t before = get_committed(s);
        int r;

        while ((r = sd_bus_process(s->bus, NULL)) > 0)
                ;
        if (r == 0 && before > s->looked)
                s->looked = before;
}

static void on_committed(Sub *s, sd_bus_message *m) {
        Client *c = s->client;
        uint64_t order;

        if (sd_bus_message_read(m, "t", &order) < 0 || order < s->told || (order == s->told && !s->former[0]))
                sub_problem(s, "Committed does not grow");
        else
                s->told = order;
        if (s->page && __atomic_load_n(&s->page->committed, __ATOMIC_ACQUIRE) < s->told)
                sub_problem(s, "the page is behind Committed");
        if (!c->config.quiet) {
                order_begin_event(s, "committed");
                json_u64("order", order);
                json_end();
        }
        s->looked = s->told;
        for (unsigned int i = 0; i < c->config.count; i++) { /* it is one for all of the source */
                Sub *other = &c->subs[i];

                if (other->page)
                        look_at(other);
                else if (other->bus == s->bus)
                        other->told = other->looked = s->told;
                deliver(other);
        }
}

/* The old match stays: there is a moment when it is told at both. */
static void on_moved(Sub *s, sd_bus_message *m) {
        const char *path;

        if (sd_bus_message_read(m, "o", &path) < 0) {
                sub_problem(s, "CommitsMoved does not have its signature");
                return;
        }
        order_begin_event(s, "moved");
        json_string("path", path);
        json_end();
        if (strcmp(path, s->commits) != 0)
                snprintf(s->former, sizeof s->former, "%s", s->commits);
        if (!s->client->config.no_answer && order_listen(s, path) < 0)
                sub_problem(s, "cannot listen at another path");
}

void order_on_signal(Sub *s, sd_bus_message *m) {
        uint64_t order = order_of(m);

        if (!s->causal) {
                sub_on_signal(s, m);
                return;
        }
        if (s->silent && order > 0 && strcmp(sd_bus_message_get_member(m), "Ended") != 0)
                sub_problem(s, "a signal before it was asked for");
        if (strcmp(sd_bus_message_get_member(m), "Committed") == 0) {
                on_committed(s, m);
                return;
        }
        if (strcmp(sd_bus_message_get_member(m), "CommitsMoved") == 0) {
                on_moved(s, m);
                return;
        }
        if (order > 0 && order <= s->looked)
                sub_problem(s, "what was committed came later");
        if (order > 0 && !s->client->config.quiet) {
                order_begin_event(s, "staged");
                json_string("member", sd_bus_message_get_member(m));
                json_u64("order", order);
                json_end();
        }
        if (s->n_kept == KEPT_MAX)
                sub_problem(s, "more is staged than a window");
        else
                s->kept[s->n_kept++] = sd_bus_message_ref(m);
        deliver(s);
}

Sub *order_find(Client *c, const char *path) {
        for (unsigned int i = 0; i < c->config.count; i++)
                if ((c->subs[i].commits[0] && strcmp(c->subs[i].commits, path) == 0) ||
                    (c->subs[i].former[0] && strcmp(c->subs[i].former, path) == 0))
                        return &c->subs[i];
        return NULL;
}

void order_disconnected(Sub *s) {
        if (!s->causal)
                return;
        deliver(s);
        order_begin_event(s, "dropped");
        json_u64("count", s->n_kept);
        json_end();
        while (s->n_kept > 0)
                sd_bus_message_unref(s->kept[--s->n_kept]);
}

/* Where to look */

static int on_page(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *problem;
        Sub *s = userdata;
        void *map;
        int fd;

        if (sd_bus_message_is_method_error(m, NULL)) {
                client_error(s->client, s, "GetOrder", sd_bus_message_get_error(m), 0);
                return 0;
        }
        s->silent = false;
        if (sd_bus_message_read(m, "h", &fd) < 0)
                return -EBADMSG;
        map = mmap(NULL, FB_ORDER_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        s->page = map;
        problem = page_attack(fd, map);
        if (problem)
                sub_problem(s, problem);
        for (const char *p = (char *)map + sizeof *s->page; p < (char *)map + FB_ORDER_PAGE_SIZE; p++)
                if (*p)
                        sub_problem(s, "the rest of the page is not zero");
        order_begin_event(s, "page");
        json_u64("committed", get_committed(s));
        json_u64("version", s->page->version);
        json_end();
        return 0;
}

/* The answer to SetOptions, which is there before the first signal. */
static int on_listening(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Sub *s = userdata;

        s->silent = false;
        if (sd_bus_message_is_method_error(m, NULL))
                client_error(s->client, s, "SetOptions", sd_bus_message_get_error(m), 0);
        return 0;
}

int order_listen(Sub *s, const char *path) {
        char match[256];
        int r;

        if (path != s->commits)
                snprintf(s->commits, sizeof s->commits, "%s", path);
        snprintf(match, sizeof match, "type='signal',sender='%s',path='%s',member='Committed'", s->owner,
                 path);
        r = sd_bus_call_method_async(s->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "AddMatch", NULL, NULL, "s", match);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(s->bus, NULL, s->owner, s->path, FB_IFACE_SUBSCRIPTION, "SetOptions",
                                        on_listening, s, "a{sv}", 1, FB_KEY_COMMITS, "o", path);
}

int order_begin(Sub *s) {
        if (!s->causal)
                return 0;
        s->silent = true;
        if (s->client->config.no_order || s->client->config.no_open)
                return 0;
        if (s->owner)
                return order_listen(s, s->commits);
        return sd_bus_call_method_async(s->bus, NULL, NULL, s->path, FB_IFACE_SUBSCRIPTION, "GetOrder",
                                        on_page, s, NULL);
}

void order_end(Sub *s) {
        while (s->n_kept > 0)
                sd_bus_message_unref(s->kept[--s->n_kept]);
        if (s->page)
                (void)munmap((void *)s->page, FB_ORDER_PAGE_SIZE);
        s->page = NULL;
}
