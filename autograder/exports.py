"""Results as a table that a spreadsheet reads."""

import csv
import io
from collections.abc import Iterable

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
        does not have the exercise.

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
    table.writerow(header + [_cell(name) for name in exercises])
    for r in results:
        scores = {e["grade_id"]: e["score"] for e in r["exercises"]}
        names = [_cell(r[key]) for key in ("student", "assignment", "status")]
        rest = [_cell(r.get("isolation", "")), _cell("; ".join(r["notes"]))]
        table.writerow([*names, r["score"], r["max_score"], *rest, *(scores.get(e, "") for e in exercises)])
    return text.getvalue()


def _cell(value: str) -> str:
    text = clean(value)
    return "'" + text if text.lstrip().startswith(tuple("=+-@＝＋－＠")) else text
