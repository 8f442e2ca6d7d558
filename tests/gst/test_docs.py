#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
docs/gstreamer.md keeps its word. A comment before a block says how: "run": to its end; "watch": for some frames, on a
fakesink, as there is no screen; "publish NAME": until a frame of that source was seen.
"""

import os
import re
import tempfile

import pipelines

import fbtest

TEXT = (pipelines.ROOT / 'docs/gstreamer.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'<!-- test: (.*?) -->\n```sh\n(.*?)^```$', TEXT, re.M | re.S)


class Documents(pipelines.TestCase):
    def setUp(self):
        self.start({'cam': pipelines.pattern('640x480')})
        self.folder = self.enter(tempfile.TemporaryDirectory(prefix='fbtest-gst-'))

    def shell(self, text):
        return fbtest.Process(['sh', '-e', '-c', text], env={**os.environ, **self.bus.env()}, cwd=self.folder)

    def blocks(self, kind):
        found = [(words.split()[1:], text) for words, text in BLOCKS if words.split()[0] == kind]
        self.assertTrue(found)
        return found

    def test_run(self):
        for _words, text in self.blocks('run'):
            with self.subTest(text=text), self.shell(text.replace('num-buffers=300', 'num-buffers=10')) as process:
                self.assertEqual(process.wait(30), 0, process.log())
                if 'device-monitor' in text:
                    self.assertIn('gst-launch-1.0 framebussrc source=cam', process.out())
        self.assertGreater(os.path.getsize(f'{self.folder}/cam.avi'), 1000)

    def test_watch(self):
        for _words, text in self.blocks('watch'):
            text = text.replace('framebussrc', 'framebussrc num-buffers=5').replace('autovideosink', 'fakesink')
            with self.subTest(text=text), self.shell(text) as process:
                self.assertEqual(process.wait(30), 0, process.log())

    def test_publish(self):
        for (name,), text in self.blocks('publish'):
            with self.subTest(text=text), self.shell('exec ' + text) as process:
                fbtest.wait_until(lambda n=name: n in self.names_of_sources() or process.returncode is not None, 20)
                self.assertIsNone(process.returncode, process.log())
                viewer = self.play(f'framebussrc source={name} ! fakesink name=sink')
                viewer.wait_frames(1)
                viewer.stop()


if __name__ == '__main__':
    fbtest.main()
