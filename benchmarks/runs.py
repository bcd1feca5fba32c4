"""Runs of Adam with all iterates kept: against torch.optim, optax (jit, scan, vmap) and HIPS autograd; from a cold start; memory.

Everywhere epsilon stands outside the root, as it does in all of these packages.
"""

import tracemalloc
from functools import cache, partial

import numpy as np

import bea
from measure import Missing, agree, compared, facts, fresh, rounds_of, target

START, BETA, RHO, EPSILON = (0.9, 1.5), 0.9, 0.95, 1e-2
EARLY = 200  # steps over which paths are compared: near a sign change of the gradient Adam amplifies round-off


@cache
def loss():
    """Made once, because compiled code belongs to a loss, and when asked for, so that a cold start counts it."""
    return bea.bilinear()


def ours(h, steps, beta=BETA, rho=RHO, **options):
    """A function that runs, like the rivals' with its optimizer made beforehand."""
    return partial(
        bea.run,
        bea.adam(beta, rho, EPSILON, epsilon_inside=False),
        loss(),
        START,
        h,
        steps,
        **options,
    )


def by_optax(h, steps, beta=BETA, rho=RHO):
    """A function that runs, compiled at its first call."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    gradient = jax.grad(lambda theta: 0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2)

    def one(b1, b2):
        method = optax.adam(h, b1=b1, b2=b2, eps=EPSILON)
        start = jax.numpy.array(START)

        def step(carry, _):
            theta, state = carry
            change, state = method.update(gradient(theta), state, theta)
            theta = optax.apply_updates(theta, change)
            return (theta, state), theta

        return jax.lax.scan(step, (start, method.init(start)), None, length=steps)[1]

    compiled = jax.jit(jax.vmap(one, out_axes=1) if np.ndim(beta) else one)
    given = jax.numpy.asarray(beta), jax.numpy.asarray(rho)
    return lambda: compiled(*given).block_until_ready()


def by_torch_optim(h, steps):
    import torch

    torch.set_num_threads(1)
    theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    method = torch.optim.Adam([theta], lr=h, betas=(BETA, RHO), eps=EPSILON)
    path = torch.empty((steps, 2), dtype=torch.float64)
    for n in range(steps):
        method.zero_grad()
        (0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2).backward()
        method.step()
        path[n] = theta.detach()
    return path.numpy()


def by_torch(h, steps, beta, rho):
    """torch.optim has no axis for configurations: its update written out on tensors, the gradient by hand."""
    import torch

    torch.set_num_threads(1)
    with torch.no_grad():
        beta, rho = torch.tensor(beta), torch.tensor(rho)
        theta = torch.tensor(START, dtype=torch.float64)[:, None].repeat(1, len(beta))
        m, v = torch.zeros_like(theta), torch.zeros_like(theta)
        path = torch.empty((steps, *theta.shape), dtype=torch.float64)
        b1, b2, one_less_beta, one_less_rho = (
            torch.ones_like(beta),
            torch.ones_like(rho),
            1 - beta,
            1 - rho,
        )
        for n in range(steps):
            g = -2 * (1.5 - 2 * theta[0] * theta[1]) * theta.flip(0)
            m.mul_(beta).addcmul_(one_less_beta, g)
            v.mul_(rho).addcmul_(g * g, one_less_rho)
            b1 *= beta
            b2 *= rho
            theta = torch.addcdiv(theta, m / (1 - b1), (v / (1 - b2)).sqrt_().add_(EPSILON), value=-h)
            path[n] = theta
        return np.moveaxis(path.numpy(), 1, -1)


def by_autograd(h, steps, beta=None, rho=None):
    """HIPS autograd's own Adam for one configuration; for many its update on arrays."""
    import autograd.numpy as anp
    from autograd import elementwise_grad
    from autograd.misc.optimizers import adam

    gradient = elementwise_grad(lambda theta: 0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2)
    if beta is None:
        path = []
        last = adam(
            lambda theta, n: gradient(theta),
            anp.array(START),
            lambda theta, n, g: path.append(theta),
            steps,
            h,
            BETA,
            RHO,
            EPSILON,
        )
        return np.array([*path[1:], last])
    theta = np.repeat(np.array(START)[:, None], len(beta), axis=1)
    m, v, path = np.zeros_like(theta), np.zeros_like(theta), np.empty((steps, *theta.shape))
    for n in range(steps):
        g = gradient(theta)
        m = (1 - beta) * g + beta * m
        v = (1 - rho) * g**2 + rho * v
        theta = theta - h * (m / (1 - beta ** (n + 1))) / (np.sqrt(v / (1 - rho ** (n + 1))) + EPSILON)
        path[n] = theta
    return np.moveaxis(path, 1, -1)


def by_sympy():
    """Where every run of ours begins: the gradient, and code for it."""
    import sympy as sp

    a, b = sp.symbols("a b")
    value = (sp.Rational(3, 2) - 2 * a * b) ** 2 / 2
    return sp.lambdify([a, b], [sp.diff(value, x) for x in (a, b)], modules="math", cse=True)(*START)


def grid(count):
    """``count`` pairs of decays."""
    rng = np.random.default_rng(0)
    return rng.uniform(0, 0.95, count), rng.uniform(0.5, 0.99, count)


def against(title, makers, mine, rounds, targets, missing, note=""):
    """Build the rivals, compare their paths with ours, then time them."""
    tasks, agreement, path = {"bea": mine}, [], mine()[1:]
    mine()  # what has run before is compiled
    for name, make in makers.items():
        try:
            task = make()
            theirs = np.asarray(task())
        except ImportError as problem:
            missing[name] = str(problem)
            continue
        agreement.append(agree(name, path[:EARLY], theirs[:EARLY], 1e-9))
        tasks[name] = task
    targets = [wanted for wanted in targets if wanted[0] in tasks]
    return compared(
        title,
        "bea",
        rounds_of(tasks, rounds),
        agreement=", ".join(agreement),
        targets=targets,
        note=note,
    )


def of_configurations(count, steps, rounds, missing):
    given = (1e-3, steps, *grid(count))
    return against(f"{count:,} configurations, {steps} steps", {
        "optax, compiled": partial(by_optax, *given), "torch, by hand": lambda: partial(by_torch, *given),
        "autograd": lambda: partial(by_autograd, *given)}, ours(*given), rounds,
        [("optax, compiled", "at least", 1), ("torch, by hand", "at least", 1), ("autograd", "at least", 1)], missing,
        note="Compiling is not counted.")  # fmt: skip


COLD = """
import time
name, count, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import numpy as np
if name == "optax":
    import jax, optax
elif name == "bea":
    import bea
else:
    import sympy
ready = time.process_time()
import runs  # which imports the library for optax, too: not counted
started = time.process_time()
beta, rho = runs.grid(count) if count > 1 else (runs.BETA, runs.RHO)
if name == "optax":
    found = np.asarray(runs.by_optax(1e-3, steps, beta, rho)())[-1].ravel()[::100]
elif name == "bea":
    found = runs.ours(1e-3, steps, beta, rho)()[-1].ravel()[::100]
else:
    found = runs.by_sympy()
ended = time.process_time()
print(*found, ended - started, ended - (started - ready))
"""


def cold(count, steps, missing):
    """Processor time of a whole process, and of what comes after the imports: compiling and one run.

    Besides, that of the least that a loss given to SymPy costs, which bounds what can be had.
    """
    whole, after, agreement = {}, {}, ""
    least = "SymPy alone: the gradient and its code, no run"
    for _ in range(3):
        for name in ("bea", "optax", least):
            try:
                (*found, without), took = fresh(COLD, name, count, steps)
            except Missing as problem:
                missing[name] = str(problem)
                return
            whole.setdefault(name, []).append(took)
            after.setdefault(name, []).append(without)
            if name == "bea":
                ours = found
            elif name == "optax":
                agreement = agree("optax", ours, found, 1e-6)
    of_what = f"{count:,} configurations" if count > 1 else "one trajectory"
    for seconds, title, note in (
        (after, f"From a cold start, after the imports: {of_what}, {steps} steps",
         "Making the loss, compiling and one run, in a fresh process.  llvmlite, where our run takes it, counts with its own import.  No run on a loss of SymPy's can take less than the last row."),
        (whole, f"From a cold start, all told: {of_what}, {steps} steps",
         "The whole process: Python's own start and the imports included, which take most of it: NumPy, SciPy and SymPy here, JAX there."),
    ):  # fmt: skip
        yield compared(
            title,
            "bea",
            seconds,
            agreement=agreement,
            targets=[("optax", "at least", 10)],
            note=note,
        )


def memory():
    """The peak while 1000 configurations run 1000 steps, with what is kept."""
    beta, rho = grid(1000)
    rows, peaks = [], {}
    for every in (1, 10, 100, 1000):
        task = ours(1e-3, 1000, beta, rho, every=every)
        task()
        tracemalloc.start()
        kept = task().nbytes
        peaks[every] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows += [
            (f"every={every}: kept", kept / 1e6, "MB"),
            (f"every={every}: peak of the run", peaks[every] / 1e6, "MB"),
        ]
        share = peaks[every] / (1.2 * kept + 32 * 1000 * 16)
    targets = [target("peak with every=1000 / (1.2 × what is kept + 32 iterates)", share, "at most", 1)]
    return facts(
        "Memory of 1000 configurations over 1000 steps",
        rows,
        targets=targets,
        note="`tests/test_runs.py` holds runs to this bound.",
    )


def measure(rounds):
    missing, one, long = {}, (1e-4, 2000), (1e-6, 300_000)
    optax, torch, autograd = ((name, "at least", 1) for name in ("optax, compiled", "torch.optim", "autograd"))
    results = [
        against("One trajectory, 2000 steps", {
            "optax, compiled": partial(by_optax, *one), "torch.optim": lambda: partial(by_torch_optim, *one),
            "autograd": lambda: partial(by_autograd, *one)}, ours(*one), rounds, [optax, torch, autograd], missing,
            note="Compiling is not counted.  The first run is plain Python here; those after it, which are timed, are machine code."),
        against("One trajectory, 300,000 steps", {"optax, compiled": partial(by_optax, *long)}, ours(*long), rounds, [optax], missing,
                note="Compiling is not counted."),
        of_configurations(256, 2000, rounds, missing),
        of_configurations(10_000, 200, rounds, missing),
        *cold(1, 2000, missing),
        *cold(256, 2000, missing),
        memory(),
    ]  # fmt: skip
    return results, missing
