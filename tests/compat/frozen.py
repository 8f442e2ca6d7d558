#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Earlier versions, whole: frozen/VERSION.tar.xz has the sources of the client library, the broker, a capture program and
the examples as they were. Containers run for years: what was built of these has to work with what there is today.

    frozen.py freeze VERSION [COMMIT]   makes the file; at a release, once
    Frozen('0.1').path('04-subscribe')  built, below the build folder, when it is wanted first

They are built by the compiler alone: in some years nobody wants to know how their build system was.
"""

import concurrent.futures
import fcntl
import functools
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / 'frozen'
FROZEN = ('base', 'wire', 'interfaces/names.h', 'interfaces/wire.h', 'libframebus', 'broker', 'sources/pattern',
          'sources/common', 'examples')
LEFT_OUT = 'meson.build', 'README.md', '01-subscribe-sdbus.c', '02-subscribe-gdbus.c', '03-subscribe.py'
# folders whose files make it, more words for the compiler, the headers' packages
PROGRAMS = {
    'libframebus.so.0': (('libframebus', 'wire', 'base'),
                         ['-shared', '-Wl,-soname,libframebus.so.0', '-Wl,--version-script,libframebus/framebus.sym']),
    'framebusd': (('broker', 'broker/*', 'wire', 'base'), []),
    'framebus-pattern': (('sources/pattern', 'sources/common', 'base'), ['libframebus.so.0']),
}
FLAGS = ['-std=gnu17', '-O0', '-g0', '-w', '-fPIC', '-fvisibility=hidden', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64',
         '-DFB_VERSION="frozen"', '-DFB_SYSCONFDIR="/nonexistent"', '-DFB_LIBEXECDIR="/nonexistent"', '-I.',
         '-Ilibframebus']


def versions():
    return sorted(p.name.removesuffix('.tar.xz') for p in FOLDER.glob('*.tar.xz'))


def packages(option, *names):
    return subprocess.run(['pkg-config', option, *names], check=True, stdout=subprocess.PIPE, text=True).stdout.split()


class Frozen:
    def __init__(self, version):
        self.version, self.archive = version, FOLDER / f'{version}.tar.xz'
        self.folder = pathlib.Path(os.environ['FB_BUILD']) / 'compat' / version

    @functools.cached_property
    def built(self):
        """The folder, with everything in it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.parent / f'{self.version}.lock', 'w', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stamp = self.folder / 'stamp'
            if not stamp.exists() or stamp.stat().st_mtime < self.archive.stat().st_mtime:
                shutil.rmtree(self.folder, ignore_errors=True)
                self._build()
                stamp.touch()
        return self.folder

    def path(self, name):
        return self.built / name

    def env(self):
        """With which its programs find its library."""
        return {'LD_LIBRARY_PATH': str(self.built), 'ASAN_OPTIONS': 'verify_asan_link_order=0'}

    def _build(self):
        with tarfile.open(self.archive) as archive:
            archive.extractall(self.folder)
        flags = FLAGS + packages('--cflags', 'libsystemd', 'libdrm')
        examples = sorted(p.stem for p in (self.folder / 'examples').glob('*.c'))
        sources = {s for folders, _ in PROGRAMS.values() for s in self._sources(folders)}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda s: self._cc('-c', s, '-o', f'{s}.o', *flags),
                          sorted(sources) + [f'examples/{e}.c' for e in examples]))
        libraries = packages('--libs', 'libsystemd', 'libdrm')
        for name, (folders, more) in PROGRAMS.items():
            self._cc('-o', name, *(f'{s}.o' for s in self._sources(folders)), *more, *libraries)
        (self.folder / 'sources' / 'framebus-pattern').symlink_to('../framebus-pattern')
        for name in examples:
            self._cc('-o', name, f'examples/{name}.c.o', 'libframebus.so.0', *libraries)

    def _sources(self, folders):
        return sorted(str(p.relative_to(self.folder)) for f in folders for p in self.folder.glob(f'{f}/*.c'))

    def _cc(self, *words):
        result = subprocess.run([os.environ.get('CC', 'cc'), *words], cwd=self.folder, check=False, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode != 0:
            raise AssertionError(f'{self.version}: {" ".join(words)}\n{result.stdout}')


def freeze(version, commit='HEAD'):
    """All dates and owners are the same, so that the same sources make the same file. One that is there stays."""
    git = subprocess.run(['git', 'archive', commit, *FROZEN], cwd=HERE.parent.parent, check=True,
                         stdout=subprocess.PIPE)
    with tarfile.open(fileobj=io.BytesIO(git.stdout)) as old, \
            tarfile.open(FOLDER / f'{version}.tar.xz', 'x:xz', preset=9) as new:
        for entry in sorted(old.getmembers(), key=lambda e: e.name):
            if pathlib.Path(entry.name).name in LEFT_OUT:
                continue
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, '', ''
            new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)


if __name__ == '__main__':
    freeze(*sys.argv[2:])
