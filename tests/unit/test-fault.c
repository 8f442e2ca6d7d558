/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Built with fault points compiled in, whatever the build says. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "tests/unit/test.h"

TEST(points_are_armed_by_name) {
        static const struct {
                const char *armed, *name;
                long value;
        } rows[] = {
                { NULL, "a", 0 },      { "", "a", 0 },         { "a", "a", 1 },        { "a=5", "a", 5 },
                { "ab", "a", 0 },      { "b,a", "a", 1 },      { "b=2,a=-3", "a", -3 }, { "a=0", "a", 0 },
                { "xa=1", "a", 0 },    { "b=a", "a", 0 },      { "a,b=7", "b", 7 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%s", rows[i].armed ? rows[i].armed : "unset");
                if (rows[i].armed)
                        setenv("FRAMEBUS_FAULT", rows[i].armed, 1);
                else
                        unsetenv("FRAMEBUS_FAULT");
                CHECK_INT(fault_point(rows[i].name), rows[i].value);
        }
}

TEST_MAIN
