#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A client as PulseVideo's was, written from what it expected on the bus and on its socket and from nothing of ours. What
works with it has to work always: such programs live in containers that nobody builds anew.

    pulsevideo.py NAME PATH [--interface 1|2] [--frames N]     prints what it sees

It asks by a GDBus proxy, as it did: the properties first, then Attach, at the unique name of whoever owns NAME. Each
record is read at once, and has to have its size, one descriptor, and a file that is as long as the record says.
"""

import argparse
import array
import mmap
import os
import socket
import struct

import gi
gi.require_version('Gio', '2.0')
from gi.repository import Gio, GLib

RECORDS = {1: struct.Struct('=QQ'), 2: struct.Struct('=QQQ')}


def caps_dict(caps):
    """'video/x-raw, format=(string)I420, width=(int)320' as {'': 'video/x-raw', 'format': 'I420', …}."""
    kind, *fields = [word.strip() for word in caps.split(',')]
    found = {'': kind}
    for field in fields:
        name, _, value = field.partition('=')
        found[name] = value.partition(')')[2] if value.startswith('(') else value
    return found


class Record:
    def __init__(self, timestamp, offset, size, fd):
        self.timestamp, self.offset, self.size, self.fd = timestamp, offset, size, fd

    def data(self):
        with mmap.mmap(self.fd, self.offset + self.size, prot=mmap.PROT_READ) as memory:
            return memory[self.offset:self.offset + self.size]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Viewer:
    def __init__(self, connection, name, path, interface=2):
        self.version, self.socket, self.caps = interface, None, None
        self.proxy = Gio.DBusProxy.new_sync(connection, Gio.DBusProxyFlags.DO_NOT_AUTO_START, None, name, path,
                                            f'com.stbtester.VideoSource{interface}', None)

    def cached_caps(self):
        value = self.proxy.get_cached_property('Caps')
        return None if value is None else value.unpack()

    def attach(self, timeout_ms=25000):
        """As the client did; the caps are of the answer, or, of the first version, of the property."""
        known = self.cached_caps()
        result, fds = self.proxy.call_with_unix_fd_list_sync('Attach', None, Gio.DBusCallFlags.NONE, timeout_ms, None,
                                                             None)
        self.adopt(result, fds, known)
        return self

    def adopt(self, result, fds, known=None):
        values = result.unpack()
        if self.version == 2:
            handle, self.caps = values
        else:
            (handle,), self.caps = values, known
        if fds.get_length() != 1 or handle != 0:
            raise ValueError(f'{fds.get_length()} descriptors, handle {handle}')
        self.close()
        self.socket = socket.socket(fileno=fds.steal_fds()[0])

    def read(self, timeout=20):
        """The next record; None: the end, which means: attach again."""
        record = RECORDS[self.version]
        self.socket.settimeout(timeout)
        data, control, flags, _ = self.socket.recvmsg(record.size, socket.CMSG_SPACE(16 * 4))
        fds = array.array('i')
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
        if not data and not fds:
            return None
        if len(data) != record.size or len(fds) != 1 or flags & socket.MSG_CTRUNC:
            for fd in fds:
                os.close(fd)
            raise ValueError(f'a record of {len(data)} bytes with {len(fds)} descriptors')
        values = record.unpack(data)
        timestamp, offset, size = values if self.version == 2 else (0, *values)
        if os.fstat(fds[0]).st_size < offset + size:
            os.close(fds[0])
            raise ValueError(f'{size} bytes at {offset} of a file of {os.fstat(fds[0]).st_size}')
        return Record(timestamp, offset, size, fds[0])

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('name')
    parser.add_argument('path')
    parser.add_argument('--interface', type=int, choices=(1, 2), default=2)
    parser.add_argument('--frames', type=int, default=10)
    args = parser.parse_args()
    viewer = Viewer(Gio.bus_get_sync(Gio.BusType.SESSION, None), args.name, args.path, args.interface)
    print(viewer.cached_caps())
    viewer.attach()
    print(viewer.caps)
    for _ in range(args.frames):
        record = viewer.read()
        if record is None:
            print('end')
            viewer.attach()
            continue
        print(record.timestamp, record.offset, record.size)
        record.close()


if __name__ == '__main__':
    try:
        main()
    except GLib.Error as e:
        raise SystemExit(e.message) from e
