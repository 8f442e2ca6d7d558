/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "sources/capture/catalogue.h"
#include "sources/capture/request.h"

static void test_parse(void) {
        static const struct {
                const char *line;
                int r;
                const char *argument;
        } table[] = {
                { "SOURCE door", 0, "door" },
                { "SOURCE A-z_0.9:x", 0, "A-z_0.9:x" },
                { "DEVICE /dev/video0", 0, "/dev/video0" },
                { "DEVICE /dev/video63", 0, "/dev/video63" },
                { "DEVICE /dev/video99999", 0, "/dev/video99999" },
                { "", -EINVAL, NULL },
                { "SOURCE", -EINVAL, NULL },
                { "SOURCE ", -EINVAL, NULL },
                { "SOURCE  door", -EINVAL, NULL },
                { "SOURCE .door", -EINVAL, NULL },
                { "SOURCE ../door", -EINVAL, NULL },
                { "SOURCE a/b", -EINVAL, NULL },
                { "SOURCE do or", -EINVAL, NULL },
                { "SOURCE door\r", -EINVAL, NULL },
                { "SOURCE 0123456789012345678901234567890123456789012345678901234567890123", 0,
                  "0123456789012345678901234567890123456789012345678901234567890123" },
                { "SOURCE 01234567890123456789012345678901234567890123456789012345678901234", -EINVAL, NULL },
                { "source door", -EINVAL, NULL },
                { "EXEC /bin/sh", -EINVAL, NULL },
                { "DEVICE /dev/video", -EINVAL, NULL },
                { "DEVICE /dev/video00", -EINVAL, NULL },
                { "DEVICE /dev/video1/../sda", -EINVAL, NULL },
                { "DEVICE /dev/video123456", -EINVAL, NULL },
                { "DEVICE //dev/video0", -EINVAL, NULL },
                { "DEVICE /dev/mem", -EINVAL, NULL },
                { "DEVICE --publish=x", -EINVAL, NULL },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                Request q = { 0 };

                CHECK_INT(table[i].line, request_parse(table[i].line, &q), table[i].r);
                if (table[i].r == 0) {
                        CHECK_STR(table[i].line, q.argument, table[i].argument);
                        CHECK_INT(table[i].line, q.kind,
                                  table[i].line[0] == 'D' ? REQUEST_DEVICE : REQUEST_SOURCE);
                }
        }
}

/* @sent, then, if @hang_up, nothing ever again; @rest: what must be left in the socket. */
static void check_line(const char *sent, size_t size, int r, const char *wanted, size_t rest) {
        char line[REQUEST_LINE_MAX] = "untouched", left[256];
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        CHECK(write(fds[0], sent, size) == (ssize_t)size);
        if (r == -EPIPE)
                close(fds[0]);
        CHECK_INT(sent, request_read_line(fds[1], clock_now_ns() + 50 * NSEC_PER_MSEC, line), r);
        CHECK_STR(sent, line, r == 0 ? wanted : "untouched");
        if (r == 0)
                CHECK_INT("not one byte more was read", recv(fds[1], left, sizeof left, MSG_DONTWAIT),
                          rest ? (long)rest : -1);
        if (r != -EPIPE)
                close(fds[0]);
        close(fds[1]);
}

static void test_read(void) {
        char longest[REQUEST_LINE_MAX], wanted[REQUEST_LINE_MAX];

        check_line("SOURCE a\n", 9, 0, "SOURCE a", 0);
        check_line("SOURCE a\n\0AUTH EXTERNAL\r\n", 25, 0, "SOURCE a", 16);
        check_line("\n\n", 2, 0, "", 1);
        check_line("SOURCE a", 8, -ETIMEDOUT, NULL, 0);
        check_line("SOURCE a", 8, -EPIPE, NULL, 0);
        check_line("SOURCE\0a\n", 9, -EINVAL, NULL, 0);
        memset(longest, 'x', sizeof longest);
        check_line(longest, sizeof longest, -EMSGSIZE, NULL, 0);
        longest[sizeof longest - 1] = '\n';
        memcpy(wanted, longest, sizeof longest);
        wanted[sizeof wanted - 1] = 0;
        check_line(longest, sizeof longest, 0, wanted, 0);
}

static void write_file(const char *dir, const char *name, const char *text) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/sources.d/%s", dir, name);
        f = fopen(path, "we");
        CHECK(f);
        if (f) {
                fputs(text, f);
                fclose(f);
        }
}

/* @wanted: the last of the first two words; or the error, around the folder's path */
static void check_find(const char *dir, const char *name, int r, const char *wanted, const char *after) {
        _cleanup_(argv_freep) char **argv = NULL;
        _cleanup_free_ char *error = NULL;
        char expected[256];

        CHECK_INT(name, catalogue_find(dir, name, &argv, &error), r);
        if (r == 0) {
                CHECK_STR(name, argv ? argv[argv[1] ? 1 : 0] : NULL, wanted);
                return;
        }
        snprintf(expected, sizeof expected, "%s%s/sources.d%s", wanted, dir, after);
        CHECK_STR(name, error, expected);
}

static void test_find(void) {
        char dir[] = "/tmp/fb-capture-XXXXXX", command[64];

        CHECK(mkdtemp(dir));
        check_find(dir, "a", -ENOENT, "", ": No such file or directory");
        snprintf(command, sizeof command, "%s/sources.d", dir);
        CHECK(mkdir(command, 0700) == 0);
        check_find(dir, "a", -ENOENT, "no such source in ", "");
        write_file(dir, "b.conf", "[Source]\nExec=prog b\nDescription=B\n");
        write_file(dir, "c.conf", "[Source]\nName=door\nExec=prog c\n");
        write_file(dir, "d.conf", "[Source]\nName=door\nExec=prog d\n");
        write_file(dir, ".hidden.conf", "[Source]\nName=hidden\nExec=prog\n");
        write_file(dir, "e.conf~", "[Source]\nName=backup\nExec=prog\n");
        check_find(dir, "b", 0, "b", NULL);
        check_find(dir, "door", 0, "c", NULL); /* the first */
        check_find(dir, "c", -ENOENT, "no such source in ", "");
        check_find(dir, "hidden", -ENOENT, "no such source in ", "");
        check_find(dir, "backup", -ENOENT, "no such source in ", "");
        write_file(dir, "a.conf", "[Source]\nExec=prog a\nColour=red\n");
        check_find(dir, "a", -EINVAL, "", "/a.conf:3: unknown key 'Colour'");
        check_find(dir, "b", 0, "b", NULL); /* somebody else's mistake costs nothing */
        write_file(dir, "a.conf", "[Source]\nExec=prog 'a\n");
        check_find(dir, "a", -EINVAL, "",
                   "/a.conf:2: bad value for key 'Exec': a single quote that does not end");
        write_file(dir, "a.conf", "[Source]\nExec=./prog\n");
        check_find(dir, "a", -EINVAL, "",
                   "/a.conf:2: bad value for key 'Exec': the program must be a plain name or an "
                   "absolute path");
        write_file(dir, "a.conf", "[Source]\nExec=\n");
        check_find(dir, "a", -EINVAL, "", "/a.conf:2: bad value for key 'Exec': it names no program");
        write_file(dir, "a.conf", "[Source]\nDescription=x\n");
        check_find(dir, "a", -EINVAL, "", "/a.conf: [Source] without Exec=");
        write_file(dir, "a.conf", "[Sauce]\n");
        check_find(dir, "a", -EINVAL, "", "/a.conf:1: unknown section 'Sauce'");
        write_file(dir, "a.conf", "[Source]\nExec='prog'\n");
        check_find(dir, "a", 0, "prog", NULL);
        snprintf(command, sizeof command, "rm -r '%s'", dir);
        CHECK(system(command) == 0);
}

int main(void) {
        test_parse();
        test_read();
        test_find();
        return check_end();
}
