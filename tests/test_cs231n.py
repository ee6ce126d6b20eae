"""CS231n's own checks, as its assignment notebooks make them: whoever has such a notebook can bring it along.

The expected values are the ones that the notebooks print. The gradient cells pass functions that ignore their
argument and close over the array, which works only because the array is changed in place.
"""

import numpy as np
import pytest

from minigrad.gradcheck import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    grad_check_sparse,
    rel_error,
)
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward


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

    def affine_relu_forward(x, w, b):
        a, affine_cache = affine_forward(x, w, b)
        out, relu_cache = relu_forward(a)
        return out, (affine_cache, relu_cache)

    _, (affine_cache, relu_cache) = affine_relu_forward(x, w, b)
    grads = affine_backward(relu_backward(dout, relu_cache), affine_cache)
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
