"""Networks: the loss and its derivatives against their definitions, PyTorch and JAX."""

import pickle
from functools import partial

import numpy as np
import pytest
import sympy as sp

import bea
import bea_book

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 5))
IMAGES = RNG.normal(size=(7, 6, 5))
LABELS = np.array([0, 2, 1, 1, 0, 2, 2])
NETWORKS = {
    "one layer": (bea_book.Network((5, 3)), FEATURES),
    "two layers": (bea_book.Network((5, 4, 3)), FEATURES),
    "three layers": (bea_book.Network((5, 4, 6, 3)), FEATURES),
    "convolution": (bea_book.Network((6, 2, 3), patches=6), None),
    "deep convolution": (bea_book.Network((6, 2, 4, 3), patches=6), None),
}
# 3 x 2 patches, moved by one, kept by the six that start in the upper left corner
WINDOWS = np.array(
    [[[image[i : i + 3, j : j + 2].ravel() for j in range(3)] for i in range(2)] for image in IMAGES]
).reshape(7, 6, 6)


@pytest.fixture(params=NETWORKS)
def case(request):
    network, features = NETWORKS[request.param]
    features = WINDOWS if features is None else features
    theta = np.random.default_rng(1).normal(size=network.dimension)
    return network, features, network.loss(features, LABELS), theta


def layers(network, theta):
    """(weights, biases) of each layer, read off the vector one by one."""
    found, place = [], 0
    for inputs, outputs in network.shapes:
        w = theta[place : place + inputs * outputs].reshape(inputs, outputs)
        place += inputs * outputs
        found.append((w, theta[place : place + outputs]))
        place += outputs
    assert place == len(theta)
    return found


def scores_by_loops(network, theta, example):
    """The scores of one example, unit by unit: the first layer slides over the patches."""
    (w, b), *rest = layers(network, theta)
    patches = np.atleast_2d(example)
    x = [sum(p[i] * w[i, o] for i in range(len(p))) + b[o] for o in range(w.shape[1]) for p in patches]
    for w, b in rest:
        x = np.tanh(x)
        x = [sum(x[i] * w[i, o] for i in range(len(x))) + b[o] for o in range(w.shape[1])]
    return np.array(x)


def test_the_loss_is_its_definition(case):
    network, features, loss, theta = case
    logs = []
    for example, label in zip(features, LABELS):
        scores = scores_by_loops(network, theta, example)
        logs.append(-np.log(np.exp(scores[label]) / np.exp(scores).sum()))
    assert loss.value(theta) == pytest.approx(np.mean(logs), rel=1e-13)


def test_predictions_are_the_largest_scores(case):
    network, features, _, theta = case
    by_loops = [scores_by_loops(network, theta, example).argmax() for example in features]
    assert network.predict(theta, features).tolist() == by_loops
    assert network.predict(np.stack([theta, -theta]), features).shape == (2, 7)


def test_the_gradient_is_a_complex_step_of_the_value(case):
    _, _, loss, theta = case
    steps = [loss.value_code(theta + 1e-20j * unit).imag / 1e-20 for unit in np.eye(len(theta))]
    np.testing.assert_allclose(loss.gradient(theta), steps, rtol=1e-11, atol=1e-15)


def test_hessian_vector_products_are_complex_steps_of_the_gradient(case):
    _, _, loss, theta = case
    points = np.stack([theta, 0.3 * theta, -theta])
    v = np.random.default_rng(5).normal(size=points.shape)
    moved = loss.gradient_code((points + 1e-20j * v).T).imag.T / 1e-20
    np.testing.assert_allclose(loss.hessian_vector(points, v), moved, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(
        loss.hessian_vector(points, v[0])[2],
        loss.hessian_vector(-theta, v[0]),
        rtol=1e-11,
        atol=1e-15,
    )


def test_hessian_vector_products_are_differences_of_the_gradient(case):
    _, _, loss, theta = case
    v = np.random.default_rng(2).normal(size=len(theta))
    step = 1e-5
    difference = (loss.gradient(theta + step * v) - loss.gradient(theta - step * v)) / (2 * step)
    np.testing.assert_allclose(loss.hessian_vector(theta, v), difference, rtol=1e-6, atol=1e-8)
    hessian = loss.hessian(theta)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-13)
    np.testing.assert_allclose(hessian @ v, loss.hessian_vector(theta, v), rtol=1e-11, atol=1e-13)


def test_a_batch_is_its_points_one_by_one(case):
    network, _, loss, theta = case
    points = np.stack([theta, 0.3 * theta, -theta])
    before = points.copy()
    np.testing.assert_allclose(loss.value(points), [loss.value(p) for p in points], rtol=1e-14)
    np.testing.assert_allclose(loss.gradient(points), [loss.gradient(p) for p in points], rtol=1e-12, atol=1e-16)
    assert (points == before).all()


def test_one_point_has_the_bits_that_it_has_in_a_batch(case):
    _, _, loss, theta = case
    points, v = np.linspace(-1, 1, 5)[:, None] * theta, np.random.default_rng(6).normal(size=5)
    directions = v[:, None] * np.ones_like(theta)
    alone = [loss.hessian_vector(p, d) for p, d in zip(points, directions)]
    np.testing.assert_array_equal(loss.hessian_vector(points, directions), alone)
    np.testing.assert_array_equal(loss.gradient(points), [loss.gradient(p) for p in points])
    np.testing.assert_array_equal(loss.value(points), [loss.value(p) for p in points])


def test_bits_do_not_depend_on_groups():
    """With 3000 examples one point fits into the cache at a time, with 300 seven do."""
    data = np.random.default_rng(7).normal(size=(3000, 2))
    some = np.random.default_rng(8).normal(size=(15, 90))
    for count in (3000, 300):
        loss = bea_book.Network((2, 30)).loss(data[:count], (data[:count, 0] > 0).astype(int))
        np.testing.assert_array_equal(loss.gradient(some), [loss.gradient(p) for p in some])
        np.testing.assert_array_equal(loss.value(some), [loss.value(p) for p in some])


def test_losses_are_pickled(case):
    _, _, loss, theta = case
    again = pickle.loads(pickle.dumps(loss))
    np.testing.assert_array_equal(again.gradient(theta), loss.gradient(theta))


def test_two_terms_of_a_modified_equation(case):
    r"""Gradient descent: :math:`f_0 = -\nabla E` and :math:`f_1 = -\tfrac12 H\nabla E`."""
    _, _, loss, theta = case
    first, second = bea.modified_equation(bea.gradient_descent(), loss, 2).coefficients(theta)
    g = loss.gradient(theta)
    product = loss.gradient_code(theta + 1e-20j * g).imag / 1e-20
    np.testing.assert_array_equal(first, -g)
    np.testing.assert_allclose(second, -product / 2, rtol=1e-11, atol=1e-15)


def test_two_terms_cost_a_gradient_and_a_product(monkeypatch):
    network, calls = bea_book.Network((5, 4, 3)), []
    task = bea_book.networks._Task

    for name in ("gradient", "hessian_vector"):
        code = getattr(task, name)

        def counted(self, *layers, code=code, name=name):
            calls.append(name)
            return code(self, *layers)

        monkeypatch.setattr(task, name, counted)
    loss, theta = network.loss(FEATURES, LABELS), np.ones(network.dimension)
    loss.hessian_vector(theta, theta)  # the first is compared with differences of the gradient
    calls.clear()
    bea.modified_equation(bea.gradient_descent(), loss, 2).coefficients(2 * theta)
    assert sorted(set(calls)) == ["gradient", "hessian_vector"] and len(calls) <= 3


def test_adams_two_terms_are_those_of_jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed (make peers)")
    network = bea_book.Network((5, 4, 3))
    theta = np.random.default_rng(9).normal(size=network.dimension)
    ours = network.loss(FEATURES, LABELS)
    adam = bea.adam(0.9, 0.99, 1e-6)
    with jax.enable_x64(True):
        theirs = bea.from_jax(partial(value_by_jax, network, FEATURES), network.dimension)
        wanted = bea.modified_equation(adam, theirs, 2).coefficients(theta)
    found = bea.modified_equation(adam, ours, 2).coefficients(theta)
    for mine, other in zip(found, wanted):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


def test_calls_leave_no_trace(case):
    """The code works in place; neither data nor parameters may change."""
    _, _, loss, theta = case
    first = loss.value(theta), loss.gradient(theta)
    again = loss.value(theta), loss.gradient(theta)
    assert first[0] == again[0] and (first[1] == again[1]).all()


def test_products_do_not_depend_on_which_gradient_came_before(case):
    """A product uses what the last gradient has passed through the network, if the point is still the same."""
    network, features, loss, theta = case
    v = np.random.default_rng(2).normal(size=network.dimension)

    def alone(point):
        return network.loss(features, LABELS).hessian_vector(point, v)

    point = theta.copy()
    for change in (0.0, 0.25, 0.0, -0.5):
        point += change  # in place: the array is the same one
        np.testing.assert_array_equal(loss.hessian_vector(point, v), alone(point))
        loss.gradient(point)
        np.testing.assert_array_equal(loss.hessian_vector(point, v), alone(point))
        loss.gradient_code(point + 0j)  # the same point, with complex numbers
        np.testing.assert_array_equal(loss.hessian_vector(point, v), alone(point))
        loss.gradient(np.stack([point, 2 * point]))
        np.testing.assert_array_equal(loss.hessian_vector(point, v), alone(point))


def test_a_small_network_is_its_formula():
    """Two inputs, one hidden unit, two classes: value and gradient by SymPy."""
    x, labels = np.array([[0.3, -1.0], [1.2, 0.4]]), [0, 1]
    t = sp.symbols("t_1:8")
    terms = []
    for example, label in zip(x, labels):
        hidden = sp.tanh(t[0] * example[0] + t[1] * example[1] + t[2])
        scores = (hidden * t[3] + t[5], hidden * t[4] + t[6])
        terms.append(sp.log(sum(sp.exp(s) for s in scores)) - scores[label])
    formula = bea.Loss(sp.Add(*terms) / 2, t)
    loss = bea_book.Network((2, 1, 2)).loss(x, labels)
    theta = np.linspace(-1, 1.4, 7)
    assert loss.value(theta) == pytest.approx(formula.value(theta), rel=1e-13)
    np.testing.assert_allclose(loss.gradient(theta), formula.gradient(theta), rtol=1e-12)
    np.testing.assert_allclose(loss.hessian(theta), formula.hessian(theta), rtol=1e-11, atol=1e-15)


def test_large_scores_neither_overflow_nor_warn():
    loss = bea_book.Network((1, 3)).loss(np.array([[1.0], [1.0]]), [0, 1])
    theta = np.array([2000.0, 0.0, -2000.0, 0.0, 0.0, 0.0])
    assert loss.value(theta) == pytest.approx(1000)
    assert np.isfinite(loss.gradient(theta)).all()


def test_the_start_has_the_stated_variances():
    network = bea_book.Network((100, 80, 10))
    (w, b), (v, c) = layers(network, network.start(np.random.default_rng(3)))
    assert w.std() == pytest.approx(0.1, rel=0.05) and v.std() == pytest.approx(80**-0.5, rel=0.1)
    assert not b.any() and not c.any()


def test_patches_are_windows():
    np.testing.assert_array_equal(bea_book.patches(IMAGES, 3, 2)[:, 1], IMAGES[:, 0:3, 2:5].reshape(7, 9))
    assert bea_book.patches(IMAGES, 2).shape == (7, 20, 4)


@pytest.mark.parametrize("make", [
    lambda: bea_book.Network((5,)),
    lambda: bea_book.Network((5, 0, 3)),
    lambda: bea_book.Network((5, 3.0)),
    lambda: bea_book.Network((5, 3), patches=4),
    lambda: bea_book.Network((5, 4, 3), patches=True),
    lambda: bea_book.Network((5, 3)).loss(FEATURES[:, :4], LABELS),
    lambda: bea_book.Network((5, 3)).loss(FEATURES.astype(str), LABELS),
    lambda: bea_book.Network((5, 3)).loss(FEATURES * np.nan, LABELS),
    lambda: bea_book.Network((5, 3)).loss(FEATURES, LABELS[:-1]),
    lambda: bea_book.Network((5, 2)).loss(FEATURES, LABELS),
    lambda: bea_book.Network((5, 3)).loss(FEATURES, LABELS.astype(float)),
    lambda: bea_book.Network((5, 3)).predict(np.zeros(3), FEATURES),
    lambda: bea_book.Network((6, 2, 3), patches=5).loss(WINDOWS, LABELS),
    lambda: bea_book.patches(IMAGES, 2, 0),
])  # fmt: skip
def test_what_does_not_fit_is_refused(make):
    with pytest.raises((ValueError, TypeError)):
        make()


@pytest.mark.parametrize("labels", [[str(k) for k in LABELS], np.eye(3)[LABELS]])
def test_names_and_one_hot_rows_are_refused_with_advice(labels):
    with pytest.raises(ValueError, match="return_inverse=True.* for one-hot rows labels.argmax"):
        bea_book.Network((5, 3)).loss(FEATURES, labels)


@pytest.mark.parametrize("images, size", [(IMAGES, 7), (IMAGES, 6), (IMAGES[0], 2), (IMAGES[None], 2)])
def test_images_without_such_patches_are_refused(images, size):
    with pytest.raises(ValueError, match=f"have no patches of size {size}"):
        bea_book.patches(images, size)


def test_pytorchs_loss_and_gradient(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make peers)")
    network, features, loss, theta = case
    t = torch.tensor(theta, requires_grad=True)
    x, place = torch.tensor(features), 0
    for k, (i, o) in enumerate(network.shapes):
        w, b = t[place : place + i * o].reshape(i, o), t[place + i * o : place + (i + 1) * o]
        place += (i + 1) * o
        x = x @ w + b
        x = torch.tanh(x) if k < len(network.shapes) - 1 else x
        if k == 0 and network.patches > 1:
            x = x.transpose(1, 2).reshape(len(LABELS), -1)
    value = torch.nn.functional.cross_entropy(x, torch.tensor(LABELS))
    value.backward()
    assert loss.value(theta) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(loss.gradient(theta), t.grad.numpy(), rtol=1e-10, atol=1e-14)


def value_by_jax(network, features, theta):
    import jax

    x, place = jax.numpy.array(features), 0
    for k, (i, o) in enumerate(network.shapes):
        w, b = (
            theta[place : place + i * o].reshape(i, o),
            theta[place + i * o : place + (i + 1) * o],
        )
        place += (i + 1) * o
        x = x @ w + b
        x = jax.numpy.tanh(x) if k < len(network.shapes) - 1 else x
        if k == 0 and network.patches > 1:
            x = jax.numpy.swapaxes(x, 1, 2).reshape(len(LABELS), -1)
    return -jax.nn.log_softmax(x)[jax.numpy.arange(len(LABELS)), LABELS].mean()


def test_jaxs_gradient_and_hessian_vector_product(case):
    jax = pytest.importorskip("jax", reason="JAX is not installed (make peers)")
    network, features, loss, theta = case
    value = partial(value_by_jax, network, features)
    v = np.random.default_rng(4).normal(size=len(theta))
    with jax.enable_x64(True):
        point = jax.numpy.array(theta)
        gradient, along = jax.jvp(jax.grad(value), (point,), (jax.numpy.array(v),))
        np.testing.assert_allclose(loss.value(theta), value(point), rtol=1e-12)
        np.testing.assert_allclose(loss.gradient(theta), gradient, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(loss.hessian_vector(theta, v), along, rtol=1e-9, atol=1e-13)
