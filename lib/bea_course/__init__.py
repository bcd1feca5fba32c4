"""Assignments that grade themselves, on top of the book's library.

What a student's notebook uses is ``checks_of``; it needs no more than ``bea`` does and also runs in
the browser.  What an instructor runs is ``python -m bea_course.grade``.

The modules, from the ground up: ``compare`` (is this answer that formula?), ``checks`` (one module
for each assignment: what a right answer must do, and the misconceptions that are named), ``notebook``
(where everything is in an assignment), ``wire`` and ``sandbox`` (answers run in a process of their own),
``marking`` (one submission), ``report`` and ``grade`` (a class).
"""

from bea_course.compare import Wrong
from bea_course.feedback import checks_of

__all__ = ["Wrong", "checks_of"]
