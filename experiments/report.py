"""Write the page chapters/evidence.md from the declarations and the committed results; it computes nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from experiments.studies import FLOWS, STUDIES, Study

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "chapters" / "evidence.md"
QUANTITIES = (  # as the studies of the decays store them
    "one-norm", "perturbed one-norm", "two-norm", "sharpness", "test loss", "accuracy", "loss", "preconditioned sharpness",
)  # fmt: skip
CHANGES = {
    "β 0 to 0.9": ([0.9, 0.999], [0.0, 0.999]),
    "β 0 to 0.99": ([0.99, 0.999], [0.0, 0.999]),
    "β 0.9 to 0.99": ([0.99, 0.999], [0.9, 0.999]),
    "ρ 0.9 to 0.9995": ([0.9, 0.9995], [0.9, 0.9]),
}
BETA, RHO = "β 0 to 0.99", "ρ 0.9 to 0.9995"
Verdict = tuple[str, bool] | None  # what was measured, and whether the prediction held; None: not asked here


def results(study: Study) -> dict[str, Any] | None:
    """The committed file of a study, if it has been run."""
    path = ROOT / "experiments" / "results" / f"{study.name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * (lines[0].count(" | ") + 1), *lines[1:]])


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


def interval(values: Any) -> tuple[float, float]:
    """Mean and half-width of the 95 per cent t-interval over seeds."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def shown(values: Any, digits: int = 1) -> str:
    mean, half = interval(values)
    return f"{mean:+.{digits}f} ± {half:.{digits}f}"


def null(values: Any, bound: float) -> bool:
    """Two one-sided t-tests at 5 per cent: whether the 90 per cent interval lies within the bound."""
    mean, half = interval(values)
    return bool(abs(mean) + half * stats.t.ppf(0.95, len(values) - 1) / stats.t.ppf(0.975, len(values) - 1) < bound)


def holm(changes: dict[Any, Any]) -> set[Any]:
    """The changes whose mean differs from zero at 5 per cent, by t-tests with Holm's correction over all of them."""
    p = {key: stats.ttest_1samp(v, 0).pvalue if np.ptp(v) else 1.0 for key, v in changes.items()}
    found = set()
    for k, key in enumerate(sorted(p, key=p.__getitem__)):
        if not p[key] < 0.05 / (len(p) - k):
            break
        found.add(key)
    return found


def arrays(found: dict[str, Any], name: str) -> dict[str, np.ndarray]:
    """The values of one quantity for each case, over seeds; not a number where a solution does not exist."""
    cases = dict.fromkeys(row["case"] for row in found["rows"])
    return {case: np.array([r[name] for r in found["rows"] if r["case"] == case], dtype=float) for case in cases}


class Decays:
    """The changes of a study of the decay rates: per cent (accuracy: points) within a seed, and what is established."""

    def __init__(self, study: Study, found: dict[str, Any]) -> None:
        pairs, self.value = study.common["pairs"], arrays(found, "value")
        self.places = [f"E/E₀ = {level:g}" for level in study.levels]
        self.places += [f"n = {n}" for n in study.common.get("times", (100, 300))]
        self.change: dict[Any, np.ndarray] = {}
        for case, v in self.value.items():
            for name, (new, old) in CHANGES.items():
                a, b = (v[:, :, pairs.index(pair)] for pair in (new, old))
                for k, place in enumerate(self.places):
                    for q, quantity in enumerate(QUANTITIES):
                        one, two = a[:, k, q], b[:, k, q]
                        change = one - two if quantity == "accuracy" else 100 * (one / two - 1)
                        if quantity != "loss":
                            self.change[case, place, name, quantity] = change
        self.established = holm(self.change)
        loss = np.concatenate([v[:, : len(study.levels), :, 6] for v in self.value.values()])
        self.off = 100 * float(np.abs(loss / np.array(study.levels)[:, None] - 1).max())  # of the loss from its level

    def null(self, key: Any) -> bool:
        return null(self.change[key], 0.5 if key[-1] == "accuracy" else 2)

    def cell(self, *key: Any) -> str:
        """Mean and interval: bold if established, in italics if null, or both."""
        mark = "*" * (self.null(key) + 2 * (key in self.established))
        return mark + shown(self.change[key], 2 if key[-1] == "accuracy" else 1) + mark

    def all(self, sign: int, change: str, cases: Iterable[str], places: Iterable[str], quantity: str = "one-norm") -> Verdict:  # fmt: skip
        """Whether every one of some changes is established and has the sign."""
        keys = [(case, place, change, quantity) for case in cases for place in places]
        means = [float(self.change[key].mean()) for key in keys]
        right = [key in self.established and sign * m > 0 for key, m in zip(keys, means)]
        unit = "points" if quantity == "accuracy" else "%"
        return f"{span(means, lambda x: f'{x:+.1f}')} {unit}; {sum(right)} of {len(right)} as predicted", all(right)

    def shown(self, case: str) -> str:
        """All quantities in one case."""
        parts = []
        for name in (BETA, RHO):
            rows = [[q, *(self.cell(case, p, name, q) for p in self.places)] for q in QUANTITIES if q != "loss"]
            parts.append(table((name, *self.places), rows))
        return "\n\n".join(parts)

    def by_case(self, places: Iterable[str]) -> str:
        """The one-norm in all cases."""
        places = list(places)
        names = [f"{name}, {place.split()[-1]}" for name in (BETA, RHO) for place in places]
        rows = [[c, *(self.cell(c, p, n, "one-norm") for n in (BETA, RHO) for p in places)] for c in self.value]
        return table(("one-norm", *names), rows)


def of_follow(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The four predictions of a study that follows runs, and the table of its cases."""
    error, loss, edge = (arrays(found, name) for name in ("error", "loss", "edge"))
    full = [case for case, given in study.cases.items() if not given["batch"]]
    usual = error["h = 0.001"][:, -1]
    within = np.concatenate([error[case][edge[case] < 0.5][:, 1] for case in full])
    verdicts: list[Verdict] = [
        ("; ".join(span(usual[:, k]) for k in range(3)), bool((usual[:, 0] <= 0.01).all() and (usual[:, 1:3] <= 0.001).all())),
        (f"{short(within.max())} at most", bool((within <= 0.01).all())),
    ]  # fmt: skip
    small = [error[c][:, -1, :2] for c, g in study.cases.items() if g["batch"] and g["h"] == 1e-3]
    ends = np.concatenate(small) if small else np.zeros((0, 2))
    verdicts.append(("; ".join(span(e) for e in ends.T), bool((ends <= 0.01).all())) if small else None)
    slow = [error[case][:, -1] for case in full if study.cases[case]["h"] <= 4e-3]
    factors = np.concatenate([np.nan_to_num(e[:, 3:], nan=np.inf).min(axis=1) / e[:, 1] for e in slow])
    verdicts.append((f"{short(factors.min())} times as far", bool((factors >= 10).all())))
    rows = []
    for case, given in study.cases.items():
        ends = [span(np.nan_to_num(error[case][:, -1, k], nan=np.inf)) for k in range(5 - bool(given["batch"]))]
        name = f"{study.name.removeprefix('follow-')}, {given['h']:g}" + f"; {given['batch']}" * bool(given["batch"])
        rows.append([name, span(loss[case][:, -1]), *ends[:4], ends[4] if len(ends) > 4 else "—"])
    return verdicts, "\n".join(table(("", "loss", *FLOWS), rows).splitlines()[2:])


def of_integrator(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The distances with two integration steps, beside those with one."""
    once, twice = (arrays(f, "error") for f in (results(STUDIES["follow-tanh"]) or found, found))
    off = max(abs(twice[c][0, -1, k] / once[c][0, -1, k] - 1) for c in study.cases for k in range(3))
    return [(f"largest relative difference {short(off)}", off < 0.1)], ""


def of_response(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """Ratios of the measured to the predicted response, pair by pair."""
    change, pairs = arrays(found, "change"), study.common["pairs"]
    ratio = {case: c[:, :, 1] / c[:, :, 0] for case, c in change.items()}
    last, first = ratio["h = 4e-05"].mean(axis=0), ratio["h = 0.001"].mean(axis=0)[1:]
    near = int((np.abs(first - 1) <= 0.1).sum())
    rows = []
    for k, (b, r) in enumerate(pairs):
        cells = ((f"{c[:, k, 0].mean():+.2f}", span(ratio[case][:, k], signed)) for case, c in change.items())
        rows.append([f"{b:g}, {r:g}", *(x for cell in cells for x in cell)])
    verdicts: list[Verdict] = [
        (f"ratios {span(last, signed)}", bool((np.abs(last - 1) <= 0.1).all())),
        (f"ratios {span(first, signed)}", near < 6),
    ]
    return verdicts, table(("β, ρ", *(x for case in change for x in (f"{case}: predicted", "ratio"))), rows)


def effects_of_noise(found: dict[str, Any]) -> dict[tuple[str, str], Any]:
    """The effect of one decay rate, as differences of two pairs: predicted and measured, for each seed."""
    effects = {"β 0 to 0.9": (2, 0), "β 0.5 to 0.9": (2, 1), "ρ 0.98 to 0.99": (2, 3), "ρ 0.99 to 0.995": (4, 2)}
    change = arrays(found, "change")
    return {(c, n): (v[:, i] - v[:, j]).T for c, v in change.items() for n, (i, j) in effects.items()}


def of_noise(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The effect of one decay rate, measured over predicted."""
    both = effects_of_noise(found)
    change, effects = (list(dict.fromkeys(names)) for names in zip(*both))
    ratio = {key: x[1] / x[0] for key, x in both.items()}
    mean = {key: float(r.mean()) for key, r in ratio.items()}
    small = [c for c in change if c.endswith("2e-05")]
    beta = [mean[c, n] for c in small for n in effects[:2]]
    rho = [mean[c, "ρ 0.98 to 0.99"] for c in small]
    closer = [
        abs(mean[c, n] - 1) < max(0.05, abs(mean[c.replace("2e-05", "0.0001"), n] - 1)) for c in small for n in effects
    ]
    rows = [[c, *(f"{both[c, n][0].mean():+.3f}; {shown(ratio[c, n], 2)}" for n in effects)] for c in change]
    verdicts: list[Verdict] = [
        (f"ratios {span(beta, signed)}", all(abs(r - 1) <= 0.1 for r in beta)),
        (f"ratios {span(rho, signed)}", all(abs(r - 1) <= 0.15 for r in rho)),
        (f"{sum(closer)} of {len(closer)}", all(closer)),
    ]
    return verdicts, table(("predicted; ratio", *effects), rows)


def of_law(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The component of the displacement along the predicted one, geometry by geometry."""
    ratio, one, two = (arrays(found, n) for n in ("ratio", "one", "two"))
    cases = list(study.cases)
    ratios, falls = [ratio[c].mean() for c in cases[1::2]], [two[b][0] / two[c][0] for b, c in zip(cases[::2], cases[1::2])]  # fmt: skip
    verdicts: list[Verdict] = [
        (f"ratios {span(ratios, signed)}", all(abs(r - 1) <= 0.1 for r in ratios)),
        (f"factors {span(falls)}", min(falls) >= 8),
    ]
    if study.name == "law-adam":
        mean, fall = {c: r.mean() for c, r in ratio.items()}, two[cases[2]] / two[cases[3]]
        near = [mean[cases[1]], mean[cases[4]]]
        verdicts = [
            (f"ratio {shown(ratio[cases[3]], 3)}", bool(0.97 <= mean[cases[3]] <= 1.03)),
            (f"factor {shown(fall)}", bool(fall.mean() >= 12)),
            (f"ratios {near[1]:.2f} and {near[0]:.2f}", bool(abs(near[1] - 1) <= 0.1 < abs(near[0] - 1))),
        ]
    rows = [[c, shown(ratio[c], 3) if len(study.numbers) > 2 else f"{ratio[c][0]:+.3f}", short(one[c].mean()), short(two[c].mean())] for c in cases]  # fmt: skip
    return verdicts, table(("case", "ratio", "distance without the term", "distance with it"), rows)


def of_falls(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """Each norm of the gradient under each optimizer, against the leading flow, per cent; measured over predicted."""
    values, names = arrays(found, "norms"), ("one-norm", "two-norm", "nuclear norm")
    change = {(c, n): 100 * (v[:, :, k] / v[:, 1:2, k] - 1) for c, v in values.items() for k, n in enumerate(names)}
    run = {key: x[:, 0] for key, x in change.items()}
    ratio, established = {key: x[:, 0] / x[:, 2] for key, x in change.items()}, holm(run)
    own = list(zip(values, ("two-norm", "one-norm", "nuclear norm", "one-norm", "one-norm")))
    signs = [-1, -1, -1, 1, -1]
    right = [key in established and s * run[key].mean() > 0 for key, s in zip(own, signs)]
    means = [float(ratio[key].mean()) for key in own]
    cells = {key: f"{shown(x, 2)}; {ratio[key].mean():.2f}" for key, x in run.items()}
    rows = [[c, *(f"**{cells[c, n]}**" if (c, n) in own else cells[c, n] for n in names)] for c in values]
    verdicts: list[Verdict] = [
        (", ".join(f"{run[key].mean():+.2f} %" for key in own[:3]), all(right[:3])),
        (", ".join(f"{run[key].mean():+.2f} %" for key in own[3:]), all(right[3:])),
        (f"ratios {span(means, signed)}", all(abs(r - 1) <= 0.1 for r in means)),
    ]
    return verdicts, table(("", *names), rows)


def of_norms(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """Changes of the one-norm at equal loss in the first, small study."""
    value = arrays(found, "value")
    verdicts: list[Verdict] = []
    for new, old, sign in (("beta = 0.99", "beta = 0", -1), ("rho = 0.9995", "rho = 0.9", 1)):
        means = [100 * (value[new][:, k, 0] / value[old][:, k, 0] - 1).mean() for k in range(3)]
        verdicts.append((f"{span(means, lambda x: f'{x:+.1f}')} %", all(sign * m > 0 for m in means)))
    return verdicts, ""


def of_decays(study: Study, found: dict[str, Any]) -> tuple[list[Verdict], str]:
    """The predictions of a study of the decay rates, one by one, and its tables."""
    d, first = Decays(study, found), "E/E₀ = 0.5"
    cases, levels = list(d.value), d.places[: len(study.levels)]
    one = "h = 0.001" if "h = 0.001" in cases else cases[1]
    few = "β 0 to 0.9"
    verdicts: list[Verdict] = []
    if study.name == "decays-tanh":
        size = [abs(d.change[c, first, n, "one-norm"].mean()) for n in (few, RHO) for c in (cases[0], cases[3])]
        pairs = [(one, p, n, "one-norm") for n in (BETA, RHO) for p in levels]
        gaps = [d.change[key] - d.change[cases[4], *key[1:]] for key in pairs]
        lost = [(one, first, n, "test loss") for n in (BETA, RHO)]
        grown = size[1] / size[0], size[3] / size[2]
        points = [d.all(s, n, [one], ["E/E₀ = 0.2"], "accuracy") for s, n in ((-1, BETA), (1, RHO))]
        verdicts = [
            d.all(-1, BETA, cases[:3], levels),
            d.all(1, RHO, cases[:3], levels),
            (f"factors {grown[0]:.2f} and {grown[1]:.2f}", grown[0] >= 3 and grown[1] < 2),
            (f"{sum(null(g, 2) for g in gaps)} of 6 null; {span([g.mean() for g in gaps], signed)} points", all(null(g, 2) for g in gaps)),
            ("; ".join(x[0].split(";")[0] for x in points if x), all(x[1] for x in points if x)),
            ("; ".join(f"{shown(d.change[key], 2)} %" for key in lost), all(d.null(key) for key in lost)),
        ]  # fmt: skip
    elif study.name == "decays-tanh-batches":
        whole = results(STUDIES["decays-tanh"])
        full = Decays(STUDIES["decays-tanh"], whole).change["h = 0.001", first, RHO, "one-norm"].mean() if whole else 0
        rise = d.all(1, RHO, [one], [first]) or ("", False)
        mean = d.change[one, first, RHO, "one-norm"].mean()
        verdicts = [d.all(-1, BETA, cases[:2], levels[:2])]
        verdicts.append((f"{mean:+.1f} % against {full:+.1f} %", bool(rise[1] and mean < full / 2)))
    elif study.name == "decays-resnet-more":
        asked = ((-1, few, levels), (1, "β 0.9 to 0.99", levels[2:]), (1, RHO, levels[1:]))
        verdicts = [d.all(sign, name, cases, places) for sign, name, places in asked]
    else:
        changes = ((-1, few), (-1, "β 0.9 to 0.99")) if study.name == "decays-resnet" else ((-1, BETA),)
        verdicts = [d.all(sign, name, cases, levels) for sign, name in (*changes, (1, RHO))]
    text = f"The loss at a level differs from it by at most {short(d.off)} per cent.\n\n{d.shown(one)}"
    return verdicts, text + "\n\n" + d.by_case(levels) if len(cases) > 1 else text


READERS = {"follow": of_follow, "response": of_response, "law": of_law, "norms": of_norms}
NAMED = {"integrator": of_integrator, "noise": of_noise, "falls": of_falls}


def highlights() -> dict[str, str]:
    """The figures of the page's first section."""
    smooth = [results(STUDIES[f"follow-{n}"]) or {} for n in ("tanh", "conv", "transformer", "resnet")]
    fill = {"near": short(max(arrays(f, "error")["h = 0.001"][:, -1, 1].max() for f in smooth))}
    fill["left"] = span([x for f in smooth for x in arrays(f, "loss")["h = 0.001"][:, -1]], lambda x: f"{x:.2f}")
    d = Decays(STUDIES["decays-tanh"], results(STUDIES["decays-tanh"]) or {})
    for key, change in (("rho", RHO), ("beta", BETA)):
        means = (abs(d.change["h = 0.001", place, change, "one-norm"].mean()) for place in d.places[:3])
        fill[key] = span(means, lambda x: f"{x:.1f}")
    for key, change in (("turned", BETA), ("kept", "β 0 to 0.9")):
        fill[key] = shown(d.change["h = 0.004", "E/E₀ = 0.05", change, "one-norm"])
    noise = effects_of_noise(results(STUDIES["noise"]) or {})
    fill["noisy"] = span((float((x[1] / x[0]).mean()) for (c, _), x in noise.items() if "50, h = 2e" in c), signed)
    fill["accuracy"] = shown(d.change["h = 0.001", "E/E₀ = 0.2", BETA, "accuracy"])
    r = Decays(STUDIES["decays-resnet"], results(STUDIES["decays-resnet"]) or {})
    for key, change in (("fell", "β 0 to 0.9"), ("rose", "β 0.9 to 0.99")):
        keys = [(next(iter(r.change))[0], place, change, "one-norm") for place in r.places[:3]]
        there = [k[1] for k in keys if k in r.established]
        fill[key] = ", ".join(shown(r.change[k]) for k in keys) + f" per cent (established at {' and '.join(there)})"
    return fill


def page() -> str:
    """The page, as text: the template with tables in the place of names in braces."""
    done, asked, fill, follow, waiting = [], [], {}, [], []
    for name, study in STUDIES.items():
        found = results(study)
        if found is None:
            waiting.append(name)
            continue
        read = NAMED.get(name) or (of_decays if name.startswith("decays") else READERS[study.function])
        verdicts, fill[name] = read(study, found)
        runs = len(found["rows"]) * len(study.common.get("pairs", [0]))
        done.append([name, study.common["model"], str(runs), str(len(study.numbers)), f"{found['processor_seconds'] / 60:.1f}", f"`{found['declared_in'][:7]}`, `{found['commit'][:7]}`"])  # fmt: skip
        words = [None if v is None else (v[0], "held" if v[1] else "**failed**") for v in verdicts]
        if name.startswith("follow"):
            follow.append([name, *("—" if w is None else f"{w[0]}: {w[1]}" for w in words)])
        else:
            asked += [[name, p, *w] for p, w in zip(study.predictions, words) if w]
    fill["studies"] = table(("study", "network", "runs", "seeds", "minutes", "declared, measured"), done)
    fill["predictions"] = table(("study", "prediction", "measured", "result"), asked)
    fill["followed"] = table(("study", "1", "2", "3", "4"), follow)
    fill["follow"] = table(("study, h; batch", "loss", *FLOWS), []) + "\n" + "\n".join(
        fill[name] for name in STUDIES if name.startswith("follow") and name in fill
    )  # fmt: skip
    fill |= highlights()
    told = [cell for row in (*asked, *follow) for cell in row]
    fill["held"], fill["failed"] = (str(sum(cell.endswith(end) for cell in told)) for end in ("held", "failed**"))
    text = (ROOT / "experiments" / "page.md").read_text(encoding="utf-8")
    for name in waiting:  # with the paragraph before its table
        text = re.sub(r"(?:[^\n]+\n)+\n\{" + name + r"\}\n\n", "", text)
    names = ", ".join(f"`{name}`" for name in waiting)
    fill["waiting"] = f"Declared, and not run yet: {names}.\n\n" if waiting else ""
    for name, value in fill.items():
        text = text.replace("{" + name + "}", value)
    return text


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
