"""Training runs with a planted fault, and healthy ones: what the diagnosis is scored on.

A run is described by a `Spec`, which is data. A fault changes some fields of it, a remedy changes some back; the
code that builds and trains is the same for all. Architectures are in two halves: on the first, thresholds were tuned;
the second was scored after they were frozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad import layers, optimizers, schedules
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import adding_task, digits, memory_task, spirals
from minigrad.initializers import he_normal, orthogonal, xavier_normal
from minigrad.losses import clipped_delta_loss, mse_loss, softmax_loss
from minigrad.network import Layer, Residual, Sequential, from_zero_state

Array = NDArray[Any]

TRAIN, TEST = 600, 400
RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")


@dataclass(frozen=True)
class Spec:
    """A run. What is not said is healthy."""

    data: str
    width: int
    depth: int
    activation: str
    optimizer: str
    learning_rate: float
    steps: int = 200
    batch: int = 32
    length: int = 10  # of sequences
    regression: bool = False
    normalization: str = ""  # "batch" or "layer"
    keep: float = 1.0  # dropout
    residual: bool = False
    gain: float = 1.0  # on the right width of the initial weights
    last_gain: float = 1.0
    recurrent_gain: float = 1.0
    bias: float = 0.0
    decay: float = 0.0  # share of the weights that goes at each step
    clip: float = 0.0
    schedule: str = ""
    float32: bool = False
    squash: bool = False  # the output goes through tanh
    input_scale: str = "standard"  # or "0 to 255"
    constant: float = 0.0  # value of one more feature
    target_scale: float = 1.0
    labels: str = ""  # "shuffled", "noisy", "shifted"
    share: float = 0.0  # of one class, in the training data
    examples: int = TRAIN
    predict_mode: str = "test"
    bug: str = ""


# -- data


def make_data(spec: Spec, rng: np.random.Generator) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Training and held-out data, as the fault has them."""
    count = TRAIN + TEST if not spec.share else 4 * TRAIN
    if spec.data == "digits":
        x, y = digits()
        order = rng.permutation(len(x))
        x, y = (x[order] - 0.305) / 0.376, y[order]
        target = ((y - 4.5) / 2.9)[:, None]
    elif spec.data == "spirals":
        x, y = spirals(count, rng, noise=0.15)
        order = rng.permutation(len(x))
        x, y = x[order] / 0.55, y[order]
        target = (np.sin(2 * x[:, :1]) + x[:, 1:] * x[:, :1]) / 0.9
    elif spec.regression:
        x, target = adding_task(count, spec.length, rng)
        x, target, y = (x - [0.5, 0]) * 2, (target - 1) / 0.408, np.zeros(count, int)
    else:
        x, y = memory_task(count, spec.length, rng, noise=0.2)
        x, target = x * 2, np.zeros((count, 1))
    labels: Array = target * spec.target_scale if spec.regression else y
    train = (x[:-TEST], labels[:-TEST])
    test = (x[-TEST:], labels[-TEST:])
    if spec.share:  # the rest of the training data is thinned out
        rare = np.flatnonzero(train[1] != 0)
        common = np.flatnonzero(train[1] == 0)
        wanted = max(1, round(len(common) * (1 - spec.share) / spec.share))
        rows = rng.permutation(np.concatenate([common, rare[:wanted]]))
        train = (train[0][rows], train[1][rows])
    train = (train[0][: spec.examples], train[1][: spec.examples])
    xs, ys = train
    classes = int(y.max()) + 1
    if spec.labels == "shuffled":
        ys = ys[rng.permutation(len(ys))]
    elif spec.labels == "noisy":
        other = rng.random(len(ys)) < 0.6
        ys = np.where(other, rng.integers(0, classes, len(ys)), ys)
    elif spec.labels == "shifted":
        ys = np.roll(ys, 1, axis=0)
    return (_inputs(spec, xs), ys), (_inputs(spec, test[0]), test[1])


def _inputs(spec: Spec, x: Array) -> Array:
    if spec.input_scale == "0 to 255":
        x = 255 * np.clip((x + 3) / 6, 0, 1)
    if spec.constant:
        x = np.concatenate([x, np.full((*x.shape[:-1], 1), spec.constant)], axis=-1)
    return x.astype(np.float32 if spec.float32 else np.float64)


# -- network


def make_network(spec: Spec, inputs: int, outputs: int, rng: np.random.Generator) -> Sequential:
    """The network before training, with the bugs of the fault in it."""
    dtype = np.float32 if spec.float32 else np.float64
    parts: dict[str, Any] = {}
    size = inputs
    if spec.data == "memory":
        cell = spec.activation
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[cell]
        pair = (getattr(layers, f"{cell}_forward"), getattr(layers, f"{cell}_backward"))
        wx = xavier_normal(
            (inputs, spec.width * gates), rng, gain=spec.gain * math.sqrt((gates + 1) / 2), dtype=dtype
        )
        wh = np.concatenate(
            [orthogonal((spec.width, spec.width), rng, dtype=dtype) for _ in range(gates)], axis=1
        )
        b = np.zeros(spec.width * gates, dtype)
        if cell == "lstm":
            b[spec.width : 2 * spec.width] = 1  # the forget gate starts open
        params = {"Wx": wx, "Wh": (wh * 0.95 * spec.recurrent_gain).astype(dtype), "b": b + dtype(spec.bias)}
        if spec.bug == "symmetric":
            params = {"Wx": np.full_like(wx, 0.1), "Wh": np.full_like(wh, 0.5 / spec.width), "b": b}
        parts[cell] = Layer(*_wrong_recurrent(spec, *from_zero_state(*pair)), params)
        parts["last"] = Layer(layers.last_step_forward, layers.last_step_backward)
        size = spec.width
    else:
        for k in range(1, spec.depth + 1):
            block: dict[str, Any] = {f"affine{k}": _affine(spec, size, spec.width, rng, dtype, k == 1)}
            if spec.normalization == "batch":
                momentum = 1.0 if spec.bug == "statistics" else 0.9
                option = {"mode": "train", "momentum": momentum}
                block[f"norm{k}"] = Layer(
                    layers.batchnorm_forward, layers.batchnorm_backward, _scales(spec.width, dtype), option
                )
            elif spec.normalization == "layer":
                block[f"norm{k}"] = Layer(
                    layers.layernorm_forward, layers.layernorm_backward, _scales(spec.width, dtype), {}
                )
            if spec.bug != "linear":
                block[f"{spec.activation}{k}"] = _activation(spec)
            if spec.keep < 1:
                block[f"dropout{k}"] = Layer(
                    layers.dropout_forward,
                    layers.dropout_backward,
                    None,
                    {"mode": "train", "p": spec.keep, "rng": rng},
                )
            if spec.residual and k > 1:
                parts[f"block{k}"] = Residual(**block, scale=0.5)
            else:
                parts |= block
            size = spec.width
    parts["scores"] = _affine(spec, size, outputs, rng, dtype, False, spec.last_gain)
    if spec.squash:
        parts["squash"] = Layer(layers.tanh_forward, layers.tanh_backward)
    return {"accumulated": Accumulating, "left out": LeftOut}.get(spec.bug, Sequential)(**parts)


def _affine(
    spec: Spec,
    fan_in: int,
    units: int,
    rng: np.random.Generator,
    dtype: Any,
    first: bool,
    last_gain: float = 0.0,
) -> Layer:
    if last_gain:
        w = xavier_normal((fan_in, units), rng, gain=last_gain * 0.5, dtype=dtype)
    elif spec.activation in RECTIFIERS:
        w = he_normal((fan_in, units), rng, dtype=dtype) * dtype(spec.gain)
    else:
        w = xavier_normal(
            (fan_in, units), rng, gain=spec.gain * (1.5 if spec.activation == "tanh" else 1), dtype=dtype
        )
    b = np.full(units, 0 if last_gain else spec.bias, dtype)
    if spec.bug == "symmetric":
        w = np.full_like(w, 0.05)
    backward: Callable[..., Any] = layers.affine_backward
    if spec.bug == "bias not summed":

        def backward(dout: Array, cache: Any) -> tuple[Array, ...]:
            dx, dw, _ = layers.affine_backward(dout, cache)
            return dx, dw, dout[0] * len(dout)

    return Layer(layers.affine_forward, backward, {"w": w, "b": b})


def _scales(units: int, dtype: Any) -> dict[str, Array]:
    return {"gamma": np.ones(units, dtype), "beta": np.zeros(units, dtype)}


def _activation(spec: Spec) -> Layer:
    forward = getattr(layers, f"{spec.activation}_forward")
    backward = getattr(layers, f"{spec.activation}_backward")
    if spec.bug == "no derivative":
        return Layer(forward, lambda dout, cache: dout)
    return Layer(forward, backward)


def _wrong_recurrent(spec: Spec, forward: Any, backward: Any) -> tuple[Any, Any]:
    if spec.bug == "bias not summed":

        def first_row(dout: Array, cache: Any) -> tuple[Array, ...]:
            dx, dwx, dwh, db = backward(dout, cache)
            return dx, dwx, dwh, db * len(dout) * np.sign(np.arange(len(db)) % 2 - 0.5)

        return forward, first_row
    return forward, backward


class Accumulating(Sequential):
    """Nobody ever sets the gradients to zero."""

    def backward_params(self, dout: Array) -> None:
        super().backward_params(dout)
        old = getattr(self, "_sum", None) or {}
        self._sum = {n: g + old.get(n, 0) for n, g in super().grads.items()}

    @property
    def grads(self) -> dict[str, Array]:
        return dict(getattr(self, "_sum", None) or super().grads)


class LeftOut(Sequential):
    """The first layer with parameters never reaches the optimizer."""

    def _set_params(self, arrays: dict[str, Array]) -> None:
        names = list(self.params)
        layer = names[0].rpartition(".")[0]
        kept = {n: a for n, a in self.params.items() if n.rpartition(".")[0] == layer}
        super()._set_params(arrays | kept)


# -- loss and optimizer


def make_loss(spec: Spec) -> Callable[[Array, Array], tuple[Any, Array]]:
    """``loss(scores, y) -> loss, dscores``, with the bug of the fault in it."""
    if spec.regression:
        return clipped_delta_loss if spec.bug == "clipped delta" else mse_loss
    return {
        "sum": _summed,
        "softmax twice": _softmax_twice,
        "wrong loss": _index_loss,
        "log of zero": _log_loss,
        "exp overflow": _exp_loss,
    }.get(spec.bug, softmax_loss)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _summed(x: Array, y: Array) -> tuple[Any, Array]:
    loss, dx = softmax_loss(x, y)
    return loss * len(x), dx * len(x)


def _softmax_twice(x: Array, y: Array) -> tuple[Any, Array]:
    p = _softmax(x)
    loss, dp = softmax_loss(p, y)
    return loss, p * (dp - (dp * p).sum(axis=1, keepdims=True))


def _index_loss(x: Array, y: Array) -> tuple[Any, Array]:
    """The number of the class, as if it were a quantity: every score is compared with it."""
    difference = x - y[:, None]
    return (difference**2).mean(), 2 * difference / x.size


def _log_loss(x: Array, y: Array) -> tuple[Any, Array]:
    p = _softmax(x)
    right = p[np.arange(len(y)), y]
    with np.errstate(all="ignore"):
        loss = -np.log(right).mean()
        dp = np.zeros_like(p)
        dp[np.arange(len(y)), y] = -1 / (right * len(y))
        dx = p * (dp - (dp * p).sum(axis=1, keepdims=True))
    return loss, dx


def _exp_loss(x: Array, y: Array) -> tuple[Any, Array]:
    with np.errstate(all="ignore"):
        e = np.exp(x)
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
    dx = p.copy()
    dx[np.arange(len(y)), y] -= 1
    return loss, dx / len(y)


def make_optimizer(spec: Spec) -> Callable[..., Any]:
    """``optimizer(w, dw, config) -> next_w, config``, with the bug of the fault in it."""
    base = getattr(optimizers, {"momentum": "sgd_momentum"}.get(spec.optimizer, spec.optimizer))

    def step(w: Array, dw: Array, config: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        with np.errstate(all="ignore"):
            after, config = base(w, -dw if spec.bug == "ascent" else dw, config)
            if spec.decay and w.ndim > 1:
                after = after - spec.decay * w
            return after.astype(w.dtype), config

    return step


def make_schedule(spec: Spec) -> Callable[[int, float], float] | None:
    if spec.bug == "spike":
        factor = 300 if spec.optimizer in ("adam", "rmsprop") else 100
        return lambda step, rate: rate * (factor if step == spec.steps // 6 else 1)
    if spec.schedule == "warm-up and cosine":
        return lambda step, rate: (
            schedules.warm_up(step, rate, 10) if step < 10 else schedules.cosine(step, rate, spec.steps)
        )
    return None


def make_clip(spec: Spec) -> Callable[..., Any] | None:
    return (lambda grads: clip_grad_norm(grads, spec.clip)) if spec.clip else None


def predictor(spec: Spec, network: Sequential) -> Callable[[Array], Array]:
    """How this run computes scores when it is evaluated: twenty rows at a time."""

    def predict(x: Array) -> Array:
        mode, network.mode = network.mode, spec.predict_mode
        try:
            with np.errstate(all="ignore"):
                return np.concatenate([network.forward(x[k : k + 20]) for k in range(0, len(x), 20)])
        finally:
            network.mode = mode

    return predict


def score(predicted: Array, y: Array, regression: bool) -> float:
    """From 0, as good as a constant, to 1: balanced accuracy above chance, or the explained share of the variance."""
    if not np.isfinite(predicted).all():
        return 0.0
    if regression:
        return float(max(0.0, 1 - ((predicted - y) ** 2).mean() / y.var()))
    found = predicted.argmax(axis=1)
    classes = np.unique(y)
    right = float(np.mean([np.mean(found[y == c] == c) for c in classes]))
    chance = 1 / len(classes)
    return max(0.0, (right - chance) / (1 - chance))


# -- architectures, faults and controls

TUNING: dict[str, Spec] = {
    "digits relu 2x48 momentum": Spec("digits", 48, 2, "relu", "momentum", 0.03),
    "digits tanh 3x32 adam": Spec("digits", 32, 3, "tanh", "adam", 0.004),
    "spirals relu 2x64 adam": Spec("spirals", 64, 2, "relu", "adam", 0.01, steps=300),
    "spirals tanh 2x32 momentum": Spec("spirals", 32, 2, "tanh", "momentum", 0.1, steps=300),
    "memory rnn 24 adam": Spec("memory", 24, 1, "rnn", "adam", 0.005),
    "memory gru 16 adam": Spec("memory", 16, 1, "gru", "adam", 0.01),
    "digits relu 4x64 adam": Spec("digits", 64, 4, "relu", "adam", 0.002),
    "digits elu 2x96 sgd": Spec("digits", 96, 2, "elu", "sgd", 0.1),
    "spirals leaky 3x48 adam": Spec("spirals", 48, 3, "leaky_relu", "adam", 0.006, steps=300),
    "spirals gelu 2x96 rmsprop": Spec("spirals", 96, 2, "gelu", "rmsprop", 0.005, steps=300),
    "memory rnn 40 momentum": Spec("memory", 40, 1, "rnn", "momentum", 0.05),
    "memory lstm 20 adam": Spec("memory", 20, 1, "lstm", "adam", 0.01),
}
HELD_OUT: dict[str, Spec] = {
    "digits silu 3x40 rmsprop": Spec("digits", 40, 3, "silu", "rmsprop", 0.003),
    "digits relu 1x128 adam": Spec("digits", 128, 1, "relu", "adam", 0.003),
    "spirals tanh 4x40 adam": Spec("spirals", 40, 4, "tanh", "adam", 0.005, steps=300),
    "spirals elu 2x56 momentum": Spec("spirals", 56, 2, "elu", "momentum", 0.05, steps=300),
    "memory gru 32 rmsprop": Spec("memory", 32, 1, "gru", "rmsprop", 0.004, length=12),
    "memory rnn 32 adam": Spec("memory", 32, 1, "rnn", "adam", 0.003, length=14),
}


@dataclass(frozen=True)
class Fault:
    """What is changed, which causes are right answers, and which layer is the right one, if there is one."""

    changes: Mapping[str, Any]
    accepted: tuple[str, ...]
    setting: Mapping[str, Any] = None  # type: ignore[assignment]  # changed in the healthy run, too
    layer: str = (
        ""  # beginnings of the names, one of which the layer of the finding must have; with | between them
    )
    where: Callable[[Spec], bool] = lambda spec: True

    def healthy(self, spec: Spec) -> Spec:
        return replace(spec, **dict(self.setting or {}))

    def plant(self, spec: Spec) -> Spec:
        changes = {k: v(spec) if callable(v) else v for k, v in self.changes.items()}
        return replace(self.healthy(spec), **changes)


def _forward_only(spec: Spec) -> bool:
    return spec.data != "memory"


def _recurrent(spec: Spec) -> bool:
    return spec.data == "memory" and spec.activation == "rnn"


def _classes(spec: Spec) -> bool:
    return not spec.regression


def _times(adam: float, other: float) -> Callable[[Spec], float]:
    return lambda spec: spec.learning_rate * (adam if spec.optimizer in ("adam", "rmsprop") else other)


RELU = {"activation": "relu"}

FAULTS: dict[str, Fault] = {
    "rate far too high": Fault({"learning_rate": _times(100, 60)}, ("learning rate too high",)),
    "rate far too low": Fault({"learning_rate": _times(1e-3, 1e-3)}, ("learning rate too low",)),
    "frozen": Fault({"learning_rate": 0.0}, ("parameters not updated",)),
    "vanishing": Fault(
        {"activation": "sigmoid", "depth": 8}, ("vanishing gradient",), where=_forward_only, layer="affine1"
    ),
    "saturation": Fault(
        {"gain": 25.0},
        ("saturated activations", "initial weights too large"),
        {"activation": "tanh"},
        where=_forward_only,
        layer="tanh|affine|scores",
    ),
    "dead at the start": Fault(
        {"bias": -8.0}, ("dead units at the start",), RELU, where=_forward_only, layer="relu1"
    ),
    "killed by a spike": Fault(
        {"bug": "spike"}, ("units killed by an update", "learning rate spike"), RELU, where=_forward_only
    ),
    "deep, small weights": Fault(
        {"gain": 0.05, "depth": 8},
        ("initial weights too small",),
        {"activation": "relu"},
        where=_forward_only,
        layer="affine|relu",
    ),
    "symmetric weights": Fault({"bug": "symmetric"}, ("symmetric weights",)),
    "exploding, deep": Fault(
        {"gain": 8.0, "depth": 8},
        ("initial weights too large",),
        {"activation": "relu"},
        where=_forward_only,
        layer="affine|relu|scores",
    ),
    "exploding, recurrent": Fault(
        {"recurrent_gain": 4.0, "length": 30}, ("exploding through time",), where=_recurrent, layer="rnn"
    ),
    "vanishing through time": Fault(
        {"recurrent_gain": 0.3, "length": 30}, ("vanishing through time",), where=_recurrent, layer="rnn"
    ),
    "update sign flipped": Fault({"bug": "ascent"}, ("update against descent",)),
    "sum for mean": Fault({"bug": "sum"}, ("loss summed over the batch",), layer="loss"),
    "softmax twice": Fault({"bug": "softmax twice"}, ("softmax applied twice",), layer="loss"),
    "wrong loss": Fault({"bug": "wrong loss"}, ("loss does not fit the task",), layer="loss"),
    "range mismatch": Fault(
        {"squash": True}, ("targets out of reach",), {"regression": True, "target_scale": 5.0}, layer="squash"
    ),
    "labels shuffled": Fault({"labels": "shuffled"}, ("labels do not follow from inputs",), layer="data"),
    "labels noisy": Fault(
        {"labels": "noisy"}, ("noisy labels", "labels do not follow from inputs"), layer="data"
    ),
    "labels shifted": Fault({"labels": "shifted"}, ("labels shifted",), layer="data"),
    "inputs 0 to 255": Fault({"input_scale": "0 to 255"}, ("inputs not standardized",), layer="data"),
    "constant feature": Fault(
        {"constant": 100.0}, ("constant feature", "inputs not standardized"), layer="data"
    ),
    "log of zero": Fault(
        {"bug": "log of zero"},
        ("loss not finite for large scores",),
        {"last_gain": 100.0, "float32": True},
        layer="loss",
    ),
    "exp overflow": Fault(
        {"bug": "exp overflow"},
        ("loss not finite for large scores",),
        {"last_gain": 100.0, "float32": True},
        layer="loss",
    ),
    "clipped delta": Fault(
        {"bug": "clipped delta"},
        ("loss without gradient for large errors",),
        {"regression": True, "target_scale": 6.0},
        layer="loss",
    ),
    "batchnorm in train mode": Fault(
        {"predict_mode": "train"},
        ("evaluation in training mode",),
        {"normalization": "batch"},
        where=_forward_only,
        layer="evaluation",
    ),
    "statistics never updated": Fault(
        {"bug": "statistics"},
        ("running statistics not updated",),
        {"normalization": "batch"},
        where=_forward_only,
        layer="norm1",
    ),
    "dropout at evaluation": Fault(
        {"predict_mode": "train"},
        ("evaluation in training mode",),
        {"keep": 0.5},
        where=_forward_only,
        layer="evaluation",
    ),
    "gradients never zeroed": Fault({"bug": "accumulated"}, ("gradients accumulate",)),
    "layer left out": Fault({"bug": "left out"}, ("parameters not updated",), layer="affine1|rnn|gru|lstm"),
    "bias not summed": Fault(
        {"bug": "bias not summed"}, ("wrong gradient",), layer="scores|affine|rnn|gru|lstm"
    ),
    "no derivative": Fault(
        {"bug": "no derivative"},
        ("wrong gradient",),
        {"activation": "tanh"},
        where=_forward_only,
        layer="tanh",
    ),
    "no non-linearity": Fault({"bug": "linear"}, ("no non-linearity",), where=_forward_only),
    "over-regularized": Fault({"decay": 0.1}, ("over-regularized",)),
    "imbalance": Fault({"share": 0.97}, ("imbalanced classes",), layer="data"),
    "too little data": Fault({"examples": 15}, ("too little data",), layer="data"),
}


CONTROLS: dict[str, tuple[Mapping[str, Any], Callable[[Spec], bool]]] = {
    "as it is": ({}, lambda spec: True),
    "twice as wide": ({"width": lambda spec: 2 * spec.width}, lambda spec: True),
    "deep with batchnorm": ({"depth": 6, "normalization": "batch"}, _forward_only),
    "layernorm": ({"normalization": "layer"}, _forward_only),
    "dropout": ({"keep": 0.8}, _forward_only),
    "deep residual": ({"depth": 8, "residual": True}, _forward_only),
    "warm-up and cosine": ({"schedule": "warm-up and cosine"}, lambda spec: True),
    "batches of eight": ({"batch": 8, "learning_rate": _times(0.5, 0.3)}, lambda spec: True),
    "float32": ({"float32": True}, lambda spec: True),
    "slight imbalance": ({"share": 0.6}, lambda spec: True),
    "clipped gradients": ({"clip": 1.0}, lambda spec: True),
    "regression": ({"regression": True}, lambda spec: True),
}


def control(name: str, spec: Spec) -> Spec | None:
    """The healthy run of that name, or None where there is none for the architecture."""
    changes, where = CONTROLS[name]
    if not where(spec):
        return None
    return replace(spec, **{k: v(spec) if callable(v) else v for k, v in changes.items()})


def planted(name: str, spec: Spec) -> tuple[Spec, Spec] | None:
    """The run with the fault and the same one without, or None where it does not apply."""
    fault = FAULTS[name]
    if not fault.where(spec) or (spec.data == "memory" and (fault.setting or {}).get("activation")):
        return None
    return fault.plant(spec), fault.healthy(spec)
