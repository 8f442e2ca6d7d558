#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
README.md keeps its word. A block of code is tried as the comment before it says:

    <!-- test: run -->      these commands end with status 0, on a session bus with a broker that it activates, in a
                            home folder of their own, one block after the other
    <!-- test: publish -->  this command goes on, and makes the source `clip`
    <!-- test: c NAME -->   this program builds with pkg-config's flags alone and prints something about source NAME
    <!-- test: install -->  meson install, into a folder of its own, puts there what the README counts on
"""

import os
import pathlib
import re
import shlex
import shutil
import signal
import sys
import tempfile

import fbtest

README = pathlib.Path(sys.argv.pop(1)).resolve()
BUILD = pathlib.Path(os.environ['FB_BUILD']).resolve()


def blocks(kind):
    found = re.findall(r'^<!-- test: (\w+) ?(\S*) -->\n```(\w+)\n(.*?)^```$', README.read_text(), re.M | re.S)
    return [(argument, text) for name, argument, _language, text in found if name == kind]


class Readme(fbtest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-home-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.home)
        bin_ = self.home / 'bin'
        bin_.mkdir()
        for program in 'tools/framebusctl', 'broker/framebusd':
            (bin_ / pathlib.Path(program).name).symlink_to(fbtest.build_path(program))
        self.env = {
            'HOME': str(self.home),
            'XDG_CONFIG_HOME': str(self.home / '.config'),
            'PATH': f'{bin_}:{os.environ["PATH"]}',
            'FRAMEBUS_LIBEXECDIR': str(BUILD / 'sources'),
            'FRAMEBUS_ADDRESS': 'session',
            'PKG_CONFIG_PATH': str(BUILD / 'meson-uninstalled'),
            'LD_LIBRARY_PATH': str(BUILD / 'libframebus'),
        }
        daemon = shlex.join([*fbtest.wrapper(), str(fbtest.build_path('broker/framebusd')), '--session'])
        self.bus = self.enter(fbtest.Bus(activatable={'org.framebus': daemon}, env=self.env))

    def shell(self, text, timeout=60):
        status, out, err = fbtest.run(['bash', '-ec', text], cwd=self.home, env={**self.env, **self.bus.env()},
                                      timeout=timeout)
        self.assertEqual(status, 0, f'{text}\n{out}\n{err}')
        return out

    def start(self, text):
        return self.enter(fbtest.Process(['bash', '-c', text], cwd=self.home, env={**self.env, **self.bus.env()}))

    def configure(self):
        self.shell(blocks('run')[0][1])

    def test_commands(self):
        self.assertGreaterEqual(len(blocks('run')), 3)
        out = ''.join(self.shell(text) for _, text in blocks('run'))
        self.assertRegex(out, r'(?m)^bars +idle')
        self.assertRegex(out, r'fps +latency p50')
        self.assertEqual((self.home / 'picture.png').read_bytes()[:8], b'\x89PNG\r\n\x1a\n')
        self.assertEqual((self.home / 'recording.y4m').read_bytes()[:9], b'YUV4MPEG2')
        self.assertRegex(out, r'\.Resolve +method')       # busctl
        self.assertIn('interface org.framebus.Source1 {', out)     # gdbus

    def test_publish(self):
        if not shutil.which('ffmpeg'):
            self.skipTest('ffmpeg is missing (apt-get install ffmpeg)')
        self.shell('ffmpeg -v error -f lavfi -i testsrc=size=320x240:rate=25 -t 20 -pix_fmt yuv420p clip.mp4')
        [(_, text)] = blocks('publish')
        pipeline = self.start(text)
        self.shell('until framebusctl list | grep -q clip; do sleep 0.1; done')
        self.assertRegex(self.shell('framebusctl watch clip --frames 20 --timeout 20'), r'YU12,320x240,25')
        for pid in fbtest.descendants_of(pipeline.pid):
            if fbtest.command_of(pid).startswith('ffmpeg'):
                os.kill(pid, signal.SIGTERM)
        self.assertEqual(pipeline.wait(), 0, pipeline.err())
        self.assertNotIn('clip', self.shell('framebusctl list'))

    def test_program(self):
        if not shutil.which('pkg-config'):
            self.skipTest('pkg-config is missing')
        [(source, text)] = blocks('c')
        self.configure()
        (self.home / 'first.c').write_text(text)
        compiler = os.environ.get('CC', 'cc')
        self.shell(f'{compiler} -std=c99 -Wall -Wextra -Wno-unused-parameter -Werror -o first first.c '
                   '$(pkg-config --cflags --libs libframebus)')
        self.assertIn(f'"{source}"', text)
        self.assertLessEqual(len(text.splitlines()), 30)
        viewer = self.start('exec stdbuf -oL ./first')
        viewer.wait_output(r'^frame \d+: 460800 bytes|^frame \d+: 307200 bytes', 10)

    def test_install(self):
        folder = self.home / 'installed'
        self.shell(f'meson install -C {shlex.quote(str(BUILD))} --no-rebuild --quiet --destdir {folder}')
        files = [str(path.relative_to(folder)) for path in folder.rglob('*')]
        for pattern in (r'bin/framebusd$', r'bin/framebusctl$', r'libexec/framebus/framebus-pattern$',
                        r'libexec/framebus/framebus-y4m$', r'dbus-1/services/org\.framebus\.service$',
                        r'dbus-1/system-services/org\.framebus\.service$', r'org\.framebus\.conf$',
                        r'system/framebus-capture\.socket$', r'sysusers\.d/framebus\.conf$',
                        r'tmpfiles\.d/framebus\.conf$', r'framebus/sources\.d$', r'include/framebus\.h$',
                        r'pkgconfig/libframebus\.pc$', r'man1/framebusctl\.1', r'man5/org\.framebus\.5'):
            self.assertTrue(any(re.search(pattern, name) for name in files), f'{pattern} in {sorted(files)}')
        self.assertEqual(len(blocks('install')), 1)

    def test_names(self):
        """Files, pages and limits that it speaks of are there."""
        top, text = README.parent, README.read_text()
        for name in re.findall(r'`((?:examples|scripts)/[^`]*)`', text):
            self.assertTrue((top / name).exists(), name)
        for page, section in re.findall(r'`([a-z0-9.-]+)\((\d)\)`', text):
            self.assertTrue((top / 'man' / f'{page}.{section}').exists(), page)
        limits = dict(re.findall(r'^#define (FB_\w+_MAX|FB_\w+_(?:CONNECTION|UID|DEFAULT)) +(\d+)u',
                                 (top / 'interfaces/wire.h').read_text(), re.M))
        for sentence, name in ((r'1 to (\d+) frames in flight', 'FB_WINDOW_MAX'),
                               (r'(\d+) unless it says otherwise', 'FB_WINDOW_DEFAULT'),
                               (r'together have (\d+) frames', 'FB_BUS_FDS_MAX'),
                               (r'at most (\d+) file descriptors', 'FB_PEER_FDS_MAX'),
                               (r'(\d+) subscriptions and channels', 'FB_PEER_FDS_MAX'),
                               (r'(\d+) channels a bus connection', 'FB_CHANNELS_PER_CONNECTION')):
            found = re.search(sentence, ' '.join(text.split()))
            self.assertIsNotNone(found, sentence)
            self.assertEqual(found.group(1), limits[name], name)


fbtest.main()
