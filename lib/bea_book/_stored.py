"""What a folder of results is made of: how its question is recognized, and how its files are written.

A folder must not answer any question but the one that filled it.  So a value counts only if
all of it can be written down; anything else is refused, and the user names a version.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any
from uuid import uuid4

import numpy as np

__all__ = ["called", "digest", "identity", "write"]


def called(function: Callable) -> str:
    """Return the name of a function, with its module."""
    function = function.func if isinstance(function, partial) else function
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def digest(content: bytes) -> str:
    """Return 16 hexadecimal digits that tell contents apart."""
    return hashlib.sha256(content).hexdigest()[:16]


def identity(function: Callable) -> str:
    """Return the text of a function and all values that it uses besides its arguments.

    Raises
    ------
    TypeError
        If a value is not plain (numbers, strings, paths, NumPy arrays, and lists, tuples and dicts
        of these) or holds itself, or if a function is a lambda, of whose text Python knows only the
        lines, or not written in a file.

    Examples
    --------
    >>> from functools import partial
    >>> identity(partial(max, 1)) == identity(partial(max, 2))
    False
    """
    try:
        return json.dumps(_plain(function))
    except RecursionError:
        raise TypeError(
            f"a stored sweep cannot write down {function!r}: it holds itself, or uses what does; "
            "give version=..., and a new one for new answers"
        ) from None


def write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException as problem:
        part.unlink(missing_ok=True)
        if not isinstance(problem, FileNotFoundError) or not path.parent.is_dir():
            raise
        write(path, content)  # another program has started, and cleaned up


def _plain(value: Any) -> Any:
    """Return as JSON what tells `value` from others."""
    kind = type(value).__name__
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [kind, *map(_plain, value)]
    if isinstance(value, dict):
        return [kind, *map(_plain, value.items())]
    if isinstance(value, partial):
        return [kind, *map(_plain, (value.func, value.args, value.keywords))]
    array = isinstance(value, np.generic) or type(value) is np.ndarray
    if array and not value.dtype.hasobject:
        return [repr(value.dtype), value.shape, digest(value.tobytes())]
    if isinstance(value, PurePath):
        return ["path", str(value)]
    if inspect.isbuiltin(value) and isinstance(value.__self__, ModuleType):
        return [kind, called(value)]
    if isinstance(value, FunctionType) and value.__name__ != "<lambda>":
        codes = [value.__code__]
        for code in codes:  # grows by the functions inside
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        names = {name for code in codes for name in code.co_names}
        read = {n: v for n, v in value.__globals__.items() if n in names and not _named(v)}
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        with suppress(OSError):
            text = inspect.getsource(value.__code__)  # that of a decorated function is its decorator's
            return [kind, text, *map(_plain, (value.__defaults__, value.__kwdefaults__, closed, read))]
    raise TypeError(
        f"a stored sweep cannot tell this {type(value).__name__} from another one: {value!r}; use "
        "plain values (numbers, strings, paths, NumPy arrays, lists, tuples, dicts) and functions "
        "that are written with def in files, or give version=..., and a new one for new answers"
    )


def _named(value: Any) -> bool:
    """Return whether a global counts by its name alone: a module, a class or a function."""
    defined = hasattr(value, "__qualname__") and not inspect.ismethod(value)
    return defined or isinstance(value, (ModuleType, np.ufunc))
