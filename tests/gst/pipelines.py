# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Pipelines in the test's own process, with the plugin of the build, on private buses.

    class Watching(pipelines.TestCase):
        def test_it(self):
            self.start({'bars': pipelines.PATTERN})               # self.bus, self.broker
            viewer = self.play('framebussrc name=src source=bars ! fakesink name=sink')
            viewer.wait_frames(3)
"""

import json
import os
import pathlib
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/harness')]

import fbtest  # noqa: E402

OPTIONS = json.loads(fbtest.build_path('meson-info/intro-buildoptions.json').read_text())
if any(o['name'] == 'b_sanitize' and o['value'] != 'none' for o in OPTIONS):
    fbtest.skip_all('a plugin with a sanitizer in it cannot be loaded')

_REGISTRY = tempfile.NamedTemporaryFile(prefix='fbtest-registry-')      # empty: so it is written
os.environ.update(GST_PLUGIN_PATH=str(fbtest.build_path('gst')), GST_REGISTRY=_REGISTRY.name,
                  GST_REGISTRY_FORK='no')

try:
    import gi
    gi.require_version('Gst', '1.0')
    from gi.repository import Gst  # noqa: E402
except (ImportError, ValueError):
    fbtest.skip_all('GStreamer for Python is not installed')

Gst.init(None)
for needed in ('framebussrc', 'videotestsrc', 'videoconvert', 'jpegenc'):
    if not Gst.ElementFactory.find(needed) and needed != 'framebussrc':
        fbtest.skip_all(f'GStreamer\'s {needed} is not installed')

WIDTH, HEIGHT = 320, 240


def pattern(size=f'{WIDTH}x{HEIGHT}', rate=30, *more):
    """sources.d text of a test picture."""
    return f'[Source]\nExec=framebus-pattern --size {size} --rate {rate} {" ".join(map(str, more))}\n'


PATTERN = pattern()


class Frame:
    """What a sink saw of a buffer."""

    def __init__(self, buffer, caps):
        data = buffer.extract_dup(0, buffer.get_size())
        self.crc, self.size, self.pts, self.offset = zlib.crc32(data), len(data), buffer.pts, buffer.offset
        self.flags, self.caps = buffer.get_flags(), caps
        self.memory = buffer.peek_memory(0).allocator.mem_type if buffer.n_memory() else None

    @property
    def discont(self):
        return bool(self.flags & Gst.BufferFlags.DISCONT)


class Pipeline:
    """Plays; the sink called "sink", a fakesink, tells of every buffer."""

    def __init__(self, text):
        self.pipeline = Gst.parse_launch(text)
        self.bus = self.pipeline.get_bus()
        self.messages, self.frames = [], []
        sink = self['sink']
        if sink and sink.get_factory().get_name() == 'fakesink':
            sink.props.signal_handoffs = True
            sink.connect('handoff', self._on_buffer)

    def _on_buffer(self, _sink, buffer, pad):
        caps = pad.get_current_caps()
        self.frames.append(Frame(buffer, caps.to_string() if caps else None))

    def taps(self, name):
        """The element of that name sees what goes by, by its pad."""
        def look(pad, info):
            self._on_buffer(None, info.get_buffer(), pad)
            return Gst.PadProbeReturn.OK
        self[name].get_static_pad('src').add_probe(Gst.PadProbeType.BUFFER, look)
        return self

    def __getitem__(self, name):
        return self.pipeline.get_by_name(name)

    def set_state(self, state):
        if self.pipeline.set_state(state) == Gst.StateChangeReturn.FAILURE:
            self.look()
            raise AssertionError(f'no way to {state.value_nick}: {self.errors()}')
        return self

    def look(self):
        """All messages so far."""
        while True:
            message = self.bus.pop()
            if not message:
                return self.messages
            self.messages.append(message)

    def of_type(self, kind):
        return [m for m in self.look() if m.type == kind]

    def errors(self):
        return [m.parse_error()[0].message for m in self.of_type(Gst.MessageType.ERROR)]

    def wait_frames(self, n, timeout=20):
        """Until there are n more frames; these."""
        first = len(self.frames)

        def enough():
            if self.errors():
                raise AssertionError(self.errors())
            return len(self.frames) >= first + n
        fbtest.wait_until(enough, timeout, f'{n} frames')
        return self.frames[first:first + n]

    def wait_message(self, kind, timeout=20):
        return fbtest.wait_until(lambda: self.of_type(kind), timeout, f'a message {kind.value_nicks}')[-1]

    def reasons(self):
        """Why frames were lost."""
        told = [m.get_structure() for m in self.of_type(Gst.MessageType.ELEMENT)]
        return [s.get_value('reason') for s in told if s.get_name() == 'framebus-lost']

    def get(self, element, field):
        """A number of its statistics."""
        return self[element].props.stats.get_value(field)

    def stop(self):
        self.pipeline.set_state(Gst.State.NULL)


class TestCase(fbtest.TestCase):
    def start(self, sources=None):
        self.bus = self.enter(fbtest.Bus())
        os.environ['FRAMEBUS_ADDRESS'] = self.bus.address
        self.broker = self.enter(fbtest.Broker(self.bus, sources or {}))

    def names_of_sources(self):
        conn = self.bus.connect()
        objects = fbtest.call(conn, 'org.framebus', '/org/framebus', 'org.freedesktop.DBus.ObjectManager',
                              'GetManagedObjects')[0]
        conn.close_sync(None)
        return [o['org.framebus.Source1']['Name'] for o in objects.values() if 'org.framebus.Source1' in o]

    def pipeline(self, text):
        pipeline = Pipeline(text)
        self.addCleanup(pipeline.stop)
        return pipeline

    def play(self, text):
        return self.pipeline(text).set_state(Gst.State.PLAYING)
