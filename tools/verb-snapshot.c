/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl snapshot: one frame as a PNG file.
 * The picture is complete in memory before the file is opened, so a failure leaves an older file as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/client.h"
#include "tools/decodable.h"
#include "tools/image.h"
#include "tools/json.h"
#include "tools/mode-arg.h"
#include "tools/png-writer.h"
#include "tools/rgb.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/verbs.h"

#define SNAPSHOT_TIMEOUT_NS (10 * NSEC_PER_SEC)

typedef struct SnapshotVerb {
        Client client;
        framebus_subscription *sub;
        Decodable decodable;
        const char *path;
} SnapshotVerb;

static void snapshot_deinit(SnapshotVerb *s) {
        s->sub = framebus_subscription_close(s->sub);
        client_close(&s->client);
        decodable_deinit(&s->decodable);
}

static int file_write(int fd, const uint8_t *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR && !client_is_interrupted())
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t)n;
        }
        return 0;
}

static int snapshot_save(SnapshotVerb *s, const uint8_t *png, size_t size) {
        int fd, r;

        if (strcmp(s->path, "-") == 0)
                return file_write(STDOUT_FILENO, png, size);

        fd = open(s->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        if (fd < 0)
                return -errno;
        r = file_write(fd, png, size);
        if (close(fd) < 0 && r >= 0)
                r = -errno;
        return r;
}

/* Returns 0, or a negative errno of making the picture. */
static int snapshot_encode(framebus_frame *frame, uint8_t **ret_png, size_t *ret_size) {
        _cleanup_free_ uint8_t *rgb = NULL;
        Image image;
        int r;

        r = image_from_frame(frame, &image);
        if (r < 0)
                return r;
        r = rgb_from_image(&image, &rgb);
        if (r < 0)
                return r;
        return png_encode(rgb, image.width, image.height, ret_png, ret_size);
}

static void snapshot_tell(SnapshotVerb *s, framebus_frame *frame) {
        const struct framebus_mode *mode = framebus_frame_get_mode(frame);
        bool to_stdout = strcmp(s->path, "-") == 0;
        char fourcc[FOURCC_STRING_MAX];
        Json j;

        if (s->client.options->json && !to_stdout) {
                json_begin_line(&j, stdout);
                json_string(&j, "source", s->client.source);
                json_string(&j, "file", s->path);
                json_uint(&j, "seq", framebus_frame_get_seq(frame));
                json_uint(&j, "pts-ns", framebus_frame_get_pts_ns(frame));
                show_mode_json(&j, "mode", mode);
                client_check_output(&s->client, json_end_line(&j));
        } else if (!to_stdout) {
                printf("%s: %ux%u, from %s\n", s->path, mode->width, mode->height,
                       fourcc_format(mode->fourcc, fourcc));
                client_check_output(&s->client, text_flush(stdout));
        }
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        SnapshotVerb *s = userdata;
        _cleanup_free_ uint8_t *png = NULL;
        char mode[MODE_ARG_MAX];
        size_t size;
        int r;

        if (s->client.done)
                return;
        mode_format(framebus_frame_get_mode(frame), mode);
        r = snapshot_encode(frame, &png, &size);
        if (r == -EBADMSG)
                return; /* a broken picture, as cameras make when they start: the next one may be better */
        if (r == -ENOTSUP) {
                client_message("%s: cannot make a PNG file of %s. " DECODABLE_OTHERWISE, s->client.source,
                               mode);
                client_finish(&s->client, STATUS_REFUSED);
                return;
        }
        if (r < 0) {
                client_fail_errno(&s->client, r, "cannot make the picture");
                return;
        }
        r = snapshot_save(s, png, size);
        if (r < 0) {
                client_message("cannot write %s: %s", s->path, strerror(-r));
                client_finish(&s->client, STATUS_FAILED);
                return;
        }
        snapshot_tell(s, frame);
        client_finish(&s->client, STATUS_OK);
}

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        SnapshotVerb *s = userdata;

        client_wait_for(&s->client, "a frame that can be decoded", SNAPSHOT_TIMEOUT_NS);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        SnapshotVerb *s = userdata;

        if (!s->client.done)
                client_finish(&s->client, client_tell_ended(&s->client, reason, error));
}

static void snapshot_subscribe(void *userdata) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .attached = on_attached,
                .frame = on_frame,
                .ended = on_ended,
        };
        SnapshotVerb *s = userdata;
        int r;

        r = framebus_subscribe(s->client.fb, s->client.source, &s->decodable.options, &events, s, &s->sub);
        if (r < 0)
                client_fail_errno(&s->client, r, "cannot subscribe");
}

int verb_snapshot(const Options *o, char **args) {
        _cleanup_(snapshot_deinit) SnapshotVerb s = { .path = args[1] };
        int r;

        r = client_open(&s.client, o, args[0]);
        if (r != STATUS_OK)
                return r;
        s.decodable = (Decodable){ .client = &s.client, .options = options_to_subscribe(o),
                                   .ready = snapshot_subscribe, .userdata = &s };
        client_wait_for(&s.client, "the subscription", 30 * NSEC_PER_SEC);
        decodable_settle(&s.decodable);
        return client_run(&s.client);
}
