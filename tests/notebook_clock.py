"""A pytest plugin: a notebook that runs longer than its limit fails.

nbval makes one test of every code cell and starts the kernel in the first one's set-up.  The plugin
adds up the time of a notebook's tests as they run, fails the cell during which the sum passes
`--notebook-limit`, and lists all sums at the end.  So no notebook is run twice to be timed.

The limit is meant for a machine of a certain pace (`tools/pace.py`).  So the pace is taken every few
seconds while a notebook runs, by the clock, with all that the machine does besides, and the limit is
stretched by the mean.
"""

import time
from collections import defaultdict
from statistics import mean

import pytest

from pace import loop, stretched

EVERY = 8  # seconds of a notebook between two looks at the pace


def pytest_addoption(parser):
    parser.addoption(
        "--notebook-limit",
        type=float,
        default=60,
        metavar="SECONDS",
        help="longest time that one notebook may run, kernel start included (default: 60)",
    )


def pytest_configure(config):
    config.pluginmanager.register(NotebookClock(config.getoption("--notebook-limit")))


class NotebookClock:
    def __init__(self, limit):
        self.limit = limit
        self.paces = defaultdict(list)  # seconds that the loop took while the notebook ran
        self.late = set()
        self.running = defaultdict(float)  # seconds so far, in the process that runs the cells
        self.reported = defaultdict(float)  # the same in the process that writes the summary

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        if item.path.suffix != ".ipynb":
            return
        self.running[item.path] += call.duration
        after = self.running[item.path]
        report = outcome.get_result()
        paces = self.paces[item.path]
        if after >= EVERY * (len(paces) + 1):
            start = time.perf_counter()
            loop()
            paces.append(time.perf_counter() - start)
        allowed = mean(stretched(self.limit, pace) for pace in paces) if paces else self.limit
        # Once is enough: the cells after it need not fail, too.
        if after > allowed and report.passed and item.path not in self.late:
            self.late.add(item.path)
            report.outcome = "failed"
            report.longrepr = (
                f"{item.path.name} has run for {after:.1f} s in this cell's {call.when}; "
                f"the limit for the whole notebook is {self.limit:g} s, here {allowed:.1f} s"
            )

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("::")[0]
        if name.endswith(".ipynb"):
            self.reported[name] += report.duration

    def pytest_terminal_summary(self, terminalreporter):
        if self.reported:
            terminalreporter.section("notebooks' run times")
            for name, seconds in sorted(self.reported.items()):
                terminalreporter.line(f"{seconds:6.1f} s of {self.limit:g} s  {name}")
