"""What a student answers with a value: a choice of several (quizzes, diagnoses, the bug hunt), or a measured number."""

from collections.abc import Mapping
from typing import Any

from .exercise import Between, Case, Choice, Exercise, Fetch


def choices(
    assignment: str,
    name: str,
    answers: Mapping[str, Mapping[str, Any]],
    points: float,
    *,
    variable: str = "quiz",
    title: str = "Quiz",
    label: str = "question",
) -> Exercise:
    """An exercise that reads a dict of letters.

    Parameters
    ----------
    assignment : str
        Seasons the digests in which the sheet keeps the keys.
    name : str
        Of the exercise.
    answers : mapping
        For each question its `key`, what to say of it (`right`), and what to say of each other letter (`wrong`): as a
        file of keys has them.
    points : float
    variable : str
        Of the notebook, in which the student's dict is.
    title, label : str
        For people: of the exercise, and of one question.

    Returns
    -------
    Exercise
    """
    expect = {
        f"{variable}.{key}": Choice.of(f"{assignment} {variable} {key}", a["key"], a["right"], a["wrong"])
        for key, a in answers.items()
    }
    return Exercise(
        name=name,
        title=title,
        points=points,
        grades=(variable,),
        reference={variable: {key: a["key"] for key, a in answers.items()}},
        visible=lambda rng: iter([Case("", [Fetch(variable)], expect)]),
        labels={f"{variable}.{key}": f"{label} {key}" for key in answers},
        pure=False,
    )


def number(variable: str, low: float, high: float, text: str) -> Case:
    """A case that reads a number and says `text` if it lies elsewhere, with what was seen for ``{value}``."""
    return Case("", [Fetch(variable)], {variable: Between(low, high, text)})
