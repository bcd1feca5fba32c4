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
        of these), or if the text of a function is not in a file.

    Examples
    --------
    >>> from functools import partial
    >>> identity(partial(max, 1)) == identity(partial(max, 2))
    False
    """
    return json.dumps(function, default=_plain)


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
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    array = isinstance(value, np.generic) or type(value) is np.ndarray
    if array and not value.dtype.hasobject:
        return [repr(value.dtype), value.shape, digest(value.tobytes())]
    if isinstance(value, PurePath):
        return str(value)
    if inspect.isbuiltin(value) and isinstance(value.__self__, ModuleType):
        return called(value)
    if isinstance(value, FunctionType):
        codes = [value.__code__]
        for code in codes:  # grows by the functions inside
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        names = {name for code in codes for name in code.co_names}
        read = {n: v for n, v in value.__globals__.items() if n in names and not _named(v)}
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        with suppress(OSError):
            text = inspect.getsource(value)
            return [text, value.__defaults__, value.__kwdefaults__, closed, read]
    raise TypeError(
        f"a stored sweep cannot tell this {type(value).__name__} from another one: {value!r}; use "
        "plain values (numbers, strings, paths, NumPy arrays, lists, tuples, dicts) and functions "
        "that are written in files, or give version=..., and a new one for new answers"
    )


def _named(value: Any) -> bool:
    """Return whether a global counts by its name alone: a module, a class or a function."""
    defined = hasattr(value, "__qualname__") and not inspect.ismethod(value)
    return defined or isinstance(value, (ModuleType, np.ufunc))
