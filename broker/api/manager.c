/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.framebus.Manager1, and the beginning and end of all that is on the bus. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "broker/api/api.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/rights.h"
#include "broker/api/source.h"
#include "broker/api/subscription.h"
#include "interfaces/names.h"
#include "wire/vardict.h"

#ifndef FB_VERSION
#error "FB_VERSION comes from the build"
#endif

static int read_text(sd_bus_message *m, const char **ret) {
        int r = sd_bus_message_read(m, "s", ret);

        if (r < 0)
                return r;
        return strlen(*ret) > FB_TEXT_MAX ? FB_E_INVALID_OPTION : 0;
}

static int read_flag(sd_bus_message *m, bool *ret) {
        int v, r = sd_bus_message_read(m, "b", &v);

        if (r < 0)
                return r;
        *ret = v;
        return 0;
}

static int read_description(sd_bus_message *m, void *userdata) {
        return read_text(m, &((SourcePublishOptions *)userdata)->description);
}

static int read_driver(sd_bus_message *m, void *userdata) {
        return read_text(m, &((SourcePublishOptions *)userdata)->driver);
}

static int read_allow_replacement(sd_bus_message *m, void *userdata) {
        return read_flag(m, &((SourcePublishOptions *)userdata)->allow_replacement);
}

static int read_replace(sd_bus_message *m, void *userdata) {
        return read_flag(m, &((SourcePublishOptions *)userdata)->replace);
}

static int read_queue(sd_bus_message *m, void *userdata) {
        return read_flag(m, &((SourcePublishOptions *)userdata)->queue);
}

static const VardictKey publish_keys[] = {
        { "description", "s", read_description },
        { "driver", "s", read_driver },
        { "allow-replacement", "b", read_allow_replacement },
        { "replace", "b", read_replace },
        { "queue", "b", read_queue },
};

static int read_publish(sd_bus_message *m, SourcePublishOptions *o, sd_bus_error *ret_error) {
        VardictError error = {};
        int r;

        r = sd_bus_message_read(m, "s", &o->name);
        if (r < 0)
                return r;
        r = vardict_read(m, publish_keys, FB_ELEMENTSOF(publish_keys), false, o, &error);
        if (r == FB_E_UNKNOWN_OPTION)
                return api_error(ret_error, r, "unknown option '%s'", error.key);
        if (r > 0)
                return api_error(ret_error, r, "option '%s' is to be %s", error.key,
                                 error.expected ?: "shorter than 257 bytes");
        return r;
}

static int check_publisher(Api *api, const Caller *c, const SourcePublishOptions *o,
                           sd_bus_error *ret_error) {
        const AccessSource names = { o->name, NULL };
        int r = rights_check(api, c, &names, ACCESS_PUBLISH, ret_error);

        if (r < 0)
                return r;
        if (c->cannot_pass_fds)
                return api_error(ret_error, FB_E_NO_FD_PASSING,
                                 "your bus connection did not negotiate the passing of file descriptors");
        if (c->n_channels >= FB_CHANNELS_PER_CONNECTION)
                return api_error(ret_error, FB_E_LIMIT,
                                 "your bus connection has %u channels that were not hung up, the most that "
                                 "one may have",
                                 c->n_channels);
        return 0;
}

static int method_publish(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        SourcePublishOptions o = {};
        _cleanup_close_ int channel = -1;
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);
        QuotaRefusal why;
        Source *s;
        int r;

        if (!c)
                return -ENOTCONN;
        r = read_publish(m, &o, ret_error);
        if (r < 0)
                return r;
        r = check_publisher(api, c, &o, ret_error);
        if (r < 0)
                return r;
        if (!fd_account_check_reply(&c->account))
                return caller_wait_for_room(c, m);
        o.owner = c->unique_name;
        o.uid = c->uid;
        r = source_new_published(api, &o, &s, &channel, &why);
        if (r == FB_E_INVALID_NAME)
                return api_error(ret_error, r,
                                 "a name is 1 to %u characters out of [A-Za-z0-9._:-], not beginning with a "
                                 "dot",
                                 FB_NAME_MAX);
        if (r == FB_E_LIMIT)
                return api_refuse(ret_error, &why);
        if (r > 0)
                return api_error(ret_error, r, "the name '%s' has an owner already", o.name);
        if (r < 0)
                return r;
        c->n_channels++;
        api_activity(api);
        s->owner_identity = identity_ref(c->identity);
        rights_granted(api, c->identity, c->unique_name, s->name, ACCESS_PUBLISH);
        r = sd_bus_reply_method_return(m, "oh", s->path, channel);
        s->reply_mark = caller_sent_reply(c);
        return r;
}

static int method_resolve(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);
        const char *name;
        Source *s;
        int r;

        if (!c)
                return -ENOTCONN;
        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        s = rights_resolve(api, c, name);
        if (!s)
                return api_error(ret_error, FB_E_NO_SUCH_SOURCE, "there is no source '%s'", name);
        return sd_bus_reply_method_return(m, "o", s->path);
}

static int method_watch(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);

        if (!c)
                return -ENOTCONN;
        c->looks = true;
        c->n_watches++;
        api->n_watches++;
        api_activity(api);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_unwatch(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);

        if (!c || c->n_watches == 0)
                return api_error(ret_error, FB_E_NOT_WATCHING, "Unwatch without a Watch");
        c->n_watches--;
        api->n_watches--;
        api_activity(api);
        return sd_bus_reply_method_return(m, NULL);
}

/* A subscription of either kind, for Who. */
typedef struct Watcher {
        const Subscriber *subscriber;
        const char *source_name, *source_path, *client, *conduit;
        uid_t uid;
        pid_t pid;
        uint64_t since_ns;
        const Identity *identity;
} Watcher;

static Watcher watcher_of(const Subscription *s) {
        return (Watcher){ &s->subscriber, s->source_name, s->source_path, s->client, s->conduit.ops->name,
                          s->uid, s->pid, s->since_ns, s->identity };
}

static Watcher watcher_of_viewer(const LegacyViewer *v) {
        return (Watcher){ &v->subscriber, v->source_name, v->source_path, v->client,
                          v->conduit.conduit.ops->name, v->uid, v->pid, v->since_ns, v->identity };
}

static int append_watcher(sd_bus_message *m, const Watcher *s) {
        const Subscriber *sub = s->subscriber;
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "source", "s", s->source_name,
                                          "path", "o", s->source_path, "uid", "u", (uint32_t)s->uid, "pid",
                                          "u", (uint32_t)s->pid, "client", "s", s->client, "conduit", "s",
                                          s->conduit);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "memory", "s",
                                          fb_memory_to_string(subscriber_get_memory(sub)), "window", "u",
                                          sub->options.window, "in-flight", "u",
                                          window_in_flight(&sub->window), "since", "t", s->since_ns,
                                          "suspended", "b", (int)sub->suspended, "delivered", "t",
                                          sub->delivered);
        if (r >= 0 && s->identity->subject.unit)
                r = sd_bus_message_append(m, "{sv}", "unit", "s", s->identity->subject.unit);
        if (r >= 0 && s->identity->subject.app)
                r = sd_bus_message_append(m, "{sv}", "app", "s", s->identity->subject.app);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "lost");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "a{st}");
        if (r >= 0)
                r = subscription_append_lost(m, sub->lost);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

/* Whether @c may know of @w. */
static bool may_know(const Api *api, const Caller *c, const Watcher *w) {
        const AccessSource names = { w->source_name, NULL };

        return w->uid == c->uid || access_allows(&api->access, &c->identity->subject, &names, ACCESS_ADMIN);
}

static int method_who(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);
        const Subscription *s;
        const LegacyViewer *v;
        Watcher w;
        int r;

        if (!c)
                return -ENOTCONN;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "a{sv}");
        list_for_each(s, &api->subscriptions, link)
                if (r >= 0 && s->source && (w = watcher_of(s), may_know(api, c, &w)))
                        r = append_watcher(reply, &w);
        list_for_each(v, &api->viewers, link)
                if (r >= 0 && v->source && (w = watcher_of_viewer(v), may_know(api, c, &w)))
                        r = append_watcher(reply, &w);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        if (strcmp(property, "Features") == 0)
                return sd_bus_message_append(reply, "as", 4, "replay", "max-rate", "causal", "share");
        return sd_bus_message_append(
                        reply, "s", strcmp(property, "Version") == 0 ? FB_VERSION : ((Api *)userdata)->epoch);
}

#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Publish", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", source, "h", channel), method_publish, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resolve", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", source), method_resolve,
                                UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Watch", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_watch, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Unwatch", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_unwatch, UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Who", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", subscriptions), method_who,
                                UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, rights_method_reload,
                                UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain",
                                SD_BUS_ARGS("s", client, "a{sv}", subject, "s", source, "s", verb),
                                SD_BUS_RESULT("s", decision, "s", decided, "s", where, "s", rule),
                                rights_method_explain, UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Features", "as", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Epoch", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

static void on_caller_gone(Caller *c, void *userdata) {
        Api *api = userdata;

        subscriptions_caller_gone(api, c->unique_name);
        legacy_caller_gone(api, &api->callers, c->unique_name);
        api->n_watches -= c->n_watches;
        api_activity(api);
}

static void on_caller_room(Caller *c, void *userdata) {
        Api *api = userdata;

        subscriptions_caller_room(api, c->unique_name);
        legacy_caller_room(api, &api->callers, c->unique_name);
}

static const CallersHandler callers_handler = { .gone = on_caller_gone, .room = on_caller_room };

static int make_epoch(Api *api) {
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        if (r >= 0)
                sd_id128_to_string(id, api->epoch);
        return r;
}

int api_init(Api *api, sd_event *event, sd_bus *bus, const ApiConfig *config, const ApiHandler *handler,
             void *userdata) {
        QuotaLimits limits;
        int r;

        *api = (Api){ .event = event, .bus = bus, .config = *config, .handler = handler };
        api->userdata = userdata;
        api->access = (Access){ .system = config->system, .own = geteuid() };
        registry_init(&api->sources);
        list_init(&api->waiting);
        list_init(&api->subscriptions);
        list_init(&api->viewers);
        list_init(&api->legacy_names);
        peer_budget_init(&api->peer_budget, config->system ? PEER_SHARED_BY_ALL : api->access.own);
        quota_limits_init(&limits);
        quota_init(&api->quota, &limits, config->system ? (uid_t)-1 : api->access.own);
        fd_ledger_init(&api->ledger, config->system ? (uid_t)-1 : api->access.own);
        r = rights_init(api);
        if (r >= 0)
                r = make_epoch(api);
        if (r >= 0) /* before that of the callers is added: it comes behind it */
                r = sd_bus_add_filter(bus, &api->legacy_slot, legacy_filter, api);
        if (r >= 0)
                r = callers_init(&api->callers, bus, config->system, &api->ledger, &callers_handler, api);
        api->callers.quota = &api->quota;
        if (r >= 0)
                r = sd_bus_add_filter(bus, &api->errors_slot, subscriptions_on_error, api);
        if (r >= 0)
                r = sd_bus_add_object_manager(bus, &api->object_manager_slot, FB_PATH_MANAGER);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, &api->manager_slot, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                             manager_vtable, api);
        if (r >= 0)
                r = subscriptions_add_vtable(api, &api->subscription_slot);
        if (r >= 0)
                r = rights_add_sources(api);
        return r;
}

void api_end_all(Api *api, const char *reason) {
        RegistryEntry *e;

        list_for_each(e, &api->sources.entries, link)
                stream_end_all(&fb_container_of(e, Source, entry)->stream, reason, clock_now_ns());
}

void api_deinit(Api *api) {
        Subscription *s;
        LegacyViewer *v;
        LegacyName *n;
        Source *w;
        RegistryEntry *e;

        while ((s = list_first(&api->subscriptions, Subscription, link)))
                subscription_free(s);
        while ((v = list_first(&api->viewers, LegacyViewer, link)))
                legacy_viewer_free(v);
        while ((n = list_first(&api->legacy_names, LegacyName, link)))
                legacy_name_free(n);
        while ((w = list_first(&api->waiting, Source, waiting_link)))
                source_free(w, "shutdown");
        while ((e = list_first(&api->sources.entries, RegistryEntry, link)))
                source_free(fb_container_of(e, Source, entry), "shutdown");
        callers_deinit(&api->callers);
        quota_deinit(&api->quota);
        sd_bus_slot_unref(api->subscription_slot);
        sd_bus_slot_unref(api->manager_slot);
        sd_bus_slot_unref(api->object_manager_slot);
        sd_bus_slot_unref(api->errors_slot);
        sd_bus_slot_unref(api->legacy_slot);
        for (size_t i = 0; i < FB_ELEMENTSOF(api->source_slots); i++)
                sd_bus_slot_unref(api->source_slots[i]);
        rights_deinit(api);
}

bool api_is_busy(const Api *api) {
        const RegistryEntry *e;
        const Subscription *s;
        const LegacyViewer *v;

        list_for_each(s, &api->subscriptions, link)
                if (s->source)
                        return true;
        list_for_each(v, &api->viewers, link)
                if (v->source)
                        return true;
        if (!list_is_empty(&api->waiting) || api->n_watches > 0 || api->n_busy_sources > 0 ||
            callers_wait_for_room(&api->callers))
                return true;
        list_for_each(e, &api->sources.entries, link)
                if (fb_container_of(e, Source, entry)->owner)
                        return true;
        return false;
}
