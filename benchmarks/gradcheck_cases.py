"""Networks whose gradients are right, and mistakes to plant in them, for `make bench-gradcheck`.

A network is built from the library's pairs. A mistake is either a wrong backward function, put in the place of the
right one wherever the network uses it, or an edit of the right gradients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

import minigrad.layers as layers
import minigrad.losses as losses
from minigrad.network import Layer, Network, Residual, Sequential, from_zero_state

Arrays = dict[str, np.ndarray]
Backward = Callable[..., Any]
N = 6  # examples


@dataclass
class Case:
    """A network, its data and its loss: the sum of a criterion and, for some, a penalty on the weights."""

    network: Network
    x: np.ndarray
    y: np.ndarray
    criterion: Callable[[np.ndarray, Any], tuple[Any, np.ndarray]]
    uses: set[str]  # the names of its pairs
    penalty: float = 0.0
    point: Arrays = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.point = {name: np.array(w) for name, w in self.network.params.items()}

    def loss(self, params: Arrays) -> Any:
        self.network.params = params
        value = self.criterion(self.network.forward(self.x), self.y)[0]
        if self.penalty:
            value = value + 0.5 * self.penalty * sum((w * w).sum() for w in params.values() if w.ndim > 1)
        return value

    def grads(self, params: Arrays) -> Arrays:
        self.network.params = params
        self.network.backward(self.criterion(self.network.forward(self.x), self.y)[1])
        grads = self.network.grads
        if self.penalty:
            grads = {k: g + self.penalty * params[k] * (g.ndim > 1) for k, g in grads.items()}
        return {name: np.array(grads[name]) for name in params}


def exact(case: Case) -> Arrays:
    """The gradients, element by element, without a backward pass: by the complex step where the loss is analytic.

    The exact GELU is not written for complex numbers; its slopes are those of differences of fourth order.
    """

    def at(name: str, index: tuple[int, ...], step: complex) -> Any:
        moved = case.point[name] + np.zeros_like(step)
        moved[index] += step
        return case.loss({**case.point, name: moved})

    def slope(name: str, index: tuple[int, ...]) -> float:
        if "gelu" not in case.uses:
            return float(np.imag(at(name, index, 1e-30j)) / 1e-30)
        one, two = ((at(name, index, h) - at(name, index, -h)) / (2 * h) for h in (1e-3, 2e-3))
        return float(4 * one - two) / 3

    return {
        name: np.array([slope(name, index) for index in np.ndindex(w.shape)]).reshape(w.shape)
        for name, w in case.point.items()
    }


# ------------------------------------------------------------------------------
# Networks
# ------------------------------------------------------------------------------


class Kit:
    """Makes the layers of one network.

    `wrong` holds the backward functions to use in place of the right ones: "affine" for all affine layers, "affine 2"
    for the second one.
    """

    def __init__(self, seed: int, wrong: Mapping[str, Backward]):
        self.rng, self.wrong = np.random.default_rng(seed), wrong
        self.forwards: dict[str, Callable[..., Any]] = {}  # wrong ones, likewise
        self.uses: Counter[str] = Counter()

    def pair(self, name: str) -> tuple[Callable[..., Any], Backward]:
        self.uses[name] += 1
        home: dict[str, Any] = vars(layers) if hasattr(layers, f"{name}_forward") else globals()
        forward = self.forwards.get(name, home[f"{name}_forward"])
        return forward, self.replaced(name, home[f"{name}_backward"])

    def replaced(self, name: str, right: Backward) -> Backward:
        return self.wrong.get(f"{name} {self.uses[name]}", self.wrong.get(name, right))

    def layer(self, name: str, params: Arrays | None = None, *options: Any) -> Layer:
        return Layer(*self.pair(name), params, *options)

    def weights(self, *shape: int, gain: float = 1.0) -> np.ndarray:
        return self.rng.normal(size=shape) * gain / np.sqrt(np.prod(shape[:-1]))

    def affine(self, m: int, n: int, name: str = "affine", gain: float = 1.0) -> Layer:
        return self.layer(name, {"w": self.weights(m, n, gain=gain), "b": 0.3 * self.rng.normal(size=n)})

    def norm(self, name: str, d: int) -> Layer:
        scale = {"gamma": self.rng.uniform(0.5, 2, d), "beta": self.rng.normal(size=d)}
        return self.layer(name, scale, {"mode": "train"} if name.endswith("batchnorm") else {})

    def conv(self, filters: int, channels: int) -> Layer:
        w = self.rng.normal(size=(filters, channels, 3, 3)) / 3
        return self.layer("conv", {"w": w, "b": self.rng.normal(size=filters)}, {"stride": 1, "pad": 1})

    def recurrent(self, name: str, d: int, h: int, gates: int) -> Layer:
        w = {"Wx": self.weights(d, gates * h), "Wh": self.weights(h, gates * h)}
        return Layer(*from_zero_state(*self.pair(name)), w | {"b": 0.3 * self.rng.normal(size=gates * h)})

    def mlp(self, widths: tuple[int, ...], *between: str, gain: float = 1.0) -> list[Network]:
        parts: list[Network] = []
        for m, n in pairwise(widths):
            parts += [self.affine(m, n, gain=gain)]
            for name in between:
                parts += [self.norm(name, n) if name.endswith("norm") else self.layer(name)]
        return parts[: -len(between) or None]

    def case(
        self, parts: Sequence[Network], x: np.ndarray, y: Any, criterion: str, penalty: float = 0.0
    ) -> Case:
        self.uses[criterion] += 1
        loss = self.wrong.get(criterion, globals().get(criterion) or getattr(losses, criterion, None))
        assert loss is not None, criterion
        return Case(Sequential(*parts), x, np.asarray(y), loss, set(self.uses), penalty)

    def rows(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape)

    def labels(self, classes: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, classes, shape or N)


def tied_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, tuple]:
    """An autoencoder with one matrix for both ways."""
    h = np.tanh(x @ w + b)
    return h @ w.T + c, (x, w, h)


def tied_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    x, w, h = cache
    da = dout @ w * (1 - h * h)
    return da @ w.T, x.T @ da + dout.T @ h, da.sum(axis=0), dout.sum(axis=0)


def sequence_loss(scores: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    return losses.temporal_softmax_loss(scores, y, np.ones(y.shape, bool))


def tanh_mlp(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 5, 5, 3), "tanh"), kit.rows(N, 4), kit.labels(3), "softmax_loss")


def sigmoid_mlp(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 6, 3), "sigmoid"), kit.rows(N, 4), kit.rows(N, 3), "mse_loss")


def relu_mlp(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 6, 6, 3), "relu"), kit.rows(N, 4), kit.labels(3), "svm_loss")


def elu_mlp(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 5, 5, 2), "elu"), kit.rows(N, 4), kit.rows(N, 2), "huber_loss")


def gelu_mlp(kit: Kit) -> Case:
    y = kit.labels(2, N, 2).astype(float)
    return kit.case(kit.mlp((4, 5, 5, 2), "gelu"), kit.rows(N, 4), y, "bce_with_logits_loss")


def wide_relu(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 48, 3), "relu"), kit.rows(N, 4), kit.labels(3), "softmax_loss")


def deep_sigmoid(kit: Kit) -> Case:
    """The gradient of the first layer is smaller than that of the last by some six powers of ten."""
    return kit.case(kit.mlp((4, *[4] * 8, 3), "sigmoid"), kit.rows(N, 4), kit.labels(3), "softmax_loss")


def penalized(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 5, 3), "softplus"), kit.rows(N, 4), kit.labels(3), "softmax_loss", 0.01)


def batch_normalized(kit: Kit) -> Case:
    """The biases in front of the normalization have no gradient but rounding."""
    parts = kit.mlp((4, 5, 5, 3), "batchnorm", "leaky_relu")
    return kit.case(parts, kit.rows(N, 4), kit.labels(3), "softmax_loss")


def layer_normalized(kit: Kit) -> Case:
    return kit.case(kit.mlp((4, 5, 5, 3), "layernorm", "silu"), kit.rows(N, 4), kit.labels(3), "softmax_loss")


def dropped_out(kit: Kit) -> Case:
    mask = kit.layer("dropout", None, {"p": 0.7, "mode": "train", "seed": 3})
    parts = [kit.affine(4, 8), kit.layer("tanh"), mask, kit.affine(8, 3)]
    return kit.case(parts, kit.rows(N, 4), kit.labels(3), "softmax_loss")


def residual(kit: Kit) -> Case:
    def block() -> Layer:
        w = {"w1": kit.weights(5, 6), "b1": kit.rows(6), "w2": kit.weights(6, 5), "b2": kit.rows(5)}
        return kit.layer("residual", w)

    parts = [
        kit.affine(4, 5),
        block(),
        block(),
        Residual(kit.affine(5, 5), kit.layer("tanh")),
        kit.affine(5, 3),
    ]
    return kit.case(parts, kit.rows(N, 4), kit.labels(3), "softmax_loss")


def tied(kit: Kit) -> Case:
    w = {"w": kit.weights(4, 3), "b": kit.rows(3), "c": kit.rows(4)}
    return kit.case([kit.layer("tied", w)], kit.rows(N, 4), kit.rows(N, 4), "mse_loss")


def convolutional(kit: Kit) -> Case:
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    parts = [kit.conv(2, 1), kit.layer("relu"), kit.layer("max_pool", None, pool), kit.affine(8, 3)]
    return kit.case(parts, kit.rows(N, 1, 4, 4), kit.labels(3), "softmax_loss")


def words(kit: Kit, name: str, gates: int) -> list[Network]:
    """Words have no gradient, so the pair of an embedding returns none for them, as a layer wants it."""
    forward, backward = kit.pair("word_embedding")

    def with_words(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(cache[0].shape), backward(dout, cache)

    return [Layer(forward, with_words, {"W": kit.rows(6, 3)}), kit.recurrent(name, 3, 4, gates)]


def rnn(kit: Kit) -> Case:
    parts = [*words(kit, "rnn", 1), kit.affine(4, 5, "temporal_affine")]
    return kit.case(parts, kit.labels(6, N, 4), kit.labels(5, N, 4), "sequence_loss")


def lstm(kit: Kit) -> Case:
    parts = [*words(kit, "lstm", 4), kit.affine(4, 3, "temporal_affine")]
    return kit.case(parts, kit.labels(6, N, 3), kit.labels(3, N, 3), "sequence_loss")


def gru(kit: Kit) -> Case:
    parts = [kit.recurrent("gru", 3, 4, 3), kit.affine(4, 2, "temporal_affine")]
    return kit.case(parts, kit.rows(N, 3, 3), kit.rows(N, 3, 2), "mse_loss")


NETWORKS: dict[str, Callable[[Kit], Case]] = {
    each.__name__.replace("_", " "): each
    for each in (
        *(tanh_mlp, sigmoid_mlp, relu_mlp, elu_mlp, gelu_mlp, wide_relu, deep_sigmoid, penalized),
        *(batch_normalized, layer_normalized, dropped_out, residual, tied, convolutional, rnn, lstm, gru),
    )
}


def build(name: str, wrong: Mapping[str, Backward] | None = None) -> Case:
    return NETWORKS[name](Kit(list(NETWORKS).index(name), wrong or {}))


# ------------------------------------------------------------------------------
# Mistakes: wrong backward functions
# ------------------------------------------------------------------------------

SLOPES = ("tanh", "sigmoid", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
CLASSES = ("softmax_loss", "svm_loss", "sequence_loss", "bce_with_logits_loss", "mse_loss", "huber_loss")


def of_upstream(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Backward], Backward]:
    """A mistake in what a pair is handed."""
    return lambda right: lambda dout, cache: right(change(dout.copy()), cache)


def of_result(change: Callable[..., Any]) -> Callable[[Backward], Backward]:
    """A mistake in what a pair returns."""

    def wrong(right: Backward) -> Backward:
        def backward(dout: np.ndarray, cache: Any) -> Any:
            result = right(dout, cache)
            return change(dout, *(result if isinstance(result, tuple) else (result,)))

        return backward

    return wrong


def of_cache(backward: Callable[[np.ndarray, Any], Any]) -> Callable[[Backward], Backward]:
    """A backward function written anew."""
    return lambda right: backward


def of_loss(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Backward], Backward]:
    """A mistake in the gradient that the criterion hands down."""

    def wrong(right: Backward) -> Backward:
        def loss(scores: np.ndarray, y: Any) -> tuple[Any, np.ndarray]:
            value, dscores = right(scores, y)
            return value, change(dscores)

        return loss

    return wrong


def without_first(d: np.ndarray) -> np.ndarray:
    d[0] = 0
    return d


def batchnorm_constant_mean(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    dx, dgamma, dbeta = layers.batchnorm_backward(dout, cache)
    _, std, gamma, _ = cache
    return dx + gamma / std * dout.mean(axis=0), dgamma, dbeta


def batchnorm_constant_variance(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    _, dgamma, dbeta = layers.batchnorm_backward(dout, cache)
    _, std, gamma, _ = cache
    return gamma / std * (dout - dout.mean(axis=0)), dgamma, dbeta


def layernorm_constant_statistics(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    _, dgamma, dbeta = layers.layernorm_backward(dout, cache)
    _, inv_std, gamma, _ = cache
    return inv_std * gamma * dout, dgamma, dbeta


def embedding_overwrites(dout: np.ndarray, cache: tuple) -> np.ndarray:
    words, shape = cache
    dW = np.zeros(shape, dout.dtype)
    dW[words] = dout
    return dW


def pool_shares(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """The gradient of an average, for a maximum."""
    return np.repeat(np.repeat(dout, 2, axis=2), 2, axis=3) / 4


def rnn_cut(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Nothing goes back from a step to the one before."""
    x, h, Wx, Wh = cache  # (T, N, D), (T + 1, N, H)
    da = np.moveaxis(dh, 1, 0) * (1 - h[1:] ** 2)
    dWx, dWh = np.einsum("tnd,tnh->dh", x, da), np.einsum("tnk,tnh->kh", h[:-1], da)
    return np.moveaxis(da @ Wx.T, 0, 1), (da[0] @ Wh.T), dWx, dWh, da.sum(axis=(0, 1))


def last_step(dh: np.ndarray) -> np.ndarray:
    dh[:, :-1] = 0
    return dh


def swapped_gates(dout: np.ndarray, dx: np.ndarray, dh0: np.ndarray, *dws: np.ndarray) -> tuple:
    """The first two gates change places."""
    size = dh0.shape[1]
    order = np.r_[size : 2 * size, :size, 2 * size : dws[0].shape[1]]
    return dx, dh0, *(dw[..., order] for dw in dws)


def tied_once(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    dx, _, db, dc = tied_backward(dout, cache)
    return dx, dout.T @ cache[2], db, dc


# name: the pairs that it may be planted in, and what becomes of their backward functions
IN_LAYERS: dict[str, tuple[tuple[str, ...], Callable[[Backward], Backward]]] = {
    "slope left out": (SLOPES, of_cache(lambda dout, cache: dout.copy())),
    "slope taken twice": (SLOPES, lambda right: lambda dout, cache: right(right(dout, cache), cache)),
    "mask from the upstream gradient": (("relu", "leaky_relu"), of_cache(lambda d, cache: d * (d > 0))),
    "upstream gradient clipped": (
        SLOPES,
        of_upstream(lambda d: np.clip(d, *np.quantile(d, [0.1, 0.9]))),
    ),
    "first example left out": (("affine", "temporal_affine"), of_upstream(without_first)),
    "bias of the last example": (("affine",), of_result(lambda d, dx, dw, db: (dx, dw, d[-1]))),
    "bias averaged": (("affine",), of_result(lambda d, dx, dw, db: (dx, dw, db / len(d)))),
    "examples in another order": (
        ("affine",),
        lambda right: lambda d, c: (right(d, c)[0], right(d[::-1], c)[1], right(d, c)[2]),
    ),
    "constant mean": (("batchnorm",), of_cache(batchnorm_constant_mean)),
    "constant variance": (("batchnorm",), of_cache(batchnorm_constant_variance)),
    "constant statistics": (("layernorm",), of_cache(layernorm_constant_statistics)),
    "gamma without its sum": (("batchnorm", "layernorm"), of_result(lambda d, dx, dg, db: (dx, dg / N, db))),
    "mask without its factor": (("dropout",), of_result(lambda d, dx: dx * 0.7)),
    "mask left out": (("dropout",), of_cache(lambda dout, cache: dout.copy())),
    "skip left out": (("residual",), of_result(lambda d, dx, *rest: (dx - d, *rest))),
    "branch left out": (("residual",), of_result(lambda d, dx, *rest: (d, *rest))),
    "one use of two": (("tied",), of_cache(tied_once)),
    "filters mirrored": (("conv",), of_result(lambda d, dx, dw, db: (dx, dw[..., ::-1, ::-1], db))),
    "bias of one place": (("conv",), of_result(lambda d, dx, dw, db: (dx, dw, d[:, :, 0, 0].sum(axis=0)))),
    "average for maximum": (("max_pool",), of_cache(pool_shares)),
    "overwritten, not added": (("word_embedding",), of_cache(embedding_overwrites)),
    "nothing back through time": (("rnn",), of_cache(rnn_cut)),
    "last step only": (("rnn", "lstm", "gru"), of_upstream(last_step)),
    "two gates swapped": (("lstm", "gru"), of_result(swapped_gates)),
    "not divided by N": (CLASSES, of_loss(lambda d: d * N)),
    "one class of the loss left out": (CLASSES, of_loss(lambda d: d * (np.arange(d.shape[-1]) > 0))),
}


# ------------------------------------------------------------------------------
# Mistakes: edits of the right gradients
# ------------------------------------------------------------------------------


def middle(grads: Arrays, dimensions: int) -> str:
    """The name of the weight, or the bias, in the middle."""
    names = [name for name, g in grads.items() if (g.ndim > 1) == (dimensions > 1)] or list(grads)
    return names[len(names) // 2]


def edit(change: Callable[..., np.ndarray], dimensions: int = 2) -> Callable[[Case, Arrays], Arrays]:
    """One gradient g of a parameter w becomes change(g, w)."""

    def planted(case: Case, grads: Arrays) -> Arrays:
        name = middle(grads, dimensions)
        return {**grads, name: change(grads[name].copy(), case.point[name])}

    return planted


def one_element(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    g.flat[int(np.argsort(abs(g).ravel())[g.size // 2])] *= 1.1
    return g


def first_row_zero(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    g[int(np.argmax(abs(g).reshape(len(g), -1).sum(axis=1)))] = 0
    return g


def without_penalty(case: Case, grads: Arrays) -> Arrays | None:
    if not case.penalty:
        return None
    return {name: g - case.penalty * case.point[name] * (g.ndim > 1) for name, g in grads.items()}


def stale(case: Case, grads: Arrays) -> Arrays:
    rng = np.random.default_rng(0)
    before = {name: w * (1 + 0.05 * rng.normal(size=w.shape)) for name, w in case.point.items()}
    return case.grads(before)


EDITS: dict[str, Callable[[Case, Arrays], Arrays | None]] = {
    "sign of a weight": edit(lambda g, w: -g),
    "one per cent too large": edit(lambda g, w: 1.01 * g),
    "twice": edit(lambda g, w: 2 * g),
    "bias zero": edit(lambda g, w: 0 * g, 1),
    "one element of a weight": edit(one_element),
    "a row zero": edit(first_row_zero),
    "transposed": edit(lambda g, w: np.array(g.T).reshape(g.shape)),
    "a factor for each column": edit(lambda g, w: g * np.linspace(0.9, 1.1, g.shape[-1])),
    "through float16": edit(lambda g, w: g + 5e-4 * abs(g) * np.sign(np.sin(1e6 * w))),
    "a penalty that is not there": edit(lambda g, w: g + 1e-3 * np.linalg.norm(g) * w),
    "clipped": edit(lambda g, w: np.clip(g, *np.quantile(g, [0.2, 0.8]))),
    "at other parameters": stale,
    "penalty left out": without_penalty,
}

BUGS = (*IN_LAYERS, *EDITS)


def planted(bug: str, network: str) -> Arrays | None:
    """The gradients of a network with a mistake; None where it has no place for it."""
    case = build(network)
    if bug in EDITS:
        return EDITS[bug](case, case.grads(case.point))
    places, change = IN_LAYERS[bug]
    wrong = {name: change(right_backward(name)) for name in case.uses.intersection(places)}
    if not wrong:
        return None
    broken = build(network, wrong)
    return broken.grads(broken.point)


def right_backward(name: str) -> Backward:
    here = globals()
    for key in (f"{name}_backward", name):
        for home in (layers, losses):
            if hasattr(home, key):
                return getattr(home, key)
        if key in here:
            return here[key]
    raise KeyError(name)


def differs(ours: Arrays, right: Arrays) -> bool:
    """Whether a mistake is one: a tensor is off by more than 1e-6 of its norm, and by more than rounding."""
    largest = max(np.linalg.norm(g) for g in right.values())
    return any(
        np.linalg.norm(ours[name] - g) > max(1e-6 * np.linalg.norm(g), 1e-12 * largest)
        for name, g in right.items()
    )
