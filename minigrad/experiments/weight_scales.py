"""The fifty layers of `deep_plain` at three sizes of the weights: what goes up, what comes down, what is learnt.

Only to be looked at: the notebook shows it before anything is written.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from minigrad.experiments import Experiment, Number, Option, complete, deep_plain
from minigrad.experiments._depth import data
from minigrad.losses import svm_loss

STDS = (0.1, 0.25, 0.5)

SETTINGS: dict[str, Number | Option] = {}
REQUIRES = deep_plain.REQUIRES


def run(
    settings: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Train with each of `STDS`, from weights that differ in nothing but their size.

    Parameters
    ----------
    settings : mapping
        Empty.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the weights and the batches.

    Returns
    -------
    dict
        One row for each of `STDS`: `accuracy`; `losses` at each step; and for each affine layer, on the first 32 digits
        and before training, the norms of what comes in from below (`activations`), of the gradient that comes in from
        above (`activation_gradients`), and of the gradient of its weights (`weight_gradients`).
    """
    seed = rng.integers(1 << 30)
    runs = []
    for std in STDS:
        draw = np.random.default_rng(seed)
        norms = _first_pass(deep_plain.layers(std, functions, draw))
        full = complete(cast(Experiment, deep_plain), {"weight_std": std})
        runs.append(deep_plain.run(full, functions, np.random.default_rng(seed)) | norms)
    keys = ("accuracy", "losses", "activations", "activation_gradients", "weight_gradients")
    return {key: np.array([each[key] for each in runs]) for key in keys}


def _first_pass(parts: list[Any]) -> dict[str, NDArray[Any]]:
    """One forward and one backward pass, layer by layer."""
    x, y = data(deep_plain.CLASSES)
    h, inputs = x[:32], []
    for part in parts:
        inputs.append(np.linalg.norm(h))
        h = part.forward(h)
    _, dout = svm_loss(h, y[:32])
    gradients = [
        np.linalg.norm(dout)
    ]  # of the scores; then at the input of each part, from the last to the first
    for part in reversed(parts):
        dout = part.backward(dout)
        gradients.append(np.linalg.norm(dout))
    below_each_affine = gradients[::-1][:-1][::2]
    return {
        "activations": np.array(inputs[::2]),
        "activation_gradients": np.array([*below_each_affine[1:], gradients[0]]),
        "weight_gradients": np.array([np.linalg.norm(part.grads["w"]) for part in parts[::2]]),
    }
