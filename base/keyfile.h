/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Configuration files: "[Section]" lines, "Key=Value" lines, empty lines, comment lines (# or ;).
 * Blanks around section, key and value do not count. A value is the rest of its line as it stands: no
 * quotes, no escapes, no continuation, no comment behind it. Names are case-sensitive. The text must be UTF-8
 * without NUL.
 */
#pragma once

#include <stddef.h>

#define KEYFILE_SIZE_MAX 65536u

/*
 * Takes one entry. Called with @key and @value NULL for a section's own line, so that a section is refused
 * where it begins; otherwise @value is never NULL and may be empty. The strings are valid during the call.
 *
 * Returns 0; FB_E_UNKNOWN_OPTION: no such section (if @key is NULL) or key; FB_E_INVALID_OPTION: a bad value,
 * with *@ret_why, a constant string, saying what is wrong with it; negative errno: parsing ends with that.
 */
typedef int (*keyfile_handler)(const char *section, const char *key, const char *value, unsigned line,
                               void *userdata, const char **ret_why);

/*
 * Reads @path, a regular file of at most KEYFILE_SIZE_MAX bytes, and calls @handler for each entry in order,
 * until one is refused.
 *
 * @ret_error  set on every failure but -ENOMEM: "FILE: why" or "FILE:LINE: why"; owned by the caller: free()
 * Returns 0; what opening and reading failed with (-ENOENT, -EACCES, …); -EFBIG: too large; -EINVAL: not a
 * regular file, not such a file, or an entry refused with a positive value; a handler's negative errno.
 */
int keyfile_parse(const char *path, keyfile_handler handler, void *userdata, char **ret_error);

/* The same for @size bytes of text; @path is only for messages. */
int keyfile_parse_text(const char *path, const char *text, size_t size, keyfile_handler handler,
                       void *userdata, char **ret_error);
