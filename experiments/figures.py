"""The figures of the page of evidence, as SVG files in chapters/evidence; drawn by `python -m experiments.report`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np

from bea_book.compare import interval
from bea_book.plot import COLORS, STYLE
from experiments.report import PAGE, Decays, arrays, effects_of_noise, results
from experiments.studies import STUDIES

FOLDER = PAGE.with_suffix("")
BLUE, RED, GREY, GREEN = (COLORS[c] for c in ("blue", "vermilion", "grey", "green"))


@contextmanager
def drawn(
    name: str, height: float, rows: int, columns: int = 1, folder: Path = FOLDER, **options: Any
) -> Iterator[Any]:
    """A figure narrow enough for a phone, with the same bytes whenever it is drawn."""
    with plt.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = plt.subplots(
            rows, columns, figsize=(5.2, height), layout="constrained", squeeze=False, **options
        )
        yield axes
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def ratios(folder: Path) -> None:
    """Measured over predicted, with intervals over seeds."""
    study = "response-more" if results("response-more")["rows"] else "response"
    groups = [[(f"{b:g}, {r:g}", {}) for b, r in STUDIES[study].common["pairs"]], [], []]
    for case, change in arrays(study, "change").items():
        for k, (_, seen) in enumerate(groups[0]):
            seen[case] = change[:, k, 1] / change[:, k, 0]
    for (case, effect), (told, found, _) in effects_of_noise().items():
        if case.endswith("2e-05"):
            groups[1].append((f"{effect}, {case.split(',')[0].split()[-1]}", {case: found / told}))
    for case, ratio in arrays("law-adam", "ratio").items():
        groups[2].append((case, {case: ratio}))
    titles = ("response to (β, ρ), full batch", "effect of one decay rate; size of batch", "displacement of Adam")
    with drawn("ratios", 10.4, 3, folder=folder, height_ratios=[len(g) + 2 for g in groups]) as axes:
        for ax, group, title in zip(axes[:, 0], groups, titles):
            for k, (_, seen) in enumerate(group):
                for (case, values), color, shift in zip(
                    seen.items(),
                    (GREY, BLUE, RED) if len(seen) > 1 else (RED,),
                    (0.22, 0, -0.22) if len(seen) > 1 else (0,),
                ):
                    mean, half = interval(values)
                    ax.errorbar(
                        mean,
                        shift - k,
                        xerr=half,
                        fmt="o",
                        ms=4,
                        capsize=2,
                        lw=1.2,
                        color=color,
                        label=case if k == 0 else None,
                    )
            ax.axvline(1, color="black", lw=0.8)
            ax.axvspan(0.9, 1.1, color=GREY, alpha=0.2, lw=0)
            ax.set(title=title, xlim=(-0.5, 2))
            ax.set_yticks([-k for k in range(len(group))], [name for name, _ in group])
        axes[0, 0].legend(loc="lower right")
        axes[2, 0].set(xlabel="measured / predicted", xlim=(0.9, 1.5))


def growth(folder: Path) -> None:
    """The distances at the ends of the followed runs against h."""
    with drawn("growth", 6.4, 2, folder=folder, sharex=True) as axes:
        for network, color in zip(("tanh", "conv", "resnet", "transformer"), (BLUE, RED, GREEN, "black")):
            ends: dict[float, list[Any]] = {}
            for study in STUDIES.values():
                if study.function == "follow" and study.common["model"] == network and "parts" not in study.common:
                    for case, error in arrays(study.name, "error").items():
                        if not study.cases[case]["batch"]:
                            ends.setdefault(study.cases[case]["h"], []).extend(error[:, -1])
            for ax, flow in zip(axes[:, 0], (0, 1)):
                for h, found in sorted(ends.items()):
                    ax.plot([h] * len(found), [e[flow] for e in found], "o", ms=3, color=color)
                mean = [np.exp(np.mean([np.log(e[flow]) for e in ends[h]])) for h in sorted(ends)]
                ax.plot(sorted(ends), mean, color=color, lw=1.2, label=network)
        for ax, title in zip(axes[:, 0], ("one term", "half a step later")):
            ax.set(xscale="log", yscale="log", ylabel="relative distance", title=title)
        axes[0, 0].legend()
        axes[1, 0].set(xlabel="step size h")


def sweeps(folder: Path) -> None:
    """After the paper: the one-norm and the test accuracy over beta and over rho, for each network."""
    names = [
        n for n in ("decays-tanh", "decays-conv", "decays-resnet-sweep", "decays-transformer") if results(n)["rows"]
    ]
    for column, letter in enumerate("βρ"):
        with drawn(
            f"over-{('beta', 'rho')[column]}", 2.2 * len(names) + 0.4, len(names), 2, folder, sharex=True
        ) as axes:
            for (left, right), name in zip(axes, names):
                pairs, value = STUDIES[name].common["pairs"], Decays(name).value["h = 0.001"]
                chosen = sorted((p for p in pairs if p[1 - column] == (0.999, 0.9)[column]), key=lambda p: p[column])
                usual = value[:, :, [pairs.index([0.9, 0.999])]]
                for k, color in enumerate((GREY, BLUE, RED)):
                    new = value[:, :, [pairs.index(p) for p in chosen]]
                    for ax, change in ((left, 100 * (new / usual - 1)[:, k, :, 0]), (right, (new - usual)[:, k, :, 5])):
                        x = [1.06 ** (k - 1) / (1 - p[column]) for p in chosen]
                        ax.errorbar(
                            x,
                            *interval(change),
                            fmt="o-",
                            ms=3,
                            lw=1.2,
                            capsize=2,
                            color=color,
                            label=f"E/E₀ = {(0.5, 0.2, 0.05)[k]:g}",
                        )
                for ax in (left, right):
                    ax.axhline(0, color="black", lw=0.8)
                    ax.set(xscale="log")
                    ax.set_xticks(
                        [1 / (1 - v) for v in ((0, 0.8, 0.98), (0.9, 0.98, 0.999))[column]],
                        (("0", "0.8", "0.98"), ("0.9", "0.98", "0.999"))[column],
                    )
                    ax.minorticks_off()
                left.set_title(STUDIES[name].common["model"] + ": one-norm, %", fontsize=10)
                right.set_title("accuracy, points", fontsize=10)
            axes[0, 0].legend(fontsize=8)
            for ax in axes[-1]:
                ax.set_xlabel(letter)


def draw(folder: Path = FOLDER) -> None:
    """Draw all of them."""
    folder.mkdir(exist_ok=True)
    for figure in (ratios, growth, sweeps):
        figure(folder)
