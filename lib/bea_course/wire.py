"""Answers as text: what passes between the process of an answer and that of its test.

Nothing but plain values passes: numbers, text, arrays, lists and the like, SymPy's formulas, and
functions as handles that are called from afar.  Nothing that is sent is ever executed on arrival,
as it would be with pickle.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanAtom

__all__ = ["LARGEST", "Unknown", "decode", "encode", "limit_memory", "line_of"]

LARGEST = 20_000_000  # bytes of one message


class Unknown:
    """Stands for a value of a type that does not pass."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name


def limit_memory(extra: int) -> None:
    """Let this process take ``extra`` bytes more than it has now, where the system knows such a limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + extra
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def encode(value: Any, functions: list[Callable[..., Any]]) -> Any:
    """A value as what JSON knows; a function in it becomes its place in the list ``functions``."""

    def on(x: Any) -> Any:
        if x is None or isinstance(x, bool | str):
            return x
        if isinstance(x, np.bool_):
            return bool(x)
        if isinstance(x, int | float) and not isinstance(x, np.generic):
            return x if isinstance(x, float) or abs(x) < 2**53 else {"int": str(x)}
        if isinstance(x, np.generic) or isinstance(x, np.ndarray) and x.dtype.kind in "biufc":
            a = np.ascontiguousarray(x)
            data = base64.b64encode(a.tobytes()).decode()
            return {"array": data, "dtype": a.dtype.str, "shape": list(np.shape(x))}
        if isinstance(x, np.ndarray) and x.dtype == object:
            return {"objects": [on(y) for y in x.ravel()], "shape": list(x.shape)}
        if x is ...:
            return {"blank": 0}
        if type(x).__name__ in ("mpf", "Decimal") and abs(float(x)) < float("inf"):
            return float(x)
        if isinstance(x, complex):
            return {"complex": [x.real, x.imag]}
        if isinstance(x, Fraction):
            return {"fraction": [str(x.numerator), str(x.denominator)]}
        if isinstance(x, list | tuple):
            return {type(x).__name__ if type(x) in (list, tuple) else "tuple": [on(y) for y in x]}
        if isinstance(x, set | frozenset):
            return {"set": [on(y) for y in x]}
        if isinstance(x, dict):
            return {"dict": [[on(k), on(v)] for k, v in x.items()]}
        if isinstance(x, sp.MatrixBase):
            return {"matrix": [on(y) for y in x], "shape": list(x.shape)}
        if isinstance(x, BooleanAtom):
            return bool(x)
        if isinstance(x, sp.Basic):
            return _formula(x, on)
        if callable(x) and not isinstance(x, type):
            functions.append(x)
            return {"function": len(functions) - 1}
        return {"unknown": type(x).__name__}

    return on(value)


def _formula(x: sp.Basic, on: Callable[[Any], Any]) -> dict[str, Any]:
    if isinstance(x, sp.Symbol):
        return {
            "symbol": x.name,
            "assumed": {k: v for k, v in x.assumptions0.items() if v is not None},
        }
    if isinstance(x, sp.Rational):
        return {"rational": [str(x.p), str(x.q)]}
    if isinstance(x, sp.Float):
        return {"float": str(x), "digits": x._prec}
    if isinstance(x, AppliedUndef):
        return {"undefined": x.func.__name__, "args": [on(y) for y in x.args]}
    if isinstance(x, ExprCondPair):
        return {"tuple": [on(y) for y in x.args]}
    if getattr(sp, x.func.__name__, None) is x.func or x.is_Atom:
        name = x.func.__name__ if not x.is_Atom else str(x)
        if x.is_Atom and getattr(sp, name, None) is not x:
            return {"unknown": type(x).__name__}
        return {"sympy": name, "args": [on(y) for y in x.args]}
    return {"unknown": type(x).__name__}


def decode(value: Any, function: Callable[[int], Callable[..., Any]]) -> Any:
    """The value again; ``function`` turns a handle's number into something to call."""

    def off(x: Any) -> Any:
        if not isinstance(x, dict):
            return x
        (kind, *_) = x
        v = x[kind]
        if kind == "array":
            a = np.frombuffer(base64.b64decode(v), np.dtype(x["dtype"])).reshape(x["shape"]).copy()
            return a if x["shape"] else a[()]
        if kind == "objects":
            a = np.empty(len(v), object)
            a[:] = [off(y) for y in v]
            return a.reshape(x["shape"])
        if kind == "symbol":
            return sp.Symbol(v, **x["assumed"])
        if kind == "float":
            return sp.Float(v, precision=x["digits"])
        if kind == "undefined":
            return sp.Function(v)(*parts(x["args"]))
        if kind == "sympy":
            head = getattr(sp, v)
            if isinstance(head, type) and issubclass(head, sp.Basic):
                return head(*parts(x["args"]))
            return head if isinstance(head, sp.Basic) else Unknown(v)
        if kind == "matrix":
            return sp.ImmutableMatrix(*x["shape"], list(map(off, v)))
        simple = {
            "int": int,
            "blank": lambda _: ...,
            "complex": lambda v: complex(*v),
            "fraction": lambda v: Fraction(*map(int, v)),
            "rational": lambda v: sp.Rational(*map(int, v)),
            "list": lambda v: list(map(off, v)),
            "tuple": lambda v: tuple(map(off, v)),
            "set": lambda v: frozenset(map(off, v)),
            "dict": lambda v: {off(k): off(w) for k, w in v},
            "function": function,
            "unknown": Unknown,
        }
        return simple[kind](v)

    def parts(args: Iterable[Any]) -> list[Any]:
        args = [off(y) for y in args]
        # SymPy would read text as a program.
        flat = [z for y in args for z in (y if isinstance(y, tuple) else (y,))]
        if not all(isinstance(z, sp.Basic | bool) for z in flat):
            raise ValueError("a part of a formula is no formula")
        return args

    return off(value)


def line_of(message: Mapping[str, Any]) -> str:
    """A message as a line of JSON; one that is too large says so instead."""
    line = json.dumps(message)
    return line if len(line) <= LARGEST else json.dumps({"too large": len(line)})
