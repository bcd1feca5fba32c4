"""Every explorer of the built book, moved in a real browser as a reader moves it."""

import random
import re

import explorers
import pages
import pytest
from browsing import SITE
from oracles import ORACLES

import bea_book

ID = re.compile(r'<div class="bea-explorer" id="([\w-]+)"')
# {page: number of its explorers}
COUNTS = {
    path.stem: len(ID.findall(path.read_text(encoding="utf-8"))) for path in sorted((SITE / "chapters").glob("*.html"))
}
EXPLORERS = [(name, which) for name, count in COUNTS.items() for which in range(count)]


def test_every_explorer_has_an_oracle():
    """For an explorer that has none add a function to oracles.py."""
    assert EXPLORERS
    assert COUNTS == {name: len(ORACLES.get(name, [])) for name in COUNTS}


@pytest.fixture
def load(book, offline_context):
    """load(page, which, **options) -> (explorer, log), the page loaded in a context with the options;
    with `clock` its time is the test's."""

    def load(name, which, clock=False, **options):
        context, log = offline_context(**options)
        context.add_init_script(path=pages.FACTS)
        if clock:
            context.clock.install()
        page = context.new_page()
        page.goto(f"{book}/chapters/{name}.html")
        page.evaluate("facts.ready()")
        identity = page.locator(".bea-explorer").nth(which).get_attribute("id")
        return explorers.Explorer(page, identity, ORACLES[name][which]), log

    return load


@pytest.mark.parametrize("name, which", EXPLORERS)
def test_explorer(name, which, load, record_property):
    explorer, log = load(name, which, viewport=pages.VIEWS["desktop"][0])
    problems = [problem for rule in explorers.DESK_RULES for problem in rule(explorer)]
    times = explorer.frames
    row = {
        "explorers": f"{explorers.weight(explorer) / 1000:.1f} kB",
        "ms per frame": f"{times['work']:.1f} of {times['wait']:.1f}",
        "outside requests": len(log.outside),
    }
    record_property("row", (f"chapters/{name}.html", row))
    assert problems + log.problems() == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
@pytest.mark.parametrize("name, which", EXPLORERS)
def test_play(name, which, motion, load):
    explorer, log = load(name, which, clock=True, reduced_motion=motion)
    assert explorers.problems_of_play(explorer) + log.problems() == []


@pytest.mark.parametrize("name, which", EXPLORERS)
def test_touch(name, which, load):
    explorer, log = load(name, which, viewport=pages.VIEWS["phone"][0], has_touch=True)
    assert explorers.problems_of_touch(explorer) + log.problems() == []


# --- the rules themselves ----------------------------------------------------------------------


def draw(ax, h, turns):
    ax.plot([0, 1], [0, h * turns])
    return {"end": h * turns}


def oracle(h, turns):
    return {"end": h * turns}


def explorer_page(change=lambda text: text):
    """A page with a small explorer, its HTML changed."""
    explorer = bea_book.explore(
        draw,
        background=lambda ax: ax.set(xlim=(0, 1), ylim=(0, 3)),
        look="The line turns.",
        ask="Where does it end at 2?",
        alt="A line from the corner to the right",
        formula=r"h \cdot n = \val{end}",
        h=[0.25, 0.5, 0.75, 1.0],
        turns=[1, 2, 3],
    )
    before = explorer.page()
    after = change(before)
    assert (after == before) == (change is SAME)
    return f'<!doctype html><html lang="en"><title>One</title><link rel="icon" href="data:,">{after}'


def replace(old, new):
    return lambda text: text.replace(old, new)


SAME = replace("", "")


@pytest.fixture
def load_scratch(tmp_path, serve, offline_context):
    """load_scratch(change, **options) -> the small explorer, changed, in a loaded page."""

    def load_scratch(change=SAME, clock=False, **options):
        text = explorer_page(change)
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        context, _ = offline_context(**options)
        context.add_init_script(path=pages.FACTS)
        if clock:
            context.clock.install()
        page = context.new_page()
        page.goto(f"{serve(tmp_path)}/page.html")
        return explorers.Explorer(page, ID.search(text)[1], oracle)

    return load_scratch


TOUCH = {"viewport": pages.VIEWS["phone"][0], "has_touch": True}
PLAY = {"clock": True}
LESS_MOTION = {"clock": True, "reduced_motion": "reduce"}
MOVE = "setInterval(() => { sliders[0].value = (Number(sliders[0].value) + 1) % 4; show(); }, 500);"


def test_good_explorer_has_no_problems(load_scratch):
    explorer = load_scratch()
    assert [problem for rule in explorers.DESK_RULES for problem in rule(explorer)] == []
    assert explorers.problems_of_play(load_scratch(**PLAY)) == []
    assert explorers.problems_of_play(load_scratch(**LESS_MOTION)) == []
    assert explorers.problems_of_touch(load_scratch(**TOUCH)) == []


# (the rule that must object, what is done to the explorer's HTML, options of the context)
BAD = {
    "no label": (explorers.problems_of_names, replace("<label ", "<span "), {}),
    "no picture text": (explorers.problems_of_names, replace("A line from the corner", ""), {}),
    "heavy": (
        explorers.problems_of_size,
        lambda text: text.replace("</svg>", f"<!--{random.Random(0).randbytes(70_000).hex()}--></svg>"),
        {},
    ),
    "no focus": (explorers.problems_of_focus, replace("<input ", '<input tabindex="-1" '), {}),
    "dead": (explorers.problems_of_keyboard, replace("<script>", "<script type='text/plain'>"), {}),
    "dead figure": (
        explorers.problems_of_keyboard,
        replace("part.setAttribute(", "((x) => x)("),
        {},
    ),
    "wrong number": (explorers.problems_of_keyboard, replace('"0.75"', '"0.76"'), {}),
    "number stays": (explorers.problems_of_keyboard, replace("place.textContent = value", "0"), {}),
    "silent": (
        explorers.problems_of_keyboard,
        replace('setAttribute("aria-valuetext"', "getAttribute("),
        {},
    ),
    "two steps": (explorers.problems_of_keyboard, replace('step="1"', 'step="2"'), {}),
    "no reset": (explorers.problems_of_reset, replace("slider.value = start[k];", ""), {}),
    "slow": (
        explorers.problems_of_speed,
        replace(
            "function show() {",
            "function show() { const t = Date.now() + 30; while (Date.now() < t);",
        ),
        {},
    ),
    "unasked": (
        explorers.problems_of_play,
        replace("  name();\n})();", f"  name();\n  {MOVE}\n}})();"),
        PLAY,
    ),
    "no play": (explorers.problems_of_play, replace("setInterval(step, 500)", "1"), PLAY),
    "plays on": (explorers.problems_of_play, replace("clearInterval(timer)", "0"), PLAY),
    "restless": (explorers.problems_of_play, replace("still.matches", "false"), LESS_MOTION),
    "no touch": (
        explorers.problems_of_touch,
        replace("<input ", '<input style="pointer-events: none" '),
        TOUCH,
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_rule_catches(fault, load_scratch):
    rule, change, options = BAD[fault]
    assert rule(load_scratch(change, **options))
