"""Is this answer that formula?  What the checks of all assignments share.

An answer is compared at random instances and never with a printed result, so that a check gives
nothing away; where it equals a known wrong formula instead, the student is told which one.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, NoReturn, SupportsFloat, cast

import numpy as np
import sympy as sp

__all__ = [
    "Answer",
    "Point",
    "Wrong",
    "answered",
    "demand",
    "draw_from",
    "expression",
    "generator",
    "name_the_mistake",
    "number",
    "points",
    "real",
    "same",
    "slope",
    "value",
    "vector",
]

#: What a student gives: anything, until a check has looked at it.
Answer = Any
Point = dict[sp.Symbol, Any]


_SECRET: list[int] = []


def draw_from(secret: str) -> None:
    """Let all instances depend on a text that only the instructor has; with none they are the public ones."""
    _SECRET[:] = hashlib.sha256(secret.encode()).digest() if secret else []


def generator(seed: int) -> np.random.Generator:
    """What draws the instances of a check: from its seed, and from the instructor's secret if there is one.

    Examples
    --------
    >>> bool(generator(1).integers(1000) == np.random.default_rng(1).integers(1000))
    True
    """
    return np.random.default_rng([seed, *_SECRET] if _SECRET else seed)


class Wrong(AssertionError):
    """An answer is wrong; the message is for the student."""


def demand(condition: Any, message: str) -> None:
    """Raise :class:`Wrong` with the message if the condition does not hold."""
    if not condition:
        raise Wrong(message)


def answered(*answers: Answer) -> None:
    """Raise :class:`Wrong` if an answer still is the ``...`` of the student copy, or None."""
    for answer in answers:
        demand(answer is not ... and answer is not None, "not answered yet.")


def expression(answer: Answer, symbols: Iterable[sp.Symbol], name: str) -> sp.Expr:
    """The answer as a SymPy expression in no other than these symbols.

    Examples
    --------
    >>> g, h = sp.symbols("g h")
    >>> expression(2 * g, (g,), "bracket")
    2*g
    >>> expression(2 * h, (g,), "bracket")
    Traceback (most recent call last):
    ...
    bea_course.compare.Wrong: `bracket` contains h; use only g.
    """
    answered(answer)
    demand(
        isinstance(answer, sp.Expr | Number) and not isinstance(answer, bool),
        f"`{name}` must be a formula in SymPy's symbols; yours is of the type {kind(answer)}.",
    )
    answer = sp.sympify(answer)
    allowed_by_name = {symbol.name: symbol for symbol in symbols}
    # symbols that were made anew, with other assumptions, are meant as those of the first cell
    answer = answer.xreplace({s: allowed_by_name.get(s.name, s) for s in answer.free_symbols})
    if answer.has(sp.Derivative, sp.Limit):
        answer = answer.doit()
    if answer.has(sp.Order):
        answer = answer.removeO()
    demand(
        not answer.has(sp.Integral, sp.Derivative, sp.Limit),
        f"`{name}` still has an integral, a derivative or a limit in it: carry it out.",
    )
    strange = sorted(map(str, answer.free_symbols - set(symbols)))
    allowed = ", ".join(map(str, symbols))
    demand(not strange, f"`{name}` contains {', '.join(strange)}; use only {allowed}.")
    return answer


def kind(answer: Answer) -> str:
    """The name of an answer's type, also of one that did not come through from another process."""
    return getattr(answer, "type_name", type(answer).__name__)


def returned(answer: Answer, name: str) -> str:
    """The name of an answer between backticks, if it has none yet; raises Wrong if nothing was given."""
    if answer is None and name.startswith("what `"):
        raise Wrong(f"not answered yet: {name.removeprefix('what ').removesuffix(' returns')} returns nothing.")
    answered(answer)
    return name if "`" in name else f"`{name}`"


def number(answer: Answer, name: str) -> float:
    """The answer as a float."""
    name = returned(answer, name)
    symbols = ", ".join(sorted(map(str, getattr(answer, "free_symbols", ()))))
    demand(
        not symbols,
        f"{name} must be a number, and is a formula in {symbols}. Make a function of numbers from a formula by sp.lambdify, outside of functions whose arguments have the names of its symbols.",
    )
    if isinstance(answer, sp.Expr) and answer.is_number:
        answer = float(answer)
    if isinstance(answer, np.ndarray) and answer.ndim == 0:
        answer = answer.item()
    good = isinstance(answer, Number) and not isinstance(answer, bool | complex)
    demand(good, f"{name} must be a number; yours is of the type {kind(answer)}.")
    demand(np.isfinite(found := float(cast(SupportsFloat, answer))), f"{name} is not finite.")
    return found


def vector(answer: Answer, shape: tuple[int, ...], name: str) -> np.ndarray:
    """The answer as an array of floats of this shape."""
    name = returned(answer, name)
    demand(not np.iscomplexobj(answer) or not np.any(np.imag(answer)), f"{name} is not real.")
    try:
        array = np.asarray(np.real(answer) if np.iscomplexobj(answer) else answer, float)
    except (TypeError, ValueError):
        raise Wrong(f"{name} must hold numbers; yours is of the type {kind(answer)}.") from None
    demand(array.shape == shape, f"{name} must have the shape {shape}; yours has {array.shape}.")
    demand(np.isfinite(array).all(), f"{name} holds a number that is not finite.")
    return array


def points(symbols: Iterable[sp.Symbol], seed: int, count: int = 5) -> list[Point]:
    """Random points: dictionaries from each symbol to a positive rational number below 2.

    Examples
    --------
    >>> points(sp.symbols("g h"), seed=1, count=1)
    [{g: 96/101, h: 103/101}]
    """
    rng = generator(seed)
    return [{symbol: sp.Rational(int(rng.integers(1, 202)), 101) for symbol in symbols} for _ in range(count)]


def value(formula: sp.Expr, point: Point) -> complex:
    """The complex number that a formula is at a point."""
    return complex(sp.N(formula.subs(point), 30))


def real(formula: sp.Expr, point: Point, name: str = "your formula") -> float:
    """The real number that a formula is at a point; raises Wrong if it is none."""
    try:
        number = value(formula, point)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"`{name}` is no number where all its symbols have values.") from None
    demand(np.isfinite(number), f"`{name}` is not finite at {point}.")
    demand(abs(number.imag) <= 1e-9 * max(1, abs(number.real)), f"`{name}` is not real where all its symbols are.")
    return number.real


def same(left: sp.Expr, right: sp.Expr, symbols: Iterable[sp.Symbol], seed: int = 0) -> bool:
    """Whether two formulas are identical: whether they agree at random points to 1e-10.

    Two different formulas of the kinds met here agree at five random points with no noticeable
    probability, and equal ones always do, however they are written.

    Examples
    --------
    >>> g = sp.Symbol("g")
    >>> same((g + 1)**2, g**2 + 2*g + 1, (g,)), same(g, g**2, (g,))
    (True, False)
    """
    for point in points(symbols, seed):
        a, b = value(sp.sympify(left), point), value(sp.sympify(right), point)
        if not abs(a - b) <= 1e-10 * max(1, abs(a), abs(b)):
            return False
    return True


def name_the_mistake(is_it: Callable[[Any], Any], mistakes: Mapping[str, Any], otherwise: str) -> NoReturn:
    """Raise :class:`Wrong` with the first message whose formula the answer is; else ``otherwise``.

    ``is_it`` tells whether the answer is the given formula; ``mistakes`` maps messages to formulas.
    """
    for message, formula in mistakes.items():
        if is_it(formula):
            raise Wrong(message)
    raise Wrong(otherwise)


def slope(hs: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray) -> float:
    """The slope of log(error) against log(h), by least squares.

    Examples
    --------
    >>> hs = np.array([0.1, 0.05, 0.025])
    >>> round(slope(hs, 3 * hs**2), 10)
    2.0
    """
    return float(np.polyfit(np.log(hs), np.log(errors), 1)[0])
