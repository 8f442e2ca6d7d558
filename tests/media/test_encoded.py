#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
MJPEG, H.264 and HEVC, as ffmpeg makes them, from a V4L2 device (that exists in the capture program only) and from a
publisher: three unrelated viewers get them bit by bit, and who comes late can decode from the first keyframe on.
"""

import fcntl
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import programs  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
from programs import MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH  # noqa: E402

WIDTH, HEIGHT, RATE, FRAMES, WATCHED = 64, 48, 50, 40, 26
F_ADD_SEALS, ALL_SEALS = 1033, 15
ENCODERS = {
    'MJPG': ['-c:v', 'mjpeg', '-q:v', '5', '-f', 'mjpeg'],
    'H264': ['-c:v', 'libx264', '-g', '12', '-bf', '2', '-x264-params', 'aud=1:repeat-headers=1:scenecut=0',
             '-f', 'h264'],
    # of open groups the first pictures behind a keyframe cannot be decoded by who begins there
    'HEVC': ['-c:v', 'libx265', '-g', '12', '-x265-params',
             'aud=1:repeat-headers=1:scenecut=0:open-gop=0:log-level=error', '-f', 'hevc'],
}
# where a frame begins; what a parameter set and a picture to begin with are, by the byte behind the start code
BEGINS = {'MJPG': rb'\xff\xd8\xff', 'H264': rb'\x00\x00\x00\x01\x09', 'HEVC': rb'\x00\x00\x00\x01\x46\x01'}
SETS = {fourcc: rb'\x00?\x00\x00\x01' + unit + rb'.*?(?=\x00\x00\x01|\x00\x00\x00\x01)'
        for fourcc, unit in (('H264', rb'[\x67\x68]'), ('HEVC', rb'[\x40\x42\x44]\x01'))}
INTRA = {'H264': rb'\x00\x00\x01\x65', 'HEVC': rb'\x00\x00\x01[\x26\x28\x2a]\x01'}


def ffmpeg(*args, data=None):
    return subprocess.run(['ffmpeg', '-v', 'error', *args], input=data or b'', check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)


def encode(fourcc):
    """The frames of a clip: of H.264 and HEVC with a delimiter in front and parameter sets at each keyframe."""
    # with noise: no two frames are the same
    source = f'testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={FRAMES / RATE},noise=alls=20:allf=t'
    stream = ffmpeg('-f', 'lavfi', '-i', source, '-pix_fmt', 'yuvj420p' if fourcc == 'MJPG' else 'yuv420p',
                    *ENCODERS[fourcc], '-').stdout
    starts = [m.start() for m in re.finditer(BEGINS[fourcc], stream, re.S)] + [len(stream)]
    frames = [stream[a:b] for a, b in zip(starts, starts[1:])]
    assert len(frames) == FRAMES and b''.join(frames) == stream, (len(frames), starts[0])
    return frames


def is_keyframe(fourcc, frame):
    return fourcc == 'MJPG' or bool(re.search(INTRA[fourcc], frame))


def without_sets(fourcc, frames):
    """What a device makes of it that says its parameter sets once."""
    return frames[:1] + [re.sub(SETS[fourcc], b'', f, flags=re.S) for f in frames[1:]]


class Publisher:
    """One frame every 20 ms, over and over."""

    def __init__(self, test, fourcc, frames):
        self.fourcc, self.frames, self.running, self.seq = fourcc, frames, False, 0
        _result, fds = test.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', ('cam', {})), with_fds=True)
        self.channel = programs.Channel(fds[0], self._on_signal)
        test.addCleanup(self.channel.close)
        code = int.from_bytes(fourcc.encode(), 'little')
        mode = {'fourcc': GLib.Variant('u', code), 'width': GLib.Variant('u', WIDTH),
                'height': GLib.Variant('u', HEIGHT), 'rate': GLib.Variant('(uu)', (RATE, 1))}
        self.channel.call(PUBLICATION_PATH, PUBLICATION, 'Modes', GLib.Variant('(aa{sv})', ([mode],)))
        tick = GLib.timeout_add(1000 // RATE, self._on_tick)
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
            self._send('FormatChanged', GLib.Variant.new_tuple(GLib.Variant('t', 0), GLib.Variant('u', 1),
                                                              parameters.get_child_value(0)))
        self.running = member == 'Start' or (self.running and member != 'Stop')

    def _on_tick(self):
        if not self.running:
            return True
        frame = self.frames[self.seq % len(self.frames)]
        self.seq += 1
        fd = os.memfd_create('frame', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(fd, frame)
        fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
        flags = 2 if is_keyframe(self.fourcc, frame) else 0
        values = self.seq, 0, GLib.get_monotonic_time() * 1000, 1, flags, [0], [(0, 0, len(frame), 0)], {}
        self._send('Frame', GLib.Variant('(tttuuaha(uttu)a{sv})', values), [fd])
        return True


class Encoded(programs.TestCase):
    def setUp(self):
        self.folder = self.enter(tempfile.TemporaryDirectory(prefix='fbtest-enc-', dir='/tmp'))

    def viewers(self):
        """Two that keep the bytes, and one of libframebus that sums them."""
        raw = [self.client('cam', transport, '--checksum', f'--frames={WATCHED}', '--window=16',
                           f'--save={self.folder}/{transport}') for transport in ('bus', 'peer')]
        library = self.enter(fbtest.Process([str(fbtest.build_path('examples/04-subscribe')), '--frames', str(WATCHED),
                                             'cam'], env=self.bus.env()))
        return raw, library

    def check_saved(self, fourcc, frames, viewer, path):
        """The file is the frames behind each other that the viewer says it got; to the last bit."""
        with open(path, 'rb') as file:
            saved = file.read()
        at, last, events = 0, None, viewer.frames()
        self.assertGreaterEqual(len(events), WATCHED)
        for event in events:
            found = [i for i, f in enumerate(frames) if saved[at:at + len(f)] == f and len(f) == event['bytes']]
            self.assertEqual(len(found), 1, (event, saved[at:at + 64]))
            self.assertEqual(bool(event['flags'] & 2), is_keyframe(fourcc, frames[found[0]]), event)
            if last and not event['replayed']:
                self.assertEqual((found[0] - last[0]) % len(frames), (event['seq'] - last[1]) % len(frames))
            last, at = (found[0], event['seq']), at + event['bytes']
        self.assertEqual(at, len(saved))
        return saved, events

    def check_decodes(self, fourcc, frames, saved, events):
        """From its first keyframe on, what a latecomer has is decoded to as many pictures, without an error."""
        if any(e['lost'] for e in events):
            return              # the machine was busy
        skipped = next(i for i, e in enumerate(events) if e['flags'] & 2)
        rest = saved[sum(e['bytes'] for e in events[:skipped]):]
        container = {'MJPG': 'mjpeg', 'H264': 'h264', 'HEVC': 'hevc'}[fourcc]
        done = ffmpeg('-xerror', '-f', container, '-i', '-', '-f', 'framemd5', '-', data=rest)
        self.assertEqual(done.stderr, b'')
        n = len([line for line in done.stdout.splitlines() if line[:1] != b'#'])
        self.assertEqual(n, len(events) - skipped)

    def check(self, fourcc, frames):
        raw, library = self.viewers()
        for viewer, transport in zip(raw, ('bus', 'peer')):
            viewer.finish()
            self.assert_exact(viewer)
            saved, events = self.check_saved(fourcc, frames, viewer, f'{self.folder}/{transport}')
            self.check_decodes(fourcc, frames, saved, events)
        self.assertEqual(library.wait(20), 0, library.log())
        sums = {f'{zlib.crc32(f):08x}' for f in frames}
        lines = [line.split() for line in library.out().splitlines() if line[:1].isdigit()]
        self.assertEqual(len(lines), WATCHED)
        for line in lines:
            self.assertIn(line[4], sums)
            self.assertEqual(line[2:4], [fourcc, f'{WIDTH}x{HEIGHT}'])

    def check_device(self, fourcc, frames, expected):
        path = os.path.join(self.folder, 'frames')
        with open(path, 'wb') as file:
            for frame in frames:
                file.write(struct.pack('<I', len(frame)) + frame)
        program = fbtest.build_path('tests/media/fake-camera')
        self.start({'cam': f'[Source]\nExec={program} {fourcc} {path}\n'})
        self.check(fourcc, expected)

    def device(self, fourcc):
        frames = encode(fourcc)
        self.check_device(fourcc, frames, frames)

    def device_that_says_its_parameter_sets_once(self, fourcc):
        """They are in every keyframe again when it arrives: just as where the encoder had them there."""
        frames = encode(fourcc)
        device = without_sets(fourcc, frames)
        self.assertGreater(sum(a != b for a, b in zip(device, frames)), 2)
        self.check_device(fourcc, device, frames)

    def publisher_of(self, fourcc):
        frames = encode(fourcc)
        self.start()
        Publisher(self, fourcc, frames)
        self.check(fourcc, frames)


def add_tests():
    for name, fourccs in (('device', ENCODERS), ('device_that_says_its_parameter_sets_once', SETS),
                          ('publisher_of', ENCODERS)):
        for fourcc in fourccs:
            setattr(Encoded, f'test_{name}_{fourcc}', lambda self, n=name, f=fourcc: getattr(self, n)(f))


add_tests()

if __name__ == '__main__':
    if not any(os.access(os.path.join(p, 'ffmpeg'), os.X_OK) for p in os.environ['PATH'].split(':')):
        fbtest.skip_all('ffmpeg is not installed')
    fbtest.main()
