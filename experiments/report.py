"""Write the page chapters/evidence.md from the declarations and the committed results; it computes nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bea_book import compare
from bea_book.compare import null, shown
from experiments.studies import FLOWS, STUDIES, Study

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "chapters" / "evidence.md"
FEW, BETA, LATE, RHO = compare.CHANGES
NETWORKS = {"tanh": ("tanh", "tanh-70"), "resnet": ("resnet",), "conv": ("conv",), "transformer": ("transformer",)}
Verdict = tuple[str, bool] | None  # what was measured, and whether the prediction held; None: not asked here


def results(name: str) -> dict[str, Any]:
    """The committed file of a study, if it has been run."""
    path = ROOT / "experiments" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}


def arrays(name: str, quantity: str) -> dict[str, np.ndarray]:
    """The values of one quantity for each case, over seeds; not a number where a solution does not exist."""
    found: dict[str, list[Any]] = {}
    for row in results(name)["rows"]:
        found.setdefault(row["case"], []).append(row[quantity])
    return {case: np.array(values, dtype=float) for case, values in found.items()}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * (lines[0].count(" | ") + 1), *lines[1:]])


def numbered(name: str, caption: str, rows: str) -> str:
    """A table with a number and a caption."""
    return f"```{{table}} {caption}\n:name: tab-{name}\n\n{rows}\n```"


def short(x: float) -> str:
    """Two or three digits, as plain text."""
    if not math.isfinite(x):
        return "no solution"
    if x != 0 and not 1e-2 <= abs(x) < 1e3:
        return f"{x:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"{x:.3g}"


def span(values: Iterable[float], form: Callable[[float], str] = short) -> str:
    """The smallest and the largest value."""
    one, two = form(min(values := list(values))), form(max(values))
    return one if one == two else f"{one} to {two}"


def signed(x: float) -> str:
    return f"{x:+.2f}"


def tenths(x: float) -> str:
    return f"{x:+.1f}"


def near(values: Iterable[float], bound: float = 0.1) -> bool:
    """Whether ratios are one, within a bound."""
    return all(abs(x - 1) <= bound for x in values)


class Decays:
    """The changes of a study of the decay rates, and what is established."""

    def __init__(self, *names: str) -> None:  # several studies that differ in their seeds alone: pooled
        study = STUDIES[names[0]]
        self.value = {case: np.concatenate([arrays(n, "value")[case] for n in names]) for case in study.cases}
        self.levels = [f"E/E₀ = {level:g}" for level in study.levels]
        self.places = self.levels + [f"n = {n}" for n in study.times]
        found = compare.changes(self.value, study.common["pairs"])
        self.change = {(case, self.places[k], *rest): values for (case, k, *rest), values in found.items()}
        self.established = compare.established(self.change)
        self.one = "h = 0.001" if "h = 0.001" in self.value else list(self.value)[1]
        loss = np.concatenate([v[:, : len(study.levels), :, 6] for v in self.value.values()])
        self.off = 100 * float(np.abs(loss / np.array(study.levels)[:, None] - 1).max())  # of the loss from its level

    def null(self, key: Any) -> bool:
        return null(self.change[key], compare.POINTS if key[-1] == "accuracy" else compare.BOUND)

    def cell(self, *key: Any) -> str:
        """Mean and interval: bold if established, in italics if null, or both."""
        mark = "*" * (self.null(key) + 2 * (key in self.established))
        return mark + shown(self.change[key], 2 if key[-1] == "accuracy" else 1) + mark

    def all(self, sign: int, change: str, cases: Iterable[str] = (), places: Iterable[str] = (), quantity: str = "one-norm") -> tuple[str, bool]:  # fmt: skip
        """Whether every one of some changes is established and has the sign."""
        keys = [(case, p, change, quantity) for case in cases or [self.one] for p in places or self.levels]
        means = [float(self.change[key].mean()) for key in keys]
        right = [key in self.established and sign * m > 0 for key, m in zip(keys, means)]
        unit = "points" if quantity == "accuracy" else "%"
        return f"{span(means, tenths)} {unit}; {sum(right)} of {len(right)} as predicted", all(right)

    def accuracy(self, sign: int) -> Verdict:
        """Whether at a fifth of the initial loss the accuracy goes one way with beta and the other way with rho."""
        both = [self.all(s, c, places=["E/E₀ = 0.2"], quantity="accuracy") for s, c in ((sign, BETA), (-sign, RHO))]
        return "; ".join(text.split(";")[0] for text, _ in both), all(right for _, right in both)

    def levels_of(self, change: str, quantity: str = "one-norm") -> str:
        """The changes of a quantity at the levels, and where they are established."""
        keys = [(self.one, place, change, quantity) for place in self.levels]
        there = [key[1][7:] for key in keys if key in self.established]
        found = "all established" if len(there) == len(keys) else f"established at {' and '.join(there) or 'none'}"
        return ", ".join(shown(self.change[key]) for key in keys) + f" per cent ({found})"

    def shown(self, name: str) -> str:
        """Numbered tables: all quantities in one case, and the one-norm in all cases."""
        label = f"Study {name}" if name in STUDIES else "The studies of the residual network, pooled"
        off = f"The loss at a level differs from it by at most {short(self.off)} per cent."
        parts = []
        for letter, change in (("beta", BETA), ("rho", RHO)):
            rows = [[q, *(self.cell(self.one, p, change, q) for p in self.places)] for q in compare.QUANTITIES if q != "loss"]  # fmt: skip
            caption = f"{label}, {self.one}: changes of {change[0]} from {change[2:]}. {off}"
            parts.append(numbered(f"{name}-{letter}", caption, table(("", *self.places), rows)))
        both = product(self.value, compare.CHANGES)
        rows = [[case, change, *(self.cell(case, p, change, "one-norm") for p in self.levels)] for case, change in both]
        caption = f"{label}: the one-norm in each case, for each change that is tested."
        parts.append(numbered(f"{name}-cases", caption, table(("", "", *self.levels), rows)))
        return "\n\n".join(parts)


def of_follow(study: Study) -> tuple[list[Verdict], str]:
    """The four predictions of a study that follows runs, and the table of its cases."""
    error, loss, edge = (arrays(study.name, name) for name in ("error", "loss", "edge"))
    full = [case for case, given in study.cases.items() if not given["batch"]]
    small = [error[c][:, -1, :3] for c, g in study.cases.items() if g["h"] == 1e-3 and c in full]
    batches = [error[c][:, -1, :2] for c, g in study.cases.items() if g["h"] == 1e-3 and c not in full]
    within = np.concatenate([error[case][edge[case] < 0.5][:, 1] for case in full])
    slow = [error[case][:, -1] for case in full if study.cases[case]["h"] <= 4e-3]
    factors = np.concatenate([np.nan_to_num(e[:, 3:], nan=np.inf).min(axis=1) / e[:, 1] for e in slow])

    def spans(ends: list[np.ndarray], *bounds: float) -> Verdict:
        return ("; ".join(map(span, ends[0].T)), bool((ends[0] <= bounds).all())) if ends else None

    verdicts: list[Verdict] = [
        spans(small, 0.01, 0.001, 0.001),
        (f"{short(within.max())} at most", bool((within <= 0.01).all())),
        spans(batches, 0.01, 0.01),
        (f"{short(factors.min())} times as far", bool((factors >= 10).all())),
    ]
    if study.name.endswith("-h"):
        first, last = (error[case][:, -1, 0] for case in full)
        verdicts = [verdicts[1], verdicts[3], (f"{span(first)}, then {span(last)}", bool((last > first).all()))]
    rows = []
    for case, given in study.cases.items():
        ends = [span(np.nan_to_num(error[case][:, -1, k], nan=np.inf)) for k in range(5 - bool(given["batch"]))]
        name = f"{study.name.removeprefix('follow-')}, {given['h']:g}" + f"; {given['batch']}" * bool(given["batch"])
        last = 20 + (given["steps"] - 20) // 8 * 8  # eight moments, from the 20th step on
        rows.append([name, str(last), span(loss[case][:, -1]), *ends[:4], ends[4] if len(ends) > 4 else "—"])
    return verdicts, "\n".join(table(("", "", "loss", *FLOWS), rows).splitlines()[2:])


def of_integrator(study: Study) -> tuple[list[Verdict], str]:
    """The distances with two integration steps, beside those with one."""
    once, twice = (arrays(name, "error") for name in ("follow-tanh", study.name))
    off = max(abs(twice[c][0, -1, k] / once[c][0, -1, k] - 1) for c in study.cases for k in range(3))
    return [(f"largest relative difference {short(off)}", off < 0.1)], ""


def of_response(study: Study) -> tuple[list[Verdict], str]:
    """Ratios of the measured to the predicted response, pair by pair."""
    change = arrays(study.name, "change")
    ratio = {case: c[:, :, 1] / c[:, :, 0] for case, c in change.items()}
    last, first = ratio["h = 4e-05"].mean(axis=0), ratio["h = 0.001"].mean(axis=0)[1:]
    form = (lambda r: span(r, signed)) if len(study.numbers) < 4 else (lambda r: shown(r, 2))
    rows = []
    for k, (b, r) in enumerate(study.common["pairs"]):
        cells = ((f"{c[:, k, 0].mean():+.2f}", form(ratio[case][:, k])) for case, c in change.items())
        rows.append([f"{b:g}, {r:g}", *(x for cell in cells for x in cell)])
    inside = sum(null(r - 1, 0.1) for r in ratio["h = 4e-05"][:, 1:].T)
    near_one = sum(near([r]) for r in first)
    verdicts: list[Verdict] = [(f"ratios {span(last, signed)}", near(last))]
    if study.name == "response-more":
        verdicts.append((f"{inside} of 7 intervals", inside >= 6))
    verdicts.append((f"ratios {span(first, signed)}", near_one < (6 if study.name == "response" else 1)))
    return verdicts, table(("β, ρ", *(x for case in change for x in (f"{case}: predicted", "ratio"))), rows)


def effects_of_noise() -> dict[tuple[str, str], Any]:
    """The effect of one decay rate, as differences of two pairs: predicted and measured, for each seed."""
    effects = {"β 0 to 0.9": (2, 0), "β 0.5 to 0.9": (2, 1), "ρ 0.98 to 0.99": (2, 3), "ρ 0.99 to 0.995": (4, 2)}
    change = arrays("noise", "change")
    return {(c, n): (v[:, i] - v[:, j]).T for c, v in change.items() for n, (i, j) in effects.items()}


def of_noise(study: Study) -> tuple[list[Verdict], str]:
    """The effect of one decay rate, measured over predicted."""
    both = effects_of_noise()
    change, effects = (list(dict.fromkeys(names)) for names in zip(*both))
    ratio = {key: x[1] / x[0] for key, x in both.items()}
    off = {key: abs(float(r.mean()) - 1) for key, r in ratio.items()}
    small = [c for c in change if c.endswith("2e-05")]
    beta, rho = ([float(ratio[c, n].mean()) for c in small for n in names] for names in (effects[:2], effects[2:3]))
    closer = [off[c, n] < max(0.05, off[c.replace("2e-05", "0.0001"), n]) for c in small for n in effects]
    rows = [[c, *(f"{both[c, n][0].mean():+.3f}; {shown(ratio[c, n], 2)}" for n in effects)] for c in change]
    verdicts: list[Verdict] = [
        (f"ratios {span(beta, signed)}", near(beta)),
        (f"ratios {span(rho, signed)}", near(rho, 0.15)),
        (f"{sum(closer)} of {len(closer)}", all(closer)),
    ]
    return verdicts, table(("predicted; ratio", *effects), rows)


def of_law(study: Study) -> tuple[list[Verdict], str]:
    """The component of the displacement along the predicted one, geometry by geometry."""
    ratio, one, two = (arrays(study.name, n) for n in ("ratio", "one", "two"))
    cases = list(study.cases)
    mean = {c: float(r.mean()) for c, r in ratio.items()}
    ratios, falls = [mean[c] for c in cases[1::2]], [two[b][0] / two[c][0] for b, c in zip(cases[::2], cases[1::2])]
    verdicts: list[Verdict] = [
        (f"ratios {span(ratios, signed)}", near(ratios)),
        (f"factors {span(falls)}", min(falls) >= 8),
    ]
    if study.name == "law-adam":
        fall, (new, old), last = two[cases[2]] / two[cases[3]], (mean[cases[4]], mean[cases[1]]), ratio[cases[3]]
        verdicts = [
            (f"ratio {shown(last, 3)}", near([last.mean()], 0.03)),
            (f"factor {shown(fall)}", bool(fall.mean() >= 12)),
        ]
        verdicts.append((f"ratios {new:.2f} and {old:.2f}", near([new]) and not near([old])))
    form = (lambda r: shown(r, 3)) if len(study.numbers) > 2 else (lambda r: f"{r[0]:+.3f}")
    rows = [[c, form(ratio[c]), short(one[c].mean()), short(two[c].mean())] for c in cases]
    return verdicts, table(("case", "ratio", "distance without the term", "distance with it"), rows)


def of_falls(study: Study) -> tuple[list[Verdict], str]:
    """Each norm of the gradient under each optimizer, against the leading flow, per cent; measured over predicted."""
    values, names = arrays(study.name, "norms"), ("one-norm", "two-norm", "nuclear norm")
    change = {(c, n): 100 * (v[:, :, k] / v[:, 1:2, k] - 1) for c, v in values.items() for k, n in enumerate(names)}
    run = {key: x[:, 0] for key, x in change.items()}
    ratio, established = {key: x[:, 0] / x[:, 2] for key, x in change.items()}, compare.established(run)
    own = list(zip(values, ("two-norm", "one-norm", "nuclear norm", "one-norm", "one-norm")))
    right = [key in established and s * run[key].mean() > 0 for key, s in zip(own, (-1, -1, -1, 1, -1))]
    means = [float(ratio[key].mean()) for key in own]
    cells = {key: f"{shown(x, 2)}; {ratio[key].mean():.2f}" for key, x in run.items()}
    rows = [[c, *(f"**{cells[c, n]}**" if (c, n) in own else cells[c, n] for n in names)] for c in values]
    verdicts: list[Verdict] = [
        (", ".join(f"{run[key].mean():+.2f} %" for key in own[part]), all(right[part])) for part in (slice(3), slice(3, 5))
    ]  # fmt: skip
    return [*verdicts, (f"ratios {span(means, signed)}", near(means))], table(("", *names), rows)


def of_norms(study: Study) -> tuple[list[Verdict], str]:
    """Changes of the one-norm at equal loss in the first, small study."""
    value = arrays(study.name, "value")
    verdicts: list[Verdict] = []
    for new, old, sign in (("beta = 0.99", "beta = 0", -1), ("rho = 0.9995", "rho = 0.9", 1)):
        means = [100 * (value[new][:, k, 0] / value[old][:, k, 0] - 1).mean() for k in range(3)]
        verdicts.append((f"{span(means, tenths)} %", all(sign * m > 0 for m in means)))
    return verdicts, ""


def of_decays(study: Study) -> tuple[list[Verdict], str]:
    """The predictions of a study of the decay rates, one by one, and its tables."""
    d = Decays(study.name)
    cases, levels, first = list(d.value), d.levels, d.levels[0]
    verdicts: list[Verdict] = []
    if study.name == "decays-tanh":
        size = [abs(d.change[c, first, n, "one-norm"].mean()) for n in (FEW, RHO) for c in (cases[0], cases[3])]
        keys = [(d.one, p, n, "one-norm") for n in (BETA, RHO) for p in levels]
        gaps = [d.change[key] - d.change[cases[4], *key[1:]] for key in keys]
        lost = [(d.one, first, n, "test loss") for n in (BETA, RHO)]
        grown = size[1] / size[0], size[3] / size[2]
        same = [null(g) for g in gaps]
        verdicts = [
            d.all(-1, BETA, cases[:3]),
            d.all(1, RHO, cases[:3]),
            (f"factors {grown[0]:.2f} and {grown[1]:.2f}", grown[0] >= 3 and grown[1] < 2),
            (f"{sum(same)} of 6 null; {span([g.mean() for g in gaps], signed)} points", all(same)),
            d.accuracy(-1),
            ("; ".join(f"{shown(d.change[key], 2)} %" for key in lost), all(d.null(key) for key in lost)),
        ]
    elif study.name == "decays-tanh-batches":
        full = Decays("decays-tanh").change["h = 0.001", first, RHO, "one-norm"].mean()
        mean = d.change[d.one, first, RHO, "one-norm"].mean()
        rises = d.all(1, RHO, places=[first])[1]
        verdicts = [d.all(-1, BETA, cases[:2], levels[:2])]
        verdicts.append((f"{mean:+.1f} % against {full:+.1f} %", bool(rises and mean < full / 2)))
    elif study.name == "decays-resnet":
        verdicts = [d.all(-1, FEW), d.all(-1, LATE), d.all(1, RHO)]
    elif study.name == "decays-resnet-more":
        verdicts = [d.all(-1, FEW), d.all(1, LATE, places=levels[2:]), d.all(1, RHO, places=levels[1:])]
    else:
        verdicts = [d.all(-1, FEW), d.all(-1, BETA), d.all(1, RHO), d.accuracy(1)]
    return verdicts, d.shown(study.name)


READERS = {"follow": of_follow, "response": of_response, "law": of_law, "norms": of_norms}
NAMED = {"integrator": of_integrator, "noise": of_noise, "falls": of_falls}


def configuration(study: Study) -> list[str]:
    """The hyper-parameters of all cases of a study."""
    cases = study.full

    def each(name: str, form: Callable[[Any], str] = "{:g}".format) -> str:
        return ", ".join(dict.fromkeys(form(case[name]) for case in cases if name in case))

    pairs = study.common.get("pairs") or [[c["beta"], c["rho"] if c["optimizer"] == "adam" else None] for c in cases]
    decays = [", ".join(f"{v:g}" for v in sorted({p[k] for p in pairs} - {None})) for k in (0, 1)]
    read = [f"E/E₀ = {x:g}" for x in study.levels] + [f"n = {n}" for n in study.times]
    read += [f"{letter} = {each(name)}" for letter, name in (("n", "steps"), ("t", "time")) if each(name) and not read]
    where, batch = each("inside", {True: "inside", False: "outside"}.get), each("batch", lambda b: str(b or "full"))
    return [
        study.name,
        each("optimizer", str),
        *decays,
        f"{each('epsilon')} {where}",
        each("h"),
        batch,
        "; ".join(read),
    ]


def coverage() -> str:
    """For each network what its studies have measured."""

    def joined(values: Iterable[Any]) -> str:
        return ", ".join(f"{x:g}" for x in sorted(set(values) - {None})) or "—"

    def cases(studies: list[Study], name: str) -> list[Any]:
        return [case[name] or None for study in studies for case in study.full]

    columns = []
    for models in NETWORKS.values():
        ours = [s for s in STUDIES.values() if s.common["model"] in models and results(s.name)["rows"]]
        norms, follow, response = ([s for s in ours if s.function == f] for f in ("norms", "follow", "response"))
        pairs = [p for s in norms for p in s.common.get("pairs", [])]
        full = [s for s in norms if not any(cases([s], "batch"))]
        columns.append({
            "norms: values of β": joined(p[0] for p in pairs if p[1] == 0.999),
            "values of ρ": joined(p[1] for p in pairs if p[0] == 0.9),
            "seeds, full batch": str(len({n for s in full for n in s.numbers}) or "—"),
            "size of mini-batches": joined(cases(norms, "batch")),
            "step sizes h": joined(cases(norms, "h")),
            "ε also inside the root": "yes" if any(cases(norms, "inside")) else "—",
            "levels of the loss": joined(x for s in norms for x in s.levels),
            "steps": joined(n for s in norms for n in s.times),
            "predicted sizes: pairs (β, ρ)": str(len({tuple(p) for s in response for p in s.common["pairs"]}) or "—"),
            "size of mini-batches ": joined(cases(response, "batch")),
            "followed: step sizes h": joined(cases(follow, "h")),
            "seeds": str(len({n for s in follow for n in s.numbers}) or "—"),
            "size of mini-batches  ": joined(cases(follow, "batch")),
        })  # fmt: skip
    return table(("", *NETWORKS), ([name.strip(), *(column[name] for column in columns)] for name in columns[0]))


def highlights() -> dict[str, str]:
    """The figures of the page's first section."""
    smooth = [s.name for s in STUDIES.values() if s.name.startswith("follow") and s.name != "follow-resnet-relu" and "h = 0.001" in s.cases]  # fmt: skip
    usual = [row for name in smooth for row in results(name)["rows"] if row["case"] == "h = 0.001"]
    d, noise = Decays("decays-tanh"), effects_of_noise()
    ratio = {case: (c[:, :, 1] / c[:, :, 0]).mean(axis=0) for case, c in arrays("response-more", "change").items()}
    pooled, conv = Decays("decays-resnet", "decays-resnet-more"), Decays("decays-conv")
    late = "E/E₀ = 0.05"
    large = {"tanh": "tanh", "resnet": "resnet-h", "conv": "conv-more", "transformer": "transformer-h"}
    far = {n: arrays(f"follow-{study}", "error")["h = 0.016"][:, -1, 1] for n, study in large.items()}
    return {
        "near": short(max(row["error"][-1][1] for row in usual)),
        "left": span((row["loss"][-1] for row in usual), "{:.2f}".format),
        **{f"edge-{n}": span(arrays(f"follow-{study}", "edge")["h = 0.016"][:, 0]) for n, study in large.items()},
        **{f"far-{n}": short(x.max()) if n in ("tanh", "resnet") else span(x) for n, x in far.items()},
        "rho": span((d.change[d.one, p, RHO, "one-norm"].mean() for p in d.levels), "{:.1f}".format),
        "beta": span((-d.change[d.one, p, BETA, "one-norm"].mean() for p in d.levels), "{:.1f}".format),
        "turned": shown(d.change["h = 0.004", late, BETA, "one-norm"]),
        "kept": shown(d.change["h = 0.004", late, FEW, "one-norm"]),
        "small": span(ratio["h = 4e-05"], "{:.2f}".format),
        "large": span(ratio["h = 0.001"][1:], "{:.2f}".format),
        "noisy": span((float((x[1] / x[0]).mean()) for (c, _), x in noise.items() if "50, h = 2e" in c), "{:.2f}".format),
        "accuracy": shown(d.change[d.one, "E/E₀ = 0.2", BETA, "accuracy"]),
        "pooled-seeds": str(len(pooled.value[pooled.one])),
        "fell": pooled.levels_of(FEW),
        "rose": pooled.levels_of(LATE),
        "rises": pooled.levels_of(RHO),
        "conv-rho": conv.levels_of(RHO),
        "conv-beta": conv.levels_of(FEW),
        "conv-loss": conv.levels_of(BETA, "test loss"),
        "pooled": pooled.shown("pooled"),
    }  # fmt: skip


def page() -> str:
    """The page, as text: the template with tables in the place of names in braces."""
    done, asked, fill, follow, waiting = [], [], {}, [], []
    for name, study in STUDIES.items():
        if not (found := results(name)).get("rows"):
            waiting.append(name)
            continue
        read = NAMED.get(name) or (of_decays if name.startswith("decays") else READERS[study.function])
        verdicts, fill[name] = read(study)
        runs = len(found["rows"]) * len(study.common.get("pairs", [0]))
        done.append([name, study.common["model"], str(runs), str(len(study.numbers)), f"{found['processor_seconds'] / 60:.1f}", f"`{found['declared_in'][:7]}`, `{found['commit'][:7]}`"])  # fmt: skip
        words = [None if v is None else (v[0], "held" if v[1] else "**failed**") for v in verdicts]
        if len(study.predictions) == 4 and study.function == "follow":
            follow.append([name, *("—" if w is None else f"{w[0]}: {w[1]}" for w in words)])
        else:
            asked += [[name, p, *w] for p, w in zip(study.predictions, words) if w]
    fill["total"] = f"{sum(float(row[4]) for row in done):.0f}"
    fill["studies"] = table(("study", "network", "runs", "seeds", "minutes", "declared, measured"), done)
    fill["predictions"] = table(("study", "prediction", "measured", "result"), asked)
    fill["followed"] = table(("study", "1", "2", "3", "4"), follow)
    fill["follow"] = table(("study, h; batch", "steps", "loss", *FLOWS), []) + "\n" + "\n".join(
        fill[name] for name in STUDIES if name.startswith("follow") and name in fill
    )  # fmt: skip
    told = [cell for row in (*asked, *follow) for cell in row]
    fill["held"], fill["failed"] = (str(sum(cell.endswith(end) for cell in told)) for end in ("held", "failed**"))
    fill["configurations"] = table(("study", "optimizer", "β", "ρ", "ε, and where it is added", "h", "batches", "read at"), (configuration(STUDIES[row[0]]) for row in done))  # fmt: skip
    fill |= {"coverage": coverage(), **highlights()}
    fill["waiting"] = f"Declared, and not run yet: {', '.join(f'`{name}`' for name in waiting)}.\n\n" if waiting else ""
    text = (ROOT / "experiments" / "page.md").read_text(encoding="utf-8")
    for name, value in fill.items():
        text = text.replace("{" + name + "}", value)
    return text


def main() -> None:
    from experiments import figures  # which draws what is read here

    figures.draw()
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
