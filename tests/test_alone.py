"""`minigrad lab`: which functions go into the notebook that it opens."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.student import app
from minigrad.labs import alone

ROOT = Path(__file__).resolve().parents[1]
SOLVED = ROOT / "solutions/01_gradient_checking/01_gradient_checking.ipynb"
RELEASED = ROOT / "assignments/01_gradient_checking/01_gradient_checking.ipynb"
SLOPE = "def numerical_gradient(f, x, h=1e-5):\n    return _half(f, x) * TWO\n"
ERROR = "def relative_error(a, b):\n    return 0.0\n"


def notebook(folder: Path, *cells: str, name: str = "01_mine.ipynb", tags: tuple[str, ...] = ()) -> Path:
    path = folder / name
    made = [{"cell_type": "code", "metadata": {"tags": list(tags)}, "source": cell} for cell in cells]
    path.write_text(json.dumps({"cells": made}), encoding="utf-8")
    return path


def cell(path: Path | None) -> str:
    (only,) = json.loads(alone.lab_notebook("gradient_checking", path))["cells"]
    return only["source"]


class TestLabNotebook:
    def test_is_a_notebook(self):
        nbformat = pytest.importorskip("nbformat")
        nbformat.validate(nbformat.reads(alone.lab_notebook("gradient_checking", SOLVED), as_version=4))

    def test_without_a_notebook_the_library_stands_in(self):
        assert cell(None).endswith("\nexplore(gradient_checking)")

    def test_what_is_not_written_is_left_out(self):
        assert cell(RELEASED) == cell(None)

    def test_what_is_written_is_copied_with_what_it_uses(self, tmp_path):
        path = notebook(
            tmp_path,
            "%matplotlib inline\nfrom math import pi as TWO, tau\nunused = 1",
            "@staticmethod\ndef _half(f, x):\n    return f(x)  # the helper",
            SLOPE,
            "def relative_error(a, b):\n    raise NotImplementedError()",
            "this is not Python yet",
            "raise NotImplementedError()",
        )
        source = cell(path)
        assert SLOPE.strip() in source
        assert "@staticmethod\ndef _half(f, x):\n    return f(x)  # the helper" in source
        assert "from math import pi as TWO" in source
        assert source.endswith("\nexplore(gradient_checking, numerical_gradient=numerical_gradient)")
        for left_out in ("unused", "raise", "not Python", "matplotlib"):
            assert left_out not in source

    def test_the_last_definition_counts(self, tmp_path):
        source = cell(notebook(tmp_path, "def relative_error(a, b):\n    raise NotImplementedError()", ERROR))
        assert source.endswith("explore(gradient_checking, relative_error=relative_error)")
        source = cell(notebook(tmp_path, ERROR, "def relative_error(a, b):\n    raise NotImplementedError()"))
        assert source.endswith("explore(gradient_checking)")

    def test_cells_that_are_given_are_not_copied(self, tmp_path):
        assert cell(notebook(tmp_path, ERROR, tags=("experiment",))) == cell(None)

    def test_runs(self, capsys):
        exec(compile(cell(SOLVED), "<cell>", "exec"), {"__name__": "__main__"})
        said = capsys.readouterr().out
        assert "This lab runs your numerical_gradient and your relative_error." in said
        assert "derivative 8.75" in said


class TestAssignmentOf:
    def test_is_the_notebook_that_explores_the_lab(self, tmp_path):
        notebook(tmp_path, "explore(gradient_checking_too)", name="00_a.ipynb")
        (tmp_path / "00_b.ipynb").write_text("no notebook", encoding="utf-8")
        (tmp_path / "00_c.ipynb").write_text("[]", encoding="utf-8")
        right = notebook(tmp_path, "x = 1", "explore(\n    gradient_checking,\n    f=f)", name="01_b.ipynb")
        notebook(tmp_path, "explore(gradient_checking)", name="copy.ipynb")
        assert alone.assignment_of("gradient_checking", tmp_path) == right

    def test_none(self, tmp_path):
        assert alone.assignment_of("gradient_checking", tmp_path) is None

    def test_every_lab_is_in_an_assignment(self):
        """`release` makes assignments/ from solutions/, so that is where a lab that was just written is."""
        folders = [path.parent for path in ROOT.glob("solutions/*/*.ipynb")]
        for name in alone.labs():
            assert any(alone.assignment_of(name, folder) for folder in folders), name


class TestCommand:
    def test_without_a_name_it_lists(self):
        done = CliRunner().invoke(app, ["lab"])
        assert done.exit_code == 0
        assert re.search("gradient_checking +The lab of assignment 01", done.stdout)

    def test_an_unknown_name_lists_and_fails(self):
        done = CliRunner().invoke(app, ["lab", "gradient_cheking"])
        assert done.exit_code == 1
        assert "gradient_checking" in done.stdout
        assert "there is no lab 'gradient_cheking'" in done.stderr

    @pytest.mark.parametrize("content", [None, "no notebook", "[]"])
    def test_a_notebook_that_cannot_be_read(self, tmp_path, content):
        path = tmp_path / "x.ipynb"
        if content:
            path.write_text(content, encoding="utf-8")
        done = CliRunner().invoke(app, ["lab", "gradient_checking", str(path)])
        assert done.exit_code == 1
        assert "cannot be read" in done.stderr
