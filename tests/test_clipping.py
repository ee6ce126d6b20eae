import copy
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.clipping import clip_grad_norm, clip_grad_value

CLIPS = [clip_grad_norm, clip_grad_value]
both = pytest.mark.parametrize("clip", CLIPS, ids=lambda function: function.__name__)
quickly = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def draw(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "W": scale * rng.standard_normal((3, 4)),
        "b": scale * rng.standard_normal(4),
        "s": np.array(scale),
    }


def flat(grads: dict) -> np.ndarray:
    return np.concatenate([np.ravel(g) for g in grads.values()])


@quickly
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-3, 3), limit=st.floats(1e-3, 1e3))
def test_both_are_those_of_pytorch(seed: int, exponent: int, limit: float):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    grads = draw(seed, 10.0**exponent)

    def parameters() -> list:
        found = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in grads.values()]
        for parameter, g in zip(found, grads.values(), strict=True):
            parameter.grad = torch.tensor(g)
        return found

    theirs = parameters()
    their_norm = torch.nn.utils.clip_grad_norm_(theirs, limit)
    clipped, norm = clip_grad_norm(grads, limit)
    assert norm == pytest.approx(their_norm.item(), rel=1e-12)
    for g, parameter in zip(clipped.values(), theirs, strict=True):
        np.testing.assert_allclose(
            g, parameter.grad.numpy(), rtol=1e-5 + 1e-6 / norm
        )  # it adds 1e-6 to the norm

    theirs = parameters()
    torch.nn.utils.clip_grad_value_(theirs, limit)
    clipped, largest = clip_grad_value(grads, limit)
    assert largest == abs(flat(grads)).max()
    for g, parameter in zip(clipped.values(), theirs, strict=True):
        np.testing.assert_array_equal(g, parameter.grad.numpy())


@quickly
@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(1e-3, 10))
def test_the_norm_keeps_the_direction(seed: int, limit: float):
    grads = draw(seed)
    clipped, norm = clip_grad_norm(grads, limit)
    assert norm == pytest.approx(np.linalg.norm(flat(grads)))
    assert np.linalg.norm(flat(clipped)) == pytest.approx(min(norm, limit))
    cosine = flat(clipped) @ flat(grads) / np.linalg.norm(flat(clipped)) / norm
    assert cosine == pytest.approx(1)


def test_the_value_turns_the_direction():
    grads = {"W": np.array([1.0, 0.1])}
    clipped, _ = clip_grad_value(grads, 0.1)
    cosine = flat(clipped) @ flat(grads) / np.linalg.norm(flat(clipped)) / np.linalg.norm(flat(grads))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(45 - np.degrees(np.arctan(0.1)))


def test_the_norm_leaves_the_ratio_between_layers():
    grads = {"first": np.array([1e-6]), "last": np.array([1e3])}
    clipped, _ = clip_grad_norm(grads, 1.0)
    assert clipped["last"] / clipped["first"] == pytest.approx(1e9)


@both
def test_what_is_small_is_left_alone_and_copied(clip: Callable):
    grads = draw(0)
    clipped, measured = clip(grads, 1e3)
    assert 0 < measured < 1e3
    for name, g in grads.items():
        np.testing.assert_array_equal(clipped[name], g)
        assert not np.shares_memory(clipped[name], g)


@both
@pytest.mark.parametrize("limit", [0.1, 1e3])
def test_nothing_is_written_to(clip: Callable, limit: float):
    grads = draw(0)
    before = copy.deepcopy(grads)
    for g in grads.values():
        g.flags.writeable = False
    clip(grads, limit)
    np.testing.assert_equal(grads, before)


@both
def test_each_array_keeps_its_dtype(clip: Callable):
    grads = {"a": np.ones(3, np.float16), "b": np.ones(3, np.float32), "c": np.ones(3), "d": np.ones(3, int)}
    clipped, measured = clip(grads, 0.5)
    assert [g.dtype for g in clipped.values()] == [np.float16, np.float32, np.float64, np.float64]
    assert type(measured) is float


@both
def test_nothing_and_zeros(clip: Callable):
    assert clip({}, 1.0) == ({}, 0.0)
    clipped, measured = clip({"W": np.zeros((2, 2)), "empty": np.ones((0, 3))}, 1.0)
    assert measured == 0
    assert not clipped["W"].any()
    assert clipped["empty"].shape == (0, 3)
    clipped, _ = clip({"W": np.ones(2)}, 0.0)
    assert not clipped["W"].any()


def test_squares_that_overflow_do_not():
    huge = np.array([3e30, 4e30], np.float32)
    clipped, norm = clip_grad_norm({"W": huge}, 1.0)
    assert norm == pytest.approx(5e30)
    np.testing.assert_allclose(clipped["W"], [0.6, 0.8], rtol=1e-6)
    clipped, norm = clip_grad_norm({"W": np.array([3e300, 4e300])}, 1.0)
    np.testing.assert_allclose(clipped["W"], [0.6, 0.8])
    _, norm = clip_grad_norm({"W": np.array([3e-320, 4e-320])}, 1.0)
    assert norm == pytest.approx(5e-320, rel=1e-3)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_norm_that_is_not_finite_is_reported_and_nothing_is_made_worse(bad: float):
    grads = {"W": np.array([1.0, bad]), "b": np.array([2.0])}
    clipped, norm = clip_grad_norm(grads, 1.0)
    np.testing.assert_equal(norm, abs(bad))
    np.testing.assert_equal(clipped, grads)
    clipped, largest = clip_grad_value(grads, 0.5)
    np.testing.assert_equal(largest, abs(bad))
    np.testing.assert_array_equal(clipped["W"], [0.5, np.clip(bad, -0.5, 0.5)])
    np.testing.assert_array_equal(clipped["b"], [0.5])


@both
@pytest.mark.parametrize("limit", [-1.0, np.nan])
def test_impossible_limits_are_refused(clip: Callable, limit: float):
    with pytest.raises(ValueError, match=rf"{clip.__name__}: max_\w+ must be a number and not negative"):
        clip(draw(0), limit)


@both
def test_no_limit_is_a_way_to_measure(clip: Callable):
    grads = draw(0)
    clipped, _ = clip(grads, np.inf)
    np.testing.assert_equal(clipped, grads)
