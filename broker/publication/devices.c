/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A list of the names videoN that were told, kept in step with the folder by inotify. Events name what
 * happened; after an overflow of their queue the folder is read again and compared with the list. The first
 * reading is the same, deferred: whatever changes between the watch and the reading is told by an event as
 * well, and told twice does no harm.
 *
 * The kernel's uevents would tell the same, but only where udev hands them on, and not in every container.
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
#include "broker/publication/device-names.h"

#define SYSNAME_SIZE 16u

typedef struct Node {
        List link; // Devices::nodes, by number
        unsigned number;
        bool seen; /* by the reading that is under way */
        DeviceName *named;
} Node;

struct Devices {
        const DevicesHandler *handler;
        void *userdata;
        char *root, *folder;
        List nodes; // Node::link
        DeviceNames names;
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

static void sysname_of(unsigned number, char ret[static SYSNAME_SIZE]) {
        (void)snprintf(ret, SYSNAME_SIZE, "video%u", number);
}

/* Returns NULL without memory: it is told at its next change. */
static Node *devices_add(Devices *d, unsigned number) {
        Node *n = devices_find(d, number), *next;
        char sysname[SYSNAME_SIZE];
        DeviceId id;

        if (n)
                return n;
        n = calloc(1, sizeof *n);
        if (!n)
                return NULL;
        n->number = number;
        sysname_of(number, sysname);
        device_id_read(d->root, sysname, &id);
        n->named = device_names_take(&d->names, number, &id);
        if (!n->named)
                return free(n), NULL;
        list_for_each(next, &d->nodes, link)
                if (next->number > number)
                        break;
        list_append(&next->link, &n->link); /* before it; at the end if there was none */
        return n;
}

/* False: the object is gone. */
static bool devices_tell_appeared(Devices *d, const Node *n, const char *path) {
        const char *aliases[DEVICE_ALIASES_MAX + 1];
        DeviceName named = *n->named; /* it may go meanwhile */
        const DeviceId *id = &named.id;
        char sysname[SYSNAME_SIZE];
        DeviceLinks links;
        bool alive = true;
        size_t count = 0;

        sysname_of(n->number, sysname);
        device_links_read(d->root, sysname, &links); /* udev may have written them by now */
        if (id->serial[0])
                aliases[count++] = id->serial;
        if (links.by_id[0] && strcmp(links.by_id, id->serial) != 0)
                aliases[count++] = links.by_id;
        if (id->place[0])
                aliases[count++] = id->place;
        if (links.by_path[0] && strcmp(links.by_path, id->place) != 0)
                aliases[count++] = links.by_path;
        aliases[count] = NULL;
        d->alive = &alive;
        d->handler->appeared(path, named.name, aliases, d->userdata);
        if (alive)
                d->alive = NULL;
        return alive;
}

/* As above. */
static bool devices_tell_vanished(Devices *d, const char *name, const char *path) {
        bool alive = true;

        d->alive = &alive;
        d->handler->vanished(path, name, d->userdata);
        if (alive)
                d->alive = NULL;
        return alive;
}

static char *path_of(const Devices *d, unsigned number) {
        char *path;

        return asprintf(&path, "%s/video%u", d->folder, number) < 0 ? NULL : path;
}

static bool devices_tell(Devices *d, const Node *n) {
        _cleanup_free_ char *path = path_of(d, n->number);

        return !path || devices_tell_appeared(d, n, path);
}

static bool devices_remove(Devices *d, Node *n) {
        _cleanup_free_ char *path = path_of(d, n->number);
        char name[sizeof n->named->name];

        memcpy(name, n->named->name, sizeof name);
        device_names_put_back(&d->names, n->named);
        list_remove(&n->link);
        free(n);
        return !path || devices_tell_vanished(d, name, path);
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
                alive = devices_tell(d, n);
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
                        devices_tell(d, n);
                return 0;
        }
        n = devices_find(d, number);
        if (n)
                devices_remove(d, n);
        return 0;
}

int devices_new(sd_event *event, const char *root, const char *memory, const DevicesHandler *handler,
                void *userdata, Devices **ret) {
        _cleanup_(devices_freep) Devices *d = malloc(sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        *d = (Devices){ .handler = handler, .userdata = userdata, .root = strdup(root) };
        list_init(&d->nodes);
        if (!d->root || asprintf(&d->folder, "%s/dev", root) < 0)
                return d->folder = NULL, -ENOMEM;
        r = device_names_init(&d->names, memory);
        if (r < 0)
                return r;
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
        device_names_deinit(&d->names);
        free(d->folder);
        free(d->root);
        free(d);
        return NULL;
}
