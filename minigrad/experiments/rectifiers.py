"""The run of `dying_relu` with five activations, to be looked at: assignment 03 shows it, before two are written.

Twice: with one step that is forty times too long, and with all steps five times too long.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.experiments import Number, Option, dying_relu
from minigrad.experiments.dying_relu import Functions
from minigrad.network import Layer

ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu")
ONE_STEP = {"first_rate": 4.0, "learning_rate": 0.1, "bias": -0.3, "inputs": "raw"}
ALL_STEPS = {"first_rate": 0.5, "learning_rate": 0.5, "bias": 0.0, "inputs": "raw"}

SETTINGS: Mapping[str, Number | Option] = {}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "count_dead_relus",
    *(f"{name}_{half}" for name in ACTIVATIONS for half in ("forward", "backward")),
)


def run(settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> dict[str, Any]:
    """Train with each activation, from the same start and on the same batches.

    Parameters
    ----------
    settings : mapping
        Empty.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the seed that all runs share.

    Returns
    -------
    dict
        In the order of `ACTIVATIONS`. With one long step, of shape (5,): `frozen`, `silent` and `accuracy`, as in
        `dying_relu.train`. With all steps too long, of shape (5, 3), from three starts: `accuracy_all_steps`.
    """
    seeds = [int(seed) for seed in rng.integers(1 << 30, size=3)]

    def trained(name: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
        layer = Layer(functions[f"{name}_forward"], functions[f"{name}_backward"])
        return dying_relu.train(layer, settings, functions, np.random.default_rng(seed))

    one = [trained(name, ONE_STEP, seeds[0]) for name in ACTIVATIONS]
    every = [[trained(name, ALL_STEPS, seed) for seed in seeds] for name in ACTIVATIONS]
    return {
        "frozen": np.array([each["frozen"] for each in one]),
        "silent": np.array([each["silent"] for each in one]),
        "accuracy": np.array([each["accuracy"] for each in one]),
        "accuracy_all_steps": np.array([[each["accuracy"] for each in row] for row in every]),
    }
