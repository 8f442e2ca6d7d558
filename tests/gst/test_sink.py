#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""framebussink, watched by framebussrc: every byte arrives, from memory that upstream filled."""

import pipelines
from pipelines import Gst

import fbtest
from fbtest import Broker

FORMATS = 'I420', 'NV12', 'YUY2', 'RGB', 'GRAY8', 'BGRx', 'P010_10LE'


class Sink(pipelines.TestCase):
    def publish(self, caps, more='', rate=30, *, name='test', tail=''):
        """A pipeline that makes pictures that are all different; what it sent is in .frames."""
        return self.play(f'videotestsrc is-live=true pattern=ball {more} ! {caps},framerate={rate}/1 {tail} '
                         f'! identity name=sent ! framebussink name=out source={name}').taps('sent')

    def published(self, name='test'):
        fbtest.wait_until(lambda: self.names_of_sources().count(name), 20, f'a source {name}')

    def watch(self, name='test', more='! fakesink name=sink'):
        self.published(name)
        return self.play(f'framebussrc name=src source={name} {more}')

    def assert_same(self, sender, frames):
        """What arrived is what was sent, in the same order; nothing is missing that was not told."""
        sent = [f.crc for f in sender.frames]
        at = -1
        for n, frame in enumerate(frames):
            if n == 0 or frame.discont:
                self.assertIn(frame.crc, sent[at + 1:])
                at = sent.index(frame.crc, at + 1)
            else:
                at += 1
                self.assertEqual(frame.crc, sent[at])

    def test_checksums(self):
        self.start()
        for pixel_format in FORMATS:
            for size in ((320, 240), (326, 242)):
                with self.subTest(format=pixel_format, size=size):
                    name = f'{pixel_format}-{size[0]}'
                    sender = self.publish(f'video/x-raw,format={pixel_format},width={size[0]},height={size[1]}',
                                          name=name)
                    viewer = self.watch(name)
                    frames = viewer.wait_frames(4)
                    self.assert_same(sender, frames)
                    self.assertEqual(sender.get('out', 'copied'), 0)
                    fbtest.wait_until(lambda s=sender: s.get('out', 'in-place') >= 4)     # counted afterwards
                    self.assertEqual(viewer.get('src', 'copied'), 0)
                    viewer.stop()
                    sender.stop()

    def test_colors(self):
        self.start()
        for n, (pixel_format, colorimetry) in enumerate((('NV12', 'bt709'), ('I420', 'bt601'), ('I420', 'bt2020-10'),
                                                         ('I420', '1:4:5:1'), ('RGB', 'sRGB'))):
            with self.subTest(colorimetry=colorimetry):
                sender = self.publish(f'video/x-raw,format={pixel_format},width=320,height=240,'
                                      f'colorimetry={colorimetry}', name=f'colors-{n}')
                frame = self.watch(f'colors-{n}').wait_frames(1)[0]
                self.assertEqual(Gst.Caps.from_string(frame.caps).get_structure(0).get_value('colorimetry'),
                                 colorimetry)
                sender.stop()

    def test_mjpeg(self):
        self.start()
        sender = self.publish('video/x-raw,width=320,height=240', tail='! jpegenc')
        frames = self.watch().wait_frames(4)
        self.assert_same(sender, frames)
        self.assertIn('image/jpeg', frames[0].caps)

    def test_time_of_capture(self):
        """Both pipelines have the same clock, so running times differ by the base times alone."""
        self.start()
        sender = self.publish('video/x-raw,format=GRAY8,width=320,height=240')
        viewer = self.watch()
        fbtest.wait_until(lambda: viewer.frames and viewer.frames[-1].pts > 0)      # 0: of before it was playing
        frame = viewer.frames[-1]
        original = next(f for f in sender.frames if f.crc == frame.crc)
        moment = [f.pts + p.pipeline.get_base_time() for f, p in ((original, sender), (frame, viewer))]
        self.assertEqual(*moment)

    def test_foreign_memory_is_copied(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240', tail='! identity drop-allocation=true')
        self.assert_same(sender, self.watch().wait_frames(3))
        self.assertEqual(sender.get('out', 'in-place'), 0)
        fbtest.wait_until(lambda: sender.get('out', 'copied') >= 3)       # counted afterwards

    def test_nothing_is_done_for_nobody(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240')
        sender.wait_frames(5)
        self.assertFalse(sender['out'].props.watched)
        self.assertEqual(sender.get('out', 'in-place') + sender.get('out', 'copied'), 0)
        viewer = self.watch()
        viewer.wait_frames(2)
        self.assertTrue(sender['out'].props.watched)
        viewer.stop()
        fbtest.wait_until(lambda: not sender['out'].props.watched)
        unwatched = sender.get('out', 'unwatched')
        sender.wait_frames(3)
        self.assertGreater(sender.get('out', 'unwatched'), unwatched)

    def test_caps_change(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240', tail='! videoscale ! capsfilter name=f')
        viewer = self.watch()
        viewer.wait_frames(1)
        for n in range(fbtest.count(6, 100)):
            width = (160, 320)[n % 2]
            sender['f'].props.caps = Gst.Caps.from_string(f'video/x-raw,width={width},height=120')
            fbtest.wait_until(lambda w=width: viewer.wait_frames(1)[0].size == w * 120 * 3 // 2, 20, f'width {width}')
        self.assertEqual(viewer.errors() + sender.errors(), [])

    def test_a_subscriber_comes_and_goes(self):
        """What it had mapped is not written again: those slots are retired, and others take their place."""
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240', rate=60)
        for _ in range(fbtest.count(5, 200)):
            viewer = self.watch()
            self.assert_same(sender, viewer.wait_frames(6))
            viewer.stop()
            self.assertNotIn('corrupt', viewer.reasons())
        self.assertEqual(sender.get('out', 'copied'), 0)

    def test_the_broker_is_killed(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240')
        viewer = self.watch()
        viewer.wait_frames(2)
        self.broker.kill()
        n = len(viewer.frames)
        self.broker = self.enter(Broker(self.bus))
        fbtest.wait_until(lambda: any(f.discont for f in viewer.frames[n:]), 30)
        frames = viewer.wait_frames(3)
        self.assert_same(sender, frames)
        self.assertEqual(viewer.errors() + sender.errors(), [])

    def test_a_name_that_is_taken(self):
        self.start({'test': pipelines.PATTERN})
        second = self.publish('video/x-raw,format=I420,width=320,height=240')
        second.wait_message(Gst.MessageType.ERROR)
        self.assertIn('"test" cannot be published.', second.errors())

    def test_the_end_is_the_end(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240')
        viewer = self.watch()
        viewer.wait_frames(1)
        sender.stop()
        viewer.wait_message(Gst.MessageType.EOS)

    def test_waiting_for_the_next_one(self):
        self.start()
        viewer = self.play('framebussrc name=src source=test on-end=wait ! fakesink name=sink')
        for _ in range(2):
            sender = self.publish('video/x-raw,format=I420,width=320,height=240')
            fbtest.wait_until(lambda s=sender: len({f.crc for f in s.frames} & {f.crc for f in viewer.frames}) > 2, 20)
            sender.stop()
            viewer.frames.clear()
        self.assertEqual(viewer.errors(), [])

    def test_keyframes_are_asked_for(self):
        """An encoder that would never make one again hears of the newcomer."""
        if not Gst.ElementFactory.find('vp8enc'):
            self.skipTest('GStreamer has no vp8enc')
        self.start()
        sender = self.publish('video/x-raw,width=160,height=120', tail='! vp8enc deadline=1 keyframe-max-dist=100000')
        sender.wait_frames(10)
        frames = self.watch().wait_frames(2)
        self.assert_same(sender, frames)
        self.assertFalse(frames[0].flags & Gst.BufferFlags.DELTA_UNIT)

    def test_states(self):
        self.start()
        sender = self.publish('video/x-raw,format=I420,width=320,height=240', rate=60)
        viewer = self.pipeline('framebussrc source=test on-end=wait ! fakesink name=sink')

        def round_trip(n):
            for _ in range(n):
                sender.set_state(Gst.State.PLAYING)
                viewer.set_state(Gst.State.PLAYING).wait_frames(1)
                viewer.set_state(Gst.State.READY)
                sender.set_state(Gst.State.READY)
                sender.frames.clear()
        round_trip(3)
        before = fbtest.proc_fds('self')
        round_trip(fbtest.count(20, 1000))
        self.assertLessEqual(fbtest.proc_fds('self'), before + 3)


if __name__ == '__main__':
    fbtest.main()
