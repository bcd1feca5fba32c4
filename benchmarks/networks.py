"""Networks: full-batch Adam on scikit-learn's digits (64-32-10), against JAX's scan and PyTorch; modified fields of a network."""

from functools import partial

import numpy as np
from sklearn.datasets import load_digits

import bea
import bea_book
from measure import LOOP, agree, compared, facts, race, rounds_of, target

H, BETA, RHO, EPSILON = 1e-3, 0.9, 0.99, 1e-6
SIXTEEN = np.linspace(0.5, 0.95, 16)
STEPS = 1000

digits = load_digits()
FEATURES, LABELS = digits.data / 16, digits.target
NETWORK = bea_book.Network((64, 32, 10))
LOSS = NETWORK.loss(FEATURES, LABELS)
START = NETWORK.start(np.random.default_rng(0))


def ours(steps, beta=BETA):
    return bea.run(bea.adam(beta, RHO, EPSILON, epsilon_inside=False), LOSS, START, H, steps)[1:]


def layers(theta):
    """[(weights, biases)] from one vector, of JAX or PyTorch."""
    place, found = 0, []
    for inputs, outputs in NETWORK.shapes:
        weights, place = (
            theta[place : place + inputs * outputs].reshape(inputs, outputs),
            place + inputs * outputs,
        )
        found.append((weights, theta[place : place + outputs]))
        place += outputs
    return found


def loss_of_jax():
    import jax

    jax.config.update("jax_enable_x64", True)
    features, labels = jax.numpy.array(FEATURES), jax.numpy.array(LABELS)

    def loss(theta):
        (w1, b1), (w2, b2) = layers(theta)
        scores = jax.numpy.tanh(features @ w1 + b1) @ w2 + b2
        return -jax.nn.log_softmax(scores)[jax.numpy.arange(len(labels)), labels].mean()

    return jax, loss


def by_jax(steps, beta=BETA):
    import optax

    jax, loss = loss_of_jax()
    start = jax.numpy.array(START)

    def one(b1):
        method = optax.adam(H, b1=b1, b2=RHO, eps=EPSILON)

        def step(carry, _):
            theta, state = carry
            change, state = method.update(jax.grad(loss)(theta), state, theta)
            theta = optax.apply_updates(theta, change)
            return (theta, state), theta

        return jax.lax.scan(step, (start, method.init(start)), None, length=steps)[1]

    compiled, given = (
        jax.jit(jax.vmap(one, out_axes=1) if np.ndim(beta) else one),
        jax.numpy.asarray(beta),
    )
    return lambda: compiled(given).block_until_ready()


def by_torch(steps, beta=BETA):
    import torch

    torch.set_num_threads(1)
    features, labels = torch.tensor(FEATURES), torch.tensor(LABELS)

    def one(b1):
        theta = torch.tensor(START, requires_grad=True)
        method = torch.optim.Adam([theta], lr=H, betas=(float(b1), RHO), eps=EPSILON)
        path = torch.empty((steps, len(START)), dtype=torch.float64)
        for n in range(steps):
            method.zero_grad()
            (w1, b1_), (w2, b2_) = layers(theta)
            torch.nn.functional.cross_entropy(torch.tanh(features @ w1 + b1_) @ w2 + b2_, labels).backward()
            method.step()
            path[n] = theta.detach()
        return path.numpy()

    return lambda: one(beta) if np.ndim(beta) == 0 else np.stack([one(b1) for b1 in beta], axis=1)


def against(title, piece, beta, note, rounds):
    """Rivals in turn for ``piece`` steps: where others use a machine, too, its speed changes within seconds."""
    tasks, agreement, missing = {"bea": partial(ours, piece, beta)}, [], {}
    path = ours(20, beta)
    for name, make in {"JAX, compiled": by_jax, "PyTorch": by_torch}.items():
        try:
            agreement.append(agree(name, path, make(20, beta)(), 1e-8))
            tasks[name] = make(piece, beta)
        except ImportError as problem:
            missing[name] = str(problem)
    targets = [("JAX, compiled", "at least", 1), ("PyTorch", "at least", 1)]
    seconds = rounds_of(tasks, 21)
    seconds |= {name: [STEPS / piece * found for found in seconds[name]] for name in seconds if name != LOOP}
    note = f"{note}  Timed in turn, {piece} steps at a time; the times are for {STEPS}.".strip()
    return compared(title, "bea", seconds, agreement=", ".join(agreement), targets=targets, note=note, missing=missing)


def correction(rounds):
    """One Hessian-vector product, which is what the first-order correction of gradient descent needs, against one gradient."""
    direction = LOSS.gradient(START)
    tasks = {
        "bea, gradient": partial(LOSS.gradient, START),
        "bea, Hessian-vector product": partial(LOSS.hessian_vector, START, direction),
    }
    rows, targets, agreement = [], [], ""
    try:
        jax, loss = loss_of_jax()
    except ImportError:
        jax = None
    if jax:
        gradient = jax.jit(jax.grad(loss))
        product = jax.jit(lambda theta, v: jax.jvp(jax.grad(loss), (theta,), (v,))[1])
        point, v = jax.numpy.array(START), jax.numpy.array(direction)
        agreement = agree(
            "JAX's Hessian-vector product",
            LOSS.hessian_vector(START, direction),
            product(point, v),
            1e-9,
        )
        tasks |= {"JAX, gradient": lambda: gradient(point).block_until_ready(),
                  "JAX, Hessian-vector product": lambda: product(point, v).block_until_ready()}  # fmt: skip
    seconds = rounds_of(tasks, 2 * rounds)
    multiples = {}
    for name in ("bea", "JAX")[: 2 if jax else 1]:
        pairs = zip(seconds[f"{name}, Hessian-vector product"], seconds[f"{name}, gradient"])
        multiples[name] = float(np.median([product / gradient for product, gradient in pairs]))
        rows += [(f"{name}: one gradient", 1e3 * float(np.median(seconds[f"{name}, gradient"])), "ms"),
                 (f"{name}: one Hessian-vector product, in gradients", multiples[name], "×")]  # fmt: skip
    targets.append(target("bea: Hessian-vector product / gradient", multiples["bea"], "at most", 3))
    return facts("The first-order correction: one Hessian-vector product", rows, targets=targets,
                 note=f"Agreement: {agreement}." if agreement else "")  # fmt: skip


def field_by_jax(order):
    """Gradient descent's field by hand: nested directional derivatives of the gradient, compiled."""
    jax, loss = loss_of_jax()
    downhill = jax.grad(lambda theta: -loss(theta))

    def along(f):  # the derivative of f in the direction of the flow
        return lambda theta: jax.jvp(f, (theta,), (downhill(theta),))[1]

    def field(theta):
        f, first = downhill(theta), along(downhill)
        total = f - H / 2 * first(theta)
        if (
            order == 3
        ):  # f'f'f / 3 + f''(f, f) / 12, of which the second is what the derivative of f'f has more than f'f'f
            twice = jax.jvp(downhill, (theta,), (first(theta),))[1]
            total += H**2 * (twice / 3 + (along(first)(theta) - twice) / 12)
        return total

    compiled, start = jax.jit(field), jax.numpy.array(START)
    return lambda: compiled(start).block_until_ready()


def field(order, rounds):
    """Gradient descent's modified field of the network: by bea.from_jax, by our own network, by JAX alone."""

    def through_jax():
        _, loss = loss_of_jax()
        return partial(
            bea.modified_equation(bea.gradient_descent(), bea.from_jax(loss, len(START)), order).field(H), START
        )

    def own():
        return partial(bea.modified_equation(bea.gradient_descent(), LOSS, order).field(H), START)

    makers = {"bea, from_jax": through_jax, "JAX by hand, compiled": partial(field_by_jax, order)}
    if order == 2:
        makers["bea, its own network"] = own
    return race(f"Gradient descent's field with {order} terms, digits 64-32-10", "bea, from_jax", makers, rounds, agreement="",
                tolerance=1e-9, targets=[("JAX by hand, compiled", "at least", 1)])  # fmt: skip


ONE, MANY = (
    f"Digits, 64-32-10, full batch: {what}, {STEPS} steps"
    for what in ("one configuration", "sixteen configurations at once")
)
ROWS = {
    "one": partial(against, ONE, 100, BETA, ""),
    "sixteen": partial(against, MANY, 10, SIXTEEN, "PyTorch runs them one after another."),
    "field-2": partial(field, 2), "field-3": partial(field, 3), "product": correction,
}  # fmt: skip
