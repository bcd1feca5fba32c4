"""What chapter 13 claims about noise in Adam, each claim against a witness that is not the code it speaks of."""

import json
from collections import deque
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import bea
from live_answers import ends

LABELS = np.arange(4.0)
SIGNS = np.array([-1.0, 1.0])
FOUR = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25)


def C(decay):
    return (1 + decay) / (1 - decay)


def tau(beta, rho, last=4000):
    """The double sum over the ages of both averages, added up."""
    j = np.arange(last)
    return ((1 - rho) * (rho * beta) ** j).sum() * (1 - beta) * ((beta**j)[1:] * (1 - beta ** j[1:])).sum()


def adam(gradient, theta, beta, rho, h, steps, epsilon=0.0, memory=None):
    """Adam as Kingma and Ba print it, with epsilon inside; gradient(theta, n) and the iterates one by one."""
    m, v = memory or (0 * theta, 0 * theta)
    for n in range(steps):
        g = gradient(theta, n)
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
        a, b = (1, 1) if memory else (1 - beta ** (n + 1), 1 - rho ** (n + 1))
        theta = theta - h * (m / a) / np.sqrt(v / b + epsilon)
        yield theta


def last(path):
    return deque(path, maxlen=1)[0]


def slope(hs, errors):
    return np.polyfit(np.log(hs), np.log(errors), 1)[0]


# --- batch by batch, and all of them ------------------------------------------------------------


def label_gradients(sequences):
    """The gradients of the four bilinear batches, for many sequences (steps, runs) at once."""
    return lambda theta, n: -2 * (LABELS[sequences[n]] - 2 * theta[0] * theta[1]) * theta[::-1]


def mean_end(sequences, h, **options):
    start = np.tile(np.array([[0.9], [1.5]]), sequences.shape[1])
    return last(adam(label_gradients(sequences), start, h=h, steps=len(sequences), **options))


ALL = {
    "replacement": np.array(list(product(range(4), repeat=8))).T,
    "reshuffled": np.array([p + q for p in permutations(range(4)) for q in permutations(range(4))]).T,
}


def test_the_question_all_sequences_are_slower_and_move_the_offset_less(measured):
    full = last(
        adam(
            lambda t, n: -2 * (1.5 - 2 * t[0] * t[1]) * t[::-1],
            np.array([0.9, 1.5]),
            0.5,
            0.9,
            0.005,
            8,
        )
    )
    start = np.array([0.9, 1.5])
    ways = [-(full - start).mean() / 0.005]
    for sequences in ALL.values():
        moved = mean_end(sequences, 0.005, beta=0.5, rho=0.9, epsilon=1e-12).mean(axis=1) - start
        ways.append(-moved.mean() / 0.005)
        assert 4 < ways[-1] < 7 < ways[0]
        assert abs(moved @ (1, -1)) < abs((full - start) @ (1, -1))
    measured(
        "distance in eight steps, in steps: full batch, replacement, reshuffled",
        ways,
        "two below 7",
        digits=2,
    )


def test_an_order_has_its_own_flow(measured):
    batches, order = [bea.bilinear(int(c), 2) for c in LABELS], [2, 0, 3, 1] * 8
    optimizer, counts, errors = bea.adam(0.4, 0.5, 16.0), np.array([16, 24]), {}
    for n in counts:
        path = [np.array([0.9, 1.5])]
        path += adam(label_gradients(np.array(order)), path[0], 0.4, 0.5, 0.24 / n, n, epsilon=16.0)
        for terms in (2, 1):
            equation = bea.transient_equation(optimizer, batches, terms, batches=order)
            curve = bea.flow(equation, path[0], 0.24 / n, int(n))
            errors.setdefault(terms, []).append(np.abs(curve - path).max())
    found = [slope(1 / counts, e) for e in errors.values()]
    assert found == pytest.approx([2, 1], abs=0.12)
    measured("slopes: its own flow, one term", found, "2, 1 ± 0.12", digits=2)


def leading_flow(sequence, h, epsilon):
    """The piecewise flow of -M/R for a sequence of batches, its weights summed anew at every step."""
    theta = np.array([0.9, 1.5])
    yield theta
    for n in range(len(sequence)):
        ages = np.arange(n, -1, -1)
        w, u = 0.6 * 0.4**ages, 0.5 * 0.5**ages
        c = LABELS[sequence[: n + 1]]

        def field(_, t, w=w, u=u, c=c):
            g = -2 * (c - 2 * t[0] * t[1]) * t[::-1, None]
            return -(g @ w / w.sum()) / np.sqrt(g**2 @ u / u.sum() + epsilon)

        theta = solve_ivp(field, (0, h), theta, rtol=1e-6, atol=1e-9).y[:, -1]
        yield theta


def test_another_order_is_wrong_at_leading_order(measured):
    counts, order = np.array([128, 512]), np.array([2, 0, 3, 1])
    found = []
    for of_flow in (order, order[::-1]):
        errors = []
        for n in counts:
            path = [np.array([0.9, 1.5])]
            path += adam(label_gradients(np.resize(order, n)), path[0], 0.4, 0.5, 0.24 / n, n, epsilon=0.01)
            curve = list(leading_flow(np.resize(of_flow, n), 0.24 / n, 0.01))
            errors.append(np.abs(np.subtract(curve, path)).max())
        found.append(slope(1 / counts, errors))
    assert found[0] == pytest.approx(1, abs=0.05) and found[1] < 0.3
    measured("slopes of the leading order: its own, another order's", found, "1 ± 0.05, below 0.3", digits=2)


def line_of_valley(eta, beta, rho):
    """The path over h and the change of a - b over h squared and delta/(ab), from the weights, by plain loops."""
    path, change, steps = 0.0, 0.0, []
    for n in range(len(eta)):
        w = np.array([beta ** (n - k) for k in range(n + 1)])
        u = np.array([rho ** (n - k) for k in range(n + 1)])
        w, u = w / w.sum(), u / u.sum()
        M = sum(w[k] * eta[k] for k in range(n + 1))
        R = np.sqrt(sum(u[k] * eta[k] ** 2 for k in range(n + 1)))
        for k in range(n):
            change = change - (w[k] * eta[k] / R - u[k] * eta[k] ** 2 * M / R**3) * sum(steps[k:])
        steps.append(M / R)
        path = path + M / R
    return path.mean(), change.mean()


def test_the_line_of_the_valley_gives_the_opening(measured):
    full = line_of_valley(np.full((8, 1), 2.4), 0.5, 0.9)
    found = []
    for sequences in ALL.values():
        told = line_of_valley(2 * 2 * 0.9 * 1.5 - 2 * LABELS[sequences], 0.5, 0.9)
        small = mean_end(sequences, 1e-4, beta=0.5, rho=0.9, epsilon=1e-16).mean(axis=1) - (0.9, 1.5)
        assert -small.mean() / 1e-4 == pytest.approx(told[0], rel=0.002)
        assert (small @ (1, -1)) / 1e-8 == pytest.approx(told[1] * -0.6 / 1.35, rel=0.02)
        found += [told[0] / full[0], told[1] / full[1]]
    assert found == pytest.approx([0.680, 0.43, 0.691, 0.43], abs=0.006)
    measured(
        "path and change in units of the full batch's: replacement, reshuffled",
        found,
        "0.68, 0.43, 0.69, 0.43",
        digits=2,
    )


def test_the_sampling_scheme_matters_at_leading_order_for_adam(
    measured,
):
    hs = np.array([4e-4, 2e-4])

    def descent(sequences, h):
        theta = np.tile(np.array([[0.9], [1.5]]), sequences.shape[1])
        for n in range(len(sequences)):
            theta = theta - h * label_gradients(sequences)(theta, n)
        return theta

    slopes = []
    for end in (lambda s, h: mean_end(s, h, beta=0.5, rho=0.9, epsilon=1e-2), descent):
        gaps = [np.linalg.norm(np.subtract(*(end(s, h).mean(axis=1) for s in ALL.values()))) for h in hs]
        slopes.append(slope(hs, gaps))
    assert slopes == pytest.approx([1, 2], abs=0.08)
    measured("slopes of the gap: Adam, gradient descent", slopes, "1, 2 ± 0.08", digits=2)


# --- a quotient and its mean --------------------------------------------------------------------


def test_a_mean_of_signs_stops_at_noise_as_large_as_the_gradient(measured):
    for sigma, expected in ((0.5, 1.0), (0.99, 1.0), (1.01, 0.0), (3.0, 0.0)):
        assert np.sign(1 + sigma * SIGNS).mean() == expected
        g, memory = 1 + sigma * SIGNS, bea.program.Running(h=0.0)
        step = bea.adam(0.0, 0.0, 1e-12)(None, lambda _, g=g: g, memory)
        assert step.mean() == pytest.approx(expected, abs=1e-6)
    measured("exact", 4, "sizes of noise")


def second_order(kappa, nu):
    """The mean of M / sqrt(V) less g/R at g = sigma = 1, from moments of the four batches."""
    g = 1 + FOUR
    return -kappa * np.mean(g * (g**2 - 2)) / 2 / 2**1.5 + 3 / 8 * nu * np.var(g**2) / 2**2.5


def deviations(beta, rho, reshuffled, runs=4000, seed=1):
    """F less its linear part (whose mean is g/R), per 1 - rho, on frozen gradients."""
    rng, steps = np.random.default_rng(seed), 4 * round(3 / (1 - rho))
    m = v = total = 0.0
    for n in range(steps):
        if reshuffled:
            if n % 4 == 0:
                order = np.argsort(rng.random((4, runs)), axis=0)
            z = FOUR[order[n % 4]]
        else:
            z = FOUR[rng.integers(0, 4, runs)]
        m, v = beta * m + (1 - beta) * (1 + z), rho * v + (1 - rho) * (1 + z) ** 2
        M, V = m / (1 - beta ** (n + 1)), v / (1 - rho ** (n + 1))
        if n >= steps // 2:
            total = total + M / np.sqrt(V) - M / np.sqrt(2) + (V - 2) / (2 * 2**1.5)
    values = total / (steps - steps // 2) / (1 - rho)
    return values.mean(), values.std() / np.sqrt(runs)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_fluctuations_for_both_sampling_schemes(beta, measured):
    rho, p = 0.98, np.arange(1, 5)
    exact = (1 - beta) / (1 - beta * rho), 1 / (1 + rho)
    seen = []
    once = ((1 - beta**p) * (4 - p) / 3).mean(), 0.0
    for reshuffled, right, wrong in ((False, exact, once), (True, once, exact)):
        mean, error = deviations(beta, rho, reshuffled)
        assert mean == pytest.approx(second_order(*right), abs=4 * error + 0.005)
        assert abs(mean - second_order(*wrong)) > 4 * error + 0.005
        seen.append(mean - second_order(*right))
    measured("mean less prediction: replacement, reshuffled", seen, "0 ± 4 standard errors", digits=1)


def test_covariance_within_a_reshuffled_epoch_in_exact_sums(measured):
    """cov(M, V) and var V to first order in 1 - rho, from every order of four batches over the epoch that runs."""
    rho, beta = 1 - 1e-7, 0.5
    a, b = FOUR, (1 + FOUR) ** 2
    b = b - b.mean()
    found_covariance, found_variance = [], []
    for p in range(1, 5):
        orders = np.array(list(permutations(range(4))))
        ages = np.arange(p)[::-1]
        M = a[orders[:, :p]] @ ((1 - beta) * beta**ages)
        V = b[orders[:, :p]] @ ((1 - rho) * rho**ages)
        # epochs that are over: their part of M stands below an epoch's whole sum, which is zero up to (1 - rho)
        found_covariance.append((M * V).mean() / (1 - rho))
        found_variance.append((V * V).mean() / (1 - rho))
    p = np.arange(1, 5)
    assert np.mean(found_covariance) == pytest.approx(((1 - beta**p) * (4 - p) / 3).mean() * (a * b).mean(), rel=1e-5)
    assert max(found_variance) < 1e-5
    measured("covariance of M and V over 1 - rho", np.mean(found_covariance), "the formula's ± 1e-5")


def test_the_self_averaged_step_is_right_to_half_a_per_cent_at_0_99(measured):
    shares = [abs(deviations(0.0, 0.99, way, runs=500)[0]) * np.sqrt(2) for way in (False, True)]
    assert max(shares) < 0.5
    measured("per cent: replacement, reshuffled", shares, "below 0.5", digits=1)


# --- the bowl ----------------------------------------------------------------------------------


def bowl(beta, rho, proportional, ratio, scale, steps, pairs, seed=0):
    """What the terms of order h do: (mean, its standard error) in the chapter's units, by plain loops."""
    rng, R = np.random.default_rng(seed), 2 * np.sqrt(1 + ratio**2)
    ends = []
    for k in (1, 2):
        h = scale * R / k
        back = h * 2 / R
        memory = (np.full(2 * pairs, 2 + (beta / (1 - beta) + 1) * back),
                  np.full(2 * pairs, R**2 + (rho / (1 - rho) + 1) * (1 + proportional * ratio**2) * 4 * back))  # fmt: skip

        def gradient(x, n):
            z = SIGNS[rng.integers(0, 2, pairs)] * ratio
            z = np.concatenate([z, -z])
            return x * (1 + z) if proportional else x + 2 * z

        end = last(adam(gradient, np.full(2 * pairs, 2.0), beta, rho, h, k * steps, memory=memory))
        ends.append((end[:pairs] + end[pairs:]) / 2)
    unit = 2 / scale
    return unit * (ends[0].mean() - ends[1].mean()), unit * np.sqrt(sum(e.var() / pairs for e in ends))


def bowl_told(bracket, proportional, ratio, scale, steps):
    """The same from the first variation: x' = -x/R - h B x / (2 R^2), linear in h."""
    R0 = 2 * np.sqrt(1 + ratio**2)

    def rate(_, y):
        x, u = y
        variance = (ratio * x) ** 2 if proportional else (2 * ratio) ** 2
        R, slope = np.sqrt(x**2 + variance), (1 if proportional else variance / (x**2 + variance))
        if proportional:
            return [-x / R, -bracket(x, variance) * x / (2 * R**2)]
        return [-x / R, -slope / R * u - bracket(x, variance) * x / (2 * R**2)]

    return R0 * solve_ivp(rate, (0, scale * R0 * steps), (2.0, 0.0), rtol=1e-9, atol=1e-12).y[1, -1]


@pytest.mark.parametrize(
    "rho, ratio, sign",
    [(0.97, 0.0, 1), (0.97, 0.5, 1), (0.97, 4.0, -1), (0.9, 1.0, -1), (0.9, 4.0, -1)],
)
def test_constant_noise_acts_as_an_epsilon_and_changes_the_sign(rho, ratio, sign, measured):
    scale, steps = 5e-4, 1000
    seen, error = bowl(0.9, rho, False, ratio, scale, steps, 300 if ratio else 1)
    told = bowl_told(lambda x, v: C(0.9) - C(rho) * x**2 / (x**2 + v), False, ratio, scale, steps)
    as_without = bowl_told(lambda x, v: C(0.9) - C(rho), False, ratio, scale, steps)
    assert sign * told > 0 and abs(seen - told) < 4 * error + 0.06 * abs(as_without) + 0.3
    assert sign * seen > 2 * error
    if ratio:
        assert abs(seen - as_without) > 4 * error
    measured("effect of order h, measured and predicted", [float(seen), float(told)], "the same sign", digits=2)


def test_proportional_noise_leaves_the_bracket_until_the_moved_point_shows(measured):
    scale, steps = 1e-3, 500

    def told(rho, ratio, moved):
        def bracket(x, v):
            return C(0.9) - C(rho) + moved * 2 * tau(0.9, rho) * ratio**2

        return bowl_told(bracket, True, ratio, scale, steps)

    figures = []
    seen, error = bowl(0.9, 0.97, True, 0.5, scale, steps, 300)
    figures += [float(seen), told(0.97, 0.5, 0)]
    assert seen == pytest.approx(told(0.97, 0.5, 0), rel=0.1) and error < 0.2
    seen, error = bowl(0.9, 0.9, True, 8.0, scale, steps, 600)
    figures += [float(seen), told(0.9, 8.0, 1)]
    assert abs(seen - told(0.9, 8.0, 1)) < 4 * error and abs(seen - told(0.9, 8.0, 0)) > 8 * error
    # and it is no matter of a smaller step: it stays at half the step size
    seen, error = bowl(0.9, 0.9, True, 8.0, scale / 2, 2 * steps, 600)
    assert abs(seen) > 4 * error and abs(seen - told(0.9, 8.0, 1)) < 4 * error
    measured(
        "measured and predicted at noise of 0.5; at 8, with tau",
        figures,
        "alike, two by two",
        digits=2,
    )


def test_the_thresholds_of_the_text(measured, says):
    assert np.sqrt(C(0.99) / C(0.9) - 1) == pytest.approx(3.08, abs=0.01)
    assert np.sqrt(C(0.999) / C(0.9) - 1) == pytest.approx(10.2, abs=0.05)
    assert C(0.9) / C(0.99) == pytest.approx(0.095, abs=1e-3) and C(0.9) / C(0.999) == pytest.approx(0.0095, abs=1e-4)
    for rho, size in ((0.99, 1056), (0.999, 96)):
        assert 100**2 * C(0.9) / (C(rho) - C(0.9)) == pytest.approx(size, abs=0.5)
    measured(
        "thresholds of sigma/g at rho = 0.99, 0.999",
        np.sqrt([C(r) / C(0.9) - 1 for r in (0.99, 0.999)]),
        "3.08, 10.2",
    )
    says(
        "13",
        "With $\\sigma_1=100\\,g$ it is 1056 for $\\rho=0.99$ and 96 for $\\rho=0.999$",
        100,
        *(x for r in (0.99, 0.999) for x in (100**2 * C(0.9) / (C(r) - C(0.9)), r)),
    )
    says("13", "$\\sigma^2/g^2=1999/19-1\\approx104$", 1999, 19, 1, C(0.999) / C(0.9) - 1)
    says(
        "13",
        "of about three times the gradient, for $\\rho=0.999$ of about ten times",
        np.sqrt(C(0.99) / C(0.9) - 1),
        0.999,
        np.sqrt(C(0.999) / C(0.9) - 1),
    )


# --- the valley --------------------------------------------------------------------------------


def valley(pairs, sigmas, h, runs, start, steps, stop_at=None, seed=5):
    """a - b at the end, or where ab passes stop_at, for every pair and sigma: (pairs, sigmas, runs)."""
    rng = np.random.default_rng(seed)
    shape = (len(pairs), len(sigmas), runs)
    beta, rho = (np.broadcast_to(np.array(x)[:, None, None], shape).ravel() for x in zip(*pairs))
    sigma = np.broadcast_to(np.array(sigmas)[:, None], shape).ravel()

    def gradient(t, n):
        return -2 * (1.5 + sigma * SIGNS[rng.integers(0, 2, len(sigma))] - 2 * t[0] * t[1]) * t[::-1]

    theta = np.tile(np.array(start)[:, None], len(sigma))
    found = np.full(len(sigma), np.nan)
    for new in adam(gradient, theta, beta, rho, h, steps, epsilon=1e-12):
        if stop_at:
            old_p, p = theta.prod(axis=0), new.prod(axis=0)
            i = np.flatnonzero(np.isnan(found) & (p < stop_at))
            part = (old_p[i] - stop_at) / (old_p[i] - p[i])
            found[i] = (1 - part) * (theta[0] - theta[1])[i] + part * (new[0] - new[1])[i]
            if not np.isnan(found).any():
                break
        theta = new
    return (found if stop_at else theta[0] - theta[1]).reshape(shape)


def on_the_way(a, sigma):
    """q delta/(ab) for delta = -0.7, which at leading order stays."""
    r = 2 * a * (a + 0.7) - 1.5
    return r / np.hypot(r, sigma) * (1 / a - 1 / (a + 0.7))


def test_label_noise_reduces_the_drift_and_keeps_its_sign(measured):
    sigmas, h = (0.0, 2.0, 4.0), 5e-4
    moved = valley(((0.9, 0.98), (0.98, 0.9)), sigmas, h, 40, (2.8, 3.5), 9000, 1.0) + 0.7
    low, parts = -0.35 + np.sqrt(0.35**2 + 1), []
    for (beta, rho), of_pair in zip(((0.9, 0.98), (0.98, 0.9)), moved):
        law = []
        for sigma, values in zip(sigmas, of_pair):
            told = h / 2 * (C(beta) - C(rho)) * quad(on_the_way, low, 2.8, args=(sigma,))[0]
            assert values.mean() == pytest.approx(told, rel=0.13)
            law.append(told)
        assert of_pair[2].mean() / of_pair[0].mean() == pytest.approx(law[2] / law[0], rel=0.1)
        assert law[2] / law[0] < 0.65
        parts += [of_pair[2].mean() / of_pair[0].mean(), law[2] / law[0]]
    measured(
        "drift with noise of 4 / without, measured and predicted, both signs",
        parts,
        "alike, below 0.65",
        digits=2,
    )


def test_without_a_bracket_the_noise_term_is_left(measured):
    moved = valley(((0.9, 0.9),), (4.0,), 5e-4, 60, (2.8, 3.5), 9000, 1.0)[0, 0] + 0.7
    low = -0.35 + np.sqrt(0.35**2 + 1)

    def rate(a):
        r = 2 * a * (a + 0.7) - 1.5
        q = r / np.hypot(r, 4)
        return (1 - q * q) / q * (1 / a - 1 / (a + 0.7))

    told = 5e-4 * tau(0.9, 0.9) * quad(rate, low, 2.8)[0]
    assert moved.mean() == pytest.approx(told, rel=0.35) and moved.mean() > 10 * moved.std() / np.sqrt(60)
    measured(
        "drift at beta = rho and noise of 4, and the term with tau", [moved.mean(), told], "alike within 35 %", digits=1
    )


def floor_rates(pairs, h, steps, burn, runs, m=None, seed=3):
    """tau* from runs: -d ln|a - b|/dt per h/(ab), by Adam as printed."""
    rng = np.random.default_rng(seed)
    shape = (len(pairs), runs)
    beta, rho = (np.broadcast_to(np.array(x)[:, None], shape).ravel() for x in zip(*pairs))
    order = None

    def gradient(t, n):
        nonlocal order
        if m is None:
            z = SIGNS[rng.integers(0, 2, t.shape[1])]
        else:
            if n % m == 0:
                order = rng.permuted(np.tile(np.resize(SIGNS, m)[:, None], t.shape[1]), axis=0)
            z = order[n % m]
        return -2 * (1.5 + z - 2 * t[0] * t[1]) * t[::-1]

    theta = np.tile(np.array([[0.5], [1.5]]), beta.size)
    for n, new in enumerate(adam(gradient, theta, beta, rho, h, burn + steps, epsilon=1e-16)):
        if n == burn:
            first = new[0] - new[1]
    rates = -np.log((new[0] - new[1]) / first) / (h * h * (steps - 1)) * 0.75
    return rates.reshape(shape)


def by_direct_sums(beta, rho, h, omega=4.0, last=60000):
    """tau* from impulse responses: what one draw does to y, M and the average of y, multiplied and added up."""
    y, m, average, total = 0.0, 0.0, 0.0, 0.0
    xi = 1.0
    for _ in range(last):
        m = beta * m + (1 - beta) * (xi + omega * y)
        average = rho * average + (1 - rho) * y
        total += omega * y * y - m * average
        y, xi = y - h * m, 0.0
    return total / h


FLOOR = ((0.9, 0.9), (0.5, 0.5), (0.0, 0.5), (0.0, 0.99), (0.9, 0.99), (0.0, 0.999), (0.5, 0.999), (0.9, 0.999))


@pytest.mark.parametrize("h", [2e-3, 1e-3])
def test_drift_on_the_floor_for_every_memory(h, measured):
    seen = floor_rates(FLOOR, h, 5000, 5000, 100).mean(axis=1)
    told = [by_direct_sums(*pair, h) for pair in FLOOR]
    assert seen == pytest.approx(told, abs=0.02)
    if h == 2e-3:  # in units of h alone, as 1/ab = 4/3: 0.34 and 0.59, not 0.006
        assert seen[0] / 0.75 == pytest.approx(0.34, abs=0.01) and seen[7] / 0.75 == pytest.approx(0.59, abs=0.02)
    measured("tau* seen, eight pairs of decays", seen, "the covariances' ± 0.02", digits=1)


def test_two_limits_of_the_drift(measured):
    short = [abs(by_direct_sums(*pair, 1e-5, last=400000) - tau(*pair)) for pair in ((0.9, 0.9), (0.5, 0.5))]
    assert max(short) < 2e-3
    long = []
    for chi in (0.5, 4.0, 20.0):
        h = 1e-3
        long.append(by_direct_sums(0.0, 1 - 4 * h / chi, h) / (chi / 2 / (1 + chi)))
    assert long == pytest.approx([1, 1, 1], abs=0.01)
    with_momentum = by_direct_sums(0.9, 1 - 4 * 2e-4 / 50, 2e-4)
    assert with_momentum == pytest.approx(0.5, abs=0.02)
    assert 70 < by_direct_sums(0.9, 0.999, 1e-3) / tau(0.9, 0.999) < 90
    measured("long memory without momentum over the formula, at chi = 0.5, 4, 20", long, "1 ± 0.01")


def on_frozen_labels(beta, rho, m, runs=400, seed=4):
    """What the labels' products are on average in steady state: tau*, and the noise in the denominator of a
    field at one point and of a run, from the definition."""
    rng, length = np.random.default_rng(seed), max(round(6 / (1 - rho)), 40 * (m or 1))
    length += -length % (m or 1)
    if m:
        epochs = np.tile(np.resize(SIGNS, m), (runs, length // m, 1))
        xi = rng.permuted(epochs, axis=2).reshape(runs, length).T
    else:
        xi = SIGNS[rng.integers(0, 2, (length, runs))]
    M, y = np.zeros((length, runs)), np.zeros((length + 1, runs))
    for n in range(length):
        M[n] = (beta * M[n - 1] if n else 0) + (1 - beta) * xi[n]
        y[n + 1] = y[n] - M[n]

    def weights(decay, n):
        """From the oldest to the newest, without those that together are below 1e-17 of all."""
        last = min(n, int(np.log(1e-17) / np.log(decay)) if decay else 0)
        return (1 - decay) * float(decay) ** np.arange(last, -1, -1)

    tau_star, of_field, of_run, count = 0.0, 0.0, 0.0, m or 20
    for n in range(length - count, length):
        w, u = weights(beta, n), weights(rho, n)
        recent, y_recent = slice(n + 1 - len(w), n + 1), y[n + 1 - len(u) : n + 1]
        own = np.einsum("k,kr,kr->r", w, xi[recent], y[recent] - y[n])
        shared = M[n] * (u @ (y_recent - y[n]))
        tau_star += (own - shared).mean() / count
        of_field += (M[n] ** 2 / 2 + shared).mean() / count
        of_run += (M[n] * (u @ y_recent)).mean() / count
    return tau_star, of_field, of_run


def test_reshuffled_epochs_reverse_both_dependences(measured):
    pairs = ((0.9, 0.9), (0.9, 0.99), (0.9, 0.999), (0.0, 0.99), (0.0, 0.999), (0.99, 0.999))
    seen = floor_rates(pairs, 5e-4, 64 * 150, 64 * 50, 40, m=64).mean(axis=1)
    told = [on_frozen_labels(*pair, 64)[0] for pair in pairs]
    assert seen == pytest.approx(told, abs=0.02)
    assert seen[0] < seen[1] - 0.05 and seen[1] < seen[2] - 0.03 and seen[3] < seen[4] - 0.05  # a larger rho
    assert seen[3] > seen[1] + 0.05 and seen[4] > seen[2] + 0.08 and seen[2] > seen[5] + 0.2  # a larger beta
    measured("tau* in epochs of 64, six pairs of decays", seen, "that of the labels' products ± 0.02", digits=1)


def test_the_two_means_differ_by_one_half_with_fresh_draws_and_agree_in_epochs(measured):
    fresh = on_frozen_labels(0.9, 0.9, None, runs=40000)
    assert fresh[1] - fresh[2] == pytest.approx(0.5, abs=0.05) and fresh[2] == pytest.approx(-tau(0.9, 0.9), abs=0.05)
    epochs = on_frozen_labels(0.9, 0.9, 64, runs=4000)
    assert epochs[1] == pytest.approx(epochs[2], abs=0.02) and epochs[1] == pytest.approx(0.137, abs=0.01)
    measured(
        "fields less runs: fresh draws, epochs",
        [fresh[1] - fresh[2], epochs[1] - epochs[2]],
        "½ ± 0.05, 0 ± 0.02",
        digits=1,
    )


def test_tau_is_the_solution_of_the_recursions(measured):
    for beta, rho in ((0.9, 0.97), (0.5, 0.5), (0.9, 0.9)):
        assert tau(beta, rho) == pytest.approx(beta / (1 + beta) * (1 - rho) / (1 - beta * rho), rel=1e-9)
    assert tau(0.9, 0.9) <= 0.5
    measured("exact", 3, "pairs of decays")


# --- the mean of the flow ----------------------------------------------------------------------


def test_the_mean_over_all_sequences_needs_the_spread(measured):
    """All 2^n sequences of memoryless Adam; the equations' derivatives by differences."""
    T, counts = 1.2, np.array([6, 9, 14])
    z = np.array([-1.5, 1.5])

    def steps(x):
        return (x + z) / np.sqrt((x + z) ** 2 + 1)

    def derivative(f, x, d=1e-4):
        return (f(x + d) - f(x - d)) / (2 * d)

    def F(x):
        return steps(x).mean()

    def told(h, kind):
        def rate(_, y):
            x, Q = y
            F1 = derivative(F, x)
            if kind == "mean of the fields":
                each = [derivative(lambda u, k=k: steps(u)[k], x) for k in (0, 1)]
                return [-F(x) - h / 2 * np.mean(steps(x) * each), 0]
            bend = (F(x + 1e-3) - 2 * F(x) + F(x - 1e-3)) / 1e-6 * Q / 2 if kind == "spread" else 0
            return [-F(x) - h / 2 * F(x) * F1 - bend, -2 * F1 * Q + h * steps(x).var()]

        return solve_ivp(rate, (0, T), (1.5, 0.0), rtol=1e-9, atol=1e-12).y[0, -1]

    ends = []
    for n in counts:
        x = np.array([1.5])
        for _ in range(n):
            x = np.concatenate([x - T / n * (x + k) / np.sqrt((x + k) ** 2 + 1) for k in z])
        ends.append(x.mean())
    slopes = []
    for kind in ("spread", "none", "mean of the fields"):
        gaps = np.abs(np.array(ends) - [told(T / n, kind) for n in counts])
        slopes.append(slope(T / counts, gaps))
    assert slopes == pytest.approx([2, 1, 1], abs=0.1)
    measured(
        "slopes: with the spread, with nothing, mean of the fields",
        slopes,
        "2, 1, 1 ± 0.1",
        digits=2,
    )


# --- exercises ---------------------------------------------------------------------------------


def test_median_without_memory_and_mean_with_a_long_one(measured):
    targets, rng = np.array([0.0, 0.0, 1.0, 2.0, 12.0]), np.random.default_rng(2)
    rests = []
    for rho, rest in ((0.0, np.median(targets)), (0.99, targets.mean())):
        path = list(
            adam(
                lambda x, n: x - targets[rng.integers(0, 5, 200)],
                np.full(200, 2.0),
                0.0,
                rho,
                0.01,
                3000,
                1e-12,
            )
        )
        rests.append(np.mean(path[1500:]))
        assert rests[-1] == pytest.approx(rest, abs=0.15)
    measured("where it rests: no memory, a long one", rests, "1, 3 ± 0.15", digits=2)


# --- the live figure ---------------------------------------------------------------------------------------------------


@bea.optimizer
def with_noise(theta, gradient, memory, beta, rho, sigma):
    """The program of the live figure."""
    g = gradient(theta)
    mean_square = g**2 + (2 * sigma * theta[::-1]) ** 2
    return memory.average(g, beta) / np.sqrt(memory.average(mean_square, rho))


def averaged_over_labels(sigma, h, steps, m, v):
    """The end of the same run in a loop, with the mean square of the two gradients on c - sigma and c + sigma."""
    theta = np.array([0.9, 1.5])
    for _ in range(steps):
        both = [-2 * (1.5 + sign * sigma - 2 * theta.prod()) * theta[::-1] for sign in SIGNS]
        m, v = 0.9 * m + 0.1 * np.mean(both, axis=0), 0.95 * v + 0.05 * np.mean(np.square(both), axis=0)
        theta = theta - h * m / np.sqrt(v)
    return theta


def relative_changes(a, b):
    """alpha of both coordinates: the noise is 2 sigma b and 2 sigma a, the gradient 2 r b and 2 r a."""
    of_residual = 2 * (a + b) / abs(1.5 - 2 * a * b)  # both weights fall at the same rate
    return [1 / y / (1 / y + of_residual) for y in (b, a)]


def test_noise_at_which_the_run_passes_the_leading_order_flow(measured, says):
    """The live figure: distance of the leading-order flow from the run, by the noise; and where the bracket vanishes."""
    noises = (1e-3, 0.5, 0.9, 1.0, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 2.0)
    found = {sigma: ends("13", with_noise(0.9, 0.95, sigma), bea.bilinear()) for sigma in noises}
    assert min(noises, key=lambda sigma: found[sigma][1][0]) == 1.2
    flows = {sigma: bea.modified_equation(with_noise(0.9, 0.95, sigma), bea.bilinear(), 1) for sigma in (0.5, 1.2, 2.0)}
    gap = {s: found[s][0] - bea.flow(flow, (0.9, 1.5), 1e-3, 200)[-1] for s, flow in flows.items()}
    assert gap[0.5].sum() > 1e-3 > 1e-5 > abs(gap[1.2].sum()) and gap[2.0].sum() < -5e-4
    assert all(one @ (1, -1) < -1e-4 for one in gap.values())  # a - b falls for every noise
    for sigma in (0.5, 1.2, 2.0):
        slow = bea.modified_equation(with_noise(0.9, 0.95, sigma), bea.bilinear(), 2).memory((0.9, 1.5), 1e-3)
        assert found[sigma][0] == pytest.approx(averaged_over_labels(sigma, 1e-3, 200, *slow), abs=1e-12)
    says("13", "At $\\sigma=1.2$, with 0.00028 left, compared with 0.020 without noise; at $\\sigma=2$ the run is ahead, 0.00076 away",
         1.2, found[1.2][1][0], found[1e-3][1][0], 2, found[2.0][1][0])  # fmt: skip
    share = np.mean(relative_changes(0.9, 1.5))
    ratio = np.sqrt((C(0.95) - C(0.9)) / (C(0.9) - share * C(0.95)))
    says("13", "with $\\alpha_j\\approx0.18$ the bracket vanishes at $1.3\\,\\lvert r\\rvert$, and $\\lvert r\\rvert$ falls from 1.2 to 0.66",
         share, ratio, 2 * 0.9 * 1.5 - 1.5, 2 * found[1.2][0].prod() - 1.5)  # fmt: skip
    measured("distances at sigma = 0, 1.2, 2", [found[s][1][0] for s in (1e-3, 1.2, 2.0)], "smallest at 1.2", digits=2)


def test_noise_of_the_valley_shrinks_during_the_descent(measured, says):
    """alpha at both ends of the descent from (2.8, 3.5) to ab = 1, along a - b = -0.7."""
    low = -0.35 + np.sqrt(0.35**2 + 1)
    first, last = np.mean(relative_changes(2.8, 3.5)), np.mean(relative_changes(low, low + 0.7))
    says("13", "$\\alpha_j$ falls from about 0.3 to 0.1", first, last)
    measured("mean alpha of both weights at the start and at the end", [first, last], "0.3, 0.1", digits=2)


# --- a network ---------------------------------------------------------------------------------------------------------------


def test_noise_on_a_network_has_the_predicted_size_in_large_batches(measured):
    path = Path(__file__).resolve().parent.parent / "experiments" / "results" / "noise.json"
    ratios = {}
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        for k, other in enumerate((0, 1, 3, 4)):
            (told, seen, _), (before, was, _) = row["change"][2], row["change"][other]
            ratios.setdefault((row["case"], k), []).append((seen - was) / (told - before))
    means = [np.mean(ratios["batches of 50, h = 2e-05", k]) for k in range(4)]
    larger = [np.mean(ratios["batches of 50, h = 0.0001", k]) for k in range(4)]
    assert all(0.85 < mean < 1.05 for mean in means) and all(abs(m - 1) < abs(n - 1) for m, n in zip(means, larger))
    measured("measured over predicted effect, batches of 50, h = 2e-5", means, "near one", digits=2)
