"""Code is formula: every optimizer's step, on symbols, is the textbook's recursion written out here."""

import inspect
import re

import numpy as np
import pytest
import sympy as sp

import bea
import naive
from bea.program import update
from bea.series import Series

BETA, RHO, EPSILON, STEP = sp.symbols("beta rho epsilon h", positive=True)
X0, X1, X2 = sp.symbols("x0 x1 x2", real=True)
GRADIENTS = sp.symbols("g0 g1 g2", real=True)


def library_steps(optimizer, gradients, start, h=STEP):
    """The iterates of a program on symbols (Series of one term): its text, and averages with their weights written out."""
    memory, path = naive.Sums(h), [start]
    for g in gradients:
        theta, seen = (Series.from_polynomials([[np.array([v], dtype=object)]]) for v in (path[-1], g))
        step = update(optimizer, lambda point, seen=seen: seen, theta, memory)
        memory.next_step()
        path.append(path[-1] - h * step.leading[0])
    return path


# --- the textbook, each recursion in its source's own form ---------------------------------------------------------------------


def textbook_gradient_descent(gradients, x):
    path = [x]
    for g in gradients:
        path.append(path[-1] - STEP * g)
    return path


def textbook_heavy_ball(gradients, x):
    """Polyak (1964): x_{n+1} = x_n - h g_n + beta (x_n - x_{n-1}), x_{-1} = x_0."""
    before, path = x, [x]
    for g in gradients:
        before, new = path[-1], path[-1] - STEP * g + BETA * (path[-1] - before)
        path.append(new)
    return path


def textbook_damped_heavy_ball(gradients, x):
    """m <- beta m + (1-beta) g, x <- x - h m."""
    m, path = 0, [x]
    for g in gradients:
        m = BETA * m + (1 - BETA) * g
        path.append(path[-1] - STEP * m)
    return path


def textbook_nesterov(gradients, x):
    """PyTorch's SGD documentation, nesterov=True: b <- beta b + g, step g + beta b."""
    b, path = 0, [x]
    for g in gradients:
        b = BETA * b + g
        path.append(path[-1] - STEP * (g + BETA * b))
    return path


def textbook_rmsprop(gradients, x, inside, corrected):
    v, path = 0, [x]
    for t, g in enumerate(gradients, start=1):
        v = RHO * v + (1 - RHO) * g**2
        hat = v / (1 - RHO**t) if corrected else v
        path.append(path[-1] - STEP * g / (sp.sqrt(hat + EPSILON) if inside else sp.sqrt(hat) + EPSILON))
    return path


def textbook_adam(gradients, x, inside, corrected):
    """Kingma and Ba (2015), Algorithm 1, with its counter t = 1, 2, ...; epsilon inside the root as in Cattaneo et al. (2024)."""
    m, v, path = 0, 0, [x]
    for t, g in enumerate(gradients, start=1):
        m = BETA * m + (1 - BETA) * g
        v = RHO * v + (1 - RHO) * g**2
        m_hat, v_hat = (m / (1 - BETA**t), v / (1 - RHO**t)) if corrected else (m, v)
        path.append(path[-1] - STEP * m_hat / (sp.sqrt(v_hat + EPSILON) if inside else sp.sqrt(v_hat) + EPSILON))
    return path


CASES = {
    "gradient_descent": (bea.gradient_descent(), textbook_gradient_descent),
    "heavy_ball": (bea.heavy_ball(BETA), textbook_heavy_ball),
    "heavy_ball damped": (bea.heavy_ball(BETA, damped=True), textbook_damped_heavy_ball),
    "nesterov": (bea.nesterov(BETA), textbook_nesterov),
}
for _inside in (True, False):
    for _corrected in (True, False):
        _how = f"epsilon {'inside' if _inside else 'outside'}, {'corrected' if _corrected else 'not corrected'}"
        CASES[f"rmsprop, {_how}"] = (
            bea.rmsprop(RHO, EPSILON, epsilon_inside=_inside, bias_correction=_corrected),
            lambda g, x, i=_inside, c=_corrected: textbook_rmsprop(g, x, i, c),
        )
        CASES[f"adam, {_how}"] = (
            bea.adam(BETA, RHO, EPSILON, epsilon_inside=_inside, bias_correction=_corrected),
            lambda g, x, i=_inside, c=_corrected: textbook_adam(g, x, i, c),
        )


def identical(left, right):
    """Zero identically: by simplification, confirmed at random points with 30 digits."""
    difference = left - right
    for _ in range(3):
        numbers = {
            s: sp.Rational(np.random.default_rng(_).integers(1, 90), 97 + i)
            for i, s in enumerate(sorted(difference.free_symbols, key=str))
        }
        if abs(sp.N(difference.subs(numbers), 30)) > 1e-25:
            return False
    return sp.simplify(sp.expand(difference)) == 0


@pytest.mark.parametrize("name", CASES)
def test_two_full_steps_are_the_textbooks_on_symbols(name):
    """All of beta, rho, epsilon, h, the gradients and the start are symbols."""
    optimizer, textbook = CASES[name]
    ours, theirs = library_steps(optimizer, GRADIENTS[:2], X0), textbook(GRADIENTS[:2], X0)
    assert len(ours) == len(theirs) == 3
    assert all(identical(a, b) for a, b in zip(ours, theirs))


@pytest.mark.parametrize("name", CASES)
def test_a_run_of_numbers_is_the_textbooks(name):
    """bea.run on E = x^4/4 - x over four steps against the textbook evaluated with 30 digits: to 1e-13."""
    optimizer, textbook = CASES[name]
    numbers = {
        BETA: sp.Rational(7, 10),
        RHO: sp.Rational(4, 5),
        EPSILON: sp.Rational(1, 100),
        STEP: sp.Rational(1, 20),
    }
    x = sp.Symbol("x", real=True)
    loss = bea.Loss(x**4 / 4 - x, (x,))
    given = {
        key: float(numbers[value]) for key, value in optimizer.hyperparameters.items() if isinstance(value, sp.Symbol)
    }
    run = bea.run(optimizer.with_hyperparameters(**given), loss, (1.7,), 0.05, 4)[:, 0]
    theta, gradients = sp.Rational(17, 10), []
    for n in range(4):
        gradients.append(sp.N((theta**3 - 1), 30))
        theta = sp.N(textbook(gradients, sp.Rational(17, 10))[n + 1].subs(numbers), 30)
        assert abs(run[n + 1] - theta) < 1e-13


@pytest.mark.parametrize("name", CASES)
def test_mutants_of_the_formula_are_caught(name):
    """The comparison above fails for another decay, a doubled step, or a gradient of the wrong sign."""
    optimizer, textbook = CASES[name]
    right = textbook(GRADIENTS[:2], X0)[-1]
    spoilt = [
        library_steps(optimizer, GRADIENTS[:2], X0, h=2 * STEP)[-1],
        library_steps(optimizer, [-g for g in GRADIENTS[:2]], X0)[-1],
    ]
    for hyperparameter, symbol in (("beta", BETA), ("rho", RHO), ("epsilon", EPSILON)):
        if hyperparameter in optimizer.hyperparameters:
            spoilt.append(
                library_steps(
                    optimizer.with_hyperparameters(**{hyperparameter: symbol / 2}),
                    GRADIENTS[:2],
                    X0,
                )[-1]
            )
    assert not any(identical(wrong, right) for wrong in spoilt)


def test_the_updates_as_printed():
    """From empty memory the averages of one gradient g are (1-beta) g, or g itself if corrected."""
    g = sp.Symbol("g", positive=True)

    def first(optimizer):
        return sp.simplify(X0 - library_steps(optimizer, [g], X0, h=1)[-1])

    assert first(bea.gradient_descent()) == g and first(bea.heavy_ball(BETA)) == g
    assert sp.simplify(first(bea.heavy_ball(BETA, damped=True)) - (1 - BETA) * g) == 0
    assert sp.simplify(first(bea.nesterov(BETA)) - (1 + BETA) * g) == 0
    assert sp.simplify(first(bea.adam(BETA, RHO, EPSILON)) - g / sp.sqrt(g**2 + EPSILON)) == 0
    assert sp.simplify(first(bea.adam(BETA, RHO, EPSILON, epsilon_inside=False)) - g / (g + EPSILON)) == 0
    assert sp.simplify(first(bea.rmsprop(RHO, EPSILON)) - g / sp.sqrt((1 - RHO) * g**2 + EPSILON)) == 0


def test_rmsprop_is_adam_without_momentum():
    for inside in (True, False):
        for corrected in (True, False):
            options = {"epsilon_inside": inside, "bias_correction": corrected}
            ours = library_steps(bea.rmsprop(RHO, EPSILON, **options), GRADIENTS, X0)
            adam = library_steps(bea.adam(sp.Integer(0), RHO, EPSILON, **options), GRADIENTS, X0)
            assert all(sp.expand(a - b) == 0 for a, b in zip(ours, adam))


def test_damped_and_undamped_heavy_ball_differ_by_the_step_alone():
    damped = library_steps(bea.heavy_ball(BETA, damped=True), GRADIENTS, X0, h=STEP / (1 - BETA))
    undamped = library_steps(bea.heavy_ball(BETA), GRADIENTS, X0)
    assert all(sp.simplify(a - b) == 0 for a, b in zip(damped, undamped))


# --- what the hyper-parameters may be ---------------------------------------------------------------------------------------------

MAKERS = {
    ("heavy_ball", "beta"): bea.heavy_ball,
    ("nesterov", "beta"): bea.nesterov,
    ("rmsprop", "rho"): lambda v: bea.rmsprop(v, 0.1),
    ("rmsprop", "epsilon"): lambda v: bea.rmsprop(0.9, v),
    ("adam", "beta"): lambda v: bea.adam(v, 0.9, 0.1),
    ("adam", "rho"): lambda v: bea.adam(0.9, v, 0.1),
    ("adam", "epsilon"): lambda v: bea.adam(0.9, 0.9, v),
}


@pytest.mark.parametrize("which", MAKERS, ids=" ".join)
def test_values_out_of_range_are_refused_by_name_value_and_range(which):
    _, name = which
    bad = [
        -0.1,
        float("nan"),
        float("inf"),
        -float("inf"),
        sp.Rational(-1, 3),
        sp.nan,
        sp.oo,
        np.float64(-2),
        -1,
    ]
    allowed = "must be in [0, infinity)" if name == "epsilon" else "must be in [0, 1)"
    bad += [] if name == "epsilon" else [1, 1.0, 1.5, sp.Integer(1), sp.Rational(3, 2)]
    for value in bad:
        with pytest.raises(ValueError, match=rf"{name} = .*{re.escape(allowed)}") as caught:
            MAKERS[which](value)
        assert str(value) in str(caught.value) or str(float(value)) in str(caught.value)
    for array in ([0.5, -0.25], np.array([0.5, np.nan])):
        with pytest.raises(ValueError, match=rf"{name} = .*{re.escape(allowed)}") as caught:
            MAKERS[which](array)
        assert "-0.25" in str(caught.value) or "nan" in str(caught.value)


@pytest.mark.parametrize("which", MAKERS, ids=" ".join)
def test_values_of_the_wrong_kind_are_refused(which):
    _, name = which
    for value in (
        "0.9",
        None,
        1j,
        True,
        np.True_,
        {"a": 1},
        np.array(["x"]),
        np.array([True]),
        [0.5, "x"],
        sp.I / 2,
        sp.true,
    ):
        with pytest.raises(TypeError, match=f"(?s){name} = .*real number, a one-dimensional array"):
            MAKERS[which](value)
    for value in ([], [[0.5]], np.ones((2, 2)) / 2):
        with pytest.raises(ValueError, match=rf"{name} has the shape .*; allowed are \(\) and \(batch,\)"):
            MAKERS[which](value)


@pytest.mark.parametrize("which", MAKERS, ids=" ".join)
def test_allowed_values_are_kept(which):
    _, name = which
    for value in (
        0,
        0.0,
        0.5,
        np.float32(0.25),
        sp.Rational(1, 2),
        np.array([0.1, 0.2]),
        [0.1, 0.2],
        BETA,
    ):
        kept = MAKERS[which](value).hyperparameters[name]
        assert np.all(np.asarray(kept) == np.asarray(value)) if not isinstance(value, sp.Basic) else kept == value


@pytest.mark.parametrize(
    "flag, maker",
    [
        ("damped", lambda v: bea.heavy_ball(0.9, damped=v)),
        ("epsilon_inside", lambda v: bea.adam(0.9, 0.9, 0.1, epsilon_inside=v)),
        ("bias_correction", lambda v: bea.adam(0.9, 0.9, 0.1, bias_correction=v)),
        ("epsilon_inside", lambda v: bea.rmsprop(0.9, 0.1, epsilon_inside=v)),
        ("bias_correction", lambda v: bea.rmsprop(0.9, 0.1, bias_correction=v)),
    ],
)
def test_flags_are_true_or_false(flag, maker):
    for value in (1, 0, None, "yes"):
        with pytest.raises(TypeError, match=f"{flag} = .* must be True or False"):
            maker(value)
    assert maker(True).hyperparameters[flag] is True and maker(False).hyperparameters[flag] is False


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"one length.*\(2,\), \(3,\)"):
        bea.adam([0.1, 0.2], [0.1, 0.2, 0.3], 0.1)
    assert bea.adam([0.1, 0.2], 0.9, [0.1, 0.3]).batch_shape == (2,) and bea.adam(
        [0.1], [0.1, 0.2], 0.1
    ).batch_shape == (2,)


def test_arrays_of_hyperparameters_cannot_be_changed_afterwards():
    values = np.array([0.1, 0.2])
    optimizer = bea.heavy_ball(values)
    values[0] = 7.0
    assert optimizer.hyperparameters["beta"][0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        optimizer.hyperparameters["beta"][0] = 7.0


def test_an_optimizer_can_be_made_again():
    optimizer = bea.adam(BETA, RHO, 0.1, epsilon_inside=False, bias_correction=False)
    assert optimizer.symbols == {BETA, RHO} and optimizer.batch_shape == () and optimizer.name == "adam"
    other = optimizer.with_hyperparameters(beta=0.5, rho=0.25)
    assert repr(other) == "adam(beta=0.5, rho=0.25, epsilon=0.1, epsilon_inside=False, bias_correction=False)"
    assert other.symbols == set()
    floats = bea.adam(sp.Rational(1, 2), RHO, sp.Rational(1, 10)).in_floats()
    assert [floats.hyperparameters[n] for n in ("beta", "rho", "epsilon")] == [
        0.5,
        RHO,
        0.1,
    ] and floats.in_floats() is floats


def test_conventions_are_keywords_with_a_default():
    """epsilon inside or outside, bias correction, damping: never by position."""
    for maker in (bea.heavy_ball, bea.rmsprop, bea.adam):
        for parameter in inspect.signature(maker).parameters.values():
            if parameter.name in ("damped", "epsilon_inside", "bias_correction"):
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY and isinstance(parameter.default, bool)
