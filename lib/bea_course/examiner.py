"""The tests of one question, in a process of their own that asks a kernel for values.

It is forked from the grader, so that a value that takes for ever to compute with, or all memory, costs
its author one question.  It never runs a student's code.
"""

import contextlib
import io
import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any, NoReturn

from bea_course import compare
from bea_course.compare import Wrong
from bea_course.kernel import Fault, Kernel, readable
from bea_course.notebook import Question
from bea_course.wire import decode, encode, limit_memory

__all__ = ["Found", "examine"]

Found = dict[str, Any]  # {"tests": {name: {"passed": ..., "message": ...}}, "fault": None or a text}


class AnswerError(Exception):
    """The student's function raised; the text says what, and the name what type it was of."""

    def __init__(self, text: str, type_name: str = "") -> None:
        super().__init__(text)
        self.type_name = type_name


class Missing(AnswerError):
    """The notebook has no such name."""


class Gone(Exception):
    """The kernel does not answer any more."""


class Answers:
    """The names of a kernel, seen from the process of the tests."""

    def __init__(self, replies: IO[str], requests: IO[str]) -> None:
        self.replies, self.requests = replies, requests
        self._reply()  # it is ready

    def _reply(self) -> dict[str, Any]:
        line = self.replies.readline()
        if not line.endswith("\n"):
            raise Gone
        try:
            reply = json.loads(line)
        except ValueError:
            raise AnswerError("it asks for input") from None
        if "too large" in reply:
            raise AnswerError("its value is too large")
        if "error" in reply:
            raise AnswerError(*(readable(str(text)[:400]) for text in reply["error"][:2]))
        return reply

    def _ask(self, request: dict[str, Any]) -> None:
        self.requests.write(json.dumps({"ask": request}) + "\n")
        self.requests.flush()

    def value(self, name: str) -> Any:
        """The value of a name; a function becomes one that calls from afar."""
        self._ask({"get": name})
        reply = self._reply()
        if "missing" in reply:
            raise Missing(f"there is no `{name}`: the answer must have this name, and its cell must run.")
        return decode(reply["value"], self._function)

    def _function(self, number: int) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            functions: list[Callable[..., Any]] = []
            sent = {key: encode(value, functions) for key, value in named.items()}
            self._ask({"call": number, "args": [encode(arg, functions) for arg in args], "named": sent})
            while "callback" in (reply := self._reply()):
                given = [decode(arg, self._function) for arg in reply["args"]]
                self._ask({"value": encode(functions[reply["callback"]](*given), functions)})
            return decode(reply["value"], self._function)

        return call


def outcomes(question: Question, answers: Answers, secret: str) -> list[dict[str, Any]]:
    """What each test of a question finds, at instances drawn from the secret."""
    found = []
    for test in question.tests:
        outcome: dict[str, Any] = {"test": test.name, "passed": False}
        names: dict[str, Any] = {}
        exec(test.source, names)
        compare.draw_from(secret)
        try:
            names[test.name](*map(answers.value, test.arguments))
            outcome["passed"] = True
        except Wrong as wrong:
            outcome["message"] = str(wrong)
        except Missing as missing:
            outcome["message"] = str(missing)
        except AnswerError as error:
            outcome["message"] = f"your code stopped: {error}{compare.advice(str(error))}"
        except Gone:
            raise
        except MemoryError:
            outcome["message"] = "the value is too large to compute with."
        except Exception as error:
            outcome["message"] = f"this value cannot be used ({type(error).__name__}: {str(error)[:200]})."
            outcome["unexpected"] = True
        if "message" in outcome:  # a name in it may be the student's
            outcome["message"] = readable(" ".join(outcome["message"][:2000].split()))
        found.append(outcome)
    return found


def in_child(question: Question, secret: str, memory: int, reading: int, writing: int) -> NoReturn:
    """What the forked process does: the tests, a line for what each finds, and nothing else."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (600, 600))  # also if nobody is there to end it
        limit_memory(memory)
        sys.stdout = sys.stderr = io.StringIO()
        requests = os.fdopen(writing, "w", encoding="utf-8")
        with contextlib.suppress(Gone, BrokenPipeError):
            answers = Answers(os.fdopen(reading, encoding="utf-8"), requests)
            for outcome in outcomes(question, answers, secret):
                requests.write(json.dumps(outcome) + "\n")
            requests.write('{"done": true}\n')
            requests.flush()
    finally:
        os._exit(0)


def examine(kernel: Kernel, question: Question, secret: str = "") -> tuple[Found, bool]:
    """Test one question against what a kernel holds now.

    Returns
    -------
    found : dict
        What each test said, and in "fault" what ended the question, or None.
    alive : bool
        Whether the kernel can be used again.
    """
    found: Found = {"tests": {}, "fault": None}
    to_child, from_child = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of the parent's
        pid = os.fork()
    if not pid:
        os.close(to_child[1])
        os.close(from_child[0])
        in_child(question, secret, 2 * kernel.limits.memory, to_child[0], from_child[1])
    os.close(to_child[0])
    os.close(from_child[1])

    def write(line: str) -> None:
        data = (line.replace("\n", " ") + "\n").encode()
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(to_child[1], data) :]

    def take(line: str) -> bool:
        message = json.loads(line)
        if "test" in message:
            found["tests"][message.pop("test")] = message
        return "done" not in message

    alive = True
    kernel.examiner = pid, (before := kernel.spent.tests)
    try:
        kernel.converse(from_child[0], write, take)
    except Fault as fault:
        found["fault"], alive = f"it {fault}", False
    except TimeoutError:
        found["fault"] = f"it did not end within {kernel.limits.seconds:g} seconds"
    finally:
        os.close(to_child[1])
        os.close(from_child[0])
        os.kill(pid, signal.SIGKILL)
        used = os.wait4(pid, 0)[2]
        kernel.spent = kernel.spent._replace(tests=before + used.ru_utime + used.ru_stime)
        kernel.examiner = None
    return found, alive
