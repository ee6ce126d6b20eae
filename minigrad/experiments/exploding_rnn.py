"""A recurrent network whose matrix starts small and does not stay small: the gradient explodes during training.

The first of 20 steps shows one of four symbols, the others noise, and the network has to name the symbol after the
last one. Plain SGD with a long learning rate. The spectral radius of the recurrent matrix starts at 0.7.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.activity import saturated_fraction
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import memory_task
from minigrad.experiments import Number, Option
from minigrad.initializers import normal, orthogonal
from minigrad.layers import affine_backward, affine_forward, last_step_backward, last_step_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential, from_zero_state
from minigrad.optimizers import sgd
from minigrad.training import accuracy, fit

SYMBOLS = 4
LENGTH = 20
NOISE = 0.1
UNITS = 32
STEPS = 80

SETTINGS: Mapping[str, Number | Option] = {
    "learning_rate": Number(2.0, 0.0, 10.0, "learning rate"),
    "clip_norm": Number(math.inf, 0.0, math.inf, "largest norm of the gradient; at inf nothing is clipped"),
    "radius": Number(0.7, 0.0, 3.0, "spectral radius of Wh at the start"),
    "start": Option(
        "normal", ("normal", "orthogonal"), "Wh at the start: normal numbers, or a rotation times the radius"
    ),
}
REQUIRES = ("rnn_forward", "rnn_backward")

Functions = Mapping[str, Callable[..., Any]]


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train once.

    Parameters
    ----------
    settings : mapping
        A value for each of `SETTINGS`.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the sequences.

    Returns
    -------
    dict
        `accuracy` on 512 new sequences at the end; `worst_loss`, the largest of `losses`; at each step `losses`, the
        norm of the gradient of `Wh` before clipping, `gradients`, and the spectral radius of `Wh` before the step,
        `radii`; and `saturated`, the share of states near -1 or 1 on those new sequences.
    """

    def sequences(rng: np.random.Generator, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return memory_task(n, LENGTH, rng, SYMBOLS, NOISE)

    network = Sequential(
        rnn=Layer(
            *from_zero_state(functions["rnn_forward"], functions["rnn_backward"]),
            {
                "Wx": normal((SYMBOLS, UNITS), rng, std=1.0),
                "Wh": matrix(settings["start"], settings["radius"], UNITS, rng),
                "b": np.zeros(UNITS),
            },
        ),
        last=Layer(last_step_forward, last_step_backward),
        scores=Layer(
            affine_forward,
            affine_backward,
            {"w": normal((UNITS, SYMBOLS), rng, std=UNITS**-0.5), "b": np.zeros(SYMBOLS)},
        ),
    )
    radii, losses, gradients = [spectral_radius(network.params["rnn.Wh"])], [], []
    for step in fit(
        network,
        sequences,
        svm_loss,
        sgd,
        steps=STEPS,
        learning_rate=settings["learning_rate"],
        rng=rng,
        batch_size=32,
        clip=lambda grads: clip_grad_norm(grads, settings["clip_norm"]),
    ):
        losses.append(step.loss)
        gradients.append(np.linalg.norm(network.grads["rnn.Wh"]))
        radii.append(spectral_radius(network.params["rnn.Wh"]))
    x, y = sequences(rng, 512)
    weights = (network.params[f"rnn.{name}"] for name in ("Wx", "Wh", "b"))
    states, _ = functions["rnn_forward"](x, np.zeros((len(x), UNITS)), *weights)
    return {
        "accuracy": accuracy(network.forward(x), y),
        "worst_loss": max(losses),
        "losses": np.array(losses),
        "gradients": np.array(gradients),
        "radii": np.array(radii[:-1]),
        "saturated": saturated_fraction(states, -1.0, 1.0),
    }


def matrix(start: str, radius: float, units: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw a square matrix of a given spectral radius.

    Parameters
    ----------
    start : {"normal", "orthogonal"}
        Independent normal numbers, or a rotation, all of whose singular values are equal.
    radius : float
    units : int
        Rows and columns.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (units, units)
    """
    if start == "orthogonal":
        return orthogonal((units, units), rng, gain=radius)
    w = normal((units, units), rng, std=1.0)
    return w * (radius / spectral_radius(w))


def spectral_radius(w: NDArray[Any]) -> float:
    """Return the largest absolute value of the eigenvalues of a square matrix; NaN if an entry is not finite.

    Parameters
    ----------
    w : ndarray, shape (H, H)

    Returns
    -------
    float
    """
    return float(np.abs(np.linalg.eigvals(w)).max()) if np.isfinite(w).all() else math.nan
