# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of kdbus and bus1 asserted, and no other test here does: see twins.toml. And row 3 of the suite.
"""

import fcntl
import os

import fbtest
import programs
from gi.repository import GLib
from programs import PUBLICATION, PUBLICATION_PATH, TRANSPORTS, Viewer
from test_memory import SEALED, SIZE, ByHand

F_ADD_SEALS, F_GET_SEALS = 1033, 1034
MFD_NOEXEC_SEAL = 8


class Seals(programs.TestCase):
    def test_one_more_seal(self):
        """Row 3: memory that has the seal of MFD_NOEXEC_SEAL besides is as good, all the way."""
        self.start()
        publisher = ByHand(self, 'clip')
        clients = [self.client('clip', t, '--frames', 1) for t in TRANSPORTS]
        for client in clients:
            client.wait_event('granted')
        publisher.format()
        fd = self.memory()
        seals = fcntl.fcntl(fd, F_GET_SEALS)
        self.assertEqual(seals, 0x2f)
        publisher.frame(fd=fd)
        for client in clients:
            client.finish()
            self.assertEqual(client.frames()[0]['seals'], [seals])
            self.assert_complete(client)

    def memory(self):
        try:
            fd = os.memfd_create('clip', os.MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL)
        except OSError:
            self.skipTest('no MFD_NOEXEC_SEAL here')
        self.addCleanup(os.close, fd)
        os.write(fd, bytes(SIZE))
        fcntl.fcntl(fd, F_ADD_SEALS, SEALED)
        return fd


class Quota(programs.TestCase):
    def test_exactly_as_many_again(self):
        """A window is filled to the last one, the next is lost, and what was given back is there again, exactly."""
        self.start()
        for transport in TRANSPORTS:
            with self.subTest(transport):
                hand = self.published_by_hand(f'clip-{transport}')
                window = 8 if transport == 'bus' else 16    # not all that one may have unread on the bus
                viewer = Viewer(self, f'clip-{transport}', transport, window=window)
                viewer.wait_frames(1)
                self.send(hand, window - 1)
                viewer.wait_frames(window)
                for full in window, 2 * window, 3 * window:
                    self.send(hand)             # one too many
                    viewer.wait_frames(full)
                    viewer.release_up_to(viewer.frames()[-1])
                    self.send(hand, window)
                    viewer.wait_frames(full + window)
                self.assertEqual(viewer.get('Lost'), {'no-credit': 3})
                self.assertEqual([n for n, _ in viewer.named('Lost')], [1, 1, 1])
                hand.quit()

    def test_notices_need_no_credit(self):
        """With all credit used up notices come still; what was lost is told once."""
        self.start()
        publisher = self.published('clip', '--rate', 30)
        viewers = []
        for transport in TRANSPORTS:
            viewer = Viewer(self, 'clip', transport, window=2)
            fbtest.wait_until(lambda v=viewer: len(v.frames()) == 2, what='two frames')
            viewer.release(viewer.frames()[0])          # else the one on the bus is cut off
            viewers.append(viewer)
        for viewer in viewers:
            viewer.wait_event('Suspended')
        publisher.tell('destroy')
        for viewer in viewers:
            viewer.wait_event('Ended')
            story = viewer.story()
            self.assertEqual((len(viewer.frames()), story[-1]), (3, 'Ended'))
            rest = [reason for _, reason in story[story.index('Suspended') + 1:-1] if reason != 'source']
            self.assertEqual(rest, ['no-credit', 'suspended'])


    def test_suspended_get_the_next(self):
        """Nothing is kept for who is suspended, not even the newest with drop=latest: the next frame is the first."""
        self.start()
        publisher = self.published('clip', '--rate', 30)
        viewers = []
        for transport in TRANSPORTS:
            viewer = Viewer(self, 'clip', transport, window=2, drop='latest')
            fbtest.wait_until(lambda v=viewer: len(v.frames()) == 2, what='two frames')
            viewer.release(viewer.frames()[0])
            viewers.append(viewer)
        for viewer in viewers:
            viewer.wait_event('Suspended')
        publisher.tell('pause')
        self.send(publisher)
        last = self.source_seq(publisher)
        for viewer in viewers:
            viewer.release(*viewer.frames())
            viewer.sync()
            self.assertEqual(viewer.story()[-1], 'Resumed')
        self.send(publisher)
        for viewer in viewers:
            viewer.wait_frames(4)
            self.assertEqual(viewer.frames()[-1], last + 1)


class Bystanders(programs.TestCase):
    def test_no_frame_is_broadcast(self):
        """Whoever has a match for everything sees what is public; no frame, and no descriptor."""
        self.start()
        raw = self.raw()
        raw.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'AddMatch', GLib.Variant('(s)', ("type='signal'",)),
                 destination='org.freedesktop.DBus')
        publisher = self.published('clip', '--rate', 60, '--quiet')
        for transport in TRANSPORTS:
            viewer = self.client('clip', transport, '--frames', 10)
            viewer.finish()
        publisher.quit()
        seen = self.read_up_to(raw, 'InterfacesRemoved')
        self.assertIn('InterfacesAdded', [m.get_member() for m in seen])        # the measure can tell
        self.assertEqual([m.get_member() for m in seen if m.get_num_unix_fds() or
                          m.get_interface() == programs.SUBSCRIPTION], [])

    def test_monitor(self):
        """A monitor sees the frames of subscriptions on the bus, descriptors included, but none on channels."""
        self.start()
        self.published('clip', '--rate', 60, '--quiet')
        raw = self.raw()
        name = raw.name
        raw.call('/org/freedesktop/DBus', 'org.freedesktop.DBus.Monitoring', 'BecomeMonitor',
                 GLib.Variant('(asu)', ([], 0)), destination='org.freedesktop.DBus')
        names, = fbtest.call(self.conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                             'ListNames')
        self.assertNotIn(name, names)
        for transport, seen in ('peer', False), ('peer-own-socket', False), ('bus', True):
            viewer = self.client('clip', transport, '--frames', 10)
            viewer.finish()
            self.ping()
            frames = [m for m in self.read_up_to(raw, 'Ping') if m.get_member() == 'Frame']
            self.assertEqual(bool(frames), seen)
            self.assertEqual({m.get_num_unix_fds() for m in frames}, {1} if seen else set())

    def raw(self):
        raw = programs.Raw(str(self.bus.base / 'bus')).auth().hello()
        self.addCleanup(raw.close)
        return raw

    @staticmethod
    def read_up_to(raw, member):
        """Messages up to one of that name to the broker's manager, or by it."""
        seen, raw.messages = raw.messages, []
        while not seen or seen[-1].get_member() != member or seen[-1].get_path() != programs.MANAGER_PATH:
            seen.append(raw.read_message())
        return seen


class Twice(programs.TestCase):
    def test_destroy(self):
        """A source is destroyed once: to do it again is an error or too late, and its name is free."""
        self.start()
        publisher = ByHand(self, 'clip')
        viewers = [Viewer(self, 'clip', t) for t in TRANSPORTS]
        data = [publisher.channel.conn, None, PUBLICATION_PATH, PUBLICATION, 'Destroy']
        fbtest.call(*data)
        with self.assertRaises(GLib.Error):
            fbtest.call(*data)
        for viewer in viewers:
            viewer.wait_event('Ended')
            viewer.events.clear()
        again = ByHand(self, 'clip')
        self.ping()
        while GLib.MainContext.default().iteration(False):
            pass
        self.assertEqual([viewer.events for viewer in viewers], [[], [], []])
        again.channel.close()


if __name__ == '__main__':
    fbtest.main()
