# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Brokers in line for the name, as owners of any name on a bus. Row 20 of the kdbus-era suite: the next one in line owns
the name when the one before has gone, whatever ended that; subscribers are told, attach again, and see another epoch;
frames of two epochs do not mix.
"""

import os
import signal

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, PATTERN, TRANSPORTS


class Queue(programs.TestCase):
    def begin(self):
        self.start({'bars': programs.pattern(rate=60)})
        self.epochs = [self.get(MANAGER_PATH, MANAGER, 'Epoch')]

    def in_line(self):
        """One more broker. fbtest.Broker would wait for it to own the name."""
        config = self.enter(fbtest.Config({'bars': programs.pattern(rate=4)}))
        process = fbtest.Process(config.broker_command('--queue'), env={**self.bus.env(), **self.broker_env()})
        waiting = self.enter(process)
        waiting.wait_output('waiting for its end')
        return waiting

    def next_is(self, broker):
        fbtest.wait_until(lambda: self.bus.owner_pid('org.framebus') == broker.pid, what='the next one owns the name')
        self.epochs.append(self.get(MANAGER_PATH, MANAGER, 'Epoch'))
        self.assertEqual(len(set(self.epochs)), len(self.epochs))

    def viewer(self, *more):
        """A client on libframebus, which attaches anew."""
        return self.enter(fbtest.Process([fbtest.build_path('examples/04-subscribe'), *more, '--frames', 1000000,
                                          'bars'], env=self.bus.env()))

    @staticmethod
    def numbers(viewer):
        """Of the frames that it printed, in order."""
        text = viewer.out()
        return [int(line.split()[0]) for line in text[:text.rfind('\n') + 1].splitlines()]

    def check_epochs(self, viewer, before):
        """
        Its numbers grow, begin anew once, and grow again: the first broker's are far above those that the next one,
        whose source is slow, comes to meanwhile.
        """
        def falls():
            numbers = self.numbers(viewer)
            return [i for i, (a, b) in enumerate(zip(numbers, numbers[1:])) if b <= a]
        fbtest.wait_until(lambda: falls() and len(self.numbers(viewer)) > falls()[0] + 4, 20, 'frames of the next')
        self.assertEqual(len(falls()), 1, self.numbers(viewer))
        self.assertGreaterEqual(falls()[0] + 1, before)

    def succession(self, end):
        self.begin()
        waiting = self.in_line()
        viewers = [self.viewer(), self.viewer('--bus')]
        raw = [self.client('bars', t) for t in TRANSPORTS]
        for viewer in viewers:
            fbtest.wait_until(lambda v=viewer: (self.numbers(v) or [0])[-1] > 60, 20, 'frames')
        for client in raw:
            client.wait_frames(5)
        before = [len(self.numbers(viewer)) for viewer in viewers]
        end()
        for client in raw:
            client.finish()
            self.assert_exact(client)
        self.next_is(waiting)
        for viewer, n in zip(viewers, before):
            self.check_epochs(viewer, n)
            viewer.stop()
        return waiting, raw

    def test_next_in_line(self):
        """One that is told to end says so to everybody; the next one is there at once."""
        waiting, raw = self.succession(lambda: (os.kill(self.broker.pid, signal.SIGTERM), self.broker.wait(5)))
        for client in raw:
            self.assertEqual([e['reason'] for e in client.events('ended')], ['shutdown'])
        self.assertEqual(waiting.stop(), 0)

    def test_killed(self):
        """The same where it cannot say anything."""
        waiting, _raw = self.succession(self.broker_killed)
        self.assertEqual(waiting.stop(), 0)

    def broker_killed(self):
        self.broker.kill()

    def test_in_order(self):
        """Who came first is first; who leaves the line is skipped; --replace goes ahead of all."""
        self.begin()
        first, second, third = self.in_line(), self.in_line(), self.in_line()
        self.assertEqual(second.stop(), 0)
        self.assertEqual(self.bus.owner_pid('org.framebus'), self.broker.pid)
        self.broker.stop()
        self.next_is(first)
        ahead = self.start_broker({'bars': PATTERN}, args=['--replace'])
        self.assertEqual(first.wait(5), 0)
        self.next_is(ahead)
        ahead.stop()
        self.next_is(third)
        client = self.client('bars', 'bus', '--frames', 3)
        client.finish()
        self.assertEqual(third.stop(), 0)
        self.raises('org.freedesktop.DBus.Error.NameHasNoOwner', self.driver, 'GetNameOwner', '(s)', 'org.framebus')

    def driver(self, member, signature, *values):
        return fbtest.call(self.conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', member,
                           GLib.Variant(signature, values))


if __name__ == '__main__':
    fbtest.main()
