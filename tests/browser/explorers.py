"""The rules that every explorer of the book must keep, moved as a reader moves it.

Each rule is a function from an `Explorer` to the list of its problems.  `test_explorers.py` holds
every explorer of the book to every rule, and every rule to an explorer that breaks it.
"""

import gzip
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

LARGEST = 60_000  # bytes, gzipped
SLOWEST = 16  # ms for one move, the figure laid out again: a screen shows sixty frames a second
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-−]?\d+)?")


@dataclass
class Explorer:
    """An explorer in a loaded page, and the function that says what its numbers must be."""

    page: Any
    id: str
    oracle: Any

    @cached_property
    def frames(self):
        """ms of one move (`work`) and from frame to frame while it moves (`wait`)."""
        return self.page.evaluate("id => facts.frames(id)", self.id)

    def see(self):
        return self.page.evaluate("id => facts.explorer(id)", self.id)

    def locate(self, selector):
        return self.page.locator(f"#{self.id} {selector}")

    def slider(self, name):
        return self.locate(f'[data-slider="{name}"]')

    def press(self, name, key):
        """Press a key on a slider, and see."""
        self.slider(name).press(key)
        return self.see()

    def reset(self):
        self.locate("[data-action='reset']").press("Enter")


def number(text):
    """A shown number (with a true minus sign) as a float."""
    return float(text.replace("−", "-"))


def differs(shown, expected):
    """Whether a shown text is not the expected text or number(s), to the digits that are shown.

    Explorers show three digits; where a chapter chooses another form, the oracle gives a
    `pytest.approx` with its tolerance.  Several numbers in one text are a tuple.
    """
    if isinstance(expected, str):
        return shown != expected
    numbers = [number(text) for text in NUMBER.findall(shown)]
    expected = expected if isinstance(expected, tuple) else (expected,)
    plain = [x if hasattr(x, "expected") else pytest.approx(x, rel=5.1e-3, abs=1e-12) for x in expected]
    return numbers != plain


def problems_of_state(explorer, state):
    """Labels, words for screen readers and numbers agree with the sliders' places."""
    problems, setting = [], {}
    for name, slider in state["sliders"].items():
        if slider["spoken"] != slider["shown"] or not slider["shown"]:
            problems.append(f"slider {name} says {slider['spoken']!r}, shows {slider['shown']!r}")
            return problems
        setting[name] = number(slider["shown"])
    expected = explorer.oracle(**setting)
    found = {name: texts for name, texts in state["numbers"].items() if name not in setting}
    if set(found) != set(expected):
        problems.append(f"shows {sorted(found)}, the library computes {sorted(expected)}")
    for name in set(found) & set(expected):
        for text in found[name]:
            if differs(text, expected[name]):
                problems.append(f"at {setting}: {name} is {text}, not {expected[name]}")
    return problems


# --- rules -------------------------------------------------------------------------------------


def problems_of_names(explorer):
    """Every slider has a label, the figure an alternative text."""
    sliders = explorer.see()["sliders"]
    problems = [] if sliders else ["no slider"]
    problems += [f"slider {name} has no label" for name, s in sliders.items() if not s["named"]]
    alt = explorer.locate("svg[role='img']").first.get_attribute("aria-label") or ""
    return problems + ([] if len(alt) > 20 else [f"the figure says only {alt!r}"])


def problems_of_focus(explorer):
    """The tabulator reaches every slider and every button."""
    wanted = explorer.page.evaluate(
        "id => document.querySelectorAll(`#${id} input, #${id} button`).length", explorer.id
    )
    explorer.page.evaluate(
        """id => {
            const before = document.createElement("button");
            document.getElementById(id).before(before);
            before.focus();
        }""",
        explorer.id,
    )
    reached = set()
    for _ in range(wanted + 4):  # boxes that scroll may be stops, too
        explorer.page.keyboard.press("Tab")
        place = explorer.page.evaluate(
            """id => {
                const all = [...document.querySelectorAll(`#${id} input, #${id} button`)];
                return all.indexOf(document.activeElement);
            }""",
            explorer.id,
        )
        reached |= {place} - {-1}
    return [] if len(reached) == wanted else [f"Tab reaches {len(reached)} of {wanted} controls"]


def problems_of_keyboard(explorer):
    """Home, the arrows and End move each slider; figure and numbers follow, to what is right."""
    problems = problems_of_state(explorer, explorer.see())
    for name, slider in explorer.see()["sliders"].items():
        state = explorer.press(name, "Home")
        for place in range(slider["last"] + 1):
            if state["sliders"][name]["place"] != place:
                return problems + [f"slider {name} is at {state['sliders'][name]}, not at {place}"]
            problems += problems_of_state(explorer, state)
            before, state = state, explorer.press(name, "ArrowRight")
            if place < slider["last"] and state["figure"] == before["figure"]:
                problems.append(f"slider {name} moves from {place} and the figure does not")
        end = state["figure"]
        if explorer.press(name, "ArrowLeft")["figure"] == end:
            problems.append(f"slider {name} does not go back from its end")
        if explorer.press(name, "End")["figure"] != end:
            problems.append(f"slider {name}: End shows another figure than the arrows")
        explorer.reset()
    return problems


def problems_of_reset(explorer):
    """Reset leads back to the beginning from anywhere."""
    begin = explorer.see()
    for name in begin["sliders"]:
        explorer.press(name, "Home")
        explorer.press(name, "ArrowRight")
        explorer.press(name, "ArrowRight")
    explorer.reset()
    return [] if explorer.see() == begin else ["Reset does not lead back to the beginning"]


def problems_of_play(explorer):
    """Nothing moves unasked; Play moves the figure until it is pressed again.  For readers who want
    less motion it makes one step."""
    still = explorer.page.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches")
    clock = explorer.page.clock  # installed before the page was loaded
    clock.pause_at(explorer.page.evaluate("Date.now()") / 1000 + 60)
    begin = explorer.see()
    clock.run_for(5000)
    problems = [] if explorer.see() == begin else ["moves before it is asked to"]
    # Play moves the slider that was moved last, and stops at its end: begin far from it.
    longest = max(begin["sliders"], key=lambda name: begin["sliders"][name]["last"])
    explorer.press(longest, "End")
    begin = explorer.press(longest, "Home")
    play = explorer.locate("[data-action='play']")
    play.press("Enter")
    first = explorer.see()
    clock.run_for(700)
    second = explorer.see()
    if first["figure"] == begin["figure"]:
        problems.append("Play does not move the figure")
    if still and (second != first or first["pressed"] != "false"):
        problems.append("Play goes on by itself although the reader wants less motion")
    if not still:
        if second["figure"] == first["figure"] or first["pressed"] != "true":
            problems.append("Play stops after one step, or does not say that it plays")
        play.press("Enter")
        stopped = explorer.see()
        clock.run_for(5000)
        if explorer.see() != stopped or stopped["pressed"] != "false":
            problems.append("Play does not stop when it is pressed again")
    return problems + problems_of_state(explorer, explorer.see())


def problems_of_touch(explorer):
    """A tap at the end of a slider moves it there."""
    problems = []
    for name, slider in explorer.see()["sliders"].items():
        explorer.slider(name).scroll_into_view_if_needed()
        box = explorer.slider(name).bounding_box()
        for share, place in (0.99, slider["last"]), (0.01, 0):
            explorer.page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            state = explorer.see()
            if state["sliders"][name]["place"] != place:
                problems.append(f"a tap at {share} of slider {name}: {state['sliders'][name]}")
            problems += problems_of_state(explorer, state)
    return problems


def problems_of_size(explorer):
    """The explorer weighs no more than a telephone should load."""
    size = weight(explorer)
    return [f"weighs {size} bytes, gzipped; at most {LARGEST}"] if size > LARGEST else []


def problems_of_speed(explorer):
    """A move takes less than a frame, in the median."""
    work = explorer.frames["work"]
    return [f"a move takes {work:.1f} ms; at most {SLOWEST}"] if work > SLOWEST else []


DESK_RULES = [
    problems_of_names,
    problems_of_size,
    problems_of_focus,
    problems_of_reset,
    problems_of_keyboard,
    problems_of_speed,
]


def weight(explorer):
    """Bytes of the explorer's own HTML, gzipped."""
    text = explorer.page.evaluate("id => document.getElementById(id).outerHTML", explorer.id)
    return len(gzip.compress(text.encode(), 6))
