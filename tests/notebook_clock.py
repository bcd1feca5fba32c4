"""A pytest plugin: a notebook that runs longer than its limit fails.

nbval makes one test of every code cell and starts the kernel in the first one's set-up.  The plugin
adds up the time of a notebook's tests as they run, fails the cell during which the sum passes
`--notebook-limit`, and lists all sums at the end.  So no notebook is run twice to be timed.

The limit is meant for a machine of a certain pace (`tools/pace.py`).  Before a notebook fails, the
pace is taken as it is then, by the clock, with all that the machine does besides, and the limit is
stretched accordingly.
"""

import time
from collections import defaultdict

import pytest

from pace import loop, stretched


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
        self.allowed = defaultdict(lambda: limit)
        self.running = defaultdict(float)  # seconds so far, in the process that runs the cells
        self.reported = defaultdict(float)  # the same in the process that writes the summary

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        if item.path.suffix != ".ipynb":
            return
        before = self.running[item.path]
        after = self.running[item.path] = before + call.duration
        report = outcome.get_result()
        # Once is enough: the cells after it need not fail, too.
        if before <= self.allowed[item.path] < after and report.passed:
            start = time.perf_counter()
            loop()
            here = stretched(self.limit, time.perf_counter() - start)
            self.allowed[item.path] = max(here, self.allowed[item.path])
            if after <= self.allowed[item.path]:
                return
            report.outcome = "failed"
            report.longrepr = (
                f"{item.path.name} has run for {after:.1f} s in this cell's {call.when}; "
                f"the limit for the whole notebook is {self.limit:g} s, here {self.allowed[item.path]:.1f} s"
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
