#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
dma-bufs through the real broker, untouched: memory of vgem, of a heap and of udmabuf, which this host's kernel need
not have. What a receiver gets is what the publisher exported.
"""

import fcntl
import mmap
import os
import struct
import sys
import zlib

import fbtest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, 'bus'))
import programs  # noqa: E402
from programs import Viewer  # noqa: E402
from test_memory import DMABUF, PAIRED, SIZE, VOLATILE, ByHand  # noqa: E402

CREATE_DUMB, MAP_DUMB, HANDLE_TO_FD = 0xc02064b2, 0xc01064b3, 0xc00c642d
HEAP_ALLOC, UDMABUF_CREATE = 0xc0184800, 0x40187542
DMABUF_ONLY = ['--opt', 'memory=as:dmabuf', '--checksum']


def ask(fd, request, layout, *values):
    """An ioctl with a struct; what is in it afterwards."""
    data = bytearray(struct.pack(layout, *values))
    fcntl.ioctl(fd, request, data)
    return struct.unpack(layout, data)


class Vgem:
    """Memory of a device that is none: written by a mapping of its own, exported read-only."""

    def __init__(self, test):
        self.card = os.open('/dev/dri/card0', os.O_RDWR | os.O_CLOEXEC)
        test.addCleanup(os.close, self.card)
        *_, self.handle, _pitch, self.size = ask(self.card, CREATE_DUMB, '=6IQ', 48, 64, 8, 0, 0, 0, 0)
        offset = ask(self.card, MAP_DUMB, '=2IQ', self.handle, 0, 0)[2]
        self.map = mmap.mmap(self.card, self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
        self.fd = ask(self.card, HANDLE_TO_FD, '=2Ii', self.handle, os.O_CLOEXEC, -1)[2]
        test.addCleanup(os.close, self.fd)

    def draw(self, n):
        self.map[:SIZE] = picture(n)


def picture(n):
    return bytes((n + i) % 251 for i in range(SIZE))


def heap(flags):
    with open('/dev/dma_heap/system', 'rb') as f:
        return ask(f.fileno(), HEAP_ALLOC, '=Q2IQ', SIZE, 0, flags | os.O_CLOEXEC, 0)[1]


def udmabuf():
    memory = os.memfd_create('udmabuf', os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, 4096)
    fcntl.fcntl(memory, 1033, 2)
    with open('/dev/udmabuf', 'rb') as f:
        fd = fcntl.ioctl(f.fileno(), UDMABUF_CREATE, bytearray(struct.pack('=2I2Q', memory, 1, 0, 4096)))
    os.close(memory)
    return fd


class DmaBufTest(programs.TestCase):
    def begin(self, *args, transports=('peer', 'bus')):
        self.start()
        self.hand = ByHand(self, 'clip')
        self.clients = [self.client('clip', t, *DMABUF_ONLY, *args) for t in transports]
        self.hand.format()
        for client in self.clients:
            client.wait_event('granted')

    def test_vgem(self):
        """Three buffers, written again when they come back; what arrives is what was drawn."""
        self.begin()
        buffers = [Vgem(self) for _ in range(3)]
        self.assertEqual(fcntl.fcntl(buffers[0].fd, fcntl.F_GETFL) & os.O_ACCMODE, os.O_RDONLY)
        for n in range(9):
            fbtest.wait_until(lambda n=n: n < 3 or n - 2 in self.hand.numbers('Release'), 60, f'{n - 2} to come back')
            buffers[n % 3].draw(n)
            self.hand.frame(1 + n % 3, buffers[n % 3].fd, DMABUF | (VOLATILE if n == 7 else 0))
            for client in self.clients:
                frame = client.wait_event('frame', n + 1, 60)
                self.assertEqual((frame['memory'], frame['crc32'], frame['problems']),
                                 ('dmabuf', [zlib.crc32(picture(n))], []))
        self.raises('InvalidMemory', self.hand.frame, 1, Vgem(self).fd, DMABUF, text='other memory')
        for client in self.clients:
            self.assertEqual(len({f['buffer'] for f in client.frames()}), 3)
            self.assertEqual([bool(f['flags'] & VOLATILE) for f in client.frames()], [n == 7 for n in range(9)])
            client.quit()
        self.assertEqual(self.hand.numbers('Retire'), [])   # a dma-buf is just given back

    def test_pair(self):
        """Who takes sealed memory gets the copy, who takes dma-bufs gets that."""
        self.begin()
        sealed = Viewer(self, 'clip', 'peer')
        buffer = Vgem(self)
        buffer.draw(5)
        self.hand.frame(flags=PAIRED)
        self.hand.frame(1, buffer.fd, DMABUF, seq=1)
        for client in self.clients:
            self.assertEqual(client.wait_event('frame', 1, 60)['crc32'], [zlib.crc32(picture(5))])
        sealed.wait_frames(1)
        self.assertEqual([e[5] >> 8 for e in sealed.events if e[0] == 'Frame'], [0])

    def test_suspended(self):
        """Who does not give them back has them for ever; the publisher hears which to make anew."""
        self.begin('--hold', '2', '--window', '2', transports=['peer'])
        other = Viewer(self, 'clip', 'peer', memory=['dmabuf', 'sealed'], window=16)
        buffers = [Vgem(self) for _ in range(3)]
        for n, buffer in enumerate(buffers, 1):
            self.hand.frame(n, buffer.fd, DMABUF)
        other.wait_frames(3)
        other.release_up_to(3)
        self.assertEqual(self.hand.numbers('Retire'), [])

        def retired():
            """Once more, when the third one is back."""
            self.hand.frame(3, buffers[2].fd, DMABUF)
            other.release_up_to(100)
            self.hand.frame()
            return self.hand.numbers('Retire')
        self.hand.frame()
        fbtest.wait_until(retired, 60, 'buffers to be retired', interval=0.3)
        self.assertEqual(sorted(self.hand.numbers('Retire')), [1, 2])
        self.assertLessEqual({1, 2}, set(self.hand.numbers('Release')))
        self.assertEqual(other.named('Suspended'), [])
        for number in 1, 2:
            self.raises('InvalidFrame', self.hand.frame, number, buffers[number - 1].fd, DMABUF, text='retired')

    def test_heap_and_udmabuf(self):
        """A heap's memory, and that of udmabuf, which cannot be exported for reading only."""
        self.begin('--no-attack')
        fds = [heap(os.O_RDONLY), udmabuf()]
        for number, fd in enumerate(fds, 1):
            self.addCleanup(os.close, fd)
            self.hand.frame(number, fd, DMABUF)
        for client in self.clients:
            for number in 1, 2:
                frame = client.wait_event('frame', number, 60)
                self.assertEqual((frame['memory'], frame['crc32'], frame['problems']),
                                 ('dmabuf', [zlib.crc32(bytes(SIZE))], []))


if __name__ == '__main__':
    if not os.path.exists('/dev/udmabuf'):
        print('no udmabuf: run it by vm-run.sh')
        sys.exit(77)
    fbtest.main()
