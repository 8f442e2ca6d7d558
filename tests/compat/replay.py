# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Says again what a client of an earlier version said (record.py has the format), and judges the answers by what they
mean: who got an answer then gets one of the same type now, with at least the keys that were in it, and what it has to
rely on has the same value. More keys, other numbers and times, more news are all right.

    player = Player(lines, bus_socket, way='bytes')
    player.play()
    player.frames                   # that were heard: Frame
"""

import array
import contextlib
import fcntl
import mmap
import os
import random
import socket
import time
import zlib

import dbuswire
import fbtest
import record
import tap

SUBSCRIPTION, PUBLICATION = 'org.framebus.Subscription1', 'org.framebus.Publication1'
SEALED = 15
POOL = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
BUS = 'org.freedesktop.DBus'
MEMORY_KIND = 0xf00

# How messages go out: one at a time, byte by byte, or all that need not wait for an answer in one piece.
WAYS = 'messages', 'bytes', 'together'

# What has another value in another run. Its type stays what it was.
VARYING = {'seq', 'epoch', 'pid', 'uid', 'since', 'client', 'delivered', 'lost', 'in-flight', 'suspended', 'Epoch',
           'Version', 'Description', 'State', 'StateReason', 'Frames', 'Lost', 'Subscribers', 'Mode', 'buffers',
           'buffer', 'value', 'device-sequence'}
# News that need not come again, or not so often.
OPTIONAL = {'Lost', 'Suspended', 'Resumed', 'KeyframeWanted', 'ListChanged', 'Changed'}


class Mismatch(AssertionError):
    pass


def same(kind, then, now, where):
    """That a client that was content with then is with now."""
    def fail():
        raise Mismatch(f'{where}: {now!r}, and was {then!r}')
    if kind[0:2] == 'a{':
        found = {k: v for k, v in now}
        for key, value in then:
            if key not in found:
                raise Mismatch(f'{where}: without {key!r}')
            if key not in VARYING:
                same(dbuswire.split(kind[2:-1])[1], value, found[key], f'{where}.{key}')
            elif isinstance(value, dict) and next(iter(value)) != next(iter(found[key])):
                raise Mismatch(f'{where}.{key}: {found[key]}, and was {value}')
    elif kind in ('as', 'ag', 'ao', 'at'):
        if not set(then) <= set(now):
            fail()
    elif kind[0] == 'a':
        if len(now) < len(then):
            fail()
        for i, (a, b) in enumerate(zip(then, now)):
            same(kind[1:], a, b, f'{where}[{i}]')
    elif kind[0] == '(':
        for i, (k, a, b) in enumerate(zip(dbuswire.split(kind[1:-1]), then, now)):
            same(k, a, b, f'{where}.{i}')
    elif kind == 'v':
        (type_then, a), = then.items()
        (type_now, b), = now.items()
        if type_then != type_now:
            fail()
        same(type_then, a, b, where)
    elif kind in 'so' and ('$' in then or not then):
        return                          # of that run alone, or not known yet
    elif then != now:
        fail()


class Link:
    """A connection as the client has it."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(fbtest.limit(20))
        self.stream = tap.Stream(by_client=False)
        self.unread = []                # messages that nobody asked for yet
        self.frames, self.calls, self.released = [], [], []
        self.waiting = []               # bytes to go out together
        self.lines = []                 # of the handshake, not looked at yet

    def _more(self):
        data, fds = tap.receive(self.socket)
        if not data and not fds:
            raise Mismatch('hung up')
        self.stream.add(data, fds)

    def auth_answer(self, n_lines):
        """Of a handshake that goes on; the first words."""
        while len(self.lines) < n_lines:
            piece = self.stream.next()
            if piece is None:
                self._more()
            else:
                self.lines += piece.decode().splitlines()
        taken, self.lines = self.lines[:n_lines], self.lines[n_lines:]
        return [line.split(' ')[0] for line in taken]

    def _read(self):
        while (message := self.stream.next()) is None:
            self._more()
        return message

    def find(self, wanted):
        """The first message that is wanted, which comes in any case."""
        for i, message in enumerate(self.unread):
            if wanted(message):
                return self.unread.pop(i)
        while True:
            message = self._read()
            if wanted(message):
                return message
            self.unread.append(message)

    def has(self, wanted):
        return any(wanted(m) for m in self.unread)

    def close(self):
        self.socket.close()
        for message in self.unread:
            for fd in message.fds:
                os.close(fd)
        for fd in self.stream.fds:
            os.close(fd)


class Memory:
    """A memfd that is written, and sealed as the one was that it stands for."""

    def __init__(self, size, seals):
        self.fd = os.memfd_create('replay', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        self.data = mmap.mmap(self.fd, size)
        self.seals = seals
        if not seals & fcntl.F_SEAL_WRITE:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def fill(self, seed):
        self.data[:] = random.Random(seed).randbytes(len(self.data))
        content = bytes(self.data)
        if self.seals & fcntl.F_SEAL_WRITE:
            self.data.close()
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, self.seals)
        return content

    def close(self):
        if not self.data.closed:
            self.data.close()
        os.close(self.fd)


class Heard:
    """A frame: its number and the checksum of each plane."""

    def __init__(self, seq, sums):
        self.seq, self.sums = seq, sums


def is_call(message):
    return message.kind == 'call'


def look_at(message):
    """A Frame's memory is what its flags and planes say, as every client has to check."""
    seq, _order, _pts, _format, flags, memory, planes, meta = message.body
    seals = SEALED if not flags & MEMORY_KIND else POOL
    if flags & MEMORY_KIND and 'buffer' not in dict(meta):
        raise Mismatch('leased memory without a buffer')
    sums = []
    for index, offset, size, _stride in planes:
        fd = message.fds[memory[index]]
        if fcntl.fcntl(fd, record.F_GET_SEALS) & seals != seals:
            raise Mismatch('not sealed')
        if os.fstat(fd).st_size < offset + size:
            raise Mismatch('a plane outside of its memory')
        with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as data:
            sums.append(zlib.crc32(data[offset:offset + size]))
    return Heard(seq, sums)


class Player:
    def __init__(self, lines, bus_socket, *, way='messages', before=None, after_frame=None):
        """
        before: {member: function} to call once before that signal is waited for. after_frame: function(seq), to call
        when that Frame has been sent.
        """
        self.lines, self.way, self.before, self.after_frame = lines, way, dict(before or {}), after_frame
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(bus_socket))
        self.links, self.n_channels = {'bus': Link(sock)}, 0
        self.names, self.memories, self.asked = {}, {}, {}
        self.frames, self.sent, self.records = [], {}, []
        self.raw = None                 # a socket for records

    def play(self):
        for n, (link, verb, *what) in enumerate(self.lines, 1):
            try:
                if verb != 'say':
                    self._flush()
                {'auth': self._auth, 'auth-answer': self._auth_answer, 'say': self._say, 'hear': self._hear,
                 'records': self._records}[verb](link, *what)
            except (Mismatch, OSError, KeyError, IndexError) as error:
                raise Mismatch(f'line {n}, {verb} {what}: {error!r}') from error
        self._flush()

    def close(self):
        for thing in [*self.links.values(), *self.memories.values(), *[self.raw] * bool(self.raw)]:
            thing.close()
        self.links, self.memories, self.raw = {}, {}, None

    # What the client says

    def _send(self, link, data, fds=()):
        sock = self.links[link].socket
        if self.way == 'bytes' and not fds:     # what has descriptors goes in one piece, as Publication1 says
            for i in range(len(data)):
                sock.sendall(data[i:i + 1])
        elif self.way == 'together' and not fds:
            self.links[link].waiting.append(data)
        else:
            self._flush()
            tap.send(sock, data, fds)

    def _flush(self):
        for link in self.links.values():
            if link.waiting:
                link.socket.sendall(b''.join(link.waiting))
                link.waiting = []

    def _auth(self, link, text):
        self._send(link, text.replace('$uid', str(os.getuid()).encode().hex()).encode())

    def _auth_answer(self, link, words):
        found = self.links[link].auth_answer(len(words))
        if found != words:
            raise Mismatch(f'{found}')

    def _special(self, link, value):
        """With what stands for something replaced by what it is here."""
        if isinstance(value, list):
            return [self._special(link, v) for v in value]
        if isinstance(value, dict) and len(value) == 1:
            (word, n), = value.items()
            if word == '$frame':
                return self.links[link].frames[n].seq
            if word == '$call':
                return self.links[link].calls[n]
            if word == '$now':
                return time.monotonic_ns()
        if isinstance(value, dict):
            return {k: self._special(link, v) for k, v in value.items()}
        if isinstance(value, str) and '$' in value:
            for word, name in self.names.items():
                value = value.replace(word, name)
        return value

    def _memory(self, note, seed):
        """A descriptor to send, and what is in it."""
        fresh = note['seals'] & fcntl.F_SEAL_WRITE
        if fresh and note['memfd'] in self.memories:
            self.memories.pop(note['memfd']).close()
        if note['memfd'] not in self.memories:
            self.memories[note['memfd']] = Memory(note['size'], note['seals'])
        memory = self.memories[note['memfd']]
        return memory.fd, memory.fill(seed)

    def _say(self, link, note):
        here = self.links[link]
        if note['kind'] in ('return', 'error'):
            index = dict(note['head'])['reply-to']['$call']
            while len(here.calls) <= index and here.has(is_call):
                question = here.find(is_call)
                here.calls.append(question.serial)
                self.names.setdefault('$broker', question.get('sender'))
                for fd in question.fds:
                    os.close(fd)
            if len(here.calls) <= index:
                return                  # nobody asked this time
        message = dbuswire.Message(note['kind'], note['serial'], self._special(link, note['head']),
                                   self._special(link, note['body']), flags=note.get('flags', 0),
                                   big=note.get('big', False))
        self.asked[link, message.serial] = message
        fds, contents = [], []
        for wanted in note.get('fds', []):
            if wanted == 'socket':
                fds.append(self._new_channel(link))
            else:
                fd, content = self._memory(wanted, len(self.sent))
                fds.append(fd)
                contents.append(content)
        self._send(link, dbuswire.encode(message), fds)
        if message.is_('call', PUBLICATION, 'Frame'):
            seq, memory, planes = message.body[0], message.body[5], message.body[6]
            self.sent[seq] = [zlib.crc32(contents[memory[i]][offset:offset + size]) for i, offset, size, _ in planes]
            self.after_frame(seq)

    def _new_channel(self, _link):
        """One end is ours; the other one is sent."""
        ours, theirs = socket.socketpair()
        self._add_channel(ours)
        self.memories[f'socket {self.n_channels}'] = theirs     # closed at the end
        return theirs.fileno()

    def _add_channel(self, sock):
        self.n_channels += 1
        self.links[f'channel-{self.n_channels}'] = Link(sock)

    # What it hears

    def _hear(self, link, note):
        here = self.links[link]
        member = note.get('member')
        if member in self.before:
            self.before.pop(member)()
        if note['kind'] == 'signal':
            self._hear_signal(here, note)
            return
        if note['kind'] == 'call':
            return                      # see _say()
        call = self.asked[link, note['to']]
        message = here.find(lambda m: m.get('reply-to') == note['to'])
        if message.kind != note['kind'] or message.get('error') != note.get('error'):
            raise Mismatch(str(message))
        if message.signature != note['signature']:
            raise Mismatch(f'signature {message.signature}')
        if call.get('destination') != BUS and message.kind == 'return':
            self._compare(note, message)
        self._learn(call, message)

    def _compare(self, note, message):
        for i, kind in enumerate(dbuswire.split(message.signature)):
            same(kind, note['body'][i], message.body[i], f'value {i + 1}')
        if len(note.get('fds', [])) != len(message.fds):
            raise Mismatch(f'{len(message.fds)} descriptors')
        for then, fd in zip(note.get('fds', []), message.fds):
            if record.kind_of_fd(fd) != then:
                raise Mismatch(f'{record.kind_of_fd(fd)} for {then}')

    def _learn(self, call, message):
        member, sender = call.get('member'), message.get('sender')
        if member == 'Hello':
            self.names['$self'] = message.body[0]
        elif member == 'GetNameOwner':
            self.names['$legacy' if call.body[0] == record.LEGACY_NAME else '$broker'] = message.body[0]
        elif member in ('Resolve', 'GetManagedObjects', 'Watch') and sender:
            self.names['$broker'] = sender
        elif member == 'Subscribe':
            self.names['$subscription'] = message.body[0]
        for fd in message.fds:
            if not tap.is_socket(fd):
                os.close(fd)
            elif (call.get('interface') or '').startswith(tap.LEGACY):
                self.raw = socket.socket(fileno=fd)
            else:
                self._add_channel(socket.socket(fileno=fd))

    def _hear_signal(self, here, note):
        member = note['member']
        if member in OPTIONAL:
            return
        if note['interface'] == PUBLICATION and member == 'Release':
            self._hear_released(here, note['body'][0])
            return
        message = here.find(lambda m: m.is_('signal', note['interface'], member))
        if message.signature != note['signature']:
            raise Mismatch(f'signature {message.signature}')
        if member == 'Frame':
            heard = look_at(message)
            here.frames.append(heard)
            self.frames.append(heard)
            if (message.body[4] ^ note['body'][4]) & MEMORY_KIND:
                raise Mismatch(f'flags {message.body[4]:#x}')
        elif member == 'FormatChanged':
            same('a{sv}', note['body'][2], message.body[2], 'mode')
        else:
            self._compare(note, message)
        for fd in message.fds:
            os.close(fd)

    def _hear_released(self, here, numbers):
        """In whatever groups, sooner or later."""
        while not set(numbers) <= set(here.released):
            here.released += here.find(lambda m: m.is_('signal', PUBLICATION, 'Release')).body[0]

    def _records(self, _link, version, n):
        import pulsevideo
        viewer = pulsevideo.Viewer.__new__(pulsevideo.Viewer)
        viewer.version, viewer.socket = version, self.raw
        for _ in range(n):
            entry = viewer.read(fbtest.limit(20))
            if entry is None:
                raise Mismatch('no more records')
            self.records.append(zlib.crc32(entry.data()))
            entry.close()


def errors_of(player):
    """Error replies that were not expected."""
    return [str(m) for link in player.links.values() for m in link.unread if m.kind == 'error']
