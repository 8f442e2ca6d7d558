/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compositor DEVICE [CONNECTOR]: what owns a screen, for tests of what captures it.
 *
 * Does what it is told on stdin, one command a line, and answers each with one line: "error WHY" or "ok" with
 * the number of the picture that is shown, its framebuffer's number and the CRC-32 of the pixels on the
 * screen.
 *
 *   mode FOURCC WxH [WxH+X+Y]  two framebuffers; of the second size, if there is one, the screen shows what
 *                              begins at +X+Y. Shows the first.
 *   flip                       draws the next picture into the framebuffer that is not shown, and shows it
 *   draw                       draws the next picture into the one that is
 *   burst N                    flips N times, as quickly as it goes
 *   off                        switches the screen off
 *   quit
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include <drm_fourcc.h>

typedef struct Buffer {
        uint32_t handle, pitch, fb_id;
        uint64_t size;
        uint8_t *map;
} Buffer;

static int fd;
static drmModeConnector *connector;
static uint32_t crtc_id;
static drmModeModeInfo mode;
static uint32_t fourcc, bytes; /* of a pixel */
static uint32_t width, height, x, y; /* of the framebuffers; where the screen begins */
static Buffer buffers[2];
static unsigned shown, number;

static uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size) {
        static uint32_t table[256];

        if (!table[1])
                for (uint32_t i = 0; i < 256; i++) {
                        uint32_t c = i;

                        for (int k = 0; k < 8; k++)
                                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
                        table[i] = c;
                }
        crc = ~crc;
        for (size_t i = 0; i < size; i++)
                crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
        return ~crc;
}

static uint32_t checksum(const Buffer *b) {
        uint32_t crc = 0;

        for (uint32_t line = 0; line < mode.vdisplay; line++)
                crc = crc32_add(crc, b->map + (size_t)(y + line) * b->pitch + (size_t)x * bytes,
                                (size_t)mode.hdisplay * bytes);
        return crc;
}

/* Every byte counts, the padding of the lines, too. */
static void draw(const Buffer *b) {
        uint32_t seed = ++number * 2654435761u;

        for (uint64_t i = 0; i + 4 <= b->size; i += 4) {
                uint32_t value = seed + (uint32_t)i * 40503u;

                memcpy(b->map + i, &value, sizeof value);
        }
}

static int fail(const char *what) {
        printf("error %s: %s\n", what, strerror(errno));
        return -1;
}

static void buffer_free(Buffer *b) {
        if (b->fb_id)
                (void)drmModeRmFB(fd, b->fb_id);
        if (b->map)
                (void)munmap(b->map, b->size);
        if (b->handle)
                (void)drmModeDestroyDumbBuffer(fd, b->handle);
        *b = (Buffer){ 0 };
}

static int buffer_make(Buffer *b) {
        uint32_t handles[4] = { 0 }, pitches[4] = { 0 }, offsets[4] = { 0 };
        uint64_t offset;

        if (drmModeCreateDumbBuffer(fd, width, height, bytes * 8, 0, &b->handle, &b->pitch, &b->size) < 0 ||
            drmModeMapDumbBuffer(fd, b->handle, &offset) < 0)
                return fail("making a buffer");
        b->map = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
        if (b->map == MAP_FAILED) {
                b->map = NULL;
                return fail("mapping a buffer");
        }
        handles[0] = b->handle;
        pitches[0] = b->pitch;
        if (drmModeAddFB2(fd, width, height, fourcc, handles, pitches, offsets, &b->fb_id, 0) < 0)
                return fail("making a framebuffer");
        return 0;
}

static int show(unsigned i) {
        if (drmModeSetCrtc(fd, crtc_id, buffers[i].fb_id, x, y, &connector->connector_id, 1, &mode) < 0)
                return fail("setting the mode");
        shown = i;
        return 0;
}

static int flip(void) {
        unsigned next = !shown;

        draw(&buffers[next]);
        for (int i = 0; drmModePageFlip(fd, crtc_id, buffers[next].fb_id, 0, NULL) < 0; i++) {
                if (errno != EBUSY || i == 1000) /* the last one is under way */
                        return fail("flipping");
                usleep(1000);
        }
        shown = next;
        return 0;
}

/* Small ones are not listed, but taken: 60 Hz. */
static drmModeModeInfo make_mode(unsigned w, unsigned h) {
        drmModeModeInfo m = {
                .hdisplay = (uint16_t)w,
                .hsync_start = (uint16_t)(w + 16),
                .hsync_end = (uint16_t)(w + 32),
                .htotal = (uint16_t)(w + 80),
                .vdisplay = (uint16_t)h,
                .vsync_start = (uint16_t)(h + 2),
                .vsync_end = (uint16_t)(h + 6),
                .vtotal = (uint16_t)(h + 10),
                .vrefresh = 60,
        };

        m.clock = 60u * m.htotal * m.vtotal / 1000;
        (void)snprintf(m.name, sizeof m.name, "%ux%u", w, h);
        return m;
}

static int set_mode(const char *arguments) {
        Buffer old[2] = { buffers[0], buffers[1] };
        unsigned w, h;
        char name[5];
        int n;

        n = sscanf(arguments, "%4s %ux%u %ux%u+%u+%u", name, &w, &h, &width, &height, &x, &y);
        if (n != 3 && n != 7) {
                errno = EINVAL;
                return fail(arguments);
        }
        mode = make_mode(w, h);
        if (n == 3) {
                width = w;
                height = h;
                x = y = 0;
        }
        fourcc = fourcc_code(name[0], name[1], name[2], name[3]);
        bytes = strcmp(name, "RG16") == 0 ? 2 : 4;
        memset(buffers, 0, sizeof buffers);
        for (unsigned i = 0; i < 2; i++)
                if (buffer_make(&buffers[i]) < 0)
                        return -1;
        draw(&buffers[0]);
        if (show(0) < 0)
                return -1;
        buffer_free(&old[0]);
        buffer_free(&old[1]);
        return 0;
}

static int do_command(const char *line) {
        unsigned n;

        if (strncmp(line, "mode ", 5) == 0)
                return set_mode(line + 5);
        if (sscanf(line, "burst %u", &n) == 1) {
                int r = 0;

                for (unsigned i = 0; i < n && r == 0; i++)
                        r = flip();
                return r;
        }
        if (strcmp(line, "flip") == 0)
                return flip();
        if (strcmp(line, "draw") == 0) {
                draw(&buffers[shown]);
                return 0;
        }
        if (strcmp(line, "off") == 0)
                return drmModeSetCrtc(fd, crtc_id, 0, 0, 0, NULL, 0, NULL) < 0 ? fail("switching off") : 0;
        errno = EINVAL;
        return fail(line);
}

/* The connector's number is the CRTC's: so it is with the drivers that this is used on. */
static int prepare(const char *device, int index) {
        drmModeRes *resources;

        fd = open(device, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return fail(device);
        for (int i = 0; drmSetMaster(fd) < 0; i++) {
                if (i == 100)
                        return fail("becoming the master");
                usleep(20000);
        }
        resources = drmModeGetResources(fd);
        if (!resources || index >= resources->count_connectors || index >= resources->count_crtcs)
                return fail("finding the connector");
        connector = drmModeGetConnector(fd, resources->connectors[index]);
        if (!connector)
                return fail("asking the connector");
        crtc_id = resources->crtcs[index];
        printf("ready %s-%u crtc %u:", drmModeGetConnectorTypeName(connector->connector_type),
               connector->connector_type_id, crtc_id);
        for (int i = 0; i < connector->count_modes; i++)
                printf(" %s", connector->modes[i].name);
        printf("\n");
        return 0;
}

int main(int argc, char **argv) {
        char line[128];

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc < 2 || prepare(argv[1], argc > 2 ? atoi(argv[2]) : 0) < 0)
                return 1;
        while (fgets(line, sizeof line, stdin)) {
                line[strcspn(line, "\n")] = '\0';
                if (strcmp(line, "quit") == 0)
                        return 0;
                if (do_command(line) == 0)
                        printf("ok %u %u %u\n", number, buffers[shown].fb_id,
                               buffers[shown].map ? checksum(&buffers[shown]) : 0);
        }
        return 0;
}
