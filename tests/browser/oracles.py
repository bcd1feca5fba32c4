"""What the explorers' numbers must be, computed here again from the library.

ORACLES maps a page to one function for each of its explorers, in their order: from the sliders'
values to the numbers by name.  A number is compared to three digits; `places(x, 2)` is one that the
chapter shows with two decimals; a tuple is several numbers in one text, a string is that very text.
"""

from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp
from sklearn.datasets import load_digits

import bea
import bea_book
import bea_book.atlas

START = (2.8, 3.5)
BILINEAR = bea.bilinear()
EULER = bea.gradient_descent()


def places(value, decimals):
    """A number that is shown with so many decimals."""
    return pytest.approx(value, abs=0.51 * 10.0**-decimals)


def preface(beta, rho):
    (a, b) = bea.run(bea.adam(beta, rho, epsilon=1e-4), BILINEAR, START, 0.005, 3000)[-1]
    curvature = np.trace(BILINEAR.hessian((a, b)))  # on the floor the other eigenvalue is zero
    return {"a": a, "b": b, "difference": a - b, "curvature across the valley": curvature}


@cache
def lotka_volterra():
    q, p = sp.symbols("q p")
    return bea.VectorField((q * (p - 1), p * (2 - q)), (q, p))


@cache
@cache
def pair_of_orders(h, pair):
    """Each order as a loop over the batches; the flow integrates the field of the definition."""
    place, c = np.array([0.5, 1.5]), np.arange(4)

    def end(order):
        a, b = place
        for i in order:
            r = c[i] - 2 * a * b
            a, b = a + 2 * h * r * b, b + 2 * h * r * a
        return np.array([a, b])

    def field(_, theta):
        a, b = theta
        r, q = c - 2 * a * b, a * a + b * b  # |grad E_i|^2 = 4 r_i^2 q
        swapped, slope = np.array([b, a]), (r * r).mean()
        return 2 * r.mean() * swapped - h / 4 * (-16 * r.mean() * q * swapped + 8 * slope * theta)

    exact = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-14}
    flow_end = solve_ivp(field, (0, 4 * h), place, **exact).y[:, -1]
    order = [s for s in permutations(range(4)) if s < s[::-1]][int(pair) - 1]
    first, second = end(order), end(order[::-1])

    def gap(point):
        return places(np.hypot(*(point - flow_end)) / h**2, 1)

    return {
        "orders": ", ".join("".join(map(str, s)) for s in (order, order[::-1])),
        "first order to reshuffling flow": gap(first),
        "second order to reshuffling flow": gap(second),
        "mean of the two to reshuffling flow": gap((first + second) / 2),
    }


def mini_batches(h, spread):
    place = np.array([0.5, 1.5])
    batches = [bea.bilinear(1.5 + spread * d, 2) for d in (-1.5, -0.5, 0.5, 1.5)]

    def mean_end(sequences):
        ends = [bea.run(EULER, batches, place, h, 4, batches=s)[-1] for s in sequences]
        return np.mean(ends, axis=0)

    # The reshuffling flow: the mean loss E and h/(4m) times the mean of the squared gradients, time 4h
    mean = sum(batch.expression for batch in batches) / 4
    squares = sum(sp.Matrix(b.gradient_expressions).dot(b.gradient_expressions) for b in batches)
    reshuffling = bea.Loss(mean + sp.Float(h) / 16 * squares, batches[0].symbols)
    flow_end = bea.flow(bea.modified_equation(EULER, reshuffling, 1), place, h, 4)[-1]
    orders, sequences = mean_end(permutations(range(4))), mean_end(product(range(4), repeat=4))

    def apart(end, other):
        return places(np.hypot(*(end - other)) / h**2, 2)

    return {
        "variance": places(np.var(spread * np.array([-1.5, -0.5, 0.5, 1.5])), 2),
        "reshuffling flow to full batch": apart(flow_end, place),
        "24 orders' mean to reshuffling flow": apart(orders, flow_end),
        "24 orders' mean to full batch": apart(orders, place),
        "256 sequences' mean to reshuffling flow": apart(sequences, flow_end),
        "256 sequences' mean to full batch": apart(sequences, place),
    }


def looking_back(beta, n):
    def road(k):
        return 0.3 + 1.2 / (1 + np.exp((k - 55) / 9))

    n = int(n)
    weights = np.array([(1 - beta) * beta**k for k in range(n, -1, -1)])
    seen = weights @ road(np.arange(n + 1)) / weights.sum()
    lag = weights @ np.arange(n, -1, -1) / weights.sum()
    return {
        "lag": lag,
        "full": bea.lag(beta),
        "gradient now (black)": road(n),
        "average (orange)": seen,
        "lag steps ago (blue)": road(n - lag),
    }


def mode_of_heavy_ball(beta, hλ):
    roots = np.roots([1, -(1 + beta - hλ), beta])
    lower = (1 - beta**0.5) ** 2
    if abs(roots).max() > 1:
        regime = "unstable"
    elif np.isreal(roots).all():
        regime = "overdamped: a slow flow" if hλ < lower else "oscillating: no flow"
    else:
        regime = "oscillating: no flow"
    if np.isreal(roots).all():
        shown = tuple(places(z, 3) for z in sorted(roots.real, key=abs, reverse=True))
    else:
        shown = (places(roots[0].real, 3), places(abs(roots[0].imag), 3))
    return {
        "roots": shown,
        "regime": regime,
        "|z|": abs(roots).max(),
        "flow below hλ": lower,
        "stable below hλ": 2 * (1 + beta),
    }


def best_step(q, angle):
    g = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    directions = np.radians(np.linspace(0, 360, 3_600_001))
    ball = np.stack([np.cos(directions), np.sin(directions)])
    p = np.inf if q == 1 else q / (q - 1)
    ball /= np.abs(ball).max(axis=0) if q == 1 else (np.abs(ball) ** p).sum(axis=0) ** (1 / p)
    first, second = ball[:, np.argmin(g @ ball)]
    return {
        "norm of steps, p": "∞" if q == 1 else f"{p:.3g}",
        "first": pytest.approx(first, abs=2e-3),
        "second": pytest.approx(second, abs=2e-3),
        "rate": -(g @ (first, second)),
    }


def rmsprop(rho, epsilon):
    C = (1 + rho) / (1 - rho)
    # in one dimension with gradient 1 and curvature 1: f_1 = -(bracket) / (2 R^2)
    t = sp.Symbol("t")
    method = bea.rmsprop(rho, epsilon=epsilon)
    f_1 = bea.modified_equation(method, bea.Loss(t**2 / 2, (t,)), 2).terms[1][0]
    bracket = float(f_1.subs(t, 1)) * -2 * (1 + epsilon)
    change = (epsilon / (C - 1)) ** 0.5 if rho else "nowhere"
    return {
        "C": C,
        "share": epsilon / (1 + epsilon),
        "bracket": bracket,
        "sign changes at |g|": change,
    }


def adam(beta, rho):
    def C(decay, n):  # one and twice the mean age of what the bias-corrected average remembers
        k = np.arange(n + 1)
        weights = decay**k
        return 1 + 2 * (weights @ k) / weights.sum()

    final = (1 + beta) / (1 - beta) - (1 + rho) / (1 - rho)
    half = "–"
    if beta != rho:
        low, high = 0, 100_000  # the difference grows with n
        while high - low > 1:
            n = (low + high) // 2
            past = 2 * abs(C(beta, n) - C(rho, n)) > abs(final)
            low, high = (low, n) if past else (n, high)
        half = float(high)
    return {
        "C_beta": (1 + beta) / (1 - beta),
        "C_rho": (1 + rho) / (1 - rho),
        "final": final,
        "half of it is reached at step n": half,
    }


def race(beta, rho):
    C_beta, C_rho = (1 + 2 * bea.lag(decay) for decay in (beta, rho))
    # C_beta = C_rho g^2 / (g^2 + epsilon) at g^2 / epsilon = 1 / (C_rho / C_beta - 1)
    crossing = (C_rho / C_beta - 1) ** -0.5 if rho > beta else "none"
    return {"numerator": C_beta, "denominator": C_rho, "crossing": crossing}


def race_with_noise(beta, rho, α):
    C_beta, C_rho = (1 + 2 * bea.lag(decay) for decay in (beta, rho))

    def bracket(square):
        return C_beta - C_rho * (1 + α * square) / (1 + square)

    crossing = "nowhere"
    if bracket(0) * bracket(1e12) < 0:  # the bracket is monotone in the noise
        low, high = 1e-12, 1e12
        for _ in range(100):
            middle = np.sqrt(low * high)
            low, high = (middle, high) if bracket(middle) * bracket(0) > 0 else (low, middle)
        crossing = low**0.5
    return {"without": bracket(0), "full": C_beta - α * C_rho, "sign changes at σ/g": crossing}


@cache
def digits_run(beta, rho):
    """Adam written out on chapter 14's network: log E and the one-norm at every tenth step."""
    digits, rng = load_digits(), np.random.default_rng(0)
    train = rng.permutation(len(digits.target))[:200]
    network = bea_book.Network((64, 16, 10))
    loss, theta = network.loss(digits.data[train] / 16, digits.target[train]), network.start(rng)
    m, v, seen = 0, 0, []
    for n in range(401):
        g = loss.gradient(theta)
        if n % 10 == 0:
            seen.append((np.log(loss.value(theta)), np.abs(g).sum()))
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
        root = np.sqrt(v / (1 - rho ** (n + 1)) + 1e-8)
        theta = theta - 1e-3 * m / (1 - beta ** (n + 1)) / root
    return np.array(seen).T


def experiments(beta, rho):
    def at(beta, rho):  # norm at a fifth of the initial loss, norm and E at n = 240
        E, norm = digits_run(beta, rho)
        goal = E[0] - np.log(5)
        k = int((E < goal).argmax())
        return np.array([np.interp(-goal, -E[k - 1 : k + 1], norm[k - 1 : k + 1]), norm[24], np.exp(E[24])])

    numbers = 100 * (at(beta, rho) / at(0.9, 0.999) - 1)
    return {name: places(number, 1) for name, number in zip(("equal", "time", "behind"), numbers)}


def asymptotic(n, terms):
    n, terms = int(n), int(terms)
    bowl = bea.quadratic([1])
    c = bea.modified_equation(bea.adam(0.5, 0.9, 0.0), bowl, terms + 1).coefficients([1.0])[:, 0]

    def field(s, y):  # y = x / h, the time in steps
        return [sum(c[k] / y[0] ** k for k in range(terms))]

    def arrived(s, y):
        return y[0] - n

    arrived.terminal = True
    exact = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-13, "dense_output": True}
    path = solve_ivp(field, (0, 3000), [n + 400.0], events=arrived, **exact)
    after = solve_ivp(field, (0, 1), [float(n)], **exact).y[0, -1]
    m, v = n + 400.0, (n + 400.0) ** 2  # the averages from far away, forwards to y = n
    for y in path.sol(np.arange(path.t[-1] % 1, path.t[-1] + 0.5))[0]:
        m, v = (m + y) / 2, 0.9 * v + 0.1 * y * y
    return {"defect": abs(after - n + m / np.sqrt(v)), "omitted": abs(c[terms]) / n**terms}


def on_the_valleys_floor(beta, rho, teacher):
    """Adam written out, and the test error from the neurons' second and fourth moments."""
    theta, m, v, n = np.array(START), 0, 0, 0
    while abs(1.5 - 2 * theta[0] * theta[1]) >= 0.05:
        g, n = -2 * (1.5 - 2 * theta[0] * theta[1]) * theta[::-1], n + 1
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g**2
        theta = theta - 2e-3 * m / (1 - beta**n) / np.sqrt(v / (1 - rho**n) + 1e-8)

    def error(delta):
        """Mean of (f - f*)^2 for f = (w.x)^2: E f g = |w|^2 |u|^2 + 2 (w.u)^2."""
        w, u = (
            np.array([delta + np.hypot(delta, 3**0.5), np.hypot(delta, 3**0.5) - delta]) / 2
            for delta in (delta, teacher)
        )
        return 3 * (w @ w) ** 2 + 3 * (u @ u) ** 2 - 2 * ((w @ w) * (u @ u) + 2 * (w @ u) ** 2)

    end = theta[0] - theta[1]
    return {"end": end, "adam": error(end), "flow": error(-0.7)}


ORACLES = {
    "index": [preface],
    "04_one_epoch": [pair_of_orders],
    "05_many_epochs": [mini_batches],
    "06_momentum": [looking_back],
    "07_momentum_flow": [mode_of_heavy_ball],
    "08_geometry": [best_step],
    "09_rmsprop": [rmsprop],
    "10_adam": [adam],
    "11_regimes": [race],
    "13_mini_batch_adam": [race_with_noise],
    "14_experiments": [experiments],
    "15_generalization": [on_the_valleys_floor],
    "17_beyond": [asymptotic],
}
