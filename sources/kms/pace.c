/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/kms/pace.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/common/options.h"

#define REFRESH_DEFAULT ((struct framebus_fraction){ 60, 1 })

static uint64_t get_interval_ns(struct framebus_fraction rate) {
        return rate.den * NSEC_PER_SEC / rate.num;
}

struct framebus_fraction pace_get_rate(struct framebus_fraction refresh, struct framebus_fraction wanted) {
        if (!refresh.num || !refresh.den)
                refresh = REFRESH_DEFAULT;
        if (!wanted.num || !wanted.den || fraction_compare(wanted, refresh) > 0)
                return refresh;
        return wanted;
}

void pace_init(Pace *p, uint64_t now_ns, struct framebus_fraction refresh, struct framebus_fraction wanted,
               struct framebus_fraction in_place) {
        struct framebus_fraction rate = pace_get_rate(refresh, wanted);

        refresh = pace_get_rate(refresh, (struct framebus_fraction){ 0 });
        *p = (Pace){
                .interval_ns = get_interval_ns(rate),
                .slack_ns = get_interval_ns(refresh) / 2,
                .in_place_ns = UINT64_MAX,
        };
        if (in_place.num && in_place.den)
                p->in_place_ns = FB_MAX(get_interval_ns(in_place), p->interval_ns);
        ticker_init(&p->ticker, now_ns, rate);
}

bool pace_judge(const Pace *p, uint32_t fb_id, uint64_t now_ns) {
        uint64_t passed_ns = now_ns > p->last_ns ? now_ns - p->last_ns : 0;

        if (!fb_id)
                return false;
        if (!p->last_ns)
                return true;
        return passed_ns + p->slack_ns >= (fb_id == p->fb_id ? p->in_place_ns : p->interval_ns);
}

void pace_note(Pace *p, uint32_t fb_id, uint64_t now_ns) {
        p->fb_id = fb_id;
        p->last_ns = FB_MAX(now_ns, 1u);
}

bool pace_take_tick(Pace *p, uint64_t now_ns, uint64_t *ret_due_ns) {
        uint64_t missed;

        return ticker_take(&p->ticker, now_ns, &missed, ret_due_ns) > 0;
}

uint64_t pace_get_due_ns(const Pace *p) {
        return ticker_get_due_ns(&p->ticker, p->ticker.next);
}
