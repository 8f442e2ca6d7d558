/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "tests/unit/test.h"

TEST(duplicates_close_on_exec_and_keep_off_the_standard_streams) {
        _cleanup_close_ int fd = fd_dup_cloexec(STDOUT_FILENO), stdin_kept = -1, another = -1;

        CHECK(fd >= 3);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK_INT(fd_dup_cloexec(-1), -EBADF);

        stdin_kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        close(STDIN_FILENO);
        another = fd_dup_cloexec(STDOUT_FILENO);
        (void)dup2(stdin_kept, STDIN_FILENO);
        CHECK(another >= 3);
}

TEST(socket_pairs_block_only_at_their_end) {
        _cleanup_close_ int ours = -1, theirs = -1;

        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        CHECK(fcntl(ours, F_GETFL) & O_NONBLOCK);
        CHECK(!(fcntl(theirs, F_GETFL) & O_NONBLOCK));
        CHECK(fcntl(ours, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(theirs, F_GETFD) & FD_CLOEXEC);
        CHECK_INT(fd_set_nonblocking(theirs), 0);
        CHECK_INT(fd_set_nonblocking(theirs), 0);
        CHECK(fcntl(theirs, F_GETFL) & O_NONBLOCK);
        CHECK_INT(fd_set_nonblocking(-1), -EBADF);
}

static int socket_of(int domain, int type) {
        return socket(domain, type | SOCK_CLOEXEC, 0);
}

static int open_pair(int type) {
        int sv[2];

        if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv) < 0)
                return -1;
        close(sv[1]);
        return sv[0];
}

static int open_datagram_pair(void) {
        return open_pair(SOCK_DGRAM);
}

static int open_packet_pair(void) {
        return open_pair(SOCK_SEQPACKET);
}

static int open_internet(void) {
        return socket_of(AF_INET, SOCK_STREAM);
}

static int open_unconnected(void) {
        return socket_of(AF_UNIX, SOCK_STREAM);
}

static int open_listener(void) {
        int fd = socket_of(AF_UNIX, SOCK_STREAM);
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        /* the address is chosen by the kernel */
        return bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)) < 0 || listen(fd, 1) < 0 ? -1 : fd;
}

static int open_pipe(void) {
        int p[2];

        if (pipe2(p, O_CLOEXEC) < 0)
                return -1;
        close(p[1]);
        return p[0];
}

/* The name of a socket file, opened without opening the socket. */
static int open_path(void) {
        char folder[] = "/tmp/framebus-test-XXXXXX";
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket_of(AF_UNIX, SOCK_STREAM);
        int path;

        if (!mkdtemp(folder))
                return -1;
        snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", folder);
        path = bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -1 : open(a.sun_path, O_PATH | O_CLOEXEC);
        unlink(a.sun_path);
        rmdir(folder);
        return path;
}

static int open_nothing(void) {
        return -1;
}

TEST(client_sockets_are_judged) {
        static const struct {
                const char *name;
                int (*open)(void);
        } rows[] = {
                { "nothing", open_nothing },
                { "a pipe", open_pipe },
                { "O_PATH", open_path },
                { "AF_INET", open_internet },
                { "datagrams", open_datagram_pair },
                { "packets", open_packet_pair },
                { "not connected", open_unconnected },
                { "listening", open_listener },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_close_ int fd = rows[i].open();
                const char *why = NULL;

                ROW("%s", rows[i].name);
                CHECK(fd >= 0 || rows[i].open == open_nothing);
                CHECK_INT(fd_judge_client_socket(fd, getuid(), &why), FB_E_INVALID_SOCKET);
                CHECK(why);
        }
}

TEST(client_sockets_belong_to_the_caller) {
        _cleanup_close_ int ours = -1, theirs = -1;
        const char *why = NULL;

        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        CHECK_INT(fd_judge_client_socket(theirs, geteuid(), &why), 0);
        CHECK(!why);
        CHECK_INT(fd_judge_client_socket(theirs, geteuid() + 1, &why), FB_E_INVALID_SOCKET);
        CHECK_STR(why, "its other end belongs to another user");
}

TEST(unread_bytes_are_seen_by_the_sender) {
        _cleanup_close_ int ours = -1, theirs = -1, zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        int unread = -1;
        char byte;

        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        CHECK_INT(fd_get_unread(ours, &unread), 0);
        CHECK_INT(unread, 0);
        CHECK_INT(write(ours, "x", 1), 1);
        CHECK_INT(fd_get_unread(ours, &unread), 0);
        CHECK(unread > 0);
        CHECK_INT(read(theirs, &byte, 1), 1);
        CHECK_INT(fd_get_unread(ours, &unread), 0);
        CHECK_INT(unread, 0);
        CHECK(fd_get_unread(zero, &unread) < 0);
}

TEST(the_limit_of_descriptors_goes_up_to_the_hard_one) {
        struct rlimit before, low, now;

        REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
        low = before;
        low.rlim_cur = 200;
        REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
        CHECK_INT(fd_raise_limit(100), 200);
        CHECK_INT(fd_raise_limit(300), 300);
        CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 300);
        CHECK_INT(fd_raise_limit(UINT64_MAX - 1), before.rlim_max);
        CHECK_INT(fd_lower_limit(), before.rlim_max);
        CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 200);
        CHECK_INT(fd_raise_limit(before.rlim_max), before.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &before);
}

TEST_MAIN
