"""Checks of arguments: what users get wrong, in one place.

Every message says what was given, what is allowed and, where it is not obvious, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sympy as sp

__all__ = ["batch_sequence", "finite", "interval", "step_size", "whole", "with_batch"]


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return `value` as an int; raise if it is not a whole number from `least` to `most`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r} must be a whole number")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} = {value} must be {allowed}")
    return int(value)


def step_size(h: Any) -> Any:
    """Return `h` as a float, or as an array (batch,); raise unless it is positive and finite."""
    if type(h) is float and 0 < h < np.inf:  # nearly always; NumPy takes its time over one number
        return h
    return interval("the step size h", h, 0.0, np.inf, open_below=True)


def interval(name: str, value: Any, low: float, high: float, open_below: bool = False) -> Any:
    """Return real numbers as a float or an array (batch,) in [low, high) or (low, high); symbols as they are."""
    if isinstance(value, sp.Expr) and not value.is_number:
        return value
    try:
        if value is None or isinstance(value, (bool, np.bool_, str, bytes)):
            raise TypeError  # NumPy makes nan of None
        array = np.asarray(value)
        if array.dtype.kind not in "iufO" or isinstance(value, np.ma.MaskedArray):
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"{name} = {value!r} must be a real number, a one-dimensional array of them (a batch of "
            "configurations) or a SymPy expression"
        ) from None
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} has the shape {array.shape}; allowed are () and (batch,)")
    inside = (array > low if open_below else array >= low) & (array < high)
    if not np.all(inside):
        wrong = np.atleast_1d(array)[~np.atleast_1d(inside)][0]
        above = f"{'(' if open_below else '['}{low:g}, {'infinity' if np.isinf(high) else f'{high:g}'})"
        raise ValueError(f"{name} = {wrong} must be in {above}")
    if isinstance(value, sp.Expr):  # exact numbers stay exact
        return value
    return array if array.ndim else float(array)


def batch_sequence(batches: Any, count: int) -> Iterable[int] | None:
    """Return the mini-batch of each step, checked, or None if there is one loss and no need for it.

    A generator is checked as it runs, so that it may be endless.
    """
    if batches is None:
        if count > 1:
            raise ValueError(
                f"{count} mini-batch losses were given without batches; give the index of the loss "
                "that each step uses, such as batches=[0, 1, 1, 0]"
            )
        return None
    if isinstance(batches, Iterator):
        return (whole("an entry of batches", batch, 0, count - 1) for batch in batches)
    array = np.asarray(batches)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise TypeError(f"batches must be a non-empty sequence of whole numbers, not {batches!r}")
    if array.min() < 0 or array.max() >= count:
        raise ValueError(
            f"batches must lie in 0..{count - 1} for {count} losses; {array.min()} to {array.max()} were given"
        )
    return tuple(array.tolist())


def with_batch(theta: np.ndarray, batch: tuple[int, ...]) -> np.ndarray:
    """Broadcast `theta`, (d,) or (d, points), against a batch of configurations of that shape."""
    if not batch:
        return np.ascontiguousarray(theta)
    try:
        shape = np.broadcast_shapes(theta.shape[1:], batch)
    except ValueError:
        raise ValueError(
            f"{theta.shape[1]} points and {batch[0]} configurations do not combine; give as many of "
            "one as of the other, or one"
        ) from None
    theta = theta.reshape(theta.shape + (1,) * (len(shape) - theta.ndim + 1))
    return np.ascontiguousarray(np.broadcast_to(theta, (len(theta), *shape)))


def finite(what: str, name: str, value: np.ndarray) -> None:
    """Raise ValueError if an array (d, ...) has an entry that is not finite, naming its coordinate."""
    wrong = ~np.isfinite(np.asarray(value, dtype=float))
    if wrong.any():
        coordinate = int(np.argwhere(wrong)[0][0])
        raise ValueError(f"{what} is not finite at {name}: coordinate {coordinate} is {value[coordinate]}")
