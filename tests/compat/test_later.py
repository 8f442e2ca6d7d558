#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a later broker may add without being another interface does not harm today's clients: they get more keys, words,
signals and interfaces than they know (later.py), and go on as ever. In requests nothing unknown is taken. And an
interface Source2 beside Source1 is one front more of the same object: see broker/api/source2-trial.c.
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import later  # noqa: E402
import programs  # noqa: E402
import record  # noqa: E402
import replay  # noqa: E402
import tap  # noqa: E402
from gi.repository import GLib  # noqa: E402

V = GLib.Variant


class Later(programs.TestCase):
    def setUp(self):
        self.clip = record.start_sources(self)
        self.later = later.Broker()
        self.relay = self.enter(tap.Tap(f'{self.bus.base}/bus', change=self.later.change))

    def start_program(self, argv):
        return self.enter(fbtest.Process(argv, env={'DBUS_SESSION_BUS_ADDRESS': self.relay.address,
                                                    'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}))

    def run_program(self, argv, status=0):
        process = self.start_program(argv)
        self.assertEqual(process.wait(30), status, process.log())
        self.assertNotIn('Traceback', process.err())
        return process

    def pictures(self, out):
        """That each line of an example is a frame as it was published."""
        for line in out.splitlines():
            _seq, pts, _format, _size, *sums = line.split()
            fbtest.wait_until(lambda made={'pts_ns': int(pts), 'crc32': [int(s, 16) for s in sums]}:
                              self.clip.events('sent', **made), what=line)

    def test_subscribers(self):
        for name in 'sdbus', 'gdbus', 'gdbus-python', 'library', 'library-bus':
            with self.subTest(name):
                viewer = self.run_program(record.CLIENTS[name]())
                self.assertEqual(len(viewer.out().splitlines()), int(record.FRAMES))
                self.pictures(viewer.out())
                self.assertNotIn('70707', viewer.err())        # what LaterStill would be, taken for Lost
        self.assertLessEqual({'Frame', 'FormatChanged', 'Subscribe', 'Attach'}, self.later.changed)

    def test_latest(self):
        viewer = self.run_program(record.CLIENTS['library-latest']())
        self.assertEqual(len(viewer.out().splitlines()), 3)

    def test_publishers(self):
        for name, *more in ['library-publish'], ['library-lend', '--opt', 'memory=as:leased']:
            with self.subTest(name):
                publisher = self.start_program(record.PUBLISHERS[name]())
                fbtest.wait_until(lambda: self.there('own'), 15, 'the source')
                viewer = self.client('own', 'peer', '--frames', 20, *more)
                viewer.finish()
                self.assert_exact(viewer)
                publisher.stop()
                fbtest.wait_until(lambda: not self.there('own'), what='its end')
        self.assertLessEqual({'Start', 'Release', 'Publish'}, self.later.changed)

    def there(self, name):
        try:
            return self.resolve(name)
        except GLib.Error:
            return None

    def test_framebusctl(self):
        """What it shows is what there is; words that it does not know are shown as they are."""
        ctl = fbtest.build_path('tools/framebusctl')
        found = [json.loads(line) for line in self.run_program([ctl, 'list', '--json']).out().splitlines()]
        self.assertEqual({s['name'] for s in found}, {'bars', 'clip'})
        self.assertEqual({s['state'] for s in found}, {'sleeping'})
        self.run_program([ctl, 'negotiate', 'clip'])
        controls = self.run_program([ctl, 'controls', 'bars']).out()
        self.assertNotIn('Later', controls)
        self.assertGreater(len(controls.splitlines()), 2)
        self.run_program([ctl, 'who'])
        self.assertLessEqual({'GetManagedObjects', 'Negotiate', 'List', 'Who'}, self.later.changed)

    def test_pulsevideo(self):
        """Its interfaces do not change any more; what is beside them does."""
        for name in 'pulsevideo-1', 'pulsevideo-2', 'pulsevideo-object':
            viewer = self.run_program(record.CLIENTS[name]())
            self.assertEqual(len(viewer.out().splitlines()), 5)

    def test_nothing_unknown_is_taken(self):
        """In requests, of every method that has options; and nothing comes of it."""
        options = {'later': V('s', 'yes')}
        for member in 'Negotiate', 'Subscribe', 'Attach':
            self.raises('UnknownOption', self.on_source, 'clip', member, options, text='later')
        self.raises('UnknownOption', self.call, programs.MANAGER_PATH, programs.MANAGER, 'Publish',
                    V('(sa{sv})', ('x', options)), text='later')
        channel = self.open_channel('clip')
        for member in 'SetOptions', 'Share':
            self.raises('UnknownOption', channel.call, programs.SUBSCRIPTION_PATH, programs.SUBSCRIPTION, member,
                        V('(a{sv})', (options,)), text='later')
        self.assertEqual(len(self.who()), 1)


SOURCE_2 = 'org.framebus.Source2'


class Source2(programs.TestCase):
    """A broker with a second version, in builds with fault points; in others, one that never heard of it."""

    def setUp(self):
        self.clip = record.start_sources(self, env={'FRAMEBUS_FAULT': 'source2'})
        self.has_it = os.environ.get('FB_FAULT_POINTS') == '1'

    def prefer(self, conn=None):
        """As a program does that prefers the new version and is content with the old one: (version, channel)."""
        try:
            (granted, _h), fds = self.call(self.resolve('clip'), SOURCE_2, 'Attach', V('(a{sv})', ({},)), conn,
                                           with_fds=True)
            version = 2
        except GLib.Error as error:
            self.assertIn(fbtest.error_name(error), ('org.freedesktop.DBus.Error.UnknownMethod',
                                                     'org.freedesktop.DBus.Error.UnknownInterface'))
            (_h, _path, granted), fds = self.on_source('clip', 'Attach', conn=conn, with_fds=True)
            version = 1
        self.assertEqual(granted['mode']['width'], 64)
        channel = programs.Channel(fds[0])
        self.addCleanup(channel.close)
        return version, channel

    def objects(self):
        return self.call(programs.MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')[0]

    def test_preferred(self):
        version, channel = self.prefer()
        self.assertEqual(version, 2 if self.has_it else 1)
        fbtest.wait_until(lambda: len(channel.named('Frame')) >= 3, what='frames')

    def test_both_by_one_program(self):
        """They are one thing: subscriptions of both are told by Who, and a limit is one limit."""
        conn = self.bus.connect()
        channels = [self.prefer(conn)[1] for _ in range(8)]
        channels += [self.open_channel('clip', conn=conn) for _ in range(8)]
        self.assertEqual(len(self.who()), 16)
        self.raises('LimitsExceeded', self.on_source, 'clip', 'Attach', conn=conn, text='16 channels')
        if self.has_it:
            self.raises('LimitsExceeded', self.call, self.resolve('clip'), SOURCE_2, 'Attach', V('(a{sv})', ({},)),
                        conn, text='16 channels')
            self.raises('UnknownOption', self.call, self.resolve('clip'), SOURCE_2, 'Attach',
                        V('(a{sv})', ({'later': V('b', True)},)), text='later')

    def test_who_waits_for_modes(self):
        """The call comes again when it is known what the source can do, and is answered in its own way."""
        if self.has_it:
            (granted, _h), fds = self.call(self.resolve('bars'), SOURCE_2, 'Attach', V('(a{sv})', ({},)),
                                           with_fds=True)
            self.assertEqual(granted['mode']['width'], 320)
            os.close(fds[0])

    def test_told(self):
        """Whoever looks finds both, and is told of both; old clients look for the one that they know."""
        added = self.record('InterfacesAdded')
        removed = self.record('InterfacesRemoved')
        publisher = self.published('another')
        fbtest.wait_until(lambda: added, what='InterfacesAdded')
        publisher.quit()
        fbtest.wait_until(lambda: removed, what='InterfacesRemoved')
        for interfaces in self.objects()['/org/framebus/source/clip'], added[0][2][1], removed[0][2][1]:
            self.assertIn(programs.SOURCE, interfaces)
            self.assertEqual(SOURCE_2 in interfaces, self.has_it)

    def test_clients_of_version_1(self):
        """All examples, the tools, PulseVideo, and what was recorded of earlier versions: as ever."""
        for name in record.CLIENTS:
            with self.subTest(name):
                process = self.enter(fbtest.Process(record.CLIENTS[name](), env={
                    'DBUS_SESSION_BUS_ADDRESS': self.bus.address,
                    'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}))
                self.assertEqual(process.wait(30), 0, process.log())
        for path in sorted((HERE / 'streams').glob('*/*.json')):
            if path.stem not in record.PUBLISHERS:
                with self.subTest(f'{path.parent.name}/{path.stem}'):
                    player = replay.Player([json.loads(line) for line in path.read_text().splitlines()],
                                           f'{self.bus.base}/bus')
                    self.addCleanup(player.close)
                    player.play()
                    self.assertEqual(replay.errors_of(player), [])
                    player.close()


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
