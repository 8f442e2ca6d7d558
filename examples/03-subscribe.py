#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Watches a source from Python, with GDBus (gi.repository.Gio) and mmap; no other module.

Run: 03-subscribe.py [--system] [--frames N] SOURCE
Prints a line a frame: seq pts format WxH and the CRC-32 of each plane. Status 0 after N frames.
"""

import argparse
import fcntl
import mmap
import os
import sys
import zlib

from gi.repository import Gio, GLib

SUBSCRIPTION = 'org.framebus.Subscription1'
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Viewer:
    def __init__(self, bus, frames):
        self.bus, self.frames_left = bus, frames
        self.broker = self.path = self.failure = None
        self.format = '?'
        self.loop = GLib.MainLoop()

    def subscribe(self, source):
        # Signals as GDBus hands them out have no descriptors: look at whole messages. This is called in a
        # thread of GDBus, so it only hands them on to the main loop.
        self.bus.add_filter(self.on_message)
        # The first call starts the broker if it does not run.
        reply = self.call('/org/framebus', 'org.framebus.Manager1', 'Resolve', GLib.Variant('(s)', (source,)))
        reply = self.call(reply.get_body().unpack()[0], 'org.framebus.Source1', 'Subscribe',
                          GLib.Variant('(a{sv})', ({'window': GLib.Variant('u', 4)},)))
        self.path, _granted = reply.get_body().unpack()
        self.broker = reply.get_sender()
        Gio.bus_watch_name_on_connection(self.bus, self.broker, Gio.BusNameWatcherFlags.NONE, None,
                                         lambda *_: self.end('the broker is gone'))

    def call(self, path, interface, method, arguments):
        """The reply as a message, since that says who sent it."""
        message = Gio.DBusMessage.new_method_call('org.framebus', path, interface, method)
        message.set_body(arguments)
        flags = Gio.DBusSendMessageFlags.NONE
        reply, _serial = self.bus.send_message_with_reply_sync(message, flags, -1, None)
        reply.to_gerror()                       # raises what it says
        return reply

    def end(self, failure=None):
        self.failure = failure
        self.loop.quit()

    def on_message(self, _bus, message, incoming):
        if incoming and message.get_interface() == SUBSCRIPTION:
            GLib.idle_add(self.on_signal, message, priority=GLib.PRIORITY_DEFAULT)
        return message

    def on_signal(self, message):
        # Anybody on the bus could send us such signals: only those of who answered count.
        if message.get_sender() != self.broker or message.get_path() != self.path or self.frames_left == 0:
            return GLib.SOURCE_REMOVE
        member, body = message.get_member(), message.get_body()
        arguments = body.unpack() if body else ()       # there are some without, and more in later versions
        if member == 'Frame':
            self.on_frame(message.get_unix_fd_list(), *arguments)
        elif member == 'FormatChanged':
            mode = arguments[2]
            fourcc = mode['fourcc'].to_bytes(4, 'little').decode('latin1').strip()
            self.format = f'{fourcc} {mode["width"]}x{mode["height"]}'
        elif member == 'Lost':
            print('lost {}: {}'.format(*arguments), file=sys.stderr)
        elif member == 'Ended':
            self.end(f'ended: {arguments[1]}')
        return GLib.SOURCE_REMOVE

    def on_frame(self, fd_list, seq, _order, pts_ns, _format, _flags, memory, planes, _meta):
        fds = [fd_list.get(handle) for handle in memory] if fd_list else []     # duplicates, ours to close
        try:
            sums = ['%08x' % zlib.crc32(plane_bytes(fds[index], offset, size))
                    for index, offset, size, _stride in planes]
        except (IndexError, OSError, ValueError) as error:
            sums = ['bad', error]
        for fd in fds:
            os.close(fd)
        print(seq, pts_ns, self.format, *sums, flush=True)
        # We are done with it. Without this no more than a window of frames would come.
        self.bus.call(self.broker, self.path, SUBSCRIPTION, 'Release', GLib.Variant('(at)', ([seq],)), None,
                      Gio.DBusCallFlags.NONE, -1, None, None)
        self.frames_left -= 1
        if self.frames_left == 0:
            self.end()


def plane_bytes(fd, offset, size):
    """With these seals nobody can change or cut the file any more: a plane inside of it is safe to map."""
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS != SEALS:
        raise ValueError('the frame is not sealed')
    if offset + size > os.fstat(fd).st_size:
        raise ValueError('the plane ends outside of its memory')
    with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as memory:
        return memory[offset:offset + size]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--system', action='store_true', help='on the system bus')
    parser.add_argument('--frames', type=int, default=100)
    parser.add_argument('source')
    args = parser.parse_args()
    try:
        bus = Gio.bus_get_sync(Gio.BusType.SYSTEM if args.system else Gio.BusType.SESSION, None)
        viewer = Viewer(bus, args.frames)
        viewer.subscribe(args.source)
        viewer.loop.run()
        bus.flush_sync(None)
    except GLib.Error as error:
        sys.exit(error.message)
    sys.exit(viewer.failure or 0)


if __name__ == '__main__':
    main()
