"""Read a submitted notebook, whatever came of it, and put the assignment's own cells back in their places.

`read` accepts what a student may have sent and refuses the rest with an `Unreadable` that says why. `repair`
matches its cells with those of the source notebook, by grade_id, then by cell id, then by content, and
returns a notebook in which every check stands where it belongs exactly once, in the source's own words.
"""

import ast
import itertools
import json
import os
import re
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

MAX_FILE = 64 * 2**20
MAX_PARTS = 1_000_000  # of its JSON: an empty list of two bytes takes sixty in memory
MAX_CELLS = 2_000
MAX_SOURCE = 1 * 2**20
MAX_CODE = 2**19  # of all code cells: each is read as Python to see what it defines, which takes seconds
MAX_PICTURES = 100  # of a cell
MAX_DOTS = 5_000  # of one of them: the parser's time goes with the square of the parts of ``import a.b.c``
MAX_RETYPED = 2**14  # of a cell that was code, and came back as text, which is not counted above


class Unreadable(ValueError):
    """A submission that is not a notebook; the message is for the student and the instructor."""


@dataclass
class Repaired:
    """A submission made whole, and what had to be done to it."""

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> NotebookNode:
    """Read a submitted notebook.

    Raises
    ------
    Unreadable
        Whatever is wrong with the file: no other exception leaves this function.
    """
    return parse(read_bytes(path))


def submitted_bytes(path: Path) -> bytes:
    """The content of a file that was handed in, not through a link; raises as `read` does."""
    if os.path.islink(path.parent) or os.path.islink(path.parent.parent):
        raise Unreadable("the directory is a link to another one, not a submission")
    return read_bytes(path)


def parse(data: bytes) -> NotebookNode:
    """Make a notebook of a file's bytes; raises as `read` does."""
    if not data.strip():
        raise Unreadable("the file is empty")
    if data.count(b"{") + data.count(b"[") > MAX_PARTS:
        raise Unreadable("the file has far more parts than a notebook has")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("the file is not text in UTF-8, so it is not a notebook") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the file is not a whole notebook: {str(error)[:200]}") from None
    if not isinstance(content, dict):
        raise Unreadable("the file is not a notebook: it holds no cells")
    cells = content.get("cells", _cells_of_format_3(content.get("worksheets")))
    if not isinstance(cells, list):
        raise Unreadable("the file is not a notebook: it holds no cells")
    if len(cells) > MAX_CELLS:
        raise Unreadable(f"the notebook has {len(cells)} cells; at most {MAX_CELLS} are read")
    cells = [cell for cell in map(_cell, cells) if cell is not None]
    code = sum(len(cell.source) for cell in cells if cell.cell_type == "code")
    if code > MAX_CODE:
        raise Unreadable(f"the notebook has {code >> 10} kB of code; at most {MAX_CODE >> 10} are read")
    return _new_notebook(cells, {})


def repair(
    submitted: NotebookNode, source: NotebookNode, released: Mapping[str, str] | None = None
) -> Repaired:
    """Put the assignment's own cells back into a submission.

    Parameters
    ----------
    submitted : NotebookNode
        What `read` returned.
    source : NotebookNode
        The assignment as its author wrote it, with solutions and hidden tests.
    released : mapping, optional
        The text of a check cell as students have it, by grade_id, where it is not the source's.

    Returns
    -------
    repaired : Repaired
        Every graded and locked cell of the source occurs once and says what the source says; solution cells
        hold what the student wrote; cells that the student added are kept where they were.
    """
    return _Repair(submitted, source, released or {}).run()


class _Repair:
    def __init__(self, submitted: NotebookNode, source: NotebookNode, released: Mapping[str, str]):
        self.released = released
        self.cells = list(submitted.cells)
        self.source = list(source.cells)
        self.metadata = source.metadata
        self.notes: list[str] = []
        self.matches: dict[int, int] = {}  # position in the submission -> position in the source

    def run(self) -> Repaired:
        self._match()
        result = [self._restored(i) for i in range(len(self.cells))]
        order = [self.matches.get(i) for i in range(len(self.cells))]
        for wanted in range(len(self.source)):
            if wanted not in order and self._needed(wanted):
                self._insert(wanted, result, order)
        self._move_checks(result, order)
        self._name_cells(result, order)
        notebook = _new_notebook(result, self.metadata)
        return Repaired(notebook, self.notes)

    # -- matching

    def _match(self) -> None:
        by_grade_id = {_grade_id(cell): i for i, cell in enumerate(self.source) if _grade_id(cell)}
        by_id = {cell.id: i for i, cell in enumerate(self.source) if cell.get("id")}
        by_text = {cell.source.strip(): i for i, cell in enumerate(self.source) if cell.cell_type == "code"}
        by_name = {
            name: i for i, cell in enumerate(self.source) if _is_solution(cell) for name in _names(cell)
        }
        claims: dict[int, dict[int, list[int]]] = {}  # in the source -> how sure -> in the submission
        for position, cell in enumerate(self.cells):
            sure, found = 0, by_grade_id.get(_grade_id(cell))
            if found is None:
                sure, found = 1, by_id.get(cell.get("id"), by_text.get(cell.source.strip()))
                if found is None and cell.cell_type == "code":
                    sure, found = 2, next((by_name[name] for name in _names(cell) if name in by_name), None)
            if found is not None:
                claims.setdefault(found, {}).setdefault(sure, []).append(position)
        # Where one cell bears the mark of an exercise, another that only looks like it is the student's own.
        best = {wanted: min(ranked.items()) for wanted, ranked in claims.items()}
        for wanted, (_, positions) in best.items():
            name = _grade_id(self.source[wanted])
            if _is_solution(self.source[wanted]):
                self.matches[self._last_above_check(wanted, positions, best)] = wanted
            else:  # of two checks one is enough
                self.matches[positions[0]] = wanted
                for copy in positions[1:] if name else ():
                    self.cells[copy] = _new_cell("raw", "(a copy of a check cell was removed)", {}, None)
            if len(positions) > 1 and name:
                self.notes.append(f"cell {name} occurs {len(positions)} times")
        marked = {wanted for wanted in best if _grade_id(self.source[wanted])}
        recovered = sum(best[wanted][0] > 0 for wanted in marked)
        if recovered:
            self.notes.append(f"{recovered} cells had lost their metadata and were matched by id or content")

    def _last_above_check(
        self, wanted: int, positions: list[int], best: dict[int, tuple[int, list[int]]]
    ) -> int:
        """Of several copies of a solution, all of which run, the one whose word counts when its check comes."""
        checks = (i for i in range(wanted + 1, len(self.source)) if is_check(self.source[i]) and i in best)
        check = next((best[i][1][0] for i in checks), len(self.cells))
        above = [position for position in positions if position < check]
        return above[-1] if above else positions[0]

    def _restored(self, position: int) -> NotebookNode:
        """A cell of the submission with the metadata, and where it is locked the text, of the source."""
        cell = self.cells[position]
        wanted = self.matches.get(position)
        if wanted is None:
            # no mark means anything here
            return _new_cell(cell.cell_type, cell.source, {}, cell.get("id"), cell.get("attachments"))
        original = self.source[wanted]
        name = _grade_id(original)
        text, kind = cell.source, cell.cell_type
        if self._needed(wanted) and kind != original.cell_type:
            self.notes.append(f"cell {name or 'setup'} had become a {kind} cell: restored")
            kind, text = original.cell_type, text[:MAX_RETYPED]
        if name and not _is_solution(original):
            if text.strip() not in (original.source.strip(), self.released.get(name, "").strip()):
                self.notes.append(f"cell {name} had been changed: restored")
            text = original.source
        metadata = original.metadata if kind == original.cell_type else {}
        return _new_cell(kind, text, metadata, original.get("id"), cell.get("attachments"))

    def _needed(self, wanted: int) -> bool:
        """Whether a cell of the source has to be there for the rest to make sense."""
        cell = self.source[wanted]
        return bool(_grade_id(cell)) or "setup" in tags(cell)

    def _insert(self, wanted: int, result: list, order: list) -> None:
        """Put a missing cell after the nearest cell that comes before it in the source."""
        place = 0
        for before in range(wanted - 1, -1, -1):
            if before in order:
                place = order.index(before) + 1
                break
        original = self.source[wanted]
        name = _grade_id(original)
        text = original.source
        if _is_solution(original):
            text = ""  # never the solution
            self.notes.append(f"solution cell {name} is missing")
        elif name:
            self.notes.append(f"cell {name} was missing: restored")
        else:
            self.notes.append("the setup cell was missing: restored")
        result.insert(place, _new_cell(original.cell_type, text, original.metadata, original.get("id")))
        order.insert(place, wanted)

    def _move_checks(self, result: list, order: list) -> None:
        """A check comes after all solutions that it comes after in the source, also where a student moved one."""
        solutions: list[int] = []
        for wanted, cell in enumerate(self.source):
            if _is_solution(cell):
                solutions.append(wanted)
            elif is_check(cell):
                here = order.index(wanted)
                last = max((order.index(s) for s in solutions if s in order), default=-1)
                if last > here:
                    result.insert(last + 1, result[here])
                    order.insert(last + 1, wanted)
                    del result[here], order[here]
                    self.notes.append(f"cell {_grade_id(cell)} stood before its solution: moved")

    def _name_cells(self, result: list, order: list) -> None:
        """Give every cell an id of its own; those of the source belong to its cells alone."""
        taken = {cell.id for cell in self.source if cell.get("id")}
        for number, (cell, wanted) in enumerate(zip(result, order, strict=True)):
            if wanted is not None and self.source[wanted].get("id"):
                continue
            if not cell.get("id") or cell.id in taken:
                cell.id = f"cell-{number}"
                while cell.id in taken:
                    cell.id += "-"
            taken.add(cell.id)


def dumps(nb: NotebookNode) -> str:
    """A notebook as text, without the validation that takes nbformat longer than grading takes us."""
    return json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def tags(cell: NotebookNode) -> list[str]:
    """Tags of a cell, whatever somebody wrote there."""
    value = cell.metadata.get("tags", [])
    return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell of a source or repaired notebook is one whose result is graded."""
    marks = cell.metadata.get("nbgrader", {})
    return bool(marks.get("grade")) and not marks.get("solution") and cell.cell_type == "code"


def parsable(source: str) -> str:
    """The source again, if Python's parser may be asked about it; SyntaxError if that could take minutes."""
    if source.count(".") > MAX_DOTS:
        raise SyntaxError(f"more than {MAX_DOTS} dots")
    return source


def check_name(cell: NotebookNode) -> str | None:
    """The exercise that a check cell names, if it is nothing but ``check("name")``."""
    found = re.fullmatch(r"""\s*check\((["'])(\w+)\1\)\s*""", cell.source)
    return found.group(2) if found else None


def read_bytes(path: Path) -> bytes:
    """The content of a submitted file, if it is one; raises as `read` does."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise Unreadable("the file is a link to another file, not a notebook")
        if stat.S_ISDIR(mode):
            raise Unreadable("there is a directory where the notebook should be")
        if not stat.S_ISREG(mode):
            raise Unreadable("this is not an ordinary file")
        if path.stat().st_size > MAX_FILE:
            raise Unreadable(
                f"the file has {path.stat().st_size / 2**20:.0f} MB; at most {MAX_FILE >> 20} are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"the file cannot be read: {error.strerror}") from None


def _cells_of_format_3(sheets: Any) -> list | None:
    """The cells of a notebook of 2013, as we read them: nbformat's converter does whatever their fields ask for."""
    if not isinstance(sheets, list):
        return None
    lists = (sheet.get("cells") for sheet in sheets if isinstance(sheet, dict))
    cells = [cell for cells in lists if isinstance(cells, list) for cell in cells if isinstance(cell, dict)]
    return [
        {**cell, "source": cell.get("input")}
        if cell.get("cell_type") == "code"
        else {**cell, "cell_type": "raw" if cell.get("cell_type") == "raw" else "markdown"}
        for cell in cells
    ]


def _cell(content: Any) -> NotebookNode | None:
    """One cell as plain text and metadata; None for what is no cell at all."""
    if not isinstance(content, dict) or content.get("cell_type") not in ("code", "markdown", "raw"):
        return None
    source = content.get("source", "")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        source = ""
    source = source.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written to a file
    cell_id = content.get("id")
    valid = isinstance(cell_id, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id)
    return _new_cell(
        content["cell_type"],
        source,
        _marks(content.get("metadata")),
        cell_id if valid else None,
        _attachments(content.get("attachments")),
    )


def _attachments(found: Any) -> dict[str, dict[str, str]]:
    """Pictures that were pasted into a text: without them, nbconvert refuses the page that shows it."""
    kept: dict[str, dict[str, str]] = {}
    for name, bundle in itertools.islice(found.items(), MAX_PICTURES) if isinstance(found, dict) else ():
        for kind, data in bundle.items() if isinstance(bundle, dict) else ():
            picture = isinstance(data, str) and re.fullmatch(r"image/[a-z+.-]{1,40}", kind)
            if picture and name.isprintable() and re.fullmatch(r"[A-Za-z0-9+/=\s]*", data):
                kept.setdefault(name, {})[kind] = data
    return kept


def _marks(metadata: Any) -> dict:
    """Of a cell's metadata, what this package looks at: the rest may be anything, of any depth."""
    kept: dict[str, Any] = {}
    if isinstance(metadata, dict):
        marks, found = metadata.get("nbgrader"), metadata.get("tags")
        if isinstance(marks, dict):
            kept["nbgrader"] = {
                key: mark for key, mark in marks.items() if isinstance(mark, str | int | float)
            }
        if isinstance(found, list):
            kept["tags"] = [tag for tag in found if isinstance(tag, str)]
    return kept


def _new_cell(
    kind: str, text: str, metadata: dict, cell_id: str | None, attachments: dict | None = None
) -> NotebookNode:
    """A cell, made by hand: nbformat's own constructors validate each one, at a millisecond apiece."""
    cell = nbformat.from_dict({"cell_type": kind, "metadata": dict(metadata), "source": text})
    if kind == "code":
        cell.outputs, cell.execution_count = [], None
    elif attachments:
        cell.attachments = nbformat.from_dict(attachments)
    if cell_id:
        cell.id = cell_id
    return cell


def _new_notebook(cells: list[NotebookNode], metadata: dict) -> NotebookNode:
    content = {"cells": cells, "metadata": dict(metadata), "nbformat": 4, "nbformat_minor": 5}
    return nbformat.from_dict(content)


def _grade_id(cell: NotebookNode) -> str:
    name = cell.metadata.get("nbgrader", {}).get("grade_id")
    return name if isinstance(name, str) else ""


def _is_solution(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _names(cell: NotebookNode) -> list[str]:
    """Functions that a cell defines and plain variables that it sets, at its top level."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(parsable(cell.source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return re.findall(r"^def (\w+)", cell.source, flags=re.MULTILINE)
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names
