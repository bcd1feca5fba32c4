"""Measure the library beside its peers, and write what came out: `make bench`.

    PYTHONPATH=tests:benchmarks python benchmarks/run.py [--rounds 3] [--again] [section or section/row ...]

Sections: fields, runs, networks, flows; all of them if nothing is named.  Each row is a process of its own, and is written to
benchmarks/results.json as soon as it is there.  A row that was measured with the present library and benchmarks is not measured
again without --again: after an interrupt the same command goes on.
"""

import argparse
import datetime
import hashlib
import importlib
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from page import RESULTS, ROOT, SECTIONS
from page import main as write_page

#: What every measurement runs with.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}  # fmt: skip
PACKAGES = "numpy scipy sympy numba scikit-learn jax jaxlib optax torch diffrax heyoka BSeries kauri pybs"


def processor():
    """The processor's model, with nothing that names the machine."""
    known = Path("/proc/cpuinfo")
    found = dict(re.findall(r"(.*?)\s*: (.*)", known.read_text("utf-8"))) if known.exists() else {}
    if "model name" not in found:
        return platform.machine()
    return f"{found['model name']} (family {found['cpu family']}, model {found['model']}, {'with' if 'avx512f' in found['flags'] else 'without'} AVX-512)"  # fmt: skip


def where():
    """What is measured on, and with."""
    known = {package.metadata["Name"]: package.version for package in distributions()}
    failed, commit = subprocess.getstatusoutput(f"git -C '{ROOT}/_build/bench/pybs' rev-parse --short=12 HEAD")
    known |= {} if failed else {"pybs": f"at commit {commit}"}
    found = [f"{name} {known[name]}" for name in PACKAGES.split() if name in known]
    return (f"{datetime.date.today().isoformat()}, {processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {platform.system()}, "
            f"Python {platform.python_version()}, {', '.join(found)}.")  # fmt: skip


def code():
    """What tells the present library and benchmarks from others."""
    files = sorted([*ROOT.glob("lib/bea/*.py"), *ROOT.glob("benchmarks/*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def written(results):
    """Write all results, whole or not at all, in the page's order."""
    names = sorted(results, key=lambda name: list(SECTIONS).index(name.split("/")[0]))
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps({name: results[name] for name in names}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(RESULTS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="sections, or rows such as flows/warm-2; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often each rival runs at most; the median counts")
    parser.add_argument("--again", action="store_true", help="also measure rows that were measured already")
    parser.add_argument("--print", action="store_true", help="measure one row here and print it (used by this script)")
    arguments = parser.parse_args()
    if arguments.print:
        section, _, row = arguments.names[0].partition("/")
        result = importlib.import_module(section).ROWS[row](arguments.rounds)
        print("\n" + json.dumps({"where": where(), "code": code(), "result": result}))
        return
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = [f"{section}/{row}" for section in SECTIONS for row in importlib.import_module(section).ROWS]
    asked = arguments.names or SECTIONS
    for name in (row for row in rows if any(f"{row}/".startswith(f"{part}/") for part in asked)):
        if not arguments.again and results.get(name, {}).get("code") == code():
            continue
        print(f"{name} ...", flush=True)
        command = [sys.executable, __file__, name, "--rounds", str(arguments.rounds), "--print"]
        done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
        written(results)
    write_page()


if __name__ == "__main__":
    main()
