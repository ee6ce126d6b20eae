"""Does the gradient checker find what is wrong, leave alone what is right, and name the mistake?

    make bench-gradcheck

Every figure of docs/gradcheck.md is written from here. The networks and the mistakes planted in them stand in
gradcheck_cases.py, the right networks with kinks in gradcheck_kinked.py, the mistakes of every kind in
gradcheck_kinds.py, and in rules.py when other tools accept a gradient.

Everything is drawn from fixed seeds. Takes about three minutes; `--quick` shows in seconds that everything runs, and
writes nothing.
"""

from __future__ import annotations

import os

for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import argparse
import hashlib
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gradcheck_cases import BUGS, NETWORKS, Arrays, Kit, build, differs, exact, planted
from gradcheck_kinds import CALL, DICT, NETWORK, Mistake, mistakes, plant
from gradcheck_kinked import kinked
from rules import RULES

from minigrad.gradcheck import KINDS, check_network, gradient_check, measure_gradients, numerical_gradient

torch.set_num_threads(1)
DOCS = Path(__file__).resolve().parents[1] / "docs/gradcheck.md"

Loss = Callable[[Arrays], Any]
COLUMNS = tuple(product((0.0, 1e3), (1.0, 1e-3, 1e-6, 1e-9)))  # offset and scale of the loss
OURS = ("minigrad", "minigrad, closure", "minigrad, partly real", "minigrad, exact GELU")


def forms(loss: Loss, point: Arrays) -> dict[str, Loss]:
    """A loss in the three forms that users write; each measures the same slopes in another way."""
    last = list(point)[-1]
    return {
        "minigrad": loss,
        "minigrad, closure": lambda ignored: loss(point),
        "minigrad, partly real": lambda p: loss({**p, last: p[last].real}),
    }


def remembered(loss: Loss) -> Loss:
    """The loss, computed once at each point: many mistakes are looked for at the same points."""
    seen: dict[bytes, Any] = {}

    def look_up(params: Arrays) -> Any:
        key = hashlib.blake2b(b"".join(w.tobytes() for w in params.values()), digest_size=16).digest()
        if key not in seen:
            seen[key] = loss(params)
        return seen[key]

    return look_up


# ------------------------------------------------------------------------------
# Detection
# ------------------------------------------------------------------------------


@dataclass
class Tally:
    """How often a tool said what, and of which cases."""

    planted: int = 0
    looked_for: Counter = field(default_factory=Counter)  # by tool: in how many wrong sets of gradients
    left_out: int = 0
    found: Counter = field(default_factory=Counter)  # (tool, column): wrong ones called wrong
    unsettled: Counter = field(default_factory=Counter)  # wrong ones of which nothing could be said
    refused: Counter = field(default_factory=Counter)  # right ones called wrong
    right: int = 0
    missed: list[tuple[str, tuple[float, float], str]] = field(default_factory=list)  # by ours
    alarms: list[tuple[str, Any, str]] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


def detect(
    name: str, columns: tuple[tuple[float, float], ...] = COLUMNS, bugs: tuple[str, ...] = BUGS
) -> Tally:
    """All mistakes in one network, looked for by all tools."""
    case, tally = build(name), Tally(right=1)
    slopes, right = exact(case), case.grads(case.point)
    broken = {bug: grads for bug in bugs if (grads := planted(bug, name)) is not None}
    chosen = {bug: grads for bug, grads in broken.items() if differs(grads, slopes)}
    tally.planted, tally.left_out = len(chosen), len(broken) - len(chosen)
    base = remembered(case.loss)
    tally.looked_for.update(dict.fromkeys(RULES, len(chosen)))
    for column in columns:
        offset, scale = column
        loss = partial(scaled, base, offset, scale)
        for tool, rule in RULES.items():
            accepts = rule(loss, case.point)
            tally.found[tool, column] += sum(not accepts(times(scale, grads)) for grads in chosen.values())
            tally.refused[tool, column] += not accepts(times(scale, right))
        for form, given in forms(loss, case.point).items():
            if form == "minigrad" and "gelu" in case.uses:
                form = "minigrad, exact GELU"  # the complex step cannot follow that function
            tally.looked_for[form] = len(chosen)
            for bug, grads in {**chosen, "": right}.items():
                rng = np.random.default_rng(0)
                verdict = gradient_check(given, case.point, times(scale, grads), rng).verdict
                if not bug:
                    tally.refused[form, column] += verdict == "wrong"
                    continue
                tally.found[form, column] += verdict == "wrong"
                tally.unsettled[form, column] += verdict == "cannot tell"
                if verdict == "right":
                    tally.missed.append((form, column, f"{bug}, in {name}"))
    return tally


def scaled(base: Loss, offset: float, scale: float, params: Arrays) -> Any:
    return offset + scale * base(params)


def times(scale: float, grads: Arrays) -> Arrays:
    return {name: scale * g for name, g in grads.items()}


# ------------------------------------------------------------------------------
# False alarms
# ------------------------------------------------------------------------------


def alarm(seed: int) -> Tally:
    """The right gradients of one network with kinks, as all tools see them."""
    case, tally = kinked(seed), Tally(right=1)
    right, loss = case.grads(case.point), remembered(case.loss)
    width = "float32" if seed % 5 == 0 else "float64"
    tally.found["right", width] = 1
    for tool, rule in RULES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of float32
            tally.refused[tool, width] += not rule(loss, case.point)(right)
    for form, given in list(forms(loss, case.point).items())[:2]:
        report = gradient_check(given, case.point, right, np.random.default_rng(seed))
        tally.refused[form, width] += report.verdict == "wrong"
        tally.unsettled[form, width] += report.verdict == "cannot tell"
        if report.verdict == "wrong":
            tally.alarms.append((form, width, f"network {seed}: {report.wrong[0]}"))
    return tally


# ------------------------------------------------------------------------------
# Kinds
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    mistake: Mistake
    way: str
    kind: str

    @property
    def right(self) -> bool:
        return self.kind in self.mistake.kinds


def name_all() -> list[Named]:
    return [
        Named(mistake, way, name_of(mistake, way, seed))
        for seed, mistake in enumerate(mistakes())
        for way in mistake.ways
    ]


def name_of(mistake: Mistake, way: str, seed: int) -> str:
    """The kind that the checker gives for a planted mistake, or its verdict where it sees none."""
    case, compute = plant(mistake, seed)
    rng = np.random.default_rng(seed)
    if way == NETWORK:
        network = check_network(case.network, case.x, case.y, case.criterion, rng)
        finding = network.finding or network.whole.first
        return finding.kind if finding else network.verdict
    report = gradient_check(case.loss, case.point, compute(case.point) if way == DICT else compute, rng)
    return report.first.kind if report.first else report.verdict


# ------------------------------------------------------------------------------
# Speed
# ------------------------------------------------------------------------------

WIDTHS, ROWS, ROUNDS = (20, 32, 32, 10), 16, 5


def speed() -> list[str]:
    """A passing check of one network by all: evaluations of the loss, and time in turns."""
    kit = Kit(0, {})
    case = kit.case(
        kit.mlp(WIDTHS, "tanh"), kit.rows(ROWS, WIDTHS[0]), kit.labels(WIDTHS[-1], ROWS), "softmax_loss"
    )
    grads, calls = case.grads(case.point), Counter[str]()
    tensors = [torch.tensor(w, requires_grad=True) for w in case.point.values()]
    x, y = torch.tensor(case.x), torch.tensor(case.y)

    def counted(who: str, loss: Loss) -> Loss:
        def count(params: Arrays) -> Any:
            calls[who] += 1
            return loss(params)

        return count

    def in_torch(*weights: torch.Tensor) -> torch.Tensor:
        h = x
        for k, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            h = (torch.tanh(h) if k else h) @ w + b
        return torch.nn.functional.cross_entropy(h, y)

    np.testing.assert_allclose(in_torch(*tensors).item(), case.loss(case.point), rtol=1e-12)

    def ours(who: str) -> None:
        loss = forms(counted(who, case.loss), case.point)[who]
        assert gradient_check(loss, case.point, grads, np.random.default_rng(0)).passed

    def theirs(who: str, fast: bool) -> None:
        def count(*weights: torch.Tensor) -> torch.Tensor:
            calls[who] += 1
            return in_torch(*weights)

        assert torch.autograd.gradcheck(count, tensors, fast_mode=fast)

    def loop(who: str) -> None:
        loss = counted(who, case.loss)
        for name, w in case.point.items():
            np.testing.assert_allclose(
                numerical_gradient(lambda _: loss(case.point), w), grads[name], atol=1e-8
            )

    runs: dict[str, Callable[[str], None]] = {
        "minigrad": ours,
        "minigrad, closure": ours,
        "PyTorch, fast": partial(theirs, fast=True),
        "PyTorch": partial(theirs, fast=False),
        "numerical_gradient": loop,
    }
    seconds: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(ROUNDS):
        for who, run in runs.items():
            start = time.process_time()
            run(who)
            seconds[who].append(time.process_time() - start)
    count = sum(w.size for w in case.point.values())
    lines = [
        f"A passing check of an MLP {'-'.join(map(str, WIDTHS))} with tanh, {ROWS} rows, {count} parameters.",
        f"Processor time, median of {ROUNDS} turns, and median of the ratios within a turn.",
        "",
        "| checker | evaluations of the loss | time (ms) | minigrad takes |",
        "|---|--:|--:|--:|",
    ]
    for who, taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds["minigrad"], taken, strict=True))
        milliseconds = 1e3 * statistics.median(taken)
        lines.append(f"| {who} | {calls[who] // ROUNDS} | {milliseconds:.2f} | {ratio:.3g} times its time |")
    return lines


def every_element() -> list[str]:
    """Equal work: each slope measured by two evaluations, one at a time, and many at a time."""
    lines = [
        "Equal work: the slope along every parameter of a two-layer network with tanh and squared error, from two",
        "evaluations each. `numerical_gradient` makes them one by one; `measure_gradients` stacks 64 copies of a",
        "tensor, since this loss carries a leading axis; `torch.autograd.gradcheck` does its own, slow mode.",
        "Processor time, medians over the turns.",
        "",
        "| rows, widths | parameters | one by one (ms) | stacked (ms) | times faster | PyTorch (ms) | times faster |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    rng = np.random.default_rng(0)
    for rows, widths in ((4, (5, 6, 3)), (8, (10, 20, 5)), (16, (30, 50, 10))):
        x, y = rng.normal(size=(rows, widths[0])), rng.normal(size=(rows, widths[2]))
        params: Arrays = {
            "w1": rng.normal(size=widths[:2]),
            "b1": rng.normal(size=widths[1]),
            "w2": rng.normal(size=widths[1:]),
            "b2": rng.normal(size=widths[2]),
        }
        tensors = [torch.tensor(w, requires_grad=True) for w in params.values()]
        x_torch, y_torch = torch.tensor(x), torch.tensor(y)

        def loss(p: Arrays, x: Any = x, y: Any = y) -> Any:
            return ((np.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"] - y) ** 2).sum(axis=(-2, -1))

        def in_torch(*w: torch.Tensor, x: Any = x_torch, y: Any = y_torch) -> torch.Tensor:
            return ((torch.tanh(x @ w[0] + w[1]) @ w[2] + w[3] - y) ** 2).sum()

        turns = []
        for _ in range(ROUNDS):
            times = [time.process_time()]
            single = {
                name: numerical_gradient(lambda _, p=params, f=loss: f(p), w) for name, w in params.items()
            }
            times.append(time.process_time())
            stacked = measure_gradients(loss, params)
            times.append(time.process_time())
            assert torch.autograd.gradcheck(in_torch, tensors)
            times.append(time.process_time())
            turns.append(np.diff(times))
        for name in params:
            np.testing.assert_allclose(stacked[name], single[name], rtol=1e-4, atol=1e-6)
        one, many, theirs = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
        gain, gain_torch = (statistics.median(t[k] / t[1] for t in turns) for k in (0, 2))
        count = sum(w.size for w in params.values())
        name = f"{rows}, {'-'.join(map(str, widths))}"
        lines.append(
            f"| {name} | {count} | {one:.1f} | {many:.1f} | {gain:.1f} | {theirs:.1f} | {gain_torch:.1f} |"
        )
    return lines


# ------------------------------------------------------------------------------
# Report
# ------------------------------------------------------------------------------


def heading(column: tuple[float, float]) -> str:
    offset, scale = column
    return f"{scale:g}" + (f", + {offset:g}" if offset else "")


def header() -> list[str]:
    return [
        "| loss times | " + " | ".join(map(heading, COLUMNS)) + " |",
        "|---" + "|--:" * len(COLUMNS) + "|",
    ]


def rates(tally: Tally, tools: tuple[str, ...]) -> str:
    """Share of the mistakes that were found, and, in brackets, of which nothing could be said."""
    lines = header()
    for tool in filter(tally.looked_for.get, tools):
        cells = []
        for column in COLUMNS:
            found, unsettled = tally.found[tool, column], tally.unsettled[tool, column]
            cell = f"{100 * found / tally.looked_for[tool]:.1f}"
            cells.append(cell + (f" ({100 * unsettled / tally.looked_for[tool]:.1f})" if unsettled else ""))
        lines.append(f"| {tool} ({tally.looked_for[tool]}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def refusals(tally: Tally, tools: tuple[str, ...]) -> str:
    """How many of the right gradients were called wrong, column by column."""
    lines = header()
    for tool in filter(tally.looked_for.get, tools):
        cells = [str(tally.refused[tool, column]) for column in COLUMNS]
        lines.append(f"| {tool} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def missed(tally: Tally) -> str:
    """What ours called right though it is wrong, by name."""
    if not tally.missed:
        return "None is called right by minigrad in any column."
    columns: dict[tuple[str, str], list[str]] = {}
    for form, column, what in tally.missed:
        columns.setdefault((what, form), []).append(heading(column))
    lines = [f"- {what}: {form}, at {'; '.join(where)}" for (what, form), where in columns.items()]
    return "\n".join(["Called right though wrong:", "", *lines])


def alarms_table(tally: Tally) -> str:
    widths = ("float64", "float32")
    totals = {w: tally.found["right", w] for w in widths}
    lines = [
        "| tool | " + " | ".join(f"of {totals[w]} in {w}" for w in widths) + " | cannot tell |",
        "|---|--:|--:|--:|",
    ]
    for tool in (*OURS[:2], *RULES):
        unsettled = sum(tally.unsettled[tool, w] for w in widths) if tool in OURS else ""
        lines.append(
            f"| {tool} | " + " | ".join(str(tally.refused[tool, w]) for w in widths) + f" | {unsettled} |"
        )
    lines += ["", *(f"- {form}, {width}: {what}" for form, width, what in tally.alarms)]
    return "\n".join(lines).rstrip()


def kinds_table(named: list[Named]) -> str:
    ways = (DICT, CALL, NETWORK)
    lines = ["| set | checker | named | of | share |", "|---|---|--:|--:|--:|"]
    for each in sorted({n.mistake.set for n in named}):
        for way in ways:
            chosen = [n.right for n in named if n.way == way and n.mistake.set == each]
            lines.append(
                f"| {each} | {CALLED[way]} | {sum(chosen)} | {len(chosen)} | {np.mean(chosen):.0%} |"
            )
    lines += ["", "Named otherwise:", ""]
    for mistake in dict.fromkeys(n.mistake for n in named if not n.right):
        said: dict[str, list[str]] = {}
        for n in named:
            if n.mistake is mistake and not n.right:
                said.setdefault(n.kind, []).append(n.way)
        told = "; ".join(f'"{kind}" ({", ".join(way)})' for kind, way in said.items())
        expected = " or ".join(sorted(mistake.kinds))
        lines.append(f"- {mistake.name} ({mistake.network.__name__}; {expected}): {told}")
    return "\n".join(lines)


# What the sets gave when they were run for the first time, each before any change that it led to.
FIRST_RUN = """\
The first set was written when the checker had been finished. Run for the first time, it gave 43 of 53, 49 of 59 and
49 of 56 (81, 83 and 88 %), and the checker was improved. The second set, written then, gave 32 of 38, 36 of 42 and 39
of 40 (84, 86 and 98 %), and what tells a mask from a slope was changed. The third, written after that, gave 21 of 24,
24 of 27 and 22 of 24 (88, 89 and 92 %): so much is to be expected of new mistakes. Where only the arrays are seen, what
is most often confused is a slope, a mask and a missing term above the first wrong layer.\
"""

CALLED = {
    DICT: "`gradient_check` of a dict",
    CALL: "`gradient_check` of a function",
    NETWORK: "`check_network`",
}


TEMPLATE = """\
# What the gradient checker finds

All of it is written by `make bench-gradcheck`, from fixed seeds. What other tools accept is computed by their own
rules, with their own default steps and tolerances, on the same losses; benchmarks/rules.py names the functions.
PyTorch's `gradcheck` itself is called.

## Mistakes found

{bugs} mistakes, each planted wherever it fits in {networks} networks: {planted} wrong sets of gradients. Each is off by
more than 1e-6 of the norm of a tensor from slopes that were measured without a backward pass; {left_out} more that are
not, such as a mask applied twice, are left out. A mistake is found if the verdict is "wrong".

Per cent found of those in brackets behind the name. The loss is multiplied by 1 to 1e-9; in the right half, 1000 is
added to it.

{analytic}

On how many of the {networks} networks the right gradients are refused:

{analytic_refused}

The same for losses that the complex step cannot follow: one that reads its parameters from its closure, one that takes
the real part of the last tensor, and one with the exact GELU, whose approximation is real. In brackets, the per cent
of "cannot tell": numbers near 1000 are known to 1e-13, so their differences say nothing of a gradient of 1e-9.

{real}

{real_refused}

{missed}

## Right gradients left alone

{kinked} networks with ReLU, leaky ReLU, batch normalization before ReLU, or max pooling, of random sizes: with biases
of zero, rows of zeros, equal rows, dead units, and neighbours that tie. On how many of them are the right gradients
called wrong? Where differences of a loss in float32 are all there is, minigrad mostly cannot tell. PyTorch's checker
and those of HIPS autograd and CS231n are made for float64.

{alarms}

## Kinds named

Mistakes of all {number_of_kinds} kinds, one at a time, in other networks than those above. Which names are acceptable
was written down before the checker was run (benchmarks/gradcheck_kinds.py).

{kinds}

{first_run}

## What it costs

{speed}

{every_element}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="show that everything runs; write nothing")
    quick = parser.parse_args().quick
    found, right = Tally(), Tally()
    names = ["tied", "gelu mlp"] if quick else list(NETWORKS)
    with ProcessPoolExecutor() as pool:
        for name, tally in zip(names, pool.map(detect, names), strict=True):
            found += tally
            print(f"{name}: {tally.planted} mistakes", flush=True)
        for tally in pool.map(alarm, range(8 if quick else 200), chunksize=4):
            right += tally
    named = name_all()
    text = TEMPLATE.format(
        bugs=len(BUGS),
        networks=len(NETWORKS),
        planted=found.planted,
        left_out=found.left_out,
        analytic=rates(found, (OURS[0], *RULES)),
        analytic_refused=refusals(found, (OURS[0], *RULES)),
        real=rates(found, OURS[1:]),
        real_refused=refusals(found, OURS[1:]),
        missed=missed(found),
        kinked=right.right,
        alarms=alarms_table(right),
        kinds=kinds_table(named),
        number_of_kinds=len(KINDS),
        first_run=FIRST_RUN,
        speed="\n".join(speed()),
        every_element="\n".join(every_element()),
    )
    print(text)
    if not quick:
        DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
