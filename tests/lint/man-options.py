#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Compares the manual pages with the programs: every option of --help has a heading in the page and the other
way round, and so has every verb, each of which must also have a --help of its own; and groff finds nothing
to warn about.

Usage: man-options.py FOLDER PROGRAM...
"""

import pathlib
import re
import shutil
import subprocess
import sys


def help_of(program, *words):
    run = subprocess.run([program, *words, '--help'], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise ValueError(f'{" ".join(words)} --help ends with status {run.returncode}: {run.stderr.strip()}')
    return run.stdout


def options_of(text):
    """What --help lists, at the beginnings of lines: "  -r, --rate=N", "  --loop"."""
    return set(re.findall(r'^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)', text, re.M))


def verbs_of(text):
    """The first words of the lines below "Verbs:"."""
    section = re.search(r'^Verbs:\n((?:  \S.*\n)+)', text, re.M)
    return [line.split()[0] for line in section.group(1).splitlines()] if section else []


def headings_of(page, section=None):
    """Tags of .TP paragraphs (of one section), without fonts: what is explained, rather than mentioned."""
    if section:
        page = re.search(rf'^\.SH {section}\n(.*?)(?=^\.SH |\Z)', page + '\n', re.M | re.S)
        page = page.group(1) if page else ''
    lines = page.splitlines()
    return [re.sub(r'\\f.', '', lines[i + 1]).replace('\\-', '-')
            for i, line in enumerate(lines[:-1]) if line.startswith(('.TP', '.TQ'))]


def problems_of(program, folder):
    name = pathlib.Path(program).name
    pages = [p for p in (folder / f'{name}.{section}' for section in (1, 8)) if p.exists()]
    if not pages:
        yield f'there is no {name}.1 or {name}.8'
        return
    page = pages[0].read_text(encoding='utf-8')
    text = help_of(program)
    headings = headings_of(page)
    explained = set(re.findall(r'(--[a-z][a-z0-9-]*)', '\n'.join(headings)))
    known = options_of(text)
    if not known:
        yield '--help lists no options'

    for verb in verbs_of(text):
        if not any(re.match(rf'\.BI? "?{verb}\b', h) for h in headings_of(page, 'VERBS')):
            yield f'{pages[0].name} does not explain the verb {verb}'
        known |= options_of(help_of(program, verb))
    for option in sorted(known - explained):
        yield f'{pages[0].name} does not explain {option}'
    for option in sorted(explained - known):
        yield f'{pages[0].name} explains {option}, which --help does not know'


def warnings_of(page):
    run = subprocess.run(['groff', '-t', '-man', '-Tutf8', '-Kutf8', '-ww', str(page)],
                         capture_output=True, text=True, timeout=60)
    for line in run.stderr.splitlines():
        if 'cannot adjust' not in line and "can't break" not in line:
            yield f'{page.name}: {line}'


def main():
    folder, programs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    problems = []
    for program in programs:
        try:
            problems += problems_of(program, folder)
        except ValueError as error:
            problems.append(f'{pathlib.Path(program).name} {error}')
    if shutil.which('groff'):
        for page in sorted(folder.glob('*.[1578]')):
            problems += warnings_of(page)
    for problem in problems:
        print(problem)
    print(f'{len(programs)} programs, {len(problems)} problems')
    sys.exit(1 if problems or not programs else 0)


if __name__ == '__main__':
    main()
