"""A verdict: what was checked, what was seen, and the points, as a notebook, a terminal and nbgrader show it."""

import html
from collections.abc import Iterator
from dataclasses import dataclass, field

PASSED, WRONG, RAISED, TIMED_OUT, NOT_RUN = "passed", "wrong", "raised", "timed out", "not run"


@dataclass
class Finding:
    """One line of a verdict.

    `check` says what was checked, `message` what was seen, `hint` what to look at where the mistake was
    recognised as the `misconception` of that id. `earned` of `weight` counts towards the points.
    """

    check: str
    outcome: str
    message: str = ""
    misconception: str | None = None
    hint: str = ""
    weight: float = 1.0
    hidden: bool = False

    @property
    def earned(self) -> float:
        """The weight if the check passed, else nothing."""
        return self.weight if self.outcome == PASSED else 0.0


@dataclass
class Report:
    """The verdict on one exercise.

    In a notebook it shows as a table; its plain text is its score, a number from 0 to `points`, which is how
    nbgrader reads partial credit. `text()` is the whole verdict in plain text.
    """

    name: str
    title: str
    points: float
    findings: list[Finding] = field(default_factory=list)
    stretch: bool = False

    @property
    def score(self) -> float:
        """Points earned: the share of the weights of the checks that passed."""
        total = sum(finding.weight for finding in self.findings)
        share = sum(finding.earned for finding in self.findings) / total if total else 0.0
        return round(self.points * share, 2)

    def __repr__(self) -> str:
        return f"{self.score:g}"

    def __float__(self) -> float:
        return float(self.score)

    def text(self) -> str:
        """The verdict, a line or two for each check."""
        lines = [f"{self.name:<60} {self.score:g} of {self.points:g} points"]
        for finding, texts in self._told_once():
            word = "ok" if finding.outcome == PASSED else finding.outcome
            lines.append(f"  {word:<10} {finding.check}")
            lines += [f"             {text}" for text in texts]
        return "\n".join(lines)

    def _told_once(self) -> Iterator[tuple[Finding, list[str]]]:
        """Each finding with its message and hint, leaving out what the line before has just said."""
        before: list[str] = []
        for finding in self.findings:
            texts = [text for text in (finding.message, finding.hint) if text]
            yield finding, [text for text in texts if text not in before]
            before = texts or before

    def _repr_html_(self) -> str:
        rows = []
        for finding, texts in self._told_once():
            ok = finding.outcome == PASSED
            seen = "".join(f"<div style='margin-top:.2em'>{html.escape(text)}</div>" for text in texts)
            rows.append(
                "<tr style='background:none'>"
                f"<td style='text-align:left;white-space:nowrap;vertical-align:top;"
                f"font-weight:{'normal' if ok else 'bold'}'>{'✓ ok' if ok else '✗ ' + finding.outcome}</td>"
                f"<td style='text-align:left'>{html.escape(finding.check)}{seen}</td></tr>"
            )
        done = self.score >= self.points
        return (
            f"<div style='border-left:4px solid {'#009E73' if done else '#D55E00'};padding-left:.8em'>"
            f"<strong>{html.escape(self.name)}</strong>: {self.score:g} of {self.points:g} points"
            f"<table style='margin:.3em 0 0 0'>{''.join(rows)}</table></div>"
        )
