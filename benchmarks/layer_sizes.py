"""The sizes at which `layers.py` measures each pair, and what PyTorch is called with there.

The sizes are those of the course: 32 to 256 rows, 64 to 512 columns, small images, sequences of 20 to 64 steps.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import torch
from cases import CASES, Shapes
from torch.nn import functional

Shape = tuple[int, ...]
Product = tuple[int, int, int, int]  # how many matrix products of (m, k) @ (k, n)


@dataclass(frozen=True)
class Size:
    """Shapes of the differentiable arguments, and the others where the contract test does not draw good ones."""

    label: str
    shapes: Shapes
    params: tuple | None = None
    products: tuple[Product, ...] = ()  # in forward and backward


def times(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def affine_products(n: int, d: int, m: int) -> tuple[Product, ...]:
    return (1, n, d, m), (1, n, m, d), (1, d, n, m)


# -- rows and columns

ROWS_AND_COLUMNS = ((32, 64), (128, 256), (256, 512))
AFFINE = ((32, 64, 64), (128, 512, 128), (256, 512, 512))  # N, D, M
RNG = np.random.default_rng(0)
SEQUENCES = ((32, 20, 64, 64), (32, 64, 128, 128), (128, 20, 256, 256), (128, 64, 64, 128))  # N, T, D, H


def elementwise(*params: Any) -> list[Size]:
    return [Size(f"{n} x {d}", {"x": (n, d)}, params or None) for n, d in ROWS_AND_COLUMNS]


def per_column(*names: str, params: tuple | None = None) -> list[Size]:
    """The arguments beside x have a number for each column."""
    return [
        Size(f"{n} x {d}", {"x": (n, d), **dict.fromkeys(names, (d,))}, params) for n, d in ROWS_AND_COLUMNS
    ]


def affine(*more: str, params: tuple | None = None) -> list[Size]:
    return [
        Size(
            f"{n} x {d} to {m}",
            {"x": (n, d), "w": (d, m), "b": (m,), **dict.fromkeys(more, (m,))},
            params,
            affine_products(n, d, m),
        )
        for n, d, m in AFFINE
    ]


def temporal_affine() -> list[Size]:
    return [
        Size(
            f"{n} x {t} x {d} to {h}",
            {"x": (n, t, d), "w": (d, h), "b": (h,)},
            products=affine_products(n * t, d, h),
        )
        for n, t, d, h in SEQUENCES
    ]


def one_step(gates: int, *states: str) -> list[Size]:
    return [
        Size(
            f"{n} x {d} to {h}",
            {
                "x": (n, d),
                **dict.fromkeys(states, (n, h)),
                "Wx": (d, gates * h),
                "Wh": (h, gates * h),
                "b": (gates * h,),
            },
            products=affine_products(n, d, gates * h) + affine_products(n, h, gates * h),
        )
        for n, _, d, h in SEQUENCES
    ]


def sequence(gates: int) -> list[Size]:
    """What concerns the input, and the weights, is one product for all steps; the states come one by one."""
    return [
        Size(
            f"{n} x {t} x {d} to {h}",
            {"x": (n, t, d), "h0": (n, h), "Wx": (d, gates * h), "Wh": (h, gates * h), "b": (gates * h,)},
            products=(
                *affine_products(n * t, d, gates * h),
                (t, n, h, gates * h),
                (t, n, gates * h, h),
                (1, h, n * t, gates * h),
            ),
        )
        for n, t, d, h in SEQUENCES
    ]


def last_step() -> list[Size]:
    return [Size(f"{n} x {t} x {h}", {"h": (n, t, h)}) for n, t, _, h in SEQUENCES]


def residual() -> list[Size]:
    return [
        Size(
            f"{n} x {d}, {m} hidden",
            {"x": (n, d), "w1": (d, m), "b1": (m,), "w2": (m, d), "b2": (d,)},
            (1.0,),
            affine_products(n, d, m) + affine_products(n, m, d),
        )
        for n, d, m in AFFINE
    ]


def feed_forward() -> list[Size]:
    """Four times as many hidden units, as in a transformer."""
    return [
        Size(
            f"{n} x {d}",
            {
                "x": (n, d),
                "gamma": (d,),
                "beta": (d,),
                "w1": (d, 4 * d),
                "b1": (4 * d,),
                "w2": (4 * d, d),
                "b2": (d,),
            },
            None,
            affine_products(n, d, 4 * d) + affine_products(n, 4 * d, d),
        )
        for n, d in ROWS_AND_COLUMNS
    ]


def gather() -> list[Size]:
    """The values of a few actions, and a long row of scores."""
    return [
        Size(f"{n} of {n} x {d}", {"q": (n, d)}, (RNG.integers(0, d, n),))
        for n, d in ((32, 4), *ROWS_AND_COLUMNS)
    ]


def word_embedding() -> list[Size]:
    return [
        Size(f"{n} x {t} of 1000 x {d}", {"W": (1000, d)}, (RNG.integers(0, 1000, (n, t)),))
        for n, t, d, _ in SEQUENCES
    ]


# -- images

IMAGES = ((32, 3, 32, 32), (16, 16, 16, 16))
FILTERS = (32, 16)
SQUARE = {"pool_height": 2, "pool_width": 2, "stride": 2}


def per_channel(*names: str, params: tuple | None = None) -> list[Size]:
    return [Size(times(x), {"x": x, **dict.fromkeys(names, (x[1],))}, params) for x in IMAGES]


def groupnorm() -> list[Size]:
    return [
        Size(times(x), {"x": x, "gamma": (1, x[1], 1, 1), "beta": (1, x[1], 1, 1)}, (groups, {"eps": 1e-5}))
        for x, groups in zip(IMAGES, (1, 4), strict=True)
    ]


def convolution(
    *more: str, sides: tuple[int, ...] = (3, 5, 7), strides: tuple[int, ...] = (1, 2), params: tuple = ()
) -> list[Size]:
    sizes = []
    for (n, c, h, w), f in zip(IMAGES, FILTERS, strict=True):
        for side, stride in ((side, stride) for side in sides for stride in strides):
            pad = side // 2
            rows, columns = ((length + 2 * pad - side) // stride + 1 for length in (h, w))
            label = f"{times((n, c, h, w))}, {f} of {side} x {side}, stride {stride}"
            shapes: Shapes = {"x": (n, c, h, w), "w": (f, c, side, side), **dict.fromkeys(("b", *more), (f,))}
            depth, across = side * side * c, n * columns
            products = (rows, f, depth, across), (rows, depth, across, f), (rows, depth, f, across)
            sizes.append(Size(label, shapes, ({"stride": stride, "pad": pad}, *params), products))
    return sizes


def pooling() -> list[Size]:
    return [
        Size(
            f"{times(x)}, {side} x {side}, stride 2",
            {"x": x},
            ({"pool_height": side, "pool_width": side, "stride": 2},),
        )
        for x in IMAGES
        for side in (2, 3)
    ]


SIZES: dict[str, list[Size]] = {
    "affine": affine(),
    "affine_relu": affine(),
    "affine_sigmoid": affine(),
    "affine_bn_relu": affine("gamma", "beta", params=({"mode": "train"},)),
    "temporal_affine": temporal_affine(),
    "residual": residual(),
    "ffn_block": feed_forward(),
    "prelu": per_column("alpha"),
    "dropout": elementwise({"p": 0.5, "mode": "train", "rng": np.random.default_rng(0)}),
    "gather": gather(),
    "word_embedding": word_embedding(),
    "batchnorm": per_column("gamma", "beta", params=({"mode": "train"},)),
    "layernorm": per_column("gamma", "beta", params=({"eps": 1e-5},)),
    "spatial_batchnorm": per_channel("gamma", "beta", params=({"mode": "train"},)),
    "spatial_groupnorm": groupnorm(),
    "conv": convolution(),
    "conv_relu": convolution(sides=(3,), strides=(1,)),
    "conv_bn_relu": convolution("gamma", "beta", sides=(3,), strides=(1,), params=({"mode": "train"},)),
    "conv_relu_pool": convolution(sides=(3,), strides=(1,), params=(SQUARE,)),
    "max_pool": pooling(),
    "avg_pool": pooling(),
    "rnn_step": one_step(1, "prev_h"),
    "lstm_step": one_step(4, "prev_h", "prev_c"),
    "gru_step": one_step(3, "prev_h"),
    "rnn": sequence(1),
    "lstm": sequence(4),
    "gru": sequence(3),
    "last_step": last_step(),
}


def sizes_of(name: str) -> list[Size]:
    """A pair that the table does not know takes an x of any shape; or else it would be missed, silently."""
    if name in SIZES:
        return SIZES[name]
    once = hypothesis.settings(database=None, derandomize=True)
    drawn = hypothesis.find(CASES[name].shapes(2), lambda shapes: True, settings=once)
    if list(drawn) == ["x"]:
        return elementwise()
    sys.exit(f"benchmarks/layer_sizes.py has no sizes for {name}, which takes {', '.join(drawn)}")


# ------------------------------------------------------------------------------
# What users of PyTorch call. The oracles of the contract test translate arguments at each call, which takes time.
# ------------------------------------------------------------------------------

# The shapes of the tensors that want a gradient, and a function of them.
InTorch = tuple[list[Shape], Callable[..., Any]]
Layer = Callable[..., torch.Tensor]


def torch_affine(*activations: Layer) -> Callable[[Size], InTorch]:
    """PyTorch keeps weights transposed."""

    def build(size: Size) -> InTorch:
        x, w, *others = size.shapes.values()

        def run(*tensors: torch.Tensor) -> torch.Tensor:
            out = functional.linear(*tensors)
            for activation in activations:
                out = activation(out)
            return out

        return [x, w[::-1], *others], run

    return build


def torch_batchnorm(size: Size) -> InTorch:
    mean, var = torch.zeros(size.shapes["gamma"]), torch.ones(size.shapes["gamma"])

    def run(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, mean, var, gamma, beta, True)

    return list(size.shapes.values()), run


def torch_affine_bn_relu(size: Size) -> InTorch:
    x, w, b, gamma, beta = size.shapes.values()
    _, batchnorm = torch_batchnorm(size)
    return [x, w[::-1], b, gamma, beta], lambda x, w, b, *rest: batchnorm(
        functional.linear(x, w, b), *rest
    ).relu()


def torch_conv_bn_relu(size: Size) -> InTorch:
    _, batchnorm = torch_batchnorm(size)
    assert size.params
    stride, pad = size.params[0]["stride"], size.params[0]["pad"]
    conv = functional.conv2d
    return list(size.shapes.values()), lambda x, w, b, *rest: batchnorm(
        conv(x, w, b, stride, pad), *rest
    ).relu()


def torch_residual(size: Size) -> InTorch:
    x, w1, b1, w2, b2 = size.shapes.values()
    linear = functional.linear
    return [
        x,
        w1[::-1],
        b1,
        w2[::-1],
        b2,
    ], lambda x, w1, b1, w2, b2: x + linear(linear(x, w1, b1).relu(), w2, b2)


def torch_feed_forward(size: Size) -> InTorch:
    x, gamma, beta, w1, b1, w2, b2 = size.shapes.values()
    linear = functional.linear

    def run(*tensors: torch.Tensor) -> torch.Tensor:
        x, gamma, beta, w1, b1, w2, b2 = tensors
        normal = functional.layer_norm(x, x.shape[-1:], gamma, beta)
        return x + linear(functional.gelu(linear(normal, w1, b1)), w2, b2)

    return [x, gamma, beta, w1[::-1], b1, w2[::-1], b2], run


def torch_gather(size: Size) -> InTorch:
    assert size.params
    column = torch.tensor(size.params[0])[:, None]
    return list(size.shapes.values()), lambda q: q.gather(1, column)[:, 0]


def torch_embedding(size: Size) -> InTorch:
    assert size.params
    words = torch.tensor(size.params[0])
    return list(size.shapes.values()), lambda W: functional.embedding(words, W)


def torch_dropout(size: Size) -> InTorch:
    return list(size.shapes.values()), functional.dropout


def torch_step(cell: Callable[..., Any]) -> Callable[[Size], InTorch]:
    def build(size: Size) -> InTorch:
        x, *states, Wx, Wh, b = size.shapes.values()

        def step(x: torch.Tensor, *others: torch.Tensor) -> Any:
            h, weights = others[: len(states)], others[len(states) :]
            return cell(x, h if len(h) > 1 else h[0], *weights)

        return [x, *states, Wx[::-1], Wh[::-1], b, b], step

    return build


def torch_sequence(name: str) -> Callable[[Size], InTorch]:
    def build(size: Size) -> InTorch:
        x, h0, Wx, Wh, b = size.shapes.values()

        def run(x: torch.Tensor, h0: torch.Tensor, *weights: torch.Tensor) -> Any:
            state = (h0[None], torch.zeros_like(h0)[None]) if name == "lstm" else h0[None]
            return getattr(torch, name)(x, state, weights, True, 1, 0.0, True, False, True)[0]

        return [x, h0, Wx[::-1], Wh[::-1], b, b], run

    return build


IN_TORCH: dict[str, Callable[[Size], InTorch]] = {
    "affine": torch_affine(),
    "affine_relu": torch_affine(torch.relu),
    "affine_sigmoid": torch_affine(torch.sigmoid),
    "affine_bn_relu": torch_affine_bn_relu,
    "temporal_affine": torch_affine(),
    "residual": torch_residual,
    "ffn_block": torch_feed_forward,
    "dropout": torch_dropout,
    "gather": torch_gather,
    "word_embedding": torch_embedding,
    "batchnorm": torch_batchnorm,
    "spatial_batchnorm": torch_batchnorm,
    "conv_bn_relu": torch_conv_bn_relu,
    "rnn_step": torch_step(torch.rnn_tanh_cell),
    "lstm_step": torch_step(torch.lstm_cell),
    "gru_step": torch_step(torch.gru_cell),
    "rnn": torch_sequence("rnn_tanh"),
    "lstm": torch_sequence("lstm"),
    "gru": torch_sequence("gru"),
}

# Losses return the number and its gradient at once. Those that take labels, and those that take a target like x.
OF_LABELS: dict[str, Layer] = {
    "softmax_loss": functional.cross_entropy,
    "svm_loss": lambda x, y: functional.multi_margin_loss(x, y) * x.shape[1],
}
OF_TARGETS: dict[str, Layer] = {
    "mse_loss": functional.mse_loss,
    "bce_with_logits_loss": functional.binary_cross_entropy_with_logits,
    "huber_loss": functional.huber_loss,
}
