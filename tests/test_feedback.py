"""Feedback pages and the CSV: complete, right, and safe with whatever a student wrote."""

import csv
import io
import os
import re
import unicodedata
from html.parser import HTMLParser

import pytest

from autograder.exports import to_csv
from autograder.feedback import OUTCOMES, class_report, clean, points, student_page, write_feedback

NAME = "01_gradient_checking"

# grade_id, title, stretch, points, checks
EXERCISES = [
    ("relative_error", "Relative error", False, 2, ["known values", "both zero", "hidden cases"]),
    (
        "numerical_gradient",
        "A centred numerical gradient",
        False,
        5,
        ["df_dx agrees with the exact gradient", "x is as it was", "second order in h", "hidden cases"],
    ),
    ("affine_forward", "Affine layer, forward", False, 3, ["out has shape (N, M)", "out", "hidden cases"]),
    (
        "affine_backward",
        "Affine layer, backward",
        False,
        6,
        ["dx, dw, db have the shapes of x, w, b", "dx", "dw", "db", "dout is unchanged", "hidden cases"],
    ),
    ("orders", "Measured orders of accuracy", False, 3, ["one-sided slope", "centred slope"]),
    ("bug_hunt", "Which of the five are wrong?", False, 4, ["which", "how"]),
    ("quiz", "Questions", False, 3, ["question 1", "question 2", "question 3"]),
    (
        "gradient_check",
        "Check a random subset",
        True,
        4,
        ["a right gradient", "a wrong gradient", "hidden cases"],
    ),
]
LETTERS = {"p": "passed", "w": "wrong", "r": "raised", "t": "timed out", "n": "not run"}
STUDENTS = {
    "amina": "ppp pppp ppp pppppp pp pp ppp ppp",
    "bao": "ppp pppp ppp pppppp pp pw ppp ppw",
    "chiara": "ppp pwpn ppp ppppwn pp pp pwp nnn",
    "dmitri": "pwn wpwn ppp pwwppn wp ww ppp nnn",
    "elif": "ppp pppp ppp ppppwn pp pw ppw wwn",
    "farid": "ppp wpwn ppp pppppp wp pp ppp nnn",
    "grace": "ppp pppp wnn wnnnnn pp ww wpp nnn",
    "hiro": "ppp tttt ppp pppppp nn nn ppp nnn",
    "ines": "rnn rnnn rnn rnnnnn nn nn www nnn",
    "jonas": "ppp wpwn ppp pppwpn wp pw pww wrn",
    "kofi": "ppp pppp ppp pwpppn pp pp ppp ppp",
    "lena": "pwn pppp ppp pppppp pp pw ppp nnn",
}
MISTAKES = {
    ("numerical_gradient", 0): (
        "one_sided_difference",
        "Your values are what one gets from f(x + h) - f(x). Its error shrinks with h, not with h²: "
        "on which side of x did you not look?",
    ),
    ("numerical_gradient", 1): (
        "x_not_restored",
        "After your loop x differs from what was passed in. What has to happen before the next entry moves?",
    ),
    ("affine_backward", 1): (
        "dx_not_reshaped",
        "Your dx holds the right numbers in the shape (N, D). What shape did x have when it came in?",
    ),
    ("affine_backward", 3): (
        "db_mean",
        "Your db is the mean over the batch. Every example adds b once: what does that make of the gradient?",
    ),
    ("affine_backward", 4): (
        "dout_modified",
        "The caller still needs dout. Make a new array instead of writing into it.",
    ),
}
MESSAGES = {
    "w": "worst at [3, 1]: yours 0.4121, expected 0.2038; relative error 3.4e-01",
    "r": "NotImplementedError: write your code here",
    "t": "no answer after 10 s",
    "n": "waits until the visible checks pass",
    "p": "",
}


def make_exercise(exercise, letters):
    grade_id, title, stretch, most, checks = exercise
    findings = []
    for i, (check, letter) in enumerate(zip(checks, letters, strict=True)):
        name, hint = MISTAKES.get((grade_id, i), (None, "")) if letter == "w" else (None, "")
        message = "relative error 3.1e-10" if letter == "p" and i == 1 else MESSAGES[letter]
        findings.append(
            {
                "check": check,
                "outcome": LETTERS[letter],
                "message": message,
                "misconception": name,
                "hint": hint,
            }
        )
    score = most * letters.count("p") / len(letters)
    return {
        "grade_id": grade_id,
        "title": title,
        "stretch": stretch,
        "score": score,
        "max_score": float(most),
        "findings": findings,
    }


def make_result(student, exercises=(), status="graded", notes=()):
    return {
        "student": student,
        "assignment": NAME,
        "status": status,
        "score": sum(e["score"] for e in exercises),
        "max_score": 30.0,
        "seconds": 1.5,
        "isolation": "namespaces",
        "notes": list(notes),
        "exercises": list(exercises),
    }


def make_class():
    """Fourteen results: right, wrong, slow, untouched, unreadable."""
    results = [
        make_result(student, [make_exercise(e, s) for e, s in zip(EXERCISES, codes.split(), strict=True)])
        for student, codes in STUDENTS.items()
    ]
    results[6]["notes"] = ["The cell affine_forward was missing and was put back from the release."]
    problem = ["The notebook is not JSON: it ends at line 212 in the middle of a string."]
    results.append(make_result("mateo", status="problem", notes=problem))
    results.append(
        make_result("nadia", status="problem", notes=["No file 01_gradient_checking.ipynb was found."])
    )
    return results


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover='alert(3)' </title></style>"
    "<a href='https://evil.example/'>x</a><!-- --></textarea>{{ 7*7 }}{% raw %}&#60;b&#62;]]>"
    "\x1b[31mred\x1b[0m\x1b]8;;https://evil.example/\x07link\x1b]8;;\x07\x00\x07\x08\x7f\x9b2J"
    "\u202egnp.exe\u202c\u2066\u200b\ufeff\U000e0041\ud800\udfff\u2028end"
)


def make_hostile():
    """A result in which every text is hostile, and one of them is a megabyte."""
    result = make_result(HOSTILE, [make_exercise(EXERCISES[3], "wrtnpw")], notes=[HOSTILE, HOSTILE * 5000])
    exercise = result["exercises"][0]
    exercise["grade_id"] = exercise["title"] = HOSTILE
    for finding in exercise["findings"]:
        finding |= {
            "check": HOSTILE,
            "message": HOSTILE + "A" * 10**6,
            "misconception": HOSTILE,
            "hint": HOSTILE,
        }
    return result


class Page(HTMLParser):
    """The tags, attributes and text of a page; what is opened is closed, in order."""

    VOID = frozenset({"meta", "br", "wbr", "img", "link", "input"})
    INLINE = frozenset({"a", "bdi", "code", "small", "span", "strong", "wbr"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], "", []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.text += "" if tag in self.INLINE else "\n"
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        self.text += "" if tag in self.INLINE else "\n"

    def handle_data(self, data):
        self.text += "" if self._open and self._open[-1] == "style" else data

    def get(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def words(text):
    return " ".join(text.split())


def all_pages():
    results = [*make_class(), make_hostile()]
    return [*map(student_page, results), class_report(results, NAME, HOSTILE), class_report([], NAME)]


@pytest.mark.parametrize("html", all_pages())
def test_page_is_self_contained_well_formed_and_accessible(html):
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert not {"script", "img", "iframe", "link", "object", "form", "base"} & set(page.tags)
    assert not [
        a
        for _, a, _ in page.attributes
        if a.startswith("on") or a in ("src", "srcset", "style", "xlink:href")
    ]
    assert all(target.startswith("#") for target in page.get("href"))
    assert "default-src 'none'" in html  # were escaping to fail, the browser would still run and load nothing
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "@media print" in style
    assert "prefers-color-scheme: dark" in style
    # what a reader without a mouse or a screen needs
    assert page.get("lang") == ["en"]
    assert page.tags[: page.tags.index("body")].count("title") == 1
    assert [page.tags.count(tag) for tag in ("h1", "main", "header")] == [1, 1, 1]
    assert page.tags.count("th") == sum(tag == "th" and name == "scope" for tag, name, _ in page.attributes)
    ids = page.get("id")
    assert len(ids) == len(set(ids))
    assert {word for value in page.get("aria-labelledby") for word in value.split()} <= set(ids)
    assert {target[1:] for target in page.get("href")} <= set(ids)
    # nothing invisible
    assert not [c for c in html if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]
    html.encode()


@pytest.mark.parametrize("page", [student_page(make_hostile()), class_report([make_hostile()], NAME)])
def test_hostile_text_is_shown_as_text_and_bounded(page):
    assert len(page) < 100_000
    assert "<script>alert(1)</script>" in Page(page).text
    assert "{{ 7*7 }}" in Page(page).text
    assert "evil.example/'>x" in Page(page).text  # seen, not followed


def test_pages_without_hostile_text_name_no_address():
    for page in [*map(student_page, make_class()), class_report(make_class(), NAME)]:
        assert not re.search(r"https?:|//\w", page)


@pytest.mark.parametrize("result", make_class(), ids=lambda r: r["student"])
def test_student_page_has_every_check_with_its_outcome(result):
    text = words(Page(student_page(result)).text)
    assert f"{points(result['score'])} of 30 points" in text
    for exercise in result["exercises"]:
        start = text.index(
            f"{exercise['title']} {points(exercise['score'])} of {points(exercise['max_score'])} points"
        )
        for finding in exercise["findings"]:
            outcome, message, hint = finding["outcome"], finding["message"], finding["hint"]
            shown = words(f"{OUTCOMES[outcome][0]}{outcome} {finding['check']} {message}")
            start = text.index(shown, start)  # in order
            if hint:
                start = text.index(f"What this looks like {hint}", start)
    for note in result["notes"]:
        assert note in text
    assert ("There is a problem with this submission" in text) == (result["status"] == "problem")
    shown = {f["outcome"] for e in result["exercises"] for f in e["findings"]}
    assert {outcome for outcome, (_, meaning) in OUTCOMES.items() if meaning in text} == shown


def test_core_and_stretch_subtotals_when_there_is_a_stretch_exercise():
    result = make_class()[1]  # bao: 2 of 4 in bug_hunt, 2 of 3 checks of the stretch exercise
    assert "Core 24 of 26, stretch 2.67 of 4" in words(Page(student_page(result)).text)
    result["exercises"].pop()
    assert "Core" not in Page(student_page(result)).text


def test_optional_fields_may_be_missing():
    result = make_class()[3]
    del result["isolation"]
    for exercise in result["exercises"]:
        del exercise["title"], exercise["stretch"]
        for finding in exercise["findings"]:
            del finding["hint"]
            finding["message"] = ""
    page = words(Page(student_page(result)).text)
    assert "affine_backward" in page
    assert (
        f"–not run hidden cases {OUTCOMES['not run'][1]}" in page
    )  # said even where the grader said nothing
    assert "not recorded" in Page(class_report([result], NAME)).text
    assert to_csv([result])


def test_class_report_counts_agree_with_a_slow_count():
    results = make_class()
    html = class_report([*results, make_result("zoe") | {"assignment": "02"}], NAME, "on Monday")
    text = words(Page(html).text)
    assert "Submissions 14 Graded 12 With a problem 2" in text
    assert "zoe" not in text
    assert "on Monday" in text

    scores = sorted(r["score"] for r in results if r["status"] == "graded")
    assert f"Median score {points((scores[5] + scores[6]) / 2)} of 30" in text
    assert f"Mean score {points(sum(scores) / 12)} of 30" in text
    for low in range(0, 30, 3):
        count = sum(low <= s < low + 3 or (low == 27 and s == 30) for s in scores)
        assert f"{low} to {low + 3} points: {count} student" in text

    shares = []
    for grade_id, _, stretch, _, checks in EXERCISES:
        for i, check in enumerate(checks):
            column = [
                codes.split()[[e[0] for e in EXERCISES].index(grade_id)][i] for codes in STUDENTS.values()
            ]
            tried = [letter for letter in column if letter != "n"]
            if set(tried) != {"p"}:
                label = f"{check} {grade_id}{' stretch' * stretch} {tried.count('p')} of {len(tried)}"
                shares.append((stretch, tried.count("p") / len(tried), label))
    shares.sort(key=lambda row: row[:2])
    assert f"the 12 hardest of {len(shares)}" in text
    places = [text.find(label) for *_, label in shares]
    assert -1 not in places[:12]
    assert places[:12] == sorted(places[:12])
    assert set(places[12:]) == {-1}

    counts = []
    for (grade_id, i), (name, hint) in MISTAKES.items():
        who = [
            s
            for s, codes in STUDENTS.items()
            if codes.split()[[e[0] for e in EXERCISES].index(grade_id)][i] == "w"
        ]
        students = f"{len(who)} student{'s' * (len(who) != 1)}"
        assert f"{students} {name} {hint} {', '.join(who)}; in {grade_id}" in text
        counts.append((-len(who), name))
    places = [text.index(name) for _, name in sorted(counts)]
    assert places == sorted(places)

    section = text[text.index("Not finished") : text.index("All students")]
    unfinished = [
        r["student"]
        for r in results
        if r["status"] == "problem" or any(not e["stretch"] and e["score"] == 0 for e in r["exercises"])
    ]
    assert [s for s in sorted(r["student"] for r in results) if s in section] == unfinished
    assert "problem: No file 01_gradient_checking.ipynb was found." in section
    assert "relative_error, numerical_gradient, affine_forward, affine_backward: raised: NotImpl" in section

    for r in results:
        marks = [points(e["score"]) for e in r["exercises"]] or ["–"] * 8
        assert f"{r['student']} {r['status']} {points(r['score'])} {' '.join(marks)}" in text


def test_class_report_of_nothing_says_so():
    assert "no submissions yet" in class_report([], NAME)
    problems = [r for r in make_class() if r["status"] == "problem"]
    assert "Submissions 2 With a problem 2" in words(Page(class_report(problems, NAME)).text)


def test_write_feedback_puts_each_page_in_its_place(tmp_path):
    results = make_class()
    paths = write_feedback(iter(results), tmp_path)
    assert paths == [tmp_path / r["student"] / NAME / f"{NAME}.html" for r in results]
    assert [p.read_text(encoding="utf-8") for p in paths] == [student_page(r) for r in results]
    paths[0].write_text("old")
    assert write_feedback(results[:1], os.fspath(tmp_path)) == paths[:1]
    assert paths[0].read_text(encoding="utf-8") == student_page(results[0])
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(paths)  # nothing temporary is left


def test_write_feedback_keeps_the_old_page_when_writing_fails(tmp_path, monkeypatch):
    (path,) = write_feedback(make_class()[:1], tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_feedback(make_class()[:1], tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "/etc",
        "../x",
        "a\\b",
        "C:",
        "a\0b",
        "a\nb",
        "\ud800",
        "x" * 300,
        "é" * 130,
        "x" * 10**6,
    ],
)
@pytest.mark.parametrize("field", ["student", "assignment"])
def test_write_feedback_refuses_names_that_are_not_one_directory(tmp_path, name, field):
    results = [make_result("ann"), make_result("ann") | {field: name}]
    with pytest.raises(ValueError, match="not usable as the name of one directory: '") as error:
        write_feedback(results, tmp_path)
    assert len(str(error.value)) < 200
    assert list(tmp_path.iterdir()) == []


def test_clean_keeps_what_people_write():
    text = "Zoë\tO'Neil ∂L/∂x\nनमस्ते می‌خواهم שלום 👍🏽"
    assert clean(text) == text
    assert clean(3) == "3"


def test_clean_is_bounded_in_length_and_in_work():
    for text in [
        "a" * 10**7,
        "\x1b]" * 10**6,
        "\x1b[" * 10**6,
        "\x1b[31m" * 10**6,
        "\u202e" * 10**6,
        HOSTILE * 10**4,
    ]:
        assert len(clean(text, limit=100)) <= 100
    assert clean("abc", limit=3) == "abc"
    assert clean("abcd", limit=3) == "ab…"
    assert clean(clean(HOSTILE)) == clean(HOSTILE)


def test_csv_round_trips():
    results = make_class()
    results[0]["notes"] = ['said "hi", left', "two\nlines"]
    header, *rows = csv.reader(io.StringIO(to_csv(results), newline=""))
    assert header[:7] == ["student", "assignment", "status", "score", "max_score", "isolation", "notes"]
    assert header[7:] == [e[0] for e in EXERCISES]
    for row, result in zip(rows, results, strict=True):
        assert row[:3] == [result["student"], NAME, result["status"]]
        assert (float(row[3]), float(row[4])) == (result["score"], 30.0)
        assert row[5:7] == ["namespaces", "; ".join(result["notes"])]
        assert row[7:] == ([str(e["score"]) for e in result["exercises"]] or [""] * 8)


def test_csv_columns_are_the_union_in_order_of_appearance():
    results = [make_result("a", [make_exercise(EXERCISES[i], "ppp")]) for i in (2, 0, 2)]
    header, *rows = csv.reader(io.StringIO(to_csv(results)))
    assert header[7:] == ["affine_forward", "relative_error"]
    assert [row[7:] for row in rows] == [["3.0", ""], ["", "2.0"], ["3.0", ""]]


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", " =", "\t=", "\r=", "\x00=", "\x1b[0m=", "\u202e=", "\ufeff=", "＝"]
)
def test_csv_cells_never_start_a_formula(start):
    evil = start + "cmd|' /C calc'!A0"
    result = make_result(evil, [make_exercise(EXERCISES[0], "ppp")], notes=[evil]) | {"assignment": evil}
    result["exercises"][0]["grade_id"] = evil
    for row in csv.reader(io.StringIO(to_csv([result]), newline="")):
        assert not [cell for cell in row if cell.lstrip()[:1] in tuple("=+-@＝")]
    assert len(list(csv.reader(io.StringIO(to_csv([make_hostile()]), newline="")))) == 2
