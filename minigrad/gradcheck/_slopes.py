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
        """Whether the complex step agrees with real differences along a direction; three evaluations."""
        slope = self.complex_slope(direction)
        if slope is None:
            return False
        real = self.rough_slope(direction)
        return abs(slope - real.value) <= real.noise + 1e-6 * max(abs(slope), abs(real.value))

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
        if len(seen) < 3:
            return slope
        last = seen[-1]
        if last != seen[-3] + 2 or abs(jump[last]) < 0.5 * abs(jump[last - 2]):
            return slope
        moved = np.max(abs(np.diff(sides, axis=0)), axis=1) + 2 * roundoff[1:]
        best = int(np.argmin(moved))
        right, left = sides[best + 1]
        return Slope(slope.value, max(slope.noise, float(moved[best])), float(left), float(right))

    def kinks(self, direction: Direction) -> bool:
        """Whether the loss has kinks along a line: fourth differences that stand out against the others."""
        heights = np.array([self._moved(direction, t) for t in np.linspace(-0.25, 0.25, 257)])
        bends = abs(np.diff(heights, 4))
        return bool(np.max(bends) > 40 * np.median(bends) + 100 * self._roundoff(heights[0], heights[-1]))

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
