/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches a source with GDBus, whose signal callbacks get no descriptors: this looks at whole messages.
 * Run: 02-subscribe-gdbus [--system] [--frames N] SOURCE
 * Prints a line a frame: seq pts format WxH and the CRC-32 of each plane. Status 0 after N frames.
 */
#include <err.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "crc32.h"

#define SUBSCRIPTION "org.framebus.Subscription1"
#define SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static GDBusConnection *bus;
static const char *broker, *subscription; /* the broker's unique name, and our object there */
static union { guint32 code; char text[5]; } fourcc; /* four characters, the first one lowest */
static int width, height, frames_left = 100;

static void read_format(GVariant *body) {
        g_autoptr(GVariant) mode = g_variant_get_child_value(body, 2);
        g_variant_lookup(mode, "fourcc", "u", &fourcc.code);
        g_variant_lookup(mode, "width", "u", &width);
        g_variant_lookup(mode, "height", "u", &height);
        g_strchomp(fourcc.text);
}

/* With these seals nobody can change or cut the file any more: a plane inside of it is safe to map. */
static gboolean print_plane(int fd, guint64 offset, guint64 size) {
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;
        guint8 *data;

        if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || size > (guint64)st.st_size ||
            offset > (guint64)st.st_size - size)
                return FALSE;
        data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return FALSE;
        g_print(" %08x", crc32_of(data + offset, size));
        munmap(data, st.st_size);
        return TRUE;
}

static void read_frame(GVariant *body, GUnixFDList *list) {
        g_autoptr(GVariantIter) planes = NULL;
        g_autoptr(GVariant) memory = NULL;
        guint64 seq, pts_ns, offset, size;
        int n_fds = 0, handle;
        /* No list: the process had no room for more descriptors, and GDBus went on without. */
        const int *fds = list ? g_unix_fd_list_peek_fds(list, &n_fds) : NULL;
        guint32 index;

        g_variant_get(body, "(tttuu@aha(uttu)*)", &seq, NULL, &pts_ns, NULL, NULL, &memory, &planes, NULL);
        g_print("%" PRIu64 " %" PRIu64 " %s %dx%d", seq, pts_ns, fourcc.text, width, height);
        for (handle = -1; g_variant_iter_next(planes, "(uttu)", &index, &offset, &size, NULL); handle = -1) {
                if (index < g_variant_n_children(memory))
                        g_variant_get_child(memory, index, "h", &handle);
                if (handle < 0 || handle >= n_fds || !print_plane(fds[handle], offset, size))
                        g_print(" bad");
        }
        g_print("\n");
        /* We are done with it. Without this no more than a window of frames would come. */
        g_dbus_connection_call(bus, broker, subscription, SUBSCRIPTION, "Release",
                               g_variant_new_parsed("([%t],)", seq), NULL, 0, -1, NULL, NULL, NULL);
        frames_left--;
}

static gboolean on_signal(gpointer userdata) {
        GVariant *body = g_dbus_message_get_body(userdata);
        const char *signature = g_dbus_message_get_signature(userdata), *reason;
        const char *member = g_dbus_message_get_member(userdata);
        guint64 count;

        /* Anybody on the bus could send us such signals: only those of who answered count. */
        if (g_strcmp0(g_dbus_message_get_sender(userdata), broker) != 0 || frames_left == 0 ||
            g_strcmp0(g_dbus_message_get_path(userdata), subscription) != 0)
                return G_SOURCE_REMOVE;
        if (g_str_equal(member, "Frame") && g_str_equal(signature, "tttuuaha(uttu)a{sv}"))
                read_frame(body, g_dbus_message_get_unix_fd_list(userdata));
        else if (g_str_equal(member, "FormatChanged") && g_str_equal(signature, "tua{sv}"))
                read_format(body);
        else if (g_str_equal(member, "Lost") && g_str_equal(signature, "ts")) {
                g_variant_get(body, "(t&s)", &count, &reason);
                warnx("lost %" PRIu64 ": %s", count, reason);
        } else if (g_str_equal(member, "Ended") && g_str_equal(signature, "ts")) {
                g_variant_get(body, "(t&s)", NULL, &reason);
                errx(1, "ended: %s", reason);
        }
        return G_SOURCE_REMOVE;
}

/* Runs in a thread of GDBus, so it only hands the message on to the main loop. */
static GDBusMessage *on_message(GDBusConnection *c, GDBusMessage *m, gboolean incoming, gpointer userdata) {
        if (!incoming || g_strcmp0(g_dbus_message_get_interface(m), SUBSCRIPTION) != 0)
                return m;
        g_idle_add_full(G_PRIORITY_DEFAULT, on_signal, m, g_object_unref);
        return NULL;
}

static void on_broker_gone(GDBusConnection *c, const char *name, gpointer userdata) {
        errx(1, "the broker is gone");
}

/* The reply, itself, since it says who sent it. */
static GDBusMessage *call(const char *path, const char *interface, const char *method, GVariant *arguments) {
        g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call("org.framebus", path, interface, method);
        g_autoptr(GError) error = NULL;
        GDBusMessage *reply;

        g_dbus_message_set_body(m, arguments);
        reply = g_dbus_connection_send_message_with_reply_sync(bus, m, 0, -1, NULL, NULL, &error);
        if (!reply || g_dbus_message_to_gerror(reply, &error))
                errx(1, "%s", error->message);
        return reply;
}

int main(int argc, char **argv) {
        gboolean system = FALSE;
        const GOptionEntry entries[] = { { "system", 0, 0, G_OPTION_ARG_NONE, &system, NULL, NULL },
                                         { "frames", 0, 0, G_OPTION_ARG_INT, &frames_left, NULL, "N" },
                                         { NULL } };
        g_autoptr(GOptionContext) context = g_option_context_new("SOURCE");
        g_autoptr(GDBusMessage) resolved = NULL, reply = NULL;
        g_autoptr(GError) error = NULL;
        const char *source;

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2)
                errx(2, "%s", error ? error->message : "which source?");
        if (!(bus = g_bus_get_sync(system ? G_BUS_TYPE_SYSTEM : G_BUS_TYPE_SESSION, NULL, &error)))
                errx(1, "%s", error->message);
        /* The first call starts the broker if it does not run. */
        resolved = call("/org/framebus", "org.framebus.Manager1", "Resolve", g_variant_new("(s)", argv[1]));
        g_variant_get(g_dbus_message_get_body(resolved), "(&o)", &source);
        g_dbus_connection_add_filter(bus, on_message, NULL, NULL);
        reply = call(source, "org.framebus.Source1", "Subscribe",
                     g_variant_new_parsed("({'window': <uint32 4>},)"));
        g_variant_get(g_dbus_message_get_body(reply), "(&o*)", &subscription, NULL);
        broker = g_dbus_message_get_sender(reply);
        g_bus_watch_name_on_connection(bus, broker, 0, NULL, on_broker_gone, NULL, NULL);
        while (frames_left > 0)
                g_main_context_iteration(NULL, TRUE);
        return !g_dbus_connection_flush_sync(bus, NULL, NULL);
}
