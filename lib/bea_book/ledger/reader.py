r"""From the printed page to SymPy: find the labelled equations of the book, and evaluate their LaTeX.

An equation is a sequence of tokens: commands, letters, digits and brackets, without spacing.  The
reader descends through it recursively.  Which tokens are symbols of the equation, and what these are
worth, is given as a mapping from their LaTeX to SymPy objects.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import sympy as sp

__all__ = ["Side", "labelled", "printed", "read", "tokens"]

Tokens = tuple[str, ...]
#: A SymPy expression or matrix; SymPy's own annotations cannot say what both can do.
Value = Any
Lexicon = Mapping[str, Sequence[tuple[Tokens, Value]]]

CHAPTERS = Path(__file__).resolve().parents[3] / "chapters"
ROW = r"\\"  # the token between two statements, or two rows of one statement

_LABELLED = re.compile(
    r"\$\$\s*((?:(?!\$\$).)*?)\s*\$\$\s*\(([\w-]+)\)"
    r"|```\{math\}\s*\n:label:\s*([\w-]+)\s*\n(.*?)\n```",
    re.S,
)
_TOKEN = re.compile(
    r"\\(?:operatorname|mathrm|mathcal|text|begin|end)\{[^{}]*\}"
    r"|\\\\(?:\[[^\]]*\])?|\\[A-Za-z]+|\\.|\S",
    re.S,
)
_WITHOUT_MEANING = re.compile(
    r"&|\\[,;:! ]|\\q?quad|\\(?:begin|end)\{(?:aligned|split|gathered)\}"
    r"|\\(?:displaystyle|left|right|[bB]igg?[lr]?|nonumber|limits)"
)
_SPELLED = {"[": "(", "]": ")", r"\{": "(", r"\}": ")", r"\tfrac": r"\frac", r"\dfrac": r"\frac"}
_OPENING = {"(", "{", r"\lVert", r"\lvert"}
_CLOSING = {")", "}", r"\rVert", r"\rvert"}
_FUNCTIONS = {r"\ln": sp.log, r"\exp": sp.exp, r"\sin": sp.sin, r"\cos": sp.cos, r"\tanh": sp.tanh}


@dataclass(frozen=True)
class Side:
    """One side of an equation: its value, and the power p if it ends in ``O(h^p)``.

    Parameters
    ----------
    value : SymPy expression or matrix
    power : int, optional

    Examples
    --------
    >>> [[_, right]] = read("y = 3 + O(h^2)", {"y": sp.Symbol("y")})
    >>> right
    Side(value=3, power=2)
    """

    value: Value
    power: int | None = None


# --- pages ---------------------------------------------------------------------------------------


def labelled(markdown: str) -> dict[str, str]:
    r"""Return {label: LaTeX} of the labelled equations in a text, in the order of the text.

    Parameters
    ----------
    markdown : str

    Returns
    -------
    dict from str to str

    Examples
    --------
    >>> labelled("Energy is conserved: $$ \\dot H = 0 $$ (eq-energy)")
    {'eq-energy': '\\dot H = 0'}
    """
    return {label or directive: latex or body for latex, label, directive, body in _LABELLED.findall(markdown)}


@cache
def printed() -> dict[str, str]:
    """Return {label: LaTeX} of all labelled equations of the book, read from its pages.

    The pages are the notebooks and Markdown files of the repository; a wheel made for a browser
    brings an extract of them instead.

    Returns
    -------
    dict from str to str

    Raises
    ------
    FileNotFoundError
        If neither is there.

    Examples
    --------
    >>> printed()["eq-gd-step"]
    '\\\\theta^{(n+1)} = \\\\theta^{(n)} - h\\\\,\\\\nabla E(\\\\theta^{(n)})'
    """
    if CHAPTERS.is_dir():
        return {
            label: latex
            for path in sorted(CHAPTERS.iterdir())
            if path.suffix in (".ipynb", ".md")
            for label, latex in labelled(_prose(path)).items()
        }
    extract = files("bea_book.ledger") / "printed.json"
    if extract.is_file():
        return json.loads(extract.read_text(encoding="utf-8"))
    raise FileNotFoundError(
        "The ledger reads each equation from the page on which it is printed, and the pages of "
        "the book are not installed here. Run it from a copy of the repository."
    )


def _prose(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


# --- tokens --------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def tokens(latex: str) -> Tokens:
    r"""Split LaTeX into tokens, without spacing, sizes of brackets and unnecessary braces.

    Statements, separated on the page by ``\\`` or ``,\quad``, are separated by the token ``\\``.

    Parameters
    ----------
    latex : str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> tokens(r"m_{k} = \beta\, x^{12},")
    ('m', '_', 'k', '=', '\\beta', 'x', '^', '{', '1', '2', '}')
    """
    found: list[str] = []
    for token in _TOKEN.findall(latex):
        if token in (r"\quad", r"\qquad") and found and found[-1] == ",":
            found[-1] = ROW
        elif token.startswith(ROW):
            found.append(ROW)
        elif not _WITHOUT_MEANING.fullmatch(token):
            found.append(_SPELLED.get(token, token))
    kept, depth = [], 0
    for token, behind in zip(found, [*found[1:], ROW]):
        depth += (token in _OPENING) - (token in _CLOSING)
        is_punctuation = token in (",", ".", ";") and behind == ROW
        if not is_punctuation and (token != ROW or depth == 0):
            kept.append(token)
    return _without_braces(kept)


def _without_braces(found: Sequence[str]) -> Tokens:
    """Write x_{k} as x_k, and x^{2} as x^2."""
    kept: list[str] = []
    position = 0
    while position < len(found):
        group = found[position : position + 4]
        if len(group) == 4 and group[0] in "_^" and group[1] == "{" and group[3] == "}":
            kept += [group[0], group[2]]
            position += 4
        else:
            kept.append(found[position])
            position += 1
    return tuple(kept)


def group_end(text: Tokens, position: int) -> int:
    """Return the position behind the group, or the single token, that starts at ``position``."""
    depth = 0
    for k in range(position, len(text)):
        depth += (text[k] in _OPENING) - (text[k] in _CLOSING)
        if depth <= 0:
            return k + 1
    raise ValueError(f"unbalanced brackets in {''.join(text)!r}")


def in_names(text: Tokens) -> set[int]:
    """Return the positions that belong to names: subscripts, and superscripts such as ^{(n)}."""
    found: set[int] = set()
    for k, token in enumerate(text[:-1]):
        end = group_end(text, k + 1) if token in ("_", "^") else k
        inner = text[k + 2 : end - 1]
        superscript = inner[:1] == ("(",) and re.fullmatch(r"\([a-z\d+\-]*\)", "".join(inner))
        if token == "_" or (token == "^" and superscript):
            found.update(range(k + 1, end))
    return found


def split(text: Tokens, separator: str) -> list[Tokens]:
    """Split at the separators that are in no bracket."""
    parts: list[Tokens] = []
    depth = start = 0
    for k, token in enumerate(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        if token == separator and depth == 0:
            parts.append(text[start:k])
            start = k + 1
    return [*parts, text[start:]]


def with_index(text: Tokens, index: str, value: int) -> Tokens:
    """Write the digits of ``value`` for an index, in brackets where they would join other digits."""
    names, found = in_names(text), []
    for k, token in enumerate(text):
        if token != index:
            found.append(token)
            continue
        digits = list(str(value))
        beside = [*found[-1:], *text[k + 1 : k + 2]]
        if k not in names and any(token.isdigit() for token in beside):
            found += ["(", *digits, ")"]
        elif len(digits) > 1 and found[-1:] in (["_"], ["^"]):
            found += ["{", *digits, "}"]
        else:
            found += digits
    return tuple(found)


# --- reading -------------------------------------------------------------------------------------


def read(latex: str, values: Mapping[str, Value]) -> list[list[Side]]:
    r"""Evaluate the statements of an equation: for each, its sides between ``=`` signs.

    The reader knows the symbols in ``values`` (the longest name first), whole numbers, ``+ -``,
    products by juxtaposition or ``\cdot``, ``/``, ``\frac``, ``\binom``, ``\sqrt``, powers,
    ``^\top``, brackets, norms and absolute values, ``\ln \exp \sin \cos \tanh``, finite sums such
    as ``\sum_{k=0}^{n}``, and ``O(h^p)``.  A row without ``=`` continues the one before.

    Parameters
    ----------
    latex : str
        The equation.
    values : mapping from str to SymPy expression or matrix
        What each symbol of the equation is worth, by its LaTeX.

    Returns
    -------
    list of list of Side

    Raises
    ------
    ValueError
        Where the LaTeX has no meaning, with the place and the symbols that are known.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> read(r"\frac{x^2 - 1}{x + 1} = x - 1", {"x": x})
    [[Side(value=(x**2 - 1)/(x + 1), power=None), Side(value=x - 1, power=None)]]
    """
    table = lexicon(values)
    return [[read_side(side, table) for side in split(statement, "=")] for statement in statements(tokens(latex))]


def lexicon(values: Mapping[str, Value]) -> Lexicon:
    """Arrange symbols by their first token, the longest first."""
    table: dict[str, list[tuple[Tokens, Value]]] = {}
    for name, value in values.items():
        spelled = tokens(name)
        table.setdefault(spelled[0], []).append((spelled, value))
    for known in table.values():
        known.sort(key=lambda entry: -len(entry[0]))
    return table


def read_side(text: Tokens, table: Lexicon) -> Side:
    """Evaluate one side of an equation."""
    return _Reader(text, table).side()


def statements(text: Tokens) -> list[Tokens]:
    """Split an equation into its statements, each with the rows that continue it."""
    found: list[Tokens] = []
    for row in split(text, ROW):
        if found and (row[:1] == ("=",) or len(split(row, "=")) == 1):
            found[-1] += row
        elif row:
            found.append(row)
    return found


class _Reader:
    """A recursive-descent reader of one side of an equation."""

    def __init__(self, text: Tokens, table: Lexicon) -> None:
        self.text, self.table, self.position = text, table, 0
        self.power: int | None = None

    def side(self) -> Side:
        value = self.sum()
        if self.position < len(self.text):
            self.fail()
        return Side(value, self.power)

    def fail(self) -> NoReturn:
        known = sorted("".join(name) for entry in self.table.values() for name, _ in entry)
        rest, text = "".join(self.text[self.position :]), "".join(self.text)
        raise ValueError(f"cannot read {rest!r} in {text!r}; symbols known here: {known}")

    def next(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def take(self, *expected: str) -> bool:
        """Step over these tokens if they come next."""
        if self.text[self.position : self.position + len(expected)] != expected:
            return False
        self.position += len(expected)
        return True

    def sum(self) -> Value:
        total = None
        while True:
            sign = -1 if self.take("-") else 1
            if sign == 1 and not self.take("+") and total is not None:
                return total
            if self.take("O", "(", "h"):
                self.power = int(self.group()) if self.take("^") else 1
                self.expect(")")
                continue
            term = sign * self.product()
            total = term if total is None else total + term

    def product(self) -> Value:
        value = self.factor()
        while self.next() not in ("", "+", "-", "=", ",") and self.next() not in _CLOSING:
            if self.take("/"):
                value = value / self.factor()
            else:
                self.take(r"\cdot")
                value = value * self.factor()
        return value

    def factor(self) -> Value:
        base = self.base()
        while self.take("^"):
            base = base.T if self.take(r"\top") else base ** self.group()
        return base

    def group(self) -> Value:
        """What is in braces, or one symbol or number."""
        return self.until("}") if self.take("{") else self.base()

    def until(self, closing: str) -> Value:
        value = self.sum()
        self.expect(closing)
        return value

    def expect(self, token: str) -> None:
        if not self.take(token):
            self.fail()

    def base(self) -> Value:
        for name, value in self.table.get(self.next(), ()):
            if self.take(*name):
                return value
        if self.next().isdigit():
            start = self.position
            while self.next().isdigit():
                self.position += 1
            return sp.Integer("".join(self.text[start : self.position]))
        token = self.next()
        self.position += 1
        if token in _READINGS:
            return _READINGS[token](self)
        if token in _FUNCTIONS:
            return _FUNCTIONS[token](self.factor())
        self.position -= 1
        self.fail()

    def fraction(self) -> Value:
        numerator = self.group()
        return numerator / self.group()

    def binomial(self) -> Value:
        top = self.group()
        return sp.binomial(top, self.group())

    def norm(self) -> Value:
        value = self.until(r"\rVert")
        return sp.sqrt((value.T * value)[0])

    def finite_sum(self) -> Value:
        r"""What follows ``\sum``: ``_{k=0}^{n}`` and a summand, which ends at the next sign."""
        start = self.position
        middle = group_end(self.text, start + 1)
        end = group_end(self.text, middle + 1)
        index, equals, *low = self.text[start + 2 : middle - 1]
        if self.text[start] != "_" or self.text[middle] != "^" or equals != "=":
            self.fail()
        high = self.text[middle + 1 : end]
        self.position = _end_of_term(self.text, end)
        body = self.text[end : self.position]
        limits = [int(read_side(tuple(limit), self.table).value) for limit in (low, high)]
        terms = [read_side(with_index(body, index, k), self.table).value for k in range(limits[0], limits[1] + 1)]
        return sum(terms[1:], terms[0]) if terms else sp.Integer(0)


_READINGS: dict[str, Callable[[_Reader], Value]] = {
    "(": lambda reader: reader.until(")"),
    "{": lambda reader: reader.until("}"),
    r"\lVert": _Reader.norm,
    r"\lvert": lambda reader: sp.Abs(reader.until(r"\rvert")),
    r"\frac": _Reader.fraction,
    r"\binom": _Reader.binomial,
    r"\sqrt": lambda reader: sp.sqrt(reader.group()),
    r"\sum": _Reader.finite_sum,
}


def _end_of_term(text: Tokens, position: int) -> int:
    """Return where the summand that starts at ``position`` ends: at a sign or a closing bracket."""
    depth = 0
    for k in range(position, len(text)):
        depth += (text[k] in _OPENING) - (text[k] in _CLOSING)
        if depth < 0 or (depth == 0 and text[k] in ("+", "-", "=", ",")):
            return k
    return len(text)
