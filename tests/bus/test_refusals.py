# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Wrong input. Each kind has an error of its own that says what is wrong, changes nothing, costs nobody else anything and
leaves nothing behind: the broker's descriptors are counted before and after. Shows promise 12 (nobody has to guess),
and rows 2, 4 and 24 of the kdbus-era suite (what is refused of publishers and of who asks).
"""

import os
import pathlib
import socket
import subprocess
import threading
import time

import fbtest
import programs
from gi.repository import GLib
from programs import (MANAGER, MANAGER_PATH, PATTERN, PEERS, PROPERTIES, SOURCE, SUBSCRIPTION, TRANSPORTS, Viewer)

UNKNOWN_OBJECT = 'org.freedesktop.DBus.Error.UnknownObject'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'


def vardict(*pairs):
    """a{sv} in which keys may be twice."""
    builder = GLib.VariantBuilder(GLib.VariantType('a{sv}'))
    for key, value in pairs:
        builder.add_value(GLib.Variant.new_dict_entry(GLib.Variant('s', key), GLib.Variant('v', value)))
    return builder.end()


def modes(*dictionaries):
    return GLib.Variant('aa{sv}', dictionaries)


def u(value):
    return GLib.Variant('u', value)


# Options that are refused: what is wrong, the error, what its message says
OPTIONS = [
    ([('colour', u(1))], 'UnknownOption', "'colour'"),
    ([('', u(1))], 'UnknownOption', "''"),
    ([('Window', u(4))], 'UnknownOption', "'Window'"),
    ([('mode', GLib.Variant('a{sv}', {}))], 'UnknownOption', "'mode'"),
    ([('window', u(4)), ('queue', u(4))], 'UnknownOption', "'queue'"),
    ([('window', GLib.Variant('i', 4))], 'InvalidOption', "'window'.*'u' from 1 to 16"),
    ([('window', GLib.Variant('v', u(4)))], 'InvalidOption', "'window'"),
    ([('window', u(4)), ('window', u(5))], 'InvalidOption', "'window'"),
    ([('window', u(0))], 'InvalidOption', "'window'.*1 to 16"),
    ([('window', u(17))], 'InvalidOption', "'window'.*1 to 16"),
    ([('window', u(1000))], 'InvalidOption', "'window'.*1 to 16"),
    ([('drop', GLib.Variant('s', 'oldest'))], 'InvalidOption', "'drop'.*newest.*latest"),
    ([('drop', GLib.Variant('b', True))], 'InvalidOption', "'drop'"),
    ([('memory', GLib.Variant('s', 'sealed'))], 'InvalidOption', "'memory'"),
    ([('memory', GLib.Variant('as', []))], 'InvalidOption', "'memory'"),
    ([('memory', GLib.Variant('as', ['unsealed']))], 'InvalidOption', "'memory'"),
    ([('memory', GLib.Variant('as', ['leased', 'dmabuf']))], 'NoCommonMemory', 'leased.*sealed'),
    ([('order', GLib.Variant('s', 'none'))], 'InvalidOption', "'order'.*fifo"),
    ([('commits', GLib.Variant('o', '/'))], 'UnknownOption', 'commits'),
    ([('max-rate', GLib.Variant('(uu)', (1, 0)))], 'InvalidOption', "'max-rate'"),
    ([('max-rate', u(1))], 'InvalidOption', "'max-rate'"),
    ([('replay', GLib.Variant('s', 'yes'))], 'InvalidOption', "'replay'"),
    ([('modes', GLib.Variant('as', ['NV12']))], 'InvalidOption', "'modes'"),
    ([('modes', modes({'colour': u(1)}))], 'InvalidOption|UnknownOption', "'(modes|colour)'"),
    ([('modes', modes({'width': GLib.Variant('s', 'wide')}))], 'InvalidOption', "'modes'"),
    ([('modes', modes(*[{}] * 257))], 'InvalidOption', "'modes'.*256"),
    ([('modes', modes({'fourcc': u(0x20303020)}))], 'NoCommonMode', 'you accept.*bars.* has '),
    ([('modes', modes({'width': u(99999)}))], 'InvalidOption', "'modes'"),
    ([('modes', modes({'width': u(30000)}, {'width': u(30002)}))], 'NoCommonMode', '30000.*8192'),
    ([('modes', modes({'rate': GLib.Variant('(uu)', (100000, 1))}))], 'NoCommonMode', '100000'),
]


class Requests(programs.TestCase):
    def refused(self, error, function, *args, text=None, **options):
        """One of several errors, and that nothing comes of it."""
        with self.assertRaises(GLib.Error) as caught:
            function(*args, **options)
        name, message = fbtest.error_name(caught.exception), caught.exception.message.partition(': ')[2]
        self.assertIn(name, [e if '.' in e else programs.ERROR + e for e in error.split('|')], message)
        if text:
            self.assertRegex(message, text)

    def test_options(self):
        """Each of the four calls refuses each of the wrong options, by name and key."""
        self.start({'bars': PATTERN})
        self.on_source('bars', 'Negotiate')
        fbtest.wait_until(lambda: not self.workers(), 10)
        path, before = self.resolve('bars'), self.least_fds()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        for pairs, error, text in OPTIONS:
            options = vardict(*pairs)
            for member in 'Negotiate', 'Subscribe', 'Attach':
                with self.subTest(f'{member} {pairs}'):
                    self.refused(error, self.call, path, SOURCE, member, GLib.Variant.new_tuple(options), text=text)
            with self.subTest(f'AttachTo {pairs}'):
                self.refused(error, self.call, path, SOURCE, 'AttachTo',
                             GLib.Variant.new_tuple(GLib.Variant('h', 0), options), fds=[theirs.fileno()], text=text)
        self.assertEqual(self.who(), [])
        fbtest.wait_until(lambda: not self.workers(), 10)
        self.fds_are(before)
        self.assertEqual(self.source_get('bars', 'State'), 'idle')

    def test_arguments(self):
        """Calls of another signature, and members that there are not."""
        self.start({'bars': PATTERN})
        path = self.resolve('bars')
        for values in None, GLib.Variant('(s)', ('x',)), GLib.Variant('(a{ss})', ({},)):
            self.raises(INVALID_ARGS, self.call, path, SOURCE, 'Attach', values)
        self.raises('org.freedesktop.DBus.Error.UnknownMethod', self.call, path, SOURCE, 'Detach')
        self.raises('org.freedesktop.DBus.Error.UnknownMethod', self.call, path, MANAGER, 'Who')
        self.raises('org.freedesktop.DBus.Error.PropertyReadOnly', self.call, path, PROPERTIES, 'Set',
                    GLib.Variant('(ssv)', (SOURCE, 'Name', GLib.Variant('s', 'mine'))))
        self.raises('org.freedesktop.DBus.Error.UnknownProperty', self.get, path, SOURCE, 'Colour')

    def test_sockets(self):
        """AttachTo takes a connected AF_UNIX stream of the caller's own, and says why another is none."""
        self.start({'bars': PATTERN})
        self.on_source('bars', 'Negotiate')
        fbtest.wait_until(lambda: not self.workers(), 10)
        path, before = self.resolve('bars'), self.least_fds()

        def attach_to(fd):
            self.call(path, SOURCE, 'AttachTo', GLib.Variant('(ha{sv})', (0, {})), fds=[fd])

        pipe = os.pipe()
        datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        packets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(b'\0fbtest-%d' % os.getpid())
        listening.listen()
        server = socket.create_server(('127.0.0.1', 0))
        tcp = socket.create_connection(server.getsockname())
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        half = socket.socketpair()
        half[1].close()
        held = [*datagrams, *packets, listening, server, tcp, udp, half[0], socket.socket(socket.AF_UNIX)]
        wrong = [(pipe[0], 'socket'), (pipe[1], 'socket'), (datagrams[0].fileno(), 'stream'),
                 (packets[0].fileno(), 'stream'), (listening.fileno(), 'connected'), (held[-1].fileno(), 'connected'),
                 (tcp.fileno(), 'AF_UNIX'), (server.fileno(), 'AF_UNIX'), (udp.fileno(), 'AF_UNIX'),
                 (os.open('/dev/null', os.O_RDWR), 'socket'), (os.open('/tmp', os.O_PATH), 'socket'),
                 (os.memfd_create('x'), 'socket')]
        for fd, text in wrong:
            with self.subTest(os.readlink(f'/proc/self/fd/{fd}')):
                self.raises('InvalidSocket', attach_to, fd, text=text)
        for fd in {fd for fd, _ in wrong} - {s.fileno() for s in held} | {*pipe}:
            os.close(fd)
        attach_to(half[0].fileno())             # hung up already: it ends at once
        fbtest.wait_until(lambda: not self.who(), what='its end')
        for s in held:
            s.close()
        fbtest.wait_until(lambda: not self.workers(), 10)
        self.fds_are(before)

    def test_socket_of_another_user(self):
        """A connection that another user made is not the caller's to give away."""
        fbtest.need_root()
        self.start(bus_type='system')
        self.published('clip')
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(b'\0fbtest-other-%d' % os.getpid())
            listening.listen()
            other = self.enter(fbtest.Process(
                ['/usr/bin/python3', '-c', 'import socket, time; s = socket.socket(socket.AF_UNIX); '
                 f's.connect(b"\\0fbtest-other-{os.getpid()}"); time.sleep(60)'], user='nobody'))
            connection, _ = listening.accept()
        with connection:
            self.raises('InvalidSocket', self.call, self.resolve('clip'), SOURCE, 'AttachTo',
                        GLib.Variant('(ha{sv})', (0, {})), fds=[connection.fileno()], text='another user')
        other.stop()
        self.assertEqual(self.who(), [])


class Publishers(programs.TestCase):
    def publish(self, name, conn=None, **options):
        result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (name, {
            k.replace('_', '-'): v if isinstance(v, GLib.Variant) else GLib.Variant('b', v)
            for k, v in options.items()})), conn, with_fds=True)
        return result[0], fds[0]

    def test_names(self):
        self.start({'bars': PATTERN})
        before = self.least_fds()
        for name in '', '/', 'a/b', '../x', '.hidden', 'a b', 'gr\u00fc\u00df', 'x' * 65, 'a\nb', '*':
            self.raises('InvalidName', self.publish, name, text='1 to 64 characters')
        self.raises('NameTaken', self.publish, 'bars', text="'bars'")
        self.raises('NameTaken', self.publish, 'bars', replace=True, queue=True)
        self.fds_are(before)
        for name in 'x' * 64, 'A-Z_a.z:0', '0':
            os.close(self.publish(name)[1])
        self.fds_are(before)

    def test_options(self):
        self.start()
        before = self.least_fds()
        self.raises('UnknownOption', self.publish, 'clip', colour=True, text="'colour'")
        self.raises('InvalidOption', self.publish, 'clip', queue=u(1), text="'queue'")
        for key in 'description', 'driver':
            self.raises('InvalidOption', self.publish, 'clip', **{key: GLib.Variant('s', 'x' * 257)}, text=f"'{key}'")
        self.raises('NoSuchSource', self.resolve, 'clip')
        self.fds_are(before)

    def test_taken(self):
        """A name has one owner, who may be replaced if he said so; who queues comes next."""
        self.start()
        first = self.published('clip', '--rate', 60, '--opt', 'allow-replacement=b:true')
        viewers = [self.client('clip', t) for t in TRANSPORTS]
        for viewer in viewers:
            viewer.wait_frames(3)
        self.raises('NameTaken', self.publish, 'clip')
        queued = self.publisher('clip', '--opt', 'queue=b:true', '--format', 'NV12')
        self.assertEqual(queued.wait_event('published')['path'], self.resolve('clip'))
        for viewer in viewers:
            viewer.wait_frames(len(viewer.frames()) + 3)
        second = self.publisher('clip', '--rate', 60, '--opt', 'replace=b:true')
        second.wait_event('published')
        for viewer in viewers:
            viewer.finish()
            self.assertEqual(viewer.events('ended')[0]['reason'], 'replaced')
        first.wait_event('disconnected')
        third = self.enter(programs.Program('fb-publisher', '--address', self.bus.address, '--name', 'clip', '--opt',
                                            'replace=b:true'))
        third.finish(3)
        self.assertEqual(third.events('error')[0]['name'], 'org.framebus.Error.NameTaken')
        again = self.client('clip', 'peer')
        again.wait_frames(5)
        self.assertEqual(queued.events('start'), [])
        second.quit()
        again.finish()
        self.assertEqual(again.events('ended')[0]['reason'], 'destroyed')
        last = self.client('clip', 'peer', '--frames', 3)
        last.finish()
        self.assertEqual(last.frames()[0]['n_planes'], 2)
        self.assertEqual(len(queued.events('start')), 1)
        queued.quit()
        self.raises('NoSuchSource', self.resolve, 'clip')

    def test_queue_in_order(self):
        """Who leaves the line is skipped."""
        self.start()
        fds = [self.publish('clip', queue=True)[1] for _ in range(4)]
        os.close(fds[1])
        gone = self.record('InterfacesRemoved')
        os.close(fds[0])
        fbtest.wait_until(lambda: gone, what='the end of the first')
        self.raises('NameTaken', self.publish, 'clip')
        os.close(fds[2])
        fbtest.wait_until(lambda: len(gone) == 2, what='the end of the third')
        self.raises('NameTaken', self.publish, 'clip')
        os.close(fds[3])
        fbtest.wait_until(lambda: len(gone) == 3, what='the end of the last')
        os.close(self.publish('clip')[1])


# Ways to be wrong that fb-publisher knows: the error, and what its message says
FRAMES = {
    'unsealed': ('NotSealed', 'seal'),
    'partly-sealed': ('NotSealed', 'seal'),
    'no-shrink-seal': ('NotSealed', 'seal'),
    'no-grow-seal': ('NotSealed', 'seal'),
    'no-seal-seal': ('NotSealed', 'seal'),
    'future-write': ('NotSealed', 'seal'),
    'short': ('InvalidMemory', 'past|end|short'),
    'empty': ('InvalidMemory', 'past|end|short|empty'),
    'pipe': ('InvalidMemory', 'memfd'),
    'socket': ('InvalidMemory', 'memfd'),
    'dev-null': ('InvalidMemory', 'memfd'),
    'file': ('InvalidMemory', 'memfd'),
    'o-path': ('InvalidMemory', 'memfd|O_PATH'),
    'hugetlb': ('InvalidMemory', 'huge|memfd'),
    'plane-past-end': ('InvalidMemory', 'past|end'),
    'plane-overflow': ('InvalidMemory', 'past|end|overflow'),
    'plane-empty': ('InvalidFrame', 'plane'),
    'plane-small': ('InvalidFrame', 'plane'),
    'stride-short': ('InvalidFrame', 'stride'),
    'stride-huge': ('InvalidFrame|InvalidMemory', 'plane|stride'),
    'bad-index': ('InvalidFrame', 'memory that is not there'),
    'many-planes': ('InvalidFrame', 'more than 4 planes'),
    'one-plane-more': ('InvalidFrame', 'plane'),
    'no-planes': ('InvalidFrame', 'plane'),
    'no-memory': ('InvalidFrame', 'memory'),
    'five-memories': ('InvalidFrame', 'more than 4'),
    'many-memories': ('InvalidFrame', 'more than 4'),
    'seq-backwards': ('InvalidFrame', 'sequence number'),
    'seq-zero': ('InvalidFrame', 'sequence number'),
    'bad-format': ('InvalidFrame', 'format'),
    'bad-flags': ('InvalidFrame', 'flag'),
    'replayed-flag': ('InvalidFrame', 'flag'),
    'leased-flag': ('NotSealed', 'sealed'),
    'meta-type': ('InvalidFrame', 'meta'),
    'meta-fd': ('InvalidFrame', 'meta'),
    'meta-large': ('InvalidFrame', 'meta'),
    'wrong-signature': (INVALID_ARGS, '.'),
}
HARMLESS = {'order-set'}      # the broker puts its own there


class Frames(programs.TestCase):
    def test_all_ways(self):
        """Row 2, 4: each wrong frame is refused by name, lost by "corrupt", and the next one arrives."""
        status, out, _err = fbtest.run([fbtest.build_path('tests/bus/client/fb-publisher'), '--bad', 'list'])
        self.assertEqual((status, set(out.split())), (0, set(FRAMES) | HARMLESS))
        for reply in False, True:
            self.start()
            publisher = self.published('clip', '--frames', 1, '--stay', '--rate', 1000, '--format', 'NV12',
                                       *['--reply'] * reply)
            viewers = [Viewer(self, 'clip', t, window=2) for t in TRANSPORTS]
            for viewer in viewers:
                viewer.wait_frames(1)
                viewer.release_up_to(100)
            before = self.least_fds()
            for n, way in enumerate(FRAMES):
                with self.subTest(way, reply=reply):
                    self.one_way(publisher, viewers, way, reply)
            self.assertLessEqual(fbtest.proc_fds(self.broker.pid), before + 4)
            self.assertEqual(publisher.events('disconnected'), [])

    def one_way(self, publisher, viewers, way, reply):
        for viewer in viewers:
            viewer.events.clear()
        publisher.tell('send', way)
        sent = publisher.wait_event('sent', bad=way)
        if 'failed' in sent and way == 'hugetlb':
            raise fbtest.unittest.SkipTest('no huge pages here')
        error, text = FRAMES[way]
        if reply:
            answer = publisher.wait_event('reply', len(publisher.events('sent')))
        elif way == 'wrong-signature':
            answer = None           # sd-bus does not even dispatch it
        else:
            number = len([e for e in publisher.events('sent') if e['bad'] not in (None, 'wrong-signature')])
            answer = publisher.wait_event('refused', number)
            self.assertEqual(answer['seq'], sent['seq'])
        if answer:
            self.assertIn(answer['name'], [e if '.' in e else programs.ERROR + e for e in error.split('|')])
            self.assertRegex(answer['text'], text)
        publisher.tell('send')
        for viewer in viewers:
            last = viewer.wait_frames(1)[0]
            viewer.release(last)
            # a number that was used before is a frame too many, and its own is missing
            lost = {'wrong-signature': [(1, 'source')], 'seq-backwards': [(1, 'source'), (1, 'corrupt')],
                    'seq-zero': [(1, 'source'), (1, 'corrupt')]}.get(way, [(1, 'corrupt')])
            self.assertEqual(viewer.story(), [*lost, last])

    def test_before_the_format(self):
        """Frames in a format that was never announced."""
        self.start()
        publisher = self.published('clip', '--no-format', '--rate', 30)
        viewer = Viewer(self, 'clip', 'peer')
        self.assertIn('FormatChanged', publisher.wait_event('refused')['text'])
        viewer.sync()
        self.assertEqual(viewer.frames(), [])
        publisher.quit()

    def test_flooding_publisher(self):
        """One that sends at full speed and reads next to nothing is its own problem: at worst it is hung up on."""
        self.start({'bars': PATTERN})
        before = self.least_fds()
        other = self.client('bars', 'peer', '--window', 16)
        other.wait_frames(3)
        for transport in TRANSPORTS:
            publisher = self.published('clip', '--burst', '--ignore-window', '--quiet')
            viewer = self.client('clip', transport, '--quiet', '--frames', 1000)
            other.wait_frames(len(other.frames()) + 10)
            self.assertLess(self.ping(20), fbtest.limit(1))
            publisher.kill()
            viewer.finish()
            self.assert_exact(viewer)
            self.assertLessEqual({e['reason'] for e in viewer.events('ended')}, {'destroyed'})
        other.quit()
        self.assert_complete(other)
        fbtest.wait_until(lambda: not self.workers(), 10)
        self.fds_are(before)

    def test_words(self):
        """What else a publisher can say wrongly; it stays connected."""
        self.start()
        _path, fd = Publishers.publish(self, 'clip')
        channel = programs.Channel(fd)
        self.addCleanup(channel.close)

        def say(member, signature, *values):
            channel.call(programs.PUBLICATION_PATH, programs.PUBLICATION, member,
                         GLib.Variant(signature, values) if signature else None)

        mode = {'fourcc': u(0x3231564e), 'width': u(64), 'height': u(48), 'rate': GLib.Variant('(uu)', (30, 1))}
        self.raises('InvalidOption', say, 'Modes', '(aa{sv})', [], text='1 to 512')
        self.raises('InvalidOption', say, 'Modes', '(aa{sv})', [{'width': u(64)}])
        self.raises('InvalidOption', say, 'Modes', '(aa{sv})', [{**mode, 'width': GLib.Variant('s', 'wide')}],
                    text="'width'")
        self.raises('InvalidOption', say, 'Modes', '(aa{sv})', [mode] * 513)
        self.raises(INVALID_ARGS, say, 'Modes', '(s)', 'NV12')
        self.raises('UnknownOption', say, 'Describe', '(a{sv})', {'colour': u(1)}, text="'colour'")
        self.raises('InvalidOption', say, 'Describe', '(a{sv})', {'driver': u(1)}, text="'driver'")
        self.raises('InvalidOption', say, 'State', '(ss)', 'broken', '', text="'broken'")
        self.raises('InvalidFrame', say, 'FormatChanged', '(tua{sv})', 0, 1, {'fourcc': u(1)}, text='complete')
        say('Modes', '(aa{sv})', [mode])
        self.assertEqual(len(self.source_get('clip', 'Modes')), 1)
        say('State', '(ss)', 'failed', 'x' * 5000)
        self.assertEqual(self.source_get('clip', 'StateReason'), 'x' * 256)
        say('Destroy', None)
        self.raises('NoSuchSource', self.resolve, 'clip')


class Delivery(programs.TestCase):
    def test_no_fd_passing(self):
        """FdPassingRequired, from a connection that did not negotiate it; to ask and to look is allowed."""
        self.start({'bars': PATTERN})
        fbtest.wait_until(lambda: self.on_source('bars', 'Negotiate'))
        fbtest.wait_until(lambda: not self.workers(), 10)
        before = self.least_fds()
        raw = programs.Raw(str(self.bus.base / 'bus')).auth(fds=False).hello()
        path, empty = self.resolve('bars'), GLib.Variant('(a{sv})', ({},))

        def call(member, parameters, path=path, interface=SOURCE):
            return raw.call(path, interface, member, parameters, destination='org.framebus')

        for member in 'Subscribe', 'Attach':
            self.raises('FdPassingRequired', call, member, empty, text='file descriptors')
        self.raises('FdPassingRequired', call, 'Publish', GLib.Variant('(sa{sv})', ('clip', {})), MANAGER_PATH, MANAGER)
        self.assertEqual(call('Negotiate', empty)[0]['window'], 4)
        self.assertEqual(call('Resolve', GLib.Variant('(s)', ('bars',)), MANAGER_PATH, MANAGER), (path,))
        self.raises('FdPassingRequired', call, 'Subscribe', empty)
        raw.close()
        self.assertEqual(self.who(), [])
        fbtest.wait_until(lambda: not self.workers(), 10)
        self.fds_are(before)

    def test_no_fd_passing_of_a_program(self):
        self.start({'bars': PATTERN})
        for transport in 'bus', 'peer':
            client = self.client('bars', transport, '--no-fd-passing')
            client.finish(3)
            self.assertEqual(client.events('error')[0]['name'], 'org.framebus.Error.FdPassingRequired')

    def test_no_fd_passing_on_a_channel(self):
        self.start({'bars': PATTERN})
        for transport in PEERS:
            client = self.client('bars', transport, '--channel-no-fd-passing')
            client.finish()
            self.assertEqual(client.events('ended')[0]['reason'], 'fd-passing-required')
        self.settle()

    def test_blocked_by_policy(self):
        """A bus policy that lets no Frame through: the answer of the bus ends the subscription, others go on."""
        policy = fbtest.ALLOW_ALL + '''
          <policy user="nobody">
            <deny receive_interface="org.framebus.Subscription1" receive_member="Frame"/>
          </policy>'''
        fbtest.need_root()
        self.start(bus_type='system', policy=policy)
        self.published('clip', '--rate', 30)
        healthy = self.client('clip', 'bus', '--window', 16)
        blocked = self.client('clip', 'bus', user='nobody')
        began = time.monotonic()
        blocked.finish()
        self.assertLess(time.monotonic() - began, fbtest.limit(1.5))    # told by the bus, not by the clock
        self.assertEqual(blocked.events('ended')[0]['reason'], 'undeliverable')
        self.assertEqual(blocked.frames(), [])
        peer = self.client('clip', 'peer', '--frames', 5, user='nobody')
        peer.finish()
        healthy.quit()
        self.assert_complete(healthy)

    def test_undeliverable_by_the_clock(self):
        """Where no error comes: the first frame not released within 2 s, also when the window is far from full."""
        self.start({'slow': programs.pattern(rate=4)})
        client = self.client('slow', 'bus', '--never-release', '--window', 16)
        client.wait_frames(1)
        began = time.monotonic()
        client.finish()
        self.assertTrue(1.5 < time.monotonic() - began < fbtest.limit(3.5), time.monotonic() - began)
        self.assertEqual(client.events('ended')[0]['reason'], 'undeliverable')
        self.assertLess(len(client.frames()), 16)
        self.settle()

    def test_errors_of_others(self):
        """An error that a third client sends to the broker ends nobody's subscription."""
        self.start()
        self.published('clip', '--rate', 60)
        viewer = self.client('clip', 'bus', '--window', 16)
        viewer.wait_frames(5)
        raw = programs.Raw(str(self.bus.base / 'bus')).auth().hello()
        for serial in range(1, 300):
            message = programs.Gio.DBusMessage.new()
            message.set_message_type(programs.Gio.DBusMessageType.ERROR)
            message.set_error_name('org.freedesktop.DBus.Error.AccessDenied')
            message.set_reply_serial(serial)
            message.set_destination(self.bus.owner('org.framebus'))
            message.set_serial(1000 + serial)
            raw.send(bytes(message.to_blob(programs.Gio.DBusCapabilityFlags.NONE)))
        viewer.wait_frames(len(viewer.frames()) + 20)
        viewer.quit()
        self.assert_exact(viewer)
        self.assertEqual(viewer.events('ended'), [])
        raw.close()


class Strangers(programs.TestCase):
    def test_foreign_subscription(self):
        """On the bus a subscription exists for its subscriber alone: to others it is not there, to the letter."""
        self.start({'bars': PATTERN})
        viewer = Viewer(self, 'bars', 'bus', window=1)
        viewer.wait_frames(1)
        stranger = self.bus.connect()
        missing = programs.SUBSCRIPTION_PATH + '/' + '0' * 32
        for interface, member, values in [(SUBSCRIPTION, 'Release', GLib.Variant('(at)', (viewer.frames(),))),
                                          (SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (2**63,))),
                                          (SUBSCRIPTION, 'SetOptions', GLib.Variant('(a{sv})', ({},))),
                                          (SUBSCRIPTION, 'Close', None),
                                          (PROPERTIES, 'GetAll', GLib.Variant('(s)', (SUBSCRIPTION,))),
                                          (PROPERTIES, 'Get', GLib.Variant('(ss)', (SUBSCRIPTION, 'Window'))),
                                          (programs.INTROSPECTABLE, 'Introspect', None)]:
            answers = []
            for path in viewer.path, missing:
                with self.assertRaises(GLib.Error, msg=member) as caught:
                    self.call(path, interface, member, values, stranger)
                answers.append((fbtest.error_name(caught.exception), caught.exception.message.replace(path, 'PATH')))
            self.assertEqual(answers[0], answers[1])
            self.assertEqual(answers[0][0], UNKNOWN_OBJECT)
        self.assertEqual(viewer.get('InFlight'), 1)
        self.assertNotIn(viewer.path.rpartition('/')[2], self.call(
            programs.SUBSCRIPTION_PATH, programs.INTROSPECTABLE, 'Introspect', conn=stranger)[0])
        objects, = self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects', conn=stranger)
        self.assertEqual(list(objects), [self.resolve('bars')])

    def test_other_user_on_a_session_bus(self):
        """Default deny: on the session bus sources are the own user's; for others there are none."""
        fbtest.need_root()
        self.bus = self.enter(fbtest.Bus())
        self.conn = self.bus.connect()
        self.broker = self.start_broker({'bars': PATTERN}, user='nobody')
        own = self.client('bars', 'peer', '--frames', 3, user='nobody')
        own.finish()
        stranger = self.client('bars', 'peer', user='daemon')
        stranger.finish(3)
        self.assertEqual(stranger.events('error')[0]['name'], 'org.framebus.Error.NoSuchSource')


class NoBus(fbtest.TestCase):
    def broker(self, *args, **env):
        return fbtest.run([*fbtest.wrapper(), fbtest.build_path('broker/framebusd'), *args], env=env)

    def test_no_bus(self):
        status, _out, err = self.broker('--session', DBUS_SESSION_BUS_ADDRESS='unix:path=/nonexistent/bus')
        self.assertEqual(status, 1)
        self.assertRegex(err, r'session bus.*No such file')
        self.assertRegex(err, 'DBUS_SESSION_BUS_ADDRESS')
        status, _out, err = self.broker('--system', DBUS_SYSTEM_BUS_ADDRESS='unix:path=/nonexistent/bus')
        self.assertEqual(status, 1)
        self.assertRegex(err, r'system bus.*No such file')
        status, _out, err = self.broker('--session', DBUS_SESSION_BUS_ADDRESS='nonsense')
        self.assertEqual(status, 1)
        self.assertRegex(err, 'session bus')

    def test_arguments(self):
        for args in ['--colour'], ['bars'], ['--idle-timeout=soon'], ['--idle-timeout=-1'], ['--log-level=loud']:
            status, _out, err = self.broker(*args)
            self.assertEqual((args, status), (args, 2))
            self.assertIn(args[0].partition('=')[0], err)
        status, out, _err = self.broker('--version')
        self.assertEqual(status, 0)
        self.assertRegex(out, r'^framebusd \d')


if __name__ == '__main__':
    fbtest.main()
