"""How fast the library is, beside naive differentiation, optax and PyTorch: medians and ratios from one alternating run, one thread.

    PYTHONPATH=tests python benchmarks/speed.py          (needs the peers: `make peers`; about two minutes)

Before anything is timed the results are compared: a fast wrong answer is not measured.  Rivals alternate, so that a busy moment of
the machine falls on all of them.  Compile times are excluded, and all rivals work in float64 and store all iterates.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", JAX_PLATFORMS="cpu",
                  XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import argparse
import platform
import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np
import sympy as sp
from sympy.core.cache import clear_cache

import bea
import naive

START = (0.9, 1.5)
BETA, RHO, EPSILON = 0.9, 0.95, 1e-2


def alternate(rounds, **tasks):
    """Seconds per call: the median for each task, over rounds in which every task runs once."""
    for task in tasks.values():
        task()
    seconds = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(title, seconds, reference, wanted):
    print(f"\n{title}", flush=True)
    for name, value in seconds.items():
        print(f"  {name:<44}{1e3 * value:12.3f} ms   {value / seconds[reference]:8.2f} x {reference}", flush=True)
    for rival, bound in wanted.items():
        ratio = seconds[rival] / seconds[reference]
        low, high = bound
        met = low <= ratio <= high
        text = f"at least {low:g}" if high == np.inf else f"at most {high:g}"
        print(f"  {'met   ' if met else 'NOT MET'} {rival} / {reference} = {ratio:.2f}, wanted {text}", flush=True)


def engine(rounds):
    loss, optimizer = bea.bilinear(), bea.adam(BETA, RHO, EPSILON)
    gradient = list(loss.gradient_expressions)
    averages = [(lambda g: g, BETA), (lambda g: g * g, RHO)]

    def differentiate():
        clear_cache()
        return naive.modified_terms(gradient, loss.symbols, averages, lambda m, v: m / sp.sqrt(v + EPSILON), 3)

    numbers = np.array([[float(c.subs(dict(zip(loss.symbols, START)))) for c in f] for f in differentiate()])
    three, twelve = bea.modified_equation(optimizer, loss, 3), bea.modified_equation(optimizer, loss, 12)
    np.testing.assert_allclose(three.coefficients(START), numbers, rtol=1e-11)
    np.testing.assert_allclose(twelve.coefficients(START)[:3], numbers, rtol=1e-11)
    report("Adam's modified equation on the bilinear loss: 12 terms at a point against naive differentiation for 3 terms",
           alternate(rounds, library_12_terms=lambda: twelve.coefficients(START), naive_3_terms=differentiate),
           "library_12_terms", {"naive_3_terms": (100, np.inf)})

    points = np.random.default_rng(0).uniform(0.5, 1.5, (10_000, 2))
    np.testing.assert_allclose(three.coefficients(points)[:, 17], three.coefficients(points[17]), rtol=1e-11)
    report("3 terms at 10,000 points against one point",
           alternate(4 * rounds, one_point=lambda: three.coefficients(START), points_10000=lambda: three.coefficients(points)),
           "one_point", {"points_10000": (0, 50)})


def settings(rounds, steps=2000):
    import jax
    import optax
    import torch

    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    grid = np.meshgrid(np.linspace(0.0, 0.95, 16), np.linspace(0.5, 0.99, 16), indexing="ij")
    beta, rho = (axis.ravel().copy() for axis in grid)
    h = 1e-3
    loss, optimizer = bea.bilinear(), bea.adam(beta, rho, EPSILON)

    def library():
        return bea.run(optimizer, loss, START, h, steps)

    def library_arrays():
        """The same without Numba: a run that is never long enough for it."""
        module = sys.modules["bea.flow"]
        bound, module.LONG_RUN = module.LONG_RUN, np.inf
        try:
            return library()
        finally:
            module.LONG_RUN = bound

    value = lambda theta: 0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2  # noqa: E731
    gradient = jax.grad(value)

    def one(b1, b2):
        method = optax.adam(h, b1=b1, b2=b2, eps=0.0, eps_root=EPSILON)
        start = jax.numpy.array(START)

        def step(carry, _):
            theta, state = carry
            change, state = method.update(gradient(theta), state, theta)
            theta = optax.apply_updates(theta, change)
            return (theta, state), theta

        return jax.lax.scan(step, (start, method.init(start)), None, length=steps)[1]

    compiled = jax.jit(jax.vmap(one, out_axes=1))
    jax_beta, jax_rho = jax.numpy.array(beta), jax.numpy.array(rho)

    def peer_optax():
        return compiled(jax_beta, jax_rho).block_until_ready()

    torch_beta, torch_rho = torch.tensor(beta), torch.tensor(rho)

    def peer_torch():
        with torch.no_grad():
            theta = torch.tensor(START, dtype=torch.float64)[:, None].repeat(1, len(beta))
            m, v = torch.zeros_like(theta), torch.zeros_like(theta)
            path = torch.empty((steps + 1, *theta.shape), dtype=torch.float64)
            path[0] = theta
            b1, b2 = torch.ones_like(torch_beta), torch.ones_like(torch_rho)
            one_less_beta, one_less_rho = 1 - torch_beta, 1 - torch_rho
            for n in range(steps):
                residual = (1.5 - 2 * theta[0] * theta[1]) * -2
                g = residual * theta.flip(0)
                m.mul_(torch_beta).addcmul_(one_less_beta, g)
                v.mul_(torch_rho).addcmul_(g * g, one_less_rho)
                b1 *= torch_beta
                b2 *= torch_rho
                theta = torch.addcdiv(theta, m / (1 - b1), (v / (1 - b2)).add_(EPSILON).sqrt_(), value=-h)
                path[n + 1] = theta
            return path

    ours, theirs, by_hand = library(), np.asarray(peer_optax()), peer_torch().numpy()
    # Where the gradient passes through zero the step is sign-like and amplifies round-off; before that all agree.
    early = 200
    np.testing.assert_allclose(ours[1 : early + 1], theirs[:early], rtol=1e-10)
    np.testing.assert_allclose(ours[: early + 1], np.moveaxis(by_hand, 1, -1)[: early + 1], rtol=1e-10)
    print(f"\n(greatest difference over all {steps} steps: optax {abs(ours[1:] - theirs).max():.1e}, "
          f"PyTorch {abs(ours - np.moveaxis(by_hand, 1, -1)).max():.1e})")
    report(f"256 settings x {steps} Adam steps, all iterates stored",
           alternate(rounds, library=library, library_arrays_only=library_arrays, optax_jit_vmap_scan=peer_optax, pytorch_by_hand=peer_torch), "library",
           {"optax_jit_vmap_scan": (1, np.inf), "pytorch_by_hand": (8, np.inf)})


def trajectory(rounds, steps=10_000):
    import torch

    torch.set_num_threads(1)
    loss, optimizer, h = bea.bilinear(), bea.adam(BETA, RHO, EPSILON, epsilon_inside=False), 1e-4

    def peer(automatic, **options):
        def task():
            theta = torch.tensor(START, dtype=torch.float64, requires_grad=True)
            method = torch.optim.Adam([theta], lr=h, betas=(BETA, RHO), eps=EPSILON, **options)
            path = torch.empty((steps + 1, 2), dtype=torch.float64)
            path[0] = theta.detach()
            theta.grad = torch.zeros_like(theta)
            for n in range(steps):
                if automatic:
                    method.zero_grad()
                    (0.5 * (1.5 - 2 * theta[0] * theta[1]) ** 2).backward()
                else:
                    x, y = theta.tolist()
                    residual = -2 * (1.5 - 2 * x * y)
                    theta.grad[0], theta.grad[1] = residual * y, residual * x
                method.step()
                path[n + 1] = theta.detach()
            return path
        return task

    tasks = {"library": lambda: bea.run(optimizer, loss, START, h, steps), "torch.optim.Adam_backward": peer(True),
             "torch.optim.Adam_gradient_by_hand": peer(False), "torch.optim.Adam_fused_gradient_by_hand": peer(False, fused=True)}
    ours = tasks["library"]()
    for name, task in tasks.items():
        if name != "library":
            np.testing.assert_allclose(ours, task().numpy(), rtol=1e-9)
    seconds = alternate(rounds, **tasks)
    report(f"one trajectory of {steps} Adam steps", seconds, "library", {name: (20, np.inf) for name in list(tasks)[1:]})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each rival runs; the median counts")
    rounds = parser.parse_args().rounds
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, SymPy {sp.__version__}, "
          f"{'with' if find_spec('numba') else 'without'} Numba")
    engine(rounds)
    settings(rounds)
    trajectory(max(3, rounds // 2))
