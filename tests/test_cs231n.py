"""CS231n's own checks, as its assignment notebooks make them: whoever has such a notebook can bring it along.

The expected values are the ones that the notebooks print. The gradient cells pass functions that ignore their
argument and close over the array, which works only because the array is changed in place.
"""

import itertools

import numpy as np
import pytest

from minigrad.gradcheck import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    grad_check_sparse,
    rel_error,
)
from minigrad.layers import (
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    lstm_backward,
    lstm_forward,
    relu_backward,
    relu_forward,
    rnn_backward,
    rnn_forward,
    temporal_affine_backward,
    temporal_affine_forward,
    word_embedding_backward,
    word_embedding_forward,
)
from minigrad.losses import softmax_loss, temporal_softmax_loss


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(231)


def test_affine_forward():
    x = np.linspace(-0.1, 0.5, num=2 * 4 * 5 * 6).reshape(2, 4, 5, 6)
    w = np.linspace(-0.2, 0.3, num=4 * 5 * 6 * 3).reshape(120, 3)
    b = np.linspace(-0.3, 0.1, num=3)
    out, _ = affine_forward(x, w, b)
    printed = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    assert rel_error(out, printed) < 1e-8


def test_affine_backward(rng: np.random.Generator):
    x = rng.standard_normal((10, 2, 3))
    w = rng.standard_normal((6, 5))
    b = rng.standard_normal(5)
    dout = rng.standard_normal((10, 5))

    dx_num = eval_numerical_gradient_array(lambda _: affine_forward(x, w, b)[0], x, dout)
    dw_num = eval_numerical_gradient_array(lambda _: affine_forward(x, w, b)[0], w, dout)
    db_num = eval_numerical_gradient_array(lambda _: affine_forward(x, w, b)[0], b, dout)

    _, cache = affine_forward(x, w, b)
    dx, dw, db = affine_backward(dout, cache)
    assert rel_error(dx_num, dx) < 1e-8
    assert rel_error(dw_num, dw) < 1e-8
    assert rel_error(db_num, db) < 1e-8


def test_relu_forward():
    out, _ = relu_forward(np.linspace(-0.5, 0.5, num=12).reshape(3, 4))
    printed = [
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.04545455, 0.13636364],
        [0.22727273, 0.31818182, 0.40909091, 0.5],
    ]
    assert rel_error(out, printed) < 1e-7


def test_relu_backward(rng: np.random.Generator):
    x = rng.standard_normal((10, 10))
    dout = rng.standard_normal((10, 10))
    dx_num = eval_numerical_gradient_array(lambda x: relu_forward(x)[0], x, dout)
    _, cache = relu_forward(x)
    assert rel_error(dx_num, relu_backward(dout, cache)) < 1e-8


def test_affine_relu_sandwich(rng: np.random.Generator):
    x = rng.standard_normal((2, 3, 4))
    w = rng.standard_normal((12, 10))
    b = rng.standard_normal(10)
    dout = rng.standard_normal((2, 10))

    _, cache = affine_relu_forward(x, w, b)
    grads = affine_relu_backward(dout, cache)
    for array, grad in zip((x, w, b), grads, strict=True):
        numerical = eval_numerical_gradient_array(lambda _: affine_relu_forward(x, w, b)[0], array, dout)
        assert rel_error(numerical, grad) < 1e-8


def test_gradient_of_a_loss_over_a_dict_of_parameters(rng: np.random.Generator):
    """The cell that checks a network: `f = lambda _: model.loss(X, y)[0]`, which reads no argument."""
    x = rng.standard_normal((3, 4))
    params = {"W": rng.standard_normal((4, 2)), "b": rng.standard_normal(2)}

    def loss():
        out, cache = affine_forward(x, params["W"], params["b"])
        _, dw, db = affine_backward(out, cache)
        return 0.5 * np.sum(out**2), {"W": dw, "b": db}

    _, grads = loss()
    for name in sorted(grads):
        numerical = eval_numerical_gradient(lambda _: loss()[0], params[name], verbose=False)
        assert rel_error(numerical, grads[name]) < 1e-7


def network_loss(params: dict, x: np.ndarray, y: np.ndarray, reg: float) -> tuple[float, dict, np.ndarray]:
    """Affine and ReLU, again and again, a last affine, softmax, and half the squared weights times reg."""
    depth, caches, grads = len(params) // 2, [], {}
    for layer in range(1, depth):
        x, cache = affine_relu_forward(x, params[f"W{layer}"], params[f"b{layer}"])
        caches.append(cache)
    scores, cache = affine_forward(x, params[f"W{depth}"], params[f"b{depth}"])
    loss, dout = softmax_loss(scores, y)
    dout, grads[f"W{depth}"], grads[f"b{depth}"] = affine_backward(dout, cache)
    for layer in range(depth - 1, 0, -1):
        dout, grads[f"W{layer}"], grads[f"b{layer}"] = affine_relu_backward(dout, caches[layer - 1])
    for name in params:
        if name.startswith("W"):
            loss += 0.5 * reg * np.sum(params[name] ** 2)
            grads[name] = grads[name] + reg * params[name]
    return loss, grads, scores


def test_loss_of_the_two_layer_network():
    examples, features, hidden, classes = 3, 5, 50, 7
    params = {
        "W1": np.linspace(-0.7, 0.3, num=features * hidden).reshape(features, hidden),
        "b1": np.linspace(-0.1, 0.9, num=hidden),
        "W2": np.linspace(-0.3, 0.4, num=hidden * classes).reshape(hidden, classes),
        "b2": np.linspace(-0.9, 0.1, num=classes),
    }
    x = np.linspace(-5.5, 4.5, num=examples * features).reshape(features, examples).T
    y = np.array([0, 5, 1])
    loss, _, scores = network_loss(params, x, y, reg=0.0)
    printed = [
        [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
        [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
        [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
    ]
    assert np.abs(scores - printed).sum() < 1e-6
    assert abs(loss - 3.4702243556) < 1e-10
    assert abs(network_loss(params, x, y, reg=1.0)[0] - 26.5948426952) < 1e-10


@pytest.mark.parametrize("reg", [0.0, 3.14])
def test_gradients_of_the_fully_connected_network(rng: np.random.Generator, reg: float):
    sizes = [15, 20, 30, 10]
    params = {}
    for layer, (rows, columns) in enumerate(itertools.pairwise(sizes), 1):
        params[f"W{layer}"] = 5e-2 * rng.standard_normal((rows, columns))
        params[f"b{layer}"] = np.zeros(columns)
    x, y = rng.standard_normal((2, 15)), rng.integers(10, size=2)
    loss, grads, _ = network_loss(params, x, y, reg)
    if reg == 0.0:
        assert abs(loss - np.log(10)) < 0.01
    for name, array in params.items():
        numerical = eval_numerical_gradient(
            lambda _: network_loss(params, x, y, reg)[0], array, verbose=False
        )
        assert rel_error(numerical, grads[name]) < 1e-5


def captioning_loss(
    params: dict, features: np.ndarray, captions: np.ndarray, cell: str
) -> tuple[float, dict]:
    """Features make the first state, words go in, and each state has to say the next word; 0 is no word."""
    forward, backward = {"rnn": (rnn_forward, rnn_backward), "lstm": (lstm_forward, lstm_backward)}[cell]
    h0, projected = affine_forward(features, params["W_proj"], params["b_proj"])
    words, embedded = word_embedding_forward(captions[:, :-1], params["W_embed"])
    h, recurrent = forward(words, h0, params["Wx"], params["Wh"], params["b"])
    scores, read = temporal_affine_forward(h, params["W_vocab"], params["b_vocab"])
    loss, dout = temporal_softmax_loss(scores, captions[:, 1:], captions[:, 1:] != 0)
    grads = {}
    dout, grads["W_vocab"], grads["b_vocab"] = temporal_affine_backward(dout, read)
    dwords, dh0, grads["Wx"], grads["Wh"], grads["b"] = backward(dout, recurrent)
    grads["W_embed"] = word_embedding_backward(dwords, embedded)
    _, grads["W_proj"], grads["b_proj"] = affine_backward(dh0, projected)
    return loss, grads


def captioning_params(features: int, words: int, wordvec: int, hidden: int, cell: str) -> dict[str, tuple]:
    gates = {"rnn": 1, "lstm": 4}[cell] * hidden
    return {
        "W_proj": (features, hidden),
        "b_proj": (hidden,),
        "W_embed": (words, wordvec),
        "Wx": (wordvec, gates),
        "Wh": (hidden, gates),
        "b": (gates,),
        "W_vocab": (hidden, words),
        "b_vocab": (words,),
    }


@pytest.mark.parametrize(
    ("cell", "first", "last", "printed"),
    [("rnn", -1.5, 0.3, 9.83235591003), ("lstm", -0.5, 1.7, 9.82445935443)],
)
def test_loss_of_the_captioning_network(cell: str, first: float, last: float, printed: float):
    shapes = captioning_params(20, 3, 30, 40, cell)
    params = {
        name: np.linspace(-1.4, 1.3, num=np.prod(shape)).reshape(shape) for name, shape in shapes.items()
    }
    features = np.linspace(first, last, num=200).reshape(10, 20)
    captions = (np.arange(130) % 3).reshape(10, 13)
    assert captioning_loss(params, features, captions, cell)[0] == pytest.approx(printed, abs=1e-10)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_gradients_of_the_captioning_network(rng: np.random.Generator, cell: str):
    shapes = captioning_params(4, 3, 5, 6, cell)
    params = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    features, captions = rng.standard_normal((2, 4)), rng.integers(3, size=(2, 3))
    _, grads = captioning_loss(params, features, captions, cell)
    for name, array in params.items():
        numerical = eval_numerical_gradient(
            lambda _: captioning_loss(params, features, captions, cell)[0], array, verbose=False
        )
        np.testing.assert_allclose(grads[name], numerical, rtol=1e-5, atol=1e-8, err_msg=name)


def test_eval_numerical_gradient_prints_as_it_should(capsys: pytest.CaptureFixture):
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    grad = eval_numerical_gradient(lambda x: (x**2).sum(), x)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{index} {grad[index]}" for index in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    eval_numerical_gradient(lambda x: (x**2).sum(), x, False)
    assert capsys.readouterr().out == ""


def test_eval_numerical_gradient_takes_its_arguments_in_order():
    x = np.array([1.0])
    coarse = eval_numerical_gradient(lambda x: (x**3).sum(), x, False, 0.1)
    np.testing.assert_allclose(coarse, [3.01])  # 3 + h**2
    coarse = eval_numerical_gradient_array(lambda x: x**3, x, np.ones(1), 0.1)
    np.testing.assert_allclose(coarse, [3.01])


def test_grad_check_sparse(capsys: pytest.CaptureFixture, rng: np.random.Generator):
    x = rng.standard_normal((4, 3))
    before = x.copy()
    assert grad_check_sparse(lambda x: (x**2).sum(), x, 2 * x, 7) is None
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("numerical: ") and float(line.rpartition(" ")[2]) < 1e-8 for line in lines)
    np.testing.assert_array_equal(x, before)

    grad_check_sparse(lambda x: (x**2).sum(), x, 6 * x, num_checks=1, h=1e-4)
    assert capsys.readouterr().out.endswith("relative error: 5.000000e-01\n")  # |2 - 6| / (2 + 6)


def test_grad_check_sparse_repeats_with_a_generator(capsys: pytest.CaptureFixture):
    x = np.arange(20.0)
    printed = []
    for _ in range(2):
        grad_check_sparse(lambda x: (x**2).sum(), x, 2 * x, rng=np.random.default_rng(5))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_grad_check_sparse_where_both_are_zero(capsys: pytest.CaptureFixture):
    grad_check_sparse(lambda x: 0.0, np.ones(2), np.zeros(2), num_checks=1)
    assert capsys.readouterr().out == "numerical: 0.000000 analytic: 0.000000, relative error: 0.000000e+00\n"


def test_rel_error():
    assert rel_error(np.array([1.0, 2.0]), np.array([1.0, 6.0])) == 0.5
    assert rel_error(np.zeros(3), np.zeros(3)) == 0
    assert rel_error(1e-10, -1e-10) == pytest.approx(0.02)  # the floor of 1e-8
    assert rel_error(np.ones((2, 3)), np.ones(3)) == 0  # it broadcasts
