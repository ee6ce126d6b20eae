"""Compare the gradients of a network with measured ones: right, wrong, or cannot tell.

All parameters are first moved together along one random direction, which takes five evaluations of the loss however
many parameters there are. Where that does not settle it, each tensor gets a direction of its own, and in a tensor
that is wrong single elements are measured, to say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.gradcheck._kinds import FLOAT32_NOISE, name_kind
from minigrad.gradcheck._slopes import Direction, Landscape, Slope
from minigrad.gradcheck.numerical import Array, Index, _require_movable, _subscript

RIGHT, WRONG, CANNOT_TELL = "right", "wrong", "cannot tell"

# What rounding may do to a gradient, relative to its norm, by the bytes of its dtype.
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-7}
RESOLUTION = 1e-2  # a measurement that is known less well than this settles nothing
HANDED_DOWN = (
    "No factor explains it, and a second gradient is off in the same way: look at what both are handed, which is the "
    "backward pass of what comes after, such as the slope of an activation. At "
)
SAMPLE = 64  # elements of a wrong tensor that are measured one by one


@dataclass(frozen=True)
class CheckedElement:
    """One parameter, and what the two sides say its gradient is."""

    name: str
    index: Index
    analytic: float
    numerical: float

    def __str__(self) -> str:
        return (
            f"{self.name}{_subscript(self.index)}: yours {self.analytic:.6g}, measured {self.numerical:.6g}"
        )


@dataclass(frozen=True)
class CheckedTensor:
    """The verdict on the gradient of one tensor.

    Parameters
    ----------
    name : str
    verdict : {"right", "wrong", "cannot tell"}
    error : float
        Along a random direction, the difference to the measured slope, relative to the norm of the gradient.
    resolution : float
        How well that slope is known, on the same scale.
    kind : str
        For a wrong one: what sort of mistake it looks like (see `KINDS`).
    reason : str
        What is wrong, or why nothing can be said, in a sentence.
    worst : CheckedElement, optional
        For a wrong one: the worst of the elements that were measured.
    share : float
        For a wrong one: how many of those are wrong.
    """

    name: str
    verdict: str
    error: float
    resolution: float
    kind: str = ""
    reason: str = ""
    worst: CheckedElement | None = None
    share: float = 0.0

    def __str__(self) -> str:
        words = f"{self.name}: {self.verdict}, relative error {self.error:.1e}"
        if self.verdict == RIGHT:
            words += f", known to {self.resolution:.0e}"
        return words + (f". {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class GradientReport:
    """What `gradient_check` found, tensor by tensor in the order of the parameters."""

    tensors: tuple[CheckedTensor, ...]
    method: str
    evaluations: int

    @property
    def verdict(self) -> str:
        """The verdict on all: wrong if one is, else "cannot tell" if that holds for one."""
        verdicts = {each.verdict for each in self.tensors}
        return next((each for each in (WRONG, CANNOT_TELL) if each in verdicts), RIGHT)

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        return self.verdict == RIGHT

    @property
    def wrong(self) -> tuple[CheckedTensor, ...]:
        """The tensors whose gradients are wrong."""
        return tuple(each for each in self.tensors if each.verdict == WRONG)

    @property
    def first(self) -> CheckedTensor | None:
        """The wrong tensor that the backward pass reaches first: the mistake is there or just above it."""
        return self.wrong[-1] if self.wrong else None

    def __getitem__(self, name: str) -> CheckedTensor:
        return {each.name: each for each in self.tensors}[name]

    def __str__(self) -> str:
        lines = [f"{self.verdict} ({self.method}, {self.evaluations} evaluations of the loss)"]
        lines += [f"  {each}" for each in self.tensors]
        if self.first and len(self.tensors) > 1:
            lines.append(f"The backward pass reaches {self.first.name} first: look there, or just above it.")
        return "\n".join(lines)


def gradient_check(
    loss: Callable[[dict[str, Array]], Any],
    params: dict[str, Array],
    grads: Mapping[str, Any] | Callable[[dict[str, Array]], Mapping[str, Any]],
    rng: np.random.Generator,
) -> GradientReport:
    r"""Say of each gradient of a network whether it is right, wrong, or cannot be told.

    Parameters
    ----------
    loss : callable
        Takes a dict like `params`, returns one number. It must be the same function at each call: draw the batch
        and the dropout masks before. It may ignore its argument and read `params` from its closure.
    params : dict of str to ndarray
        Parameters, in the order in which the forward pass uses them. Moved in place while `loss` runs, and
        restored exactly, also when it raises.
    grads : dict of str to array_like, or callable
        The gradient of each parameter, under the same name and of the same shape. Others are ignored. A function
        that takes `params` and returns such a dict is checked for what a dict cannot show: whether it changes its
        parameters, adds to what an earlier call had left, or returns what it once computed for other parameters.
    rng : Generator
        Draws the directions.

    Returns
    -------
    report : GradientReport
        Its text is meant to be read.

    Raises
    ------
    KeyError
        If a parameter has no gradient.
    TypeError
        If a parameter is not an array of floating-point numbers.
    ValueError
        If there is nothing to check, or the loss is not the same function at each call.

    Notes
    -----
    Along a direction `v`, a right gradient `g` gives the slope :math:`\langle g, v \rangle`. For a Gaussian `v`
    a wrong one misses it, but for a set of directions of measure zero. The difference is judged relative to the
    gradient's own norm, tensor by tensor, and against the noise of the measurement: nothing is compared with a
    fixed small number, so a loss that is multiplied by 1e-9 is checked as strictly as before.

    The slope is measured by the complex step where the code of the loss allows it, otherwise by Richardson's
    differences. Where a kink lies at the point itself, any value between the slopes of its two
    sides is right.

    A gradient that is smaller than the largest one by a factor of 1e-14 cannot be told from rounding. Such is that
    of a bias in front of a batch normalization, which is zero on paper.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}
    >>> def loss(params):
    ...     return (params["w"] ** 2).sum() + params["b"]
    >>> grads = {"w": 2 * params["w"], "b": np.array(2.0)}  # b is wrong
    >>> report = gradient_check(loss, params, grads, np.random.default_rng(0))
    >>> report["w"].verdict, report["b"].verdict
    ('right', 'wrong')
    >>> print(report["b"].worst)
    b: yours 2, measured 1
    """
    if callable(grads):
        from minigrad.gradcheck._repeated import check_calls

        return check_calls(loss, params, grads, rng)
    _require_checkable(params, grads)
    landscape = Landscape(loss, params)
    if not np.isfinite(landscape.height):
        reason = f"The loss is {landscape.height} here, so it has no slope."
        return _report(landscape, "nothing", [_unknown(name, reason) for name in params])
    check = _Check(landscape, {name: np.asarray(grads[name]) for name in params}, rng)
    tensors = check.together() or check.one_by_one()
    if any(each.verdict != RIGHT for each in tensors):
        again = landscape.loss(landscape.wide)
        if float(np.real(np.asarray(again).item())) != landscape.height:
            raise ValueError(
                "gradient_check: the loss gives another value when it is called again with the same parameters; "
                "draw the batch, and the dropout masks, once"
            )
    return _report(landscape, check.method, tensors)


class _Check:
    """One check of many tensors."""

    def __init__(self, landscape: Landscape, grads: dict[str, Array], rng: np.random.Generator):
        self.landscape, self.rng = landscape, rng
        self.grads = {name: g.astype(np.float64) for name, g in grads.items()}
        self.tolerance = {
            name: TOLERANCE[min(8, g.dtype.itemsize, landscape.params[name].dtype.itemsize)]
            if g.dtype.kind == "f"
            else TOLERANCE[8]
            for name, g in grads.items()
        }
        norms = {
            name: float(np.linalg.norm(g)) if np.isfinite(g).all() else np.inf
            for name, g in self.grads.items()
        }
        finite = [norm for norm in norms.values() if np.isfinite(norm)]
        self.norms, self.largest = norms, max(finite, default=0.0)
        self.complex = False

    @property
    def method(self) -> str:
        return "complex step" if self.complex else "Richardson's differences"

    # -- all tensors in one direction

    def together(self) -> list[CheckedTensor] | None:
        """Check all tensors along one direction; None where that does not settle it."""
        direction = self._direction()
        fitting = all(g.shape == direction[name].shape for name, g in self.grads.items())
        if not fitting or not self.largest or not np.isfinite(list(self.norms.values())).all():
            self.complex = self.landscape.follows_complex(direction)
            return None
        self.complex = self.landscape.follows_complex(direction)
        if self.complex:
            # In balance, so that the smallest gradient is heard as well as the largest: nothing is rounded away.
            weights = {name: 1 / max(norm, 1e-9 * self.largest) for name, norm in self.norms.items() if norm}
            balanced = {
                name: self._gaussian(name) * weights.get(name, 1e9 / self.largest) for name in self.grads
            }
            slope = self.landscape.complex_slope(balanced)
            if slope is None:
                self.complex = False
                return None
            error = abs(self._along(balanced) - slope) / max(1.0, abs(slope))
            if error > max(self.tolerance.values()) or (
                error > 1e-10 and any(map(self._through_float32, self.grads))
            ):
                return None
            return [CheckedTensor(name, RIGHT, error, 1e-12) for name in self.grads]
        real = self.landscape.quick_slope(direction)
        error, noise = abs(self._along(direction) - real.value), real.noise
        shares = {name: float(np.linalg.norm(self.grads[name] * v)) for name, v in direction.items()}
        found = []
        for name, share in shares.items():
            # A tensor with a small share of the slope could be wrong and not be heard.
            if error > self.tolerance[name] * share + noise or noise > 1e-4 * share:
                return None
            found.append(CheckedTensor(name, RIGHT, error / share, noise / share))
        return found

    def _through_float32(self, name: str) -> bool:
        """Whether a gradient in float64 holds nothing but float32 numbers: it was one on the way."""
        g = self.grads[name]
        some = g.size > 2 and self.norms[name] > 1e-7 * self.largest
        return self.tolerance[name] == TOLERANCE[8] and some and np.array_equal(g, g.astype(np.float32))

    # -- one tensor

    def one_by_one(self) -> list[CheckedTensor]:
        """Check each tensor along a direction of its own."""
        tensors = [self.tensor(name) for name in self.grads]
        unexplained = [each.name for each in tensors if each.kind in ("not summed", "missing term")]
        if len(unexplained) < 2:
            return tensors
        # A bias and its weights are off by no factor: then it is what both of them are handed that is wrong.
        kind = "mask wrong" if self.landscape.kinks(self._direction()) else "missing factor"
        return [
            replace(each, kind=kind, reason=HANDED_DOWN + each.reason.partition(" At ")[2])
            if each.name in unexplained and not each.reason.startswith("What is missing is")
            else each
            for each in tensors
        ]

    def tensor(self, name: str) -> CheckedTensor:
        """Check one tensor along a direction of its own; element by element where it is wrong."""
        g, norm = self.grads[name], self.norms[name]
        shape = self.landscape.wide[name].shape
        if g.shape != shape:
            return CheckedTensor(name, WRONG, np.inf, 0.0, *_of_shape(g.shape, shape))
        if not g.size:
            return CheckedTensor(name, RIGHT, 0.0, 0.0)
        if not np.isfinite(norm):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0])
            return CheckedTensor(
                name, WRONG, np.inf, 0.0, "not finite", f"{name}{_subscript(index)} is {g[index]}."
            )
        v = {name: self._gaussian(name) * self.landscape.sizes()[name]}
        analytic, scale = self._along(v), float(np.linalg.norm(g * v[name]))
        value = self.landscape.complex_slope(v) if self.complex else None
        if value is not None:
            error = abs(analytic - value) / (max(scale, abs(value)) or 1.0)
            if error > 1e-10 and self._through_float32(name) and error < 1e-6:
                return CheckedTensor(name, WRONG, error, 1e-12, "float32 noise", FLOAT32_NOISE)
            if error <= self.tolerance[name]:
                return CheckedTensor(name, RIGHT, error, 1e-12)
        # Where the complex step disagrees, real differences have the last word: it may have lost a part.
        slope = self.landscape.slope(v)
        size = max(scale, abs(slope.value))
        bound = self.tolerance[name] * size
        rounding = 1e-14 * self.largest * float(np.linalg.norm(v[name]))
        outside = max(slope.low - analytic, analytic - slope.high, 0.0)
        error, resolution = (outside / size, slope.noise / size) if size else (0.0, 0.0)
        # Unless they are too coarse to have an opinion.
        agree = value is not None and not slope.kink and slope.low <= value <= slope.high
        vanishes = abs(value) <= rounding if agree and value is not None else slope.low <= 0 <= slope.high
        if abs(analytic) <= rounding and vanishes:
            return CheckedTensor(name, RIGHT, 0.0, 0.0, reason="Zero, up to rounding.")
        if outside <= bound and resolution <= RESOLUTION and not (agree and resolution > 1e-4):
            note = "It lies between the slopes of the two sides of a kink." if slope.kink else ""
            return CheckedTensor(name, RIGHT, error, resolution, reason=note)
        if outside <= bound and not self.complex:
            reason = (
                f"Its gradient is of size {scale:.0e} along this direction; differences of this loss are only known to "
                f"{slope.noise:.0e}. Check it on a smaller loss, or in float64."
            )
            return CheckedTensor(name, CANNOT_TELL, error, resolution, reason=reason)
        if value is not None and agree:
            error, resolution = abs(analytic - value) / (max(scale, abs(value)) or 1.0), 1e-12
        return self._examine(name, error, resolution, exact=bool(agree))

    # -- single elements of a wrong tensor

    def _examine(self, name: str, error: float, resolution: float, exact: bool) -> CheckedTensor:
        """Measure elements of a tensor that is wrong along a direction, and say what is wrong with them.

        `exact` says whether the complex step may be believed.
        """
        g = self.grads[name]
        block = _block(g.shape, SAMPLE, self.rng)
        measured = {index: self._element(name, index, exact) for index in block}
        if not any(self._differs(name, g[index], slope) for index, slope in measured.items()):
            index = self._search(name, exact)
            measured[index] = self._element(name, index, exact)
        wrong = {index: s for index, s in measured.items() if self._differs(name, g[index], s)}
        if not wrong:
            if any(slope.kink for slope in measured.values()):
                return CheckedTensor(
                    name,
                    RIGHT,
                    error,
                    resolution,
                    reason="At kinks it lies between the slopes of the two sides.",
                )
            reason = (
                "It disagrees along a random direction, but no single element does by more than its noise."
            )
            return CheckedTensor(name, CANNOT_TELL, error, resolution, reason=reason)
        index, slope = max(wrong.items(), key=lambda each: abs(each[1].value - g[each[0]]))
        worst = CheckedElement(name, index, float(g[index]), slope.value)
        axes = tuple(np.unique(np.array(block)[:, axis]) for axis in range(g.ndim))
        ours = g[np.ix_(*axes)] if g.ndim else g
        theirs = np.array([measured[i].value for i in block]).reshape(ours.shape)
        at = self.landscape.wide[name][np.ix_(*axes)] if g.ndim else self.landscape.wide[name]
        noise = max(measured[i].noise for i in block)
        kind, words = name_kind(ours, theirs, at, noise)
        share = len([i for i in block if i in wrong]) / len(block)
        what = f"{words} At {worst}."
        if 0 < share < 1:
            what += f" {share:.0%} of {len(block)} elements that were measured differ."
        return CheckedTensor(name, WRONG, error, resolution, kind, what, worst, share)

    def _element(self, name: str, index: Index, exact: bool) -> Slope:
        v = {name: np.zeros_like(self.landscape.wide[name])}
        size = max(self.landscape.sizes()[name], abs(float(self.landscape.wide[name][index])))
        v[name][index] = size
        slope = self._measured(v, exact)
        return Slope(slope.value / size, slope.noise / size, slope.left / size, slope.right / size)

    def _measured(self, v: Direction, exact: bool) -> Slope:
        value = self.landscape.complex_slope(v) if exact else None
        return self.landscape.slope(v) if value is None else Slope(value, 0.0, value, value)

    def _differs(self, name: str, analytic: float, slope: Slope) -> bool:
        g = self.grads[name]
        typical = self.norms[name] / np.sqrt(g.size)
        bound = self.tolerance[name] * max(typical, abs(analytic), abs(slope.value))
        return bool(max(slope.low - analytic, analytic - slope.high) > bound)

    def _search(self, name: str, exact: bool) -> Index:
        """Find one wrong element by halving: the half along which the slope is missed by more."""
        g = self.grads[name]
        left, right = 0, g.size
        v = (self._gaussian(name) * self.landscape.sizes()[name]).ravel()
        while right - left > 1:
            middle = (left + right) // 2
            missed = []
            for start, stop in ((left, middle), (middle, right)):
                part = np.zeros(g.size)
                part[start:stop] = v[start:stop]
                direction = {name: part.reshape(g.shape)}
                slope = self._measured(direction, exact)
                along = float(np.vdot(g, direction[name]))
                missed.append(max(slope.low - along, along - slope.high))
            left, right = (left, middle) if missed[0] >= missed[1] else (middle, right)
        return tuple(int(i) for i in np.unravel_index(left, g.shape))

    def _direction(self) -> dict[str, Array]:
        sizes = self.landscape.sizes()
        return {name: self._gaussian(name) * sizes[name] for name in self.grads}

    def _gaussian(self, name: str) -> Array:
        return np.asarray(self.rng.standard_normal(self.landscape.wide[name].shape))

    def _along(self, direction: Direction) -> float:
        return float(sum(np.vdot(self.grads[name], v) for name, v in direction.items()))


def _block(shape: tuple[int, ...], limit: int, rng: np.random.Generator) -> list[Index]:
    """Indices of a block of at most `limit` elements: the same few positions along each axis of equal length.

    A block, and not a scatter, since many mistakes show only between rows and columns: a transpose, a factor for
    each channel.
    """
    counts = [1] * len(shape)
    while True:  # grow the axes in turn
        best = None
        for axis in np.argsort(counts, kind="stable"):
            grown = [count + (i == axis) for i, count in enumerate(counts)]
            if grown[axis] <= shape[axis] and np.prod(grown) <= limit:
                best = grown
                break
        if best is None:
            break
        counts = best
    chosen: dict[tuple[int, int], Array] = {}
    axes = []
    for length, count in zip(shape, counts, strict=True):
        if (length, count) not in chosen:
            chosen[length, count] = np.sort(rng.choice(length, size=count, replace=False))
        axes.append(chosen[length, count])
    return [tuple(int(i) for i in index) for index in _product(axes)]


def _product(axes: list[Array]) -> Iterator[tuple[int, ...]]:
    grids = np.meshgrid(*axes, indexing="ij") if axes else []
    return zip(*(grid.ravel() for grid in grids), strict=True) if axes else iter([()])


def _require_checkable(params: dict[str, Array], grads: Mapping[str, Any]) -> None:
    if not any(np.size(x) for x in params.values()):
        raise ValueError("gradient_check: params has no elements, so there is nothing to check")
    for name, x in params.items():
        _require_movable("gradient_check", f"params[{name!r}]", x, 1.0)
        if name not in grads:
            raise KeyError(f"gradient_check: grads has no gradient for {name!r}")


def _of_shape(ours: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[str, str]:
    """Kind and sentence for a gradient of another shape than its parameter."""
    shapes = f"It has shape {ours}, and the parameter {wanted}."
    if ours == wanted[::-1]:
        return "transposed", shapes
    if len(ours) > len(wanted) and ours[len(ours) - len(wanted) :] == wanted:
        return "not summed", f"{shapes} The shares of all examples are still to be added."
    return "shape", shapes


def _unknown(name: str, reason: str) -> CheckedTensor:
    return CheckedTensor(name, CANNOT_TELL, np.inf, np.inf, reason=reason)


def _report(landscape: Landscape, method: str, tensors: list[CheckedTensor]) -> GradientReport:
    return GradientReport(tuple(tensors), method, landscape.evaluations)
