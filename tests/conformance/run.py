#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Runs all tests that a table names for some rows or twins, on the kind of bus of FB_BUS, and says in TAP what came of
each entry.

Usage: run.py [NAME...]        row-01, twins (all of them); without: everything
       run.py --list           what there is, and which tests show it
"""

import os
import subprocess
import sys

import conformance

sys.path.insert(0, str(conformance.TESTS / 'harness'))


def command_of(file, cases):
    if not file.endswith('.c'):
        return [sys.executable, str(conformance.TESTS / file), *cases]
    folder, name = os.path.split(file)
    program = conformance.C_FOLDERS[folder][0] + name.removeprefix('test-').removesuffix('.c')
    return [os.path.join(os.environ['FB_BUILD'], 'tests', folder, program)]


def run_file(file, cases):
    """{reference: word}. What the program printed is shown if something was wrong."""
    path = os.pathsep.join([str(conformance.TESTS / f) for f in ('harness', 'bus')] + sys.path[:1])
    try:
        done = subprocess.run(command_of(file, cases), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors='replace', env={**os.environ, 'PYTHONPATH': path}, check=False)
    except FileNotFoundError as error:
        print(f'# {error}: not built', flush=True)
        return {f'{file}:{case}': 'FAIL' for case in cases}
    found = conformance.outcomes(done.stdout)
    missing = 'skip' if done.returncode == 77 else 'FAIL'
    results = {f'{file}:{case}': found.get(case, missing) for case in cases}
    if 'FAIL' in results.values():
        print('\n'.join(f'# {line}' for line in done.stdout.splitlines()), flush=True)
    return results


def chosen(names):
    table = conformance.entries()
    if not names:
        return list(table.values())
    found = []
    for name in names:
        found += list(conformance.load('twins.toml').values()) if name == 'twins' else [table[name]]
    return found


def show(entries):
    for entry in entries:
        print(f'{entry.name}: {entry.text}')
        for reference in entry.tests + entry.also:
            print(f'    {reference}')
        if entry.missing:
            print(f'    not yet: {entry.missing}')


def main(argv):
    if argv[:1] == ['--list']:
        show(chosen(argv[1:]))
        return 0
    entries = chosen(argv)
    print(f'1..{len(entries)}', flush=True)
    results = {}
    for file, cases in conformance.by_file(r for e in entries for r in e.tests).items():
        results.update(run_file(file, list(dict.fromkeys(cases))))
    failed = False
    for i, entry in enumerate(entries, 1):
        word, notes = conformance.judge(entry, results)
        failed |= word == 'FAIL'
        for note in notes:
            print(f'# {note}')
        print('not ' * (word == 'FAIL') + f'ok {i} - {entry.name}' +
              f' # SKIP {"; ".join(notes)}' * (word == 'skip'), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
