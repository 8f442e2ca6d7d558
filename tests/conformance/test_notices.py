# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Notices and their order. Row 14 of the kdbus-era suite, and what bus1's tests asked of destroyed nodes: whoever has a
subscription to a source that ends is told once, and nothing of it comes later; and what one connection is sent by the
bus comes in the order in which it came about, also when it is about somebody who died.
"""

import sys
import threading

import fbtest
import programs
from gi.repository import GLib
from programs import SOURCE, TRANSPORTS, Viewer

N_SOURCES = 32

# Publishes them and stays.
MANY = '''
import sys
import programs
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags
mode = {'fourcc': GLib.Variant('u', 0x20203852), 'width': GLib.Variant('u', 64), 'height': GLib.Variant('u', 48),
        'rate': GLib.Variant('(uu)', (30, 1))}
channels = []
for i in range(int(sys.argv[2])):
    if i % 8 == 0:
        conn = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags.AUTHENTICATION_CLIENT |
                                                       flags.MESSAGE_BUS_CONNECTION, None, None)
    _result, fds = conn.call_with_unix_fd_list_sync(
        'org.framebus', '/org/framebus', 'org.framebus.Manager1', 'Publish', GLib.Variant('(sa{sv})', (f's{i}', {})),
        None, 0, -1, None, None)
    channels.append(programs.Channel(fds.steal_fds()[0]))
    channels[-1].call(programs.PUBLICATION_PATH, programs.PUBLICATION, 'Modes', GLib.Variant('(aa{sv})', ([mode],)))
print('published', flush=True)
GLib.MainLoop().run()
'''

# Subscribes on the bus, calls Saw(number of the frame) of who is named, without waiting, and is killed.
REACTOR = '''
import os, signal, sys
import programs
from gi.repository import GLib
raw = programs.Raw(sys.argv[1]).auth().hello()
raw.call(sys.argv[2], programs.SOURCE, 'Subscribe', GLib.Variant('(a{sv})', ({'replay': GLib.Variant('b', False)},)),
         destination='org.framebus')
print(raw.name, flush=True)
while True:
    message = raw.messages.pop(0) if raw.messages else raw.read_message()
    if message.get_member() == 'Frame':
        seq = message.get_body().get_child_value(0).get_uint64()
        data, _serial = raw.message('/', 'org.example.Reactor', 'Saw', GLib.Variant('(t)', (seq,)),
                                    destination=sys.argv[3])
        raw.send(data)
        os.kill(os.getpid(), signal.SIGKILL)
'''


class Ends(programs.TestCase):
    def test_once_and_nothing_after(self):
        """However a source ends while it streams at full speed, and although its name is published anew at once."""
        self.start()
        for way, reason in ('destroy', 'destroyed'), ('kill', 'destroyed'), ('replace', 'replaced'):
            with self.subTest(way):
                publisher = self.published('clip', '--rate', 500, '--quiet', '--opt', 'allow-replacement=b:true')
                viewers = [self.client('clip', t, '--stay', '--window', w) for t in TRANSPORTS for w in (1, 16)]
                for viewer in viewers:
                    viewer.wait_frames(10)
                self.end(publisher, way)
                again = self.published('clip', '--rate', 500, '--quiet', *['--opt', 'replace=b:true'] *
                                       (way == 'replace'))
                new = self.client('clip', 'bus', '--frames', 50)
                new.finish()
                for viewer in viewers:
                    viewer.wait_event('ended')
                    self.check(viewer, reason)
                again.quit()

    def end(self, publisher, way):
        if way == 'destroy':
            publisher.tell('destroy')
            publisher.wait_event('disconnected')
        elif way == 'kill':
            publisher.kill()
            fbtest.wait_until(lambda: self.gone('clip'), what='its end')

    def gone(self, name):
        try:
            self.resolve(name)
        except GLib.Error:
            return True
        return False

    def check(self, viewer, reason):
        viewer.quit()
        self.assert_exact(viewer)
        events = [e['event'] for e in viewer.events() if e['event'] in ('frame', 'lost', 'ended')]
        self.assertEqual(events.count('ended'), 1)
        self.assertEqual(events[-1], 'ended')
        self.assertEqual(viewer.events('ended')[0]['reason'], reason)

    def test_many_at_once(self):
        """The publisher of many sources is killed: each end is told once, to everybody."""
        self.start()
        publisher = self.enter(fbtest.Process([sys.executable, '-c', MANY, self.bus.address, N_SOURCES],
                                              env={'PYTHONPATH': ':'.join(sys.path)}))
        publisher.wait_output('^published$', 20)
        removed = self.record('InterfacesRemoved')
        viewers, paths = [], []
        for i in range(N_SOURCES):
            conn = self.bus.connect() if i % 8 == 0 else conn      # no more channels than that for each
            viewers.append(self.open_channel(f's{i}', conn=conn))
            viewers[-1].call(programs.SUBSCRIPTION_PATH, programs.PEER, 'Ping')
            paths.append(self.resolve(f's{i}'))
        threads = [threading.Thread(target=self.look, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        publisher.popen.kill()
        publisher.popen.wait()
        fbtest.wait_until(lambda: len(removed) >= N_SOURCES and all(v.named('Ended') for v in viewers), 20, 'all ends')
        for thread in threads:
            thread.join()
        self.ping()
        self.assertEqual(sorted(p[2][0] for p in removed), sorted(paths))
        for viewer in viewers:
            self.assertEqual([member for member, _ in viewer.signals], ['Ended'])
            self.assertEqual(viewer.signals[0][1].unpack()[1], 'destroyed')
        self.settle()

    def look(self, path):
        """A property of a source that ends just then is there, or the source is not: no other answer."""
        for _ in range(20):
            try:
                self.get(path, SOURCE, 'State')
            except GLib.Error as error:
                if fbtest.error_name(error) != 'org.freedesktop.DBus.Error.UnknownObject':
                    raise


class InOrder(programs.TestCase):
    def observer(self):
        """A connection whose messages are looked at in the order in which they are on the wire."""
        raw = programs.Raw(str(self.bus.base / 'bus')).auth().hello()
        self.addCleanup(raw.close)
        raw.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'AddMatch', GLib.Variant('(s)', (
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'",)),
            destination='org.freedesktop.DBus')
        return raw

    def test_frame_call_gone(self):
        """
        One client sees a frame, calls another and is killed: the other, which subscribed before it, reads the frame,
        the call and the end of the caller's name, in this order.
        """
        self.start()
        hand = self.published_by_hand('clip')
        path = self.resolve('clip')
        Viewer(self, 'clip', 'peer').wait_frames(1)         # the source goes on running
        for _ in range(fbtest.count(3, 200)):
            observer = self.observer()
            subscription, _granted = observer.call(path, SOURCE, 'Subscribe', GLib.Variant('(a{sv})', ({
                'replay': GLib.Variant('b', False)},)), destination='org.framebus')
            reactor = self.enter(fbtest.Process([sys.executable, '-c', REACTOR, self.bus.base / 'bus', path,
                                                 observer.name], env={'PYTHONPATH': ':'.join(sys.path)}))
            caller = reactor.wait_output(r'^:\S+$').group(0)
            hand.tell('send')
            story = self.story(observer, caller)
            self.assertEqual(reactor.wait(), -9)
            seq = next(s for member, s in story if member == 'Frame')
            self.assertEqual([e for e in story if e[0] != 'FormatChanged'],
                             [('Frame', seq), ('Saw', seq), ('NameOwnerChanged', caller)])
            observer.call(subscription, programs.SUBSCRIPTION, 'Close', destination='org.framebus')

    @staticmethod
    def story(observer, caller):
        """What it read, up to the end of the caller's name, as (member, first value)."""
        found = []
        while not found or found[-1][0] != 'NameOwnerChanged':
            message = observer.messages.pop(0) if observer.messages else observer.read_message()
            member, body = message.get_member(), message.get_body()
            if member == 'NameOwnerChanged':
                name, _old, new = body.unpack()
                if name == caller and not new:
                    found.append((member, name))
            elif member in ('Frame', 'FormatChanged', 'Saw', 'Lost'):
                found.append((member, body.get_child_value(0).unpack()))
        return found


if __name__ == '__main__':
    fbtest.main()
