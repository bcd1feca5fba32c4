"""The glossary, the library reference and the instructor's guide, held to what they describe.

Each rule is a function from texts to the list of its problems, and each is itself tested on a
altered copy of the page.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

import bea
import bea_book
from bea_book import ledger
from bea_book.ledger import reader

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"


def read(name):
    return (CHAPTERS / f"{name}.md").read_text(encoding="utf-8")


def altered(text, old, new):
    assert old in text, f"nothing to alter: {old!r} is not there"
    return text.replace(old, new)


# --- the book as it is -------------------------------------------------------------------------


def sources():
    """{page: its Markdown} of every page."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in CHAPTERS.glob("*.md")}
    for path in CHAPTERS.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found[path.stem] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    return found


@pytest.fixture(scope="module")
def pages():
    return sources()


def equations_of(pages):
    return {label for text in pages.values() for label in re.findall(r"^.*\$\$ \((eq-[\w-]+)\)", text, re.M)}


def the_chapters():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    files = [chapter["file"] for part in parts if part["caption"] != "Appendices" for chapter in part["chapters"]]
    return [Path(file).name for file in files]


# --- notation ----------------------------------------------------------------------------------

# What is written in a formula but stands for nothing of its own.
NO_SYMBOLS = re.compile(
    r"\\(?:begin|end|text|operatorname\*?)\{[^}]*\}"
    r"|\\(?:(?:left|right|[bB]igg?[lr]?|q?quad|t?frac|sqrt|sum|max|min|le|ge|in|to|partial|nabla|top|c?dot|l?dots"
    r"|subset|infty|ln|neq|times|mapsto|[lr]angle|limits|displaystyle|[lr]vert|mid)(?![A-Za-z])|[,;:!{}| ])"
)
SYMBOL = re.compile(
    r"(?:\\(hat|bar|tilde|d?dot)\s*)?(\\lVert.*?\\rVert(?:_\{[^{}]*(?:\{\w+\})?[^{}]*\}|_\\?\w+|_\*)?"
    r"|\\math(?:rm|bb)\{\w+\}|\\[A-Za-z]+|[A-Za-z])",
    re.S,
)


def symbols_of(latex):
    """The letters of a formula, with their hats and bars, and the kinds of its norms; dots are derivatives."""
    found = set()
    for accent, name in SYMBOL.findall(NO_SYMBOLS.sub(" ", latex)):
        if name.startswith(r"\lVert"):
            inside, index = re.fullmatch(r"\\lVert(.*)\\rVert(.*)", name, re.S).groups()
            found |= symbols_of(inside) | {r"\lVert\rVert" + index.replace(" ", "")}
        elif not re.fullmatch(r"\\(?:mathrm\{(?!lag|bias)\w+\}|[lr]Vert)", name):
            found.add(name if accent in ("", "dot", "ddot") else rf"\{accent} {name}")
    return found


def formulas_of(text):
    return [a or b for a, b in re.findall(r"\$\$(.*?)\$\$|\$([^$]+)\$", text, re.S)]


def symbols_of_theorems(pages, printed):
    """{(chapter, label): symbols} of every theorem's statement, with the equations that it refers to."""
    found = {}
    for page, text in pages.items():
        if not page[:2].isdigit():
            continue
        for label, body in re.findall(r"^:::\{prf:theorem\}[^\n]*\n:label: (\S+)\n(.*?)^:::$", text, re.M | re.S):
            formulas = formulas_of(body) + [printed[name] for name in re.findall(r"\{eq\}`([\w-]+)`", body)]
            found[int(page[:2]), label] = set().union(*map(symbols_of, formulas))
    equations = [latex for label, latex in printed.items() if label.startswith("eq-kept-")]
    found[12, "the labelled equations of chapter 12"] = set().union(*map(symbols_of, equations))
    return found


def listed_symbols(page):
    """[(chapters, symbols)] of the tables; no chapters for the first, and for the list of norms."""
    symbols, _ = page.split("## Conventions of every optimizer")
    found = []
    for section in re.split(r"^### ", symbols, flags=re.M)[1:]:
        title, body = section.split("\n", 1)
        chapters = [int(number) for number in re.findall(r"\d+", title)]
        if " to " in title:
            chapters = range(chapters[0], chapters[1] + 1)
        first = [row.split(" | ")[0] for row in body.splitlines() if row.startswith("| $")]
        norms = [item for item in re.findall(r"^- .*", body, re.M) if title == "Norms"]
        found.append((set(chapters), set().union(*map(symbols_of, formulas_of("\n".join(first + norms))))))
    return found


def problems_of_notation(page, theorems):
    listed = listed_symbols(page)
    return [
        f"{label}: {symbol} is not listed"
        for (chapter, label), symbols in theorems.items()
        for symbol in sorted(symbols - set().union(*(its for where, its in listed if not where or chapter in where)))
    ]


def test_every_symbol_of_a_theorem_is_listed(pages):
    theorems = symbols_of_theorems(pages, ledger.printed())
    assert {chapter for chapter, _ in theorems} >= {6, 7, 8, 10, 12}
    assert {r"\Omega", r"\gamma", r"\ell", "U"} <= theorems[6, "thm-mem-correction"]
    assert {r"\varphi", r"\tilde E"} <= theorems[8, "thm-geo-law"]
    assert problems_of_notation(read("notation"), theorems) == []
    throughout = set().union(*(symbols for chapters, symbols in listed_symbols(read("notation")) if not chapters))
    assert {r"\lVert\rVert_*", r"\lVert\rVert_{\mathrm{nuc}}", r"\lVert\rVert_{1,\varepsilon}"} <= throughout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            r"| $\varphi$, $\nabla\varphi$, $\Phi = \nabla^2\varphi$ |",
            r"| $\Phi$ |",
            r"thm-geo-law: \varphi is not listed",
        ),
        (r"| $\Omega$, $r$ |", "| $r$ |", r"thm-mem-correction: \Omega is not listed"),
        ("Geometry (chapter 8)", "Geometry (chapter 9)", r"thm-geo-law: \varphi is not listed"),
        (r"| $\bar L_j^{(n)}$, $\bar P_j^{(n)}$ |", r"| $\bar P_j$ |", r"thm-adam: \bar L is not listed"),
    ],
)
def test_an_altered_notation_is_caught(pages, old, new, said):
    theorems = symbols_of_theorems(pages, ledger.printed())
    assert said in problems_of_notation(altered(read("notation"), old, new), theorems)


def test_a_letter_with_a_second_meaning_says_so():
    """A letter of a chapter's table that is in the first table, too, must say `here` or name its chapter."""
    page = read("notation").split("## Conventions of every optimizer")[0]
    tables = re.split(r"^### ", page, flags=re.M)[1:]
    rows = [[row.strip("| ").split(" | ") for row in re.findall(r"^\| \$.*", table, re.M)] for table in tables]

    def alone(cell):
        """Symbols that are a whole formula: what the row defines."""
        return {f for f in formulas_of(cell) if re.fullmatch(r"\\?[A-Za-z]+", f)}

    first = set().union(*(alone(row[0]) for row in rows[0]))
    again = [row for table in rows[1:] for row in table if alone(row[0]) & first]
    assert len(again) >= 4
    assert [row for row in again if not re.search(r"\bhere\b|chapter \d", row[1])] == []


# --- formula sheet -----------------------------------------------------------------------------


def rows_of_sheet(page):
    """[(method, equation, where it holds)] of the sheet's table."""
    [table] = re.findall(r"^```\{list-table\}\n(.*?)^```$", page, re.M | re.S)
    rows = [re.split(r"^  - ", row, flags=re.M) for row in re.split(r"^\* - ", table, flags=re.M)[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def statements(latex):
    return {"".join(statement) for statement in reader.statements(reader.tokens(latex))}


def problems_of_sheet(page, printed):
    """What a row prints that its labelled equations do not, and rows that name no equation or no place."""
    problems = []
    for method, equation, place in rows_of_sheet(page):
        own = ledger.labelled(equation)
        repeated = re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", re.sub(r"\$\$.*?\$\$ \([\w-]+\)", "", equation, flags=re.S))
        labels = re.findall(r"\{eq\}`([\w-]+)`", method)
        problems += [f"no equation {label}" for label in labels if label not in printed]
        known = {label: statements(printed[label]) for label in labels if label in printed}
        shown = [statement for latex in repeated for statement in statements(latex)]
        everywhere = set().union(*known.values())
        problems += [f"{method}: no chapter prints {text}" for text in shown if text not in everywhere]
        problems += [f"{method}: {label} is not repeated" for label, its in known.items() if not its & set(shown)]
        if not labels and not own:
            problems.append(f"{method}: no equation")
        if not re.search(r"\{(?:doc|prf:ref)\}`", place):
            problems.append(f"{method}: no place")
    return problems


METHODS = (
    "First correction",
    "Lags",
    "Gradient descent",
    "Mini-batches",
    "reshuffled",
    "Heavy ball",
    "Nesterov",
    "Any geometry",
    "Muon",
    "RMSProp",
    "Adam",
    "Memory kept",
)


def test_formula_sheet_repeats_the_chapters():
    page = read("formulas")
    rows = rows_of_sheet(page)
    assert len(rows) >= 25
    assert [method for method in METHODS if not any(method in row[0] for row in rows)] == []
    assert problems_of_sheet(page, ledger.printed()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r"\frac{h_e}{4}\,K", r"\frac{h_e}{2}\,K", "no chapter prints"),
        (r"2R_j^3} -", r"2R_j^2} -", "no chapter prints"),
        (r"E + \frac h2 (1 + 2\ell)", r"E + \frac h2 (1 + \ell)", "no chapter prints"),
        (", {eq}`eq-kept-speed`", "", "no equation"),
        ("{eq}`eq-kept-speed`", "{eq}`eq-kept-sped`", "no equation eq-kept-sped"),
        (
            "{eq}`eq-adam-full-batch`, ",
            "{eq}`eq-adam-full-batch`, {eq}`eq-adam-line`, ",
            "eq-adam-line is not repeated",
        ),
        ("; {doc}`chapter 13 <13_mini_batch_adam>`", "", "no place"),
    ],
)
def test_an_altered_formula_sheet_is_caught(old, new, said):
    problems = problems_of_sheet(altered(read("formulas"), old, new), ledger.printed())
    assert any(said in problem for problem in problems), problems


def test_formula_sheet_is_the_first_appendix():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    [appendices] = [part["chapters"] for part in parts if part["caption"] == "Appendices"]
    assert appendices[0]["file"] == "chapters/formulas"


# --- glossary ----------------------------------------------------------------------------------


def entries_of(page):
    """[(term, its text)] of the glossary, in order."""
    body = re.search(r"^:::\{glossary\}\n(.*?)^:::$", page, re.M | re.S)[1]
    return [(term, text) for term, text in re.findall(r"^(\S.*)\n((?:(?:  .*)?\n)+)", body, re.M)]


def problems_of_glossary(page, names, equations):
    entries = entries_of(page)
    terms = [term for term, _ in entries]
    problems = [f"{term} comes twice" for term in sorted(set(terms)) if terms.count(term) > 1]
    problems += [f"{b} stands behind {a}" for a, b in zip(terms, terms[1:]) if b.lower() < a.lower()]
    for term, text in entries:
        documents = set(re.findall(r"\{doc\}`([^`]+)`", text))
        labels = set(re.findall(r"\{eq\}`([^`]+)`", text))
        if not documents | labels:
            problems.append(f"{term} says not where it comes from")
        problems += [f"{term}: no page {name}" for name in documents - set(names)]
        problems += [f"{term}: no equation {label}" for label in labels - equations]
    return problems


def test_glossary_is_sorted_and_every_term_has_a_place(pages):
    page = read("glossary")
    assert len(entries_of(page)) >= 40
    assert problems_of_glossary(page, pages, equations_of(pages)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\nvalley\n", "\nballot\n", "ballot stands behind truncation"),
        ("\nvalley\n", "\ntruncation\n", "truncation comes twice"),
        ("{eq}`eq-mem-lag`", "{eq}`eq-mem-log`", "lag: no equation eq-mem-log"),
        ("{doc}`11_regimes`", "{doc}`08_seasons`", "regime: no page 08_seasons"),
        ("See {doc}`how_we_know`.", "See there.", "ledger says not where it comes from"),
    ],
)
def test_an_altered_glossary_is_caught(pages, old, new, said):
    page = altered(read("glossary"), old, new)
    assert said in problems_of_glossary(page, pages, equations_of(pages))


# --- library reference -------------------------------------------------------------------------


# Modules that no reader calls.
INTERNAL = {
    "bea.elementary",
    "bea.expressions",
    "bea.rolled",
    "bea.straight",
    "bea.trace",
    "bea.vectors",
    "bea_book.ledger",
}


def modules_of_library():
    """{module: its __all__} of every module of the engine and of the book that has one."""
    found = {}
    for package in (bea, bea_book):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            _, *names = module.name.split(".")
            if any(name.startswith("_") for name in names) or re.search("equations[.]", module.name):
                continue
            found[module.name] = getattr(importlib.import_module(module.name), "__all__", [])
    return {name: names for name, names in found.items() if names and name not in INTERNAL}


def exported_names():
    """What the packages offer directly, but for dunder names."""
    names = {*bea.__all__, *bea_book.__all__, *ledger.__all__}
    return sorted(name for name in names if not name.startswith("__"))


def problems_of_reference(page, modules, exported):
    """What the page does not show: autodoc shows of a module what is in its __all__ and has a
    docstring."""
    listed = re.findall(r"^\.\. automodule:: (\S+)$", page, re.M)
    problems = [f"{name} is not on the page" for name in modules if name not in listed]
    problems += [f"{name} is no module" for name in listed if name not in modules]
    shown = {name for module in listed for name in modules.get(module, [])}
    problems += [f"{name} is not on the page" for name in exported if name not in shown]
    return problems


def undocumented(modules):
    """Public functions and classes without a docstring of their own, and constants without `#:`."""
    problems = []
    for module, names in modules.items():
        for name in names:
            thing = getattr(importlib.import_module(module), name)
            if inspect.isclass(thing) or callable(thing):
                # a dataclass without a docstring is given its signature for one
                if not (thing.__doc__ or "").strip() or thing.__doc__.startswith(f"{name}("):
                    problems.append(f"{module}.{name}")
            else:
                source = inspect.getsource(importlib.import_module(module))
                if not re.search(rf"^#: .*\n{name} = ", source, re.M):
                    problems.append(f"{module}.{name}")
    return problems


def test_reference_has_every_public_name():
    modules = modules_of_library()
    assert "run" in modules["bea.runs"] and "Entry" in modules["bea_book.ledger.check"]
    assert problems_of_reference(read("library"), modules, exported_names()) == []
    assert undocumented(modules) == []


def test_an_altered_reference_is_caught():
    modules, page, exported = modules_of_library(), read("library"), exported_names()
    problems = problems_of_reference(altered(page, ".. automodule:: bea.runs\n", "\n"), modules, exported)
    assert {"bea.runs is not on the page", "run is not on the page"} <= set(problems)
    problems = problems_of_reference(altered(page, ":: bea.orders", ":: bea.order"), modules, exported)
    assert "bea.order is no module" in problems
    hidden = modules | {"bea.orders": ["Study"]}
    assert problems_of_reference(page, hidden, exported) == ["order_study is not on the page"]


def test_a_missing_docstring_is_caught(monkeypatch):
    monkeypatch.setattr(bea.orders.order_study, "__doc__", None)
    monkeypatch.setattr(bea.orders.Study, "__doc__", "Study(hs, errors)")
    assert undocumented({"bea.orders": ["Study", "order_study"]}) == [
        "bea.orders.Study",
        "bea.orders.order_study",
    ]
    assert undocumented({"bea_book.svg": ["COLORS", "DOTS"]}) == ["bea_book.svg.DOTS"]


# --- instructor's guide ------------------------------------------------------------------------

PARTS = (
    "**Students can**",
    "**Draw on the board.**",
    "**Ask before** {numref}`",
    "**Common errors.**",
    "**Can be skipped.**",
    "**Project the explorer",
    "**Homework.**",
)


def problems_of_guide(page, chapters):
    sections = {}
    for section in re.split(r"^## ", page, flags=re.M):
        if match := re.match(r"Chapter \d+: .*\n\n\{doc\}`(\w+)`, .*(?:minutes|lecture).*\n", section):
            sections[match[1]] = section
    problems = [f"{name} has no section" for name in chapters if name not in sections]
    problems += [f"{name} is not among the chapters" for name in sections if name not in chapters]
    if list(sections) != [name for name in chapters if name in sections]:
        problems.append("the sections are not in the chapters' order")
    for name, section in sections.items():
        problems += [f"{name} lacks {part}" for part in PARTS if part not in section]
    return problems


def recipe_of(page):
    [code] = re.findall(r"^```python\n(from pathlib.*?)^```$", page, re.M | re.S)
    return code


def test_guide_has_every_chapter():
    assert problems_of_guide(read("instructor"), the_chapters()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{doc}`03_implicit_gradient_regularization`, ",
            "",
            "03_implicit_gradient_regularization has no section",
        ),
        ("{doc}`09_rmsprop`, ", "{doc}`06_rprop`, ", "06_rprop is not among the chapters"),
        ("**Homework.**\n{ref}`ex-adam", "{ref}`ex-adam", "10_adam lacks **Homework.**"),
    ],
)
def test_an_altered_guide_is_caught(old, new, said):
    assert said in problems_of_guide(altered(read("instructor"), old, new), the_chapters())


def test_guide_names_chapters_in_order():
    assert "the sections are not in the chapters' order" in problems_of_guide(read("instructor"), the_chapters()[::-1])


def sections_of_guide(page):
    """{number: (chapter, text)} of the chapters' sections."""
    found = re.findall(r"^## Chapter (\d+): [^\n]*\n\n\{doc\}`(\w+)`(.*?)(?=^## )", page, re.M | re.S)
    return {int(number): (name, text) for number, name, text in found}


def minutes_in_class(text):
    if match := re.match(r", two lectures of (\d+) minutes", text):
        return 2 * int(match[1])
    return int(re.match(r", (\d+) minutes", text)[1])


def minutes_of_exercises(page):
    return {label: int(m) for label, m in re.findall(r"\{ref\}`([\w-]+)` \((\d+)(?: minutes)?(?:, open)?\)", page)}


def problems_of_times(page):
    """Sums in the guide that are not the sums of its own minutes."""
    problems, sections = [], sections_of_guide(page)
    rows = {
        name: (int(shown[0].replace(",", "")), int(shown[1].replace(",", "")))
        for name, *shown in re.findall(r"^\| (\d+|together) \| ([\d,]+) \| ([\d,]+) \|$", page, re.M)
    }
    times = {}
    for number, (_, text) in sections.items():
        homework = re.findall(r"\((\d+)(?: minutes)?(?:, open)?\)", text.split("**Homework.**")[1])
        times[str(number)] = minutes_in_class(text), sum(map(int, homework))
    times["together"] = tuple(map(sum, zip(*times.values())))
    problems += [
        f"{name}: {rows.get(name)} in the table, not {sums}" for name, sums in times.items() if rows.get(name) != sums
    ]
    classes = int(re.search(r"fill (\d+) classes of 60 minutes", page)[1])
    if classes != -(-times["together"][0] // 60):
        problems.append(f"{classes} classes do not hold {times['together'][0]} minutes")
    known = minutes_of_exercises(page)
    lectures = page.split("## Three lectures")[1].split("## Six weeks")[0]
    for name, shown in re.findall(r"^\| (\d) .*?\| (.*?) \|", lectures, re.M):
        if (total := sum(map(int, re.findall(r"\((\d+)\)", shown)))) != 90:
            problems.append(f"lecture {name} takes {total} minutes")
    weeks = page.split("## Six weeks")[1].split("## A semester")[0]
    for name, *classes, sheet, minutes in re.findall(r"^\| (\d) \| (.*?) \| (.*?) \| (.*?) \| (\d+) \|$", weeks, re.M):
        for shown in classes:
            if (total := sum(map(int, re.findall(r"\((\d+)\)", shown)))) != 60:
                problems.append(f"a class of week {name} takes {total} minutes")
        labels = re.findall(r"\{ref\}`([\w-]+)`", sheet)
        problems += [f"no time for {label}" for label in labels if label not in known]
        if (total := sum(known.get(label, 0) for label in labels)) != int(minutes):
            problems.append(f"the sheet of week {name} takes {total} minutes, not {minutes}")
    return problems


def problems_of_cuts(page, pages):
    """Sections that the guide names for a cut, or to be skipped, and that the chapter does not have."""
    problems = []
    for name, text in sections_of_guide(page).values():
        first = text.split("\n", 1)[0]
        skipped = text.split("**Can be skipped.**")[1].split("\n\n")[0]
        headings = [re.sub(r"^[^\w$]+", "", line) for line in re.findall(r"^#{2,3} (.*)", pages[name], re.M)]
        problems += [
            f"{name} has no section {title!r}"
            for title in re.findall(r"\"(\w[^\"]+?)[,.]?\"", first + skipped)
            if title not in headings
        ]
    return problems


def test_times_of_the_guide_add_up(pages):
    assert problems_of_times(read("instructor")) == []
    assert problems_of_cuts(read("instructor"), pages) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "`01_gradient_descent`, 75 minutes",
            "`01_gradient_descent`, 80 minutes",
            "1: (75, 120) in the table, not (80, 120)",
        ),
        ("chapter 1 (40): Euler", "chapter 1 (45): Euler", "lecture 1 takes 95 minutes"),
        ("chapter 11 (30), chapter 12 (30)", "chapter 11 (30), chapter 12 (20)", "a class of week 6 takes 50 minutes"),
        (
            "{ref}`ex-gd-balance` (20 minutes)",
            "{ref}`ex-gd-balance` (30 minutes)",
            "the sheet of week 1 takes 70 minutes, not 60",
        ),
    ],
)
def test_times_that_do_not_add_up_are_caught(old, new, said):
    assert said in problems_of_times(altered(read("instructor"), old, new))


def test_a_section_that_is_not_there_is_caught(pages):
    page = altered(read("instructor"), 'cut before "Examples"', 'cut before "Samples"')
    assert problems_of_cuts(page, pages) == ["02_backward_error_analysis has no section 'Samples'"]


def test_figures_for_slides(tmp_path, monkeypatch):
    """The recipe of the guide, on a chapter of one figure."""
    cell = new_code_cell(outputs=[new_output("display_data", {"image/svg+xml": "<svg/>", "text/plain": "<Figure>"})])
    cell.metadata["mystnb"] = {"figure": {"name": "fig-line"}}
    (tmp_path / "chapters").mkdir()
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "chapters" / "line.ipynb")
    monkeypatch.chdir(tmp_path)
    exec(compile(altered(recipe_of(read("instructor")), "10_adam", "line"), "recipe", "exec"), {})
    assert (tmp_path / "slides" / "fig-line.svg").read_text(encoding="utf-8") == "<svg/>"


# --- course ------------------------------------------------------------------------------------


def assignments():
    """{number: (title, chapters before it, points, minutes)} from the notebooks."""
    found = {}
    for path in sorted((ROOT / "assignments").glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = next(cell.source for cell in cells if cell.source.startswith("# Assignment"))
        number, title = re.match(r"# Assignment (\d): (.*)", text).groups()
        before, points, minutes = (
            re.search(rf"\*\*{word}\.\*\* (.*?)(?: minutes)?\.$", text, re.M)[1]
            for word in ("Before", "Points", "Time")
        )
        found[int(number)] = title, re.findall(r"\d+", before), int(points), int(minutes)
    return found


def problems_of_course(page, known):
    rows = re.findall(r"^\| ?(\d?) \| (.*?) \|([^|]*)\| (\d+) \| ([\d,]+) \|$", page, re.M)
    problems, shown = [], {}
    for number, title, chapters, points, minutes in rows:
        if not number:
            sums = sum(row[2] for row in known.values()), sum(row[3] for row in known.values())
            if (int(points), int(minutes.replace(",", ""))) != sums:
                problems.append(f"together they have {sums[0]} points and take {sums[1]} minutes")
            continue
        shown[int(number)] = title[:1].lower() + title[1:], re.findall(r"\d+", chapters), int(points), int(minutes)
    for number, (title, *its) in known.items():
        if shown.get(number) != (title[:1].lower() + title[1:], *its):
            problems.append(f"assignment {number} is {title}, {its}")
    return problems


def test_course_has_every_assignment():
    known = assignments()
    assert len(known) == 7
    assert problems_of_course(read("course"), known) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("| 6, 7 | 24 | 190 |", "| 5 | 24 | 190 |", "assignment 4"),
        ("| 24 | 190 |\n| 3 |", "| 24 | 180 |\n| 3 |", "assignment 2"),
        ("| 176 | 1,680 |", "| 176 | 1,690 |", "together"),
    ],
)
def test_an_altered_course_is_caught(old, new, said):
    problems = problems_of_course(altered(read("course"), old, new), assignments())
    assert any(said in problem for problem in problems), problems


# --- bibliography ------------------------------------------------------------------------------


def problems_of_bibliography(entries, pages):
    """Entries without a link, and entries that no page cites."""
    cited = {
        key
        for text in pages.values()
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    problems = []
    for key, text in re.findall(r"^@\w+\{([^,\s]+),(.*?)^\}", entries, re.M | re.S):
        if not re.search(r"^\s*(?:doi|url|eprint)\s*=", text, re.M):
            problems.append(f"{key} has no link")
        if key not in {name.strip() for name in cited}:
            problems.append(f"{key} is cited nowhere")
    return problems


def test_every_entry_of_the_bibliography_is_cited_and_has_a_link(pages):
    entries = (CHAPTERS / "references.bib").read_text(encoding="utf-8")
    code = {
        path.stem: "\n".join(str(c.metadata) for c in nbformat.read(path, as_version=4).cells)
        for path in CHAPTERS.glob("*.ipynb")
    }
    everything = {**pages, **{f"captions of {name}": text for name, text in code.items()}}
    assert problems_of_bibliography(entries, everything) == []
    problems = problems_of_bibliography(altered(entries, "doi", "dio") + "@book{nobody2000nothing,\n}\n", everything)
    assert "nobody2000nothing is cited nowhere" in problems
    assert "hairer2006geometric has no link" in problems
