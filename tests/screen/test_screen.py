#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The whole chain on real screens (in a virtual machine: virtio-gpu's and bochs-display's): a program that owns a
screen and knows each pixel of it, framebus-kms, the broker, a bus and a client. Neither driver has vblanks.
"""

import functools
import os
import struct
import subprocess

import fbtest
import programs
from gi.repository import GLib

KMS = fbtest.build_path('sources/framebus-kms')
XR24, BX24 = (struct.unpack('<I', name)[0] for name in (b'XR24', b'BX24'))
DISCONTINUITY = 1 << 2
VOLATILE = 1 << 4


def find_card(*drivers):
    """('/dev/dri/card1', '/sys/class/drm/card1') or None."""
    for name in sorted(os.listdir('/sys/class/drm')):
        path = f'/sys/class/drm/{name}'
        link = f'{path}/device/driver'
        if name.startswith('card') and '-' not in name and os.path.exists(link):
            if os.path.basename(os.readlink(link)) in drivers:
                return f'/dev/dri/{name}', path
    return None


# Looking takes time from what is looked at: every instruction of the virtual machine is emulated.
fbtest.wait_until = functools.partial(fbtest.wait_until, interval=0.1)

VIRTIO, BOCHS = find_card('virtio-pci', 'virtio_gpu'), find_card('bochs-drm')


def screen(*args):
    return f'[Source]\nExec=framebus-kms --in-place=0 {" ".join(args)}\n'


class Compositor(fbtest.Process):
    """tests/screen/compositor: tell() gives the CRC-32 of what is on the screen then."""

    def __init__(self, card):
        super().__init__([fbtest.build_path('tests/screen/compositor'), card[0]], stdin=subprocess.PIPE)
        self.n_lines = 0

    def start(self):
        super().start()
        self.answer()
        return self

    def answer(self):
        self.n_lines += 1
        fbtest.wait_until(lambda: self.out().count('\n') >= self.n_lines, 20, f'an answer\n{self.log()}')
        line = self.out().splitlines()[self.n_lines - 1]
        if line.startswith('error'):
            raise AssertionError(line)
        return line.split()

    def tell(self, command):
        self.popen.stdin.write(command.encode() + b'\n')
        self.popen.stdin.flush()
        return int(self.answer()[3])


def check_size(event, fourcc, width, height):
    mode = event['mode']
    if (mode['fourcc'], mode['width'], mode['height']) != (fourcc, width, height):
        raise AssertionError(mode)


class ScreenTest(programs.TestCase):
    def watch(self, name):
        client = self.client(name, 'peer', '--checksum')
        client.wait_event('granted')
        return client

    def wait_picture(self, client, crc):
        return client.wait_event('frame', crc32=[crc], timeout=15)

    def wait_state(self, name, state):
        fbtest.wait_until(lambda: self.source_get(name, 'State') == state, 15, f'{name} {state}')
        return self.source_get(name, 'StateReason')

    def test_flips(self):
        """Off at first; then each picture that is flipped to is a frame, and nothing else is."""
        self.start({'screen': screen(VIRTIO[0])})
        client = self.watch('screen')
        self.assertIn('Virtual-1', self.wait_state('screen', 'no-signal'))
        compositor = self.enter(Compositor(VIRTIO))
        wanted = []
        for command in ('mode XR24 320x240', 'flip', 'flip', 'draw', 'flip', 'flip'):
            crc = compositor.tell(command)
            if command != 'draw':     # the same framebuffer as before
                wanted.append(crc)
                self.wait_picture(client, crc)
        self.assertEqual([e['crc32'] for e in client.frames()], [[crc] for crc in wanted])
        self.assertEqual(self.source_get('screen', 'State'), 'streaming')
        check_size(client.events('format')[-1], XR24, 320, 240)
        client.quit()

    def test_changes(self):
        """Another size, a part of a larger framebuffer, off, unplugged: the same subscription goes on."""
        self.start({'screen': screen('--connector=virtual-1', VIRTIO[0])})
        compositor = self.enter(Compositor(VIRTIO))
        crc = compositor.tell('mode XR24 320x240')
        client = self.watch('screen')
        self.wait_picture(client, crc)
        frame = self.wait_picture(client, compositor.tell('mode XR24 400x300'))
        self.assertEqual(frame['bytes'], 400 * 300 * 4)
        check_size(client.events('format')[-1], XR24, 400, 300)
        frame = self.wait_picture(client, compositor.tell('mode XR24 320x240 400x300+40+50'))
        self.assertEqual(frame['bytes'], 320 * 240 * 4)
        self.check_told(client)
        self.assertEqual([m['width'] for m in self.source_get('screen', 'Modes')], [320])

        compositor.tell('off')
        self.assertIn('is off', self.wait_state('screen', 'no-signal'))
        frame = self.wait_picture(client, compositor.tell('mode XR24 320x240'))
        self.assertTrue(frame['flags'] & DISCONTINUITY)
        self.check_unplug(client, compositor)
        self.assertEqual(client.events('ended'), [])
        client.quit()

    def check_told(self, client):
        """No frame before its format was told, and none that is not of that size."""
        size = None
        for event in client.events():
            if event['event'] == 'format':
                size = event['mode']['width'] * event['mode']['height'] * 4
            elif event['event'] == 'frame':
                self.assertEqual(event['bytes'], size)

    def check_unplug(self, client, compositor):
        status = f'{VIRTIO[1]}/{os.path.basename(VIRTIO[1])}-Virtual-1/status'
        with open(status, 'w', encoding='ascii') as f:
            f.write('off')
        self.assertIn('Virtual-1', self.wait_state('screen', 'absent'))
        with open(status, 'w', encoding='ascii') as f:
            f.write('on')
        self.wait_picture(client, compositor.tell('flip'))
        self.assertEqual(self.source_get('screen', 'State'), 'streaming')

    def test_lent(self):
        """To who asks for a dma-buf nothing is copied: flagged volatile, the same two framebuffers again and again, and
        what is drawn into them is seen. Who does not ask gets a copy of the same picture."""
        self.start({'screen': screen(VIRTIO[0])})
        compositor = self.enter(Compositor(VIRTIO))
        crc = compositor.tell('mode XR24 320x240')
        client = self.client('screen', 'peer', '--checksum', '--opt', 'memory=as:dmabuf')
        copier = self.watch('screen')
        wanted = [crc]
        for _ in range(5):
            for viewer in client, copier:
                self.wait_picture(viewer, wanted[-1])
            wanted.append(compositor.tell('flip'))
        self.wait_picture(client, wanted[-1])
        frames = client.frames()
        self.assertEqual([e['crc32'] for e in frames], [[crc] for crc in wanted])
        self.assertEqual({e['memory'] for e in frames}, {'dmabuf'})
        self.assertEqual({e['memory'] for e in copier.frames()}, {'sealed'})
        self.assertTrue(all(e['flags'] & VOLATILE for e in frames))
        self.assertFalse(any(e['flags'] & VOLATILE for e in copier.frames()))
        self.assertEqual(len({e['buffer'] for e in frames}), 2)
        client.quit()
        copier.quit()

    def test_second_screen(self):
        """Two screens at once, one of them published by hand, in another format and read in another way; drawing in
        place is seen. Nothing is open when nobody watches."""
        self.start({'first': screen(VIRTIO[0])})
        first, second = self.enter(Compositor(VIRTIO)), self.enter(Compositor(BOCHS))
        crcs = first.tell('mode XR24 400x300'), second.tell('mode BX24 320x240')
        program = self.enter(fbtest.Process([KMS, '--map=dumb', '--in-place=2', '--publish=second',
                                             f'--bus={self.bus.address}', BOCHS[0]]))
        fbtest.wait_until(lambda: 'second' in self.names(), 20, 'the second source')
        self.assertEqual(self.open_devices(program.pid), [])
        clients = self.watch('first'), self.watch('second')
        for client, crc in zip(clients, crcs):
            self.wait_picture(client, crc)
        check_size(clients[1].events('format')[-1], BX24, 320, 240)
        self.wait_picture(clients[1], second.tell('draw'))
        self.wait_picture(clients[1], second.tell('burst 20'))     # more flips than looks: the last one counts
        self.wait_picture(clients[0], first.tell('flip'))
        self.assertEqual(self.open_devices(program.pid), [BOCHS[0]])
        for client in clients:
            client.quit()
        fbtest.wait_until(lambda: not self.open_devices(program.pid), 20, 'the device to be closed')
        self.assertIsNone(program.returncode)

    def names(self):
        objects, = self.call('/org/framebus', 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        return [interfaces[programs.SOURCE]['Name'] for interfaces in objects.values() if programs.SOURCE in interfaces]

    @staticmethod
    def open_devices(pid):
        fds = [os.readlink(f'/proc/{pid}/fd/{fd}') for fd in os.listdir(f'/proc/{pid}/fd')]
        return [fd for fd in fds if fd.startswith('/dev/dri/')]

    def test_permission(self):
        """Without CAP_SYS_ADMIN: failed, and what is missing; as an exit code, too. It is enough for any user."""
        without = ['/usr/bin/setpriv', '--bounding-set', '-sys_admin', str(KMS), BOCHS[0]]
        enough = ['/usr/bin/setpriv', '--reuid=nobody', '--clear-groups', '--inh-caps=+sys_admin',
                  '--ambient-caps=+sys_admin', '--bounding-set=-all,+sys_admin', str(KMS), BOCHS[0]]
        compositor = self.enter(Compositor(BOCHS))
        crc = compositor.tell('mode XR24 320x240')
        os.chmod(BOCHS[0], 0o666)
        self.start({'screen': f'[Source]\nExec={" ".join(without)}\n', 'seen': f'[Source]\nExec={" ".join(enough)}\n'})
        with self.assertRaises(GLib.Error) as caught:
            self.on_source('screen', 'Subscribe')
        self.assertIn('CAP_SYS_ADMIN', caught.exception.message)
        self.assertEqual(self.source_get('screen', 'State'), 'failed')
        self.assertIn('CAP_SYS_ADMIN', self.source_get('screen', 'StateReason'))
        status, _out, err = fbtest.run([*without, '--publish=x', f'--bus={self.bus.address}'])
        self.assertEqual(status, 6, err)
        client = self.watch('seen')
        self.wait_picture(client, crc)
        client.quit()


if __name__ == '__main__':
    if not (VIRTIO and BOCHS):
        fbtest.skip_all('there are no screens of virtio-gpu and bochs-display')
    fbtest.main()
