"""What the book says in words: its pages' text, the numbers in it, and rules that every sentence keeps.

A claim test quotes the sentences that its measurement carries, by the fixture `says`:

    says("06", "about eighteen times as far", 17.96)

fails if chapter 6 no longer has these words, or if a number in them is not the value, rounded.
"""

import ast
import base64
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

import matplotlib.image
import nbformat
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb

from reading import code_cells, markdown_cells, prose_of

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"

# --- numbers -------------------------------------------------------------------------------------

RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
WORDS = dict.fromkeys(("once",), 1) | {
    word: number
    for number, words in {
        2: "two twice",
        3: "three",
        4: "four",
        5: "five",
        6: "six",
        7: "seven",
        8: "eight",
        9: "nine",
        10: "ten",
        11: "eleven",
        12: "twelve",
        15: "fifteen",
        16: "sixteen",
        18: "eighteen",
        20: "twenty",
        30: "thirty",
        40: "forty",
        50: "fifty",
    }.items()
    for word in words.split()
}
NUMBER = re.compile(
    r"""(?<![\w.^_{\\])(?P<sign>[-−+](?=[\d.]))?
    (?P<digits>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?|\.\d+)(?!\d|\.\d)
    (?:\s*(?:\\cdot|\\times|·|×)\s*10(?:\^\{?(?P<power>-?\d+)\}?|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)))?
    (?:\^\{?(?P<of_ten>-?\d+)\}?)?
    |\b(?P<word>"""
    + "|".join(WORDS)
    + r")\b",
    re.X | re.I,
)
PRINTED = re.compile(r"(?<![\w.])[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
LARGEST_ERROR = 0.15  # of a number of one digit, which rounding alone would let be wrong by a half


def apart(latex):
    r"""Put a space between a command and a number: ``2\cdot90`` has the number 90."""
    return re.sub(r"(\\(?!.?frac)[a-z]+)(?=\d)", r"\1 ", latex)


def numbers_in(text):
    """(as written, value, unit of its last digit) of each number, in digits or as a word, in their order."""
    found = []
    for match in NUMBER.finditer(apart(text)):
        if match["word"]:
            found.append((match[0], float(WORDS[match["word"].lower()]), 1.0))
            continue
        digits = match["digits"].replace(",", "")
        if match["of_ten"] and digits == "10":
            value = 10.0 ** int(match["of_ten"])
            found.append((match[0], value, value))
            continue
        power = match["power"] or (match["raised"] or "0").translate(RAISED)
        sign = -1 if match["sign"] in ("-", "−") else 1
        unit = 10.0 ** (int(power) - len(digits.partition(".")[2]))
        found.append((match[0], sign * float(digits) * 10.0 ** int(power), unit))
    return found


def rounds_to(value, number, unit):
    """Whether a value is a number to within half a unit of its last digit."""
    return abs(value - number) <= min(0.5 * unit * (1 + 1e-9), LARGEST_ERROR * abs(number)) + 1e-15


# --- pages ---------------------------------------------------------------------------------------


@cache
def notebook(path):
    return nbformat.read(path, as_version=4)


def page(chapter):
    """The file of a chapter, by its number ("06") or its name."""
    [path] = [p for p in CHAPTERS.glob("*.ipynb") if p.stem == chapter or p.stem.startswith(f"{chapter}_")]
    return path


def captions_of(notebook):
    """(cell number, text) of each caption and each text for those who can't see the figure."""
    for number, cell in code_cells(notebook):
        shown = cell.metadata.get("mystnb", {})
        for kind, key in (("figure", "caption"), ("image", "alt")):
            if text := shown.get(kind, {}).get(key):
                yield number, text


def explorers_of(notebook):
    """(cell number, text) of what explorers say around their figures: arguments of `explore` and of `live.figure` in words."""
    for number, cell in code_cells(notebook):
        if not re.search(r"\bexplore\(|\blive\.figure\(", cell.source):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.keyword) and node.arg in ("look", "ask", "alt", "predict"):
                yield number, ast.literal_eval(node.value)


def words_of(notebook):
    """(cell number, text) of all that a reader of the page reads in words."""
    for number, cell in markdown_cells(notebook):
        yield number, cell.source
    yield from captions_of(notebook)
    yield from explorers_of(notebook)


def in_one_line(text):
    return re.sub(r"\s+", " ", text).strip()


# --- sentences bound to what measures them -------------------------------------------------------


def problem_of_sentence(notebook, sentence, values):
    """What is wrong with a quoted sentence and its values; None if nothing is."""
    if not any(in_one_line(sentence) in in_one_line(text) for _, text in words_of(notebook)):
        return f"the page no longer says {sentence!r}"
    numbers = numbers_in(sentence)
    if len(numbers) != len(values):
        return f"{sentence!r} has the numbers {[n for n, *_ in numbers]}, and there are {len(values)} values"
    for value, (text, number, unit) in zip(values, numbers):
        if not rounds_to(value, number, unit):
            return f"{sentence!r} says {text}, and {value:.6g} is measured"
    return None


@pytest.fixture
def says():
    """says(chapter, words of one of its sentences, the value of each number in them)"""

    def says(chapter, sentence, *values):
        problem = problem_of_sentence(notebook(page(chapter)), sentence, values)
        assert problem is None, f"chapter {chapter}: {problem}"

    return says


@cache
def bound_sentences():
    """{chapter: the fragments that claim tests quote}"""
    found = {}
    for path in sorted((ROOT / "tests").glob("test_*_claims.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "says":
                chapter, sentence = (ast.literal_eval(argument) for argument in node.args[:2])
                found.setdefault(page(chapter).stem, []).append(in_one_line(sentence))
    return found


# --- where a number comes from -------------------------------------------------------------------


def printed_numbers(text):
    return [abs(float(number.replace("−", "-").replace(",", ""))) for number in PRINTED.findall(text)]


def shown_numbers(notebook):
    """What the cells print, and the values beside the frames of explorers."""
    found = []
    for _, cell in code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            found += printed_numbers(output.get("text", "") + data.get("text/plain", ""))
            for text in (text for kind, text in data.items() if kind.endswith("+html")):
                for script in re.findall(r'<script type="application/json">(.*?)</script>', text, re.S):
                    values = [string for string in json.loads(script)["strings"] if len(string) < 20]
                    found += printed_numbers(" ".join(values))
    return found


QUOTIENT = re.compile(r"([\d.]+)/([\d.]+)\s*(?:=|\\approx)")


def numbers_without_source(notebook, claimed=(), bound=()):
    """The decimal numbers in prose that nothing on the page or in its claims carries.

    A number has a source if a cell prints it, to the digits that the sentence gives; if the code has it; if a
    claim test measured it; if a bound sentence has it; or if the line itself divides two numbers to get it.
    """
    shown = [*shown_numbers(notebook), *claimed]
    typed = {number for _, cell in code_cells(notebook) for number in printed_numbers(cell.source)}
    problems = []
    texts = [(n, line) for n, cell in markdown_cells(notebook) for _, line in prose_of(cell.source)]
    for cell, line in [*texts, *captions_of(notebook)]:
        line = re.sub(r"\b(?:section|page|Python) [\d.]+", "", line)
        quoted = " ".join(apart(fragment) for fragment in bound if fragment in in_one_line(line))
        divided = [float(p) / float(q) for p, q in QUOTIENT.findall(line) if float(q)]
        for text, number, unit in numbers_in(line):
            number = abs(number)
            if unit >= 1 or unit == number or number in typed or text in quoted:
                continue  # whole numbers, powers of ten that bound something, parameters
            scales = (1, 100) if "%" in line or "per cent" in line else (1,)
            if not any(rounds_to(scale * value, number, unit) for value in [*shown, *divided] for scale in scales):
                problems.append(f"cell {cell}: nothing gives {text}: {line.strip()[:90]!r}")
    return problems


# --- turns of phrase -----------------------------------------------------------------------------

# What the book does not say, and what it says instead (None: say it another way).
PHRASES = {
    r"spoil(?:t|ed) cop(?:y|ies)": "mutant",
    r"rear-view|\bmirrors?\b(?! image)": "moving average, lag",
    r"\brac(?:e|es|ing) of\b|\bpencil's law\b|\byoung steps?\b": "competing lags, closed-form law, early step",
    r"\bvot(?:e|es|ing)\b(?! first)": "net sign",
    r"\bplain flow\b": "leading-order flow",
    r"\bring(?:s|ing)\b": "oscillates, underdamped",
    r"doubly logarithmic": "log–log",
    r"\bEuclid's norm\b": "Euclidean norm",
    r"\bfull lines?\b": "solid line",
    r"size of (?:a|the|its) roots?\b": "modulus",
    r"bounds? of stability": "stability threshold",
    r"anti-penalt(?:y|ies)": "anti-regularization",
    r"memory's part|discretization's part": "memory contribution, discretization contribution",
    r"(?:hyper-?parameter|\btwo|\bthree|\bfour|\bthese|\bthe same|\ball|\bmany|\bboth|\bsixteen) settings\b": (
        "hyper-parameter configurations, runs"
    ),
    r"in the place of": "instead of",
    r"\b(?:large|small) against\b": "large compared with",
    r"\bon the way\b": "during the descent, along the path",
    r"\banother than\b": "different from",
    r"\bbesides[.;]|, too\.": "also",
    r"\bwhat is \w+ does\b": None,
    r"\bLook at\b": "what the figure shows",
    r"\btakes? back\b": None,
    r"\bstands? (?:in|at)\b": "is, appears",
    r"\bverdicts?\b": "result",
    r"\bas good as\b": None,
    r"\bit knows nothing\b": None,
    r"\b(?:regulari|minimi|optimi|generali|normali|penali|linea?ri|discreti|summari|recogni|characteri)s(?:e|es|ed|ing|ation)\b": (
        "-ize"
    ),
    r"\b(?:don|doesn|isn|aren|can|won|wouldn|couldn|didn|wasn|hasn|haven)['’]t\b|\b(?:it|that|here|there|what)['’]s (?:a|the|not|no)\b": (
        "no contractions"
    ),
}


def words_of_code(source):
    """The docstrings, messages and comments of a Python file."""
    read = tokenize.generate_tokens(io.StringIO(source).readline)
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    return "\n".join(token.string for token in read if token.type in kinds)


NAMES = re.compile(r"(?<!`)\{[\w:]+\}`[^`]*`|\b(?:eq|fig|sec|thm|ex)-[\w-]+|^\s*:\w+:.*$", re.M)  # of labels and pages


def problems_of_phrases(texts):
    """(place, text) pairs in which a turn of phrase occurs that the book does not use."""
    problems = []
    for place, text in texts:
        text = in_one_line(NAMES.sub("", text))
        for phrase, instead in PHRASES.items():
            for match in re.finditer(phrase, text):
                near = text[max(0, match.start() - 40) : match.end() + 30]
                problems.append(f"{place}: {match[0]!r} in {near!r}; say {instead or 'it another way'}")
    return problems


# --- chapters, quizzes, captions -----------------------------------------------------------------

NAMED = re.compile(r"\b[Cc]hapters? (\d+)(?:((?:, \d+)*)(?:,? (?:and|to|or) (\d+)))?")
LINK = re.compile(
    r"\{doc\}`(?:chapter )?(\d+) <(\d\d)_\w+>`|\[(?:chapter )?(\d+)[^\]]*\]\((?:chapters/)?(\d\d)_\w+\.(?:ipynb|md)\)"
)


def problems_of_chapters(texts, chapters):
    """Chapters that are named and do not exist, and links whose text has another number."""
    problems = []
    for place, text in texts:
        for match in NAMED.finditer(text):
            numbers = [int(number) for number in re.findall(r"\d+", match[0])]
            problems += [f"{place}: there is no chapter {n}" for n in numbers if n not in chapters]
        for match in LINK.finditer(text):
            shown, target = (int(number) for number in match.groups() if number)
            if shown != target:
                problems.append(f"{place}: the link says {shown} and goes to chapter {target}")
    return problems


RIGHT = re.compile(r"^:::\{admonition\} ([a-e])\) .*\n:class: dropdown quiz\n\n\*\*Right\.\*\*", re.M)
MOST_AT_ONE_PLACE = 0.4


def places_of_answers(notebook):
    """The letters of the right answers of a chapter's quiz."""
    return [letter for _, cell in markdown_cells(notebook) for letter in RIGHT.findall(cell.source)]


def problems_of_places(answers):
    """{chapter: letters}: no chapter whose right answers have one letter, and no letter that has most of them."""
    problems = [
        f"{chapter}: all right answers are {letters[0]})" for chapter, letters in answers.items() if len({*letters}) < 2
    ]
    together = [letter for letters in answers.values() for letter in letters]
    for letter in sorted({*together}):
        share = together.count(letter) / len(together)
        if share > MOST_AT_ONE_PLACE:
            problems.append(
                f"{letter}) is right in {share:.0%} of all questions; at most {MOST_AT_ONE_PLACE:.0%} are allowed"
            )
    return problems


# The names that captions give to colours, as hues in degrees; grey and black have none.
HUES = {
    "blue": (190, 225),
    "green": (140, 175),
    "orange": (30, 50),
    "purple": (300, 345),
    "red": (5, 30),
    "yellow": (50, 60),
}
FEWEST = 20  # pixels of a colour that a reader can see, and as many for anything drawn in it


def hues_of(cell):
    """How many coloured pixels the cell's picture has at each degree of hue; None if it has no picture."""
    for output in cell.outputs:
        if picture := output.get("data", {}).get("image/svg+xml"):
            drawn = re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", picture)
            colors = [np.tile(to_rgb(color), (FEWEST, 1)) for color in drawn]
            for layer in re.findall(r'base64,([^"]*)"', picture):  # what is too dense to be drawn in lines
                pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(layer)))
                colors.append(pixels[pixels[..., -1] > 0.5][:, :3])
            hue, saturation, _ = rgb_to_hsv(np.concatenate(colors)).T
            return np.bincount((360 * hue[saturation > 0.25]).astype(int), minlength=361)
    return None


def problems_of_captions(notebook):
    """A caption or its text for those who can't see names a colour that is not in the picture, or a panel at
    the left or right of a figure that has only one."""
    cells = dict(code_cells(notebook))
    problems = []
    for number, text in captions_of(notebook):
        hues = hues_of(cells[number])
        for color, (first, last) in HUES.items():
            if hues is not None and re.search(rf"\b{color}\b", text, re.I) and hues[first:last].sum() < FEWEST:
                problems.append(f"cell {number}: no {color} in the picture: {text[:60]!r}")
        if re.match(r"(?:Left|Right)\b[:,]", text) and not re.search(
            r"figure\(\s*\d|subplots|\baxes\b", cells[number].source
        ):
            problems.append(f"cell {number}: the figure has one panel: {text[:60]!r}")
    return problems
