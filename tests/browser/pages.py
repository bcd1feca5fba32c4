"""One look at a page, and the rules that it must keep.

Each rule is a function from a `Look` to the list of its problems.  `test_pages.py` holds every page
of the book to every rule, and every rule to a page that breaks it.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote, urlsplit

from browsing import ROOT, Log

AXE = ROOT / "tools" / "web" / "node_modules" / "axe-core" / "axe.min.js"
FACTS = ROOT / "tests" / "browser" / "facts.js"

# name: the window, and the colours that the reader's system asks for while the page loads
VIEWS = {
    "desktop": ({"width": 1280, "height": 900}, "light"),
    "phone": ({"width": 375, "height": 800}, "dark"),
}


@dataclass(frozen=True)
class Look:
    """What was found in a page, in one window and with one set of colours."""

    colours: str  # those that the reader's system asks for
    theme: str  # those that the page says it shows
    log: Log
    times: dict  # ms since the start of the navigation
    mathematics: dict
    overflow: dict
    violations: list  # axe's


def looks(offline_context, url, view, picture=None):
    """Load a page and look at it in both colours; `picture.format(colours)` is where pictures go."""
    window, first = VIEWS[view]
    context, log = offline_context(viewport=window, color_scheme=first)
    context.add_init_script(path=FACTS)
    page = context.new_page()
    page.goto(url)
    times = page.evaluate("facts.ready()")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for colours in (first, "dark" if first == "light" else "light"):
        page.emulate_media(color_scheme=colours)
        if picture:
            page.screenshot(
                path=str(picture).format(colours), full_page=True, type="jpeg", quality=70
            )
        yield Look(
            colours=colours,
            theme=page.evaluate("facts.theme()"),
            log=log,
            times=times,
            mathematics=page.evaluate("facts.mathematics()"),
            overflow=page.evaluate("facts.overflow()"),
            violations=page.evaluate("axe.run({resultTypes: ['violations']})")["violations"],
        )


# --- rules -------------------------------------------------------------------------------------


def problems_of_loading(look):
    """No outside request, no failed one, no error in the console."""
    return look.log.problems()


def problems_of_mathematics(look):
    """Every formula is typeset, and no TeX or MyST is left in the text."""
    return [
        f"{what}: {text}"
        for what, key in [
            ("not typeset", "untypeset"),
            ("wrongly typeset", "wrong"),
            ("raw markup", "raw"),
        ]
        for text in look.mathematics[key]
    ]


def problems_of_width(look):
    """The page does not scroll sideways, nothing hangs out of its column, no text is cut off."""
    page, window = look.overflow["page"], look.overflow["window"]
    problems = [f"the page is {page} wide in a window of {window}"] if page > window else []
    problems += [f"too wide: {place}" for place in look.overflow["wide"]]
    return problems + [f"cut off: {place}" for place in look.overflow["clipped"]]


def problems_of_access(look):
    """The page follows the reader's colours; axe finds nothing serious, contrast included."""
    problems = []
    if look.theme != look.colours:
        problems.append(f"the theme is {look.theme!r} where the reader's is {look.colours!r}")
    for violation in look.violations:
        if violation["impact"] in ("serious", "critical"):
            for node in violation["nodes"]:
                summary = " ".join((node["failureSummary"] or "").split())
                problems.append(f"axe {violation['id']}: {node['html'][:150]} ({summary[:200]})")
    return problems


RULES = [problems_of_loading, problems_of_mathematics, problems_of_width, problems_of_access]


def problems_of(look):
    """All problems of a look, each with its colours."""
    return [f"{look.colours}: {problem}" for rule in RULES for problem in rule(look)]


# --- weight ------------------------------------------------------------------------------------


@cache
def weight(path):
    """(bytes, bytes when compressed) of a file."""
    content = path.read_bytes()
    return len(content), min(len(content), len(gzip.compress(content, 6)))


def weights(log, folder):
    """The sum of both over all that a page loaded from the folder."""
    names = {unquote(urlsplit(url).path).lstrip("/") for url in log.requests}
    pairs = [weight(folder / name) for name in names if (folder / name).is_file()]
    return tuple(map(sum, zip(*pairs)))
