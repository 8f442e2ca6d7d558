# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A relay between clients and a bus that understands what it relays. It follows every private connection that passes
through it: the sockets in Attach's and Publish's answers, and the one in AttachTo.

    with Tap(bus.base / 'bus', on_said=note, change=alter) as tap:      # each client has a Session
        program(env={'DBUS_SESSION_BUS_ADDRESS': tap.address})

on_said(session, link, by_client, what): what is a Message, or bytes of a handshake. link is 'bus', 'channel-1', ….
change(link, by_client, message): what is sent on instead, as a list of Messages; for playing somebody else.

Sockets of com.stbtester.* are left alone: on these there is no D-Bus.
"""

import array
import contextlib
import os
import socket
import stat
import tempfile
import threading

import dbuswire

LEGACY = 'com.stbtester.'


def is_socket(fd):
    return stat.S_ISSOCK(os.fstat(fd).st_mode)


def receive(sock):
    """(bytes, descriptors) of one piece."""
    data, control, _flags, _ = sock.recvmsg(1 << 18, socket.CMSG_SPACE(256 * 4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array('i')
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
    return data, list(fds)


def send(sock, data, fds=()):
    """All of it; the descriptors go with the first byte."""
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
    n = sock.sendmsg([data], control)
    sock.sendall(data[n:])


class Stream:
    """Bytes of one direction as handshake and messages."""

    def __init__(self, by_client):
        self.by_client = by_client
        self.data, self.fds = b'', []
        self.talking = False            # the handshake is over

    def add(self, data, fds):
        self.data += data
        self.fds += fds

    def _take(self, n):
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def next(self):
        """Bytes of the handshake, or a Message with its descriptors; None: not yet."""
        if not self.data:
            return None
        if not self.talking and not self.by_client and self.data[0:1] in (b'l', b'B'):
            self.talking = True
        if not self.talking:
            lines = self.data.split(b'\r\n')[:-1]
            if self.by_client and b'BEGIN' in lines:
                self.talking = True
                lines = lines[:lines.index(b'BEGIN') + 1]
            return self._take(sum(len(line) + 2 for line in lines)) if lines else None
        found = dbuswire.decode(self.data)
        if not found:
            return None
        message, n = found
        self._take(n)
        count = message.get('fds', 0)
        message.fds, self.fds = self.fds[:count], self.fds[count:]
        return message


class Link:
    """One connection: two sockets and a thread for each direction."""

    def __init__(self, session, name, client, broker):
        self.session, self.name = session, name
        self.sockets = {True: client, False: broker}    # by whether the client is there
        self.legacy_calls = set()                       # serial numbers
        self.threads = [threading.Thread(target=self._run, args=(by_client,), daemon=True)
                        for by_client in (True, False)]
        for thread in self.threads:
            thread.start()

    def _run(self, by_client):
        stream, here, there = Stream(by_client), self.sockets[by_client], self.sockets[not by_client]
        try:
            while True:
                data, fds = receive(here)
                if not data and not fds:
                    break
                stream.add(data, fds)
                while (what := stream.next()) is not None:
                    self._pass_on(by_client, what, there)
        except (OSError, ValueError) as error:
            self.session.tap.trouble(error)
        with contextlib.suppress(OSError):
            there.shutdown(socket.SHUT_RDWR)
        for fd in stream.fds:
            os.close(fd)

    def _pass_on(self, by_client, what, there):
        tap = self.session.tap
        if isinstance(what, bytes):
            tap.say(self.session, self.name, by_client, what)
            send(there, what)
            return
        tap.say(self.session, self.name, by_client, what)
        if by_client and (what.get('interface') or '').startswith(LEGACY):
            self.legacy_calls.add(what.serial)
        if by_client or what.get('reply-to') not in self.legacy_calls:
            what.fds = [self.session.follow(fd, by_client) if is_socket(fd) else fd for fd in what.fds]
        for message in tap.change(self.name, by_client, what) if tap.change else [what]:
            send(there, dbuswire.encode(message), message.fds)
        for fd in what.fds:
            os.close(fd)

    def close(self):
        for sock in self.sockets.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for sock in self.sockets.values():
            sock.close()


class Session:
    """A client: its connection to the bus, and those that came of it."""

    def __init__(self, tap, number, client, broker):
        self.tap, self.number, self.links, self.n_channels = tap, number, [], 0
        self.links.append(Link(self, 'bus', client, broker))

    def follow(self, fd, by_client):
        """In place of this socket, one that leads through us to it."""
        ours, theirs = socket.socketpair()
        far = socket.socket(fileno=fd)
        self.n_channels += 1
        client, broker = (far, ours) if by_client else (ours, far)
        self.links.append(Link(self, f'channel-{self.n_channels}', client, broker))
        return theirs.detach()


class Tap:
    def __init__(self, upstream, *, on_said=None, change=None):
        self.upstream, self.on_said, self.change = str(upstream), on_said, change
        self.sessions, self.troubles, self.lock = [], [], threading.Lock()

    def say(self, session, link, by_client, what):
        if self.on_said:
            with self.lock:
                self.on_said(session, link, by_client, what)

    def trouble(self, error):
        if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
            self.troubles.append(error)

    @property
    def address(self):
        return f'unix:path={self.folder}/bus'

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            broker = socket.socket(socket.AF_UNIX)
            try:
                broker.connect(self.upstream)
            except OSError:
                client.close()
                broker.close()
                continue
            self.sessions.append(Session(self, len(self.sessions) + 1, client, broker))

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix='fbtest-tap-', dir='/tmp')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f'{self.folder}/bus')
        self.listener.listen()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for session in self.sessions:
            for link in reversed(session.links):
                link.close()
        os.unlink(f'{self.folder}/bus')
        os.rmdir(self.folder)
        if self.troubles:
            raise AssertionError(self.troubles)
