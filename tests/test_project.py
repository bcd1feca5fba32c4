"""What must agree between the files of the project."""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bea
from longest_first import LONGEST

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project_files():
    """Every file of the project as git sees it, new ones included, ignored ones not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in sorted(set(names.split("\0"))) if name and (ROOT / name).is_file()]


def lines_of(path):
    """(number, line) of a text file; encoded pictures in notebooks are no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [(k, line) for k, line in enumerate(text.splitlines(), 1) if '"image/' not in line]


def places_of(pattern, files):
    """`file:line` of every match of the regular expression."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in lines_of(path)
        if re.search(pattern, line)
    ]


def pins_of(name):
    """{package: version} of the lines `package==version`."""
    pairs = re.findall(r"^([\w.-]+)==(\S+)$", read(name), re.M)
    return {canonicalize_name(package): version for package, version in pairs}


# --- versions ----------------------------------------------------------------------------------


def needs(lines):
    """The requirements among the lines that name other packages than this one."""
    found = [Requirement(line) for line in lines]
    return [need for need in found if need.name != PROJECT["name"]]


def problems_of_pins(pins, lines):
    """Requirements that the pins {package: version} do not fulfil."""
    return [
        f"{need} against {pins.get(canonicalize_name(need.name))}"
        for need in needs(lines)
        if not need.specifier.contains(pins.get(canonicalize_name(need.name), "0"))
    ]


def test_the_engine_needs_three_packages():
    assert {need.name for need in needs(PROJECT["dependencies"])} == {"numpy", "scipy", "sympy"}


def test_requirements_are_the_extras_of_everyday_work():
    wanted = PROJECT["dependencies"] + [line for extra in ("fast", "book", "site", "dev") for line in EXTRAS[extra]]
    pins = pins_of("requirements.txt")
    assert {canonicalize_name(need.name) for need in needs(wanted)} == set(pins)
    assert problems_of_pins(pins, wanted) == []
    assert read("requirements.txt").rstrip().endswith("\n-e .")


@pytest.mark.parametrize("extra", EXTRAS)
def test_constraints_hold_every_extra(extra):
    assert problems_of_pins(pins_of("constraints.txt"), EXTRAS[extra]) == []


def test_constraints_hold_every_pin():
    pins, constraints = pins_of("requirements.txt"), pins_of("constraints.txt")
    assert {k: constraints.get(k) for k in pins} == pins


def test_binder_has_the_books_versions():
    constraints, binder = pins_of("constraints.txt"), pins_of("binder/requirements.txt")
    assert binder == {package: constraints.get(package) for package in binder}
    wanted = needs(PROJECT["dependencies"] + EXTRAS["book"])
    assert {canonicalize_name(need.name) for need in wanted} <= set(binder)


def test_unfulfilled_requirements_are_caught():
    pins = {"numpy": "2.4.6"}
    assert problems_of_pins(pins, ["numpy>=2.0"]) == []
    assert problems_of_pins(pins, ["numpy>=3"]) and problems_of_pins(pins, ["scipy>=1.0"])


@pytest.mark.parametrize("name", ["requirements.txt", "binder/requirements.txt", "constraints.txt"])
def test_versions_are_exact(name):
    lines = [line for line in read(name).splitlines() if line and not line.startswith(("#", "-"))]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+", line)] == []


def test_one_version():
    version = PROJECT["version"]
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert re.search(r"^## .*?(\d\S*\d)", read("CHANGELOG.md"), re.M)[1] == version
    assert bea.__version__ == version


def test_import_is_cheap():
    """`import bea` loads neither the book's packages nor a compiler."""
    heavy = "matplotlib sklearn ipywidgets numba jax torch xarray bea_book"
    code = f"import sys, bea; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_packages_load_where_there_are_no_processes():
    """Python in a browser has none."""
    code = "import sys; sys.modules['_multiprocessing'] = None; import bea, bea_book, bea_course"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the book ----------------------------------------------------------------------------------


def pages_of_toc():
    def walk(node):
        if isinstance(node, list):
            return [page for item in node for page in walk(item)]
        if isinstance(node, dict):
            own = [node[key] for key in ("root", "file") if key in node]
            return own + [page for value in node.values() if isinstance(value, list) for page in walk(value)]
        return []

    return walk(yaml.safe_load(read("_toc.yml")))


def test_toc_and_chapters_agree():
    pages = pages_of_toc()
    assert len(pages) == len(set(pages))
    written = [path for path in (ROOT / "chapters").rglob("*") if path.suffix in (".ipynb", ".md")]
    written = [path for path in written if not any(part.startswith(".") for part in path.parts[len(ROOT.parts) :])]
    assert sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in written) == sorted(pages)


def test_run_times_are_of_these_chapters():
    rows = re.findall(r"^\| \[.*\]\((\w+)\.ipynb\) \| ([\d.]+) \|$", read("chapters/run_times.md"), re.M)
    written = [p.stem for p in (ROOT / "chapters").glob("*.ipynb")]
    assert sorted(name for name, _ in rows) == sorted(written)
    assert all(float(seconds) > 0 for _, seconds in rows)


# --- what is said about the commands -----------------------------------------------------------

TARGETS = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/pages.yml"])
def test_named_commands_exist(name):
    named = re.findall(r"(?:^\s*(?:- run: |step |beside \w+ )?|`)make ([a-z-]+)", read(name), re.M)
    assert named
    assert set(named) <= TARGETS


def lost_files(text):
    """Paths in code marks that lead nowhere."""
    path = r"`((?:lib|tools|tests|benchmarks|chapters|assignments|binder)/[\w./-]+\.\w+)`"
    return [name for name in re.findall(path, text) if "NN" not in name and not (ROOT / name).exists()]


def test_files_named_in_prose_exist():
    """In the pages for contributors and in the chapters."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "assignments/README.md")]
    pages += [p for p in (ROOT / "chapters").iterdir() if p.suffix in (".md", ".ipynb")]
    assert [(page.name, name) for page in pages for name in lost_files(page.read_text(encoding="utf-8"))] == []


def test_a_lost_file_is_caught():
    text = "`tests/test_project.py`, `tests/test_chNN_claims.py` and `tests/test_nothing.py`"
    assert lost_files(text) == ["tests/test_nothing.py"]


def test_ci_does_everything_once():
    commands = re.findall(r"\bmake ([a-z-]+(?: EXTRAS=\S+)?)", read(".ci/run"))
    assert {"lint", "test", "assignments", "book"} <= set(commands)
    assert len(commands) == len(set(commands))


STEPS = [re.match(r"(?:[a-z_]+ )*(make \w+|git \w+)", line.strip()) for line in read(".ci/run").splitlines()]
STEPS = sorted({found[1] for found in STEPS if found})


@pytest.mark.parametrize("failing", [*STEPS, "nothing"])
def test_ci_fails_if_one_of_its_commands_does(failing, tmp_path):
    """Those that run beside others, too; and what a failing one printed is in the log."""
    assert {"make types", "make test", "make book", "git diff"} <= set(STEPS)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    for name in ("make", "git"):
        text = f'#!/bin/sh\necho "said by {name} $1"\ntest "{name} $1" != "{failing}"\n'
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", tmp_path / ".ci" / "run"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if failing == "nothing":
        assert done.returncode == 0 and "everything took" in done.stdout, done.stdout
        assert [step for step in STEPS if f"=== {step}" not in done.stdout] == ["make system"]
    else:
        assert done.returncode != 0 and "everything took" not in done.stdout, done.stdout
        assert f"said by {failing}" in done.stdout


def test_quick_tests_are_there():
    """`make quick` names its files."""
    names = re.search(r"^QUICK\s*:= ((?:.*\\\n)*.*)$", read("Makefile"), re.M)[1]
    files = re.findall(r"tests/\w+\.py", names)
    assert files and [name for name in files if not (ROOT / name).exists()] == []


def test_longest_files_are_there():
    """And every chapter is among them."""
    chapters = {path.stem for path in (ROOT / "chapters").glob("[0-9]*.ipynb")}
    assert chapters <= set(LONGEST) <= chapters | {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    assert len(LONGEST) == len(set(LONGEST))


def python_blocks(name):
    found = re.findall(r"^( *)```python\n(.*?)^\1```$", read(name), re.M | re.S)
    return [textwrap.dedent(code) for _, code in found]


def test_readmes_first_look():
    names = {}
    for code in python_blocks("README.md"):
        exec(code, names)
    assert names["study"].slope == pytest.approx(2, abs=0.1)
    assert names["own"].slope == pytest.approx(2, abs=0.1)


def test_contributings_optimizer_works():
    names = {}
    for code in python_blocks("CONTRIBUTING.md"):
        exec(code, names)
    assert names["study"].slope == pytest.approx(2, abs=0.1)


# --- what may stand nowhere --------------------------------------------------------------------


def test_import_path_is_left_alone():
    # Installation makes `import bea` work everywhere.
    assert places_of(r"\bsys\.path\b", project_files()) == []


def test_no_paths_of_one_machine():
    assert places_of(r"(?<![\w.<>/-])/(?:home|root|work|Users)/\w", project_files()) == []


def test_public_address_has_one_place():
    address = yaml.safe_load(read("_config.yml"))["repository"]["url"].split("//")[-1]
    assert places_of(re.escape(address.split("/", 1)[1]), [ROOT / "_config.yml"])
    elsewhere = [path for path in project_files() if path.name != "_config.yml"]
    assert places_of(re.escape(address.split("/", 1)[1]), elsewhere) == []


# --- the library -------------------------------------------------------------------------------

# A package may import from those before it, and from no other.
PACKAGES = ["bea", "bea_book", "bea_course"]


def imports_of(source, package):
    """The modules of this project that a source imports, anywhere in it, as `package.module`.

    `package` is where the source stands, with dots.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join([*parts, *filter(None, [node.module])])
            found |= {f"{module}.{name.name}" for name in node.names} | {module}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def module_names():
    """{name with dots: path} of every module in lib/."""
    paths = [p for package in PACKAGES for p in (ROOT / "lib" / package).rglob("*.py")]
    names = [p.relative_to(ROOT / "lib").with_suffix("").parts for p in paths]
    return {".".join(n).removesuffix(".__init__"): path for n, path in zip(names, paths)}


def import_graph():
    """{module: modules of this project that it imports}; what an __init__ only passes on is left out."""
    modules, graph = module_names(), {}
    for name, path in modules.items():
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        imported = imports_of(path.read_text(encoding="utf-8"), package) & set(modules)
        # `from bea.x import y` runs bea/__init__, which is no reason to call it a circle.
        graph[name] = {other for other in imported if other != name and not name.startswith(f"{other}.")}
    return graph


def problems_of_imports(graph):
    """What is wrong in {module: modules it imports}."""
    rank = {name: PACKAGES.index(name.split(".")[0]) for name in graph}
    problems = [
        f"{name} imports {other}, a package above its own"
        for name, imported in graph.items()
        for other in sorted(imported)
        if PACKAGES.index(other.split(".")[0]) > rank[name]
    ]
    within = {name: imported - set(PACKAGES) for name, imported in graph.items()}
    try:
        TopologicalSorter(within).prepare()
    except CycleError as error:
        problems.append(f"imports run in a circle: {' -> '.join(error.args[1])}")
    return problems


def test_imports_run_one_way():
    graph = import_graph()
    assert set(PACKAGES) <= set(graph)
    assert problems_of_imports(graph) == []


@pytest.mark.parametrize(
    "graph",
    [
        {"bea.optimizers": imports_of("from bea_book.plot import figure", "bea")},
        {"bea.optimizers": imports_of("def f():\n    import bea_book", "bea")},
        {"bea_book.plot": imports_of("import bea_course.compare", "bea_book")},
        {
            "bea.series": imports_of("from .losses import Loss", "bea") - {"bea.losses.Loss"},
            "bea.losses": imports_of("from bea import series", "bea"),
        },
    ],
)
def test_wrong_imports_are_caught(graph):
    assert problems_of_imports(graph)


def test_no_package_passes_on_anothers_names():
    for package in PACKAGES:
        source = (ROOT / "lib" / package / "__init__.py").read_text(encoding="utf-8")
        others = {name.split(".")[0] for name in imports_of(source, package)} - {package}
        assert others == set(), package
