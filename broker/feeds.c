/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session's broker runs capture programs itself; the system's asks for them at the capture socket, and says
 * only which: the configuration is read again at the other end. Where that socket exists, the devices and the
 * configuration of the system are the system broker's alone.
 */
#include "broker/feeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "broker/api/legacy.h"
#include "broker/api/source.h"
#include "broker/config-limits.h"
#include "broker/config.h"
#include "broker/folders.h"

static WorkerSpec make_spec(const Feeds *f, const char *const *argv, const char *request) {
        if (f->api->config.system)
                return (WorkerSpec){ .socket_path = f->api->config.capture_socket, .request = request };
        return (WorkerSpec){ .argv = argv };
}

static void add_source(Feeds *f, const char *name, const char *description, const char *driver,
                       const char *const *argv, const char *request, bool exported, Source **ret) {
        WorkerSpec spec = make_spec(f, argv, request);
        int r;

        r = source_new_configured(f->api, name, description, driver, &spec, exported, ret);
        if (r != 0)
                log_warning("source %s: cannot be added: %s", name,
                            r == FB_E_NAME_TAKEN   ? "the name is taken" :
                            r == FB_E_INVALID_NAME ? "not a name" :
                                                     strerror(-r));
}

/* "framebus-pattern" is what people call "pattern". */
static const char *driver_of(const char *program) {
        const char *base = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;

        return strncmp(base, "framebus-", 9) == 0 ? base + 9 : base;
}

static void add_configured(Feeds *f, const Config *config) {
        for (size_t i = 0; i < config->n_sources; i++) {
                const ConfigSource *c = &config->sources[i];
                _cleanup_free_ char *request = NULL;
                Source *s = NULL;
                int r;

                if (asprintf(&request, "SOURCE %s\n", c->name) < 0)
                        continue;
                add_source(f, c->name, c->description, driver_of(c->argv[0]), (const char *const *)c->argv,
                           request, true, &s);
                if (s && c->pulsevideo && (r = legacy_name_new(s, c->pulsevideo)) < 0)
                        log_warning("source %s: PulseVideo=%s: %s", c->name, c->pulsevideo, strerror(-r));
        }
}

/* Half of the descriptors that the broker can have at all is for what is bounded otherwise. */
static int load_limits(Api *api, const char *const *folders, size_t n) {
        uint64_t *descriptors = &api->quota.limits.max[QUOTA_DESCRIPTORS];
        _cleanup_free_ char *error = NULL;
        struct rlimit rl;
        int r;

        r = config_load_limits(folders, n, &api->quota.limits, &error);
        if (error)
                log_warning("%s", error);
        if (getrlimit(RLIMIT_NOFILE, &rl) >= 0)
                *descriptors = FB_MIN(*descriptors, rl.rlim_cur / 2);
        return r;
}

static int load_config(Feeds *f, const char *const *folders, size_t n) {
        _cleanup_free_ char *error = NULL;
        Config config = {};
        int r;

        r = config_load(folders, n, &config, &error);
        if (error)
                log_warning("%s", error);
        if (r >= 0)
                add_configured(f, &config);
        config_free(&config);
        return r < 0 ? r : 0;
}

static Source *find_source(Feeds *f, const char *name) {
        RegistryEntry *e = registry_find(&f->api->sources, name);

        return e ? fb_container_of(e, Source, entry) : NULL;
}

/* "--found": what is no camera is not worth a word. */
static void on_appeared(const char *path, const char *name, const char *const *aliases, void *userdata) {
        const char *argv[] = { "framebus-v4l2", "--found", path, NULL };
        _cleanup_free_ char *request = NULL;
        Feeds *f = userdata;
        Source *s = find_source(f, name);
        WorkerSpec spec;

        if (asprintf(&request, "DEVICE %s\n", path) < 0) {
                request = NULL;
                return;
        }
        spec = make_spec(f, argv, request);
        if (s && (!s->worker || !s->found))
                return; /* somebody else's */
        if (s)
                (void)worker_change(s->worker, &spec); /* it may have another number now, or other rights */
        else
                add_source(f, name, NULL, "v4l2", argv, request, false, &s);
        if (!s)
                return;
        s->found = true;
        source_set_aliases(s, aliases);
        /* what it can do, and whether it is a camera at all, its program says; again if it could not be
         * opened */
        if (s->stream.n_modes == 0)
                source_probe(s);
}

static void on_vanished(const char *path, const char *name, void *userdata) {
        Source *s = find_source(userdata, name);

        if (!s || !s->worker || !s->found)
                return;
        if (s->stream.n_subscribers > 0)
                stream_set_state(&s->stream, STREAM_ABSENT, "the device is not there");
        else
                source_free(s, "destroyed");
}

static const DevicesHandler devices_handler = { .appeared = on_appeared, .vanished = on_vanished };

/* Where the names of devices outlive the broker, which leaves when it is idle: systemd makes a folder for the
 * system's, a session has one. NULL: nowhere. */
static char *make_memory(const Api *api) {
        const char *own = getenv("RUNTIME_DIRECTORY"), *session = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *folder = NULL;
        char *path = NULL;

        if (own && own[0] == '/')
                folder = strdup(own);
        else if (!api->config.system && session && session[0] == '/' &&
                 asprintf(&folder, "%s/framebus", session) < 0)
                folder = NULL;
        if (!folder || (mkdir(folder, 0700) < 0 && errno != EEXIST))
                return NULL;
        return asprintf(&path, "%s/devices", folder) < 0 ? NULL : path;
}

int feeds_init(Feeds *f, Api *api, const char *config_folder) {
        bool of_system = api->config.system || access(api->config.capture_socket, F_OK) < 0;
        _cleanup_free_ char *own = NULL, *memory = NULL;
        const char *folders[2];
        size_t n = 0;
        int r;

        *f = (Feeds){ .api = api };
        if (config_folder) {
                folders[n++] = config_folder;
        } else {
                own = api->config.system ? NULL : folders_get_user();
                if (own)
                        folders[n++] = own;
                if (of_system)
                        folders[n++] = FB_SYSCONFDIR "/framebus";
        }
        r = load_limits(api, folders, n);
        if (r >= 0)
                r = load_config(f, folders, n);
        if (r < 0 || !of_system)
                return r;
        memory = make_memory(api);
        return devices_new(api->event, "", memory, &devices_handler, f, &f->devices);
}

void feeds_deinit(Feeds *f) {
        f->devices = devices_free(f->devices);
}
