"""What sort of mistake a wrong gradient looks like, given the measured one.

Each kind leaves its mark on the two arrays: a factor that is the same everywhere, or the same in each column; some
elements that are zero; a difference that has the shape of the parameter itself. The tests run from the plainest
mark to the faintest, and what has none of them is a missing term.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from minigrad.gradcheck.numerical import Array

KINDS: dict[str, str] = {
    "zero": "nothing arrives",
    "not finite": "an element is nan or infinite",
    "sign": "the right size, the wrong direction",
    "missing 1/N": "the gradient of a sum where the loss takes a mean",
    "extra 1/N": "the gradient of a mean where the loss takes a sum",
    "factor": "a constant factor, the same for all elements",
    "accumulated": "added to what was there before, instead of put in its place",
    "stale": "computed for other parameters, or another input, than these",
    "input mutated": "the computation changed what it was given",
    "shape": "it does not have the shape of its parameter",
    "transposed": "rows where columns should be",
    "not summed": "the share of one example, or one place, where those of all should be added",
    "missing factor per channel": "each row or column has a factor of its own",
    "missing factor": "a factor that differs from example to example is left out, such as the slope of an activation",
    "mask wrong": "elements are cut that should pass, or pass that should be cut",
    "missing term": "one of the ways in which the parameter acts on the loss is left out",
    "float32 noise": "right to about seven digits: somewhere it went through float32",
}
"""The kinds, and what they mean."""

FLOAT32 = 2.0**-24
FLOAT32_NOISE = "It is right to about seven digits and no more: something on the way is kept in float32."


def name_kind(ours: Array, theirs: Array, at: Array, noise: float = 0.0) -> tuple[str, str]:
    """Name the kind of mistake in a gradient, or in a block of one.

    Parameters
    ----------
    ours : ndarray
        The gradient that is wrong.
    theirs : ndarray, same shape
        The measured one.
    at : ndarray, same shape
        The parameters themselves.
    noise : float
        How far off an element of `theirs` may be.

    Returns
    -------
    kind : str
        One of `KINDS`.
    sentence : str
        What it looks like, and where to look; never the right gradient.
    """
    size = max(float(np.max(abs(ours), initial=0)), float(np.max(abs(theirs), initial=0)))
    close = 1e-6 * size + 2 * noise  # two elements that differ by less are the same
    if np.max(abs(ours), initial=0) <= noise * 1e-3:
        return "zero", "It is zero everywhere. Which step of the backward pass does not hand anything on?"
    found = (
        of_one_factor(ours, theirs, close)
        or of_rounding(ours, theirs)
        or of_order(ours, theirs, close)
        or of_cuts(ours, theirs, close)
        or of_channels(ours, theirs, close)
        or of_a_penalty(ours, theirs, at, close)
        or of_slopes(ours, theirs, close)
    )
    if found:
        return found
    if ours.ndim == 1 and ours.size > 1:
        return "not summed", (
            "No single factor explains it. A bias acts on every example: are the shares of all of them added?"
        )
    return "missing term", (
        "No factor explains it. Count the ways in which this parameter reaches the loss, and how many come back."
    )


def of_one_factor(ours: Array, theirs: Array, close: float) -> tuple[str, str] | None:
    """One factor for all elements, and what it says."""
    factor = float(np.vdot(ours, theirs) / np.vdot(theirs, theirs)) if theirs.any() else 0.0
    if not factor or np.max(abs(ours - factor * theirs)) > close * max(1.0, abs(factor)):
        return None
    slack = 1e-3 if ours.size > 1 else 1e-5
    whole, part = round(abs(factor)), round(1 / abs(factor))
    if abs(factor + 1) < slack:
        return "sign", "It has the right size and the opposite sign."
    if abs(factor - 1) < slack:
        return None
    minus = " and of the opposite sign" if factor < 0 else ""
    if whole == 2 and abs(abs(factor) / 2 - 1) < slack:
        return "accumulated", (
            f"It is 2 times the measured one{minus}. Was it added to what an earlier call had left there? Or does a "
            "square lack its one half?"
        )
    if whole > 1 and abs(abs(factor) / whole - 1) < slack:
        return "missing 1/N", (
            f"It is {whole} times the measured one{minus}. Is there a mean over {whole} things in the loss?"
        )
    if part > 1 and abs(abs(factor) * part - 1) < slack:
        return "extra 1/N", (
            f"It is 1/{part} of the measured one{minus}. Is something averaged over {part} that is summed in the loss?"
        )
    if ours.size == 1:
        return None
    return "factor", f"It is {factor:.6g} times the measured one, everywhere."


def of_rounding(ours: Array, theirs: Array) -> tuple[str, str] | None:
    """Right to the digits of float32, or made of float32 numbers."""
    error = np.max(abs(ours - theirs)) / np.max(abs(theirs), initial=1e-300)
    through_float32 = np.array_equal(ours, ours.astype(np.float32))
    if error < 64 * FLOAT32 or (through_float32 and error < 1e-3):
        return "float32 noise", FLOAT32_NOISE
    return None


def of_order(ours: Array, theirs: Array, close: float) -> tuple[str, str] | None:
    """Rows where columns should be."""
    for i, j in combinations(range(ours.ndim), 2):
        if ours.shape[i] == ours.shape[j] > 1 and np.max(abs(ours.swapaxes(i, j) - theirs)) <= close:
            what = (
                "the transpose of the measured one"
                if ours.ndim == 2
                else f"right but for axes {i} and {j}, swapped"
            )
            return "transposed", f"It is {what}."
    return None


def of_cuts(ours: Array, theirs: Array, close: float) -> tuple[str, str] | None:
    """Elements are either right, or zero on one side only."""
    right = abs(ours - theirs) <= close
    cut, let_through = (ours == 0) & ~right, (abs(theirs) <= close) & ~right
    if right.any() and not right.all() and (right | cut | let_through).all():
        lost, extra = int(cut.sum()), int(let_through.sum())
        parts = [f"{lost} of {ours.size} elements are zero that should not be"] if lost else []
        parts += [f"{extra} of {ours.size} are not zero that should be"] if extra else []
        return "mask wrong", f"{' and '.join(parts)}; the others are right.".capitalize()
    return None


def of_channels(ours: Array, theirs: Array, close: float) -> tuple[str, str] | None:
    """Along one axis, each slice has a factor of its own."""
    for axis in range(ours.ndim if ours.ndim > 1 else 0):
        a = np.moveaxis(ours, axis, 0).reshape(ours.shape[axis], -1)
        b = np.moveaxis(theirs, axis, 0).reshape(ours.shape[axis], -1)
        if a.shape[1] < 2:
            continue
        norms = (b * b).sum(axis=1)
        factors = (a * b).sum(axis=1) / np.where(norms == 0, 1, norms)
        if np.max(abs(a - factors[:, None] * b)) > close * max(1.0, float(np.max(abs(factors)))):
            continue
        what = ("row", "column")[axis] if ours.ndim == 2 else f"slice along axis {axis}"
        shown = ", ".join(f"{factor:.3g}" for factor in factors[:4])
        return "missing factor per channel", (
            f"Each {what} is the measured one times a factor of its own ({shown}, ...)."
        )
    return None


def of_a_penalty(ours: Array, theirs: Array, at: Array, close: float) -> tuple[str, str] | None:
    """What is missing is proportional to the parameter."""
    rest = theirs - ours
    if not at.any() or at.size < 3:
        return None
    strength = float(np.vdot(rest, at) / np.vdot(at, at))
    if np.max(abs(rest - strength * at)) <= max(close, 1e-3 * float(np.max(abs(rest)))):
        return "missing term", (
            f"What is missing is {strength:.3g} times the parameter itself: the gradient of a penalty on its square?"
        )
    return None


def of_slopes(ours: Array, theirs: Array, close: float) -> tuple[str, str] | None:
    """Every element has the right sign, and none is too small: each lacks a factor between 0 and 1 of its own."""
    if ours.ndim < 2 or ours.size < 8 or (ours * theirs < 0).any() or (abs(theirs) > abs(ours) + close).any():
        return None
    return "missing factor", (
        "Every element has the right sign and is too large, each by a factor of its own. Which slope is missing?"
    )
