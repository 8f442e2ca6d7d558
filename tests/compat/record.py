#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Writes down what the clients of this version say, to be said again to every later broker by replay.py.

    record.py FOLDER [NAME…]        into FOLDER/NAME.json; FB_BUILD names the build, as for the tests

A recording has a line of JSON for each thing that was said, in order:

    ["bus", "auth", TEXT]           a piece of the client's handshake; $uid is its user, in hexadecimal
    ["bus", "auth-answer", WORDS]   the first word of each line of an answer
    ["bus", "say", MESSAGE]         by the client: the message's header in its order, and its values, as dbuswire.py
                                    has them; so these are the bytes that it sent, but for what another run gives
                                    another value: $self, $broker, $subscription inside of texts, and instead of
                                    numbers {"$frame": n} the number of the nth frame that was heard here, {"$call": n}
                                    the nth call that was, {"$now": 0} the time
    ["bus", "hear", MESSAGE]        by the broker, with "to" the serial number that it answers
    ["bus", "records", VERSION, N]  records of com.stbtester.VideoSource, on the socket that was heard last

"channel-1" and so on, instead of "bus", are the private connections, in the order in which their sockets passed by.
Descriptors are noted by kind, memory that a client sends also by its name here, its size and its seals.
"""

import fcntl
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import programs  # noqa: E402
import tap  # noqa: E402

F_GET_SEALS = 1034
HEARD = programs.SUBSCRIPTION, programs.PUBLICATION, 'org.framebus.Controls1'
SIZE, FORMAT = '64x48', 'NV12'
LEGACY_NAME, LEGACY_PATH = 'com.stbtester.VideoSource.dev_video0', '/com/stbtester/VideoSource'
FRAMES = '6'


def example(name, *args):
    if name.endswith('.py'):
        return ['/usr/bin/python3', HERE.parent.parent / 'examples' / name, *args]
    return [fbtest.build_path(f'examples/{name}'), *args]


def old_viewer(*args):
    return ['/usr/bin/python3', HERE / 'pulsevideo.py', *args, '--frames', '3']


def controls(*args):
    return [fbtest.build_path('tools/framebusctl'), *args]


# name: the command line; those of PUBLISHERS feed a source, which somebody has to watch
CLIENTS = {
    'sdbus': lambda: example('01-subscribe-sdbus', '--frames', FRAMES, 'clip'),
    'gdbus': lambda: example('02-subscribe-gdbus', '--frames', FRAMES, 'clip'),
    'gdbus-python': lambda: example('03-subscribe.py', '--frames', FRAMES, 'clip'),
    'library': lambda: example('04-subscribe', '--frames', FRAMES, 'clip'),
    'library-bus': lambda: example('04-subscribe', '--bus', '--frames', FRAMES, 'clip'),
    'library-latest': lambda: example('06-latest-only', '--frames', '3', '--work', '50', 'clip'),
    'own-socket': lambda: [fbtest.build_path('tests/bus/client/fb-client'), '--source', 'clip', '--transport',
                           'peer-own-socket', '--frames', FRAMES],
    'ctl-list': lambda: controls('list'),
    'ctl-negotiate': lambda: controls('negotiate', 'clip'),
    'ctl-controls': lambda: controls('controls', 'bars'),
    'pulsevideo-1': lambda: old_viewer(LEGACY_NAME, LEGACY_PATH, '--interface', '1'),
    'pulsevideo-2': lambda: old_viewer(LEGACY_NAME, LEGACY_PATH, '--interface', '2'),
    'pulsevideo-object': lambda: old_viewer('org.framebus', '/org/framebus/source/clip'),
}
PUBLISHERS = {
    'library-publish': lambda: example('05-publish', '--rate', '30', '--size', SIZE, 'own'),
    'library-lend': lambda: example('07-lend', 'own'),
}


def start_sources(case, env=None):
    """
    What every recording, and whoever plays it, has: 'bars' of a capture program, and 'clip', a publisher. env: of the
    broker.
    """
    case.start({'bars': programs.PATTERN + 'PulseVideo=dev_video0\n'}, env=env)
    fbtest.wait_until(lambda: case.bus.owner(LEGACY_NAME), what=LEGACY_NAME)
    return case.published('clip', '--rate', 50, '--size', SIZE, '--format', FORMAT)


def kind_of_fd(fd):
    target = os.readlink(f'/proc/self/fd/{fd}')
    return 'memfd' if target.startswith('/memfd:') else re.match(r'\w*', target).group()


class Recording:
    """The lines of one session."""

    def __init__(self):
        self.lines, self.names, self.memories = [], {}, {}
        self.frames, self.calls, self.asked = {}, {}, {}    # by link

    def note(self, link, *what):
        self.lines.append([link, *what])

    def said(self, link, by_client, what):
        if isinstance(what, bytes):
            self._handshake(link, by_client, what.decode())
        elif by_client:
            self._say(link, what)
        else:
            self._hear(link, what)

    def _handshake(self, link, by_client, text):
        if by_client:
            self.note(link, 'auth', re.sub(r'(AUTH EXTERNAL |DATA )[0-9a-f]+', r'\1$uid', text))
        else:
            self.note(link, 'auth-answer', [line.split(' ')[0] for line in text.splitlines()])

    def _general(self, value):
        """With what is only of this run replaced, in texts at any depth."""
        if isinstance(value, list):
            return [self._general(v) for v in value]
        if isinstance(value, dict):
            return {k: self._general(v) for k, v in value.items()}
        if isinstance(value, str):
            for name, word in self.names.items():   # :1.2 is no :1.23
                value = re.sub(rf'{re.escape(name)}(?![\w.])', word, value)
        return value

    def _memory(self, fd):
        if kind_of_fd(fd) != 'memfd':
            return kind_of_fd(fd)
        status = os.fstat(fd)
        name = self.memories.setdefault((status.st_dev, status.st_ino), f'memory-{len(self.memories) + 1}')
        return {'memfd': name, 'size': status.st_size, 'seals': fcntl.fcntl(fd, F_GET_SEALS)}

    def _say(self, link, message):
        self.asked[link, message.serial] = message
        body = self._general(message.body)
        member = message.get('member')
        if message.is_('call', programs.SUBSCRIPTION):
            frames = self.frames.get(link, [])
            if member == 'Release':
                body = [[{'$frame': frames.index(seq)} for seq in body[0]]]
            elif member == 'ReleaseUpTo':
                body = [{'$frame': frames.index(body[0])}]
        elif message.is_('call', programs.PUBLICATION, 'Frame'):
            body[2] = {'$now': 0}
        head = [[name, self._general(value)] for name, value in message.head]
        if message.get('reply-to'):
            head = [[name, {'$call': self.calls[link].index(value)} if name == 'reply-to' else value]
                    for name, value in head]
        line = {'kind': message.kind, 'serial': message.serial, 'head': head, 'body': body}
        line.update({'flags': message.flags} if message.flags else {}, **{'big': True} if message.big else {})
        if message.fds:
            line['fds'] = [self._memory(fd) for fd in message.fds]
        self.note(link, 'say', line)

    def _hear(self, link, message):
        if message.kind == 'signal' and message.get('interface') not in HEARD:
            return
        call = self.asked.get((link, message.get('reply-to')))
        line = {'kind': message.kind}
        for name, key in ('reply-to', 'to'), ('interface', 'interface'), ('member', 'member'), ('error', 'error'):
            if message.get(name) is not None:
                line[key] = message.get(name)
        if message.kind == 'call':
            self.calls.setdefault(link, []).append(message.serial)
            self.names.setdefault(message.get('sender'), '$broker')
        if message.is_('signal', programs.SUBSCRIPTION, 'Frame'):
            self.frames.setdefault(link, []).append(message.body[0])
        if call and message.kind == 'return':
            self._learn(call, message)
        line.update({'signature': message.signature, 'body': self._general(message.body)})
        if message.fds:
            line['fds'] = [kind_of_fd(fd) for fd in message.fds]
        self.note(link, 'hear', line)
        if call and message.fds and (call.get('interface') or '').startswith(tap.LEGACY):
            self.note(link, 'records', int(call.get('interface')[-1]), 3)

    def _learn(self, call, reply):
        member = call.get('member')
        if member == 'Hello':
            self.names[reply.body[0]] = '$self'
        elif member == 'GetNameOwner':
            self.names[reply.body[0]] = '$legacy' if call.body[0] == LEGACY_NAME else '$broker'
        elif member in ('Resolve', 'GetManagedObjects', 'Watch') and reply.get('sender'):
            self.names[reply.get('sender')] = '$broker'
        elif member == 'Subscribe':
            self.names[reply.body[0]] = '$subscription'


def text_of(lines):
    return ''.join(json.dumps(line, ensure_ascii=False) + '\n' for line in lines)


def watch_own(case):
    """Somebody has to watch a publisher: six frames."""
    def is_there():
        try:
            return case.resolve('own')
        except fbtest.GLib.Error:
            return None
    fbtest.wait_until(is_there, 15, 'the source')
    case.client('own', 'peer', '--frames', 6, '--opt', 'memory=as:leased,sealed').finish()


def record(case, name):
    """The lines of what a client says; case: of start_sources()."""
    recording = Recording()
    with tap.Tap(f'{case.bus.base}/bus', on_said=lambda _s, link, by_client, what:
                 recording.said(link, by_client, what)) as relay:
        client = case.enter(fbtest.Process({**CLIENTS, **PUBLISHERS}[name](), env={
            'DBUS_SESSION_BUS_ADDRESS': relay.address, 'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}))
        if name in PUBLISHERS:
            watch_own(case)
            client.stop()
        elif client.wait(30) != 0:
            raise AssertionError(client.log())
    return recording.lines


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or [*CLIENTS, *PUBLISHERS]:
        case = programs.TestCase('enter')   # no test, but what they have
        try:
            start_sources(case)
            lines = record(case, name)
        finally:
            case.doCleanups()
        (folder / f'{name}.json').write_text(text_of(lines))
        print(f'{name}: {len(lines)} lines')


if __name__ == '__main__':
    os.environ['FB_BUS'] = 'daemon'
    main()
