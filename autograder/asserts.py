"""Run a test cell of plain asserts against a student's functions.

The cell is the instructor's, so it runs on the trusted side; names that it does not define resolve to the
student's. Because what it computes depends on values that a student chose, it runs in a disposable child
process with limits: a value that makes it loop or fill the memory ends the child and nothing else.
"""

import ast
import builtins
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import wire
from .servant import EXCEPTIONS
from .session import Handle, Problem, Session, plain_text

SECONDS = 30.0
MEMORY = 2 << 30


def run_asserts(
    session: Session, code: str, imports: Iterable[str], seconds: float, call_seconds: float
) -> Any:
    """Run a test cell.

    Parameters
    ----------
    session : Session
        Where the student's functions are. It is closed if the cell had to be stopped.
    code : str
        Plain Python.
    imports : iterable of str
        Import statements of the notebook: modules cannot come from the student's side.
    seconds, call_seconds : float
        Time for the whole cell, and for one call of a student's function.

    Returns
    -------
    result : float, None or Problem
        The value of the cell's last expression where it is a number, which is partial credit; None if the
        cell ended well otherwise; a Problem if it did not.
    """
    if not hasattr(os, "fork"):  # a student's own machine: nothing to protect
        return _run(session, code, imports, call_seconds)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            os.close(reader)
            _silence()
            _limit(seconds)
            result = _run(session, code, imports, call_seconds)
            fields = vars(result) if isinstance(result, Problem) else result
            os.write(writer, wire.encode((fields, getattr(session, "alive", True))))
            status = 0
        os._exit(status)
    os.close(writer)
    try:
        data = _read(reader, time.monotonic() + seconds)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    result, alive = wire.decode(data) if data else (None, False)
    close = getattr(session, "close", None)
    if not alive and close is not None:  # it ended in the child, or the conversation was cut in the middle
        close()
    if data:
        return Problem(**result) if isinstance(result, dict) else result
    if data is None:
        return Problem("timed out", "", "the test cell did not finish in time")
    return Problem("died", "", "the test cell was ended: it needed too much memory or time")


def _run(session: Session, code: str, imports: Iterable[str], call_seconds: float) -> Any:
    try:
        namespace = _Namespace(session, call_seconds)
        for statement in imports:
            with contextlib.suppress(Exception):  # what is not installed here cannot be needed here
                exec(statement, namespace)
        tree = ast.parse(code)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(tree, "<test cell>", "exec"), namespace)
            return None
        tree.body.pop()
        exec(compile(tree, "<test cell>", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "<test cell>", "eval"), namespace)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number:
            return None
        return float(value) if np.isfinite(value) else 0.0  # a share that is no number is none of the points
    except (Exception, SystemExit) as error:
        return Problem("raised", type(error).__name__, plain_text(error))


class _Namespace(dict):
    """Globals of a test cell: a name that is not here is looked up on the student's side."""

    def __init__(self, session: Session, call_seconds: float):
        super().__init__(__name__="__test__", __builtins__=builtins)
        self._session, self._seconds = session, call_seconds

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        reply = self._session.get(name)
        if reply.problem:
            raise NameError(f"name {name!r} is not defined")
        if isinstance(reply.value, Handle) and reply.value.callable:
            return _function(self._session, name, self._seconds)
        return reply.value


def _function(session: Session, name: str | Handle, seconds: float) -> Callable:
    """A student's function, to be called from here with copies."""

    def call(*args: Any, **kwargs: Any) -> Any:
        arrays = tuple(i for i, arg in enumerate(args) if isinstance(arg, np.ndarray))
        perturbed = arrays if any(callable(arg) for arg in args) else ()
        reply = session.call(name, args, kwargs, inout=perturbed, seconds=seconds)
        for position, after in reply.after.items():
            _write_back(args[position], after)
        if reply.problem:
            kind = EXCEPTIONS.get(reply.problem.type, RuntimeError)
            raise kind(reply.problem.message)
        return _callables(session, reply.value, seconds)

    return call


def _callables(session: Session, value: Any, seconds: float) -> Any:
    if isinstance(value, Handle) and value.callable:
        return _function(session, value, seconds)
    if isinstance(value, tuple | list):
        return type(value)(_callables(session, item, seconds) for item in value)
    return value


def _write_back(original: Any, after: Any) -> None:
    """Show a caller what a function wrote into a dict or drew from a generator; arrays stay as they are.

    This is how running averages come back in ``bn_param``: keys may be added, and no array changes its shape.
    """
    if isinstance(original, dict) and isinstance(after, dict):
        for key, value in after.items():
            old = original.get(key)
            if isinstance(old, np.ndarray) and np.shape(value) != old.shape:
                continue
            original[key] = value
    elif isinstance(original, np.random.Generator) and isinstance(after, np.random.Generator):
        original.bit_generator.state = after.bit_generator.state


def _silence() -> None:
    """What the cell prints may hold a student's text, and goes nowhere."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (as long as the process)
    for stream in (1, 2):
        os.dup2(sys.stdout.fileno(), stream)


def _limit(seconds: float) -> None:
    import resource

    for which, limit in ((resource.RLIMIT_CPU, int(seconds) + 1), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(which, (limit, limit))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))


def _read(reader: int, deadline: float) -> bytes | None:
    """All that the child wrote, or None if it did not end in time."""
    parts: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
