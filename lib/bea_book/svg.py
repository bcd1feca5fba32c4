"""A Matplotlib figure as SVG for a page: what stays as one text, what moves as elements with gaps.

A gap ``{%0}`` (``{%1}``, ...) stands for a text that differs from setting to setting: the data of a
path, the place of a word, the word.  Path data are whole tenths of a unit (a 720th of an inch), so
that they are short and the same on every machine.
"""

import io
import re

import numpy as np

__all__ = ["clips", "elements", "still"]


def elements(artist, figure, clip):
    """(SVG element with gaps, texts for the gaps) for each part of a Matplotlib artist."""
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    height = figure.bbox.height
    clipped = f' clip-path="url(#{clip})"' if artist.get_clip_on() else ""
    opacity = "" if artist.get_alpha() is None else f' opacity="{artist.get_alpha():g}"'
    if isinstance(artist, Text) and getattr(artist, "arrow_patch", None) is None:
        if "$" in artist.get_text():
            raise ValueError(f"moving words are plain, write β for $\\beta$: {artist.get_text()!r}")
        renderer = figure.canvas.get_renderer()
        if hasattr(artist, "update_positions"):  # an annotation knows its place only now
            artist.update_positions(renderer)
        x, y = artist.get_transform().transform(artist.get_unitless_position())
        down = {"center": 0.35, "center_baseline": 0.35, "top": 0.8, "bottom": -0.2}
        y = height - y + down.get(artist.get_va(), 0) * artist.get_fontsize()
        anchor = {"left": "start", "center": "middle", "right": "end"}[artist.get_ha()]
        yield (
            f'<g data-moving="%0" transform="{{%0}}"><text data-moving="%1" text-anchor="{anchor}" '
            f'style="font-size:{artist.get_fontsize():g}px;fill:{_color(artist.get_color())}">'
            "{%1}</text></g>",
            [f"translate({_round(x)} {_round(y)})", artist.get_text()],
        )
    elif isinstance(artist, Line2D):
        path = artist.get_path().transformed(artist.get_transform())
        color = _color(artist.get_color())
        if artist.get_linestyle() not in ("None", " ", ""):
            width = artist.get_linewidth()
            dashes = artist._dash_pattern[1]  # no public name for it
            dash = (
                f' stroke-dasharray="{" ".join(f"{10 * d:.4g}" for d in dashes)}"' if dashes else ""
            )
            yield _path(
                _data([path], figure),
                f'fill="none" stroke="{color}" stroke-width="{10 * width:g}"{dash}',
                clipped + opacity,
            )
        marker = artist.get_marker()
        if marker in ("o", "."):
            size = artist.get_markersize() * (1 if marker == "o" else 0.5)
            color = _color(artist.get_markerfacecolor())
            yield _path(
                _dots(path, figure),
                f'fill="none" stroke="{color}" stroke-width="{10 * size:g}" stroke-linecap="round"',
                clipped + opacity,
            )
        elif marker not in ("None", None, " ", ""):
            raise ValueError(f"moving markers are dots ('o' or '.'), not {marker!r}")
    elif isinstance(artist, Patch):
        path = artist.get_path().transformed(artist.get_transform())
        fill = _color(artist.get_facecolor()) if artist.get_fill() else "none"
        stroke, width = _color(artist.get_edgecolor()), artist.get_linewidth()
        yield _path(
            _data([path], figure),
            f'fill="{fill}" stroke="{stroke}" stroke-width="{10 * width:g}"',
            clipped + opacity,
        )
    elif isinstance(artist, Collection) and not isinstance(artist, PathCollection):
        paths = [path.transformed(artist.get_transform()) for path in artist.get_paths()]
        fill, stroke, width = artist.get_facecolor(), artist.get_edgecolor(), artist.get_linewidth()
        fill = _color(fill[0]) if len(fill) else "none"
        stroke = _color(stroke[0]) if len(stroke) else "none"
        yield _path(
            _data(paths, figure),
            f'fill="{fill}" stroke="{stroke}" stroke-width="{10 * float(np.ravel(width)[0]):g}"',
            clipped + opacity,
        )
    else:
        raise ValueError(
            f"draw drew a {type(artist).__name__}, which cannot move; lines, dots, filled shapes, "
            "level sets and plain words can"
        )


def _path(data, style, more):
    # clipped outside, scaled inside: the path data are whole numbers, tenths of a unit
    return f'<g{more}><path data-moving="%0" transform="scale(.1)" {style} d="{{%0}}"/></g>', [data]


def _tenths(vertices, figure):
    """Points of the figure as whole tenths of SVG units, y downwards."""
    flipped = np.column_stack([vertices[:, 0], figure.bbox.height - vertices[:, 1]])
    return np.rint(10 * flipped).astype(int)


def _data(paths, figure):
    """SVG path data of the paths: simplified to a tenth of a unit, relative, as short as they can be."""
    margin = 50  # far outside, a curve need not be drawn, but a line's caps must not be seen
    clip = (-margin, -margin, figure.bbox.width + margin, figure.bbox.height + margin)
    text = []
    for path in paths:
        if not len(path.vertices):
            continue
        closed = path.codes is not None and path.CLOSEPOLY in path.codes
        clean = path.cleaned(
            remove_nans=True, clip=None if closed else clip, simplify=not closed, curves=False
        )
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


def _dots(path, figure):
    """SVG path data of separate points: strokes of length 0 with round ends."""
    vertices = path.vertices[np.isfinite(path.vertices).all(axis=1)]
    inside = (vertices > -50).all(axis=1) & (vertices < figure.bbox.max + 50).all(axis=1)
    points = _tenths(vertices[inside], figure)
    return "".join(f"M{_pair(point)}h0" for point in points)


def _pair(point):
    x, y = point
    return f"{x}{y}" if y < 0 else f"{x} {y}"


def still(figure):
    """The SVG of what does not move, without what a page does not need."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' (width|height)="[\d.]+pt"| version="1.1"| xmlns(:xlink)?="[^"]*"', "", text)
    used = "|".join(re.findall(r"#(\w+)", re.sub(r"#[0-9a-f]{6}\b", "", text))) or "-"
    text = re.sub(rf' id="(?!({used})")[^"]*"', "", text)
    # fonts and joins come from the page; browsers know plain `href`
    text = re.sub(r"font-family: [^;\"]*;?|stroke-linejoin: [a-z]+;?|xlink:(?=href)", "", text)
    text = re.sub(r" transform=\"rotate\(-0 [^)]*\)\"", "", text)
    # numbers within tags only: those between them are the labels of the axes
    number = r"(?<!opacity: )-?\d+\.\d+"
    text = re.sub(
        "<[^>]*>", lambda tag: re.sub(number, lambda n: _round(float(n[0])), tag[0]), text
    )
    text = re.sub(r"#[0-9a-f]{6}\b", lambda color: _color(color[0]), text)
    text = re.sub(r"(?<=[>;\"]) *\n *|\n *(?=[<\"L])", "", text)
    return re.sub(r"<g>\s*</g>|<defs>\s*</defs>", "", text).strip()


def clips(figure, name):
    """The rectangles of the axes, for what moves to stay within."""
    rectangles = [(k, *ax.bbox.bounds) for k, ax in enumerate(figure.axes)]
    return "<defs>{}</defs>".format(
        "".join(
            f'<clipPath id="{name}-{k}"><rect x="{_round(x)}" y="{_round(figure.bbox.height - y - h)}" '
            f'width="{_round(w)}" height="{_round(h)}"/></clipPath>'
            for k, x, y, w, h in rectangles
        )
    )


def _color(color):
    """A colour as the page writes it: the book's own by name, so that dark pages can lighten them."""
    from matplotlib.colors import to_hex, to_rgba

    from bea_book.plot import COLORS

    if to_rgba(color)[3] == 0:
        return "none"
    named = {value.lower(): f"var(--bea-{name})" for name, value in COLORS.items()}
    named |= {"#000000": "currentColor", "#bbbbbb": "var(--bea-level)"}
    return named.get(to_hex(color), to_hex(color))


def _round(number):
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
