"""Answers run in a process of their own, and tests in another that asks the first.

For one question two processes are forked.  The *answering* one runs the student's cells, under
limits, and then answers requests: what is the value of this name, what does this function return.
The *examining* one reads the tests, which the answering one has never had in its memory, and sends
what they find to the grader, which keeps the time and ends both.

This stops accidents and idle tricks; it is no prison.  Python cannot be fenced in by Python: who
means harm and knows how can get around the audit hook, and both processes belong to one user.
Where you expect that, grade in containers.
"""

import contextlib
import faulthandler
import io
import json
import os
import resource
import select
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from bea_course.compare import Wrong
from bea_course.notebook import read_assignment
from bea_course.wire import decode, encode, receive, send

__all__ = ["Found", "Limits", "ask", "die_with_parent"]

Found = dict[str, Any]  # what `ask` returns
Problem = tuple[str, bool]  # the text of an exception, and whether a name was missing


@dataclass(frozen=True)
class Limits:
    """What one question may use: seconds of the processor, bytes of memory, characters of output, bytes
    of a file.

    By the clock it may take ``PATIENCE`` times as many seconds, so that a busy machine costs nobody marks.
    """

    seconds: float = 20
    memory: int = 1_000_000_000
    output: int = 1_000_000
    file: int = 10_000_000


PATIENCE = 3


class Fault(BaseException):
    """Ends a question without marks.  No Exception, so that an answer's `except` lets it pass."""


class AnswerError(Exception):
    """The student's function raised; ``name_error`` if it missed a name."""

    def __init__(self, text: str, name_error: bool) -> None:
        super().__init__(text)
        self.name_error = name_error


# --- the answering process ---------------------------------------------------------------------

FORBIDDEN = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "resource.setrlimit",
    "resource.prlimit",
    "signal.pthread_kill",
    "socket.",
    "subprocess.Popen",
)
CHANGES = (
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "shutil.",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def fence(folder: str) -> list[str]:
    """From now on this process writes in ``folder`` only and reads there and what Python needs.

    Returns a list to which every attempt to do more is added.
    """
    attempts = []
    folder = os.path.realpath(folder)
    paths = sysconfig.get_paths()
    readable = [folder, sys.prefix, sys.base_prefix, *paths.values(), Path(__file__).parent.parent]
    with contextlib.suppress(ImportError):
        import matplotlib

        readable += [matplotlib.get_configdir(), matplotlib.get_cachedir()]
    system = [
        "/usr",
        "/lib",
        "/etc",
        "/dev",
        "/sys",
        "/proc/self",
        "/proc/cpuinfo",
        "/proc/meminfo",
    ]
    readable = [os.path.realpath(path) for path in readable] + system
    readable.append(f"/proc/{os.getpid()}")

    def inside(path: Any, roots: Iterable[str]) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True
        path = os.path.realpath(os.fsdecode(path))
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)

    def refuse(what: str) -> NoReturn:
        attempts.append(what)
        raise PermissionError(f"the grader does not let an answer {what}")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if flags & WRITES:
                if not inside(path, [folder, "/dev/null"]):
                    refuse("write outside its own folder")
            elif not inside(path, readable):
                refuse("read files that are not its own")
        elif event.startswith(CHANGES):
            if not all(inside(arg, [folder]) for arg in args if isinstance(arg, str | bytes)):
                refuse("change files outside its own folder")
        elif event.startswith(FORBIDDEN):
            refuse(f"start programs, end them or use the network ({event})")

    sys.addaudithook(hook)
    return attempts


class Output(io.TextIOBase):
    """Where an answer prints to: counts the characters, and keeps none."""

    def __init__(self, limit: int) -> None:
        self.left, self.limit = limit, limit

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.left -= len(text)
        if self.left < 0:
            raise Fault(f"it printed more than {self.limit:,} characters")
        return len(text)


def die_with_parent() -> None:
    """Let this process end when its parent does, however that ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def limit_resources(limits: Limits, memory: int) -> None:
    """Set this process's limits, with ``memory`` bytes above what it has now."""
    seconds = max(1, int(limits.seconds))
    for what, most in (
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),
        (resource.RLIMIT_FSIZE, (limits.file, limits.file)),
        (resource.RLIMIT_CORE, (0, 0)),
    ):
        resource.setrlimit(what, most)
    with contextlib.suppress(OSError, ValueError):  # not on every system
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def guarded(deed: Callable[[], Any], attempts: list[str]) -> tuple[Any, Problem | None]:
    """What ``deed`` returns, or (text, name_error) of the exception that it raises; faults pass."""
    try:
        result, problem = deed(), None
    except Fault:
        raise
    except SystemExit:
        raise Fault("it called exit(), which ends Python") from None
    except MemoryError:
        raise Fault("it needed too much memory") from None
    except BaseException as error:
        cells = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<cell")]
        place = f" in line {cells[-1].lineno} of its {cells[-1].filename[1:-1]}" if cells else ""
        text = str(error).splitlines()[0][:300] if str(error) else ""
        result, problem = (
            None,
            (f"{type(error).__name__}{place}: {text}", isinstance(error, NameError)),
        )
    if attempts:
        raise Fault(f"it tried to {attempts[0]}")
    return result, problem


def answer(
    setup: Iterable[str], cells: Iterable[str], folder: str, limits: Limits, requests: IO[bytes], replies: IO[bytes]
) -> None:
    """Run the cells and answer requests, for ever."""
    os.setsid()
    die_with_parent()
    faulthandler.disable()
    os.chdir(folder)
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        os.dup2(os.open(os.devnull, mode), number)
    sys.stdin = open(os.devnull)
    sys.stdout = sys.stderr = Output(limits.output)
    limit_resources(limits, limits.memory)
    sys.dont_write_bytecode = True
    tempfile.tempdir = folder
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in setup:
        exec(source, names)
    names["check"] = lambda *answers: None
    functions = []

    def handle(function: Callable[..., Any]) -> int:
        functions.append(function)
        return len(functions) - 1

    def back(number: int) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            send(replies, {"callback": number, "args": [encode(arg, handle) for arg in args]})
            return decode(receive(requests)["value"], back)

        return function

    attempts = fence(folder)
    try:
        errors = []
        for k, source in enumerate(cells, 1):

            def run(source: str = source, k: int = k) -> None:
                exec(compile(source, f"<cell {k}>", "exec"), names)

            _, problem = guarded(run, attempts)
            if problem:
                errors.append(problem)
        send(replies, {"errors": errors})
        while True:
            request = receive(requests)
            if "get" in request:
                name = request["get"]
                reply = {"value": encode(names[name], handle)} if name in names else {"missing": name}
            else:
                function = functions[request["call"]]
                args = [decode(arg, back) for arg in request["args"]]
                named = {name: decode(arg, back) for name, arg in request["named"].items()}
                result, problem = guarded(lambda: encode(function(*args, **named), handle), attempts)
                reply = {"error": problem} if problem else {"value": result}
            send(replies, reply)
    except Fault as fault:
        send(replies, {"fault": str(fault)})
    except EOFError:
        pass


# --- the examining process ---------------------------------------------------------------------


class Answers:
    """The names of the answering process, seen from the examining one."""

    def __init__(self, replies: IO[bytes], requests: IO[bytes]) -> None:
        self.replies, self.requests = replies, requests
        self.errors = self._reply()["errors"]

    def _reply(self) -> dict[str, Any]:
        try:
            reply = receive(self.replies)
        except EOFError:
            raise Fault("it ended Python") from None
        if "fault" in reply:
            raise Fault(reply["fault"])
        if "too large" in reply:
            raise Fault("its value is too large")
        return reply

    def value(self, name: str) -> Any:
        """The value of a name; a function becomes one that calls from afar."""
        send(self.requests, {"get": name})
        reply = self._reply()
        if "missing" in reply:
            raise AnswerError(f"there is no `{name}`", True)
        return decode(reply["value"], self._function)

    def _function(self, number: int) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            functions = []

            def handle(function: Callable[..., Any]) -> int:
                functions.append(function)
                return len(functions) - 1

            sent = [encode(arg, handle) for arg in args]
            sent_named = {name: encode(arg, handle) for name, arg in named.items()}
            send(self.requests, {"call": number, "args": sent, "named": sent_named})
            while True:
                reply = self._reply()
                if "callback" in reply:
                    given = [decode(arg, self._function) for arg in reply["args"]]
                    value = encode(functions[reply["callback"]](*given), handle)
                    send(self.requests, {"value": value})
                elif "error" in reply:
                    raise AnswerError(*reply["error"])
                else:
                    return decode(reply["value"], self._function)

        return call


def examine(
    source: str | Path, name: str, limits: Limits, replies: IO[bytes], requests: IO[bytes], results: IO[bytes]
) -> None:
    """Run the tests of a question; write a line for each to ``results``."""
    die_with_parent()
    limit_resources(limits, 2 * limits.memory)
    sys.stdout = sys.stderr = io.StringIO()
    try:
        answers = Answers(replies, requests)
        send(results, {"errors": answers.errors})
        for test in read_assignment(source).question(name).tests:
            outcome = {"test": test.name, "passed": False}
            names = {}
            exec(test.source, names)
            try:
                names[test.name](*map(answers.value, test.arguments))
                outcome["passed"] = True
            except Wrong as wrong:
                outcome["message"] = str(wrong)
            except AnswerError as error:
                outcome |= {
                    "message": f"your code stopped: {error}",
                    "name_error": error.name_error,
                }
            except Exception as error:
                outcome["message"] = f"the test met what it did not expect, {type(error).__name__}: {error}"
                outcome["unexpected"] = True
            send(results, outcome)
        send(results, {"done": True})
    except Fault as fault:
        send(results, {"fault": str(fault)})


# --- the grader --------------------------------------------------------------------------------


def fork(task: Callable[[], object]) -> int:
    """Run ``task`` in a new process and return its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        task()
    finally:
        os._exit(0)


def lines_before(descriptor: int, deadline: float) -> Iterator[dict[str, Any]]:
    """The messages that come until the other side closes or the time is up."""
    buffer = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return
        data = os.read(descriptor, 65536)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        yield from map(json.loads, lines)


def ask(source: str | Path, name: str, setup: Iterable[str], cells: Iterable[str], limits: Limits) -> Found:
    """Run the cells of one question and its tests.

    ``source`` is the path of the assignment's source, which the answering process never opens.
    Returns {"tests": {test: {"passed": ..., "message": ...}}, "errors": [[text, name_error], ...],
    "fault": None or what ended the question}.
    """
    found = {"tests": {}, "errors": [], "fault": None}
    with tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder:
        requests, replies, results = os.pipe(), os.pipe(), os.pipe()

        def end(pipe: tuple[int, int], k: int) -> IO[bytes]:
            os.close(pipe[1 - k])
            return os.fdopen(pipe[k], "wb" if k else "rb")

        def answering() -> None:
            os.close(results[0])
            os.close(results[1])
            answer(setup, cells, folder, limits, end(requests, 0), end(replies, 1))

        def examining() -> None:
            os.close(results[0])
            examine(source, name, limits, end(replies, 0), end(requests, 1), os.fdopen(results[1], "wb"))

        pids = [fork(answering), fork(examining)]
        for descriptor in (*requests, *replies, results[1]):
            os.close(descriptor)
        try:
            ended = False
            for message in lines_before(results[0], time.monotonic() + PATIENCE * limits.seconds):
                if "test" in message:
                    found["tests"][message.pop("test")] = message
                else:
                    found |= {key: message[key] for key in ("errors", "fault") if key in message}
                ended |= "done" in message or "fault" in message
            if not ended:
                found["fault"] = f"it did not end within {limits.seconds:g} seconds"
        finally:
            os.close(results[0])
            for pid in pids:
                # The answering process leads a group of its own, with all that it may have started.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
                    found["fault"] = f"it did not end within {limits.seconds:g} seconds"
    return found
