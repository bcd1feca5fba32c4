"""A live figure in a page of its own, moved as a reader moves it: mouse, keys, sliders, the address, reset."""

import re
import statistics
from pathlib import Path

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
ADAM = bea.adam(0.9, 0.99, 1e-8, epsilon_inside=False)
PREDICTING = live.figure(
    ADAM,
    bea.bilinear(),
    (2.8, 3.5),
    h=0.002,
    time=1.5,
    window=((0.9, 3.1), (1.6, 3.8)),
    sliders={"h": (5e-4, 0.01), "beta": (0.5, 0.95), "rho": (0.5, 0.999)},
    terms=(1, 2),
    kept=2,
    first=20,
    empty=True,
    predict="Where does the run end?",
    look="The dots fall behind the grey line.",
    ask="From which ρ on do two terms not help?",
    alt="The valley of the bilinear loss with a run of Adam and three flows",
)


@pytest.fixture
def opened(tmp_path, serve, offline_context):
    """opened(address after the page) -> (page, log)"""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Live</title><link rel="icon" href="data:,">'

    def opened(after="", figure=FIGURE, width=1100, **options):
        (tmp_path / "page.html").write_text(head + figure.page(), "utf-8")
        context, log = offline_context(viewport={"width": width, "height": 900}, **options)
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


def link(page):
    """What the figure says of the link that it was opened by."""
    return page.locator("[data-part=link]").inner_text()


def spoken(page):
    return page.locator("[data-part=status]").inner_text()


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
    before, box = distances(page), page.locator(".bea-figure svg[role=group]").bounding_box()
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
    assert len(times) > 20 and median <= 16 and late <= 33
    assert log.problems() == []


# Moves the start round a circle, once for each frame, for so many frames; {waits from frame to frame, in ms}.
CIRCLE = """async (count) => {
    const root = document.querySelector('.bea-live'), svg = root.querySelector('svg[role=group]'), waits = []
    const box = svg.getBoundingClientRect(), handle = root.querySelector('[data-part=start]')
    svg.setPointerCapture = () => {}
    const tell = (type, target, turn) => target.dispatchEvent(new PointerEvent(type, {bubbles: true, pointerId: 1,
        clientX: box.x + box.width * (0.5 + 0.2 * Math.cos(turn)), clientY: box.y + box.height * (0.5 + 0.2 * Math.sin(turn))}))
    tell('pointerdown', handle, 0)
    let last = await new Promise(requestAnimationFrame)
    for (let k = 0; k < count; k++) {
        tell('pointermove', svg, k / 8)
        const now = await new Promise(requestAnimationFrame)
        waits.push(now - last)
        last = now
    }
    tell('pointerup', svg, 0)
    return waits
}"""


@pytest.mark.parametrize("slower, most", [(1, 16), (4, 33)])
@pytest.mark.parametrize("figure", [FIGURE, PREDICTING], ids=["flows", "kept memory"])
def test_frames(figure, slower, most, opened, record_property):
    """What the page's own thread does for a frame - script, style, layout, painting - takes no more than a frame,
    of 60 a second, or of 30 with the processor slowed four times; other work of the machine does not count."""
    page, log = opened(figure=figure)
    if figure is PREDICTING:
        page.click("[data-part=skip]")
        settled(page)
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def work():
        return {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    tools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    before = work()
    waits = sorted(page.evaluate(CIRCLE, 120))
    each = 1000 * (work() - before) / len(waits)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    row = f"{each:.1f} of {statistics.median(waits):.1f}, 95 %: {waits[int(0.95 * len(waits))]:.1f}"
    record_property("row", (f"live figure, {slower} times slower", {"ms per frame": row}))
    assert each <= most and log.problems() == []


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
    assert "damaged" in link(wrong) and "start and h, beta" in link(wrong) and link(wrong) in spoken(wrong)
    assert wrong.url.endswith("=1,2,nothing")  # it is kept until something moves
    wrong.locator("[data-slider=h]").focus()
    wrong.keyboard.press("ArrowRight")
    settled(wrong)
    assert link(wrong) == "" and not wrong.url.endswith("nothing")
    beyond, log = opened(address.partition("=")[0] + "=2.14,99,0.02,0.8,0.9,0.01")
    assert "beyond" in link(beyond) and "99" not in count(beyond) and log.problems() == []


def test_a_shared_figure_is_seen_at_once(tmp_path, serve, offline_context):
    """A link to a moved figure shows it, however far down the page it is; the page's own address shows the top."""
    script = (Path(__file__).parents[2] / "chapters" / "assets" / "book.js").read_text(encoding="utf-8")
    (tmp_path / "book.js").write_text(script, encoding="utf-8")
    html = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script defer src="book.js"></script>'
    (tmp_path / "page.html").write_text(f'{html}<p style="height: 3000px">Far.</p>{FIGURE.page()}', "utf-8")
    page = offline_context(viewport={"width": 1100, "height": 900})[0].new_page()
    name = re.search("live-[0-9a-f]+", FIGURE.page())[0]
    for after, seen in [("", False), (f"#{name}=2.14,2.58,0.02,0.8,0.9,0.01", True)]:
        page.goto("about:blank")
        page.goto(f"{serve(tmp_path)}/page.html{after}")
        settled(page)
        assert (
            page.evaluate("[...document.querySelectorAll('svg')].some(e => e.getBoundingClientRect().top < 900)")
            == seen
        )


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
    box = page.locator(".bea-figure svg[role=group]").bounding_box()
    page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    settled(page)
    assert count(page) == OPENING


def test_prediction_first(opened):
    """Until the reader has predicted, by mouse or keys, nothing gives the end away; then his error is a number."""
    page, log = opened(figure=PREDICTING)
    hidden = ("table", "[data-part=run]", "[data-part=flow-2]", "[data-part=flow-kept]", "[data-part=end]", ".bea-look")
    assert not any(page.locator(where).is_visible() for where in hidden)
    assert page.inner_text("[data-part=status]") == "Prediction: a = 2, b = 2.7"
    box = page.locator(".bea-figure svg[role=group]").bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.keyboard.press("Shift+ArrowLeft")
    settled(page)
    guess = [float(x) for x in re.findall(r"= ([\d.]+)", page.inner_text("[data-part=status]"))]
    page.locator("[data-part=show]").focus()
    page.keyboard.press("Enter")
    settled(page)
    last = bea.run(ADAM, bea.bilinear(), (2.8, 3.5), 0.002, 750)[-1]
    error = float(re.search(r"Your prediction is ([\d.]+) from the end", page.inner_text("[data-part=status]"))[1])
    assert error == pytest.approx(((last - guess) ** 2).sum() ** 0.5, abs=0.01)
    assert page.locator("table").is_visible() and not page.locator("[data-part=show]").is_visible()
    page.click("[data-part=reset]")
    settled(page)
    assert not page.locator("table").is_visible()
    page.click("[data-part=skip]")
    settled(page)
    assert page.inner_text("[data-part=guessed]") == "" and not page.locator("[data-part=guess]").is_visible()
    assert page.inner_text("[data-part=end]") == f"The run ends at a = {last[0]:.3g}, b = {last[1]:.3g}."
    assert log.problems() == []


def test_kept_memory_is_that_of_bea(opened):
    page, _ = opened(figure=PREDICTING)
    page.click("[data-part=skip]")
    settled(page)
    last = bea.run(ADAM, bea.bilinear(), (2.8, 3.5), 0.002, 750)[-1]
    kept = bea.modified_equation(ADAM, bea.bilinear(), 2, memory="kept")
    end = bea.flow(kept, (2.8, 3.5), 0.002, 750, first=20)[-1]
    assert float(distances(page)[-1].replace("\u2212", "-")) == pytest.approx(
        ((last - end) ** 2).sum() ** 0.5, rel=0.02
    )


@pytest.mark.parametrize("width", [320, 375])
def test_on_a_phone_nothing_is_cut_off(opened, width):
    page, _ = opened(figure=PREDICTING, width=width, has_touch=True)
    handle = page.locator("[data-part=guess]").bounding_box()
    page.touchscreen.tap(handle["x"] + handle["width"] / 2 + 8, handle["y"] + handle["height"] / 2)
    page.click("[data-part=show]")
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(0 < float(x.replace("\u2212", "-")) for x in distances(page))


def test_dark_page_leaves_its_ground_alone(offline_context, book):
    """The theme puts a light ground behind outputs; a figure that is light on dark would be lost on it."""
    context, _ = offline_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{book}/chapters/06_momentum.html")
    output = page.locator(".text_html:has(.bea-live)").first
    assert output.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
