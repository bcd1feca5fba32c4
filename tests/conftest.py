"""What all tests share: figures are drawn without a screen, notebooks are timed, claim tests say what
they measured, the browser's tests run only when they are asked for, and doctests need what is installed."""

from importlib.util import find_spec
from pathlib import Path

import matplotlib
import pytest

# Not through the environment: the notebooks' kernels would inherit it and draw nothing inline.
matplotlib.use("agg")

pytest_plugins = ["pytester", "notebook_clock", "claims", "prose", "longest_first"]

# They need Chromium and a built book.
BROWSER = Path(__file__).parent / "browser"


def leaves_out_browser(config):
    """Whether the command line names a folder above the browser's tests, but none of them."""
    here = config.invocation_params.dir
    named = [(here / arg.partition("::")[0]).resolve() for arg in config.args]
    inside = any(path.is_relative_to(BROWSER) for path in named)
    return not inside and any(BROWSER.is_relative_to(path) for path in named)


def pytest_ignore_collect(collection_path, config):
    if collection_path == BROWSER and leaves_out_browser(config):
        return True


def pytest_collection_modifyitems(items):
    """The doctest of sweeps needs what only `make scale` installs."""
    if find_spec("xarray") is None:
        for item in items:
            if isinstance(item, pytest.DoctestItem) and item.name == "bea_book.sweep.sweep":
                item.add_marker(pytest.mark.skip(reason="xarray is not installed (make scale)"))


def pytest_terminal_summary(terminalreporter, config):
    if leaves_out_browser(config):
        names = ", ".join(sorted(path.name for path in BROWSER.glob("test_*.py")))
        terminalreporter.section("left out")
        terminalreporter.line(f"The tests in a browser ({names}): run `make browser-test`.")
