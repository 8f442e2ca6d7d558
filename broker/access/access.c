/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/access.h"

#include "interfaces/wire.h"

bool access_allows(const Access *a, uid_t uid, const char *source, AccessVerb verb) {
        if (uid == 0 || uid == a->own)
                return true;
        return a->system && (verb == ACCESS_SEE || verb == ACCESS_WATCH);
}

bool access_allows_memory(const Access *a, uid_t uid, bool configured, uid_t publisher, uint32_t kind) {
        bool same_user = !configured && publisher == uid;

        switch (kind) {
        case FB_MEMORY_SEALED:
                return true;
        case FB_MEMORY_LEASED:
                return configured || same_user;
        default:
                return uid == 0 || (!a->system && uid == a->own) || same_user;
        }
}
