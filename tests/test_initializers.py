"""Initializers have the variance that they promise, and the promise keeps a deep network alive."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from minigrad.gains import fans, gain
from minigrad.initializers import (
    constant,
    he_init,
    he_normal,
    he_uniform,
    normal,
    orthogonal,
    xavier_init,
    xavier_normal,
    xavier_uniform,
)

ALL = [constant, normal, xavier_normal, xavier_uniform, he_normal, he_uniform, orthogonal]
SHAPES = [(300, 200), (40, 30, 3, 5)]


def fresh() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("initializer", ALL, ids=lambda function: function.__name__)
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (4, 3, 2, 2), (1, 1)])
def test_shape_and_dtype_are_what_was_asked_for(initializer: Callable, shape: tuple):
    wide, narrow = initializer(shape, fresh()), initializer(shape, fresh(), dtype=np.float32)
    assert wide.shape == narrow.shape == shape
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(wide.astype(np.float32), narrow)  # the same numbers
    np.testing.assert_array_equal(initializer(shape, fresh()), wide)  # again, from the same seed
    assert wide.flags.writeable
    assert wide.flags.c_contiguous


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("initializer", "argument", "std"),
    [
        (normal, {}, lambda fan_in, fan_out: 0.01),
        (normal, {"std": 2.0}, lambda fan_in, fan_out: 2.0),
        (xavier_normal, {}, lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        (xavier_uniform, {}, lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        (xavier_normal, {"gain": 4.0}, lambda fan_in, fan_out: 4 * math.sqrt(2 / (fan_in + fan_out))),
        (xavier_uniform, {"gain": 4.0}, lambda fan_in, fan_out: 4 * math.sqrt(2 / (fan_in + fan_out))),
        (he_normal, {}, lambda fan_in, fan_out: math.sqrt(2 / fan_in)),
        (he_uniform, {}, lambda fan_in, fan_out: math.sqrt(2 / fan_in)),
        (he_normal, {"slope": 1.0}, lambda fan_in, fan_out: math.sqrt(1 / fan_in)),
        (he_uniform, {"slope": 0.5}, lambda fan_in, fan_out: math.sqrt(2 / 1.25 / fan_in)),
    ],
)
def test_mean_and_deviation(initializer: Callable, argument: dict, std: Callable, shape: tuple):
    w = initializer(shape, fresh(), **argument)
    expected = std(*fans(shape))
    assert abs(w.mean()) < 4 * expected / math.sqrt(w.size)
    assert w.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * w.size))


@pytest.mark.parametrize(("initializer", "scale"), [(xavier_uniform, 2 / 500), (he_uniform, 2 / 300)])
def test_uniform_is_flat_and_ends_at_root_three(initializer: Callable, scale: float):
    w = initializer((300, 200), fresh())
    limit = math.sqrt(3 * scale)
    assert 0.999 * limit < abs(w).max() <= limit
    counts, _ = np.histogram(w, bins=10, range=(-limit, limit))
    assert abs(counts / w.size - 0.1).max() < 0.006


@pytest.mark.parametrize("name", ["xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform"])
def test_pytorch_has_the_same_deviations(name: str):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    ours = {
        "xavier_normal": xavier_normal,
        "xavier_uniform": xavier_uniform,
        "kaiming_normal": he_normal,
        "kaiming_uniform": he_uniform,
    }[name]
    torch.manual_seed(0)
    for shape in SHAPES:
        outputs_first = shape[::-1] if len(shape) == 2 else shape  # PyTorch's order for an affine layer
        theirs = getattr(torch.nn.init, f"{name}_")(torch.empty(outputs_first))
        assert ours(shape, fresh()).std() == pytest.approx(theirs.std().item(), rel=0.02)


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 5), 0), ((7, 3), 0), ((3, 7), 1), ((4, 3, 2, 2), 1), ((20, 3, 2, 2), 0)]
)
def test_orthogonal_rows_or_columns(shape: tuple, axis: int):
    w = orthogonal(shape, fresh(), gain=3.0).reshape(shape[0], -1)
    gram = w.T @ w if axis == 0 else w @ w.T
    np.testing.assert_allclose(gram, 9 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_has_no_favourite_sign():
    first = [orthogonal((2, 2), np.random.default_rng(seed))[0, 0] for seed in range(400)]
    assert abs(np.mean(np.sign(first))) < 0.2


def test_fans_of_an_affine_layer_and_of_a_convolution():
    assert fans((784, 256)) == (784, 256)
    assert fans((32, 3, 5, 7)) == (3 * 35, 32 * 35)
    for shape in [(), (3,)]:
        with pytest.raises(ValueError, match="fans: shape must have two axes or more"):
            fans(shape)
        with pytest.raises(ValueError, match="shape must have two axes or more"):
            orthogonal(shape, fresh())


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu", "leaky_relu"])
def test_gains_are_those_of_pytorch(activation: str):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    assert gain(activation) == pytest.approx(torch.nn.init.calculate_gain(activation))
    if activation == "leaky_relu":
        assert gain(activation, 0.3) == pytest.approx(torch.nn.init.calculate_gain(activation, 0.3))


def test_gains_make_up_for_the_slope():
    """One over the root mean square slope at standard normal inputs, integrated numerically."""
    z = np.linspace(-9, 9, 200_001)
    weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    sigmoid = 1 / (1 + np.exp(-z))
    normal_cdf = np.cumsum(weight)
    slopes = {
        "linear": np.ones_like(z),
        "relu": z > 0,
        "leaky_relu": np.where(z > 0, 1, 0.01),
        "silu": sigmoid * (1 + z * (1 - sigmoid)),
        "gelu": normal_cdf + z * weight / (z[1] - z[0]),
    }
    for activation, slope in slopes.items():
        assert gain(activation) == pytest.approx(1 / math.sqrt((weight * slope**2).sum()), rel=1e-3)
    assert gain("sigmoid") == 1 / (0.5 * 0.5)


def test_an_unknown_activation_is_refused():
    with pytest.raises(
        ValueError, match=r"gain: activation must be one of linear.*leaky_relu, not 'softplus'"
    ):
        gain("softplus")


def test_the_forms_of_the_course_are_those_of_the_library():
    np.testing.assert_array_equal(xavier_init(5, 3, 4.0, fresh()), xavier_normal((5, 3), fresh(), gain=4.0))
    np.testing.assert_array_equal(he_init(5, 3, fresh()), he_normal((5, 3), fresh()))


def through_layers(
    initializer: Callable, slope_of: Callable, activation: Callable, layers: int = 20
) -> tuple:
    """Root mean square of the activations, and of the gradient, after many square layers."""
    rng, width = fresh(), 200
    h = rng.standard_normal((64, width))
    weights, slopes = [], []
    for _ in range(layers):
        weights.append(initializer((width, width), rng))
        z = h @ weights[-1]
        slopes.append(slope_of(z))
        h = activation(z)
    g = rng.standard_normal(h.shape)
    for w, slope in zip(reversed(weights), reversed(slopes), strict=True):
        g = (g * slope) @ w.T
    return math.sqrt((h**2).mean()), math.sqrt((g**2).mean())


def test_he_carries_a_deep_relu_network_and_a_fixed_width_does_not():
    relu, slope = (lambda z: np.maximum(z, 0)), (lambda z: z > 0)
    for initializer in (he_normal, he_uniform):
        assert all(0.3 < size < 3 for size in through_layers(initializer, slope, relu))
    assert max(through_layers(normal, slope, relu)) < 1e-10
    assert max(through_layers(xavier_normal, slope, relu)) < 1e-2  # a factor of two a layer, in the square


def test_four_carries_the_gradient_of_a_deep_sigmoid_network_and_one_does_not():
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def slope(z):
        return sigmoid(z) * (1 - sigmoid(z))

    _, small = through_layers(xavier_normal, slope, sigmoid, layers=10)
    _, large = through_layers(
        lambda shape, rng: xavier_normal(shape, rng, gain("sigmoid")), slope, sigmoid, layers=10
    )
    assert small < 1e-5
    assert large > 1e-3


def test_orthogonal_carries_a_linear_network_exactly():
    h, g = through_layers(orthogonal, np.ones_like, lambda z: z, layers=50)
    assert h == pytest.approx(1, rel=0.03)
    assert g == pytest.approx(1, rel=0.03)
