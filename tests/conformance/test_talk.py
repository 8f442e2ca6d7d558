# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Who may talk to whom: kdbus asked for TALK at the sender of each signal, here that is the bus's policy (dbus-daemon's
XML, row 21 of the kdbus-era suite). A user whom it lets receive nothing of the broker receives no frame, and who may
not call it cannot have it started; and as a policy knows the broker by its name, nothing is sent without that.
"""

import re
import sys

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, PATTERN, PEERS, SOURCE

# Says which signals it gets to see, with the matches that it is given.
LISTENER = '''
import sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags
conn = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags.AUTHENTICATION_CLIENT |
                                               flags.MESSAGE_BUS_CONNECTION, None, None)
def filter(_conn, message, incoming):
    if incoming and message.get_message_type() == Gio.DBusMessageType.SIGNAL:
        print(message.get_member(), message.get_num_unix_fds(), flush=True)
    return message
conn.add_filter(filter)
for rule in sys.argv[2:]:
    conn.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'AddMatch',
                   GLib.Variant('(s)', (rule,)), None, 0, -1, None)
print('listening', flush=True)
GLib.MainLoop().run()
'''


class Policy(programs.TestCase):
    """Needs users to tell apart."""

    def setUp(self):
        super().setUp()
        fbtest.need_root()

    def listener(self, user, *rules):
        process = self.enter(fbtest.Process([sys.executable, '-c', LISTENER, self.bus.address, *rules], user=user))
        process.wait_output('^listening$')
        return process

    def test_receive_sender(self):
        """One who may receive no signal of the broker gets no frame by a match, nor directed to him."""
        policy = fbtest.ALLOW_ALL + '''
          <policy user="nobody">
            <deny receive_sender="org.framebus" receive_type="signal"/>
            <deny send_destination="org.framebus" send_interface="org.framebus.Source1" send_member="Attach"/>
          </policy>'''
        self.start(bus_type='system', policy=policy)
        self.published('clip', '--rate', 30, '--quiet')
        all_ears = self.listener(None, "type='signal',eavesdrop='true'")
        ears = self.listener('nobody', "type='signal'", "type='signal',sender='org.framebus'")
        healthy = self.client('clip', 'bus')
        healthy.wait_frames(3)
        blocked = self.client('clip', 'bus', user='nobody')
        blocked.wait_event('granted')
        # the errors of the bus end it; not even that it hears
        fbtest.wait_until(lambda: blocked.pid not in [s['pid'] for s in self.who()], what='its end')
        blocked.quit()
        self.assertEqual(blocked.frames() + blocked.events('ended'), [])
        attached = self.client('clip', 'peer', user='nobody')
        attached.finish(3)
        self.assertEqual(attached.events('error')[0]['name'], 'org.freedesktop.DBus.Error.AccessDenied')
        healthy.wait_frames(len(healthy.frames()) + 10)
        healthy.quit()
        self.assert_exact(healthy)
        all_ears.wait_output('^Frame 1$')           # root may listen in: the measure can tell
        ears.wait_output('^NameOwnerChanged 0$')    # what others say it does hear
        self.assertEqual(re.findall('^(?:Frame|FormatChanged|Ended|PropertiesChanged).*', ears.out(), re.M), [])

    def test_denied_callers_start_nothing(self):
        """Who may not call the broker is refused, and no broker starts for it."""
        config = self.enter(fbtest.Config({'bars': PATTERN}))
        policy = fbtest.ALLOW_ALL + '''
          <policy user="nobody"><deny send_destination="org.framebus"/></policy>'''
        self.bus = self.enter(fbtest.Bus(activatable={'org.framebus': config.broker_command()}, policy=policy,
                                         env=self.broker_env()))
        self.conn = self.bus.connect()
        denied = self.client('bars', 'peer', user='nobody')
        denied.finish(3)
        self.assertEqual(denied.events('error')[0]['name'], 'org.freedesktop.DBus.Error.AccessDenied')
        self.assertEqual(self.bus.descendants(), [])
        self.assertIsNone(self.bus.owner('org.framebus'))
        self.get(MANAGER_PATH, MANAGER, 'Epoch')
        self.assertIsNotNone(self.bus.owner('org.framebus'))


class Names(programs.TestCase):
    def test_nothing_before_the_name(self):
        """A broker that does not own its name answers nobody: policies do not know who would be speaking."""
        self.start({'bars': PATTERN})
        config = self.enter(fbtest.Config({'bars': PATTERN}))
        waiting = self.enter(fbtest.Process(config.broker_command('--queue'),
                                            env={**self.bus.env(), **self.broker_env()}))
        waiting.wait_output('waiting for its end')
        names, = fbtest.call(self.conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                             'ListNames')
        unique = next(n for n in names if n.startswith(':') and self.pid_of(n) == waiting.pid)
        path, empty = self.resolve('bars'), GLib.Variant('(a{sv})', ({},))
        for member in 'Subscribe', 'Attach', 'Negotiate':
            self.raises('org.freedesktop.DBus.Error.NameHasNoOwner', fbtest.call, self.conn, unique, path, SOURCE,
                        member, empty)
        for transport in ('bus', *PEERS):
            client = self.client('bars', transport, '--destination', unique)
            client.finish(3)
            self.assertEqual(client.events('error')[0]['name'], 'org.freedesktop.DBus.Error.NameHasNoOwner')
        client = self.client('bars', 'bus', '--frames', 3)
        client.finish()
        self.broker.stop()
        fbtest.wait_until(lambda: self.bus.owner('org.framebus') == unique, what='it owns the name')
        client = self.client('bars', 'bus', '--frames', 3, '--destination', unique)
        client.finish()
        self.assertEqual(waiting.stop(), 0)

    def pid_of(self, name):
        return fbtest.call(self.conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                           'GetConnectionUnixProcessID', GLib.Variant('(s)', (name,)))[0]


if __name__ == '__main__':
    fbtest.main()
