"""Every pair in `minigrad.layers` keeps the contract.

The pairs are found by name, in every module of the package, second implementations included; the table in
`cases` says how to draw inputs for each. Every check runs over every pair. The last section breaks pairs, and
asks each check to notice.
"""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, Shapes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import minigrad.layers
from minigrad.layers import relu_backward, relu_forward

# ------------------------------------------------------------------------------
# Finding the pairs
# ------------------------------------------------------------------------------

HALF = re.compile(r"([a-z]\w*?)_(forward|backward)(?:_(\w+))?")  # of what, which, and in which implementation


@dataclass(frozen=True)
class Pair:
    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]


def functions_of_the_package() -> dict[str, Callable[..., Any]]:
    """By name; another name for one of them is not another function."""
    found = {}
    for module in pkgutil.walk_packages(minigrad.layers.__path__, "minigrad.layers."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if HALF.fullmatch(name) and inspect.isfunction(value) and value.__name__ == name:
                found[name] = value
    return found


def pairs_among(functions: dict[str, Callable[..., Any]]) -> dict[str, Pair]:
    """`conv` and `conv_naive`, where there are both; `batchnorm_alt`, which has a backward of its own only."""
    found = {}
    for match in map(HALF.fullmatch, sorted(functions)):
        assert match
        name, _, other = match.groups()
        ends = {
            way: functions.get(f"{name}_{way}_{other}", functions.get(f"{name}_{way}"))
            for way in ("forward", "backward")
        }
        if ends["forward"] and ends["backward"]:
            found[f"{name}_{other}" if other else name] = Pair(name, ends["forward"], ends["backward"])
    return found


FUNCTIONS = functions_of_the_package()
PAIRS = pairs_among(FUNCTIONS)
CHECKED = [
    name for name, pair in PAIRS.items() if pair.name in CASES
]  # all of them, says the first test below


def test_every_pair_has_a_case_and_every_case_a_pair():
    assert {pair.name for pair in PAIRS.values()} == set(CASES)


def test_every_function_is_half_of_a_pair():
    halves = [half for pair in PAIRS.values() for half in (pair.forward, pair.backward)]
    assert [name for name, function in FUNCTIONS.items() if function not in halves] == []


def test_every_pair_can_be_imported_from_the_package():
    assert {name: getattr(minigrad.layers, name, None) for name in FUNCTIONS} == FUNCTIONS
    assert set(FUNCTIONS) <= set(minigrad.layers.__all__)


def test_the_obvious_pairs_are_found():
    assert {"affine", "relu"} <= set(PAIRS)  # were the search broken, every check would pass over nothing


def test_second_implementations_are_pairs_of_their_own():
    whole = {f"conv_{way}{other}": object() for way in ("forward", "backward") for other in ("", "_naive")}
    found = pairs_among({**whole, "bn_forward": 1, "bn_backward": 2, "bn_backward_alt": 3})
    assert set(found) == {"conv", "conv_naive", "bn", "bn_alt"}
    assert found["conv_naive"] == Pair("conv", whole["conv_forward_naive"], whole["conv_backward_naive"])
    assert found["bn_alt"] == Pair("bn", 1, 3)


# ------------------------------------------------------------------------------
# The checks: each takes a pair with its case, inputs in float64, and upstream gradients for them
# ------------------------------------------------------------------------------


@dataclass
class Trial:
    pair: Pair
    case: Case
    inputs: list
    params: tuple
    douts: list = dataclasses.field(default_factory=list)

    def run(self, inputs: list) -> tuple[list, Any]:
        """The outputs, usually one, and the cache. Whatever forward writes into its parameters is forgotten."""
        *outs, cache = self.pair.forward(*self.case.arrange(inputs, copy.deepcopy(self.params)))
        return outs, cache

    def pull(self, douts: list, cache: Any) -> list:
        """The gradients, usually several."""
        grads = self.pair.backward(*douts, cache)
        return list(grads) if isinstance(grads, tuple) else [grads]


Check = Callable[[Trial], None]


def assert_close(actual: list, expected: list, tolerance: float = 1e-7) -> None:
    """On the scale of each tensor, not of each element: sums cancel, and leave rounding behind."""
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        scale = max(np.max(abs(a), initial=0), np.max(abs(b), initial=0))
        assert np.all(abs(a - b) <= tolerance * scale)


def forward_is_the_slow_loop(trial: Trial) -> None:
    outs, _ = trial.run(trial.inputs)
    slow = trial.case.slow(*trial.case.arrange(trial.inputs, copy.deepcopy(trial.params)))
    assert_close(outs, list(slow) if isinstance(slow, tuple) else [slow])


def backward_is_the_slope(trial: Trial) -> None:
    """Complex step where the maths is analytic, else centred differences, written here on purpose."""
    analytic = trial.case.analytic

    def loss(inputs: list) -> Any:
        outs, _ = trial.run(inputs)
        return sum(np.sum(out * dout) for out, dout in zip(outs, trial.douts, strict=True))

    def moved(which: int, index: tuple[int, ...], step: complex) -> list:
        copies = [x.astype(complex) if analytic else x.copy() for x in trial.inputs]
        copies[which][index] += step
        return copies

    slopes = [np.zeros_like(x) for x in trial.inputs]
    for which, x in enumerate(trial.inputs):
        for index in np.ndindex(x.shape):
            if analytic:
                slopes[which][index] = loss(moved(which, index, 1e-20j)).imag / 1e-20
            else:
                h = 1e-5
                plus, minus = loss(moved(which, index, h)), loss(moved(which, index, -h))
                slopes[which][index] = (plus - minus) / (2 * h)
    _, cache = trial.run(trial.inputs)
    assert_close(trial.pull(trial.douts, cache), slopes, 1e-9 if analytic else 1e-7)


def nothing_is_written_to(trial: Trial) -> None:
    """Except what the case names, and a generator, which numbers are drawn from."""

    def watched(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: watched(value[key]) for key in value if key not in trial.case.writes}
        return None if isinstance(value, np.random.Generator) else copy.deepcopy(value)

    def everything() -> Any:
        return copy.deepcopy((trial.inputs, trial.douts)), [watched(value) for value in params]

    params = copy.deepcopy(trial.params)
    before = everything()
    *_, cache = trial.pair.forward(*trial.case.arrange(trial.inputs, params))
    np.testing.assert_equal(everything(), before)
    cache_before = copy.deepcopy(cache)
    trial.pull(trial.douts, cache)
    np.testing.assert_equal(everything(), before)
    np.testing.assert_equal(cache, cache_before)


def read_only_is_enough(trial: Trial) -> None:
    params = [value for value in trial.params if isinstance(value, np.ndarray)]
    for array in [*trial.inputs, *trial.douts, *params]:
        array.flags.writeable = False
    *_, cache = trial.pair.forward(*trial.case.arrange(trial.inputs, trial.params))
    trial.pull(trial.douts, cache)


def backward_may_be_called_twice(trial: Trial) -> None:
    """Also when the gradients that it returned first have been written to since."""
    _, cache = trial.run(trial.inputs)
    grads = trial.pull(trial.douts, cache)
    first = copy.deepcopy(grads)
    for grad in grads:
        grad[...] = 7
    np.testing.assert_equal(trial.pull(trial.douts, cache), first)


def results_can_be_written_to(trial: Trial) -> None:
    """A caller may add to what it got (`dx += ...`) without changing what it gave."""
    before = copy.deepcopy((trial.inputs, trial.params, trial.douts))
    *outs, cache = trial.pair.forward(*trial.case.arrange(trial.inputs, trial.params))
    for array in trial.pull(trial.douts, cache) + outs:
        array[...] = 7
    arrays = [array for array in trial.params if isinstance(array, np.ndarray)]
    arrays_before = [array for array in before[1] if isinstance(array, np.ndarray)]
    np.testing.assert_equal((trial.inputs, arrays, trial.douts), (before[0], arrays_before, before[2]))


def float32_stays_float32(trial: Trial) -> None:
    small = [x.astype(np.float32) for x in trial.inputs], [d.astype(np.float32) for d in trial.douts]
    outs, cache = trial.run(small[0])
    grads = trial.pull(small[1], cache)
    assert {array.dtype for array in outs + grads} == {np.dtype(np.float32)}
    wide_outs, wide_cache = trial.run([x.astype(float) for x in small[0]])
    assert_close(outs, wide_outs, 1e-4)
    assert_close(grads, trial.pull([d.astype(float) for d in small[1]], wide_cache), 1e-4)


def integers_are_taken_as_float64(trial: Trial) -> None:
    for dtype in (np.int64, np.uint8, bool):
        whole = [np.rint(abs(3 * x)).astype(dtype) for x in trial.inputs]
        up = [np.rint(abs(3 * dout)).astype(dtype) for dout in trial.douts]
        outs, cache = trial.run(whole)
        grads = trial.pull(up, cache)
        assert {array.dtype for array in outs + grads} == {np.dtype(np.float64)}
        float_outs, float_cache = trial.run([x.astype(float) for x in whole])
        assert_close(outs, float_outs)
        assert_close(grads, trial.pull([d.astype(float) for d in up], float_cache))


def memory_layout_does_not_matter(trial: Trial) -> None:
    def strided(x: np.ndarray) -> np.ndarray:
        """The same numbers, every second element of a larger array, backwards, in Fortran order."""
        larger = np.full([2 * side for side in x.shape], np.nan, order="F")
        view = larger[(..., *(slice(None, None, -2) for _ in x.shape))]
        view[...] = x
        return view

    outs, cache = trial.run(trial.inputs)
    other_outs, other_cache = trial.run([strided(x) for x in trial.inputs])
    assert_close(other_outs, outs)
    grads = trial.pull([strided(dout) for dout in trial.douts], other_cache)
    assert_close(grads, trial.pull(trial.douts, cache))


def gradients_have_the_shapes_of_the_arguments(trial: Trial) -> None:
    _, cache = trial.run(trial.inputs)
    grads = trial.pair.backward(*trial.douts, cache)
    assert isinstance(grads, np.ndarray if len(trial.inputs) == 1 else tuple)
    assert [g.shape for g in trial.pull(trial.douts, cache)] == [x.shape for x in trial.inputs]


def backward_is_linear(trial: Trial) -> None:
    """Whatever forward does, the gradient of a weighted sum is the weighted sum of the gradients."""
    _, cache = trial.run(trial.inputs)
    others = [np.cos(np.arange(dout.size)).reshape(dout.shape) for dout in trial.douts]
    mixed = [3 * dout - 2 * other for dout, other in zip(trial.douts, others, strict=True)]
    parts = zip(trial.pull(trial.douts, cache), trial.pull(others, cache), strict=True)
    sums = [3 * one - 2 * other for one, other in parts]
    for grad, expected in zip(trial.pull(mixed, cache), sums, strict=True):
        np.testing.assert_allclose(grad, expected, rtol=1e-7, atol=1e-9)


def impossible_upstream_gradients_are_refused(trial: Trial) -> None:
    """Also those that would broadcast: (1, M) and () and (M,) for (N, M)."""
    _, cache = trial.run(trial.inputs)
    names = list(inspect.signature(trial.pair.backward).parameters)
    for which, dout in enumerate(trial.douts):
        for shape in {
            (*dout.shape, 2),
            (dout.shape[0] + 1, *dout.shape[1:]),
            (1, *dout.shape),
            dout.shape[1:],
            (),
        }:
            if shape == dout.shape:
                continue
            wrong = [*trial.douts[:which], np.ones(shape), *trial.douts[which + 1 :]]
            with pytest.raises(ValueError) as caught:
                trial.pair.backward(*wrong, cache)
            message = str(caught.value)
            refused_by = "|".join([trial.pair.name, *trial.case.parts])
            assert re.match(rf"({refused_by})_backward\w*: {names[which]} has shape", message)
            assert str(shape) in message
            assert str(dout.shape) in message


def pytorch_says_the_same(trial: Trial) -> None:
    """In float64, forward and every gradient; our float32 is held against its float64."""
    import torch

    torch.set_num_threads(1)
    for dtype, tolerance in ((np.float64, 1e-7), (np.float32, 1e-4)):
        inputs = [x.astype(dtype) for x in trial.inputs]
        douts = [dout.astype(dtype) for dout in trial.douts]
        tensors = [torch.tensor(x.astype(float), requires_grad=True) for x in inputs]
        theirs = trial.case.torch(tensors, copy.deepcopy(trial.params))
        theirs = list(theirs) if isinstance(theirs, tuple) else [theirs]
        up = [torch.tensor(dout.astype(float)) for dout in douts]
        their_grads = torch.autograd.grad(theirs, tensors, up)
        outs, cache = trial.run(inputs)
        assert_close(outs, [each.detach().numpy() for each in theirs], tolerance)
        assert_close(trial.pull(douts, cache), [each.numpy() for each in their_grads], tolerance)


CHECKS: list[Check] = [
    forward_is_the_slow_loop,
    backward_is_the_slope,
    nothing_is_written_to,
    read_only_is_enough,
    backward_may_be_called_twice,
    results_can_be_written_to,
    float32_stays_float32,
    integers_are_taken_as_float64,
    memory_layout_does_not_matter,
    gradients_have_the_shapes_of_the_arguments,
    backward_is_linear,
    impossible_upstream_gradients_are_refused,
]


def run(
    check: Check,
    pair: Pair,
    case: Case,
    batches: st.SearchStrategy[int],
    phases: tuple[Phase, ...] = tuple(Phase),
) -> None:
    """One check over inputs of many shapes, the same ones every time."""

    @settings(
        max_examples=20,
        phases=phases,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],  # of a busy machine
    )
    @given(shapes=batches.flatmap(case.shapes), seed=st.integers(0, 2**32 - 1))
    def over_many_shapes(shapes: Shapes, seed: int) -> None:
        rng = np.random.default_rng(seed)
        trial = Trial(pair, case, case.inputs(rng, shapes), case.other_arguments(rng, shapes))
        outs, _ = dataclasses.replace(trial, params=copy.deepcopy(trial.params)).run(
            copy.deepcopy(trial.inputs)
        )
        trial.douts = [np.asarray(rng.standard_normal(out.shape)) for out in outs]
        check(trial)

    over_many_shapes()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CHECKED)
def test_contract(name: str, check: Check):
    run(check, PAIRS[name], CASES[PAIRS[name].name], st.integers(2, 4))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CHECKED)
def test_contract_for_a_batch_of_one(name: str, check: Check):
    run(check, PAIRS[name], CASES[PAIRS[name].name], st.just(1))


@pytest.mark.parametrize("name", CHECKED)
def test_an_empty_batch_gives_empty_results_or_is_refused_in_words(name: str):
    pair = PAIRS[name]

    def shapes_or_words(trial: Trial) -> None:
        gradients_have_the_shapes_of_the_arguments(trial)
        for grad in trial.pull(trial.douts, trial.run(trial.inputs)[1]):
            assert not grad.any()  # a sum over no examples

    refused = ""
    try:
        run(shapes_or_words, pair, CASES[pair.name], st.just(0))
    except ValueError as error:
        refused = str(error)
    refused_by = "|".join([pair.name, *CASES[pair.name].parts])
    assert not refused or re.match(rf"({refused_by})_forward\w*: \w+ has shape \(0", refused)


@pytest.mark.parametrize("name", CHECKED)
def test_pytorch_says_the_same(name: str):
    case = CASES[PAIRS[name].name]
    assert case.torch, "name the same function of PyTorch, or the reason why there is none"
    if isinstance(case.torch, str):
        pytest.skip(case.torch)
    pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    run(pytorch_says_the_same, PAIRS[name], case, st.integers(1, 4))


@pytest.mark.parametrize(
    ("name", "argument", "shapes", "params"),
    [
        (name, row[0], row[1], row[2] if len(row) > 2 else None)
        for name in CHECKED
        for row in CASES[PAIRS[name].name].impossible
    ],
)
def test_impossible_shapes_are_refused_in_words(name: str, argument: str, shapes: Shapes, params: Any):
    pair = PAIRS[name]
    case = CASES[pair.name]
    if params is None:
        params = case.other_arguments(np.random.default_rng(0), shapes)
    with pytest.raises(ValueError) as caught:
        pair.forward(*case.arrange([np.ones(shape) for shape in shapes.values()], params))
    message = str(caught.value)
    assert message.startswith(f"{pair.forward.__name__}: ")
    named = {other for other in shapes if f"{other} has shape {shapes[other]}" in message}
    assert argument in named
    assert len(named) == min(2, len(shapes))


# ------------------------------------------------------------------------------
# The checks notice: a broken pair for each
# ------------------------------------------------------------------------------


def backward_twice_too_large(dout, cache):
    return 2 * relu_backward(dout, cache)


def backward_in_place(dout, cache):
    if dout.shape != cache.shape:
        return relu_backward(dout, cache)
    dout[~cache] = 0
    return dout


def backward_through_a_view(dout, cache):
    dx = dout.view()
    np.multiply(dx, cache, out=dx)
    return dx


def backward_that_uses_up_its_cache(dout, cache):
    dx = relu_backward(dout, cache)
    cache[...] = False
    return dx


def backward_that_promotes(dout, cache):
    return relu_backward(dout, cache) * np.float64(1)


def backward_that_keeps_integers(dout, cache):
    return dout * cache


def backward_in_a_tuple(dout, cache):
    return (relu_backward(dout, cache),)


def backward_that_clips(dout, cache):
    return np.clip(relu_backward(dout, cache), -0.5, 0.5)


def backward_that_broadcasts(dout, cache):
    return np.where(cache, dout, 0)


def forward_in_place(x):
    active = x > 0
    np.maximum(x, 0, out=x)
    return x, active


def forward_that_returns_its_argument(x):
    out, active = relu_forward(x)
    return (x, active) if active.all() else (out, active)


def forward_that_is_leaky(x):
    out, active = relu_forward(x)
    return np.where(active, out, 0.01 * np.asarray(x)), active


def forward_by_memory(x):
    out, active = relu_forward(x)
    return np.maximum(np.ravel(x, order="K"), 0).reshape(out.shape), active


def forward_that_keeps_notes(x, notes):
    notes["calls"] = notes.get("calls", 0) + 1
    return relu_forward(x)


def forward_with_room(x):
    out, active = relu_forward(x)
    return out, (active, {})


def backward_that_returns_what_it_keeps(dout, cache):
    dx = relu_backward(dout, cache[0])
    return cache[1].setdefault(dx.tobytes(), dx)


BROKEN: list[tuple[Check, Callable, Callable]] = [
    (forward_is_the_slow_loop, forward_that_is_leaky, relu_backward),
    (backward_is_the_slope, relu_forward, backward_twice_too_large),
    (backward_is_the_slope, forward_that_is_leaky, relu_backward),
    (nothing_is_written_to, forward_in_place, relu_backward),
    (nothing_is_written_to, relu_forward, backward_in_place),
    (nothing_is_written_to, relu_forward, backward_that_uses_up_its_cache),
    (read_only_is_enough, forward_in_place, relu_backward),
    (read_only_is_enough, relu_forward, backward_through_a_view),
    (backward_may_be_called_twice, relu_forward, backward_that_uses_up_its_cache),
    (backward_may_be_called_twice, forward_with_room, backward_that_returns_what_it_keeps),
    (results_can_be_written_to, forward_that_returns_its_argument, relu_backward),
    (results_can_be_written_to, relu_forward, backward_in_place),
    (float32_stays_float32, relu_forward, backward_that_promotes),
    (integers_are_taken_as_float64, relu_forward, backward_that_keeps_integers),
    (memory_layout_does_not_matter, forward_by_memory, relu_backward),
    (gradients_have_the_shapes_of_the_arguments, relu_forward, backward_in_a_tuple),
    (backward_is_linear, relu_forward, backward_that_clips),
    (impossible_upstream_gradients_are_refused, relu_forward, backward_that_broadcasts),
    (pytorch_says_the_same, forward_that_is_leaky, relu_backward),
    (pytorch_says_the_same, relu_forward, backward_twice_too_large),
]


@pytest.mark.parametrize(("check", "forward", "backward"), BROKEN, ids=lambda part: part.__name__)
def test_the_checks_notice(check: Check, forward: Callable, backward: Callable):
    if check is pytorch_says_the_same:
        pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        run(check, Pair("relu", forward, backward), CASES["relu"], st.integers(2, 4), (Phase.generate,))


def test_every_check_has_been_seen_to_fail():
    assert {check for check, _, _ in BROKEN} == {*CHECKS, pytorch_says_the_same}


def test_only_named_parameters_may_be_written_to():
    pair = Pair("relu", forward_that_keeps_notes, relu_backward)
    case = dataclasses.replace(CASES["relu"], params=({"mode": "train"},))
    with pytest.raises(AssertionError):
        run(nothing_is_written_to, pair, case, st.integers(2, 4), (Phase.generate,))
    run(nothing_is_written_to, pair, dataclasses.replace(case, writes=("calls",)), st.integers(2, 4))
