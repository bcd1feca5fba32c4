"""The page on which a person marks answers in words: keys alone, in both schemes, stopped half-way and resumed."""

import csv
import io

import pytest
from browsing import CHROMIUM, FLAGS, OUT, PICTURES, ROOT

from bea_course.grade import by_hand, not_marked, with_hand
from bea_course.notebook import read_assignment
from bea_course.report import reading_page

SOURCE = ROOT / "assignments" / "07_own_optimizer.ipynb"
WORDS = "My optimizer penalizes, since its net factor is positive: </script><script>window.evil = 1</script> "
CLASS = [f"student {k}" for k in range(10)]
LUMINANCE = """rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }"""
COLOURS = """x => { let b = x, c = "rgba(0, 0, 0, 0)"; while (b && c === "rgba(0, 0, 0, 0)") { c = getComputedStyle(b).backgroundColor;
  b = b.parentElement } return [getComputedStyle(x).color, c === "rgba(0, 0, 0, 0)" ? "canvas" : c] }"""


def results():
    """A class of ten, whose answers in words are still to be read."""
    found = {student: not_marked(SOURCE, "") for student in CLASS}
    for k, result in enumerate(found.values()):
        for entry in result["questions"].values():
            if entry["by_hand"]:
                entry |= {"points": None, "answer": WORDS * (k + 1)}
    return found


@pytest.fixture
def opened(browser, tmp_path):
    """opened(scheme) -> the page, in a browser whose profile is kept from one call to the next."""
    path = tmp_path / "read.html"
    path.write_text(reading_page(read_assignment(SOURCE), results()), encoding="utf-8")
    contexts = []

    def opened(scheme="light"):
        while contexts:
            contexts.pop().close()
        context = browser.browser_type.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            args=FLAGS,
            color_scheme=scheme,
            viewport={"width": 1280, "height": 800},
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.pages[0]
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def saved(page):
    with page.expect_download() as download:
        page.keyboard.press("s")
    return download.value.path().read_text(encoding="utf-8")


def test_a_class_is_marked_by_keys_and_resumed(opened, tmp_path):
    page = opened()
    status = page.locator("#left")
    assert status.inner_text() == "20 of 20 to read"
    for k in range(7):  # the first question of seven students, with a comment for one
        page.keyboard.press(str(k % 4))
        if k == 2:
            page.keyboard.press("c")
            page.keyboard.type('Why "positive"? 7 of 9, j and k.')
            page.keyboard.press("Escape")
        if k == 3:
            page.keyboard.press("Backspace")
            page.keyboard.press(".")
            page.keyboard.press(".")
            page.keyboard.press(".")
        page.keyboard.press("j")
    assert status.inner_text() == "13 of 20 to read"
    page = opened()  # the browser was ended, and starts again
    status = page.locator("#left")
    assert status.inner_text() == "13 of 20 to read"
    assert page.locator(".now strong").inner_text().startswith("student 7")
    page.keyboard.press("9")  # more than there are
    assert status.inner_text() == "13 of 20 to read"
    for _ in range(13):
        page.keyboard.press("n")
        page.keyboard.press("3")
    assert status.inner_text() == "All 20 are read: save them."
    rows = list(csv.DictReader(io.StringIO(saved(page))))
    assert [float(row["points"]) for row in rows] == [0, 1, 2, 1.5, 0, 1, 2, *[3] * 13]
    assert rows[2]["comment"] == 'Why "positive"? 7 of 9, j and k.'
    assert page.evaluate("window.evil") is None
    target = tmp_path / "by_hand.csv"
    target.write_text(saved(page), encoding="utf-8")
    given, problems = by_hand(target, results())
    assert problems == [] and given["student 3"] == {"derivation": (1.5, ""), "place": (3.0, "")}
    # the table is changed by hand, and overrules a test: the page shows that, and saves it
    text = target.read_text(encoding="utf-8").replace('"student 3","derivation","1.5"', '"student 3","derivation","4"')
    target.write_text(text + "student 3,factor,2.5,Right.\n", encoding="utf-8")
    given, problems = by_hand(target, found := results())
    for student, points in given.items():
        with_hand(found[student], points)
    (tmp_path / "read.html").write_text(reading_page(read_assignment(SOURCE), found), encoding="utf-8")
    page = opened()
    target.write_text(saved(page), encoding="utf-8")
    assert by_hand(target, results()) == (given, []) and given["student 3"]["derivation"][0] == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(opened, scheme):
    page = opened(scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    answer, rubric = page.locator(".now pre").bounding_box(), page.locator("aside pre").first.bounding_box()
    assert rubric["x"] + rubric["width"] <= answer["x"] and rubric["y"] < 800 and answer["y"] < 800
    canvas = page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
    for selector in ("h1", "aside pre", ".now pre", ".now strong", "kbd", "#left", "button", ".now input"):
        colours = page.locator(selector).first.evaluate(COLOURS)
        front, back = (page.evaluate(LUMINANCE, canvas if c == "canvas" else c) for c in colours)
        assert (max(front, back) + 0.05) / (min(front, back) + 0.05) > 7, (selector, colours)
    line = page.locator(".now").evaluate("x => getComputedStyle(x).outlineColor")
    front, back = page.evaluate(LUMINANCE, line), page.evaluate(LUMINANCE, canvas)
    assert (max(front, back) + 0.05) / (min(front, back) + 0.05) > 3
    if PICTURES:
        OUT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=OUT / f"reading-{scheme}.png")
