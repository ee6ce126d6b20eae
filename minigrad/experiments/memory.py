"""What recurrent networks remember for 40 steps: two vanilla ones and two LSTMs. Only to be looked at.

The task of `exploding_rnn`, twice as long and with more noise. One of the vanilla ones starts as the remedy of that
run does. All are trained alike, with clipping.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.clipping import clip_grad_norm
from minigrad.datasets import memory_task
from minigrad.experiments import Number, Option
from minigrad.experiments.exploding_rnn import matrix
from minigrad.initializers import normal
from minigrad.layers import affine_backward, affine_forward, last_step_backward, last_step_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential, from_zero_state
from minigrad.optimizers import adam
from minigrad.training import accuracy, fit

SYMBOLS = 4
LENGTH = 40
NOISE = 0.5
UNITS = 16
STEPS = 150
STARTS = 6
NETWORKS = ("normal, radius 0.9", "orthogonal, radius 1.2", "LSTM, forget bias 0", "LSTM, forget bias 4")

SETTINGS: Mapping[str, Number | Option] = {}
REQUIRES = ("rnn_forward", "rnn_backward", "lstm_forward", "lstm_backward")

Functions = Mapping[str, Callable[..., Any]]


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train each of `NETWORKS` from `STARTS` starts.

    Parameters
    ----------
    settings : mapping
        Empty.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the sequences.

    Returns
    -------
    dict
        `accuracies`, of shape (4, 6), on 512 new sequences, and `losses` at each step, of shape (4, 6, 150).
    """
    runs = [[_train(name, functions, rng) for _ in range(STARTS)] for name in NETWORKS]
    return {
        "accuracies": np.array([[share for share, _ in starts] for starts in runs]),
        "losses": np.array([[losses for _, losses in starts] for starts in runs]),
    }


def _train(name: str, functions: Functions, rng: np.random.Generator) -> tuple[float, list[float]]:
    network = Sequential(
        recurrent=_recurrent(name, functions, rng),
        last=Layer(last_step_forward, last_step_backward),
        scores=Layer(
            affine_forward,
            affine_backward,
            {"w": normal((UNITS, SYMBOLS), rng, std=UNITS**-0.5), "b": np.zeros(SYMBOLS)},
        ),
    )
    records = fit(
        network,
        lambda rng, n: memory_task(n, LENGTH, rng, SYMBOLS, NOISE),
        svm_loss,
        adam,
        steps=STEPS,
        learning_rate=0.01,
        rng=rng,
        batch_size=32,
        clip=lambda grads: clip_grad_norm(grads, 1.0),
    )
    losses = [step.loss for step in records]
    x, y = memory_task(512, LENGTH, rng, SYMBOLS, NOISE)
    return accuracy(network.forward(x), y), losses


def _recurrent(name: str, functions: Functions, rng: np.random.Generator) -> Layer:
    lstm = name.startswith("LSTM")
    kind, columns = ("lstm", 4 * UNITS) if lstm else ("rnn", UNITS)
    b = np.zeros(columns)
    if lstm:
        b[UNITS : 2 * UNITS] = float(name.split()[-1])  # the forget gates
        Wh = normal((UNITS, columns), rng, std=UNITS**-0.5)
    else:
        start, radius = name.split(", radius ")
        Wh = matrix(start, float(radius), UNITS, rng)
    params = {"Wx": normal((SYMBOLS, columns), rng, std=0.5), "Wh": Wh, "b": b}
    pair = from_zero_state(functions[f"{kind}_forward"], functions[f"{kind}_backward"])
    return Layer(*pair, params)
