"""When other tools accept a gradient: each with its own step, its own tolerances and its own random direction.

Each rule takes a loss of named arrays and the point, measures what its tool would measure, and returns a function that
says whether the tool would accept given gradients. PyTorch is called; the others are written out from their sources,
with the defaults that they have for the dtype at hand:

- JAX, `jax.test_util.check_grads` with `modes=["rev"]`, `order=1`
- HIPS autograd, `test_util.check_grads` with `modes=["rev"]`, `order=1`
- Theano, `gradient.verify_grad`
- Chainer, `gradient_check.check_backward`
- Caffe, `GradientChecker`, with step 1e-2 and threshold 1e-3, which its own tests nearly all use: it has no defaults
- CS231n, `rel_error` after `eval_numerical_gradient`. Its notes call an error below 1e-4 "usually okay" where the
  loss has kinks, which these networks have.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from minigrad.gradcheck import numerical_gradient

Arrays = dict[str, np.ndarray]
Loss = Callable[[Arrays], float]
Accepts = Callable[[Arrays], bool]


def pytorch(loss: Loss, params: Arrays, fast: bool = False) -> Accepts:
    def accepts(grads: Arrays) -> bool:
        class ByHand(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *tensors):
                point = {name: t.detach().numpy() for name, t in zip(params, tensors, strict=True)}
                return torch.tensor(np.asarray(loss(point)))

            @staticmethod
            def backward(ctx, dloss):
                return tuple(torch.tensor(grads[name]) * dloss for name in params)

        inputs = [torch.tensor(w, requires_grad=True) for w in params.values()]
        return torch.autograd.gradcheck(ByHand.apply, inputs, fast_mode=fast, raise_exception=False)

    return accepts


def pytorch_fast(loss: Loss, params: Arrays) -> Accepts:
    return pytorch(loss, params, fast=True)


def jax(loss: Loss, params: Arrays) -> Accepts:
    tolerance = 2e-3 if single(params) else 1e-5
    rng = np.random.default_rng(0)
    v = gaussian(params, rng)
    slope, factor = centred(loss, params, v, 1e-4), rng.standard_normal()
    return lambda grads: bool(
        np.isclose(factor * along(grads, v), factor * slope, atol=tolerance, rtol=tolerance)
    )


def autograd(loss: Loss, params: Arrays) -> Accepts:
    rng = np.random.default_rng(0)
    v = gaussian(params, rng)
    slope, factor = centred(loss, params, v, 0.5e-6), rng.standard_normal()

    def accepts(grads: Arrays) -> bool:
        a, b = factor * slope, factor * along(grads, v)
        return bool(abs(a - b) < 1e-6 or abs(a - b) / abs(a + b) < 1e-6)

    return accepts


def theano(loss: Loss, params: Arrays) -> Accepts:
    step, tolerance = (3e-4, 1e-2) if single(params) else (1e-7, 1e-4)
    measured = elements(loss, params, step, "one-sided")
    factors = np.random.default_rng(0).uniform(0.5, 1.5, 2)  # of two tests: the loss is projected at random

    def accepts(grads: Arrays) -> bool:
        for factor in factors:
            for name, b in measured.items():
                error, size = abs(grads[name] - b), abs(grads[name]) + abs(b)
                relative = error * factor / np.maximum(size * factor, 1e-8)
                if ((error * factor > tolerance) & (relative > tolerance)).any():
                    return False
        return True

    return accepts


def chainer(loss: Loss, params: Arrays) -> Accepts:
    v = gaussian(params, np.random.default_rng(0))
    norm = np.sqrt(sum((d * d).sum() for d in v.values()))
    v = {name: d / norm for name, d in v.items()}
    slope = centred(loss, params, v, 1e-3)
    return lambda grads: bool(np.isclose(slope, along(grads, v), atol=1e-5, rtol=1e-4))


def caffe(loss: Loss, params: Arrays) -> Accepts:
    measured = elements(lambda p: 2 * loss(p), params, 1e-2)  # it weighs an output by two

    def accepts(grads: Arrays) -> bool:
        return all(
            (abs(2 * grads[name] - b) <= 1e-3 * np.maximum(1, np.maximum(abs(2 * grads[name]), abs(b)))).all()
            for name, b in measured.items()
        )

    return accepts


def cs231n(loss: Loss, params: Arrays) -> Accepts:
    measured = elements(loss, params, 1e-5)

    def accepts(grads: Arrays) -> bool:
        return all(
            (abs(grads[name] - b) / np.maximum(1e-8, abs(grads[name]) + abs(b)) < 1e-4).all()
            for name, b in measured.items()
        )

    return accepts


RULES: dict[str, Callable[[Loss, Arrays], Accepts]] = {
    "PyTorch": pytorch,
    "PyTorch, fast": pytorch_fast,
    "JAX": jax,
    "HIPS autograd": autograd,
    "Theano": theano,
    "Chainer": chainer,
    "Caffe": caffe,
    "CS231n": cs231n,
}


def single(params: Arrays) -> bool:
    return any(w.dtype == np.float32 for w in params.values())


def gaussian(params: Arrays, rng: np.random.Generator) -> Arrays:
    return {name: rng.standard_normal(w.shape).astype(w.dtype) for name, w in params.items()}


def along(grads: Arrays, v: Arrays) -> float:
    return float(sum(np.vdot(grads[name], d) for name, d in v.items()))


def centred(loss: Loss, params: Arrays, v: Arrays, step: float) -> float:
    above, below = (loss({name: w + t * v[name] for name, w in params.items()}) for t in (step, -step))
    return float((above - below) / (2 * step))


def elements(loss: Loss, params: Arrays, step: float, method: str = "centred") -> Arrays:
    return {name: numerical_gradient(lambda _: loss(params), w, step, method) for name, w in params.items()}
