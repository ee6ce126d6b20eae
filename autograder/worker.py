"""The process in which student code runs. Started by `sandbox.py`, as a script, never imported.

It starts as a *zygote*: a process that has loaded numpy and the student view, holds nothing worth stealing
and runs no student code itself. For each submission it forks; the child takes its own namespaces, gives up
every right, and then serves the requests of one connection (`servant.Servant`).

    python -I -S worker.py '{"level": ..., "view": ..., ...}' HIDDEN...

Descriptor 0 is the control socket: a token of 8 bytes with one descriptor attached asks for a child that
serves that descriptor; the answer is the token and the child's process id. End of file ends the zygote and
all its children.
"""

import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import struct
import sys
import types
from pathlib import Path

CONTROL = 0


def main(config: dict) -> None:
    """Load everything, put up the walls, serve until the control socket closes."""
    servant, isolation = _load(config)
    if isolation is not None:
        config["memory"] += isolation.memory_in_use()
        os.environ.update(HOME=isolation.SCRATCH, TMPDIR=isolation.SCRATCH)
    if config["level"] == "namespaces":
        isolation.enter_own_root(config["staging"], config["visible"], config["hidden"])
    _silence()
    gc.collect()
    gc.freeze()  # keep the collector from touching, and so copying, every page after each fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    if isolation is not None:
        isolation.die_with_parent()
    control = socket.socket(fileno=CONTROL)
    control.sendall(b"ready")
    while True:
        token, descriptors, _, _ = socket.recv_fds(control, 8, 1)
        if not token:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            try:
                _child(descriptors[0], config, servant, isolation)
            finally:
                os._exit(0)
        os.close(descriptors[0])
        control.sendall(token + struct.pack(">Q", pid))


def _load(config: dict) -> tuple:
    """Import what student code may need; afterwards the names of this project mean stubs and the view."""
    package = types.ModuleType("boundary")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.path[:0] = config["paths"]
    sys.modules["boundary"] = package
    servant = importlib.import_module("boundary.servant")
    isolation = importlib.import_module("boundary.isolation") if config["level"] != "none" else None
    stubs = importlib.import_module("boundary.stubs")
    package.__path__ = []
    sys.path.insert(0, config["view"])
    for name in config["preload"]:
        importlib.import_module(name)
    for module in pkgutil.walk_packages([config["view"]]):  # all of it: its files are out of reach later
        importlib.import_module(module.name)
    if stored := sys.modules.get("minigrad._stored"):
        for path in Path(config["view"]).rglob("*.npz"):
            stored.arrays(path)  # and so are its data
    if config["level"] == "seccomp" and "matplotlib.pyplot" in config["preload"]:
        _draw_without_files()
    stubs.install()
    for path in config["hidden"]:  # "no such module" is what code that can do without one expects to hear
        sys.modules.setdefault(os.path.basename(path), None)  # type: ignore[arg-type]
    return servant, isolation


def _draw_without_files() -> None:
    """Load all that drawing takes, with one font that stays in memory: of student code nobody looks at the pictures.

    Matplotlib forgets its fonts at each fork, and looks for the file again whenever a size is new. Formulas have
    fonts of their own, and are drawn as the text that they are.
    """
    import matplotlib
    from matplotlib import font_manager, ft2font, pyplot

    matplotlib.rcParams["text.parse_math"] = matplotlib.rcParamsDefault["text.parse_math"] = False
    path = font_manager.findfont("DejaVu Sans")
    data = Path(path).read_bytes()
    font_manager.FontManager._findfont_cached = lambda *_, **__: path  # type: ignore[attr-defined]
    font_manager._get_font = lambda *_, **__: ft2font.FT2Font(io.BytesIO(data))  # type: ignore[attr-defined]
    pyplot.plot([0, 1])
    pyplot.savefig(io.BytesIO())
    pyplot.close("all")


def _silence() -> None:
    """Send what student code prints to nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)


def _child(
    descriptor: int, config: dict, servant: types.ModuleType, isolation: types.ModuleType | None
) -> None:
    """Become the process that serves one submission."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if isolation is not None:
        isolation.die_with_parent()
    connection = socket.socket(fileno=os.dup2(descriptor, 3))
    _silence()  # of its own: what one process sets on an inherited descriptor, the next one would see
    os.dup2(1, 0)
    os.closerange(4, 1 << 16)
    try:
        if not _wall_in(connection, config, isolation):
            return
    except OSError as error:
        _send(connection, b"E", str(error).encode())
        return
    serve(connection, servant)


def _wall_in(connection: socket.socket, config: dict, isolation: types.ModuleType | None) -> bool:
    """Give up every right; False in the process that only waits for the one that serves."""
    if isolation is None:
        return True
    if config["level"] == "namespaces":
        isolation.enter_own_namespaces()
        pid = os.fork()  # a process namespace begins with the next child
        if pid:
            connection.close()
            os.waitpid(pid, 0)
            return False
        isolation.die_with_parent()
        isolation.mount_scratch()
    isolation.drop_privileges()
    if config["level"] != "namespaces":
        os.chdir("/")
    if config["level"] == "landlock":
        isolation.restrict_files(config["visible"], config["hidden"])
    isolation.limit_resources(config["memory"], config["cpu_seconds"])
    isolation.filter_system_calls(files=config["level"] != "seccomp")
    return True


def _send(connection: socket.socket, letter: bytes, data: bytes) -> None:
    connection.sendall(struct.pack(">Q", len(data) + 1) + letter + data)


def serve(connection: socket.socket, servant: types.ModuleType) -> None:
    """Answer requests until the other side hangs up.

    A frame is 8 bytes of length, one letter, and the message. The other side sends ``Q`` (a request) and
    ``A`` (the answer to a callback); this side sends ``R`` (a reply) and ``C`` (a callback), and once ``!``
    (ready) or ``E`` (the walls could not be put up, and why). A request begins with 8 bytes that its reply
    repeats, so that a reply too many is not taken for that of the next request.
    """

    def receive(count: int) -> bytes:
        parts = []
        while count:
            part = connection.recv(min(count, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def frame() -> tuple[bytes, bytes]:
        (size,) = struct.unpack(">Q", receive(8))
        data = receive(size)
        return data[:1], data[1:]

    send = functools.partial(_send, connection)

    def ask(data: bytes) -> bytes:
        send(b"C", data)
        while True:
            letter, message = frame()
            if letter == b"A":
                return message
            reply(message)  # a callback may call another of the student's functions

    def reply(request: bytes) -> None:
        send(b"R", request[:8] + worker.answer(request[8:]))

    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    worker = servant.Servant(module.__dict__, ask)
    send(b"!", b"")
    while True:
        reply(frame()[1])


if __name__ == "__main__":
    main({**json.loads(sys.argv[1]), "hidden": sys.argv[2:]})
