"""One rule for what a change of a hyper-parameter does over seeds: it rises, falls, is null, or is open.

A change is taken within each seed.  It is *null* if its 90 per cent t-interval lies within a bound: two
one-sided tests at 5 per cent.  It is *established* if a t-test finds that it is not zero, at 5 per cent with
Holm's correction over all changes that are tested together.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["BOUND", "CHANGES", "POINTS", "QUANTITIES", "changes", "established", "interval", "null", "results", "shown"]

#: Smaller changes, in per cent, are too small to matter.
BOUND = 2.0
#: The same for the accuracy, in points.
POINTS = 0.5
#: What the studies of the decay rates measure, in their order.
QUANTITIES = (
    "one-norm", "perturbed one-norm", "two-norm", "sharpness", "test loss", "accuracy", "loss", "preconditioned sharpness",
)  # fmt: skip
#: The changes that are tested: the new decay rates (beta, rho), and the old ones.
CHANGES = {
    "β 0 to 0.9": ((0.9, 0.999), (0, 0.999)),
    "β 0 to 0.99": ((0.99, 0.999), (0, 0.999)),
    "β 0.9 to 0.99": ((0.99, 0.999), (0.9, 0.999)),
    "ρ 0.9 to 0.9995": ((0.9, 0.9995), (0.9, 0.9)),
}
Key = TypeVar("Key", bound=Hashable)


def interval(values: ArrayLike, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and half-width of the t-interval.

    Parameters
    ----------
    values : array_like (seeds, ...)
    confidence : float

    Returns
    -------
    mean, half : arrays (...)

    Examples
    --------
    >>> mean, half = interval([1.0, 2.0, 3.0])
    >>> print(f"{mean:.1f} ± {half:.2f}")
    2.0 ± 2.48
    """
    values = np.asarray(values, dtype=float)
    return values.mean(axis=0), stats.t.ppf((1 + confidence) / 2, len(values) - 1) * stats.sem(values)


def shown(values: ArrayLike, digits: int = 1) -> str:
    """Return mean and half-width of the 95 per cent interval, as text.

    Parameters
    ----------
    values : array_like (seeds,)
    digits : int

    Returns
    -------
    str

    Examples
    --------
    >>> shown([1.0, 2.0, 3.0])
    '+2.0 ± 2.5'
    """
    mean, half = interval(values)
    return f"{mean:+.{digits}f} ± {half:.{digits}f}"


def null(values: ArrayLike, bound: float = BOUND) -> bool:
    """Return whether a change is null: its 90 per cent interval lies within the bound.

    Parameters
    ----------
    values : array_like (seeds,)
    bound : float

    Returns
    -------
    bool

    Examples
    --------
    >>> null([0.1, -0.2, 0.3]), null([0.1, -0.2, 3.0])
    (True, False)
    """
    mean, half = interval(values, 0.9)
    return bool(abs(mean) + half < bound)


def established(tested: Mapping[Key, ArrayLike]) -> set[Key]:
    """Return the changes that are not zero, by t-tests at 5 per cent with Holm's correction over all that are given.

    Parameters
    ----------
    tested : mapping to array_like (seeds,)
        One with a NaN counts as tested, and is not established.

    Returns
    -------
    set

    Examples
    --------
    >>> established({"a": [1.0, 1.1, 0.9], "b": [1.0, -1.0, 0.1]})
    {'a'}
    """
    p = {key: _p_value(np.asarray(values)) for key, values in tested.items()}
    found: set[Key] = set()
    for k, key in enumerate(sorted(p, key=p.__getitem__)):
        if not p[key] < 0.05 / (len(p) - k):
            break
        found.add(key)
    return found


def _p_value(values: np.ndarray) -> float:
    """Of a t-test; 1 where there is none (NaN, one seed), and its limit if all seeds change by the same."""
    if np.ptp(values) > 0:
        return stats.ttest_1samp(values, 0).pvalue
    return float(len(values) < 2 or np.isnan(values).any() or not values[0])


def results(tested: Mapping[Key, ArrayLike], bound: float = BOUND) -> dict[Key, str]:
    """Return for each change "null", or "rises" or "falls" if it is established, or "open".

    Parameters
    ----------
    tested : mapping to array_like (seeds,)
        All changes that are tested together.  Those whose key is a tuple with "accuracy" at its end have the bound
        `POINTS`.
    bound : float

    Returns
    -------
    dict

    Examples
    --------
    >>> results({"a": [5.0, 5.1, 4.9], "b": [0.1, -0.1, 0.0], "c": [1.0, -9.0, 2.0]})
    {'a': 'rises', 'b': 'null', 'c': 'open'}
    """
    there, found = established(tested), {}
    for key, values in tested.items():
        small = null(values, POINTS if isinstance(key, tuple) and key[-1] == "accuracy" else bound)
        word = "rises" if interval(values)[0] > 0 else "falls"
        found[key] = "null" if small else word if key in there else "open"
    return found


def changes(
    values: Mapping[str, np.ndarray], pairs: Sequence[Sequence[float]]
) -> dict[tuple[str, int, str, str], np.ndarray]:
    """Return all changes of a study of the decay rates, in per cent within a seed; of the accuracy, in points.

    Parameters
    ----------
    values : mapping from str to array (seeds, places, pairs, quantities)
        The committed results, for each case.
    pairs : sequence of (beta, rho)

    Returns
    -------
    dict
        Arrays (seeds,), for each case, number of a place (a level of the loss, or a time), change and quantity.

    Examples
    --------
    >>> values = np.ones((3, 1, 2, len(QUANTITIES)))
    >>> values[:, :, 1] = 1.1
    >>> found = changes({"h = 0.001": values}, [(0.9, 0.9), (0.9, 0.9995)])
    >>> found["h = 0.001", 0, "ρ 0.9 to 0.9995", "one-norm"].round(6).tolist()
    [10.0, 10.0, 10.0]
    """
    at = {tuple(pair): k for k, pair in enumerate(pairs)}
    there = {name: (at[new], at[old]) for name, (new, old) in CHANGES.items() if {new, old} <= at.keys()}
    found = {}
    for case, v in values.items():
        for (name, (new, old)), place in product(there.items(), range(v.shape[1])):
            for q, quantity in enumerate(QUANTITIES):
                one, two = v[:, place, new, q], v[:, place, old, q]
                if quantity != "loss":
                    found[case, place, name, quantity] = one - two if quantity == "accuracy" else 100 * (one / two - 1)
    return found
