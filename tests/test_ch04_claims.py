"""What chapter 4 claims of one epoch of mini-batches, each against an oracle that does not use the claim.

Most oracles are plain NumPy loops over every order or every sequence of the batches, with gradients
written out by hand; none of them calls the library's runs.
"""

from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp

from batches import FOUR, TILTED, VALLEY, Batches, slope, variance_slope
from live_answers import ends, loop_of_epochs, mean_of_four, two_batches

ORDERS, SEQUENCES = list(permutations(range(4))), list(product(range(4), repeat=4))


# --- the smallest case, and what is exact ---------------------------------------------------------


def test_smallest_case(measured):
    h, kappa = sp.symbols("h kappa")
    once = sp.expand((1 - h) * (1 - 3 * h))
    repl = sp.expand(sum((1 - x * h) * (1 - y * h) for x in (1, 3) for y in (1, 3)) / 4)
    flow = sp.series(sp.exp(-4 * h - 2 * kappa * h**2), h, 0, 3).removeO()
    assert once == 1 - 4 * h + 3 * h**2 and repl == 1 - 4 * h + 4 * h**2
    assert sp.solve(sp.expand(flow - once).coeff(h, 2), kappa) == [sp.Rational(5, 2)]
    assert sp.solve(sp.expand(flow - repl).coeff(h, 2), kappa) == [2]
    measured("exact", 2, "coefficients in fractions")


# --- one epoch, and two ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "losses, x",
    [
        (FOUR, (0.9, 1.5)),
        (TILTED, (0.9, 1.3)),
        (Batches([1, 2, 0.5, 1], [1, 1.5, 2, 0.5], [0.5, -1, 0, 1]), (0.9, 1.3)),
    ],
)
@pytest.mark.parametrize(
    "drawn, right, wrong", [("once", "reshuffling", "full batch"), ("repl", "full batch", "reshuffling")]
)
def test_smith_et_al_2021_one_epoch_by_plain_loops(losses, x, drawn, right, wrong, measured):
    m, hs = losses.m, np.array([1e-3, 5e-4, 2.5e-4])
    rounds = [permutations(range(m))] if drawn == "once" else [[(i,) for i in range(m)]] * m
    rounds = [list(r) for r in rounds]
    means = [losses.every_end(x, h, rounds).mean(axis=0) for h in hs]
    found = {
        p: slope(hs, [np.linalg.norm(y - losses.flow(x, m * h, h, p)) for y, h in zip(means, hs)])
        for p in (right, wrong, "none")
    }
    assert found[right] == pytest.approx(3, abs=0.1)
    assert found[wrong] == pytest.approx(2, abs=0.12) and found["none"] == pytest.approx(2, abs=0.1)
    measured("slopes of the right, the other and no half step", found.values(), "3, 2, 2 ± 0.1")


@pytest.mark.parametrize("losses, count", [(FOUR, 576), (TILTED, 36)])
def test_two_epochs_all_pairs_of_orders(losses, count, measured):
    m, hs, x = losses.m, np.array([5e-4, 2.5e-4, 1.25e-4]), np.array([0.9, 1.3])
    clouds = [losses.every_end(x, h, [list(permutations(range(m)))] * 2) for h in hs]
    assert {len(c) for c in clouds} == {count}
    found = {
        p: slope(
            hs,
            [np.linalg.norm(c.mean(axis=0) - losses.flow(x, 2 * m * h, h, p)) for c, h in zip(clouds, hs)],
        )
        for p in ("reshuffling", "full batch")
    }
    assert found["reshuffling"] == pytest.approx(3, abs=0.1) and found["full batch"] == pytest.approx(2, abs=0.1)
    measured(
        f"slopes over all {count} pairs of orders, reshuffling and full batch",
        found.values(),
        "3, 2 ± 0.1",
    )


@pytest.mark.parametrize("losses", [FOUR, TILTED])
def test_middle_of_an_epoch(losses, measured):
    """The mean after j of m steps is ahead of the reshuffling flow by h^2/4 j (m - j)/(m - 1) grad Gamma."""
    m, h, x, misses = losses.m, 1e-4, np.array([0.9, 1.3]), []
    whole = variance_slope(losses, x)
    for j in range(m + 1):
        mean = np.mean([losses.end(x, h, order[:j]) for order in permutations(range(m))], axis=0)
        ahead = (mean - (losses.flow(x, j * h, h, "reshuffling") if j else x)) / h**2
        expected = j * (m - j) / (4 * (m - 1)) * whole
        misses.append(np.linalg.norm(ahead - expected) / np.linalg.norm(whole))
    assert max(misses) < 0.01
    measured("largest miss, part of the gradient of the variance", max(misses), "below 0.01", digits=1)


def test_one_epoch_is_a_bridge_across_the_valley(measured, says):
    """To first order each batch once returns to the start on the valley, and other sequences do not."""
    h = 1e-4
    width = {
        name: np.linalg.norm([FOUR.end(VALLEY, h, s) - VALLEY for s in sequences], axis=1).max() / h
        for name, sequences in (("once", ORDERS), ("repl", SEQUENCES))
    }
    assert width["once"] < 0.2 and width["repl"] > 15
    returning = sum(np.linalg.norm(FOUR.end(VALLEY, h, s) - VALLEY) < 0.2 * h for s in SEQUENCES)
    assert returning < 128
    says("04", "most of the 256 sequences (orange) do not", len(SEQUENCES))
    measured(
        "largest distance / h: each batch once, with replacement",
        width.values(),
        "below 0.2, above 15",
        digits=2,
    )


def test_spread_over_the_orders_in_closed_form(measured):
    ratios = []
    for losses, x in ((FOUR, VALLEY), (TILTED, np.array([0.9, 1.3]))):
        H, g = ([f(i, x) for i in range(losses.m)] for f in (losses.hessian, losses.gradient))
        commutator = np.array([[H[k] @ g[l] - H[l] @ g[k] for l in range(losses.m)] for k in range(losses.m)])
        formula = (commutator**2).sum() / 24 + (commutator.sum(axis=1) ** 2).sum() / 12
        ends = np.array([losses.end(x, 1e-4, order) for order in permutations(range(losses.m))])
        ratios.append(ends.var(axis=0).sum() / 1e-16 / formula)
    assert ratios == pytest.approx([1, 1], abs=0.02)
    measured("variance counted / formula", ratios, "1 ± 0.02")


def test_where_the_runs_of_the_opening_figure_end(measured, says):
    """By loops with other draws, from (2.8, 3.5) with h = 0.01 to t = 60."""
    rng, h = np.random.default_rng(1), 0.01
    full, x = np.array([2.8, 3.5]), np.tile([2.8, 3.5], (100, 1))
    for n in range(6000):
        if n % 4 == 0:
            drawn = np.argsort(rng.random((100, 4)), axis=1)
        full = full + 2 * h * (1.5 - 2 * full.prod()) * full[::-1]
        x = x + 2 * h * (drawn[:, n % 4] - 2 * x.prod(axis=1))[:, None] * x[:, ::-1]
    imbalance = [(p[..., 0] ** 2 - p[..., 1] ** 2).mean() for p in (full, x)]
    says("04", "stops on the dashed valley near (0.38, 1.96)", *full)
    says("04", "flat at minus 3.7 for the full batch", -imbalance[0])
    says("04", "rise together from there to about minus 0.15", -imbalance[1])
    measured("imbalance of the full batch and of the reshuffled runs", imbalance, "-3.7, -0.15", digits=2)


# --- one given order -----------------------------------------------------------------------------------


@pytest.mark.parametrize("losses, x", [(FOUR, VALLEY), (TILTED, np.array([0.9, 1.3]))])
def test_a_repeated_order_has_its_own_equation_and_back_and_forth_has_the_reshuffling_flow(losses, x, measured):
    order = tuple(range(losses.m))
    T, rounds = 0.12, np.array([8, 16, 32])

    def found(sequence, terms):
        hs = T / (rounds * len(sequence))
        gaps = [losses.end(x, h, sequence * n) - losses.flow(x, T, h, "reshuffling", terms) for h, n in zip(hs, rounds)]
        return slope(hs, np.linalg.norm(gaps, axis=1))

    slopes = [found(order, order), found(order, order[::-1]), found(order, ())]
    assert slopes == pytest.approx([2, 1, 1], abs=0.12)
    slopes.append(found(order + order[::-1], ()))
    assert slopes[-1] == pytest.approx(2, abs=0.15)
    measured("slopes: own order, reverse, none, back and forth", slopes, "2, 1, 1, 2 ± 0.15")


def test_the_commutator_on_quadratics_is_no_gradient(measured):
    x = sp.Matrix(sp.symbols("x y"))
    H = [sp.Matrix([[2, 1], [1, 1]]), sp.Matrix([[1, 0], [0, 3]])]
    jacobian = (H[1] * H[0] * x - H[0] * H[1] * x).jacobian(list(x))
    assert jacobian == -jacobian.T != sp.zeros(2, 2)
    measured("exact", 1, "identity in symbols")


@pytest.mark.parametrize("N, m", [(6, 1), (6, 2), (6, 3), (6, 6), (4, 2)])
def test_variance_of_batches_in_exact_fractions(N, m, measured):
    values = [sp.Rational(n**2 + 1, n + 2) for n in range(N)]
    size = N // m

    def variance(numbers):
        mean = sp.Add(*numbers) / len(numbers)
        return sum((x - mean) ** 2 for x in numbers) / len(numbers)

    cuts = {tuple(frozenset(order[i * size : (i + 1) * size]) for i in range(m)) for order in permutations(range(N))}
    mean = sum(variance([sp.Add(*(values[i] for i in batch)) / size for batch in cut]) for cut in cuts) / len(cuts)
    assert (
        mean == sp.Rational(m - 1, N - 1) * variance(values) == sp.Rational(N - size, (N - 1) * size) * variance(values)
    )
    measured("exact", len(cuts), "ways to cut")


def test_least_squares_weights(measured):
    x, y, h = np.array([[1.0, 2.0], [3.0, 0.5]]), np.array([1.0, -2.0]), 0.01
    theta = np.array([0.3, -0.7])
    residual = y - x @ theta
    penalty = h / 4 * np.mean(np.sum((residual[:, None] * x) ** 2, axis=1))
    weights = 1 + h / 2 * (x**2).sum(axis=1)
    assert np.mean(residual**2) / 2 + penalty == pytest.approx(np.mean(weights * residual**2) / 2)
    measured("exact", 1, "loss, to round-off")


def test_one_pair_of_orders_needs_no_partner(measured, says):
    """1302 and 2031 alone end near the reshuffling flow; 0123 and 3210 end farthest from it."""
    h = 0.0025
    target = FOUR.flow(VALLEY, 4 * h, h, "reshuffling")
    gaps = {order: np.linalg.norm(FOUR.end(VALLEY, h, order) - target) / h**2 for order in ORDERS}
    ranked = sorted(gaps, key=gaps.get)
    assert set(ranked[:2]) == {(1, 3, 0, 2), (2, 0, 3, 1)} and set(ranked[-2:]) == {(0, 1, 2, 3), (3, 2, 1, 0)}
    assert gaps[ranked[1]] < 4 and gaps[ranked[2]] > 25 and gaps[ranked[-1]] > 150
    measured("distances / h^2 by rank: second, third, last", [gaps[ranked[k]] for k in (1, 2, -1)], "< 4, > 25, > 150")
    H, g = ([f(i, VALLEY) for i in range(4)] for f in (FOUR.hessian, FOUR.gradient))
    pairs = [(k, l) for k in range(4) for l in range(k)]
    unit = [(H[k] @ g[l] - H[l] @ g[k]) / (FOUR.c[k] - FOUR.c[l]) for k, l in pairs]
    assert np.allclose(unit, unit[0]) and np.linalg.norm(unit[0]) > 1  # proportional to the difference of the two c
    for order in ranked[:2]:
        assert sum(FOUR.c[i] - FOUR.c[j] for n, i in enumerate(order) for j in order[:n]) == 0
    says("04", "in these orders the six differences add up to zero", len(pairs))
    along, across = np.array([1, -3]) / 10**0.5, np.array([3, 1]) / 10**0.5  # the valley goes that way in (1/2, 3/2)
    ends = [(FOUR.end(VALLEY, h, order) - VALLEY) / h**2 for order in ORDERS]
    sideways, heights = [end @ across for end in ends], [end @ along for end in ends]
    says("04", "at a height of about 13 towards balance", np.mean(heights))
    says("04", "from about minus 164 to plus 144 across the valley", -min(sideways), max(sideways))


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_reversed_order_moves_the_end_across_and_not_along(measured, says):
    """The live figure, and the same end points by a plain loop over the two batches."""
    found = {s: ends("04", two_batches(s), mean_of_four()) for s in (1.0, -1.0)}
    for s, (end, _) in found.items():
        np.testing.assert_allclose(end, loop_of_epochs(s, (0.4, 1.875), 0.02, 100), rtol=1e-10)
    says("04", "from $(0.396, 1.793)$ to $(0.435, 1.802)$", *found[1.0][0], *found[-1.0][0])
    says("04", "along the valley to about (0.40, 1.79)", *found[1.0][0])
    far = [found[s][1][0] for s in (1.0, -1.0)]
    says("04", "0.082 in one order, 0.081 in the other", *far)
    measured("distances from the start", far, "equal to 0.001", digits=3)
