"""One style for all figures of the book: dots for iterates, a grey line for the leading-order flow, a
solid coloured line for the modified flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator
from numpy.typing import ArrayLike

from bea import Study
from bea_book import svg
from bea_book.svg import COLORS

__all__ = [
    "error_lines",
    "figure",
    "iterates",
    "level_sets",
    "line",
    "modified_flow",
    "plain_flow",
    "slope_triangle",
]

STYLE: Any = {
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
    "axes.prop_cycle": cycler(
        color=[COLORS[c] for c in ("blue", "vermilion", "green", "orange", "purple", "sky", "black")]
    ),
}


@contextmanager
def figure(
    columns: int = 1,
    *,
    width: float | None = None,
    height: float = 3.6,
    rows: int = 1,
    **options: Any,
) -> Iterator[Any]:
    """Make a figure in the book's style: ``with figure(2) as (left, right): ...``.

    The figure is shown when the block ends, in a notebook as SVG.

    Parameters
    ----------
    columns : int
        How many axes beside one another.
    width, height : float, optional
        In inches; without a width, it follows from the columns.
    rows : int
        How many axes below one another.
    **options
        For ``matplotlib.pyplot.subplots``.

    Yields
    ------
    Axes, or an array of them

    Examples
    --------
    >>> with figure(2) as (left, right):
    ...     title = right.set_title("Errors")
    """
    with plt.rc_context(STYLE):
        shown, axes = plt.subplots(
            rows,
            columns,
            figsize=(width or 4.4 * columns + 0.8 * (columns == 1), height),
            layout="constrained",
            **options,
        )
        yield axes
        if not plt.get_backend().endswith("inline"):
            plt.show()
            return
        from IPython.display import display

        display({"image/svg+xml": svg.whole(shown), "text/plain": repr(shown)}, raw=True)
        plt.close(shown)


def iterates(
    ax: Axes,
    path: np.ndarray,
    *,
    color: str = COLORS["vermilion"],
    label: str | None = None,
    size: float = 4,
) -> None:
    """Draw an optimizer's iterates as dots.

    Parameters
    ----------
    ax : Axes
    path : array (steps + 1, 2)
    color, label : str, optional
    size : float
        Of the dots, in points.

    Raises
    ------
    ValueError
        If the path is not that of one run in a plane.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> iterates(ax, np.array([[1.0, 0.0], [0.9, 0.2]]))
    >>> ax.lines[0].get_marker()
    'o'
    """
    ax.plot(*_plane(path), "o", ms=size, mew=0, color=color, label=label, zorder=4)


def plain_flow(ax: Axes, path: np.ndarray, *, label: str | None = None) -> None:
    """Draw the leading-order flow, such as gradient flow, as a thin grey line.

    Parameters
    ----------
    ax : Axes
    path : array (points, 2)
    label : str, optional

    Raises
    ------
    ValueError
        If the path is not that of one flow in a plane.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> plain_flow(ax, np.array([[1.0, 0.0], [0.9, 0.2]]), label="gradient flow")
    >>> ax.lines[0].get_color() == COLORS["grey"]
    True
    """
    ax.plot(*_plane(path), color=COLORS["grey"], lw=1.2, label=label, zorder=2)


def modified_flow(ax: Axes, path: np.ndarray, *, color: str = COLORS["blue"], label: str | None = None) -> None:
    """Draw the flow of a modified equation as a solid line.

    Parameters
    ----------
    ax : Axes
    path : array (points, 2)
    color, label : str, optional

    Raises
    ------
    ValueError
        If the path is not that of one flow in a plane.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> modified_flow(ax, np.array([[1.0, 0.0], [0.9, 0.2]]))
    >>> ax.lines[0].get_color() == COLORS["blue"]
    True
    """
    ax.plot(*_plane(path), color=color, lw=2, label=label, zorder=3)


def _plane(path: ArrayLike) -> np.ndarray:
    """The two coordinates of a path."""
    path = np.asarray(path)
    if path.ndim != 2 or path.shape[1] != 2:
        raise ValueError(
            f"a path of shape {path.shape} was given; allowed is (points, 2): of a batch draw the runs "
            "one by one, of more coordinates choose two"
        )
    return path.T


def line(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    text: str,
    *,
    color: str,
    at: int = -1,
    offset: tuple[float, float] = (5, 0),
    style: str = "-",
    **options: Any,
) -> None:
    """Draw a curve with its name beside it.

    Parameters
    ----------
    ax : Axes
    x, y : array (points,)
    text : str
        The name; none if it is empty.
    color : str
    at : int
        The index of the point beside which the name is written.
    offset : tuple of float
        From that point to the name, in points.
    style : str
        Matplotlib's format of the line.
    **options
        For ``Axes.plot``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> line(ax, [0, 1], [0, 2], "a line", color="black")
    >>> ax.texts[0].get_text()
    'a line'
    """
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


def level_sets(
    ax: Axes,
    function: Callable[[np.ndarray], np.ndarray],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    *,
    levels: int | Sequence[float] = 12,
    points: int = 201,
) -> None:
    """Draw thin level lines of a function.

    Parameters
    ----------
    ax : Axes
    function : callable
        From points (n, 2) to values (n,), such as a loss's ``value``.
    xlim, ylim : tuple of float
        The limits of the axes.
    levels : int or sequence of float
    points : int
        How many points of the grid on each axis.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> level_sets(ax, lambda x: x[:, 0] ** 2 + x[:, 1] ** 2, (-1, 1), (0, 2))
    >>> len(ax.collections)
    1
    """
    x, y = np.linspace(*xlim, points), np.linspace(*ylim, points)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = function(grid.reshape(-1, 2)).reshape(points, points)
    ax.contour(x, y, values, levels=levels, colors="#BBBBBB", linewidths=0.7, zorder=1)
    ax.set(xlim=xlim, ylim=ylim)


def error_lines(ax: Axes, studies: Mapping[str, Study], *, ylabel: str = "largest error over the run") -> None:
    """Draw errors against step sizes on log-log axes, each line with its name and observed order.

    Parameters
    ----------
    ax : Axes
    studies : mapping from str to bea.Study
        One to six; each has a colour of its own.
    ylabel : str

    Raises
    ------
    ValueError
        If there is none, or more than have colours.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> hs = np.array([0.1, 0.05])
    >>> error_lines(ax, {"order two": Study(hs, hs**2)})
    >>> ax.texts[0].get_text()
    'order two\\nslope 2.00'
    """
    palette = [COLORS[c] for c in ("blue", "vermilion", "green", "orange", "purple", "black")]
    if not 0 < len(studies) <= len(palette):
        raise ValueError(f"{len(studies)} studies were given; allowed are 1 to {len(palette)} on the same axes")
    ax.set(xscale="log", yscale="log", xlabel="step size h", ylabel=ylabel)
    for study, color in zip(studies.values(), palette):
        ax.plot(study.hs, study.errors, "o-", ms=4, color=color)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high * (high / low) ** 0.45)  # room for the names
    ax.xaxis.set_minor_formatter(NullFormatter())
    if len({tuple(study.hs) for study in studies.values()}) == 1:
        hs = next(iter(studies.values())).hs
        shown = hs if len(hs) <= 4 else hs[::2]
        ax.set_xticks(shown, [f"{h:.3g}" for h in shown])
        ax.xaxis.set_minor_locator(NullLocator())
    firsts = [(study.hs[0], study.errors[0]) for study in studies.values()]
    ends = ax.transData.transform(firsts)[:, 1] * 72 / ax.figure.dpi
    heights = _spread(ends, 2.5 * plt.rcParams["font.size"])
    for name, study, color, first, end, height in zip(studies, studies.values(), palette, firsts, ends, heights):
        ax.annotate(
            f"{name}\nslope {study.slope:.2f}",
            first,
            xytext=(7, height - end),
            textcoords="offset points",
            color=color,
            va="center",
        )


def _spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """Heights moved apart until neighbours are at least ``gap`` apart, each group about its middle."""
    order = np.argsort(heights)
    groups = [[float(heights[i])] for i in order]
    centres = [float(heights[i]) for i in order]
    k = 0
    while k < len(groups) - 1:
        if centres[k + 1] - centres[k] < gap * (len(groups[k]) + len(groups[k + 1])) / 2:
            groups[k] += groups.pop(k + 1)
            centres[k : k + 2] = [float(np.mean(groups[k]))]
            k = max(k - 1, 0)
        else:
            k += 1
    result = np.empty(len(heights))
    result[order] = [
        centre + gap * (i - (len(group) - 1) / 2) for group, centre in zip(groups, centres) for i in range(len(group))
    ]
    return result


def slope_triangle(ax: Axes, x: float, y: float, slope: float, *, factor: float = 2) -> None:
    """Draw a small triangle of a given slope on log-log axes.

    Parameters
    ----------
    ax : Axes
    x, y : float
        The lower left corner.
    slope : float
    factor : float
        The quotient of the abscissas of its corners.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> slope_triangle(ax, 0.01, 1e-4, slope=2)
    >>> ax.texts[0].get_text()
    '2'
    """
    top, right = y * factor**slope, x * factor
    ax.plot([x, right, right, x], [y, y, top, y], color=COLORS["grey"], lw=1)
    ax.annotate(
        f"{slope:g}",
        (right, y * factor ** (slope / 2)),
        xytext=(4, 0),
        textcoords="offset points",
        color=COLORS["grey"],
        va="center",
    )
