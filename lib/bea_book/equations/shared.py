r"""What the equations of several chapters are compared with.

Random exact numbers, points and losses; derivatives at a point; the engine's terms in exact numbers;
and runs of the library's optimizers on exact numbers and on polynomials in h.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import permutations, product
from typing import Any, cast

import numpy as np
import sympy as sp

from bea.losses import Loss, VectorField, mean
from bea.modified import modified_equation
from bea.optimizers import adam, gradient_descent, heavy_ball
from bea.program import Decay, Optimizer, Running, lag, optimizer
from bea.transient import transient_equation
from bea_book.ledger import h

Values = dict[str, Any]
Point = Mapping[sp.Symbol, sp.Expr]

DIGITS = 200  # of floats; remainders are judged at a step size near 10^-40
T = sp.Symbol("t")
X = sp.Symbol("x", positive=True)
BOWL = Loss(X**2 / 2, (X,))  # its gradient is x itself

# --- random numbers, points and losses -----------------------------------------------------------


def ratio(rng: random.Random, low: int = 1, high: int = 9, denominator: int = 7) -> sp.Rational:
    """A random rational number between low/denominator and high/denominator, but not one."""
    numerators = [k for k in range(low, high + 1) if k != denominator]
    return sp.Rational(rng.choice(numerators), denominator)


def decay(rng: random.Random) -> sp.Rational:
    """A decay in tenths."""
    return ratio(rng, 1, 9, 10)


def decays(rng: random.Random) -> tuple[sp.Rational, sp.Rational]:
    """Two random decays that differ."""
    return ratio(rng, 2, 9, 10), ratio(rng, 2, 10, 11)


def polynomial_loss(rng: random.Random, dimension: int = 2, degree: int = 4) -> Loss:
    """A loss with random whole coefficients in all monomials up to ``degree``."""
    symbols = sp.symbols(f"x_1:{dimension + 1}", real=True)
    monomials = sorted(sp.itermonomials(symbols, degree), key=str)
    return Loss(sp.Add(*(rng.choice((-1, 1)) * rng.randint(1, 9) * m for m in monomials)), symbols)


def critical_at_origin(rng: random.Random, dimension: int = 2) -> Loss:
    """A random cubic loss whose gradient vanishes at the origin."""
    loss = polynomial_loss(rng, dimension, degree=3)
    origin = dict.fromkeys(loss.symbols, 0)
    linear = sum(sp.diff(loss.expression, s).subs(origin) * s for s in loss.symbols)
    return Loss(loss.expression - linear, loss.symbols)


def random_point(rng: random.Random, loss: Loss) -> dict[sp.Symbol, sp.Rational]:
    """A mapping from the loss's coordinates to random positive rational numbers."""
    return {symbol: ratio(rng, denominator=5 + 2 * i) for i, symbol in enumerate(loss.symbols)}


# --- calculus ------------------------------------------------------------------------------------


def gradient_at(loss: Loss, at: Point) -> sp.Matrix:
    """The gradient at a point."""
    return sp.Matrix(loss.gradient_expressions).xreplace(at)


def hessian_at(loss: Loss, at: Point) -> sp.Matrix:
    """The second derivatives at a point."""
    return loss.hessian_expressions.xreplace(at)


def calculus(loss: Loss, at: Point) -> Values:
    """The loss, its derivatives, and the gradient of the squared norm of its gradient, at a point."""
    squared = sp.Add(*(g**2 for g in loss.gradient_expressions))
    return {
        "E": loss.expression.xreplace(at),
        r"\nabla E": gradient_at(loss, at),
        "H": hessian_at(loss, at),
        r"\nabla\lVert\nabla E\rVert^2": sp.Matrix([squared.diff(s) for s in at]).xreplace(at),
    }


def third_derivatives(loss: Loss, at: Point) -> Values:
    """T, the Hessian's derivative along the gradient, and its product with the gradient."""
    gradient = gradient_at(loss, at)
    along = zip(at, gradient)
    third = sum((loss.hessian_expressions.diff(s).xreplace(at) * g for s, g in along), sp.zeros(len(at)))
    return {"T": third, r"\nabla^3 E[\nabla E,\nabla E]": third * gradient}


def at_origin(loss: Loss) -> sp.Expr:
    """The loss at the origin."""
    return loss.expression.xreplace(dict.fromkeys(loss.symbols, sp.Integer(0)))


def works(fields: Callable[[Point], Sequence[sp.Matrix]], at: Point, degree: int) -> list[sp.Expr]:
    """The work against each of some fields from the origin to a point on a ray, where the fields are
    polynomials of this degree."""
    s = sp.Symbol("s")
    places = [sp.Rational(k, degree) for k in range(degree + 1)]
    direction = sp.Matrix(list(at.values()))
    rates = [[field.dot(direction) for field in fields({x: place * v for x, v in at.items()})] for place in places]
    curves = (sp.interpolate(list(zip(places, rate)), s) for rate in zip(*rates))
    return [-sp.integrate(curve, (s, 0, 1)) for curve in curves]


def works_of_terms(method: Optimizer, loss: Loss, at: Point, order: int = 2) -> list[sp.Expr]:
    """The work against each of the engine's terms, on a polynomial loss."""
    degree = 2 * sp.Poly(loss.expression, *loss.symbols).total_degree() - 3
    return works(lambda place: terms_at(method, loss, place, order), at, degree)


def average(values: Iterable[Any]) -> Any:
    """The mean of some values."""
    values = list(values)
    return sum(values[1:], values[0]) / len(values)


def variance(vectors: Sequence[sp.Matrix]) -> sp.Expr:
    """The variance of vectors, from the differences of all pairs."""
    pairs = (u - v for u in vectors for v in vectors)
    return sum((w.dot(w) for w in pairs), sp.Integer(0)) / (2 * len(vectors) ** 2)


def variance_of(numbers: Iterable[sp.Expr]) -> sp.Expr:
    """The variance of numbers, from the differences of all pairs."""
    return variance([sp.Matrix([number]) for number in numbers])


# --- the engine ----------------------------------------------------------------------------------


def terms(method: Optimizer, loss: Loss | VectorField, order: int) -> tuple[sp.Matrix, ...]:
    """The engine's terms, as expressions."""
    return modified_equation(method, loss, order).terms


def terms_at(method: Optimizer, loss: Loss | VectorField, at: Point, order: int) -> list[sp.Matrix]:
    """The engine's terms at a point, in exact numbers."""
    found = modified_equation(method, loss, order).coefficients([at[s] for s in loss.symbols])
    return [sp.Matrix(term) for term in found]


def jacobian_at(field: Callable[[Point], sp.Matrix], at: Point) -> sp.Matrix:
    """The Jacobian of a field at a point, by central differences that are exact to 60 digits."""
    step = sp.Rational(1, 10**30)
    columns = []
    for symbol in at:
        ahead, behind = (field({**at, symbol: at[symbol] + e}) for e in (step, -step))
        columns.append((ahead - behind) / (2 * step))
    return sp.Matrix.hstack(*columns)


@optimizer
def mean_gradient(theta: Any, gradient: Any, memory: Any, beta: Decay) -> Any:
    """Move by a bias-corrected average of the gradient."""
    return memory.average(gradient(theta), beta, corrected=True)


def sign_change(method: Callable[[sp.Symbol], Optimizer], g: sp.Expr) -> sp.Expr:
    """The epsilon at which the engine's second term vanishes, on a parabola with the gradient g."""
    epsilon = sp.Symbol("epsilon", positive=True)
    second = terms(method(epsilon), BOWL, 2)[1][0].subs(X, g)
    (root,) = sp.solve(sp.numer(sp.together(second)), epsilon)
    return root


def adam_sign_change(rng: random.Random) -> Values:
    """The epsilon at which Adam's second term vanishes, on a parabola, where the gradient is g > 0."""
    beta, rho, g = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10), ratio(rng, 8, 13)
    return {
        r"\varepsilon": sign_change(lambda epsilon: adam(beta, rho, epsilon), g),
        r"\partial_j E": g,
        **constants(r"\beta", beta),
        **constants(r"\rho", rho),
    }


def constant(decay: sp.Expr, n: int | None = None) -> sp.Expr:
    """C from the engine: minus twice the second term of a mean gradient on a parabola with the
    gradient 1, in steady state or after step n."""
    if n is None:
        return -2 * terms_at(heavy_ball(decay, damped=True), BOWL, {X: sp.Integer(1)}, 2)[1][0]
    return -2 * transient_equation(mean_gradient(decay), BOWL).terms(n)[1][0] / X


# --- exact runs ----------------------------------------------------------------------------------


class Polynomial:
    """A polynomial in h, cut off after its last coefficient: what an optimizer is run on.

    The coefficients are exact numbers, expressions, or floats of many digits.
    """

    def __init__(self, coefficients: Iterable[Any]) -> None:
        self.coefficients = tuple(coefficients)

    def _same(self, other: Any) -> tuple[Any, ...]:
        if isinstance(other, Polynomial):
            return other.coefficients
        return (other, *[0] * (len(self.coefficients) - 1))

    def __add__(self, other: Any) -> "Polynomial":
        return Polynomial(a + b for a, b in zip(self.coefficients, self._same(other)))

    __radd__ = __add__

    def __neg__(self) -> "Polynomial":
        return Polynomial(-a for a in self.coefficients)

    def __sub__(self, other: Any) -> "Polynomial":
        return self + -other

    def __rsub__(self, other: Any) -> "Polynomial":
        return -self + other

    def __mul__(self, other: Any) -> "Polynomial":
        if not isinstance(other, Polynomial):
            return Polynomial(a * other for a in self.coefficients)
        a, b = self.coefficients, other.coefficients
        found = [a[0] * 0] * len(a)
        for i, x in enumerate(a):
            if x:
                for k in range(i, len(a)):
                    if b[k - i]:
                        found[k] = found[k] + x * b[k - i]
        return Polynomial(found)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Polynomial":
        if not isinstance(other, Polynomial):
            return Polynomial(a / other for a in self.coefficients)
        found: list[Any] = []
        for k, a in enumerate(self.coefficients):
            known = sum(found[i] * other.coefficients[k - i] for i in range(k))
            found.append((a - known) / other.coefficients[0])
        return Polynomial(found)

    def __rtruediv__(self, other: Any) -> "Polynomial":
        return Polynomial(self._same(other)) / self

    def __pow__(self, exponent: int) -> "Polynomial":
        found = self * 0 + 1
        for _ in range(exponent):
            found = found * self
        return found

    def sqrt(self) -> "Polynomial":
        """The square root, which NumPy's function calls."""
        found = [sp.sqrt(self.coefficients[0])]
        for k in range(1, len(self.coefficients)):
            known = sum(found[i] * found[k - i] for i in range(1, k))
            found.append((self.coefficients[k] - known) / (2 * found[0]))
        return Polynomial(found)

    def sin(self) -> "Polynomial":
        """The sine, from sin' = cos and cos' = -sin."""
        a = self.coefficients
        sine, cosine = [sp.sin(a[0])], [sp.cos(a[0])]
        for k in range(1, len(a)):
            turned = [sum(i * a[i] * x[k - i] for i in range(1, k + 1)) for x in (cosine, sine)]
            sine.append(turned[0] / k)
            cosine.append(-turned[1] / k)
        return Polynomial(sine)

    def expression(self, divided_by: int = 0) -> sp.Expr:
        """The polynomial as an expression in the symbol h, divided by a power of h."""
        return sum(a * h ** (k - divided_by) for k, a in enumerate(self.coefficients) if a != 0)


def on_polynomials(
    expression: sp.Expr, symbols: Sequence[sp.Symbol], values: Sequence[Polynomial] | np.ndarray
) -> Polynomial:
    """A polynomial expression in some symbols, at polynomials in h."""
    one = values[0] * 0 + 1
    powers = [[one, value] for value in values]
    total = values[0] * 0
    for exponents, factor in _monomials(expression, tuple(symbols)):
        product = None
        for known, exponent in zip(powers, exponents):
            while len(known) <= exponent:
                known.append(known[-1] * known[1])
            if exponent:
                product = known[exponent] if product is None else product * known[exponent]
        total = total + (one if product is None else product) * factor
    return total


@lru_cache(maxsize=256)
def _monomials(expression: sp.Expr, symbols: tuple[sp.Symbol, ...]) -> list[tuple[tuple[int, ...], Any]]:
    terms = sp.Poly(expression, *symbols).terms()
    # Python's whole numbers are faster, and multiply what any coefficient may be
    return [(powers, int(c) if c.is_Integer else c) for powers, c in terms]


class Given:
    """A memory that returns given averages, in the order of the calls, and keeps none of its own."""

    def __init__(self, *averages: Any) -> None:
        self.averages = iter(averages)

    def average(self, x: Any, decay: Any, corrected: bool = False) -> Any:
        """Return the next of the given averages."""
        return next(self.averages)


def update(method: Optimizer, gradient: sp.Expr, *averages: sp.Expr) -> sp.Expr:
    """The update of one coordinate for a gradient and given averages."""
    g, *given = (_column([[value]]) for value in (gradient, *averages))
    return method(g, lambda theta: g, Given(*given))[0].coefficients[0]


State = list[tuple[Any, Any]]


def step_from(method: Optimizer, gradient: sp.Expr, state: State | None = None) -> tuple[sp.Expr, State]:
    """The update of one coordinate from a memory's state, (value, weight) for each average; and the
    new state."""
    g, memory = _column([[gradient]]), Running(h, state)
    (found,) = method(g, lambda theta: g, memory)
    return found.coefficients[0], [(m[0].coefficients[0], p) for m, p in memory.new]


def _column(coefficients: Iterable[Iterable[Any]]) -> np.ndarray:
    """An array of polynomials in h."""
    return np.array([Polynomial(each) for each in coefficients], dtype=object)


def step_matrix(method: Optimizer, size: sp.Expr) -> sp.Matrix:
    """What a step of this size does to (theta, m) on a mode, E = theta^2/2: its columns are the images
    of the unit vectors."""
    columns = []
    for theta, m in ((sp.Integer(1), sp.Integer(0)), (sp.Integer(0), sp.Integer(1))):
        memory = Running(size, [(m, 0)])
        found = theta - size * method(theta, lambda theta: theta, memory)
        columns.append([found, memory.new[0][0]])
    return sp.Matrix(columns).T


def running_average(decay: sp.Expr, values: Sequence[Any]) -> Any:
    """The bias-corrected average of a sequence: of an impulse, the weight of its place."""
    memory, found = Running(h), None
    for value in values:
        found = memory.average(value, decay, corrected=True)
        memory = memory.advance()
    return found


def weights(decay: sp.Expr, n: int) -> list[sp.Expr]:
    """The weights of the steps 0, ..., n in a bias-corrected average, from impulses."""
    impulses = ([sp.Integer(int(k == place)) for k in range(n + 1)] for place in range(n + 1))
    return [running_average(decay, impulse) for impulse in impulses]


def lag_of_weights(decay: sp.Expr, n: int) -> sp.Expr:
    """The mean age of what a bias-corrected average holds after step n."""
    return sum(((n - k) * w for k, w in enumerate(weights(decay, n))), sp.Integer(0))


def constants(name: str, decay: sp.Expr, n: int | None = None) -> Values:
    r"""The lag and C = 1 + 2 lag of a decay with this LaTeX name, in steady state or after step n."""
    if n is None:
        return {f"C_{name}": 1 + 2 * lag(decay)}
    return {rf"\mathrm{{lag}}_{name}(n)": lag(decay, n), f"C_{name}(n)": 1 + 2 * lag(decay, n)}


def age_moment(beta: sp.Expr, r: int) -> sp.Expr:
    """The mean of the r-th power of the age under geometric weights: (u d/du)^r of the generating
    function (1 - beta)/(1 - beta u) at u = 1."""
    u = sp.Symbol("u")
    generating = (1 - beta) / (1 - beta * u)
    for _ in range(r):
        generating = u * sp.diff(generating, u)
    return generating.subs(u, 1)


def pace_constant(method: Callable[[sp.Expr], Optimizer], beta: sp.Expr) -> sp.Expr:
    """The penalty at the same pace in units of gradient descent's, from the engine on a parabola."""
    f_0, f_1 = terms_at(method(beta), BOWL, {X: sp.Integer(3)}, 2)
    return -2 * f_1[0] * 3 / f_0[0] ** 2


# --- an optimizer on polynomials in h, step by step ----------------------------------------------

Steps = Sequence[sp.Matrix]


def last_step(
    method: Optimizer, gradients: Steps, hessians: Steps, points: Steps
) -> tuple[list[Polynomial], list[list[Polynomial]]]:
    """The update of the last step and its bias-corrected averages, to first order in h, if step k
    saw the point theta + h points[k]."""
    memory, state = Running(h), []
    found: Any = ()
    for g, hessian, point in zip(gradients, hessians, points):
        seen = _column(zip(g, hessian * point))
        found = method(seen, lambda theta, seen=seen: seen, memory)
        state, memory = memory.new, memory.advance()
    return list(found), [list(m / (1 - p)) for m, p in state]


def run_to(method: Optimizer, gradients: Steps, hessians: Steps, n: int) -> tuple[list[sp.Matrix], list[sp.Matrix]]:
    """Displacements of the points of the steps 0, ..., n from that of step 0, in units of h at
    leading order, and the updates."""
    displacements, updates = [sp.zeros(2, 1)], []
    for _ in range(n + 1):
        found, _ = last_step(method, gradients, hessians, displacements)
        updates.append(sp.Matrix([u.coefficients[0] for u in found]))
        displacements.append(displacements[-1] - updates[-1])
    return displacements[:-1], updates


def by_running(method: Optimizer, gradients: Steps, hessians: Steps, n: int) -> tuple[sp.Matrix, sp.Matrix]:
    r"""f_0 and f_1 of the flow on [t_n, t_{n+1}], which moves as the optimizer does in its step n.

    The iterates are theta^(k) = theta + h a_k + h^2 c_k.  The flow's Taylor series gives
    c_{n+1} - c_n = f_0' a_n + f_1 + f_0' f_0 / 2, and the run gives c_{n+1} - c_n and, from all
    displacements alike, f_0' v.
    """
    displacements, updates = run_to(method, gradients, hessians, n)

    def second_order(points: Steps) -> sp.Matrix:
        found, _ = last_step(method, gradients, hessians, points)
        return sp.Matrix([-u.coefficients[1] for u in found])

    f_0 = -updates[-1]
    along = second_order([displacements[-1]] * (n + 1))
    bent = second_order([f_0] * (n + 1))
    return f_0, second_order(displacements) - along - bent / 2


# --- Adam ----------------------------------------------------------------------------------------


def experiment(rng: random.Random, inside: bool = True) -> tuple[Optimizer, list[sp.Matrix], list[sp.Matrix]]:
    """Adam with random exact hyper-parameters, and the gradients and Hessians of three random losses
    at one point, in an irregular order of mini-batches."""
    method = adam(*decays(rng), ratio(rng, 1, 9, 10), epsilon_inside=inside)
    losses = [polynomial_loss(rng, degree=3) for _ in range(3)]
    at = random_point(rng, losses[0])
    gradients = [gradient_at(loss, at).evalf(DIGITS) for loss in losses]
    hessians = [hessian_at(loss, at).evalf(DIGITS) for loss in losses]
    order = (0, 2, 1, 1)
    return method, [gradients[i] for i in order], [hessians[i] for i in order]


def theorem_values(method: Optimizer, gradients: Steps, hessians: Steps) -> Values:
    """All symbols of the theorem for n = 0, ..., 3; without a superscript they belong to n = 3."""
    beta, rho, epsilon, inside, _ = method.hyperparameters.values()
    found = {r"\beta": beta, r"\rho": rho, r"\varepsilon": epsilon, "d": sp.Integer(2), "h": h}
    for n in range(4):
        found |= _parts(method, gradients, hessians, n)
        found |= {f"w_{k}^{{({n})}}": w for k, w in enumerate(weights(beta, n))}
        found |= {f"u_{k}^{{({n})}}": u for k, u in enumerate(weights(rho, n))}
        for j in (1, 2):
            v = found[f"V_{j}^{{({n})}}"]
            root = sp.sqrt(v + epsilon) if inside else sp.sqrt(v) + epsilon
            found[f"R_{j}^{{({n})}}"] = root.evalf(DIGITS)
            found[rf"\partial_{j} E_{n}"] = gradients[n][j - 1]
            found |= {rf"\partial_{{{i}{j}}} E_{n}": hessians[n][i - 1, j - 1] for i in (1, 2)}
    f_0, f_1 = by_running(method, gradients, hessians, 3)
    for j in (1, 2):
        found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
        for name in ("M", "V", "R", "L", "P", r"\bar L", r"\bar P"):
            found[f"{name}_{j}"] = found[f"{name}_{j}^{{(3)}}"]
    return found


def _parts(method: Optimizer, gradients: Steps, hessians: Steps, n: int) -> Values:
    """M, V, L, P and their barred partners at step n, as derivatives in h of running averages."""
    displacements, updates = run_to(method, gradients, hessians, n)
    behind = [x - displacements[-1] for x in displacements]
    found: Values = {}
    for bar, points in (("", behind), (r"\bar ", [updates[-1]] * (n + 1))):
        _, (mean, squares) = last_step(method, gradients, hessians, points)
        for j, (m, v) in enumerate(zip(mean, squares), 1):
            found[rf"{bar}L_{j}^{{({n})}}"] = m.coefficients[1]
            found[rf"{bar}P_{j}^{{({n})}}"] = v.coefficients[1] / 2
            found[f"M_{j}^{{({n})}}"], found[f"V_{j}^{{({n})}}"] = (
                m.coefficients[0],
                v.coefficients[0],
            )
    return found


def one_loss(loss: Loss, at: Point, epsilon: sp.Expr) -> Values:
    r"""What equations in components are printed in: the gradient, R, the Hessian, and the derivative
    of the perturbed one-norm."""
    g, hessian = gradient_at(loss, at).evalf(DIGITS), hessian_at(loss, at).evalf(DIGITS)
    norm = sum(sp.sqrt(x**2 + epsilon) for x in loss.gradient_expressions)
    found = {r"\varepsilon": epsilon, "h": h, "d": sp.Integer(2)}
    for j, x in enumerate(loss.symbols, 1):
        found[rf"\partial_{j} E"] = g[j - 1]
        found[f"R_{j}"] = sp.sqrt(g[j - 1] ** 2 + epsilon)
        slope = sp.diff(norm, x).subs(at).evalf(DIGITS)
        found[rf"\partial_{j}\lVert\nabla E\rVert_{{1,\varepsilon}}"] = slope
        found |= {rf"\partial_{{{i}{j}}} E": hessian[i - 1, j - 1] for i in (1, 2)}
    return found


def motion(f_0: sp.Matrix, f_1: sp.Matrix, values: Values) -> Values:
    """A field of two terms in components, and its bias: minus the second, times R."""
    found: Values = {}
    for j in (1, 2):
        found[rf"\dot\theta_{j}"] = f_0[j - 1] + h * f_1[j - 1]
        found[rf"\mathrm{{bias}}_{j}"] = -h * f_1[j - 1] * values[f"R_{j}"]
    return found


def from_the_start(method: Optimizer, loss: Loss, at: Point, n: int) -> tuple[sp.Matrix, sp.Matrix]:
    """f_0 and f_1 of an optimizer on one loss after step n, by running."""
    g, hessian = gradient_at(loss, at).evalf(DIGITS), hessian_at(loss, at).evalf(DIGITS)
    return by_running(method, [g] * (n + 1), [hessian] * (n + 1), n)


def adam_from_the_start(rng: random.Random, n: int = 2) -> Values:
    """Adam on one random loss, run for n + 1 steps, with the constants after step n."""
    (beta, rho), epsilon = decays(rng), ratio(rng, 1, 9, 10)
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    found = one_loss(loss, at, epsilon) | constants(r"\beta", beta, n) | constants(r"\rho", rho, n)
    f_0, f_1 = from_the_start(adam(beta, rho, epsilon), loss, at, n)
    return found | motion(f_0, f_1, found)


def gradient_along(slopes: Any) -> Any:
    """The update of the library's gradient descent for a gradient of any kind: that gradient."""
    return gradient_descent()(slopes, lambda theta: slopes, Given())


def plain_step(theta: Any, gradient: Any, size: Any) -> Any:
    """One step of the library's gradient descent."""
    return theta - size * gradient_along(gradient)


# --- epochs of mini-batches ----------------------------------------------------------------------

M = 3  # batches
ORDERS = tuple(permutations(range(M)))
SEQUENCES = tuple(product(range(M), repeat=M))

Losses = Sequence[Loss]


def run(losses: Losses, at: Point, sequence: Iterable[int], powers: int = 4) -> list[Polynomial]:
    """The point after one step on each batch of a sequence, up to O(h^powers)."""
    size = Polynomial([0, 1, *[0] * (powers - 2)])
    theta = [Polynomial([Fraction(x.p, x.q), *[0] * (powers - 1)]) for x in at.values()]
    for k in sequence:
        slopes = [on_polynomials(g, list(at), theta) for g in losses[k].gradient_expressions]
        theta = [x - size * u for x, u in zip(theta, gradient_along(slopes))]
    return theta


def centre_of(cloud: Iterable[Sequence[Polynomial]]) -> list[Polynomial]:
    return [average(values) for values in zip(*cloud)]


def column(point: Sequence[Polynomial]) -> sp.Matrix:
    return sp.Matrix([x.expression() for x in point])


def full_batch(losses: Losses) -> Loss:
    """The mean of the losses."""
    return cast(Loss, mean(losses))


def mean_end(losses: Losses, at: Point, sequences: Iterable[Iterable[int]], powers: int = 3) -> list[Polynomial]:
    return centre_of(run(losses, at, s, powers) for s in sequences)


def field_of(end: Sequence[Polynomial], losses: Losses, at: Point) -> sp.Matrix:
    """f_1 such that the flow of -grad E + h f_1 ends there after the time m h."""
    m, second = len(losses), sp.Matrix([x.coefficients[2] for x in end])
    hessian = average(hessian_at(loss, at) for loss in losses)
    gradient = average(gradient_at(loss, at) for loss in losses)
    return second / m - sp.Rational(m, 2) * hessian * gradient


def calculus_of_batches(losses: Losses, at: Point) -> Values:
    """Values at a point: gradients, Hessians, and the same of the mean loss."""
    full = full_batch(losses)
    found = {"h": h, "m": sp.Integer(len(losses)), r"\theta": sp.Matrix(list(at.values()))}
    for k, loss in enumerate(losses):
        found |= {f"H_{k}": hessian_at(loss, at), rf"\nabla E_{k}": gradient_at(loss, at)}
    return found | {
        "E": full.expression.subs(at),
        "H": hessian_at(full, at),
        r"\nabla E": gradient_at(full, at),
    }


def batches(rng: random.Random, count: int = M, degree: int = 3) -> tuple[list[Loss], Point]:
    losses = [polynomial_loss(rng, degree=degree) for _ in range(count)]
    return losses, random_point(rng, losses[0])


def epoch(rng: random.Random) -> Values:
    """Three batches: one order, and the means over all orders and all sequences."""
    losses, at = batches(rng)
    values = calculus_of_batches(losses, at)
    for name, sequences in (("once", ORDERS), ("repl", SEQUENCES)):
        cloud = [run(losses, at, s) for s in sequences]
        centre = centre_of(cloud)
        spread = average(sum((x - c) ** 2 for x, c in zip(end, centre)) for end in cloud)
        values[rf"\langle\theta^{{(m)}}\rangle_{{\mathrm{{{name}}}}}"] = column(centre)
        values[
            r"\langle\lVert\theta^{(m)} - \langle\theta^{(m)}\rangle\rVert^2\rangle"
            rf"_{{\mathrm{{{name}}}}}"
        ] = spread.expression()
    in_order = run(losses, at, ORDERS[0])
    slopes = [gradient_at(loss, at) for loss in losses]
    # a product of two different steps, the second on batch i and the first on batch j
    pairs = [hessian_at(losses[i], at) * slopes[j] for i, j, *_ in ORDERS]
    scatter = sp.expand(variance([sp.Matrix(loss.gradient_expressions) for loss in losses]))
    return {
        **values,
        r"\theta^{(m)}": column(in_order),
        "f_1": field_of(in_order, losses, at),
        r"\langle H_i\nabla E_j\rangle_{\mathrm{once}}": average(pairs),
        r"\Gamma": variance(slopes),
        r"\nabla\Gamma": sp.Matrix([sp.diff(scatter, s) for s in losses[0].symbols]).subs(at),
    }


EVERY = "The left side runs the algorithm on polynomials in h through"
