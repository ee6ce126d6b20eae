"""A record of a training run: numbers by name, that go to a file and come back."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Record", "Snapshot", "as_json", "read_record"]

Numbers = dict[str, float]


@dataclass
class Snapshot:
    """One recorded step.

    Parameters
    ----------
    step : int
    loss : float
        Before the update.
    learning_rate : float or None
    params : dict of str to dict of float
        For each parameter: `weight`, `gradient` and `update`, the norms of it, of its gradient, and of the update
        that was really made; `ratio`, the last over the first; `rms`, the gradient's root mean square. In some of the
        snapshots `moved`, how far it is from where it was at the first step, relative to its size then. Of weights, not
        of biases: `along`, the cosine between the update and the negative gradient; `shrink`, that between the update
        and the negative weights; `turn`, that between this gradient and the one of the step before.
    activations : dict of str to dict of float
        For each output of a layer: `mean`, `std`, the share of `zeros`, the largest absolute value `peak`, and of
        a bounded one the `saturated` share.
    probe : dict of str to dict of float
        For each output over the probe data: `dead`, the share of units that are zero for every example, and
        `constant`, the share of those that do not change.
    through_time : dict of str to list of float
        For each recurrent layer, the norm of the gradient of its input at each step of the sequence.
    state : dict of str to float
        For each array of state, how far it is from where it was at the first step.
    evaluation : dict of str to float
        What was measured in test mode, as it was handed in.
    first_nonfinite : str or None
        The first array that is not finite: activations in the order of the forward pass, then "loss", then gradients
        in the order of the backward pass, then parameters.
    """

    step: int
    loss: float
    learning_rate: float | None = None
    params: dict[str, Numbers] = field(default_factory=dict)
    activations: dict[str, Numbers] = field(default_factory=dict)
    probe: dict[str, Numbers] = field(default_factory=dict)
    through_time: dict[str, list[float]] = field(default_factory=dict)
    state: Numbers = field(default_factory=dict)
    evaluation: Numbers = field(default_factory=dict)
    first_nonfinite: str | None = None


@dataclass
class Record:
    """A run, as data.

    Parameters
    ----------
    facts : dict
        What does not change: `every`, the `shapes` of the parameters, those that are `symmetric` (all units start with
        the same weights), the `bounds` of bounded activations, the size of the first `batch`, and what the caller
        added, such as a description of the `data`.
    losses, gradient_norms : list of float
        At each step, in order.
    accuracies, learning_rates : list of float or None
        At each step.
    snapshots : list of Snapshot
        Of the recorded steps.
    clipped : list of float
        The norm before clipping, at each step where `GradientMonitor.clip` shortened the gradient.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    accuracies: list[float | None] = field(default_factory=list)
    learning_rates: list[float | None] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read what a monitor wrote to its stream.

    Parameters
    ----------
    path : path
        Of a file with one snapshot a line.

    Returns
    -------
    Record

    Raises
    ------
    ValueError
        If a line is not one of a monitor; the text says which. The last line may be cut off, as it is where a run was
        stopped.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from minigrad.monitor import GradientMonitor
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "run.jsonl"
    >>> with open(path, "w") as stream:
    ...     monitor = GradientMonitor(stream=stream)
    ...     monitor.before(0, {"w": np.ones(1)})
    ...     monitor.after(0, {"w": np.ones(1)}, {"w": np.ones(1)}, loss=2.5)
    >>> read_record(path).losses
    [2.5]
    """
    record = Record()
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    for number, text in enumerate(lines, start=1):
        try:
            line = _revived(json.loads(text))
            record.facts.update(line.pop("facts", {}))
            for name in ("losses", "gradient_norms", "accuracies", "learning_rates"):
                getattr(record, name).extend(line.pop(name))
            record.clipped = line.pop("clipped")
            record.snapshots.append(Snapshot(**line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"read_record: line {number} of {os.fspath(path)} is not a snapshot") from error
    return record


def as_json(line: Any) -> str:
    """One line of JSON, with the three numbers that it lacks spelt out."""
    try:
        return json.dumps(line, allow_nan=False)
    except ValueError:
        return json.dumps(_spelt(line))


def _spelt(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return f"#{value}"
    if isinstance(value, dict):
        return {key: _spelt(each) for key, each in value.items()}
    return [_spelt(each) for each in value] if isinstance(value, list) else value


def _revived(value: Any) -> Any:
    if isinstance(value, str) and value in ("#nan", "#inf", "#-inf"):
        return float(value[1:])
    if isinstance(value, dict):
        return {key: _revived(each) for key, each in value.items()}
    return [_revived(each) for each in value] if isinstance(value, list) else value
