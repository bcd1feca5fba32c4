"""Rooted trees and the coefficients of modified equations."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp

import bea
from bea import trees
from bea.trees import (
    density,
    elementary_differential,
    order,
    rooted_trees,
    symmetry,
    tree_coefficients,
)

DOT = ()
CHAIN = {1: DOT, 2: (DOT,), 3: ((DOT,),), 4: (((DOT,),),)}
x, y = sp.symbols("x y")


def as_levels(tree, level=0):
    """The sequence of the nodes' depths in which a tree is written down, root first."""
    return [level] + [d for branch in tree for d in as_levels(branch, level + 1)]


def test_numbers_of_trees():
    # OEIS A000081: rooted trees with n unlabelled nodes
    assert [len(rooted_trees(n)) for n in range(1, 11)] == [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]


def test_trees_are_all_of_their_size_and_different():
    for n in range(1, 9):
        assert {order(tree) for tree in rooted_trees(n)} == {n}
        assert len(set(rooted_trees(n))) == len(rooted_trees(n))


@pytest.mark.parametrize("n", range(1, 9))
def test_labelled_trees_are_counted_by_symmetry_and_density(n):
    # the monotonically labelled trees are (n-1)! in number (HLW III.1), the labelled ones n^(n-1) (Cayley)
    factorial = sp.factorial(n)
    assert sum(Fraction(int(factorial), symmetry(t) * density(t)) for t in rooted_trees(n)) == sp.factorial(n - 1)
    assert sum(Fraction(int(factorial), symmetry(t)) for t in rooted_trees(n)) == n ** (n - 1)


def labellings(tree):
    """The monotone labellings of a tree by brute force: orderings that grow from root to leaf."""
    parents = list(enumerate(parents_of(tree)))[1:]
    return sum(
        all(labels[parent] < labels[i] for i, parent in parents) for labels in permutations(range(len(parents) + 1))
    )


@pytest.mark.parametrize("tree", [t for n in range(1, 7) for t in rooted_trees(n)], ids=str)
def test_density_counts_labellings(tree):
    # n!/gamma orderings of the nodes respect the tree (the hook length formula)
    assert labellings(tree) == sp.factorial(order(tree)) / density(tree)


# --- Euler's method ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def euler():
    return tree_coefficients(bea.gradient_descent(), 8)


def test_hairer_lubich_wanner_table_of_euler(euler):
    # IX.1, equation (1.4) and IX.9: f'f: -1/2; f''(f,f): 1/12, f'f'f: 1/3; order 4: f''(f,f'f) -1/12,
    # f'f''(f,f) -1/12, f'f'f'f -1/4, f'''(f,f,f) 0
    named = {
        CHAIN[2]: Fraction(-1, 2), (DOT, DOT): Fraction(1, 12), CHAIN[3]: Fraction(1, 3), CHAIN[4]: Fraction(-1, 4),
        (DOT, CHAIN[2]): Fraction(-1, 12), ((DOT, DOT),): Fraction(-1, 12), (DOT, DOT, DOT): 0,
    }  # fmt: skip
    for tree, value in named.items():
        assert euler[tree] / symmetry(tree) == value, tree


def test_chains_are_the_logarithm_and_bushes_bernoulli(euler):
    chain, bush = DOT, DOT
    for n in range(1, 9):
        assert euler[chain] == sp.Rational((-1) ** (n + 1), n)
        b = sp.bernoulli(n - 1) if n != 2 else sp.Rational(-1, 2)
        assert euler[bush] == b
        chain, bush = (chain,), (DOT,) * n


def parents_of(tree):
    """For each node, root first, the number of the node it grows from (None for the root)."""
    levels = as_levels(tree)
    return [max((j for j in range(i) if levels[j] == levels[i] - 1), default=None) for i in range(len(levels))]


def grown(node, branches):
    """The tree above a node, from the function that lists the nodes that grow from it."""
    return tuple(sorted((grown(other, branches) for other in branches(node)), key=trees._rank))


def pieces_and_skeleton(parents, cut):
    """A tree taken apart at the cut edges: the pieces, and the tree that they make if each becomes a node."""
    nodes = range(len(parents))
    piece = []
    for i in nodes:
        piece.append(i if cut[i] else piece[parents[i]])
    pieces = [grown(i, lambda node: [j for j in nodes if parents[j] == node and not cut[j]]) for i in nodes if cut[i]]
    return pieces, grown(0, lambda root: [j for j in nodes if j and cut[j] and piece[parents[j]] == root])


def compositions(coefficients, tree):
    """The B-series of the exact flow of the modified field, by brute force: the sum over all ways to take
    the tree apart (the substitution law; Chartier, Hairer and Vilmart 2010)."""
    parents = parents_of(tree)
    total = 0
    for rest in product((False, True), repeat=len(parents) - 1):
        pieces, skeleton = pieces_and_skeleton(parents, (True, *rest))
        total += sp.prod([coefficients[p] for p in pieces]) / density(skeleton)
    return total


@pytest.mark.parametrize("n", range(1, 6))
def test_flow_of_the_modified_field_is_one_euler_step(euler, n):
    # Euler's step y + h f has the coefficient 1 on the single node and 0 on every other tree
    for tree in rooted_trees(n):
        assert compositions(euler, tree) == (1 if n == 1 else 0), tree


def test_the_brute_force_notices_a_wrong_coefficient(euler):
    spoilt = {**euler, CHAIN[3]: euler[CHAIN[3]] + sp.Rational(1, 100)}
    assert compositions(spoilt, CHAIN[3]) != 0


# --- memory ------------------------------------------------------------------------------------


def test_heavy_ball_and_nesterov_by_the_theory():
    b = sp.Symbol("beta")
    found = tree_coefficients(bea.heavy_ball(b), 3)
    assert sp.simplify(found[DOT] - 1 / (1 - b)) == 0
    assert sp.simplify(found[CHAIN[2]] + (1 + b) / (2 * (1 - b) ** 3)) == 0
    assert sp.simplify(found[CHAIN[3]] - (1 + 4 * b + b**2) / (3 * (1 - b) ** 5)) == 0
    assert sp.simplify(found[(DOT, DOT)] / 2 - (1 + 10 * b + b**2) / (12 * (1 - b) ** 5)) == 0
    found = tree_coefficients(bea.nesterov(b), 2)
    assert sp.simplify(found[CHAIN[2]] + (1 - b + 2 * b**2) / (2 * (1 - b) ** 3)) == 0


def test_chains_are_the_slow_root():
    # on f = -lambda y the slow root r of r = 1 - z + b - b/r decays with the rate -ln(r)/h
    z, b = sp.symbols("z"), sp.Rational(1, 3)
    root = (1 - z + b + sp.sqrt((1 - z + b) ** 2 - 4 * b)) / 2
    series = sp.series(sp.log(root), z, 0, 6).removeO()
    found = tree_coefficients(bea.heavy_ball(b), 5)
    chain = DOT
    for n in range(1, 6):
        assert sp.simplify(series.coeff(z, n) - found[chain] * (-1) ** n) == 0
        chain = (chain,)


@bea.optimizer
def twice_averaged(theta, gradient, memory, beta: bea.Decay):
    """A reader's own program with linear memory: an average of an average, and the gradient before."""
    g = gradient(theta)
    return memory.average(memory.average(g, beta), beta) + memory.previous(g)


@bea.optimizer
def looks_ahead(theta, gradient, memory):
    return gradient(theta - memory.h * gradient(theta))


@bea.optimizer
def modulus(theta, gradient, memory, factor):
    return factor * np.abs(memory.previous(gradient(theta)))


@bea.optimizer
def begins_slowly(theta, gradient, memory):
    return gradient(theta) / (2 if memory.step == 0 else 1)


FIELD = sp.Matrix([x * y - x**2 / 2 + 1, x - y**3 / 3 + x**2 * y])


@pytest.mark.parametrize(
    "optimizer",
    [
        bea.gradient_descent(),
        bea.heavy_ball(Fraction(1, 3)),
        bea.heavy_ball(Fraction(2, 5), damped=True),
        bea.nesterov(Fraction(3, 7)),
        twice_averaged(Fraction(1, 3)),
    ],
    ids=str,
)
def test_sum_over_trees_is_the_engines_field(optimizer):
    at = {x: sp.Rational(1, 2), y: sp.Rational(-2, 3)}
    engine = bea.modified_equation(optimizer, bea.VectorField(tuple(FIELD), (x, y)), 5)
    numbers = engine.coefficients([at[x], at[y]])
    found = tree_coefficients(optimizer, 5)
    for n in range(1, 6):
        total = sp.zeros(2, 1)
        for tree in rooted_trees(n):
            total += found[tree] / symmetry(tree) * elementary_differential(tree, FIELD, [x, y])
        assert list(total.subs(at)) == list(numbers[n - 1]), n


def test_same_coefficients_for_symbol_and_number():
    b = sp.Symbol("b")
    symbolic = tree_coefficients(bea.nesterov(b), 5)
    exact = tree_coefficients(bea.nesterov(sp.Rational(3, 10)), 5)
    assert {tree: value.subs(b, sp.Rational(3, 10)) for tree, value in symbolic.items()} == exact


# --- refusals ----------------------------------------------------------------------------------


@bea.optimizer
def drawn_to_its_past(theta, gradient, memory, c):
    return gradient(theta) + (theta - memory.average(theta, c)) / 3


@bea.optimizer
def keeps_its_move(theta, gradient, memory):
    return 2 * gradient(theta) + (theta - memory.previous(theta))


@bea.optimizer
def bends(theta, gradient, memory):
    before = memory.previous(theta)
    return gradient(theta) + theta - 2 * before + memory.previous(before)


@bea.optimizer
def names_coordinates(theta, gradient, memory):
    g = gradient(theta)
    return np.stack([g[0], g[1]])


@bea.optimizer
def sums_up(theta, gradient, memory):
    return np.cumsum(gradient(theta), axis=0)


@bea.optimizer
def by_layer(theta, gradient, memory):
    return gradient(theta) * np.arange(1, len(theta) + 1)


@bea.optimizer
def in_a_loop(theta, gradient, memory):
    g = gradient(theta)
    update, total = 0 * g, 0
    for j in range(len(g)):
        total = total + g[j]
        update[j] = total
    return update


@pytest.mark.parametrize(
    ("optimizer", "nodes", "message"),
    [
        (bea.rmsprop(Fraction(9, 10), Fraction(1, 10)), 3, "linear memory"),
        (bea.signum(Fraction(9, 10), Fraction(1, 10)), 3, "not linear"),
        (bea.adamw(Fraction(1, 2), Fraction(1, 2), Fraction(1), Fraction(1)), 3, "linear memory"),
        (looks_ahead(), 3, "linear memory"),
        (begins_slowly(), 3, "linear memory"),
        (modulus(sp.Integer(1)), 3, "not linear"),
        (modulus(sp.Integer(-1)), 3, "not linear"),
        (drawn_to_its_past(sp.Rational(1, 3)), 2, "uses more than averages"),
        (keeps_its_move(), 2, "uses more than averages"),
        (bends(), 3, "uses more than averages"),
        (names_coordinates(), 2, "uses more than averages"),
        (sums_up(), 2, "not the same for each coordinate"),
        (by_layer(), 2, "not the same for each coordinate"),
        (in_a_loop(), 2, "not the same for each coordinate"),
        (bea.heavy_ball(0.9), 3, "exact"),
        (bea.heavy_ball(np.array([0.5, 0.9])), 3, "exact"),
        (bea.gradient_descent(), 0, "from 1 to 20"),
    ],
)
def test_what_trees_cannot_do_is_said(optimizer, nodes, message):
    with pytest.raises(ValueError, match=message):
        tree_coefficients(optimizer, nodes)


@pytest.mark.parametrize("ask", [rooted_trees, lambda nodes: tree_coefficients(bea.gradient_descent(), nodes)])
def test_a_number_of_nodes_is_whole_and_from_1_to_20(ask):
    for nodes in (0, 21):
        with pytest.raises(ValueError, match="must be from 1 to 20"):
            ask(nodes)
    for nodes in (1.0, True, "1", None):
        with pytest.raises(TypeError, match="must be a whole number"):
            ask(nodes)


def test_a_field_has_one_component_for_each_variable():
    u, w = sp.symbols("u w")
    with pytest.raises(TypeError, match="a SymPy column of 2 expressions, one for each variable"):
        bea.elementary_differential(((),), sp.Matrix([u * w]), [u, w])


def test_a_field_must_be_a_column():
    y = sp.Symbol("y")
    for wrong in (sp.Matrix([[y, y]]), np.array([[y]], dtype=object), [y], y):
        with pytest.raises(TypeError, match="must be a SymPy column"):
            bea.elementary_differential(((),), wrong, [y])
