r"""SymPy expressions as code that runs on arrays, on Series and on traced numbers alike.

An expression becomes one straight line of Python, each distinct subexpression computed once.
Gradients are taken in reverse along that line, so that a sum over a hundred coordinates or a deep
nest of functions costs a small multiple of the expression itself.  Logarithms, quotients and powers
of sums of exponentials are rewritten first, so that they do not overflow.
"""

# SymPy types the arguments of expressions as Basic, which has no operators.
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportReturnType=false, reportGeneralTypeIssues=false

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from math import factorial
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from sympy.core.traversal import bottom_up

from bea.series import Series
from bea.trace import Untraceable

__all__ = ["compiled", "partial_derivatives", "stable"]

Definitions = Sequence[tuple[sp.Symbol, sp.Expr]]


# --- stable forms --------------------------------------------------------------------------------


class expit(sp.Function):
    """The logistic function, 1/(1 + exp(-x))."""

    is_positive = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative."""
        x: Any = self.args[0]
        return expit(x) * expit(-x)


class logaddexp(sp.Function):
    """The logarithm of exp(a) + exp(b)."""

    is_extended_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by one argument."""
        a, b = self.args if argindex == 1 else self.args[::-1]
        return expit(a - b)


def stable(expression: sp.Expr) -> sp.Expr:
    """Return an equal expression whose sums of exponentials do not overflow.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> stable(3 * sp.log(1 + sp.exp(x)) + sp.exp(x) / (1 + sp.exp(x)))
    expit(x) + 3*logaddexp(0, x)
    """
    if not expression.has(sp.exp, sp.cosh):
        return expression
    return bottom_up(bottom_up(expression, _as_exponential), _as_sigmoid)


def _as_exponential(node: Any) -> sp.Basic:
    """Rewrite a logarithm, or a negative power, of a sum of exponentials."""
    if isinstance(node, sp.log) and (found := _logarithm(node.args[0])) is not None:
        return found
    if isinstance(node, sp.Pow) and node.exp.is_negative and isinstance(node.base, (sp.Add, sp.cosh)):
        found = _logarithm(node.base)
        return node if found is None else sp.exp(node.exp * found)
    if isinstance(node, sp.Mul) and any(isinstance(a, sp.exp) and a.has(logaddexp) for a in node.args):
        exponents = [a.args[0] for a in node.args if isinstance(a, sp.exp)]
        others = [a for a in node.args if not isinstance(a, sp.exp)]
        return sp.Mul(*others, sp.exp(sp.Add(*exponents)))
    return node


def _logarithm(node: Any) -> sp.Expr | None:
    """Return the logarithm of what is made of exponentials and positive numbers, else None."""
    if isinstance(node, sp.exp):
        return node.args[0]
    if node.is_number:
        return sp.log(node) if node.is_positive else None
    if isinstance(node, sp.cosh):
        return logaddexp(node.args[0], -node.args[0]) - sp.log(2)
    if isinstance(node, sp.Pow):
        found = _logarithm(node.base)
        return None if found is None else node.exp * found
    if not isinstance(node, (sp.Add, sp.Mul)):
        return None
    parts = [_logarithm(part) for part in node.args]
    if any(part is None for part in parts):
        return None
    if isinstance(node, sp.Mul):
        return sp.Add(*parts)
    total = parts[-1]
    for part in reversed(parts[:-1]):
        total = logaddexp(part, total)
    return total


def _as_sigmoid(node: Any) -> sp.Basic:
    """Rewrite exp(k a + (n-k) b - n logaddexp(a, b)) by the logistic function."""
    if not isinstance(node, sp.exp):
        return node
    for term in sp.Add.make_args(node.args[0]):
        n, inner = (-term).as_coeff_Mul()
        if not isinstance(inner, logaddexp) or not (n.is_Integer and 0 < n <= 8):
            continue
        a, b = inner.args
        for k in range(int(n) + 1):
            rest = sp.expand(node.args[0] - term - k * a - (n - k) * b)
            if rest.is_number:
                return sp.exp(rest) * expit(a - b) ** k * expit(b - a) ** (n - k)
    return node


# --- derivatives ---------------------------------------------------------------------------------


def partial_derivatives(expression: sp.Expr, symbols: Sequence[sp.Symbol]) -> tuple[Definitions, list[sp.Expr]]:
    """Return the partial derivatives, with the definitions of the symbols that they share."""
    order: list[Any] = []
    seen: set[sp.Expr] = set()
    pending = [(expression, False)]
    while pending:
        node, complete = pending.pop()
        if complete:
            order.append(node)
        elif node not in seen and not node.is_number:
            seen.add(node)
            pending.append((node, True))
            pending.extend((child, False) for child in _children(node))
    definitions: list[tuple[sp.Symbol, sp.Expr]] = []
    adjoints: dict[sp.Expr, list[sp.Expr]] = {expression: [sp.Integer(1)]}
    for node in reversed(order):
        if isinstance(node, sp.Symbol):
            continue
        adjoint = sp.Add(*adjoints.pop(node, ()))
        if not adjoint.is_Atom:
            definitions.append((sp.Dummy(), adjoint))
            adjoint = definitions[-1][0]
        if isinstance(node, sp.Piecewise):
            slopes = []
            for branch, _ in node.args:  # apart, because a branch that is not taken may be infinite
                more, derivatives = partial_derivatives(branch, symbols)
                definitions.extend(more)
                slopes.append(derivatives)
            for symbol, *pieces in zip(symbols, *slopes):
                slope = sp.Piecewise(*zip(pieces, (condition for _, condition in node.args)))
                adjoints.setdefault(symbol, []).append(_times(adjoint, slope))
        for i, child in enumerate(_children(node)):
            if not child.is_number and adjoint != 0:
                adjoints.setdefault(child, []).append(_times(adjoint, _partial(node, i)))
    return definitions, [sp.Add(*adjoints.get(symbol, ())) for symbol in symbols]


def _times(adjoint: sp.Expr, partial: sp.Expr) -> sp.Expr:
    plain = adjoint.is_Number or partial.is_Number
    return adjoint * partial if plain else sp.Mul(adjoint, partial, evaluate=False)


def _children(node: Any) -> tuple[Any, ...]:
    return () if isinstance(node, sp.Piecewise) else node.args


def _partial(node: Any, i: int) -> sp.Expr:
    """Return the derivative of `node` by its child `i`, away from kinks and jumps."""
    args = node.args
    if isinstance(node, sp.Add) or isinstance(node, sp.frac):
        return sp.Integer(1)
    if isinstance(node, sp.Mul):
        return sp.Mul(*args[:i], *args[i + 1 :])
    if isinstance(node, sp.Pow):
        return node.exp * node.base ** (node.exp - 1) if i == 0 else node * sp.log(node.base)
    if isinstance(node, sp.Mod):
        return sp.Integer(1) if i == 0 else -sp.floor(args[0] / args[1])
    if isinstance(node, (sp.floor, sp.ceiling, sp.sign, sp.Heaviside)):
        return sp.Integer(0)
    try:
        return node.fdiff(i + 1)
    except (AttributeError, sp.core.function.ArgumentIndexError):
        raise ValueError(f"SymPy knows no derivative of {node} by its argument {i + 1}; take bea.black_box") from None


# --- code ----------------------------------------------------------------------------------------


def _traced(value: Any) -> bool:
    return not isinstance(value, (float, int, np.ndarray, np.generic, Series))


def _dispatching(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays and Series that leaves traced numbers to their own method."""

    def call(*values: Any) -> Any:
        traced = next((value for value in values if _traced(value)), None)
        return function(*values) if traced is None else getattr(type(traced), name)(*values)

    return call


def _step(function: np.ufunc) -> Callable[..., Any]:
    """Return a function that is constant between its jumps, also on a Series."""
    return lambda x: function(x.leading if isinstance(x, Series) else x)


_CODE = {
    name: getattr(np, name)
    for name in (
        "sqrt exp log sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh "
        "power absolute sign maximum minimum logaddexp where less less_equal greater greater_equal equal not_equal"
    ).split()
} | {
    "floor": _step(np.floor),
    "ceil": _step(np.ceil),
    "logical_and": np.bitwise_and,  # of truth values, also of traced ones
    "logical_or": np.bitwise_or,
    "logical_not": np.invert,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "expit": scipy.special.expit,
}
_NAMESPACE = {name: _dispatching(name, function) for name, function in _CODE.items()}
_FUNCTIONS = {expit: "expit", logaddexp: "logaddexp"} | {
    getattr(sp, name): code or name
    for name, _, code in (
        pair.partition(":")
        for pair in (
            "exp log sin cos tan sinh cosh tanh sign floor erf erfc Abs:absolute ceiling:ceil asin:arcsin "
            "acos:arccos atan:arctan atan2:arctan2 asinh:arcsinh acosh:arccosh atanh:arctanh Max:maximum "
            "Min:minimum And:logical_and Or:logical_or Not:logical_not Xor:not_equal ITE:where Lt:less "
            "Le:less_equal Gt:greater Ge:greater_equal Eq:equal Ne:not_equal"
        ).split()
    )
}


class _Special:
    """A function that NumPy lacks: SciPy's or mpmath's, its derivatives made by SymPy on demand."""

    def __init__(self, function: Any, arguments: Sequence[Any]) -> None:
        self.function, self.arguments = function, tuple(arguments)
        self.known: dict[tuple[int, ...], Callable[..., Any]] = {}

    def derivative(self, orders: tuple[int, ...], values: Sequence[Any]) -> np.ndarray:
        """Return the mixed partial derivative of the given orders at numbers or arrays."""
        if orders not in self.known:
            counts = [pair for pair in zip(self.arguments, orders) if pair[1]]
            expression = sp.diff(self.function, *counts) if counts else self.function
            if expression.has(sp.Derivative, sp.Subs):
                raise ValueError(f"SymPy knows no formula for the derivative of {self.function.func}")
            self.known[orders] = sp.lambdify(self.arguments, expression, ["scipy", "numpy"])
        try:
            result = self.known[orders](*values)
        except NameError:  # SciPy has it not, or under another name
            slow = sp.lambdify(self.arguments, sp.diff(self.function, *zip(self.arguments, orders)), "mpmath")
            self.known[orders] = np.vectorize(slow, otypes=[complex])
            result = self.known[orders](*values)
        return np.where(np.imag(result) == 0, np.real(result), np.nan)

    def __call__(self, *values: Any) -> Any:
        if any(map(_traced, values)):
            raise Untraceable(f"{self.function.func} has no rule for traced numbers")
        series = [value for value in values if isinstance(value, Series)]
        if not series:
            return self.derivative((0,) * len(values), values)
        length = len(series[0].coefficients)
        leading = [v.leading if isinstance(v, Series) else v for v in values]
        departures = [v - v.leading if isinstance(v, Series) else 0.0 for v in values]
        total = sum(series) * 0
        for orders in product(range(length), repeat=len(values)):
            constant = any(k and not isinstance(v, Series) for k, v in zip(orders, values))
            if sum(orders) < length and not constant:
                monomial = self.derivative(orders, leading) / np.prod([factorial(k) for k in orders])
                for departure, k in zip(departures, orders):
                    monomial = departure**k * monomial if k else monomial
                total = total + monomial
        return total


class _Line:
    """The straight line of Python that computes expressions, one distinct subexpression at a time."""

    def __init__(self, symbols: Sequence[sp.Symbol]) -> None:
        self.names: dict[sp.Basic, str] = {s: f"t{i}" for i, s in enumerate(symbols)}
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = dict(_NAMESPACE, nan=np.nan)

    def name(self, node: Any) -> str:
        """Return the name of the variable that holds `node`, or its number."""
        if node not in self.names:
            if node.is_number:
                self.names[node] = repr(number(node))
            elif node in (sp.true, sp.false):
                self.names[node] = str(node)
            else:
                text = self.text(node)
                self.names[node] = f"v{len(self.lines)}"
                self.lines.append(f"{self.names[node]} = {text}")
        return self.names[node]

    def text(self, node: Any) -> str:
        """Return one operation on named variables."""
        if isinstance(node, sp.Add):
            first, *rest = sorted(node.args, key=lambda term: bool(term.as_coeff_Mul()[0] < 0))
            signs = [bool(term.as_coeff_Mul()[0] < 0) for term in rest]
            others = [f" {'-' if s else '+'} {self.name(-t if s else t)}" for s, t in zip(signs, rest)]
            return self.name(first) + "".join(others)
        if isinstance(node, sp.Mul):
            return self._product(node)
        if isinstance(node, sp.Pow):
            return self._power(node.base, node.exp)
        if isinstance(node, sp.Piecewise):
            text = "nan"
            for value, condition in reversed(node.args):
                text = f"where({self.name(condition)}, {self.name(value)}, {text})"
            return text
        if isinstance(node, sp.Heaviside):
            x, at_zero = map(self.name, node.args)
            return f"where(greater({x}, 0.0), 1.0, where(less({x}, 0.0), 0.0, {at_zero}))"
        if isinstance(node, (sp.Mod, sp.frac)):
            base = node.args[1] if isinstance(node, sp.Mod) else 1
            return self.text(node.args[0] - base * sp.floor(node.args[0] / base))
        name = _FUNCTIONS.get(node.func) or self._special(node)
        arguments = [self.name(a) for a in node.args if name in _NAMESPACE or not a.is_number]
        while len(arguments) > 2 and isinstance(node, (sp.Max, sp.Min, sp.And, sp.Or, sp.Xor)):
            arguments[-2:] = [f"{name}({arguments[-2]}, {arguments[-1]})"]
        return f"{name}({', '.join(arguments)})"

    def _product(self, node: Any) -> str:
        below = [a for a in node.args if isinstance(a, sp.Pow) and a.exp.is_number and a.exp.is_negative]
        above = [self.name(a) for a in node.args if a not in below and a is not sp.S.NegativeOne]
        text = "*".join(above) or "1.0"
        if below:
            text = f"{text}/({'*'.join(self.name(1 / a) for a in below)})"
        return f"-({text})" if sp.S.NegativeOne in node.args else text

    def _power(self, base: Any, exponent: Any) -> str:
        if not exponent.is_number:
            return f"exp({self.name(exponent)}*{self.name(sp.log(base))})"
        if exponent.is_negative:
            return f"1.0/{self.name(base**-exponent)}"
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self.name(base)})"
        if exponent.is_Integer and exponent <= 8:  # the same bits on every machine
            factors = [base ** (exponent // 2)] * 2 if exponent % 2 == 0 else [base ** (exponent - 1), base]
            return "*".join(map(self.name, factors))
        return f"power({self.name(base)}, {int(exponent) if exponent.is_Integer else number(exponent)!r})"

    def _special(self, node: Any) -> str:
        if not isinstance(node, sp.Function):
            raise ValueError(f"{node} has no numbers")
        arguments = [a if a.is_number else sp.Dummy(real=True) for a in node.args]
        name = f"f{len(self.namespace)}"
        self.namespace[name] = _Special(node.func(*arguments), [a for a in arguments if a.is_Dummy])
        return name


def number(constant: Any) -> float:
    """Return a constant expression as a float; raise ValueError if it is no finite real number."""
    value = sp.N(constant, 25)
    if value.is_extended_real is False or value is sp.nan:
        raise ValueError(f"the number {constant} is not real")
    try:
        found = constant.p / constant.q if isinstance(constant, sp.Rational) else float(value)
    except OverflowError:
        found = np.inf
    except TypeError:
        raise ValueError(f"{constant} has no numbers") from None
    if not np.isfinite(found):
        raise ValueError(
            f"the number {sp.N(constant, 3)} is beyond the floats, which end at "
            f"{sys.float_info.max:.3g}; measure in other units"
        )
    return found


def compiled(
    symbols: Sequence[sp.Symbol], expressions: Iterable[sp.Expr], definitions: Definitions = ()
) -> Callable[..., tuple[Any, ...]]:
    """Return a function of the coordinates' values that computes all expressions.

    Parameters
    ----------
    symbols : sequence of Symbol
        The coordinates.
    expressions : iterable of Expr
        What is returned, in the coordinates and the defined symbols.
    definitions : sequence of (Symbol, Expr), optional
        Further symbols, each in terms of the coordinates and of those before it.

    Returns
    -------
    function
        Its arguments are floats, arrays, Series or traced numbers, one for each coordinate.

    Examples
    --------
    >>> x, y = sp.symbols("x y", real=True)
    >>> compiled((x, y), [x * y, sp.Max(x, y)])(2.0, 3.0)
    (6.0, np.float64(3.0))
    """
    line = _Line(symbols)
    for symbol, expression in definitions:
        line.names[symbol] = line.name(expression)
    results = [line.name(expression) for expression in expressions]
    arguments = ", ".join(line.names[s] for s in symbols)
    body = "".join(f"    {text}\n" for text in line.lines)
    exec(f"def code({arguments}):\n{body}    return ({', '.join(results)},)\n", line.namespace)
    code = line.namespace["code"]

    def quiet(*values: Any) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):  # of branches that are not taken
            return code(*values)

    return quiet
