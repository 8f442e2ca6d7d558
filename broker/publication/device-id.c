/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As udev's builtins usb_id and path_id make names, from the same attributes. Files alone: sd-device does not
 * read below another root, which tests need.
 *
 * A place is made of the buses on the way to the device, the nearest last. udev knows more kinds of bus than
 * are named here: a camera that hangs on none of these has no place.
 */
#include "broker/publication/device-id.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define VALUE_MAX 256

typedef struct Node {
        char *root; /* without a slash at its end */
        char *path; /* in sysfs, absolute */
        char index[VALUE_MAX];
} Node;

static void node_done(Node *n) {
        free(n->root);
        free(n->path);
}

/* The first line of a file, without white space at its end; false: none. */
static bool read_line(const char *folder, const char *name, char ret[static VALUE_MAX]) {
        _cleanup_free_ char *path = NULL;
        size_t n = 0;
        FILE *f;

        if (asprintf(&path, "%s/%s", folder, name) < 0)
                return path = NULL, false;
        f = fopen(path, "re");
        if (!f)
                return false;
        if (fgets(ret, VALUE_MAX, f))
                for (n = strlen(ret); n > 0 && isspace((unsigned char)ret[n - 1]); n--)
                        ;
        ret[n] = 0;
        (void)fclose(f);
        return n > 0;
}

bool device_name_is_valid(const char *name) {
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-");

        return n >= 1 && n <= DEVICE_NAME_MAX && !name[n] && name[0] != '.';
}

/* White space becomes one '_', and so does any other character that is not for names. */
static void squeeze(char *text) {
        char *to = text;

        for (const char *c = text; *c; c++) {
                if (isspace((unsigned char)*c) && (to == text || isspace((unsigned char)c[1]) || !c[1]))
                        continue;
                *to++ = isalnum((unsigned char)*c) || strchr("._:-", *c) ? *c : '_';
        }
        *to = 0;
}

/* What does not fit is no name: cut off it might be another's. */
static void name_set(char ret[static DEVICE_NAME_MAX + 1], const char *prefix, const char *text,
                     const Node *n) {
        char name[DEVICE_NAME_MAX + 1];
        int length = snprintf(name, sizeof name, "%s%s-video-index%s", prefix, text, n->index);

        if (length < 0 || length > DEVICE_NAME_MAX)
                return;
        squeeze(name);
        memcpy(ret, name, sizeof name);
}

/* ---- udev ---- */

typedef struct Udev {
        char bus[VALUE_MAX], serial[VALUE_MAX], place[VALUE_MAX];
        bool has_serial; /* ID_SERIAL alone may be no more than the model */
} Udev;

static void take_property(Udev *u, const char *line) {
        const struct {
                const char *key;
                char *value;
        } keys[] = { { "E:ID_BUS=", u->bus }, { "E:ID_SERIAL=", u->serial }, { "E:ID_PATH=", u->place } };

        for (size_t i = 0; i < FB_ELEMENTSOF(keys); i++)
                if (strncmp(line, keys[i].key, strlen(keys[i].key)) == 0)
                        (void)snprintf(keys[i].value, VALUE_MAX, "%s", line + strlen(keys[i].key));
        if (strncmp(line, "E:ID_SERIAL_SHORT=", 18) == 0)
                u->has_serial = true;
}

static void read_udev(const Node *n, DeviceLinks *ret) {
        char number[VALUE_MAX], line[2 * VALUE_MAX], path[PATH_MAX];
        Udev u = {};
        FILE *f;

        if (!read_line(n->path, "dev", number))
                return;
        (void)snprintf(path, sizeof path, "%s/run/udev/data/c%s", n->root, number);
        f = fopen(path, "re");
        if (!f)
                return;
        while (fgets(line, sizeof line, f)) {
                line[strcspn(line, "\n")] = 0;
                take_property(&u, line);
        }
        (void)fclose(f);
        if (u.has_serial && u.bus[0] && u.serial[0]) {
                char text[2 * VALUE_MAX];

                (void)snprintf(text, sizeof text, "%s-%s", u.bus, u.serial);
                name_set(ret->by_id, "", text, n);
        }
        if (u.place[0])
                name_set(ret->by_path, "", u.place, n);
}

/* ---- sysfs ---- */

/* Of one ancestor. */
static bool read_subsystem(const char *folder, char ret[static VALUE_MAX]) {
        char link[PATH_MAX], target[PATH_MAX];
        const char *name;
        ssize_t n;

        if (snprintf(link, sizeof link, "%s/subsystem", folder) >= (int)sizeof link)
                return false;
        n = readlink(link, target, sizeof target - 1);
        if (n <= 0)
                return false;
        target[n] = 0;
        name = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
        return snprintf(ret, VALUE_MAX, "%s", name) < VALUE_MAX;
}

/* False: it does not fit. */
static bool prepend(char text[static VALUE_MAX], const char *bus, const char *name) {
        char rest[VALUE_MAX];

        memcpy(rest, text, sizeof rest);
        return snprintf(text, VALUE_MAX, "%s-%s%s%s", bus, name, rest[0] ? "-" : "", rest) < VALUE_MAX;
}

/* What a bus calls a device; false: no bus that is known here, or not worth a word. */
static bool describe(const char *subsystem, const char *name, char ret[static VALUE_MAX]) {
        const char *port = strchr(name, '-');

        if (strcmp(subsystem, "usb") == 0) /* the bus has the number in which it was found */
                return port && snprintf(ret, VALUE_MAX, "0:%s", port + 1) < VALUE_MAX;
        return (strcmp(subsystem, "pci") == 0 || strcmp(subsystem, "platform") == 0) &&
               snprintf(ret, VALUE_MAX, "%s", name) < VALUE_MAX;
}

/* The way up: a name of each bus, the nearest, as what is behind a bridge or a hub has a name of its own. */
static void walk_up(const Node *n, char place[static VALUE_MAX], char usb_device[static PATH_MAX]) {
        char folder[PATH_MAX], subsystem[VALUE_MAX], last[VALUE_MAX] = "", where[VALUE_MAX], *slash;
        size_t top = strlen(n->root);
        bool fits = snprintf(folder, sizeof folder, "%s", n->path) < PATH_MAX;

        while (fits && (slash = strrchr(folder, '/')) && slash > folder + top) {
                const char *name;

                *slash = 0;
                if (!read_subsystem(folder, subsystem))
                        continue;
                name = strrchr(folder, '/') + 1;
                if (strcmp(subsystem, "usb") == 0 && !usb_device[0] && !strchr(name, ':'))
                        memcpy(usb_device, folder, sizeof folder);
                if (strcmp(subsystem, last) != 0 && describe(subsystem, name, where))
                        fits = prepend(place, subsystem, where);
                memcpy(last, subsystem, sizeof last);
        }
        if (!fits)
                place[0] = 0;
}

/* As udev has it: words, or the numbers of maker and model if there are none. */
static void read_usb_serial(const Node *n, const char *device, DeviceId *id) {
        char serial[VALUE_MAX], maker[VALUE_MAX] = "", model[VALUE_MAX] = "", text[4 * VALUE_MAX];

        if (!read_line(device, "serial", serial))
                return;
        if (!read_line(device, "manufacturer", maker))
                (void)read_line(device, "idVendor", maker);
        if (!read_line(device, "product", model))
                (void)read_line(device, "idProduct", model);
        (void)snprintf(text, sizeof text, "%s_%s_%s", maker, model, serial);
        name_set(id->serial, "usb-", text, n);
}

static void read_sysfs(const Node *n, DeviceId *id) {
        char place[VALUE_MAX] = "", usb_device[PATH_MAX] = "";

        walk_up(n, place, usb_device);
        if (usb_device[0])
                read_usb_serial(n, usb_device, id);
        if (place[0])
                name_set(id->place, "", place, n);
}

static bool node_open(const char *root, const char *sysname, Node *ret) {
        _cleanup_free_ char *link = NULL;

        if (asprintf(&link, "%s/sys/class/video4linux/%s", root, sysname) < 0)
                return link = NULL, false;
        *ret = (Node){ .root = realpath(root[0] ? root : "/", NULL),
                       .path = realpath(link, NULL),
                       .index = "0" };
        if (!ret->root || !ret->path) {
                node_done(ret);
                return false;
        }
        if (strcmp(ret->root, "/") == 0)
                ret->root[0] = 0;
        (void)read_line(ret->path, "index", ret->index);
        return true;
}

void device_id_read(const char *root, const char *sysname, DeviceId *ret) {
        char card[VALUE_MAX] = "";
        Node n;

        *ret = (DeviceId){};
        if (!node_open(root, sysname, &n))
                return;
        (void)read_line(n.path, "name", card);
        (void)snprintf(ret->card, sizeof ret->card, "%.63s", card);
        for (char *c = ret->card; *c; c++) /* it is written to a file, a line each */
                if ((unsigned char)*c < ' ')
                        *c = '_';
        read_sysfs(&n, ret);
        node_done(&n);
}

void device_links_read(const char *root, const char *sysname, DeviceLinks *ret) {
        Node n;

        *ret = (DeviceLinks){};
        if (!node_open(root, sysname, &n))
                return;
        read_udev(&n, ret);
        node_done(&n);
}
