"""What the guides say about the course and its commands is so."""

import re
import shlex
from pathlib import Path

import nbformat
import pytest
import typer

from autograder import cli, exercises
from autograder.course import Course

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(cli.app).commands

every_guide = pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)


def text_of(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def written_commands(text):
    """Each `minigrad ...` of a page, in a block or within a line, as words."""
    blocks = re.findall(
        r"^(?:\$ )?(minigrad .*)$", "\n".join(re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text)), re.M
    )
    for command in blocks + re.findall(r"`(minigrad [^`]+)`", text):
        words = shlex.split(command, comments=True)
        if re.fullmatch(r"[a-z]+", words[1]):
            yield words[1:]


@every_guide
def test_commands_exist_with_the_options_that_a_guide_gives_them(path):
    for name, *words in written_commands(path.read_text(encoding="utf-8")):
        assert name in COMMANDS, name
        known = {o for parameter in COMMANDS[name].params for o in parameter.opts + parameter.secondary_opts}
        assert {word for word in words if word.startswith("--")} <= known, (name, words)


def test_the_commands_of_an_instructor_are_all_in_the_guide():
    said = {name for name, *_ in written_commands(text_of("instructor.md") + text_of("new_exercise.md"))}
    theirs = [
        c.callback.__name__ for c in cli.app.registered_commands if c.callback.__module__ == cli.__name__
    ]
    assert "grade" in theirs
    assert set(theirs) <= said


def anchors(text):
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_guide
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            there = path.parent / file if file else path
            assert there.exists(), target
            assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("name", Course(ROOT).names())
def test_times_are_those_of_the_notebooks(name):
    number, title = name.split("_", 1)
    (row,) = re.findall(rf"(?m)^\| {number} `{title}` \|([^|]*)\|([^|]*)\|", text_of("instructor.md"))
    core, stretch = (cell.strip() for cell in row)
    cells = nbformat.read(Course(ROOT).source(name), as_version=4).cells
    (said,) = [cell.source for cell in cells if "**Time.**" in cell.source]
    said = " ".join(said.partition("**Time.**")[2].partition("\n\n")[0].split())
    assert core
    assert core in said
    graded = exercises.assignments()[name].values()
    assert (stretch in said) if any(exercise.stretch for exercise in graded) else stretch == "none"


@pytest.mark.parametrize("name", exercises.assignments())
def test_the_share_of_points_without_hidden_cases_is_as_said(name):
    assert "all points of 00, two thirds of 08" in text_of("integrity.md")
    assert "between a fifth and a half of each other" in text_of("integrity.md")
    group = exercises.assignments()[name].values()
    share = sum(e.points for e in group if e.hidden is None) / sum(e.points for e in group)
    low, high = {"00_autograd_trap": (1, 1), "08_training_clinic": (0.6, 0.73)}.get(name, (0.18, 0.52))
    assert low <= share <= high
