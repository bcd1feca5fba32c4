"""Run studies: `python -m experiments [STUDY ...]`, two processes here; `--dask ADDRESS` for a cluster.

An interrupted run goes on where it was.  Results are written to experiments/results, with their provenance.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bea_book import sweep
from experiments import data
from experiments.studies import STUDIES, Study

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"


def measured(study: str, case: str, seed: int, stop: int = 0) -> dict[str, Any]:
    """Measure one cell; imported late, so that the process that waits needs no JAX."""
    from experiments import measure

    asked, begin = STUDIES[study], time.process_time()
    found = getattr(measure, asked.function)(**{**asked.common, **asked.cases[case]}, seed=seed, stop=stop)
    return {**found, "seconds": time.process_time() - begin}


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def numbers(values: Any, digits: int = 6) -> Any:
    """Six digits of each number, four in a large table; None for what is not finite."""
    if isinstance(values, list):
        digits = 4 if np.size(values) > 100 else digits
        return [numbers(v, digits) for v in values]
    return float(f"{values:.{digits}g}") if np.isfinite(values) else None


def rows(study: Study, found: Any) -> list[dict[str, Any]]:
    """One row for each cell of a sweep."""
    names = list(found.data_vars)
    at = lambda case, seed: {n: numbers(found[n].sel(case=case, seed=seed).values.tolist()) for n in names}  # noqa: E731
    return [{"case": case, "seed": seed, **at(case, seed)} for case in study.cases for seed in study.numbers]


def run(study: Study, executor: Executor | None, device: str, folder: Path | None = None) -> Path:
    """Measure all cells of a study that are missing, and write the file of its results."""
    from experiments.models import MODELS  # only the process that writes asks for it

    declared = git("log", "-1", "--format=%H", "--", "experiments/studies.toml")
    if git("status", "--porcelain", "--", *(f"experiments/{n}" for n in ("studies.toml", "measure.py", "models.py"))):
        raise SystemExit("commit the declaration and the code before you run a study")
    grid = {"case": list(study.cases), "seed": study.numbers}
    place = folder or ROOT / "_build" / "experiments" / device / study.name
    cell = partial(measured, study.name)
    found = sweep(cell, grid, executor=executor, folder=place, version=study.digest, progress=True)
    source = MODELS[study.common["model"]].source
    content = {
        "study": study.name,
        "declaration": study.digest,
        "declared_in": declared,
        "commit": git("rev-parse", "HEAD"),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": {n: version(n) for n in ("numpy", "scipy", "jax", "jaxlib")}
        | {"python": platform.python_version()},
        "machine": f"{platform.machine()}, {device}",
        "data": {source: data.fingerprint(source)},
        "processor_seconds": round(float(found["seconds"].sum())),
        "rows": rows(study, found),
    }
    path = RESULTS / f"{study.name}.json"
    path.parent.mkdir(exist_ok=True)
    head = json.dumps({k: v for k, v in content.items() if k != "rows"}, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(row) for row in content["rows"])
    path.write_text(f'{head},\n "rows": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    return path


def difference(study: str, row: dict[str, Any], new: dict[str, Any]) -> float:
    """The largest relative difference of a cell's main quantity from its row in a committed file.

    What a cell did not measure again counts for nothing, nor does what has blown up, nor, of runs that are
    followed, the equations that forget: they amplify every rounding error.
    """
    name = {"follow": "error", "response": "change", "law": "ratio", "norms": "value"}[STUDIES[study].function]
    old, given = (
        np.array(row[name], dtype=float),
        np.asarray(new[name][1] if isinstance(new[name], tuple) else new[name]),
    )
    if name == "error":
        old, given = old[:, :3], given[:, :3]
    given = given[: len(old)] if old.ndim else given
    old = old[: len(given)] if old.ndim else old
    told = np.isfinite(old) & np.isfinite(given) & (np.abs(old) < 1e3)
    if not told.any():
        raise ValueError(f"{study}, {row['case']}, seed {row['seed']}: no number to compare")
    return float(np.max(np.abs(given - old)[told] / np.maximum(np.abs(old[told]), 1e-5)))


def check(name: str) -> None:
    """Measure the first cell of a study again, on this device, and compare it with the committed file."""
    import jax

    try:
        device = jax.devices()[0]
    except (RuntimeError, AssertionError):  # the latter if JAX is installed without CUDA
        hint = "it needs one, and 'pip install jax[cuda12]'"
        raise SystemExit(f"nothing was checked: JAX finds no GPU here; {hint}") from None
    row = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"][0]
    begin = time.perf_counter()
    off, took = difference(name, row, measured(name, row["case"], row["seed"])), time.perf_counter() - begin
    print(f"{name}, {row['case']}, seed {row['seed']}, on {device.device_kind}: {took:.0f} seconds")
    print(f"In the committed file: {row['seconds']:.0f} seconds of processor time.")
    print(f"Largest relative difference: {off:.1e}")
    if off > 0.01:
        raise SystemExit("more than a hundredth: this device does not give the committed result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", help=f"any of {', '.join(STUDIES)}; all if none is named")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where JAX computes")
    parser.add_argument("--dask", metavar="ADDRESS", help="the scheduler of a Dask cluster")
    parser.add_argument("--check", metavar="STUDY", choices=STUDIES, help="compare one cell with the committed file")
    asked = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = asked.device
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if asked.check:
        return check(asked.check)
    if unknown := set(asked.studies) - set(STUDIES):
        parser.error(f"there is no study {', '.join(sorted(unknown))}")
    if asked.dask:
        from distributed import Client

        pool: Executor = Client(asked.dask).get_executor()
    else:
        pool = ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn"))
    with pool:
        for name in asked.studies or STUDIES:
            try:
                print(f"{name}: {STUDIES[name].question}", flush=True)
                print(f"{name}: written to {run(STUDIES[name], pool, asked.device).relative_to(ROOT)}", flush=True)
            except FileNotFoundError as problem:
                print(f"{name}: left out, {problem}", flush=True)
