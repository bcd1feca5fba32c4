"""Losses from JAX, PyTorch and black boxes: against the same loss written with NumPy, and each other."""

import pickle
import sys
from functools import cache

import numpy as np
import pytest

import bea
from bea import Series

RNG = np.random.default_rng(0)
D = 6
MATRIX, POINT, POINTS = RNG.normal(size=(D, D)), RNG.normal(size=D) / 2, RNG.normal(size=(3, D))


def value(t):
    return np.log(np.cosh(MATRIX @ t)).sum(axis=0) + (t**4 / 4 + np.cos(t)).sum(axis=0)


def gradient(t):
    return MATRIX.T @ np.tanh(MATRIX @ t) + t**3 - np.sin(t)


def in_jax(t):
    import jax.numpy as jnp

    return jnp.log(jnp.cosh(MATRIX @ t)).sum() + (t**4 / 4 + jnp.cos(t)).sum()


def in_torch(t):
    import torch

    return torch.log(torch.cosh(torch.tensor(MATRIX) @ t)).sum() + (t**4 / 4 + torch.cos(t)).sum()


@cache
def lifted(name):
    if name == "black box":
        return bea.black_box(gradient, D, value)
    reason = f"{name} is not installed; pip install bea-book[{name}]"
    pytest.importorskip(name, reason=reason)
    return bea.from_jax(in_jax, D) if name == "jax" else bea.from_torch(in_torch, D)


def curve(theta, terms, rng):
    """A curve with every coefficient, those of s^0 too."""
    rows = [[theta]]
    for k in range(1, terms):
        rows.append([rng.normal(size=theta.shape) for _ in range(k + 1)])
    return Series.from_polynomials(rows)


@pytest.mark.parametrize("name", ["jax", "torch", "black box"])
def test_values_and_derivatives(name):
    loss, written = lifted(name), bea.NumericLoss(D, value, gradient)
    for points in (POINT, POINTS, POINTS[:1]):
        v = np.ones_like(points)
        for ask in ("value", "gradient"):
            np.testing.assert_allclose(
                getattr(loss, ask)(points), getattr(written, ask)(points), rtol=1e-13, atol=1e-14
            )
        found, expected = (x.hessian_vector(points, v) for x in (loss, written))
        tolerance = 1e-9 if name == "black box" else 1e-13
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        assert loss.gradient(points).dtype == np.float64
        assert type(loss.gradient(points)) is np.ndarray
    assert np.isfinite(loss.hessian(POINT)).all()
    copy = pickle.loads(pickle.dumps(loss))
    assert copy == loss
    np.testing.assert_array_equal(copy.gradient(POINT), loss.gradient(POINT))


@pytest.mark.parametrize("terms", [2, 3])
@pytest.mark.parametrize("name", ["jax", "torch", "black box"])
def test_gradients_along_curves(name, terms):
    """Against the same code on a Series: 1e-13 by automatic differentiation; by differences 4e-10, 1e-8, 1e-6."""
    loss, written = lifted(name), bea.NumericLoss(D, None, gradient)
    rng = np.random.default_rng(terms)
    for theta in (POINT, POINTS.T):
        line = curve(theta, terms, rng)
        found, expected = (x.gradient_code(line).coefficients for x in (loss, written))
        assert found.shape == expected.shape
        for k in range(terms):
            error = np.abs(found[k] - expected[k]).max() / np.abs(expected[k]).max()
            allowed = [1e-14, 4e-10, 1e-8, 1e-6][k] if name == "black box" else 1e-13
            assert error < allowed, (k, error)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_four_terms(name):
    line = curve(POINT, 4, np.random.default_rng(4))
    found = lifted(name).gradient_code(line).coefficients
    expected = bea.NumericLoss(D, None, gradient).gradient_code(line).coefficients
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_functions_that_jet_does_not_know_are_differentiated_again():
    jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")

    def with_loop(t):
        return jax.lax.fori_loop(0, 3, lambda i, x: jax.numpy.sin(x) + x, t).sum()

    def by_hand(t):
        slope, x = 1.0 + 0 * t, t
        for _ in range(3):
            slope, x = slope * (np.cos(x) + 1), np.sin(x) + x
        return slope

    line = curve(POINT, 3, np.random.default_rng(5))
    found = bea.from_jax(with_loop, D).gradient_code(line).coefficients
    expected = bea.NumericLoss(D, None, by_hand).gradient_code(line).coefficients
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_arrays_in_single_precision_outside_stay_accurate():
    """Data made before anyone thought of double precision: the loss is computed in double."""
    jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    data = jax.numpy.asarray(np.arange(D), dtype="float32")
    loss = bea.from_jax(lambda t: (jax.numpy.tanh(data * t) ** 2).sum(), D)
    k = np.arange(D)
    expected = 2 * np.tanh(k * POINT) / np.cosh(k * POINT) ** 2 * k
    np.testing.assert_allclose(loss.gradient(POINT), expected, rtol=1e-13, atol=1e-14)
    assert data.dtype == np.float32


def test_a_network_has_modified_equations():
    """Adam on a small network: order 1 to 3 by JAX; the first two agree with PyTorch and one product."""
    jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    x, y = RNG.normal(size=(20, 4)), RNG.integers(0, 3, 20)

    def network(t):
        z = jax.numpy.tanh(x @ t[:20].reshape(4, 5)) @ t[20:].reshape(5, 3)
        return (jax.nn.logsumexp(z, axis=1) - z[np.arange(20), y]).mean()

    theta = RNG.normal(size=35) / 2
    loss, optimizer = bea.from_jax(network, 35), bea.adam(0.5, 0.7, 1e-2)
    three = bea.modified_equation(optimizer, loss, 3).coefficients(theta)
    by_product = bea.NumericLoss(35, None, loss.gradient_code, loss.product_code)
    two = bea.modified_equation(optimizer, by_product, 2).coefficients(theta)
    np.testing.assert_allclose(three[:2], two, rtol=1e-12, atol=1e-13)
    differences = bea.black_box(loss.gradient_code, 35)
    apart = bea.modified_equation(optimizer, differences, 3).coefficients(theta)
    for k, allowed in enumerate((1e-14, 4e-10, 1e-8)):
        assert np.abs(apart[k] - three[k]).max() <= allowed * np.abs(three[k]).max()


@pytest.mark.parametrize("made, third", [(bea.gradient_descent(), 1e-6), (bea.adam(0.9, 0.95, 0.01), 1e-4)])
def test_three_corrections_of_a_black_box(made, third):
    """Against the same functions on a Series; a fourth correction would be round-off, and is refused."""
    for function in (np.sin, np.exp, np.tanh, np.log1p):
        found, wanted = (
            bea.modified_equation(made, loss, 4).coefficients((1.0,))[:, 0]
            for loss in (bea.black_box(function, 1), bea.NumericLoss(1, None, function))
        )
        assert np.all(np.abs(found - wanted) <= np.array([1e-14, 1e-10, 1e-8, third]) * np.abs(wanted))
    with pytest.raises(ValueError, match="at most 4 terms, not 5: .* take bea.from_jax"):
        bea.modified_equation(made, bea.black_box(np.sin, 1), 5).coefficients((1.0,))


def test_tensors_of_other_libraries_become_arrays():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    loss = bea.NumericLoss(2, None, lambda t: weights * torch.tensor(t))
    assert type(loss.gradient([1.0, 2.0])) is np.ndarray
    assert loss.gradient([1.0, 2.0]).tolist() == [1.0, 2.0]


def test_a_black_box_may_be_in_single_precision():
    with pytest.warns(UserWarning, match="float32"):
        loss = bea.black_box(lambda t: gradient(t).astype(np.float32), D)
        found = loss.hessian(POINT)
    np.testing.assert_allclose(found, bea.NumericLoss(D, None, gradient).hessian(POINT), atol=2e-4)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_what_is_not_installed_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'pip install "bea-book\[{name}\]"'):
        getattr(bea, f"from_{name}")(value, D)


def test_what_a_jax_function_reads_is_kept_as_it_was():
    """Value, gradient, derivatives and batches are compiled apart, but from the data at the first call."""
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed; pip install bea-book[jax]")
    for first in ("value", "gradient", "hessian"):
        data, scale = np.array([1.0, 3.0]), {"by": 1.0}
        loss = bea.from_jax(lambda t, d=data, s=scale: s["by"] * jnp.sum(jnp.asarray(d) * t * t) / 2, 2)
        getattr(loss, first)([1.0, 2.0])
        data *= 2
        scale["by"] = 5.0
        assert loss.value([1.0, 2.0]) == 6.5
        assert loss.gradient([[1.0, 2.0]] * 2).tolist() == [[1.0, 6.0]] * 2
        assert loss.hessian([1.0, 2.0]).tolist() == [[1.0, 0.0], [0.0, 3.0]]
        assert pickle.loads(pickle.dumps(bea.from_jax(np.sum, 2))) == bea.from_jax(np.sum, 2)


@pytest.mark.parametrize("wrong", [lambda t: (t.sum(), t), lambda t: t, lambda t: None, lambda t: "word"])
def test_a_jax_function_must_return_a_scalar(wrong):
    pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    with pytest.raises((TypeError, ValueError)):
        bea.from_jax(wrong, 2).gradient([1.0, 2.0])


def test_a_jax_function_may_read_a_random_key():
    jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    for key in (jax.random.key(3), jax.random.PRNGKey(3)):
        loss = bea.from_jax(lambda t, key=key: (jax.random.normal(key, (2,)) * t**2).sum(), 2)
        np.testing.assert_allclose(loss.hessian([0.6, 0.9]) @ [0.6, 0.9], loss.gradient([0.6, 0.9]), rtol=1e-13)


def semi_gradient(name):
    """A loss part of which is held fixed where its gradient is taken: that is 2 t (1 + t^2)."""
    if name == "jax":
        jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
        return bea.from_jax(lambda t: (jax.lax.stop_gradient(1 + t**2) * t**2).sum(), 2)
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return bea.from_torch(lambda t: ((1 + t**2).detach() * t**2).sum(), 2)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_derivatives_of_another_gradient_are_refused(name):
    """What to do instead has two right terms; runs need no derivatives."""
    loss, point = semi_gradient(name), np.array([0.6, 0.9])
    expected = 2 * point * (1 + point**2)
    np.testing.assert_allclose(loss.gradient(point), expected, rtol=1e-14)
    np.testing.assert_allclose(bea.run(bea.gradient_descent(), loss, point, 0.1, 1)[1], point - 0.1 * expected)
    for ask in (loss.hessian, bea.modified_equation(bea.gradient_descent(), loss, 2).coefficients):
        with pytest.raises(ValueError, match="stop_gradient, custom_jvp, detach.* does not belong to the gradient"):
            ask(point)
    instead = bea.black_box(loss.gradient_code, 2)
    found = bea.modified_equation(bea.gradient_descent(), instead, 2).coefficients(point)
    np.testing.assert_allclose(found, [-expected, -(1 + 3 * point**2) * expected], rtol=1e-9)


def test_rounding_whose_derivative_is_set_to_one_is_refused():
    jax = pytest.importorskip("jax", reason="jax is not installed; pip install bea-book[jax]")
    rounded = jax.custom_jvp(lambda t: jax.numpy.round(4 * t) / 4)
    rounded.defjvp(lambda t, v: (rounded(*t), v[0]))
    with pytest.raises(ValueError, match="does not belong"):
        bea.from_jax(lambda t: (rounded(t) ** 2).sum(), 2).hessian([0.6, 0.9])


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_network_with_kinks_is_not_refused(name):
    """At its start, where all biases are 0 and so many units are at their kink."""
    sizes, x = (24, 6), RNG.normal(size=(20, 4))
    start = np.concatenate([RNG.normal(size=sizes[0]) / 2, np.zeros(sizes[1])])
    x[:5] = 0.0
    if name == "jax":
        jnp = pytest.importorskip("jax.numpy", reason="jax is not installed; pip install bea-book[jax]")
        loss = bea.from_jax(lambda t: (jnp.maximum(x @ t[:24].reshape(4, 6) + t[24:], 0) ** 2).mean(), 30)
    else:
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        data = torch.tensor(x)
        loss = bea.from_torch(lambda t: (torch.relu(data @ t[:24].reshape(4, 6) + t[24:]) ** 2).mean(), 30)
    assert np.isfinite(loss.hessian(start)).all()


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda t: None, "NoneType"),
        (lambda t: 1.0, "float"),
        (lambda t: t.sum().detach().numpy()[()], "float64"),
        (lambda t: (t.sum(), t), "tuple"),
        (lambda t: t * t, r"Tensor of shape \(2,\)"),
        (lambda t: t.sum()[None], r"Tensor of shape \(1,\)"),
    ],
)
def test_a_torch_function_must_return_a_scalar_tensor(wrong, words):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    loss = bea.from_torch(wrong, 2)
    for ask in (loss.value, loss.gradient, loss.hessian) if words != "float64" else (loss.value,):
        with pytest.raises(TypeError, match=f"the function returned a {words}; .* must return a tensor of shape"):
            ask([1.0, 1.0])
    with pytest.raises(TypeError, match=f"the function returned a {words}"):
        loss.value([[1.0, 1.0], [2.0, 3.0]])


def test_what_torch_differentiates_too_seldom_says_so():
    """Its mean square has two derivatives in which both arguments change, not three; written out it has all."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theta = np.array([0.6, 0.9])
    three, again = (
        bea.modified_equation(bea.gradient_descent(), bea.from_torch(function, 2), 3)
        for function in (lambda t: torch.nn.functional.mse_loss(t, t**2), lambda t: ((t - t**2) ** 2).mean())
    )
    assert np.isfinite(again.coefficients(theta)).all()
    with pytest.raises(ValueError, match="PyTorch .*ZeroTensors.*; write .*bea.black_box"):
        three.coefficients(theta)
    instead = bea.black_box(three.loss.gradient_code, 2)
    found = bea.modified_equation(bea.gradient_descent(), instead, 3).coefficients(theta)
    np.testing.assert_allclose(found, again.coefficients(theta), rtol=1e-7)


def test_a_module_is_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(TypeError, match="a function of one vector"):
        bea.from_torch(torch.nn.Linear(2, 1), 3)
