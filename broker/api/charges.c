/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See charges.h. Invariant: what a subscriber has in flight is at most what it is charged for, counted by the
 * files that its frames lie in, whatever the planes say: a descriptor keeps all of its file.
 */
#include "broker/api/charges.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/subscription.h"
#include "wire/format.h"

uint64_t charges_get_mode_bytes(const Mode *mode) {
        const FormatInfo *info = mode->fourcc ? format_get_info(mode->fourcc) : NULL;
        Plane planes[FB_PLANES_MAX];
        uint64_t size;

        if (mode->fourcc == 0)
                return 0;
        if (info && format_layout(info, mode->width, mode->height, planes, &size))
                return size;
        /* compressed, or not known: no more than this, mostly; charges_frame_came() knows better */
        if (__builtin_mul_overflow(UINT64_C(2) * mode->width, mode->height, &size))
                return UINT64_MAX;
        return size;
}

static uint64_t times(uint32_t window, uint64_t frame_bytes) {
        uint64_t n;

        return __builtin_mul_overflow(frame_bytes, window, &n) ? UINT64_MAX : n;
}

static int begin(QuotaCharge *c, bool channel, uint64_t bytes, QuotaRefusal *ret_why) {
        fb_try(quota_charge_set(c, QUOTA_SUBSCRIPTIONS, 1, ret_why));
        fb_try(quota_charge_set(c, QUOTA_CHANNELS, channel, ret_why));
        fb_try(quota_charge_set(c, QUOTA_DESCRIPTORS, channel, ret_why));
        return quota_charge_set(c, QUOTA_WINDOW_BYTES, bytes, ret_why);
}

int charges_begin(QuotaCharge *c, const Source *s, uid_t uid, bool channel, uint32_t window, const Mode *mode,
                  sd_bus_error *ret_error) {
        bool same = mode_equal(mode, &s->stream.target);
        uint64_t frame_bytes = same ? s->frame_bytes : charges_get_mode_bytes(mode);
        QuotaRefusal why;
        int r;

        r = quota_charge_open(c, &s->api->quota, uid);
        if (r < 0)
                return api_error(ret_error, r, "%s", "");
        r = begin(c, channel, times(window, frame_bytes), &why);
        if (r == 0)
                return 0;
        quota_charge_clear(c);
        return api_refuse(ret_error, &why);
}

static uint64_t needs(const Source *s, const Subscriber *sub, uint32_t window) {
        return FB_MAX(times(window, s->frame_bytes), sub->window.bytes);
}

int charges_set_window(QuotaCharge *c, const Source *s, const Subscriber *sub, uint32_t window,
                       sd_bus_error *ret_error) {
        QuotaRefusal why;

        if (quota_charge_set(c, QUOTA_WINDOW_BYTES, needs(s, sub, window), &why) == 0)
                return 0;
        return api_refuse(ret_error, &why);
}

bool charges_allow_frame(QuotaCharge *c, const Source *s, const Subscriber *sub) {
        uint64_t next = sub->window.bytes + s->frame_bytes, wanted;
        QuotaRefusal why;

        wanted = FB_MAX(needs(s, sub, sub->options.window), next);
        if (c->n[QUOTA_WINDOW_BYTES] >= wanted || quota_charge_set(c, QUOTA_WINDOW_BYTES, wanted, &why) == 0)
                return true;
        /* not all of its window, but perhaps one more */
        return next <= c->n[QUOTA_WINDOW_BYTES] || quota_charge_set(c, QUOTA_WINDOW_BYTES, next, &why) == 0;
}

void charges_settle(QuotaCharge *c, const Source *s, const Subscriber *sub) {
        uint64_t n = needs(s, sub, sub->options.window);
        QuotaRefusal why;

        if (n < c->n[QUOTA_WINDOW_BYTES])
                (void)quota_charge_set(c, QUOTA_WINDOW_BYTES, n, &why);
}

/* For who watches already; who cannot have more keeps what it has. */
static void charge_anew(Source *s) {
        QuotaRefusal why;
        Subscription *sub;
        LegacyViewer *v;

        list_for_each(sub, &s->api->subscriptions, link)
                if (sub->source == s)
                        (void)quota_charge_set(&sub->charge, QUOTA_WINDOW_BYTES,
                                               needs(s, &sub->subscriber, sub->subscriber.options.window),
                                               &why);
        list_for_each(v, &s->api->viewers, link)
                if (v->source == s)
                        (void)quota_charge_set(&v->charge, QUOTA_WINDOW_BYTES,
                                               needs(s, &v->subscriber, v->subscriber.options.window), &why);
}

void charges_mode_changed(Source *s) {
        uint64_t asked = charges_get_mode_bytes(&s->stream.target),
                 got = charges_get_mode_bytes(&s->stream.mode);

        s->frame_bytes = FB_MAX(asked, got);
        charge_anew(s);
}

void charges_frame_came(Source *s, const Frame *f) {
        uint64_t bytes = f->sealed ? FB_MAX(f->bytes, f->sealed->bytes) : f->bytes;

        if (bytes <= s->frame_bytes)
                return;
        s->frame_bytes = bytes;
        charge_anew(s);
}
