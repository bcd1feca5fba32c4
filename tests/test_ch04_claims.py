"""What chapter 4 claims of mini-batches, each against an oracle that does not use the claim.

Most oracles are plain NumPy loops over every order or every sequence of the batches, with gradients
written out by hand; none of them calls the library's runs.
"""

from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_lyapunov

import bea

C, K = np.array([0.0, 1.0, 2.0, 3.0]), 2.0  # the chapter's four batches
VALLEY = np.array([0.5, 1.5])
ORDERS, SEQUENCES = list(permutations(range(4))), list(product(range(4), repeat=4))


def slope(hs, errors):
    return np.polyfit(np.log(hs), np.log(errors), 1)[0]


class Batches:
    """E_k = (c_k - k_k ab)^2/2 + s_k a, with derivatives by hand; points have shape (..., 2)."""

    def __init__(self, c, k, s=0.0):
        self.c, self.k, self.s = np.broadcast_arrays(np.asarray(c, float), k, s)
        self.m = len(self.c)

    def gradient(self, i, x):
        a, b = x[..., 0], x[..., 1]
        r = self.c[i] - self.k[i] * a * b
        return np.stack([-self.k[i] * r * b + self.s[i], -self.k[i] * r * a], axis=-1)

    def hessian(self, i, x):
        a, b = x
        off = 2 * self.k[i] ** 2 * a * b - self.k[i] * self.c[i]
        return np.array([[self.k[i] ** 2 * b * b, off], [off, self.k[i] ** 2 * a * a]])

    def mean(self, function, x):
        return sum(function(i, x) for i in range(self.m)) / self.m

    def end(self, x, h, sequence):
        x = np.array(x, float)
        for i in sequence:
            x = x - h * self.gradient(i, x)
        return x

    def every_end(self, x, h, rounds):
        """All end points if each round may go through any of its sequences."""
        points = np.array([x], float)
        for sequences in rounds:
            points = np.concatenate([self.end(points, h, s) for s in sequences])
        return points

    def flow(self, x, time, h, penalty, order=()):
        """Flow of -grad E - (h/2) * (half steps of the full batch, of the batches, or none)."""

        def field(_, x):
            g, H = self.mean(self.gradient, x), self.mean(self.hessian, x)
            own = self.mean(lambda i, x: self.hessian(i, x) @ self.gradient(i, x), x)
            bend = {"full batch": H @ g, "reshuffling": own, "none": 0 * g}[penalty]
            for n, i in enumerate(order):
                for j in order[:n]:
                    turn = self.hessian(i, x) @ self.gradient(j, x) - self.hessian(j, x) @ self.gradient(i, x)
                    bend = bend - turn / self.m
            return -g - h / 2 * bend

        return solve_ivp(field, (0, time), x, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]


FOUR = Batches(C, K)
TILTED = Batches([1, 2, 0.5], [1, 1.5, 2], [0.5, -1, 0.2])  # gradients in different directions


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


def test_mean_run_and_typical_run_on_one_parameter(measured):
    rates, h = np.array([0.5, 1.0, 3.0]), 0.1
    ends = [np.prod(1 - h * rates[list(s)]) for s in product(range(3), repeat=6)]
    geometric, arithmetic = np.prod(1 - h * rates) ** (1 / 3), (1 - h * rates).mean()
    assert np.mean(ends) == pytest.approx(arithmetic**6, rel=1e-12)
    assert np.mean(np.log(ends)) == pytest.approx(6 * np.log(geometric), rel=1e-12)
    assert arithmetic > geometric
    measured("exact", 729, "sequences, to 1e-12")


def test_on_quadratics_the_mean_with_replacement_is_full_batch_descent(measured):
    rng, h = np.random.default_rng(0), sp.Symbol("h")
    A = [sp.Matrix(rng.integers(-3, 4, (2, 2))) for _ in range(2)]
    H, c = [a.T * a for a in A], [sp.Matrix(rng.integers(-3, 4, 2)) for _ in range(2)]

    def step(x, i):
        return (x - h * (H[i] * x - c[i])).expand()

    def end(sequence):
        x = sp.Matrix([1, 2])
        for i in sequence:
            x = step(x, i)
        return x

    mean = sum((end(s) for s in product(range(2), repeat=4)), sp.zeros(2, 1)) / 16
    x = sp.Matrix([1, 2])
    for _ in range(4):
        x = (step(x, 0) + step(x, 1)) / 2
    assert (mean - x).expand() == sp.zeros(2, 1)
    once = (end((0, 1)) + end((1, 0))) / 2
    two = sp.Matrix([1, 2])
    for _ in range(2):
        two = (step(two, 0) + step(two, 1)) / 2
    assert (once - two).expand() != sp.zeros(2, 1)
    measured("exact", 16, "sequences in fractions")


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


def variance_slope(losses, x, e=1e-5):
    """The gradient of Gamma, by central differences of its definition."""

    def gamma(x):
        slopes = np.array([losses.gradient(i, x) for i in range(losses.m)])
        return slopes.var(axis=0).sum()

    return np.array([(gamma(x + e * u) - gamma(x - e * u)) / (2 * e) for u in np.eye(2)])


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


def test_one_epoch_is_a_bridge_across_the_valley(measured):
    """To first order each batch once returns to the start on the valley, and other sequences do not."""
    h = 1e-4
    width = {
        name: np.linalg.norm([FOUR.end(VALLEY, h, s) - VALLEY for s in sequences], axis=1).max() / h
        for name, sequences in (("once", ORDERS), ("repl", SEQUENCES))
    }
    assert width["once"] < 0.2 and width["repl"] > 15
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


# --- every run balances ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed, h", [(0, 0.01), (1, 0.03)])
def test_exact_law_along_runs_drawn_in_any_way(seed, h, measured):
    rng = np.random.default_rng(seed)
    batches = [bea.bilinear(c, 2) for c in (0, 1, 2, 3)]
    for sequence in (
        rng.integers(0, 4, 200),
        np.concatenate([rng.permutation(4) for _ in range(50)]),
    ):
        path = bea.run(bea.gradient_descent(), batches, (0.6, 1.4), h, 200, batches=sequence)
        r = C[sequence] - 2 * path[:-1].prod(axis=1)
        imbalance = path[:, 0] ** 2 - path[:, 1] ** 2
        assert np.allclose(imbalance[1:], imbalance[:-1] * (1 - h**2 * 4 * r**2), atol=1e-12)
        wrong = imbalance[:-1] * (1 - h**2 * 4 * (1.5 - 2 * path[:-1].prod(axis=1)) ** 2)
        assert not np.allclose(imbalance[1:], wrong, atol=1e-5)  # the residual of the full batch
    measured("exact", 400, "steps, to 1e-12")


def test_every_end_point_balances_and_the_mean_with_replacement_does_not(measured):
    h, drifts = 1e-3, []
    for sequences, moves in ((ORDERS, True), (SEQUENCES, False)):
        ends = np.array([FOUR.end(VALLEY, h, s) for s in sequences])
        imbalance = ends[:, 0] ** 2 - ends[:, 1] ** 2
        assert np.all(imbalance > -2) and imbalance.mean() > -2 * (1 - 0.9 * 4 * h**2 * 5)
        a, b = ends.mean(axis=0)
        drift = (a**2 - b**2 + 2) / (2 * 4 * h**2 * 5)  # 1 is the whole drift
        assert drift == pytest.approx(1 if moves else 0, abs=0.06)
        drifts.append(drift)
    measured("drift of the mean: each batch once, with replacement", drifts, "1, 0 ± 0.06", digits=2)


def test_long_run_on_the_valley_a_thousand_runs(measured):
    """Both ways of drawing reach balance at the rate h k^2 sigma^2 = 5h, and the mean point with replacement follows."""
    rng, h, runs, T, rates = np.random.default_rng(0), 0.005, 1000, 20, []
    for reshuffled in (True, False):
        x = np.tile(VALLEY, (runs, 1))
        for n in range(round(T / h)):
            if n % 4 == 0:
                drawn = np.argsort(rng.random((runs, 4)), axis=1) if reshuffled else rng.integers(0, 4, (runs, 4))
            r = C[drawn[:, n % 4]] - 2 * x[:, 0] * x[:, 1]
            x = x + 2 * h * r[:, None] * x[:, ::-1]
        each = -np.log((x[:, 1] ** 2 - x[:, 0] ** 2) / 2) / (h * T)
        a, b = x.mean(axis=0)
        of_mean = -np.log((b**2 - a**2) / 2) / (h * T)
        rates += [np.median(each), of_mean]
    assert rates == pytest.approx([5] * 4, rel=0.1)
    measured(
        "rates: a typical run and the mean point, reshuffled and with replacement",
        rates,
        "5 ± 10 %",
    )


def test_settled_spread_gives_the_drift_of_the_reshuffling_penalty_along_the_valley(measured):
    """H Q + Q H = h S on the valley: -1/2 E'''[Q] and -h/4 grad Gamma agree along the valley."""
    H = FOUR.mean(FOUR.hessian, VALLEY)
    slopes = np.array([FOUR.gradient(i, VALLEY) for i in range(4)])
    S = np.cov(slopes.T, bias=True)
    assert np.allclose(S, 1.25 * H)
    tangent = np.array([0.5, -1.5]) / np.sqrt(2.5)
    # along the valley nothing holds the runs, nor does the noise push: solve across it
    Q = solve_continuous_lyapunov(H + np.outer(tangent, tangent), S)
    assert np.allclose(H @ Q + Q @ H, S)
    e = 1e-5
    third = [
        np.sum((FOUR.mean(FOUR.hessian, VALLEY + e * u) - FOUR.mean(FOUR.hessian, VALLEY - e * u)) * Q) / (2 * e)
        for u in np.eye(2)
    ]
    drift, predicted = -0.5 * np.array(third) @ tangent, -0.25 * variance_slope(FOUR, VALLEY) @ tangent
    assert drift == pytest.approx(predicted, rel=1e-6) and abs(predicted) > 1
    measured("drift along the valley / by the reshuffling penalty", drift / predicted, "1 ± 1e-6", digits=5)


# --- many epochs ------------------------------------------------------------------------------------------


def mean_and_spread(losses, x, T, h):
    """The chapter's equation for mean and covariance, with third derivatives by differences of Hessians."""

    def field(_, y):
        x, Q, e = y[:2], y[2:].reshape(2, 2), 1e-4
        g, H = losses.mean(losses.gradient, x), losses.mean(losses.hessian, x)
        S = np.cov(np.array([losses.gradient(i, x) for i in range(losses.m)]).T, bias=True)
        third = [
            np.sum((losses.mean(losses.hessian, x + e * u) - losses.mean(losses.hessian, x - e * u)) * Q) / (2 * e)
            for u in np.eye(2)
        ]
        return np.concatenate([-g - h / 2 * H @ g - np.array(third) / 2, (-H @ Q - Q @ H + h * S).ravel()])

    start = np.concatenate([x, np.zeros(4)])
    return solve_ivp(field, (0, T), start, rtol=1e-9, atol=1e-12).y[:2, -1]


@pytest.mark.parametrize(
    "losses, x, T",
    [
        (Batches([1, 1.4, 2.1], 2), np.array([0.3, 2.5]), 0.06),
        (Batches([1.1, 1.9], [2, 1.5]), np.array([0.9, 1.5]), 0.08),
    ],
)
def test_many_epochs_every_end_point(losses, x, T, measured):
    m = losses.m
    steps = np.array([6, 9, 12]) if m == 3 else np.array([8, 12, 16])
    hs = T / steps
    singles, orders = [(i,) for i in range(m)], list(permutations(range(m)))
    once = [losses.every_end(x, h, [orders] * (n // m)) for h, n in zip(hs, steps)]
    repl = [losses.every_end(x, h, [singles] * n) for h, n in zip(hs, steps)]
    assert len(repl[-1]) == m ** steps[-1]

    def order(clouds, target):
        return slope(hs, [np.linalg.norm(c.mean(axis=0) - target(h)) for c, h in zip(clouds, hs)])

    flows = {p: lambda h, p=p: losses.flow(x, T, h, p) for p in ("reshuffling", "full batch")}
    slopes = [
        order(once, flows["reshuffling"]),
        order(repl, lambda h: mean_and_spread(losses, x, T, h)),
    ]
    assert slopes == pytest.approx([2, 2], abs=0.1)
    assert order(once, flows["full batch"]) < 1.3
    assert order(repl, flows["full batch"]) < 1.4 and order(repl, flows["reshuffling"]) < 1.1
    spread = [slope(hs, [np.sqrt(c.var(axis=0).sum()) for c in clouds]) for clouds in (once, repl)]
    assert spread == pytest.approx([1.5, 0.5], abs=0.15)
    measured("slopes: reshuffled, mean and spread with replacement", slopes, "2 ± 0.1")
    measured("slopes of the spread", spread, "1.5, 0.5 ± 0.15")


# --- which minimizer, batch size, exercises -------------------------------------------------------------------


def test_own_valleys_drift_on_and_a_shared_valley_does_not(measured):
    rng = np.random.default_rng(3)
    shared = Batches(0.75 * np.array([1.4, 1.8, 2.2, 2.5]), np.array([1.4, 1.8, 2.2, 2.5]))
    for losses, stops in ((FOUR, False), (shared, True)):
        x, seen = np.array([2.8, 3.5]), []
        for _ in range(3000):
            x = losses.end(x, 0.005, rng.permutation(4))
            seen.append(x[0] ** 2 - x[1] ** 2)
        early, late = seen[50], seen[-1]
        assert bool(abs(late - early) < 1e-6) is stops
        if not stops:
            assert late > 0.4 * early
    full, mini = np.array([2.8, 3.5]), np.array([2.8, 3.5])
    for n in range(800):
        full = full - 0.005 * shared.mean(shared.gradient, full)
        if n % 4 == 0:
            mini = shared.end(mini, 0.005, rng.permutation(4))
    assert abs(mini[0] ** 2 - mini[1] ** 2) < abs(full[0] ** 2 - full[1] ** 2) - 0.05
    measured(
        "imbalance at the end on a shared valley: full batch, mini-batches",
        [full[0] ** 2 - full[1] ** 2, mini[0] ** 2 - mini[1] ** 2],
        "mini-batches nearer to 0",
    )


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


def test_resting_point_on_the_diagonal(measured):
    h, p, k, c, var = sp.symbols("h p k c v", positive=True)
    r = c - k * p
    loss = (r**2 + var) * (1 + h * k**2 * p) / 2
    claim = r * (1 + h * k**2 * p) - h * k / 2 * (r**2 + var)
    assert sp.expand(sp.diff(loss, p) + k * claim) == 0
    # the penalty itself, from its definition, on a = b
    a, b = sp.symbols("a b")
    batches = [(x - 2 * a * b) ** 2 / 2 for x in (0, 1, 2, 3)]
    modified = sum(batches) / 4 + h / 16 * sum(sp.diff(E, s) ** 2 for E in batches for s in (a, b))
    on_line = modified.subs({a: sp.sqrt(p), b: sp.sqrt(p)})
    assert sp.expand(on_line - loss.subs({k: 2, c: sp.Rational(3, 2), var: sp.Rational(5, 4)})) == 0
    measured("exact", 2, "identities in symbols")


def test_least_squares_weights(measured):
    x, y, h = np.array([[1.0, 2.0], [3.0, 0.5]]), np.array([1.0, -2.0]), 0.01
    theta = np.array([0.3, -0.7])
    residual = y - x @ theta
    penalty = h / 4 * np.mean(np.sum((residual[:, None] * x) ** 2, axis=1))
    weights = 1 + h / 2 * (x**2).sum(axis=1)
    assert np.mean(residual**2) / 2 + penalty == pytest.approx(np.mean(weights * residual**2) / 2)
    measured("exact", 1, "loss, to round-off")


def test_shuffling_once_spreads_wider_than_every_epoch(measured):
    T, steps = 0.16, np.array([40, 80, 160])
    hs = T / steps
    clouds = [np.array([FOUR.end(VALLEY, h, order * (n // 4)) for order in ORDERS]) for h, n in zip(hs, steps)]
    gaps = [np.linalg.norm(c.mean(axis=0) - FOUR.flow(VALLEY, T, h, "reshuffling")) for c, h in zip(clouds, hs)]
    slopes = [slope(hs, gaps), slope(hs, [np.sqrt(c.var(axis=0).sum()) for c in clouds])]
    assert slopes[0] == pytest.approx(2, abs=0.15)
    assert slopes[1] == pytest.approx(1, abs=0.1)
    measured("slopes of the mean and of the spread", slopes, "2 ± 0.15, 1 ± 0.1")


def test_orders_commute_for_multiples_of_one_loss_and_not_for_shifted_parabolas(measured):
    """Hessians that commute are not enough: (theta -+ 1)^2 / 2 from 0 end exactly 2 h^2 apart."""
    x, h = sp.symbols("x h")

    def apart(E_0, E_1, start):
        def step(at, E):
            return at - h * sp.diff(E, x).subs(x, at)

        return sp.series(step(step(start, E_0), E_1) - step(step(start, E_1), E_0), h, 0, 3).removeO().expand()

    assert apart((x - 1) ** 2 / 2, (x + 1) ** 2 / 2, sp.Integer(0)) == -2 * h**2
    loss = x**4 - x**3 + 2 * x
    assert apart(3 * loss, 5 * loss + 1, sp.Rational(1, 3)) == 0
    measured("distance of the two orders / h^2", 2, "2")
