"""What chapter 15 claims, with Adam written anew and on repetitions that the chapter does not show."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from scipy import stats
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from sklearn.datasets import load_digits

import bea
from bea_book import compare

START = np.array([2.8, 3.5])
RESULTS = Path(__file__).resolve().parent.parent / "experiments" / "results"


def C(decay, n=None):
    """One plus twice the mean age under the weights themselves, added up one by one."""
    ages = np.arange(int(60 / (1 - decay)) + 1 if n is None else n + 1)
    weights = float(decay) ** ages
    return 1 + 2 * (weights @ ages) / weights.sum()


def adam(gradient, theta, beta, rho, epsilon, h):
    """Adam as Kingma and Ba print it, but with epsilon inside: its iterates, one after another, for ever."""
    m, v, n = 0 * theta, 0 * theta, 0
    while True:
        yield theta
        g, n = gradient(theta), n + 1
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
        theta = theta - h * (m / (1 - beta**n)) / np.sqrt(v / (1 - rho**n) + epsilon)


def taken(iterates, steps):
    return np.array([theta for _, theta in zip(range(steps + 1), iterates)])


def interval(values):
    """Mean and half-width of the 95 % t-interval, by SciPy's own interval."""
    values = np.asarray(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    return (low + high) / 2, (high - low) / 2


def valley_gradient(theta):
    return -2 * (1.5 - 2 * theta[0] * theta[1]) * theta[::-1]


# --- the valley ----------------------------------------------------------------------------------


def on_the_floor(delta):
    """(a, b) with ab = 3/4 and a - b = delta, by a root finder."""
    b = brentq(lambda b: b * (b + delta) - 0.75, 0, 9)
    return b + delta, b


def sampled_errors(delta, teacher, x):
    """The squared differences of two squaring neurons on the floor, at the inputs x."""
    return ((x @ on_the_floor(delta)) ** 2 - (x @ on_the_floor(teacher)) ** 2) ** 2


def formula(delta, teacher):
    def squares(delta):
        root = np.sqrt(delta**2 + 3)
        return (root + delta) ** 2 / 4, (root - delta) ** 2 / 4

    A, B = (own - wanted for own, wanted in zip(squares(delta), squares(teacher)))
    return 3 * A**2 + 3 * B**2 + 2 * A * B


def test_the_test_error_by_sampling(measured):
    x = np.random.default_rng(7).normal(size=(400_000, 2))
    ratios = []
    for delta, teacher in ((-0.7, 0.0), (-0.3, -1.0)):
        errors = sampled_errors(delta, teacher, x)
        middle, spread = errors.mean(), errors.std() / np.sqrt(len(x))
        assert abs(middle - formula(delta, teacher)) < 4 * spread
        assert abs(middle - formula(delta, teacher + 0.1)) > 8 * spread  # the control: another teacher
        ratios.append(middle / formula(delta, teacher))
    measured("sampled / formula for two teachers", ratios, "1 within four standard errors")


@pytest.fixture(scope="module")
def thirty():
    """(leading-order flow's end, offset of the two configurations at the first |r| < 0.2) of 30 other starts."""
    rng = np.random.default_rng(100)
    start = np.array([rng.uniform(1.5, 2.5, 30), rng.uniform(2.8, 3.6, 30)])
    ends = []
    for beta, rho in ((0.95, 0.5), (0.5, 0.95)):
        path = taken(adam(valley_gradient, start, beta, rho, 1e-8, 2e-3), 1800)
        first = (np.abs(1.5 - 2 * path.prod(axis=1)) < 0.2).argmax(axis=0)
        assert (first > 0).all()
        ends.append(np.array([path[k, 0, i] - path[k, 1, i] for i, k in enumerate(first)]))
    return start[0] - start[1], *ends


def test_the_same_drift_lowers_one_teachers_error_and_raises_anothers(thirty, measured):
    plain, for_balance, against = thirty
    moved, half_moved = interval(for_balance - against)
    assert moved > half_moved  # towards balance; all starts are below the diagonal
    norm, half_norm = interval(np.log((for_balance**2 + 3) / (against**2 + 3)) / 2)
    assert norm < -half_norm
    changes = []
    for teacher, sign in ((0 * plain, -1), (1.5 * plain, 1)):
        change, half = interval(formula(for_balance, teacher) - formula(against, teacher))
        assert sign * change > half
        changes.append(change)
    at_end, half = interval(formula(for_balance, plain) - formula(against, plain))
    assert abs(at_end) < 0.1 * min(np.abs(changes))
    measured("change of the one-norm's logarithm", norm, "interval below 0", digits=2)
    measured("change of the test error: balanced teacher, unbalanced, at the end", [*changes, at_end],
             "below 0, above 0, less than a tenth of them", digits=2)  # fmt: skip


def test_equal_decays_leave_the_test_error_where_the_plain_flow_does(thirty, measured):
    """The control of the drift: beta = rho, and the difference to the leading-order flow's test error nearly vanishes."""
    plain, for_balance, against = thirty
    rng = np.random.default_rng(100)
    start = np.array([rng.uniform(1.5, 2.5, 30), rng.uniform(2.8, 3.6, 30)])
    path = taken(adam(valley_gradient, start, 0.5, 0.5, 1e-8, 2e-3), 1800)
    first = (np.abs(1.5 - 2 * path.prod(axis=1)) < 0.2).argmax(axis=0)
    left = np.array([path[k, 0, i] - path[k, 1, i] for i, k in enumerate(first)]) - plain
    share = np.abs(left).max() / (for_balance - against).mean()
    assert share < 0.02
    measured("drift at equal decays over that of the two configurations", share, "below 0.02", digits=1)


# --- more coordinates than data ------------------------------------------------------------------

SETTINGS = ((0.9, 0.9), (0.9, 0.999), (0.99, 0.9))


def diagonal(seeds, sparse):
    """|w - w*|^2 and the gradient's one-norm at the first training loss below 1e-3, (2, seeds, settings)."""
    draws = [np.random.default_rng(seed) for seed in seeds]
    X = np.array([rng.normal(size=(10, 20)) for rng in draws])
    w = np.array([rng.normal(size=20) * np.sqrt(3 / 20) for rng in draws])
    if sparse:
        w = np.array([np.where(np.arange(20) < 3, rng.choice([-1, 1], 20), 0) for rng in draws])
    beta, rho = np.array(SETTINGS).T[:, :, None]

    def misses(theta):  # theta: (2, seeds, settings, 20)
        off = theta[0] ** 2 - theta[1] ** 2 - w[:, None]
        return off, np.einsum("snd,skd->skn", X, off)

    def gradient(theta):
        s = np.einsum("snd,skn->skd", X, misses(theta)[1]) / 10
        return np.array([2 * theta[0] * s, -2 * theta[1] * s])

    found = np.full((2, len(seeds), len(SETTINGS)), np.nan)
    for theta in adam(gradient, np.full((2, len(seeds), len(SETTINGS), 20), 0.1), beta, rho, 1e-8, 2e-3):
        off, residual = misses(theta)
        new = ((residual**2).mean(axis=2) / 2 < 1e-3) & np.isnan(found[0])
        if new.any():
            found[0][new] = (off**2).sum(axis=2)[new]
            found[1][new] = np.abs(gradient(theta)).sum(axis=(0, 3))[new]
        if not np.isnan(found).any():
            return found


def test_a_longer_memory_of_squares_hurts_the_sparse_more_than_the_dense(measured):
    sparse, dense = (diagonal(range(200, 260), kind) for kind in (True, False))
    worse, half = interval(sparse[0, :, 1] - sparse[0, :, 0])
    assert worse > half
    less, wide = interval(dense[0, :, 1] - dense[0, :, 0])
    assert abs(less) < worse / 2
    apart, about = interval((sparse - dense)[0, :, 1] - (sparse - dense)[0, :, 0])
    assert apart > about
    measured(
        "change of the test error, rho 0.9 to 0.999, sparse teacher: mean, half-width",
        [worse, half],
        "interval above 0",
        digits=2,
    )
    measured("the same, dense teacher", [less, wide], "less than half of it", digits=2)


def test_the_setting_with_the_smaller_norm_tests_worse_on_the_sparse_teacher(measured):
    """The honest case; the control is the dense teacher, where the same change of the norm does nothing."""
    sparse, dense = (diagonal(range(300, 330), kind) for kind in (True, False))
    norm, spread = interval(np.log(sparse[1, :, 2] / sparse[1, :, 0]))
    better, half = interval(sparse[0, :, 2] - sparse[0, :, 0])
    assert norm > spread and better < -half
    other, wide = interval(dense[0, :, 2] - dense[0, :, 0])
    assert abs(other) < abs(better) / 2
    measured(
        "beta 0.9 to 0.99: change of the norm's logarithm, of the test error",
        [norm, better],
        "above 0, below 0",
        digits=2,
    )
    measured("the same on the dense teacher, half-width", [other, wide], "less than half", digits=2)


# --- question 2: the same minimizers -------------------------------------------------------------


def shift(gradient, hessian, value, start, level, c):
    """Where the flow of E + c |grad E|^2 first has E = level, by a stiff solver with an event."""

    def rate(t, y):
        g = gradient(y)
        return -g - 2 * c * hessian(y) @ g

    def there(t, y):
        return np.log(value(y) / level)

    there.terminal = True
    return solve_ivp(rate, (0, 50), start, "LSODA", rtol=1e-11, atol=1e-14, events=there).y_events[0][0]


def bowl(c, level):
    H = np.diag([1.0, 4.0])
    return shift(lambda y: H @ y, lambda y: H, lambda y: y @ H @ y / 2, np.ones(2), level, c)


def valley(c, level):
    loss = bea.bilinear()
    return shift(
        lambda y: valley_gradient(y),
        loss.hessian,
        lambda y: (1.5 - 2 * y[0] * y[1]) ** 2 / 2,
        START,
        level,
        c,
    )


@pytest.mark.parametrize("case, flow, level", [("stopped", bowl, 0.1), ("valley", valley, 1e-14)])
def test_a_penalty_moves_an_early_stop_and_the_valleys_end_by_order_c(case, flow, level, measured):
    moved = [np.linalg.norm(flow(c, level) - flow(0.0, level)) for c in (2e-4, 1e-4)]
    slope = np.log2(moved[0] / moved[1])
    assert slope == pytest.approx(1, abs=0.05)
    measured("slope in c", slope, "1 ± 0.05")


def test_a_penalty_does_not_move_the_end_of_a_loss_with_one_minimizer(measured):
    level = 1e-14
    assert np.linalg.norm(bowl(4e-4, level) - bowl(0.0, level)) < 1e-6
    # the control: the same penalty, stopped early
    early = np.linalg.norm(bowl(4e-4, 0.1) - bowl(0.0, 0.1))
    assert early > 1e-5
    measured(
        "shift of the early stop, for comparison",
        early,
        "above 1e-5; the end's is below 1e-6",
        digits=2,
    )


# --- questions 3, 4, 6, 7 ------------------------------------------------------------------------


def test_the_drifts_sign_on_a_hundred_pairs(measured):
    """The control: with equal decays the drift falls with h squared, so that a correction of order h is absent."""
    decays = 1 - 1 / np.geomspace(1.2, 40, 10)
    beta, rho = (x.ravel() for x in np.meshgrid(decays, decays))
    off, drifts = beta != rho, []
    for h in (2e-3, 1e-3):
        path = taken(adam(valley_gradient, np.tile(START[:, None], 100), beta, rho, 1e-12, h), round(3.2 / h))
        first = (np.abs(1.5 - 2 * path.prod(axis=1)) < 0.5).argmax(axis=0)
        assert (first > 0).all()
        drifts.append(np.array([path[k, 0, i] - path[k, 1, i] for i, k in enumerate(first)]) + 0.7)
    right = int((np.sign(drifts[1]) == np.sign(beta - rho))[off].sum())
    assert right == 90
    slopes = [np.median(np.log2(drifts[0][rows] / drifts[1][rows])) for rows in (off, ~off)]
    assert slopes == pytest.approx([1, 2], abs=0.15)
    measured("pairs with the predicted sign", right, "all 90")
    measured("slopes of the drift in h: unequal decays, equal", slopes, "1, 2 ± 0.15", digits=2)


def test_mini_batches_keep_slope_two_and_the_wrong_batches_lose_it(measured):
    targets, hs, errors = 1.5 + np.array([-0.6, -0.2, 0.2, 0.6]), (2e-3, 1e-3), {}
    batches = [bea.bilinear(t, 2) for t in targets]
    for h in hs:
        steps = round(0.1 / h)
        order = np.tile([1, 2, 0, 3, 0], steps // 5)
        seen_targets = iter(targets[order])

        def gradient(y, targets=seen_targets):
            return -2 * (next(targets) - 2 * y[0] * y[1]) * y[::-1]

        path = taken(adam(gradient, np.array([0.9, 1.5]), 0.3, 0.4, 0.1, h), steps)
        for name, seen in (("right", order), ("wrong", np.roll(order, 2))):
            equation = bea.transient_equation(bea.adam(0.3, 0.4, 0.1), batches, 2, batches=seen)
            curve = bea.flow(equation, (0.9, 1.5), h, steps)
            errors.setdefault(name, []).append(np.abs(curve - path).max())
    slopes = [bea.Study(np.array(hs), np.array(e)).slope for e in errors.values()]
    assert slopes[0] == pytest.approx(2, abs=0.15) and slopes[1] == pytest.approx(1, abs=0.15)
    measured("slopes: right batches, wrong ones", slopes, "2, 1 ± 0.15", digits=2)


def test_a_defect_of_order_three_gives_a_distance_of_order_two(measured):
    loss, optimizer, start = bea.bilinear(), bea.adam(0.4, 0.5, 1.0), (0.9, 1.5)
    hs, defects, distances = np.array([4e-3, 2e-3, 1e-3]), [], []
    for h in hs:
        steps = round(0.12 / h)
        curve = bea.flow(bea.transient_equation(optimizer, loss, 2), start, h, steps)
        missed, m, v = [], 0, 0
        for n in range(steps):
            g = valley_gradient(curve[n])
            m, v = 0.4 * m + 0.6 * g, 0.5 * (v + g * g)
            stepped = curve[n] - h * m / (1 - 0.4 ** (n + 1)) / np.sqrt(v / (1 - 0.5 ** (n + 1)) + 1)
            missed.append(np.abs(curve[n + 1] - stepped).max())
        defects.append(max(missed))
        run = taken(adam(valley_gradient, np.array(start), 0.4, 0.5, 1.0, h), steps)
        distances.append(np.abs(curve - run).max())
    slopes = [bea.Study(hs, np.array(e)).slope for e in (defects, distances)]
    assert slopes == pytest.approx([3, 2], abs=0.1)
    measured("slopes: defect, distance", slopes, "3, 2 ± 0.1")


# --- question 8 ----------------------------------------------------------------------------------


def race(share, weight):
    """The fewest steps of gradient descent and of Adam to 1 % of the excess loss, and Adam's brackets at step 20."""

    def value(t):
        return weight @ (np.log1p(np.exp(t)) - share * t)

    def gradient(t):
        return weight * (1 / (1 + np.exp(-t)) - share)

    def descent(h):
        theta = np.zeros(300)
        while True:
            yield theta
            theta = theta - h * gradient(theta)

    low, first = value(np.log(share / (1 - share))), value(np.zeros(300))

    def steps(walk):
        for n, theta in zip(range(801), walk):
            excess = (value(theta) - low) / (first - low)
            if excess < 0.01:
                return n
            if not excess < 10:
                break
        return 800

    def run(h):
        return adam(gradient, np.zeros(300), 0.9, 0.999, 1e-20, h)

    g = gradient(taken(run(2.0**-5), 20)[20])
    return (
        min(steps(descent(2.0**k)) for k in range(3, 13)),
        min(steps(run(2.0**k)) for k in range(-6, 1)),
        C(0.9, 20) - C(0.999, 20) * g**2 / (g**2 + 1e-20),
    )


def test_adam_is_fast_on_a_heavy_tail_and_slow_on_equal_classes_with_negative_brackets_in_both(
    measured,
):
    """Steps to 1 % of the excess loss, each method with the best of a grid of h, on other draws than the chapter's."""
    ratios = {"tail": [], "equal": []}
    for seed in range(50, 54):
        share = np.random.default_rng(seed).uniform(0.65, 0.8, 300)
        for name, weight in (("tail", 1 / np.arange(1, 301)), ("equal", np.ones(300))):
            plain, own, brackets = race(share, weight / weight.sum())
            ratios[name].append(plain / own)
            assert (brackets < 0).mean() > 0.95
    assert min(ratios["tail"]) > 3 and max(ratios["equal"]) < 0.7
    measured("steps of gradient descent over Adam's, means: heavy tail, equal classes", [np.mean(r) for r in ratios.values()],
             "each draw above 3, below 0.7", digits=2)  # fmt: skip


# --- question 9 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_a_mode_rings_and_leaves_where_the_formulas_say(beta, measured, says):
    """The frozen mode from the companion matrix of theta_n+1 = s theta_n - beta theta_n-1."""

    def roots(q):
        return np.linalg.eigvals([[1 + beta - (1 - beta) * q, -beta], [1, 0]])

    edge = brentq(lambda q: np.abs(roots(q)).max() - 1 - 1e-12, 0.9 * 2 * C(beta), 1.1 * 2 * C(beta))
    assert edge == pytest.approx(2 * C(beta), rel=1e-6)
    ring = (1 - beta**0.5) / (1 + beta**0.5)
    if beta:
        assert np.abs(roots(0.999 * ring).imag).max() == 0 < np.abs(roots(1.001 * ring).imag).max()
    # and Adam itself, its denominator frozen by a huge epsilon, on both sides of the edge
    grows = []
    for q in (0.98 * edge, 1.02 * edge):
        path = taken(adam(lambda y: y, np.full(1, 1e-100), beta, 0.999, 1e60, q * 1e30), 600)[:, 0]
        assert np.abs(path).max() < 1e20  # so that the denominator stays frozen
        grows.append(np.abs(path[400:]).max() > np.abs(path[100:300]).max())
    assert grows == [False, True]
    measured("edge, 2 C_beta", [edge, 2 * C(beta)], "equal; the run decays 2 % below and grows 2 % above")
    if beta == 0.9:
        says("15", "has stopped describing the mode at $q = 0.026$; the run is stable until 38", ring, edge)
        says("15", "Adam's sharpest mode oscillates from $q = 0.026$ on", ring)
        says("15", "For $\\beta = 0.9$ that is 38, the number near which", beta, edge)


def test_late_adam_spikes_oscillates_or_is_quiet(measured):
    """On other curvatures and another start than the chapter's: the three late phases."""
    curvature = np.array([2.0, 7.0])
    peaks, medians = [], []
    for beta, rho in ((0.5, 0.95), (0.95, 0.95), (0.99, 0.5)):
        path = taken(adam(lambda y: curvature * y, np.array([1.0, -0.8]), beta, rho, 1e-16, 1e-2), 6000)
        loss = np.maximum((path[-2000:] ** 2) @ curvature / 2, 1e-30)
        peaks.append(loss.max() / np.median(loss))
        medians.append(np.median(loss))
    assert peaks[0] > 100 and medians[0] < 1e-4  # spikes over a quiet ground
    assert medians[1] < 1e-4
    assert peaks[2] < 100 and medians[2] > 1e-4  # steady, and high
    measured(
        "settings with spikes, with steady oscillation",
        [int((np.array(peaks) > 100).sum()), int((np.array(medians) > 1e-4).sum())],
        "1, 1",
    )


def fit(seed, units=10):
    """Gradient, Hessian and start of the chapter's small network, with the Hessian by a formula for its two parts."""
    x = np.linspace(-1, 1, 20)
    y = np.cos(4 * np.arccos(x))
    rng = np.random.default_rng(seed)
    start = np.concatenate([rng.normal(size=2 * units), rng.normal(size=units) / np.sqrt(units)])

    def parts(theta):
        w, b, v = theta.reshape(3, units)
        a = np.tanh(np.outer(x, w) + b)
        one = 1 - a * a
        jacobian = np.hstack([x[:, None] * one * v, one * v, a])
        return a, one, v, a @ v - y, jacobian

    def gradient(theta):
        *_, r, jacobian = parts(theta)
        return jacobian.T @ r / 20

    def hessian(theta):
        a, one, v, r, jacobian = parts(theta)
        H = jacobian.T @ jacobian
        second = -2 * a * one * v * r[:, None]
        blocks = {(0, 0): x @ (x[:, None] * second), (0, 1): x @ second, (1, 1): second.sum(axis=0),
                  (0, 2): x @ (one * r[:, None]), (1, 2): r @ one}  # fmt: skip
        i = np.arange(units)
        for (row, column), values in blocks.items():
            H[row * units + i, column * units + i] += values
            if row != column:
                H[column * units + i, row * units + i] += values
        return H / 20

    return gradient, hessian, start


def test_gradient_descent_trains_up_to_the_edge_and_adam_too(measured):
    """Another start than the chapter's; the control has a step so small that the edge is far."""
    gradient, hessian, start = fit(3)
    step = 1e-6 * np.ones(30)
    assert hessian(start) @ step == pytest.approx(gradient(start + step) - gradient(start), abs=1e-9)

    def descent(h, steps):
        theta, seen = start, []
        for n in range(steps):
            if n % 250 == 0:
                seen.append(h * np.linalg.eigvalsh(hessian(theta))[-1])
            theta = theta - h * gradient(theta)
        return np.array(seen)

    large, small = descent(0.4, 12000), descent(0.02, 6000)
    assert np.median(large[-20:]) == pytest.approx(2, abs=0.1) and small.max() < 1

    seen, v = [], 0
    for n, theta in zip(range(6000), adam(gradient, start, 0.9, 0.999, 1e-12, 0.03)):
        v = 0.999 * v + 0.001 * gradient(theta) ** 2
        if n >= 3000 and n % 100 == 0:
            half = (v / (1 - 0.999 ** (n + 1)) + 1e-12) ** -0.25
            seen.append(0.03 * np.linalg.eigvalsh(half[:, None] * hessian(theta) * half)[-1])
    assert 30 < np.median(seen) < 40
    measured("q of gradient descent, late", np.median(large[-20:]), "2 ± 0.1", digits=2)
    measured("Adam's q settles between 30 and 40", int(30 < np.median(seen) < 40), "1: the edge is 38")


def test_truncations_of_the_rate_up_to_the_first_oscillation(measured, says):
    """The slow root of heavy ball with the factor 1 - beta, expanded in q = h lambda / P."""
    q, beta = sp.Symbol("q"), sp.Rational(9, 10)
    trace = 1 + beta - (1 - beta) * q
    rate = -sp.log((trace + sp.sqrt(trace**2 - 4 * beta)) / 2) / q
    terms = sp.Poly(sp.series(rate, q, 0, 4).removeO(), q).all_coeffs()[::-1]
    ring = (1 - sp.sqrt(beta)) / (1 + sp.sqrt(beta))
    found = [float(sum(c * ring**k for k, c in enumerate(terms[:n]))) for n in (2, 3, 4)]
    says("15", "two, three and four terms give 1.25, 1.38 and 1.45 times", 2, 3, 4, *found)
    assert float(rate.subs(q, ring)) == pytest.approx(2, abs=0.001)
    half = float(sum(c * (ring / 2) ** k for k, c in enumerate(terms))) / float(rate.subs(q, ring / 2))
    assert 0.994 < half < 0.996
    measured("four terms over the rate, at half of the q of the first oscillation", half, "0.995", digits=2)


# --- networks: what the committed studies say ----------------------------------------------------


def changes(study):
    """The tested changes of a study, in per cent or points, and the result of each."""
    rows = json.loads((RESULTS / f"{study}.json").read_text(encoding="utf-8"))["rows"]
    cases = {
        case: np.array([row["value"] for row in rows if row["case"] == case]) for case in {r["case"] for r in rows}
    }
    pairs = [(b, 0.999) for b in (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)]
    pairs += [(0.9, r) for r in (0.9, 0.95, 0.98, 0.99, 0.995, 0.9995)]
    moved = compare.changes(cases, pairs)
    return moved, compare.results(moved)


def test_norm_and_test_loss_on_networks(measured, says):
    """From beta = 0 to 0.99 at h = 0.001 and three levels of the training loss."""
    for study, falls in (("decays-tanh", 3), ("decays-conv", 1)):
        moved, result = changes(study)
        keys = [("h = 0.001", level, "β 0 to 0.99") for level in range(3)]
        assert sum(result[*key, "one-norm"] == "falls" for key in keys) == falls
        if falls == 3:
            says("15", "and its accuracy by 1.65 points at $\\tfrac15$", -np.mean(moved[*keys[1], "accuracy"]))
        else:
            losses = [np.mean(moved[*key, "test loss"]) for key in keys]
            assert all(result[*key, "test loss"] == "rises" for key in keys)
            says("15", "at all three, by 5.6 to 8.9 per cent", 3, min(losses), max(losses))
            measured(
                "test loss on the convolutional network, per cent", [min(losses), max(losses)], "5.6, 8.9", digits=2
            )


def test_longer_steps_are_followed_up_to_a_point(measured, says):
    rows = json.loads((RESULTS / "follow-tanh.json").read_text(encoding="utf-8"))["rows"]
    ends = {h: [row["error"][-1][1] for row in rows if row["case"] == f"h = {h}"] for h in (0.064, 0.256)}
    assert max(ends[0.064]) < 1e-3
    says("15", "up to $h = 0.064$, but not at $h = 0.256$, where it ends 3 to 5 per cent away", 0.064, 0.256,
         *(100 * end for end in sorted(ends[0.256])))  # fmt: skip
    measured("half-step reading at h = 0.064 and 0.256", [max(ends[0.064]), max(ends[0.256])], "6e-4, 0.045", digits=2)


def test_pixels_that_are_empty_in_all_images(measured, says):
    """In the 200 images of each seed of question 3, times sixteen units."""
    pixels = load_digits().data
    rows = [np.random.default_rng(seed).permutation(len(pixels))[:200] for seed in range(3)]
    empty = {int((pixels[chosen] == 0).all(axis=0).sum()) for chosen in rows}
    weights = 64 * 16 + 16 + 16 * 10 + 10
    says("15", "A constant 9 per cent are the weights of pixels that are empty", 100 * empty.pop() * 16 / weights)
    assert not empty  # for all seeds
    measured("weights of empty pixels, of all", 7 * 16, "112 of 1210")


# --- question 10 ---------------------------------------------------------------------------------


def test_a_large_epsilon_drifts_like_gradient_descent_with_the_matched_step(measured):
    plain, found = 2.8**2 - 3.5**2, {}
    for eta in (1e-3, 5e-4):

        def squares(theta):
            return theta[0] ** 2 - theta[1] ** 2 - plain

        theta = START
        for _ in range(round(3 / eta)):
            theta = theta - eta * valley_gradient(theta)
        for name, h in (("matched", eta / C(0.9)), ("not matched", eta)):
            other = next(islice(adam(valley_gradient, START, 0.9, 0.999, 1e12, h * 1e6), round(3 / h), None))
            found.setdefault(name, []).append(squares(other) / squares(theta))
    assert found["matched"][1] == pytest.approx(1, abs=0.03)
    assert abs(found["matched"][1] - 1) < abs(found["matched"][0] - 1)
    assert found["not matched"][1] > 5  # nineteen times the bias, less what the oscillation takes
    measured("drift of Adam over gradient descent's: matched, with the same step", [found["matched"][1], found["not matched"][1]],
             "1 ± 0.03, above 5", digits=2)  # fmt: skip


def test_equal_decays_follow_sign_descent_without_a_correction(measured):
    slopes = []
    for beta, rho in ((0.5, 0.5), (0.5, 0.8)):
        errors = []
        for h in (4e-3, 2e-3, 1e-3):
            steps = round(1 / h)
            run = taken(adam(valley_gradient, START, beta, rho, 1e-12, h), steps)
            # sign flow where both gradients are positive: both parameters fall with speed one
            flow = START - h * np.arange(steps + 1)[:, None]
            errors.append(np.abs(run - flow).max())
        slopes.append(np.log2(errors[-2] / errors[-1]) if errors[-1] > 1e-9 else 9.0)
    assert slopes[0] > 1.8 and slopes[1] == pytest.approx(1, abs=0.1)
    measured("slopes: equal decays, unequal", slopes, "2 or more, 1 ± 0.1", digits=2)
