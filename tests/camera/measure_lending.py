#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a frame costs the capture program, by the way it travels and its size: bytes that are copied, which must be none
where nothing is wanted that needs a copy, and processor time. To be run in the virtual machine:

    FB_BUILD=build tests/camera/vm-run.sh -t 600 /usr/bin/python3 tests/camera/measure_lending.py [FRAMES]

The times are those of an emulated processor: only the ratios say something.
"""

import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

from gi.repository import GLib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'unit', 'sources'))
os.environ.setdefault('FB_TIMEOUT', '120')
import fakebroker  # noqa: E402
from fakebroker import program  # noqa: E402

DEVICE = '/dev/video0'
FRAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 20
SIZES = [(640, 480), (1280, 720), (1920, 1080), (3840, 2160)]
RATE = (2, 1)  # what the device does in every size, so that all wait alike
WAYS = ['sealed', 'leased', 'dmabuf']
NV12 = struct.unpack('<I', b'NV12')[0]
WRITES = 'write,writev,pwrite64,sendmsg,sendto,sendfile,splice,copy_file_range'


class Receiver(fakebroker.Broker):
    """Takes frames and gives them back, without a look."""

    def on_frame(self, args, invocation):
        for fd in invocation.get_message().get_unix_fd_list().steal_fds():
            os.close(fd)
        self.frames.append((args[4] >> 8 & 15, read_ns(self.process.pid)))
        self.emit('Release', GLib.Variant('(at)', ([args[0]],)))

    def go(self, size, way):
        self.emit('Start', GLib.Variant('(a{sv})', ({
            'fourcc': GLib.Variant('u', NV12), 'modifier': GLib.Variant('t', 0),
            'width': GLib.Variant('u', size[0]), 'height': GLib.Variant('u', size[1]),
            'rate': GLib.Variant('(uu)', RATE),
            'memory': GLib.Variant('as', [way]), 'buffers': GLib.Variant('u', 12)},)))

    def more(self, n):
        wanted = len(self.frames) + n
        if not self.wait(lambda: len(self.frames) >= wanted):
            sys.exit(f'{n} frames: there are {len(self.frames)}')


def run(size, way, frames, prefix=()):
    """Microseconds a frame, as a rule; bytes that were copied, and frames, in all."""
    receiver = Receiver([*prefix, program('framebus-v4l2'), DEVICE], release=False)
    if not receiver.wait(lambda: receiver.modes):
        sys.exit('no modes')
    receiver.go(size, way)
    receiver.more(5 + frames)
    times = [ns for _, ns in receiver.frames[5:]]
    # the lower quartile: the host takes time away from some
    micros = statistics.quantiles([b - a for a, b in zip(times, times[1:])], n=4)[0] / 1000
    receiver.close()
    told = receiver.end()[1].rpartition('frames so far: ')
    counts = {k: int(v) for k, v in re.findall(r'(\S+)=(\d+)', told[2])} if told[1] else {}
    if way != 'sealed' and counts['bytes'] != counts['starved-bytes']:
        sys.exit(f'{way}: copied without need: {counts}')
    if WAYS.index(way) not in [kind for kind, _ in receiver.frames]:
        sys.exit(f'{way}: no frame came so')
    # a program that only copies does not count aloud
    return micros, counts.get('bytes', size[0] * size[1] * 3 // 2 * len(receiver.frames)), len(receiver.frames)


def read_ns(pid):
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as f:
        return int(f.read().split()[0])


def trace(size, way):
    """Bytes that system calls of the program took out of its memory, a frame."""
    with tempfile.NamedTemporaryFile(suffix='.strace') as f:
        _, _, frames = run(size, way, 5, ['strace', '-f', '--seccomp-bpf', '-qq', '-e', f'trace={WRITES}',
                                          '-e', 'signal=none', '-o', f.name])
        text = f.read().decode(errors='replace')
    return sum(int(n) for n in re.findall(r'= (\d+)$', text, re.M)) / frames


def main():
    subprocess.run(['v4l2-ctl', '-d', DEVICE, '-c', 'percentage_of_dropped_buffers=0'], check=True)
    first = {}
    for way in WAYS:
        for size in SIZES:
            micros, copied, _ = run(size, way, FRAMES)
            first.setdefault(way, micros)
            print(f'{way:8} {size[0]:4}x{size[1]:<4} {micros:8.0f} us a frame, {micros / first[way]:5.2f} of 640x480, '
                  f'{copied:9} bytes copied in all', flush=True)
    if shutil.which('strace'):
        for way in WAYS:
            small, large = (trace(size, way) for size in (SIZES[0], SIZES[2]))
            print(f'{way:8} bytes by system calls a frame: 640x480 {small:9.0f}   1920x1080 {large:9.0f}')
            if way != 'sealed' and large > 64 << 10:
                sys.exit(f'{way}: frames are written somewhere')


if __name__ == '__main__':
    if not os.path.exists(DEVICE):
        print('SKIP: there is no camera')
        sys.exit(77)
    main()
