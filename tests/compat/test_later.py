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
        made = {(str(e['pts_ns']), *(f'{c:08x}' for c in e['crc32'])) for e in self.clip.events('sent')}
        for line in out.splitlines():
            _seq, pts, _format, _size, *sums = line.split()
            self.assertIn((pts, *sums), made)

    def test_subscribers(self):
        for name in 'sdbus', 'gdbus', 'gdbus-python', 'library', 'library-bus':
            with self.subTest(name):
                viewer = self.run_program(record.CLIENTS[name]())
                self.assertEqual(len(viewer.out().splitlines()), int(record.FRAMES))
                self.pictures(viewer.out())
                self.assertNotIn('lost 7', viewer.err())        # what LaterStill would be, taken for Lost
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


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
