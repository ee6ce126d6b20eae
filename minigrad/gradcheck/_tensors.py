"""Check gradients tensor by tensor.

All parameters are first moved together along one random direction, which takes five evaluations of the loss however
many parameters there are. Where that does not settle it, each tensor gets a direction of its own, and in a tensor
that is wrong single elements are measured, to say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.gradcheck._kinds import FLOAT32, FLOAT32_NOISE, name_kind
from minigrad.gradcheck._slopes import Direction, Landscape, Slope
from minigrad.gradcheck.numerical import Array, Index, _require_movable, _subscript
from minigrad.gradcheck.report import CANNOT_TELL, RIGHT, WRONG, CheckedElement, CheckedTensor, GradientReport

# What rounding may do to a gradient, relative to its norm, by the bytes of its dtype.
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-7}
# What rounding leaves behind where a gradient cancels, relative to the largest of the network; such a gradient is not
# the smaller for it by more than VANISHING where it is zero on paper, and normalizations have amplified what is left.
ROUNDING = {2: 1e-6, 4: 1e-9, 8: 1e-15}
VANISHING = 1e5
# A measurement that is known less well than this settles nothing, by the bytes of the dtype that it is made in.
RESOLUTION = {2: 1e-1, 4: 1e-2, 8: 1e-4}
HANDED_DOWN = (
    "No factor explains it, and a second gradient is off in the same way: look at what both are handed, which is the "
    "backward pass of what comes after, such as the slope of an activation. At "
)
SHARE_MISSING = (
    "No factor explains it, and a second gradient is too small as well: a share of what both are handed is "
    "missing. At "
)
CANCELS = "It should be zero: what reaches the loss on one way cancels on another."
SAMPLE = 64  # elements of a wrong tensor that are measured one by one


def check_arrays(
    loss: Callable[[dict[str, Array]], Any],
    params: dict[str, Array],
    grads: Mapping[str, Any],
    rng: np.random.Generator,
) -> GradientReport:
    """The verdicts on a dict of gradients, as `gradient_check` has it."""
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
        floats = {name for name, g in grads.items() if g.dtype.kind == "f"}
        width = {
            name: min(8, g.dtype.itemsize, landscape.params[name].dtype.itemsize) if name in floats else 8
            for name, g in grads.items()
        }
        self.tolerance = {name: TOLERANCE[size] for name, size in width.items()}
        self.rounding = {name: ROUNDING[size] for name, size in width.items()}
        norms = {
            name: float(np.linalg.norm(g)) if np.isfinite(g).all() else np.inf
            for name, g in self.grads.items()
        }
        finite = [norm for norm in norms.values() if np.isfinite(norm)]
        self.norms, self.largest = norms, max(finite, default=0.0)
        self.complex = self.drowned = False
        self.ratio: dict[str, float] = {}  # of a wrong gradient to the measured one, in the elements measured

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
            if 0.0 in self.norms.values() and self.landscape.drowns(self._along(direction)):
                return None  # zero, and no answer from the loss: its imaginary part may be lost
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
        v = self._direction()
        if self.complex and self.landscape.drowns(self.landscape.complex_slope(v) or 0.0):
            self.complex, self.drowned = self.landscape.is_analytic(v), True
        tensors = [self.tensor(name) for name in self.grads]
        unexplained = [each.name for each in tensors if each.kind in ("not summed", "missing term")]
        if len(unexplained) < 2:
            return tensors
        # A bias and its weights are off by no factor: then it is what both of them are handed that is wrong. Slopes
        # and masks make it smaller, so without them it is too large; where it is too small, a share of it is missing.
        cancels = any(each.reason.startswith(CANCELS) for each in tensors)
        if cancels or all(self.ratio[name] < 1 for name in unexplained):
            return [
                replace(each, kind="missing term", reason=SHARE_MISSING + each.reason.partition(" At ")[2])
                if each.kind == "not summed"
                else each
                for each in tensors
            ]
        nearest = unexplained[-1]  # what it can reach is above it: a kink below has no part in this
        v = {nearest: self._gaussian(nearest) * self.landscape.sizes()[nearest]}
        kind = "mask wrong" if self.landscape.kinks(v) else "missing factor"
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
        if value == 0.0 and self.drowned:
            value = (
                None  # this tensor may have lost its imaginary part, and real differences would not show it
            )
        if value is not None:
            error = abs(analytic - value) / (max(scale, abs(value)) or 1.0)
            if error > 1e-10 and self._through_float32(name) and error < 1e-6:
                return CheckedTensor(name, WRONG, error, 1e-12, "float32 noise", FLOAT32_NOISE)
            if error <= self.tolerance[name]:
                return CheckedTensor(name, RIGHT, error, 1e-12)
        # Where the complex step disagrees, real differences have the last word: it may have lost a part.
        slope = self.landscape.slope(v)
        size = max(scale, abs(slope.value))
        largest = self.largest * float(np.linalg.norm(v[name]))
        rounding = self.rounding[name] * largest
        bound = self.tolerance[name] * size + rounding
        outside = max(slope.low - analytic, analytic - slope.high, 0.0)
        if outside > bound:
            slope = self._with_cells(slope, v)
            outside = max(slope.low - analytic, analytic - slope.high, 0.0)
        error, resolution = (outside / size, slope.noise / size) if size else (0.0, np.inf)
        coarse = resolution > RESOLUTION[self.landscape.wide[name].dtype.itemsize]
        # Unless they are too coarse to have an opinion.
        agree = value is not None and not slope.kink and slope.low <= value <= slope.high
        if agree and value is not None:
            vanishes = abs(value) <= 10 * ROUNDING[8] * largest or (
                abs(value) <= VANISHING * ROUNDING[8] * largest
                and self.landscape.is_rounding(v, value, self.rng)
            )
        else:
            known = slope.noise <= 1e-4 * (largest or abs(self.landscape.height))
            vanishes = known and slope.low <= 0 <= slope.high
        if vanishes and abs(analytic) <= VANISHING * rounding:
            return CheckedTensor(name, RIGHT, 0.0, 0.0, reason="Zero, up to rounding.")
        if agree and value is not None and abs(analytic - value) <= bound:
            return CheckedTensor(name, RIGHT, abs(analytic - value) / size if size else 0.0, 1e-12)
        if outside <= bound and not coarse:
            note = "It lies between the slopes of the two sides of a kink." if slope.kink else ""
            return CheckedTensor(name, RIGHT, error, resolution, reason=note)
        if outside <= bound and coarse and value is None:
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
        coarse = False
        for index, slope in wrong.copy().items():
            if not exact:
                v = {name: np.zeros_like(g)}
                v[name][index] = size = self.landscape.sizes()[name]
                wider = self._with_cells(slope, v, size)
                if not self._differs(name, g[index], wider):
                    del wrong[index]
                    coarse |= wider.noise > RESOLUTION[8] * self.norms[name] / np.sqrt(g.size)
        if not wrong:
            if not coarse and any(slope.kink for slope in measured.values()):
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
        self.ratio[name] = float(np.linalg.norm(ours) / (np.linalg.norm(theirs) or 1.0))
        if np.max(abs(theirs)) <= 10 * ROUNDING[8] * self.largest:
            small = np.max(abs(ours)) <= 64 * FLOAT32 * self.largest
            kind, words = ("float32 noise", FLOAT32_NOISE) if small else ("missing term", CANCELS)
        else:
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

    def _with_cells(self, slope: Slope, v: Direction, length: float = 1.0) -> Slope:
        """A slope per `length` of a direction, its sides as far apart as those of all the cells that meet here."""
        cells = self.landscape.beside(v, self.rng)
        if not (slope.kink or cells.kink):
            return slope
        low, high = (
            end(slope.left, slope.right, s / length) for end, s in ((min, cells.left), (max, cells.right))
        )
        return Slope(slope.value, max(slope.noise, cells.noise / length), low, high)

    def _differs(self, name: str, analytic: float, slope: Slope) -> bool:
        g = self.grads[name]
        typical = self.norms[name] / np.sqrt(g.size)
        bound = self.tolerance[name] * max(typical, abs(analytic), abs(slope.value))
        bound += self.rounding[name] * self.largest
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
    added = ours[: len(ours) - len(wanted)]
    if max(added, default=1) > 1 and ours[len(added) :] == wanted:
        return "not summed", f"{shapes} The shares of all examples are still to be added."
    return "shape", shapes


def _unknown(name: str, reason: str) -> CheckedTensor:
    return CheckedTensor(name, CANNOT_TELL, np.inf, np.inf, reason=reason)


def _report(landscape: Landscape, method: str, tensors: list[CheckedTensor]) -> GradientReport:
    return GradientReport(tuple(tensors), method, landscape.evaluations)
