"""Networks: full-batch Adam on scikit-learn's digits (64-32-10), against JAX's scan and PyTorch; modified fields of a network."""

from functools import partial
from math import factorial

import numpy as np
from sklearn.datasets import load_digits

import bea
import bea_book
import runs
from measure import facts, race, rounds_of, target

H = runs.H
FEATURES, LABELS = load_digits().data / 16, load_digits().target
CHOSEN = np.eye(10)[LABELS]
NETWORK = bea_book.Network((64, 32, 10))
LOSS = NETWORK.loss(FEATURES, LABELS)
START = NETWORK.start(np.random.default_rng(0))


def network(theta, xp):
    """The loss by JAX or PyTorch; coordinates first."""
    theta = xp.moveaxis(theta, 0, -1)
    w1, b1, w2, b2 = (theta[..., a:b] for a, b in ((0, 2048), (2048, 2080), (2080, 2400), (2400, 2410)))
    hidden = xp.tanh(xp.asarray(FEATURES) @ w1.reshape(*w1.shape[:-1], 64, 32) + b1[..., None, :])
    scores = hidden @ w2.reshape(*w2.shape[:-1], 32, 10) + b2[..., None, :]
    return (xp.log(xp.exp(scores).sum(-1)) - (scores * xp.asarray(CHOSEN)).sum(-1)).mean(-1)


def correction(rounds):
    """What the first correction costs, in gradients: a Hessian-vector product, and the field with two terms."""
    equation = bea.modified_equation(bea.gradient_descent(), LOSS, 2)
    tasks = {"one gradient": partial(LOSS.gradient, START), "gradient descent's field with two terms": partial(equation.field(H), START),
             "one Hessian-vector product after a gradient, at the same point": partial(LOSS.hessian_vector, START, LOSS.gradient(START))}  # fmt: skip
    seconds = {name: np.array(times) for name, times in rounds_of(tasks, 4 * rounds).items()}
    unit = seconds["one gradient"]
    multiples = {name: float(np.median(seconds[name] / unit)) for name in tasks if name != "one gradient"}
    return facts("The first correction, digits 64-32-10", [("one gradient", 1e3 * float(np.median(unit)), "ms")] + [(name, x, "gradients") for name, x in multiples.items()],
                 targets=[target(f"{name} / one gradient", x, "at most", 3) for name, x in multiples.items()], note="Each is timed after three calls.")  # fmt: skip


def compiled(field):
    """The compiled function, at the start."""
    import jax

    field, start = jax.jit(field), jax.numpy.array(START)
    return lambda: field(start).block_until_ready()


def field_by_jet(order):
    """Gradient descent's field: the iterates as Taylor polynomials in h, by jet; then the logarithm of the shift, log(1 + D).

    As ours, once it is compiled, it gives the sum of the terms, and is one compiled function.
    """
    import jax
    from jax.experimental.jet import jet

    loss = partial(network, xp=jax.numpy)

    def field(theta):
        lines = [line := [theta] + [0 * theta] * order]  # coefficients of h^0, ..., h^order
        for step in range(order):
            slopes = [jax.grad(loss)(theta)] + [0 * theta] * (order - 1)  # the first point does not depend on h
            if step:
                first, others = jet(jax.grad(loss), (theta,), ([factorial(k) * line[k] for k in range(1, order)],))
                slopes = [first, *(g / factorial(k) for k, g in enumerate(others, 1))]
            lines.append(line := [line[0], *(line[k] - slopes[k - 1] for k in range(1, order + 1))])
        differences, rates = jax.numpy.array(lines), 0
        for k in range(1, order + 1):
            differences = differences[1:] - differences[:-1]
            rates = rates + (-1) ** (k + 1) / k * differences[0]
        return sum(H**k * rates[k + 1] for k in range(order))

    return compiled(field)


def field_by_products(order):
    """Gradient descent's field with two or three terms by hand: g, H g and the derivative of H g along g, by jvp."""
    import jax

    gradient = jax.grad(partial(network, xp=jax.numpy))

    def along(theta):
        return jax.jvp(gradient, (theta,), (gradient(theta),))

    def field(theta):
        (g, hg), (_, change) = jax.jvp(along, (theta,), (gradient(theta),)) if order > 2 else (along(theta), (0, 0))
        hhg = jax.jvp(gradient, (theta,), (hg,))[1] if order > 2 else 0  # change is H H g and the third derivative's
        return -g - H / 2 * hg - H**2 * (hhg / 4 + change / 12)

    return compiled(field)


def field(order, rounds):
    """Gradient descent's modified field of the network: by bea.from_jax, by our own network, by JAX alone."""
    import jax  # here, so that the library's first call does not count it

    def numbers(loss):
        return partial(bea.modified_equation(bea.gradient_descent(), loss, order).field(H), START)

    makers = {"bea, from_jax": lambda: numbers(bea.from_jax(partial(network, xp=jax.numpy), len(START))),
              "JAX's jet, compiled": partial(field_by_jet, order)}  # fmt: skip
    makers |= {"bea, its own network": lambda: numbers(LOSS)} if order == 2 else {}  # its gradient gives no more
    makers |= {"JAX by hand, compiled": partial(field_by_products, order)} if order < 4 else {}
    return race(f"Gradient descent's field with {order} terms, digits 64-32-10", "bea, from_jax", makers, rounds,
                tolerance=1e-9, targets=[(name, "at least", 1) for name in ("JAX's jet, compiled", "JAX by hand, compiled")])  # fmt: skip


DIGITS = "Digits, 64-32-10, full batch"
# Of 16 configurations ours multiplies the matrices of one after another, so that each has the bits that it has alone.  JAX
# multiplies those of all at once, which reads the data less often, and its configurations have other last bits than alone.
ROWS = {"one": lambda rounds: runs.paths(DIGITS, network, START, 100, 2 * rounds + 1, known=LOSS),  # close, so more rounds
    "sixteen": partial(runs.paths, DIGITS, network, START, 20, count=16, known=LOSS),
    **{f"field-{order}": partial(field, order) for order in (2, 3, 5)}, "correction": correction}  # fmt: skip
