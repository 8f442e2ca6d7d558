# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The main job: several programs watch one source. Shows promises 1 (a frame is one signal with its memory's
descriptor), 2 (sealed; rows 1 and 3 of the kdbus-era suite), 10 (costs nothing when unused), 11 (a crash of a
capture program heals), 12 (nobody has to guess), and that live introspection is interfaces/*.xml.
"""

import os
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import fbtest
import programs
from gi.repository import GLib
from programs import MANAGER, MANAGER_PATH, PATTERN, PUBLICATION, SOURCE, SUBSCRIPTION, TRANSPORTS

INTERFACES = pathlib.Path(__file__).resolve().parents[2] / 'interfaces'


class Watching(programs.TestCase):
    def test_three_see_the_same(self):
        """Checksums equal to the publisher's, one descriptor a frame, all seals, whatever the way."""
        self.start()
        n, rate = fbtest.count((30, 20), (1000, 60))
        publisher = self.published('clip', '--rate', rate, '--size', '320x240', '--format', 'NV12')
        clients = [self.client('clip', t, '--frames', n, '--checksum', '--window', 16) for t in TRANSPORTS]
        for client in clients:
            client.finish(timeout=n / rate + 15)
        publisher.quit()
        made = {e['seq']: e['crc32'] for e in publisher.events('sent')}
        seen = []
        for client in clients:
            self.assert_complete(client)
            frames = client.frames()
            self.assertEqual(len(frames), n)
            for f in frames:
                self.assertEqual((f['n_fds'], f['n_planes'], f['problems']), (1, 2, []))
                self.assertEqual(f['seals'][0] & 0xf, 0xf)
                self.assertEqual(f['crc32'], made[f['seq']])
            seen.append({f['seq'] for f in frames})
        self.assertGreater(len(set.intersection(*seen)), n / 2)

    def test_content_stays(self):
        """Row 1: what is held does not change while many more are published."""
        self.start()
        publisher = self.published('clip', '--burst')
        for transport in TRANSPORTS:
            with self.subTest(transport):
                other = self.client('clip', 'peer', '--quiet')
                holder = self.client('clip', transport, '--hold', 2, '--window', 3, '--checksum', '--quiet')
                before = self.source_get('clip', 'Frames')
                fbtest.wait_until(lambda: self.source_get('clip', 'Frames') > before + fbtest.count(300, 1000), 20)
                self.assertEqual(holder.quit()['problems'], 0)
                self.assertEqual(other.quit()['problems'], 0)
        publisher.quit()

    def test_late_join(self):
        """The newest frame comes at once to who joins late, flagged; not to who does not want it."""
        self.start({'slow': programs.pattern(rate=1)})     # what is replayed is at most two frames old
        first = self.client('slow', 'peer', '--checksum')
        for transport in TRANSPORTS:
            with self.subTest(transport):
                first.wait_frames(len(first.frames()) + 1)
                late = self.client('slow', transport, '--checksum', '--frames', 2)
                without = self.client('slow', transport, '--frames', 1, '--opt', 'replay=b:false')
                frame = late.wait_frames(1)
                self.assertTrue(frame['replayed'])
                seen = {f['seq']: f['crc32'] for f in first.frames()}
                self.assertEqual(frame['crc32'], seen[frame['seq']])
                self.assertGreaterEqual(frame['seq'], max(seen) - 1)
                self.assertGreater(frame['latency_ns'], 0)
                late.finish()
                self.assertEqual([f['replayed'] for f in late.frames()], [True, False])
                self.assert_complete(late)
                without.finish()
                self.assertFalse(without.frames()[0]['replayed'])

    def test_modes_of_two(self):
        """The mode that suits all is chosen; one who fits none is told both sides."""
        self.start({'bars': PATTERN})
        size = {'modes': GLib.Variant('aa{sv}', [{'width': GLib.Variant('u', 64), 'height': GLib.Variant('u', 48)}])}
        (_path, granted) = self.on_source('bars', 'Subscribe', size)
        self.assertEqual((granted['mode']['width'], granted['mode']['height']), (64, 48))
        (_path, granted) = self.on_source('bars', 'Subscribe')
        self.assertEqual(granted['mode']['width'], 64)
        other = {'modes': GLib.Variant('aa{sv}', [{'width': GLib.Variant('u', 128)}])}
        self.raises('NoCommonMode', self.on_source, 'bars', 'Subscribe', other, text='128.*bars')

    def test_another_user(self):
        """The system bus: one publishes, another user watches."""
        fbtest.need_root()
        self.start(bus_type='system')
        self.published('clip', '--rate', 20)
        for transport in TRANSPORTS:
            with self.subTest(transport):
                viewer = self.client('clip', transport, '--frames', 10, '--window', 16, user='nobody')
                viewer.finish()
                self.assert_complete(viewer)
        stranger = self.enter(programs.Program('fb-publisher', '--address', self.bus.address, '--name', 'mine',
                                               user='nobody'))
        stranger.finish(3)
        self.assertEqual(stranger.events('error')[0]['name'], 'org.freedesktop.DBus.Error.AccessDenied')

    def test_unknown_source(self):
        self.start({'bars': PATTERN})
        self.raises('NoSuchSource', self.resolve, 'bar', text="'bar'")
        self.raises('org.freedesktop.DBus.Error.UnknownObject', self.call, '/org/framebus/source/bar', SOURCE,
                    'Subscribe', GLib.Variant('(a{sv})', ({},)))
        for name in '', '/', 'a/b', '.', '\u00e4', 'x' * 65:
            self.raises('NoSuchSource', self.resolve, name)


class Life(programs.TestCase):
    def test_runs_while_watched(self):
        """Promise 10: the capture program starts with the first subscriber and stops with the last."""
        self.start({'bars': PATTERN})
        self.assertEqual(self.workers(), [])
        changes = self.record_properties('bars')
        for transport in TRANSPORTS:
            with self.subTest(transport):
                changes.clear()
                first = self.client('bars', transport)
                first.wait_frames(3)
                running = self.workers()
                self.assertEqual(len(running), 1)
                second = self.client('bars', transport, '--frames', 3)
                second.finish()
                self.assertEqual(self.workers(), running)
                self.assertEqual(self.source_get('bars', 'State'), 'streaming')
                first.quit()
                fbtest.wait_until(lambda: ('State', 'idle') in changes, what='idle')
                fbtest.wait_until(lambda: ('Subscribers', 0) in changes, what='0 subscribers')
                states = [v for k, v in changes if k == 'State']
                self.assertEqual([s for i, s in enumerate(states) if i == 0 or s != states[i - 1]],
                                 ['starting', 'streaming', 'idle'])
                self.assertEqual([v for k, v in changes if k == 'Subscribers'], [1, 2, 1, 0])
                modes = [v for k, v in changes if k == 'Mode']
                self.assertEqual((modes[0]['width'], modes[-1]), (320, {}))
        fbtest.wait_until(lambda: not self.workers(), 5, 'end of the capture program')

    def test_negotiate_alone(self):
        """Row 24: Negotiate changes nothing; the program that it asks goes away again."""
        self.start({'bars': PATTERN})
        changes = self.record_properties('bars')
        granted, = self.on_source('bars', 'Negotiate', {'window': GLib.Variant('u', 9)})
        self.assertEqual((granted['window'], granted['drop'], granted['memory'], granted['mode']['width']),
                         (9, 'newest', 'sealed', 320))
        self.raises('UnknownOption', self.on_source, 'bars', 'Negotiate', {'windows': GLib.Variant('u', 9)})
        fbtest.wait_until(lambda: not self.workers(), 6, 'end of the capture program')
        self.assertEqual([k for k, _ in changes if k not in ('Modes', 'Description', 'Driver')], [])
        self.assertEqual(self.source_get('bars', 'State'), 'idle')

    def test_crash_heals(self):
        """Promise 11: kill -9 of the capture program costs frames, told exactly, and nothing else."""
        self.start({'bars': PATTERN})
        changes = self.record_properties('bars')
        clients = [self.client('bars', t) for t in TRANSPORTS]
        for client in clients:
            client.wait_frames(5)
        for _ in range(2):
            pid, = self.workers()
            programs.kill_hard(pid)
            fbtest.wait_until(lambda: [w for w in self.workers() if w != pid], 5, 'a new capture program')
            for client in clients:
                client.wait_frames(len(client.frames()) + 10)
        fbtest.wait_until(lambda: ('State', 'failed') in changes, what='failed')
        reasons = [v for k, v in changes if k == 'StateReason' and v]
        self.assertRegex(reasons[0], r'framebus-pattern.*(SIGKILL|signal 9|[Kk]illed)')
        self.assertEqual(self.source_get('bars', 'State'), 'streaming')
        self.assertEqual(self.source_get('bars', 'StateReason'), '')
        for client in clients:
            client.quit()
            self.assert_exact(client)
            self.assertEqual([e for e in client.events('ended')], [])

    def test_back_off(self):
        """A program that fails is tried again, ever more rarely, and callers are told why."""
        log = pathlib.Path(self.enter(fbtest.Config()).path) / 'attempts'
        log.write_text('')
        self.start({'broken': f'[Source]\nExec=/bin/sh -c "date +%s.%N >> {log}; exit 7"\n'})
        message = self.raises('SourceFailed', self.on_source, 'broken', 'Negotiate', text='broken')
        self.assertRegex(message, r'sh.*7')
        self.assertEqual(self.source_get('broken', 'State'), 'failed')
        self.assertRegex(self.source_get('broken', 'StateReason'), r'sh.*7')
        for _ in range(3):
            self.raises('SourceFailed', self.on_source, 'broken', 'Attach')
        times = [float(line) for line in log.read_text().split()]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertEqual(len(times), 4)
        for gap, least in zip(gaps, (0.1, 0.2, 0.4)):
            self.assertGreaterEqual(gap, least * 0.9)

    def test_missing_program(self):
        self.start({'none': '[Source]\nExec=framebus-nothing\n'})
        self.assertRegex(self.raises('SourceFailed', self.on_source, 'none', 'Attach'), 'framebus-nothing')

    def test_watch_keeps_it(self):
        """Watch keeps the broker alive and captures nothing; it ends with its connection."""
        self.start({'bars': PATTERN}, args=['--idle-timeout', '0.4'])
        watcher = self.bus.connect()
        self.raises('NotWatching', self.call, MANAGER_PATH, MANAGER, 'Unwatch', conn=watcher)
        for _ in range(2):
            self.call(MANAGER_PATH, MANAGER, 'Watch', conn=watcher)
        self.call(MANAGER_PATH, MANAGER, 'Unwatch', conn=watcher)
        fbtest.never(lambda: self.broker.returncode is not None, 1.2, 'end of the broker')
        self.assertEqual(self.workers(), [])
        watcher.close_sync(None)
        self.assertEqual(self.broker.wait(3), 0)

    def test_idle_exit(self):
        """Nobody there: it leaves; a subscriber, a publisher or a channel that nobody opened keep it."""
        brokers = []
        for hold in 'bus', 'peer', 'unopened', 'publisher':
            self.start({'bars': PATTERN}, args=['--idle-timeout', '0.2'])
            if hold == 'publisher':
                holder = self.publisher('clip')
                holder.wait_event('published')
            else:
                holder = self.client('bars', 'bus' if hold == 'bus' else 'peer', *['--no-open'] * (hold == 'unopened'))
                holder.wait_event('granted')
            brokers.append((self.broker, holder))
        fbtest.never(lambda: [b for b, _ in brokers if b.returncode is not None], 0.7, 'end of a broker')
        for _, holder in brokers:
            holder.quit()
        for broker, _ in brokers:
            self.assertEqual(broker.wait(6), 0)


class Telling(programs.TestCase):
    def test_who(self):
        """Promise 12: who watches, how, and how it goes."""
        self.start({'bars': PATTERN})
        clients = {t: self.client('bars', t, '--window', 16) for t in TRANSPORTS}
        for client in clients.values():
            client.wait_frames(5)
        found = {s['pid']: s for s in self.who()}
        for transport, client in clients.items():
            s = found.pop(client.pid)
            self.assertEqual((s['source'], s['path'], s['uid'], s['conduit'], s['window'], s['suspended']),
                             ('bars', self.resolve('bars'), os.getuid(), transport.partition('-')[0], 16, False))
            self.assertRegex(s['client'], '^:')
            self.assertGreaterEqual(s['delivered'], 4)      # a replayed one is not counted
            self.assertLessEqual(s['in-flight'], 16)
            self.assertGreater(s['since'], 0)
            self.assertLessEqual(set(s['lost']), {'source', 'no-credit'} if programs.instrumented() else {'source'})
        self.assertEqual(found, {})
        for client in clients.values():
            client.quit()
        fbtest.wait_until(lambda: not self.who(), what='nobody watches')

    def test_objects_come_and_go(self):
        """ObjectManager lists sources; what is published appears and disappears."""
        self.start({'bars': PATTERN, 'other': PATTERN})
        signals = self.record(interface='org.freedesktop.DBus.ObjectManager')
        objects, = self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        self.assertEqual({o[SOURCE]['Name'] for o in objects.values()}, {'bars', 'other'})
        self.assertEqual(objects[self.resolve('bars')][SOURCE]['State'], 'idle')
        publisher = self.published('clip', '--opt', 'description=s:A clip', '--opt', 'driver=s:test')
        path = self.resolve('clip')
        added = fbtest.wait_until(lambda: [s for s in signals if s[1] == 'InterfacesAdded'], what='added')
        self.assertEqual((added[0][2][0], added[0][2][1][SOURCE]['Name']), (path, 'clip'))
        self.assertEqual([self.source_get('clip', p) for p in ('Description', 'Driver', 'State')],
                         ['A clip', 'test', 'idle'])
        publisher.tell('state', 'no-signal', 'unplugged')
        fbtest.wait_until(lambda: self.source_get('clip', 'StateReason') == 'unplugged')
        publisher.quit()
        gone = fbtest.wait_until(lambda: [s for s in signals if s[1] == 'InterfacesRemoved'], what='removed')
        self.assertEqual(gone[0][2][0], path)
        self.raises('NoSuchSource', self.resolve, 'clip')

    def test_counters(self):
        self.start({'bars': PATTERN})
        client = self.client('bars', 'peer', '--window', 5)
        client.wait_frames(10)
        client.tell('properties')
        properties = client.wait_event('properties')['properties']
        self.assertEqual(properties['Window'], 5)
        self.assertEqual(properties['Source'], self.resolve('bars'))
        self.assertGreaterEqual(properties['Delivered'], 10)
        self.assertLessEqual(properties['InFlight'], 1)
        p50, p90, p99 = properties['Latency']
        self.assertTrue(0 < p50 <= p90 <= p99 < 1e9, properties['Latency'])
        self.assertGreaterEqual(self.source_get('bars', 'Frames'), properties['Delivered'])
        version, features, epoch = (self.get(MANAGER_PATH, MANAGER, p) for p in ('Version', 'Features', 'Epoch'))
        self.assertRegex(version, r'^\d+\.\d+')
        self.assertIsInstance(features, list)
        self.assertRegex(epoch, '^[0-9a-f]{32}$')
        self.assertEqual(client.events('granted')[0]['granted']['epoch'], epoch)


def contract(interface):
    """Methods, signals and properties of an <interface> element, with argument names and annotations."""
    def arguments(element, default):
        return [(a.get('name'), a.get('type'), a.get('direction', default)) for a in element.findall('arg')]

    def annotations(element):
        return {a.get('name'): a.get('value') for a in element.findall('annotation')}

    found = {}
    for e in interface:
        if e.tag == 'method':
            found['method', e.get('name')] = (arguments(e, 'in'), annotations(e))
        elif e.tag == 'signal':
            found['signal', e.get('name')] = (arguments(e, 'out'), annotations(e))
        elif e.tag == 'property':
            found['property', e.get('name')] = (e.get('type'), e.get('access'), annotations(e))
    return found


class Introspection(programs.TestCase):
    def written(self, interface):
        root = ElementTree.parse(INTERFACES / f'{interface}.xml').getroot()
        return contract(root.find('interface'))

    def same(self, interface, xml):
        live = {i.get('name'): i for i in ElementTree.fromstring(xml).findall('interface')}
        self.assertIn(interface, live)
        self.assertEqual(contract(live[interface]), self.written(interface))
        return set(live)

    def introspect(self, path, call):
        return call(path, programs.INTROSPECTABLE, 'Introspect')[0]

    def test_equals_the_contract(self):
        """interfaces/*.xml and Introspect() say the same, argument names and annotations included."""
        self.start({'bars': PATTERN})
        names = self.same(MANAGER, self.introspect(MANAGER_PATH, self.call))
        self.assertIn('org.freedesktop.DBus.ObjectManager', names)
        self.same(SOURCE, self.introspect(self.resolve('bars'), self.call))
        self.same('org.framebus.Controls1', self.introspect(self.resolve('bars'), self.call))
        for version in 1, 2:
            self.same(f'com.stbtester.VideoSource{version}', self.introspect(self.resolve('bars'), self.call))
        path, _granted = self.on_source('bars', 'Subscribe')
        self.same(SUBSCRIPTION, self.introspect(path, self.call))
        channel = self.open_channel('bars')
        self.same(SUBSCRIPTION, self.introspect(programs.SUBSCRIPTION_PATH, channel.call))
        _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', ('clip', {})),
                                 with_fds=True)
        publication = programs.Channel(fds[0])
        self.addCleanup(publication.close)
        self.same(PUBLICATION, self.introspect(programs.PUBLICATION_PATH, publication.call))

    def test_signals_as_introspected(self):
        """What is sent has the signatures that are announced."""
        self.start({'bars': PATTERN})
        signatures = {name: '(' + ''.join(t for _, t, _ in arguments) + ')'
                      for (kind, name), (arguments, *_) in self.written(SUBSCRIPTION).items() if kind == 'signal'}
        channel = self.open_channel('bars', {'window': GLib.Variant('u', 1)})
        fbtest.wait_until(lambda: channel.named('Frame'), what='a frame')
        seq = channel.named('Frame')[0].unpack()[0]
        fbtest.wait_until(lambda: self.source_get('bars', 'Frames') > seq + 2)
        channel.call(programs.SUBSCRIPTION_PATH, SUBSCRIPTION, 'ReleaseUpTo', GLib.Variant('(t)', (seq,)))
        fbtest.wait_until(lambda: channel.named('Lost'), what='a loss')
        for member, values in channel.signals:
            if member in signatures:
                self.assertEqual(values.get_type_string(), signatures[member])

    def test_reads_well(self):
        """In busctl and gdbus, as people use them."""
        self.start({'bars': PATTERN})
        status, out, err = fbtest.run(['busctl', f'--address={self.bus.address}', 'introspect', 'org.framebus',
                                       MANAGER_PATH])
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r'(?m)^\.Publish +method +sa\{sv\} +oh')
        self.assertRegex(out, r'(?m)^\.Version +property +s +"\d')
        path = self.resolve('bars')
        status, out, err = fbtest.run(['busctl', f'--address={self.bus.address}', 'introspect', 'org.framebus', path])
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r'(?m)^\.Attach +method +a\{sv\} +hoa\{sv\}')
        self.assertRegex(out, r'(?m)^\.State +property +s +"idle" +emits-change')
        status, out, err = fbtest.run(['busctl', f'--address={self.bus.address}', '--list', 'tree', 'org.framebus'])
        self.assertIn(path, out.split())
        status, out, err = fbtest.run(['gdbus', 'introspect', '--address', self.bus.address, '--dest', 'org.framebus',
                                       '--object-path', path])
        self.assertEqual(status, 0, err)
        self.assertRegex(re.sub(r'\s+', ' ', out), r'Attach\(in a\{sv\} options, out h channel, out o subscription, '
                                                   r'out a\{sv\} granted\);')
        self.assertRegex(out, r"readonly s Name = 'bars';")


if __name__ == '__main__':
    fbtest.main()
