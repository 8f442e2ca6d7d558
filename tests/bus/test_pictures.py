#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
framebusctl snapshot and record of every format that wire/format.c has a layout for, and of JPEG. The pictures that are
published are drawn as the comments of drm_fourcc.h say, which nothing in the code reads.
"""

import fcntl
import os
import re
import struct
import unittest

import fbtest
import programs
import test_framebusctl
from gi.repository import Gio, GLib
from programs import MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIG_ENDIAN = 1 << 31
F_ADD_SEALS, ALL_SEALS = 1033, 15
# where the header has no comment on the line, or does not have the format yet
SAID = {
    'Q410': 'non-subsampled Cb (1) and Cr (2) planes', 'Q401': 'non-subsampled Cr (1) and Cb (2) planes',
    'AVUY': '[31:0] A:Cr:Cb:Y 8:8:8:8 little endian', 'XVUY': '[31:0] X:Cr:Cb:Y 8:8:8:8 little endian',
    'NV20': '2x1 subsampled Cr:Cb plane',
}
# bits of a sample that are used, of formats with planes of more than 8
DEPTHS = {'NV15': 10, 'NV20': 10, 'P010': 10, 'P012': 12, 'P016': 16, 'P210': 10, 'Q410': 10, 'Q401': 10}
PACKED_SAMPLES = 'NV15', 'NV20'
SWAPPED = 'RGB565', 'XRGB1555', 'ARGB1555', 'R16'       # those that V4L2 has, too
COLORS = [(230, 40, 30), (30, 200, 60), (40, 60, 220), (128, 128, 128)]
BLOCK = 8
WIDTH, HEIGHT = BLOCK * len(COLORS), BLOCK
# yuv4mpeg2's names: how much smaller chroma is, bits
SPACES = {'420jpeg': (2, 2, 8), '422': (2, 1, 8), '444': (1, 1, 8), '411': (4, 1, 8), '410': (4, 4, 8),
          'mono': (0, 0, 8)}
for depth in 10, 12, 16:
    SPACES.update({f'420p{depth}': (2, 2, depth), f'422p{depth}': (2, 1, depth), f'444p{depth}': (1, 1, depth),
                   f'mono{depth}': (0, 0, depth)})


def ycbcr(color):
    """BT.601, limited range, 8 bits."""
    r, g, b = (c / 255 for c in color)
    return (16 + 65.481 * r + 128.553 * g + 24.966 * b, 128 - 37.797 * r - 74.203 * g + 112 * b,
            128 + 112 * r - 93.786 * g - 18.214 * b)


def component(name, bits, color, is_float=False):
    """What a component is for a colour; fields without meaning are full of ones."""
    name = re.sub(r'\d', '', name)
    if name in 'RGB':
        value = color['RGB'.index(name)] / 255
        return struct.unpack('<H', struct.pack('<e', value))[0] if is_float else round(value * ((1 << bits) - 1))
    if name in ('Y', 'Cb', 'Cr'):
        return round(ycbcr(color)[('Y', 'Cb', 'Cr').index(name)] * (1 << (bits - 8)))
    return (1 << bits) - 1 if name in ('A', 'x', 'X') else 0


class Format:
    """One of drm_fourcc.h: its name, its code and what the header says of it."""

    def __init__(self, name, fourcc, said, swapped=False):
        self.name, self.said, self.swapped = name + '|BE' * swapped, said, swapped
        self.fourcc = int.from_bytes(fourcc.encode(), 'little') | BIG_ENDIAN * swapped
        found = re.match(r'\[(\d+):0\] ([\w:]+) ?([\d:]*)', said)
        self.fields = None
        if found:
            names = found[2].split(':')
            sizes = found[3].split(':') if found[3] else [(int(found[1]) + 1) // len(names)] * len(names)
            self.fields = [(n, int(b)) for n, b in zip(names, sizes)]

    def letters(self):
        return {re.sub(r'\d', '', n) for n, _ in self.fields or ()} & set('RGB')

    def expected(self, color):
        """The pixel of a PNG file."""
        if self.letters() == {'R'}:
            return (color[0],) * 3
        return (color[0], color[1], 0) if self.letters() == {'R', 'G'} else color

    def tolerance(self):
        if not self.letters():
            return 4            # there and back again
        return 1 + max(255 / ((1 << b) - 1) / 2 for n, b in self.fields if n in 'RGB')

    def _word(self, left, right):
        """The bytes of one pixel, or of two beside each other."""
        word = 0
        for name, bits in self.fields:
            color = right if name == 'Y1' else left
            word = word << bits | component(name, bits, color, self.name.endswith('F'))
        n = sum(b for _, b in self.fields) // 8
        return word.to_bytes(n, 'big' if self.swapped else 'little')

    def _samples(self, values):
        if self.name in PACKED_SAMPLES:
            bits = sum(v << (10 * i) for i, v in enumerate(values))
            return bits.to_bytes((10 * len(values) + 7) // 8, 'little')
        depth = DEPTHS.get(self.name, 8)
        return bytes(values) if depth == 8 else b''.join(struct.pack('<H', v << (16 - depth)) for v in values)

    def planes(self):
        """Lists of lines."""
        columns = [COLORS[x // BLOCK] for x in range(WIDTH)]
        if self.fields:
            step = 2 if any(n == 'Y1' for n, _ in self.fields) else 1
            return [[b''.join(self._word(columns[x], columns[x + step - 1]) for x in range(0, WIDTH, step))] * HEIGHT]
        ratio = re.match(r'(\d)x(\d)', self.said)
        h, v = (int(ratio[1]), int(ratio[2])) if ratio else (1, 1)
        bits = DEPTHS.get(self.name, 8)
        luma = [self._samples([component('Y', bits, c) for c in columns])] * HEIGHT
        pair = re.search(r'(C[rb]):(C[rb]) plane', self.said)
        if pair:        # from the highest bits on
            order = pair[2], pair[1]
            return [luma, [self._samples([component(n, bits, c) for c in columns[::h] for n in order])] * (HEIGHT // v)]
        order = re.search(r'(C[rb]) \(1\) and (C[rb])', self.said)
        return [luma] + [[self._samples([component(n, bits, c) for c in columns[::h]])] * (HEIGHT // v)
                         for n in order.groups()]


def all_formats():
    """Those of the table in wire/format.c, and what has its bytes swapped."""
    with open(os.path.join(ROOT, 'wire/format.c'), encoding='ascii') as f:
        table = f.read().partition('static const FormatInfo formats[]')[2].partition('\n};')[0]
    names = re.findall(r'^ +(?:PACKED|PACKED_2|SEMI|PLANAR)\((\w+),', table, re.M)
    header = ''
    for folder in '/usr/include/libdrm', '/usr/include/drm', '/usr/local/include/libdrm':
        if os.path.exists(f'{folder}/drm_fourcc.h'):
            with open(f'{folder}/drm_fourcc.h', encoding='utf-8') as f:
                header = f.read()
            break
    codes = {found[0]: ''.join(found[1:5]) for found in
             re.findall(r"#define DRM_FORMAT_(\w+)\s+fourcc_code\('(.)', '(.)', '(.)', '(.)'\)", header)}
    said = dict(re.findall(r'#define DRM_FORMAT_(\w+)\s+fourcc_code\(.*?\) /\* (.*?) \*/', header))
    newer = [''.join(found) for found in re.findall(r"NEWER\('(.)', '(.)', '(.)', '(.)',", table)]
    formats = [Format(n, codes[n], SAID.get(n) or said[n]) for n in names]
    formats += [Format(n, n, SAID[n]) for n in newer]
    return formats + [Format(n, codes[n], said[n], swapped=True) for n in SWAPPED]


def memory(data):
    fd = os.memfd_create('picture', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
    return fd


class Pictures:
    """A source in this process: (fourcc, width, height) → (bytes, planes as (memory, offset, size, stride))."""

    def __init__(self, test, name, pictures):
        self.pictures, self.mode, self.format, self.seq = pictures, None, 0, 0
        _result, fds = fbtest.call(test.bus.connect(), 'org.framebus', MANAGER_PATH, MANAGER, 'Publish',
                                   GLib.Variant('(sa{sv})', (name, {})), with_fds=True)
        self.channel = programs.Channel(fds[0], self._on_signal)
        test.addCleanup(self.channel.close)
        modes = [{'fourcc': GLib.Variant('u', fourcc), 'width': GLib.Variant('u', w), 'height': GLib.Variant('u', h),
                  'rate': GLib.Variant('(uu)', (30, 1))} for fourcc, w, h in pictures]
        self.channel.call(PUBLICATION_PATH, PUBLICATION, 'Modes', GLib.Variant('(aa{sv})', (modes,)))
        tick = GLib.timeout_add(10, self._on_tick)
        test.addCleanup(GLib.source_remove, tick)

    def _send(self, member, parameters, fds=()):
        message = Gio.DBusMessage.new_method_call(None, PUBLICATION_PATH, PUBLICATION, member)
        message.set_flags(Gio.DBusMessageFlags.NO_REPLY_EXPECTED)
        message.set_body(parameters)
        if fds:
            message.set_unix_fd_list(Gio.UnixFDList.new_from_array(list(fds)))      # takes them
        self.channel.conn.send_message(message, Gio.DBusSendMessageFlags.NONE)

    def _on_signal(self, _conn, _sender, _path, _interface, member, parameters):
        if member == 'Start':
            mode = parameters.unpack()[0]
            self.mode = mode['fourcc'], mode['width'], mode['height']
            self.format += 1
            self._send('FormatChanged', GLib.Variant.new_tuple(GLib.Variant('t', 0), GLib.Variant('u', self.format),
                                                              parameters.get_child_value(0)))
            self._on_tick()
        elif member == 'Stop':
            self.mode = None

    def _on_tick(self):
        if self.mode:
            data, planes = self.pictures[self.mode]
            self.seq += 1
            self._send('Frame', GLib.Variant('(tttuuaha(uttu)a{sv})',
                                             (self.seq, 0, GLib.get_monotonic_time() * 1000, self.format, 0, [0],
                                              planes, {})), [memory(data)])
        return True


def lay_out(planes):
    """Lines with padding, which is not zero, in one memory."""
    data, places = b'', []
    for lines in planes:
        stride = len(lines[0]) + 24
        places.append((0, len(data), stride * len(lines), stride))
        data += b''.join(line + b'\x5a' * 24 for line in lines)
    return data, places


class Everything(test_framebusctl.Test):
    def setUp(self):
        super().setUp()
        self.formats = {f.fourcc: f for f in all_formats()}
        self.assertGreater(len(self.formats), 100)

    def near(self, got, wanted, tolerance):
        self.assertTrue(all(abs(a - b) <= tolerance for a, b in zip(got, wanted)), (got, wanted))

    def check_png(self, name, data):
        width, height, lines = test_framebusctl.png_pixels(data)
        self.assertEqual((width, height), (WIDTH, HEIGHT))
        for i, color in enumerate(COLORS):
            for y in 1, HEIGHT - 2:
                self.near(lines[y][i * BLOCK + BLOCK // 2], name.expected(color), name.tolerance())

    def check_y4m(self, f, data):
        """Samples as deep and as dense as the format's own; those of RGB are BT.601's."""
        header, _, rest = data.partition(b'\nFRAME\n')
        h, v, depth = SPACES[header.rpartition(b' C')[2].decode()]
        bits = DEPTHS.get(f.name) or max((b for n, b in f.fields or () if n[0] in 'YRGB'), default=8)
        grey, size = f.letters() == {'R'}, depth // 8 if depth != 12 and depth != 10 else 2
        self.assertEqual(depth, bits if grey or not f.letters() else 8)
        at = 0
        for i in range(1 if h == 0 else 3):
            across, down = (h, v) if i else (1, 1)
            width = WIDTH // across
            for k, color in enumerate(COLORS):
                x = (k * BLOCK + BLOCK // 2) // across
                place = at + (width * (HEIGHT // down - 1) + x) * size
                got = int.from_bytes(rest[place:place + size], 'little')
                if grey:
                    self.near([got], [color[0] / 255 * ((1 << depth) - 1)], 0.5)
                else:
                    wanted = ycbcr(f.expected(color))[i] * (1 << (depth - 8))
                    self.near([got], [wanted], 0.5 if not f.letters() else 1.5 + f.tolerance() * 0.6)
            at += width * (HEIGHT // down) * size
        self.assertEqual(len(rest), at)

    def test_every_format(self):
        refused = {int.from_bytes(b'C8  ', 'little')}     # it has no palette
        self.source = Pictures(self, 'cam', {(code, WIDTH, HEIGHT): lay_out(f.planes())
                                             for code, f in self.formats.items()})
        png, y4m = self.folder / 'x.png', self.folder / 'x.y4m'
        for i, (code, f) in enumerate(self.formats.items()):
            with self.subTest(f.name):
                if code in refused:
                    for verb in 'snapshot', 'record':
                        process = self.start(verb, 'cam', str(png), f'--mode=0x{code:08x}')
                        self.assertEqual(process.wait(20), 5, process.log())
                        self.assertRegex(process.err(), r'--mode asks for another format.*framebusctl\(1\)')
                    continue
                self.run_ctl('snapshot', 'cam', str(png), f'--mode=0x{code:08x}')
                self.check_png(f, png.read_bytes())
                if fbtest.count(i % 7 == 0 or f.swapped or f.name in DEPTHS, True):
                    self.run_ctl('record', 'cam', str(y4m), f'--mode=0x{code:08x}', '--frames=1')
                    self.check_y4m(f, y4m.read_bytes())

    def test_jpeg(self):
        """A picture that is all red; a broken one is not one; the choice falls on it by itself."""
        with open(os.path.join(ROOT, 'tests/unit/tools/red.jpeg.h'), encoding='ascii') as f:
            jpeg = bytes(int(n, 16) for n in re.findall(r'0x([0-9a-f]{2})', f.read()))
        mjpg, h264 = (int.from_bytes(name, 'little') for name in (b'MJPG', b'H264'))
        source = Pictures(self, 'cam', {(h264, 16, 8): (b'\0' * 99, [(0, 0, 99, 0)]),
                                        (mjpg, 16, 8): (jpeg, [(0, 0, len(jpeg), 0)])})
        png, y4m = self.folder / 'x.png', self.folder / 'x.y4m'
        for arguments in [], ['--mode=MJPG']:
            self.run_ctl('snapshot', 'cam', str(png), *arguments)
            self.assertEqual({pixel for line in test_framebusctl.png_pixels(png.read_bytes())[2] for pixel in line},
                             {(254, 0, 0)})
            self.run_ctl('record', 'cam', str(y4m), '--frames=2', *arguments)
            header, picture, again = y4m.read_bytes().split(b'\nFRAME\n'[1:])
            self.assertEqual(header, b'YUV4MPEG2 W16 H8 F30:1 Ip A1:1 C444\n')
            self.assertEqual(picture, again)
            self.near([picture[0], picture[128], picture[256]], ycbcr((254, 0, 0)), 1.5)
        for verb in 'snapshot', 'record':
            process = self.start(verb, 'cam', str(png), '--mode=H264')
            self.assertEqual(process.wait(20), 5, process.log())
            self.assertRegex(process.err(), r'H264.*--mode asks for another format')
        # a broken one in between is left out
        whole = source.pictures[mjpg, 16, 8]
        source.pictures[mjpg, 16, 8] = jpeg[:100], [(0, 0, 100, 0)]
        process = self.start('snapshot', 'cam', str(png))
        fbtest.wait_until(lambda: source.mode, 20)
        before = source.seq
        fbtest.wait_until(lambda: source.seq > before + 3, 20)
        self.assertIsNone(process.returncode)
        source.pictures[mjpg, 16, 8] = whole
        self.assertEqual(process.wait(20), 0, process.log())


if __name__ == '__main__':
    fbtest.main()
