r"""The equations of chapter 17: third terms, trees, curls, and flows at the edge of stability.

They are compared with exact terms of the engine on random losses and fields, with the characteristic
polynomial of a step, and with two steps of gradient descent.
"""

import random
from typing import Any

import sympy as sp

from bea import (
    Loss,
    Optimizer,
    VectorField,
    adam,
    bilinear,
    elementary_differential,
    gradient_descent,
    heavy_ball,
    lag,
    nesterov,
    tree_coefficients,
)
from bea_book.equations.shared import (
    DIGITS,
    Point,
    Values,
    gradient_at,
    hessian_at,
    jacobian_at,
    plain_step,
    polynomial_loss,
    random_point,
    ratio,
    step_matrix,
    terms_at,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]

DOT: tuple[Any, ...] = ()


def two_decays(rng: random.Random) -> tuple[sp.Rational, sp.Rational]:
    """A small and a large decay."""
    return ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10)


def one_variable(rng: random.Random) -> Values:
    """Adam without epsilon on a random loss of one variable, where its gradient is positive."""
    loss = polynomial_loss(rng, dimension=1)
    at, (x,) = random_point(rng, loss), loss.symbols
    if sp.diff(loss.expression, x).subs(at) <= 0:
        loss = Loss(9 * x - loss.expression, loss.symbols)
    slope, second, third = (sp.diff(loss.expression, x, k).subs(at) for k in (1, 2, 3))
    if slope <= 0 or second == 0 or third == 0:
        return one_variable(rng)
    beta, rho = two_decays(rng)
    _, f_1, f_2 = terms_at(adam(beta, rho, sp.Integer(0)), loss, at, 3)
    return {
        "f_1": f_1[0],
        "f_2": f_2[0],
        r"\ell_\beta": lag(beta),
        r"\ell_\rho": lag(rho),
        "E'": slope,
        "E''": second,
        "E'''": third,
    }


def double_root(rng: random.Random) -> Values:
    """The step size at which both eigenvalues of a heavy-ball step are equal."""
    beta, curvature, r = ratio(rng, 1, 9, 10) ** 2, ratio(rng, 8, 13), sp.Symbol("r")
    polynomial = (step_matrix(heavy_ball(beta), h * curvature) - r * sp.eye(2)).det()
    double = sp.solve(sp.discriminant(sp.expand(polynomial), r), h)
    return {"h_*": min(double), r"\lambda": curvature, r"\beta": beta}


def fourth_order(rng: random.Random) -> Values:
    x = sp.symbols("x_1 x_2", real=True)
    field = VectorField(tuple(polynomial_loss(rng, degree=3).expression for _ in x), x)
    at, beta = {s: ratio(rng) for s in x}, ratio(rng, 1, 9, 10)
    trees = {
        "f'f'f'f": (((DOT,),),),
        "f'f''(f,f)": ((DOT, DOT),),
        "f''(f,f'f)": (DOT, (DOT,)),
        "f'''(f,f,f)": (DOT, DOT, DOT),
    }
    column = -sp.Matrix(field.gradient_expressions)
    differentials = {name: elementary_differential(tree, column, list(x)).subs(at) for name, tree in trees.items()}
    f_3 = terms_at(heavy_ball(beta), field, at, 4)[3]
    return {"f_3": f_3, r"\beta": beta, **differentials}


LINEAR = (lambda beta: gradient_descent(), heavy_ball, nesterov)


def hessians(loss: Loss, at: Point) -> tuple[sp.Matrix, sp.Matrix]:
    """The Hessian, and its derivative along the gradient."""
    hessian = loss.hessian_expressions
    along = zip(loss.symbols, gradient_at(loss, at))
    turned = sum((hessian.diff(s).subs(at) * g for s, g in along), sp.zeros(len(at)))
    return hessian_at(loss, at), turned


def third_term_jacobian(method: Optimizer, loss: Loss, at: Point) -> sp.Matrix:
    return jacobian_at(lambda place: terms_at(method, loss, place, 3)[2], at)


def curl(rng: random.Random) -> Values:
    method = LINEAR[rng.randrange(3)](ratio(rng, 1, 9, 10))
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    H, T = hessians(loss, at)
    b: dict[Any, sp.Expr] = tree_coefficients(method, 3)
    c, d = b[((DOT,),)], b[(DOT, DOT)] / 2
    J = third_term_jacobian(method, loss, at)
    return {"J": J, "H": H, "T": T, "c": c, "d": d, "w": c - 2 * d}


def curls(rng: random.Random) -> Values:
    """w of heavy ball and of Nesterov, from the engine on the bilinear model alone."""
    beta, loss = ratio(rng, 1, 9, 10), bilinear(ratio(rng), ratio(rng))
    at = {s: ratio(rng, 3 * i + 1, 3 * i + 4) for i, s in enumerate(loss.symbols)}
    H, T = hessians(loss, at)
    found = {r"\beta": beta}
    for name, method in (("w_H", heavy_ball), ("w_N", nesterov)):
        J = third_term_jacobian(method(beta), loss, at)
        found[name] = -(J - J.T)[0, 1] / (H * T - T * H)[0, 1]
    return found


def plain_adam(rng: random.Random) -> Values:
    loss, epsilon = polynomial_loss(rng, degree=3), ratio(rng)
    at = random_point(rng, loss)
    method = adam(ratio(rng, 1, 9, 10), ratio(rng, 1, 9, 10), epsilon)
    J = jacobian_at(lambda place: terms_at(method, loss, place, 1)[0].evalf(DIGITS), at)
    R = [sp.sqrt(g**2 + epsilon) for g in gradient_at(loss, at)]
    return {
        r"\partial_1 f_{0,2}": J[1, 0],
        r"\partial_2 f_{0,1}": J[0, 1],
        r"\varepsilon": epsilon,
        "R_1": R[0],
        "R_2": R[1],
        r"\partial_{12}E": hessian_at(loss, at)[0, 1],
    }


def oscillating(kappa: sp.Expr, target: sp.Expr) -> Loss:
    """The chapter's loss of two variables, with y* = target sqrt(2 / h)."""
    x, y = sp.symbols("x y", real=True)
    valley = kappa / 2 * (y - target * sp.sqrt(2 / h)) ** 2
    return Loss(y**2 * (sp.sqrt(1 + x**2) - 1) + valley, (x, y), (h,))


def two_steps(rng: random.Random) -> Values:
    """Two exact steps of gradient descent from the two-cycle of x."""
    kappa, target, eta = ratio(rng), ratio(rng, 12, 15), ratio(rng, 8, 11)
    loss = oscillating(kappa, target)
    x, y = loss.symbols
    place = sp.Symbol("place", positive=True)
    high = eta * sp.sqrt(2 / h)
    slope = loss.gradient_expressions[0].subs({x: place, y: high})
    turned = sp.powsimp(sp.expand(plain_step(place, slope, h) + place))
    (cycle,) = sp.solve(turned / place, place)
    theta = sp.Matrix([cycle, high])
    for _ in range(2):
        theta = plain_step(theta, gradient_at(loss, dict(zip((x, y), theta))), h)
    moved = theta[1] * sp.sqrt(h / 2)
    return {
        "x_*": cycle,
        r"\eta": eta,
        r"\eta_*": target,
        r"\kappa": kappa,
        r"\dot\eta": (moved - eta) / (2 * h),
    }


def amplitude(rng: random.Random) -> Values:
    """One exact step of gradient descent above the edge, at any height: x changes its sign, and its
    size as the flow's does in the time h."""
    kappa, target, eta, x_now = ratio(rng), ratio(rng, 12, 15), ratio(rng, 9, 12), ratio(rng, 1, 5)
    loss = oscillating(kappa, target)
    x, y = loss.symbols
    slope = loss.gradient_expressions[0].subs({x: x_now, y: eta * sp.sqrt(2 / h)})
    after = sp.expand(plain_step(x_now, slope, h))
    return {r"\dot x": x_now / h * sp.log(-after / x_now), "x": x_now, r"\eta": eta, "h": h}


ENTRIES = (
    Entry(
        "eq-beyond-third",
        one_variable,
        "the engine's exact terms of Adam on a random loss of one variable",
    ),
    Entry(
        "eq-beyond-radius",
        double_root,
        "the step size at which the characteristic polynomial of the library's step has a double root",
    ),
    Entry("eq-beyond-four", fourth_order, "the engine's exact fourth term on a random field"),
    Entry(
        "eq-beyond-curl",
        curl,
        "the Jacobian of the engine's third term on a random loss; c and d from the trees",
    ),
    Entry(
        "eq-beyond-curl-methods",
        curls,
        "the curl of the engine's third term on a random bilinear model",
    ),
    Entry("eq-beyond-adam-curl", plain_adam, "derivatives of the engine's first term on a random loss"),
    Entry(
        "eq-beyond-cycle",
        two_steps,
        "the point that a step of gradient descent reflects, solved for",
    ),
    Entry("eq-beyond-central", two_steps, "the mean motion over two exact steps of gradient descent"),
    Entry("eq-beyond-amplitude", amplitude, "one exact step of gradient descent, and its logarithm"),
)
