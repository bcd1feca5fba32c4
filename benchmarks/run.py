"""Measure the library beside its peers, and write what came out: `make bench`.

    PYTHONPATH=tests:benchmarks python benchmarks/run.py [--rounds 3] [section ...]

Sections: fields, runs, networks, flows (all of them if none is named), and book, which takes much longer and must be named.  Each is a
process of its own.  A section that is not measured keeps what the last run found, and its date, in benchmarks/results.json.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from page import RESULTS, ROOT, SECTIONS
from page import main as write_page

#: What every measurement runs with.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip
PACKAGES = {
    "fields": ("numpy", "sympy", "BSeries", "kauri"), "runs": ("numpy", "llvmlite", "jax", "optax", "torch", "autograd"),
    "networks": ("numpy", "jax", "optax", "torch"), "flows": ("numpy", "scipy"), "book": ("jupyter-book", "sphinx"),
}  # fmt: skip


def processor():
    """The processor's model, with nothing that names the machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def where(section):
    found = []
    for package in PACKAGES[section]:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            pass
    return (f"{datetime.date.today().isoformat()}, {processor()}, {os.cpu_count()} cores, {platform.system()}, "
            f"Python {platform.python_version()}, {', '.join(found)}.")  # fmt: skip


def measured(section, rounds):
    """The section's results, from this process."""
    results, missing = importlib.import_module(section).measure(rounds)
    return {"where": where(section), "missing": missing, "results": results}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", help="what to measure; all but the book if nothing is named")
    parser.add_argument("--rounds", type=int, default=3, help="how often each rival runs; the median counts")
    parser.add_argument(
        "--write",
        type=Path,
        help="measure one section in this process and write it there (used by this script itself)",
    )
    arguments = parser.parse_args()
    if arguments.write:
        [section] = arguments.sections
        arguments.write.write_text(json.dumps(measured(section, arguments.rounds), indent=1) + "\n", encoding="utf-8")
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for section in arguments.sections or [name for name in SECTIONS if name != "book"]:
        print(f"{section} ...", flush=True)
        part = ROOT / "_build" / "bench" / f"{section}.json"
        part.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, section, "--rounds", str(arguments.rounds), "--write", str(part)],
                       env={**os.environ, **ONE_THREAD}, check=True)  # fmt: skip
        results[section] = json.loads(part.read_text(encoding="utf-8"))
    results = {name: results[name] for name in SECTIONS if name in results}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_page()


if __name__ == "__main__":
    main()
