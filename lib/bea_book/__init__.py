"""What the book needs besides its engine, :mod:`bea`: figures, data, sweeps and checked equations.

Modules: ``explore`` and ``svg`` (figures that a reader moves), ``live`` (figures that the browser
computes), ``plot`` (one style for figures), ``networks`` (small neural networks on real data),
``sweep`` (one function at every point of a grid), ``compare`` (what is established over seeds, and
what is null), ``ledger`` and ``equations`` (every labelled equation of the book, checked).
"""

from typing import TYPE_CHECKING, Any

from bea_book.explore import Explorer, explore
from bea_book.sweep import sweep

if TYPE_CHECKING:
    from bea_book.networks import Network, patches

__all__ = ["Explorer", "Network", "explore", "patches", "sweep"]


def __getattr__(name: str) -> Any:
    """Load networks, and with them the engine, when they are asked for: a build of pages needs neither."""
    if name in ("Network", "patches"):
        from bea_book import networks

        return getattr(networks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
