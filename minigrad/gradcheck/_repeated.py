"""Check a function that computes gradients, and not only the arrays that it returned once.

Some mistakes are invisible in one result: a gradient that is added to what the last call left, one that was computed
for other parameters, a backward pass that writes into what it reads. They show when the function is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.gradcheck._tensors import check_arrays
from minigrad.gradcheck.numerical import Array
from minigrad.gradcheck.report import WRONG, CheckedTensor, GradientReport

Arrays = dict[str, Array]

MUTATED = "The call changed this array, which belongs to the caller, who still needs it. Work on a copy."
ACCUMULATED = (
    "A second call returns more than the first. Put the gradient in its place, instead of adding to it."
)
UNSTABLE = "A second call with the same parameters returns something else."
STALE = (
    "It is right where it was computed first, and stays the same when the parameters move. Which cache, or which "
    "input, is an old one?"
)


def check_calls(
    loss: Callable[[Arrays], Any],
    params: Arrays,
    compute: Callable[[Arrays], Mapping[str, Any]],
    rng: np.random.Generator,
) -> GradientReport:
    """Check the gradients that a function computes, at two points and over two calls.

    Parameters
    ----------
    loss, params, rng
        As in `gradient_check`.
    compute : callable
        Takes `params`, returns the gradients by name.

    Returns
    -------
    report : GradientReport

    Examples
    --------
    >>> params, kept = {"w": np.array([1.0, 2.0])}, {"w": np.zeros(2)}
    >>> def loss(params):
    ...     return (params["w"] ** 2).sum()
    >>> def compute(params):
    ...     kept["w"] += 2 * params["w"]
    ...     return kept
    >>> print(check_calls(loss, params, compute, np.random.default_rng(0))["w"].kind)
    accumulated
    """
    before = {name: x.copy() for name, x in params.items()}
    first = _copied(compute(params), params)
    mutated = _differing(before, params)
    _restore(params, before)
    second = _copied(compute(params), params)
    _restore(params, before)
    changed = _differing(first, second)
    if mutated or changed:
        report = check_arrays(loss, params, first, rng)
        return _marked(report, {name: _second_call(first[name], second[name]) for name in changed}, mutated)
    report = check_arrays(loss, params, first, rng)
    if not report.passed:
        return report
    # The same function at another point: has it noticed?
    for x in params.values():
        x += (0.05 * (np.abs(x) + float(np.mean(np.abs(x))) * 0.1) * rng.standard_normal(x.shape)).astype(
            x.dtype
        )
    moved = {name: x.copy() for name, x in params.items()}
    try:
        third = _copied(compute(params), params)
        _restore(params, moved)
        again = check_arrays(loss, params, third, rng)
    finally:
        _restore(params, before)
    same = {name for name in params if name not in _differing(first, third)}
    stale = {each.name: ("stale", STALE) for each in again.wrong if each.name in same}
    return _marked(again, stale, []) if not again.passed else report


def _second_call(first: Array, second: Array) -> tuple[str, str]:
    grown = np.allclose(second, 2 * first, rtol=1e-6, atol=0) or abs(second).sum() > 1.2 * abs(first).sum()
    return ("accumulated", ACCUMULATED) if grown else ("stale", UNSTABLE)


def _marked(
    report: GradientReport, found: Mapping[str, tuple[str, str]], mutated: list[str]
) -> GradientReport:
    """The report, with what the calls have shown in place of what the arrays alone would say."""
    marks = {**found, **{name: ("input mutated", MUTATED) for name in mutated}}

    def mark(each: CheckedTensor) -> CheckedTensor:
        if each.name not in marks:
            return each
        kind, reason = marks[each.name]
        return replace(each, verdict=WRONG, kind=kind, reason=reason)

    return replace(report, tensors=tuple(map(mark, report.tensors)))


def _copied(grads: Mapping[str, Any], params: Arrays) -> Arrays:
    return {name: np.array(grads[name]) for name in params if name in grads}


def _differing(a: Arrays, b: Arrays) -> list[str]:
    return [name for name in a if name in b and not np.array_equal(a[name], b[name], equal_nan=True)]


def _restore(params: Arrays, values: Arrays) -> None:
    for name, x in values.items():
        params[name][...] = x
