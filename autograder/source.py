"""Assignments as text, and the notebooks that are generated from them.

The text (jupytext, ``py:percent``) is the truth; the notebook beside it is generated and tracked. Three short
cell headers stand for what nbgrader spells out in seven fields:

``# %% solution="affine_forward"``
    A cell that the student fills. A written answer (``[markdown]``) may have ``points=3`` behind it, which a person
    gives; it is worth nothing without.
``# %% check="affine_forward"``
    The check of an exercise. Its points are those of the exercise.
``# %% tags=["setup"]`` (or ``experiment``, or ``lab``)
    A cell that is given.

A header with ``nbgrader={...}`` is taken as it is, for cells that need none of this.
"""

import hashlib
import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from . import exercises

FORMAT = "py:percent"
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def read_text(path: Path) -> NotebookNode:
    """Read an assignment's text as a notebook with nbgrader's metadata and stable cell ids.

    Raises
    ------
    ValueError
        If a cell id would occur twice, or a check names no exercise; the message says which.
    """
    import jupytext  # here, because grading needs this module and not that one

    return expand(jupytext.reads(path.read_text(encoding="utf-8"), fmt=FORMAT), str(path))


def to_text(notebook: NotebookNode) -> str:
    """Write a notebook as text with the short headers: the way back from `read_text`."""
    import jupytext

    short = nbformat.from_dict(notebook)
    short.metadata = nbformat.from_dict(
        {
            "jupytext": {"text_representation": {"extension": ".py", "format_name": "percent"}},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        }
    )
    for cell in short.cells:
        # One empty line after each cell, not as many as PEP 8 wants: what is read has to be what is written.
        cell.metadata = nbformat.from_dict({**_short_metadata(cell), "lines_to_next_cell": 1})
        cell.pop("id", None)
    text = jupytext.writes(short, fmt=FORMAT)
    return re.sub(r"^#       (format_version|jupytext_version):.*\n", "", text, flags=re.MULTILINE)


def expand(notebook: NotebookNode, where: str = "the notebook") -> NotebookNode:
    """Give each cell the metadata that its short header stands for, and an id that survives rebuilding."""
    section, ordinal, seen = "", 0, set()
    cells = []
    for old in notebook.cells:
        metadata = dict(old.metadata)
        metadata.pop("lines_to_next_cell", None)  # jupytext's note on the text's empty lines
        exercise, solution = metadata.pop("check", None), metadata.pop("solution", None)
        if exercise is not None:
            metadata.update(_check_metadata(exercise, where))
        elif solution is not None:
            metadata.update(_solution_metadata(solution, old.cell_type, metadata.pop("points", 0)))
        heading = re.match(r"#+ .*", old.source) if old.cell_type == "markdown" else None
        if heading:
            section, ordinal = heading.group(), 0
        ordinal += 1
        grade_id = metadata.get("nbgrader", {}).get("grade_id")
        cell_id = grade_id or hashlib.sha256(f"{section}/{ordinal}".encode()).hexdigest()[:8]
        if cell_id in seen:
            raise ValueError(f"{where}: two cells would have the id {cell_id!r} (section {section!r})")
        seen.add(cell_id)
        make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[old.cell_type]
        cells.append(make(old.source, metadata=metadata, id=cell_id))
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    )


def dumps(notebook: NotebookNode) -> str:
    """The bytes of a notebook file: sorted and indented, so that equal notebooks are equal files."""
    return nbformat.writes(notebook, version=4) + "\n"


def without_hidden(text: str) -> str:
    """A cell's text without hidden regions, and without the lines that mark solutions."""
    text = re.sub(r"(?ms)^[^\n]*BEGIN HIDDEN TESTS.*?END HIDDEN TESTS[^\n]*\n?", "", text)
    return re.sub(r"(?m)^[^\n]*(BEGIN|END) SOLUTION[^\n]*\n?", "", text)


def build(text: Path) -> bool:
    """Write the notebook that belongs to an assignment's text; returns whether anything changed."""
    target = text.with_suffix(".ipynb")
    new = dumps(read_text(text))
    if target.is_file() and target.read_text(encoding="utf-8") == new:
        return False
    write_atomically(target, new)
    return True


def sync(text: Path, prefer: str | None = None) -> str:
    """Make an assignment's text and its notebook say the same.

    Parameters
    ----------
    text : Path
        The ``.py`` file; the notebook lies beside it.
    prefer : {"py", "ipynb"}, optional
        Which of the two is right. Without it, the one that was changed last.

    Returns
    -------
    done : str
        What was done, for people.
    """
    notebook = text.with_suffix(".ipynb")
    if not notebook.is_file() or prefer == "py":
        build(text)
        return f"{notebook.name} was written from {text.name}"
    edited = nbformat.read(notebook, as_version=4)
    if text.is_file() and dumps(read_text(text)) == dumps(expand(edited)):
        return f"{text.name} and {notebook.name} say the same"
    if prefer is None:
        newer_notebook = not text.is_file() or notebook.stat().st_mtime > text.stat().st_mtime
        prefer = "ipynb" if newer_notebook else "py"
    if prefer == "py":
        build(text)
        return f"{notebook.name} was written from {text.name}, which is newer"
    write_atomically(text, to_text(edited))
    build(text)
    return f"{text.name} was written from {notebook.name}"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a reader, or a power cut, finds the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        scratch.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _check_metadata(name: str, where: str) -> dict:
    try:
        points = exercises.find(name).points
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]}") from None
    fields = {"grade": True, "grade_id": f"check_{name}", "locked": True, "points": points, "solution": False}
    return {
        "tags": ["check"],
        "nbgrader": {"schema_version": 3, "task": False, "cell_type": "code", **fields},
    }


def _solution_metadata(name: str, cell_type: str, points: float = 0) -> dict:
    fields = {"grade": False, "grade_id": name, "locked": False, "solution": True}
    if cell_type == "markdown":  # nbgrader wants a written answer to be graded; nobody has to, for 0 points
        fields |= {"grade": True, "points": points}
    return {
        "tags": ["solution"],
        "nbgrader": {"schema_version": 3, "task": False, "cell_type": cell_type, **fields},
    }


def _short_metadata(cell: NotebookNode) -> dict:
    metadata = {key: value for key, value in cell.metadata.items() if key not in ("deletable", "editable")}
    marks = dict(metadata.get("nbgrader", {}))
    marks.pop("checksum", None)
    name, points = marks.get("grade_id", ""), marks.get("points", 0)
    if marks == _solution_metadata(name, cell.cell_type, points)["nbgrader"]:
        return {"solution": name, "points": points} if points else {"solution": name}
    if name.startswith("check_") and cell.source == f'check("{name[6:]}")':
        return {"check": name[6:]}
    return metadata
