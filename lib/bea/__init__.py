"""Backward error analysis of optimizers: from gradient descent to Adam.

The modules, from the ground up: ``series`` (power series in the step size), ``averages``
(exponential memory), ``losses``, ``networks``, ``optimizers`` (each once), ``modified`` (the modified equations),
``trees`` (rooted trees, for linear memory), ``flow`` (runs and flows), ``orders`` (measured slopes),
``sweep`` (many settings, on many machines),
``plot`` (one figure style; imported by name, because it brings Matplotlib), ``svg`` and ``explore``
(figures that move), ``ledger`` and ``equations`` (every labelled equation, checked).
"""

from bea.averages import Average, identity, lag, moments, square
from bea.flow import Divergence, flow, run, walk
from bea.losses import (
    Loss,
    NumericLoss,
    VectorField,
    bilinear,
    logistic_regression,
    mean,
    quadratic,
    rosenbrock,
)
from bea.modified import ModifiedEquation, TransientEquation, modified_equation, transient_equation
from bea.optimizers import (
    Optimizer,
    adam,
    adamw,
    gradient_descent,
    heavy_ball,
    lion,
    nadam,
    nesterov,
    rmsprop,
    signum,
)
from bea.orders import Study, order_study
from bea.series import Series, antidifference, taylor
from bea.trees import elementary_differential, rooted_trees, tree_coefficients

__all__ = [
    "Average",
    "Divergence",
    "Loss",
    "ModifiedEquation",
    "NumericLoss",
    "Optimizer",
    "Series",
    "Study",
    "TransientEquation",
    "VectorField",
    "adam",
    "adamw",
    "antidifference",
    "bilinear",
    "elementary_differential",
    "flow",
    "gradient_descent",
    "heavy_ball",
    "identity",
    "lag",
    "lion",
    "logistic_regression",
    "mean",
    "modified_equation",
    "moments",
    "nadam",
    "nesterov",
    "order_study",
    "quadratic",
    "rmsprop",
    "rooted_trees",
    "rosenbrock",
    "run",
    "signum",
    "square",
    "taylor",
    "transient_equation",
    "tree_coefficients",
    "walk",
]
