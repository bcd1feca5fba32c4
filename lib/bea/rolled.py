r"""Straight-line code rolled up into loops over numbers that lie side by side.

The step of a program in many coordinates does the same to nearly all of them.  Two operations of a trace
are alike if they have one name and arguments that are alike, and so on down to the inputs, where those of
one array are alike.  The results of operations that are alike lie side by side in one array of all values,
and a loop makes them; loops of one length in which each number needs only its own become one.  What
replaces an input is written over it at once where nothing needs the old value.  Kind and order of the
operations behind a number stay what they were, and with them every bit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bea.trace import BY_MATH, COMPILED_FORMS, OPERATORS, PER_ARRAY, PER_ENTRY, SCOPE, Trace, array_functions

__all__ = ["Alike", "Rolled", "rolled"]

COMMON = 4  # a constant that occurs as often is written into the code; others lie among the values
COMMUTING = {"add", "multiply"}  # their arguments give the same bits in either order
PER_CALL = 1e-7  # seconds, about
PIECES = 32  # so many loops copy the outputs; if they would be more, their places are looked up
USES = 4  # what is alike is kept apart if it is used in no more ways than this


@dataclass(frozen=True, eq=False)
class Alike:
    """Operations that are alike.

    Parameters
    ----------
    name : str
    first, count : int
        Their results are the values from ``first`` on.
    arguments : tuple of float or array of int, shape (count,)
        A constant, or where the arguments are among the values.
    """

    name: str
    first: int
    count: int
    arguments: tuple[Any, ...]

    @cached_property
    def places(self) -> np.ndarray:
        """Where the results are."""
        return np.arange(self.first, self.first + self.count)


@dataclass(frozen=True, eq=False)
class Rolled:
    """A trace as loops over an array ``v`` of all its values: inputs, outputs, constants, results.

    Parameters
    ----------
    code : Trace
    base : int
        Where the constants begin; the results follow.
    constants : tuple of float
    loops : tuple of lists of Alike
        Those of a list have one length, and each number needs only its own among them.
    outputs : array of int
        Where the outputs are among inputs and results; they are copied behind the inputs.

    Examples
    --------
    >>> from bea.trace import trace
    >>> squares = rolled(trace(lambda x: x * x + 1.0, {"x": (4,)}), base=8)
    >>> print(*squares.lines([]), sep="\\n")
    for i in range(4):
     t8 = v[0 + i] * v[0 + i]
     t12 = 1.0 + t8
     v[12 + i] = t12
    for i in range(4):
     v[4 + i] = v[12 + i]
    >>> v = squares.filled(np.array([[1.0], [2.0], [3.0], [4.0]]))
    >>> squares.whole(v)
    >>> v[4:8].ravel().tolist()
    [2.0, 5.0, 10.0, 17.0]
    """

    code: Trace
    base: int
    constants: tuple[float, ...]
    loops: tuple[list[Alike], ...]
    outputs: np.ndarray

    @property
    def end(self) -> int:
        """The number of values."""
        return self.base + len(self.constants) + len(self.code.operations)

    @cached_property
    def operations(self) -> int:
        """How many operations the loops have inside."""
        return sum(map(len, self.loops))

    def filled(self, inputs: np.ndarray, before: Sequence[Rolled] = ()) -> np.ndarray:
        """Return an array of values, (values, columns), with inputs and constants, also of those whose values lie before."""
        v = np.zeros((self.end, inputs.shape[1]))
        v[: len(inputs)] = inputs
        for one in (*before, self):
            v[one.base : one.base + len(one.constants)] = np.reshape(one.constants, (-1, 1))
        return v

    def seconds(self, columns: int, width: int) -> float:
        """Return about how long NumPy takes for some columns, so many at a time."""
        calls = sum(one.count for loop in self.loops for one in loop if one.name in BY_MATH)
        once = -(-columns // width) * (self.operations + len(self.loops)) * PER_ARRAY
        return once + columns * (self.code.size * PER_ENTRY + calls * PER_CALL)

    @cached_property
    def whole(self) -> Callable[[np.ndarray], None]:
        """The function that computes all values, (values, columns), by NumPy, and where bits may differ by ``math``."""
        places: list[int] = []
        lines = self.lines(places, whole=True)
        scope = SCOPE | array_functions({one.name for loop in self.loops for one in loop}, True)
        scope["g"] = np.array(places, dtype=int)
        exec("\n ".join(["def whole(v):", *lines]), scope)
        return scope["whole"]

    def lines(self, places: list[int], whole: bool = False, into: int | None = None) -> list[str]:
        """Return lines of Python that compute the values; ``whole`` says that they are NumPy's, and no loops.

        Places that follow no rule are looked up in an array ``g``: they are appended to `places`.
        The outputs replace the inputs from number `into` on, if it is given.
        """
        lines: list[str] = []
        loop_of, kept = self._kept()
        home = np.arange(self.end) if into is None else self._homes(into)
        for number, loop in enumerate(self.loops):
            body: list[str] = []
            shared: dict[str, None] = {}  # what is the same in all rounds
            for one in loop:
                arguments = []
                for a in one.arguments:
                    if not isinstance(a, np.ndarray):
                        text = repr(a)
                    elif loop_of[a[0]] == number:
                        text = f"t{a[0]}"
                    else:
                        text = _place(home[a], places, whole)
                        if one.count > 1 and not whole and (a == a[0]).all():
                            shared[f"c{a[0]} = {text}"] = None
                            text = f"c{a[0]}"
                    arguments.append(text)
                form = (OPERATORS if whole else COMPILED_FORMS).get(one.name, f"{one.name}({', '.join(arguments)})")
                body.append(f"t{one.first} = {form.format(*arguments)}")
                if whole or kept[one.places].any():
                    body.append(f"{_place(home[one.places], places, whole)} = t{one.first}")
            lines += body if whole else [*shared, *_rounds(loop[0].count, body)]
        return lines + self._copies(places, whole, home, into)

    def _homes(self, into: int) -> np.ndarray:
        """Return where each value is if outputs replace inputs at once, wherever nothing needs those afterwards."""
        home, target = np.arange(self.end), np.full(self.end, -1)
        target[self.outputs] = into + np.arange(len(self.outputs))
        last = np.full(self.end, -1)  # the loop that reads a value last
        for number, loop in enumerate(self.loops):
            for a in (a for one in loop for a in one.arguments if isinstance(a, np.ndarray)):
                last[a] = number
        last[self.outputs] = np.where(self.outputs < self.base, len(self.loops), last[self.outputs])
        for number, loop in enumerate(self.loops):
            for position, one in enumerate(loop):
                new = target[one.places]
                if (new < 0).any() or (last[new] > number).any():
                    continue
                read = [(k, a) for k, other in enumerate(loop) for a in other.arguments if isinstance(a, np.ndarray)]
                if all(np.array_equal(a, new) and k <= position for k, a in read if np.isin(a, new).any()):
                    home[one.places] = new
        return home

    def _kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Return for each value its loop, or -1, and whether it is needed outside of it."""
        loop_of, kept = np.full(self.end, -1), np.zeros(self.end, dtype=bool)
        for number, loop in enumerate(self.loops):
            for one in loop:
                loop_of[one.places] = number
        kept[self.outputs] = True
        for number, loop in enumerate(self.loops):
            for a in (a for one in loop for a in one.arguments if isinstance(a, np.ndarray)):
                kept[a[loop_of[a] != number]] = True
        return loop_of, kept

    def _copies(self, places: list[int], whole: bool, home: np.ndarray, into: int | None) -> list[str]:
        """Return the lines that copy the outputs behind the inputs, those side by side together, and then into them."""
        sources, numbers = home[self.outputs], np.arange(len(self.outputs))
        if into is not None:
            numbers = numbers[sources != into + numbers]
        ends = np.flatnonzero((np.diff(sources[numbers]) != 1) | (np.diff(numbers) != 1)) + 1
        pieces = [piece for piece in np.split(numbers, ends) if len(piece)]
        pieces = pieces if len(pieces) < PIECES else [numbers]
        behind = len(self.code.inputs)
        copies = [(piece, behind + piece, sources[piece]) for piece in pieces]
        if into is not None:
            copies += [(piece, into + piece, behind + piece) for piece in pieces]
        lines = []
        for piece, to, source in copies:
            copy = f"{_place(to, places, whole)} = {_place(source, places, whole)}"
            lines += [copy] if whole else _rounds(len(piece), [copy])
        return lines


def _place(a: np.ndarray, places: list[int], whole: bool) -> str:
    """Return the text of the values at some places: of all, or of that with number ``i``."""
    first, count, steps = int(a[0]), len(a), set(np.diff(a).tolist())
    if count == 1 or steps == {0}:
        return f"v[{first}:{first + 1}]" if whole else f"v[{first}]"
    if len(steps) == 1 and (step := steps.pop()) > 0:
        if whole:
            return f"v[{first}:{a[-1] + 1}:{step}]"
        return f"v[{first} + i]" if step == 1 else f"v[{first} + {step} * i]"
    places.extend(a.tolist())
    start = len(places) - count
    return f"v[g[{start}:{len(places)}]]" if whole else f"v[g[{start} + i]]"


def _rounds(count: int, body: list[str]) -> list[str]:
    return body if count == 1 else [f"for i in range({count}):", *(f" {line}" for line in body)]


def rolled(code: Trace, base: int, apart: bool = False) -> Rolled:
    """Return a trace without constant outputs as loops; its constants and results are the values from `base` on.

    With `apart`, operations of one kind become several loops if many of them have an argument in common, or if
    they are used in different ways: better loops, but more of them.
    """
    numbers = Counter(repr(x) for _, *given in code.operations for x in given if isinstance(x, float))
    common = {text for text, times in numbers.items() if times >= COMMON}
    constants = list[float]()
    first = results = base + sum(times for text, times in numbers.items() if text not in common)

    kind_of: list[Any] = [re.sub(r"(_\d+)*$", "", name) for name in code.inputs]
    kinds: dict[tuple[Any, ...], int] = {}  # numbered as they come: an argument's kind comes before
    members: list[list[_Operation]] = []
    for n, (name, *given) in enumerate(code.operations):
        pairs = [(kind_of[x] if isinstance(x, int) else (repr(x) in common and repr(x),), x) for x in given]
        if name in COMMUTING:
            pairs.sort(key=lambda pair: str(pair[0]))
        kind = kinds.setdefault((name, *(alike for alike, _ in pairs)), len(kinds))
        kind_of.append(kind)
        if kind == len(members):
            members.append([])
        members[kind].append(_Operation(n, name, tuple(x for _, x in pairs)))
    groups = [[operations] for operations in members]
    if apart:
        groups = _used_alike(code, [part for operations in members for part in _parts(operations)])

    place, alike = [*range(len(code.inputs)), *(0 for _ in code.operations)], list[Alike]()
    for rows in (rows for parts in groups for rows in _in_order(parts, place)):
        arguments = list[Any]()
        for k, x in enumerate(rows[0][1].given):
            if isinstance(x, int):
                arguments.append(np.array([row[k] for row, _ in rows]))
            elif repr(x) in common:
                arguments.append(x)
            else:  # side by side, in the order in which they are needed
                arguments.append(base + len(constants) + np.arange(len(rows)))
                constants += [one.given[k] for _, one in rows]
        alike.append(Alike(rows[0][1].name, first, len(rows), tuple(arguments)))
        for _, one in rows:
            place[len(code.inputs) + one.number] = first
            first += 1
    outputs = np.array([place[x] for x in code.outputs])
    return Rolled(code, base, tuple(constants), _joined(alike, results), outputs)


class _Operation(NamedTuple):
    """An operation with its number in the trace."""

    number: int
    name: str
    given: tuple[Any, ...]


def _in_order(parts: list[list[_Operation]], place: Sequence[int]) -> Iterator[list[tuple[list[int], _Operation]]]:
    """Yield parts of what is alike with the places of the arguments (-1 for a constant), all in their order."""

    def row(one: _Operation) -> list[int]:
        row = [place[x] if isinstance(x, int) else -1 for x in one.given]
        return sorted(row) if one.name in COMMUTING else row

    yield from sorted(sorted((row(one), one) for one in part) for part in parts)


def _parts(operations: list[_Operation]) -> list[list[_Operation]]:
    """Return operations of one kind, apart by an argument if each of several is that of as many.

    So the products of a matrix and a vector become one loop over the rows for each entry of the vector.
    """
    for k, x in enumerate(operations[0].given):
        times = Counter(one.given[k] for one in operations) if isinstance(x, int) else {}
        if len(times) > 1 and len(set(times.values())) == 1 and min(times.values()) >= COMMON:
            parts: dict[int, list[_Operation]] = {x: [] for x in sorted(times)}
            for one in operations:
                parts[one.given[k]].append(one)
            return list(parts.values())
    return [operations]


def _used_alike(code: Trace, members: list[list[_Operation]]) -> list[list[list[_Operation]]]:
    """Return operations that are alike, apart by what they are used for, if that is not too many parts.

    So a loop can make what it needs, even if the first and the last of these are used in another way.
    """
    users: list[set[tuple[int, int]]] = [set() for _ in code.operations]
    groups = list[list[list[_Operation]]]()
    for operations in reversed(members):
        uses: dict[Any, list[_Operation]] = {}
        for one in operations:
            uses.setdefault(frozenset(users[one.number]), []).append(one)
        parts = list(uses.values()) if len(uses) <= USES else [operations]
        for number, one in ((number, one) for number, part in enumerate(parts) for one in part):
            for x in one.given:
                if isinstance(x, int) and x >= len(code.inputs):
                    users[x - len(code.inputs)].add((len(groups), number))
        groups.append(parts)
    return groups[::-1]


def _joined(alike: list[Alike], first: int) -> tuple[list[Alike], ...]:
    """Return operations as loops, in an order in which they can be made; the results begin at `first`.

    The last loop is joined first, so that what it needs is made in it if possible.
    """
    starts, maker = np.array([one.first for one in alike]), {one.first: one for one in alike}
    users: dict[int, list[tuple[int, bool]]] = {one.first: [] for one in alike}
    for one in alike:
        for a in (a for a in one.arguments if isinstance(a, np.ndarray)):
            for m in starts[np.unique(np.searchsorted(starts, a[a >= first], "right") - 1)].tolist():
                users[m].append((one.first, np.array_equal(maker[m].places, a)))

    loops, left, done = list[list[Alike]](), alike[::-1], set[int]()
    while left:
        loop: dict[int, Alike] = {}
        for one in left:
            if one.count == left[0].count and all(
                user in done or own and user in loop for user, own in users[one.first]
            ):
                loop[one.first] = one
        loops.append(list(loop.values())[::-1])
        done.update(loop)
        left = [one for one in left if one.first not in done]
    return tuple(loops[::-1])
