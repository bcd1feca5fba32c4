"""What a student sees: ``check("name", answer)`` in a notebook says what is right or wrong."""

from collections.abc import Callable
from importlib import import_module

from bea_course.compare import Answer, Wrong

__all__ = ["checks_of"]


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
        if function is None:
            print(f"{name}: a person reads this answer; there is nothing to check.")
            return
        try:
            function(*answers)
        except Wrong as wrong:
            print(f"{name}: {wrong}")
        except KeyboardInterrupt:
            print(f"{name}: interrupted. Does your code come to an end?")
        except Exception as error:
            print(f"{name}: your code stopped with {type(error).__name__}: {error}")
        else:
            print(f"{name}: right, as far as this check sees.")

    return check
