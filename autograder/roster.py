"""Who is in the class: a CSV file, and the names under which a learning platform hands in their work."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CourseError

if TYPE_CHECKING:
    import _csv

# The titles of columns, without spaces and in lower case, under which registrars, Canvas and Moodle export them.
# Of several, the first counts.
COLUMNS = {
    "id": ("id", "studentid", "idnumber", "username", "loginid", "sisloginid", "email", "emailaddress"),
    "first_name": ("firstname", "givenname"),
    "last_name": ("lastname", "surname", "familyname"),
    "name": ("student", "name", "fullname", "studentname"),
    "email": ("email", "emailaddress", "mail"),
}
NOBODY = ("Points Possible", "Test Student")  # lines of a Canvas gradebook
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
        name may be an e-mail address, what stands before its @, or both names in either order. Of two who bear the
        same name, Canvas's number decides, if the roster has it as the id.

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
        suffix = _SUFFIX.search(name)
        plain = name[: suffix.start()] if suffix else name
        people = self._by_key.get(_key(name)) or self._by_key.get(_key(plain), [])
        if len(people) > 1 and suffix:
            people = [person for person in people if person.id in suffix[0].split("_")]
        return people[0] if len(people) == 1 else None

    @cached_property
    def _by_key(self) -> dict[str, list[Person]]:
        owners: dict[str, list[Person]] = {}
        for person in self.people:
            for key in set(_keys(person)) - {""}:
                owners.setdefault(key, []).append(person)
        return owners


def read_roster(path: Path) -> Roster:
    """Read a roster: a CSV file with a column ``id``, and ``first_name``, ``last_name``, ``email`` where known.

    Columns may have the names that Canvas, Moodle and registrars give them (`COLUMNS`), in any order and among others;
    a ``name`` may be both names in one, as `Amara Okafor` or `Okafor, Amara`.

    Raises
    ------
    CourseError
        If it cannot be read, has no column for the id, or a line of it has an id that is missing, not usable, or
        somebody else's.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CourseError(f"the roster {path} is not UTF-8: save it as 'CSV UTF-8'") from None
    except OSError as error:
        raise CourseError(f"the roster {path} cannot be read: {error.strerror}") from None
    text = text.lstrip("\n")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return Roster(tuple(_people(path, lines)))
    except csv.Error as error:  # a quotation mark that is not closed would swallow all that follow
        raise CourseError(f"the roster {path}, line {lines.line_num}, cannot be read: {error}") from None


def _people(path: Path, lines: "_csv.Reader") -> Iterable[Person]:
    header = next(lines, [])
    titles = [re.sub(r"[\W_]", "", title.lower()) for title in header]
    places = {
        column: titles.index(found[0])
        for column, names in COLUMNS.items()
        if (found := [name for name in names if name in titles])
    }
    if "id" not in places:
        raise CourseError(
            f"the roster {path} has no column 'id' (its columns: {', '.join(header) or 'none'}). "
            "Its first line names the columns: id, first_name, last_name, email"
        )
    people: dict[str, Person] = {}
    for fields in lines:
        person = _person({c: fields[at].strip() for c, at in places.items() if at < len(fields)})
        if person in (Person(""), people.get(person.id)) or person.name in NOBODY:
            continue  # an empty line, or one that is there twice: in two sections, for instance
        where = f"the roster {path}, line {lines.line_num}"
        if not valid_student(person.id):
            column = header[places["id"]].strip()
            raise CourseError(
                f"{where}: {person.id!r} cannot be the id of {person.name or 'a student'} (column {column!r}): "
                "an id is also the name of a directory"
            )
        if person.id in people:
            raise CourseError(f"{where}: the id {person.id!r} is that of {people[person.id].name} already")
        people[person.id] = person
    return people.values()


def _person(given: Mapping[str, str]) -> Person:
    name = given.get("name", "")
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.rpartition(" ")
    return Person(
        given.get("id", ""),
        given.get("first_name", first.strip()),
        given.get("last_name", last.strip()),
        given.get("email", ""),
    )


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
