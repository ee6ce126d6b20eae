"""Check a whole network, and where it is wrong, each of its parts alone: the mistake is where the first one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.gradcheck._repeated import MUTATED
from minigrad.gradcheck.checker import gradient_check
from minigrad.gradcheck.numerical import Array
from minigrad.gradcheck.report import RIGHT, WRONG, CheckedTensor, GradientReport

Arrays = dict[str, Array]

INPUT = "input"
SLOPE = "Each element is off by a factor of its own. Is it the right slope, of the right argument? At "


@dataclass(frozen=True)
class NetworkReport:
    """What `check_network` found: the whole, and where that is wrong, each part on its own."""

    whole: GradientReport
    parts: dict[str, GradientReport]

    @property
    def verdict(self) -> str:
        """The verdict on the whole."""
        return WRONG if self.culprit else self.whole.verdict

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        return self.verdict == RIGHT

    @property
    def culprit(self) -> str | None:
        """The part that is wrong by itself and that the backward pass reaches first."""
        return next((name for name in reversed(self.parts) if not self.parts[name].passed), None)

    @property
    def finding(self) -> CheckedTensor | None:
        """What is wrong there: with the gradient of its input, or of a parameter."""
        return self.parts[self.culprit].wrong[0] if self.culprit and self.parts[self.culprit].wrong else None

    def __str__(self) -> str:
        if self.passed or not self.culprit:
            return str(self.whole)
        lines = [f"wrong, and the mistake is in {self.culprit}, which is wrong by itself:"]
        lines += [f"  {each}" for each in self.parts[self.culprit].wrong]
        return "\n".join(lines)


def check_network(
    network: Any,
    x: Array,
    y: Any,
    loss: Callable[[Array, Any], tuple[Any, Array]],
    rng: np.random.Generator,
) -> NetworkReport:
    """Say whether the backward pass of a network is right, and if not, which of its parts is wrong.

    Parameters
    ----------
    network : Network
        Such as a `Sequential`. Its parameters and its state are as they were when this returns.
    x : ndarray, shape (N, ...)
        A few examples: eight are enough.
    y : anything
        What `loss` needs to know of them.
    loss : callable
        ``loss(scores, y) -> loss, dscores``, such as `softmax_loss`.
    rng : Generator
        Draws the directions.

    Returns
    -------
    report : NetworkReport
        Its text is meant to be read.

    Notes
    -----
    Each part, down to the layers of a block, is checked with the input and the upstream gradient that it has in the
    network, on the sum of its outputs times that gradient. So a part is blamed for its own backward pass only, not for
    what it is handed. One that writes into what it is handed is wrong too, though the numbers be right.

    Examples
    --------
    >>> from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
    >>> from minigrad.losses import softmax_loss
    >>> from minigrad.network import Layer, Sequential
    >>> rng = np.random.default_rng(0)
    >>> network = Sequential(
    ...     affine=Layer(affine_forward, affine_backward, {"w": rng.normal(size=(3, 4)), "b": np.zeros(4)}),
    ...     relu=Layer(relu_forward, lambda dout, cache: dout),
    ... )
    >>> report = check_network(network, rng.normal(size=(8, 3)), rng.integers(4, size=8), softmax_loss, rng)
    >>> report.culprit, report.finding.kind
    ('relu', 'mask wrong')
    """
    state, x = network.state, np.array(x)
    try:
        _, dscores = loss(network.forward(x), y)
        dx = network.backward(np.array(dscores))
        grads = {f"{INPUT} x": dx, **network.grads} if x.dtype.kind == "f" else dict(network.grads)
        point = {f"{INPUT} x": x, **network.params} if x.dtype.kind == "f" else dict(network.params)

        def total(at: Arrays) -> Any:
            rest = {name: array for name, array in at.items() if name != f"{INPUT} x"}
            return loss(_at(network, rest, at.get(f"{INPUT} x", x)), y)[0]

        whole = gradient_check(total, point, grads, rng)
        visits = _visit(network, x, np.array(dscores))
        parts = {name: _impure(*visit) for name, visit in visits.items()}
        if not whole.passed:
            parts = {name: parts[name] or _check_part(*visit[:3], rng) for name, visit in visits.items()}
        return NetworkReport(whole, {name: report for name, report in parts.items() if report})
    finally:
        network._set_state(state)


# A part, its input and upstream gradient, and the same two as it left them.
Visit = tuple[Any, Array, Array, Array, Array]


def _visit(network: Any, x: Array, dout: Array) -> dict[str, Visit]:
    """Run forward and backward once and note what each part was handed, in the order of the forward pass."""
    handed: dict[str, list[Array]] = {}
    parts = dict(_leaves(network))

    def recorder(name: str, method: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def call(given: Array) -> Array:
            before, after = np.array(given), np.array(given)
            handed.setdefault(name, []).extend([before, after])
            return method(after)

        return call

    for name, part in parts.items():
        part.forward, part.backward = recorder(name, part.forward), recorder(name, part.backward)
    try:
        network.forward(x)
        network.backward(dout)
    finally:
        for part in parts.values():
            del part.forward, part.backward  # the recorders; the methods of the class are there again
    return {
        name: (parts[name], given[0], given[2], given[1], given[3])
        for name, given in handed.items()
        if len(given) == 4  # one that is used twice cannot be told apart
    }


def _leaves(network: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in getattr(network, "parts", {}).items():
        if getattr(part, "parts", None):
            yield from _leaves(part, f"{prefix}{name}.")
        else:
            yield prefix + name, part


def _impure(part: Any, h: Array, dout: Array, h_after: Array, dout_after: Array) -> GradientReport | None:
    """A report if the part wrote into what it was handed."""
    pairs = ((INPUT, h, h_after), ("dout", dout, dout_after))
    found = tuple(
        CheckedTensor(name, WRONG, np.inf, 0.0, "input mutated", MUTATED)
        for name, before, after in pairs
        if not np.array_equal(before, after, equal_nan=True)
    )
    return GradientReport(found, "two copies", 0) if found else None


def _check_part(part: Any, h: Array, dout: Array, rng: np.random.Generator) -> GradientReport:
    """One part alone, on the sum of its outputs times an upstream gradient."""
    part.forward(h.copy())
    dh = part.backward(dout.copy())
    point = {INPUT: h.copy(), **part.params} if h.dtype.kind == "f" else dict(part.params)
    if not any(array.size for array in point.values()):
        return GradientReport((), "nothing", 0)

    def local(at: Arrays) -> Any:
        rest = {name: array for name, array in at.items() if name != INPUT}
        return (_at(part, rest, at.get(INPUT, h)) * dout).sum()

    report = gradient_check(local, point, {INPUT: dh, **part.grads}, rng)
    if report.wrong and _is_elementwise(part, h):
        # Each output has but one way back: what is wrong there is a factor.
        named = (
            replace(each, kind="missing factor", reason=SLOPE + each.reason.partition(" At ")[2])
            if each.kind == "missing term"
            else each
            for each in report.tensors
        )
        report = replace(report, tensors=tuple(named))
    return report


def _is_elementwise(part: Any, h: Array) -> bool:
    """Whether an element of the output depends on the same element of the input only."""
    if part.params or not h.size or h.dtype.kind != "f":
        return False
    out, middle = np.array(part.forward(h.copy())), h.size // 2
    moved = h.copy()
    moved.flat[middle] += 0.1 * (1 + abs(moved.flat[middle]))
    changed = np.array(part.forward(moved)) != out if out.shape == h.shape else np.ones(1)
    return bool(out.shape == h.shape and not np.delete(changed.ravel(), middle).any())


def _at(part: Any, params: Arrays, x: Array) -> Array:
    """What a part returns for other parameters."""
    kept = part.params
    try:
        part._set_params(params)
        return np.asarray(part.forward(x))
    finally:
        part._set_params(kept)
