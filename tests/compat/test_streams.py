#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the clients of each version said, as it was recorded then (streams/VERSION), said again to today's broker: each of
them gets what it needs. And what today's clients say can be recorded, and said again.
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('harness', 'bus')]

import fbtest  # noqa: E402
import programs  # noqa: E402
import record  # noqa: E402
import replay  # noqa: E402
import tap  # noqa: E402

STREAMS = HERE / 'streams'


def versions():
    return sorted(p.name for p in STREAMS.iterdir() if p.is_dir())


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Streams(programs.TestCase):
    def setUp(self):
        self.clip = record.start_sources(self)

    def player(self, lines, way, **options):
        player = replay.Player(lines, f'{self.bus.base}/bus', way=way, **options)
        self.addCleanup(player.close)
        return player

    def play(self, player):
        try:
            player.play()
            self.assertEqual(replay.errors_of(player), [])
        finally:
            player.close()

    def watch(self, lines, way):
        """A client of the sources: what it saw is what was published."""
        player = self.player(lines, way)
        self.play(player)
        for frame in player.frames:
            fbtest.wait_until(lambda sums=frame.sums: self.clip.events('sent', crc32=sums),
                              what=f'a picture that was published, {frame.sums}')
        seqs = [frame.seq for frame in player.frames]
        self.assertEqual(seqs, sorted(set(seqs)))
        fbtest.wait_until(lambda: not self.who(), what='its subscription ends with it')

    def publish(self, lines, way):
        """A publisher: what it shows is seen, all of it, until the viewer leaves as the one of then did."""
        viewers, seen = [], {}

        def begin():
            viewers.append(self.client('own', 'peer', '--checksum', '--window', 16, '--opt',
                                       'memory=as:leased,sealed'))

        def end():
            if not seen:
                seen.update(player.sent)
                viewers[0].quit()

        def after_frame(seq):
            if not seen:
                viewers[0].wait_event('frame', seq=seq)
        player = self.player(lines, way, before={'Start': begin, 'Retire': end, 'Stop': end}, after_frame=after_frame)
        self.play(player)
        self.assert_exact(viewers[0])
        self.assertEqual({f['seq']: f['crc32'] for f in viewers[0].frames()}, seen)
        self.assertGreaterEqual(len(seen), 5)

    def each(self, folder, way):
        for path in sorted(folder.glob('*.json')):
            with self.subTest(f'{folder.name}/{path.stem}/{way}'):
                (self.publish if path.stem in record.PUBLISHERS else self.watch)(read(path), way)

    def test_message_by_message(self):
        for version in versions():
            self.each(STREAMS / version, 'messages')

    def test_byte_by_byte(self):
        for version in versions():
            self.each(STREAMS / version, 'bytes')

    def test_all_at_once(self):
        for version in versions():
            self.each(STREAMS / version, 'together')

    def test_of_today(self):
        """The recorder still hears what is said, and what it wrote down can be said."""
        for name in 'gdbus', 'library', 'pulsevideo-2', 'library-lend':
            lines = json.loads(json.dumps(record.record(self, name)))
            fbtest.wait_until(lambda: not self.who(), what='its end')
            with self.subTest(name):
                (self.publish if name in record.PUBLISHERS else self.watch)(lines, 'messages')

    def test_who_judges_is_awake(self):
        """A broker that has lost a word of its answers, or says something else, does not pass."""
        def without_epoch(message):
            message.body[2] = [pair for pair in message.body[2] if pair[0] != 'epoch']

        def other_type(message):
            message.body[2] = [[key, {'t': 4} if key == 'window' else value] for key, value in message.body[2]]

        def other_signature(message):
            message.set('signature', 'ha{sv}')
            del message.body[1]

        def refused(message):
            while message.fds:
                os.close(message.fds.pop())
            message.kind, message.body = 'error', ['no']
            message.head = [f for f in message.head if f[0] != 'fds'] + [['error', 'org.framebus.Error.NotSupported']]
            message.set('signature', 's')

        def leased(message):
            message.body[4] |= 0x100

        def elsewhere(message):
            message.body[6][0][1] = 1 << 40

        lines = read(STREAMS / '0.1' / 'library.json')
        for signature, spoil in [('hoa{sv}', s) for s in (without_epoch, other_type, other_signature, refused)] + \
                [('tttuuaha(uttu)a{sv}', s) for s in (leased, elsewhere)]:
            def change(_link, by_client, message, signature=signature, spoil=spoil):
                if not by_client and message.signature == signature:
                    spoil(message)
                return [message]
            with self.subTest(spoil.__name__), tap.Tap(f'{self.bus.base}/bus', change=change) as relay:
                player = replay.Player(lines, relay.address.partition('=')[2])
                self.addCleanup(player.close)
                with self.assertRaises(replay.Mismatch) as caught:
                    player.play()
                self.assertNotRegex(str(caught.exception), 'timed out|hung up')
                player.close()


if __name__ == '__main__':
    fbtest.main()
