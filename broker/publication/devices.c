/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A list of the names videoN that were told, kept in step with the folder by inotify. Events name what
 * happened; after an overflow of their queue the folder is read again and compared with the list. The first
 * reading is the same, deferred: whatever changes between the watch and the reading is told by an event as
 * well, and told twice does no harm.
 *
 * The kernel's uevents would tell the same, but only where udev hands them on, and not in every container.
 *
 * What a device was called is kept after it is gone, for the last REMEMBERED_MAX of them.
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

#define REMEMBERED_MAX 64u
#define NAME_MAX_SIZE  24u

/* A node that is there, or a device that was. */
typedef struct Node {
        List link;       // Devices::nodes, by number, or Devices::gone, the last first
        unsigned number; /* of a node that is there */
        bool seen;       /* by the reading that is under way */
        char name[NAME_MAX_SIZE];
        char id[DEVICE_ID_MAX]; /* empty: not known */
} Node;

struct Devices {
        const DevicesHandler *handler;
        void *userdata;
        char *folder;
        List nodes, gone; // Node::link
        unsigned n_gone;
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

static Node *find_by_id(List *nodes, const char *id) {
        Node *n;

        list_for_each(n, nodes, link)
                if (id[0] && strcmp(n->id, id) == 0)
                        return n;
        return NULL;
}

static bool name_is_taken(Devices *d, const char *name) {
        Node *n;

        list_for_each(n, &d->nodes, link)
                if (strcmp(n->name, name) == 0)
                        return true;
        list_for_each(n, &d->gone, link)
                if (strcmp(n->name, name) == 0)
                        return true;
        return false;
}

static void devices_forget(Devices *d, Node *n) {
        list_remove(&n->link);
        free(n);
        d->n_gone--;
}

/* Cheap cameras share a serial number: the second is known by its place. */
static void node_identify(Devices *d, Node *n) {
        void (*identify)(const char *, bool, char[static DEVICE_ID_MAX]) =
                        d->handler->identify ?: device_id_read;
        char sysname[NAME_MAX_SIZE];

        (void)snprintf(sysname, sizeof sysname, "video%u", n->number);
        identify(sysname, false, n->id);
        if (find_by_id(&d->nodes, n->id))
                identify(sysname, true, n->id);
        if (find_by_id(&d->nodes, n->id))
                n->id[0] = '\0';
}

/* The name of before, else the node's, else one that nobody has. */
static void node_name(Devices *d, Node *n) {
        Node *before = find_by_id(&d->gone, n->id);

        if (before) {
                memcpy(n->name, before->name, sizeof n->name);
                devices_forget(d, before);
                return;
        }
        (void)snprintf(n->name, sizeof n->name, "video%u", n->number);
        for (unsigned i = 2; name_is_taken(d, n->name); i++)
                (void)snprintf(n->name, sizeof n->name, "video%u.%u", n->number, i);
}

/* Returns NULL without memory: it is told at its next change. */
static Node *devices_add(Devices *d, unsigned number) {
        Node *n = devices_find(d, number), *next;

        if (n)
                return n;
        n = calloc(1, sizeof *n);
        if (!n)
                return NULL;
        n->number = number;
        node_identify(d, n);
        node_name(d, n);
        list_for_each(next, &d->nodes, link)
                if (next->number > number)
                        break;
        list_append(&next->link, &n->link); /* before it; at the end if there was none */
        return n;
}

/* False: the object is gone. */
static bool devices_tell(Devices *d, const Node *n, bool appeared) {
        _cleanup_free_ char *path = NULL;
        char name[NAME_MAX_SIZE];
        bool alive = true;

        memcpy(name, n->name, sizeof name); /* the node may go meanwhile */
        if (asprintf(&path, "%s/video%u", d->folder, n->number) < 0) {
                path = NULL;
                return true;
        }
        d->alive = &alive;
        if (appeared)
                d->handler->appeared(path, name, d->userdata);
        else
                d->handler->vanished(path, name, d->userdata);
        if (alive)
                d->alive = NULL;
        return alive;
}

/* A device without an identity is not worth remembering: it could not be told from others. */
static bool devices_remove(Devices *d, Node *n) {
        list_remove(&n->link);
        if (!n->id[0]) {
                Node gone = *n;

                free(n);
                return devices_tell(d, &gone, false);
        }
        list_append(d->gone.next, &n->link); /* before the first */
        if (++d->n_gone > REMEMBERED_MAX)
                devices_forget(d, fb_container_of(d->gone.prev, Node, link));
        return devices_tell(d, n, false);
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
                alive = devices_tell(d, n, true);
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
                n = devices_add(d, number);
                if (n)
                        devices_tell(d, n, true);
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
        list_init(&d->gone);
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
        list_for_each_safe(n, tmp, &d->gone, link)
                devices_forget(d, n);
        free(d->folder);
        free(d);
        return NULL;
}
