/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The book of what a publisher lends: which descriptors go on, what is refused, what comes back and when. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/memfd.h"
#include "broker/publication/buffers.h"
#include "tests/unit/test.h"

typedef struct Book {
        Buffers *buffers;
        uint64_t returned[256]; /* in order */
        unsigned n_returned;
        uint64_t renewed;
        uint64_t seq;
} Book;

static void on_returned(uint64_t seq, void *userdata) {
        Book *b = userdata;

        b->returned[b->n_returned++] = seq;
}

static void on_renewed(uint64_t slot, void *userdata) {
        Book *b = userdata;

        CHECK_INT(__builtin_popcountll(slot), 1);
        b->renewed |= slot;
}

static const BuffersHandler handler = { on_returned, on_renewed };

static void book_init(Book *b) {
        *b = (Book){ 0 };
        b->buffers = buffers_new(&handler, b);
}

static void book_deinit(Book *b) {
        b->buffers = buffers_free(b->buffers);
}

#define _cleanup_book_ _cleanup_(book_deinit)

/* The next frame, in @fd as buffer @id. */
static int lend(Book *b, uint64_t id, int fd, Frame **ret, const char **ret_why) {
        Frame f = { .seq = ++b->seq,
                    .pts_ns = 5,
                    .format = 3,
                    .flags = FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT | FB_FRAME_KEYFRAME,
                    .n_fds = 1,
                    .fds = { fd },
                    .n_planes = 1,
                    .planes = { { 0, 4, 0, 16 } },
                    .meta = { .present = FRAME_META_BUFFER | FRAME_META_FIELD, .buffer = id, .field = 2 } };

        return buffers_lend(b->buffers, &f, ret, ret_why);
}

static bool same_file(int a, int b) {
        struct stat sa, sb;

        return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino;
}

static unsigned n_open(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

TEST(a_frame_is_written_anew) {
        _cleanup_close_ int a = memfd_new("a"), again = fcntl(a, F_DUPFD_CLOEXEC, 3);
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f, *second;
        uint64_t id;
        int fd;

        book_init(&b);
        REQUIRE_INT(lend(&b, 77, a, &f, &why), 0);
        CHECK_INT(f->seq, 1);
        CHECK_INT(f->pts_ns, 5);
        CHECK_INT(f->format, 3);
        CHECK_INT(frame_get_memory_kind(f), FB_MEMORY_LEASED);
        CHECK(f->flags & FB_FRAME_KEYFRAME);
        CHECK_INT(f->planes[0].size, 16);
        CHECK_INT(f->meta.present, FRAME_META_BUFFER | FRAME_META_FIELD);
        CHECK_INT(f->meta.field, 2);
        CHECK(f->meta.buffer != 77 && f->meta.buffer != 0);
        CHECK(f->fds[0] != a && same_file(f->fds[0], a));
        CHECK_INT(f->slot, b.renewed);
        id = f->meta.buffer;
        fd = f->fds[0];
        CHECK_INT(b.n_returned, 0);
        frame_unref(f);
        CHECK_INT(b.n_returned, 1);
        CHECK_INT(b.returned[0], 1);

        /* again: the descriptor that came first, and the id that receivers know */
        b.renewed = 0;
        REQUIRE_INT(lend(&b, 77, again, &second, &why), 0);
        CHECK_INT(second->meta.buffer, id);
        CHECK_INT(second->fds[0], fd);
        CHECK_INT(b.renewed, 0);
        frame_unref(second);
        CHECK_INT(b.returned[1], 2);
        CHECK_INT(buffers_get_n(b.buffers), 1);
        CHECK(!why);
}

TEST(what_is_lent_cannot_be_lent) {
        _cleanup_close_ int a = memfd_new("a");
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f, *other = NULL;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        CHECK_INT(lend(&b, 1, a, &other, &why), FB_E_INVALID_FRAME);
        CHECK(strstr(why, "lent"));
        CHECK(!other);
        frame_ref(f);
        frame_unref(f);
        CHECK_INT(lend(&b, 1, a, &other, &why), FB_E_INVALID_FRAME);
        frame_unref(f);
        REQUIRE_INT(lend(&b, 1, a, &other, &why), 0);
        frame_unref(other);
}

TEST(an_id_stays_with_its_memory) {
        _cleanup_close_ int a = memfd_new("a"), other = memfd_new("b");
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        frame_unref(f);
        CHECK_INT(lend(&b, 1, other, &f, &why), FB_E_INVALID_MEMORY);
        CHECK(strstr(why, "other memory"));
        buffers_forget(b.buffers, (uint64_t[]){ 1 }, 1);
        /* its own business: it is another buffer, with another id */
        REQUIRE_INT(lend(&b, 1, other, &f, &why), 0);
        frame_unref(f);
}

TEST(no_more_than_64) {
        int fds[FB_BUFFERS_MAX + 1];
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f, *kept = NULL;
        uint64_t slots = 0;

        book_init(&b);
        for (unsigned i = 0; i <= FB_BUFFERS_MAX; i++)
                fds[i] = memfd_new("slot");
        for (unsigned i = 0; i < FB_BUFFERS_MAX; i++) {
                REQUIRE_INT(lend(&b, i + 1, fds[i], &f, &why), 0);
                CHECK_INT(slots & f->slot, 0);
                slots |= f->slot;
                if (i == 9)
                        kept = f;
                else
                        frame_unref(f);
        }
        CHECK_INT(slots, UINT64_MAX);
        CHECK_INT(lend(&b, 100, fds[FB_BUFFERS_MAX], &f, &why), FB_E_LIMIT);
        CHECK(strstr(why, "64"));

        /* one that is lent makes room when it comes back */
        buffers_forget(b.buffers, (uint64_t[]){ 10, 1000 }, 2);
        CHECK_INT(lend(&b, 100, fds[FB_BUFFERS_MAX], &f, &why), FB_E_LIMIT);
        b.renewed = 0;
        slots = kept->slot;
        frame_unref(kept);
        REQUIRE_INT(lend(&b, 100, fds[FB_BUFFERS_MAX], &f, &why), 0);
        CHECK_INT(f->slot, slots);
        CHECK_INT(b.renewed, slots);
        frame_unref(f);
        for (unsigned i = 0; i <= FB_BUFFERS_MAX; i++)
                close(fds[i]);
}

typedef struct Bound {
        uint64_t bytes, max;
        uint32_t n_fds;
} Bound;

static Bound bound;

static int on_resized(uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata) {
        if (bytes > bound.bytes && bytes > bound.max)
                return *ret_why = "no more", FB_E_LIMIT;
        bound.bytes = bytes;
        bound.n_fds = n_fds;
        return 0;
}

static int lend_bytes(Book *b, uint64_t id, int fd, uint64_t bytes, Frame **ret) {
        Frame f = { .seq = ++b->seq,
                    .flags = FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT,
                    .n_fds = 1,
                    .fds = { fd },
                    .n_planes = 1,
                    .bytes = bytes,
                    .meta = { .present = FRAME_META_BUFFER, .buffer = id } };
        const char *why = NULL;
        int r = buffers_lend(b->buffers, &f, ret, &why);

        if (r == FB_E_LIMIT)
                CHECK_STR(why, "no more");
        return r;
}

/* Counted from the first frame to the last: while somebody has it, forgotten or not. */
TEST(bytes_are_bounded) {
        static const BuffersHandler bounded = { on_returned, on_renewed, on_resized };
        _cleanup_close_ int a = memfd_new("a"), b = memfd_new("b");
        const unsigned before = n_open();
        Frame *first, *second, *third;
        Book book = { 0 };

        bound = (Bound){ .max = 100 };
        book.buffers = buffers_new(&bounded, &book);
        REQUIRE_INT(lend_bytes(&book, 1, a, 60, &first), 0);
        CHECK_INT(bound.bytes, 60);
        CHECK_INT(buffers_get_n_lent(book.buffers), 1);
        CHECK_INT(lend_bytes(&book, 2, b, 41, &second), FB_E_LIMIT);
        CHECK_INT(bound.bytes, 60);
        CHECK_INT(n_open(), before + 1);
        REQUIRE_INT(lend_bytes(&book, 3, b, 40, &second), 0);
        CHECK_INT(bound.n_fds, 2);
        buffers_forget(book.buffers, (uint64_t[]){ 1 }, 1);
        CHECK_INT(bound.bytes, 100);
        frame_unref(first);
        CHECK_INT(bound.bytes, 40);
        CHECK_INT(buffers_get_n_lent(book.buffers), 1);
        frame_unref(second);
        CHECK_INT(buffers_get_n_lent(book.buffers), 0);
        CHECK_INT(bound.bytes, 40);
        REQUIRE_INT(lend_bytes(&book, 3, b, 40, &third), 0);
        CHECK_INT(bound.bytes, 40);
        frame_unref(third);
        book_deinit(&book);
        CHECK_INT(n_open(), before);
}

TEST(a_buffer_that_is_lent_retires_with_its_frame) {
        _cleanup_close_ int a = memfd_new("a"), c = memfd_new("b");
        uint64_t ids[FB_BUFFERS_MAX];
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f, *g;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        REQUIRE_INT(lend(&b, 2, c, &g, &why), 0);
        REQUIRE_INT(buffers_retire(b.buffers, f->slot, false, ids), 1);
        CHECK_INT(ids[0], 1);
        CHECK_INT(b.n_returned, 0);
        CHECK_INT(buffers_retire(b.buffers, f->slot, false, ids), 0); /* once */
        CHECK_INT(buffers_get_n(b.buffers), 2);
        CHECK_INT(lend(&b, 1, a, &f, &why), FB_E_INVALID_FRAME);
        frame_unref(f);
        CHECK_INT(b.n_returned, 1);
        CHECK_INT(buffers_get_n(b.buffers), 1);
        CHECK_INT(lend(&b, 1, a, &f, &why), FB_E_INVALID_FRAME);
        CHECK(strstr(why, "retired"));
        frame_unref(g);
        REQUIRE_INT(lend(&b, 2, c, &g, &why), 0);
        frame_unref(g);
}

/* A frame that was sent before the publisher heard of it. */
TEST(a_frame_may_cross_with_retire_once) {
        _cleanup_close_ int a = memfd_new("a"), other = memfd_new("b");
        uint64_t ids[FB_BUFFERS_MAX], slot, id;
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        slot = f->slot;
        id = f->meta.buffer;
        frame_unref(f);
        REQUIRE_INT(buffers_retire(b.buffers, slot, false, ids), 1);
        CHECK_INT(buffers_get_n(b.buffers), 0);
        CHECK_INT(lend(&b, 1, other, &f, &why), FB_E_INVALID_MEMORY);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        CHECK(f->meta.buffer != id);
        CHECK_INT(buffers_retire(b.buffers, f->slot, false, ids), 0); /* it knows */
        frame_unref(f);
        CHECK_INT(buffers_get_n(b.buffers), 0);
        CHECK_INT(lend(&b, 1, a, &f, &why), FB_E_INVALID_FRAME);
        CHECK_INT(b.n_returned, 2);
}

/* Somebody who may not look any more has it mapped. */
TEST(no_frame_crosses_with_a_revocation) {
        _cleanup_close_ int a = memfd_new("a"), c = memfd_new("b");
        uint64_t ids[FB_BUFFERS_MAX], slot;
        _cleanup_book_ Book b;
        const char *why = NULL;
        Frame *f, *g;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        slot = f->slot;
        frame_unref(f);
        REQUIRE_INT(lend(&b, 2, c, &g, &why), 0);
        REQUIRE_INT(buffers_retire(b.buffers, slot, false, ids), 1); /* somebody left by itself, */
        REQUIRE_INT(buffers_retire(b.buffers, g->slot, true, ids), 1); /* then another one did not */
        CHECK_INT(lend(&b, 1, a, &f, &why), FB_E_GONE);
        CHECK(strstr(why, "under way"));
        CHECK_INT(lend(&b, 1, a, &f, &why), FB_E_INVALID_FRAME); /* two cannot have been */
        frame_unref(g);
        CHECK_INT(lend(&b, 2, c, &g, &why), FB_E_INVALID_FRAME);
        CHECK_INT(buffers_get_n(b.buffers), 0);
}

TEST(frames_outlive_their_publisher) {
        _cleanup_close_ int a = memfd_new("a");
        const char *why = NULL;
        unsigned n = n_open();
        Frame *f, *g;
        Book b;

        book_init(&b);
        REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
        REQUIRE_INT(lend(&b, 2, a, &g, &why), 0);
        frame_unref(g);
        CHECK_INT(n_open(), n + 2);
        book_deinit(&b);
        CHECK_INT(n_open(), n + 1);
        CHECK(same_file(f->fds[0], a));
        frame_unref(f);
        CHECK_INT(b.n_returned, 1);
        CHECK_INT(n_open(), n);
}

TEST(ids_of_receivers_are_never_used_again) {
        _cleanup_close_ int a = memfd_new("a");
        const char *why = NULL;
        uint64_t last = 0;
        Frame *f;

        for (int i = 0; i < 3; i++) {
                _cleanup_book_ Book b;

                book_init(&b);
                REQUIRE_INT(lend(&b, 1, a, &f, &why), 0);
                CHECK(f->meta.buffer > last);
                last = f->meta.buffer;
                frame_unref(f);
        }
}

TEST_MAIN
