"""Figures that move: one call, and the same frames with a kernel, in a page without one, and in
print.

An explorer draws its figure once for every setting of its sliders, when it is made.  What stays
(axes, level sets) becomes one SVG picture; of what moves only the changing path data, words and
numbers are kept.  In a notebook with a kernel that is an ipywidgets panel; in the built book a piece
of HTML that needs neither kernel nor network; in print and in viewers that know neither, one frame
as a PNG picture.
"""

import base64
import gzip
import hashlib
import html
import io
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from numbers import Real

import numpy as np

from bea_book import svg

__all__ = ["Explorer", "explore"]

# A type of its own: viewers that do not know it (GitHub, nbviewer, LaTeX) show the picture instead.
MIME = "application/vnd.bea.explorer+html"
LARGEST = 60_000  # bytes, gzipped: what a reader on a telephone should have to load
SYMBOLS = {"beta": "β", "rho": "ρ", "epsilon": "ε", "lam": "λ", "mu": "μ", "theta": "θ"}


@dataclass(frozen=True)
class Explorer:
    """A figure with sliders; shown by a notebook when it is the last line of a cell.

    ``sliders`` maps each slider's name to its values, ``start`` to the value it begins with,
    ``values`` each combination of slider positions (in the order of ``itertools.product``) to the
    numbers shown there, as text.  ``page()`` is the HTML for a page without a kernel, ``panel()`` the
    ipywidgets panel, ``png`` the picture of the first frame.
    """

    sliders: Mapping
    start: Mapping
    values: tuple
    look: str
    ask: str
    alt: str
    formula: str = field(repr=False)
    picture: str = field(repr=False)  # the SVG, with a gap {k} for every moving part
    parts: tuple = field(repr=False)  # for each setting the texts that fill the gaps
    png: bytes = field(repr=False)

    def at(self, **setting):
        """The numbers shown at a setting of the sliders, by name, as the reader sees them."""
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

    def page(self):
        """The explorer as HTML with its own style and script: no kernel, no network.

        Its identifier follows from its contents, so that the same explorer gives the same text.
        """
        shown = [_shown(v) for v in self.start.values()]
        number = self._number([v.index(self.start[name]) for name, v in self.sliders.items()])
        names = list(self.values[0])
        strings = {}
        frames = [
            [strings.setdefault(text, len(strings)) for text in (*parts, *values.values())]
            for parts, values in zip(self.parts, self.values)
        ]
        data = {
            "sliders": {n: [_shown(v) for v in values] for n, values in self.sliders.items()},
            "names": names,
            "strings": list(strings),
            "frames": frames,
        }
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        controls = "".join(
            f'<p class="bea-slider"><label for="ID-{name}">{_symbol(name)}</label>'
            f'<input type="range" id="ID-{name}" data-slider="{name}" min="0" '
            f'max="{len(options) - 1}" step="1" value="{options.index(self.start[name])}" '
            f'aria-valuetext="{value}"><output for="ID-{name}" aria-live="off" data-shown="{name}">{value}</output></p>'
            for (name, options), value in zip(self.sliders.items(), shown)
        )
        body = (
            f'<p class="bea-look"><b>Look for:</b> {html.escape(self.look)}</p>'
            f"{self._formula(number)}"
            '<div class="bea-stage"><div class="bea-figure" tabindex="0" role="group" '
            f'aria-label="Figure">{self._figure(number, moving=True)}</div>'
            f'<div class="bea-side">{controls}<p class="bea-buttons">'
            '<button type="button" data-action="play" aria-pressed="false">Play</button> '
            f'<button type="button" data-action="reset">Reset</button></p>{self._rest(number)}</div></div>'
            f'<p class="bea-ask"><b>Move it to answer:</b> {html.escape(self.ask)}</p>'
            f'<script type="application/json">{text}</script>'
            f"<script>{_asset('explore.js')}</script>"
        )
        name = "explorer-" + hashlib.sha256(body.encode()).hexdigest()[:8]
        body = body.replace("ID-", f"{name}-")
        return f'<div class="bea-explorer" id="{name}"><style>{_asset("explore.css")}</style>{body}</div>'

    def panel(self):
        """The explorer as an ipywidgets panel (an ``HTML`` widget redrawn at every move)."""
        import ipywidgets as widgets

        style = f"<style>{_asset('explore.css')}</style>"
        picture = widgets.HTML()
        sliders = [
            widgets.SelectionSlider(
                options=[(_shown(v), v) for v in options],
                value=self.start[name],
                description=_symbol(name),
            )
            for name, options in self.sliders.items()
        ]
        reset = widgets.Button(description="Reset")
        # the link sets the slider when it is shown, hence the value
        play = widgets.Play(value=sliders[0].index, max=len(sliders[0].options) - 1, interval=500)
        widgets.jslink((play, "value"), (sliders[0], "index"))

        def show(_=None):
            number = self._number([slider.index for slider in sliders])
            picture.value = (
                f'{style}<div class="bea-explorer">{self._formula(number)}'
                f"{self._figure(number)}{self._rest(number)}</div>"
            )

        def back(_):
            for slider, value in zip(sliders, self.start.values()):
                slider.value = value

        for slider in sliders:
            slider.observe(show, "value")
        reset.on_click(back)
        show()
        look = widgets.HTML(f"<b>Look for:</b> {html.escape(self.look)}")
        ask = widgets.HTML(f"<b>Move it to answer:</b> {html.escape(self.ask)}")
        return widgets.VBox([look, picture, *sliders, widgets.HBox([play, reset]), ask])

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            **self.panel()._repr_mimebundle_(),
            MIME: self.page(),
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": "Explorer of " + ", ".join(_symbol(name) for name in self.sliders),
        }

    def _number(self, positions):
        return int(np.ravel_multi_index(positions, [len(v) for v in self.sliders.values()]))

    def _figure(self, number, moving=False):
        """The SVG at a setting; with ``moving`` the paths say which of the moving parts they are."""
        gaps = {str(k): html.escape(text) for k, text in enumerate(self.parts[number])}
        text = re.sub(r"\{(\d+)\}", lambda gap: gaps[gap[1]], self.picture)
        return text if moving else re.sub(r' data-moving="\d+"', "", text)

    def _formula(self, number):
        """The formula with the numbers of a setting."""
        setting = list(itertools.product(*self.sliders.values()))[number]
        numbers = {n: _shown(v) for n, v in zip(self.sliders, setting)} | self.values[number]
        text = re.sub(
            r'(<mn data-value="(\w+)">)',
            lambda gap: gap[1] + html.escape(numbers[gap[2]]),
            self.formula,
        )
        return f'<p class="bea-formula">{text}</p>' if text else ""

    def _rest(self, number):
        """The numbers that the formula does not name."""
        return "".join(
            f'<p class="bea-value">{html.escape(name)} = <output data-value="{html.escape(name)}">'
            f"{html.escape(value)}</output></p>"
            for name, value in self.values[number].items()
            if f'data-value="{name}"' not in self.formula
        )


def explore(
    draw,
    *,
    background,
    look,
    ask,
    alt,
    start=None,
    formula="",
    columns=1,
    width=None,
    height=3.4,
    **sliders,
):
    r"""An :class:`Explorer`: ``explore(draw, background=..., beta=[...], rho=[...], ...)``.

    ``background(ax)`` draws what never changes and sets the limits of the axes; it is called once.
    ``draw(ax, beta=..., rho=...)`` draws what moves, with ordinary Matplotlib calls (lines, dots,
    filled shapes, level sets, plain words; always the same ones in the same order, empty where there
    is nothing to show), and returns a mapping from names to the numbers to be shown; a number given
    as text is shown as it is.  With several ``columns`` both get an array of axes.  Each slider is a
    keyword with its values; ``start`` maps sliders to the values they begin with, by default the
    first.

    ``formula`` is LaTeX in which ``\val{name}`` stands for the live value of a slider or number;
    numbers that it does not name stand below it.  ``look`` says what to look for, ``ask`` asks what
    only moving the sliders answers, and ``alt`` describes the picture to those who do not see it.
    ``width`` and ``height`` are in inches.

    Raises ValueError if a slider has fewer than two values or repeats one, if ``draw`` draws
    different things at different settings, moves the limits, or draws what cannot move (images,
    scattered markers, words in LaTeX), if the formula names an unknown value, and if the page would
    weigh more than 60 kB compressed.

    >>> explorer = explore(
    ...     lambda ax, h: ax.plot([0, 1], [1, 1 - h]) and {"end": 1 - h},
    ...     background=lambda ax: ax.set(xlim=(0, 1), ylim=(-1, 1)),
    ...     look="The end falls.", ask="Where is the end 0.5?", alt="A falling line", h=[0.25, 0.5, 1])
    >>> explorer.at(h=0.5)
    {'end': '0.5'}
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bea_book.plot import STYLE

    sliders = {name: tuple(_plain(v) for v in values) for name, values in sliders.items()}
    start = _checked(sliders, start or {}, {"look": look, "ask": ask, "alt": alt})
    # 72 dots an inch: Matplotlib's pixels are then the units of the SVG
    with rc_context({**STYLE, "figure.dpi": 72, "svg.fonttype": "none", "svg.hashsalt": "bea"}):
        size = (width or 4.4 * columns + 0.8 * (columns == 1), height)
        figure = Figure(size, layout="constrained")
        FigureCanvasAgg(figure)  # measures words; pyplot would show the figure a second time
        axes = figure.subplots(1, columns)
        background(axes)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for ax in figure.axes:
            ax.autoscale(False)
        base = svg.still(figure)
        frames = []
        for setting in itertools.product(*sliders.values()):
            setting = dict(zip(sliders, setting))
            first = frames[0] if frames else None
            frames.append(_frame(figure, axes, draw, setting, first, keep=setting == start))
        png = frames[[f.png is not None for f in frames].index(True)].png
    first = frames[0]
    name = hashlib.sha256((base + "".join(first.elements)).encode()).hexdigest()[:8]
    picture = base.replace("</svg>", svg.clips(figure, name) + "".join(first.elements) + "</svg>")
    points = 72 * size[0]
    picture = picture.replace(
        "<svg",
        f'<svg role="img" aria-label="{html.escape(alt)}" '
        f'style="max-width:{points:.0f}pt;min-width:{0.55 * points:.0f}pt"',
        1,
    )
    explorer = Explorer(
        sliders=sliders,
        start=start,
        values=tuple(f.values for f in frames),
        look=look,
        ask=ask,
        alt=alt,
        formula=_mathml(formula, {*sliders, *first.values}),
        picture=picture.replace("CLIP", name),
        parts=tuple(f.parts for f in frames),
        png=png,
    )
    weight = len(gzip.compress(explorer.page().encode()))
    if weight > LARGEST:
        raise ValueError(
            f"the explorer weighs {weight} bytes compressed, more than {LARGEST}: give its "
            f"{len(frames)} frames fewer slider values, or its curves and dots fewer points"
        )
    return explorer


class InPage:
    """Shows explorers in the pages of the book; MyST-NB finds it by its entry point."""

    mime_priority_overrides = [("html", MIME, 1)]

    @staticmethod
    def handle_mime(renderer, data, inline):
        """The document nodes for an explorer's output, or None for any other output."""
        if data.mime_type != MIME or inline:
            return None
        from docutils import nodes

        return [nodes.raw(text=data.string, format="html")]


def _checked(sliders, start, words):
    """The complete start, or a ValueError about the sliders and words."""
    if not sliders:
        raise ValueError("an explorer needs at least one slider: beta=[0.5, 0.9], for instance")
    for name, values in sliders.items():
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(f"slider {name} needs two or more different values, got {values}")
    for name, value in start.items():
        if name not in sliders or value not in sliders[name]:
            raise ValueError(f"start has {name} = {value!r}; there are {sliders}")
    for name, text in words.items():
        if not text or not text.strip():
            raise ValueError(f"{name} is empty; a reader needs that sentence")
    return {name: _plain(start.get(name, values[0])) for name, values in sliders.items()}


# --- drawing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Frame:
    """One setting: SVG elements with gaps, the texts in the gaps, the numbers shown."""

    elements: tuple
    parts: tuple
    values: Mapping
    png: bytes | None


def _frame(figure, axes, draw, setting, first, keep):
    limits = [ax.axis() for ax in figure.axes]
    before = [set(ax.get_children()) for ax in figure.axes]
    for ax in figure.axes:
        ax.set_prop_cycle(None)  # each frame begins with the first colour
    values = draw(axes, **setting)
    if not isinstance(values, Mapping):
        raise ValueError(f"draw must return a mapping from names to numbers, got {values!r}")
    if [ax.axis() for ax in figure.axes] != limits:
        raise ValueError(f"draw moved the limits of the axes at {setting}; set them in background")
    elements, parts, png = [], [], None
    for k, ax in enumerate(figure.axes):
        new = [artist for artist in ax.get_children() if artist not in before[k]]
        for artist in sorted(new, key=lambda artist: artist.get_zorder()):
            for element, texts in svg.elements(artist, figure, f"CLIP-{k}"):
                for number in range(len(texts)):
                    element = element.replace(f"%{number}", str(len(parts) + number))
                elements.append(element)
                parts += texts
        if keep:
            continue
        for artist in new:
            artist.remove()
    if first and (elements != list(first.elements) or list(values) != list(first.values)):
        raise ValueError(
            f"draw draws other things at {setting} than at the first setting; draw always the same "
            "ones, in the same style and order, empty where there is nothing to show"
        )
    if keep:
        png = _png(figure, setting)
        for k, ax in enumerate(figure.axes):
            for artist in set(ax.get_children()) - before[k]:
                artist.remove()
    return _Frame(tuple(elements), tuple(parts), {n: _shown(v) for n, v in values.items()}, png)


def _png(figure, setting):
    """The picture for print, with the setting that it shows."""
    text = ",  ".join(f"{_symbol(name)} = {_shown(value)}" for name, value in setting.items())
    note = figure.text(0.99, 1.01, text, ha="right", va="bottom")
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=150,
        bbox_inches="tight",
        facecolor="white",
        metadata={"Software": None},
    )
    note.remove()
    return buffer.getvalue()


# --- words and numbers -------------------------------------------------------------------------


def _plain(value):
    """A slider's value as a plain int or float."""
    return value.item() if isinstance(value, np.generic) else value


def _symbol(name):
    return SYMBOLS.get(name, name)


def _shown(value):
    """A number with three digits (four where those are exact, whole from 1000 to a million), a true
    minus sign and no padded exponent; text as it is."""
    if isinstance(value, str):
        return value
    if np.size(value) != 1 or not isinstance(number := np.asarray(value).item(), Real):
        raise ValueError(f"what is shown must be a number or text, got {value!r}")
    number += 0.0  # no minus zero
    if 1000 <= abs(number) < 1e6:
        return f"{number:.0f}".replace("-", "−")
    exact = np.isclose(float(f"{number:.4g}"), number, rtol=1e-12, atol=0)
    text = f"{number:.4g}" if exact else f"{number:.3g}"
    return re.sub(r"e([+-])0*", lambda m: "e" + m[1].strip("+"), text).replace("-", "−")


def _mathml(formula, names):
    """Presentation MathML of LaTeX, with a gap for each live value."""
    if not formula:
        return ""
    from latex2mathml.converter import convert

    used = set(re.findall(r"\\val\{(\w+)\}", formula))
    if used - names:
        raise ValueError(f"the formula shows {sorted(used - names)}; there are {sorted(names)}")
    text = convert(re.sub(r"\\val\{(\w+)\}", r"\\text{⟦\1⟧}", formula), display="block")
    text = text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")  # HTML needs none
    return re.sub(r"<mtext>⟦(\w+)⟧</mtext>", r'<mn data-value="\1"></mn>', text)


def _asset(name):
    return files("bea_book").joinpath(name).read_text(encoding="utf-8")
