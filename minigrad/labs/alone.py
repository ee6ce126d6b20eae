"""One lab in a notebook of its own, with the functions that a student has written so far.

The command `minigrad lab` uses this.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import minigrad.labs

__all__ = ["assignment_of", "lab_notebook", "labs"]

_NOT_THEIRS = {"check", "experiment", "lab"}  # tags of cells that are given and define nothing


def labs() -> dict[str, str]:
    """Return the labs by name, each with the first line of what it says about itself.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> "gradient_checking" in labs()
    True
    """
    found = {}
    for info in pkgutil.iter_modules(minigrad.labs.__path__):
        module = importlib.import_module(f"minigrad.labs.{info.name}")
        if hasattr(module, "PARAMETERS"):
            found[info.name] = (module.__doc__ or "").partition("\n")[0]
    return found


def assignment_of(name: str, folder: Path) -> Path | None:
    """Find the notebook that a lab belongs to: one named NN_something.ipynb that explores it.

    Parameters
    ----------
    name : str
        Of the lab.
    folder : Path
        Where to look.

    Returns
    -------
    Path or None
    """
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        try:
            cells = _code_cells(path)
        except (OSError, ValueError):
            continue  # not a notebook: then not the one that is looked for
        if any(re.search(rf"\bexplore\(\s*{name}\b", source) for source, _ in cells):
            return path
    return None


def lab_notebook(name: str, path: Path | None) -> str:
    """Write a notebook with one cell, which shows one lab.

    Parameters
    ----------
    name : str
        Of the lab.
    path : Path, optional
        A notebook with the student's functions. Those that the lab runs are copied, with what they use. For a
        function that is not written there, the library's own stands in.

    Returns
    -------
    str
        The contents of the notebook's file.

    Raises
    ------
    OSError, ValueError
        If `path` cannot be read, or is not a notebook.
    """
    required = importlib.import_module(f"minigrad.labs.{name}").REQUIRES
    statements = list(_statements(path)) if path else []
    written = [function for function in required if _is_written(function, statements)]
    arguments = "".join(f", {function}={function}" for function in written)
    source = "\n".join(
        [
            "# Run this cell: click here and press Shift+Enter.",
            f"from minigrad.labs import {name}",
            "from minigrad.labs.explore import explore",
            *_needed(written, statements),
            "",
            f"explore({name}{arguments})",
        ]
    )
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": "lab",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1)


Statement = tuple[ast.stmt, str]
"""A statement at the top level of a cell, and its text."""


def _code_cells(path: Path) -> list[tuple[str, set[str]]]:
    """The code cells of a notebook: source and tags."""
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return [
            ("".join(cell["source"]), set(cell["metadata"].get("tags", [])))
            for cell in content["cells"]
            if cell["cell_type"] == "code"
        ]
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path} is not a notebook") from None


def _statements(path: Path) -> Iterator[Statement]:
    """What the setup cells and the student's own cells say, without the cells that are no Python yet."""
    for source, tags in _code_cells(path):
        if tags & _NOT_THEIRS:
            continue
        lines = source.splitlines()
        plain = ["" if line.startswith(("%", "!")) else line for line in lines]
        try:
            tree = ast.parse("\n".join(plain))
        except SyntaxError:
            continue
        for statement in tree.body:
            first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
            yield statement, "\n".join(plain[first - 1 : statement.end_lineno])


def _is_written(name: str, statements: Iterable[Statement]) -> bool:
    """Whether a name is bound, and last to something other than a stub."""
    last = None
    for statement, _ in statements:
        if name in _bound(statement):
            last = statement
    return last is not None and not (
        isinstance(last, ast.FunctionDef) and "NotImplementedError" in _used(last)
    )


def _needed(names: Iterable[str], statements: list[Statement]) -> list[str]:
    """The texts of the statements that bind these names or what those use, in their order."""
    wanted, chosen = set(names), set[int]()
    before = -1
    while len(chosen) > before:
        before = len(chosen)
        for position, (statement, _) in enumerate(statements):
            if wanted & _bound(statement):
                chosen.add(position)
                wanted |= _used(statement)
    texts = [statements[position][1] for position in sorted(chosen)]
    return [f"\n\n{text}\n" if "\n" in text else text for text in texts]


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a meaning to."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _used(statement: ast.stmt) -> set[str]:
    """The names that occur in a statement."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
