"""Mistakes of every kind, to see whether the checker names them.

Each is planted in one layer of a network. The kinds that are an acceptable name for it stand beside it, and were
written there before the checker was run on it: see `minigrad.gradcheck.KINDS` for what they mean. More than one is
acceptable where the definitions overlap.

The checker was finished before the first set was written, and changed after it was run; so it was after the second,
which was written then, and the third was written after that. Each has its own networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gradcheck_cases import (
    Arrays,
    Backward,
    Case,
    Kit,
    of_cache,
    of_loss,
    of_result,
    of_upstream,
    right_backward,
)

import minigrad.layers as layers
from minigrad.network import Layer, Residual, from_zero_state

N, POOL = 7, {"pool_height": 2, "pool_width": 2, "stride": 2}
DICT, CALL, NETWORK = "dict", "callable", "check_network"
Compute = Callable[[Arrays], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Mistake:
    """One planted mistake.

    `place` is a pair of the network, or its loss, and `change` makes its wrong backward function from the right one;
    at "calls" it makes a wrong function of the parameters from the right one; at "forward of ..." a wrong forward.
    """

    name: str
    network: Callable[[Kit], Case]
    place: str
    change: Callable[[Any], Any]
    kinds: frozenset[str]
    ways: tuple[str, ...] = (DICT, CALL, NETWORK)
    set: str = "first"


# ------------------------------------------------------------------------------
# Networks
# ------------------------------------------------------------------------------


def normalized(kit: Kit) -> Case:
    parts = [
        kit.affine(5, 6),
        kit.layer("tanh"),
        kit.norm("layernorm", 6),
        kit.affine(6, 6),
        kit.layer("silu"),
    ]
    return kit.case([*parts, kit.affine(6, 3)], kit.rows(N, 5), kit.labels(3, N), "softmax_loss")


def pictures(kit: Kit) -> Case:
    parts = [kit.conv(3, 2), kit.norm("spatial_batchnorm", 3), kit.layer("relu")]
    parts += [kit.layer("max_pool", None, POOL), kit.affine(12, 4)]
    return kit.case(parts, kit.rows(N, 2, 4, 4), kit.labels(4, N), "svm_loss")


def averaged(kit: Kit) -> Case:
    parts = [kit.conv(2, 1), kit.layer("gelu_tanh"), kit.layer("avg_pool", None, POOL), kit.affine(8, 3)]
    return kit.case(parts, kit.rows(N, 1, 4, 4), kit.labels(3, N), "softmax_loss")


def sentences(kit: Kit) -> Case:
    forward, backward = kit.pair("word_embedding")
    embedding = Layer(forward, lambda d, c: (np.zeros(c[0].shape), backward(d, c)), {"W": kit.rows(7, 4)})
    parts = [embedding, kit.recurrent("lstm", 4, 5, 4), kit.layer("last_step"), kit.affine(5, 3)]
    return kit.case(parts, kit.labels(7, N, 5), kit.labels(3, N), "softmax_loss")


def signals(kit: Kit) -> Case:
    parts = [kit.recurrent("gru", 3, 4, 3), kit.layer("last_step"), kit.affine(4, 2)]
    return kit.case(parts, kit.rows(N, 4, 3), kit.rows(N, 2), "mse_loss")


def echoes(kit: Kit) -> Case:
    w = {"Wx": kit.weights(3, 5), "Wh": kit.weights(5, 5), "b": kit.rows(5)}
    rnn = Layer(*from_zero_state(*kit.pair("rnn")), w)
    parts = [rnn, kit.affine(5, 2, "temporal_affine")]
    return kit.case(parts, kit.rows(N, 4, 3), kit.rows(N, 4, 2), "huber_loss")


def blocks(kit: Kit) -> Case:
    block = Residual(kit.affine(6, 6), kit.layer("softplus"))
    parts = [kit.affine(4, 6), kit.norm("batchnorm", 6), kit.layer("elu"), block, kit.affine(6, 3)]
    return kit.case(parts, kit.rows(N, 4), kit.rows(N, 3), "mse_loss")


def skips(kit: Kit) -> Case:
    w = {"w1": kit.weights(6, 8), "b1": kit.rows(8), "w2": kit.weights(8, 6), "b2": kit.rows(6)}
    parts = [kit.affine(4, 6), kit.layer("sigmoid"), kit.layer("residual", w), kit.affine(6, 3)]
    return kit.case(parts, kit.rows(N, 4), kit.labels(3, N), "softmax_loss")


def leaky(kit: Kit) -> Case:
    mask = kit.layer("dropout", None, {"p": 0.6, "mode": "train", "seed": 5})
    slopes = kit.layer("prelu", {"alpha": np.linspace(0.1, 0.5, 6)})
    parts = [
        kit.affine(5, 8),
        kit.layer("leaky_relu", None, 0.05),
        mask,
        kit.affine(8, 6),
        slopes,
        kit.affine(6, 2),
    ]
    return kit.case(parts, kit.rows(N, 5), kit.rows(N, 2), "huber_loss")


# Of the second set.


def grid(kit: Kit) -> Case:
    ones = np.ones((1, 4, 1, 1))
    scale = {"gamma": ones + 0.3 * kit.rows(1, 4, 1, 1), "beta": ones * 0.1}
    parts = [kit.conv(4, 2), kit.layer("spatial_groupnorm", scale, 2, {}), kit.layer("elu")]
    parts += [kit.conv(4, 4), kit.layer("avg_pool", None, POOL), kit.affine(16, 3)]
    return kit.case(parts, kit.rows(8, 2, 4, 4), kit.labels(3, 8), "svm_loss")


def talk(kit: Kit) -> Case:
    parts = [kit.recurrent("gru", 4, 5, 3), kit.affine(5, 6, "temporal_affine")]
    return kit.case(parts, kit.rows(8, 3, 4), kit.labels(6, 8, 3), "sequence_loss")


def yes_or_no(kit: Kit) -> Case:
    slopes = kit.layer("prelu", {"alpha": np.array(0.3)})
    parts = [kit.affine(3, 6), slopes, kit.affine(6, 2)]
    return kit.case(parts, kit.rows(8, 3), kit.labels(2, 8, 2).astype(float), "bce_with_logits_loss")


def deep(kit: Kit) -> Case:
    w = {"w1": kit.weights(7, 5), "b1": kit.rows(5), "w2": kit.weights(5, 7), "b2": kit.rows(7)}
    parts = [kit.affine(3, 7), kit.layer("softplus"), kit.norm("layernorm", 7), kit.layer("residual", w)]
    parts += [kit.affine(7, 7), kit.layer("tanh"), kit.affine(7, 4)]
    return kit.case(parts, kit.rows(8, 3), kit.rows(8, 4), "huber_loss")


def dropped(kit: Kit) -> Case:
    mask = kit.layer("dropout", None, {"p": 0.8, "mode": "train", "seed": 11})
    parts = [
        kit.affine(4, 9),
        kit.layer("relu"),
        mask,
        kit.affine(9, 9),
        kit.layer("sigmoid"),
        kit.affine(9, 5),
    ]
    return kit.case(parts, kit.rows(8, 4), kit.labels(5, 8), "softmax_loss")


# Of the third set.


def coder(kit: Kit, penalty: float = 0.0) -> Case:
    parts = [kit.affine(3, 6), kit.layer("tanh"), kit.affine(6, 6), kit.layer("sigmoid")]
    parts += [kit.affine(6, 6), kit.layer("silu"), kit.affine(6, 3)]
    return kit.case(parts, kit.rows(9, 3), kit.rows(9, 3), "mse_loss", penalty)


def coder_with_penalty(kit: Kit) -> Case:
    return coder(kit, 0.02)


def speech(kit: Kit) -> Case:
    parts = [kit.recurrent("lstm", 3, 4, 4), kit.affine(4, 5, "temporal_affine")]
    return kit.case(parts, kit.rows(9, 4, 3), kit.labels(5, 9, 4), "sequence_loss")


def camera(kit: Kit) -> Case:
    parts = [kit.conv(3, 1), kit.layer("relu"), kit.affine(48, 6), kit.norm("layernorm", 6), kit.affine(6, 4)]
    return kit.case(parts, kit.rows(9, 1, 4, 4), kit.labels(4, 9), "softmax_loss")


# ------------------------------------------------------------------------------
# Mistakes
# ------------------------------------------------------------------------------


def one_of(result: int, change: Callable[[np.ndarray], Any]) -> Callable[[Backward], Backward]:
    """A mistake in one of the gradients that a pair returns, by its position."""

    def changed(dout: np.ndarray, *grads: np.ndarray) -> Any:
        new = [change(g.copy()) if i == result else g for i, g in enumerate(grads)]
        return tuple(new) if len(new) > 1 else new[0]

    return of_result(changed)


def of_dout(result: int, compute: Callable[[np.ndarray], np.ndarray]) -> Callable[[Backward], Backward]:
    """One of the gradients that a pair returns, computed wrongly from the upstream gradient."""
    return of_result(lambda d, *grads: tuple(compute(d) if i == result else g for i, g in enumerate(grads)))


def first_element(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(g: np.ndarray) -> np.ndarray:
        g.flat[0] = value
        return g

    return change


def single(g: np.ndarray) -> np.ndarray:
    return g.astype(np.float32).astype(float)


def tanh_of_wrong_argument(dout: np.ndarray, out: np.ndarray) -> np.ndarray:
    return dout * (1 - np.arctanh(out) ** 2)


def silu_of_one_path(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """The sigmoid in x sigmoid(x) is taken for a constant."""
    return dout * cache[0]


def in_place(right: Backward) -> Backward:
    def backward(dout: np.ndarray, cache: Any) -> np.ndarray:
        dout *= right(np.ones_like(dout), cache)
        return dout

    return backward


def rectify_in_place(right: Callable[..., Any]) -> Callable[..., Any]:
    def forward(x: np.ndarray) -> Any:
        out = right(x)
        x[x.real < 0] = 0
        return out

    return forward


def pool_to_first(right: Backward) -> Backward:
    def backward(dout: np.ndarray, cache: Any) -> np.ndarray:
        dx = np.zeros_like(right(dout, cache))
        dx[:, :, ::2, ::2] = dout
        return dx

    return backward


def last_wins(dout: np.ndarray, cache: tuple) -> np.ndarray:
    words, shape = cache
    dW = np.zeros(shape)
    dW[words] = dout
    return dW


def skip_constant(right: Backward) -> Backward:
    """The mean is taken for a constant."""

    def backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
        dx, dgamma, dbeta = right(dout, cache)
        return dx + cache[2] / cache[1] * dout.mean(axis=0), dgamma, dbeta

    return backward


def no_statistics(right: Backward) -> Backward:
    def backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
        _, dgamma, dbeta = right(dout, cache)
        return cache[1] * cache[2] * dout, dgamma, dbeta

    return backward


def without_gamma(right: Backward) -> Backward:
    def backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
        dx, dgamma, dbeta = right(dout, cache)
        return dx / cache[2], dgamma, dbeta

    return backward


def cut_in_time(right: Backward) -> Backward:
    def backward(dh: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
        x, h, Wx, Wh = cache  # time first
        da = np.moveaxis(dh, 1, 0) * (1 - h[1:] ** 2)
        dWx, dWh = np.einsum("tnd,tnh->dh", x, da), np.einsum("tnk,tnh->kh", h[:-1], da)
        return np.moveaxis(da @ Wx.T, 0, 1), da[0] @ Wh.T, dWx, dWh, da.sum(axis=(0, 1))

    return backward


def adds_up(right: Compute) -> Compute:
    kept: Arrays = {}

    def compute(params: Arrays) -> Arrays:
        for name, g in right(params).items():
            kept[name] = kept.get(name, 0) + g
        return kept

    return compute


def adds_up_one(right: Compute) -> Compute:
    kept: list[np.ndarray] = []

    def compute(params: Arrays) -> Arrays:
        grads = dict(right(params))
        last = list(grads)[-1]
        kept.append(grads[last])
        return {**grads, last: np.sum(kept, axis=0)}

    return compute


def of_first_call(right: Compute) -> Compute:
    kept: Arrays = {}

    def compute(params: Arrays) -> Arrays:
        if not kept:
            kept.update(right(params))
        return kept

    return compute


def one_of_first_call(right: Compute) -> Compute:
    kept: Arrays = {}

    def compute(params: Arrays) -> Arrays:
        grads = dict(right(params))
        first = next(iter(grads))
        return {**grads, first: kept.setdefault(first, grads[first])}

    return compute


def decays(right: Compute) -> Compute:
    def compute(params: Arrays) -> Mapping[str, np.ndarray]:
        grads = right(params)
        for w in params.values():
            w *= 0.999
        return grads

    return compute


def steps(right: Compute) -> Compute:
    def compute(params: Arrays) -> Mapping[str, np.ndarray]:
        grads = right(params)
        last = list(params)[-1]
        params[last] -= 0.1 * grads[last]
        return grads

    return compute


def mistakes() -> list[Mistake]:
    found: list[Mistake] = []
    for which, fill in (("first", first_set), ("second", second_set), ("third", third_set)):

        def plant(
            kinds: str, name: str, network: Any, place: str, change: Any, *ways: str, which: str = which
        ) -> None:
            accepted = frozenset(kinds.split(" | "))
            found.append(
                Mistake(name, network, place, change, accepted, ways or (DICT, CALL, NETWORK), which)
            )

        fill(plant)
    return found


def first_set(plant: Callable[..., None]) -> None:
    plant("zero", "gain never filled", normalized, "layernorm", one_of(1, np.zeros_like))
    plant("zero", "bias never filled", sentences, "lstm", one_of(4, np.zeros_like))
    plant("zero", "nothing handed on", blocks, "batchnorm", one_of(0, np.zeros_like))
    plant("not finite", "nan in an activation", normalized, "silu", one_of(0, first_element(np.nan)))
    plant("not finite", "infinite gain", pictures, "spatial_batchnorm", one_of(1, first_element(np.inf)))
    plant("sign", "slope of the other sign", normalized, "tanh", one_of(0, np.negative))
    plant("sign", "slopes learn uphill", leaky, "prelu", one_of(1, np.negative))
    plant("sign", "target minus prediction", signals, "mse_loss", of_loss(np.negative))
    plant("missing 1/N", "sum for a mean, squares", signals, "mse_loss", of_loss(lambda d: N * d))
    plant("missing 1/N", "sum for a mean, margins", pictures, "svm_loss", of_loss(lambda d: N * d))
    plant("missing 1/N", "sum for an average pool", averaged, "avg_pool", one_of(0, lambda g: 4 * g))
    plant("extra 1/N", "bias averaged", normalized, "affine 2", one_of(2, lambda g: g / N))
    plant("extra 1/N", "weights averaged", leaky, "affine 2", one_of(1, lambda g: g / N))
    plant("extra 1/N", "averaged over time", signals, "gru", one_of(4, lambda g: g / 4))
    plant("factor", "mask without its factor", leaky, "dropout", one_of(0, lambda g: 0.6 * g))
    plant("factor", "a gain of 1.7", blocks, "softplus", one_of(0, lambda g: 1.7 * g))
    plant("extra 1/N | factor", "half a square", blocks, "mse_loss", of_loss(lambda d: d / 2))
    plant("accumulated", "weights counted twice", normalized, "affine 3", one_of(1, lambda g: 2 * g))
    plant("accumulated", "bias counted twice", sentences, "affine", one_of(2, lambda g: 2 * g))
    plant("accumulated", "all add up", signals, "calls", adds_up, CALL)
    plant("accumulated", "the last adds up", leaky, "calls", adds_up_one, CALL)
    plant("stale", "all of the first call", normalized, "calls", of_first_call, CALL)
    plant("stale", "one of the first call", blocks, "calls", one_of_first_call, CALL)
    plant("input mutated", "weight decay on the way", leaky, "calls", decays, CALL)
    plant("input mutated", "a step on the way", signals, "calls", steps, CALL)
    plant("input mutated", "slope written into dout", normalized, "tanh", in_place, NETWORK)
    plant("input mutated", "slope written into dout, in a block", blocks, "softplus", in_place, NETWORK)
    plant("input mutated", "rectified in place", pictures, "forward of relu", rectify_in_place, NETWORK)
    plant("shape", "bias with an axis of one", normalized, "affine 1", one_of(2, lambda g: g[None]))
    plant("shape", "weights flat", pictures, "affine", one_of(1, np.ravel))
    plant("shape", "three gates of four", sentences, "lstm", one_of(2, lambda g: g[:, :15]))
    plant("transposed", "square weights", normalized, "affine 2", one_of(1, np.transpose))
    plant("transposed", "square weights in a block", blocks, "affine 2", one_of(1, np.transpose))
    plant("transposed", "weights of another shape", leaky, "affine 1", one_of(1, np.transpose))
    plant("transposed", "filters", averaged, "conv", one_of(1, lambda g: g.swapaxes(2, 3)))
    plant("transposed", "recurrent weights", echoes, "rnn", one_of(3, np.transpose))
    plant("not summed", "bias of the first example", normalized, "affine 2", of_dout(2, lambda d: d[0]))
    plant("not summed", "shift of the last example", blocks, "batchnorm", of_dout(2, lambda d: d[-1]))
    plant("not summed", "bias of one place", averaged, "conv", of_dout(2, lambda d: d.sum(axis=0)[:, 1, 1]))
    plant("not summed", "bias of all examples", leaky, "affine 3", of_dout(2, np.copy))
    plant("not summed | missing term", "bias of the last step", echoes, "temporal_affine",
          of_dout(2, lambda d: d[:, -1].sum(axis=0)))  # fmt: skip
    plant("not summed | missing term", "words overwritten", sentences, "word_embedding", of_cache(last_wins))
    plant("missing factor per channel", "gamma forgotten", blocks, "batchnorm", without_gamma)
    plant("missing factor per channel", "a gain for each output", leaky, "affine 2",
          one_of(1, lambda g: g * np.linspace(0.6, 1.9, 6)))  # fmt: skip
    plant("missing factor per channel", "filters, each with a gain", pictures, "conv",
          one_of(1, lambda g: g * np.array([0.5, 1.2, 2.1])[:, None, None, None]))  # fmt: skip
    plant("missing factor", "slope left out, elu", blocks, "elu", of_cache(lambda d, c: d.copy()))
    plant("missing factor", "slope left out, sigmoid", skips, "sigmoid", of_cache(lambda d, c: d.copy()))
    plant("missing factor", "slope left out, gelu", averaged, "gelu_tanh", of_cache(lambda d, c: d.copy()))
    plant(
        "missing factor", "slope at the wrong argument", normalized, "tanh", of_cache(tanh_of_wrong_argument)
    )
    plant(
        "missing factor | missing term",
        "one path of two, silu",
        normalized,
        "silu",
        of_cache(silu_of_one_path),
    )
    plant("mask wrong", "mask of the upstream gradient", pictures, "relu", of_cache(lambda d, c: d * (d > 0)))
    plant("mask wrong", "mask left out", pictures, "relu", of_cache(lambda d, c: d.copy()))
    plant("mask wrong", "to the first, not the largest", pictures, "max_pool", pool_to_first)
    plant(
        "mask wrong | missing factor", "dropout left out", leaky, "dropout", of_cache(lambda d, c: d.copy())
    )
    plant("mask wrong | missing factor", "the steep side everywhere", leaky, "leaky_relu",
          of_cache(lambda d, c: d.copy()))  # fmt: skip
    plant("missing term", "constant statistics", normalized, "layernorm", no_statistics)
    plant("missing term", "constant mean", blocks, "batchnorm", skip_constant)
    plant("missing term", "skip left out", skips, "residual", of_result(lambda d, dx, *rest: (dx - d, *rest)))
    plant("missing term", "nothing back through time", echoes, "rnn", cut_in_time)
    plant("missing term | not summed", "last step only", echoes, "rnn", of_upstream(only_last))
    plant("float32 noise", "weights through float32", normalized, "affine 2", one_of(1, single))
    plant("float32 noise", "handed on through float32", blocks, "batchnorm", one_of(0, single))


def second_set(plant: Callable[..., None]) -> None:
    plant("zero", "second bias never filled", grid, "conv 2", one_of(2, np.zeros_like))
    plant("zero", "step of a gate never handed on", talk, "temporal_affine", one_of(0, np.zeros_like))
    plant("not finite", "nan in the weights", yes_or_no, "affine 2", one_of(1, first_element(np.nan)))
    plant("not finite", "infinity handed on", deep, "softplus", one_of(0, first_element(np.inf)))
    plant("sign", "margin the wrong way", grid, "svm_loss", of_loss(np.negative))
    plant("sign", "recurrence subtracted", talk, "gru", one_of(3, np.negative))
    plant(
        "missing 1/N",
        "sum for a mean, yes or no",
        yes_or_no,
        "bce_with_logits_loss",
        of_loss(lambda d: 16 * d),
    )
    plant("missing 1/N", "not divided by the batch", talk, "sequence_loss", of_loss(lambda d: 8 * d))
    plant("missing 1/N", "not averaged in the pool", grid, "avg_pool", one_of(0, lambda g: 4 * g))
    plant("extra 1/N", "shift averaged", deep, "layernorm", one_of(2, lambda g: g / 8))
    plant("extra 1/N", "filters averaged over the batch", grid, "conv 1", one_of(1, lambda g: g / 8))
    plant("factor", "temperature forgotten", talk, "sequence_loss", of_loss(lambda d: 0.37 * d))
    plant("factor", "keep probability for its inverse", dropped, "dropout", one_of(0, lambda g: g * 0.8**2))
    plant("accumulated", "gain counted twice", deep, "layernorm", one_of(1, lambda g: 2 * g))
    plant("accumulated", "all add up", yes_or_no, "calls", adds_up, CALL)
    plant("stale", "all of the first call", grid, "calls", of_first_call, CALL)
    plant("stale", "one of the first call", dropped, "calls", one_of_first_call, CALL)
    plant("input mutated", "weight decay on the way", talk, "calls", decays, CALL)
    plant("input mutated", "slope written into dout", deep, "softplus", in_place, NETWORK)
    plant("input mutated", "rectified in place", dropped, "forward of relu", rectify_in_place, NETWORK)
    plant("shape", "shift with an axis of one", deep, "layernorm", one_of(2, lambda g: g[None]))
    plant("shape", "a column short", yes_or_no, "affine 1", one_of(1, lambda g: g[:, :-1]))
    plant("transposed", "recurrent gates", dropped, "affine 2", one_of(1, np.transpose))
    plant("transposed", "in and out filters", grid, "conv 2", one_of(1, lambda g: g.swapaxes(0, 1)))
    plant("transposed", "weights to words", talk, "temporal_affine", one_of(1, np.transpose))
    plant("not summed", "bias of the second example", yes_or_no, "affine 1", of_dout(2, lambda d: d[1]))
    plant("not summed", "bias of one corner", grid, "conv 2", of_dout(2, lambda d: d[:, :, 0, 0].sum(axis=0)))
    plant("not summed", "shift of all examples", deep, "layernorm", of_dout(2, np.copy))
    plant("missing factor per channel", "a gain for each unit", dropped, "affine 1",
          one_of(1, lambda g: g * np.linspace(0.4, 1.5, 9)))  # fmt: skip
    plant("missing factor per channel", "filters, each with a gain", grid, "conv 2",
          one_of(1, lambda g: g * np.array([0.3, 1.4, 2.2, 0.9])[:, None, None, None]))  # fmt: skip
    plant("missing factor per channel", "slopes per unit forgotten", yes_or_no, "affine 2",
          one_of(1, lambda g: g / np.arange(1, 7)[:, None]))  # fmt: skip
    plant("missing factor", "slope left out, softplus", deep, "softplus", of_cache(lambda d, c: d.copy()))
    plant("missing factor", "slope left out, tanh", deep, "tanh", of_cache(lambda d, c: d.copy()))
    plant(
        "missing factor", "slope taken twice", deep, "tanh", lambda right: lambda d, c: right(right(d, c), c)
    )
    plant("mask wrong", "mask left out", dropped, "relu", of_cache(lambda d, c: d.copy()))
    plant("mask wrong", "mask of the upstream gradient", dropped, "relu", of_cache(lambda d, c: d * (d > 0)))
    plant("mask wrong | missing factor", "negative side cut", yes_or_no, "prelu",
          of_result(lambda d, dx, da: (d * (dx == d), da)))  # fmt: skip
    plant("mask wrong | missing term", "first example cut", dropped, "affine 3", of_upstream(first_row_cut))
    plant("missing term", "constant statistics", deep, "layernorm", no_statistics)
    plant("missing term", "skip left out", deep, "residual", of_result(lambda d, dx, *rest: (dx - d, *rest)))
    plant("missing term", "branch left out", deep, "residual", of_result(lambda d, dx, *rest: (d, *rest)))
    plant("missing term", "one class left out", talk, "sequence_loss", of_loss(one_class_less))
    plant("float32 noise", "filters through float32", grid, "conv 2", one_of(1, single))
    plant("float32 noise", "gates through float32", talk, "gru", one_of(2, single))


def third_set(plant: Callable[..., None]) -> None:
    plant("zero", "nothing below the middle", coder, "affine 2", one_of(0, np.zeros_like))
    plant("not finite", "a slope divided by zero", coder, "sigmoid", one_of(0, first_element(np.inf)))
    plant("sign", "loss maximized", speech, "sequence_loss", of_loss(np.negative))
    plant("missing 1/N", "not divided by its size", coder, "mse_loss", of_loss(lambda d: 27 * d))
    plant("extra 1/N", "gates averaged", speech, "lstm", one_of(3, lambda g: g / 9))
    plant("extra 1/N", "filters averaged", camera, "conv", one_of(1, lambda g: g / 9))
    plant("factor", "a constant of the softmax", camera, "softmax_loss", of_loss(lambda d: 1.6 * d))
    plant("accumulated", "shift twice", camera, "layernorm", one_of(2, lambda g: 2 * g))
    plant("accumulated", "all add up", camera, "calls", adds_up, CALL)
    plant("stale", "all of the first call", speech, "calls", of_first_call, CALL)
    plant("input mutated", "a step on the way", coder, "calls", steps, CALL)
    plant("input mutated", "slope written into dout", camera, "relu", in_place, NETWORK)
    plant("shape", "flat filters", camera, "conv", one_of(1, np.ravel))
    plant("transposed", "square weights", coder, "affine 3", one_of(1, np.transpose))
    plant("transposed", "kernels on their side", camera, "conv", one_of(1, lambda g: g.swapaxes(2, 3)))
    plant("not summed", "bias of one example", coder, "affine 3", of_dout(2, lambda d: d[3]))
    plant("not summed", "a column of the pictures", camera, "conv",
          of_dout(2, lambda d: d[:, :, :, 0].sum(axis=(0, 2))))  # fmt: skip
    plant("missing factor per channel", "features not scaled", coder, "affine 1",
          one_of(1, lambda g: g / np.array([1.0, 0.3, 4.0])[:, None]))  # fmt: skip
    plant("missing factor", "slope left out, sigmoid", coder, "sigmoid", of_cache(lambda d, c: d.copy()))
    plant("missing factor", "slope left out, tanh", coder, "tanh", of_cache(lambda d, c: d.copy()))
    plant("missing factor", "half of a sigmoid's slope", coder, "sigmoid", of_cache(lambda d, out: d * out))
    plant("mask wrong", "mask left out", camera, "relu", of_cache(lambda d, c: d.copy()))
    plant("mask wrong", "mask of the upstream gradient", camera, "relu", of_cache(lambda d, c: d * (d > 0)))
    plant("missing term", "constant statistics", camera, "layernorm", no_statistics)
    plant("missing term | not summed", "last step only", speech, "lstm", of_upstream(only_last))
    plant("missing term", "penalty left out", coder_with_penalty, "calls", without_penalty, DICT, CALL)
    plant("float32 noise", "slope through float32", coder, "tanh", one_of(0, single))
    plant("float32 noise", "loss in float32", speech, "sequence_loss", of_loss(single))


def without_penalty(right: Compute) -> Compute:
    return lambda params: {k: g - 0.02 * params[k] * (g.ndim > 1) for k, g in right(params).items()}


def only_last(dh: np.ndarray) -> np.ndarray:
    dh[:, :-1] = 0
    return dh


def first_row_cut(d: np.ndarray) -> np.ndarray:
    d[0] = 0
    return d


def one_class_less(d: np.ndarray) -> np.ndarray:
    return d * (np.arange(d.shape[-1]) > 0)


def plant(mistake: Mistake, seed: int) -> tuple[Case, Compute]:
    """The broken network, and the function that computes its gradients."""
    if mistake.place == "calls":
        case = mistake.network(Kit(seed, {}))
        return case, mistake.change(case.grads)
    if mistake.place.startswith("forward of "):
        name = mistake.place.removeprefix("forward of ")
        kit = Kit(seed, {})
        kit.forwards = {name: mistake.change(getattr(layers, f"{name}_forward"))}
    else:
        kit = Kit(seed, {mistake.place: mistake.change(right_backward(mistake.place.split()[0]))})
    case = mistake.network(kit)
    return case, case.grads
