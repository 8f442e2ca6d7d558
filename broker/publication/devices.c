/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A list of the names videoN that were told, kept in step with the folder by inotify. Events name what
 * happened; after an overflow of their queue the folder is read again and compared with the list. The first
 * reading is the same, deferred: whatever changes between the watch and the reading is told by an event as
 * well, and told twice does no harm.
 *
 * A handler may free the object in any call: `alive` points to the stack of whoever is calling it.
 * It does not tell capture nodes from others (metadata nodes, say): only an open node says that, and opening
 * is the capture program's part.
 */
#include "broker/publication/devices.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/cleanup.h"
#include "base/list.h"

typedef struct Node {
        List link; // Devices::nodes, by number
        unsigned number;
        bool seen; /* by the reading that is under way */
} Node;

struct Devices {
        const DevicesHandler *handler;
        void *userdata;
        char *folder;
        List nodes; // Node::link
        sd_event_source *inotify, *scan;
        bool *alive;
};

/* "video" and a number as the kernel writes it. */
static bool name_parse(const char *name, unsigned *ret_number) {
        unsigned n = 0;

        if (strncmp(name, "video", 5) != 0)
                return false;
        name += 5;
        if (!*name || (*name == '0' && name[1]) || strlen(name) > 4)
                return false;
        for (; *name; name++) {
                if (*name < '0' || *name > '9')
                        return false;
                n = n * 10 + (unsigned)(*name - '0');
        }
        *ret_number = n;
        return true;
}

static Node *devices_find(Devices *d, unsigned number) {
        Node *n;

        list_for_each(n, &d->nodes, link)
                if (n->number == number)
                        return n;
        return NULL;
}

/* Returns NULL without memory: the node is told nevertheless, and will be at its next change. */
static Node *devices_add(Devices *d, unsigned number) {
        Node *n = devices_find(d, number), *next;

        if (n)
                return n;
        n = calloc(1, sizeof *n);
        if (!n)
                return NULL;
        n->number = number;
        list_for_each(next, &d->nodes, link)
                if (next->number > number)
                        break;
        list_append(&next->link, &n->link); /* before it; at the end if there was none */
        return n;
}

/* False: the object is gone. */
static bool devices_tell_appeared(Devices *d, unsigned number) {
        _cleanup_free_ char *path = NULL;
        bool alive = true;

        if (asprintf(&path, "%s/video%u", d->folder, number) < 0) {
                path = NULL;
                return true;
        }
        d->alive = &alive;
        d->handler->appeared(path, strrchr(path, '/') + 1, d->userdata);
        if (alive)
                d->alive = NULL;
        return alive;
}

static bool devices_remove(Devices *d, Node *n) {
        _cleanup_free_ char *path = NULL;
        unsigned number = n->number;
        bool alive = true;

        list_remove(&n->link);
        free(n);
        if (asprintf(&path, "%s/video%u", d->folder, number) < 0) {
                path = NULL;
                return true;
        }
        d->alive = &alive;
        d->handler->vanished(path, d->userdata);
        if (alive)
                d->alive = NULL;
        return alive;
}

/* The next node from *@number on that was, or was not, seen. By number, since a handler ran after the one
 * before. */
static Node *devices_next(Devices *d, unsigned *number, bool seen) {
        Node *n;

        list_for_each(n, &d->nodes, link)
                if (n->number >= *number && n->seen == seen) {
                        *number = n->number + 1;
                        return n;
                }
        return NULL;
}

/* False: it could not be read, for want of a file descriptor, say: then nothing is known to be gone. */
static bool devices_read_folder(Devices *d) {
        DIR *dir = opendir(d->folder);
        struct dirent *e;
        unsigned number;
        Node *n;

        if (!dir)
                return errno == ENOENT;
        list_for_each(n, &d->nodes, link)
                n->seen = false;
        while ((e = readdir(dir))) {
                n = name_parse(e->d_name, &number) ? devices_add(d, number) : NULL;
                if (n)
                        n->seen = true;
        }
        closedir(dir);
        return true;
}

static int on_scan(sd_event_source *s, void *userdata) {
        Devices *d = userdata;
        unsigned number = 0;
        bool alive = true;
        Node *n;

        if (!devices_read_folder(d))
                return 0;
        while (alive && (n = devices_next(d, &number, false)))
                alive = devices_remove(d, n);
        number = 0;
        while (alive && (n = devices_next(d, &number, true)))
                alive = devices_tell_appeared(d, n->number);
        return 0;
}

static int on_inotify(sd_event_source *s, const struct inotify_event *e, void *userdata) {
        Devices *d = userdata;
        unsigned number;
        Node *n;

        if (e->mask & IN_Q_OVERFLOW)
                return sd_event_source_set_enabled(d->scan, SD_EVENT_ONESHOT);
        if (e->len == 0 || !name_parse(e->name, &number))
                return 0;
        if (e->mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)) {
                devices_add(d, number);
                devices_tell_appeared(d, number);
                return 0;
        }
        n = devices_find(d, number);
        if (n)
                devices_remove(d, n);
        return 0;
}

int devices_new(sd_event *event, const char *folder, const DevicesHandler *handler, void *userdata,
                Devices **ret) {
        _cleanup_(devices_freep) Devices *d = malloc(sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        *d = (Devices){ .handler = handler, .userdata = userdata, .folder = strdup(folder ?: "/dev") };
        list_init(&d->nodes);
        if (!d->folder)
                return -ENOMEM;
        r = sd_event_add_inotify(event, &d->inotify, d->folder,
                                 IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB | IN_ONLYDIR,
                                 on_inotify, d);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(d->inotify, "devices");
        r = sd_event_add_defer(event, &d->scan, on_scan, d);
        if (r < 0)
                return r;
        *ret = take_ptr(d);
        return 0;
}

Devices *devices_free(Devices *d) {
        Node *n, *tmp;

        if (!d)
                return NULL;
        if (d->alive)
                *d->alive = false;
        sd_event_source_disable_unref(d->inotify);
        sd_event_source_disable_unref(d->scan);
        list_for_each_safe(n, tmp, &d->nodes, link) {
                list_remove(&n->link);
                free(n);
        }
        free(d->folder);
        free(d);
        return NULL;
}
