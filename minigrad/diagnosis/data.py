"""What can be said of data before any network sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.diagnosis.finding import WARNING, Finding

__all__ = ["check_data", "describe_data", "familiarity", "not_finite", "out_of_reach", "symmetric"]

Array = NDArray[Any]
Batch = tuple[ArrayLike, ArrayLike]

ASKED = 800  # examples whose neighbours are looked for
NEIGHBOURS = 15
SHIFTS = (-2, -1, 1, 2)

LARGE = 5.0  # root mean square of the inputs; standardized ones have 1, pixels from 0 to 255 about 100
SMALL = 0.01  # the same; of a thousand words, one of which is there, it is 0.03
CONSTANT = 10.0  # times the deviation of the other features
COMMON = 0.85  # share of one class
TIMES = 25.0  # how many times as large the largest class is as the others are on average


def describe_data(x: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """Measure inputs and targets: their range, and how much of the targets the inputs tell.

    Parameters
    ----------
    x : array_like, shape (N, ...)
        Inputs.
    y : array_like, shape (N,) of int or (N, ...) of float
        Classes, or targets of a regression.

    Returns
    -------
    dict
        Numbers by name, for `check_data` and for ``record.facts["data"]``. `agreement` is the share of the examples
        whose nearest neighbour has the same class, `voted` of those whose class is the commonest among 15 neighbours,
        `chance` what guessing gives, `shifted` the agreement for labels that are moved by some rows. For a regression
        the same names hold correlations, and `chance` is 0.

    Raises
    ------
    ValueError
        If the lengths differ, or there is no example.

    Examples
    --------
    >>> from minigrad.datasets import digits
    >>> found = describe_data(*digits())
    >>> found["classes"], round(found["agreement"], 2)
    (10, 0.98)
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or not len(x):
        raise ValueError(
            f"describe_data: x has shape {x.shape} but y has shape {y.shape}; one target per example"
        )
    flat = x.reshape(len(x), -1).astype(np.float64)
    found: dict[str, Any] = {
        "examples": len(x),
        "finite": bool(np.isfinite(flat).all() and (y.dtype.kind != "f" or np.isfinite(y).all())),
    }
    if not found["finite"]:
        return found
    features = (
        x.reshape(-1, x.shape[-1]).astype(np.float64) if x.ndim == 3 else flat
    )  # of a sequence, at each step
    mean, std = features.mean(axis=0), features.std(axis=0)
    varying = std > 1e-6 * (np.abs(mean) + 1e-300)
    typical = float(np.median(std[varying])) if varying.any() else 0.0
    found |= {
        "low": float(flat.min()),
        "high": float(flat.max()),
        # integers are taken for numbers of words, which have no size; bytes for pixels
        "rms": float(np.sqrt((features[:, varying] ** 2).mean()))
        if varying.any() and x.dtype.kind != "i"
        else 0.0,
        "constant": int(np.sum(~varying)),
        "constant_size": float(np.abs(mean[~varying]).max(initial=0) / typical) if typical else 0.0,
    }
    if y.dtype.kind in "iub":
        counts = np.unique(y, return_counts=True)[1]
        shares = counts / counts.sum()
        found |= {
            "classes": len(counts),
            "largest_share": float(shares.max()),
            "rarest": int(counts.min()),
            "baseline": float(-(shares * np.log(shares)).sum()),
        }
    else:
        found |= {
            "target_low": float(y.min()),
            "target_high": float(y.max()),
            "target_std": float(y.std()),
            "baseline": float(((y - y.mean(axis=0)) ** 2).mean()),
        }
    if len(x) >= 2 * NEIGHBOURS and x.dtype.kind == "f":
        found |= _neighbourhood(flat[:ASKED], y[:ASKED])
    return found


def familiarity(train: Batch, held_out: Batch) -> dict[str, float]:
    """Compare held-out data with those that a network is trained on, as `measure_evaluation` reports it."""
    x, x_held = (np.asarray(part[0]) for part in (train, held_out))
    y, y_held = (np.asarray(part[1]) for part in (train, held_out))
    if x.dtype.kind != "f" or x_held.dtype.kind != "f" or x.shape[1:] != x_held.shape[1:]:
        return {}
    if min(len(x), len(x_held)) < 2 * NEIGHBOURS or not (np.isfinite(x).all() and np.isfinite(x_held).all()):
        return {}
    flat, held = (part.reshape(len(part), -1).astype(np.float64) for part in (x, x_held))
    mean, std = flat.mean(axis=0), flat.std(axis=0)
    varying = std > 1e-6 * (np.abs(mean) + 1e-300)
    if not varying.any():
        return {}
    flat, held = ((part[:, varying] - mean[varying]) / std[varying] for part in (flat, held))
    found = {
        "shift": float(np.median(np.abs(held.mean(axis=0)))),
        "scale": float(np.median(held.std(axis=0))),
    }
    a, b = held[:ASKED], flat[:ASKED]
    nearest = np.argmin(np.einsum("nd,nd->n", b, b) - 2 * a @ b.T, axis=1)
    labels, wanted = y[:ASKED][nearest], y_held[:ASKED]
    if y.dtype.kind in "iub" and y.ndim == 1:
        recalls = [float((labels == wanted)[wanted == each].mean()) for each in np.unique(wanted)]
        found["known"] = float(np.mean(recalls))  # each class counts the same, as in `agreement`
    elif y.dtype.kind == "f":
        found["known"] = _correlation(
            labels.reshape(len(labels), -1)[:, 0], wanted.reshape(len(wanted), -1)[:, 0]
        )
    return found


def check_data(facts: dict[str, Any]) -> list[Finding]:
    """Say what is wrong with data, of what `describe_data` has measured.

    Parameters
    ----------
    facts : dict
        From `describe_data`.

    Returns
    -------
    list of Finding
        What does harm by itself is a failure; what often does none, a warning.

    Examples
    --------
    >>> x = np.random.default_rng(0).uniform(0, 255, (100, 3))
    >>> [finding.cause for finding in check_data(describe_data(x, np.arange(100) % 2))]
    ['inputs not standardized']
    """
    found = []
    if not facts.get("finite", True):
        found.append(
            Finding(
                "data not finite",
                "There are NaN or infinite numbers in the data.",
                layer="data",
                confidence=1.0,
            )
        )
    rms, low, high = facts.get("rms", 0.0), facts.get("low", 0.0), facts.get("high", 0.0)
    if rms > LARGE or 0 < rms < SMALL:
        found.append(
            Finding(
                "inputs not standardized",
                f"The inputs go from {low:.3g} to {high:.3g}, with a root mean square of {rms:.3g}; "
                f"initial weights are made for about 1.",
                layer="data",
                remedy={"standardize": True},
                confidence=0.95,
            )
        )
    size = facts.get("constant_size", 0.0)
    if size > CONSTANT:
        found.append(
            Finding(
                "constant feature",
                f"{facts['constant']} of the features never change, and one is {size:.3g} times as large as the "
                f"deviation of the others.",
                layer="data",
                remedy={"standardize": True},
                confidence=0.95,
            )
        )
    agreement, chance = facts.get("agreement"), facts.get("chance", 0.0)
    if agreement is not None:
        shift, best = max(facts["shifted"].items(), key=lambda each: each[1])
        if best - agreement > 0.3 * (1 - chance) and agreement - chance < 0.5 * (best - chance):
            found.append(
                Finding(
                    "labels shifted",
                    f"An example and its nearest neighbour agree in {agreement:.0%} of the cases; with the labels "
                    f"moved by {int(shift):+d} rows they do in {best:.0%}.",
                    layer="data",
                    remedy={"shift_labels": int(shift)},
                    confidence=0.97,
                )
            )
    share, others = facts.get("largest_share", 0.0), facts.get("classes", 1) - 1
    if facts.get("classes") == 1:
        found.append(
            Finding(
                "only one class",
                f"All {facts['examples']} examples are of one class: the same answer to everything is right.",
                layer="data",
                remedy={"check_labels": True},
                confidence=0.95,
            )
        )
    if others and (share > COMMON or share * others > TIMES * (1 - share)):
        found.append(
            Finding(
                "imbalanced classes",
                f"{facts['largest_share']:.0%} of the examples are of one class; "
                f"the rarest has {facts['rarest']}.",
                layer="data",
                remedy={"balance_classes": True},
                confidence=0.7,
                level=WARNING,
            )
        )
    return found


def symmetric(facts: dict[str, Any]) -> list[Finding]:
    """Whether a layer that others follow starts with units that are all the same."""
    names = facts.get("symmetric", [])
    matrices = [name for name, shape in facts.get("shapes", {}).items() if len(shape) > 1]
    hidden = [name for name in names if name in matrices[:-1]]
    if not hidden:
        return []
    return [
        Finding(
            "symmetric weights",
            f"All units of {hidden[0]} start with the same weights, so they get the same gradient at each step.",
            layer=hidden[0].rpartition(".")[0] or hidden[0],
            remedy={"initialization": "random"},
            confidence=0.97,
        )
    ]


def not_finite(norms: dict[str, float]) -> list[Finding]:
    """Whether a parameter holds a NaN or an infinity before the first step, of the norms of all."""
    names = [name for name, norm in norms.items() if not np.isfinite(norm)]
    return [
        Finding(
            "parameters not finite",
            f"Before the first step there are NaN or infinite numbers in {', '.join(names[:3])}.",
            layer=names[0].rpartition(".")[0] or names[0],
            remedy={"initialization": "he"},
            confidence=1.0,
        )
        for _ in names[:1]
    ]


def out_of_reach(bounds: Any, data: dict[str, Any], layer: str) -> list[Finding]:
    """Whether the output is bounded and the targets are not within."""
    if not bounds or "target_low" not in data:
        return []
    low, high = bounds
    slack = 0.01 * (high - low)
    if data["target_low"] >= low - slack and data["target_high"] <= high + slack:
        return []
    return [
        Finding(
            "targets out of reach",
            f"The output lies between {low:.3g} and {high:.3g}, and targets go from {data['target_low']:.3g} to "
            f"{data['target_high']:.3g}.",
            layer=layer,
            remedy={"unbounded_output": True},
            confidence=0.97,
        )
    ]


def _neighbourhood(x: Array, y: Array) -> dict[str, Any]:
    scale = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1)
    square = np.einsum("nd,nd->n", z, z)
    distance = square[:, None] - 2 * z @ z.T + square
    np.fill_diagonal(distance, np.inf)
    distance[distance < 1e-12 * square.mean()] = np.inf  # a copy of an example tells nothing
    near = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    first = np.argmin(distance, axis=1)
    if y.dtype.kind in "iub":
        labels = np.unique(y, return_inverse=True)[1]
        shares = np.bincount(labels) / len(labels)
        votes = np.stack([np.bincount(row, minlength=len(shares)) for row in labels[near]])
        # every class counts the same, so that a common one does not make neighbours agree by itself
        weight = 1 / (shares[labels] * len(shares) * len(labels))
        return {
            "agreement": float(weight @ (labels[first] == labels)),
            "voted": float(weight @ ((votes / shares).argmax(axis=1) == labels)),
            "chance": 1 / len(shares),
            "shifted": {
                str(s): float(_weights(np.roll(labels, s), shares) @ (_rolled(labels, s, first)))
                for s in SHIFTS
            },
        }
    target = y.reshape(len(y), -1)[:, 0]
    return {
        "agreement": _correlation(target, target[first]),
        "voted": _correlation(target, target[near].mean(axis=1)),
        "chance": 0.0,
        "shifted": {str(s): _correlation(np.roll(target, s), np.roll(target, s)[first]) for s in SHIFTS},
    }


def _weights(labels: Array, shares: Array) -> Array:
    """Weights of examples that make all classes count the same."""
    return np.asarray(1 / (shares[labels] * len(shares) * len(labels)))


def _rolled(labels: Array, shift: int, first: Array) -> Array:
    moved = np.roll(labels, shift)
    return np.asarray(moved[first] == moved)


def _correlation(a: Array, b: Array) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread else 0.0
