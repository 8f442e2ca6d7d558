# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a client, a publisher or somebody who is neither can do to the broker and to others. Shows promise 3 (a hostile
subscriber harms nobody but itself) where it was once broken.
"""

import fbtest
import programs
from gi.repository import GLib
from programs import Viewer

DRIVER = 'org.freedesktop.DBus'
DRIVER_PATH = '/org/freedesktop/DBus'


class Case(programs.TestCase):
    def start_clip(self):
        self.start()
        self.hand = self.published_by_hand('clip')


class Forging(Case):
    """A signal that is directed at the broker arrives whoever says it, and the bus driver's words can be imitated."""

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


if __name__ == '__main__':
    fbtest.main()
