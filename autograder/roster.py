"""Who is in the class: a CSV file, and the names under which a learning platform hands in their work."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .errors import CourseError

COLUMNS = ("id", "first_name", "last_name", "email")
# What Canvas and Moodle put behind a student's name: `okaforamara_LATE_4711_88123`,
# `Amara Okafor_4711_assignsubmission_file_`.
_SUFFIX = re.compile(r"(_LATE)?(_\d+)+(_assignsubmission_file_?)?$")


@dataclass(frozen=True)
class Person:
    """A student, as nbgrader's gradebook knows one."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""

    @property
    def name(self) -> str:
        """First and last name, or the id of somebody who has none."""
        return f"{self.first_name} {self.last_name}".strip() or self.id


@dataclass(frozen=True)
class Roster:
    """The students of a course, in the order of the file."""

    people: tuple[Person, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Person]:
        """The students by id."""
        return {person.id: person for person in self.people}

    def match(self, name: str) -> Person | None:
        """The student whose work lies under a name; None if it is nobody's, or could be that of several.

        The id counts first. Then upper and lower case, accents, spaces and punctuation do not matter, and the
        name may be an e-mail address, what stands before its @, or both names in either order.

        Examples
        --------
        >>> roster = Roster((Person("ao1", "Amara", "Okafor", "amara@example.org"), Person("cw2", "Chen", "Wei")))
        >>> [roster.match(name).id for name in ("ao1", "okaforamara_LATE_4711_88123", "WEI, Chen")]
        ['ao1', 'ao1', 'cw2']
        >>> roster.match("chen") is None
        True
        """
        if name in self.by_id:
            return self.by_id[name]
        return self._by_key.get(_key(name)) or self._by_key.get(_key(_SUFFIX.sub("", name)))

    @cached_property
    def _by_key(self) -> dict[str, Person]:
        owners = [(key, person) for person in self.people for key in set(_keys(person))]
        shared = Counter(key for key, _ in owners)
        return {key: person for key, person in owners if key and shared[key] == 1}


def read_roster(path: Path) -> Roster:
    """Read a roster: a CSV file with a column ``id``, and ``first_name``, ``last_name``, ``email`` where known.

    Raises
    ------
    CourseError
        If it cannot be read, has no column ``id``, or a line of it has an id that is missing, not usable, or taken.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise CourseError(f"the roster {path} cannot be read: {reason}") from None
    head = text.partition("\n")[0]
    lines = csv.reader(text.splitlines(), delimiter=";" if ";" in head and "," not in head else ",")
    header = [title.strip().lower().replace(" ", "_") for title in next(lines, [])]
    if "id" not in header:
        raise CourseError(
            f"the roster {path} has no column 'id' (its columns: {', '.join(header) or 'none'}). "
            f"Its first line names the columns: {', '.join(COLUMNS)}"
        )
    people: dict[str, Person] = {}
    for fields in lines:
        if not any(field.strip() for field in fields):
            continue
        where = f"the roster {path}, line {lines.line_num}"
        given = {title: field.strip() for title, field in zip(header, fields, strict=False)}
        person = Person(**{column: given.get(column, "") for column in COLUMNS})
        if not valid_student(person.id):
            raise CourseError(
                f"{where}: {person.id!r} cannot be an id, which is also the name of a directory"
            )
        if person.id in people:
            raise CourseError(f"{where}: the id {person.id!r} is that of {people[person.id].name} already")
        people[person.id] = person
    return Roster(tuple(people.values()))


def valid_student(name: str) -> bool:
    """Whether a name can be that of a directory and of a student in the gradebook."""
    fits = 0 < len(name.encode("utf-8", "surrogatepass")) <= 240  # room for a suffix in a file's name
    return fits and name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:*?"<>|')


def _keys(person: Person) -> Iterator[str]:
    yield _key(person.id)
    yield _key(person.email)
    yield _key(person.email.partition("@")[0])
    if person.first_name and person.last_name:
        yield _key(person.first_name + person.last_name)
        yield _key(person.last_name + person.first_name)


def _key(name: str) -> str:
    """A name without what platforms change in it."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if letter.isalnum())
