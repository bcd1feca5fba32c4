"""What a class handed in: every file, whose it is, and which one is marked.

Read are plain notebooks, folders and zip files, as Canvas, Moodle and Gradescope pack them; who handed in
to Gradescope is in its ``submission_metadata.yml``.  A zip file is unpacked safely: only notebooks are
taken out, under names made here, up to a size.
"""

import contextlib
import csv
import hashlib
import io
import lzma
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from pathlib import Path, PurePosixPath

__all__ = ["Handed", "Person", "collect", "local_time", "named", "of_the_download", "read_roster", "rows_of", "turns"]

CANVAS = re.compile(r"^(?P<who>[^\W_](?:[^\W_]|[-'’.])*)(?P<late>_LATE)?_(?P<id>\d+)_(?P<sent>\d+)_(?P<file>.+)$", re.I)
# in folders or, as a teacher may choose, all files in one
MOODLE = re.compile(r"^(?P<who>.+?)_(?P<id>\d+)_(?P<plugin>assignsubmission_[^\W_]+)_?(?P<file>.*)$")
GRADESCOPE = re.compile(r"^submission_(?P<id>\d+)$")
PEOPLE = "submission_metadata.yml"  # whose these are, by Gradescope
AGAIN = re.compile(r"(?:-| \()(\d+)\)?$")
SYSTEM = "a file of the system"
LARGEST, MOST, DEEPEST = 30_000_000, 2000, 2  # bytes of a notebook, files in a zip, zips within zips
ALL = 20 * LARGEST  # bytes that a zip may unpack to
# what reading a zip may raise
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, ValueError, RuntimeError, EOFError)


@dataclass
class Person:
    """A row of the roster."""

    name: str
    id: str = ""
    email: str = ""
    due: datetime | None = None
    when: datetime | None = None  # handed in


@dataclass
class Handed:
    """What one student handed in: the notebook to mark, if there is one, and every other file.

    ``shown`` is where it was, also within a zip; ``timed`` says that ``when`` is not the time of a file; ``problem``
    says what is wrong with it, and ``doubt``, which no student reads, whose it may be; ``others`` maps each file
    that is not marked to why.
    """

    student: str
    id: str = ""
    path: Path | None = None
    shown: str = ""
    when: datetime | None = None
    timed: bool = False
    late_mark: bool = False
    problem: str = ""
    doubt: str = ""
    others: dict[str, str] = field(default_factory=dict)
    person: Person | None = None


@dataclass
class _File:
    key: str
    name: str
    id: str
    shown: str
    path: Path | None
    when: datetime
    again: int
    late: bool
    sent: int = 0  # the platform's own number: a later file has a larger one
    why: str = ""
    whole: str = ""  # the name with what looks like the number of a resubmission
    timed: bool = False  # by the platform's list


def plain(text: str) -> str:
    """A name to compare by: without accents, case, spaces and marks."""
    base = unicodedata.normalize("NFKD", text)
    return "".join(c for c in base if in_a_word(c) and not unicodedata.combining(c)).casefold()


def in_a_word(letter: str) -> bool:
    """Whether this is a letter, a digit or a sign that belongs to the letter before, such as a vowel in Hindi."""
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def who_of(place: PurePosixPath) -> tuple[str, str, int, bool, int]:
    """(name, id, number of the resubmission, marked as late, the platform's number) by where a file is."""
    top, stem = place.parts[0], PurePosixPath(place.name).stem
    again = AGAIN.search(stem)
    number = int(again[1]) if again and int(again[1]) < 100 else 0
    if len(place.parts) > 1:
        match = MOODLE.match(top) or GRADESCOPE.match(top)
        name = (match.groupdict().get("who") or top) if match else top
        return name, (match["id"] if match else ""), number, False, 0
    if match := CANVAS.match(place.name):
        return match["who"], match["id"], number, bool(match["late"]), int(match["sent"])
    if match := MOODLE.match(place.name):
        return match["who"], match["id"], number, False, 0
    return (AGAIN.sub("", stem) if number else stem), "", number, False, 0


def people_of(text: str) -> dict[str, tuple[str, str, datetime | None]]:
    """{folder: (name, id, time)} by Gradescope's list of whose the submissions are.

    Examples
    --------
    >>> people_of("submission_7:\\n  :submitters:\\n  - :name: Ann B\\n    :sid: '12'\\n")
    {'submission_7': ('Ann B', '12', None)}
    """
    found = {}
    for block in re.split(r"(?m)^(?=submission_)", text):
        names, numbers, mails, times = (
            re.findall(rf"""(?m)^[\s-]*:{key}: *["']?(.*?)["']?\s*$""", block)
            for key in ("name", "sid", "email", "created_at")
        )
        when = None
        if times and (match := re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", times[0])):  # the time of Greenwich
            when = datetime.fromisoformat(match[0] + "+00:00").astimezone().replace(tzinfo=None)
        if names:
            found[block.partition(":")[0]] = (" and ".join(names), [*filter(None, numbers + mails), ""][0], when)
    return found


def unpacked(
    data: bytes, shown: str, into: Path, depth: int = 1, left: list[int] | None = None
) -> Iterator[tuple[str, Path | None, datetime, str]]:
    """(name, path of the notebook or None, time, why not) of every file in a zip; ``left``: how many bytes may come."""
    now, left = datetime.now(), [ALL] if left is None else left
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > MOST:
                yield shown, None, now, f"a zip of more than {MOST} files"
                return
            for info in members:
                name, when = info.filename, now
                with contextlib.suppress(ValueError):  # some programs write the day 0 of the month 0
                    when = datetime(*info.date_time)
                suffix = PurePosixPath(name).suffix.lower()
                if any(map(of_the_system, PurePosixPath(name).parts)):
                    yield name, None, when, SYSTEM
                    continue
                if suffix not in (".ipynb", ".zip"):
                    yield name, None, when, "no notebook"
                    continue
                with archive.open(info) as file:  # what it says of its size may be false
                    content = file.read(LARGEST + 1)
                left[0] -= len(content)
                if left[0] < 0:
                    yield name, None, when, f"the zip unpacks to more than {ALL // 10**6} MB"
                    return
                if len(content) > LARGEST:
                    yield name, None, when, f"larger than {LARGEST // 10**6} MB"
                elif suffix == ".zip" and depth < DEEPEST:
                    inside = unpacked(content, name, into, depth + 1, left)
                    for inner, path, _, why in sorted(inside, key=itemgetter(2)):
                        yield f"{name}/{inner}", path, when, why
                elif suffix == ".zip":
                    yield name, None, when, "a zip within a zip within a zip"
                else:
                    path = into / (hashlib.sha256(content).hexdigest()[:24] + ".ipynb")
                    into.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                    yield name, path, when, ""
    except DAMAGED:
        yield shown, None, now, "a damaged or locked zip"


def _files(folder: Path, into: Path) -> Iterator[_File]:
    """Every file that was handed in; ``into`` is for what zips hold."""
    tops = [path for path in folder.iterdir() if not of_the_system(path.name)]
    if len(tops) == 1 and tops[0].is_dir() and not tops[0].is_symlink():
        if not packed(tops[0].name) and _of_a_class([path.name for path in tops[0].iterdir()]):
            folder = tops[0]  # the platform's folder of the whole class
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        shown = place.as_posix().encode("utf-8", "replace").decode()  # a name may be no text
        if of_the_system(place.parts[0]):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            yield _file(place, shown, None, datetime.now(), "a link, not a file")
            continue
        if path.is_dir():
            if len(place.parts) == 1 and not any(path.iterdir()):
                yield _file(place / "nothing", shown, None, datetime.now(), "an empty folder")
            continue
        when = datetime.fromtimestamp(path.stat().st_mtime)
        if any(map(of_the_system, place.parts)):
            yield _file(place, shown, None, when, SYSTEM)
        elif path.suffix.lower() == ".zip":
            # one student's zip, or the platform's zip of the whole class
            inside = list(unpacked(path.read_bytes(), shown, into)) if path.stat().st_size <= ALL else []
            inside.sort(key=itemgetter(2))
            if not inside:
                yield _file(place, shown, None, when, "an empty or too large zip")
            # what has a student's name on it is that student's, whatever the names inside
            names = [PurePosixPath(name) for name, *_ in inside]
            tops = {name.parts[0] for name in names if not of_the_system(name.parts[0])}
            within = len(tops) == 1 and all(len(name.parts) > 1 for name in names) and not packed(min(tops))
            names = [PurePosixPath(*name.parts[within:]) for name in names]
            whole = len(place.parts) == 1 and not packed(shown) and _of_a_class(map(str, names))
            for name, (original, found, then, why) in zip(names, inside):
                if not whole:  # as late as the zip, whatever its files say
                    yield _file(place, f"{shown}/{original}", found, when, why)
                elif not of_the_system(name.parts[0]):
                    yield _file(name, f"{shown}/{original}", found, then, why)
        elif path.suffix.lower() != ".ipynb":
            yield _file(place, shown, None, when, "no notebook")
        else:
            yield _file(place, shown, path, when, "")


def _of_a_class(names: Iterable[str]) -> bool:
    """Whether the files in a zip are several students', by how a platform names them."""
    tops = {PurePosixPath(name).parts[0] for name in names if name and not name.startswith(("/", ".."))}
    return sum(map(packed, tops)) > 1


def of_the_system(name: str) -> bool:
    """Whether a file or folder is one that systems and editors leave, and nobody hands in."""
    left = (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", ".ipynb_checkpoints", ".git")
    return name in left or name.startswith("._")


def feedback_name(handed: "Handed") -> str:
    """What a page for a student has to be called, so that the platform that packed the files takes it back."""
    for part in PurePosixPath(handed.shown or next(iter(handed.others), "")).parts:
        if match := MOODLE.match(part):
            return f"{part[: match.start('file')]}feedback.html" if match["file"] else f"{part}/feedback.html"
        if CANVAS.match(part):
            return f"{PurePosixPath(part).stem}.html"
    return f"{handed.student}.html"


def packed(name: str) -> bool:
    """Whether a platform has put a student's name and number on a file or folder."""
    return bool(MOODLE.match(name) or CANVAS.match(name) or GRADESCOPE.match(name))


def _file(place: PurePosixPath | Path, shown: str, path: Path | None, when: datetime, why: str) -> _File:
    safe = PurePosixPath(*(part for part in PurePosixPath(place).parts if part not in ("/", "..")))
    name, number, again, late, sent = who_of(safe)
    whole = safe.stem if len(safe.parts) == 1 and not number else name
    return _File(key_of(name) + number, name, number, shown, path, when, again, late, sent, why, whole)


def key_of(name: str) -> str:
    """A name by which files of one student are put together."""
    return unicodedata.normalize("NFC", name).casefold()


def _people_in(folder: Path) -> dict[str, tuple[str, str, datetime | None]]:
    """Whose the submissions of Gradescope are, by its list in the folder, or in a zip there."""
    found: dict[str, tuple[str, str, datetime | None]] = {}
    for path in (*folder.glob(PEOPLE), *folder.glob(f"*/{PEOPLE}")):
        if not path.is_symlink() and not packed(path.parent.name):
            found |= people_of(path.read_text(encoding="utf-8", errors="replace"))
    for path in folder.glob("*.zip"):
        if packed(path.name):
            continue  # a student's
        # what is wrong with it is said where its files are listed
        with contextlib.suppress(*DAMAGED), zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                place = PurePosixPath(info.filename)
                if place.name == PEOPLE and len(place.parts) < 3 and info.file_size < LARGEST:
                    found |= people_of(archive.read(info).decode("utf-8", "replace"))
    return found


def collect(
    folder: str | Path, into: Path, roster: list[Person] | None = None, whose: str | None = None
) -> list[Handed]:
    """One entry for each student: of what was handed in, and of the roster, sorted by name.

    Of several notebooks the last is marked: by the number of the resubmission, then by time.  What
    holds nothing but files of the system is nobody's and is left out, unless it is in somebody's folder or zip.  With ``whose``, everything is that student's.
    """
    groups: dict[str, list[_File]] = {}
    all_files = list(_files(Path(folder), into))
    people = _people_in(Path(folder))
    for file in all_files:
        if file.name in people:
            file.name, file.id, when = people[file.name]
            file.when, file.timed = when or file.when, when is not None
    if people:
        all_files = [file for file in all_files if PurePosixPath(file.shown).name != PEOPLE]
    firsts = {file.key for file in all_files if not file.again}
    for file in all_files:
        if file.again and not file.id and file.key not in firsts:  # team-1 and team-2, say: no resubmissions
            file.name, file.key, file.again = file.whole, key_of(file.whole), 0
        groups.setdefault(file.key if whose is None else whose, []).append(file)
    for group in groups.values():
        name = unicodedata.normalize("NFC", group[0].name)
        group[0].name = "".join(c if in_a_word(c) or c in " .,@+'’-" else "_" for c in name)[:80] or "unnamed"
    names = [files[0].name for files in groups.values()]
    found = []
    for files in groups.values():
        first = files[0]
        student = first.name if names.count(first.name) == 1 else f"{first.name} {first.id}".strip()
        if any(other.student == student for other in found):
            student = f"{student} {len(found) + 1}"
        handed = Handed(student, first.id)
        good = sorted((f for f in files if f.path), key=lambda f: (f.again, f.sent, f.when))
        if good:
            last = good[-1]
            handed.path, handed.shown, handed.late_mark = last.path, last.shown, last.late
            handed.when, handed.timed = last.when, last.timed
            handed.others = {f.shown: "an earlier one; the last is marked" for f in good[:-1]}
            if len({f.path for f in good}) > 3:
                handed.doubt = f"{len(good)} notebooks, of which one is marked: are they of several students?"
        else:
            whys = {why: ", ".join(named(f.shown for f in files if f.why == why)) for why in (f.why for f in files)}
            handed.problem = f"handed in, but {'; '.join(f'{why}: {those}' for why, those in whys.items())}"
        handed.others |= {f.shown: f.why for f in files if not f.path}
        found.append(handed)
    return sorted(_with_roster(found, roster) if roster is not None else found, key=lambda h: h.student.casefold())


def named(shown: Iterable[str], most: int = 3) -> list[str]:
    """The names of files as their owner knows them, and of many how many there are more.

    Examples
    --------
    >>> named(["all.zip/Ann B_7_assignsubmission_file_/a.ipynb", "bann_LATE_7_88_b.py"])
    ['a.ipynb', 'b.py']
    """
    names = [PurePosixPath(name).name for name in shown]
    found = [MOODLE.match(name) or CANVAS.match(name) for name in names]
    names = [match["file"] if match and match["file"] else name for match, name in zip(found, names)]
    return names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]


def turns(name: str) -> set[str]:
    """A name to compare by, and the same with its last words first: platforms differ in where a surname ends.

    Examples
    --------
    >>> sorted(turns("Ada King Lovelace"))
    ['adakinglovelace', 'kinglovelaceada', 'lovelaceadaking']
    >>> turns("Lovelace, Ada") == turns("Ada Lovelace")
    True
    """
    words = name.replace(",", " ").split()
    return {plain(" ".join(words[k:] + words[:k])) for k in range(len(words))} - {""}


def _with_roster(found: list[Handed], roster: list[Person]) -> list[Handed]:
    """Join what was handed in with the roster; both what only one of them has is kept.

    A number that is one person's and a name that is another's are of two numberings: the name decides.
    """
    numbers: dict[str, list[Person]] = {}
    names: dict[str, list[Person]] = {}
    turned: dict[str, list[Person]] = {}
    for person in roster:
        own = {plain(t) for t in (person.name, person.id, person.email, person.email.partition("@")[0])}
        for table, keys in ((numbers, {plain(person.id)}), (names, own), (turned, turns(person.name))):
            for key in keys - {""}:
                table.setdefault(key, []).append(person)

    def called(name: str) -> list[Person]:
        return names.get(plain(name)) or turned.get(plain(name)) or []

    taken: dict[int, Handed] = {}
    for handed in found:
        name = handed.student.removesuffix(f" {handed.id}")
        by_number = numbers.get(plain(handed.id), []) if handed.id else []
        by_name = called(name) or called(AGAIN.sub("", name))
        both = [person for person in by_name if any(person is other for other in by_number)]
        people = both or by_name or by_number
        why = ""
        if len(people) != 1:
            why = f"{len(people)} on the roster could be this one" if people else "not on the roster"
        elif id(people[0]) in taken:
            why = f"a second row of {people[0].name}"
        else:
            taken[id(people[0])] = handed
            handed.person, handed.when = people[0], people[0].when or handed.when
            handed.timed |= people[0].when is not None
            if by_number and not both and by_name:
                why = f"by its number this would be {by_number[0].name}; its name has decided"
        handed.doubt = "; ".join(filter(None, [handed.doubt, why]))
    rows, used = [*found], {handed.student for handed in found}
    for person in roster:
        if id(person) not in taken:
            known = [person.name, f"{person.name} {person.id}".strip(), f"{person.name} {len(rows) + 1}"]
            student = next(name for name in known if name not in used)
            used.add(student)
            rows.append(Handed(student, person.id, person=person))
    return rows


def rows_of(path: str | Path, bare: bool = True) -> list[dict[str, str]]:
    """The rows of a CSV file as Excel or a platform writes it: with commas, semicolons or tabs, BOM or none.

    Text is UTF-8, UTF-16 with a BOM or, where it is neither, that of Windows; empty lines and Excel's ``sep=;`` may come
    first.  ``bare`` takes away the white space around cells.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    text = re.sub(r"\A[\r\n]*(sep=.[\r\n]+)?", "", text)
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    clean = str.strip if bare else str
    return [{clean(key): clean(value or "") for key, value in row.items() if key} for row in rows]


def of_the_download(found: Iterable[Handed]) -> bool:
    """Whether the files' times are those of a platform's zip: three students or more, all within ten minutes.

    Times that a platform's list or the roster gives are no files'.
    """
    times = [handed.when for handed in found if handed.path and handed.when and not handed.timed]
    return len(times) > 2 and (max(times) - min(times)).total_seconds() < 600


def local_time(text: str) -> datetime:
    """A date and time where this runs; of a day alone, its end.  Raises ValueError.

    Examples
    --------
    >>> local_time("2026-11-30T18:00"), local_time("2026-11-30")
    (datetime.datetime(2026, 11, 30, 18, 0), datetime.datetime(2026, 11, 30, 23, 59, 59))
    """
    when = datetime.fromisoformat(text)
    if len(text) <= 10:
        return when.replace(hour=23, minute=59, second=59)
    return when.astimezone().replace(tzinfo=None) if when.tzinfo else when


COLUMNS = {
    "name": ("name", "student", "full name", "student name"),
    "id": ("id", "sid", "identifier", "student id", "sis user id"),
    "email": ("email", "email address", "sis login id"),
    "due": ("due", "extension", "due date"),
    "when": ("handed in", "submitted at"),
}


def read_roster(path: str | Path) -> list[Person]:
    """The people on a roster: a table of your own, or the export of Canvas, Moodle or Gradescope.

    Raises
    ------
    SystemExit
        If it has no column for names or a date cannot be read.
    """
    people = []
    for row in rows_of(path):
        lower = {key.casefold(): value for key, value in row.items()}
        cells = {what: next((lower[k] for k in names if lower.get(k)), "") for what, names in COLUMNS.items()}
        if not cells["name"]:
            first, last = lower.get("first name", ""), lower.get("last name", lower.get("surname", ""))
            cells["name"] = f"{first} {last}".strip()
        if not cells["name"] or cells["name"].casefold() in ("points possible", "student, test"):
            continue
        times = []
        for text in (cells["due"], cells["when"]):
            try:
                times.append(local_time(text) if text else None)
            except ValueError:
                raise SystemExit(f"{path}: {text!r} is no date such as 2026-11-30T18:00") from None
        number = cells["id"].removeprefix("Participant ").strip()
        last, comma, first = cells["name"].partition(",")  # as Canvas writes it
        name = f"{first.strip()} {last.strip()}" if comma and "," not in first else cells["name"]
        people.append(Person(name, number, cells["email"], *times))
    if not people:
        raise SystemExit(f"{path}: no names; the table needs a column `name`, and may have `id`, `email` and `due`")
    return people
