"""Runs of Adam with all iterates kept, for one configuration and many, in few coordinates and many, and on data.

The rivals: optax (scan), and Adam by hand in JAX, Numba and PyTorch (compiled steps).  Of several forms of JAX and optax the one
that is fastest in a first trial is timed.  Epsilon is outside the square root throughout, as in all of these packages.
"""

from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sympy as sp

import bea
from measure import ANEW, facts, fastest, from_cold, processor_seconds, race, target

H, BETA, RHO, EPSILON = 1e-3, 0.9, 0.95, 1e-2
UNROLLED = 10  # steps that PyTorch compiles into one function: 40 take 37 s to compile; it divides all numbers of steps
EARLY = 100  # steps over which paths are compared: near a sign change of the gradient Adam amplifies round-off
FEATURES = np.random.default_rng(1).normal(size=(100, 30)) / 5
LABELS = np.sign(FEATURES @ np.linspace(-1, 1, 30) + 0.1 * np.random.default_rng(2).normal(size=100))
SIGNED = LABELS[:, None] * FEATURES


# --- losses: one text for SymPy, JAX and PyTorch, and gradients by hand for Numba ------------------


def polynomial(x, xp):
    return ((x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2) / 100


def polynomial_gradient(x, y):
    first, second = 0.02 * (x * x + y - 11), 0.02 * (x + y * y - 7)
    return 2 * first * x + second, first + 2 * second * y


def transcendental(x, xp):
    return xp.log(1 + xp.exp(x[0] - x[1])) + xp.exp(xp.cos(x[0]) / 2) + xp.tanh(x[1]) ** 2


def transcendental_gradient(x, y):
    logistic, wave, t = 1 / (1 + np.exp(y - x)), np.exp(np.cos(x) / 2), np.tanh(y)
    return logistic - wave * np.sin(x) / 2, -logistic + 2 * t * (1 - t * t)


def chain(x, xp):
    return ((x[1:] - x[:-1] ** 2) ** 2).sum(0) + ((1 - x[:-1]) ** 2).sum(0) / 100


def chain_gradient(x, g):
    g[0] = -4 * (x[1] - x[0] * x[0]) * x[0] - (1 - x[0]) / 50
    for i in range(1, len(x) - 1):
        g[i] = 2 * (x[i] - x[i - 1] * x[i - 1]) - 4 * (x[i + 1] - x[i] * x[i]) * x[i] - (1 - x[i]) / 50
    g[-1] = 2 * (x[-1] - x[-2] * x[-2])


def data(x, xp):
    return xp.log1p(xp.exp(-xp.asarray(LABELS) * (xp.asarray(FEATURES) @ x))).mean(0)


def data_gradient(x, g):
    s = SIGNED @ x
    for k in range(len(s)):
        s[k] = -1 / (1 + np.exp(s[k])) / len(s)
    g[:] = s @ SIGNED


GRADIENTS = {polynomial: polynomial_gradient, transcendental: transcendental_gradient, chain: chain_gradient, data: data_gradient}  # fmt: skip


def by_hand(loss, x, xp):
    """The gradient on arrays, for NumPy and JAX."""
    if loss is polynomial:
        return xp.stack(polynomial_gradient(*x))
    if loss is data:
        return xp.asarray(SIGNED.T) @ (-1 / (1 + xp.exp(xp.asarray(SIGNED) @ x)) / len(SIGNED))
    r = x[1:] - x[:-1] ** 2
    left, right = -4 * r * x[:-1] - (1 - x[:-1]) / 50, 2 * r
    return xp.concatenate([left[:1], left[1:] + right[:-1], right[-1:]])


@cache
def our_loss(loss, d):
    """Made once, because compiled code belongs to a loss, and when asked for, so that a cold start counts it."""
    if loss is data or d > 100:
        return bea.NumericLoss(d, None, partial(by_hand, loss, xp=np))
    symbols = sp.symbols(f"x:{d}", real=True)
    return bea.Loss(loss(np.array(symbols), sp), symbols)


# --- ours and the rivals', as functions that run ---------------------------------------------------


def by_bea(loss, start, steps, beta=BETA, rho=RHO, known=None, **options):
    """``known``: the library's loss, where it is not made from ``loss``."""
    known = known or our_loss(loss, len(start))
    return partial(bea.run, bea.adam(beta, rho, EPSILON, epsilon_inside=False), known, start, H, steps, **options)


def anew(loss, start, steps):
    betas = iter(BETA + 1e-12 * np.random.default_rng(0).random(10**6))
    return lambda: by_bea(loss, start, steps, next(betas))()


def adam_by_hand(theta, beta, rho, xp, each=lambda change, *of: change(*of)):
    """What a loop carries, and the update, for JAX and PyTorch; ``each`` applies a change to arrays or to each of a tuple."""

    def update(g, carry):
        theta, m, v, b1, b2 = carry
        b1, b2 = b1 * beta, b2 * rho
        m = each(lambda m, g: beta * m + (1 - beta) * g, m, g)
        v = each(lambda v, g: rho * v + (1 - rho) * g * g, v, g)
        theta = each(lambda x, m, v: x - H / (1 - b1) * m / (xp.sqrt(1 / (1 - b2) * v) + EPSILON), theta, m, v)
        return theta, m, v, b1, b2

    m, v = each(xp.zeros_like, theta), each(xp.zeros_like, theta)
    return (theta, m, v, xp.ones_like(beta), xp.ones_like(rho)), update


def adam_of_optax(theta, beta, rho, xp, each):
    import optax

    method = optax.adam(H, b1=beta, b2=rho, eps=EPSILON)

    def update(g, carry):
        change, state = method.update(g, carry[1], carry[0])
        return optax.apply_updates(carry[0], change), state

    return (theta, method.init(theta)), update


def by_jax(loss, start, steps, beta=BETA, rho=RHO, adam=adam_by_hand, choose=fastest):
    """Several configurations are on the last axis, or run one after another; forms that cannot win are left out."""
    import jax

    decays, size = (jax.numpy.asarray(beta), jax.numpy.asarray(rho)), np.size(beta) * len(start)

    def run(state, gradient, unroll, beta, rho):
        def step(carry, _):
            carry = update(gradient(carry[0]), carry)
            return carry, jax.numpy.asarray(carry[0])

        theta = state(jax.numpy.array(start).reshape(-1, *[1] * beta.ndim) + jax.numpy.zeros_like(beta))
        first, update = adam(theta, beta, rho, jax.numpy, jax.tree.map)
        return jax.lax.scan(step, first, None, length=steps, unroll=unroll)[1]

    def form(axes, *given, one_by_one=False):
        one_run = partial(run, *given)
        compiled = jax.jit((lambda *decays: jax.lax.map(lambda one: one_run(*one), decays)) if one_by_one else one_run)
        return lambda: np.asarray(compiled(*decays)).transpose(axes)

    def forms():
        together, axes = (", all at once", (0, 2, 1)) if np.ndim(beta) else ("", (0, 1))
        for by, given in gradients.items():
            yield by + together, form(axes, *given, 1)
            if np.ndim(beta):
                yield by + ", one after another", form((1, 0, 2), *given, 1, one_by_one=True)
        by = "gradient by hand" if "gradient by hand" in gradients else "jax.grad"
        for unroll in (2, 4) if loss in GRADIENTS and 20 <= size < 20_000 else ():  # others are slower or no faster so
            yield f"{by}{together}, {unroll} steps at a time", form(axes, *gradients[by], unroll)

    gradients = {"jax.grad": (jax.numpy.asarray, jax.grad(lambda theta: loss(theta, jax.numpy).sum()))}
    gradients |= {"gradient by hand": (jax.numpy.asarray, partial(by_hand, loss, xp=jax.numpy))} if loss in (polynomial, chain, data) else {}  # fmt: skip
    gradients |= {"gradient by hand, tuple as state": (tuple, lambda theta: polynomial_gradient(*theta))} if loss is polynomial else {}  # fmt: skip
    return choose(forms())


by_optax = partial(by_jax, adam=adam_of_optax)


def by_numba(loss, start, steps, beta=BETA, rho=RHO):
    import numba

    compiled, theta0 = numba.njit(error_model="numpy"), np.array(start)
    slopes = compiled(GRADIENTS[loss])

    @compiled
    def flushed(p):  # as ours: smaller numbers are slow
        return p if p > 1e-290 else 0.0

    @compiled
    def moved(x, m, v, g, beta, rho, c1, c2):  # with the bias corrections as factors, since divisions are slow
        m, v = beta * m + (1 - beta) * g, rho * v + (1 - rho) * g * g
        return x - c1 * m / (np.sqrt(c2 * v) + EPSILON), m, v

    @compiled
    def in_two(beta, rho, start, path):
        x, y, m, k, v, w, b1, b2 = start[0], start[1], 0.0, 0.0, 0.0, 0.0, 1.0, 1.0
        for n in range(steps):
            g, s = slopes(x, y)
            b1, b2 = flushed(b1 * beta), flushed(b2 * rho)
            c1, c2 = H / (1 - b1), 1 / (1 - b2)
            x, m, v = moved(x, m, v, g, beta, rho, c1, c2)
            y, k, w = moved(y, k, w, s, beta, rho, c1, c2)
            path[n, 0], path[n, 1] = x, y

    @compiled
    def run(beta, rho, start, path):
        g, x, m, v, b1, b2 = np.empty_like(start), start.copy(), np.zeros_like(start), np.zeros_like(start), 1.0, 1.0
        for n in range(steps):
            slopes(x, g)
            b1, b2 = flushed(b1 * beta), flushed(b2 * rho)
            c1, c2 = H / (1 - b1), 1 / (1 - b2)
            for i in range(len(x)):
                x[i], m[i], v[i] = moved(x[i], m[i], v[i], g[i], beta, rho, c1, c2)
                path[n, i] = x[i]

    @compiled
    def side_by_side(beta, rho, start, path):  # in blocks that stay in the cache, so that LLVM makes vectors of them
        for first in range(0, len(beta), 512):
            b, r = beta[first : first + 512], rho[first : first + 512]
            # Three arrays: of one that is cut in three LLVM makes no vectors.
            g, m, v = np.zeros((2, len(b))), np.zeros((2, len(b))), np.zeros((2, len(b)))
            b1, b2, c1, c2 = np.ones(len(b)), np.ones(len(b)), np.ones(len(b)), np.ones(len(b))
            x = g + start.reshape(2, 1)
            for n in range(steps):
                for c in range(len(b)):
                    g[0, c], g[1, c] = slopes(x[0, c], x[1, c])
                    b1[c], b2[c] = flushed(b1[c] * b[c]), flushed(b2[c] * r[c])
                    c1[c], c2[c] = H / (1 - b1[c]), 1 / (1 - b2[c])
                for i in range(2):
                    for c in range(len(b)):
                        x[i, c], m[i, c], v[i, c] = moved(x[i, c], m[i, c], v[i, c], g[i, c], b[c], r[c], c1[c], c2[c])
                        path[n, i, first + c] = x[i, c]

    def task():
        path = np.empty((steps, len(start), *np.shape(beta)))
        (side_by_side if np.ndim(beta) else in_two if len(start) == 2 else run)(beta, rho, theta0, path)
        return np.moveaxis(path, 1, -1) if np.ndim(beta) else path

    return task


def by_torch(loss, start, steps, beta=BETA, rho=RHO):
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    torch.set_flush_denormal(True)
    b, r = torch.as_tensor(beta, dtype=torch.float64), torch.as_tensor(rho, dtype=torch.float64)
    gradient = torch.func.grad(lambda theta: loss(theta, torch).sum())
    theta = torch.tensor(start, dtype=b.dtype).reshape(-1, *[1] * b.ndim) + torch.zeros_like(b)
    first, update = adam_by_hand(theta, b, r, torch)

    def several(*carry):
        found = []
        for _ in range(UNROLLED):
            carry = update(gradient(carry[0]), carry)
            found.append(carry[0])
        return torch.stack(found), *carry

    @torch.inference_mode()
    def task():
        values, path = first, np.empty((steps, *theta.shape))
        for n in range(0, steps, UNROLLED):
            found, *values = compiled(*values)
            path[n : n + UNROLLED] = found.numpy()
        return np.moveaxis(path, 1, -1) if b.ndim else path

    compiled, task.about = torch.compile(make_fx(several)(*first)), f"{UNROLLED} steps at a time"
    return task


# --- rows ------------------------------------------------------------------------------------------


def decays(count):
    """``count`` pairs of decays, or the usual one."""
    rng = np.random.default_rng(0)
    return (rng.uniform(0, 0.95, count), rng.uniform(0.5, 0.99, count)) if count > 1 else ()


COLD_START = lambda count: (polynomial, (0.6, 1.4), 2000, *decays(count))  # noqa: E731
MAKERS = {"bea": by_bea, "optax": by_optax, "JAX by hand": by_jax, "PyTorch, compiled": by_torch, "Numba by hand": by_numba}  # fmt: skip


def paths(title, loss, start, steps, rounds, *, count=1, known=None):
    # PyTorch would take minutes for more steps.
    absent = ["PyTorch, compiled"] * (steps > 10_000) + ["Numba by hand"] * (loss not in GRADIENTS)
    makers = {name: make for name, make in MAKERS.items() if name not in absent} | {"bea": partial(by_bea, known=known)}
    makers |= {"bea, vector functions": partial(by_bea, vector_functions=True)} if loss in (transcendental, data) else {}  # fmt: skip
    makers |= {ANEW: anew} if loss is polynomial and count == 1 else {}
    tasks = {name: partial(make, loss, start, steps, *decays(count)) for name, make in makers.items()}
    many = f"{count:,} configurations" if count > 1 else "one configuration"
    return race(f"{title}, {many}, {steps:,} steps", "bea", tasks, rounds, tolerance=1e-8,
                targets=[(name, "at least", 1) for name in makers if not name.startswith("bea")],
                part=lambda path: path[len(path) - steps :][:EARLY])  # fmt: skip


def small(loss, d, steps, rounds, count=1):
    start = tuple(np.linspace(0.6, 1.4, d).tolist())
    return paths(f"{loss.__name__.capitalize()} loss, {d:,} coordinates", loss, start, steps, rounds, count=count)


def cold(count, rounds):
    many, ways = (f"{count:,} configurations", (", all at once", ", one after another")) if count > 1 else ("one configuration", ("",))  # fmt: skip
    turns = {"bea": rounds} | {f"optax (jax.grad{way}){cache}": rounds for cache in ("", ", warm compilation cache") for way in ways}  # fmt: skip
    turns |= {f"JAX by hand (jax.grad{way})": 1 for way in ways} | {"Numba by hand": 1}
    return from_cold(f"From cold: polynomial loss, {many}, 2,000 steps", "runs", count, turns, rounds, tolerance=1e-6, unseen=1,
                     note="Making the loss, compiling and one run, in a fresh process; imports are not counted.")  # fmt: skip


def square(a):
    return a * a


def sweep(_):
    """What a sweep costs besides the work: 10,000 tasks of no work at all, stored in a folder, and then reloaded; timed once."""
    from bea_book import sweep

    with TemporaryDirectory() as folder:
        task = partial(sweep, square, {"a": np.arange(10_000.0)}, folder=folder, progress=False)
        first, again = (processor_seconds(task) / 10 for _ in range(2))
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
    return facts("Overhead of a sweep: 10,000 empty tasks, results stored in a folder", note="Each is timed once.",
                 rows=[("stored, per task", first, "ms"), ("reloaded, per task", again, "ms"), ("files", files, "")],
                 targets=[target("milliseconds a task", first, "at most", 1)])  # fmt: skip


COUNTS = {1: 2000, 2: 2000, 16: 2000, 49: 2000, 256: 2000, 10_000: 200}
ROWS = {f"{loss.__name__}-{count}": partial(small, loss, 2, steps, count=count)
        for loss in (polynomial, transcendental) for count, steps in COUNTS.items()}  # fmt: skip
ROWS |= {f"dimension-{d}": partial(small, chain, d, min(2000, 2_000_000 // d)) for d in (5, 20, 100, 1000, 100_000)}
ROWS |= {"data": partial(small, data, 30, 2000), "long": partial(small, polynomial, 2, 300_000)}
ROWS |= {"cold-1": partial(cold, 1), "cold-256": partial(cold, 256), "sweep": sweep}
