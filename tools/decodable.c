/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A wish for every format that can be decoded would take the choice from the source: it is made only if the
 * source's own choice is of no use.
 */
#include "tools/decodable.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "tools/planar.h"

void decodable_deinit(Decodable *d) {
        free(take_ptr(d->modes));
}

static int ask_for_known(Decodable *d) {
        size_t n = 0;

        while (planar_get_fourcc(n) != 0)
                n++;
        d->modes = calloc(n, sizeof(*d->modes));
        if (!d->modes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                d->modes[i].fourcc = planar_get_fourcc(i);
        d->options.modes = d->modes;
        d->options.n_modes = n;
        return 0;
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        Decodable *d = userdata;
        int r = 0;

        if (error) {
                client_fail(d->client, error);
                return;
        }
        if (!planar_is_supported(granted->mode.fourcc) || granted->mode.modifier != 0)
                r = ask_for_known(d);
        if (r < 0)
                client_fail_errno(d->client, r, "cannot ask for a mode");
        else
                d->ready(d->userdata);
}

void decodable_settle(Decodable *d) {
        int r;

        if (d->options.n_modes > 0) {
                d->ready(d->userdata);
                return;
        }
        r = framebus_negotiate(d->client->fb, d->client->source, &d->options, on_negotiated, d);
        if (r < 0)
                client_fail_errno(d->client, r, "cannot negotiate");
}
