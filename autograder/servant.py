"""The student's side of the boundary: runs cells and answers calls, one request at a time.

A `Servant` owns the namespace in which a notebook's cells run. It reads a request, does what it says and
returns a reply; a function argument becomes a proxy that asks the other side while the call is under way.
It holds no answer and decides nothing: whatever student code does to it, it can only change what the
student's own functions seem to return. The same class serves inside the sandbox (`worker.py`) and, without
a second process, in a student's own kernel (`session.py`).

Requests, as dicts in the format of `wire`:

``{"op": "run", "source", "cell", "seconds"}``
    Execute a cell.
``{"op": "call", "name", "args", "kwargs", "inout", "keep", "seconds"}``
    Call a function, given by its name or its handle. `inout` lists the positional arguments that a
    callback may see being perturbed; `keep` the outputs that stay here, as handles (a cache: nobody looks
    inside, so it may be anything).
``{"op": "get", "name"}``
    Fetch a value.

A request with ``"forget": True`` is the first after all handles were given up: they are dropped before anything else.

A reply is ``{"value", "after"}`` or ``{"error", "after"}``; `after` holds each argument that changed.
"""

import builtins
import contextlib
import linecache
import signal
import threading
import types
from collections.abc import Callable, Iterator, ValuesView
from typing import Any

from . import wire

Ask = Callable[[bytes], bytes]

MAX_MESSAGE = 500  # characters of an exception's text that are worth reading
# An exception that crosses the boundary keeps its type only if it is one of these. StopIteration is none of them: it
# would end a loop of `map` over a student's function as if all had been well.
EXCEPTIONS = {
    name: getattr(builtins, name)
    for name in (
        "ArithmeticError AssertionError AttributeError EOFError FloatingPointError ImportError IndexError KeyError"
        " LookupError MemoryError NameError NotImplementedError OSError OverflowError PermissionError RecursionError"
        " RuntimeError SyntaxError SystemExit TypeError UnboundLocalError UnicodeError ValueError"
        " ZeroDivisionError"
    ).split()
}


class TimeUp(BaseException):
    """Raised inside student code when its time is over; not an Exception, so that few handlers catch it."""


class _Kept:
    """Marks a value that must stay on this side even if it could be sent."""

    def __init__(self, value: Any):
        self.value = value


class Servant:
    """Run a student's cells and functions on request.

    Parameters
    ----------
    namespace : dict
        Globals of the notebook.
    ask : callable
        Sends a callback request to the other side and returns the answer, both as bytes.
    """

    def __init__(self, namespace: dict[str, Any], ask: Ask):
        self.namespace = namespace
        self.ask = ask
        self.objects: list[Any] = []
        self.sources: dict[str, list[str]] = {}
        self.inout: dict[int, Any] = {}

    def answer(self, request: bytes) -> bytes:
        """Carry out one request and return the reply; student exceptions become part of it."""
        message = wire.decode(request, self._lookup)
        if message.get("forget"):
            self.objects.clear()
        handler = getattr(self, f"_op_{message['op']}")
        reply = handler(message)
        try:
            return wire.encode(reply, self._keep)
        except wire.WireError as error:
            return wire.encode({"error": _error("TypeError", f"the result cannot be checked: {error}")})

    # -- requests

    def _op_run(self, message: dict) -> dict:
        filename = f"<{message['cell']}>"
        self.sources[filename] = message["source"].splitlines()
        try:
            with _deadline(message.get("seconds")):
                code = compile(message["source"], filename, "exec", dont_inherit=True)
                exec(code, self.namespace)
        except BaseException as error:
            return {"error": self._describe(error)}
        return {"value": None}

    def _op_call(self, message: dict) -> dict:
        name = message["name"]
        if isinstance(name, str) and name not in self.namespace:
            return {"error": _error("NameError", f"{name} is not defined", kind="missing")}
        function = self.namespace[name] if isinstance(name, str) else name
        if not callable(function):
            text = f"{name} is a {type(function).__name__}, not a function"
            return {"error": _error("TypeError", text, kind="missing")}
        args, kwargs = message["args"], message.get("kwargs", {})
        outer, self.inout = self.inout, {i: args[i] for i in message.get("inout", ())}
        before = [_snapshot(argument) for argument in args]
        try:
            with _deadline(message.get("seconds")):
                value = function(*args, **kwargs)
                keep = message.get("keep", ())
                # Named tuples, the values of a dict, generators: all are a tuple to whoever unpacks them.
                if isinstance(value, tuple | list | ValuesView | Iterator):
                    value = tuple(value)
                    value = tuple(_Kept(v) if i in keep else v for i, v in enumerate(value))
                elif 0 in keep:
                    value = _Kept(value)
                reply = {"value": value}
        except BaseException as error:
            reply = {"error": self._describe(error)}
        finally:
            self.inout = outer
        after = {}
        for i, argument in enumerate(args):
            data = _snapshot(argument)
            if data is not None and data != before[i]:
                after[i] = data
        return {**reply, "after": after}

    def _op_get(self, message: dict) -> dict:
        name = message["name"]
        if name not in self.namespace:
            return {"error": _error("NameError", f"{name} is not defined", kind="missing")}
        return {"value": self.namespace[name]}

    # -- objects that stay on one side

    def _keep(self, value: Any) -> int:
        self.objects.append(value.value if isinstance(value, _Kept) else value)
        return len(self.objects) - 1

    def _lookup(self, kind: str, number: int) -> Any:
        return self.objects[number] if kind == "handle" else self._proxy(number)

    def _proxy(self, number: int) -> Callable:
        """Stand in for a function of the other side."""

        def callback(*args: Any, **kwargs: Any) -> Any:
            request = {"op": "callback", "id": number, "args": args, "kwargs": kwargs, "inout": self.inout}
            data = wire.encode(request, self._keep)
            with _uninterrupted():
                data = self.ask(data)
            answer = wire.decode(data, self._lookup)
            if "error" in answer:
                error = answer["error"]
                raise EXCEPTIONS.get(error["type"], RuntimeError)(error["message"])
            return answer["value"]

        return callback

    def _describe(self, error: BaseException) -> dict:
        """What happened in student code, and on which of its lines."""
        if isinstance(error, TimeUp):
            return _error("TimeoutError", "it did not finish in time", kind="timed out")
        if isinstance(error, KeyboardInterrupt) and not self.sources:
            raise error  # no cell was run through this servant: a student's own kernel, where a person pressed stop
        try:
            text = str(error)
        except BaseException:
            text = "(its message could not be read)"
        if isinstance(error, NotImplementedError) and not text:
            text = _innermost(
                error
            )  # of several functions that call each other, which is still to be written
        line, source = self._student_line(error)
        return _error(type(error).__name__, text, line=line, source=source)

    def _student_line(self, error: BaseException) -> tuple[int, str]:
        """Line number and text of the last line of student code in the traceback."""
        found = (0, "")
        if isinstance(error, SyntaxError) and error.filename in self.sources:
            return error.lineno or 0, (error.text or "").strip()[:MAX_MESSAGE]
        trace = error.__traceback__
        while trace is not None:
            filename, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            if filename in self.sources:
                lines = self.sources[filename]
                found = (line, lines[line - 1].strip() if line <= len(lines) else "")
            elif "ipykernel" in filename or filename.startswith("<ipython"):
                found = (line, linecache.getline(filename, line).strip())
            trace = trace.tb_next
        return found[0], found[1][:MAX_MESSAGE]


def _innermost(error: BaseException) -> str:
    """Name of the function in which an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name if trace is not None else ""


def _error(type_: str, message: str, kind: str = "raised", line: int = 0, source: str = "") -> dict:
    return {"type": type_, "message": message[:MAX_MESSAGE], "kind": kind, "line": line, "source": source}


def _snapshot(argument: Any) -> bytes | None:
    """Bytes of an argument, to see later whether it changed; None for what cannot change or cannot be sent."""
    if callable(argument):
        return None
    try:
        return wire.encode(argument)
    except wire.WireError:
        return None


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back the interrupt of `_deadline`: a question without its answer would leave both sides out of step."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _deadline(seconds: float | None) -> Iterator[None]:
    """Interrupt student code from inside, so that what it had defined by then is kept.

    This is a courtesy: code that catches the interrupt is ended from outside, and loses everything.
    """
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not seconds or not usable or signal.getitimer(signal.ITIMER_REAL)[0]:  # the outer deadline goes on
        yield
        return

    late = False

    def interrupt(signum: int, frame: types.FrameType | None) -> None:
        nonlocal late
        late = True
        raise TimeUp

    try:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if late:  # student code swallowed it, and went on to an answer
        raise TimeUp
