"""The assignments mark themselves: right answers get all points, wrong ones are told why, and what
breaks costs its author one question."""

import csv
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bea_course import checks_of
from bea_course.compare import draw_from
from bea_course.examiner import examine, outcomes
from bea_course.fence import fence
from bea_course.grade import Late, by_hand, grade, not_marked, with_hand
from bea_course.handed_in import Person
from bea_course.kernel import Kernel, Limits
from bea_course.marking import mark
from bea_course.notebook import EMPTY, cells_of, filled, read_assignment, read_submission
from bea_course.report import as_html, harmless, reading_page, table
from tools.site import check_site
from tools.site.leaks import leaks_in, secrets_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assignments"
SOURCES = sorted(FOLDER.glob("[0-9]*.ipynb"))
ADAM = next(path for path in SOURCES if path.name.startswith("05"))
LIMITS = Limits(seconds=120)  # the machine may be busy
FAULTS = runpy.run_path(FOLDER / "wrong" / "faults.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="marking needs a system that can fork")


@pytest.fixture(scope="module")
def kernel_of():
    """A kernel with an assignment's first cells; one at a time, and another where something has ended it."""
    kept = {}

    def get(source):
        if source not in kept or kept[source].process.poll() is not None:
            while kept:
                kept.popitem()[1].end()
            import_module(f"bea_course.checks.a{source.name[:2]}")  # here once, not in each process of tests
            kept[source] = Kernel(LIMITS)
            for cell in read_assignment(source).setup:
                assert kept[source].run(cell) is None
        return kept[source]

    yield get
    for kernel in kept.values():
        kernel.end()


def wrong_of(source):
    return runpy.run_path(FOLDER / "wrong" / f"{source.stem}.py")["WRONG"]


def solutions_of(assignment):
    return {question.name: question.solution for question in assignment.questions}


def handed_in(path, assignment, answers):
    path.write_text(filled(assignment, answers), encoding="utf-8")
    return path


each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

# --- what an assignment is ---------------------------------------------------------------------


@each_source
def test_source_is_in_order(source):
    assignment = read_assignment(source)
    text = "\n".join(assignment.prose)
    assert f"**Points.** {assignment.points}." in text
    assert f"**Time.** {assignment.minutes} minutes." in text
    names = [question.name for question in assignment.questions]
    assert len(names) == len(set(names))
    for question in assignment.questions:
        assert question.solution
        assert question.by_hand == ("*Rubric.*" in question.text), question.name
        assert question.by_hand == (not question.tests), question.name
    outputs = [cell.get("outputs") for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]]
    assert not any(outputs)


@each_source
def test_student_copy_is_of_this_source(source):
    """`make assignments` makes it; the rest of what that makes is not committed."""
    assignment = read_assignment(source)
    copy = [cell for cell in cells_of(FOLDER / "student" / source.name) if "ModuleNotFoundError" not in cell[1]]
    sources = cells_of(source)
    public = [text.strip() for kind, text in sources if kind == "markdown" and text.strip() in assignment.prose]
    solutions = {question.solution for question in assignment.questions if question.by_hand}
    assert [text for kind, text in copy if kind == "markdown" and text != EMPTY] == [
        t for t in public if t not in solutions
    ]
    checks = [text.strip() for kind, text in sources if kind == "code" and text.startswith("check(")]
    assert [text for kind, text in copy if kind == "code" and text.startswith("check(")] == checks
    assert [text for kind, text in copy if kind == "code"][: len(assignment.setup)] == [
        s.strip() for s in assignment.setup
    ]


@each_source
def test_student_copy_is_everybodys_notebook(source):
    """Valid, with ids, and nothing of one program in it that another may refuse."""
    import nbformat

    copy = nbformat.read(FOLDER / "student" / source.name, as_version=nbformat.NO_CONVERT)
    nbformat.validate(copy)
    assert (copy.nbformat, copy.nbformat_minor) == (4, 5) and set(copy.metadata) == {"kernelspec"}
    assert copy.metadata.kernelspec.name == "python3" and len({cell.id for cell in copy.cells}) == len(copy.cells)
    assert {key for cell in copy.cells for key in cell.metadata} <= {"deletable", "editable"}
    assert not any(cell.get("outputs") for cell in copy.cells)


def test_a_student_copy_installs_what_it_needs_once_there_is_an_address(monkeypatch, tmp_path):
    """A first cell, by the address in _config.yml; as long as that is a placeholder there is none."""
    import nbformat

    from tools.course import assignments

    def first(url):
        (tmp_path / "_config.yml").write_text(f"repository:\n  url: {url}\n")
        return assignments.student_copy(nbformat.read(ADAM, 4)).cells[0]

    monkeypatch.setattr(assignments, "ROOT", tmp_path)
    assert first("https://github.com/OWNER" + "/REPOSITORY").cell_type == "markdown"
    cell = first("https://github.com/ada/book")
    assert "git+https://github.com/ada/book" in cell.source and cell.id
    with Kernel(LIMITS) as kernel:  # the library is there: nothing is installed
        assert kernel.run(cell.source) is None


@each_source
def test_student_copy_holds_no_solution(source):
    assert secrets_of(source)
    assert leaks_in([FOLDER / "student" / path.name for path in SOURCES], [source]) == []


# --- marks -------------------------------------------------------------------------------------


@each_source
def test_solution_gets_all_points(source, tmp_path):
    assignment = read_assignment(source)
    result = mark(source, handed_in(tmp_path / "right.ipynb", assignment, solutions_of(assignment)), LIMITS)
    by_hand = sum(question.points for question in assignment.questions if question.by_hand)
    assert (result["points"], result["to_read"]) == (assignment.points - by_hand, by_hand), result


@each_source
def test_student_copy_gets_none(source):
    """And it is told, in the student's page and in the instructor's table, that it is the copy."""
    result = mark(source, FOLDER / "student" / source.name, LIMITS)
    assert (result["points"], result["to_read"]) == (0, 0), result
    assert result["note"] == "no answer is filled in: it is the copy as it was handed out"
    assert result["note"] in as_html(result) and result["note"] in table({"anna": result})


@each_source
def test_student_copy_runs_as_it_is(source, capsys):
    names = {}
    for kind, text in cells_of(FOLDER / "student" / source.name):
        if kind == "code":
            exec(text, names)
    said = capsys.readouterr().out.splitlines()
    questions = read_assignment(source).questions
    assert len(said) == len(questions)
    assert all(("not answered yet" in line) != q.by_hand for line, q in zip(said, questions)), said


@each_source
def test_students_checks_say_what_marking_says(source, capsys):
    """The cells that check, in order, as in a student's own notebook with the right answers."""
    assignment = read_assignment(source)
    names = {}
    code = [*assignment.setup, *(q.solution for q in assignment.questions if not q.by_hand)]
    code += [text for kind, text in cells_of(source) if kind == "code" and text.startswith("check(")]
    for text in code:
        exec(text, names)
    said = capsys.readouterr().out.splitlines()
    for question in assignment.questions:
        end = (
            "a person reads this answer; there is nothing to check."
            if question.by_hand
            else "right, as far as this check sees."
        )
        assert f"{question.name}: {end}" in said


CASES = [
    pytest.param(source, name, answers, id=f"{source.stem}-{name}")
    for source in SOURCES
    for name, answers in wrong_of(source).items()
]


def compute_references(assignment, question):
    """Let the check of an experiment compute, and keep, its references here, not in each process of tests.

    It does so when it is asked about errors that are wrong in no way that it knows: first all of them, then
    those with the correction alone.
    """
    names = {}
    for code in (*assignment.setup, *(q.solution for q in assignment.questions if not q.by_hand)):
        exec(code, names)
    for factors in ((3.0, 3.0), (1.0, 3.0)):

        def wrong(hs, factor, last, factors=factors):
            return factors[bool(factor)] * names["errors"](hs, factor, last)

        found = outcomes(question, SimpleNamespace(value={"errors": wrong}.get), "a secret")
        draw_from("")  # what else runs in this process draws the public instances
        assert not any(test["passed"] or test.get("unexpected") for test in found), found


@pytest.mark.parametrize("source, name, answers", CASES)
def test_wrong_answers_are_told_why(source, name, answers, kernel_of):
    assignment, kernel = read_assignment(source), kernel_of(source)
    question, right = assignment.question(name), solutions_of(assignment)
    if name == "experiment":
        compute_references(assignment, question)
    names = [q.name for q in assignment.questions if not q.by_hand]
    for other in names[: names.index(name)]:
        assert kernel.run(right[other]) is None
    for old, new, said in answers:
        answer = new if old is None else right[name].replace(old, new)
        assert answer != right[name], old
        kernel.run(answer)
        found, _ = examine(kernel, question, "a secret")
        tests = found["tests"].values()
        assert not found["fault"] and len(tests) == len(question.tests), (new, found)
        assert not any(test.get("unexpected") for test in tests), (new, found)
        assert any(said in test.get("message", "") for test in tests), (new, found)


OTHERS = [
    pytest.param(source, answers, id=f"{source.stem}: {title}")
    for source in SOURCES
    for title, answers in runpy.run_path(FOLDER / "wrong" / f"{source.stem}.py").get("OTHER", {}).items()
]


@pytest.mark.parametrize("source, answers", OTHERS)
def test_other_right_answers_get_all_points(source, answers, kernel_of):
    assignment, kernel = read_assignment(source), kernel_of(source)
    for cell in (*assignment.setup, *answers.values()):
        assert kernel.run(cell) is None, cell
    for name in answers:
        found, _ = examine(kernel, assignment.question(name), "a secret")
        assert all(test["passed"] for test in found["tests"].values()) and not found["fault"], found


@each_source
def test_every_question_has_wrong_answers(source):
    wanted = {question.name for question in read_assignment(source).questions if not question.by_hand}
    assert set(wrong_of(source)) == wanted
    assert all(len(answers) >= 3 for answers in wrong_of(source).values())


def test_an_unanswered_question_is_no_error(capsys):
    checks_of("05")("potential", ...)
    assert capsys.readouterr().out == "potential: not answered yet.\n"


# --- faults ------------------------------------------------------------------------------------


def test_a_check_says_what_is_wrong_and_raises_nothing(capsys):
    import sympy as sp

    adam = checks_of("05")
    solution = {}
    exec("import numpy as np\n" + solutions_of(read_assignment(ADAM))["step"], solution)
    adam("step", lambda *given: (*solution["step"](*given), given[4] + 1))
    adam("step", lambda *given: (*solution["step"](*given)[:2], 0.5))
    adam("np")
    checks_of("01")("limit", lambda a, lam: sp.zoo)
    checks_of("06")(
        "interval", lambda values: values.mean() + 2.6 * values.std(ddof=1) / len(values) ** 0.5 * np.array([1, 1.001])
    )
    said = capsys.readouterr().out.splitlines()
    for line, part in zip(
        said,
        ("return theta, m and v", "the shape (3,)", "a person reads", "which is not real", "in 0.0 percent"),
        strict=True,
    ):
        assert part in line


def test_what_ends_a_kernel_costs_one_question(tmp_path):
    assignment = read_assignment(ADAM)
    names = ("step", "averages", "lagging", "half_step", "bracket")
    answers = {name: code for name, (_, code, _) in zip(names, FAULTS["ENDS"], strict=True)}
    answers["potential"] = solutions_of(assignment)["potential"]
    path = handed_in(tmp_path / "faulty.ipynb", assignment, answers)
    result = mark(ADAM, path, Limits(seconds=4), only=frozenset(answers))
    for name, (title, _, said) in zip(names, FAULTS["ENDS"]):
        entry = result["questions"][name]
        assert entry["points"] == 0 and said in " ".join(entry["errors"]), (title, entry)
    assert result["questions"]["potential"]["points"] == 2, result["questions"]["potential"]


def test_what_stops_a_cell_or_a_test_costs_no_more():
    assignment = read_assignment(ADAM)
    with Kernel(LIMITS) as kernel:
        for cell in assignment.setup:
            kernel.run(cell)
        for title, code, said in FAULTS["FAULTS"]:
            kernel.limits = Limits(seconds=2) if "did not end" in said else LIMITS
            problem = kernel.run(code)
            assert problem and said in problem, (title, problem)
        for title, code, said in FAULTS["VALUES"]:
            assert kernel.run(code) is None, title
            kernel.limits = Limits(seconds=2) if not said else LIMITS
            found, alive = examine(kernel, assignment.question("half_step"))
            assert alive and said in str(found) and not any(t["passed"] for t in found["tests"].values()), (
                title,
                found,
            )
        kernel.run(solutions_of(assignment)["half_step"])
        found, alive = examine(kernel, assignment.question("half_step"))
        assert alive and all(test["passed"] for test in found["tests"].values()), found


#: What the weaker fences leave open; each report says in its first line that they do.
READABLE = {
    "reads the source of the assignment",
    "lists the folder above Python",
    "lists the folder of all kernels",
    "looks for the checks on the disk",
    "learns the grader's login",
}
OPEN = {"bubblewrap": set(), "user and namespaces": READABLE, "user": READABLE | {"uses the network"}}
KEEP = "import sys\nfrom bea_course.kernel import Kernel\nkernel = Kernel()\nprint(kernel.folder, flush=True)\nsys.stdin.read()\nkernel.end()"


@pytest.mark.skipif(fence().kind == "none", reason="this machine has no fence; the report says so")
def test_nothing_outside_is_in_reach(tmp_path):
    kernel = Kernel(LIMITS)
    outside, marked, secret = tmp_path / "outside.txt", tmp_path / "marked.json", tmp_path / "secret.txt"
    marked.write_text("{}")
    secret.write_text("x")
    os.chmod(tmp_path, 0o700)  # as a folder with submissions should be
    listening = socket.create_server(("127.0.0.1", 0))
    other = subprocess.Popen([sys.executable, "-c", KEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    names = {
        "OUTSIDE": str(outside),
        "SECRET": str(secret),
        "OTHER": other.stdout.readline().strip(),
        "HOME": str(Path.home()),
        "MARKED": str(marked),
        "SOURCE": str(ADAM),
        "GRADER": os.getpid(),
        "PORT": listening.getsockname()[1],
    }
    got = set()
    with kernel, listening:
        for title, code in FAULTS["REACH"]:
            for name, value in names.items():
                code = code.replace(name, repr(value))
            if kernel.run(code) is None:
                got.add(title)
    other.communicate()
    assert got <= OPEN[fence().kind]
    assert marked.is_file() and not outside.exists()


@pytest.mark.parametrize("title, code, said", FAULTS["HARMS"], ids=lambda text: text if "\n" not in text else "")
def test_what_harms_the_machine_is_stopped(title, code, said):
    from bea_course.kernel import Fault

    with Kernel(Limits(seconds=60, memory=400_000_000)) as kernel:
        with pytest.raises(Fault, match=said):
            kernel.run(code)
        folder = kernel.folder
    assert not folder.exists()


def test_forged_lines_pass_no_test(kernel_of, tmp_path):
    kernel, question = kernel_of(ADAM), read_assignment(ADAM).question("half_step")
    kernel.run(
        "LINE, _k = '', get_ipython().kernel\n_r = _k.raw_input\n_k.raw_input = lambda line: _r(LINE)\nhalf_step = S"
    )
    kernel.limits = Limits(seconds=4)
    for line in FAULTS["FORGED"]:
        kernel.run(f"LINE = {line.replace('MARK', str(tmp_path / 'mark'))!r}")
        found, alive = examine(kernel, question)
        assert alive and not any(test["passed"] for test in found["tests"].values()), (line[:80], found)
    assert not (tmp_path / "mark").exists()
    kernel.limits = LIMITS
    kernel.run("_k.raw_input = _r\n" + solutions_of(read_assignment(ADAM))["half_step"])
    found, _ = examine(kernel, question)
    assert all(test["passed"] for test in found["tests"].values()), found


@pytest.mark.skipif(sys.platform != "linux", reason="needs processes that are bound to a core")
def test_a_busy_machine_costs_nobody_marks():
    """Waiting for the processor is no time; waiting for nothing is."""
    import psutil

    assignment = read_assignment(ADAM)
    with Kernel(LIMITS) as kernel:
        for cell in (*assignment.setup, solutions_of(assignment)["half_step"]):
            kernel.run(cell)
        first, core = psutil.Process(kernel.process.pid), min(os.sched_getaffinity(0))
        for process in (first, *first.children(recursive=True)):
            process.cpu_affinity([core])
        code = f"import psutil\npsutil.Process().cpu_affinity([{core}])\nprint(flush=True)\nwhile True:\n    pass"
        others = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(5)]
        try:
            for process in others:  # all of them are busy before anything is timed
                process.stdout.readline()
            kernel.limits = Limits(seconds=2)
            start = time.monotonic()
            code = "import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end:\n    pass"
            assert kernel.run(code) is None
            assert time.monotonic() - start > 2
            found, _ = examine(kernel, assignment.question("half_step"))
            assert not found["fault"] and all(test["passed"] for test in found["tests"].values())
            assert "did not end within 2 seconds" in str(kernel.run("time.sleep(3000)"))
        finally:
            for process in others:
                process.kill()
                process.wait()


def test_a_notebook_has_a_last_second(tmp_path):
    assignment = read_assignment(ADAM)
    path = handed_in(tmp_path / "a.ipynb", assignment, solutions_of(assignment))
    result = mark(ADAM, path, Limits(whole=0))
    assert result["points"] == 0 and "all that a notebook may take" in str(result["questions"]["step"])


def test_what_a_student_writes_commands_nobody(tmp_path):
    """Neither a browser, nor a terminal, nor a spreadsheet."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J"
    result = not_marked(ADAM, evil)
    for entry in result["questions"].values():
        entry |= {"answer": evil, "fault": evil, "errors": [evil], "comment": evil, "points": None}
        entry["tests"] = [{"message": evil, "hidden": False, "points": 0, "of": 1}]
    for page in (as_html(result), reading_page(read_assignment(ADAM), {evil: result})):
        assert page.lower().count("<script") == page.lower().count("</script") <= 2 and "<img" not in page
    with Kernel(LIMITS) as kernel:
        said = kernel.run("raise ValueError('\\x1b[2J\\x07')")
    assert said and said.isprintable()
    assert harmless("=cmd|'/c calc'!A1\x1b") == "'=cmd|'/c calc'!A1\ufffd"


def test_a_zip_is_nobody_elses(tmp_path, monkeypatch):
    """A student's zip cannot speak for others, fill the disk, write elsewhere or stop the class."""
    from zipfile import ZipFile, ZipInfo

    from bea_course import handed_in as module

    folder, text = tmp_path / "class", "no notebook"
    folder.mkdir()
    with ZipFile(folder / "mallory_123_456_work.zip", "w") as archive:
        for who in ("Ann B_7", "Cid D_8"):
            archive.writestr(f"{who}_assignsubmission_file_/05.ipynb", text)
    with ZipFile(folder / "long.zip", "w") as archive:
        for who in ("A" * 3000 + "_7", "../../../etc/B_8", "=cmd_9"):
            archive.writestr(f"{who}_assignsubmission_file_/05.ipynb", text)
    with ZipFile(folder / "bomb.zip", "w", 8) as archive:
        for k in range(9):
            archive.writestr(f"{k}.ipynb", str(k) * 10**6)
    with ZipFile(folder / "read.zip", "w") as archive:
        link = ZipInfo("a.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(ADAM))
    monkeypatch.setattr(module, "ALL", 5 * 10**6)
    done = grade(ADAM, folder, tmp_path / "05", quiet=True)
    names = set(done.results)
    assert "mallory" in names and not {"Ann B", "Cid D"} & names
    assert max(map(len, names)) < 100 and "cmd" in str(names) and not any("/" in name for name in names)
    assert len(list((tmp_path / "05" / "unpacked").iterdir())) < 9
    assert done.results["read"]["points"] == 0 and "no notebook" in done.results["read"]["note"]
    assert "read_.html" in [path.name for path in (tmp_path / "05").iterdir()]
    assert not (tmp_path / "etc").exists() and "\n=" not in (tmp_path / "05" / "files.csv").read_text()


def test_a_zip_is_read_whatever_has_written_it(tmp_path):
    """Without a date, or damaged within; and it is as late as itself, not as the notebook in it."""
    import io
    from zipfile import ZipFile, ZipInfo

    from bea_course.handed_in import collect

    def of(kind, content="{}"):
        stream = io.BytesIO()
        with ZipFile(stream, "w", kind) as archive:
            archive.writestr(ZipInfo("05.ipynb", (2026, 1, 1, 9, 0, 0)), content, kind)
        return bytearray(stream.getvalue())

    for kind, name in ((8, "deflated"), (14, "lzma")):
        data = of(kind, os.urandom(500).hex() * 20)
        data[60:300] = bytes(240)
        (tmp_path / f"{name}.zip").write_bytes(data)
    data = of(0)
    for at in (10, data.index(b"PK\1\2") + 12):
        data[at : at + 4] = bytes(4)
    (tmp_path / "dateless.zip").write_bytes(data)
    (tmp_path / "moodle.zip").write_bytes(
        zipped({f"{who}_assignsubmission_file_/05.zip": bytes(of(0)) for who in ("Ann B_7", "Cid D_8")})
    )
    found = {handed.student: handed for handed in collect(tmp_path, tmp_path / "unpacked")}
    assert all("damaged" in found[name].problem for name in ("deflated", "lzma"))
    assert found["dateless"].path and (datetime.now() - found["dateless"].when).total_seconds() < 600
    assert found["Ann B"].path and found["Ann B"].when != datetime(2026, 1, 1, 9)


def test_half_a_character_stops_nobody(tmp_path):
    """In words, code, a symbol's name and a file's; a message that an answer makes long is cut."""
    assignment, folder = read_assignment(ADAM), tmp_path / "class" / "Zo\udceb_7_assignsubmission_file_"
    folder.mkdir(parents=True)
    answers = {
        "potential": "# HALF\n" + solutions_of(assignment)["potential"],
        "half_step": "half_step = sp.Symbol('HALF')",
        "bracket": "bracket = sp.Symbol('x' * 10**6)",
        "words": "Half a HALF smile.",
    }
    text = filled(assignment, answers).replace("HALF", "\\ud83d")
    (folder / "05\udce9.ipynb").write_text(text, encoding="utf-8")
    done = grade(ADAM, folder.parent, tmp_path / "05", quiet=True, limits=LIMITS)
    [(name, result)] = done.results.items()
    assert result["points"] == 2 and result["questions"]["words"]["answer"] == "Half a ? smile."
    assert len(result["questions"]["bracket"]["tests"][0]["message"]) <= 2000
    assert (tmp_path / "05" / f"{name}.html").is_file() and (tmp_path / "05" / "feedback.zip").is_file()


def test_what_a_kernel_starts_ends_with_it():
    import psutil

    with Kernel(LIMITS) as kernel:
        code = "import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)"
        assert kernel.run(code) is None

    def sleeps(process):
        try:
            return "sleep 987" in " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.ZombieProcess):  # it has ended
            return False

    assert not any(sleeps(process) for process in psutil.process_iter())


def test_the_kernel_is_a_notebooks(tmp_path):
    """IPython's ways, answers below their check, and names made anew are as good as others."""
    assignment = read_assignment(ADAM)
    right = solutions_of(assignment)
    answers = {
        "step": "%%capture\n" + right["step"],
        "averages": right["averages"] + "\ndisplay(m_hat)\nsp.simplify?",
        "half_step": "get_ipython()\nt = %timeit -n1 -r1 -o 1+1\nif (3\n    != None):\n    x = (7\n    % 3)\n"
        + right["half_step"],
        "potential": "g, epsilon, p = sp.symbols('g epsilon p')\n" + right["potential"],
        "sign": "exit()",
    }
    path = handed_in(tmp_path / "a.ipynb", assignment, answers)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"].append(notebook["cells"][1] | {"cell_type": "code", "source": right["sign"]})
    path.write_text("\ufeff" + json.dumps(notebook), encoding="utf-8")
    wanted = {"step": 4, "averages": 2, "half_step": 2, "potential": 2, "sign": 3}
    result = mark(ADAM, path, LIMITS, only=frozenset(wanted))
    assert {name: result["questions"][name]["points"] for name in wanted} == wanted, result


def test_a_broken_cell_costs_no_other_its_marks(tmp_path):
    assignment = read_assignment(ADAM)
    answers = solutions_of(assignment) | {"step": FAULTS["BREAKS"]}
    result = mark(ADAM, handed_in(tmp_path / "broken.ipynb", assignment, answers), LIMITS)
    points = {name: entry["points"] for name, entry in result["questions"].items()}
    # the experiment uses `step`, which is not there
    assert points == {q.name: q.points for q in assignment.questions} | {
        "step": 0,
        "experiment": 0,
        "words": None,
    }


# --- a class -----------------------------------------------------------------------------------


def test_class_survives_a_kill(tmp_path):
    assignment = read_assignment(ADAM)
    folder, out = tmp_path / "class", tmp_path / "grades.csv"
    folder.mkdir()
    answers = {"potential": solutions_of(assignment)["potential"]}
    for k in range(4):
        handed_in(folder / f"student{k}.ipynb", assignment, answers)
    (folder / "student4.ipynb").write_text("no notebook")
    command = [sys.executable, "-m", "bea_course.grade", str(folder), "--out", str(out)]
    command += ["--assignment", str(ADAM), "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    done = out.with_suffix("")
    while process.poll() is None and len(list(done.glob("*.json"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in done.glob("*.json")}
    assert 2 <= len(kept) < 5
    # what a person has given in the meantime is kept, and counts; as Excel writes it
    (done / "by_hand.csv").write_text("\ufeffstudent;question;points;comment\nStudent0;words;1,5;Good.\nx;words;1;\n")
    marked = grade(ADAM, folder, out, jobs=2, quiet=True)
    assert marked.marked == 5 - len(kept)
    assert all((done / name).stat().st_mtime_ns == when for name, when in kept.items())
    rows = list(csv.DictReader(out.open(encoding="utf-8-sig")))
    assert [float(row["points"]) for row in rows] == [3.5, 2, 2, 2, 0]
    assert "no notebook" in rows[-1]["note"]
    assert "Good." in (done / "student0.html").read_text(encoding="utf-8")
    assert sorted(problem[:8] for problem in marked.problems) == ["by_hand.", "student4"]
    (folder / "student4.ipynb").unlink()
    again = grade(ADAM, folder, out, jobs=2, quiet=True)
    assert again.marked == 0 and "student4" not in str(list((done / "shown").iterdir()))


def class_in(folder, notebook):
    """What a class may hand in, as platforms pack it."""
    from zipfile import ZipFile

    folder.mkdir()
    text = notebook.read_text(encoding="utf-8")
    (folder / "anna.ipynb").write_text(text)
    (folder / "UPPER.IPYNB").write_text(text)
    (folder / "ivan.py").write_text("x = 1")
    (folder / "judy").mkdir()
    (folder / "judy" / "answer.docx").write_text("x")
    for name in ("doejohn_LATE_12345_987_05_adam.ipynb", "doejohn_LATE_12345_988_05_adam-1.ipynb"):
        (folder / name).write_text(text)
    (folder / "Lena M_123_assignsubmission_file_").mkdir()
    for name in ("a.ipynb", "b.ipynb"):
        (folder / "Lena M_123_assignsubmission_file_" / name).write_text(text)
    (folder / "link.ipynb").symlink_to(ADAM)
    (folder / "linked").symlink_to(FOLDER)
    (folder / ".hidden.ipynb").write_text(text)
    (folder / ".DS_Store").write_text("x")
    (folder / "Emil F_9_assignsubmission_file_").mkdir()
    (folder / "Gil H_10_assignsubmission_file_" / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / "Gil H_10_assignsubmission_file_" / ".ipynb_checkpoints" / "a.ipynb").write_text(text)
    (folder / "empty.ipynb").write_text("")
    (folder / "broken.zip").write_text("no zip")
    with ZipFile(folder / "zoe.zip", "w") as archive:
        archive.writestr("../../escaped.ipynb", text)
        archive.writestr("__MACOSX/._x.ipynb", "x")
    with ZipFile(folder / "bomb.zip", "w", 8) as archive:
        archive.writestr("big.ipynb", bytes(31_000_000))
    with ZipFile(folder / "moodle.zip", "w") as archive:
        for who in ("Ann B_7", "Cid D_8"):
            archive.writestr(f"{who}_assignsubmission_file_/05.ipynb", text)


def test_every_file_is_accounted_for(tmp_path):
    from bea_course.handed_in import Person, collect

    folder, unpacked = tmp_path / "class", tmp_path / "out" / "unpacked"
    class_in(folder, FOLDER / "student" / ADAM.name)
    roster = [Person("Anna Berg", "", "anna@x.org"), Person("Lena M", "123"), Person("Nobody Here")]
    found = {handed.student: handed for handed in collect(folder, unpacked, roster)}
    marked = {name for name, handed in found.items() if handed.path}
    assert marked == {"anna", "UPPER", "doejohn", "Lena M", "empty", "zoe", "Ann B", "Cid D", ".hidden"}
    assert set(found) - marked == {
        *("ivan", "judy", "link", "linked", "broken", "bomb", "Nobody Here", "Emil F", "Gil H")
    }
    shown = {name for handed in found.values() for name in (handed.shown, *handed.others)}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    assert all(name in str(shown) for name in files - {".DS_Store"})
    assert found["doejohn"].path.name.endswith("-1.ipynb") and found["doejohn"].late_mark
    assert [list(found[who].others) for who in ("ivan", "judy")] == [["ivan.py"], ["judy/answer.docx"]]
    assert len(found["Lena M"].others) == 1 and found["Lena M"].id == "123"
    assert found["anna"].person is roster[0] and "not on the roster" in found["zoe"].doubt
    assert "ivan.py" in found["ivan"].problem  # its author reads which file was meant
    assert found["Nobody Here"].problem == "" and found["Nobody Here"].path is None
    assert not list(tmp_path.rglob("escaped*"))


def zipped(files):
    """A zip of these files, as bytes."""
    import io
    from zipfile import ZipFile

    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def packages():
    """What Canvas, Moodle and Gradescope give of one class: {platform: {file: content}}."""
    one, two = "first", "second"
    names = ("María José Núñez", "Jürgen Öztürk-Weiß", "Anna Lee", "Anna Lee", "李 小龙", "Pat O'Brien")
    moodle = {f"{who}_{k}_assignsubmission_file_/05 adam.ipynb": two for k, who in enumerate(names, 70)}
    moodle["Anna Lee_72_assignsubmission_file_/05 adam (1).ipynb"] = "third"
    moodle["Pat O'Brien_75_assignsubmission_onlinetext_/onlinetext.html"] = "<p>see the file"
    moodle["Zoë Q_76_assignsubmission_file_/work.zip"] = zipped({"my work/05.ipynb": two, "__MACOSX/._05.ipynb": one})
    canvas = {"nunezmaria_LATE_70_902_05_adam-1.ipynb": two, "nunezmaria_70_901_05_adam.ipynb": one}
    canvas |= {"kimsoo_71_812_05_adam.ipynb": two, "kimsoo_71_811_05_adam.ipynb": one, "kimsoo_72_813_05.ipynb": two}
    people = "".join(
        f"submission_{k}:\n  :submitters:\n  - :name: {who}\n    :sid: '{sid}'\n    :email: a@b.org\n  :created_at: 2026-11-28 17:00:00.5 Z\n"
        for k, who, sid in ((801, names[0], 70), (802, '"李 小龙"', 74))
    )
    gradescope = {"export/submission_metadata.yml": people}
    gradescope |= {"export/submission_801/05_adam.ipynb": two, "export/submission_802/work/05_adam.ipynb": two}
    return {"moodle": moodle, "canvas": canvas, "gradescope": gradescope}


WHO = {
    "moodle": {
        **{"María José Núñez": "70", "Jürgen Öztürk-Weiß": "71", "Anna Lee 72": "72", "Anna Lee 73": "73"},
        **{"李 小龙": "74", "Pat O'Brien": "75", "Zoë Q": "76"},
    },
    "canvas": {"nunezmaria": "70", "kimsoo 71": "71", "kimsoo 72": "72"},
    "gradescope": {"María José Núñez": "70", "李 小龙": "74"},
}


@pytest.mark.parametrize("platform", WHO)
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "folder"])
def test_what_a_platform_packs_is_everybodys_own(platform, as_zip, tmp_path):
    """Accents, spaces, two of one name, resubmissions, late ones, zips in zips: in, and back with the pages."""
    from dataclasses import replace

    from bea_course.handed_in import collect, feedback_name, of_the_download

    files, folder = packages()[platform], tmp_path / "class"
    folder.mkdir()
    if as_zip:
        (folder / "all of them.zip").write_bytes(zipped(files))
    else:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = collect(folder, tmp_path / "unpacked")
    assert {handed.student: handed.id for handed in found} == WHO[platform]
    assert all(handed.path and not handed.problem for handed in found)
    marked = {handed.student: handed.path.read_text() for handed in found}
    assert marked.pop("Anna Lee 72", "third") == "third" and set(marked.values()) == {"second"}
    back = {handed.student: feedback_name(handed) for handed in found}
    if platform == "moodle":
        assert back["Zoë Q"] == "Zoë Q_76_assignsubmission_file_/feedback.html"
    if platform == "canvas":
        assert back["kimsoo 71"] == "kimsoo_71_812_05_adam.html" and found[-1].late_mark
    if platform == "gradescope":
        assert {handed.when.astimezone().utctimetuple()[:5] for handed in found} == {(2026, 11, 28, 17, 0)}
        assert not of_the_download([*found, *found]) and of_the_download(
            [replace(h, timed=False) for h in [*found, *found]]
        )


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "folder"])
def test_moodle_packs_without_folders_too(as_zip, tmp_path):
    """As a teacher may choose in Moodle; and a zip of a platform that is not known is not one student's."""
    from bea_course.handed_in import collect, feedback_name

    names = {
        "Ann B_7_assignsubmission_file_03 my batches.ipynb": "1",
        "José Q_8_assignsubmission_file_a_9_b.ipynb": "2",
    }
    names |= {"Ann B_7_assignsubmission_file_notes.py": "x", "Cid_D_9_assignsubmission_file_03.ipynb": "3"}
    names["Ann B_7_assignsubmission_onlinetext_onlinetext.html"] = "<p>see the file"
    folder = tmp_path / "class"
    folder.mkdir()
    if as_zip:
        (folder / "all.zip").write_bytes(zipped(names))
    else:
        for name, content in names.items():
            (folder / name).write_text(content)
    found = {handed.student: handed for handed in collect(folder, tmp_path / "unpacked")}
    assert {who: (h.id, h.path.read_text()) for who, h in found.items()} == {
        **{"Ann B": ("7", "1"), "José Q": ("8", "2"), "Cid_D": ("9", "3")}
    }
    assert feedback_name(found["Ann B"]) == "Ann B_7_assignsubmission_file_feedback.html"
    if as_zip:
        (folder / "all.zip").write_bytes(zipped({f"student{k}.ipynb": str(k) for k in range(5)}))
        [handed] = collect(folder, tmp_path / "unpacked")
        assert "5 notebooks" in handed.doubt and "of several students" in handed.doubt


def test_no_two_students_are_taken_for_one(tmp_path):
    """Numbers in names, other accents, characters that no file may have: all stay apart; resubmissions do not."""
    from bea_course.handed_in import collect

    folder = tmp_path / "class"
    folder.mkdir()
    apart = [
        "team-1",
        "team-2",
        "student_1",
        "student1",
        "José",
        "Jose",
        "a:b",
        "a;b",
        "x" * 90,
        "x" * 91,
        "\udcff",
        "\n",
    ]
    for name in (*apart, "lena", "lena-1"):
        (folder / f"{name}.ipynb").write_text("{}")
    found = {handed.student: handed for handed in collect(folder, tmp_path / "unpacked")}
    assert len(found) == len(apart) + 1 and all(student.isprintable() for student in found)
    assert found["lena"].path.name == "lena-1.ipynb" and list(found["lena"].others) == ["lena.ipynb"]
    result = {name: not_marked(ADAM, "") for name in ("Jose", "José")}
    (tmp_path / "by_hand.csv").write_text("student,question,points\nJose,words,1\nJosé,words,2\n", encoding="utf-8")
    given, problems = by_hand(tmp_path / "by_hand.csv", result)
    assert [given[name]["words"][0] for name in result] == [1, 2] and not problems
    (tmp_path / "by_hand.csv").write_text("student,question,points\njosé,words,1\n", encoding="utf-8")
    assert "more than one student 'josé'" in by_hand(tmp_path / "by_hand.csv", result)[1][0]


def test_a_name_stays_as_it_is_written(tmp_path):
    """Also as macOS writes it, in letters and accents apart, in scripts with signs for vowels, and in Excel's files."""
    from bea_course.handed_in import Person, collect, plain, read_roster

    names = {"María José", "कमल", "कमला"}
    folder = tmp_path / "class"
    folder.mkdir()
    for name in names:
        (folder / f"{unicodedata.normalize('NFD', name)}.ipynb").write_text("{}")
    assert {handed.student for handed in collect(folder, tmp_path)} == {unicodedata.normalize("NFC", n) for n in names}
    assert len(set(map(plain, names))) == 3 and plain("José") == plain("JOSE")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "roster.csv").write_bytes("name;id\nMaría José;12\n".encode(encoding))
        assert read_roster(tmp_path / "roster.csv") == [Person("María José", "12")]


def test_a_roster_gives_nobody_anothers_marks():
    """Names in another order, two of one name, and numbers that mean something else on another platform."""
    from bea_course.handed_in import Handed, Person, _with_roster

    def joined(found, roster):
        rows = _with_roster([Handed(*one) for one in found], [Person(*one) for one in roster])
        return {row.student: (row.person.id if row.person else None, row.doubt) for row in rows}

    canvas = joined([("garcíalópezmaríajosé", "504")], [("María José García López", "1004")])
    assert canvas == {"garcíalópezmaríajosé": ("1004", "")}
    turned = joined([("David Kim", "2"), ("Kim David", "1")], [("David Kim", "11"), ("Kim David", "12")])
    assert turned == {"David Kim": ("11", ""), "Kim David": ("12", "")}
    clash = joined([("Ann B", "2")], [("Ann B", "1"), ("Cid D", "2")])
    assert clash["Ann B"][0] == "1" and "Cid D" in clash["Ann B"][1] and clash["Cid D"] == ("2", "")
    lees = [("Anna Lee", "72"), ("Anna Lee", "73")]
    assert joined([("Anna Lee 73", "73")], lees) == {"Anna Lee 73": ("73", ""), "Anna Lee": ("72", "")}
    assert joined([], lees) == {"Anna Lee": ("72", ""), "Anna Lee 73": ("73", "")}
    assert joined([("Anna Lee", "9")], lees)["Anna Lee"] == (None, "2 on the roster could be this one")
    assert joined([("anna", "")], [("Anna Lee", "72", "anna@x.org")]) == {"anna": ("72", "")}


def test_what_is_too_long_holds_up_nobody():
    from bea_course.marking import shortened
    from bea_course.term import MOST, similar, words_of

    assert len(words_of("x = 1\n" * 10**6)) < MOST
    assert similar({"anna": "y = 1; " * 10**5, "bob": "y = 1; " * 10**5})[0][0] == 1
    assert len(shortened("x" * 10**7)) < 60_000 and shortened("x") == "x"


def test_a_container_marks_what_the_command_marks(tmp_path):
    """Of several files the last notebook, also out of a zip; what is left out is named."""
    from zipfile import ZipFile

    from bea_course import gradescope

    for name in ("source", "submission"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / ADAM.name).write_text(ADAM.read_text(encoding="utf-8"))
    text = (FOLDER / "student" / ADAM.name).read_text(encoding="utf-8")
    (tmp_path / "submission" / "draft.txt").write_text("x")
    (tmp_path / "submission" / "05.ipynb").write_text("no notebook")
    with ZipFile(tmp_path / "submission" / "work.zip", "w") as archive:
        archive.writestr("05-1.ipynb", text)
    os.utime(tmp_path / "submission" / "05.ipynb", (1e9, 1e9))  # the times in a zip are rounded down

    def said():
        assert gradescope.main([str(tmp_path)]) == 0
        return json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))["output"]

    assert "draft.txt: no notebook" in said() and "05.ipynb: an earlier one" in said()
    (tmp_path / "submission" / "work.zip").unlink()
    assert "cut off or damaged" in said()
    (tmp_path / "submission" / "05.ipynb").unlink()
    assert "handed in, but no notebook" in said()


def test_words_are_never_lost(tmp_path):
    assignment = read_assignment(ADAM)
    copy = json.loads((FOLDER / "student" / ADAM.name).read_text(encoding="utf-8"))
    new = {"cell_type": "markdown", "metadata": {}, "source": "My own words."}
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "source": "# this is what I think of the exponent\n1"}

    def words(cells):
        (tmp_path / "a.ipynb").write_text("\ufeff" + json.dumps(copy | {"cells": cells}), encoding="utf-8")
        return read_submission(tmp_path / "a.ipynb", assignment).prose["words"]

    cells = copy["cells"]
    assert words(cells) is None
    assert words([*cells, new]) == "My own words."  # below the last check
    assert "what I think" in words([*cells, code])
    for text in (
        '"""My own words, in a string."""',
        'print("My own words, in a string.")',
        'w = f"""My own words, in a string."""',
    ):
        assert "My own words" in words([*cells, code | {"source": text}])
    assert words([new, *[c for c in cells if "".join(c["source"]) != EMPTY]]) == "My own words."
    assert words([c for c in cells if "".join(c["source"]) != EMPTY]) == ""  # a person has to look
    for more, told in (([], True), ([new], False), ([code], False), ([code | {"source": "x = 1"}], False)):
        words([*cells, *more])
        assert ("as it was handed out" in read_submission(tmp_path / "a.ipynb", assignment).note) == told
    # a copy from before the assignment was reworded, and words below a question in its own cell
    before = [dict(cell) for cell in cells]
    before[0]["source"] = "".join(cells[0]["source"]).replace("\nMore tests are run when your work is marked.", "")
    assert words(before) is None and "as it was handed out" in read_submission(tmp_path / "a.ipynb", assignment).note
    [place] = [k for k, cell in enumerate(cells) if "## In words" in "".join(cell["source"])]
    before = [dict(cell) for cell in cells]
    before[place]["source"] = "".join(cells[place]["source"]) + "\n\n$$\nx\n$$\n\nis what I think."
    assert words(before).split() == ["$$", "x", "$$", "is", "what", "I", "think."]
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [{"cells": [code | {"input": "x=1"}, new]}],
    }
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert read_submission(tmp_path / "old.ipynb", assignment).prose["words"] == "My own words."
    theirs = next(path for path in SOURCES if path.name.startswith("07"))
    assert read_submission(FOLDER / "student" / theirs.name, assignment).prose["words"] == ""  # not that one's text
    other = next(path for path in SOURCES if path.name.startswith("03"))
    assert "is assignment 03" in read_submission(FOLDER / "student" / other.name, assignment).note.replace("this ", "")


def test_a_changed_check_marks_again_what_it_touches(tmp_path, monkeypatch):
    from bea_course import made_of

    question = read_assignment(ADAM).question
    before = {name: made_of.of_question(question(name)) for name in ("bracket", "lagging", "sign")}
    text = Path(made_of.find_spec("bea_course.checks.a05").origin).read_text(encoding="utf-8")
    changed = tmp_path / "a05.py"
    changed.write_text(text.replace("def bracket(", "def bracket(extra=0, *,", 1), encoding="utf-8")
    monkeypatch.setattr(made_of, "find_spec", lambda name: type("Spec", (), {"origin": str(changed)}))
    after = {name: made_of.of_question(question(name)) for name in before}
    assert [name for name in before if before[name] != after[name]] == ["bracket"]
    old = {"submission": "1", "questions": before}
    assert made_of.stale(old, old | {"questions": after}) == ({"bracket"}, "the checks have changed")
    assert made_of.stale(old, old | {"submission": "2"})[0] == set(before)


def test_a_changed_question_marks_again_everything(tmp_path):
    """Its name, or the points of an answer in words, which no test has."""
    from bea_course.made_of import made_of, stale

    text, source = ADAM.read_text(encoding="utf-8"), tmp_path / ADAM.name
    made = []
    for changed in (text, text.replace("name: words", "name: prose"), text.replace("## In words (", "## Words (")):
        source.write_text(changed, encoding="utf-8")
        made.append(made_of(source, None, LIMITS, "", fence()))
    for new in made[1:]:
        assert stale(made[0], new) == (set(new["questions"]), "changed: headings")


def test_points_by_hand_are_those_of_the_answer_that_was_read(tmp_path):
    """And points that overrule a test are on the page, which saves them with the others."""
    result = {"ann": not_marked(ADAM, "")}
    result["ann"]["questions"]["words"] |= {"points": None, "answer": "mine"}

    def data():
        page = reading_page(read_assignment(ADAM), result)
        return json.loads(page.partition("const DATA=")[2].partition("</script>")[0])

    [entry] = data()["questions"][0]["entries"]
    table = tmp_path / "by_hand.csv"  # as the page writes it
    rows = f"ann,words,2,Good.,{entry['read']}\nann,bracket,3,right after all,\n"
    table.write_text("student,question,points,comment,read\n" + rows)
    given, problems = by_hand(table, result)
    assert problems == [] and with_hand(result["ann"], given["ann"])["points"] == 5
    assert data()["others"] == [["ann", "bracket", 3, "right after all", ""]]
    table.write_text("\nStudent,Question,Points\nann,words,2\n")
    assert by_hand(table, result) == ({"ann": {"words": (2.0, "")}}, [])
    table.write_text("Name,Question,Points\nann,words,2\n")
    assert by_hand(table, result)[1] == [
        "by_hand.csv: the columns must be student, question, points and comment, not name, question, points"
    ]
    table.write_text("student,question,points,comment,read\n" + rows)
    result["ann"]["questions"]["words"]["answer"] = "another"
    given, [problem] = by_hand(table, result)
    assert list(given["ann"]) == ["bracket"] and "line 2: ann has handed in another answer to 'words'" in problem


def test_a_class_says_whom_it_has_lost_and_why_it_failed(tmp_path, capfd):
    from bea_course.grade import run_all

    folders = tmp_path / "class", tmp_path / "late"
    for folder, names in zip(folders, (("ann", "bob"), ("bob",))):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.ipynb").write_text("no notebook")
    grade(ADAM, folders[0], tmp_path / "05", quiet=True, roster=[Person("bob"), Person("Cid D")])
    said = grade(ADAM, folders[1], tmp_path / "05", quiet=True).problems
    assert [text for text in said if "no longer" in text] == [
        f"no longer in the table: ann; {folders[1]} has nothing of theirs, and must hold all that was handed in, not only what is new"
    ]
    assert run_all([lambda: 1 / 0], 1, SimpleNamespace(update=lambda: None)) == [0]
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_lateness_costs_what_is_said():
    from datetime import datetime, timedelta

    from bea_course.grade import Late

    due = datetime(2026, 11, 30, 18)
    late = Late(due, timedelta(minutes=15), 0.1)
    lost = [late.lost(due + timedelta(minutes=m), None)[0] for m in (0, 15, 16, 1440, 1441)]
    assert lost == [0, 0, 0.1, 0.1, 0.2]
    assert late.lost(due + timedelta(days=2), due + timedelta(days=3)) == (0.0, "")
    assert late.lost(due, due - timedelta(days=7)) == (0.0, "")  # an extension that is over before the due date


def test_the_time_of_a_download_makes_nobody_late(tmp_path):
    """Canvas gives all files in its zip one time; those of the roster count, if it has them."""
    from bea_course.grade import TIMES
    from bea_course.handed_in import read_roster

    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("ann", "bob", "cid"):
        (folder / f"{name}.ipynb").write_text("no notebook")
    late = Late(datetime(2026, 1, 1, 18), a_day=0.1)
    done = grade(ADAM, folder, tmp_path / "out", quiet=True, late=late)
    assert [r["lost"] for r in done.results.values()] == [0, 0, 0] and done.problems[0] == TIMES
    table = "name,due,handed in\nann,,2026-01-01 17:00\nbob,2026-01-02,2026-01-02T23:00\ncid,2025-12-31,2026-01-02\n"
    (tmp_path / "roster.csv").write_text(table)
    done = grade(ADAM, folder, tmp_path / "out", quiet=True, late=late, roster=read_roster(tmp_path / "roster.csv"))
    assert [r["lost"] for r in done.results.values()] == [0, 0, 0.2] and TIMES not in done.problems
    for cid, lost in (
        ("2026-01-01 19:04", [0.1, 0.1, 0.1]),
        ("", [0.1, 0.1, 0]),
    ):  # within ten minutes, and the time of a file
        table = f"name,handed in\nann,2026-01-01 19:00\nbob,2026-01-01 19:02\ncid,{cid}\n"
        (tmp_path / "roster.csv").write_text(table + "dan,\neve,\n" * (not cid))
        for name in ("dan", "eve") * (not cid):
            (folder / f"{name}.ipynb").write_text("no notebook")
        done = grade(ADAM, folder, tmp_path / "out", quiet=True, late=late, roster=read_roster(tmp_path / "roster.csv"))
        assert [r["lost"] for r in done.results.values()][:3] == lost and (TIMES in done.problems) == (not cid)
    (tmp_path / "roster.csv").write_text('Student,ID\n    Points Possible,\n"García López, María José",9\n')
    assert read_roster(tmp_path / "roster.csv") == [Person("María José García López", "9")]
    (tmp_path / "roster.csv").write_text("name;due\nann;30.11.2026\n")
    with pytest.raises(SystemExit, match="'30.11.2026' is no date such as 2026-11-30T18:00"):
        read_roster(tmp_path / "roster.csv")


def test_a_command_that_cannot_be_meant_is_refused(tmp_path):
    from bea_course.grade import main

    common = [str(tmp_path), "--assignment", str(ADAM), "--out", str(tmp_path / "out")]
    refused = [
        (["--late", "10"], "--due"),
        (["--question", "braket"], "bracket"),
        (["--jobs", "0"], "1 or more, not 0"),
    ]
    for more, said in (
        *refused,
        ([], "among what was handed in"),
        (["--due", "2026-01-01", "--late", "-10"], "0 or more, not -10"),
    ):
        with pytest.raises(SystemExit, match=said):
            main(common + more)


def test_a_student_reads_what_was_marked_and_what_went_wrong(tmp_path):
    """Which file, which cell, which package; and what the roster leaves open is no student's to read."""
    assignment = read_assignment(ADAM)
    answers = {
        "step": "import numpy_of_tomorrow\n" + solutions_of(assignment)["step"],
        "averages": "m_hat = ",
        "potential": "g = sp.Symbol('g')\npotenzial = g",
    }
    folder, work = tmp_path / "class", tmp_path / "out"
    (folder / "Ann B_7_assignsubmission_file_").mkdir(parents=True)
    handed_in(folder / "Ann B_7_assignsubmission_file_" / "mine.ipynb", assignment, answers)
    (folder / "Ann B_7_assignsubmission_file_" / "notes.txt").write_text("x")
    roster = [Person("Cid D", "7"), Person("Ann B", "12"), Person("Eve F", "13")]
    done = grade(ADAM, folder, work, quiet=True, limits=LIMITS, roster=roster)
    page = (work / "Ann B.html").read_text(encoding="utf-8")
    for said in (
        "Ann B: marked is mine.ipynb, handed in on 20",
        "not marked: notes.txt",
        "there is no numpy_of_tomorrow",
        "SyntaxError: invalid syntax in its line 1 (the cell that begins with &quot;m_hat =&quot;)",
        ": there is no `potential`: the answer must have this name",
    ):
        assert said in page, (said, page)
    assert "is not defined" not in page.partition("Potential")[0] and "Cid D" not in page
    [problem, *_] = [problem for problem in done.problems if problem.startswith("Ann B")]
    assert "not installed here: numpy_of_tomorrow" in problem and "Cid D" in problem
    row = next(csv.DictReader(work.with_suffix(".csv").open(encoding="utf-8-sig")))
    assert row["name"] == "Ann B" and row["id"] == "12" and "Cid D" in row["note"]
    from zipfile import ZipFile

    assert ZipFile(work / "feedback.zip").namelist() == ["Ann B_7_assignsubmission_file_/feedback.html"]
    late = Late(datetime(2026, 1, 1), a_day=0.5)
    grade(ADAM, folder, work, quiet=True, limits=LIMITS, roster=roster, late=late)
    log = (work / "log.csv").read_text(encoding="utf-8").splitlines()
    assert ',Ann B,"lateness, in percent",0,100,late by ' in log[-1]


def test_every_road_gives_the_same_marks(tmp_path):
    """An instructor's command, and the archive for Gradescope with what it unpacks to."""
    from tools.course.assignments import archive, points

    source = SOURCES[0]
    assignment = read_assignment(source)
    answers = solutions_of(assignment) | {
        "factor": "factor = 1 - 2 * h * lam",
        "local": "k = sp.Integer(1)",
        "limit": "",
    }
    (tmp_path / "class").mkdir()
    path = handed_in(tmp_path / "class" / "anna.ipynb", assignment, answers)
    private = tmp_path / "private"
    done = grade(source, path.parent, tmp_path / "01", quiet=True, private=private, limits=LIMITS)
    archive(source, None, tmp_path / "01.zip", private / "secret.txt")
    found, of = points(tmp_path / "stage", tmp_path / "01.zip", path)
    assert (found, of) == (done.results["anna"]["points"], 19) == (11, 19)
    again = grade(source, path.parent, tmp_path / "01", quiet=True, private=private, limits=LIMITS)
    assert again.marked == 0 and (tmp_path / "01" / "files.csv").is_file()


def test_a_term_comes_to_its_total(tmp_path):
    from bea_course import term

    def result(number, points, lost=0.0):
        entries = {
            f"q{k}": {"points": p, "of": 2, "tests": [{"message": "" if p else f"not {k}.5"}]}
            for k, p in enumerate(points)
        }
        extra = {"name": "Ann B", "id": "7", "email": "", "lost": lost, "points": sum(points)}
        return {"assignment": number, "questions": entries} | extra

    for number, points in (("01", (2, 2, 0)), ("06", (2, 1, 1)), ("07", (1, 0, 0))):
        (tmp_path / number / "shown").mkdir(parents=True)
        (tmp_path / number / "shown" / "ann.json").write_text(json.dumps(result(number, points)))
    assert term.main([str(tmp_path), "--weights", "01=1,06/07=3"]) == 0
    rows = list(csv.DictReader((tmp_path / "term.csv").open(encoding="utf-8-sig")))
    assert rows == [{"student": "Ann B", "01": "100.0", "06": "75.0", "07": "25.0", "total": "81.2"}]
    questions = list(csv.DictReader((tmp_path / "questions.csv").open(encoding="utf-8-sig")))
    assert questions[2]["what was said most often"] == "1 × not #" and questions[2]["all points"] == "0"
    export = tmp_path / "canvas.csv"
    export.write_text('Student,ID,SIS Login ID,Assignment 1 (99)\n    Points Possible,,,6\n"B, Ann",7,ab,\n')
    cid = result("01", (2, 2, 0)) | {"name": "Cid D", "id": ""}
    filled_in, left = term.filled_in(export, "assignment 1", {"ann": result("01", (2, 2, 0), 0.5), "cid": cid})
    assert left == ["cid"] and filled_in.splitlines()[1:] == ["    Points Possible,,,6", '"B, Ann",7,ab,2']
    by_name = '"B, Ann",,,\n"D, Cid",,,\n'
    export.write_text("Student,ID,SIS Login ID,Assignment 1\n" + by_name)  # last names first, as Canvas writes them
    both = {"ann": result("01", (2, 2, 0)), "cid": cid}
    assert term.filled_in(export, "assignment", both)[0].splitlines()[1:] == ['"B, Ann",,,4', '"D, Cid",,,4']
    export.write_text("Identifier,Full name,Grade\nParticipant 7,Ann B,\nParticipant 8,Cid D,\n")
    moodle = term.filled_in(export, "Grade", {"ann": result("01", (2, 2, 0))})[0].splitlines()
    assert moodle[1:] == ["Participant 7,Ann B,4", "Participant 8,Cid D,"]
    export.write_text("First Name,Last Name,SID,Total Score\nAnn,B,7,\nCid,D,8,\n")
    lee = result("01", (2, 2, 0)) | {"name": "Anna Lee", "id": "72"}
    export.write_text("ID,Name,Grade\n72,Anna Lee,\n73,Anna Lee,\n7,Cid D,\n")
    both = {"ann": result("01", (2, 0, 0)), "cid": cid, "lee": lee}  # 7 is Ann's number, on another list
    assert term.filled_in(export, "Grade", both)[0].splitlines()[1:] == ["72,Anna Lee,4", "73,Anna Lee,", "7,Cid D,4"]
    assert term.filled_in(export, "Grade", {"lee": lee | {"id": ""}})[1] == ["lee"]  # which of the two?
    more = "Maximum grade,Grade can be changed"  # as the real worksheet has them
    export.write_text(f"Identifier,Full name,Grade,{more}\nParticipant 7,Ann B,,100.00,Yes\n")
    moodle = term.filled_in(export, "Grade", {"ann": result("01", (2, 2, 0))})[0].splitlines()
    assert moodle[1:] == ["Participant 7,Ann B,4,100.00,Yes"] and term.maxima(export, "Grade") == {100}
    export.write_text('Student,ID,Assignment 1 (99)\n    Points Possible,,6\n"García López, María José",9,\n')
    maria = {"maria": result("01", (2, 2, 0)) | {"name": "María José García López"}}
    assert term.filled_in(export, "Assignment 1", maria)[0].endswith('María José",9,4\n')
    assert term.maxima(export, "Assignment 1") == {6}
    export.write_text("sep=,\nStudent,ID,Assignment 1,Assignment 10\n    Points Possible,,6,9\n")
    assert term.maxima(export, "Assignment 1") == {6}
    export.write_text("First Name,Last Name,SID,Total Score\nAnn,B,7,\nCid,D,8,\n")
    gradescope = term.filled_in(export, "Total", {"ann": result("01", (2, 2, 0))})[0].splitlines()
    assert gradescope[1:] == ["Ann,B,7,4", "Cid,D,8,"]


def test_a_term_says_what_does_not_count(tmp_path, capsys):
    """Nobody read, nobody of that name, nothing of that number: no zero without a word."""
    from bea_course import term

    def put(number, stem, name, points, number_of=""):
        questions = {"q": {"points": 2, "of": 2}, "words": {"points": points, "of": 2}}
        rest = {"name": name, "id": number_of, "email": "", "points": 2 + (points or 0), "of": 4, "lost": 0}
        path = tmp_path / number / "shown" / f"{stem}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"assignment": number, "questions": questions} | rest))

    put("03", "Ann B", "Ann B", 2)
    put("07", "bann", "Ann B", None)  # another platform, and one roster for both
    put("03", "Cid D 1", "Cid D", 2, "1")
    put("03", "Cid D 2", "Cid D", 0, "2")
    assert term.main([str(tmp_path), "--weights", "3=1,9=1", "--keep-worst"]) == 1
    rows = list(csv.DictReader((tmp_path / "term.csv").open(encoding="utf-8-sig")))
    assert [row["student"] for row in rows] == ["Ann B", "Cid D 1", "Cid D 2"] and rows[0]["07"] == "50.0"
    said = capsys.readouterr().err
    for text in ("assignment 09 has no results", "07 is not in --weights", "reads them: Ann B"):
        assert text in said
    assert term.main([str(tmp_path), "--weights", "03=1,07=1"]) == 1
    assert "assignment 07 counts 0 for whoever has no result: Cid D 1, Cid D 2" in capsys.readouterr().err
    questions = list(csv.DictReader((tmp_path / "questions.csv").open(encoding="utf-8-sig")))
    assert [row["mean"] for row in questions] == ["2.00", "1.33", "2.00", ""]  # of what is marked
    export = tmp_path / "moodle.csv"
    export.write_text("Full name,Grade,Maximum grade\nAnn B,,100.00\n")
    assert term.main([str(tmp_path), "--fill", str(export), "--column", "Grade", "--assignment", "07"]) == 1
    said = capsys.readouterr().err
    assert "maximum is 100, but the points are out of 4" in said and "reads them: Ann B" in said
    for weights in ("03:1", "03=0", "03=-1,07=2", "03=nan"):
        with pytest.raises(SystemExit, match="is such as"):
            term.main([str(tmp_path), "--weights", weights])
    code = "def f(x):\n    return [x * k + 3 for k in range(10)]\n"
    rows = ["file,student,what became of it,handed in as"]
    for who in ("ann", "bob"):  # in a folder of any name
        (tmp_path / f"{who}.ipynb").write_text(
            json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": code}]})
        )
        rows.append(f"{tmp_path / who}.ipynb,{who},marked,{who}.ipynb")
    (tmp_path / "07").rename(tmp_path / "last one")
    (tmp_path / "last one" / "files.csv").write_text("\n".join(rows))
    term.main([str(tmp_path), "--weights", "03=1,07=1"])
    assert "07,1.0,ann,bob" in (tmp_path / "similar.csv").read_text(encoding="utf-8")
    put("09", "ann", "Ann B", 2)
    (tmp_path / "09" / "shown" / "ann.json").write_text(
        (tmp_path / "last one" / "shown" / "bann.json").read_text(encoding="utf-8")
    )
    with pytest.raises(SystemExit, match="Ann B has two results of assignment 07, in 09 and last one"):
        term.main([str(tmp_path)])


# --- leaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["page.html", "copy.ipynb", "wheel.whl", "plain.txt"])
def test_a_leak_is_found(name, tmp_path):
    from html import escape
    from zipfile import ZipFile

    line = sorted(secrets_of(ADAM))[0]
    path = tmp_path / name
    if name == "wheel.whl":
        with ZipFile(path, "w") as archive:
            archive.writestr("inside.py", line)
    elif name == "page.html":
        path.write_text("<pre>" + "<span>".join(escape(c) for c in line) + "</pre>", encoding="utf-8")
    else:
        path.write_text(json.dumps([line]) if name == "copy.ipynb" else line, encoding="utf-8")
    assert len(leaks_in([path], [ADAM])) == 1
    path.write_bytes(re.sub(rb".", b"x", b"nothing"))
    if name != "wheel.whl":
        assert leaks_in([path], [ADAM]) == []


def test_a_planted_solution_stops_the_build(tmp_path):
    """`make book` runs check_site on the site that it has built."""
    (tmp_path / "index.html").write_text("<p>nothing</p>", encoding="utf-8")
    answer = solutions_of(read_assignment(ADAM))["bracket"]
    assert len(answer) > 40
    for text, caught in (("nothing", False), (answer, True)):
        place = tmp_path / "chapters" / "10_adam.html"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"<pre>{text}</pre>", encoding="utf-8")
        with pytest.raises(SystemExit) as stopped:  # for other reasons as well: this is hardly a site
            check_site.main(tmp_path)
        assert ("10_adam.html: holds of 05_adam" in str(stopped.value)) == caught
