/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames out of a file, a fifo or standard input, one read(2) at a time and never one that could block: a
 * regular file is always ready, anything else is read once after poll(2) says so.
 */
#pragma once

#include <stdbool.h>

#include "sources/y4m/parser.h"

typedef struct Input Input;

enum {
        INPUT_MORE = 0, /* poll (unless it is a regular file) and read again */
        INPUT_HEADER,
        INPUT_FRAME,
        INPUT_END, /* the end of the file, and it was a good one */
};

/*
 * @path   "-": standard input
 * @loop   begin again at the end; only for regular files: -ESPIPE
 * @rate   as for y4m_parser_new()
 * Errors: what opening failed with; -EISDIR.
 */
int input_open(const char *path, bool loop, struct framebus_fraction rate, Input **ret_input);
/* NULL is ignored. Returns NULL. */
Input *input_close(Input *in);

/* For poll(2), POLLIN; -1 if there is no need to: a regular file, or data is left over. */
int input_get_poll_fd(const Input *in);
bool input_is_regular(const Input *in);

/* Takes what is left over, or reads. Returns INPUT_*; -EBADMSG: input_get_error() says what is wrong with the
 * data; else what read(2) failed with. */
int input_read(Input *in);

const char *input_get_error(const Input *in);
const Y4mInfo *input_get_info(const Input *in);
/* Valid until the next input_read(). */
const void *input_get_frame(const Input *in);
