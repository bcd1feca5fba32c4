"""What chapter 8 claims of steepest descent in a norm, with loops in NumPy and flows by SciPy as oracles."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import bea
from bea_book import atlas
from live_answers import ends

EPSILON = 0.3
SHARP = (0.01, 0.005, 0.0025)
FINER = (0.002, 0.001, 0.0005)


def polar(m):
    u, _, v = np.linalg.svd(m.reshape(2, -1), full_matrices=False)
    return (u @ v).reshape(-1)


def newton_schulz(m):
    """Five steps of Jordan's polynomial on singular values."""
    u, s, v = np.linalg.svd(m.reshape(2, -1), full_matrices=False)
    s = s / np.sqrt(np.sum(s**2))
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s @ v).reshape(-1)


STEPS = {
    "euclidean": lambda m: m,
    "normalized": lambda m: m / np.sqrt(m @ m),
    "smooth sign": lambda m: m / np.sqrt(m**2 + EPSILON),
    "4-norm": lambda m: m**3 / np.sum(m**4) ** 0.75,
    "muon": polar,
}
POTENTIALS = {
    "euclidean": lambda g: g @ g / 2,
    "normalized": lambda g: np.sqrt(g @ g),
    "smooth sign": lambda g: np.sqrt(g**2 + EPSILON).sum(),
    "4-norm": lambda g: np.sum(g**4) ** 0.25,
    "muon": lambda g: np.linalg.svd(g.reshape(2, -1))[1].sum(),
}


class Fit:
    """The sum of ln cosh(XZ - Y)."""

    def __init__(self, columns, seed):
        rng = np.random.default_rng(seed)
        self.shape = (2, columns)
        self.Z, self.Y = rng.normal(size=(columns, 4)), rng.normal(size=(2, 4))
        self.start = np.zeros(2 * columns)

    def gradient(self, x):
        return (np.tanh(x.reshape(self.shape) @ self.Z - self.Y) @ self.Z.T).reshape(-1)

    def hessian(self, x):
        bend = 1 / np.cosh(x.reshape(self.shape) @ self.Z - self.Y) ** 2
        blocks = [(self.Z * row) @ self.Z.T for row in bend]
        size = self.shape[1]
        H = np.zeros((2 * size, 2 * size))
        for k, block in enumerate(blocks):
            H[k * size : (k + 1) * size, k * size : (k + 1) * size] = block
        return H


SQUARE, WIDE = Fit(2, 59), Fit(3, 17)


def errors(fit, step, beta, part=1.0, hs=SHARP, penalty=None, rest=False):
    """Largest distances of a loop from the flow with a part of the penalty, at several step sizes."""
    lag, penalty, found = beta / (1 - beta), penalty or step, []
    for h in hs:
        x = fit.start
        g = fit.gradient(x)
        m = 0 * g if rest else g + h * (1 + lag) * fit.hessian(x) @ step(g)
        path = [x]
        for _ in range(round(0.3 / h)):
            m = beta * m + (1 - beta) * fit.gradient(x)
            x = x - h * step(m)
            path.append(x)

        def law(t, x, h=h):
            g = fit.gradient(x)
            return -step(g + part * h / 2 * (1 + beta) / (1 - beta) * fit.hessian(x) @ penalty(g))

        times = np.linspace(0, 0.3, len(path))
        flow = solve_ivp(law, (0, 0.3), fit.start, "DOP853", times, rtol=1e-10, atol=1e-11).y.T
        found.append(np.linalg.norm(flow - path, axis=1).max())
    return np.array(found)


def slope(found, hs=SHARP):
    return float(np.polyfit(np.log(hs), np.log(found), 1)[0])


# --- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("p, q", [(2, 2), (np.inf, 1), (4 / 3, 4)])
def test_best_step_in_a_ball_is_the_gradient_of_the_dual_norm(p, q, measured):
    """The best step in the unit ball of the p-norm, by trying a hundred thousand directions, has the q-norm as its rate."""
    g = np.array([2.0, 1.0]) / np.sqrt(5)
    angle = np.linspace(0, 2 * np.pi, 100_001)
    ball = np.stack([np.cos(angle), np.sin(angle)])
    ball = ball / np.linalg.norm(ball, ord=p, axis=0)
    best = ball[:, np.argmin(g @ ball)]
    rate = np.linalg.norm(g, ord=q)
    assert -g @ best == pytest.approx(rate, abs=1e-6)
    assert best == pytest.approx(-np.sign(g) * (np.abs(g) / rate) ** (q - 1), abs=1e-2)
    measured("rate", rate, "the q-norm")


def test_nuclear_norm_is_dual_to_the_largest_singular_value(measured):
    """No matrix of largest singular value one descends faster than the polar factor."""
    G = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])

    rng, nuclear = np.random.default_rng(0), np.linalg.svd(G)[1].sum()
    near = polar(G).reshape(2, 3) + rng.normal(size=(10000, 2, 3)) * rng.uniform(0, 1, size=(10000, 1, 1))
    rates = (G * near).sum(axis=(1, 2)) / np.linalg.svd(near)[1].max(axis=1)
    assert nuclear * 0.99 < rates.max() <= nuclear
    assert np.sum(G * polar(G).reshape(2, 3)) == pytest.approx(nuclear, rel=1e-12)
    measured("best rate of 10000 matrices, and the nuclear norm", [rates.max(), nuclear], "not above it")


@pytest.mark.parametrize("name", STEPS)
def test_step_is_the_gradient_of_its_potential(name, measured):
    g = SQUARE.gradient(SQUARE.start)
    e = 1e-6
    slopes = [(POTENTIALS[name](g + e * d) - POTENTIALS[name](g - e * d)) / (2 * e) for d in np.eye(4)]
    assert STEPS[name](g) == pytest.approx(np.array(slopes), abs=1e-8)
    measured("exact", 4, "coordinates, to 1e-8")


def test_explorers_answer(measured, says):
    """For q = 1 the step jumps between 85 and 95 degrees and the rate does not; for q = 1.2 neither does."""
    found = {}
    for q in (1, 1.2):
        for angle in (85, 95):
            g = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
            size = np.sum(np.abs(g) ** q) ** (1 / q)
            found[q, angle] = -np.sign(g) * (np.abs(g) / size) ** (q - 1), size
    assert np.array_equal(found[1, 85][0], [-1, -1]) and np.array_equal(found[1, 95][0], [1, -1])
    assert found[1, 85][1] == pytest.approx(1.08, abs=5e-3) and found[1, 95][1] == pytest.approx(found[1, 85][1])
    first = [found[1.2, angle][0][0] for angle in (85, 95)]
    assert first == pytest.approx([-0.61, 0.61], abs=5e-3)
    measured("first coordinate of the step for q = 1.2, and the rate for q = 1", [*first, found[1, 85][1]])
    says("08", "it is 1.08 on both sides", found[1, 85][1])
    says("08", "the step is $-0.61$ at $85^\\circ$ and $+0.61$ at $95^\\circ$", first[0], 85, first[1], 95)


# --- the law -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0, 0.5, 0.8])
@pytest.mark.parametrize("name", STEPS)
def test_slope_is_2_with_the_law_and_1_without(name, beta, measured):
    """Five geometries on a 2x2 matrix: the law, no penalty, half of it."""
    slopes = [slope(errors(SQUARE, STEPS[name], beta, part)) for part in (1, 0, 0.5)]
    assert slopes[0] == pytest.approx(2, abs=0.15)
    assert max(slopes[1:]) < 1.35
    measured("slopes with the law, without, with half", slopes, "2 ± 0.15, below 1.35, below 1.35", digits=2)


@pytest.mark.parametrize("beta", [0, 0.5, 0.8])
def test_slope_on_a_2x3_matrix(beta, measured):
    slopes = [slope(errors(WIDE, polar, beta, part)) for part in (1, 0, 0.5)]
    assert slopes[0] == pytest.approx(2, abs=0.15) and max(slopes[1:]) < 1.35
    measured("slopes with the law, without, with half", slopes, "2 ± 0.15, below 1.35, below 1.35", digits=2)


@pytest.mark.parametrize("name", STEPS)
def test_euclidean_penalty_fails_outside_euclidean_geometry(name, measured):
    found = slope(errors(SQUARE, STEPS[name], 0.5, penalty=STEPS["euclidean"]))
    assert found == pytest.approx(2, abs=0.1) if name == "euclidean" else 0.8 < found < 1.45
    measured("slope with the Euclidean penalty", found, digits=2)


@pytest.mark.parametrize("name", STEPS)
def test_start_from_rest(name, measured):
    """From rest the geometries that do not see the length of the average keep their slope."""
    found = slope(errors(SQUARE, STEPS[name], 0.5, hs=FINER, rest=True), FINER)
    assert found == pytest.approx(1 if name in ("euclidean", "smooth sign") else 2, abs=0.15)
    measured("slope", found, digits=2)


def test_largest_distances_down_the_valley(measured):
    """On the bilinear model with beta = 0.9 the law follows each of three geometries closer than the leading order."""
    loss, found = bea.bilinear(), []
    for name, h in (("euclidean", 2e-4), ("normalized", 0.02), ("4-norm", 0.02)):
        step, x = STEPS[name], np.array([2.8, 3.5])
        m, path = loss.gradient(x) + 10 * h * loss.hessian(x) @ step(loss.gradient(x)), [x]
        while x[0] * x[1] >= 0.9:
            m = 0.9 * m + 0.1 * loss.gradient(x)
            x = x - h * step(m)
            path.append(x)
        path = np.array(path[:-1])
        times = h * np.arange(len(path))
        for part in (0, 1):

            def law(t, x, step=step, h=h, part=part):
                g = loss.gradient(x)
                return -step(g + part * 9.5 * h * loss.hessian(x) @ step(g))

            flow = solve_ivp(law, times[[0, -1]], path[0], "DOP853", times, rtol=1e-9, atol=1e-9).y.T
            found.append(np.linalg.norm(flow - path, axis=1).max())
    assert all(with_it < without / 2 for without, with_it in zip(found[::2], found[1::2]))
    measured("distances without and with the penalty, three geometries", found)


# --- ages ----------------------------------------------------------------------------------------


def test_mean_ages_from_impulses(measured, says):
    """The mean age of what Nesterov's mixture and Lion's hold, from their weights on single gradients."""
    n = np.arange(20000)

    def geometric(decay):
        return (1 - decay) * decay**n

    nesterov = 0.9 * geometric(0.9)
    nesterov[0] += 0.1
    muon = 0.95 * geometric(0.95)
    muon[0] += 0.05
    lion = np.concatenate([[0.1], 0.9 * geometric(0.99)[:-1]])
    found = [1 + 2 * float(n @ weights) for weights in (geometric(0.9), nesterov, lion, muon)]
    assert found == pytest.approx([19, 17.2, 181, 37.1], rel=1e-9)
    measured("1 + 2 age of an average, Nesterov, Lion, Nesterov at 0.95", found, "19, 17.2, 181, 37.1")
    says("08", "and $1 + 2\\cdot90 = 181$", 1, 2, 90, found[2])


# --- Newton-Schulz -------------------------------------------------------------------------------


def test_newton_schulz_is_no_gradient(measured):
    g, e = SQUARE.gradient(SQUARE.start), 1e-5
    found = []
    for step in (polar, newton_schulz):
        J = np.array([(step(g + e * d) - step(g - e * d)) / (2 * e) for d in np.eye(4)])
        found.append(np.linalg.norm(J - J.T) / np.linalg.norm(J))
    assert found[0] < 1e-7 and found[1] == pytest.approx(0.32, abs=0.01)
    measured("asymmetry of the Jacobian of Newton-Schulz", found[1], "not zero", digits=2)


def test_newton_schulz_on_singular_values_is_the_atlas_one(measured):
    rng = np.random.default_rng(1)
    for columns in (2, 3):
        m = rng.normal(size=(2, columns))
        assert atlas.newton_schulz(m).reshape(-1) == pytest.approx(newton_schulz(m), abs=1e-12)
        assert atlas.polar(m).reshape(-1) == pytest.approx(polar(m), abs=1e-12)
    values = [np.diag(atlas.newton_schulz(np.diag([1.0, r]))) for r in (1, 0.5, 0.1, 0.01)]
    assert min(map(min, values)) == pytest.approx(0.69, abs=5e-3)
    assert max(map(max, values)) == pytest.approx(1.11, abs=5e-3)
    measured("exact", 2, "shapes, to 1e-12")


@pytest.mark.parametrize("fit", [SQUARE, WIDE], ids=["2x2", "2x3"])
def test_newton_schulz_has_the_correction_at_a_larger_error(fit, measured, says):
    found, without, exact = (
        errors(fit, step, 0, part, FINER) for step, part in ((newton_schulz, 1), (newton_schulz, 0), (polar, 1))
    )
    assert slope(found, FINER) == pytest.approx(2, abs=0.05)
    assert slope(without, FINER) == pytest.approx(1, abs=0.05)
    ratio = found[-1] / exact[-1]
    assert 70 < ratio < 115
    if fit is SQUARE:
        says("08", "remains with the correction is some 75", ratio)
    else:
        says("08", "to 110 times that of the exact polar factor", round(ratio, -1))
    measured(
        "slope with, without, error in units of that of the polar factor",
        [slope(found, FINER), slope(without, FINER), ratio],
        digits=2,
    )


# --- kinks ---------------------------------------------------------------------------------------


def turning(beta, h, turn_at, steps=80):
    """Signum by a loop on the quadratic loss whose first derivative passes zero: the first coordinate."""
    H = np.array([[1.0, 2.0], [2.0, 6.0]])
    x = np.linalg.solve(H, [3 * turn_at, 20.0])
    m = H @ x + h / (1 - beta) * H @ np.ones(2)
    path = [x]
    for _ in range(steps):
        m = beta * m + (1 - beta) * H @ x
        x = x - h * np.sign(m)
        path.append(x)
    return np.array(path)


@pytest.mark.parametrize("beta, late", [(0, 0.5), (0.5, 1.5), (0.8, 4.5)])
def test_mean_delay_of_a_turn(beta, late, measured):
    h, delays = 0.02, []
    for k in range(40):
        turn_at = 0.5 + h * (k + 0.5) / 40
        path = turning(beta, h, turn_at)
        delays.append(np.argmax(np.diff(path[:, 0]) > 0) - turn_at / h)
    assert np.mean(delays) == pytest.approx(late, abs=1e-9)
    assert min(delays) > late - 0.5 and max(delays) < late + 0.5
    measured("mean delay in steps", float(np.mean(delays)), f"{late}")


def test_exact_sign_is_exact_between_turns(measured):
    path = turning(0, 0.0137, 0.6)
    behind = np.argmax(np.diff(path[:, 0]) > 0)
    times = 0.0137 * np.arange(len(path))
    restarted = path[0, 0] - times[behind] + np.abs(times - times[behind])
    assert np.abs(restarted - path[:, 0]).max() < 1e-12
    assert np.abs(path[0, 1] - times - path[:, 1]).max() < 1e-12
    measured("exact", len(path), "iterates, to 1e-12")


def test_smooth_sign_has_slope_2_through_a_turn(measured):
    H, hs, found = np.array([[1.0, 2.0], [2.0, 6.0]]), (0.0085, 0.00425, 0.002125), []
    for part in (1, 0):
        distances = []
        for h in hs:
            x = np.linalg.solve(H, [1.8, 12.0])
            path = [x]
            for _ in range(int(1.2 / h)):
                g = H @ x
                x = x - h * g / np.sqrt(g**2 + 0.1)
                path.append(x)

            def law(t, x, h=h, part=part):
                g = H @ x
                g = g + part * h / 2 * H @ (g / np.sqrt(g**2 + 0.1))
                return -g / np.sqrt(g**2 + 0.1)

            times = h * np.arange(len(path))
            flow = solve_ivp(law, times[[0, -1]], path[0], "DOP853", times, rtol=1e-10, atol=1e-11).y.T
            distances.append(np.linalg.norm(flow - path, axis=1).max())
        found.append(slope(distances, hs))
    assert found == pytest.approx([2, 1], abs=0.05)
    measured("slopes with and without the law", found, "2, 1")


def test_caught_derivative_makes_the_sign_alternate(measured, says):
    """On the line where the derivative is caught the exact sign alternates, and the smooth one does not."""
    H = np.array([[2.0, 1.0], [1.0, 2.0]])

    def changes(h, step):
        x, signs = np.linalg.solve(H, [1.2, 3.6]), []
        for _ in range(int(1.6 / h)):
            x = x - h * step(H @ x)
            signs.append(np.sign((H @ x)[0]))
        return int(np.sum(np.diff(signs[len(signs) // 2 :]) != 0))

    exact, smooth = changes(0.08, np.sign), changes(0.08, lambda g: g / np.sqrt(g**2 + 0.1))
    assert exact >= 4 and smooth == 0
    assert 0.08 * 2 / np.sqrt(0.1) == pytest.approx(0.51, abs=5e-3)
    measured("changes of sign, exact and smooth", [exact, smooth], "many, none")
    says("08", "if this number is below one; it is 0.51 in", 0.08 * H[0, 0] / np.sqrt(0.1))


# --- exercises -----------------------------------------------------------------------------------


def test_preconditioner(measured):
    """A fixed preconditioner P penalizes h/4 times the gradient's square in P, by the engine on an abstract loss."""
    x = sp.symbols("x_1:3")
    E = sp.Function("E")(*x)
    P = sp.Matrix([[2, 1], [1, 3]])
    field = -P * sp.Matrix([E.diff(s) for s in x])
    f_1 = bea.modified_equation(bea.gradient_descent(), bea.VectorField(tuple(field), x), 2).terms[1]
    g = sp.Matrix([E.diff(s) for s in x])
    penalty = (g.T * P * g)[0] / 4
    gap = f_1 + P * sp.Matrix([penalty.diff(s) for s in x])
    assert gap.applyfunc(lambda e: sp.expand(e.doit())) == sp.zeros(2, 1)
    measured("exact", 1, "matrix, any loss")


# --- the live figure ---------------------------------------------------------------------------------------------------


def test_sign_needs_the_smallest_correction(measured, says):
    """The live figure: distance of the leading-order flow from steepest descent in p-norms, by the dual exponent q."""

    @bea.optimizer
    def p_norm_descent(theta, gradient, memory, q, beta: bea.Decay):
        m = memory.average(gradient(theta), beta)
        return np.sign(m) * abs(m) ** (q - 1) / np.sum(abs(m) ** q) ** (1 - 1 / q)

    found = {q: ends("08", p_norm_descent(q, 0.5), bea.bilinear())[1] for q in (1.05, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)}
    leading = {q: distances[0] for q, distances in found.items()}
    assert min(leading, key=leading.get) == 1.05
    assert all(corrected < 0.05 * first for first, corrected in found.values())
    says("08", "$q = 1.05$: 0.0003, compared with 0.012 at $q = 4$", 1.05, leading[1.05], leading[4.0], 4)
    measured("distances at q = 1.05 and 4", [leading[1.05], leading[4.0]], "smallest at 1.05", digits=2)
