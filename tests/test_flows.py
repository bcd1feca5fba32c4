"""Runs and flows: all paths of the code agree, flows are exact solutions, and what leaves the finite numbers says where."""

import sys
import tracemalloc

import numpy as np
import pytest
import sympy as sp

import bea

COMPILED_MODULE = sys.modules["bea.compiled"]

OPTIMIZERS = {
    "gradient_descent": (bea.gradient_descent, {}),
    "heavy_ball": (bea.heavy_ball, {"beta": 0.6}),
    "heavy_ball damped": (lambda beta: bea.heavy_ball(beta, damped=True), {"beta": 0.6}),
    "nesterov": (bea.nesterov, {"beta": 0.6}),
    "rmsprop": (bea.rmsprop, {"rho": 0.8, "epsilon": 0.05}),
    "rmsprop corrected": (
        lambda rho, epsilon: bea.rmsprop(rho, epsilon, bias_correction=True),
        {"rho": 0.8, "epsilon": 0.05},
    ),
    "rmsprop outside": (
        lambda rho, epsilon: bea.rmsprop(rho, epsilon, epsilon_inside=False),
        {"rho": 0.8, "epsilon": 0.05},
    ),
    "adam": (bea.adam, {"beta": 0.6, "rho": 0.8, "epsilon": 0.05}),
    "adam outside": (
        lambda **h: bea.adam(**h, epsilon_inside=False),
        {"beta": 0.6, "rho": 0.8, "epsilon": 0.05},
    ),
    "adam not corrected": (
        lambda **h: bea.adam(**h, bias_correction=False),
        {"beta": 0.6, "rho": 0.8, "epsilon": 0.05},
    ),
}
A, B = bea.bilinear().symbols
LOSSES = {
    "bilinear": bea.bilinear(),
    "rosenbrock": bea.rosenbrock(2),
    "transcendental": bea.Loss(
        sp.exp(-A) * sp.sin(B) + sp.tanh(A * B) + sp.log(1 + A**2) + sp.sqrt(1 + B**2), (A, B)
    ),
}
START = (0.9, 1.5)


def make(name, **changes):
    maker, hyper = OPTIMIZERS[name]
    return maker(**{**hyper, **changes})


def by_code(loss):
    """The same loss without its expression, so that the array path runs."""
    return bea.NumericLoss(loss.dimension, loss.value_code, loss.gradient_code)


def by_hand(optimizer, gradients, theta0, h, steps, memory=None):
    """The run from the definition of an optimizer, on plain arrays; ``gradients[n]`` is the function of step n."""
    theta, path = np.array(theta0, dtype=float), [np.array(theta0, dtype=float)]
    state = [np.zeros_like(theta) for _ in optimizer.averages] if memory is None else list(memory)
    for n in range(steps):
        g = gradients[n](theta)
        state = [a.advance(m, a.of(g)) for a, m in zip(optimizer.averages, state)]
        corrected = optimizer.bias_correction and memory is None
        theta = theta - h * optimizer.update(
            *(
                [m / a.correction(n) for a, m in zip(optimizer.averages, state)]
                if corrected
                else state
            )
        )
        path.append(theta)
    return np.array(path)


# --- all ways of running agree ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_and_array_paths_agree(name, loss):
    """60 steps of 0.01: straight-line floats, arrays of one and of two points, and the definition, to 1e-12."""
    optimizer, problem = make(name), LOSSES[loss]
    compiled = bea.run(optimizer, problem, START, 0.01, 60)
    assert compiled.shape == (61, 2) and compiled[0].tolist() == list(START)
    np.testing.assert_allclose(
        compiled,
        by_hand(optimizer, [problem.gradient] * 60, START, 0.01, 60),
        rtol=1e-12,
        atol=1e-13,
    )
    np.testing.assert_allclose(
        bea.run(optimizer, by_code(problem), START, 0.01, 60), compiled, rtol=1e-12, atol=1e-13
    )
    np.testing.assert_allclose(
        bea.run(optimizer, problem, [START], 0.01, 60)[:, 0], compiled, rtol=1e-12, atol=1e-13
    )
    pair = bea.run(optimizer, problem, [(0.4, 0.7), START], 0.01, 60)
    assert pair.shape == (61, 2, 2)
    np.testing.assert_allclose(pair[:, 1], compiled, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("count", [2, 3])
def test_a_batch_of_settings_is_settings_one_by_one(name, count):
    """Arrays of every hyper-parameter and of h, from one point and from as many."""
    hyper = OPTIMIZERS[name][1]
    arrays = {
        "beta": np.linspace(0, 0.9, count),
        "rho": np.linspace(0.5, 0.99, count),
        "epsilon": np.linspace(0.01, 1, count),
    }
    sizes, points = (
        np.linspace(0.005, 0.02, count),
        np.random.default_rng(1).uniform(0.4, 1.4, (count, 2)),
    )
    for loss in (LOSSES["bilinear"], bea.logistic_regression()):
        for theta0 in (START, points):
            for h in (0.01, sizes):
                together = bea.run(
                    make(name, **{key: arrays[key] for key in hyper}), loss, theta0, h, 20
                )
                if not hyper and np.ndim(h) == 0 and theta0 is START:
                    assert together.shape == (21, 2)
                    continue
                assert together.shape == (21, count, 2)
                for i in range(count):
                    alone = bea.run(
                        make(name, **{key: float(arrays[key][i]) for key in hyper}),
                        loss,
                        START if theta0 is START else theta0[i],
                        float(np.broadcast_to(h, count)[i]),
                        20,
                    )
                    np.testing.assert_allclose(together[:, i], alone, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mini_batches_are_seen_in_their_order(name):
    losses, order = (
        [bea.bilinear(), bea.bilinear(1, 1), bea.logistic_regression()],
        (2, 0, 0, 1, 2, 1, 1, 0),
    )
    losses[2] = by_code(losses[2])
    mixed = [by_code(losses[0]), by_code(losses[1]), losses[2]]
    optimizer = make(name)
    wanted = by_hand(optimizer, [mixed[i].gradient for i in order], START, 0.05, 8)
    np.testing.assert_allclose(
        bea.run(optimizer, mixed, START, 0.05, 8, batches=order), wanted, rtol=1e-12
    )
    np.testing.assert_allclose(
        bea.run(optimizer, mixed, [START, START], 0.05, 8, batches=order)[:, 1], wanted, rtol=1e-12
    )
    np.testing.assert_allclose(
        bea.run(optimizer, mixed, START, 0.05, 5, batches=order), wanted[:6], rtol=1e-12
    )
    same = bea.run(optimizer, losses[:2], START, 0.05, 4, batches=(0, 0, 0, 0))
    np.testing.assert_allclose(same, bea.run(optimizer, losses[0], START, 0.05, 4), rtol=1e-12)
    np.testing.assert_allclose(
        bea.run(optimizer, losses[0], START, 0.05, 4, batches=[0] * 4), same, rtol=1e-12
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_goes_on_from_its_memory(name):
    """Given the averages after ten steps (not corrected), a run without bias correction goes on as if never stopped."""
    optimizer, loss = make(name), bea.bilinear()
    rng = np.random.default_rng(2)
    memory = tuple(rng.uniform(0.1, 1, 2) for _ in optimizer.averages)
    wanted = by_hand(optimizer, [loss.gradient] * 30, START, 0.01, 30, memory=memory)
    np.testing.assert_allclose(
        bea.run(optimizer, loss, START, 0.01, 30, memory=memory), wanted, rtol=1e-12
    )
    np.testing.assert_allclose(
        bea.run(optimizer, by_code(loss), START, 0.01, 30, memory=memory), wanted, rtol=1e-12
    )
    both = bea.run(
        optimizer, loss, [START, START], 0.01, 30, memory=[np.array([m, m]) for m in memory]
    )
    np.testing.assert_allclose(both[:, 1], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_steps_is_the_start(name):
    for loss in (bea.bilinear(), bea.logistic_regression()):
        assert bea.run(make(name), loss, START, 0.1, 0).tolist() == [list(START)]
        assert bea.run(make(name), loss, [START, START], 0.1, 0).shape == (1, 2, 2)
        for equation in (
            bea.modified_equation(make(name), loss, 2),
            bea.transient_equation(make(name), loss),
        ):
            assert bea.flow(equation, START, 0.1, 0).tolist() == [list(START)]


def test_the_start_is_not_changed_and_whole_numbers_are_floats():
    start = np.array([1, 2])
    path = bea.run(bea.gradient_descent(), bea.bilinear(), start, 0.01, 3)
    assert path.dtype == float and start.tolist() == [1, 2]


# --- storing less -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gradient_descent", "nesterov", "adam", "adam outside"])
def test_every_kth_iterate_is_that_of_the_whole_run(name, monkeypatch):
    """Floats, arrays, settings, mini-batches and, forced, machine code: bit for bit."""
    loss, batches = bea.bilinear(), [0, 1] * 30
    sizes = np.array([0.01, 0.02, 0.005])
    ways = [
        (loss, 0.01, {}),
        (by_code(loss), 0.01, {}),
        (loss, sizes, {}),
        ([by_code(loss), by_code(bea.bilinear(1, 1))], sizes, {"batches": batches}),
    ]
    for forced in (False, True):
        if forced:
            pytest.importorskip(
                "llvmlite", reason="llvmlite is not installed: runs of many settings use arrays"
            )
            monkeypatch.setattr(COMPILED_MODULE, "LONG_RUN", 0)
        for problem, h, options in ways:
            whole = bea.run(make(name), problem, START, h, 60, **options)
            for every in (1, 4, 60):
                np.testing.assert_array_equal(
                    bea.run(make(name), problem, START, h, 60, every=every, **options),
                    whole[::every],
                )
    assert bea.run(make(name), loss, START, 0.01, 0, every=3).tolist() == [list(START)]


@pytest.mark.parametrize(
    "every, error, match",
    [
        *((every, ValueError, f"every = {every} must be at least 1") for every in (0, -1)),
        (7, ValueError, "every = 7 must divide the number of steps, 10"),
        *(
            (every, TypeError, f"every = {every} must be a whole number")
            for every in (2.0, True, None)
        ),
    ],
)
def test_every_must_be_whole_and_divide_the_steps(every, error, match):
    with pytest.raises(error, match=match):
        bea.run(make("adam"), bea.bilinear(), START, 0.01, 10, every=every)


def test_a_diverging_run_of_which_less_is_kept():
    """h lambda = 3: theta_1024 overflows, and 1030 is the first that is kept after it."""
    for loss in (bea.quadratic([1]), by_code(bea.quadratic([1]))):
        with pytest.raises(
            bea.Divergence, match="diverged at step 1030: the last finite iterate is step 1020"
        ) as caught:
            bea.run(bea.gradient_descent(), loss, (1.0,), 3.0, 2000, every=10)
        np.testing.assert_array_equal(caught.value.path[:, 0], (-2.0) ** np.arange(0, 1024, 10))


def peak_bytes(*arguments, **options):
    """The memory that a run takes at its worst, after two to fill caches and to compile, and the bytes that it returns."""
    for _ in range(2):
        bea.run(*arguments, **options)
    tracemalloc.start()
    try:
        path = bea.run(*arguments, **options)
        return tracemalloc.get_traced_memory()[1], path.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("machine_code", [False, True])
def test_memory_grows_with_what_is_kept(machine_code, monkeypatch):
    """400 settings, 1200 steps: at most what is kept, an eighth more (which of it is finite), and 32 iterates; an iterate is 6400 bytes."""
    if machine_code:
        pytest.importorskip(
            "llvmlite", reason="llvmlite is not installed: runs of many settings use arrays"
        )
    monkeypatch.setattr(COMPILED_MODULE, "LONG_RUN", 0 if machine_code else np.inf)
    optimizer = bea.adam(np.linspace(0, 0.9, 400), 0.99, 0.01)
    kept = []
    for every in (1, 10, 1200):
        peak, stored = peak_bytes(optimizer, bea.bilinear(), START, 1e-3, 1200, every=every)
        assert stored == (1200 // every + 1) * 6400
        assert stored < peak < 1.2 * stored + 32 * 6400
        kept.append(peak)
    assert kept[0] > 8 * kept[1] > 8 * kept[2]  # the control: a run that keeps all needs more


def test_memory_of_one_trajectory_grows_with_what_is_kept(way):
    """Python's floats are objects until the end: at most ten times the bytes that are kept, and 20 kB."""
    for every in (1, 100, 10_000):
        peak, stored = peak_bytes(make("adam"), bea.bilinear(), START, 1e-3, 10_000, every=every)
        assert peak < 10 * stored + 20_000


# --- flows are solutions ------------------------------------------------------------------------------------------------------


def test_flows_of_quadratics_are_exponentials():
    """Gradient flow, and heavy ball with three terms on eigenvalues 1 and 3: exp of the summed series, to 1e-10."""
    loss, start, h, steps = bea.quadratic([1, 3]), np.array([1.0, -0.7]), 0.05, 30
    for optimizer, order in (
        (bea.gradient_descent(), 1),
        (bea.heavy_ball(0.5), 3),
        (bea.nesterov(0.3), 4),
    ):
        equation = bea.modified_equation(optimizer, loss, order)
        rate = equation.field(h)(np.ones(2))
        wanted = start * np.exp(np.outer(h * np.arange(steps + 1), rate))
        np.testing.assert_allclose(
            bea.flow(equation, start, h, steps), wanted, rtol=1e-10, atol=1e-11
        )


def test_flows_of_vector_fields():
    """y' = y^2 gives y/(1 - yt); a rotation gives cosine and sine."""
    y, z = sp.symbols("y z")
    t = 0.05 * np.arange(11)
    square = bea.modified_equation(bea.gradient_descent(), bea.VectorField((y**2,), (y,)), 1)
    np.testing.assert_allclose(bea.flow(square, (1.0,), 0.05, 10)[:, 0], 1 / (1 - t), rtol=1e-10)
    rotation = bea.modified_equation(bea.gradient_descent(), bea.VectorField((-z, y), (y, z)), 1)
    np.testing.assert_allclose(
        bea.flow(rotation, (1.0, 0.0), 0.05, 10),
        np.stack([np.cos(t), np.sin(t)], axis=1),
        rtol=1e-10,
        atol=1e-11,
    )


def test_the_exact_rate_needs_all_terms():
    """(1 - h lambda)^n is the flow of the whole series: with 24 terms at h lambda = 0.3 the flow is the run to 1e-10; with three it misses by 1e-3."""
    loss = bea.quadratic([3])
    run = bea.run(bea.gradient_descent(), loss, (1.0,), 0.1, 20)
    np.testing.assert_allclose(
        bea.flow(bea.modified_equation(bea.gradient_descent(), loss, 24), (1.0,), 0.1, 20),
        run,
        rtol=1e-10,
        atol=1e-11,
    )
    assert (
        abs(
            bea.flow(bea.modified_equation(bea.gradient_descent(), loss, 3), (1.0,), 0.1, 20) - run
        ).max()
        > 1e-3
    )


@pytest.mark.parametrize("name", ["heavy_ball", "adam", "rmsprop outside"])
def test_flows_of_batches_are_flows_one_by_one(name):
    points = np.array([[0.9, 1.5], [0.4, 0.7]])
    for loss in (bea.bilinear(), bea.logistic_regression()):
        for equation in (
            bea.modified_equation(make(name), loss, 3),
            bea.transient_equation(make(name), loss),
        ):
            together = bea.flow(equation, points, 0.02, 10)
            assert together.shape == (11, 2, 2)
            for i in range(2):
                np.testing.assert_allclose(
                    together[:, i], bea.flow(equation, points[i], 0.02, 10), rtol=1e-9
                )
    many = bea.modified_equation(
        make(name, **({"beta": [0.1, 0.5]} if name != "rmsprop outside" else {"rho": [0.1, 0.5]})),
        bea.bilinear(),
        2,
    )
    assert bea.flow(many, START, 0.02, 4).shape == (5, 2, 2)


def test_the_piecewise_flow_takes_each_piece_in_turn():
    """First order: an Euler step of the run and the flow of each mini-batch's own gradient, by the exact exponential of a quadratic."""
    losses = [bea.quadratic([1, 3]), bea.quadratic([2, 0.5])]
    equation = bea.transient_equation(bea.gradient_descent(), losses, order=1, batches=(0, 1, 1, 0))
    path, theta = bea.flow(equation, (1.0, -1.0), 0.1, 4), np.array([1.0, -1.0])
    for n, rates in enumerate(([1, 3], [2, 0.5], [2, 0.5], [1, 3])):
        theta = theta * np.exp(-0.1 * np.array(rates))
        np.testing.assert_allclose(path[n + 1], theta, rtol=1e-11)


def test_anything_with_a_field_flows():
    class Decay:
        def field(self, h):
            return lambda theta: -theta

    np.testing.assert_allclose(
        bea.flow(Decay(), (1.0, 2.0), 0.1, 3)[-1], np.array([1.0, 2.0]) * np.exp(-0.3), rtol=1e-10
    )


# --- leaving the finite numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [bea.quadratic([1]), by_code(bea.quadratic([1]))], ids=["compiled", "arrays"]
)
def test_a_diverging_run_says_where(loss):
    """h lambda = 3: theta_n = (-2)^n overflows at n = 1024."""
    with pytest.raises(
        bea.Divergence,
        match="the run diverged at step 1024: the last finite iterate is step 1023; .*h = 3.0",
    ) as caught:
        bea.run(bea.gradient_descent(), loss, (1.0,), 3.0, 2000)
    assert (
        caught.value.step == 1024
        and caught.value.settings == ()
        and isinstance(caught.value, ArithmeticError)
    )
    np.testing.assert_array_equal(caught.value.path[:, 0], (-2.0) ** np.arange(1024))


def test_a_run_whose_code_overflows_says_where():
    """exp(x^2) overflows at 26.6: float arithmetic raises there, arrays give inf; both say step 2.  The same where a root ends."""
    x = sp.Symbol("x", real=True)
    steep = bea.Loss(sp.exp(x**2), (x,))
    for loss in (steep, by_code(steep)):
        with pytest.raises(bea.Divergence) as caught:
            bea.run(bea.gradient_descent(), loss, (10.0,), 0.5, 50)
        assert (
            caught.value.step == 2 == len(caught.value.path)
            and np.isfinite(caught.value.path).all()
        )
    roots = bea.Loss(
        -2 * x ** sp.Rational(3, 2) / 3 + 2 * x, (x,)
    )  # leaves the domain of the square root
    for loss in (roots, by_code(roots)):
        with pytest.raises(bea.Divergence) as caught:
            bea.run(bea.gradient_descent(), loss, (0.5,), 0.7, 50)
        assert caught.value.step == len(caught.value.path)


def test_of_a_batch_the_diverging_settings_are_named(monkeypatch):
    for forced in (False, True):
        if forced:
            pytest.importorskip("llvmlite", reason="llvmlite is not installed")
            monkeypatch.setattr(COMPILED_MODULE, "LONG_RUN", 0)
        with pytest.raises(bea.Divergence, match=r"at step 1024 \(settings \[1, 3\]\)") as caught:
            bea.run(
                bea.gradient_descent(),
                bea.quadratic([1]),
                [(1.0,), (1.0,), (0.5,), (-1.0,)],
                np.array([0.5, 3.0, 2.5, 3.0]),
                2000,
            )
        assert (
            caught.value.settings == (1, 3)
            and caught.value.path.shape == (1024, 4, 1)
            and np.isfinite(caught.value.path).all()
        )


def test_a_flow_that_blows_up_says_where():
    """y' = y^2 from 1 blows up at t = 1: with h = 0.07 the last time before it is 14 h."""
    y = sp.Symbol("y")
    loss = bea.VectorField((y**2,), (y,))
    t = 0.07 * np.arange(15)
    for equation in (
        bea.modified_equation(bea.gradient_descent(), loss, 1),
        bea.transient_equation(bea.gradient_descent(), loss, 1),
    ):
        with pytest.raises(bea.Divergence, match="step") as caught:
            bea.flow(equation, (1.0,), 0.07, 30)
        assert caught.value.step == 15 == len(caught.value.path)
        np.testing.assert_allclose(caught.value.path[:, 0], 1 / (1 - t), rtol=1e-7)


# --- errors -------------------------------------------------------------------------------------------------------------------------

ADAM, BILINEAR = make("adam"), bea.bilinear()
STEADY = bea.modified_equation(ADAM, BILINEAR, 2)


def both(theta0=START, h=0.1, steps=2):
    return [
        lambda: bea.run(ADAM, BILINEAR, theta0, h, steps),
        lambda: bea.flow(STEADY, theta0, h, steps),
        lambda: bea.flow(bea.transient_equation(ADAM, BILINEAR), theta0, h, steps),
    ]


def test_step_sizes_and_numbers_of_steps_are_checked():
    for h in (0, -0.1, float("nan"), float("inf")):
        for ask in both(h=h):
            with pytest.raises(ValueError, match="step size h = .* must be positive and finite"):
                ask()
    for h in ("0.1", True, 1j, sp.Symbol("h")):
        for ask in both(h=h):
            with pytest.raises(TypeError, match="step size h = .* must be a positive number"):
                ask()
    for steps in (2.0, True, None, "2"):
        for ask in both(steps=steps):
            with pytest.raises(TypeError, match="steps = .* must be a whole number"):
                ask()
    for ask in both(steps=-1):
        with pytest.raises(ValueError, match="steps = -1 must be at least 0"):
            ask()
    with pytest.raises(ValueError, match="a flow takes one step size"):
        bea.flow(STEADY, [START, START], [0.1, 0.2], 2)


def test_points_are_checked():
    for wrong in ((1.0,), (1.0, 2.0, 3.0), 1.0, np.ones((2, 2, 2))):
        for ask in both(theta0=wrong):
            with pytest.raises(ValueError, match="a point of shape"):
                ask()
    for ask in both(theta0=(np.nan, 1.0)):
        with pytest.raises(ValueError, match="must be finite"):
            ask()
    for ask in both(theta0=("x", "y")):
        with pytest.raises(TypeError, match="must hold numbers"):
            ask()


def test_arguments_of_the_wrong_kind_are_refused():
    for wrong in ("adam", bea.adam, None):
        with pytest.raises(TypeError, match="an optimizer such as"):
            bea.run(wrong, BILINEAR, START, 0.1, 2)
    for wrong in ("E", None, ADAM):
        with pytest.raises(TypeError, match="a loss .* or a list of them is needed"):
            bea.run(ADAM, wrong, START, 0.1, 2)
    for wrong in (None, 3, BILINEAR):
        with pytest.raises(TypeError, match="a modified equation is needed"):
            bea.flow(wrong, START, 0.1, 2)


def test_symbols_cannot_run():
    beta, lam = sp.symbols("beta lambda")
    with pytest.raises(ValueError, match="holds the symbols beta; give them numbers"):
        bea.run(bea.heavy_ball(beta), BILINEAR, START, 0.1, 2)
    with pytest.raises(ValueError, match="give numbers to the parameters lambda"):
        bea.run(ADAM, bea.quadratic([lam]), (1.0,), 0.1, 2)
    abstract = bea.Loss(sp.Function("E")(A, B), (A, B))
    for theta0 in (START, [START, START]):
        with pytest.raises(ValueError, match="abstract function"):
            bea.run(ADAM, abstract, theta0, 0.1, 2)
    exact = bea.adam(sp.Rational(3, 5), sp.Rational(4, 5), sp.Rational(1, 20))
    for theta0 in (START, [START, START]):
        np.testing.assert_allclose(
            bea.run(exact, BILINEAR, theta0, 0.01, 5),
            bea.run(ADAM, BILINEAR, theta0, 0.01, 5),
            rtol=1e-13,
        )


def test_batches_and_memory_are_checked():
    two = [BILINEAR, bea.bilinear(1, 1)]
    with pytest.raises(ValueError, match="2 mini-batch losses were given without batches"):
        bea.run(ADAM, two, START, 0.1, 2)
    with pytest.raises(ValueError, match="batches names the mini-batches of 2 steps, but 3 steps"):
        bea.run(ADAM, two, START, 0.1, 3, batches=(0, 1))
    with pytest.raises(ValueError, match="batches must lie in 0..1"):
        bea.run(ADAM, two, START, 0.1, 2, batches=(0, 2))
    with pytest.raises(TypeError, match="sequence of whole numbers"):
        bea.run(ADAM, two, START, 0.1, 2, batches=(0.0, 1.0))
    with pytest.raises(ValueError, match="adam keeps 2 averages, but memory holds 1"):
        bea.run(ADAM, BILINEAR, START, 0.1, 2, memory=[np.zeros(2)])
    with pytest.raises(ValueError, match="a point of shape"):
        bea.run(ADAM, BILINEAR, START, 0.1, 2, memory=[np.zeros(3), np.zeros(3)])
    with pytest.raises(ValueError, match="must be finite"):
        bea.run(ADAM, BILINEAR, START, 0.1, 2, memory=[np.zeros(2), np.full(2, np.nan)])
    with pytest.raises(ValueError, match="2 points and 3 settings do not combine"):
        bea.run(bea.heavy_ball([0.1, 0.2, 0.3]), BILINEAR, [START, START], 0.1, 2)
    with pytest.raises(ValueError, match="step 2 was asked for, but batches names"):
        bea.flow(bea.transient_equation(ADAM, two, batches=(0, 1)), START, 0.1, 3)


@pytest.mark.parametrize("make", [bea.modified_equation, bea.transient_equation])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_more_points_per_step_lie_on_the_same_flow(make, steps):
    equation = make(bea.heavy_ball(beta=0.5), bea.bilinear(), order=2)
    coarse = bea.flow(equation, (0.9, 1.5), 1e-2, steps)
    fine = bea.flow(equation, (0.9, 1.5), 1e-2, steps, per_step=4)
    assert coarse.shape == (steps + 1, 2) and fine.shape == (4 * steps + 1, 2)
    np.testing.assert_allclose(fine[::4], coarse, rtol=1e-11)
    if steps:  # between two steps: the flow of the smooth equation with the same field
        field = equation.field(1e-2, 0) if make is bea.transient_equation else equation.field(1e-2)
        np.testing.assert_allclose(
            (fine[1] - fine[0]) / 2.5e-3, field(fine[:2].mean(axis=0)), rtol=1e-3
        )


def test_points_per_step_must_be_a_positive_whole_number():
    equation = bea.modified_equation(bea.gradient_descent(), bea.bilinear(), order=1)
    with pytest.raises(ValueError, match="per_step"):
        bea.flow(equation, (0.9, 1.5), 1e-2, 3, per_step=0)
    with pytest.raises(TypeError):
        bea.flow(equation, (0.9, 1.5), 1e-2, 3, per_step=1.5)


# --- walks -------------------------------------------------------------------------------------


def test_a_walk_is_the_run_step_by_step():
    """One point and many settings, full batch and mini-batches: the same iterates as run stores."""
    losses = [bea.logistic_regression(rows=slice(k, None, 3)) for k in range(3)]
    order = [2, 0, 0, 1, 2, 1]
    many = bea.adam([0.5, 0.9], 0.99, 1e-4)
    for optimizer, start in ((bea.heavy_ball(0.5), (0.1, 0.2)), (many, [(0.1, 0.2), (0.3, 0.4)])):
        kept = bea.run(optimizer, losses, start, 0.1, 6, batches=order)
        walked = list(bea.walk(optimizer, losses, start, 0.1, batches=order))
        np.testing.assert_array_equal(walked, kept)
        endless = bea.walk(optimizer, losses[0], start, 0.1)
        np.testing.assert_array_equal(
            [next(endless) for _ in range(9)], bea.run(optimizer, losses[0], start, 0.1, 8)
        )


def test_a_walk_says_where_it_leaves_the_finite_numbers():
    walked = bea.walk(bea.gradient_descent(), bea.bilinear(), (2.8, 3.5), 10.0)
    points = []
    with pytest.raises(bea.Divergence, match="smaller step") as raised, np.errstate(all="ignore"):
        for point in walked:
            points.append(point)
    assert raised.value.step == len(points) and np.isfinite(points).all()
    np.testing.assert_array_equal(raised.value.path, points[-1:])


def test_a_walks_arguments_are_checked_before_its_first_step():
    with pytest.raises(ValueError, match="positive"):
        bea.walk(bea.gradient_descent(), bea.bilinear(), (2.8, 3.5), 0)
    with pytest.raises(ValueError, match="batches"):
        bea.walk(bea.gradient_descent(), [bea.bilinear(), bea.bilinear()], (2.8, 3.5), 0.1)
