"""What a claim is, and what comes of measuring it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

HOLDS = "holds"
CONDITION = "holds with a condition"
FAILS = "does not hold"
UNMEASURED = "cannot be measured"
VERDICTS = (HOLDS, CONDITION, FAILS, UNMEASURED)


@dataclass(frozen=True)
class Finding:
    """What was measured or derived, the verdict that follows from it, and why, in a line."""

    measured: str
    verdict: str
    why: str = ""  # where it holds as it stands, the measurement says it all


def judge(holds: bool | np.bool_, under_a_condition: bool | np.bool_ = False) -> str:
    """The verdict: every claim states the comparison that it stands or falls with."""
    return HOLDS if holds else CONDITION if under_a_condition else FAILS


@dataclass(frozen=True)
class Claim:
    """A claim in our own words, where it stands, how it is measured, and the assignment that uses it."""

    id: str
    place: str
    says: str
    measure: Callable[[], Finding]
    course: str
    slow: bool  # takes too long for a test
    needs: str  # a package that is not everywhere

    def finding(self) -> Finding:
        """Measure. Some of the runs are there to overflow, so numpy stays quiet."""
        with np.errstate(all="ignore"):
            return self.measure()


@dataclass
class Chapter:
    """A part of one of the texts, and its claims in the order in which they stand."""

    title: str
    claims: list[Claim] = field(default_factory=list)

    def claim(
        self, id: str, place: str, says: str, course: str = "", slow: bool = False, needs: str = ""
    ) -> Callable[[Callable[[], Finding]], Callable[[], Finding]]:
        """Enter the function below as the measurement of a claim."""

        def enter(measure: Callable[[], Finding]) -> Callable[[], Finding]:
            self.claims.append(Claim(id, place, says, measure, course, slow, needs))
            return measure

        return enter

    def on_record(self, id: str, place: str, says: str, reference: str, why: str, course: str = "") -> None:
        """Enter a date, a credit or an opinion, with a reference from the literature where we know one."""
        known = f"known from the literature: {reference}" if reference else "not checked"
        self.claims.append(
            Claim(id, place, says, lambda: Finding(known, UNMEASURED, why), course, slow=False, needs="")
        )
