"""A small model with a hand-written gradient: a curve made of six bumps.

The model predicts `sum_k height_k * exp(-((t - centre_k) / width_k)**2 / 2)`. Its loss is the mean square of
the residuals over 120 points. Assignment 01 trains it twice, from the same start, with two versions of the
gradient. One version has a mistake in it. The assignment asks a reader to find which one, and where, with a
gradient checker. Reading on takes the exercise away.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

__all__ = ["Run", "data", "gradients", "loss", "predict", "start", "train"]

Parameters = dict[str, np.ndarray]


class Run(TypedDict):
    """The record of one training run."""

    losses: np.ndarray
    """(steps + 1,) the loss before the first step, and after each one."""
    params: Parameters
    """The parameters after the last step."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return the training data: a wave with a little noise, the same at each call.

    Returns
    -------
    t, y : ndarray, shape (120,)
    """
    t = np.linspace(0.0, 6.0, 120)
    wave = np.sin(2.2 * t) * np.exp(-0.15 * t) + 0.3 * np.sin(5.0 * t)
    return t, wave + 0.05 * np.random.default_rng(0).standard_normal(t.shape)


def start(seed: int = 0) -> Parameters:
    """Return the parameters at the start of training.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict
        `heights`, `centres` and `widths`, each of shape (6,).
    """
    rng = np.random.default_rng(seed)
    return {
        "heights": rng.normal(0.0, 0.3, 6),
        "centres": np.linspace(0.0, 6.0, 6) + rng.normal(0.0, 0.1, 6),
        "widths": np.full(6, 0.6),
    }


def predict(params: Parameters, t: np.ndarray) -> np.ndarray:
    """Evaluate the model.

    Parameters
    ----------
    params : dict
        `heights`, `centres` and `widths`, each of shape (6,).
    t : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (N,)
    """
    u = (t[:, None] - params["centres"]) / params["widths"]
    return (np.exp(-(u**2) / 2) * params["heights"]).sum(axis=1)


def loss(params: Parameters) -> float:
    """Return the mean square of the residuals over the training data.

    Parameters
    ----------
    params : dict
        `heights`, `centres` and `widths`, each of shape (6,).

    Returns
    -------
    float
    """
    t, y = _DATA
    return float(np.mean((predict(params, t) - y) ** 2))


def gradients(params: Parameters, version: str) -> Parameters:
    """Return the gradient of `loss`, as one of two people wrote it.

    Parameters
    ----------
    params : dict
        `heights`, `centres` and `widths`, each of shape (6,).
    version : {"A", "B"}

    Returns
    -------
    dict
        The keys and shapes of `params`.
    """
    if version not in ("A", "B"):
        raise ValueError(f"version must be 'A' or 'B', not {version!r}")
    t, y = _DATA
    u = (t[:, None] - params["centres"]) / params["widths"]  # (N, 6)
    bumps = np.exp(-(u**2) / 2)  # (N, 6)
    residual = (bumps * params["heights"]).sum(axis=1) - y  # (N,)
    upstream = (2.0 / len(t)) * residual[:, None]  # (N, 1)
    inner = upstream * bumps * params["heights"]  # (N, 6)
    moved = upstream * bumps if version == "A" else inner
    return {
        "heights": (upstream * bumps).sum(axis=0),
        "centres": (moved * u / params["widths"]).sum(axis=0),
        "widths": (inner * u**2 / params["widths"]).sum(axis=0),
    }


def train(version: str, steps: int = 2000, learning_rate: float = 0.1, seed: int = 0) -> Run:
    """Train the model by gradient descent with one version of the gradient.

    Parameters
    ----------
    version : {"A", "B"}
    steps : int
    learning_rate : float
    seed : int
        Of the parameters at the start.

    Returns
    -------
    Run
    """
    params = start(seed)
    losses = [loss(params)]
    for _ in range(steps):
        grads = gradients(params, version)
        params = {name: value - learning_rate * grads[name] for name, value in params.items()}
        losses.append(loss(params))
    return {"losses": np.array(losses), "params": params}


_DATA = data()
