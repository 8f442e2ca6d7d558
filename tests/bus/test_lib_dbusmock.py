# SPDX-License-Identifier: LGPL-2.1-or-later
"""libframebus against a broker that python3-dbusmock plays: another D-Bus library, all kinds of answers."""

import fcntl
import os
import subprocess
import sys

import fbtest
from gi.repository import GLib

MOCK = 'org.freedesktop.DBus.Mock'
MANAGER, SOURCE, SUBSCRIPTION = 'org.framebus.Manager1', 'org.framebus.Source1', 'org.framebus.Subscription1'
CAM, SUB = '/org/framebus/source/cam', '/org/framebus/subscription/s1'
SEALS = 0xf     # SEAL, SHRINK, GROW, WRITE
V = GLib.Variant
MODE = {'fourcc': V('u', int.from_bytes(b'YUYV', 'little')), 'width': V('u', 4), 'height': V('u', 2),
        'rate': V('(uu)', (30, 1))}
PROPERTIES = {'Name': V('s', 'cam'), 'State': V('s', 'idle'), 'Modes': V('aa{sv}', [MODE]),
              'Lost': V('a{st}', {}), 'OfTheFuture': V('(ss)', ('a', 'b'))}
GRANTED = ('dbus.Dictionary({"window": dbus.UInt32(3), "drop": "newest", "memory": "sealed", '
           '"order": "fifo", "seq": dbus.UInt64(7), "epoch": "00", '
           '"mode": dbus.Dictionary({"fourcc": dbus.UInt32(0x56595559), "width": dbus.UInt32(4), '
           '"height": dbus.UInt32(2), "rate": dbus.Struct((dbus.UInt32(30), dbus.UInt32(1)))}, '
           'signature="sv")}, signature="sv")')


def refuse(name):
    return f'raise dbus.exceptions.DBusException("as the test says", name="{name}")'


def memfd(data, seals=SEALS):
    fd = os.memfd_create('mock', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Mocked(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.conn = self.bus.connect()
        self.mock = self.start_mock()

    def start_mock(self):
        env = {**self.bus.env(), 'DBUS_SESSION_BUS_ADDRESS': self.bus.address}
        argv = [sys.executable, '-m', 'dbusmock', '--session', '--is-object-manager',
                'org.framebus', '/org/framebus', MANAGER]
        mock = self.enter(fbtest.Process(argv, env=env))
        fbtest.wait_until(lambda: self.bus.owner('org.framebus'), 10, 'dbusmock')
        self.method('/org/framebus', MANAGER, 'Resolve', 's', 'o',
                    f'ret = dbus.ObjectPath("{CAM}") if args[0] == "cam" else None\n'
                    f'if ret is None: {refuse("org.framebus.Error.NoSuchSource")}')
        self.method('/org/framebus', MANAGER, 'Watch', '', '', '')
        self.method('/org/framebus', MANAGER, 'Unwatch', '', '', '')
        self.add_source()
        return mock

    def tell(self, path, method, signature, *args, fds=None):
        fbtest.call(self.conn, 'org.framebus', path, MOCK, method, V(signature, args), fds=fds)

    def method(self, path, interface, name, in_signature, out_signature, code):
        self.tell(path, 'AddMethod', '(sssss)', interface, name, in_signature, out_signature, code)

    def add_source(self):
        self.tell('/org/framebus', 'AddObject', '(ssa{sv}a(ssss))', CAM, SOURCE, PROPERTIES, [])

    def probe(self, *args):
        program = str(fbtest.build_path('tests/unit/lib/lib-probe'))
        return self.enter(fbtest.Process([*fbtest.wrapper(), program, self.bus.address, *args],
                                         stdin=subprocess.PIPE))

    def lines(self, *args):
        process = self.probe(*args)
        self.assertEqual(process.wait(10), 0, process.log())
        return process.out().splitlines()

    def said(self, process, line, times=1):
        fbtest.wait_until(lambda: process.out().splitlines().count(line) >= times, 10,
                          f'{line}: {process.log()}')

    def test_list(self):
        self.assertEqual(self.lines('list'), ['source cam idle modes=1 width=4', 'done'])
        self.tell('/org/framebus', 'RemoveObject', '(s)', CAM)
        self.assertEqual(self.lines('list'), ['done'])

    def emit_manager(self, member, signature, *args):
        self.tell('/org/framebus', 'EmitSignal', '(sssav)', 'org.freedesktop.DBus.ObjectManager', member,
                  signature, list(args))

    def test_watch(self):
        process = self.probe('watch')
        self.said(process, 'changed cam idle')
        self.tell(CAM, 'UpdateProperties', '(sa{sv})', SOURCE, {'State': V('s', 'streaming')})
        self.said(process, 'changed cam streaming')
        self.tell('/org/framebus', 'RemoveObject', '(s)', CAM)
        self.emit_manager('InterfacesRemoved', 'oas', V('o', CAM), V('as', ['org.example.Other', SOURCE]))
        self.said(process, 'removed cam')
        self.add_source()
        self.emit_manager('InterfacesAdded', 'oa{sa{sv}}', V('o', CAM), V('a{sa{sv}}', {SOURCE: PROPERTIES}))
        self.said(process, 'changed cam idle', 2)
        self.mock.stop()
        self.said(process, 'removed cam', 2)
        self.said(process, 'failed org.freedesktop.DBus.Error.ServiceUnknown')
        self.start_mock()
        self.said(process, 'changed cam idle', 3)
        process.stdin.close()
        self.assertEqual(process.wait(5), 0)

    def test_negotiate(self):
        self.method(CAM, SOURCE, 'Negotiate', 'a{sv}', 'a{sv}', f'ret = {GRANTED}')
        self.assertEqual(self.lines('negotiate'), ['granted window=3 width=4'])
        self.assertIn('NoSuchSource', self.lines('negotiate', 'none')[0])
        self.method(CAM, SOURCE, 'Negotiate', 'a{sv}', 'a{sv}', refuse('org.framebus.Error.NoCommonMode'))
        self.assertEqual(self.lines('negotiate'), ['org.framebus.Error.NoCommonMode: as the test says'])

    def test_refused(self):
        for error in ('org.framebus.Error.NoCommonMode', 'org.framebus.Error.LimitsExceeded',
                      'org.framebus.Error.FdPassingRequired', 'org.freedesktop.DBus.Error.AccessDenied'):
            for verb, member, signature in (('attach', 'Attach', 'hoa{sv}'),
                                            ('subscribe', 'Subscribe', 'oa{sv}')):
                with self.subTest(error=error, verb=verb):
                    self.method(CAM, SOURCE, member, 'a{sv}', signature, refuse(error))
                    self.assertEqual(self.lines(verb), [f'ended refused {error}'])
        self.assertEqual(self.lines('attach', 'none'), ['ended refused org.framebus.Error.NoSuchSource'])

    def test_nonsense(self):
        """An answer of another type, and a channel that is none."""
        self.method(CAM, SOURCE, 'Subscribe', 'a{sv}', 's', 'ret = "no"')
        self.assertEqual(self.lines('subscribe'),
                         ['ended refused org.freedesktop.DBus.Error.InconsistentMessage'])
        self.method(CAM, SOURCE, 'Attach', 'a{sv}', 'hoa{sv}',
                    f'ret = (dbus.types.UnixFd(0), dbus.ObjectPath("/org/framebus/subscription"), {GRANTED})')
        process = self.probe('attach')
        self.said(process, 'disconnected', 2)
        self.assertNotIn('attached', process.out())

    def emit(self, member, signature, *args, fds=None):
        self.tell(SUB, 'EmitSignalDetailed', '(sssava{sv})', SUBSCRIPTION, member, signature, list(args),
                  {'destination': V('s', self.subscriber)}, fds=fds)

    def frame(self, seq, fd):
        self.emit('Frame', 'tttuuaha(uttu)a{sv}', V('t', seq), V('t', seq), V('t', 1), V('u', 1), V('u', 0),
                  V('ah', [0]), V('a(uttu)', [(0, 0, 16, 8)]), V('a{sv}', {}), fds=[fd])

    def names(self):
        driver = 'org.freedesktop.DBus'
        return set(fbtest.call(self.conn, driver, '/org/freedesktop/DBus', driver, 'ListNames')[0])

    def test_frames(self):
        self.method(CAM, SOURCE, 'Subscribe', 'a{sv}', 'oa{sv}',
                    f'ret = (dbus.ObjectPath("{SUB}"), {GRANTED})')
        self.tell('/org/framebus', 'AddObject', '(ssa{sv}a(ssss))', SUB, SUBSCRIPTION, {},
                  [('Release', 'at', '', ''), ('Close', '', '', '')])
        known = self.names()
        process = self.probe('subscribe')
        self.said(process, 'attached window=3')
        self.subscriber, = self.names() - known
        self.emit('FormatChanged', 'tua{sv}', V('t', 1), V('u', 1), V('a{sv}', MODE))
        self.frame(8, memfd(b'framebus' * 2))
        self.said(process, 'frame 8 0 16 framebus')
        self.frame(9, memfd(b'framebus' * 2, 0))
        self.said(process, 'lost 1 bad-payload')
        self.emit('Lost', 'ts', V('t', 3), V('s', 'no-credit'))
        self.frame(13, memfd(b'subefram' * 2))
        self.said(process, 'frame 13 0 16 subefram')

        def released():
            calls = fbtest.call(self.conn, 'org.framebus', SUB, MOCK, 'GetMethodCalls',
                                V('(s)', ('Release',)))[0]
            return [seq for _, args in calls for seq in args[0]]
        fbtest.wait_until(lambda: released() == [8, 9, 13], what='releases')
        self.emit('Ended', 'ts', V('t', 1), V('s', 'revoked'))
        self.said(process, 'ended revoked -')


fbtest.main()
