"""The studies, as declared in ``studies.toml`` before their results."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FLOWS = ("one term", "half a step later", "two terms", "forgotten, one term", "forgotten, two terms")
DECLARED = Path(__file__).with_name("studies.toml")


@dataclass(frozen=True)
class Study:
    """A question: a function of `measure`, arguments common to all cells, cases, and seeds.

    Seeds are numbers, or how many, from zero on.  Seed k trains on the k-th of disjoint subsets of the data, from its own random initialization.
    """

    name: str
    question: str
    function: str
    common: dict[str, Any]
    cases: dict[str, dict[str, Any]]
    seeds: int | list[int]
    why_so_many: str
    predictions: list[str]
    refuted: list[str]
    known: str
    levels: tuple[float, ...] = ()
    wants: tuple[str, ...] = ("numpy", "jax")

    @property
    def numbers(self) -> list[int]:
        """The seeds."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def times(self) -> tuple[int, ...]:
        """The steps, at h = 0.001, at which norms are compared at equal time."""
        return tuple(self.common.get("times", (100, 300))) if self.function == "norms" else ()

    @property
    def full(self) -> list[dict[str, Any]]:
        """All arguments of each case."""
        usual = {"optimizer": "adam", "batch": 0, "inside": self.function in ("law", "response"), "rho": 0.999}
        return [usual | self.common | case for case in self.cases.values()]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the declaration; results carry them."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


STUDIES = {name: Study(name, **given) for name, given in tomllib.loads(DECLARED.read_text(encoding="utf-8")).items()}
