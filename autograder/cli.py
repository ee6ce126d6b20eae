"""The command `minigrad`: what an instructor does with a course, and the student's commands with it."""

import json
import os
import sys

# Before anything that takes long to load. One thread for linear algebra: arrays are small here, and worker
# processes are forked. And jsonschema, if it finds this package, compiles a grammar for internationalised
# addresses at every start: a second, for a format that no notebook has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .student import app, console, fail, print_result
from .text import clean

Row = dict[str, Any]
CORES = os.cpu_count() or 1

CourseOption = Annotated[
    Path | None,
    typer.Option("--course", help="The course directory; the one you are in without it.", metavar="DIR"),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="An assignment, for example 01_gradient_checking.")]
Submissions = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR_OR_ZIP",
        help="Submissions as STUDENT/NAME/NAME.ipynb, or an archive of one assignment from Canvas or Moodle; "
        "submitted/ without it.",
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Submissions at a time.")]
Dask = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster that does the work, tcp://HOST:8786."),
]
Trust = Annotated[bool, typer.Option("--trust-students", help="Run student code with no isolation at all.")]
Isolation = Annotated[
    str | None,
    typer.Option(help="namespaces, landlock or seccomp; the strongest that works here without it."),
]


@app.command()
def release(name: Name, course: CourseOption = None) -> None:
    """Make the notebook that students get, without solutions, and enter the assignment in the gradebook."""
    with _course(course) as (here, flow):
        console.print(Text(f"released: {flow.release(here, name)}"))


@app.command()
def bundle(
    name: Name,
    course: CourseOption = None,
    output: Annotated[Path, typer.Option("--output", help="Where to put the archive.", metavar="DIR")] = Path(
        "bundles"
    ),
) -> None:
    """Pack an assignment for handing out: the notebook, its checks, and no answer."""
    from .bundle import build_bundle

    with _course(course) as (here, _):
        console.print(Text(f"packed: {build_bundle(here.root, here.require(name), output)}"))


@app.command()
def gradescope(
    name: Name,
    course: CourseOption = None,
    output: Annotated[Path, typer.Option("--output", help="Where to put the archive.", metavar="DIR")] = Path(
        "gradescope"
    ),
    trust_students: Annotated[
        bool,
        typer.Option(
            "--trust-students", help="Where Gradescope allows no isolation, run student code with none."
        ),
    ] = False,
) -> None:
    """Pack an autograder for Gradescope. It holds the answers: upload it, and keep it from students."""
    from .gradescope import build, points

    with _course(course) as (here, _):
        console.print(Text(f"packed: {build(here, name, output, trust_students)}"))
        total, stretch, written = points(here, name)
        beyond = f", and {stretch:g} more for stretch exercises" if stretch else ""
        console.print(Text(f"autograder points: {total - stretch:g}{beyond}"))
        if written:
            console.print(Text(f"for a manually graded question, the written answers: {written:g} points"))


@app.command()
def grade(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Assignments; all without it.")
    ] = None,
    submissions: Submissions = None,
    jobs: Jobs = CORES,
    dask: Dask = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the results there; - for the terminal."),
    ] = None,
    again: Annotated[bool, typer.Option(help="Grade also what has not changed since it was graded.")] = False,
    trust_students: Trust = False,
    isolation: Isolation = None,
    course: CourseOption = None,
) -> None:
    """Grade submissions: each is a row, whatever is in it. What was graded is kept when you stop this."""
    rows: list[Row] = []
    level = _level(isolation, trust_students)
    with _course(course) as (here, flow), _submissions(submissions, names or []) as folder:
        bar = _progress(quiet=str(json_file) == "-")
        task = bar.add_task("grading", total=None)

        def started(total: int) -> None:  # only now: workers are forked before, and a bar is a thread
            bar.update(task, total=total)
            bar.start()

        def finished(row: Row) -> None:
            rows.append(row)
            bar.advance(task)

        try:
            flow.grade(
                here,
                names or [],
                folder=folder,
                jobs=jobs,
                level=level,
                dask=dask,
                again=again,
                started=started,
                finished=finished,
            )
        except KeyboardInterrupt:
            raise fail(
                f"stopped: {len(rows)} results are kept; the same command goes on from there"
            ) from None
        finally:
            bar.stop()
            rows.sort(key=lambda row: (row["assignment"], row["student"]))
            _write_json(json_file, rows)
    if str(json_file) != "-":
        _print_table(rows)


@app.command()
def regrade(
    name: Name,
    store: Annotated[
        bool, typer.Option("--store/--diff", help="Keep the new results; without it, only show who changes.")
    ] = False,
    submissions: Submissions = None,
    jobs: Jobs = CORES,
    dask: Dask = None,
    trust_students: Trust = False,
    isolation: Isolation = None,
    course: CourseOption = None,
) -> None:
    """Grade anew and show who changes, from what to what, and why."""
    level = _level(isolation, trust_students)
    with _course(course) as (here, flow), _submissions(submissions, [name]) as folder:
        bar = _progress(quiet=False)
        task = bar.add_task("grading", total=None)

        def started(total: int) -> None:
            bar.update(task, total=total)
            bar.start()

        try:
            changes, rows = flow.regrade(
                here,
                name,
                folder=folder,
                jobs=jobs,
                level=level,
                dask=dask,
                store=store,
                started=started,
                finished=lambda row: bar.advance(task),
            )
        except KeyboardInterrupt:
            raise fail("stopped: nothing was stored") from None
        finally:
            bar.stop()
    _print_changes(changes, len(rows))
    told = "stored" if store else f"nothing was stored; `minigrad regrade {name} --store` does"
    console.print(Text(told, style="dim"))


@app.command()
def explain(
    student: Annotated[str, typer.Argument(metavar="STUDENT")], name: Name, course: CourseOption = None
) -> None:
    """Show the verdict on one submission: every check and what was seen."""
    with _course(course) as (here, flow):
        rows = {row["student"]: row for row in flow.stored_rows(here, here.require(name))}
        person = here.settings.roster.match(student) if here.settings.roster else None
        student = student if student in rows or person is None else person.id
        if student not in rows:
            raise fail(f"no graded submission of {name} by {student!r}; there are: {', '.join(rows)}")
        print_result(rows[student])
        late = rows[student].get("late", {"days": 0})
        if late["days"]:
            days = f"{late['days']} {'day' if late['days'] == 1 else 'days'} late ({late['free_days']} free)"
            console.print(Text(f"{days}: {late['penalty']:g} points were taken off", style="bold"))


@app.command()
def report(name: Name, course: CourseOption = None) -> None:
    """Write the class report: distribution, hardest checks, most frequent mistakes."""
    from .feedback import class_report
    from .source import write_atomically

    with _course(course) as (here, flow):
        rows = flow.stored_rows(here, here.require(name))
        path = here.root / "reports" / f"{name}.html"
        due = here.settings.plan(name).due
        write_atomically(path, class_report(rows, name, f"due {here.settings.show(due)}" if due else ""))
        console.print(Text(f"report on {len(rows)} students: {path}"))


@app.command()
def feedback(
    name: Name,
    archive: Annotated[
        Path | None,
        typer.Option(
            "--zip",
            metavar="FILE",
            dir_okay=False,
            help="Pack them too, in folders named as those of submitted/, for upload.",
        ),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Write a page for each student, in feedback/."""
    from .feedback import pack, write_feedback

    with _course(course) as (here, flow):
        rows = [row for row in flow.stored_rows(here, here.require(name)) if row["status"] != "missing"]
        paths = write_feedback(rows, here.root / "feedback")
        console.print(Text(f"{len(paths)} pages in {here.root / 'feedback'}"))
        if archive is not None:
            folders = flow.folders(here, name)
            pack(
                {
                    folders.get(row["student"], row["student"]): path
                    for row, path in zip(rows, paths, strict=True)
                },
                archive,
            )
            console.print(Text(f"packed: {archive}"))


@app.command()
def export(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="An assignment; without it, all of them and the total."),
    ] = None,
    format: Annotated[str, typer.Option(help="csv.")] = "csv",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", dir_okay=False, help="The terminal without it."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Write the scores of a class as a table: of one assignment, or of the course."""
    from .exports import course_csv, to_csv
    from .source import write_atomically

    if format != "csv":
        raise fail(f"--format {format}: there is only csv")
    with _course(course) as (here, flow):
        if name is None:
            weights = {each: here.settings.plan(each).weight for each in here.names()}
            table = course_csv(flow.all_rows(here), weights)
        else:
            table = to_csv(flow.stored_rows(here, here.require(name)))
        if output is None:
            sys.stdout.write(table)
        else:
            write_atomically(output, table)
            console.print(Text(f"written: {output}"))


@app.command()
def solutions(name: Name, course: CourseOption = None) -> None:
    """Publish a solution: run, without hidden tests and marks, as a notebook and as HTML in published/."""
    with _course(course) as (here, flow):
        console.print(Text(f"published: {flow.solutions(here, here.require(name))}"))


@app.command()
def sync(
    name: Name,
    prefer: Annotated[
        str | None,
        typer.Option("--from", metavar="py|ipynb", help="Which of the two is right; the newer without it."),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Make the text of an assignment and its notebook say the same."""
    from . import source

    if prefer not in (None, "py", "ipynb"):
        raise fail(f"--from {prefer}: choose py or ipynb")
    with _course(course) as (here, _):
        folder = here.root / "solutions" / name
        if not folder.is_dir():
            here.require(name)
        console.print(Text(source.sync(folder / f"{name}.py", prefer)))


@app.command()
def doctor(
    course: CourseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """See whether this machine can grade, and whether the course is in order."""
    from .doctor import examine

    findings = examine(course)
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for finding in findings:
            sign = Text("ok", style="green") if finding.ok else Text("look", style="bold red")
            table.add_row(sign, finding.what, Text(clean(finding.seen)))
        console.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@contextmanager
def _course(start: Path | None) -> Iterator[tuple[Any, Any]]:
    """The course, and what can be done with it; what is wrong with it is said in a line."""
    from .course import Course, CourseError
    from .sandbox import SandboxError

    try:
        from . import flow

        yield Course.find(start), flow
    except (CourseError, SandboxError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except ValueError as error:  # a name or a source that cannot be used: the message is for people
        raise fail(str(error)) from None


@contextmanager
def _submissions(path: Path | None, names: list[str]) -> Iterator[Path | None]:
    from .archives import unpacked

    if path is None:
        yield None
    elif path.is_file():
        with unpacked(path, names[0] if len(names) == 1 else "") as folder:
            yield folder
    elif path.is_dir():
        yield path
    else:
        raise fail(f"--submissions {path}: there is no such directory or archive")


def _level(isolation: str | None, trust_students: bool) -> str | None:
    from .sandbox import LEVELS

    if isolation not in (None, *LEVELS[:-1]):
        raise fail(f"--isolation {isolation}: choose one of {', '.join(LEVELS[:-1])}")
    return "none" if trust_students else isolation


def _progress(quiet: bool) -> Progress:
    """A bar while a person watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=quiet)


def _write_json(path: Path | None, rows: list[Row]) -> None:
    from .source import write_atomically

    if path is None:
        return
    levels = sorted({row["isolation"] for row in rows if row["isolation"]})
    text = json.dumps({"isolation": ", ".join(levels), "submissions": rows}, indent=1) + "\n"
    if str(path) == "-":
        print(text, end="")
        return
    try:
        write_atomically(path, text)
    except OSError as error:
        raise fail(f"--json {path}: {error.strerror}") from None


def _print_table(rows: list[Row]) -> None:
    several = len({row["assignment"] for row in rows}) > 1
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in [
        "student",
        *(["assignment"] if several else []),
        "status",
        "score",
        "seconds",
        "most telling",
    ]:
        table.add_column(title, justify="right" if title in ("score", "seconds") else "left")
    for row in rows:
        cells = [Text(clean(row["student"], 40)), *([Text(row["assignment"])] if several else [])]
        status = Text(row["status"], style="" if row["status"] == "graded" else "bold red")
        score = Text(f"{row['score']:g} / {row['max_score']:g}")
        table.add_row(*cells, status, score, f"{row['seconds']:.2f}", Text(clean(_telling(row), 90)))
    console.print(table)
    levels = sorted({row["isolation"] for row in rows if row["isolation"]})
    console.print(Text(f"isolation: {', '.join(levels)}", style="dim"))


def _print_changes(changes: list[Any], graded: int) -> None:
    """Who changes, and below each the exercises and checks, with why."""
    for change in changes:
        before = "not graded" if change.before is None else f"{change.before:g}"
        console.print(Text(f"{clean(change.student, 40)}: {before} -> {change.after:g}", style="bold"))
        for exercise in change.exercises:
            was = "none" if exercise.before is None else f"{exercise.before:g}"
            name = exercise.grade_id.removeprefix("check_")
            console.print(Text(f"  {clean(name, 80)}: {was} -> {exercise.after:g}; {exercise.why}"))
            for check in exercise.checks:
                seen = f": {clean(check.message, 90)}" if check.message and check.after != "passed" else ""
                console.print(Text(f"    {clean(check.check, 80)}: {check.before} -> {check.after}{seen}"))
    moved = [change.after - change.before for change in changes if change.before is not None]
    up, down = sum(by > 0 for by in moved), sum(by < 0 for by in moved)
    console.print(Text(f"{len(changes)} of {graded} change: {up} get more, {down} get less"))


def _telling(row: Row) -> str:
    """What an instructor would want to know first: the note, or the first thing that went wrong."""
    if row["status"] != "graded":
        return row["notes"][0] if row["notes"] else ""
    for exercise in row["exercises"]:
        for finding in exercise["findings"]:
            if finding["outcome"] not in ("passed", "not run"):
                what = finding["misconception"] or finding["message"]
                return f"{exercise['grade_id'].removeprefix('check_')}: {what}"
    return row["notes"][0] if row["notes"] else ""


if __name__ == "__main__":
    app()
