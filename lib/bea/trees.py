r"""Rooted trees: the modified equation of every optimizer whose memory is linear, for all losses at
once.

Differentiate :math:`\dot\theta = f(\theta)` again and again, and every term that appears is an
*elementary differential*: :math:`f`, :math:`f'f`, :math:`f''(f,f)`, :math:`f'f'f`, ...  They
correspond to rooted trees: a node with m branches is an m-th derivative of :math:`f`, applied to
what its branches stand for.  An optimizer that averages gradients, and gradients only, follows

.. math:: \dot\theta = \sum_\tau h^{|\tau|-1}\,\frac{b(\tau)}{\sigma(\tau)}\,F(\tau)(\theta), \qquad
          f = -\nabla E,

where the numbers :math:`b(\tau)` depend on the optimizer but not on the loss (Hairer, Lubich and
Wanner, Geometric Numerical Integration, chapters III and IX).

A tree is the sorted tuple of its branches: ``()`` is a single node, ``((),)`` two nodes in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache, reduce
from math import factorial, prod
from typing import Any, TypeAlias

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ

from bea._validate import whole
from bea.program import Along, Optimizer, check_optimizer, update
from bea.series import Series, antidifference

__all__ = ["density", "elementary_differential", "order", "rooted_trees", "symmetry", "tree_coefficients"]

Tree: TypeAlias = tuple["Tree", ...]


@cache
def order(tree: Tree) -> int:
    r"""Return the number of nodes, written :math:`|\tau|`.

    Parameters
    ----------
    tree : tuple of trees

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is not a tuple.

    Examples
    --------
    >>> order(((), ((),)))
    4
    """
    if not isinstance(tree, tuple):
        raise TypeError(f"a tree is the tuple of its branches, () if it has none; not {tree!r}")
    return 1 + sum(map(order, tree))


@cache
def symmetry(tree: Tree) -> int:
    r"""Return the number :math:`\sigma` of ways to exchange equal branches.

    Parameters
    ----------
    tree : tuple of trees

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is not a tuple.

    Examples
    --------
    >>> symmetry(((), (), ()))
    6
    """
    order(tree)  # refuses what is not a tree
    return prod(factorial(count) * symmetry(branch) ** count for branch, count in Counter(tree).items())


@cache
def density(tree: Tree) -> int:
    r"""Return the product :math:`\gamma` of the orders of all subtrees.

    The exact flow of :math:`f` over the time h has the coefficient :math:`1/\gamma`.

    Parameters
    ----------
    tree : tuple of trees

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is not a tuple.

    Examples
    --------
    >>> density((((),),))
    6
    """
    return order(tree) * prod(map(density, tree))


@lru_cache(maxsize=None, typed=True)
def rooted_trees(nodes: int) -> tuple[Tree, ...]:
    """Return all rooted trees with a given number of nodes.

    Parameters
    ----------
    nodes : int
        From 1 to 20; with 20 nodes there are twelve million trees.

    Returns
    -------
    tuple of trees

    Raises
    ------
    TypeError, ValueError
        If `nodes` is not a whole number from 1 to 20.

    Examples
    --------
    >>> rooted_trees(3)
    (((), ()), (((),),))
    >>> [len(rooted_trees(n)) for n in range(1, 10)]
    [1, 1, 2, 4, 9, 20, 48, 115, 286]
    """
    if whole("nodes", nodes, 1, 20) == 1:
        return ((),)
    return tuple(sorted({larger for tree in rooted_trees(nodes - 1) for larger in _with_a_leaf(tree)}))


def _with_a_leaf(tree: Tree) -> Iterator[Tree]:
    """Yield the trees with one leaf more."""
    yield ((), *tree)
    for i, branch in enumerate(tree):
        for larger in _with_a_leaf(branch):
            yield tuple(sorted((*tree[:i], larger, *tree[i + 1 :]), key=_rank))


def _rank(tree: Tree) -> tuple[int, Tree]:
    return order(tree), tree


def tree_coefficients(optimizer: Optimizer, nodes: int) -> dict[Tree, sp.Expr]:
    r"""Return the coefficients :math:`b(\tau)` of the modified equation.

    The curve through the iterates is :math:`\theta(sh) = \theta + \sum_\tau h^{|\tau|}
    p_\tau(s) F(\tau)/\sigma(\tau)` with polynomials :math:`p_\tau`.  Along it, the gradient's
    polynomial for :math:`\tau = [\tau_1, \dots, \tau_m]` is the product :math:`p_{\tau_1} \cdots
    p_{\tau_m}`; averaging and stepping act on the powers of s, in the same way for all trees; and
    :math:`b(\tau) = p_\tau'(0)`.

    Parameters
    ----------
    optimizer : Optimizer
        Its hyper-parameters are exact numbers or symbols, its memory is linear in the gradient.
    nodes : int
        The number of nodes of the largest trees, from 1 to 20.

    Returns
    -------
    dict from each tree to a SymPy number, or a rational function of the symbolic hyper-parameters

    Raises
    ------
    ValueError
        If the memory is not linear in the gradient, coordinates are mixed or not treated alike, a
        hyper-parameter is a float or an array, or `nodes` is not from 1 to 20.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    Explicit Euler (Hairer, Lubich and Wanner, IX.1): the chain has :math:`(-1)^{p+1}/p`.

    >>> from bea.optimizers import gradient_descent, heavy_ball
    >>> euler = tree_coefficients(gradient_descent(), 4)
    >>> [euler[chain] for chain in ((), ((),), (((),),), ((((),),),))]
    [1, -1/2, 1/3, -1/4]

    Heavy ball, to first order in h:

    >>> tree_coefficients(heavy_ball(sp.Symbol("beta")), 2)[((),)]
    (beta + 1)/(2*(beta - 1)**3)
    """
    nodes = whole("nodes", nodes, 1, 20)
    _check_linear(optimizer)
    symbols = sorted(optimizer.symbols, key=str)
    powers = np.zeros((nodes, nodes, nodes), dtype=object)
    np.fill_diagonal(powers[-1], sp.S.One)
    # column j: the curve whose gradient is s^j
    columns = antidifference(_response(optimizer, Series(powers)).coefficients[-1])
    # times a common denominator, once for each node: so all numbers are whole, or polynomials of the symbols
    domain: Any = QQ.frac_field(*symbols) if symbols else QQ
    ring, given = domain.get_ring(), [domain.from_sympy(sp.sympify(c)) for c in columns.flat]
    denominator = reduce(ring.lcm, map(domain.denom, given))
    matrix = np.empty(columns.shape, dtype=object)
    matrix.flat[:] = [domain.numer(c) * ring.quo(denominator, domain.denom(c)) for c in given]

    @cache
    def gradient(tree: Tree) -> np.ndarray:
        """Return the coefficients of the polynomial of the gradient along the curve."""
        return np.convolve(gradient(tree[:-1]), curve(tree[-1])) if tree else np.array([ring.one], dtype=object)

    @cache
    def curve(tree: Tree) -> np.ndarray:
        along = gradient(tree)
        return matrix[: len(along) + 1, : len(along)] @ along

    def coefficient(tree: Tree) -> sp.Expr:
        slope = matrix[1, : order(tree)] @ gradient(tree)
        found = domain.convert_from(slope, ring) / domain.convert_from(denominator, ring) ** order(tree)
        return sp.factor(domain.to_sympy(found)) if symbols else domain.to_sympy(found)

    return {tree: coefficient(tree) for n in range(1, nodes + 1) for tree in rooted_trees(n)}


def _check_linear(optimizer: Optimizer) -> None:
    """Raise ValueError unless the hyper-parameters are exact and the memory is linear, for each coordinate alone."""
    check_optimizer(optimizer)
    given = [v for v in optimizer.hyperparameters.values() if not isinstance(v, int)]  # also True and False
    if any(not isinstance(v, sp.Expr) or v.has(sp.Float) for v in given):
        raise ValueError(
            f"trees need exact hyper-parameters, as Fraction(9, 10), sympy.Integer(1) or a symbol for 0.9 and 1.0; got {optimizer!r}"
        )
    # of mixed signs, so that neither a sign nor a modulus passes
    x, y = np.split(np.array([[[5, -2], [0, 0]], [[3, 7], [-4, 6]]], dtype=object) * sp.S.One, 2, axis=-1)
    alone = [_response(optimizer, Series(c)) for c in (x, y)]
    together = _response(optimizer, Series(np.concatenate([x + 2 * y, x, y], axis=-1)))
    apart = np.concatenate([alone[0] + 2 * alone[1], *alone])
    if any(sp.simplify(c) != 0 for c in (together - apart).coefficients.ravel()):
        raise ValueError(
            f"the step of {optimizer!r} is not linear in the gradient, or not the same for each coordinate alone; trees "
            "need linear memory"
        )


class _Plain(Along):
    """A memory without step size and time, which trees do not know."""

    __slots__ = ()

    @property
    def h(self) -> Any:
        raise ValueError("the step size or the time is used")

    time = step = h  # type: ignore[assignment]


def _response(optimizer: Optimizer, gradient: Series) -> Series:
    """Return the update for a given gradient along the curve; ValueError if it uses more than averages of it."""
    place = sp.Dummy("theta")  # it moves, so that no difference from step to step passes unseen
    memory = _Plain(gradient * 0 + Series(np.eye(gradient.terms, dtype=object) * place))

    def at_the_point(theta: Any) -> Series:
        if theta is not memory.like:
            raise ValueError("the gradient is taken at a point other than theta")
        return gradient

    try:
        step = update(optimizer, at_the_point, memory.like, memory)
        if any(isinstance(c, sp.Expr) and c.has(place) for c in step.coefficients.flat):
            raise ValueError("theta itself is used")
    except (IndexError, TypeError, ValueError) as problem:
        raise ValueError(
            f"{optimizer!r} uses more than averages of the gradient; trees need linear memory"
        ) from problem
    return step


def elementary_differential(tree: Tree, field: sp.Matrix, variables: Sequence[sp.Symbol]) -> sp.Matrix:
    r"""Return the vector :math:`F(\tau)` of a field.

    Parameters
    ----------
    tree : tuple of trees
    field : SymPy column of expressions in `variables`, one for each
    variables : list of SymPy symbols

    Returns
    -------
    SymPy column of expressions

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> y = sp.Symbol("y")
    >>> elementary_differential(((), ()), sp.Matrix([y**3]), [y])
    Matrix([[6*y**7]])
    """
    order(tree)  # refuses what is not a tree
    if not variables or not all(isinstance(v, sp.Symbol) for v in variables) or len({*variables}) < len(variables):
        raise TypeError(f"the variables must be a list of different SymPy symbols, at least one, not {variables!r}")
    if not isinstance(field, sp.MatrixBase) or field.shape != (len(variables), 1):
        raise TypeError(
            f"the field must be a SymPy column of {len(variables)} expressions, one for each variable, not {field!r}"
        )
    result, directions = field, {}
    for k, branch in enumerate(tree):
        # constant while we differentiate, what the branch stands for afterwards
        held = sp.Matrix([sp.Dummy(f"v{k}_{i}") for i in range(len(variables))])
        result = result.jacobian(variables) * held
        directions |= dict(zip(held, elementary_differential(branch, field, variables)))
    return result.xreplace(directions)
