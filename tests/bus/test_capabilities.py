# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A stream's end is a capability: what one who holds it can do with it, and that nobody else can do anything. It is passed
along chains of processes that have ended by the time it is opened; it never becomes wider; its source's end, and that
of its maker's right, is told to every holder, once; and what others know of it, paths, numbers, process ids, is of no
use to them.
"""

import json
import os
import subprocess
import sys

import fbtest
import programs
from gi.repository import GLib
from programs import (INTROSPECTABLE, MANAGER, MANAGER_PATH, PROPERTIES, PUBLICATION, PUBLICATION_PATH, SOURCE,
                      SUBSCRIPTION, SUBSCRIPTION_PATH, TRANSPORTS, Channel, Viewer)

EMPTY = GLib.Variant('(a{sv})', ({},))

# Passes a descriptor on through so many processes, each of which has closed it and exited when the next one gets it;
# the last one opens it, tries to have more than it was given, and watches.
CHAIN = '''
import os, socket, sys
from gi.repository import Gio, GLib
def as_channel(fd):
    stream = Gio.Socket.new_from_fd(fd).connection_factory_create_connection()
    flags = Gio.DBusConnectionFlags
    return Gio.DBusConnection.new_sync(stream, None, flags.AUTHENTICATION_CLIENT | flags.DELAY_MESSAGE_PROCESSING,
                                       None, None)
fd, left = int(sys.argv[1]), int(sys.argv[2])
while left > 0:
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if os.fork() == 0:
        ours.close()
        os.close(fd)
        while os.getppid() == parent:   # until that one is gone, what it had sent is all that is left
            pass
        _data, fds, _flags, _address = socket.recv_fds(theirs, 1, 1)
        fd, left = fds[0], left - 1
        theirs.close()
        continue
    socket.send_fds(ours, [b'x'], [fd])
    os._exit(0)
conn = as_channel(fd)
seen = []
def on_frame(_conn, _sender, path, interface, _member, values):
    seen.append(values.get_child_value(0).get_uint64())
    conn.call(None, path, interface, 'Release', GLib.Variant('(at)', ([seen[-1]],)), None, 0, -1, None, None)
conn.signal_subscribe(None, None, 'Frame', None, None, 0, on_frame)
conn.start_message_processing()
refused = []
for member, options in (('SetOptions', {'window': GLib.Variant('u', 4)}), ('Share', {'window': GLib.Variant('u', 4)}),
                        ('SetOptions', {'max-rate': GLib.Variant('(uu)', (0, 1))})):
    try:
        conn.call_sync(None, '/org/framebus/subscription', 'org.framebus.Subscription1', member,
                       GLib.Variant('(a{sv})', (options,)), None, 0, -1, None)
    except GLib.Error as error:
        refused.append(Gio.DBusError.get_remote_error(error).rpartition('.')[2])
while len(seen) < 8:
    GLib.MainContext.default().iteration(True)
print('seen', *refused, flush=True)
'''

# Calls whatever it is told by lines of [path, interface, member, signature as GVariant text], and says what came of it.
STRANGER = '''
import json, sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags
conn = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION,
                                               None, None)
for line in sys.stdin:
    path, interface, member, arguments = json.loads(line)
    try:
        if interface == 'open':
            open(path, 'rb').close()
        else:
            conn.call_sync('org.framebus', path, interface, member,
                           GLib.Variant.parse(None, arguments, None, None) if arguments else None, None, 0, -1, None)
        print(json.dumps('done'), flush=True)
    except OSError as error:
        print(json.dumps(error.strerror), flush=True)
    except GLib.Error as error:
        print(json.dumps(error.message.replace(path, 'PATH')), flush=True)
'''


class Case(programs.TestCase):
    def share(self, conn, path, **options):
        parameters = GLib.Variant('(a{sv})', (programs.variants(options),))
        name = None if path == SUBSCRIPTION_PATH else 'org.framebus'
        return fbtest.call(conn, name, path, SUBSCRIPTION, 'Share', parameters, with_fds=True)[1][0]

    def open(self, fd):
        channel = Channel(fd)
        self.addCleanup(channel.close)
        return channel


class Passing(Case):
    def chain(self, fd, n):
        process = self.enter(fbtest.Process([sys.executable, '-c', CHAIN, fd, n], pass_fds=[fd]))
        os.close(fd)
        return process

    def test_chain(self):
        """Of processes: no holder needs any one before it, nor who made it. Nowhere in it does it become wider."""
        self.start()
        publisher = self.published('clip', '--rate', 100, '--quiet')
        viewers = [Viewer(self, 'clip', transport, window=3, max_rate=(60, 1)) for transport in TRANSPORTS]
        maker = self.bus.connect()
        fds = [self.share(v.channel.conn if v.channel else v.bus, v.path, window=2) for v in viewers]
        fds.append(self.attach('clip', programs.variants({'window': 2}), maker))
        # shares of shares
        first = self.open(self.share(viewers[1].channel.conn, SUBSCRIPTION_PATH, window=2))
        fds.append(self.share(first.conn, SUBSCRIPTION_PATH))
        first.close()
        for viewer in viewers:
            if viewer.channel:
                viewer.channel.close()
            viewer.bus.close_sync(None)
        maker.close_sync(None)
        holders = [self.chain(fd, 4) for fd in fds]
        for holder in holders:
            fbtest.wait_until(lambda h=holder: 'seen' in h.out(), 20, 'eight frames at the end of the chain')
        # who attached may change its options, within what anybody may have
        own = [h.out().split()[1:] for h in holders]
        # nothing more is shared for a maker that has left
        self.assertEqual(own, [['InvalidOption', 'AccessDenied', 'InvalidOption']] * 3 + [['AccessDenied']] +
                         [['InvalidOption', 'AccessDenied', 'InvalidOption']])
        for holder in holders:
            self.assertEqual(holder.wait(), 0)
        fbtest.wait_until(lambda: not self.who(), what='the end of all')
        self.assertEqual(publisher.quit()['problems'], 0)


class Ending(Case):
    """All that holds a source, when that ends."""

    def begin(self, *args):
        self.start()
        self.hand = self.published('clip', '--frames', 4, '--stay', '--rate', 1000, '--size', '64x48', '--leased',
                                   *args)
        env = {**self.bus.env(), 'FRAMEBUS_ADDRESS': self.bus.address}
        self.library = [self.enter(programs.Program('lib-witness', '--any-picture', *more, 'clip', env=env))
                        for more in ((), ('--bus',), ('--hold', 4))]
        for witness in self.library:
            witness.wait_event('attached')
        # with frames in flight, and nothing released
        self.viewers = [Viewer(self, 'clip', transport, memory=[kind]) for transport in TRANSPORTS
                        for kind in ('leased', 'sealed')]
        peer = self.viewers[2]
        self.shared = self.open(self.share(peer.channel.conn, SUBSCRIPTION_PATH))
        self.shared.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        self.unopened = [self.share(peer.channel.conn, SUBSCRIPTION_PATH), self.share(self.viewers[0].bus,
                         self.viewers[0].path), self.attach('clip', None, self.bus.connect())]
        for _ in range(6):
            self.hand.tell('send')
        for viewer in self.viewers:
            fbtest.wait_until(lambda v=viewer: len(v.frames()) >= 4, 15, 'frames in flight')
        self.gone = self.record('InterfacesRemoved')

    def told(self, reason):
        """Each of them is told so once, and nothing after it."""
        for viewer in self.viewers:
            viewer.wait_event('Ended')
        for witness in self.library:
            witness.wait_event('ended')
        fbtest.wait_until(lambda: self.shared.named('Ended'), what='the end of what is shared')
        unopened = [self.open(fd) for fd in self.unopened]
        for channel in unopened:
            fbtest.wait_until(lambda c=channel: c.named('Ended'), what='the end of what was not opened')
        for channel in (*unopened, self.shared, *(v.channel for v in self.viewers if v.channel)):
            fbtest.wait_until(channel.conn.is_closed, what='hang-up')
        self.ping()
        for channel in (*unopened, self.shared):
            members = [member for member, _values in channel.signals]
            self.assertEqual(members.count('Ended'), 1, members)
            self.assertEqual(members[-1], 'Ended')
        for channel in unopened:
            self.assertEqual([m for m, _v in channel.signals if m != 'Lost'], ['Ended'])
        for viewer in self.viewers:
            self.assertEqual([e[0] for e in viewer.events].count('Ended'), 1)
            self.assertEqual((viewer.events[-1][0], viewer.events[-1][2]), ('Ended', reason))
        for witness in self.library:
            witness.quit()
            events = [e['event'] for e in witness.events() if e['event'] != 'summary']
            self.assertEqual((events.count('ended'), events[-1]), (1, 'ended'))
            self.assertEqual(witness.events('ended')[0]['reason'], reason)
        self.assertEqual(self.who(), [])

    def test_destroyed(self):
        self.begin()
        self.hand.tell('destroy')
        self.told('destroyed')
        self.hand.wait_event('disconnected')
        self.assertEqual(len(self.gone), 1)

    def test_publisher_killed(self):
        self.begin()
        self.hand.kill()
        self.told('destroyed')

    def test_replaced(self):
        self.begin('--opt', 'allow-replacement=b:true', '--opt', 'queue=b:true')
        other = self.publisher('clip', '--opt', 'replace=b:true')
        other.wait_event('published')
        self.told('replaced')
        self.assertEqual((other.events('start'), len(self.hand.wait_event('stop'))), ([], 2))
        self.hand.quit()

    def test_broker_ends(self):
        """A channel that nobody has opened cannot be opened any more."""
        self.begin()
        for witness in self.library:        # for these that is no end: they attach again
            witness.quit()
        self.library = []
        fds = self.unopened
        self.unopened = []
        self.broker.stop()
        for viewer in self.viewers:
            fbtest.wait_until(lambda v=viewer: v.named('Ended'), what='the end')
            self.assertEqual((viewer.events[-1][0], viewer.events[-1][2]), ('Ended', 'shutdown'))
        for fd in fds:
            with self.assertRaises((GLib.Error, OSError)):
                Channel(fd)


class Revoking(Case):
    """Who may not watch any more: all that it made ends, wherever it is by now."""

    ALLOWED = 'allow user:root * publish,watch,admin\nallow user:nobody clip watch\n'
    REVOKED = 'deny user:root clip watch\n' + ALLOWED

    def begin(self):
        fbtest.need_root()
        self.bus = self.enter(fbtest.Bus(bus_type='system'))
        self.config = self.enter(fbtest.Config(rules={'clip': self.ALLOWED}))
        self.broker = self.enter(fbtest.Broker(self.bus, self.config, env=self.broker_env()))
        self.conn = self.bus.connect()

    def revoke(self):
        self.config.write('access.d/clip.rules', self.REVOKED)
        self.call(MANAGER_PATH, MANAGER, 'Reload')

    def test_with_its_maker(self):
        """Channels that were handed on, to whom it may concern, opened or not, though their maker has left the bus."""
        self.begin()
        hand = self.published_by_hand('clip')
        beside = self.client('clip', 'peer', '--window', 8, user='nobody')
        beside.wait_frames(1)
        viewers = [Viewer(self, 'clip', transport) for transport in TRANSPORTS]
        shared = self.open(self.share(viewers[1].channel.conn, SUBSCRIPTION_PATH))
        second = self.open(self.share(shared.conn, SUBSCRIPTION_PATH))
        unopened = [self.share(shared.conn, SUBSCRIPTION_PATH), self.share(viewers[0].bus, viewers[0].path)]
        maker = self.bus.connect()
        unopened.append(self.attach('clip', None, maker))
        maker.close_sync(None)
        for channel in shared, second:
            channel.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        self.send(hand)
        for channel in shared, second:
            fbtest.wait_until(lambda c=channel: c.named('Frame'), what='a frame')
        self.revoke()
        self.assertEqual({s['uid'] for s in self.who()}, {65534})
        self.send(hand, 3)
        unopened = [self.open(fd) for fd in unopened]
        for channel in (shared, second, *unopened):
            fbtest.wait_until(lambda c=channel: c.named('Ended'), what='the end')
            fbtest.wait_until(channel.conn.is_closed, what='hang-up')
            members = [member for member, _values in channel.signals]
            self.assertEqual((members.count('Ended'), members[-1]), (1, 'Ended'))
            self.assertEqual(channel.named('Ended')[0].unpack()[1], 'revoked')
            self.assertFalse(channel in unopened and 'Frame' in members, members)
        for viewer in viewers:
            self.assertEqual(viewer.wait_event('Ended')[1], 'revoked')
            self.assertEqual(viewer.events[-1][0], 'Ended')
            self.assertLess(max(viewer.frames()), 3)
        self.raises('org.freedesktop.DBus.Error.AccessDenied', self.attach, 'clip')
        beside.wait_frames(5)
        beside.quit()
        self.assert_complete(beside)
        hand.quit()

    def test_what_it_kept(self):
        """Of memory that is lent: mappings that it kept show nothing of what is published afterwards."""
        self.begin()
        env = {**self.bus.env(), 'FRAMEBUS_ADDRESS': self.bus.address}
        publisher = self.enter(programs.Program('lib-publisher', '--size', '128x96', 'clip', env=env))
        publisher.wait_event('published')
        beside = self.enter(programs.Program('lib-witness', '--sealed', '--hold', 1, 'clip', env=env, user='nobody'))
        taken = [self.enter(programs.Program('lib-witness', *args, 'clip', env=env))
                 for args in ((), ('--bus',), ('--hold', 3))]
        for witness in (beside, *taken):
            witness.wait_event('attached')
        frames = self.source_get('clip', 'Frames')
        fbtest.wait_until(lambda: self.source_get('clip', 'Frames') > frames + 100, 30, 'frames')
        self.revoke()
        for witness in taken:
            self.assertEqual(witness.wait_event('ended')['reason'], 'revoked')
            witness.tell('remember')
            self.assertGreater(witness.wait_event('remembered')['kept'], 2)
        publisher.tell('mark')
        newest = publisher.wait_event('mark')['stamp']
        frames = self.source_get('clip', 'Frames')
        fbtest.wait_until(lambda: self.source_get('clip', 'Frames') > frames + fbtest.count(500, 50000), 200, 'frames')
        for witness in taken:
            # what the publisher was drawing at that moment is drawn, but refused if it comes
            witness.tell('look')
            looked = witness.wait_event('looked')
            self.assertLessEqual(looked['newest'], newest)
            self.assertEqual(witness.quit()['problems'], 0, witness.events('problem'))
        self.assertEqual(beside.quit()['problems'], 0, beside.events('problem'))
        publisher.tell('quit')
        publisher.wait()
        self.assertLessEqual({e['what'] for e in publisher.events('problem')},
                             {'the buffer was retired when the frame was under way'})


class Guessing(Case):
    """Who knows a path, a number or where a descriptor is has nothing of it."""

    def stranger(self, user):
        process = self.enter(fbtest.Process([sys.executable, '-c', STRANGER, self.bus.address], user=user,
                                            stdin=subprocess.PIPE))
        said = []

        def ask(*line):
            process.stdin.write((json.dumps(line) + '\n').encode())
            process.stdin.flush()
            said.append(line)
            fbtest.wait_until(lambda: len(process.out().splitlines()) == len(said), 15, f'{line}: {process.log()}')
            return json.loads(process.out().splitlines()[-1])
        return ask

    # what can be asked of an object, with arguments that would do something if it were there
    MEMBERS = [(SUBSCRIPTION, 'Release', '(@at [1, 2, 3],)'),
               (SUBSCRIPTION, 'ReleaseUpTo', '(@t 9223372036854775807,)'),
               (SUBSCRIPTION, 'SetOptions', '(@a{sv} {"window": <uint32 1>},)'),
               (SUBSCRIPTION, 'Share', '(@a{sv} {},)'), (SUBSCRIPTION, 'GetOrder', ''), (SUBSCRIPTION, 'Close', ''),
               (PUBLICATION, 'Destroy', ''), (PUBLICATION, 'State', '("failed", "so there")'),
               (PUBLICATION, 'Forget', '(@at [1, 2, 3],)'),
               (PROPERTIES, 'GetAll', f'("{SUBSCRIPTION}",)'), (PROPERTIES, 'Get', f'("{SUBSCRIPTION}", "Window")'),
               (INTROSPECTABLE, 'Introspect', '')]

    def guess(self, ask):
        viewer = Viewer(self, 'clip', 'bus', window=4)
        peer = Viewer(self, 'clip', 'peer', window=4)
        for each in viewer, peer:           # who never released anything for two seconds is ended
            each.release(*each.wait_frames(1))
        self.send(self.hand)
        for each in viewer, peer:
            each.wait_frames(2)
        missing = SUBSCRIPTION_PATH + '/' + '0' * 32
        for interface, member, arguments in self.MEMBERS:
            expected = ask(missing, interface, member, arguments)
            self.assertRegex(expected, 'UnknownObject|UnknownInterface|UnknownMethod', member)
            self.assertEqual(ask(viewer.path, interface, member, arguments), expected, member)
            for path in PUBLICATION_PATH, SUBSCRIPTION_PATH, MANAGER_PATH:
                if interface in (SUBSCRIPTION, PUBLICATION):
                    self.assertRegex(ask(path, interface, member, arguments), '[Uu]nknown', (path, member))
        self.send(self.hand)
        for each in viewer, peer:           # they go on as if nothing had been
            each.wait_frames(3)
            self.assertEqual((each.get('InFlight'), each.get('Window')), (2, 4))
            self.assertEqual([e[0] for e in each.events if e[0] not in ('Frame', 'FormatChanged')], [])
            (each.channel.close if each.channel else lambda: None)()
            each.bus.close_sync(None)
        fbtest.wait_until(lambda: not self.who(), what='nobody')

    def test_same_user(self):
        self.start()
        self.hand = self.published_by_hand('clip')
        self.guess(self.stranger(None))
        self.hand.quit()

    def test_other_user(self):
        fbtest.need_root()
        self.start(bus_type='system')
        self.hand = self.published_by_hand('clip')
        ask = self.stranger('nobody')
        self.guess(ask)
        for pid in self.broker.pid, self.hand.pid:
            for fd in os.listdir(f'/proc/{pid}/fd'):
                self.assertRegex(ask(f'/proc/{pid}/fd/{fd}', 'open', '', ''), 'Permission denied|No such file')
        self.hand.quit()

    def test_on_a_channel(self):
        """A channel leads to its subscription, and to nothing else of the broker; neither does a publisher's."""
        self.start()
        self.hand = self.published_by_hand('clip')
        other = Viewer(self, 'clip', 'bus')
        channel = self.open_channel('clip')
        channel.call(SUBSCRIPTION_PATH, programs.PEER, 'Ping')
        _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', ('mine', {})),
                                 with_fds=True)
        publication = self.open(fds[0])
        source = self.resolve('clip')
        for path, interface, member, arguments in [
                (MANAGER_PATH, MANAGER, 'Who', None),
                (MANAGER_PATH, MANAGER, 'Resolve', GLib.Variant('(s)', ('clip',))),
                (source, SOURCE, 'Attach', EMPTY), (source, SOURCE, 'Negotiate', EMPTY),
                (other.path, SUBSCRIPTION, 'Close', None), (other.path, SUBSCRIPTION, 'Share', EMPTY),
                (MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', None)]:
            for end in channel, publication:
                self.raises('org.freedesktop.DBus.Error.UnknownObject', end.call, path, interface, member, arguments)
        for end, path, interface, member in [(channel, PUBLICATION_PATH, PUBLICATION, 'Destroy'),
                                             (publication, SUBSCRIPTION_PATH, SUBSCRIPTION, 'Close')]:
            self.raises('org.freedesktop.DBus.Error.UnknownObject', end.call, path, interface, member)
        self.assertEqual(len(self.who()), 2)
        self.assertEqual(other.get('Window'), 4)


if __name__ == '__main__':
    fbtest.main()
