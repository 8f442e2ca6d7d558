/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker has read the same files, but what it says is a name, never a command: a broker that was taken
 * over can start what is configured and nothing else.
 */
#include "sources/capture/catalogue.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/keyfile.h"
#include "interfaces/wire.h"

#define SUFFIX ".conf"

typedef struct SourceFile {
        char *name;
        char **argv;
} SourceFile;

static void source_file_done(SourceFile *f) {
        free(f->name);
        argv_free(f->argv);
        *f = (SourceFile){ 0 };
}

static int take_exec(SourceFile *f, const char *value, const char **ret_why) {
        int r;

        if (f->argv)
                return *ret_why = "it was given before", FB_E_INVALID_OPTION;
        r = argv_split(value, &f->argv, ret_why);
        if (r == -EINVAL || r == -E2BIG)
                return FB_E_INVALID_OPTION;
        if (r < 0)
                return r;
        if (r == 0 || !f->argv[0][0])
                return *ret_why = "it names no program", FB_E_INVALID_OPTION;
        if (strchr(f->argv[0], '/') && f->argv[0][0] != '/')
                return *ret_why = "the program must be a plain name or an absolute path", FB_E_INVALID_OPTION;
        return 0;
}

static int on_entry(const char *section, const char *key, const char *value, unsigned line, void *userdata,
                    const char **ret_why) {
        SourceFile *f = userdata;

        if (!key)
                return strcmp(section, "Source") == 0 ? 0 : FB_E_UNKNOWN_OPTION;
        if (strcmp(key, "Exec") == 0)
                return take_exec(f, value, ret_why);
        if (strcmp(key, "Name") == 0) {
                if (f->name || !fb_source_name_is_valid(value))
                        return *ret_why = f->name ? "it was given before" : "not a name for a source",
                               FB_E_INVALID_OPTION;
                f->name = strdup(value);
                return f->name ? 0 : -ENOMEM;
        }
        return strcmp(key, "Description") == 0 ? 0 : FB_E_UNKNOWN_OPTION;
}

static int fail(char **ret_error, int r, const char *what, const char *why) {
        return asprintf(ret_error, "%s%s", what, why) < 0 ? (*ret_error = NULL, -ENOMEM) : r;
}

/* 1: it is the one; 0: it is another. */
static int try_file(const char *folder, const char *file, const char *wanted, char ***ret_argv,
                    char **ret_error) {
        _cleanup_(source_file_done) SourceFile f = { 0 };
        _cleanup_free_ char *path = NULL;
        size_t stem = strlen(file) - strlen(SUFFIX);
        int r;

        if (asprintf(&path, "%s/%s", folder, file) < 0)
                return path = NULL, -ENOMEM;
        r = keyfile_parse(path, on_entry, &f, ret_error);
        if (r < 0)
                return r;
        if (f.name ? strcmp(f.name, wanted) != 0 : strlen(wanted) != stem || strncmp(file, wanted, stem) != 0)
                return 0;
        if (!f.argv)
                return fail(ret_error, -EINVAL, path, ": [Source] without Exec=");
        *ret_argv = take_ptr(f.argv);
        return 1;
}

static int is_source_file(const struct dirent *e) {
        size_t n = strlen(e->d_name), suffix = strlen(SUFFIX);

        return e->d_name[0] != '.' && n > suffix && strcmp(e->d_name + n - suffix, SUFFIX) == 0;
}

/* As the broker orders them, whatever the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int try_files(const char *folder, struct dirent **files, int n, const char *name, char ***ret_argv,
                     char **ret_error) {
        _cleanup_free_ char *first_error = NULL;
        int r = 0, first = -ENOENT;

        for (int i = 0; i < n; i++) {
                char *error = NULL;

                r = try_file(folder, files[i]->d_name, name, ret_argv, &error);
                if (r < 0 && !first_error && error) {
                        first_error = error;
                        first = r == -ENOENT ? -EINVAL : r;
                } else
                        free(error);
                if (r > 0 || r == -ENOMEM)
                        return r < 0 ? r : 0;
        }
        if (first_error)
                return *ret_error = take_ptr(first_error), first;
        return fail(ret_error, -ENOENT, "no such source in ", folder);
}

int catalogue_find(const char *confdir, const char *name, char ***ret_argv, char **ret_error) {
        _cleanup_free_ char *folder = NULL;
        struct dirent **files = NULL;
        int n, r;

        if (asprintf(&folder, "%s/sources.d", confdir) < 0)
                return folder = NULL, -ENOMEM;
        n = scandir(folder, &files, is_source_file, compare_names);
        if (n < 0) {
                r = -errno;
                return asprintf(ret_error, "%s: %s", folder, strerror(-r)) < 0 ? (*ret_error = NULL, -ENOMEM)
                                                                               : r;
        }
        r = try_files(folder, files, n, name, ret_argv, ret_error);
        while (n > 0)
                free(files[--n]);
        free(files);
        return r;
}
