"""Values as bytes and back: all that crosses between trusted code and a student's.

A message is a header length (4 bytes, big endian), a JSON header, and a blob that holds the raw bytes of
arrays. Nothing is ever executed to read one, and every size is checked before memory is taken for it: the
other side is assumed to lie. A value of a kind that is not listed here does not cross. `encode` hands it to
`keep`, which returns a number for it (a *handle*), and `decode` gives that number to `lookup`.

The same bytes are used for answer sheets on disk.
"""

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_BYTES = 16 * 2**20
MAX_HEADER = 8 * 2**20  # JSON takes some twenty times its size when it is read
MAX_DEPTH = 40
MAX_NODES = 200_000
MAX_INT_BITS = 1024
MAX_DIMENSIONS = 64  # numpy's own limit
MAX_KEYS = 1_000  # of dicts, other than text: whoever chooses numbers can choose them to collide
_ARRAY_KINDS = {  # of a fixed size on every platform
    np.dtype(name).str for name in "bool i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
}
# How to get at the contents of a subclass of these without running any of its own methods.
_PLAIN: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    list: list.copy,
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    dict: lambda value: dict(iter(dict.items(value))),
}
_BIT_GENERATORS = {"PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"}

Keep = Callable[[Any], int]
Lookup = Callable[[str, int], Any]


class WireError(ValueError):
    """A message that does not follow the format, or asks for more than the limits allow."""


def encode(value: Any, keep: Keep | None = None) -> bytes:
    """Turn a value into bytes.

    Parameters
    ----------
    value : object
        None, bool, int, float, complex, str, bytes, slice, numpy dtype, scalar, array or Generator, and
        tuples, lists and dicts of these. Callables and everything else go to `keep`.
    keep : callable, optional
        Takes an object that cannot be encoded and returns the number under which it can be found again.

    Raises
    ------
    WireError
        If the value holds something that cannot be encoded (and there is no `keep`), or exceeds a limit: of
        depth, of parts, of bytes.

    Examples
    --------
    >>> decode(encode({"x": np.array([1.0, 2.0]), "axis": slice(1, None)}))
    {'x': array([1., 2.]), 'axis': slice(1, None, None)}
    """
    writer = _Writer(keep)
    tree = writer.tree(value, 0)
    # As it is, not escaped: two surrogates of a pair would come back as one character.
    header = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(header) > MAX_HEADER:
        raise WireError(f"the text and structure of the value take more than {MAX_HEADER} bytes")
    data = b"".join([struct.pack(">I", len(header)), header, *writer.blobs])
    if len(data) > MAX_BYTES:
        raise WireError(f"the value takes {len(data)} bytes; at most {MAX_BYTES} can be sent")
    return data


def decode(data: bytes, lookup: Lookup | None = None) -> Any:
    """Turn bytes from `encode` back into a value; arrays are fresh, writable copies.

    Parameters
    ----------
    data : bytes
        A whole message.
    lookup : callable, optional
        Takes the kind (``"callback"`` or ``"handle"``) and number of an object that stayed on the other
        side, and returns what stands for it here.

    Raises
    ------
    WireError
        Whatever is wrong with the bytes: no other exception leaves this function.
    """
    try:
        (size,) = struct.unpack_from(">I", data)
        if size > MAX_HEADER:
            raise WireError("the header of the message is too large")
        header, blob = data[4 : 4 + size], memoryview(data)[4 + size :]
        if len(header) != size:
            raise WireError("the message ends inside its header")
        tree = json.loads(header.decode("utf-8", "surrogatepass"))
        return _Reader(blob, lookup).value(tree, 0)
    except WireError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        RecursionError,
        OverflowError,
        struct.error,
    ) as error:
        raise WireError(f"not a message: {type(error).__name__}: {error}"[:300]) from None


class _Writer:
    def __init__(self, keep: Keep | None):
        self.keep = keep
        self.blobs: list[bytes] = []
        self.at = 0
        self.nodes = 0
        self.keys = 0

    def blob(self, data: bytes) -> int:
        """Append raw bytes and return where they start."""
        start = self.at
        self.blobs.append(data)
        self.at += len(data)
        if self.at > MAX_BYTES:
            raise WireError(f"the value takes more than {MAX_BYTES} bytes")
        return start

    def tree(self, value: Any, depth: int) -> Any:
        """JSON tree of a value: scalars as they are, everything else as [kind, ...]."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise WireError("the value is nested too deeply or has too many parts")
        kind = type(value)
        for base, plain in _PLAIN.items():  # a subclass crosses as what it is underneath: its behaviour stays
            if kind is not base and isinstance(value, base) and not isinstance(value, bool | np.number):
                value, kind = plain(value), base
        if value is None or kind in (bool, float, str):
            return value
        if kind is int:
            return value if value.bit_length() < MAX_INT_BITS else self.kept(value)
        if kind is complex:
            return ["complex", value.real, value.imag]
        if kind is bytes:
            return ["bytes", self.blob(value), len(value)]
        if kind is slice:
            return ["slice", *(self.tree(part, depth + 1) for part in (value.start, value.stop, value.step))]
        if kind in (tuple, list):
            return [kind.__name__, [self.tree(item, depth + 1) for item in value]]
        if kind is dict:
            self.keys += sum(type(key) is not str for key in value)
            if self.keys > MAX_KEYS:
                raise WireError(f"the value has more than {MAX_KEYS} keys that are not text")
            pairs = [[self.tree(k, depth + 1), self.tree(v, depth + 1)] for k, v in value.items()]
            return ["dict", pairs]
        if isinstance(value, np.ndarray | np.generic):
            return self.array(value)
        if isinstance(value, np.dtype) and value.str in _ARRAY_KINDS:
            return ["dtype", value.str]
        if kind is np.random.Generator and type(value.bit_generator).__name__ in _BIT_GENERATORS:
            return ["generator", self.tree(value.bit_generator.state, depth + 1)]
        return self.kept(value)

    def array(self, value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype in (
            np.longdouble,
            np.clongdouble,
        ):  # no fixed size, and more digits than any check needs
            array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype.str not in _ARRAY_KINDS:
            return self.kept(value)
        if array.nbytes > MAX_BYTES:
            raise WireError(f"an array of shape {array.shape} is too large to send")
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return [kind, array.dtype.str, list(array.shape), self.blob(array.tobytes())]

    def kept(self, value: Any) -> Any:
        if self.keep is None:
            raise WireError(f"a value of type {type(value).__name__} cannot be sent")
        kind = "callback" if callable(value) else "handle"
        return [kind, self.keep(value)]


class _Reader:
    def __init__(self, blob: memoryview, lookup: Lookup | None):
        self.blob = blob
        self.lookup = lookup
        self.nodes = 0
        self.keys = 0
        self.left = len(blob)  # each byte is read once: arrays that overlap could take any amount of memory

    def raw(self, start: int, size: int) -> memoryview:
        if not (_is_count(start) and _is_count(size) and start + size <= len(self.blob)):
            raise WireError("a part of the message points outside it")
        self.left -= size
        if self.left < 0:
            raise WireError("the parts of the message overlap")
        return self.blob[start : start + size]

    def value(self, tree: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise WireError("the message is nested too deeply or has too many parts")
        if isinstance(tree, int) and tree.bit_length() >= MAX_INT_BITS:
            raise WireError("the message holds an integer of too many digits")
        if tree is None or isinstance(tree, bool | int | float | str):
            return tree
        if not isinstance(tree, list) or not tree:
            raise WireError("the message holds something that is not a value")
        kind, *rest = tree
        match kind, rest:
            case "complex", [float() | int() as real, float() | int() as imag]:
                return complex(real, imag)
            case "bytes", [start, size]:
                return bytes(self.raw(start, size))
            case "slice", [_, _, _]:
                return slice(*(self.value(part, depth + 1) for part in rest))
            case "tuple", [list() as items]:
                return tuple(self.value(item, depth + 1) for item in items)
            case "list", [list() as items]:
                return [self.value(item, depth + 1) for item in items]
            case "dict", [list() as pairs]:
                return dict(self.pair(pair, depth + 1) for pair in pairs)
            case "array" | "scalar", [str() as dtype, list() as shape, start]:
                array = self.array(dtype, shape, start)
                return array[()] if kind == "scalar" else array
            case "dtype", [str() as dtype] if dtype in _ARRAY_KINDS:
                return np.dtype(dtype)
            case "generator", [state]:
                return _generator(self.value(state, depth + 1))
            case "callback" | "handle", [number] if self.lookup is not None and _is_count(number):
                return self.lookup(kind, number)
        raise WireError(f"the message holds a value of unknown kind {str(kind)[:40]!r}")

    def pair(self, pair: Any, depth: int) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise WireError("an entry of a dict is not a pair")
        self.keys += not isinstance(pair[0], str)
        if self.keys > MAX_KEYS:
            raise WireError("the message holds too many keys that are not text")
        return self.value(pair[0], depth), self.value(pair[1], depth)

    def array(self, dtype: str, shape: list, start: int) -> np.ndarray:
        if dtype not in _ARRAY_KINDS:
            raise WireError(f"arrays of dtype {dtype[:40]!r} are not sent")
        if len(shape) > MAX_DIMENSIONS or not all(_is_count(size) for size in shape):
            raise WireError("an array has an impossible shape")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        array = np.frombuffer(self.raw(start, size), dtype=dtype).reshape(shape)
        if array.dtype == np.bool_:
            return array.view(np.uint8).astype(np.bool_)  # a byte other than 0 and 1 behaves like neither
        return array.copy()


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63


def _generator(state: Any) -> np.random.Generator:
    """Rebuild a Generator from the state of its bit generator."""
    name = state.get("bit_generator") if isinstance(state, dict) else None
    if name not in _BIT_GENERATORS:
        raise WireError("a generator of unknown kind")
    bits = getattr(np.random, name)()
    try:
        bits.state = state
    except Exception as error:  # numpy checks the state it is given, in several ways
        raise WireError(f"an impossible generator state: {error}") from None
    state = bits.state  # but not this: where in its buffer the next number lies
    position, end = (state["state"]["pos"], 624) if name == "MT19937" else (state.get("buffer_pos", 0), 4)
    if not 0 <= position <= end:
        raise WireError("an impossible generator state: it points outside its buffer")
    return np.random.Generator(bits)
