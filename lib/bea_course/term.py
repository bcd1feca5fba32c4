"""What a term comes to, from the folders that marking has written:

    python -m bea_course.term grades/ --weights 01=12,02=12,03=12,04=12,05=12,06/07=40

It writes ``grades/term.csv``, with the total of each student in percent; ``grades/questions.csv``, how
often each question was right and what was said how often; and ``grades/similar.csv``, pairs whose
answers are alike, for a person to look at.  With ``--fill EXPORT.csv --column NAME`` it fills a column of
the table that Canvas or Moodle has exported, for import there.
"""

import argparse
import contextlib
import csv
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from bea_course.grade import write
from bea_course.handed_in import plain, rows_of, turns
from bea_course.report import as_csv, final

__all__ = ["filled_in", "main", "percent", "questions_of", "similar", "total"]

MOST = 50_000  # characters of code that are compared
Results = dict[str, dict[str, dict[str, Any]]]  # {assignment: {student: result}}


def read_results(folder: Path) -> Results:
    """The results of all assignments in a folder of grades, with points by hand and lateness, by names.

    The names are those of the roster where it was given, so that a student of two platforms is one; of two
    students with one name each has the number as well.
    """
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for path in sorted(folder.glob("*/shown/*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(result["assignment"], []).append((path, result))
    shared: set[str] = set()
    for of in found.values():
        names = Counter((path.parent, result.get("name") or path.stem) for path, result in of)
        shared |= {name for (_, name), count in names.items() if count > 1}
    results: Results = {}
    places: dict[tuple[str, str], str] = {}
    for number, of in found.items():
        for path, result in of:
            name, place = result.get("name") or path.stem, path.parent.parent.name
            name = f"{name} {result.get('id', '')}".strip() if name in shared else name
            other = places.setdefault((number, name), place)
            if other != place:
                raise SystemExit(
                    f"{name} has two results of assignment {number}, in {other} and {place}: move one away"
                )
            mine = results.setdefault(number, {})
            mine[path.stem if name in mine else name] = result
    return results


def doubts(results: Results, weights: Mapping[str, float]) -> list[str]:
    """What a person should know of before the totals are used."""
    counted = {number for numbers in weights for number in numbers.split("/")}
    said = [
        f"assignment {numbers} has no results; it counts 0 for everybody"
        for numbers in weights
        if not set(numbers.split("/")) & set(results)
    ]
    said += [f"assignment {n} is not in --weights; it does not count" for n in sorted(set(results) - counted)]
    students = {student for of in results.values() for student in of}
    for numbers in weights:
        there = [results[number] for number in numbers.split("/") if number in results]
        if none := sorted(student for student in students if there and not any(student in of for of in there)):
            said.append(f"assignment {numbers} counts 0 for whoever has no result: {', '.join(none)}")
    return said + [f"assignment {n}: {text}" for n, of in results.items() for text in unread(of)]


def unread(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line on who has answers in words that nobody has read, if there are any."""
    names = [s for s, result in results.items() if any(e["points"] is None for e in result["questions"].values())]
    return [f"answers in words count 0 until somebody reads them: {', '.join(sorted(names))}"] if names else []


def percent(result: Mapping[str, Any], drop_worst: bool = True) -> float:
    """The percentage of an assignment's points, without the question that was worst for it.

    Examples
    --------
    >>> questions = {"a": {"points": 3, "of": 3}, "b": {"points": 0, "of": 2}, "c": {"points": 1, "of": 2}}
    >>> percent({"questions": questions}), round(percent({"questions": questions, "lost": 0.5}, drop_worst=False), 2)
    (80.0, 28.57)
    """
    entries = [(entry["points"] or 0, entry["of"]) for entry in result["questions"].values()]
    left = range(len(entries)) if drop_worst and len(entries) > 1 else [None]

    def without(k: int | None) -> float:
        kept = [entry for j, entry in enumerate(entries) if j != k]
        return 100 * sum(points for points, _ in kept) / sum(of for _, of in kept)

    return max(map(without, left)) * (1 - result.get("lost", 0))


def total(results: Results, student: str, weights: Mapping[str, float], drop_worst: bool = True) -> float:
    """A student's total in percent; of numbers with a slash between them the better counts, and none counts 0."""
    marks = {number: percent(of[student], drop_worst) for number, of in results.items() if student in of}
    counted = {numbers: max(marks.get(number, 0) for number in numbers.split("/")) for numbers in weights}
    return sum(weight * counted[numbers] for numbers, weight in weights.items()) / sum(weights.values())


def questions_of(results: Mapping[str, Mapping[str, Any]]) -> list[list[Any]]:
    """A row for each question: its mean, how many had all points, and the commonest thing said, with its count."""
    rows = []
    names = list(next(iter(results.values()))["questions"]) if results else []
    for name in names:
        entries = [result["questions"][name] for result in results.values()]
        points = [entry["points"] for entry in entries if entry["points"] is not None]  # what is marked
        of = entries[0]["of"]
        said: Counter[str] = Counter()
        for entry in entries:
            messages = [test["message"] for test in entry.get("tests", ()) if test["message"]]
            said.update({re.sub(r"-?\d[\d.e+-]*", "#", messages[0])} if messages else set())
        common = "; ".join(f"{count} × {text}" for text, count in said.most_common(3))
        mean = f"{sum(points) / len(points):.2f}" if points else ""
        rows.append([name, mean, of, sum(p == of for p in points), len(points), common])
    return rows


def words_of(source: str) -> list[str]:
    """The tokens of code, with every name that a student chose replaced by one; of very long code the first."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source[:MOST]).readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
                found.append("x" if token.type == tokenize.NAME and len(token.string) < 4 else token.string)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass
    return found


def similar(codes: Mapping[str, str], least: float = 0.8) -> list[tuple[float, str, str]]:
    """Pairs of students whose code is alike, with the fraction of pieces of four tokens that both have, the most alike first.

    Examples
    --------
    >>> code = "def f(x):\\n    return [x * k for k in range(10)]\\n"
    >>> similar({"anna": code, "bob": code.replace("k", "j"), "cleo": "y = 1"})
    [(1.0, 'anna', 'bob')]
    """
    pieces = {}
    for student, code in codes.items():
        words = words_of(code)
        pieces[student] = Counter(zip(*(words[k:] for k in range(4))))
    found = []
    for a, b in combinations(sorted(pieces), 2):
        both, common = pieces[a].total() + pieces[b].total(), (pieces[a] & pieces[b]).total()
        if pieces[a].total() > 12 and 2 * common >= least * both:
            found.append((round(2 * common / both, 3), a, b))
    return sorted(found, reverse=True)


KEYS = ("id", "sid", "identifier", "sis user id", "email address", "sis login id", "email")
NAMES = ("student", "full name", "name")


def columns_of(header: Sequence[str], column: str) -> list[str]:
    """The columns of this name, or else those whose names begin so."""
    column = column.strip().casefold()
    exact = [name for name in header if name.strip().casefold() == column]
    return exact or [name for name in header if name.strip().casefold().startswith(column)]


def filled_in(export: Path, column: str, results: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[str]]:
    """A platform's export with one column filled by the points, and who has no row in it.

    Rows are found by name, id or email.  Where a name is one student's and a number another's, the
    numbers are of another list, and the name decides; of two rows that could be a student's, that
    where both agree is taken, or none.

    Raises
    ------
    SystemExit
        If there is no such column.
    """
    rows = rows_of(export, bare=False)
    header = list(rows[0]) if rows else []
    names = columns_of(header, column)
    if len(names) != 1:
        raise SystemExit(f"{export} has no single column that begins with {column!r}; it has: {', '.join(header)}")
    owner: dict[str, str] = {}
    for student, result in results.items():
        email = result.get("email", "")
        own = {plain(key) for key in (student, result.get("id", ""), email, email.partition("@")[0])}
        for key in (own | turns(result.get("name", ""))) - {""}:
            owner[key] = student if owner.get(key, student) == student else ""  # of two, nobody's
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    claims: dict[str, list[tuple[bool, int]]] = {}  # {student: rows, and whether name and number agree}
    for number, row in enumerate(rows):
        lower = {key.strip().casefold(): value for key, value in row.items()}
        lower["name"] = lower.get("name") or f"{lower.get('first name', '')} {lower.get('last name', '')}"

        def whose(columns: Sequence[str], lower: dict[str, str] = lower) -> str:
            keys = [plain(lower.get(key, "").removeprefix("Participant ")) for key in columns]
            return next((owner[key] for key in keys if owner.get(key)), "")

        by_name, by_key = whose(NAMES), whose(KEYS)
        if by_name or by_key:
            claims.setdefault(by_name or by_key, []).append((by_name == by_key, number))
    filled = {}
    for student, of in claims.items():
        best = [number for agree, number in of if agree == max(of)[0]]
        if len(best) == 1:
            filled[best[0]] = student
    for number, row in enumerate(rows):
        writer.writerow(row | ({names[0]: f"{final(results[filled[number]]):g}"} if number in filled else {}))
    return text.getvalue(), sorted(set(results) - set(filled.values()))


def maxima(export: Path, column: str) -> set[float]:
    """The largest number of points that the platform's export knows of: Moodle's column, or the row of Canvas."""
    found = set()
    for row in rows_of(export):
        lower = {key.casefold(): value for key, value in row.items()}
        possible = lower.get("student", "").casefold() == "points possible"
        mine = [row[name] for name in columns_of(list(row), column)]
        for text in (lower.get("maximum grade", ""), *(mine if possible else ())):
            with contextlib.suppress(ValueError):
                found.add(float(text))
    return found


def folders_of(folder: Path) -> dict[str, list[Path]]:
    """{assignment: its folders}, whatever they are called."""
    found: dict[str, list[Path]] = {}
    for work in sorted({path.parent.parent for path in folder.glob("*/shown/*.json")}):
        first = next((work / "shown").glob("*.json"))
        found.setdefault(json.loads(first.read_text(encoding="utf-8"))["assignment"], []).append(work)
    return found


def codes_in(work: Path) -> dict[str, str]:
    """{student: code} of what was marked in one assignment's folder."""
    from bea_course.notebook import CHECK, Unreadable, cells_of

    found = {}
    table = work / "files.csv"
    for row in rows_of(table) if table.is_file() else []:
        if row["what became of it"] == "marked":
            try:
                cells = [source for kind, source in cells_of(row["file"]) if kind == "code"]
            except Unreadable:
                continue
            found[row["student"]] = "\n".join(
                cell for cell in cells if not CHECK.match(cell) and "checks_of" not in cell
            )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables of a term; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bea_course.term", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the folders of all assignments")
    parser.add_argument("--weights", default="", help="such as 01=12,06/07=40; else all count the same")
    parser.add_argument("--keep-worst", action="store_true", help="leave out no question")
    parser.add_argument("--fill", type=Path, help="a table exported by Canvas or Moodle")
    parser.add_argument("--column", help="how its column begins, such as 'Assignment 5' or 'Grade'")
    parser.add_argument("--assignment", help="whose points to fill in")
    given = parser.parse_args(arguments)
    results = read_results(given.folder)
    if not results:
        raise SystemExit(f"{given.folder} holds no results")
    if given.fill:
        if not given.column or given.assignment not in results:
            raise SystemExit(f"--fill needs --column, and --assignment with one of {', '.join(results)}")
        table, left = filled_in(given.fill, given.column, results[given.assignment])
        print(table, end="")
        said = [f"no row of {given.fill} is that of {student}" for student in left]
        said += unread(results[given.assignment])
        for most in maxima(given.fill, given.column):
            if {most} != (of := {result["of"] for result in results[given.assignment].values()}):
                said.append(f"the platform's maximum is {most:g}, but the points are out of {', '.join(map(str, of))}")
        print("".join(f"{text}\n" for text in said), end="", file=sys.stderr)
        return 1 if said else 0
    try:
        pairs = [pair.split("=") for pair in given.weights.split(",") if pair]
        weights = {re.sub(r"\b\d\b", r"0\g<0>", number.strip()): float(weight) for number, weight in pairs}
        weights = weights or dict.fromkeys(results, 1.0)
        if min(weights.values()) < 0 or not 0 < sum(weights.values()) < float("inf"):
            raise ValueError
    except ValueError:
        raise SystemExit(f"--weights is such as 01=12,06/07=40, not {given.weights!r}") from None
    drop = not given.keep_worst
    students = sorted({student for of in results.values() for student in of})
    rows = [["student", *results, "total"]]
    for student in students:
        marks = [f"{percent(of[student], drop):.1f}" if student in of else "" for of in results.values()]
        rows.append([student, *marks, f"{total(results, student, weights, drop):.1f}"])
    write(given.folder / "term.csv", as_csv(rows))
    head = ["assignment", "question", "mean", "of", "all points", "students", "what was said most often"]
    counted = [[number, *row] for number, of in results.items() for row in questions_of(of)]
    write(given.folder / "questions.csv", as_csv([head, *counted]))
    codes = {
        n: {s: c for work in works for s, c in codes_in(work).items()} for n, works in folders_of(given.folder).items()
    }
    alike = [[n, *pair] for n in codes for pair in similar(codes[n])]
    write(given.folder / "similar.csv", as_csv([["assignment", "ratio", "one student", "another"], *alike]))
    print(f"Students: {len(students)}; assignments: {len(results)}; pairs of answers that are alike: {len(alike)}.")
    said = doubts(results, weights)
    print("".join(f"  {text}\n" for text in said), end="", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
