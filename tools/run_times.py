"""Run every notebook once and write the page chapters/run_times.md.

python tools/run_times.py [--limit SECONDS] chapters/*.ipynb
"""

import argparse
import datetime
import os
import platform
from pathlib import Path

from execute import execute
from pace import loop, stretched

PAGE = Path(__file__).resolve().parent.parent / "chapters" / "run_times.md"

TEXT = """\
---
myst:
  html_meta:
    description: How long every chapter takes to run from its first cell to its last.
---
# Run times

Every chapter is executed from its first cell to its last whenever the book is tested, and the tests fail if one takes longer than {limit:.0f} seconds, kernel start included.
On a machine that runs plain Python more slowly than the one that limits are meant for (`tools/pace.py`), the limit is stretched in proportion, as in the last column.
The times below are seconds of processor time, measured on {date} with Python {python} on a machine with {cores} processor cores ({machine}, {system}), one chapter after the other, with one thread for linear algebra.
`make run-times` measures them again and rewrites this page.

| chapter | seconds | limit |
|---|---:|---:|
{rows}
| **all** | **{total:.1f}** | |
"""


def title_of(notebook):
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if cell.cell_type == "markdown" and line.startswith("# "):
                return line[2:].strip()
    raise SystemExit("a notebook has no title: its first heading must start with '# '")


def page(times, limit, here, date):
    """The page's text; `times` lists (file name without its ending, title, seconds), and `here` is the
    limit on this machine."""
    return TEXT.format(
        rows="\n".join(
            f"| [{title}]({name}.ipynb) | {s:.1f} | {here:.0f} |" for name, title, s in times
        ),
        total=sum(seconds for _, _, seconds in times),
        limit=limit,
        date=date,
        python=platform.python_version(),
        cores=os.cpu_count(),
        machine=platform.machine(),
        system=platform.system(),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--limit", type=float, default=60)
    arguments = parser.parse_args()
    here = stretched(arguments.limit, loop())
    times = []
    for path in sorted(arguments.notebooks):
        print(f"{path} ...", end=" ", flush=True)
        notebook, seconds = execute(path, here)
        times.append((path.stem, title_of(notebook), seconds))
        print(f"{seconds:.1f} s")
    PAGE.write_text(
        page(times, arguments.limit, here, datetime.date.today().isoformat()), encoding="utf-8"
    )
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
