# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a client, a publisher or somebody who is neither can do to the broker and to others. Shows promise 3 (a
hostile subscriber harms nobody but itself) where it was once broken.
"""

import fcntl
import os
import pathlib
import pwd
import select
import socket
import struct
import subprocess
import sys

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import (MANAGER, MANAGER_PATH, PEERS, PUBLICATION, PUBLICATION_PATH, SOURCE, SUBSCRIPTION,
                      SUBSCRIPTION_PATH, Channel, Raw, Viewer)

DRIVER = 'org.freedesktop.DBus'
DRIVER_PATH = '/org/freedesktop/DBus'


F_ADD_SEALS, ALL_SEALS = 1033, 15
MODE = {'fourcc': GLib.Variant('u', 0x56595559), 'modifier': GLib.Variant('t', 0),
        'width': GLib.Variant('u', 64), 'height': GLib.Variant('u', 48),
        'rate': GLib.Variant('(uu)', (30, 1))}
SIZE = 64 * 48 * 2
EXAMPLES = pathlib.Path(__file__).parents[2] / 'examples'


class Publisher:
    """A publisher by hand, that does what it likes."""

    def __init__(self, test, name):
        options = GLib.Variant('(sa{sv})', (name, {}))
        (self.path, _h), fds = test.call(MANAGER_PATH, MANAGER, 'Publish', options, with_fds=True)
        self.channel = Channel(fds[0])
        test.addCleanup(self.channel.close)
        self.memory = os.memfd_create('frame', os.MFD_ALLOW_SEALING)
        test.addCleanup(os.close, self.memory)
        os.write(self.memory, bytes(SIZE))
        fcntl.fcntl(self.memory, F_ADD_SEALS, ALL_SEALS)

    def call(self, member, signature, *values, **options):
        self.channel.call(PUBLICATION_PATH, PUBLICATION, member, GLib.Variant(signature, values), **options)

    def modes(self, *modes):
        self.call('Modes', '(aa{sv})', modes or (MODE,))

    def format(self, number=1):
        self.call('FormatChanged', '(tua{sv})', 0, number, MODE)

    def frame(self, seq, number=1):
        self.call('Frame', '(tttuuaha(uttu)a{sv})', seq, 0, 0, number, 0, [0], [(0, 0, SIZE, 128)], {},
                  fds=[self.memory])


class Case(programs.TestCase):
    def start_clip(self):
        self.start()
        self.hand = self.published_by_hand('clip')


class Forging(Case):
    """A signal directed at the broker arrives whoever says it, and the bus driver's words can be imitated."""

    def say(self, member, *values):
        liar = self.bus.connect()
        liar.emit_signal(self.bus.owner('org.framebus'), DRIVER_PATH, DRIVER, member,
                         GLib.Variant(f'({"s" * len(values)})', values))
        self.call('/', programs.PEER, 'Ping', conn=liar)        # the lie has arrived before

    def test_name_lost(self):
        """That the broker lost its name: it goes on."""
        self.start()
        self.say('NameLost', 'org.framebus')
        self.ping()
        self.assertIsNone(self.broker.returncode)

    def test_client_gone(self):
        """That a subscriber left the bus: its subscription goes on."""
        self.start_clip()
        viewer = Viewer(self, 'clip', 'bus')
        name = viewer.bus.get_unique_name()
        self.say('NameOwnerChanged', name, name, '')
        self.assertEqual([s['client'] for s in self.who()], [name])
        self.assertEqual(viewer.get('InFlight'), 1)


class Text(Case):
    """Text is cut to its bound, and is still text: a message with half a character cannot be sent."""

    def test_reason(self):
        """A publisher's long reason: everybody can still list the sources."""
        self.start()
        publisher = Publisher(self, 'talker')
        for fill in range(250, 257):
            publisher.call('State', '(ss)', 'failed', 'a' * fill + 'é€𝄞')
            reason = self.get(publisher.path, SOURCE, 'StateReason')
            self.assertTrue(('a' * fill + 'é€𝄞').startswith(reason), reason)
            self.assertGreaterEqual(len(reason.encode()), 253)
        self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')

    def test_error(self):
        """A long key is answered, wherever the answer has to be cut."""
        self.start_clip()
        for fill in range(4):
            key = 'k' * fill + '𝄞' * 400
            self.raises('UnknownOption', self.on_source, 'clip', 'Negotiate', {key: GLib.Variant('u', 1)})


class Publishing(Case):
    def test_frame_of_a_run_before(self):
        """
        Without a FormatChanged since the last viewer left: the next one is not told a format without a mode,
        and the frame is counted.
        """
        self.start()
        publisher = Publisher(self, 'sloppy')
        publisher.modes()
        viewer = Viewer(self, 'sloppy', 'bus')
        publisher.format()
        publisher.frame(1)
        viewer.wait_frames(1)
        viewer.call('Close')
        viewer = Viewer(self, 'sloppy', 'bus')
        publisher.frame(2)
        publisher.format()
        publisher.frame(3)
        self.assertEqual(viewer.wait_frames(1), [3])
        self.assertEqual(viewer.story(), [(1, 'source'), 3])
        self.assertEqual(viewer.named('FormatChanged')[0][2]['width'], 64)

    def test_flapping(self):
        """Changes without end: told together, few signals are all that others get, the last among them."""
        self.start()
        publisher = Publisher(self, 'flapper')
        changes = self.record_properties('flapper')
        for i in range(300):
            publisher.call('State', '(ss)', 'failed', str(i))
            publisher.call('Describe', '(a{sv})', {'driver': GLib.Variant('s', f'driver {i}')})
        for last in ('StateReason', '299'), ('Driver', 'driver 299'):
            fbtest.wait_until(lambda last=last: last in changes, what=f'{last} in {changes[-4:]}')
        self.assertLess(len(changes), 300)

    def test_hang_up_of_both(self):
        """
        A publisher hangs up, and then who viewed it: nothing is left. The viewer's channel is waited for by a
        new descriptor that gets the number of the publisher's.
        """
        self.start()
        before = fbtest.proc_fds(self.broker.pid)
        publisher = Publisher(self, 'brief')
        publisher.modes()
        viewers = [Raw(self.attach('brief')).auth() for _ in range(3)]
        for viewer in viewers:
            viewer.call(programs.SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        publisher.channel.close()
        for viewer in viewers:
            viewer.hung_up()
            viewer.close()
        self.fds_are(before)


class Saying(Case):
    """What a channel's client says is bounded, and what is not said to its end is its own."""

    HUGE = 120 << 20

    def others_go_on(self):
        self.watcher = self.client('clip', 'peer', '--window', 16)
        self.watcher.wait_frames(1)

    def lost_nothing(self):
        self.send(self.hand, 5)
        self.watcher.wait_frames(6)
        self.watcher.quit()
        self.assert_complete(self.watcher)

    def channels(self):
        """(of whom, a channel, object path) for each end that a client can have."""
        for transport in PEERS:
            yield transport, Raw(self.channel(transport)).auth(), SUBSCRIPTION_PATH
        _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', ('huge', {})),
                                 with_fds=True)
        yield 'publisher', Raw(fds[0]).auth(), PUBLICATION_PATH

    def channel(self, transport):
        if transport == 'peer':
            return self.attach('clip')
        ours, theirs = socket.socketpair()
        with theirs:
            self.call(self.resolve('clip'), SOURCE, 'AttachTo', GLib.Variant('(ha{sv})', (0, {})),
                      fds=[theirs.fileno()])
        return ours.detach()

    def half(self, raw, path, size):
        """A message of which the body is announced to be so long, as far as it is a header."""
        data, _serial = raw.message(path, programs.PEER, 'Ping', GLib.Variant('(s)', ('x' * 64,)))
        return data[:4] + struct.pack('=I', size) + data[8:]

    def test_announced(self):
        """120 MiB are announced and 8 MiB sent: the channel ends, nothing is kept, and the log says who it was."""
        self.start_clip()
        self.others_go_on()
        for _ in range(2):      # of the first one the broker learns what it needs for good
            before = fbtest.proc_rss_kib(self.broker.pid)
            for who, raw, path in self.channels():
                with self.subTest(who):
                    data = self.half(raw, path, self.HUGE)
                    try:
                        raw.send(data)
                        for _ in range(128):
                            raw.send(bytes(65536))
                    except (BrokenPipeError, ConnectionResetError, TimeoutError):
                        pass
                    raw.hung_up()
                    raw.close()
            self.ping()
            grown = fbtest.proc_rss_kib(self.broker.pid) - before
        if not programs.instrumented():
            self.assertLess(grown, 2048)
        self.raises('NoSuchSource', self.resolve, 'huge')
        self.assertEqual(self.broker.err().count('is ended: it announced'), 6)
        self.assertIn(f'user {os.getuid()}, process {os.getpid()}', self.broker.err())
        self.lost_nothing()

    def test_halves(self):
        """Descriptors with half a message wait at its sender's expense; and the broker has nothing to do meanwhile."""
        self.start_clip()
        self.others_go_on()
        channels = list(self.channels())
        fbtest.wait_until(lambda: len(self.who()) == 3, what='three subscriptions')
        before = self.least_fds()
        for _who, raw, path in channels:
            raw.call(path, programs.PEER, 'Ping')
            data = self.half(raw, path, 4096)
            for i in range(4):
                socket.send_fds(raw.socket, [data[i * 20:i * 20 + 20]], [0] * 50)
        self.ping()
        self.assertLessEqual(self.least_fds(), before)
        for _who, raw, _path in channels:
            raw.close()
        self.lost_nothing()

    def test_long_lists(self):
        """More numbers or words than there can be use for are refused, not read."""
        self.start_clip()
        viewer = Viewer(self, 'clip', 'bus')
        self.raises('InvalidOption', viewer.call, 'Release', GLib.Variant('(at)', ([0] * 4097,)), text='4096')
        viewer.release(*[0] * 4096)
        memory = GLib.Variant('as', ['sealed'] * 17)
        self.raises('InvalidOption', self.on_source, 'clip', 'Negotiate', {'memory': memory}, text='memory.*16')
        self.on_source('clip', 'Negotiate', {'memory': GLib.Variant('as', ['sealed'] * 16)})

    def test_unspoken_descriptors(self):
        """Descriptors that a message does not speak of: the channel ends, and they are closed."""
        self.start_clip()
        self.others_go_on()
        before = self.least_fds()
        for _ in range(5):
            for who, raw, path in self.channels():
                with self.subTest(who):
                    data, _serial = raw.message(path, programs.PEER, 'Ping')
                    socket.send_fds(raw.socket, [data + data], [0] * 200)
                    raw.hung_up()
                    raw.close()
        self.fds_are(before)
        self.lost_nothing()


STOPPED = '''
import socket, sys
from gi.repository import Gio, GLib
kept, why = [], ''
for first in range(0, 160, 16):
    conn = Gio.DBusConnection.new_for_address_sync(sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                                                   Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
    kept.append(conn)
    for i in range(16):
        try:
            _reply, fds = conn.call_with_unix_fd_list_sync(
                'org.framebus', sys.argv[2], 'org.framebus.Source1', 'Attach',
                GLib.Variant('(a{sv})', ({'window': GLib.Variant('u', 16)},)), None, 0, -1, None, None)
        except GLib.Error as e:
            why = e.message
            break
        fd = fds.steal_fds()[0]
        s = socket.socket(fileno=fd)
        s.sendall(b'\\0AUTH ANONYMOUS 66\\r\\nNEGOTIATE_UNIX_FD\\r\\nBEGIN\\r\\n')
        kept.append(s)
print('ready', sum(isinstance(k, socket.socket) for k in kept), why, flush=True)
sys.stdin.read()
'''


class Stopping(Case):
    def test_another_users_channels(self):
        """
        A user that opens as many channels as it may and reads none: it is told what its share is, and another user's
        viewers lose nothing.
        """
        fbtest.need_root()
        self.start(bus_type='system')
        self.hand = self.published_by_hand('clip')
        viewers = [self.client('clip', 'peer', '--window', 4) for _ in range(3)]
        for viewer in viewers:
            viewer.wait_frames(1)
        hog = self.enter(fbtest.Process([sys.executable, '-c', STOPPED, self.bus.address, self.resolve('clip')],
                                        user='nobody', stdin=subprocess.PIPE))
        hog.wait_output('ready', timeout=20)
        _word, n, why = hog.out().split(maxsplit=2)
        self.assertGreaterEqual(int(n), 12, why)
        self.assertIn('LimitsExceeded', why)
        self.assertRegex(why, r'user \d+ has \d+ channels .* share is \d+ of the 256')
        for i in range(40):
            self.send(self.hand)
            for viewer in viewers:
                viewer.wait_frames(i + 2)
        for viewer in viewers:
            viewer.quit()
            self.assert_complete(viewer)
        hog.stdin.close()
        self.settle()


def noise(raw):
    """A signal to oneself that is larger than a few of them would fit into a socket."""
    message = Gio.DBusMessage.new_signal('/x', 'x.y', 'Noise')
    message.set_destination(raw.name)
    message.set_body(GLib.Variant('(s)', ('n' * 8000,)))
    raw.serial += 1
    message.set_serial(raw.serial)
    return bytes(message.to_blob(Gio.DBusCapabilityFlags.NONE))


class OnTheBus(Case):
    """
    Clients that have things with descriptors sent to them by the bus, and read nothing. dbus-daemon with a system
    bus's limits stops reading a sender of whose messages it holds 64 descriptors: the broker would hear nobody any
    more. As another user on a system bus, if there can be one, else as the same on a session bus.
    """

    def setUp(self):
        self.uid = pwd.getpwnam('nobody').pw_uid if os.geteuid() == 0 else os.getuid()
        self.start(bus_type='system' if os.geteuid() == 0 else 'session')
        self.source = Publisher(self, 'clip')
        self.source.modes()
        self.seq = 0
        self.healthy = self.viewer('--window', 16)
        self.source.format()
        self.frames()

    def viewer(self, *args):
        client = self.client('clip', 'bus', *args)
        client.wait_event('granted')
        return client

    def frames(self, n=8):
        """Some more, with which the healthy one is done afterwards; and the broker is there for others."""
        for _ in range(n):
            self.seq += 1
            self.source.frame(self.seq)
            if self.seq % 8 == 0:
                self.healthy.wait_frames(self.seq)
        self.healthy.wait_frames(self.seq)
        for _ in range(3):
            self.ping()

    def hostile(self):
        os.seteuid(self.uid)
        try:
            raw = Raw(self.bus.address.partition('=')[2])
        finally:
            os.seteuid(os.getuid())
        self.addCleanup(raw.close)
        return raw.auth(uid=self.uid).hello()

    def known(self):
        """One that has read what it was asked so far. Its channel is gone at once: it takes no descriptors in."""
        raw = self.hostile()
        raw.reply(self.ask(raw, 'Attach'))
        while raw.read_message().get_member() != 'Mark':
            pass
        return raw

    @staticmethod
    def stop_reading(raw):
        """What comes from now on does not even leave the bus: the socket is full."""
        for _ in range(60):
            raw.send(noise(raw))

    def ask(self, raw, member, window=1):
        """Subscribe or Attach; the serial number to wait for, if one wants to."""
        options = GLib.Variant('(a{sv})', ({'window': GLib.Variant('u', window)},))
        data, serial = raw.message(self.source.path, SOURCE, member, options, 'org.framebus')
        raw.send(data)
        return serial

    def windows(self, raw):
        """All the windows that it can have; paths of the subscriptions."""
        paths = []
        for window in 16, 8, 4, 2, 1:
            try:
                while True:
                    paths.append(raw.reply(self.ask(raw, 'Subscribe', window))[0])
            except GLib.Error as error:
                self.assertEqual(fbtest.error_name(error), f'{programs.ERROR}LimitsExceeded')
                self.assertRegex(error.message, 'use Attach')
        return paths

    def say(self, raw, path, member, parameters=None):
        raw.send(raw.message(path, SUBSCRIPTION, member, parameters, 'org.framebus')[0])

    def of(self, raw):
        return [s for s in self.who() if s['client'] == raw.name]

    def others_lost_nothing(self):
        self.frames()
        self.healthy.quit()
        self.assert_complete(self.healthy)

    def test_release_without_reading(self):
        """It gives back what it has not read."""
        raw = self.hostile()
        paths = self.windows(raw)
        self.assertTrue(paths)
        self.stop_reading(raw)
        for _ in range(12):
            self.frames()
            for path in paths:
                self.say(raw, path, 'ReleaseUpTo', GLib.Variant('(t)', (2**64 - 1,)))
        self.others_lost_nothing()

    def test_unread_answers(self):
        """Windows, and answers with a channel on top: those wait, and come when it reads, in order."""
        raws = [self.known() for _ in range(4)]
        self.windows(raws[0])
        serials = []
        for raw in raws:
            self.stop_reading(raw)
            serials.append([self.ask(raw, 'Attach') for _ in range(16)])
            self.frames()
        self.assertLess(len([s for s in self.who() if s['conduit'] == 'peer']), 4 * 16)
        answers = self.read_all(raws, serials)
        for expected in serials:
            self.assertEqual([m.get_reply_serial() for m in answers.pop(0)], expected)
        self.others_lost_nothing()

    @staticmethod
    def read_all(raws, serials):
        """From all at once, for what one leaves unread another of that user has to wait; the answers of each."""
        answers = [[] for _ in raws]
        while any(len(a) < len(s) for a, s in zip(answers, serials)):
            ready = [raw for raw in raws if raw.buffer] or select.select(raws, [], [], fbtest.limit(15))[0]
            if not ready:
                raise AssertionError(f'answers: {[len(a) for a in answers]}')
            for raw in ready:
                i = raws.index(raw)
                message = raw.read_message()
                if message.get_reply_serial() in serials[i]:
                    message.to_gerror()
                    answers[i].append(message)
        return answers

    def test_unread_questions(self):
        """The broker's question whether they can take descriptors has one in it, too."""
        raws = [self.hostile() for _ in range(80)]
        serials = []
        for raw in raws:
            self.stop_reading(raw)
            serials.append(self.ask(raw, 'Attach'))
        for _ in range(3):
            self.frames()
        for raw in raws[:-1]:
            raw.close()
        raws[-1].reply(serials[-1])
        self.others_lost_nothing()

    def test_subscribe_and_close(self):
        """Subscriptions that have ended, with frames that were not read; and the next ones."""
        for raw in [self.known() for _ in range(8)]:
            paths = self.windows(raw)
            self.stop_reading(raw)
            self.frames(16)
            for path in paths:
                self.say(raw, path, 'Close')
            fbtest.wait_until(lambda raw=raw: not self.of(raw), what='their end')
        self.others_lost_nothing()

    def test_latest_when_it_has_read(self):
        """drop=latest: the newest frame waits for the proof that earlier ones were read, and comes by itself."""
        raw = self.hostile()
        options = {'window': GLib.Variant('u', 1), 'drop': GLib.Variant('s', 'latest')}
        path, _granted = raw.call(self.source.path, SOURCE, 'Subscribe', GLib.Variant('(a{sv})', (options,)),
                                  'org.framebus')
        self.stop_reading(raw)
        for _ in range(24):
            self.frames(1)
            self.say(raw, path, 'ReleaseUpTo', GLib.Variant('(t)', (2**64 - 1,)))
        self.assertLess(self.of(raw)[0]['delivered'], 24)
        got = []
        while not got or got[-1] != self.seq:
            message = raw.read_message()
            if message.get_member() == 'Frame':
                got.append(message.get_body().unpack()[0])
        self.assertEqual(got, sorted(set(got)))
        self.others_lost_nothing()

    def test_share(self):
        """On a system bus no user takes it all."""
        fbtest.need_root()
        self.windows(self.hostile())
        with self.assertRaisesRegex(GLib.Error, f'user {self.uid} has .* its share is'):
            raw = self.hostile()
            raw.reply(self.ask(raw, 'Subscribe'))
        more = self.client('clip', 'bus', '--window', 4, user='daemon')
        more.wait_frames(1)
        self.frames()
        more.quit()
        self.others_lost_nothing()

    def test_sources(self):
        """32 published sources a user."""
        channels = []
        for i in range(31):
            conn = self.conn if i < 15 else self.bus.connect() if i in (15, 30) else conn
            name = GLib.Variant('(sa{sv})', (f'more-{i}', {}))
            channels += self.call(MANAGER_PATH, MANAGER, 'Publish', name, conn, with_fds=True)[1]
        name = GLib.Variant('(sa{sv})', ('more', {}))
        self.raises('LimitsExceeded', self.call, MANAGER_PATH, MANAGER, 'Publish', name, conn,
                    text='Sources: you .* have 32 ')
        os.close(channels.pop(3))
        channels += fbtest.wait_until(lambda: self.publish_more(name, conn), what='a place')
        for fd in channels:
            os.close(fd)
        self.others_lost_nothing()

    def publish_more(self, name, conn):
        try:
            return self.call(MANAGER_PATH, MANAGER, 'Publish', name, conn, with_fds=True)[1]
        except GLib.Error as error:
            self.assertEqual(fbtest.error_name(error), f'{programs.ERROR}LimitsExceeded')
            return None


class Reading(Case):
    """Whoever reads gets all frames, though it is asked for proofs that it does."""

    def setUp(self):
        self.start()
        self.source = Publisher(self, 'clip')
        self.source.modes()
        self.source.format()

    def delivered(self, n, viewers):
        """n frames, the next one when everybody has given the one before back: nobody has lost anything."""
        fbtest.wait_until(lambda: len(self.who()) == viewers, 15, 'all subscriptions')
        for seq in range(1, n + 1):
            self.source.frame(seq)
            fbtest.wait_until(lambda seq=seq: all(s['delivered'] == seq and not s['in-flight'] for s in self.who()),
                              15, f'frame {seq} with everybody')
        self.assertEqual([s['lost'] for s in self.who()], [{}] * viewers)

    def test_stock_viewers(self):
        """The examples, and a window of one frame."""
        env = self.bus.env()
        argv = ([fbtest.build_path('examples/01-subscribe-sdbus'), '--frames', 60, 'clip'],
                [fbtest.build_path('examples/02-subscribe-gdbus'), '--frames', 60, 'clip'],
                [sys.executable, EXAMPLES / '03-subscribe.py', '--frames', 60, 'clip'])
        viewers = [self.enter(fbtest.Process(a, env=env)) for a in argv]
        one = self.client('clip', 'bus', '--window', 1)
        self.delivered(59, 4)
        self.source.frame(60)
        for viewer in viewers:
            self.assertEqual(viewer.wait(15), 0, viewer.log())
            self.assertEqual(len([line for line in viewer.out().splitlines() if line[:1].isdigit()]), 60)
        one.quit()
        self.assert_complete(one)

    def test_full(self):
        """All windows that there can be."""
        viewers = [self.client('clip', 'bus', '--window', 4, '--quiet') for _ in range(12)]
        self.delivered(30, 12)
        for viewer in viewers:
            viewer.quit()
            self.assert_complete(viewer)

    def test_silent(self):
        """It reads, and answers nothing that it is asked."""
        raw = Raw(self.bus.address.partition('=')[2]).auth().hello()
        self.addCleanup(raw.close)
        options = GLib.Variant('(a{sv})', ({'window': GLib.Variant('u', 1)},))
        path, _granted = raw.call(self.source.path, SOURCE, 'Subscribe', options, 'org.framebus')
        for seq in range(1, 100):
            self.source.frame(seq)
            while raw.read_message().get_member() != 'Frame':
                pass
            raw.call(path, SUBSCRIPTION, 'Release', GLib.Variant('(at)', ([seq],)), 'org.framebus')
        self.assertEqual([(s['delivered'], s['lost']) for s in self.who()], [(99, {})])


class Waiting(programs.TestCase):
    def send_call(self, conn, path, interface, member, parameters, fds=None):
        message = Gio.DBusMessage.new_method_call('org.framebus', path, interface, member)
        message.set_body(parameters)
        if fds:
            message.set_unix_fd_list(fds)
        answers = []
        conn.send_message_with_reply(message, Gio.DBusSendMessageFlags.NONE, 20000, None, lambda c, result:
                                     answers.append(c.send_message_with_reply_finish(result)))
        return answers

    def test_descriptors_that_nothing_names(self):
        """Calls that wait for what a source can do bring 16 descriptors each; none of these is the broker's then."""
        self.start()
        options = GLib.Variant('(sa{sv})', ('silent', {}))
        (path, _h), fds = self.call(MANAGER_PATH, MANAGER, 'Publish', options, with_fds=True)
        channel = Channel(fds[0])
        self.addCleanup(channel.close)
        conn = self.bus.connect()
        self.ping()
        before = self.least_fds()
        many = Gio.UnixFDList.new()
        for _ in range(16):
            many.append(0)
        asked = [self.send_call(conn, path, SOURCE, 'Negotiate', GLib.Variant('(a{sv})', ({},)), many)
                 for _ in range(20)]
        own = Gio.UnixFDList.new()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            own.append(theirs.fileno())
            asked.append(self.send_call(conn, path, SOURCE, 'AttachTo', GLib.Variant('(ha{sv})', (0, {})), own))
            self.call(MANAGER_PATH, programs.PEER, 'Ping', conn=conn)      # they are there
            self.assertLess(self.least_fds(), before + 10)
            self.assertFalse(any(asked))
            channel.call(PUBLICATION_PATH, PUBLICATION, 'Modes', GLib.Variant('(aa{sv})', ([MODE],)))
            fbtest.wait_until(lambda: all(asked), what='an answer to each')
        for answer, in asked:
            self.assertEqual(answer.get_message_type(), Gio.DBusMessageType.METHOD_RETURN, answer.print_(0))


if __name__ == '__main__':
    fbtest.main()
