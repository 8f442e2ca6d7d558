/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Buffers that are lent to receivers: memory of a pool, and dma-bufs, on a device that draws into them. */
#include <dirent.h>
#include <drm_fourcc.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/lend.h"

#define FRAME_SIZE (64 * 48 * 2)
#define OK         V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC
#define SEALS_POOL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

static const struct framebus_mode mode = { .fourcc = DRM_FORMAT_YUYV, .width = 64, .height = 48,
                                           .rate = { 30, 1 } };
static Device device = DEVICE_NULL;
static Stream stream;
static uint32_t sequence; /* of the next frame */

static void reset(void) {
        fake_reset();
        fake.draws = true;
        fake.can_export = true;
        fake.buffer_capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_USERPTR |
                                   V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
        sequence = 0;
        stream = (Stream){ 0 };
}

static int start_format(Way way, uint32_t n_lent, uint32_t pixelformat) {
        const char *step;

        CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
        return stream_start(&stream, &device, pixelformat, &mode, &(StreamPlan){ way, n_lent }, &step);
}

static void start(Way way, uint32_t n_lent) {
        CHECK_INT("start", start_format(way, n_lent, V4L2_PIX_FMT_YUYV), 0);
}

static void stop(void) {
        stream_stop(&stream);
        CHECK_INT("all unmapped", fake.n_mapped, 0);
        CHECK_INT("buffers freed", fake.n_requested, 0);
        device_close(&device);
}

/* The device makes another frame, and it is read. */
static StreamFrame next(void) {
        StreamFrame f = { 0 };

        fake.queue[0] = (FakeBuffer){ .sequence = sequence++, FRAME_SIZE, OK,
                                      .bytesused_more = { FRAME_SIZE, FRAME_SIZE } };
        fake.next = 0;
        fake.n_queue = 1;
        CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
        return f;
}

/* Reads a frame and lends it, if it may be lent. */
static bool pass(Loan *ret) {
        StreamFrame f = next();
        bool starved;

        if (!lend_judge(&stream, &f, &starved)) {
                if (starved)
                        lend_count_starved(&stream, &f);
                CHECK_INT("return", stream_return(&stream, &f), 0);
                return false;
        }
        lend_describe(&stream, &f, ret);
        lend_begin(&stream, &f);
        return true;
}

static void pass_many(unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                Loan loan;

                if (pass(&loan))
                        CHECK_INT("back", lend_end(&stream, loan.buffer), 0);
        }
}

/* What a receiver has: a mapping of its own, which outlives everything. */
typedef struct Receiver {
        int fd;
        const unsigned char *data;
} Receiver;

static Receiver receive(const Loan *loan, uint32_t memory) {
        Receiver r = { .fd = fcntl(loan->fds[memory], F_DUPFD_CLOEXEC, 3) };
        /* which shows what is written later, too; a shared mapping would keep older kernels from sealing */
        void *p = mmap(NULL, FAKE_CHUNK, PROT_READ, MAP_PRIVATE, r.fd, 0);

        CHECK(r.fd >= 0 && p != MAP_FAILED);
        r.data = p;
        return r;
}

static bool is_all(const Receiver *r, int byte) {
        for (size_t i = 0; i < FAKE_CHUNK; i++)
                if (r->data[i] != byte)
                        return false;
        return true;
}

static void forget(Receiver *r) {
        CHECK(munmap((void *)r->data, FAKE_CHUNK) == 0);
        r->fd = fb_close(r->fd);
}

static int get_seals(const Receiver *r) {
        return fcntl(r->fd, F_GET_SEALS);
}

static unsigned count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

/* ---- how many ---- */

static void test_numbers(void) {
        static const struct {
                Way way;
                uint32_t n_lent;
                int n_min;
                unsigned n_max, n, n_lendable;
        } table[] = {
                { WAY_COPY, 16, 0, 0, 4, 0 },
                { WAY_USERPTR, 0, 0, 0, 3, 1 },
                { WAY_USERPTR, 4, 0, 0, 7, 5 },
                { WAY_EXPORT, 4, 1, 0, 7, 5 },
                { WAY_EXPORT, 4, 6, 0, 11, 5 },
                { WAY_COPY, 0, 6, 0, 7, 0 },
                { WAY_USERPTR, 100, 0, 0, 32, 30 },
                { WAY_USERPTR, UINT32_MAX - 1, 0, 0, 32, 30 },
                { WAY_EXPORT, 8, 0, 6, 6, 4 }, /* a driver with few */
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                unsigned n = 0;
                char row[16];
                Loan loan;

                sprintf(row, "row %zu", i);
                reset();
                fake.n_buffers_min = table[i].n_min;
                fake.n_buffers_max = table[i].n_max;
                start(table[i].way, table[i].n_lent);
                CHECK_INT(row, fake.n_requested, table[i].n);
                CHECK_INT(row, fake.n_queued, table[i].n);
                while (n < 64 && pass(&loan))
                        n++;
                CHECK_INT(row, n, table[i].n_lendable);
                CHECK_INT(row, fake.n_queued, table[i].n - n);
                CHECK_INT(row, stream.counts.lent, n);
                CHECK_INT(row, stream.counts.starved, table[i].way == WAY_COPY ? 0 : 1);
                CHECK_INT(row, stream.counts.starved_bytes, table[i].way == WAY_COPY ? 0 : FRAME_SIZE);
                stop();
        }
}

/* ---- one after the other ---- */

static void test_lending(Way way) {
        Loan loans[5], other;
        uint32_t exported;

        reset();
        start(way, 4);
        exported = fake.n_exported;
        CHECK_INT("exported once", exported, way == WAY_EXPORT ? 7 : 0);
        for (unsigned i = 0; i < 5; i++) {
                Receiver r;

                CHECK(pass(&loans[i]));
                CHECK(loans[i].buffer == i + 1 && loans[i].n == 1 && loans[i].n_planes == 1);
                CHECK(loans[i].planes[0].offset == 0 && loans[i].planes[0].size == FRAME_SIZE &&
                      loans[i].planes[0].stride == 128 && loans[i].planes[0].memory == 0);
                r = receive(&loans[i], 0);
                CHECK(is_all(&r, (int)i + 1) && memcmp(loans[i].data[0], r.data, FAKE_CHUNK) == 0);
                CHECK(mmap(NULL, FAKE_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0) == MAP_FAILED);
                if (way == WAY_USERPTR)
                        CHECK_INT("seals", get_seals(&r) & 0x1f, SEALS_POOL);
                else
                        CHECK_INT("mode", fcntl(r.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
                forget(&r);
        }
        CHECK(!pass(&other) && !pass(&other));
        CHECK_INT("starved", stream.counts.starved, 2);
        for (unsigned i = 0; i < 5; i++) { /* as they were */
                Receiver r = receive(&loans[i], 0);

                CHECK(is_all(&r, (int)i + 1));
                forget(&r);
        }
        CHECK_INT("unknown", lend_end(&stream, 99), 0);
        CHECK_INT("unknown", lend_end(&stream, 0), 0);
        CHECK_INT("back", lend_end(&stream, loans[3].buffer), 0);
        CHECK_INT("back, once more", lend_end(&stream, loans[3].buffer), 0);
        CHECK_INT("queued", fake.n_queued, 3);
        CHECK(pass(&other) && !pass(&other));
        for (unsigned i = 0; i < 5; i++)
                CHECK_INT("back", lend_end(&stream, loans[i].buffer), 0);
        pass_many(20);
        CHECK_INT("one set of descriptors a buffer", fake.n_exported, exported);
        CHECK(lend_list(&stream, (uint64_t[POOL_SLOTS_MAX]){ 0 }) <= 7);
        stop();
}

/* ---- never written again ---- */

static void test_retired_pool(void) {
        uintptr_t address;
        Loan loan, again;
        Receiver r;

        reset();
        start(WAY_USERPTR, 4);
        CHECK(pass(&loan));
        r = receive(&loan, 0);
        address = (uintptr_t)loan.data[0];
        CHECK_INT("retire", lend_retire(&stream, loan.buffer), 0);
        CHECK(get_seals(&r) & F_SEAL_WRITE);
        CHECK_INT("replaced", stream.pool.counts.replaced, 1);
        CHECK(stream.pool.counts.sealed == 1 && stream.pool.counts.unsealed == 0);
        CHECK_INT("all with the driver", fake.n_queued, 7);
        for (unsigned i = 0; i < 7; i++)
                CHECK_AT("another address", fake.slots[i].address[0] != address);
        pass_many(20);
        CHECK(is_all(&r, 1));
        forget(&r);

        /* the driver has it: read once more, copied, then replaced */
        CHECK(pass(&loan));
        r = receive(&loan, 0);
        CHECK_INT("back", lend_end(&stream, loan.buffer), 0);
        CHECK_INT("retire", lend_retire(&stream, loan.buffer), 0);
        CHECK_INT("twice", lend_retire(&stream, loan.buffer), 0);
        CHECK(!(get_seals(&r) & F_SEAL_WRITE));
        for (unsigned i = 0; i < 6; i++) {
                CHECK(pass(&again) && again.buffer != loan.buffer);
                CHECK_INT("back", lend_end(&stream, again.buffer), 0);
        }
        CHECK(!pass(&again));
        CHECK(get_seals(&r) & F_SEAL_WRITE);
        CHECK(is_all(&r, (int)sequence) && stream.counts.starved == 0);
        pass_many(20);
        CHECK(is_all(&r, (int)sequence - 20));
        CHECK(pass(&again));
        forget(&r);

        /* what is lent when the stream ends stays as it is, and is sealed */
        r = receive(&again, 0);
        stop();
        CHECK((get_seals(&r) & F_SEAL_WRITE) && is_all(&r, (int)sequence));
        forget(&r);
}

static void test_retired_export(void) {
        Loan loan, other, again;
        uint64_t ids[POOL_SLOTS_MAX];
        Receiver r, q;

        reset();
        start(WAY_EXPORT, 4);
        CHECK(pass(&loan) && pass(&other));
        r = receive(&loan, 0);
        q = receive(&other, 0);
        CHECK_INT("retire", lend_retire(&stream, loan.buffer), 0);
        CHECK(stream.wants_renewal);
        pass_many(12);
        CHECK(is_all(&r, 1) && is_all(&q, 2)); /* not given to the driver meanwhile */
        CHECK(lend_list(&stream, ids) == 6);
        CHECK_INT("renew", stream_renew(&stream), 0);
        CHECK(!stream.wants_renewal && lend_list(&stream, ids) == 0);
        CHECK(fake.n_streamon == 2 && fake.n_exported == 14 && fake.n_queued == 7);
        CHECK_INT("of before", lend_end(&stream, other.buffer), 0);
        CHECK_INT("of before", lend_retire(&stream, other.buffer), 0);
        for (unsigned i = 0; i < 5; i++)
                CHECK(pass(&again) && again.buffer > 7);
        pass_many(20);
        CHECK(is_all(&r, 1) && is_all(&q, 2));
        CHECK_INT("counted", stream.pool.counts.reallocated, 1);
        forget(&r);
        forget(&q);
        /* with the driver: there is no other way to take it back */
        CHECK_INT("back", lend_end(&stream, again.buffer), 0);
        CHECK_INT("retire", lend_retire(&stream, again.buffer), 0);
        CHECK(stream.wants_renewal);
        stop();
}

/* Somebody holds the pages: what is lent stays lent, and the seal is not waited for again and again. */
static void test_unsealed(void) {
        Loan loans[3];
        void *p;

        reset();
        start(WAY_USERPTR, 4);
        for (unsigned i = 0; i < 3; i++)
                CHECK(pass(&loans[i]));
        p = mremap((void *)loans[0].data[0], 0, FAKE_CHUNK, MREMAP_MAYMOVE);
        for (unsigned i = 0; i < 3; i++)
                CHECK_INT("retire", lend_retire(&stream, loans[i].buffer), 0);
        CHECK(stream.pool.counts.unsealed == 3 && stream.pool.counts.replaced == 3);
        CHECK_INT("munmap", munmap(p, FAKE_CHUNK), 0);
        stop();
}

/* ---- off and on ---- */

static void test_restart(Way way) {
        Loan loans[3], again;
        Receiver r;

        reset();
        start(way, 4);
        for (unsigned i = 0; i < 3; i++)
                CHECK(pass(&loans[i]));
        r = receive(&loans[1], 0);
        CHECK_INT("restart", stream_restart(&stream), 0);
        CHECK_INT("those that are not lent", fake.n_queued, 4);
        pass_many(10);
        CHECK(is_all(&r, 2));
        CHECK_INT("back", lend_end(&stream, loans[0].buffer), 0);
        CHECK_INT("queued", fake.n_queued, 5);
        if (way == WAY_USERPTR) { /* one that the driver had when it was switched off */
                CHECK(pass(&again));
                CHECK_INT("back", lend_end(&stream, again.buffer), 0);
                CHECK_INT("retire", lend_retire(&stream, again.buffer), 0);
                CHECK_INT("restart", stream_restart(&stream), 0);
                CHECK(stream.pool.counts.sealed == 1 && fake.n_queued == 5);
        }
        forget(&r);
        stop();
}

static void test_grow(void) {
        Loan loan;

        for (unsigned can = 0; can < 2; can++) {
                reset();
                fake.can_create = can;
                start(WAY_USERPTR, 1);
                CHECK_INT("grow", lend_grow(&stream, 6), 0);
                CHECK_INT("buffers", fake.n_queued, can ? 9 : 4);
                CHECK_INT("shrink", lend_grow(&stream, 2), 0);
                CHECK_INT("buffers", fake.n_queued, can ? 9 : 4);
                for (unsigned i = 0; i < (can ? 7 : 2); i++)
                        CHECK(pass(&loan));
                CHECK(!pass(&loan));
                stop();
        }
}

/* ---- what they look like ---- */

static void test_memories(Way way) {
        StreamFrame f = { 0 };
        Loan loan;

        reset();
        fake.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
        fake.n_memories = 3;
        CHECK_INT("start", start_format(way, 2, V4L2_PIX_FMT_YUV420M), 0);
        for (unsigned i = 0; i < 9; i++) {
                CHECK(pass(&loan));
                CHECK(loan.n == 3 && loan.n_planes == 3 && loan.fds[0] != loan.fds[2]);
                for (unsigned k = 0; k < 3; k++) {
                        Receiver r = receive(&loan, k);

                        CHECK(is_all(&r, (int)i + 1));
                        CHECK(loan.planes[k].memory == k && loan.planes[k].offset == 0);
                        CHECK_INT("size", loan.planes[k].size, k ? 32 * 24 : 64 * 48);
                        forget(&r);
                }
                CHECK_INT("back", i % 2 ? lend_end(&stream, loan.buffer) : lend_retire(&stream, loan.buffer),
                          0);
                if (stream.wants_renewal)
                        CHECK_INT("renew", stream_renew(&stream), 0);
        }
        CHECK_INT("sealed", stream.pool.counts.sealed, way == WAY_USERPTR ? 15 : 0);
        fake.queue[0] = (FakeBuffer){ .sequence = 100, 32 + 64 * 48, OK, .data_offset = 32,
                                      .bytesused_more = { FRAME_SIZE, FRAME_SIZE } };
        fake.next = 0;
        CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
        lend_describe(&stream, &f, &loan);
        CHECK(loan.planes[0].offset == 32 && loan.planes[2].offset == 32);
        CHECK_INT("return", stream_return(&stream, &f), 0);
        stop();
}

static void test_contiguous(void) {
        Loan loan;

        reset();
        CHECK_INT("start", start_format(WAY_EXPORT, 2, V4L2_PIX_FMT_NV12), 0);
        CHECK(pass(&loan));
        CHECK(loan.n == 1 && loan.n_planes == 2 && loan.planes[1].memory == 0);
        CHECK(loan.planes[1].offset == 64 * 48 && loan.planes[1].size == 64 * 24);
        stop();
        reset();
        CHECK_INT("start", start_format(WAY_USERPTR, 2, V4L2_PIX_FMT_H264), 0);
        CHECK(pass(&loan));
        CHECK(loan.n_planes == 1 && loan.planes[0].size == FRAME_SIZE && loan.planes[0].offset == 0);
        stop();
}

/* ---- the fake itself ---- */

/* As the kernel does it: other memory at an old address is not noticed, and the old one is written. */
static void test_fake_pins(void) {
        Loan loan;
        Receiver r;
        void *address, *fresh;

        reset();
        start(WAY_USERPTR, 0);
        CHECK(pass(&loan));
        r = receive(&loan, 0);
        address = (void *)loan.data[0];
        fresh = mmap(address, FAKE_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
                     0);
        CHECK(fresh == address);
        CHECK_INT("back", lend_end(&stream, loan.buffer), 0);
        (void)next();
        (void)next();
        (void)next();
        CHECK(is_all(&r, 4));
        CHECK_INT("no seal", fcntl(r.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        forget(&r);
        stop();
}

int main(void) {
        unsigned n_fds = count_fds();

        test_numbers();
        test_lending(WAY_USERPTR);
        test_lending(WAY_EXPORT);
        test_retired_pool();
        test_retired_export();
        test_unsealed();
        test_restart(WAY_USERPTR);
        test_restart(WAY_EXPORT);
        test_grow();
        test_memories(WAY_USERPTR);
        test_memories(WAY_EXPORT);
        test_contiguous();
        test_fake_pins();
        fake_reset();
        CHECK_INT("descriptors", count_fds(), n_fds);
        return check_end();
}
