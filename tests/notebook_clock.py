"""A pytest plugin: a notebook that takes more processor time than its limit fails.

    python -m pytest chapters --nbval -p tests.notebook_clock --notebook-limit=60 -n 2 --dist loadfile

nbval makes one test of every code cell.  After each cell the plugin reads how much processor time the
notebook's kernel has taken since it started, fails the cell during which the limit is passed, and lists all
times at the end.  Processor time depends little on what else the machine does, so that notebooks can run two
at a time; on a processor that is slower than the one that limits are meant for, the limit grows in proportion.

Of pictures nbval compares those in SVG only; the plugin has it compare none, because the last digits of what is
drawn differ between processors.
"""

from contextlib import suppress

import psutil
import pytest

from tools.notebooks.execute import slowness


def pytest_addoption(parser):
    parser.addoption(
        "--notebook-limit",
        type=float,
        default=60,
        metavar="SECONDS",
        help="most processor time that one notebook may take, kernel start included (default: 60)",
    )


def pytest_configure(config):
    config.pluginmanager.register(NotebookClock(config.getoption("--notebook-limit")))


def pytest_collectstart(collector):
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("image/svg+xml",)


def kernel_seconds(item):
    """Processor time of the kernel that runs a notebook's cells, or None if there is no kernel."""
    kernel = getattr(item.parent, "kernel", None)
    with suppress(AttributeError, psutil.NoSuchProcess):
        return sum(psutil.Process(kernel.km.provisioner.pid).cpu_times()[:4])


class NotebookClock:
    """Holds every notebook to `limit` seconds."""

    def __init__(self, limit):
        self.limit = limit
        self.late = set()
        self.seconds = {}  # of each notebook, in the process that writes the summary

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        seconds = kernel_seconds(item) if item.path.suffix == ".ipynb" else None
        if seconds is None:
            return
        report = outcome.get_result()
        report.user_properties.append(("processor seconds", seconds))
        # One failure is enough: the cells after it need not fail, too.
        if seconds > self.limit and report.passed and item.path not in self.late:
            allowed = self.limit * slowness()
            if seconds > allowed:
                self.late.add(item.path)
                report.outcome = "failed"
                report.longrepr = (
                    f"{item.path.name} has taken {seconds:.1f} s of processor time by this cell's {call.when}; "
                    f"the limit for the whole notebook is {self.limit:g} s, here {allowed:.1f} s"
                )

    def pytest_runtest_logreport(self, report):
        seconds = dict(report.user_properties).get("processor seconds")
        if seconds is not None:
            self.seconds[report.nodeid.partition("::")[0]] = seconds

    def pytest_terminal_summary(self, terminalreporter):
        if self.seconds:
            terminalreporter.section("processor time of the notebooks")
            for name, seconds in sorted(self.seconds.items()):
                terminalreporter.line(f"{seconds:6.1f} s of {self.limit:g} s  {name}")
