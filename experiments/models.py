"""Four small models in JAX: one function each from a vector of all parameters and data to the loss.

A model is a pure function of the parameters, so that any number of derivatives, a GPU or
:func:`bea.from_jax` can take it.  All are smooth; ``resnet-relu`` is the one with kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from experiments import data

jax.config.update("jax_enable_x64", True)
Array = Any
Layers = dict[str, Array]


def dense(p: Layers, name: str, x: Array) -> Array:
    return x @ p[name] + p[name + "_bias"]


def tanh_network(p: Layers, x: Array) -> Array:
    return dense(p, "out", jnp.tanh(dense(p, "in", x)))


def patches(x: Array, stride: int, axes: tuple[int, ...]) -> Array:
    """The 3 neighbours along each axis, padded by zeros, joined as features."""
    for axis in axes:
        size = x.shape[axis]
        wide = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)])
        parts = [jax.lax.slice_in_dim(wide, k, k + size, stride, axis) for k in range(3)]
        x = jnp.concatenate(parts, axis=-1)
    return x


def normalized(x: Array, axes: tuple[int, ...], small: float = 1e-5) -> Array:
    """Subtract the mean and divide by the standard deviation of each example."""
    x = x - x.mean(axis=axes, keepdims=True)
    return x / jnp.sqrt((x * x).mean(axis=axes, keepdims=True) + small)


def residual_network(p: Layers, x: Array, activation: Callable[[Array], Array]) -> Array:
    """Two residual blocks of 8 channels on 4 x 4, with group normalization (one group), and a last layer."""
    x = x.reshape(-1, 7, 2, 7, 2).mean(axis=(2, 4))[..., None]
    x = dense(p, "stem", patches(x, 2, (1, 2)))
    for block in ("a", "b"):
        y = activation(normalized(x, (1, 2, 3)) * p[block + "_scale"])
        y = dense(p, block + "1", patches(y, 1, (1, 2)))
        y = activation(normalized(y, (1, 2, 3)) * p[block + "_scale2"])
        x = x + dense(p, block + "2", patches(y, 1, (1, 2)))
    return dense(p, "out", activation(normalized(x, (1, 2, 3))).reshape(x.shape[0], -1))


def convolution(p: Layers, x: Array) -> Array:
    """Three convolutions of width 3 and stride 2, with tanh, on series of length 40."""
    x = x[..., None]
    for name in ("a", "b", "c"):
        x = jnp.tanh(dense(p, name, patches(x, 2, (1,))))
    return dense(p, "out", x.reshape(x.shape[0], -1))


def transformer(p: Layers, x: Array) -> Array:
    """One layer, width 32, two heads, normalization before attention and before the hidden layer."""
    h = p["letters"][x] + p["places"]
    y = normalized(h, (2,)) * p["norm1"]
    q, k, v = (dense(p, name, y).reshape(*y.shape[:2], 2, 16) for name in "qkv")
    scores = jnp.einsum("blhd,bmhd->bhlm", q, k) / 4
    scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
    y = jnp.einsum("bhlm,bmhd->blhd", jax.nn.softmax(scores), v).reshape(h.shape)
    h = h + dense(p, "join", y)
    h = h + dense(p, "down", jax.nn.gelu(dense(p, "up", normalized(h, (2,)) * p["norm2"])))
    return dense(p, "out", normalized(h, (2,)) * p["norm3"])


@dataclass(frozen=True)
class Model:
    """A network, the shapes of its parameters, its data, and how many examples a seed trains on."""

    forward: Callable[[Layers, Array], Array]
    shapes: dict[str, tuple[int, ...]]
    source: str
    examples: int

    @cached_property
    def split(self) -> data.Split:
        return data.load(self.source)

    @property
    def seeds(self) -> int:
        """How many disjoint training subsets the data give."""
        return len(self.split[0]) // self.examples

    @cached_property
    def unravel(self) -> Callable[[Array], Layers]:
        return ravel_pytree({name: jnp.zeros(shape) for name, shape in self.shapes.items()})[1]

    def start(self, seed: int) -> np.ndarray:
        """Weights of variance 1/inputs, biases 0, scales 1."""
        rng, p = np.random.default_rng(seed), {}
        for name, shape in self.shapes.items():
            if len(shape) == 1:
                p[name] = np.zeros(shape) if name.endswith("_bias") else np.ones(shape)
            else:
                p[name] = rng.normal(size=shape) * (0.1 if name in ("letters", "places") else shape[0] ** -0.5)
        return np.asarray(ravel_pytree(p)[0])

    def train(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The training examples of a seed; no two seeds share one."""
        if seed >= self.seeds:
            raise ValueError(f"seed = {seed}: {self.source} has {self.seeds} subsets of {self.examples} examples")
        part = slice(seed * self.examples, (seed + 1) * self.examples)
        return self.split[0][part], self.split[1][part]

    def loss(self, theta: Array, x: Array, y: Array) -> Array:
        """Mean cross-entropy, over all places of all examples."""
        logits = jax.nn.log_softmax(self.forward(self.unravel(theta), x))
        return -jnp.take_along_axis(logits, y[..., None].astype(int), -1).mean()

    def accuracy(self, theta: Array, x: Array, y: Array) -> Array:
        """Percentage of right answers."""
        return 100 * (self.forward(self.unravel(theta), x).argmax(-1) == y).mean()

    def matrices(self, flat: Array, function: Callable[[Array], Array]) -> Array:
        """Apply a function to every matrix of parameters, and leave the others as they are."""
        return ravel_pytree({k: function(v) if v.ndim == 2 else v for k, v in self.unravel(flat).items()})[0]


def _with_biases(**sizes: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    return {k: v for name, s in sizes.items() for k, v in ((name, s), (name + "_bias", s[1:]))}


_RES = _with_biases(stem=(9, 8), a1=(72, 8), a2=(72, 8), b1=(72, 8), b2=(72, 8), out=(128, 10))
_RES |= {name: (8,) for name in ("a_scale", "a_scale2", "b_scale", "b_scale2")}
_TANH = _with_biases(**{"in": (64, 32), "out": (32, 10)})
_TRANS = {"letters": (37, 32), "places": (32, 32), "norm1": (32,), "norm2": (32,), "norm3": (32,)}
_TRANS |= _with_biases(q=(32, 32), k=(32, 32), v=(32, 32), join=(32, 32), up=(32, 64), down=(64, 32), out=(32, 37))
MODELS = {
    "tanh": Model(tanh_network, _TANH, "digits", 150),
    "tanh-70": Model(tanh_network, _TANH, "digits", 70),
    "resnet": Model(partial(residual_network, activation=jax.nn.silu), _RES, "mnist", 100),
    "resnet-relu": Model(partial(residual_network, activation=jax.nn.relu), _RES, "mnist", 100),
    "conv": Model(convolution, _with_biases(a=(3, 8), b=(24, 12), c=(36, 16), out=(80, 10)), "mnist1d", 200),
    "transformer": Model(transformer, _TRANS, "shakespeare", 24),
}
