/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Round trips through a real connection, and everything that a peer may get wrong. */
#include <drm_fourcc.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "interfaces/names.h"
#include "tests/unit/pair.h"
#include "wire/codec.h"

FB_DEFINE_CLEANUP(Frame *, frame_unref)
#define _cleanup_frame_ _cleanup_(frame_unrefp)

static void frame_free(Frame *f, void *userdata) {
        for (uint32_t i = 0; i < f->n_fds; i++)
                close(f->fds[i]);
        free(f);
}

static const FrameHome home = { frame_free };

/* Two memories, three planes, every meta key. */
static Frame *frame_full(void) {
        static const Plane planes[] = {
                { 0, 640, 0, 307200 }, { 1, 320, 4096, 76800 }, { 1, 320, UINT64_MAX - 5, UINT64_MAX },
        };
        Frame *f = frame_new(&home, NULL);

        f->seq = UINT64_MAX - 1;
        f->order = 0x0102030405060708;
        f->pts_ns = 3;
        f->format = UINT32_MAX;
        f->flags = FB_FRAME_KEYFRAME | FB_MEMORY_DMABUF << FB_FRAME_MEMORY_SHIFT;
        f->fds[f->n_fds++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        f->fds[f->n_fds++] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        memcpy(f->planes, planes, sizeof planes);
        f->n_planes = 3;
        f->meta = (FrameMeta){ .present = FRAME_META_DEVICE_SEQUENCE | FRAME_META_BUFFER |
                                          FRAME_META_MODIFIER | FRAME_META_CROP | FRAME_META_TRANSFORM |
                                          FRAME_META_COLORIMETRY | FRAME_META_FIELD,
                               .device_sequence = UINT32_MAX,
                               .buffer = 1ull << 63,
                               .modifier = DRM_FORMAT_MOD_INVALID,
                               .crop = { 1, 2, 3, UINT32_MAX },
                               .transform = 7,
                               .colorimetry = { 4, 5, 6, 7 },
                               .field = 9 };
        return f;
}

static bool is_same_file(int a, int b) {
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_rdev == y.st_rdev && x.st_ino == y.st_ino;
}

TEST(frames_arrive_as_they_were) {
        _cleanup_frame_ Frame *sent = frame_full(), *got = NULL;
        _cleanup_pair_ Pair p;
        const char *why = NULL;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(codec_append_frame(m, sent, FB_FRAME_REPLAYED) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_STR(sd_bus_message_get_signature(m, 1), FB_SIGNATURE_FRAME);
        REQUIRE_INT(codec_read_frame(m, &got, &why), 0);

        CHECK_INT(got->n_refs, 1);
        CHECK(got->seq == sent->seq && got->order == 0 && got->pts_ns == sent->pts_ns);
        CHECK_INT(got->format, sent->format);
        CHECK_INT(got->flags, sent->flags | FB_FRAME_REPLAYED);
        CHECK_INT(got->n_planes, 3);
        CHECK(memcmp(got->planes, sent->planes, sizeof got->planes) == 0);
        CHECK(memcmp(&got->meta, &sent->meta, sizeof got->meta) == 0);
        REQUIRE_INT(got->n_fds, 2);
        CHECK(is_same_file(got->fds[0], sent->fds[0]));
        CHECK(is_same_file(got->fds[1], sent->fds[1]));
        CHECK(fcntl(got->fds[0], F_GETFD) & FD_CLOEXEC);
}

/* The message owns the descriptors; a frame keeps it alive, and nothing else does. */
TEST(frames_keep_their_message) {
        _cleanup_frame_ Frame *sent = frame_full(), *got = NULL;
        _cleanup_pair_ Pair p;
        const char *why = NULL;
        sd_bus_message *m;
        int fd;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(codec_append_frame(m, sent, 0) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        REQUIRE_INT(codec_read_frame(m, &got, &why), 0);
        p.received = sd_bus_message_unref(p.received);
        fd = got->fds[0];
        CHECK(fcntl(fd, F_GETFD) >= 0);
        got = frame_unref(got);
        (void)sd_bus_process(p.server, NULL);
        CHECK(fcntl(fd, F_GETFD) < 0);
}

TEST(frames_without_meta) {
        _cleanup_frame_ Frame *sent = frame_full(), *got = NULL;
        _cleanup_pair_ Pair p;
        const char *why = NULL;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        sent->meta.present = 0;
        m = pair_message(&p);
        CHECK(codec_append_frame(m, sent, 0) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        REQUIRE_INT(codec_read_frame(m, &got, &why), 0);
        CHECK_INT(got->meta.present, 0);
}

/* What a row of malformed() changes in an otherwise good frame. */
typedef struct Malformed {
        const char *name;
        unsigned n_fds, n_planes;
        uint32_t plane_memory, flags;
        int (*meta)(sd_bus_message *m); /* appends dict entries */
        int expected;                   /* 0, or FB_E_* */
} Malformed;

static int meta_unknown(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}{sv}{sv}", "org.example.note", "s", "hello", "org.example.list",
                                     "a(sv)", 2, "a", "v", "ad", 1, 0.5, "b", "b", 1, "crop", "(uuuu)", 1u,
                                     2u, 3u, 4u);
}

static int meta_unknown_twice(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}{sv}", "note", "s", "hello", "note", "s", "again");
}

static int meta_twice(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}{sv}", FB_META_BUFFER, "t", UINT64_C(1), FB_META_BUFFER, "t",
                                     UINT64_C(2));
}

static int meta_wrong_type(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", FB_META_BUFFER, "u", 1u);
}

static int meta_longer_struct(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", FB_META_CROP, "(uuuuu)", 1u, 2u, 3u, 4u, 5u);
}

static int meta_no_such_transform(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", FB_META_TRANSFORM, "u", 8u);
}

static int meta_no_such_field(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", FB_META_FIELD, "u", 10u);
}

static int meta_fd(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", "org.example.fence", "h", STDOUT_FILENO);
}

static int meta_nested_fd(sd_bus_message *m) {
        return sd_bus_message_append(m, "{sv}", "org.example.fences", "(sv)", "x", "ah", 1, STDOUT_FILENO);
}

static int meta_large(sd_bus_message *m) {
        char text[FB_META_BYTES_MAX + 1];

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        return sd_bus_message_append(m, "{sv}", "note", "s", text);
}

static int meta_as_large_as_may_be(sd_bus_message *m) {
        char text[900];

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        return sd_bus_message_append(m, "{sv}", "note", "s", text);
}

static int meta_many(sd_bus_message *m) {
        int r = 0;

        for (int i = 0; i < 100 && r >= 0; i++)
                r = sd_bus_message_append(m, "{sv}", "note", "u", 1u);
        return r;
}

static sd_bus_message *malformed_message(Pair *p, const Malformed *row) {
        sd_bus_message *m = pair_message(p);

        sd_bus_message_append(m, "tttuu", UINT64_C(1), UINT64_C(0), UINT64_C(0), 1u, row->flags);
        sd_bus_message_open_container(m, 'a', "h");
        for (unsigned i = 0; i < row->n_fds; i++)
                sd_bus_message_append(m, "h", STDOUT_FILENO);
        sd_bus_message_close_container(m);
        sd_bus_message_open_container(m, 'a', "(uttu)");
        for (unsigned i = 0; i < row->n_planes; i++)
                sd_bus_message_append(m, "(uttu)", row->plane_memory, UINT64_C(0), UINT64_C(1), 1u);
        sd_bus_message_close_container(m);
        sd_bus_message_open_container(m, 'a', "{sv}");
        if (row->meta)
                CHECK(row->meta(m) >= 0);
        sd_bus_message_close_container(m);
        return m;
}

TEST(frames_that_are_refused) {
        static const Malformed rows[] = {
                { "good", 1, 1, 0, 0, NULL, 0 },
                { "four of each", 4, 4, 3, 0, NULL, 0 },
                { "no memory", 0, 1, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "no memory and no plane", 0, 0, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "five memories", 5, 1, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "no plane", 1, 0, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "five planes", 1, 5, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "10 000 planes", 1, 10000, 0, 0, NULL, FB_E_INVALID_FRAME },
                { "a plane without a memory", 1, 1, 1, 0, NULL, FB_E_INVALID_FRAME },
                { "a plane in memory 2^32-1", 1, 1, UINT32_MAX, 0, NULL, FB_E_INVALID_FRAME },
                { "all flags that there are", 1, 1, 0, 0x21f, NULL, 0 },
                { "a flag of later versions", 1, 1, 0, 0x20, NULL, 0 },
                { "the highest flag", 1, 1, 0, 0x80000000, NULL, 0 },
                { "unknown keys", 1, 1, 0, 0, meta_unknown, 0 },
                { "an unknown key twice", 1, 1, 0, 0, meta_unknown_twice, 0 },
                { "a key twice", 1, 1, 0, 0, meta_twice, FB_E_INVALID_FRAME },
                { "a key of the wrong type", 1, 1, 0, 0, meta_wrong_type, FB_E_INVALID_FRAME },
                { "a struct that goes on", 1, 1, 0, 0, meta_longer_struct, FB_E_INVALID_FRAME },
                { "a value out of range", 1, 1, 0, 0, meta_no_such_transform, FB_E_INVALID_FRAME },
                { "a field that there is not", 1, 1, 0, 0, meta_no_such_field, FB_E_INVALID_FRAME },
                { "a descriptor in meta", 1, 1, 0, 0, meta_fd, FB_E_INVALID_FRAME },
                { "a descriptor deep in meta", 1, 1, 0, 0, meta_nested_fd, FB_E_INVALID_FRAME },
                { "meta as large as it may be", 1, 1, 0, 0, meta_as_large_as_may_be, 0 },
                { "too large a meta", 1, 1, 0, 0, meta_large, FB_E_INVALID_FRAME },
                { "too many entries", 1, 1, 0, 0, meta_many, FB_E_INVALID_FRAME },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_frame_ Frame *got = NULL;
                const char *why = NULL;
                sd_bus_message *m;

                ROW("%s", rows[i].name);
                m = pair_send(&p, malformed_message(&p, &rows[i]));
                REQUIRE(m);
                CHECK_INT(codec_read_frame(m, &got, &why), rows[i].expected);
                CHECK(!got == (rows[i].expected != 0));
                CHECK(rows[i].expected == 0 || why);
        }
}

/* Matches on the interface and member alone would let these in. */
TEST(other_signatures_are_errors) {
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (int i = 0; i < 4; i++) {
                _cleanup_frame_ Frame *got = NULL;
                sd_bus_message *m = pair_message(&p);
                const char *why = NULL;

                ROW("%d", i);
                if (i == 1)
                        sd_bus_message_append(m, "s", "hello");
                else if (i == 2)
                        sd_bus_message_append(m, "tttuu", UINT64_C(1), UINT64_C(1), UINT64_C(1), 1u, 1u);
                else if (i == 3)
                        sd_bus_message_append(m, "tttuuaya(uttu)a{sv}", UINT64_C(1), UINT64_C(1), UINT64_C(1),
                                              1u, 0u, 1, 1, 1, 0u, UINT64_C(0), UINT64_C(1), 1u, 0);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK(codec_read_frame(m, &got, &why) < 0);
                CHECK(!got);
        }
}

#define VGA DRM_FORMAT_NV12, .width = 640, .height = 480

TEST(formats_arrive_as_they_were) {
        Mode mode = { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 25, 1 } }, got = { 0 };
        _cleanup_pair_ Pair p;
        uint64_t order = 0;
        uint32_t format = 0;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(codec_append_format(m, UINT64_MAX, 77, &mode) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_STR(sd_bus_message_get_signature(m, 1), FB_SIGNATURE_FORMAT);
        CHECK_INT(codec_read_format(m, &order, &format, &got), 0);
        CHECK(order == UINT64_MAX);
        CHECK_INT(format, 77);
        CHECK(mode_equal(&mode, &got));
}

TEST(a_format_is_complete) {
        Mode mode = { VGA, .width_range = { 8, 640, 8 } }, got = { 0 };
        _cleanup_pair_ Pair p;
        uint64_t order = 5;
        uint32_t format = 6;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(codec_append_format(m, 1, 2, &mode) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_INT(codec_read_format(m, &order, &format, &got), FB_E_INVALID_OPTION);
        CHECK_INT(order, 5);
        CHECK_INT(format, 6);
        CHECK_INT(got.fourcc, 0);
}

TEST(lists_of_numbers) {
        static const uint64_t numbers[] = { 1, UINT64_MAX, 3 };
        const uint64_t *seqs = NULL;
        _cleanup_pair_ Pair p;
        size_t n = 0;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(sd_bus_message_append_array(m, 't', numbers, sizeof numbers) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_INT(codec_read_seqs(m, &seqs, &n), 0);
        REQUIRE_INT(n, 3);
        CHECK(memcmp(seqs, numbers, sizeof numbers) == 0);

        m = pair_message(&p);
        CHECK(sd_bus_message_append_array(m, 't', NULL, 0) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_INT(codec_read_seqs(m, &seqs, &n), 0);
        CHECK_INT(n, 0);

        for (size_t more = 0; more < 2; more++) {
                static const uint64_t zeros[FB_SEQS_MAX + 1];

                m = pair_message(&p);
                CHECK(sd_bus_message_append_array(m, 't', zeros, (FB_SEQS_MAX + more) * sizeof zeros[0]) >=
                      0);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_seqs(m, &seqs, &n), more ? FB_E_INVALID_OPTION : 0);
        }

        m = pair_message(&p);
        CHECK(sd_bus_message_append(m, "au", 1, 7u) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK(codec_read_seqs(m, &seqs, &n) < 0);
}

TEST_MAIN
