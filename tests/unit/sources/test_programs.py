#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The capture programs against a fake broker: what they say, what they send, how they end."""

import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakebroker  # noqa: E402
from fakebroker import Broker, program  # noqa: E402


def fourcc(text):
    return struct.unpack('<I', text.ljust(4).encode())[0]


NV12, YU12, YUYV, BG24 = fourcc('NV12'), fourcc('YU12'), fourcc('YUYV'), fourcc('BG24')


def read_strip(frame, lower):
    """The number in a picture of framebus-pattern, from its man page; None if there is none."""
    width, height = frame.mode['width'], frame.mode['height']
    first, step = {NV12: (0, 1), YU12: (0, 1), YUYV: (0, 2), BG24: (1, 3)}[frame.mode['fourcc']]
    columns, rows = (40, 2) if width >= 80 else (16, 5)
    side = max(min(min(width // columns, height // (6 * rows)) & ~1, 16), 2)
    stride = frame.planes[0][3]
    bits = ''
    for i in range(80):
        x = i % columns * side + side // 2
        y = i // columns * side + side // 2 + (height - rows * side if lower else 0)
        bits += '1' if frame.data[first + y * stride + x * step] >= 128 else '0'
    number, crc = int(bits[:64], 2), 0xffff
    for byte in number.to_bytes(8, 'big'):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return number if crc == int(bits[64:], 2) else None


def mode_of(frame):
    m = frame.mode
    return (m['fourcc'], m['width'], m['height'], m['rate'])


class Test(unittest.TestCase):
    def broker(self, name, *args, **more):
        b = Broker([program(name), *args], **more)
        self.addCleanup(lambda: b.process.poll() is None and b.process.kill())
        return b

    def opened(self, *args, **more):
        b = self.broker(*args, **more)
        self.assertTrue(b.wait(lambda: b.modes), 'Modes')
        return b

    def hang_up(self, b):
        b.close()
        self.check_end(b)

    def check_end(self, b):
        """Status 0, and nothing is said but that a busy machine loses frames."""
        status, err = b.end()
        lines = [line for line in err.splitlines() if 'frames are lost' not in line]
        self.assertEqual((status, lines), (0, []))


class Pattern(Test):
    def test_modes(self):
        b = self.opened('framebus-pattern', '--size', '320x200', '--rate', '30000/1001', '-f', 'YUYV')
        self.assertEqual([m['fourcc'] for m in b.modes], [YUYV, NV12, YU12, BG24])
        for m in b.modes:
            self.assertEqual((m['width'], m['height'], m['rate']), (320, 200, (30000, 1001)))
            self.assertEqual((m['width-range'], m['height-range']), ((32, 8192, 2), (32, 8192, 2)))
            self.assertEqual(m['rate-range'], (1, 1, 240, 1))
        self.assertEqual(b.described, {'description': 'Test picture', 'driver': 'pattern'})
        b.run_for(0.2)
        self.assertEqual(b.frames, [])  # nobody asked for any
        self.hang_up(b)

    def check_frame(self, f, size, n_planes):
        self.assertEqual(f.seals & fakebroker.FINAL_SEALS, fakebroker.FINAL_SEALS)
        self.assertNotIn('width-range', f.mode)
        self.assertEqual((f.size, f.n_fds, len(f.planes)), (size, 1, n_planes))
        self.assertEqual(sum(p[2] for p in f.planes), size)
        self.assertEqual(read_strip(f, False), f.seq)
        self.assertEqual(read_strip(f, True), f.seq)
        self.assertEqual(f.meta, {'device-sequence': f.seq})

    def test_formats(self):
        b = self.opened('framebus-pattern')
        for code, bits, planes in ((NV12, 12, 2), (YU12, 12, 3), (YUYV, 16, 1), (BG24, 24, 1)):
            for width, height in ((32, 32), (130, 98), (640, 360)):
                n = len(b.frames)
                b.start(code, width, height, (200, 1))
                wanted = (code, width, height, (200, 1))
                self.assertTrue(b.wait(lambda: len([f for f in b.frames[n:] if mode_of(f) == wanted]) >= 5))
                for f in b.frames[n:]:
                    if mode_of(f) == wanted:
                        self.check_frame(f, width * height * bits // 8, planes)
        seqs = [f.seq for f in b.frames]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(b.formats, list(range(1, 13)))  # a new number for each mode
        self.assertEqual(b.states[0], ('streaming', ''))
        self.hang_up(b)

    def test_rate(self):
        b = self.opened('framebus-pattern', '-r', '30000/1001', '-s', '64x64')
        b.start_first()
        self.assertTrue(b.wait(lambda: b.frames and b.frames[-1].seq >= 45))
        first = b.frames[0]
        for f in b.frames:  # exact from the first on, whatever was lost on a busy machine
            exact = (f.seq - first.seq) * 1001 * 10**9 // 30000
            self.assertLessEqual(abs(f.pts_ns - first.pts_ns - exact), 1)
            self.assertGreaterEqual(f.arrived_ns, f.pts_ns)
        self.hang_up(b)

    def test_stop_and_start(self):
        b = self.opened('framebus-pattern', '-r', '100', '-s', '64x64')
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 3))
        b.stop()
        b.run_for(0.3)
        n, last = len(b.frames), b.frames[-1].seq
        b.run_for(1)
        self.assertEqual(len(b.frames), n)
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) > n))
        # what nobody wanted, a hundred at least, is not lost; a busy machine may lose some when it begins again
        self.assertLess(b.frames[n].seq - last, 60)
        self.hang_up(b)

    def test_missed_ticks_are_lost(self):
        b = self.opened('framebus-pattern', '-r', '100', '-s', '64x64')
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 5))
        b.process.send_signal(signal.SIGSTOP)
        b.run_for(0.5)
        n = len(b.frames)
        b.process.send_signal(signal.SIGCONT)
        self.assertTrue(b.wait(lambda: len(b.frames) > n + 5))
        steps = [y.seq - x.seq for x, y in zip(b.frames, b.frames[1:])]
        self.assertGreater(max(steps), 40)
        for f in b.frames:  # and the time line went on
            self.assertLessEqual(abs(f.pts_ns - b.frames[0].pts_ns - (f.seq - b.frames[0].seq) * 10**7), 1)
            self.assertEqual(read_strip(f, False), f.seq)
        self.hang_up(b)

    def test_no_room(self):
        b = self.opened('framebus-pattern', '-r', '100', '-s', '64x64', release=False)
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 8))
        b.run_for(0.3)
        self.assertEqual(len(b.frames), 8)
        b.release = True
        b.emit('Release', fakebroker.GLib.Variant('(at)', ([f.seq for f in b.frames],)))
        self.assertTrue(b.wait(lambda: len(b.frames) > 8))
        self.assertGreater(b.frames[8].seq, b.frames[7].seq + 10)
        self.assertEqual(read_strip(b.frames[8], False), b.frames[8].seq)
        b.close()
        status, err = b.end()
        self.assertEqual((status, err.count('\n')), (0, 1))  # told once, not for every frame
        self.assertIn('the broker has too many that it has not taken yet', err)

    def test_impossible_mode(self):
        b = self.opened('framebus-pattern')
        b.start(NV12, 33, 32, (30, 1))
        self.assertEqual(b.end()[0], 1)
        self.assertEqual(b.states, [('failed', 'cannot make NV12 33x32 at 30/1: Invalid argument')])

    def test_usage(self):
        for args in (['-s', '30x30'], ['-s', '641x480'], ['-s', 'x'], ['-r', '0'], ['-r', '241'],
                     ['-f', 'NV13'], ['file'], ['--nonsense']):
            r = subprocess.run([program('framebus-pattern'), *args], stderr=subprocess.PIPE, check=False)
            self.assertEqual(r.returncode, 2, args)
            self.assertNotEqual(r.stderr, b'')
        r = subprocess.run([program('framebus-pattern')], stderr=subprocess.PIPE, check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn(b'give --publish NAME', r.stderr)


# name in the file, fourcc, and what the planes of 6x4 are: (width, height) in bytes
Y4M_FORMATS = (
    ('C420jpeg', 'YU12', ((6, 4), (3, 2), (3, 2))),
    ('C420mpeg2', 'YU12', ((6, 4), (3, 2), (3, 2))),
    ('C420paldv', 'YU12', ((6, 4), (3, 2), (3, 2))),
    ('C422', 'YU16', ((6, 4), (3, 4), (3, 4))),
    ('C444', 'YU24', ((6, 4), (6, 4), (6, 4))),
    ('C411', 'YU11', ((6, 4), (2, 4), (2, 4))),
    ('C410', 'YUV9', ((6, 4), (2, 1), (2, 1))),
    ('Cmono', 'R8', ((6, 4),)),
    ('Cmono10', 'R10', ((12, 4),)),
    ('Cmono16', 'R16', ((12, 4),)),
)


def y4m(n, fmt='C420jpeg', size=36, rate='50:1'):
    """A recording of 6x4 and its frames."""
    r = random.Random(n)
    frames = [r.randbytes(size) for _ in range(n)]
    return f'YUV4MPEG2 W6 H4 F{rate} Ip {fmt}\n'.encode() + b''.join(b'FRAME\n' + f for f in frames), frames


class Y4m(Test):
    def file(self, data):
        f = tempfile.NamedTemporaryFile(suffix='.y4m')
        self.addCleanup(f.close)
        f.write(data)
        f.flush()
        return f.name

    def test_formats(self):
        for fmt, code, planes in Y4M_FORMATS:
            with self.subTest(fmt):
                data, frames = y4m(3, fmt, sum(w * h for w, h in planes))
                b = self.opened('framebus-y4m', self.file(data))
                self.assertEqual(b.modes, [{'fourcc': fourcc(code), 'modifier': 0, 'width': 6, 'height': 4,
                                            'rate': (50, 1)}])
                b.start_first()
                self.assertEqual(b.end(), (0, ''))
                self.assertEqual([f.data for f in b.frames], frames)
                self.assertEqual([f.seq for f in b.frames], [1, 2, 3])
                offset = 0
                for plane, (width, height) in zip(b.frames[0].planes, planes):
                    self.assertEqual(plane, (0, offset, width * height, width))
                    offset += width * height
                self.assertEqual(len(b.frames[0].planes), len(planes))

    @unittest.skipUnless(shutil.which('ffmpeg'), 'no ffmpeg')
    def test_ffmpeg(self):
        """What ffmpeg writes, with odd sizes, byte for byte what it calls rawvideo; else a clear refusal."""
        for fmt, code in (('yuv420p', 'YU12'), ('yuvj420p', 'YU12'), ('yuv422p', 'YU16'), ('yuv444p', 'YU24'),
                          ('yuv411p', 'YU11'), ('gray', 'R8'), ('gray10le', 'R10'), ('gray12le', 'R12'),
                          ('gray16le', 'R16'), ('yuv420p10le', None), ('yuva444p', None), ('gray9le', None)):
            with self.subTest(fmt):
                path = self.file(b'')
                subprocess.run(['ffmpeg', '-v', 'error', '-y', '-f', 'lavfi', '-i', 'testsrc=size=35x19:rate=50',
                                '-frames', '3', '-pix_fmt', fmt, '-strict', '-1', path, '-frames', '3',
                                '-pix_fmt', fmt, '-f', 'rawvideo', path + '.raw'], check=True)
                self.addCleanup(os.unlink, path + '.raw')
                with open(path + '.raw', 'rb') as f:
                    raw = f.read()
                b = self.broker('framebus-y4m', path)
                self.assertTrue(b.wait(lambda: b.modes or b.states))
                if not code:
                    self.assertRegex(b.states[0][1], 'DRM has no ')
                    self.assertEqual(b.end()[0], 1)
                    continue
                b.start_first()
                self.assertEqual(b.end(), (0, ''))
                self.assertEqual(b.mode['fourcc'], fourcc(code))
                self.assertEqual((b.mode['width'], b.mode['height'], b.mode['rate']), (35, 19, (50, 1)))
                self.assertEqual(b''.join(f.data for f in b.frames), raw)
                self.assertEqual(len(b.frames), 3)

    def test_real_time(self):
        data, frames = y4m(26, rate='50:1')
        b = self.opened('framebus-y4m', self.file(data))
        b.start_first()
        self.assertEqual(b.end(), (0, ''))
        self.assertEqual(len(b.frames), 26)
        spent = b.frames[-1].pts_ns - b.frames[0].pts_ns
        self.assertGreaterEqual(spent, 500 * 10**6)  # 25 frames of 20 ms, later only on a busy machine
        for f in b.frames:
            self.assertGreaterEqual(f.arrived_ns, f.pts_ns)

    def test_file_waits_for_viewers(self):
        data, frames = y4m(20)
        b = self.opened('framebus-y4m', self.file(data))
        b.run_for(0.6)  # longer than it lasts
        self.assertEqual(b.frames, [])
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 5))
        b.stop()
        b.run_for(0.1)
        n = len(b.frames)
        b.run_for(0.5)
        self.assertEqual(len(b.frames), n)
        b.start_first()
        self.assertEqual(b.end(), (0, ''))
        self.assertEqual([f.data for f in b.frames], frames)
        self.assertEqual([i for i, f in enumerate(b.frames) if f.flags & 4], [n])  # discontinuity: only there

    def test_loop(self):
        data, frames = y4m(3)
        b = self.opened('framebus-y4m', '--loop', self.file(data))
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 10))
        self.assertEqual([f.data for f in b.frames[:9]], frames * 3)
        self.hang_up(b)

    def test_fast(self):
        data, frames = y4m(300, rate='1:1')
        b = self.opened('framebus-y4m', '--fast', self.file(data))
        b.start_first()
        self.assertEqual(b.end(), (0, ''))  # instead of five minutes
        self.assertEqual([f.data for f in b.frames], frames)

    def feed(self, data, pieces, pause):
        """A pipe that gets the data in pieces."""
        r, w = os.pipe()

        def write():
            size = -(-len(data) // pieces)
            with os.fdopen(w, 'wb', buffering=0) as f:
                for i in range(0, len(data), size):
                    try:
                        f.write(data[i:i + size])
                    except BrokenPipeError:
                        return
                    time.sleep(pause)
        t = threading.Thread(target=write)
        t.start()
        self.addCleanup(t.join)
        return os.fdopen(r, 'rb')

    def test_stdin(self):
        data, frames = y4m(10)
        with self.feed(data, 57, 0.005) as stdin:
            b = self.opened('framebus-y4m', '--pause', '-', stdin=stdin)
        b.start_first()
        self.assertEqual(b.end(), (0, ''))
        self.assertEqual([f.data for f in b.frames], frames)

    def test_stdin_unwatched_is_thrown_away_in_real_time(self):
        data, frames = y4m(25)
        with self.feed(data, 1, 0) as stdin:
            b = self.opened('framebus-y4m', '-', stdin=stdin)
        b.run_for(0.24)
        b.start_first()
        began = time.monotonic_ns()
        self.check_end(b)
        self.assertLess(time.monotonic_ns() - began, 10 * 10**9)
        self.assertTrue(0 < len(b.frames) < 20, len(b.frames))
        self.assertEqual([f.data for f in b.frames], frames[-len(b.frames):])
        self.assertEqual(b.frames[0].seq, 1)  # nothing was lost: nobody watched

    def test_stdin_unwatched_ends(self):
        with self.feed(y4m(5)[0], 1, 0) as stdin:
            b = self.opened('framebus-y4m', '-', stdin=stdin)
        self.assertEqual(b.end(), (0, ''))

    def test_fifo(self):
        data, frames = y4m(5)
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, 'fifo')
            os.mkfifo(path)
            b = self.broker('framebus-y4m', '--pause', path)
            b.run_for(0.2)
            self.assertIsNone(b.process.poll())  # waits for a writer
            with open(path, 'wb') as f:
                f.write(data)
            self.assertTrue(b.wait(lambda: b.modes))
            b.start_first()
            self.assertEqual(b.end(), (0, ''))
        self.assertEqual([f.data for f in b.frames], frames)

    def test_hang_up_before_the_header(self):
        r, w = os.pipe()
        with os.fdopen(r, 'rb') as stdin, os.fdopen(w, 'wb'):
            b = self.broker('framebus-y4m', '-', stdin=stdin)
            b.run_for(0.2)
            b.close()
            self.assertEqual(b.end(), (0, ''))

    def check_bad(self, data, reason):
        path = self.file(data)
        b = self.broker('framebus-y4m', path)
        if b.wait(lambda: b.modes or b.states or b.process.poll() is not None) and b.modes:
            b.start_first()
        status, err = b.end()
        self.assertEqual(status, 1)
        self.assertEqual(b.states[-1], ('failed', f'{path}: {reason}'))
        self.assertEqual(err, f'framebus-y4m: {path}: {reason}\n')
        return b

    def test_bad_data(self):
        data = y4m(3)[0]
        self.check_bad(b'', 'the file is empty')
        self.check_bad(b'RIFF....', 'not a yuv4mpeg2 file: it does not begin with YUV4MPEG2')
        self.check_bad(b'YUV4MPEG2 W6 H4 F0:0\n', "the header's rate, '0:0', is zero; give --rate")
        self.check_bad(b'YUV4MPEG2 W6 H4 F1:1 C\xff\xff\n', "unknown pixel format 'C??'")
        b = self.check_bad(data[:-1], 'the file ends in frame 3, after 35 of 36 bytes')
        self.assertEqual(len(b.frames), 2)  # what was whole went out
        self.check_bad(data.replace(b'W6', b'W4'), 'frame 2 does not begin with FRAME: the header lies '
                       "about the frames' size, or the file is damaged")

    def test_memory_is_bounded_by_what_is_there(self):
        """A header that promises the largest frame costs nothing until the bytes come."""
        path = self.file(b'YUV4MPEG2 W16384 H10922 F1:1\nFRAME\n')
        env = {k: v for k, v in os.environ.items() if k != 'MALLOC_PERTURB_'}  # which would touch it all
        b = self.opened('framebus-y4m', path, env=env)
        with open(f'/proc/{b.process.pid}/status', encoding='ascii') as f:
            rss = [int(line.split()[1]) for line in f if line.startswith('VmHWM')][0]
        self.assertLess(rss, 200 * 1024)
        self.hang_up(b)

    def test_no_file(self):
        for path, reason in (('/nowhere/clip.y4m', 'No such file or directory'), ('/tmp', 'Is a directory')):
            b = self.broker('framebus-y4m', path)
            self.assertEqual(b.end(), (1, f'framebus-y4m: {path}: {reason}\n'))
            self.assertEqual(b.states, [('failed', f'{path}: {reason}')])

    def test_usage(self):
        for args in ([], ['a', 'b'], ['-r', 'x', 'a'], ['--nonsense', 'a']):
            r = subprocess.run([program('framebus-y4m'), *args], stderr=subprocess.PIPE, check=False)
            self.assertEqual(r.returncode, 2, args)
        with self.feed(y4m(1)[0], 1, 0) as stdin:
            b = self.broker('framebus-y4m', '--loop', '-', stdin=stdin)
            self.assertEqual(b.end(), (2, 'framebus-y4m: -: --loop needs a regular file\n'))


@unittest.skipUnless(os.path.exists(program('framebus-v4l2')), 'built without libv4l2')
class V4l2(Test):
    def check_failure(self, path, status, state, reason):
        b = self.broker('framebus-v4l2', path)
        self.assertEqual(b.end(), (status, f'framebus-v4l2: {reason}\n'))
        self.assertEqual(b.states, [(state, reason)])

    def test_not_a_device(self):
        self.check_failure('/dev/null', 3, 'failed', '/dev/null is not a V4L2 device')

    def test_absent(self):
        self.check_failure('/dev/video987', 4, 'absent',
                           '/dev/video987 is not there: unplugged, or not plugged in yet')

    @unittest.skipIf(os.geteuid() != 0, 'only root can try to be somebody else')
    def test_no_permission(self):
        with tempfile.NamedTemporaryFile() as f:
            os.chmod(f.name, 0o660)
            os.chown(f.name, 0, 44)
            nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
            b = Broker([*nobody, program('framebus-v4l2'), f.name])
            status, _ = b.end()
            self.assertEqual(status, 6)
            reason = f'no permission to use {f.name}: members of the group video may'
            self.assertEqual(b.states, [('failed', reason)])


class Capture(Test):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(os.path.join(self.folder, 'sources.d'))

    def configure(self, name, text):
        with open(os.path.join(self.folder, 'sources.d', name + '.conf'), 'w', encoding='utf-8') as f:
            f.write(text)

    def launch(self, line, **more):
        argv = [program('framebus-capture'), '--config', self.folder, '--libexec', fakebroker.SOURCES]
        b = Broker(argv, say=line, **more)
        self.addCleanup(lambda: b.process.poll() is None and b.process.kill())
        return b

    def test_source(self):
        self.configure('bars', "[Source]\nName=test\nExec=framebus-pattern -s 64x48 --description 'A B'\n")
        b = self.launch(b'SOURCE test\n')
        self.assertTrue(b.wait(lambda: b.modes))
        self.assertEqual(b.described['description'], 'A B')
        b.start_first()
        self.assertTrue(b.wait(lambda: len(b.frames) >= 3))
        self.hang_up(b)

    def test_environment_and_descriptors(self):
        path = os.path.join(self.folder, 'out')
        script = f'exec >{path}; echo "[$LISTEN_FDS]"; ls /proc/$$/fd'
        self.configure('x', f"[Source]\nExec=/bin/sh -c '{script}'\n")
        env = dict(os.environ, LISTEN_FDS='1', LISTEN_PID='1')
        b = self.launch(b'SOURCE x\n', env=env)
        self.assertEqual(b.end(), (0, ''))
        with open(path, encoding='ascii') as f:
            out = f.read().split()
        self.assertEqual(out[0], '[]')
        self.assertEqual([fd for fd in out[1:] if int(fd) < 4 or int(fd) != b.passed], ['0', '1', '2', '3'])

    def test_hangs(self):
        """A program that does not notice the broker's hang-up is ended with all that it has started."""
        path = os.path.join(self.folder, 'pids')
        script = f'echo $$ >{path}; trap : TERM; sleep 100 & echo $! >>{path}; wait; wait; echo over >>{path}'
        self.configure('x', f"[Source]\nExec=/bin/sh -c '{script}'\n")
        b = self.launch(b'SOURCE x\n')
        def words_of():
            return pathlib.Path(path).read_text(encoding='ascii').split() if os.path.exists(path) else []
        self.assertTrue(b.wait(lambda: len(words_of()) == 2))
        b.close()
        self.assertEqual(b.end()[0], 0)
        words = words_of()
        self.assertEqual(words[2:], ['over'])
        for pid in words[:2]:
            self.assertFalse(os.path.exists(f'/proc/{pid}'))

    def test_device(self):
        b = self.launch(b'DEVICE /dev/video987\n')
        if os.path.exists(program('framebus-v4l2')):
            self.assertEqual(b.end()[0], 4)
            self.assertEqual(b.states[0][0], 'absent')

    def test_failures_are_told(self):
        self.configure('broken', '[Source]\nExec=framebus-pattern\nColor=1\n')
        self.configure('missing', '[Source]\nExec=framebus-nothing\n')
        for name, reason in (
                ('missing', f'cannot run {fakebroker.SOURCES}/framebus-nothing: No such file or directory'),
                ('broken', f"source broken: {self.folder}/sources.d/broken.conf:3: unknown key 'Color'")):
            b = self.launch(b'SOURCE %s\n' % name.encode())
            self.assertEqual(b.end(), (1, f'framebus-capture: {reason}\n'))
            self.assertEqual(b.states, [('failed', reason)])

    def test_wrong_requests(self):
        for line in (b'EXEC /bin/sh\n', b'SOURCE ../../etc/passwd\n', b'DEVICE /dev/mem\n', b'x' * 200):
            status, err = self.launch(line).end()
            self.assertEqual(status, 2, line)
            self.assertIn('the broker ', err)


if __name__ == '__main__':
    unittest.main(verbosity=2)
