#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The whole chain on a real V4L2 device (the kernel's vivid, in a virtual machine): framebus-v4l2, the broker, a
real bus and unrelated clients at once. What the device lost and what the subscribers were told add up; busy,
forbidden and unplugged devices are named.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

from gi.repository import Gio, GLib

import fbtest
from fbtest import Broker, Bus

BUILD = os.environ['FB_BUILD']
EXAMPLES = os.path.join(BUILD, 'examples')
SUBSCRIPTION = 'org.framebus.Subscription1'
SOURCE = '/org/framebus/source/video0'
DRIVER = '/sys/bus/platform/drivers/vivid/'


# What v4l2-ctl calls them.
TYPES = {'int': 'integer', 'bool': 'boolean', 'menu': 'menu', 'intmenu': 'integer-menu', 'button': 'button',
         'str': 'string', 'bitmask': 'bitmask', 'int64': 'integer64'}


def fourcc_variant(text):
    return GLib.Variant('u', struct.unpack('<I', text.encode())[0])


SMALL = {'fourcc': fourcc_variant('NV12'), 'width': GLib.Variant('u', 320), 'height': GLib.Variant('u', 180),
         'rate': GLib.Variant('(uu)', (10, 1))}


def control(name, value, device='/dev/video0'):
    subprocess.run(['v4l2-ctl', '-d', device, '-c', f'{name}={value}'], check=True)


def driver(verb):
    with open(DRIVER + verb, 'w', encoding='ascii') as f:
        f.write('vivid.0')


def wait_until(predicate, timeout, what):
    """Seldom: every instruction of the virtual machine is emulated, and looking takes them from the frames."""
    return fbtest.wait_until(predicate, timeout, what, interval=0.3)


class Watcher:
    """A subscription in this process: keeps (seq, device sequence) of the frames and what was lost by reason."""

    def __init__(self, conn, source=SOURCE, mode=SMALL, window=16):
        self.conn, self.frames, self.lost, self.ended, self.suspended = conn, [], {}, None, 0
        self.formats, self.metas, self.flags = [], [], []
        self.told = 0       # lost before the last frame
        options = {'modes': GLib.Variant('aa{sv}', [mode]), 'window': GLib.Variant('u', window),
                   'replay': GLib.Variant('b', False)}
        conn.signal_subscribe('org.framebus', SUBSCRIPTION, None, None, None, Gio.DBusSignalFlags.NONE, self.on_signal)
        self.path, granted = fbtest.call(conn, 'org.framebus', source, 'org.framebus.Source1', 'Subscribe',
                                         GLib.Variant('(a{sv})', (options,)), timeout=60)
        self.first = granted['seq'] + 1

    def on_signal(self, _conn, _sender, _path, _interface, member, arguments):
        arguments = arguments.unpack()
        if member == 'Frame':
            self.frames.append((arguments[0], arguments[7]['device-sequence']))
            self.told = sum(self.lost.values())
            self.metas.append(arguments[7])
            self.flags.append(arguments[4])
            self.conn.call('org.framebus', self.path, SUBSCRIPTION, 'ReleaseUpTo',
                           GLib.Variant('(t)', (arguments[0],)), None, Gio.DBusCallFlags.NONE, -1, None, None)
        elif member == 'FormatChanged':
            self.formats.append((arguments[2]['width'], arguments[2]['height']))
        elif member == 'Lost':
            self.lost[arguments[1]] = self.lost.get(arguments[1], 0) + arguments[0]
        elif member == 'Ended':
            self.ended = arguments[1]

    def close(self):
        fbtest.call(self.conn, 'org.framebus', self.path, SUBSCRIPTION, 'Close')

    def wait_frames(self, n, timeout=30):
        wait_until(lambda: len(self.frames) >= n or self.ended, timeout, f'{n} frames')


class CameraTest(fbtest.TestCase):
    def start(self, **options):
        self.bus = self.enter(Bus())
        self.broker = self.enter(Broker(self.bus, args=['--log-level=debug', '--idle-timeout=0'], **options))
        self.conn = self.bus.connect()
        wait_until(self.is_listed, 10, 'video0 to appear')

    def is_listed(self, source=SOURCE):
        objects, = fbtest.call(self.conn, 'org.framebus', '/org/framebus', 'org.freedesktop.DBus.ObjectManager',
                               'GetManagedObjects')
        return source in objects

    def get(self, name, source=SOURCE):
        value, = fbtest.call(self.conn, 'org.framebus', source, 'org.freedesktop.DBus.Properties', 'Get',
                             GLib.Variant('(ss)', ('org.framebus.Source1', name)))
        return value

    def resolve(self, name):
        return fbtest.call(self.conn, 'org.framebus', '/org/framebus', 'org.framebus.Manager1', 'Resolve',
                           GLib.Variant('(s)', (name,)))[0]

    def check_numbers(self, watcher):
        """Gaps in seq are the sum of what was told as lost, and follow the device's own counter."""
        seqs = [seq for seq, _ in watcher.frames]
        self.assertEqual(seqs, sorted(set(seqs)))
        gaps = seqs[-1] - watcher.first + 1 - len(seqs)
        self.assertEqual(gaps, watcher.told, watcher.lost)
        return gaps

    def test_clients(self):
        """Three unrelated clients and this one see the same frames; the device's gaps and Lost add up."""
        self.start()
        watcher = Watcher(self.conn)
        watcher.wait_frames(5)
        viewers = [self.enter(fbtest.Process([os.path.join(EXAMPLES, name), '--frames', '90', 'video0'],
                                             env=self.bus.env()))
                   for name in ('01-subscribe-sdbus', '02-subscribe-gdbus', '04-subscribe')]
        for viewer in viewers:
            wait_until(lambda v=viewer: v.returncode is not None, 60, 'a viewer to end')
            self.assertEqual(viewer.returncode, 0, viewer.log())
        control('percentage_of_dropped_buffers', 40)
        n = len(watcher.frames)
        watcher.wait_frames(n + 15)
        control('percentage_of_dropped_buffers', 0)
        self.assertGreater(self.check_numbers(watcher), 0)
        self.assertGreater(watcher.lost.get('source', 0), 0)
        # vivid gives a number twice when it is late, and begins anew when it is started again
        for (seq, device), (next_seq, next_device) in zip(watcher.frames, watcher.frames[1:]):
            self.assertGreaterEqual(next_seq - seq, next_device - device)
        self.check_same(viewers)

    def check_same(self, viewers):
        seen = [{int(line.split()[0]): line.split()[2:] for line in v.out().splitlines() if line[:1].isdigit()}
                for v in viewers]
        common = set(seen[0]) & set(seen[1]) & set(seen[2])
        self.assertGreaterEqual(len(common), 3)
        for seq in common:
            self.assertEqual(seen[0][seq], ['NV12', '320x180', *seen[0][seq][2:]])
            self.assertTrue(seen[0][seq] == seen[1][seq] == seen[2][seq], seq)

    def on_controls(self, member, signature=None, *values):
        parameters = GLib.Variant(signature, values) if signature else None
        return fbtest.call(self.conn, 'org.framebus', SOURCE, 'org.framebus.Controls1', member, parameters,
                           timeout=60)[0]

    def check_controls(self, ours):
        """The same as v4l2-ctl lists, in names, types, ranges and values; the numbers of those that were compared."""
        listed = subprocess.run(['v4l2-ctl', '-d', '/dev/video0', '-L'], check=True, capture_output=True,
                                text=True).stdout
        theirs = {name.replace('_', '-'): (TYPES[kind], dict(re.findall(r'(\w+)=(\S+)', rest)))
                  for name, kind, rest in re.findall(r'^ *(\w+) 0x\w+ \((\w+)\) *:(.*)$', listed, re.M)
                  if kind in TYPES and 'dims=' not in rest}
        self.assertEqual(sorted(ours), sorted(theirs))
        for name, (kind, numbers) in theirs.items():
            control = ours[name]
            with self.subTest(name):
                self.assertEqual(control['type'], kind)
                keys = {'min', 'max', 'step', 'default'} if kind == 'string' or 'volatile' in control.get('flags', ()) \
                    else {'min', 'max', 'step', 'default', 'value'}
                for key in keys & set(numbers) & set(control):      # v4l2-ctl prints bits as signed
                    self.assertEqual(int(control[key]), int(numbers[key], 0) % 2 ** 32 if kind == 'bitmask' else
                                     int(numbers[key], 0), key)
                if kind == 'menu':
                    block = listed.partition(name.replace('-', '_') + ' 0x')[2]
                    for value, text in control['items']:
                        self.assertIn(f'{value}: {text}', block)
        return len(theirs)

    def test_controls(self):
        """v4l2-ctl and we list the same, hear of what the other sets, and refuse what the device has not."""
        self.start()
        ours = {c['id']: c for c in self.on_controls('List')}
        self.assertGreater(self.check_controls(ours), 20)
        for values in ({'brightness': GLib.Variant('i', 77), 'hue': GLib.Variant('i', 3)},
                       {'contrast': GLib.Variant('i', 9)}):
            now = self.on_controls('Set', '(a{sv})', values)    # nobody watches
            self.assertEqual(now, {name: value.unpack() for name, value in values.items()})
        got = subprocess.run(['v4l2-ctl', '-d', '/dev/video0', '-C', 'brightness,hue,contrast'], check=True,
                             capture_output=True, text=True).stdout
        self.assertEqual(got, 'brightness: 77\nhue: 3\ncontrast: 9\n')
        with self.assertRaisesRegex(GLib.Error, 'brightness takes 0 to 255 in steps of 1, not 300'):
            self.on_controls('Set', '(a{sv})', {'hue': GLib.Variant('i', 5), 'brightness': GLib.Variant('i', 300)})
        self.assertEqual(self.on_controls('Get', '(as)', ['hue']), {'hue': 3})

        watcher, changed = Watcher(self.conn), {}
        self.conn.signal_subscribe('org.framebus', 'org.framebus.Controls1', 'Changed', SOURCE, None,
                                   Gio.DBusSignalFlags.NONE, lambda *args: changed.update(args[5].unpack()[0]))
        watcher.wait_frames(2)
        control('brightness', 99)
        wait_until(lambda: changed.get('brightness') == 99, 30, 'a change that v4l2-ctl made')
        self.assertEqual(self.on_controls('Get', '(as)', ['brightness']), {'brightness': 99})
        self.assertEqual(self.on_controls('Set', '(a{sv})', {'saturation': GLib.Variant('i', 11)}), {'saturation': 11})
        wait_until(lambda: changed.get('saturation') == 11, 30, 'a change that we made')
        watcher.wait_frames(len(watcher.frames) + 2)

    def test_unplug(self):
        """Unplugged and plugged in again, under load: absent, with the reason; three subscriptions go on."""
        self.start()
        watchers = [Watcher(self.bus.connect(), mode=dict(SMALL, rate=GLib.Variant('(uu)', (30, 1))))
                    for _ in range(3)]
        for watcher in watchers:
            watcher.wait_frames(5, 60)
        fds = fbtest.proc_fds(self.broker.pid)
        for _ in range(20 if os.environ.get('FB_FULL') == '1' else 2):
            driver('unbind')
            wait_until(lambda: self.get('State') == 'absent', 30, 'absent')
            self.assertTrue(self.get('StateReason'))
            wanted = [(w, len(w.frames) + 5) for w in watchers]
            driver('bind')
            for watcher, n in wanted:
                watcher.wait_frames(n, 60)      # some of them may be older
        wait_until(lambda: self.get('State') == 'streaming', 60, 'streaming')
        for watcher in watchers:
            self.assertIsNone(watcher.ended)
            self.assertNotIn('corrupt', watcher.lost)
            self.check_numbers(watcher)
        wait_until(lambda: fbtest.proc_fds(self.broker.pid) <= fds + 2, 20, 'no more descriptors than before')

    def test_renumbered(self):
        """Plugged in again it is another node, as somebody still has the old one open: the name stays, and the
        subscription. What is no camera has no source."""
        folder = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, folder)
        self.start(env={'XDG_RUNTIME_DIR': folder})
        watcher = Watcher(self.conn)
        watcher.wait_frames(3)
        old = os.open('/dev/video0', os.O_RDONLY | os.O_CLOEXEC)
        self.addCleanup(driver, 'bind')  # as it was, for the others
        self.addCleanup(driver, 'unbind')
        self.addCleanup(os.close, old)
        driver('unbind')
        wait_until(lambda: self.get('State') == 'absent', 20, 'absent')
        driver('bind')
        n = len(watcher.frames)
        watcher.wait_frames(n + 3, 60)
        self.assertFalse(os.path.exists('/dev/video0'))
        self.assertIsNone(watcher.ended)
        self.check_numbers(watcher)
        objects, = fbtest.call(self.conn, 'org.framebus', '/org/framebus', 'org.freedesktop.DBus.ObjectManager',
                               'GetManagedObjects')
        self.assertEqual([path for path in objects if '/source/' in path], [SOURCE])

        # the next broker knows it by that name, too, and by the one that it has on every day
        alias = 'platform-vivid.0-video-index0'
        self.assertEqual((self.resolve(alias), self.get('Aliases')), (SOURCE, [alias]))
        self.broker.stop()
        self.enter(Broker(self.bus, env={'XDG_RUNTIME_DIR': folder}))
        wait_until(self.is_listed, 10, 'video0 to appear, though it is another node')
        status, out, err = fbtest.run([os.path.join(BUILD, 'tools', 'framebusctl'), 'show', alias], env=self.bus.env())
        self.assertEqual(status, 0, err)
        self.assertRegex(out, rf'Name: video0\n +Also: {alias}\n')
        watcher = Watcher(self.conn)
        watcher.wait_frames(2, 60)

    def test_busy(self):
        """A device that somebody else streams from: failed, and who holds it; it starts by itself when free."""
        self.start()
        holder = self.enter(fbtest.Process(['v4l2-ctl', '-d', '/dev/video0', '--stream-mmap', '--stream-count=100000']))
        wait_until(lambda: '<' in holder.err() or holder.out(), 20, 'v4l2-ctl to stream')
        watcher = Watcher(self.conn)
        holds = re.compile(rf'\b{holder.pid} \(v4l2-ctl\)')
        wait_until(lambda: holds.search(self.get('StateReason')), 20, 'who holds it')  # starting, at each attempt
        holder.stop()
        watcher.wait_frames(3, 60)

    def test_forbidden(self):
        """A device that the broker's user may not open: listed as failed, saying what would help."""
        self.start(user='nobody')
        self.assertEqual(self.get('State'), 'failed')
        self.assertIn('video', self.get('StateReason'))


if __name__ == '__main__':
    if not os.path.exists('/dev/video0'):
        fbtest.skip_all('there is no /dev/video0')
    fbtest.main()
