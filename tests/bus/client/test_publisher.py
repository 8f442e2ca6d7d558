# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every way in which a publisher's frame can be wrong has its own error, is counted, and harms nobody else."""

import json
import os
import subprocess

import fbtest

INVALID_FRAME = 'org.framebus.Error.InvalidFrame'
INVALID_MEMORY = 'org.framebus.Error.InvalidMemory'
NOT_SEALED = 'org.framebus.Error.NotSealed'
IGNORED = None     # the broker gives its own
ERRORS = {
    'unsealed': NOT_SEALED, 'partly-sealed': NOT_SEALED, 'no-shrink-seal': NOT_SEALED, 'no-grow-seal': NOT_SEALED,
    'no-seal-seal': NOT_SEALED, 'future-write': NOT_SEALED, 'short': INVALID_MEMORY, 'empty': INVALID_MEMORY,
    'pipe': INVALID_MEMORY, 'socket': INVALID_MEMORY, 'dev-null': INVALID_MEMORY, 'file': INVALID_MEMORY,
    'o-path': INVALID_MEMORY, 'hugetlb': INVALID_MEMORY, 'plane-past-end': INVALID_MEMORY,
    'plane-overflow': INVALID_MEMORY, 'plane-empty': INVALID_FRAME, 'plane-small': INVALID_FRAME,
    'stride-short': INVALID_FRAME, 'stride-huge': INVALID_FRAME, 'bad-index': INVALID_FRAME,
    'many-planes': INVALID_FRAME, 'one-plane-more': INVALID_FRAME, 'no-planes': INVALID_FRAME,
    'no-memory': INVALID_FRAME, 'five-memories': INVALID_FRAME, 'many-memories': INVALID_FRAME,
    'seq-backwards': INVALID_FRAME, 'seq-zero': INVALID_FRAME, 'order-set': IGNORED,
    'bad-format': INVALID_FRAME, 'bad-flags': INVALID_FRAME, 'replayed-flag': INVALID_FRAME,
    'leased-flag': NOT_SEALED, 'meta-type': INVALID_FRAME, 'meta-fd': INVALID_FRAME, 'meta-large': INVALID_FRAME,
    'wrong-signature': 'org.freedesktop.DBus.Error.InvalidArgs',     # only to who asked: nobody can tell its seq
}


def program(name):
    return str(fbtest.build_path(f'tests/bus/client/{name}'))


def events(process, kind):
    return [e for e in map(json.loads, process.out().splitlines()) if e['event'] == kind]


class Publisher(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.broker = self.enter(fbtest.Broker(self.bus, {}))

    def publish(self, *args):
        publisher = self.enter(fbtest.Process([program('fb-publisher'), '--address', self.bus.address, '--name', 'x',
                                               *args], stdin=subprocess.PIPE))
        publisher.wait_output('"published"')
        return publisher

    def subscribe(self, *args):
        return self.enter(fbtest.Process([program('fb-client'), '--address', self.bus.address, '--source', 'x',
                                          '--no-attack', *args]))

    def say(self, process, *commands):
        process.stdin.write(''.join(c + '\n' for c in commands).encode())
        process.stdin.flush()

    def test_all_ways_are_known(self):
        status, out, _err = fbtest.run([program('fb-publisher'), '--bad', 'list'])
        self.assertEqual((status, out.split()), (0, list(ERRORS)))

    def wrong_frame(self, publisher, way, kind):
        """One wrong frame between two right ones: what the broker says to it."""
        before = len(events(publisher, 'sent'))
        self.say(publisher, 'send', f'send {way}', 'send')
        fbtest.wait_until(lambda: len(events(publisher, 'sent')) >= before + 3)
        sent = next(e for e in events(publisher, 'sent')[before:] if e['bad'] == way)
        if 'failed' in sent:
            return way == 'hugetlb' and 'skip'
        answers = fbtest.wait_until(lambda: [e for e in events(publisher, kind) if e['seq'] == sent['seq'] and (
            kind == 'refused' or e['name'])], what=f'an answer to {way}')
        return answers[0]['name'], answers[0]['text']

    def check_ways(self, kind, *args):
        publisher = self.publish('--format', 'NV12', '--stay', *args)
        client = self.subscribe('--seconds', '60', '--quiet')
        publisher.wait_output('"start"')
        self.say(publisher, 'pause')
        n = 0
        for way, expected in ERRORS.items():
            with self.subTest(way):
                if expected == IGNORED or kind == 'refused' and way == 'wrong-signature':
                    self.say(publisher, f'send {way}')
                    publisher.wait_output(f'"bad": "{way}"')
                    continue
                answer = self.wrong_frame(publisher, way, kind)
                if answer == 'skip':
                    continue
                n += way != 'wrong-signature'
                self.assertEqual(answer[0], expected, answer[1])
                self.assertTrue(answer[1])
        self.say(publisher, 'send', 'destroy')
        client.wait(10)
        summary = events(client, 'summary')[0]
        self.assertEqual([e['reason'] for e in events(client, 'ended')], ['destroyed'], client.out())
        self.assertTrue(summary['gaps_match'], client.out())
        self.assertEqual(summary['problems'], 0, client.out())
        self.assertEqual(summary['lost_corrupt'], n, client.out())

    def test_errors_as_replies(self):
        self.check_ways('reply', '--reply')

    def test_errors_as_refused(self):
        self.check_ways('refused')

    def test_skipped_numbers_are_lost_at_the_source(self):
        self.publish('--rate', '100', '--frames', '60', '--skip', '3', '--every', '10')
        client = self.subscribe('--window', '16')
        self.assertEqual(client.wait(10), 0, client.out())
        summary = events(client, 'summary')[0]
        self.assertGreaterEqual(summary['lost_source'], 15)
        self.assertEqual(summary['lost'] - summary['lost_pending'], summary['gaps'])

    def test_burst_is_held_back_by_release(self):
        publisher = self.publish('--burst', '--frames', '2000', '--quiet')
        client = self.subscribe('--quiet', '--window', '16')
        self.assertEqual(client.wait(20), 0, client.out()[-2000:])
        self.assertEqual(publisher.wait(10), 0, publisher.out()[-2000:])
        pub, sub = events(publisher, 'summary')[0], events(client, 'summary')[0]
        self.assertEqual((pub['sent'], pub['released'], pub['dropped']), (2000, 2000, 0))
        self.assertEqual(sub['delivered'] + sub['lost'], 2000, client.out()[-2000:])


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
