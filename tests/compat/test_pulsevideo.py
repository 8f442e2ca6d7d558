#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
com.stbtester.VideoSource1 and 2 for clients that are not built anew (pulsevideo.py, which is one): each record's
picture, the newest for who is slow, the end of the stream when something else begins, and that nobody is harmed.
"""

import fcntl
import os
import socket
import sys
import zlib

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import programs  # noqa: E402
import pulsevideo  # noqa: E402
import tap  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
from programs import PATTERN  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
F_GET_SEALS, ALL_SEALS = 1034, 15
NAME, PATH = 'com.stbtester.VideoSource.dev_video0', '/com/stbtester/VideoSource'
INTERFACES = 1, 2


def raw_caps(fourcc, width, height, rate):
    return f'video/x-raw, format=(string){fourcc}, width=(int){width}, height=(int){height}, ' \
           f'framerate=(fraction){rate}/1'


class Test(programs.TestCase):
    def viewer(self, source, interface=2, conn=None):
        viewer = pulsevideo.Viewer(conn or self.bus.connect(), 'org.framebus', self.resolve(source), interface)
        self.addCleanup(viewer.close)
        return viewer

    def made_as(self, publisher, record, n_planes):
        """The frame that this record is, by its time or its content; its picture is right."""
        data = record.data()
        self.assertEqual(fcntl.fcntl(record.fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS)
        record.close()
        split = [data] if n_planes == 1 else [data[:len(data) * 2 // 3], data[len(data) * 2 // 3:]]
        crcs = [zlib.crc32(part) for part in split]
        found = fbtest.wait_until(lambda: [e for e in publisher.events('sent') if e['crc32'] == crcs],
                                  what='a picture that was published')
        if record.timestamp:
            self.assertEqual(record.timestamp, found[0]['pts_ns'])
        return found[0]['seq']


class Watching(Test):
    def test_pictures(self):
        """Both interfaces beside another client: the same pictures, in order, described exactly."""
        self.start()
        publisher = self.published('clip', '--rate', 30, '--size', '320x240', '--format', 'NV12')
        beside = self.client('clip', 'peer', '--window', 16)
        beside.wait_frames(1)
        for interface in INTERFACES:
            with self.subTest(interface):
                viewer = self.viewer('clip', interface)
                self.assertEqual(viewer.cached_caps(), raw_caps('NV12', 320, 240, 30))
                viewer.attach()
                self.assertEqual(viewer.caps, viewer.cached_caps())
                self.assertEqual(pulsevideo.caps_dict(viewer.caps)['format'], 'NV12')
                seen = []
                for _ in range(12):
                    record = viewer.read()
                    self.assertEqual((record.offset, record.size), (0, 320 * 240 * 3 // 2))
                    self.assertEqual(record.timestamp > 0, interface == 2)
                    seen.append(self.made_as(publisher, record, 2))
                self.assertEqual(seen, sorted(set(seen)))
                who, = [s for s in self.who() if s['conduit'] == 'legacy']
                self.assertEqual((who['source'], who['path'], who['uid'], who['pid'], who['memory'], who['window']),
                                 ('clip', self.resolve('clip'), os.getuid(), os.getpid(), 'sealed', 1))
                viewer.close()
                fbtest.wait_until(lambda: len(self.who()) == 1, what='the viewer is gone')
        beside.quit()
        self.assert_complete(beside)

    def test_formats(self):
        """Words and bytes for more formats; what the source starts for the question is asked first."""
        for fourcc, caps, size in (
                ('I420', 'video/x-raw, format=(string)I420', 64 * 48 * 3 // 2),
                ('GREY', 'video/x-raw, format=(string)GRAY8', 64 * 48)):
            with self.subTest(fourcc):
                self.start()
                publisher = self.published('clip', '--rate', 30, '--size', '64x48', '--format', fourcc)
                viewer = self.viewer('clip').attach()
                self.assertEqual(viewer.caps, f'{caps}, width=(int)64, height=(int)48, framerate=(fraction)30/1')
                record = viewer.read()
                self.assertEqual((record.offset, record.size), (0, size))
                record.close()
                publisher.quit()

    def test_started_by_a_question(self):
        """Caps are exact before Attach, though the capture program has not run yet; it ends with the last viewer."""
        self.start({'bars': PATTERN})
        viewer = self.viewer('bars', 1)
        self.assertEqual(viewer.cached_caps(), raw_caps('NV12', 320, 240, 30))
        viewer.attach()
        viewer.read().close()
        self.assertEqual(len(self.workers()), 1)
        viewer.close()
        fbtest.wait_until(lambda: not self.workers(), 6, 'end of the capture program')

    def test_bytes(self):
        """On the wire, to the byte; the answers' types."""
        self.start()
        publisher = self.published_by_hand('clip')
        for interface, kind in (1, '(h)'), (2, '(hs)'):
            viewer = self.viewer('clip', interface)
            result, fds = viewer.proxy.call_with_unix_fd_list_sync('Attach', None, Gio.DBusCallFlags.NONE, 20000, None,
                                                                   None)
            self.assertEqual(result.get_type_string(), kind)
            viewer.adopt(result, fds, viewer.cached_caps())
            data, control, _flags, _ = viewer.socket.recvmsg(4096, 4096)
            sent = publisher.wait_event('sent')
            words = [sent['pts_ns'], 0, 64 * 48][-interface - 1:]
            self.assertEqual(data, b''.join(w.to_bytes(8, sys.byteorder) for w in words))
            self.assertEqual([(c[0], c[1], len(c[2])) for c in control], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, 4)])
            os.close(int.from_bytes(control[0][2], sys.byteorder))

    def test_nothing_but_sealed_memory(self):
        """Of a source that lends its buffers: to viewers the one copy that nobody can change."""
        self.start()
        publisher = self.published('clip', '--leased', '--rate', 50, '--size', '64x48')
        beside = self.client('clip', 'peer', '--window', 16, '--opt', 'memory=as:leased')
        beside.wait_frames(3)
        for interface in INTERFACES:
            viewer = self.viewer('clip', interface).attach()
            for _ in range(6):
                self.made_as(publisher, viewer.read(), 1)       # looks at the seals, too
        beside.wait_frames(len(beside.frames()) + 3)
        self.assertEqual({f['memory'] for f in beside.frames()}, {'leased'})
        beside.quit()

    def test_first_value_of_the_answer(self):
        """Before 2020 Attach returned the socket alone: who reads no further gets on."""
        self.start({'bars': PATTERN})
        conn = self.bus.connect()
        viewer = self.viewer('bars', 2, conn)
        call = Gio.DBusMessage.new_method_call('org.framebus', self.resolve('bars'), 'com.stbtester.VideoSource2',
                                               'Attach')
        reply, _serial = conn.send_message_with_reply_sync(call, Gio.DBusSendMessageFlags.NONE, 20000, None)
        self.assertEqual(reply.get_signature()[0], 'h')
        self.assertEqual((reply.get_body().get_child_value(0).get_handle(), reply.get_num_unix_fds()), (0, 1))
        viewer.socket = socket.socket(fileno=reply.get_unix_fd_list().steal_fds()[0])
        for _ in range(3):
            viewer.read().close()

    def test_another_user(self):
        fbtest.need_root()
        self.start(bus_type='system')
        self.published('clip', '--rate', 20)
        viewer = self.enter(fbtest.Process(
            ['/usr/bin/python3', os.path.join(HERE, 'pulsevideo.py'), 'org.framebus', self.resolve('clip')],
            user='nobody', env={'DBUS_SESSION_BUS_ADDRESS': self.bus.address}))
        self.assertEqual(viewer.wait(20), 0, viewer.log())
        self.assertEqual(len(viewer.out().splitlines()), 12)


class Slow(Test):
    def test_gets_the_newest(self):
        """Of what is made while it does something else, the last; what it had not read stays as it was."""
        for interface in INTERFACES:
            with self.subTest(interface):
                self.start()
                publisher = self.published_by_hand('clip')
                viewer = self.viewer('clip', interface).attach()
                self.send(publisher, 5)
                first = self.made_as(publisher, viewer.read(), 1)
                newest = publisher.events('sent')[-1]['seq']
                self.assertLess(first, newest)
                self.assertEqual(self.made_as(publisher, viewer.read(), 1), newest)
                self.send(publisher)
                self.assertEqual(self.made_as(publisher, viewer.read(), 1), newest + 1)
                who, = self.who()
                self.assertEqual(who['lost'], {'superseded': 4})

    def test_stopped(self):
        """Sixteen that read nothing: the next one is refused, others lose nothing, all comes back at the end."""
        self.start()
        self.published('clip', '--rate', 60)
        beside = self.client('clip', 'peer', '--window', 16)
        beside.wait_frames(1)
        before = self.least_fds()
        conn = self.bus.connect()
        stopped = [self.viewer('clip', 2, conn).attach() for _ in range(16)]
        self.raises('LimitsExceeded', self.viewer('clip', 2, conn).attach, text='16 channels')
        for viewer in stopped[:8]:      # a hang-up that is none: what is unread stays where it is
            viewer.socket.shutdown(socket.SHUT_RDWR)
        beside.wait_frames(len(beside.frames()) + 60)
        self.raises('LimitsExceeded', self.viewer('clip', 2, conn).attach, text='16 channels')
        self.assertLess(self.ping(), fbtest.limit(1))
        self.assertEqual(len([s for s in self.who() if s['in-flight'] == 1]), 16)
        for _ in range(5):              # it goes on
            stopped[8].read().close()
        for viewer in stopped:
            viewer.close()
        fbtest.wait_until(lambda: len(self.who()) == 1, what='all but one are gone')
        self.viewer('clip', 2, conn).attach().close()
        beside.quit()
        self.assert_complete(beside)
        self.settle()
        fbtest.wait_until(lambda: self.least_fds() <= before, what='descriptors')


class End(Test):
    def drain(self, viewer):
        """Reads to the end."""
        n = 0
        while (record := viewer.read()) is not None:
            record.close()
            n += 1
        return n

    def test_of_the_source(self):
        """What was sent can be read, then comes the end; there is nothing to attach to."""
        self.start()
        publisher = self.published_by_hand('clip')
        viewer = self.viewer('clip').attach()
        publisher.quit()
        self.assertEqual(self.drain(viewer), 1)
        self.raises('org.freedesktop.DBus.Error.UnknownObject', viewer.attach)

    def test_of_the_broker(self):
        for kill in False, True:
            self.start({'bars': PATTERN})
            viewer = self.viewer('bars').attach()
            viewer.read().close()
            if kill:
                self.broker.kill()
            else:
                self.broker.stop()
            self.drain(viewer)

    def test_of_the_mode(self):
        """Somebody wants another size: whoever was told another one attaches again."""
        for interface in INTERFACES:
            with self.subTest(interface):
                self.start({'bars': PATTERN})
                viewer = self.viewer('bars', interface).attach()
                self.assertEqual(viewer.caps, raw_caps('NV12', 320, 240, 30))
                wish = {'modes': GLib.Variant('aa{sv}', [{'width': GLib.Variant('u', 64),
                                                          'height': GLib.Variant('u', 48)}])}
                self.open_channel('bars', wish)
                while (record := viewer.read()) is not None:
                    self.assertEqual(record.size, 320 * 240 * 3 // 2)
                    record.close()
                fbtest.wait_until(lambda: viewer.cached_caps() == raw_caps('NV12', 64, 48, 30), what='Caps changed')
                viewer.attach()
                self.assertEqual(viewer.caps, raw_caps('NV12', 64, 48, 30))
                record = viewer.read()
                self.assertEqual(record.size, 64 * 48 * 3 // 2)
                record.close()

    def test_crash_is_none(self):
        """A capture program that comes back with the same picture costs frames only."""
        self.start({'bars': PATTERN})
        viewer = self.viewer('bars').attach()
        viewer.read().close()
        pid, = self.workers()
        programs.kill_hard(pid)
        fbtest.wait_until(lambda: [w for w in self.workers() if w != pid], 5, 'a new capture program')
        for _ in range(10):
            viewer.read().close()


class Refused(Test):
    def test_without_words(self):
        """Formats without caps, and pictures that do not lie as caps have it."""
        self.start()
        self.published('narrow', '--rate', 30, '--size', '62x48', '--format', 'GREY')
        self.published('strange', '--rate', 30, '--size', '64x48', '--format', 'BA81')
        self.raises('NotSupported', self.viewer('narrow').attach, text='narrow.*lines')
        viewer = self.viewer('strange')
        self.assertEqual(viewer.cached_caps(), '')
        self.raises('NotSupported', viewer.attach, text='strange.*caps')

    def test_nobody_waits_for_ever(self):
        """Who leaves the bus while Attach is not answered is forgotten."""
        self.start()
        publisher = self.publisher('clip', '--rate', 30, '--no-format')
        publisher.wait_event('published')
        fbtest.wait_until(lambda: self.source_get('clip', 'Modes'))
        conn = self.bus.connect()
        viewer = self.viewer('clip', 2, conn)
        viewer.proxy.call('Attach', None, Gio.DBusCallFlags.NONE, 20000, None, None)
        fbtest.wait_until(lambda: [s['conduit'] for s in self.who()] == ['legacy'], what='it waits')
        conn.close_sync(None)
        fbtest.wait_until(lambda: not self.who(), what='nobody waits')


class OldName(Test):
    def test_unmodified_client(self):
        """The name and the path that such programs know, on a connection that has nothing else."""
        self.start({'bars': PATTERN + 'PulseVideo=dev_video0\n', 'other': PATTERN})
        fbtest.wait_until(lambda: self.bus.owner(NAME), what=NAME)
        self.assertNotEqual(self.bus.owner(NAME), self.bus.owner('org.framebus'))
        for interface in INTERFACES:
            with self.subTest(interface):
                status, out, err = fbtest.run(
                    ['/usr/bin/python3', os.path.join(HERE, 'pulsevideo.py'), NAME, PATH, f'--interface={interface}'],
                    env={'DBUS_SESSION_BUS_ADDRESS': self.bus.address})
                self.assertEqual(status, 0, err)
                lines = out.splitlines()
                self.assertEqual(lines[:2], [raw_caps('NV12', 320, 240, 30)] * 2)
                self.assertEqual(len(lines), 12)
        fbtest.wait_until(lambda: not self.who(), what='nobody watches')

    def test_two_of_them(self):
        """At the same path, so that the unique names tell them apart: those are what proxies call."""
        sizes = {'one': '64x48', 'two': '80x60'}
        self.start({name: programs.pattern(size) + f'PulseVideo={name}\n' for name, size in sizes.items()})
        said = []
        relay = self.enter(tap.Tap(f'{self.bus.base}/bus', on_said=lambda _session, _link, by_client, what:
                                   said.append((by_client, what))))
        owners = {}
        for name, size in sizes.items():
            legacy = NAME.replace('dev_video0', name)
            owners[name] = fbtest.wait_until(lambda legacy=legacy: self.bus.owner(legacy), what=legacy)
            status, out, err = fbtest.run(
                ['/usr/bin/python3', os.path.join(HERE, 'pulsevideo.py'), legacy, PATH],
                env={'DBUS_SESSION_BUS_ADDRESS': relay.address})
            self.assertEqual(status, 0, err)
            self.assertIn('width=(int){}, height=(int){}'.format(*size.split('x')), out.splitlines()[1])
        called = [m.get('destination') for by_client, m in said
                  if by_client and not isinstance(m, bytes) and m.is_('call', member='Attach')]
        self.assertEqual(called, list(owners.values()))
        self.assertEqual(len({*owners.values(), self.bus.owner('org.framebus')}), 3)

    if fbtest.count(0, 1):
        def test_nothing_comes(self):
            """After 20 s Attach is answered by the error that such programs try again at."""
            self.start()
            publisher = self.publisher('clip', '--rate', 30, '--no-format')
            publisher.wait_event('published')
            fbtest.wait_until(lambda: self.source_get('clip', 'Modes'))
            self.raises('org.freedesktop.DBus.Error.TimedOut', self.viewer('clip').attach, 60000, text='clip.*20 s')
            self.assertEqual(self.who(), [])

    def test_is_not_there_unasked(self):
        self.start({'bars': PATTERN})
        names = fbtest.call(self.conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                            'ListNames')[0]
        self.assertEqual([n for n in names if 'VideoSource' in n], [])


if __name__ == '__main__':
    fbtest.main()
