"""Checks of arguments: what users get wrong, in one place.

Every message says what was given, what is allowed and, where it is not obvious, what to do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any

import numpy as np
import sympy as sp

__all__ = [
    "batch_sequence",
    "columns_apart",
    "finite",
    "finite_batches",
    "interval",
    "one_number",
    "real_numbers",
    "step_size",
    "whole",
    "with_batch",
]


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return `value` as an int; raise if it is not a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} = {value!r} must be a whole number")
    if value < least or (most is not None and value > most):
        raise ValueError(
            f"{name} = {value} must be {f'at least {least}' if most is None else f'from {least} to {most}'}"
        )
    return int(value)


def real_numbers(value: Any) -> np.ndarray:
    """Return `value` as an array of floats; raise TypeError, ValueError or OverflowError unless it is real numbers."""
    array = np.asarray(value)
    odd = _is_odd(value) or array.dtype.hasobject and any(map(_is_odd, array.flat))
    if value is None or odd or array.dtype.kind not in "iufO" or isinstance(value, np.ma.MaskedArray):
        raise TypeError  # NumPy would make numbers of None, strings and truth values, and show what is masked
    return array.astype(float)


def _is_odd(value: Any) -> bool:
    """Return whether a value is a truth value or a string, or a list that holds one."""
    if isinstance(value, (list, tuple)):
        return any(map(_is_odd, value))
    return isinstance(value, (bool, np.bool_, str, bytes))


def step_size(h: Any) -> Any:
    """Return `h` as a float, or as an array (batch,); raise unless it is positive and finite."""
    h = interval("the step size h", h, 0.0, np.inf, open_below=True)
    if isinstance(h, sp.Expr) and not h.is_number:
        raise TypeError(f"the step size h = {h} must be a number; it holds symbols")
    return float(h) if isinstance(h, sp.Expr) else h


def interval(name: str, value: Any, low: float, high: float, open_below: bool = False) -> Any:
    """Return real numbers as a float or an array (batch,) in [low, high) or (low, high); symbols as they are."""
    if isinstance(value, sp.Expr) and not value.is_number:
        return value
    if type(value) is float and (low < value if open_below else low <= value) and value < high:
        return value  # nearly always; NumPy takes its time over one number
    try:
        array = real_numbers(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} = {value!r} must be a real number, a one-dimensional array or an expression") from None
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} has the shape {array.shape}; allowed are () and (batch,)")
    inside = (array > low if open_below else array >= low) & (array < high)
    if not np.all(inside):
        above = f"{'(' if open_below else '['}{low:g}, {'infinity' if np.isinf(high) else f'{high:g}'})"
        raise ValueError(f"{name} = {array[~inside].flat[0]} must be in {above}")
    if isinstance(value, sp.Expr):  # exact numbers stay exact
        return value
    return array if array.ndim else float(array)


def one_number(name: str, value: Any, low: float, high: float, open_below: bool = False) -> float:
    """Return one real number in [low, high) or (low, high) as a float."""
    found = interval(name, value, low, high, open_below)
    if np.ndim(found):
        raise ValueError(f"{name} must be one number, not {value!r}")
    return float(found)


def batch_sequence(batches: Any, count: int) -> Iterable[int] | None:
    """Return the mini-batch of each step, checked, or None if there is one loss and no need for it.

    A generator is checked as it runs, so that it may be endless.
    """
    if batches is None and count > 1:
        raise ValueError(f"{count} mini-batch losses were given without batches, such as batches=[0, 1, 1, 0]")
    if batches is None:
        return None
    if isinstance(batches, Iterator):
        return (whole("an entry of batches", batch, 0, count - 1) for batch in batches)
    array = np.asarray(batches)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise TypeError(f"batches must be a non-empty sequence of whole numbers, not {batches!r}")
    low, high = array.min(), array.max()
    if low < 0 or high >= count:
        raise ValueError(f"batches must lie in 0..{count - 1} for {count} losses; {low} to {high} were given")
    return tuple(array.tolist())


def finite_batches(batches: Any, count: int) -> tuple[int, ...] | None:
    """Return the mini-batches of all steps, which an equation must know beforehand."""
    if isinstance(batches, Iterator):
        raise TypeError(f"batches must be a sequence, such as a list, and not {batches!r}, which may be endless")
    found = batch_sequence(batches, count)
    return None if found is None else tuple(found)


def with_batch(theta: np.ndarray, batch: tuple[int, ...]) -> np.ndarray:
    """Broadcast `theta`, (d,) or (d, points), against a batch of configurations of that shape."""
    if not batch:
        return np.ascontiguousarray(theta)
    if theta.ndim == 1:
        theta = theta[:, None]
    points = theta.shape[1:]
    if 1 not in (*points, *batch) and points != batch:
        raise ValueError(f"{points[0]} points and {batch[0]} configurations do not combine; give one or as many")
    room = np.empty((len(theta), max(*points, *batch)))
    room[:] = theta
    return room


def all_finite(array: np.ndarray) -> bool:
    """Return whether all entries are finite; the first test is fast, gives no warning and almost always decides."""
    return isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def finite(what: str, value: np.ndarray) -> None:
    """Raise ValueError if an array (d, ...) at the start has an entry that is not finite, naming its coordinate."""
    wrong = np.argwhere(~np.isfinite(np.asarray(value, dtype=float)))
    if wrong.size:
        coordinate = int(wrong[0][0])
        raise ValueError(f"{what} is not finite at the start: coordinate {coordinate} is {value[coordinate]}")


def columns_apart(evaluate: Callable[[np.ndarray], np.ndarray], x: np.ndarray, last: bool = True) -> bool:
    """Return whether the other columns of ``evaluate(x)``, for x of shape (d, columns), are independent of its last column.

    With `last`, the last column of the result must also be what it is where all columns of x equal the last one.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        others = evaluate(x)[..., :-1]
        for value in (0.0, 1e3, -1e8, np.nan):
            changed = x.copy()
            changed[..., -1] = value
            try:
                found = evaluate(changed)
                alone = (
                    evaluate(np.repeat(changed[..., -1:], x.shape[-1], axis=-1))[..., -1] if last else found[..., -1]
                )
            except Exception:  # it says nothing about the other columns
                continue
            for one, other in ((found[..., :-1], others), (found[..., -1], alone)):
                if not np.allclose(one, other, rtol=1e-9, atol=1e-300, equal_nan=True):
                    return False
    return True
