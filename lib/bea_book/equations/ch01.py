"""The equations of chapter 1, gradient descent as Euler's method.

Most are read in the *expansion of exact iterates*: a few steps of gradient descent on a random polynomial loss, in exact arithmetic.
The coefficient of h^k in iterate n is a polynomial in n of degree k, so it is known from k + 1 iterates.  With t = nh its leading
coefficient belongs to the limit of the iterates as h goes to 0, the flow, and the next one to their first deviation, h w(t).
No derivative of a field and no differential equation is used to find them.
"""

import sympy as sp

from bea.losses import bilinear
from bea.optimizers import gradient_descent
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

ORDER = 4  # powers of h that the expansion keeps


def step(theta, gradient, size):
    """One step of the library's gradient descent, on SymPy vectors."""
    return theta - size * gradient.applyfunc(gradient_descent().update)


def along(functions, symbols, curve, variable):
    """Polynomial functions on a curve that is a polynomial in ``variable``, as a column, cut off after ORDER powers."""
    values = [sp.expand(f.subs(dict(zip(symbols, curve)), simultaneous=True)) for f in functions]
    return sp.Matrix(
        [sum(v.coeff(variable, k) * variable**k for k in range(ORDER + 1)) for v in values]
    )


def expansion(rng):
    """(loss, point, iterates 0 and 1 in powers of h, flow in powers of t, w in powers of t), from exact iterates alone."""
    loss = polynomial_loss(rng, degree=3)
    point = random_point(rng, loss)
    theta = sp.Matrix([point[s] for s in loss.symbols])
    iterates = [theta]
    for _ in range(ORDER):
        theta = sp.expand(step(theta, along(loss.gradient_expressions, loss.symbols, theta, h), h))
        theta = theta.applyfunc(lambda v: sum(v.coeff(h, k) * h**k for k in range(ORDER + 1)))
        iterates.append(theta)
    n, t = sp.symbols("n t")
    flow, w = sp.zeros(2, 1), sp.zeros(2, 1)
    for i in range(2):
        for k in range(ORDER + 1):
            in_n = sp.Poly(
                sp.interpolate([(m, iterates[m][i].coeff(h, k)) for m in range(ORDER + 1)], n), n
            )
            assert in_n.degree() <= k
            flow[i] += in_n.coeff_monomial(n**k) * t**k
            w[i] += in_n.coeff_monomial(n ** (k - 1)) * t ** (k - 1) if k else 0
    return loss, point, iterates, flow, w, t


def stacked(column, t, powers=3):
    """The coefficients of t^0, t^1, ... of a vector of polynomials, one under the other: an equation between series, as one vector."""
    return sp.Matrix([sp.expand(v).coeff(t, k) for k in range(powers) for v in column])


def limit_of_iterates(rng):
    loss, point, _, flow, _, t = expansion(rng)
    return {
        r"\dot\theta": stacked(flow.diff(t), t),
        r"\nabla E(\theta)": stacked(along(loss.gradient_expressions, loss.symbols, flow, t), t),
        r"\theta(0)": flow.subs(t, 0),
        r"\theta^{(0)}": sp.Matrix(list(point.values())),
    }


def one_step(rng):
    loss = polynomial_loss(rng)
    theta = sp.Matrix(list(random_point(rng, loss).values()))
    size, s = ratio(rng), sp.Symbol("s")
    gradient = [
        sp.Matrix(loss.gradient_expressions)[i].subs(dict(zip(loss.symbols, theta)))
        for i in range(2)
    ]
    slopes = [
        sp.expand(loss.expression.subs(dict(zip(loss.symbols, theta + s * unit)))).coeff(s, 1)
        for unit in (sp.Matrix([1, 0]), sp.Matrix([0, 1]))
    ]
    return {
        r"\theta^{(n+1)}": step(theta, sp.Matrix(gradient), size),
        r"\theta^{(n)}": theta,
        "h": size,
        r"\nabla E(\theta^{(n)})": sp.Matrix(slopes),
    }


def mode(rng):
    lam, size, steps, start = (
        ratio(rng, denominator=11),
        ratio(rng, denominator=13),
        rng.randint(2, 5),
        ratio(rng, denominator=5),
    )
    theta = sp.Matrix([start])
    for _ in range(steps):
        theta = step(theta, lam * theta, size)
    t, y = sp.Symbol("t"), sp.Function("y")
    flow = sp.dsolve(y(t).diff(t) + lam * y(t), y(t), ics={y(0): start}).rhs
    return {
        r"\theta^{(n)}": theta[0],
        r"\theta^{(0)}": start,
        r"\theta(t_n)": flow.subs(t, steps * size),
        "n": sp.Integer(steps),
        "h": size,
        r"\lambda": lam,
        "e": sp.E,
    }


def mode_rate(rng):
    lam, steps = (
        ratio(rng),
        rng.randint(2, 5),
    )  # ratio is below 11/7, so that h * lam < 1 at the value of h where exact equalities are judged
    theta = sp.Matrix([1])
    for _ in range(steps):
        theta = step(theta, lam * theta, h)
    return {
        r"\tilde\lambda": -sp.log(sp.factor(theta[0])) / (steps * h),
        "n": sp.Integer(steps),
        "h": h,
        r"\lambda": lam,
        "e": sp.E,
    }


def start_of_flow(rng):
    loss, point, iterates, flow, _, t = expansion(rng)
    return {
        r"\theta^{(1)}": iterates[1],
        r"\theta(h)": flow.subs(t, h),
        r"\dot\theta": flow.diff(t).subs(t, 0),
        r"\ddot\theta": flow.diff(t, 2).subs(t, 0),
        r"H\nabla E": loss.hessian_expressions.subs(point)
        * sp.Matrix(loss.gradient_expressions).subs(point),
        "h": h,
        "H": loss.hessian_expressions.subs(point),
    }


def geometric(rng):
    return {"h": ratio(rng, denominator=11), "L": ratio(rng), "n": sp.Integer(rng.randint(2, 6))}


def first_variation(rng):
    loss, _, _, flow, w, t = expansion(rng)
    gradient = along(loss.gradient_expressions, loss.symbols, flow, t)
    hessian = along(list(loss.hessian_expressions), loss.symbols, flow, t).reshape(2, 2)
    return {
        r"\dot w": stacked(w.diff(t), t),
        "Hw": stacked(hessian * w, t),
        r"H\nabla E": stacked(hessian * gradient, t),
    }


def mode_at(rng):
    """One mode at a fixed time t: the iterates as a function of h, with n = t/h, and the limit of (iterate - flow)/h."""
    lam, t, start = ratio(rng), ratio(rng, denominator=5), ratio(rng, denominator=3)
    iterate, flow = start * sp.exp(t * sp.log(1 - h * lam) / h), start * sp.exp(-lam * t)
    return lam, t, start, iterate, flow


def mode_deviation(rng):
    lam, t, start, iterate, flow = mode_at(rng)
    s, y = sp.Symbol("s"), sp.Function("y")
    w = sp.dsolve(
        y(s).diff(s) + lam * y(s) + lam**2 * start * sp.exp(-lam * s) / 2, y(s), ics={y(0): 0}
    ).rhs  # the first variation's equation
    return {r"\theta^{(n)}": iterate, r"\theta(t_n)": flow, "w(t_n)": w.subs(s, t), "h": h}


def mode_limit(rng):
    lam, t, start, iterate, flow = mode_at(rng)
    return {
        "w(t)": sp.limit((iterate - flow) / h, h, 0),
        r"\lambda": lam,
        "t": t,
        r"\theta^{(0)}": start,
        "e": sp.E,
    }


def valley(rng):
    c, k = sp.symbols("c k")
    loss = bilinear(c, k)
    a, b = loss.symbols
    values = {
        a: ratio(rng),
        b: ratio(rng, denominator=5),
        c: ratio(rng, denominator=3),
        k: ratio(rng, denominator=4),
    }
    size = ratio(rng, denominator=13)
    new = step(sp.Matrix([a, b]), sp.Matrix(loss.gradient_expressions), size).subs(values)
    partial = [g.subs(values) for g in loss.gradient_expressions]
    change = sum(
        (a**2 - b**2).diff(s) * -g for s, g in zip(loss.symbols, loss.gradient_expressions)
    )
    return {
        "a": values[a],
        "b": values[b],
        "c": values[c],
        "k": values[k],
        "h": size,
        "E(a, b)": loss.expression.subs(values),
        "r": loss.expression.diff(c).subs(values),
        r"\partial_a E": partial[0],
        r"\partial_b E": partial[1],
        r"\dot a": -partial[0],
        r"\dot b": -partial[1],
        "a'": new[0],
        "b'": new[1],
        r"\frac{d}{dt}\left(a^2 - b^2\right)": change.subs(values),
    }


ITERATES = "the leading coefficients in n of exact iterates, that is their limit as h goes to 0 at t = nh, on a random cubic loss"
VALLEY = "the library's bilinear loss at random exact values, its SymPy derivatives (r is the derivative in c), and one step of its gradient descent"

ENTRIES = (
    Entry(
        "eq-gd-flow",
        limit_of_iterates,
        ITERATES,
    ),
    Entry(
        "eq-gd-step",
        one_step,
        "the library's step on a random loss, against the linear coefficients of the loss about the point",
    ),
    Entry(
        "eq-gd-mode",
        mode,
        "n steps made one after another; SymPy's solution of the differential equation",
    ),
    Entry(
        "eq-gd-mode-rate",
        mode_rate,
        "the logarithm of the n-th of n steps, divided by -nh",
    ),
    Entry("eq-gd-acceleration", start_of_flow, ITERATES),
    Entry(
        "eq-gd-local-error",
        start_of_flow,
        ITERATES,
    ),
    Entry(
        "eq-gd-geometric-sum",
        geometric,
        "the sum, term by term",
    ),
    Entry(
        "eq-gd-error-direction",
        mode_deviation,
        "one mode at a fixed time t = nh as a function of h; w is SymPy's solution of the first variation's equation",
    ),
    Entry(
        "eq-gd-first-variation",
        first_variation,
        "the two leading coefficients in n of exact iterates on a random cubic loss; both sides as series in t, three coefficients",
    ),
    Entry(
        "eq-gd-mode-deviation",
        mode_limit,
        "the limit of (iterate - flow)/h as h goes to 0 at a fixed time",
    ),
    Entry("eq-gd-valley", valley, VALLEY),
    Entry(
        "eq-gd-valley-gradient",
        valley,
        VALLEY,
    ),
    Entry(
        "eq-gd-flow-keeps-imbalance",
        valley,
        VALLEY,
    ),
    Entry(
        "eq-gd-steps-lose-imbalance",
        valley,
        VALLEY,
    ),
)
