# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Names of sources have owners, a line of those who wait, and replacement as names on the bus have: whatever is asked for
by three publishers one after the other, the answers are those of the bus that this runs on.
"""

import itertools
import os

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, SOURCE

DRIVER = 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus'
OWNER, WAITS, TAKEN = 1, 2, 3       # as RequestName has them

WORDS = 'allow-replacement', 'replace', 'queue'
ALL = [tuple(w for i, w in enumerate(WORDS) if n >> i & 1) for n in range(8)]


class Bus:
    """The names of the bus."""

    def __init__(self, test):
        self.test, self.conns = test, [test.bus.connect() for _ in range(3)]

    def request(self, i, name, words):
        flags = ('allow-replacement' in words) | ('replace' in words) << 1 | ('queue' not in words) << 2
        return fbtest.call(self.conns[i], *DRIVER, 'RequestName', GLib.Variant('(su)', (f'x.{name}', flags)))[0]

    def owner(self, name):
        unique = self.test.bus.owner(f'x.{name}')
        return next((i for i, c in enumerate(self.conns) if c.get_unique_name() == unique), None)

    def leave(self, i, name):
        fbtest.call(self.conns[i], *DRIVER, 'ReleaseName', GLib.Variant('(s)', (f'x.{name}',)))


class Sources:
    """The names of sources. Each publisher is described by its number."""

    def __init__(self, test):
        self.test, self.conns, self.fds = test, [test.bus.connect() for _ in range(3)], {}

    def request(self, i, name, words):
        options = {w: GLib.Variant('b', True) for w in words} | {'description': GLib.Variant('s', str(i))}
        try:
            _result, fds = self.test.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (name, options)),
                                          self.conns[i], with_fds=True)
        except GLib.Error as error:
            self.test.assertEqual(fbtest.error_name(error), 'org.framebus.Error.NameTaken')
            return TAKEN
        self.fds[i] = fds[0]
        return OWNER if self.owner(name) == i else WAITS

    def owner(self, name):
        while True:
            try:
                return int(self.test.source_get(name, 'Description'))
            except GLib.Error as error:
                if fbtest.error_name(error) == 'org.framebus.Error.NoSuchSource':
                    return None
                # it has gone since it was resolved
                self.test.assertEqual(fbtest.error_name(error), 'org.freedesktop.DBus.Error.UnknownObject')

    def leave(self, i, name):
        os.close(self.fds.pop(i))
        fbtest.wait_until(lambda: self.owner(name) != i, interval=0.0001)

    def clear(self):
        for fd in self.fds.values():        # of those that were replaced: there is nothing behind it
            os.close(fd)
        self.fds.clear()


def play(names, name, wishes):
    """What each is answered, and who owns the name one after the other, when the owner leaves each time."""
    answers = [names.request(i, name, words) for i, words in enumerate(wishes)]
    owners = []
    while (owner := names.owner(name)) is not None:
        owners.append(owner)
        names.leave(owner, name)
    return answers, owners


def jumps(answers, owners, wishes):
    """
    Whether dbus-daemon puts the last one, who waits, before one who waits for longer, since it would have replaced the
    owner if that were allowed. dbus-broker does not, nor do we; nor did kdbus.
    """
    return answers[2] == WAITS and 'replace' in wishes[2] and len(owners) == 3


class Names(programs.TestCase):
    def test_as_on_the_bus(self):
        self.start()
        bus, sources = Bus(self), Sources(self)
        before = self.least_fds()
        for n, wishes in enumerate(itertools.product(ALL, repeat=3)):
            if n % fbtest.count(3, 1):
                continue
            answers, owners = play(bus, f'n{n}', wishes)
            if fbtest.bus_kind() != 'broker' and jumps(answers, owners, wishes):
                owners[1:] = reversed(owners[1:])
            self.assertEqual(play(sources, f'n{n}', wishes), (answers, owners), wishes)
            sources.clear()
        self.fds_are(before)

    def test_back_in_line(self):
        """Who is replaced and had said that it waits is told to stop, and publishes again when its turn comes."""
        self.start()
        first = self.published('clip', '--rate', 100, '--quiet', '--opt', 'allow-replacement=b:true', '--opt',
                               'queue=b:true')
        viewers = [self.client('clip', t) for t in programs.TRANSPORTS]
        for viewer in viewers:
            viewer.wait_frames(3)
        gone = self.record('InterfacesRemoved')
        last = self.publisher('clip', '--opt', 'queue=b:true')
        last.wait_event('published')
        second = self.published('clip', '--rate', 100, '--quiet', '--opt', 'replace=b:true', '--format', 'NV12')
        for viewer in viewers:
            viewer.finish()
            self.assertEqual([e['reason'] for e in viewer.events('ended')], ['replaced'])
        first.wait_event('stop')
        fbtest.wait_until(lambda: len(gone) == 1, what='the end of the first source')
        self.client('clip', 'peer', '--frames', 3).finish()
        self.assertEqual(len(first.events('start')), 1)
        second.quit()
        fbtest.wait_until(lambda: len(gone) == 2, what='the end of the second source')
        again = self.client('clip', 'bus', '--frames', 3)
        again.finish()
        self.assert_exact(again)
        self.assertEqual(len(first.wait_event('start', 2)), len(first.events('start')[0]))
        self.assertEqual(last.events('start'), [])
        for publisher in first, last:
            self.assertEqual(publisher.quit()['problems'], 0)

    def test_replaced_in_line(self):
        """Nothing of a source that stepped back is left to those who had it, and nobody finds it by its path."""
        self.start()
        first = self.published('clip', '--rate', 100, '--opt', 'allow-replacement=b:true', '--opt', 'queue=b:true')
        viewer = programs.Viewer(self, 'clip', 'bus')
        fbtest.wait_until(viewer.frames, what='a frame')
        publisher = self.publisher('clip', '--opt', 'replace=b:true', '--opt', 'description=s:second', '--frames', 1,
                                   '--stay')
        publisher.wait_event('published')
        viewer.wait_event('Ended')
        self.assertEqual(self.get(self.resolve('clip'), SOURCE, 'Description'), 'second')
        self.assertEqual(self.who(), [])
        first.kill()            # in line: nobody hears of it
        self.ping()
        self.assertEqual(self.source_get('clip', 'Description'), 'second')
        publisher.quit()
        fbtest.wait_until(lambda: not self.who(), what='nobody')
        self.raises('NoSuchSource', self.resolve, 'clip')


if __name__ == '__main__':
    fbtest.main()
