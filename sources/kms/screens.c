/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/kms/screens.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "sources/common/options.h"

/* How good it is; 0: not what is meant. */
static int screen_rate(const Screen *s, const ScreenWish *wish) {
        if (wish->connector && strcasecmp(wish->connector, s->name) != 0)
                return 0;
        if (wish->crtc_id && wish->crtc_id != s->crtc_id)
                return 0;
        if (!s->connected)
                return 1;
        if (!s->connector_id && !wish->crtc_id && !wish->connector)
                return 0; /* nobody sees it */
        return s->active ? s->fb_id ? 4 : 3 : 2;
}

/* "VGA-1, HDMI-A-1", or "none" */
static const char *list_names(const Screen *screens, size_t n, char *buffer, size_t size) {
        size_t used = 0;

        (void)snprintf(buffer, size, "none");
        for (size_t i = 0; i < n && used < size; i++) {
                int k;

                if (!screens[i].connector_id)
                        continue;
                k = snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", screens[i].name);
                used += k > 0 ? (size_t)k : 0;
        }
        return buffer;
}

static PickResult tell_missing(const Screen *screens, size_t n, const ScreenWish *wish, char *ret_reason,
                               size_t size) {
        char names[160];

        list_names(screens, n, names, sizeof names);
        if (wish->connector)
                (void)snprintf(ret_reason, size, "there is no connector %s; there are: %s", wish->connector,
                               names);
        else if (wish->crtc_id)
                (void)snprintf(ret_reason, size, "there is no CRTC %u", wish->crtc_id);
        else
                (void)snprintf(ret_reason, size, "there is no connector at all");
        return PICK_ABSENT;
}

PickResult screens_pick(const Screen *screens, size_t n, const ScreenWish *wish, const Screen **ret_screen,
                        char *ret_reason, size_t size) {
        const Screen *best = NULL;
        int rating = 0;

        for (size_t i = 0; i < n; i++) {
                int k = screen_rate(&screens[i], wish);

                if (k > rating) {
                        rating = k;
                        best = &screens[i];
                }
        }
        *ret_screen = best;
        if (size)
                ret_reason[0] = '\0';
        switch (rating) {
        case 0:
                return tell_missing(screens, n, wish, ret_reason, size);
        case 1:
                (void)snprintf(ret_reason, size, "nothing is connected to %s",
                               wish->connector || wish->crtc_id ? best->name : "any connector");
                return PICK_ABSENT;
        case 2:
                (void)snprintf(ret_reason, size, "%s is off", best->name);
                return PICK_NO_SIGNAL;
        case 3:
                (void)snprintf(ret_reason, size, "%s shows no framebuffer", best->name);
                return PICK_NO_SIGNAL;
        default:
                return PICK_SHOWN;
        }
}

struct framebus_fraction timing_get_rate(const ModeTiming *t) {
        uint64_t num = (uint64_t)t->clock_khz * 1000, den = (uint64_t)t->htotal * t->vtotal;

        if (!num || !den)
                return (struct framebus_fraction){ 0 };
        num *= t->interlaced ? 2 : 1;
        den *= (t->doublescan ? 2 : 1) * (t->vscan > 1 ? t->vscan : 1);
        while (num > UINT32_MAX || den > UINT32_MAX) {
                num >>= 1;
                den >>= 1;
        }
        return den ? fraction_reduce((struct framebus_fraction){ (uint32_t)num, (uint32_t)den }) :
                     (struct framebus_fraction){ 0 };
}
