/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collects the file names of all folders first, each with the folder that wins, then reads the files in the
 * order of their names: so the result does not depend on the order in which a folder lists them, and of two
 * files with one Name= it is always the same that is refused.
 */
#include "broker/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/keyfile.h"
#include "interfaces/wire.h"

#define CONFIG_SUFFIX ".conf"

typedef struct File {
        char *name;
        size_t folder; /* index */
} File;

typedef struct Loader {
        const char *const *folders;
        size_t n_folders;
        File *files;
        size_t n_files;
        Config config;
        char *errors;
} Loader;

/* What a file says while it is being read. */
typedef struct Entry {
        ConfigSource source;
        unsigned name_line;
} Entry;

static void config_source_done(ConfigSource *s) {
        free(s->name);
        free(s->description);
        free(s->pulsevideo);
        argv_free(s->argv);
        free(s->path);
        *s = (ConfigSource){};
}

static void entry_done(Entry *e) {
        config_source_done(&e->source);
}

static void loader_done(Loader *l) {
        for (size_t i = 0; i < l->n_files; i++)
                free(l->files[i].name);
        free(l->files);
        free(l->errors);
        config_free(&l->config);
}

static int loader_complain(Loader *l, const char *path, unsigned line, const char *why, const char *detail) {
        char *all;
        char at[16] = "";

        if (line > 0)
                snprintf(at, sizeof at, ":%u", line);
        if (asprintf(&all, "%s%s%s%s%s%s%s", l->errors ?: "", l->errors ? "\n" : "", path, at,
                     line > 0 || *why ? ": " : "", why, detail) < 0)
                return -ENOMEM;
        free(l->errors);
        l->errors = all;
        return 0;
}

static int loader_add_file(Loader *l, size_t folder, const char *name) {
        size_t n = strlen(name), suffix = strlen(CONFIG_SUFFIX);
        File *files;

        if (name[0] == '.' || n <= suffix || strcmp(name + n - suffix, CONFIG_SUFFIX) != 0)
                return 0;
        for (size_t i = 0; i < l->n_files; i++)
                if (strcmp(l->files[i].name, name) == 0)
                        return 0;
        files = reallocarray(l->files, l->n_files + 1, sizeof *files);
        if (!files)
                return -ENOMEM;
        l->files = files;
        files[l->n_files] = (File){ .name = strdup(name), .folder = folder };
        return files[l->n_files].name ? (l->n_files++, 0) : -ENOMEM;
}

static int loader_list_folder(Loader *l, size_t folder) {
        _cleanup_free_ char *path = NULL;
        struct dirent *e;
        DIR *dir;
        int r = 0;

        if (asprintf(&path, "%s/sources.d", l->folders[folder]) < 0)
                return path = NULL, -ENOMEM;
        dir = opendir(path);
        if (!dir && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (!dir)
                return loader_complain(l, path, 0, strerror(errno), "");
        while (r >= 0 && (e = readdir(dir)))
                r = loader_add_file(l, folder, e->d_name);
        closedir(dir);
        return r;
}

static int file_compare(const void *a, const void *b) {
        return strcmp(((const File *)a)->name, ((const File *)b)->name);
}

static int entry_set_exec(Entry *e, const char *value, const char **ret_why) {
        int r = argv_split(value, &e->source.argv, ret_why);

        if (r == -EINVAL || r == -E2BIG)
                return FB_E_INVALID_OPTION;
        if (r < 0)
                return r;
        if (r == 0)
                return *ret_why = "it names no program", FB_E_INVALID_OPTION;
        if (strchr(e->source.argv[0], '/') && e->source.argv[0][0] != '/')
                return *ret_why = "the program must be a plain name or an absolute path", FB_E_INVALID_OPTION;
        return e->source.argv[0][0] ? 0 : (*ret_why = "it names no program", FB_E_INVALID_OPTION);
}

static int entry_set_string(char **s, const char *value) {
        *s = strdup(value);
        return *s ? 0 : -ENOMEM;
}

/* The last element of a bus name. */
static int entry_set_pulsevideo(Entry *e, const char *value, const char **ret_why) {
        size_t n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

        if (e->source.pulsevideo)
                return *ret_why = "it was given before", FB_E_INVALID_OPTION;
        if (n == 0 || n > FB_NAME_MAX || value[n] || (value[0] >= '0' && value[0] <= '9'))
                return *ret_why = "it is to be 1 to 64 of A-Z a-z 0-9 _ -, without a leading digit",
                       FB_E_INVALID_OPTION;
        return entry_set_string(&e->source.pulsevideo, value);
}

static int on_entry(const char *section, const char *key, const char *value, unsigned line, void *userdata,
                    const char **ret_why) {
        static const char twice[] = "it was given before";
        Entry *e = userdata;

        if (!key)
                return strcmp(section, "Source") == 0 ? 0 : FB_E_UNKNOWN_OPTION;
        if (strcmp(key, "Name") == 0) {
                if (e->source.name)
                        return *ret_why = twice, FB_E_INVALID_OPTION;
                if (!fb_source_name_is_valid(value))
                        return *ret_why = "a name is 1 to 64 of A-Z a-z 0-9 . _ : -, without a leading dot",
                               FB_E_INVALID_OPTION;
                e->name_line = line;
                return entry_set_string(&e->source.name, value);
        }
        if (strcmp(key, "Description") == 0) {
                if (e->source.description)
                        return *ret_why = twice, FB_E_INVALID_OPTION;
                if (strlen(value) > FB_TEXT_MAX)
                        return *ret_why = "it is longer than 256 bytes", FB_E_INVALID_OPTION;
                return entry_set_string(&e->source.description, value);
        }
        if (strcmp(key, "PulseVideo") == 0)
                return entry_set_pulsevideo(e, value, ret_why);
        if (strcmp(key, "Exec") == 0)
                return e->source.argv ? (*ret_why = twice, FB_E_INVALID_OPTION)
                                      : entry_set_exec(e, value, ret_why);
        return FB_E_UNKNOWN_OPTION;
}

static const ConfigSource *loader_find_name(Loader *l, const char *name) {
        for (size_t i = 0; i < l->config.n_sources; i++)
                if (strcmp(l->config.sources[i].name, name) == 0)
                        return &l->config.sources[i];
        return NULL;
}

/* What can only be said of the whole file. Positive: it was complained about. */
static int loader_complete(Loader *l, Entry *e, const char *file_name) {
        ConfigSource *s = &e->source;
        const ConfigSource *other;

        if (!s->argv)
                return loader_complain(l, s->path, 0, "[Source] without Exec=", "") ?: 1;
        if (!s->name) {
                s->name = strndup(file_name, strlen(file_name) - strlen(CONFIG_SUFFIX));
                if (!s->name)
                        return -ENOMEM;
                if (!fb_source_name_is_valid(s->name))
                        return loader_complain(l, s->path, 0, "a file of this name needs Name=", "") ?: 1;
        }
        other = loader_find_name(l, s->name);
        if (!other)
                return 0;
        return loader_complain(l, s->path, e->name_line, "the name is taken by ", other->path) ?: 1;
}

static int loader_take(Loader *l, ConfigSource *s) {
        ConfigSource *sources = reallocarray(l->config.sources, l->config.n_sources + 1, sizeof *sources);

        if (!sources)
                return -ENOMEM;
        l->config.sources = sources;
        sources[l->config.n_sources++] = *s;
        *s = (ConfigSource){};
        return 0;
}

static bool file_is_mask(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int loader_read_file(Loader *l, const File *f) {
        _cleanup_(entry_done) Entry e = {};
        _cleanup_free_ char *error = NULL;
        int r;

        if (asprintf(&e.source.path, "%s/sources.d/%s", l->folders[f->folder], f->name) < 0)
                return e.source.path = NULL, -ENOMEM;
        if (file_is_mask(e.source.path))
                return 0;
        r = keyfile_parse(e.source.path, on_entry, &e, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return loader_complain(l, error ?: e.source.path, 0, "", "");
        r = loader_complete(l, &e, f->name);
        if (r != 0)
                return r < 0 ? r : 0;
        return loader_take(l, &e.source);
}

int config_load(const char *const *folders, size_t n, Config *ret, char **ret_error) {
        _cleanup_(loader_done) Loader l = { .folders = folders, .n_folders = n };

        if (n > 0 && !(l.config.folder = strdup(folders[0])))
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                fb_try(loader_list_folder(&l, i));
        if (l.n_files > 0)
                qsort(l.files, l.n_files, sizeof *l.files, file_compare);
        for (size_t i = 0; i < l.n_files; i++)
                fb_try(loader_read_file(&l, &l.files[i]));
        *ret = l.config;
        *ret_error = take_ptr(l.errors);
        l.config = (Config){};
        return 0;
}

void config_free(Config *c) {
        for (size_t i = 0; i < c->n_sources; i++)
                config_source_done(&c->sources[i]);
        free(c->sources);
        free(c->folder);
        *c = (Config){};
}
