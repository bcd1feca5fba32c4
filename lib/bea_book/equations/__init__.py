"""The book's labelled equations, a module for each chapter, as entries of the ledger."""

from importlib import import_module
from pkgutil import iter_modules

__all__ = ["chapter", "entries"]


def chapter(number):
    """The ledger entries of one chapter, in the order in which it prints them; ``number`` as in the file's name.

    Examples
    --------
    >>> all(entry.label.startswith("eq-") for entry in chapter(1))
    True
    """
    return import_module(f"bea_book.equations.ch{number:02d}").ENTRIES


def entries():
    """All entries of the book, chapter after chapter, and then those of the proof."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name != "instances")
    return tuple(
        entry for name in names for entry in import_module(f"bea_book.equations.{name}").ENTRIES
    )
