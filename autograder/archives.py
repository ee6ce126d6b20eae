"""Submissions from a zip archive, as somebody packed them or as a learning platform gives them for download.

Nobody's part of an archive may be anybody else's problem, or become anybody else's work.
"""

import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import CourseError
from .notebook import MAX_FILE
from .roster import valid_student

MAX_UNPACKED = 4 * 2**30
# How a platform packs all submissions of one assignment: the student, and the file as the student called it.
PLATFORMS = (
    # Moodle: `Amara Okafor_4711_assignsubmission_file_/01_gradient_checking.ipynb`, or the same without the slash.
    re.compile(r"([^/]+?_\d+_assignsubmission_file)_?/?(.+)"),
    # Canvas: `okaforamara_LATE_4711_88123_01_gradient_checking-2.ipynb`; the second number is that of the file.
    re.compile(r"([^/]+?_\d+)_\d+_([^/]+)"),
)
_COPY = re.compile(r"(-\d+| ?\(\d+\))+$")  # what Canvas and browsers put behind the name of a second upload


@dataclass(frozen=True)
class _Member:
    """A file of an archive, and whose it is if the submissions lie in the folder `top`."""

    top: tuple[str, ...]
    student: str
    assignment: str
    file: str
    info: zipfile.ZipInfo


@contextmanager
def unpacked(archive: Path, name: str = "") -> Iterator[Path]:
    """The submissions of a zip archive, in a directory that lasts as long as the context.

    The directory has them as ``STUDENT/NAME/NAME.ipynb``, with ``timestamp.txt`` beside it. So they may lie in the
    archive, in any folder; or, if `name` says of which assignment they are, as Canvas or Moodle pack them: there a
    student's only notebook counts whatever it is called, and somebody who handed in something else has an empty
    directory. A member that cannot be unpacked (encrypted, damaged) is there as an empty file.

    Whose a file is, the outermost folder says that can, and what lies deeper is left out: a student who hands in a
    folder must not hand in for somebody else.

    Raises
    ------
    CourseError
        If it is no archive, holds no submission, or unpacks to more than `MAX_UNPACKED`.
    """
    target = Path(tempfile.mkdtemp(prefix="minigrad-"))
    try:
        try:
            with zipfile.ZipFile(archive) as members:
                _unpack(members, target, name)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise CourseError(f"{archive} cannot be unpacked: {error}") from None
        if not any(target.iterdir()):
            raise CourseError(
                f"{archive} holds no submissions: they are expected as STUDENT/NAME/NAME.ipynb or, where you grade "
                "one assignment, as Canvas and Moodle pack them"
            )
        yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _unpack(members: zipfile.ZipFile, target: Path, name: str) -> None:
    found = [member for info in members.infolist() if (member := _member(info, name))]
    depth = min((len(member.top) for member in found if member.file.endswith(".ipynb")), default=0)
    files: dict[Path, zipfile.ZipInfo] = {}
    others: dict[Path, list[zipfile.ZipInfo]] = {}  # a student's notebooks of another name
    for member in found:
        if len(member.top) == depth:
            folder = target / member.student / member.assignment
            folder.mkdir(parents=True, exist_ok=True)
            if member.file in (f"{member.assignment}.ipynb", "timestamp.txt"):
                files[folder / member.file] = member.info  # of two under one name, the last
            elif member.file.endswith(".ipynb"):
                others.setdefault(folder / f"{name}.ipynb", []).append(member.info)
    for path, notebooks in others.items():
        if len(notebooks) == 1:
            files.setdefault(path, notebooks[0])
    total = 0
    for path, info in files.items():
        total += path.write_bytes(_content(members, info))
        if total > MAX_UNPACKED:
            raise CourseError(f"the archive unpacks to more than {MAX_UNPACKED >> 30} GB")


def _member(info: zipfile.ZipInfo, name: str) -> _Member | None:
    """Whose a file is; None of what is no file, lies outside the archive, or is nobody's."""
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or {"..", "/"} & set(parts):
        return None
    readings = [*_as_downloaded(parts, name, info), *_as_laid_out(parts, info)]
    return min(readings, key=lambda member: len(member.top), default=None)  # of two as deep, the download


def _as_laid_out(parts: tuple[str, ...], info: zipfile.ZipInfo) -> Iterator[_Member]:
    if len(parts) >= 3 and parts[-1] in (f"{parts[-2]}.ipynb", "timestamp.txt"):
        *top, student, assignment, file = parts
        if valid_student(student) and valid_student(assignment):
            yield _Member(tuple(top), student, assignment, file, info)


def _as_downloaded(parts: tuple[str, ...], name: str, info: zipfile.ZipInfo) -> Iterator[_Member]:
    for at in range(len(parts) if name else 0):
        for platform in PLATFORMS:
            found = platform.fullmatch("/".join(parts[at:]))
            if found and valid_student(found[1]):
                path = PurePosixPath(found[2])
                right = path.suffix == ".ipynb" and _COPY.sub("", path.stem) == name
                # Never `timestamp.txt`, which would be believed: everything here is what the student uploaded.
                file = f"{name}.ipynb" if right else f"other{path.suffix}"
                yield _Member(parts[:at], found[1], name, file, info)


def _content(members: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What a member holds, up to a byte more than anybody reads: sizes in an archive's own headers may lie."""
    try:
        with members.open(member) as source:
            return source.read(MAX_FILE + 1)
    except Exception:  # encrypted, or damaged in one of four formats: a problem of this student alone
        return b""
