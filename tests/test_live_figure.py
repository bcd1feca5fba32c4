"""Live figures: the same call gives the same page, which holds all it needs, and what cannot be shown is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sympy as sp

import bea
from bea_book import live
from bea_book.explore import LARGEST

WORDS = {"look": "The dots leave the grey line.", "ask": "For which β < 1 most?", "alt": "A valley & a run"}
WINDOW = ((0, 3), (0, 3))
NODE = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))


def make(optimizer=None, loss=None, start=(2.0, 1.5), **changed):
    options = {"h": 0.02, "time": 0.4, "window": WINDOW, "sliders": {"h": (1e-3, 0.05)}, "terms": (1, 2), **WORDS}
    return live.figure(optimizer or bea.heavy_ball(0.5), loss or bea.bilinear(), start, **{**options, **changed})


@pytest.fixture(scope="module")
def shown():
    return make(sliders={"h": (1e-3, 0.05), "beta": (0, 0.9)})


def data_in(page):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])


def test_same_call_same_page(shown):
    again = make(sliders={"h": (1e-3, 0.05), "beta": (0, 0.9)})
    assert again._repr_mimebundle_() == shown._repr_mimebundle_()
    name = re.match(r'<div class="bea-live" id="(live-[0-9a-f]{8})">', shown.page())[1]
    assert f'show(document.getElementById("{name}"))' in shown.page()
    assert f'id="{name}' not in make(start=(2.0, 1.6)).page()
    assert "ID-" not in shown.page() and '"ID"' not in shown.page()


def test_mime_bundle(shown):
    bundle = shown._repr_mimebundle_()
    assert bundle["text/html"] == shown.page()
    assert ElementTree.fromstring(bundle["image/svg+xml"]).tag.endswith("svg")
    assert bundle["text/plain"] == "Live figure: A valley & a run"


def test_page_needs_nothing_else(shown):
    page = shown.page()
    assert not re.findall(r"(?:src|href)=|@import|import\(|fetch\(|\bimport \{", page)
    assert page.count("<script") == 2 and len(page) < LARGEST
    assert "For which β &lt; 1 most?" in page and 'aria-label="A valley &amp; a run"' in page
    data = data_in(page)
    assert data["values"] == {"h": 0.02, "beta": 0.5} and data["remembers"] and not data["empty"]
    assert 8 <= len(data["levels"]) <= 12 and data["levels"] == sorted(data["levels"])


def test_script_is_javascript(shown, tmp_path):
    (tmp_path / "figure.js").write_text(re.search(r"<script>(.*)</script>", shown.page(), re.DOTALL)[1], "utf-8")
    assert NODE, "Node.js is needed, which `make test` installs"
    subprocess.run([NODE, "--check", tmp_path / "figure.js"], check=True)


def test_every_part_is_there(shown):
    """The script asks for no part that the page lacks, and the page has none that the script leaves alone."""
    script = live.phase_plane._asset("live/figure.js")
    wanted = set(re.findall(r'part\("([\w-]+)"\)', script)) - {"asking", "guess", "guessed", "miss"} | {
        f"{name}-{k}" for name in re.findall(r"part\(`(\w+)-\$\{name\}`\)", script) for k in (1, 2)
    }
    assert {"flow-1", "distance-2"} < wanted
    body = shown.page().partition("</style>")[2].partition("<script")[0]
    assert set(re.findall(r'data-part="([\w-]+)"', body)) == wanted
    assert 'data-part="empty"' not in make(bea.gradient_descent()).page()  # it remembers nothing


def test_prediction_and_kept_memory():
    """Both are absent unless they are asked for; what the script finds is there in every page."""
    adam = make(bea.adam(0.5, 0.9, 0.1), empty=True, kept=2, first=3, predict="Where does it end?")
    page = adam.page().partition("</style>")[2].partition("<script")[0]
    assert "<b>Predict first:</b> Where does it end?" in page and "memory kept" in page
    script = live.phase_plane._asset("live/figure.js")
    wanted = set(re.findall(r'part\("([\w-]+)"\)', script)) | {"show", "skip"}
    wanted |= {f"{name}-{k}" for name in ("flow", "distance") for k in (1, 2, "kept")}
    assert set(re.findall(r'data-part="([\w-]+)"', page)) == wanted
    assert adam.data["names"] == {"1": "leading-order flow", "2": "with two terms", "kept": "memory kept"}
    with pytest.raises(ValueError, match="kept = 5"):
        make(kept=5)


def test_scales():
    sliders = {"h": (1e-3, 0.05), "beta": (0, 0.9), "epsilon": (0, 1)}
    found = make(bea.adam(0.5, 0.9, 0.1), sliders=sliders).data["sliders"]
    assert {name: slider["scale"] for name, slider in found.items()} == {
        "h": "log",
        "beta": "decay",
        "epsilon": "linear",
    }


def test_vector_field_has_no_levels():
    q, p = sp.symbols("q p")
    orbit = make(bea.gradient_descent(), bea.VectorField((q * (p - 1), p * (2 - q)), (q, p)))
    assert orbit.data["levels"] == [] and orbit.data["loss"]["value"] is None
    assert orbit.data["coordinates"] == ["q", "p"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"look": " "}, "look is empty"),
        ({"sliders": {"gamma": (0, 1)}}, "no slider can move 'gamma'"),
        ({"sliders": {"h": (0.03, 0.05)}}, "begins at 0.02"),
        ({"sliders": {"h": (0.05, 0.01)}}, "is from 0.05 to 0.01"),
        ({"loss": bea.quadratic([1, 2, 3])}, "two coordinates, not 3"),
        ({"terms": (1, 5)}, "must be some of"),
        ({"terms": ()}, "must be some of"),
        ({"loss": bea.logistic_regression()}, "weighs .* more than 60000"),
        ({"optimizer": bea.heavy_ball(sp.Symbol("beta"))}, "give one number"),
    ],
)
def test_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        make(**changed)
