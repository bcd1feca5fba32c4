"""One figure style, and the same roles in every figure of the book: dots for iterates, grey for the
plain flow, a full line for the modified flow."""

from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator

__all__ = [
    "COLORS",
    "error_lines",
    "figure",
    "iterates",
    "level_sets",
    "line",
    "modified_flow",
    "plain_flow",
    "slope_triangle",
]

#: The palette of Okabe and Ito (2008), by name, which readers with any of the common colour vision
#: deficiencies can tell apart, in print too.
COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#7A7A7A",
}

STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "lines.linewidth": 1.8,
    "axes.prop_cycle": plt.cycler(
        color=[
            COLORS[c] for c in ("blue", "vermilion", "green", "orange", "purple", "sky", "black")
        ]
    ),
}


@contextmanager
def figure(columns=1, *, width=None, height=3.6, rows=1, **options):
    """A figure with axes in the book's style, shown when the block ends: ``with figure(2) as (left,
    right): ...``.

    ``columns`` and ``rows`` of axes; ``width`` and ``height`` in inches (the width follows from the
    columns if it is not given). Further options go to ``matplotlib.pyplot.subplots``.  Yields one
    Axes, or an array of them.
    """
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(
            rows,
            columns,
            figsize=(width or 4.4 * columns + 0.8 * (columns == 1), height),
            layout="constrained",
            **options,
        )
        yield axes
        plt.show()


def iterates(ax, path, *, color=COLORS["vermilion"], label=None, size=4):
    """The optimizer's iterates, an array (steps + 1, 2), as dots."""
    ax.plot(path[:, 0], path[:, 1], "o", ms=size, mew=0, color=color, label=label, zorder=4)


def plain_flow(ax, path, *, label=None):
    """The flow that the optimizer imitates (gradient flow, for instance), as a thin grey line."""
    ax.plot(path[:, 0], path[:, 1], color=COLORS["grey"], lw=1.2, label=label, zorder=2)


def modified_flow(ax, path, *, color=COLORS["blue"], label=None):
    """The flow of a modified equation, as a full line."""
    ax.plot(path[:, 0], path[:, 1], color=color, lw=2, label=label, zorder=3)


def line(ax, x, y, text, *, color, at=-1, offset=(5, 0), style="-", **options):
    """A curve with its name written beside it, at the point with index ``at``, shifted by
    ``offset`` points."""
    ax.plot(x, y, style, color=color, **options)
    if text:
        ax.annotate(
            text,
            (np.asarray(x)[at], np.asarray(y)[at]),
            xytext=offset,
            textcoords="offset points",
            color=color,
            va="center",
        )


def level_sets(ax, function, xlim, ylim, *, levels=12, points=201):
    """Thin level lines of ``function``, which takes points (n, 2) to n values (a loss's ``value``,
    a norm of its gradient)."""
    x, y = np.linspace(*xlim, points), np.linspace(*ylim, points)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = function(grid.reshape(-1, 2)).reshape(points, points)
    ax.contour(x, y, values, levels=levels, colors="#BBBBBB", linewidths=0.7, zorder=1)
    ax.set(xlim=xlim, ylim=ylim)


def error_lines(ax, studies, *, ylabel="largest error over the run"):
    """Error against step size, doubly logarithmic, for a mapping from name to
    :class:`bea.orders.Study`; each name stands beside its line."""
    palette = [COLORS[c] for c in ("blue", "vermilion", "green", "orange", "purple", "black")]
    ax.set(xscale="log", yscale="log", xlabel="step size h", ylabel=ylabel)
    for study, color in zip(studies.values(), palette):
        ax.plot(study.hs, study.errors, "o-", ms=4, color=color)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high * (high / low) ** 0.45)  # room for the names
    ax.xaxis.set_minor_formatter(NullFormatter())
    if len({tuple(study.hs) for study in studies.values()}) == 1:
        hs = next(iter(studies.values())).hs
        shown = hs if len(hs) <= 4 else hs[::2]
        ax.set_xticks(shown, [f"{h:g}" for h in shown])
        ax.xaxis.set_minor_locator(NullLocator())
    ends = (
        np.array(
            [ax.transData.transform((study.hs[0], study.errors[0])) for study in studies.values()]
        )
        * 72
        / ax.figure.dpi
    )
    heights = _spread(ends[:, 1], 2.5 * plt.rcParams["font.size"])
    for (name, study), color, (_, end), height in zip(studies.items(), palette, ends, heights):
        ax.annotate(
            f"{name}\nslope {study.slope:.2f}",
            (study.hs[0], study.errors[0]),
            xytext=(7, height - end),
            textcoords="offset points",
            color=color,
            va="center",
        )


def _spread(heights, gap):
    """``heights`` moved apart until neighbours are at least ``gap`` apart, each group about its own
    middle."""
    order = np.argsort(heights)
    groups = [[heights[i]] for i in order]
    centres = [heights[i] for i in order]
    k = 0
    while k < len(groups) - 1:
        if centres[k + 1] - centres[k] < gap * (len(groups[k]) + len(groups[k + 1])) / 2:
            groups[k] += groups.pop(k + 1)
            centres[k : k + 2] = [float(np.mean(groups[k]))]
            k = max(k - 1, 0)
        else:
            k += 1
    placed = [
        centre + gap * (i - (len(group) - 1) / 2)
        for group, centre in zip(groups, centres)
        for i in range(len(group))
    ]
    result = np.empty(len(heights))
    result[order] = placed
    return result


def slope_triangle(ax, x, y, slope, *, factor=2):
    """A small triangle of the given slope on doubly logarithmic axes, its lower left corner at (x,
    y)."""
    ax.plot(
        [x, x * factor, x * factor, x], [y, y, y * factor**slope, y], color=COLORS["grey"], lw=1
    )
    ax.annotate(
        f"{slope:g}",
        (x * factor, y * factor ** (slope / 2)),
        xytext=(4, 0),
        textcoords="offset points",
        color=COLORS["grey"],
        va="center",
    )
