"""Seconds and peak memory of a command, together with everything that it starts."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

INTERVAL = 0.05  # seconds between two looks, or more:
SHARE = 0.05  # of a core, at most, for looking
PR_SET_CHILD_SUBREAPER = 36


def peak_memory(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[float, int]:
    """Run a command to its end. A failure ends the benchmark, with what the command said.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Where it runs.
    environment : mapping, optional
        In place of this process's own.

    Returns
    -------
    seconds : float
        From its start until it has ended.
    peak : int
        The most bytes that it and its descendants held at one look, of some twenty a second to some five where
        there are many of them. Pages that processes share are counted once.

    Notes
    -----
    Parents are followed, and not sessions, groups or an environment marker: kernels and sandboxes get their own.
    While this process is a subreaper, a descendant whose parent has died becomes its child, and stays in the tree.
    So only one command can be measured at a time.
    """
    _adopt_orphans(True)
    others, peak, pause = _descendants(os.getpid()), 0, 0.0
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        exited = os.pidfd_open(process.pid)
        try:
            while not select.select([exited], [], [], pause)[0]:
                before = time.process_time()
                peak = max(peak, sum(map(_held, _descendants(os.getpid()) - others)))
                pause = max(INTERVAL, (time.process_time() - before) / SHARE)
            seconds = time.perf_counter() - started
        finally:
            os.close(exited)
            for left in _descendants(os.getpid()) - others - {process.pid}:
                with contextlib.suppress(
                    ProcessLookupError, ChildProcessError
                ):  # the second: not yet an orphan
                    os.kill(left, signal.SIGKILL)
                    os.waitpid(left, 0)
            _adopt_orphans(False)
        if process.wait():
            said.seek(max(0, said.tell() - 4000))
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode(errors='replace')}")
    return seconds, peak


def _adopt_orphans(yes: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _descendants(root: int) -> set[int]:
    """The numbers of all processes below one, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                stat = file.read()
        except OSError:  # it has ended since the directory was read
            continue
        parent = int(stat.rpartition(b")")[2].split()[1])  # the name before it may hold spaces and brackets
        children.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def _held(pid: int) -> int:
    """Bytes of a process: its proportional set size, in which a page that n processes share counts 1/n to each.

    That is for who may trace it. Of one that is closed to others, such as a sandbox for an ordinary user, the resident
    set size: shared pages count in full there, so it is an upper bound.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                return 1024 * int(file.read().partition(b"\nPss:")[2].split()[0])
        except PermissionError:
            with open(f"/proc/{pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
