#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""framebussrc in pipelines: caps, memory, time, losses, ends, a broker that comes back."""

import pipelines
from pipelines import Gst

import fbtest
from fbtest import Broker


class Source(pipelines.TestCase):
    def test_frames_and_caps(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc name=src source=bars ! fakesink name=sink sync=true')
        frames = viewer.wait_frames(5)
        caps = Gst.Caps.from_string(frames[0].caps).get_structure(0)
        self.assertEqual([caps.get_value(k) for k in ('format', 'width', 'height')], ['NV12', 320, 240])
        self.assertTrue(frames[0].discont)
        if viewer.get('src', 'lost') == 0:
            self.assertFalse(any(f.discont for f in frames[1:]))
        self.assertEqual([f.size for f in frames], [320 * 240 * 3 // 2] * 5)
        self.assertEqual(len({f.crc for f in frames}), 5)
        times = [f.pts for f in frames]
        self.assertEqual(times, sorted(times))
        self.assertEqual(viewer.get('src', 'copied'), 0)

    def test_a_filter_chooses_the_mode(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc source=bars ! video/x-raw,format=RGB,width=160,height=120 ! fakesink name=sink')
        self.assertEqual(viewer.wait_frames(1)[0].size, 160 * 120 * 3)

    def test_a_filter_that_changes(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc source=bars ! capsfilter name=f caps=video/x-raw,width=160,height=120 '
                           '! fakesink name=sink')
        for n in range(fbtest.count(6, 100)):
            width = (160, 320)[n % 2]
            viewer['f'].props.caps = Gst.Caps.from_string(f'video/x-raw,width={width},height=120')
            fbtest.wait_until(lambda w=width: viewer.wait_frames(1)[0].size == w * 120 * 3 // 2, 20, f'width {width}')

    def test_lines_that_are_not_as_gstreamer_has_them_are_copied_where_they_must_be(self):
        self.start({'bars': pipelines.pattern('322x242')})
        plain = self.play('framebussrc name=src source=bars ! video/x-raw,format=RGB ! fakesink name=sink')
        self.assertEqual(plain.wait_frames(2)[0].size, 968 * 242)
        self.assertGreaterEqual(plain.get('src', 'copied'), 2)
        knows = self.play('framebussrc name=src source=bars ! video/x-raw,format=RGB ! videoconvert '
                          '! video/x-raw,format=GRAY8 ! fakesink name=sink')
        knows.wait_frames(2)
        self.assertEqual(knows.get('src', 'copied'), 0)

    def test_times_are_those_of_the_pipeline(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc name=src source=bars ! fakesink name=sink')
        frame = viewer.wait_frames(3)[-1]
        clock = viewer.pipeline.get_clock()
        self.assertLess(frame.pts, clock.get_time() - viewer.pipeline.get_base_time())
        query = Gst.Query.new_latency()
        self.assertTrue(viewer['src'].query(query))
        live, least, _most = query.parse_latency()
        self.assertTrue(live)
        self.assertEqual(least, Gst.SECOND // 30)

    def test_what_is_lost_is_told(self):
        """A queue that holds all of the window while the source goes on."""
        self.start({'bars': pipelines.pattern(rate=60)})
        viewer = self.play('framebussrc name=src source=bars window=2 ! fakesink name=sink')
        viewer.wait_frames(1)
        held = []
        viewer['sink'].connect('handoff', lambda _s, buffer, _p: held.append(buffer.copy()) if len(held) < 2 else None)
        fbtest.wait_until(lambda: len(held) == 2)
        n = len(viewer.frames)
        fbtest.never(lambda: len(viewer.frames) > n + 1, 0.3)
        held.clear()
        fbtest.wait_until(lambda: any(f.discont for f in viewer.frames[n:]), 20)
        self.assertTrue(viewer.reasons())
        self.assertTrue(viewer.of_type(Gst.MessageType.QOS))
        self.assertGreater(viewer.get('src', 'lost'), 0)

    def test_no_such_source(self):
        self.start()
        viewer = self.play('framebussrc source=nothing ! fakesink name=sink')
        viewer.wait_message(Gst.MessageType.ERROR)
        self.assertIn('No source "nothing".', viewer.errors())

    def test_nothing_in_common(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc source=bars ! image/jpeg ! fakesink name=sink')
        viewer.wait_message(Gst.MessageType.ERROR)

    def test_the_broker_is_killed(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc name=src source=bars ! fakesink name=sink')
        viewer.wait_frames(3)
        self.broker.kill()
        n = len(viewer.frames)
        self.enter(Broker(self.bus, {'bars': pipelines.PATTERN}))
        fbtest.wait_until(lambda: any(f.discont for f in viewer.frames[n:]), 30)
        viewer.wait_frames(3)
        self.assertEqual(viewer.errors(), [])

    def test_buffers_outlive_the_element(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.play('framebussrc name=src source=bars ! fakesink name=sink enable-last-sample=false')
        held = []
        viewer['sink'].connect('handoff', lambda _s, buffer, _p: held.append(buffer.copy()))
        fbtest.wait_until(lambda: len(held) >= 2)
        viewer.stop()
        self.assertEqual(len(held[0].extract_dup(0, held[0].get_size())), 320 * 240 * 3 // 2)
        held.clear()

    def test_states(self):
        self.start({'bars': pipelines.PATTERN})
        viewer = self.pipeline('framebussrc source=bars ! fakesink name=sink')

        def round_trip(n):
            for _ in range(n):
                viewer.set_state(Gst.State.PLAYING).wait_frames(1)
                viewer.set_state(Gst.State.PAUSED).set_state(Gst.State.READY)
        round_trip(3)
        viewer.frames.clear()
        before = fbtest.proc_fds('self')
        round_trip(fbtest.count(20, 1000))
        self.assertLessEqual(fbtest.proc_fds('self'), before + 3)


if __name__ == '__main__':
    fbtest.main()
