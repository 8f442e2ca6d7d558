/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures in words, with what to do about them, and as exit statuses.
 * One table says what each D-Bus error means to somebody at a terminal; the broker's own message is always
 * told, too.
 */
#include "tools/client.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/names.h"

#define DBUS_ERROR(name) "org.freedesktop.DBus.Error." name

typedef enum Meaning {
        MEANING_OTHER,
        MEANING_NO_SOURCE,
        MEANING_NO_BROKER,
        MEANING_DENIED,
        MEANING_TIMED_OUT,
        MEANING_NO_MODE,
        MEANING_LIMIT,
        MEANING_REFUSED,
        MEANING_NO_FDS,
} Meaning;

static Meaning error_meaning(const char *name) {
        static const struct {
                const char *name;
                Meaning meaning;
        } table[] = {
                { FB_ERROR_NO_SUCH_SOURCE, MEANING_NO_SOURCE },
                { FB_ERROR_NO_COMMON_MODE, MEANING_NO_MODE },
                { FB_ERROR_NO_COMMON_MEMORY, MEANING_REFUSED },
                { FB_ERROR_UNKNOWN_OPTION, MEANING_REFUSED },
                { FB_ERROR_INVALID_OPTION, MEANING_REFUSED },
                { FB_ERROR_NOT_SUPPORTED, MEANING_REFUSED },
                { FB_ERROR_NAME_TAKEN, MEANING_REFUSED },
                { FB_ERROR_NO_SUCH_CONTROL, MEANING_REFUSED },
                { FB_ERROR_INVALID_VALUE, MEANING_REFUSED },
                { FB_ERROR_CONTROL_FAILED, MEANING_REFUSED },
                { FB_ERROR_INVALID_RULES, MEANING_REFUSED },
                { FB_ERROR_LIMITS_EXCEEDED, MEANING_LIMIT },
                { FB_ERROR_FD_PASSING_REQUIRED, MEANING_NO_FDS },
                { FB_ERROR_ACCESS_DENIED, MEANING_DENIED },
                { DBUS_ERROR("AuthFailed"), MEANING_DENIED },
                { DBUS_ERROR("ServiceUnknown"), MEANING_NO_BROKER },
                { DBUS_ERROR("NameHasNoOwner"), MEANING_NO_BROKER },
                { DBUS_ERROR("NoServer"), MEANING_NO_BROKER },
                { DBUS_ERROR("Disconnected"), MEANING_NO_BROKER },
                { DBUS_ERROR("FileNotFound"), MEANING_NO_BROKER },
                { DBUS_ERROR("TimedOut"), MEANING_TIMED_OUT },
                { DBUS_ERROR("Timeout"), MEANING_TIMED_OUT },
                { DBUS_ERROR("NoReply"), MEANING_TIMED_OUT },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                if (strcmp(name, table[i].name) == 0)
                        return table[i].meaning;
        return strncmp(name, DBUS_ERROR("Spawn."), strlen(DBUS_ERROR("Spawn."))) == 0 ? MEANING_NO_BROKER
                                                                                      : MEANING_OTHER;
}

bool client_is_about_presence(const struct framebus_error *error) {
        Meaning m = error_meaning(error->name ? error->name : "");

        return m == MEANING_NO_SOURCE || m == MEANING_NO_BROKER || m == MEANING_TIMED_OUT;
}

/* "system bus", "bus at unix:…" */
static const char *bus_in_words(Client *c, char *buffer, size_t size) {
        const char *address = framebus_get_address(c->fb);

        if (!address)
                return "bus";
        if (strcmp(address, "system") == 0 || strcmp(address, "session") == 0)
                snprintf(buffer, size, "%s bus", address);
        else
                snprintf(buffer, size, "bus at %s", address);
        return buffer;
}

static int error_tell(Client *c, const struct framebus_error *error) {
        const char *source = c->source ? c->source : "the broker";
        const char *message = error->message && *error->message ? error->message : strerror(error->error);
        char bus[160];

        switch (error_meaning(error->name ? error->name : "")) {
        case MEANING_NO_SOURCE:
                client_message("there is no source called %s: `framebusctl list` shows what there is",
                               source);
                return STATUS_NO_SOURCE;
        case MEANING_NO_BROKER:
                client_message("there is no Framebus broker on the %s: is org.framebus.service installed "
                               "where the bus looks for services, or framebusd running? (%s)",
                               bus_in_words(c, bus, sizeof(bus)), message);
                return STATUS_NO_BROKER;
        case MEANING_DENIED:
                client_message("%s: you may not do that: %s. The bus policy (org.framebus.conf) and the "
                               "broker's rules say who may",
                               source, message);
                return STATUS_REFUSED;
        case MEANING_TIMED_OUT:
                client_message("%s did not answer in time: %s. It may be stopped or overloaded", source,
                               message);
                return STATUS_TIMED_OUT;
        case MEANING_NO_MODE:
                client_message("%s: %s. `framebusctl show` of the source tells its modes, --mode asks for "
                               "one",
                               source, message);
                return STATUS_REFUSED;
        case MEANING_LIMIT:
                client_message("%s: %s. A smaller --window%s may fit", source, message,
                               c->options->transport == FRAMEBUS_TRANSPORT_BUS ? " or --transport=peer" : "");
                return STATUS_REFUSED;
        case MEANING_NO_FDS:
                client_message("%s: %s. The connection cannot pass file descriptors: use a local bus", source,
                               message);
                return STATUS_REFUSED;
        case MEANING_REFUSED:
                client_message("%s: refused: %s", source, message);
                return STATUS_REFUSED;
        case MEANING_OTHER:
                break;
        }
        client_message("%s: %s%s%s%s", source, message, error->name ? " (" : "",
                       error->name ? error->name : "", error->name ? ")" : "");
        return STATUS_FAILED;
}

void client_fail(Client *c, const struct framebus_error *error) {
        if (c->done)
                return;
        client_finish(c, error_tell(c, error));
}

void client_fail_errno(Client *c, int r, const char *what) {
        if (c->done)
                return;
        client_message("%s: %s", what, strerror(-r));
        client_finish(c, STATUS_FAILED);
}

int client_tell_ended(Client *c, const char *reason, const struct framebus_error *error) {
        static const struct {
                const char *reason, *words;
                int status;
        } table[] = {
                { "destroyed", "the source is gone", STATUS_FAILED },
                { "replaced", "another publisher took its name", STATUS_FAILED },
                { "mode", "another viewer, with more rights, needs a mode that this one does not accept",
                  STATUS_REFUSED },
                { "revoked", "the right to watch was taken back", STATUS_REFUSED },
                { "undeliverable",
                  "frames do not get through: a bus policy blocks them, or nothing was read for 2 seconds. "
                  "--transport=peer does without the bus",
                  STATUS_REFUSED },
                { "fd-passing-required", "the connection cannot pass file descriptors: use a local bus",
                  STATUS_REFUSED },
                { "overflow", "too many messages were left unread", STATUS_FAILED },
                { "shutdown", "the broker ended", STATUS_NO_BROKER },
        };

        if (error)
                return error_tell(c, error);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                if (strcmp(reason, table[i].reason) == 0) {
                        client_message("%s: %s", c->source, table[i].words);
                        return table[i].status;
                }
        client_message("%s: ended: %s", c->source, reason);
        return STATUS_FAILED;
}
