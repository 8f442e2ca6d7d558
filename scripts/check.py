# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Builds Framebus in several ways, runs the tests of each, and counts.

A round is a build folder below build/check and the suites that are run from it. A test is called
ROUND/SUITE/NAME. What is counted is what a test counts itself: the lines of TAP, those of fbtest.py, else the
program as a whole. Each program is run by meson, which knows how.
"""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 'tests' / 'conformance'))
import conformance  # noqa: E402
CHECK = TOP / 'build' / 'check'
STATE = CHECK / 'passed'

MEMCHECK = ('valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite '
            '--errors-for-leak-kinds=definite --num-callers=20')
RETRIES_MAX = 12


class Round:
    """
    what         for people
    build        the build folder; rounds may share one
    setup        meson's options for it
    choose       (suite, name) -> whether to run this test
    scale        a factor for time limits: those of meson's and those inside the tests. They are meant for an idle
                 machine; one with two processors and other things to do gets more. 0: the test knows.
    env          of setup (CC) and of the tests
    chosen_full  the same as choose for --full
    parallel     how many at once: most of them wait most of the time
    """

    def __init__(self, name, what, build, setup, choose, *, scale, env=None, chosen_full=None, parallel=6):
        self.name, self.what, self.folder, self.setup = name, what, CHECK / build, setup
        self.choose, self.choose_full = choose, chosen_full or choose
        self.scale, self.parallel, self.env = scale, parallel, {'CC': 'gcc', **(env or {})}


def chosen(*patterns):
    """Of SUITE/NAME."""
    return lambda suite, name: any(fnmatch.fnmatchcase(f'{suite}/{name}', p) for p in patterns)


# Where nobody may lose a frame, or where much is counted: they are last, and not so many beside each other.
CALM = chosen('bus/stall-*', 'bus/soak-*', 'bus/demo', 'bench/*')
CALM_PARALLEL = 3

FAULTS = ['-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false', '-Dfault-points=true']

# A build has a round or more. The kinds of bus that are left out in a quick run are tried without sanitizers.
ROUNDS = [
    Round('gcc', 'gcc, all suites', 'gcc', ['-Dbuildtype=debugoptimized'],
          lambda suite, _name: suite != 'camera', scale=3),
    # A virtual machine brings its own factor, as each of its instructions is emulated.
    Round('camera', 'cameras and screens in virtual machines', 'gcc', ['-Dbuildtype=debugoptimized'],
          chosen('camera/*'), scale=0, parallel=2),
    Round('clang', 'clang', 'clang', ['-Dbuildtype=release', '-Db_ndebug=false'],
          chosen('unit/*', 'lint/lint-headers', 'lint/readme', 'bus/main-broker'), scale=3, env={'CC': 'clang'}),
    Round('sanitizers', 'address and undefined-behaviour sanitizers, fault points', 'sanitizers', FAULTS,
          chosen('unit/*', 'bus/*-daemon', 'bus/main-broker', 'bus/flow-broker', 'fault/*',
                 'conformance/row-1[235]-daemon'), scale=5,         # these need fault points
          chosen_full=chosen('unit/*', 'bus/*', 'fault/*', 'conformance/row-1[235]-*'),
          env={'ASAN_OPTIONS': 'detect_stack_use_after_return=1:strict_string_checks=1',
               'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}),
    Round('memcheck', 'valgrind', 'gcc', ['-Dbuildtype=debugoptimized'],
          chosen('bus/main-daemon', 'bus/refusals-daemon', 'bus/channels-daemon'), scale=10,
          chosen_full=chosen('bus/*-daemon', 'bus/*-broker'), env={'FB_WRAP': MEMCHECK}),
]


def say(*words, **options):
    print(*words, **options, flush=True)


# Building

def output_of(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', stdin=subprocess.DEVNULL, **options)


def setup(round_):
    """Makes the build folder if need be. Text that says what went wrong, or None."""
    options = ['-Dwerror=true', *round_.setup]
    stamp = round_.folder / 'options'
    wanted = json.dumps([options, round_.env.get('CC'), str(TOP)])
    if (round_.folder / 'build.ninja').exists() and stamp.exists() and stamp.read_text() == wanted:
        return None
    shutil.rmtree(round_.folder, ignore_errors=True)
    result = output_of(['meson', 'setup', *options, round_.folder, TOP], env={**os.environ, **round_.env})
    if result.returncode != 0:
        shutil.rmtree(round_.folder, ignore_errors=True)
        return result.stdout
    stamp.write_text(wanted)
    return None


def compile_(round_, aside):
    """aside: by what the tests of another round leave of the processors."""
    result = output_of([*['nice', '-n', '19'] * aside, 'ninja', '-C', round_.folder, f'-j{os.cpu_count() or 2}'])
    return None if result.returncode == 0 else result.stdout


def tests_of(round_, full):
    """[(suite, name)] of the round, in the order in which they are to run."""
    # Reconfigures where a meson.build has changed, which introspection would not notice.
    result = output_of(['ninja', '-C', round_.folder, 'build.ninja'])
    if result.returncode != 0:
        raise RuntimeError(result.stdout)
    result = subprocess.run(['meson', 'introspect', '--tests', round_.folder], stdout=subprocess.PIPE, check=True)
    found = []
    for test in json.loads(result.stdout):
        suite = test['suite'][0].split(':')[-1] if test['suite'] else 'other'
        if (round_.choose_full if full else round_.choose)(suite, test['name']):
            found.append((suite, test['name']))
    return sorted(found, key=is_table)      # after the tests by which it is judged


def is_table(test):
    """Rows and twins of tests/conformance name tests of other suites, by which they are judged."""
    return test[0] == 'conformance'


class Builder:
    """
    Builds what the rounds need, in their order, while the tests of those before are run: these wait most of the time.
    A round that comes before its build is done waits for it.
    """

    def __init__(self, full, wanted):
        """wanted: (round, test) -> whether that test is to be run."""
        self.full, self.wanted = full, wanted
        self.executor = concurrent.futures.ThreadPoolExecutor(1)
        self.built = {r.name: self.executor.submit(self._build, r, r is not ROUNDS[0]) for r in ROUNDS}

    def _build(self, round_, aside):
        broken = setup(round_)
        if broken:
            return [], broken
        try:
            tests = [t for t in tests_of(round_, self.full) if self.wanted(round_, t)]
        except RuntimeError as error:
            return [], str(error)
        return tests, compile_(round_, aside) if tests else None

    def wait(self, round_):
        """([(suite, name)] to run, what went wrong or None)"""
        return self.built[round_.name].result()

    def stop(self):
        self.executor.shutdown(cancel_futures=True)


# Running

class Count:
    """What came of one or more tests."""

    def __init__(self, passed=0, failed=0):
        self.passed, self.failed = passed, failed
        self.skipped = []           # (test, reason)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __bool__(self):
        return bool(self.passed or self.failed or self.skipped)


def count_lines(name, text):
    """The single tests that a program tells of, in TAP or as fbtest.py does."""
    count = Count()
    for line in text.splitlines():
        tap = re.match(r'(not )?ok\b(?:\s+\d+)?(?:\s+-)?\s*(.*?)(?:\s*#\s*(SKIP|TODO)\b\s*(.*))?$', line, re.I)
        own = re.match(r'(ok  |FAIL|skip) (\S+) .*\([\d.]+ s\)(?: : (.*))?$', line)
        if own:
            if own.group(1) == 'skip':
                count.skipped.append((f'{name}: {own.group(2)}', own.group(3) or ''))
            elif own.group(1) == 'FAIL':
                count.failed += 1
            else:
                count.passed += 1
        elif tap and (tap.group(3) or '').upper() == 'SKIP':
            count.skipped.append((f'{name}: {tap.group(2)}', tap.group(4)))
        elif tap and tap.group(1):
            count.failed += 1
        elif tap:
            count.passed += 1
    return count


def skip_reason(text):
    found = re.findall(r'SKIP:?\s*(.*)', text)
    return found[-1] if found else 'no reason given'


def count_result(name, entry):
    """A line of meson's testlog.json."""
    text = entry.get('stdout') or ''
    count = count_lines(name, text)
    result = entry['result']
    if result == 'SKIP':
        if not count.skipped:
            count.skipped.append((name, skip_reason(text + '\n' + (entry.get('stderr') or ''))))
    elif result in ('OK', 'EXPECTEDFAIL'):
        if not count:
            count.passed = 1
    elif not count.failed:
        count.failed = 1            # a crash, a time limit, trouble after the last line
    return count


def show_failure(name, entry):
    text = ((entry.get('stdout') or '') + (entry.get('stderr') or '')).rstrip()
    lines = text.splitlines()
    say(f'--- {name}: {entry["result"]}, status {entry.get("returncode")}, {entry.get("duration", 0):.1f} s')
    if len(lines) > 80:
        say(f'[{len(lines) - 80} lines left out]')
    for line in lines[-80:]:
        say('    ' + line)


def run_meson(round_, tests, full, parallel):
    """Runs tests of one round in one go; yields (id, entry of testlog.json)."""
    env = {**os.environ, **round_.env}
    if round_.scale:
        env['FB_TIMEOUT_SCALE'] = str(round_.scale)
    else:
        env.pop('FB_TIMEOUT_SCALE', None)
    env.pop('FB_FULL', None)
    if full:
        env['FB_FULL'] = '1'
    base = f'check-{round_.name}'
    log = round_.folder / 'meson-logs' / f'{base}.json'
    log.unlink(missing_ok=True)
    command = ['meson', 'test', '-C', round_.folder, '--no-rebuild', '--logbase', base,
               '--num-processes', str(parallel),
               '--timeout-multiplier', str((round_.scale or 1) * (40 if full else 1)),
               *sorted({name for _, name in tests})]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors='replace')
    output = []
    try:
        for line in process.stdout:
            output.append(line)
            if re.match(r'\s*\d+/\d+ ', line):
                say(f'{round_.name}: {" ".join(line.split())}')
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()     # meson ends its tests
            process.wait()
    wanted = {name: suite for suite, name in tests}
    entries = []
    if log.exists():
        entries = [json.loads(line) for line in log.read_text().splitlines()]
    if not entries:
        say(''.join(output[-40:]))
    for entry in entries:
        suites, _, name = entry['name'].rpartition(' / ')
        name = name or entry['name']
        suite = suites.split(':')[-1].split('+')[0].strip()
        yield f'{round_.name}/{wanted.get(name, suite)}/{name}', entry


# What --full remembers

def version_of_tree():
    """The commit and what differs from it; None outside of git."""
    def git(*words):
        return subprocess.run(['git', '-C', TOP, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    head = git('rev-parse', 'HEAD')
    if head.returncode != 0:
        return None
    differs = git('diff', 'HEAD').stdout + git('status', '--porcelain', '-uall').stdout
    return head.stdout.decode().strip() + '-' + hashlib.sha256(differs).hexdigest()[:12]


class State:
    """A line for each test that has passed: its count, its skips, and what came of its cases."""

    def __init__(self, restart):
        self.done = {}
        self.version = version_of_tree()
        CHECK.mkdir(parents=True, exist_ok=True)
        lines = STATE.read_text().splitlines() if STATE.exists() and not restart else []
        if lines and self.version and lines[0] == self.version:
            for line in lines[1:]:
                test, passed, skipped, cases = json.loads(line)
                self.done[test] = (passed, skipped, cases)
        else:
            STATE.write_text(f'{self.version}\n')

    def count(self, test):
        count = Count(self.done[test][0])
        count.skipped = [tuple(s) for s in self.done[test][1]]
        return count

    def add(self, test, count, cases):
        with STATE.open('a') as file:
            file.write(json.dumps([test, count.passed, count.skipped, cases]) + '\n')


# The whole

def test_id(round_, test):
    suite, name = test
    return f'{round_.name}/{suite}/{name}'


def wanted_by(patterns, test):
    return not patterns or any(p in test or fnmatch.fnmatchcase(test, p) for p in patterns)


class Run:
    """What one call of ./check does and finds."""

    def __init__(self, full, state, retry):
        self.full, self.state, self.retry = full, state, retry
        self.total = Count()
        self.second_attempts = []
        self.cases = {test: done[2] for test, done in state.done.items()} if state else {}

    def run_batch(self, round_, tests, parallel):
        """{id: (count, entry)}; a test that did not run is not there."""
        # Long counts without sanitizers only: what they find is growth, and the loss of one in very many.
        full = self.full and round_.name in ('gcc', 'camera')
        return {test: (count_result(test, entry), entry)
                for test, entry in run_meson(round_, tests, full, parallel)}

    def finish(self, test, count, entry):
        self.total.add(count)
        self.cases[test] = conformance.outcomes(entry.get('stdout') or '')
        if count.failed:
            show_failure(test, entry)
        elif self.state:
            self.state.add(test, count, self.cases[test])

    def judge(self, round_, test):
        """A row, or all twins, by what ran in this round. False: not all that is named did, so it is to be run."""
        ran = {t.rpartition('/')[2]: cases for t, cases in self.cases.items() if t.startswith(f'{round_.name}/')}
        found = conformance.judge_test(test[1], ran)
        if found is None:
            return False
        name, count = test_id(round_, test), Count()
        for entry, word, notes in found:
            count.passed += word == 'ok'
            count.failed += word == 'FAIL'
            if word == 'skip':
                count.skipped.append((f'{name}: {entry}', '; '.join(notes)))
            say(f'{round_.name}: {test[1]} {entry} {word}' + f' ({"; ".join(notes)})' * (word == 'FAIL'))
        self.total.add(count)
        if self.state and not count.failed:
            self.state.add(name, count, {})
        return True

    def run_tests(self, round_, tests):
        self.run_programs(round_, [t for t in tests if not is_table(t)])
        self.run_programs(round_, [t for t in tests if is_table(t) and not self.judge(round_, t)])

    def run_programs(self, round_, tests):
        results = {}
        for calm, parallel in (False, round_.parallel), (True, min(CALM_PARALLEL, round_.parallel)):
            some = [t for t in tests if CALM(*t) == calm]
            if some:
                results.update(self.run_batch(round_, some, parallel))
        failed = [t for t in tests if results.get(test_id(round_, t), (Count(0, 1),))[0].failed]
        for test in tests:
            name = test_id(round_, test)
            if test not in failed:
                self.finish(name, *results[name])
        # Many tests are about time, and other programs on this machine may have taken it. So each that failed gets
        # the machine to itself, once, and is named at the end. If many failed it is not that.
        retry = self.retry and len(failed) <= RETRIES_MAX
        for test in failed:
            name = test_id(round_, test)
            if retry:
                if name in results:
                    show_failure(f'{name}, first attempt', results[name][1])
                again = self.run_batch(round_, [test], 1)
                if name in again and not again[name][0].failed:
                    self.second_attempts.append(name)
                results.update(again)
            if name in results:
                self.finish(name, *results[name])
            else:
                say(f'--- {name}: did not run')
                self.total.failed += 1

    def run_round(self, round_, builder):
        began = time.monotonic()
        tests, broken = builder.wait(round_)
        if not broken and not tests:
            return
        say(f'== {round_.what}')
        if broken:
            say('\n'.join(broken.splitlines()[-60:]))
            say(f'--- {round_.name}: does not build')
            self.total.failed += 1
            return
        if not self.state:
            self.run_tests(round_, tests)
        else:       # one by one, as meson writes its log at the end
            for test in tests:
                if test_id(round_, test) in self.state.done:
                    self.total.add(self.state.count(test_id(round_, test)))
                else:
                    self.run_tests(round_, [test])
        say(f'== {round_.name}: {(time.monotonic() - began) / 60:.1f} minutes')


def list_tests(patterns, full):
    for round_ in ROUNDS:
        broken = setup(round_)
        if broken:
            say(f'{round_.name}: cannot be configured:\n{broken}')
            return 1
        for suite, name in tests_of(round_, full):
            if wanted_by(patterns, f'{round_.name}/{suite}/{name}'):
                say(f'{round_.name}/{suite}/{name}')
    return 0


def main():
    parser = argparse.ArgumentParser(
        prog='./check', description='Builds Framebus with gcc, clang and sanitizers and runs its tests.',
        epilog='The last line says "N passed, N failed", and ", N skipped" where a test could not be run on this '
               'machine. The status is 0 if nothing failed.')
    parser.add_argument('--full', action='store_true',
                        help='the long counts, which take hours; goes on where it was interrupted')
    parser.add_argument('--restart', action='store_true', help='with --full: from the beginning')
    parser.add_argument('--list', action='store_true', help='print the names of the tests, run none')
    parser.add_argument('--once', action='store_true', help='do not try again what failed')
    parser.add_argument('name', nargs='*', help='run only tests ROUND/SUITE/NAME that contain this or match it')
    args = parser.parse_args()
    if args.list:
        return list_tests(args.name, args.full)

    began = time.monotonic()
    state = State(args.restart) if args.full else None
    if state and state.done:
        say(f'{len(state.done)} tests have passed before at this commit (--restart forgets them)')
    run = Run(args.full, state, not args.once)
    builder = Builder(args.full, lambda round_, test: wanted_by(args.name, test_id(round_, test)))
    try:
        for round_ in ROUNDS:
            run.run_round(round_, builder)
    finally:
        builder.stop()

    total = run.total
    if run.second_attempts:
        say('== passed at the second attempt only')
        say(*run.second_attempts, sep='\n')
    if total.skipped:
        say('== skipped')
        for test, reason in total.skipped:
            say(f'{test}: {reason}')
    say(f'== {(time.monotonic() - began) / 60:.1f} minutes')
    if not total.passed and not total.failed:
        say('nothing was run')
    skipped = f', {len(total.skipped)} skipped' if total.skipped else ''
    say(f'{total.passed} passed, {total.failed} failed{skipped}')
    return 0 if total.passed and not total.failed else 1


def interrupt(*_):
    raise KeyboardInterrupt


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
