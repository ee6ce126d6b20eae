"""What students hand in: read or refused, and made whole again whatever was done to it."""

import copy
import json
import os
import random
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autograder import grading, notebook
from autograder.course import Course
from autograder.notebook import Unreadable, is_check, parse, read, repair, submitted_bytes
from autograder.session import LocalSession

ROOT = Path(__file__).resolve().parents[1]
NAME = "01_gradient_checking"
SOURCE = nbformat.read(ROOT / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
RELEASED = json.loads((ROOT / "assignments" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))


def marks(cell):
    return cell.metadata.get("nbgrader", {})


LOCKED = {
    marks(cell)["grade_id"]: cell for cell in SOURCE.cells if marks(cell) and not marks(cell).get("solution")
}
SOLUTIONS = {marks(cell)["grade_id"]: cell for cell in SOURCE.cells if marks(cell).get("solution")}


def notebook_bytes(cells, **fields):
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps({**content, **fields}).encode()


# -- reading

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
odd = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
sources = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20), st.lists(st.text(max_size=5) | odd), odd
)
metadata = st.one_of(
    odd,
    st.fixed_dictionaries(
        {},
        optional={
            "nbgrader": odd
            | st.fixed_dictionaries(
                {}, optional={key: odd | st.booleans() for key in ("grade", "solution", "points", "locked")}
            )
            | st.fixed_dictionaries({"grade_id": st.sampled_from([*LOCKED, *SOLUTIONS, "x"]) | odd}),
            "tags": odd | st.lists(st.sampled_from(["setup", "added", "lab"]) | odd),
            "other": odd,
        },
    ),
)
cells = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw", "heading"]) | odd},
    optional={
        "source": sources,
        "metadata": metadata,
        "id": st.sampled_from([cell.id for cell in SOURCE.cells]) | odd,
        "outputs": odd,
        "attachments": odd
        | st.dictionaries(
            st.text(max_size=3),
            st.dictionaries(st.sampled_from(["image/png", "x"]), odd | st.just("aGk="), max_size=2),
        ),
        "execution_count": odd,
    },
)
notebooks = st.one_of(
    odd,
    st.fixed_dictionaries(
        {"cells": st.lists(cells | odd, max_size=5) | odd},
        optional={"metadata": odd, "nbformat": odd, "nbformat_minor": odd},
    ),
    st.fixed_dictionaries(
        {
            "worksheets": st.lists(st.fixed_dictionaries({"cells": st.lists(cells | odd, max_size=3)}) | odd)
            | odd
        },
        optional={"nbformat": st.sampled_from([2, 3, 4, "3"]), "nbformat_minor": st.just(0), "metadata": odd},
    ),
)


def read_or_refused(data):
    """A notebook that can be repaired and written, or a reason that can be shown."""
    try:
        found = parse(data)
    except Unreadable as refused:
        reason = str(refused)
    else:
        reason = None
    if reason is not None:
        assert 0 < len(reason.encode()) <= 500
        return
    notebook.dumps(found).encode()
    whole = repair(found, SOURCE).notebook
    nbformat.validate(whole)
    notebook.dumps(whole).encode()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(notebooks)
@example({"cells": [{"cell_type": "code", "source": "x = '\ud800'"}]})
def test_any_json_is_read_or_refused(content):
    read_or_refused(json.dumps(content).encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data):
    read_or_refused(data)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(at, byte):
    data = bytearray(notebook_bytes(RELEASED["cells"][:12]))
    data[at] = byte
    read_or_refused(bytes(data))
    read_or_refused(bytes(data[:at]))


def nested(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("depth", [100, 300, 450, 480, 490, 600, 900, 980, 10**5])
@pytest.mark.parametrize("place", ["metadata", "outputs", "source", "nbgrader"])
def test_depth_is_no_way_to_fail(depth, place):
    value = nested(depth)
    if place == "nbgrader":
        place, value = "metadata", b'{"nbgrader":{"grade_id":' + value + b"}}"
    cell = b'{"cell_type":"code","source":"x","%s":%s}' % (place.encode(), value)
    read_or_refused(b'{"cells":[%s]}' % cell)


def test_what_is_honest_is_read():
    data = notebook_bytes(RELEASED["cells"])
    found = parse(data)
    assert [cell.source for cell in found.cells] == ["".join(cell["source"]) for cell in RELEASED["cells"]]
    assert [cell.id for cell in found.cells] == [cell["id"] for cell in RELEASED["cells"]]
    assert parse(b"\xef\xbb\xbf" + data) == found  # with a byte order mark
    cell = {"cell_type": "code", "input": "x = 1", "collapsed": False, "language": "python", "outputs": []}
    old = {
        "worksheets": [{"cells": [cell | {"metadata": {}}], "metadata": {}}],
        "nbformat": 3,
        "nbformat_minor": 0,
    }
    assert [cell.source for cell in parse(json.dumps(old | {"metadata": {}}).encode()).cells] == ["x = 1"]


REFUSED = {
    "empty": b"",
    "blank": b" \n ",
    "UTF-16": '{"cells": []}'.encode("utf-16"),
    "half": notebook_bytes(RELEASED["cells"])[:5000],
    "a list": b"[]",
    "a number": b"7",
    "no cells": b"{}",
    "cells that are no list": b'{"cells": {}}',
    "too many cells": notebook_bytes([{}] * (notebook.MAX_CELLS + 1)),
    "too much code": notebook_bytes([{"cell_type": "code", "source": "#" * 10**6}] * 3),
    "too many parts": b'{"cells":[' + b"[]," * notebook.MAX_PARTS + b"[]]}",
    "a long number": b'{"cells": ' + b"9" * 5000 + b"}",
    "an image": bytes(range(256)),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_no_notebook_is_refused_with_a_reason(data, tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_bytes(data)
    with pytest.raises(Unreadable) as refused:
        read(path)
    assert 10 < len(str(refused.value)) <= 300


def test_what_is_no_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.ipynb"
    with pytest.raises(Unreadable, match="No such file"):
        read(path)
    path.mkdir()
    with pytest.raises(Unreadable, match="directory"):
        read(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(Unreadable, match="ordinary"):
        read(path)  # and does not wait for somebody to write into it
    path.unlink()
    (tmp_path / "gradebook.db").write_bytes(notebook_bytes([]))
    path.symlink_to(tmp_path / "gradebook.db")
    with pytest.raises(Unreadable, match="link"):
        read(path)
    path.unlink()
    path.write_bytes(notebook_bytes([]))
    monkeypatch.setattr(notebook, "MAX_FILE", 10)
    with pytest.raises(Unreadable, match="MB"):
        read(path)


HOSTILE = {
    "parentheses": "(" * 10**5,
    "brackets": "[" * 10**5,
    "minus signs": "-" * 10**5 + "1",
    "a long sum": "a" + "+a" * 10**5,
    "a long chain": "x" + ".a" * 10**5,
    "nested blocks": "\n".join(" " * i + "if 1:" for i in range(1000)),
    "a null byte": "x = 1\0",
    "a surrogate": "x = '\ud800'",
    "an open string": "'''" + "x" * 10**5,
    "a long number": "x = " + "9" * 10**5,
    "an f-string": "f'" + "{" * 10**4,
    "empty lines": "\n" * 10**5,
    "blanks": " " * 5 * 10**5,
    "statements": "a;" * 10**5,
    "a long condition": "a" + " or a" * 10**5,
    "one magic and much else": "%magic\n" + "\n" * 5 * 10**5,
    "equals and blanks": ("=" + " " * 1000) * 500,
    "question marks": "?" * 10**5,
    "magics": "%magic\n" * 5 * 10**4,
    "shell": "!" * 10**5,
    "a warning": "x = '\\d' is 1",
    "a long import": "import " + ".".join("a" * 2 * 10**5),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_is_too_much_for_us(text):
    found = parse(
        notebook_bytes([{"cell_type": "code", "source": text}, {"cell_type": "markdown", "source": text}])
    )
    whole = repair(found, SOURCE).notebook
    assert sum(text.encode("utf-8", "replace").decode() == cell.source for cell in whole.cells) == 2
    grading._plain_python(text)


@pytest.mark.parametrize(
    "text",
    [
        "%magic\n" * 2000 + "x = 1\n" * 2000,
        "%magic\n" + ",f a\n" * 1000,
        "%magic\n" + ",f a\u2028" * 1000,
        "%magic\n" + "a" * 5000 + " ,?",
    ],
    ids=["magics", "calls", "other separators", "a long word"],
)
def test_what_takes_ipython_long_is_left_to_python(text):
    """It reads a cell anew for each line that it changes, and goes back over each word before a question mark."""
    assert grading._plain_python(text) == text


def test_magics_become_calls():
    assert "run_line_magic" in grading._plain_python("%time f()\n" + "x = 1\n" * 2000)


def test_what_may_not_be_looked_at_is_a_submission_that_cannot_be_read(tmp_path, monkeypatch):
    """Nobody else may pay for somebody's permissions."""
    for student in ("amara", "mallory"):
        folder = tmp_path / "submitted" / student / "01_gradient_checking"
        folder.mkdir(parents=True)
        (folder / "01_gradient_checking.ipynb").write_bytes(b"{}")
    allowed = Path.lstat

    def lstat(path):
        if "mallory" in path.parts[:-1]:
            raise PermissionError(13, "Permission denied")
        return allowed(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    (tmp_path / "solutions").mkdir()
    amara, mallory = Course(tmp_path).submissions("01_gradient_checking")
    assert submitted_bytes(amara.path) == b"{}"
    with pytest.raises(Unreadable, match="Permission denied"):
        submitted_bytes(mallory.path)


# -- repairing


DEEDS = "delete duplicate move unmark unname retype write add unmark_all unname_all shuffle".split()
deeds = st.lists(
    st.tuples(st.sampled_from(DEEDS), st.integers(0, 99), st.integers(0, 99), metadata), max_size=10
)


def handed_in(history):
    """The released notebook after what a student, or a student's tools, did to it."""
    cells = copy.deepcopy(RELEASED["cells"])
    for step, (deed, at, to, found) in enumerate(history):
        if not cells:
            break
        at, to = at % len(cells), to % len(cells)
        cell = cells[at]
        match deed:
            case "delete":
                del cells[at]
            case "duplicate":
                cells.insert(to, copy.deepcopy(cell))
            case "move":
                cells.insert(to, cells.pop(at))
            case "unmark":
                cell["metadata"] = {}
            case "unname":
                cell.pop("id", None)
            case "retype":
                cell["cell_type"] = ["code", "markdown", "raw"][to % 3]
            case "write" if cell.get("id") in SOLUTIONS:
                cell["source"] = f"# mine {step}\n" + "".join(cell["source"])
            case "add":
                name = ["helper", "affine_forward", "relative_error"][to % 3]
                text = f"# added {step}\ndef {name}(x): return x\n"
                added = {"cell_type": ["code", "markdown"][at % 2], "metadata": found, "source": text}
                names = [{}, {"id": "cell-3"}, {"id": cell.get("id")}]
                cells.insert(to, added | names[(at + to) % 3])
            case "unmark_all":
                for each in cells:
                    each["metadata"] = {}
            case "unname_all":
                for each in cells:
                    each.pop("id", None)
            case "shuffle":
                random.Random(at).shuffle(cells)
    return parse(notebook_bytes(cells))


def given_lines():
    """Lines of the solutions that appear nowhere in what students get."""
    released = "\n".join("".join(cell["source"]) for cell in RELEASED["cells"])
    lines = [line.strip() for cell in SOLUTIONS.values() for line in cell.source.splitlines()]
    return [line for line in lines if len(line) > 15 and line not in released]


SECRET = given_lines()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deeds)
def test_a_repaired_notebook_is_whole(history):
    submitted = handed_in(history)
    before = copy.deepcopy(submitted)
    repaired = repair(submitted, SOURCE)
    whole = repaired.notebook
    nbformat.validate(whole)
    assert submitted == before
    count = Counter(marks(cell).get("grade_id") for cell in whole.cells if marks(cell))
    assert count == dict.fromkeys([*LOCKED, *SOLUTIONS], 1)
    place = {marks(cell).get("grade_id"): at for at, cell in enumerate(whole.cells)}
    before_check = []
    for cell in SOURCE.cells:
        name = marks(cell).get("grade_id")
        if name is None:
            continue
        found = whole.cells[place[name]]
        assert (found.cell_type, found.metadata, found.id) == (cell.cell_type, cell.metadata, cell.id)
        if name in SOLUTIONS:
            before_check.append(place[name])
        else:
            assert found.source == cell.source
        if is_check(cell):
            assert all(at < place[name] for at in before_check)
    assert sum("setup" in notebook.tags(cell) for cell in whole.cells) == 1
    ids = [cell.id for cell in whole.cells]
    assert len(ids) == len(set(ids))
    texts = [cell.source for cell in whole.cells]
    assert not [line for line in SECRET if any(line in text for text in texts)]
    locked = {cell.id for cell in LOCKED.values()}  # and grade_id: they are the same
    own = [cell for cell in submitted.cells if not {marks(cell).get("grade_id"), cell.get("id")} & locked]
    mine = Counter(cell.source for cell in own if "check(" not in cell.source)
    assert not mine - Counter(texts)  # nothing that a student wrote is lost
    assert all(isinstance(note, str) and len(note) < 200 for note in repaired.notes)
    assert repair(whole, SOURCE).notebook == whole
    again = parse(notebook.dumps(whole).encode())  # nbgrader writes it to a file between its two passes
    assert [cell.source for cell in repair(again, SOURCE).notebook.cells] == texts


def test_there_are_secrets_to_keep():
    assert len(SECRET) > 20
    assert len(LOCKED) >= 8
    assert len(SOLUTIONS) >= 8


def test_an_untouched_notebook_needs_no_repair():
    repaired = repair(parse(notebook_bytes(RELEASED["cells"])), SOURCE)
    assert repaired.notes == []
    assert [cell.id for cell in repaired.notebook.cells] == [cell["id"] for cell in RELEASED["cells"]]


def test_nothing_at_all_is_made_whole():
    repaired = repair(parse(notebook_bytes([])), SOURCE)
    found = [cell.source for cell in repaired.notebook.cells if marks(cell).get("solution")]
    assert found == [""] * len(SOLUTIONS)
    assert len(repaired.notes) == len(LOCKED) + len(SOLUTIONS) + 1


def submitted_as(*changes):
    cells = copy.deepcopy(RELEASED["cells"])
    for change in changes:
        change(cells)
    return repair(parse(notebook_bytes(cells)), SOURCE)


def cell_of(cells, name):
    return next(cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def test_a_check_that_was_changed_is_restored_and_noted():
    def change(cells):
        cell_of(cells, "check_affine_forward")["source"] = "print(3.0)"

    repaired = submitted_as(change)
    assert repaired.notes == ["cell check_affine_forward had been changed: restored"]


def test_a_check_moved_above_its_solution_comes_after_it():
    def change(cells):
        check = cell_of(cells, "check_affine_forward")
        cells.remove(check)
        cells.insert(1, check)

    repaired = submitted_as(change)
    order = [marks(cell).get("grade_id") for cell in repaired.notebook.cells]
    assert order.index("check_affine_forward") > order.index("affine_forward")
    assert "moved" in repaired.notes[0]


def test_a_solution_that_became_text_is_code_that_somebody_can_have_written():
    """Text is not counted when code is, and every solution cell may have become text."""
    source = "a;" * 10**5
    cells = [
        {"cell_type": "markdown", "source": source, "metadata": cell.metadata} for cell in SOLUTIONS.values()
    ]
    whole = repair(parse(notebook_bytes(cells)), SOURCE).notebook
    assert sum(len(cell.source) for cell in whole.cells if cell.cell_type == "code") < notebook.MAX_CODE


def test_pictures_of_a_text_are_as_many_as_somebody_looks_at():
    pictures = {f"{number}.png": {"image/png": "AAAA"} for number in range(1000)}
    (cell,) = parse(notebook_bytes([{"cell_type": "markdown", "source": "", "attachments": pictures}])).cells
    assert len(cell.attachments) == notebook.MAX_PICTURES


def test_notes_are_as_many_as_somebody_reads():
    cells = [{"cell_type": "code", "source": "1 / 0"} for _ in range(200)]
    assignment = grading.Assignment(NAME, SOURCE)
    result, _ = grading.grade_notebook(
        parse(notebook_bytes(cells)), "s", assignment, lambda: LocalSession({})
    )
    assert len(result.notes) == grading.MAX_NOTES + 1
    assert result.notes[-1].startswith("and ")


def test_a_setup_cell_that_became_text_is_code_again():
    def change(cells):
        next(cell for cell in cells if "setup" in cell["metadata"].get("tags", []))["cell_type"] = "markdown"

    repaired = submitted_as(change)
    assert repaired.notes == ["cell setup had become a markdown cell: restored"]
    assert [cell.cell_type for cell in repaired.notebook.cells if "setup" in notebook.tags(cell)] == ["code"]


def test_a_mark_that_nobody_gave_means_nothing():
    def change(cells):
        forged = {
            "grade": True,
            "grade_id": "check_everything",
            "points": 100,
            "solution": False,
            "locked": True,
        }
        cells.append({"cell_type": "code", "source": "100", "metadata": {"nbgrader": forged}})

    repaired = submitted_as(change)
    assert sum(is_check(cell) for cell in repaired.notebook.cells) == sum(
        is_check(cell) for cell in SOURCE.cells
    )
    assert repaired.notebook.cells[-1].metadata == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('check("affine_forward")', "affine_forward"),
        ("\n check('quiz_01') \n", "quiz_01"),
        ('check("affine_forward")\n4.0', None),
        ("check(\"affine_forward')", None),
        ('x = check("affine_forward")', None),
        ('check("../secret")', None),
        ("", None),
    ],
)
def test_a_check_is_a_check_and_nothing_else(text, name):
    assert notebook.check_name(nbformat.v4.new_code_cell(text)) == name


# -- pictures


PICTURE = "iVBORw0KGgo="


def text_with(attachments):
    return {"cell_type": "markdown", "source": "![x](attachment:x.png)", "attachments": attachments}


def test_a_picture_that_was_pasted_into_a_text_stays():
    """Without it nbconvert refuses to make a page of the notebook."""
    pictures = {"x.png": {"image/png": PICTURE}}
    whole = repair(parse(notebook_bytes([text_with(pictures)])), SOURCE).notebook
    assert [cell.attachments for cell in whole.cells if "attachments" in cell] == [pictures]
    nbformat.validate(whole)


@pytest.mark.parametrize(
    "attachments",
    [
        7,
        [PICTURE],
        {"x.png": PICTURE},
        {"x.png": {"image/png": [PICTURE]}},
        {"x.png": {"image/png": '"><script>alert(1)</script>'}},
        {"x.png": {"text/html": PICTURE}},
        {"x.png": {'image/png" onerror="alert(1)': PICTURE}},
        {"\ud800": {"image/png": PICTURE}},
    ],
    ids=repr,
)
def test_nothing_else_is_a_picture(attachments):
    found = parse(notebook_bytes([text_with(attachments)]))
    assert "attachments" not in found.cells[0]
