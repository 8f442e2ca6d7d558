# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Controls: what a publisher says can be set is listed, set and told by org.framebus.Controls1; what makes no sense is
refused with what is allowed; a publisher that does not answer, or goes, costs its callers an error and nobody else
anything.
"""

import time

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH

CONTROLS = 'org.framebus.Controls1'
MODE = {'fourcc': GLib.Variant('u', 0x3231564e), 'width': GLib.Variant('u', 64), 'height': GLib.Variant('u', 48)}


def control(name, kind, value=None, **more):
    """A description as Publication1.Controls takes it."""
    given = {'id': GLib.Variant('s', name), 'name': GLib.Variant('s', name.title()), 'type': GLib.Variant('s', kind)}
    if value is not None:
        given['value'] = value
    for key, number in more.items():
        given[key] = number if isinstance(number, GLib.Variant) else GLib.Variant('x', number)
    return given


def x(number):
    return GLib.Variant('x', number)


def flags(*words):
    return GLib.Variant('as', words)


BRIGHTNESS = control('brightness', 'integer', x(0), min=-128, max=127, step=1, default=0)
FLIP = control('flip', 'boolean', GLib.Variant('b', False), default=GLib.Variant('b', True))
COLOR = control('color', 'menu', x(0), min=0, max=2, default=0, items=GLib.Variant('a(xs)', [(0, 'Red'), (2, 'Blue')]))
TITLE = control('title', 'string', GLib.Variant('s', 'none'), min=0, max=8)
PUSH = control('push', 'button', flags=flags('write-only'))
SERIAL = control('serial', 'integer', x(7), min=0, max=9, flags=flags('read-only'))
GAIN = control('gain', 'integer', x(1), min=0, max=99, flags=flags('volatile'))
ALL = [BRIGHTNESS, FLIP, COLOR, TITLE, PUSH, SERIAL, GAIN]


class Publisher:
    """A source by hand. answer(publisher, member, cookie, asked) says what becomes of SetControl and GetControl."""

    def __init__(self, test, name, controls=(), answer=None):
        self.asked, self.answer = [], answer or Publisher.do
        _result, fds = test.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (name, {})), with_fds=True)
        self.channel = programs.Channel(fds[0], self.on_signal)
        test.addCleanup(self.channel.close)
        if controls:
            self.say('Controls', '(aa{sv})', list(controls))
        self.say('Modes', '(aa{sv})', [MODE])

    def say(self, member, signature, *values):
        return self.channel.call(PUBLICATION_PATH, PUBLICATION, member, GLib.Variant(signature, values))

    def tell(self, cookie, values, failed='', reason=''):
        self.channel.conn.call(None, PUBLICATION_PATH, PUBLICATION, 'ControlAnswer',
                               GLib.Variant('(ta{sv}ss)', (cookie, values, failed, reason)), None,
                               Gio.DBusCallFlags.NONE, -1, None, None)

    def do(self, member, cookie, asked):
        if member == 'SetControl':
            self.tell(cookie, asked)
        else:
            self.tell(cookie, {name: x(42) for name in asked})

    def on_signal(self, _conn, _sender, _path, _interface, member, parameters):
        if member not in ('SetControl', 'GetControl'):
            return
        cookie = parameters.get_child_value(0).get_uint64()
        child = parameters.get_child_value(1)
        asked = child.unpack()
        if member == 'SetControl':
            asked = {child.get_child_value(i).get_child_value(0).get_string():
                     child.get_child_value(i).get_child_value(1).get_variant() for i in range(child.n_children())}
            self.asked.append({name: value.unpack() for name, value in asked.items()})
        else:
            self.asked.append(asked)
        self.answer(self, member, cookie, asked)


class Controls(programs.TestCase):
    def begin(self, source, member, parameters=None, conn=None):
        """A call that is not waited for: a list that gets its result or its GLib.Error."""
        result = []

        def done(conn, task):
            try:
                result.append(conn.call_finish(task).unpack())
            except GLib.Error as error:
                result.append(error)
        (conn or self.conn).call('org.framebus', f'/org/framebus/source/{source}', CONTROLS, member, parameters, None,
                                 Gio.DBusCallFlags.NONE, int(fbtest.limit(20) * 1000), None, done)
        return result

    def ask(self, *args, **options):
        """The same, waited for, while a publisher of this process may answer."""
        result = self.begin(*args, **options)
        fbtest.wait_until(lambda: result, 20, f'an answer to {args}')
        if isinstance(result[0], GLib.Error):
            raise result[0]
        return result[0][0]

    def list(self, source, conn=None):
        return {c['id']: c for c in self.ask(source, 'List', conn=conn)}

    def read(self, source, *names, conn=None):
        return self.ask(source, 'Get', GLib.Variant('(as)', (names,)), conn=conn)

    def set(self, source, values, conn=None):
        return self.ask(source, 'Set', GLib.Variant('(a{sv})', (values,)), conn=conn)

    def changes(self, source, conn=None):
        return self.record(None, CONTROLS, f'/org/framebus/source/{source}', conn)


class Sense(Controls):
    def test_list_get_set(self):
        """What was said is listed and read; what is set comes to the publisher, and others are told."""
        self.start()
        publisher = Publisher(self, 'cam', ALL)
        other = self.changes('cam', self.bus.connect())
        listed = self.list('cam')
        self.assertEqual(list(listed), [c['id'].unpack() for c in ALL])
        for said in ALL:
            self.assertEqual({k: listed[said['id'].unpack()][k] for k in said},
                             {k: v.unpack() for k, v in said.items()})
        self.assertEqual(self.read('cam', 'title', 'flip'), {'title': 'none', 'flip': False})
        self.assertEqual(self.set('cam', {'brightness': GLib.Variant('i', 12), 'flip': x(1)}),
                         {'brightness': 12, 'flip': True})
        self.assertEqual(publisher.asked, [{'brightness': 12, 'flip': True}])
        self.assertEqual(self.read('cam', 'brightness'), {'brightness': 12})
        self.assertEqual(self.list('cam')['brightness']['value'], 12)
        self.assertEqual(self.set('cam', {'push': x(1)}), {})
        fbtest.wait_until(lambda: other, what='a change')
        self.assertEqual(other, [('/org/framebus/source/cam', 'Changed', ({'brightness': 12, 'flip': True},))])

    def test_nonsense_is_refused(self):
        """Each with what is allowed, and none of it comes to the publisher."""
        self.start()
        publisher = Publisher(self, 'cam', ALL)
        for values, error, text in [
                ({'brightness': x(300)}, 'InvalidValue', '^brightness takes -128 to 127 in steps of 1, not 300$'),
                ({'brightness': GLib.Variant('s', 'x')}, 'InvalidValue', "brightness .* not 'x'"),
                ({'brightness': GLib.Variant('d', 1)}, 'InvalidValue', "'brightness'"),
                ({'brightness': GLib.Variant('t', 2 ** 63)}, 'InvalidValue', "'brightness'"),
                ({'flip': x(2)}, 'InvalidValue', 'flip takes true or false, not 2'),
                ({'color': x(1)}, 'InvalidValue', r'color takes one of 0 \(Red\), 2 \(Blue\), not 1'),
                ({'title': GLib.Variant('s', 'x' * 9)}, 'InvalidValue', 'title takes text of 0 to 8 bytes'),
                ({'serial': x(1)}, 'ControlFailed', 'serial is read-only'),
                ({'flip': x(1), 'contrast': x(1)}, 'NoSuchControl', "source 'cam' has no control 'contrast'"),
                ({}, 'InvalidValue', '1 to 64'),
                ({f'c-{i}': x(1) for i in range(65)}, 'InvalidValue', '1 to 64')]:
            with self.subTest(values):
                self.raises(error, self.set, 'cam', values, text=text)
        self.raises('NoSuchControl', self.read, 'cam', 'flip', 'contrast', text='contrast')
        self.raises('ControlFailed', self.read, 'cam', 'push', text="'push' has no value")
        self.assertEqual(publisher.asked, [])
        for said in [control('A', 'integer')], [control('a', 'matrix')], [FLIP, FLIP], [control('a', 'menu')]:
            self.raises('InvalidOption', publisher.say, 'Controls', '(aa{sv})', said, text='controls')
        self.raises('InvalidValue', publisher.say, 'ControlChanged', '(a{sv})', {'flip': GLib.Variant('d', 1)})
        self.assertEqual(len(self.list('cam')), len(ALL))

    def test_the_device_refuses(self):
        """The error names the control; what was set nevertheless is told."""
        self.start()

        def refuse(publisher, _member, cookie, _asked):
            publisher.tell(cookie, {'brightness': x(5)}, 'flip', 'Device or resource busy')
        Publisher(self, 'cam', ALL, refuse)
        told = self.changes('cam')
        self.raises('ControlFailed', self.set, 'cam', {'brightness': x(5), 'flip': x(1)},
                    text="control 'flip': Device or resource busy")
        fbtest.wait_until(lambda: told, what='a change')
        self.assertEqual(told[0][2], ({'brightness': 5},))

    def test_changes_at_the_device(self):
        """What the publisher tells comes to all; what did not change, and what is volatile, does not."""
        self.start()
        publisher = Publisher(self, 'cam', ALL)
        told = self.changes('cam')
        publisher.say('ControlChanged', '(a{sv})', {'brightness': x(0), 'gain': x(9), 'unknown': x(1),
                                                    'title': x(1), 'color': x(2)})
        fbtest.wait_until(lambda: told, what='a change')
        publisher.say('Controls', '(aa{sv})', [control('brightness', 'integer', x(3), min=0, max=9)])
        fbtest.wait_until(lambda: len(told) >= 3, what='another list')
        self.assertEqual([t[1:] for t in told], [('Changed', ({'color': 2},)), ('ListChanged', ()),
                                                 ('Changed', ({'brightness': 3},))])
        self.assertEqual(self.read('cam'), {'brightness': 3})

    def test_changes_are_told_together(self):
        """A publisher that has a thousand changes is not everybody's load; the last one is told in any case."""
        self.start()
        publisher = Publisher(self, 'cam', [control('brightness', 'integer', x(0), min=0, max=1000)])
        told = self.changes('cam')
        began = time.monotonic()
        for i in range(1, 301):
            publisher.channel.conn.call(None, PUBLICATION_PATH, PUBLICATION, 'ControlChanged',
                                        GLib.Variant('(a{sv})', ({'brightness': x(i)},)), None,
                                        Gio.DBusCallFlags.NONE, -1, None, None)
        fbtest.wait_until(lambda: told and told[-1][2][0] == {'brightness': 300}, what='the last change')
        self.assertLess(len(told), 32 * (time.monotonic() - began + 2))

    def test_volatile_is_asked_for(self):
        self.start()
        publisher = Publisher(self, 'cam', ALL)
        self.assertEqual(self.read('cam', 'flip', 'gain'), {'flip': False, 'gain': 42})
        self.assertEqual(publisher.asked, [['gain']])

    def test_no_controls(self):
        """An empty list, at once, on every source; and they may come later."""
        self.start()
        publisher = Publisher(self, 'plain')
        self.assertEqual(self.list('plain'), {})
        self.raises('NoSuchControl', self.set, 'plain', {'brightness': x(1)})
        told = self.changes('plain')
        publisher.say('Controls', '(aa{sv})', [BRIGHTNESS])
        fbtest.wait_until(lambda: told, what='a list')
        self.assertEqual(told[0][1], 'ListChanged')
        self.assertEqual(list(self.list('plain')), ['brightness'])

    def test_rights(self):
        """On the system bus everybody whom the policy lets through may look, and only root and the broker may set."""
        fbtest.need_root()
        self.start(bus_type='system')
        Publisher(self, 'cam', ALL)
        arguments = ['busctl', '--address', self.bus.address, 'call', 'org.framebus', '/org/framebus/source/cam',
                     CONTROLS]
        for user, words, status, text in [('nobody', ['List'], 0, 'brightness'),
                                          ('nobody', ['Get', 'as', '1', 'flip'], 0, 'flip'),
                                          ('nobody', ['Set', 'a{sv}', '1', 'flip', 'b', 'true'], 1, 'denied'),
                                          (None, ['Set', 'a{sv}', '1', 'flip', 'b', 'true'], 0, 'flip" b true')]:
            with self.subTest(f'{user} {words[0]}'):
                process = self.enter(fbtest.Process(arguments + words, user=user))
                fbtest.wait_until(lambda: process.returncode is not None, 20)
                self.assertEqual(process.returncode, status, process.log())
                self.assertIn(text, process.log())


class Silence(Controls):
    def never(self, _member, _cookie, _asked):
        pass

    def test_one_that_never_answers(self):
        """Its caller gets an error in the end; others, and other sources, go on; calls are bounded."""
        self.start()
        cookies = []
        Publisher(self, 'mute', ALL, lambda _p, _m, cookie, _a: cookies.append(cookie))
        Publisher(self, 'cam', ALL)
        others = [self.bus.connect() for _ in range(4)]
        mine = [self.begin('mute', 'Set', GLib.Variant('(a{sv})', ({'flip': x(1)},))) for _ in range(17)]
        fbtest.wait_until(lambda: mine[16], what='a refusal')
        self.assertEqual(fbtest.error_name(mine[16][0]), programs.ERROR + 'LimitsExceeded')
        self.assertIn('16 calls of your connection', mine[16][0].message)
        theirs = [self.begin('mute', 'Get', GLib.Variant('(as)', (['gain'],)), conn) for conn in others
                  for _ in range(13)]
        fbtest.wait_until(lambda: sum(bool(t) for t in theirs) == 52 - 48, what='refusals')
        for refused in [t for t in theirs if t]:
            self.assertEqual(fbtest.error_name(refused[0]), programs.ERROR + 'LimitsExceeded')
        self.assertEqual(self.set('cam', {'flip': x(1)}), {'flip': True})
        self.assertEqual(len(self.list('mute')), len(ALL))
        self.assertEqual(len(cookies), 64)
        if fbtest.bus_kind() != 'daemon':       # it takes 5 s
            return
        fbtest.wait_until(lambda: all(mine) and all(theirs), 20, 'the end of patience')
        self.assertEqual(fbtest.error_name(mine[0][0]), programs.ERROR + 'SourceFailed')
        self.assertIn('did not answer', mine[0][0].message)

    def test_late_and_unknown_answers(self):
        """Are ignored; an answer that comes twice counts once."""
        self.start()

        def twice(publisher, _member, cookie, asked):
            publisher.tell(cookie + 1, {'flip': x(0)})
            publisher.tell(cookie, asked)
            publisher.tell(cookie, {'flip': x(0)})
        Publisher(self, 'cam', ALL, twice)
        for _ in range(3):
            self.assertEqual(self.set('cam', {'flip': x(1)}), {'flip': True})
        self.assertEqual(self.read('cam', 'flip'), {'flip': True})

    def test_one_that_dies(self):
        """Who waits for it is told at once."""
        self.start()
        publisher = Publisher(self, 'cam', ALL, self.never.__func__)
        waiting = self.begin('cam', 'Set', GLib.Variant('(a{sv})', ({'flip': x(1)},)))
        fbtest.wait_until(lambda: publisher.asked, what='the question')
        publisher.channel.close()
        fbtest.wait_until(lambda: waiting, what='an error')
        self.assertEqual(fbtest.error_name(waiting[0]), programs.ERROR + 'SourceFailed')
        self.assertIn('it is gone', waiting[0].message)

    def test_a_caller_that_leaves(self):
        self.start()
        publisher = Publisher(self, 'cam', ALL, self.never.__func__)
        conn = self.bus.connect()
        self.begin('cam', 'Set', GLib.Variant('(a{sv})', ({'flip': x(1)},)), conn)
        fbtest.wait_until(lambda: publisher.asked, what='the question')
        conn.close_sync(None)
        publisher.tell(1, {'flip': x(1)})
        fbtest.wait_until(lambda: self.read('cam', 'flip')['flip'], what='the value')


class Program(Controls):
    def test_set_while_unwatched(self):
        """The capture program is started for it, keeps what was set as long as it runs, and goes away again."""
        self.start({'bars': programs.PATTERN})
        self.assertEqual(self.workers(), [])
        told = self.changes('bars')
        self.assertEqual(self.set('bars', {'speed': x(3), 'pause': x(1)}), {'speed': 3, 'pause': True})
        running = self.workers()
        self.assertEqual(len(running), 1)
        self.assertEqual(self.read('bars'), {'speed': 3, 'color': 0, 'pause': True})
        viewer = self.client('bars', 'peer', '--frames', 3)
        viewer.finish()
        self.assertEqual(self.read('bars', 'speed'), {'speed': 3})
        self.assertEqual(self.workers(), running)
        fbtest.wait_until(lambda: told, what='a change')
        self.assertEqual(told[0][1:], ('ListChanged', ()))
        fbtest.wait_until(lambda: not self.workers(), 8, 'end of the capture program')
        told.clear()
        self.assertEqual(self.list('bars')['speed']['value'], 1)
        fbtest.wait_until(lambda: told, what='what the new one has')
        self.assertEqual(told[0][1:], ('Changed', ({'speed': 1, 'pause': False},)))

    def test_it_dies_while_asked(self):
        """A capture program that is killed costs the caller an error; the next call starts another."""
        self.start({'bars': programs.PATTERN})
        self.list('bars')
        pid, = self.workers()
        fbtest.sigstop(pid)
        waiting = self.begin('bars', 'Set', GLib.Variant('(a{sv})', ({'speed': x(3)},)))
        self.ping()
        programs.kill_hard(pid)
        fbtest.wait_until(lambda: waiting, what='an error')
        self.assertEqual(fbtest.error_name(waiting[0]), programs.ERROR + 'SourceFailed')
        deadline = time.monotonic() + fbtest.limit(10)
        while True:
            try:
                self.assertEqual(self.set('bars', {'speed': x(3)}), {'speed': 3})
                break
            except GLib.Error as error:     # asked before the broker knew how the old one ended
                self.assertIn('killed', error.message)
                self.assertLess(time.monotonic(), deadline)


if __name__ == '__main__':
    fbtest.main()
