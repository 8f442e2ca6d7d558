#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The table of pixel formats in sources/v4l2/formats.c against the comments of the two headers: each line names
the same components in the same order of bytes. What the comments do not say is listed here, with the reason.
"""

import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
UNSAID = {
    'RGB32': 'deprecated: the fourth byte is anything; a driver draws it in test_vivid.py',
    'BGR32': 'the same',
    'RGB332': 'V4L2 names a word, DRM as well',
    'RGB565': 'the same', 'RGB555': 'the same',
    'YUV411P': 'V4L2 says YVU, but its documents have Cb first',
}
CHROMA = {'Cr': 'V', 'Cb': 'U'}


def read(name, *folders):
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding='utf-8') as f:
                return f.read()
    raise unittest.SkipTest(f'no {name}')


def drm_folders():
    flags = subprocess.run(['pkg-config', '--cflags-only-I', 'libdrm'], stdout=subprocess.PIPE, check=True, text=True)
    return [flag[2:] for flag in flags.stdout.split()] + ['/usr/include/libdrm', '/usr/include/drm']


def components(comment):
    """(letter, bits) from the highest bit on, of a comment like [31:0] A:R:G:B 8:8:8:8 little endian."""
    found = re.search(r'\[(\d+):0\] ([\w:]+) ?([\d:]*)', comment)
    names = [re.sub(r'\d', '', n) for n in found[2].split(':')]
    bits = [int(n) for n in found[3].split(':')] if found[3] else [(int(found[1]) + 1) // len(names)] * len(names)
    return [(CHROMA.get(n, n).upper(), b) for n, b in zip(names, bits)]


def no_alpha(letters):
    return letters.replace('A', 'X')


class Formats(unittest.TestCase):
    def setUp(self):
        v4l2 = read('videodev2.h', '/usr/include/linux')
        drm = read('drm_fourcc.h', *drm_folders())
        self.v4l2 = dict(re.findall(r'#define V4L2_PIX_FMT_(\w+)\s+v4l2_fourcc\w*\(.*?\)\s*/\*\s*(.*?)\s*\*/', v4l2))
        self.drm = dict(re.findall(r'#define DRM_FORMAT_(\w+)\s+fourcc_code\(.*?\) /\* (.*?) \*/', drm))
        source = read('formats.c', os.path.join(ROOT, 'sources/v4l2'))
        self.rows = re.findall(r'^        (\w+)\((\w+), (\w+)(?:, ([\d, ]+))?\),$', source, re.M)
        self.assertGreater(len(self.rows), 60)

    def rows_of(self, *macros):
        rows = [(v, d, [int(n) for n in args.split(',')] if args else []) for m, v, d, args in self.rows if m in macros]
        self.assertGreater(len(rows), 3, macros)
        return rows

    def check_words(self, v4l2, drm, said):
        """V4L2 names a 16-bit word from the highest bit on, letter by letter or with the sizes."""
        if re.fullmatch(r'[a-z]{8} [a-z]{8}', said):
            self.assertEqual(said.replace(' ', ''), ''.join(n.lower() * b for n, b in drm), v4l2)
            return True
        found = re.fullmatch(r'([A-Z]+)((?:-\d)+)(?: BE)?', said)
        if not found or len(found[1]) != len(drm) or set(found[2]) == set('-8'):
            return False
        self.assertEqual((found[1], found[2]), (''.join(n for n, _ in drm), ''.join(f'-{b}' for _, b in drm)), v4l2)
        return True

    def check_bytes(self, v4l2, drm, said):
        """V4L2 names the bytes in memory; a little-endian word has its lowest bits there first."""
        found = re.fullmatch(r'([A-Z]+)((?:-8)+)', said)
        if not found or len(found[1]) != len(found[2]) // 2:
            return False
        self.assertEqual(no_alpha(found[1]), no_alpha(''.join(n for n, _ in reversed(drm))), v4l2)
        return True

    def test_packed(self):
        for v4l2, name, args in self.rows_of('PACKED'):
            drm = components(self.drm[name])
            said = re.sub(r'^\d+ +', '', self.v4l2.get(v4l2, ''))
            # of two pixels where there are two samples of Y
            per_pixel = 2 if sum(1 for n, _ in drm if n == 'Y') == 2 else 1
            self.assertEqual(sum(b for _, b in drm) // per_pixel, args[0], v4l2)
            if per_pixel == 2:
                self.assertEqual(v4l2, ''.join(n for n, _ in reversed(drm)))
            elif said in ('Greyscale', '8-bit palette'):
                self.assertEqual(drm[-1][0], 'C' if said[0] == '8' else 'R', v4l2)
            elif v4l2 not in UNSAID:
                self.assertTrue(self.check_words(v4l2, drm, said) or self.check_bytes(v4l2, drm, said), (v4l2, said))

    def test_swapped(self):
        for v4l2, name, _ in self.rows_of('SWAPPED'):
            said = re.sub(r'^\d+ +', '', self.v4l2[v4l2])
            self.assertTrue(said.endswith(' BE'), v4l2)
            drm = components(self.drm[name])
            if v4l2 not in ('RGB555X', 'Y16_BE'):
                self.assertEqual(said.split('-')[0], ''.join(n for n, _ in drm), v4l2)

    def check_planes(self, v4l2, name, smaller, order):
        said = self.v4l2[v4l2]
        h, v = smaller
        drm = re.search(r'(\d)x(\d) subsampled|non-subsampled', self.drm[name])
        self.assertEqual((h, v), (int(drm[1]), int(drm[2])) if drm[1] else (1, 1), name)
        ratio = re.search(r'4:?(\d):?(\d)', said)
        wide, high = {'20': (2, 2), '22': (2, 1), '44': (1, 1), '10': (4, 4), '11': (4, 1)}[ratio[1] + ratio[2]]
        self.assertEqual((h, v), (wide, high), v4l2)
        first = 'Cb' if re.search('YUV|CbCr', said) else 'Cr'
        # planar422 with one memory: the comment says YVU422, the documents Cb first, as for 411
        if v4l2 not in ('YUV422P', 'YUV411P'):
            self.assertEqual(order, first, v4l2)

    def test_semi_planar(self):
        for v4l2, name, args in self.rows_of('SEMI', 'SEMI_M'):
            pair = re.search(r'(C[rb]):C[rb]', self.drm[name])[1]
            self.check_planes(v4l2, name, args[-2:], 'Cb' if pair == 'Cr' else 'Cr')

    def test_planar(self):
        for v4l2, name, args in self.rows_of('PLANAR', 'PLANAR_M'):
            self.check_planes(v4l2, name, args[-2:], re.search(r'(C[rb]) \(1\)', self.drm[name])[1])

    def refused(self):
        """{code: reason}, of formats-refused.c; a code is four characters, and True with swapped bytes."""
        source = read('formats-refused.c', os.path.join(ROOT, 'sources/v4l2'))
        table = source.partition('} refused[] = {')[2].partition('\n};')[0]
        found = {}
        for row in re.findall(r'\{ (.*?) \}', table, re.S):
            why, codes, big_endian = (''.join(re.findall(r'"([^"]*)"', part)) for part in
                                      re.findall(r'((?:"[^"]*"\s*)+)(?:,|$)', row))
            for text, swapped in (codes, False), (big_endian, True):
                self.assertEqual(len(text) % 4, 0, why)
                for i in range(0, len(text), 4):
                    self.assertNotIn((text[i:i + 4], swapped), found)
                    found[text[i:i + 4], swapped] = why
        return found

    def offered(self):
        """{V4L2's name: DRM's}, in the order of formats.c."""
        source = read('formats.c', os.path.join(ROOT, 'sources/v4l2'))
        rows = re.findall(r'^        (\w+)\((\w+)(?:, "(.{4})", "(.{4})"|, (\w+))?.*\),$', source, re.M)
        self.assertGreater(len(rows), 90)
        tiles = dict(re.findall(r'TILED_M\((\w+), \w+, (\w+),', source))
        return {v: ('(as it is)' if macro == 'COMPRESSED' else newer or d) + ' with swapped bytes' *
                (macro == 'SWAPPED') + f', modifier {tiles.get(v)}' * (v in tiles)
                for macro, v, _code, newer, d in rows}

    def all_of_v4l2(self):
        """(name, (code, swapped), comment) of every pixel format in videodev2.h."""
        return [(name, (''.join(code), bool(be)), comment) for name, be, *code, comment in
                re.findall(r"#define V4L2_PIX_FMT_(\w+)\s+v4l2_fourcc(_be)?\('(.)', '(.)', '(.)', '(.)'\)"
                           r'\s*(?:/\*\s*(.*?)\s*\*/)?', read('videodev2.h', '/usr/include/linux'))]

    def test_each_is_offered_or_refused(self):
        offered, refused = self.offered(), self.refused()
        undecided = [name for name, code, _ in self.all_of_v4l2() if (name in offered) == (code in refused)]
        if int(re.search(r'LINUX_VERSION_CODE (\d+)', read('version.h', '/usr/include/linux'))[1]) >> 8 <= 0x601:
            self.assertEqual(undecided, [])     # later kernels may have more
        self.assertGreater(len(offered) + len(refused), 200)

    def test_what_is_refused_has_no_name_in_drm(self):
        """No format that is refused has its components where one of DRM has them."""
        words = {''.join(n for n, _ in c) + str([b for _, b in c]): name for name, c in
                 ((name, components(said)) for name, said in self.drm.items() if said.startswith('['))}
        refused, n = self.refused(), 0
        for name, code, comment in self.all_of_v4l2():
            found = re.fullmatch(r'\d+ +([A-Z]+)((?:-\d+)+)', comment or '')
            if code not in refused or not found or len(found[1]) != found[2].count('-'):
                continue
            bits, n = [int(b) for b in found[2].split('-')[1:]], n + 1
            for letters in {found[1], found[1].replace('A', 'X')}:      # of bytes in memory, or of a word
                for order in ((letters[::-1], bits[::-1]) if set(bits) == {8} else (letters, bits),):
                    self.assertNotIn(order[0] + str(order[1]), words, name)
        self.assertGreater(n, 4)

    def test_the_table_for_people(self):
        """docs/formats.md is what the code says. FB_WRITE=1 writes it anew."""
        offered, refused, lines = self.offered(), self.refused(), []
        for name, code, _ in self.all_of_v4l2():
            shown = code[0].rstrip() + '-BE' * code[1]
            if name in offered:
                lines.append(f'| {name} | {shown} | {offered[name]} |')
            elif code in refused:
                lines.append(f'| {name} | {shown} | refused: {refused[code]} |')
        path = os.path.join(ROOT, 'docs/formats.md')
        with open(path, encoding='utf-8') as f:
            head, mark, table = f.read().partition('| --- | --- | --- |\n')
        if os.environ.get('FB_WRITE') == '1':
            with open(path, 'w', encoding='utf-8') as f:
                f.write(head + mark + '\n'.join(lines) + '\n')
        else:       # headers of other kernels have more or fewer
            known = set(table.splitlines())
            self.assertEqual([line for line in lines if line not in known], [])

    def test_names_of_newer_ones(self):
        """Codes that are spelt out are those of the headers, where these have them."""
        source = read('formats.c', os.path.join(ROOT, 'sources/v4l2'))
        header = read('videodev2.h', '/usr/include/linux')
        codes = {found[0]: ''.join(found[1:]) for found in
                 re.findall(r"#define V4L2_PIX_FMT_(\w+)\s+v4l2_fourcc\('(.)', '(.)', '(.)', '(.)'\)", header)}
        for name, code in re.findall(r'NEWER\((\w+), "(.{4})"', source):
            self.assertEqual(codes.get(name, code), code)


if __name__ == '__main__':
    unittest.main()
