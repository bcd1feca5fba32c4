"""Run notebooks and write their outputs in place, the same bytes for the same results.

    python tools/execute.py [--limit SECONDS] chapters/01_gradient_descent.ipynb ...

Editors and kernels write cell names, versions and times into a notebook that mean nothing to its
reader; `normalize` removes or fixes those, so that a diff shows what changed.
"""

import argparse
import hashlib
import os
import resource
from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def execute(path, limit):
    """Run the notebook at `path` in its own folder; return it with the seconds of processor time it took.

    The seconds include the kernel's start, and hardly depend on what else the machine does.
    A cell that fails or runs longer than `limit` seconds raises.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=round(limit),  # it takes whole seconds only
        kernel_name=KERNELSPEC["name"],
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
    )
    start = processor_seconds()
    client.execute()  # ends the kernel, whose seconds count only then
    return notebook, processor_seconds() - start


def processor_seconds():
    """Seconds of processor time that this process's ended children have taken."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
    """Write through a neighbour file, so that an interrupted run leaves the old notebook whole."""
    neighbour = path.with_name(f".{path.name}.new")
    neighbour.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(neighbour, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds, for a cell and for the whole"
    )
    arguments = parser.parse_args()
    for path in arguments.notebooks:
        print(f"{path} ...", end=" ", flush=True)
        notebook, seconds = execute(path, arguments.limit)
        if seconds > arguments.limit:
            raise SystemExit(f"took {seconds:.0f} s; the limit is {arguments.limit:.0f} s")
        write(normalize(notebook), path)
        print(f"{seconds:.1f} s")


if __name__ == "__main__":
    main()
