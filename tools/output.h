/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes to a file at once, and to a pipe or socket as fast as it is read: what does not fit yet waits in
 * memory, so that a slow reader stops nothing but itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_QUEUE_MAX (256u << 20) /* bytes that may wait */

typedef struct OutputChunk OutputChunk;

typedef struct Output {
        int fd; /* borrowed; stays blocking, as others may hold it, too */
        enum { OUTPUT_FILE, OUTPUT_PIPE, OUTPUT_SOCKET } kind;
        OutputChunk *first, *last;
        size_t queued; /* bytes of memory in the queue */
        size_t offset; /* of the first chunk, already written */
} Output;

/* Looks at what @fd is. */
void output_init(Output *o, int fd);

/* Drops what waits. Of a zeroed one, too. */
void output_deinit(Output *o);

/*
 * Writes, or queues, @copies times the @head_size bytes at @head and the @size bytes at @data behind them.
 * Returns 0; -ENOBUFS: too much waits already, and nothing was done; -ENOMEM; what writing failed with.
 */
int output_write(Output *o, const void *head, size_t head_size, const void *data, size_t size,
                 uint64_t copies);

/* Another copy of what was queued last, at no cost. Returns 0; -ENOENT: nothing of it waits any more. */
int output_repeat(Output *o);

bool output_is_waiting(const Output *o);

/* Writes what goes without waiting. Returns 0, or what writing failed with: -EPIPE: nobody reads any more. */
int output_flush(Output *o);
