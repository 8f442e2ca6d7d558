/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The folders of rules: which files count, and whether they are to be trusted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "broker/access/rules.h"

#define FOLDER "access.d"
#define SUFFIX ".rules"

typedef struct File {
        char *name;
        size_t folder; /* index */
} File;

typedef struct Files {
        File *files;
        size_t n;
} Files;

static void files_done(Files *f) {
        for (size_t i = 0; i < f->n; i++)
                free(f->files[i].name);
        free(f->files);
}

static int find_user(const char *name, uid_t *ret) {
        const struct passwd *pw = getpwnam(name);

        if (!pw)
                return -ESRCH;
        *ret = pw->pw_uid;
        return 0;
}

static int find_group(const char *name, gid_t *ret) {
        const struct group *gr = getgrnam(name);

        if (!gr)
                return -ESRCH;
        *ret = gr->gr_gid;
        return 0;
}

const RulesNames rules_names = { .user = find_user, .group = find_group };

static int complain(const char *path, const char *why, char **ret_error) {
        if (asprintf(ret_error, "%s: %s", path, why) < 0)
                return *ret_error = NULL, -ENOMEM;
        return -EINVAL;
}

static int add_file(Files *f, size_t folder, const char *name) {
        size_t n = strlen(name), suffix = strlen(SUFFIX);
        File *files;

        if (name[0] == '.' || n <= suffix || strcmp(name + n - suffix, SUFFIX) != 0)
                return 0;
        for (size_t i = 0; i < f->n; i++)
                if (strcmp(f->files[i].name, name) == 0)
                        return 0;
        files = reallocarray(f->files, f->n + 1, sizeof *files);
        if (!files)
                return -ENOMEM;
        f->files = files;
        files[f->n] = (File){ .name = strdup(name), .folder = folder };
        return files[f->n].name ? (f->n++, 0) : -ENOMEM;
}

/* A folder that is there and cannot be read may have rules that keep somebody away. */
static int list_folder(Files *f, const char *const *folders, size_t folder, char **ret_error) {
        _cleanup_free_ char *path = NULL;
        struct dirent *e;
        DIR *dir;
        int r = 0;

        if (asprintf(&path, "%s/" FOLDER, folders[folder]) < 0)
                return path = NULL, -ENOMEM;
        dir = opendir(path);
        if (!dir && errno == ENOENT)
                return 0;
        if (!dir)
                return complain(path, strerror(errno), ret_error);
        while (r >= 0 && (errno = 0, e = readdir(dir)))
                r = add_file(f, folder, e->d_name);
        if (r >= 0 && errno != 0)
                r = complain(path, strerror(errno), ret_error);
        closedir(dir);
        return r;
}

static int file_compare(const void *a, const void *b) {
        return strcmp(((const File *)a)->name, ((const File *)b)->name);
}

/* NULL: it may be read. */
static const char *judge(const struct stat *st, uid_t own) {
        if (!S_ISREG(st->st_mode))
                return "not a regular file";
        if (st->st_uid != 0 && st->st_uid != own)
                return "it belongs to another user, who could change it";
        if (st->st_mode & S_IWOTH)
                return "everybody may write it";
        return st->st_size > (off_t)RULES_FILE_MAX ? "larger than 64 KiB" : NULL;
}

/* 0: read; 1: it is a mask. */
static int read_file(const char *path, uid_t own, char text[static RULES_FILE_MAX], size_t *ret_size,
                     char **ret_error) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        const char *why;
        struct stat st;
        size_t size = 0;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return complain(path, strerror(errno), ret_error);
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return 1;
        why = judge(&st, own);
        if (why)
                return complain(path, why, ret_error);
        while (size < RULES_FILE_MAX && (n = read(fd, text + size, RULES_FILE_MAX - size)) != 0) {
                if (n < 0)
                        return complain(path, strerror(errno), ret_error);
                size += (size_t)n;
        }
        *ret_size = size;
        return 0;
}

static int load_file(Rules *rules, const char *folder, const char *name, uid_t own, char **ret_error) {
        _cleanup_free_ char *path = NULL, *text = malloc(RULES_FILE_MAX);
        size_t size;
        int r;

        if (!text)
                return -ENOMEM;
        if (asprintf(&path, "%s/" FOLDER "/%s", folder, name) < 0)
                return path = NULL, -ENOMEM;
        r = read_file(path, own, text, &size, ret_error);
        if (r != 0)
                return r < 0 ? r : 0;
        return rules_parse(rules, path, text, size, &rules_names, ret_error);
}

int rules_load(const char *const *folders, size_t n, uid_t own, Rules *ret, char **ret_error) {
        _cleanup_(files_done) Files f = {};
        Rules rules = {};
        int r = 0;

        *ret_error = NULL;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = list_folder(&f, folders, i, ret_error);
        if (r >= 0 && f.n > 0)
                qsort(f.files, f.n, sizeof *f.files, file_compare);
        for (size_t i = 0; i < f.n && r >= 0; i++)
                r = load_file(&rules, folders[f.files[i].folder], f.files[i].name, own, ret_error);
        if (r < 0) {
                rules_clear(&rules);
                return r;
        }
        *ret = rules;
        return 0;
}
