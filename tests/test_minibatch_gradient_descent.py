"""Mini-batch gradient descent over one epoch, by exact enumeration of every order of the batches.

Smith, Dherin, Barrett and De (2021), "On the Origin of Implicit Regularization in SGD": with batches drawn without replacement,
the mean over all orders of the iterate after one epoch follows gradient flow on E + h/(4m) sum_k |grad E_k|^2, up to O(h^3).
With replacement it follows that on E + h/4 |grad E|^2 instead, and the reshuffling penalty is wrong.
"""

from itertools import permutations, product
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

import bea

M = 4
A, B = sp.symbols("a b")
LOSSES = tuple(
    bea.Loss((c - k * A * B) ** 2 / 2 + s * A, (A, B))
    for c, k, s in (
        (1, 1, sp.Rational(1, 2)),
        (2, sp.Rational(3, 2), -1),
        (sp.Rational(1, 2), 2, 0),
        (1, sp.Rational(1, 2), 1),
    )
)
START = (0.9, 1.3)
HS = np.array([4e-3, 2e-3, 1e-3, 5e-4])
DESCENT = bea.gradient_descent()

WITHOUT_REPLACEMENT = tuple(permutations(range(M)))
WITH_REPLACEMENT = tuple(product(range(M), repeat=M))


def squared_gradient(expression):
    return sum(sp.diff(expression, x) ** 2 for x in (A, B))


FULL = bea.mean(LOSSES).expression
PENALTIES = {  # the coefficient of h in the modified loss
    "Smith": sum(squared_gradient(loss.expression) for loss in LOSSES) / (4 * M),
    "full batch": squared_gradient(FULL) / 4,
    "none": sp.Integer(0),
}


def epoch_errors(orders, penalty):
    """Distance, after one epoch, of the mean over the orders from gradient flow on E + h * penalty."""
    errors = []
    for h in HS:
        ends = [bea.run(DESCENT, LOSSES, START, h, M, batches=order)[-1] for order in orders]
        loss = bea.Loss(FULL + sp.nsimplify(h) * PENALTIES[penalty], (A, B))
        flow = bea.flow(
            SimpleNamespace(field=lambda _, loss=loss: lambda theta: -loss.gradient(theta)),
            START,
            M * h,
            1,
        )
        errors.append(np.linalg.norm(np.mean(ends, axis=0) - flow[-1]))
    return bea.Study(HS, np.array(errors))


def test_there_are_24_orders_and_256_sequences():
    assert len(WITHOUT_REPLACEMENT) == 24 and len(WITH_REPLACEMENT) == 256


@pytest.mark.parametrize(
    "orders, penalty, slope",
    [
        (WITHOUT_REPLACEMENT, "Smith", 3),
        (WITHOUT_REPLACEMENT, "full batch", 2),
        (WITHOUT_REPLACEMENT, "none", 2),
        (WITH_REPLACEMENT, "full batch", 3),
        (WITH_REPLACEMENT, "Smith", 2),
        (WITH_REPLACEMENT, "none", 2),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, tuple) else str(value),
)
def test_smith_et_al_2021_mean_over_all_orders(orders, penalty, slope):
    """h from 5e-4 to 4e-3, m = 4: one epoch is off by O(h^3) with the right penalty and by O(h^2) with the wrong one or none."""
    assert epoch_errors(orders, penalty).slope == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (1, 1, 0, 3)])
def test_every_single_order_follows_its_transient_equation(order):
    """One epoch, h from 5e-4 to 4e-3: off by O(h^3) with two terms, by O(h^2) with one."""
    for terms in (1, 2):
        equation = bea.transient_equation(DESCENT, LOSSES, order=terms, batches=order)
        errors = [
            np.linalg.norm(
                bea.flow(equation, START, h, M)[-1] - bea.run(DESCENT, LOSSES, START, h, M, batches=order)[-1]
            )
            for h in HS
        ]
        assert bea.Study(HS, np.array(errors)).slope == pytest.approx(terms + 1, abs=0.1)
