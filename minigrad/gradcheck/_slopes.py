r"""How steep is a loss along a line through its parameters, and how well is that known?

Two instruments.

The *complex step* moves the parameters by :math:`i h v` and reads the imaginary part of the loss: divided by `h`, it is
the slope to the last digit, since nothing is subtracted and `h` may be 1e-20. An offset of the loss does not disturb
it, and no kink lies that close. It needs a loss that is analytic in code: `abs`, `norm`, `var` and every cast drop the
imaginary part without a word, so it is believed only where it agrees with real differences.

*Richardson's differences* need real numbers only. From centred differences at steps that shrink tenfold, they
take the pair in which truncation and round-off together are smallest, and say how large both may be.

A kink (of a ReLU, a maximum) that lies at the point itself gives two slopes, one for each side. Both are
returned: any value between them is a gradient that an honest backward pass may choose.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.gradcheck.numerical import Array, _number

Direction = Mapping[str, Array]

IMAGINARY_STEP = 1e-20
FURTHER = 1e-2  # to a point where no unit stands on its kink, relative to the size of the parameters
STEPS = 10.0 ** -np.arange(2, 10)  # of the real differences, relative to the size of the parameters


@dataclass(frozen=True)
class Slope:
    """A measured slope: its value, how far off that may be, and the slopes of the two sides."""

    value: float
    noise: float
    left: float
    right: float

    @property
    def low(self) -> float:
        """The smallest value that agrees with the measurement."""
        return min(self.left, self.right, self.value) - self.noise

    @property
    def high(self) -> float:
        """The largest value that agrees with the measurement."""
        return max(self.left, self.right, self.value) + self.noise

    @property
    def kink(self) -> bool:
        """Whether the two sides have different slopes."""
        return abs(self.left - self.right) > 2 * self.noise


class Landscape:
    """A loss around one point.

    Parameters
    ----------
    loss : callable
        Takes a dict of arrays, returns one number. It may ignore its argument and read `params` from its closure.
    params : dict of ndarray
        The point. Moved in place for real differences, and put back to the bit.
    """

    def __init__(self, loss: Callable[[dict[str, Array]], Any], params: dict[str, Array]):
        self.loss, self.params = loss, params
        self.evaluations = 0
        # In float32 there is no good step. Measure in float64 where the loss takes what it is given.
        self.wide = {name: x.astype(np.float64) if x.dtype.itemsize < 8 else x for name, x in params.items()}
        self.height = self._real(self.params)
        if any(self.wide[name] is not x for name, x in params.items()):
            moved = {name: x * (1 + 1e-3) + 1e-3 for name, x in self.wide.items()}
            try:
                looks = self._real(moved) != self.height
            except Exception:  # it insists on float32
                looks = False
            if not looks:
                self.wide = dict(params)
            self.height = self._real(self.wide)
        eps = max((np.finfo(x.dtype).eps for x in self.wide.values()), default=0.0)
        self.rounding = 4.0 * float(eps)  # of the loss, relative to its height

    def sizes(self) -> dict[str, float]:
        """A typical size of the entries of each tensor; where all are zero, that of the others."""
        found = {name: float(np.sqrt(np.mean(x**2))) if x.size else 0.0 for name, x in self.wide.items()}
        others = max(found.values(), default=0.0) or 1.0
        return {name: size or others for name, size in found.items()}

    def complex_slope(self, direction: Direction) -> float | None:
        """Slope by the complex step; None where the loss cannot be followed there."""
        self.evaluations += 1
        point: dict[str, Any] = {name: x.astype(np.complex128) for name, x in self.wide.items()}
        for name, v in direction.items():
            point[name] += 1j * IMAGINARY_STEP * v
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = np.asarray(self.loss(point))
        except Exception:  # it was written for real numbers, which is no mistake
            return None
        if value.size != 1 or not np.iscomplexobj(value) or not np.isfinite(value).all():
            return None
        return float(value.item().imag / IMAGINARY_STEP)

    def follows_complex(self, direction: Direction) -> bool:
        """Whether the complex step agrees with real differences along a direction; three evaluations, or seven.

        Whether code drops the imaginary part does not depend on the point. Where units stand on their kinks, as after
        a layer that is dead for an example, real differences mix two slopes; a little further they do not.
        """
        slope = self.complex_slope(direction)
        if slope is None:
            return False
        real = self.rough_slope(direction)
        if abs(slope - real.value) <= real.noise + 1e-6 * max(abs(slope), abs(real.value)):
            return True
        kept = self.wide, self.height
        self.wide = {name: x + FURTHER * direction[name] for name, x in self.wide.items()}
        try:
            self.height = self._real(self.wide)
            slope, real = self.complex_slope(direction), self.rough_slope(direction)
        finally:
            self.wide, self.height = kept
        if slope is None or real.noise > 1e-2 * abs(real.value):
            return False
        return abs(slope - real.value) <= real.noise + 1e-6 * abs(real.value)

    def is_analytic(self, direction: Direction, step: float = 1e-4) -> bool:
        """Whether the second derivatives of the imaginary part, along both axes, cancel.

        Real differences that drown in the loss agree with anything; a function that drops the imaginary part on one
        of several ways is found out here, where the height of the loss plays no part.
        """
        v = np.array(
            [
                [self._imaginary(direction, across * step, (2 + along) * step) for along in (-1, 0, 1)]
                for across in (-1, 0, 1)
            ]
        )
        across, along = v[0, 1] - 2 * v[1, 1] + v[2, 1], v[1, 0] - 2 * v[1, 1] + v[1, 2]
        return bool(abs(across + along) <= 1e-2 * (abs(across) + abs(along)) + 1e-12 * np.max(abs(v)))

    def _imaginary(self, direction: Direction, across: float, along: float) -> float:
        """The imaginary part of the loss, a real step and an imaginary one away; nan where there is none."""
        moved = {name: self.wide[name] + across * v for name, v in direction.items()}
        kept, self.wide = self.wide, {**self.wide, **moved}
        try:
            slope = self.complex_slope({name: along / IMAGINARY_STEP * v for name, v in direction.items()})
        finally:
            self.wide = kept
        return np.nan if slope is None else slope * IMAGINARY_STEP

    def drowns(self, slope: float, step: float = 1e-5) -> bool:
        """Whether real differences are too coarse to see a slope."""
        return self.rounding * abs(self.height) / step > 1e-3 * abs(slope)

    def rough_slope(self, direction: Direction, step: float = 1e-5) -> Slope:
        """Slope by one centred difference: two evaluations. It is as good as the two sides agree."""
        above, below = self._pair(direction, step)
        value, curved = (above - below) / (2 * step), abs(above - 2 * self.height + below) / (2 * step)
        return Slope(value, curved + self._roundoff(above, below) / step, value, value)

    def quick_slope(self, direction: Direction, step: float = 1e-3) -> Slope:
        """Slope by one step of Richardson's differences: four evaluations, and an honest noise."""
        (above, below), (half_above, half_below) = (self._pair(direction, t) for t in (step, step / 2))
        rough, fine = (above - below) / (2 * step), (half_above - half_below) / step
        value = (4 * fine - rough) / 3
        noise = abs(value - fine) + self._roundoff(above, below) / (step / 2)
        return Slope(value, noise, value, value)

    def slope(self, direction: Direction) -> Slope:
        """Slope by Richardson's differences, at the step where it is known best; sixteen evaluations."""
        pairs = np.array([self._pair(direction, t) for t in STEPS])  # (steps, 2)
        centred = (pairs[:, 0] - pairs[:, 1]) / (2 * STEPS)
        sides = (pairs - self.height) * [1.0, -1.0] / STEPS[:, None]  # right, left
        roundoff = np.array([self._roundoff(*pair) for pair in pairs]) / STEPS
        candidates = []
        richardson = (100 * centred[1:] - centred[:-1]) / 99
        for k in range(1, len(STEPS)):
            candidates.append((abs(centred[k] - centred[k - 1]) + roundoff[k], centred[k]))
        for k in range(1, len(richardson)):
            noise = abs(richardson[k] - richardson[k - 1]) + 1.1 * roundoff[k + 1]
            candidates.append((noise, richardson[k]))
        noise, value = min(candidates, key=lambda each: each[0] if np.isfinite(each[0]) else np.inf)
        return self._with_sides(
            Slope(float(value), float(noise), float(value), float(value)), sides, roundoff
        )

    @staticmethod
    def _with_sides(slope: Slope, sides: Array, roundoff: Array) -> Slope:
        """The slope with those of its two sides, if they stay apart while the step shrinks.

        On a smooth curve they approach each other as fast as the step shrinks; at a kink they do not.
        """
        jump = sides[:, 0] - sides[:, 1]
        seen = np.flatnonzero(abs(jump) > 8 * roundoff)
        if len(seen) < 2:
            return slope
        last, far = seen[-1], seen[-3:][0]  # in float32, few steps are large enough to see anything
        kept = 0.5 if len(seen) > 2 else 0.8
        if last - far != len(seen[-3:]) - 1 or abs(jump[last]) < kept * abs(jump[far]):
            return slope
        moved = np.max(abs(np.diff(sides, axis=0)), axis=1) + 2 * roundoff[1:]
        best = int(np.argmin(moved))
        right, left = sides[best + 1]
        return Slope(slope.value, max(slope.noise, float(moved[best])), float(left), float(right))

    def beside(self, direction: Direction, rng: np.random.Generator) -> Slope:
        """Slopes along a direction at points close by: the smallest and the largest, as those of two sides.

        Where several kinks meet, as for a row of zeros and biases of zero, the two slopes along one line are not all
        that a backward pass may return: each way of switching the units there is one. All parameters a little
        smaller, and a little larger, switch all of them to the same side.
        """
        step = max(1e-7, 2e3 * self.rounding)  # in float32, 1e-3
        shift, sizes, found = 10 * step, self.sizes(), []
        signs = [-1.0, 1.0, *(None for _ in range(14))]
        kept = {name: x.copy() for name, x in self.wide.items()}
        for sign in signs:
            try:
                for name, x in self.wide.items():
                    towards = rng.standard_normal(x.shape) if sign is None else sign
                    x += np.asarray(shift * sizes[name] * towards).astype(x.dtype)
                above, below = self._pair(direction, step)
            finally:
                for name, x in kept.items():
                    self.wide[name][...] = x
            found.append((above - below) / (2 * step))
        # The slope of a smooth loss changes a little on the way, and that is no kink.
        noise = self._roundoff(above, below) / step + 5 * shift * float(np.max(np.abs(found)))
        return Slope(float(np.median(found)), noise, min(found), max(found))

    def is_rounding(self, direction: Direction, slope: float, rng: np.random.Generator) -> bool:
        """Whether a slope by the complex step is nothing but rounding: another one as soon as all is rounded anew."""

        def rounded(arrays: Mapping[str, Array]) -> dict[str, Array]:
            return {name: x * (1 + 1e-14 * rng.standard_normal(x.shape)) for name, x in arrays.items()}

        kept, self.wide = self.wide, rounded(self.wide)
        try:
            again = self.complex_slope(rounded(direction))
        finally:
            self.wide = kept
        return again is not None and abs(again - slope) >= 1e-2 * abs(slope)

    def kinks(self, direction: Direction) -> bool:
        """Whether the slope of the loss jumps along a line.

        At twice the spacing, the largest fourth difference is twice as large where the slope jumps, four times where
        its derivative does (as for ELU and the Huber loss), and sixteen times on a smooth curve.
        """
        heights = np.array([self._moved(direction, t) for t in np.linspace(-0.5, 0.5, 513)])
        bend, wider = np.max(abs(np.diff(heights, 4))), np.max(abs(np.diff(heights[::2], 4)))
        return bool(bend > 100 * self._roundoff(heights[0], heights[-1]) and wider < 2.8 * bend)

    def _pair(self, direction: Direction, step: float) -> tuple[float, float]:
        return self._moved(direction, step), self._moved(direction, -step)

    def _moved(self, direction: Direction, step: float) -> float:
        """The loss some way along a line. In place: it may be a closure over these very arrays."""
        kept = {name: self.wide[name].copy() for name in direction}
        try:
            for name, v in direction.items():
                self.wide[name] += (step * v).astype(self.wide[name].dtype)
            return self._real(self.wide)
        finally:
            for name, x in kept.items():
                self.wide[name][...] = x

    def _real(self, params: dict[str, Array]) -> float:
        self.evaluations += 1
        with np.errstate(all="ignore"):
            return float(np.real(_number(self.loss(params))))

    def _roundoff(self, above: float, below: float) -> float:
        return self.rounding * max(abs(above), abs(below), abs(self.height))
