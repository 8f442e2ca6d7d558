#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a device can do wrong, and what becomes of it: three subscribers keep their subscriptions through each of
vivid's faults, and their counts add up: buffers that are dropped or damaged, REQBUFS, QBUF and STREAMON that fail, the
fatal error and disconnect in test_faults, numbers that wrap in test_wrapped_sequence (times that do in test_vivid.py),
and the driver unbound in test_camera.py. Short frames vivid does not tell: bytesused stays whole. In one machine there
are four devices: a webcam, an HDMI input, and two webcams with the multi-planar interface, one of them with memory for
DMA.
"""

import os
import subprocess
import sys

from gi.repository import GLib

import fbtest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_camera  # noqa: E402
from test_camera import Watcher, control, fourcc_variant, wait_until  # noqa: E402

FULL = os.environ.get('FB_FULL') == '1'
HDMI, PLANES, DMA = ('/dev/video1', '/dev/video2', '/dev/video3')
GREY = {'fourcc': fourcc_variant('R8  ')}


def source_of(device):
    return '/org/framebus/source/' + os.path.basename(device)


class FaultsTest(test_camera.CameraTest):
    test_clients = test_unplug = test_renumbered = test_busy = test_forbidden = None  # elsewhere

    def watch(self, n, **options):
        self.watchers = [Watcher(self.bus.connect(), **options) for _ in range(n)]
        self.more(3)

    def more(self, n):
        """All of them get N more frames, nobody's subscription ends, and the numbers add up."""
        wanted = [(w, len(w.frames) + n) for w in self.watchers]
        for watcher, count in wanted:
            watcher.wait_frames(count, 60)
            self.assertIsNone(watcher.ended)
            self.check_numbers(watcher)

    def program(self):
        """The process that has the device."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/comm', encoding='ascii') as f:
                    if f.read().strip() == 'framebus-v4l2':
                        return int(pid)
            except OSError:
                pass
        return None

    def test_faults(self):
        self.start()
        self.watch(3)
        pid = self.program()
        fds = len(os.listdir(f'/proc/{pid}/fd'))
        for _ in range(10 if FULL else 1):
            for name in ('inject_v4l2_buf_flag_error', 'inject_vidioc_qbuf_error', 'inject_fatal_streaming_error'):
                control(name, 1)
                self.more(6)
                self.assertEqual(self.get('State'), 'streaming', name)
            control('percentage_of_dropped_buffers', 50)
            self.more(6)
            control('percentage_of_dropped_buffers', 100)
            wait_until(lambda: self.get('State') == 'no-signal', 60, 'the stall to be told')
            self.assertIn('no frames', self.get('StateReason'))
            for name in ('inject_vidioc_reqbufs_error', 'inject_vidioc_streamon_error'):
                control(name, 1)  # found when it is started again
            control('percentage_of_dropped_buffers', 0)
            self.more(6)
            self.assertEqual((self.get('State'), self.get('StateReason')), ('streaming', ''))
        for watcher in self.watchers:
            self.assertGreater(watcher.lost.get('source', 0), 0)
            self.assertNotIn('corrupt', watcher.lost)
            self.assertTrue(any(flags & 4 for flags in watcher.flags))
        self.assertEqual(self.program(), pid)  # it was healed there
        self.assertEqual(len(os.listdir(f'/proc/{pid}/fd')), fds)
        control('disconnect', 1)  # vivid is there again as soon as everybody has closed it
        self.more(6)
        self.assertNotEqual(self.program(), pid)
        self.assertIn('damaged', self.broker.log())
        for watcher in self.watchers:
            watcher.close()
        for device in (PLANES, DMA):
            self.check_planes(device)

    def test_wrapped_sequence(self):
        """The device's numbers begin anew after 2^32: no gap of that size, and for nobody."""
        control('wrap_sequence_number', 1)
        self.addCleanup(control, 'wrap_sequence_number', 0)
        self.start()
        self.watch(3, mode=dict(test_camera.SMALL, rate=GLib.Variant('(uu)', (25, 1))))
        for watcher in self.watchers:
            self.assertGreater(watcher.frames[0][1], 2**31)
            wait_until(lambda w=watcher: w.frames[-1][1] < 2**31, 60, 'the first numbers again')
        self.more(3)
        for watcher in self.watchers:
            self.assertLess(watcher.frames[-1][0] - watcher.first, 10000)

    def check_planes(self, device):
        """A memory for each plane: put together in one, they are what the broker expects of the format."""
        wait_until(lambda: self.is_listed(source_of(device)), 20, device)
        self.watch(1, source=source_of(device), mode=dict(test_camera.SMALL, fourcc=fourcc_variant('YU16')))
        for name in ('inject_v4l2_buf_flag_error', 'inject_fatal_streaming_error'):
            control(name, 1, device)
        self.more(4)
        self.assertGreater(self.watchers[0].lost.get('source', 0), 0)
        self.assertNotIn('corrupt', self.watchers[0].lost)
        self.watchers[0].close()

    def test_signal(self):
        """No signal, another one, and the first again; what no display's data comes from gets some."""
        subprocess.run(['v4l2-ctl', '-d', HDMI, '--clear-edid'], check=True)
        self.start()
        source = source_of(HDMI)
        wait_until(lambda: self.is_listed(source), 20, 'video1 to appear')
        self.watch(1, source=source, mode=GREY)
        watcher, = self.watchers
        edid = subprocess.run(['v4l2-ctl', '-d', HDMI, '--get-edid', 'format=raw'], stdout=subprocess.PIPE, check=True)
        self.assertIn(b'Framebus', edid.stdout)
        self.assertEqual({(m['width'], m['height']) for m in self.get('Modes', source)}, {(1280, 720)})
        for mode, words in ((1, 'no signal'), (2, 'not stable'), (3, 'beyond')):
            control('dv_timings_signal_mode', mode, HDMI)
            wait_until(lambda: self.get('State', source) == 'no-signal', 30, words)
            wait_until(lambda w=words: w in self.get('StateReason', source), 30, words)
        control('dv_timings', 0, HDMI)
        control('dv_timings_signal_mode', 4, HDMI)
        self.more(3)
        # the sizes that are preferred are those of the signal; vivid scales, so the mode could stay
        self.assertEqual({(m['width'], m['height']) for m in self.get('Modes', source)}, {(640, 480)})
        control('dv_timings_signal_mode', 0, HDMI)
        self.more(3)
        self.assertEqual(self.get('State', source), 'streaming')
        self.assertIn('the signal changed', self.broker.log())
        self.assertIn('colorimetry', watcher.metas[-1])


if __name__ == '__main__':
    if not os.path.exists(DMA):
        fbtest.skip_all('there are no four devices')
    fbtest.main()
