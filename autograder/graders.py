"""Processes that grade, one submission at a time each.

They are single-threaded, so that they may fork, and nothing that ends one of them costs more than the submission it
was at. The same class serves the threads of `minigrad grade` and those of a worker on a Dask cluster, whose own
process has threads and must not be one that a submission can kill.

    python -m autograder.graders DESCRIPTOR
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

from .task import Graded, Setup, Task, failed, grade


class GraderEnded(RuntimeError):
    """A process that grades was killed while it did."""


class _Grader:
    """One such process: a fork of this one, which shares its sandboxes and sheets, or a new one."""

    def __init__(self, setup: Setup, fork: bool):
        self._connection, theirs = multiprocessing.Pipe()
        self._process: ForkProcess | subprocess.Popen
        if fork:
            self._process = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs, setup))
            self._process.start()
        else:  # `multiprocessing` starts none in a worker of Dask, which is a daemon to it
            self._process = _start(theirs.fileno())
            with contextlib.suppress(OSError):  # it has ended already, which `grade` finds out
                self._connection.send(setup)
        theirs.close()

    def grade(self, task: Task) -> Graded:
        try:
            self._connection.send(task)
            return self._connection.recv()
        except (EOFError, OSError):
            raise GraderEnded from None

    def end(self) -> None:
        """Kill the process; whoever waits for its answer hears of that."""
        self._process.kill()
        if isinstance(self._process, subprocess.Popen):
            self._process.wait()
        else:
            self._process.join()


class Graders:
    """As many processes that grade as there are threads that ask.

    Parameters
    ----------
    setup : Setup
        What they have to know.
    forked : int
        How many to fork at once. Only a process without threads may be forked; others are started when asked for.
    """

    def __init__(self, setup: Setup, forked: int = 0):
        self.setup = setup
        self._all: list[_Grader] = []
        self._closed = False
        for _ in range(forked):
            self._all.append(_Grader(setup, fork=True))
        self._idle = deque(self._all)

    def __reduce__(self) -> tuple[Any, ...]:
        return Graders, (self.setup,)  # on another machine, processes of its own

    def grade(self, task: Task) -> Graded:
        """Grade a submission in one of the processes; twice, if the first is killed, and a row says so after that."""
        for _ in range(2):
            try:
                grader = self._idle.pop()
            except IndexError:
                grader = _Grader(self.setup, fork=False)
                self._all.append(grader)
            try:
                graded = grader.grade(task)
            except GraderEnded:
                if self._closed:
                    raise
                grader.end()
                continue
            self._idle.append(grader)
            return graded
        reason = "the process that graded it was killed, twice; grade it by hand"
        return failed(self.setup, task, reason)

    def close(self) -> None:
        """End all processes, also those that are grading."""
        self._closed = True
        for grader in self._all:
            grader.end()

    def __del__(self) -> None:  # on a cluster nobody calls close: the object goes when the run has gone
        self.close()


def _start(descriptor: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )


def _serve(connection: Connection, setup: Setup) -> None:
    """Grade what comes in until the other side hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that holds the gradebook
    if sys.platform == "linux":
        from . import isolation

        isolation.die_with_parent()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(grade(setup, connection.recv()))


if __name__ == "__main__":
    connection = Connection(int(sys.argv[1]))
    _serve(connection, connection.recv())
