/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See buffers.h. A table of FB_BUFFERS_MAX slots; a frame says its slot as one bit, so that sets of buffers
 * are numbers. A slot is dropped, and free for another buffer, when its buffer was retired or forgotten and
 * is not lent; until then no frame is without its slot.
 *
 * What was retired is remembered for a while by id and file, so that a frame that was under way can be told
 * from one that breaks the promise. A publisher that forgets a buffer and offers its memory under another id
 * breaks it all the same; that cannot be seen here.
 */
#include "broker/publication/buffers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

#define RETIRED_MAX (2 * FB_BUFFERS_MAX)

typedef struct File {
        dev_t device;
        ino_t inode;
} File;

/* What makes a buffer that buffer. */
typedef struct Identity {
        uint64_t id; /* the publisher's; 0: none */
        uint32_t n_files;
        File files[FB_MEMORIES_MAX];
} Identity;

typedef struct Buffer {
        Identity identity;
        uint64_t public_id;
        int fds[FB_MEMORIES_MAX]; /* as many as files */
        uint64_t seq;             /* of the frame that it is lent with */
        uint64_t bytes;
        bool lent, retired, forgotten;
} Buffer;

typedef struct Retired {
        Identity identity;
        bool may_cross; /* a frame may be under way in it, */
        bool revoked;   /* and is not to be seen */
} Retired;

struct Buffers {
        const BuffersHandler *handler; /* NULL: the publisher is gone */
        void *userdata;
        unsigned int n_refs; /* the publication's, and one a frame */
        uint64_t bytes;      /* of all */
        uint32_t n_fds;
        Buffer slots[FB_BUFFERS_MAX];
        Retired retired[RETIRED_MAX]; /* the last ones */
        unsigned int next_retired;
};

Buffers *buffers_new(const BuffersHandler *handler, void *userdata) {
        Buffers *b = calloc(1, sizeof *b);

        if (!b)
                return NULL;
        b->handler = handler;
        b->userdata = userdata;
        b->n_refs = 1;
        return b;
}

static void buffer_close(Buffer *buffer) {
        for (uint32_t i = 0; i < buffer->identity.n_files; i++)
                fb_close(buffer->fds[i]);
        *buffer = (Buffer){};
}

static int resize(Buffers *b, uint64_t bytes, uint32_t n_fds, const char **ret_why) {
        if (b->handler && b->handler->resized)
                fb_try(b->handler->resized(bytes, n_fds, ret_why, b->userdata));
        b->bytes = bytes;
        b->n_fds = n_fds;
        return 0;
}

static void drop(Buffers *b, Buffer *buffer) {
        const char *why;

        (void)resize(b, b->bytes - buffer->bytes, b->n_fds - buffer->identity.n_files, &why);
        buffer_close(buffer);
}

static void unref(Buffers *b) {
        if (--b->n_refs > 0)
                return;
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                buffer_close(&b->slots[i]);
        free(b);
}

Buffers *buffers_free(Buffers *b) {
        if (!b)
                return NULL;
        b->handler = NULL;
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (!b->slots[i].lent)
                        drop(b, &b->slots[i]);
        unref(b);
        return NULL;
}

static uint64_t slot_bit(const Buffers *b, const Buffer *buffer) {
        return UINT64_C(1) << (buffer - b->slots);
}

/* ---- lending ---- */

static void give_back(Frame *f, void *userdata) {
        Buffers *b = userdata;
        Buffer *buffer = &b->slots[__builtin_ctzll(f->slot)];
        uint64_t seq = buffer->seq;

        free(f);
        buffer->lent = false;
        if (buffer->retired || buffer->forgotten || !b->handler)
                drop(b, buffer);
        if (b->handler)
                b->handler->returned(seq, b->userdata);
        unref(b);
}

static const FrameHome lent_home = { give_back };

static bool identify(const Frame *f, Identity *ret) {
        Identity identity = { .id = f->meta.buffer, .n_files = f->n_fds };
        struct stat st;

        for (uint32_t i = 0; i < f->n_fds; i++) {
                if (fstat(f->fds[i], &st) < 0)
                        return false;
                identity.files[i] = (File){ st.st_dev, st.st_ino };
        }
        *ret = identity;
        return true;
}

static bool same_files(const Identity *a, const Identity *b) {
        if (a->n_files != b->n_files)
                return false;
        for (uint32_t i = 0; i < a->n_files; i++)
                if (a->files[i].device != b->files[i].device || a->files[i].inode != b->files[i].inode)
                        return false;
        return true;
}

/* @id 0: a slot that is free. */
static Buffer *find(Buffers *b, uint64_t id) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (b->slots[i].identity.id == id)
                        return &b->slots[i];
        return NULL;
}

static Retired *find_retired(Buffers *b, uint64_t id) {
        for (size_t i = 0; i < RETIRED_MAX; i++)
                if (b->retired[i].identity.id == id)
                        return &b->retired[i];
        return NULL;
}

static int import(Buffers *b, const Frame *f, const Identity *identity, Buffer **ret, const char **ret_why) {
        static uint64_t last_public_id; /* of all publications: receivers outlive them */
        Buffer *free_slot = find(b, 0), buffer = { .public_id = last_public_id + 1, .bytes = f->bytes };
        int r;

        if (!free_slot)
                return *ret_why = "more than 64 buffers: forget some", FB_E_LIMIT;
        while (buffer.identity.n_files < f->n_fds) {
                int fd = fd_dup_cloexec(f->fds[buffer.identity.n_files]);

                if (fd < 0) {
                        buffer_close(&buffer);
                        return *ret_why = "the broker has no file descriptor for it", FB_E_LIMIT;
                }
                buffer.fds[buffer.identity.n_files++] = fd;
        }
        r = resize(b, b->bytes + f->bytes, b->n_fds + f->n_fds, ret_why);
        if (r != 0) {
                buffer_close(&buffer);
                return r;
        }
        last_public_id++;
        buffer.identity = *identity;
        *free_slot = buffer;
        b->handler->renewed(slot_bit(b, free_slot), b->userdata);
        *ret = free_slot;
        return 0;
}

/* The buffer of a frame that came, imported if it is new. */
static int look_up(Buffers *b, const Frame *f, Buffer **ret, const char **ret_why) {
        Retired *retired;
        Identity identity;
        Buffer *buffer;

        if (!identify(f, &identity))
                return *ret_why = "the memory cannot be told from other memory", FB_E_INVALID_MEMORY;
        buffer = find(b, identity.id);
        retired = buffer ? NULL : find_retired(b, identity.id);
        if (buffer && buffer->lent)
                return *ret_why = "the buffer is lent: its last frame was not released", FB_E_INVALID_FRAME;
        if (retired && !retired->may_cross)
                return *ret_why = "the buffer was retired", FB_E_INVALID_FRAME;
        if (retired && retired->revoked) {
                retired->may_cross = false;
                return *ret_why = "the buffer was retired when the frame was under way", FB_E_GONE;
        }
        if ((buffer && !same_files(&buffer->identity, &identity)) ||
            (retired && !same_files(&retired->identity, &identity)))
                return *ret_why = "the buffer's id was that of other memory", FB_E_INVALID_MEMORY;
        if (!buffer)
                fb_try(import(b, f, &identity, &buffer, ret_why));
        if (retired) {
                retired->may_cross = false;
                buffer->retired = true;
        }
        *ret = buffer;
        return 0;
}

int buffers_lend(Buffers *b, const Frame *f, Frame **ret, const char **ret_why) {
        Frame *lent = frame_new(&lent_home, b);
        Buffer *buffer;
        int r;

        if (!lent)
                return -ENOMEM;
        r = look_up(b, f, &buffer, ret_why);
        if (r != 0) {
                free(lent);
                return r;
        }
        buffer->lent = true;
        buffer->seq = f->seq;
        b->n_refs++;

        lent->seq = f->seq;
        lent->pts_ns = f->pts_ns;
        lent->format = f->format;
        lent->flags = f->flags;
        lent->n_fds = f->n_fds;
        lent->n_planes = f->n_planes;
        lent->bytes = f->bytes;
        memcpy(lent->fds, buffer->fds, sizeof lent->fds);
        memcpy(lent->planes, f->planes, sizeof lent->planes);
        lent->meta = f->meta;
        lent->meta.buffer = buffer->public_id;
        lent->slot = slot_bit(b, buffer);
        *ret = lent;
        return 0;
}

/* ---- retiring ---- */

static void remember(Buffers *b, const Buffer *buffer) {
        b->retired[b->next_retired] = (Retired){ buffer->identity, .may_cross = !buffer->lent };
        b->next_retired = (b->next_retired + 1) % RETIRED_MAX;
}

size_t buffers_retire(Buffers *b, uint64_t slots, bool revoked, uint64_t ret_ids[static FB_BUFFERS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++) {
                Buffer *buffer = &b->slots[i];

                if (!(slots & slot_bit(b, buffer)) || buffer->identity.id == 0 || buffer->retired ||
                    buffer->forgotten)
                        continue;
                ret_ids[n++] = buffer->identity.id;
                remember(b, buffer);
                buffer->retired = true;
                if (!buffer->lent)
                        drop(b, buffer);
        }
        for (size_t i = 0; revoked && i < RETIRED_MAX; i++)
                b->retired[i].revoked = true;
        return n;
}

void buffers_forget(Buffers *b, const uint64_t *ids, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Buffer *buffer = ids[i] == 0 ? NULL : find(b, ids[i]);

                if (buffer && buffer->lent)
                        buffer->forgotten = true;
                else if (buffer)
                        drop(b, buffer);
        }
}

size_t buffers_get_n(const Buffers *b) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (b->slots[i].identity.id != 0)
                        n++;
        return n;
}

size_t buffers_get_n_lent(const Buffers *b) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                n += b->slots[i].lent;
        return n;
}
