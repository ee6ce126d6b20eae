"""Results as a table that a spreadsheet reads."""

import csv
import io
from collections.abc import Iterable, Mapping

from .feedback import Result
from .text import clean


def to_csv(results: Iterable[Result]) -> str:
    r"""Results as CSV, one row per submission.

    Parameters
    ----------
    results : iterable of mappings
        Results of submissions.

    Returns
    -------
    str
        Columns ``student, assignment, status, score, max_score, isolation, notes``, then the score of
        each exercise under its grade_id, in the order of first appearance; empty where a submission
        does not have the exercise. Where something is due, ``days_late, free_days, penalty`` come last: the
        penalty has been taken off the score.

    Notes
    -----
    A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` (or their full-width forms)
    as a formula, so such text gets a leading apostrophe. Numbers are written exactly and left alone.

    Examples
    --------
    >>> row = {"student": "=ann", "assignment": "01", "status": "graded", "score": 2.5, "max_score": 3.0,
    ...        "notes": [], "exercises": [{"grade_id": "orders", "score": 2.5}]}
    >>> print(to_csv([row]), end="")
    student,assignment,status,score,max_score,isolation,notes,orders
    '=ann,01,graded,2.5,3.0,,,2.5
    """
    results = list(results)
    exercises = list(dict.fromkeys(e["grade_id"] for r in results for e in r["exercises"]))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    header = ["student", "assignment", "status", "score", "max_score", "isolation", "notes"]
    late = ["days", "free_days", "penalty"] if any("late" in r for r in results) else []
    titles = ["days_late", *late[1:]] if late else []
    table.writerow(header + [_cell(name) for name in exercises] + titles)
    for r in results:
        scores = {e["grade_id"]: e["score"] for e in r["exercises"]}
        names = [_cell(r[key]) for key in ("student", "assignment", "status")]
        rest = [_cell(r.get("isolation", "")), _cell("; ".join(r["notes"]))]
        points = [scores.get(e, "") for e in exercises]
        lateness = [r.get("late", {}).get(key, "") for key in late]
        table.writerow([*names, r["score"], r["max_score"], *rest, *points, *lateness])
    return text.getvalue()


def course_csv(results: Iterable[Result], weights: Mapping[str, float]) -> str:
    r"""The course as CSV: one row per student, one column per assignment, and the total.

    Parameters
    ----------
    results : iterable of mappings
        Results of all assignments, as they count.
    weights : mapping
        How much each assignment counts in the total, by name.

    Returns
    -------
    str
        Columns ``student, name, email``, then the points of each assignment, then ``total``: the weighted mean of the
        shares of the core points, in per cent. Stretch exercises count on top, so it can exceed 100. Whoever has
        handed in nothing gets 0.

    Examples
    --------
    >>> core = {"grade_id": "orders", "score": 3.0, "max_score": 4.0}
    >>> stretch = {"grade_id": "more", "score": 1.0, "max_score": 2.0, "stretch": True}
    >>> ann = {"student": "ann", "assignment": "01", "score": 4.0, "max_score": 6.0, "exercises": [core, stretch]}
    >>> ben = {"student": "ben", "assignment": "02", "score": 1.0, "max_score": 4.0, "exercises": [core]}
    >>> print(course_csv([ann, ben], {"01": 1, "02": 3}), end="")
    student,name,email,01,02,total
    ann,,,4.0,,25.0
    ben,,,,1.0,18.75
    """
    results = list(results)
    points = {(r["student"], r["assignment"]): r["score"] for r in results}
    core: dict[str, float] = {}  # of somebody with exercises: who has handed in nothing has none
    for r in results:
        part = sum(e["max_score"] for e in r["exercises"] if not e.get("stretch"))
        core[r["assignment"]] = max(core.get(r["assignment"], 0.0), part)
    people = {r["student"]: r.get("person") or {} for r in results}
    names = sorted(core)
    whole = sum(weights[name] for name in names if core[name])
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", "name", "email", *(_cell(name) for name in names), "total"])
    for student in sorted(people):
        person = people[student]
        scores = [points.get((student, name), "") for name in names]
        shares = [
            weights[name] * points.get((student, name), 0.0) / core[name] for name in names if core[name]
        ]
        total = round(100 * sum(shares) / whole, 2) if whole else ""
        about = [_cell(student), _cell(person.get("name", "")), _cell(person.get("email", ""))]
        table.writerow([*about, *scores, total])
    return text.getvalue()


def _cell(value: str) -> str:
    text = clean(value)
    return "'" + text if text.lstrip().startswith(tuple("=+-@＝＋－＠")) else text
