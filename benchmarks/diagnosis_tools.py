"""What two tools would say of the same records, by their published thresholds.

Written anew from the publications; what they name is translated to the cause that it comes nearest to.
"""

import math

import numpy as np

from minigrad.monitor import Record


def autotrainer(record: Record) -> tuple[str, ...]:
    """AutoTrainer (Zhang et al., ICSE 2021): vanishing, exploding, dying ReLU, oscillating and slow."""
    found = []
    matrices = [name for name, shape in record.facts["shapes"].items() if len(shape) > 1]
    for snapshot in record.snapshots:
        if not snapshot.params:
            continue
        first, last = (
            snapshot.params[name].get("gradient", math.nan) for name in (matrices[0], matrices[-1])
        )
        if first < 1e-4 and last and first / last < 1e-3:
            found.append("vanishing gradient")
        if not math.isfinite(first) or not math.isfinite(last) or (last and first / last > 70):
            found.append("initial weights too large")
        if any(each["zeros"] >= 0.7 for each in list(snapshot.activations.values())[:-1]):
            found.append("dead units at the start")
    every = max(1, len(record.losses) // 15)
    history = [a for a in record.accuracies if a is not None]
    epochs = [float(np.mean(history[k : k + every])) for k in range(0, len(history), every)]
    changes = np.diff(epochs)
    if len(changes) and np.mean((changes[1:] * changes[:-1] < 0) & (np.abs(changes[1:]) >= 0.03)) >= 0.2:
        found.append("learning rate too high")
    if len(changes) and np.abs(changes).max() < 0.01:
        found.append("learning rate too low")
    if any(not math.isfinite(loss) for loss in record.losses):
        found.append("initial weights too large")
    return tuple(dict.fromkeys(found))


def sagemaker(record: Record) -> tuple[str, ...]:
    """SageMaker Debugger's built-in rules, with their default thresholds."""
    found = []
    matrices = [name for name, shape in record.facts["shapes"].items() if len(shape) > 1]
    for snapshot in record.snapshots:
        rms = [snapshot.params.get(name, {}).get("rms", math.nan) for name in matrices]
        if any(value < 1e-7 for value in rms):
            found.append("vanishing gradient")
        if any(not math.isfinite(s.get("gradient", 0.0)) for s in snapshot.params.values()):
            found.append("initial weights too large")
        if any(each["dead"] > 0.5 for each in list(snapshot.probe.values())[:-1]):
            found.append("dead units at the start")
        if any(each.get("saturated", 0) > 0.5 for each in snapshot.activations.values()):
            found.append("saturated activations")
        ratios = [snapshot.params.get(name, {}).get("ratio", math.nan) for name in matrices]
        if any(ratio > 10 for ratio in ratios):
            found.append("learning rate too high")
        if any(ratio < 1e-8 for ratio in ratios):
            found.append("learning rate too low")
    for k in range(0, len(record.losses) - 20, 10):
        if not np.mean(record.losses[k + 10 : k + 20]) < np.mean(record.losses[k : k + 10]):
            found.append("not learning")
            break
    return tuple(dict.fromkeys(found))


OTHERS = {"AutoTrainer": autotrainer, "SageMaker Debugger": sagemaker}
