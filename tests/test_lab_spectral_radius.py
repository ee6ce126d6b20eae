"""The lab of assignment 06, and the numbers that its notebook relies on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import experiments, plots
from minigrad.clipping import clip_grad_norm
from minigrad.experiments import exploding_rnn as run
from minigrad.labs import explore, spectral_radius
from minigrad.layers import lstm_step_backward, lstm_step_forward, rnn_backward, rnn_forward
from minigrad.losses import svm_loss


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    """Stand in for the student's."""
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def unwritten(*args):
    raise NotImplementedError()


FUNCTIONS = {"rnn_step_forward": rnn_step_forward, "rnn_step_backward": rnn_step_backward}


def simulate(radius=1.1, steps=100, inputs=0.3, recurrence="linear", matrix="normal", **functions):
    parameters = {
        "radius": radius,
        "steps": steps,
        "inputs": inputs,
        "recurrence": recurrence,
        "matrix": matrix,
    }
    return spectral_radius.simulate(parameters, {**FUNCTIONS, **functions})


class TestMeasure:
    def test_a_linear_recurrence_multiplies_by_the_matrix(self):
        Wh = np.random.default_rng(0).standard_normal((5, 5))
        norms = spectral_radius.jacobian_norms(Wh, 7)
        expected = [np.linalg.norm(np.linalg.matrix_power(Wh, k), 2) for k in range(8)]
        np.testing.assert_allclose(norms, expected)

    @pytest.mark.parametrize("recurrence", ["ReLU", "tanh"])
    def test_the_jacobian_is_that_of_the_recurrence(self, recurrence):
        """Against finite differences of T steps, done here by hand."""
        Wh = spectral_radius.draw_matrix("normal", 1.2, 4, np.random.default_rng(1))
        norms, slope = spectral_radius.measure(Wh, 6, recurrence, 0.4, np.random.default_rng(2), FUNCTIONS)
        rng = np.random.default_rng(2)
        start, inputs = rng.standard_normal(4), [0.4 * rng.standard_normal(4) for _ in range(6)]
        slopes = []

        def last(h):
            slopes.clear()
            for x in inputs:
                a = h @ Wh + x
                h = np.tanh(a) if recurrence == "tanh" else np.maximum(a, 0)
                slopes.append(np.mean(1 / np.cosh(a) ** 2 if recurrence == "tanh" else a > 0))
            return h

        h = 1e-6
        jacobian = np.stack([(last(start + h * e) - last(start - h * e)) / (2 * h) for e in np.eye(4)])
        last(start)
        assert norms[-1] == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-6)
        assert slope == pytest.approx(np.mean(slopes))

    @pytest.mark.parametrize("kind", ["normal", "orthogonal", "triangular"])
    def test_a_matrix_has_the_radius_that_was_asked_for(self, kind):
        Wh = spectral_radius.draw_matrix(kind, 0.85, 24, np.random.default_rng(3))
        assert np.abs(np.linalg.eigvals(Wh)).max() == pytest.approx(0.85)

    def test_no_step_stretches_by_more_than_the_largest_singular_value(self):
        for recurrence in ("linear", "ReLU", "tanh"):
            for matrix in ("normal", "orthogonal", "triangular"):
                result = simulate(recurrence=recurrence, matrix=matrix)
                growth = result["norms"][1:] / np.maximum(result["norms"][:-1], 1e-300)
                assert growth.max() <= result["stretch"] * (1 + 1e-12)

    def test_tanh_runs_the_functions_it_is_given_and_the_others_do_not(self):
        def deaf(dnext_h, cache):
            return tuple(np.zeros_like(grad) for grad in rnn_step_backward(dnext_h, cache))

        assert not simulate(recurrence="tanh", rnn_step_backward=deaf)["norms"][1:].any()
        for recurrence in ("linear", "ReLU"):
            assert simulate(recurrence=recurrence, rnn_step_backward=deaf)["norms"].all()

    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("rnn_step_forward", lambda *args: rnn_step_forward(*args)[0]),
            ("rnn_step_forward", lambda *args: (np.zeros(3), None)),
            ("rnn_step_backward", lambda *args: rnn_step_backward(*args)[:3]),
            ("rnn_step_backward", lambda *args: (1.0, 2.0, 3.0, 4.0, 5.0)),
            ("rnn_step_backward", lambda *args: rnn_step_backward(*args)[1]),
        ],
    )
    def test_says_which_function_returned_something_else(self, name, function):
        with pytest.raises(ValueError, match=name):
            simulate(recurrence="tanh", **{name: function})


@pytest.mark.parametrize("recurrence", ["linear", "ReLU", "tanh"])
@pytest.mark.parametrize("matrix", ["normal", "orthogonal", "triangular"])
def test_every_position_can_be_drawn_and_described(recurrence, matrix):
    radius, steps = (1.5, 10) if matrix == "orthogonal" else (0.5, 100)
    result = simulate(radius, steps, 0.3, recurrence, matrix)
    figure = Figure(figsize=spectral_radius.SIZE)
    spectral_radius.draw(result, figure)
    assert len(plots.png(figure)) > 1000
    text = spectral_radius.describe(result)
    assert f"Spectral radius {radius:.2f}" in text
    assert f"After {steps} steps back the norm of the Jacobian is {result['norms'][-1]:.2g}" in text


def test_a_student_who_is_not_there_yet_is_told_what_to_write(capsys):
    explore.explore(spectral_radius, **{**FUNCTIONS, "rnn_step_backward": unwritten})
    assert "Write rnn_step_backward first" in capsys.readouterr().out


def test_what_the_notebook_says_there_is_to_find():
    normal = [simulate(radius)["norms"] for radius in (0.9, 1.1)]
    for radius, norms in zip((0.9, 1.1), normal, strict=True):
        assert (norms[100] / norms[50]) ** (1 / 50) == pytest.approx(radius, rel=0.01)
    assert simulate(0.5, matrix="triangular")["norms"].argmax() == 7
    assert simulate(0.9, matrix="triangular")["norms"].argmax() == 100
    tanh = simulate(1.1, recurrence="tanh")
    assert 5e-6 < tanh["norms"][-1] < 2e-5
    assert round(tanh["slope"], 2) == 0.80
    flatter = [simulate(1.1, inputs=size, recurrence="tanh") for size in (0.0, 0.3, 1.0)]
    assert flatter[0]["slope"] > flatter[1]["slope"] > flatter[2]["slope"]
    assert flatter[0]["norms"][-1] > flatter[1]["norms"][-1] > flatter[2]["norms"][-1]
    assert simulate(1.5, recurrence="tanh")["norms"][-1] < 1
    rotations = [
        simulate(radius, recurrence="tanh", matrix="orthogonal")["norms"][-1] for radius in (1.4, 1.45)
    ]
    assert rotations[0] < 1 < 20 < rotations[1]
    assert 0.45 < simulate(1.5, recurrence="ReLU")["slope"] < 0.55


# -- numbers in the notebook


@functools.cache
def runs(count=5, **changes):
    settings, functions = experiments.complete(run, changes), experiments.functions_of(run)
    with np.errstate(all="ignore"):
        return [run.run(settings, functions, np.random.default_rng(seed)) for seed in range(count)]


def test_the_matrix_of_the_failed_run_grows_and_then_its_gradient_is_gone():
    for record in runs():
        assert record["radii"][0] == pytest.approx(0.7)
        assert record["radii"][10:].min() > 5
        assert np.median(record["gradients"][6:]) < 0.1 < 10 < record["gradients"].max()
    kept = experiments.recorded("exploding_rnn")
    assert [round(each, 1) for each in kept["losses"][:4].tolist()] == [2.8, 4.5, 5.5, 55.5]
    assert [round(each, 2) for each in kept["radii"][:5].tolist()] == [0.7, 0.99, 3.06, 7.48, 30.68]
    assert round(kept["worst_loss"]) == 105
    assert round(kept["accuracy"], 2) == 0.25
    assert round(kept["saturated"], 2) == 0.95
    assert np.median(kept["gradients"][5:]) == pytest.approx(0.002, abs=2e-4)
    assert kept["gradients"][[5, 48]].min() > 2  # the peaks in the text of the figure


def test_a_smaller_matrix_lets_less_through_and_clipping_does_not_bring_it_back():
    clipped = runs(clip_norm=0.1)
    assert max(record["worst_loss"] for record in clipped) < 5
    assert np.mean([record["accuracy"] for record in clipped]) < 0.6
    tame = runs(radius=0.5, clip_norm=0.1)
    assert np.mean([record["accuracy"] for record in tame]) < 0.35
    slow = runs(start="orthogonal", radius=1.2, learning_rate=0.01)
    assert min(record["accuracy"] for record in slow) > 0.95  # the other way, without clipping


def test_at_a_radius_of_one_or_less_most_is_lost_on_the_way_back():
    shares = {}
    for start in ("normal", "orthogonal"):
        for radius in (0.7, 1.0, 1.2):
            found = []
            for seed in range(10):
                rng = np.random.default_rng(seed)
                x, _ = run.memory_task(32, 20, rng, noise=0.1)
                Wx, Wh = rng.standard_normal((4, 32)), run.matrix(start, radius, 32, rng)
                _, cache = rnn_forward(x, np.zeros((32, 32)), Wx, Wh, np.zeros(32))
                dh = np.zeros((32, 20, 32))
                dh[:, -1] = rng.standard_normal((32, 32))
                arrived = np.linalg.norm(rnn_backward(dh, cache)[0], axis=(0, 2))
                found.append(arrived[0] / arrived[-1])
            shares[start, radius] = np.array(found)
    assert shares["normal", 0.7].max() < 2e-4
    assert shares["orthogonal", 0.7].max() < 1e-3
    assert np.median(shares["orthogonal", 1.0]) > 2 * np.median(shares["normal", 1.0])
    assert shares["orthogonal", 1.2].min() > 0.2


def test_other_remedies_that_the_notebook_says_work_do():
    for start, radius in (("orthogonal", 1.1), ("orthogonal", 1.5), ("normal", 1.2)):
        changes = {"start": start, "radius": radius, "clip_norm": 0.1}
        measured = experiments.measure("exploding_rnn", changes, range(5))
        assert measured["accuracy"] > 0.98
        assert measured["worst_loss"] < 5


def test_all_eigenvalues_at_0_8_and_a_norm_of_8608_on_the_way():
    norms = spectral_radius.jacobian_norms(
        spectral_radius.draw_matrix("triangular", 0.8, 24, np.random.default_rng(6)), 400
    )
    assert norms.argmax() == 45
    assert round(norms.max()) == 8608
    assert norms[-1] < 2e-15


def test_tanh_at_a_radius_of_1_1_vanishes_where_the_linear_recurrence_explodes():
    ends, slopes = {}, {}
    for recurrence, inputs in (("linear", 0.0), ("tanh", 0.0), ("tanh", 0.1), ("tanh", 0.3)):
        found = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            Wh = spectral_radius.draw_matrix("normal", 1.1, 24, rng)
            found.append(spectral_radius.measure(Wh, 100, recurrence, inputs, rng, FUNCTIONS))
        ends[recurrence, inputs] = np.array([each.norms[-1] for each in found])
        slopes[recurrence, inputs] = np.mean([each.slope for each in found])
    shrinking = {key: int(np.sum(values < 1)) for key, values in ends.items()}
    assert shrinking == {("linear", 0.0): 0, ("tanh", 0.0): 13, ("tanh", 0.1): 20, ("tanh", 0.3): 20}
    assert round(slopes["tanh", 0.3], 2) == 0.80
    assert 1e-6 < np.median(ends["tanh", 0.3]) < 1e-5


def test_a_radius_of_one_comes_close_to_a_cure():
    changes = {"start": "orthogonal", "radius": 1.0, "clip_norm": 0.1}
    accuracies = [record["accuracy"] for record in runs(10, **changes)]
    assert np.mean(accuracies) == pytest.approx(0.91, abs=0.02)
    assert np.sum(np.array(accuracies) < 0.8) == 3


def test_one_matrix_spreads_where_a_hundred_average_out():
    radii, same, different = [], [], []
    for seed in range(20):
        matrices = np.random.default_rng(seed).standard_normal((100, 24, 24)) / np.sqrt(24)
        radii.append(run.spectral_radius(matrices[0]))
        same.append(np.linalg.norm(np.linalg.matrix_power(matrices[0], 100), 2))
        different.append(np.linalg.norm(functools.reduce(np.matmul, matrices), 2))
    assert (round(min(same), 1), f"{max(same):.0e}") == (0.9, "9e+13")
    assert (round(min(different), 1), round(max(different))) == (0.2, 35)
    assert round(max(radii), 2) == 1.38
    assert max(radii) ** 100 == pytest.approx(max(same), rel=0.3)


def test_with_clipping_the_first_symbol_is_out_of_reach_at_the_start_and_for_most_to_the_end():
    """The loop of section 7, five times; networks that find a matrix which lets the gradient through do best."""
    shares, accuracies = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        params = {
            "Wx": rng.standard_normal((4, 32)),
            "Wh": run.matrix("normal", 0.7, 32, rng),
            "b": np.zeros(32),
        }
        params |= {"w": rng.standard_normal((32, 4)) / np.sqrt(32), "c": np.zeros(4)}
        arrives = []
        for _ in range(80):
            x, y = run.memory_task(32, 20, rng, noise=0.1)
            h, cache = rnn_forward(x, np.zeros((32, 32)), params["Wx"], params["Wh"], params["b"])
            _, dscores = svm_loss(h[:, -1] @ params["w"] + params["c"], y)
            dh = np.zeros_like(h)
            dh[:, -1] = dscores @ params["w"].T
            dx, _, dWx, dWh, db = rnn_backward(dh, cache)
            grads = {"Wx": dWx, "Wh": dWh, "b": db, "w": h[:, -1].T @ dscores, "c": dscores.sum(axis=0)}
            clipped, _ = clip_grad_norm(grads, 0.1)
            params = {name: value - 2.0 * clipped[name] for name, value in params.items()}
            arrives.append(np.linalg.norm(dx[:, 0]) / np.linalg.norm(dx[:, -1]))
        x, y = run.memory_task(512, 20, rng, noise=0.1)
        h, _ = rnn_forward(x, np.zeros((512, 32)), params["Wx"], params["Wh"], params["b"])
        accuracies.append(np.mean((h[:, -1] @ params["w"] + params["c"]).argmax(axis=1) == y))
        shares.append((arrives[0], np.median(arrives[-10:])))
    first, last = np.array(shares).T
    assert first == pytest.approx(np.full(5, 1e-4), abs=5e-5)
    through = last > 0.5
    assert through.sum() == 2
    assert last[~through].max() < 0.1
    assert set(np.argsort(accuracies)[-2:]) == set(np.flatnonzero(through))
    assert max(accuracies) == pytest.approx(0.74, abs=0.01)


def test_an_lstm_remembers_where_its_forget_gates_start_open():
    normal, orthogonal, shut, opened = experiments.recorded("memory")["accuracies"]
    assert np.sum(opened > 0.905) == 4
    assert np.sort(opened)[:2] == pytest.approx([0.7, 0.7], abs=0.02)
    assert max(normal.max(), orthogonal.max()) == pytest.approx(0.65, abs=0.01)
    assert shut.max() < 0.3


def test_the_gradient_along_the_cell_is_about_the_product_of_the_forget_gates():
    arrives = {}
    for bias, size in ((0.0, 1 / 16), (4.0, 1 / 16), (4.0, 1 / 4)):
        rng = np.random.default_rng(0)
        Wx, Wh, b = 0.5 * rng.standard_normal((4, 64)), size * rng.standard_normal((16, 64)), np.zeros(64)
        b[16:32] = bias
        h, c, caches = np.zeros((32, 16)), np.zeros((32, 16)), []
        for _ in range(40):
            h, c, cache = lstm_step_forward(0.5 * rng.standard_normal((32, 4)), h, c, Wx, Wh, b)
            caches.append(cache)
        dh, dc = np.zeros((32, 16)), rng.standard_normal((32, 16))
        before = np.linalg.norm(dc)
        for cache in reversed(caches):
            _, dh, dc, *_ = lstm_step_backward(dh, dc, cache)
        arrives[bias, size] = np.linalg.norm(dc) / before
    assert arrives[0.0, 1 / 16] < 1e-10
    assert 0.8 < arrives[4.0, 1 / 16] < 1
    assert 5 < arrives[4.0, 1 / 4] < 15
