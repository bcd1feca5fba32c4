"""A Sphinx extension: what the pages load is made smaller, after they are written.

- The theme brings 1,900 icons (270 kB); their fonts keep those that the pages and the theme's scripts show.
- Pictures are loaded when the reader comes near them, and have their room before.
- Figures have the page's own ground; those whose axes stand side by side have a copy for narrow screens, on which
  these stand one below another; a caption that speaks of left and right says so there.
"""

import io
import re
from pathlib import Path

import imagesize
from fontTools import subset

from bea_book.svg import GROUND

ICONS = Path("_static") / "styles" / "pydata-sphinx-theme.css"
FONTS = Path("_static") / "vendor" / "fontawesome" / "webfonts"
NAMED = re.compile(r"((?:\.fa-[\w-]+:{1,2}before,?)+)\{content:\"\\([0-9a-f]{4})\"\}")
IMAGE = re.compile(r'<img(?![^>]* loading=)([^>]*?) src="([^"]*_images/[^"]+\.(?:png|svg))"[^>]*>')
PANELS = re.compile(r'<svg viewBox="0 0 \S+ (\S+)" [^>]* data-panels="([^"]*)"[^>]*>')
SIDES = re.compile(r'(<picture class="one-column">(?:(?!</picture>).)*</picture>\s*<figcaption)'
                   r"(>(?:(?!</figcaption>).)*?[\s>(](?:left|right)\b(?! angle|[^<]*>))", re.DOTALL | re.IGNORECASE)  # fmt: skip
ROW = 330  # points; letters of 11 points are still read on a telephone when so many fill its width
NARROW = 576  # pixels; chapters/assets/book.css has the same width


def letters_of_icons(style, pages, others):
    """The code points of the icons that `pages` name, and of those that style sheets write by themselves.

    `style` is the sheet that names all icons; `others` are the other sheets.
    """
    # A pattern that begins with letters is found many times as fast; the word begins with them, too.
    used = {name for text in pages for name in re.findall(r"fa-(?<=\bfa-)[\w-]+", text)}
    named = NAMED.findall(style)
    letters = {code for selectors, code in named if used & set(re.findall(r"fa-[\w-]+", selectors))}
    for text in [NAMED.sub("", style), *others]:
        letters |= set(re.findall(r"\\([ef][0-9a-f]{3})\b", text))
        letters |= {f"{ord(letter):x}" for letter in re.findall("[\ue000-\uf8ff]", text)}  # written as they are
    return {int(code, 16) for code in letters}


def smaller_font(content, letters):
    """The font, given as the bytes of a TrueType file, with these letters only, as WOFF."""
    options = subset.Options(flavor="woff", recalc_timestamp=False, notdef_outline=True)
    font = subset.load_font(io.BytesIO(content), options)
    maker = subset.Subsetter(options)
    maker.populate(unicodes=letters)
    maker.subset(font)
    out = io.BytesIO()
    subset.save_font(font, out, options)
    return out.getvalue()


def trim_icons(out, pages):
    """Write smaller fonts of icons into the site in the folder `out`, and name them in the theme's sheet."""
    sheet = out / ICONS
    style = sheet.read_text(encoding="utf-8")
    others = [p.read_text(encoding="utf-8") for p in sorted(out.glob("_static/**/*.css")) if p != sheet]
    scripts = [p.read_text(encoding="utf-8") for p in sorted(out.glob("_static/**/*.js"))]
    letters = letters_of_icons(style, [*pages, *scripts], others)
    for path in sorted((out / FONTS).glob("*.ttf")):
        path.with_suffix(".woff").write_bytes(smaller_font(path.read_bytes(), letters))
        path.unlink()
        path.with_suffix(".woff2").unlink()
    style = re.sub(r'(/fa-[a-z]+-\d+)\.woff2\) format\("woff2"\),url\([^)]*\) format\("truetype"\)',
                   r'\1.woff) format("woff")', style)  # fmt: skip
    sheet.write_text(style, encoding="utf-8")


def stacked(figure):
    """The text of an SVG figure with its columns of axes in rows that a telephone can show; None if it has one column."""
    if not (head := PANELS.match(figure)):
        return None
    height, content = float(head[1]), figure[head.end() :].removesuffix("</svg>")
    pieces, x, y, most = [], 0, 0, 0
    for panel in head[2].split():
        parts = [tuple(map(float, piece.split(","))) for piece in panel.split(";")]
        width = max(at + end - begin for at, begin, end in parts)
        if x and x + width > ROW:
            x, y = 0, y + height
        pieces += [
            f'<svg x="{x + at:g}" y="{y:g}" width="{end - begin:g}" height="{height:g}" '
            f'viewBox="{begin:g} 0 {end - begin:g} {height:g}"><use href="#all"/></svg>'
            for at, begin, end in parts
        ]
        x += width
        most = max(most, x)
    size = f'viewBox="0 0 {most:g} {y + height:g}" width="{most:.0f}" height="{y + height:.0f}"'
    whole = f'<defs><g id="all">{content}</g></defs>{"".join(pieces)}'
    return f'<svg {size} xmlns="http://www.w3.org/2000/svg">{whole}</svg>'


def give_room(text, folder):
    """A page's text with the sizes of its pictures, which lie relative to `folder`, and copies for narrow screens."""

    def sized(match):
        path = folder / match[2]
        image = f'<img loading="lazy"{room(path)}{match[1]} src="{match[2]}" />'
        if path.suffix != ".svg":
            return image
        figure = path.read_text(encoding="utf-8").replace(GROUND, "")
        path.write_text(figure, encoding="utf-8")
        if not (copy := stacked(figure)):
            return image
        narrow = path.with_name(f"{path.stem}-narrow.svg")
        narrow.write_text(copy, encoding="utf-8")
        source = match[2].replace(path.name, narrow.name)
        rows = len(set(re.findall(r'<svg x="\S+" y="(\S+)"', copy)))
        column = ' class="one-column"' if rows == len(PANELS.match(figure)[2].split()) else ""
        return f'<picture{column}><source media="(max-width: {NARROW}px)" srcset="{source}"{room(narrow)} />{image}</picture>'

    def room(path):
        width, height = imagesize.get(path)
        return f' width="{width:.0f}" height="{height:.0f}"'

    return SIDES.sub(r'\1 class="sides"\2', IMAGE.sub(sized, text))


def finish(app, exception):
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    texts = {}
    for path in [*out.glob("*.html"), *out.glob("chapters/**/*.html")]:
        before = path.read_text(encoding="utf-8")
        texts[path] = give_room(before, path.parent)
        if texts[path] != before:
            path.write_text(texts[path], encoding="utf-8")
    if list((out / FONTS).glob("*.ttf")):
        trim_icons(out, texts.values())


def setup(app):
    app.connect("build-finished", finish, priority=110)  # after book_site's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
