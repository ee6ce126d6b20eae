"""What a record says: one rule for each cause, which names the first step at which it was to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minigrad.diagnosis import _around as around
from minigrad.diagnosis import _first_step as first_step
from minigrad.diagnosis import _updates as updates
from minigrad.diagnosis._run import Run, judged
from minigrad.diagnosis.finding import FAILURE, Finding, arranged, revived
from minigrad.diagnosis.thresholds import THRESHOLDS
from minigrad.monitor import Record

__all__ = ["diagnose"]

Rule = Callable[[Run], Iterator[Finding]]


def diagnose(record: Record) -> list[Finding]:
    """Say what went wrong in a run.

    Parameters
    ----------
    record : Record
        From a `GradientMonitor`, or of `read_record`. The more it holds, the more can be said: with
        ``facts["data"]`` (of `describe_data`) about the data, with evaluations about test mode, with
        ``facts["preflight"]`` what was proved before.

    Returns
    -------
    list of Finding
        The first failure first, each with its symptoms; then warnings. Empty for a healthy run.

    Notes
    -----
    A learning rate that is far too high may end as a network whose units are all dead, with no gradient anywhere. So
    findings are ordered by the step at which each was first to be seen, and of two at the same step, the one that
    brings about the other comes first. Most rules ask whether the run learns before they speak: a network that does
    its work is not ill because one of its numbers is unusual.

    Examples
    --------
    >>> from minigrad.monitor import GradientMonitor
    >>> monitor, w = GradientMonitor(every=1), np.ones((2, 2))
    >>> for step in range(20):
    ...     monitor.before(step, {"w": w})
    ...     dw, loss = 2 * w, float((w**2).sum())
    ...     w = w + 0.1 * dw
    ...     monitor.after(step, {"w": w}, {"w": dw}, loss)
    >>> [finding.cause for finding in diagnose(monitor.record)]
    ['update against descent']
    """
    run = Run(record)
    before = [finding for found in record.facts.get("preflight", []) for finding in revived(found)]
    findings = [judged(finding, run) for finding in before]
    proved = {finding.cause for finding in findings if finding.level == FAILURE}
    with np.errstate(all="ignore"):
        for rule in RULES:
            findings += [finding for finding in rule(run) if finding.cause not in proved]
    if run.stalls and len(record.losses) > 1 and not any(f.level == FAILURE for f in findings):
        findings.append(_unexplained(run))
    return arranged(findings)


def _unexplained(run: Run) -> Finding:
    """What is left to say of a run that does not get there, when no rule has said why."""
    went = f"The loss went from {run.first_loss:.3g} to {run.last_loss:.3g} in {len(run.record.losses)} steps"
    if run.still_falls > THRESHOLDS["falls"]:
        return Finding(
            "learning rate too low",
            f"{went}, {run.still_falls:.0%} of what was left half way in the second half: it was not done.",
            remedy={"scale_learning_rate": 5.0},
            confidence=0.4,
        )
    return Finding("not learning", f"{went}, and no rule says why.", confidence=0.3)


RULES: tuple[Rule, ...] = (
    around.data,
    around.labels,
    around.held_out,
    around.little_data,
    around.small_batch,
    around.loss,
    updates.not_updated,
    updates.ascent,
    updates.accumulated,
    first_step.dead,
    first_step.initial_size,
    first_step.vanishing,
    first_step.through_time,
    updates.rate,
    updates.spike,
    updates.dropped,
    updates.decay,
    updates.slow,
    updates.nonfinite,
    around.evaluation,
)
