"""Networks: full-batch Adam on scikit-learn's digits (64-32-10), against JAX's scan and PyTorch; the price of the correction."""

from functools import partial

import numpy as np
from sklearn.datasets import load_digits

import bea
from measure import agree, compared, facts, rounds_of, target

H, BETA, RHO, EPSILON = 1e-3, 0.9, 0.99, 1e-6
SIXTEEN = np.linspace(0.5, 0.95, 16)
LONG, SHORT = 1000, 40  # steps; sixteen settings take most of a minute for 1000

digits = load_digits()
FEATURES, LABELS = digits.data / 16, digits.target
NETWORK = bea.Network((64, 32, 10))
LOSS = NETWORK.loss(FEATURES, LABELS)
START = NETWORK.start(np.random.default_rng(0))


def ours(steps, beta=BETA):
    return bea.run(bea.adam(beta, RHO, EPSILON, epsilon_inside=False), LOSS, START, H, steps)[1:]


def layers(theta):
    """[(weights, biases)] from one vector, of JAX or PyTorch."""
    place, found = 0, []
    for inputs, outputs in NETWORK.shapes:
        weights, place = theta[place : place + inputs * outputs].reshape(inputs, outputs), place + inputs * outputs
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

    compiled, given = jax.jit(jax.vmap(one, out_axes=1) if np.ndim(beta) else one), jax.numpy.asarray(beta)
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


def against(title, steps, beta, rounds, targets, missing, note=""):
    tasks, agreement = {"bea": partial(ours, steps, beta)}, []
    path = ours(20, beta)
    for name, make in {"JAX, compiled": by_jax, "PyTorch": by_torch}.items():
        try:
            agreement.append(agree(name, path, make(20, beta)(), 1e-8))
            tasks[name] = make(steps, beta)
        except ImportError as problem:
            missing[name] = str(problem)
    targets = [wanted for wanted in targets if wanted[0] in tasks]
    return compared(title, "bea", rounds_of(tasks, rounds), agreement=", ".join(agreement), targets=targets, note=note)


def correction(rounds):
    """One Hessian-vector product, which is what the first-order correction of gradient descent needs, against one gradient."""
    direction = LOSS.gradient(START)
    tasks = {"bea, gradient": partial(LOSS.gradient, START), "bea, Hessian-vector product": partial(LOSS.hessian_vector, START, direction)}
    rows, targets, agreement = [], [], ""
    try:
        jax, loss = loss_of_jax()
    except ImportError:
        jax = None
    if jax:
        gradient = jax.jit(jax.grad(loss))
        product = jax.jit(lambda theta, v: jax.jvp(jax.grad(loss), (theta,), (v,))[1])
        point, v = jax.numpy.array(START), jax.numpy.array(direction)
        agreement = agree("JAX's Hessian-vector product", LOSS.hessian_vector(START, direction), product(point, v), 1e-9)
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


def measure(rounds):
    missing = {}
    even = [("JAX, compiled", "at least", 1), ("PyTorch", "at least", 1)]
    results = [
        against(f"Digits, 64-32-10, full batch: one setting, {LONG} steps", LONG, BETA, 2, even, missing),
        against(f"Digits, 64-32-10, full batch: sixteen settings at once, {SHORT} steps", SHORT, SIXTEEN, 3, even, missing,
                note="PyTorch runs them one after another.  Time is proportional to steps: 1000 would only take longer."),
    ]  # fmt: skip
    seconds = rounds_of({"one": partial(ours, SHORT), "sixteen": partial(ours, SHORT, SIXTEEN)}, 3)
    ratio = float(np.median([many / one for many, one in zip(seconds["sixteen"], seconds["one"])]))
    rows = [("bea: sixteen settings, in units of one", ratio, "×")]
    results.append(facts("Sixteen settings at once against one", rows, targets=[target("bea: sixteen / one", ratio, "at most", 10)],
                         note="The arithmetic is sixteenfold; only what is done once for all settings can be saved."))  # fmt: skip
    return [*results, correction(rounds)], missing
