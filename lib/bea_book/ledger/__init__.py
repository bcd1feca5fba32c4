r"""The equation ledger: every labelled equation of the book is read, as it is printed, and checked.

An :class:`Entry` holds the printed LaTeX and an *instance*: a function that draws random exact
values for the atoms of the equation (a polynomial loss, a point, hyper-parameters) and says what
each LaTeX atom stands for, as a SymPy number, expression in h, or matrix, found by a route of its
own: the engine, a run on symbols, differentiation, a finite sum. :func:`read` evaluates the LaTeX
in the instance; the equation holds if its sides agree to 30 digits, or to the stated power of h.
:func:`mutants` spoils the LaTeX (flips signs, changes numbers, drops factors and denominators), and
every mutant must fail the same check: a check that passes a wrong equation is no check.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import sympy as sp

__all__ = ["Entry", "Report", "holds", "mutants", "read", "verify"]

h = sp.Symbol(
    "h", positive=True
)  # the step size in every instance that needs one as a symbol: orders O(h^p) are judged in it

_SPACING = re.compile(
    r"\\[,;:! ]|\\(?:quad|qquad|displaystyle|left|right|[bB]igg?[lr]?|nonumber|limits)(?![A-Za-z])|[\s&]|\\(?:begin|end)\{(?:aligned|split|gathered)\}"
)
_GREEK_FACTOR = re.compile(
    r"(\\(?:beta|rho|varepsilon|epsilon|lambda))(?:\s|\\[,;:!])+(?=[A-Za-z])"
)  # would run into the letter behind it
_FUNCTIONS = {r"\ln": sp.log, r"\exp": sp.exp, r"\sin": sp.sin, r"\cos": sp.cos, r"\tanh": sp.tanh}
_ORDER = re.compile(r"O\(h(?:\^(\d))?\)")
_SUM = re.compile(r"\\sum_\{([a-z])=([^{}]*)\}\^(\{[^{}]*\}|.)")


@dataclass(frozen=True)
class Entry:
    r"""A labelled equation.

    Attributes
    ----------
    label : as in the chapter, ``$$ ... $$ (label)``
    latex : the equation as printed (white space does not count)
    instance : function of a ``random.Random`` that returns a mapping from LaTeX atoms to SymPy
    objects
    truth : one sentence on where the instance's values come from
    indices : the values that free indices run through, such as ``{"j": (1, 2), "n": (0, 1, 4)}``;
    written into the LaTeX as digits
    keep : mutants that say the same as the original, as printed by :func:`mutants`, each to be
    argued for in a comment
    """

    label: str
    latex: str
    instance: Callable
    truth: str
    indices: Mapping = field(default_factory=dict)
    keep: tuple = ()


@dataclass(frozen=True)
class Report:
    """What :func:`verify` found: whether the equation holds, how many mutants were tried, and those
    that were not caught."""

    label: str
    holds: bool
    tried: int
    survivors: tuple

    def __str__(self):
        return f"{self.label}: {'holds' if self.holds else 'FAILS'}; {self.tried - len(self.survivors)} of {self.tried} mutants caught"


def normalize(latex):
    """``latex`` without white space, spacing commands, brackets' sizes and needless braces."""
    latex = _GREEK_FACTOR.sub(r"\1\\cdot ", latex)
    latex = _SPACING.sub(
        "", latex.replace(r"\bigl", "").replace(r"\tfrac", r"\frac").replace(r"\dfrac", r"\frac")
    )
    latex = (
        latex.replace(r"\{", "(")
        .replace(r"\}", ")")
        .replace("[", "(")
        .replace("]", ")")
        .rstrip(".,;")
    )
    return re.sub(r"([_^])\{(\w|\\[a-z]+)\}(?![A-Za-z])", r"\1\2", latex)


def read(latex, instance):
    r"""The statements in ``latex``: for each, the list of its sides (between ``=`` signs),
    evaluated.

    Understands atoms of the instance (longest first), whole numbers, ``+ -``, products by
    juxtaposition or ``\cdot``, ``/``, ``\frac``, ``\binom``, ``\sqrt``, powers, ``^\top``,
    brackets, ``\lVert . \rVert``, ``\ln \exp \sin \cos \tanh``, finite ``\sum_{k=0}^{n}``, and
    ``O(h^p)``. Statements are separated by ``\\`` or ``,\quad``; a row without ``=`` continues the
    one before. Raises ValueError where it understands nothing.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> read(r"\frac{x^2 - 1}{x + 1} = x - 1", {"x": x})
    [[(x**2 - 1)/(x + 1), x - 1]]
    """
    atoms = {normalize(name): value for name, value in instance.items()}
    statements = []
    for row in re.split(r"\\\\(?:\[[^\]]*\])?|,\s*\\q?quad", latex.strip()):
        if statements and len(_sides(row)) == 1:
            statements[-1] += row  # a long formula, continued
        elif normalize(row):
            statements.append(row)
    return [
        [_Reader(normalize(side), atoms).all() for side in _sides(statement)]
        for statement in statements
    ]


def holds(entry, latex=None, trials=2):
    """Whether the equation (or another ``latex`` in its place) is true in random instances, for all
    values of its indices."""
    latex = entry.latex if latex is None else latex
    for trial in range(trials):
        instance = _drawn(entry.instance, entry.label, trial)
        for substituted in _with_indices(latex, entry.indices):
            for sides in read(substituted, instance):
                if len(sides) < 2 or not all(_agree(sides[0], side) for side in sides[1:]):
                    return False
    return True


@lru_cache(maxsize=4)
def _drawn(instance, label, trial):
    """The values of one trial: an equation and all its mutants are read in the same ones."""
    return instance(random.Random(f"{label} {trial}"))


def mutants(latex):
    r"""Spoilt copies of ``latex``: each sign flipped, each number changed, each denominator and
    each single-letter factor dropped, each order raised, beta and rho exchanged.

    Examples
    --------
    >>> mutants(r"y = \frac{1}{2} x - 1")[:3]
    ['y=\\frac{1}{2}x+1', 'y=\\frac{2}{2}x-1', 'y=\\frac{1}{3}x-1']
    """
    parts = re.split(r"(\\\\|,\s*\\q?quad)", re.sub(r"\s+", " ", latex))
    joined = "".join(part if i % 2 else normalize(part) for i, part in enumerate(parts))
    found = []

    def replace(start, end, text):
        found.append(joined[:start] + text + joined[end:])

    protected = [
        m.span()
        for m in re.finditer(
            r"O\(h(?:\^\d)?\)|_\{[^{}]*\}|_\w|\^\{?\([a-z\d+\-]*\)\}?|\\[A-Za-z]+", joined
        )
    ]

    def free(position):
        return not any(a <= position < b for a, b in protected)

    for m in re.finditer(r"[+-]", joined):
        if free(m.start()) and not _ORDER.match(joined, m.end()):
            replace(*m.span(), "-" if m.group() == "+" else "+")
    for m in re.finditer(r"\d+", joined):
        if free(m.start()):
            replace(*m.span(), str(int(m.group()) + 1))
    for m in re.finditer(r"\\frac", joined):
        top = _braced(joined, m.end())
        bottom = _braced(joined, top)
        replace(m.start(), bottom, "(" + joined[m.end() + 1 : top - 1] + ")")
    for m in re.finditer(r"\\(?:beta|rho|varepsilon|epsilon|lambda)(?![A-Za-z])|h", joined):
        if m.group() == "h" and (
            not free(m.start()) or joined[m.start() - 1 : m.start()].isalpha()
        ):
            continue
        if m.group() != "h" and any(a <= m.start() < b and joined[a] == "_" for a, b in protected):
            continue
        replace(*m.span(), "1")
        if m.group() in (r"\beta", r"\rho"):
            replace(*m.span(), r"\rho" if m.group() == r"\beta" else r"\beta")
    for m in _ORDER.finditer(joined):
        replace(*m.span(), f"O(h^{int(m.group(1) or 1) + 1})")
    return found


def verify(entry):
    """Check the equation and all its mutants: a :class:`Report`.  Mutants that make no sense as
    formulas are not counted."""
    survivors, tried = [], 0
    for mutant in mutants(entry.latex):
        if mutant in entry.keep:
            continue
        try:
            wrong = not holds(entry, mutant, trials=1)
        except (ValueError, TypeError, sp.ShapeError, ZeroDivisionError):
            continue  # such as a changed digit inside a symbol's name, or a number added to a vector
        tried += 1
        if not wrong:
            survivors.append(mutant)
    return Report(entry.label, holds(entry), tried, tuple(survivors))


# --- reading ------------------------------------------------------------------------------------


class _Side:
    """A sum that may be known only up to O(h^p)."""

    def __init__(self, value, power):
        self.value, self.power = value, power

    def __repr__(self):
        return repr(self.value) if self.power is None else f"{self.value} + O(h**{self.power})"


class _Reader:
    """A recursive-descent reader of one side of a normalized equation."""

    def __init__(self, text, atoms):
        self.text, self.atoms, self.position, self.power = text, atoms, 0, None
        self.names = sorted(atoms, key=len, reverse=True)

    def all(self):
        value = self.sum()
        if self.position < len(self.text):
            self.fail()
        return value if self.power is None else _Side(value, self.power)

    def fail(self):
        raise ValueError(
            f"cannot read {self.text[self.position :]!r} in {self.text!r}; atoms known here: {sorted(self.atoms)}"
        )

    def next_is(self, token):
        return self.text.startswith(token, self.position)

    def take(self, token):
        if self.next_is(token):
            self.position += len(token)
            return True
        return False

    def sum(self):
        total = None
        while True:
            sign = -1 if self.take("-") else 1
            if sign == 1 and not self.take("+") and total is not None:
                return total
            order = _ORDER.match(self.text, self.position)
            if order:
                self.position = order.end()
                self.power = int(order.group(1) or 1)
                continue
            term = sign * self.product()
            total = term if total is None else total + term

    def product(self):
        value = self.factor()
        while self.position < len(self.text) and self.text[self.position] not in "+-)}=,":
            if self.next_is(r"\rVert") or self.next_is(r"\rvert"):
                break
            if self.take("/"):
                value = value / self.factor()
            else:
                self.take(r"\cdot")
                value = value * self.factor()
        return value

    def factor(self):
        base = self.base()
        while self.take("^"):
            if self.take(r"\top"):
                base = base.T
            else:
                base = base ** self.group()
        return base

    def group(self):
        """What a brace holds, or one character."""
        if self.take("{"):
            value = self.sum()
            if not self.take("}"):
                self.fail()
            return value
        return self.base()

    def base(self):
        for name in self.names:
            if self.next_is(name) and not (
                name[-1].isalpha()
                and name.startswith("\\")
                and self.text[self.position + len(name) :][:1].isalpha()
            ):
                self.position += len(name)
                return self.atoms[name]
        number = re.compile(r"\d+").match(self.text, self.position)
        if number:
            self.position = number.end()
            return sp.Integer(number.group())
        total = _SUM.match(self.text, self.position)
        if total:
            return self.finite_sum(total)
        if self.take(r"\frac"):
            numerator = self.group()
            return numerator / self.group()
        if self.take(r"\binom"):
            top = self.group()
            return sp.binomial(top, self.group())
        if self.take(r"\sqrt"):
            return sp.sqrt(self.group())
        for name, function in _FUNCTIONS.items():
            if self.take(name):
                return function(self.factor())
        for left, right in (("(", ")"), ("{", "}")):
            if self.take(left):
                value = self.sum()
                if not self.take(right):
                    self.fail()
                return value
        if self.take(r"\lVert"):
            value = self.sum()
            if not self.take(r"\rVert"):
                self.fail()
            return sp.sqrt((value.T * value)[0])
        if self.take(r"\lvert"):
            value = self.sum()
            if not self.take(r"\rvert"):
                self.fail()
            return sp.Abs(value)
        self.fail()

    def finite_sum(self, match):
        index, low, high = match.groups()
        self.position = match.end()
        start = self.position
        low = int(_Reader(normalize(low), self.atoms).all())
        high = int(_Reader(normalize(high.strip("{}")), self.atoms).all())
        body = self.text[start : _end_of_term(self.text, start)]
        self.position = start + len(body)
        terms = [
            _Reader(normalize(_write_index(body, index, k)), self.atoms).all()
            for k in range(low, high + 1)
        ]
        return sum(terms[1:], terms[0]) if terms else sp.Integer(0)


def _end_of_term(text, position):
    """Where the summand that starts at ``position`` ends: at a sign or bracket of its own level."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "({":
            depth += 1
        elif character in ")}":
            depth -= 1
        if depth < 0 or (depth == 0 and character in "+-=,"):
            break
        position += 1
    return position


def _write_index(latex, index, value):
    """``latex`` with digits for the index, which may stand beside another factor (n h, 2 k) but in
    no longer word."""
    latex = re.sub(
        r"_\{(?:[i-n]|\d)[i-n]\}", lambda pair: pair.group().replace(index, str(value)), latex
    )  # second derivatives
    return re.sub(
        rf"(\d?\s*)(?<![A-Za-z\\]){index}(?![A-Za-z]{{2}})",
        lambda m: f"{m[1]}\\cdot {value}" if m[1].strip() else f"{m[1]}{value}",
        latex,
    )


def _with_indices(latex, indices):
    written = [latex]
    for index, values in indices.items():
        written = [_write_index(text, index, value) for text in written for value in values]
    return written


def _sides(statement):
    """Split at equality signs outside of braces and brackets (the lower limit of a sum holds one
    too)."""
    sides, depth, start = [], 0, 0
    for i, character in enumerate(statement):
        depth += (character in "({[") - (character in ")}]")
        if character == "=" and depth == 0:
            sides.append(statement[start:i])
            start = i + 1
    return [*sides, statement[start:]]


def _braced(text, position):
    """The position behind the brace group that starts at ``position``."""
    depth = 0
    for i in range(position, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return i + 1
    raise ValueError(f"unbalanced braces in {text!r}")


# --- judging ------------------------------------------------------------------------------------


def _agree(left, right):
    powers = [side.power for side in (left, right) if isinstance(side, _Side)]
    left, right = (side.value if isinstance(side, _Side) else side for side in (left, right))
    difference = left - right
    entries = list(difference) if isinstance(difference, sp.MatrixBase) else [difference]
    return all(_vanishes(sp.sympify(entry), min(powers, default=None)) for entry in entries)


def _vanishes(expression, power):
    if power is not None:
        if expression.is_polynomial(h):
            expression = [sp.Poly(expression, h).coeff_monomial(h**k) for k in range(power)]
        else:
            derivatives = [sp.diff(expression, h, k) for k in range(power)]
            expression = [
                sp.limit(d, h, 0) if d.subs(h, 0).has(sp.nan, sp.zoo, sp.oo) else d.subs(h, 0)
                for d in derivatives
            ]
    else:
        expression = [expression]
    for value in expression:
        value = value.subs(
            {
                s: sp.Rational(7 + 2 * i, 11 + i)
                for i, s in enumerate(sorted(value.free_symbols, key=str))
            }
        )
        if abs(sp.N(value, 40)) > sp.Float("1e-30"):
            return False
    return True
