"""Run notebooks, two at a time, and write their outputs in place, the same bytes for the same results.

    python -m tools.notebooks.execute [--limit SECONDS] [--times] chapters/01_gradient_descent.ipynb ...
    python -m tools.notebooks.execute --cache _build/.jupyter_cache chapters/01_gradient_descent.ipynb ...
    python -m tools.notebooks.execute --check chapters/01_gradient_descent.ipynb ...

Editors and kernels write cell names, versions and times into a notebook that mean nothing to its
reader; `normalize` removes or fixes those, so that a diff shows what changed.
With --times the page chapters/run_times.md is also written; with --cache the outputs go to a new cache, from
which Jupyter Book takes them, which by itself runs one notebook after another; with --check nothing is run,
and notebooks that are not in this form are named.
"""

import argparse
import datetime
import hashlib
import os
import platform
import resource
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.cache.main import CacheBundleIn
from nbclient import NotebookClient

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
PAGE = Path(__file__).resolve().parents[2] / "chapters" / "run_times.md"
PATIENCE = 600  # seconds of wall time for one cell; slower than this is a hang
LOOP = 4_000_000
REFERENCE = 0.26  # seconds that the loop takes on the processor that limits are meant for

TEXT = """\
---
myst:
  html_meta:
    description: How long every chapter takes to run from its first cell to its last.
---
# Run times

Every chapter is executed from its first cell to its last whenever the book is tested, and the tests fail if one takes more than {limit:.0f} seconds of processor time, the start of Python included.
On a processor that runs plain Python more slowly than the one for which this limit was set, the limit grows in proportion.

The times below are seconds of processor time, measured on {date} with Python {python} on a machine with {cores} processor cores ({machine}, {system}), two chapters at a time, with one thread for linear algebra.
On that machine a fixed loop of plain Python took {slowness:.2f} times as long as on the processor for which the limit was set.
`make execute TIMES=yes` measures them again and rewrites this page.

| chapter | seconds |
|---|---:|
{rows}
| **all** | **{total:.1f}** |
"""


def slowness():
    """How many times as long as on the reference processor a fixed loop takes here; at least 1."""
    seconds = []
    for _ in range(3):
        start, total = time.process_time(), 0
        for i in range(LOOP):
            total += i * i
        seconds.append(time.process_time() - start)
    return max(1.0, statistics.median(seconds) / REFERENCE)


def processor_seconds():
    """Seconds of processor time that this process's ended children have taken."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def execute(path):
    """Run the notebook at `path` in its own folder; return it with the seconds of processor time it took.

    The seconds include the kernel's start, and hardly depend on what else the machine does.
    A cell that fails or hangs raises.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=PATIENCE,
        kernel_name=KERNELSPEC["name"],
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
    )
    start = processor_seconds()
    client.execute()  # ends the kernel, whose seconds count only then
    return notebook, processor_seconds() - start


def normalize(notebook):
    """Fix in place what depends on the machine, the moment or the editor, and return the notebook."""
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    notebook.metadata.pop("jupytext", None)
    # a widget is nothing without its kernel; an explorer's page and picture stay
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    seen = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        for key in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(key, None)
        # An id that follows from the text stays the same until the cell itself is edited.
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return notebook


def write(notebook, path):
    """Write what has changed, through a neighbour file: an interrupted run leaves the old notebook whole."""
    text = nbformat.writes(notebook) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    neighbour = path.with_name(f".{path.name}.new")
    neighbour.write_text(text, encoding="utf-8")
    os.replace(neighbour, path)


def problems_of_form(path):
    """What is wrong with a notebook's file, as sentences."""
    text = path.read_text(encoding="utf-8")
    try:
        notebook = normalize(nbformat.reads(text, as_version=nbformat.NO_CONVERT))
    except Exception as error:  # JSON's, nbformat's and jsonschema's own
        return [f"{path} is no valid notebook: {str(error).splitlines()[0]}"]
    if nbformat.writes(notebook) + "\n" != text:
        return [f"{path} is not as `make execute` writes it: run `make execute CHAPTERS={path}`"]
    return []


def title_of(notebook):
    """The notebook's first heading."""
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    raise SystemExit("a notebook has no title: its first heading must start with '# '")


def page_of_times(times, limit):
    """The text of the page of run times; `times` lists (file name without its ending, title, seconds)."""
    return TEXT.format(
        rows="\n".join(f"| [{title}]({name}.ipynb) | {s:.1f} |" for name, title, s in times),
        total=sum(seconds for _, _, seconds in times),
        limit=limit,
        date=datetime.date.today().isoformat(),
        python=platform.python_version(),
        cores=os.cpu_count(),
        machine=platform.machine(),
        system=platform.system(),
        slowness=slowness(),
    )


def run(path, limit):
    """Execute one notebook; return it with its seconds."""
    notebook, seconds = execute(path)
    if seconds > limit and seconds > limit * slowness():
        raise RuntimeError(f"{path} took {seconds:.0f} s of processor time; the limit is {limit:g} s")
    print(f"{seconds:6.1f} s  {path}", flush=True)
    return notebook, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--limit", type=float, default=60, help="seconds of processor time")
    parser.add_argument("--times", action="store_true", help="write chapters/run_times.md")
    parser.add_argument("--cache", type=Path, help="the folder of a new cache, for the outputs")
    parser.add_argument("--check", action="store_true", help="run nothing, look at the form")
    given = parser.parse_args()
    if given.check:
        raise SystemExit("\n".join(p for path in given.notebooks for p in problems_of_form(path)) or 0)
    if given.cache:
        shutil.rmtree(given.cache, ignore_errors=True)
    cache = get_cache(given.cache) if given.cache else None
    times, paths = [], sorted(given.notebooks)
    # A process runs one notebook and no other, so that the time of its children is the notebook's.
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        # The longest first would save little; in their order the output is easy to follow.
        for path, (notebook, seconds) in zip(paths, pool.map(run, paths, [given.limit] * len(paths))):
            times.append((path.stem, title_of(notebook), seconds))
            if cache:
                cache.cache_notebook_bundle(CacheBundleIn(notebook, str(path.resolve())), check_validity=False)
            else:
                write(normalize(notebook), path)
    if given.times:
        PAGE.write_text(page_of_times(times, given.limit), encoding="utf-8")


if __name__ == "__main__":
    main()
