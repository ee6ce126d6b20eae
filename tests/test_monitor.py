"""What is recorded is what happened, and nothing else changes because somebody looks."""

import io
import json
from dataclasses import asdict

import numpy as np
import pytest

from minigrad.layers import (
    affine_backward,
    affine_forward,
    relu_backward,
    relu_forward,
    rnn_backward,
    rnn_forward,
    tanh_backward,
    tanh_forward,
)
from minigrad.losses import mse_loss
from minigrad.monitor import GradientMonitor, outputs_of, read_record, update_ratio, watch
from minigrad.network import Layer, Sequential, from_zero_state
from minigrad.optimizers import adam, sgd, sgd_momentum
from minigrad.training import fit

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, :1] * X[:, 1:2]


def network(activation=(relu_forward, relu_backward)):
    rng = np.random.default_rng(1)
    return Sequential(
        first=Layer(affine_forward, affine_backward, {"w": rng.normal(size=(3, 8)), "b": np.zeros(8)}),
        hidden=Layer(*activation),
        last=Layer(affine_forward, affine_backward, {"w": rng.normal(size=(8, 1)), "b": np.zeros(1)}),
    )


def run(net, optimizer=adam, steps=25, rate=0.01, **more):
    return fit(
        net,
        (X, Y),
        mse_loss,
        optimizer,
        steps=steps,
        learning_rate=rate,
        rng=np.random.default_rng(2),
        **more,
    )


def watched(net, monitor, **more):
    for _ in watch(net, run(net, **more), monitor):
        pass
    return monitor.record


@pytest.mark.parametrize("optimizer", [sgd, sgd_momentum, adam])
def test_the_update_is_the_one_that_was_made_whatever_the_optimizer(optimizer):
    plain, params = network(), []
    params.append(plain.params)
    for _ in run(plain, optimizer):
        params.append(plain.params)
    record = watched(network(), GradientMonitor(every=4), optimizer=optimizer)
    assert [s.step for s in record.snapshots] == [0, 4, 8, 12, 16, 20, 24]
    assert [s.step for s in record.snapshots if "moved" in s.params["first.w"]] == [0, 4, 8, 16]
    for s in record.snapshots:
        for name in plain.params:
            before, after, first = params[s.step][name], params[s.step + 1][name], params[0][name]
            assert s.params[name]["update"] == pytest.approx(np.linalg.norm(after - before))
            assert s.params[name]["weight"] == pytest.approx(np.linalg.norm(before))
            if before.any():
                assert s.params[name]["ratio"] == pytest.approx(update_ratio(before, after))
            if first.any() and "moved" in s.params[name]:
                assert s.params[name]["moved"] == pytest.approx(update_ratio(first, after))


def test_directions():
    w, g = np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])
    monitor = GradientMonitor(every=2)
    for step in range(3):
        monitor.before(step, {"w": w})
        monitor.after(step, {"w": w - g if step != 2 else w + g}, {"w": g if step != 1 else -g}, 1.0)
    first, last = (s.params["w"] for s in monitor.record.snapshots)
    assert first["along"] == pytest.approx(1.0)
    assert first["shrink"] == pytest.approx(0.8)
    assert "turn" not in first
    assert last["along"] == pytest.approx(-1.0)
    assert last["turn"] == pytest.approx(-1.0)
    assert last["rms"] == pytest.approx(np.sqrt(2.0))


def test_watching_changes_nothing():
    plain, looked_at = network(), network()
    steps = list(run(plain))
    monitor = GradientMonitor(every=3, probe=lambda: outputs_of(looked_at, X))
    seen = list(watch(looked_at, run(looked_at), monitor))
    assert seen == steps
    assert monitor.record.losses == [s.loss for s in steps]
    assert monitor.record.gradient_norms == [s.gradient_norm for s in steps]
    for name, w in plain.params.items():
        np.testing.assert_array_equal(looked_at.params[name], w)
    assert all("forward" not in vars(part) for part in looked_at.parts.values())


def test_an_update_in_place_is_seen():
    w = np.ones(4)
    monitor = GradientMonitor()
    monitor.before(0, {"w": w})
    w -= 0.5
    monitor.after(0, {"w": w}, {"w": w}, 1.0)
    assert monitor.record.snapshots[0].params["w"]["ratio"] == 0.5


def test_activations_and_bounds():
    record = watched(network((tanh_forward, tanh_backward)), GradientMonitor(), steps=1)
    (snapshot,) = record.snapshots
    assert list(snapshot.activations) == ["input", "first", "hidden", "last"]
    assert record.facts["bounds"] == {"hidden": [-1.0, 1.0]}
    net, batch = network((tanh_forward, tanh_backward)), None

    def keep(x, y):
        nonlocal batch
        batch = x
        return mse_loss(x, y)

    list(fit(net, (X, Y), keep, sgd, steps=1, learning_rate=0.0, rng=np.random.default_rng(2)))
    assert snapshot.activations["last"]["mean"] == pytest.approx(batch.mean())
    assert snapshot.activations["last"]["std"] == pytest.approx(batch.std())
    assert snapshot.activations["last"]["peak"] == pytest.approx(np.abs(batch).max())
    hidden = net.parts["hidden"].forward(net.parts["first"].forward(X))
    assert 0 < snapshot.activations["hidden"]["saturated"] < 1
    assert np.mean(np.abs(hidden) > 0.98) == pytest.approx(
        snapshot.activations["hidden"]["saturated"], abs=0.2
    )


def test_dead_units_are_counted_over_the_probe_before_the_update():
    net = network()
    params = net.params
    params["first.b"][:3] = -100.0
    net.params = params
    monitor = GradientMonitor(probe=lambda: outputs_of(net, X))
    record = watched(net, monitor, steps=1, optimizer=sgd, rate=1e6)
    assert record.snapshots[0].probe["hidden"]["dead"] == 3 / 8
    assert record.snapshots[0].probe["first"]["dead"] == 0


def test_through_time():
    rng = np.random.default_rng(3)
    params = {"Wx": rng.normal(size=(2, 4)), "Wh": 0.1 * np.eye(4), "b": np.zeros(4)}
    net = Sequential(rnn=Layer(*from_zero_state(rnn_forward, rnn_backward), params))

    def last_only(h, y):
        dh = np.zeros_like(h)
        dh[:, -1] = 1.0
        return h[:, -1].sum(), dh

    monitor = GradientMonitor()
    x = rng.normal(size=(6, 5, 2)) * 0.01
    steps = fit(net, (x, np.zeros(6)), last_only, sgd, steps=1, learning_rate=0.1, rng=rng)
    list(watch(net, steps, monitor))
    norms = np.array(monitor.record.snapshots[0].through_time["rnn"])
    np.testing.assert_allclose(norms[:-1] / norms[1:], 0.1, rtol=0.01)  # Wh, at each step back


def broken(where):
    """A step in which one array is not finite, and all that comes after it."""
    names = ["hidden", "last", "loss", "gradient of last.w", "gradient of first.w"]
    bad = {
        name: np.full(2, np.nan) if k >= names.index(where) else np.ones(2) for k, name in enumerate(names)
    }
    monitor = GradientMonitor(every=10)
    monitor.before(0, {"first.w": np.ones(2)})
    monitor.after(0, {"first.w": np.ones(2)}, {"first.w": np.ones(2)}, 1.0)
    monitor.after(
        1,
        {"first.w": np.ones(2), "last.w": np.ones(2)},
        {"first.w": bad["gradient of first.w"], "last.w": bad["gradient of last.w"]},
        float(bad["loss"].sum()),
        {"hidden": bad["hidden"], "last": bad["last"]},
    )
    return monitor.record


@pytest.mark.parametrize("where", ["hidden", "last", "loss"])
def test_the_first_array_that_is_not_finite_is_named_though_the_step_was_not_due(where):
    record = broken(where)
    assert [s.step for s in record.snapshots] == [0, 1]
    assert record.snapshots[1].first_nonfinite == where


def test_large_numbers_are_finite():
    monitor = GradientMonitor()
    large = np.full(10, 3e38, np.float32)
    monitor.before(0, {"w": large})
    monitor.after(0, {"w": large}, {"w": large}, 1.0, {"h": large})
    found = monitor.record.snapshots[0]
    assert found.first_nonfinite is None
    assert found.params["w"]["gradient"] == pytest.approx(3e38 * np.sqrt(10), rel=1e-5)


def test_a_record_goes_to_a_file_and_comes_back(tmp_path):
    path = tmp_path / "run.jsonl"
    with path.open("w") as stream:
        monitor = GradientMonitor(every=4, stream=stream)
        with np.errstate(all="ignore"):
            record = watched(network(), monitor, optimizer=sgd, rate=1e200, steps=9)
        monitor.evaluate({"progress": 0.5})
    assert not np.isfinite(record.losses[-1])
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # NaN is not JSON
    again = read_record(path)
    np.testing.assert_equal(asdict(again), asdict(record))


def test_what_is_not_a_record_is_refused_and_a_cut_line_is_not(tmp_path):
    path = tmp_path / "run.jsonl"
    with path.open("w") as stream:
        watched(network(), GradientMonitor(every=4, stream=stream), steps=9)
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert len(read_record(path).snapshots) == 2
    path.write_text("{}\n" + whole)
    with pytest.raises(ValueError, match=r"line 1 of .* is not a snapshot"):
        read_record(path)


def test_clipping_is_noted():
    monitor = GradientMonitor()
    net = network()
    list(watch(net, run(net, clip=monitor.clip(1.0)), monitor))
    norms = monitor.record.gradient_norms
    assert monitor.record.clipped == pytest.approx([norm for norm in norms if norm > 1.0])


def test_symmetry_is_a_fact():
    monitor = GradientMonitor(stream=io.StringIO())
    rng = np.random.default_rng(0)
    monitor.before(
        0, {"a": np.ones((3, 4)), "b": rng.normal(size=(4, 4)), "c": np.zeros((4, 2)), "d": np.ones((4, 1))}
    )
    assert monitor.record.facts["symmetric"] == ["a"]


def test_mistakes():
    with pytest.raises(ValueError, match="every must be at least 1, not 0"):
        GradientMonitor(every=0)
    with pytest.raises(ValueError, match=r"before has shape \(2,\) but after has shape \(3,\)"):
        update_ratio(np.ones(2), np.ones(3))
    assert update_ratio(np.zeros(2), np.ones(2)) == np.inf
    assert update_ratio(np.zeros(2), np.zeros(2)) == 0
