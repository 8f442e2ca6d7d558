/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file has a line a device, name, serial, place and card with tabs between; it is written anew, beside
 * and then renamed, whenever a name is given or goes to another device. Its folder is one of /run, in memory:
 * to write there does not block. It outlives the broker, not the machine: with the next start the kernel
 * counts anew, too.
 */
#include "broker/publication/device-names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

#define LINE_SIZE 512

static void forget(DeviceNames *names, DeviceName *n) {
        list_remove(&n->link);
        free(n);
        names->n_gone--;
}

static DeviceName *find_name(List *list, const char *name) {
        DeviceName *n;

        list_for_each(n, list, link)
                if (strcmp(n->name, name) == 0)
                        return n;
        return NULL;
}

static bool is_taken(DeviceNames *names, const char *name) {
        return find_name(&names->present, name) || find_name(&names->gone, name);
}

/* ---- the file ---- */

static bool parse_line(char *line, DeviceName *ret) {
        char *field[4] = { line };

        line[strcspn(line, "\n")] = 0;
        for (size_t i = 1; i < FB_ELEMENTSOF(field); i++) {
                char *tab = strchr(field[i - 1], '\t');

                if (!tab)
                        return false;
                *tab = 0;
                field[i] = tab + 1;
        }
        if (strncmp(field[0], "video", 5) != 0 || strlen(field[0]) >= sizeof ret->name ||
            !device_name_is_valid(field[0]) || strlen(field[3]) >= sizeof ret->id.card ||
            (field[1][0] && !device_name_is_valid(field[1])) ||
            (field[2][0] && !device_name_is_valid(field[2])))
                return false;
        *ret = (DeviceName){};
        (void)snprintf(ret->name, sizeof ret->name, "%s", field[0]);
        (void)snprintf(ret->id.serial, sizeof ret->id.serial, "%s", field[1]);
        (void)snprintf(ret->id.place, sizeof ret->id.place, "%s", field[2]);
        (void)snprintf(ret->id.card, sizeof ret->id.card, "%s", field[3]);
        return ret->id.serial[0] || ret->id.place[0];
}

static int load(DeviceNames *names) {
        char line[LINE_SIZE];
        DeviceName parsed;
        FILE *f;

        f = names->path ? fopen(names->path, "re") : NULL;
        while (f && names->n_gone < DEVICE_NAMES_GONE_MAX && fgets(line, sizeof line, f)) {
                DeviceName *n;

                if (!parse_line(line, &parsed) || is_taken(names, parsed.name))
                        continue;
                n = malloc(sizeof *n);
                if (!n) {
                        (void)fclose(f);
                        return -ENOMEM;
                }
                *n = parsed;
                list_append(&names->gone, &n->link);
                names->n_gone++;
        }
        if (f)
                (void)fclose(f);
        return 0;
}

static void write_list(FILE *f, const List *list) {
        const DeviceName *n;

        list_for_each(n, list, link)
                if (n->id.serial[0] || n->id.place[0])
                        fprintf(f, "%s\t%s\t%s\t%s\n", n->name, n->id.serial, n->id.place, n->id.card);
}

/* Without it names last as long as this broker: no reason to do without cameras. */
static void save(DeviceNames *names) {
        _cleanup_free_ char *fresh = NULL;
        bool good;
        FILE *f;

        if (!names->path)
                return;
        if (asprintf(&fresh, "%s.new", names->path) < 0) {
                fresh = NULL;
                return;
        }
        f = fopen(fresh, "we");
        if (f) {
                write_list(f, &names->present);
                write_list(f, &names->gone);
                good = !ferror(f);
                good = fclose(f) == 0 && good;
                if (good && rename(fresh, names->path) == 0)
                        return;
        }
        log_debug("%s: %m; the names of devices last as long as this broker", fresh);
}

/* ---- who is who ---- */

static bool same_place(const DeviceId *a, const DeviceId *b) {
        return a->place[0] && strcmp(a->place, b->place) == 0 && strcmp(a->card, b->card) == 0;
}

static bool same_serial(const DeviceId *a, const DeviceId *b) {
        return strcmp(a->serial, b->serial) == 0;
}

/* How many have the serial number; one of them. */
static unsigned int count_serial(List *list, const DeviceId *id, DeviceName **ret_last) {
        unsigned int count = 0;
        DeviceName *n;

        list_for_each(n, list, link)
                if (same_serial(&n->id, id)) {
                        *ret_last = n;
                        count++;
                }
        return count;
}

/* The one that it was before; NULL: none, or nobody can tell. */
static DeviceName *find_before(DeviceNames *names, const DeviceId *id) {
        DeviceName *n, *moved = NULL, *other = NULL;

        list_for_each(n, &names->gone, link)
                if (same_place(&n->id, id) && same_serial(&n->id, id))
                        return n;
        if (!id->serial[0] || count_serial(&names->present, id, &other) > 0)
                return NULL;
        return count_serial(&names->gone, id, &moved) == 1 ? moved : NULL;
}

static void choose_name(DeviceNames *names, unsigned int number, DeviceName *n) {
        char name[sizeof n->name];

        (void)snprintf(name, sizeof name, "video%u", number);
        for (unsigned int i = 2; is_taken(names, name); i++)
                (void)snprintf(name, sizeof name, "video%u.%u", number, i);
        memcpy(n->name, name, sizeof n->name);
}

DeviceName *device_names_take(DeviceNames *names, unsigned int number, const DeviceId *id) {
        DeviceName *n = find_before(names, id);
        bool changed = !n || !same_place(&n->id, id);

        if (n) {
                list_remove(&n->link);
                names->n_gone--;
        } else {
                n = calloc(1, sizeof *n);
                if (!n)
                        return NULL;
                choose_name(names, number, n);
        }
        n->id = *id;
        list_append(&names->present, &n->link);
        if (changed)
                save(names);
        return n;
}

void device_names_put_back(DeviceNames *names, DeviceName *n) {
        list_remove(&n->link);
        if (!n->id.serial[0] && !n->id.place[0]) {
                free(n);
                return;
        }
        list_append(names->gone.next, &n->link); /* before the first */
        if (++names->n_gone > DEVICE_NAMES_GONE_MAX)
                forget(names, fb_container_of(names->gone.prev, DeviceName, link));
}

int device_names_init(DeviceNames *names, const char *path) {
        *names = (DeviceNames){};
        list_init(&names->present);
        list_init(&names->gone);
        if (!path)
                return 0;
        names->path = strdup(path);
        return names->path ? load(names) : -ENOMEM;
}

void device_names_deinit(DeviceNames *names) {
        DeviceName *n, *tmp;

        if (!names->present.next)
                return;
        list_for_each_safe(n, tmp, &names->present, link)
                device_names_put_back(names, n);
        list_for_each_safe(n, tmp, &names->gone, link)
                forget(names, n);
        free(names->path);
        *names = (DeviceNames){};
}
