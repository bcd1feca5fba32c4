"""What the book needs besides its engine, :mod:`bea`: figures, data, sweeps and checked equations.

Modules: ``explore`` and ``svg`` (figures that a reader moves), ``plot`` (one style for figures),
``networks`` (small neural networks on real data), ``sweep`` (one function at every point of a grid),
``ledger`` and ``equations`` (every labelled equation of the book, checked).
"""

from bea_book.explore import Explorer, explore
from bea_book.networks import Network, patches
from bea_book.sweep import sweep

__all__ = ["Explorer", "Network", "explore", "patches", "sweep"]
