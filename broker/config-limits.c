/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/config-limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/keyfile.h"

/* More of anything is not meant; sums of these do not overflow. */
#define LIMIT_MAX (UINT64_C(1) << 56)

typedef struct Reader {
        QuotaLimits limits;
        bool said[_QUOTA_KIND_MAX];
} Reader;

static bool read_unit(const char *unit, uint64_t *ret_factor) {
        static const char units[] = "KMGT";
        const char *u = *unit ? strchr(units, *unit) : NULL;

        *ret_factor = u ? UINT64_C(1) << (10 * (u - units + 1)) : 1;
        return *unit == 0 || (u && unit[1] == 0);
}

static bool read_amount(const char *value, bool bytes, uint64_t *ret) {
        uint64_t factor, n;
        char *end;

        if (value[0] < '0' || value[0] > '9')
                return false;
        errno = 0;
        n = strtoull(value, &end, 10);
        if (errno != 0 || (*end && !bytes) || !read_unit(end, &factor))
                return false;
        if (__builtin_mul_overflow(n, factor, &n) || n == 0 || n > LIMIT_MAX)
                return false;
        *ret = n;
        return true;
}

static int on_entry(const char *section, const char *key, const char *value, unsigned line, void *userdata,
                    const char **ret_why) {
        Reader *r = userdata;
        QuotaKind kind;

        if (!key)
                return strcmp(section, "Limits") == 0 ? 0 : FB_E_UNKNOWN_OPTION;
        kind = quota_kind_from_string(key);
        if ((int)kind < 0)
                return FB_E_UNKNOWN_OPTION;
        if (r->said[kind])
                return *ret_why = "it was given before", FB_E_INVALID_OPTION;
        r->said[kind] = true;
        if (read_amount(value, quota_kind_is_bytes(kind), &r->limits.max[kind]))
                return 0;
        *ret_why = quota_kind_is_bytes(kind) ?
                                   "it is to be a number of bytes from 1, with K, M, G or T perhaps" :
                                   "it is to be a number from 1";
        return FB_E_INVALID_OPTION;
}

int config_load_limits(const char *const *folders, size_t n, QuotaLimits *limits, char **ret_error) {
        char *error = NULL;

        for (size_t i = 0; i < n; i++) {
                Reader reader = { .limits = *limits };
                _cleanup_free_ char *path = NULL, *target = NULL;
                int r;

                if (asprintf(&path, "%s/framebus.conf", folders[i]) < 0)
                        return path = NULL, -ENOMEM;
                target = realpath(path, NULL);
                if (target && strcmp(target, "/dev/null") == 0)
                        break;
                r = keyfile_parse(path, on_entry, &reader, &error);
                if (r == -ENOMEM)
                        return r;
                if (r == -ENOENT || r == -ENOTDIR) {
                        free(take_ptr(error));
                        continue;
                }
                if (r == 0)
                        *limits = reader.limits;
                break;
        }
        *ret_error = error;
        return 0;
}
