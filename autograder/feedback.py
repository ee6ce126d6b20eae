"""What a student and an instructor read after grading: one page each, self-contained HTML.

A result is the dict that `minigrad grade --json` writes for a submission. Much of its text comes
from students (names, exception messages), so nothing reaches a page except through `clean`, which
the templates apply to every value, and Jinja2's escaping after it.
"""

import math
import os
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any
from uuid import uuid4

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .text import clean

Result = Mapping[str, Any]

OUTCOMES = {
    "passed": ("✓", "The check holds."),
    "wrong": ("✗", "Your code ran, and its result or its behaviour is not what the check expects."),
    "raised": ("!", "Your code stopped with an exception."),
    "timed out": ("…", "Your code did not finish within the time allowed."),
    "not run": (
        "–",
        "The check waits for the ones before it to pass, or could not start. It counts 0 until then.",
    ),
}
"""The sign and the meaning of each outcome."""

BINS = 10


def points(value: float) -> str:
    """Points as people write them: at most two decimals, no trailing zeros.

    Examples
    --------
    >>> points(3.0), points(2.5), points(1 / 3)
    ('3', '2.5', '0.33')
    """
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def _breakable(name: str) -> Markup:
    """Let a long identifier break after its underscores; a check goes by the name of its exercise."""
    return Markup("_<wbr>").join(clean(name, 80).removeprefix("check_").split("_"))


def _finalize(value: object) -> str:
    return value if isinstance(value, Markup) else clean(value)


_pages = Environment(
    loader=PackageLoader("autograder"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_finalize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters.update(clean=clean, points=points, breakable=_breakable)
_pages.globals.update(outcomes=OUTCOMES)


def student_page(result: Result) -> str:
    """Feedback for one student on one assignment.

    Parameters
    ----------
    result : mapping
        One submission's result.

    Returns
    -------
    str
        A complete HTML page: the score; for each exercise its points and every check with its outcome,
        what was seen, and the hint for a recognised mistake; the grader's notes.
    """
    exercises = result["exercises"]
    seen = {finding["outcome"] for exercise in exercises for finding in exercise["findings"]}
    parts = [
        (name, sum(e["score"] for e in part), sum(e["max_score"] for e in part))
        for name, stretch in (("core", False), ("stretch", True))
        if (part := [e for e in exercises if bool(e.get("stretch")) == stretch])
    ]
    return _pages.get_template("student.html").render(
        result=result,
        subtotals=parts if any(e.get("stretch") for e in exercises) else [],
        legend=[(outcome, *about) for outcome, about in OUTCOMES.items() if outcome in seen],
    )


def class_report(results: Iterable[Result], assignment: str, generated: str = "") -> str:
    """What an instructor needs to know about one assignment, on one page.

    Parameters
    ----------
    results : iterable of mappings
        Results of submissions. Those of other assignments are left out.
    assignment : str
        Name of the assignment.
    generated : str
        When or from what the report was made, shown as it is.

    Returns
    -------
    str
        A complete HTML page: what to do now, the distribution of scores, the hardest checks, the most frequent
        misconceptions, what was flagged, who is not finished and why, every student's score.
    """
    rows = sorted(
        (r for r in results if r["assignment"] == assignment), key=lambda r: r["student"].casefold()
    )
    scores = [r["score"] for r in rows if r["status"] == "graded"]
    top = max((r["max_score"] for r in rows), default=0.0)
    marks: dict[str, list[float]] = {}  # of graded submissions, by exercise
    exercises: dict[str, Mapping[str, Any]] = {}
    for r in rows:
        for e in r["exercises"]:
            exercises.setdefault(e["grade_id"], e)
            counts = r["status"] == "graded" and not e.get("waits")
            marks.setdefault(e["grade_id"], []).extend([e["score"]] if counts else [])
    submitted = [r for r in rows if r["status"] != "missing"]
    misconceptions = _misconceptions(rows)
    return _pages.get_template("class_report.html").render(
        assignment=assignment,
        generated=generated,
        states=Counter(r["status"] for r in rows),
        submitted=len(submitted),
        isolation=Counter(r.get("isolation") or "not recorded" for r in submitted),
        who=_who(rows),
        write_to=[
            (what, found)
            for status, what in (
                ("missing", "nothing was handed in"),
                ("problem", "the notebook cannot be read"),
            )
            if (found := [r for r in rows if r["status"] == status and not r.get("open")])
        ],
        untouched=[r for r in rows if r["status"] == "graded" and not _core(r, "passed")],
        waiting=_waiting(rows),
        widespread=[row for row in misconceptions if len(row["students"]) > 1][:3],
        flagged=[(r, odd) for r in submitted if (odd := _flagged(r))],
        timeless=[r for r in submitted if "late" in r and not r["late"]["handed_in"]],
        versions=_versions(submitted),
        late=any("late" in r for r in rows),
        mean=mean(scores or [0.0]),
        median=median(scores or [0.0]),
        slowest=max((r["seconds"] for r in rows), default=0.0),
        top=top,
        bins=_histogram(scores, top),
        checks=_hardest(rows),
        misconceptions=misconceptions,
        unfinished=[(r, why) for r in rows if (why := _unfinished(r))],
        columns=[(e, mean(marks[name] or [0.0])) for name, e in exercises.items()],
        table=[(r, {e["grade_id"]: e["score"] for e in r["exercises"] if not e.get("waits")}) for r in rows],
    )


def _who(results: Sequence[Result]) -> dict[str, str]:
    """What to call each student: the name on the roster, with the id where two bear it; without one, the id."""
    names = {r["student"]: (r.get("person") or {}).get("name") or r["student"] for r in results}
    shared = Counter(names.values())
    return {student: name if shared[name] == 1 else f"{name} ({student})" for student, name in names.items()}


def _histogram(scores: Sequence[float], top: float) -> list[tuple[float, float, int]]:
    """(from, to, how many) for equal steps from 0 to `top` or just above; full marks and more are in the last."""
    step = math.ceil(top / BINS) if top >= BINS else top / BINS or 1.0  # whole points where there are enough
    bins = math.ceil(top / step) or 1
    counts = Counter(min(max(int(s / step), 0), bins - 1) for s in scores)
    return [(step * i, step * (i + 1), counts[i]) for i in range(bins)]


def _hardest(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Checks that somebody tried and did not pass, core before stretch, the smallest share of passes first."""
    tally: dict[tuple[str, str], dict[str, Any]] = {}
    for exercise in (e for r in results for e in r["exercises"]):
        outcomes: dict[str, str] = {}
        counted = [
            f for f in exercise["findings"] if f.get("weight", 1)
        ]  # the others point to another exercise
        for finding in counted:  # a check made twice has passed when both have
            if outcomes.get(finding["check"], "passed") == "passed":
                outcomes[finding["check"]] = finding["outcome"]
        for check, outcome in outcomes.items():
            row = tally.setdefault(
                (exercise["grade_id"], check), {"exercise": exercise, "check": check, "outcomes": Counter()}
            )
            row["outcomes"][outcome] += 1
    for row in tally.values():
        row["passed"] = row["outcomes"].pop("passed", 0)
        row["waiting"] = row["outcomes"].pop(
            "not run", 0
        )  # not written yet, or not reached: no sign of difficulty
        row["total"] = row["passed"] + row["outcomes"].total()
    hard = [row for row in tally.values() if row["outcomes"]]
    return sorted(hard, key=lambda row: (bool(row["exercise"].get("stretch")), row["passed"] / row["total"]))


def _misconceptions(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Recognised mistakes with their students and exercises, the most frequent first."""
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        for exercise in result["exercises"]:
            for finding in exercise["findings"]:
                if name := finding["misconception"]:
                    row = found.setdefault(name, {"name": name, "hint": "", "students": {}, "exercises": {}})
                    row["hint"] = row["hint"] or finding.get("hint", "")
                    row["students"][result["student"]] = None  # a dict keeps the order, and each only once
                    row["exercises"][exercise["grade_id"]] = None
    return sorted(found.values(), key=lambda row: (-len(row["students"]), row["name"]))


def _core(result: Result, outcome: str) -> list[str]:
    """Core exercises with a check of that outcome, answers that a person reads apart."""
    return [
        e["grade_id"]
        for e in result["exercises"]
        if not e.get("stretch") and any(f["outcome"] == outcome and f.get("weight", 1) for f in e["findings"])
    ]


def _unfinished(result: Result) -> list[tuple[list[str], str]]:
    """(exercises, reason) for a problem, or for each core exercise in which no check passed."""
    if result["status"] != "graded":
        return [([], note) for note in result["notes"] or ["no reason was recorded"]]
    reasons: dict[str, tuple[list[str], str]] = {}
    for exercise in result["exercises"]:
        findings = exercise["findings"]
        read_by_person = findings and not any(f.get("weight", 1) for f in findings)
        if exercise.get("stretch") or read_by_person or any(f["outcome"] == "passed" for f in findings):
            continue
        first = f"{findings[0]['outcome']}: {findings[0]['message']}" if findings else "no check was made"
        # What is not written is said once, for the first of them.
        key = "not run" if findings and findings[0]["outcome"] == "not run" else first
        reasons.setdefault(key, ([], first))[0].append(exercise["grade_id"])
    return list(reasons.values())


def _waiting(results: Iterable[Result]) -> dict[str, list[str]]:
    """Students whose written answers wait to be read, by who is to read them."""
    found: dict[str, list[str]] = {}
    for result in results:
        for reader in sorted({e["waits"] for e in result["exercises"] if e.get("waits")}):
            found.setdefault(reader, []).append(result["student"])
    return dict(sorted(found.items()))


def _flagged(result: Result) -> list[str]:
    """What is odd about a submission that could be read."""
    notes = list(result["notes"]) if result["status"] == "graded" else []
    if "person" in result and result["person"] is None:
        notes.append(
            "not on the roster, or another submission is that student's: give its directory the right id, or delete it"
        )
    return notes


def _versions(results: Iterable[Result]) -> list[str]:
    """Exercises that were graded in several versions."""
    found: dict[str, set[str]] = {}
    for exercise in (e for r in results for e in r["exercises"] if "version" in e):
        found.setdefault(exercise["grade_id"], set()).add(exercise["version"])
    return [name for name, versions in found.items() if len(versions) > 1]


def write_feedback(results: Iterable[Result], directory: str | os.PathLike[str]) -> list[Path]:
    """Write each student's page where nbgrader puts feedback.

    Parameters
    ----------
    results : iterable of mappings
        Results of submissions.
    directory : path
        Root of the feedback; created when absent.

    Returns
    -------
    list of Path
        ``directory/STUDENT/ASSIGNMENT/ASSIGNMENT.html``, in the order of `results`. Each is replaced
        as a whole: a reader sees the old page or the new one.

    Raises
    ------
    ValueError
        If a student or an assignment cannot be one directory's name. Nothing is written then.
    """
    results = list(results)
    folders = [Path(directory, _component(r["student"]), _component(r["assignment"])) for r in results]
    paths = [folder / f"{folder.name}.html" for folder in folders]
    for result, path in zip(results, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{uuid4().hex}.tmp"
        try:
            temporary.write_text(student_page(result), encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return paths


def pack(pages: Mapping[str, Path], archive: Path) -> None:
    """Pack pages of feedback for upload, each as ``FOLDER/NAME.html``, or for Canvas as ``FOLDER_NAME.html``.

    Moodle finds the student in the name of the folder. Canvas looks at that of the file, for its two numbers.

    Parameters
    ----------
    pages : mapping
        The page of each student, by the name of the folder.
    archive : Path
        The zip archive to write.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    temporary = archive.parent / f".{uuid4().hex}.tmp"
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
            for folder, page in sorted(pages.items()):
                separator = "_" if re.search(r"_\d+_\d+$", folder) else "/"
                packed.write(page, f"{_component(folder)}{separator}{page.name}")
        os.replace(temporary, archive)
    finally:
        temporary.unlink(missing_ok=True)


def _component(name: str) -> str:
    """`name`, if it can be the name of one directory on any system, with room for a suffix."""
    forbidden = any(c in "/\\:" or unicodedata.category(c) in ("Cc", "Cs") for c in name[:256])
    if name in ("", ".", "..") or len(name) > 255 or forbidden or len(name.encode()) > 240:
        raise ValueError(f"not usable as the name of one directory: {clean(ascii(name), 80)}")
    return name
