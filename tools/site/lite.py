"""Build the JupyterLite site: the chapters and the assignments with a Python that runs in the reader's browser.

    python -m tools.site.lite

`make lite` runs this.  It gathers in _build/lite what `jupyter lite build` needs - settings, copies of
the notebooks, and wheels of the library and of what Pyodide lacks - builds there, and moves the result
to _build/html/lite.  The same commit gives the same files.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import nbformat
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[2]
INPUT = ROOT / "_build" / "lite"
OUTPUT = ROOT / "_build" / "html" / "lite"

# Python itself, NumPy, SciPy, matplotlib and scikit-learn come from here when a reader starts a kernel, as bytecode:
# to compile their sources in the browser takes longer than to fetch more.
PYODIDE = "https://cdn.jsdelivr.net/pyodide/v0.27.7/pyc/"
# What the kernel and every chapter need is fetched while Python starts, instead of one after the other later on:
# of Pyodide's packages, and of the wheels that the site holds.
EARLY = "micropip jedi ipython numpy scipy matplotlib".split()
LOCAL = "piplite ipykernel pyodide_kernel widgetsnbextension bea_book".split()
# The kernel would fetch these, too, but can do without; a cell that imports one gets it.
UNUSED = ["ssl", "sqlite3"]
# Python looks for modules in the notebook's folder last: every look there is a request to the page.
START = f"""\
importScripts("{PYODIDE}pyodide.js");
const load = self.loadPyodide, names = {json.dumps(EARLY)}, wheels = WHEELS;
self.loadPyodide = async (options) => {{
  const packages = [...names, ...wheels.map((place) => new URL(place, options.indexURL).href)];
  const pyodide = await load({{ ...options, packages, indexURL: "{PYODIDE}" }});
  const {{ path }} = pyodide.pyimport("sys");
  path.push(path.shift());
  return pyodide;
}};
"""
# What Pyodide lacks, and SymPy, so that formulas print as in the book.  The site holds their wheels.
WHEELS = "comm ipywidgets jupyterlab_widgets latex2mathml mpmath sympy tqdm".split()
# Parts of JupyterLab that the site holds; what else the environment has is left out.
EXTENSIONS = (
    "@jupyterlite/pyodide-kernel-extension",
    "@jupyter-widgets/jupyterlab-manager",
    "jupyterlab-myst",
)

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def pin(package):
    """`package==version`, as in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.search(rf"^{package}==\S+$", text, re.M)[0]


def install_line():
    """What the browser's Python runs first."""
    return f"%pip install -q bea-book {pin('sympy')}"


def last_change():
    """Seconds since 1970 of the last commit; without git, of 1 January 1980.

    The files get this time instead of the build's, and so do not differ from build to build.
    """
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        return subprocess.check_output(command, cwd=ROOT, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "315532800"


def write_settings(folder):
    """The site's settings, and those of its build."""
    kernel = {"pyodideUrl": "./pyodide.js", "loadPyodideOptions": {"packages": [*EARLY, *UNUSED, *LOCAL, *WHEELS]}}
    site = {
        "appName": "Backward Error Analysis of Optimizers",
        # as in `jupyter lab --expose-app-in-browser`: the tests run notebooks through this
        "exposeAppInBrowser": True,
        "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
    }
    extensions = Path(sys.prefix) / "share" / "jupyter" / "labextensions"
    build = {
        "apps": ["lab", "repl"],  # the laboratory's page links to the second
        "contents": ["files"],
        "output_dir": "site",
        "no_sourcemaps": True,
        "ignore_sys_prefix": ["federated_extensions"],
        "federated_extensions": [str(extensions / name) for name in EXTENSIONS],
    }
    # JupyterLite would take these keys from the sliders of explorers, and fold sections instead.
    shortcuts = [
        {
            "command": f"notebook:move-cursor-heading-{direction}",
            "keys": [key],
            "selector": ".jp-Notebook.jp-mod-commandMode:not(.jp-mod-readWrite) :focus",
            "disabled": True,
        }
        for direction, key in [
            ("above-or-collapse", "ArrowLeft"),
            ("below-or-expand", "ArrowRight"),
        ]
    ]
    overrides = {"@jupyterlab/shortcuts-extension:shortcuts": {"shortcuts": shortcuts}}
    # The console has no notebooks, which this part of jupyterlab-myst asks for.
    console = {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {"disabledExtensions": ["jupyterlab-myst:executor"]},
    }
    (folder / "repl").mkdir()
    for name, settings in [
        ("repl/jupyter-lite.json", console),
        ("overrides.json", overrides),
        ("jupyter-lite.json", {"jupyter-lite-schema-version": 0, "jupyter-config-data": site}),
        ("jupyter_lite_config.json", {"LiteBuildConfig": build}),
    ]:
        (folder / name).write_text(json.dumps(settings, indent=2), encoding="utf-8")


def library_wheel(folder):
    """A wheel of the library in `folder`; returns its path."""
    # A copy, because the build leaves traces in the folder where it works.
    source = folder / "library"
    shutil.copytree(ROOT / "lib", source / "lib", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # The ledger reads equations from the book's pages, which a wheel does not have.  Its import takes longer than a page.
    from bea_book.ledger import printed

    extract = source / "lib" / "bea_book" / "ledger" / "printed.json"
    extract.write_text(json.dumps(printed(), indent=1), encoding="utf-8")
    command = [*PIP, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(command, check=True)
    shutil.rmtree(source)
    return max(folder.glob("bea_book-*.whl"), key=lambda path: path.stat().st_mtime)


def without_tests(wheel):
    """Take a package's own tests out of its wheel; of SymPy's files they are nearly half."""
    with ZipFile(wheel) as old:
        kept = {info: old.read(info) for info in old.infolist() if "/tests/" not in info.filename}
    with ZipFile(wheel, "w") as new:
        for info, content in kept.items():
            if info.filename.endswith("/RECORD"):
                content = b"".join(line for line in content.splitlines(keepends=True) if b"/tests/" not in line)
            new.writestr(info, content)


def compile_wheels(folder):
    """Put bytecode into the wheels in a folder."""
    node = shutil.which("node") or Path(sys.executable).with_name("node")
    subprocess.run([node, Path(__file__).with_name("bytecode.mjs"), folder], check=True)


def write_wheels(folder):
    """Wheels in `folder`/pypi, from which `%pip` installs in the browser."""
    library_wheel(folder / "pypi")
    wheels = ["--no-deps", "--wheel-dir", folder / "pypi"]
    subprocess.run([*PIP, "wheel", "--only-binary", ":all:", *wheels, *map(pin, WHEELS)], check=True)
    for wheel in (folder / "pypi").glob("*.whl"):
        without_tests(wheel)
    compile_wheels(folder / "pypi")


def browser_copy(notebook):
    """Change a chapter for the browser: the library is installed first, and no outputs are kept."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            # Its data come from scikit-learn, which only a cell that imports it gets by itself.
            if "logistic_regression" in cell.source:
                cell.source = f"%pip install -q scikit-learn\n{cell.source}"
    install = f"# The browser's Python gets the book's library first.\n{install_line()}"
    notebook.cells.insert(0, new_code_cell(install, id="install"))
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = {
        "name": "python",
        "display_name": "Python (Pyodide)",
        "language": "python",
    }
    return notebook


def write_files(folder):
    """What the reader finds in JupyterLite, in `folder`/files, at the repository's own paths."""
    students = (ROOT / "assignments" / "student").glob("*.ipynb")
    for path in sorted([*(ROOT / "chapters").glob("*.ipynb"), *students]):
        copy = folder / "files" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(browser_copy(nbformat.read(path, 4)), copy)
    # The appendix "How do we know?" shows what the tests measured.
    shutil.copy(ROOT / "chapters" / "claims.json", folder / "files" / "chapters")
    # Chapters 14 and 15 draw from the results of the studies.
    shutil.copytree(ROOT / "experiments" / "results", folder / "files" / "experiments" / "results")


def start(site):
    """The script that starts Python in the browser: START, with the places of the wheels in the site."""
    wheels = {path.name.split("-")[0]: path.relative_to(site).as_posix() for path in sorted(site.rglob("*.whl"))}
    return START.replace("WHEELS", json.dumps([wheels[name] for name in [*LOCAL, *WHEELS]]))


def main():
    os.environ["SOURCE_DATE_EPOCH"] = last_change()
    shutil.rmtree(INPUT, ignore_errors=True)
    INPUT.mkdir(parents=True)
    write_settings(INPUT)
    write_wheels(INPUT)
    write_files(INPUT)
    # Its every step is a line of output; they matter only if it fails.
    command = [sys.executable, "-m", "jupyterlite_core", "build"]
    built = subprocess.run(command, cwd=INPUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode:
        raise SystemExit(f"{built.stdout}\n`jupyter lite build` failed in {INPUT}; its output is above")
    (INPUT / "site" / "pyodide.js").write_text(start(INPUT / "site"), encoding="utf-8")
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    (INPUT / "site").rename(OUTPUT)


if __name__ == "__main__":
    main()
