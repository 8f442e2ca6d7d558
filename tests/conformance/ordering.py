# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of order share: the programs of ordered/ on a bus with a broker.

What the broker does between the first and the last subscriber takes microseconds. FRAMEBUS_FAULT makes it longer
(stage-delay), or stops it there; without fault points in the build, those tests are skipped, and say so.
"""

import json
import pathlib
import unittest

import fbtest
import programs

# microseconds from one subscriber to the next
DELAYS = 0, 20, 50


def has_fault_points():
    options = json.loads(fbtest.build_path('meson-info/intro-buildoptions.json').read_text())
    return any(o['name'] == 'fault-points' and o['value'] for o in options)


def need_fault_points():
    if not has_fault_points():
        raise unittest.SkipTest('the build has no fault points')


def delays():
    """Those that this build can do."""
    return DELAYS if has_fault_points() else DELAYS[:1]


def is_stopped(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'T'


class Ordered(programs.Program):
    def __init__(self, bus, *args):
        super().__init__('../../conformance/ordered/ordered', *args,
                         env={**bus.env(), 'FRAMEBUS_ADDRESS': bus.address})


class TestCase(programs.TestCase):
    def broker_with(self, fault=None, sources=None):
        """A bus, and a broker with a fault."""
        self.start(sources, env={'FRAMEBUS_FAULT': fault} if fault else None)

    def ordered(self, *args):
        return self.enter(Ordered(self.bus, *args))

    def run_ordered(self, verb, frames, *args):
        """What it says at its end."""
        process = self.ordered(verb, '--frames', frames, *args)
        status = process.wait(60 + frames / 500)
        self.assertEqual(status, 0, process.log())
        result = process.events(verb)[0]
        print(f'     {verb} {" ".join(map(str, args))}: {result}', flush=True)
        return result
