"""Runs of Adam with all iterates kept, for one configuration and many, in few coordinates and many, and on data.

The rivals: optax (scan, vmap), JAX with Adam written by hand and configurations on the last axis, Numba by hand, PyTorch.  Everywhere
epsilon stands outside the root, as it does in all of these packages.
"""

import tracemalloc
from functools import cache, partial

import numpy as np
import sympy as sp

import bea
from measure import LOOP, Missing, agree, compared, facts, fixed_loop, fresh, processor_seconds, race, target

H, BETA, RHO, EPSILON = 1e-3, 0.9, 0.95, 1e-2
EARLY = 100  # steps over which paths are compared: near a sign change of the gradient Adam amplifies round-off
WANTED = [
    (name, "at least", 1) for name in ("optax, compiled", "JAX by hand, compiled", "Numba by hand", "torch.optim")
]
FEATURES = np.random.default_rng(1).normal(size=(100, 30)) / 5
LABELS = np.sign(FEATURES @ np.linspace(-1, 1, 30) + 0.1 * np.random.default_rng(2).normal(size=100))


# --- losses: one text for SymPy, JAX and PyTorch, and gradients by hand for Numba ------------------


def polynomial(x, xp):
    return ((x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2) / 100


def polynomial_gradient(x, g):
    first, second = x[0] * x[0] + x[1] - 11, x[0] + x[1] * x[1] - 7
    g[0], g[1] = (4 * first * x[0] + 2 * second) / 100, (2 * first + 4 * second * x[1]) / 100


def transcendental(x, xp):
    return xp.log(1 + xp.exp(x[0] - x[1])) + xp.exp(xp.cos(x[0]) / 2) + xp.tanh(x[1]) ** 2


def transcendental_gradient(x, g):
    logistic, wave, t = 1 / (1 + np.exp(x[1] - x[0])), np.exp(np.cos(x[0]) / 2), np.tanh(x[1])
    g[0], g[1] = logistic - wave * np.sin(x[0]) / 2, -logistic + 2 * t * (1 - t * t)


def chain(x, xp):
    return sum((x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 / 100 for i in range(len(x) - 1))


def chain_gradient(x, g):
    g[:] = 0.0
    for i in range(len(x) - 1):
        r = x[i + 1] - x[i] * x[i]
        g[i] += -4 * r * x[i] - (1 - x[i]) / 50
        g[i + 1] += 2 * r


def data(x, xp):  # arrays only: our own form is bea.NumericLoss, below
    return xp.log1p(xp.exp(-xp.asarray(LABELS) * (xp.asarray(FEATURES) @ x))).mean(0)


def data_gradient(x, g):
    g[:] = 0.0
    for i in range(len(LABELS)):
        score = 0.0
        for j in range(len(x)):
            score += FEATURES[i, j] * x[j]
        weight = -LABELS[i] / (1 + np.exp(LABELS[i] * score)) / len(LABELS)
        for j in range(len(x)):
            g[j] += weight * FEATURES[i, j]


GRADIENTS = {
    polynomial: polynomial_gradient,
    transcendental: transcendental_gradient,
    chain: chain_gradient,
    data: data_gradient,
}


@cache
def our_loss(loss, d):
    """Made once, because compiled code belongs to a loss, and when asked for, so that a cold start counts it."""
    if loss is data:

        def gradient(x):
            scores = LABELS * (FEATURES @ x).T
            return -FEATURES.T @ (LABELS / (1 + np.exp(scores)) / len(LABELS)).T

        return bea.NumericLoss(d, None, gradient)
    symbols = sp.symbols(f"x:{d}", real=True)
    return bea.Loss(loss(symbols, sp), symbols)


# --- ours and the rivals', as functions that run ---------------------------------------------------


def ours(loss, start, steps, beta=BETA, rho=RHO, **options):
    optimizer = bea.adam(beta, rho, EPSILON, epsilon_inside=False)
    return partial(bea.run, optimizer, our_loss(loss, len(start)), start, H, steps, **options)


def by_optax(loss, start, steps, beta=BETA, rho=RHO):
    import jax
    import optax

    gradient = jax.grad(lambda theta: loss(theta, jax.numpy))

    def one(b1, b2):
        method, theta0 = optax.adam(H, b1=b1, b2=b2, eps=EPSILON), jax.numpy.array(start)

        def step(carry, _):
            theta, state = carry
            change, state = method.update(gradient(theta), state, theta)
            theta = optax.apply_updates(theta, change)
            return (theta, state), theta

        return jax.lax.scan(step, (theta0, method.init(theta0)), None, length=steps)[1]

    compiled = jax.jit(jax.vmap(one, out_axes=1) if np.ndim(beta) else one)
    given = jax.numpy.asarray(beta), jax.numpy.asarray(rho)
    return lambda: compiled(*given).block_until_ready()


def by_jax(loss, start, steps, beta=BETA, rho=RHO):
    import jax
    from jax import numpy as jnp

    gradient = jax.grad(lambda theta: loss(theta, jnp).sum())

    @jax.jit
    def run(beta, rho):
        def step(carry, _):
            theta, m, v, b1, b2 = carry
            g = gradient(theta)
            m, v, b1, b2 = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g, b1 * beta, b2 * rho
            theta = theta - H * (m / (1 - b1)) / (jnp.sqrt(v / (1 - b2)) + EPSILON)
            return (theta, m, v, b1, b2), theta

        theta = jnp.array(start).reshape(-1, *[1] * beta.ndim) + jnp.zeros_like(beta)
        one = jnp.ones_like(beta)
        return jax.lax.scan(step, (theta, 0 * theta, 0 * theta, one, one), None, length=steps)[1]

    given = jnp.asarray(beta), jnp.asarray(rho)
    return lambda: run(*given).block_until_ready()


def by_numba(loss, start, steps, beta=BETA, rho=RHO):
    import numba

    gradient = numba.njit(GRADIENTS[loss])

    @numba.njit(error_model="numpy")
    def run(beta, rho, start, path):
        g = np.empty_like(start)
        for c in range(len(beta)):
            x, m, v, b1, b2 = start.copy(), np.zeros_like(start), np.zeros_like(start), 1.0, 1.0
            for n in range(steps):
                gradient(x, g)
                b1, b2 = b1 * beta[c], b2 * rho[c]
                for i in range(len(x)):
                    m[i] = beta[c] * m[i] + (1 - beta[c]) * g[i]
                    v[i] = rho[c] * v[i] + (1 - rho[c]) * g[i] * g[i]
                    x[i] -= H * (m[i] / (1 - b1)) / (np.sqrt(v[i] / (1 - b2)) + EPSILON)
                    path[n, i, c] = x[i]

    decays, theta0 = (np.atleast_1d(beta), np.atleast_1d(rho)), np.array(start)

    def task():
        path = np.empty((steps, len(start), len(decays[0])))
        run(*decays, theta0, path)
        return np.moveaxis(path, 1, -1) if np.ndim(beta) else path[..., 0]

    return task


def by_torch(loss, start, steps):
    """torch.optim's fused Adam; it has no axis for configurations."""
    import torch

    torch.set_num_threads(1)

    def task():
        theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        method = torch.optim.Adam([theta], lr=H, betas=(BETA, RHO), eps=EPSILON, fused=True)
        path = torch.empty((steps, len(start)), dtype=torch.float64)
        for n in range(steps):
            method.zero_grad()
            loss(theta, torch).backward()
            method.step()
            path[n] = theta.detach()
        return path.numpy()

    return task


# --- rows ------------------------------------------------------------------------------------------


def decays(count):
    """``count`` pairs of decays, or the usual one."""
    rng = np.random.default_rng(0)
    return (rng.uniform(0, 0.95, count), rng.uniform(0.5, 0.99, count)) if count > 1 else ()


def paths(loss, d, count, steps, rounds):
    start = tuple(np.linspace(0.6, 1.4, d).tolist())
    given = (loss, start, steps, *decays(count))
    makers = {
        "bea": lambda: ours(*given),
        "optax, compiled": partial(by_optax, *given),
        "Numba by hand": partial(by_numba, *given),
    }
    if count > 1:
        makers["JAX by hand, compiled"] = lambda: turned(by_jax(*given))
    else:
        makers |= {"JAX by hand, compiled": partial(by_jax, *given), "torch.optim": partial(by_torch, *given)}
    many = f"{count:,} configurations" if count > 1 else "one configuration"
    return race(f"{loss.__name__.capitalize()} loss, {d} coordinates, {many}, {steps:,} steps", "bea", makers, rounds, agreement="",
                tolerance=1e-8, targets=WANTED, part=lambda path: path[len(path) - steps :][:EARLY])  # fmt: skip


def turned(task):
    """The same with the configurations before the coordinates, as the others give them: a view, and no work."""
    return lambda: np.moveaxis(np.asarray(task()), 1, -1)


COLD = """
import time
name, count, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import numpy as np
if "optax" in name:
    import jax, optax
    if "cache" in name:
        jax.config.update("jax_compilation_cache_dir", sys.argv[4])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
else:
    import bea
import runs
began = time.process_time()
given = runs.polynomial, (0.6, 1.4), steps, *runs.decays(count)
found = np.asarray((runs.by_optax if "optax" in name else runs.ours)(*given)())[-1].ravel()[::100]
print(*found, time.process_time() - began)
"""


def cold(count, rounds):
    """From the loss to the path, in a fresh process, imports not counted; optax also with its compiled code on disk."""
    from tempfile import TemporaryDirectory

    seconds, steps, names, agreement, missing = {}, 2000, ["bea", "optax", "optax, its cache filled"], "", {}
    with TemporaryDirectory() as folder:
        for turn in range(4):
            for name in names:
                try:
                    found, took = fresh(COLD, name, count, steps, folder)
                except Missing as problem:
                    missing[name] = str(problem)
                    continue
                if name == "bea":
                    mine = found
                else:
                    agreement = agree("optax", mine, found, 1e-6)
                if turn:  # the first fills the caches, on disk as well
                    seconds.setdefault(name, []).append(took)
            seconds.setdefault(LOOP, []).append(processor_seconds(fixed_loop, 10))
    many = f"{count:,} configurations" if count > 1 else "one configuration"
    return compared(f"From cold: polynomial loss, {many}, {steps:,} steps", "bea", seconds, agreement=agreement, missing=missing,
                    targets=[(name, "at least", 1) for name in names[1:]],
                    note="Making the loss, compiling and one run, in a fresh process; imports are not counted.")  # fmt: skip


def memory(rounds):
    """The peak while 1000 configurations run 1000 steps, with what is kept."""
    rows = []
    for every in (1, 10, 100, 1000):
        task = ours(polynomial, (0.6, 1.4), 1000, *decays(1000), every=every)
        task()
        tracemalloc.start()
        kept = task().nbytes
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows += [(f"every={every}: kept", kept / 1e6, "MB"), (f"every={every}: peak of the run", peak / 1e6, "MB")]
    share = peak / (1.2 * kept + 32 * 1000 * 16)
    targets = [target("peak with every=1000 / (1.2 × what is kept + 32 iterates)", share, "at most", 1)]
    return facts("Memory of 1000 configurations over 1000 steps", rows, targets=targets,
                 note="`tests/test_runs.py` holds runs to this bound.")  # fmt: skip


COUNTS = {1: 2000, 2: 2000, 16: 2000, 49: 2000, 256: 2000, 10_000: 200}
ROWS = {f"{loss.__name__}-{count}": partial(paths, loss, 2, count, steps)
        for loss in (polynomial, transcendental) for count, steps in COUNTS.items()}  # fmt: skip
ROWS |= {f"dimension-{d}": partial(paths, chain, d, 1, 2000) for d in (5, 20, 50, 100)}
ROWS |= {"data": partial(paths, data, 30, 1, 2000), "long": partial(paths, polynomial, 2, 1, 300_000)}
ROWS |= {"cold-1": partial(cold, 1), "cold-256": partial(cold, 256), "memory": memory}
