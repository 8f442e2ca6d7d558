# SPDX-License-Identifier: LGPL-2.1-or-later
"""
framebusctl against a broker that this test plays by hand: what it prints, what it writes, and how it fails.
The broker may be wrong, slow, rude or gone; the real one is not needed.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import struct
import sys
import tempfile
import zlib

import fbtest
from gi.repository import Gio, GLib

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'client'))
import fakebroker   # noqa: E402
from fakebroker import MODE, SOURCE_PATH, FakeBroker    # noqa: E402

XML = '''<node>
<interface name="org.freedesktop.DBus.ObjectManager"><method name="GetManagedObjects">
<arg type="a{oa{sa{sv}}}" direction="out"/></method></interface>
<interface name="org.framebus.Manager1"><method name="Resolve"><arg type="s" direction="in"/>
<arg type="o" direction="out"/></method>
<method name="Who"><arg type="aa{sv}" direction="out"/></method></interface>
</node>'''
V = GLib.Variant
YUYV = int.from_bytes(b'YUYV', 'little')


class Broker(FakeBroker):
    """Answers what framebusctl asks beyond the other one, and errors where `refuse` has a member's name."""

    def __init__(self, conn):
        self.more = Gio.DBusNodeInfo.new_for_xml(XML)
        self.refuse, self.silent, self.who = {}, set(), []
        self.sources = {'fake': {}}
        self.modes = [MODE, {'fourcc': V('u', YUYV), 'width': V('u', 640), 'height': V('u', 480),
                             'width-range': V('(uuu)', (16, 1920, 2)),
                             'height-range': V('(uuu)', (16, 1080, 2)),
                             'rate': V('(uu)', (30000, 1001)), 'rate-range': V('(uuuu)', (1, 1, 60, 1))}]
        super().__init__(conn)

    def _export(self, conn, path, interface):
        if interface == 'org.framebus.Manager1':
            for info in self.more.interfaces:
                conn.register_object(path, info, self._on_call, None, None)
        else:
            super()._export(conn, path, interface)

    def _managed(self):
        objects = {}
        for name, changes in self.sources.items():
            properties = {'Name': V('s', name), 'Description': V('s', 'A test'), 'Driver': V('s', 'fake'),
                          'State': V('s', 'idle'), 'StateReason': V('s', ''),
                          'Modes': V('aa{sv}', self.modes),
                          'Mode': V('a{sv}', {}), 'Subscribers': V('u', 3), 'Frames': V('t', 7),
                          'Lost': V('a{st}', {}), 'FromTheFuture': V('(ii)', (1, 2)), **changes}
            path = SOURCE_PATH if name == 'fake' else f'/org/framebus/source/{name}'
            objects[path] = {'org.framebus.Source1': properties, 'org.example.Other': {}}
        return V('(a{oa{sa{sv}}})', (objects,))

    def _on_call(self, conn, sender, path, interface, method, parameters, invocation):
        if method in self.silent:
            self.calls.append((method, parameters.unpack()))
        elif method in self.refuse:
            self.calls.append((method, parameters.unpack()))
            invocation.return_dbus_error(*self.refuse[method])
        elif method == 'GetManagedObjects':
            invocation.return_value(self._managed())
        elif method == 'Who':
            invocation.return_value(V('(aa{sv})', (self.who,)))
        else:
            super()._on_call(conn, sender, path, interface, method, parameters, invocation)

    def gone(self):
        """As a crash: name and channels at once."""
        for subscription in self.subscriptions:
            if subscription.conn is not self.conn:
                subscription.conn.close_sync(None)
        self.subscriptions.clear()
        self.conn.close_sync(None)


def png_size(data):
    assert data[:8] == b'\x89PNG\r\n\x1a\n', data[:8]
    return struct.unpack('>II', data[16:24])


def png_first_pixels(data):
    """The first line of an RGB picture, for filters that need no line above."""
    length, = struct.unpack('>I', data[33:37]) if data[37:41] == b'IDAT' else (None,)
    chunks, at = b'', 8
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at:at + 8])
        if kind == b'IDAT':
            chunks += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, width = zlib.decompress(chunks), png_size(data)[0]
    line = bytearray(raw[1:1 + 3 * width])
    if raw[0] in (1, 4):    # Sub; Paeth without a line above is the same
        for i in range(3, len(line)):
            line[i] = (line[i] + line[i - 3]) & 255
    return [tuple(line[i:i + 3]) for i in range(0, len(line), 3)]


def released(subscription):
    return [n for release in subscription.released if isinstance(release, list) for n in release]


class Test(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.broker = Broker(self.bus.connect())
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-ctl-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.folder)

    def start(self, *args, **options):
        argv = [*fbtest.wrapper(), str(fbtest.build_path('tools/framebusctl')),
                f'--address={self.bus.address}', *args]
        return self.enter(fbtest.Process(argv, **options))

    def run_ctl(self, *args, status=0, **options):
        """To its end: (stdout, stderr)."""
        process = self.start(*args, **options)
        self.assertEqual(process.wait(20), status, process.log())
        return process.out(), process.err()

    def lines(self, *args, **options):
        return [json.loads(line) for line in self.run_ctl(*args, '--json', **options)[0].splitlines()]

    def attached(self, *args, **options):
        """A framebusctl that subscribes, and the broker's side of it."""
        before = len(self.broker.subscriptions)
        process = self.start(*args, **options)
        fbtest.wait_until(lambda: len(self.broker.subscriptions) > before or process.returncode is not None,
                          10, 'a subscription')
        self.assertGreater(len(self.broker.subscriptions), before, process.log())
        return process, self.broker.subscriptions[-1]


class Asking(Test):
    def test_list(self):
        self.broker.sources = {'zebra': {'State': V('s', 'streaming'), 'Mode': V('a{sv}', MODE)},
                               'fake': {'Description': V('s', 'K\u00f6ln \x1b[31mred\nnext')}}
        out, err = self.run_ctl('list')
        self.assertEqual(out.splitlines(), [
            'NAME   STATE      DRIVER  MODE        SUBSCRIBERS  DESCRIPTION',
            'fake   idle       fake    -           3            K\u00f6ln ?[31mred?next',
            'zebra  streaming  fake    R8,16x4,30  3            A test'])
        self.assertEqual(err, '')
        first = {s['name']: s for s in self.lines('list')}['fake']
        self.assertEqual((first['description'], first['mode'], first['subscribers'], first['frames']),
                         ('K\u00f6ln \x1b[31mred\nnext', None, 3, 7))
        self.assertEqual(first['modes'][1]['width-range'], [16, 1920, 2])
        self.assertEqual(first['modes'][1]['rate-range'], [[1, 1], [60, 1]])

    def test_list_nothing(self):
        self.broker.sources = {}
        out, err = self.run_ctl('list')
        self.assertEqual(out, '')
        self.assertIn('there is no source', err)
        self.assertEqual(self.lines('list'), [])

    def test_show(self):
        out, _ = self.run_ctl('show', 'fake')
        self.assertRegex(out, ' Name: fake\n *Description:')
        self.assertEqual(self.lines('show', 'fake')[0]['aliases'], [])
        self.broker.sources['fake'] = {'Aliases': V('as', ['usb-A_B_1-video-index0', 'pci-0-video-index0'])}
        out, _ = self.run_ctl('show', 'fake')
        self.assertRegex(out, ' Name: fake\n +Also: usb-A_B_1-video-index0\n +: pci-0-video-index0\n')
        self.assertEqual(self.lines('show', 'fake')[0]['aliases'], ['usb-A_B_1-video-index0', 'pci-0-video-index0'])
        self.assertIn('Modes: R8,16x4,30\n', out)
        self.assertIn(': YUYV,640x480,30000/1001 (16-1920x16-1080 by 2x2, 1-60 fps)\n', out)
        self.assertIn('You would get: R8,16x4,30, window 4', out)
        self.assertEqual(self.lines('show', 'fake')[0]['granted']['window'], 4)
        methods = [name for name, _ in self.broker.calls]
        self.assertIn('Negotiate', methods)
        self.assertNotIn('Attach', methods)

    def test_show_refused(self):
        self.broker.refuse['Negotiate'] = ('org.framebus.Error.SourceFailed',
                                           'the device is busy: held by zoom')
        self.broker.sources['fake'] = {'State': V('s', 'failed'), 'StateReason': V('s', 'busy')}
        out, _ = self.run_ctl('show', 'fake')
        self.assertIn('Reason: busy\n', out)
        self.assertIn('Not to be had: the device is busy: held by zoom\n', out)
        self.assertEqual(self.lines('show', 'fake')[0]['refused'],
                         {'error': 'org.framebus.Error.SourceFailed',
                          'message': 'the device is busy: held by zoom'})

    def test_negotiate(self):
        out, _ = self.run_ctl('negotiate', 'fake', '--mode=I420,640x480', '--mode', '30', '--window=2',
                              '--drop=latest', '--max-rate=7.5', '--memory=dmabuf,sealed')
        self.assertTrue(out.startswith('R8,16x4,30, window 4'), out)
        options = self.broker.calls[-1][1][0]
        self.assertEqual((options['window'], options['drop'], options['max-rate']), (2, 'latest', (75, 10)))
        self.assertEqual(options['memory'], ['dmabuf', 'sealed'])
        self.assertEqual(options['modes'], [{'fourcc': int.from_bytes(b'YU12', 'little'), 'modifier': 0,
                                             'width': 640, 'height': 480}, {'rate': (30, 1)}])

    def test_negotiate_refused(self):
        self.broker.refuse['Negotiate'] = ('org.framebus.Error.NoCommonMode',
                                           'you accept NV12, the source has R8')
        _, err = self.run_ctl('negotiate', 'fake', '--mode=NV12', status=5)
        self.assertIn('you accept NV12, the source has R8', err)
        self.assertIn('--mode', err)
        self.assertEqual(self.lines('negotiate', 'fake', status=5)[0]['refused']['error'],
                         'org.framebus.Error.NoCommonMode')

    def test_who(self):
        self.assertIn('nobody watches', self.run_ctl('who')[1])
        self.broker.who = [{'source': V('s', 'fake'), 'path': V('o', SOURCE_PATH), 'uid': V('u', os.getuid()),
                            'pid': V('u', os.getpid()), 'client': V('s', ':1.7'), 'conduit': V('s', 'peer'),
                            'memory': V('s', 'leased'), 'window': V('u', 4), 'in-flight': V('u', 2), 'since': V('t', 1),
                            'suspended': V('b', True), 'delivered': V('t', 100),
                            'lost': V('a{st}', {'rate': 5, 'no-credit': 12}),
                            'from-the-future': V('as', ['x'])},
                           {'source': V('s', 'other')}]
        viewer, other = self.lines('who')
        self.assertEqual((viewer['pid'], viewer['suspended'], viewer['memory'], viewer['lost'],
                          viewer['lost-by-reason']),
                         (os.getpid(), True, 'leased', 17, {'rate': 5, 'no-credit': 12}))
        self.assertEqual((other['source'], other['memory']), ('other', 'sealed'))    # an older broker
        out, _ = self.run_ctl('who')
        self.assertRegex(out.splitlines()[1],
                         r'^fake +\S+ +\d+ +python3 +:1\.7 +peer +leased +4 +2 \(suspended\) .* 100 +17 \(')

    def test_who_nonsense(self):
        self.broker.who = [{'source': V('u', 7)}]
        self.assertIn('not one', self.run_ctl('who', status=1)[1])


class Failing(Test):
    def test_no_such_source(self):
        for verb in ['show'], ['negotiate'], ['watch'], ['snapshot', str(self.folder / 'x.png')], \
                ['record', str(self.folder / 'x.y4m')]:
            with self.subTest(verb[0]):
                _, err = self.run_ctl(verb[0], 'other', *verb[1:], status=3)
                self.assertIn('no source called other: `framebusctl list`', err)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_denied(self):
        for method in 'Negotiate', 'Attach', 'AttachTo':
            self.broker.refuse[method] = ('org.freedesktop.DBus.Error.AccessDenied', 'not you')
        for args in ['negotiate', 'fake'], ['watch', 'fake'], ['record', 'fake', '/dev/null']:
            with self.subTest(args[0]):
                self.assertIn('not you', self.run_ctl(*args, status=5)[1])

    def test_limit(self):
        self.broker.refuse['Subscribe'] = ('org.framebus.Error.LimitsExceeded', 'all windows on the bus: 48')
        _, err = self.run_ctl('watch', 'fake', '--transport=bus', status=5)
        self.assertIn('--transport=peer', err)

    def test_no_answer(self):
        self.broker.silent |= {'Negotiate', 'Attach', 'AttachTo'}
        for args in ['show', 'fake'], ['negotiate', 'fake'], ['watch', 'fake'], ['snapshot', 'fake', 'x']:
            with self.subTest(args[0]):
                self.assertIn('did not come in time', self.run_ctl(*args, '--timeout=0.3', status=6)[1])

    def test_no_frame(self):
        process, s = self.attached('snapshot', 'fake', str(self.folder / 'x.png'), '--timeout=2')
        s.format()
        self.assertEqual(process.wait(), 6)
        process, s = self.attached('watch', 'fake', '--timeout=2')
        s.format()
        s.frame(1)
        self.assertEqual(process.wait(), 6)
        self.assertIn('frames 1 ', process.out())

    def test_no_broker(self):
        self.broker.gone()
        for args in ['list'], ['show', 'fake'], ['who'], ['watch', 'fake'], ['publish', 'x', '/dev/null']:
            with self.subTest(args[0]):
                self.assertIn('no Framebus broker', self.run_ctl(*args, status=4)[1])

    def test_no_bus(self):
        empty = {'DBUS_SESSION_BUS_ADDRESS': 'unix:path=/nonexistent/bus', 'XDG_RUNTIME_DIR': '/nonexistent',
                 'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent/system'}
        program = str(fbtest.build_path('tools/framebusctl'))
        for args in ['list'], ['--session', 'list'], ['--system', 'watch', 'fake']:
            with self.subTest(args):
                status, out, err = fbtest.run([program, *args], env=empty)
                self.assertEqual((status, out), (4, ''), err)
                self.assertRegex(err, 'there is no .*bus')
        status, _, err = fbtest.run([program, '--address=unix:path=/nonexistent/bus', 'list'])
        self.assertEqual(status, 4, err)

    def test_usage(self):
        for args in [], ['frobnicate'], ['list', 'x'], ['show'], ['show', 'a/b'], ['show', '.x'], \
                ['show', 'x' * 65], ['watch', 'fake', '--window=0'], ['watch', 'fake', '--window=1000'], \
                ['watch', 'fake', '--drop=oldest'], ['watch', 'fake', '--memory='], \
                ['watch', 'fake', '--memory=sealed,'], ['watch', 'fake', '--memory=sealed,shared'], \
                ['watch', 'fake', '--mode=NV123'], ['list', '--seconds=1'], ['watch', 'fake', '--frames=0'], \
                ['list', '--address='], ['list', '--nonsense'], ['list', '--json=1'], \
                ['watch', 'fake', '--timeout=-1']:
            with self.subTest(args):
                out, err = self.run_ctl(*args, status=2)
                self.assertEqual(out, '')
                self.assertTrue(err.startswith('framebusctl: '), err)

    def test_name_taken(self):
        _, err = self.run_ctl('publish', 'fake', '/dev/null', status=5)
        self.assertIn('already', err)

    def test_interrupted_before_an_answer(self):
        self.broker.silent.add('Negotiate')
        process = self.start('negotiate', 'fake')
        fbtest.wait_until(lambda: any(name == 'Negotiate' for name, _ in self.broker.calls))
        self.assertEqual(process.stop(signal.SIGINT), 1)


class Watching(Test):
    def test_counts(self):
        for transport in 'peer', 'bus':
            with self.subTest(transport):
                process, s = self.attached('watch', 'fake', f'--transport={transport}', '--frames=3',
                                           '--json')
                s.format()
                s.frame(9, flags=1)     # replayed: not counted, outside of the sequence
                s.frame(1)
                s.lost(2)
                s.lost(1, 'rate')
                s.frame(5)
                s.frame(7)              # nobody told of 6
                with contextlib.suppress(GLib.Error):   # more than was wanted; it may be gone by now
                    s.frame(8)
                    s.lost(5)
                self.assertEqual(process.wait(), 0, process.log())
                events = [json.loads(line) for line in process.out().splitlines()]
                self.assertEqual([e['event'] for e in events], ['attached', 'format', 'summary'])
                self.assertEqual(events[0]['transport'], transport)
                self.assertEqual(events[1]['mode']['fourcc'], 'R8')
                summary = events[-1]
                self.assertEqual((summary['frames'], summary['lost'], summary['lost-by-reason'],
                                  summary['unexplained']), (3, 3, {'no-credit': 2, 'rate': 1}, 1))
                self.assertLess(0, summary['latency-p50-ms'])
                self.assertLessEqual(summary['latency-p50-ms'], summary['latency-p99-ms'])
                # of 5, too, unless it was on its way when the subscription was closed
                fbtest.wait_until(lambda: {9, 1} <= set(released(s)), what=s.released)
                self.broker.subscriptions.clear()

    def test_kinds_of_memory(self):
        process, s = self.attached('watch', 'fake', '--memory=leased,sealed', '--frames=3', '--json')
        self.assertEqual(self.broker.calls[-1][1][0]['memory'], ['leased', 'sealed'])
        s.format()
        for seq in 1, 2:
            s.frame(seq, seals=fakebroker.POOL_SEALS, flags=fakebroker.LEASED, meta={'buffer': V('t', 5)})
        s.frame(3)
        self.assertEqual(process.wait(), 0, process.log())
        summary = json.loads(process.out().splitlines()[-1])
        self.assertEqual(summary['frames-by-memory'], {'leased': 2, 'sealed': 1})
        self.broker.subscriptions.clear()
        process, s = self.attached('watch', 'fake', '--memory=sealed', '--frames=1')
        s.format()
        s.frame(1, seals=fakebroker.POOL_SEALS, flags=fakebroker.LEASED, meta={'buffer': V('t', 5)})
        s.frame(2)
        self.assertEqual(process.wait(), 0, process.log())
        self.assertRegex(process.out().splitlines()[-1], r'^fake: .* frames 1  lost 1 \(bad-payload 1\)$')

    def test_line_a_second(self):
        process, s = self.attached('watch', 'fake')
        s.format()
        for seq in range(1, 4):
            s.frame(seq)
        process.wait_output(r'^ +[23]\.\d+ fps  latency p50 \S+ ms p99 \S+ ms  frames 3  lost 0$')
        process.wait_output(r'^ +0\.00 fps .*  frames 3  lost 0$')
        s.emit('Suspended', '(s)', 'no-release')
        s.emit('Resumed', '()')
        process.wait_output('^fake: suspended: no-release\nfake: resumed$')
        self.assertEqual(process.stop(signal.SIGINT), 0)
        self.assertRegex(process.out().splitlines()[-1], r'^fake: \S+ s: .* frames 3  lost 0$')

    def test_seconds(self):
        process, s = self.attached('watch', 'fake', '--seconds=0.4')
        s.format()
        self.assertEqual(process.wait(), 0)
        self.assertRegex(process.out(), r'fake: 0\.\d s: ')

    def test_ended(self):
        for reason, status in ('destroyed', 1), ('revoked', 5), ('mode', 5), ('undeliverable', 5), \
                ('no-such-reason', 1):
            with self.subTest(reason):
                self.broker.subscriptions.clear()
                process, s = self.attached('watch', 'fake')
                s.format()
                s.frame(1)
                s.ended(reason)
                self.assertEqual(process.wait(), status, process.log())
                self.assertIn('fake: ', process.err())
                self.assertIn('frames 1 ', process.out())

    def test_broker_crashes(self):
        process, s = self.attached('watch', 'fake', '--transport=peer')
        s.format()
        s.frame(1)
        fbtest.wait_until(lambda: [1] in s.released, what=s.released)
        self.broker.gone()
        process.wait_output('the broker or its channel is gone: trying again in')
        self.broker = Broker(self.bus.connect())
        self.broker.seq = 40
        process.wait_output('fake: attached again: ', 15)
        s = fbtest.wait_until(lambda: self.broker.subscriptions and self.broker.subscriptions[0])
        s.format()
        s.frame(41)
        process.wait_output('frames 2 ')
        self.assertEqual(process.stop(signal.SIGINT), 0)
        self.assertNotIn('unexplained', process.out())

    def test_reader_goes_away(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        program = str(fbtest.build_path('tools/framebusctl'))
        command = f'exec {program} --address={self.bus.address} watch fake >/dev/fd/{write}'
        process = self.enter(fbtest.Process(['sh', '-c', command], pass_fds=[write]))
        os.close(write)
        s = fbtest.wait_until(lambda: self.broker.subscriptions and self.broker.subscriptions[0])
        s.format()
        self.assertIn(b'fake: ', os.read(read, 10))
        os.close(read)
        self.assertEqual(process.wait(), 0, process.log())
        self.assertEqual(process.err(), '')


class Saving(Test):
    def test_snapshot(self):
        path = self.folder / 'x.png'
        process, s = self.attached('snapshot', 'fake', str(path), '--json')
        s.format()
        s.frame(7)
        self.assertEqual(process.wait(), 0, process.log())
        data = path.read_bytes()
        self.assertEqual(png_size(data), (16, 4))
        self.assertEqual(png_first_pixels(data), [(i, i, i) for i in range(16)])
        told = json.loads(process.out())
        self.assertEqual((told['file'], told['seq'], told['mode']['fourcc']), (str(path), 7, 'R8'))

    def test_snapshot_not_writable(self):
        process, s = self.attached('snapshot', 'fake', '/nonexistent/x.png')
        s.format()
        s.frame(1)
        self.assertEqual(process.wait(), 1)
        self.assertIn('cannot write /nonexistent/x.png: No such file', process.err())
        path = self.folder / 'kept.png'
        path.write_text('old')
        process, s = self.attached('snapshot', 'fake', str(path))
        s.format()
        s.ended()
        self.assertEqual(process.wait(), 1)
        self.assertEqual(path.read_text(), 'old')

    def record(self, *args, frames, status=0, end=None):
        path = self.folder / 'x.y4m'
        process, s = self.attached('record', 'fake', str(path), '--json', *args)
        s.format()
        for seq in frames:
            if isinstance(seq, tuple):
                s.lost(*seq)
            else:
                s.frame(seq, bytes([seq] * 64))
        if end:
            end(process, s)
        self.assertEqual(process.wait(), status, process.log())
        data = path.read_bytes()
        header, _, rest = data.partition(b'\n')
        self.assertEqual(header, b'YUV4MPEG2 W16 H4 F30:1 Ip A1:1 Cmono')
        self.assertEqual(len(rest) % 70, 0)
        pictures = [rest[i:i + 70] for i in range(0, len(rest), 70)]
        for picture in pictures:
            self.assertEqual(picture, b'FRAME\n' + picture[-1:] * 64)
        return [picture[-1] for picture in pictures], json.loads(process.out().splitlines()[-1])

    def test_record(self):
        written, told = self.record('--frames=6', frames=[1, 2, (2, 'no-credit'), 5, 6])
        self.assertEqual(written, [1, 2, 2, 2, 5, 6])
        self.assertEqual((told['frames'], told['repeated'], told['received'], told['lost-by-reason']),
                         (6, 2, 4, {'no-credit': 2}))

    def test_record_no_fill(self):
        written, told = self.record('--frames=4', '--no-fill', frames=[1, 2, (2, 'no-credit'), 5, 6])
        self.assertEqual(written, [1, 2, 5, 6])
        self.assertEqual(told['repeated'], 0)

    def test_record_absurd_loss(self):
        """A publisher may say that it lost any number of frames: that must not fill the disk."""
        written, told = self.record(frames=[1, (100, 'source'), 102], end=lambda _, s: s.ended())
        self.assertLess(len(written), 60)
        self.assertEqual((written[0], written[-1]), (1, 102))

    def test_record_to_the_end(self):
        self.assertEqual(self.record(frames=[1, 2], end=lambda _, s: s.ended())[0], [1, 2])
        written, _ = self.record('--frames=9', frames=[1, 2], end=lambda _, s: s.ended(), status=1)
        self.assertEqual(written, [1, 2])

    def test_record_interrupted(self):
        def interrupt(process, s):
            fbtest.wait_until(lambda: sum(s.released, []) == [1, 2])
            self.assertEqual(process.stop(signal.SIGINT), 0)
        self.assertEqual(self.record(frames=[1, 2], end=interrupt)[0], [1, 2])

    def test_record_stdout(self):
        process, s = self.attached('record', 'fake', '-', '--frames=2')
        s.format()
        s.frame(1)
        s.frame(2)
        self.assertEqual(process.wait(), 0)
        self.assertTrue(process.out().startswith('YUV4MPEG2 W16 H4 '))
        self.assertIn('fake: 2 frames, 0.07 s; 0 of them repeated; lost 0', process.err())

    def test_record_full_disk(self):
        process, s = self.attached('record', 'fake', '/dev/full')
        s.format()
        self.assertEqual(process.wait(), 1)
        self.assertIn('cannot write /dev/full: No space left', process.err())

    def record_to_pipe(self, *args):
        """A recording of large frames that nobody reads yet: (process, subscription, the pipe's end)."""
        read, write = os.pipe()
        program = str(fbtest.build_path('tools/framebusctl'))
        command = (f'exec {program} --address={self.bus.address} record fake - {" ".join(args)} '
                   f'>/dev/fd/{write}')
        process = self.enter(fbtest.Process(['sh', '-c', command], pass_fds=[write]))
        os.close(write)
        s = fbtest.wait_until(lambda: self.broker.subscriptions and self.broker.subscriptions[0])
        s.emit('FormatChanged', '(tua{sv})', 0, 1, {**MODE, 'width': V('u', 640), 'height': V('u', 480)})
        for seq in range(1, 21):
            s.frame(seq, bytes([seq]) * 307200, planes=[(0, 0, 307200, 640)])
        # what goes on while the pipe is full
        fbtest.wait_until(lambda: released(s) == list(range(1, 21)), what=s.released)
        return process, s, read

    def test_record_slow_reader(self):
        process, s, read = self.record_to_pipe('--frames=20')
        with open(read, 'rb') as pipe:
            self.assertEqual(pipe.readline(), b'YUV4MPEG2 W640 H480 F30:1 Ip A1:1 Cmono\n')
            for seq in range(1, 21):
                self.assertEqual(pipe.read(6 + 307200), b'FRAME\n' + bytes([seq]) * 307200)
            self.assertEqual(pipe.read(), b'')
        self.assertEqual(process.wait(), 0, process.log())

    def test_record_blocked(self):
        process, s, read = self.record_to_pipe()
        self.assertEqual(process.stop(signal.SIGINT), 0)
        os.close(read)

    def test_record_reader_goes_away(self):
        process, s, read = self.record_to_pipe()
        os.close(read)
        self.assertEqual(process.wait(), 0, process.log())


if __name__ == '__main__':
    fbtest.main()
