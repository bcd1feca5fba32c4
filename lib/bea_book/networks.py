r"""Small neural networks on real data, behind the interface of :mod:`bea.losses`.

A network is layers of :math:`\tanh`, the last one linear, and a softmax; its loss is the mean
cross-entropy.  If its features come as several patches of one image, all patches share the weights
of the first layer, and the network is convolutional.  Gradients are written out by hand
(backpropagation), and so are their derivatives along a direction, the Hessian-vector products
(Pearlmutter, Neural Computation 6, 1994, 147-160).  The code is analytic, so that complex steps can
check it.

All parameters stand in one vector: for each layer its weights, row by row, then its biases.  Many
points :math:`\theta` (seeds, settings of an optimizer) are computed at once.
"""

from dataclasses import dataclass

import numpy as np

from bea.losses import NumericLoss
from bea.series import whole

__all__ = ["Network", "patches"]


@dataclass(frozen=True)
class Network:
    r"""A network with tanh layers and softmax cross-entropy.

    Raises ValueError if a width or ``patches`` is no positive whole number, or a layer is missing.

    Parameters
    ----------
    widths : the number of inputs (of one patch), of units in each hidden layer, and of classes
    patches : how many patches share the first layer; their units all feed the second one

    Examples
    --------
    >>> network = Network((64, 32, 10))
    >>> network.dimension
    2410
    >>> Network((9, 6, 10), patches=36).dimension   # 6 filters of 3 x 3, then 36 * 6 units to 10
    2230

    With all parameters zero every one of K classes is as likely, and the loss is ln K:

    >>> loss = network.loss(np.ones((5, 64)), [0, 1, 2, 3, 4])
    >>> round(loss.value(np.zeros(2410)).item(), 6)    # ln 10
    2.302585
    """

    widths: tuple
    patches: int = 1

    def __post_init__(self):
        object.__setattr__(self, "widths", tuple(self.widths))
        numbers = (*self.widths, self.patches)
        if not all(
            isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k > 0 for k in numbers
        ):
            raise ValueError(
                f"widths = {self.widths} and patches = {self.patches!r} must be positive whole numbers"
            )
        if len(self.widths) < (2 if self.patches == 1 else 3):
            raise ValueError(
                f"widths = {self.widths} are too few: inputs and classes are needed, and a layer between them if there are patches"
            )

    @property
    def shapes(self):
        """(inputs, outputs) of each layer, without the biases."""
        inputs = list(self.widths[:-1])
        if len(inputs) > 1:
            inputs[1] *= self.patches
        return tuple(zip(inputs, self.widths[1:]))

    @property
    def dimension(self):
        """The number of parameters, d."""
        return sum((inputs + 1) * outputs for inputs, outputs in self.shapes)

    def start(self, rng):
        """Random parameters, shape (d,): weights with the variance 1/inputs, no biases."""
        if not isinstance(rng, (np.random.Generator, np.random.RandomState)):
            raise TypeError(
                f"a random generator such as np.random.default_rng(0) is needed, not {rng!r}"
            )
        layers = [
            np.vstack([rng.normal(scale=i**-0.5, size=(i, o)), np.zeros(o)]) for i, o in self.shapes
        ]
        return np.concatenate([layer.ravel() for layer in layers])

    def loss(self, features, labels):
        r"""The mean of :math:`-\ln p_{\mathrm{label}}` over the examples, a
        :class:`bea.losses.NumericLoss`.

        ``features`` of shape (examples, inputs), or (examples, patches, inputs); ``labels`` whole
        numbers from 0 to the number of classes minus one.  Raises ValueError if they do not fit.
        """
        features = self._checked(features)
        try:
            labels = np.asarray(labels)
        except ValueError:  # rows of different lengths
            labels = np.empty(0)
        if (
            labels.shape != features.shape[:1]
            or labels.dtype.kind not in "iu"
            or labels.min() < 0
            or labels.max() >= self.widths[-1]
        ):
            raise ValueError(
                f"labels must be {len(features)} whole numbers from 0 to {self.widths[-1] - 1}, one for each example"
            )
        hit = np.zeros((self.widths[-1], len(labels)))
        hit[labels, np.arange(len(labels))] = 1
        rows = self._rows(features)
        # Once an array of nearly 32 MB was made and dropped, glibc keeps freed memory of that size.
        # Else it returns the arrays of each gradient to the system, which takes longer than to fill them.
        np.empty(2**22 - 2**10)

        def value(theta):
            scores = self._forward(theta, rows)[-1]
            return _like(theta, -(hit * _log_softmax(scores)).sum(axis=(1, 2)) / len(labels))

        def gradient(theta):
            first, *later = self._forward(theta, rows)
            delta = _softmax(later.pop())
            delta -= hit
            delta /= len(labels)
            found = []
            for w, x in zip(reversed(self._layers(theta)[1:]), reversed(later)):
                found += [delta.sum(axis=2), x @ delta.swapaxes(1, 2)]  # of the biases, the weights
                delta = w[:, :-1] @ delta
                x *= x  # in place, here and below: memory is what takes the time
                delta *= np.subtract(1, x, out=x)  # x was a tanh
            delta = delta.reshape(len(delta), self.widths[1], -1)  # a column for each patch again
            found.append(first @ delta.swapaxes(1, 2))
            parts = [part.reshape(len(part), -1) for part in reversed(found)]
            return _like(theta, np.concatenate(parts, axis=1).T)

        def hessian_vector(theta, v):
            """The gradient's derivative along ``v``, product by product; ``d_x`` is that of ``x``."""
            first, *later = self._forward(theta, rows)
            d_later = self._forward_along(theta, v, [first, *later])
            p, d_scores = _softmax(later.pop()), d_later.pop()
            delta = (p - hit) / len(labels)
            d_delta = p * (d_scores - (p * d_scores).sum(axis=1, keepdims=True)) / len(labels)
            layers = zip(self._layers(theta)[1:], self._layers(v)[1:], later, d_later)
            found = []
            for w, d_w, x, d_x in reversed(list(layers)):
                product = x @ d_delta.swapaxes(1, 2)
                product += d_x @ delta.swapaxes(1, 2)
                found += [d_delta.sum(axis=2), product]
                back, d_back = w[:, :-1] @ delta, w[:, :-1] @ d_delta
                d_back += d_w[:, :-1] @ delta
                d_x *= 2 * x * back
                x *= x
                slope = np.subtract(1, x, out=x)
                delta = np.multiply(back, slope, out=back)
                d_back *= slope
                d_delta = np.subtract(d_back, d_x, out=d_back)
            d_delta = d_delta.reshape(len(d_delta), self.widths[1], -1)
            found.append(first @ d_delta.swapaxes(1, 2))
            parts = [part.reshape(len(part), -1) for part in reversed(found)]
            return _like(theta, np.concatenate(parts, axis=1).T)

        # As many points at once as leave a layer's numbers in the processor's cache.
        size = max(1, 2**16 // (max(self.widths[1:]) * rows.shape[2]))
        return NumericLoss(
            self.dimension,
            *(_in_groups(size, code) for code in (value, gradient, hessian_vector)),
        )

    def predict(self, theta, features):
        """The most likely class of each example: shape (examples,) or (batch, examples)."""
        points = _numbers("theta", theta)
        if points.ndim not in (1, 2) or points.shape[-1] != self.dimension or not points.size:
            raise ValueError(
                f"theta of shape {points.shape} was given; allowed are ({self.dimension},) and (batch, {self.dimension})"
            )
        points = np.moveaxis(points, -1, 0)
        scores = self._forward(points, self._rows(self._checked(features)))[-1]
        return scores.argmax(axis=1).reshape(*points.shape[1:], -1)

    def _checked(self, features):
        features = _numbers("features", features)
        wanted = (self.patches, self.widths[0])
        if features.ndim == 2 and self.patches == 1:
            features = features[:, None]
        if features.ndim != 3 or features.shape[1:] != wanted or not len(features):
            raise ValueError(
                f"features of shape {features.shape} were given; allowed is (examples, {wanted[0]}, {wanted[1]}), or without the {wanted[0]} if it is 1"
            )
        return features

    def _rows(self, features):
        """A row for each input, and one of ones, which the biases multiply; the columns run through
        all examples' first patches, then their second ones, and so on."""
        rows = np.ones((1, self.widths[0] + 1, self.patches * len(features)))
        rows[0, :-1] = features.transpose(2, 1, 0).reshape(self.widths[0], -1)
        return rows

    def _layers(self, theta):
        """The layers' parameters, each (batch, inputs + 1, outputs) with the biases last."""
        points = np.ascontiguousarray(theta.reshape(len(theta), -1).T)
        found, end = [], 0
        for i, o in self.shapes:
            begin, end = end, end + (i + 1) * o
            found.append(points[:, begin:end].reshape(len(points), i + 1, o))
        return found

    def _forward(self, theta, rows):
        """What enters each layer, (batch, inputs, columns), and the scores that leave the last."""
        layers = self._layers(theta)
        inputs = [rows]
        for k, w in enumerate(layers):
            if k == 0:
                x = w.swapaxes(1, 2) @ rows
            else:
                x = w[:, :-1].swapaxes(1, 2) @ inputs[-1]
                x += w[:, -1, :, None]
            if k < len(layers) - 1:
                _tanh(x)
            if k == 0:  # a column for each example: all its patches below one another
                x = x.reshape(len(x), -1, rows.shape[2] // self.patches)
            inputs.append(x)
        return inputs

    def _forward_along(self, theta, v, inputs):
        """The derivatives along ``v`` of what `_forward` returned, but for the rows of inputs, which
        do not depend on theta."""
        layers = list(zip(self._layers(theta), self._layers(v), inputs, inputs[1:]))
        found = []
        for k, (w, d_w, x, y) in enumerate(layers):
            if k == 0:
                d_y = (d_w.swapaxes(1, 2) @ x).reshape(y.shape)
            else:
                d_y = d_w[:, :-1].swapaxes(1, 2) @ x
                d_y += d_w[:, -1, :, None]
                d_y += w[:, :-1].swapaxes(1, 2) @ found[-1]
            if k < len(layers) - 1:
                slope = y * y
                d_y *= np.subtract(1, slope, out=slope)  # y was a tanh
            found.append(d_y)
        return found


def patches(images, size, stride=1):
    """The square patches of images, as features: (examples, height, width) to (examples, patches,
    size * size).

    Raises ValueError if a patch does not fit into an image.

    Examples
    --------
    >>> patches(np.arange(16.0).reshape(1, 4, 4), size=2, stride=2)[0].tolist()[0]
    [0.0, 1.0, 4.0, 5.0]
    """
    images = _numbers("images", images)
    size, stride = whole("size", size, 1), whole("stride", stride, 1)
    if images.ndim != 3 or size > min(images.shape[1:]):
        raise ValueError(
            f"images of shape {images.shape} have no patches of size {size} and stride {stride}; "
            "needed are (examples, height, width), a size that fits in, and a stride of 1 or more"
        )
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    return windows[:, ::stride, ::stride].reshape(len(images), -1, size * size)


def _numbers(name, values):
    """``values`` as an array of floats."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" or isinstance(values, np.ma.MaskedArray):
            raise TypeError(f"{array.dtype} is not a type of real numbers")
    except (TypeError, ValueError) as problem:
        raise TypeError(f"{name} must be an array of real numbers, not {values!r}") from problem
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite")
    return array.astype(float)


def _in_groups(size, code):
    """The same function, with at most ``size`` points at a time."""

    def grouped(*points):  # theta, or theta and v
        if points[0].ndim == 1 or points[0].shape[1] <= size:
            return code(*points)
        starts = range(0, points[0].shape[1], size)
        return np.concatenate(
            [code(*(p[:, a : a + size] for p in points)) for a in starts], axis=-1
        )

    return grouped


def _tanh(x):
    """In place; of real numbers by :math:`2/(1 + e^{-2x}) - 1`, which is twice as fast."""
    if np.iscomplexobj(x):
        return np.tanh(x, out=x)
    x *= -2
    with np.errstate(over="ignore"):  # e^710 is inf, and 2/inf - 1 is right
        np.exp(x, out=x)
    x += 1
    np.divide(2, x, out=x)
    x -= 1
    return x


def _log_softmax(scores):
    """In place; shifted by the largest real part, which changes nothing and keeps exp from
    overflowing."""
    scores -= scores.real.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return scores


def _softmax(scores):
    """In place, shifted likewise."""
    scores -= scores.real.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _like(theta, values):
    """Values for (..., batch), without the last axis if ``theta`` is a single point."""
    return values[..., 0] if theta.ndim == 1 else values
