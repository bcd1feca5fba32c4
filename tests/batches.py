"""Mini-batches of bilinear losses by plain NumPy, for the claims of chapters 4 and 5.

Every order or every sequence of the batches is a loop, and gradients are written out by hand; nothing
here calls the library.
"""

import numpy as np
from scipy.integrate import solve_ivp

VALLEY = np.array([0.5, 1.5])


def slope(hs, errors):
    return np.polyfit(np.log(hs), np.log(errors), 1)[0]


class Batches:
    """E_k = (c_k - k_k ab)^2/2 + s_k a, with derivatives by hand; points have shape (..., 2)."""

    def __init__(self, c, k, s=0.0):
        self.c, self.k, self.s = np.broadcast_arrays(np.asarray(c, float), k, s)
        self.m = len(self.c)

    def gradient(self, i, x):
        a, b = x[..., 0], x[..., 1]
        r = self.c[i] - self.k[i] * a * b
        return np.stack([-self.k[i] * r * b + self.s[i], -self.k[i] * r * a], axis=-1)

    def hessian(self, i, x):
        a, b = x
        off = 2 * self.k[i] ** 2 * a * b - self.k[i] * self.c[i]
        return np.array([[self.k[i] ** 2 * b * b, off], [off, self.k[i] ** 2 * a * a]])

    def mean(self, function, x):
        return sum(function(i, x) for i in range(self.m)) / self.m

    def end(self, x, h, sequence):
        x = np.array(x, float)
        for i in sequence:
            x = x - h * self.gradient(i, x)
        return x

    def every_end(self, x, h, rounds):
        """All end points if each round may go through any of its sequences."""
        points = np.array([x], float)
        for sequences in rounds:
            points = np.concatenate([self.end(points, h, s) for s in sequences])
        return points

    def flow(self, x, time, h, penalty, order=()):
        """Flow of -grad E - (h/2) * (half steps of the full batch, of the batches, or none)."""

        def field(_, x):
            g, H = self.mean(self.gradient, x), self.mean(self.hessian, x)
            own = self.mean(lambda i, x: self.hessian(i, x) @ self.gradient(i, x), x)
            bend = {"full batch": H @ g, "reshuffling": own, "none": 0 * g}[penalty]
            for n, i in enumerate(order):
                for j in order[:n]:
                    turn = self.hessian(i, x) @ self.gradient(j, x) - self.hessian(j, x) @ self.gradient(i, x)
                    bend = bend - turn / self.m
            return -g - h / 2 * bend

        return solve_ivp(field, (0, time), x, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]


FOUR = Batches([0.0, 1.0, 2.0, 3.0], 2.0)  # the chapters' four batches
TILTED = Batches([1, 2, 0.5], [1, 1.5, 2], [0.5, -1, 0.2])  # gradients in different directions


def variance_slope(losses, x, e=1e-5):
    """The gradient of Gamma, by central differences of its definition."""

    def gamma(x):
        slopes = np.array([losses.gradient(i, x) for i in range(losses.m)])
        return slopes.var(axis=0).sum()

    return np.array([(gamma(x + e * u) - gamma(x - e * u)) / (2 * e) for u in np.eye(2)])
