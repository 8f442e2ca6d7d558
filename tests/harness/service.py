# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A small service for the tests of the harness: service.py NAME [session|system [stubborn|polite]].
It owns NAME until it is ended; a stubborn one until it is killed; a polite one ends with status 0.
"""

import os
import signal
import sys

from gi.repository import Gio, GLib

XML = '''<node><interface name="org.example.Test">
  <method name="Read">
    <arg name="file" type="h" direction="in"/><arg name="content" type="s" direction="out"/>
  </method>
  <method name="Variable">
    <arg name="name" type="s" direction="in"/><arg name="value" type="s" direction="out"/>
  </method>
  <method name="Pid"><arg name="pid" type="u" direction="out"/></method>
</interface></node>'''


def on_call(_conn, _sender, _path, _interface, method, parameters, invocation):
    if method == 'Read':
        fd = invocation.get_message().get_unix_fd_list().get(parameters.unpack()[0])
        with open(fd, 'rb') as file:
            file.seek(0)
            result = GLib.Variant('(s)', (file.read().decode(),))
    elif method == 'Variable':
        result = GLib.Variant('(s)', (os.environ.get(parameters.unpack()[0], ''),))
    else:
        result = GLib.Variant('(u)', (os.getpid(),))
    invocation.return_value(result)


def main():
    conn = Gio.bus_get_sync(Gio.BusType.SYSTEM if 'system' in sys.argv[2:] else Gio.BusType.SESSION)
    if 'stubborn' in sys.argv[2:]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        conn.set_exit_on_close(False)
    if 'polite' in sys.argv[2:]:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
    conn.register_object('/org/example/Test', interface, on_call, None, None)
    Gio.bus_own_name_on_connection(conn, sys.argv[1], Gio.BusNameOwnerFlags.NONE, None, None)
    GLib.MainLoop().run()       # GIO ends the process when the bus goes


main()
