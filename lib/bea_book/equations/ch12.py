r"""Chapter 12, beyond: third terms, trees, the family of Adam and Lion, curls, and a central flow.

The witnesses: exact terms of the engine on random losses and fields, the characteristic polynomial of a step, and two steps of gradient descent.
"""

import random
from functools import cache

import sympy as sp

from bea.averages import lag
from bea.losses import Loss, VectorField, bilinear
from bea.modified import modified_equation
from bea.optimizers import adam, adamw, gradient_descent, heavy_ball, lion, nadam, nesterov, signum
from bea.trees import elementary_differential, tree_coefficients
from bea_book.equations.instances import polynomial_loss, random_point, ratio
from bea_book.ledger import Entry, h

DOT = ()


def exact_terms(optimizer, loss, at, order):
    """The engine's terms at a point of exact numbers, as SymPy columns."""
    found = modified_equation(optimizer, loss, order).coefficients([at[s] for s in loss.symbols])
    return [sp.Matrix(term) for term in found]


def one_variable(rng):
    """Adam with a small epsilon on a random loss of one variable, where its gradient is positive."""
    loss = polynomial_loss(rng, dimension=1)
    at, (x,) = random_point(rng, loss), loss.symbols
    if sp.diff(loss.expression, x).subs(at) <= 0:
        loss = Loss(9 * x - loss.expression, loss.symbols)
    slope, second, third = (sp.diff(loss.expression, x, k).subs(at) for k in (1, 2, 3))
    if slope <= 0 or second == 0 or third == 0:
        return one_variable(rng)
    beta, rho = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10)
    _, f_1, f_2 = exact_terms(adam(beta, rho, sp.Integer(0)), loss, at, 3)
    return {
        "f_1": f_1[0],
        "f_2": f_2[0],
        r"\ell_\beta": lag(beta),
        r"\ell_\rho": lag(rho),
        "E'": slope,
        "E''": second,
        "E'''": third,
    }


def step_matrix(optimizer, curvature):
    """What one step does to (average, theta) on a mode, from the library's own average and formula."""
    m, theta = sp.symbols("m theta")
    (average,) = optimizer.averages
    new = average.advance(m, average.of(curvature * theta))
    return sp.Matrix([new, theta - h * optimizer.update(new)]).jacobian([m, theta])


def ringing(rng):
    root, curvature, r = ratio(rng, 1, 9, 10), ratio(rng, 8, 13), sp.Symbol("r")
    polynomial = (step_matrix(heavy_ball(root**2), curvature) - r * sp.eye(2)).det()
    double = sp.solve(sp.discriminant(sp.expand(polynomial), r), h)
    return {"h_*": min(double), r"\lambda": curvature, r"\beta": root**2}


def fourth_order(rng):
    x = sp.symbols("x_1 x_2", real=True)
    field = VectorField(tuple(polynomial_loss(rng, degree=3).expression for _ in x), x)
    at = {s: ratio(rng) for s in x}
    beta = ratio(rng, 1, 9, 10)
    f_3 = exact_terms(heavy_ball(beta), field, at, 4)[3]
    trees = {
        "f'f'f'f": (((DOT,),),),
        "f'f''(f,f)": ((DOT, DOT),),
        "f''(f,f'f)": (DOT, (DOT,)),
        "f'''(f,f,f)": (DOT, DOT, DOT),
    }
    column = sp.Matrix(field.components_of_field)
    return {"f_3": f_3, r"\beta": beta} | {
        name: elementary_differential(tree, column, list(x)).subs(at)
        for name, tree in trees.items()
    }


LINEAR = (lambda beta: gradient_descent(), heavy_ball, nesterov)


def matrices(loss, at):
    """The Hessian and its derivative along the gradient."""
    x = loss.symbols
    hessian = sp.hessian(loss.expression, x)
    gradient = [sp.diff(loss.expression, s) for s in x]
    along = sum((hessian.diff(s) * g for s, g in zip(x, gradient)), sp.zeros(len(x)))
    return hessian.subs(at), along.subs(at)


def curl(rng):
    make = LINEAR[rng.randrange(3)]
    optimizer = make(ratio(rng, 1, 9, 10))
    loss = polynomial_loss(rng, degree=3)
    at = random_point(rng, loss)
    J = modified_equation(optimizer, loss, 3).terms[2].jacobian(loss.symbols).subs(at)
    H, M = matrices(loss, at)
    b = tree_coefficients(optimizer, 3)
    c, d = b[((DOT,),)], b[(DOT, DOT)] / 2
    return {"J": J, "H": H, "T": M, "c": c, "d": d, "w": c - 2 * d}


def curls(rng):
    """w of heavy ball and of Nesterov, from the engine on the bilinear model alone."""
    beta = ratio(rng, 1, 9, 10)
    loss = bilinear(ratio(rng), ratio(rng))
    at = {s: ratio(rng, 3 * i + 1, 3 * i + 4) for i, s in enumerate(loss.symbols)}
    H, M = matrices(loss, at)
    found = {r"\beta": beta}
    for name, make in (("w_H", heavy_ball), ("w_N", nesterov)):
        J = modified_equation(make(beta), loss, 3).terms[2].jacobian(loss.symbols).subs(at)
        found[name] = -(J - J.T)[0, 1] / (H * M - M * H)[0, 1]
    return found


def plain_adam(rng):
    loss, epsilon = polynomial_loss(rng, degree=3), ratio(rng)
    at = random_point(rng, loss)
    (f_0,) = modified_equation(
        adam(ratio(rng, 1, 9, 10), ratio(rng, 1, 9, 10), epsilon), loss, 1
    ).terms
    J = f_0.jacobian(loss.symbols).subs(at)
    gradient = sp.Matrix(loss.gradient_expressions).subs(at)
    R = [sp.sqrt(g**2 + epsilon) for g in gradient]
    return {r"\partial_1 f_{0,2}": J[1, 0], r"\partial_2 f_{0,1}": J[0, 1], r"\varepsilon": epsilon, "R_1": R[0], "R_2": R[1],
            r"\partial_{12}E": loss.hessian_expressions[0, 1].subs(at)}  # fmt: skip


def one_of_five(rng, epsilon, decay):
    """An optimizer of the family with exact hyper-parameters, and the lags of its top and bottom."""
    beta, rho = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10)
    return (
        lambda: (adam(beta, rho, epsilon), lag(beta), lag(rho), 0),
        lambda: (adamw(beta, rho, epsilon, decay), lag(beta), lag(rho), decay),
        lambda: (nadam(beta, rho, epsilon), beta * lag(beta), lag(rho), 0),
        lambda: (signum(beta, epsilon), lag(beta), lag(beta), 0),
        lambda: (
            lion(beta, rho, epsilon, decay),
            beta / rho * lag(rho),
            beta / rho * lag(rho),
            decay,
        ),
    )[rng.randrange(5)]()


@cache
def family_at(seed):
    rng = random.Random(seed)
    epsilon, loss = ratio(rng), polynomial_loss(rng, degree=3)
    optimizer, top, bottom, decay = one_of_five(rng, epsilon, ratio(rng))
    at = random_point(rng, loss)
    f_0, f_1 = (term.evalf(50) for term in exact_terms(optimizer, loss, at, 2))
    gradient = sp.Matrix(loss.gradient_expressions).subs(at)
    pushed = loss.hessian_expressions.subs(at) * f_0
    found = {
        r"\varepsilon": epsilon,
        r"\lambda": sp.sympify(decay),
        r"\ell_{\mathrm{top}}": top,
        r"\ell_{\mathrm{bottom}}": bottom,
    }
    for j in (1, 2):
        g = gradient[j - 1]
        found |= {rf"\partial_{j} E": g, f"R_{j}": sp.sqrt(g**2 + epsilon), f"f_{{0,{j}}}": f_0[j - 1], f"f_{{1,{j}}}": f_1[j - 1],
                  f"(Hf_0)_{j}": pushed[j - 1], f"B_{j}": 1 + 2 * top - (1 + 2 * bottom) * g**2 / (g**2 + epsilon)}  # fmt: skip
    return found


def family(rng):
    """With weight decay, so that no factor is idle: AdamW or Lion in both trials."""
    found = {r"\lambda": 0}
    while found[r"\lambda"] == 0:
        found = family_at(rng.randrange(8))
    return found


def lags(rng):
    """From the engine's second term on a parabola with epsilon = 1, at x = 1, where the share of the gradient is 1/2."""
    x = sp.Symbol("x", real=True)
    bowl = Loss(x**2 / 2, (x,))
    beta, low, high, rho = (
        ratio(rng, 1, 4, 10),
        ratio(rng, 1, 4, 10),
        ratio(rng, 6, 9, 10),
        ratio(rng, 6, 9, 10),
    )

    def bracket(optimizer):
        return sp.simplify(
            -2
            * exact_terms(optimizer, bowl, {x: sp.Integer(1)}, 2)[1][0]
            / exact_terms(optimizer, bowl, {x: sp.Integer(1)}, 1)[0][0]
            * -sp.sqrt(2)
        )

    top = (bracket(nadam(beta, rho, sp.Integer(1))) + (1 + 2 * lag(rho)) / 2 - 1) / 2
    both = (2 * bracket(lion(low, high, sp.Integer(1))) - 1) / 2
    return {
        r"\beta": beta,
        r"\beta_1": low,
        r"\beta_2": high,
        r"\ell_{\mathrm{NAdam}}": top,
        r"\ell_{\mathrm{Lion}}": both,
    }


def drift(rng):
    """The difference a - b above the valley, where both derivatives are positive, under AdamW with a small epsilon."""
    c, k, a, b = ratio(rng), ratio(rng, 8, 15), ratio(rng, 11, 19, 10), ratio(rng, 21, 29, 10)
    beta, rho, decay = ratio(rng, 1, 4, 10), ratio(rng, 6, 9, 10), ratio(rng)
    loss = bilinear(c, k)
    f_0, f_1, f_2 = exact_terms(
        adamw(beta, rho, sp.Integer(0), decay), loss, dict(zip(loss.symbols, (a, b))), 3
    )
    motion = f_0 + h * f_1 + h**2 * f_2
    return {"a": a, "b": b, "h": h, r"\delta": a - b, r"\lambda": decay, r"\dot\delta": motion[0] - motion[1],
            r"\ell_{\mathrm{top}}": lag(beta), r"\ell_{\mathrm{bottom}}": lag(rho)}  # fmt: skip


def oscillating(kappa, target):
    """The chapter's loss of two variables, with y* = target sqrt(2 / h)."""
    x, y = sp.symbols("x y", real=True)
    return Loss(
        y**2 * (sp.sqrt(1 + x**2) - 1) + kappa / 2 * (y - target * sp.sqrt(2 / h)) ** 2,
        (x, y),
        (h,),
    )


def two_steps(rng):
    """Two exact steps of gradient descent from the two-cycle of x."""
    kappa, target, eta = ratio(rng), ratio(rng, 12, 15), ratio(rng, 8, 11)
    loss = oscillating(kappa, target)
    x, y = loss.symbols
    place = sp.Symbol("place", positive=True)
    high = eta * sp.sqrt(2 / h)
    turned = sp.simplify(place - h * loss.gradient_expressions[0].subs({x: place, y: high}))
    (cycle,) = sp.solve(turned + place, place)
    theta = sp.Matrix([cycle, high])
    for _ in range(2):
        theta = (
            theta
            - h
            * sp.Matrix(loss.gradient_expressions).subs(dict(zip((x, y), theta)), simultaneous=True)
        ).applyfunc(sp.simplify)
    moved = sp.expand(sp.simplify(theta[1] * sp.sqrt(h / 2)))
    return {
        "x_*": cycle,
        r"\eta": eta,
        r"\eta_*": target,
        r"\kappa": kappa,
        r"\dot\eta": sp.expand((moved - eta) / (2 * h)),
    }


ENTRIES = (
    Entry("eq-beyond-third",
          one_variable, "the engine's exact terms of Adam on a random loss of one variable"),
    Entry("eq-beyond-radius", ringing,
          "the step size at which the characteristic polynomial of the library's step has a double root"),
    Entry("eq-beyond-four", fourth_order,
          "the engine's exact fourth term on a random field"),
    Entry("eq-beyond-curl", curl,
          "the Jacobian of the engine's third term on a random loss; c and d from the trees"),
    Entry("eq-beyond-curl-methods", curls,
          "the curl of the engine's third term on a random bilinear model"),
    Entry("eq-beyond-adam-curl", plain_adam,
          "derivatives of the engine's first term on a random loss"),
    Entry("eq-beyond-family", family,
          "the engine's exact terms of AdamW and Lion on random losses", {"j": (1, 2)}),
    Entry("eq-beyond-lags", lags,
          "the engine's second term on a parabola, solved for the lag"),
    Entry("eq-beyond-imbalance", drift,
          "the engine's three terms of AdamW on a random bilinear model"),
    Entry("eq-beyond-cycle", two_steps, "the point that a step of gradient descent mirrors, solved for"),
    Entry("eq-beyond-central", two_steps,
          "the mean motion over two exact steps of gradient descent"),
)  # fmt: skip
