"""How often the diagnosis is right: planted faults and healthy runs, beside the published rules of two tools.

    make bench-diagnosis                           writes docs/diagnosis.md and its picture
    python benchmarks/diagnosis.py --quick         one seed and half of the architectures; prints only

The protocol. Architectures are in two halves: thresholds were chosen on the first, and the second was scored when they
were frozen. What counts as the right answer stands in `FAULTS` of `benchmarks/diagnosis_cases.py`, and was written down
before. A fault counts on an architecture where it does harm: its run ends more than a tenth of the way from guessing to
perfect below the same run without it, and that one gets three quarters of the way. A control counts where it gets as
far. Every fault is trained, diagnosed, cured by the remedy of the first finding, and trained again; it is healed if it
then ends within that tenth. The last column of the tables of faults is about the runs in which one did no harm: in how
many of them it was named all the same, be it as a warning. After the first scoring one rule was loosened, and rules for
mistakes that are not among these were added: the tables are a later scoring of the same runs.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two processes share the machine

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from diagnosis_cases import (
    CONTROLS,
    FAULTS,
    HELD_OUT,
    TUNING,
    Spec,
    control,
    make_clip,
    make_data,
    make_loss,
    make_network,
    make_optimizer,
    make_schedule,
    planted,
    predictor,
    score,
)
from diagnosis_report import HARM, Result, by_fault, summary, write
from diagnosis_tools import OTHERS

from minigrad.datasets import digits
from minigrad.diagnosis import Finding, debug_training, diagnose
from minigrad.losses import softmax_loss
from minigrad.monitor import GradientMonitor, Record, watch
from minigrad.optimizers import adam
from minigrad.training import fit

SEEDS = 5


def run(spec: Spec, seed: int) -> tuple[float, list[Finding], Record]:
    """Train a run under observation."""
    rng = np.random.default_rng(seed)
    train, test = make_data(spec, rng)
    outputs = 1 if spec.regression else int(max(train[1].max(), test[1].max())) + 1
    network = make_network(spec, train[0].shape[-1], outputs, rng)
    order = np.argsort(
        test[1].ravel(), kind="stable"
    )  # an evaluation reads one class after another, as files lie
    held_out = test[0][order], test[1][order]
    predict = predictor(spec, network)
    found = debug_training(
        network,
        train,
        make_loss(spec),
        make_optimizer(spec),
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        rng=rng,
        held_out=held_out,
        predict=predict,
        batch_size=spec.batch,
        schedule=make_schedule(spec),
        clip=make_clip(spec),
    )
    return score(predict(held_out[0]), held_out[1], spec.regression), found.findings, found.record


def trained(spec: Spec, seed: int) -> float:
    """Train the same run unobserved, and return how it ended."""
    rng = np.random.default_rng(seed)
    train, test = make_data(spec, rng)
    outputs = 1 if spec.regression else int(max(train[1].max(), test[1].max())) + 1
    network = make_network(spec, train[0].shape[-1], outputs, rng)
    steps = fit(
        network,
        train,
        make_loss(spec),
        make_optimizer(spec),
        steps=spec.steps,
        learning_rate=spec.learning_rate,
        rng=rng,
        batch_size=spec.batch,
        schedule=make_schedule(spec),
        clip=make_clip(spec),
    )
    for _ in steps:
        pass
    order = np.argsort(test[1].ravel(), kind="stable")
    return score(predictor(spec, network)(test[0][order]), test[1][order], spec.regression)


def job(half: str, architecture: str, name: str, seed: int) -> Result | None:
    """One row of the results."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    base = (TUNING | HELD_OUT)[architecture]
    pair = planted(name, base) if name in FAULTS else None
    spec = pair[0] if pair else control(name, base) if name in CONTROLS else None
    if spec is None:
        return None
    ended, findings, record = run(spec, seed)
    reference = trained(pair[1], seed) if pair else ended
    bare = Record(**vars(record) | {"facts": {k: v for k, v in record.facts.items() if k != "preflight"}})
    result = Result(
        half,
        architecture,
        name,
        seed,
        pair is None,
        ended,
        reference,
        tuple(findings),
        tuple(diagnose(bare)),
        {tool: rules(record) for tool, rules in OTHERS.items()},
    )
    if pair and findings and reference - ended > HARM:
        remedy = cured(spec, findings[0], pair[1])
        if remedy != spec:
            result = replace(result, cured=trained(remedy, seed))
    return result


# -- remedies


def cured(spec: Spec, finding: Finding, sound: Spec) -> Spec:
    """The run with the remedy of a finding applied.

    A remedy that is a setting is applied as it stands. One that says which piece of code or data is wrong is applied as
    a person would: that piece is put right, and nothing is where it names the wrong piece.
    """
    remedy = finding.remedy
    changes: dict[str, Any] = {}
    if "scale_learning_rate" in remedy:
        changes["learning_rate"] = spec.learning_rate * remedy["scale_learning_rate"]
    if "learning_rate" in remedy and not spec.learning_rate:
        changes["learning_rate"] = remedy["learning_rate"]
    if "clip_norm" in remedy:
        changes["clip"] = remedy["clip_norm"]
    if "initialization" in remedy:
        changes |= {"gain": 1.0, "last_gain": 1.0, "bias": 0.0, "recurrent_gain": 1.0}
    if "activation" in remedy and spec.data != "memory":
        changes["activation"] = remedy["activation"]
    if "normalization" in remedy and spec.data != "memory":
        changes["normalization"] = remedy["normalization"]
    if "recurrent_radius" in remedy:
        changes["recurrent_gain"] = 1.0
    if "weight_decay" in remedy:
        changes["decay"] = remedy["weight_decay"]
    if "standardize" in remedy:
        changes |= {"input_scale": "standard", "constant": 0.0}
    if "unbounded_output" in remedy:
        changes["squash"] = False
    if "shift_labels" in remedy or "check_labels" in remedy:
        changes["labels"] = ""
    if "balance_classes" in remedy:
        changes["share"] = 0.0
    if "more_data" in remedy:
        changes["examples"] = sound.examples
    if "evaluation_mode" in remedy:
        changes["predict_mode"] = "test"
    pieces = {
        "symmetric": "initialization" in remedy,
        "sum": "average_loss" in remedy,
        "softmax twice": "loss" in remedy,
        "wrong loss": "loss" in remedy,
        "log of zero": "loss" in remedy,
        "exp overflow": "loss" in remedy,
        "clipped delta": "loss" in remedy,
        "accumulated": "zero_gradients" in remedy,
        "ascent": "flip_update" in remedy,
        "left out": "update" in remedy,
        "statistics": "update_statistics" in remedy,
        "linear": "activation" in remedy,
        "spike": "constant_learning_rate" in remedy,
        "bias not summed": "repair_backward" in remedy,
        "no derivative": "repair_backward" in remedy,
    }
    if pieces.get(spec.bug):
        changes["bug"] = ""
    return replace(spec, **changes)


def overhead() -> list[tuple[str, float, float]]:
    """What watching costs at every=10, in pairs of equal runs, one after the other: microseconds, and the share."""
    found = []
    shapes = {
        "64-64-64-10, batch of 32": (64, 64, 2, 32),
        "64-256-256-10, batch of 64": (64, 256, 2, 64),
        "64-512-512-10, batch of 128": (64, 512, 2, 128),
    }
    x, y = digits(np.float32)
    for label, (inputs, width, depth, batch) in shapes.items():
        spec = replace(TUNING["digits relu 2x48 momentum"], width=width, depth=depth, float32=True)
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(7):
            for watching in (False, True):
                network = make_network(spec, inputs, 10, np.random.default_rng(0))
                steps = fit(
                    network, (x, y), softmax_loss, adam,
                    steps=400, learning_rate=1e-3, batch_size=batch, rng=np.random.default_rng(0),
                )  # fmt: skip
                run = watch(network, steps, GradientMonitor(every=10)) if watching else steps
                begin = time.perf_counter()
                for _ in run:
                    pass
                times[watching].append((time.perf_counter() - begin) / 400)
        more = float(np.median(np.subtract(times[True], times[False])))
        found.append((label, 1e6 * float(np.median(times[False])), more / float(np.median(times[False]))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one seed, half of the architectures; writes nothing"
    )
    parser.add_argument(
        "--only", default="", help="faults and controls with this in their name; writes nothing"
    )
    arguments = parser.parse_args()
    names = [n for n in [*FAULTS, *CONTROLS] if arguments.only in n]
    jobs = [
        (half, architecture, name, seed)
        for half, those, seeds in (("tuning", TUNING, 2), ("held-out", HELD_OUT, SEEDS))
        for k, architecture in enumerate(those)
        if not arguments.quick or k % 2 == 0
        for name in names
        for seed in range(1 if arguments.quick else seeds)
    ]
    begin = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        results = [r for r in pool.map(job, *zip(*jobs, strict=True), chunksize=8) if r]
    for half in ("tuning", "held-out"):
        print("\n".join(["", half, *summary(results, half), "", *by_fault(results, half)]))
    print(f"{len(results)} runs in {time.perf_counter() - begin:.0f} s")
    costs = overhead()
    for label, step, more in costs:
        print(f"{label}: {step:.0f} microseconds a step, {100 * more:+.1f} % with the monitor")
    protocol = " ".join((__doc__ or "").partition("The protocol. ")[2].split())
    if not arguments.quick and not arguments.only:
        write(results, protocol, costs)


if __name__ == "__main__":
    main()
