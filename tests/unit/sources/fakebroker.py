# SPDX-License-Identifier: LGPL-2.1-or-later
"""The broker's end of a capture program's channel, played by GDBus: writes down what the program says."""

import fcntl
import mmap
import os
import signal
import socket
import subprocess
import time

from gi.repository import Gio, GLib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SOURCES = os.path.join(os.environ['FB_BUILD'], 'sources')
INTERFACE = 'org.framebus.Publication1'
PATH = '/org/framebus/publication'
F_GET_SEALS, FINAL_SEALS = 1034, 0xf  # SEAL, SHRINK, GROW, WRITE
TIMEOUT = float(os.environ.get('FB_TIMEOUT', '20'))


def program(name):
    return os.path.join(SOURCES, name)


class Frame:
    def __init__(self, args, fds, mode):
        (self.seq, self.order, self.pts_ns, self.format, self.flags, memory, self.planes, self.meta) = args
        self.mode = mode
        self.seals = fcntl.fcntl(fds[0], F_GET_SEALS)
        self.size = os.fstat(fds[0]).st_size
        with mmap.mmap(fds[0], self.size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            self.data = m[:]
        self.n_fds = len(fds)
        self.arrived_ns = time.monotonic_ns()


class Broker:
    """Runs ARGV with the channel at file descriptor 3; SAY goes ahead of the channel's own protocol."""

    def __init__(self, argv, stdin=subprocess.DEVNULL, release=True, env=None, say=b''):
        self.frames, self.states, self.formats, self.calls = [], [], [], []
        self.modes = self.described = self.connection = None
        self.mode, self.release, self.hung_up = None, release, False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.process = subprocess.Popen(
            ['/bin/bash', '-c', f'exec "$@" 3<&{theirs.fileno()}', 'bash'] + argv,
            pass_fds=(theirs.fileno(),), stdin=stdin, stderr=subprocess.PIPE, env=env)
        self.passed = theirs.fileno()
        theirs.close()
        ours.sendall(say)
        self.start_server(ours)

    def start_server(self, ours):
        self.socket = Gio.Socket.new_from_fd(ours.detach())
        stream = self.socket.connection_factory_create_connection()
        flag = Gio.DBusConnectionFlags
        flags = flag.AUTHENTICATION_SERVER | flag.AUTHENTICATION_ALLOW_ANONYMOUS
        flags |= flag.DELAY_MESSAGE_PROCESSING
        Gio.DBusConnection.new(stream, Gio.dbus_generate_guid(), flags, None, None, self.on_opened)

    def on_opened(self, _source, result):
        try:
            self.connection = Gio.DBusConnection.new_finish(result)
        except GLib.Error:
            self.hung_up = True
            return
        with open(os.path.join(ROOT, 'interfaces', INTERFACE + '.xml'), encoding='utf-8') as f:
            node = Gio.DBusNodeInfo.new_for_xml(f.read())
        self.connection.register_object(PATH, node.interfaces[0], self.on_call, None, None)
        self.connection.connect('closed', self.on_closed)
        self.connection.set_exit_on_close(False)
        self.connection.start_message_processing()

    def on_closed(self, *_args):
        self.hung_up = True

    def on_call(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        args = parameters.unpack()
        self.calls.append(method)
        if method == 'Modes':
            self.modes = args[0]
        elif method == 'Describe':
            self.described = args[0]
        elif method == 'State':
            self.states.append(args)
        elif method == 'FormatChanged':
            self.formats.append(args[1])
            self.mode = args[2]
        elif method == 'Frame':
            self.on_frame(args, invocation)
        invocation.return_value(None)

    def on_frame(self, args, invocation):
        fds = invocation.get_message().get_unix_fd_list().steal_fds()
        frame = Frame(args, fds, self.mode)
        for fd in fds:
            os.close(fd)
        self.frames.append(frame)
        if self.release:
            self.emit('Release', GLib.Variant('(at)', ([frame.seq],)))

    def emit(self, signal_name, parameters):
        if not self.connection.is_closed():
            self.connection.emit_signal(None, PATH, INTERFACE, signal_name, parameters)

    def start(self, fourcc, width, height, rate):
        self.emit('Start', GLib.Variant('(a{sv})', ({
            'fourcc': GLib.Variant('u', fourcc), 'modifier': GLib.Variant('t', 0),
            'width': GLib.Variant('u', width), 'height': GLib.Variant('u', height),
            'rate': GLib.Variant('(uu)', rate)},)))

    def start_first(self):
        """Starts the preferred mode."""
        m = self.modes[0]
        self.start(m['fourcc'], m['width'], m['height'], m['rate'])

    def stop(self):
        self.emit('Stop', None)

    def wait(self, condition, timeout=TIMEOUT):
        """Runs the loop until the condition holds; returns whether it does."""
        end = time.monotonic() + timeout
        wake = GLib.timeout_add(20, lambda: True)
        while not condition() and time.monotonic() < end:
            GLib.MainContext.default().iteration(True)
        GLib.source_remove(wake)
        return condition()

    def run_for(self, seconds):
        self.wait(lambda: False, seconds)

    def close(self):
        """Hangs up."""
        self.socket.shutdown(True, True)

    def end(self):
        """Waits for the program's own end: exit status and what it wrote to stderr."""
        self.wait(lambda: self.process.poll() is not None)
        self.run_for(0.02)  # what is still in the socket
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        _, err = self.process.communicate()
        return self.process.returncode, err.decode()
