"""The commands of a student: start, check and lab. They need no fork and run on any system."""

import builtins
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import grading, notebook, stubs
from .session import LocalSession
from .text import clean

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Learn how backpropagation fails.")
console = Console(highlight=False)

_STYLES = {"passed": "green", "not run": "dim"}


def fail(message: str) -> typer.Exit:
    """Say what is wrong on the error stream; raise what is returned."""
    Console(stderr=True, highlight=False).print(Text(clean(f"minigrad: {message}")))
    return typer.Exit(1)


@app.command()
def start(
    directory: Annotated[Path, typer.Argument(help="Where to put the notebooks.")] = Path("my-notebooks"),
) -> None:
    """Copy the assignments to a directory of your own. What is there already is never touched."""
    here, package = Path.cwd(), Path(__file__).resolve().parents[1]
    places = (
        here.glob("assignments/*/*.ipynb"),
        package.glob("assignments/*/*.ipynb"),
        package.glob("*.ipynb"),
    )
    found = next((paths for place in places if (paths := sorted(place))), [])
    if not found:
        raise fail("there are no assignments here; run this in the course directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail(f"{directory} cannot be made: {error.strerror}") from None
    for path in found:
        target = directory / path.name
        kept = target.exists()
        if not kept:
            shutil.copyfile(path, target)
        console.print(Text(f"  {'kept' if kept else 'copied':<8}{target}"))
    console.print(Text(f"\nOpen them with:  jupyter lab {directory}"))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="A notebook that you are working on.")],
) -> None:
    """Run a notebook from top to bottom and say what each check sees."""
    try:
        submitted = notebook.read(path)
    except notebook.Unreadable as error:
        raise fail(f"{path}: {error}") from None
    assignment = grading.Assignment(path.stem, submitted, None)
    if not assignment.checks():
        raise fail(f"{path}: there is no check in this notebook")
    with _unwatched():
        result, _ = grading.grade_notebook(submitted, "", assignment, lambda: LocalSession({}))
    print_result(result.as_row())


@app.command()
def lab(
    name: Annotated[str, typer.Argument(help="A lab; without it, they are listed.")] = "",
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[NOTEBOOK]",
            help="A notebook with your functions; the one of the lab's assignment, if it is here, without it.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open one lab, alone, with your functions where you have written them."""
    from minigrad.labs import alone

    known = alone.labs()
    if name not in known:
        table = Table.grid(padding=(0, 2, 0, 0))
        for each, summary in known.items():
            table.add_row(f"  {each}", Text(summary))
        console.print("The labs:", table)
        if name:
            raise fail(f"there is no lab {name!r}")
        return
    path = path or alone.assignment_of(name, Path.cwd())
    try:
        content = alone.lab_notebook(name, path)
    except (OSError, ValueError) as error:
        raise fail(f"{path} cannot be read: {error}") from None
    console.print(
        Text(f"Your functions are those of {path}." if path else "The functions are the library's.")
    )
    console.print("Ctrl-C here ends it.")
    # A lab is looked at and thrown away; the functions are changed in the notebook that they came from.
    with tempfile.TemporaryDirectory(prefix="minigrad-", ignore_cleanup_errors=True) as folder:
        notebook_path = Path(folder, f"{name}.ipynb")
        notebook_path.write_text(content, encoding="utf-8")
        raise typer.Exit(_jupyter(notebook_path, browser))


def _jupyter(path: Path, browser: bool) -> int:
    """Run JupyterLab on a notebook until it ends or Ctrl-C ends it."""
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.answer_yes=True"]
    words += [f"--ServerApp.root_dir={path.parent}", f"--LabApp.default_url=/doc/tree/{path.name}"]
    words += [] if browser else ["--no-browser"]
    words += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    process = subprocess.Popen(words)
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(5)  # in a terminal it has seen Ctrl-C too
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        return 0


def print_result(row: dict) -> None:
    """Show a result: every check of every exercise, what was seen, and the sum."""
    for exercise in row["exercises"]:
        points = f"{exercise['score']:g} of {exercise['max_score']:g} points"
        console.print(
            Text(f"\n{clean(exercise['title'])}", style="bold").append(f"   {points}", style="not bold")
        )
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=9)
        before: list[str] = []
        for finding in exercise["findings"]:
            word = "ok" if finding["outcome"] == "passed" else finding["outcome"]
            style = _STYLES.get(finding["outcome"], "bold red")
            table.add_row(Text(f"  {word}", style=style), Text(clean(finding["check"])))
            texts = [clean(finding[key]) for key in ("message", "hint") if finding.get(key)]
            for text in texts:
                if text not in before:  # do not repeat for each check what ended all of them
                    table.add_row("", Text(text, style="italic" if text == finding.get("hint") else ""))
            before = texts or before
        console.print(table)
    for note in row["notes"]:
        console.print(Text(f"\nnote: {clean(note)}", style="dim"))
    console.print(Text(f"\n{row['score']:g} of {row['max_score']:g} points", style="bold"))


@contextlib.contextmanager
def _unwatched() -> Iterator[None]:
    """Run a notebook where nobody looks: figures go nowhere, and neither does what it prints."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    builtins.get_ipython = lambda: stubs.SHELL  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(null))
        stack.enter_context(contextlib.redirect_stderr(null))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield
