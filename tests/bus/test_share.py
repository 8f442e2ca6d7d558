# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Channels that are handed on: whoever holds one that nobody has opened can watch, in another process, as another user,
when its first holder has gone; and Share makes a second one of a subscription, never wider than that.
"""

import os
import sys

import fbtest
import programs
from gi.repository import GLib
from programs import SUBSCRIPTION, SUBSCRIPTION_PATH, TRANSPORTS, Viewer

# Opens the channel at a descriptor, gives back what comes, and ends after a few frames.
HOLDER = '''
import sys
from gi.repository import Gio, GLib
stream = Gio.Socket.new_from_fd(int(sys.argv[1])).connection_factory_create_connection()
flags = Gio.DBusConnectionFlags
conn = Gio.DBusConnection.new_sync(stream, None, flags.AUTHENTICATION_CLIENT | flags.DELAY_MESSAGE_PROCESSING,
                                   None, None)
seen = []
def on_frame(_conn, _sender, path, interface, _member, values):
    seen.append(values.get_child_value(0).get_uint64())
    conn.call(None, path, interface, 'Release', GLib.Variant('(at)', ([seen[-1]],)), None, 0, -1, None, None)
conn.signal_subscribe(None, None, 'Frame', None, None, 0, on_frame)
conn.start_message_processing()
while len(seen) < 8:
    GLib.MainContext.default().iteration(True)
'''


class Case(programs.TestCase):
    def share(self, viewer, **options):
        """A channel, not opened."""
        parameters = GLib.Variant('(a{sv})', (programs.variants(options),))
        conn, name = (viewer.channel.conn, None) if viewer.channel else (viewer.bus, 'org.framebus')
        _result, fds = fbtest.call(conn, name, viewer.path, SUBSCRIPTION, 'Share', parameters, with_fds=True)
        return fds[0]

    def open(self, fd):
        channel = programs.Channel(fd)
        self.addCleanup(channel.close)
        return channel

    def handed_to(self, fd, user):
        """Another process, of another user perhaps, opens it; ours is closed."""
        process = self.enter(fbtest.Process([sys.executable, '-c', HOLDER, fd], pass_fds=[fd], user=user))
        os.close(fd)
        return process


class Sharing(Case):
    def test_handed_on(self):
        """What Attach and Share gave works elsewhere when what it came from is closed and its maker has left."""
        self.start()
        publisher = self.published('clip', '--rate', 50, '--quiet')
        for user in [None, 'nobody'] if os.getuid() == 0 else [None]:
            viewers = [Viewer(self, 'clip', transport) for transport in TRANSPORTS]
            conn = self.bus.connect()
            fds = [self.share(viewer) for viewer in viewers] + [self.attach('clip', conn=conn)]
            self.assertEqual({s['pid'] for s in self.who()}, {os.getpid()})
            self.assertEqual(len(self.who()), 7)
            for viewer in viewers:
                if viewer.channel:
                    viewer.channel.close()
                viewer.bus.close_sync(None)
            conn.close_sync(None)
            fbtest.wait_until(lambda: len(self.who()) == 4, what='the end of those that were shared')
            holders = [self.handed_to(fd, user) for fd in fds]
            for holder in holders:
                self.assertEqual(holder.wait(), 0)
            fbtest.wait_until(lambda: not self.who(), what='the end of all')
        self.assertEqual(publisher.quit()['problems'], 0)

    def test_own_credit_and_losses(self):
        """One that does not read loses, the other does not; and each may share again."""
        self.start()
        hand = self.published_by_hand('clip')
        viewer = Viewer(self, 'clip', 'peer', window=16)
        hand.wait_event('sent')
        channel = self.open(self.share(viewer, window=2))
        again = self.open(channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'Share', GLib.Variant('(a{sv})', ({},)),
                                       with_fds=True)[1][0])
        for c in channel, again:
            c.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        self.send(hand, 5)
        self.assertEqual(viewer.wait_frames(6), [1, 2, 3, 4, 5, 6])
        for c in channel, again:
            lost = c.call(SUBSCRIPTION_PATH, programs.PROPERTIES, 'Get', GLib.Variant('(ss)', (SUBSCRIPTION, 'Lost')))
            self.assertGreaterEqual(lost[0]['no-credit'], 3)
        channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'Close')
        again.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (99,)))
        self.send(hand)
        fbtest.wait_until(lambda: any(f.unpack()[0] == 7 for f in again.named('Frame')), what='frame 7')

    def test_never_wider(self):
        """Neither when it is made nor by SetOptions later."""
        self.start()
        self.published('clip', '--rate', 50, '--quiet', '--leased')
        for transport in TRANSPORTS:
            with self.subTest(transport):
                viewer = Viewer(self, 'clip', transport, window=3, max_rate=(25, 1), memory=['sealed'])
                for options in ({'window': 4}, {'max_rate': (26, 1)}, {'max_rate': (0, 1)}):
                    self.raises('InvalidOption', self.share, viewer, **options, text='never wider')
                for options in ({'commits': GLib.Variant('o', '/')}, {'modes': GLib.Variant('aa{sv}', [])}):
                    self.raises('UnknownOption', self.share, viewer, **options)
                self.raises('NoCommonMemory', self.share, viewer, memory=['leased'], text='sealed')
                channel = self.open(self.share(viewer, window=2, max_rate=(20, 1)))
                for options in ({'window': 4}, {'max_rate': (0, 1)}):
                    parameters = GLib.Variant('(a{sv})', (programs.variants(options),))
                    self.raises('InvalidOption', channel.call, SUBSCRIPTION_PATH, SUBSCRIPTION, 'SetOptions',
                                parameters, text='never wider')
                parameters = GLib.Variant('(a{sv})', (programs.variants({'window': 3, 'max_rate': (25, 1)}),))
                channel.call(SUBSCRIPTION_PATH, SUBSCRIPTION, 'SetOptions', parameters)
                self.assertEqual({s['memory'] for s in self.who()}, {'sealed'})
                channel.close()

    def test_charged_to_the_maker(self):
        """They are among the maker's 16 channels, whoever asks for them; none without a maker, or a subscription."""
        self.start()
        publisher = self.published('clip', '--rate', 50, '--quiet')
        viewer = Viewer(self, 'clip', 'peer', window=16)
        fds = [self.share(viewer, window=1) for _ in range(15)]
        self.raises('LimitsExceeded', self.share, viewer, text='16 channels')
        self.raises('LimitsExceeded', self.attach, 'clip', None, viewer.bus, text='16 channels')
        os.close(fds.pop())
        fbtest.wait_until(lambda: len(self.who()) == 15, what='one less')
        fds.append(self.share(viewer))
        viewer.bus.close_sync(None)
        self.ping()
        self.raises('org.freedesktop.DBus.Error.AccessDenied', self.share, viewer, text='left the bus')
        viewer.release_up_to(2**63)
        channel = self.open(fds.pop())
        fbtest.wait_until(lambda: channel.named('Frame'), what='a frame')
        publisher.tell('destroy')
        for c in channel, viewer.channel:
            fbtest.wait_until(lambda: c.named('Ended') if c is channel else viewer.named('Ended'),   # noqa: B023
                              what='Ended')
        for fd in fds:
            os.close(fd)

    def test_guessed(self):
        """Another connection gets nothing by the path of a subscription."""
        self.start()
        self.published('clip', '--rate', 50, '--quiet')
        viewer = Viewer(self, 'clip', 'bus')
        stranger = self.bus.connect()
        for path in viewer.path, SUBSCRIPTION_PATH, SUBSCRIPTION_PATH + '/' + '0' * 32:
            self.raises('org.freedesktop.DBus.Error.UnknownObject', self.call, path, SUBSCRIPTION, 'Share',
                        GLib.Variant('(a{sv})', ({},)), stranger)


if __name__ == '__main__':
    fbtest.main()
