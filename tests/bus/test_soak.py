# SPDX-License-Identifier: LGPL-2.1-or-later
"""
For long. Shows that many frames, with subscribers and publishers that come and go, leave nothing behind in the broker;
that it is small with 64 subscribers; and row 5 of the kdbus-era suite and promise 1: no pixel goes through broker or
bus.
"""

import os
import random
import re
import shutil
import time

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, PEERS, SOURCE, TRANSPORTS

MIB = 1 << 20


class Soak(programs.TestCase):
    def sources(self):
        objects, = self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        return sorted(o[SOURCE]['Name'] for o in objects.values())

    def one_more(self, dice):
        manner = dice.choice([(), ('--hold', 2), ('--drop', 'latest'), ('--never-release',), ('--release-twice',),
                              ('--opt', 'max-rate=(uu):200/1'), ('--release-up-to',)])
        return self.client('clip', dice.choice(TRANSPORTS), '--quiet', '--no-attack', '--frames',
                           dice.randrange(1, 3000), '--window', dice.randrange(3, 9), *manner)

    def round(self, n, dice):
        """n frames, watched by some who come and go; each has to see its share exactly."""
        end = self.source_get('clip', 'Frames') + n
        clients = []
        while self.source_get('clip', 'Frames') < end:
            clients = [c for c in clients if not self.finished(c)]
            while len(clients) < 4:
                clients.append(self.one_more(dice))
            fbtest.wait_until(lambda: self.source_get('clip', 'Frames') >= end or any(
                c.returncode is not None for c in clients), 60, interval=0.1)
        for client in clients:
            client.stop()
            self.finished(client)
        return self.settle()

    def finished(self, client):
        """Whether it has ended; then it is judged. Only who never releases may have been cut off."""
        if client.returncode is None:
            return False
        self.assertEqual(client.returncode, 0, client.log()[-2000:])
        self.assert_exact(client)
        for event in client.events('ended'):
            self.assertIn('--never-release', client.argv, event)
        return True

    def test_nothing_grows(self):
        """Memory, descriptors and sources after a million frames are what they were after the first few."""
        self.start()
        n, dice = fbtest.count(20000, 1000000), random.Random(1)
        publisher = self.published('clip', '--burst', '--quiet')
        fds = self.round(n // 10, dice)
        before = fbtest.proc_rss_kib(self.broker.pid)
        began = time.monotonic()
        self.assertEqual(self.round(n - n // 10, dice), fds)
        self.assertEqual(self.sources(), ['clip'])
        grown = fbtest.proc_rss_kib(self.broker.pid) - before
        print(f'# {n / (time.monotonic() - began):.0f} frames a second, {grown} KiB more', flush=True)
        if not programs.instrumented():
            self.assertLess(grown, 256)
        publisher.quit()

    def test_publishers_come_and_go(self):
        self.start()

        def some(n):
            for i in range(n):
                publisher = self.publisher(f'clip{i % 7}', '--quiet', '--burst')
                publisher.wait_event('published')
                viewer = self.client(f'clip{i % 7}', TRANSPORTS[i % 3], '--quiet', '--frames', 20)
                viewer.finish()
                if i % 2:
                    publisher.kill()
                else:
                    publisher.quit()
            fbtest.wait_until(lambda: not self.sources(), what='no sources')
            self.settle()

        some(5)
        fds = self.least_fds()
        before = fbtest.proc_rss_kib(self.broker.pid)
        some(fbtest.count(20, 2000))
        self.fds_are(fds)
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid) - before, 256)

    def test_callers_come_and_go(self):
        """Of everybody who ever called something is remembered, until he leaves the bus."""
        self.start()

        def some(n):
            for _ in range(n):
                raw = programs.Raw(str(self.bus.base / 'bus')).auth().hello()
                raw.call(MANAGER_PATH, MANAGER, 'Watch', destination='org.framebus')
                raw.close()
            self.ping()

        some(50)
        before = fbtest.proc_rss_kib(self.broker.pid)
        some(fbtest.count(500, 20000))
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid) - before, 128)

    def test_64_subscribers(self):
        """The broker stays below 8 MiB with 64 of them on channels, at 60 Hz."""
        for transport in PEERS:
            with self.subTest(transport):
                self.start()
                self.published('clip', '--rate', 60, '--quiet', '--size', '1920x1080')
                clients = [self.client('clip', transport, '--count', 16, '--quiet', '--no-attack', '--window', 4)
                           for _ in range(4)]
                for client in clients:
                    client.wait_event('format', 16)
                self.assertEqual(len(self.who()), 64)
                frames = self.source_get('clip', 'Frames')
                fbtest.wait_until(lambda: self.source_get('clip', 'Frames') > frames + fbtest.count(60, 3600), 120,
                                  interval=0.1)
                self.assertTrue(all(s['delivered'] > 10 for s in self.who()))
                rss = fbtest.proc_rss_kib(self.broker.pid)
                print(f'# {rss} KiB', flush=True)
                if not programs.instrumented():
                    self.assertLess(rss, 8 << 10)
                for client in clients:
                    client.quit()
                    self.assertTrue(all(e['gaps_match'] and e['problems'] == 0 for e in client.events('summary')))


class ZeroCopy(programs.TestCase):
    """Row 5: what broker and bus read and write, as strace sees it."""

    CALLS = 'read,readv,pread64,preadv,preadv2,recvfrom,recvmsg,recvmmsg,write,writev,pwrite64,pwritev,pwritev2,' \
            'sendto,sendmsg,sendmmsg,sendfile,splice,vmsplice,tee,copy_file_range,mmap,process_vm_readv,' \
            'process_vm_writev,io_uring_enter'

    def trace(self, pid):
        trace = self.enter(fbtest.Process(['strace', '-f', '-qq', '-p', pid, '-e', f'trace={self.CALLS}', '-e',
                                           'signal=none']))
        fbtest.wait_until(lambda: fbtest.proc_status(pid, 'TracerPid') or trace.returncode is not None)
        if trace.returncode is not None:
            raise fbtest.unittest.SkipTest(f'strace: {trace.err()}')
        return trace

    def calls(self, trace):
        """(name, size) of what moved bytes. mmap: its length, if it is of a file."""
        found = []
        for line in trace.err().splitlines():
            call = re.match(r'(?:\[pid +\d+\] )?(\w+)\((.*)\) += (\S+)', line)
            if not call:
                continue
            name, arguments, result = call.groups()
            if name == 'mmap':
                length, fd = int(arguments.split(', ')[1]), int(arguments.split(', ')[4])
                found += [(name, length)] if fd >= 0 else []
            elif name.endswith('mmsg'):
                found += [(name, int(size)) for size in re.findall(r'msg_len=(\d+)', arguments)]
            elif result.lstrip('-').isdigit() and int(result) > 0:
                found.append((name, int(result)))
        return found

    def test_no_pixel_passes(self):
        if not shutil.which('strace'):
            raise fbtest.unittest.SkipTest('strace is not installed')
        if fbtest.wrapper():
            raise fbtest.unittest.SkipTest('what runs the broker calls the kernel, too')
        self.start()
        self.published('clip', '--rate', 20, '--quiet', '--size', '4096x2048')      # 8 MiB a frame
        traces = [self.trace(self.broker.pid), self.trace(self.bus.pid)]
        clients = [self.client('clip', t, '--no-attack', '--frames', 40) for t in TRANSPORTS]
        for client in clients:
            client.finish(timeout=60)
            self.assertTrue(all(f['bytes'] == 8 * MIB for f in client.frames()))
        n = len(clients[0].frames())
        for trace in traces:
            trace.stop()
        for trace in traces:
            calls = self.calls(trace)
            self.assertGreater(len(calls), n)                                       # it has seen something
            self.assertLess(max(size for _, size in calls), 64 << 10, [c for c in calls if c[1] > 64 << 10])
        # all that the bus said to anybody, what led to the stream included
        sent = sum(size for name, size in self.calls(traces[1]) if name.startswith(('send', 'write')))
        print(f'# {sent / n:.0f} bytes through the bus for a frame of 8 MiB', flush=True)
        self.assertTrue(100 < sent / n < 1024)


if __name__ == '__main__':
    fbtest.main()
