"""The laboratory in a page of its own: a reader types, chooses, makes mistakes, and follows a link."""

import re
from urllib.parse import urlencode

import pytest
from pages import AXE

from bea_book.live import laboratory

HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<title>Laboratory</title><link rel="icon" href="data:,"><style>body { margin: 12px; background: #fff }'
    "html[data-theme=dark] body { background: #14181e; --pst-color-text-base: #ced6dd; --pst-color-surface: #222832 }"
    "</style>"
)
GOOD = {
    "loss": "x**2/2 + 2*y**2", "optimizer": "return gradient(theta)", "given": "", "h": "0.02", "time": "1", "x": "1", "y": "1",
    "empty": "true",
}  # fmt: skip


@pytest.fixture
def opened(tmp_path, serve, offline_context):
    """opened(values that differ) -> (page, log)"""
    place = tmp_path / "chapters"
    place.mkdir()
    (tmp_path / "_static").mkdir()
    (place / "page.html").write_text(f"{HEAD}<main>{laboratory._asset('laboratory.html')}</main>", "utf-8")
    (tmp_path / "_static" / "laboratory.js").write_text(laboratory.script(), "utf-8")
    (tmp_path / "_static" / "laboratory.css").write_text(laboratory.style(), "utf-8")

    def opened(values=None, width=1280, **options):
        context, log = offline_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        page.goto(
            f"{serve(tmp_path)}/chapters/page.html{'#' + urlencode({**GOOD, **values}) if values is not None else ''}"
        )
        settled(page)
        return page, log

    return opened


def settled(page):
    """Wait until all is computed for what is typed now."""
    page.wait_for_timeout(700)
    page.wait_for_function("!document.getElementById('laboratory').hasAttribute('aria-busy')", timeout=60_000)


def slopes(page):
    return [float(text) for text in page.locator("td[data-part^=slope]").all_inner_texts()]


def faults(page):
    return [text for text in page.locator(".bea-fault").all_inner_texts() if text]


def test_at_once(opened):
    page, log = opened()
    assert slopes(page) == pytest.approx([1, 2, 3, 4], abs=0.3)
    assert faults(page) == [] and "#" not in page.url
    status = page.inner_text("[data-part=status]")
    assert "Observed order: one term" in status and page.inner_text("[data-part=distance-2]") in status
    assert page.inner_text("[data-part=distance-kept]") == "tick “empty memory” to see it"
    for name in ("levels", "arrows", "run", "flow-1", "flow-4"):
        assert len(page.get_attribute(f"[data-part={name}]", "d")) > 100
    assert log.problems() == []


def test_typing_by_keyboard_alone(opened):
    page, log = opened()
    page.locator("#lab-losses").focus()
    for key in ("Tab", "Tab", "Control+a"):
        page.keyboard.press(key)
    page.keyboard.type("x**2/2 + y**2")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("g = gradient(theta)\nreturn g + c*theta")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type("c=0.1")
    settled(page)
    assert faults(page) == [] and "your own" in page.locator("#lab-losses option:checked").inner_text()
    assert slopes(page) == pytest.approx([1, 2, 3, 4], abs=0.3)
    assert "def mine(theta, gradient, memory, c):" in page.locator("[data-part=snippet]").text_content()
    assert log.problems() == []


def test_link_restores(opened):
    page, _ = opened({"loss": "x**2 + y**4/4 + x*y/9", "h": "0.025"})
    address = page.url
    assert "loss=x**2" in address.replace("%2A", "*") and "0.025" in address
    assert page.input_value("#lab-loss") == "x**2 + y**4/4 + x*y/9"
    assert page.inner_text("[data-part=count]").startswith("40 steps of size h = 0.025")
    page.select_option("#lab-optimizers", label="heavy ball")
    settled(page)
    assert "memory.average" in page.input_value("#lab-optimizer") and page.url != address


def test_dragging_the_start(opened):
    page, log = opened({})
    handle = page.locator("[data-part=start]").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 40, steps=5)
    page.mouse.up()
    settled(page)
    typed = [float(page.input_value(f"#lab-{name}")) for name in "xy"]
    assert typed[0] < 1 < typed[1]
    assert f"from x = {typed[0]:g}, y = {typed[1]:g} to x = " in page.inner_text("[data-part=count]").replace(
        "\u2212", "-"
    )
    assert log.problems() == []


def test_back_brings_what_was_typed(opened):
    page, _ = opened({"optimizer": "return 2*gradient(theta)"})
    page.select_option("#lab-optimizers", label="SAM")
    settled(page)
    assert page.input_value("#lab-optimizer") != "return 2*gradient(theta)"
    page.go_back()
    settled(page)
    assert page.input_value("#lab-optimizer") == "return 2*gradient(theta)"


def test_a_cut_link_is_told(opened):
    page, _ = opened({})
    cut = page.url.partition("&y=")[0]
    page.goto("about:blank")
    page.goto(cut)
    settled(page)
    assert "The link is not complete: it says nothing of y" in page.inner_text("[data-part=notes]")
    page.fill("#lab-y", "1")
    settled(page)
    assert "not complete" not in page.inner_text("[data-part=notes]")
    for text, wrong in [("x**2 +", True), ("x**2", False)]:  # what is left may be wrong, or nearly nothing
        page.goto("about:blank")
        page.goto(f"{cut.partition('#')[0]}#{urlencode({'loss': text})}")
        settled(page)
        assert page.input_value("#lab-loss") == text
        told = page.inner_text("[data-part=general]" if wrong else "[data-part=notes]")
        assert told.startswith("The link is not complete: it says nothing of optimizer, given, h, time, x, y, empty")


def test_mistakes_are_told_at_their_place(opened):
    page, log = opened({})
    for field, text, words in [
        ("loss", "x**2 + z", "Column 8: “z” is unknown"),
        ("loss", "log(x - 2)", "Column 1: at x = 1, y = 1, where the run starts, the logarithm of -1 is taken"),
        ("optimizer", "g = gradient(theta)\nreturn g +", "Line 2, column 11: a value is missing"),
        ("given", "beta==2", "Column 5"),
        ("h", "0", "h must be larger than 0"),
    ]:
        before = page.input_value(f"#lab-{field}")
        page.fill(f"#lab-{field}", text)
        settled(page)
        [told] = faults(page)
        assert told.startswith(words) or words in told
        assert page.locator(f"#lab-{field}-fault").inner_text() == told
        assert page.get_attribute(f"#lab-{field}", "aria-invalid") == "true"
        assert "last experiment" in page.inner_text("[data-part=count]")
        page.fill(f"#lab-{field}", before)
        settled(page)
        assert faults(page) == [] and page.locator("[aria-invalid]").count() == 0
    assert log.problems() == []


def test_nothing_hangs_the_page(opened):
    page, log = opened({})
    page.evaluate("window.ticks = 0; setInterval(() => ticks++, 20)")
    long = (
        "g = gradient(theta)\n" + "".join(f"g = np.tanh(g * g + {k}.5) * np.sin(g)\n" for k in range(90)) + "return g"
    )
    page.fill("#lab-optimizer", long)
    page.fill("#lab-h", "0.001")
    page.wait_for_function("document.getElementById('laboratory').hasAttribute('aria-busy')")
    before = page.evaluate("ticks")
    page.wait_for_timeout(1000)
    assert page.evaluate("ticks") - before > 10
    settled(page)
    page.fill("#lab-optimizer", GOOD["optimizer"])
    page.fill("#lab-h", GOOD["h"])
    settled(page)
    assert faults(page) == [] and slopes(page) == pytest.approx([1, 2, 3, 4], abs=0.3)
    assert log.problems() == []


@pytest.mark.parametrize("width", [320, 375, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_form(width, theme, opened):
    page, _ = opened({"loss": "x**2 + zeta"} if width == 320 else {}, width=width, has_touch=width < 1000)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document.querySelector('main'), {resultTypes: ['violations']})")["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []


def test_no_requests_after_loading(opened):
    page, log = opened()
    count = len(log.requests)
    page.select_option("#lab-optimizers", label="SAM")
    settled(page)
    assert [url for url in log.requests[count:] if not re.match("blob:", url)] == []
