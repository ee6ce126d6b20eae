"""What this course changes in nbgrader: how submissions are read, repaired, run, and shown.

A course's ``nbgrader_config.py`` is two lines: ``from autograder.nbgrader_plugin import configure`` and
``configure(get_config())``. After that ``nbgrader generate_assignment``, ``autograde``, ``generate_feedback``,
``generate_solution``, ``export`` and Formgrader work as usual, and ``autograde`` runs student code behind
the same boundary as ``minigrad grade``.
"""

import functools
import html
import json
import re
from pathlib import Path
from typing import Any

import bleach
import nbformat
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter, NotebookExporter
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    Execute,
    GetGrades,
    IncludeHeaderFooter,
    InstantiateTests,
    LockCells,
    NbGraderPreprocessor,
    SaveAutoGrades,
    SaveCells,
)

from . import grading, notebook, source
from .course import Course
from .task import row_of, sandbox_for, session_for

_TAGS = set(
    "a b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p pre s small span strong"
    " sub summary sup table tbody td tfoot th thead tr u ul".split()
)
LONGEST = 5_000  # characters of a text that is drawn: of some, the time for it goes with the square
# Of colours of code. Formgrader's own buttons and fields are found by class and id: no text may bear theirs.
_COLOURED = re.compile(r"(highlight|hl-\w+|err|[a-z]{1,2}\d?)( hl-\w+)*")
KEY = "minigrad"  # in the metadata of a graded notebook: the result, as a row


def configure(config: Any) -> None:
    """Set up nbgrader for a course that lies in the current directory.

    Parameters
    ----------
    config : traitlets.config.Config
        What ``get_config()`` gives in a configuration file.
    """
    course = config.CourseDirectory
    course.course_id = "minigrad"
    course.source_directory = "solutions"
    course.release_directory = "assignments"
    course.solution_directory = "published"
    # The text from which a notebook is generated holds the solutions: it must not travel with the release.
    course.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "[0-9][0-9]_*.py"]
    config.Autograde.exporter_class = f"{__name__}.SubmissionExporter"
    config.Autograde.sanitize_preprocessors = [RepairSubmission]
    config.Autograde.autograde_preprocessors = [
        GradeBehindBoundary,
        SaveScores,
        AssignLatePenalties,
        SaveLatePenalty,
        CheckCellMetadata,
    ]
    config.GenerateAssignment.preprocessors = [
        SetPoints,
        IncludeHeaderFooter,
        InstantiateTests,
        LockCells,
        ClearSolutions,
        ClearOutput,
        CheckCellMetadata,
        ComputeChecksums,
        SaveCells,
        ClearHiddenTests,
        ClearMarkScheme,
        ComputeChecksums,
        CheckCellMetadata,
    ]
    config.Execute.extra_arguments = [
        "--log-level=ERROR"
    ]  # a kernel warns on the terminal of how it is reached
    config.HTMLExporter.filters = {
        "markdown2html": f"{__name__}.markdown_to_html",
        "clean_html": f"{__name__}.clean_html",
    }
    config.GenerateFeedback.preprocessors = [StripHidden, GetGrades, CSSHTMLHeaderPreprocessor]
    config.GenerateSolution.preprocessors = [
        IncludeHeaderFooter,
        LockCells,
        ClearOutput,
        ClearMarkScheme,
        StripHidden,
        Execute,
    ]


@pass_context
def markdown_to_html(context: Any, source: str) -> str:
    """A text as HTML that runs nothing: a student wrote it, and in Formgrader somebody reads it who may do anything."""
    try:
        if len(source) > LONGEST:
            raise ValueError("too long to draw")
        text = _exporter().markdown2html(context, source)
    except Exception:  # of many kinds, from a picture that is not there to nests that are too deep
        return f"<pre>{html.escape(source)}</pre>"
    return bleach.clean(text, _TAGS, _harmless, protocols=[*bleach.ALLOWED_PROTOCOLS, "data"])


def clean_html(element: Any) -> str:
    """What nbconvert shows of code and of raw cells: it would leave them their classes and ids."""
    text = element.decode() if isinstance(element, bytes) else str(element)
    return bleach.clean(text, [*bleach.ALLOWED_TAGS, "div", "pre", "span"], _harmless)


def _harmless(tag: str, name: str, value: str) -> bool:
    match name:
        case "href":
            return tag == "a" and not re.sub(r"[\x00-\x20\x7f-\xa0]", "", value).lower().startswith("data:")
        case "src":  # any other address would be asked for when the page is opened
            return tag == "img" and value.startswith("data:image/")
        case "class":
            return bool(_COLOURED.fullmatch(value))
    return name in ("alt", "colspan", "height", "rowspan", "start", "title", "width")


@functools.cache
def _exporter() -> HTMLExporter:
    return HTMLExporter()


class SubmissionExporter(NotebookExporter):
    """Read any file as a notebook: one that cannot be read becomes an empty one that says why."""

    def from_filename(self, filename: str, resources: dict | None = None, **kw: Any) -> Any:
        """Convert a file; see `notebook.read` for what is refused."""
        path = Path(filename)
        try:
            nb = notebook.parse(notebook.submitted_bytes(path))
        except notebook.Unreadable as error:
            nb = nbformat.v4.new_notebook(metadata={KEY: {"unreadable": str(error)}})
        else:
            if path.parts[-4:-3] == ("autograded",):  # written by the first pass, with a note for the second
                stored = json.loads(path.read_text(encoding="utf-8"))["metadata"]
                nb.metadata.update({key: note for key, note in stored.items() if key == KEY})
        return self.from_notebook_node(nb, resources, **kw)


class RepairSubmission(NbGraderPreprocessor):
    """Put the assignment's own cells back into a submission."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Repair the notebook; what had to be done is kept as notes."""
        note = nb.metadata.get(KEY, {})
        repaired = _repair(nb, resources)
        repaired.notebook.metadata[KEY] = {**note, "notes": repaired.notes}
        for line in repaired.notes:
            self.log.warning(line)
        return repaired.notebook, resources


class GradeBehindBoundary(NbGraderPreprocessor):
    """Take the place of nbgrader's Execute: student code runs in a sandbox, checks on this side."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Grade the notebook; each check cell gets its report as output."""
        assignment = _assignment(resources)
        student = resources["nbgrader"]["student"]
        note = nb.metadata.get(KEY, {})
        if "unreadable" in note:
            result, graded = grading.unreadable(student, assignment, note["unreadable"])
        else:
            open_session = functools.partial(session_for, assignment.name)
            result, graded = grading.grade_notebook(nb, student, assignment, open_session)
            result.isolation = sandbox_for(assignment.name).level
            result.notes[:0] = [line for line in note.get("notes", []) if line not in result.notes]
        graded.metadata[KEY] = {"row": row_of(result, assignment)}
        return graded, resources


class SaveScores(SaveAutoGrades):
    """As nbgrader saves them; a written answer worth nothing waits for nobody."""

    def _add_score(self, cell: NotebookNode, resources: dict) -> None:
        super()._add_score(cell, resources)
        if not cell.metadata.nbgrader.points:
            names = (self.notebook_id, self.assignment_id, self.student_id)
            grade = self.gradebook.find_grade(cell.metadata.nbgrader.grade_id, *names)
            grade.auto_score, grade.needs_manual_grade = 0.0, False
            self.gradebook.db.commit()


class SetPoints(NbGraderPreprocessor):
    """Give exercises and written answers the points that course.toml says."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Change the notebook that is about to be released."""
        converter = self.parent.parent  # behind the exporter that runs this
        Course(Path(converter.coursedir.root)).set_points(resources["nbgrader"]["assignment"], nb)
        return nb, resources


class SaveLatePenalty(NbGraderPreprocessor):
    """Take off what course.toml says that lateness costs."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Change the gradebook; the notebook stays as it is."""
        from .gradebook import Writer

        names = resources["nbgrader"]
        with Writer(Course(Path.cwd())) as writer:
            writer.schedule(names["assignment"])
            writer.charge(names["student"])
        return nb, resources


class StripHidden(NbGraderPreprocessor):
    """Remove hidden tests and solution marks from what people will read."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Clean one cell."""
        cell.source = source.without_hidden(cell.source)
        return cell, resources


def _repair(nb: NotebookNode, resources: dict) -> notebook.Repaired:
    assignment = _assignment(resources)
    return notebook.repair(nb, assignment.source, assignment.released)


def _assignment(resources: dict) -> grading.Assignment:
    return Course(Path.cwd()).assignment(resources["nbgrader"]["assignment"])
