r"""An optimizer is a program: one text, read on numbers and on series.

A program computes the update :math:`U` from a point, the gradient and a memory,

.. math:: \theta \leftarrow \theta - h\,U, \qquad U = \mathrm{program}(\theta, \nabla E, \mathrm{memory}),

in plain NumPy, with the coordinates on the first axis.  What it remembers goes through its memory:
``memory.average(x, decay)`` is the exponential moving average of any value, ``memory.previous(x)``
the value one step earlier.  On numbers (:class:`Running`) an average is a running state; on a
:class:`~bea.series.Series` along a smooth curve (:class:`Along`) it is the resolvent

.. math:: (1-\beta)\sum_{k\ge 0} \beta^k\, x(s - k),

and everything else in the program means what it meant before.
"""

from __future__ import annotations

import dis
import functools
import inspect
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import comb, inf
from numbers import Rational, Real
from operator import is_
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, ModuleType, NoneType
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints
from weakref import WeakKeyDictionary

import numpy as np
import sympy as sp

from bea._validate import interval, whole
from bea.series import NoExpansion, Series

__all__ = ["Along", "Decay", "NonNegative", "Optimizer", "Running", "lag", "moments", "optimizer", "update", "weights"]

LIBRARIES = {"bea", "math", "numpy", "scipy"}
EVERY_STEP = "than in the step before; ask it in the same order at every step, and choose between values by np.where"
READABLE = 100_000  # bytes of an array
KEPT = 64  # things that are remembered together, of a program, say, that reads an array which changes all the time
CONSTANT = {bool, int, float, str, bytes, NoneType}
RANDOM = (np.random.Generator, np.random.RandomState, random.Random)
P = ParamSpec("P")  # the hyper-parameters of a program

#: A hyper-parameter in [0, 1): a number, an array (batch,) of them, or a SymPy expression.
Decay = Annotated[Any, (0.0, 1.0)]
#: A hyper-parameter that is finite and not negative.
NonNegative = Annotated[Any, (0.0, inf)]


@dataclass(frozen=True, eq=False)
class Optimizer:
    """A program together with its hyper-parameters; made by the function that :func:`optimizer` returns.

    Two optimizers are equal if their programs and hyper-parameters are.

    Parameters
    ----------
    program : callable
        What ``bea.optimizer`` made of the decorated function, and makes the optimizer.
    hyperparameters : mapping from str to value
        Each is a number, an array (batch,) (many configurations at once), a SymPy expression, or
        whatever else the program takes, such as a bool or a shape.

    Raises
    ------
    TypeError, ValueError
        If a name is not one of the program's, or a value is outside its range.

    Examples
    --------
    >>> from bea.optimizers import adam
    >>> adam(beta=0.9, rho=0.99, epsilon=1e-8) == adam(0.9, 0.99, 1e-8)
    True
    >>> adam(0.9, 0.99, 1e-8).with_hyperparameters(rho=0.999).hyperparameters["rho"]
    0.999
    """

    program: Callable[..., Any]
    hyperparameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        text = getattr(self.program, "__wrapped__", None)
        if text is None:
            raise TypeError(f"{self.program!r} is not a program; decorate it with @bea.optimizer")
        bound = inspect.signature(self.program).bind(**self.hyperparameters)
        bound.apply_defaults()
        hints = _hints(text)
        checked = {name: _checked(name, value, hints.get(name)) for name, value in bound.arguments.items()}
        object.__setattr__(self, "hyperparameters", MappingProxyType(checked))
        shapes = {v.shape for v in self._arrays.values()}
        if len(shapes - {(1,)}) > 1:
            raise ValueError(f"arrays of hyper-parameters must be of one length; {sorted(shapes)} were given")

    def __reduce__(self) -> tuple[Any, ...]:  # a read-only mapping cannot be pickled
        return type(self), (self.program, dict(self.hyperparameters))

    def __call__(self, theta: Any, gradient: Callable[[Any], Any], memory: Any) -> Any:
        """Run the program once: return the update U for a point, a gradient and a memory."""
        return _returned(self, self.program.__wrapped__(theta, gradient, memory, **self.hyperparameters))  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The name of the program."""
        return self.program.__name__

    @functools.cached_property
    def symbols(self) -> frozenset[sp.Symbol]:
        """The SymPy symbols among the hyper-parameters."""
        return frozenset().union(*(v.free_symbols for v in self._expressions.values()))

    @functools.cached_property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the batch of configurations: () for one, (batch,) if hyper-parameters are arrays."""
        return np.broadcast_shapes(*(v.shape for v in self._arrays.values()))

    @functools.cached_property
    def _expressions(self) -> dict[str, sp.Expr]:
        return {name: v for name, v in self.hyperparameters.items() if isinstance(v, sp.Expr)}

    @functools.cached_property
    def _changing(self) -> list[Any]:
        """The hyper-parameters that may change and be the same object, such as functions."""
        return [v for v in self.hyperparameters.values() if not isinstance(v, np.ndarray) and not _fixed(v)]

    @functools.cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: v for name, v in self.hyperparameters.items() if isinstance(v, np.ndarray)}

    def with_hyperparameters(self, **values: Any) -> Optimizer:
        """Return the same program with some hyper-parameters replaced.

        Parameters
        ----------
        **values
            The new hyper-parameters, by name.

        Returns
        -------
        Optimizer

        Raises
        ------
        TypeError, ValueError
            If a name is not one of the program's, or a value is outside its range.
        """
        return self.program(**{**self.hyperparameters, **values})

    def in_floats(self) -> Optimizer:
        """Return the optimizer with exact numbers converted to floats; symbols are unchanged.

        Returns
        -------
        Optimizer
        """
        exact = {name: float(v) for name, v in self._expressions.items() if v.is_number}
        return self.with_hyperparameters(**exact) if exact else self

    def configuration(self, index: int) -> Optimizer:
        """Return one configuration of a batch; the optimizer itself if there is no batch.

        Parameters
        ----------
        index : int

        Returns
        -------
        Optimizer
        """
        single = {name: float(v[index if v.size > 1 else 0]) for name, v in self._arrays.items()}
        return self.with_hyperparameters(**single) if single else self

    @functools.cached_property
    def _key(self) -> tuple[Any, ...]:
        values = (
            (n, type(v), v.tobytes() if isinstance(v, np.ndarray) else v) for n, v in self.hyperparameters.items()
        )
        return self.program, *values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.hyperparameters.items())
        return f"{self.name}({given})"


def optimizer(program: Callable[Concatenate[Any, Any, Any, P], Any]) -> Callable[P, Optimizer]:
    """Turn a program into a constructor of optimizers.

    Parameters
    ----------
    program : function of (theta, gradient, memory, hyper-parameters...)
        Returns the update U, of the shape of ``theta``; the iteration is ``theta - h * U``.
        ``gradient(theta)`` may be called more than once, at any point.  Arrays have the coordinates
        on their first axis.  Annotate hyper-parameters with ``bea.Decay`` or ``bea.NonNegative`` to
        have their ranges checked.

    Returns
    -------
    function of the hyper-parameters alone, which returns an Optimizer

    Raises
    ------
    TypeError
        If the function does not have the first three parameters.

    Examples
    --------
    >>> @optimizer
    ... def normalized_momentum(theta, gradient, memory, beta: Decay):
    ...     m = memory.average(gradient(theta), beta)
    ...     return m / np.sum(m**2) ** 0.5
    >>> normalized_momentum(beta=0.9)
    normalized_momentum(beta=0.9)
    """
    if not inspect.isroutine(program) or not hasattr(program, "__code__"):
        raise TypeError(f"a function of (theta, gradient, memory, ...) is needed, not {program!r}")
    parameters = list(inspect.signature(program).parameters.values())
    if len(parameters) < 3 or any(p.kind > p.POSITIONAL_OR_KEYWORD for p in parameters[:3]):
        raise TypeError(
            f"{program.__name__} must take (theta, gradient, memory, ...), not {inspect.signature(program)}"
        )
    for p in parameters[3:]:
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            raise TypeError(
                f"each hyper-parameter of {program.__name__} must be one that can be given by name, not {p}"
            )
    signature = inspect.Signature(parameters[3:], return_annotation="Optimizer")

    @functools.wraps(program)
    def construct(*args: P.args, **kwargs: P.kwargs) -> Optimizer:
        if unknown := kwargs.keys() - signature.parameters.keys():
            raise TypeError(f"{program.__name__} has no {sorted(unknown)}; it has {list(signature.parameters)}")
        return Optimizer(construct, signature.bind(*args, **kwargs).arguments)

    construct.__signature__ = signature  # type: ignore[attr-defined]
    return construct


_known_hints: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def _hints(program: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a program; a default that is True or False declares a bool."""
    if program in _known_hints:
        return _known_hints[program]
    flags = {p.name: bool for p in inspect.signature(program).parameters.values() if isinstance(p.default, bool)}
    try:
        hints = get_type_hints(program, include_extras=True)
    except Exception:  # a name that only type checkers import, or a sentence; the others count all the same
        hints, known = {}, {"Decay": Decay, "NonNegative": NonNegative} | program.__globals__
        for name, hint in program.__annotations__.items():
            with suppress(Exception):
                hints[name] = eval(hint, known) if isinstance(hint, str) else hint
    _known_hints[program] = {**hints, **flags}
    return _known_hints[program]


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return a hyper-parameter as it is kept: exact numbers as SymPy's, lists as arrays."""
    if hint is bool:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} = {value!r} must be True or False")
        return bool(value)
    if isinstance(value, np.integer):
        value = int(value)
    ranged = hint in (Decay, NonNegative)
    if not ranged and (isinstance(value, int) or not isinstance(value, (Real, sp.Expr, list, np.ndarray))):
        try:
            hash(value)
        except TypeError:
            raise TypeError(f"{name} = {value!r} can change; give numbers, an array, or a tuple of them") from None
        return value  # a shape, a name, a count
    if isinstance(value, Rational) and not isinstance(value, int):
        value = sp.Rational(value.numerator, value.denominator)
    low, high = hint.__metadata__[0] if ranged else (-inf, inf)
    value = interval(name, value, low, high, open_below=not ranged)
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


# --- the two readings ----------------------------------------------------------------------------


def copied(x: Any) -> Any:
    """Return a copy that a program may change in place, if it can be changed."""
    return x.copy() if isinstance(x, (np.ndarray, Series)) else x


class Misfit(ValueError):
    """A program does not fit the equation, whatever the point."""


class Memory:
    """What all memories share: nothing else can be kept on them, since only some readings would see it."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except AttributeError:
            raise AttributeError(
                f"a program cannot keep {name!r} on its memory; what it has to remember is memory.average(x, decay) "
                "or memory.previous(x)"
            ) from None

    def __getattr__(self, name: str) -> Any:
        names = ("average(x, decay)", "previous(x)", "step", "time", "h")
        has = ", ".join(f"memory.{one}" for one in names if hasattr(type(self), one.split("(")[0]))
        raise AttributeError(f"this memory has no attribute {name!r}; it has {has}")


class Running(Memory):
    r"""The memory of a run: numbers, kept in the order of the calls.

    An average keeps its state :math:`m` and the weight :math:`p = \prod \beta` that it has not
    gathered yet; bias correction divides by :math:`1 - p`.

    Parameters
    ----------
    h : float or array (batch,)
        Step size.
    state : list of (value, weight), optional
        What the memory holds before the step; empty memory if it is absent.
    step : int
        Number of steps made before.

    Examples
    --------
    >>> memory = Running(h=0.1)
    >>> memory.average(2.0, 0.5), memory.advance().average(4.0, 0.5)
    (1.0, 2.5)
    """

    __slots__ = ("asked", "h", "last", "new", "state", "step")

    def __init__(self, h: Any, state: list[tuple[Any, Any]] | None = None, step: Any = 0) -> None:
        self.h, self.step, self.state = h, step, state
        self.new: list[tuple[Any, Any]] = []
        self.asked: list[str] = []  # for what, in this step and in the last one
        self.last: list[str] | None = None

    @property
    def time(self) -> Any:
        """The time h * step before the step."""
        return self.h * self.step

    def _last(self, start: Any, what: str) -> tuple[Any, Any]:
        self.asked.append(what)
        if self.state is None:
            return start, 1
        if len(self.new) == len(self.state):
            raise ValueError(f"the program asked its memory more often {EVERY_STEP}")
        if self.last is not None and self.last[len(self.new)] != what:
            raise ValueError(f"the program asked its memory in another order {EVERY_STEP}")
        return self.state[len(self.new)]

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        """Return decay * m + (1 - decay) * x, divided by one minus the product of decays if corrected."""
        check_decay(decay, x)
        m, p = self._last(0, "average")
        m, p = decay * m + (1 - decay) * x, p * decay
        self.new.append((m, p))
        return m * (1 / (1 - p)) if corrected else copied(m)  # one division for all entries

    def previous(self, x: Any, start: Any = 0.0) -> Any:
        """Return the `x` of the step before, or `start`, in the shape of `x`, in the first step."""
        before, _ = self._last(start if self.state is not None else 0 * x + start, "previous")
        self.new.append((copied(x), 0.0))
        return copied(before)

    def advance(self) -> Running:
        """Return the memory for the next step."""
        if self.state is not None and len(self.new) != len(self.state):
            raise ValueError(f"the program asked its memory less often {EVERY_STEP}")
        memory = type(self)(self.h, self.new, self.step + 1)
        memory.last = self.asked
        return memory


#: Names of what does more than compute: input and output, hidden state, and questions about the type of a value.
ASKING = {*"input open print random rvs eval exec globals locals vars setattr delattr __dict__ suppress".split()}
ASKING |= {*"load loadtxt genfromtxt fromfile loadmat get_printoptions geterr datetime64".split()}
ASKING |= {*"isinstance issubclass type hasattr callable dtype isscalar nan_to_num __class__ issubdtype".split()}
OUTWARD = {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_ATTR", "DELETE_ATTR"}


@functools.lru_cache(1024)
def _names(code: CodeType, outer: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """Return the global names of code, with those of functions inside of it; None if it does more than compute.

    That is: if it changes something outside, catches errors, or imports more than libraries.
    """
    done, own = list(dis.get_instructions(code)), outer | {*code.co_cellvars}
    kinds = [i.opname for i in done]
    catches = kinds.count("PUSH_EXC_INFO") > kinds.count("WITH_EXCEPT_START")  # more than the end of a with
    assigned = {i.argval for i in done if i.opname in ("STORE_DEREF", "DELETE_DEREF")}
    imported = {i.argval.split(".")[0] for i in done if i.opname == "IMPORT_NAME"}
    if catches or OUTWARD & {*kinds} or ASKING & {*code.co_names} or not (assigned <= own and imported <= LIBRARIES):
        return None
    inside = [_names(x, own) for x in code.co_consts if isinstance(x, CodeType)]
    found = [[i.argval for i in done if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")], *inside]
    return None if None in inside else tuple(dict.fromkeys(name for names in found for name in names))


def _contents(function: FunctionType) -> list[Any]:
    """Return what the closure of a function holds; what it does not hold yet is a cell."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(cell)
    return found


#: What functions were last found to read, if that was no more than constants.
constant_readings: WeakKeyDictionary[Any, Reading] = WeakKeyDictionary()
_LACKING, _NONE = object(), {}


@dataclass(eq=False, slots=True)
class Reading:
    """What a function reads besides its arguments, no more than constants; `found` is what :func:`outside` returns."""

    code: CodeType
    defaults: tuple[Any, ...] | None
    names: tuple[tuple[str, Any], ...]
    keywords: tuple[tuple[str, Any], ...]
    contents: tuple[Any, ...]
    found: tuple[Any, ...]

    def holds(self, function: Any) -> bool:
        """Return whether a function reads the same objects; it is often asked, as by a field at every point."""
        if function.__code__ is not self.code or function.__defaults__ is not self.defaults or function.__dict__:
            return False
        space, given = function.__globals__, function.__kwdefaults__ or _NONE
        for name, value in self.names:
            if space.get(name, _LACKING) is not value:
                return False
        for name, value in self.keywords:
            if given.get(name, _LACKING) is not value:
                return False
        if self.contents and not all(map(is_, _contents(function), self.contents)):
            return False
        return len(given) == len(self.keywords)


def read_by(optimizer: Optimizer) -> tuple[Any, ...] | None:
    """Return what a program and its hyper-parameters read besides its arguments, if none can change unseen; else None."""
    read = outside(optimizer.program.__wrapped__)  # type: ignore[attr-defined]
    if read is None or not optimizer._changing:
        return read
    return _all_as_read(read, optimizer._changing, {})


def reads_openly(optimizer: Optimizer) -> bool:
    """Whether a program neither catches errors nor asks for more than numbers."""
    return _names(optimizer.program.__wrapped__.__code__) is not None  # type: ignore[attr-defined]


def remembered(known: dict, key: Any, make: Callable[[], Any]) -> Any:
    """Return what was made for a key before, or make it; not too many are kept."""
    if (found := known.get(key)) is None:
        if len(known) >= KEPT:
            known.clear()
        found = known[key] = make()
    return found


def outside(function: Any, seen: dict[Any, int] | None = None) -> tuple[Any, ...] | None:
    """Return what a function reads besides its arguments, if none of it can change unseen; else None."""
    seen = {} if seen is None else seen  # the functions that were met before, by number
    if isinstance(function, functools.partial):
        names, values = ("partial", *function.keywords), [function.func, *function.args, *function.keywords.values()]
        return _all_as_read(names, values, seen)
    if not isinstance(function, FunctionType):
        return None
    seen[function] = len(seen)
    known = constant_readings.get(function)
    if known is not None and known.holds(function):
        return known.found
    code, space, keywords = function.__code__, function.__globals__, function.__kwdefaults__ or {}
    if (asked := _names(code)) is None:
        return None
    present, contents = [name for name in asked if name in space], _contents(function)
    values = [*(space[name] for name in present), *contents]
    values += [*keywords.values(), *vars(function).values(), *(function.__defaults__ or ())]
    found = _all_as_read((code, *present, *keywords, *vars(function)), values, seen)
    if found is not None and all(map(_fixed, values)):
        looked_up = tuple((name, space.get(name, _LACKING)) for name in asked)
        held = function.__defaults__, looked_up, tuple(keywords.items()), tuple(contents)
        constant_readings[function] = Reading(code, *held, found)
    return found


def _all_as_read(names: tuple[Any, ...], values: list[Any], seen: dict[Any, int]) -> tuple[Any, ...] | None:
    read = []
    for value in values:
        if (one := _as_read(value, seen)) is None:
            return None
        read.append(one)
    return *names, *read


def _constant(value: Any) -> bool:
    return type(value) in CONSTANT or isinstance(value, (np.number, np.bool_, sp.Expr))


def _fixed(value: Any) -> bool:
    """Return whether a value stays what it is as long as it is the same object."""
    return _constant(value) or _of_library(value) or type(value) is tuple and all(map(_fixed, value))


def _as_read(value: Any, seen: dict[Any, int]) -> tuple[Any, ...] | None:
    """Return a value as one that can be compared with what it is later; None if it may change unseen."""
    if _constant(value):
        return type(value), repr(value) if isinstance(value, (float, np.floating)) else value  # 0.0 is not -0.0
    if type(value) is np.ndarray:  # which can change, and so is looked at each time
        known = value.dtype.kind in "biuf" and value.nbytes <= READABLE
        return (value.shape, value.dtype.str, value.tobytes()) if known else None
    if type(value) is tuple:
        found = tuple(_as_read(x, seen) for x in value)
        return None if None in found else found
    if _of_library(value):
        return (value,)
    if isinstance(value, FunctionType) and value in seen:
        return ("function", seen[value])
    return outside(value, seen)


def _of_library(value: Any) -> bool:
    """Return whether a value is a module, a class or a function of a library, and none that draws random numbers."""
    if isinstance(value, np.ufunc):
        return any("d" in kinds for kinds in value.types)  # not one made of a function of the user's
    homes = [value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)]
    if isinstance(value, FunctionType):  # which may say that it is another
        homes.append(value.__globals__.get("__name__"))
        if "<locals>" in value.__qualname__:
            return False
    elif not isinstance(value, (ModuleType, type, BuiltinFunctionType, type(np.sum))):
        return False
    ours = all(isinstance(home, str) and home.split(".")[0] in LIBRARIES for home in homes)
    return ours and not str(homes[0]).startswith(("numpy.random", "scipy.stats"))


_repeating: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()  # programs, and what they read when it held


def repeats(optimizer: Optimizer, read: tuple[Any, ...] | None) -> bool:
    """Return whether a program reads what it read when :func:`check_repeats` found nothing."""
    return read is not None and _repeating.get(optimizer.program.__wrapped__) == read  # type: ignore[attr-defined]


def check_repeats(optimizer: Optimizer, theta: np.ndarray, h: Any = 1.0) -> None:
    """Raise ValueError if a program draws random numbers, or if its first step, made twice with gradients of ones, differs."""
    text = optimizer.program.__wrapped__  # type: ignore[attr-defined]
    names = text.__code__.co_names
    read = [*(text.__globals__.get(name) for name in names), *_contents(text)]
    if "random" in names or any(isinstance(value, RANDOM) for value in read):
        raise ValueError(f"{optimizer.name} draws random numbers; a program decides by its arguments alone")
    try:
        with np.errstate(all="ignore"):  # whatever the values are
            updates = [np.asarray(optimizer(theta.copy(), np.ones_like, Running(h))) for _ in range(2)]
            same = np.array_equal(*updates, equal_nan=updates[0].dtype.kind in "fc")
    except Exception:  # the program's own error comes again where the program is used
        return
    if not same:
        raise ValueError(
            f"{optimizer.name} gave two different updates for the same point, gradient and memory: it keeps state of "
            "its own, or draws random numbers; keep state by memory.average or memory.previous"
        )
    if (known := read_by(optimizer)) is not None:
        _repeating[text] = known


def numeric(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer in floats; raise ValueError if it holds symbols."""
    check_optimizer(optimizer)
    if optimizer.symbols:
        names = ", ".join(sorted(map(str, optimizer.symbols)))
        raise ValueError(f"{optimizer} holds the symbols {names}; give them numbers to compute")
    return optimizer.in_floats()


def check_optimizer(optimizer: Any, loss: Any = None) -> None:
    """Raise TypeError if it is not an Optimizer, and ValueError if its program decides by more than its arguments."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"an optimizer such as bea.adam(beta=0.9, rho=0.999, epsilon=1e-8) is needed, not {optimizer!r}"
        )
    if loss is not None and not optimizer.symbols:
        check_repeats(optimizer.configuration(0).in_floats(), np.linspace(0.5, 1.5, loss.dimension))


def asked_of_memory(optimizer: Optimizer, theta: Any) -> list[str]:
    """Return what a program asks of its memory, "average" or "step", in a first step with gradients of ones.

    The last word is "error" if it raises one, which comes again where the program is used.
    """
    found: list[str] = []

    class Asked(Running):
        __slots__ = ()
        time = property(lambda self: 0.0)  # type: ignore[override]
        step = property(lambda self: found.append("step") or 0, lambda self, value: None)

        def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
            found.append("average")
            return super().average(x, decay, corrected)

    try:
        with np.errstate(all="ignore"):  # whatever the values are
            optimizer.in_floats()(np.array(theta, dtype=float), np.ones_like, Asked(1.0))
    except Exception:
        found.append("error")
    return found


class Late(float):
    """The number of the step long after the start: infinite; what has no limit there is refused.

    Examples
    --------
    >>> Late() / 100 > 1, min(1.0, Late() / 100), 1 / (1 + Late())
    (True, 1.0, 0.0)
    """

    def __new__(cls, value: float = inf) -> Any:
        return super().__new__(cls, value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Series) for x in inputs):
            return NotImplemented  # a Series knows what it takes
        inputs = tuple(float(x) if isinstance(x, Late) else x for x in inputs)
        with np.errstate(all="ignore"):
            return Late._limit(getattr(ufunc, method)(*inputs, **options))

    @staticmethod
    def _limit(found: Any) -> Any:
        if isinstance(found, (complex, float, np.ndarray)) and np.any(np.isnan(found)):
            raise ValueError(
                "long after the start the number of the step is infinite, and what is computed from it here (a remainder, a "
                "whole quotient, infinity minus infinity) is not defined; use np.minimum or memory.time"
            )
        return Late(found) if isinstance(found, float) and abs(found) == inf else found


def _late(name: str) -> Callable[..., Any]:
    operation, refused = getattr(float, name), name.strip("_").lstrip("r") in ("mod", "floordiv", "divmod")

    def method(self: Any, *other: Any) -> Any:
        return Late._limit(float("nan") if refused or name == "__rpow__" and other[0] < 0 else operation(self, *other))

    return method


for _name in "add sub mul truediv pow mod floordiv divmod".split():
    for _side in ("", "r"):
        setattr(Late, f"__{_side}{_name}__", _late(f"__{_side}{_name}__"))
for _name in ("neg", "pos", "abs"):
    setattr(Late, f"__{_name}__", _late(f"__{_name}__"))
for _name in ("int", "trunc", "floor", "ceil", "round"):
    setattr(Late, f"__{_name}__", lambda self, *digits: Late._limit(float("nan")))


class Along(Memory):
    r"""The memory along a smooth curve: every value is a Series, long after the start.

    Parameters
    ----------
    like : Series
        The curve; decides the number of terms and whether numbers are exact.
    time : float
        The time at the curve's present point.

    Notes
    -----
    ``kept`` collects each value that the memory holds after the step, as a Series.
    """

    __slots__ = ("kept", "like", "start")
    step = Late()

    def __init__(self, like: Series, time: Any = 0.0) -> None:
        self.like, self.start = like, time
        self.kept: list[Any] = []

    def _linear(self, h: int, s: int) -> Series:
        c = np.zeros((self.like.terms, self.like.terms), dtype=self.like.coefficients.dtype)
        if self.like.terms > h:
            c[h, s] = 1
        return Series(c)

    @property
    def h(self) -> Series:
        """The step size itself."""
        return self._linear(1, 0)

    @property
    def time(self) -> Series:
        """The time t + s h."""
        return self._linear(1, 1) + self.start

    def series(self, x: Any) -> Series:
        """Return a constant as a Series."""
        return x if isinstance(x, Series) else self._linear(0, 0) * 0 + x

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        """Return the steady-state average; bias correction has long died out."""
        check_decay(decay, x)
        m = resolvent(self.series(x), decay)
        self.kept.append(m)
        return copied(m)

    def previous(self, x: Any, start: Any = 0.0) -> Series:
        """Return the value one step earlier."""
        x = self.series(x)
        self.kept.append(copied(x))
        return x.shift(-1)

    def update(self, optimizer: Optimizer, gradient: Callable[[Any], Any]) -> Series:
        """Return the update of a program along the curve."""
        return update(optimizer, gradient, self.like, self)


def update(optimizer: Optimizer, gradient: Callable[[Any], Any], theta: Any, memory: Any) -> Series:
    """Run a program on a Series, or on an array (which counts as a Series of one term), and return a Series.

    Exact hyper-parameters become constant Series, so that ``**0.5`` stays exact.
    """
    terms = getattr(theta, "terms", 1)
    zero = Series(np.zeros((terms, terms), dtype=theta.dtype))
    values = {n: zero + v if isinstance(v, sp.Expr) else v for n, v in optimizer.hyperparameters.items()}
    getattr(theta, "coefficients", theta).flags.writeable = False
    try:
        step = _returned(optimizer, optimizer.program.__wrapped__(theta, gradient, memory, **values))  # type: ignore[attr-defined]
    except Misfit:
        raise
    except ValueError as problem:
        check_in_place(optimizer, problem)
        if isinstance(problem.__cause__, TypeError):  # what a Series says, hidden by NumPy
            raise problem.__cause__ from None
        if isinstance(problem, NoExpansion):
            raise NoExpansion(f"{optimizer.name} has no expansion at this point: {problem}") from problem
        raise ValueError(f"{optimizer.name}: {problem}") from problem
    except TypeError as problem:
        if "truth value of Relational" not in str(problem):
            raise
        raise TypeError(f"{optimizer.name} branches on a symbol; write np.where, np.minimum or np.clip") from problem
    step = step if isinstance(step, Series) else zero + step
    if step.shape != theta.shape:
        raise ValueError(
            f"{optimizer.name} returned an update of shape {step.shape} for a point of shape {theta.shape}"
        )
    return step


def _returned(optimizer: Optimizer, update: Any) -> Any:
    """Return the update that a program gave; raise TypeError if it gave none."""
    if update is None:
        raise TypeError(f"{optimizer.name} returned nothing; a program ends with: return update")
    return update


def check_in_place(optimizer: Optimizer, problem: ValueError) -> None:
    """Raise ValueError in our words if NumPy says that a read-only array was to be changed."""
    if "read-only" in str(problem):
        raise ValueError(
            f"{optimizer.name} or the gradient changes theta in place; write theta = theta + a, not theta += a"
        ) from problem


def resolvent(x: Series, decay: Any) -> Series:
    r"""Return the average :math:`m` of a Series, :math:`m(s) = \beta m(s-1) + (1-\beta)x(s)`.

    For a constant decay it acts on powers of the scaled time,
    :math:`s^j \mapsto \sum_i \binom{j}{i} s^{j-i} (-1)^i \mu_i`, with the :func:`moments` of the
    age.  A decay that is itself a Series :math:`\beta_0 + O(h)` is reduced to the constant one
    term after term.
    """
    if isinstance(decay, Series):
        constant = decay.leading if decay.leading.ndim else decay.leading.item()
        change = (decay - constant) / (1 - constant)
        if not np.any(change.coefficients != 0):
            return resolvent(x, constant)
        m, source = x * 0, x * (1 - decay) / (1 - constant)
        for _ in range(x.terms):
            m = resolvent(source + change * m.shift(-1), constant)
        return m
    if isinstance(decay, (int, float)) and decay == 0:
        return x
    terms, age = x.terms, age_moments(decay, x.terms)
    matrix = np.zeros((terms, terms, *np.shape(age[-1])), dtype=np.asarray(age[-1]).dtype)
    for j in range(terms):
        for i in range(j + 1):
            matrix[j, j - i] = (-1) ** i * comb(j, i) * age[i]
    return Series(np.einsum("kj...,jm...->km...", x.coefficients, matrix))


# --- averages as weights -------------------------------------------------------------------------


def moments(decay: Any, count: int) -> list[Any]:
    r"""Return the first moments of the age i under the weights :math:`(1-\beta)\beta^i`, i = 0, 1, 2, ...

    .. math:: \mu_r = (1-\beta)\sum_{i\ge 0} i^r \beta^i =
              \frac{\beta}{1-\beta}\sum_{l<r}\binom{r}{l}\mu_l, \qquad \mu_0 = 1.

    (The numerators are Eulerian polynomials in the decay.)

    Parameters
    ----------
    decay : number in [0, 1), array of them, or SymPy expression
    count : int, at least 1

    Returns
    -------
    list of `count` values

    Raises
    ------
    TypeError, ValueError
        If the decay is not in [0, 1) or the count is not a positive whole number.

    Examples
    --------
    >>> moments(sp.Symbol("beta"), 3)
    [1, -beta/(beta - 1), beta*(beta + 1)/(beta - 1)**2]
    """
    return age_moments(interval("the decay", decay, 0.0, 1.0), whole("count", count, 1))


def age_moments(decay: Any, count: int) -> list[Any]:
    """:func:`moments` of whatever adds, multiplies and divides."""
    ratio = decay / (1 - decay)
    found = [1 + 0 * ratio]
    for r in range(1, count):
        found.append(tidy(ratio * sum(comb(r, l) * found[l] for l in range(r))))
    return found


def lag(decay: Any, n: Any = None) -> Any:
    r"""Return how many steps behind an average sees, to first order: the mean age of what it remembers.

    .. math:: \mathrm{lag} = \frac{\beta}{1-\beta} - \frac{(n+1)\beta^{n+1}}{1-\beta^{n+1}}

    after step n = 0, 1, ... with bias correction; without ``n``, in steady state, the second term
    is absent.  The constants of the Adam paper's theorem are :math:`C_\beta(n) = 1 +
    2\,\mathrm{lag}`.

    Parameters
    ----------
    decay : number in [0, 1), array of them, or SymPy expression
    n : number of the step, array or SymPy expression, optional

    Returns
    -------
    number, array or expression

    Raises
    ------
    TypeError, ValueError
        If the decay is not in [0, 1) or ``n`` is negative.

    Examples
    --------
    >>> round(lag(0.9), 12)
    9.0
    >>> lag(0.9, n=0)
    0.0
    """
    decay = interval("the decay", decay, 0.0, 1.0)
    if n is None:
        return decay / (1 - decay)
    n = np.array(n) if isinstance(n, (list, tuple, range)) else n
    if not isinstance(n, sp.Expr) or n.is_number:  # also an array of any shape
        numbers = interval("n, the number of a step,", np.ravel(n), 0.0, inf)
        n = n if isinstance(decay, sp.Expr) else numbers.reshape(np.shape(n))[()]
    plain = decay / (1 - decay) - (n + 1) * decay ** (n + 1) / (1 - decay ** (n + 1))
    if np.result_type(np.asarray(decay), np.asarray(n)).kind != "f":
        return plain
    rate, count = -np.log(np.maximum(decay, 0.5)), np.add(n, 1.0)
    found = np.where(np.less(decay, 0.6), plain, count * _smoothed(rate * count) - _smoothed(rate))
    return found if found.ndim else found.item()


def _smoothed(x: Any) -> Any:
    """Return 1/x - 1/(exp(x) - 1), near 0, where the two cancel, by its series in Bernoulli numbers."""
    small = np.minimum(x, 0.5)
    numbers = -691 / 1307674368000, 1 / 47900160, -1 / 1209600, 1 / 30240, -1 / 720, 1 / 12
    return np.where(x < 0.5, 0.5 - small * np.polyval(numbers, small**2), 1 / x + np.exp(-x) / np.expm1(-x))


def weights(decay: Any, count: int, corrected: bool = False) -> np.ndarray:
    r"""Return the weights of :math:`x^{(0)}, \dots, x^{(\mathrm{count}-1)}` in the last average.

    :math:`(1-\beta)\beta^{n-k}`, divided by :math:`1-\beta^{n+1}` under bias correction, with n =
    count - 1.

    Parameters
    ----------
    decay : number in [0, 1), array of them, or SymPy expression
    count : int, at least 1
    corrected : bool

    Returns
    -------
    array of shape (count, \*decay.shape), of dtype object if the decay is symbolic

    Raises
    ------
    TypeError, ValueError
        If the decay is not in [0, 1) or the count is not a positive whole number.

    Examples
    --------
    >>> weights(0.5, 3, corrected=True).round(4).tolist()
    [0.1429, 0.2857, 0.5714]
    """
    decay, count = interval("the decay", decay, 0.0, 1.0), whole("count", count, 1)
    total = 1 - decay**count if corrected else 1
    found = [(1 - decay) * decay**age for age in reversed(range(count))]
    return np.array([tidy(w / total) for w in found])


def tidy(value: Any) -> Any:
    """Return a rational function as one factored fraction, and anything else as it is."""
    return sp.factor(collected(value)) if isinstance(value, sp.Expr) and value.is_rational_function() else value


def collected(value: sp.Expr) -> sp.Expr:
    """Return a rational function as a sum over powers of what it is divided by, where coefficients are rational.

    SymPy multiplies out polynomials much faster than fractions, so each 1/a is a variable meanwhile.
    """
    if value.has(sp.Float):
        return value
    inverses: dict[Any, Any] = {}  # of 1/a, for each a
    polynomial = value.replace(
        lambda part: part.is_Pow and part.exp.is_negative,
        lambda part: inverses.setdefault(part.base, sp.Dummy()) ** -part.exp,
    )
    try:
        ring = sp.QQ[tuple(polynomial.free_symbols)]
        value = ring.to_sympy(ring.from_sympy(polynomial))
    except ValueError:  # a root, as in sqrt(2) x, or no symbol
        return value
    for base, inverse in reversed(inverses.items()):  # a itself may hold the variables before it
        value = value.xreplace({inverse: 1 / base})
    return value


def check_decay(decay: Any, x: Any) -> None:
    """Refuse a decay outside [0, 1), and an array that NumPy would align with the wrong axis."""
    if type(decay) is float and 0 <= decay < 1:  # nearly always
        return
    if type(decay) is np.ndarray and 0 < decay.ndim < np.ndim(x) and decay.dtype == float:  # of a batch, step by step
        if decay.min() >= 0 and decay.max() < 1:
            return
    value: Any = decay.leading if isinstance(decay, Series) else decay
    if value is not None and np.asarray(value).dtype.hasobject:  # symbols, or traced
        return
    if 0 < np.ndim(decay) >= np.ndim(x):
        raise ValueError(
            f"decays of shape {np.shape(decay)} do not fit a value of shape {np.shape(x)}: an array of decays is a batch "
            "of configurations, not a decay for each coordinate; for that take one average for each coordinate, or each group "
            "of them, and np.stack or np.concatenate them"
        )
    interval("a decay", value, 0.0, 1.0)
