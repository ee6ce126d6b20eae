"""Grade a small class, as an instructor does: release, grade, feedback, report, export.

`make demo` runs this. The course is made anew in ``demo/``; the submissions are some of those that the tests use
(`submissions.py`), and each says what it deserves. The exit status is 1 if one was given anything else.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import submissions
from submissions import ASSIGNMENT

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo"
CLASS = {
    "amara": "honest-cs231n",
    "bruno": "honest-cache_class",
    "chen": "wrong-db_not_summed",
    "dalia": "wrong-cs231n_rel_error",
    "emil": "wrong-perturbs_a_copy",
    "fatima": "wrong-half_done",
    "george": "wrong-untouched",
    "hana": "wrong-syntax_error",
    "ivan": "hostile-endless_function",
    "jun": "hostile-memory_list",
    "kofi": "hostile-os_exit",
    "lena": "hostile-deleted_checks",
    "mateo": "hostile-duplicated_check",
    "nadia": "hostile-stripped_metadata",
    "oskar": "hostile-asserts_patched",
    "priya": "malformed-truncated",
    "quentin": "hostile-input_transformer",
}


def main() -> int:
    began = time.perf_counter()
    shutil.rmtree(DEMO, ignore_errors=True)
    shutil.copytree(ROOT / "solutions", DEMO / "solutions")
    shutil.copy(ROOT / "nbgrader_config.py", DEMO)
    print(f"A course in {DEMO}.")
    minigrad("release", ASSIGNMENT)
    corpus = submissions.corpus()
    for student, name in CLASS.items():
        submissions.place(corpus[name], DEMO, student)
    print(f"\n{len(CLASS)} students hand in.")
    minigrad("grade", ASSIGNMENT, "--json", "results.json")
    minigrad("feedback", ASSIGNMENT)
    minigrad("report", ASSIGNMENT)
    minigrad("export", ASSIGNMENT, "--format", "csv", "--output", "grades.csv")
    unfair = compare(corpus)
    print(f"\nClass report   {DEMO / 'reports' / ASSIGNMENT}.html")
    print(f"Feedback       {DEMO / 'feedback'}, a page for each student")
    print(f"Grades         {DEMO / 'gradebook.db'} (nbgrader's) and {DEMO / 'grades.csv'}")
    print(f"{time.perf_counter() - began:.0f} seconds")
    return 1 if unfair else 0


def minigrad(*words: str) -> None:
    """Run the command line in the course, showing what is run."""
    print(f"\n$ minigrad {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "autograder.cli", *words], cwd=DEMO, check=True)


def compare(corpus: dict[str, submissions.Submission]) -> list[str]:
    """Show what was given beside what each submission says that it deserves; returns who was given anything else."""
    rows = json.loads((DEMO / "results.json").read_text(encoding="utf-8"))["submissions"]
    given = {row["student"]: {e["grade_id"]: e for e in row["exercises"]} for row in rows}
    unfair = []
    print(f"\n{'student':<9}{'deserved':>9}{'given':>7}   what was handed in")
    for student, name in CLASS.items():
        exercises = given.get(student, {})
        right = {key: corpus[name].deserved(key, e["max_score"]) for key, e in exercises.items()}
        if not exercises or any(abs(right[key] - e["score"]) > 0.005 for key, e in exercises.items()):
            unfair.append(student)
        score = sum(e["score"] for e in exercises.values())
        print(f"{student:<9}{sum(right.values()):>9.4g}{score:>7.4g}   {corpus[name].about}")
    print(f"Not as deserved: {', '.join(unfair)}." if unfair else "Every score is the deserved one.")
    return unfair


if __name__ == "__main__":
    sys.exit(main())
