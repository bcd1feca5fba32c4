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
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, reduce
from typing import Any

import numpy as np
import sympy as sp
from scipy import special
from sympy.core.traversal import bottom_up, postorder_traversal

from bea.series import Series
from bea.trace import Node, Untraceable

__all__ = ["compiled", "computable", "partial_derivatives"]

Definitions = list[tuple[sp.Symbol, sp.Expr]]
_UNFINISHED = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Subs, sp.Limit)
_WITHOUT_NUMBERS = (*_UNFINISHED, sp.core.function.AppliedUndef, sp.DiracDelta)


# --- the form that is computed -------------------------------------------------------------------


class logaddexp(sp.Function):
    """The logarithm of exp(a) + exp(b)."""

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by one argument."""
        return expit(self.args[argindex - 1] - self.args[2 - argindex])


class expit(sp.Function):
    """The logistic function 1 / (1 + exp(-a))."""


def computable(expression: sp.Expr) -> sp.Expr:
    """Return an equal expression that can be computed, and whose sums of exponentials do not overflow.

    Parameters
    ----------
    expression : Expr

    Returns
    -------
    Expr

    Raises
    ------
    ValueError
        If a part of the expression has no numbers, such as an integral that SymPy cannot evaluate.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> computable(3 * sp.log(1 + sp.exp(x)) + sp.exp(x) / (1 + sp.exp(x)))
    3*logaddexp(0, x) + exp(x - logaddexp(0, x))
    """
    if expression.has(*_UNFINISHED):  # of real numbers it is known that they are finite, say
        real = {s: sp.Dummy(s.name, real=True) for s in expression.free_symbols if s.is_real is None}
        expression = expression.xreplace(real).doit().xreplace({dummy: s for s, dummy in real.items()})
    for part in expression.atoms(*_WITHOUT_NUMBERS):
        advice = (
            "declare symbols positive=True if an integral needs it, write a sum out, as sp.Add(*(... for k in range(10))), "
            "and give an abstract function a formula"
        )
        raise ValueError(f"{part} does not evaluate, so it has no numbers; {advice}")
    if expression.has(sp.Mod, sp.frac, sp.ceiling, sp.beta):
        expression = expression.rewrite(sp.floor).rewrite(sp.beta, sp.gamma)
    return bottom_up(expression, _without_overflow) if expression.has(sp.exp, sp.cosh) else expression


def _without_overflow(node: Any) -> Any:
    """Rewrite a logarithm, or a negative power, of a sum of exponentials, and what multiplies it."""
    if isinstance(node, sp.log):
        found = _logarithm(node.args[0])
        return node if found is None else found
    if isinstance(node, sp.Pow) and node.exp.is_negative and isinstance(node.base, (sp.Add, sp.cosh)):
        found = _logarithm(node.base)
        return node if found is None else sp.exp(node.exp * found)
    if not isinstance(node, sp.Mul) or not node.has(logaddexp):
        return node
    sums = [part for part in node.args if part.is_Add and part.has(sp.exp) and not part.has(logaddexp)]
    terms = sums[0].args if len(sums) == 1 else ()  # of which each may be too large alone
    found = [sp.powsimp(node / sums[0] * term, combine="exp") for term in terms]
    return sp.Add(*found) if found else sp.powsimp(node, combine="exp")


def _logarithm(node: Any) -> Any:
    """Return the logarithm of what is made of exponentials and positive numbers, else None."""
    if isinstance(node, sp.exp):
        return node.args[0]
    if isinstance(node, sp.cosh):
        return logaddexp(node.args[0], -node.args[0]) - sp.log(2)
    if node.is_number and node.is_positive:
        return sp.log(node)
    if not isinstance(node, (sp.Add, sp.Mul, sp.Pow)):
        return None
    parts = [_logarithm(part) for part in (node.args[:1] if node.is_Pow else node.args)]
    if None in parts:
        return None
    return reduce(logaddexp, parts) if node.is_Add else sp.Add(*parts) * (node.exp if node.is_Pow else 1)


# --- derivatives ---------------------------------------------------------------------------------


def partial_derivatives(expression: sp.Expr, symbols: Sequence[sp.Symbol], definitions: Definitions) -> list[sp.Expr]:
    """Return the partial derivatives; what they share is added to `definitions`.

    Examples
    --------
    >>> x, y = sp.symbols("x y")
    >>> partial_derivatives(x**2 + x * y, (x, y), [])
    [2*x + y, x]
    """
    adjoints: dict[sp.Basic, list[sp.Expr]] = defaultdict(list, {expression: [sp.S.One]})
    for node in reversed(dict.fromkeys(postorder_traversal(expression))):
        adjoint = sp.Add(*adjoints[node]) if node in adjoints and node.args else sp.S.Zero
        if adjoint == 0:
            continue
        if not adjoint.is_Atom:
            definitions.append((sp.Dummy(), adjoint))
            adjoint = definitions[-1][0]
        if isinstance(node, sp.Piecewise):  # each branch apart: one that is not taken may be infinite
            branches, conditions = zip(*node.args)
            slopes = zip(*(partial_derivatives(branch, symbols, definitions) for branch in branches))
            slopes = [(symbol, sp.Piecewise(*zip(slope, conditions))) for symbol, slope in zip(symbols, slopes)]
        else:
            slopes = [(child, _partial(node, i)) for i, child in enumerate(node.args) if not child.is_number]
        for child, slope in slopes:
            merged = adjoint.is_Number or slope.is_Number  # else a product of sums is not looked into
            adjoints[child].append(sp.Mul(adjoint, slope, evaluate=merged))
    return [sp.Add(*adjoints[symbol]) for symbol in symbols]


def _partial(node: Any, i: int) -> sp.Expr:
    """Return the derivative of `node` by its child `i`, away from kinks and jumps."""
    if node.is_Add:
        return sp.S.One
    if node.is_Mul:
        return sp.Mul(*node.args[:i], *node.args[i + 1 :])
    if node.is_Pow:
        return node.exp * node.base ** (node.exp - 1) if i == 0 else node * sp.log(node.base)
    if isinstance(node, (sp.floor, sp.sign, sp.Heaviside)):
        return sp.S.Zero
    try:
        return node.fdiff(i + 1)
    except (AttributeError, sp.core.function.ArgumentIndexError):
        raise ValueError(f"SymPy knows no derivative of {node} by its argument {i + 1}; take bea.black_box") from None


# --- code ----------------------------------------------------------------------------------------


def floor(x: Any) -> Any:
    """Return the largest whole number below, which is constant between its jumps."""
    if not isinstance(x, Series):
        return np.floor(x)
    below = np.floor(x.leading)
    np.equal(x, below)  # a curve that leaves a jump is refused, as where values are compared
    return below


def _dispatching(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays and Series that leaves traced numbers to their own method."""

    def call(*values: Any) -> Any:
        for value in values:
            if isinstance(value, Node):
                return getattr(Node, function.__name__)(*values)
        return function(*values)

    return call


_UFUNCS: dict[Any, np.ufunc] = {
    **{getattr(sp, name): getattr(np, name) for name in "exp log sin cos tan sinh cosh tanh sign".split()},
    **{getattr(sp, f"a{name}"): getattr(np, f"arc{name}") for name in "sin cos tan tan2 sinh cosh tanh".split()},
    **{sp.Abs: np.absolute, sp.Max: np.maximum, sp.Min: np.minimum, logaddexp: np.logaddexp},
    **{sp.erf: special.erf, sp.erfc: special.erfc, expit: special.expit},
}
_CALLED = (*_UFUNCS.values(), floor, np.sqrt, np.power, np.where)
_NAMESPACE = {"nan": np.nan, **{function.__name__: _dispatching(function) for function in _CALLED}}
_OPERATORS = {sp.Add: "+", sp.Mul: "*", sp.And: "&", sp.Or: "|", sp.Eq: "==", sp.Ne: "!="}
_OPERATORS |= {sp.Lt: "<", sp.Le: "<=", sp.Gt: ">", sp.Ge: ">="}
#: How each operation is printed; one on two values serves for more of them, from the left.
_FORMS: dict[Any, str] = {
    **{function: f"{ufunc.__name__}({', '.join(['{}'] * ufunc.nin)})" for function, ufunc in _UFUNCS.items()},
    **{operation: f"{{}} {operator} {{}}" for operation, operator in _OPERATORS.items()},
    **{sp.floor: "floor({})", sp.Not: "{} == False"},
    sp.Heaviside: "where({0} == 0, {1}, 0.5 + 0.5*sign({0}))",
}


def _special(node: Any) -> Callable[..., Any]:
    """Return a function that NumPy lacks, SciPy's or mpmath's; on a Series by SymPy's derivatives."""
    if not isinstance(node, sp.Function):
        raise ValueError(f"{node} has no numbers")
    dummies = [a if a.is_number else sp.Dummy(real=True) for a in node.args]
    arguments = [a for a in dummies if a.is_Dummy]

    @cache
    def derivative(order: int) -> Callable[..., Any]:
        expression = sp.diff(node.func(*dummies), arguments[0], order)
        if expression.has(sp.Derivative, sp.Subs):
            raise ValueError(f"SymPy knows no formula for the derivative of {node.func}")
        found: Any = sp.lambdify(arguments, expression, ["scipy", "numpy"])
        if not found.__globals__.keys() >= set(found.__code__.co_names):  # SciPy has it not, or under another name
            found = np.vectorize(sp.lambdify(arguments, expression, "mpmath"), otypes=[complex])
        return lambda *values: _real(found(*values))

    def call(*values: Any) -> Any:
        if any(isinstance(value, Node) for value in values):
            raise Untraceable(f"{node.func} has no rule for traced numbers")
        if len(values) == 1 and isinstance(values[0], Series):
            return values[0].apply_derivatives([derivative(k)(values[0].leading) for k in range(values[0].terms)])
        return derivative(0)(*values)

    return call


def _real(values: Any) -> np.ndarray:
    return np.where(np.imag(values) == 0, np.real(values), np.nan)


class _Line:
    """The straight line of Python that computes expressions, one distinct subexpression at a time."""

    def __init__(self, symbols: Sequence[sp.Symbol]) -> None:
        self.names: dict[Any, str] = {s: f"t{i}" for i, s in enumerate(symbols)}
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = dict(_NAMESPACE)

    def name(self, node: Any) -> str:
        """Return the name of the variable that holds `node`, or its number."""
        if node not in self.names:
            if node.is_number:
                self.names[node] = repr(number(node))
            else:
                text = self.text(node)
                self.names[node] = f"v{len(self.lines)}"
                self.lines.append(f"{self.names[node]} = {text}")
        return self.names[node]

    def text(self, node: Any) -> str:
        """Return one operation on named variables."""
        factors = sp.Mul.make_args(node)
        below = [a for a in factors if a.is_Pow and a.exp.is_number and a.exp.is_negative]
        if below:
            above = sp.Mul(*(a for a in factors if a not in below))
            return f"{self.name(above)}/{self.name(sp.Mul(*(1 / a for a in below)))}"
        if node.is_Pow:
            return self.power(node.base, node.exp)
        if isinstance(node, sp.Piecewise):
            text = "nan"
            for value, condition in reversed(node.args):
                found = self.name(value)
                text = found if condition == sp.true else f"where({self.name(condition)}, {found}, {text})"
            return text
        if node.func in _FORMS:
            form, names = _FORMS[node.func], [self.name(a) for a in node.args]
            return reduce(form.format, names) if len(names) > 1 else form.format(*names)
        name = f"f{len(self.namespace)}"
        self.namespace[name] = _special(node)
        return f"{name}({', '.join(self.name(a) for a in node.args if not a.is_number)})"

    def power(self, base: Any, exponent: Any) -> str:
        """Return a power; a small whole one as a product, which has the same bits on every machine."""
        if exponent.is_Integer and exponent <= 8:
            factors = [base ** (exponent // 2)] * 2 if exponent % 2 == 0 else [base ** (exponent - 1), base]
            return "*".join(map(self.name, factors))
        if exponent == sp.S.Half:
            return f"sqrt({self.name(base)})"
        return f"power({self.name(base)}, {self.name(exponent)})"


def number(constant: Any) -> float:
    """Return a constant expression as a float; raise ValueError if it is not a finite real number."""
    try:
        found = float(sp.N(constant, 25))
    except OverflowError:
        found = np.inf
    except TypeError:
        raise ValueError(f"the number {constant} is not real") from None
    if not np.isfinite(found):
        raise ValueError(
            f"the number {sp.N(constant, 3)} is beyond the floats, which end at "
            f"{sys.float_info.max:.3g}; measure in other units"
        )
    return found


def compiled(
    symbols: Sequence[sp.Symbol], expressions: Iterable[sp.Expr], definitions: Definitions | None = None
) -> Callable[[Any], Any]:
    """Return a function of theta that computes all expressions.

    Parameters
    ----------
    symbols : sequence of Symbol
        The coordinates.
    expressions : iterable of Expr
        What is returned, in the coordinates and the defined symbols.
    definitions : list of (Symbol, Expr), optional
        Further symbols, each in terms of the coordinates and of those before it.

    Returns
    -------
    function
        Of an array of floats or traced numbers, or a Series, the coordinate axis first; it returns
        the same kind, with the axis of the expressions first.

    Examples
    --------
    >>> x, y = sp.symbols("x y", real=True)
    >>> compiled((x, y), [x * y, sp.Max(x, y), x])(np.array([2.0, 3.0])).tolist()
    [6.0, 3.0, 2.0]
    """
    line = _Line(symbols)
    for symbol, expression in definitions or ():
        line.names[symbol] = line.name(expression)
    results = [line.name(expression) for expression in expressions]
    arguments = ", ".join(line.names[s] for s in symbols)
    body = "".join(f"    {text}\n" for text in line.lines)
    exec(f"def code({arguments}):\n{body}    return ({', '.join(results)},)\n", line.namespace)
    code = line.namespace["code"]

    def on_coordinates(theta: Any) -> Any:
        with np.errstate(all="ignore"):  # of branches that are not taken
            if isinstance(theta, Series):
                zero = theta[0] * 0
                return np.stack([row if isinstance(row, Series) else zero + row for row in code(*theta)])
            if theta.ndim == 1:
                return np.array(code(*theta), dtype=theta.dtype)
            found = np.empty((len(results), *theta.shape[1:]), dtype=theta.dtype)
            for i, row in enumerate(code(*np.ascontiguousarray(theta))):  # which has the same bits as single numbers
                found[i] = row
            return found

    return on_coordinates
