r"""Straight-line code from Python code: one evaluation on numbers that record it.

A :class:`Node` is a number without a value.  Code that runs on it, alone, in arrays of dtype
``object`` or in the coefficients of a :class:`~bea.series.Series`, records each of its operations
once.  The record, a :class:`Trace`, is data.  It is printed as a function of floats, which Numba can
compile, and as one of NumPy arrays; all make the same operations in the same order, so that sums,
products, quotients, square roots and logistic functions have the same bits in all.  Other functions
are those of ``math`` and those of NumPy or SciPy, which may differ from each other in the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.special

from bea.elementary import vector_functions
from bea.series import Series

__all__ = ["LIMIT", "Node", "Trace", "Traced", "Untraceable", "trace"]

LIMIT = 8_000  # operations of a trace
BLOCK = 1024  # points, or configurations, that are in one NumPy array
PATIENCE = 3  # calls of a function before it is traced
# Seconds, rounded, on a machine of 2024; they decide which way is taken, never what comes out.
PER_FLOAT, PER_ARRAY, PER_ENTRY = 4e-8, 7e-7, 1.5e-9
COMPILING, COMPILING_LINE = 0.5, 0.006


# --- the operations, and how they are printed ----------------------------------------------------

OPERATORS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "remainder": "{0} % {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "negative": "-{0}",
}
#: On floats, what ``math`` lacks, with NumPy's signs of zero.  A result that is not a number is not hidden.
ON_FLOATS = OPERATORS | {
    "where": "{1} if {0} else {2}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "sign": "1.0 if {0} > 0 else -1.0 if {0} < 0 else {0} + 0.0",
    # From 2**52 on every number is whole; Numba's floor gives an int64, which ends at 2**63.
    "floor": "float(floor({0})) if 0 < absolute({0}) < 4503599627370496.0 else {0}",
    "ceil": "-float(floor(-{0})) if 0 < absolute({0}) < 4503599627370496.0 else {0}",
    "expit": "0.0 if {0} < -709.782712893384 else 1.0 / (1.0 + exp(-{0}))",  # where exp overflows
    "log_expit": "{0} - log1p(exp({0})) if {0} < 0 else -log1p(exp(-{0}))",
    "logaddexp": "{0} + log(2.0) if {0} == {1} else ({0} if {0} > {1} else {1}) + log1p(exp(-absolute({0} - {1})))",
}
#: In compiled code exp may overflow, to infinity.
COMPILED_FORMS = ON_FLOATS | {"expit": "1.0 / (1.0 + exp(-{0}))"}
#: All else is printed as a function of its own name: that of NumPy or SciPy, and on floats this one.
MATH = {name: getattr(math, name) for name in "sqrt exp log log1p expm1 log2 log10 exp2 cbrt erf erfc hypot".split()}
MATH |= {name: getattr(math, name) for name in "sin cos tan sinh cosh tanh".split()}
MATH |= {f"arc{name}": getattr(math, f"a{name}") for name in "sin cos tan tan2 sinh cosh tanh".split()}
MATH |= {"power": math.pow, "gammaln": math.lgamma, "absolute": math.fabs}
#: Operations that have the same bits everywhere; NumPy and SciPy, too, compute the last three by the C library.
EXACT = {*OPERATORS, *"where maximum minimum sign floor ceil sqrt absolute expit log_expit logaddexp".split()}
EXACT -= {"remainder"}
#: Operations that compiled code takes from the library from which ``math`` has them.
COMPILED = EXACT | {*"exp log log1p expm1 log2 log10 erf erfc sin cos tan sinh cosh tanh arctan arcsin arccos".split()}
BY_MATH = MATH.keys() - EXACT  # functions whose bits are those of math, and of Numba
SCOPE = {**MATH, "floor": math.floor, "inf": math.inf, "nan": math.nan}


COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
LOGICAL = {*COMPARISONS, "where", "multiply"}
#: Where these change their form there may be a kink.
KINKED = {*COMPARISONS, "maximum", "minimum", "sign", "absolute", "floor", "ceil", "remainder"}


class Untraceable(TypeError):
    """A traced number was asked for what only a number with a value can answer.

    Examples
    --------
    >>> try:
    ...     trace(lambda x: x if x > 0 else -x, {"x": ()})
    ... except Untraceable as problem:
    ...     print(problem)
    the code branches on a traced number; np.where, np.maximum and np.sign can be traced
    """


# --- numbers that record -------------------------------------------------------------------------


class _Tape:
    """The operations so far, each once; an argument is an index, inputs first, or a float."""

    def __init__(self, inputs: int, most: int = LIMIT) -> None:
        self.inputs, self.most = inputs, most
        self.operations: list[tuple[Any, ...]] = []
        self.known: dict[tuple[str, ...], Node] = {}
        self.truths: set[int] = set()  # the indices of what is true or false
        self.full = False

    def record(self, name: str, *values: Any) -> Any:
        """Return the node of an operation on nodes and floats; not a number if there were too many."""
        arguments = tuple(v.index if isinstance(v, Node) else v for v in values)
        key = (name, *map(repr, arguments))
        if key not in self.known:
            if len(self.operations) == self.most:  # an exception inside a NumPy loop on objects is not safe
                self.full = True
            if self.full:  # from here on it goes fast
                return math.nan
            self.known[key] = Node(self, self.inputs + len(self.operations))
            truths = [isinstance(a, int) and a in self.truths for a in arguments]
            if name in COMPARISONS or name == "where" and any(truths[1:]) or name == "multiply" and all(truths):
                self.truths.add(self.known[key].index)
            self.operations.append((name, *arguments))
        return self.known[key]


class Node:
    """A number on a tape, which records what is computed with it.

    It has Python's operators, and the functions of NumPy and SciPy as methods; a comparison is a node
    with the method ``where(x, y)``.  Its truth value is not known, except that of an input that is
    declared not to be zero.

    Examples
    --------
    >>> trace(lambda x: (x + 1) * (1 + x) + x.exp(), {"x": ()}).operations
    (('add', 0, 1.0), ('multiply', 1, 1), ('exp', 0), ('add', 2, 3))
    """

    __slots__ = ("index", "nonzero", "tape")
    __hash__ = object.__hash__

    def __init__(self, tape: _Tape, index: int, nonzero: bool = False) -> None:
        self.tape, self.index, self.nonzero = tape, index, nonzero

    def __repr__(self) -> str:
        return f"Node({self.index})"

    def __bool__(self) -> bool:
        if self.nonzero:
            return True
        raise Untraceable("the code branches on a traced number; np.where, np.maximum and np.sign can be traced")

    def __eq__(self, other: object) -> Any:
        return False if self._differs(other) else _operated("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return True if self._differs(other) else _operated("not_equal", self, other)

    def _differs(self, other: object) -> bool:
        return self.nonzero and not isinstance(other, Node) and _number(other) == 0

    def __pos__(self) -> Node:
        return self

    def __and__(self, other: Any) -> Any:
        if isinstance(other, Node):
            return self.where(other, False)
        return NotImplemented if np.ndim(other) else self if other else False

    def __or__(self, other: Any) -> Any:
        if isinstance(other, Node):
            return self.where(True, other)
        return NotImplemented if np.ndim(other) else True if other else self

    def __invert__(self) -> Any:
        return _recorded("equal", self, 0.0)

    __rand__ = logical_and = __and__
    __ror__ = logical_or = __or__
    logical_not = __invert__

    def where(self: Any, x: Any, y: Any) -> Any:
        """Return x where the condition holds and y elsewhere."""
        if not isinstance(self, Node):  # one of the others is
            return x if self else y
        return x if x is y else _recorded("where", self, x, y)


def _number(x: Any) -> Any:
    """Return a node as it is, a real number as a float, and None for anything else."""
    if isinstance(x, Node):
        return x
    if not isinstance(x, (float, int)) and (np.ndim(x) or isinstance(x, (str, complex, np.complexfloating))):
        return None
    try:
        return float(x)
    except (TypeError, ValueError):
        return None


def _recorded(name: str, *values: Any) -> Any:
    """Return the node of an operation on nodes and numbers, or something simpler that is equal to it."""
    numbers = [_number(x) for x in values]
    if any(x is None for x in numbers):
        raise Untraceable(f"{values!r} are not all real numbers")
    if name not in LOGICAL and all(isinstance(x, Node) and x.index in x.tape.truths for x in numbers):
        raise Untraceable("the code computes with truth values, which are numbers to some and not to others")
    simpler = RULES[name](*numbers) if name in RULES else None
    if simpler is not None:
        return simpler
    if name in ("add", "multiply"):  # in the order of the tape, so that x + y and y + x are one operation
        numbers.sort(key=lambda x: x.index if isinstance(x, Node) else math.inf)
    return next(x.tape for x in numbers if isinstance(x, Node)).record(name, *numbers)


def _operated(name: str, left: Any, right: Any) -> Any:
    """Operate on nodes and numbers; leave arrays, Series and others to their own operators."""
    known = _number(left) is not None and _number(right) is not None
    return _recorded(name, left, right) if known else NotImplemented


def _install() -> None:
    """Give nodes the functions of NumPy and SciPy as methods, and Python's operators."""

    def method(of: Callable[..., Any], name: str) -> Callable[..., Any]:
        def called(*values: Any) -> Any:
            full = isinstance(values[0], Node) and values[0].tape.full
            return math.nan if full else of(name, *values)

        return called

    def reverse(name: str) -> Callable[..., Any]:
        return lambda right, left: math.nan if right.tape.full else _operated(name, left, right)

    for name in (MATH.keys() | ON_FLOATS.keys()) - {"where"}:
        setattr(Node, name, method(_recorded, name))
    for short in ("negative", "absolute"):
        setattr(Node, f"__{short[:3]}__", method(_recorded, short))
    binary = dict(zip("add sub mul truediv mod lt le gt ge".split(), OPERATORS), pow="power")
    for short, name in binary.items():
        setattr(Node, f"__{short}__", method(_operated, name))
        setattr(Node, f"__r{short}__", reverse(name))


_install()


# --- rules: zeros, ones and signs are not computed -------------------------------------------------


def _is(x: Any, number: float) -> bool:
    return isinstance(x, float) and x == number


def _inside(name: str, x: Any) -> list[Any]:
    """Return the arguments of the operation that made a node, if it has this name."""
    if isinstance(x, Node) and x.index >= x.tape.inputs:
        found, *arguments = x.tape.operations[x.index - x.tape.inputs]
        if found == name:
            return [Node(x.tape, a) if isinstance(a, int) else a for a in arguments]
    return []


def _sum(x: Any, y: Any) -> Any:
    for a, b in ((x, y), (y, x)):
        if _is(b, 0):
            return a
        if negated := _inside("negative", b):
            return a - negated[0]
    return None


def _difference(x: Any, y: Any) -> Any:
    if _is(x, 0) or _is(y, 0):
        return -y if _is(x, 0) else x
    negated = _inside("negative", y)
    return x + negated[0] if negated else None


def _product(x: Any, y: Any) -> Any:
    for a, b in ((x, y), (y, x)):
        if isinstance(a, float) and a in (0, 1, -1):
            return 0.0 if a == 0 else b if a == 1 else -b
    return None


def _power(x: Any, y: Any) -> Any:
    """Return products for whole powers up to 16, a square root for 1/2, and quotients for negative powers; else None."""
    if isinstance(x, float) or not isinstance(y, float) or abs(y) > 16 or not (2 * y).is_integer():
        return None
    if y == 0:
        return 1.0
    if y < 0:
        return 1.0 / x**-y
    if y.is_integer():
        half = x ** (y // 2)
        return half * half * x if y % 2 else half * half
    return x.sqrt() if y == 0.5 else None


RULES: dict[str, Callable[..., Any]] = {
    "add": _sum,
    "subtract": _difference,
    "multiply": _product,
    "divide": lambda x, y: x if _is(x, 0) or _is(y, 1) else None,
    "negative": lambda x: next(iter(_inside("negative", x)), None),
    "power": _power,
}


# --- traces --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trace:
    """Operations on numbers, one after another, as data.

    Parameters
    ----------
    inputs : tuple of str
        The names of the inputs, one for each number.
    operations : tuple of (name, argument, ...)
        An argument is a float, or the index of an earlier value: the inputs come first.
    outputs : tuple
        Indices of values, or floats.
    shapes : tuple of shapes
        What the outputs are the entries of.

    Examples
    --------
    >>> spring = trace(lambda x, k: [x, -k * x], {"x": (2,), "k": ()})
    >>> spring.inputs, spring.shapes
    (('x_0', 'x_1', 'k'), ((2,), (2,)))
    >>> print(spring.source())
    def straight(x0, x1, x2):
        t0 = -x2
        t1 = x0 * t0
        t2 = x1 * t0
        return (x0, x1, t1, t2,)
    >>> spring.on_floats(1.0, 2.0, 3.0)
    (1.0, 2.0, -3.0, -6.0)
    >>> spring.on_arrays(1.0, 2.0, np.array([3.0, 4.0]))[2].tolist()
    [-3.0, -4.0]
    """

    inputs: tuple[str, ...]
    operations: tuple[tuple[Any, ...], ...]
    outputs: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __getstate__(self) -> dict[str, Any]:
        """Return the data without the compiled functions, which do not pickle."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def exact(self) -> bool:
        """Whether all operations are rounded in the same way everywhere."""
        return EXACT.issuperset(name for name, *_ in self.operations)

    @cached_property
    def compiled_exactly(self) -> bool:
        """Whether all operations are rounded in the same way by ``math`` and by Numba."""
        return COMPILED.issuperset(name for name, *_ in self.operations)

    def text(self, value: Any) -> str:
        """Return the name of a value, or its number."""
        if isinstance(value, float):
            return repr(value)
        return f"x{value}" if value < len(self.inputs) else f"t{value - len(self.inputs)}"

    def lines(self, forms: Mapping[str, str] = ON_FLOATS) -> list[str]:
        """Return the operations as lines of Python: on floats, or on arrays with OPERATORS."""
        lines = []
        for n, (name, *values) in enumerate(self.operations):
            arguments = [self.text(value) for value in values]
            form = forms.get(name, f"{name}({', '.join(arguments)})")
            lines.append(f"t{n} = {form.format(*arguments)}")
        return lines

    def source(self, forms: Mapping[str, str] = ON_FLOATS) -> str:
        """Return the text of a Python function of the inputs that returns the tuple of outputs."""
        names = ", ".join(map(self.text, range(len(self.inputs))))
        returned = " ".join(f"{self.text(value)}," for value in self.outputs)
        return "\n    ".join([f"def straight({names}):", *self.lines(forms), f"return ({returned})"])

    @cached_property
    def on_floats(self) -> Callable[..., tuple[Any, ...]]:
        """The function of floats, by ``math``: divisions by 0 raise, as do functions at a pole or on overflow."""
        scope = dict(SCOPE)
        exec(self.source(), scope)
        return scope["straight"]

    @cached_property
    def on_arrays(self) -> Callable[..., tuple[Any, ...]]:
        """The function of arrays (or floats), by NumPy and SciPy."""
        return self._of_arrays(False)

    @cached_property
    def on_arrays_by_math(self) -> Callable[..., tuple[Any, ...]]:
        """The function of arrays that has the bits of that of floats, and NumPy's infinities where that raises."""
        return self._of_arrays(True)

    def _of_arrays(self, as_math: bool) -> Callable[..., tuple[Any, ...]]:
        scope = SCOPE | array_functions({name for name, *_ in self.operations}, as_math)
        exec(self.source(OPERATORS), scope)
        return scope["straight"]

    @cached_property
    def size(self) -> int:
        """How much there is to compute and to return."""
        return len(self.operations) + len(self.outputs)

    def seconds(self, columns: int) -> tuple[float, float]:
        """Return about how long some columns take: on floats one after another, and on arrays."""
        arrays = -(-columns // BLOCK) * PER_ARRAY + columns * PER_ENTRY
        return columns * (self.size * PER_FLOAT + 1e-6), self.size * arrays

    @property
    def compiling(self) -> float:
        """About how many seconds Numba takes to compile this code; infinite if it is not installed."""
        return COMPILING + COMPILING_LINE * self.size if numba_is_there() else math.inf

    @cached_property
    def compiled(self) -> Callable[..., bool] | None:
        """Numba's loop over points, which fills an array (outputs * points,) from one (inputs * points,).

        The outputs are those of the first shape; further ones are flags.  It returns whether a flag is raised or, of
        one point, a number is not finite.  None if Numba lacks one of the functions.
        """
        count = math.prod(self.shapes[0])
        lines = ["def straight(values, found, points):", " flag, total = False, 0.0", " for c in range(points):"]
        lines += [f"  {self.text(i)} = values[{i} * points + c]" for i in range(len(self.inputs))]
        lines += [f"  {line}" for line in self.lines(COMPILED_FORMS)]
        lines += [f"  found[{i} * points + c] = {self.text(output)}" for i, output in enumerate(self.outputs[:count])]
        lines += [f"  flag = flag | {self.text(output)}" for output in self.outputs[count:]]
        lines += [" for x in values[: values.size if points == 1 else 0]:", "  total += 0.0 * x"]
        lines += [" for x in found[: found.size if points == 1 else 0]:", "  total += 0.0 * x"]
        lines += [" return flag or total != 0.0"]
        return by_numba(lines, "straight", "b1(f8[:], f8[:], i8)", self.exact)


def array_functions(names: Iterable[str], as_math: bool) -> dict[str, Callable[..., Any]]:
    """Return NumPy's or SciPy's functions of these names; if `as_math`, with the bits of ``math`` where they may differ."""
    found = {name: getattr(np, name, None) or getattr(scipy.special, name) for name in names}
    return {name: by_math(name, f) if as_math and name in BY_MATH else f for name, f in found.items()}


def by_math(name: str, by_numpy: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Return a function of arrays that has the bits of ``math``, and NumPy's infinities where that raises."""
    function = MATH[name]

    def one(*x: float) -> float:
        try:
            return function(*x)
        except (ArithmeticError, ValueError):
            return float(by_numpy(*x))

    return lambda *x: np.asarray(np.frompyfunc(one, len(x), 1)(*x), dtype=float)


def by_numba(
    lines: Sequence[str], name: str, kind: str, exact: bool, vectors: bool = False
) -> Callable[..., Any] | None:
    """Return a printed function as Numba compiles it for arguments of some types; None if it cannot.

    `exact` says that all operations are rounded in the same way everywhere.  Others are not compiled where Numba
    takes them from Intel's library: their last bits depend on the place in a loop there.  With `vectors` that is
    allowed, and vector functions are taken where there are any.
    """
    scope = SCOPE | (vector_functions() if vectors else {})
    exec("\n".join(lines), scope)
    try:
        import numba

        if exact or vectors or not numba.config.USING_SVML:  # type: ignore[attr-defined]
            return numba.njit(kind, error_model="numpy", nogil=True)(scope[name])
    except Exception:  # of Numba's own kinds
        pass
    return None


@cache
def numba_is_there() -> bool:
    """Return whether Numba is installed, without importing it."""
    return find_spec("numba") is not None


def trace(
    function: Callable[..., Any],
    inputs: Mapping[str, tuple[int, ...]],
    nonzero: Collection[str] = (),
    most: int = LIMIT,
) -> Trace:
    """Record what a function computes.

    Parameters
    ----------
    function : callable
        Called with one keyword for each input: a Node for the shape (), else an array of Nodes, of
        dtype ``object``.  Returns a Node, a number, an array or a Series of one term, or a list of
        such values.
    inputs : mapping from name to shape
    nonzero : collection of str
        Inputs of shape () that are never zero, so that the code may ask ``x == 0``.
    most : int
        Operations that the trace may have.

    Returns
    -------
    Trace

    Raises
    ------
    Untraceable
        If the code branches on a traced number, asks for its value, or makes too many operations.

    Examples
    --------
    >>> bowl = trace(lambda x, k: k * (x**2).sum() / 2, {"x": (2,), "k": ()})
    >>> bowl.on_floats(3.0, 4.0, 2.0)
    (25.0,)
    """
    places = [(key, index) for key, shape in inputs.items() for index in np.ndindex(shape)]
    tape = _Tape(len(places), most)
    arguments: dict[str, Any] = {key: np.empty(shape, dtype=object) for key, shape in inputs.items()}
    for i, (key, index) in enumerate(places):
        arguments[key][index] = Node(tape, i, key in nonzero)
    with np.errstate(all="ignore"):  # once the tape is full, whatever follows is not a number
        found = function(**{key: array if array.ndim else array[()] for key, array in arguments.items()})
    arrays = list(_leaves(found))
    if tape.full:
        raise Untraceable(f"the code makes more than {most:,} operations on numbers")
    outputs = [_number(x) for array in arrays for x in array.flat]
    if any(x is None for x in outputs):
        raise Untraceable("the code returns something other than a real number")
    operations, outputs = _alive(tape, [x.index if isinstance(x, Node) else x for x in outputs])
    names = tuple("_".join(map(str, (key, *index))) for key, index in places)
    return Trace(names, operations, outputs, tuple(array.shape for array in arrays))


def _leaves(result: Any) -> Iterator[np.ndarray]:
    """Yield the arrays of a nested list of results."""
    if isinstance(result, (list, tuple)):
        for part in result:
            yield from _leaves(part)
    elif isinstance(result, Series) and result.terms > 1:
        raise Untraceable(f"a Series of {result.terms} terms is not a number; return its coefficients")
    else:
        yield np.asarray(result.leading if isinstance(result, Series) else result, dtype=object)


def _alive(tape: _Tape, outputs: list[Any]) -> tuple[tuple[tuple[Any, ...], ...], tuple[Any, ...]]:
    """Return the operations that the outputs need, and the outputs, numbered anew."""
    needed = {x for x in outputs if isinstance(x, int)}
    for index in range(tape.inputs + len(tape.operations) - 1, tape.inputs - 1, -1):
        if index in needed:
            needed.update(a for a in tape.operations[index - tape.inputs] if isinstance(a, int))
    kept = sorted(i for i in needed if i >= tape.inputs)
    place = {i: i for i in range(tape.inputs)} | {i: tape.inputs + n for n, i in enumerate(kept)}

    def moved(values: Any) -> tuple[Any, ...]:
        return tuple(place[x] if isinstance(x, int) else x for x in values)

    return tuple(moved(tape.operations[i - tape.inputs]) for i in kept), moved(outputs)


class Traced:
    """A function of a vector that is traced at its third call; the trace is compared with it before its use.

    It is compiled, if Numba is installed, once it has taken as long as that takes, and only where that
    changes no bits.

    Parameters
    ----------
    plain : function of an array (n,) or (n, points), of floats or Nodes; returns an array

    Examples
    --------
    >>> square = Traced(lambda x: x**2)
    >>> [square(np.array([3.0])).item() for _ in range(PATIENCE + 1)]
    [9.0, 9.0, 9.0, 9.0]
    """

    def __init__(self, plain: Callable[[np.ndarray], np.ndarray]) -> None:
        self.plain, self.calls, self.spent = plain, 0, 0.0
        self.shape, self.size = tuple[int, ...](), 0  # of what comes out, and of the vectors that go in
        self.fast: Trace | None = None
        self.compiled: Callable[..., bool] | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the value at a vector, (n,), or at each column of an array (n, points)."""
        if self.fast is not None and len(x) != self.size:  # the plain way says what is wrong
            return self.plain(x)
        if self.compiled is not None and x.ndim == 1:
            found = self.at_once(x)
            return self.plain(x) if found is None else found
        if self.fast is not None:
            try:
                return self._evaluated(self.fast, x)
            except (ArithmeticError, ValueError):  # where math raises, NumPy has infinities
                return self.plain(x)
        value = self.plain(x)
        if self.calls == PATIENCE - 1:
            try:
                code = _with_kinks(trace(lambda x: self.plain(x), {"x": (len(x),)}))
                self.shape, self.size = code.shapes[0], len(x)
                if np.allclose(self._evaluated(code, x), value, rtol=1e-9, atol=1e-300, equal_nan=True):
                    self.fast = code
            except Exception:  # whatever it was, the plain way does without
                pass
        self.calls += 1  # not before: an error or an interrupt leaves the trace to the next call
        return value

    def at_once(self, x: np.ndarray) -> np.ndarray | None:
        """Return the value at a vector of floats by code that is compiled; None at a kink, or if a number is not finite."""
        found = np.empty(self.shape)
        flagged: Any = self.compiled(x, found if found.ndim == 1 else found.reshape(-1), 1)  # type: ignore[misc]
        return None if flagged else found

    def _evaluated(self, code: Trace, x: np.ndarray) -> np.ndarray:
        """Return the value in the fastest way that has these bits; where math raises, or at a kink, raise ArithmeticError."""
        count, size = math.prod(self.shape), x.shape[1:]
        if x.ndim == 1:
            self._use(code, code.compiled_exactly, code.seconds(1)[0])
            values = code.on_floats(*x.tolist())
            rows, flagged = np.array(values[:count]), any(values[count:])
        elif self._use(code, code.exact, min(code.seconds(*size))):
            rows = np.empty(count * size[0])
            flagged: Any = self.compiled(x.reshape(-1), rows, size[0])  # type: ignore[misc]
        else:
            blocks = (x[:, i : i + BLOCK] for i in range(0, size[0], BLOCK))  # as much as a processor has at hand
            arrays = [np.array(np.broadcast_arrays(*code.on_arrays(*b), b[0])[:-1]) for b in blocks]
            values = np.concatenate(arrays, axis=-1)
            rows, flagged = values[:count], values[count:].any()
        if flagged:
            raise ArithmeticError("a kink, a jump or a pole may be here")
        return rows.reshape(self.shape + size)

    def _use(self, code: Trace, same: bool, seconds: float) -> bool:
        """Return whether to use compiled code if it has the same bits; it is made once the other has taken as long."""
        if same and self.spent < math.inf:
            self.spent += seconds
            if self.spent > code.compiling and self.fast is code:
                self.spent, self.compiled = math.inf, code.compiled
        return same and self.compiled is not None


def _with_kinks(code: Trace) -> Trace:
    """Return code that also returns whether what is compared is equal, and whether what is divided by is 0.

    A quotient that is infinite may be hidden: 1/(1 + 1/x) is 0 at x = 0 then.
    """
    compared = [(*arguments, 0.0)[:2] for name, *arguments in code.operations if name in KINKED]
    compared += [(divisor, 0.0) for name, *_, divisor in code.operations if name == "divide"]
    first = len(code.inputs) + len(code.operations)
    pairs = {str(pair): pair for pair in compared if str(pair[0]) != str(pair[1])}  # value 0 is not the number 0.0
    equal = tuple(("equal", *pair) for pair in pairs.values())
    outputs = (*code.outputs, *range(first, first + len(equal)))
    return replace(code, operations=(*code.operations, *equal), outputs=outputs)
