"""The monitor on models of PyTorch: the same arrays, the same report, and the model left as it was."""

import itertools

import numpy as np
import pytest

from minigrad.bridges.torch import Watcher, watch
from minigrad.datasets import digits

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def data(scale=1.0):
    x, y = digits(np.float32)
    return torch.tensor((x[:600] - 0.305) / 0.376 * scale), torch.tensor(y[:600])


def network(*more, width=32):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.ReLU(), *more, torch.nn.Linear(width, width), torch.nn.ReLU(),
        torch.nn.Linear(width, 10),
    )  # fmt: skip


def train(model, optimizer, x, y, steps=100, zero=True, every=10) -> Watcher:
    watcher, generator = watch(model, optimizer, every, (x, y)), torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(x), (32,), generator=generator)
        if zero:
            optimizer.zero_grad()
        scores = model(x[rows])
        loss = torch.nn.functional.cross_entropy(scores, y[rows])
        loss.backward()
        optimizer.step()
        watcher.step(loss, float((scores.argmax(1) == y[rows]).float().mean()))
    return watcher


def test_what_is_recorded_is_what_the_optimizer_did():
    x, y = data()
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.003)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    watcher = train(model, optimizer, x, y, steps=1)
    (snapshot,) = watcher.monitor.record.snapshots
    for name, p in model.named_parameters():
        update = (p.detach() - before[name]).norm()
        found = snapshot.params[name]
        assert found["update"] == pytest.approx(float(update), rel=1e-4)
        assert found["ratio"] == pytest.approx(float(update / before[name].norm()), rel=1e-4)
        assert found["gradient"] == pytest.approx(float(p.grad.norm()), rel=1e-5)
    assert list(snapshot.activations) == ["input", "0", "1", "2", "3", "4"]
    assert set(snapshot.probe) == {"0", "1", "2", "3", "4"}


def test_watching_changes_nothing_and_can_end():
    x, y = data()
    watched, alone = network(torch.nn.Dropout(0.2)), network(torch.nn.Dropout(0.2))
    train(watched, torch.optim.SGD(watched.parameters(), 0.05), x, y, steps=30).close()
    optimizer, generator = torch.optim.SGD(alone.parameters(), 0.05), torch.Generator().manual_seed(0)
    network(torch.nn.Dropout(0.2))  # the seed of the masks
    for _ in range(30):
        rows = torch.randint(len(x), (32,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(alone(x[rows]), y[rows]).backward()
        optimizer.step()
    for a, b in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not watched._forward_pre_hooks
    assert not any(m._forward_hooks for m in watched.modules())


def found(watcher):
    return [finding.cause for finding in watcher.findings() if finding.level == "failure"]


def test_a_healthy_run_is_left_in_peace():
    x, y = data()
    model = network(torch.nn.BatchNorm1d(32))
    assert found(train(model, torch.optim.Adam(model.parameters(), 0.003), x, y, steps=200)) == []


def ascending(model):
    return torch.optim.SGD(model.parameters(), 0.05, maximize=True)


FAULTS = {
    "update against descent": {"optimizer": ascending},
    "learning rate too high": {"optimizer": lambda model: torch.optim.SGD(model.parameters(), 30.0)},
    "learning rate too low": {"optimizer": lambda model: torch.optim.SGD(model.parameters(), 1e-5)},
    "parameters not updated": {
        "optimizer": lambda model: torch.optim.SGD(itertools.islice(model.parameters(), 4, None), 1e-3)
    },
    "gradients accumulate": {
        "optimizer": lambda model: torch.optim.Adam(model.parameters(), 0.02),
        "zero": False,
    },
    "inputs not standardized": {
        "optimizer": lambda model: torch.optim.SGD(model.parameters(), 0.05),
        "scale": 300.0,
    },
}


@pytest.mark.parametrize("cause", FAULTS)
def test_a_planted_fault_is_named_first(cause):
    fault = dict(FAULTS[cause])
    x, y = data(fault.pop("scale", 1.0))
    model = network()
    watcher = train(model, fault.pop("optimizer")(model), x, y, **fault)
    assert found(watcher)[0] == cause, watcher.report()
    assert cause in watcher.report()
