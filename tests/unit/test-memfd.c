/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel promises about sealed memory, and that nothing else passes for it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/dmabuf.h"
#include "base/error.h"
#include "base/memfd.h"
#include "tests/unit/test.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

#define SIZE 5000u
#define FINAL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static int memfd_with(unsigned flags, int seals) {
        _cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

        if (fd < 0 || ftruncate(fd, SIZE) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
                return -errno;
        return take_fd(fd);
}

TEST(sealed_memory_has_the_content_and_never_changes) {
        _cleanup_close_ int fd = -1;
        char data[SIZE], back[SIZE + 1];
        const char *why = NULL;
        uint64_t size = 0;

        for (size_t i = 0; i < SIZE; i++)
                data[i] = (char)(i * 7);
        fd = memfd_new_sealed("test", data, SIZE);
        REQUIRE(fd >= 3);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK_INT(pread(fd, back, sizeof back, 0), SIZE);
        CHECK(memcmp(data, back, SIZE) == 0);
        CHECK_INT(fcntl(fd, F_GET_SEALS) & FINAL, FINAL);
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), 0);
        CHECK_INT(size, SIZE);

        CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, SIZE - 1) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, SIZE + 1) < 0 && errno == EPERM);
        CHECK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
        CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) < 0 && errno == EPERM);
}

TEST(sealed_memory_of_no_bytes) {
        _cleanup_close_ int fd = memfd_new_sealed("test", "", 0);
        const char *why = NULL;
        uint64_t size = 1;

        REQUIRE(fd >= 0);
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), 0);
        CHECK_INT(size, 0);
}

TEST(larger_than_a_file_can_be) {
        CHECK_INT(memfd_new_sealed("test", "", SIZE_MAX), -EMSGSIZE);
}

TEST(sealing_waits_for_writable_mappings) {
        _cleanup_close_ int fd = memfd_new("test");
        void *p;

        REQUIRE(fd >= 0);
        REQUIRE(ftruncate(fd, SIZE) == 0);
        p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REQUIRE(p != MAP_FAILED);
        CHECK_INT(memfd_seal(fd), -EBUSY);
        munmap(p, SIZE);
        CHECK_INT(memfd_seal(fd), 0);
        CHECK_INT(fcntl(fd, F_GET_SEALS) & FINAL, FINAL);
}

TEST(seals_are_judged_by_mask) {
        static const struct {
                const char *name;
                int seals, expected;
        } rows[] = {
                { "all four", FINAL, 0 },
                { "one more", FINAL | F_SEAL_FUTURE_WRITE, 0 },
                { "none", 0, FB_E_NOT_SEALED },
                { "without SHRINK", FINAL & ~F_SEAL_SHRINK, FB_E_NOT_SEALED },
                { "without GROW", FINAL & ~F_SEAL_GROW, FB_E_NOT_SEALED },
                { "without WRITE", FINAL & ~F_SEAL_WRITE, FB_E_NOT_SEALED },
                { "without SEAL", FINAL & ~F_SEAL_SEAL, FB_E_NOT_SEALED },
                { "a pool's slot", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL,
                  FB_E_NOT_SEALED },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_close_ int fd = memfd_with(0, rows[i].seals);
                const char *why = NULL;
                uint64_t size = 1;

                ROW("%s", rows[i].name);
                REQUIRE(fd >= 0);
                CHECK_INT(memfd_judge_sealed(fd, &size, &why), rows[i].expected);
                CHECK_INT(size, rows[i].expected == 0 ? SIZE : 1);
                CHECK(!why == (rows[i].expected == 0));
        }
}

TEST(the_seal_of_mfd_noexec_seal_does_not_matter) {
        _cleanup_close_ int fd = memfd_with(MFD_NOEXEC_SEAL, FINAL);
        const char *why = NULL;
        uint64_t size = 0;

        if (fd == -EINVAL)
                SKIP("Linux 6.3 is the first to know MFD_NOEXEC_SEAL");
        REQUIRE(fd >= 0);
        CHECK_INT(fcntl(fd, F_GET_SEALS), FINAL | F_SEAL_EXEC);
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), 0);
}

TEST(read_only_descriptors_pass) {
        _cleanup_close_ int fd = memfd_with(0, FINAL), again = -1;
        const char *why = NULL;
        uint64_t size = 0;
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        again = open(path, O_RDONLY | O_CLOEXEC);
        REQUIRE(again >= 0);
        CHECK_INT(memfd_judge_sealed(again, &size, &why), 0);
        CHECK_INT(size, SIZE);
}

static int open_pipe(void) {
        int p[2];

        if (pipe2(p, O_CLOEXEC) < 0)
                return -1;
        close(p[1]);
        return p[0];
}

static int open_path(void) {
        _cleanup_close_ int fd = memfd_with(0, FINAL);
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open(path, O_PATH | O_CLOEXEC);
}

static int open_socket(void) {
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_device(void) {
        return open("/dev/zero", O_RDONLY | O_CLOEXEC);
}

static int open_folder(void) {
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_closed(void) {
        return dup2(STDERR_FILENO, 900) == 900 && close(900) == 0 ? 900 : -1;
}

static int open_tmpfs_file(void) {
        char path[] = "/dev/shm/framebus-test-XXXXXX";
        int fd = mkostemp(path, O_CLOEXEC);

        if (fd >= 0)
                unlink(path);
        return fd;
}

static int open_huge(void) {
        _cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

        return fd < 0 || fcntl(fd, F_ADD_SEALS, FINAL) < 0 ? -1 : take_fd(fd);
}

/* A slot of a pool: written by the mapping that was there before, and by nothing else, until it is sealed. */
TEST(leased_memory_is_written_by_its_maker_alone) {
        _cleanup_close_ int fd = memfd_with(0, 0);
        const char *why = NULL;
        uint64_t size = 0;
        char *p, back;

        REQUIRE(fd >= 0);
        CHECK_INT(memfd_judge_leased(fd, &size, &why), FB_E_NOT_SEALED);
        p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REQUIRE(p != MAP_FAILED);
        CHECK_INT(memfd_seal_pool(fd), 0);
        CHECK_INT(memfd_judge_leased(fd, &size, &why), 0);
        CHECK_INT(size, SIZE);
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), FB_E_NOT_SEALED);

        p[0] = 'a';
        CHECK_INT(pread(fd, &back, 1, 0), 1);
        CHECK_INT(back, 'a');
        CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, SIZE + 1) < 0 && errno == EPERM);
        CHECK(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);

        CHECK_INT(memfd_seal(fd), -EBUSY);
        CHECK_INT(munmap(p, SIZE), 0);
        CHECK_INT(memfd_seal(fd), 0);
        CHECK_INT(memfd_judge_leased(fd, &size, &why), 0);
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), 0);
}

/* Its maker writes by the mapping that was there before the seals; nobody else ever can. */
TEST(a_page_is_written_by_its_maker_alone) {
        _cleanup_close_ int fd = -1, again = -1;
        char path[64], *map, *theirs;
        void *p = NULL;

        fd = memfd_new_page("test", 4096, &p);
        REQUIRE(fd >= 0);
        map = p;
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        theirs = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        REQUIRE(theirs != MAP_FAILED);
        for (size_t i = 0; i < 4096; i++)
                CHECK_INT(theirs[i], 0);
        map[7] = 'a';
        CHECK_INT(theirs[7], 'a');

        CHECK(mprotect(theirs, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
        CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
        CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, 0) < 0 && errno == EPERM);
        CHECK(ftruncate(fd, 8192) < 0 && errno == EPERM);
        CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0 && errno == EPERM);
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        again = open(path, O_RDWR | O_CLOEXEC);
        if (again >= 0) {
                CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
                CHECK(pwrite(again, "x", 1, 0) < 0);
        }
        map[7] = 'b';
        CHECK_INT(theirs[7], 'b');
        munmap(theirs, 4096);
        munmap(map, 4096);
}

TEST(leased_memory_is_judged_by_mask) {
        static const struct {
                int seals, expected;
        } rows[] = {
                { F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE, 0 },
                { F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, 0 },
                { FINAL | F_SEAL_FUTURE_WRITE, 0 },
                { F_SEAL_SHRINK | F_SEAL_GROW, FB_E_NOT_SEALED },
                { F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, FB_E_NOT_SEALED },
                { F_SEAL_GROW | F_SEAL_FUTURE_WRITE, FB_E_NOT_SEALED },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_close_ int fd = memfd_with(0, rows[i].seals);
                const char *why = NULL;
                uint64_t size;

                ROW("%#x", rows[i].seals);
                CHECK_INT(memfd_judge_leased(fd, &size, &why), rows[i].expected);
                CHECK(rows[i].expected == 0 || why);
        }
}

/* What is one is shown where there are some: tests/camera. */
TEST(what_is_no_dma_buf_is_refused) {
        _cleanup_close_ int memfd = memfd_with(0, FINAL), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        const char *why = NULL;
        uint64_t size;

        CHECK(!dmabuf_is(memfd) && !dmabuf_is(null) && !dmabuf_is(-1));
        CHECK_INT(dmabuf_judge(memfd, &size, &why), FB_E_INVALID_MEMORY);
        CHECK(why);
        CHECK_INT(dmabuf_judge(null, &size, &why), FB_E_INVALID_MEMORY);
        CHECK_INT(dmabuf_judge(-1, &size, &why), FB_E_INVALID_MEMORY);
        CHECK(dmabuf_sync_read(null, true) < 0);
}

TEST(what_is_no_memfd_is_refused) {
        static const struct {
                const char *name;
                int (*open)(void);
                int expected;
        } rows[] = {
                { "a pipe", open_pipe, FB_E_INVALID_MEMORY },
                { "O_PATH", open_path, FB_E_INVALID_MEMORY },
                { "a socket", open_socket, FB_E_INVALID_MEMORY },
                { "a device", open_device, FB_E_INVALID_MEMORY },
                { "a folder", open_folder, FB_E_INVALID_MEMORY },
                { "closed", open_closed, FB_E_INVALID_MEMORY },
                { "a file in tmpfs: never sealable", open_tmpfs_file, FB_E_NOT_SEALED },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_close_ int fd = rows[i].open();
                const char *why = NULL;
                uint64_t size = 1;

                ROW("%s", rows[i].name);
                CHECK(fd >= 0);
                CHECK_INT(memfd_judge_sealed(fd, &size, &why), rows[i].expected);
                CHECK(why);
                CHECK_INT(size, 1);
        }
}

TEST(sealed_hugetlbfs_is_refused) {
        _cleanup_close_ int fd = open_huge();
        const char *why = NULL;
        uint64_t size = 1;

        if (fd < 0)
                SKIP("no hugetlbfs memfd to be had");
        CHECK_INT(memfd_judge_sealed(fd, &size, &why), FB_E_INVALID_MEMORY);
}

TEST_MAIN
