/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all capture programs have in common: how they come to a publisher, wait, fail and end.
 *
 * A program that a broker started finds its channel at file descriptor 3; with a name to publish it asks a
 * broker for one instead; in the first case it gives up what it does not need (confine.h). The publisher's
 * callbacks only note what is wanted; the program's own loop does it after program_wait().
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "libframebus/framebus.h"

#define PROGRAM_CHANNEL_FD 3

/* Exit codes that all capture programs share. */
enum {
        PROGRAM_EXIT_OK = 0,     /* the channel was closed, or the recording is over */
        PROGRAM_EXIT_FAILED = 1, /* told in a message and, as "failed", to the broker */
        PROGRAM_EXIT_USAGE = 2,  /* wrong options, or no channel */
};

typedef struct Program Program;
struct Program {
        framebus *fb;
        framebus_publisher *pub;
        int timer_fd;
        bool open;   /* the channel takes messages */
        bool ended;  /* the channel is gone */
        bool done;   /* leave the loop */
        char state[16], reason[256]; /* what the broker is to be told at last; no state: nothing */
        int exit_code;
        int push_error; /* the last there was: the same trouble is logged once */

        /* what the callbacks noted; the loop resets them */
        bool want_start, want_stop;
        struct framebus_mode wanted;

        /* Memory that can be lent, to be filled in before program_publish(). What is needed of it is noted;
         * the two callbacks run inside of program_wait(). */
        enum framebus_memory lendable[2];
        size_t n_lendable;
        bool want_memories;     /* one of these changed */
        uint32_t memories;      /* 1u << enum framebus_memory */
        uint32_t n_buffers;     /* that receivers may hold together */
        void (*released)(Program *p, uint64_t buffer);
        void (*retired)(Program *p, uint64_t buffer);
        uint64_t put_together, put_together_bytes; /* frames that program_push_parts() copied itself */

        /* What can be set, to be filled in before program_publish(). Both callbacks run inside of
         * program_wait() and answer by framebus_publisher_answer_controls(). */
        const struct framebus_control *controls;
        size_t n_controls;
        void (*set_controls)(Program *p, uint64_t cookie, const struct framebus_control_value *values,
                             size_t n);
        void (*get_controls)(Program *p, uint64_t cookie, const char *const *ids, size_t n);

        /* Somebody waits for a keyframe. Optional; inside of program_wait(). */
        void (*want_keyframe)(Program *p);
};

typedef struct ProgramOptions {
        const char *name;    /* the program's, for messages */
        const char *publish; /* a source's name; NULL: the channel is file descriptor 3 */
        const char *bus;     /* as for framebus_open() */
        const char *description;
        const char *driver;
        bool launches; /* it becomes another program: it gives up nothing (confine.h) */
} ProgramOptions;

/* Sets up the connection and the timer, without any publisher yet. Returns 0 or, after a message, an exit
 * code. */
int program_open(Program *p, const ProgramOptions *o);

/* Says to the broker what can be made. Returns 0 or, after a message, an exit code. */
int program_publish(Program *p, const ProgramOptions *o, const struct framebus_mode *modes, size_t n_modes);

/* Wakes program_wait() at @due_ns, CLOCK_MONOTONIC, at once if that is past; UINT64_MAX: not. */
void program_set_timer(Program *p, uint64_t due_ns);

/* Waits for the broker, the timer or one of @more (at most 4), and lets the library work. */
void program_wait(Program *p, struct pollfd *more, nfds_t n_more);

/* Pushes a copy. False: it could not go out, was counted as lost and, when the reason is new, logged; there
 * is nothing else to be done about it. */
bool program_push(Program *p, const void *data, size_t size, const struct framebus_push_info *info);

/* The same with a frame in pieces, one after the other in one memory. */
typedef struct ProgramPart {
        const void *data;
        size_t size;
} ProgramPart;
bool program_push_parts(Program *p, const ProgramPart *parts, size_t n_parts,
                        const struct framebus_push_info *info);

/* The same with a buffer of framebus_publisher_acquire() that was filled in place. It is consumed. */
bool program_push_buffer(Program *p, framebus_buffer *buffer_consume, const struct framebus_push_info *info);

/* Lends a frame's memory, of the kind and number that @info says: as framebus_publisher_push_fds(). False: it
 * is not lent; else as program_push(). */
bool program_lend(Program *p, const int *fds, size_t n_fds, const struct framebus_push_info *info);

/*
 * Logs and ends the loop with @exit_code; program_finish() will tell the broker @state ("failed" or "absent")
 * in the same words; "": nothing. The first failure counts. Works before program_publish(), too, then with a
 * publisher that has no modes.
 */
void program_fail(Program *p, const char *state, int exit_code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* Waits until the broker has taken all frames, for at most 2 s. */
void program_drain(Program *p);

/* Says the last words, closes the publisher and frees everything. Returns the exit code. */
int program_finish(Program *p, const ProgramOptions *o);

/* Prints "NAME VERSION". */
int program_print_version(const char *name);
