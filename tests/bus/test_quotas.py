# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Shares of users. Shows row 11 of the kdbus-era suite (who asks for everything gets its share, another user still gets
some, and what one gives back raises what another may have), the second half of row 25 (who never gives back costs no
more memory than it was granted), and that each refusal names the limit, what is used and by whom.
"""

import json
import os
import resource
import subprocess
import sys

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH, Viewer
from test_memory import LEASED, MODE, SIZE, ByHand

# Does what it is told on stdin, one thing a line, as whatever user it is, and prints what became of it.
ASKER = '''
import json, os, sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags
conns, kept = [], []
def conn():
    if len(kept) >= 15 * len(conns):
        conns.append(Gio.DBusConnection.new_for_address_sync(
            sys.argv[1], flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None))
    return conns[-1]
for line in sys.stdin:
    word, *rest = line.split()
    answer = {}
    if word == 'attach':
        options = {'window': GLib.Variant('u', int(rest[0]))}
        try:
            _reply, fds = conn().call_with_unix_fd_list_sync(
                'org.framebus', sys.argv[2], 'org.framebus.Source1', 'Attach', GLib.Variant('(a{sv})', (options,)),
                None, 0, -1, None, None)
            kept.append(fds.steal_fds()[0])
        except GLib.Error as e:
            answer = {'error': Gio.DBusError.get_remote_error(e), 'text': e.message}
    else:
        os.close(kept.pop(0))
    print(json.dumps(answer), flush=True)
'''


class Asker:
    def __init__(self, test, path, user):
        self.process = test.enter(fbtest.Process([sys.executable, '-c', ASKER, test.bus.address, path], user=user,
                                                 stdin=subprocess.PIPE))
        self.n = 0

    def tell(self, *words):
        self.process.stdin.write((' '.join(map(str, words)) + '\n').encode())
        self.process.stdin.flush()
        self.n += 1
        fbtest.wait_until(lambda: len(self.process.out().splitlines()) >= self.n, 20, f'{words}, {self.process.log()}')
        return json.loads(self.process.out().splitlines()[self.n - 1])


class Case(programs.TestCase):
    def start(self, limits, **options):
        """With these limits, {name: value}."""
        config = self.enter(fbtest.Config({}))
        text = ''.join(f'{key}={value}\n' for key, value in limits.items())
        config.write('framebus.conf', f'[Limits]\n{text}')
        self.bus = self.enter(fbtest.Bus(**options))
        self.broker = self.enter(fbtest.Broker(self.bus, config, env=self.broker_env()))
        self.conn = self.bus.connect()

    def asker(self, user):
        return Asker(self, self.resolve('clip'), user)

    def granted(self, asker, window):
        self.assertEqual(asker.tell('attach', window), {})

    def refused(self, asker, window, text):
        answer = asker.tell('attach', window)
        self.assertEqual(answer.get('error'), f'{programs.ERROR}LimitsExceeded', answer)
        self.assertRegex(answer['text'], text)


class Sharing(Case):
    def test_window_bytes(self):
        """Row 11, in frames of which there are 96: 48 for the first, a third of what is left for the second, …"""
        fbtest.need_root()
        self.start({'WindowBytes': 96 * SIZE}, bus_type='system')
        self.published_by_hand('clip')
        a, b, c = self.asker('nobody'), self.asker('daemon'), self.asker('bin')
        for _ in range(3):
            self.granted(a, 16)
        uid = 65534
        self.refused(a, 1, rf'WindowBytes: you \(user {uid}\) have {48 * SIZE} bytes and want {SIZE} bytes more; '
                           rf'your share is {48 * SIZE} bytes, as all users have {48 * SIZE} bytes of {96 * SIZE} ')
        self.granted(b, 16)                         # 48 / 3
        self.refused(b, 1, f'of others most has user {uid}, {48 * SIZE} bytes')
        self.refused(c, 9, 'WindowBytes')
        self.granted(c, 8)                          # 32 / 4
        self.refused(a, 1, rf'your share is {(24 + 48) * SIZE // 4} bytes')
        a.tell('close')
        a.tell('close')                             # what it gives back is there for others:
        fbtest.wait_until(lambda: len(self.who()) == 3, what='two hang-ups')
        self.granted(b, 2)                          # (56 + 16) / 4
        self.refused(b, 1, 'WindowBytes')
        self.granted(a, 1)

    def test_all(self):
        """The user of a session's broker has all; what is given back can be had again."""
        self.start({'WindowBytes': 40 * SIZE, 'Subscriptions': 4, 'Sources': 3})
        self.published_by_hand('clip')
        viewers = [Viewer(self, 'clip', transport, window=window)
                   for transport, window in (('peer', 16), ('bus', 12), ('peer-own-socket', 11))]
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'peer', window=2, text='^WindowBytes: you ')
        viewers.append(Viewer(self, 'clip', 'bus', window=1))
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'peer', window=1, text='^Subscriptions: .* have 4 ')
        viewers[1].set_options(window=4)
        viewers[3].set_options(window=9)
        self.raises('LimitsExceeded', viewers[3].set_options, window=10, text='WindowBytes')
        self.assertEqual(viewers[3].get('Window'), 9)
        viewers[0].call('Close')                    # of a channel all stays charged until it is hung up
        self.raises('LimitsExceeded', viewers[3].set_options, window=10)
        viewers[0].channel.conn.get_stream().close(None)
        fbtest.wait_until(lambda: self.set_window(viewers[3], 16), what='a hang-up')
        for n in range(2):
            self.publish(f'more-{n}')
        self.raises('LimitsExceeded', self.publish, 'more', text='^Sources: .* have 3 and want 1 more; your share is 3')

    def set_window(self, viewer, window):
        try:
            return viewer.set_options(window=window)
        except GLib.Error as error:
            self.assertEqual(fbtest.error_name(error), f'{programs.ERROR}LimitsExceeded')

    def publish(self, name):
        _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (name, {})), with_fds=True)
        self.addCleanup(os.close, fds[0])

    def test_calls(self):
        """Calls that wait for a source that says nothing: one user's do not keep another's away."""
        fbtest.need_root()
        self.start({'Calls': 12}, bus_type='system')
        hand = ByHand(self, 'clip', say=False)
        answers = {}
        conns = {user: self.connect_as(user) for user in (1, 2, 3)}
        refused = []
        for user, n, n_granted in (1, 8, 12 // 2), (2, 3, 6 // 3), (3, 2, 4 // 4):
            refused += [(user, i) for i in range(n_granted, n)]
            for i in range(n):
                self.ask(conns[user], hand.path, answers, (user, i))
            fbtest.wait_until(lambda: len(answers) >= len(refused), what='refusals')
        self.assertEqual(sorted(answers), refused)
        for key, answer in answers.items():
            self.assertEqual(fbtest.error_name(answer), f'{programs.ERROR}LimitsExceeded')
            self.assertRegex(answer.message, rf'Calls: you \(user {key[0]}\) have ')
        hand.call('Modes', '(aa{sv})', [MODE])
        fbtest.wait_until(lambda: len(answers) == 13, what=f'answers, {answers}')
        self.assertEqual(len([a for a in answers.values() if isinstance(a, GLib.Error)]), 4)

    def connect_as(self, uid):
        os.seteuid(uid)
        try:
            conn = self.bus.connect()
        finally:
            os.seteuid(0)
        fbtest.call(conn, 'org.framebus', MANAGER_PATH, programs.PEER, 'Ping')      # it is known by then
        return conn

    def ask(self, conn, path, answers, key):
        def done(conn, result):
            try:
                answers[key] = conn.call_finish(result)
            except GLib.Error as error:
                answers[key] = error
        conn.call('org.framebus', path, programs.SOURCE, 'Negotiate', GLib.Variant('(a{sv})', ({},)), None, 0, 60000,
                  None, done)


class Memory(Case):
    def test_hoarder(self):
        """Who never gives anything back holds what it was granted; others do not notice."""
        self.start({'WindowBytes': 50 * SIZE})
        hand = self.published_by_hand('clip')
        healthy = self.client('clip', 'peer', '--window', 4)
        healthy.wait_frames(1)
        hoarders = [Viewer(self, 'clip', transport, window=window) for transport, window in
                    (('peer', 16), ('bus', 14), ('peer', 16))]
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'peer', window=1)
        for n in range(40):
            self.send(hand)
            healthy.wait_frames(n + 2)
        for viewer, window in zip(hoarders, (16, 14, 16)):
            viewer.wait_frames(window)
        # a smaller window does not free what is still held
        hoarders[0].set_options(window=1)
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'peer', window=1, text='WindowBytes')
        hoarders[0].release_up_to(2 ** 63)
        fbtest.wait_until(lambda: self.can_have(10))
        healthy.quit()
        self.assertEqual(self.assert_exact(healthy)['lost'], 0)

    def can_have(self, window):
        try:
            Viewer(self, 'clip', 'peer', window=window)
        except GLib.Error as error:
            self.assertEqual(fbtest.error_name(error), f'{programs.ERROR}LimitsExceeded')
            return False
        return True

    def test_larger_mode(self):
        """Frames grow: who cannot be charged for them has fewer, told as lost, until there is room again."""
        large = dict(MODE, width=GLib.Variant('u', 128), height=GLib.Variant('u', 96))
        self.start({'WindowBytes': 32 * SIZE})
        hand = ByHand(self, 'clip', say=False)
        hand.call('Modes', '(aa{sv})', [MODE, large])
        a = Viewer(self, 'clip', 'peer', window=16, replay=False)
        wish = {k: large[k] for k in ('width', 'height')}
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'peer', window=16, text='WindowBytes',
                    modes=GLib.Variant('aa{sv}', [wish]))
        b = Viewer(self, 'clip', 'peer', window=1, replay=False, modes=GLib.Variant('aa{sv}', [wish]))
        hand.call('FormatChanged', '(tua{sv})', 0, 1, large)
        self.large_frames(hand, 10)                 # 4 * SIZE each, of which b has one
        self.assertEqual(a.wait_frames(7), [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(a.get('Lost'), {'quota': 3})
        a.release(1, 2)
        self.large_frames(hand, 4)
        self.assertEqual(a.wait_frames(9)[-2:], [11, 12])
        b.channel.close()
        fbtest.wait_until(lambda: len(self.who()) == 1)
        self.large_frames(hand, 4)
        self.assertEqual(a.wait_frames(10)[-1], 15)
        self.assertEqual(a.get('Lost'), {'quota': 3 + 2 + 3})

    def large_frames(self, hand, n):
        for _ in range(n):
            hand.seq += 1
            fd = hand.memfd(15, 4 * SIZE)
            hand.channel.call(PUBLICATION_PATH, PUBLICATION, 'Frame', GLib.Variant(
                '(tttuuaha(uttu)a{sv})', (hand.seq, 0, 0, 1, 0, [0], [(0, 0, 4 * SIZE, 128)], {})), fds=[fd])

    def test_large_file(self):
        """A frame counts as the file that it lies in, whatever its planes say."""
        self.start({'WindowBytes': 95 * SIZE})
        hand = ByHand(self, 'clip')
        a = Viewer(self, 'clip', 'peer', window=16, replay=False)
        hand.format()
        for _ in range(8):
            hand.frame(fd=hand.memfd(15, 32 * SIZE), flags=0)
        self.assertEqual(a.wait_frames(2), [1, 2])
        self.assertEqual(a.get('Lost'), {'quota': 6})

    def test_buffers(self):
        """What publishers lend: refused frame by frame, and Start asks for no more than fits."""
        self.start({'BufferBytes': 7 * SIZE})
        hand = ByHand(self, 'clip')
        viewer = Viewer(self, 'clip', 'peer', memory=['leased', 'sealed'], window=12, replay=False)
        hand.format()
        start = hand.channel.named('Start')[-1].unpack()[0]
        self.assertEqual(start['buffers'], 4)       # and 3 to go on with
        for n in range(1, 8):
            hand.frame(n)
        self.raises('LimitsExceeded', hand.frame, 8, text=rf'^BufferBytes: you .* have {7 * SIZE} bytes and want ')
        viewer.wait_frames(7)
        viewer.release_up_to(7)
        hand.frame()                                # sealed: nothing is kept but that
        fbtest.wait_until(lambda: hand.numbers('Release')[-1:] == [9], what='buffers')
        hand.call('Forget', '(at)', [1, 2])
        hand.frame(9)
        hand.frame(10)
        self.raises('LimitsExceeded', hand.frame, 11)

    def test_descriptors(self):
        """The same for the descriptors of buffers."""
        self.start({'Descriptors': 6})
        hand = ByHand(self, 'clip')
        Viewer(self, 'clip', 'peer', memory=['leased'], window=16, replay=False)
        hand.format()
        for n in range(1, 5):
            hand.frame(n)
        self.raises('LimitsExceeded', hand.frame, 5, text='^Descriptors: .* have 6 and want 1 more; your share is 6')


class Buffers(Case):
    def test_longest_holder_gives_way(self):
        """A pool is dry as somebody has stopped: that one is suspended at once, and nobody else waits."""
        self.start({'BufferBytes': 10 * SIZE})
        publisher = self.published('clip', '--leased', '--frames', 1, '--stay', '--rate', 1000, '--size', '64x48')
        memory = ['--opt', 'memory=as:leased', '--checksum', '--no-attack']
        healthy = [self.client('clip', transport, *memory, '--window', 4) for transport in ('peer', 'bus')]
        self.everybody_has(healthy, 1)
        stopped = Viewer(self, 'clip', 'peer', memory=['leased'], window=16, replay=False)
        for n in range(2, 40):
            self.send(publisher)
            self.everybody_has(healthy, n)
        self.assertEqual(stopped.wait_event('Suspended'), ('buffers',))
        held = stopped.frames()
        self.assertEqual(held, list(range(2, held[-1] + 1)))
        self.assertLessEqual(len(held), 10)
        self.assertEqual(len(publisher.wait_event('retired')['buffers']), len(held))
        stopped.release_up_to(held[-1])
        stopped.wait_event('Resumed')
        self.send(publisher)
        stopped.wait_frames(len(held) + 1)
        for viewer in healthy:
            viewer.quit()
            self.assertEqual(self.assert_exact(viewer)['lost'], 0)
            self.assertEqual(viewer.events('suspended'), [])
        summary = publisher.quit()
        self.assertEqual((summary['problems'], summary['refused']), (0, 0), publisher.events('problem'))

    def everybody_has(self, viewers, n):
        """So many frames, which they have given back."""
        for viewer in viewers:
            viewer.wait_frames(n)
        fbtest.wait_until(lambda: [s['in-flight'] for s in self.who() if s['window'] == 4] == [0, 0])

    def test_nobody_has_any(self):
        """Asked for without need: nothing happens."""
        self.start({})
        hand = ByHand(self, 'clip')
        viewer = Viewer(self, 'clip', 'peer', memory=['leased', 'sealed'], replay=False)
        hand.format()
        hand.call('WantBuffer', '(u)', 0)
        hand.frame(1)
        hand.frame(2)
        viewer.wait_frames(2)
        viewer.release(1)
        viewer.sync()
        hand.call('WantBuffer', '(u)', 2)           # 1 has come back
        viewer.sync()
        self.assertEqual(viewer.named('Suspended'), [])
        hand.frame(1)
        hand.call('WantBuffer', '(u)', 2)
        self.assertEqual(viewer.wait_event('Suspended'), ('buffers',))
        self.assertEqual(sorted(hand.numbers('Retire')), [1, 2])


class Limit(Case):
    def test_programs_have_the_old_one(self):
        """The soft limit of descriptors is raised for the broker alone."""
        if fbtest.wrapper():
            self.skipTest('valgrind has limits of its own')
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        try:
            programs.TestCase.start(self, {'bars': programs.PATTERN})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        client = self.client('bars', 'peer')
        client.wait_frames(1)
        self.assertGreater(resource.prlimit(self.broker.pid, resource.RLIMIT_NOFILE)[0], 300)
        worker, = self.workers()
        self.assertEqual(resource.prlimit(worker, resource.RLIMIT_NOFILE), (300, before[1]))
        client.quit()


if __name__ == '__main__':
    fbtest.main()
