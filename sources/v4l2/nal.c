/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parameter sets stand before the first picture of a frame, so no more than that is searched. Those that come
 * with a sequence's own set replace what was known, others are added to it. Nothing is parsed but the types
 * of units.
 */
#include "sources/v4l2/nal.h"

#include <linux/videodev2.h>
#include <string.h>

typedef enum UnitKind {
        UNIT_VPS = NAL_VPS,
        UNIT_SPS = NAL_SPS,
        UNIT_PPS = NAL_PPS,
        UNIT_DELIMITER,
        UNIT_PICTURE,
        UNIT_OTHER,
} UnitKind;

typedef struct Unit {
        size_t start;  /* of the start code, a zero in front of it included */
        size_t header; /* the first byte behind it */
} Unit;

bool nal_is_stream(uint32_t v4l2) {
        return v4l2 == V4L2_PIX_FMT_H264 || v4l2 == V4L2_PIX_FMT_HEVC;
}

static unsigned get_type(uint32_t v4l2, uint8_t header) {
        return v4l2 == V4L2_PIX_FMT_HEVC ? header >> 1 & 0x3f : header & 0x1f;
}

static UnitKind get_kind(uint32_t v4l2, uint8_t header) {
        unsigned type = get_type(v4l2, header);

        if (v4l2 == V4L2_PIX_FMT_HEVC)
                switch (type) {
                case 32:
                        return UNIT_VPS;
                case 33:
                        return UNIT_SPS;
                case 34:
                        return UNIT_PPS;
                case 35:
                        return UNIT_DELIMITER;
                default:
                        return type < 32 ? UNIT_PICTURE : UNIT_OTHER;
                }
        switch (type) {
        case 7:
                return UNIT_SPS;
        case 8:
                return UNIT_PPS;
        case 9:
                return UNIT_DELIMITER;
        default:
                return type >= 1 && type <= 5 ? UNIT_PICTURE : UNIT_OTHER;
        }
}

static bool find_unit(const uint8_t *d, size_t size, size_t from, Unit *ret) {
        for (size_t i = from; i + 3 < size; i++) {
                if (d[i] || d[i + 1] || d[i + 2] != 1)
                        continue;
                *ret = (Unit){ .start = i > from && !d[i - 1] ? i - 1 : i, .header = i + 3 };
                return true;
        }
        return false;
}

bool nal_is_intra(uint32_t v4l2, const void *data, size_t size) {
        const uint8_t *d = data;
        Unit u = { 0 };

        while (find_unit(d, size, u.header, &u)) {
                unsigned type = get_type(v4l2, d[u.header]);

                if (get_kind(v4l2, d[u.header]) == UNIT_PICTURE)
                        return v4l2 == V4L2_PIX_FMT_HEVC ? type >= 16 && type <= 23 : type == 5;
        }
        return false;
}

static void remember(NalSets *s, UnitKind kind, const uint8_t *unit, size_t size) {
        static const uint8_t start_code[] = { 0, 0, 0, 1 };
        uint8_t *set = s->data[kind];
        size_t used = s->sizes[kind];

        if (used && memmem(set, used, unit, size))
                return;
        if (used + sizeof start_code + size > NAL_SETS_MAX) {
                s->sizes[kind] = 0;
                return;
        }
        memcpy(set + used, start_code, sizeof start_code);
        memcpy(set + used + sizeof start_code, unit, size);
        s->sizes[kind] = used + sizeof start_code + size;
}

static bool collect_missing(NalSets *s, uint32_t v4l2, const bool *has, NalPrefix *p) {
        p->data = s->prefix;
        for (int kind = v4l2 == V4L2_PIX_FMT_HEVC ? NAL_VPS : NAL_SPS; kind < NAL_KINDS; kind++) {
                if (has[kind])
                        continue;
                if (s->sizes[kind] == 0)
                        return false;
                memcpy(s->prefix + p->size, s->data[kind], s->sizes[kind]);
                p->size += s->sizes[kind];
        }
        return true;
}

bool nal_complete(NalSets *s, uint32_t v4l2, const void *data, size_t size, NalPrefix *ret_prefix) {
        const uint8_t *d = data;
        bool has[NAL_KINDS] = { false }, first = true;
        NalPrefix p = { 0 };
        Unit u, next = { 0 };

        for (bool found = find_unit(d, size, 0, &u); found; u = next, first = false) {
                UnitKind kind = get_kind(v4l2, d[u.header]);
                size_t end;

                if (kind == UNIT_PICTURE)
                        break;
                found = find_unit(d, size, u.header, &next);
                end = found ? next.start : size;
                if (kind == UNIT_DELIMITER && first)
                        p.at = end;
                if (kind > UNIT_PPS)
                        continue;
                if (!has[kind] && (kind != UNIT_PPS || has[NAL_SPS]))
                        s->sizes[kind] = 0; /* replaced */
                has[kind] = true;
                remember(s, kind, d + u.header, end - u.header);
        }
        if (!collect_missing(s, v4l2, has, &p))
                return false;
        *ret_prefix = p;
        return true;
}
