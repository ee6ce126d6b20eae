"""Assignments as text: the same notebook comes of it every time, and the way back leads to the same text."""

import copy
import json
import os
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import exercises, source
from autograder.notebook import check_name, is_check, tags

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted(ROOT.glob("solutions/*/*.py"))

MARKS = {"cell_type": "code", "grade": True, "grade_id": "plain", "locked": True, "points": 2}
MARKS |= {"schema_version": 3, "solution": False, "task": False}
TEXT = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 99. A small one
#
# With $x_i$ and a *word*.

# %% tags=["setup"]
import numpy as np

# %% [markdown]
# ## First

# %% solution="relative_error"
def relative_error(a, b):
    ### BEGIN SOLUTION
    return 0.0
    ### END SOLUTION

# %% check="relative_error"
check("relative_error")

# %% tags=["experiment"]
if ready(relative_error):
    print("yes")

# %% [markdown]
# ## Second

# %% nbgrader={MARKS}
assert relative_error(1.0, 1.0) == 0

# %% [markdown] solution="in_words"
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION
""".replace("MARKS", json.dumps(MARKS)[1:-1])


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "99_small" / "99_small.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def read(path, content):
    path.write_text(content)
    return source.read_text(path)


def marks(cell):
    return cell.metadata.get("nbgrader", {})


# -- there and back


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_tracked_notebook_is_that_of_the_text(path):
    assert path.with_suffix(".ipynb").read_text(encoding="utf-8") == source.dumps(source.read_text(path))


def there_and_back(path, content):
    notebook = read(path, content)
    back = source.to_text(notebook)
    again = read(path, back)
    assert source.dumps(again) == source.dumps(notebook)
    assert source.to_text(again) == back
    return back


@pytest.mark.parametrize("original", [*TEXTS, None], ids=lambda path: path.stem if path else "small")
def test_the_way_back_leads_to_the_same_text(text, original):
    content = original.read_text(encoding="utf-8") if original else TEXT
    assert there_and_back(text, content) == content


line = st.sampled_from(
    [
        "x = 1",
        "def f(x):",
        "    return x  # a comment",
        "",
        "# only a comment",
        "%matplotlib inline",
        "!ls",
        "$a_b$ and `code`",
        "# A heading",
        "é 梯度 ∂",
        "    indented",
        "- a list",
        "### BEGIN HIDDEN TESTS",
        "### END HIDDEN TESTS",
    ]
)
body = st.lists(line, min_size=1, max_size=5).map(lambda lines: "\n".join(lines).strip("\n"))
header = st.sampled_from(
    ["# %%", '# %% tags=["setup"]', '# %% tags=["experiment", "hide"]', "# %% [markdown]", "# %% [raw]"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["code", "markdown"]), body), max_size=5))
def test_any_cells_survive_the_way_through_text(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "any.py"
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    given_cells = [make[kind](f"{kind} {n}\n{text}".strip()) for n, (kind, text) in enumerate(cells)]
    notebook = source.expand(nbformat.v4.new_notebook(cells=[*map(heading, range(len(cells))), *given_cells]))
    again = read(path, source.to_text(notebook))
    assert [(cell.cell_type, cell.source) for cell in again.cells] == [
        (cell.cell_type, cell.source) for cell in notebook.cells
    ]
    assert source.dumps(again) == source.dumps(notebook)


def heading(number):
    return nbformat.v4.new_markdown_cell(f"# Section {number}")


# -- what a header stands for


def test_short_headers_become_marks(text):
    notebook = source.read_text(text)
    nbformat.validate(notebook)
    cells = {cell.id: cell for cell in notebook.cells}
    check = cells["check_relative_error"]
    assert is_check(check)
    assert marks(check).points == exercises.find("relative_error").points
    assert (marks(check).locked, marks(check).schema_version, tags(check)) == (True, 3, ["check"])
    solution = cells["relative_error"]
    assert (marks(solution).solution, marks(solution).grade, marks(solution).locked) == (True, False, False)
    assert (marks(cells["in_words"]).solution, marks(cells["in_words"]).points) == (True, 0)
    assert marks(cells["plain"]).points == 2
    assert [tags(cell) for cell in notebook.cells if not marks(cell)] == [
        [],
        ["setup"],
        [],
        ["experiment"],
        [],
    ]


def test_a_written_answer_may_have_points(text):
    content = TEXT.replace('solution="in_words"', 'solution="in_words" points=3')
    (cell,) = [cell for cell in read(text, content).cells if cell.id == "in_words"]
    assert (marks(cell).points, marks(cell).grade, "points" in cell.metadata) == (3, True, False)
    assert there_and_back(text, content) == content


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_marks_of_the_course_are_whole(path):
    cells = source.read_text(path).cells
    for cell in cells:
        if marks(cell):
            assert cell.id == marks(cell).grade_id
        if is_check(cell):
            assert marks(cell).points > 0
            assert check_name(cell) is None or marks(cell).grade_id == f"check_{check_name(cell)}"
        else:
            assert check_name(cell) is None  # a check that is not graded
    graded = {check_name(cell) for cell in cells if is_check(cell)} - {None}
    assert graded == set(exercises.assignments()[path.stem])
    assert "setup" in tags(next(cell for cell in cells if cell.cell_type == "code"))


# -- ids


def ids(notebook):
    return [cell.id for cell in notebook.cells]


def test_ids_stay_when_a_cell_is_added_in_another_section(text):
    before = ids(source.read_text(text))
    added = read(text, TEXT.replace("# ## First\n", "# ## First\n\n# %%\nprint('new')\n"))
    assert len(added.cells) == len(before) + 1
    assert ids(added)[:3] == before[:3]  # what stands above
    assert ids(added)[-3:] == before[-3:]  # the next section
    graded = {cell.id for cell in added.cells if marks(cell)}
    assert graded < set(before)


def test_ids_stay_when_a_text_changes(text):
    before = ids(source.read_text(text))
    assert ids(read(text, TEXT.replace("With $x_i$", "With $y_i$").replace('print("yes")', "pass"))) == before


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ('\n# %% solution="relative_error"\npass\n', "relative_error"),
        ('\n# %% check="relative_error"\ncheck("relative_error")\n', "check_relative_error"),
        ("\n# %% [markdown]\n# ## First\n\n# %%\nx = 1\n", "## First"),
        ('\n# %% check="relative_terror"\ncheck("relative_terror")\n', "relative_terror"),
    ],
    ids=["solution twice", "check twice", "section twice", "no such exercise"],
)
def test_what_cannot_be_is_refused_and_named(text, extra, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        read(text, TEXT + extra)
    assert str(text) in str(refused.value)
    assert not text.with_suffix(".ipynb").exists()


# -- building and syncing


def test_building_again_changes_nothing(text):
    notebook = text.with_suffix(".ipynb")
    assert source.build(text) is True
    written = notebook.read_bytes(), notebook.stat().st_mtime_ns
    assert source.build(text) is False
    assert (notebook.read_bytes(), notebook.stat().st_mtime_ns) == written
    assert [path.name for path in text.parent.iterdir() if path.suffix not in (".py", ".ipynb")] == []


def edit(text):
    """Change the notebook as a person does in Jupyter: a cell's text, a new cell, outputs, another order of keys."""
    path = text.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if tags(cell) == ["experiment"])
    cell.source = "print('edited')"
    cell.outputs = [nbformat.v4.new_output("stream", text="edited\n")]
    cell.execution_count = 7
    notebook.cells.append(nbformat.v4.new_code_cell("y = 2"))
    notebook.metadata["widgets"] = {"state": {}}
    nbformat.write(notebook, path)


def age(path, seconds):
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_a_text_without_a_notebook_gets_one(text):
    assert "99_small.ipynb was written" in source.sync(text)
    assert "say the same" in source.sync(text)


def test_the_newer_notebook_wins(text):
    source.build(text)
    age(text, 10)
    edit(text)
    assert source.sync(text) == "99_small.py was written from 99_small.ipynb"
    assert "print('edited')" in text.read_text()
    assert "y = 2" in text.read_text()
    assert 'check="relative_error"' in text.read_text()
    notebook = text.with_suffix(".ipynb")
    assert 'outputs": []' in notebook.read_text()
    assert "edited\\n" not in notebook.read_text()
    assert notebook.read_text() == source.dumps(source.read_text(text))
    assert "say the same" in source.sync(text)


def test_the_newer_text_wins(text):
    source.build(text)
    edit(text)
    age(text.with_suffix(".ipynb"), 10)
    assert source.sync(text) == "99_small.ipynb was written from 99_small.py, which is newer"
    assert text.read_text() == TEXT
    assert "edited" not in text.with_suffix(".ipynb").read_text()


@pytest.mark.parametrize("older", ["py", "ipynb"])
@pytest.mark.parametrize("prefer", ["py", "ipynb"])
def test_what_is_preferred_wins_whatever_is_newer(text, prefer, older):
    source.build(text)
    edit(text)
    age(text.with_suffix(f".{older}"), 10)
    source.sync(text, prefer)
    assert ("edited" in text.read_text()) == (prefer == "ipynb")
    assert text.with_suffix(".ipynb").read_text() == source.dumps(source.read_text(text))


def test_outputs_alone_change_no_text(text):
    source.build(text)
    path = text.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="ran\n")]
    nbformat.write(notebook, path)
    before = text.stat().st_mtime_ns
    assert "say the same" in source.sync(text)
    assert text.stat().st_mtime_ns == before


def test_a_notebook_alone_gets_a_text(text):
    source.build(text)
    text.unlink()
    source.sync(text)
    assert text.read_text() == TEXT


def test_a_text_that_cannot_be_read_costs_nothing(text):
    source.build(text)
    before = text.with_suffix(".ipynb").read_bytes()
    text.write_text(TEXT + '\n# %% check="nothing"\ncheck("nothing")\n')
    with pytest.raises(ValueError, match="nothing"):
        source.sync(text, "py")
    assert text.with_suffix(".ipynb").read_bytes() == before


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file"
    source.write_atomically(path, "old")

    def full(*args):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="no space"):
            source.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in path.parent.iterdir()] == ["file"]
    source.write_atomically(path, b"\xff")
    assert path.read_bytes() == b"\xff"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a\n### BEGIN HIDDEN TESTS\nsecret\n### END HIDDEN TESTS\nb\n", "a\nb\n"),
        ("a\n    # BEGIN HIDDEN TESTS\n    secret\n    # END HIDDEN TESTS", "a\n"),
        (
            "### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS\nx\n### BEGIN HIDDEN TESTS\n2\n### END HIDDEN TESTS\n",
            "x\n",
        ),
        (
            "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n",
            "def f():\n    return 1\n",
        ),
        ("nothing to hide", "nothing to hide"),
        ("", ""),
    ],
)
def test_hidden_regions_and_marks_are_left_out(cell, shown):
    assert source.without_hidden(cell) == shown


def test_expanding_does_not_touch_what_it_is_given(text):
    source.build(text)
    notebook = nbformat.read(text.with_suffix(".ipynb"), as_version=4)
    before = copy.deepcopy(notebook)
    source.expand(notebook)
    source.to_text(notebook)
    assert notebook == before
