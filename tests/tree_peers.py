"""Explicit Euler's modified equation by other people's packages: functions from a number of nodes to the coefficients as `bea.trees` has them.

Each raises ImportError if its package is missing.  `PEERS` names them all.
"""

import collections
import collections.abc
from fractions import Fraction

import numpy as np

from bea.trees import _rank, rooted_trees

__all__ = ["PEERS"]


def nested(branches):
    """Nested lists as nested tuples, in the library's order."""
    return tuple(sorted((nested(branch) for branch in branches), key=_rank))


def as_list(tree):
    return [as_list(branch) for branch in tree]


def of_bseries(nodes):
    """BSeries 0.1 of the package index, whose `modified_equation` does not give coefficients alone: its recursion with its own parts."""
    from BSeries import bs, trees

    A, b = np.array([[0]], dtype=object), np.array([1], dtype=object)
    found = bs.TreeMap("b")
    forest = [tree for n in range(1, nodes + 1) for tree in trees.all_trees(n)]
    for tree in forest:
        weight = bs.elementary_weight(tree, A, b)
        if tree.order() == 1:
            found[tree] = weight
        else:
            found[tree] = weight - bs.subs(found, lambda t: Fraction(1, int(trees.gamma(t))), tree) + found[tree]
    return {nested(tree._nl): found[tree] for tree in forest}


def of_kauri(nodes):
    """kauri: the map of `euler.modified_equation_map()`."""
    import kauri

    found = kauri.euler.modified_equation_map()
    return {tree: found(kauri.Tree(as_list(tree))) for n in range(1, nodes + 1) for tree in rooted_trees(n)}


def of_pybs(nodes):
    """pybs 0.3 of 2015, which looks for two names where Python had them before 3.10."""
    for name in ("Hashable", "Mapping"):
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))
    from pybs.rungekutta.methods import RKeuler
    from pybs.series import modified_equation
    from pybs.unordered_tree import trees_of_order

    def tuples(tree):
        return tuple(sorted((tuples(branch) for branch, count in tree.items() for _ in range(count)), key=_rank))

    found = modified_equation(RKeuler.phi())
    return {tuples(tree): found(tree) for n in range(1, nodes + 1) for tree in trees_of_order(n)}


PEERS = {"BSeries": of_bseries, "kauri": of_kauri, "pybs": of_pybs}
