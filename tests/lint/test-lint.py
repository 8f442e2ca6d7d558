#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lint that finds nothing proves nothing: each rule is broken once, in a small tree, and must be found."""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402

LICENCE = '/* SPDX-License-Identifier: LGPL-2.1-or-later */\n'

XML = '''<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<node>
  <interface name="org.framebus.Source1">
    <!-- Name: what it is called; "rate" (uu) -->
    <property name="Name" type="s" access="read"/>
  </interface>
</node>
'''

GOOD = {
    'base/a.h': LICENCE + '#pragma once\n\nint a(void); /* F_SEAL_WRITE is only talked about */\n',
    'base/memfd.c': LICENCE + 'int x = F_SEAL_WRITE;\n',
    'wire/a.c': LICENCE + '#include "base/a.h"\n#include "wire/b.h"\n',
    'wire/b.h': LICENCE + '#pragma once\n\n#include "base/a.h"\n',
    'broker/stream/a.c': LICENCE + '#include "wire/b.h"\n#include <stdio.h>\n',
    'broker/api/a.c': LICENCE + '#include "broker/stream/b.h"\n#include <systemd/sd-bus.h>\n',
    'examples/a.c': LICENCE + '#include "b.h"\n#include "framebus.h"\n',
    'examples/b.h': LICENCE + '#pragma once\n',
    'tests/a.c': LICENCE + '#include "broker/stream/b.h"\nint x = F_SEAL_WRITE;\n',
    'interfaces/names.h': LICENCE + '#pragma once\n\n#define FB_IFACE_SOURCE "org.framebus.Source1"\n',
    'interfaces/wire.h': LICENCE + '#pragma once\n\n#define FB_KEY_RATE "rate" /* (uu) */\n',
    'interfaces/org.framebus.Source1.xml': XML,
}

# what is wrong: the check that has to see it, the file, its content, and what the message says
BAD = [
    ('includes', 'wire/c.c', '#include "broker/stream/b.h"\n', ':2: wire/ must not include'),
    ('includes', 'base/c.c', '#include "wire/b.h"\n', ':2: base/ must not include'),
    ('includes', 'base/c.c', '#include <systemd/sd-bus.h>\n', ':2: base/ must not include <'),
    ('includes', 'broker/stream/c.c', '#include "broker/conduit/b.h"\n', 'broker/stream/ must not'),
    ('includes', 'broker/conduit/c.c', '#include "broker/stream/b.h"\n', 'broker/conduit/ must not'),
    ('includes', 'broker/publication/c.c', '#include "broker/access/b.h"\n', 'broker/publication/ must not'),
    ('includes', 'broker/access/c.c', '#include "broker/api/b.h"\n', 'broker/access/ must not'),
    ('includes', 'broker/api/c.c', '#include "broker/broker.h"\n', 'broker/api/ must not'),
    ('includes', 'broker/stream/c.c', '#  include <systemd/sd-event.h>\n', 'must not include <systemd/'),
    ('includes', 'libframebus/c.c', '#include "broker/api/b.h"\n', 'libframebus/ must not'),
    ('includes', 'sources/c.c', '#include "wire/b.h"\n', 'sources/ must not'),
    ('includes', 'tools/c.c', '#include "libframebus/connection.h"\n', 'tools/ must not'),
    ('includes', 'examples/c.c', '#include "base/a.h"\n', 'examples/ must not'),
    ('includes', 'elsewhere/c.c', '', 'in no layer'),
    ('seals', 'wire/c.c', 'int x =\n        F_SEAL_GROW;\n', ':3: F_SEAL_GROW'),
    ('seals', 'broker/c.c', 'int x = F_ADD_SEALS;\n', ':2: F_ADD_SEALS'),
    ('sizes', 'wire/c.c', 'int ' + 'x' * 120 + ';\n', ':2: 125 columns'),
    ('sizes', 'wire/c.c', 'int x;\n' * 500, '501 lines'),
    ('sizes', 'wire/c.c', '\nstatic int f(int a,\n             int b) {\n' + '        a++;\n' * 58 + '}\n',
     ':3: a function of 61 lines'),
    ('white-space', 'wire/c.c', '\tint x;\n', ':2: a tab'),
    ('white-space', 'wire/c.c', 'int x; \n', ':2: blanks'),
    ('white-space', 'wire/c.c', 'int x;', 'one newline'),
    ('licences', 'wire/c.py', 'x = 1\n', ':1: no "SPDX'),
    ('words', 'wire/c.c', '/* TO' + 'DO: later */\n', ':2: unfinished'),
    ('words', 'wire/c.c', '/* see iss' + 'ue #17 */\n', ':2: refers to'),
    ('words', 'README.md', '# By ChatG' + 'PT\n', 'says "chatg'),
    ('headers', 'wire/c.h', '#pragma once\nsize_t x;\n', 'does not compile alone'),
    ('headers', 'wire/c.h', 'int x(void);\n', 'included only once'),
    ('headers', 'libframebus/framebus.h', '#pragma once\ntypedef enum { A, } E; // C99 does not end here\n'
     'static inline int f(void) { return ({ 1; }); }\n', 'does not compile alone'),
    ('headers', 'libframebus/framebus.h', '#pragma once\nint class;\n', '-std=c++11'),
    ('interfaces', 'interfaces/org.framebus.Source1.xml', XML.replace('</node>', ''), 'no element'),
    ('interfaces', 'interfaces/org.framebus.Source1.xml', XML.replace('<!-- Name', '<!-- Nam'),
     'does not begin'),
    ('interfaces', 'interfaces/org.framebus.Source1.xml',
     XML.replace('  </interface>', '    <method name="Foo"/>\n  </interface>'),
     ':6: method Foo has no comment'),
    ('interfaces', 'interfaces/org.framebus.Other1.xml', XML, 'defines org.framebus.Source1'),
    ('names', 'interfaces/wire.h', '#define FB_KEY_DROP "drop" /* s */\n', '"drop" is documented nowhere'),
    ('names', 'interfaces/wire.h', '#define FB_KEY_RATE "rate" /* u */\n', 'with this type'),
    ('names', 'interfaces/names.h', '#define FB_IFACE_X "org.framebus.X1"\n', 'there is no interfaces/'),
    ('names', 'interfaces/names.h', '#define FB_ERROR_X "org.framebus.Error.X"\n', 'documented nowhere'),
]


def findings(files, check):
    with tempfile.TemporaryDirectory() as root:
        for name, content in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='utf-8') as f:
                f.write(content)
        return list(lint.CHECKS[check](lint.Tree(root)))


def main():
    failed = 0
    print(f'1..{len(lint.CHECKS) + len(BAD)}')
    n = 0
    for check in lint.CHECKS:
        n += 1
        found = findings(GOOD, check)
        failed += bool(found)
        print(*(f'# {f}' for f in found), f'{"not ok" if found else "ok"} {n} - {check}: nothing wrong',
              sep='\n')
    for check, name, content, message in BAD:
        n += 1
        content = content if name.endswith(('.xml', '.py', '.md')) else LICENCE + content
        found = findings({**GOOD, name: content}, check)
        ok = any(f.startswith(name + ':') and message in f for f in found)
        failed += not ok
        print(*(f'# {f}' for f in found if not ok), f'{"ok" if ok else "not ok"} {n} - {check}: {message}',
              sep='\n')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
