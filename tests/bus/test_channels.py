# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Private channels, and who vanishes. Shows promise 6 (a stream's end is a capability that can be handed on; the source's
end tells every holder), and the traps of a D-Bus server on a socket pair: nothing happens to a channel before it is
opened, however long that takes; a call in the same write as BEGIN is answered; nonsense ends who talks it and nobody
else.
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

import fbtest
import programs
from gi.repository import GLib
from programs import (MANAGER, MANAGER_PATH, PEERS, PROPERTIES, SUBSCRIPTION, SUBSCRIPTION_PATH, TRANSPORTS,
                      Raw, Viewer)

RATE = fbtest.count(15, 30)     # with 16 frames of credit: a machine may be busy with other things


class Case(programs.TestCase):
    def start_clip(self):
        self.start()
        self.hand = self.published('clip', '--rate', RATE, '--quiet')
        self.idle = fbtest.proc_fds(self.broker.pid)

    def others_go_on(self):
        """A viewer that has to notice nothing; judge it with go_on()."""
        self.other = self.client('clip', 'peer', '--window', 16)
        self.other.wait_frames(3)

    def go_on(self):
        self.other.wait_frames(len(self.other.frames()) + 5)
        self.other.quit()
        self.assert_complete(self.other)
        self.settle()
        self.fds_are(self.idle)

    def wait_who(self, n):
        fbtest.wait_until(lambda: len(self.who()) == n, 15, f'{n} subscriptions')


class Vanishing(Case):
    def test_killed(self):
        """kill -9 of a viewer: its subscription and descriptors go at once, whatever the way."""
        self.start_clip()
        self.others_go_on()
        fds = fbtest.proc_fds(self.broker.pid)
        for transport in TRANSPORTS:
            for manner in (), ('--never-release',), ('--no-open',):
                with self.subTest(transport, manner=manner):
                    if transport == 'bus' and '--no-open' in manner:
                        continue
                    viewer = self.client('clip', transport, '--count', 3, '--window', 4, *manner)
                    viewer.wait_event('granted', 3)
                    if '--no-open' not in manner:
                        viewer.wait_frames(6)
                    self.assertEqual(len(self.who()), 4)
                    viewer.kill()
                    began = time.monotonic()
                    self.wait_who(1)
                    self.assertLess(time.monotonic() - began, fbtest.limit(1))
                    fbtest.wait_until(lambda: fbtest.proc_fds(self.broker.pid) <= fds, what='its descriptors')
        self.go_on()

    def test_killed_while_stopped(self):
        """With its window full of frames that nobody read."""
        self.start_clip()
        self.others_go_on()
        for transport in TRANSPORTS:
            viewer = self.client('clip', transport, '--window', 8)
            viewer.wait_frames(2)
            fbtest.sigstop(viewer.pid)
            self.other.wait_frames(len(self.other.frames()) + 20)
            viewer.kill()
            self.wait_who(1)
        self.go_on()

    def test_hang_up(self):
        """A channel that is closed; the bus connection stays, and may attach again without end."""
        self.start_clip()
        self.others_go_on()
        for _ in range(fbtest.count(40, 2000)):
            channel = self.open_channel('clip')
            channel.close()
        for _ in range(fbtest.count(40, 2000)):
            os.close(self.attach('clip'))
        self.wait_who(1)
        self.go_on()

    def test_close(self):
        """Close: answered, and nothing after it."""
        self.start_clip()
        for transport in TRANSPORTS:
            viewer = self.client('clip', transport)
            viewer.wait_frames(5)
            viewer.tell('close')
            viewer.finish()
            self.assertEqual(len(viewer.events('closed')), 1)
            self.assert_exact(viewer)
            viewer = Viewer(self, 'clip', transport)
            fbtest.wait_until(lambda v=viewer: len(v.frames()) > 2, what='frames')
            viewer.call('Close')
            n = len(viewer.events)
            fbtest.never(lambda v=viewer, n=n: len(v.events) > n + 1, 0.3, 'more than what was on its way')
            with self.assertRaises(GLib.Error):
                viewer.call('Close')
        self.settle()

    def test_counted_until_hang_up(self):
        """Closed or ended, a channel is on its maker's account until it is hung up: unread descriptors count on."""
        self.start_clip()
        channels = [Raw(self.attach('clip')).auth() for _ in range(16)]
        for channel in channels:
            channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'Close')
        self.wait_who(0)
        self.raises('LimitsExceeded', self.attach, 'clip')
        for channel in channels[:8]:
            channel.close()
        fbtest.wait_until(lambda: fbtest.proc_fds(self.broker.pid) <= self.idle + 8, what='eight hang-ups')
        more = [self.attach('clip') for _ in range(8)]
        self.raises('LimitsExceeded', self.attach, 'clip')
        for fd in more:
            os.close(fd)
        for channel in channels:
            channel.close()
        self.settle()
        self.fds_are(self.idle)

    def test_channels_outlive_the_bus_connection(self):
        """A channel lives until hang-up, also when who made it has left the bus; a subscription on the bus does not."""
        self.start_clip()
        conn = self.bus.connect()
        channel = self.open_channel('clip', conn=conn)
        self.on_source('clip', 'Subscribe', conn=conn)
        self.wait_who(2)
        conn.close_sync(None)
        self.wait_who(1)
        n = len(channel.named('Frame'))
        channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (2**63,)))
        fbtest.wait_until(lambda: len(channel.named('Frame')) > n, what='frames')
        channel.close()
        self.settle()
        self.fds_are(self.idle)


class Opening(Case):
    def test_unopened_is_kept(self):
        """Longer than the 90 s that sd-bus gives a client to authenticate, since it is not asked to before."""
        self.start_clip()
        fd = self.attach('clip')
        other = self.attach('clip')
        time.sleep(fbtest.count(2, 95))
        channel = programs.Channel(fd)
        self.addCleanup(channel.close)
        fbtest.wait_until(lambda: channel.named('Frame'), what='a frame')
        channel.close()
        raw = Raw(other).auth()
        raw.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        raw.close()

    def test_handed_on(self):
        """Another process opens it, when the first one has left; Who names who made it."""
        self.start_clip()
        maker = self.enter(fbtest.Process([sys.executable, '-c', MAKER, self.bus.address, self.resolve('clip')],
                                          stdin=subprocess.PIPE))
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(b'\0fbtest-hand-%d' % os.getpid())
        listening.listen()
        maker.popen.stdin.write(b'fbtest-hand-%d\n' % os.getpid())
        maker.popen.stdin.flush()
        connection, _ = listening.accept()
        with connection:
            _data, fds, _flags, _address = socket.recv_fds(connection, 16, 1)
        self.assertEqual(maker.wait(), 0)
        channel = programs.Channel(fds[0])
        self.addCleanup(channel.close)
        fbtest.wait_until(lambda: channel.named('Frame'), what='a frame')
        self.assertEqual([s['pid'] for s in self.who()], [maker.pid])
        channel.close()
        self.settle()
        self.fds_are(self.idle)

    def test_first_call_with_begin(self):
        """The BEGIN trap: a call that comes in the same write is answered, without more bytes to wake the server."""
        self.start_clip()
        for transport in PEERS:
            for _ in range(fbtest.count(50, 1000)):
                raw = Raw(self.fd(transport)).auth(begin=False)
                data, serial = raw.message(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
                raw.send(b'BEGIN\r\n' + data)
                raw.reply(serial)
                raw.close()
        self.settle()
        self.fds_are(self.idle)

    def test_all_in_one_write(self):
        """What libdbus-like clients do: everything sent before anything is read."""
        self.start_clip()
        for transport in PEERS:
            raw = Raw(self.fd(transport))
            data, serial = raw.message(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
            raw.send(b'\0AUTH ANONYMOUS 66\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n' + data)
            self.assertRegex(raw.line(), b'^OK [0-9a-f]{32}$')
            self.assertEqual(raw.line(), b'AGREE_UNIX_FD')
            raw.reply(serial)
            raw.close()

    def test_byte_by_byte(self):
        self.start_clip()
        raw = Raw(self.attach('clip'))
        data, serial = raw.message(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        for byte in b'\0AUTH ANONYMOUS 66\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n' + data:
            raw.send(bytes([byte]))
            time.sleep(0.0005)
        self.assertRegex(raw.line(), b'^OK ')
        self.assertEqual(raw.line(), b'AGREE_UNIX_FD')
        raw.reply(serial)
        raw.close()

    def test_ended_before_it_is_opened(self):
        """The source goes while nobody has opened the channel: that is told when it is."""
        for transport in PEERS:
            with self.subTest(transport):
                self.start()
                publisher = self.published_by_hand('clip')
                keep = self.client('clip', 'peer')
                keep.wait_frames(1)
                fd = self.fd(transport)
                self.send(publisher, 3)
                publisher.tell('destroy')
                publisher.wait_event('disconnected')
                fbtest.wait_until(lambda: not self.who(), what='the end of all')
                channel = programs.Channel(fd)
                self.addCleanup(channel.close)
                ended = fbtest.wait_until(lambda c=channel: c.named('Ended'), what='Ended')
                self.assertEqual(ended[0].unpack()[1], 'destroyed')
                self.assertEqual([m for m, _ in channel.signals if m in ('Frame', 'Lost', 'Ended')],
                                 ['Lost', 'Ended'])
                self.assertEqual(channel.named('Lost')[0].unpack(), (3, 'no-credit'))
                channel.close()

    def fd(self, transport):
        """The descriptor of a channel, not opened."""
        if transport == 'peer':
            return self.attach('clip')
        ours, theirs = socket.socketpair()
        with theirs:
            self.call(self.resolve('clip'), programs.SOURCE, 'AttachTo', GLib.Variant('(ha{sv})', (0, {})),
                      fds=[theirs.fileno()])
        return ours.detach()


class Nonsense(Case):
    def test_garbage(self):
        """Each ends its own channel, and nothing else."""
        self.start_clip()
        self.others_go_on()
        header = b'l\1\0\1' + struct.pack('<III', 100 << 20, 1, 0)
        # sd-bus drops single messages that are framed well but wrong, and waits for the rest of long ones
        for name, data, opened, hangs_up in [
                ('noise', b'\1' + os.urandom(4096), False, True),
                ('http', b'GET / HTTP/1.1\r\n\r\n', False, True),
                ('long line', b'\0AUTH ' + b'A' * (1 << 17), False, True),
                ('no handshake', header, False, True),
                ('zeros', bytes(4096), False, False),
                ('noise after BEGIN', b'\xff' * 4096, True, True),
                ('4 GiB to come', b'l\1\0\1' + struct.pack('<III', 2**32 - 1, 1, 2**32 - 1), True, True),
                ('100 MiB to come', header + bytes(4096), True, False),
                ('version 9', b'l\1\0\x09' + bytes(60), True, False),
                ('type 0', b'l\0\0\1' + struct.pack('<III', 0, 1, 0), True, False)]:
            for transport in PEERS:
                with self.subTest(name, transport=transport):
                    raw = Raw(Opening.fd(self, transport))
                    if opened:
                        raw.auth()
                    try:
                        raw.send(data)
                    except (BrokenPipeError, ConnectionResetError):
                        pass
                    if hangs_up:
                        raw.hung_up()
                    self.assertLess(self.ping(), fbtest.limit(1))
                    raw.close()
                    self.wait_who(1)
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid), 8 << 10)
        self.go_on()

    def test_half_a_handshake(self):
        """It may take its time, costs nobody anything, and is gone with its socket."""
        self.start_clip()
        self.others_go_on()
        whole = b'\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n'
        for n in range(0, len(whole), 3):
            raw = Raw(self.attach('clip'))
            raw.send(whole[:n])
            raw.close()
        kept = []
        for n in range(1, 13, 3):
            kept.append(Raw(self.attach('clip')))
            kept[-1].send(whole[:n])
        self.ping()
        self.wait_who(1 + len(kept))
        for raw in kept:
            raw.close()
        self.go_on()

    def test_wrong_calls(self):
        """Unknown objects, interfaces and signatures are answered by errors on an open channel that stays open."""
        self.start_clip()
        channel = self.open_channel('clip')
        for path, interface, member, error in [
                ('/', SUBSCRIPTION, 'Close', 'UnknownObject'),
                (MANAGER_PATH, MANAGER, 'Who', 'UnknownObject|UnknownMethod|UnknownInterface'),
                (SUBSCRIPTION_PATH, MANAGER, 'Who', 'UnknownMethod|UnknownInterface'),
                (SUBSCRIPTION_PATH, SUBSCRIPTION, 'Open', 'UnknownMethod'),
                (SUBSCRIPTION_PATH, SUBSCRIPTION, 'Frame', 'UnknownMethod')]:
            with self.assertRaises(GLib.Error) as caught:
                channel.call(path, interface, member)
            self.assertIn(fbtest.error_name(caught.exception).rpartition('.')[2], error.split('|'))
        channel.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        channel.close()
        self.settle()

    def flood(self, fd, n, call):
        """Calls n times on an opened channel without reading, then reads on until it is hung up. The answers' bytes."""
        raw = Raw(fd).auth()
        self.addCleanup(raw.close)
        raw.socket.settimeout(fbtest.limit(5))
        data, _serial = raw.message(*call)
        try:
            for _ in range(n // 100):
                raw.send(data * 100)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        answers = raw.hung_up()
        raw.close()
        return answers

    def stall(self, fd, n, call):
        """The same, but nobody hangs up: what is said is not taken while answers wait."""
        raw = Raw(fd).auth()
        self.addCleanup(raw.close)
        raw.socket.settimeout(fbtest.limit(0.5))
        data, _serial = raw.message(*call)
        with self.assertRaises(TimeoutError):
            for _ in range(n // 100):
                raw.send(data * 100)
        self.assertLess(self.ping(), fbtest.limit(1))
        raw.close()
        return 0

    def test_replies_nobody_reads(self):
        """
        GetAll 100 000 times without reading an answer: that client is ended, or, on a socket of its own, has to wait;
        memory stays bounded.
        """
        self.start_clip()
        self.others_go_on()
        before = fbtest.proc_rss_kib(self.broker.pid)
        for transport in PEERS:
            for call in (SUBSCRIPTION_PATH, PROPERTIES, 'GetAll', GLib.Variant('(s)', (SUBSCRIPTION,))), \
                        (SUBSCRIPTION_PATH, programs.INTROSPECTABLE, 'Introspect'), \
                        ('/nothing', programs.PEER, 'Nothing'):
                with self.subTest(transport, what=call[2]):
                    flood = self.flood if transport == 'peer' else self.stall
                    answers = flood(Opening.fd(self, transport), 100000, call)
                    self.assertLess(answers, 1 << 20)
                    self.assertLess(self.ping(), fbtest.limit(1))
                    self.wait_who(1)
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid) - before, 2048)
        self.go_on()

    def test_endless_calls(self):
        """Some that call without end and read the answers have their turn, and others theirs."""
        self.start_clip()
        self.others_go_on()
        end, pings = time.monotonic() + fbtest.count(1.5, 20), []
        self.answered = 0
        callers = [threading.Thread(target=self.call_until, args=(Raw(Opening.fd(self, t)).auth(), end)) for t in PEERS]
        for caller in callers:
            caller.start()
        while time.monotonic() < end:
            pings.append(self.ping())
        for caller in callers:
            caller.join()
        self.assertGreater(self.answered, 100)
        self.assertLess(max(pings), fbtest.limit(1))
        self.go_on()

    def call_until(self, raw, end):
        """As many calls at once as may be unanswered, again and again."""
        call = raw.message(SUBSCRIPTION_PATH, PROPERTIES, 'GetAll', GLib.Variant('(s)', (SUBSCRIPTION,)))[0] * 30
        while time.monotonic() < end:
            raw.send(call)
            for _ in range(30):
                raw.read_message()
            self.answered += 30
        raw.close()

    def test_descriptors_nobody_wants(self):
        """Messages that bring descriptors leave none in the broker."""
        self.start_clip()
        self.others_go_on()
        raw = Raw(self.attach('clip')).auth()
        raw.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')      # none may come with the handshake
        for _ in range(fbtest.count(20, 1000)):
            fds = programs.Gio.UnixFDList.new()
            for _ in range(4):
                fds.append(0)
            data, serial = raw.message(SUBSCRIPTION_PATH, programs.PEER, 'Ping', fds=fds)
            socket.send_fds(raw.socket, [data], fds.peek_fds())
            raw.reply(serial)
        self.assertLess(fbtest.proc_fds(self.broker.pid), self.idle + 12)
        raw.close()
        self.go_on()

    def test_publishers_channel(self):
        """The same on a publisher's channel: its source ends, nothing else."""
        self.start_clip()
        self.others_go_on()
        for data in os.urandom(4096), b'\0AUTH EXTERNAL 30\r\nBEGIN\r\n' + b'\xff' * 4096:
            _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', ('other', {})),
                                     with_fds=True)
            self.resolve('other')
            raw = Raw(fds[0])
            raw.send(data)
            raw.hung_up()
            raw.close()
            self.raises('NoSuchSource', self.resolve, 'other')
        self.go_on()


MAKER = '''
import socket, sys
from gi.repository import Gio, GLib
conn = Gio.DBusConnection.new_for_address_sync(sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                                               Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
_reply, fds = conn.call_with_unix_fd_list_sync('org.framebus', sys.argv[2], 'org.framebus.Source1', 'Attach',
                                               GLib.Variant('(a{sv})', ({},)), None, 0, -1, None, None)
with socket.socket(socket.AF_UNIX) as s:
    s.connect('\\0' + sys.stdin.readline().strip())
    socket.send_fds(s, [b'x'], [fds.steal_fds()[0]])
'''


if __name__ == '__main__':
    fbtest.main()
