#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Looks whether all tests that are named exist: by rows.toml and twins.toml, and by the manual page framebus-semantics(7).
There each sentence is followed by a comment that says which tests show it, one of

    .\\" shown by: bus/test_flow.py:Loss.test_told_once row-07
    .\\" definition

Usage: check_references.py PAGE [BUILD]     with BUILD also: whether meson runs them
       check_references.py --itself
"""

import json
import pathlib
import re
import sys
import tempfile

import conformance

SKIPPED_SECTIONS = {'NAME', 'SEE ALSO'}


def _is_text(line):
    """Whether a line of roff is part of a sentence: text, or a macro for fonts."""
    return bool(line) and (not line.startswith(('.', "'")) or re.match(r'\.(B|I|BR|BI|IR|IB|RB|RI) ', line))


def _ends(line):
    return re.sub(r'\\f.|["\\]| \)$', '', line).rstrip(' )').endswith(('.', '?', '!'))


def problems_of_page(text, rows):
    """[(line number, what is wrong)] of a manual page in roff, and how many sentences have a reference."""
    problems, section, open_at, wants, shown = [], None, None, None, 0
    for n, line in enumerate(text.splitlines(), 1):
        if line.startswith('.SH '):
            section = line[4:].strip('"')
        comment = re.match(r'\.\\" (shown by|definition)(?::\s*(.*))?$', line)
        if comment:
            if wants is None and not shown:
                problems.append((n, 'a reference without a sentence before it'))
            wants = None
            references = (comment.group(2) or '').split()
            if comment.group(1) == 'shown by':
                shown += 1
                if not references:
                    problems.append((n, 'names no test'))
                problems += [(n, f'{r}: {p}') for r in references if (p := conformance.problem_of(r, rows))]
            continue
        if section in SKIPPED_SECTIONS or section is None:
            continue
        if wants is not None:
            problems.append((wants, 'a sentence without the test that shows it'))
            wants = None
        if _is_text(line):
            open_at = open_at or n
            if _ends(line):
                wants, open_at = n, None
        elif open_at and line.startswith(('.SH', '.SS', '.PP', '.TP')):
            problems.append((open_at, 'a sentence that does not end at the end of a line'))
            open_at = None
    if wants is not None:
        problems.append((wants, 'a sentence without the test that shows it'))
    return problems, shown


def problems_of_tables(known, names):
    """names: of the tests in meson, or None if they are not known."""
    for entry in conformance.entries().values():
        for reference in entry.tests + entry.also:
            problem = conformance.problem_of(reference, known)
            if problem:
                yield f'{entry.name}: {reference}: {problem}'
            elif names is not None:
                name = conformance.meson_name(conformance.split(reference)[0], 'daemon')
                if name not in names and not name.startswith('camera-'):        # some need libraries
                    yield f'{entry.name}: {reference}: meson has no test {name}'


GOOD = """.SH NAME
a \\- b
.SH LOSS
It is told,
.BR exactly .
.\\" shown by: row-07 bus/test_flow.py:Loss.test_told_once
.PP
A word.
.\\" definition
"""
BAD = [
    (GOOD.replace('row-07', 'row-77'), 'no such row'),
    (GOOD.replace('test_told_once', 'test_told_twice'), 'no Loss.test_told_twice'),
    (GOOD.replace('test_flow.py', 'test_ebb.py'), 'no tests/bus/test_ebb.py'),
    (GOOD.replace('.\\" definition\n', ''), 'without the test'),
    (GOOD.replace('A word.', 'A word.\nAnother.'), 'without the test'),
    (GOOD.replace('A word.', 'No end\n.PP\nA word.'), 'does not end'),
    (GOOD.replace(': row-07 bus/test_flow.py:Loss.test_told_once', ':'), 'names no test'),
]


# What programs print, what a row that names a and b is then
JUDGED = [
    ('ok 1 - a\nok 2 - b', 'ok'),
    ('ok 1 - a\nnot ok 2 - b', 'FAIL'),
    ('ok   a (0.1 s) \nFAIL b (0.2 s) \n...', 'FAIL'),
    ('FAIL b [one of its parts] (0.2 s)\nok   b (0.2 s)\nok   a (0.2 s)', 'FAIL'),
    ('ok   a (0.1 s) \nskip b (0.2 s) : needs root', 'ok'),
    ('ok 1 - a # SKIP\nskip b (0.2 s) : needs root', 'skip'),
    ('ok 1 - a', 'FAIL'),
    ('', 'FAIL'),
]


def check_itself():
    """A lint that finds nothing proves nothing."""
    if problems_of_page(GOOD, {'row-07'})[0]:
        return ['finds something where nothing is wrong']
    missed = []
    for text, wanted in BAD:
        found = ' '.join(p for _, p in problems_of_page(text, {'row-07'})[0])
        if wanted not in found:
            missed.append(f'does not find "{wanted}", but: {found}')
    row = conformance.Entry('row-01', {'text': 'x', 'tests': ['a', 'b']})
    for printed, wanted in JUDGED:
        word, _ = conformance.judge(row, conformance.outcomes(printed))
        if word != wanted:
            missed.append(f'says {word}, not {wanted}, of: {printed}')
    with tempfile.NamedTemporaryFile('w', suffix='.toml') as file:
        file.write('[row-01]\ntext = "x"\n')
        file.flush()
        try:
            conformance.load(file.name)
            missed.append('takes a row without tests')
        except ValueError:
            pass
    return missed


def main(argv):
    if argv == ['--itself']:
        problems = check_itself()
        summary = f'{len(BAD) + len(JUDGED) + 1} tries'
    else:
        rows = conformance.rows()
        problems = [f'there is no row-{i:02}' for i in range(1, 26) if f'row-{i:02}' not in rows]
        names = None
        if argv[1:]:
            tests = json.loads(pathlib.Path(argv[1], 'meson-info/intro-tests.json').read_text(encoding='utf-8'))
            names = {t['name'] for t in tests}
        problems += problems_of_tables(rows, names)
        page = pathlib.Path(argv[0])
        found, shown = problems_of_page(page.read_text(encoding='utf-8'), rows)
        problems += [f'{page.name}:{n}: {text}' for n, text in found]
        summary = f'{len(conformance.entries())} rows and twins, {shown} sentences'
    print('\n'.join(problems))
    print(f'{summary}, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
