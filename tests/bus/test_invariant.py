# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What nobody may ever see: bytes of a frame that was published after its subscription had ended, or other bytes in a
frame than it had, as long as it is held. For memory that is sealed and memory that is lent, with the library at both
ends.
lib-publisher writes to each buffer as soon as it may; lib-witness keeps a mapping of all that it ever got, whatever
becomes of its subscription, and looks whether it changes while others get thousands of further frames.
"""

import os
import signal

import fbtest
import programs

FRAMES = fbtest.count(2000, 100000)


class Case(programs.TestCase):
    def library(self, name, *args):
        """A program on libframebus, on this bus."""
        return self.enter(programs.Program(name, *args, env={**self.bus.env(), 'FRAMEBUS_ADDRESS': self.bus.address}))

    def begin(self, *args):
        self.start()
        self.pub = self.library('lib-publisher', '--size', '128x96', *args, 'clip')
        self.pub.wait_event('published')
        self.others = [self.library('lib-witness', '--hold', 2, '--window', 5, 'clip'),
                       self.library('lib-witness', '--hold', 1, '--bus', 'clip')]
        for other in self.others:
            self.progress(other, 20)

    def witness(self, *args):
        witness = self.library('lib-witness', '--window', 4, *args, 'clip')
        self.progress(witness, 30)
        return witness

    def progress(self, witness, n):
        """Until it has got n frames more."""
        def frames():
            asked = len(witness.events('progress')) + 1
            witness.tell('progress')
            return witness.wait_event('progress', asked)['frames']
        wanted = frames() + n
        fbtest.wait_until(lambda: frames() >= wanted, 30, f'{n} frames more for {witness.argv}')

    def mark(self):
        """The newest picture that was written to, after the publisher has heard all that the broker has said by now."""
        self.ping()
        n = len(self.pub.events('mark')) + 1
        self.pub.tell('mark')
        return self.pub.wait_event('mark', n)['stamp']

    def more_frames(self, n):
        start = self.source_get('clip', 'Frames')
        fbtest.wait_until(lambda: self.source_get('clip', 'Frames') >= start + n, 300, f'{n} more', interval=0.05)

    def ask(self, witness, command, event):
        n = len(witness.events(event)) + 1
        witness.tell(command)
        return witness.wait_event(event, n)

    def keeper(self, witness):
        """The process id of a keeper, which is ended with the test."""
        witness.tell('keeper')
        pid = witness.wait_event('keeper')['pid']
        self.addCleanup(fbtest.end_processes, [pid])
        self.addCleanup(os.kill, pid, signal.SIGTERM)
        return pid

    def end(self):
        for other in self.others:
            self.assertEqual(other.quit()['problems'], 0, other.events('problem'))
        self.assertEqual(self.pub.quit()['problems'], 0, self.pub.events('problem'))


class Keeper:
    """The same as a witness that was killed."""

    def __init__(self, witness, pid):
        self.events, self.pid = witness.events, pid

    def wait_event(self, event, n):
        return fbtest.wait_until(lambda: self.events(event)[n - 1:], 20, event)[0]

    def tell(self, command):
        os.kill(self.pid, {'remember': signal.SIGUSR1, 'look': signal.SIGUSR2}[command])


class Kept(Case):
    def judge(self, witnesses, ended=True):
        """Nothing that they kept changes from now on; nor did it since the publisher knew of their end."""
        newest = self.mark()
        for witness in witnesses:
            self.assertGreater(self.ask(witness, 'remember', 'remembered')['kept'], 2)
        self.more_frames(FRAMES)
        for witness in witnesses:
            looked = self.ask(witness, 'look', 'looked')
            self.assertEqual(looked['changed'], 0, (getattr(witness, 'argv', 'keeper'), looked))
            self.assertTrue(not ended or looked['newest'] <= newest, (looked, newest))

    def test_lent(self):
        """Of who closed, with frames in its hands or without, who was killed, and who was cut off."""
        self.begin()
        closed = [self.witness(*args) for args in ((), ('--bus',), ('--hold', 3), ('--hold', 2, '--bus'))]
        killed = [self.witness(*args) for args in (('--hold', 2), ('--bus',))]
        was_cut = self.witness('--hold', 1)
        keepers = [Keeper(witness, self.keeper(witness)) for witness in killed]
        n = len(self.who())
        for witness in closed:
            self.ask(witness, 'close', 'closed')
        for witness in killed:
            witness.kill()
        was_cut.tell('cut')
        was_cut.wait_event('disconnected')
        was_cut.wait_event('attached', 2)
        fbtest.wait_until(lambda: len(self.who()) == n - 6, what='the end of six')
        was_cut.tell('release')
        self.ask(was_cut, 'close', 'closed')
        fbtest.wait_until(lambda: len(self.who()) == 2, what='the end of the last')
        self.judge([*closed, *keepers, was_cut])
        for witness in (*closed, was_cut):
            self.assertEqual(witness.quit()['problems'], 0, witness.events('problem'))
        self.assertGreater(self.pub.events('mark')[-1]['stamp'], 100)
        self.end()
        self.assertGreater(self.pub.events('summary')[-1]['retired'], 10)

    def test_cut_off(self):
        """What was got by a channel that is gone is not written to, whatever comes by the one that follows it."""
        self.begin()
        witness = self.witness()
        keeper = Keeper(witness, self.keeper(witness))
        witness.tell('cut')
        witness.wait_event('attached', 2)
        self.progress(witness, 20)
        self.judge([keeper])
        self.assertEqual(witness.quit()['problems'], 0, witness.events('problem'))
        self.end()

    def test_held_for_ever(self):
        """Who gives nothing back is suspended; what it holds stays, and others go on. It can go on, too."""
        self.begin()
        hoarders = [self.witness(*args) for args in ((), ('--bus',))]
        stopped = self.witness('--hold', 3)
        for hoarder in hoarders:
            hoarder.tell('hold', 16)
        with fbtest.stopped(stopped.pid):
            for hoarder in hoarders:
                hoarder.wait_event('suspended')
            fbtest.wait_until(lambda: [s['suspended'] for s in self.who()].count(True) >= 3, what='three suspended')
            self.mark()
            self.more_frames(FRAMES)
        for hoarder in hoarders:
            hoarder.tell('hold', 0)
            hoarder.tell('release')
        for witness in (*hoarders, stopped):
            witness.wait_event('resumed')
            self.progress(witness, 20)
            self.assertEqual(witness.quit()['problems'], 0, witness.events('problem'))
        self.end()

    def test_sealed(self):
        """Memory of which each is new: of a publisher that seals what it made, and copies of what is lent."""
        for args in ('--sealed',), ():
            with self.subTest(args):
                self.begin(*args)
                witnesses = [self.witness('--sealed', *more) for more in ((), ('--bus', '--hold', 2))]
                self.ask(witnesses[1], 'close', 'closed')
                self.judge(witnesses, ended=False)
                for witness in witnesses:
                    self.assertEqual(witness.quit()['problems'], 0, witness.events('problem'))
                self.end()
                self.doCleanups()


if __name__ == '__main__':
    fbtest.main()
