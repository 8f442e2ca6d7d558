/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/y4m/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK_SIZE (1024u * 1024)

struct Input {
        int fd;
        bool regular, loop;
        struct framebus_fraction rate;
        Y4mParser *parser;
        const char *error; /* when it is not the parser's */
        uint8_t *chunk;
        size_t chunk_next, chunk_end; /* what is left over */
};

int input_open(const char *path, bool loop, struct framebus_fraction rate, Input **ret_input) {
        Input *in = calloc(1, sizeof(Input));
        struct stat st;
        int r = -ENOMEM;

        if (!in)
                return -ENOMEM;
        in->loop = loop;
        in->rate = rate;
        /* a fifo opens at once, without waiting for its writer */
        in->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                        : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (in->fd < 0 || fstat(in->fd, &st) < 0) {
                r = -errno;
                goto fail;
        }
        in->regular = S_ISREG(st.st_mode);
        if (S_ISDIR(st.st_mode) || (loop && !in->regular)) {
                r = S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE;
                goto fail;
        }
        (void)fcntl(in->fd, F_SETPIPE_SZ, CHUNK_SIZE); /* fewer wake-ups, where it may be */
        in->chunk = malloc(CHUNK_SIZE);
        if (!in->chunk || y4m_parser_new(rate, &in->parser) < 0)
                goto fail;
        *ret_input = in;
        return 0;
fail:
        input_close(in);
        return r;
}

Input *input_close(Input *in) {
        if (!in)
                return NULL;
        y4m_parser_free(in->parser);
        free(in->chunk);
        fb_close(in->fd);
        free(in);
        return NULL;
}

int input_get_poll_fd(const Input *in) {
        return in->regular || in->chunk_next < in->chunk_end ? -1 : in->fd;
}

bool input_is_regular(const Input *in) {
        return in->regular;
}

static bool info_is_equal(const Y4mInfo *a, const Y4mInfo *b) {
        return a->fourcc == b->fourcc && a->width == b->width && a->height == b->height &&
               a->rate.num == b->rate.num && a->rate.den == b->rate.den;
}

/* Hands what is in the chunk to the parser. */
static int input_parse(Input *in) {
        size_t n = 0;
        int r = y4m_parser_feed(in->parser, in->chunk + in->chunk_next, in->chunk_end - in->chunk_next, &n);

        in->chunk_next += n;
        return r == Y4M_HEADER ? INPUT_HEADER : r == Y4M_FRAME ? INPUT_FRAME : r < 0 ? r : INPUT_MORE;
}

/* From the first byte again, up to the first frame's line: the file may have been replaced meanwhile. */
static int input_rewind(Input *in) {
        Y4mParser *old = in->parser;
        bool same;
        int r;

        in->chunk_next = in->chunk_end = 0;
        if (lseek(in->fd, 0, SEEK_SET) < 0)
                return -errno;
        r = y4m_parser_new(in->rate, &in->parser);
        if (r < 0)
                return r;
        do
                r = input_read(in);
        while (r == INPUT_MORE);
        same = r == INPUT_HEADER && info_is_equal(y4m_parser_get_info(old), y4m_parser_get_info(in->parser));
        y4m_parser_free(old);
        if (r == INPUT_HEADER && !same) {
                in->error = "the file has another header than before";
                return -EBADMSG;
        }
        return r == INPUT_HEADER ? INPUT_MORE : r;
}

int input_read(Input *in) {
        ssize_t n;
        int r;

        if (in->chunk_next < in->chunk_end)
                return input_parse(in);
        n = read(in->fd, in->chunk, CHUNK_SIZE);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? INPUT_MORE : -errno;
        if (n == 0) {
                r = y4m_parser_end(in->parser);
                return r < 0 ? r : in->loop ? input_rewind(in) : INPUT_END;
        }
        in->chunk_next = 0;
        in->chunk_end = (size_t)n;
        return input_parse(in);
}

const char *input_get_error(const Input *in) {
        return in->error ? in->error : y4m_parser_get_error(in->parser);
}

const Y4mInfo *input_get_info(const Input *in) {
        return y4m_parser_get_info(in->parser);
}

const void *input_get_frame(const Input *in) {
        return y4m_parser_get_frame(in->parser);
}
