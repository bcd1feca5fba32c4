"""Random exact instances that several chapters' equations are read in."""

import sympy as sp

from bea.losses import Loss

__all__ = ["polynomial_loss", "random_point", "ratio"]


def ratio(rng, low=1, high=9, denominator=7):
    """A random rational number between low/denominator and high/denominator, but not one."""
    return sp.Rational(
        rng.choice([k for k in range(low, high + 1) if k != denominator]), denominator
    )


def polynomial_loss(rng, dimension=2, degree=4):
    """A loss with random whole coefficients in all monomials up to ``degree``: as general as an identity needs."""
    symbols = sp.symbols(f"x_1:{dimension + 1}", real=True)
    monomials = sorted(sp.itermonomials(symbols, degree), key=str)
    return Loss(sp.Add(*(rng.choice((-1, 1)) * rng.randint(1, 9) * m for m in monomials)), symbols)


def random_point(rng, loss):
    """A mapping from the loss's coordinates to random positive rational numbers."""
    return {symbol: ratio(rng, denominator=5 + 2 * i) for i, symbol in enumerate(loss.symbols)}
