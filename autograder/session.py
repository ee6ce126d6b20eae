"""The trusted side of the boundary: call a student's functions and read their values.

A `Session` sends copies and receives copies. Everything that comes back went through `wire.decode`, so it
is plain data, a `Handle`, or an error; nothing of the student's ever runs on this side. `LocalSession` talks
to a `Servant` in the same process (a student's own kernel, where there is nothing to protect);
`sandbox.RemoteSession` talks to one in a sandbox. Both go through the same bytes, so that a check gives the
same verdict in both.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import wire
from .servant import MAX_MESSAGE, Servant

MAX_CALLBACKS = 100_000
MAX_CALLBACK_DEPTH = 8


@dataclass(frozen=True)
class Handle:
    """An object that stayed on the student's side."""

    number: int
    callable: bool = False


@dataclass(frozen=True)
class Problem:
    """Why a call or a cell gave no value.

    `kind` is ``"raised"``, ``"missing"`` (no such function or value), ``"timed out"``, or ``"died"``.
    """

    kind: str
    type: str
    message: str
    line: int = 0
    source: str = ""

    def __str__(self) -> str:
        if self.kind != "raised" or not self.type:
            return self.message
        where = f", at line {self.line}: {self.source}" if self.source else ""
        return f"raised {self.type}: {self.message}{where}" if self.message else f"raised {self.type}{where}"


@dataclass
class Reply:
    """What a call gave: a value or a problem, and each argument that the function changed."""

    value: Any = None
    problem: Problem | None = None
    after: dict[int, Any] = field(default_factory=dict)


class Session:
    """Talk to a student's namespace. Subclasses say how bytes travel, in `_exchange`.

    `until` is the time (of `time.monotonic`) at which all student code has to be over, however long each call may take.
    """

    def __init__(self) -> None:
        self.until = math.inf
        self._callbacks: list[Callable] = []
        self._originals: list[tuple] = []
        self._callback_count = 0
        self._forgotten = False

    def run(self, source: str, cell: str, seconds: float | None = None) -> Problem | None:
        """Execute a cell; returns what went wrong, if anything did."""
        return self._request({"op": "run", "source": source, "cell": cell}, seconds).problem

    def get(self, name: str) -> Reply:
        """Fetch a value from the student's namespace."""
        return self._request({"op": "get", "name": name}, None)

    def call(
        self,
        name: "str | Handle",
        args: tuple,
        kwargs: dict | None = None,
        *,
        inout: tuple[int, ...] = (),
        keep: tuple[int, ...] = (),
        seconds: float | None = None,
    ) -> Reply:
        """Call a student's function with copies of `args`.

        Parameters
        ----------
        name : str or Handle
            The function's name in the notebook, or a function that an earlier call returned.
        args, kwargs : tuple, dict
            Values of the kinds that `wire` can send; a callable among them becomes a callback.
        inout : tuple of int
            Positions of arrays (or dicts of arrays) that the function perturbs while it calls a callback:
            the original shows each perturbation during the callback and is restored afterwards.
        keep : tuple of int
            Positions of outputs to leave on the student's side, as handles.
        seconds : float, optional
            Time that the call may take.
        """
        request = {
            "op": "call",
            "name": name,
            "args": args,
            "kwargs": kwargs or {},
            "inout": inout,
            "keep": keep,
        }
        if not self._originals:
            self._callback_count = 0
        self._originals.append(tuple((i, args[i]) for i in inout))
        try:
            reply = self._request(request, seconds)
        finally:
            self._originals.pop()
        reply.after = {i: value for i, value in reply.after.items() if 0 <= i < len(args)}
        return reply

    @property
    def own(self) -> Mapping[str, Callable]:
        """Functions of the student that may run in this process: none, but where it is the student's own."""
        return {}

    def forget(self) -> None:
        """Give up everything that earlier calls kept; the other side frees it before the next request."""
        self._callbacks.clear()
        self._forgotten = True

    def _request(self, request: dict, seconds: float | None) -> Reply:
        if seconds is not None:
            request["seconds"] = seconds
        if self._forgotten:  # not a request of its own: it would be two of every five
            request["forget"], self._forgotten = True, False
        answer = self._exchange(wire.encode(request, self._keep), seconds)
        if isinstance(answer, Problem):
            return Reply(problem=answer)
        try:
            return _reply(wire.decode(answer, self._lookup))
        except Exception as error:  # a well-behaved worker sends nothing of the sort: anything may be wrong
            text = f"an answer that makes no sense: {plain_text(error)}"
            return Reply(problem=Problem("raised", "ValueError", text))

    def _exchange(self, request: bytes, seconds: float | None) -> bytes | Problem:
        raise NotImplementedError

    # -- callbacks

    def _keep(self, value: Any) -> int:
        if isinstance(value, Handle):
            return value.number
        if not callable(value):
            raise wire.WireError(
                f"a value of type {type(value).__name__} cannot be given to a student's function"
            )
        self._callbacks.append(value)
        return len(self._callbacks) - 1

    @staticmethod
    def _lookup(kind: str, number: int) -> Handle:
        return Handle(number, kind == "callback")

    def _answer_callback(self, data: bytes) -> bytes:
        """Run the function that a student's code called, on the values that it passed."""
        try:
            message = wire.decode(data, self._lookup)
            self._callback_count += 1
            if self._callback_count > MAX_CALLBACKS or len(self._originals) > MAX_CALLBACK_DEPTH:
                raise RuntimeError("the function was called too often")
            function = self._callbacks[message["id"]]
            originals = self._originals[-1] if self._originals else ()
            saved = [(original, _copy(original)) for _, original in originals]
            try:
                for i, original in originals:
                    _overwrite(original, message["inout"][i])
                value = function(*message["args"], **message["kwargs"])
            finally:
                for original, copy in saved:
                    _overwrite(original, copy)
            return wire.encode({"value": value}, self._keep)
        except Exception as error:  # arguments come from student code: anything may be wrong with them
            return wire.encode({"error": {"type": type(error).__name__, "message": plain_text(error)}})


class LocalSession(Session):
    """A session with functions in this process: a student's own kernel.

    Parameters
    ----------
    namespace : dict
        Globals of the notebook.
    """

    def __init__(self, namespace: dict[str, Any]):
        super().__init__()
        self.servant = Servant(namespace, self._answer_callback)

    @property
    def own(self) -> Mapping[str, Callable]:
        """Functions of the notebook in this process."""
        return {name: value for name, value in self.servant.namespace.items() if callable(value)}

    def _exchange(self, request: bytes, seconds: float | None) -> bytes | Problem:
        return self.servant.answer(request)


def _reply(answer: dict) -> Reply:
    after = {int(i): wire.decode(data) for i, data in answer.get("after", {}).items()}
    if "error" not in answer:
        return Reply(answer["value"], None, after)
    error = answer["error"]
    texts = {key: plain_text(error[key]) for key in ("kind", "type", "message", "source")}
    if texts["kind"] not in ("raised", "missing", "timed out"):
        raise ValueError("an error of unknown kind")
    return Reply(None, Problem(line=int(error["line"]), **texts), after)


def plain_text(value: Any) -> str:
    """Text of bounded length that can be stored anywhere: without halves of surrogate pairs."""
    return str(value)[:MAX_MESSAGE].encode("utf-8", "replace").decode()


def _copy(value: Any) -> Any:
    return {k: v.copy() for k, v in value.items()} if isinstance(value, dict) else value.copy()


def _overwrite(original: Any, value: Any) -> None:
    """Write an array (or dict of arrays) into another of the same shape and kind, in place."""
    if isinstance(original, dict):
        for key, array in original.items():
            _overwrite(array, value[key])
    elif isinstance(value, np.ndarray) and value.shape == original.shape:
        np.copyto(original, value, casting="same_kind")
    else:
        raise ValueError("an argument changed its shape while the function was running")
