# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A broker played by hand on GDBus: the test says which signals a subscriber gets, right ones and wrong ones.

It has one source called fake, answers Resolve, Negotiate, Subscribe, Attach and AttachTo, notes each Release, and
sends nothing by itself. Everything runs in the default main context: use fbtest.wait_until().
"""

import fcntl
import os
import socket

from gi.repository import Gio, GLib

SOURCE_PATH = '/org/framebus/source/fake'
LEASED, POOL_SEALS = 0x100, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | 0x10   # FUTURE_WRITE
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
R8 = int.from_bytes(b'R8  ', 'little')
MODE = {'fourcc': GLib.Variant('u', R8), 'modifier': GLib.Variant('t', 0), 'width': GLib.Variant('u', 16),
        'height': GLib.Variant('u', 4), 'rate': GLib.Variant('(uu)', (30, 1))}

XML = '''<node>
<interface name="org.framebus.Manager1"><method name="Resolve"><arg type="s" direction="in"/>
<arg type="o" direction="out"/></method></interface>
<interface name="org.framebus.Source1">
<method name="Negotiate"><arg type="a{sv}" direction="in"/><arg type="a{sv}" direction="out"/></method>
<method name="Subscribe"><arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
<arg type="a{sv}" direction="out"/></method>
<method name="Attach"><arg type="a{sv}" direction="in"/><arg type="h" direction="out"/><arg type="o" direction="out"/>
<arg type="a{sv}" direction="out"/></method>
<method name="AttachTo"><arg type="h" direction="in"/><arg type="a{sv}" direction="in"/><arg type="o" direction="out"/>
<arg type="a{sv}" direction="out"/></method>
</interface>
<interface name="org.framebus.Subscription1">
<method name="Release"><arg type="at" direction="in"/></method>
<method name="ReleaseUpTo"><arg type="t" direction="in"/></method>
<method name="Close"/>
</interface></node>'''


def memfd(content, seals=SEALS):
    fd = os.memfd_create('fake', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Subscription:
    """Where signals go: a unique name on the bus, or a channel."""

    def __init__(self, conn, destination, path):
        self.conn, self.destination, self.path = conn, destination, path
        self.released, self.order = [], 1

    def emit(self, member, signature, *args, fds=()):
        message = Gio.DBusMessage.new_signal(self.path, 'org.framebus.Subscription1', member)
        if self.destination:
            message.set_destination(self.destination)
        message.set_body(GLib.Variant(signature, args))
        if fds:
            message.set_unix_fd_list(Gio.UnixFDList.new_from_array([os.dup(fd) for fd in fds]))
        self.conn.send_message(message, Gio.DBusSendMessageFlags.NONE)

    def format(self, number=1):
        self.emit('FormatChanged', '(tua{sv})', 0, number, MODE)

    def frame(self, seq, content=bytes(range(64)), *, seals=SEALS, planes=None, order=None, flags=0, number=1,
              meta=None):
        self.order += 1
        fd = memfd(content, seals)
        self.emit('Frame', '(tttuuaha(uttu)a{sv})', seq, order or self.order, GLib.get_monotonic_time() * 1000,
                  number, flags, [0], planes or [(0, 0, len(content), 16)], meta or {}, fds=[fd])
        os.close(fd)

    def lost(self, count, reason='no-credit'):
        self.emit('Lost', '(ts)', count, reason)

    def ended(self, reason='destroyed'):
        self.emit('Ended', '(ts)', self.order + 1, reason)


class FakeBroker:
    """With a connection to a bus: the owner of org.framebus."""

    def __init__(self, conn, window=4, seq=0):
        self.conn, self.window, self.seq = conn, window, seq
        self.subscriptions, self.calls, self.made = [], [], 0
        self.info = Gio.DBusNodeInfo.new_for_xml(XML)
        self._export(conn, '/org/framebus', 'org.framebus.Manager1')
        self._export(conn, SOURCE_PATH, 'org.framebus.Source1')
        conn.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName',
                       GLib.Variant('(su)', ('org.framebus', 0)), None, Gio.DBusCallFlags.NONE, -1, None)

    def _export(self, conn, path, interface):
        conn.register_object(path, self.info.lookup_interface(interface), self._on_call, None, None)

    def _granted(self):
        return {'window': GLib.Variant('u', self.window), 'seq': GLib.Variant('t', self.seq),
                'mode': GLib.Variant('a{sv}', MODE), 'memory': GLib.Variant('s', 'sealed'),
                'epoch': GLib.Variant('s', '0' * 32)}

    def _channel(self, sock):
        """The broker's end of a channel; the subscription appears when its handshake is done."""
        connection = Gio.Socket.new_from_fd(sock.detach()).connection_factory_create_connection()

        def done(_source, result):
            conn = Gio.DBusConnection.new_finish(result)
            path = '/org/framebus/subscription'
            self._export(conn, path, 'org.framebus.Subscription1')
            self.subscriptions.append(Subscription(conn, None, path))
            conn.start_message_processing()

        Gio.DBusConnection.new(connection, Gio.dbus_generate_guid(),
                               Gio.DBusConnectionFlags.AUTHENTICATION_SERVER |
                               Gio.DBusConnectionFlags.AUTHENTICATION_ALLOW_ANONYMOUS |
                               Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING, None, None, done)

    def _on_call(self, conn, sender, path, _interface, method, parameters, invocation):
        self.calls.append((method, parameters.unpack()))
        if method == 'Resolve':
            if parameters.unpack()[0] != 'fake':
                invocation.return_dbus_error('org.framebus.Error.NoSuchSource', 'there is no such source')
            else:
                invocation.return_value(GLib.Variant('(o)', (SOURCE_PATH,)))
        elif method == 'Negotiate':
            invocation.return_value(GLib.Variant('(a{sv})', (self._granted(),)))
        elif method == 'Subscribe':
            self.made += 1
            own = f'/org/framebus/subscription/{self.made}'
            self._export(self.conn, own, 'org.framebus.Subscription1')
            self.subscriptions.append(Subscription(self.conn, sender, own))
            invocation.return_value(GLib.Variant('(oa{sv})', (own, self._granted())))
        elif method == 'Attach':
            ours, theirs = socket.socketpair()
            fds = Gio.UnixFDList.new_from_array([theirs.detach()])
            invocation.return_value_with_unix_fd_list(
                GLib.Variant('(hoa{sv})', (0, '/org/framebus/subscription', self._granted())), fds)
            self._channel(ours)
        elif method == 'AttachTo':
            fd = invocation.get_message().get_unix_fd_list().get(0)
            self._channel(socket.socket(fileno=fd))
            invocation.return_value(GLib.Variant('(oa{sv})', ('/org/framebus/subscription', self._granted())))
        else:
            for subscription in self.subscriptions:
                if subscription.path == path and subscription.conn is conn:
                    subscription.released.append(parameters.unpack()[0] if parameters.n_children() else method)
            invocation.return_value(None)
