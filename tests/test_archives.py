"""Submissions from a zip archive, as a learning platform packs them: nobody's part of it is anybody else's problem."""

import io
import json
import os
import stat
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder import archives, notebook
from autograder.archives import unpacked
from autograder.errors import CourseError

NAME = "01_gradient_checking"
ANN = f"ann/{NAME}/{NAME}.ipynb"
BOB = f"bob/{NAME}/{NAME}.ipynb"

Members = Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def work(of: str) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": of}]}).encode()


def packed(path: Path, members: Members, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that occur twice
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return path


def found(archive: Path, name: str = "") -> dict[str, bytes]:
    """What is unpacked, by path."""
    with unpacked(archive, name) as folder:
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        assert not any(path.is_symlink() for path in paths)
        content = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    assert not folder.exists()
    return content


HONEST = {ANN: work("ann"), BOB: work("bob"), f"ann/{NAME}/timestamp.txt": b"2016-12-19 10:00:00 UTC"}


@pytest.mark.parametrize("above", ["", "submitted/", "export 7/submitted/"])
def test_an_archive_is_read_from_any_depth(tmp_path: Path, above: str) -> None:
    members = [(f"{above}ann/", b""), *((above + name, content) for name, content in HONEST.items())]
    assert found(packed(tmp_path / "a.zip", members)) == HONEST


MOODLE = "Ann Özil_4711_assignsubmission_file"
DOWNLOADS: dict[str, tuple[list[str], dict[str, str]]] = {
    "Canvas": (
        [
            f"özilann_4711_88123_{NAME}.ipynb",
            f"zvibob_LATE_4712_88124_{NAME}-2.ipynb",
            "oneilleve_4713_88125_my homework.ipynb",  # her only notebook
            "oneilleve_4713_88126_photo.jpg",
            "laodan_4714_88127_a.ipynb",  # which of the two?
            "laodan_4714_88128_b.ipynb",
            "zuseira_4715_88129_scan.pdf",
        ],
        {
            "özilann_4711": f"özilann_4711_88123_{NAME}.ipynb",
            "zvibob_LATE_4712": f"zvibob_LATE_4712_88124_{NAME}-2.ipynb",
            "oneilleve_4713": "oneilleve_4713_88125_my homework.ipynb",
            "laodan_4714": "",
            "zuseira_4715": "",
        },
    ),
    "Canvas, of several the one that is called as it should be": (
        [f"özilann_4711_1_{NAME}-1.ipynb", f"özilann_4711_2_{NAME} (3).ipynb", "özilann_4711_3_x.ipynb"],
        {"özilann_4711": f"özilann_4711_2_{NAME} (3).ipynb"},
    ),
    "Moodle": (
        [
            f"{MOODLE}_/{NAME}.ipynb",
            "Ann Özil_4711_assignsubmission_onlinetext_/onlinetext.html",
            "Bob Zvi_4712_assignsubmission_file_/attempt/homework.ipynb",
        ],
        {
            MOODLE: f"{MOODLE}_/{NAME}.ipynb",
            "Bob Zvi_4712_assignsubmission_file": "Bob Zvi_4712_assignsubmission_file_/attempt/homework.ipynb",
        },
    ),
    "Moodle, without folders": ([f"{MOODLE}_{NAME}.ipynb"], {MOODLE: f"{MOODLE}_{NAME}.ipynb"}),
    "Moodle, of late": ([f"{MOODLE}/{NAME} (1).ipynb"], {MOODLE: f"{MOODLE}/{NAME} (1).ipynb"}),
}


@pytest.mark.parametrize(("members", "expected"), DOWNLOADS.values(), ids=DOWNLOADS)
@pytest.mark.parametrize("above", ["", "submissions/"])
def test_a_download_is_read_as_the_platform_packs_it(
    tmp_path: Path, members: list[str], expected: dict[str, str], above: str
) -> None:
    packed(tmp_path / "a.zip", [(above + name, name.encode()) for name in members])
    with unpacked(tmp_path / "a.zip", NAME) as folder:
        paths = {path.name: path / NAME / f"{NAME}.ipynb" for path in folder.iterdir()}
        assert all(path.parent.is_dir() for path in paths.values())  # all have a row
        assert {
            student: path.read_text() if path.exists() else "" for student, path in paths.items()
        } == expected
    with pytest.raises(CourseError, match="holds no submissions"), unpacked(tmp_path / "a.zip"):
        pass  # of which assignment?


def test_in_a_download_nobody_hands_in_for_somebody_else_or_earlier(tmp_path: Path) -> None:
    eve = "Eve Lao_4713_assignsubmission_file_"
    uploaded = [
        "timestamp.txt",
        f"{NAME}/timestamp.txt",
        f"{BOB}",
        f"bob/{NAME}/timestamp.txt",
        f"{MOODLE}_/{NAME}.ipynb",
        f"özilann_4711_88123_{NAME}.ipynb",
        f"../{MOODLE}_/{NAME}.ipynb",
    ]
    members = [(f"{MOODLE}_/{NAME}.ipynb", work("ann")), *((f"{eve}/{name}", b"eve") for name in uploaded)]
    content = found(packed(tmp_path / "a.zip", members), NAME)
    assert content.pop(f"{MOODLE}/{NAME}/{NAME}.ipynb") == work("ann")
    assert [*content] == [f"{eve[:-1]}/{NAME}/{NAME}.ipynb"]
    canvas = [(f"özilann_4711_1_{NAME}.ipynb", work("ann"))]
    canvas += [
        ("laoeve_4713_2_timestamp.txt", b"eve"),
        (f"laoeve_4713_3_özilann_4711_1_{NAME}.ipynb", b"eve"),
    ]
    assert found(packed(tmp_path / "b.zip", canvas), NAME) == {
        f"özilann_4711/{NAME}/{NAME}.ipynb": work("ann"),
        f"laoeve_4713/{NAME}/{NAME}.ipynb": b"eve",
    }


def test_what_else_lies_beside_submissions_changes_nothing(tmp_path: Path) -> None:
    """Files whose names look like Canvas's, above the students' directories or in one."""
    members = [(f"submitted/{name}", content) for name, content in HONEST.items()]
    members += [("grades_2026_03_final.xlsx", b""), (f"submitted/ann/{NAME}/bob_1_2_x.ipynb", b"")]
    assert found(packed(tmp_path / "a.zip", members), NAME) == HONEST


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


OUTSIDE: dict[str, Members] = {
    "above": [(f"../eve/{NAME}/{NAME}.ipynb", b"x"), (f"../../../../tmp/eve/{NAME}/{NAME}.ipynb", b"x")],
    "above, in the middle": [
        (f"eve/../bob/{NAME}/{NAME}.ipynb", b"x"),
        (f"eve/{NAME}/../{NAME}.ipynb", b"x"),
    ],
    "above, on Windows": [(f"..\\eve\\{NAME}\\{NAME}.ipynb", b"x")],
    "from the root": [(f"/eve/{NAME}/{NAME}.ipynb", b"x"), (f"//eve/{NAME}/{NAME}.ipynb", b"x")],
    "from a drive": [(f"C:\\{NAME}\\{NAME}.ipynb", b"x")],
    "other files": [("gradebook.db", b"x"), ("eve/.bashrc", b"x"), (f"eve/{NAME}/numpy.py", b"x")],
    "a link": [(entry(f"eve/{NAME}/{NAME}.ipynb", stat.S_IFLNK | 0o777), f"../../{BOB}".encode())],
    "through a link": [
        (entry("eve", stat.S_IFLNK | 0o777), b"bob"),
        (entry(f"eve/{NAME}", stat.S_IFLNK | 0o777), f"../bob/{NAME}".encode()),
    ],
    "an archive inside": [(f"eve/{NAME}/{NAME}.zip", b"PK\x05\x06" + bytes(18))],
    "somebody else's, in a folder of one's own": [
        (f"eve/{BOB}", work("eve")),
        (f"eve/{NAME}/{BOB}", work("eve")),
        (f"eve/bob/{NAME}/timestamp.txt", b"2016-01-01"),
    ],
    "control characters": [(f"\x1b[2Jeve\x07/{NAME}/{NAME}.ipynb", b"x"), ("eve/\r\n/\r\n.ipynb", b"x")],
    "hidden, and what shells read": [
        (f".ssh/{NAME}/{NAME}.ipynb", b"x"),
        (f"e|v*e/{NAME}/{NAME}.ipynb", b"x"),
    ],
    "a name that no file can have": [
        ("e" * 300 + f"/{NAME}/{NAME}.ipynb", b"x"),
        (f"eve/{'e' * 260}/{'e' * 260}.ipynb", b"x"),
    ],
    "a directory in its place": [(f"eve/{NAME}/{NAME}.ipynb/", b"")],
}


@pytest.mark.parametrize("members", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", ["", NAME])
def test_what_lies_anywhere_else_is_left_out(
    tmp_path: Path, members: Members, first: bool, name: str
) -> None:
    mine, others = list(members), list(HONEST.items())
    archive = packed(tmp_path / "a.zip", mine + others if first else others + mine)
    before = sorted(tmp_path.rglob("*"))
    assert found(archive, name) == HONEST
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_ISUID])
def test_whatever_a_member_claims_to_be_it_becomes_a_file(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path / "a.zip", [(entry(ANN, kind | 0o777), work("ann"))])
    with unpacked(archive) as folder:
        mode = (folder / ANN).lstat().st_mode
    assert stat.S_ISREG(mode)
    assert not mode & (stat.S_ISUID | stat.S_IXUSR)


def test_of_two_under_one_name_the_last_counts(tmp_path: Path) -> None:
    twice = [(ANN, work("draft")), (BOB, work("bob")), (ANN, work("ann"))]
    assert found(packed(tmp_path / "a.zip", twice)) == {ANN: work("ann"), BOB: work("bob")}


def test_upper_and_lower_case_are_two_students(tmp_path: Path) -> None:
    if (tmp_path / "A").mkdir() or (tmp_path / "a").exists():
        pytest.skip("this file system does not tell them apart")
    members = [(ANN, work("ann")), (ANN.replace("ann", "Ann"), work("Ann"))]
    assert len(found(packed(tmp_path / "a.zip", members))) == 2


def spoilt(path: Path, offset: int, value: bytes, central: int | None = None) -> Path:
    """Overwrite something in the local header of the first member, and in its entry at the end."""
    data = bytearray(path.read_bytes())
    data[offset : offset + len(value)] = value
    if central is not None:
        at = data.index(b"PK\x01\x02") + central
        data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


DAMAGED = {
    "encrypted": (6, b"\x01\x00", 8),
    "in a format of the future": (8, b"\x63\x00", 10),
    "of another format": (8, b"\x00\x00", 10),
    "with a wrong sum": (14, b"1234", 16),
    "under another name": (30, b"eve", None),
    "without its beginning": (0, b"XXXX", None),
    "of other bytes": (80, b"\xff" * 8, None),
}


@pytest.mark.parametrize(("offset", "value", "central"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_costs_one_student(
    tmp_path: Path, offset: int, value: bytes, central: int | None, compression: int
) -> None:
    members = [(ANN, os.urandom(500)), (BOB, work("bob"))]
    content = found(spoilt(packed(tmp_path / "a.zip", members, compression), offset, value, central))
    assert content == {ANN: b"", BOB: work("bob")}


BOMBS = {zipfile.ZIP_DEFLATED: 2**23, zipfile.ZIP_BZIP2: 2**28, zipfile.ZIP_LZMA: 2**28}  # read in blocks


@pytest.mark.parametrize(("compression", "memory"), BOMBS.items())
def test_a_bomb_costs_one_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int, memory: int
) -> None:
    monkeypatch.setattr(archives, "MAX_FILE", 2**20)
    monkeypatch.setattr(notebook, "MAX_FILE", 2**20)
    archive = packed(tmp_path / "a.zip", [(ANN, bytes(2**26)), (BOB, work("bob"))], compression)
    tracemalloc.start()
    try:
        with unpacked(archive) as folder:
            _, peak = tracemalloc.get_traced_memory()
            with pytest.raises(notebook.Unreadable, match="MB"):
                notebook.read(folder / ANN)
            assert notebook.read(folder / BOB).cells[0].source == "bob"
    finally:
        tracemalloc.stop()
    assert peak < memory


def test_many_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 2**20)
    members = [(ANN.replace("ann", f"ann{i}"), bytes(2**19)) for i in range(4)]
    with pytest.raises(CourseError, match="GB"), unpacked(packed(tmp_path / "a.zip", members)):
        pass


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    for data in (b"", b"PK", b"Dear Sir or Madam", bytes(2**16), b"PK\x05\x06" + b"\xff" * 18):
        archive.write_bytes(data)
        with pytest.raises(CourseError, match=r"a\.zip"), unpacked(archive):
            pass


WHOLE = io.BytesIO()
with zipfile.ZipFile(WHOLE, "w") as members:
    for member in HONEST.items():
        members.writestr(*member)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_damage_is_refused_or_left_out(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(WHOLE.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        match data.draw(st.sampled_from(["change", "cut", "copy"])):
            case "change":
                whole[at] = data.draw(st.integers(0, 255))
            case "cut":
                del whole[at : at + data.draw(st.integers(1, 40))]
            case "copy":
                whole[at:at] = whole[: data.draw(st.integers(0, 80))]
    archive = tmp_path / "a.zip"
    archive.write_bytes(whole)
    try:
        content = found(archive)
    except CourseError:
        return
    for path in content:
        parts = path.split("/")
        assert len(parts) == 3
        assert parts[2] in (f"{parts[1]}.ipynb", "timestamp.txt")
