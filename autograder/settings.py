"""What an instructor decides about a course: the file ``course.toml`` beside ``solutions/``.

All of it is optional. What is wrong in it is said with the key, the value and what to write instead.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from .errors import CourseError
from .late import LatePolicy
from .roster import Roster, read_roster

FILE = "course.toml"
_WHEN = "write a day (2026-03-02, which ends at 23:59) or a time with its zone (2026-03-02T12:00:00+01:00)"


@dataclass(frozen=True)
class Plan:
    """What is decided about an assignment.

    Moments are in UTC; days are those of `timezone`. `handed_in` has the times that no file tells. `points` has the
    points of exercises and of written answers where they are not those of the source; `readers` are those who read
    the written answers.
    """

    due: datetime | None = None
    extensions: Mapping[str, datetime] = field(default_factory=dict)
    handed_in: Mapping[str, datetime] = field(default_factory=dict)
    weight: float = 1.0
    points: Mapping[str, float] = field(default_factory=dict)
    readers: tuple[str, ...] = ()
    timezone: tzinfo = UTC

    def due_of(self, student: str) -> datetime | None:
        """Until when a student can hand in, in the course's zone: late days are counted from there."""
        due = self.extensions.get(student, self.due)
        return due and due.astimezone(self.timezone)


@dataclass(frozen=True)
class Settings:
    """A course.toml; without one, nothing is decided."""

    timezone: tzinfo = UTC
    roster: Roster | None = None
    late: LatePolicy = field(default_factory=LatePolicy)
    assignments: Mapping[str, Plan] = field(default_factory=dict)

    def plan(self, assignment: str) -> Plan:
        """What is decided about an assignment."""
        return self.assignments.get(assignment, Plan())

    def show(self, moment: datetime) -> str:
        """A moment as people of the course's zone read it."""
        return f"{moment.astimezone(self.timezone):%Y-%m-%d %H:%M %Z}"

    def reader(self, assignment: str, student: str) -> str:
        """Who reads a student's written answers; empty if nobody was named.

        Several readers take turns along the roster, so that whom a student gets does not depend on who hands in.
        """
        readers = self.plan(assignment).readers
        if not readers:
            return ""
        place = list(self.roster.by_id).index(student) if self.roster and student in self.roster.by_id else 0
        return readers[place % len(readers)]

    def closed(self, assignment: str) -> tuple[datetime, str] | None:
        """When the last student's time is over, and who that is; None where nothing is due.

        Free days count: whoever has some may hand in until they are used up.
        """
        plan = self.plan(assignment)
        last = max(plan.extensions, key=plan.extensions.__getitem__, default="")
        who = last if plan.due and last and plan.extensions[last] > plan.due else ""
        due = plan.due_of(who)
        # Days of the calendar, as lateness is counted.
        return None if due is None else (due + timedelta(days=self.late.free_days), who)


def read_settings(root: Path, names: Collection[str]) -> Settings:
    """Read the course.toml of a course.

    Parameters
    ----------
    root : Path
        The course directory.
    names : collection of str
        The assignments that there are.

    Raises
    ------
    CourseError
        If something in it cannot be meant.
    """
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8-sig")  # as Windows writes it
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path} is not TOML: {error}{_line(text, str(error))}") from None
    _known(table, ("timezone", "roster", "late", "assignments"), "")
    zone = _zone(table.get("timezone", "UTC"))
    roster = read_roster(root / _text(table["roster"], "roster")) if "roster" in table else None
    plans = _table(table.get("assignments", {}), "assignments")
    _known(plans, names, "assignments.")
    return Settings(
        zone,
        roster,
        _late(_table(table.get("late", {}), "late")),
        {
            name: _plan(_table(plan, f"assignments.{name}"), name, zone, roster)
            for name, plan in plans.items()
        },
    )


def _line(text: str, error: str) -> str:
    """The line that an error is about, and what is usually wrong in it."""
    found = re.search(r"at line (\d+)", error)
    line = text.splitlines()[int(found[1]) - 1].strip() if found else ""
    usual = "a date is written 2026-03-02, a name with spaces or accents in quotation marks, each table once"
    return f": {line[:100]} ({usual})" if line else ""


def _late(table: dict[str, Any]) -> LatePolicy:
    _known(table, ("per_day", "at_most", "free_days"), "late.")
    days = table.get("free_days", 0)
    if type(days) is not int or not 0 <= days <= 1000:
        raise _wrong("late.free_days", days, "write a whole number of days")
    per_day, at_most = (
        _number(table.get(key, default), f"late.{key}", 100.0)
        for key, default in (("per_day", 0.0), ("at_most", 100.0))
    )
    return LatePolicy(per_day, at_most, days)


def _plan(table: dict[str, Any], name: str, zone: tzinfo, roster: Roster | None) -> Plan:
    where = f"assignments.{name}"
    _known(table, ("due", "extensions", "handed_in", "weight", "points", "readers"), f"{where}.")
    due = _when(table["due"], f"{where}.due", zone) if "due" in table else None
    extensions, handed_in = (_moments(table, key, where, zone, roster) for key in ("extensions", "handed_in"))
    for student, until in extensions.items():
        key = f"{where}.extensions.{student}"
        if due is None:
            raise _wrong(
                key, table["extensions"][student], f"there is nothing to extend: say {where}.due as well"
            )
        if until < due:
            advice = f"that is before the assignment is due, {due.astimezone(zone):%Y-%m-%d %H:%M}"
            raise _wrong(key, table["extensions"][student], advice)
    points = _table(table.get("points", {}), f"{where}.points")
    readers = table.get("readers", [])
    readers = [readers] if isinstance(readers, str) else readers
    if not isinstance(readers, list) or not all(isinstance(reader, str) and reader for reader in readers):
        raise _wrong(f"{where}.readers", readers, 'write names, ["Ines", "Omar"]')
    return Plan(
        due,
        extensions,
        handed_in,
        _number(table.get("weight", 1.0), f"{where}.weight"),
        {key: _number(value, f"{where}.points.{key}") for key, value in points.items()},
        tuple(readers),
        zone,
    )


def _moments(
    table: dict[str, Any], name: str, where: str, zone: tzinfo, roster: Roster | None
) -> dict[str, datetime]:
    """A table with a date for each of some students."""
    found = {}
    for student, value in _table(table.get(name, {}), f"{where}.{name}").items():
        key = f"{where}.{name}.{student}"
        if roster is not None and student not in roster.by_id:
            raise _wrong(key, value, f"there is no such student{_nearest(student, roster.by_id)}")
        found[student] = _when(value, key, zone)
    return found


def _zone(value: Any) -> tzinfo:
    if value == "UTC":
        return UTC
    try:
        return ZoneInfo(_text(value, "timezone"))
    except (OSError, ValueError, KeyError):
        raise _wrong("timezone", value, 'write one as in "Europe/Paris" or "UTC"') from None


def _when(value: Any, key: str, zone: tzinfo) -> datetime:
    """A moment, in UTC; a day means its last second, and a time without a zone is one of the course's zone."""
    if not isinstance(value, date):  # a datetime is one
        raise _wrong(key, value, f"{_WHEN}, without quotation marks" if isinstance(value, str) else _WHEN)
    if not 2000 <= value.year < 3000:
        raise _wrong(key, value, f"look at the year; {_WHEN}")
    moment = value if isinstance(value, datetime) else datetime.combine(value, time(23, 59, 59))
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)


def _number(value: Any, key: str, most: float = 1e6) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= most:
        raise _wrong(key, value, f"write a number from 0 to {most:g}")
    return float(value)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(key, value, "write a text in quotation marks")
    return value


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(
            key, value, f"this is a table: write [{key}] on a line of its own, and what it holds below"
        )
    return value


def _known(table: dict[str, Any], keys: Collection[str], where: str) -> None:
    for key in table:
        if key not in keys:
            there = f"; there are: {', '.join(keys)}" if keys else ""
            raise CourseError(f"{FILE}: there is no {where}{key}{_nearest(key, keys)}{there}")


def _nearest(word: str, words: Collection[str]) -> str:
    found = difflib.get_close_matches(word, list(words), 1)
    return f", did you mean {found[0]}?" if found else ""


def _wrong(key: str, value: Any, advice: str) -> CourseError:
    shown = str(value) if isinstance(value, date) else repr(value)
    return CourseError(f"{FILE}: {key} = {shown[:100]}: {advice}")
