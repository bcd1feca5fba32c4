"""A phase plane whose start a reader drags, beside sliders that move continuously.

The figure is computed in the reader's browser.  In print, and where no script runs, it is a picture.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, get_type_hints

import numpy as np

from bea import Decay, Divergence, Optimizer, VectorField, flow, modified_equation, run
from bea_book.explore import LARGEST, SYMBOLS
from bea_book.live.traces import engine, loss_data, program_data

__all__ = ["LiveFigure", "figure"]

#: The colour and the dashes of the flow with so many terms, and of the one that keeps its memory.
FLOWS: dict[int | str, tuple[str, str]] = {
    1: ("grey", "none"),
    2: ("green", "none"),
    3: ("purple", "7 3"),
    4: ("blue", "2 3"),
    "kept": ("blue", "none"),
}
NAMES: dict[int | str, str] = {
    1: "leading-order flow",
    2: "with two terms",
    3: "with three terms",
    4: "with four terms",
    "kept": "memory kept",
}
SIDES = (560, 400)  # of the drawing, as figure.js has it


@dataclass(frozen=True)
class LiveFigure:
    """A live figure, made by :func:`figure`; a notebook shows it at the end of a cell.

    Parameters
    ----------
    data : mapping
        What the script needs: the traces, the start, the sliders.
    look, ask, alt : str
        What to look for, a question that moving the figure answers, and the picture in words.
    still : str
        The picture at the start as an SVG file, for print.

    Examples
    --------
    >>> import bea
    >>> live = figure(bea.gradient_descent(), bea.quadratic([1, 4]), (1.0, 0.5), h=0.2, time=2.0,
    ...     window=((-1, 2), (-1, 1)), sliders={"h": (0.01, 0.4)}, look="Dots.", ask="Where?", alt="A bowl")
    >>> live.data["terms"], live.data["values"]
    ([1, 2, 3], {'h': 0.2})
    """

    data: Mapping[str, Any] = field(repr=False)
    look: str
    ask: str
    alt: str
    still: str = field(repr=False)

    def page(self) -> str:
        """Return the figure as HTML with its own style and script: no kernel, no network.

        Its identifier, which links to it contain, follows from what it shows and says and not from the code that
        draws it: the same figure gives the same text, and a link outlives a new version of the script.

        Returns
        -------
        str
        """
        data = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
        body = (
            f'<p class="bea-look"><b>Look for:</b> {html.escape(self.look)}</p>'
            f'<div class="bea-stage"><div class="bea-figure">{self._drawing()}</div>'
            f'<div class="bea-side">{self._controls()}{self._results()}</div></div>'
            f'<p class="bea-ask"><b>Move it to answer:</b> {html.escape(self.ask)}</p>'
            f'<script type="application/json">{data}</script>'
        )
        name = "live-" + hashlib.sha256((data + self.look + self.ask).encode()).hexdigest()[:8]
        body, script = body.replace("ID-", f"{name}-"), _script().replace('"ID"', f'"{name}"')
        style = _asset("explore.css").replace(".bea-explorer", ".bea-live") + _asset("live/figure.css")
        return f'<div class="bea-live" id="{name}"><style>{style}</style>{body}<script>{script}</script></div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "text/html": self.page(),
            "image/svg+xml": self.still,
            "text/plain": f"Live figure: {self.alt}",
        }

    def _drawing(self) -> str:
        """The parts of the picture, which the script fills."""
        guess, miss = (_GUESS, _MISS) if self.data["predict"] else ("", "")
        flows = "".join(
            f'<path data-part="flow-{k}" fill="none" stroke="var(--bea-{FLOWS[k][0]})" stroke-width="2" '
            f'stroke-dasharray="{FLOWS[k][1]}"/>'
            for k in _flows(self.data)
        )
        width, height = SIDES
        first, second = self.data["coordinates"]
        low, high = self.data["window"][0]
        size = f'viewBox="0 0 {width} {height}" style="max-width:{1.4 * width:.0f}px"'
        return (
            f'<svg {size} role="group" aria-label="{html.escape(self.alt)}">'
            f'<clipPath id="ID-box"><rect x="46" y="10" width="{width - 56}" height="{height - 50}"/></clipPath>'
            '<g clip-path="url(#ID-box)"><path data-part="run" fill="none" stroke="var(--bea-vermilion)" '
            f'stroke-width="6" stroke-linecap="round"/>{flows}{miss}</g>'
            '<g data-part="start" tabindex="0" role="slider" aria-label="Start of the run; arrow keys move it" '
            f'aria-valuemin="{low:g}" aria-valuemax="{high:g}" aria-valuenow="{self.data["start"][0]:g}">'
            '<circle r="22" fill="transparent"/>'
            '<circle r="8" fill="currentColor" stroke="var(--bea-vermilion)" stroke-width="3"/></g>'
            f"{guess}</svg>"
            # what stays has a layer of its own, which is painted once
            f'<svg {size} class="bea-still" aria-hidden="true"><path data-part="levels" fill="none" '
            'stroke="var(--bea-level)" stroke-width="0.7"/>'
            f'<path d="M46 10V{height - 40}H{width - 10}" fill="none" stroke="currentColor"/><g data-part="axes"></g>'
            f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">{html.escape(first)}</text>'
            f'<text x="2" y="{height / 2 - 20}">{html.escape(second)}</text></svg>'
        )

    def _controls(self) -> str:
        sliders = "".join(
            f'<p class="bea-slider"><label for="ID-{name}">{SYMBOLS.get(name, name)}</label>'
            f'<input type="range" id="ID-{name}" data-slider="{name}" min="0" max="1" step="any">'
            f'<output for="ID-{name}" aria-live="off" data-shown="{name}"></output></p>'
            for name in self.data["sliders"]
        )
        memory = (
            '<p><label><input type="checkbox" data-part="empty"> empty memory at the start</label></p>'
            if self.data["remembers"]
            else ""
        )
        asking = (
            f'<div data-part="asking"><p><b>Predict first:</b> {html.escape(self.data["predict"])} '
            "Drag the square there, or move it with the arrow keys.</p>"
            '<p class="bea-buttons"><button type="button" data-part="show">Show</button> '
            '<button type="button" data-part="skip">Skip</button></p></div><p data-part="guessed"></p>'
            if self.data["predict"]
            else ""
        )
        return f'<p data-part="link" hidden></p>{asking}{sliders}{memory}'

    def _results(self) -> str:
        swatch = '<svg class="bea-swatch" viewBox="0 0 32 12" aria-hidden="true">'
        dots = 'stroke="var(--bea-vermilion)" stroke-width="6" stroke-linecap="round"'
        first = f'<tr><td>{swatch}<path d="M4 6h0m12 0h0m12 0h0" {dots}/></svg></td><th scope="row" data-part="dots">iterates</th></tr>'
        rows = first + "".join(
            f'<tr><td>{swatch}<path d="M0 6H32" '
            f'stroke="var(--bea-{FLOWS[k][0]})" stroke-width="2.5" stroke-dasharray="{FLOWS[k][1]}"/></svg></td>'
            f'<th scope="row">{NAMES[k]}</th><td data-part="distance-{k}"></td></tr>'
            for k in _flows(self.data)
        )
        return (
            f"<table><caption>Distance of the last iterate from the end of each flow</caption><tbody>{rows}</tbody></table>"
            '<p data-part="count"></p><p data-part="end"></p>'
            '<p class="bea-buttons"><button type="button" data-part="reset">Reset</button></p><p class="bea-unseen" data-part="status" role="status" aria-live="polite"></p>'
        )


def figure(
    optimizer: Optimizer,
    loss: Any,
    start: Sequence[float],
    *,
    h: float,
    time: float,
    window: Sequence[Sequence[float]],
    sliders: Mapping[str, Sequence[float]],
    look: str,
    ask: str,
    alt: str,
    terms: Sequence[int] = (1, 2, 3),
    empty: bool = False,
    levels: int = 12,
    kept: int = 0,
    first: int = 0,
    predict: str = "",
) -> LiveFigure:
    """Return a live phase plane: the iterates of an optimizer beside the flows of its modified equations.

    A run begins at the start that the reader drags, and makes as many steps as fit into the time.  Its
    memory is that of the slow manifold, as :meth:`bea.modified.ModifiedEquation.memory` has it with the largest
    number of terms, or empty, as the reader chooses.

    Parameters
    ----------
    optimizer : Optimizer
        Its hyper-parameters, except zeros, are those that sliders begin with.
    loss : loss
        In two coordinates; see :func:`bea_book.live.loss_data`.
    start : two floats
    h : float
        The step size at the start.
    time : float
        The length of every run.
    window : ((low, high), (low, high))
        The limits of the axes, inside which the start stays.
    sliders : mapping from str to (low, high)
        The ranges of ``"h"`` and of hyper-parameters.
    look, ask, alt : str
        What to look for, a question that moving the figure answers, and the picture in words.
    terms : sequence of int
        The numbers of terms of the modified equations that are drawn, 1 to 4.
    empty : bool
        Whether the memory is empty at the start.
    levels : int
        How many level lines of the loss are drawn.
    kept, first : int
        The number of terms of a flow that keeps its memory, 0 for none, and the step of the run at which
        it starts: with bias correction and an empty memory, not at 0.
    predict : str
        A question that the reader answers first, by dragging a square to where the run ends; until then
        only the leading-order flow is shown.

    Returns
    -------
    LiveFigure

    Raises
    ------
    TypeError, ValueError
        If the loss or the program cannot be traced, the loss does not have two coordinates, or a slider
        belongs to nothing that can be moved, or does not contain the value at the start; if a text is
        empty; or if the page would weigh more than 60 kB compressed.

    Examples
    --------
    >>> import bea
    >>> live = figure(bea.heavy_ball(0.5), bea.bilinear(), (2.0, 1.5), h=0.01, time=0.5,
    ...     window=((0, 3), (0, 3)), sliders={"h": (1e-3, 0.05), "beta": (0, 0.9)}, terms=(1, 2),
    ...     look="The dots leave the grey line.", ask="For which β most?", alt="A curved valley")
    >>> live.data["sliders"]["beta"]
    {'low': 0.0, 'high': 0.9, 'scale': 'decay'}
    """
    _check_words({"look": look, "ask": ask, "alt": alt})
    if loss.dimension != 2 or len(start) != 2:
        raise ValueError(f"a phase plane needs two coordinates, not {loss.dimension}")
    if not terms or not set(terms) <= {1, 2, 3, 4} or kept not in range(5):
        raise ValueError(f"terms = {terms!r} must be some of 1 to 4, and kept = {kept!r} one of them or 0")
    program = program_data(optimizer, 2)
    values = {"h": float(h), **program["given"]}
    names = [str(s) for s in loss.symbols] if hasattr(loss, "symbols") else ["theta_1", "theta_2"]
    data = {
        "program": program,
        "loss": loss_data(loss),
        "levels": _levels(loss, window, levels),
        "coordinates": [re.sub(r"^theta_?", "θ", name) for name in names],
        "window": [[float(x) for x in side] for side in window],
        "time": float(time),
        "terms": [int(k) for k in terms],
        "kept": int(kept),
        "first": int(first),
        "predict": predict,
        "start": [float(x) for x in start],
        "values": values,
        "sliders": {name: _slider(optimizer, name, values, ends) for name, ends in sliders.items()},
        "empty": bool(empty),
        "remembers": any(name in ("average", "previous") for name, *_ in program["operations"]),
    }
    data["names"] = {str(k): NAMES[k] for k in _flows(data)}
    found = LiveFigure(data, look, ask, alt, "")
    weight = len(gzip.compress(found.page().encode()))
    if weight > LARGEST:
        raise ValueError(
            f"the figure weighs {weight} bytes compressed, more than {LARGEST}: its loss has too many operations"
        )
    return replace(found, still=_picture(optimizer, loss, data))


_MISS = '<path data-part="miss" stroke="currentColor" stroke-dasharray="4 4"/>'
_GUESS = (
    '<g data-part="guess" tabindex="0" role="slider" aria-label="Prediction; arrow keys move it" '
    'aria-valuemin="0" aria-valuemax="0" aria-valuenow="0"><circle r="22" fill="transparent"/>'
    '<path d="M-8-8H8V8H-8Z" fill="var(--bea-yellow)" fill-opacity="0.7" stroke="currentColor" stroke-width="2"/></g>'
)


def _flows(data: Mapping[str, Any]) -> list[int | str]:
    return [*data["terms"], *(["kept"] if data["kept"] else [])]


def _check_words(words: Mapping[str, str]) -> None:
    for name, text in words.items():
        if not text.strip():
            raise ValueError(f"{name} is empty; a reader needs that sentence")


def _slider(optimizer: Optimizer, name: str, values: Mapping[str, float], ends: Sequence[float]) -> dict[str, Any]:
    """The ends of a slider and its scale: decays by the logarithm of one minus the decay, others by their own if it has one."""
    if name not in values:
        raise ValueError(f"no slider can move {name!r}; there are {', '.join(values)}")
    low, high = map(float, ends)
    if not low < high or not low <= values[name] <= high:
        raise ValueError(f"the slider of {name} is from {low} to {high}, and begins at {values[name]}")
    hints = get_type_hints(optimizer.program.__wrapped__, include_extras=True)  # type: ignore[attr-defined]
    scale = "decay" if hints.get(name) == Decay else "log" if low > 0 else "linear"
    return {"low": low, "high": high, "scale": scale}


def _levels(loss: Any, window: Any, count: int) -> list[float]:
    """Levels between which there is about the same area, with few digits."""
    if isinstance(loss, VectorField):
        return []
    axes = (np.linspace(low, high, 61) for low, high in window)
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    found = np.quantile(loss.value(grid), (np.arange(count) + 0.5) / count)
    return sorted({float(f"{level:.3g}") for level in found})


def _picture(optimizer: Optimizer, loss: Any, data: Mapping[str, Any]) -> str:
    """The figure at its start, for print."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bea_book import plot, svg

    start, h = np.array(data["start"]), data["values"]["h"]
    steps = max(1, round(data["time"] / h))
    most = modified_equation(optimizer, loss, max(data["terms"]))
    memory = None if data["empty"] or not data["remembers"] else most.memory(start, h)
    with rc_context(plot.STYLE):
        picture = Figure((4.8, 3.6), layout="constrained")
        FigureCanvasAgg(picture)
        ax = picture.subplots()
        if data["levels"]:
            plot.level_sets(ax, loss.value, *data["window"], levels=data["levels"])
        smooth = {"tolerance": 1e-7, "per_step": -(-120 // steps)}
        for k in _flows(data):
            if isinstance(k, str):  # the one that keeps its memory
                kept = modified_equation(optimizer, loss, data["kept"], memory="kept")
                path = _as_far(flow, kept, start, h, steps, first=data["first"], **smooth)
            else:
                path = _as_far(flow, modified_equation(optimizer, loss, k), start, h, steps, **smooth)
            color, dashes = FLOWS[k]
            style = "-" if dashes == "none" else (0, tuple(map(float, dashes.split())))
            ax.plot(*path.T, color=plot.COLORS[color], ls=style, label=NAMES[k], zorder=5)
        plot.iterates(ax, _as_far(run, optimizer, loss, start, h, steps, memory=memory), label="iterates")
        ax.set(xlim=data["window"][0], ylim=data["window"][1])
        ax.set_xlabel(data["coordinates"][0])
        ax.set_ylabel(data["coordinates"][1], rotation=0)
        shown = [f"{SYMBOLS.get(name, name)} = {value:.3g}" for name, value in data["values"].items()]
        ax.set_title("\n".join(",  ".join(shown[n : n + 5]) for n in range(0, len(shown), 5)))
        ax.legend()
        return svg.whole(picture)


def _as_far(compute: Any, *arguments: Any, **options: Any) -> np.ndarray:
    """A path, up to where it diverges."""
    try:
        return compute(*arguments, **options)
    except Divergence as divergence:
        return divergence.path


def _script() -> str:
    """The engine and the figure as one script, which starts the figure with the name ID."""
    text = re.sub(
        r"import (\{.*\}) from .*;",
        lambda found: f"const {found[1]} = (() => {{\n{engine()}return {found[1]};\n}})();",
        _asset("live/figure.js"),
        count=1,
    )
    text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f'(() => {{\n{text}show(document.getElementById("ID"));\n}})();'


def _asset(name: str) -> str:
    return files("bea_book").joinpath(*name.split("/")).read_text(encoding="utf-8")
