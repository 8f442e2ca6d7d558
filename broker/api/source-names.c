/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has the name of a published source, and who is in line for it: as with names on a bus. Who is in line
 * has its channel and its stream, but no object and no subscribers.
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "broker/api/source.h"

void source_promote(Api *api, const char *name) {
        Source *s;

        if (registry_find(&api->sources, name))
                return;
        list_for_each(s, &api->waiting, waiting_link)
                if (strcmp(s->name, name) == 0) {
                        list_remove(&s->waiting_link);
                        if (registry_add(&api->sources, &s->entry, s->name) == 0)
                                source_show(s);
                        return;
                }
}

/* The next in line gets the name; @s, if it said that it queues, is the one after it, else it is over. */
static void source_replace(Source *s) {
        Api *api = s->api;

        if (!s->queue) {
                source_free(s, "replaced");
                return;
        }
        source_answer_calls(s, "another publisher has its name now");
        controls_fail_calls(s, "another publisher has its name now");
        stream_end_all(&s->stream, "replaced", clock_now_ns());
        source_unexport(s);
        registry_remove(&api->sources, &s->entry);
        list_append(api->waiting.next->next, &s->waiting_link);
        source_promote(api, s->name);
}

int source_take_name(Source *s, const SourcePublishOptions *options) {
        RegistryEntry *e = registry_find(&s->api->sources, s->name);
        Source *owner = e ? fb_container_of(e, Source, entry) : NULL;

        if (owner && options->replace && owner->allow_replacement && !owner->worker) {
                list_append(s->api->waiting.next, &s->waiting_link); /* the first in line */
                source_replace(owner);
                return 0;
        }
        if (owner && options->queue && !owner->worker) {
                list_append(&s->api->waiting, &s->waiting_link);
                return 0;
        }
        fb_try(registry_add(&s->api->sources, &s->entry, s->name));
        source_show(s);
        return 0;
}
