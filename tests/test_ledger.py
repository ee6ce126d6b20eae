"""docs/ledger.md says of every claim what measuring it says."""

import importlib
import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
ledger = importlib.import_module("ledger")
sys.path.remove(str(ROOT / "benchmarks"))

CLAIMS = {claim.id: claim for claims in ledger.parts().values() for claim in claims}
DOCUMENT = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for row in DOCUMENT.splitlines()
    if len(cells := re.split(r" \| ", row.removeprefix("| ").removesuffix(" |"))) == 5 and cells[0] in CLAIMS
}


def verdict_of(row: list[str]) -> str:
    return row[2].split("**")[1]


def test_every_claim_has_one_row():
    ids = [claim.id for claims in ledger.parts().values() for claim in claims]
    assert len(ids) == len(set(ids))
    first_cells = re.findall(r"^\| (P?[\d.]+) \|", DOCUMENT, re.MULTILINE)
    assert first_cells == ids  # no row twice, none left over, all in order


@pytest.mark.parametrize("id", CLAIMS)
def test_the_row_says_what_measuring_says(id: str):
    claim = CLAIMS[id]
    if claim.slow:
        pytest.skip("trains for too long; `make ledger` measures it")
    if claim.needs and importlib.util.find_spec(claim.needs) is None:
        pytest.skip(f"{claim.needs} is not installed")
    finding = claim.finding()
    assert finding.verdict == verdict_of(ROWS[id]), (
        f"{finding.measured}; run `make ledger`, and see whether the reason still fits"
    )
    assert ROWS[id][2] == ledger.verdict_cell(finding)


def test_rows_are_worded_as_they_should():
    for id, (said, measured, verdict, course) in ROWS.items():
        kind = verdict.split("**")[1]
        assert said == ledger.claim_cell(CLAIMS[id])
        assert said.endswith(".")
        assert kind in ledger.VERDICTS
        assert measured
        assert kind == "holds" or verdict.startswith(f"**{kind}**: ") or measured == "not checked", (
            f"{id}: no reason"
        )
        assert re.fullmatch(r"(0\d(, 0\d)*)? *", course), f"{id}: {course!r} is no list of assignments"
        assert max(map(len, ROWS[id])) < 260, f"{id} has a cell that nobody will read"


def test_the_counts_are_those_of_the_rows():
    tally = Counter(verdict_of(row) for row in ROWS.values())
    said = re.search(r"\| all \| (.+) \|", DOCUMENT)
    assert said
    assert [int(n) for n in said[1].split(" | ")] == [
        len(ROWS),
        *(tally[verdict] for verdict in ledger.VERDICTS),
    ]


def test_the_prose_points_at_rows_that_are_there():
    prose = ledger.FAILURES + ledger.OPENING + ledger.READING
    named = re.findall(r"\((\d\.\d+(?:(?:, | to )\d\.\d+)*)\)", prose)
    named += [
        found for claim in ROWS.values() for found in re.findall(r"\((\d\.\d+(?:, \d\.\d+)*)\)", claim[2])
    ]
    assert named
    for group in named:
        assert set(re.split(", | to ", group)) <= CLAIMS.keys()
