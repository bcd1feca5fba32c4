r"""Sweeps: one function, evaluated at every point of a grid, on one core or on many machines.

A sweep is a question: a function, a grid of its arguments, a number of repeats and a seed.  Who
computes it, in which order and in how many pieces does not change a bit of the answer.  With a
folder, finished results are written there once a second, and a sweep that was interrupted goes on
from them.
"""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor
from contextlib import suppress
from itertools import islice, product
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from tqdm.auto import tqdm

from bea_book._stored import called, digest, identity, write

if TYPE_CHECKING:
    import xarray

__all__ = ["sweep"]

PERIOD = 1.0  # seconds between two files of results
IN_FLIGHT = 1000  # calls handed to an executor at one time
NOTE = "In this sweep, it happened at "
Result = dict[str, tuple[list[str], np.ndarray]]  # name: (names of the axes, array)


def sweep(
    function: Callable[..., Any],
    grid: Mapping[str, Iterable],
    *,
    repeats: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    version: str | int | None = None,
    progress: bool | None = None,
) -> xarray.Dataset:
    r"""Evaluate ``function`` at every point of ``grid``.

    Parameters
    ----------
    function : callable
        Called as ``function(**point)``, or ``function(**point, rng=rng)`` with repeats.  It returns
        a number, an array, or a dict from names to numbers or arrays; an array with named axes is a
        pair ``(names, array)``, as in xarray.  Names and shapes must be the same at all points.
    grid : mapping from str to sequence
        The values of each argument: numbers, strings or booleans.
    repeats : int, optional
        How often each point is evaluated, each time with another random generator.  Repeat r has
        the r-th child of ``SeedSequence(seed)``, the same one at every point, so that all points
        see the same random numbers.  Without repeats no generator is passed.
    seed : int
        The seed of all random generators.
    executor : concurrent.futures.Executor, optional
        Where the calls run: ``ProcessPoolExecutor(2)`` for two cores,
        ``distributed.Client(...).get_executor()`` for a Dask cluster.  By default, this process.
    folder : path, optional
        Where finished results are kept.  Call again with the same folder to resume.
    version : str or int, optional
        With a folder, your own name for what the function computes.  By default the function is
        recognized by its text and by the plain values that it uses (see Notes).
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal or in a notebook.

    Returns
    -------
    xarray.Dataset
        Its dimensions are the names in ``grid``, then ``repeat``, then those of the function's
        arrays.

    Raises
    ------
    ValueError, TypeError
        If an argument is not valid, if results differ in names or shapes, if ``folder`` is damaged
        or answers another question, or if the function cannot be recognized or sent to another
        process.
    ImportError
        If xarray is missing (``pip install bea-book[scale]``).

    Notes
    -----
    An error of the function ends the sweep, with a note that says at which point of the grid it
    happened.  If a process of a pool dies, the note lists all points that were being computed or
    next in line.  Results that came before are kept.

    Without ``version``, a stored sweep is recognized by the function's name, its text, and the
    values that it uses: arguments bound by ``functools.partial``, defaults, closures and globals.
    Only plain values count: numbers, strings, paths, NumPy arrays, and lists, tuples and dicts of
    these.  Anything else, such as an object, a lambda, a tensor or a DataFrame, is refused.  Other
    functions, classes and modules that it uses count by their names.  With ``version``, only the
    name and the version count: change it whenever the answers should change.

    What is bound to the function travels with every call to an executor, so load large data inside.

    Examples
    --------
    The distance from the minimum after ten steps, at four points:

    >>> from bea import heavy_ball, quadratic, run
    >>> def distance(beta, h):
    ...     return abs(run(heavy_ball(beta, damped=True), quadratic([1]), (1.0,), h, 10)[-1, 0])
    >>> found = sweep(distance, {"beta": [0.0, 0.5], "h": [0.1, 0.2]}, progress=False)
    >>> found.result.sel(beta=0.0).values.round(4).tolist()
    [0.3487, 0.1074]
    """
    from bea._validate import whole  # here, so that a build of pages does not load the engine

    try:
        import xarray  # optional, hence here
    except ImportError as problem:
        raise ImportError("a sweep needs xarray: pip install bea-book[scale]") from problem
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor = {executor!r} must be a concurrent.futures.Executor")
    repeats = None if repeats is None else whole("repeats", repeats, 1)
    asked = _Sweep(function, grid, repeats, whole("seed", seed, 0))
    if folder is not None:
        asked.open(Path(folder), version)
    done = {index for calls, _ in asked.pieces for index in calls}
    missing = [index for index in range(len(asked.points)) if index not in done]
    hidden = None if progress is None else not progress
    with tqdm(total=len(asked.points), initial=len(done), disable=hidden) as asked.bar:
        try:
            _here(asked, missing) if executor is None else _away(asked, missing, executor)
        finally:
            asked.flush()
    attributes = {"function": called(function), "seed": str(seed)}
    return xarray.Dataset(asked.variables(), asked.axes, attributes)


class _Sweep:
    """A function, the numbered points of its grid, and the results at them so far."""

    bar: tqdm

    def __init__(self, function: Callable, grid: Mapping, repeats: int | None, seed: int) -> None:
        if not callable(function) or not isinstance(grid, Mapping):
            raise TypeError(f"not a function and a mapping of values: {function!r}, {grid!r}")
        if taken := {"rng", "repeat"} & set(grid):
            raise ValueError(f"a sweep uses the name {min(taken)!r} itself; rename the argument")
        self.function, self.seed, self.token, self.folder = function, seed, uuid4().hex, None
        self.axes = {name: _values(name, values) for name, values in grid.items()}
        if repeats is not None:
            self.axes["repeat"] = list(range(repeats))
        self.points = [dict(zip(self.axes, point)) for point in product(*self.axes.values())]
        self.rows, self.pieces, self.layout, self.written = {}, [], {}, time.monotonic()

    def open(self, folder: Path, version: str | int | None) -> None:
        """Read the results in a folder, which must be to the same question."""
        if not isinstance(version, (str, int, float, type(None))):
            raise TypeError(f"version = {version!r} must be a string or a number of Python's own")
        used = identity(self.function) if version is None else None
        asked = {"function": called(self.function), "definition": used, "version": version}
        asked |= {"grid": list(self.axes.items()), "seed": self.seed}
        self.known = {key: digest(json.dumps(part).encode()) for key, part in asked.items()}
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob("*.npz.*.part"):  # of programs that were killed
            part.unlink(missing_ok=True)
        for path in sorted(folder.glob("*.npz")):
            content = path.read_bytes()
            if not path.stem.endswith(digest(content)):
                raise ValueError(f"{path} is damaged; remove it to compute again what it held")
            with np.load(io.BytesIO(content)) as file:
                head, *arrays = file.values()
            known, calls, layout = json.loads(head.item())
            if other := [key for key in asked if known[key] != self.known[key]]:
                changed = f"with another {' and '.join(other)}; take another folder"
                raise ValueError(f"{folder} holds the answers to another question, {changed}")
            self.check(calls[0], layout)
            self.pieces.append((calls, arrays))

    def check(self, index: int, layout: dict[str, list]) -> None:
        """Check the names, axes and shapes of one result."""
        axes = [axis for dims, shape in layout.values() for axis in zip(dims, shape)]
        sizes = dict(axes)
        names = [*layout, *sizes, *self.axes]
        self.layout = self.layout if self.rows or self.pieces else layout
        if layout != self.layout or len(set(names)) < len(names) or any(sizes[dim] != size for dim, size in axes):
            before = "" if layout == self.layout else f", and {self.layout} before"
            rule = (
                "names and shapes must be the same everywhere, an axis of one length in all arrays, "
                "and the names of results, of their axes and of the grid different"
            )
            raise ValueError(f"the function gave {layout} at {self.points[index]}{before}; {rule}")

    def call(self, index: int) -> tuple[Callable, dict[str, Any], int, str]:
        """Return the arguments of `_call`."""
        return self.function, dict(self.points[index]), self.seed, self.token

    def add(self, index: int, result: Result) -> None:
        """Take the result of one call."""
        self.check(index, {name: [dims, [*a.shape]] for name, (dims, a) in result.items()})
        self.rows[index] = [array for _, array in result.values()]
        self.bar.update()
        self.flush(PERIOD)

    def blame(self, error: BaseException, indices: list[int]) -> None:
        """Add one note to the error, which says where it happened."""
        points = (", ".join(f"{k} = {v!r}" for k, v in self.points[i].items()) for i in indices)
        others = [n for n in getattr(error, "__notes__", []) if not n.startswith(NOTE)]
        unsure = " or elsewhere on the same worker" * (type(error).__name__ == "KilledWorker")
        error.__notes__ = [*others, NOTE + "; or at ".join(points) + unsure + "."]

    def flush(self, period: float = 0.0) -> None:
        """Put the results of at least the last ``period`` seconds into one file."""
        if not self.rows or time.monotonic() < self.written + period:
            return
        calls, arrays = list(self.rows), [np.stack(like) for like in zip(*self.rows.values())]
        if self.folder is not None:
            buffer = io.BytesIO()
            np.savez(buffer, json.dumps([self.known, calls, self.layout]), *arrays)
            content = buffer.getvalue()
            write(self.folder / f"{calls[0]:07d}-{digest(content)}.npz", content)
        self.pieces.append((calls, arrays))
        self.rows, self.written = {}, time.monotonic()

    def variables(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Return all results, each with its axes."""
        calls = np.concatenate([calls for calls, _ in self.pieces])
        _, places = np.unique(calls, return_index=True)  # two programs may have made one call
        found, sizes = {}, [len(values) for values in self.axes.values()]
        for k, (name, (dims, shape)) in enumerate(self.layout.items()):
            values = np.concatenate([arrays[k] for _, arrays in self.pieces])[places]
            found[name] = (*self.axes, *dims), values.reshape((*sizes, *shape))
        return found


def _here(asked: _Sweep, indices: list[int]) -> None:
    """Make the calls in this process."""
    for index in indices:
        try:
            asked.add(index, _call(*asked.call(index)))
        except Exception as error:
            asked.blame(error, [index])
            raise


def _away(asked: _Sweep, indices: list[int], executor: Executor) -> None:
    """Have the calls made by an executor, and take their results as they come.

    After an error no call is begun, and only those that cannot be cancelled are waited for.
    """
    left, running, done, broken, failed = iter(indices), {}, SimpleQueue(), [], None

    def finished(future: Any) -> None:  # called by the executor, at once
        if not (future.cancelled() or broken) and isinstance(future.exception(), BrokenExecutor):
            broken.extend(i for f, i in list(running.items()) if f is future or f.running())
        done.put(future)

    if type(executor).__name__ == "ProcessPoolExecutor":  # no import: Python in a browser has none
        try:
            pickle.dumps(asked.function)
        except (pickle.PicklingError, AttributeError, TypeError) as problem:
            advice = "cannot be sent to another process; define it with def, in a module, and bind plain values"
            raise TypeError(f"{called(asked.function)} {advice}: {problem}") from problem
    try:
        while True:
            for index in islice(left, IN_FLIGHT - len(running)):
                try:
                    future = executor.submit(_call, *asked.call(index))
                except BrokenExecutor:  # the calls that are running report it, if there are any
                    if not running:
                        raise
                    break
                running[future] = index
                future.add_done_callback(finished)
            if not running:
                break
            with suppress(Empty):
                future = done.get(timeout=PERIOD)
                index = running.pop(future, -1)  # -1 if it was cancelled below
                try:
                    if index >= 0:
                        asked.add(index, future.result())
                except Exception as error:
                    if failed is None:
                        failed, left = error, iter(())
                        asked.blame(error, broken or [index])
                        running = {f: i for f, i in running.items() if not f.cancel()}
            future = None  # a cluster recomputes what died with a worker while anyone holds it
            asked.flush(PERIOD)
    finally:
        for future in running:
            future.cancel()
    if failed is not None:
        raise failed


def _call(function: Callable, point: dict[str, Any], seed: int, token: str) -> Result:
    """Call the function, wherever this runs; the token makes Dask's names for calls unique."""
    if "repeat" in point:
        child = np.random.SeedSequence(seed, spawn_key=(point.pop("repeat"),))
        point["rng"] = np.random.default_rng(child)
    result = function(**point)
    result = result if isinstance(result, Mapping) else {"result": result}
    return {str(name): _array(name, value) for name, value in result.items()}


def _array(name: str, value: Any) -> tuple[list[str], np.ndarray]:
    """Return the names of the axes and the array of one result."""
    pair = isinstance(value, tuple) and len(value) == 2 and np.asarray(value[0]).dtype.kind == "U"
    given = value[1] if pair else value
    array = np.asarray(given)
    dims = np.atleast_1d(value[0]) if pair else [f"{name}_{k}" for k in range(array.ndim)]
    real = array.dtype.kind in "biuf" and not isinstance(given, np.ma.MaskedArray)
    if not real or not len(dims) == len(set(dims)) == array.ndim:
        raise TypeError(f"the result {name} must be real, none masked, with an axis for each of {dims}: {value!r}")
    return list(map(str, dims)), array


def _values(name: str, values: Iterable) -> list:
    """Return the values of one argument as Python's numbers, strings or booleans."""
    given = [] if isinstance(values, (str, bytes, Mapping)) else list(values)
    array = np.asarray([] if any(map(np.ndim, given)) else given)
    plain = array.dtype.kind in "biufU" and array.tolist() == given
    if not plain or not 0 < len(set(given)) == len(given):
        allowed = "a sequence of different numbers, strings or booleans"
        raise ValueError(f"the values of {name} must be {allowed}, not {values!r}")
    return array.tolist()
