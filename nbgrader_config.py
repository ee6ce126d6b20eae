"""nbgrader's view of this course: where things lie, and a grading step that student code cannot fool."""

from autograder.nbgrader_plugin import configure

configure(get_config())  # noqa: F821  (nbgrader defines it)
