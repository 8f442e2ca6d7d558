/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/api/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "broker/api/errors.h"
#include "broker/api/rights.h"

#define SEALED (1u << FB_MEMORY_SEALED)

static bool source_has(const Source *s, uint32_t kind) {
        return (s->memories | SEALED) & (1u << kind);
}

static bool source_gives(const Source *s, const Caller *c, uint32_t kind) {
        const AccessSource names = rights_names(s);

        return source_has(s, kind) && access_allows_memory(&s->api->access, &c->identity->subject, &names,
                                                           s->worker != NULL, s->owner_uid, kind);
}

/* "sealed, leased" */
static void add_word(char *text, size_t size, uint32_t kind) {
        size_t n = strlen(text);

        (void)snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "", fb_memory_to_string(kind));
}

static int no_common_memory(const Source *s, const Caller *c, const Options *o, sd_bus_error *ret_error) {
        char wishes[64] = "", offers[64] = "", forbidden[64] = "";

        for (uint32_t i = 0; i < o->memories.n; i++)
                add_word(wishes, sizeof wishes, o->memories.kinds[i]);
        for (uint32_t kind = 0; kind < FB_MEMORY_KINDS; kind++) {
                if (!source_has(s, kind))
                        continue;
                add_word(offers, sizeof offers, kind);
                if (!source_gives(s, c, kind))
                        add_word(forbidden, sizeof forbidden, kind);
        }
        return api_error(ret_error, FB_E_NO_COMMON_MEMORY, "you accept %s memory; source '%s' has %s%s%s%s",
                         wishes, s->name, offers, forbidden[0] ? ", but may not give you " : "", forbidden,
                         !forbidden[0] ? "" :
                         s->worker     ? ", as you are not the broker's user" :
                                         ", as its publisher is another user");
}

int memory_grant(const Source *s, const Caller *c, Options *o, sd_bus_error *ret_error) {
        for (uint32_t i = 0; i < o->memories.n; i++)
                if (source_gives(s, c, o->memories.kinds[i])) {
                        o->memory = o->memories.kinds[i];
                        return 0;
                }
        return no_common_memory(s, c, o, ret_error);
}

uint32_t memory_get_accepted(const Options *o) {
        return 1u << o->memory | (memory_list_get_mask(&o->memories) & SEALED);
}

#define SPARE_BUFFERS 3u /* one to fill, one under way, and the newest, which is kept */

/* As many of @n as its publisher may lend, with those that it needs besides. When they are all lent it says
 * so (WantBuffer), and who has held one longest gives way. */
static uint32_t limit_buffers(const Source *s, uint32_t n) {
        uint64_t max;

        if (!s->charge.quota || s->frame_bytes == 0)
                return n;
        max = quota_charge_get_max(&s->charge, QUOTA_BUFFER_BYTES) / s->frame_bytes;
        max = max > SPARE_BUFFERS ? max - SPARE_BUFFERS : 1;
        return n > 0 && n > max ? (uint32_t)max : n;
}

void memory_start(Source *s, const Mode *mode) {
        Start start = { .mode = *mode, .memories = s->stream.memories,
                        .n_buffers = limit_buffers(s, s->stream.n_buffers) };

        if (s->publication)
                publication_start(s->publication, &start);
}

void memory_on_said(Publication *p, uint32_t kinds, void *userdata) {
        ((Source *)userdata)->memories = kinds;
}

void memory_on_renewed(Publication *p, uint64_t slot, void *userdata) {
        stream_renew_slots(&((Source *)userdata)->stream, slot);
}

void memory_on_retire(Stream *stream, uint64_t slots, bool revoked) {
        Source *s = source_of_stream(stream);

        if (s->publication)
                publication_retire(s->publication, slots, revoked);
}

int memory_on_buffers(Publication *p, uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata) {
        Source *s = userdata;
        QuotaRefusal why;
        int r;

        if (!s->charge.quota)
                return 0; /* a capture program of ours: who watches is charged */
        r = quota_charge_set(&s->charge, QUOTA_BUFFER_BYTES, bytes, &why);
        if (r == 0)
                r = quota_charge_set(&s->charge, QUOTA_DESCRIPTORS, 1 + n_fds, &why);
        if (r != 0)
                *ret_why = quota_refusal_to_string(&why, s->buffers_why);
        return r;
}

void memory_on_want_buffer(Publication *p, void *userdata) {
        stream_take_back(&((Source *)userdata)->stream);
}
