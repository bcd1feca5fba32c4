"""A Sphinx extension: what the pages load is made smaller, after they are written.

- The theme brings 1,900 icons (270 kB); their fonts keep those that the pages and the theme's scripts show.
- Pictures are loaded when the reader comes near them, and have their room before.
"""

import io
import re
from pathlib import Path

import imagesize
from fontTools import subset

ICONS = Path("_static") / "styles" / "pydata-sphinx-theme.css"
FONTS = Path("_static") / "vendor" / "fontawesome" / "webfonts"
NAMED = re.compile(r"((?:\.fa-[\w-]+:{1,2}before,?)+)\{content:\"\\([0-9a-f]{4})\"\}")
IMAGE = re.compile(r'<img(?![^>]* loading=)([^>]*?) src="([^"]*_images/[^"]+\.png)"')


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


def give_room(text, folder):
    """A page's text with the sizes of its pictures, which lie relative to `folder`."""

    def sized(match):
        width, height = imagesize.get(folder / match[2])
        return f'<img loading="lazy" width="{width}" height="{height}"{match[1]} src="{match[2]}"'

    return IMAGE.sub(sized, text)


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
