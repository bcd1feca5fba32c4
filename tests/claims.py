"""A pytest plugin: what the claim tests measured, kept in chapters/claims.json for the page "How do
we know?".

A claim test takes the fixture `measured` and says what it found, in words, and what was wanted:

    measured("slope", study.slope, "2 ± 0.1")        a number, kept with three digits
    measured("ratio", ratio, "one half", digits=2)   with as many as every machine reproduces
    measured("slopes", [1.01, 2.03], "1, 2")         several numbers
    measured("exact", 6, "losses")                   nothing measured: an identity, in 6 cases

A claim test that says nothing fails, and so does one whose figures are not those in the file, up to
one unit of the last digit.  `make claims` runs these tests and writes the file again.
"""

import ast
import json
import re
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path

import pytest

NAMES = "test_*_claims.py"
FILE = Path(__file__).resolve().parent.parent / "chapters" / "claims.json"


def pytest_addoption(parser):
    parser.addoption("--claims-file", type=Path, default=FILE, help="where the figures are kept")
    parser.addoption("--write-claims", action="store_true", help="write the figures there")


def pytest_configure(config):
    config.pluginmanager.register(Claims(config))


@pytest.fixture
def measured():
    return Measured()


class Measured:
    """What one test measured: a list of (what, value, wanted), and the values as numbers."""

    def __init__(self):
        self.figures, self.values = [], []

    def __call__(self, what, value, wanted="", digits=3):
        values = list(value) if hasattr(value, "__len__") else [value]
        self.figures.append([what, ", ".join(shown(v, digits) for v in values), wanted])
        self.values.append(values)


def shown(value, digits):
    """A whole number in full, any other with so many significant digits."""
    number = float(value)
    if number == int(value) and not isinstance(value, float):
        return str(int(value))
    return f"{number:#.{digits}g}".replace(".e", "e").rstrip(".")


def agrees(values, text):
    """Whether the values are those of the text, up to one unit of each last digit."""
    kept = [Decimal(part) for part in text.split(", ")]
    units = [Decimal(10) ** number.as_tuple().exponent for number in kept]
    return len(values) == len(kept) and all(
        abs(Decimal(float(value)) - number) <= (unit if isinstance(value, float) else 0)
        for value, number, unit in zip(values, kept, units)
    )


def problems_of(measured, kept):
    """What is wrong with a test's figures, given those in the file (None if it has none)."""
    if measured is None or not measured.figures:
        return ["this claim test says nothing of what it measured; call `measured`"]
    if kept is None:
        return ["this claim is not in the file of figures; run `make claims`"]
    if [figure[::2] for figure in kept] != [figure[::2] for figure in measured.figures]:
        return [f"measured were {measured.figures}, and the file has {kept}; run `make claims`"]
    return [
        f"{what}: measured was {new}, and the file has {old}; run `make claims` if that is right"
        for (what, new, _), values, (_, old, _) in zip(measured.figures, measured.values, kept)
        if not agrees(values, old)
    ]


def claims_in(folder):
    """{file: {test: the first line of its description}} of the claim tests in a folder."""
    return {
        path.name: {
            node.name: (ast.get_docstring(node) or "").split("\n")[0]
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
        for path in sorted(folder.glob(NAMES))
    }


def load(path):
    """{file: {test: {"about": ..., "cases": {case: figures}}}}; nothing if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def text(claims):
    """The file's text: a line for each figure, in the order of the tests."""
    string = r'("(?:[^"\\]|\\.)*")'
    lists = re.compile(rf"\[\s+{string},\s+{string},\s+{string}\s+\]")
    return lists.sub(r"[\1, \2, \3]", json.dumps(claims, ensure_ascii=False, indent=1)) + "\n"


class Claims:
    def __init__(self, config):
        self.path, self.writes = (
            config.getoption("--claims-file"),
            config.getoption("--write-claims"),
        )
        self.kept, self.found = load(self.path), {}
        self.folder = None
        self.collects = not hasattr(config, "workerinput")  # with xdist the workers only measure

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if call.when != "call" or not report.passed or not fnmatch(item.path.name, NAMES):
            return
        measured, case = item.funcargs.get("measured"), case_of(item)
        test = self.kept.get(item.path.name, {}).get(item.originalname, {})
        kept = test.get("cases", {}).get(case)
        if self.writes and measured is not None and measured.figures:
            report.user_properties.append(("measured", (str(item.path), item.originalname, case, measured.figures)))
        elif problems := problems_of(measured, kept):
            report.outcome, report.longrepr = "failed", "\n".join(problems)

    def pytest_runtest_logreport(self, report):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "measured":
                path, test, case, figures = value
                self.folder = Path(path).parent
                tests = self.found.setdefault(Path(path).name, {})
                tests.setdefault(test, {})[case] = figures

    def pytest_sessionfinish(self, exitstatus):
        """Replace what is kept of the files that ran, and drop what is gone."""
        if not (self.writes and self.collects and self.found) or exitstatus:
            return
        claims = {}
        for name, tests in claims_in(self.folder).items():
            if name in self.found:
                found = self.found[name]
                claims[name] = {
                    test: {"about": about, "cases": found[test]} for test, about in tests.items() if test in found
                }
            elif name in self.kept:
                claims[name] = self.kept[name]
        self.path.write_text(text(claims), encoding="utf-8")


def case_of(item):
    return item.callspec.id if hasattr(item, "callspec") else ""
