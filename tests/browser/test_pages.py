"""Every page of the built book in a real browser, with the network cut off."""

import re

import pages
import pytest
from browsing import OUT, PICTURES, SITE

from tools.site import book_site

PAGES = sorted(p for folder in ("", "chapters") for p in (SITE / folder).glob("*.html"))
# The address of the book itself only sends the reader on.
PAGES = [p.relative_to(SITE).as_posix() for p in PAGES if p != SITE / "index.html"]


def test_the_book_is_there():
    assert "chapters/index.html" in PAGES, f"no book in {SITE}; `make browser-test` builds it"


@pytest.mark.parametrize("view", pages.VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_page(name, view, offline_context, book, record_property):
    OUT.mkdir(parents=True, exist_ok=True)
    picture = f"{OUT}/{name.removesuffix('.html').replace('/', '-')}-{view}-{{}}.jpg"
    look = pages.look_at(offline_context, f"{book}/{name}", view, picture if PICTURES else None)
    row = {
        f"first paint {view}, ms": f"{look.times['paint']:.0f}",
        f"LCP {view}, ms": f"{look.times['largest']:.0f}",
        f"CLS {view}": f"{look.times['shift']:.3f}",
        "serious axe violations": sum(not pages.excepted(rule, node) for _, rule, node in pages.serious(look)),
        "outside requests": len(look.log.outside),
    }
    if view == "desktop":
        raw, compressed = pages.weights(look.log, book)
        row |= {
            "requests": len(look.log.requests),
            "kB": raw // 1000,
            "kB gzip": compressed // 1000,
            "tab stops to the first figure": look.stops,
        }
    record_property("row", (name, row))
    assert pages.problems_of(look) == []
    if view == "desktop":
        assert compressed // 1000 <= pages.HEAVIEST


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_formula_sheet_prints_on_one_page(paper, offline_context, book):
    context, _ = offline_context()
    page = context.new_page()
    page.goto(f"{book}/chapters/formulas.html")
    page.evaluate("document.fonts.ready")

    def printed():
        return len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format=paper)))

    assert page.locator("table.formula-sheet .katex").count() > 50
    assert printed() == 1
    page.evaluate(
        "const rows = document.querySelector('.formula-sheet tbody'); rows.append(...rows.cloneNode(true).children)"
    )
    assert printed() > 1


def test_exceptions_are_needed(offline_context, book):
    """An exception that no page needs any more must go; this page has all that need one."""
    met = set()
    for name in ("chapters/01_gradient_descent.html",):
        look = pages.look_at(offline_context, f"{book}/{name}", "desktop")
        met |= {pages.excepted(rule, node) for _, rule, node in pages.serious(look)}
    assert met - {None} == set(pages.EXCEPTIONS)


def test_the_address_of_the_book_leads_to_its_first_page(offline_context, book):
    context, log = offline_context()
    page = context.new_page()
    page.goto(f"{book}/")
    page.wait_for_url("**/chapters/index.html")
    # It leaves before its own icon has come.
    assert [problem for problem in log.problems() if "ERR_ABORTED" not in problem] == []


def test_search_finds(offline_context, book):
    context, log = offline_context()
    page = context.new_page()
    page.goto(f"{book}/search.html?q=imbalance")
    page.locator("#search-results li a").first.wait_for()
    assert page.locator("#search-results mark").first.inner_text().lower().startswith("imbalance")
    found = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.pathname)")
    assert any(name.endswith("chapters/01_gradient_descent.html") for name in found)
    assert log.problems() == []


def test_long_tables_are_folded_and_filtered(offline_context, book):
    context, log = offline_context()
    page = context.new_page()
    page.goto(f"{book}/chapters/how_we_know.html")
    rows = page.locator("table").first.locator("tbody tr")
    shown = rows.locator("visible=true")
    total = rows.count()
    assert shown.count() == 12 < total
    page.get_by_label("Find rows").first.fill("Picard")
    assert 0 < shown.count() < 12 and "Picard" in shown.first.inner_text()
    page.get_by_role("button", name="Show all").first.click()
    assert shown.count() == total
    # Equations are links, and what is folded is printed.
    assert rows.first.locator("a[href*='#equation-']").count() == 1
    page.reload()
    page.emulate_media(media="print")
    assert shown.count() == total
    assert log.problems() == []


def test_the_sidebar_opens_the_present_part(offline_context, book):
    context, _ = offline_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{book}/chapters/06_momentum.html")
    links = page.locator(".bd-links a.reference:visible").all_inner_texts()
    assert [text.split()[0] for text in links] == ["Backward", "6", "7"]
    page.keyboard.press("Tab")
    skip = page.locator("#pst-skip-link a")
    assert skip.evaluate("link => link === document.activeElement") and skip.bounding_box()["y"] >= 0


FOCUS = """() => {
    const e = document.activeElement, { outlineStyle, boxShadow } = getComputedStyle(e)
    return e === document.body ? null : [e.outerHTML.slice(0, 80), outlineStyle !== 'none' || boxShadow !== 'none']
}"""


@pytest.mark.parametrize("view", pages.VIEWS)
@pytest.mark.parametrize("name", ["09_rmsprop", "laboratory"])
def test_every_tab_stop_shows_that_it_has_the_focus(name, view, offline_context, book):
    context, _ = offline_context(viewport=pages.VIEWS[view][0])
    page = context.new_page()
    page.goto(f"{book}/chapters/{name}.html")
    page.add_style_tag(content="* { transition: none !important }")
    found = []
    while len(found) < 90:
        page.keyboard.press("Tab")
        if (stop := page.evaluate(FOCUS)) is None:
            break
        found.append(stop)
    assert len(found) > 20
    assert [place for place, seen in found if not seen] == []


# --- the rules themselves ----------------------------------------------------------------------

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>A page</title>
<link rel="icon" href="data:,">
<style>
  html { background: #fff; color: #111 }
  html[data-theme="dark"] { background: #111; color: #eee }
</style>
<script>
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  dark.addEventListener("change", follow);
  follow();
</script>
<link rel="stylesheet" href="katex/katex.css">
</head>
<body><main class="mathjax_ignore">
<h1>A page</h1>
<p>The square is <span class="math">\\(x^2\\)</span>, and <code>\\(x\\)</code> is how to write x.</p>
<div style="overflow-x: auto" tabindex="0"><p style="width: 3000px">A long line in a box that scrolls.</p></div>
<details><summary>A hint</summary><p>Square it.</p></details>
<!-- here -->
</main></body>
</html>
"""
GREY = "<p style='color: #999; background: #888'>Grey words on grey.</p>"

# (the rule that must object, what is put into the page)
BAD = {
    "console": (pages.problems_of_loading, "<script>console.error('no')</script>"),
    "uncaught": (pages.problems_of_loading, "<script>undefinedName()</script>"),
    "missing": (pages.problems_of_loading, "<img src='missing.png' alt='Nothing'>"),
    "outside": (
        pages.problems_of_loading,
        "<img src='https://example.org/a.png' alt='A far picture'>",
    ),
    "outside by number": (pages.problems_of_loading, "<script>fetch('http://192.0.2.1/')</script>"),
    "outside socket": (
        pages.problems_of_loading,
        "<script>new WebSocket('wss://example.org')</script>",
    ),
    "outside font": (
        pages.problems_of_loading,
        "<style>@font-face { font-family: far; src: url(https://example.org/a.woff2) }</style>"
        "<p style='font-family: far'>Words</p>",
    ),
    "not processed": (pages.problems_of_mathematics, "<p>Then \\(x\\) grows.</p>"),
    "displayed": (pages.problems_of_mathematics, "<p>$$x = 1$$</p>"),
    "dollars": (pages.problems_of_mathematics, "<p>Then $x^2$ grows.</p>"),
    "environment": (pages.problems_of_mathematics, "<p>\\begin{align} x \\end{align}</p>"),
    "role": (pages.problems_of_mathematics, "<p>By {eq}`label` it grows.</p>"),
    "empty": (pages.problems_of_mathematics, "<span class='math'>x^2</span>"),
    "set wrongly": (pages.problems_of_mathematics, "<p>Then <span class='katex-error'>x^</span> grows.</p>"),
    "moves": (
        pages.problems_of_stability,
        "<script>addEventListener('load', () => document.querySelector('h1').style.marginTop = '20em')</script>"
        "<img src='data:,' alt='' hidden>",
    ),
    "wide code": (pages.problems_of_width, f"<pre>{'long ' * 300}</pre>"),
    "wide on the left": (pages.problems_of_width, "<p style='margin-left: -9em'>Words</p>"),
    "cut off": (
        pages.problems_of_width,
        "<p style='width: 5em; overflow: hidden; white-space: nowrap'>Many words in a line</p>",
    ),
    "out of reach": (
        pages.problems_of_width,
        f"<div style='overflow-x: auto' tabindex='-1'><pre>{'long ' * 300}</pre></div>",
    ),
    "end first": (
        pages.problems_of_width,
        "<div style='display: flex; flex-direction: row-reverse; overflow-x: auto' tabindex='0'>"
        f"<span style='flex: none'>{'long ' * 300}</span></div>",
    ),
    "cut off below": (
        pages.problems_of_width,
        "<p style='height: .7em; overflow: hidden'>Words without their feet</p>",
    ),
    "grey": (pages.problems_of_access, GREY),
    "grey, folded": (pages.problems_of_access, f"<details><summary>More</summary>{GREY}</details>"),
    "dark on dark": (
        pages.problems_of_access,
        "<style>html[data-theme='dark'] .x { color: #333 }</style><p class='x'>Words</p>",
    ),
    "light on light": (
        pages.problems_of_access,
        "<style>html[data-theme='light'] .x { color: #ddd }</style><p class='x'>Words</p>",
    ),
    "formula too faint": (
        pages.problems_of_access,
        "<p style='color: #999; background: #888'><span class=\"math\">\\(x^2 + y^2\\)</span></p>",
    ),
    "no name": (pages.problems_of_access, "<button></button>"),
    "no alternative": (
        pages.problems_of_access,
        "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    ),
    "always light": (
        pages.problems_of_access,
        "<script>dark.removeEventListener('change', follow)</script>",
    ),
}


@pytest.fixture
def scratch(tmp_path, serve):
    """scratch(addition) -> the address of PAGE with the addition."""
    book_site.add_katex(tmp_path)

    def scratch(addition=""):
        path = tmp_path / "page.html"
        path.write_text(PAGE.replace("<!-- here -->", addition), encoding="utf-8")
        book_site.set_formulas([path])
        return f"{serve(tmp_path)}/page.html"

    return scratch


@pytest.mark.parametrize("view", pages.VIEWS)
def test_good_page_has_no_problems(view, scratch, offline_context):
    assert pages.problems_of(pages.look_at(offline_context, scratch(), view)) == []


@pytest.mark.parametrize("fault", BAD)
def test_rule_catches(fault, scratch, offline_context):
    rule, addition = BAD[fault]
    assert rule(pages.look_at(offline_context, scratch(addition), "desktop"))
