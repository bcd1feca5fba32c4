"""A Sphinx extension: what the site needs and no extension in wide use gives.

_config.yml lists it under `local_extensions`.  It

- derives the site's public address from the repository's, and hands it to the extensions that need
  it (canonical links, social cards, sitemap, 404 page);
- takes the notebooks' outputs as they are committed, if the environment says `EXECUTE=no`, or from Jupyter
  Book's cache, if it says `EXECUTE=cache`;
- takes each page's description from the page, and complains where there is none;
- sets the formulas with KaTeX (tools/site/formulas.mjs), so that a reader's browser has nothing to set, and
  puts its style and fonts beside the pages, so that reading the book asks no other server for anything;
- writes the script and the style of the laboratory;
- joins what a cell printed before it is shown, wherever the kernel split it;
- folds the parts of the contents in the sidebar, except the present one;
- leaves out of the pages what they load twice or never use, and has them ask early for what every
  formula needs.
"""

import hashlib
import html
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import myst_nb.core.render
from docutils import nodes
from myst_nb.core.utils import coalesce_streams
from sphinx.errors import ConfigError, ExtensionError
from sphinx.ext import mathjax
from sphinx.util import logging

from tools.site.lite import install_line

logger = logging.getLogger(__name__)

REPL = "lite/repl/index.html"
# What the library computes with; the numbers of the laboratory's presets are printed with them.
ENGINES = ("numpy", "scipy", "sympy")
FORMULAS = Path(__file__).with_name("formulas.mjs")
# KaTeX's style and fonts, and the script that copies a formula as TeX.
KATEX = Path(__file__).parent / "web" / "node_modules" / "katex" / "dist"
# The fonts of every formula.  Asked for by the page itself they are there before the page is laid out.
FONTS = ("KaTeX_Main-Regular", "KaTeX_Math-Italic")
# Every browser that shows the pages reads the first of KaTeX's three kinds of font file.
OTHER_FONTS = re.compile(r',url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)')

# Pages that no source describes.
DESCRIPTIONS = {"search": "Search the whole book.", "404": "There is no page at this address."}

NOT_FOUND = """\
<h1>Page not found</h1>
<p>There is no page at this address; it may have moved.
The <a href="{path}{root}.html">first page</a> lists all chapters,
and the <a href="{path}search.html">search</a> looks through their text.</p>"""

REDIRECT = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="description" content="{title}: to its first page.">
<link rel="canonical" href="{site}{root}.html">
<link rel="icon" href="_static/logo.svg">
<meta http-equiv="refresh" content="0; url={root}.html">
</head>
<body><p><a href="{root}.html">{title}</a></p></body>
</html>
"""

# The theme's style sheet already shows every icon; this script (1.5 MB) would draw them again.
ICONS = re.compile(r'<script[^>]* src="[^"]*scripts/fontawesome\.js[^"]*"></script>\s*')
# A part of the contents in the sidebar: its name and its chapters.
PART = re.compile(
    r'<p aria-level="2" class="caption" role="heading">(<span class="caption-text">.*?</span>)</p>\s*'
    r'(<ul class="(current )?nav bd-sidenav">.*?</ul>)',
    re.DOTALL,
)
# A list's children must be list items to ARIA; paragraphs that follow each other need no role.
CITATIONS = re.compile(r'<div[^<>]* class="citation[^>]*>')
ROLES = re.compile(r' role="(?:list|doc-biblioentry)"')


def site_address(repository):
    """The address at which GitHub Pages shows the repository at the address `repository`.

    >>> site_address("https://github.com/Someone/a-book")
    'https://someone.github.io/a-book/'
    >>> site_address("https://github.com/someone/someone.github.io")
    'https://someone.github.io/'

    Any other address raises a ConfigError.
    """
    match = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+?)(?:\.git)?/?", repository or "")
    if not match:
        raise ConfigError(
            f"repository.url in _config.yml is {repository!r}; it must be of the form "
            "https://github.com/<owner>/<name>, because the site's own address follows from it"
        )
    host = f"{match[1].lower()}.github.io"
    return f"https://{host}/" if match[2].lower() == host else f"https://{host}/{match[2]}/"


def set_addresses(app, config):
    site = site_address(config.html_theme_options.get("repository_url"))
    config.html_baseurl = config.ogp_site_url = site
    config.ogp_site_name = config.html_title
    config.notfound_urls_prefix = path = urlsplit(site).path
    body = NOT_FOUND.format(path=path, root=config.root_doc)
    config.notfound_context = {"title": "Page not found", "body": body}


def choose_execution(app, config):
    wanted = os.environ.get("EXECUTE", "yes")
    if wanted not in ("yes", "no", "cache"):
        raise ConfigError(f"EXECUTE is {wanted!r}; it must be yes, no or cache")
    if wanted != "yes":
        config.nb_execution_mode = {"no": "off", "cache": "cache"}[wanted]


def write_side_by_side(app, env):
    """Write two pages at a time.  (They are read one after another: extensions collect what they read.)"""
    app.parallel = 2


def complete_head(app, pagename, templatename, context, doctree):
    """Description and icon of one page, before its social card is made."""
    context.setdefault("metatags", "")
    if doctree:
        found = [m["content"] for m in doctree.findall(nodes.meta) if m.get("name") == "description"]
        if not found:
            logger.warning(
                "no description: write one sentence as `myst: {html_meta: {description: ...}}` "
                "in the page's front matter or the notebook's metadata",
                location=pagename,
            )
        # The text of social cards; the extension would take the page's first words.
        context["meta"] = {**(context["meta"] or {}), "og:description": " ".join(found)}
        context["meta"]["og:image:alt"] = f"{context['title']}. {app.config.html_title}."
    else:
        text = DESCRIPTIONS.get(pagename, f"{context.get('title')}: {app.config.html_title}")
        context["metatags"] += f'<meta name="description" content="{html.escape(text)}" />\n'
        context["metatags"] += '<meta name="robots" content="noindex" />\n'
    icon = context["pathto"]("_static/logo.png", resource=True)
    context["metatags"] += f'<link rel="apple-touch-icon" href="{icon}" />\n'


def drop_files(app, pagename, templatename, context, doctree):
    """Leave out scripts that come twice, and what needs a kernel: thebe, and the widgets' state."""
    kept = {}
    for script in context["script_files"]:
        key = str(script.filename or ""), (script.attributes.get("body") or "").strip()
        widgets = script.attributes.get("type") == "application/vnd.jupyter.widget-state+json"
        if "thebe" not in " ".join(key).lower() and not widgets:
            kept.setdefault(key, script)
    context["script_files"][:] = kept.values()
    context["css_files"][:] = [c for c in context["css_files"] if "thebe" not in str(c.filename)]


def preload_fonts(app, pagename, templatename, context, doctree):
    if not doctree or not any(doctree.findall(nodes.math)):
        return
    for name in FONTS:
        place = context["pathto"](f"_static/katex/fonts/{name}.woff2", resource=True)
        context["metatags"] += f'<link rel="preload" href="{place}" as="font" type="font/woff2" crossorigin />\n'


def keep_colours(app, doctree, pagename):
    """Mark the figures whose captions speak of black or white, which a dark page would exchange."""
    for figure in doctree.findall(nodes.figure):
        captions = " ".join(caption.astext() for caption in figure.findall(nodes.caption))
        if re.search(r"\b(black|white)\b", captions, re.IGNORECASE):
            figure["classes"].append("true-colours")


def program(name):
    """The path of a program, on this machine or in the environment."""
    path = shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
    if not path:
        raise ExtensionError(f"{name} is not there; run `make book`")
    return path


def add_katex(static):
    """KaTeX's style, fonts and script for copying, in the folder of static files."""
    if not KATEX.is_dir():
        raise ExtensionError(f"KaTeX is not there: {KATEX} is missing; run `make book`")
    style = (KATEX / "katex.min.css").read_text(encoding="utf-8")
    (static / "katex" / "fonts").mkdir(parents=True, exist_ok=True)
    (static / "katex" / "katex.css").write_text(OTHER_FONTS.sub("", style), encoding="utf-8")
    shutil.copyfile(KATEX / "contrib" / "copy-tex.min.js", static / "katex" / "copy-tex.js")
    for font in KATEX.glob("fonts/*.woff2"):
        shutil.copyfile(font, static / "katex" / "fonts" / font.name)


def set_formulas(pages):
    """Set the formulas of the pages, which are paths; those that are set stay as they are."""
    done = subprocess.run([program("node"), FORMULAS, *pages], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise ExtensionError(f"KaTeX cannot set the formulas:\n{done.stderr}")


def fold_parts(text):
    """A page whose sidebar shows the chapters of the present part only; the others unfold.

    Otherwise who has no mouse presses Tab past every chapter of the book, on every page.
    """

    def folded(match):
        name = match[1].replace("<span ", '<span role="heading" aria-level="2" ', 1)
        return f"<details{' open' if match[3] else ''}><summary>{name}</summary>{match[2]}</details>"

    return PART.sub(folded, text)


def checksum(*parts):
    """One for a sequence of bytes and texts."""
    found = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        found.update(b"%d\n" % len(part) + part)
    return found.hexdigest()


def write_laboratory(static, given, known):
    """Write the laboratory's script, which is `given` two texts, and its style.

    They are made by the library, whose import takes longer than a page.  The file `known` says what they were made
    from and what came out; if both are still so, they are left as they are.
    """
    made = [static / "laboratory.js", static / "laboratory.css"]
    sources = [*given, sys.version, *(f"{name} {importlib.metadata.version(name)}" for name in ENGINES)]
    for package in ("bea", "bea_book"):
        folder = Path(importlib.util.find_spec(package).origin).parent
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            sources += [f"{package}/{path.relative_to(folder).as_posix()}", path.read_bytes()]
    if known.is_file() and all(path.is_file() for path in made):
        if known.read_text(encoding="utf-8") == checksum(*sources, *(path.read_bytes() for path in made)):
            return
    from bea_book.live import laboratory

    for path, text in zip(made, (laboratory.script(*given), laboratory.style())):
        path.write_text(text, encoding="utf-8")
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(checksum(*sources, *(path.read_bytes() for path in made)), encoding="utf-8")


def finish(app, exception):
    """Formulas, the laboratory, the page at the site's root and robots.txt; the theme's script for icons goes."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    add_katex(out / "_static")
    # What the reader typed runs in JupyterLite's console, if `make lite` has put that beside the pages.
    console = f"../{REPL}?kernel=python&code=" if (out / REPL).is_file() else ""
    write_laboratory(out / "_static", (console, f"{install_line()}\n"), Path(app.doctreedir) / "laboratory.sha256")
    names = {"site": app.config.html_baseurl, "root": app.config.root_doc}
    page = REDIRECT.format(title=html.escape(app.config.html_title), **names)
    (out / "index.html").write_text(page, encoding="utf-8")
    robots = "User-agent: *\nAllow: /\nSitemap: {site}sitemap.xml\n".format(**names)
    (out / "robots.txt").write_text(robots, encoding="utf-8")

    pages = [*out.glob("*.html"), *out.glob("chapters/**/*.html")]
    for path in pages:
        before = path.read_text(encoding="utf-8")
        text = fold_parts(CITATIONS.sub(lambda div: ROLES.sub("", div[0]), ICONS.sub("", before)))
        if text != before:
            path.write_text(text, encoding="utf-8")
    set_formulas(pages)
    for path in (out / "_static" / "scripts").glob("fontawesome.js*"):
        path.unlink()


def join_streams(outputs):
    """A cell's outputs with all that it printed in one piece, as `nb_merge_streams` has it.

    MyST-NB ends each piece with a new line; and a kernel may split before the one that a line has.
    """
    joined, streams = [], {}
    for output in outputs:
        name = output.get("name")  # of a stream only
        if name in streams:
            streams[name]["text"] += output["text"]
        else:
            joined.append(output)
            if output["output_type"] == "stream":
                streams[name] = output
    return coalesce_streams(joined)


def setup(app):
    myst_nb.core.render.coalesce_streams = join_streams
    # As TeX, until `finish`; Sphinx loads MathJax only with the renderer of that name.
    inline, block = (mathjax.html_visit_math, None), (mathjax.html_visit_displaymath, None)
    app.add_html_math_renderer("katex", inline, block)
    # Lower numbers come first.  500 is everyone's default; the 404 page's addresses are made at 400.
    app.connect("config-inited", set_addresses, priority=100)
    app.connect("config-inited", choose_execution)
    app.connect("env-updated", write_side_by_side)
    app.connect("doctree-resolved", keep_colours)
    app.connect("html-page-context", complete_head, priority=450)
    app.connect("html-page-context", drop_files, priority=900)
    app.connect("html-page-context", preload_fonts, priority=900)
    app.connect("build-finished", finish, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
