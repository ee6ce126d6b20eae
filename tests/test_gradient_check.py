"""The checker of whole networks: right, wrong, or cannot tell, and what sort of mistake it is."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad.layers as layers
from minigrad.gradcheck import KINDS, check_network, gradient_check, measure_gradients
from minigrad.losses import softmax_loss
from minigrad.network import Layer, Residual, Sequential

N, D, H, C = 12, 6, 7, 4
SMOOTH, KINKED = ("tanh", "sigmoid", "softplus", "silu"), ("relu", "leaky_relu", "elu")


class Model:
    """Three affine layers with their gradients by hand, into which a mistake can be planted."""

    def __init__(self, activation: str, seed: int, scale: float = 1.0, offset: float = 0.0):
        rng = np.random.default_rng(seed)
        self.forward = getattr(layers, f"{activation}_forward")
        self.backward = getattr(layers, f"{activation}_backward")
        self.x, self.y = rng.normal(size=(N, D)), rng.integers(0, C, N)
        self.scale, self.offset = scale, offset
        shapes = {"w1": (D, H), "b1": (H,), "w2": (H, H), "b2": (H,), "w3": (H, C), "b3": (C,)}
        self.params = {name: 0.5 * rng.normal(size=shape) for name, shape in shapes.items()}

    def scores(self, p):
        h1, k1 = self.forward((r1 := layers.affine_forward(self.x, p["w1"], p["b1"]))[0])
        h2, k2 = self.forward((r2 := layers.affine_forward(h1, p["w2"], p["b2"]))[0])
        out, c3 = layers.affine_forward(h2, p["w3"], p["b3"])
        return out, (r1[1], k1, r2[1], k2, c3)

    def loss(self, p):
        return self.offset + self.scale * softmax_loss(self.scores(p)[0], self.y)[0]

    def grads(self, p=None, slope=None):
        p = p or self.params
        slope = slope or self.backward
        out, (c1, k1, c2, k2, c3) = self.scores(p)
        dout = self.scale * softmax_loss(out, self.y)[1]
        g = {}
        dh, g["w3"], g["b3"] = layers.affine_backward(dout, c3)
        self.da2 = slope(dh, k2)
        dh, g["w2"], g["b2"] = layers.affine_backward(self.da2, c2)
        _, g["w1"], g["b1"] = layers.affine_backward(self.backward(dh, k1), c1)
        return {name: g[name] for name in p}


def halves(model, g):
    """A different factor for each column of w2."""
    return {**g, "w2": g["w2"] * np.linspace(0.5, 2, H)}


def plant(model: Model, bug: str) -> dict:
    """The gradients with a mistake in what is closest to the loss of w2 and b2."""
    g = model.grads()
    match bug:
        case "sign":
            g["w2"] = -g["w2"]
        case "zero":
            g["b2"] = np.zeros(H)
        case "missing 1/N":
            g = {name: N * each for name, each in g.items()}
        case "extra 1/N":
            g["b2"] = model.da2.mean(axis=0)
        case "accumulated":
            g["w2"] = 2 * g["w2"]
        case "factor":
            g["w2"] = 1.37 * g["w2"]
        case "transposed":
            g["w2"] = g["w2"].T
        case "not summed":
            g["b2"] = model.da2[int(np.argmax(abs(model.da2).sum(axis=1)))]
        case "missing factor per channel":
            g = halves(model, g)
        case "missing term":
            g["w2"] = g["w2"] + 1e-3 * model.scale * model.params["w2"]
        case "float32 noise":
            g = {name: each.astype(np.float32).astype(np.float64) for name, each in g.items()}
        case "missing factor" | "mask wrong":
            g = model.grads(slope=lambda dout, cache: dout)
        case "not finite":
            g["w2"][1, 2] = np.nan
        case "shape":
            g["w2"] = g["w2"][:-1]
    return g


@pytest.mark.parametrize("activation", SMOOTH + KINKED)
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-9, 0), (1, 1e3), (1e-9, 1e3)])
def test_right_gradients_are_right_in_five_evaluations(activation, scale, offset):
    for seed in range(3):
        model = Model(activation, seed, scale, offset)
        report = gradient_check(model.loss, model.params, model.grads(), np.random.default_rng(seed))
        assert report.passed, str(report)
        assert (report.method, report.evaluations) == ("complex step", 5)


BUGS = [
    *("sign", "zero", "missing 1/N", "extra 1/N", "accumulated", "factor", "transposed", "not summed"),
    *("missing factor per channel", "missing term", "float32 noise", "not finite", "shape"),
]


@pytest.mark.parametrize("bug", [*BUGS, "missing factor"])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-9, 1e3)])
def test_a_mistake_is_found_and_named(bug, scale, offset):
    for seed, activation in enumerate(SMOOTH):
        model = Model(activation, seed, scale, offset)
        report = gradient_check(model.loss, model.params, plant(model, bug), np.random.default_rng(seed))
        assert report.verdict == "wrong"
        assert report.first.kind == bug, str(report)
        assert report.first.kind in KINDS
        if bug not in ("missing 1/N", "float32 noise"):
            assert report.first.name in ("w2", "b2")
            assert report["w3"].verdict == report["b3"].verdict == "right"


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_a_missing_mask_is_told_from_a_missing_slope_by_the_kinks(activation):
    model = Model(activation, 3)
    report = gradient_check(model.loss, model.params, plant(model, "mask wrong"), np.random.default_rng(0))
    assert report.first.kind == "mask wrong"


@pytest.mark.parametrize("bug", BUGS)
def test_a_loss_that_reads_its_parameters_elsewhere_is_measured_with_real_numbers(bug):
    model = Model("tanh", 1)
    grads = plant(model, bug)
    report = gradient_check(
        lambda ignored: model.loss(model.params), model.params, grads, np.random.default_rng(0)
    )
    assert report.method == "Richardson's differences"
    # Differences know a slope to ten digits at best: float32 in a gradient is below that, and is no mistake there.
    assert (report.verdict, report.first and report.first.kind) == (
        ("right", None) if bug == "float32 noise" else ("wrong", bug)
    )


def test_differences_that_drown_in_the_loss_settle_nothing():
    model = Model("tanh", 1, scale=1e-9, offset=1e3)
    rng = np.random.default_rng(0)
    report = gradient_check(lambda _: model.loss(model.params), model.params, model.grads(), rng)
    assert report.verdict == "cannot tell"
    assert "differences of this loss are only known to" in report["w1"].reason


@pytest.mark.parametrize("part", [abs, np.linalg.norm, np.var, lambda w: w.real])
def test_a_loss_that_loses_the_imaginary_part_is_not_believed(part):
    """The complex step is silently wrong for these."""
    rng = np.random.default_rng(2)
    w = {"w": rng.normal(size=(4, 5)), "v": rng.normal(size=3)}

    def loss(p):
        return (p["v"] ** 3).sum() + np.sum(part(p["w"]))

    from minigrad.gradcheck import numerical_gradient

    right = {"w": numerical_gradient(lambda _: float(loss(w)), w["w"]), "v": 3 * w["v"] ** 2}
    assert gradient_check(loss, w, right, rng).passed
    report = gradient_check(loss, w, {**right, "w": 1.5 * right["w"]}, rng)
    assert [each.name for each in report.wrong] == ["w"]


@given(seed=st.integers(0, 10_000), width=st.integers(1, 9), depth=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("complex_step", [True, False])
def test_no_right_gradient_of_a_kinked_network_is_called_wrong(complex_step, seed, width, depth):
    """Biases of zero and rows of zeros put units exactly on their kinks."""
    rng = np.random.default_rng(seed)
    sizes = [3, *[width] * depth, 2]
    params = {}
    for i, (m, n) in enumerate(itertools.pairwise(sizes)):
        params |= {f"w{i}": rng.normal(size=(m, n)), f"b{i}": np.zeros(n)}
    x, target = rng.normal(size=(5, 3)) * rng.integers(0, 2, (5, 1)), rng.normal(size=(5, 2))

    def run(p):
        h, caches = x, []
        for i in range(depth + 1):
            h, c = layers.affine_forward(h, p[f"w{i}"], p[f"b{i}"])
            caches.append(c)
            if i < depth:
                h, k = layers.relu_forward(h)
                caches.append(k)
        return h, caches

    def loss(p):
        return ((run(p)[0] - target) ** 2).sum()

    out, caches = run(params)
    d, grads = 2 * (out - target), {}
    for i in reversed(range(depth + 1)):
        if i < depth:
            d = layers.relu_backward(d, caches.pop())
        d, grads[f"w{i}"], grads[f"b{i}"] = layers.affine_backward(d, caches.pop())
    called = loss if complex_step else lambda _: loss(params)
    report = gradient_check(called, params, grads, rng)
    assert not report.wrong, str(report)


@given(seed=st.integers(0, 10_000), gain=st.sampled_from([0.05, 0.1, 0.3, 1.0]))
@settings(max_examples=25, deadline=None)
def test_a_deep_network_that_hardly_lets_anything_through_is_checked(seed, gain):
    """Examples die on the way, and a step that is small beside a bias of zero is huge beside their activations."""

    def network(backward):
        rng = np.random.default_rng(seed)
        parts, n = [], 10
        for depth in range(8):
            w = gain * np.sqrt(2 / n) * rng.normal(size=(n, 16))
            parts.append(Layer(layers.affine_forward, layers.affine_backward, {"w": w, "b": np.zeros(16)}))
            parts.append(Layer(layers.relu_forward, backward if depth == 3 else layers.relu_backward))
            n = 16
        last = {"w": gain * rng.normal(size=(n, 4)), "b": np.zeros(4)}
        return Sequential(*parts, Layer(layers.affine_forward, layers.affine_backward, last))

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, 10)), rng.integers(4, size=9)  # nine: no loss at which four classes balance
    right = check_network(network(layers.relu_backward), x, y, softmax_loss, rng)
    assert right.passed, str(right)
    report = check_network(network(lambda dout, cache: dout), x, y, softmax_loss, rng)
    assert report.culprit == "7", str(report)


def test_a_kink_at_the_point_accepts_what_lies_between_its_sides():
    w = {"w": np.array([0.0, 1.0, -2.0])}
    rng = np.random.default_rng(0)

    def loss(p):
        return np.maximum(p["w"], 0.0).sum()

    for slope in (0.0, 0.5, 1.0):
        assert gradient_check(loss, w, {"w": np.array([slope, 1.0, 0.0])}, rng).passed
    for slope in (-0.5, 1.5):
        report = gradient_check(loss, w, {"w": np.array([slope, 1.0, 0.0])}, rng)
        assert report["w"].worst.index == (0,)


def test_one_wrong_element_of_many_is_found():
    rng = np.random.default_rng(1)
    w = {"w": rng.normal(size=(60, 50))}
    grads = {"w": np.cos(w["w"])}
    grads["w"][41, 17] *= 1.01
    report = gradient_check(lambda p: np.sin(p["w"]).sum(), w, grads, rng)
    assert report["w"].worst.index == (41, 17)
    report = gradient_check(lambda _: np.sin(w["w"]).sum(), w, grads, rng)
    assert report["w"].worst.index == (41, 17)


def test_float32_is_measured_in_float64_where_that_can_be():
    model = Model("tanh", 0)
    params = {name: x.astype(np.float32) for name, x in model.params.items()}
    grads = {name: g.astype(np.float32) for name, g in model.grads(params).items()}
    assert gradient_check(model.loss, params, grads, np.random.default_rng(0)).passed
    grads["w1"] = grads["w1"] * np.float32(1.01)
    report = gradient_check(model.loss, params, grads, np.random.default_rng(0))
    assert [each.name for each in report.wrong] == ["w1"]


class TestAFunctionThatComputesGradients:
    def test_right_ones_are_right(self):
        model = Model("tanh", 0)
        assert gradient_check(model.loss, model.params, model.grads, np.random.default_rng(0)).passed

    def test_one_that_adds_up(self):
        model, kept = Model("tanh", 0), {}

        def compute(p):
            for name, g in model.grads(p).items():
                kept[name] = kept.get(name, 0) + g
            return kept

        report = gradient_check(model.loss, model.params, compute, np.random.default_rng(0))
        assert {each.kind for each in report.tensors} == {"accumulated"}

    def test_one_that_is_stale(self):
        model, kept = Model("tanh", 0), {}

        def compute(p):
            kept.update(kept or model.grads(p))
            return {**model.grads(p), "w2": kept["w2"]}

        report = gradient_check(model.loss, model.params, compute, np.random.default_rng(0))
        assert [(each.name, each.kind) for each in report.wrong] == [("w2", "stale")]

    def test_one_that_changes_its_parameters(self):
        model = Model("tanh", 0)
        before = {name: x.copy() for name, x in model.params.items()}

        def compute(p):
            grads = model.grads(p)
            p["w1"] -= 0.1 * grads["w1"]
            return grads

        report = gradient_check(model.loss, model.params, compute, np.random.default_rng(0))
        assert [(each.name, each.kind) for each in report.wrong] == [("w1", "input mutated")]
        np.testing.assert_equal(model.params, before)


class TestNetworks:
    X, Y = np.random.default_rng(1).normal(size=(8, 5)), np.arange(8) % 4

    def build(self, **backward):
        rng = np.random.default_rng(2)

        def pair(name):
            return getattr(layers, f"{name}_forward"), backward.get(name, getattr(layers, f"{name}_backward"))

        def affine(m, n):
            return Layer(*pair("affine"), {"w": rng.normal(size=(m, n)), "b": rng.normal(size=n)})

        norm = {"gamma": rng.uniform(0.5, 2, 6), "beta": rng.normal(size=6)}
        return Sequential(
            first=affine(5, 6),
            norm=Layer(*pair("batchnorm"), norm, {"mode": "train"}),
            relu=Layer(*pair("relu")),
            block=Residual(affine(6, 6), Layer(*pair("tanh"))),
            last=affine(6, 4),
        )

    def check(self, **backward):
        network = self.build(**backward)
        before = {name: x.copy() for name, x in (network.params | network.state).items()}
        report = check_network(network, self.X, self.Y, softmax_loss, np.random.default_rng(0))
        np.testing.assert_equal(network.params | network.state, before)
        assert network.forward(self.X).shape == (8, 4)  # it works as before
        return report

    def test_a_right_one_passes_also_where_a_bias_does_nothing(self):
        report = self.check()
        assert report.passed, str(report)
        assert report.whole.evaluations == 5

    @pytest.mark.parametrize(
        ("name", "backward", "culprit", "kind"),
        [
            ("relu", lambda d, c: d, "relu", "mask wrong"),
            ("relu", lambda d, c: d * (d > 0), "relu", "mask wrong"),
            ("tanh", lambda d, c: d, "block.1", "missing factor"),
            ("tanh", lambda d, c: -layers.tanh_backward(d, c), "block.1", "sign"),
            ("tanh", lambda d, c: np.zeros_like(d), "block.1", "zero"),
        ],
    )
    def test_the_layer_and_the_kind_are_named(self, name, backward, culprit, kind):
        report = self.check(**{name: backward})
        assert (report.culprit, report.finding.name, report.finding.kind) == (culprit, "input", kind)
        assert culprit in str(report)

    @pytest.mark.parametrize(
        ("change", "finding", "kind"),
        [
            (lambda d, x, g, b: (x, g / 8, b), "gamma", "extra 1/N"),
            (lambda d, x, g, b: (x, g, d[0]), "beta", "not summed"),
            (lambda d, x, g, b: (x + d.mean(axis=0), g, b), "input", "missing term"),
            (lambda d, x, g, b: (x * np.linspace(1, 2, 6), g, b), "input", "missing factor per channel"),
        ],
    )
    def test_one_gradient_of_a_layer(self, change, finding, kind):
        def backward(dout, cache):
            return change(dout, *layers.batchnorm_backward(dout, cache))

        report = self.check(batchnorm=backward)
        assert (report.culprit, report.finding.name, report.finding.kind) == ("norm", finding, kind)

    def test_one_that_writes_into_its_upstream_gradient(self):
        def backward(dout, cache):
            dout *= layers.relu_backward(np.ones_like(dout), cache)
            return dout

        report = self.check(relu=backward)
        assert (report.verdict, report.culprit) == ("wrong", "relu")
        assert (report.finding.name, report.finding.kind) == ("dout", "input mutated")


class TestRightGradientsInUnluckyPlaces:
    """None of these may be called wrong; each of them was."""

    @pytest.mark.parametrize("outer", [1.0, -1.0])
    def test_several_units_on_their_kinks_at_once(self, outer):
        """A row of zeros and biases of zero: backward takes the flat side of both units, which no line can see."""
        p = {"b": np.zeros(1), "c": np.zeros(1), "w": np.array([0.7])}

        def leaky(x):
            return np.where(x.real > 0, x, 0.1 * x)

        def loss(p):
            return (p["w"] * leaky(outer * leaky(p["b"]) + p["c"])).sum() + (p["w"] ** 2).sum()

        grads = {"b": 0.01 * outer * p["w"], "c": 0.1 * p["w"], "w": 2 * p["w"]}
        for called in (loss, lambda _: loss(p)):
            assert not gradient_check(called, p, grads, np.random.default_rng(0)).wrong
            wrong = {**grads, "b": 2 * p["w"]}
            assert [
                each.name for each in gradient_check(called, p, wrong, np.random.default_rng(0)).wrong
            ] == ["b"]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_bias_in_front_of_a_normalization_where_a_feature_is_constant(self, dtype):
        """Its gradient is zero on paper, and the normalization makes the rounding larger by 1 / sqrt(eps)."""
        rng = np.random.default_rng(0)
        shapes = {"w": (3, 4), "b": (4,), "gamma": (4,), "beta": (4,), "v": (4, 2), "c": (2,)}
        p = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
        x, y = rng.normal(size=(6, 3)).astype(dtype), np.arange(6) % 2
        x[:] = x[0]

        def run(p):
            a, c1 = layers.affine_forward(x, p["w"], p["b"])
            h, c2 = layers.batchnorm_forward(a, p["gamma"], p["beta"], {"mode": "train"})
            out, c3 = layers.affine_forward(h, p["v"], p["c"])
            return softmax_loss(out, y), (c1, c2, c3)

        ((_, dout), (c1, c2, c3)), g = run(p), {}
        dh, g["v"], g["c"] = layers.affine_backward(dout, c3)
        da, g["gamma"], g["beta"] = layers.batchnorm_backward(dh, c2)
        _, g["w"], g["b"] = layers.affine_backward(da, c1)
        assert not gradient_check(lambda p: run(p)[0][0], p, g, np.random.default_rng(0)).wrong

    def test_a_lost_imaginary_part_where_differences_drown(self):
        """Then nothing refutes the complex step, so it must not be believed."""
        p = {"w": np.array([0.3, -0.8]), "v": np.array([0.5, 1.2])}
        grads = {"w": -1e-9 * np.sin(p["w"]), "v": 1e-9 * np.cos(p["v"])}

        def whole(p):  # of one tensor, all is lost
            return 1e3 + 1e-9 * (np.cos(p["w"]).sum() + np.sin(p["v"].real).sum())

        def part(p):  # of another, one way of two
            return 1e3 + 1e-9 * (np.cos(p["w"]).sum() + np.sin(p["v"] * (p["v"].real / p["v"].real)).sum())

        def way(p):
            return 1e3 + 1e-9 * (p["w"] * np.tanh(p["w"].real)).sum() + 1e-9 * np.sin(p["v"]).sum()

        tanh = np.tanh(p["w"])
        both = {**grads, "w": 1e-9 * (tanh + p["w"] * (1 - tanh**2))}
        assert gradient_check(whole, p, grads, np.random.default_rng(0)).verdict == "cannot tell"
        assert gradient_check(part, p, grads, np.random.default_rng(0)).passed
        assert gradient_check(way, p, both, np.random.default_rng(0)).verdict == "cannot tell"


def test_a_gradient_of_zero_is_not_right_where_nothing_can_be_measured():
    model = Model("tanh", 1, scale=1e-9, offset=1e3)
    grads = {**model.grads(), "b2": np.zeros(H)}
    rng = np.random.default_rng(0)
    assert gradient_check(model.loss, model.params, grads, rng)["b2"].kind == "zero"
    report = gradient_check(lambda _: model.loss(model.params), model.params, grads, rng)
    assert report["b2"].verdict == "cannot tell"


def test_one_per_cent_is_not_called_right_by_a_measurement_as_coarse():
    model = Model("tanh", 1, scale=1e-6, offset=1e3)
    grads = {name: 1.01 * g for name, g in model.grads().items()}
    report = gradient_check(lambda _: model.loss(model.params), model.params, grads, np.random.default_rng(0))
    assert {each.verdict for each in report.tensors} <= {"wrong", "cannot tell"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda g: {**g, "b2": g["b2"][None]}, "shape"),
        (lambda g: {**g, "b2": np.stack([g["b2"]] * N)}, "not summed"),
    ],
)
def test_an_axis_too_many(change, kind):
    model = Model("tanh", 0)
    report = gradient_check(model.loss, model.params, change(model.grads()), np.random.default_rng(0))
    assert report.first.kind == kind


def test_filters_with_two_axes_swapped():
    w = {"w": np.random.default_rng(0).normal(size=(3, 2, 4, 4))}
    grads = {"w": np.cos(w["w"]).swapaxes(2, 3)}
    report = gradient_check(lambda p: np.sin(p["w"]).sum(), w, grads, np.random.default_rng(0))
    assert report.first.kind == "transposed"


class TestMeasuringAll:
    def setup_method(self):
        rng = np.random.default_rng(5)
        self.x, self.y = rng.normal(size=(9, 6)), rng.normal(size=(9, 3))
        self.params = {"w": rng.normal(size=(6, 3)), "b": rng.normal(size=3), "scale": np.array(1.3)}
        out = np.tanh(self.x @ self.params["w"] + self.params["b"])
        d = 2 * (1.3 * out - self.y)
        dz = d * 1.3 * (1 - out**2)
        self.right = {"w": self.x.T @ dz, "b": dz.sum(axis=0), "scale": (d * out).sum()}

    def loss(self, p, axis=None):
        return ((p["scale"] * np.tanh(self.x @ p["w"] + p["b"]) - self.y) ** 2).sum(axis=axis)

    def stacked(self, p):
        return self.loss(p, axis=(-2, -1))

    def real(self, p):
        return float(self.loss(p))

    @pytest.mark.parametrize(("form", "tolerance"), [("loss", 1e-8), ("stacked", 1e-8), ("real", 1e-8)])
    def test_it_agrees_with_the_derivation(self, form, tolerance):
        found = measure_gradients(getattr(self, form), self.params)
        for name, grad in self.right.items():
            np.testing.assert_allclose(found[name], grad, rtol=tolerance)

    def test_a_leading_axis_saves_evaluations(self):
        counts = {}
        for form in ("loss", "stacked"):
            calls = []
            measure_gradients(
                lambda p, form=form, calls=calls: calls.append(1) or getattr(self, form)(p),
                self.params,
            )
            counts[form] = len(calls)
        assert counts["stacked"] < counts["loss"] // 2

    def test_a_leading_axis_that_means_something_else_is_not_believed(self):
        """This returns one number for each of the copies, and the wrong ones."""

        def loss(p):
            value = self.loss(p, axis=(-2, -1))
            return value if np.ndim(value) == 0 else value[::-1]

        found = measure_gradients(loss, self.params)
        np.testing.assert_allclose(found["w"], self.right["w"], rtol=1e-8)


class TestWhatCannotBeChecked:
    rng = np.random.default_rng(0)

    def test_parameters_and_gradients_are_left_as_they_were(self):
        model = Model("tanh", 0)
        grads = plant(model, "transposed")
        before = [{name: np.array(value) for name, value in each.items()} for each in (model.params, grads)]
        gradient_check(model.loss, model.params, grads, self.rng)
        np.testing.assert_equal([model.params, grads], before)

        def raises(params):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            gradient_check(raises, model.params, grads, self.rng)
        np.testing.assert_equal([model.params, grads], before)

    def test_a_loss_that_is_not_finite(self):
        report = gradient_check(lambda p: np.inf, {"w": np.ones(2)}, {"w": np.zeros(2)}, self.rng)
        assert report.verdict == "cannot tell"
        assert "The loss is inf here" in str(report)

    def test_a_loss_that_is_drawn_anew_at_each_call(self):
        noise = np.random.default_rng(0)
        w = {"w": np.ones(3)}
        with pytest.raises(ValueError, match="the loss gives another value when it is called again"):
            gradient_check(lambda p: p["w"].sum() + noise.normal(), w, {"w": np.ones(3)}, self.rng)

    def test_a_missing_gradient(self):
        with pytest.raises(KeyError, match="no gradient for 'w'"):
            gradient_check(lambda p: 0.0, {"w": np.ones(2)}, {}, self.rng)

    def test_a_parameter_of_integers(self):
        with pytest.raises(TypeError, match=r"params\['w'\] must be an array of floats.*int64"):
            gradient_check(lambda p: 0.0, {"w": np.array([1, 2], np.int64)}, {"w": np.zeros(2)}, self.rng)

    @pytest.mark.parametrize("params", [{}, {"w": np.ones((0, 3))}])
    def test_nothing(self, params):
        with pytest.raises(ValueError, match="nothing to check"):
            gradient_check(lambda p: 0.0, params, params, self.rng)

    def test_the_report_reads_well(self):
        model = Model("tanh", 0)
        report = gradient_check(model.loss, model.params, plant(model, "accumulated"), self.rng)
        lines = str(report).splitlines()
        assert lines[0].startswith("wrong (complex step, ")
        assert [line.split(":")[0].strip() for line in lines[1:-1]] == list(model.params)
        assert "It is 2 times the measured one." in lines[3]
        assert lines[-1] == "The backward pass reaches w2 first: look there, or just above it."
