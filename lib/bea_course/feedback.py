"""What a student sees: ``check("name", answer)`` in a notebook says what is right or wrong."""

from collections.abc import Callable
from importlib import import_module
from inspect import isfunction, signature
from traceback import extract_tb

from bea_course.compare import Answer, Wrong, advice

__all__ = ["checks_of"]

READ = "a person reads this answer; there is nothing to check."


def checks_of(assignment: str) -> Callable[..., None]:
    """The function ``check`` of one assignment, named by its number, such as ``"05"``.

    ``check("name", *answers)`` prints one line and never raises: an error in an answer is part of
    what it has to say.

    Examples
    --------
    >>> check = checks_of("05")
    >>> check("potential", ...)
    potential: not answered yet.
    >>> check("words")
    words: a person reads this answer; there is nothing to check.
    """
    module = import_module(f"bea_course.checks.a{assignment}")

    def check(name: str, *answers: Answer) -> None:
        function = getattr(module, name, None)
        if not isfunction(function) or function.__module__ != module.__name__:
            there_is = "there is no check of this name." if answers else READ
            print(f"{name}: {there_is}")
            return
        wanted = [p.name for p in signature(function).parameters.values() if p.default is p.empty]
        if len(answers) != len(wanted):
            print(f'{name}: this cell must be `check("{name}", {", ".join(wanted)})`.')
            return
        try:
            function(*answers)
        except Wrong as wrong:
            print(f"{name}: {wrong}")
        except KeyboardInterrupt:
            print(f"{name}: interrupted. Does your code come to an end?")
        except Exception as error:
            cells = [frame for frame in extract_tb(error.__traceback__) if "ipykernel_" in frame.filename]
            place = f" in line {cells[-1].lineno} of its cell" if cells else ""
            print(f"{name}: your code stopped with {type(error).__name__}{place}: {error}{advice(str(error))}")
        else:
            print(f"{name}: right, as far as this check sees.")

    return check
