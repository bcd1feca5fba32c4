"""A live figure in a page of its own, moved as a reader moves it: mouse, keys, sliders, the address, reset."""

import re
import statistics

import pytest

import bea
from bea_book import live

FIGURE = live.figure(
    bea.adam(0.8, 0.9, 1e-2),
    bea.bilinear(),
    (2.2, 2.9),
    h=0.02,
    time=1.5,
    window=((0, 3), (0.2, 3.8)),
    sliders={"h": (2e-3, 0.15), "beta": (0, 0.97), "rho": (0, 0.99), "epsilon": (1e-4, 10)},
    terms=(1, 2, 3, 4),
    look="The dots leave the grey line.",
    ask="For which step size are four terms worse than three?",
    alt="The valley of the bilinear loss with a run of Adam and four flows",
)
OPENING = "75 steps from a = 2.2, b = 2.9"


@pytest.fixture
def opened(tmp_path, serve, offline_context):
    """opened(address after the page) -> (page, log)"""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Live</title><link rel="icon" href="data:,">'
    (tmp_path / "page.html").write_text(head + FIGURE.page(), "utf-8")

    def opened(after="", **options):
        context, log = offline_context(viewport={"width": 1100, "height": 900}, **options)
        page = context.new_page()
        page.goto(f"{serve(tmp_path)}/page.html{after}")
        settled(page)
        return page, log

    return opened


def settled(page):
    """Wait until the results are read out, for what is shown now."""
    page.wait_for_timeout(500)
    page.wait_for_function("document.querySelector('[data-part=status]').textContent !== ''")


def distances(page):
    return page.locator("td[data-part^=distance]").all_inner_texts()


def count(page):
    return page.inner_text("[data-part=count]")


def test_results_are_those_of_bea(opened):
    page, log = opened()
    assert count(page) == OPENING
    adam, loss = bea.adam(0.8, 0.9, 1e-2), bea.bilinear()
    memory = bea.modified_equation(adam, loss, 4).memory((2.2, 2.9), 0.02)
    last = bea.run(adam, loss, (2.2, 2.9), 0.02, 75, memory=memory)[-1]
    for terms, shown in zip((1, 2, 3, 4), distances(page)):
        end = bea.flow(bea.modified_equation(adam, loss, terms), (2.2, 2.9), 0.02, 75)[-1]
        assert float(shown) == pytest.approx(((last - end) ** 2).sum() ** 0.5, rel=0.02)
    assert all(text in page.inner_text("[data-part=status]") for text in distances(page))
    assert log.problems() == []


def test_dragging(opened, record_property):
    page, log = opened()
    page.evaluate(
        "() => { const root = document.querySelector('.bea-live'); window.times = [];"
        "new MutationObserver(() => times.push(+root.dataset.milliseconds)).observe(root, {attributes: true}); }"
    )
    before, box = distances(page), page.locator(".bea-figure svg").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    for k in range(100):
        page.mouse.move(box["x"] + (0.5 + 0.002 * k) * box["width"], box["y"] + 0.5 * box["height"])
        page.wait_for_timeout(10)
    times = sorted(page.evaluate("times"))
    page.mouse.up()
    settled(page)
    assert distances(page) != before and count(page) != OPENING
    median, late = statistics.median(times), times[int(0.95 * len(times))]
    record_property("row", ("live figure", {"ms per frame": f"{median:.1f}, 95 %: {late:.1f}"}))
    assert len(times) > 20
    assert log.problems() == []


def test_keys_address_and_reset(opened):
    page, _ = opened()
    page.locator("[data-part=start]").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    settled(page)
    moved = count(page)
    assert moved == "75 steps from a = 2.14, b = 2.58"
    address = re.search("#live-.*", page.url)[0]
    assert page.locator("[data-part=start]").get_attribute("aria-valuetext") == "a = 2.14, b = 2.58"
    again, _ = opened(address)
    assert count(again) == moved and distances(again) == distances(page)
    page.click("[data-part=reset]")
    settled(page)
    assert count(page) == OPENING and "#" not in page.url
    wrong, log = opened(address.partition("=")[0] + "=1,2,nothing")
    assert count(wrong) == OPENING and log.problems() == []


def test_sliders_and_memory(opened):
    page, _ = opened()
    before = distances(page)
    page.locator("[data-part=empty]").check()
    settled(page)
    empty = distances(page)
    assert empty != before
    page.locator("[data-slider=h]").focus()
    page.keyboard.press("End")
    settled(page)
    assert page.inner_text("output[data-shown=h]") == "0.15"
    assert count(page).startswith("10 steps")


def test_a_finger_scrolls_beside_the_handle(opened):
    page, _ = opened(has_touch=True)
    box = page.locator(".bea-figure svg").bounding_box()
    page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    settled(page)
    assert count(page) == OPENING
