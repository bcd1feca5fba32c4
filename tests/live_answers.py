"""Where the run and the flows of a chapter's live figure end: by `bea`, from what the figure itself holds."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np

import bea
from bea_book import live

CHAPTERS = Path(__file__).parents[1] / "chapters"


def figure_of(chapter):
    """What the live figure of a chapter holds, from its stored output."""
    (path,) = CHAPTERS.glob(f"{chapter}_*.ipynb")
    pages = [
        output.data["text/html"]
        for cell in nbformat.read(path, 4).cells
        for output in cell.get("outputs", [])
        if 'class="bea-live"' in output.get("data", {}).get("text/html", "")
    ]
    (page,) = pages
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def ends(chapter, optimizer, loss, h=None, empty=None):
    """The last iterate, and its distances from the ends of the figure's flows in their order."""
    data = figure_of(chapter)
    program = live.program_data(optimizer, 2)
    assert {**program, "given": 0} == {**data["program"], "given": 0}
    assert live.loss_data(loss) == data["loss"]
    for name, value in program["given"].items():
        slider = data["sliders"].get(name, {"low": value, "high": value})
        assert slider["low"] <= value <= slider["high"]
    h, start = h or data["values"]["h"], np.array(data["start"])
    assert data["sliders"]["h"]["low"] <= h <= data["sliders"]["h"]["high"]
    steps, most = round(data["time"] / h), bea.modified_equation(optimizer, loss, max(data["terms"]))
    memory = None if (data["empty"] if empty is None else empty) else most.memory(start, h)
    last = bea.run(optimizer, loss, start, h, steps, memory=memory)[-1]
    found = [bea.flow(bea.modified_equation(optimizer, loss, k), start, h, steps)[-1] for k in data["terms"]]
    if data["kept"]:
        kept = bea.modified_equation(optimizer, loss, data["kept"], memory="kept")
        found.append(bea.flow(kept, start, h, steps, first=data["first"])[-1])
    return last, [np.linalg.norm(end - last) for end in found]


@bea.optimizer
def two_batches(theta, gradient, memory, spread):
    """An epoch of two steps, as chapters 4 and 5 have it."""
    first = gradient(theta) - 2 * spread * theta[::-1]
    then = theta - memory.h / 2 * first
    return (first + gradient(then) + 2 * spread * then[::-1]) / 2


def mean_of_four():
    """The loss of chapters 4 and 5."""
    return bea.mean([bea.bilinear(c, 2) for c in (0, 1, 2, 3)])


def loop_of_epochs(spread, start, h, count):
    """The same by plain gradient descent on the two losses, one step after the other."""
    batches = [bea.bilinear(1.5 + spread), bea.bilinear(1.5 - spread)]
    point = np.array(start, dtype=float)
    for _ in range(count):
        for batch in batches:
            point = point - h / 2 * batch.gradient(point)
    return point
