"""What the checker says: of one element, of one tensor, of all."""

from __future__ import annotations

from dataclasses import dataclass

from minigrad.gradcheck.numerical import Index, _subscript

RIGHT, WRONG, CANNOT_TELL = "right", "wrong", "cannot tell"


@dataclass(frozen=True)
class CheckedElement:
    """One parameter, and what the two sides say its gradient is."""

    name: str
    index: Index
    analytic: float
    numerical: float

    def __str__(self) -> str:
        return (
            f"{self.name}{_subscript(self.index)}: yours {self.analytic:.6g}, measured {self.numerical:.6g}"
        )


@dataclass(frozen=True)
class CheckedTensor:
    """The verdict on the gradient of one tensor.

    Parameters
    ----------
    name : str
    verdict : {"right", "wrong", "cannot tell"}
    error : float
        Along a random direction, the difference to the measured slope, relative to the norm of the gradient.
    resolution : float
        How well that slope is known, on the same scale.
    kind : str
        For a wrong one: what sort of mistake it looks like (see `KINDS`).
    reason : str
        What is wrong, or why nothing can be said, in a sentence.
    worst : CheckedElement, optional
        For a wrong one: the worst of the elements that were measured.
    share : float
        For a wrong one: how many of those are wrong.
    """

    name: str
    verdict: str
    error: float
    resolution: float
    kind: str = ""
    reason: str = ""
    worst: CheckedElement | None = None
    share: float = 0.0

    def __str__(self) -> str:
        words = f"{self.name}: {self.verdict}, relative error {self.error:.1e}"
        if self.verdict == RIGHT:
            words += f", known to {self.resolution:.0e}"
        return words + (f". {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class GradientReport:
    """What `gradient_check` found, tensor by tensor in the order of the parameters."""

    tensors: tuple[CheckedTensor, ...]
    method: str
    evaluations: int

    @property
    def verdict(self) -> str:
        """The verdict on all: wrong if one is, else "cannot tell" if that holds for one."""
        verdicts = {each.verdict for each in self.tensors}
        return next((each for each in (WRONG, CANNOT_TELL) if each in verdicts), RIGHT)

    @property
    def passed(self) -> bool:
        """Whether every gradient is right."""
        return self.verdict == RIGHT

    @property
    def wrong(self) -> tuple[CheckedTensor, ...]:
        """The tensors whose gradients are wrong."""
        return tuple(each for each in self.tensors if each.verdict == WRONG)

    @property
    def first(self) -> CheckedTensor | None:
        """The wrong tensor that the backward pass reaches first: the mistake is there or just above it."""
        return self.wrong[-1] if self.wrong else None

    def __getitem__(self, name: str) -> CheckedTensor:
        return {each.name: each for each in self.tensors}[name]

    def __str__(self) -> str:
        lines = [f"{self.verdict} ({self.method}, {self.evaluations} evaluations of the loss)"]
        lines += [f"  {each}" for each in self.tensors]
        if self.first and len(self.tensors) > 1:
            lines.append(f"The backward pass reaches {self.first.name} first: look there, or just above it.")
        return "\n".join(lines)
