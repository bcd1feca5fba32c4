r"""Small neural networks on real data, as losses of ``bea``.

A network has layers of :math:`\tanh`, a linear last layer and a softmax; its loss is the mean
cross-entropy.  If the features are several patches of one image, all patches share the weights of
the first layer, and the network is convolutional.  Gradients are written by hand
(backpropagation), and so are Hessian-vector products (Pearlmutter, Neural Computation 6, 1994,
147-160).  The code is analytic, so that complex steps can check it.

All parameters are in one vector: for each layer its weights, row by row, then its biases.  Many
points :math:`\theta` (seeds, configurations of an optimizer) are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bea._validate import whole
from bea.losses import NumericLoss

__all__ = ["Network", "patches"]

Layers = list[np.ndarray]  # of each layer (batch, inputs + 1, outputs), with the biases last


@dataclass(frozen=True)
class Network:
    r"""A network with tanh layers and softmax cross-entropy.

    Parameters
    ----------
    widths : sequence of int
        The numbers of inputs (of one patch), of units in each hidden layer, and of classes.
    patches : int
        How many patches share the first layer; their units all feed the second one.

    Raises
    ------
    TypeError, ValueError
        If a width or `patches` is not a positive whole number, or a layer is missing.

    Examples
    --------
    >>> network = Network((64, 32, 10))
    >>> network.dimension
    2410
    >>> Network((9, 6, 10), patches=36).dimension   # 6 filters of 3 x 3, then 36 * 6 units to 10
    2230

    With all parameters zero all K classes are equally likely, and the loss is ln K:

    >>> loss = network.loss(np.ones((5, 64)), [0, 1, 2, 3, 4])
    >>> round(loss.value(np.zeros(2410)).item(), 6)    # ln 10
    2.302585
    """

    widths: Sequence[int]
    patches: int = 1

    def __post_init__(self) -> None:
        widths = tuple(whole("a width", width, 1) for width in self.widths)
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "patches", whole("patches", self.patches, 1))
        least = 2 if self.patches == 1 else 3
        if len(widths) < least:
            raise ValueError(
                f"widths = {widths} must be at least {least} numbers: inputs and classes, and a "
                "layer between them if there are patches"
            )

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The numbers of inputs and outputs of each layer."""
        inputs = list(self.widths[:-1])
        inputs[1:2] = [units * self.patches for units in inputs[1:2]]
        return tuple(zip(inputs, self.widths[1:]))

    @property
    def dimension(self) -> int:
        """The number of parameters, d."""
        return sum((inputs + 1) * outputs for inputs, outputs in self.shapes)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Return random parameters, shape (d,): weights of variance 1/inputs, biases 0.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        ndarray

        Examples
        --------
        >>> Network((2, 1)).start(np.random.default_rng(0)).round(4).tolist()
        [0.0889, -0.0934, 0.0]
        """
        layers = [np.pad(rng.normal(size=s) / s[0] ** 0.5, ((0, 1), (0, 0))) for s in self.shapes]
        return np.concatenate([layer.ravel() for layer in layers])

    def loss(self, features: Any, labels: Any) -> NumericLoss:
        r"""Return the mean of :math:`-\ln p_{\mathrm{label}}` over the examples.

        Parameters
        ----------
        features : array of shape (examples, inputs), or (examples, patches, inputs)
        labels : array of shape (examples,)
            The class of each example, a whole number from 0 to the number of classes minus one.

        Returns
        -------
        bea.NumericLoss
            With a Hessian-vector product, so that modified equations with two terms need no
            derivatives by differences.

        Raises
        ------
        TypeError, ValueError
            If features or labels do not fit the network or each other.
        """
        rows = self._rows(features)
        classes, examples = self.widths[-1], rows.shape[2] // self.patches
        labels = np.asarray(labels)
        if labels.shape != (examples,) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels of shape {labels.shape} and type {labels.dtype} were given; needed are "
                f"{examples} whole numbers, one for each example (for names of classes use "
                "np.unique(labels, return_inverse=True)[1], for one-hot rows labels.argmax(axis=1))"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1} for {classes} classes")
        task = _Task(self, rows, np.eye(classes)[:, labels])
        np.empty(2**21)  # let go at once: the C library then keeps smaller memory for the next array, which saves time
        codes = (task.value, task.gradient, task.hessian_vector)
        return _NetworkLoss(self.dimension, *(partial(task.apply, code) for code in codes))

    def predict(self, theta: Any, features: Any) -> np.ndarray:
        """Return the most likely class of each example.

        Parameters
        ----------
        theta : array of shape (d,) or (batch, d)
        features : array, as for `loss`

        Returns
        -------
        ndarray of shape (examples,) or (batch, examples)
        """
        task = _Task(self, self._rows(features), np.empty(0))
        points = NumericLoss(self.dimension, None, task.gradient).components(theta)
        return task.apply(lambda layers: task.forward(layers)[1].argmax(axis=1), points).T

    def _rows(self, features: Any) -> np.ndarray:
        """Return a row for each input, and one of ones for the biases; the columns are the first
        patches of all examples, then the second ones, and so on."""
        x = _numbers("features", features)
        x = x[:, None] if x.ndim == 2 and self.patches == 1 else x
        if x.ndim != 3 or x.shape[1:] != (self.patches, self.widths[0]) or not x.size:
            middle = f"{self.patches}, " if self.patches > 1 else ""
            allowed = f"(examples, {middle}{self.widths[0]})"
            raise ValueError(f"features have the shape {np.shape(features)}; allowed is {allowed}")
        rows = x.transpose(2, 1, 0).reshape(1, self.widths[0], -1)
        return np.concatenate([rows, np.ones((1, 1, rows.shape[2]))], axis=1)


class _NetworkLoss(NumericLoss):
    """A loss whose code is known to take many points at once: it need not be asked at each new shape.

    The question costs several gradients, and mini-batches are many losses of one shape.
    """

    def _together(self, name: str, columns: Sequence[np.ndarray]) -> np.ndarray:
        return self._checked(name, *columns)


@dataclass(frozen=True, eq=False)
class _Task:
    """A network on data: its loss and derivatives, with the coordinate axis first."""

    network: Network
    rows: np.ndarray  # (1, inputs + 1, columns)
    hit: np.ndarray  # (classes, examples), 1 for the right class; empty without labels
    #: The point of the last gradient, and what passed there.
    last: list[tuple[Layers, tuple[Layers, np.ndarray]]] = field(default_factory=list)

    def value(self, layers: Layers) -> np.ndarray:
        scores = self.forward(layers)[1]
        scores -= np.real(scores).max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return (self.hit * scores).sum(axis=(1, 2)) / -self.hit.shape[1]

    def gradient(self, layers: Layers) -> np.ndarray:
        hidden, p = self._passed(layers)
        self.last[:] = [([w.copy() for w in layers], (hidden, p))]
        delta = (p - self.hit) / self.hit.shape[1]
        found = []
        for w, x in zip(layers[:0:-1], hidden[::-1]):
            found += [delta.sum(axis=2), x @ delta.swapaxes(1, 2)]  # of biases, of weights
            delta = w[:, :-1] @ delta
            slope = x * x
            delta *= np.subtract(1, slope, out=slope)  # in place: memory is what takes the time; x is a tanh
        return self._joined(found, delta)

    def hessian_vector(self, layers: Layers, d_layers: Layers) -> np.ndarray:
        """Return the derivative of the gradient along ``d_layers``, product by product."""
        # In a field the gradient at this point came just before.
        known = [
            passed
            for point, passed in self.last
            if point[0].dtype == layers[0].dtype and all(map(np.array_equal, point, layers))
        ]
        hidden, p = known[0] if known else self._passed(layers)
        d_hidden, slopes, d_scores = self._forward_along(layers, d_layers, hidden)
        delta = (p - self.hit) / self.hit.shape[1]
        d_delta = p * (d_scores - (p * d_scores).sum(axis=1, keepdims=True)) / self.hit.shape[1]
        found = []
        for w, d_w, x, d_x, slope in zip(layers[:0:-1], d_layers[:0:-1], hidden[::-1], d_hidden[::-1], slopes[::-1]):
            product = x @ d_delta.swapaxes(1, 2)
            product += d_x @ delta.swapaxes(1, 2)
            found += [d_delta.sum(axis=2), product]
            back, d_back = w[:, :-1] @ delta, w[:, :-1] @ d_delta
            d_back += d_w[:, :-1] @ delta
            d_x *= x
            d_x *= back
            delta = np.multiply(back, slope, out=back)
            d_back *= slope
            d_delta = np.subtract(d_back, np.multiply(2, d_x, out=d_x), out=d_back)
        return self._joined(found, d_delta)

    def _passed(self, layers: Layers) -> tuple[Layers, np.ndarray]:
        """Return what leaves each hidden layer, and the probabilities of the classes."""
        hidden, scores = self.forward(layers)
        return hidden, _softmax(scores)

    def forward(self, layers: Layers) -> tuple[Layers, np.ndarray]:
        """Return what leaves each hidden layer, (batch, units, examples), and the scores."""
        x, hidden = layers[0].swapaxes(1, 2) @ self.rows, []
        for w in layers[1:]:
            # a column for each example: all its patches below one another
            x = _tanh(x).reshape(len(x), w.shape[1] - 1, -1)
            hidden.append(x)
            x = w[:, :-1].swapaxes(1, 2) @ x
            x += w[:, -1, :, None]
        return hidden, x

    def _forward_along(self, layers: Layers, d_layers: Layers, hidden: Layers) -> tuple[Layers, Layers, np.ndarray]:
        """Return the derivatives of what `forward` returns along ``d_layers``, and of each tanh between them."""
        d_x, d_hidden, slopes = d_layers[0].swapaxes(1, 2) @ self.rows, [], []
        for w, d_w, x in zip(layers[1:], d_layers[1:], hidden):
            d_x = d_x.reshape(x.shape)
            slope = x * x
            d_x *= np.subtract(1, slope, out=slope)
            slopes.append(slope)
            d_hidden.append(d_x)
            d_x = w[:, :-1].swapaxes(1, 2) @ d_x
            d_x += d_w[:, :-1].swapaxes(1, 2) @ x
            d_x += d_w[:, -1, :, None]
        return d_hidden, slopes, d_x

    def _joined(self, found: Layers, delta: np.ndarray) -> np.ndarray:
        """Return the parts of a gradient, last layer first, and that of the first, as (batch, d)."""
        delta = delta.reshape(len(delta), self.network.widths[1], -1)  # a column for each patch
        found = [*found, self.rows @ delta.swapaxes(1, 2)]
        return np.concatenate([part.reshape(len(part), -1) for part in found[::-1]], axis=1)

    def apply(self, code: Callable[..., np.ndarray], *points: np.ndarray) -> np.ndarray:
        """Apply code for layers to points (d, ...), as many at once as the processor's cache takes."""
        flat = [np.ascontiguousarray(p.reshape(len(p), -1).T) for p in points]
        size = max(1, 2**16 // (max(self.network.widths[1:]) * self.rows.shape[2]))
        starts = range(0, len(flat[0]), size)
        parts = [code(*(self._layers(p[a : a + size]) for p in flat)) for a in starts]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found.T.reshape(found.shape[1:] + points[0].shape[1:])

    def _layers(self, points: np.ndarray) -> Layers:
        """Return the parameters (batch, d) of each layer."""
        layers, end = [], 0
        for inputs, outputs in self.network.shapes:
            begin, end = end, end + (inputs + 1) * outputs
            layers.append(points[:, begin:end].reshape(-1, inputs + 1, outputs))
        return layers


def patches(images: Any, size: int, stride: int = 1) -> np.ndarray:
    """Return the square patches of images, as features.

    Parameters
    ----------
    images : array of shape (examples, height, width)
    size : int
        The side of a patch.
    stride : int
        The distance between neighbouring patches.

    Returns
    -------
    ndarray of shape (examples, patches, size * size)

    Raises
    ------
    TypeError, ValueError
        If a patch does not fit into an image.

    Examples
    --------
    >>> patches(np.arange(16.0).reshape(1, 4, 4), size=2, stride=2)[0].tolist()[0]
    [0.0, 1.0, 4.0, 5.0]
    """
    images = _numbers("images", images)
    size, stride = whole("size", size, 1), whole("stride", stride, 1)
    if images.ndim != 3 or size > min(images.shape[1:]):
        raise ValueError(
            f"images of shape {images.shape} have no patches of size {size}; needed are "
            "(examples, height, width), and a size that is not larger than an image"
        )
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].reshape(len(images), -1, size * size)


def _numbers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array of real numbers, not of {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array.astype(float)


def _tanh(x: np.ndarray) -> np.ndarray:
    """Return the tanh, in place; for real numbers as 2/(1 + exp(-2x)) - 1, twice as fast."""
    if np.iscomplexobj(x):
        return np.tanh(x, out=x)
    x *= -2
    with np.errstate(over="ignore"):  # e^710 is inf, and 2/inf - 1 is right
        np.exp(x, out=x)
    x += 1
    np.divide(2, x, out=x)
    x -= 1
    return x


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Return the softmax, in place; the largest real part is subtracted, so exp cannot overflow."""
    scores -= np.real(scores).max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores
