"""Every pair in `minigrad.layers` keeps the contract.

The pairs are found by name, in every module of the package; the table in `cases.py` says how to draw inputs
for each. Every check runs over every pair. The last section breaks pairs, and asks each check to notice.
"""

import copy
import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, Shapes
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad.layers
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward

# ------------------------------------------------------------------------------
# Finding the pairs
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def run(self, inputs: list, params: tuple = ()) -> tuple[list, Any]:
        """The outputs, usually one, and the cache."""
        *outs, cache = self.forward(*inputs, *params)
        return outs, cache

    def pull(self, douts: list, cache: Any) -> list:
        """The gradients, usually several."""
        grads = self.backward(*douts, cache)
        return list(grads) if isinstance(grads, tuple) else [grads]


def functions_of_the_package() -> dict[str, Callable[..., Any]]:
    found = {}
    for module in pkgutil.walk_packages(minigrad.layers.__path__, "minigrad.layers."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if re.fullmatch(r"[a-z]\w*_(forward|backward)", name) and callable(value):
                found[name] = value
    return found


FUNCTIONS = functions_of_the_package()
PAIRS = {
    name: Pair(name, FUNCTIONS[f"{name}_forward"], FUNCTIONS[f"{name}_backward"])
    for name in sorted({function.rpartition("_")[0] for function in FUNCTIONS})
    if f"{name}_forward" in FUNCTIONS and f"{name}_backward" in FUNCTIONS
}


def test_every_forward_has_its_backward():
    halves = {name for name in FUNCTIONS if name.rpartition("_")[0] not in PAIRS}
    assert not halves


def test_every_pair_has_a_case_and_every_case_a_pair():
    assert set(PAIRS) == set(CASES)


def test_every_pair_can_be_imported_from_the_package():
    assert {name: getattr(minigrad.layers, name, None) for name in FUNCTIONS} == FUNCTIONS
    assert set(FUNCTIONS) <= set(minigrad.layers.__all__)


def test_the_obvious_pairs_are_found():
    assert {"affine", "relu"} <= set(PAIRS)  # were the search broken, every check would pass over nothing


# ------------------------------------------------------------------------------
# The checks: each takes a pair, its case, inputs in float64, and upstream gradients for them
# ------------------------------------------------------------------------------

Check = Callable[[Pair, Case, list, list], None]


def assert_close(actual: list, expected: list, tolerance: float = 1e-7) -> None:
    """On the scale of each tensor, not of each element: sums cancel, and leave rounding behind."""
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        scale = max(np.max(abs(a), initial=0), np.max(abs(b), initial=0))
        assert np.all(abs(a - b) <= tolerance * scale)


def forward_is_the_slow_loop(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    outs, _ = pair.run(inputs, case.params)
    slow = case.slow(*inputs, *case.params)
    assert_close(outs, list(slow) if isinstance(slow, tuple) else [slow])


def backward_is_the_slope(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    """Complex step where the maths is analytic, else centred differences, written here on purpose."""

    def loss(inputs: list) -> Any:
        outs, _ = pair.run(inputs, case.params)
        return sum(np.sum(out * dout) for out, dout in zip(outs, douts, strict=True))

    def moved(which: int, index: tuple[int, ...], step: complex) -> list:
        copies = [x.astype(complex) if case.analytic else x.copy() for x in inputs]
        copies[which][index] += step
        return copies

    slopes = [np.zeros_like(x) for x in inputs]
    for which, x in enumerate(inputs):
        for index in np.ndindex(x.shape):
            if case.analytic:
                slopes[which][index] = loss(moved(which, index, 1e-20j)).imag / 1e-20
            else:
                h = 1e-5
                plus, minus = loss(moved(which, index, h)), loss(moved(which, index, -h))
                slopes[which][index] = (plus - minus) / (2 * h)
    _, cache = pair.run(inputs, case.params)
    assert_close(pair.pull(douts, cache), slopes, 1e-9 if case.analytic else 1e-7)


def nothing_is_written_to(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    params = copy.deepcopy(case.params)
    before = copy.deepcopy((inputs, params, douts))
    _, cache = pair.run(inputs, params)
    np.testing.assert_equal((inputs, params), before[:2])
    cache_before = copy.deepcopy(cache)
    pair.pull(douts, cache)
    np.testing.assert_equal((inputs, params, douts), before)
    np.testing.assert_equal(cache, cache_before)


def read_only_is_enough(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    for array in [*inputs, *douts]:
        array.flags.writeable = False
    _, cache = pair.run(inputs, case.params)
    pair.pull(douts, cache)


def backward_may_be_called_twice(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    _, cache = pair.run(inputs, case.params)
    first = copy.deepcopy(pair.pull(douts, cache))
    np.testing.assert_equal(pair.pull(douts, cache), first)


def results_can_be_written_to(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    """A caller may add to what it got (`dx += ...`) without changing what it gave."""
    before = copy.deepcopy((inputs, douts))
    outs, cache = pair.run(inputs, case.params)
    for array in pair.pull(douts, cache) + outs:
        array[...] = 7
    np.testing.assert_equal((inputs, douts), before)


def float32_stays_float32(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    small = [x.astype(np.float32) for x in inputs], [d.astype(np.float32) for d in douts]
    outs, cache = pair.run(small[0], case.params)
    grads = pair.pull(small[1], cache)
    assert {array.dtype for array in outs + grads} == {np.dtype(np.float32)}
    wide_outs, wide_cache = pair.run([x.astype(float) for x in small[0]], case.params)
    assert_close(outs, wide_outs, 1e-4)
    assert_close(grads, pair.pull([d.astype(float) for d in small[1]], wide_cache), 1e-4)


def integers_are_taken_as_float64(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    for dtype in (np.int64, np.uint8, bool):
        whole = [np.rint(abs(3 * x)).astype(dtype) for x in inputs]
        up = [np.rint(abs(3 * dout)).astype(dtype) for dout in douts]
        outs, cache = pair.run(whole, case.params)
        grads = pair.pull(up, cache)
        assert {array.dtype for array in outs + grads} == {np.dtype(np.float64)}
        float_outs, float_cache = pair.run([x.astype(float) for x in whole], case.params)
        assert_close(outs, float_outs)
        assert_close(grads, pair.pull([d.astype(float) for d in up], float_cache))


def memory_layout_does_not_matter(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    def strided(x: np.ndarray) -> np.ndarray:
        """The same numbers, every second element of a larger array, backwards, in Fortran order."""
        larger = np.full([2 * side for side in x.shape], np.nan, order="F")
        view = larger[tuple(slice(None, None, -2) for _ in x.shape)]
        view[...] = x
        return view

    outs, cache = pair.run(inputs, case.params)
    other_outs, other_cache = pair.run([strided(x) for x in inputs], case.params)
    assert_close(other_outs, outs)
    assert_close(pair.pull([strided(dout) for dout in douts], other_cache), pair.pull(douts, cache))


def gradients_have_the_shapes_of_the_arguments(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    _, cache = pair.run(inputs, case.params)
    grads = pair.backward(*douts, cache)
    assert isinstance(grads, np.ndarray if len(inputs) == 1 else tuple)
    assert [g.shape for g in pair.pull(douts, cache)] == [x.shape for x in inputs]


def backward_is_linear(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    """Whatever forward does, the gradient of a weighted sum is the weighted sum of the gradients."""
    _, cache = pair.run(inputs, case.params)
    others = [np.cos(np.arange(dout.size)).reshape(dout.shape) for dout in douts]
    mixed = [3 * dout - 2 * other for dout, other in zip(douts, others, strict=True)]
    parts = zip(pair.pull(douts, cache), pair.pull(others, cache), strict=True)
    sums = [3 * one - 2 * other for one, other in parts]
    for grad, expected in zip(pair.pull(mixed, cache), sums, strict=True):
        np.testing.assert_allclose(grad, expected, rtol=1e-7, atol=1e-9)


def impossible_upstream_gradients_are_refused(pair: Pair, case: Case, inputs: list, douts: list) -> None:
    """Also those that would broadcast: (1, M) and () and (M,) for (N, M)."""
    _, cache = pair.run(inputs, case.params)
    for which, dout in enumerate(douts):
        for shape in {
            (*dout.shape, 2),
            (dout.shape[0] + 1, *dout.shape[1:]),
            (1, *dout.shape),
            dout.shape[1:],
            (),
        }:
            if shape == dout.shape:
                continue
            wrong = [*douts[:which], np.ones(shape), *douts[which + 1 :]]
            with pytest.raises(ValueError) as caught:
                pair.backward(*wrong, cache)
            message = str(caught.value)
            assert message.startswith(f"{pair.name}_backward: dout")
            assert str(shape) in message
            assert str(dout.shape) in message


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
    )
    @given(shapes=batches.flatmap(case.shapes), seed=st.integers(0, 2**32 - 1))
    def over_many_shapes(shapes: Shapes, seed: int) -> None:
        rng = np.random.default_rng(seed)
        inputs = [case.draw(rng, shape) for shape in shapes.values()]
        outs, _ = pair.run(copy.deepcopy(inputs), copy.deepcopy(case.params))
        check(pair, case, inputs, [rng.standard_normal(out.shape) for out in outs])

    over_many_shapes()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", PAIRS)
def test_contract(name: str, check: Check):
    run(check, PAIRS[name], CASES[name], st.integers(2, 4))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", PAIRS)
def test_contract_for_a_batch_of_one(name: str, check: Check):
    run(check, PAIRS[name], CASES[name], st.just(1))


@pytest.mark.parametrize(
    ("name", "argument", "shapes"),
    [(name, argument, shapes) for name, case in CASES.items() for argument, shapes in case.impossible],
)
def test_impossible_shapes_are_refused_in_words(name: str, argument: str, shapes: Shapes):
    with pytest.raises(ValueError) as caught:
        PAIRS[name].forward(*(np.ones(shape) for shape in shapes.values()), *CASES[name].params)
    message = str(caught.value)
    assert message.startswith(f"{name}_forward: ")
    named = {other for other in shapes if f"{other} has shape {shapes[other]}" in message}
    assert argument in named
    assert len(named) == 2


# ------------------------------------------------------------------------------
# What is true of one pair only
# ------------------------------------------------------------------------------


def test_affine_of_an_empty_batch():
    out, cache = affine_forward(np.ones((0, 2, 3)), np.ones((6, 4)), np.ones(4))
    dx, dw, db = affine_backward(out, cache)
    assert out.shape == (0, 4)
    assert dx.shape == (0, 2, 3)
    assert not dw.any()
    assert not db.any()


def test_affine_promotes_integers_before_it_multiplies():
    out, _ = affine_forward(
        np.full((1, 2), 200, np.uint8), np.full((2, 1), 200, np.uint8), np.zeros(1, np.uint8)
    )
    assert out == 80_000  # 128 in eight bits


def test_relu_passes_no_gradient_at_zero():
    for zero in (0.0, -0.0):
        out, cache = relu_forward(np.array([zero]))
        assert out == 0
        assert relu_backward(np.array([5.0]), cache) == 0


@pytest.mark.parametrize("upstream", [np.inf, -np.inf, np.nan])
def test_a_dead_unit_passes_on_nothing_whatever_comes_from_above(upstream: float):
    _, cache = relu_forward(np.array([-1.0]))
    assert relu_backward(np.array([upstream]), cache) == 0


def test_relu_of_extreme_numbers():
    out, cache = relu_forward(np.array([-np.inf, np.inf, np.nan, 5e-324, -5e-324]))
    np.testing.assert_array_equal(out, [0, np.inf, np.nan, 5e-324, 0])
    np.testing.assert_array_equal(relu_backward(np.ones(5), cache), [0, 1, 0, 1, 0])


def test_relu_gradient_belongs_to_the_input_that_forward_saw():
    x = np.array([1.0, -1.0])
    _, cache = relu_forward(x)
    x *= -1
    np.testing.assert_array_equal(relu_backward(np.ones(2), cache), [1, 0])


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
    (results_can_be_written_to, forward_that_returns_its_argument, relu_backward),
    (results_can_be_written_to, relu_forward, backward_in_place),
    (float32_stays_float32, relu_forward, backward_that_promotes),
    (integers_are_taken_as_float64, relu_forward, backward_that_keeps_integers),
    (memory_layout_does_not_matter, forward_by_memory, relu_backward),
    (gradients_have_the_shapes_of_the_arguments, relu_forward, backward_in_a_tuple),
    (backward_is_linear, relu_forward, backward_that_clips),
    (impossible_upstream_gradients_are_refused, relu_forward, backward_that_broadcasts),
]


@pytest.mark.parametrize(("check", "forward", "backward"), BROKEN, ids=lambda part: part.__name__)
def test_the_checks_notice(check: Check, forward: Callable, backward: Callable):
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        run(check, Pair("relu", forward, backward), CASES["relu"], st.integers(2, 4), (Phase.generate,))


def test_every_check_has_been_seen_to_fail():
    assert {check for check, _, _ in BROKEN} == set(CHECKS)
