# SPDX-License-Identifier: LGPL-2.1-or-later
"""
order=causal as the broker has it: what is sent to all is staged, then committed, by a page and by Committed. fb-client
believes nothing before, and checks that what is committed is there for all its subscriptions, and that the page cannot
be written. Where the broker has fault points, it is made slow, stopped and killed between the two.
"""

import contextlib
import json
import os
import signal
import time
import unittest

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import SUBSCRIPTION, SUBSCRIPTION_PATH, TRANSPORTS, Raw, Viewer

CAUSAL = '--opt', 'order=s:causal'
ORDER = {'order': GLib.Variant('s', 'causal')}


def has_fault_points():
    options = json.loads(fbtest.build_path('meson-info/intro-buildoptions.json').read_text())
    return any(o['name'] == 'fault-points' and o['value'] for o in options)


def is_stopped(pid):
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] == 'T'


class Case(programs.TestCase):
    def causal(self, transport, *args):
        return self.client('clip', transport, *CAUSAL, *args)

    def by_hand(self):
        """As published_by_hand(); so slow that what it has sent last is replayed as long as a test runs."""
        return self.published('clip', '--frames', 1, '--stay', '--rate', 1000, '--mode', 'R8:64x48@1/300', '--size',
                              '64x48')

    def channel_to(self, fd):
        channel = programs.Channel(fd)
        self.addCleanup(channel.close)
        return channel

    def of(self, client):
        return next(w for w in self.who() if w['pid'] == client.pid)

    def staged(self, client):
        return [e['order'] for e in client.events('staged') if e['member'] == 'Frame']

    def delivered(self, client):
        return [f['order'] for f in client.frames() if not f['replayed']]


class Protocol(Case):
    def test_all_have_it(self):
        """What is committed is there for everybody, in all ways at once; a fifo one beside them hears nothing of it."""
        env = {'FRAMEBUS_FAULT': 'stage-delay=500'} if has_fault_points() else None
        self.start(env=env)
        publisher = self.published('clip', '--rate', 200, '--quiet')
        clients = [self.causal(way, '--count', 3, '--window', 4, '--frames', 60, '--checksum') for way in TRANSPORTS]
        clients += [self.client('clip', way, '--window', 4, '--frames', 60) for way in ('bus', 'peer')]
        for client in clients:
            client.finish(timeout=60)
            self.assert_exact(client)
            granted = client.wait_event('granted')['granted']
            self.assertEqual(granted['order'], 'causal' if 'order=s:causal' in client.argv else 'fifo')
            self.assertEqual('commits' in granted, 'order=s:causal' in client.argv and 'bus' in client.argv)
        for client in clients[1:3]:
            self.assertEqual(len(client.events('page', version=1)), 3)
        self.assertEqual(publisher.quit()['problems'], 0)

    def test_silent_until_asked(self):
        """Who does not look where it is said gets nothing, and loses."""
        self.start()
        publisher = self.published('clip', '--rate', 200, '--quiet')
        clients = [self.causal(way, '--no-order') for way in TRANSPORTS]
        for client in clients:
            client.wait_event('granted')
        others = [self.causal(way, '--frames', 20) for way in TRANSPORTS]
        for other in others:
            other.finish()
        for client in clients:
            self.assertEqual(self.of(client)['delivered'], 0)
            self.assertGreater(self.of(client)['lost']['no-credit'], 10)
        publisher.tell('destroy')
        for client in clients:
            self.assertTrue(client.wait_event('ended')['order'])
            self.assertEqual(client.frames(), [])
            client.wait(10)

    def test_replayed(self):
        """What was there before comes at once, outside of the order."""
        self.start()
        hand = self.by_hand()
        first = Viewer(self, 'clip', 'peer')
        first.wait_frames(1)
        for way in TRANSPORTS:
            client = self.causal(way, '--frames', 2)
            client.wait_frames(1)
            hand.tell('send')
            client.finish()
            replayed, new = client.frames()
            self.assertEqual((replayed['replayed'], replayed['order']), (True, 0))
            self.assertFalse(new['replayed'])
            self.assertEqual([new['order']], self.staged(client))

    def test_ended(self):
        """Ended is staged and committed, too, and nothing comes after that."""
        self.start()
        for reason in 'destroyed', 'shutdown':
            publisher = self.published('clip', '--rate', 100, '--quiet')
            clients = [self.causal(way, '--count', 2, '--stay') for way in TRANSPORTS]
            for client in clients:
                client.wait_event('frame', 10)
            if reason == 'destroyed':
                publisher.tell('destroy')
            else:
                self.broker.stop()
            for client in clients:
                self.assertEqual({e['reason'] for e in (client.wait_event('ended', i) for i in (1, 2))}, {reason})
                order = client.events('ended')[0]['order']
                self.assertEqual([e['order'] for e in client.events('staged', member='Ended')], [order] * 2)
                client.wait_event('committed', order=order)
                client.quit()

    def test_ended_before_it_was_opened(self):
        self.start()
        publisher = self.published('clip', '--rate', 100, '--quiet')
        fds = [self.attach('clip', ORDER) for _ in range(2)]
        publisher.tell('destroy')
        publisher.wait(10)
        for fd in fds:
            channel = self.channel_to(fd)
            fbtest.wait_until(lambda: channel.named('Committed'), what='Committed')             # noqa: B023
            (ended, (order, reason)), (committed, (up_to,)) = ((m, p.unpack()) for m, p in channel.signals[-2:])
            self.assertEqual((ended, reason, committed, up_to), ('Ended', 'destroyed', 'Committed', order))

    def test_options(self):
        """Nothing is held for it, so drop=latest is not granted; and what is for the other way is refused."""
        self.start()
        self.published('clip', '--rate', 100, '--quiet')
        for transport in TRANSPORTS:
            viewer = Viewer(self, 'clip', transport, order='causal', drop='latest')
            self.assertEqual((viewer.granted['order'], viewer.granted['drop']), ('causal', 'newest'))
            self.assertEqual(viewer.set_options(drop='latest')['drop'], 'newest')
            wrong = '/org/framebus/commit/' + '0' * 32
            self.raises('InvalidOption', viewer.set_options, commits=wrong, text='commits')
            if transport == 'bus':
                self.raises('NotSupported', viewer.call, 'GetOrder')
                self.assertEqual(viewer.set_options(commits=viewer.granted['commits'])['window'], 4)
            else:
                self.assertNotIn('commits', viewer.granted)
            fifo = Viewer(self, 'clip', transport)
            self.raises('NotSupported', fifo.call, 'GetOrder')
            self.raises('InvalidOption', fifo.set_options, commits=wrong, text='commits')
        self.assertIn('causal', self.get(programs.MANAGER_PATH, programs.MANAGER, 'Features'))

    def test_shared(self):
        """A share is as its parent unless it says otherwise."""
        self.start()
        self.published('clip', '--rate', 100, '--quiet')
        for way, order in ('bus', 'causal'), ('peer', 'causal'), ('peer', 'fifo'):
            viewer = Viewer(self, 'clip', way, order=order)
            for wish in {}, {'order': 'causal'}, {'order': 'fifo'}:
                parameters = GLib.Variant('(a{sv})', (programs.variants(wish),))
                target = viewer.channel.call if viewer.channel else self.call
                more = {} if viewer.channel else {'conn': viewer.bus}
                fd = target(viewer.path, SUBSCRIPTION, 'Share', parameters, with_fds=True, **more)[1][0]
                channel = self.channel_to(fd)
                channel.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
                if wish.get('order', order) == 'causal':
                    fbtest.never(lambda: channel.signals, 0.1, 'a signal before GetOrder')      # noqa: B023
                    _none, fds = channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'GetOrder', with_fds=True)
                    os.close(fds[0])
                fbtest.wait_until(lambda: channel.named('Frame'), what='a frame')               # noqa: B023


class Moving(Case):
    """Where Committed is broadcast moves when somebody does not read: else it would pile up for that one."""

    def broadcasts(self, path):
        """A list that fills with the orders that are told there."""
        found = []
        self.conn.signal_subscribe('org.framebus', SUBSCRIPTION, 'Committed', path, None, Gio.DBusSignalFlags.NONE,
                                   lambda _c, _s, _p, _i, _m, values: found.append(values.unpack()[0]))
        self.ping()
        return found

    def test_stopped(self):
        """The others go on, at another path, and miss nothing; the stopped one goes on when it has answered."""
        self.start()
        publisher = self.published('clip', '--rate', 100, '--quiet')
        others = [self.causal('bus', '--count', 2, '--window', 4), self.causal('bus', '--window', 4)]
        late = self.causal('bus', '--window', 2)
        late.wait_frames(5)
        path = late.events('granted')[0]['granted']['commits']
        there = self.broadcasts(path)
        fbtest.wait_until(lambda: there, what='Committed')
        with fbtest.stopped(late.pid):
            fbtest.wait_until(lambda: self.of(late)['suspended'], 20, 'suspended')
            for other, count in zip(others, (2, 1)):
                moved = {other.wait_event('moved', i + 1)['path'] for i in range(count)}
                self.assertEqual(len(moved), 1)
                self.assertNotIn(path, moved)
            after = self.broadcasts(moved.pop())
            fbtest.wait_until(lambda: after, what='Committed at the new path')
            self.quiet(there, after)
        late.wait_event('resumed', timeout=30)
        late.wait_event('moved')
        before = self.of(late)['delivered']
        fbtest.wait_until(lambda: self.of(late)['delivered'] > before + 5, what='more frames')
        self.assertGreater(self.of(late)['lost']['suspended'], 0)
        for client in [*others, late]:
            client.quit()
            self.assert_exact(client)
        self.assertEqual(publisher.quit()['problems'], 0)

    def quiet(self, there, after):
        """Until there is nothing said at the one path while it is at the other."""
        def look():
            n, m = len(there), len(after)
            fbtest.wait_until(lambda: len(after) > m + 3)
            return len(there) == n
        fbtest.wait_until(look, 30, 'silence at the old path')

    @unittest.skipUnless(os.environ.get('FB_FULL'), 'takes the broker 5 s')
    def test_no_answer(self):
        """Who does not answer is sent nothing more, and told again; the others need not wait for it."""
        self.start()
        self.published('clip', '--rate', 100, '--quiet')
        deaf = self.causal('bus', '--window', 4, '--no-answer', '--stay')
        other = self.causal('bus', '--window', 4)
        late = self.causal('bus', '--window', 2)
        path = late.wait_event('granted')['granted']['commits']
        for client in deaf, other, late:
            client.wait_frames(3)
        there = self.broadcasts(path)
        with fbtest.stopped(late.pid):
            fbtest.wait_until(lambda: self.of(late)['suspended'], 20, 'suspended')
            after = self.broadcasts(other.wait_event('moved')['path'])
            deaf.wait_event('moved', 2, timeout=30)
            self.quiet(there, after)
            delivered = self.of(deaf)['delivered']
            other.wait_event('frame', len(other.frames()) + 20)
            self.assertEqual(self.of(deaf)['delivered'], delivered)
            self.assertGreater(self.of(deaf)['lost']['suspended'], 0)
        deaf.tell('setoptions', f"commits=o:{deaf.events('moved')[-1]['path']}")
        fbtest.wait_until(lambda: self.of(deaf)['delivered'] > delivered, what='frames')
        for client in deaf, other, late:
            client.tell('quit')
            client.wait()


class Hostile(Case):
    def test_stopped(self):
        """Who does not read makes nobody lose, is sent no more than its window, and goes on later."""
        self.start()
        publisher = self.published('clip', '--rate', 300, '--quiet')
        clients = [self.causal(way, '--window', 4, '--quiet') for way in TRANSPORTS]
        for client in clients:
            client.wait_event('format')
        with contextlib.ExitStack() as stack:
            for client in clients:
                stack.enter_context(fbtest.stopped(client.pid))
            witness = self.causal('peer', '--window', 16, '--frames', fbtest.count(300, 3000), '--quiet')
            witness.finish(timeout=60)
            self.assertLess(fbtest.proc_fds(self.broker.pid), 200)
        for client in clients:
            before = self.of(client)['delivered']
            fbtest.wait_until(lambda: self.of(client)['delivered'] > before + 5, what='more frames')    # noqa: B023
            client.quit()
            self.assert_exact(client)
        self.assertEqual(publisher.quit()['problems'], 0)

    def test_releases_without_reading(self):
        """Credit for what it never read: what fits into its socket, and not a message more in the broker."""
        self.start()
        self.published('clip', '--rate', 1000, '--quiet', '--size', '64x48')
        fd = self.attach('clip', {**ORDER, 'window': GLib.Variant('u', 16)})
        raw = Raw(fd).auth()
        data, serial = raw.message(SUBSCRIPTION_PATH, SUBSCRIPTION, 'GetOrder')
        raw.send(data)
        raw.reply(serial)
        witness = self.causal('peer', '--window', 16, '--quiet')
        witness.wait_event('format')
        memory = fbtest.proc_rss_kib(self.broker.pid)
        release, _serial = raw.message(SUBSCRIPTION_PATH, SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (2**63,)))
        release = release[:2] + b'\1' + release[3:]         # no reply, please
        end = time.monotonic() + 1
        while time.monotonic() < end:
            raw.send(release)
            time.sleep(0.002)
        lost = [w['lost'] for w in self.who() if w['pid'] == os.getpid()][0]
        self.assertGreater(lost.get('no-credit', 0) + lost.get('quota', 0), 0)
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid), memory + 2048)
        raw.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')  # it lives
        raw.close()
        witness.quit()
        self.assert_exact(witness)

    def test_asks_without_reading(self):
        """GetOrder in a loop: so many descriptors as a channel may leave unread, then refusals, then the end."""
        self.start()
        self.published('clip', '--rate', 100, '--quiet')
        witness = self.causal('peer', '--quiet')
        witness.wait_event('format')
        before = fbtest.proc_fds(self.broker.pid)
        raw = Raw(self.attach('clip', {**ORDER, 'window': GLib.Variant('u', 1)})).auth()
        data, _serial = raw.message(SUBSCRIPTION_PATH, SUBSCRIPTION, 'GetOrder')
        try:
            for _ in range(2000):
                raw.send(data)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        self.assertLess(fbtest.proc_fds(self.broker.pid), before + 40)
        raw.close()
        witness.quit()
        self.assert_exact(witness)
        fbtest.wait_until(lambda: fbtest.proc_fds(self.broker.pid) <= before, what='its descriptors')

    def test_many_pages(self):
        """Read, all of them: each costs a descriptor until it is read, and the page is one."""
        self.start()
        self.published('clip', '--rate', 100, '--quiet')
        channel = self.channel_to(self.attach('clip', ORDER))
        inodes = set()
        before = fbtest.proc_fds(self.broker.pid)
        for _ in range(50):
            _none, fds = channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'GetOrder', with_fds=True)
            inodes.add(os.fstat(fds[0]).st_ino)
            os.close(fds[0])
            channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (2**63,)))
        self.assertEqual(len(inodes), 1)
        self.assertLess(fbtest.proc_fds(self.broker.pid), before + 10)


@unittest.skipUnless(has_fault_points(), 'needs -Dfault-points=true')
class Between(Case):
    """The broker stopped, or killed, where everybody was sent a frame and nobody was told so."""

    def start_clip(self, fault):
        self.start(env={'FRAMEBUS_FAULT': fault})
        self.publisher = self.by_hand()
        self.fifo = self.client('clip', 'peer', '--stay')
        self.fifo.wait_frames(1)
        self.clients = {self.causal(way, '--count', n, '--stay'): n for way in ('bus', 'peer') for n in (1, 2)}
        for client, count in self.clients.items():
            client.wait_event('frame', count, replayed=True)        # it listens

    def send_until_staged(self, n):
        """n frames; of the last, everybody is sent it, and then the broker stops or is gone."""
        for i in range(1, n + 1):
            self.publisher.tell('send')
            for client, count in self.clients.items():
                client.wait_event('staged', i * count, member='Frame')
                if i < n:
                    client.wait_event('frame', i * count, replayed=False)
            self.fifo.wait_frames(i + 1)            # for it there is no difference

    def nobody_believes(self, n):
        """The last of n is with everybody, and nobody had it."""
        for client, count in self.clients.items():
            self.assertEqual(len(self.staged(client)), n * count)
            self.assertEqual(len(self.delivered(client)), (n - 1) * count, client.argv)
            self.assertNotIn(max(self.staged(client)), self.delivered(client))

    def end(self):
        for client in [*self.clients, self.fifo]:
            client.quit()

    def test_stopped(self):
        self.start_clip('stage-stop=3')
        self.send_until_staged(3)
        fbtest.wait_until(lambda: is_stopped(self.broker.pid), what='the stop')
        fbtest.never(lambda: self.nobody_believes(3), 0.3)
        fbtest.wake(self.broker.pid)
        for client, count in self.clients.items():
            client.wait_event('frame', 3 * count, replayed=False)
            self.assertEqual(self.delivered(client), self.staged(client))
        self.end()

    def test_killed(self):
        self.start_clip('stage-kill=3')
        self.send_until_staged(3)
        self.broker.expect_status = -signal.SIGKILL
        self.assertEqual(self.broker.wait(), -signal.SIGKILL)
        for client, count in self.clients.items():
            fbtest.wait_until(lambda: len(client.events('dropped', count=1)) == count, what='the loss')   # noqa: B023
        self.nobody_believes(3)
        for client in [*self.clients, self.fifo]:       # some were just giving a frame back
            client.tell('quit')
            client.wait()

    def test_stopped_at_the_end(self):
        """Nobody believes the end before all were sent it."""
        self.start_clip('stage-stop=2')
        self.publisher.tell('send')
        for client, count in self.clients.items():
            client.wait_event('frame', count, replayed=False)
        self.publisher.tell('destroy')
        for client, count in self.clients.items():
            client.wait_event('staged', count, member='Ended')
        self.fifo.wait_event('ended')
        fbtest.wait_until(lambda: is_stopped(self.broker.pid), what='the stop')
        fbtest.never(lambda: any(client.events('ended') for client in self.clients), 0.3, 'an end')
        fbtest.wake(self.broker.pid)
        for client, count in self.clients.items():
            client.wait_event('ended', count)
        self.end()

    def test_without_the_gate(self):
        """That these tests can fail: who believes what it is sent has what nobody was told of."""
        self.start(env={'FRAMEBUS_FAULT': 'stage-stop=1'})
        publisher = self.by_hand()
        client = self.causal('peer', '--no-gate', '--stay')
        client.wait_event('page')
        publisher.tell('send')
        client.wait_event('frame', replayed=False)
        self.assertEqual(client.events('committed'), [])
        fbtest.wait_until(lambda: is_stopped(self.broker.pid), what='the stop')
        fbtest.wake(self.broker.pid)
        client.wait_event('committed')
        client.quit()


if __name__ == '__main__':
    fbtest.main()
