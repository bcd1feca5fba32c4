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

from bea_book import svg
from bea_book.compare import interval
from bea_book.plot import COLORS, STYLE
from experiments.report import PAGE, Decays, arrays, effects_of_noise
from experiments.studies import FLOWS, STUDIES

FOLDER = PAGE.with_suffix("")
BLUE, RED, GREY, GREEN, PURPLE = (COLORS[c] for c in ("blue", "vermilion", "grey", "green", "purple"))
BARS: Any = {"fmt": "o", "ms": 3.5, "capsize": 2, "lw": 1.2}


@contextmanager
def drawn(name: str, height: float, folder: Path, rows: int, columns: int = 1, **more: Any) -> Iterator[Any]:
    """A figure narrow enough for a phone, with the same bytes whenever it is drawn."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(5.2, height), layout="constrained", squeeze=False, **more)
        yield axes
        (folder / f"{name}.svg").write_text(svg.whole(figure), encoding="utf-8")
        plt.close(figure)


def ratios(folder: Path) -> None:
    """Measured over predicted, with intervals over seeds."""
    top: dict[str, dict[str, Any]] = {f"{b:g}, {r:g}": {} for b, r in STUDIES["response-more"].common["pairs"]}
    for case, change in arrays("response-more", "change").items():
        for k, seen in enumerate(top.values()):
            seen[case] = change[:, k, 1] / change[:, k, 0]
    noise = [(c.split()[2], effect, x) for (c, effect), x in effects_of_noise().items() if c.endswith("2e-05")]
    middle = {f"{effect}, {batch[:-1]}": {"": x[1] / x[0]} for batch, effect, x in noise}
    last = {c[4:].replace("epsilon", "ε"): {"": x} for c, x in arrays("law-adam", "ratio").items()}
    titles = ("response to (β, ρ)", "effect of a decay rate, batches of 15 or 50", "displacement of Adam, h")
    with drawn("ratios", 10.6, folder, 3, height_ratios=[10, 10, 8]) as axes:
        for ax, title, group in zip(axes[:, 0], titles, (top, middle, last)):
            for k, seen in enumerate(group.values()):
                for j, (case, values) in enumerate(seen.items()):
                    mean, half = interval(values)
                    place, label = (0.22 * (1 - j) if len(seen) > 1 else 0) - k, case if k == 0 else None
                    ax.errorbar(mean, place, xerr=half, color=(RED, BLUE, GREEN)[j], label=label, **BARS)
            ax.axvline(1, color=GREY, lw=0.8)
            ax.axvspan(0.9, 1.1, color=GREY, alpha=0.2, lw=0)
            ax.set(title=title, xlim=(-0.5, 2))
            ax.set_yticks([-k for k in range(len(group))], list(group))
        axes[0, 0].legend(ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1.08), fontsize=9)
        axes[2, 0].set(xlabel="measured / predicted", xlim=(0.85, 1.3))


def growth(folder: Path) -> None:
    """The distances at the ends of the followed runs against h."""
    with drawn("growth", 6.4, folder, 2, sharex=True) as axes:
        for network, color in zip(("tanh", "conv", "resnet", "transformer"), (BLUE, RED, GREEN, PURPLE)):
            ends: dict[float, list[Any]] = {}
            for study in STUDIES.values():
                if study.name.startswith("follow") and study.common["model"] == network:
                    for given, error in zip(study.full, arrays(study.name, "error").values()):
                        if not given["batch"]:
                            ends.setdefault(given["h"], []).extend(error[:, -1])
            for flow, ax in enumerate(axes[:, 0]):  # one term, half a step later
                for h, found in ends.items():
                    ax.plot([h] * len(found), [e[flow] for e in found], "o", ms=3, color=color)
                mean = [np.exp(np.mean([np.log(e[flow]) for e in ends[h]])) for h in sorted(ends)]
                ax.plot(sorted(ends), mean, color=color, lw=1.2, label=network)
                ax.set(xscale="log", yscale="log", ylabel="relative distance", title=FLOWS[flow])
        axes[0, 0].legend()
        axes[1, 0].set(xlabel="step size h")


def sweeps(folder: Path) -> None:
    """After the paper: the one-norm and the test accuracy over beta and over rho, for each network."""
    asked = [["decays-tanh"], ["decays-resnet", "decays-resnet-more"], ["decays-conv"]]
    for column, (letter, ticks) in enumerate((("β", (0, 0.8, 0.95, 0.99)), ("ρ", (0.9, 0.98, 0.995, 0.999)))):
        file = ("over-beta", "over-rho")[column]
        with drawn(file, 2.2 * len(asked) + 0.4, folder, len(asked), 2, sharex=True) as axes:
            for pair, names in zip(axes, asked):
                study, value = STUDIES[names[0]], Decays(*names).value["h = 0.001"]
                pairs = study.common["pairs"]
                chosen = sorted((p for p in pairs if p[1 - column] == (0.999, 0.9)[column]), key=lambda p: p[column])
                usual, new = (value[:, :, [pairs.index(p) for p in of]] for of in ([[0.9, 0.999]], chosen))
                for ax, change in zip(pair, ((100 * (new / usual - 1))[..., 0], (new - usual)[..., 5])):
                    for k, color in enumerate((GREY, BLUE, RED)):
                        x = [1.06 ** (k - 1) / (1 - p[column]) for p in chosen]
                        ax.plot(x, change[:, k].mean(axis=0), color=color, lw=1.2)
                        ax.errorbar(
                            x, *interval(change[:, k]), color=color, label=f"E/E₀ = {study.levels[k]:g}", **BARS
                        )
                    ax.axhline(0, color="black", lw=0.8)
                    ax.set(xscale="log")
                    ax.set_xticks([1 / (1 - v) for v in ticks], [f"{v:g}" for v in ticks])
                    ax.minorticks_off()
                pair[0].set_title(f"{study.common['model']}: one-norm, %", fontsize=10)
                pair[1].set_title("accuracy, points", fontsize=10)
            axes[0, 1 - column].legend(fontsize=8)
            for ax in axes[-1]:
                ax.set_xlabel(letter)


def draw(folder: Path = FOLDER) -> None:
    """Draw all of them."""
    folder.mkdir(exist_ok=True)
    for figure in (ratios, growth, sweeps):
        figure(folder)
