"""The optimizer's own formula, written out as straight-line code: what makes runs on symbolic
losses fast.

Nothing is defined twice.  An optimizer's averages and update are run once on SymPy symbols, and the
expressions that come out are printed as one Python function.  It runs as it stands, or, if llvmlite
is installed (``pip install bea-book[fast]``), translated operation by operation to machine code,
for many settings at once: the same operations in the same order, hence the same bits.  Only where
Python's floats raise and there is no llvmlite do arrays take over, which round otherwise.
"""

import math
from ctypes import byref, c_double
from functools import lru_cache
from inspect import signature
from itertools import chain, count
from typing import NamedTuple

import numpy as np
import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

__all__ = ["straight_line_run"]

LONG_RUN = 100_000  # settings times steps from which on compiling, 0.01 s a coordinate, saves time
FEW = 4  # coordinates up to which a second run is reason enough
LANES = 8  # settings that machine code treats side by side
PIECE = 2**18  # settings times rows written in one go, so that what is written stays close together


def straight_line_run(optimizer, loss, theta, h, steps, state, correct, every):
    """The iterates as :func:`bea.flow.run` gives them, or None where arrays are the better way:
    for several settings and few steps or no compiler, and where floats raise for what is not finite.

    Of one setting, the first short run is over before a compiler is ready and stays Python; those
    after it are machine code if the coordinates are few.
    """
    d, one = len(theta), theta.ndim == 1
    long = steps * theta.size >= LONG_RUN * d
    if not (one or long):
        return None
    try:
        program = _program(optimizer.constructor, tuple(optimizer.conventions.items()), loss)
    except NotImplementedError:  # the loss holds what cannot be printed as Python
        return None
    given = (h, *optimizer.hyperparameters.values())
    # rows as the step takes them: theta, the averages, and the weights that are still missing
    variables = np.empty(((len(state) + 1) * d + len(state), theta.size // d))
    for k, coordinates in enumerate((theta, *state)):
        variables[k * d : (k + 1) * d] = coordinates.reshape(d, -1)
    variables[len(variables) - len(state) :] = 1 if correct else 0
    ways = [program.run_machine_code, program.run_python][: 1 + one]
    if not (long or (program.has_run and d <= FEW)):
        ways.reverse()
    for way in ways:
        path = way(given, variables, d, steps, every)
        if path is not None:
            return path.reshape(len(path), *theta.shape).swapaxes(1, -1)
    return None


@lru_cache(maxsize=64)
def _program(constructor, conventions, loss):
    return _Program(_symbolic_step(constructor, dict(conventions), loss))


class _Step(NamedTuple):
    """One step on symbols.

    The variables are theta, then the averages, one after another, then for each average the weight
    that it has not gathered yet: decay^n under bias correction, which divides by one minus it, and
    zero without.
    """

    given: tuple  # h and the hyper-parameters
    variables: tuple
    gradient: dict  # from symbols to what they stand for, in the variables
    results: tuple  # the variables after the step


def _symbolic_step(constructor, conventions, loss):
    loss.check_numeric()
    d = loss.dimension
    names = [name for name in signature(constructor).parameters if name not in conventions]
    h, *hyperparameters = sp.symbols(["h", *names])
    optimizer = constructor(**dict(zip(names, hyperparameters)), **conventions)
    theta, gradient = sp.symbols(f"theta_:{d}"), sp.symbols(f"g_:{d}")
    memory = [sp.symbols(f"m_{a}_:{d}") for a in range(len(optimizer.averages))]
    missing = sp.symbols(f"w_:{len(optimizer.averages)}")
    advanced = [
        [average.advance(m, average.of(g)) for m, g in zip(row, gradient)]
        for average, row in zip(optimizer.averages, memory)
    ]
    still_missing = [average.decay * w for average, w in zip(optimizer.averages, missing)]
    moved = [
        x - h * optimizer.step(x, *(m / (1 - w) for m, w in zip(now, still_missing)))
        for x, now in zip(theta, zip(*advanced))
    ]
    places = dict(zip(loss.symbols, theta))
    return _Step(
        (h, *hyperparameters),
        (*theta, *chain.from_iterable(memory), *missing),
        {g: e.xreplace(places) for g, e in zip(gradient, loss.gradient_expressions)},
        (*moved, *chain.from_iterable(advanced), *still_missing),
    )


class _Printer(PythonCodePrinter):
    """Python on floats, whole numbers among them, with small powers as products, which are faster."""

    def __init__(self):
        super().__init__({"fully_qualified_modules": True})
        self._names = map("y{}".format, count())

    def _print_Integer(self, expr):
        return repr(float(int(expr)))

    _print_Zero = _print_One = _print_NegativeOne = _print_Integer

    def _print_sign(self, expr):
        """SymPy's own printer gives not-a-number a sign, and a divergence would be hidden."""
        x = self._print(expr.args[0])
        return f"(1.0 if {x} > 0 else -1.0 if {x} < 0 else 0.0 if {x} == 0 else {x})"

    def _print_Piecewise(self, expr):
        """Not a number, rather than SymPy's None, where it has no case."""
        if expr.args[-1].cond != True:  # noqa: E712, a condition of SymPy's
            expr = sp.Piecewise(*expr.args, (sp.nan, True))
        return super()._print_Piecewise(expr)

    def _print_Sum(self, expr):
        raise NotImplementedError("its index could be one of the names that are used here")

    _print_Product = _print_Sum

    def _print_Pow(self, expr, rational=False):
        base, power = expr.args
        if power in (-1, sp.Rational(1, 2), sp.Rational(-1, 2)):
            return super()._print_Pow(expr, rational=rational)
        if power.is_Integer and 2 <= abs(power) <= 4:
            name, factor = str(base), str(base)
            if not base.is_Symbol:
                name = next(self._names)
                factor = f"({name} := {self._print(base)})"
            product = "*".join([factor] + [name] * (abs(int(power)) - 1))
            return f"({product})" if power > 0 else f"(1/({product}))"
        # Python's ** would make a negative number to a broken power complex
        return f"math.pow({self._print(base)}, {self._print(power)})"


class _Program:
    """One step, printed: ``source`` is the code of a Python function from (h, hyper-parameters,
    variables) to the variables after the step."""

    def __init__(self, step):
        printed = _Printer().doprint
        shared, gradient = sp.cse(step.gradient.values(), sp.numbered_symbols("a"))
        shared_later, results = sp.cse(step.results, sp.numbered_symbols("b"))
        definitions = [*shared, *zip(step.gradient, gradient), *shared_later]
        lines = [f"{symbol} = {printed(expression)}" for symbol, expression in definitions]
        lines.append(f"return ({', '.join(map(printed, results))},)")
        names = ", ".join(map(str, (*step.given, *step.variables)))
        self.source = f"def step({names}):\n" + "\n".join("    " + line for line in lines)
        scope = {"math": math}
        exec(self.source, scope)
        self.advance = scope["step"]
        self.has_run, self.loops = False, {}

    def run_python(self, given, variables, d, steps, every):
        """One setting on Python's floats; None if they raise where arrays give inf or nan."""
        self.has_run, advance = True, self.advance
        given, variables = [float(x) for x in given], variables[:, 0].tolist()
        path = [variables[:d]]
        try:
            for _ in range(steps // every):
                for _ in range(every):
                    variables = advance(*given, *variables)
                path.append(variables[:d])
        except (OverflowError, ZeroDivisionError, ValueError):
            return None
        return np.array(path)

    def run_machine_code(self, given, variables, d, steps, every):
        """One setting or many; None without llvmlite, or if the formula holds what there is no
        instruction for."""
        settings = variables.shape[1]
        side_by_side = settings - settings % LANES
        parts = [(LANES, 0, side_by_side), (1, side_by_side, settings)]
        loops = [(self._loop(d, lanes), first, end) for lanes, first, end in parts if first < end]
        if any(loop is None for loop, _, _ in loops):
            return None
        constants = np.empty((len(given), settings))
        for k, value in enumerate(given):
            constants[k] = value
        path = np.empty((steps // every + 1, d, settings))
        path[0] = variables[:d]
        rows = max(1, PIECE // settings)
        for row in range(1, len(path), rows):
            piece = path[row : row + rows]
            addresses = [
                byref(c_double.from_buffer(array)) for array in (piece, variables, constants)
            ]
            for loop, first, end in loops:
                loop(*addresses, settings, first, end, len(piece), every)
        return path

    def _loop(self, d, lanes):
        if lanes not in self.loops:
            try:
                from bea.machine import loop  # llvmlite is optional, hence here

                self.loops[lanes] = loop(self.source, d, lanes)
            except (ImportError, NotImplementedError, RecursionError):  # a sum of too many terms
                self.loops[lanes] = None
        return self.loops[lanes]
