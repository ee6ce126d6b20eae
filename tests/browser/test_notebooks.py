"""Every assignment in JupyterLab, as it is released and as it is solved."""

import re
import statistics
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import Open
from notebook_page import NotebookPage, errors, shown
from playwright.sync_api import Locator, expect

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in ROOT.glob("assignments/*/*.ipynb"))
MOVES = 20


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_released(name: str, open_notebook: Open, request: pytest.FixtureRequest) -> None:
    notebook = open_notebook(ROOT / "assignments" / name / f"{name}.ipynb")
    for cell in notebook.run_all():
        if errors(cell):
            assert not is_given(cell), f"a cell that is given raised {errors(cell)}:\n{cell['source']}"
            assert errors(cell) == ["NotImplementedError: "], cell["source"]
    for cell in labs(notebook):
        if has_controls(cell):
            play(notebook, cell)
        else:
            assert re.search(r"Write \w+.* first", shown(cell)), shown(cell)
    for cell in quizzes(notebook):
        answer_quiz(notebook, cell)
    photograph(notebook, f"{name}_released", request)


def test_solved(name: str, open_notebook: Open, request: pytest.FixtureRequest) -> None:
    notebook = open_notebook(ROOT / "solutions" / name / f"{name}.ipynb", reveal=True)
    began = time.perf_counter()
    cells = notebook.run_all()
    print(f"\n{name}: all cells in {time.perf_counter() - began:.0f} s")
    for cell in cells:
        assert not errors(cell), f"{errors(cell)}:\n{cell['source']}"
        if is_check(cell):
            assert [got == points for got, points in scores(cell)] == [True], shown(cell)
    for cell in labs(notebook):
        assert has_controls(cell), shown(cell)
        play(notebook, cell)
    photograph(notebook, f"{name}_solved", request)


# -- what a person does


def play(notebook: NotebookPage, cell: dict) -> None:
    """Move each control of a lab and see the picture or the words change."""
    lab = notebook.view(cell["id"]).locator(".minigrad-lab")
    expect(lab.locator("img")).to_be_visible()
    sliders, buttons, times = lab.get_by_role("slider").all(), lab.get_by_role("button").all(), []
    for button in buttons[:-1]:  # the last one starts again
        notebook.do(lab, button.click)
        for slider in sliders:  # and so does a slider
            notebook.do(lab, partial(slider.press, inwards(slider)))
            notebook.do(lab, button.click)
    for move in range(MOVES if sliders or buttons else 0):
        if buttons:
            control, key = buttons[0] if move % 2 else buttons[-1], "Space"
        else:
            control = sliders[move % len(sliders)]
            key = inwards(control)
        times.append(notebook.nudge(lab, control, key))
    if times:
        print(f"{lab_name(cell)}: {statistics.median(times):.0f} ms from a key to the new picture,", end=" ")
        print(f"median of {len(times)}; the slowest {max(times):.0f} ms")
    for menu in lab.get_by_role("combobox").all():
        others = [
            option for option in menu.locator("option").all_inner_texts() if option != menu.input_value()
        ]
        notebook.do(lab, partial(menu.select_option, label=others[-1]))


def inwards(slider: Locator) -> str:
    """The key that moves a slider towards its middle."""
    low, here, high = (float(slider.get_attribute(f"aria-value{end}")) for end in ("min", "now", "max"))
    return "ArrowRight" if here < (low + high) / 2 else "ArrowLeft"


def answer_quiz(notebook: NotebookPage, cell: dict) -> None:
    """Type an answer to each question, the same to all, and read the verdict."""
    answers = next(line for line in cell["source"].splitlines() if line.startswith("# quiz = "))
    typed = answers.removeprefix("# ").replace('"..."', '"a"')
    notebook.type_into(cell["id"], typed)
    assert not errors(notebook.run(cell["id"]))
    assert notebook.cell(cell["id"])["source"] == typed
    ids = [each["id"] for each in notebook.cells()]
    verdict = notebook.run(ids[ids.index(cell["id"]) + 1])
    ((got, points),) = scores(verdict)
    assert 0 <= got < points, shown(verdict)
    expect(notebook.view(verdict["id"]).get_by_text(f"{got:g} of {points:g} points")).to_be_visible()


def photograph(notebook: NotebookPage, stem: str, request: pytest.FixtureRequest) -> None:
    folder = request.config.getoption("--screenshots")
    for theme in ("light", "dark") if folder else ():
        notebook.pictures(folder, stem, theme)


# -- which cells are which


def is_given(cell: dict) -> bool:
    return not cell["metadata"].get("nbgrader", {}).get("solution")


def is_check(cell: dict) -> bool:
    return bool(cell["metadata"].get("nbgrader", {}).get("grade")) and is_given(cell)


def labs(notebook: NotebookPage) -> list[dict]:
    return [cell for cell in notebook.cells() if "lab" in cell["metadata"].get("tags", [])]


def quizzes(notebook: NotebookPage) -> list[dict]:
    return [cell for cell in notebook.cells() if not is_given(cell) and "# quiz = {" in cell["source"]]


def lab_name(cell: dict) -> str:
    return re.search(r"explore\(\s*(\w+)", cell["source"])[1]


def has_controls(cell: dict) -> bool:
    return any(
        "application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in cell["outputs"]
    )


def scores(cell: dict) -> list[tuple[float, float]]:
    """The points in a verdict, and how many there were to be had."""
    found = re.findall(r"</strong>: ([\d.]+) of ([\d.]+) points", shown(cell))
    return [(float(got), float(points)) for got, points in found]
