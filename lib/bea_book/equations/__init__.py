"""The book's labelled equations, a module for each chapter, as entries of the ledger.

``shared`` has what several chapters' equations are compared with.
"""

from importlib import import_module
from pkgutil import iter_modules

from bea_book.ledger import Entry

__all__ = ["chapter", "entries"]


def chapter(number: int) -> tuple[Entry, ...]:
    """Return the entries of one chapter, in the order of the page.

    Parameters
    ----------
    number : int
        As in the name of the chapter's file; 0 for the page on notation.

    Returns
    -------
    tuple of Entry

    Examples
    --------
    >>> all(entry.label.startswith("eq-gd-") for entry in chapter(1))
    True
    """
    return import_module(f"bea_book.equations.ch{number:02d}").ENTRIES


def entries() -> tuple[Entry, ...]:
    """Return all entries of the book, chapter after chapter, then those of the formula sheet and of the proof.

    Returns
    -------
    tuple of Entry

    Examples
    --------
    >>> entries()[-1].label
    'eq-proof-local'
    """
    names = sorted(module.name for module in iter_modules(__path__) if module.name != "shared")
    modules = [import_module(f"bea_book.equations.{name}") for name in names]
    return tuple(entry for module in modules for entry in module.ENTRIES)
