"""What is true of picking rows and columns only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.layers import (
    gather_backward,
    gather_forward,
    word_embedding_backward,
    word_embedding_forward,
)


def test_gather_takes_a_list_and_gives_back_as_much():
    q = np.arange(6.0).reshape(3, 2)
    out, cache = gather_forward(q, [1, 0, 1])
    np.testing.assert_array_equal(out, [1, 2, 5])
    np.testing.assert_array_equal(gather_backward(out, cache), [[0, 1], [2, 0], [0, 5]])


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ([0, -1], "between 0 and 1, but -1 is among them"),  # numpy would count from the end
        ([0, 2], "between 0 and 1, but 2 is among them"),
        ([0.0, 1.0], "whole numbers, not float64"),
        ([True, False], "whole numbers, not bool"),  # numpy would take a mask
    ],
)
def test_impossible_indices_are_refused_in_words(indices: list, words: str):
    table = np.ones((2, 2))
    with pytest.raises(ValueError, match=f"^gather_forward: actions must .*{words}"):
        gather_forward(table, indices)
    with pytest.raises(ValueError, match=f"^word_embedding_forward: x must .*{words}"):
        word_embedding_forward(indices, table)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    shape=st.lists(st.integers(0, 5), max_size=3),
    vocabulary=st.integers(1, 6),
    width=st.integers(0, 5),
    dtype=st.sampled_from([np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128]),
    seed=st.integers(0, 99),
)
def test_the_fast_sum_over_places_is_add_at(shape: list, vocabulary: int, width: int, dtype: type, seed: int):
    """Pairs of numbers as complex ones, an odd width, precisions that have no such pairs."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, vocabulary, shape)
    out, cache = word_embedding_forward(x, rng.standard_normal((vocabulary, width)).astype(dtype))
    dout = rng.integers(-9, 9, out.shape).astype(dtype)  # whole numbers, so that sums are exact
    dW = np.zeros((vocabulary, width), dtype)
    np.add.at(dW, x, dout)
    np.testing.assert_array_equal(word_embedding_backward(dout, cache), dW, strict=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_words_in_few_bits(dtype: type):
    """Their place in the flat table does not fit into as many."""
    x = np.array([100, 7, 100], dtype)
    _, cache = word_embedding_forward(x, np.zeros((101, 64)))
    dW = word_embedding_backward(np.ones((3, 64)), cache)
    assert dW[100].tolist() == [2] * 64
    assert dW[7].tolist() == [1] * 64
    assert dW.sum() == 3 * 64


def test_word_embedding_as_cs231n_has_it():
    W = np.linspace(0, 1, num=5 * 3).reshape(5, 3)
    out, _ = word_embedding_forward(np.array([[0, 3, 1, 2], [2, 1, 0, 3]]), W)
    printed = [
        [[0.0, 0.07142857, 0.14285714], [0.64285714, 0.71428571, 0.78571429]],
        [[0.42857143, 0.5, 0.57142857], [0.21428571, 0.28571429, 0.35714286]],
    ]
    np.testing.assert_allclose(out[:, :2], printed, rtol=1e-7)
