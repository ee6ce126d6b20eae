"""The ledger: every claim of the two source texts, measured or derived, and what became of it.

    make ledger                          writes docs/ledger.md, in about a minute
    python benchmarks/ledger.py 3.34     measures some claims, and prints them

The texts are Andrej Karpathy's post "Yes you should understand backprop" (2016) and an interactive lesson of the same
name that was built on it. A claim is a function in `benchmarks/claims`: it measures, and its verdict follows from the
numbers by a comparison that stands beside them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the matrices are small

import re
import sys
import time
from collections import Counter
from pathlib import Path

from claims import (
    chapter0,
    chapter1,
    chapter1_listings,
    chapter2,
    chapter2_remedies,
    chapter3_depth,
    chapter3_remedies,
    chapter3_time,
    chapter4,
    chapter4_effects,
    chapter5,
    chapter6,
    chapter6_autograd,
    chapter7,
    post_layers,
    post_signals,
)
from claims.claim import UNMEASURED, VERDICTS, Claim, Finding

LEDGER = Path(__file__).resolve().parents[1] / "docs" / "ledger.md"

MODULES = (
    post_layers,
    post_signals,
    chapter0,
    chapter1,
    chapter1_listings,
    chapter2,
    chapter2_remedies,
    chapter3_depth,
    chapter3_remedies,
    chapter3_time,
    chapter4,
    chapter4_effects,
    chapter5,
    chapter6,
    chapter6_autograd,
    chapter7,
)

Row = tuple[Claim, Finding]


def number(claim: Claim) -> int:
    """The place of a claim in its part: 12 for "3.12" and for "P12"."""
    return int(claim.id.lstrip("P").split(".")[-1])


def parts() -> dict[str, list[Claim]]:
    """The claims of each part, by its title; a long part has more than one file."""
    found: dict[str, list[Claim]] = {}
    for module in MODULES:
        found.setdefault(module.CHAPTER.title, []).extend(module.CHAPTER.claims)
    return {title: sorted(claims, key=number) for title, claims in found.items()}


OPENING = """\
# The ledger

This course grew out of two texts: Andrej Karpathy's post "Yes you should understand backprop" (2016), and an
interactive lesson of the same name that was built on it. Both say true and useful things, and both print
numbers. Before the course repeats one, it is measured or derived. This is the list: a row for each claim, in
our words.

All of it is written by `make ledger`, from fixed seeds. A verdict is not an opinion: each row is a function
in `benchmarks/claims` that measures, and states the comparison which decides. If you doubt a row, change the
function and run it again: `python benchmarks/ledger.py 3.34`.
"""

FAILURES = """\
## What failed, and what it teaches

**A printed table that cannot be right** (1.18). A network of five sigmoid layers ends in a matrix whose
gradient is said to have a norm of 0.891. Each of its 1000 entries is a sum over 32 examples of an activation,
and activations without training are near 1/2. So each entry is near 16, and the norm near 16 · √1000 = 506.
You can refuse the table without a computer. **A mean that is too small** (1.15): 0.0156 is given for the
slope of saturated sigmoids, where the units that are *not* saturated already contribute {bound:.3f}; the mean
is {mean:.4f}. **A chain that vanishes in the wrong place** (3.34 to 3.37), which is the next section. **A
table of symptoms** (0.7 to 0.11), of whose five rows {trap} as it stands: a threshold on an absolute norm has
the units of the loss, and a healthy run has loud steps too. The same quantity has up to four thresholds in
one text (3.11, 5.6, 6.3, 6.12). **Remedies that were not tried**: a bias of 0.01 wakes no dead unit and saves
none (2.19, 2.20), clipping leaves the ratio between layers as it was (0.6), scaling the loss in float16 makes
explosions worse (7.1), a leak of 0.01 brings nobody back after a long step (2.11). **Sentences that need a
condition**: "a dead unit never recovers" is about first layers (2.2), 0.25 to the power of the depth bounds
the slopes and not the gradient (1.5, 1.8), and the largest singular value of a recurrent matrix bounds what
its eigenvalues decide (3.14).

## Why the weight gradients of a ReLU chain are alike

The lesson prints, for ten ReLU layers without biases, weight gradients that fall 25-fold from layer to layer.
They cannot. A ReLU is positively homogeneous: relu(c z) = c relu(z) for c > 0. So the output is multiplied by
c when *any one* of the matrices is. With the sum of the outputs as the loss, L(c W_l) = c L(W_l) for every
layer l. Differentiate by c, at c = 1 (Euler's theorem):

> ⟨W_l, dL/dW_l⟩ = L, the same number in every layer, whatever the scale of the weights.

By the inequality of Cauchy and Schwarz no layer's gradient can then be smaller than L/|W_l|, and the |W_l| are
alike.

Another way to see it: dL/dW_l is the outer product of the gradient that comes from above and the activation
that comes from below. The one has been through the matrices above W_l, the other through those below.
Together they have been through all matrices but one, and all have the same scale. Where weights are small,
*all* weight gradients are small, and alike. What falls from layer to layer is the gradient of the
pre-activations, and that is what to look at (3.37). Biases end the argument, and so does any activation that
is not homogeneous: with sigmoids, weight gradients do fall (1.20).
"""

READING = """\
## How to read it

- **holds**: as it stands. **holds with a condition**: true where the reason says, and not elsewhere. **does
  not hold**: the measurement says otherwise. **cannot be measured**: who said what, and when, or an opinion;
  checked against the literature where we know a reference, and marked "not checked" where we do not.
- Numbers are those of one machine and one choice of seeds. The comparisons leave room for others.
- *In* names the assignments that build on the row. "Assignment 03" in a measurement is the run that fails
  there.
- Both texts lost lists and lines of code in the copies that we have. What is lost is not judged, and where a
  line was rebuilt the row says so.
"""


def measured(claims: list[Claim]) -> list[Row]:
    """Measure them all."""
    rows = []
    for claim in claims:
        began = time.perf_counter()
        rows.append((claim, claim.finding()))
        if time.perf_counter() - began > 5:
            print(f"{claim.id}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return rows


def cell(text: str) -> str:
    """A text that does not end its cell, with per cents as the course writes them."""
    text = re.sub(r"(\d)%", r"\1 %", re.sub(r"\b0e\+00\b", "0", text))
    return text.replace("|", "\\|")


def claim_cell(claim: Claim) -> str:
    """Where it stands, and what it says."""
    return cell(f"*{claim.place}.* {claim.says}")


def verdict_cell(finding: Finding) -> str:
    """The verdict, and why."""
    return cell(f"**{finding.verdict}**" + (f": {finding.why}" if finding.why else ""))


def line(claim: Claim, finding: Finding) -> str:
    """A row of the ledger."""
    cells = claim.id, claim_cell(claim), cell(finding.measured), verdict_cell(finding), claim.course
    return f"| {' | '.join(cells)} |"


def counts(sections: dict[str, list[Row]]) -> list[str]:
    """How many claims of each part have which verdict."""
    lines = [f"| | claims | {' | '.join(VERDICTS)} |", "|---|--:|" + "--:|" * len(VERDICTS)]
    everything = {**sections, "all": [row for rows in sections.values() for row in rows]}
    for title, rows in everything.items():
        tally = Counter(finding.verdict for _, finding in rows)
        lines.append(f"| {title} | {len(rows)} | {' | '.join(str(tally[verdict]) for verdict in VERDICTS)} |")
    return lines


def summary(rows: list[Row]) -> str:
    """The counts in a sentence."""
    tally = Counter(finding.verdict for _, finding in rows)
    unmeasured = [finding for _, finding in rows if finding.verdict == UNMEASURED]
    known = [finding for finding in unmeasured if finding.measured != "not checked"]
    against = sum(finding.why.startswith("disagrees") for finding in known)
    return (
        f"**{len(rows)} claims: {tally['holds']} hold, {tally['holds with a condition']} hold with a condition, "
        f"{tally['does not hold']} do not hold, {tally[UNMEASURED]} cannot be measured.** Of those last, the "
        f"literature agrees with {len(known) - against} and disagrees, at least in part, with {against}; "
        f"{len(unmeasured) - len(known)} were not checked."
    )


def render(sections: dict[str, list[Row]]) -> str:
    """The whole document."""
    rows = [row for each in sections.values() for row in each]
    table = [finding for claim, finding in rows if claim.place.startswith("symptom table")]
    held = sum(finding.verdict == "holds" for finding in table)
    failures = FAILURES.format(
        bound=0.1585 * 0.1966,
        mean=chapter1_listings.mean_slope(5.0),
        trap="one holds" if held == 1 else f"{held} hold",
    )
    lines = [OPENING, summary(rows), "", *counts(sections), "", failures, READING]
    for title, each in sections.items():
        lines += [f"## {title}", "", "| | Claim | Measured | Verdict | In |", "|---|---|---|---|---|"]
        lines += [line(claim, finding) for claim, finding in each]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main(ids: list[str]) -> None:
    """Write the ledger, or print some of its rows."""
    if ids:
        for claims in parts().values():
            for claim in claims:
                if claim.id in ids:
                    print(line(claim, claim.finding()))
        return
    began = time.perf_counter()
    LEDGER.write_text(
        render({title: measured(claims) for title, claims in parts().items()}), encoding="utf-8"
    )
    print(f"{LEDGER.name} written in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
