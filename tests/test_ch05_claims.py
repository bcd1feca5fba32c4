"""What chapter 5 claims of many epochs of mini-batches, each against an oracle that does not use the claim.

Most oracles are plain NumPy loops over every order or every sequence of the batches, or over many
runs, with gradients written out by hand.
"""

from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_lyapunov

import bea
from batches import FOUR, VALLEY, Batches, slope, variance_slope
from live_answers import ends, loop_of_epochs, mean_of_four, two_batches

C = FOUR.c
ORDERS, SEQUENCES = list(permutations(range(4))), list(product(range(4), repeat=4))


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


def test_settled_spread_gives_the_drift_of_the_reshuffling_penalty_along_the_valley(measured, says):
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
    curvature = np.linalg.eigvalsh(H)[-1]
    says("05", "where $\\lambda$ is the curvature there, about 10", curvature)
    says("05", "So after a few times $1/(2\\lambda) = 0.05$ the mean", 1, 2, 1 / (2 * curvature))
    says("05", "from about t = 0.1 on rise parallel", 1 / np.linalg.eigvalsh(H)[-1])


# --- mean and spread ------------------------------------------------------------------------------------


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


def test_few_points_with_the_same_moments_stand_for_every_end_point(measured):
    """Ten steps with replacement, two batches: 36 weighted points against all 1,024 end points."""
    losses, h, degree = Batches([1, 2], 2), 0.01, 7
    points, weights = VALLEY[None], np.ones(1)
    for _ in range(10):
        points = np.concatenate([losses.end(points, h, (i,)) for i in range(2)])
        weights = np.tile(weights / 2, 2)
        while len(points) > 36:  # remove points one by one along a direction that keeps the moments
            x, y = ((points - points.mean(axis=0)) / np.ptp(points, axis=0)).T
            powers = np.array([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)])
            direction = np.linalg.svd(powers)[2][-1]
            direction = direction if direction.max() > 0 else -direction
            ratios = np.where(direction > 0, weights / np.where(direction > 0, direction, 1), np.inf)
            gone = ratios.argmin()
            weights = np.delete(weights - ratios[gone] * direction, gone)
            points = np.delete(points, gone, axis=0)
    every = losses.every_end(VALLEY, h, [[(0,), (1,)]] * 10)
    gap = np.abs(weights @ points - every.mean(axis=0)).max()
    assert len(points) == 36 and weights.min() > -1e-12 and gap < 1e-11
    measured("gap of the means", gap < 1e-11, "below 1e-11")


def test_the_mean_with_replacement_lags_behind_the_runs(measured):
    """From a point of the valley its imbalance soon is 2 h k^2 sigma^2 / (2 lambda) behind."""
    losses, h, n = Batches([1, 2], 2), 0.01, 16
    points, gaps = VALLEY[None], []
    for _ in range(n):
        points = np.concatenate([losses.end(points, h, (i,)) for i in range(2)])
        a, b = points.mean(axis=0)
        gaps.append((points[:, 0] ** 2 - points[:, 1] ** 2).mean() - (a**2 - b**2))
    curvature, variance = 4 * (VALLEY**2).sum(), 0.25
    # the variance across is h sigma^2 / 2 (1 - exp(-2 lambda t)), and b^2 - a^2 = 2 of the direction
    settled = h * variance / 2 * 2 / 2.5
    expected = settled * (1 - np.exp(-2 * curvature * h * n))
    assert gaps[0] < 0.3 * gaps[-1] and gaps[-1] == pytest.approx(expected, rel=0.1)
    measured("lag of the mean after 16 steps / expected", gaps[-1] / expected, "1 ± 0.1")


# --- which minimizer ------------------------------------------------------------------------------------


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


# --- the next order -------------------------------------------------------------------------------------


def many_runs(h, runs, steps, reshuffled, start=VALLEY, seed=0):
    """Many runs at once; the imbalance and the curvature across the valley at each step, (steps + 1, runs)."""
    rng, x = np.random.default_rng(seed), np.tile(np.array(start, float), (runs, 1))
    seen = [x]
    for n in range(steps):
        if n % 4 == 0:
            drawn = np.argsort(rng.random((runs, 4)), axis=1) if reshuffled else rng.integers(0, 4, (runs, 4))
        r = C[drawn[:, n % 4]] - 2 * x[:, 0] * x[:, 1]
        x = x + 2 * h * r[:, None] * x[:, ::-1]
        seen.append(x)
    path = np.array(seen)
    return path[..., 0] ** 2 - path[..., 1] ** 2, 4 * (path**2).sum(axis=-1)


@pytest.mark.parametrize("h", [0.01, 0.005])
def test_rates_of_balance_to_the_next_order(h, measured):
    """The mean rate of 2,000 runs is 5 h (1 + h lambda / 2) with replacement, 5 h (1 + h lambda) reshuffled."""
    parts = []
    for reshuffled in (False, True):
        imbalance, curvature = many_runs(h, 2000, round(20 / h), reshuffled)
        n = round(1 / h) // 4 * 4  # the spread has settled
        rate = np.log(imbalance[n] / imbalance[-1]).mean() / (h * (len(imbalance) - 1 - n))
        parts.append((rate / (5 * h) - 1) / (h * curvature[n:].mean()))
    assert parts == pytest.approx([0.5, 1], abs=0.06)
    measured("excess over 5 h in units of h lambda", parts, "0.5, 1 ± 0.06", digits=2)


def test_the_single_runs_differ_from_leading_order_by_more_than_chance(measured, says):
    """The two runs of chapter 4's first figure, with other draws: rates from t = 10 to 50, in units of h."""
    rates = []
    for reshuffled in (False, True):
        imbalance, curvature = many_runs(0.01, 1000, 5000, reshuffled, start=(2.8, 3.5))
        found = np.log(imbalance[1000] / imbalance[5000]) / 40 / 0.01
        rates += [found.mean(), found.std()]
        across = 0.01 * curvature.mean(axis=1)
        assert across[1000] == pytest.approx(0.105, abs=0.005) and across[-1] == pytest.approx(0.06, abs=0.005)
    assert rates[0] == pytest.approx(5.19, abs=0.015) and rates[2] == pytest.approx(5.36, abs=0.005)
    assert rates[1] == pytest.approx(0.07, abs=0.005) and rates[3] < 0.002
    measured("with replacement: mean and deviation", rates[:2], "5.19 ± 0.015, 0.07 ± 0.005", digits=2)
    measured("reshuffled: mean and deviation", rates[2:], "5.36 ± 0.005, below 0.002", digits=2)
    says("05", "other draws with replacement give $5.19h$ with a standard deviation of $0.07h$", *rates[:2])
    says("05", "reshuffled ones $5.36h$ with one of $0.0012h$", rates[2], rates[3])
    says("05", "the standard deviations are $0.07h$ and $0.0012h$", rates[1], rates[3])
    says("05", "and here $h\\lambda$ falls from about 0.10 to 0.06", across[1000], across[-1])


# --- exercises ------------------------------------------------------------------------------------------


def test_variance_at_which_runs_settle_about_a_minimizer(measured):
    """Exact maps of the variance on one parameter: by one step on every batch, and by every order."""
    d, lam, h = np.array([-1.5, -0.5, 0.5, 1.5]), 2.0, 0.01
    q, variance = 0.0, d.var()
    for _ in range(2000):
        q = (1 - h * lam) ** 2 * q + h**2 * lam**2 * variance
    assert q == pytest.approx(h * lam / (2 - h * lam) * variance, rel=1e-9)
    ends = np.array([0.0] * 24)
    for n, order in enumerate(ORDERS):
        for i in order:
            ends[n] += h * lam * (d[i] - ends[n])
    settled = ends.var() / (1 - (1 - h * lam) ** 8)
    ratio = settled / (4 * 5 / 24 * (h * lam) ** 3 * variance)
    assert ratio == pytest.approx(1, abs=0.05)
    measured("with reshuffling: variance / formula", ratio, "1 ± 0.05")


def test_mean_run_and_typical_run_on_one_parameter(measured):
    rates, h = np.array([0.5, 1.0, 3.0]), 0.1
    ends = [np.prod(1 - h * rates[list(s)]) for s in product(range(3), repeat=6)]
    geometric, arithmetic = np.prod(1 - h * rates) ** (1 / 3), (1 - h * rates).mean()
    assert np.mean(ends) == pytest.approx(arithmetic**6, rel=1e-12)
    assert np.mean(np.log(ends)) == pytest.approx(6 * np.log(geometric), rel=1e-12)
    assert arithmetic > geometric
    measured("exact", 729, "sequences, to 1e-12")


def test_resting_point_on_the_diagonal(measured, says):
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
    says("05", "= 0.625$", float(sp.Rational(5, 4) / 2))


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


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_distance_along_the_valley_grows_with_the_square_of_the_spread(measured, says):
    """The live figure, and the same end point by a plain loop over the two batches."""
    found = {s: ends("05", two_batches(s), mean_of_four()) for s in (0.25, 0.5)}
    for s, (end, _) in found.items():
        np.testing.assert_allclose(end, loop_of_epochs(s, (0.4, 1.875), 0.04, 200), rtol=1e-10)
    says("05", "along the valley to about (0.52, 1.33)", *ends("05", two_batches(1.0), mean_of_four())[0])
    far = [found[s][1][0] for s in (0.25, 0.5)]
    says("05", "From 0.048 to 0.18, by a factor of 3.7", *far, far[1] / far[0])
    measured("factor", far[1] / far[0], "below 4", digits=2)
