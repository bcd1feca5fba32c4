"""Mutation testing: change one thing in the library at a time, and see whether the fast tests notice.

    python tools/mutate.py series averages --every 3
    python tools/mutate.py series --every 3 --write benchmarks/mutants.json

A mutant has one operator, comparison, condition or number changed.  It is killed if a test fails or hangs,
and survives otherwise.  What is left out: messages of errors,
docstrings, names.  Every mutant runs in a fork of a process that has the large packages loaded already, so
that it costs little more than the tests themselves; `--every 3` takes every third.  What is written is the
table on the page of benchmarks; tests/survivors.md says of each survivor why it may live.
"""

import argparse
import ast
import copy
import datetime
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600  # seconds for the tests without any change; a mutant that takes four times as long as they hangs

#: The fast tests of each module, the quickest first.
TESTS = {
    "averages": ["test_averages"],
    "compiled": ["test_compiled", "test_flow"],
    "flow": ["test_flow"],
    "losses": ["test_losses"],
    "machine": ["test_compiled"],
    "modified": ["test_flow", "test_properties", "test_modified"],
    "networks": ["test_networks"],
    "optimizers": ["test_optimizers", "test_sign_optimizers"],
    "orders": ["test_orders"],
    "series": ["test_series"],
    "trees": ["test_trees"],
}

SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.USub: ast.UAdd, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def changes_of(node):
    """(attribute, its new value) for every way to change one node."""
    if (
        isinstance(node, (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.AugAssign))
        and type(node.op) in SWAPPED
    ):
        yield "op", SWAPPED[type(node.op)]()
    if isinstance(node, ast.Compare):
        for k, operator in enumerate(node.ops):
            if type(operator) in SWAPPED:
                yield "ops", [*node.ops[:k], SWAPPED[type(operator)](), *node.ops[k + 1 :]]
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield "test", ast.UnaryOp(ast.Not(), node.test)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "value", node.value + 1
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "value", not node.value


def nodes_of(tree):
    """The nodes that may change, in the order of the source."""
    if isinstance(tree, (ast.Raise, ast.JoinedStr, ast.arguments)):
        return
    yield tree
    for name, value in ast.iter_fields(tree):
        if name in ("decorator_list", "returns", "annotation"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from nodes_of(child)


def number_of_mutants(source):
    return sum(1 for node in nodes_of(ast.parse(source)) for _ in changes_of(node))


def mutants_of(source, every=1):
    """(line, before, after, changed module) of every mutant, or of every so-manieth."""
    tree, count = ast.parse(source), 0
    for k, node in enumerate(nodes_of(tree)):
        for attribute, value in changes_of(node):
            count += 1
            if (count - 1) % every:
                continue
            changed = copy.deepcopy(tree)
            twin = next(n for i, n in enumerate(nodes_of(changed)) if i == k)
            setattr(twin, attribute, value)
            shown = node.test if attribute == "test" else node
            after = twin.test if attribute == "test" else twin
            yield (
                node.lineno,
                ast.unparse(shown),
                ast.unparse(after),
                ast.fix_missing_locations(changed),
            )


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives a module's changed code in the place of its file."""

    def __init__(self, name, path, tree):
        self.name, self.path, self.tree = name, path, tree

    def find_spec(self, name, path, target=None):
        if name == self.name:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)

    def get_source(self, name):
        return ast.unparse(self.tree)


def survives(module, path, tree, limit=LIMIT):
    """Whether all tests pass with this code."""
    child = os.fork()
    if child:
        begun = time.time()
        while time.time() - begun < limit:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    code = 1
    try:
        import pytest
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutants", phases=[Phase.explicit, Phase.generate], database=None, derandomize=True
        )
        settings.load_profile("mutants")
        sys.meta_path.insert(0, Changed(f"bea.{module}", path, tree))
        os.chdir(ROOT)
        files = [f"tests/{name}.py" for name in TESTS[module]]
        quiet = [
            "-x",
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "-W",
            "ignore",
        ]
        code = int(pytest.main([*quiet, *files]) != 0)
    finally:
        os._exit(code)


def write(path, module, found):
    """Put what was found of one module into the file, in the place of what stood there."""
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[module] = found
    new = path.with_suffix(".new")
    new.write_text(
        json.dumps(dict(sorted(results.items())), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    new.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="+", choices=TESTS)
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth mutant")
    parser.add_argument(
        "--write", type=Path, help="the JSON file that keeps the results, module by module"
    )
    given = parser.parse_args()
    # loaded once, before the forks; not bea itself
    import hypothesis  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mpmath  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import scipy.integrate  # noqa: F401
    import sympy  # noqa: F401

    assert "bea" not in sys.modules
    for module in given.modules:
        path = ROOT / "lib" / "bea" / f"{module}.py"
        source = path.read_text(encoding="utf-8")
        begun = time.time()
        if not survives(module, path, ast.parse(source)):
            sys.exit(f"{module}: the tests fail without any change")
        limit = 10 + 4 * (time.time() - begun)
        tried, survivors = 0, []
        for line, before, after, tree in mutants_of(source, given.every):
            tried += 1
            alive = survives(module, path, tree, limit)
            if alive:
                survivors.append(f"{before} -> {after}")
            word = "SURVIVES" if alive else "killed"
            print(f"{word}  {module}.py:{line}: {before}  ->  {after}", flush=True)
        print(f"{module}: {tried - len(survivors)} of {tried} mutants killed", flush=True)
        if given.write:
            found = {
                "date": datetime.date.today().isoformat(), "mutants": number_of_mutants(source),
                "tried": tried, "survivors": survivors,
            }  # fmt: skip
            write(given.write, module, found)


if __name__ == "__main__":
    main()
