"""How well the grader tells right from wrong: `make bench-recognition` writes docs/recognition.md.

Three questions. Does every entry of every bank of misconceptions lose points, and is it named? Does every honest
variant of `tests/ways` get all points? And of the reference functions with one small change in
their source, how many lose points?
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two processes share the machine

import argparse
import ast
import contextlib
import functools
import io
import signal
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from IPython.core.inputtransformer2 import TransformerManager
from mutants import mutants
from page import write
from survivors import EQUIVALENT

from autograder.checking import check_sheet
from autograder.exercises import assignments, find, full_sheet
from autograder.notebook import tags
from autograder.report import Report
from autograder.session import LocalSession

ROOT = Path(__file__).resolve().parents[1]
HIDDEN_SEED = 1
PER_FUNCTION = 40  # mutants of one function, drawn from a fixed seed
PATIENCE = 20  # seconds; a mutant that takes longer would have lost its points to the time limit


@dataclass(frozen=True)
class Trial:
    """One mutant, and what became of it."""

    assignment: str
    exercise: str  # the graded function
    function: str  # the one that was changed
    line: str
    change: str
    outcome: str  # "lost", "survived" or "none": it does not even run


def verdict(exercise: str, namespace: dict[str, Any]) -> Report:
    """The full check of a namespace."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return check_sheet(LocalSession(namespace), full_sheet(exercise, HIDDEN_SEED))


@functools.cache
def solved(assignment: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The names that a solution notebook defines, and for each function the cell that does."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells: dict[str, str] = {}
    notebook = nbformat.read(ROOT / "solutions" / assignment / f"{assignment}.ipynb", as_version=4)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for cell in notebook.cells:
            if cell.cell_type == "code" and {"setup", "solution"} & set(tags(cell)):
                code = TransformerManager().transform_cell(cell.source)
                exec(compile(code, f"<{cell.id}>", "exec"), names)
                cells |= {
                    node.name: code for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)
                }
    return names, cells


def mutated(job: tuple[str, str]) -> list[Trial]:
    """Trials of the mutants of one graded function; each exercise that calls it may be the one to notice."""
    assignment, function = job
    names, cells = solved(assignment)
    every = list(mutants(cells[function], function, names))
    rng = np.random.default_rng(0)
    chosen = [every[i] for i in sorted(rng.permutation(len(every))[:PER_FUNCTION])]
    asked = [name for name, e in assignments()[assignment].items() if function in e.reference]
    trials = []
    for mutant in chosen:
        outcome = timed(lambda m=mutant: all_right(asked, m.build()))
        trials.append(Trial(assignment, function, mutant.function, mutant.line, mutant.change, outcome))
    return trials


def all_right(exercises: list[str], namespace: dict[str, Any]) -> bool:
    """Whether every exercise gets all points."""
    return all((report := verdict(name, dict(namespace))).score == report.points for name in exercises)


def timed(passes: Callable[[], bool]) -> str:
    def give_up(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        return "survived" if passes() else "lost"
    except TimeoutError:
        return "lost"
    except Exception:  # it does not even compile or import
        return "none"
    finally:
        signal.alarm(0)


def banks() -> tuple[list[tuple[str, str]], int]:
    """Entries of banks that keep their points or are not named, and how many entries there are."""
    wrong, count = [], 0
    for group in assignments().values():
        right = {key: value for e in group.values() for key, value in e.reference.items()}
        for name, exercise in group.items():
            for mistake in exercise.misconceptions:
                count += 1
                report = verdict(name, right | dict(exercise.reference) | dict(mistake.functions))
                named = [f.misconception for f in report.findings if f.misconception]
                if report.score == report.points or named[:1] != [mistake.id]:
                    wrong.append((name, mistake.id))
    return wrong, count


def variants() -> tuple[list[str], int]:
    """Honest variants that lose points, and how many there are."""
    sys.path.insert(0, str(ROOT / "tests"))
    from test_honest_variants import HONEST

    wrong, count = [], 0
    for group in HONEST.values():
        for name, text in group:
            count += 1
            namespace = {"np": np, **find(name).reference}
            exec(compile(text, f"<{name}>", "exec"), namespace)
            report = verdict(name, namespace)
            if report.score != report.points:
                wrong.append(f"{name}: {text.strip().splitlines()[0]}")
    return wrong, count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="exercises with this in their name; writes nothing")
    arguments = parser.parse_args()
    jobs = [
        (assignment, function)
        for assignment, group in assignments().items()
        if (ROOT / "solutions" / assignment / f"{assignment}.ipynb").is_file()
        for name, exercise in group.items()
        for function in exercise.grades
        if callable(exercise.reference.get(function)) and arguments.only in name
    ]
    begin = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        trials = [trial for found in pool.map(mutated, jobs) for trial in found if trial.outcome != "none"]
    survivors = [t for t in trials if t.outcome == "survived"]
    same = [t for t in survivors if (t.function, t.line, t.change) in EQUIVALENT]
    missed = [t for t in survivors if t not in same]
    counted = len(trials) - len(same)
    print(
        f"{len(trials)} mutants of {len(jobs)} functions, {len(same)} of them equivalent, {len(missed)} missed:"
    )
    print(
        f"{(counted - len(missed)) / max(counted, 1):.1%} lose points, in {time.perf_counter() - begin:.0f} s"
    )
    for t in missed:
        print(f"  {t.exercise} | {t.function} | {t.line} | {t.change}")
    if arguments.only:
        return
    unnamed, entries = banks()
    punished, honest = variants()
    print(f"{entries} entries of banks, {len(unnamed)} not named or without loss: {unnamed}")
    print(f"{honest} honest variants, {len(punished)} lose points: {punished}")
    counts = [
        "| what | how many | as it should be |",
        "|---|--:|--:|",
        f"| plausible wrong answers in the banks: lose points, and are named | {entries} | {entries - len(unnamed)} |",
        f"| right answers written in other ways: get all points | {honest} | {honest - len(punished)} |",
        f"| solutions with one small change: lose points | {counted} | {counted - len(missed)} |",
    ]
    write("make bench-recognition", counts)
    lines = [
        "# Right and wrong, told apart",
        "",
        "Written by `make bench-recognition`, from fixed seeds. The checks are the grader's, hidden cases included.",
        "",
        *counts,
        "",
        f"The changes: an operator, a comparison, a constant, an axis, a dropped term, a swapped argument; at most "
        f"{PER_FUNCTION} in each of {len(jobs)} functions of the solutions. {len(trials)} of them run; {len(same)} are "
        f"no mistakes, for the reasons below.",
        "",
        "| function | statement | change | why it is no mistake |",
        "|---|---|---|---|",
        *(row(t, EQUIVALENT[t.function, t.line, t.change]) for t in same),
    ]
    if missed:
        lines += [
            "",
            "Not noticed:",
            "",
            "| function | statement | change |",
            "|---|---|---|",
            *map(row, missed),
        ]
    (ROOT / "docs" / "recognition.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def row(trial: Trial, *more: str) -> str:
    """One row of a table; a bar inside a cell would end it."""
    cells = [f"`{trial.function}`", f"`{trial.line}`", f"`{trial.change}`", *more]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    main()
