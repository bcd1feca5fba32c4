r"""The equations of chapter 3, implicit gradient regularization.

Modified losses are found from the engine's field, by integrating it along the ray from a critical
point at the origin, where every modified loss agrees with the loss itself.
"""

import random

import sympy as sp

from bea import Loss, bilinear, gradient_descent
from bea_book.equations.shared import (
    Values,
    at_origin,
    calculus,
    critical_at_origin,
    gradient_at,
    hessian_at,
    jacobian_at,
    plain_step,
    polynomial_loss,
    random_point,
    ratio,
    terms,
    terms_at,
    third_derivatives,
    works_of_terms,
)
from bea_book.ledger import Entry, h

__all__ = ["ENTRIES"]


def any_loss(rng: random.Random) -> Values:
    """A random polynomial loss at a random point: its derivatives, and the engine's terms there."""
    loss = polynomial_loss(rng)
    at = random_point(rng, loss)
    found = terms_at(gradient_descent(), loss, at, 3)
    field = sum((h**k * term for k, term in enumerate(found)), sp.zeros(2, 1))
    gradient = sp.Matrix(loss.gradient_expressions)
    curvature = (gradient.T * loss.hessian_expressions * gradient)[0]
    return {
        **calculus(loss, at),
        **third_derivatives(loss, at),
        "h": h,
        r"\dot\theta": field,
        "f_2": found[2],
        r"\nabla(\nabla E^\top H\nabla E)": sp.Matrix([curvature.diff(s) for s in at]).xreplace(at),
    }


def jacobian_of_third_term(rng: random.Random) -> Values:
    loss = polynomial_loss(rng)
    at = random_point(rng, loss)
    jacobian = jacobian_at(lambda place: terms_at(gradient_descent(), loss, place, 3)[2], at)
    return {"H": hessian_at(loss, at), **third_derivatives(loss, at), "J": jacobian}


def modified_loss(rng: random.Random) -> Values:
    loss = critical_at_origin(rng)
    at = random_point(rng, loss)
    first, second = works_of_terms(gradient_descent(), loss, at)
    return {**calculus(loss, at), "h": h, r"\tilde E": at_origin(loss) + first + h * second}


def budget(rng: random.Random) -> Values:
    """Gradient descent on a penalized loss of one variable, the penalty's weight a multiple of h."""
    loss, mu = critical_at_origin(rng, dimension=1), ratio(rng) * h
    at = random_point(rng, loss)
    gradient = sp.Matrix(loss.gradient_expressions)
    penalized = Loss(sp.expand(loss.expression + mu * gradient.dot(gradient)), loss.symbols, (h,))
    (x,) = loss.symbols
    f_0, f_1 = terms(gradient_descent(), penalized, 2)
    work = -sp.expand((f_0 + h * f_1)[0]).integrate((x, 0, at[x]))
    return {**calculus(loss, at), "h": h, r"\mu": mu, r"\tilde E": at_origin(loss) + work}


def bilinear_model(rng: random.Random) -> Values:
    """The bilinear model with random c and k at a random point, and the engine's terms there."""
    c, k = ratio(rng), ratio(rng)
    loss = bilinear(c, k)
    at = random_point(rng, loss)
    a, b = loss.symbols
    f_0, f_1 = terms_at(gradient_descent(), loss, at, 2)
    field = f_0 + h * f_1
    first, second = works_of_terms(gradient_descent(), loss, at)  # the origin is a critical point
    jacobian = jacobian_at(lambda place: terms_at(gradient_descent(), loss, place, 3)[2], at)
    return {
        **calculus(loss, at),
        "a": at[a],
        "b": at[b],
        "k": k,
        "h": h,
        "r": (c - k * a * b).subs(at),
        r"\frac{d}{dt}(a^2-b^2)": 2 * at[a] * field[0] - 2 * at[b] * field[1],
        r"\operatorname{tr}H": hessian_at(loss, at).trace(),
        r"\tilde E": at_origin(loss) + first + h * second,
        r"\frac{\partial f_{2,a}}{\partial b}": jacobian[0, 1],
        r"\frac{\partial f_{2,b}}{\partial a}": jacobian[1, 0],
    }


def quadratic_mode(rng: random.Random) -> Values:
    """The decay rate at which the flow over a time h multiplies by the same factor as a step."""
    curvature, theta = ratio(rng), ratio(rng, denominator=5)
    exact = -sp.log(plain_step(theta, curvature * theta, h) / theta) / h
    return {"h": h, r"\lambda": curvature, r"\theta": theta, r"\tilde E": exact * theta**2 / 2}


def products(rng: random.Random) -> Values:
    """A random polynomial of the products w_j = u_j v_j: a step on (u, v), and the slopes in w."""
    w = polynomial_loss(rng, degree=3)
    symbols = sp.symbols("u_1 u_2 v_1 v_2", real=True)
    u, v = symbols[:2], symbols[2:]
    to_products = {w.symbols[j]: u[j] * v[j] for j in range(2)}
    loss = Loss(w.expression.subs(to_products), symbols)
    at = random_point(rng, loss)
    values = {"h": h}
    for j in range(2):
        values[f"s_{j + 1}"] = w.gradient_expressions[j].subs(to_products).subs(at)
    for symbol, slope in zip(symbols, gradient_at(loss, at)):
        values[symbol.name] = at[symbol]
        values[f"{symbol.name}'"] = plain_step(at[symbol], slope, h)
    return values


ENTRIES = (
    Entry(
        "eq-igr-field",
        any_loss,
        "The left side is the engine's field with three terms.",
    ),
    Entry(
        "eq-igr-identity",
        any_loss,
        "The right side differentiates the squared norm; the left multiplies the matrix of second derivatives and the gradient.",
    ),
    Entry(
        "eq-igr-modified-loss",
        modified_loss,
        "The left side integrates the engine's two terms along a ray from a critical point.",
    ),
    Entry(
        "eq-igr-flow-law",
        bilinear_model,
        "The left side is the derivative along the engine's two terms.",
    ),
    Entry(
        "eq-igr-penalty",
        bilinear_model,
        "Gradient and Hessian by differentiation of the bilinear model.",
    ),
    Entry(
        "eq-igr-tilt",
        bilinear_model,
        "The left side integrates the engine's two terms along the ray from the origin, which is a critical point.",
    ),
    Entry(
        "eq-igr-budget",
        budget,
        "The left side integrates the engine's two terms on the penalized loss along a ray from a critical point.",
    ),
    Entry(
        "eq-igr-second",
        any_loss,
        "The left side is the engine's third term.",
    ),
    Entry(
        "eq-igr-split",
        any_loss,
        "The left side is the engine's third term; the scalar is differentiated as a whole.",
    ),
    Entry(
        "eq-igr-curl",
        jacobian_of_third_term,
        "J is the Jacobian of the engine's third term.",
    ),
    Entry(
        "eq-igr-curl-bilinear",
        bilinear_model,
        "The left side differentiates the engine's third term.",
    ),
    Entry(
        "eq-igr-quadratic",
        quadratic_mode,
        "The left side solves for the decay rate that reproduces one step of the algorithm.",
    ),
    Entry(
        "eq-igr-products",
        products,
        "The left side runs the algorithm for one step on a random polynomial of the products.",
        indices={"j": (1, 2)},
    ),
)
