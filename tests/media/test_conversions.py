#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/conversions.md keeps its word: what it shows builds, and makes of a test picture what it says."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/harness'), str(ROOT / 'tests/bus')]

import fbtest  # noqa: E402
import programs  # noqa: E402
import test_framebusctl  # noqa: E402

TEXT = (ROOT / 'docs/conversions.md').read_text(encoding='utf-8')
WIDTH, HEIGHT = 320, 240
BARS = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192), (0, 0, 0)]
# Watches `cam` in one mode, and writes what convert() makes of its first frame.
MAIN = '''
#include <string.h>
#include <unistd.h>
static uint8_t to[320 * 240 * 4];
static int done;
static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        done = done ? done : convert(frame, to) < 0 ? 2 : 1;
}
int main(int argc, char **argv) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION, .frame = on_frame
        };
        struct framebus_mode mode = { .width = 320, .height = 240 };
        struct framebus_subscribe_options options = {
                .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION, .modes = &mode, .n_modes = 1
        };
        framebus_subscription *sub;
        framebus *fb;

        mode.fourcc = framebus_fourcc_from_string(argv[1]);
        if (framebus_open(&fb, NULL) < 0 || framebus_subscribe(fb, "cam", &options, &events, NULL, &sub) < 0)
                return 3;
        while (!done)
                framebus_run_once(fb, UINT64_MAX);
        return done == 1 && write(1, to, 320 * 240 * 3) == 320 * 240 * 3 ? 0 : 4;
}
'''


def blocks():
    """(words of the comment, the block behind it)"""
    return [(words.split(), text) for words, text in
            re.findall(r'<!-- test: (.*?) -->\n *```\w+\n(.*?)^ *```$', TEXT, re.M | re.S)]


class Conversions(programs.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enter(tempfile.TemporaryDirectory(prefix='fbtest-conv-', dir='/tmp')))
        self.env = {'PKG_CONFIG_PATH': str(fbtest.build_path('meson-uninstalled')),
                    'LD_LIBRARY_PATH': str(fbtest.build_path('libframebus')),
                    'PATH': f'{fbtest.build_path("tools")}:{os.environ["PATH"]}'}

    def flags(self, *packages):
        got = subprocess.run(['pkg-config', '--cflags', '--libs', *packages], env={**os.environ, **self.env},
                             text=True, check=False, capture_output=True)
        return got.stdout.split() if got.returncode == 0 else None

    def snippet(self, library):
        fourcc, text = next((words[0], text) for words, text in blocks() if words[1:] == [library])
        source = self.folder / 'snippet.c'
        source.write_text(text + (MAIN if 'int convert(' in text else ''))
        return fourcc, source

    def build(self, source, *flags):
        compiler = shutil.which('cc')
        if not compiler or programs.instrumented():
            self.skipTest('no compiler, or a library with a sanitizer, which programs without cannot have')
        command = [compiler, '-std=gnu17', '-Wall', '-Werror', str(source), '-o', str(self.folder / 'program'),
                   *self.flags('libframebus'), *flags]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f'{command}\n{done.stderr}')

    def picture(self, library):
        fourcc, source = self.snippet(library)
        self.build(source, library)
        self.start({'cam': programs.pattern(f'{WIDTH}x{HEIGHT}', 30)})
        process = self.enter(fbtest.Process([str(self.folder / 'program'), fourcc], env={**self.env, **self.bus.env()}))
        self.assertEqual(process.wait(20), 0, process.log())
        return (process.dir / 'out').read_bytes()

    def test_libyuv(self):
        picture = self.picture('-lyuv')
        for i, (r, g, b) in enumerate(BARS):
            x, y = WIDTH * (2 * i + 1) // 16, HEIGHT - 24
            at = WIDTH * HEIGHT + y // 2 * (WIDTH // 2) + x // 2
            got = picture[y * WIDTH + x], picture[at], picture[at + WIDTH * HEIGHT // 4]
            wanted = (16 + (65.5 * r + 128.6 * g + 25 * b) / 255, 128 + (-37.8 * r - 74.2 * g + 112 * b) / 255,
                      128 + (112 * r - 93.8 * g - 18.2 * b) / 255)
            self.assertTrue(all(abs(a - b) <= 3 for a, b in zip(got, wanted)), (i, got, wanted))

    def test_libv4lconvert(self):
        picture = self.picture('-lv4lconvert')
        for i, color in enumerate(BARS):
            at = ((HEIGHT - 24) * WIDTH + WIDTH * (2 * i + 1) // 16) * 3
            self.assertTrue(all(abs(a - b) <= 30 for a, b in zip(picture[at:at + 3], color)), (i, picture[at:at + 3]))

    def test_gstreamer(self):
        flags = self.flags('gstreamer-app-1.0')
        if flags is None:
            self.skipTest('no headers of gstreamer-app-1.0')
        _fourcc, source = self.snippet('gstreamer-app-1.0')
        self.build(source, '-shared', '-fPIC', *flags)

    def test_derived(self):
        if not shutil.which('ffmpeg'):
            self.skipTest('no ffmpeg')
        self.start({'cam': programs.pattern(f'{WIDTH}x{HEIGHT}', 30)})
        command = next(text.strip() for words, text in blocks() if words == ['derived'])
        env = {**self.env, **self.bus.env()}
        self.enter(fbtest.Process(['sh', '-c', command], env=env))
        ctl = str(fbtest.build_path('tools/framebusctl'))
        fbtest.wait_until(lambda: 'small' in fbtest.run([ctl, 'list'], env=env)[1], 30, 'the derived source',
                          interval=0.2)
        png = self.folder / 'x.png'
        status, out, err = fbtest.run([ctl, 'snapshot', 'small', str(png)], env=env)
        self.assertEqual(status, 0, out + err)
        width, height, lines = test_framebusctl.png_pixels(png.read_bytes())
        self.assertEqual((width, height), (160, 120))
        for i, color in enumerate(BARS):
            got = lines[height - 12][width * (2 * i + 1) // 16]
            self.assertTrue(all(abs(a - b) <= 12 for a, b in zip(got, color)), (i, got))


if __name__ == '__main__':
    fbtest.main()
