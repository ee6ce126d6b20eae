"""What course.toml decides: who is in the class, until when, what lateness costs, and how points add up."""

import re
import shutil
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import bundle, doctor, flow
from autograder.archives import unpacked
from autograder.course import Course, CourseError
from autograder.exports import course_csv, to_csv
from autograder.feedback import class_report, pack, student_page
from autograder.gradebook import Writer, with_lateness
from autograder.late import HandedIn, LatePolicy, free_days
from autograder.nbgrader_plugin import SaveLatePenalty
from autograder.roster import Person, Roster, read_roster
from autograder.settings import Plan, Settings, read_settings
from autograder.sheet import Sheet

ROOT = Path(__file__).resolve().parents[1]
NAME, OTHER = "01_gradient_checking", "02_sigmoid_saturation"
ROSTER = "id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\nben,Ben,Zvi,\ncem,Cem,Öz,c.oz@example.org\n"
EASTER = datetime(2026, 4, 5, 12, tzinfo=UTC)


def write(tmp_path, text, roster=ROSTER):
    (tmp_path / "course.toml").write_text(text, encoding="utf-8")
    (tmp_path / "roster.csv").write_text(roster, encoding="utf-8")
    return tmp_path


def read(tmp_path, text, roster=ROSTER):
    return read_settings(write(tmp_path, text, roster), [NAME, OTHER])


# -- the file


def test_without_the_file_nothing_is_decided(tmp_path):
    settings = read_settings(tmp_path, [NAME])
    assert settings == Settings()
    assert settings.plan(NAME) == Plan()
    assert settings.closed(NAME) is None
    assert settings.reader(NAME, "ada") == ""


def test_a_day_ends_at_midnight_where_the_course_is(tmp_path):
    text = f"""
        timezone = "Europe/Paris"
        [assignments.{NAME}]
        due = 2026-03-27
        extensions.ada = 2026-03-30
        extensions.ben = 2026-03-28T12:00:00
        extensions.cem = 2026-03-28T12:00:00-05:00
    """
    plan = read(tmp_path, text).plan(NAME)
    assert plan.due == datetime(2026, 3, 27, 22, 59, 59, tzinfo=UTC)
    assert plan.due_of("ada") == datetime(2026, 3, 30, 21, 59, 59, tzinfo=UTC)  # summer time came between
    assert plan.due_of("ben") == datetime(2026, 3, 28, 11, tzinfo=UTC)
    assert plan.due_of("cem") == datetime(2026, 3, 28, 17, tzinfo=UTC)
    assert plan.due_of("dan") == plan.due


WRONG = {
    "tomezone = 1": ["no tomezone", "did you mean timezone?"],
    "due = 1\n]": ["is not TOML", "line 2", ": ] (a date"],
    f"[assignments.{NAME}]\ndue = 2.3.2026": ["line 2", ": due = 2.3.2026 (a date is written 2026-03-02"],
    "[late]\n[late]": ["('late',) twice", "line 2"],
    'timezone = "Paris"': ["timezone = 'Paris'", "Europe/Paris"],
    'timezone = "../../etc/passwd"': ["timezone", "Europe/Paris"],
    "timezone = 2": ["timezone = 2", "quotation marks"],
    'roster = "students.csv"': ["students.csv cannot be read"],
    "late = 10": ["late = 10", "[late]"],
    "late.per_day = nan": ["late.per_day = nan", "from 0 to 100"],
    "late.per_day = true": ["late.per_day = True", "number"],
    "late.per_day = -1": ["late.per_day = -1"],
    "late.at_most = 101": ["late.at_most = 101", "from 0 to 100"],
    "late.free_days = 1.5": ["late.free_days = 1.5", "whole number"],
    "late.free_days = -1": ["late.free_days = -1"],
    "late.freedays = 1": ["no late.freedays", "did you mean free_days?"],
    "assignments.01_gradiant_checking.due = 2026-03-02": [f"did you mean {NAME}?"],
    "assignments.99.due = 2026-03-02": ["no assignments.99", OTHER],
    f"assignments.{NAME} = 2026-03-02": [f"assignments.{NAME} = 2026-03-02", "table"],
    f"assignments.{NAME}.deu = 2026-03-02": ["deu, did you mean due?"],
    f'assignments.{NAME}.due = "2026-03-02"': [
        "due = '2026-03-02'",
        "2026-03-02T12:00",
        "without quotation marks",
    ],
    f"assignments.{NAME}.due = 12:00:00": ["2026-03-02T12:00"],
    f"assignments.{NAME}.due = 0026-03-02": ["0026-03-02", "look at the year"],
    f"assignments.{NAME}.extensions.ada = 2026-03-02": ["extensions.ada", f"say assignments.{NAME}.due"],
    f"assignments.{NAME}.weight = inf": ["weight = inf", "number"],
    f'assignments.{NAME}.points.affine = "8"': ["points.affine = '8'", "number"],
    f"assignments.{NAME}.readers = [1]": ["readers = [1]", "names"],
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_what_to_do(tmp_path, text):
    with pytest.raises(CourseError) as error:
        read(tmp_path, text)
    for words in ["course.toml" if "roster" not in text else "roster", *WRONG[text]]:
        assert words in str(error.value)


def test_an_extension_is_for_somebody_and_longer(tmp_path):
    plan = f'roster = "roster.csv"\n[assignments.{NAME}]\ndue = 2026-03-02\nextensions.'
    with pytest.raises(CourseError, match=r"extensions.bne = .*no such student, did you mean ben\?"):
        read(tmp_path, f"{plan}bne = 2026-03-03")
    with pytest.raises(CourseError, match=r"extensions.ben = 2026-03-01: .*before .* due, 2026-03-02 23:59"):
        read(tmp_path, f"{plan}ben = 2026-03-01")


def test_the_example_of_the_guide_can_be_read(tmp_path):
    guide = (ROOT / "docs" / "instructor.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"(?ms)^```toml\n(.*?)^```", guide)
    (roster,) = re.findall(r"(?ms)^```\n(id,.*?)^```", guide)
    write(tmp_path, text.replace("../roster.csv", "roster.csv"), roster)
    shutil.copytree(ROOT / "solutions" / NAME, tmp_path / "solutions" / NAME)
    course = Course(tmp_path)
    assert course.settings.late.free_days
    assert course.settings.plan(NAME).extensions
    course.assignment(NAME)  # the points are those of exercises that there are


# -- who


@pytest.fixture
def roster(tmp_path):
    return read_roster(write(tmp_path, "") / "roster.csv")


def test_everybody_is_found_under_the_names_that_platforms_use(roster):
    for person in roster.people:
        first, last = person.first_name, person.last_name
        names = [
            person.id,
            person.id.upper(),
            f"{first} {last}",
            f"{last}, {first}",
            f"{last}{first}".lower(),
        ]
        names += [person.email] * bool(person.email)
        for name in names:
            for suffix in ("", "_4711_88123", "_LATE_4711_88123", "_4711_assignsubmission_file_"):
                assert roster.match(name + suffix) == person, name + suffix
    assert roster.match("Cem Oz").id == "cem"  # accents get lost
    assert roster.match("c.oz").id == "cem"


@pytest.mark.parametrize("name", ["", "Lovelace", "ada2", "adaben", "@example.org", "_1_2"])
def test_nobody_else_is(roster, name):
    assert roster.match(name) is None


def test_a_name_that_two_bear_is_neither_s():
    roster = Roster((Person("k1", "Kim", "Lee"), Person("k2", "Lee", "Kim"), Person("kimlee", "A", "B")))
    assert roster.match("Kim Lee") is None
    assert roster.match("k1").id == "k1"
    assert roster.match("kimlee").id == "kimlee"


def test_of_two_with_a_name_the_number_of_canvas_decides():
    roster = Roster((Person("4711", "Kim", "Lee"), Person("4712", "Kim", "Lee"), Person("4713", "Ada", "Oz")))
    assert roster.match("leekim_4711_88").id == "4711"
    assert roster.match("leekim_LATE_4712_89").id == "4712"
    assert roster.match("leekim_5_6") is None
    assert roster.match("leekim_4713_88") is None  # a number alone is nobody: it may be one of another list
    assert roster.match("zvi_4711_88") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no column 'id' \(its columns: none\)"),
        ("name;phone\nada;x\n", r"no column 'id' \(its columns: name, phone\)"),
        ("id,name\nada,Ada\n\nada,Bob\n", "line 4: the id 'ada' is that of Ada already"),
        (
            "ID Number,name\n,Ada Lovelace\n",
            r"line 2: '' cannot be the id of Ada Lovelace \(column 'ID Number'\)",
        ),
        ("id,email\n,x@example.org\n", "line 2: '' cannot be the id of a student"),
        ("id\n../ada\n", "line 2: '../ada' cannot be the id"),
        ('id,name\nada,"Lovelace\nben,Zvi\n', "line 3, cannot be read: unexpected end"),
    ],
)
def test_a_roster_that_cannot_be_used_says_where(tmp_path, text, said):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match=said):
        read_roster(tmp_path / "roster.csv")


ADA, CEM = Person("ada", "Ada", "Lovelace", "ada@example.org"), Person("cem", "Cem", "Öz")
EXPORTS = {
    "a spreadsheet": (
        "\ufeffLast Name;ID;Group\nÖz;cem;3\n;;\n;ada;\n",
        (Person("cem", "", "Öz"), Person("ada")),
    ),
    "a registrar": (
        "\nSTUDENT ID\tNAME\tEMAIL ADDRESS\nada\tLovelace, Ada\tada@example.org\t\t\n\ncem\tCem Öz\n",
        (ADA, CEM),
    ),
    "two sections": (
        "id,name,email,section\nada,Ada Lovelace,ada@example.org,1\nada,Ada Lovelace,ada@example.org,2\n",
        (ADA,),
    ),
    "Canvas": (
        "\ufeffStudent,ID,SIS Login ID,Section,01 (991)\n,,,,Manual Posting\n    Points Possible,,,,30.0\n"
        '"Lovelace, Ada",4711,ada,"A, B",N/A\n"Öz, Cem",4712,cem,A,29.0\n"Student, Test",4999,,A,\n',
        (Person("4711", "Ada", "Lovelace"), Person("4712", "Cem", "Öz")),
    ),
    "Canvas, names apart": (
        "LastName,FirstName,ID,SIS Login ID\n    Points Possible,,,,,\nLovelace,Ada,4711,ada\nStudent,Test,4999,\n",
        (Person("4711", "Ada", "Lovelace"),),
    ),
    "Moodle": (
        '\ufeff"First name","Last name","ID number","Email address",Groups\r\n'
        'Ada,Lovelace,ada,ada@example.org,"A, B"\r\nCem,Öz,cem,,\r\n',
        (ADA, CEM),
    ),
    "Moodle, without ids": (
        "First name,Surname,Email address\nAda,Lovelace,ada@example.org\n",
        (Person("ada@example.org", "Ada", "Lovelace", "ada@example.org"),),
    ),
}


@pytest.mark.parametrize(("text", "people"), EXPORTS.values(), ids=EXPORTS)
def test_a_roster_as_it_is_exported(tmp_path, text, people):
    (tmp_path / "roster.csv").write_bytes(text.encode())
    assert read_roster(tmp_path / "roster.csv").people == people


def test_a_roster_of_another_encoding_says_what_to_do(tmp_path):
    (tmp_path / "roster.csv").write_bytes("id\nÖz".encode("latin-1"))
    with pytest.raises(CourseError, match="not UTF-8: save it as 'CSV UTF-8'"):
        read_roster(tmp_path / "roster.csv")


def test_directories_are_students(tmp_path):
    write(tmp_path, 'roster = "roster.csv"')
    for name in ("Ada Lovelace_47_assignsubmission_file_", "lovelaceada_9_9", "ben", "Ben Zvi", "dan"):
        (tmp_path / "submitted" / name / NAME).mkdir(parents=True)
    found = {s.student: s.path.parent.parent.name for s in Course(tmp_path).submissions(NAME)}
    assert found == {
        "ada": "Ada Lovelace_47_assignsubmission_file_",
        "lovelaceada_9_9": "lovelaceada_9_9",  # a second one is not thrown away, and not graded in her name
        "ben": "ben",
        "Ben Zvi": "Ben Zvi",
        "dan": "dan",
    }
    assert flow.folders(Course(tmp_path), NAME) == found
    (tmp_path / "course.toml").unlink()
    assert {s.student for s in Course(tmp_path).submissions(NAME)} == set(found.values())


def test_doctor_says_that_there_is_no_such_exercise(tmp_path):
    shutil.copytree(ROOT / "solutions" / NAME, tmp_path / "solutions" / NAME)
    write(tmp_path, f"assignments.{NAME}.points.afine = 2")
    with pytest.raises(CourseError, match=r"no assignments.*points.afine"):
        list(doctor._settings(Course(tmp_path)))


def test_the_file_may_come_from_windows(tmp_path):
    (tmp_path / "course.toml").write_bytes(b"\xef\xbb\xbflate.free_days = 2\r\n")
    assert read_settings(tmp_path, [NAME]).late.free_days == 2


def test_doctor_says_who_is_not_on_the_roster(tmp_path):
    write(tmp_path, 'roster = "roster.csv"')
    for folder in (f"solutions/{NAME}", f"submitted/ada/{NAME}", f"submitted/Ben Zvi/{NAME}"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "solutions" / NAME / f"{NAME}.ipynb").touch()
    assert [f.ok for f in doctor._settings(Course(tmp_path))] == [True, True]
    (tmp_path / "submitted" / "dan" / NAME).mkdir(parents=True)
    *_, roster = doctor._settings(Course(tmp_path))
    assert (roster.ok, roster.seen) == (False, "3 students; not on it: dan")


def test_an_archive_keeps_the_times(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for member in (
            f"top/ada/{NAME}/{NAME}.ipynb",
            f"top/ada/{NAME}/timestamp.txt",
            f"top/ada/{NAME}/x.txt",
        ):
            archive.writestr(member, "2026-03-02 12:00:00 UTC")
    with unpacked(tmp_path / "all.zip") as folder:
        assert sorted(path.name for path in folder.rglob("*.*")) == [f"{NAME}.ipynb", "timestamp.txt"]


# -- lateness

policies = st.builds(
    LatePolicy,
    per_day=st.floats(0, 100),
    at_most=st.floats(0, 100),
    free_days=st.integers(0, 5),
)
hours = st.integers(-100, 300)
classes = st.lists(st.tuples(hours, st.floats(0, 100)), min_size=1, max_size=5)


def work(handed_in):
    """Assignments that are due one a day; each with the hours after that, and the points."""
    return [
        HandedIn(f"{i:02}", EASTER + timedelta(days=i, hours=late), EASTER + timedelta(days=i))
        for i, (late, _) in enumerate(handed_in)
    ]


def scores(policy, handed_in, works=None):
    works = works or work(handed_in)
    free = free_days(policy, works)
    return [
        points - policy.penalty(w.days - free[w.assignment], float(points))
        for w, (_, points) in zip(works, handed_in, strict=True)
    ]


@given(policies, classes)
def test_a_penalty_is_never_more_than_there_is(policy, handed_in):
    for score, (late, points) in zip(scores(policy, handed_in), handed_in, strict=True):
        assert 0 <= score <= points
        assert score >= points * (1 - policy.at_most / 100) - 0.00501  # rounded to a hundredth
        if late <= 0:
            assert score == points


@given(policies, classes, st.data())
def test_later_is_never_better(policy, handed_in, data):
    which = data.draw(st.integers(0, len(handed_in) - 1))
    late, points = handed_in[which]
    later = [*handed_in]
    later[which] = (late + data.draw(st.integers(0, 100)), points)
    assert scores(policy, later)[which] <= scores(policy, handed_in)[which]


@given(policies, classes, st.data())
def test_an_extension_never_lowers_a_score(policy, handed_in, data):
    which = data.draw(st.integers(0, len(handed_in) - 1))
    works = work(handed_in)
    longer = timedelta(hours=data.draw(st.integers(0, 200)))
    extended = [*works]
    extended[which] = HandedIn(works[which].assignment, works[which].at, works[which].due + longer)
    before, after = scores(policy, handed_in, works), scores(policy, handed_in, extended)
    assert all(new >= old for old, new in zip(before, after, strict=True))


def test_an_extension_costs_nothing_elsewhere_even_at_the_same_moment():
    """Whose free day it is must not depend on the dates: found by the test above."""
    policy, first = LatePolicy(10, 100, free_days=1), HandedIn("01", EASTER, EASTER - timedelta(days=1))
    for due in (EASTER - timedelta(days=2), EASTER - timedelta(hours=1)):
        assert free_days(policy, [first, HandedIn("02", EASTER, due)])["01"] == 1


@given(policies, classes)
def test_what_comes_later_changes_nothing_handed_in_before(policy, handed_in):
    works = sorted(work(handed_in), key=lambda w: w.at)
    free = free_days(policy, works)
    for i in range(len(works)):
        if len({w.at for w in works}) == len(works):
            assert free_days(policy, works[:i]) == {w.assignment: free[w.assignment] for w in works[:i]}
    assert sum(free.values()) == min(policy.free_days, sum(w.days for w in works))


def test_a_day_that_has_begun_counts():
    for seconds, days in ((-1, 0), (0, 0), (0.9, 0), (1, 1), (86400, 1), (86401, 2)):
        assert HandedIn("01", EASTER + timedelta(seconds=seconds), EASTER).days == days
    assert HandedIn("01", None, EASTER).days == 0


PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize("sunday", [date(2026, 3, 29), date(2026, 10, 25)])  # of 23 hours, and of 25
@pytest.mark.parametrize("due_at", [time(23, 59, 59), time(12), time(2, 30)])
@pytest.mark.parametrize("before", [0, 1])
def test_days_are_those_of_the_calendar(sunday, due_at, before):
    due = datetime.combine(sunday - timedelta(days=before), due_at, PARIS)
    for days in (1, 2, 3):
        end = (due + timedelta(days=days)).astimezone(UTC)  # what the clock on the wall says
        for seconds, late in ((0, days), (1, days + 1)):
            assert HandedIn("01", end + timedelta(seconds=seconds), due).days == late
    assert HandedIn("01", due.astimezone(UTC), due).days == 0
    assert HandedIn("01", due.astimezone(UTC) + timedelta(seconds=1), due).days == 1


def test_free_days_end_at_midnight_too(tmp_path):
    text = f'timezone = "Europe/Paris"\nlate.free_days = 2\nassignments.{NAME}.due = 2026-03-28'
    settings = read(tmp_path, text)
    assert settings.show(settings.closed(NAME)[0]) == "2026-03-30 23:59 CEST"
    at = datetime(2026, 3, 30, 21, 59, 59, tzinfo=UTC)
    assert HandedIn(NAME, at, settings.plan(NAME).due_of("ada")).days == 2


# -- in the gradebook


def row(student, score=10.0):
    exercise = {
        "grade_id": "check_affine",
        "title": "Affine",
        "stretch": False,
        "score": score,
        "max_score": 10.0,
    }
    about = {"student": student, "assignment": NAME, "status": "graded", "score": score, "max_score": 10.0}
    rest = {"seconds": 0.1, "isolation": "namespaces", "notes": []}
    return {**about, **rest, "exercises": [{**exercise, "version": "1", "findings": []}]}


TOML = f"""
timezone = "Europe/Paris"
roster = "roster.csv"
late = {{ per_day = 10, at_most = 50, free_days = 1 }}
[assignments.{NAME}]
due = 2026-03-02
readers = ["Ines", "Omar"]
extensions.ben = 2026-03-04
"""
TIMES = {"ada": "2026-03-05 10:00:00 UTC", "ben": "2026-03-05 10:00:00 UTC", "cem": None}


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    """Ada three days late, Ben one, thanks to his extension; of Cem nobody knows when."""
    course = Course(write(tmp_path_factory.mktemp("classroom"), TOML))
    (course.root / "solutions" / NAME).mkdir(parents=True)
    shutil.copy(Course(ROOT).source(NAME), course.source(NAME).parent)
    with Writer(course) as writer:
        writer.book.add_assignment(NAME)
        writer.book.add_notebook(NAME, NAME)
        for cell, points, kind in (("check_affine", 10, "code"), ("written_answer", 4, "markdown")):
            writer.book.add_grade_cell(cell, NAME, NAME, max_score=points, cell_type=kind)
        writer.book.add_solution_cell("written_answer", NAME, NAME)
        record(writer)
    return course


@pytest.fixture
def course(classroom, tmp_path):
    shutil.copytree(classroom.root, tmp_path, dirs_exist_ok=True)
    return Course(tmp_path)


def words(page):
    return " ".join(re.sub(r"<[^>]*>", "", page).split())


def record(writer):
    writer.enter_roster()
    for student, at in TIMES.items():
        writer.record(row(student), at)
    writer.schedule(NAME)


def stored(course):
    """What nbgrader has of each student: seconds late, score and penalty."""
    with Writer(course) as writer:
        found = {student: writer.book.find_submission(NAME, student) for student in TIMES}
        return {k: (s.total_seconds_late, s.score, s.late_submission_penalty) for k, s in found.items()}


def test_nbgrader_has_the_same_dates_and_penalties(course):
    late = 2 * 86400 + 11 * 3600 + 1  # 23:59:59 in Paris to 11:00
    assert stored(course) == {"ada": (late, 10, 2), "ben": (late - 2 * 86400, 10, 0), "cem": (0, 10, 0)}
    rows = {r["student"]: r for r in with_lateness(course, NAME, [row(s) for s in TIMES])}
    assert {s: r["score"] for s, r in rows.items()} == {"ada": 8, "ben": 10, "cem": 10}
    assert rows["ada"]["late"] == {
        "due": "2026-03-02 23:59 CET",
        "handed_in": "2026-03-05 11:00 CET",
        "days": 3,
        "free_days": 1,
        "penalty": 2.0,
    }
    assert rows["ben"]["late"]["free_days"] == 1
    with Writer(course) as writer:
        people = {s.id: (s.first_name, s.last_name, s.email) for s in writer.book.students}
    assert people["cem"] == ("Cem", "Öz", "c.oz@example.org")


def test_points_comments_and_late_days_survive_a_second_run(course):
    with Writer(course) as writer:
        grade = writer.book.find_grade("written_answer", NAME, NAME, "ada")
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 3, 1, False
        writer.book.find_comment("written_answer", NAME, NAME, "ada").manual_comment = "Neat."
        writer.book.db.commit()
        record(writer)
    before = stored(course)
    assert before["ada"][1:] == (14, 2.8)
    with Writer(course) as writer:
        for student in TIMES:
            writer.record(row(student))  # from an archive that has lost the times
        comment = writer.book.find_comment("written_answer", NAME, NAME, "ada").manual_comment
    assert stored(course) == before
    assert comment == "Neat."
    (ada,) = [r for r in flow.as_they_count(course, NAME, [row("ada")])]
    assert (ada["score"], ada["max_score"]) == (11.2, 14)


def test_an_extension_that_is_granted_later_counts_at_once(course):
    write(course.root, TOML + "extensions.ada = 2026-03-05")
    course = Course(course.root)
    assert with_lateness(course, NAME, [row("ada")])[0]["score"] == 10
    assert stored(course)["ada"] == (0, 10, 0)
    write(course.root, TOML.replace("due = 2026-03-02", "").replace("extensions.ben = 2026-03-04", ""))
    with Writer(Course(course.root)) as writer:
        writer.schedule(NAME)
    assert stored(course) == dict.fromkeys(TIMES, (0, 10, 0))


def test_a_time_that_no_file_tells_can_be_written_down(course):
    write(course.root, TOML + "handed_in.ada = 2026-03-03\nhanded_in.cem = 2026-03-10")
    course = Course(course.root)
    with Writer(course) as writer:
        writer.record(row("cem"))
    assert stored(course)["cem"][2] == 5
    rows = with_lateness(course, NAME, [row(s) for s in TIMES])
    assert [(r["score"], r["late"]["days"]) for r in rows] == [(10, 1), (10, 1), (5, 8)]
    days = {student: seconds / 86400 for student, (seconds, *_) in stored(course).items()}
    assert (days["ada"], days["cem"]) == (1, 8)


def test_stock_autograde_takes_off_the_same(course, monkeypatch):
    write(course.root, TOML.replace("per_day = 10", "per_day = 20"))
    monkeypatch.chdir(course.root)
    resources = {"nbgrader": {"assignment": NAME, "student": "ada"}}
    SaveLatePenalty().preprocess(nbformat.v4.new_notebook(), resources)
    assert stored(course)["ada"][2] == 4


def test_dates_that_nbgrader_was_told_stay_where_the_file_says_nothing(course):
    (course.root / "course.toml").unlink()
    with Writer(Course(course.root)) as writer:
        writer.schedule(NAME)
        writer.record(row("ada"))
    assert stored(course)["ada"][2] == 2


def test_everybody_is_in_the_report_and_knows_who_reads(course):
    write(course.root, TOML, ROSTER + "dan,Dan,Brown,dan@example.org\neva,Eva,,\n")
    course = Course(course.root)
    for student in ("ada", "ben", "zoe"):
        path = course.autograded(student, NAME)
        path.parent.mkdir(parents=True)
        path.write_text(
            nbformat.writes(nbformat.v4.new_notebook(metadata={"minigrad": {"row": row(student)}}))
        )
    rows = {r["student"]: r for r in flow.stored_rows(course, NAME)}
    assert {s: r["status"] for s, r in rows.items()} == {
        **dict.fromkeys(("ada", "ben", "zoe"), "graded"),
        **dict.fromkeys(("cem", "dan", "eva"), "missing"),
    }
    assert rows["dan"]["person"]["name"] == "Dan Brown"
    assert rows["zoe"]["person"] is None
    waits = {s: e["waits"] for s, r in rows.items() for e in r["exercises"] if e.get("waits")}
    assert waits == {"ada": "Ines", "ben": "Omar"}
    page = words(class_report(rows.values(), NAME))
    silent = "Cem Öz c.oz@example.org, Dan Brown dan@example.org, Eva"
    assert f"Write to {silent}: nothing was handed in." in page
    assert "Read 1 written answer (Omar): Ben Zvi." in page
    assert "zoe 10 not on the roster" in page
    assert "Ada Lovelace ada graded 8" in page
    assert "3 days, −2" in page
    assert "Free days used: 1. 2 points were taken off." in student_page(rows["ada"])
    titles, ada, *_ = to_csv(rows.values()).splitlines()
    assert titles.endswith(",check_affine,written_answer,days_late,free_days,penalty")
    assert ada.endswith(",10.0,0.0,3,1,2.0")
    table = course_csv(rows.values(), {NAME: 1}).splitlines()
    assert table[1] == "ada,Ada Lovelace,ada@example.org,8.0,57.14"
    assert table[4] == "dan,Dan Brown,dan@example.org,0.0,0.0"


def test_a_roster_that_comes_late_makes_nobody_two(course):
    for student in ("Ada Lovelace", "ada", "ben"):
        path = course.autograded(student, NAME)
        path.parent.mkdir(parents=True)
        path.write_text(
            nbformat.writes(nbformat.v4.new_notebook(metadata={"minigrad": {"row": row(student)}}))
        )
    assert "Ada Lovelace" in [r["student"] for r in flow.stored_rows(course, NAME)]
    (course.root / "submitted" / "Ada Lovelace" / NAME).mkdir(parents=True)
    assert [r["student"] for r in flow.stored_rows(course, NAME)] == ["ada", "ben", "cem"]


def test_a_report_has_names_and_tells_two_of_one_name_apart():
    people = {"k1": "Kim Lee", "k2": "Kim Lee", "a1": "Ada Oz", "x1": None}
    rows = [{**row(s, 0.0), "person": name and {"name": name, "email": ""}} for s, name in people.items()]
    rows[1]["status"] = "problem"
    page = words(class_report(rows, NAME))
    assert "Talk to Ada Oz, Kim Lee (k1), x1: handed in" in page
    assert "Write to Kim Lee (k2): the notebook cannot be read." in page
    assert "Ada Oz a1 graded 0 0 Kim Lee (k1) graded 0" in page


@pytest.mark.parametrize(("students", "whom"), [(["ada", "cem"], "cem"), (["cem"], "everybody")])
def test_times_that_nobody_knows_are_asked_for(course, students, whom):
    rows = flow.as_they_count(course, NAME, [row(student) for student in students])
    assert f"Find out when {whom} handed in" in words(class_report(rows, NAME))


def test_readers_take_turns_along_the_roster(course):
    assert [course.settings.reader(NAME, who) for who in ("ada", "ben", "cem", "zoe")] == [
        "Ines",
        "Omar",
        "Ines",
        "Ines",
    ]


# -- when solutions may be seen


def test_a_solution_waits_for_the_last_extension(course, monkeypatch):
    released = []
    monkeypatch.setattr(flow, "release", lambda *_: released.append("released") or 1 / 0)
    last = datetime(2026, 3, 5, 22, 59, 59, tzinfo=UTC)  # Ben's extension, and a free day
    with pytest.raises(
        CourseError, match=r"not published before 2026-03-05 23:59 CET: .*extension of ben and 1 free day"
    ):
        flow.solutions(course, NAME, last)
    assert not released
    with pytest.raises(ZeroDivisionError):
        flow.solutions(course, NAME, last + timedelta(seconds=1))
    write(course.root, f"[assignments.{NAME}]\ndue = 2126-03-02")
    with pytest.raises(CourseError, match=r"before 2126-03-02 23:59 UTC: .*the date on which it is due, in"):
        flow.solutions(Course(course.root), NAME)


def test_damaged_seeds_are_named(tmp_path):
    seed = Course(tmp_path).hidden_seed(NAME)
    assert Course(tmp_path).hidden_seed(NAME) == seed
    (tmp_path / "hidden_seeds.json").write_text("{")
    with pytest.raises(CourseError, match=r"hidden_seeds\.json is damaged: put a copy back"):
        Course(tmp_path).hidden_seed(NAME)


# -- points


def test_points_are_those_of_the_file_wherever_they_are_read(tmp_path):
    shutil.copytree(ROOT / "solutions" / NAME, tmp_path / "solutions" / NAME)
    write(tmp_path, f"assignments.{NAME}.points = {{ affine_backward = 8, written_answer = 4 }}")
    course = Course(tmp_path)
    assignment = course.assignment(NAME)
    cell = assignment.checks()["check_affine_backward"]
    assert assignment.sheet(cell).points == 8
    released = nbformat.read(flow.release(course, NAME), as_version=4)
    marks = {
        c.metadata.nbgrader.grade_id: c.metadata.nbgrader for c in released.cells if "nbgrader" in c.metadata
    }
    assert (marks["check_affine_backward"].points, marks["written_answer"].points) == (8, 4)
    with Writer(course) as writer:
        assert writer.knows(assignment)
    sheets = bundle.bundle_files(tmp_path, NAME)
    sheet = Sheet.from_bytes(sheets["autograder/exercises/sheets/affine_backward.sheet"])
    assert sheet.points == 8
    before = course.fingerprint(NAME)
    write(tmp_path, f"assignments.{NAME}.points = {{ affine_backward = 8, written_answer = 5 }}")
    with Writer(Course(tmp_path)) as writer:
        assert not writer.knows(Course(tmp_path).assignment(NAME))
    write(tmp_path, f"assignments.{NAME}.points = {{ affine_backward = 7 }}")
    assert Course(tmp_path).fingerprint(NAME) != before
    write(tmp_path, f"assignments.{NAME}.points = {{ affine_bakward = 8 }}")
    with pytest.raises(
        CourseError, match=r"points.affine_bakward; there are: relative_error, .*written_answer"
    ):
        Course(tmp_path).assignment(NAME)


def test_weights_add_up():
    core = {"grade_id": "a", "score": 0.0, "max_score": 10.0}
    points = {("ada", "01"): 10.0, ("ada", "02"): 0.0, ("ben", "02"): 5.0}
    results = [
        {"student": s, "assignment": a, "score": p, "max_score": 10.0, "exercises": [core]}
        for (s, a), p in points.items()
    ]
    assert [line.split(",")[-1] for line in course_csv(results, {"01": 3, "02": 1}).splitlines()] == [
        "total",
        "75.0",
        "12.5",
    ]
    assert course_csv(results, {"01": 0, "02": 0}).splitlines()[1].endswith(",")


def test_feedback_is_packed_in_the_folders_that_it_came_in(tmp_path):
    page = tmp_path / f"{NAME}.html"
    page.write_text("page")
    folders = ("Ada Lovelace_47_assignsubmission_file_", "ben", "özcem_LATE_4711_88123")
    pack(dict.fromkeys(folders, page), tmp_path / "up" / "load.zip")
    with zipfile.ZipFile(tmp_path / "up" / "load.zip") as archive:
        assert archive.namelist() == [
            f"Ada Lovelace_47_assignsubmission_file_/{NAME}.html",
            f"ben/{NAME}.html",
            f"özcem_LATE_4711_88123_{NAME}.html",  # Canvas reads the name of the file
        ]
    with pytest.raises(ValueError, match="not usable"):
        pack({"../x": page}, tmp_path / "up" / "load.zip")
    assert [path.name for path in (tmp_path / "up").iterdir()] == ["load.zip"]
