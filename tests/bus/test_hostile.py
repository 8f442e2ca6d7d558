# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a client, a publisher or somebody who is neither can do to the broker and to others. Shows promise 3 (a
hostile subscriber harms nobody but itself) where it was once broken.
"""

import fcntl
import os

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH, SOURCE, Channel, Raw, Viewer

DRIVER = 'org.freedesktop.DBus'
DRIVER_PATH = '/org/freedesktop/DBus'


F_ADD_SEALS, ALL_SEALS = 1033, 15
MODE = {'fourcc': GLib.Variant('u', 0x56595559), 'modifier': GLib.Variant('t', 0),
        'width': GLib.Variant('u', 64), 'height': GLib.Variant('u', 48),
        'rate': GLib.Variant('(uu)', (30, 1))}
SIZE = 64 * 48 * 2


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


if __name__ == '__main__':
    fbtest.main()
