"""Elementary functions of several numbers at once, for loops that Numba compiles.

The C library glibc has vector versions of exp, sin, ... on x86-64, in its library libmvec, for two numbers at a
time or, with AVX2, four; their error is at most four units in the last place.  LLVM takes them for the calls in a
loop if the declaration of the scalar function names them, in the attribute ``vector-function-abi-variant``, which
Numba does not write.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["vector_functions"]

LIBRARY = "libmvec.so.1"
#: The name of each function in C, by its name in NumPy.
NAMES = {name: name for name in "exp log log1p expm1 log2 log10 exp2 cbrt erf erfc sin cos tan sinh cosh tanh".split()}
NAMES |= {f"arc{name}": f"a{name}" for name in "sin cos tan sinh cosh tanh".split()}


@cache
def vector_functions() -> dict[str, Callable[..., Any]]:
    """Return functions for code that Numba compiles, by NumPy's names; an empty dict without such a library.

    Examples
    --------
    >>> set(vector_functions()) <= set(NAMES)
    True
    """
    try:
        import llvmlite.binding as llvm
        from llvmlite import ir
        from numba import types
        from numba.extending import intrinsic

        library, features = ctypes.CDLL(LIBRARY), llvm.get_host_cpu_features()
        lanes = {"b": 2, "d": 4} if features.get("avx2") else {"b": 2}
        known = {
            name: c for name, c in NAMES.items() if all(hasattr(library, f"_ZGV{k}N{n}v_{c}") for k, n in lanes.items())
        }
        llvm.load_library_permanently(LIBRARY)
    except (ImportError, OSError):
        return {}
    double, byte = ir.DoubleType(), ir.IntType(8).as_pointer()

    def declare(module: ir.Module) -> None:
        kept = []
        for c in set(known.values()):
            scalar = ir.Function(module, ir.FunctionType(double, [double]), c)
            variants = ",".join(f"_ZGV_LLVM_N{n}v_{c}(_ZGV{k}N{n}v_{c})" for k, n in lanes.items())
            kinds = ["nounwind", "willreturn", "speculatable", "memory(none)"]
            set.update(scalar.attributes, [*kinds, f'"vector-function-abi-variant"="{variants}"'])
            for k, n in lanes.items():
                several = ir.VectorType(double, n)
                kept.append(ir.Function(module, ir.FunctionType(several, [several]), f"_ZGV{k}N{n}v_{c}").bitcast(byte))
        used = ir.GlobalVariable(module, ir.ArrayType(byte, len(kept)), "llvm.compiler.used")  # not to be removed
        used.linkage, used.section = "appending", "llvm.metadata"
        used.initializer = ir.Constant(used.value_type, kept)

    def function(c: str) -> Callable[..., Any]:
        @intrinsic
        def call(typing: Any, x: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                if c not in builder.module.globals:
                    declare(builder.module)
                return builder.call(builder.module.globals[c], arguments)

            return types.float64(types.float64), code

        return call

    return {name: function(c) for name, c in known.items()}
