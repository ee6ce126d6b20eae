"""Grade one submission: one notebook in, one result out, whatever the notebook holds.

Cells run in the order in which they stand, as after "restart and run all": setup cells, solution cells and
what the student added or changed. Experiment and lab cells that were left as given are skipped, unless
something to be run reads a variable that they set. Each check runs where it stands, on this side of the
boundary. When student code ends its process, the cells that ran before are run again in a new one, and
grading goes on behind the cell or call that ended it.
"""

import ast
import contextlib
import hashlib
import re
import symtable
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import nbformat
from nbformat import NotebookNode

from . import checking, exercises, notebook
from .asserts import SECONDS as ASSERT_SECONDS
from .asserts import run_asserts
from .checking import CALL_SECONDS
from .report import NOT_RUN, PASSED, RAISED, TIMED_OUT, WRONG, Finding, Report
from .session import Problem, Session

CELL_SECONDS = 20.0
MAX_NOTES = 50  # of one submission: somebody reads them
MAX_REWRITING = 200_000  # IPython reads a cell again for each line with a magic, and long words many times
TOTAL_SECONDS = 75.0  # all student code of one submission; an honest one takes about one

Open = Callable[[], Session]


@dataclass
class Result:
    """What grading a submission gave.

    `status` is ``"graded"`` or ``"problem"`` (it could not be read; every check counts 0). `as_row()` is the
    form in which results are stored and exported.
    """

    student: str
    assignment: str
    reports: dict[str, Report]
    status: str = "graded"
    seconds: float = 0.0
    isolation: str = ""
    notes: list[str] = field(default_factory=list)

    def as_row(self) -> dict[str, Any]:
        """The result as plain data."""
        rows: list[dict[str, Any]] = []
        for grade_id, report in self.reports.items():
            findings = [asdict(finding) for finding in report.findings]
            about = {"grade_id": grade_id, "title": report.title, "stretch": report.stretch}
            rows.append({**about, "score": report.score, "max_score": report.points, "findings": findings})
        return {
            "student": self.student,
            "assignment": self.assignment,
            "status": self.status,
            "score": round(sum(report.score for report in self.reports.values()), 2),
            "max_score": round(sum(report.points for report in self.reports.values()), 2),
            "seconds": round(self.seconds, 3),
            "isolation": self.isolation,
            "notes": self.notes,
            "exercises": rows,
        }


@dataclass(frozen=True)
class Assignment:
    """What grading needs of an assignment: its source notebook and the seed of its hidden cases.

    `released` holds the text of a check cell as students have it, by grade_id, where part of it is hidden.
    """

    name: str
    source: NotebookNode
    hidden_seed: int | None = None
    released: Mapping[str, str] = field(default_factory=dict)

    def checks(self) -> dict[str, NotebookNode]:
        """Check cells by grade_id, in order."""
        return {c.metadata.nbgrader.grade_id: c for c in self.source.cells if notebook.is_check(c)}

    def sheet(self, cell: NotebookNode) -> Any:
        """The answer sheet of a check cell, or None where it holds plain asserts."""
        name = notebook.check_name(cell)
        if name is None:
            return None
        if self.hidden_seed is None:
            return exercises.visible_sheet(name)
        sheet = exercises.full_sheet(name, self.hidden_seed)
        return replace(sheet, points=float(cell.metadata.nbgrader.points))  # course.toml may say others

    def versions(self) -> dict[str, str]:
        """A name for what decides about the points of each check, by grade_id.

        It changes with a case, an expected value, a tolerance or the points, not with a hint, and not with the
        course's secret.
        """
        found = {}
        for grade_id, cell in self.checks().items():
            name, points = notebook.check_name(cell), cell.metadata.nbgrader.points
            content = cell.source if name is None else exercises.version(name)
            found[grade_id] = hashlib.sha256(f"{content}:{float(points)}".encode()).hexdigest()[:8]
        return found

    def imports(self) -> list[str]:
        """Import statements of the source that do not bring in what students are to write."""
        found = []
        for cell in self.source.cells:
            if cell.cell_type == "code" and "solution" not in notebook.tags(cell):
                found += _imports(cell.source)
        return [line for line in found if "autograder" not in line and "minigrad" not in line]


def grade_content(
    content: bytes, student: str, assignment: Assignment, open_session: Open
) -> tuple[Result, NotebookNode]:
    """Grade the content of a file; see `grade_notebook`. One that is no notebook gets a result all the same."""
    started = time.perf_counter()
    try:
        submitted = notebook.parse(content)
    except notebook.Unreadable as error:
        result, graded = unreadable(student, assignment, str(error))
    else:
        result, graded = grade_notebook(submitted, student, assignment, open_session)
    result.seconds = time.perf_counter() - started
    return result, graded


def grade_notebook(
    submitted: NotebookNode, student: str, assignment: Assignment, open_session: Open
) -> tuple[Result, NotebookNode]:
    """Grade a notebook.

    Parameters
    ----------
    submitted : NotebookNode
        As `notebook.read` gives it.
    student : str
        Whose it is.
    assignment : Assignment
        What it is an answer to.
    open_session : callable
        Starts a fresh process for student code.

    Returns
    -------
    result : Result
        The verdict on every check of the assignment.
    graded : NotebookNode
        The repaired notebook, each check cell with its report as output: what nbgrader keeps.
    """
    repaired = notebook.repair(submitted, assignment.source, assignment.released)
    result = Result(student, assignment.name, {}, notes=list(repaired.notes))
    given = {cell.get("id"): cell.source for cell in assignment.source.cells}
    idle = _idle(repaired.notebook, given)
    with _Run(open_session) as run:
        for cell in repaired.notebook.cells:
            if cell.cell_type != "code":
                continue
            if notebook.is_check(cell):
                grade_id = cell.metadata.nbgrader.grade_id
                report = _check(run, cell, assignment)
                result.reports[grade_id] = report
                cell.outputs = [_output(report)]
                cell.execution_count = len(result.reports)
                continue
            if cell.get("id") in idle:
                continue
            kinds = notebook.tags(cell)
            name = cell.metadata.get("nbgrader", {}).get("grade_id") or (kinds[0] if kinds else "added")
            problem = run.cell(cell.source, f"cell {name}")
            if problem and "setup" in kinds:
                # Imports matter to everything below: have them at least as they were given.
                run.cell(given.get(cell.get("id"), ""), "setup as given")
            if problem and problem.type != "NotImplementedError":
                result.notes.append(f"cell {name}: {problem}"[:500])
    if len(result.notes) > MAX_NOTES:
        result.notes[MAX_NOTES:] = [f"and {len(result.notes) - MAX_NOTES} more"]
    order = list(assignment.checks())
    result.reports = {grade_id: result.reports[grade_id] for grade_id in order}
    return result, repaired.notebook


def _idle(graded: NotebookNode, given: Mapping[str, str]) -> set[str]:
    """Ids of experiment and lab cells that were left as given, and set nothing that a cell to be run reads."""
    idle: set[str] = set()
    wanted: set[str] = set()
    for cell in reversed(graded.cells):
        if cell.cell_type != "code" or notebook.is_check(cell):
            continue
        reads, sets = _names(cell.source)
        ours = not {"experiment", "lab"}.isdisjoint(notebook.tags(cell))
        if ours and given.get(cell.get("id")) == cell.source and not wanted & sets:
            idle.add(cell.id)
        else:
            wanted = (wanted - sets) | reads
    return idle


def _names(source: str) -> tuple[set[str], set[str]]:
    """Variables of the notebook that a cell reads without having set them, and those that it sets."""
    reads: set[str] = set()
    sets: set[str] = set()
    source = re.sub(r"^[ \t]*[%!].*", "", source, flags=re.MULTILINE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tables = [symtable.symtable(notebook.parsable(source), "<cell>", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return reads, sets
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if (top or symbol.is_global()) and symbol.is_referenced():
                reads.add(symbol.get_name())
            if (top and (symbol.is_assigned() or symbol.is_imported())) or symbol.is_declared_global():
                sets.add(symbol.get_name())
    return reads - sets, sets


def unreadable(student: str, assignment: Assignment, reason: str) -> tuple[Result, NotebookNode]:
    """The result of a submission that cannot be read: a row with no points, and why."""
    result = Result(student, assignment.name, {}, status="problem", notes=[reason])
    repaired = notebook.repair(nbformat.v4.new_notebook(), assignment.source)
    for cell in repaired.notebook.cells:
        if notebook.is_check(cell):
            grade_id = cell.metadata.nbgrader.grade_id
            result.reports[grade_id] = _not_run(cell, assignment, f"the submission cannot be read: {reason}")
            cell.outputs = [_output(result.reports[grade_id])]
    return result, repaired.notebook


class _Run:
    """The student's process, and how to get an equal one when it has ended."""

    def __init__(self, open_session: Open):
        self.open_session = open_session
        self.session: Session | None = None
        self.done: list[tuple[str, str]] = []
        self.left = TOTAL_SECONDS

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *details: object) -> None:
        self._close()

    def _close(self) -> None:
        if self.session is not None:
            with contextlib.suppress(Exception):
                self.session.close()  # type: ignore[attr-defined]
        self.session = None

    @contextlib.contextmanager
    def timed(self) -> Any:
        """Count the time that passes against the submission's budget."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.left -= time.monotonic() - started

    def living(self) -> Session | None:
        """A session in which every cell so far has run; None when the time is used up."""
        if self.session is not None and getattr(self.session, "alive", True):
            return self.session
        self._close()
        if self.left <= 0:
            return None
        with self.timed():
            self.session = self.open_session()
            self.session.until = time.monotonic() + self.left  # of them all: a cell may be slow only now
            for source, name in self.done:
                self.session.run(source, name, min(CELL_SECONDS, max(self.left, 0.1)))
                if not getattr(self.session, "alive", True):
                    self.done = []  # it ended where it had not before: start without these cells
                    return self.living()
        return self.session

    def cell(self, source: str, name: str) -> Problem | None:
        """Run a cell, and remember it unless it ended the process."""
        code = ""
        if self.left > 0:
            with self.timed():
                code = _plain_python(source)
        session = self.living()
        if session is None or self.left <= 0:
            return Problem("timed out", "", "not run: the time for this submission was used up")
        with self.timed():
            problem = session.run(code, name, min(CELL_SECONDS, self.left))
        if getattr(session, "alive", True):
            self.done.append((code, name))
        return problem


def _check(run: _Run, cell: NotebookNode, assignment: Assignment) -> Report:
    session = run.living()
    if session is None or run.left <= 0:
        return _not_run(cell, assignment, "the time for this submission was used up")
    sheet = assignment.sheet(cell)
    session.until = time.monotonic() + run.left
    with run.timed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a student's numbers make ours complain of is nobody's news
        if sheet is not None:
            try:
                return checking.check_sheet(session, sheet, min(CALL_SECONDS, run.left))
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # Our own mistake, which must cost nobody more than this exercise.
                text = f"the grader failed on it ({type(error).__name__}: {error}); ask for it to be graded by hand"
                return checking.not_run(sheet, text)
        return _check_asserts(session, cell, assignment, min(ASSERT_SECONDS, run.left))


def _check_asserts(session: Session, cell: NotebookNode, assignment: Assignment, seconds: float) -> Report:
    """A cell of plain asserts: all points if it ends well, or those that its last value says."""
    points = float(cell.metadata.nbgrader.points)
    code = _plain_python(cell.source)
    outcome = run_asserts(session, code, assignment.imports(), seconds, min(CALL_SECONDS, seconds))
    name = cell.metadata.nbgrader.grade_id
    report = Report(name, name, points)
    label = "the tests of this cell pass"
    if isinstance(outcome, Problem):
        kinds = {"timed out": TIMED_OUT, "raised": WRONG if outcome.type == "AssertionError" else RAISED}
        # A message may quote the hidden part of the cell: say no more than the kind where there is one.
        hidden = assignment.released.get(name, cell.source) != cell.source
        text = (outcome.type or outcome.message) if hidden else str(outcome)
        report.findings.append(Finding(label, kinds.get(outcome.kind, RAISED), text))
    elif isinstance(outcome, float) and points > 0:
        share = min(max(outcome / points, 0.0), 1.0)
        done = Finding("the part of the tests that passes", PASSED, weight=share)
        rest = Finding("the rest", WRONG, f"{outcome:g} of {points:g} points", weight=1.0 - share)
        report.findings += [finding for finding in (done, rest) if finding.weight > 0]
    else:
        report.findings.append(Finding(label, PASSED))
    return report


def _not_run(cell: NotebookNode, assignment: Assignment, reason: str) -> Report:
    sheet = assignment.sheet(cell)
    if sheet is not None:
        return checking.not_run(sheet, reason)
    marks = cell.metadata.nbgrader
    return Report(marks.grade_id, marks.grade_id, float(marks.points), [Finding("tests", NOT_RUN, reason)])


def _output(report: Report) -> NotebookNode:
    """The report as nbgrader reads it: a number in plain text; and as a person does."""
    data = {"text/plain": repr(report), "text/html": report._repr_html_()}
    content = {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}
    return nbformat.from_dict(content)


def _imports(source: str) -> list[str]:
    """Import statements at the top level of a cell."""
    try:
        tree = ast.parse(_plain_python(source))
    except SyntaxError:
        return []
    return [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


# Of a line that IPython writes anew: an escape character in front, an assignment of one, a question at the end.
_MARK = re.compile(r"^[ \t\f]*[%!?,;/]|=[ \t\f]*[%!]|\?[ \t\f]*$")


@cache
def _transformer() -> Any:
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager()


def _plain_python(source: str) -> str:
    """A cell without IPython's extras: ``%magic`` and ``!command`` become calls that the worker knows."""
    lines = source.splitlines()  # as IPython counts them
    marked = sum(bool(_MARK.search(line)) for line in lines)
    longest = max(map(len, lines), default=0)
    if not 0 < marked * len(source) * (1 + longest / 200) < MAX_REWRITING:
        return source
    try:
        return _transformer().transform_cell(source)
    except Exception:  # not something that IPython could read: the student gets Python's own words
        return source
