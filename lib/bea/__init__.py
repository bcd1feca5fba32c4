"""Backward error analysis of optimizers: from gradient descent to Adam.

The modules, from the ground up: ``series`` (power series in the step size), ``program`` (an optimizer
is a program), ``optimizers`` (each once), ``losses`` and ``problems``, ``lift`` (losses of JAX, PyTorch
and black boxes), ``modified`` and ``transient`` (the modified equations), ``trace`` and ``rolled`` (straight-line
code), ``runs``, ``flows``, ``orders`` (measured slopes), ``trees`` (rooted trees, for linear memory).
"""

from typing import TYPE_CHECKING

from bea.flows import flow
from bea.lift import black_box, from_jax, from_torch
from bea.losses import Loss, NumericLoss, VectorField, mean
from bea.modified import KeptEquation, ModifiedEquation, modified_equation
from bea.optimizers import adam, adamw, gradient_descent, heavy_ball, lion, nadam, nesterov, rmsprop, signum
from bea.orders import Study, order_study
from bea.problems import bilinear, logistic_regression, quadratic, rosenbrock
from bea.program import Decay, NonNegative, Optimizer, lag, moments, optimizer, weights
from bea.runs import Divergence, run, walk
from bea.series import Series, antidifference, taylor
from bea.transient import TransientEquation, transient_equation
from bea.trees import elementary_differential, rooted_trees, tree_coefficients

__all__ = [
    "Decay", "Divergence", "KeptEquation", "Loss", "ModifiedEquation", "NonNegative", "NumericLoss", "Optimizer",
    "Series", "Study", "TransientEquation", "VectorField", "__version__", "adam", "adamw", "antidifference", "bilinear",
    "black_box", "elementary_differential", "flow", "from_jax", "from_torch", "gradient_descent", "heavy_ball", "lag",
    "lion", "logistic_regression", "mean", "modified_equation", "moments", "nadam", "nesterov", "optimizer",
    "order_study", "quadratic", "rmsprop", "rooted_trees", "rosenbrock", "run", "signum", "taylor",
    "transient_equation", "tree_coefficients", "walk", "weights",
]  # fmt: skip

__version__: str

if not TYPE_CHECKING:  # to a type checker every name would seem to be there

    def __getattr__(name: str) -> str:
        """The version, read from the installed distribution when it is asked for."""
        if name == "__version__":
            from importlib.metadata import version

            return version("bea-book")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
