r"""The labelled equations of chapter 3, implicit gradient regularization.

Modified losses are found from the engine's field by integrating it along the ray from a critical point at the origin, where
every modified loss agrees with the loss itself.
"""

import sympy as sp

from bea.losses import Loss, bilinear, quadratic
from bea.modified import modified_equation
from bea.optimizers import gradient_descent
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h


def engine_terms(loss, order):
    return modified_equation(gradient_descent(), loss, order).terms


def potential(field, loss, at):
    """The loss at the origin plus the work done against ``field`` from there, along the ray, to the point ``at``."""
    s = sp.Symbol("s")
    on_ray = {symbol: s * value for symbol, value in at.items()}
    work = sum(field[i].subs(on_ray) * at[symbol] for i, symbol in enumerate(loss.symbols))
    origin = dict.fromkeys(loss.symbols, 0)
    return loss.expression.subs(origin) - sp.integrate(sp.expand(work), (s, 0, 1))


def calculus(loss, at):
    """Values at a point, each by differentiating the loss or the named scalar."""
    x = loss.symbols
    gradient = sp.Matrix([sp.diff(loss.expression, s) for s in x])
    hessian = sp.hessian(loss.expression, x)
    third = sp.Matrix(
        len(x),
        len(x),
        lambda i, j: sum(
            sp.diff(loss.expression, x[i], x[j], x[k]) * gradient[k] for k in range(len(x))
        ),
    )
    squared = gradient.dot(gradient)
    curvature = (gradient.T * hessian * gradient)[0]
    return {
        name: value.subs(at)
        for name, value in {
            "E": loss.expression,
            r"\nabla E": gradient,
            "H": hessian,
            "T": third,
            r"\nabla\lVert\nabla E\rVert^2": sp.Matrix([sp.diff(squared, s) for s in x]),
            r"\nabla^3 E[\nabla E,\nabla E]": third * gradient,
            r"\nabla(\nabla E^\top H\nabla E)": sp.Matrix([sp.diff(curvature, s) for s in x]),
        }.items()
    }


def any_loss(rng):
    """A random polynomial loss at a random point: its derivatives, and the engine's terms there."""
    loss = polynomial_loss(rng)
    at = random_point(rng, loss)
    terms = [
        sp.Matrix(f)
        for f in modified_equation(gradient_descent(), loss, 3).coefficients(list(at.values()))
    ]
    field = sum((h**i * term for i, term in enumerate(terms)), sp.zeros(2, 1))
    return {**calculus(loss, at), "h": h, r"\dot\theta": field, "f_2": terms[2]}


def jacobian_of_third_term(rng):
    loss = polynomial_loss(rng)
    at = random_point(rng, loss)
    return {**calculus(loss, at), "J": engine_terms(loss, 3)[2].jacobian(loss.symbols).subs(at)}


def loss_with_critical_origin(rng):
    loss = polynomial_loss(rng, degree=3)
    origin = dict.fromkeys(loss.symbols, 0)
    linear = sum(sp.diff(loss.expression, s).subs(origin) * s for s in loss.symbols)
    return Loss(loss.expression - linear, loss.symbols)


def modified_loss(rng):
    loss = loss_with_critical_origin(rng)
    at = random_point(rng, loss)
    terms = engine_terms(loss, 2)
    return {**calculus(loss, at), "h": h, r"\tilde E": potential(terms[0] + h * terms[1], loss, at)}


def budget(rng):
    """Gradient descent on a penalized loss, the penalty's weight a multiple of h."""
    loss, mu = loss_with_critical_origin(rng), ratio(rng) * h
    at = random_point(rng, loss)
    gradient = sp.Matrix(loss.gradient_expressions)
    penalized = Loss(sp.expand(loss.expression + mu * gradient.dot(gradient)), loss.symbols, (h,))
    terms = engine_terms(penalized, 2)
    return {
        **calculus(loss, at),
        "h": h,
        r"\mu": mu,
        r"\tilde E": sp.expand(potential(terms[0] + h * terms[1], penalized, at)),
    }


def bilinear_model(rng):
    """The bilinear model with random c and k at a random point: one step of the algorithm, and the engine's terms."""
    c, k = ratio(rng), ratio(rng)
    loss = bilinear(c, k)
    at = random_point(rng, loss)
    a, b = loss.symbols
    step = [
        (s - h * gradient_descent().update(g)).subs(at)
        for s, g in zip(loss.symbols, loss.gradient_expressions)
    ]
    f_0, f_1, f_2 = engine_terms(loss, 3)
    derivative_along_flow = (sp.Matrix([a**2 - b**2]).jacobian([a, b]) * (f_0 + h * f_1))[0]
    values = calculus(loss, at)
    gradient, hessian = sp.Matrix(loss.gradient_expressions), loss.hessian_expressions
    origin_value = potential(
        f_0 + h * f_1, loss, at
    )  # the origin is a critical point of the bilinear model
    return {
        **values,
        "a": at[a],
        "b": at[b],
        "k": k,
        "h": h,
        "r": (c - k * a * b).subs(at),
        "a'": step[0],
        "b'": step[1],
        r"\frac{d}{dt}(a^2-b^2)": derivative_along_flow.subs(at),
        r"\operatorname{tr}H": hessian.trace().subs(at),
        r"\nabla E": gradient.subs(at),
        r"\tilde E": origin_value,
        r"\frac{\partial f_{2,a}}{\partial b}": sp.diff(f_2[0], b).subs(at),
        r"\frac{\partial f_{2,b}}{\partial a}": sp.diff(f_2[1], a).subs(at),
    }


def quadratic_mode(rng):
    """The rate x of decay for which the flow over a time h multiplies by 1 - h lambda, as one step does."""
    curvature = ratio(rng)
    loss = quadratic([curvature])
    at = random_point(rng, loss)
    theta, rate = at[loss.symbols[0]], sp.Symbol("x")
    factor = theta - h * gradient_descent().update(loss.gradient_expressions[0].subs(at))
    exact = sp.solve(sp.exp(-rate * h) - factor / theta, rate)[0]
    return {"h": h, r"\lambda": curvature, r"\theta": theta, r"\tilde E": exact * theta**2 / 2}


def products(rng):
    """A random polynomial of the products w_j = u_j v_j: one step of the algorithm on (u, v), and the slopes in w."""
    w = polynomial_loss(rng, degree=3)
    symbols = sp.symbols("u_1 u_2 v_1 v_2", real=True)
    u, v = symbols[:2], symbols[2:]
    to_products = {w.symbols[j]: u[j] * v[j] for j in range(2)}
    loss = Loss(w.expression.subs(to_products), symbols)
    at = random_point(rng, loss)
    values = {"h": h}
    for j in range(2):
        values[f"s_{j + 1}"] = w.gradient_expressions[j].subs(to_products).subs(at)
    for symbol, slope in zip(symbols, loss.gradient_expressions):
        values[symbol.name] = at[symbol]
        values[f"{symbol.name}'"] = at[symbol] - h * gradient_descent().update(slope.subs(at))
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
        "eq-igr-exact-law",
        bilinear_model,
        "The left side runs the algorithm for one step on exact numbers.",
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
