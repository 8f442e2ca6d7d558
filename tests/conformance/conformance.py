# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The tables of this folder, and the tests that they name.

rows.toml has the 25 rows of the kdbus-era suite, twins.toml the tests of kdbus and bus1 that carry over. Each says what
has to hold and which tests show it. Such a reference is FILE:CASE, with the file as below tests/:

    bus/test_flow.py:Loss.test_told_once        unit/test-import.c:too_short

The manual page framebus-semantics(7) uses the same references, and row-NN for all of a row. A row passes if at least
one of its tests did and none failed. What a table names is run by run.py, or judged by what ran anyway (./check).
"""

import ast
import pathlib
import re
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent

# Folder: what comes before the name of a C test's program, and of its test in meson
C_FOLDERS = {'unit': ('test-', ''), 'unit/lib': ('test-lib-', 'lib-'), 'unit/worker': ('test-', '')}
# Those that need a virtual machine are one test whatever the bus; which one, each file says in camera/meson.build.
CAMERA = {'camera/test_camera.py': 'camera-chain', 'camera/test_dmabuf.py': 'camera-dmabuf',
          'camera/test_faults.py': 'camera-faults', 'camera/test_formats.py': 'camera-formats',
          'camera/test_lending.py': 'camera-lending'}


class Entry:
    """
    A row or a twin.

    name      row-07, or a name for the twin
    text      what has to hold
    tests     references
    also      references that show more of it, but are not run for it: they need a virtual machine
    missing   why there is no test yet, else None
    """

    def __init__(self, name, table):
        self.name, self.text = name, table['text']
        self.tests, self.also = table.get('tests', []), table.get('also', [])
        self.missing = table.get('missing')
        if not self.tests and not self.missing:
            raise ValueError(f'{name} has neither tests nor a reason')


def load(name):
    """{name: Entry} of rows.toml or twins.toml."""
    with open(HERE / name, 'rb') as file:
        return {key: Entry(key, table) for key, table in tomllib.load(file).items()}


def rows():
    return load('rows.toml')


def entries():
    return {**rows(), **load('twins.toml')}


# References

def _python_cases(path):
    """Class.method of a file, with what classes inherit from others in it."""
    classes = {c.name: c for c in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
               if isinstance(c, ast.ClassDef)}

    def methods(c):
        own = {m.name for m in ast.walk(c) if isinstance(m, ast.FunctionDef)}
        return own.union(*(methods(classes[b.id]) for b in c.bases if isinstance(b, ast.Name) and b.id in classes))
    return {f'{name}.{m}' for name, c in classes.items() for m in methods(c) if m.startswith('test')}


def cases_of(path):
    if path.suffix == '.py':
        return _python_cases(path)
    return set(re.findall(r'^TEST\((\w+)\)', path.read_text(encoding='utf-8'), re.M))


def problem_of(reference, known_rows=()):
    """What is wrong with a reference, or None."""
    if re.fullmatch(r'row-\d\d', reference):
        return None if reference in known_rows else 'there is no such row'
    file, _, case = reference.partition(':')
    path = TESTS / file
    if not case:
        return 'not FILE:CASE'
    if not path.exists():
        return f'there is no tests/{file}'
    if case not in cases_of(path):
        return f'there is no {case} in tests/{file}'
    return None


def split(reference):
    file, _, case = reference.partition(':')
    return file, case


def meson_name(file, kind):
    """The test in meson that runs a file on a kind of bus."""
    path = pathlib.PurePosixPath(file)
    if file in CAMERA:
        return CAMERA[file]
    if path.suffix == '.c':
        return C_FOLDERS[str(path.parent)][1] + path.stem.removeprefix('test-')
    return path.stem.removeprefix('test_').replace('_', '-') + '-' + kind


def by_file(references):
    """{file: [case]}, in their order."""
    found = {}
    for reference in references:
        file, case = split(reference)
        found.setdefault(file, []).append(case)
    return found


# Results

def outcomes(text):
    """{case: ok, FAIL or skip} of what a test program printed: TAP, or lines of fbtest.py."""
    found = {}
    for line in text.splitlines():
        tap = re.match(r'(not )?ok\b\s+\d+\s+-\s+(\S+)(.*# SKIP)?', line)
        own = re.match(r'(ok  |FAIL|skip) (\S+) .*\([\d.]+ s\)', line)
        if tap:
            case, word = tap.group(2), 'FAIL' if tap.group(1) else 'skip' if tap.group(3) else 'ok'
        elif own:
            case, word = own.group(2), own.group(1).strip()
        else:
            continue
        if found.get(case) != 'FAIL' and not (word == 'skip' and found.get(case) == 'ok'):
            found[case] = word
    return found


def judge_test(name, ran):
    """
    [(entry, word, which of its tests were not ok)] of a test of this suite, row-07-broker or twins-broker, by what
    other tests have printed: {name in meson: {case: word}}. None if not all that it names ran.
    """
    table, kind = re.fullmatch(r'(row-\d\d|twins)-(.+)', name).groups()
    found = []
    for entry in [rows()[table]] if table != 'twins' else load('twins.toml').values():
        results = {}
        for reference in entry.tests:
            file, case = split(reference)
            word = ran.get(meson_name(file, kind), {}).get(case)
            if word is None:
                return None
            results[reference] = word
        found.append((entry.name, *judge(entry, results)))
    return found


def judge(entry, results):
    """
    (ok, FAIL or skip, which of its tests were not ok) of an entry. results: {reference: word}; what is not there has
    failed.
    """
    if entry.missing and not entry.tests:
        return 'skip', [entry.missing]
    words = {r: results.get(r, 'FAIL') for r in entry.tests}
    word = 'FAIL' if 'FAIL' in words.values() else 'ok' if 'ok' in words.values() else 'skip'
    return word, [f'{r}: {w}' for r, w in words.items() if w != 'ok']
