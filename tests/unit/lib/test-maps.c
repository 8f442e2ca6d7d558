/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mappings of leased memory: kept while they are worth it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"
#include "base/memfd.h"
#include "libframebus/maps.h"

#define SIZE 4096u

static int file_with(unsigned char byte, size_t size) {
        char data[SIZE];
        int fd = memfd_new("map");

        memset(data, byte, sizeof data);
        if (fd < 0 || memfd_append(fd, data, sizeof data) < 0 || ftruncate(fd, (off_t)size) < 0)
                return -1;
        return fd;
}

static bool is_mapped(const void *data) {
        unsigned char v;

        return mincore((void *)data, 1, &v) == 0;
}

TEST(same_buffer_has_the_same_mapping) {
        Maps *maps = NULL;
        Map *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        int one = file_with(1, SIZE), two = file_with(2, SIZE);
        const void *data;
        size_t size = 0;

        REQUIRE_INT(maps_get(&maps, 7, 0, one, &a), 0);
        data = map_get_data(a, &size);
        CHECK_INT(size, SIZE);
        CHECK_INT(*(const unsigned char *)data, 1);
        map_put(a);
        REQUIRE_INT(maps_get(&maps, 7, 0, one, &b), 0);
        CHECK(map_get_data(b, &size) == data);
        REQUIRE_INT(maps_get(&maps, 7, 1, two, &c), 0); /* its other memory */
        CHECK_INT(*(const unsigned char *)map_get_data(c, &size), 2);
        REQUIRE_INT(maps_get(&maps, 7, 0, two, &d), 0); /* another file under its number */
        CHECK_INT(*(const unsigned char *)map_get_data(d, &size), 2);
        CHECK_INT(*(const unsigned char *)data, 1);
        map_put(b);
        map_put(c);
        map_put(d);
        CHECK(!maps_free(maps));
        CHECK(!is_mapped(data));
        CHECK(maps_get(&maps, 1, 0, -1, &a) < 0);
        close(one);
        close(two);
}

TEST(used_mapping_outlives_the_others) {
        Maps *maps = NULL;
        Map *a = NULL, *b = NULL, *again = NULL;
        int fd = file_with(1, SIZE);
        const void *used, *unused;
        size_t size;

        REQUIRE_INT(maps_get(&maps, 1, 0, fd, &a), 0);
        REQUIRE_INT(maps_get(&maps, 1, 0, fd, &again), 0);
        REQUIRE_INT(maps_get(&maps, 2, 0, fd, &b), 0);
        used = map_get_data(a, &size);
        unused = map_get_data(b, &size);
        map_put(b);
        CHECK(!maps_free(maps));
        CHECK(is_mapped(used));
        CHECK(!is_mapped(unused));
        map_put(a);
        CHECK(is_mapped(used));
        map_put(again);
        CHECK(!is_mapped(used));
        close(fd);
}

/* Nobody tells when a buffer does not come back, and its memory stays as long as it is mapped. */
TEST(what_does_not_come_back_goes) {
        static const struct {
                size_t size;
                unsigned uses;  /* of so many others, */
                unsigned cycle; /* in turn */
                bool kept;
        } rows[] = {
                { SIZE, 31, 31, true }, { SIZE, 32, 32, false },
                { SIZE, 64, 2, true },  { SIZE, 65, 2, false },
                { (size_t)100 << 20, 1, 1, true }, { (size_t)100 << 20, 2, 2, false },
        };

        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                int fd = file_with(1, rows[i].size);
                Maps *maps = NULL;
                const void *data;
                Map *m = NULL;
                size_t size;

                ROW("row %zu", i);
                REQUIRE_INT(maps_get(&maps, 1000, 0, fd, &m), 0);
                data = map_get_data(m, &size);
                map_put(m);
                for (unsigned n = 0; n < rows[i].uses; n++) {
                        REQUIRE_INT(maps_get(&maps, 1 + n % rows[i].cycle, 0, fd, &m), 0);
                        map_put(m);
                }
                CHECK_INT(is_mapped(data), rows[i].kept);
                maps_free(maps);
                close(fd);
        }
}

TEST_MAIN
