#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The caps of com.stbtester.VideoSource, format by format: GStreamer reads them, and a record's bytes are what it expects
behind them. Raw pictures are laid out here as GStreamer says, not as our tables have it, of sizes with and without
something left over at the lines' ends.
"""

import os
import pathlib
import random
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('harness', 'bus', 'bus/client')]

import gi  # noqa: E402

import fakebroker  # noqa: E402
import fbtest  # noqa: E402
import programs  # noqa: E402
import pulsevideo  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402

try:
    gi.require_version('Gst', '1.0')
    gi.require_version('GstVideo', '1.0')
    from gi.repository import Gst, GstVideo
    Gst.init(None)
except (ImportError, ValueError):
    fbtest.skip_all('GStreamer is not installed for Python')

V = GLib.Variant
SIZES = (64, 48), (62, 47)
# by the comments of drm_fourcc.h, which counts from the low end of a word, and of video-format.h
RAW = {'YUYV': 'YUY2', 'YVYU': 'YVYU', 'UYVY': 'UYVY', 'VYUY': 'VYUY', 'NV12': 'NV12', 'NV21': 'NV21', 'NV16': 'NV16',
       'NV61': 'NV61', 'NV24': 'NV24', 'YU12': 'I420', 'YV12': 'YV12', 'YU16': 'Y42B', 'YU24': 'Y444', 'YU11': 'Y41B',
       'YUV9': 'YUV9', 'YVU9': 'YVU9', 'P010': 'P010_10LE', 'R8  ': 'GRAY8', 'R16 ': 'GRAY16_LE', 'RG16': 'RGB16',
       'BG16': 'BGR16', 'RG24': 'BGR', 'BG24': 'RGB', 'XR24': 'BGRx', 'AR24': 'BGRA', 'XB24': 'RGBx', 'AB24': 'RGBA',
       'RX24': 'xBGR', 'RA24': 'ABGR', 'BX24': 'xRGB', 'BA24': 'ARGB'}
COMPRESSED = {'MJPG': 'image/jpeg', 'JPEG': 'image/jpeg', 'H264': 'video/x-h264', 'HEVC': 'video/x-h265',
              'VP80': 'video/x-vp8', 'VP90': 'video/x-vp9'}


class Publisher:
    """A source with one mode, each of whose frames the test makes; it says FormatChanged when it is started."""

    def __init__(self, case, name, fourcc, width, height):
        self.mode = {'fourcc': V('u', int.from_bytes(fourcc.encode(), 'little')), 'modifier': V('t', 0),
                     'width': V('u', width), 'height': V('u', height), 'rate': V('(uu)', (30000, 1001))}
        result, fds = case.call(programs.MANAGER_PATH, programs.MANAGER, 'Publish', V('(sa{sv})', (name, {})),
                                with_fds=True)
        self.path, self.seq = result[0], 0
        self.channel = programs.Channel(fds[0])
        case.addCleanup(self.channel.close)
        self._call('Modes', V('(aa{sv})', ([self.mode],)))

    def _call(self, member, parameters, fds=None):
        self.channel.call(programs.PUBLICATION_PATH, programs.PUBLICATION, member, parameters, fds=fds)

    def started(self):
        return bool(self.channel.named('Start'))

    def send(self, data, planes):
        if self.seq == 0:
            self._call('FormatChanged', V('(tua{sv})', (0, 1, self.mode)))
        self.seq += 1
        fd = fakebroker.memfd(data)
        try:
            self._call('Frame', V('(tttuuaha(uttu)a{sv})', (self.seq, 0, time.monotonic_ns(), 1, 0, [0], planes, {})),
                       fds=[fd])
        finally:
            os.close(fd)

    def close(self):
        self.channel.close()


class Caps(programs.TestCase):
    def see(self, fourcc, width, height, data, planes, size):
        """The caps of a source of such pictures, after a viewer has got one."""
        publisher = Publisher(self, 'one', fourcc, width, height)
        viewer = pulsevideo.Viewer(self.bus.connect(), 'org.framebus', publisher.path)
        self.addCleanup(viewer.close)
        answers = []
        viewer.proxy.call_with_unix_fd_list('Attach', None, Gio.DBusCallFlags.NONE, 20000, None, None,
                                            lambda proxy, result: answers.append(
                                                proxy.call_with_unix_fd_list_finish(result)))
        fbtest.wait_until(publisher.started, what='Start')
        publisher.send(data, planes)
        fbtest.wait_until(lambda: answers, what='the answer to Attach')
        viewer.adopt(*answers[0])
        self.assertEqual(viewer.caps, viewer.cached_caps())
        record = viewer.read()
        self.assertEqual(record.size, size)
        self.assertEqual(record.data(), data[record.offset:record.offset + size])
        record.close()
        publisher.close()
        self.assertIsNone(viewer.read())
        fbtest.wait_until(lambda: not self.who(), what='the end of both')
        return viewer.caps

    def test_raw(self):
        self.start()
        for fourcc, name in RAW.items():
            for width, height in SIZES:
                with self.subTest(f'{fourcc} {width}x{height}'):
                    info = GstVideo.VideoInfo.new_from_caps(Gst.Caps.from_string(
                        f'video/x-raw, format={name}, width={width}, height={height}, framerate=30000/1001'))
                    n = info.finfo.n_planes
                    before = 24                         # the picture need not begin where its memory does
                    data = random.Random(fourcc).randbytes(before + info.size + 8)
                    ends = [*info.offset[1:n], info.size]
                    planes = [(0, before + info.offset[i], ends[i] - info.offset[i], info.stride[i]) for i in range(n)]
                    found = Gst.Caps.from_string(self.see(fourcc, width, height, data, planes, info.size))
                    self.assertTrue(found.is_fixed())
                    again = GstVideo.VideoInfo.new_from_caps(found)
                    self.assertEqual((again.finfo.name, again.width, again.height, again.size),
                                     (name, width, height, info.size))
                    self.assertEqual((again.fps_n, again.fps_d), (30000, 1001))

    def test_compressed(self):
        self.start()
        for fourcc, name in COMPRESSED.items():
            with self.subTest(fourcc):
                data = random.Random(fourcc).randbytes(1000)
                found = Gst.Caps.from_string(self.see(fourcc, 64, 48, data, [(0, 100, 600, 0)], 600))
                self.assertTrue(found.is_fixed())
                structure = found.get_structure(0)
                self.assertEqual((structure.get_name(), structure.get_int('width').value,
                                  structure.get_int('height').value), (name, 64, 48))
                self.assertEqual(structure.get_fraction('framerate')[1:], (30000, 1001))
                if fourcc in ('H264', 'HEVC'):
                    self.assertEqual((structure.get_string('stream-format'), structure.get_string('alignment')),
                                     ('byte-stream', 'au'))


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
