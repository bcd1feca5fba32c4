"""Figures that a reader moves: one call makes the same frames for a kernel, a page and print.

An explorer draws its figure once for every combination of its sliders' values, when it is made.  What
stays (axes, level sets) becomes one SVG picture; of what moves only the changing path data, words and
numbers are kept.  In a notebook with a kernel the explorer is an ipywidgets panel; in the built book
it is HTML that needs neither kernel nor network; in print, and in viewers that know neither, it is
one frame as a picture.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from bea_book import svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explorer", "explore"]

Number = int | float | str
Values = dict[str, str]

# A type of its own: viewers that do not know it (GitHub, nbviewer, LaTeX) show the picture instead.
MIME = "application/vnd.bea.explorer+html"
LARGEST = 60_000  # bytes, gzipped: what a reader on a telephone should have to load
SYMBOLS = {"alpha": "α", "beta": "β", "rho": "ρ", "epsilon": "ε", "sigma": "σ", "lam": "λ", "mu": "μ", "theta": "θ"}


@dataclass(frozen=True)
class Explorer:
    """A figure with sliders, made by :func:`explore`; a notebook shows it at the end of a cell.

    Parameters
    ----------
    sliders : mapping
        The values of each slider, by its name.
    start : mapping
        The value with which each slider begins.
    values : tuple of dict
        For each combination of slider positions, in the order of ``itertools.product``, the numbers
        shown there, as text.
    look, ask, alt : str
        What to look for, a question that moving the sliders answers, and the picture in words.
    formula : str
        Presentation MathML, with a gap for each live value.
    picture : str
        The SVG, with a gap ``{k}`` for every moving part.
    parts : tuple of tuple of str
        For each combination, the texts that fill the gaps.
    still : str
        The first frame as an SVG file, for print.

    Examples
    --------
    >>> explorer = explore(
    ...     lambda ax, h: ax.plot([0, 1], [1, 1 - h]) and {"end": 1 - h},
    ...     background=lambda ax: ax.set(xlim=(0, 1), ylim=(-1, 1)),
    ...     look="The end falls.", ask="Where is it 0.5?", alt="A falling line", h=[0.25, 0.5])
    >>> explorer.start, explorer.values
    ({'h': 0.25}, ({'end': '0.75'}, {'end': '0.5'}))
    """

    sliders: Mapping[str, tuple[Number, ...]]
    start: Mapping[str, Number]
    values: tuple[Values, ...]
    look: str
    ask: str
    alt: str
    formula: str = field(repr=False)
    picture: str = field(repr=False)
    parts: tuple[tuple[str, ...], ...] = field(repr=False)
    still: str = field(repr=False)

    def at(self, **setting: Number) -> Values:
        """Return the numbers shown at a combination of slider values, as the reader sees them.

        Parameters
        ----------
        **setting : number
            Values of sliders; the others stay at their start.

        Returns
        -------
        dict from str to str

        Raises
        ------
        ValueError
            If there is no such slider, or the value is not on it.
        """
        unknown = [name for name in setting if name not in self.sliders]
        if unknown:
            raise ValueError(f"no slider {unknown[0]!r}; there are {', '.join(self.sliders)}")
        positions = []
        for name, options in self.sliders.items():
            value = setting.get(name, self.start[name])
            if value not in options:
                raise ValueError(f"{name} = {value!r} is not on its slider {options}")
            positions.append(options.index(value))
        return self.values[self._number(positions)]

    def page(self) -> str:
        """Return the explorer as HTML with its own style and script: no kernel, no network.

        Its identifier follows from its contents, so that the same explorer gives the same text.

        Returns
        -------
        str
        """
        number = self._number([v.index(self.start[name]) for name, v in self.sliders.items()])
        body = (
            f'<p class="bea-look"><b>Look for:</b> {html.escape(self.look)}</p>'
            f"{self._formula(number)}"
            '<div class="bea-stage"><div class="bea-figure" tabindex="0" role="group" '
            f'aria-label="Figure">{self._figure(number, moving=True)}</div>'
            f'<div class="bea-side">{self._controls()}<p class="bea-buttons">'
            '<button type="button" data-action="play" aria-pressed="false">Play</button> '
            '<button type="button" data-action="reset">Reset</button></p>'
            f"{self._other_numbers(number)}</div></div>"
            f'<p class="bea-ask"><b>Move it to answer:</b> {html.escape(self.ask)}</p>'
            f'<script type="application/json">{self._data()}</script>'
            f"<script>{_asset('explore.js')}</script>"
        )
        name = "explorer-" + hashlib.sha256(body.encode()).hexdigest()[:8]
        body = body.replace("ID-", f"{name}-")
        style = f"<style>{_asset('explore.css')}</style>"
        return f'<div class="bea-explorer" id="{name}">{style}{body}</div>'

    def panel(self) -> Any:
        """Return the explorer as an ipywidgets panel, which a kernel redraws at every move.

        Returns
        -------
        ipywidgets.VBox
        """
        import ipywidgets as widgets

        style = f"<style>{_asset('explore.css')}</style>"
        picture = widgets.HTML()
        sliders = [
            widgets.SelectionSlider(
                options=[(_formatted(v), v) for v in options],
                value=self.start[name],
                description=_symbol(name),
            )
            for name, options in self.sliders.items()
        ]
        reset = widgets.Button(description="Reset")
        # the link sets the slider when it is shown, hence the value
        play = widgets.Play(value=sliders[0].index, max=len(sliders[0].options) - 1, interval=500)
        widgets.jslink((play, "value"), (sliders[0], "index"))

        def show(_: Any = None) -> None:
            """Draw the frame of the sliders' positions."""
            number = self._number([slider.index for slider in sliders])
            picture.value = (
                f'{style}<div class="bea-explorer">{self._formula(number)}'
                f"{self._figure(number)}{self._other_numbers(number)}</div>"
            )

        def go_back(_: Any) -> None:
            """Set all sliders to their start."""
            for slider, value in zip(sliders, self.start.values()):
                slider.value = value

        for slider in sliders:
            slider.observe(show, "value")
        reset.on_click(go_back)
        show()
        look = widgets.HTML(f"<b>Look for:</b> {html.escape(self.look)}")
        ask = widgets.HTML(f"<b>Move it to answer:</b> {html.escape(self.ask)}")
        return widgets.VBox([look, picture, *sliders, widgets.HBox([play, reset]), ask])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            **self.panel()._repr_mimebundle_(),
            MIME: self.page(),
            "image/svg+xml": self.still,
            "text/plain": "Explorer of " + ", ".join(_symbol(name) for name in self.sliders),
        }

    def _number(self, positions: Sequence[int]) -> int:
        return int(np.ravel_multi_index(positions, [len(v) for v in self.sliders.values()]))

    def _controls(self) -> str:
        """The sliders as HTML, at their start."""
        found = []
        for name, options in self.sliders.items():
            value = html.escape(_formatted(self.start[name]))
            found.append(
                f'<p class="bea-slider"><label for="ID-{name}">{_symbol(name)}</label>'
                f'<input type="range" id="ID-{name}" data-slider="{name}" min="0" '
                f'max="{len(options) - 1}" step="1" value="{options.index(self.start[name])}" '
                f'aria-valuetext="{value}"><output for="ID-{name}" aria-live="off" '
                f'data-shown="{name}">{value}</output></p>'
            )
        return "".join(found)

    def _data(self) -> str:
        """What the page's script fills the gaps with, as JSON: each text once, frames as numbers."""
        strings: dict[str, int] = {}
        frames = [
            [strings.setdefault(text, len(strings)) for text in (*parts, *values.values())]
            for parts, values in zip(self.parts, self.values)
        ]
        data = {
            "sliders": {n: [_formatted(v) for v in values] for n, values in self.sliders.items()},
            "names": list(self.values[0]),
            "strings": list(strings),
            "frames": frames,
        }
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")

    def _figure(self, number: int, moving: bool = False) -> str:
        """The SVG of a frame; with ``moving`` the paths say which of the moving parts they are."""
        gaps = {str(k): html.escape(text) for k, text in enumerate(self.parts[number])}
        text = re.sub(r"\{(\d+)\}", lambda gap: gaps[gap[1]], self.picture)
        return text if moving else re.sub(r' data-moving="\d+"', "", text)

    def _formula(self, number: int) -> str:
        """The formula with the numbers of a frame."""
        setting = list(itertools.product(*self.sliders.values()))[number]
        numbers = {n: _formatted(v) for n, v in zip(self.sliders, setting)} | self.values[number]
        text = re.sub(
            r'(<mn data-value="(\w+)">)',
            lambda gap: gap[1] + html.escape(numbers[gap[2]]),
            self.formula,
        )
        return f'<p class="bea-formula">{text}</p>' if text else ""

    def _other_numbers(self, number: int) -> str:
        """The numbers that the formula does not name."""
        return "".join(
            f'<p class="bea-value">{html.escape(name)} = <output data-value="{html.escape(name)}">'
            f"{html.escape(value)}</output></p>"
            for name, value in self.values[number].items()
            if f'data-value="{name}"' not in self.formula
        )


def explore(
    draw: Callable[..., Mapping[str, Any]],
    *,
    background: Callable[[Any], Any],
    look: str,
    ask: str,
    alt: str,
    start: Mapping[str, Number] | None = None,
    formula: str = "",
    columns: int = 1,
    width: float | None = None,
    height: float = 3.4,
    **sliders: Iterable[Number],
) -> Explorer:
    r"""Return a figure with sliders, drawn once for every combination of their values.

    Parameters
    ----------
    draw : callable
        ``draw(ax, beta=..., rho=...)`` draws what moves, with ordinary Matplotlib calls (lines, dots,
        filled shapes, level sets, plain words; always the same ones in the same order, empty where
        there is nothing to show), and returns a mapping from names to the numbers to be shown; a
        number given as text is shown as it is.
    background : callable
        ``background(ax)`` draws what never changes and sets the limits of the axes; it is called once.
    look : str
        What to look for.
    ask : str
        A question that only moving the sliders answers.
    alt : str
        The picture in words, for those who do not see it.
    start : mapping, optional
        The values with which sliders begin, by default their first.
    formula : str
        LaTeX in which ``\val{name}`` stands for the live value of a slider or number; numbers that it
        does not name are shown below it.
    columns : int
        How many axes; with several, `draw` and `background` get an array of them.
    width, height : float, optional
        In inches.
    **sliders : sequence of numbers
        The values of each slider.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        If a slider has fewer than two values or repeats one; if `draw` draws different things for
        different values, changes the axes or draws outside of them, or draws what cannot move (images,
        scattered markers, words in LaTeX); if a slider shows one number for two values, or a number of
        `draw` has a slider's name; if the formula names an unknown value; or if the page would weigh
        more than 60 kB compressed.

    Examples
    --------
    >>> explorer = explore(
    ...     lambda ax, h: ax.plot([0, 1], [1, 1 - h]) and {"end": 1 - h},
    ...     background=lambda ax: ax.set(xlim=(0, 1), ylim=(-1, 1)),
    ...     look="The end falls.", ask="Where is it 0.5?", alt="A falling line", h=[0.25, 0.5, 1])
    >>> explorer.at(h=0.5)
    {'end': '0.5'}
    """
    options = {name: tuple(_python_number(v) for v in values) for name, values in sliders.items()}
    start = _checked_start(options, start or {}, {"look": look, "ask": ask, "alt": alt})
    size = (width or 4.4 * columns + 0.8 * (columns == 1), height)
    picture, frames = _frames(draw, background, options, start, size, columns)
    points = 72 * size[0]
    opening = (
        f'<svg role="img" aria-label="{html.escape(alt)}" '
        f'style="max-width:{points:.0f}pt;min-width:{0.55 * points:.0f}pt"'
    )
    explorer = Explorer(
        sliders=options,
        start=start,
        values=tuple(frame.values for frame in frames),
        look=look,
        ask=ask,
        alt=alt,
        formula=_mathml(formula, {*options, *frames[0].values}),
        picture=picture.replace("<svg", opening, 1),
        parts=tuple(frame.parts for frame in frames),
        still=next(frame.still for frame in frames if frame.still is not None),
    )
    weight = len(gzip.compress(explorer.page().encode()))
    if weight > LARGEST:
        raise ValueError(
            f"the explorer weighs {weight} bytes compressed, more than {LARGEST}: give its "
            f"{len(frames)} frames fewer slider values, or its curves and dots fewer points"
        )
    return explorer


class InPage:
    """Show explorers in the pages of the book; MyST-NB finds this by its entry point."""

    mime_priority_overrides = [("html", MIME, 1), ("latex", "image/svg+xml", 1)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[Any] | None:
        """Return the document nodes for an explorer's output, or None for any other output.

        Parameters
        ----------
        renderer : object
            MyST-NB's renderer, which is not needed.
        data : object
            The output, with its ``mime_type`` and ``string``.
        inline : bool
            Whether the output is part of a line of text.

        Returns
        -------
        list of docutils.nodes.Node, or None
        """
        if data.mime_type != MIME or inline:
            return None
        from docutils import nodes

        return [nodes.raw(text=data.string, format="html")]


def _checked_start(
    sliders: Mapping[str, tuple[Number, ...]], start: Mapping[str, Number], words: Mapping[str, str]
) -> dict[str, Number]:
    """The complete start, or a ValueError about the sliders and words."""
    if not sliders:
        raise ValueError("an explorer needs at least one slider: beta=[0.5, 0.9], for instance")
    for name, values in sliders.items():
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(f"slider {name} needs two or more different values, got {values}")
        if len(shown := {_formatted(value) for value in values}) < len(values):
            raise ValueError(f"slider {name} shows only {sorted(shown)} for {values}; give some as text")
    for name, value in start.items():
        if name not in sliders or value not in sliders[name]:
            raise ValueError(f"start has {name} = {value!r}; there are {sliders}")
    for name, text in words.items():
        if not text or not text.strip():
            raise ValueError(f"{name} is empty; a reader needs that sentence")
    return {name: _python_number(start.get(name, values[0])) for name, values in sliders.items()}


# --- drawing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Frame:
    """One combination: SVG elements with gaps, the texts in the gaps, the numbers shown."""

    elements: tuple[str, ...]
    parts: tuple[str, ...]
    values: dict[str, str]
    still: str | None


def _frames(
    draw: Callable[..., Mapping[str, Any]],
    background: Callable[[Any], Any],
    sliders: Mapping[str, tuple[Number, ...]],
    start: Mapping[str, Number],
    size: tuple[float, float],
    columns: int,
) -> tuple[str, list[_Frame]]:
    """The SVG with gaps, and all frames."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bea_book.plot import STYLE

    # 72 dots an inch: Matplotlib's pixels are then the units of the SVG
    style: Any = {**STYLE, "figure.dpi": 72, "svg.fonttype": "none", "svg.hashsalt": "bea"}
    with rc_context(style):
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)  # measures words; pyplot would show the figure a second time
        axes = figure.subplots(1, columns)
        background(axes)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for ax in figure.axes:
            ax.autoscale(False)
        base = svg.still(figure)
        frames: list[_Frame] = []
        for values in itertools.product(*sliders.values()):
            setting = dict(zip(sliders, values))
            first = frames[0] if frames else None
            drawing = (figure, axes, draw)
            frames.append(_frame(drawing, setting, first, with_picture=setting == start))
    elements = "".join(frames[0].elements)
    name = hashlib.sha256((base + elements).encode()).hexdigest()[:8]
    picture = base.replace("</svg>", svg.clips(figure, name) + elements + "</svg>")
    return picture.replace("CLIP", name), frames


def _frame(
    drawing: tuple[Figure, Any, Callable[..., Mapping[str, Any]]],
    setting: dict[str, Number],
    first: _Frame | None,
    with_picture: bool,
) -> _Frame:
    """Draw one frame, read its moving parts off the figure, and remove them from it."""
    figure, axes, draw = drawing
    frame = _frame_of(figure)
    before = [set(ax.get_children()) for ax in figure.axes]
    for ax in figure.axes:
        ax.set_prop_cycle(None)  # each frame begins with the first colour
    values = draw(axes, **setting)
    if not isinstance(values, Mapping):
        raise ValueError(f"draw must return a mapping from names to numbers, got {values!r}")
    if taken := setting.keys() & values.keys():
        raise ValueError(f"draw returned a number named {min(taken)!r}, as a slider is; give it another name")
    if _frame_of(figure) != frame:
        raise ValueError(
            "draw changed the limits of the axes, their scales, titles or labels, or drew outside of them, at "
            f"{setting}; set these in background, and show numbers by returning them"
        )
    drawn = [[artist for artist in ax.get_children() if artist not in known] for ax, known in zip(figure.axes, before)]
    elements, parts = _moving_parts(figure, drawn)
    if first and (elements != list(first.elements) or list(values) != list(first.values)):
        raise ValueError(
            f"draw draws other things at {setting} than at the first setting; draw always the same "
            "ones, in the same style and order, empty where there is nothing to show"
        )
    still = _still(figure, setting) if with_picture else None
    for artist in itertools.chain(*drawn):
        artist.remove()
    shown = {name: _formatted(value) for name, value in values.items()}
    return _Frame(tuple(elements), tuple(parts), shown, still)


def _frame_of(figure: Figure) -> list[Any]:
    """What `draw` must leave as it is: limits, scales and words of the axes, and what is outside of them."""
    kept = [
        (ax.axis(), ax.get_xscale(), ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel(), ax.get_title())
        for ax in figure.axes
    ]
    return [kept, figure.get_children()]


def _moving_parts(figure: Figure, drawn: Sequence[Sequence[Any]]) -> tuple[list[str], list[str]]:
    """SVG elements with numbered gaps for what was drawn in each of the axes, and the texts in the
    gaps."""
    elements: list[str] = []
    parts: list[str] = []
    for k, artists in enumerate(drawn):
        for artist in sorted(artists, key=lambda artist: artist.get_zorder()):
            for element, texts in svg.elements(artist, figure, f"CLIP-{k}"):
                for number in range(len(texts)):
                    element = element.replace(f"%{number}", str(len(parts) + number))
                elements.append(element)
                parts += texts
    return elements, parts


def _still(figure: Figure, setting: Mapping[str, Number]) -> str:
    """The picture for print, with the slider values that it shows."""
    text = ",  ".join(f"{_symbol(name)} = {_formatted(value)}" for name, value in setting.items())
    note = figure.text(0.99, 1.01, text, ha="right", va="bottom")
    found = svg.whole(figure, bbox_inches="tight")
    note.remove()
    return found


# --- words and numbers ---------------------------------------------------------------------------


def _python_number(value: Any) -> Any:
    """A slider's value as Python's int or float instead of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _symbol(name: str) -> str:
    return SYMBOLS.get(name, name)


def _formatted(value: Any) -> str:
    """A number with three digits (four where those are exact, whole from 1000 to a million), a true
    minus sign and no padded exponent; text as it is."""
    if isinstance(value, str):
        return value
    if np.size(value) != 1 or not isinstance(np.asarray(value).item(), Real):
        raise ValueError(f"what is shown must be a number or text, got {value!r}")
    number = float(np.asarray(value).item()) + 0.0  # no minus zero
    exact = np.isclose(float(f"{number:.4g}"), number, rtol=1e-12, atol=0)
    text = f"{number:.4g}" if exact else f"{number:.3g}"
    text = f"{number:.0f}" if 1000 <= abs(float(text)) and abs(number) < 1e6 else text
    return re.sub(r"e([+-])0*", lambda m: "e" + m[1].strip("+"), text).replace("-", "−")


def _mathml(formula: str, names: set[str]) -> str:
    """Presentation MathML of LaTeX, with a gap for each live value."""
    if not formula:
        return ""
    from latex2mathml.converter import convert

    used = set(re.findall(r"\\val(?:\{([^}]*)\})?", formula))
    words = {name for name in names if re.fullmatch(r"\w+", name)}
    if used - words:
        raise ValueError(f"the formula shows {sorted(used - words)}; it can show {sorted(words)}")
    text = convert(re.sub(r"\\val\{(\w+)\}", r"\\text{⟦\1⟧}", formula), display="block")
    text = text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")  # HTML needs none
    return re.sub(r"<mtext>⟦(\w+)⟧</mtext>", r'<mn data-value="\1"></mn>', text)


def _asset(name: str) -> str:
    return files("bea_book").joinpath(name).read_text(encoding="utf-8")
