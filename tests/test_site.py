"""The checks of the built site, held to a small good site and to mutants of it.

`make book` runs tools/site/check_site.py on the real one.
"""

import base64
import doctest
import importlib.metadata
import io
import os
import re
import runpy
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree
from zipfile import ZipFile

import nbformat
import numpy as np
import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image
from sphinx.builders.html._assets import _JavaScript
from sphinx.errors import ConfigError, ExtensionError

from bea_book import plot, svg
from bea_book.live import laboratory
from tools.site import book_site, bytecode, check_site, lighter, lite, logo

ROOT = Path(__file__).resolve().parent.parent
SITE = "https://someone.github.io/book/"

PAGE = """\
<!DOCTYPE html>
<html><head><title>{title}</title>
<meta name="description" content="About {title}.">
<link rel="canonical" href="{site}{name}">
<link rel="icon" href="{up}_static/logo.svg">
<link rel="next" href="https://elsewhere.example/next">
<link rel="stylesheet" href="{up}_static/book.css?v=1">
<style>p {{ background: url(data:image/png;base64,AAAA) }}</style>
<script>const name = "http://www.w3.org/2000/svg"; // a name, not an address</script>
</head><body><a href="https://elsewhere.example/">elsewhere</a>
<a href="{up}chapters/one.html#a">one</a> <a href="#top">top</a> <a href="{up}./">home</a>
<img src="{up}_static/logo.svg" alt=""></body></html>
"""


@pytest.fixture
def site(tmp_path):
    """A small site without problems."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_static" / "book.css").write_text("@import 'logo.svg'; a { color: url(#a) }")
    (tmp_path / "_static" / "logo.svg").write_text("<svg/>")
    names = ["chapters/index.html", "chapters/one.html"]
    for name in [*names, "search.html", "404.html", "index.html"]:
        up = "../" * name.count("/") if name != "404.html" else "/book/"
        canonical = "chapters/index.html" if name == "index.html" else name
        text = PAGE.format(title=Path(name).stem, site=SITE, name=canonical, up=up)
        (tmp_path / name).write_text(text)
    places = "".join(f"<url><loc>{SITE}{name}</loc></url>" for name in names)
    namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
    (tmp_path / "sitemap.xml").write_text(f'<urlset xmlns="{namespace}">{places}</urlset>')
    (tmp_path / "robots.txt").write_text(f"User-agent: *\nSitemap: {SITE}sitemap.xml\n")
    return tmp_path


def test_good_site_has_no_problems(site):
    assert check_site.problems_of_site(site, SITE) == []


def replace(name, old, new):
    def spoil(site):
        text = (site / name).read_text()
        assert old in text
        (site / name).write_text(text.replace(old, new))

    spoil.__name__ = f"{name}: {new}" if new else f"{name} without {old}"
    return spoil


def insert(element):
    return replace("chapters/one.html", "</body>", f"{element}</body>")


def remove(name):
    def spoil(site):
        (site / name).unlink()

    spoil.__name__ = f"no {name}"
    return spoil


CDN = "https://cdn.example/a"


@pytest.mark.parametrize(
    "spoil, word",
    [
        (insert(f'<script src="{CDN}.js"></script>'), "another server"),
        (insert('<script src="//cdn.example/a.js"></script>'), "another server"),
        (insert(f'<script>const URL = "{CDN}.js"</script>'), "another server"),
        (insert(f'<script type="module">import "{CDN}.js"</script>'), "another server"),
        (insert(f'<link rel="preload stylesheet" href="{CDN}.css">'), "another server"),
        (insert(f'<link rel="preconnect" href="{CDN}">'), "another server"),
        (insert(f'<img src="{CDN}.png">'), "another server"),
        (insert(f'<img srcset="../_static/logo.svg 1x, {CDN}.png 2x">'), "another server"),
        (insert(f'<iframe src="{CDN}"></iframe>'), "another server"),
        (insert(f'<object data="{CDN}"></object>'), "another server"),
        (insert(f'<svg><use xlink:href="{CDN}.svg#a"/></svg>'), "another server"),
        (insert(f'<p style="background: url({CDN}.png)">'), "another server"),
        (insert(f"<style>@import '{CDN}.css';</style>"), "another server"),
        (replace("_static/book.css", "logo.svg", f"{CDN}.css"), "book.css loads"),
        (replace("_static/book.css", "#a", f'"{CDN}.woff"'), "book.css loads"),
        (insert('<img src="../_static/lost.png">'), "not there"),
        (insert('<a href="lost.html">lost</a>'), "not there"),
        (replace("chapters/one.html", "<title>one</title>", ""), "one title"),
        (replace("chapters/one.html", "<title>one", "<title>"), "one title"),
        (replace("chapters/one.html", "About one.", ""), "one description"),
        (replace("chapters/one.html", "About one.", 201 * "a"), "one description"),
        (insert('<meta name="description" content="Again.">'), "one description"),
        (replace("chapters/one.html", 'rel="canonical"', 'rel="prev"'), "canonical"),
        (replace("chapters/one.html", f"{SITE}chapters/one", f"{SITE}one"), "canonical"),
        (replace("chapters/one.html", 'rel="icon"', 'rel="prev"'), "icon"),
        (remove("_static/logo.svg"), "not there"),
        (remove("404.html"), "404.html is missing"),
        (remove("index.html"), "index.html is missing"),
        (replace("404.html", "/book/chapters", "chapters"), "server's root"),
        (replace("404.html", "/book/chapters", "/chapters"), "not there"),
        (remove("sitemap.xml"), "sitemap.xml is missing"),
        (
            replace("sitemap.xml", f"<url><loc>{SITE}chapters/one.html</loc></url>", ""),
            "every page",
        ),
        (replace("sitemap.xml", "chapters/one", "chapters/two"), "every page"),
        (replace("sitemap.xml", "chapters/index", "chapters/one"), "every page"),
        (remove("robots.txt"), "robots.txt"),
        (replace("robots.txt", "someone", "other"), "robots.txt"),
    ],
    ids=lambda thing: getattr(thing, "__name__", ""),
)
def test_spoilt_site_is_caught(site, spoil, word):
    spoil(site)
    problems = check_site.problems_of_site(site, SITE)
    assert any(word in problem for problem in problems), problems


def test_check_stops_the_build(site, monkeypatch, capsys):
    url = {"repository": {"url": "https://github.com/someone/book"}}
    (site / "config.yml").write_text(yaml.safe_dump(url))
    monkeypatch.setattr(check_site, "CONFIG", site / "config.yml")
    check_site.main(site)
    assert "Checked" in capsys.readouterr().out
    remove("404.html")(site)
    with pytest.raises(SystemExit, match="404.html is missing"):
        check_site.main(site)
    with pytest.raises(SystemExit, match="make book"):
        check_site.main(site / "chapters" / "nothing")


@pytest.mark.parametrize("address", ["OWNER" + "/REPOSITORY", "someone/REPOSITORY", "OWNER/book"])
def test_placeholders_are_not_published(site, monkeypatch, address):
    url = {"repository": {"url": "https://github.com/someone/book"}}
    (site / "config.yml").write_text(yaml.safe_dump(url))
    monkeypatch.setattr(check_site, "CONFIG", site / "config.yml")
    check_site.main(site, publish=True)
    # One forgotten place in a page, though the address is filled in.
    insert(f'<a href="https://github.com/{address}/issues">report</a>')(site)
    check_site.main(site)
    with pytest.raises(SystemExit, match="chapters/one.html holds a placeholder.*_config.yml"):
        check_site.main(site, publish=True)
    # The address itself, which is drawn into the cards.
    url["repository"]["url"] = f"https://github.com/{address}"
    problems = check_site.placeholders_of_site(site, url["repository"]["url"])
    assert "card" in problems[0] and len(problems) == 2


def test_this_address_is_filled_in_or_refused(site):
    """The project's own: as long as it is a placeholder, nothing can be published."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    assert bool(check_site.placeholders_of_site(site, url)) == ("OWNER" in url or "REPOSITORY" in url)


# --- the extension -----------------------------------------------------------------------------


def test_address_of_the_site():
    assert doctest.testmod(book_site) == (0, 2)


@pytest.mark.parametrize(
    "address",
    [None, "", "https://github.com/someone", "https://gitlab.com/someone/book", "github.com/a/b"],
)
def test_only_github_gives_an_address(address):
    with pytest.raises(ConfigError, match="repository.url"):
        book_site.site_address(address)


def test_formulas_are_set(tmp_path):
    page = tmp_path / "page.html"
    text = r"""<p>If <span class="math notranslate nohighlight">\\(a &lt; b^2\\)</span>, <code>\\(a\\)</code></p>
<div class="math notranslate nohighlight" id="equation-a">
<span class="eqno">(1)<a href="#equation-a">#</a></span>\\[\\begin{split}a &amp;= 1\\\\ b &amp;= \\tfrac h2\\end{split}\\]</div>"""
    page.write_text(text.replace("\\\\", "\\"), encoding="utf-8")
    book_site.set_formulas([page])
    text = page.read_text(encoding="utf-8")
    assert text.count('class="katex"') == 2 and text.count("katex-display") == 1
    assert text.startswith('<p>If <span class="book-joined"><span class="math ') and "</span>,</span> <code>" in text
    assert "a &lt; b^2</annotation>" in text and "<code>\\(a\\)</code>" in text
    assert '(1)<a href="#equation-a">#</a></span><span class="katex-display">' in text
    book_site.set_formulas([page])
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("tex", [r"\frac{1}", r"\nonsense", r"x^", r"\ref{no}"])
def test_a_wrong_formula_stops_the_build(tmp_path, tex):
    page = tmp_path / "page.html"
    page.write_text(f'<span class="math">\\({tex}\\)</span>', encoding="utf-8")
    with pytest.raises(ExtensionError, match=r"page\.html"):
        book_site.set_formulas([page])


@pytest.mark.parametrize("wanted, mode", [(None, "force"), ("yes", "force"), ("no", "off"), ("cache", "cache")])
def test_execute_says_where_outputs_come_from(wanted, mode, monkeypatch):
    monkeypatch.delenv("EXECUTE", raising=False)
    if wanted:
        monkeypatch.setenv("EXECUTE", wanted)
    config = SimpleNamespace(nb_execution_mode="force")
    book_site.choose_execution(None, config)
    assert config.nb_execution_mode == mode


def test_execute_is_one_of_three_words(monkeypatch):
    monkeypatch.setenv("EXECUTE", "never")
    with pytest.raises(ConfigError, match="'never'; it must be yes, no or cache"):
        book_site.choose_execution(None, None)


def test_where_a_kernel_splits_what_is_printed_does_not_show():
    """Every split into two and three pieces, with an output of another kind between; MyST-NB's own merging fails."""
    text, warning = "one\n\n  two\n", "careful\n"

    def shown(merge, cuts):
        ends = [0, *cuts, len(text)]
        pieces = [nbformat.v4.new_output("stream", name="stdout", text=text[a:b]) for a, b in zip(ends, ends[1:])]
        stderr = nbformat.v4.new_output("stream", name="stderr", text=warning)
        picture = nbformat.v4.new_output("display_data", {"text/plain": "<Figure>"})
        return merge([pieces[0], stderr, picture, *pieces[1:]])

    splits = [(k,) for k in range(1, len(text))] + [(3, 4), (4, 5), (5, 9)]
    whole = shown(book_site.join_streams, ())
    assert [output.get("text") for output in whole] == [text, warning, None]
    for cuts in splits:
        assert shown(book_site.join_streams, cuts) == whole
    assert any(shown(book_site.coalesce_streams, cuts) != whole for cuts in splits)


def test_captions_that_speak_of_black_or_white_keep_their_figures_colours():
    page = new_document("page.md")
    for words in ("Black dots, a blue line.", "The blackboard.", "White is zero."):
        page += nodes.figure("", nodes.image(uri="a.png"), nodes.caption("", words))
    book_site.keep_colours(None, page, "page")
    assert [figure["classes"] for figure in page] == [["true-colours"], [], ["true-colours"]]


def test_the_sidebar_shows_the_present_part():
    caption = '<p aria-level="2" class="caption" role="heading"><span class="caption-text">{}</span></p>\n'
    links = '<ul class="{}nav bd-sidenav">\n<li><a href="{}.html">A chapter</a></li>\n</ul>'
    text = caption.format("One") + links.format("", "a") + caption.format("Two") + links.format("current ", "b")
    folded = book_site.fold_parts(text)
    parts = re.findall(r"<details( open)?><summary>.*?>(\w+)</span></summary><ul .*?</ul></details>", folded, re.DOTALL)
    assert parts == [("", "One"), (" open", "Two")] and folded.count('role="heading"') == 2
    assert book_site.fold_parts(folded) == folded


def test_missing_katex_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(book_site, "KATEX", tmp_path / "nowhere")
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path)
    with pytest.raises(ExtensionError, match="make book"):
        book_site.finish(app, None)


@pytest.fixture
def laboratory_files(tmp_path, monkeypatch):
    """A small library and a function that writes the laboratory's files for it and says whether it had to."""
    for name in ("bea/__init__.py", "bea/series.py", "bea_book/__init__.py", "bea_book/live/engine.js"):
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / name).write_text(f"# {name}\n", encoding="utf-8")
    origin = {
        name: SimpleNamespace(origin=str(tmp_path / "lib" / name / "__init__.py")) for name in ("bea", "bea_book")
    }
    monkeypatch.setattr(book_site.importlib.util, "find_spec", origin.get)
    asked = []

    def script(console, first):
        asked.append((console, first))
        return f"{len(asked)} {console} {first}"

    monkeypatch.setattr(laboratory, "script", script)
    (tmp_path / "_static").mkdir()

    def written(console="", first="%pip install"):
        before = len(asked)
        book_site.write_laboratory(tmp_path / "_static", (console, first), tmp_path / "doctrees" / "laboratory.sha256")
        assert (tmp_path / "_static" / "laboratory.js").read_text() == f"{len(asked)} {console} {first}"
        assert (tmp_path / "_static" / "laboratory.css").read_text() == laboratory.style()
        return len(asked) > before

    return written


CHANGES = {
    "a changed file": lambda folder: (folder / "lib/bea_book/live/engine.js").write_text("# other text"),
    "a new file": lambda folder: (folder / "lib/bea/orders.py").write_text(""),
    "a new name": lambda folder: (folder / "lib/bea/series.py").rename(folder / "lib/bea/lines.py"),
    "a lost file": lambda folder: (folder / "lib/bea/series.py").unlink(),
    "text in the next file": lambda folder: [
        (folder / "lib/bea/__init__.py").write_text(""),
        (folder / "lib/bea/series.py").write_text("# bea/__init__.py\n# bea/series.py\n"),
    ],
    "a changed script": lambda folder: (folder / "_static/laboratory.js").write_text("1"),
    "a changed style": lambda folder: (folder / "_static/laboratory.css").write_text("a {}"),
    "a lost script": lambda folder: (folder / "_static/laboratory.js").unlink(),
    "a lost style": lambda folder: (folder / "_static/laboratory.css").unlink(),
    "a lost checksum": lambda folder: (folder / "doctrees/laboratory.sha256").unlink(),
    "a changed checksum": lambda folder: (folder / "doctrees/laboratory.sha256").write_text("0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_laboratory_is_written_after_every_change(change, laboratory_files, tmp_path):
    assert laboratory_files() and not laboratory_files()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "lib").rglob("*") if path.is_file()}
    CHANGES[change](tmp_path)
    for path, time in times.items():  # a date tells nothing
        if path.exists():
            os.utime(path, ns=(time, time))
    assert laboratory_files() and not laboratory_files()


def test_the_laboratory_is_written_for_other_versions_and_with_the_console(laboratory_files, monkeypatch):
    assert laboratory_files() and not laboratory_files()
    assert laboratory_files(console="../lite/repl/index.html") and not laboratory_files("../lite/repl/index.html")
    assert laboratory_files(first="%pip install sympy") and laboratory_files()
    monkeypatch.setattr(book_site.sys, "version", "3.99")
    assert laboratory_files() and not laboratory_files()
    for name in book_site.ENGINES:
        version = importlib.metadata.version
        monkeypatch.setattr(importlib.metadata, "version", lambda n, name=name, v=version: "9.9" if n == name else v(n))
        assert laboratory_files() and not laboratory_files()


def test_pages_are_built_without_the_engine():
    """Unless the laboratory's files are written; it takes longer to import than a page to build."""
    code = "import sys, tools.site.book_site; print([m for m in ('sympy', 'scipy', 'bea') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_scripts_come_once_and_thebe_never():
    scripts = [
        _JavaScript("book.js"),
        _JavaScript("book.js"),
        _JavaScript(None, body="let a = 1;"),
        _JavaScript(None, body="let a = 1; "),
        _JavaScript("sphinx-thebe.js"),
        _JavaScript(None, body='const THEBE_JS_URL = "..."'),
    ]
    context = {"script_files": scripts[:], "css_files": []}
    book_site.drop_files(None, "page", "page.html", context, None)
    assert context["script_files"] == [scripts[0], scripts[2]]


@pytest.mark.parametrize("node, fonts", [(nodes.math, 2), (nodes.literal, 0)])
def test_fonts_are_asked_for_where_formulas_are(node, fonts):
    context = {"metatags": "", "pathto": lambda place, resource: f"../{place}"}
    page = new_document("page.md")
    page += nodes.paragraph("", "", node("x", "x"))
    book_site.preload_fonts(None, "page", "page.html", context, page)
    asked = check_site.Page(context["metatags"]).loaded
    assert len(asked) == fonts
    assert all(place.startswith("../_static/katex/fonts/") for place in asked)


# --- the sources -------------------------------------------------------------------------------


def description_of(path):
    if path.suffix == ".ipynb":
        metadata = nbformat.read(path, as_version=nbformat.NO_CONVERT).metadata
    else:
        front = re.match(r"---\n(.*?)\n---\n", path.read_text(encoding="utf-8"), re.S)
        metadata = yaml.safe_load(front[1]) if front else {}
    return metadata.get("myst", {}).get("html_meta", {}).get("description", "")


def test_every_page_describes_itself():
    """What the build would complain of, said at once."""
    pages = [p for p in (ROOT / "chapters").iterdir() if p.suffix in (".ipynb", ".md")]
    described = {page.name: description_of(page) for page in pages}
    assert len(described) > 4
    assert [name for name, d in described.items() if not 20 <= len(d) <= check_site.LONGEST] == []
    assert len(set(described.values())) == len(described)


def test_logo_is_as_drawn():
    assert (logo.ASSETS / "logo.svg").read_text(encoding="utf-8") == logo.svg()
    circle, spiral, iterates = logo.curves()
    # Every iterate lies on the spiral, and only the first on the circle.
    middle = circle[:-1].mean()
    radius = abs(circle[0] - middle)
    assert [min(abs(spiral - z)) < 1e-9 for z in iterates] == [True] * len(iterates)
    assert [abs(abs(z - middle) - radius) < 1e-9 for z in iterates] == [True, False, False, False]


def test_npm_lock_names_no_registry():
    text = (ROOT / "tools" / "site" / "web" / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count('"integrity": "sha512-') == len(re.findall(r'"node_modules/', text)) > 0


def test_icons_that_a_sheet_writes_by_itself_are_kept():
    """Named by a page, written as an escape, or written as they are, as the theme does for boxes of theorems."""
    style = '.fa-bell:before{content:"\\f0f3"}.fa-car:before{content:"\\f1b9"}:root{--box:"\uf0a1"}'
    kept = lighter.letters_of_icons(style, ['<i class="fa-bell">'], ['a::after{content:"\\f0c1"}'])
    assert kept == {0xF0F3, 0xF0A1, 0xF0C1}


def test_dense_maps_are_pixels_with_a_palette_that_keeps_their_colours():
    """Half of the bytes, no colour off by more than a shade; what lets the ground through stays as it was."""
    x = np.linspace(-1, 1, 101)
    figure = Figure((3, 3), dpi=110)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.pcolormesh(x, x, np.multiply.outer(x, x), cmap="PuOr", shading="gouraud")
    ax.set_axis_off()

    def pictures():
        """The map as the page has it and as Matplotlib drew it, each with its bytes."""
        texts = svg.whole(figure), svg._drawn(figure)
        found = [base64.b64decode(re.search(r"base64,([^\"]*)", text)[1]) for text in texts]
        return [(len(png), Image.open(io.BytesIO(png))) for png in found]

    (size, small), (full, drawn) = pictures()
    assert (small.mode, drawn.mode) == ("P", "RGBA") and 2 * size < full
    assert np.abs(np.array(small.convert("RGBA"), int) - np.array(drawn, int)).max() <= 8
    ax.collections[0].set_alpha(0.5)
    (_, same), (_, drawn) = pictures()
    assert np.array_equal(same, drawn)


@pytest.mark.parametrize("off", [3e-16, 1e-14])
def test_the_last_bits_of_numbers_change_no_picture(off):
    """They differ from machine to machine; a difference that can be seen makes another picture, with other names."""

    def drawn(factor):
        figure = Figure((6 * factor, 3), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(np.array([1, 2, 3]) * factor, np.array([1, 4, 2]) * factor, "o-")
        left.fill_between([1, 2], [0, 0], [factor, 1], hatch="//")
        right.scatter(np.array([1, 2]) * factor, [3, 4], [20, 40 * factor])
        right.twinx().plot([1, 2], [0, 1])
        return svg.whole(figure)

    text, other = drawn(1.0), drawn(1.01)
    assert drawn(1 + off) == text
    names = [set(re.findall(r'<clipPath id="(\w+)"', text)) for text in (text, other)]
    assert len(names[0]) == 2 and names[0].isdisjoint(names[1])
    for name in re.findall(r"(?:href=\"|url\()#([\w-]+)", text):
        assert text.count(f' id="{name}"') == 1, name


def test_axes_side_by_side_stand_one_below_another_on_a_telephone(tmp_path):
    """Panels that share an axis get its labels; one column needs no copy, and the page's ground shows through."""
    with rc_context(plot.STYLE):
        figure = Figure((9, 3), layout="constrained")
        figure.subplots(1, 2, sharey=True)[0].set_ylabel("loss")
    text = svg.whole(figure)
    assert text == svg.whole(figure) and svg.GROUND in text and ',648"' in text
    FigureCanvasSVG(figure)  # which has dots of its own size
    assert ',648"' in svg.whole(figure)
    images = tmp_path / "_images"
    images.mkdir()
    (images / "wide.svg").write_text(text, encoding="utf-8")
    (images / "one.svg").write_text(svg.whole(Figure((4, 3))), encoding="utf-8")
    caption = "<figcaption><p>Left: one.</p></figcaption>"
    page = f'<img alt="A" src="_images/wide.svg" />{caption}<img alt="B" src="_images/one.svg" />{caption}'
    page = lighter.give_room(page, tmp_path)
    assert re.findall(r'</picture><figcaption class="sides">|<figcaption>', page) == [
        '</picture><figcaption class="sides">',
        "<figcaption>",
    ]
    assert (
        page.count("<picture class") == 1 and page.count('loading="lazy"') == 2 and 'width="990" height="330"' in page
    )
    assert svg.GROUND not in (images / "wide.svg").read_text(encoding="utf-8")
    narrow = ElementTree.parse(images / "wide-narrow.svg").getroot()
    first, labels, second = (part.attrib for part in narrow.findall("{*}svg"))
    assert labels["y"] == second["y"] == "216" and float(labels["width"]) < 60
    assert narrow.attrib["viewBox"].split()[3] == "432" and float(narrow.attrib["width"]) < 400
    assert lighter.give_room(page, tmp_path) == page


@pytest.mark.parametrize("with_bar", [(0,), (1,), (0, 1)])
def test_a_colour_bar_stays_with_its_axes(with_bar):
    """Where columns are cut apart, each is with the bar on its right."""
    with rc_context(plot.STYLE):
        figure = Figure((9, 3), layout="constrained")
        axes = figure.subplots(1, 2)
        bars = {k: figure.colorbar(axes[k].pcolormesh(np.eye(3)), ax=axes[k]).ax for k in with_bar}
    [panels] = re.findall(r'data-panels="[^ ]*,([\d.]+) [^ ]*,([\d.]+),([\d.]+)"', svg.whole(figure))
    first, again, end = map(float, panels)
    boxes = [[ax.get_tightbbox() for ax in (axes[k], bars.get(k, axes[k]))] for k in (0, 1)]
    right = [72 / figure.dpi * max(box.x1 for box in column) for column in boxes]
    assert right[0] < first == again < 72 / figure.dpi * boxes[1][0].x0 < right[1] < end


def test_a_wheel_for_the_browser_has_no_tests_of_its_own(tmp_path):
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    names = (
        "some/__init__.py",
        "some/testing/__init__.py",
        "some/core/tests/test_core.py",
        "some-1.0.dist-info/RECORD",
    )
    with ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(name, "".join(f"{name},,\n" for name in names))
    lite.without_tests(wheel)
    with ZipFile(wheel) as archive:
        assert archive.namelist() == [name for name in names if "core" not in name]
        assert archive.read(names[-1]).decode().split() == [f"{name},," for name in names if "core" not in name]


@pytest.mark.parametrize("code, needed", [("loss = bea.logistic_regression()", True), ("import bea", False)])
def test_only_a_cell_that_needs_scikit_learn_waits_for_it(code, needed):
    notebook = lite.browser_copy(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]))
    assert [("scikit-learn" in cell.source) for cell in notebook.cells] == [False, needed]
    assert "bea-book" in notebook.cells[0].source and notebook.cells[1].source.endswith(code)


def test_a_wheel_for_the_browser_runs_without_its_source(tmp_path):
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for name in ("bea_some.py", "some.py", "some.txt"):
            archive.writestr(name, "answer = 42")
    bytecode.compile_wheel(wheel)
    with ZipFile(wheel) as archive:
        assert archive.namelist() == ["bea_some.py", cache_from_source("bea_some.py"), "some.pyc", "some.txt"]
        archive.extract("some.pyc", tmp_path)
    assert runpy.run_path(tmp_path / "some.pyc")["answer"] == 42


def test_python_in_the_browser_starts_with_the_wheels_of_the_site(tmp_path):
    (tmp_path / "pypi").mkdir()
    for name in (*lite.LOCAL, *lite.WHEELS):
        (tmp_path / "pypi" / f"{name}-1.0-py3-none-any.whl").touch()
    (tmp_path / "pypi" / "sympy-1.1-py3-none-any.whl").touch()
    script = lite.start(tmp_path)
    assert '"pypi/sympy-1.1-py3-none-any.whl"' in script and "sympy-1.0" not in script and "WHEELS" not in script
    assert not any(name not in script for name in (*lite.LOCAL, *lite.WHEELS))
