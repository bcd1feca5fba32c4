r"""Mutants: copies of an equation with one change each, which must not pass the equation's check.

Each rule finds its places in the tokens of an equation and says what to write there instead.  A
mutant may be no formula at all, such as a sum of a number and a vector; the check leaves it out.
"""

import re
from collections.abc import Callable, Iterator

from bea_book.ledger.reader import ROW, Tokens, group_end, in_names, split, tokens

__all__ = ["mutants", "written"]

#: (start, end, what to write between them)
Change = tuple[int, int, Tokens]

_ACCENTS = {r"\dot", r"\ddot", r"\hat", r"\tilde", r"\bar"}
_LETTER = re.compile(
    r"[A-Za-z]|\\(?:alpha|beta|gamma|delta|varepsilon|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|rho"
    r"|sigma|tau|varphi|phi|ell|Gamma|Delta)|\\mathrm\{\w+\}"
)
_EXCHANGED = {r"\beta": r"\rho", r"\rho": r"\beta", r"\sin": r"\cos", r"\cos": r"\sin"}


def mutants(latex: str) -> list[str]:
    r"""Return the mutants of an equation, as LaTeX.

    Signs are flipped; numbers made larger and smaller by one; terms doubled; denominators, roots,
    logarithms, transpositions, symbols and the first summands of sums left out; beta and rho, and
    sine and cosine, exchanged; the powers of remainders raised.

    Parameters
    ----------
    latex : str
        The equation.

    Returns
    -------
    list of str

    Examples
    --------
    >>> mutants(r"y = \frac{x}{2} + O(h^2)")[:3]
    ['y=-\\frac{x}{2}+O(h^2)', 'y=\\frac{x}{3}+O(h^2)', 'y=\\frac{x}{1}+O(h^2)']
    """
    text = tokens(latex)
    found = (written(text[:start] + new + text[end:]) for rule in RULES for start, end, new in rule(text))
    return list(dict.fromkeys(found))


def written(text: Tokens) -> str:
    r"""Return tokens as LaTeX, with a space where a command would run into the letter behind it.

    Parameters
    ----------
    text : tuple of str

    Returns
    -------
    str

    Examples
    --------
    >>> written(("h", r"\beta", "x"))
    'h\\beta x'
    """
    found = ""
    for token in text:
        if re.search(r"\\[A-Za-z]+$", found) and token[0].isalpha():
            found += " "
        found += token
    return found


# --- rules ---------------------------------------------------------------------------------------


def _free(text: Tokens) -> Iterator[int]:
    """The positions that are in no name and in no remainder O(h^p)."""
    taken = in_names(text)
    for start in _remainders(text):
        taken.update(range(start, group_end(text, start + 1)))
    return (k for k in range(len(text)) if k not in taken)


def _remainders(text: Tokens) -> Iterator[int]:
    return (k for k in range(len(text)) if text[k : k + 3] == ("O", "(", "h"))


def signs(text: Tokens) -> Iterator[Change]:
    """Flip each sign, but those of remainders, and those that are left out at the start of a side."""
    for k in _free(text):
        if text[k] in ("+", "-") and text[k + 1 : k + 3] != ("O", "("):
            yield k, k + 1, ("-" if text[k] == "+" else "+",)
    for start, side in _right_sides(text):
        if side[0] not in ("+", "-", "0"):
            yield start, start, ("-",)


def _right_sides(text: Tokens) -> list[tuple[int, Tokens]]:
    """(position, tokens) of each side but the first of each statement, with its further rows."""
    spans: list[list[int]] = []
    start = 0
    for row in split(text, ROW):
        place = start
        sides = split(row, "=")
        for number, side in enumerate(sides):
            end = place + len(side)
            if number:
                spans.append([place, end])
            elif spans and (not side or len(sides) == 1):
                spans[-1][1] = end
            place = end + 1
        start += len(row) + 1
    return [(start, text[start:end]) for start, end in spans if start < end]


def numbers(text: Tokens) -> Iterator[Change]:
    """Add one to each whole number, and subtract one from those above one."""
    free = set(_free(text))
    for k in free:
        if text[k].isdigit() and not (k - 1 in free and text[k - 1].isdigit()):
            end = k + 1
            while end in free and text[end].isdigit():
                end += 1
            number = int("".join(text[k:end]))
            for changed in (number + 1, number - 1):
                if changed > 0:
                    yield k, end, _as_tokens(changed, text[k - 1 : k] == ("^",))


def _as_tokens(number: int, is_power: bool) -> Tokens:
    digits = tuple(str(number))
    return ("{", *digits, "}") if is_power and len(digits) > 1 else digits


def doubled(text: Tokens) -> Iterator[Change]:
    """Double each term of a right-hand side that begins with no number of its own."""
    for start, side in _right_sides(text):
        depth, at_start = 0, True
        for k, token in enumerate(side):
            depth += (token in ("(", "{")) - (token in (")", "}"))
            if at_start and token not in ("+", "-", ROW):
                if not token.isdigit() and side[k : k + 2] != ("O", "("):
                    yield start + k, start + k, ("2",)
                at_start = False
            if depth == 0 and token in ("+", "-"):
                at_start = True


def denominators(text: Tokens) -> Iterator[Change]:
    """Leave out each denominator."""
    for k, token in enumerate(text):
        if token == r"\frac":
            middle = group_end(text, k + 1)
            numerator = text[k + 1 : middle]
            inner = numerator[1:-1] if len(numerator) > 1 else numerator
            yield k, group_end(text, middle), ("(", *inner, ")")


def functions(text: Tokens) -> Iterator[Change]:
    """Leave out each root, logarithm and transposition."""
    for k, token in enumerate(text):
        if token in (r"\sqrt", r"\ln"):
            yield k, k + 1, ()
        if text[k : k + 2] == ("^", r"\top"):
            yield k, k + 2, ()


def symbols(text: Tokens) -> Iterator[Change]:
    """Replace each symbol by one, with its accent, subscript, superscript and primes."""
    free = set(_free(text))
    for k in free:
        if not _LETTER.fullmatch(text[k]):
            continue
        start = k - 1 if text[k - 1 : k] and text[k - 1] in _ACCENTS else k
        end = k + 1
        while end < len(text) and (text[end] in ("_", "'") or _is_name(text, end, free)):
            end = end + 1 if text[end] == "'" else group_end(text, end + 1)
        yield start, end, ("1",)


def _is_name(text: Tokens, position: int, free: set[int]) -> bool:
    return text[position] == "^" and position + 1 not in free


def exchanges(text: Tokens) -> Iterator[Change]:
    """Exchange beta and rho, sine and cosine."""
    for k in _free(text):
        if text[k] in _EXCHANGED:
            yield k, k + 1, (_EXCHANGED[text[k]],)


def sums(text: Tokens) -> Iterator[Change]:
    """Leave out the first summand of each sum."""
    for k, token in enumerate(text):
        if token == r"\sum":
            end = group_end(text, k + 2)
            yield end - 1, end - 1, ("+", "1")


def remainders(text: Tokens) -> Iterator[Change]:
    """Raise the power of each remainder."""
    for k in _remainders(text):
        end = group_end(text, k + 1)
        power = int("".join(text[k + 4 : end - 1])) if text[k + 3] == "^" else 1
        yield k, end, ("O", "(", "h", "^", *str(power + 1), ")")


RULES: tuple[Callable[[Tokens], Iterator[Change]], ...] = (
    signs,
    numbers,
    doubled,
    denominators,
    functions,
    symbols,
    exchanges,
    sums,
    remainders,
)
