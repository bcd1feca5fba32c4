"""The tables of the page "How do we know?": equations, claims with their measurements, and counts.

Each table is made when the page is built, from what the book holds then.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from IPython.display import Markdown

from bea_book import equations

__all__ = ["claims_table", "counts_table", "equations_table"]

#: One measurement: what was measured, its value, and what was wanted.
Figure = Sequence[str]


def equations_table() -> Markdown:
    """Return a table of all labelled equations, with where their values come from.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> equations_table().data.splitlines()[0]
    '| equation | where the values that it is compared with come from | mutants |'
    """
    return _table(
        ("equation", "where the values that it is compared with come from", "mutants"),
        (
            (f"{{eq}}`{entry.label}`", entry.provenance.rstrip("."), str(len(entry.mutants)))
            for entry in equations.entries()
        ),
    )


def claims_table(file: Path) -> Markdown:
    """Return a table of all claims that a test guards, with what the test measured.

    Parameters
    ----------
    file : pathlib.Path
        The file ``claims.json``.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from bea_book.ledger.reader import CHAPTERS
    >>> claims_table(CHAPTERS / "claims.json").data.splitlines()[0]
    '| chapter | claim | measured |'
    """
    return _table(
        ("chapter", "claim", "measured"),
        (
            (_chapter(name), _claim(test, kept["about"]), _escaped(_figures(kept["cases"])))
            for name, tests in _claims(file).items()
            for test, kept in tests.items()
        ),
    )


def counts_table(chapters: Path) -> Markdown:
    """Return a table of how many equations, mutants, claims and exercises the book has.

    Parameters
    ----------
    chapters : pathlib.Path
        The folder of the chapters and of ``claims.json``.

    Returns
    -------
    IPython.display.Markdown

    Examples
    --------
    >>> from bea_book.ledger.reader import CHAPTERS
    >>> counts_table(CHAPTERS).data.splitlines()[2].rstrip(" |0123456789")
    '| labelled equations, each with its entry in the ledger'
    """
    entries = equations.entries()
    measured = [
        [what for case in kept["cases"].values() for what, *_ in case]
        for tests in _claims(chapters / "claims.json").values()
        for kept in tests.values()
    ]
    slopes = sum(any("slope" in what for what in test) for test in measured)
    intervals = sum(any("half-width" in what for what in test) for test in measured)
    exact = sum(set(test) == {"exact"} for test in measured)
    exercises, executed = _exercises(chapters)
    rows = (
        ("labelled equations, each with its entry in the ledger", len(entries)),
        ("mutants of them", sum(len(entry.mutants) for entry in entries)),
        ("claims with a test of their own", len(measured)),
        ("… of these with a measured slope", slopes),
        ("… with an interval over repetitions", intervals),
        ("… with another measured figure", len(measured) - slopes - intervals - exact),
        ("… exact", exact),
        ("exercises", exercises),
        ("… of these with an executed solution", executed),
    )
    return _table(("what", "how many"), ((what, str(count)) for what, count in rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markdown:
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return Markdown("\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]]))


# --- claims --------------------------------------------------------------------------------------


def _claims(file: Path) -> dict[str, dict]:
    return json.loads(file.read_text(encoding="utf-8"))


def _chapter(name: str) -> str:
    """The chapter, or the appendix, that a file of tests guards."""
    word = name.removeprefix("test_").removesuffix("_claims.py")
    return str(int(word[2:])) if word.startswith("ch") else word


def _claim(test: str, about: str) -> str:
    words = test.removeprefix("test_").replace("_", " ")
    return f"{words}. {_escaped(about)}" if about else words


def _escaped(text: str) -> str:
    """Text in which no character is Markdown."""
    return re.sub(r"([\\|*_<>\[\]^$~`])", r"\\\1", text)


def _figures(cases: Mapping[str, Sequence[Figure]]) -> str:
    """What the cases of a test measured, the same quantity of several cases together."""
    found: dict[str, list[tuple[str, str]]] = {}
    for case in cases.values():
        for what, value, wanted in case:
            found.setdefault(what, []).append((value, wanted))
    return " · ".join(_in_words(what, pairs) for what, pairs in found.items())


def _in_words(what: str, pairs: Sequence[tuple[str, str]]) -> str:
    """One quantity: its values in all cases, and what was wanted of them."""
    by_demand: dict[str, list[str]] = {}
    for value, wanted in pairs:
        by_demand.setdefault(wanted, []).append(value)
    if what == "exact":
        return "exact: " + _counted(by_demand)
    parts = []
    for wanted, values in by_demand.items():
        shown = list(dict.fromkeys(values)) if len(by_demand) == 1 else values
        if len(by_demand) == 1 and len(shown) > 6:
            shown = [shown[0], "…", shown[-1]]
        parts.append(f"{_separator(shown).join(shown)} ({wanted})")
    return f"{what} {'; '.join(parts)}"


def _counted(by_demand: Mapping[str, Sequence[str]]) -> str:
    """How often an identity held: "6 losses", or "3 × 6 losses" in three cases."""
    if len(by_demand) > 1:
        return ", ".join(f"{v} {wanted}" for wanted, values in by_demand.items() for v in values)
    [(wanted, values)] = by_demand.items()
    if len(set(values)) > 1:
        return f"{sum(int(value) for value in values)} {wanted}"
    return f"{len(values)} × {values[0]} {wanted}" if len(values) > 1 else f"{values[0]} {wanted}"


def _separator(values: Sequence[str]) -> str:
    """What separates the cases of a test, each of which may have several numbers."""
    return "; " if any(", " in value for value in values) else ", "


# --- exercises -----------------------------------------------------------------------------------


def _exercises(chapters: Path) -> tuple[int, int]:
    """How many exercises the chapters have, and how many solutions with code."""
    exercises = executed = 0
    for path in sorted(chapters.glob("[0-9]*.ipynb")):
        in_solution = False
        for kind, text in _cells(path):
            exercises += len(re.findall(r"^(?:```|:::)\{exercise\}", text, re.M))
            if kind == "code":
                executed += in_solution
                in_solution = False  # more code in the same solution does not count again
            elif "{solution-start}" in text:
                in_solution = True
            elif "{solution-end}" in text:
                in_solution = False
    return exercises, executed


def _cells(path: Path) -> Iterator[tuple[str, str]]:
    """(kind, text) of each cell of a notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        yield cell["cell_type"], "".join(cell["source"])
