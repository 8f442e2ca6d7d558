/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which command a configured source stands for: see framebus-sources.d(5). */
#pragma once

/*
 * Looks in CONFDIR/sources.d/<something>.conf, in the order of the names, for the source called @name: by its
 * Name=, or by the file's own name if there is none. A file that cannot be used is passed over, but told if
 * nothing else fits.
 *
 * @ret_argv   the words of Exec=, at least one; owned by the caller: argv_free()
 * @ret_error  why not, for people; set on every failure but -ENOMEM; owned by the caller: free()
 * Errors: -ENOENT: there is no such source; -EINVAL: there may be, but a file is wrong; -ENOMEM; what reading
 * failed with.
 */
int catalogue_find(const char *confdir, const char *name, char ***ret_argv, char **ret_error);
