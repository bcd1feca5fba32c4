"""The book: a cold build, a warm one, one chapter, and what its pages weigh.

The cold build executes every notebook and takes many minutes, so this section is measured only if it is asked for by name.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measure import facts

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = "chapters/11_regimes.ipynb"


def command(*words, folder):
    """(processor time, wall time) of a command and of all that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, time.perf_counter() - began


def measure(rounds):
    """In a clone of what is committed, so that nobody's build is touched; the environment is the one that runs this."""
    folder = ROOT / "_build" / "bench" / "book"
    shutil.rmtree(folder, ignore_errors=True)
    command("git", "clone", "--quiet", ROOT, folder, folder=ROOT)
    # The book's own limit for a cell is wall time, which on a busy machine says nothing.
    settings = folder / "_config.yml"
    settings.write_text(settings.read_text("utf-8").replace("timeout: 60", "timeout: 1800"), "utf-8")
    modules = Path("tools") / "site" / "web" / "node_modules"
    os.symlink(ROOT / modules, folder / modules)
    builder = [Path(sys.prefix) / "bin" / "jupyter-book", "build", ".", "-n", "--keep-going"]
    rows = []
    for what, words in (
        ("cold build, all notebooks executed", [*builder, "--all"]),
        ("warm build, nothing changed", builder),
        (f"one chapter executed, {CHAPTER}", [sys.executable, "-m", "tools.notebooks.execute", "--limit", 1800, CHAPTER]),
    ):  # fmt: skip
        processor, wall = command(*words, folder=folder)
        rows += [(f"{what}: processor time", processor, "s"), (f"{what}: wall time", wall, "s")]
    html = folder / "_build" / "html"
    pages = [page.stat().st_size for page in html.rglob("*.html") if "lite" not in page.parts]
    rows += [("pages", len(pages), ""), ("the heaviest page", max(pages) / 1e6, "MB"), ("the median page", sorted(pages)[len(pages) // 2] / 1e6, "MB"),
             ("the whole site", sum(f.stat().st_size for f in html.rglob("*") if f.is_file()) / 1e6, "MB")]  # fmt: skip
    shutil.rmtree(folder)
    note = "The environment is there already.  Wall time includes waiting for others who use the machine."
    return facts("Building the book", rows, note=note)


ROWS = {"build": measure}
