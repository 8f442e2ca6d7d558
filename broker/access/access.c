/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/access.h"

bool access_allows(const Access *a, uid_t uid, const char *source, AccessVerb verb) {
        if (uid == 0 || uid == a->own)
                return true;
        return a->system && (verb == ACCESS_SEE || verb == ACCESS_WATCH);
}
