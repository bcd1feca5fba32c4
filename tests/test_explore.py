"""Explorers: the page, the panel and the picture show what `draw` drew and returned."""

import gzip
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import ipywidgets
import numpy as np
import pytest

import bea_book
from bea_book.explore import LARGEST, MIME, InPage

XLIM, YLIM = (-1.0, 3.0), (0.5, 2.5)
BETAS, HS = [0.0, 0.5, 0.9], [0.1, 0.25]


def background(ax):
    ax.set(xlim=XLIM, ylim=YLIM, xlabel="a", xticks=[-1, 0.25, 3])
    ax.plot([0, 1], [1, 2], color="#000000", alpha=0.25)


def points(beta, h):
    return np.array([[0.0, 1.0], [1.0 + beta, 1.0 + h], [2.0, 1.3 - beta], [2.5 - h, 2.0]])


def draw(ax, beta, h):
    path = points(beta, h)
    ax.plot(path[:, 0], path[:, 1], color="#0072B2")
    ax.plot(path[:, 0], path[:, 1], "o", ms=5, color="#D55E00")
    ax.fill([0, 1, 1 + beta], [1, 1, 2])
    ax.text(1 + h, 1, f"β < {beta}", color="#009E73")
    return {"sum": beta + h, "lag": beta / (1 - beta), "<word>": "now & then"}


WORDS = {"look": "the end moves", "ask": "where does it stop?", "alt": "a path"}
FORMULA = r"\frac{\beta}{1-\beta} = \val{lag}, \quad \beta = \val{beta}"


def make(draw=draw, background=background, **options):
    return bea_book.explore(draw, **{"background": background, **WORDS, "beta": BETAS, "h": HS, **options})


@pytest.fixture(scope="module")
def explorer():
    return make(start={"beta": 0.5}, formula=FORMULA)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])


def frame_of(page, beta, h):
    """(texts of the moving parts, {name: number shown}) as the page's script would put them."""
    data = data_of(page)
    texts = [data["strings"][k] for k in data["frames"][BETAS.index(beta) * len(HS) + HS.index(h)]]
    parts = len(texts) - len(data["names"])
    return texts[:parts], dict(zip(data["names"], texts[parts:]))


def vertices(path):
    """The points of path data made of M, l and h0, in SVG units."""
    found = []
    for letter, x, y in re.findall(r"([Ml])(-?\d+) ?(-?\d+)", path):
        point = np.array([int(x), int(y)])
        found.append(point if letter == "M" else found[-1] + point)
    return np.array(found) / 10


def on_page(page, xy):
    """Data coordinates to SVG units by the rectangle of the axes that the page itself states."""
    x, y, w, h = map(
        float,
        re.search(r'<clipPath.*?<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', page).groups(),
    )
    return np.column_stack(
        [
            x + w * (xy[:, 0] - XLIM[0]) / (XLIM[1] - XLIM[0]),
            y + h * (YLIM[1] - xy[:, 1]) / (YLIM[1] - YLIM[0]),
        ]
    )


@pytest.mark.parametrize("h", HS)
@pytest.mark.parametrize("beta", BETAS)
def test_every_frame_shows_what_was_drawn(explorer, beta, h):
    page = explorer.page()
    (shape, line, dots, place, word), numbers = frame_of(page, beta, h)
    expected = on_page(page, points(beta, h))
    # a tenth of a unit is the page's resolution; the axes' rectangle is rounded to it, too
    assert np.allclose(vertices(line), expected, atol=0.21)
    assert np.allclose(vertices(dots), expected, atol=0.21)
    assert dots.count("h0") == 4
    assert np.allclose(vertices(shape)[:3], on_page(page, np.array([[0, 1], [1, 1], [1 + beta, 2]])), atol=0.21)
    where = np.array([float(n) for n in re.findall(r"[-\d.]+", place)])
    assert np.allclose(where, on_page(page, np.array([[1 + h, 1.0]]))[0], atol=0.21)
    assert word == f"β < {beta}"
    assert float(numbers["sum"]) == pytest.approx(beta + h, rel=5e-3)
    assert float(numbers["lag"]) == pytest.approx(beta / (1 - beta), rel=5e-3)
    assert numbers == explorer.at(beta=beta, h=h)


def test_page_begins_at_the_start(explorer):
    page = explorer.page()
    texts, numbers = frame_of(page, 0.5, 0.1)
    for text in texts:
        assert f'"{text}"' in page or f">{html.escape(text)}<" in page
    assert '<mn data-value="lag">1</mn>' in page and '<mn data-value="beta">0.5</mn>' in page
    assert f">{numbers['sum']}</output>" in page
    assert "now &amp; then" in page and "<word>" not in page.split("<script")[0]
    assert re.search(r'data-slider="beta"[^>]* value="1"[^>]*aria-valuetext="0.5"', page)
    assert 'data-value="lag"' not in re.sub("<mn[^>]*>", "", page), "named in the formula, not again below"


def test_static_part_keeps_labels_and_opacity(explorer):
    assert ">0.25</text>" in explorer.picture
    assert "opacity: 0.25" in explorer.picture
    assert "var(--bea-blue)" in explorer.picture and "#000000" not in explorer.picture


def test_page_asks_nothing_of_the_network_and_ids_are_its_own(explorer):
    page = explorer.page()
    assert not re.search(r"https?:|//[a-z]|@import|<link|src=", re.sub(r"^\s*//.*$", "", page, flags=re.M))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) >= 4
    for used in re.findall(r'(?:for|href)="#?([^"]+)"|url\(#([^)]+)\)', page):
        assert (used[0] or used[1]) in ids


def test_other_contents_other_ids(explorer):
    names = {re.search(r'id="(explorer-\w+)"', e.page())[1] for e in (explorer, make(), make(look="b"))}
    assert len(names) == 3


def test_same_text_in_another_process(explorer):
    code = "import test_explore as t\nprint(t.make(start={'beta': 0.5}, formula=t.FORMULA).page())"
    environment = {
        "PYTHONHASHSEED": "7",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": str(Path(__file__).parent),
    }
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment)
    assert out.stdout.rstrip("\n") == explorer.page()


def test_bundle_has_the_three_kinds(explorer):
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        MIME,
        "image/svg+xml",
        "text/plain",
    }
    assert bundle[MIME] == explorer.page()
    assert bundle["image/svg+xml"] == explorer.still and ElementTree.fromstring(explorer.still).tag.endswith("svg")


def widgets_of(panel, kind):
    found, rest = [], [panel]
    while rest:
        widget = rest.pop(0)
        rest += getattr(widget, "children", ())
        found += [widget] * isinstance(widget, kind)
    return found


def test_panel_moves_and_resets(explorer):
    panel = explorer.panel()
    (picture,) = [w for w in widgets_of(panel, ipywidgets.HTML) if "<svg" in w.value]
    sliders = widgets_of(panel, ipywidgets.SelectionSlider)
    (reset,) = [w for w in widgets_of(panel, ipywidgets.Button)]
    assert [s.description for s in sliders] == ["β", "h"]
    first = picture.value
    sliders[0].value, sliders[1].value = 0.9, 0.25
    texts, numbers = frame_of(explorer.page(), 0.9, 0.25)
    for text in texts:
        assert html.escape(text) in picture.value
    assert f'<mn data-value="lag">{numbers["lag"]}</mn>' in picture.value
    assert not widgets_of(panel, ipywidgets.Output), "the Output widget stalls executed builds"
    reset.click()
    assert [s.value for s in sliders] == [0.5, 0.1]
    assert picture.value == first


def test_book_shows_explorers_and_leaves_other_outputs():
    class Data:
        mime_type, string = MIME, "<div>here</div>"

    (node,) = InPage.handle_mime(None, Data, inline=False)
    assert node["format"] == "html" and node.astext() == "<div>here</div>"
    Data.mime_type = "text/html"
    assert InPage.handle_mime(None, Data, inline=False) is None


def test_two_panels_get_two_axes():
    def stage(axes):
        for ax in axes:
            ax.set(xlim=(0, 1), ylim=(0, 1))

    def two(axes, h):
        axes[0].plot([0, h], [0, 1])
        axes[1].plot([0, 1], [h, h])
        return {}

    page = bea_book.explore(two, background=stage, columns=2, h=[0.1, 0.2], **WORDS).page()
    assert page.count("<clipPath") == 2 and page.count("clip-path") >= 2
    assert len(data_of(page)["frames"][0]) == 2


def test_level_sets_and_empty_lines_move():
    x = np.linspace(-1, 3, 30)

    def levels(ax, h):
        grid = np.stack(np.meshgrid(x, x))
        ax.contour(x, x, (grid**2).sum(0), levels=[4 * h])
        ax.plot([], [])
        ax.plot([0, np.nan, 1], [1, 1, np.inf])
        return {}

    page = bea_book.explore(levels, background=background, h=[0.5, 1.0], **WORDS).page()
    data = data_of(page)
    contours = [vertices(data["strings"][frame[0]]) for frame in data["frames"]]
    centre = on_page(page, np.zeros((1, 2)))[0]
    right = on_page(page, np.array([[2**0.5, 0.0], [2.0, 0.0]]))[:, 0]
    for contour, end in zip(contours, right):
        assert contour[:, 0].max() == pytest.approx(end, abs=1)
        assert contour[:, 0].min() == pytest.approx(max(2 * centre[0] - end, contour[:, 0].min()), abs=1)
    assert "" in data["strings"]


def test_what_shines_through_and_what_is_dashed_moves_so():
    def shapes(ax, h):
        ax.fill([0, 1, h], [1, 1, 2], color=(0, 0, 1, 0.25), lw=0)
        ax.plot([0, h], [1, 2], color=(1, 0, 0, 0.5))
        ax.plot([0, h], [1, 2], color=(1, 0, 0, 0.5), alpha=0.75)
        ax.text(0, 1, f"{h}", alpha=0.5)
        ax.vlines([h], 1, 2, linestyles="--", lw=1)
        ax.plot([0, h], [1, 2], visible=False)
        return {}

    picture = bea_book.explore(shapes, background=background, h=[0.5, 1.0], **WORDS).picture
    fill, line, whole, dashes, word = re.findall(r"<(?:path|text) data-moving[^>]*>", picture)[:3] + [
        re.search(r"<path [^>]*stroke-dasharray[^>]*>", picture)[0],
        re.search(r"<text data-moving[^>]*>", picture)[0],
    ]
    assert 'fill="#0000ff" fill-opacity="0.25"' in fill and 'stroke="#ff0000" stroke-opacity="0.5"' in line
    assert "-opacity" not in whole and 'opacity="0.75"><path' in picture and ' opacity="0.5" ' in word
    assert 'stroke-dasharray="37 16"' in dashes and picture.count("data-moving") == 6


def test_words_are_words_wherever_they_stand():
    """What looks like HTML or like a part of an SVG, on a slider and beside an axis."""

    def labelled(ax):
        background(ax)
        ax.set(xlabel='id="x" of #0072b2 & <b>')

    kinds = {"kind": ["a<b", "a & b"]}
    page = bea_book.explore(lambda ax, kind: ax.plot([0], [1]) and {}, background=labelled, **kinds, **WORDS).page()
    assert 'aria-valuetext="a&lt;b"' in page and 'data-shown="kind">a&lt;b</output>' in page
    assert '>id="x" of #0072b2 &amp; &lt;b&gt;</text>' in page


def moves_limits(ax, beta, h):
    ax.set_xlim(0, 10 + beta)
    return {}


def more_at_the_end(ax, beta, h):
    for _ in range(1 + (beta > 0.5)):
        ax.plot([0, 1], [1, 1])
    return {}


def other_style(ax, beta, h):
    ax.plot([0, 1], [1, 1], lw=1 + beta)
    return {}


def other_names(ax, beta, h):
    return {f"beta {beta}": 1}


def titled(ax, beta, h):
    ax.set_title(f"β = {beta}")
    return {}


def on_a_log_scale(ax, beta, h):
    ax.semilogy([1, 2], [1, 2])
    return {}


def outside(ax, beta, h):
    ax.figure.text(0.5, 0.5, f"{beta}")
    return {}


def map_of_colours(ax, beta, h):
    ax.contourf(np.add.outer(np.arange(4.0), np.arange(3.0)), levels=[0, 2, 4, 5])
    return {}


def dashed_below_zero(ax, beta, h):
    ax.contour(np.add.outer(np.arange(4.0), np.arange(3.0)) - 2, levels=[-1, 1], colors="black")
    return {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draw": titled}, "scales, titles or labels"),
        ({"draw": on_a_log_scale}, "scales, titles or labels"),
        ({"draw": outside}, "drew outside of them"),
        ({"draw": map_of_colours}, "several colours, widths or line styles"),
        ({"draw": dashed_below_zero}, "several colours, widths or line styles"),
        ({"draw": lambda ax, beta, h: ax.hlines([1, 2], 0, 1, colors=["r", "b"]) and {}}, "several colours"),
        ({"draw": lambda ax, beta, h: ax.quiver([0, 1], [1, 2], [beta, 1], [1, h]) and {}}, "cannot move"),
        ({"draw": lambda ax, beta, h: ax.plot([0], [1], "o", mfc="none") and {}}, "dots are filled"),
        ({"draw": lambda ax, beta, h: ax.plot([0, 1], [1, 2], "o", markevery=2) and {}}, "one at each point"),
        ({"draw": lambda ax, beta, h: ax.text(0, 1, "up", rotation=90) and {}}, "one level line"),
        ({"draw": lambda ax, beta, h: ax.text(0, 1, "two\nlines") and {}}, "one level line"),
        ({"draw": lambda ax, beta, h: {"h": 5}}, "a number named 'h', as a slider is"),
        ({"draw": lambda ax, beta, h: {"an error": 5}, "formula": r"\val{an error}"}, "shows .'an error'."),
        ({"formula": r"h = \val h"}, "shows .''.; it can show"),
        ({"h": [0.99991, 0.99992, 0.5]}, "slider h shows only .'0.5', '1'."),
        ({"draw": moves_limits}, "limits of the axes"),
        ({"draw": more_at_the_end}, "other things"),
        ({"draw": other_style}, "other things"),
        ({"draw": other_names}, "other things"),
        ({"draw": lambda ax, beta, h: None}, "mapping from names"),
        ({"draw": lambda ax, beta, h: {"z": 1j}}, "number or text"),
        ({"draw": lambda ax, beta, h: {"v": np.ones(2)}}, "number or text"),
        (
            {"draw": lambda ax, beta, h: ax.imshow(np.eye(2), aspect="auto", extent=(0, 1, 0, 1)) and {}},
            "cannot move",
        ),
        ({"draw": lambda ax, beta, h: ax.scatter([0], [1]) and {}}, "cannot move"),
        ({"draw": lambda ax, beta, h: ax.plot([0], [1], "s") and {}}, "markers are dots"),
        ({"draw": lambda ax, beta, h: ax.text(0, 1, r"$\beta$") and {}}, "plain"),
        ({"beta": [0.5]}, "two or more"),
        ({"beta": [0.5, 0.5]}, "two or more"),
        ({"start": {"beta": 0.7}}, "start has beta"),
        ({"start": {"rho": 0.7}}, "start has rho"),
        ({"formula": r"\val{gamma}"}, "gamma"),
        ({"look": " "}, "look is empty"),
        ({"ask": ""}, "ask is empty"),
        ({"alt": ""}, "alt is empty"),
    ],
)
def test_what_cannot_work_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_no_slider():
    with pytest.raises(ValueError, match="at least one slider"):
        bea_book.explore(draw, background=background, **WORDS)


def test_at_refuses_what_no_slider_has(explorer):
    with pytest.raises(ValueError, match="no slider 'rho'"):
        explorer.at(rho=0.9)
    with pytest.raises(ValueError, match="beta = 0.7"):
        explorer.at(beta=0.7)


def test_too_heavy():
    noise = np.random.default_rng(0)

    def heavy(ax, beta, h):
        ax.plot(noise.uniform(-1, 3, 6000), noise.uniform(0.5, 2.5, 6000), ".")
        return {}

    with pytest.raises(ValueError, match="weighs"):
        make(heavy)


def test_weight_is_small(explorer):
    assert len(gzip.compress(explorer.page().encode())) < LARGEST / 10


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.999, "0.999"), (0.9995, "0.9995"), (1999.0, "1999"), (np.float64(-1.23456), "−1.23"), (1e-5, "1e−5"),
        (1.23456e-7, "1.23e−7"), (7, "7"), (np.int64(12), "12"), (-0.0, "0"), ("α", "α"), (123456.7, "123457"), (1999.0000000000002, "1999"), (2.5e6, "2.5e6"), (np.inf, "inf"), (999.75, "1000"), (-999.96, "−1000"), (999.9, "999.9"),
    ],
)  # fmt: skip
def test_numbers_as_readers_write_them(value, shown):
    from bea_book.explore import _formatted

    assert _formatted(value) == shown
