/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-v4l2 with a V4L2 device that exists in this process only, and delivers what is in a file.
 *
 * Run by a broker: fake-camera FOURCC FILE
 * FILE has, for each frame, its size in 4 bytes, little-endian, and its bytes. They come at 50 a second,
 * again and again; the number of each in the file is its sequence number, modulo how many there are.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sources/v4l2/camera.h"

#define N_BUFFERS   8u
#define BUFFER_SIZE 65536u
#define FRAMES_MAX  1024u
#define RATE        50u

static struct {
        uint32_t pixelformat;
        const uint8_t *frames[FRAMES_MAX];
        uint32_t sizes[FRAMES_MAX], n_frames;
        uint32_t sequence;
        uint32_t queue[N_BUFFERS], n_queued, n_buffers;
        bool streaming;
        uint8_t memory[N_BUFFERS][BUFFER_SIZE];
} fake;

static int fake_open(const char *path) {
        const struct itimerspec spec = { { 0, NSEC_PER_SEC / RATE }, { 0, NSEC_PER_SEC / RATE } };
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

        if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0)
                return -errno;
        return fd;
}

static int fake_close(int fd) {
        return close(fd) < 0 ? -errno : 0;
}

static void fill_format(struct v4l2_pix_format *f) {
        f->width = 64;
        f->height = 48;
        f->pixelformat = fake.pixelformat;
        f->field = V4L2_FIELD_NONE;
        f->sizeimage = BUFFER_SIZE;
}

static int dequeue(int fd, struct v4l2_buffer *b) {
        uint64_t ticks, now_ns = clock_now_ns();
        uint32_t n;

        if (!fake.streaming || read(fd, &ticks, sizeof ticks) < 0)
                return fake.streaming ? -errno : -EINVAL;
        fake.sequence += (uint32_t)ticks - 1; /* nobody was there in time */
        n = fake.sequence % fake.n_frames;
        if (fake.n_queued == 0) {
                fake.sequence++;
                return -EAGAIN;
        }
        b->index = fake.queue[0];
        memmove(fake.queue, fake.queue + 1, --fake.n_queued * sizeof *fake.queue);
        memcpy(fake.memory[b->index], fake.frames[n], fake.sizes[n]);
        b->bytesused = fake.sizes[n];
        b->sequence = fake.sequence++;
        b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        b->timestamp.tv_sec = (time_t)(now_ns / NSEC_PER_SEC);
        b->timestamp.tv_usec = (suseconds_t)(now_ns % NSEC_PER_SEC / NSEC_PER_USEC);
        return 0;
}

static int request_buffers(struct v4l2_requestbuffers *r) {
        if (r->memory != V4L2_MEMORY_MMAP)
                return -EINVAL;
        r->count = r->count < N_BUFFERS ? r->count : N_BUFFERS;
        fake.n_buffers = r->count;
        fake.n_queued = 0;
        return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *a) {
        struct v4l2_fmtdesc *desc = a;
        struct v4l2_frmsizeenum *size = a;
        struct v4l2_buffer *b = a;

        switch (request) {
        case VIDIOC_QUERYCAP:
                *(struct v4l2_capability *)a = (struct v4l2_capability){
                        .card = "Fake", .driver = "fake",
                        .capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
                        .device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING
                };
                return 0;
        case VIDIOC_ENUM_FMT:
                desc->pixelformat = fake.pixelformat;
                return desc->index ? -EINVAL : 0;
        case VIDIOC_ENUM_FRAMESIZES:
                size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
                size->discrete = (struct v4l2_frmsize_discrete){ 64, 48 };
                return size->index ? -EINVAL : 0;
        case VIDIOC_G_FMT:
        case VIDIOC_S_FMT:
                fill_format(&((struct v4l2_format *)a)->fmt.pix);
                return 0;
        case VIDIOC_REQBUFS:
                return request_buffers(a);
        case VIDIOC_QUERYBUF:
                b->length = BUFFER_SIZE;
                b->m.offset = b->index * BUFFER_SIZE;
                return b->index < fake.n_buffers ? 0 : -EINVAL;
        case VIDIOC_QBUF:
                fake.queue[fake.n_queued++] = b->index;
                return 0;
        case VIDIOC_DQBUF:
                return dequeue(fd, b);
        case VIDIOC_STREAMON:
        case VIDIOC_STREAMOFF:
                fake.streaming = request == VIDIOC_STREAMON;
                fake.sequence = 0;
                return 0;
        default:
                return -ENOTTY;
        }
}

static int fake_mmap(int fd, size_t length, int64_t offset, void **ret_start) {
        *ret_start = fake.memory[offset / BUFFER_SIZE];
        return 0;
}

static int fake_munmap(void *start, size_t length) {
        return 0;
}

static const DeviceOps fake_ops = {
        .open = fake_open, .close = fake_close, .ioctl = fake_ioctl, .mmap = fake_mmap, .munmap = fake_munmap,
};

static bool load(const char *path) {
        FILE *f = fopen(path, "re");
        uint32_t size;

        while (f && fake.n_frames < FRAMES_MAX && fread(&size, sizeof size, 1, f) == 1) {
                uint8_t *frame;

                size = le32toh(size);
                frame = size <= BUFFER_SIZE ? malloc(size) : NULL;
                if (!frame || fread(frame, 1, size, f) != size)
                        return false;
                fake.frames[fake.n_frames] = frame;
                fake.sizes[fake.n_frames++] = size;
        }
        return f && fclose(f) == 0 && fake.n_frames > 0;
}

int main(int argc, char **argv) {
        static Camera c = {
                .options = { .name = "fake-camera", .driver = "fake" },
                .path = "fake",
                .ops = &fake_ops,
                .device = DEVICE_NULL,
                .panel = { .device = DEVICE_NULL },
        };
        int r;

        log_init(c.options.name, LOG_LEVEL_INFO);
        if (argc != 3 || strlen(argv[1]) != 4 || !load(argv[2]))
                return PROGRAM_EXIT_USAGE;
        fake.pixelformat = v4l2_fourcc(argv[1][0], argv[1][1], argv[1][2], argv[1][3]);
        r = program_open(&c.program, &c.options);
        if (r != 0)
                return r;
        camera_probe(&c);
        if (!c.program.done) {
                r = program_publish(&c.program, &c.options, c.table.modes, c.table.n_modes);
                if (r != 0)
                        c.program.exit_code = r;
                else
                        camera_run(&c);
        }
        return program_finish(&c.program, &c.options);
}
