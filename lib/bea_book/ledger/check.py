"""The check: every equation must hold in random instances, and every mutant of it must not.

An *instance* draws random exact values (a polynomial loss, a point, hyper-parameters) and says what
each symbol of an equation is worth, found by a route of its own: the engine, a run of the optimizer
on symbols, differentiation, a finite sum.  A check that passes a mutant is no check.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import sympy as sp

from bea_book.ledger.mutants import mutants
from bea_book.ledger.reader import (
    Lexicon,
    Side,
    Tokens,
    Value,
    lexicon,
    printed,
    read_side,
    split,
    statements,
    tokens,
    with_index,
)

__all__ = ["Entry", "Report", "Summary", "h", "holds", "summary", "verify"]

#: The step size, in every instance that needs it as a symbol.
h = sp.Symbol("h", positive=True)

Instance = Callable[[random.Random], Mapping[str, Value]]

AGREEMENT = sp.Float("1e-30")  # relative, between the sides of an equation
TINY = sp.Rational(1, 10**40)  # the scale of the step size at which remainders O(h^p) are judged
NO_FORMULA = (ValueError, TypeError, AttributeError, sp.ShapeError, ZeroDivisionError)


@dataclass(frozen=True)
class Entry:
    """A labelled equation and what its symbols are worth.

    Parameters
    ----------
    label : str
        The label, as on the page.
    instance : callable
        Takes a ``random.Random`` and returns a mapping from LaTeX symbols to SymPy objects.
    provenance : str
        Where the values of the instance come from.
    indices : mapping
        The values of free indices, such as ``{"j": (1, 2), "n": (0, 1, 4)}``; their digits are
        written into the LaTeX.
    equivalent : tuple of str
        Mutants that say the same as the equation, each to be argued for in a comment.
    latex : str
        The equation, if it is on no page of the book.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> entry = Entry("eq-square", lambda rng: {"x": x, "y": x * x}, "a product", latex="y = x^2")
    >>> entry.mutants
    ['y=-x^2', 'y=x^3', 'y=x^1', 'y=2x^2', '1=x^2', 'y=1^2']
    """

    label: str
    instance: Instance
    provenance: str
    indices: Mapping[str, Sequence[int]] = field(default_factory=dict)
    equivalent: tuple[str, ...] = ()
    latex: str = ""

    @property
    def equation(self) -> str:
        """The LaTeX of the equation, as it is printed."""
        if self.latex:
            return self.latex
        try:
            return printed()[self.label]
        except KeyError:
            raise KeyError(f"no equation of the book has the label {self.label}") from None

    @property
    def mutants(self) -> list[str]:
        """The mutants of the equation, without those that say the same."""
        return [mutant for mutant in mutants(self.equation) if mutant not in self.equivalent]


@dataclass(frozen=True)
class Report:
    """What :func:`verify` found of one equation.

    Parameters
    ----------
    label, equation : str
    holds : bool
        Whether the equation is true as printed.
    tried : int
        How many mutants were read; those that are no formulas are not counted.
    survivors : tuple of str
        The mutants that pass the check of the equation.

    Examples
    --------
    >>> print(Report("eq-square", "y = x^2", holds=True, tried=6, survivors=()))
    eq-square: holds; 6 of 6 mutants caught
    """

    label: str
    equation: str
    holds: bool
    tried: int
    survivors: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether the equation holds and no mutant does."""
        return self.holds and not self.survivors

    def __str__(self) -> str:
        caught = f"{self.tried - len(self.survivors)} of {self.tried} mutants caught"
        if self.holds and not self.survivors:
            return f"{self.label}: holds; {caught}"
        if self.holds:
            lines = [f"{self.label}: holds, but so do these mutants of it; {caught}"]
        else:
            lines = [f"{self.label}: does not hold as printed", f"    {self.equation}"]
            lines += ["  This holds instead:"] if self.survivors else []
        return "\n".join([*lines, *(f"    {mutant}" for mutant in self.survivors)])


@dataclass(frozen=True)
class Summary:
    """The reports of several equations; prints as one line, and what is wrong below it.

    Parameters
    ----------
    reports : tuple of Report
    trials : int
        The number of random instances for each equation.
    sampled : bool
        Whether the mutants are a sample of all.

    Examples
    --------
    >>> print(Summary((Report("eq-square", "y = x^2", holds=True, tried=6, survivors=()),), trials=1))
    1 of 1 equations hold in one random instance; 6 of 6 mutants caught
    """

    reports: tuple[Report, ...]
    trials: int
    sampled: bool = False

    def __str__(self) -> str:
        tried = sum(report.tried for report in self.reports)
        caught = tried - sum(len(report.survivors) for report in self.reports)
        right = sum(report.holds for report in self.reports)
        where = "one random instance" if self.trials == 1 else f"{self.trials} random instances"
        which = "mutants in a sample caught; the tests try all" if self.sampled else "mutants caught"
        line = f"{right} of {len(self.reports)} equations hold in {where}; {caught} of {tried} {which}"
        return "\n".join([line, *(str(report) for report in self.reports if not report.passes)])


def holds(entry: Entry, latex: str | None = None, trials: int = 2) -> bool:
    """Return whether an equation is true in random instances, for all values of its indices.

    Parameters
    ----------
    entry : Entry
    latex : str, optional
        Another equation between the same symbols, such as a mutant.
    trials : int
        The number of random instances.

    Returns
    -------
    bool
        True if all sides of all statements agree: to 30 digits, or, if a side ends in ``O(h^p)``,
        within ``10^20 h^p`` at a step size near ``10^-40``.

    Raises
    ------
    ValueError
        If the LaTeX cannot be read.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> entry = Entry("eq-square", lambda rng: {"x": x, "y": x * x}, "a product", latex="y = x^2")
    >>> holds(entry), holds(entry, "y = x^3")
    (True, False)
    """
    equation = tokens(entry.equation if latex is None else latex)
    return all(
        _is_true(text, entry.instance, trial)
        for trial in range(trials)
        for text in _with_indices(equation, entry.indices)
    )


def verify(entry: Entry, trials: int = 2, sample: int | None = None) -> Report:
    """Check an equation in ``trials`` random instances, and its mutants in the first of these.

    Parameters
    ----------
    entry : Entry
    trials : int
    sample : int, optional
        Try at most so many mutants, always the same ones.

    Returns
    -------
    Report

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> entry = Entry("eq-square", lambda rng: {"x": x, "y": x * x}, "a product", latex="y = x^2")
    >>> print(verify(entry))
    eq-square: holds; 6 of 6 mutants caught
    """
    survivors, tried, right = [], 0, holds(entry, trials=trials)
    chosen = entry.mutants
    if sample is not None and sample < len(chosen):
        chosen = random.Random(entry.label).sample(sorted(chosen), sample)
    for mutant in chosen:
        try:
            survives = holds(entry, mutant, trials=1 if right else trials)
        except NO_FORMULA:
            continue  # such as the sum of a number and a vector
        tried += 1
        if survives:
            survivors.append(mutant)
    return Report(entry.label, entry.equation, right, tried, tuple(survivors))


def summary(entries: Iterable[Entry], trials: int = 1, sample: int | None = 8) -> Summary:
    """Verify several equations quickly; the summary prints as one line.

    Parameters
    ----------
    entries : iterable of Entry
    trials : int
        The number of random instances for each equation.
    sample : int or None
        Try at most so many mutants of each equation; None for all.

    Returns
    -------
    Summary

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> entry = Entry("eq-square", lambda rng: {"x": x, "y": x * x}, "a product", latex="y = x^2")
    >>> print(summary([entry], sample=None))
    1 of 1 equations hold in one random instance; 6 of 6 mutants caught
    """
    reports = tuple(verify(entry, trials, sample) for entry in entries)
    return Summary(reports, trials, sampled=sample is not None)


# --- judging -------------------------------------------------------------------------------------


def _with_indices(text: Tokens, indices: Mapping[str, Sequence[int]]) -> list[Tokens]:
    written = [text]
    for index, values in indices.items():
        written = [with_index(each, index, value) for each in written for value in values]
    return written


def _is_true(text: Tokens, instance: Instance, trial: int) -> bool:
    """Whether all statements hold in one instance."""
    return all(_statement_is_true(each, instance, trial) for each in statements(text))


@lru_cache(maxsize=256)  # a mutant changes one statement, and of it one side
def _statement_is_true(statement: Tokens, instance: Instance, trial: int) -> bool:
    sides = split(statement, "=")
    exact = [side for side in sides if not _powers(side)]
    if len(sides) < 2:
        return False
    if len(exact) > 1:
        left, *others = (_value(side, instance, trial, 0).value for side in exact)
        if not all(_agree(left, right) for right in others):
            return False
    if len(exact) == len(sides):
        return True
    power = max(_powers(statement))
    return _agree_to_order([_value(side, instance, trial, power) for side in sides])


@lru_cache(maxsize=256)
def _value(side: Tokens, instance: Instance, trial: int, power: int) -> Side:
    return read_side(side, _drawn(instance, trial, power))


def _powers(text: Tokens) -> list[int]:
    """The powers of the remainders O(h^p)."""
    return [
        1 if text[k + 3] == ")" else int(text[k + 4]) for k in range(len(text)) if text[k : k + 3] == ("O", "(", "h")
    ]


def _agree(left: Value, right: Value) -> bool:
    """Whether two values agree to 30 digits."""
    scale = max(1, *(abs(sp.N(x)) for x in _entries(left)))
    return all(_is_below(x, AGREEMENT * scale) for x in _difference(left, right))


def _agree_to_order(sides: Sequence[Side]) -> bool:
    """Whether the sides with a remainder agree with the first side to its power of a tiny h."""
    for side in sides[1:]:
        powers = [s.power for s in (sides[0], side) if s.power is not None]
        if powers:
            bound = TINY ** min(powers) * 10**20
            if not all(_is_below(x, bound) for x in _difference(sides[0].value, side.value)):
                return False
    return True


def _entries(value: Value) -> list[Value]:
    return list(value) if isinstance(value, sp.MatrixBase) else [sp.sympify(value)]


def _difference(left: Value, right: Value) -> list[Value]:
    """The entries of left - right; infinity if one is a matrix and the other is not of its shape."""
    try:
        return _entries(left - right)
    except (TypeError, sp.ShapeError):
        return [sp.oo]


def _is_below(value: Value, bound: Value) -> bool:
    size = abs(sp.N(value))
    return bool(size.is_finite and size <= bound)


@cache
def _drawn(instance: Instance, trial: int, power: int) -> Lexicon:
    """The values of one trial, as numbers: an equation and all its mutants are read in the same.

    Every symbol that an instance leaves open is given a random value; h is tiny where a remainder
    O(h^power) is judged.
    """
    digits = 60 + 40 * power

    def number(value: Value) -> Value:
        point = {
            s: (_random_number(trial, s.name) * (TINY if s == h and power else 1)).evalf(digits)
            for s in value.free_symbols
        }
        value = value.xreplace(point)
        return value if value.is_Integer else value.evalf(digits)

    return lexicon(
        {
            name: value.applyfunc(number) if isinstance(value, sp.MatrixBase) else number(value)
            for name, value in _exactly(instance, trial).items()
        }
    )


@cache
def _exactly(instance: Instance, trial: int) -> dict[str, Value]:
    """The values of one trial, as the instance draws them."""
    return {name: sp.sympify(v) for name, v in instance(random.Random(str(trial))).items()}


def _random_number(trial: int, name: str) -> Value:
    return sp.Rational(random.Random(f"{trial} {name}").randint(7, 59), 128)
