"""Training in float16: the gradients are too small for it, and all of them are zero.

64 pixels, two hidden layers of 32 ReLU units, 10 scores, 100 steps on a softmax loss. Layers compute as the matrix
units of a graphics card do: numbers come in and go out as float16, and the sums in between are float32. The weights
are kept in float32. The loss is the mean over a very large batch, of which this machine holds 128 examples.

The record also has the same run in float32, which learns: neither the data nor the learning rate is to blame.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.datasets import digits
from minigrad.experiments import Number
from minigrad.initializers import normal
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
from minigrad.losses import softmax_loss
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd_momentum
from minigrad.training import accuracy

WIDTH = 32
STEPS = 100
HELD = 128  # examples on this machine
BATCH = 15_360 * 4_096  # examples that the loss is a mean over

SETTINGS: Mapping[str, Number] = {
    "scale": Number(1.0, 2.0**-10, 2.0**60, "loss scale at the start"),
    "interval": Number(0.0, 0.0, 2000.0, "steps without overflow until the scale grows; 0: it never changes"),
    "learning_rate": Number(0.1, 0.0, 1e6, "learning rate"),
    "momentum": Number(0.9, 0.0, 0.99, "momentum"),
}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "softmax_loss",
    "scale_gradient",
    "unscale_gradients",
    "update_scale",
)

Array = NDArray[Any]
Functions = Mapping[str, Callable[..., Any]]


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train in float16, and from the same start in float32.

    Parameters
    ----------
    settings : mapping
        A value for each of `SETTINGS`.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the batches.

    Returns
    -------
    dict
        `accuracy` over all digits at the end, `loss` over the last 20 steps, `skipped`, the share of the steps that
        were not made, `zeros`, the share of the parameters whose gradient in the first step is exactly 0, and
        `moved`, how many of them changed at all; at each step `losses` and `scales`. `float32_accuracy`,
        `float32_zeros` and `float32_losses` of the other run.
    """
    seed = int(rng.integers(2**32))
    half = train(np.float16, settings, functions, np.random.default_rng(seed))
    single = train(
        np.float32, {**settings, "scale": 1.0, "interval": 0.0}, functions, np.random.default_rng(seed)
    )
    return half | {f"float32_{key}": single[key] for key in ("accuracy", "zeros", "losses")}


def network(dtype: DTypeLike, functions: Functions, rng: np.random.Generator) -> Sequential:
    """Return the network before training.

    Parameters
    ----------
    dtype : float16 or float32
        What layers hand on to each other, forward and backward.
    functions : mapping
        With the pairs `affine` and `relu`.
    rng : numpy.random.Generator
        Draws the weights.

    Returns
    -------
    Sequential
    """

    def affine(inputs: int, units: int) -> Layer:
        w = normal((inputs, units), rng, std=(2 / inputs) ** 0.5, dtype=np.float32)
        pair = rounded(functions["affine_forward"], functions["affine_backward"], dtype)
        return Layer(*pair, {"w": w, "b": np.zeros(units, np.float32)})

    def relu() -> Layer:
        return Layer(*rounded(functions["relu_forward"], functions["relu_backward"], dtype))

    return Sequential(
        affine1=affine(64, WIDTH), relu1=relu(), affine2=affine(WIDTH, WIDTH), relu2=relu(), affine3=affine(WIDTH, 10)
    )  # fmt: skip


def rounded(forward: Callable[..., Any], backward: Callable[..., Any], dtype: DTypeLike) -> tuple[Any, Any]:
    """Return the pair with arrays rounded to a precision before and after, and float32 within.

    Parameters
    ----------
    forward, backward : callable
        A pair.
    dtype : float16 or float32

    Returns
    -------
    forward, backward : callable
    """

    def inside(x: Array) -> Array:
        return x.astype(dtype, copy=False).astype(np.float32)

    def forward_rounded(*args: Array) -> tuple[Array, Any]:
        out, cache = forward(*map(inside, args))
        return out.astype(dtype, copy=False), cache

    def backward_rounded(dout: Array, cache: Any) -> Any:
        grads = backward(inside(dout), cache)
        if isinstance(grads, tuple):
            return tuple(grad.astype(dtype, copy=False) for grad in grads)
        return grads.astype(dtype, copy=False)

    return forward_rounded, backward_rounded


def upstream(net: Sequential, x: Array, y: Array, functions: Functions) -> tuple[float, Array]:
    """Return the loss of the examples here, and what they contribute to the gradient of the mean over all.

    Parameters
    ----------
    net : Sequential
    x : ndarray, shape (N, 64)
    y : ndarray of int, shape (N,)
    functions : mapping
        With `softmax_loss`.

    Returns
    -------
    loss : float
    dscores : ndarray of float32, shape (N, 10)
    """
    loss, dscores = functions["softmax_loss"](net.forward(x).astype(np.float32), y)
    return float(loss), (dscores * (len(x) / BATCH)).astype(np.float32)


def first_gradients(
    scale: float, scale_gradient: Callable[..., Any], dtype: DTypeLike = np.float16, seed: int = 0
) -> dict[str, Array]:
    """Return the gradients of the parameters in the first step, still scaled.

    Parameters
    ----------
    scale : float
    scale_gradient : callable
        The student's.
    dtype : float16 or float32
    seed : int
        Draws the weights and the batch.

    Returns
    -------
    dict of str to ndarray of dtype
    """
    functions: Functions = {
        "affine_forward": affine_forward,
        "affine_backward": affine_backward,
        "relu_forward": relu_forward,
        "relu_backward": relu_backward,
        "softmax_loss": softmax_loss,
    }
    rng = np.random.default_rng(seed)
    x, y = digits()
    net = network(dtype, functions, rng)
    rows = rng.choice(len(x), HELD, replace=False)
    config = {"scale": scale, "growth": 2.0, "backoff": 0.5, "interval": 2000, "good_steps": 0}
    with np.errstate(all="ignore"):
        _, dscores = upstream(net, x[rows], y[rows], functions)
        net.backward_params(scale_gradient(dscores, config).astype(dtype))
    grads: dict[str, Any] = net.grads
    return grads


def train(
    dtype: DTypeLike, settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator
) -> dict[str, Any]:
    """Train once.

    Parameters
    ----------
    dtype : float16 or float32
    settings, functions : mapping
        As for `run`.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        As of `run`.
    """
    x, y = digits()
    net = network(dtype, functions, rng)
    scaling = {"scale": settings["scale"], "growth": 2.0, "backoff": 0.5, "good_steps": 0}
    scaling["interval"] = settings["interval"]
    memory: dict[str, dict[str, Any]] = {
        name: {"learning_rate": settings["learning_rate"], "momentum": settings["momentum"]}
        for name in net.params
    }
    start: dict[str, Any] = net.params
    losses, scales, skipped, zeros = [], [], 0, 0.0
    with np.errstate(all="ignore"):  # numbers that are too large for float16 are what this is about
        for step in range(STEPS):
            rows = rng.choice(len(x), HELD, replace=False)
            loss, dscores = upstream(net, x[rows], y[rows], functions)
            net.backward_params(functions["scale_gradient"](dscores, scaling).astype(dtype))
            if step == 0:
                zeros = float(np.mean(np.concatenate([grad.ravel() for grad in net.grads.values()]) == 0))
            losses.append(loss)
            scales.append(scaling["scale"])
            grads, overflow = functions["unscale_gradients"](net.grads, scaling)
            skipped += bool(overflow)
            if not overflow:
                # All machines add up what they have. The others are taken to have seen what this one has.
                params: dict[str, Any] = net.params
                net.params = {
                    name: sgd_momentum(w, grads[name] * (BATCH / HELD), memory[name])[0]
                    for name, w in params.items()
                }
            if settings["interval"]:
                scaling = functions["update_scale"](bool(overflow), scaling)
        scores = net.forward(x)
    return {
        "accuracy": accuracy(scores, y),
        "loss": float(np.mean(losses[-20:])),
        "skipped": skipped / STEPS,
        "zeros": zeros,
        "moved": float(sum(np.count_nonzero(w != start[name]) for name, w in net.params.items())),
        "losses": np.array(losses),
        "scales": np.array(scales, dtype=np.float64),
    }
