#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A real clip, decoded by ffmpeg at its own rate, published as a source and watched by four unrelated programs
at once: plain sd-bus, GDBus, Python and libframebus (examples 01 to 04). Every plane of every frame has the
clip's own checksum.
"""

import os
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'harness'))

import fbtest
from fbtest import Broker, Bus

BUILD = os.environ.get('FB_BUILD', 'build')
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'examples')
WIDTH, HEIGHT, RATE, FRAMES, WATCHED = 128, 96, 25, 100, 20

# ffmpeg's pixel format: (horizontal, vertical subsampling of chroma or None, bytes a sample)
FORMATS = {
    'yuv420p': (2, 2, 1), 'yuvj420p': (2, 2, 1), 'yuv422p': (2, 1, 1), 'yuv444p': (1, 1, 1), 'yuv411p': (4, 1, 1),
    'gray': (None, None, 1), 'gray10le': (None, None, 2), 'gray12le': (None, None, 2), 'gray16le': (None, None, 2),
}
REFUSED = ['yuv420p10le', 'yuv422p12le', 'yuv444p10le', 'gray9le']


def planes(pixel_format):
    """The sizes in bytes of a frame's planes."""
    across, down, sample = FORMATS[pixel_format]
    luma = WIDTH * HEIGHT * sample
    return [luma] if across is None else [luma] + [(WIDTH // across) * (HEIGHT // down) * sample] * 2


def ffmpeg(*args, **options):
    return subprocess.run(['ffmpeg', '-nostdin', '-v', 'error', *args], check=True, **options)


class Clip:
    """A losslessly encoded clip and the checksums of its planes."""

    def __init__(self, folder, pixel_format):
        self.pixel_format = pixel_format
        self.path = os.path.join(folder, pixel_format + '.nut')
        source = f'testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={FRAMES / RATE}'
        ffmpeg('-f', 'lavfi', '-i', source, '-pix_fmt', pixel_format, '-c:v', 'rawvideo', self.path)

    def decode_command(self):
        return (f'ffmpeg -nostdin -v error -re -i {self.path} -pix_fmt {self.pixel_format} -strict -1 '
                f'-f yuv4mpegpipe -')

    def checksums(self):
        """A tuple of CRC-32s a frame, from the pipe's own bytes."""
        data = ffmpeg('-i', self.path, '-pix_fmt', self.pixel_format, '-strict', '-1', '-f', 'yuv4mpegpipe', '-',
                      stdout=subprocess.PIPE).stdout
        position = data.index(b'\n') + 1
        frames = []
        while position < len(data):
            position = data.index(b'\n', position) + 1
            crcs = []
            for size in planes(self.pixel_format):
                crcs.append('%08x' % zlib.crc32(data[position:position + size]))
                position += size
            frames.append(tuple(crcs))
        return frames


def seen(viewer):
    """{seq: checksums} of an example's output: seq pts format WxH crc…"""
    lines = [line.split() for line in viewer.out().splitlines() if line[:1].isdigit()]
    return {int(words[0]): tuple(words[4:]) for words in lines}


class ClipTest(fbtest.TestCase):
    def setUp(self):
        for program in ('01-subscribe-sdbus', '02-subscribe-gdbus', '04-subscribe'):
            if not os.path.exists(os.path.join(BUILD, 'examples', program)):
                self.skipTest(f'{program} is not built')

    def viewers(self, bus):
        examples = os.path.join(BUILD, 'examples')
        commands = [[os.path.join(examples, '01-subscribe-sdbus')], [os.path.join(examples, '02-subscribe-gdbus')],
                    [os.path.join(EXAMPLES, '03-subscribe.py')], [os.path.join(examples, '04-subscribe')]]
        return [self.enter(fbtest.Process([*command, '--frames', str(WATCHED), 'clip'], env=bus.env()))
                for command in commands]

    def publish(self, bus, clip):
        ctl = os.path.join(BUILD, 'tools', 'framebusctl')
        return self.enter(fbtest.Process(['sh', '-c', f'{clip.decode_command()} | {ctl} publish clip'],
                                         env=bus.env()))

    def watch_clip(self, pixel_format):
        bus = self.enter(Bus())
        self.enter(Broker(bus))
        clip = Clip(self.enter(tempfile.TemporaryDirectory()), pixel_format)
        wanted = clip.checksums()
        self.assertEqual(len(wanted), FRAMES)
        publisher = self.publish(bus, clip)
        fbtest.wait_until(lambda: 'clip' in fbtest.run([os.path.join(BUILD, 'tools', 'framebusctl'), 'list'],
                                                       env=bus.env())[1])
        viewers = self.viewers(bus)
        for viewer in viewers:
            self.assertEqual(viewer.wait(30), 0, viewer.log())
            self.check_viewer(seen(viewer), wanted, viewer)
        publisher.wait(30)

    def check_viewer(self, frames, wanted, viewer):
        self.assertGreaterEqual(len(frames), WATCHED, viewer.log())
        first = min(frames)
        start = wanted.index(frames[first])
        for seq, crcs in frames.items():
            self.assertEqual(crcs, wanted[start + seq - first], f'frame {seq} of {viewer.argv}')


def add_tests():
    for pixel_format in FORMATS:
        def test(self, pixel_format=pixel_format):
            self.watch_clip(pixel_format)
        test.__doc__ = f'{pixel_format}: every plane of every frame, in four programs at once'
        setattr(ClipTest, f'test_{pixel_format}', test)
    for pixel_format in REFUSED:
        def refused(self, pixel_format=pixel_format):
            bus = self.enter(Bus())
            self.enter(Broker(bus))
            status, out, err = fbtest.run(['sh', '-c',
                               f'ffmpeg -nostdin -v quiet -f lavfi -i testsrc2=size=64x64:rate=25:duration=0.2 '
                               f'-pix_fmt {pixel_format} -strict -1 -f yuv4mpegpipe - | '
                               f'{BUILD}/tools/framebusctl publish clip'], env=bus.env())
            self.assertEqual(status, 1, out + err)
            self.assertIn('DRM has no', err)
        refused.__doc__ = f'{pixel_format} has no DRM format: refused, with what to do'
        setattr(ClipTest, f'test_refused_{pixel_format}', refused)


add_tests()

if __name__ == '__main__':
    if not any(os.access(os.path.join(p, 'ffmpeg'), os.X_OK) for p in os.environ['PATH'].split(':')):
        fbtest.skip_all('ffmpeg is not installed')
    fbtest.main()
