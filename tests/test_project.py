"""What must agree between the files of the project."""

import ast
import inspect
import re
import subprocess
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bea
import pace

ROOT = Path(__file__).resolve().parent.parent


REQUIREMENTS = sorted(path.name for path in ROOT.glob("requirements*.txt"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project_files():
    """Every file of the project as git sees it, new ones included, ignored ones not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        ROOT / name for name in sorted(set(names.split("\0"))) if name and (ROOT / name).is_file()
    ]


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


def test_binder_has_the_books_versions():
    constraints, binder = pins_of("constraints.txt"), pins_of("binder/requirements.txt")
    assert binder == {package: constraints.get(package) for package in binder}
    needed = tomllib.loads(read("pyproject.toml"))["project"]["dependencies"]
    assert {canonicalize_name(Requirement(line).name) for line in needed} <= set(binder)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_constraints_hold_every_pin(name):
    pins, constraints = pins_of(name), pins_of("constraints.txt")
    assert pins
    assert {k: constraints.get(k) for k in pins} == pins


def test_constraints_are_names_and_versions_only():
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+", line)] == []


def test_requirements_are_all_pinned():
    for name in [*REQUIREMENTS, "binder/requirements.txt"]:
        lines = [
            line for line in read(name).splitlines() if line and not line.startswith(("#", "-"))
        ]
        assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!]+", line)] == [], name


def test_pins_are_within_the_librarys_bounds():
    pins = pins_of("requirements.txt")
    for line in tomllib.loads(read("pyproject.toml"))["project"]["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line


def test_extras_are_installed_within_their_bounds():
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    files = {"fast": "requirements.txt", "scale": "requirements-scale.txt"}
    assert set(extras) == set(files)
    for name, lines in extras.items():
        pins = pins_of(files[name])
        for requirement in map(Requirement, lines):
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), (
                name,
                requirement,
            )


def test_one_version():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), re.M)[1] == version


# --- the book ----------------------------------------------------------------------------------


def pages_of_toc():
    def walk(node):
        if isinstance(node, list):
            return [page for item in node for page in walk(item)]
        if isinstance(node, dict):
            own = [node[key] for key in ("root", "file") if key in node]
            return own + [
                page for value in node.values() if isinstance(value, list) for page in walk(value)
            ]
        return []

    return walk(yaml.safe_load(read("_toc.yml")))


def test_toc_and_chapters_agree():
    pages = pages_of_toc()
    assert len(pages) == len(set(pages))
    written = [path for path in (ROOT / "chapters").rglob("*") if path.suffix in (".ipynb", ".md")]
    written = [
        path
        for path in written
        if not any(part.startswith(".") for part in path.parts[len(ROOT.parts) :])
    ]
    assert sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in written) == sorted(
        pages
    )


def test_run_times_are_of_these_chapters():
    page = read("chapters/run_times.md")
    rows = re.findall(r"^\| \[.*\]\((\w+)\.ipynb\) \| ([\d.]+) \| (\d+) \|$", page, re.M)
    assert sorted(name for name, _, _ in rows) == sorted(
        p.stem for p in (ROOT / "chapters").glob("*.ipynb")
    )
    assert all(float(seconds) <= float(limit) for _, seconds, limit in rows)


def test_named_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    assert {"book", "test"} <= targets
    for name in ("README.md", "CONTRIBUTING.md", ".ci/run", ".github/workflows/pages.yml"):
        named = set(re.findall(r"(?:^\s*(?:- run: )?|`)make ([a-z-]+)", read(name), re.M))
        assert named, name
        assert named <= targets, name


def test_ci_runs_what_the_readme_says():
    commands = re.findall(r"^make .*$", read(".ci/run"), re.M)
    assert commands == [
        "make system",
        "make peers",
        "make scale",
        "make test",
        "make assignments",
        "make site EXECUTE=no",
        "make browser-test EXECUTE=no",
    ]


def python_blocks(name):
    return re.findall(r"^```python\n(.*?)^```$", read(name), re.M | re.S)


def test_readmes_first_look():
    (code,) = python_blocks("README.md")
    names = {}
    exec(code, names)
    assert names["study"].slope == pytest.approx(2, abs=0.1)


def test_contributing_quotes_the_library():
    def without_docstring(source):
        (function,) = ast.parse(source).body
        if ast.get_docstring(function) is not None:
            del function.body[0]
        return ast.dump(function)

    (quoted,) = python_blocks("CONTRIBUTING.md")
    assert without_docstring(quoted) == without_docstring(inspect.getsource(bea.heavy_ball))


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

# A module may import from its own row and from the rows before it.
LAYERS = [
    {"series", "averages", "losses", "trees"},
    {"networks", "optimizers"},
    {"modified"},
    {"machine"},
    {"compiled"},
    {"flow"},
    {"orders"},
    {"sweep"},
    {"plot"},
    {"svg"},
    {"explore"},
    {"equations", "ledger"},
]
LAYER = {name: k for k, names in enumerate(LAYERS) for name in names}


def imports_of(source, depth=0):
    """The modules of bea that a source imports, anywhere in it; `depth` packages below bea it stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            parts = [name.name.split(".") for name in node.names]
            found |= {".".join(p[1:2]) or "bea" for p in parts if p[0] == "bea"}
        if isinstance(node, ast.ImportFrom) and (node.level > depth or not node.level):
            module = node.module or ""
            if node.level:
                module = f"bea.{module}".rstrip(".")
            if module == "bea":
                found |= {name.name for name in node.names}
            elif module.startswith("bea."):
                found.add(module.split(".")[1])
    return found


def imports_of_library():
    """{module: modules it imports}; a package below bea counts as one module."""
    graph = {}
    folder = ROOT / "lib" / "bea"
    for path in folder.rglob("*.py"):
        place = path.relative_to(folder)
        name = place.parts[0].removesuffix(".py")
        if name != "__init__":
            graph.setdefault(name, set()).update(
                imports_of(path.read_text(encoding="utf-8"), len(place.parts) - 1)
            )
    return {name: imported - {name} for name, imported in graph.items()}


def problems_of_imports(graph):
    """What is wrong in {module: modules it imports}."""
    problems = [
        f"{name} has no layer: give it one in LAYERS" for name in graph if name not in LAYER
    ]
    for name, imported in graph.items():
        for other in sorted(imported):
            if other not in LAYER:
                problems.append(f"{name} imports {other}, which is no module of a layer")
            elif LAYER[other] > LAYER.get(name, len(LAYERS)):
                problems.append(f"{name} imports {other}, which stands above it")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        problems.append(f"imports run in a circle: {' -> '.join(error.args[1])}")
    return problems


def test_imports_run_one_way():
    graph = imports_of_library()
    assert graph
    assert problems_of_imports(graph) == []


@pytest.mark.parametrize(
    "graph",
    [
        {"optimizers": imports_of("from bea.flow import run")},
        {"optimizers": imports_of("from . import flow")},
        {"optimizers": imports_of("def f():\n    import bea.flow")},
        {"modified": imports_of("import bea")},
        {
            "series": imports_of("from .losses import Loss"),
            "losses": imports_of("from bea import series"),
        },
        {"something_new": set()},
    ],
)
def test_wrong_imports_are_caught(graph):
    assert problems_of_imports(graph)


def test_limits_are_stretched_and_never_shortened():
    assert pace.stretched(60, pace.REFERENCE) == 60
    assert pace.stretched(60, 2.5 * pace.REFERENCE) == 150
    assert pace.stretched(60, pace.REFERENCE / 2) == 60
