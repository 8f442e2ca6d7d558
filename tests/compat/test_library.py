#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The client library of each version that there was (frozen/): its programs with today's broker, today's library under
them, and today's programs with the broker of then.
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import frozen  # noqa: E402
import programs  # noqa: E402
from programs import PATTERN  # noqa: E402

V = fbtest.GLib.Variant
FRAMES = 20


class FrozenTest(programs.TestCase):
    def versions(self):
        for version in frozen.versions():
            with self.subTest(version):
                yield frozen.Frozen(version)

    def program(self, path, *args, env=None):
        return self.enter(fbtest.Process([path, *map(str, args)], env={
            'DBUS_SESSION_BUS_ADDRESS': self.bus.address, 'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent',
            **(env or {})}))

    def wait_for(self, name):
        def look():
            try:
                return self.resolve(name)
            except fbtest.GLib.Error:
                return None
        return fbtest.wait_until(look, 15, f'source {name}')

    @staticmethod
    def rows(process):
        """The whole lines of what it has written, as words."""
        return [line.split() for line in process.out().rpartition('\n')[0].splitlines()]

    def finish(self, viewer, publisher):
        """Ends by itself, with what was published."""
        self.assertEqual(viewer.wait(30), 0, viewer.log())
        seen = [line.split()[1:] for line in viewer.out().splitlines()]
        self.assertEqual(len(seen), FRAMES, viewer.log())
        fbtest.wait_until(lambda: all(row in self.rows(publisher) for row in seen), 15,
                          f'{seen} made by {publisher.argv}')

    def all_watch(self, publish, watch):
        """publish and watch: (name of an example, arguments) -> a Process."""
        for name in '05-publish', '07-lend':
            publisher = publish(name, 'own')
            self.wait_for('own')
            viewers = [watch('04-subscribe', *more, '--frames', FRAMES, 'own') for more in ([], ['--bus'])]
            for viewer in viewers:
                self.finish(viewer, publisher)
            viewer = watch('06-latest-only', '--frames', '4', '--work', '30', 'own')
            self.assertEqual(viewer.wait(30), 0, viewer.log())
            publisher.stop()
            fbtest.wait_until(lambda: not self.there('own'), 15, 'its end')

    def there(self, name):
        try:
            return self.resolve(name)
        except fbtest.GLib.Error:
            return None


class Old(FrozenTest):
    """Programs of then."""

    def old(self, version, today=False):
        """today: on the library of today, as after an upgrade of the package."""
        env = {'LD_LIBRARY_PATH': str(fbtest.build_path('libframebus'))} if today else version.env()
        return lambda name, *args: self.program(version.path(name), *args, env=env)

    def new(self, name, *args):
        return self.program(fbtest.build_path(f'examples/{name}'), *args)

    def test_with_todays_broker(self):
        """They watch, and they publish, among themselves and with programs of today."""
        for version in self.versions():
            self.start()
            self.all_watch(self.old(version), self.old(version))
            self.all_watch(self.old(version), self.new)
            self.all_watch(self.new, self.old(version))

    def test_on_todays_library(self):
        for version in self.versions():
            self.start()
            self.all_watch(self.old(version, today=True), self.old(version, today=True))

    def test_capture_program(self):
        """A capture program of then, started by today's broker; and it is started again after a crash."""
        for version in self.versions():
            self.start({'bars': PATTERN.replace('framebus-pattern', str(version.path('framebus-pattern')))},
                       env=version.env())
            viewer = self.client('bars', 'peer', '--frames', 200)
            viewer.wait_frames(20)
            pid, = self.workers()
            programs.kill_hard(pid)
            self.assertTrue(self.assert_exact_after(viewer))

    def assert_exact_after(self, viewer):
        before = len(viewer.frames())
        viewer.wait_frames(before + 20)
        viewer.quit()
        return self.assert_exact(viewer)

    def test_another_broker_comes(self):
        """The library finds the next broker by itself, and frames come again."""
        for version in self.versions():
            self.start({'bars': PATTERN})
            viewer = self.old(version)('04-subscribe', '--frames', '1000000', 'bars')
            viewer.wait_output(r'^\d+ ', 15)
            self.broker.stop()
            before = len(self.rows(viewer))
            self.start_broker({'bars': PATTERN})
            fbtest.wait_until(lambda: len(self.rows(viewer)) >= before + 30, 30, viewer.log())
            self.assertLess(min(int(row[0]) for row in self.rows(viewer)[before:]), 30)     # it began anew
            viewer.stop()


class New(FrozenTest):
    """Programs of today, with the broker of then."""

    def start_old(self, version):
        self.bus = self.enter(fbtest.Bus())
        self.conn = self.bus.connect()
        config = self.enter(fbtest.Config({'bars': PATTERN}))
        self.broker = self.enter(fbtest.Process(
            [version.path('framebusd'), '--session', '--config', config.path],
            env={**self.bus.env(), **version.env(), 'FRAMEBUS_LIBEXECDIR': str(version.path('sources'))}))
        fbtest.wait_until(lambda: self.bus.owner('org.framebus'), 10, 'the old broker')

    def new(self, name, *args):
        return self.program(fbtest.build_path(f'examples/{name}'), *args)

    def test_with_the_broker_of_then(self):
        for version in self.versions():
            self.start_old(version)
            self.all_watch(self.new, self.new)

    def test_tools(self):
        """framebusctl shows it, and takes frames of a capture program of then."""
        for version in self.versions():
            self.start_old(version)
            ctl = fbtest.build_path('tools/framebusctl')
            for words in (['list'], ['negotiate', 'bars'], ['controls', 'bars'], ['watch', '--frames', '10', 'bars'],
                          ['who']):
                process = self.program(ctl, *words)
                self.assertEqual(process.wait(20), 0, process.log())

    def test_what_it_does_not_know(self):
        """An option that came later is refused by name; with it left out all is well."""
        for version in self.versions():
            self.start_old(version)
            self.raises('UnknownOption', self.on_source, 'bars', 'Negotiate', {'later': V('b', True)}, text='later')
            self.on_source('bars', 'Negotiate', {})


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
