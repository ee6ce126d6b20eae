"""Optimizers against PyTorch's and against CS231n's printed values; and the contract of all."""

import copy
from collections.abc import Callable

import numpy as np
import pytest

from minigrad.gradcheck import rel_error
from minigrad.optimizers import adam, adamw, rmsprop, sgd, sgd_momentum

OPTIMIZERS = [sgd, sgd_momentum, rmsprop, adam, adamw]
each = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda function: function.__name__)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(231)


# ------------------------------------------------------------------------------
# PyTorch
# ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "config", "theirs", "options"),
    [
        (sgd, {}, "SGD", {"lr": 1e-2}),
        (sgd, {"learning_rate": 0.3}, "SGD", {"lr": 0.3}),
        (sgd_momentum, {}, "SGD", {"lr": 1e-2, "momentum": 0.9}),
        (sgd_momentum, {"learning_rate": 0.3, "momentum": 0.5}, "SGD", {"lr": 0.3, "momentum": 0.5}),
        (rmsprop, {}, "RMSprop", {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8}),
        (rmsprop, {"decay_rate": 0.7, "epsilon": 0.1}, "RMSprop", {"lr": 1e-2, "alpha": 0.7, "eps": 0.1}),
        (adam, {}, "Adam", {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}),
        (adam, {"beta1": 0.5, "beta2": 0.8, "epsilon": 0.1}, "Adam", {"betas": (0.5, 0.8), "eps": 0.1}),
        (adamw, {}, "AdamW", {"lr": 1e-3, "weight_decay": 1e-2}),
        (adamw, {"learning_rate": 0.1, "weight_decay": 0.3}, "AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    ],
)
def test_ten_steps_are_those_of_pytorch(optimizer: Callable, config: dict, theirs: str, options: dict, rng):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    w = rng.standard_normal((3, 4))
    tensor = torch.tensor(w, requires_grad=True)
    other = getattr(torch.optim, theirs)([tensor], **options)
    for _ in range(10):
        dw = rng.standard_normal((3, 4)) * 10.0 ** rng.integers(-4, 2)
        w, config = optimizer(w, dw, config)
        tensor.grad = torch.tensor(dw)
        other.step()
        np.testing.assert_allclose(w, tensor.detach().numpy(), rtol=1e-10, atol=1e-13)


# ------------------------------------------------------------------------------
# CS231n's own checks, as its notebook makes them, and the values that it prints
# ------------------------------------------------------------------------------


def a_grid(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last, num=20).reshape(4, 5)


def test_cs231n_sgd_momentum():
    config = {"learning_rate": 1e-3, "velocity": a_grid(0.6, 0.9)}
    next_w, _ = sgd_momentum(a_grid(-0.4, 0.6), a_grid(-0.6, 0.4), config=config)
    expected_next_w = [
        [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
        [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
        [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
        [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096],
    ]
    expected_velocity = [
        [0.5406, 0.55475789, 0.56891579, 0.58307368, 0.59723158],
        [0.61138947, 0.62554737, 0.63970526, 0.65386316, 0.66802105],
        [0.68217895, 0.69633684, 0.71049474, 0.72465263, 0.73881053],
        [0.75296842, 0.76712632, 0.78128421, 0.79544211, 0.8096],
    ]
    assert rel_error(next_w, expected_next_w) < 1e-8
    assert rel_error(config["velocity"], expected_velocity) < 1e-8  # in the dict that was passed


def test_cs231n_rmsprop():
    config = {"learning_rate": 1e-2, "cache": a_grid(0.6, 0.9)}
    next_w, _ = rmsprop(a_grid(-0.4, 0.6), a_grid(-0.6, 0.4), config=config)
    expected_next_w = [
        [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247],
        [-0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774],
        [0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447],
        [0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619],
    ]
    expected_cache = [
        [0.5976, 0.6126277, 0.6277108, 0.64284931, 0.65804321],
        [0.67329252, 0.68859723, 0.70395734, 0.71937285, 0.73484377],
        [0.75037008, 0.7659518, 0.78158892, 0.79728144, 0.81302936],
        [0.82883269, 0.84469141, 0.86060554, 0.87657507, 0.8926],
    ]
    assert rel_error(next_w, expected_next_w) < 1e-7
    assert rel_error(config["cache"], expected_cache) < 1e-7


def test_cs231n_adam():
    config = {"learning_rate": 1e-2, "m": a_grid(0.6, 0.9), "v": a_grid(0.7, 0.5), "t": 5}
    next_w, _ = adam(a_grid(-0.4, 0.6), a_grid(-0.6, 0.4), config=config)
    expected_next_w = [
        [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
        [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
        [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
        [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
    ]
    expected_v = [
        [0.69966, 0.68908382, 0.67851319, 0.66794809, 0.65738853],
        [0.64683452, 0.63628604, 0.6257431, 0.61520571, 0.60467385],
        [0.59414753, 0.58362676, 0.57311152, 0.56260183, 0.55209767],
        [0.54159906, 0.53110598, 0.52061845, 0.51013645, 0.49966],
    ]
    expected_m = [
        [0.48, 0.49947368, 0.51894737, 0.53842105, 0.55789474],
        [0.57736842, 0.59684211, 0.61631579, 0.63578947, 0.65526316],
        [0.67473684, 0.69421053, 0.71368421, 0.73315789, 0.75263158],
        [0.77210526, 0.79157895, 0.81105263, 0.83052632, 0.85],
    ]
    assert rel_error(next_w, expected_next_w) < 2e-7  # 1.1e-7: eight digits are printed
    assert rel_error(config["v"], expected_v) < 1e-7
    assert rel_error(config["m"], expected_m) < 1e-7
    assert config["t"] == 6  # counted before it is used


# ------------------------------------------------------------------------------
# The contract
# ------------------------------------------------------------------------------


@each
def test_arrays_are_not_written_to_and_the_dict_is(optimizer: Callable, rng: np.random.Generator):
    w, dw, config = rng.standard_normal(5), rng.standard_normal(5), {"learning_rate": 0.1, "mine": "stays"}
    for _ in range(3):
        memory = {key: value for key, value in config.items() if isinstance(value, np.ndarray)}
        before = copy.deepcopy((w, dw, memory))
        for array in (w, dw, *memory.values()):
            array.flags.writeable = False
        next_w, returned = optimizer(w, dw, config)
        np.testing.assert_equal((w, dw, memory), before)
        assert returned is config
        assert config["mine"] == "stays"
        assert not any(np.shares_memory(next_w, array) for array in (w, dw, *memory.values()))
        w = next_w


@each
def test_float32_stays_float32(optimizer: Callable, rng: np.random.Generator):
    wide = rng.standard_normal(5), rng.standard_normal(5)
    narrow = tuple(array.astype(np.float32) for array in wide)
    ours, theirs = {"learning_rate": np.float64(0.1)}, {"learning_rate": 0.1}
    for _ in range(3):
        next_w, ours = optimizer(*narrow, ours)
        next_wide, theirs = optimizer(*wide, theirs)
        assert next_w.dtype == np.float32
        np.testing.assert_allclose(next_w, next_wide, rtol=1e-5)
        narrow, wide = (next_w, narrow[1]), (next_wide, wide[1])
    assert {value.dtype for value in ours.values() if isinstance(value, np.ndarray)} <= {np.dtype(np.float32)}


@each
def test_a_gradient_in_half_precision_is_taken_in_that_of_the_weights(optimizer: Callable):
    dw = np.array([1e-5, 3.0], np.float16)  # its square is 0 in float16
    with_half, _ = optimizer(np.ones(2, np.float32), dw)
    with_single, _ = optimizer(np.ones(2, np.float32), dw.astype(np.float32))
    assert with_half.dtype == np.float32
    np.testing.assert_array_equal(with_half, with_single)


@each
def test_integers_are_taken_as_float64(optimizer: Callable):
    next_w, _ = optimizer(np.array([1, 2]), np.array([3, -3]))
    expected, _ = optimizer(np.array([1.0, 2.0]), np.array([3.0, -3.0]))
    np.testing.assert_array_equal(next_w, expected)
    assert next_w.dtype == np.float64


@each
def test_each_call_without_a_dict_starts_anew(optimizer: Callable):
    first, one = optimizer(np.ones(2), np.ones(2))
    second, two = optimizer(np.ones(2), np.ones(2))
    np.testing.assert_array_equal(first, second)
    assert one is not two


@each
def test_shapes_that_differ_are_refused(optimizer: Callable):
    with pytest.raises(
        ValueError, match=rf"{optimizer.__name__}: dw has shape \(3,\) but w has shape \(2, 3\)"
    ):
        optimizer(np.ones((2, 3)), np.ones(3))


@pytest.mark.parametrize(
    ("optimizer", "key"), [(sgd_momentum, "velocity"), (rmsprop, "cache"), (adam, "m"), (adamw, "v")]
)
def test_memory_of_another_parameter_is_refused(optimizer: Callable, key: str):
    with pytest.raises(ValueError, match=rf"{key} has shape \(3,\) but w has shape \(2,\)"):
        optimizer(np.ones(2), np.ones(2), {key: np.ones(3)})


@each
def test_all_go_downhill(optimizer: Callable):
    w, config = np.array([3.0, -2.0]), {"learning_rate": 0.05}
    for _ in range(300):
        w, config = optimizer(w, 2 * w, config)
    assert abs(w).max() < 0.1


# ------------------------------------------------------------------------------
# What is true of one only
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_first_step_of_adam_is_the_learning_rate_whatever_the_gradient(scale: float):
    next_w, _ = adam(np.zeros(2), np.array([scale, -scale]), {"learning_rate": 0.1})
    np.testing.assert_allclose(next_w, [-0.1, 0.1], rtol=1e-3)


def test_momentum_makes_steps_ten_times_as_long():
    w, config = np.zeros(1), {"learning_rate": 1.0}
    for _ in range(200):
        w, config = sgd_momentum(w, np.ones(1), config)
    assert config["velocity"] == pytest.approx(-10)


def test_adamw_decays_weights_that_have_no_gradient_and_adam_does_not():
    w = np.array([2.0])
    np.testing.assert_array_equal(adam(w, np.zeros(1))[0], w)
    np.testing.assert_allclose(adamw(w, np.zeros(1))[0], 2 * (1 - 1e-3 * 1e-2), rtol=1e-15)
