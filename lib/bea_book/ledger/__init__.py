"""The ledger of equations: each labelled equation is read as it is printed, and checked.

Three modules: ``reader`` (from the page to SymPy), ``mutants`` (equations with one change each) and
``check`` (entries, and what was found of them).
"""

from bea_book.ledger.check import Entry, Report, Summary, h, holds, summary, verify
from bea_book.ledger.mutants import mutants
from bea_book.ledger.reader import labelled, printed, read

__all__ = [
    "Entry",
    "Report",
    "Summary",
    "h",
    "holds",
    "labelled",
    "mutants",
    "printed",
    "read",
    "summary",
    "verify",
]
