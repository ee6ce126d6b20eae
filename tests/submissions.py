"""Submissions as text: one file is one student's notebook, told as what that student changed.

A file of cells (``tests/honest``, ``tests/wrong``, ``tests/hostile``) opens with a docstring that says what it
is. Then come directives, one a line, and the cells that the student wrote::

    \"\"\"Leaves the process in the middle of affine_backward.\"\"\"
    # base: solution
    # expect: full, affine_backward = 0

    # %% affine_backward
    def affine_backward(dout, cache):
        os._exit(0)

``# assignment: NAME``
    What it is an answer to, if not 01.
``# base: solution | release``
    Start from the solution, without its marks, or from what was handed out.
``# expect: full | 0, NAME = full | 0 | A/B, ...``
    What the work deserves: of everything, then of single exercises (the share of its points).
``# names: NAME mistake_id``
    A misconception that the verdict on that exercise has to name.
``# slow``
    It costs one of the grader's time limits.
``# delete: ID ...``, ``# duplicate: ID ...``, ``# move: ID after ID``, ``# retype: ID markdown``
    What happened to whole cells, before anything was written. The id of a duplicate is ``ID-copy``.
``# strip: metadata``, ``# strip: ids``
    What got lost on the way, afterwards: these come last.

A cell begins with ``# %% ID`` (it takes the place of that cell) or ``# %% after ID``, ``# %% before ID`` (it was
added there). An ID is a grade_id, a cell id, or ``setup``. The files are not called ``.py`` because nothing may
ever import or run them: many would do harm.

What is wrong with the file itself, and not with a cell, is written by the functions at the end.
"""

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ASSIGNMENT = "01_gradient_checking"
HERE = Path(__file__).parent
FAMILIES = ("honest", "wrong", "hostile")
NEIGHBOUR = "honest-cs231n"  # somebody whose work others reach for
MARKUP = (
    "<script>alert(3)</script><img src=x onerror=alert(4)><svg onload=alert(5)></svg>"
    "<iframe srcdoc='<script>alert(6)</script>'></iframe>[x](javascript:alert(7)) <a href='data:text/html,x'>y</a>"
    "<a href='da\nta:text/html,x'>y</a><img src='/logout'>![x](https://example.org/seen.png)"
    "<div class='nbgrader_cell'><i id='check_affine_backward'></i><h1 class='full-credit'>click here</h1></div>"
)


@dataclass(frozen=True)
class Submission:
    """Something that a student handed in.

    `write` takes the course directory and the path of the notebook, and puts there what was handed in. `shares` says
    which part of the points of each exercise is deserved; the key ``""`` stands for all others.
    """

    name: str
    about: str
    write: Callable[[Path, Path], None]
    shares: dict[str, Fraction]
    mistakes: dict[str, str] = field(default_factory=dict)
    status: str = "graded"
    slow: bool = False
    assignment: str = ASSIGNMENT

    def deserved(self, grade_id: str, points: float) -> float:
        """Points that this work deserves for an exercise."""
        return round(points * float(self.shares.get(grade_id.removeprefix("check_"), self.shares[""])), 2)


def corpus() -> dict[str, Submission]:
    """Every submission of the tests, by name."""
    overlays = [read(path) for family in FAMILIES for path in sorted((HERE / family).glob("*.cells"))]
    return {submission.name: submission for submission in [*overlays, *_malformed()]}


def place(submission: Submission, course: Path, student: str) -> Path:
    """Hand in a submission under a student's name; returns the path at which graders look for it."""
    name = submission.assignment
    path = course / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    submission.write(course, path)
    return path


# -- files of cells


def read(path: Path) -> Submission:
    """Read a file of cells."""
    directives, _ = _parse(path)
    about = re.match(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    said = {key: rest for key, rest in directives if key in ("expect", "slow", "assignment")}
    mistakes = dict(rest.split() for key, rest in directives if key == "names")
    name = f"{path.parent.name}-{path.stem}"
    if about is None or "expect" not in said:
        raise ValueError(f"{path} has to say what it is and what it deserves")

    def write(course: Path, target: Path) -> None:
        build(path, course, target)

    return Submission(
        name,
        about[1].strip(),
        write,
        _shares(said["expect"]),
        mistakes,
        slow="slow" in said,
        assignment=said.get("assignment", ASSIGNMENT),
    )


def build(overlay: Path, course: Path, destination: Path) -> None:
    """Write the notebook that a file of cells describes."""
    directives, cells = _parse(overlay)
    said = dict(directives)
    notebook = _base(course, said.get("base", "solution"), said.get("assignment", ASSIGNMENT))
    structure = [(key, rest) for key, rest in directives if key != "strip"]
    for key, rest in structure:
        _apply(notebook, key, rest)
    for where, target, source in cells:
        at = _find(notebook, target)
        if where == "at":
            notebook.cells[at].source = source
        else:
            added = nbformat.v4.new_code_cell(source, id=f"added-{len(notebook.cells)}")
            notebook.cells.insert(at + (where == "after"), added)
    for key, rest in directives[len(structure) :]:
        _apply(notebook, key, rest)
    destination.write_text(json.dumps(notebook, indent=1), encoding="utf-8")  # as it is, valid or not


def _parse(path: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Directives, and cells as (at, after or before; which cell; source)."""
    head, *parts = re.split(r"^# %% ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    head = head[head.index('"""', 3) + 3 :]
    directives = re.findall(r"^# (\w+)(?:: *(.*))?$", head, flags=re.MULTILINE)
    cells = []
    for part in parts:
        title, _, source = part.partition("\n")
        *where, target = title.split()
        cells.append((where[0] if where else "at", target, source.strip("\n")))
    return directives, cells


def _base(course: Path, which: str, name: str = ASSIGNMENT) -> NotebookNode:
    folder = {"solution": "solutions", "release": "assignments"}[which]
    notebook = nbformat.read(course / folder / name / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(r"(?m)^[^\n]*### (BEGIN|END) SOLUTION\n?", "", cell.source)
    return notebook


def _apply(notebook: NotebookNode, key: str, rest: str) -> None:
    cells = notebook.cells
    match key, rest.split():
        case "delete", names:
            for name in names:
                del cells[_find(notebook, name)]
        case "duplicate", names:
            for name in names:
                at = _find(notebook, name)
                cells.insert(at + 1, nbformat.from_dict({**cells[at], "id": f"{cells[at].id}-copy"}))
        case "move", [name, "after", target]:
            cell = cells.pop(_find(notebook, name))
            cells.insert(_find(notebook, target) + 1, cell)
        case "retype", [name, kind]:
            cell = cells[_find(notebook, name)]
            cell.cell_type = kind
            del cell["outputs"], cell["execution_count"]
        case "strip", ["metadata"]:
            for cell in cells:
                cell.metadata = nbformat.from_dict({})
        case "strip", ["ids"]:
            notebook.nbformat_minor = 4
            for cell in cells:
                del cell["id"]
        case (("assignment" | "base" | "expect" | "names" | "slow"), _):
            pass
        case _:
            raise ValueError(f"no such directive: # {key}: {rest}")


def _find(notebook: NotebookNode, name: str) -> int:
    for at, cell in enumerate(notebook.cells):
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in (cell.get("id"), grade_id) or name in cell.metadata.get("tags", []):
            return at
    raise ValueError(f"there is no cell {name!r}")


def _shares(text: str) -> dict[str, Fraction]:
    default, *rest = (part.strip() for part in text.split(","))
    pairs = [("", default), *(tuple(part.split(" = ")) for part in rest)]
    return {name: Fraction(1) if share == "full" else Fraction(share) for name, share in pairs}


# -- files that are broken

_NOTHING, _ALL = {"": Fraction(0)}, {"": Fraction(1)}


def _malformed() -> Iterator[Submission]:
    for name, (about, content) in _UNREADABLE.items():
        yield Submission(f"malformed-{name}", about, _writer(content), _NOTHING, status="problem")
    for name, (about, content) in _READABLE.items():
        yield Submission(f"malformed-{name}", about, _writer(content), _ALL)
    for name, (about, write) in _ODD_PATHS.items():
        yield Submission(f"malformed-{name}", about, write, _NOTHING, status="problem")
    for name, (about, write) in _ODD_NEIGHBOURS.items():
        yield Submission(f"malformed-{name}", about, write, _ALL)
    about = "Scores of other times and places, stored in a notebook that nobody touched."
    yield Submission("malformed-stored_scores", about, _writer(_stored_scores), _NOTHING)


def _writer(content: Callable[[Path], bytes]) -> Callable[[Path, Path], None]:
    return lambda course, path: path.write_bytes(content(course)) and None


def _right(course: Path) -> dict:
    """A right solution, as plain data to be spoilt."""
    return json.loads(nbformat.writes(_base(course, "solution"), version=4))


def _text(notebook: dict) -> bytes:
    return json.dumps(notebook).encode()


def _truncated(course: Path) -> bytes:
    whole = _text(_right(course))
    return whole[: len(whole) // 2]


def _archive(course: Path) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as members:
        members.writestr(f"{ASSIGNMENT}/{ASSIGNMENT}.ipynb", _text(_right(course)))
    return whole.getvalue()


def _many_cells(course: Path) -> bytes:
    notebook = _right(course)
    notebook["cells"] += [{"cell_type": "code", "source": "", "metadata": {}} for _ in range(3000)]
    return _text(notebook)


_UNREADABLE: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "empty": ("An upload that stopped before it began.", lambda course: b""),
    "truncated": ("An upload that stopped half way.", _truncated),
    "not_json": ("An essay.", lambda course: b"Dear Sir or Madam,\nplease find attached"),
    "binary": (
        "A picture with another ending.",
        lambda course: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64,
    ),
    "utf16": (
        "Saved by an editor with ideas of its own.",
        lambda course: json.dumps(_right(course)).encode("utf-16"),
    ),
    "not_a_notebook": ("Somebody's settings.", lambda course: b'{"theme": "dark", "cells": {"size": 4}}'),
    "a_list": ("JSON, and no notebook.", lambda course: b"[1, 2, 3]"),
    "deep": ("A hundred thousand brackets.", lambda course: b"[" * 100_000),
    "many_cells": ("Right, and three thousand empty cells.", _many_cells),
    "archive": ("A zip archive with the notebook in it, under the notebook's name.", _archive),
}


def _format_3(course: Path) -> bytes:
    cells = []
    for cell in _right(course)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            code = {
                "cell_type": "code",
                "language": "python",
                "input": text,
                "outputs": [],
                "collapsed": False,
            }
            cells.append({**code, "metadata": cell["metadata"]})
        else:
            cells.append({"cell_type": "markdown", "source": text, "metadata": cell["metadata"]})
    cells.append({"cell_type": "heading", "level": "ten thousand million", "source": "x", "metadata": {}})
    sheet = {"cells": cells, "metadata": {}}
    return _text({"metadata": {"name": "x"}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [sheet]})


def _junk_between_cells(course: Path) -> bytes:
    notebook = _right(course)
    junk = [
        1,
        None,
        "x",
        [],
        {},
        {"cell_type": 5},
        {"cell_type": "code", "source": {"a": 1}, "metadata": [1]},
    ]
    notebook["cells"] = [thing for cell in notebook["cells"] for thing in (cell, *junk)]
    return _text(notebook)


def _wrong_types(course: Path) -> bytes:
    notebook = {**_right(course), "metadata": 5, "nbformat": "four", "nbformat_minor": None}
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = ([], "", 7, None, {"nbgrader": "solution"}, {"tags": 3, "nbgrader": []})[
            number % 6
        ]
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = "none", {"n": 1}
    return _text(notebook)


def _ids_of_other_types(course: Path) -> bytes:
    """Each graded id once more, on a cell of another type."""
    notebook = _right(course)
    for cell in list(notebook["cells"]):
        if "nbgrader" in cell["metadata"]:
            kind = "markdown" if cell["cell_type"] == "code" else "raw"
            notebook["cells"].append(
                {"cell_type": kind, "source": "notes", "metadata": cell["metadata"], "id": "x"}
            )
    return _text(notebook)


def _inflated_points(course: Path) -> bytes:
    """Points of one's own choice, and an exercise of one's own."""
    notebook = _right(course)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["metadata"]["nbgrader"]["points"] = 1000
    marks = {
        "grade": True,
        "grade_id": "bonus",
        "locked": True,
        "points": 500,
        "solution": False,
        "schema_version": 3,
    }
    bonus = {
        "cell_type": "code",
        "source": "500.0",
        "metadata": {"nbgrader": {**marks, "task": False}},
        "id": "bonus",
    }
    notebook["cells"].append({**bonus, "outputs": [], "execution_count": None})
    return _text(notebook)


def _long_outputs(course: Path) -> bytes:
    notebook = _right(course)
    for cell in notebook["cells"][-20:]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * (5 << 20)}]
    return _text(notebook)


def _lone_surrogates(course: Path) -> bytes:
    """Characters that JSON can hold and UTF-8 cannot."""
    notebook = _right(course)
    for kind in ("markdown", "code"):
        notebook["cells"].append({"cell_type": kind, "source": "'\ud800'", "metadata": {"name": "\udfff"}})
    return _text(notebook)


def _many_magics(course: Path) -> bytes:
    """Code that takes IPython's own rewriting longer with every line."""
    notebook = _right(course)
    source = "%alias_magic x y  # words that make the line longer than it would be without them\n" * 1000
    notebook["cells"].insert(0, {"cell_type": "code", "source": source, "metadata": {}})
    return _text(notebook)


def _many_deaths(course: Path) -> bytes:
    """Cells that end the process: what ran before each of them has to run again."""
    notebook = _right(course)
    deadly = {"cell_type": "code", "source": "import os; os._exit(1)", "metadata": {}}
    for at in (1, -1):
        notebook["cells"][at:at] = [dict(deadly) for _ in range(20)]
    return _text(notebook)


def _markup(course: Path) -> bytes:
    """Texts and pictures that would do something in the browser of whoever reads them."""
    notebook = _right(course)
    picture = {
        "image/png": "iVBORw0KGgo=",
        "text/html": "<script>alert(1)</script>",
        "image/svg+xml": '"><script>',
    }
    text = {
        "cell_type": "markdown",
        "source": MARKUP + "\n![x](attachment:x.png)",
        "metadata": {"tags": ["<script>alert(2)</script>"], "name": "\x1b[2J"},
        "attachments": {"x.png": picture, "\ud800<script>": picture, "y": 5},
    }
    raw = {
        "cell_type": "raw",
        "source": MARKUP,
        "metadata": {"format": "text/html", "raw_mimetype": "text/html"},
    }
    code = {"cell_type": "code", "source": f"{MARKUP!r} + 1", "metadata": {}, "id": "<script>"}
    hard = ["![x](attachment:nowhere.png)", "# a\n" * 100_000, "\\begin{a}" * 50_000, "<b>" * 100_000]
    notebook["cells"] += [text, raw, code]
    notebook["cells"] += [{"cell_type": "markdown", "source": each, "metadata": {}} for each in hard]
    return _text(notebook)


def _hard_to_rewrite(course: Path) -> bytes:
    """A name for which the parser takes the square of its parts, and lines that IPython writes anew, one by one."""
    notebook = _right(course)
    texts = ["import " + ".".join("a" * 120_000)]
    texts += ["a" * 20_000 + " ,?", "%time x\n" + ",f a\n" * 2_000] * 5
    cells = [{"cell_type": "code", "source": text, "metadata": {}} for text in texts]
    notebook["cells"] += cells
    return _text(notebook)


def _hard_to_parse(course: Path) -> bytes:
    """Code that is hard on a parser: nests, sums and chains without end."""
    notebook = _right(course)
    texts = [
        "(" * 150 + "1" + ")" * 150,
        " + ".join(["1"] * 20_000),
        "-" * 50_000 + "1",
        "[" * 5_000,
        "x" + ".a" * 20_000,
    ]
    for text in [*texts, "\0", "\f\r\x0b", "\n" * 300_000]:
        notebook["cells"].insert(0, {"cell_type": "code", "source": f"x = {text}", "metadata": {}})
    return _text(notebook)


_READABLE: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "format_3": ("Right, in the format of 2013, and a heading of a level that fits nowhere.", _format_3),
    "byte_order_mark": ("Right, saved on Windows.", lambda course: b"\xef\xbb\xbf" + _text(_right(course))),
    "junk_between_cells": ("Right, with things between the cells that are no cells.", _junk_between_cells),
    "wrong_types": ("Right, and every field around the source is of a wrong type.", _wrong_types),
    "ids_of_other_types": (
        "Right, and each graded id occurs again on a cell of another type.",
        _ids_of_other_types,
    ),
    "inflated_points": ("Right, and says that it is worth 8,500 points.", _inflated_points),
    "long_outputs": ("Right, with tens of megabytes of output.", _long_outputs),
    "many_magics": ("Right, and a cell of a thousand magics.", _many_magics),
    "hard_to_parse": ("Right, and cells that no parser likes.", _hard_to_parse),
    "hard_to_rewrite": ("Right, and cells that take those who read them minutes.", _hard_to_rewrite),
    "lone_surrogates": ("Right, with characters that no file can hold.", _lone_surrogates),
    "many_deaths": ("Right, and forty cells that end the process.", _many_deaths),
    "markup": ("Right, with texts that are programs for a browser.", _markup),
    "two_notebooks": (
        "Right, after another notebook under the same keys.",
        lambda course: b'{"cells": [], "metadata": {"cells": 1}, ' + _text(_right(course))[1:],
    ),
}


def _stored_scores(course: Path) -> bytes:
    notebook = json.loads(nbformat.writes(_base(course, "release"), version=4))
    row = {
        "student": "x",
        "assignment": ASSIGNMENT,
        "status": "graded",
        "score": 30,
        "max_score": 30,
        "exercises": [],
    }
    notebook["metadata"]["minigrad"] = {"row": row, "key": "x", "notes": []}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            data = {"text/plain": "30", "text/html": "30 of 30 points"}
            output = {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}
            cell["outputs"], cell["execution_count"] = [output], 1
    return _text(notebook)


def _directory(course: Path, path: Path) -> None:
    path.mkdir()


def _other_name(course: Path, path: Path) -> None:
    path.with_name("Untitled1.ipynb").write_bytes(_text(_right(course)))


def _link(course: Path, path: Path) -> None:
    path.symlink_to(f"../../{NEIGHBOUR}/{ASSIGNMENT}/{ASSIGNMENT}.ipynb")


def _linked_directory(course: Path, path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(f"../{NEIGHBOUR}/{ASSIGNMENT}")


def _linked_student(course: Path, path: Path) -> None:
    path.parent.rmdir()
    path.parent.parent.rmdir()
    path.parent.parent.symlink_to(NEIGHBOUR)


def _sparse(course: Path, path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 2**20)


def _link_to_source(course: Path, path: Path) -> None:
    path.symlink_to(course / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb")


def _dangling(course: Path, path: Path) -> None:
    path.symlink_to("nowhere.ipynb")


def _link_to_device(course: Path, path: Path) -> None:
    path.symlink_to("/dev/zero")


def _pipe(course: Path, path: Path) -> None:
    os.mkfifo(path)


_ODD_PATHS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "missing": ("The directory was made, and nothing put into it.", lambda course, path: None),
    "other_name": ("Right, under a name that nobody looks for.", _other_name),
    "directory": ("A directory where the notebook should be.", _directory),
    "link": ("A link to the work of somebody else.", _link),
    "linked_directory": ("A link to the directory of somebody else.", _linked_directory),
    "linked_student": ("A link to all that somebody else has handed in.", _linked_student),
    "sparse": ("A hundred megabytes of nothing, which take no room on the disk.", _sparse),
    "link_to_source": ("A link to the solution.", _link_to_source),
    "dangling": ("A link to nothing.", _dangling),
    "link_to_device": ("A link to zeros without end.", _link_to_device),
    "pipe": ("A named pipe: reading it would never end.", _pipe),
}


def _beside(write: Callable[[Path], object]) -> Callable[[Path, Path], None]:
    """The right notebook, and something odd where nbgrader notes when it was handed in."""

    def both(course: Path, path: Path) -> None:
        path.write_bytes(_text(_right(course)))
        write(path.with_name("timestamp.txt"))

    return both


_ODD_NEIGHBOURS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "timestamp_pipe": ("Right, handed in at a time that nobody will ever write.", _beside(os.mkfifo)),
    "timestamp_link": (
        "Right, handed in at a time that has no end.",
        _beside(lambda path: path.symlink_to("/dev/zero")),
    ),
    "timestamp_words": (
        "Right, handed in at no time.",
        _beside(lambda path: path.write_bytes(b"\xff\x00 yesterday" * 99)),
    ),
    "timestamp_year_1": (
        "Right, handed in before there were time zones.",
        _beside(lambda path: path.write_text("0001-01-01 00:00:00 UTC")),
    ),
}
