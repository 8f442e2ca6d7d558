#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules of the house that a compiler does not know: layers, sizes, headers, words.

    lint.py ROOT [CHECK…]      all checks, or those named; TAP; file:line: message for each finding

Works on a checkout (the files that git knows or would add) and on an unpacked tarball.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

COLUMNS_MAX = 110
COLUMNS_MAX_ELSEWHERE = 120  # Python, shell, and the tables of keys in the interfaces' comments
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

SPDX = 'SPDX-License-Identifier: '
CHECKED_SUFFIXES = ('.c', '.h', '.py', '.sh', '.xml', '.build')

# Who may include what: folder -> prefixes of quoted includes. The longest folder that fits a file counts.
INCLUDES = {
    'base': ('base/',),
    'interfaces': ('interfaces/',),
    'wire': ('base/', 'interfaces/', 'wire/'),
    'broker/stream': ('base/', 'interfaces/', 'wire/', 'broker/stream/'),
    'broker/conduit': ('base/', 'interfaces/', 'wire/', 'broker/conduit/'),
    'broker/publication': ('base/', 'interfaces/', 'wire/', 'broker/publication/'),
    'broker/access': ('base/', 'interfaces/', 'wire/', 'broker/access/'),
    'broker/api': ('base/', 'interfaces/', 'wire/', 'broker/stream/', 'broker/conduit/',
                   'broker/publication/', 'broker/access/', 'broker/api/'),
    'broker': ('base/', 'interfaces/', 'wire/', 'broker/'),
    'libframebus': ('base/', 'interfaces/', 'wire/', 'libframebus/'),
    'sources': ('libframebus/framebus.h', 'base/', 'interfaces/', 'sources/'),
    'tools': ('libframebus/framebus.h', 'base/', 'interfaces/', 'tools/'),
    'gst': ('libframebus/framebus.h', 'base/', 'gst/'),
    'examples': ('framebus.h', 'libframebus/framebus.h', 'examples/'),
    'bench': ('',),
    'tests': ('',),
}

# What folders must not include with <>.
NO_SYSTEM_INCLUDES = {
    'base': 'systemd/',
    'interfaces': 'systemd/',
    'broker/stream': 'systemd/',
}

SEALS_ALLOWED = ('base/memfd.c', 'tests/', 'examples/', 'bench/')

# Written backwards, so that this file passes, too: makers of text, and what such text says of itself.
WORDS = [w[::-1] for w in ('edualc', 'ciporhtna', 'ianepo', 'tpgtahc', 'tolipoc', 'yb-derohtua-oc',
                           'htiw detareneg', 'derahs/..')]
ISSUES = re.compile(r'\b(issue|ticket)s? #?\d+\b', re.I)
# TAP has a directive of this name
UNFINISHED = re.compile(r'(?<!SKIP\|)\b(' + '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'X' * 3)) + r')\b')


class Tree:
    """The files, read once."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(f for f in self.list_files() if os.path.isfile(os.path.join(root, f)))
        self.texts = {}

    def list_files(self):
        if os.path.isdir(os.path.join(self.root, '.git')):
            command = ['git', '-C', self.root, '-c', 'safe.directory=*', 'ls-files', '-z', '--cached',
                       '--others', '--exclude-standard']
            out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            return set(out.decode().split('\0')) - {''}
        found = set()
        for folder, folders, names in os.walk(self.root):
            folders[:] = [d for d in folders if not d.startswith(('.', 'build')) and d != '__pycache__']
            found |= {os.path.relpath(os.path.join(folder, n), self.root) for n in names}
        return found

    def text(self, name):
        if name not in self.texts:
            with open(os.path.join(self.root, name), encoding='utf-8', errors='replace') as f:
                self.texts[name] = f.read()
        return self.texts[name]

    def lines(self, name):
        return enumerate(self.text(name).splitlines(), 1)

    def having(self, *suffixes, under=('',)):
        return [f for f in self.files if f.endswith(suffixes) and f.startswith(tuple(under))]


def strip_comments(text):
    """C without comments; lines stay where they are."""
    def blank(m):
        s = m.group(0)
        return s if s[0] in '"\'' else re.sub(r'[^\n]', ' ', s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def folder_rule(table, name):
    fitting = [d for d in table if name.startswith(d + '/')]
    return max(fitting, key=len) if fitting else None


def check_includes(tree):
    """a layer includes only layers above it"""
    for name in tree.having('.c', '.h'):
        rule, system_rule = folder_rule(INCLUDES, name), folder_rule(NO_SYSTEM_INCLUDES, name)
        if rule is None:
            yield f'{name}:1: this folder is in no layer; add it to INCLUDES in tests/lint/lint.py'
            continue
        code = strip_comments(tree.text(name))
        for n, line in enumerate(code.splitlines(), 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not m:
                continue
            if m.group(1) == '"' and rule == 'examples' and f'examples/{m.group(2)}' in tree.files:
                continue  # examples are copied out of here, with what is beside them
            if m.group(1) == '"' and not m.group(2).startswith(INCLUDES[rule]):
                yield (f'{name}:{n}: {rule}/ must not include "{m.group(2)}"; '
                       f'allowed: {" ".join(INCLUDES[rule])}')
            elif m.group(1) == '<' and system_rule and m.group(2).startswith(NO_SYSTEM_INCLUDES[system_rule]):
                yield f'{name}:{n}: {system_rule}/ must not include <{m.group(2)}>'


def check_seals(tree):
    """seals are the business of base/memfd.c alone"""
    for name in tree.having('.c', '.h'):
        if name.startswith(SEALS_ALLOWED):
            continue
        for n, line in enumerate(strip_comments(tree.text(name)).splitlines(), 1):
            m = re.search(r'\b(F_SEAL_\w+|F_ADD_SEALS|F_GET_SEALS)', line)
            if m:
                yield f'{name}:{n}: {m.group(1)} outside of base/memfd.c'


def check_sizes(tree):
    """files, functions and lines are small"""
    for name in tree.having(*CHECKED_SUFFIXES):
        count = 0
        columns = COLUMNS_MAX if name.endswith(('.c', '.h')) else COLUMNS_MAX_ELSEWHERE
        for n, line in tree.lines(name):
            count = n
            if len(line) > columns:
                yield f'{name}:{n}: {len(line)} columns, at most {columns}'
        if name.endswith('.c') and count > FILE_LINES_MAX:
            yield f'{name}:{count}: {count} lines, at most {FILE_LINES_MAX}: split it'
        if name.endswith(('.c', '.h')):
            yield from function_sizes(name, tree.text(name))


def function_sizes(name, text):
    """Bodies open with a brace at the end of an unindented signature and close with one in column 1."""
    start = signature = None
    for n, line in enumerate(strip_comments(text).splitlines(), 1):
        if start is None:
            if line[:1].strip() and line[0] not in '#{}':
                no_function = '=' in line or line.startswith(('struct', 'enum', 'union', 'typedef'))
                signature = None if no_function else n
            if signature and line.rstrip().endswith('{'):
                start = signature
        elif line.startswith('}'):
            if n - start + 1 > FUNCTION_LINES_MAX:
                yield f'{name}:{start}: a function of {n - start + 1} lines, at most {FUNCTION_LINES_MAX}'
            start = signature = None


def check_white_space(tree):
    """no tabs, no blanks at the ends of lines, one newline at the end"""
    for name in tree.having(*CHECKED_SUFFIXES):
        for n, line in tree.lines(name):
            if '\t' in line:
                yield f'{name}:{n}: a tab'
            if line != line.rstrip():
                yield f'{name}:{n}: blanks at the end of the line'
        if not tree.text(name).endswith('\n') or tree.text(name).endswith('\n\n'):
            yield f'{name}:1: must end with one newline'


def check_licences(tree):
    """every source file says its licence"""
    for name in tree.files:
        head = tree.text(name).splitlines()[:4] if name.endswith(('.c', '.h', '.py', '.sh', '.xml')) \
            or os.access(os.path.join(tree.root, name), os.X_OK) else [SPDX]
        if not any(SPDX in line for line in head):
            yield f'{name}:1: no "{SPDX}…" in the first four lines'


def check_words(tree):
    """nothing unfinished, no paths of the writer's machine, no names of tools"""
    here = os.path.abspath(tree.root)
    for name in tree.files:
        if name == 'LICENSE' or name.endswith(('.png', '.y4m', '.gz', '.bin')):
            continue
        for n, line in tree.lines(name):
            if UNFINISHED.search(line):
                yield f'{name}:{n}: unfinished: {UNFINISHED.search(line).group(1)}'
            if ISSUES.search(line):
                yield f'{name}:{n}: refers to "{ISSUES.search(line).group(0)}", which readers cannot see'
            if len(here) > 4 and here in line:
                yield f'{name}:{n}: names {here}, which is only this machine\'s'
            for word in WORDS:
                if re.search(r'(?<!\w)' + re.escape(word) + r'(?!\w)', line, re.I):
                    yield f'{name}:{n}: says "{word}"'


def pkg_config(*packages):
    flags = []
    for p in packages:
        r = subprocess.run(['pkg-config', '--cflags', p], universal_newlines=True, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
        flags += r.stdout.split() if r.returncode == 0 else []
    return flags


def compile_header(tree, name, command):
    r = subprocess.run(command + ['-'], input=f'#include "{name}"\n', stdout=subprocess.PIPE, cwd=tree.root,
                       stderr=subprocess.STDOUT, universal_newlines=True)
    if r.returncode == 0:
        return None
    message = next((line for line in r.stdout.splitlines() if 'error' in line or 'warning' in line), r.stdout)
    return f'{name}:1: does not compile alone ({" ".join(command[:4])} …): {message}'


def check_headers(tree):
    """each header compiles alone, the public one in strict C99 and in C++"""
    cc = os.environ.get('CC', 'cc').split()
    cxx = os.environ.get('CXX', 'c++').split()
    inside = cc + ['-std=gnu17', '-xc', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE',
                   '-I.', '-D_FILE_OFFSET_BITS=64', '-Wno-unused-parameter', '-Wno-missing-field-initializers',
                   '-Wno-unused-function', '-Wno-unused-const-variable'] + \
        pkg_config('libsystemd', 'libdrm', 'glib-2.0', 'gio-2.0', 'libpng', 'libv4l2')
    elsewhere = 'tests/', 'bench/', 'examples/'
    gstreamer = pkg_config('gstreamer-video-1.0', 'gstreamer-allocators-1.0')
    jobs = [(h, inside) for h in tree.having('.h') if not h.startswith((*elsewhere, 'gst/'))]
    jobs += [(h, inside + gstreamer) for h in tree.having('.h', under=('gst/',)) if gstreamer]
    public = 'libframebus/framebus.h'
    if public in tree.files:
        strict = ['-fsyntax-only', '-Wall', '-Wextra', '-pedantic-errors', '-Werror']
        jobs.append((public, cc + ['-std=c99', '-xc', '-I.'] + strict))
        if shutil.which(cxx[0]):
            jobs.append((public, cxx + ['-std=c++11', '-xc++', '-I.'] + strict))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from filter(None, pool.map(lambda job: compile_header(tree, *job), jobs))
    for name in {h for h, _ in jobs}:
        if '#pragma once' not in tree.text(name) and '#ifndef' not in tree.text(name):
            yield f'{name}:1: may be included only once, but does not see to it'


def parse_xml(text):
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    parser.feed(text)
    return parser.close()


def line_of(tree, name, pattern):
    return next((n for n, line in tree.lines(name) if re.search(pattern, line)), 1)


def check_interfaces(tree):
    """interfaces are well-formed and every member is documented"""
    for name in tree.having('.xml', under=('interfaces/',)):
        try:
            node = parse_xml(tree.text(name))
        except ElementTree.ParseError as e:
            yield f'{name}:{e.position[0]}: {e}'
            continue
        for interface in node.iter('interface'):
            if name != f'interfaces/{interface.get("name")}.xml':
                yield f'{name}:1: defines {interface.get("name")}'
            yield from undocumented_members(tree, name, interface)


def undocumented_members(tree, name, interface):
    comment = None
    for child in interface:
        if child.tag is ElementTree.Comment:
            comment = child.text
            continue
        if child.tag in ('method', 'signal', 'property'):
            n = line_of(tree, name, rf'<{child.tag} name="{child.get("name")}"')
            if comment is None:
                yield f'{name}:{n}: {child.tag} {child.get("name")} has no comment before it'
            elif not comment.strip().startswith(child.get('name') + ':'):
                yield f'{name}:{n}: the comment before it does not begin with "{child.get("name")}:"'
            for i, arg in enumerate(child.iter('arg')):
                if not arg.get('name'):
                    yield f'{name}:{n}: argument {i} of {child.get("name")} has no name'
        comment = None


def definitions(tree, name):
    for n, line in tree.lines(name):
        m = re.match(r'#define\s+(FB_\w+)\s+"([^"]*)"(?:\s*/\*\s*(\S+?)[:,;]?\s)?', line)
        if m:
            yield n, m.group(1), m.group(2), m.group(3)


def signature_of(tree, interface, tag, member):
    node = parse_xml(tree.text(f'interfaces/{interface}.xml'))
    for e in node.iter(tag):
        if e.get('name') == member:
            return ''.join(a.get('type') for a in e.iter('arg'))
    return None


def check_names(tree):
    """what the headers define, the interfaces document"""
    if 'interfaces/names.h' not in tree.files:
        return
    xml = {f: tree.text(f) for f in tree.having('.xml', under=('interfaces/',))}
    documentation = '\n'.join(xml.values())
    for header in ('interfaces/names.h', 'interfaces/wire.h'):
        for n, macro, value, type_ in definitions(tree, header):
            where = f'{header}:{n}: {macro}'
            if macro.startswith(('FB_KEY_', 'FB_META_')):
                if f'"{value}"' not in documentation:
                    yield f'{where}: key "{value}" is documented nowhere in interfaces/*.xml'
                elif type_ and not re.search(rf'"{value}"\s+{re.escape(type_)}(?![\w(])', documentation):
                    yield f'{where}: key "{value}" of type {type_} is not documented with this type'
            elif macro.startswith('FB_ERROR_') and value.startswith('org.framebus.'):
                if not re.search(rf'\b{value.split(".")[-1]}\b', documentation):
                    yield f'{where}: {value} is documented nowhere in interfaces/*.xml'
            elif macro.startswith('FB_IFACE_') and f'interfaces/{value}.xml' not in xml:
                yield f'{where}: there is no interfaces/{value}.xml'
    yield from check_signatures(tree)


def check_signatures(tree):
    values = {macro: (n, value) for n, macro, value, _ in definitions(tree, 'interfaces/names.h')}
    for macro, member in (('FB_SIGNATURE_FRAME', 'Frame'), ('FB_SIGNATURE_FORMAT', 'FormatChanged')):
        if macro not in values:
            continue
        for interface, tag in (('org.framebus.Subscription1', 'signal'),
                               ('org.framebus.Publication1', 'method')):
            found = signature_of(tree, interface, tag, member)
            if found != values[macro][1]:
                n = values[macro][0]
                yield f'interfaces/names.h:{n}: {macro} is not that of {interface}.{member}: {found}'


CHECKS = {
    'includes': check_includes,
    'seals': check_seals,
    'sizes': check_sizes,
    'white-space': check_white_space,
    'licences': check_licences,
    'words': check_words,
    'headers': check_headers,
    'interfaces': check_interfaces,
    'names': check_names,
}


def main(argv):
    if len(argv) < 2:
        sys.exit(__doc__)
    tree = Tree(argv[1])
    names = argv[2:] or list(CHECKS)
    failed = False
    print(f'1..{len(names)}')
    for i, name in enumerate(names, 1):
        findings = list(CHECKS[name](tree))
        for f in findings:
            print(f'# {f}')
        failed |= bool(findings)
        print(f'{"not ok" if findings else "ok"} {i} - {name}: {CHECKS[name].__doc__}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
