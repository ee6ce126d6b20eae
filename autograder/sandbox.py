"""Start sandboxes and talk to the student code in them.

A `Sandbox` is one zygote (`worker.py`) for one student view; `session()` gives a fresh process with the
namespace of one notebook, in a few milliseconds. Deadlines are kept on this side: a process that does not
answer in time is killed, and everything in it with it.
"""

import contextlib
import importlib.util
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from importlib import metadata
from pathlib import Path

from . import wire
from .session import Problem, Session

LEVELS = ("namespaces", "landlock", "seccomp", "none")  # from the strongest to none at all
MEMORY = 1 << 30  # bytes, on top of what Python and numpy take
CPU_SECONDS = 150  # processor time of one submission
GRACE = 1.0  # seconds between asking student code to stop and ending it
START = 60.0  # seconds that loading numpy may take on a busy machine
PRELOAD = ("numpy", "numpy.random", "matplotlib.pyplot")
# What else honest notebooks import, for the level at which nothing can be imported later.
PRELOAD_MORE = (
    "numpy.char numpy.fft numpy.lib.recfunctions numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial"
    " numpy.rec numpy.strings numpy.testing numpy.typing matplotlib.animation abc argparse array bisect cmath"
    " collections.abc concurrent.futures contextlib copy cProfile csv dataclasses datetime decimal doctest enum"
    " fractions functools glob hashlib heapq inspect io itertools json logging math multiprocessing numbers operator"
    " pathlib pdb pickle platform pprint queue random re secrets shutil statistics string subprocess tempfile textwrap"
    " threading time timeit traceback tracemalloc types typing unittest uuid warnings weakref zipfile"
).split()


class SandboxError(RuntimeError):
    """No sandbox of the level that was asked for can be had here."""


class Sandbox:
    """A process that holds numpy and a student view, ready to fork one child a submission.

    Parameters
    ----------
    view : Path
        Directory with the `minigrad` package as students may see it.
    level : str, optional
        One of `LEVELS`. Without it, the strongest that this machine allows; ``"none"`` has to be asked for,
        because it protects nothing.
    private : iterable of Path, optional
        Directories that student code must not see even if they lie below Python's own.

    Raises
    ------
    SandboxError
        If the level (or, without one, any safe level) cannot be had. The message says why.
    """

    def __init__(self, view: Path, level: str | None = None, private: tuple[Path, ...] = ()):
        if level is not None and level not in LEVELS:
            raise ValueError(f"isolation level {level!r}: choose one of {', '.join(LEVELS)}")
        reasons = []
        for candidate in [level] if level else LEVELS[:-1]:
            try:
                self._start(view, candidate, private)
                self.level = candidate
                return
            except SandboxError as error:
                reasons.append(f"{candidate}: {error}")
        raise SandboxError(
            "student code cannot be isolated on this machine (" + "; ".join(reasons) + "). "
            "Grade on Linux with user namespaces, Landlock or seccomp, or pass --trust-students to run it unprotected."
        )

    def _start(self, view: Path, level: str, private: tuple[Path, ...]) -> None:
        if not hasattr(os, "fork") or (level != "none" and sys.platform != "linux"):
            raise SandboxError(f"not available on {sys.platform}")
        self._staging = tempfile.mkdtemp(prefix="minigrad-")
        paths = _library_paths()
        preload = [*PRELOAD, *(PRELOAD_MORE if level == "seccomp" else ())]
        config = {
            "level": level,
            "view": str(view),
            "paths": paths,
            "staging": self._staging,
            "visible": [*_system_paths(), *paths],
            "preload": [name for name in preload if importlib.util.find_spec(name.partition(".")[0])],
            "memory": MEMORY,
            "cpu_seconds": CPU_SECONDS,
        }
        hidden = [os.path.join(path, name) for path in paths for name in ("minigrad", "autograder")]
        hidden += [*_other_packages(), *(str(path.resolve()) for path in private)]
        self._turn = tempfile.TemporaryFile()  # noqa: SIM115  (it lasts as long as the sandbox)
        self._control, theirs = socket.socketpair()
        script = Path(__file__).with_name("worker.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(script), json.dumps(config), *hidden],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the grader, which then ends its children in order
        )
        theirs.close()
        self._control.settimeout(START)
        try:
            greeting = self._control.recv(16)
        except TimeoutError:
            greeting = b""
        if greeting != b"ready":
            self._process.kill()
            stderr = self._process.communicate()[1].decode(errors="replace").strip()
            self.close()
            raise SandboxError(stderr.splitlines()[-1] if stderr else "the process did not start")
        os.rmdir(self._staging)  # nothing is left to see of it on this side
        try:
            self.session().close()  # the walls of a child are its own: see whether they stand
        except SandboxError:
            self.close()
            raise

    def session(self) -> "RemoteSession":
        """Start a process for one submission; close it when done."""
        ours, theirs = socket.socketpair()
        try:
            pid = self._fork(theirs)
        except (OSError, struct.error) as error:
            ours.close()
            raise SandboxError(f"the sandbox ended unexpectedly: {error}") from None
        finally:
            theirs.close()
        return RemoteSession(ours, pid)

    def _fork(self, connection: socket.socket) -> int:
        """Ask for a child. Forked graders share this sandbox, so it is one at a time.

        A record lock goes with the process that holds it, and the token tells an answer to this process from
        one that was meant for a grader that was killed while it waited.
        """
        import fcntl  # not on every system, and this module is

        token = os.urandom(8)
        fcntl.lockf(self._turn, fcntl.LOCK_EX)
        try:
            socket.send_fds(self._control, [token], [connection.fileno()])
            while True:
                answer = self._control.recv(16, socket.MSG_WAITALL)
                echo, pid = struct.unpack(">8sQ", answer)
                if echo == token:
                    return pid
        finally:
            fcntl.lockf(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """End the sandbox and every process in it."""
        self._turn.close()
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        with contextlib.suppress(OSError):
            os.rmdir(self._staging)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


class RemoteSession(Session):
    """A session with a process that another one started; `alive` until it is closed, dies or is killed."""

    def __init__(self, connection: socket.socket, pid: int):
        super().__init__()
        self._connection = connection
        self._connection.setblocking(False)
        self._pid, self._pidfd = pid, None
        if hasattr(os, "pidfd_open"):  # a number may come to mean another process; this may not
            with contextlib.suppress(OSError):  # it is gone already
                self._pidfd = os.pidfd_open(pid)
        self.alive = True
        frame = self._receive(time.monotonic() + START)
        if isinstance(frame, Problem) or frame[0] != b"!":
            self.close()
            reason = str(frame) if isinstance(frame, Problem) else frame[1].decode(errors="replace")
            raise SandboxError(f"the process for a submission did not start: {reason}")

    def _exchange(self, request: bytes, seconds: float | None) -> bytes | Problem:
        deadline = min(time.monotonic() + (seconds if seconds is not None else 10.0), self.until) + GRACE
        number = os.urandom(8)
        problem = self._send(b"Q", number + request, deadline)
        while problem is None:
            frame = self._receive(deadline)
            if isinstance(frame, Problem):
                problem = frame
            elif frame[0] == b"R":
                if frame[1][:8] == number:
                    return frame[1][
                        8:
                    ]  # any other is a second reply to an earlier request: student code wrote it
            elif frame[0] == b"C":
                problem = self._send(b"A", self._answer_callback(frame[1]), deadline)
            else:
                problem = Problem("died", "", "its process sent something that makes no sense")
        self.close()
        return problem

    def _send(self, letter: bytes, data: bytes, deadline: float) -> Problem | None:
        view = memoryview(struct.pack(">Q", len(data) + 1) + letter + data)
        while view:
            if not self.alive:
                return Problem("died", "", "its process had ended")
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [self._connection], [], left)[1]:
                return Problem("timed out", "", "it did not finish in time")
            try:
                view = view[self._connection.send(view) :]
            except OSError:
                return Problem("died", "", "its process ended")
        return None

    def _receive(self, deadline: float) -> tuple[bytes, bytes] | Problem:
        data, needed = bytearray(), 8
        while len(data) < needed:
            left = deadline - time.monotonic()
            if not self.alive:
                return Problem("died", "", "its process had ended")
            if left <= 0 or not select.select([self._connection], [], [], left)[0]:
                return Problem("timed out", "", "it did not finish in time")
            try:
                part = self._connection.recv(min(needed - len(data), 1 << 20))
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if not part:
                return Problem(
                    "died", "", "its process ended (it called exit, crashed, or ran out of memory)"
                )
            data += part
            if len(data) == 8 and needed == 8:
                (size,) = struct.unpack(">Q", data)
                if not 1 <= size <= wire.MAX_BYTES + 1:
                    return Problem("died", "", "its process sent something that makes no sense")
                needed = 8 + size
        return bytes(data[8:9]), bytes(data[9:])

    def close(self) -> None:
        """End the process and everything in it."""
        if not self.alive:
            return
        self.alive = False
        self._connection.close()
        with contextlib.suppress(OSError):
            if not hasattr(os, "pidfd_open"):
                os.kill(self._pid, signal.SIGKILL)
            elif self._pidfd is not None:
                try:
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                finally:
                    os.close(self._pidfd)

    def __enter__(self) -> "RemoteSession":
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def _library_paths() -> list[str]:
    """Directories from which student code may import: those of numpy, matplotlib and their company."""
    paths = [sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    for name in ("numpy", "matplotlib"):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            paths.append(str(Path(spec.origin).parent.parent))
    return list(dict.fromkeys(os.path.realpath(path) for path in paths))


def _other_packages() -> list[str]:
    """Installed packages that numpy and matplotlib do not need: PyTorch, say, would be a gradient for everything."""
    needed: set[str] = set()
    left = ["numpy", "matplotlib"]
    while left:
        with contextlib.suppress(metadata.PackageNotFoundError):
            package = metadata.distribution(left.pop())
            files = {file.parts[0] for file in package.files or ()}
            if not files <= needed:
                needed |= files
                wanted = [line for line in package.requires or () if "extra" not in line]
                left += [re.split(r"[^\w.-]", line)[0] for line in wanted]
    if "numpy" not in needed:  # installed in a way that does not say what belongs to it
        return []
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}  # a virtual environment is made from it
    folders = {
        sysconfig.get_path(key, vars=where) for key in ("purelib", "platlib") for where in (None, base)
    }
    folders.add("/usr/lib/python3/dist-packages")  # what Debian's own Python has, whichever runs us
    entries = [
        entry for path in folders if os.path.isdir(path) for entry in os.scandir(os.path.realpath(path))
    ]
    return [entry.path for entry in entries if entry.name.isidentifier() and entry.name not in needed]


def _system_paths() -> list[str]:
    """What Python itself needs from the system: shared libraries and a few devices."""
    paths = [
        sys.base_prefix,
        "/usr/lib",
        "/usr/lib64",
        "/usr/share/zoneinfo",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
    ]
    paths += [f"/dev/{name}" for name in ("null", "zero", "random", "urandom")]
    return [path for path in paths if os.path.exists(path)]


def _environment() -> dict[str, str]:
    """Nothing of this process's environment, and one thread for linear algebra."""
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    keep = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "SYSTEMROOT") if key in os.environ}
    return {
        **keep,
        **dict.fromkeys(threads, "1"),
        "MPLBACKEND": "Agg",
        "HOME": os.path.expanduser("~"),  # matplotlib has a list of fonts there and would otherwise make one
        "LC_ALL": "C.UTF-8",
    }
