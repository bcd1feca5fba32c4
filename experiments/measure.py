"""What is measured in one cell of a study: one model, one seed, one configuration of the optimizer.

An optimizer is a `Rule`: functions of the gradient that it averages, decay rates of the averages, and the
direction that it makes of them.  All equations are written once, for every rule.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from experiments.models import MODELS, Array, Model

Result = dict[str, Any]
FLOWS = ("one term", "half a step later", "two terms", "forgotten, one term", "forgotten, two terms")


@dataclass(frozen=True)
class Rule:
    """The step is h direction(averages of parts(gradient)), with bias correction."""

    parts: Callable[[Array], tuple[Array, ...]]
    direction: Callable[[tuple[Array, ...]], Array]
    decays: tuple[float, ...]


def rule(model: Model, name: str, beta: float, rho: float, epsilon: float, inside: bool) -> Rule:
    """Return an optimizer by its name."""
    if name == "adam":
        root = lambda v: jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1)), v)  # noqa: E731  (0 has derivative 0)
        divide = (lambda m, v: m / jnp.sqrt(v + epsilon)) if inside else (lambda m, v: m / (root(v) + epsilon))
        return Rule(lambda g: (g, g * g), lambda a: divide(*a), (beta, rho))

    def polar(a: Array) -> Array:  # the polar factor, with singular values s / sqrt(s^2 + epsilon)
        values, vectors = jnp.linalg.eigh(a.T @ a)
        return a @ (vectors / jnp.sqrt(values + epsilon)) @ vectors.T

    directions = {
        "gradient descent": lambda a: a,
        "sign descent": lambda a: a / jnp.sqrt(a * a + epsilon),
        "muon": lambda a: model.matrices(a, polar),
    }
    return Rule(lambda g: (g,), lambda a: directions[name](a[0]), (beta,))


def rk4(field: Callable[..., Any], z: Any, t: Array, h: float, parts: int = 1) -> Any:
    """Follow z' = field(z, t) over the time h, in one or more steps of Runge and Kutta's method."""
    dt = h / parts

    def stage(carry: Any, given: Any) -> Any:
        (z, slope, total), (t, ahead, weight) = carry, given
        slope = field(jax.tree.map(lambda x, y: x + ahead * dt * y, z, slope), t + ahead * dt)
        return (z, slope, jax.tree.map(lambda x, y: x + weight * dt / 6 * y, total, slope)), None

    def step(z: Any, t: Array) -> Any:
        stages = (jnp.full(4, t), jnp.array([0, 0.5, 0.5, 1]), jnp.array([1.0, 2, 2, 1]))
        return jax.lax.scan(stage, (z, jax.tree.map(jnp.zeros_like, z), z), stages)[0][2], None

    return jax.lax.scan(step, z, t + dt * jnp.arange(parts))[0]


def constant(decay: float, n: Array) -> Array:
    """C(n) = 1 + 2 lag(n) of a bias-corrected average after step n; 1 without memory."""
    if decay == 0:
        return jnp.ones(())
    power = jnp.exp((n + 1) * math.log(decay))
    return (1 + decay) / (1 - decay) - 2 * (n + 1) * power / (1 - power)


class Cell:
    """A loss with its batches, an optimizer, and the equations that claim to follow it."""

    def __init__(
        self, model: str, seed: int, h: float, optimizer: str = "adam", beta: float = 0.9, rho: float = 0.999,
        epsilon: float = 1e-8, inside: bool = False, batch: int = 0,
    ) -> None:  # fmt: skip
        self.key = model, optimizer, beta, rho, epsilon, inside, batch
        self.model, self.h = MODELS[model], h
        self.rule = rule(self.model, optimizer, beta, rho, epsilon, inside)
        self.x, self.y = map(jnp.asarray, self.model.train(seed))
        self.count = len(self.x) // batch if batch else 1
        self.xs, self.ys = (a.reshape(self.count, -1, *a.shape[1:]) for a in (self.x, self.y))
        self.start = jnp.asarray(self.model.start(seed))
        self.rng = np.random.default_rng([seed, batch])

    def full(self, theta: Array) -> Array:
        """The loss of all examples."""
        return self.model.loss(theta, self.x, self.y)

    def slope(self, theta: Array) -> Array:
        return jax.grad(self.full)(theta)

    def product(self, theta: Array, v: Array) -> Array:
        """The Hessian of the loss of all examples, times a vector."""
        return jax.jvp(self.slope, (theta,), (v,))[1]

    def order(self, steps: int) -> Array:
        """The batch of each step: reshuffled in each epoch."""
        epochs = [self.rng.permutation(self.count) for _ in range(-(-steps // self.count))]
        return jnp.asarray(np.concatenate(epochs)[:steps])

    def gradient(self, theta: Array, b: Array) -> Array:
        return jax.grad(self.model.loss)(theta, self.xs[b], self.ys[b])

    def step(self, z: Any, n: Array, b: Array, decays: Any = None) -> Any:
        """One step of the optimizer: z holds the point and the averages; the rule's decay rates, or others."""
        (theta, averages), decays = z, self.rule.decays if decays is None else decays
        seen = self.rule.parts(self.gradient(theta, b))
        averages = tuple(d * a + (1 - d) * x for d, a, x in zip(decays, averages, seen))
        hats = tuple(a / (1 - d ** (n + 1)) for d, a in zip(decays, averages))
        return theta - self.h * self.rule.direction(hats), averages

    def weigh(self, weights: tuple[Array, ...], b: Array) -> tuple[Array, ...]:
        """The weight of each batch in the averages, after one more step."""
        seen = jnp.arange(self.count) == b
        return tuple(d * w + (1 - d) * seen for d, w in zip(self.rule.decays, weights))

    def rest(self) -> Any:
        return self.start, tuple(jnp.zeros_like(a) for a in self.rule.parts(self.start))

    def kept(self, z: Any, t: Array, b: Array) -> Any:
        """The equation that keeps its memory, one term."""
        theta, averages = z
        rates = [-math.log(d) / self.h for d in self.rule.decays]
        seen = self.rule.parts(self.gradient(theta, b))
        hats = tuple(a / (1 - jnp.exp(-k * t)) for k, a in zip(rates, averages))
        return -self.rule.direction(hats), tuple(k * (x - a) for k, a, x in zip(rates, averages, seen))

    def kept_two(self, z: Any, t: Array, b: Array) -> Any:
        """The same with two terms: the increment of a step over h, less half h times the derivative along the first."""
        first = self.kept(z, t, b)
        dot = jax.jvp(lambda z, t: self.kept(z, t, b), (z, t), (first, jnp.ones_like(t)))[1]
        after = self.step(z, t / self.h, b)
        return jax.tree.map(lambda new, old, d: (new - old) / self.h - self.h / 2 * d, after, z, dot)

    def forgotten(self, theta: Array, n: Array, weights: tuple[Array, ...], two: bool) -> Array:
        """The theorem's equation at fixed decays, with one term or two (two: full batch only)."""
        if self.count > 1:
            every = jax.vmap(lambda b: self.gradient(theta, b))(jnp.arange(self.count))
            parts = self.rule.parts(every)
            hats = tuple(w @ a / (1 - d ** (n + 1)) for d, w, a in zip(self.rule.decays, weights, parts))
            return -self.rule.direction(hats)
        seen = lambda theta: self.rule.parts(self.gradient(theta, 0))  # noqa: E731
        if not two:
            return -self.rule.direction(seen(theta))
        u = self.rule.direction(seen(theta))
        parts, dots = jax.jvp(seen, (theta,), (-u,))
        pushed = tuple(constant(d, n) * x for d, x in zip(self.rule.decays, dots))
        return -u + self.h / 2 * jax.jvp(self.rule.direction, (parts,), (pushed,))[1]


COMPILED: dict[Any, Callable[..., Any]] = {}


def compiled(c: Cell, function: Callable[..., Any], *fixed: Any) -> Callable[..., Any]:
    """Return function(c, *fixed, ...), compiled once for all seeds and step sizes: they are arguments."""
    if (key := (c.key, function, fixed)) not in COMPILED:

        def call(given: Any, *rest: Any) -> Any:
            other = copy.copy(c)
            other.x, other.y, other.xs, other.ys, other.h = given
            return function(other, *fixed, *rest)

        COMPILED[key] = jax.jit(call)
    return partial(COMPILED[key], (c.x, c.y, c.xs, c.ys, c.h))


def top(product: Callable[[np.ndarray], Array], size: int) -> float:
    """The largest eigenvalue of a symmetric operator, to a per cent."""
    operator = LinearOperator((size, size), matvec=lambda v: np.asarray(product(v.ravel())), dtype=float)  # type: ignore[call-arg]
    guess = np.random.default_rng(0).normal(size=size)
    return float(eigsh(operator, k=1, which="LA", tol=1e-2, v0=guess, return_eigenvectors=False)[0])


def begun(c: Cell, z: Any, n: Array, b: Array) -> Any:
    """Some steps of a run, and the weights of the batches in its averages."""

    def body(carry: Any, given: Any) -> Any:
        return (c.step(carry[0], *given), c.weigh(carry[1], given[1])), None

    return jax.lax.scan(body, (z, tuple(jnp.zeros(c.count) for _ in c.rule.decays)), (n, b))[0]


def followed(c: Cell, parts: int, carry: Any, *given: Array) -> Any:
    """Some steps of a run and of the five equations beside it."""

    def body(carry: Any, given: Any) -> Any:
        (z, one, half, second, lead, theorem, weights), (n, b, following) = carry, given
        t, h, weights = n * c.h, c.h, c.weigh(weights, b)
        one = rk4(lambda z, t: c.kept(z, t, b), one, t, h, parts)
        half = rk4(lambda z, t: c.kept(z, t, b), half, t + h / 2, h / 2, parts)  # its memory is half a step ahead
        half = rk4(lambda z, t: c.kept(z, t, following), half, t + h, h / 2, parts)
        second = rk4(lambda z, t: c.kept_two(z, t, b), second, t, h, parts)
        lead = rk4(lambda y, _: c.forgotten(y, n, weights, False), lead, t, h, parts)
        if c.count == 1:
            theorem = rk4(lambda y, _: c.forgotten(y, n, weights, True), theorem, t, h, parts)
        return (c.step(z, n, b), one, half, second, lead, theorem, weights), None

    return jax.lax.scan(body, carry, given)[0]


def follow(moments: int = 8, first: int = 20, steps: int = 1000, parts: int = 1, stop: int = 0, **cell: Any) -> Result:
    """Follow a run by five equations; the distance over the path's length from `first` on, at each moment.

    The equations start at the state of the run after `first` steps.  `stop` ends after so many moments.
    """
    c = Cell(**cell)
    n, order, decays = jnp.arange(float(steps)), c.order(steps + 1), c.rule.decays
    z, weights = compiled(c, begun)(c.rest(), n[:first], order[:first])
    seen = c.rule.parts(c.gradient(z[0], order[first]))
    later = z[0], tuple(d**0.5 * a + (1 - d**0.5) * x for d, a, x in zip(decays, z[1], seen))
    begin, carry = z[0], (z, z, later, z, z[0], z[0], weights)
    chunk, hessian, full = compiled(c, followed, parts), compiled(c, Cell.product), compiled(c, Cell.full)
    size = (steps - first) // moments
    errors, losses, edges = np.full((moments, len(FLOWS)), np.nan), np.full(moments, np.nan), np.full(moments, np.nan)
    for k in range(stop or moments):
        part = slice(first + k * size, first + (k + 1) * size)
        carry = chunk(carry, n[part], order[part], order[part.start + 1 : part.stop + 1])
        theta, (_, v) = carry[0]
        way = jnp.linalg.norm(theta - begin)
        points = [carry[1][0], carry[2][0], carry[3][0], carry[4], carry[5] if c.count == 1 else np.nan * theta]
        errors[k] = [jnp.linalg.norm(p - theta) / way for p in points]
        losses[k] = full(theta) / full(c.start)
        scale = (jnp.sqrt(v / (1 - decays[1] ** part.stop)) + cell.get("epsilon", 1e-8)) ** -0.5
        curvature = top(lambda v, y=theta, s=scale: s * hessian(y, s * v), len(theta))
        edges[k] = curvature * c.h * (1 - decays[0]) / (2 + 2 * decays[0])
    return {"error": (["moment", "flow"], errors), "loss": (["moment"], losses), "edge": (["moment"], edges)}


def response(
    model: str, seed: int, h: float, pairs: list[list[float]], epsilon: float = 1e-6, level: float = 0.5,
    dt: float = 2e-3, batch: int = 0, stop: int = 0,
) -> Result:  # fmt: skip
    """How the one-norm at a level answers to (beta, rho), in per cent: by the first correction, and in runs.

    The prediction is an integral along the leading-order flow, with the adjoint for its weight (chapter 14); with
    mini-batches the flow and the correction hold the mean square s of the batch gradients (chapter 13).  A third
    column is then the prediction with constant noise, and all columns are changes from h/2 to h.
    """
    c = Cell(model, seed, h, epsilon=epsilon, inside=True, batch=batch)
    gradient, value = compiled(c, Cell.slope), compiled(c, Cell.full)

    def both(y: Array) -> tuple[Array, Array]:
        each = jax.vmap(lambda b: c.gradient(y, b))(jnp.arange(c.count)) if batch else gradient(y)[None]
        return each.mean(axis=0), (each**2).mean(axis=0)

    def U(y: Array) -> Array:
        g, s = both(y)
        return g / jnp.sqrt(s + epsilon)

    step = jax.jit(lambda y, dt: rk4(lambda y, _: -U(y), y, 0.0, dt))
    path, values = [c.start], [float(value(c.start))]
    goal = level * values[0]
    while values[-1] > goal:
        path.append(step(path[-1], dt))
        values.append(float(value(path[-1])))
    part = math.log(values[-2] / goal) / math.log(values[-2] / values[-1])
    path[-1] = step(path[-2], part * dt)
    times = dt * np.arange(len(path))
    times[-1] -= (1 - part) * dt
    g, u = gradient(path[-1]), U(path[-1])
    of_norm = c.product(path[-1], jnp.sign(g))
    a = of_norm - (of_norm @ u) / (g @ u) * g
    norm = float(jnp.abs(g).sum())

    @jax.jit
    def kernels(y: Array, a: Array) -> Array:
        (g, s), (dg, ds) = jax.jvp(both, (y,), (-U(y),))
        R = jnp.sqrt(s + epsilon)
        return jnp.array([a @ (dg / R), a @ (g * ds / R**3) / 2, a @ (g * g * dg / R**3)])

    @jax.jit
    def back(late: Array, early: Array, a: Array, dt: float) -> Array:
        middle = (early + late) / 2 + dt / 8 * (U(late) - U(early))
        along = lambda y, a: -jax.vjp(U, y)[1](a)[0]  # noqa: E731
        one = along(late, a)
        two = along(middle, a + dt / 2 * one)
        three = along(middle, a + dt / 2 * two)
        return a + dt / 6 * (one + 2 * two + 2 * three + along(early, a + dt * three))

    found = [kernels(path[-1], a)]
    for k in range(len(path) - 2, -1, -1):
        a = back(path[k + 1], path[k], a, times[k + 1] - times[k])
        found.append(kernels(path[k], a))
    kernel, pairs = np.array(found[::-1]), pairs[: stop or None]

    def columns(h: float) -> np.ndarray:
        n = np.maximum(times / h - 0.5, 1e-3)
        push = [[constant(b, n) * kernel[:, 0] - constant(r, n) * kernel[:, k] for b, r in pairs] for k in (1, 2)]
        run = Cell(model, seed, h, epsilon=epsilon, inside=True, batch=batch)
        ends = passing(run, (level,), max(1, round(1e-3 / h)), decays=pairs)[0][0]
        runs = [float(jnp.abs(gradient(end)).sum()) - norm for end in ends[:, 0]]
        return np.array([*(h / 2 * np.trapezoid(p, times) for p in push), runs])[[0, 2, 1] if batch else [0, 2]].T

    rows = columns(h) - columns(h / 2) if batch else columns(h)
    full = np.full((len(pairs), rows.shape[1]), np.nan) if not stop else rows
    full[: len(rows)] = rows
    return {"change": (["pair", "which"], 100 * full / norm)}


def steps_of_all(c: Cell, z: Any, n: Array, b: Array, decays: Array) -> Any:
    """Some steps of runs with several decay rates."""
    move = jax.vmap(c.step, (0, None, None, 0))
    return jax.lax.scan(lambda z, given: (move(z, *given, decays), None), z, (n, b))[0]


def losses_of_all(c: Cell, thetas: Array) -> Array:
    return jax.vmap(c.full)(thetas)


def tests(c: Cell, theta: Array) -> tuple[Array, Array, Array]:
    """Test loss, accuracy, and the fraction of the initial loss."""
    _, _, x, y = c.model.split
    return c.model.loss(theta, x, y), c.model.accuracy(theta, x, y), c.full(theta)


def passing(
    c: Cell, levels: tuple[float, ...], every: int, times: tuple[int, ...] = (), decays: Any = None, limit: int = 400_000
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The states at which runs with several decay rates first pass fractions of the initial loss, and those at times.

    A state is (theta, average of the squares): arrays (levels or times, decay rates, 2, d).  Losses are read at
    multiples of `every` steps and of the number of batches; a level is interpolated in log E.
    """
    decays = jnp.asarray([c.rule.decays] if decays is None else decays)
    every = c.count * max(1, round(every / c.count))
    chunk, value = compiled(c, steps_of_all), compiled(c, losses_of_all)
    z = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(decays), *a.shape)), c.rest())
    state = jax.jit(lambda z, n: jnp.stack([z[0], z[1][-1] / (1 - decays[:, -1:] ** n)], axis=1))
    before, done, at = np.asarray(value(z[0])), 0, []
    goals, found = before[0] * np.array(levels), np.full((len(levels), len(decays), 2, len(c.start)), np.nan)
    while np.isnan(found).any() or len(at) < len(times):
        if done >= limit:
            raise ValueError(f"a loss of {before.max():.3g} does not reach {goals.min(initial=0):.3g} in {limit} steps")
        old, z = z, chunk(z, jnp.arange(float(done), float(done + every)), c.order(every), decays)
        done, E = done + every, np.asarray(value(z[0]))
        for k, i in np.argwhere((E <= goals[:, None]) & np.isnan(found[:, :, 0, 0])):
            part = math.log(before[i] / goals[k]) / math.log(before[i] / E[i])
            found[k, i] = (1 - part) * state(old, max(done - every, 1))[i] + part * state(z, done)[i]
        if len(at) < len(times) and done >= times[len(at)]:
            at.append(np.asarray(state(z, done)))
        before = E
    return found, np.array(at).reshape(len(at), *found.shape[1:])


def norms(
    levels: tuple[float, ...] = (0.5, 0.2, 0.05), times: tuple[int, ...] = (100, 300), every: int = 5,
    pairs: Any = None, stop: int = 0, **cell: Any,
) -> Result:  # fmt: skip
    """The quantities at equal loss (fractions of the initial loss) and at equal time (steps at h = 0.001).

    With `pairs`, of all these decay rates in one cell; without, of the cell's own, and without the last quantity.
    """
    c = Cell(**cell)
    gradient, hessian, tested = (compiled(c, f) for f in (Cell.slope, Cell.product, tests))
    start = float(c.full(c.start))
    scale, epsilon = 1e-3 / c.h, cell.get("epsilon", 1e-8)
    levels, times = (levels[:stop], ()) if stop else (levels, tuple(round(n * scale) for n in times))
    ends, at = passing(c, tuple(levels), max(1, round(every * scale)), times, pairs)

    def row(p: Array, square: Array) -> list[float]:
        g, size = np.asarray(gradient(p)), len(p)
        root = np.sqrt(square + epsilon) if cell.get("inside") else np.sqrt(square) + epsilon
        found: Any = [
            np.abs(g).sum(),
            np.sqrt(g**2 + 1e-8).sum(),
            np.linalg.norm(g),
            top(lambda v: hessian(p, v), size),
        ]
        found += list(np.array(tested(p)) / (1, 1, start))
        return found + ([top(lambda v: hessian(p, v / root**0.5) / root**0.5, size)] if pairs else [])

    table = np.array([[row(*state) for state in place] for place in (*ends, *at)])
    return {"value": (["place", "pair", "quantity"], table) if pairs else (["place", "quantity"], table[:, 0])}


def three(c: Cell, carry: Any, n: Array) -> Any:
    """A run, the leading flow and the corrected one, with the loss and three norms of the gradient after each step."""

    def look(theta: Array) -> Array:
        E, g = jax.value_and_grad(c.full)(theta)
        sizes = [jnp.linalg.svd(a, compute_uv=False).sum() for a in c.model.unravel(g).values() if a.ndim == 2]
        return jnp.array([E, jnp.abs(g).sum(), jnp.linalg.norm(g), sum(sizes)])

    def body(carry: Any, n: Array) -> Any:
        z, lead, both = carry
        lead = rk4(lambda y, _: c.forgotten(y, n, (), False), lead, 0.0, c.h)
        both = rk4(lambda y, _: c.forgotten(y, n, (), True), both, 0.0, c.h)
        z = c.step(z, n, 0)
        return (z, lead, both), jax.vmap(look)(jnp.stack([z[0], lead, both]))

    return jax.lax.scan(body, carry, n)


def law(
    model: str, seed: int, h: float, optimizer: str, beta: float, epsilon: float, time: float, rho: float = 0.999,
    level: float = 0, stop: int = 0,
) -> Result:  # fmt: skip
    """The run at a time, beside the leading flow and the flow with the first correction.

    `ratio` is the component of (run - leading flow) along (corrected - leading), over that length: 1 if the law holds.
    With a level, `norms` holds the one-norm, the two-norm and the nuclear norm of the gradient where the run, the
    leading flow and the corrected one first pass that fraction of the initial loss.
    """
    c = Cell(model, seed, h, optimizer, beta, rho, epsilon, True)
    (z, lead, both), seen = compiled(c, three)((c.rest(), c.start, c.start), jnp.arange(float(round(time / h))))
    moved, told, way = z[0] - lead, both - lead, jnp.linalg.norm(lead - c.start)
    errors = jnp.linalg.norm(moved) / way, jnp.linalg.norm(z[0] - both) / way
    found: Result = {"ratio": float(moved @ told / (told @ told)), "one": float(errors[0]), "two": float(errors[1])}
    if level:
        E, rows = np.asarray(seen[:, :, 0]) / float(c.full(c.start)), []
        if (E[-1] > level).any():
            raise ValueError(
                f"after the time {time:g} the loss is {E[-1].max():.3g} of the initial one, above {level:g}"
            )
        for k, path in zip((E <= level).argmax(axis=0), range(3)):
            part = math.log(E[k - 1, path] / level) / math.log(E[k - 1, path] / E[k, path])
            rows.append((1 - part) * seen[k - 1, path, 1:] + part * seen[k, path, 1:])
        found["norms"] = ["path", "norm"], np.array(rows)
    return found
