"""What the patients of assignment 08 share: a small network that trains, an instrument at each layer, treatments.

A `Setup` says how a run is set up. The patients are setups too, but theirs stand in a file of data and not here: what
is wrong with a patient is to be read off its record. The treatments are the same for all of them, and each is relative
to what the patient has: a learning rate *times* something, a bias *plus* something.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad._stored import DATA
from minigrad.activity import count_dead_relus, saturated_fraction
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import digits
from minigrad.experiments import Number, Option
from minigrad.initializers import he_init, xavier_init
from minigrad.layers import (
    affine_backward,
    affine_forward,
    batchnorm_backward,
    batchnorm_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from minigrad.losses import clipped_delta_loss, huber_loss, mse_loss
from minigrad.network import Layer, Network, Residual, Sequential
from minigrad.optimizers import sgd_momentum
from minigrad.training import accuracy, fit

__all__ = ["CHANGES", "REQUIRES", "SETTINGS", "Setup", "build", "data", "patient", "train"]

Array = NDArray[Any]
Functions = Mapping[str, Callable[..., Any]]
Loss = Callable[[Array, Array], tuple[Any, Array]]

TRAINING = 1000  # images to train on; the others are held out
WIDTH = 24
BATCH = 64
MOMENTUM = 0.9
SHOWN = 50  # images, where they have to come one at a time
LAST = 20  # steps over which losses are averaged

SETTINGS: Mapping[str, Number | Option] = {
    "learning_rate_times": Number(1.0, 1e-6, 1e6, "factor on the learning rate"),
    "weights_times": Number(1.0, 1e-3, 1e3, "factor on the initial weights of the hidden layers"),
    "bias_plus": Number(0.0, -10.0, 10.0, "added to the initial biases of the hidden layers"),
    "clip_norm": Number(0.0, 0.0, 1e3, "largest norm of the gradient; 0 does not clip"),
    "activation": Option(
        "as it is",
        ("as it is", "relu", "tanh", "sigmoid"),
        "activation of the hidden layers, with the initial weights that suit it",
    ),
    "inputs": Option("as they are", ("as they are", "standardized"), "what goes into the first layer"),
    "labels": Option(
        "as they are", ("as they are", "paired again"), "labels, or each looked up again for its image"
    ),
    "loss": Option("as it is", ("as it is", "squared", "huber"), "loss of a regression; others keep theirs"),
    "evaluation": Option("as it is", ("as it is", "test mode"), "mode in which the score is measured"),
}
CHANGES = 1  # who changes two things and sees a run heal does not know which of them did it
REQUIRES = ("softmax_loss", "update_ratio")


@dataclass(frozen=True)
class Setup:
    """How a run is set up.

    Parameters
    ----------
    task : {"classes", "regression"}
        Which digit an image shows, or the same as a number.
    layers : int
        Hidden layers of 24 units.
    activation : {"relu", "tanh", "sigmoid"}
    weights : float
        Initial weights of the hidden layers, relative to He's for a ReLU and Xavier's for the others.
    bias : float
        Initial biases of the hidden layers.
    learning_rate : float
    normalization : {"none", "batch"}
    residual : bool
        Whether each hidden layer after the first is added to what went into it.
    clip_norm : float
        Largest norm of the gradient; 0 does not clip.
    inputs : {"standardized", "0 to 255"}
    labels : {"paired", "shuffled"}
    loss : {"softmax", "squared", "huber", "clipped delta"}
    evaluation : {"test", "train"}
        Mode in which the score is measured, one image at a time.
    steps : int
    """

    task: str = "classes"
    layers: int = 3
    activation: str = "relu"
    weights: float = 1.0
    bias: float = 0.0
    learning_rate: float = 0.02
    normalization: str = "none"
    residual: bool = False
    clip_norm: float = 0.0
    inputs: str = "standardized"
    labels: str = "paired"
    loss: str = "softmax"
    evaluation: str = "test"
    steps: int = 100


def patient(number: int) -> Callable[[Mapping[str, Any], Functions, np.random.Generator], dict[str, Any]]:
    """Return the experiment of one patient.

    Parameters
    ----------
    number : int

    Returns
    -------
    callable
        ``run(settings, functions, rng) -> record``, with the record of `train`.
    """

    def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
        return train(_treated(_setups()[str(number)], settings), functions, rng)

    return run


@functools.cache
def _setups() -> dict[str, Setup]:
    text = (DATA / "patients.json").read_text(encoding="utf-8")
    return {number: Setup(**setup) for number, setup in json.loads(text).items()}


def _treated(setup: Setup, settings: Mapping[str, Any]) -> Setup:
    changes: dict[str, Any] = {
        "learning_rate": setup.learning_rate * settings["learning_rate_times"],
        "weights": setup.weights * settings["weights_times"],
        "bias": setup.bias + settings["bias_plus"],
        "clip_norm": settings["clip_norm"] or setup.clip_norm,
    }
    if settings["activation"] != "as it is":
        changes["activation"] = settings["activation"]
    if settings["inputs"] == "standardized":
        changes["inputs"] = "standardized"
    if settings["labels"] == "paired again":
        changes["labels"] = "paired"
    if settings["loss"] != "as it is" and setup.task == "regression":
        changes["loss"] = settings["loss"]
    if settings["evaluation"] == "test mode":
        changes["evaluation"] = "test"
    return dataclasses.replace(setup, **changes)


def data(setup: Setup, rng: np.random.Generator) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return images to train on and images that are held out, with their labels.

    Parameters
    ----------
    setup : Setup
    rng : numpy.random.Generator

    Returns
    -------
    training, held_out : (x, y)
    """
    x, y = digits()  # pixels from 0 to 1
    order = rng.permutation(len(x))
    x, y = x[order], y[order]
    x = 255 * x if setup.inputs == "0 to 255" else (x - x.mean()) / x.std()
    target = y[:, None].astype(float) if setup.task == "regression" else y
    known = target[:TRAINING]
    if setup.labels == "shuffled":
        known = known[rng.permutation(TRAINING)]
    return (x[:TRAINING], known), (x[TRAINING:], target[TRAINING:])


def build(setup: Setup, rng: np.random.Generator) -> Sequential:
    """Return the network before training.

    Parameters
    ----------
    setup : Setup
    rng : numpy.random.Generator
        Draws the weights.

    Returns
    -------
    Sequential
        A part for each hidden layer, "hidden1" and so on, and "scores".
    """
    pairs = {
        "relu": (relu_forward, relu_backward),
        "tanh": (tanh_forward, tanh_backward),
        "sigmoid": (sigmoid_forward, sigmoid_backward),
    }
    parts: dict[str, Network] = {}
    fan_in = 64
    for k in range(1, setup.layers + 1):
        usual = (
            he_init(fan_in, WIDTH, rng)
            if setup.activation == "relu"
            else xavier_init(fan_in, WIDTH, 1.0, rng)
        )
        params = {"w": setup.weights * usual, "b": np.full(WIDTH, setup.bias)}
        block = {"affine": Layer(affine_forward, affine_backward, params)}
        if setup.normalization == "batch":
            scale = {"gamma": np.ones(WIDTH), "beta": np.zeros(WIDTH)}
            block["norm"] = Layer(batchnorm_forward, batchnorm_backward, scale, {"mode": "train"})
        block["act"] = Layer(*pairs[setup.activation])
        skips = setup.residual and k > 1
        parts[f"hidden{k}"] = Residual(**block) if skips else Sequential(**block)  # type: ignore[arg-type]
        fan_in = WIDTH
    outputs = 1 if setup.task == "regression" else 10
    last = {"w": xavier_init(fan_in, outputs, 1.0, rng), "b": np.zeros(outputs)}
    parts["scores"] = Layer(affine_forward, affine_backward, last)
    return Sequential(**parts)


def train(setup: Setup, functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train once, and write down what the instruments show.

    Parameters
    ----------
    setup : Setup
    functions : mapping
        `softmax_loss` and `update_ratio`.
    rng : numpy.random.Generator
        Draws data, weights and batches.

    Returns
    -------
    dict
        Of the run: `losses` at each step; `unheard`, the share of the batch to which the loss sends back exactly
        nothing, at each step; `score`, on held-out images: the share that is right, or for a regression the share of
        the variance that is explained; `training_score`, of the training images, measured in the same way;
        `batch_score`, of the last batches, in training.

        Of the layers, at each of the steps `looked`: `gradients`, root mean square of the weight gradient;
        `updates`, update ratio of the weights; `idle`, of each hidden layer, the share of its ReLU units that are
        dead on all training images, or of its bounded outputs that are saturated.

        Before the first step: `input_low`, `input_high` and `input_std` of the inputs, and `stds` of the output of
        each hidden layer. Also `classes` (0 for a regression) and `bounded`, whether the activation is.
    """
    (x, y), (x_new, y_new) = data(setup, rng)
    network = build(setup, rng)
    losses: dict[str, Loss] = {
        "softmax": functions["softmax_loss"],
        "squared": mse_loss,
        "huber": huber_loss,
        "clipped delta": clipped_delta_loss,
    }
    unheard: list[float] = []

    def loss(scores: Array, target: Array) -> tuple[Any, Array]:
        value, dscores = losses[setup.loss](scores, target)
        unheard.append(float(np.mean(~np.any(dscores, axis=1))))
        return value, dscores

    score = explained if setup.task == "regression" else accuracy
    record: dict[str, list[Any]] = {"losses": [], "gradients": [], "updates": [], "idle": [], "looked": []}
    batch_scores: list[float] = []
    with np.errstate(all="ignore"):  # some of the runs overflow, and that is what they are for
        stds = [float(out.std()) for out in _outputs(copy.deepcopy(network), x)]
        before = network.params
        names = [name for name in before if name.endswith(".w")]
        for step in fit(
            network,
            (x, y),
            loss,
            sgd_momentum,
            steps=setup.steps,
            learning_rate=setup.learning_rate,
            rng=rng,
            batch_size=BATCH,
            config={"momentum": MOMENTUM},
            clip=(lambda grads: clip_grad_norm(grads, setup.clip_norm)) if setup.clip_norm else None,
            accuracy=score,
        ):
            record["losses"].append(step.loss)
            batch_scores.append(step.accuracy or 0.0)
            if _is_looked_at(step.step):
                grads, after = network.grads, network.params
                record["looked"].append(step.step)
                record["gradients"].append([np.sqrt(np.mean(grads[name] ** 2)) for name in names])
                record["updates"].append(
                    [functions["update_ratio"](before[name], after[name]) for name in names]
                )
                record["idle"].append(_idle(setup, network, x))
            before = network.params
        record_arrays = {name: np.array(values, np.float32) for name, values in record.items()}
        return {
            **record_arrays,
            "unheard": np.array(unheard, np.float32),
            "stds": np.array(stds, np.float32),
            "input_std": float(x.std()),
            "input_low": float(x.min()),
            "input_high": float(x.max()),
            "score": _evaluated(setup, network, x_new, y_new),
            "training_score": _evaluated(setup, network, x[: len(x_new)], y[: len(x_new)]),
            "batch_score": float(np.mean(batch_scores[-LAST:])),
            "classes": 0 if setup.task == "regression" else 10,
            "bounded": int(setup.activation != "relu"),
        }


def explained(prediction: Array, target: Array) -> float:
    """Share of the variance of the targets that is explained; at least -1, since a run that blew up has no number."""
    share = 1 - np.mean((prediction - target) ** 2) / np.var(target)
    return float(np.nan_to_num(np.clip(share, -1.0, 1.0), nan=-1.0))


def _is_looked_at(step: int) -> bool:
    return step < 3 or step % 10 == 9


def _outputs(network: Sequential, x: Array) -> list[Array]:
    """What each hidden layer puts out."""
    outputs = []
    for name, part in network.parts.items():
        x = part.forward(x)
        if name != "scores":
            outputs.append(x)
    return outputs


def _idle(setup: Setup, network: Sequential, x: Array) -> list[float]:
    """Of each hidden layer, the share of units that are dead, or of outputs that are saturated."""
    network = copy.deepcopy(network)  # a look must not move the running averages of batchnorm
    network.mode = "train"
    shares = []
    for name, part in list(network.parts.items())[:-1]:
        branch = x  # of a residual block, what is added
        for inner in part.parts.values():  # type: ignore[attr-defined]
            branch = inner.forward(branch)
        x = x + branch if isinstance(part, Residual) else branch
        if setup.activation == "relu":
            shares.append(count_dead_relus({name: branch})[name] / WIDTH)
        else:
            shares.append(saturated_fraction(branch, 0.0 if setup.activation == "sigmoid" else -1.0, 1.0))
    return shares


def _evaluated(setup: Setup, network: Sequential, x: Array, y: Array) -> float:
    """The score of images that come one at a time, as they do in use."""
    network.mode = setup.evaluation
    if setup.evaluation == "test":
        scores = network.forward(x)  # each row on its own, so all of them at once are the same
    else:
        x, y = x[:SHOWN], y[:SHOWN]
        scores = np.concatenate([network.forward(row) for row in np.split(x, SHOWN)])
    return explained(scores, y) if setup.task == "regression" else accuracy(scores, y)
