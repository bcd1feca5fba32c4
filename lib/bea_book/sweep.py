r"""Sweeps: one function, measured at every setting of a grid, here or on many machines.

A sweep is a *question*: a function, a grid of its arguments, a number of repeats and a seed.  Who
computes it, in which order and in how many pieces is no part of the question, and changes no bit of
the answer.  With a folder, each finished setting is written there at once, so that a sweep that was
killed goes on where it stopped.
"""

import hashlib
import inspect
import io
import json
import os
import zipfile
from collections.abc import Mapping
from concurrent.futures import Executor, as_completed
from contextlib import closing
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import product
from numbers import Number
from pathlib import Path
from types import CodeType
from uuid import uuid4

import numpy as np

from bea.series import whole

__all__ = ["sweep"]


def sweep(function, grid, *, repeats=None, seed=0, executor=None, folder=None, progress=True):
    r"""Call ``function`` at every setting of ``grid``, and give the results as one labelled xarray
    Dataset.

    Parameters
    ----------
    function : called as ``function(**setting)``, or ``function(**setting, rng=rng)`` with repeats
        It returns a number, an array, or a dict from names to numbers or arrays; for an array with
        named axes, as in xarray, the pair ``(names, array)``.  All settings give the same names and
        shapes.
    grid : mapping from each argument's name to its values: numbers, words or booleans
        Every combination is one setting.
    repeats : how often each setting is measured, each time with another random generator
        Repeat r has the r-th child of ``SeedSequence(seed)``, the same at every setting, so that
        differences between settings are not blurred by chance.  Without repeats no generator is
        passed.
    seed : whole number that starts all random generators
    executor : any ``concurrent.futures.Executor``; without one, this process does it all
        ``ProcessPoolExecutor(2)`` for two cores, ``distributed.Client(...).get_executor()`` for a
        cluster.
    folder : where each finished setting is kept, one file for each
        Call again with the same folder to go on after an interruption.
    progress : whether to show a progress bar

    Returns
    -------
    xarray.Dataset
        Its dimensions are the grid's names, then ``repeat``, then those of the function's arrays;
        save it with ``to_netcdf`` or ``to_zarr``.

    Raises
    ------
    ValueError or TypeError
        If an argument is of the wrong kind, if results differ in names or shapes, or if ``folder``
        holds the answers to another question.
    ImportError
        Without xarray (``pip install bea-book[scale]``).

    Notes
    -----
    An error of the function itself is passed on, with a note that says at which setting; what is
    finished by then stays in ``folder``.  The function is recognized by its name, its own code and
    the plain values bound to it; what it calls or reads besides is not watched.

    Examples
    --------
    The distance from the minimum after ten steps, for four settings:

    >>> from bea import gradient_descent, heavy_ball, quadratic, run
    >>> def distance(beta, h):
    ...     return abs(run(heavy_ball(beta, damped=True), quadratic([1]), (1.0,), h, 10)[-1, 0])
    >>> found = sweep(distance, {"beta": [0.0, 0.5], "h": [0.1, 0.2]}, progress=False)
    >>> found.result.sel(beta=0.0).values.round(4).tolist()
    [0.3487, 0.1074]
    """
    try:
        import xarray  # optional, hence here
    except ImportError as problem:
        raise ImportError("bea_book.sweep needs xarray: pip install bea-book[scale]") from problem
    question = _Question(function, grid, repeats, seed)
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor = {executor!r} must be a concurrent.futures.Executor")
    if not isinstance(progress, bool):
        raise TypeError(f"progress = {progress!r} must be True or False")
    store = None if folder is None else _Store(folder, question)
    found = {} if store is None else store.load(range(len(question)))
    first = next(iter(found.values()), None)
    missing = [index for index in range(len(question)) if index not in found]
    bar = _bar(len(question), len(found), progress)
    with bar, closing(_outcomes(question, missing, executor)) as outcomes:
        for index, outcome in outcomes:
            first = first or outcome
            question.check(index, outcome, first)
            if store is not None:
                store.save(index, outcome)
            found[index] = outcome
            bar.update()
    return question.dataset(xarray, found)


class _Question:
    """What is asked, checked: a function and the numbered calls of it."""

    def __init__(self, function, grid, repeats, seed):
        if not callable(function):
            raise TypeError(f"a function is needed, not {function!r}")
        if not isinstance(grid, Mapping):
            raise TypeError(f"grid = {grid!r} must be a mapping from names to values")
        self.function, self.seed = function, whole("seed", seed, 0)
        self.grid = {_name(name): _values(name, values) for name, values in grid.items()}
        self.axes = list(self.grid.items())
        self.children = [None]
        if repeats is not None:
            repeats = whole("repeats", repeats, 1)
            self.axes.append(("repeat", list(range(repeats))))
            self.children = np.random.SeedSequence(self.seed).spawn(repeats)
        self.repeats = repeats
        settings = (dict(zip(self.grid, chosen)) for chosen in product(*self.grid.values()))
        self.calls = [(setting, child) for setting in settings for child in self.children]
        self._check_signature()

    def __len__(self):
        return len(self.calls)

    def _check_signature(self):
        setting, child = self.calls[0]
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):
            return  # some functions in C have none
        given = {**setting, **({} if child is None else {"rng": None})}
        try:
            signature.bind(**given)
        except TypeError as problem:
            raise TypeError(
                f"{_called(self.function)}{signature} cannot be called with "
                f"{', '.join(given) or 'no arguments'}: {problem}"
            ) from problem

    def where(self, index):
        """The setting of a call in words."""
        setting, _ = self.calls[index]
        repeat = {} if self.repeats is None else {"repeat": index % self.repeats}
        return ", ".join(f"{k} = {v!r}" for k, v in {**setting, **repeat}.items()) or "no arguments"

    def described(self):
        """What tells this question from another, as JSON."""
        digest = hashlib.sha256()
        _feed(digest, self.function)
        return {
            "function": _called(self.function),
            "code": digest.hexdigest(),
            "grid": [[name, values] for name, values in self.grid.items()],
            "repeats": self.repeats,
            "seed": self.seed,
        }

    def check(self, index, outcome, first):
        """Raises ValueError if a result does not fit the grid, or not the first one."""
        shapes = {name: (dims, array.shape) for name, (dims, array) in outcome.items()}
        wanted = {name: (dims, array.shape) for name, (dims, array) in first.items()}
        if shapes != wanted:
            raise ValueError(
                f"at {self.where(index)} the function gave {shapes}, before that {wanted}; "
                "names and shapes must be the same at all settings"
            )
        taken = {name for name, _ in self.axes}
        used = set(outcome).union(*(dims for dims, _ in outcome.values()))
        if clash := sorted(taken & used):
            raise ValueError(
                f"the function's results use the name {clash[0]!r}, which the grid has"
            )

    def dataset(self, xarray, found):
        """All results as one Dataset."""
        names, sizes = [name for name, _ in self.axes], [len(values) for _, values in self.axes]
        variables = {}
        for name, (dims, like) in found[0].items():
            arrays = [found[index][name][1] for index in range(len(self))]
            variables[name] = ((*names, *dims), np.stack(arrays).reshape((*sizes, *like.shape)))
        attributes = {"function": _called(self.function), "seed": str(self.seed)}
        return xarray.Dataset(variables, dict(self.axes), attributes)


class _Store:
    """A folder with the question and one file for each finished call, each written whole or not at
    all."""

    def __init__(self, folder, question):
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"folder = {folder!r} must be a path")
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file; a sweep needs a folder")
        kept, asked = self.folder / "question.json", question.described()
        if kept.exists():
            try:
                known = json.loads(kept.read_text(encoding="utf-8"))
            except ValueError as problem:
                raise ValueError(f"{kept} is not what a sweep wrote there") from problem
            if not isinstance(known, dict):
                raise ValueError(f"{kept} is not what a sweep wrote there")
            if known != asked:
                different = [key for key in asked if known.get(key) != asked[key]]
                raise ValueError(
                    f"{self.folder} holds the answers to another question, with another "
                    f"{' and '.join(different)}; take another folder, or ask what was asked there"
                )
        elif self.folder.exists() and any(p.suffix != ".part" for p in self.folder.iterdir()):
            raise ValueError(f"{self.folder} is not empty, and no sweep has made it; take another")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(kept, json.dumps(asked, indent=1).encode())

    def _path(self, index):
        return self.folder / f"{index:07d}.npz"

    def load(self, indices):
        """The finished calls: a dict from their numbers to their results."""
        found = {}
        for index in indices:
            path = self._path(index)
            if not path.exists():
                continue
            try:
                with np.load(path) as file:
                    head = json.loads(file["head"].item())
                    found[index] = {
                        name: (tuple(dims), file[f"v{k}"]) for k, (name, dims) in enumerate(head)
                    }
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
                raise ValueError(f"{path} is damaged; remove it to compute it again") from problem
        return found

    def save(self, index, outcome):
        head = json.dumps([[name, dims] for name, (dims, _) in outcome.items()])
        buffer = io.BytesIO()
        arrays = {f"v{k}": array for k, (_, array) in enumerate(outcome.values())}
        np.savez(buffer, head=np.array(head), **arrays)
        self._write(self._path(index), buffer.getvalue())

    def _write(self, path, content):
        part = path.with_name(f"{path.name}.{uuid4().hex}.part")  # nobody else's
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # on the disk before it gets its name
        os.replace(part, path)


def _outcomes(question, indices, executor):
    """(number, result) of the calls as they finish.

    After an error nothing new is begun, but what is under way is still waited for, so that it is not
    lost.
    """
    if executor is None:
        for index in indices:
            try:
                yield index, _call(question.function, *question.calls[index])
            except Exception as error:
                error.add_note(f"This was at {question.where(index)}.")
                raise
        return
    futures, failed = {}, None
    try:
        for index in indices:
            futures[executor.submit(_call, question.function, *question.calls[index])] = index
        for future in as_completed(futures):
            if future.cancelled():
                continue
            error = future.exception()
            index, outcome = futures.pop(future), None if error else future.result()
            # a cluster computes again what died with a worker as long as anyone holds its future
            del future
            if error is None:
                yield index, outcome
            elif failed is None:
                failed = error
                failed.add_note(f"This was at {question.where(index)}.")
                for other in futures:
                    other.cancel()
    finally:
        for future in futures:
            future.cancel()
    if failed is not None:
        raise failed


def _call(function, setting, child):
    """One call, wherever it runs: a dict from names to (names of axes, array)."""
    chance = {} if child is None else {"rng": np.random.default_rng(child)}
    outcome = function(**setting, **chance)
    outcome = outcome if isinstance(outcome, Mapping) else {"result": outcome}
    return {_name(name): _array(name, value) for name, value in outcome.items()}


def _array(name, value):
    """(names of the axes, array) of one result, as a number, an array, or such a pair."""
    dims = None
    if isinstance(value, tuple) and len(value) == 2:
        if isinstance(value[0], str):
            dims, value = (value[0],), value[1]
        elif isinstance(value[0], (tuple, list)) and all(isinstance(d, str) for d in value[0]):
            dims, value = tuple(value[0]), value[1]
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"the result {name} = {value!r} must be a real number or an array of them")
    if dims is None:
        dims = tuple(f"{name}_{axis}" for axis in range(array.ndim))
    if len(dims) != array.ndim or len(set(dims)) != len(dims):
        raise ValueError(f"the result {name} of shape {array.shape} cannot have the axes {dims}")
    return dims, array


def _bar(total, done, shown):
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, disable=not shown, unit="setting")


# --- what a question may hold, and how it is recognized -----------------------------------------


def _name(name):
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"{name!r} is no name that an argument or a result can have")
    return name


def _values(name, values):
    """The values of one argument, as plain Python numbers, words or booleans."""
    if name in ("rng", "repeat"):
        raise ValueError(f"the name {name!r} is the sweep's own; call the argument otherwise")
    wrong = TypeError(
        f"the values of {name} must be a sequence of numbers, of words or of booleans, not {values!r}"
    )
    if isinstance(values, (str, bytes, Number, Mapping, set)):
        raise wrong
    try:
        values = list(values)
        array = np.asarray(values)
    except (TypeError, ValueError) as problem:
        raise wrong from problem
    kinds = {
        "b": (bool, np.bool_),
        "U": str,
        "i": (int, np.integer),
        "u": (int, np.integer),
        "f": (int, float, np.integer, np.floating),
    }
    kind = kinds.get(array.dtype.kind)
    if not values:
        raise ValueError(f"{name} has no values; give at least one")
    if array.ndim != 1 or kind is None or not all(isinstance(value, kind) for value in values):
        raise wrong
    if array.dtype.kind != "b" and any(isinstance(value, (bool, np.bool_)) for value in values):
        raise wrong
    values = array.tolist()
    if len(set(values)) < len(values) or any(value != value for value in values):
        raise ValueError(f"the values of {name} must differ from each other, not {values}")
    return values


def _called(function):
    """The function's name, with its module."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _feed(digest, value, seen=()):
    """Feed what a function is made of to a digest: its code, and the values bound to it.

    Comments and places in a file do not count, and neither do addresses in memory.  What is neither
    plain data nor a dataclass counts by its type alone.
    """
    if any(value is other for other in seen):
        return
    seen = (*seen, value)
    digest.update(type(value).__qualname__.encode())
    if isinstance(value, partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, CodeType):
        parts = [value.co_code, value.co_names, value.co_varnames, value.co_consts]
    elif inspect.isfunction(value):
        closure = [cell.cell_contents for cell in value.__closure__ or ()]
        parts = [value.__code__, value.__defaults__, value.__kwdefaults__, closure]
    elif inspect.ismethod(value):
        parts = [value.__func__, value.__self__]
    elif isinstance(value, np.ndarray) and value.dtype != object:
        parts = [str(value.dtype), value.shape, value.tobytes()]
    elif isinstance(value, (tuple, list)) or isinstance(value, np.ndarray):
        parts = [len(value), *value]
    elif isinstance(value, (set, frozenset)):
        parts = sorted(value, key=repr)
    elif isinstance(value, Mapping):
        parts = [part for pair in value.items() for part in pair]
    elif isinstance(value, bytes):
        digest.update(value)
        return
    elif inspect.isroutine(value) or isinstance(value, type) or inspect.ismodule(value):
        parts = [f"{getattr(value, '__module__', '')}.{value.__name__}"]
    elif is_dataclass(value):  # its fields alone, not what it has computed and kept
        parts = [getattr(value, field.name) for field in fields(value)]
    elif hasattr(value, "__dict__"):
        parts = []
    else:
        parts = [] if type(value).__repr__ is object.__repr__ else [repr(value).encode()]
    for part in parts:
        _feed(digest, part, seen)
