"""Checks for students, grading for instructors. A notebook needs one name of it: ``check``."""

from .checking import check

__all__ = ["check"]
