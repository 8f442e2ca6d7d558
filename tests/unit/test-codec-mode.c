/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modes through a real connection, and modes that make no sense. */
#include <drm_fourcc.h>

#include "base/error.h"
#include "tests/unit/pair.h"
#include "wire/codec.h"

static bool mode_round_trip(Pair *p, const Mode *mode, bool wish, Mode *ret, int *ret_r) {
        sd_bus_message *m = pair_message(p);
        VardictError error = { 0 };

        if (codec_append_mode(m, mode) < 0 || !(m = pair_send(p, m)))
                return false;
        *ret_r = codec_read_mode(m, wish, ret, &error);
        return true;
}

#define VGA DRM_FORMAT_NV12, .width = 640, .height = 480

TEST(modes_arrive_as_they_were) {
        static const struct {
                const char *name;
                Mode mode;
                bool wish;
                int expected;
        } rows[] = {
                { "fixed", { VGA, .rate = { 30000, 1001 } }, false, 0 },
                { "rate not known", { VGA, .rate = { 0, 1 } }, false, 0 },
                { "tiled", { VGA, .modifier = 5 }, false, 0 },
                { "ranges",
                  { DRM_FORMAT_NV12,
                    .width = 640,
                    .width_range = { 32, 1920, 2 },
                    .height_range = { 32, 1080, 2 },
                    .rate = { 30, 1 },
                    .rate_min = { 1, 2 },
                    .rate_max = { 120, 1 } },
                  false, 0 },
                { "a wish for anything", { .any_modifier = true }, true, 0 },
                { "a wish for linear", { DRM_FORMAT_NV12 }, true, 0 },
                { "a wish for a width", { .any_modifier = true, .width = 640 }, true, 0 },
                { "an offer of anything", { 0 }, false, FB_E_INVALID_OPTION },
                { "an offer without height", { DRM_FORMAT_NV12, .width = 8 }, false, FB_E_INVALID_OPTION },
                { "too wide", { DRM_FORMAT_NV12, .width = 65536, .height = 1 }, false, FB_E_INVALID_OPTION },
                { "a range upside down", { DRM_FORMAT_NV12, .width_range = { 9, 8, 1 }, .height = 1 }, true,
                  FB_E_INVALID_OPTION },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char a[MODE_STRING_MAX], b[MODE_STRING_MAX];
                Mode got = { 0 };
                int r = -1;

                ROW("%s", rows[i].name);
                REQUIRE(mode_round_trip(&p, &rows[i].mode, rows[i].wish, &got, &r));
                CHECK_INT(r, rows[i].expected);
                if (r != 0)
                        continue;
                CHECK_STR(mode_to_string(&got, a), mode_to_string(&rows[i].mode, b));
                CHECK(mode_equal(&got, &rows[i].mode));
        }
}

/* a{sv} by hand: what codec_append_mode() would never write. */
TEST(wishes_are_read_strictly_and_offers_leniently) {
        static const struct {
                const char *name, *key, *type;
                uint32_t value;
                int wish, offer;
                const char *error_key;
        } rows[] = {
                { "unknown key", "size", "u", 5, FB_E_UNKNOWN_OPTION, 0, "size" },
                { "wrong type", "rate", "u", 5, FB_E_INVALID_OPTION, FB_E_INVALID_OPTION, "rate" },
                { "a key twice", "width", "u", 5, FB_E_INVALID_OPTION, FB_E_INVALID_OPTION, "width" },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows) * 2; i++) {
                bool wish = i % 2;
                VardictError error = { 0 };
                sd_bus_message *m = pair_message(&p);
                Mode mode;

                ROW("%s, %s", rows[i / 2].name, wish ? "wish" : "offer");
                sd_bus_message_append(m, "a{sv}", 4, "fourcc", "u", DRM_FORMAT_NV12, "width", "u", 8u,
                                      "height", "u", 8u, rows[i / 2].key, rows[i / 2].type,
                                      rows[i / 2].value);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_mode(m, wish, &mode, &error),
                          wish ? rows[i / 2].wish : rows[i / 2].offer);
                if (wish)
                        CHECK_STR(error.key, rows[i / 2].error_key);
        }
}

TEST(rates_and_ranges_without_sense) {
        static const struct {
                const char *name, *key, *type;
                uint32_t v[4];
        } rows[] = {
                { "rate x/0", FB_KEY_RATE, "(uu)", { 30, 0 } },
                { "least over most", FB_KEY_RATE_RANGE, "(uuuu)", { 60, 1, 30, 1 } },
                { "rates over 0", FB_KEY_RATE_RANGE, "(uuuu)", { 60, 1, 30, 0 } },
                { "no rates", FB_KEY_RATE_RANGE, "(uuuu)", { 0, 1, 0, 1 } },
                { "no step", FB_KEY_WIDTH_RANGE, "(uuu)", { 1, 9, 0 } },
                { "no widths", FB_KEY_WIDTH_RANGE, "(uuu)", { 0, 0, 1 } },
                { "heights from 0", FB_KEY_HEIGHT_RANGE, "(uuu)", { 0, 9, 1 } },
                { "heights beyond", FB_KEY_HEIGHT_RANGE, "(uuu)", { 1, UINT32_MAX, 1 } },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                sd_bus_message *m = pair_message(&p);
                VardictError error = { 0 };
                Mode mode;

                ROW("%s", rows[i].name);
                sd_bus_message_append(m, "a{sv}", 1, rows[i].key, rows[i].type, rows[i].v[0], rows[i].v[1],
                                      rows[i].v[2], rows[i].v[3]);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_mode(m, true, &mode, &error), FB_E_INVALID_OPTION);
                CHECK(error.key);
        }
}

static int modes_round_trip(Pair *p, size_t n, Mode **ret_modes, size_t *ret_n, VardictError *ret_error) {
        sd_bus_message *m = pair_message(p);
        Mode *modes = calloc(n + 1, sizeof *modes);
        int r;

        for (size_t i = 0; i < n; i++)
                modes[i] = (Mode){ DRM_FORMAT_NV12, .width = (uint32_t)i + 1, .height = 1, .rate = { 1, 1 } };
        r = codec_append_modes(m, (ModeList){ modes, n });
        free(modes);
        m = pair_send(p, m);
        if (r < 0 || !m)
                return -EIO;
        return codec_read_modes(m, false, ret_modes, ret_n, ret_error);
}

TEST(lists_of_modes) {
        static const size_t numbers[] = { 0, 1, 8, 9, FB_MODES_MAX };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(numbers); i++) {
                _cleanup_free_ Mode *modes = NULL;
                VardictError error = { 0 };
                size_t n = 999;

                ROW("%zu modes", numbers[i]);
                REQUIRE_INT(modes_round_trip(&p, numbers[i], &modes, &n, &error), 0);
                CHECK_INT(n, numbers[i]);
                for (size_t k = 0; k < n; k++)
                        CHECK_INT(modes[k].width, k + 1);
        }
}

TEST(too_many_modes) {
        _cleanup_free_ Mode *modes = NULL;
        VardictError error = { 0 };
        _cleanup_pair_ Pair p;
        size_t n = 999;

        REQUIRE(pair_init(&p));
        CHECK_INT(modes_round_trip(&p, FB_MODES_MAX + 1, &modes, &n, &error), FB_E_INVALID_OPTION);
        CHECK_STR(error.key, FB_KEY_MODES);
        CHECK(!modes);
        CHECK_INT(n, 999);
}

TEST(start_says_what_memory_is_needed) {
        static const Start rows[] = {
                { { DRM_FORMAT_NV12, .width = 4, .height = 2, .rate = { 30, 1 } },
                  1u << FB_MEMORY_SEALED,
                  0 },
                { { DRM_FORMAT_NV12, .width = 4, .height = 2, .rate = { 0, 1 } },
                  1u << FB_MEMORY_LEASED | 1u << FB_MEMORY_DMABUF, 20 },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                sd_bus_message *m = pair_message(&p);
                VardictError error = { 0 };
                Mode mode;
                Start got;

                REQUIRE(codec_append_start(m, &rows[i]) >= 0);
                m = pair_send(&p, m);
                REQUIRE(m);
                REQUIRE_INT(codec_read_start(m, &got, &error), 0);
                CHECK(mode_equal(&got.mode, &rows[i].mode));
                CHECK_INT(got.memories, rows[i].memories);
                CHECK_INT(got.n_buffers, rows[i].n_buffers);
                /* who knows nothing of it reads a mode */
                CHECK(sd_bus_message_rewind(m, 1) >= 0);
                CHECK_INT(codec_read_mode(m, false, &mode, &error), 0);
        }
}

TEST(start_without_a_word_about_memory) {
        _cleanup_pair_ Pair p;
        sd_bus_message *m;
        VardictError error = { 0 };
        Start got;
        Mode mode = { DRM_FORMAT_NV12, .width = 4, .height = 2, .rate = { 30, 1 } };

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        REQUIRE(codec_append_mode(m, &mode) >= 0);
        m = pair_send(&p, m);
        REQUIRE_INT(codec_read_start(m, &got, &error), 0);
        CHECK_INT(got.memories, 1u << FB_MEMORY_SEALED);
        CHECK_INT(got.n_buffers, 0);
        m = pair_message(&p);
        sd_bus_message_append(m, "a{sv}", 1, "memory", "as", 2, "leased", "of-tomorrow");
        m = pair_send(&p, m);
        CHECK_INT(codec_read_start(m, &got, &error), FB_E_INVALID_OPTION); /* no mode */
}

TEST(kinds_of_memory_in_order) {
        static const struct {
                const char *words[4];
                unsigned n, n_known;
                uint32_t first, mask;
        } rows[] = {
                { { "leased", "sealed" }, 2, 2, FB_MEMORY_LEASED, 3 },
                { { "sealed", "dmabuf", "sealed", "sealed" }, 4, 2, FB_MEMORY_SEALED, 5 },
                { { "of-tomorrow", "dmabuf" }, 2, 1, FB_MEMORY_DMABUF, 4 },
                { { 0 }, 0, 0, 0, 0 },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                sd_bus_message *m = pair_message(&p);
                MemoryList list = { .n = 99 };

                ROW("%zu", i);
                sd_bus_message_open_container(m, 'a', "s");
                for (unsigned k = 0; k < rows[i].n; k++)
                        sd_bus_message_append(m, "s", rows[i].words[k]);
                sd_bus_message_close_container(m);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_memories(m, true, &list), 0);
                CHECK_INT(list.n, rows[i].n_known);
                CHECK(list.n == 0 || list.kinds[0] == rows[i].first);
                CHECK_INT(memory_list_get_mask(&list), rows[i].mask);
                sd_bus_message_rewind(m, 1);
                list.n = 99;
                CHECK_INT(codec_read_memories(m, false, &list), i == 2 ? FB_E_INVALID_OPTION : 0);
                CHECK_INT(list.n, i == 2 ? 99 : rows[i].n_known);
        }
}

TEST_MAIN
