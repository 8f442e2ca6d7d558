#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Which mode a source has when many watch: one that suits all, whoever came first, or a refusal that names both sides; and
what happens to frames when it changes: FormatChanged first, then frames that are of it, for everybody.
"""

import fcntl
import itertools
import os
import random

import fbtest
import programs
from fbtest import count
from gi.repository import GLib
from programs import ERROR, MANAGER, MANAGER_PATH, PUBLICATION, PUBLICATION_PATH, SUBSCRIPTION

F_ADD_SEALS, ALL_SEALS = 1033, 15
SIGNATURES = {'fourcc': 'u', 'modifier': 't', 'width': 'u', 'height': 'u', 'rate': '(uu)', 'width-range': '(uuu)',
              'height-range': '(uuu)', 'rate-range': '(uuuu)'}
RANGED = {'width': 'width-range', 'height': 'height-range'}


def code(fourcc):
    return int.from_bytes(fourcc.encode(), 'little')


def mode(fourcc=None, size=None, rate=None, **more):
    """A wish, or with all of them what a source has."""
    m = {'fourcc': fourcc and code(fourcc), 'width': size and size[0], 'height': size and size[1],
         'rate': rate and (rate, 1), **{key.replace('_', '-'): value for key, value in more.items()}}
    return {key: value for key, value in m.items() if value is not None}


def packed(modes):
    return GLib.Variant('aa{sv}', [{k: GLib.Variant(SIGNATURES[k], v) for k, v in m.items()} for m in modes])


def accepts(wishes, fixed):
    """Whether a list of wishes (or of what a source has) has room for a fixed mode; independent of wire/mode.c."""
    def fits(wish, key):
        if RANGED.get(key) in wish:
            low, high, step = wish[RANGED[key]]
            return low <= fixed[key] <= high and (fixed[key] - low) % step == 0
        return key not in wish or wish[key] == fixed[key]

    def rate_fits(wish):
        if 'rate-range' in wish:
            low, low_den, high, high_den = wish['rate-range']
            num, den = fixed['rate']
            return low * den <= num * low_den and num * high_den <= high * den
        return fits(wish, 'rate')
    return not wishes or any(all(fits(w, key) for key in ('fourcc', 'width', 'height')) and rate_fits(w)
                             for w in wishes)


VGA, HD, YUY = mode('NV12', (640, 480), 30), mode('NV12', (1280, 720), 30), mode('YUYV', (640, 480), 30)
SLOW = mode('NV12', (1280, 720), 5)
WEBCAM = [VGA, HD, YUY, SLOW]
ZOOM = [mode('NV12', (640, 480), 30, width_range=(32, 1920, 16), height_range=(32, 1080, 4), rate_range=(1, 1, 60, 1))]
# what a source has, what the subscribers accept, and modes among which there is one for any of them that agree
CASES = {
    'two lists that meet in one': (WEBCAM, [[VGA, HD], [HD, YUY], []], WEBCAM),
    'two that exclude each other and one that takes both': (WEBCAM, [[VGA], [HD], [VGA, HD]], WEBCAM),
    'each two agree, all three do not': (WEBCAM, [[VGA, HD], [HD, YUY], [VGA, YUY]], WEBCAM),
    'half of it said': (WEBCAM, [[mode('NV12')], [mode(size=(1280, 720))], [mode(rate=30)], []], WEBCAM),
    'nothing that the source has': (WEBCAM, [[VGA], [mode('NV24')], []], WEBCAM),
    'rates that differ': (WEBCAM, [[mode(rate=30)], [mode(rate=5)], [mode(size=(1280, 720))]], WEBCAM),
    'ranges': (ZOOM, [[mode(width_range=(100, 800, 4))], [mode(size=(320, 240)), mode(size=(800, 600))],
                      [mode(rate_range=(10, 1, 25, 1))]],
               [mode('NV12', size, rate) for size in ((320, 240), (640, 480), (800, 600)) for rate in (10, 25, 30)]),
    'ranges apart': (ZOOM, [[mode(width_range=(100, 400, 4))], [mode(size=(640, 480))], [mode(rate=25)]],
                     [mode('NV12', size, rate) for size in ((320, 240), (640, 480)) for rate in (25, 30)]),
}


class Wishes(programs.TestCase):
    def publish(self, name, modes):
        """A source that says what it can do and never sends a frame; its channel."""
        _result, fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (name, {})), with_fds=True)
        channel = programs.Channel(fds[0])
        self.addCleanup(channel.close)
        channel.call(PUBLICATION_PATH, PUBLICATION, 'Modes', GLib.Variant.new_tuple(packed(modes)))
        return channel

    def started(self, channel):
        """The modes that the source was told to have, up to now."""
        channel.call(PUBLICATION_PATH, programs.PEER, 'Ping')
        while GLib.MainContext.default().iteration(False):
            pass
        return [{k: v for k, v in values.unpack()[0].items() if k in SIGNATURES} for values in channel.named('Start')]

    def subscribe(self, name, wishes):
        return self.on_source(name, 'Subscribe', {'modes': packed(wishes)} if wishes else {})

    def check_order(self, name, channel, modes, wishes, among):
        """Each comes in turn: those who can be suited are, and the others are told why not."""
        inside, paths = [], []
        try:
            self.check_each(name, channel, modes, wishes, among, inside, paths)
        finally:
            for path in paths:
                self.call(path, SUBSCRIPTION, 'Close')
        return len(inside)

    def check_each(self, name, channel, modes, wishes, among, inside, paths):
        for theirs in wishes:
            possible = [m for m in among if accepts(modes, m) and all(accepts(w, m) for w in [*inside, theirs])]
            before = self.started(channel)
            try:
                path, granted = self.subscribe(name, theirs)
                paths.append(path)
            except GLib.Error as e:
                self.assertEqual((fbtest.error_name(e), possible), (ERROR + 'NoCommonMode', []), e.message)
                alone = any(accepts(modes, m) and accepts(theirs, m) for m in among)
                self.assertRegex(e.message, fr"you accept .*; source '{name}' has " +
                                 (fr'.*of its {len(inside)} other subscribers|.*but nothing that its {len(inside)} '
                                  if alone else '(?!.*other subscribers)'))
                self.assertEqual(self.started(channel), before)
                continue
            self.assertTrue(possible, (inside, theirs, granted))
            inside.append(theirs)
            now = {k: v for k, v in granted['mode'].items() if k != 'modifier'}
            for each in inside:
                self.assertTrue(accepts(each, now), (inside, now))
            self.assertTrue(accepts(modes, now), now)
            told = self.started(channel)[-1]
            self.assertEqual(told, granted['mode'])

    def test_all_orders(self):
        self.start()
        for i, (what, (modes, wishes, among)) in enumerate(CASES.items()):
            channel = self.publish(f'cam{i}', modes)
            suited = []
            for order in itertools.permutations(wishes):
                with self.subTest(what, order=[wishes.index(w) for w in order]):
                    suited.append(self.check_order(f'cam{i}', channel, modes, order, among))
            if what.startswith('half'):
                self.assertEqual(min(suited), 4)

    def test_as_many_modes_as_there_may_be(self):
        """512, with every range: all are there, and the last one is found as well as the first."""
        self.start()
        modes = [mode('NV12', (64 + 2 * i, 48), 30, width_range=(64 + 2 * i, 64 + 2 * i, 1), height_range=(48, 1080, 4),
                      rate_range=(1, 1, 60, 1), modifier=1 << 56 | i) for i in range(512)]
        self.publish('cam', modes)
        self.assertEqual(self.source_get('cam', 'Modes'), modes)
        for i in 0, 300, 511:
            path, granted = self.subscribe('cam', [mode('YUYV')] * 255 + [mode(size=(64 + 2 * i, 52), rate=25)])
            self.assertEqual(granted['mode'], mode('NV12', (64 + 2 * i, 52), 25, modifier=1 << 56 | i))
            self.call(path, SUBSCRIPTION, 'Close')
        self.raises('NoCommonMode', self.subscribe, 'cam', [mode('YUYV'), mode(size=(65, 48))])
        self.raises('InvalidOption', self.subscribe, 'cam', [mode('YUYV')] * 257, text='256')

    def test_modifiers(self):
        """Asked for, granted, told to the source, and announced to viewers; linear is another format."""
        self.start()
        modifier = 0x0400000000000001
        tiled = {**VGA, 'modifier': modifier}
        channel = self.publish('cam', [{**VGA, 'modifier': 0}, tiled])
        for i, transport in enumerate(programs.TRANSPORTS):
            with self.subTest(transport):
                viewer = programs.Viewer(self, 'cam', transport, modes=packed([tiled]))
                self.assertEqual(viewer.granted['mode'], tiled)
                self.assertEqual(self.started(channel)[-1], tiled)
                self.raises('NoCommonMode', self.subscribe, 'cam', [{**VGA, 'modifier': 0}],
                            text='accept NV12 640x480.*1 accept nothing of that: NV12:0x0400000000000001 640x480')
                channel.call(PUBLICATION_PATH, PUBLICATION, 'FormatChanged', GLib.Variant.new_tuple(
                    GLib.Variant('t', 0), GLib.Variant('u', i + 1), packed([tiled]).get_child_value(0)))
                fd = os.memfd_create('tiles', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(fd, 640 * 768)
                fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
                planes = [(0, 0, 640 * 512, 640), (0, 640 * 512, 640 * 256, 640)]
                channel.call(PUBLICATION_PATH, PUBLICATION, 'Frame', GLib.Variant(
                    '(tttuuaha(uttu)a{sv})', (i + 1, 0, 1, i + 1, 0, [0], planes, {})), fds=[fd])
                os.close(fd)
                self.assertEqual(len(viewer.wait_frames(1)), 1)
                self.assertEqual(viewer.named('FormatChanged')[-1][2], tiled)
                viewer.call('Close')

    def test_refusal_names_both(self):
        """What is in the way: the source itself, one of those who watch, or all together."""
        self.start()
        self.publish('cam', WEBCAM)
        self.raises('NoCommonMode', self.subscribe, 'cam', [mode('NV24')],
                    text="^you accept NV24 anyxany any rate; source 'cam' has NV12 640x480 30/1 fps, .* 5/1 fps$")
        self.subscribe('cam', [])
        self.subscribe('cam', [VGA, HD])
        self.raises('NoCommonMode', self.subscribe, 'cam', [mode('YUYV')],
                    text="you accept YUYV.*; source 'cam' has .*YUYV.*, but of its 2 other subscribers 1 accept "
                         "nothing of that: NV12 640x480 30/1 fps, NV12 1280x720 30/1 fps only$")
        self.subscribe('cam', [mode('NV12', (1280, 720))])
        self.raises('NoCommonMode', self.subscribe, 'cam', [VGA],
                    text='of its 3 other subscribers 1 accept nothing')
        self.publish('other', WEBCAM)
        self.subscribe('other', [VGA, HD])
        self.subscribe('other', [HD, YUY])
        self.raises('NoCommonMode', self.subscribe, 'other', [VGA, YUY],
                    text='but nothing that its 2 other subscribers all accept as well$')


FORMATS = ['NV12:64x48', 'NV12:96x64', 'YU12:64x48', 'R8:64x48', 'R8:48x64', 'YU12:40x30', 'NV12:128x32']
EIGHT = ['peer'] * 4 + ['bus'] * 2 + ['peer-own-socket'] * 2


class Changes(programs.TestCase):
    def wish_for(self, text):
        fourcc, _, size = text.partition(':')
        return mode(fourcc.ljust(4), tuple(map(int, size.split('x'))))

    def change(self, name, text):
        """Somebody comes who accepts this alone, and goes. What was granted, as JSON has it."""
        path, granted = self.on_source(name, 'Subscribe', {'modes': packed([self.wish_for(text)])})
        self.call(path, SUBSCRIPTION, 'Close')
        return {**granted['mode'], 'rate': list(granted['mode']['rate'])}

    def check_frames(self, viewer, sent):
        """Each frame is of the format that was announced last, which is what it was made in; to the last byte."""
        announced, n_formats = None, 0
        for event in viewer.events():
            if event['event'] == 'format':
                announced, n_formats = event, n_formats + 1
            elif event['event'] == 'frame':
                made = sent[event['pts_ns']]
                self.assertEqual(event['format'], announced['format'])
                self.assertEqual({key: announced['mode'][key] for key in ('fourcc', 'width', 'height')},
                                 {key: made[key] for key in ('fourcc', 'width', 'height')})
                self.assertEqual(event['crc32'], made['crc32'])
        for kind in 'problem', 'ended', 'disconnected', 'suspended', 'error':
            self.assertEqual(viewer.events(kind), [])
        return n_formats

    def test_at_random_frames(self):
        """Many changes, eight viewers: nobody is disconnected, no frame is of another format than was announced."""
        self.start()
        changes, chance = count(25, 100), random.Random(1)
        publisher = self.published('clip', '--rate', 200, *(f'--mode={f}@200/1' for f in FORMATS))
        viewers = [self.client('clip', transport, '--checksum', '--stay') for transport in EIGHT[:-1]]
        # the last one does not accept everything
        viewers.append(self.client('clip', EIGHT[-1], '--checksum', '--stay',
                                   *(f'--mode={f}' for f in FORMATS[:-1])))
        for viewer in viewers:
            viewer.wait_frames(1)
        before, wanted = FORMATS[0], len(publisher.events('start'))
        for _ in range(changes):
            self.raises('NoCommonMode', self.change, 'clip', FORMATS[-1], text='of its 8 other subscribers 1 accept')
            before = chance.choice([f for f in FORMATS[:-1] if f != before])
            granted = self.change('clip', before)
            wanted += 1
            told = publisher.wait_event('start', wanted)['mode']
            self.assertEqual({k: v for k, v in told.items() if k in SIGNATURES}, granted)
            viewer = chance.choice(viewers)
            viewer.wait_frames(len(viewer.frames()) + chance.randint(0, 3))
        for viewer in viewers:      # each sees the last one
            viewer.wait_event('format', mode=granted)
            viewer.wait_frames(len(viewer.frames()) + 1)
        publisher.tell('pause')
        for viewer in viewers:
            viewer.quit()
        sent = {e['pts_ns']: e for e in publisher.events('sent')}
        self.assertEqual(publisher.events('problem') + publisher.events('refused'), [])
        for viewer in viewers:
            # who is slow may miss all frames of a format, and is not told of it then; but for the first and the last
            self.assertGreaterEqual(self.check_frames(viewer, sent), 2)
            self.assert_exact(viewer)

    def test_of_a_capture_program(self):
        """The same with a program that starts anew for each mode: a plane has the size that its format says."""
        self.start({'bars': programs.pattern('320x240', 60)})
        viewers = [self.client('bars', transport, '--checksum', '--stay') for transport in EIGHT]
        for viewer in viewers:
            viewer.wait_frames(1)
        bytes_of = {'NV12': (3, 2), 'YU12': (3, 2), 'YUYV': (2, 1), 'BG24': (3, 1)}
        for i in range(count(8, 100)):
            fourcc = list(bytes_of)[i % 4]
            granted = self.change('bars', f'{fourcc}:{64 + 16 * (i % 5)}x{48 + 16 * (i % 3)}')
            viewers[i % 8].wait_event('format', mode=granted)
            viewers[i % 8].wait_frames(len(viewers[i % 8].frames()) + i % 3)
        for viewer in viewers:
            viewer.wait_event('format', mode=granted)
            viewer.quit()
            modes = {e['format']: e['mode'] for e in viewer.events('format')}
            for frame in viewer.frames():
                m = modes[frame['format']]
                name = next(f for f in bytes_of if code(f) == m['fourcc'])
                num, den = bytes_of[name]
                self.assertEqual((frame['bytes'], frame['n_planes']),
                                 (m['width'] * m['height'] * num // den, {'NV12': 2, 'YU12': 3}.get(name, 1)))
            self.assertEqual(viewer.events('ended') + viewer.events('disconnected') + viewer.events('problem'), [])
            self.assert_exact(viewer)


if __name__ == '__main__':
    fbtest.main()
