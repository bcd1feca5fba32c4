"""A Matplotlib figure as SVG: a file of its own, or, for a page, static parts as one text and moving parts as
templates with gaps.

A gap ``{%0}`` (``{%1}``, ...) is for a text that differs from frame to frame: the data of a path, the
place of a word, the word.  Path data are whole tenths of a unit (a 720th of an inch), so that they are
short and the same on every machine.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["COLORS", "clips", "elements", "still", "whole"]

#: The palette of Okabe and Ito (2008), by name, which readers with any of the common colour vision
#: deficiencies can tell apart, also in print.
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

DOTS = 110 / 72  # of a page for a point of the figure
DENSE = 4000  # coordinates of a mesh that becomes an image
#: What a page takes out of a figure that is drawn for any ground.
GROUND = '<rect width="100%" height="100%" fill="#fff"/>'

#: An SVG element with gaps, and the texts for the gaps.
Element = tuple[str, list[str]]


def elements(artist: Artist, figure: Figure, clip: str) -> Iterator[Element]:
    """Yield (SVG element with gaps, texts for the gaps) for each part of a Matplotlib artist.

    Parameters
    ----------
    artist : matplotlib.artist.Artist
        A line, dots, a filled shape, level sets, or plain words.
    figure : matplotlib.figure.Figure
        The figure that it is on.
    clip : str
        The identifier of the rectangle within which it is shown.

    Yields
    ------
    tuple of str and list of str

    Raises
    ------
    ValueError
        If the artist cannot move.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure((1, 1))
    >>> [line] = figure.subplots().plot([0, 1], [0, 0])
    >>> [(element, texts)] = elements(line, figure, "axes-0")
    >>> element[:42]
    '<g clip-path="url(#axes-0)"><path data-mov'
    """
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text
    from matplotlib.transforms import IdentityTransform

    if not artist.get_visible():
        return
    more = f' clip-path="url(#{clip})"' if artist.get_clip_on() else ""
    alpha = artist.get_alpha()
    more += "" if alpha is None else f' opacity="{alpha:g}"'
    if isinstance(artist, Text) and getattr(artist, "arrow_patch", None) is None:
        yield _word(artist, figure)
    elif isinstance(artist, Line2D):
        yield from _line(artist, figure, more)
    elif isinstance(artist, Patch):
        path = artist.get_path().transformed(artist.get_transform())
        fill = artist.get_facecolor() if artist.get_fill() else "none"
        look = (fill, artist.get_edgecolor(), artist.get_linewidth(), artist._dash_pattern)  # type: ignore[attr-defined]
        yield _path(_data([path], figure), _style(*look, alpha), more)
    elif isinstance(artist, Collection) and isinstance(artist.get_offset_transform(), IdentityTransform):
        paths = [path.transformed(artist.get_transform()) for path in artist.get_paths()]
        yield _path(_data(paths, figure), _style(*_look(artist), alpha=alpha), more)
    else:
        raise ValueError(
            f"draw drew a {type(artist).__name__}, which cannot move; lines, dots, filled shapes, "
            "level sets and plain words can"
        )


def _word(artist: Any, figure: Figure) -> Element:
    """Plain words at their place."""
    from matplotlib.colors import to_rgba

    if artist.get_rotation() or artist.get_bbox_patch() or {"$", "\n"} & set(artist.get_text()):
        raise ValueError(
            f"moving words are plain (write β for $\\beta$), on one level line, without a box: {artist.get_text()!r}"
        )
    if hasattr(artist, "update_positions"):  # an annotation knows its place only now
        canvas: Any = figure.canvas
        artist.update_positions(canvas.get_renderer())
    x, y = artist.get_transform().transform(artist.get_unitless_position())
    down = {"center": 0.35, "center_baseline": 0.35, "top": 0.8, "bottom": -0.2}
    y = figure.bbox.height - y + down.get(artist.get_va(), 0) * artist.get_fontsize()
    anchor = {"left": "start", "center": "middle", "right": "end"}[artist.get_ha()]
    alpha = to_rgba(artist.get_color(), artist.get_alpha())[3]
    opacity = "" if alpha == 1 else f' opacity="{alpha:g}"'
    return (
        f'<g data-moving="%0" transform="{{%0}}"><text data-moving="%1" text-anchor="{anchor}"{opacity} '
        f'style="font-size:{artist.get_fontsize():g}px;fill:{_color(artist.get_color())}">'
        "{%1}</text></g>",
        [f"translate({_round(x)} {_round(y)})", artist.get_text()],
    )


def _line(artist: Any, figure: Figure, more: str) -> Iterator[Element]:
    """A curve, and the dots on it."""
    path = artist.get_path().transformed(artist.get_transform())
    if artist.get_linestyle() not in ("None", " ", ""):
        look = ("none", artist.get_color(), artist.get_linewidth(), artist._dash_pattern, artist.get_alpha())
        yield _path(_data([path], figure), _style(*look), more)
    marker = artist.get_marker()
    if marker in ("o", "."):
        size = artist.get_markersize() * (1 if marker == "o" else 0.5)
        color = artist.get_markerfacecolor()
        if _color(color) == "none" or artist.get_markevery() is not None:
            raise ValueError("moving dots are filled, one at each point: give no mfc='none' and no markevery")
        style = _style("none", color, size, (0, None), artist.get_alpha()) + ' stroke-linecap="round"'
        yield _path(_dots(path, figure), style, more)
    elif marker not in ("None", None, " ", ""):
        raise ValueError(f"moving markers are dots ('o' or '.'), not {marker!r}")


def _look(artist: Any) -> list[Any]:
    """The fill, stroke, width and dashes of a collection that has one of each."""
    artist.update_scalarmappable()
    looks = (artist.get_facecolor(), artist.get_edgecolor(), artist.get_linewidth(), artist.get_linestyle())
    if any(len(set(map(repr, like))) > 1 for like in looks):
        raise ValueError(
            f"draw drew a {type(artist).__name__} with several colours, widths or line styles; what moves has "
            "one: give, for instance, colors='black', linestyles='solid', or draw one after the other"
        )
    return [like[0] if len(like) else "none" for like in looks]


def _style(fill: Any, stroke: Any, width: float, dashes: Any, alpha: float | None) -> str:
    """Attributes of a path; where the whole artist has no alpha, its colours may have theirs."""
    from matplotlib.colors import to_rgba

    text = ""
    for name, color in (("fill", fill), ("stroke", stroke)):
        opacity = to_rgba(color)[3] if alpha is None else 1
        text += f'{name}="{_color(color)}" ' + (f'{name}-opacity="{opacity:g}" ' if 0 < opacity < 1 else "")
    lengths = " ".join(f"{10 * d:.4g}" for d in dashes[1] or ())
    return f'{text}stroke-width="{10 * width:g}"' + (f' stroke-dasharray="{lengths}"' if lengths else "")


def _path(data: str, style: str, more: str) -> Element:
    # clipped outside, scaled inside: the path data are whole numbers, tenths of a unit
    return f'<g{more}><path data-moving="%0" transform="scale(.1)" {style} d="{{%0}}"/></g>', [data]


def _tenths(vertices: np.ndarray, figure: Figure) -> np.ndarray:
    """Points of the figure as whole tenths of SVG units, y downwards."""
    flipped = np.column_stack([vertices[:, 0], figure.bbox.height - vertices[:, 1]])
    return np.rint(10 * flipped).astype(int)


def _data(paths: Iterable[Any], figure: Figure) -> str:
    """SVG path data of the paths: simplified to a tenth of a unit, relative, as short as they can be."""
    margin = 50  # far outside, a curve need not be drawn, but a line's caps must not be seen
    clip = (-margin, -margin, figure.bbox.width + margin, figure.bbox.height + margin)
    text = []
    for path in paths:
        if not len(path.vertices):
            continue
        closed = path.codes is not None and path.CLOSEPOLY in path.codes
        clean = path.cleaned(remove_nans=True, clip=None if closed else clip, simplify=not closed, curves=False)
        points, last = _tenths(clean.vertices, figure), None
        for point, code in zip(points, clean.codes):
            if code == path.MOVETO:
                text.append("M" + _pair(point))
                last = point
            elif code == path.LINETO and (point != last).any():
                text.append("l" + _pair(point - last))
                last = point
            elif code == path.CLOSEPOLY:
                text.append("z")
    return "".join(text)


def _dots(path: Any, figure: Figure) -> str:
    """SVG path data of separate points: strokes of length 0 with round ends."""
    vertices = path.vertices[np.isfinite(path.vertices).all(axis=1)]
    inside = (vertices > -50).all(axis=1)
    inside &= (vertices < np.array(figure.bbox.max) + 50).all(axis=1)
    points = _tenths(vertices[inside], figure)
    return "".join(f"M{_pair(point)}h0" for point in points)


def _pair(point: np.ndarray) -> str:
    x, y = point
    return f"{x}{y}" if y < 0 else f"{x} {y}"


def still(figure: Figure) -> str:
    """Return the SVG of what does not move, without what a page does not need.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    str

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> still(Figure((1, 1), dpi=72))[:25]
    '<svg viewBox="0 0 72 72">'
    """
    text = re.sub(r"<style.*?</style>", "", _drawn(figure), flags=re.S)
    text = re.sub(r' (width|height)="[\d.]+pt"| xmlns="[^"]*"', "", text)
    # fonts and joins come from the page
    text = re.sub(r"font-family: [^;\"]*;?|stroke-linejoin: [a-z]+;?", "", text)
    text = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", text)
    # numbers and colours within tags only: what is between them are the labels of the axes
    number = r"(?<!opacity: )-?\d+\.\d+"
    text = re.sub("<[^>]*>", lambda tag: re.sub(number, lambda n: _round(float(n[0])), tag[0]), text)
    text = re.sub(r"#[0-9a-f]{6}\b(?=[^<>]*>)", lambda color: _color(color[0]), text)
    text = re.sub(r"(?<=[>;\"]) *\n *|\n *(?=[<\"L])", "", text)
    return re.sub(r"<g>\s*</g>|<defs>\s*</defs>", "", text).strip()


def whole(figure: Figure, **options: Any) -> str:
    """Return the figure as an SVG file: letters are outlines, the ground is white, dense meshes are pixels.

    If axes stand side by side and need more than 5.5 inches, ``data-panels`` says how to cut them apart, for a screen on which they must stand
    one below another: for each column "at,from,to", what is between two x and where it is to be.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    **options
        For ``Figure.savefig``.

    Returns
    -------
    str

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> whole(Figure((1, 1)))[:66]
    '<svg viewBox="0 0 72 72" width="110" height="110" xmlns="http://ww'
    """
    from matplotlib import rc_context
    from matplotlib.collections import QuadMesh

    for mesh in figure.findobj(QuadMesh):
        if np.size(mesh.get_coordinates()) > DENSE:
            mesh.set_rasterized(True)
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "bea"}):
        text = _drawn(figure, **options)
    panels = "" if options else _panels(figure)
    width, height = (float(side) for side in re.findall(r"[\d.]+(?=pt)", text[: text.index(">")]))
    head = (
        f'<svg viewBox="0 0 {_round(width)} {_round(height)}" width="{width * DOTS:.0f}" '
        f'height="{height * DOTS:.0f}"{panels} xmlns="http://www.w3.org/2000/svg">{GROUND}'
    )
    text = re.sub(r"<svg[^>]*>", head, text, count=1)
    # the places of what is drawn, to a hundredth of a point; letters have units of their own
    places = r'(?:(?<= d=)"[^"]*"|(?: x| y|width|height)="[^"]*"|translate\([^)]*\))'
    number = r"-?\d+\.\d+"
    text = re.sub(
        places, lambda found: re.sub(number, lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), found[0]), text
    )
    text = re.sub(r"\s*\n\s*", " ", re.sub(r'base64,\n([^"]*)', _small_pixels, text))
    return _named(text.replace("> <", "><").strip())


def _named(text: str) -> str:
    """An SVG whose identifiers follow from what they name, as it is drawn: Matplotlib's follow from the last bits of
    numbers, which are not the same on every machine."""
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        new = found["name"][:-10] + hashlib.sha256(found["what"].encode()).hexdigest()[:10]
        known = new in names.values()
        names[found["name"]] = new
        return "" if known else found[0]

    definition = r'<(?P<tag>\w+) id="(?P<name>(?:[a-z]|C\w+_)[0-9a-f]{10})"(?P<what>[^>]*/>|[^>]*>.*?</(?P=tag)>)'
    text = re.sub(definition, named, text)
    return re.sub("|".join(names) or "-", lambda name: names.get(name[0], name[0]), text)


def _small_pixels(found: re.Match[str]) -> str:
    """A picture within an SVG with a palette, if nothing shines through: of the smooth maps, a third of the bytes."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    colors, (height, width, _) = pixels[..., :3], pixels.shape
    # each colour once more, so that the rare ones get their share of the palette
    each = np.resize(np.unique(colors.reshape(-1, 3), axis=0), colors.shape)
    small = Image.fromarray(np.vstack([colors, each])).quantize(256, kmeans=1).crop((0, 0, width, height))
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode()
    return "base64," + (text if pixels[..., 3].min() > 250 and len(text) < len(found[1]) else found[1])


def _drawn(figure: Figure, **options: Any) -> str:
    """Matplotlib's SVG without what says nothing: its metadata, comments, and identifiers that nothing uses."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True, **options)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' version="1.1"| xmlns:xlink="[^"]*"|xlink:(?=href)', "", text)  # browsers know plain `href`
    used = "|".join(re.findall(r"#([\w-]+)", re.sub(r"#[0-9a-f]{6}\b", "", text))) or "-"
    return re.sub(rf' id="(?!({used})")[^"]*"(?=[^<>]*>)', "", text)


def _panels(figure: Figure) -> str:
    """The attribute with the columns of axes as pieces "at,from,to": what is between two x, and where it is to be;
    columns that have no labels of their y axis get those of the first as a second piece."""
    columns: dict[int, list[Any]] = {}
    for ax in sorted(figure.axes, key=lambda ax: ax.get_subplotspec() is None):
        place = ax.get_subplotspec()
        # a colour bar has no place in the grid; it belongs to the column on its left
        left = [k for k in columns if columns[k][0].bbox.x0 < ax.bbox.x0]
        columns.setdefault(place.colspan.start if place else max(left, default=0), []).append(ax)
    if len(columns) < 2 or figure.get_figwidth() < 5.5:
        return ""
    boxes = [[ax.get_tightbbox() for ax in columns[k]] for k in sorted(columns)]
    scale = 72 / figure.dpi  # on Matplotlib's canvas for SVG it is 72 from now on
    ends = [(scale * min(b.x0 for b in column), scale * max(b.x1 for b in column)) for column in boxes]
    spines = [scale * columns[k][0].bbox.x0 for k in sorted(columns)]
    cuts = [0, *((a[1] + b[0]) / 2 for a, b in zip(ends, ends[1:])), scale * figure.bbox.width]
    panels = []
    for n, k in enumerate(sorted(columns)):
        if columns[k][0].yaxis.get_tick_params().get("labelleft", True):
            pieces = [(0, cuts[n], cuts[n + 1])]
        else:
            pieces = [(0, 0, spines[0]), (spines[0] - spines[n] + ends[n][0], ends[n][0], cuts[n + 1])]
        panels.append(";".join(",".join(_round(x) for x in piece) for piece in pieces))
    return f' data-panels="{" ".join(panels)}"'


def clips(figure: Figure, name: str) -> str:
    """Return the rectangles of the axes, within which what moves is shown.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        The identifiers are ``name-0``, ``name-1``, ...

    Returns
    -------
    str

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> figure = Figure((1, 1), dpi=72)
    >>> axes = figure.add_axes((0, 0, 1, 1))
    >>> clips(figure, "axes")
    '<defs><clipPath id="axes-0"><rect x="0" y="0" width="72" height="72"/></clipPath></defs>'
    """
    rectangles = [(k, *ax.bbox.bounds) for k, ax in enumerate(figure.axes)]
    return "<defs>{}</defs>".format(
        "".join(
            f'<clipPath id="{name}-{k}"><rect x="{_round(x)}" y="{_round(figure.bbox.height - y - h)}" '
            f'width="{_round(w)}" height="{_round(h)}"/></clipPath>'
            for k, x, y, w, h in rectangles
        )
    )


def _color(color: Any) -> str:
    """A colour as the page writes it: the book's own by name, so that dark pages can lighten them."""
    from matplotlib.colors import to_hex, to_rgba

    if to_rgba(color)[3] == 0:
        return "none"
    named = {value.lower(): f"var(--bea-{name})" for name, value in COLORS.items()}
    named |= {"#000000": "currentColor", "#bbbbbb": "var(--bea-level)"}
    return named.get(to_hex(color), to_hex(color))


def _round(number: float) -> str:
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
