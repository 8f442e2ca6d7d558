/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Output to files, pipes and sockets: everything arrives in order, nothing waits for a reader. */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/tools/check.h"

#define SIZE 300001u /* no multiple of anything */

static uint8_t data[SIZE];

static void outputs_make(int kind, int fds[2]) {
        if (kind == OUTPUT_PIPE)
                CHECK_INT("pipe", pipe2(fds, O_CLOEXEC), 0);
        else
                CHECK_INT("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* Reads until nothing comes any more; @checked counts the bytes so far of "HEAD" and data, repeated. */
static void read_and_check(int fd, size_t at_most, size_t *checked) {
        static uint8_t buffer[100000];

        while (at_most > 0) {
                int n;

                (void)fcntl(fd, F_SETFL, O_NONBLOCK);
                n = (int)read(fd, buffer, FB_MIN(sizeof(buffer), at_most));
                if (n <= 0)
                        return;
                for (int i = 0; i < n; i++, (*checked)++) {
                        size_t at = *checked % (SIZE + 4);

                        if (buffer[i] != (at < 4 ? (uint8_t)"HEAD"[at] : data[at - 4])) {
                                CHECK(!"the bytes that were written");
                                return;
                        }
                }
                at_most -= (size_t)n;
        }
}

/* An alarm would end the test if any of it blocked. */
static void test_nothing_waits(int kind) {
        Output o;
        int fds[2];
        size_t checked = 0;

        outputs_make(kind, fds);
        output_init(&o, fds[1]);
        CHECK_INT("kind", o.kind, kind);
        CHECK_INT("write", output_write(&o, "HEAD", 4, data, SIZE, 3), 0);
        CHECK_INT("repeat", output_repeat(&o), 0);
        CHECK_INT("write", output_write(&o, "HEAD", 4, data, SIZE, 20), 0);
        CHECK_INT("none", output_write(&o, "HEAD", 4, data, SIZE, 0), 0);

        for (unsigned i = 0; i < 5; i++) /* a full pipe, flushed again and again */
                CHECK_INT("flush", output_flush(&o), 0);
        CHECK(output_is_waiting(&o));
        for (unsigned i = 1; output_is_waiting(&o) && i < 100000; i++) {
                read_and_check(fds[0], i % 7 * 1003 + 1, &checked); /* leaves pages half read */
                CHECK_INT("flush", output_flush(&o), 0);
        }
        CHECK(!output_is_waiting(&o));
        read_and_check(fds[0], SIZE_MAX, &checked);
        CHECK_INT("all", checked, 24 * (SIZE + 4));
        CHECK_INT("memory", o.queued, 0);
        CHECK_INT("repeat of nothing", output_repeat(&o), -ENOENT);

        CHECK_INT("write", output_write(&o, "HEAD", 4, data, SIZE, 1), 0);
        close(fds[0]);
        CHECK_INT("nobody reads", output_flush(&o), -EPIPE);
        CHECK(output_is_waiting(&o));
        output_deinit(&o);
        close(fds[1]);
}

static void test_bounded(void) {
        static uint8_t large[32 << 20];
        Output o;
        int fds[2], r = 0;
        size_t n = 0;

        outputs_make(OUTPUT_PIPE, fds);
        output_init(&o, fds[1]);
        while (n < 100 && (r = output_write(&o, "HEAD", 4, large, sizeof(large), 1)) >= 0)
                n++;
        CHECK_INT("full", r, -ENOBUFS);
        CHECK_INT("chunks", n, OUTPUT_QUEUE_MAX / (sizeof(large) + 4));
        CHECK(o.queued <= OUTPUT_QUEUE_MAX);
        CHECK_INT("a repeat needs no memory", output_repeat(&o), 0);
        output_deinit(&o);
        CHECK_INT("empty", o.queued, 0);
        close(fds[0]);
        close(fds[1]);
}

static void test_file(void) {
        _cleanup_close_ int fd = memfd_create("output", MFD_CLOEXEC);
        uint8_t got[16];
        Output o;

        output_init(&o, fd);
        CHECK_INT("kind", o.kind, OUTPUT_FILE);
        CHECK_INT("write", output_write(&o, "ab", 2, "cd", 2, 2), 0);
        CHECK(!output_is_waiting(&o));
        CHECK_INT("size", pread(fd, got, sizeof(got), 0), 8);
        CHECK(memcmp(got, "abcdabcd", 8) == 0);
}

int main(void) {
        for (size_t i = 0; i < SIZE; i++)
                data[i] = (uint8_t)(i * 31 >> 3);
        signal(SIGPIPE, SIG_IGN);
        alarm(60);
        test_nothing_waits(OUTPUT_PIPE);
        test_nothing_waits(OUTPUT_SOCKET);
        test_bounded();
        test_file();
        return check_end();
}
