"""Who changes when an assignment is graded anew, and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """A check whose outcome has changed; the message is the new one."""

    check: str
    before: str
    after: str
    message: str


@dataclass(frozen=True)
class ExerciseChange:
    """An exercise whose points or checks have changed, and why."""

    grade_id: str
    before: float | None
    after: float
    why: str
    checks: tuple[Checked, ...]


@dataclass(frozen=True)
class Change:
    """A student whose result has changed; `before` is None for somebody who was not graded before."""

    student: str
    before: float | None
    after: float
    exercises: tuple[ExerciseChange, ...]


def changes(
    before: Sequence[Row], after: Sequence[Row], handed_in_anew: Collection[str] = ()
) -> list[Change]:
    """Compare two gradings of the same assignment.

    Parameters
    ----------
    before, after : sequence of mappings
        Results as they count (`flow.as_they_count`); students who are only in `before` are left out.
    handed_in_anew : collection of str
        Students whose notebook is not the one that was graded before.

    Returns
    -------
    changes : list of Change
        Those whose points or checks changed, those who lose most first.
    """
    old = {row["student"]: row for row in before}
    found = []
    for row in after:
        student = row["student"]
        was = old.get(student)
        exercises = tuple(_exercises(was, row, student in handed_in_anew)) if was is not None else ()
        if was is None or exercises or was["score"] != row["score"]:
            found.append(Change(student, None if was is None else was["score"], row["score"], exercises))
    return sorted(found, key=lambda change: (change.after - (change.before or 0.0), change.student))


def _exercises(before: Row, after: Row, anew: bool) -> Iterator[ExerciseChange]:
    old = {exercise["grade_id"]: exercise for exercise in before["exercises"]}
    for exercise in after["exercises"]:
        was = old.get(exercise["grade_id"], {"findings": []})
        checks = tuple(_checks(was["findings"], exercise["findings"]))
        if checks or was.get("score") != exercise["score"]:
            why = _why(was.get("version"), exercise.get("version"), anew)
            yield ExerciseChange(exercise["grade_id"], was.get("score"), exercise["score"], why, checks)


def _checks(before: Sequence[Row], after: Sequence[Row]) -> Iterator[Checked]:
    old = _numbered(before)
    new = _numbered(after)
    for key in [*new, *(key for key in old if key not in new)]:
        was = old[key]["outcome"] if key in old else "not there"
        now = new[key]["outcome"] if key in new else "not there"
        if was != now:
            yield Checked(key[0], was, now, new[key]["message"] if key in new else "")


def _numbered(findings: Sequence[Row]) -> dict[tuple[str, int], Row]:
    """Findings by check; one that is made several times, by its turn as well."""
    found: dict[tuple[str, int], Row] = {}
    for finding in findings:
        turn = sum(key[0] == finding["check"] for key in found)
        found[finding["check"], turn] = finding
    return found


def _why(before: str | None, after: str | None, anew: bool) -> str:
    reasons = ["handed in anew"] if anew else []
    if before is None and after is not None:
        reasons.append("graded before versions were stored")
    elif before != after:
        reasons.append(f"the exercise has changed ({before} to {after})")
    return (
        ", ".join(reasons)
        or "neither exercise nor notebook has changed: the grader has, or the machine was slow"
    )
