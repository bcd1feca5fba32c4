"""Optimizers and losses as data, for an engine that runs in the reader's browser.

The engine, ``engine.js``, knows no optimizer and no loss.  It reads their Python text, traced: a list of
operations on numbers.  So every formula is written once.
"""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

import numpy as np

from bea import Optimizer, Series, VectorField
from bea.program import Memory
from bea.trace import Node, Trace, trace

__all__ = ["engine", "loss_data", "program_data"]

MISSING = frozenset({"erf", "erfc", "gammaln", "arctan2"})  # the operations of traces that JavaScript lacks
Data = dict[str, Any]


def engine() -> str:
    """Return the text of the engine, an ES module.

    Returns
    -------
    str

    Examples
    --------
    >>> "export function run(" in engine()
    True
    """
    return files("bea_book").joinpath("live", "engine.js").read_text(encoding="utf-8")


def loss_data(loss: Any, value: bool = True) -> Data:
    """Return a loss as data: the traces of its value and of its gradient.

    Parameters
    ----------
    loss : loss
        Its code must be made of arithmetic and NumPy's functions: a Loss or a VectorField is, a
        NumericLoss may be.
    value : bool
        Whether the value is wanted; that of a vector field is never had.

    Returns
    -------
    dict
        Of ``value``, or None for it, and ``gradient``.  A trace has ``inputs``,
        ``constants``, ``operations`` and ``outputs``; the arguments of an operation are places among
        the inputs, the constants and the results of the operations before.

    Raises
    ------
    TypeError, ValueError
        If the code cannot be traced, makes too many operations, or makes one that the engine lacks.

    Examples
    --------
    >>> import bea
    >>> data = loss_data(bea.quadratic([2]))["gradient"]
    >>> data["inputs"], data["constants"], data["operations"], data["outputs"]
    (['theta_0'], [2.0], [['multiply', 0, 1]], [2])
    """
    point = {"theta": (loss.dimension,)}
    return {
        "value": _data(trace(lambda theta: loss.value_code(_series(theta)), point))
        if value and not isinstance(loss, VectorField)
        else None,
        "gradient": _data(trace(loss.gradient_code, point)),
    }


def program_data(optimizer: Optimizer, dimension: int) -> Data:
    """Return the program of an optimizer as data: the trace of its update.

    Hyper-parameters that are floats other than zero are inputs of the trace, so that a slider may move
    them; all others are constants of it.  Besides the operations on numbers the trace has these:
    ``gradient`` (of a point, one component), ``average`` (of a number, with a decay), ``weight`` (with a
    decay: what an average has not gathered yet) and ``previous`` (of a number, with its start); an average
    and its weight also name the call they belong to.

    Parameters
    ----------
    optimizer : Optimizer
        Its hyper-parameters are numbers.
    dimension : int
        The number of coordinates of theta.

    Returns
    -------
    dict
        A trace as in :func:`loss_data`, with ``given``, the hyper-parameters that are inputs.

    Raises
    ------
    TypeError, ValueError
        If the program cannot be traced, or a hyper-parameter is an array or a symbol.

    Examples
    --------
    >>> import bea
    >>> data = program_data(bea.heavy_ball(0.9, damped=True), dimension=1)
    >>> data["inputs"], data["given"]
    (['theta_0', 'memory.h', 'memory.time', 'memory.step', 'beta'], {'beta': 0.9})
    >>> data["constants"], data["operations"]
    ([0.0], [['gradient', 0, 5], ['average', 6, 4, 5]])
    """
    if optimizer.symbols or optimizer.batch_shape:
        raise ValueError(f"{optimizer} holds symbols or arrays; give one number to each hyper-parameter")
    values = dict(optimizer.in_floats().hyperparameters)
    given = {name: value for name, value in values.items() if isinstance(value, float) and value}

    def update(**inputs: Any) -> Any:
        memory = _Recording(*(_series(inputs[f"memory.{name}"]) for name in ("h", "time", "step")))
        named = {name: inputs[name] for name in given}
        theta = _series(inputs["theta"])
        step = optimizer.program.__wrapped__(theta, _gradient, memory, **{**values, **named})  # type: ignore[attr-defined]
        return np.broadcast_to(_entries(step), (dimension,))

    inputs: dict[str, tuple[int, ...]] = {"theta": (dimension,), "memory.h": (), "memory.time": (), "memory.step": ()}
    found = trace(update, {**inputs, **{name: () for name in given}}, nonzero={"memory.h", *given})
    return {**_data(found), "given": given}


class _Recording(Memory):
    """A memory that records what it is asked, number by number."""

    __slots__ = ("calls", "h", "step", "time")

    def __init__(self, h: Series, time: Series, step: Series) -> None:
        self.h, self.time, self.step, self.calls = h, time, step, 0

    def _record(self, name: str, *values: Any) -> Node:
        return self.h.leading.item().tape.record(name, *map(_number, values))

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Series:
        """Return the averages of numbers, divided by one minus their weight if corrected."""
        last = (_entries(decay).item(), self.calls)
        self.calls += 1
        m = _each(lambda value: self._record("average", value, *last), x)
        return m * (1.0 / (1.0 - _series(self._record("weight", *last)))) if corrected else m

    def previous(self, x: Any, start: Any = 0.0) -> Series:
        """Return the numbers of the step before."""
        return _each(lambda value, first: self._record("previous", value, first), x, start)


def _gradient(theta: Any) -> Series:
    """Record a gradient, component by component."""
    point = [_number(x) for x in _entries(theta).flat]
    tape = next(x.tape for x in point if isinstance(x, Node))
    return _each(lambda i: tape.record("gradient", *point, float(i)), np.arange(len(point)))


def _each(function: Any, *values: Any) -> Series:
    """Apply a function of numbers to each entry."""
    arrays = np.broadcast_arrays(*map(_entries, values))
    found = np.empty(arrays[0].shape, dtype=object)
    for index in np.ndindex(found.shape):
        found[index] = function(*(array[index] for array in arrays))
    return _series(found)


def _entries(value: Any) -> np.ndarray:
    return np.asarray(value.leading if isinstance(value, Series) else value, dtype=object)


def _series(value: Any) -> Series:
    """Return Nodes as a Series of one term, on which NumPy's functions run."""
    array = np.asarray(value, dtype=object)
    return Series(array.reshape(1, 1, *array.shape))


def _number(x: Any) -> Any:
    return x if isinstance(x, Node) else float(x)


def _data(found: Trace) -> Data:
    """Return a trace in which all arguments are places, as JSON takes it."""
    missing = MISSING & {name for name, *_ in found.operations}
    if missing:
        raise ValueError(f"the live engine has no {', '.join(sorted(missing))}")
    used = [x for _, *values in found.operations for x in values] + list(found.outputs)
    constants = {repr(x): x for x in used if isinstance(x, float)}
    if not all(map(math.isfinite, constants.values())):
        raise ValueError("the live engine takes finite constants only")
    first = len(found.inputs)
    places = {text: first + n for n, text in enumerate(constants)}

    def place(x: Any) -> int:
        return places[repr(x)] if isinstance(x, float) else x if x < first else x + len(constants)

    return {
        "inputs": list(found.inputs),
        "constants": list(constants.values()),
        "operations": [[name, *map(place, values)] for name, *values in found.operations],
        "outputs": [place(x) for x in found.outputs],
    }
