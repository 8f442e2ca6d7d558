# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Rules of access on a real bus, for connections of real users and groups: who may do what, what is hidden, what becomes
of it when the rules change. Shows promise 8 and the policy rows of the kdbus-era suite.
"""

import contextlib
import grp
import os
import pwd
import re

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import INTROSPECTABLE, MANAGER, MANAGER_PATH, PATTERN, PROPERTIES, SOURCE, Viewer, variants

CONTROLS = 'org.framebus.Controls1'
OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'
ACCESS_DENIED = 'org.freedesktop.DBus.Error.AccessDenied'
UNKNOWN_OBJECT = 'org.freedesktop.DBus.Error.UnknownObject'

# Accounts of every Debian: dbus-daemon lets nobody in who has none.
USERS = 'root', 'daemon', 'bin', 'games', 'nobody'

RULES = '''
allow user:root              *        watch,publish,control,admin
deny  user:games             hidden   see
deny  user:bin               yard     watch
allow group:video            yard     watch,control
allow user:daemon            door     see
allow user:daemon            clip     publish
allow user:bin+group:video   door     watch
allow user:games             door     watch,control
ask   user:nobody            door     watch
allow world                  hidden   watch
allow uid:1-2                lobby    watch,admin
'''

# Which verbs each may do with each source; on the system bus: root by its rule, others by theirs.
#               yard                  door                  hidden           lobby         clip
TABLE = {
    'root':        ('see watch control', 'see watch control', 'see watch control', 'see watch control', 'publish'),
    'daemon':      ('',                  'see',               'see watch',         'see watch',         'publish'),
    'daemon+video': ('see watch control', 'see',              'see watch',         'see watch',         'publish'),
    'bin':         ('',                  '',                  'see watch',         'see watch',         ''),
    'bin+video':   ('see control',       'see watch',         'see watch',         'see watch',         ''),
    'games':       ('',                  'see watch control', '',                  '',                  ''),
    'games+video': ('see watch control', 'see watch control', '',                  '',                  ''),
    'nobody':      ('',                  'see',               'see watch',         '',                  ''),
    'nobody+video': ('see watch control', 'see',              'see watch',         '',                  ''),
}
SOURCES = 'yard', 'door', 'hidden', 'lobby'


class Test(programs.TestCase):
    def start(self, rules, bus_type='session', sources=SOURCES, published=()):
        fbtest.need_root()
        self.bus = self.enter(fbtest.Bus(bus_type=bus_type))
        self.config = self.enter(fbtest.Config({name: PATTERN for name in sources}, rules))
        self.broker = self.enter(fbtest.Broker(self.bus, self.config, env=self.broker_env()))
        self.conn = self.bus.connect()
        for name in published:
            self.published(name, '--rate', 1)

    @contextlib.contextmanager
    def being(self, who):
        """Another user ('bin+video': in that group, too) while a connection is made."""
        user, _, group = who.partition('+')
        account, before = pwd.getpwnam(user), os.getgroups()
        os.setgroups([account.pw_gid] + ([grp.getgrnam(group).gr_gid] if group else []))
        os.setegid(account.pw_gid)
        os.seteuid(account.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)

    def connect(self, who):
        with self.being(who):
            return self.bus.connect()

    def error(self, function, *args, **options):
        """(name, message) of the error, or None."""
        try:
            function(*args, **options)
        except GLib.Error as error:
            return fbtest.error_name(error), error.message.partition(': ')[2]
        return None

    def reload(self, rules=None, conn=None):
        if rules is not None:
            self.config.write('access.d/rules.rules', rules)
        self.call(MANAGER_PATH, MANAGER, 'Reload', conn=conn)

    def explain(self, source, verb, conn=None, client='', **subject):
        types = {'uid': 'u', 'gids': 'au'}
        subject = {key: GLib.Variant(types.get(key, 's'), value) for key, value in subject.items()}
        return self.call(MANAGER_PATH, MANAGER, 'Explain', GLib.Variant('(sa{sv}ss)', (client, subject, source, verb)),
                         conn)

    # What is tried for each verb: whether it was let through.

    def can_see(self, conn, source):
        error = self.error(self.resolve, source, conn)
        if error:
            self.assertEqual(error, (programs.ERROR + 'NoSuchSource', f"there is no source '{source}'"))
        return not error

    def can_watch(self, conn, source):
        error = self.error(self.call, f'/org/framebus/source/{source}', SOURCE, 'Negotiate',
                           GLib.Variant('(a{sv})', ({},)), conn)
        return self.judge(error, source, 'watch')

    def can_control(self, conn, source):
        error = self.error(self.call, f'/org/framebus/source/{source}', CONTROLS, 'Set',
                           GLib.Variant('(a{sv})', ({'no-such': GLib.Variant('i', 1)},)), conn)
        if error and error[0] == programs.ERROR + 'NoSuchControl':
            error = None
        return self.judge(error, source, 'control')

    def can_publish(self, conn, source):
        arguments = GLib.Variant('(sa{sv})', (source, {}))
        try:
            _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', arguments, conn, with_fds=True)
        except GLib.Error as error:
            self.assertEqual(fbtest.error_name(error), ACCESS_DENIED)
            return False
        os.close(fds[0])
        fbtest.wait_until(lambda: source not in self.names(self.conn), what='the end of what was published')
        return True

    def judge(self, error, source, verb):
        """Refused is either AccessDenied, or what a source is answered with that does not exist."""
        if not error:
            return True
        if error[0] != ACCESS_DENIED:
            self.assertEqual(error, (UNKNOWN_OBJECT, f"Unknown object '/org/framebus/source/{source}'."))
        else:
            self.assertRegex(error[1], f"you may.* {verb} .*'{source}'")
        return False

    def names(self, conn):
        objects, = self.call(MANAGER_PATH, OBJECT_MANAGER, 'GetManagedObjects', conn=conn)
        return {o.rpartition('/')[2] for o in objects if '/source/' in o}


class Table(Test):
    def test_all(self):
        """Everybody, every source, every verb; by both kinds of call that list sources, too."""
        for bus_type in 'system', 'session':
            with self.subTest(bus_type):
                self.start({'rules': RULES}, bus_type, (), SOURCES)
                self.check_table()

    def check_table(self):
        for who, row in TABLE.items():
            conn = self.connect(who)
            self.assertEqual(self.names(conn), {s for s, verbs in zip(SOURCES, row) if 'see' in verbs}, who)
            for source, verbs in zip(SOURCES + ('clip',), row):
                found = {verb for verb in ('see', 'watch', 'control', 'publish') if
                         (verb == 'publish') == (source == 'clip') and getattr(self, f'can_{verb}')(conn, source)}
                self.assertEqual(found, set(verbs.split()), f'{who} and {source}')

    def test_explained(self):
        """What Explain says of a connection, and of somebody who is described, is what is done."""
        self.start({'rules': RULES}, 'system')
        for who, row in TABLE.items():
            conn = self.connect(who)
            self.ping_as(conn)
            user, _, group = who.partition('+')
            account = pwd.getpwnam(user)
            gids = [account.pw_gid] + ([grp.getgrnam(group).gr_gid] if group else [])
            for source, verbs in zip(SOURCES, row):
                for verb in 'see', 'watch', 'control':
                    decision, *more = self.explain(source, verb, client=conn.get_unique_name())
                    self.assertEqual(decision == 'allow', verb in verbs.split(), (who, source, verb))
                    self.assertEqual(self.explain(source, verb, uid=account.pw_uid, gids=gids), (decision, *more))
        path = self.config.path / 'access.d/rules.rules'
        self.assertEqual(self.explain('hidden', 'watch', uid=77, gids=[]),
                         ('allow', 'watch', f'{path}:11', 'allow world hidden watch'))
        decision, decided, where, rule = self.explain('lobby', 'watch', uid=77)
        self.assertEqual((decision, decided, where), ('deny', 'see', ''))
        self.assertRegex(rule, 'no rule fits')

    def ping_as(self, conn):
        self.call(MANAGER_PATH, PROPERTIES, 'Get', GLib.Variant('(ss)', (MANAGER, 'Version')), conn)

    def test_who_may_ask(self):
        """Explain and Reload tell about others: for who may administer all sources."""
        self.start({'rules': RULES + 'allow user:games * admin\n'})
        games, daemon = self.connect('games'), self.connect('daemon')
        self.explain('yard', 'see', games, uid=1)
        self.reload(conn=games)
        self.assertEqual(self.error(self.explain, 'lobby', 'see', daemon, uid=1)[0], ACCESS_DENIED)
        self.assertEqual(self.error(self.reload, conn=daemon)[0], ACCESS_DENIED)
        self.raises('InvalidOption', self.explain, 'yard', 'look')

    def test_on_a_session_bus(self):
        """Its own user may everything but what a rule says, and needs no rule."""
        self.start(None, bus_type='session')
        self.assertEqual(self.names(self.conn), set(SOURCES))
        self.assertEqual(self.names(self.connect('nobody')), set())
        self.reload('allow user:nobody door see\ndeny user:root yard see\n')
        self.assertEqual(self.names(self.conn), set(SOURCES) - {'yard'})
        self.assertEqual(self.names(self.connect('nobody')), {'door'})


    def test_framebusctl(self):
        self.start({'rules': RULES})
        try:
            ctl = fbtest.build_path('tools/framebusctl')
        except RuntimeError as error:
            self.skipTest(error)
        path = self.config.path / 'access.d/rules.rules'

        def run(*args):
            return fbtest.run([ctl, '--session', 'access', *args], env=self.bus.env())

        def explained(*args):
            status, out, err = run('--explain', *args)
            self.assertEqual((status, err), (0, ''))
            return out.splitlines()
        self.assertEqual(explained('user:bin+group:video', 'door', 'watch'),
                         ['allow', f'  {path}:8: allow user:bin+group:video door watch'])
        self.assertEqual(explained('uid:5', 'hidden', 'watch'),
                         ['deny', '  watch needs see, and that is refused',
                          f'  {path}:3: deny user:games hidden see'])
        self.assertRegex(explained('world', 'yard', 'see')[1], 'no rule fits')
        self.names(self.conn)
        self.assertEqual(explained(self.conn.get_unique_name(), 'yard', 'admin')[0], 'allow')
        for wrong in ('--explain',), ('--explain', 'x', 'y', 'watch'), ('--explain', 'user:nosuch', 'y', 'watch'), ():
            self.assertEqual(run(*wrong)[0], 2, wrong)
        self.assertEqual(run('--explain', 'world', 'yard', 'look')[0], 5)
        self.assertEqual(run('--reload'), (0, '', ''))
        path.write_text('permit\n')
        status, _out, err = run('--reload')
        self.assertEqual(status, 5)
        self.assertIn(f'{path}:1: not one of allow', err)


class Hidden(Test):
    """What a source that may not be seen answers is what one that does not exist answers, to the byte."""

    CALLS = [(SOURCE, 'Negotiate', '(a{sv})', ({},)), (SOURCE, 'Subscribe', '(a{sv})', ({},)),
             (SOURCE, 'Attach', '(a{sv})', ({},)), (SOURCE, 'NoSuch', None, None),
             (CONTROLS, 'List', None, None), (CONTROLS, 'Get', '(as)', ([],)), (CONTROLS, 'Set', '(a{sv})', ({},)),
             ('com.stbtester.VideoSource1', 'Attach', None, None), ('com.stbtester.VideoSource2', 'Attach', None, None),
             (PROPERTIES, 'Get', '(ss)', (SOURCE, 'Name')), (PROPERTIES, 'GetAll', '(s)', (SOURCE,)),
             (PROPERTIES, 'GetAll', '(s)', ('',)), (PROPERTIES, 'GetAll', '(s)', ('com.stbtester.VideoSource2',)),
             (PROPERTIES, 'Set', '(ssv)', (SOURCE, 'Name', GLib.Variant('s', 'x'))),
             (INTROSPECTABLE, 'Introspect', None, None), (OBJECT_MANAGER, 'GetManagedObjects', None, None),
             ('org.freedesktop.DBus.Peer', 'GetMachineId', None, None), ('no.such', 'Call', None, None)]

    def answer(self, conn, path, interface, member, signature, values):
        """All of an answer but its numbers, as bytes."""
        message = Gio.DBusMessage.new_method_call('org.framebus', path, interface, member)
        if signature:
            message.set_body(GLib.Variant(signature, values))
        reply, _serial = conn.send_message_with_reply_sync(message, Gio.DBusSendMessageFlags.NONE,
                                                           int(fbtest.limit(20) * 1000), None)
        body = reply.get_body()
        return (reply.get_message_type(), reply.get_error_name(), reply.get_signature(),
                body and bytes(body.get_data_as_bytes().get_data()))

    def test_as_missing(self):
        self.start({'rules': RULES}, sources=('yard', 'door', 'lobby', 'hidden'))
        conn = self.connect('games')
        for interface, member, signature, values in self.CALLS:
            for suffix in '', '/below':
                hidden, missing = (self.answer(conn, f'/org/framebus/source/{name}{suffix}', interface, member,
                                               signature, values) for name in ('hidden', 'absent'))
                missing = missing[:3] + (missing[3] and missing[3].replace(b'absent', b'hidden'),)
                self.assertEqual(hidden, missing, f'{interface}.{member} {suffix}')
        for name in 'hidden', 'absent':
            self.assertEqual(self.error(self.resolve, name, conn)[1], f"there is no source '{name}'")
        for path in '/', '/org', '/org/framebus', '/org/framebus/source':
            self.assertNotIn('hidden', self.call(path, INTROSPECTABLE, 'Introspect', conn=conn)[0])
        self.assertIn('hidden', self.call('/org/framebus/source', INTROSPECTABLE, 'Introspect')[0])

    def test_no_signal(self):
        """News go to who may see, and to nobody else, whatever it listens to."""
        self.start({'rules': RULES + 'allow user:games door* see\n'})
        heard = {}
        for who in 'root', 'games', 'daemon':
            conn = self.connect(who)
            self.names(conn)            # who has looked
            heard[who] = self.record(conn=conn)
            self.ping_on(conn)
        publisher = self.published('secret', '--rate', 100)
        viewer = self.client('secret', 'peer', '--frames', 3)
        viewer.finish()
        publisher.stop()
        fbtest.wait_until(lambda: [e for e in heard['root'] if e[1] == 'InterfacesRemoved'], what='the end, told')
        told = {e[1] for e in heard['root'] if 'secret' in repr(e)}
        self.assertEqual(told, {'InterfacesAdded', 'PropertiesChanged', 'InterfacesRemoved'})
        for who in 'games', 'daemon':
            self.ping_on(next(c for c in self.bus.connections if c is not self.conn))
            self.assertEqual([e for e in heard[who] if 'secret' in repr(e)], [], who)

    def ping_on(self, conn):
        self.call(MANAGER_PATH, programs.PEER, 'Ping', conn=conn)

    def test_appears_and_goes(self):
        """Who may see a source from now on is told of it as of a new one, with what it is; and of its end."""
        self.start({'rules': 'allow user:root * watch\n'}, 'system')
        conn = self.connect('games')
        self.assertEqual(self.names(conn), set())
        heard = self.record(conn=conn)
        self.ping_on(conn)
        self.reload('allow user:root * watch\nallow user:games door watch\n')
        self.ping_on(conn)
        fbtest.wait_until(lambda: heard, what='news')
        (path, member, (what, interfaces)), = heard
        self.assertEqual((path, member, what), (MANAGER_PATH, 'InterfacesAdded', '/org/framebus/source/door'))
        objects, = self.call(MANAGER_PATH, OBJECT_MANAGER, 'GetManagedObjects', conn=conn)
        self.assertEqual(interfaces, objects[what])
        heard.clear()
        self.reload('allow user:root * watch\n')
        self.ping_on(conn)
        fbtest.wait_until(lambda: heard, what='news')
        (_path, member, (what, gone)), = heard
        self.assertEqual((member, what, set(gone)), ('InterfacesRemoved', '/org/framebus/source/door', set(interfaces)))


class Reloading(Test):
    ALL = 'allow user:root * watch,publish,control,admin\nallow world * watch\n'

    def test_wrong_rules_change_nothing(self):
        self.start({'rules': 'allow user:root * watch\n'})
        conn = self.connect('nobody')
        message = self.raises('InvalidRules', self.reload, 'allow user:root * watch\nallow world door watch\npermit x')
        self.assertRegex(message, r"rules\.rules:3: not one of allow, deny, ask: 'permit'$")
        self.assertEqual(self.names(conn), set())
        self.assertEqual(self.names(self.conn), set(SOURCES))
        (self.config.path / 'access.d/zz.rules').write_text('allow world yard watch\n')
        self.raises('InvalidRules', self.reload)
        self.assertEqual(self.names(conn), set())
        self.reload('allow world door watch\n')
        self.assertEqual(self.names(conn), {'door', 'yard'})

    def test_which_files(self):
        """In the order of names; what others could write is not taken."""
        self.start({'10-a': 'deny world door see\n', '20-b': 'allow world * see\n'})
        folder = self.config.path / 'access.d'
        conn = self.connect('nobody')
        self.assertEqual(self.names(conn), set(SOURCES) - {'door'})
        (folder / '05.rules').symlink_to(folder / '20-b.rules')
        (folder / '.hidden.rules').write_text('bad')
        (folder / 'note.txt').write_text('bad')
        (folder / '30.rules').symlink_to('/dev/null')
        self.reload()
        self.assertEqual(self.names(conn), set(SOURCES))
        (folder / '20-b.rules').chmod(0o666)
        self.assertRegex(self.raises('InvalidRules', self.reload), 'everybody may write it')
        (folder / '20-b.rules').chmod(0o644)
        os.chown(folder / '10-a.rules', pwd.getpwnam('nobody').pw_uid, 0)
        self.assertRegex(self.raises('InvalidRules', self.reload), '10-a.rules: it belongs to another user')
        os.chown(folder / '10-a.rules', 0, 0)
        os.mkfifo(folder / '40.rules')
        self.assertRegex(self.raises('InvalidRules', self.reload), '40.rules: not a regular file')

    def test_bad_from_the_beginning(self):
        """Nobody may do anything until they are good."""
        self.start({'rules': 'allow world * watch\noops'}, bus_type='session')
        self.assertEqual(self.names(self.conn), set())
        self.assertEqual(self.error(self.call, MANAGER_PATH, MANAGER, 'Publish',
                                    GLib.Variant('(sa{sv})', ('x', {})))[0], ACCESS_DENIED)
        self.assertIn("rules.rules:2: not one of allow, deny, ask: 'oops'", self.broker.err())
        self.reload('')
        self.assertEqual(self.names(self.conn), set(SOURCES))

    def test_revoked(self):
        """Who may not watch any more is told so, gets no frame more, and others lose nothing."""
        self.start({'rules': self.ALL}, sources=('door',))
        publisher = self.published_by_hand('clip')
        beside = Viewer(self, 'clip', 'bus', window=8)
        taken = [self.connected_viewer('nobody', transport) for transport in ('bus', 'peer', 'peer-own-socket')]
        self.send(publisher, 3)
        for viewer in (beside, *taken):
            fbtest.wait_until(lambda v=viewer: len(v.frames()) >= 3, what='frames')
        before = self.source_seq(publisher)
        self.reload('allow user:root * watch,publish\n')
        self.send(publisher, 3)
        fbtest.wait_until(lambda: beside.frames()[-1] == before + 3, what='frames')
        for viewer in taken:
            viewer.wait_event('Ended')
            self.assertEqual([e[-1] for e in viewer.named('Ended')], ['revoked'])
            self.assertEqual(max(viewer.frames()), before)
        self.assertEqual(beside.named('Ended') + beside.named('Lost'), [])
        self.assertEqual({w['uid'] for w in self.who()}, {0})

    def connected_viewer(self, who, transport):
        with self.being(who):
            return Viewer(self, 'clip', transport, window=4)

    def test_publisher_revoked(self):
        self.start({'rules': self.ALL + 'allow user:nobody clip publish\n'}, sources=('door',))
        publisher = self.publisher('clip', '--rate', 50, user='nobody')
        publisher.wait_event('published')
        viewer = self.client('clip', 'peer')
        viewer.wait_frames(1)
        self.reload(self.ALL)
        self.assertEqual(viewer.wait_event('ended')['reason'], 'revoked')
        self.assertNotIn('clip', self.names(self.conn))
        publisher.wait(10)

    def test_memory_revoked(self):
        """The right to leased memory alone is taken: the subscription ends, the next one is sealed."""
        self.start({'rules': self.ALL}, sources=())
        self.published('door', '--rate', 50, '--leased')
        _path, granted = self.on_source('door', 'Subscribe', variants({'memory': ['leased', 'sealed']}))
        self.assertEqual(granted['memory'], 'leased')
        ended = self.record('Ended')
        self.reload('deny world * lease\n' + self.ALL)
        fbtest.wait_until(lambda: ended, what='the end')
        self.assertEqual(ended[0][2][1], 'revoked')
        _path, granted = self.on_source('door', 'Subscribe', variants({'memory': ['leased', 'sealed']}))
        self.assertEqual(granted['memory'], 'sealed')


class Audit(Test):
    def test_told(self):
        self.start({'rules': RULES})
        conn = self.connect('nobody')
        self.can_watch(conn, 'door')
        self.can_see(conn, 'yard')
        self.on_source('hidden', 'Subscribe', conn=conn)
        self.reload(RULES.replace('allow world ', '#'))
        self.ping()
        told = re.findall(r"access: (.*)", self.broker.err())
        uid = pwd.getpwnam('nobody').pw_uid
        rest = f'user {uid}, process {os.getpid()}'
        rules = f'{self.config.path}/access.d/rules.rules'
        self.assertEqual([t for t in told if f'user {uid}' in t],
                         [f"watch 'door' refused to {rest} ({rules}:10)", f"see 'yard' refused to {rest}",
                          f"watch 'hidden' granted to {rest}", f"see 'hidden' revoked from {rest}"])

    def test_not_too_often(self):
        """One user's noise is cut, another's words are heard."""
        self.start({'rules': RULES})
        noisy, other = self.connect('nobody'), self.connect('games')
        for _ in range(60):
            self.can_see(noisy, 'yard')
        self.can_see(other, 'yard')
        self.ping()
        told = self.broker.err()
        self.assertLess(told.count("see 'yard' refused to user 65534"), 50)
        self.assertEqual(told.count(f"see 'yard' refused to user {pwd.getpwnam('games').pw_uid}"), 1)


if __name__ == '__main__':
    fbtest.main()
