"""What answers to the examiner inside a student's kernel; the kernel has this file and ``wire.py`` only.

The examiner starts ``serve``, which asks it for requests as a notebook asks for input: a prompt is a
reply, what is "typed" is the next request, both lines of JSON.
"""

import json
import traceback
from collections.abc import Callable
from typing import Any

from bea_course.wire import decode, encode, limit_memory, line_of

__all__ = ["prepare", "serve"]


def prepare(extra: int) -> None:
    """Let this kernel take ``extra`` bytes more than it has now, and end no kernel by ``exit()``."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    shell.ask_exit = lambda: None
    shell.InteractiveTB.set_mode("Minimal")  # nobody reads more, and it takes seconds
    limit_memory(extra)


def error_of(error: BaseException) -> tuple[str, str]:
    """The text of an exception, and the name of its type."""
    cells = [f for f in traceback.extract_tb(error.__traceback__) if "ipykernel_" in f.filename]
    place = f" in line {cells[-1].lineno} of its cell" if cells else ""
    text = str(error).splitlines()[0][:300] if str(error) else ""
    return f"{type(error).__name__}{place}: {text}", type(error).__name__


def serve(names: dict[str, Any], ask: Callable[[str], str]) -> None:
    """Answer requests about ``names`` until one says stop; ``ask`` shows a line and returns one."""
    functions: list[Callable[..., Any]] = []

    def back(number: int) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            reply = json.loads(ask(line_of({"callback": number, "args": [encode(arg, functions) for arg in args]})))
            if "stop" in reply:
                raise KeyboardInterrupt
            return decode(reply["value"], back)

        return function

    def reply_to(request: dict[str, Any]) -> dict[str, Any]:
        if "get" in request:
            name = request["get"]
            return {"value": encode(names[name], functions)} if name in names else {"missing": name}
        args = [decode(arg, back) for arg in request["args"]]
        named = {name: decode(arg, back) for name, arg in request["named"].items()}
        return {"value": encode(functions[request["call"]](*args, **named), functions)}

    reply: dict[str, Any] = {"ready": True}
    while True:
        request = json.loads(ask(line_of(reply)))
        if "stop" in request:
            return
        try:
            reply = reply_to(request)
        except BaseException as error:  # also an interrupt: it must not end this loop
            reply = {"error": error_of(error)}
