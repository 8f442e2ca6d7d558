/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all verbs share: a connection, a loop that signals and time-outs end, and how failures are told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libframebus/framebus.h"
#include "tools/options.h"

/* Exit statuses; documented in framebusctl(1). */
enum {
        STATUS_OK = 0,
        STATUS_FAILED = 1,
        STATUS_USAGE = 2,
        STATUS_NO_SOURCE = 3,
        STATUS_NO_BROKER = 4,
        STATUS_REFUSED = 5,
        STATUS_TIMED_OUT = 6,
};

typedef struct Client Client;
struct Client {
        framebus *fb;
        const Options *options;
        const char *source;      /* for messages; NULL: none */
        bool done;
        int status;              /* of the program, once done */
        int interrupt_status;    /* what it is after a signal; STATUS_FAILED by client_open() */
        uint64_t deadline_ns;    /* when to give up waiting; UINT64_MAX: never */
        const char *waiting_for; /* what then did not come, in words */
        uint64_t tick_ns;        /* when to call on_tick; UINT64_MAX: never */
        void (*on_tick)(Client *c, uint64_t now_ns, void *userdata); /* sets tick_ns anew */
        int output_fd;                                /* to be waited for as well; -1: none */
        void (*on_output)(Client *c, void *userdata); /* it can be written to */
        void *userdata;
};

/*
 * Opens the connection; @c is zeroed before. @source may be NULL; a string that is no name at all is refused
 * here. Returns a status; on failure it has been told why.
 */
int client_open(Client *c, const Options *o, const char *source);

/* Ends everything on the connection. Of one that was not opened, too. */
void client_close(Client *c);

/* Runs until client_finish(), a signal, the deadline, or the loss of the bus; returns the status. */
int client_run(Client *c);

/* Ends client_run() with @status. The first call counts. */
void client_finish(Client *c, int status);

/* Waits for @what, as long as the options say or else @default_ns (0: for ever), from now on. */
void client_wait_for(Client *c, const char *what, uint64_t default_ns);

/* A signal came that ends the program. The flag changes at any moment. */
bool client_is_interrupted(void);

/* Tells what went wrong and what to do about it, and ends client_run() with the status that fits; @what:
 * "cannot …". */
void client_fail(Client *c, const struct framebus_error *error);
void client_fail_errno(Client *c, int r, const char *what);

/* Whether an error says that the broker or the source is not there, or that it did not answer, rather than
 * refuses. */
bool client_is_about_presence(const struct framebus_error *error);

/* Ended(@reason) of a subscription; @error is set for "refused". Tells why and returns the status that fits,
 * "destroyed" being a failure like any other. */
int client_tell_ended(Client *c, const char *reason, const struct framebus_error *error);

/* The outcome of writing to standard output: 0 goes on. A reader that went away is a silent end, without
 * failure. */
void client_check_output(Client *c, int r);

/* "framebusctl: " and a line on standard error, without control characters. */
void client_message(const char *format, ...) __attribute__((format(printf, 1, 2)));
