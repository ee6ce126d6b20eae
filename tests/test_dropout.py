"""What is true of dropout only."""

import numpy as np
import pytest

from minigrad.gradcheck import eval_numerical_gradient_array, rel_error
from minigrad.layers import dropout_backward, dropout_forward


@pytest.mark.parametrize("p", [0.25, 0.4, 0.7])
def test_as_cs231n_looks_at_it(p: float):
    """Means stay, and the share of zeros is 1 - p."""
    rng = np.random.default_rng(231)
    x = rng.standard_normal((500, 500)) + 10
    out, _ = dropout_forward(x, {"mode": "train", "p": p, "rng": rng})
    out_test, _ = dropout_forward(x, {"mode": "test", "p": p})
    assert x.mean() == pytest.approx(out.mean(), rel=0.02)
    np.testing.assert_array_equal(out_test, x)
    assert (out == 0).mean() == pytest.approx(1 - p, abs=0.005)
    assert not (out_test == 0).any()


def test_gradient_as_cs231n_checks_it():
    rng = np.random.default_rng(231)
    x, dout = rng.standard_normal((10, 10)) + 10, rng.standard_normal((10, 10))
    param = {"mode": "train", "p": 0.2, "seed": 123}
    _, cache = dropout_forward(x, param)
    dx_num = eval_numerical_gradient_array(lambda x: dropout_forward(x, param)[0], x, dout)
    assert rel_error(dx_num, dropout_backward(dout, cache)) < 1e-9


def test_the_same_seed_gives_the_same_mask_in_any_precision():
    masks = [
        dropout_forward(np.ones((9, 9), dtype), {"p": 0.5, "mode": "train", "seed": 3})[0]
        for dtype in (np.float16, np.float32, np.float64, int)
    ]
    for mask in masks:
        np.testing.assert_array_equal(mask, masks[0])


def test_a_generator_gives_another_mask_each_time_and_can_be_repeated():
    def two_masks() -> list:
        param = {"p": 0.5, "mode": "train", "rng": np.random.default_rng(0)}
        return [dropout_forward(np.ones(50), param)[0].tolist() for _ in range(2)]

    first, second = two_masks()
    assert first != second
    assert two_masks() == [first, second]


def test_without_a_seed_no_two_masks_are_the_same():
    first, second = (dropout_forward(np.ones(99), {"p": 0.5, "mode": "train", "seed": None})[0] for _ in "ab")
    assert first.tolist() != second.tolist()


def test_nothing_is_dropped_where_all_is_kept():
    x = np.random.default_rng(0).standard_normal((4, 5))
    out, cache = dropout_forward(x, {"p": 1, "mode": "train"})
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(dropout_backward(x, cache), x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p": 0}, "p, the probability to keep, must be more than 0 and at most 1, not 0"),
        ({"p": 1.1}, "not 1.1"),
        ({"p": -0.5}, "not -0.5"),
        ({"p": np.nan}, "not nan"),
        ({"p": None}, "not None"),
        ({"p": "0.5"}, "not '0.5'"),
        ({"mode": "eval"}, 'mode must be "train" or "test", not \'eval\''),
        ({"mode": None}, "not None"),
        ({"rng": np.random.default_rng(0)}, "both a seed and an rng"),
    ],
)
def test_impossible_values_are_refused_in_words(change: dict, words: str):
    with pytest.raises(ValueError) as caught:
        dropout_forward(np.ones(3), {"p": 0.5, "mode": "train", "seed": 1, **change})
    assert str(caught.value).startswith("dropout_forward: ")
    assert words in str(caught.value)
