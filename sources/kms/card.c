/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks by the calls that any client may make. A connector's present state is read without probing it: that
 * may take long, can disturb the picture, and is the master's business.
 */
#include "sources/kms/card.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "base/cleanup.h"

FB_DEFINE_CLEANUP(drmModeRes *, drmModeFreeResources)
FB_DEFINE_CLEANUP(drmModeConnector *, drmModeFreeConnector)
FB_DEFINE_CLEANUP(drmModeEncoder *, drmModeFreeEncoder)
FB_DEFINE_CLEANUP(drmModeCrtc *, drmModeFreeCrtc)

int card_open(Card *c, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        _cleanup_(drmModeFreeResourcesp) drmModeRes *resources = NULL;

        if (fd < 0)
                return -errno;
        (void)drmDropMaster(fd);
        resources = drmModeGetResources(fd);
        if (!resources || resources->count_crtcs == 0)
                return -ENOTTY;
        (void)snprintf(c->path, sizeof c->path, "%s", path);
        c->fd = take_fd(fd);
        return 0;
}

void card_close(Card *c) {
        c->fd = fb_close(c->fd);
}

static struct framebus_fraction get_rate(const drmModeModeInfo *m) {
        return timing_get_rate(&(ModeTiming){
                .clock_khz = m->clock,
                .htotal = m->htotal,
                .vtotal = m->vtotal,
                .vscan = m->vscan,
                .interlaced = m->flags & DRM_MODE_FLAG_INTERLACE,
                .doublescan = m->flags & DRM_MODE_FLAG_DBLSCAN,
        });
}

int card_look(const Card *c, Screen *screen) {
        _cleanup_(drmModeFreeCrtcp) drmModeCrtc *crtc = NULL;

        screen->active = false;
        screen->fb_id = screen->x = screen->y = screen->width = screen->height = 0;
        screen->rate = (struct framebus_fraction){ 0 };
        if (!screen->crtc_id)
                return 0;
        crtc = drmModeGetCrtc(c->fd, screen->crtc_id);
        if (!crtc)
                return errno ? -errno : -EIO;
        if (!crtc->mode_valid)
                return 0;
        screen->active = true;
        screen->fb_id = crtc->buffer_id;
        screen->x = crtc->x;
        screen->y = crtc->y;
        screen->width = crtc->mode.hdisplay;
        screen->height = crtc->mode.vdisplay;
        screen->rate = get_rate(&crtc->mode);
        return 0;
}

static uint32_t get_crtc_of_encoder(int fd, uint32_t encoder_id) {
        _cleanup_(drmModeFreeEncoderp) drmModeEncoder *encoder = NULL;

        encoder = encoder_id ? drmModeGetEncoder(fd, encoder_id) : NULL;
        return encoder ? encoder->crtc_id : 0;
}

/* False: it went away meanwhile. */
static bool read_connector(const Card *c, uint32_t id, Screen *ret) {
        _cleanup_(drmModeFreeConnectorp) drmModeConnector *connector = NULL;
        const char *type;

        connector = drmModeGetConnectorCurrent(c->fd, id);
        if (!connector)
                return false;
        *ret = (Screen){
                .connector_id = id,
                .connected = connector->connection != DRM_MODE_DISCONNECTED,
                .crtc_id = get_crtc_of_encoder(c->fd, connector->encoder_id),
        };
        type = drmModeGetConnectorTypeName(connector->connector_type);
        (void)snprintf(ret->name, sizeof ret->name, "%s-%u", type ?: "Unknown", connector->connector_type_id);
        if (connector->count_modes > 0) {
                ret->preferred_width = connector->modes[0].hdisplay;
                ret->preferred_height = connector->modes[0].vdisplay;
        }
        return true;
}

static bool has_crtc(const Screen *screens, size_t n, uint32_t crtc_id) {
        for (size_t i = 0; i < n; i++)
                if (screens[i].crtc_id == crtc_id)
                        return true;
        return false;
}

int card_list(const Card *c, unsigned index, Screen screens[SCREENS_MAX], size_t *n) {
        _cleanup_(drmModeFreeResourcesp) drmModeRes *resources = drmModeGetResources(c->fd);
        size_t first = *n;

        if (!resources)
                return errno ? -errno : -EIO;
        for (int i = 0; i < resources->count_connectors && *n < SCREENS_MAX; i++)
                if (read_connector(c, resources->connectors[i], &screens[*n]))
                        ++*n;
        for (int i = 0; i < resources->count_crtcs && *n < SCREENS_MAX; i++) {
                uint32_t id = resources->crtcs[i];

                if (has_crtc(screens + first, *n - first, id))
                        continue;
                screens[*n] = (Screen){ .connected = true, .crtc_id = id };
                (void)snprintf(screens[*n].name, sizeof screens[*n].name, "crtc-%u", id);
                ++*n;
        }
        for (size_t i = first; i < *n; i++) {
                int r = card_look(c, &screens[i]);

                if (r < 0)
                        return r;
                screens[i].card = index;
        }
        return 0;
}

int card_queue_vblank(const Card *c, uint32_t crtc_id) {
        if (drmCrtcQueueSequence(c->fd, crtc_id, DRM_CRTC_SEQUENCE_RELATIVE, 1, NULL, 0) < 0)
                return errno ? -errno : -EIO;
        return 0;
}

static bool read_vblank(const void *at, size_t size, Vblank *ret) {
        struct drm_event_crtc_sequence e;

        if (size < sizeof e)
                return false;
        memcpy(&e, at, sizeof e);
        if (e.base.type != DRM_EVENT_CRTC_SEQUENCE)
                return false;
        *ret = (Vblank){ .sequence = e.sequence, .time_ns = (uint64_t)e.time_ns };
        return true;
}

bool card_take_vblank(const Card *c, Vblank *ret_vblank) {
        char events[1024];
        struct drm_event e;
        bool found = false;
        ssize_t n;

        while ((n = read(c->fd, events, sizeof events)) > 0)
                for (size_t at = 0; at + sizeof e <= (size_t)n; at += e.length) {
                        memcpy(&e, events + at, sizeof e);
                        if (e.length < sizeof e || e.length > (size_t)n - at)
                                break;
                        found |= read_vblank(events + at, e.length, ret_vblank);
                }
        return found;
}
