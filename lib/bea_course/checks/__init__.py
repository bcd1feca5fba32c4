"""What a right answer must do, one module for each assignment; nothing here states an answer.

A check takes a student's answers and raises :class:`bea_course.Wrong` with a message that names the
misconception.  It compares with the engine, with another road to the same number, or with a property
that only right answers have.
"""
