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

from functools import cache, lru_cache
from math import factorial, prod
from typing import Any

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ

from bea._validate import whole
from bea.modified import check_optimizer, update
from bea.program import Along, Optimizer
from bea.series import Series, faulhaber

__all__ = [
    "density",
    "elementary_differential",
    "order",
    "rooted_trees",
    "symmetry",
    "tree_coefficients",
]


@cache
def order(tree):
    """The number of nodes, written \\|tree\\|.

    >>> order(((), ((),)))
    4
    """
    _check_tree(tree)
    return 1 + sum(order(branch) for branch in tree)


@cache
def symmetry(tree):
    r"""The number :math:`\sigma` of ways to exchange equal branches.

    >>> symmetry(((), (), ()))
    6
    """
    _check_tree(tree)
    repeats = [factorial(tree.count(branch)) for branch in set(tree)]
    return prod(repeats) * prod(symmetry(branch) for branch in tree)


@cache
def density(tree):
    r"""The product :math:`\gamma` of the orders of all subtrees: :math:`1/\gamma` belongs to the
    exact flow of :math:`f` over the time h.

    >>> density((((),),))
    6
    """
    _check_tree(tree)
    return order(tree) * prod(density(branch) for branch in tree)


@lru_cache(maxsize=None, typed=True)
def rooted_trees(nodes):
    """All rooted trees with that number of nodes, as a tuple.

    Raises TypeError or ValueError if it is no whole number from 1 to 20; with 20 nodes there are
    twelve million trees.

    >>> rooted_trees(3)
    (((), ()), (((),),))
    >>> [len(rooted_trees(n)) for n in range(1, 10)]
    [1, 1, 2, 4, 9, 20, 48, 115, 286]
    """
    nodes = whole("nodes", nodes, 1, 20)
    return tuple(sorted(_forests(nodes - 1, nodes - 1)))


@cache
def _forests(nodes, largest):
    """All sorted tuples of trees with ``nodes`` nodes altogether, none with more than ``largest``."""
    if nodes == 0:
        return ((),)
    found = set()
    for size in range(1, min(nodes, largest) + 1):
        for tree in rooted_trees(size):
            for rest in _forests(nodes - size, size):
                found.add(tuple(sorted((tree, *rest), key=_rank)))
    return tuple(found)


def _rank(tree):
    return order(tree), tree


def tree_coefficients(optimizer, nodes):
    r"""The coefficients :math:`b(\tau)` of the modified equation, a dict from each tree with at most
    ``nodes`` nodes to a SymPy number or rational function of the symbolic hyper-parameters.

    The curve through the iterates is :math:`\theta(sh) = \theta + \sum_\tau h^{|\tau|}
    p_\tau(s) F(\tau)/\sigma(\tau)` with polynomials :math:`p_\tau`.  Along it, the gradient's
    polynomial for :math:`\tau = [\tau_1, \dots, \tau_m]` is the product :math:`p_{\tau_1} \cdots
    p_{\tau_m}`; averaging and stepping act on the powers of s, one matrix for all trees; and
    :math:`b(\tau) = p_\tau'(0)`.

    Raises ValueError if the optimizer's memory is not linear in the gradient, if a
    hyper-parameter is a float or an array (exact numbers and symbols are needed), or if ``nodes`` is
    not from 1 to 20; TypeError if they are something else.

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
    domain = _domain(optimizer)
    matrix = _step_matrix(optimizer, domain, nodes)

    @cache
    def along(tree):
        """The polynomial of the gradient along the curve: one product per tree, of a smaller tree's
        polynomial and the last branch's."""
        if not tree:
            return (domain.one,)
        left, right = along(tree[:-1]), curve(tree[-1])
        product = [domain.zero] * (len(left) + len(right) - 1)
        for i, a in enumerate(left):
            if a:
                for j, b in enumerate(right):
                    if b:
                        product[i + j] += a * b
        return tuple(product)

    def power(values, i):
        """The coefficient of s^i after the step, from those of the gradient."""
        terms = (v * matrix[j][i] for j, v in enumerate(values) if v and j >= i - 1)
        return sum(terms, domain.zero)

    @cache
    def curve(tree):
        values = along(tree)
        return tuple(power(values, i) for i in range(len(values) + 1))

    trees = [tree for n in range(1, nodes + 1) for tree in rooted_trees(n)]
    found = {tree: domain.to_sympy(power(along(tree), 1)) for tree in trees}
    return found if domain is QQ else {tree: sp.factor(value) for tree, value in found.items()}


def _step_matrix(optimizer: Optimizer, domain: Any, nodes: int) -> list[list[Any]]:
    """Return the matrix whose row j holds the polynomial P with P(s+1) - P(s) = U for the gradient s^j."""
    sums = faulhaber(nodes, exact=True)
    rows = []
    for j in range(nodes):
        power = np.zeros((nodes, nodes, 1), dtype=object)
        power[-1, j] = sp.Integer(1)
        response = _response(optimizer, Series(power)).coefficients[-1, :, 0]
        image = [sum(sums[i, m] * response[m] for m in range(nodes)) for i in range(nodes + 1)]
        rows.append([domain.from_sympy(sp.sympify(value)) for value in image])
    return rows


def _response(optimizer: Optimizer, gradient: Series) -> Series:
    """Return the update for a given gradient along the curve; ValueError if it uses more than averages of it."""
    place = sp.Dummy("theta")
    memory = Along(gradient * 0 + place)

    def at_the_point(theta: Any) -> Series:
        if theta is not memory.like:
            raise ValueError("the gradient is taken at another point than theta")
        return gradient

    try:
        step = update(optimizer, at_the_point, memory.like, memory, memory.like)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{optimizer!r} is not linear in the gradient; trees need linear memory") from problem
    if any(place in sp.sympify(c).free_symbols for c in step.coefficients.ravel()):
        raise ValueError(f"{optimizer!r} uses more than averages of the gradient; trees need linear memory")
    return step


def _domain(optimizer: Optimizer) -> Any:
    """Return the field of the exact hyper-parameters; ValueError if one is a float or the memory is not linear."""
    check_optimizer(optimizer)
    given = [v for v in optimizer.hyperparameters.values() if not isinstance(v, bool)]
    if any(not isinstance(v, sp.Expr) or v.has(sp.Float) for v in given):
        raise ValueError(f"trees need exact hyper-parameters, Fraction(9, 10) or a symbol for 0.9; got {optimizer!r}")
    rational = [sp.Rational(k + 2, k + 3) * (-1) ** k for k in range(6)]
    x, y = (np.array([[rational[i], 0], rational[i + 1 : i + 3]], dtype=object)[..., None] for i in (0, 3))
    apart = _response(optimizer, Series(x)) + 2 * _response(optimizer, Series(y))
    together = _response(optimizer, Series(x + 2 * y))
    if any(sp.simplify(c) != 0 for c in (together - apart).coefficients.ravel()):
        raise ValueError(f"the step of {optimizer!r} is not linear in the gradient; trees need linear memory")
    symbols = sorted(optimizer.symbols, key=str)
    return QQ.frac_field(*symbols) if symbols else QQ


def elementary_differential(tree, field, variables):
    r"""The vector :math:`F(\tau)` of a field, a SymPy column of expressions in ``variables``.

    >>> y = sp.Symbol("y")
    >>> elementary_differential(((), ()), sp.Matrix([y**3]), [y])
    Matrix([[6*y**7]])
    """
    _check_tree(tree)
    variables = list(variables) if isinstance(variables, (list, tuple, sp.Tuple)) else None
    if not variables or not all(isinstance(v, sp.Symbol) for v in variables):
        raise TypeError("the variables must be a list of SymPy symbols, at least one")
    if not isinstance(field, sp.MatrixBase) or field.shape[1] != 1:
        raise TypeError(f"the field must be a SymPy column of expressions, not {field!r}")
    result, directions = field, {}
    for k, branch in enumerate(tree):
        # constant while we differentiate, what the branch stands for afterwards
        held = sp.Matrix([sp.Dummy(f"v{k}_{i}") for i in range(len(variables))])
        result = result.jacobian(variables) * held
        directions |= dict(zip(held, elementary_differential(branch, field, variables)))
    return result.xreplace(directions)


def _check_tree(tree):
    if not isinstance(tree, tuple):
        raise TypeError(f"a tree is the tuple of its branches, () if it has none; not {tree!r}")
