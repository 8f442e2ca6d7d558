#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Pictures of vivid, single- and multi-planar, in a virtual machine: they are those that v4l2-ctl takes of the same
device, byte by byte; and while the format changes eight viewers get frames that are of it, and nobody is disconnected.
"""

import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'bus'))

import fbtest  # noqa: E402
import programs  # noqa: E402
from gi.repository import GLib  # noqa: E402

WIDTH, HEIGHT = 320, 180
# DRM's name, V4L2's, bytes for each 4 pixels. The first ones are those of a quick run.
SINGLE = [('NV12', 'NV12', 6), ('YUYV', 'YUYV', 8), ('BG24', 'RGB3', 12), ('YU12', 'YU12', 6), ('R8', 'GREY', 4),
          ('UYVY', 'UYVY', 8), ('NV21', 'NV21', 6), ('YV12', 'YV12', 6), ('NV16', 'NV16', 8), ('NV24', 'NV24', 12),
          ('YU16', '422P', 8), ('RG24', 'BGR3', 12), ('XR24', 'XR24', 16), ('AB24', 'AB24', 16), ('RG16', 'RGBP', 8),
          ('XR15', 'XR15', 8), ('AR12', 'AR12', 8), ('R16', 'Y16 ', 8), ('R10', 'Y10 ', 8)]
MULTI = [('NV12', 'NM12', 6), ('YU12', 'YM12', 6), ('YUYV', 'YUYV', 8), ('NV16', 'NM16', 8), ('NV21', 'NM21', 6),
         ('YV12', 'YM21', 6), ('YU24', 'YM24', 12), ('YU16', 'YM16', 8), ('BG24', 'RGB3', 12), ('XR24', 'XR24', 16)]
QUICK = 3
SEEN = 'peer', 'peer', 'peer', 'peer', 'bus', 'bus', 'peer-own-socket', 'peer-own-socket'
CHANGES = [('NV12', 320, 180, 6), ('YUYV', 320, 180, 8), ('NV12', 640, 360, 6), ('BG24', 320, 180, 12)]


def stand_still(device):
    """Bars without a word or a movement: each picture is like the one before."""
    subprocess.run(['v4l2-ctl', '-d', device, '-c', 'test_pattern=0,osd_text_mode=2,horizontal_movement=3,'
                    'vertical_movement=3'], check=True)


def code(fourcc):
    return int.from_bytes(fourcc.ljust(4).encode(), 'little')


class CameraTest(programs.TestCase):
    def setUp(self):
        self.folder = self.enter(tempfile.TemporaryDirectory(prefix='fbtest-', dir='/tmp'))
        self.bus = self.enter(fbtest.Bus())
        self.broker = self.enter(fbtest.Broker(self.bus, args=['--idle-timeout=0']))
        self.conn = self.bus.connect()

    def wait_listed(self, *names):
        def are_listed():
            objects, = self.call('/org/framebus', 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
            return all(f'/org/framebus/source/{name}' in objects for name in names)
        fbtest.wait_until(are_listed, 30, f'{names} to appear', interval=0.3)

    def our_picture(self, source, fourcc):
        path = os.path.join(self.folder, 'ours')
        viewer = self.client(source, 'peer', '--frames=2', f'--mode={fourcc}:{WIDTH}x{HEIGHT}', f'--save={path}',
                             '--checksum')
        viewer.finish(timeout=60)
        self.assertEqual(viewer.events('problem'), [])
        with open(path, 'rb') as file:
            frames = file.read()
        os.unlink(path)
        self.assertEqual(frames[:len(frames) // 2], frames[len(frames) // 2:], 'it stands still')
        return frames[:len(frames) // 2]

    def their_picture(self, device, pixelformat):
        path = os.path.join(self.folder, 'theirs')
        # the camera is given back when its last viewer is gone, which takes a moment
        command = ['v4l2-ctl', '-d', device, f'--set-fmt-video=width={WIDTH},height={HEIGHT},pixelformat={pixelformat}',
                   '--stream-mmap', '--stream-count=1', f'--stream-to={path}']
        fbtest.wait_until(lambda: subprocess.run(command, check=False, capture_output=True).returncode == 0 and
                          os.path.exists(path) and os.path.getsize(path), 60, ' '.join(command), interval=0.5)
        with open(path, 'rb') as file:
            data = file.read()
        os.unlink(path)
        return data

    def check_pictures(self, source, device, formats):
        stand_still(device)
        for fourcc, pixelformat, density in formats[:fbtest.count(QUICK, len(formats))]:
            with self.subTest(f'{device} {pixelformat}'):
                ours = self.our_picture(source, fourcc)
                self.assertEqual(len(ours), WIDTH * HEIGHT * density // 4)
                self.assertGreater(len(set(ours)), 1)
                self.assertTrue(ours == self.their_picture(device, pixelformat))

    def test_pictures(self):
        self.wait_listed('video0', 'video1')
        self.check_pictures('video0', '/dev/video0', SINGLE)
        self.check_pictures('video1', '/dev/video1', MULTI)

    def change(self, fourcc, width, height, _density):
        """Somebody comes who accepts this alone, and goes."""
        mode = {'fourcc': GLib.Variant('u', code(fourcc)), 'width': GLib.Variant('u', width),
                'height': GLib.Variant('u', height), 'rate': GLib.Variant('(uu)', (10, 1))}
        path, granted = self.on_source('video0', 'Subscribe', {'modes': GLib.Variant('aa{sv}', [mode])}, timeout=60)
        self.call(path, programs.SUBSCRIPTION, 'Close')
        return granted['mode']

    def test_changes(self):
        """A static picture: all frames of a mode are the same, whoever got them and when."""
        stand_still('/dev/video0')
        self.wait_listed('video0')
        acceptable = [f'--mode={fourcc}:{w}x{h}@10/1' for fourcc, w, h, _ in CHANGES]
        viewers = [self.client('video0', transport, '--checksum', '--stay', '--no-attack', *acceptable)
                   for transport in SEEN]
        for viewer in viewers:
            viewer.wait_frames(1, 60)
        for i in range(1, 1 + fbtest.count(6, 100)):
            wanted = CHANGES[i % len(CHANGES)]
            granted = self.change(*wanted)
            self.assertEqual((granted['width'], granted['height']), wanted[1:3])
            viewer = viewers[i % len(viewers)]
            is_it = {key: granted[key] for key in ('fourcc', 'width', 'height')}.items()
            fbtest.wait_until(lambda v=viewer, it=is_it: any(it <= {k: e['mode'][k] for k, _ in it}.items()
                                                             for e in v.events('format')[-1:]),
                              60, f'change {i}', interval=0.2)
            viewer.wait_frames(len(viewer.frames()) + i % 3, 60)
        sizes = {(code(f), w, h): w * h * density // 4 for f, w, h, density in CHANGES}
        pictures = {}
        for viewer in viewers:
            viewer.wait_frames(1, 60)
            viewer.quit()
            self.assert_exact(viewer)
            for kind in 'problem', 'ended', 'disconnected':
                self.assertEqual(viewer.events(kind), [])
            announced = None
            for event in viewer.events():
                if event['event'] == 'format':
                    announced = event
                elif event['event'] == 'frame':
                    self.assertEqual(event['format'], announced['format'])
                    m = announced['mode']
                    key = m['fourcc'], m['width'], m['height']
                    self.assertEqual(event['bytes'], sizes[key])
                    self.assertEqual(pictures.setdefault(key, event['crc32']), event['crc32'], announced)
        self.assertEqual(set(pictures), set(sizes))


if __name__ == '__main__':
    if not os.path.exists('/dev/video1'):
        fbtest.skip_all('there is no /dev/video1')
    fbtest.main()
