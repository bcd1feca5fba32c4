"""Assignments that grade themselves, on top of the book's library.

What a student's notebook uses is ``checks_of``; it needs no more than ``bea`` does and also runs in
the browser.  What an instructor runs is ``python -m bea_course.grade``.

The modules, from the ground up: ``compare`` (is this answer that formula?), ``checks`` (one module
for each assignment: what a right answer must do, and the misconceptions that are named), ``notebook``
(where everything is in an assignment), ``wire``, ``agent``, ``fence`` and ``kernel`` (a notebook runs
in a kernel of its own), ``examiner`` (the tests of a question), ``marking`` (one submission),
``handed_in``, ``made_of``, ``report`` and ``grade`` (a class), ``gradescope`` (the same in a
container) and ``term`` (all assignments).
"""

from bea_course.compare import Wrong
from bea_course.feedback import checks_of

__all__ = ["Wrong", "checks_of"]
