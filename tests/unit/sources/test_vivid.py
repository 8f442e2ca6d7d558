#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""framebus-v4l2 against the kernel's vivid driver, in a virtual machine: pixel formats by their bytes, and faults."""

import os
import re
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakebroker  # noqa: E402
from fakebroker import Broker, program  # noqa: E402

DEVICE = '/dev/video0'
fakebroker.TIMEOUT = 60
FULL = os.environ.get('FB_FULL') == '1'
# One of vivid's test patterns: eight bars, and where three of them are in 320 columns.
BARS, RED, GREEN, BLUE = 1, 220, 140, 260


BIG_ENDIAN = 1 << 31  # DRM_FORMAT_BIG_ENDIAN


def fourcc(text):
    code = struct.unpack('<I', text.removesuffix('|BE').ljust(4).encode())[0]
    return code | BIG_ENDIAN if text.endswith('|BE') else code


def name_of(code):
    return struct.pack('<I', code & ~BIG_ENDIAN).decode() + ('|BE' if code & BIG_ENDIAN else '')


def control(name, value):
    subprocess.run(['v4l2-ctl', '-d', DEVICE, '-c', f'{name}={value}'], check=True)


# Little-endian words, written down from drm_fourcc.h: the components from the most significant bit on.
WORDS = {
    'XR24': 'x8 r8 g8 b8', 'AR24': 'x8 r8 g8 b8', 'XB24': 'x8 b8 g8 r8', 'AB24': 'x8 b8 g8 r8',
    'RX24': 'r8 g8 b8 x8', 'RA24': 'r8 g8 b8 x8', 'BX24': 'b8 g8 r8 x8', 'BA24': 'b8 g8 r8 x8',
    'RG24': 'r8 g8 b8', 'BG24': 'b8 g8 r8', 'RG16': 'r5 g6 b5', 'RGB8': 'r3 g3 b2',
    'XR15': 'x1 r5 g5 b5', 'AR15': 'x1 r5 g5 b5', 'XB15': 'x1 b5 g5 r5', 'AB15': 'x1 b5 g5 r5',
    'RX15': 'r5 g5 b5 x1', 'RA15': 'r5 g5 b5 x1', 'BX15': 'b5 g5 r5 x1', 'BA15': 'b5 g5 r5 x1',
    'XR12': 'x4 r4 g4 b4', 'AR12': 'x4 r4 g4 b4', 'XB12': 'x4 b4 g4 r4', 'AB12': 'x4 b4 g4 r4',
    'RX12': 'r4 g4 b4 x4', 'RA12': 'r4 g4 b4 x4', 'BX12': 'b4 g4 r4 x4', 'BA12': 'b4 g4 r4 x4',
    'XVUY': 'x8 v8 u8 y8', 'AVUY': 'x8 v8 u8 y8', 'XYUV': 'x8 y8 u8 v8', 'AYUV': 'x8 y8 u8 v8', 'VU24': 'v8 u8 y8',
    'R8  ': 'y8', 'R10 ': 'x6 y10', 'R12 ': 'x4 y12', 'R16 ': 'y16',
}
# For packed 4:2:2: where Y, U and V are in four bytes.
PACKED = {'YUYV': (0, 1, 3), 'YVYU': (0, 3, 1), 'UYVY': (1, 0, 2), 'VYUY': (1, 2, 0)}
# For two planes: how chroma is subsampled and whether U is first. For three: the same.
SEMI = {'NV12': (2, 2, True), 'NV21': (2, 2, False), 'NV16': (2, 1, True), 'NV61': (2, 1, False),
        'NV24': (1, 1, True), 'NV42': (1, 1, False)}
PLANAR = {'YU12': (2, 2, True), 'YV12': (2, 2, False), 'YU16': (2, 1, True), 'YU11': (4, 1, True),
          'YUV9': (4, 4, True), 'YVU9': (4, 4, False)}


def read_word(name, data, plane, x, y):
    big = name.endswith('|BE')
    fields = [(f[0], int(f[1:])) for f in WORDS[name.removesuffix('|BE')].split()]
    bits = sum(n for _, n in fields)
    at = plane[1] + y * plane[3] + x * bits // 8
    word, found = int.from_bytes(data[at:at + bits // 8], 'big' if big else 'little'), {}
    for component, n in reversed(fields):
        found[component] = (word & ((1 << n) - 1)) * 255 // ((1 << n) - 1)
        word >>= n
    return found


def read_pixel(name, frame, x, y):
    """Components of a pixel, 0 to 255: r, g, b or y, u, v or y alone."""
    planes, data = frame.planes, frame.data
    luma = planes[0][1] + y * planes[0][3] + x
    if name.removesuffix('|BE') in WORDS:
        return read_word(name, data, planes[0], x, y)
    if name in PACKED:
        at = planes[0][1] + y * planes[0][3] + x // 2 * 4
        return dict(zip('yuv', (data[at + i] for i in PACKED[name])))
    if name in SEMI:
        h, v, u_first = SEMI[name]
        at = planes[1][1] + y // v * planes[1][3] + x // h * 2
        return dict(zip('yuv' if u_first else 'yvu', (data[luma], data[at], data[at + 1])))
    h, v, u_first = PLANAR[name]
    chroma = [data[p[1] + y // v * p[3] + x // h] for p in planes[1:]]
    return dict(zip('yuv' if u_first else 'yvu', [data[luma], *chroma]))


def color_of(pixel):
    """Which of the three colours a pixel is; for grey how bright it is."""
    if 'r' in pixel:
        return max('rgb', key=lambda c: pixel[c]) if sorted(pixel[c] for c in 'rgb')[1] < 40 else '?'
    y, u, v = (pixel.get(c, 128) - o for c, o in (('y', 16), ('u', 128), ('v', 128)))
    rgb = {'r': 1.164 * y + 1.6 * v, 'g': 1.164 * y - 0.39 * u - 0.81 * v, 'b': 1.164 * y + 2.0 * u}
    return max('rgb', key=lambda c: rgb[c]) if sorted(rgb.values())[1] < 60 else '?'


class Vivid(unittest.TestCase):
    def setUp(self):
        self.b = Broker([program('framebus-v4l2'), DEVICE])
        self.addCleanup(lambda: self.b.process.poll() is None and self.b.process.kill())
        self.addCleanup(lambda: self.b.process.stderr.close())
        self.assertTrue(self.b.wait(lambda: self.b.modes))

    def start(self, name='NV12', width=320, height=180, rate=(30, 1)):
        before = len(self.b.formats)
        self.b.start(fourcc(name), width, height, rate)
        self.assertTrue(self.b.wait(lambda: len(self.b.formats) > before or self.b.states[-1:] == 'failed'))
        self.want(1)

    def want(self, n):
        last = len(self.b.frames)
        if not self.b.wait(lambda: len(self.b.frames) >= last + n):
            self.b.close()
            self.fail(f'no frames: {self.b.end()} {self.b.states[-3:]}')
        return self.b.frames[last:]

    def open_files(self):
        fds = f'/proc/{self.b.process.pid}/fd'
        return [os.path.realpath(f'{fds}/{fd}') for fd in os.listdir(fds)]

    def hang_up(self):
        self.b.close()
        status, err = self.b.end()
        slow = 'frames are lost|stopped sending frames'  # the machine may be
        err = [line for line in err.splitlines() if not re.search(slow, line)]
        self.assertEqual((status, err), (0, []))

    def check_numbers(self, frames):
        """What the device skipped is what was counted as lost. Started again it begins anew; and vivid gives a
        number twice when it is late."""
        for a, b in zip(frames, frames[1:]):
            if not b.flags & 4:
                step = b.meta['device-sequence'] - a.meta['device-sequence']
                self.assertIn(b.seq - a.seq - step, (0, 1, 2))

    def test_every_format(self):
        offered = {name_of(m['fourcc']) for m in self.b.modes}
        known = set(WORDS) | set(PACKED) | set(SEMI) | set(PLANAR)
        self.assertLessEqual({name.removesuffix('|BE') for name in offered}, known)
        self.assertGreater(len(offered), 40)
        seen = {name: '' for name in offered}
        control('test_pattern', BARS)
        for name in sorted(offered):
            before = len(self.b.formats)
            self.b.start(fourcc(name), 320, 180, (30, 1))
            self.assertTrue(self.b.wait(lambda: len(self.b.formats) > before), name)
            frame = self.want(1)[-1]
            self.assertEqual(frame.mode['fourcc'], fourcc(name))
            self.assertEqual(frame.size, sum(p[2] for p in frame.planes))
            for x in RED, GREEN, BLUE:
                pixel = read_pixel(name, frame, x, 150)
                seen[name] += color_of(pixel) if len(pixel) > 2 else f" {pixel['y']}"
        grey = {name for name in offered if name[0] == 'R' and name[1].isdigit()}
        for name in sorted(offered - grey):
            self.assertEqual(seen[name], 'rgb', name)
        for name in sorted(grey):
            red, green, blue = map(int, seen[name].split())
            self.assertTrue(green > red > blue, (name, seen[name]))
        control('test_pattern', 0)
        self.hang_up()

    def test_modes_and_rates(self):
        self.start('YUYV', 640, 360, (30, 1))
        frames = self.want(20)
        self.check_numbers(frames)
        span = frames[-1].pts_ns - frames[0].pts_ns
        steps = frames[-1].meta['device-sequence'] - frames[0].meta['device-sequence']
        self.assertAlmostEqual(span / steps / 1e9, 1 / 30, delta=0.003)
        for f in frames:
            self.assertEqual(f.planes, [(0, 0, 640 * 360 * 2, 1280)])
            self.assertLessEqual(f.pts_ns, f.arrived_ns)
            self.assertLess(f.arrived_ns - f.pts_ns, 5 * 10**9)  # the same clock
        self.start('NV12', 1280, 720, (15, 1))
        self.assertEqual(self.b.frames[-1].mode['width'], 1280)
        self.assertEqual(self.b.frames[-1].mode['rate'], (15, 1))
        self.assertTrue([f for f in self.b.frames if f.mode['width'] == 1280][0].flags & 4)
        self.b.stop()
        # in nobody's way; what listens for controls stays open
        self.assertTrue(self.b.wait(lambda: self.open_files().count(DEVICE) <= 1))
        self.b.run_for(1)  # what is in the socket
        n = len(self.b.frames)
        self.b.run_for(1)
        self.assertEqual(len(self.b.frames), n)
        self.hang_up()

    def test_dropped_buffers(self):
        self.start()
        control('percentage_of_dropped_buffers', 50)
        frames = self.want(30)
        control('percentage_of_dropped_buffers', 0)
        self.check_numbers(frames)
        self.assertGreater(frames[-1].seq - frames[0].seq, 35)
        self.hang_up()

    def end_with(self, *lines):
        """Hangs up; each of LINES was logged once."""
        self.b.close()
        status, err = self.b.end()
        self.assertEqual(status, 0, err)
        for line in lines:
            self.assertEqual(err.count(f'framebus-v4l2: {DEVICE}: {line}\n'), 1, err)

    @unittest.skipUnless(FULL, 'FB_FULL=1 has it; tests/camera does the same with a broker')
    def test_stalled(self):
        """A driver that stops delivering: started again and again, told, and counted, until frames come."""
        self.start()
        control('percentage_of_dropped_buffers', 100)
        told = ('no-signal', 'the device sends no frames; started again 2 times')
        self.assertTrue(self.b.wait(lambda: told in self.b.states), self.b.states)
        control('percentage_of_dropped_buffers', 0)
        frames = self.want(3)
        self.assertTrue(frames[0].flags & 4)
        self.check_numbers(frames)
        self.assertEqual(self.b.states[-1], ('streaming', ''))
        self.end_with('the device stopped sending frames')

    def test_damaged_buffer(self):
        self.start(rate=(20, 1))
        last = self.want(3)[-1]
        control('inject_v4l2_buf_flag_error', 1)
        frames = [last, *self.want(12)]
        self.check_numbers(frames)
        self.assertGreater(frames[-1].seq - frames[0].seq, 12)  # one was not delivered, and counted
        self.end_with('frames that the driver says are damaged are left out')

    def test_faults_that_heal(self):
        self.start()
        for fault in ('inject_vidioc_qbuf_error', 'inject_fatal_streaming_error'):
            control(fault, 1)
            self.check_numbers([f for f in self.want(10) if f.flags & 4 == 0][:1])
        self.assertTrue(any(f.flags & 4 for f in self.b.frames))  # started again after the fatal one
        self.assertEqual(self.b.states[-1], ('streaming', ''))
        self.assertFalse([state for state, _ in self.b.states if state == 'failed'])
        self.end_with('the stream broke', 'the driver does not take a buffer at once')

    def test_start_that_fails_once(self):
        for fault in ('inject_vidioc_reqbufs_error', 'inject_vidioc_streamon_error'):
            control(fault, 1)
            self.b.states.clear()
            self.start()
            self.assertTrue(self.b.wait(lambda: self.b.states == [('streaming', '')]), self.b.states)
            self.b.stop()
            self.b.run_for(0.5)
        self.end_with('the stream broke')

    @unittest.skipUnless(FULL, 'FB_FULL=1 has it')
    def test_wrapped_sequence(self):
        control('wrap_sequence_number', 1)
        self.start()
        frames = self.want(3)
        self.assertGreater(frames[0].meta['device-sequence'], 2**31)
        while frames[-1].meta['device-sequence'] > 2**31:
            frames.append(self.want(1)[-1])
        control('wrap_sequence_number', 0)
        for a, b in zip(frames, frames[1:]):
            step = (b.meta['device-sequence'] - a.meta['device-sequence']) % 2**32
            self.assertIn(b.seq - a.seq - step, (0, 1, 2))  # vivid gives a number twice when it is late
        self.hang_up()

    def test_wrapped_timestamp(self):
        """Times that no clock has: frames have the time of their arrival instead, and it does not go back."""
        control('wrap_timestamp', 1)
        self.start()
        self.want(10)
        control('wrap_timestamp', 0)
        for a, b in zip(self.b.frames, self.b.frames[1:]):
            self.assertLessEqual(a.pts_ns, b.pts_ns)
            self.assertLess(abs(b.arrived_ns - b.pts_ns), 10 * 10**9)
        self.end_with("the device's times are of no use; frames get the time of their arrival")

    def test_busy(self):
        other = subprocess.Popen(['v4l2-ctl', '-d', DEVICE, '--stream-mmap', '--stream-count=100000'],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            self.b.start(fourcc('NV12'), 320, 180, (30, 1))
            status, _ = self.b.end()
            self.assertEqual(status, 5)
            reason = f'{DEVICE} is busy: in use by process {other.pid} (v4l2-ctl)'
            self.assertEqual(self.b.states, [('failed', reason)])
        finally:
            other.kill()
            other.wait()

    def test_z_unplugged(self):
        self.start()
        subprocess.run(['v4l2-ctl', '-d', DEVICE, '-c', 'disconnect=1'], check=True)
        status, _ = self.b.end()
        self.assertEqual(status, 4)
        self.assertEqual(self.b.states[-1], ('absent', f'{DEVICE} is not there: unplugged, or not plugged in yet'))


if __name__ == '__main__':
    unittest.main(verbosity=2)
