"""Training: what a step does, what a record says, and that it repeats to the bit."""

import io
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import adding_task, digits, memory_task, spirals, split
from minigrad.layers import (
    affine_backward,
    affine_forward,
    last_step_backward,
    last_step_forward,
    lstm_backward,
    lstm_forward,
    relu_backward,
    relu_forward,
)
from minigrad.network import Layer, Sequential, from_zero_state
from minigrad.optimizers import adam, sgd, sgd_momentum
from minigrad.schedules import step_decay
from minigrad.training import accuracy, evaluate, fit


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def affine(rng: np.random.Generator, d: int, m: int, dtype: type = np.float64) -> Layer:
    w = rng.standard_normal((d, m)) * np.sqrt(2 / d)
    return Layer(affine_forward, affine_backward, {"w": w.astype(dtype), "b": np.zeros(m, dtype)})


def mlp(rng: np.random.Generator, *sizes: int, dtype: type = np.float64) -> Sequential:
    parts = []
    for d, m in itertools.pairwise(sizes):
        parts += [affine(rng, d, m, dtype), Layer(relu_forward, relu_backward)]
    return Sequential(*parts[:-1])


def cross_entropy(scores, y):
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    dscores = p.copy()
    dscores[rows, y] -= 1
    return -np.log(p[rows, y]).mean(), dscores / len(y)


def squared(scores, y):
    return np.mean((scores - y) ** 2), 2 * (scores - y) / scores.size


class Recorder:
    """The identity as a loss, which writes down the targets of every batch."""

    def __init__(self):
        self.batches = []

    def __call__(self, scores, y):
        self.batches.append(y.tolist())
        return 0.0, np.zeros_like(scores)


# ------------------------------------------------------------------------------
# It learns
# ------------------------------------------------------------------------------


def test_a_small_network_learns_spirals(rng: np.random.Generator):
    train, test = split(*spirals(600, rng), 0.8, rng)
    network = mlp(rng, 2, 64, 3)
    records = list(
        fit(network, train, cross_entropy, adam, steps=400, learning_rate=1e-2, rng=rng, accuracy=accuracy)
    )
    assert np.mean([record.accuracy for record in records[-20:]]) > 0.9
    assert evaluate(network, test, cross_entropy, accuracy)[1] > 0.9
    linear = mlp(rng, 2, 3)
    list(fit(linear, train, cross_entropy, adam, steps=400, learning_rate=1e-2, rng=rng))
    assert evaluate(linear, test, cross_entropy, accuracy)[1] < 0.75


def test_a_small_network_learns_digits(rng: np.random.Generator):
    train, test = split(*digits(np.float32), 0.8, rng)
    network = mlp(rng, 64, 32, 10, dtype=np.float32)
    list(fit(network, train, cross_entropy, adam, steps=300, learning_rate=5e-3, rng=rng))
    assert evaluate(network, test, cross_entropy, accuracy)[1] > 0.93
    assert {array.dtype for array in network.params.values()} == {np.dtype(np.float32)}


def test_an_lstm_learns_what_it_has_to_remember(rng: np.random.Generator):
    width, steps = 16, 20
    b = np.zeros(4 * width)
    b[width : 2 * width] = 3.0  # the forget gate open
    weights = {
        "Wx": 0.5 * rng.standard_normal((3, 4 * width)),
        "Wh": 0.2 * rng.standard_normal((width, 4 * width)),
        "b": b,
    }
    network = Sequential(
        lstm=Layer(*from_zero_state(lstm_forward, lstm_backward), weights),
        last=Layer(last_step_forward, last_step_backward),
        head=affine(rng, width, 3),
    )
    records = fit(
        network,
        lambda rng, n: memory_task(n, steps, rng, symbols=3),
        cross_entropy,
        adam,
        steps=120,
        learning_rate=2e-2,
        rng=rng,
        clip=lambda grads: clip_grad_norm(grads, 1.0),
    )
    assert [record.loss for record in records][-1] < 0.1
    assert evaluate(network, memory_task(200, steps, rng, symbols=3), cross_entropy, accuracy)[1] == 1


# ------------------------------------------------------------------------------
# What a step does
# ------------------------------------------------------------------------------


def test_a_step_is_forward_loss_backward_update(rng: np.random.Generator):
    x, y = rng.standard_normal((10, 3)), rng.standard_normal((10, 2))
    network = affine(rng, 3, 2)
    w, b = network.params["w"], network.params["b"]
    (record,) = fit(network, (x, y), squared, sgd, steps=1, learning_rate=0.5, batch_size=10, rng=rng)
    error = x @ w + b - y
    dw, db = x.T @ error / 10, error.sum(axis=0) / 10
    assert record.loss == pytest.approx(np.mean(error**2))
    assert record.gradient_norm == pytest.approx(np.sqrt((dw**2).sum() + (db**2).sum()))
    assert (record.step, record.epoch, record.learning_rate, record.accuracy) == (0, 0, 0.5, None)
    np.testing.assert_allclose(network.params["w"], w - 0.5 * dw)
    np.testing.assert_allclose(network.params["b"], b - 0.5 * db)
    np.testing.assert_allclose(network.grads["w"], dw)


def test_every_example_is_seen_once_an_epoch_in_a_new_order(rng: np.random.Generator):
    x, y = np.zeros((10, 1)), np.arange(10)
    seen = Recorder()
    records = list(
        fit(affine(rng, 1, 1), (x, y), seen, sgd, steps=9, learning_rate=0.1, batch_size=4, rng=rng)
    )
    assert [record.epoch for record in records] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [len(batch) for batch in seen.batches] == [4, 4, 2] * 3
    epochs = [[row for batch in seen.batches[k : k + 3] for row in batch] for k in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(10))


def test_a_batch_is_never_larger_than_the_data(rng: np.random.Generator):
    seen = Recorder()
    data = (np.zeros((3, 1)), np.arange(3))
    list(fit(affine(rng, 1, 1), data, seen, sgd, steps=2, learning_rate=0.1, batch_size=100, rng=rng))
    assert [sorted(batch) for batch in seen.batches] == [[0, 1, 2]] * 2


def test_everything_repeats_to_the_bit(rng: np.random.Generator):
    data = spirals(100, rng)

    def run(seed: int) -> tuple:
        network = mlp(np.random.default_rng(0), 2, 8, 3)
        records = list(
            fit(
                network,
                data,
                cross_entropy,
                adam,
                steps=30,
                learning_rate=0.01,
                rng=np.random.default_rng(seed),
                clip=lambda grads: clip_grad_norm(grads, 0.5),
                accuracy=accuracy,
            )
        )
        return records, [array.tobytes() for array in network.params.values()]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_schedule_sets_the_rate_that_is_used_and_recorded(rng: np.random.Generator):
    used = []

    def spy(w, dw, config):
        used.append(config["learning_rate"])
        return sgd(w, dw, config)

    data = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    records = fit(
        affine(rng, 3, 2),
        data,
        squared,
        spy,
        steps=4,
        learning_rate=1.0,
        rng=rng,
        schedule=lambda step, rate: step_decay(step, rate, every=2),
    )
    rates = [record.learning_rate for record in records]
    assert rates == pytest.approx([1.0, 1.0, 0.1, 0.1])
    assert used == [rate for rate in rates for _ in "wb"]


def test_clipping_changes_the_update_and_not_the_record(rng: np.random.Generator):
    data = rng.standard_normal((8, 3)), 100 * rng.standard_normal((8, 2))
    network = affine(rng, 3, 2)
    before = network.params
    (record,) = fit(
        network,
        data,
        squared,
        sgd,
        steps=1,
        learning_rate=1.0,
        rng=rng,
        clip=lambda grads: clip_grad_norm(grads, 0.5),
    )
    moved = [before[name] - network.params[name] for name in before]
    assert record.gradient_norm > 10
    assert np.sqrt(sum((array**2).sum() for array in moved)) == pytest.approx(0.5)
    assert np.sqrt(sum((array**2).sum() for array in network.grads.values())) == pytest.approx(
        record.gradient_norm
    )


def test_each_parameter_has_a_config_of_its_own(rng: np.random.Generator):
    configs: dict[int, set] = {}

    def spy(w, dw, config):
        configs.setdefault(id(config), set()).add(w.shape)
        assert config["momentum"] == 0.5
        return sgd_momentum(w, dw, config)

    data = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    given = {"momentum": 0.5}
    list(fit(affine(rng, 3, 2), data, squared, spy, steps=3, learning_rate=0.1, rng=rng, config=given))
    assert sorted(map(sorted, configs.values())) == [[(2,)], [(3, 2)]]
    assert given == {"momentum": 0.5}


def test_data_may_be_made_for_each_batch(rng: np.random.Generator):
    sizes = []

    def draw(rng, n):
        x, y = adding_task(n, 5, rng)
        sizes.append(n)
        return x.reshape(n, 10), y

    records = list(
        fit(affine(rng, 10, 1), draw, squared, sgd, steps=3, learning_rate=0.1, batch_size=7, rng=rng)
    )
    assert sizes == [7, 7, 7]
    assert {record.epoch for record in records} == {0}


def test_nothing_happens_before_the_first_record_is_asked_for(rng: np.random.Generator):
    network = affine(rng, 1, 1)
    before = network.params
    records = fit(
        network, (np.ones((4, 1)), np.zeros((4, 1))), squared, sgd, steps=5, learning_rate=0.1, rng=rng
    )
    assert network.params["w"] is before["w"]
    for record in records:
        if record.step == 1:
            break
    third = network.params["w"]
    records.close()
    assert network.params["w"] is third
    assert (
        list(
            fit(network, (np.ones((4, 1)), np.zeros((4, 1))), squared, sgd, steps=0, learning_rate=1, rng=rng)
        )
        == []
    )


def test_a_loss_that_is_not_finite_is_a_record_like_any_other(rng: np.random.Generator):
    data = np.ones((4, 1)), np.zeros((4, 1))
    with np.errstate(all="ignore"):
        records = list(fit(affine(rng, 1, 1), data, squared, sgd, steps=400, learning_rate=10.0, rng=rng))
    assert len(records) == 400
    assert not np.isfinite(records[-1].loss)
    assert not np.isfinite(records[-1].gradient_norm)


def test_the_norm_of_large_float32_gradients_is_finite(rng: np.random.Generator):
    data = np.full((4, 1), 1e15, np.float32), np.zeros((4, 1), np.float32)
    network = affine(rng, 1, 1, np.float32)
    loss = lambda scores, y: (0.0, np.full_like(scores, 1e8))  # noqa: E731
    (record,) = fit(network, data, loss, sgd, steps=1, learning_rate=0.0, rng=rng)
    assert record.gradient_norm == pytest.approx(4e23)


# ------------------------------------------------------------------------------
# Modes
# ------------------------------------------------------------------------------


def with_a_mode(modes: list[str]) -> Layer:
    def forward(x, scale, param):
        modes.append(param["mode"])
        return x * scale, (x, scale)

    def backward(dout, cache):
        x, scale = cache
        return dout * scale, np.sum(dout * x)

    return Layer(forward, backward, {"scale": np.array(1.0)}, {"mode": "train"})


def test_training_trains_whatever_happened_in_between(rng: np.random.Generator):
    modes: list[str] = []
    network = with_a_mode(modes)
    data = np.ones((4, 1)), np.zeros((4, 1))
    for _ in fit(network, data, squared, sgd, steps=2, learning_rate=0.1, rng=rng):
        evaluate(network, data, squared)
        assert network.mode == "train"
        network.mode = "test"
    assert modes == ["train", "test", "train", "test"]


def test_evaluating_leaves_the_mode_as_it_was():
    modes: list[str] = []
    network = with_a_mode(modes)
    for mode in ("test", "train"):
        network.mode = mode
        evaluate(network, (np.ones((4, 1)), np.zeros((4, 1))), squared)
        assert network.mode == mode
    with pytest.raises(ZeroDivisionError):
        evaluate(network, (np.ones((4, 1)), np.zeros((4, 1))), lambda scores, y: 1 / 0)
    assert network.mode == "train"
    assert modes == ["test"] * 3


# ------------------------------------------------------------------------------
# What is refused
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"steps": -1}, "steps must be at least 0, not -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"data": (np.ones((4, 1)), np.ones(3))}, r"x has shape \(4, 1\) but y has shape \(3,\)"),
        ({"data": (np.ones((0, 1)), np.ones(0))}, r"x has shape \(0, 1\): there is nothing to learn from"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: dict, complaint: str, rng: np.random.Generator):
    arguments = {"data": (np.ones((4, 1)), np.ones((4, 1))), "steps": 1} | wrong
    data = arguments.pop("data")
    with pytest.raises(ValueError, match=f"^fit: {complaint}"):
        fit(affine(rng, 1, 1), data, squared, sgd, learning_rate=0.1, rng=rng, **arguments)


def test_a_clip_that_loses_a_gradient_is_noticed(rng: np.random.Generator):
    data = np.ones((4, 1)), np.ones((4, 1))
    lossy = lambda grads: ({"w": grads["w"]}, 0.0)  # noqa: E731
    records = fit(affine(rng, 1, 1), data, squared, sgd, steps=1, learning_rate=0.1, rng=rng, clip=lossy)
    with pytest.raises(ValueError, match=r"^fit: there are gradients of \['w'\] but parameters \['b', 'w'\]"):
        next(records)


def test_accuracy_wants_a_class_for_each_row():
    assert accuracy(np.eye(3)[None], np.array([[0, 1, 1]])) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"^accuracy: scores has shape \(4, 3\) but y has shape \(4, 1\)"):
        accuracy(np.ones((4, 3)), np.ones((4, 1), int))
    with pytest.raises(ValueError, match=r"^accuracy: scores has shape \(0, 3\) but y has shape \(0,\)"):
        accuracy(np.ones((0, 3)), [])


# ------------------------------------------------------------------------------
# The progress bar, and what is imported
# ------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, terminal: io.StringIO, progress: bool) -> tuple[str, list]:
    monkeypatch.setattr(sys, "stderr", terminal)
    rng = np.random.default_rng(0)
    data = np.ones((4, 1)), np.zeros((4, 1))
    records = list(
        fit(affine(rng, 1, 1), data, squared, sgd, steps=3, learning_rate=0.1, rng=rng, progress=progress)
    )
    return terminal.getvalue(), records


def test_a_bar_is_shown_to_a_person_who_asks(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    with_bar, records = shown(monkeypatch, Terminal(), True)
    assert "loss" in with_bar
    for terminal, progress in ((Terminal(), False), (io.StringIO(), True)):
        text, same = shown(monkeypatch, terminal, progress)
        assert text == ""
        assert same == records
    monkeypatch.setitem(sys.modules, "rich.progress", None)  # not installed
    assert shown(monkeypatch, Terminal(), True) == ("", records)


def test_the_library_needs_numpy_alone():
    script = """
import sys, numpy
before = set(sys.modules)
import minigrad
assert len(set(sys.modules) - before) == 1
import minigrad.layers, minigrad.network, minigrad.training, minigrad.datasets
new = {name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)}
new = {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)
assert new <= {"minigrad", "numpy"}, new
"""
    root = Path(minigrad.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
