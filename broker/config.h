/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's configuration: the files sources.d/NAME.conf of one or more folders, each of which describes
 * one source:
 *
 *     [Source]
 *     Name=door                 what clients call it; default: the file's name without .conf
 *     Description=Front door    for people; default: none
 *     Exec=framebus-v4l2 /dev/video3      required; words and quotes as in base/argv.h, nothing else
 *     PulseVideo=dev_video3     also shown as com.stbtester.VideoSource.dev_video3; default: not
 *
 * Exec= begins with a program's plain name, which is looked for among the capture programs, or its absolute
 * path. A file in an earlier folder replaces one of the same file name in a later one; a symbolic link to
 * /dev/null there takes the source away. Files that do not end in .conf, or begin with a dot, are not looked
 * at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ConfigSource {
        char *name;        /* of the grammar of fb_source_name_is_valid(), unique */
        char *description; /* NULL: none */
        char *pulsevideo;  /* NULL: none */
        char **argv;       /* at least one word, NULL-terminated */
        char *path;        /* the file that says so */
} ConfigSource;

typedef struct Config {
        char *folder;          /* the first one, where a new file would go; NULL if there is none */
        ConfigSource *sources; /* in the order of the file names */
        size_t n_sources;
} Config;

/*
 * Reads what is there; a folder that does not exist is an empty one. What cannot be used (an unknown section
 * or key, a bad value, a name that is no name or is taken by an earlier file, an unreadable file) costs that
 * file alone.
 *
 * @folders    paths, the most important first; @n of them
 * @ret        owned by the caller: config_free()
 * @ret_error  set on success: NULL, or what was not used and why, "FILE:LINE: why" or "FILE: why", one a
 *             line, without a newline at the end; owned by the caller: free()
 * Returns 0 or -ENOMEM.
 */
int config_load(const char *const *folders, size_t n, Config *ret, char **ret_error);

/* Frees what it holds and leaves it empty; takes an empty one. */
void config_free(Config *c);
