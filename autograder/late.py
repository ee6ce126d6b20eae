"""What handing in late costs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class LatePolicy:
    """So many per cent of the points for each day, up to so many; the first days of a student cost nothing.

    Parameters
    ----------
    per_day : float
        Per cent of the points earned, for each day that has begun.
    at_most : float
        The most that lateness can cost, in per cent.
    free_days : int
        Days that each student may be late without losing points, over the whole course.
    """

    per_day: float = 0.0
    at_most: float = 100.0
    free_days: int = 0

    def penalty(self, days: int, points: float) -> float:
        """Points that somebody loses who is so many days late, after free days.

        Examples
        --------
        >>> policy = LatePolicy(per_day=10, at_most=30)
        >>> [policy.penalty(days, 20.0) for days in (0, 1, 2, 5)]
        [0.0, 2.0, 4.0, 6.0]
        """
        return min(round(points * min(days * self.per_day, self.at_most) / 100, 2), points)


@dataclass(frozen=True)
class HandedIn:
    """When a student handed an assignment in, and until when that student could."""

    assignment: str
    at: datetime | None  # where nobody knows, it counts as in time
    due: datetime  # in the zone whose days are counted

    @property
    def days(self) -> int:
        """Days late by the calendar of the course; one that has begun counts.

        A day ends when the clock shows the same time again, also when the clock was put forward or back in between.

        Examples
        --------
        >>> from datetime import UTC
        >>> from zoneinfo import ZoneInfo
        >>> saturday = datetime(2026, 10, 24, 23, 59, 59, tzinfo=ZoneInfo("Europe/Paris"))  # Sunday has 25 hours
        >>> HandedIn("01", datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC), saturday).days
        1
        """
        if self.at is None:
            return 0
        at = self.at.replace(microsecond=0)  # 23:59:59.7 is in time
        days = max(0, (at - self.due).days)
        # By the clock, as days are added to a time in one zone; what is compared is the moment.
        while at > self.due + timedelta(days=days):
            days += 1
        return days


def free_days(policy: LatePolicy, handed_in: Iterable[HandedIn]) -> dict[str, int]:
    """How many free days a student used for each assignment.

    They are used up in the order in which work was handed in, so that what comes later never makes dearer what was
    handed in before.

    Examples
    --------
    >>> from datetime import UTC
    >>> monday = datetime(2026, 3, 2, tzinfo=UTC)
    >>> late = [HandedIn("01", monday + timedelta(days=2), monday), HandedIn("02", monday + timedelta(days=9), monday)]
    >>> free_days(LatePolicy(10, 50, free_days=3), late)
    {'01': 2, '02': 1}
    """
    left = policy.free_days
    used = {}
    # Where the time is not known, `days` is 0 and the place does not matter. Of two at the same moment, which comes
    # first must not depend on when they are due: an extension of one could make the other dearer.
    for work in sorted(handed_in, key=lambda work: (work.at or work.due, work.assignment)):
        used[work.assignment] = min(left, work.days)
        left -= used[work.assignment]
    return used
