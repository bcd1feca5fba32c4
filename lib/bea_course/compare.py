"""Is this answer that formula?  What the checks of all assignments share.

An answer is compared at random instances and never with a printed result, so that a check gives
nothing away; where it equals a known wrong formula instead, the student is told which one.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from types import MappingProxyType
from typing import Any, NoReturn, SupportsFloat, cast

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from bea.program import Running

__all__ = [
    "Answer",
    "Point",
    "Wrong",
    "advice",
    "answered",
    "average",
    "called",
    "columns",
    "demand",
    "draw_from",
    "expression",
    "follows",
    "generator",
    "lengths",
    "matched",
    "name_the_mistake",
    "name_the_size",
    "number",
    "points",
    "reaches_the_time",
    "real",
    "runge_kutta",
    "slope",
    "step_sizes",
    "type_of",
    "uses_all",
    "value",
    "vector",
]

#: What a student gives: anything, until a check has looked at it.
Answer = Any
Point = dict[sp.Symbol, Any]


_SECRET: list[int] = []

#: What to say to common errors, by a part of their text.
ADVICE = {
    "float64' object cannot be interpreted as an integer": "A number of steps must be an integer: use `round`.",
    "float' object cannot be interpreted as an integer": "A number of steps must be an integer: use `round`.",
    "Cannot convert expression to float": "A number is needed, and this is a formula in symbols.",
    "determine truth value of Relational": "A number is needed, and this is a formula in symbols.",
    "'ellipsis'": "An answer is still `...`.",
    "which has no callable": "NumPy's functions take no formula in symbols.",
    "'numpy.ndarray' object is not callable": "This is an array, not a function.",
    "'list' object is not callable": "This is a list: take one of what is in it by [ ].",
    "object is not callable": "This is not a function: is a `*` missing before a bracket, or has its name a second meaning?",
    "'function' and": "A number is needed, and this is a function: call it.",
    "and 'function'": "A number is needed, and this is a function: call it.",
    "SympifyError": "SymPy's functions take no arrays: use NumPy's.",
    "is declared positive": "The run or the flow has left the positive numbers: is its time right?",
    "define __round__ method": "This is a whole array: take its numbers one by one.",
    "only integer scalar arrays": "This is a whole array: take its numbers one by one.",
    "only 0-dimensional arrays can be converted": "This is a whole array: take its numbers one by one.",
    "truth value of an array": "This is a whole array: take its numbers one by one.",
    "'NoneType'": "Something is None here: does a function lack its `return`?",
    "multiply sequence by non-int of type 'float'": "A list is no array: make one by `np.array`.",
    "Cannot cast ufunc": "This array holds integers: make it from floats, such as 1.0.",
}

NUMBERS = "Make a function of numbers from a formula by sp.lambdify, outside of functions whose arguments have the names of its symbols."


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


def advice(error: str) -> str:
    """A sentence on an error of Python or NumPy whose own words tell a beginner little; empty for others.

    Examples
    --------
    >>> advice("'numpy.float64' object cannot be interpreted as an integer")
    ' (A number of steps must be an integer: use `round`.)'
    """
    return next((f" ({sentence})" for part, sentence in ADVICE.items() if part in error), "")


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
    if isinstance(answer, np.ndarray) and answer.ndim == 0:
        answer = answer.item()
    demand(
        isinstance(answer, sp.Expr | Number)
        and not isinstance(answer, bool)
        and not getattr(answer, "is_Matrix", False),
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
    # A set, or a matrix, comes through as one that cannot be changed.
    if getattr(answer, "is_Matrix", False):
        return "Matrix"
    return getattr(answer, "type_name", type(answer).__name__).removeprefix("frozen")


def type_of(error: Exception) -> str:
    """The name of an exception's type, also of one that was raised in another process."""
    return getattr(error, "type_name", type(error).__name__)


def called(answer: Answer, name: str, returned: bool = True) -> str:
    """What to call an answer, which a function of this name may have returned; raises Wrong if nothing was given."""
    demand(answer is not None or not returned, f"not answered yet: `{name}` returns nothing.")
    answered(answer)
    return f"the result of `{name}`" if returned else f"`{name}`"


def number(answer: Answer, name: str, returned: bool = False) -> float:
    """The answer as a float; ``returned`` if it is what a function of this name gives."""
    name = called(answer, name, returned)
    symbols = ", ".join(sorted(map(str, getattr(answer, "free_symbols", ()))))
    demand(
        not symbols,
        f"{name} must be a number, and is a formula in {symbols}. {NUMBERS}",
    )
    if isinstance(answer, sp.Expr) and answer.is_number:
        demand(answer.is_extended_real is not False, f"{name} is {answer}, which is not real.")
        answer = float(answer)
    if isinstance(answer, np.ndarray) and answer.ndim == 0:
        answer = answer.item()
    if isinstance(answer, complex) and answer.imag == 0:
        answer = answer.real
    if isinstance(answer, np.ndarray):
        raise Wrong(f"{name} must be a number; yours is an array of the shape {answer.shape}.")
    good = isinstance(answer, Number) and not isinstance(answer, bool | complex)
    demand(good, f"{name} must be a number; yours is of the type {kind(answer)}.")
    demand(np.isfinite(found := float(cast(SupportsFloat, answer))), f"{name} is not finite.")
    return found


def vector(answer: Answer, shape: tuple[int, ...], name: str, returned: bool = False) -> np.ndarray:
    """The answer as an array of floats of this shape; ``returned`` if it is what a function of this name gives."""
    name = called(answer, name, returned)
    try:
        unlike = isinstance(answer, list | tuple) and len({np.shape(part) for part in answer}) > 1
    except ValueError:
        unlike = True
    demand(not unlike, f"{name} must be one array of the shape {shape}; its parts have different shapes.")
    demand(not np.iscomplexobj(answer) or not np.any(np.imag(answer)), f"{name} is not real.")
    try:
        array = np.asarray(np.real(answer) if np.iscomplexobj(answer) else answer)
        held = {str(symbol) for x in array.flat for symbol in getattr(x, "free_symbols", ())}
        demand(not held, f"{name} must hold numbers, and holds a formula in {', '.join(sorted(held))}. {NUMBERS}")
        array = array.astype(float, casting="unsafe" if array.dtype.kind not in "SU" else "no")
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


def real(formula: sp.Expr, point: Point, name: str) -> float:
    """The real number that a formula is at a point; raises Wrong if it is none."""
    try:
        number = value(formula, point)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"`{name}` is no number where all its symbols have values.") from None
    demand(np.isfinite(number), f"`{name}` is not finite at {point}.")
    demand(abs(number.imag) <= 1e-9 * max(1, abs(number.real)), f"`{name}` is not real where all its symbols are.")
    return number.real


def columns(at: Sequence[Point], symbols: Iterable[sp.Symbol]) -> np.ndarray:
    """The values of some symbols at points, a row each."""
    return np.array([[float(point[symbol]) for point in at] for symbol in symbols])


def matched(
    formula: sp.Expr,
    name: str,
    symbols: Iterable[sp.Symbol],
    at: Sequence[Point],
    wanted: ArrayLike,
    mistakes: Mapping[str, ArrayLike],
    otherwise: str,
    relative: float = 1e-8,
) -> None:
    """Raise :class:`Wrong` if a formula is not what is wanted, with a message that names what it is instead.

    Two different formulas of the kinds met here agree at a few random points with no noticeable
    probability, and equal ones always do, however they are written.

    Parameters
    ----------
    formula : sympy.Expr
        The answer.
    name, symbols : str, iterable of sympy.Symbol
        What it is called, and what it must contain.
    at, wanted : sequence of Point, array_like
        Where it is compared, and the right values there.
    mistakes : mapping of str to array_like
        The wrong values that are known, by the messages on them.
    otherwise : str
        The message if it is none of these; ``{at}``, ``{got}`` and ``{wanted}`` in it are where it is most wrong.
    relative : float
        The accuracy.

    Examples
    --------
    >>> g = sp.Symbol("g")
    >>> at = points((g,), seed=1)
    >>> [x] = columns(at, (g,))
    >>> matched((g + 1)**2, "square", (g,), at, (1 + x)**2, {}, "another formula.")
    >>> matched(2 * g, "square", (g,), at, x**2, {}, "another formula.")
    Traceback (most recent call last):
    ...
    bea_course.compare.Wrong: another formula.
    """
    got, right = np.array([real(formula, point, name) for point in at]), np.array(wanted, dtype=float)
    name = name if " " in name else f"`{name}`"

    def close(other: ArrayLike, to: Any = got) -> bool:
        return np.allclose(to, np.array(other, dtype=float), rtol=relative, atol=1e-14)

    if close(right):
        return
    for message, values in mistakes.items():
        demand(not close(values), message.strip())
    missing = [str(symbol) for symbol in symbols if not formula.has(symbol)]
    demand(not missing, f"{name} does not depend on {', '.join(missing)}, or that was overwritten by a number.")
    demand(not close(-right), f"{name} has the wrong sign.")
    with np.errstate(all="ignore"):
        scaled = got[0] and close(got[0] / right[0], got / right)
        demand(not scaled, f"{name} is right up to a constant factor.")
    added = np.ptp(right) > 1e-9 and close(got[0] - right[0], got - right)
    demand(not added, f"{name} is right up to a constant that is added.")
    worst = int(np.argmax(abs(got - right)))
    where = ", ".join(f"{symbol} = {float(x):.3f}" for symbol, x in at[worst].items())
    raise Wrong(otherwise.format(at=where, got=f"{got[worst]:.5g}", wanted=f"{right[worst]:.5g}"))


def uses_all(function: Callable[..., Any], name: str, but: Sequence[str] = (), **arguments: Any) -> None:
    """Raise :class:`Wrong` if a function, which is wrong, gives the same whatever an argument is, ``but`` some."""

    def moved(x: Any) -> Any:
        if isinstance(x, bool | list):
            return not x if isinstance(x, bool) else x[::-1]
        return x + 1 if isinstance(x, int) else 0.9 * x

    def said(changed: dict[str, Any]) -> str:
        return repr(
            function(*({key: np.copy(x) if isinstance(x, np.ndarray) else x for key, x in changed.items()}).values())
        )

    before = said(arguments)
    for argument, x in arguments.items():
        if argument not in but:
            same = said(arguments | {argument: moved(x)}) == before
            demand(not same, f"`{name}` gives the same whatever `{argument}` is: is it used, or overwritten?")


_ROOT = "the distance is the root of"
#: Other sizes of differences, a row each, than their lengths.
SIZES: dict[str, Callable[[np.ndarray], Any]] = {
    f"that is the larger coordinate of the difference; {_ROOT} the sum of the squares.": lambda d: abs(d).max(-1),
    f"that is the sum of the coordinates' sizes; {_ROOT} the sum of the squares.": lambda d: abs(d).sum(-1),
    "that is the square of the distance.": lambda d: (d**2).sum(-1),
    f"that is the root of the mean of the squares; {_ROOT} their sum.": lambda d: np.sqrt((d**2).mean(-1)),
    "that is one coordinate of the difference.": lambda d: abs(d[..., 0]),
    "that is the other coordinate of the difference.": lambda d: abs(d[..., 1]),
}


def lengths(differences: Sequence[np.ndarray]) -> np.ndarray:
    """The length of each difference; of several rows the largest."""
    return np.array([np.linalg.norm(d, axis=-1).max() for d in differences])


def name_the_size(
    got: np.ndarray,
    differences: Sequence[np.ndarray],
    relative: float = 1e-3,
    mistakes: Mapping[str, Sequence[np.ndarray]] = MappingProxyType({}),
) -> None:
    """Raise :class:`Wrong` if these are other sizes of the differences than their lengths, or lengths of others.

    Of all that come within ``relative``, or 0.02 for the ``mistakes``, the closest is named.
    """
    known = {message: np.array([size(d).max() for d in differences]) for message, size in SIZES.items()}
    if differences[0].ndim > 1:
        at_the_end = "that is the distance at the end; the largest over all steps is asked for."
        known[at_the_end] = np.array([np.linalg.norm(d[-1]) for d in differences])
        sums = np.array([np.linalg.norm(d, axis=-1).sum() for d in differences])
        steps = np.array([len(d) - 1 for d in differences])
        known["that is the sum over all steps; the largest is asked for."] = sums
        known["that is the mean over all steps; the largest is asked for."] = sums / steps
    known |= {message: lengths(other) for message, other in mistakes.items()}
    with np.errstate(all="ignore"):
        off = {message: abs(got / other - 1).max() for message, other in known.items()}
    close = {message: by for message, by in off.items() if by < (0.02 if message in mistakes else relative)}
    if close:
        raise Wrong(min(close, key=close.__getitem__).strip())
    ratio = got / lengths(differences)
    demand(
        not np.allclose(ratio, ratio[0], rtol=1e-6), "right up to a constant factor: the distance itself is asked for."
    )


def name_the_flow(which: str, got: np.ndarray, right: Sequence[np.ndarray], what: str) -> None:
    """Raise :class:`Wrong` if errors are off by a little, and as h falls by as much: their flow is not solved well."""
    *_, before, last = off = abs(got - lengths(right))
    demand(
        not (max(off) < max(1e-4, 0.2 * lengths(right).max()) and 0.8 * before < last < 5 * before),
        f"{which}: as h falls, your errors differ by about {last:.0e} from those {what}. Is the flow accurate to ten digits?",
    )


def follows(
    which: str,
    hs: Sequence[float],
    got: np.ndarray,
    right: Sequence[np.ndarray],
    order: int,
    what: str,
    mistakes: Mapping[str, Sequence[np.ndarray]] | Callable[[], Mapping[str, Sequence[np.ndarray]]],
    relative: float = 0.02,
    unless: Callable[[], None] = lambda: None,
    control: bool = False,
) -> None:
    """Raise :class:`Wrong` if measured errors are not what they should be, with a message that names what they are.

    Parameters
    ----------
    which : str
        Which of the errors these are.
    hs, got : sequence of float
        The step sizes, and the errors.
    right : sequence of array
        The differences of which they should be the lengths.
    order : int
        The slope that these have.
    what : str
        What has errors of the right level.
    mistakes : mapping of str to sequence of array, or a function that makes it
        The wrong differences that are known, by the messages on them.
    relative : float
        The accuracy at each step size; as h falls, the errors must agree to 0.004.
    unless : callable
        What may find another reason before slope and level are named.
    control : bool
        Whether a control has passed, so that only the correction can be wrong.
    """
    demand((got > 0).all(), f"{which}: an error here is a distance, and positive.")
    ratio = got / lengths(right)
    if np.allclose(ratio, 1, rtol=relative):
        limit = ratio[-1] + (ratio[-1] - ratio[-2]) * hs[-1] / (hs[-2] - hs[-1])
        if abs(limit - 1) < 0.004:
            return
        name_the_size(got, right)
        name_the_flow(which, got, right, what)
        raise Wrong(
            f"{which}: as h falls, your errors come to {limit:.3f} times those {what}. Is the flow accurate, and is each number that of the question?"
        )
    known = {f"{which}: {said}": other for said, other in (mistakes() if callable(mistakes) else mistakes).items()}
    known[f"{which}: that is the distance divided by h."] = [d / h for d, h in zip(right, hs)]
    # after a control another size is an accident, such as a mean that is as large as a mistake
    name_the_size(got, right, 1e-6 if control else min(relative, 0.02), known)
    unless()
    name_the_flow(which, got, right, what)
    found = slope(hs, got)
    kept = next((f"h{'²' * (k == 2)}" for k in range(1, order) if abs(found - k) < 0.3), "")
    reason = f"An error of order {kept} is left, by a coefficient or by the time." if kept else "Is the time right?"
    if control:
        reason = "The control is right: look at the correction alone."
    if abs(found) < 0.3:
        missing = "is an h missing in the correction?" if control else "compare run and flow after a single step first."
        reason = f"Your errors do not fall with h: {missing}"
    demand(abs(found - order) < 0.2, f"{which}: the slope must be {order}; yours is {found:.2f}. {reason}")
    raise Wrong(
        f"{which}: the slope is right, but the errors are not those {what}; the last is {ratio[-1]:.3g} times as large."
    )


def step_sizes(hs: Sequence[float], time: float, seed: int) -> tuple[float, ...]:
    """Step sizes close to these that divide the time, drawn: the first, and as many times smaller as there.

    Examples
    --------
    >>> step_sizes((0.02, 0.01), 1.0, seed=1)
    (0.0196078431372549, 0.00980392156862745)
    """
    given = round(time / hs[0])
    steps = int(generator(seed).integers(round(0.88 * given), round(1.12 * given) + 1))
    steps += steps == given
    return tuple(time / (steps * round(hs[0] / h)) for h in hs)


def reaches_the_time(errors: Answer, hs: Sequence[float], differences: Callable[..., Any]) -> None:
    """Raise :class:`Wrong` if the errors of a control are right, but not those after a few steps."""
    steps, h = 4, hs[:1]
    time = steps * hs[0]
    got = vector(errors(np.array(h), 0.0, time), (1,), "errors", returned=True)
    for more, many in ((1, "many"), (-1, "few")):
        close = np.allclose(got, lengths(differences(h, 0.0, time + more * h[0])), rtol=0.05)
        demand(not close, f"in the time {time:.3g} there are {steps} steps of {h[0]:.3g}; yours is one too {many}.")
    demand(
        np.allclose(got, lengths(differences(h, 0.0, time)), rtol=0.05),
        f"right for the first time, and not for the time {time:.3g}: does `time` reach the run?",
    )


def average(decay: Any, old: Any, value: Any) -> Any:
    """The library's average after one step from the old one."""
    return Running(h=0.0, state=[(old, 1.0)]).average(value, decay)


def runge_kutta(field: Callable[[Any], Any], x: Any, h: Any, steps: int = 1) -> Any:
    """Where the classical method of Runge and Kutta leads from x, by steps of the length h.

    Examples
    --------
    >>> abs(runge_kutta(lambda x: -x, 1.0, 0.1, 10) - np.exp(-1)) < 1e-6
    np.True_
    """
    for _ in range(steps):
        one = field(x)
        two = field(x + h / 2 * one)
        three = field(x + h / 2 * two)
        x = x + h / 6 * (one + 2 * two + 2 * three + field(x + h * three))
    return x


def name_the_mistake(
    is_it: Callable[[Any], Any], mistakes: Mapping[str, Any], otherwise: str, unless: Callable[[], None] = lambda: None
) -> NoReturn:
    """Raise :class:`Wrong` with the first message whose formula the answer is; else ``otherwise``.

    ``is_it`` tells whether the answer is the given formula; ``mistakes`` maps messages to formulas;
    ``unless`` may find another reason before ``otherwise`` is said.
    """
    for message, formula in mistakes.items():
        if is_it(formula):
            raise Wrong(message)
    unless()
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
