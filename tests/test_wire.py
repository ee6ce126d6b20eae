"""The format in which values cross the boundary: exact for what it carries, deaf to everything else."""

import collections
import itertools
import json
import math
import struct
import tracemalloc
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import exercises, wire
from autograder.checking import check_sheet
from autograder.session import Session

KINDS = "bool i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
BIT_GENERATORS = (
    np.random.PCG64,
    np.random.PCG64DXSM,
    np.random.MT19937,
    np.random.Philox,
    np.random.SFC64,
)


class Opaque:
    """What a value that is not listed decodes to here."""

    def __init__(self, kind, number):
        self.kind, self.number = kind, number


PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    slice,
    np.dtype,
    np.ndarray,
    np.generic,
    np.random.Generator,
    Opaque,
)


def same(a, b):
    """Whether two values are the same to the bit, and of the same type, all the way down."""
    if type(a) is not type(b) and not (isinstance(a, np.dtype) and isinstance(b, np.dtype)):
        return False
    if isinstance(a, np.ndarray | np.generic):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, slice):
        return all(map(same, (a.start, a.stop, a.step), (b.start, b.stop, b.step)))
    if isinstance(a, np.random.Generator):
        return same(a.bit_generator.state, b.bit_generator.state)
    return a == b


def is_plain(value):
    if isinstance(value, tuple | list):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return value is None or isinstance(value, PLAIN)


@st.composite
def generators(draw):
    rng = np.random.Generator(draw(st.sampled_from(BIT_GENERATORS))(draw(st.integers(0, 2**32))))
    rng.integers(7, size=draw(st.integers(0, 700)), dtype=draw(st.sampled_from([np.uint8, np.uint64])))
    return rng


arrays = hnp.arrays(
    dtype=st.sampled_from(KINDS).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
any_text = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
integers = st.integers(-(2**70), 2**70) | st.integers(1 - 2**1023, 2**1023 - 1)
keys = st.one_of(
    any_text,
    integers,
    st.booleans(),
    st.none(),
    st.tuples(integers, any_text),
    st.floats(allow_nan=False),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(),
    st.complex_numbers(),
    any_text,
    st.binary(max_size=16),
    st.slices(5),
    st.sampled_from(KINDS).map(np.dtype),
    arrays,
    arrays.map(lambda a: a.flat[0] if a.size else a),
    generators(),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=8,
)


@given(values)
@example("\ud83d" + "\ude00")  # two characters, which JSON would write as one
@example(np.array(True))
@example(np.zeros((1,) * 64))
@example({(1, ("a",)): [np.float32(0.1), slice(None, -1, 2)], None: -0.0})
def test_what_is_encoded_comes_back_to_the_bit(value):
    data = wire.encode(value)
    back = wire.decode(data)
    assert same(back, value)
    assert wire.encode(back) == data


@given(arrays, st.sampled_from(["reversed", "transposed", "swapped", "strided", "read only", "fortran"]))
def test_the_layout_of_an_array_does_not_matter(array, layout):
    laid_out = {
        "reversed": lambda a: a[::-1] if a.ndim else a,
        "transposed": lambda a: a.T,
        "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
        "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
        "read only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
        "fortran": np.asfortranarray,
    }[layout](array)
    back = wire.decode(wire.encode(laid_out))
    np.testing.assert_array_equal(back, laid_out)
    assert back.shape == laid_out.shape
    assert back.dtype == laid_out.dtype.newbyteorder("=")
    assert back.flags.writeable
    assert not np.shares_memory(back, laid_out)


@pytest.mark.parametrize(("kind", "becomes"), [(np.longdouble, np.float64), (np.clongdouble, np.complex128)])
def test_long_double_becomes_what_every_machine_has(kind, becomes):
    for value in (np.arange(3, dtype=kind) / 3, kind(1) / kind(3)):
        back = wire.decode(wire.encode(value))
        assert isinstance(back, type(np.asarray(value)) if np.ndim(value) else becomes)
        assert back.dtype == becomes
        np.testing.assert_array_equal(back, np.asarray(value).astype(becomes))


class Liar:
    """Overrides what is asked of a container, so that whoever asks is told something else."""

    def _lie(self, *arguments):
        raise AssertionError("its behaviour has run")

    __iter__ = __getitem__ = __len__ = __eq__ = __str__ = __repr__ = __int__ = __float__ = _lie
    items = keys = values = copy = get = _lie
    __hash__ = None


LIARS = {
    base: type(f"Lying{base.__name__.title()}", (Liar, base), {})
    for base in (dict, list, tuple, str, int, float)
}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (LIARS[dict]({"a": 1}), {"a": 1}),
        (LIARS[list]([1, 2]), [1, 2]),
        (LIARS[tuple]((1, 2)), (1, 2)),
        (LIARS[str]("text"), "text"),
        (LIARS[int](7), 7),
        (LIARS[float](0.5), 0.5),
        (collections.defaultdict(int, {"h1": 2}), {"h1": 2}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.namedtuple("Pair", "a b")(1, 2), (1, 2)),
        (np.str_("text"), "text"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_crosses_as_what_it_is_underneath(value, plain):
    back = wire.decode(wire.encode({"x": value}))["x"]
    assert type(back) is type(plain)
    assert back == plain


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        2**1024,
        np.array([{}], dtype=object),
        np.array(["text"]),
        np.zeros(2, [("a", "f8")]),
        np.array(["2016-12-19"], "M8[D]"),
        bytearray(b"x"),
        np.random.default_rng(1).bit_generator,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_stays_and_goes_by_a_number(value):
    with pytest.raises(wire.WireError):
        wire.encode([value])
    kept = []
    data = wire.encode({"a": (value, value)}, lambda v: kept.append(v) or len(kept) + 6)
    assert all(v is value for v in kept)
    assert wire.decode(data, lambda kind, number: (kind, number)) == {"a": (("handle", 7), ("handle", 8))}
    with pytest.raises(wire.WireError):
        wire.decode(data)  # nobody here who would know the number


def test_a_function_is_marked_as_one():
    data = wire.encode(len, lambda value: 0)
    assert wire.decode(data, lambda kind, number: (kind, number)) == ("callback", 0)


# -- what the other side may send


def message(tree, blob=b""):
    header = json.dumps(tree).encode()
    return struct.pack(">I", len(header)) + header + blob


def decode_hostile(data):
    """Decode, and see that it gave plain data or a WireError; any other exception fails the test."""
    try:
        value = wire.decode(data, Opaque)
    except wire.WireError:
        return None
    assert is_plain(value)
    return value


@given(st.binary(max_size=64))
def test_random_bytes_are_refused_or_plain(data):
    decode_hostile(data)
    decode_hostile(struct.pack(">I", len(data)) + data)


@given(values, st.data())
def test_damaged_messages_are_refused_or_plain(value, data):
    whole = bytearray(wire.encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert", "copy"])):
            case "change":
                whole[at] = data.draw(st.integers(0, 255))
            case "cut":
                del whole[at : at + data.draw(st.integers(1, 8))]
            case "insert":
                whole[at:at] = data.draw(
                    st.sampled_from([b"[", b"]", b",", b"9", b"-", b'"', b"null", b"{}"])
                )
            case "copy":
                whole[at:at] = whole[: data.draw(st.integers(0, 16))]
        if len(whole) < 4:
            break
        whole[:4] = struct.pack(">I", min(struct.unpack(">I", whole[:4])[0], len(whole)))
    decode_hostile(bytes(whole))


odd_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 70),
        st.sampled_from([2**62, 2**63, -(2**63), 10**400, math.nan, math.inf]),
        st.sampled_from(["<f8", "|b1", "|O", ">f8", "<U9", "PCG64", "MT19937", "bit_generator", "state", ""]),
        st.sampled_from(
            "complex bytes slice tuple list dict array scalar dtype generator callback handle".split()
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        st.tuples(st.sampled_from(["list", "tuple", "dict"]), st.lists(inner, max_size=3)).map(list),
        st.tuples(
            st.sampled_from(["array", "scalar"]),
            st.sampled_from(["<f8", "|b1", "<c16"]),
            st.lists(st.integers(0, 4), max_size=3),
            st.integers(0, 9),
        ).map(list),
    ),
    max_leaves=12,
)


@given(odd_json, st.binary(max_size=64))
def test_any_json_is_refused_or_plain(tree, blob):
    decode_hostile(message(tree, blob))


@given(st.binary(min_size=1, max_size=9))
def test_truth_values_are_true_or_false(blob):
    array = wire.decode(message(["array", "|b1", [len(blob)], 0], blob))
    assert set(array.view(np.uint8).tolist()) <= {0, 1}
    assert array.tolist() == [byte != 0 for byte in blob]


LIES = {
    "an array larger than the message": message(["array", "<f8", [2**40], 0], b"12345678"),
    "bytes larger than the message": message(["bytes", 0, 2**50]),
    "bytes before the message": message(["bytes", -4, 4], b"1234"),
    "a header of four gigabytes": b"\xff\xff\xff\xff[]",
    "sides that multiply to nothing": message(["array", "<f8", [0, 2**62, 2**62], 0]),
    "sides that multiply beyond 64 bits": message(["array", "|u1", [2**33, 2**33], 0], b"1"),
    "a thousand arrays over the same bytes": message(
        ["list", [["array", "|u1", [2**20], 0]] * 1000], bytes(2**20)
    ),
    "a thousand strings over the same bytes": message(["list", [["bytes", 0, 2**20]] * 1000], bytes(2**20)),
    "more parts than allowed": message(["list", [0] * (wire.MAX_NODES + 1)]),
    "a header that is all structure": struct.pack(">I", 3 * 2**22 + 1) + b"[" + b"[]," * 2**22,
    "deeper than allowed": b"\x00\x00\x27\x10" + b"[" * 10_000,
    "a dict for a list": message({"list": []}),
    "an integer of many digits": message(10**4000),
    "a kind that is an array": message([["list"], []]),
    "a generator with no name": message(["generator", ["dict", []]]),
    "a generator whose name is a list": message(["generator", ["dict", [["bit_generator", ["list", []]]]]]),
    "a generator that is a module": message(["generator", ["dict", [["bit_generator", "mtrand"]]]]),
    "entries that are no pairs": message(["dict", ["ab", "cd"]]),
    "keys that are made to collide": message(["dict", [[k * (2**61 - 1), 0] for k in range(5000)]]),
    "objects": message(["array", "|O", [1], 0], bytes(8)),
    "an array as a key": message(["dict", [[["array", "|u1", [1], 0], 0]]], b"1"),
    "a handle with a negative number": message(["handle", -1]),
    "a handle whose number is true": message(["handle", True]),
    "a handle with a fraction": message(["callback", 0.5]),
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_lies_are_refused_before_they_cost_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            wire.decode(data, Opaque)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**25  # bytes; the longest of these messages has 2**24


def test_depth_is_bounded_on_both_sides():
    def nested(depth):
        value = 0
        for _ in range(depth):
            value = [value]
        return value

    assert wire.decode(wire.encode(nested(wire.MAX_DEPTH))) == nested(wire.MAX_DEPTH)
    with pytest.raises(wire.WireError, match="nested"):
        wire.encode(nested(wire.MAX_DEPTH + 1))
    tree = 0
    for _ in range(wire.MAX_DEPTH + 1):
        tree = ["list", [tree]]
    with pytest.raises(wire.WireError, match="nested"):
        wire.decode(message(tree))


@pytest.mark.parametrize(
    "value",
    [
        [0] * (wire.MAX_NODES + 1),
        np.zeros(wire.MAX_BYTES + 1, np.uint8),
        bytes(wire.MAX_BYTES + 1),
        "a" * (wire.MAX_HEADER + 1),
        [np.zeros(wire.MAX_BYTES // 2, np.uint8)] * 3,
        np.broadcast_to(0.0, (2**20, 2**20)),
        dict.fromkeys(range(wire.MAX_KEYS + 1)),
    ],
    ids=["parts", "array", "bytes", "text", "sum", "broadcast", "keys"],
)
def test_what_is_too_large_is_not_sent(value):
    with pytest.raises(wire.WireError):
        wire.encode(value)


def kind_with(kind, state):
    bits = kind()
    bits.state = state
    return bits


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("position", [-(2**31), -1, 625, 2**31 - 1, 2**70, None])
def test_a_generator_that_would_read_outside_its_buffer_is_refused(kind, position):
    state = kind(1).state

    def forged(position):
        (state["state"] if kind is np.random.MT19937 else state)[name] = position
        data = wire.encode(state)
        (size,) = struct.unpack(">I", data[:4])
        return message(["generator", json.loads(data[4 : 4 + size])], data[4 + size :])

    name = "pos" if kind is np.random.MT19937 else "buffer_pos"
    assert same(wire.decode(forged(2)), np.random.Generator(kind_with(kind, state)))
    with pytest.raises(wire.WireError, match="generator"):
        wire.decode(forged(position))


def test_only_numbers_and_numbers_of_a_fixed_size_are_arrays():
    for kind in KINDS:
        assert wire.decode(wire.encode(np.zeros(1, kind))).dtype == np.dtype(kind)
    for name in ("|O", "|S8", "<U2", "|V8", "<M8[s]", ">f8", "<f16", "f8", "float64", ""):
        with pytest.raises(wire.WireError):
            wire.decode(message(["array", name, [1], 0], bytes(64)))
        with pytest.raises(wire.WireError):
            wire.decode(message(["dtype", name]))


# -- a worker that replies whatever it likes


class Replies(Session):
    """Gives the same few replies to all requests."""

    def __init__(self, replies):
        super().__init__()
        self.replies = itertools.cycle(replies)

    def _exchange(self, request, seconds):
        return next(self.replies)


fitting = st.sampled_from([(4, 3), (3,), (5, 3), (2,), ()]).flatmap(
    lambda shape: hnp.arrays(st.sampled_from(KINDS).map(np.dtype), shape)
)
entries = st.dictionaries(
    st.sampled_from("W1 b1 1 2 A mode eps running_mean xhat".split()), values | fitting, max_size=4
)
anything = values | fitting | entries | st.lists(values | fitting, min_size=2, max_size=8).map(tuple)
errors = anything | st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["raised", "missing", "timed out"]) | anything,
        **dict.fromkeys(("type", "message", "line", "source"), anything),
    }
)
replies = st.fixed_dictionaries(
    {
        "value": anything,
        "after": st.dictionaries(keys | st.integers(-1, 4), anything.map(wire.encode) | anything),
    },
    optional={"error": errors},
).map(wire.encode)
SHEETS = [
    exercises.visible_sheet(name)
    for assignment in ("01_gradient_checking", "02_sigmoid_saturation", "05_batchnorm")
    for name in exercises.assignments()[assignment]
]


@settings(
    max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
@given(st.sampled_from(SHEETS), st.lists(replies, min_size=1, max_size=3))
def test_whatever_a_worker_replies_there_is_a_verdict(sheet, answers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in grading: any number may come
        report = check_sheet(Replies(answers), sheet)
    assert 0 <= report.score < report.points
    json.dumps([asdict(finding) for finding in report.findings])
    (report.text() + report._repr_html_()).encode()


@given(odd_json, st.binary(max_size=64))
def test_whatever_a_worker_asks_it_is_answered(tree, blob):
    session = Replies([b""])
    session._keep(lambda x: x)
    answer = wire.decode(session._answer_callback(message(tree, blob)))
    assert set(answer) == {"error"}
