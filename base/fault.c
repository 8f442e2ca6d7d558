/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fault.h"

#ifdef FB_FAULT_POINTS

#include <stdlib.h>
#include <string.h>

long fault_point(const char *name) {
        const char *p = getenv("FRAMEBUS_FAULT");
        size_t n = strlen(name);

        for (; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (strncmp(p, name, n) == 0 && (p[n] == '=' || p[n] == ',' || !p[n]))
                        return p[n] == '=' ? strtol(p + n + 1, NULL, 10) : 1;
        return 0;
}

#endif
