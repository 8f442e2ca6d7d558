# SPDX-License-Identifier: LGPL-2.1-or-later
"""framebusctl with the real broker and the real capture programs: pictures come out as they went in."""

import json
import os
import pathlib
import shutil
import signal
import struct
import tempfile
import zlib

import fbtest

SOURCES = {'bars': '[Source]\nName=bars\nDescription=Test picture\n'
                   'Exec=framebus-pattern --size 320x240 --rate 60\n'}

# of what yuv4mpeg2 calls it: samples a picture of width w and height h, bytes a sample
LAYOUTS = {
    '420jpeg': (lambda w, h: w * h + 2 * ((w + 1) // 2) * ((h + 1) // 2), 1),
    '422': (lambda w, h: w * h + 2 * ((w + 1) // 2) * h, 1),
    '444': (lambda w, h: 3 * w * h, 1),
    '411': (lambda w, h: w * h + 2 * ((w + 3) // 4) * h, 1),
    '410': (lambda w, h: w * h + 2 * ((w + 3) // 4) * ((h + 3) // 4), 1),
    'mono': (lambda w, h: w * h, 1),
    'mono10': (lambda w, h: w * h, 2),
    'mono12': (lambda w, h: w * h, 2),
    'mono16': (lambda w, h: w * h, 2),
}


def clip(name, width, height, n_frames, rate='50:1'):
    """Header and pictures; no two samples beside each other are the same."""
    samples, size = LAYOUTS[name]
    n = samples(width, height) * size
    header = f'YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C{name}\n'.encode()
    upper = {'mono10': 3, 'mono12': 15}.get(name, 255)      # of little-endian samples
    masks = 255, upper
    return header, [bytes((i * 7 + k * 13) & masks[i & 1] for i in range(n)) for k in range(n_frames)]


def png_pixels(data):
    """(width, height, lines of (r, g, b)) of an 8-bit RGB PNG file."""
    assert data[:8] == b'\x89PNG\r\n\x1a\n'
    width, height, depth, kind = struct.unpack('>IIBB', data[16:26])
    assert (depth, kind) == (8, 2)
    packed, at = b'', 8
    while at < len(data):
        length, name = struct.unpack('>I4s', data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if name == b'IDAT' else b''
        at += 12 + length
    raw, n = zlib.decompress(packed), width * 3
    lines, above = [], bytearray(n)
    for y in range(height):
        method, line = raw[y * (n + 1)], bytearray(raw[y * (n + 1) + 1:(y + 1) * (n + 1)])
        for i in range(n):
            a, b, c = (line[i - 3] if i >= 3 else 0), above[i], (above[i - 3] if i >= 3 else 0)
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, nearest)[method]) & 255
        lines.append([tuple(line[i:i + 3]) for i in range(0, n, 3)])
        above = line
    return width, height, lines


class Test(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.env = {'FRAMEBUS_LIBEXECDIR': str(fbtest.build_path('sources')), **self.bus.env()}
        self.config = self.enter(fbtest.Config(SOURCES))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-ctl-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.folder)
        self.broker = self.new_broker()

    def new_broker(self):
        return self.enter(fbtest.Broker(self.bus, self.config, env=self.env))

    def start(self, *args, **options):
        argv = [*fbtest.wrapper(), str(fbtest.build_path('tools/framebusctl')),
                f'--address={self.bus.address}', *args]
        return self.enter(fbtest.Process(argv, env=self.env, **options))

    def run_ctl(self, *args, status=0):
        process = self.start(*args)
        self.assertEqual(process.wait(20), status, process.log())
        return process.out()

    def publish(self, name, data, *args):
        """A source that is a file, which is not read while nobody watches."""
        path = self.folder / f'{name}.source.y4m'
        path.write_bytes(data)
        process = self.start('publish', name, str(path), *args)
        fbtest.wait_until(lambda: f'{name} ' in self.run_ctl('list'), 10, f'{name} in the list')
        return process


class Everything(Test):
    def test_each_format_unchanged(self):
        for name in LAYOUTS:
            for width, height in (32, 18), (17, 7):
                with self.subTest(name, width=width):
                    header, pictures = clip(name, width, height, 8)
                    source = f'{name}-{width}'
                    publisher = self.publish(source, header + b''.join(b'FRAME\n' + p for p in pictures))
                    path = self.folder / f'{source}.y4m'
                    self.run_ctl('record', source, str(path), '--window=16')
                    self.assertEqual(publisher.wait(), 0, publisher.log())
                    recorded_header, _, rest = path.read_bytes().partition(b'\n')
                    self.assertEqual(recorded_header + b'\n', header)
                    self.assertEqual(rest, b''.join(b'FRAME\n' + p for p in pictures))

    def test_snapshot_colours(self):
        """Whatever the format, the bars are grey, yellow, cyan, green, magenta, red, blue and black."""
        wanted = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0),
                  (0, 0, 192), (0, 0, 0)]
        for fourcc in 'NV12', 'YU12', 'YUYV', 'BG24':
            with self.subTest(fourcc):
                path = self.folder / f'{fourcc}.png'
                self.run_ctl('snapshot', 'bars', str(path), f'--mode={fourcc}')
                width, height, lines = png_pixels(path.read_bytes())
                self.assertEqual((width, height), (320, 240))
                bars = [lines[height - 24][width * (2 * i + 1) // 16] for i in range(8)]
                for got, expected in zip(bars, wanted):
                    self.assertLessEqual(max(abs(a - b) for a, b in zip(got, expected)), 6, bars)

    def test_record_what_the_source_prefers_otherwise(self):
        path = self.folder / 'x.y4m'
        self.run_ctl('record', 'bars', str(path), '--frames=5', '--mode=BG24,64x64,30')
        header, _, rest = path.read_bytes().partition(b'\n')
        self.assertEqual(header, b'YUV4MPEG2 W64 H64 F30:1 Ip A1:1 C444')
        self.assertEqual(len(rest), 5 * (6 + 3 * 64 * 64))

    def test_watch_and_who(self):
        for transport in 'peer', 'bus':
            with self.subTest(transport):
                process = self.start('watch', 'bars', '--json', f'--transport={transport}', '--frames=90',
                                     '--window=8')
                process.wait_output('"second"', 10)
                viewer = json.loads(self.run_ctl('who', '--json').splitlines()[0])
                self.assertEqual((viewer['source'], viewer['pid'], viewer['conduit'], viewer['window']),
                                 ('bars', process.pid, transport, 8))
                self.assertEqual(process.wait(), 0, process.log())
                summary = json.loads(process.out().splitlines()[-1])
                self.assertEqual((summary['frames'], summary['unexplained']), (90, 0))

    def test_max_rate_is_explained(self):
        out = self.run_ctl('watch', 'bars', '--json', '--max-rate=10', '--frames=10')
        summary = json.loads(out.splitlines()[-1])
        self.assertGreater(summary['lost-by-reason']['rate'], 0)
        self.assertEqual(summary['unexplained'], 0)

    def test_order(self):
        for transport in 'peer', 'bus':
            out = self.run_ctl('watch', 'bars', '--json', '--order=causal', f'--transport={transport}', '--frames=3')
            said = [json.loads(line) for line in out.splitlines()]
            self.assertEqual(next(e['order'] for e in said if e['event'] == 'attached'), 'causal')
            self.assertEqual((said[-1]['frames'], said[-1]['unexplained']), (3, 0))
        self.assertIn('order causal', self.run_ctl('watch', 'bars', '--order=causal', '--frames=1'))
        self.run_ctl('watch', 'bars', '--order=total', status=2)

    def test_negotiate(self):
        granted = json.loads(self.run_ctl('negotiate', 'bars', '--mode=YUYV,320x200,25', '--json'))['granted']
        self.assertEqual((granted['mode']['fourcc'], granted['mode']['width'], granted['mode']['rate']),
                         ('YUYV', 320, [25, 1]))
        self.run_ctl('negotiate', 'bars', '--mode=NV24', status=5)

    def test_controls(self):
        """Listed, read and set, menus by their words, and refused with what is allowed."""
        listed = [json.loads(line) for line in self.run_ctl('controls', 'bars', '--json').splitlines()]
        self.assertEqual([(c['id'], c['type'], c['value']) for c in listed],
                         [('speed', 'integer', 1), ('color', 'menu', 0), ('pause', 'boolean', 0)])
        self.assertIn('0 Orange, 1 Violet', self.run_ctl('controls', 'bars'))
        self.assertEqual(self.run_ctl('controls', 'bars', 'color=grey', 'pause=on', 'speed'),
                         'color: 2\npause: 1\nspeed: 1\n')
        self.assertEqual(json.loads(self.run_ctl('controls', 'bars', 'color', '--json')), {'values': {'color': 2}})
        for word in 'speed=9', 'speed=fast', 'color=blue', 'tint=1', 'tint', 'pause=':
            self.run_ctl('controls', 'bars', word, status=5)
        self.run_ctl('controls', 'bars', '--watch', 'speed=2', status=2)
        self.run_ctl('controls', 'none', status=3)
        self.run_ctl('list', '--watch', status=2)

    def test_controls_watch(self):
        watching = self.start('controls', 'bars', 'speed', '--watch')
        i = iter(range(10 ** 6))
        fbtest.wait_until(lambda: (self.run_ctl('controls', 'bars', f'speed={next(i) % 9}', 'pause=1'),
                                   'speed: ' in watching.out())[1], 20, 'a change')
        self.assertNotIn('pause', watching.out())
        watching.stop(signal.SIGINT)
        self.assertEqual(watching.returncode, 0)

    def test_name_taken(self):
        self.run_ctl('publish', 'bars', '/dev/null', status=5)

    def test_publish_nonsense(self):
        (self.folder / 'x').write_bytes(b'GIF89a')
        self.run_ctl('publish', 'clip', str(self.folder / 'x'), status=1)
        self.run_ctl('publish', 'clip', str(self.folder / 'nothing'), status=1)

    def test_broker_crashes(self):
        viewers = [self.start('watch', 'bars', f'--transport={transport}') for transport in ('peer', 'bus')]
        for viewer in viewers:
            viewer.wait_output(r'fps .* frames \d', 10)
        self.broker.kill()
        for viewer in viewers:
            viewer.wait_output('is gone: trying again', 10)
        self.broker = self.new_broker()
        for viewer in viewers:
            viewer.wait_output('attached again', 20)
            before = viewer.out().count(' fps')
            fbtest.wait_until(lambda: viewer.out().count(' fps') > before + 1, 10)
            self.assertEqual(viewer.stop(signal.SIGINT), 0)
            self.assertNotIn('unexplained', viewer.out())

    def test_publisher_ends_with_signal(self):
        header, pictures = clip('420jpeg', 16, 16, 3)
        publisher = self.publish('clip', header + b''.join(b'FRAME\n' + p for p in pictures), '--loop')
        viewer = self.start('watch', 'clip')
        viewer.wait_output('frames look like', 10)
        publisher.stop(signal.SIGTERM)
        self.assertEqual(viewer.wait(), 1, viewer.log())
        self.assertIn('the source is gone', viewer.err())


if __name__ == '__main__':
    fbtest.main()
