"""What chapter 16 claims of its optimizers, with loops in NumPy, singular values and flows by SciPy as oracles."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import bea
from bea_book import atlas
from live_answers import ends

START = np.array([1.8, 3.0, 3.2, 2.0])
NEAR = np.array([1.3, 0.9, 1.7, 1.1])
SLOPES = [1.0, 0.5, 0.25]


def residual(theta):
    return 1.5 - 2 * theta[..., 0] * theta[..., 2] - theta[..., 1] * theta[..., 3]


def value(theta):
    return residual(theta) ** 2 / 2


def legs(theta):
    """The gradient without its factor, minus the residual."""
    return np.array([2 * theta[2], theta[3], 2 * theta[0], theta[1]])


def gradient(theta):
    return -residual(theta) * legs(theta)


def polar(m):
    u, _, v = np.linalg.svd(m.reshape(2, 2))
    return (u @ v).reshape(-1)


def root(m, power):
    values, vectors = np.linalg.eigh(m)
    return vectors @ np.diag(values**power) @ vectors.T


def whiten(g, L, R):
    return (root(L, -0.25) @ g.reshape(2, 2) @ root(R, -0.25)).reshape(-1)


def gram(g):
    return g.reshape(2, 2) @ g.reshape(2, 2).T


def gram_of_columns(g):
    return g.reshape(2, 2).T @ g.reshape(2, 2)


def itself(g):
    return g


def squared(g):
    return g**2


def rows(g):
    return (g.reshape(2, 2) ** 2 + 1e-4).mean(axis=1)


def columns(g):
    return (g.reshape(2, 2) ** 2 + 1e-4).mean(axis=0)


def factored(g, r, c):
    return (g.reshape(2, 2) / np.sqrt(np.outer(r, c) / r.mean())).reshape(-1)


def mixed(m):
    return m


def divided(m, v, epsilon=1e-4):
    return m / np.sqrt(v + epsilon)


ONE = np.eye(2) * 1e-4

# name: (what is averaged and how long, the step of the averages, the norm that belongs to it)
DESCENTS = {
    "gradient descent": ([(itself, 0.0)], mixed, 2),
    "heavy ball": ([(itself, 0.9)], mixed, 2),
    "normalized momentum": ([(itself, 0.9)], lambda m: m / np.linalg.norm(m), 2),
    "Signum": ([(itself, 0.9)], lambda m: m / np.sqrt(m**2 + 1e-4), 1),
    "Muon": ([(itself, 0.9)], polar, "nuc"),
    "RMSProp": ([(itself, 0.0), (squared, 0.95)], divided, 1),
    "Adam": ([(itself, 0.9), (squared, 0.95)], divided, 1),
    "Adam, exchanged": ([(itself, 0.95), (squared, 0.9)], divided, 1),
    "AdEMAMix": (
        [(itself, 0.9), (itself, 0.98), (squared, 0.95)],
        lambda m, slow, v: (m + 5 * slow) / (np.sqrt(v) + 1e-2),
        1,
    ),
    "Adafactor": ([(itself, 0.0), (rows, 0.95), (columns, 0.95)], factored, 1),
    "Shampoo": (
        [(itself, 0.0), (gram, 0.95), (gram_of_columns, 0.95)],
        lambda g, L, R: whiten(g, L + ONE, R + ONE),
        "nuc",
    ),
}


def memoryless(name):
    averages, step, _ = DESCENTS[name]
    return lambda theta: step(*(a(gradient(theta)) for a, _ in averages))


def level(t, theta):
    return value(theta) - 0.5


level.terminal = True


def leading_flow(name, horizon=(0, 99), **options):
    step = memoryless(name)
    return solve_ivp(lambda t, x: -step(x), horizon, START, "DOP853", rtol=1e-10, atol=1e-11, **options)


def crossing(path):
    path = np.array(path)
    E = value(path)
    k = np.argmax(E < 0.5)
    part = np.log(E[k - 1] / 0.5) / np.log(E[k - 1] / E[k])
    return (1 - part) * path[k - 1] + part * path[k], k


def length(theta, norm):
    g = legs(theta)
    return np.linalg.norm(g.reshape(2, 2) if norm == "nuc" else g, norm)


def shift(name, steps=2000):
    """Per cent by which the gradient of a loop is longer at E = 1/2; its memory is filled along the flow backwards."""
    averages, step, norm = DESCENTS[name]
    flow = leading_flow(name, events=level)
    h = flow.t[-1] / steps
    count = round(12 / (1 - max(decay for _, decay in averages)))
    back = leading_flow(name, (0, -count * h), t_eval=-h * np.arange(1, count + 1)).y.T[::-1]
    kept = [a(gradient(back[0])) for a, _ in averages]
    for theta in back[1:]:
        kept = [decay * m + (1 - decay) * a(gradient(theta)) for m, (a, decay) in zip(kept, averages)]
    path = [START]
    while value(path[-1]) >= 0.5:
        g = gradient(path[-1])
        kept = [decay * m + (1 - decay) * a(g) for m, (a, decay) in zip(kept, averages)]
        path.append(path[-1] - h * step(*kept))
    return 100 * np.log(length(crossing(path)[0], norm) / length(flow.y[:, -1], norm))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("gradient descent", -0.014),
        ("heavy ball", -0.29),
        ("normalized momentum", -0.175),
        ("Signum", 0),
        ("Muon", -0.014),
        ("RMSProp", 0.28),
        ("Adam", 0.16),
        ("Adam, exchanged", -0.15),
        ("AdEMAMix", -0.37),
        ("Adafactor", -0.017),
        ("Shampoo", 0.33),
    ],
)
def test_shift_of_the_gradient_at_equal_loss(name, expected, measured):
    """Per cent by which the gradient is longer at the same loss than on the leading-order flow, by a loop."""
    found = shift(name)
    assert found == pytest.approx(expected, abs=max(1e-3, 0.03 * abs(expected)))
    measured("per cent", 0 if abs(found) < 1e-3 else found, f"{expected}", digits=2)


# --- net factors ---------------------------------------------------------------------------------

X = sp.Symbol("x", positive=True)
BOWL = bea.Loss(X**2 / 2, (X,))


def net_factor(optimizer, g=1.0):
    f_0, f_1 = bea.modified_equation(optimizer, BOWL, 2).coefficients([g])[:, 0]
    return -2 * f_1 * g / f_0**2


@pytest.mark.parametrize(
    "optimizer, expected",
    [
        (bea.heavy_ball(0.9), 19),
        (bea.nesterov(0.9), 17.2),
        (atlas.adabelief(0.9, 0.999, 1.0), 19),
        (atlas.centred_rmsprop(0.99, 1.0), 1),
        (bea.rmsprop(0.99, 0.0), -198),
        (atlas.rmsprop_momentum(0.9, 0.99, 0.0), -198),
        (bea.adam(0.9, 0.999, 0.0), -1980),
        (atlas.tensorflow_adam(0.9, 0.999, 0.0), -1980),
        (bea.nadam(0.9, 0.999, 0.0), -1981.8),
        (atlas.adan(0.98, 0.92, 0.99, 0.0), -100),
        (atlas.ademamix(0.9, 0.9999, 5.0, 0.999, 0.0), 14670),
        (atlas.ademamix(0.9, 0.9999, 0.11, 0.999, 0.0), 0),
    ],
    ids=lambda thing: thing.name if isinstance(thing, bea.Optimizer) else str(thing),
)
def test_net_factor_at_usual_decays(optimizer, expected, measured, says):
    found = net_factor(optimizer)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-7)
    measured("K", float(round(found, 6)) + 0.0, f"{expected}", digits=5)
    if optimizer.name == "ademamix" and expected == 0:
        says("16", "that is $9000\\,\\alpha = 990$ and $\\alpha = 0.11$", 9999 - 999, 999 - 9, 990 / 9000)


def test_factor_of_one_average(measured):
    """C of Lion and of Muon's average: what is left of the net factor beside a constant under the root."""
    found = [2 * net_factor(optimizer) for optimizer in (bea.lion(0.9, 0.99, 1.0), bea.signum(0.95, 1.0))]
    assert found == pytest.approx([181, 39])
    measured("C", found, "181, 39")


def test_momentum_after_the_division_cancels(measured):
    found = [net_factor(atlas.rmsprop_momentum(beta, 0.95, 0.0)) for beta in (0.0, 0.5, 0.9, 0.95, 0.99)]
    assert found == pytest.approx([-38] * 5)
    before = [net_factor(bea.adam(beta, 0.95, 0.0)) for beta in (0.0, 0.5, 0.9, 0.95, 0.99)]
    assert before == pytest.approx([-38, -36, -20, 0, 160], abs=1e-9)
    measured("K at five values of beta, after and before the division", [*found, *(round(b, 6) + 0.0 for b in before)])


def test_power_of_the_average_does_not_matter(measured):
    @bea.optimizer
    def power_adam(theta, gradient, memory, beta, rho, power: int):
        g = gradient(theta)
        return memory.average(g, beta) / memory.average(np.abs(g) ** power, rho) ** (1 / power)

    found = [net_factor(power_adam(0.9, 0.95, power), g) for power in (1, 2, 3, 6) for g in (0.4, 1.0)]
    assert found == pytest.approx([-20] * 8)
    measured("K with four powers", found[::2], "-20 each")


def test_lookahead_anti_penalizes(measured, says):
    """The rate of the k-step map on a parabola, from its exact factor in the limit of small steps."""
    found = []
    for k, alpha in ((2, 0.5), (3, 0.8), (5, 0.5), (5, 1.0)):
        h = 1e-4
        rate = -np.log1p(alpha * ((1 - h / k) ** k - 1)) / h
        found.append((rate / alpha - 1) * 2 / h / alpha)
    expected = [1 - (k - 1) / (k * alpha) for k, alpha in ((2, 0.5), (3, 0.8), (5, 0.5), (5, 1.0))]
    assert found == pytest.approx(expected, abs=1e-3)
    measured("K at k = 5, alpha = 0.5", found[2], "-0.6", digits=2)
    says("16", "With $k = 5$ and $\\alpha = \\tfrac12$ this is $-0.6$", 5, found[2])


# --- lines by hand, with real differences, and their slopes -------------------------------------


def first_correction(U, arguments, theta, e=1e-5):
    """-U, and half of the sum of C_i (dU/dA_i) times the rate of a_i, by central differences."""
    now = [a(theta) for a, _ in arguments]
    v = -U(*now)
    rates = [(a(theta + e * v) - a(theta - e * v)) / (2 * e) for a, _ in arguments]
    moved = [[A + sign * e * C * r for A, r, (_, C) in zip(now, rates, arguments)] for sign in (1, -1)]
    return v, (U(*moved[0]) - U(*moved[1])) / (4 * e)


def C(decay):
    return (1 + decay) / (1 - decay)


def matrix(theta):
    return gradient(theta).reshape(2, 2)


def of_square(axis):
    return lambda x: (matrix(x) ** 2 + 0.1).mean(axis=axis)


def layer(g, v, x):
    step = g / (np.sqrt(v) + 0.1)
    return step * np.linalg.norm(x) / np.linalg.norm(step)


G, M, V = (gradient, 1), (gradient, C(0.4)), (lambda x: gradient(x) ** 2, C(0.5))
LINES = {
    "RMSProp with momentum": (
        atlas.rmsprop_momentum(0.4, 0.5, 0.3),
        lambda g, v: g / (np.sqrt(v) + 0.3) / 0.6,
        [M, (lambda x: gradient(x) ** 2, C(0.4) + C(0.5) - 1)],
    ),
    "Adan": (
        atlas.adan(0.4, 0.9, 0.5, 0.1),
        lambda g, v: g / np.sqrt(v + 0.1),
        [(gradient, C(0.4) - 1.8), (lambda x: gradient(x) ** 2, C(0.5) - 1.8)],
    ),
    "Adafactor": (atlas.adafactor(0.5, 0.1, (2, 2)), factored, [G, (of_square(1), C(0.5)), (of_square(0), C(0.5))]),
    "Shampoo": (
        atlas.shampoo(0.5, 0.1, (2, 2)),
        lambda g, L, R: whiten(g, L + 0.1 * np.eye(2), R + 0.1 * np.eye(2)),
        [G, (lambda x: gram(gradient(x)), C(0.5)), (lambda x: gram_of_columns(gradient(x)), C(0.5))],
    ),
    "Muon": (atlas.muon(0.4, (2, 2), exact=True), polar, [M]),
    "SAM": (
        atlas.sam(0.05),
        itself,
        [(lambda x: gradient(x + 0.05 * gradient(x) / np.linalg.norm(gradient(x))), 1)],
    ),
    "LARS": (
        atlas.lars(0.4),
        lambda w: w / 0.6,
        [(lambda x: gradient(x) * np.linalg.norm(x) / np.linalg.norm(gradient(x)), C(0.4))],
    ),
    "LAMB": (atlas.lamb(0.4, 0.5, 0.1), layer, [M, V, (itself, 1)]),
    "two groups": (
        atlas.adam_with_groups(2, 0.4, 0.5, 0.1, 0.2),
        lambda m, v, g: np.concatenate([m[:2] / np.sqrt(v[:2] + 0.1), 0.2 * g[2:]]),
        [M, V, G],
    ),
}
A_1, A_2, B_1, B_2 = SYMBOLS = sp.symbols("a_1 a_2 b_1 b_2", real=True)
LOSS = bea.Loss((sp.Rational(3, 2) - 2 * A_1 * B_1 - A_2 * B_2) ** 2 / 2, SYMBOLS)


def jacobian(field, at, step=1e-5):
    return np.array([(field(at + step * e) - field(at - step * e)) / (2 * step) for e in np.eye(len(at))]).T


def test_shampoo_has_a_potential_and_adafactor_has_none(measured):
    """Their maps without memory at one gradient: the polar factor, and one whose Jacobian is not symmetric."""
    g = gradient(NEAR)
    shampoo = whiten(g, gram(g), gram_of_columns(g))

    def adafactor(m):
        square = m.reshape(2, 2) ** 2
        return factored(m, square.mean(axis=1), square.mean(axis=0))

    J = [jacobian(field, g) for field in (polar, adafactor)]
    skew = [np.linalg.norm(j - j.T) / np.linalg.norm(j) for j in J]
    measured("asymmetry of the Jacobian / its size, Adafactor", skew[1], "not 0")
    assert np.abs(shampoo - polar(g)).max() < 1e-10 and skew[0] < 1e-8 and skew[1] > 0.1


@pytest.mark.parametrize(("sign", "right"), [(1, True), (-1, False)], ids=["as printed", "first sign flipped"])
def test_shampoos_correction_by_the_nuclear_norm(sign, right, measured):
    """The engine's second term against the printed one, with the derivative of singular vectors by differences."""
    g = gradient(NEAR)
    norm = np.array(LOSS.hessian(NEAR)) @ polar(g)  # the gradient of the nuclear norm
    push = whiten(norm, gram(g), gram_of_columns(g))
    by_hand = sign * push - C(0.5) / 2 * jacobian(polar, g) @ norm  # the lag is 1
    engine = bea.modified_equation(atlas.shampoo(0.5, 0.0, (2, 2)), LOSS, 2).coefficients(NEAR)[1]
    gap = np.linalg.norm(engine - by_hand) / np.linalg.norm(engine)
    if right:
        measured("exact", 4, "coordinates, to 1e-6")
        assert gap < 1e-6
    else:
        measured("difference / size of the term", gap, "not small", digits=2)
        assert gap > 1


@pytest.mark.parametrize("name", LINES)
def test_slopes_of_the_line_by_hand(name, measured):
    """The line of chapter 6 for this optimizer, by hand: slope 2; without it, with half of it or reversed: 1."""
    program, U, arguments = LINES[name]

    class Line:
        def __init__(self, part):
            self.part = part

        def field(self, h):
            def rhs(theta, time=0.0):
                v, correction = first_correction(U, arguments, theta)
                return v + self.part * h * correction

            return rhs

    v, correction = first_correction(U, arguments, NEAR)
    f_0, f_1 = bea.modified_equation(program, LOSS, 2).coefficients(NEAR)
    assert v == pytest.approx(f_0, rel=1e-9) and correction == pytest.approx(f_1, rel=1e-5, abs=1e-7)
    hs = np.array([4e-4, 2e-4, 1e-4]) / np.abs(v).max()
    found = [
        bea.order_study(program, LOSS, NEAR, 40 * hs[0], hs, 2, equation=Line(part)).slope for part in (1, 0, 0.5, -1)
    ]
    assert found[0] == pytest.approx(2, abs=0.1)
    assert found[1:] == pytest.approx([1] * 3, abs=0.15)
    measured("slopes: corrected, leading, half, reversed", found, "2, 1, 1, 1", digits=2)


def test_fixed_radius_of_sam_penalizes_the_norm_to_first_order(measured):
    """The perturbed gradient is that of E + r |grad E|, up to r squared."""
    e, gaps = 1e-6, []
    norm_slope = np.array(
        [(np.linalg.norm(gradient(NEAR + e * d)) - np.linalg.norm(gradient(NEAR - e * d))) / (2 * e) for d in np.eye(4)]
    )
    radii = np.array([4e-2, 2e-2, 1e-2])
    for r in radii:
        perturbed = gradient(NEAR + r * gradient(NEAR) / np.linalg.norm(gradient(NEAR)))
        gaps.append(np.abs(perturbed - gradient(NEAR) - r * norm_slope).max())
    slope = float(np.polyfit(np.log(radii), np.log(gaps), 1)[0])
    assert slope == pytest.approx(2, abs=0.1)
    measured("slope in the radius", slope, "2")


def test_noise_from_the_first_step(measured):
    """RMSProp with momentum on three mini-batches in random order, from rest."""
    batches = [bea.Loss(LOSS.expression.subs(sp.Rational(3, 2), y), SYMBOLS) for y in (0.5, 1.5, 2.5)]
    drawn = np.random.default_rng(0).integers(0, 3, 160).tolist()
    noisy, found = atlas.rmsprop_momentum(0.4, 0.5, 0.3), []
    for terms in (1, 2):
        equation = bea.transient_equation(noisy, batches, terms, batches=drawn)
        found.append(bea.order_study(noisy, batches, NEAR, 0.02, [5e-4, 2.5e-4, 1.25e-4], equation=equation).slope)
    assert found == pytest.approx([1, 2], abs=0.1)
    measured("slopes with one and two terms", found, "1, 2", digits=2)


def test_schedule_is_one_more_argument(measured):
    """Adam's two terms, put into the schedule's formula by hand: slopes 2 with its correction, 1 without."""
    h_s, warmup = np.array([2e-3, 1e-3, 5e-4]), 0.5
    program = atlas.adam_warmup_cosine(0.4, 0.5, 0.1, warmup, 4.0)
    adam = bea.modified_equation(bea.adam(0.4, 0.5, 0.1), LOSS, 2)

    class Scheduled:
        def __init__(self, part):
            self.part = part

        def field(self, h):
            def rhs(theta, time=0.0):
                f_0, f_1 = adam.coefficients(theta)
                c = time / warmup
                return c * f_0 + self.part * h * (c**2 * f_1 - f_0 / (2 * warmup))

            return rhs

    found = [
        bea.order_study(program, LOSS, NEAR, 0.08, h_s, 2, equation=Scheduled(part), start="rest").slope
        for part in (1, 0)
    ]
    assert found[1] == pytest.approx(1, abs=0.1) and found[0] > found[1] + 0.5
    measured("slopes with and without", found, "2, 1", digits=2)


# --- memory that never forgets -------------------------------------------------------------------


def test_longer_memories_have_a_limit_and_predictions_have_none(measured):
    """RMSProp with bias correction from rest: shifts of the gradient by a loop, and those predicted."""
    flow = leading_flow("RMSProp", events=level)
    h, reference = flow.t[-1] / 2000, length(flow.y[:, -1], 1)
    runs, predictions = [], []
    for decay in (0.9, 0.99, 0.999, 0.9999, 0.99999):
        v, path = 0, [START]
        for n in range(1, 8001):
            g = gradient(path[-1])
            v = decay * v + (1 - decay) * g**2
            path.append(path[-1] - h * g / np.sqrt(v / (1 - decay**n) + 1e-4))
            if value(path[-1]) < 0.5:
                break
        runs.append(100 * np.log(length(crossing(path)[0], 1) / reference))

        def corrected(t, x, decay=decay, e=1e-5):
            v, f = first_correction(divided, [(gradient, 1), (lambda x: gradient(x) ** 2, C(decay))], x, e)
            return v + h * f

        if corrected(0, START, e=1e-8).max() < 0:  # it moves every coordinate down
            with np.errstate(invalid="ignore"):  # of trial steps that are too long
                end = solve_ivp(corrected, (0, 99), START, "DOP853", events=level, rtol=1e-8, atol=1e-9).y[:, -1]
            predictions.append(100 * np.log(length(end, 1) / reference))
    assert runs == pytest.approx([0.13, 1.56, 7.07, 8.01, 8.09], abs=0.01)
    assert predictions == pytest.approx([0.13, 1.95], abs=0.01)
    measured("runs, per cent, up to rho = 0.99999", runs, "a limit")
    measured("predictions, at 0.9 and 0.99 alone", predictions, "no limit", digits=2)


def test_adagrad_follows_its_equation(measured):
    """The classical loop with learning rate sqrt(h), from a sum that is not empty: slopes with and without f_1."""
    start, hs = 0.1 * gradient(NEAR) ** 2, np.array([8e-4, 4e-4, 2e-4])
    found = []
    for part in (1, 0):
        errors = []
        for h in hs:
            x, total, path = NEAR, start / h, [NEAR]
            for _ in range(round(0.04 / h)):
                total = total + gradient(x) ** 2
                x = x - np.sqrt(h) * gradient(x) / np.sqrt(total)
                path.append(x)

            def field(t, z, h=h, part=part):
                x, s = z[:4], z[4:]
                g, e = gradient(x), 1e-6
                move = -g / np.sqrt(s)
                turn = (gradient(x + e * move) - gradient(x - e * move)) / (2 * e)  # H times the move
                return np.concatenate(
                    [
                        move + part * h * (g**3 / (4 * s**1.5) + turn / (2 * np.sqrt(s))),
                        g**2 - part * h * g * turn,
                    ]
                )

            times = h * np.arange(len(path))
            z = solve_ivp(field, times[[0, -1]], [*NEAR, *start], "DOP853", times, rtol=1e-11, atol=1e-12).y.T
            errors.append(np.linalg.norm(z[:, :4] - path, axis=1).max())
        found.append(float(np.polyfit(np.log(hs), np.log(errors), 1)[0]))
    assert found == pytest.approx([2, 1], abs=0.1)
    measured("slopes with and without the correction", found, "2, 1", digits=2)


# --- what the engine refuses -----------------------------------------------------------------------


@bea.optimizer
def largest_of_two(theta, gradient, memory):
    g = gradient(theta)
    v = memory.average(g**2, 0.9)
    return g / np.sqrt(np.maximum(v, memory.previous(v)))


@bea.optimizer
def sign_of_change(theta, gradient, memory):
    g = gradient(theta)
    return g + np.sign(g - memory.previous(g))


@bea.optimizer
def mean_of_all(theta, gradient, memory):
    g = gradient(theta)
    return g / np.sqrt(memory.average(g**2, 1 - 1 / (memory.step + 1.0)))


@bea.optimizer
def every_fifth(theta, gradient, memory):
    return np.where(memory.step % 5 == 4, 0.5, 1.0) * gradient(theta)


@pytest.mark.parametrize(
    "optimizer, words",
    [
        (largest_of_two(), "two values that are compared are equal"),
        (sign_of_change(), "two values that are compared are equal"),
        (mean_of_all(), "a decay = 1.0"),
        (every_fifth(), "is not defined; use np.minimum"),
        (atlas.adabelief(0.9, 0.95, 0.0), "what is divided by is 0 there"),
    ],
    ids=lambda thing: thing.name if isinstance(thing, bea.Optimizer) else "",
)
def test_no_expansion(optimizer, words, measured):
    """The engine refuses, in these words."""
    with pytest.raises(ValueError, match=words):
        bea.modified_equation(optimizer, LOSS, 2).coefficients(NEAR)
    measured("exact", 1, "refusal")


def test_amsgrad_while_squares_fall(measured):
    """Cut down to two steps it is Adam with a denominator that is one step older, and follows that equation."""

    def program(pick):
        @bea.optimizer
        def cut_down(theta, gradient, memory):
            g = gradient(theta)
            v = memory.average(g**2, 0.5)
            return memory.average(g, 0.4) / np.sqrt(pick(v, memory.previous(v)) + 0.1)

        return cut_down()

    older, largest = program(lambda v, before: before), program(np.maximum)
    equation, errors, hs = bea.modified_equation(older, LOSS, 2), [], (4e-4, 2e-4, 1e-4)
    for h in hs:
        steps = round(0.016 / h)
        run = bea.run(largest, LOSS, NEAR, h, steps, memory=equation.memory(NEAR, h))
        assert np.array_equal(run, bea.run(older, LOSS, NEAR, h, steps, memory=equation.memory(NEAR, h)))
        errors.append(np.abs(run - bea.flow(equation, NEAR, h, steps)).max())
    slope = float(np.polyfit(np.log(hs), np.log(errors), 1)[0])
    assert slope == pytest.approx(2, abs=0.05)
    measured("slope", slope, "2", digits=2)


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_slow_average_cancels_the_lag_of_the_denominator(measured, says):
    """The live figure: distance of the leading-order flow from AdEMAMix, by the weight of its slow average."""
    weights = (1e-9, 0.2, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 1.0)  # a zero is left out of the trace
    found = {w: ends("16", atlas.ademamix(0.5, 0.9, w, 0.8, 1e-3), bea.bilinear())[1][0] for w in weights}
    assert min(found, key=found.get) == 0.6 and net_factor(atlas.ademamix(0.5, 0.9, 0.6, 0.8, 0.0)) == pytest.approx(0)
    says("16", "0.00015, compared with 0.016 at $\\alpha = 0$ and 0.029 at $\\alpha = 1$",
         found[0.6], found[1e-9], 0, found[1.0], 1)  # fmt: skip
    measured("distances at alpha = 0, 0.6, 1", [found[1e-9], found[0.6], found[1.0]], "smallest at 0.6", digits=2)
