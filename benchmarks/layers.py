"""Time of every pair of the library against PyTorch: forward and backward, on the CPU, one thread each.

    make bench-layers

The pairs are those that the contract test finds, the functions of PyTorch those that it takes as its oracle; for
layers with weights they are called with weights in PyTorch's own layout. PyTorch runs eagerly, autograd included:
what somebody would use instead. Both work in the same dtype on arrays of the same shapes. They take turns, and what
is reported is the median of the ratios of neighbours, so that a busy moment of the machine meets both. Time is that
of the processor: with one thread it is the time that passes, less what other programs took away.

Beside each pair stands the share of its time that its bare matrix products take: numpy can do nothing about those.

Writes docs/layers_speed.md and docs/layers_speed.png. Takes about four minutes; `--quick` shows in half a minute that
everything runs, and writes nothing.
"""

import os

for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ[f"{library}_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import argparse
import copy
import ctypes
import itertools
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from cases import CASES
from layer_sizes import IN_TORCH, OF_LABELS, OF_TARGETS, ROWS_AND_COLUMNS, Product, Size, sizes_of
from test_pairs import PAIRS

import minigrad.losses
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd

torch.set_num_threads(1)

# ------------------------------------------------------------------------------
# Time
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    pair: str
    size: str
    dtype: str
    torch_ms: float
    ours_ms: float
    ratio: float
    products: float  # share of our time in matrix products


def take_turns(functions: list[Callable[[], Any]], seconds: float) -> np.ndarray:
    """Times of each function in turn, shape (rounds, functions); short ones are repeated within a round."""

    def timed(function: Callable[[], Any], times: int) -> float:
        started = time.process_time()
        for _ in range(times):
            function()
        return (time.process_time() - started) / times

    for function in functions:
        function()  # the first call allocates, and looks things up
    once = max(timed(function, 2) for function in functions)
    times = max(1, math.ceil(1e-3 / once))
    rounds = max(5, int(seconds / (len(functions) * times * once)))
    return np.array([[timed(function, times) for function in functions] for _ in range(rounds)])


def steps_of(name: str, size: Size, dtype: type) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Forward and backward in PyTorch and here, on arrays of the same shapes."""
    rng = np.random.default_rng(0)
    pair, case = PAIRS[name], CASES[PAIRS[name].name]
    params = case.other_arguments(rng, size.shapes) if size.params is None else copy.deepcopy(size.params)
    inputs = case.inputs(rng, size.shapes)

    def for_torch(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array.astype(dtype), requires_grad=True)

    if pair.name in IN_TORCH:
        torch.set_default_dtype(getattr(torch, dtype.__name__))
        shapes, function = IN_TORCH[pair.name](size)
        inputs = [x / math.sqrt(x.shape[-1]) for x in inputs]  # small enough to saturate nothing
        tensors = [for_torch(rng.standard_normal(shape) / math.sqrt(shape[-1])) for shape in shapes]
    else:
        tensors = [for_torch(x) for x in inputs]

        def function(*tensors: torch.Tensor) -> Any:
            return case.torch(list(tensors), params)

    arguments = case.arrange([x.astype(dtype) for x in inputs], params)
    *outs, _ = pair.forward(*arguments)
    douts = [np.asarray(rng.standard_normal(out.shape).astype(dtype)) for out in outs]
    torch_douts = [torch.tensor(dout) for dout in douts]

    def theirs() -> Any:
        return torch.autograd.grad(function(*tensors), tensors, torch_douts)

    def ours() -> Any:
        *_, cache = pair.forward(*arguments)
        return pair.backward(*douts, cache)

    result = function(*tensors)
    shapes_out = [tuple(each.shape) for each in (result if isinstance(result, tuple | list) else [result])]
    assert shapes_out == [out.shape for out in outs], (
        f"{name}: the outputs of PyTorch have shapes {shapes_out}"
    )
    return theirs, ours


def bare(products: tuple[Product, ...], dtype: type) -> Callable[[], None]:
    """The matrix products of a pair and nothing else, on operands that lie in memory as BLAS likes them."""
    rng = np.random.default_rng(0)
    operands = [
        (count, rng.random((m, k)).astype(dtype), rng.random((k, n)).astype(dtype))
        for count, m, k, n in products
    ]

    def multiply() -> None:
        for count, a, b in operands:
            for _ in range(count):
                a @ b

    return multiply


def measure(seconds: float) -> Iterator[Row]:
    for name, pair in PAIRS.items():
        without_counterpart = isinstance(CASES[pair.name].torch, str) and pair.name not in IN_TORCH
        if name.endswith("_naive") or without_counterpart:
            continue  # written to be read, or nothing to compare with
        for size in sizes_of(pair.name):
            for dtype in (np.float32, np.float64):
                theirs, ours = steps_of(name, size, dtype)
                yield row(name, size.label, dtype, theirs, ours, size.products, seconds)
    for dtype in (np.float32, np.float64):
        yield from losses(dtype, seconds)
        for n in (32, 128, 512):
            yield training_step(n, dtype, seconds)


def losses(dtype: type, seconds: float) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    for name, in_torch in {**OF_LABELS, **OF_TARGETS}.items():
        for n, d in ROWS_AND_COLUMNS:
            x = rng.standard_normal((n, d)).astype(dtype)
            target = rng.integers(0, d, n) if name in OF_LABELS else rng.random((n, d)).astype(dtype)
            theirs, ours = loss_steps(in_torch, getattr(minigrad.losses, name), x, target)
            yield row(name, f"{n} x {d}", dtype, theirs, ours, (), seconds)


def loss_steps(
    in_torch: Callable[..., torch.Tensor], loss: Callable[..., Any], x: np.ndarray, target: np.ndarray
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    x_torch, target_torch = torch.tensor(x, requires_grad=True), torch.tensor(target)

    def theirs() -> tuple[float, torch.Tensor]:
        value = in_torch(x_torch, target_torch)
        (gradient,) = torch.autograd.grad(value, x_torch)
        return value.item(), gradient

    np.testing.assert_allclose(loss(x, target)[1], theirs()[1].numpy(), rtol=1e-3, atol=1e-6)
    return theirs, lambda: loss(x, target)


def row(
    name: str,
    label: str,
    dtype: type,
    theirs: Callable[[], Any],
    ours: Callable[[], Any],
    products: tuple[Product, ...],
    seconds: float,
) -> Row:
    functions = [theirs, ours, *([bare(products, dtype)] if products else [])]
    times = take_turns(functions, seconds)
    medians = np.median(times, axis=0)
    share = float(np.median(times[:, 2] / times[:, 1])) if products else 0.0
    ratio = float(np.median(times[:, 1] / times[:, 0]))
    return Row(name, label, dtype.__name__, medians[0] * 1e3, medians[1] * 1e3, ratio, share)


# ------------------------------------------------------------------------------
# A whole training step
# ------------------------------------------------------------------------------

WIDTHS = (784, 256, 128, 10)
TRAINING = "training step"


def training_step(n: int, dtype: type, seconds: float) -> Row:
    """affine, relu, affine, relu, affine, softmax; forward, backward, and an update by SGD: both as users write it."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, WIDTHS[0])).astype(dtype), rng.integers(0, WIDTHS[-1], n)
    parts: list[Layer] = []
    modules: list[torch.nn.Module] = []
    for d, m in itertools.pairwise(WIDTHS):
        w, b = (rng.standard_normal((d, m)) * math.sqrt(2 / d)).astype(dtype), np.zeros(m, dtype)
        parts += [Layer(affine_forward, affine_backward, {"w": w, "b": b})]
        parts += [Layer(relu_forward, relu_backward)]
        modules += [torch.nn.Linear(d, m, dtype=torch.tensor(w).dtype), torch.nn.ReLU()]
        modules[-2].weight.data[...] = torch.tensor(w.T)
        modules[-2].bias.data.zero_()
    network, module = Sequential(*parts[:-1]), torch.nn.Sequential(*modules[:-1])
    configs: dict[str, dict[str, Any]] = {name: {"learning_rate": 1e-2} for name in network.params}
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-2)
    x_torch, y_torch = torch.tensor(x), torch.tensor(y)
    seen: dict[str, list[float]] = {"ours": [], "theirs": []}

    def theirs() -> None:
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(x_torch), y_torch)
        loss.backward()
        optimizer.step()
        seen["theirs"].append(loss.item())

    def ours() -> None:
        loss, dscores = minigrad.losses.softmax_loss(network.forward(x), y)
        network.backward_params(dscores)
        params, grads = network.params, network.grads
        for name in params:
            params[name], configs[name] = sgd(params[name], grads[name], configs[name])
        network.params = params
        seen["ours"].append(float(loss))

    products = [p for d, m in itertools.pairwise(WIDTHS) for p in ((1, n, d, m), (1, d, n, m), (1, n, m, d))]
    del products[2]  # the gradient of the images, which nobody asks for
    found = row(TRAINING, f"{n} rows", dtype, theirs, ours, tuple(products), seconds)
    first = min(20, len(seen["ours"]))
    np.testing.assert_allclose(seen["ours"][:first], seen["theirs"][:first], rtol=1e-3)  # the same training
    return found


# ------------------------------------------------------------------------------
# Report
# ------------------------------------------------------------------------------


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def by_pair(rows: list[Row], dtype: str = "") -> dict[str, float]:
    """Geometric mean of the ratios of each pair, over its sizes."""
    ratios: dict[str, list[float]] = {}
    for each in rows:
        if dtype in each.dtype:
            ratios.setdefault(each.pair, []).append(each.ratio)
    return {pair: geometric_mean(values) for pair, values in ratios.items()}


def table(rows: list[Row]) -> str:
    lines = [
        "| pair | size | dtype | PyTorch (ms) | minigrad (ms) | ratio | in products |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for r in rows:
        share = f"{100 * min(r.products, 1):.0f} %" if r.products else ""
        lines.append(
            f"| `{r.pair}` | {r.size} | {r.dtype} | {r.torch_ms:.3f} | {r.ours_ms:.3f} | {r.ratio:.2f} | {share} |"
        )
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    pairs = [r for r in rows if r.pair != TRAINING]
    means = {dtype: geometric_mean(list(by_pair(pairs, dtype).values())) for dtype in ("float32", "float64")}
    overall = geometric_mean(list(by_pair(pairs).values()))
    worst = sorted(pairs, key=lambda r: -r.ratio)[:5]
    lines = [
        f"Geometric mean of the ratios over {len(by_pair(pairs))} pairs and losses: **{overall:.2f}** "
        f"(float32 {means['float32']:.2f}, float64 {means['float64']:.2f}). Below 1, minigrad is faster.",
        "",
        "A training step of 784-256-128-10: "
        + ", ".join(f"{r.size} {r.ratio:.2f} ({r.dtype})" for r in rows if r.pair == TRAINING)
        + ".",
        "",
        "Slowest beside PyTorch: "
        + "; ".join(f"`{r.pair}` {r.ratio:.2f} ({r.size}, {r.dtype})" for r in worst)
        + ".",
    ]
    return "\n".join(lines)


def machine() -> str:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"{_processor()}, Python {platform.python_version()}, numpy {np.__version__} with {blas['name']} "
        f"{blas['version']} ({_kernels()}), PyTorch {torch.__version__}; one thread each."
    )


def _kernels() -> str:
    """Which kernels OpenBLAS chose for this processor, as it says itself."""
    for path in Path(np.__file__).parents[1].glob("numpy.libs/libscipy_openblas64_*"):
        corename = ctypes.CDLL(str(path)).scipy_openblas_get_corename64_
        corename.restype = ctypes.c_char_p
        return f"{corename().decode()} kernels"
    return "kernels not known"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def draw(rows: list[Row], path: Path) -> None:
    """A line for each pair, a mark for each size: circles for float32, crosses for float64."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    means = by_pair(rows)
    names = sorted(means, key=lambda name: -means[name])
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.26 * len(names)), layout="constrained")
    axes.axvline(1, color="#888888", linewidth=1)
    for dtype, marker, colour in (("float32", "o", "#0072b2"), ("float64", "x", "#d55e00")):
        chosen = [r for r in rows if r.dtype == dtype]
        axes.scatter(
            [r.ratio for r in chosen],
            [names.index(r.pair) for r in chosen],
            marker=marker,
            color=colour,
            s=22,
            alpha=0.8,
            label=dtype,
        )
    axes.scatter(list(means.values()), [names.index(n) for n in means], marker="|", color="black", s=160)
    axes.set_yticks(range(len(names)), names)
    axes.set_xscale("log")
    ticks = [0.1, 0.2, 0.5, 1, 2, 3]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("time of minigrad / time of PyTorch eager, forward and backward")
    axes.legend(loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="show that everything runs; write nothing")
    quick = parser.parse_args().quick
    rows = []
    for each in measure(0.0 if quick else 0.5):
        rows.append(each)
        print(f"{each.pair:24}{each.size:40}{each.dtype:9}{each.ratio:7.2f}", flush=True)
    text = f"""# How fast the layers are

Written by `make bench-layers`. Forward plus backward of each pair against PyTorch eager, autograd included, in the
same dtype, both on one thread. The two take turns; a ratio is the median over the turns, of processor time. "In
products" is the share of our time that the bare matrix products would take. Neither training step computes a
gradient for the images. Both libraries choose the kernels of their matrix products by themselves, and not always the
best: where OpenBLAS does not know a processor, it falls back on AVX2, while PyTorch's `lstm` in float32 finds AVX-512.

{summary(rows)}

![Ratios of time for each pair on a logarithmic axis, float32 and float64 marked apart](layers_speed.png)

{machine()}

{table(rows)}
"""
    print("", summary(rows), machine(), sep="\n")
    if not quick:
        (ROOT / "docs/layers_speed.md").write_text(text, encoding="utf-8")
        draw(rows, ROOT / "docs/layers_speed.png")


if __name__ == "__main__":
    main()
