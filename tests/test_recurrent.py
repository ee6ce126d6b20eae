"""Recurrent layers: a sequence is its steps, CS231n's printed values, and how gradients travel through time."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.gradcheck import rel_error
from minigrad.layers import (
    gru_backward,
    gru_forward,
    gru_step_backward,
    gru_step_forward,
    last_step_forward,
    lstm_backward,
    lstm_forward,
    lstm_step_backward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_backward,
    rnn_step_forward,
    temporal_affine_backward,
    temporal_affine_forward,
)

# ------------------------------------------------------------------------------
# A sequence is its steps
# ------------------------------------------------------------------------------


def no_cell(forward: Callable, backward: Callable) -> tuple[Callable, Callable]:
    """A step without a memory cell, in the form of one that has it."""

    def step(x, prev_h, prev_c, *weights):
        next_h, cache = forward(x, prev_h, *weights)
        return next_h, prev_c, cache

    def back(dnext_h, dnext_c, cache):
        dx, dprev_h, *dweights = backward(dnext_h, cache)
        return dx, dprev_h, dnext_c, *dweights

    return step, back


KINDS: dict[str, tuple[int, Callable, Callable, Callable, Callable]] = {
    "rnn": (1, rnn_forward, rnn_backward, *no_cell(rnn_step_forward, rnn_step_backward)),
    "lstm": (4, lstm_forward, lstm_backward, lstm_step_forward, lstm_step_backward),
    "gru": (3, gru_forward, gru_backward, *no_cell(gru_step_forward, gru_step_backward)),
}


def by_steps(step: Callable, back: Callable, x, h, Wx, Wh, b, dh) -> list[np.ndarray]:
    """Forward and backward through a sequence, with the step functions and `+=` alone."""
    c, hs, caches = np.zeros_like(h), [], []
    for t in range(x.shape[1]):
        h, c, cache = step(x[:, t], h, c, Wx, Wh, b)
        hs.append(h)
        caches.append(cache)
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
    dprev_h, dprev_c = np.zeros_like(h), np.zeros_like(h)
    for t in reversed(range(x.shape[1])):
        dx[:, t], dprev_h, dprev_c, *dweights = back(dh[:, t] + dprev_h, dprev_c, caches[t])
        for total, more in zip((dWx, dWh, db), dweights, strict=True):
            total += more
    return [np.stack(hs, axis=1), dx, dprev_h, dWx, dWh, db]


def draw(rng: np.random.Generator, blocks: int, n: int, steps: int, d: int, width: int) -> list[np.ndarray]:
    """x, h0, Wx, Wh, b and dh."""
    shapes = [(n, steps, d), (n, width), (d, blocks * width), (width, blocks * width), (blocks * width,)]
    return [rng.standard_normal(shape) for shape in [*shapes, (n, steps, width)]]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sequence_is_its_steps(kind: str, sizes: tuple[int, ...], seed: int):
    blocks, forward, backward, step, back = KINDS[kind]
    *arguments, dh = draw(np.random.default_rng(seed), blocks, *sizes)
    h, cache = forward(*arguments)
    slow = by_steps(step, back, *arguments, dh)
    for fast, other in zip([h, *backward(dh, cache)], slow, strict=True):
        np.testing.assert_allclose(fast, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", range(5), ids=["x", "h0", "Wx", "Wh", "b"])
def test_one_wide_argument_makes_all_results_wide(kind: str, which: int, rng: np.random.Generator):
    blocks, forward, backward, _, _ = KINDS[kind]
    *arguments, dh = draw(rng, blocks, 2, 3, 2, 3)
    mixed = [a.astype(np.float64 if k == which else np.float32) for k, a in enumerate(arguments)]
    h, cache = forward(*mixed)
    assert {a.dtype for a in [h, *backward(dh.astype(np.float32), cache)]} == {np.dtype(np.float64)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "steps"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_to_read(kind: str, n: int, steps: int, rng: np.random.Generator):
    blocks, forward, backward, _, _ = KINDS[kind]
    *arguments, dh = draw(rng, blocks, n, steps, 2, 3)
    h, cache = forward(*arguments)
    grads = backward(dh, cache)
    assert h.shape == (n, steps, 3)
    assert [grad.shape for grad in grads] == [argument.shape for argument in arguments]
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_caller_does_to_the_states_does_not_reach_backward(kind: str, rng: np.random.Generator):
    for n in (1, 3):
        blocks, forward, backward, step, back = KINDS[kind]
        *arguments, dh = draw(rng, blocks, n, 4, 2, 3)
        h, cache = forward(*arguments)
        h[...] = 7
        for grad, expected in zip(backward(dh, cache), by_steps(step, back, *arguments, dh)[1:], strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-10, atol=1e-12)
        next_h, next_c, cache = step(arguments[0][:, 0], arguments[1], np.zeros((n, 3)), *arguments[2:])
        before = back(dh[:, 0], dh[:, 1], cache)
        next_h[...] = 7
        if kind == "lstm":
            next_c[...] = 7
        for grad, expected in zip(back(dh[:, 0], dh[:, 1], cache), before, strict=True):
            np.testing.assert_array_equal(grad, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_far_out_are_silent_and_finite(kind: str, dtype: type, rng: np.random.Generator):
    blocks, forward, backward, step, _ = KINDS[kind]
    *arguments, dh = (a.astype(dtype) for a in draw(rng, blocks, 2, 4, 3, 3))
    arguments[2] *= 1e6
    h, cache = forward(*arguments)
    assert np.isfinite(h).all()
    assert all(np.isfinite(grad).all() for grad in backward(dh, cache))
    assert np.isfinite(step(arguments[0][:, 0], arguments[1], arguments[1], *arguments[2:])[0]).all()


# ------------------------------------------------------------------------------
# CS231n's printed values
# ------------------------------------------------------------------------------


def ramp(start: float, stop: float, *shape: int) -> np.ndarray:
    return np.linspace(start, stop, num=int(np.prod(shape))).reshape(shape)


def test_cs231n_rnn_step_forward():
    N, D, H = 3, 10, 4
    next_h, _ = rnn_step_forward(
        ramp(-0.4, 0.7, N, D),
        ramp(-0.2, 0.5, N, H),
        ramp(-0.1, 0.9, D, H),
        ramp(-0.3, 0.7, H, H),
        ramp(-0.2, 0.4, H),
    )
    printed = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    assert rel_error(next_h, printed) < 1e-8


def test_cs231n_rnn_forward():
    N, T, D, H = 2, 3, 4, 5
    h, _ = rnn_forward(
        ramp(-0.1, 0.3, N, T, D),
        ramp(-0.3, 0.1, N, H),
        ramp(-0.2, 0.4, D, H),
        ramp(-0.4, 0.1, H, H),
        ramp(-0.7, 0.1, H),
    )
    printed = [
        [
            [-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251],
            [-0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316],
            [-0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525],
        ],
        [
            [-0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671],
            [-0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768],
            [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043],
        ],
    ]
    assert rel_error(h, printed) < 1e-7


def test_cs231n_lstm_step_forward():
    N, D, H = 3, 4, 5
    next_h, next_c, _ = lstm_step_forward(
        ramp(-0.4, 1.2, N, D),
        ramp(-0.3, 0.7, N, H),
        ramp(-0.4, 0.9, N, H),
        ramp(-2.1, 1.3, D, 4 * H),
        ramp(-0.7, 2.2, H, 4 * H),
        ramp(0.3, 0.7, 4 * H),
    )
    printed_h = [
        [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904],
        [0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181],
        [0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299],
    ]
    printed_c = [
        [0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407],
        [0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345],
        [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676],
    ]
    assert rel_error(next_h, printed_h) < 1e-8
    assert rel_error(next_c, printed_c) < 1e-8


def test_cs231n_lstm_forward():
    N, D, H, T = 2, 5, 4, 3
    h, _ = lstm_forward(
        ramp(-0.4, 0.6, N, T, D),
        ramp(-0.4, 0.8, N, H),
        ramp(-0.2, 0.9, D, 4 * H),
        ramp(-0.3, 0.6, H, 4 * H),
        ramp(0.2, 0.7, 4 * H),
    )
    printed = [
        [
            [0.01764008, 0.01823233, 0.01882671, 0.0194232],
            [0.11287491, 0.12146228, 0.13018446, 0.13902939],
            [0.31358768, 0.33338627, 0.35304453, 0.37250975],
        ],
        [
            [0.45767879, 0.4761092, 0.4936887, 0.51041945],
            [0.6704845, 0.69350089, 0.71486014, 0.7346449],
            [0.81733511, 0.83677871, 0.85403753, 0.86935314],
        ],
    ]
    assert rel_error(h, printed) < 1e-7


# ------------------------------------------------------------------------------
# PyTorch's modules, with their own weights
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_torch_modules_say_the_same(kind: str, rng: np.random.Generator):
    """The translation that a reader would write: transpose, put the gates in our order, add the two biases."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    blocks, forward, backward, _, _ = KINDS[kind]
    *_, dh = arguments = draw(rng, blocks, 4, 6, 3, 5)
    x, h0 = arguments[:2]
    module = getattr(torch.nn, kind.upper())(3, 5, batch_first=True, dtype=torch.float64)
    if kind == "gru":
        with torch.no_grad():
            module.bias_hh_l0[10:] = 0  # the one bias that has no counterpart
    order = [0, 1, 3, 2] if kind == "lstm" else range(blocks)  # i f g o there, i f o g here
    rows = np.concatenate([np.arange(5 * k, 5 * (k + 1)) for k in order])
    Wx, Wh, b1, b2 = (array.detach().numpy()[rows] for array in module.parameters())
    h, cache = forward(x, h0, Wx.T, Wh.T, b1 + b2)
    dx, dh0, dWx, dWh, db = backward(dh, cache)

    tensors = [torch.tensor(a, requires_grad=True) for a in (x, h0[None])]
    state = (tensors[1], torch.zeros_like(tensors[1])) if kind == "lstm" else tensors[1]
    their_h, _ = module(tensors[0], state)
    their_h.backward(torch.tensor(dh))
    theirs = [their_h.detach(), tensors[0].grad, tensors[1].grad[0]]
    theirs += [p.grad[rows] for p in (module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0)]
    for ours, other in zip([h, dx, dh0, dWx.T, dWh.T, db], theirs, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------
# How gradients travel through time
# ------------------------------------------------------------------------------


def first_gradient(kind: str, steps: int, Wh: np.ndarray, b: np.ndarray) -> float:
    """Norm of dh0 for a gradient of norm 1 at the last step, with no input and a small state."""
    _, forward, backward, _, _ = KINDS[kind]
    width = len(Wh)
    h0 = np.full((1, width), 1e-6)
    _, cache = forward(np.zeros((1, steps, 1)), h0, np.zeros((1, Wh.shape[1])), Wh, b)
    dh = np.zeros((1, steps, width))
    dh[0, -1, 0] = 1
    return float(np.linalg.norm(backward(dh, cache)[1]))


def rotation(rng: np.random.Generator, width: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((width, width)))[0]


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.0, 1.1])
def test_the_gradient_of_a_vanilla_network_is_multiplied_by_the_radius_at_each_step(
    radius: float, rng: np.random.Generator
):
    Wh = radius * rotation(rng, 8)  # every eigenvalue and singular value is `radius`
    assert first_gradient("rnn", 40, Wh, np.zeros(8)) == pytest.approx(radius**40, rel=1e-3)


def test_saturation_makes_it_vanish_at_a_radius_above_one(rng: np.random.Generator):
    Wh = 1.5 * rotation(rng, 8)
    _, cache = rnn_forward(rng.standard_normal((1, 60, 8)), np.zeros((1, 8)), 3 * np.eye(8), Wh, np.zeros(8))
    dh = np.zeros((1, 60, 8))
    dh[0, -1, 0] = 1
    assert np.linalg.norm(rnn_backward(dh, cache)[1]) < 1e-6


def test_the_gates_hold_the_gradient_where_the_plain_network_loses_it():
    width, steps = 4, 50
    lost = first_gradient("rnn", steps, 0.5 * np.eye(width), np.zeros(width))
    b = np.zeros(3 * width)
    b[width : 2 * width] = 8.0  # the update gate z
    kept = first_gradient("gru", steps, np.zeros((width, 3 * width)), b)
    assert lost < 1e-14
    assert kept > 0.98


def test_the_cell_of_an_lstm_is_multiplied_by_the_forget_gate_alone(rng: np.random.Generator):
    x, h, c, *weights = (rng.standard_normal(s) for s in [(3, 2), (3, 4), (3, 4), (2, 16), (4, 16), (16,)])
    *_, cache = lstm_step_forward(x, h, c, *weights)
    _, _, dprev_c, *_ = lstm_step_backward(np.zeros((3, 4)), np.ones((3, 4)), cache)
    Wx, Wh, b = (w[..., 4:8] for w in weights)
    np.testing.assert_allclose(dprev_c, 1 / (1 + np.exp(-(x @ Wx + h @ Wh + b))), rtol=1e-12)


def test_the_order_of_the_gates_is_i_f_o_g():
    """Each gate alone opened wide, seen by what it does to a cell of 2 and a state of 0."""
    shut = np.repeat([-50.0, -50.0, -50.0, 50.0], 1)

    def run(*opened: int) -> list[float]:
        b = shut.copy()
        b[list(opened)] = 50.0
        zero = np.zeros((1, 1))
        next_h, next_c, _ = lstm_step_forward(
            zero, zero, np.array([[2.0]]), np.zeros((1, 4)), np.zeros((1, 4)), b
        )
        return [round(next_c.item(), 6), round(next_h.item(), 6)]

    assert run() == [0, 0]
    assert run(0) == [1, 0]  # i lets tanh(50) = 1 in
    assert run(1) == [2, 0]  # f keeps the 2
    assert run(0, 1, 2) == [3, round(np.tanh(3.0), 6)]  # o lets tanh(c) out


def test_the_order_of_the_gates_is_r_z_n():
    zero, one = np.zeros((1, 1)), np.array([[1.0]])
    Wh = np.array([[0.0, 0.0, 5.0]])
    for b, expected in (
        ([-50.0, -50.0, 0.5], np.tanh(0.5)),  # reset: what n sees of the state is gone
        ([50.0, -50.0, 0.5], np.tanh(5.5)),
        ([-50.0, 50.0, 0.5], 1.0),  # update gate open: the old state
    ):
        next_h, _ = gru_step_forward(zero, one, np.zeros((1, 3)), Wh, np.array(b))
        assert next_h.item() == pytest.approx(expected, rel=1e-12)


# ------------------------------------------------------------------------------
# On top of a sequence
# ------------------------------------------------------------------------------


def test_temporal_affine_of_nothing():
    for shape in [(0, 3, 2), (3, 0, 2)]:
        out, cache = temporal_affine_forward(np.ones(shape), np.ones((2, 5)), np.ones(5))
        assert out.shape == (*shape[:2], 5)
        dx, dw, db = temporal_affine_backward(out, cache)
        assert dx.shape == shape
        assert not dw.any()
        assert not db.any()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0, 3), (2, 3, 4, 5)])
def test_there_must_be_a_last_step(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"^last_step_forward: h has shape \(.*\); it must be"):
        last_step_forward(np.zeros(shape))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)
