"""What a diagnosis consists of: causes, and the evidence for one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CAUSES", "FAILURE", "WARNING", "Cause", "Finding"]

FAILURE, WARNING = "failure", "warning"


@dataclass(frozen=True)
class Cause:
    """Something that can be wrong with a run.

    Parameters
    ----------
    advice : str
        What to do about it.
    explains : tuple of str
        Causes that are nothing but its symptoms, if they are found no earlier.
    """

    advice: str
    explains: tuple[str, ...] = ()


_BLOWN_UP = (
    "learning rate too high",
    "saturated activations",
    "loss not finite for large scores",
    "diverged",
)
_STUCK = ("learning rate too low", "vanishing gradient", "not learning")
_UNITS = ("dead units at the start", "units killed by an update")

# In the order in which one thing brings about another: data, loss, code, initial weights, updates, what becomes of
# them. Of two causes that are there at the same step, the first of this table is named first.
CAUSES: dict[str, Cause] = {
    "data not finite": Cause(
        "Drop or fill in what is missing before training.",
        ("evaluation in training mode", "parameters not updated", *_UNITS, *_BLOWN_UP, *_STUCK),
    ),
    "parameters not finite": Cause(
        "Look at how this parameter was drawn, or loaded.",
        (
            "wrong gradient",
            "evaluation in training mode",
            "parameters not updated",
            "initial weights too large",
            "dropout too strong",
            *_UNITS,
            *_BLOWN_UP,
            *_STUCK,
        ),
    ),
    "labels shifted": Cause(
        "Move the labels back beside their inputs.",
        ("labels do not follow from inputs", "noisy labels", "too little data", *_STUCK),
    ),
    "only one class": Cause(
        "Look at how the labels were read, and how the rows were chosen.", ("held-out data differ", *_STUCK)
    ),
    "held-out data differ": Cause(
        "Prepare held-out data exactly as the training data: the same means and deviations, the same order of rows and "
        "classes.",
        ("too little data",),
    ),
    "inputs not standardized": Cause(
        "Subtract the mean of each feature and divide by its deviation, both of the training data.",
        ("constant feature", "initial weights too large", *_UNITS, *_BLOWN_UP, *_STUCK, "too little data"),
    ),
    "constant feature": Cause(
        "Drop the feature, or subtract its mean: as it is, it is a bias many times as large as the inputs.",
        ("initial weights too large", *_UNITS, *_BLOWN_UP, *_STUCK, "too little data"),
    ),
    "targets out of reach": Cause(
        "Leave the output without an activation, or bring the targets into its range.",
        ("saturated activations", "initial weights too large", *_STUCK),
    ),
    "wrong gradient": Cause(
        "Check this layer's backward pass on its own.",
        (*_UNITS, *_BLOWN_UP, *_STUCK, "gradients accumulate", "no non-linearity"),
    ),
    "loss does not fit the task": Cause(
        "Use a loss that is least where the right answer is: for classes, the cross-entropy of the softmax.",
        (*_UNITS, *_BLOWN_UP, *_STUCK, "too little data", "labels do not follow from inputs", "noisy labels"),
    ),
    "softmax applied twice": Cause(
        "Hand the scores themselves to the loss, which applies the softmax.", ("over-regularized", *_STUCK)
    ),
    "loss without gradient for large errors": Cause(
        "Use the Huber loss: clip the gradient, not the error.", (*_STUCK, "targets out of reach")
    ),
    "loss summed over the batch": Cause(
        "Divide loss and gradient by the number of examples.", (*_UNITS, *_BLOWN_UP, *_STUCK)
    ),
    "loss not finite for large scores": Cause(
        "Subtract the largest score before exp, and compute the logarithm of the softmax in one step.",
        ("initial weights too large", "learning rate too high", *_UNITS, "diverged", *_STUCK),
    ),
    "parameters not updated": Cause(
        "Hand all parameters to the optimizer, with a learning rate above zero.", _STUCK
    ),
    "update against descent": Cause(
        "Subtract the gradient; do not add it.",
        (*_UNITS, *_BLOWN_UP, *_STUCK, "over-regularized", "gradients accumulate"),
    ),
    "gradients accumulate": Cause(
        "Set the gradients to zero before each backward pass.", (*_UNITS, *_BLOWN_UP, *_STUCK)
    ),
    "symmetric weights": Cause(
        "Draw the weights at random: units that start equal get equal gradients for ever.",
        (*_STUCK, *_UNITS, "initial weights too small", "vanishing through time"),
    ),
    "dropout too strong": Cause(
        "Keep more of the units: what is dropped is noise, and it drowns what the inputs say.",
        ("initial weights too large", *_UNITS, *_BLOWN_UP, *_STUCK, "over-regularized", "too little data"),
    ),
    "batch too small to normalize": Cause(
        "Normalize larger batches, or each example by itself, as layer normalization does.",
        (*_UNITS, *_BLOWN_UP, *_STUCK, "evaluation in training mode", "too little data"),
    ),
    "initial weights too large": Cause(
        "Use He (ReLU) or Xavier (tanh) weights, or normalize between the layers.",
        (*_UNITS, *_BLOWN_UP, *_STUCK, "exploding through time"),
    ),
    "initial weights too small": Cause(
        "Use He (ReLU) or Xavier (tanh) weights, or normalize between the layers.", (*_UNITS, *_STUCK)
    ),
    "dead units at the start": Cause(
        "Start the biases at zero or a little above, and center the inputs.",
        ("units killed by an update", *_STUCK),
    ),
    "exploding through time": Cause(
        "Start the recurrent weights orthogonal, with a spectral radius of about 1; clip the gradient norm.",
        ("saturated activations", "learning rate too high", *_STUCK),
    ),
    "vanishing through time": Cause(
        "Start the recurrent weights orthogonal, or use an LSTM or a GRU.", ("saturated activations", *_STUCK)
    ),
    "saturated activations": Cause(
        "Use smaller weights in front of this layer, or normalize.", ("vanishing gradient", *_STUCK)
    ),
    "vanishing gradient": Cause(
        "Take ReLU or tanh in place of the sigmoid, or a gain of 4; normalize, or add residual paths.",
        ("learning rate too low", "not learning"),
    ),
    "no non-linearity": Cause("Put an activation between the layers: together they are one.", _STUCK),
    "over-regularized": Cause(
        "Reduce the weight decay: it shrinks the weights faster than they learn.", _STUCK
    ),
    "learning rate spike": Cause(
        "Remove the jump of the learning rate, or clip the gradient norm.", (*_UNITS, *_BLOWN_UP, *_STUCK)
    ),
    "labels do not follow from inputs": Cause(
        "Look at a few examples with their labels, and whether both were shuffled in the same order.",
        ("noisy labels", "too little data", "learning rate too high", *_STUCK),
    ),
    "noisy labels": Cause(
        "Clean the labels, or average over more of them.",
        ("too little data", "learning rate too high", *_STUCK),
    ),
    "learning rate too high": Cause(
        "Reduce the learning rate.", (*_UNITS, *_BLOWN_UP, *_STUCK, "exploding through time")
    ),
    "units killed by an update": Cause(
        "Reduce the learning rate, warm it up, or clip the gradient norm.", ("diverged", *_STUCK)
    ),
    "evaluation in training mode": Cause(
        "Switch to test mode before evaluating.", ("too little data", "running statistics not updated")
    ),
    "running statistics not updated": Cause(
        "Let training update the running mean and variance: their momentum must be below 1.",
        ("too little data",),
    ),
    "learning rate too low": Cause("Raise the learning rate, or train for longer.", ("not learning",)),
    "imbalanced classes": Cause(
        "Weigh the rare classes more, or draw them more often; report the recall of each.",
        ("too little data",),
    ),
    "too little data": Cause(
        "Collect or augment data; a smaller or more regularized network only helps a little."
    ),
    "diverged": Cause("Look for the first array that is not finite."),
    "not learning": Cause("Try a ten times higher and a ten times lower learning rate."),
}
_RANK = {cause: rank for rank, cause in enumerate(CAUSES)}


@dataclass
class Finding:
    """Something that is wrong, and how one can tell.

    Parameters
    ----------
    cause : str
        One of `CAUSES`.
    evidence : str
        A sentence with the numbers.
    step : int
        Where it was first to be seen; 0 for what was wrong before training.
    layer : str or None
        Where, if it is not everywhere.
    remedy : dict
        What to change, as data: ``{"scale_learning_rate": 0.1}``.
    confidence : float
        From 0 to 1: near 1 for what was proved by a test of its own, less for what was concluded.
    level : {"failure", "warning"}
        A warning is worth knowing, and may well be harmless.
    symptoms : list of Finding
        What it explains.
    """

    cause: str
    evidence: str
    step: int = 0
    layer: str | None = None
    remedy: dict[str, Any] = field(default_factory=dict)
    confidence: float = 0.8
    level: str = FAILURE
    symptoms: list[Finding] = field(default_factory=list)

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence."""
        return CAUSES[self.cause].advice

    def __str__(self) -> str:
        where = f" in {self.layer}" if self.layer else ""
        head = f"{self.level}: {self.cause}{where}, from step {self.step}"
        lines = [head, f"  {self.evidence}", f"  {self.advice}"]
        lines += [f"  symptom: {each.cause} (step {each.step}): {each.evidence}" for each in self.symptoms]
        return "\n".join(lines)


def revived(found: dict[str, Any]) -> list[Finding]:
    """A finding from the dict that a record keeps of it, and beside it those that were its symptoms."""
    symptoms = found.get("symptoms", [])
    return [Finding(**(found | {"symptoms": []})), *(s for each in symptoms for s in revived(each))]


def arranged(findings: list[Finding]) -> list[Finding]:
    """Failures before warnings, by first violation; what another one explains goes under it."""
    order = sorted(findings, key=lambda f: (f.level != FAILURE, f.step, _RANK[f.cause]))
    kept: list[Finding] = []
    for finding in order:
        reason = next(
            (k for k in kept if finding.cause in CAUSES[k.cause].explains or finding.cause == k.cause), None
        )
        if reason is None:
            kept.append(finding)
        elif reason.cause != finding.cause:
            reason.symptoms.append(finding)
    return kept
