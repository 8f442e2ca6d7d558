# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A publisher that changes its memory in every way there is while others look at it, and subscribers that keep all that
they can get. Nobody else notices: other sources' viewers lose nothing, memory stays within what was granted, and nobody
gets a SIGBUS, neither the broker nor a viewer, on libframebus or on the bus by hand.
"""

import os
import pathlib
import re
import resource

import fbtest
import programs
from programs import TRANSPORTS

FRAMES = fbtest.count(400, 20000)


def frame_memory(pids, name):
    """(how many memfds called so these processes have together, their sizes in sum)"""
    found = {}
    for pid in pids:
        try:
            maps = pathlib.Path(f'/proc/{pid}/maps').read_text()
            links = list(pathlib.Path(f'/proc/{pid}/fd').iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        for first, last, inode in re.findall(rf'^(\w+)-(\w+) \S+ \S+ \S+ (\d+) +/memfd:{name}\b', maps, re.M):
            found.setdefault(int(inode), int(last, 16) - int(first, 16))
        for link in links:
            try:
                if re.match(f'/memfd:{name}', os.readlink(link)):
                    st = os.stat(link)
                    found.setdefault(st.st_ino, st.st_blocks * 512)
            except FileNotFoundError:
                pass
    return len(found), sum(found.values())


class Case(programs.TestCase):
    def library(self, name, *args):
        return self.enter(programs.Program(name, *args, env={**self.bus.env(), 'FRAMEBUS_ADDRESS': self.bus.address}))

    def begin(self):
        """A source that has nothing to do with it, and who watches that."""
        self.start()
        self.good = self.published_by_hand('good')
        self.healthy = [self.client('good', t, '--checksum', '--no-attack') for t in TRANSPORTS]
        for client in self.healthy:
            client.wait_frames(1)
        self.beside()
        self.fds = self.channels_and_frames()

    def beside(self):
        """A frame of the other source reaches everybody who watches that."""
        self.send(self.good)
        n = len(self.good.events('sent'))
        for client in self.healthy:
            client.wait_frames(n)

    def channels_and_frames(self):
        """The fewest that the broker has of these in a while."""
        return min(sum('socket' in f or 'memfd' in f for f in self.broker_fds()) for _ in range(30))

    def back_to_normal(self):
        fbtest.wait_until(lambda: self.channels_and_frames() <= self.fds, 10,
                          f'{self.fds} descriptors in the broker, {self.broker_fds()}')

    def end(self):
        self.beside()
        for client in self.healthy:
            client.quit()
            self.assert_complete(client)
        self.assertEqual(self.good.quit()['problems'], 0)


class Mutating(Case):
    def test_every_way(self):
        self.begin()
        mutator = self.library('lib-mutator', 'bad')
        mutator.wait_event('published')
        both = ['--opt', 'memory=as:leased,sealed']
        sealed = [self.client('bad', t, '--checksum', '--window', 4, '--hold', 1) for t in TRANSPORTS]
        lent = [self.client('bad', t, *both, '--checksum', '--no-attack', '--window', 4, '--hold', 1)
                for t in ('peer', 'bus')]
        library = [self.library('lib-witness', '--any-picture', '--hold', 2, *args, 'bad')
                   for args in ((), ('--bus',), ('--sealed',), ('--sealed', '--bus'))]
        mutator.wait_event('start')

        def pushed():
            n = len(mutator.events('progress')) + 1
            mutator.tell('progress')
            return mutator.wait_event('progress', n)['frames']
        while pushed() < FRAMES:
            self.beside()
        for viewer in (*sealed, *lent, *library):
            self.assertIsNone(viewer.returncode, viewer.log()[-2000:])
            viewer.tell('quit')
            viewer.wait()
        for viewer in sealed:               # what is sealed has not changed, and every loss is told
            self.assertEqual(viewer.returncode, 0, viewer.log()[-2000:])
            self.assert_exact(viewer)
            self.assertGreater(viewer.events('summary')[-1]['delivered'], 10)
        for viewer in lent:                 # what is lent is as good as who lends it
            self.assertIn(viewer.returncode, (0, 4), viewer.log()[-2000:])
            self.assertLessEqual({e['what'] for e in viewer.events('problem')}, {'content changed while held'})
            self.assertTrue(viewer.events('summary')[-1]['gaps_match'])
        for viewer in library:
            self.assertEqual((viewer.returncode, viewer.events('problem')), (0, []))
            self.assertGreater(viewer.events('summary')[-1]['frames'], 10)
        mutator.tell('quit')
        self.assertEqual(mutator.wait(), 0, mutator.log()[-2000:])
        summary = mutator.events('summary')[-1]
        self.assertEqual(summary['broken'], 0, mutator.err()[-2000:])
        self.assertGreater(summary['taken'], FRAMES / 10)
        self.assertGreater(summary['writes'], 10)
# what is lent goes out as a copy, and that is good, while nobody wants it as it is
        self.assertTrue(summary['wrong'] / 2 <= summary['refused'] <= summary['wrong'] + summary['either'] +
                        summary['taken'] / 4, summary)
        self.back_to_normal()
        self.end()


class Hoarding(Case):
    def least_memory(self, pids, name):
        """In a while: without frames that are just on their way."""
        return min(frame_memory(pids, name) for _ in range(20))

    def test_sealed(self):
        self.hoard('--sealed')

    def test_lent(self):
        self.hoard()

    def hoarder(self, *args):
        """It takes a while to be one: on the bus who never gave anything back is thought not to be reached."""
        hoarder = self.library('lib-witness', '--forget', *args, 'wanted')
        hoarder.wait_event('attached')

        def frames():
            n = len(hoarder.events('progress')) + 1
            hoarder.tell('progress')
            return hoarder.wait_event('progress', n)['frames']
        fbtest.wait_until(lambda: frames() > 3, 20, 'frames')
        return hoarder

    def hoard(self, *args):
        """Who gives nothing back, stops, or has no descriptor left, has its windows full, and no more."""
        size = 1 << 20
        self.begin()
        publisher = self.library('lib-publisher', '--size', '1024x1024', '--rate', 150, *args, 'wanted')
        publisher.wait_event('published')
        other = self.hoarder('--hold', 1)
        hoarders = [self.hoarder('--window', n, *more) for n, more in ((16, ()), (16, ()), (8, ('--bus',)))]
        stopped, starved = self.hoarder('--window', 10), self.hoarder('--window', 10)
        limits = resource.prlimit(starved.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(starved.pid, resource.RLIMIT_NOFILE, (fbtest.proc_fds(starved.pid), limits[1]))
        for hoarder in hoarders:
            hoarder.tell('hold', 30)
        hoarders.append(self.client('wanted', 'peer', '--window', 12, '--never-release', '--no-attack', '--opt',
                                    'memory=as:leased,sealed'))
        with fbtest.stopped(stopped.pid):
            fbtest.wait_until(lambda: [s['suspended'] for s in self.who()].count(True) >= 5, 30,
                              'all that hoard are suspended')
            n = self.source_get('wanted', 'Frames')
            while self.source_get('wanted', 'Frames') < n + fbtest.count(50, 2000):
                self.beside()
            pids = [self.broker.pid, *(p.pid for p in (publisher, other, *hoarders, stopped, starved))]
            count, total = self.least_memory(pids, '(?:framebus|lib-publisher)')
        # windows; and what is being made, the newest, and what comes and goes.
        windows = 4 + 16 + 16 + 8 + 12 + 10 + 10
        self.assertLessEqual(count, windows + 30)
        self.assertLessEqual(total, (windows + 30) * size)
        self.assertGreater(total, 12 * size)        # they hold the same frames, mostly
        self.assertIsNone(starved.returncode, starved.log()[-2000:])
        resource.prlimit(starved.pid, resource.RLIMIT_NOFILE, limits)
        for viewer in (other, *hoarders, stopped, starved):
            viewer.tell('quit')
            viewer.wait()
            self.assertEqual(viewer.returncode, 0, viewer.log()[-2000:])
        self.assertEqual(publisher.quit()['problems'], 0, publisher.events('problem'))
        self.back_to_normal()
        self.end()


if __name__ == '__main__':
    fbtest.main()
