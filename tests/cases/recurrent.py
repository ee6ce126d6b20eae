"""Recurrent layers, a step and a sequence of each, and the affine layer over a sequence."""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shape, Shapes, sides

# ------------------------------------------------------------------------------
# Shapes, possible and impossible
# ------------------------------------------------------------------------------


def step_shapes(
    blocks: int, states: tuple[str, ...] = ("prev_h",)
) -> Callable[[int], st.SearchStrategy[Shapes]]:
    return lambda n: st.tuples(sides, sides).map(
        lambda d_h: {
            "x": (n, d_h[0]),
            **dict.fromkeys(states, (n, d_h[1])),
            "Wx": (d_h[0], blocks * d_h[1]),
            "Wh": (d_h[1], blocks * d_h[1]),
            "b": (blocks * d_h[1],),
        }
    )


def sequence_shapes(blocks: int) -> Callable[[int], st.SearchStrategy[Shapes]]:
    return lambda n: st.tuples(sides, sides, sides).map(
        lambda t_d_h: {
            "x": (n, *t_d_h[:2]),
            "h0": (n, t_d_h[2]),
            "Wx": (t_d_h[1], blocks * t_d_h[2]),
            "Wh": (t_d_h[2], blocks * t_d_h[2]),
            "b": (blocks * t_d_h[2],),
        }
    )


def impossible(
    blocks: int, states: tuple[str, ...], steps: tuple[int, ...] = ()
) -> tuple[tuple[str, Shapes], ...]:
    """Everything that does not fit, also what would broadcast; N is 5, D is 3 and H is 2."""
    columns = 2 * blocks
    good: Shapes = {
        "x": (5, *steps, 3),
        **dict.fromkeys(states, (5, 2)),
        "Wx": (3, columns),
        "Wh": (2, columns),
        "b": (columns,),
    }
    wrong: list[tuple[str, Shape]] = [
        ("x", (5, *steps, 4)),
        ("x", (3,)),
        ("x", (5, 1, *steps, 3)),
        ("Wx", (4, columns)),
        ("Wx", (3,)),
        ("Wx", (5, 3, columns)),
        ("Wh", (2, columns + 1)),
        ("Wh", (3, columns)),
        ("Wh", (columns,)),
        ("b", (columns + 1,)),
        ("b", (1,)),
        ("b", ()),
        ("b", (5, columns)),
    ]
    for state in states:
        wrong += [(state, (4, 2)), (state, (1, 2)), (state, (2,)), (state, (5, 3)), (state, (5, 1))]
    return tuple((name, {**good, name: shape}) for name, shape in wrong)


def small(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Not saturated: float32 knows the slope 1 - h * h near h = 1 to few digits, in any implementation."""
    return 0.5 * rng.standard_normal(shape)


# ------------------------------------------------------------------------------
# The forward passes as obvious loops over numbers
# ------------------------------------------------------------------------------


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def dot(row: np.ndarray, matrix: np.ndarray, column: int) -> float:
    return sum(value * matrix[k, column] for k, value in enumerate(row))


def slow_rnn_step(x, prev_h, Wx, Wh, b):
    next_h = np.zeros(prev_h.shape)
    for n, j in np.ndindex(next_h.shape):
        next_h[n, j] = math.tanh(dot(x[n], Wx, j) + dot(prev_h[n], Wh, j) + b[j])
    return next_h


def slow_lstm_step(x, prev_h, prev_c, Wx, Wh, b):
    next_h, next_c = np.zeros(prev_h.shape), np.zeros(prev_h.shape)
    H = len(Wh)
    for n, j in np.ndindex(next_h.shape):
        i, f, o, g = (
            dot(x[n], Wx, k * H + j) + dot(prev_h[n], Wh, k * H + j) + b[k * H + j] for k in range(4)
        )
        next_c[n, j] = sigmoid(f) * prev_c[n, j] + sigmoid(i) * math.tanh(g)
        next_h[n, j] = sigmoid(o) * math.tanh(next_c[n, j])
    return next_h, next_c


def slow_gru_step(x, prev_h, Wx, Wh, b):
    next_h = np.zeros(prev_h.shape)
    H = len(Wh)
    for n, j in np.ndindex(next_h.shape):
        of_x = [dot(x[n], Wx, k * H + j) + b[k * H + j] for k in range(3)]
        of_h = [dot(prev_h[n], Wh, k * H + j) for k in range(3)]
        r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
        next_h[n, j] = (1 - z) * math.tanh(of_x[2] + r * of_h[2]) + z * prev_h[n, j]
    return next_h


def slow_rnn(x, h0, Wx, Wh, b):
    return slow_sequence(slow_rnn_step, x, h0, Wx, Wh, b)


def slow_gru(x, h0, Wx, Wh, b):
    return slow_sequence(slow_gru_step, x, h0, Wx, Wh, b)


def slow_sequence(step, x, h, *weights):
    states = []
    for t in range(x.shape[1]):
        h = step(x[:, t], h, *weights)
        states.append(h)
    return np.stack(states, axis=1)


def slow_lstm(x, h, Wx, Wh, b):
    states, c = [], np.zeros(h.shape)
    for t in range(x.shape[1]):
        h, c = slow_lstm_step(x[:, t], h, c, Wx, Wh, b)
        states.append(h)
    return np.stack(states, axis=1)


def slow_temporal_affine(x, w, b):
    out = np.zeros((*x.shape[:2], len(b)))
    for n, t, m in np.ndindex(out.shape):
        out[n, t, m] = dot(x[n, t], w, m) + b[m]
    return out


# ------------------------------------------------------------------------------
# The same in PyTorch: rows for columns, its own order of gates, a second vector of biases
# ------------------------------------------------------------------------------

TORCH_LSTM = (0, 1, 3, 2)  # PyTorch's i f g o from our i f o g


def torch_weights(Wx, Wh, b, order):
    """The arguments that PyTorch's functional layers take, made of ours so that gradients flow back."""
    import torch

    H = Wh.shape[0]
    columns = torch.cat([torch.arange(k * H, (k + 1) * H) for k in order])
    return Wx[:, columns].T, Wh[:, columns].T, b[columns], torch.zeros_like(b)


def torch_rnn_step(tensors, params):
    import torch

    x, prev_h, *weights = tensors
    return torch.rnn_tanh_cell(x, prev_h, *torch_weights(*weights, range(1)))


def torch_lstm_step(tensors, params):
    import torch

    x, prev_h, prev_c, *weights = tensors
    return torch.lstm_cell(x, (prev_h, prev_c), *torch_weights(*weights, TORCH_LSTM))


def torch_gru_step(tensors, params):
    import torch

    x, prev_h, *weights = tensors
    return torch.gru_cell(x, prev_h, *torch_weights(*weights, range(3)))


def torch_sequence(function, order):
    def run(tensors, params):
        import torch

        x, h0, *weights = tensors
        state = (h0[None], torch.zeros_like(h0)[None]) if function == "lstm" else h0[None]
        flat = torch_weights(*weights, order)
        return getattr(torch, function)(x, state, flat, True, 1, 0.0, False, False, True)[0]

    return run


def torch_temporal_affine(tensors, params):
    import torch

    x, w, b = tensors
    return torch.nn.functional.linear(x, w.T, b)


def last_step_shapes(n: int) -> st.SearchStrategy[Shapes]:
    return st.tuples(sides, sides).map(lambda t_h: {"h": (n, *t_h)})


def slow_last_step(h):
    return np.stack([sequence[len(sequence) - 1] for sequence in h])


CASES: dict[str, Case] = {
    "rnn_step": Case(
        shapes=step_shapes(1),
        slow=slow_rnn_step,
        analytic=True,
        draw=small,
        impossible=impossible(1, ("prev_h",)),
        torch=torch_rnn_step,
    ),
    "rnn": Case(
        shapes=sequence_shapes(1),
        slow=slow_rnn,
        analytic=True,
        draw=small,
        impossible=impossible(1, ("h0",), (4,)),
        torch=torch_sequence("rnn_tanh", range(1)),
    ),
    "lstm_step": Case(
        shapes=step_shapes(4, ("prev_h", "prev_c")),
        slow=slow_lstm_step,
        analytic=True,
        draw=small,
        impossible=impossible(4, ("prev_h", "prev_c")),
        torch=torch_lstm_step,
    ),
    "lstm": Case(
        shapes=sequence_shapes(4),
        slow=slow_lstm,
        analytic=True,
        draw=small,
        impossible=impossible(4, ("h0",), (4,)),
        torch=torch_sequence("lstm", TORCH_LSTM),
    ),
    "gru_step": Case(
        shapes=step_shapes(3),
        slow=slow_gru_step,
        analytic=True,
        draw=small,
        impossible=impossible(3, ("prev_h",)),
        torch=torch_gru_step,
    ),
    "gru": Case(
        shapes=sequence_shapes(3),
        slow=slow_gru,
        analytic=True,
        draw=small,
        impossible=impossible(3, ("h0",), (4,)),
        torch=torch_sequence("gru", range(3)),
    ),
    "temporal_affine": Case(
        shapes=lambda n: st.tuples(sides, sides, sides).map(
            lambda t_d_m: {"x": (n, *t_d_m[:2]), "w": t_d_m[1:], "b": t_d_m[2:]}
        ),
        slow=slow_temporal_affine,
        analytic=True,
        impossible=(
            ("x", {"x": (5, 4, 3), "w": (4, 2), "b": (2,)}),
            ("x", {"x": (5, 3), "w": (3, 2), "b": (2,)}),
            ("w", {"x": (5, 4, 3), "w": (3,), "b": ()}),
            ("b", {"x": (5, 4, 3), "w": (3, 2), "b": (1,)}),
            ("b", {"x": (5, 4, 3), "w": (3, 2), "b": (4, 2)}),
        ),
        torch=torch_temporal_affine,
    ),
    "last_step": Case(
        shapes=last_step_shapes,
        slow=slow_last_step,
        analytic=True,
        torch=lambda tensors, params: tensors[0].select(1, -1),
    ),
}
