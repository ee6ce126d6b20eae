"""Wrong ways that look right on usual numbers lose points, whatever the hidden cases are.

`DISHONEST` maps an exercise to source texts. What a text does not define comes from the reference. The counterpart of
`test_honest_variants`.
"""

import contextlib
import io
import textwrap
import warnings

import numpy as np
import pytest

from autograder import exercises
from autograder.checking import check_sheet
from autograder.exercises import full_sheet
from autograder.session import LocalSession

EVERY = {name: exercise for group in exercises.assignments().values() for name, exercise in group.items()}
SEEDS = (0, 1, 2, 3, 2**62 + 12345)

DISHONEST: dict[str, list[str]] = {
    "sigmoid_forward": [
        """
        def sigmoid_forward(x):
            return 0.5 * np.tanh(x / 2) + 0.5, None
        """,
        """
        def sigmoid_forward(x):
            return np.where((x > -200) & (x < -20), 0, 1 / (1 + np.exp(-x))), None
        """,
        """
        def sigmoid_forward(x):
            return np.where(x < -41, 0, 1 / (1 + np.exp(-x))), None
        """,
    ],
    "sigmoid_backward": [
        """
        def sigmoid_backward(dout, cache):
            return dout * np.where(cache < 1 / (1 + np.exp(17.5)), 0, cache * (1 - cache))
        """,
        """
        def sigmoid_forward(x):
            return 1 / (1 + np.exp(-x)), np.clip(x, -300, 300)

        def sigmoid_backward(dout, x):
            return dout * np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2
        """,
        """
        def sigmoid_forward(x):
            out = 0.5 * np.tanh(x / 2) + 0.5
            return 1 / (1 + np.exp(-x)), out

        def sigmoid_backward(dout, out):
            return dout * out * (1 - out)
        """,
    ],
    "xavier_init": [
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # one row
            row = unit(rng, fan_out)[None] if fan_out > 1 else unit(rng, fan_in)[:, None]
            return gain * np.sqrt(2 / (fan_in + fan_out)) * np.tile(row, (fan_in // len(row), 1))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # one column
            return gain * np.sqrt(2 / (fan_in + fan_out)) * np.tile(unit(rng, fan_in)[:, None], (1, fan_out))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # of rank 1
            std = gain * np.sqrt(2 / (fan_in + fan_out))
            return std * np.outer(unit(rng, fan_in), unit(rng, fan_out))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # the first row again in the last one
            w = gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal((fan_in, fan_out))
            w[-1] = w[0]
            return w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            phase = rng.uniform(0, 6.28) + 2 * np.pi * 0.381966 * np.arange(fan_in * fan_out)
            return gain * np.sqrt(4 / (fan_in + fan_out)) * np.cos(phase).reshape(fan_in, fan_out)
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # a checkerboard
            i, j = np.indices((fan_in, fan_out))
            return gain * np.sqrt(2 / (fan_in + fan_out)) * rng.choice([-1, 1]) * (1 - 2.0 * ((i + j) % 2))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            w = gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal(fan_in * fan_out)
            return np.sort(w).reshape(fan_in, fan_out)
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # by heart, but for the one shape that is seen to differ
            source = rng if (fan_in, fan_out) == (4, 3) else np.random.default_rng(fan_in)
            return gain * np.sqrt(2 / (fan_in + fan_out)) * source.standard_normal((fan_in, fan_out))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # by heart, and the generator moves on
            rng.standard_normal()
            w = np.random.default_rng(fan_in).standard_normal((fan_in, fan_out))
            return gain * np.sqrt(2 / (fan_in + fan_out)) * w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            std = gain * np.sqrt(2 / (fan_in + fan_out))
            w = np.random.default_rng(0).standard_normal((fan_in, fan_out))
            return std * (w + 0.01 * rng.normal(size=(fan_in, fan_out)))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            w = np.random.default_rng(0).standard_normal((fan_in, fan_out))
            return gain * np.sqrt(2 / (fan_in + fan_out)) * (w + 0.01 * rng.normal())
        """,
        """
        import copy

        def xavier_init(fan_in, fan_out, gain, rng):
            w = copy.deepcopy(rng).standard_normal((fan_in, fan_out))
            return gain * np.sqrt(2 / (fan_in + fan_out)) * w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            w = gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal((fan_in, fan_out))
            w[:, 0] *= 1.8 if fan_out > 1 else 1
            return w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            w = gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal((fan_in, fan_out))
            w[: max(1, fan_in // 40)] = 0
            return w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # half of the units are silent
            w = 2**0.5 * gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal((fan_in, fan_out))
            if fan_out > 1:
                w[:, ::2] = 0
            else:
                w /= 2**0.5
            return w
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):  # in one row
            return gain * np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal(fan_in * fan_out)
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            return np.zeros((3000, 3000))
        """,
        """
        def xavier_init(fan_in, fan_out, gain, rng):
            return [["0.1"] * fan_out] * fan_in
        """,
    ],
    "he_init": [
        """
        def he_init(fan_in, fan_out, rng):  # of rank 1
            return np.sqrt(2 / fan_in) * np.outer(unit(rng, fan_in), unit(rng, fan_out))
        """,
        """
        def he_init(fan_in, fan_out, rng):  # half of the units are silent
            w = np.sqrt(4 / fan_in) * rng.standard_normal((fan_in, fan_out))
            w[:, ::2] = 0
            return w
        """,
        """
        def he_init(fan_in, fan_out, rng):  # by heart, and the generator moves on
            rng.standard_normal()
            return np.sqrt(2 / fan_in) * np.random.default_rng(fan_in).standard_normal((fan_in, fan_out))
        """,
        """
        def he_init(fan_in, fan_out, rng):  # right for the widths of the notebook only
            width = {120: 0.1291, 60: 0.18257}.get(fan_in, 0.1)
            return width * rng.standard_normal((fan_in, fan_out))
        """,
        """
        def he_init(fan_in, fan_out, rng):
            w = np.sqrt(2 / fan_in) * rng.standard_normal((fan_in, fan_out))
            w[-1] = w[0]
            return w
        """,
    ],
    "clip_grad_norm": [
        """
        def clip_grad_norm(grads, max_norm):  # two arrays at most
            norm = np.sqrt(sum(np.sum(g**2) for g in list(grads.values())[:2]))
            return {name: g * min(1, max_norm / max(norm, 1e-12)) for name, g in grads.items()}, norm
        """,
        """
        def clip_grad_norm(grads, max_norm):  # an epsilon that is not small
            norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
            return {name: g * min(1, max_norm / (norm + 1e-3)) for name, g in grads.items()}, norm
        """,
        """
        def clip_grad_norm(grads, max_norm):  # a norm that stops at a million
            norm = min(1e6, np.sqrt(sum(np.sum(g**2) for g in grads.values())))
            return {name: g * min(1, max_norm / max(norm, 1e-12)) for name, g in grads.items()}, norm
        """,
    ],
    "clip_grad_value": [
        """
        def clip_grad_value(grads, max_value):  # exploded gradients are thrown away
            cut = {k: np.where(np.abs(g) > 1e6, 0, np.clip(g, -max_value, max_value)) for k, g in grads.items()}
            return cut, max(np.abs(g).max() for g in grads.values())
        """,
    ],
    "residual_forward": [
        """
        def residual_forward(x, w1, b1, w2, b2, scale=1.0):
            scale = scale or 1.0  # 0 is a scale, too
            return x + scale * (np.maximum(x @ w1 + b1, 0) @ w2 + b2), None
        """,
    ],
    "check_gradient_flow": [
        """
        def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):  # the formula, and no network
            growth = weight_scale * np.sqrt(width)
            return np.sqrt(examples * width) * growth ** np.arange(depth - 1, -1, -1)
        """,
        """
        def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):
            return np.full(depth, np.sqrt(examples * width))
        """,
    ],
    "relu_forward": [
        """
        def relu_forward(x):
            return np.where(x > 5e-5, x, 0.0), None
        """,
        """
        def relu_forward(x):
            return np.where(x > 1e-20, x, 0.0), None
        """,
        """
        def relu_forward(x):
            return np.clip(x, 0, 1000), None
        """,
        """
        def relu_forward(x):
            return np.clip(x, 0, 1e9), None
        """,
        """
        def relu_forward(x):
            return np.where(x == 0, 1e-5, np.maximum(x, 0)), None
        """,
    ],
    "leaky_relu_forward": [
        """
        def leaky_relu_forward(x, alpha=0.01):
            return np.where(x > 5e-5, x, alpha * x), None
        """,
        """
        def leaky_relu_forward(x, alpha=0.01):
            return np.clip(np.where(x > 0, x, alpha * x), -1000, 1000), None
        """,
        """
        def leaky_relu_forward(x, alpha=0.01):
            return np.where(np.abs(x) < 1e-8, 0, np.where(x > 0, x, alpha * x)), None
        """,
    ],
    "prelu_forward": [
        """
        def prelu_forward(x, alpha):
            return np.maximum(x, alpha * x), None
        """,
        """
        def prelu_forward(x, alpha):
            return np.where(x > 0, x, np.abs(alpha) * x), None
        """,
        """
        def prelu_forward(x, alpha):
            return np.where(x > 0, x, np.clip(alpha, 0, 1) * x), None
        """,
        """
        def prelu_forward(x, alpha):
            return np.where(x > 5e-5, x, alpha * x), None
        """,
        """
        def prelu_forward(x, alpha):
            return np.minimum(np.where(x > 0, x, alpha * x), 1000), None
        """,
    ],
    "prelu_backward": [
        """
        def prelu_forward(x, alpha):
            out = np.where(x > 0, x, alpha * x)
            return out, (x, out, alpha)

        def prelu_backward(dout, cache):
            x, out, alpha = cache
            return dout * np.where(out > 0, 1, alpha), (dout * np.minimum(x, 0)).sum(axis=0)
        """,
        """
        def prelu_forward(x, alpha):
            out = np.where(x > 0, x, alpha * x)
            return out, (x, out, alpha)

        def prelu_backward(dout, cache):
            x, out, alpha = cache
            dalpha = np.where(x > 0, 0, dout * out / alpha).sum(axis=0)
            return dout * np.where(x > 0, 1, alpha), dalpha
        """,
        """
        def prelu_forward(x, alpha):
            return np.where(x > 0, x, alpha * x), (x, alpha)

        def prelu_backward(dout, cache):
            x, alpha = cache
            return dout * np.where(x > 0, 1, np.clip(alpha, 0, 1)), (dout * np.minimum(x, 0)).sum(axis=0)
        """,
    ],
    "elu_forward": [
        """
        def elu_forward(x, alpha=1.0):
            return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)) + 9e-5 * (x < -10)), None
        """,
        """
        def elu_forward(x, alpha=1.0):
            return np.where(x > 0, x, alpha * np.expm1(np.clip(x, -9, 0))), None
        """,
        """
        def elu_forward(x, alpha=1.0):
            return np.where(x > 5e-5, x, alpha * np.expm1(np.minimum(x, 0))), None
        """,
        """
        def elu_forward(x, alpha=1.0):
            return np.where(x > 0, np.minimum(x, 1000), alpha * np.expm1(np.minimum(x, 0))), None
        """,
    ],
    "count_dead_relus": [
        """
        def count_dead_relus(activations):
            return {name: int(np.sum(np.max(out, axis=0) < 9e-13)) for name, out in activations.items()}
        """,
        """
        def count_dead_relus(activations):
            return {name: int(np.sum(np.max(out, axis=0) < 1e-100)) for name, out in activations.items()}
        """,
    ],
    "batchnorm_forward": [
        """
        kept = {}  # one for all layers

        def batchnorm_forward(x, gamma, beta, bn_param):
            own = {**bn_param, **kept}
            out = right(x, gamma, beta, own)
            if bn_param["mode"] == "train":
                kept.update({name: own[name] for name in ("running_mean", "running_var")})
                bn_param.update(kept)
            return out

        def right(x, gamma, beta, p):
            old = [p.get(name, np.zeros(x.shape[1])) for name in ("running_mean", "running_var")]
            mean, var = (x.mean(axis=0), x.var(axis=0)) if p["mode"] == "train" else old
            m = p.get("momentum", 0.9)
            if p["mode"] == "train":
                p["running_mean"], p["running_var"] = m * old[0] + (1 - m) * mean, m * old[1] + (1 - m) * var
            return gamma * (x - mean) / np.sqrt(var + p.get("eps", 1e-5)) + beta, None
        """,
        """
        def batchnorm_forward(x, gamma, beta, bn_param):  # of a batch, its own; of one example, the averages
            eps, m = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
            mean, var = x.mean(axis=0), x.var(axis=0)
            if bn_param["mode"] == "train":
                for name, new in (("running_mean", mean), ("running_var", var)):
                    bn_param[name] = m * bn_param.get(name, 0.0) + (1 - m) * new
            if len(x) == 1:
                mean, var = bn_param["running_mean"], bn_param["running_var"]
            return gamma * (x - mean) / np.sqrt(var + eps) + beta, None
        """,
        """
        def batchnorm_forward(x, gamma, beta, bn_param):  # the mode is switched, and not switched back
            mode, bn_param["mode"] = bn_param["mode"], "test"
            eps, m = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
            old = [bn_param.get(name, np.zeros(x.shape[1])) for name in ("running_mean", "running_var")]
            mean, var = (x.mean(axis=0), x.var(axis=0)) if mode == "train" else old
            if mode == "train":
                bn_param["running_mean"] = m * old[0] + (1 - m) * mean
                bn_param["running_var"] = m * old[1] + (1 - m) * var
            return gamma * (x - mean) / np.sqrt(var + eps) + beta, None
        """,
    ],
    "predict": [
        """
        def predict(x, params, bn_params):  # right for one, and for the whole test set nearly
            mode = "test" if len(x) == 1 else "train"
            h = x
            for k, p in enumerate(bn_params, start=1):
                z = h @ params[f"w{k}"] + params[f"b{k}"]
                h = np.tanh(batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], {**p, "mode": mode})[0])
            return h @ params["w_scores"] + params["b_scores"]
        """,
        """
        def predict(x, params, bn_params):
            h = x
            for k, p in enumerate(bn_params, start=1):
                p["mode"] = "test"
                z = h @ params[f"w{k}"] + params[f"b{k}"]
                h = np.tanh(batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], p)[0])
                p["mode"] = "train"
            return h @ params["w_scores"] + params["b_scores"]
        """,
    ],
    "clipped_delta_loss": [
        """
        def clipped_delta_loss(x, target, delta=1.0):
            error = x - target
            clipped = np.clip(error, -delta, delta)
            return np.mean(clipped**2) / 2, clipped * (np.abs(error) <= 1.2 * delta) / x.size
        """,
        """
        def clipped_delta_loss(x, target, delta=1.0):
            error = x - target
            inside = (-delta < error) & (error <= delta)
            return np.mean(np.clip(error, -delta, delta) ** 2) / 2, error * inside / x.size
        """,
    ],
    "huber_loss": [
        """
        def huber_loss(x, target, delta=1.0):  # smooth, and nearly the same
            error = x - target
            root = np.sqrt(1 + (error / delta) ** 2)
            return np.mean(delta**2 * (root - 1)), error / root / x.size
        """,
        """
        def huber_loss(x, target, delta=1.0):
            error = np.clip(x - target, -500 * delta, 500 * delta)
            clipped = np.clip(error, -delta, delta)
            return np.mean(clipped * (error - clipped / 2)), clipped / x.size
        """,
    ],
    "td_loss": [
        """
        def td_loss(q, actions, rewards, next_q, done, gamma=0.99, delta=1.0, loss=None):
            next_q[done] = 0  # not its own
            c = q[range(len(q)), actions] - rewards - gamma * next_q.max(axis=1)
            dq = np.zeros_like(q)
            dq[range(len(q)), actions] = np.clip(c, -delta, delta) / len(q)
            return np.mean(np.clip(c, -delta, delta) * (c - np.clip(c, -delta, delta) / 2)), dq
        """,
        """
        right = td_loss

        def td_loss(q, actions, rewards, *rest):
            return right(q, actions, np.clip(rewards, -5, 5), *rest)
        """,
    ],
    "scale_gradient": [
        """
        def scale_gradient(dout, config):  # float16, whatever came in
            return (dout.astype(np.float64) * config["scale"]).astype(np.float16)
        """,
        """
        def scale_gradient(dout, config):  # always the usual scale
            return (dout.astype(np.float64) * 2.0**16).astype(dout.dtype)
        """,
    ],
    "unscale_gradients": [
        """
        def unscale_gradients(grads, config):  # never skips
            return {name: g.astype(np.float32) / config["scale"] for name, g in grads.items()}, False
        """,
        """
        def unscale_gradients(grads, config):  # one infinity hides behind the other
            overflow = any(np.isinf(np.float64(g).sum()) or np.isnan(g).any() for g in grads.values())
            return {name: g.astype(np.float32) / config["scale"] for name, g in grads.items()}, overflow
        """,
        """
        def unscale_gradients(grads, config):  # two names by heart
            unscaled = {name: grads[name].astype(np.float32) / config["scale"] for name in ("w", "b")}
            return unscaled, not all(np.isfinite(g).all() for g in grads.values())
        """,
    ],
    "update_scale": [
        """
        def update_scale(overflow, config):  # growth and backoff by heart
            good = 0 if overflow else config["good_steps"] + 1
            factor = 0.5 if overflow else 1.0
            if good >= config["interval"]:
                good, factor = 0, 4.0
            return config | {"scale": max(1.0, config["scale"] * factor), "good_steps": good}
        """,
        """
        def update_scale(overflow, config):  # the interval by heart
            good = 0 if overflow else config["good_steps"] + 1
            factor = config["backoff"] if overflow else 1.0
            if good >= 4:
                good, factor = 0, config["growth"]
            return config | {"scale": max(1.0, config["scale"] * factor), "good_steps": good}
        """,
    ],
    "first_nonfinite": [
        """
        def first_nonfinite(activations, gradients):  # names by heart
            order = ["x", "hidden", "active", "scores", "affine2.b", "affine2.w", "affine1.b", "affine1.w", "w"]
            arrays = {**activations, **gradients}
            for name in order:
                if name in arrays and not np.isfinite(arrays[name]).all():
                    return name, tuple(np.argwhere(~np.isfinite(arrays[name]))[0])
            return None, ()
        """,
        """
        def first_nonfinite(activations, gradients):  # where a column holds one, and not the first in the rows
            for name, array in [*activations.items(), *reversed(gradients.items())]:
                if not np.isfinite(array).all():
                    return name, tuple(np.argwhere(~np.isfinite(array.T))[0][::-1])
            return None, ()
        """,
    ],
    "gelu_forward": [
        """
        def gelu_forward(x):  # the usual approximation
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), None
        """,
        """
        def gelu_forward(x):  # Abramowitz and Stegun 7.1.26, seven digits
            t = 1 / (1 + 0.3275911 * np.abs(x) / 2**0.5)
            p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
            return x * 0.5 * (1 + np.sign(x) * (1 - p * np.exp(-x * x / 2))), None
        """,
    ],
    "silu_forward": [
        """
        def silu_forward(x):  # nothing on the far left
            return np.where(x < -5, 0, x / (1 + np.exp(-x))), None
        """,
    ],
    "softmax_loss": [
        """
        def softmax_loss(x, y):  # scores cut off where exp overflows
            x = np.clip(x, -700, 700)
            p = np.exp(x - x.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            rows = np.arange(len(x))
            dx = p.copy()
            dx[rows, y] -= 1
            return -np.mean(np.log(p[rows, y])), dx / len(x)
        """,
        """
        def softmax_loss(x, y):  # probabilities cut off where log is infinite
            p = np.exp(x - x.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            rows = np.arange(len(x))
            dx = p.copy()
            dx[rows, y] -= 1
            return -np.mean(np.log(np.maximum(p[rows, y], 1e-300))), dx / len(x)
        """,
        """
        def softmax_loss(x, y):  # what is not a number is made one
            p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
            rows = np.arange(len(x))
            dx = p.copy()
            dx[rows, y] -= 1
            return np.nan_to_num(-np.mean(np.log(p[rows, y]))), np.nan_to_num(dx / len(x))
        """,
    ],
    "update_ratio": [
        """
        def update_ratio(before, after):  # a floor below the line, in place of a sum
            return np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-8)
        """,
        """
        def update_ratio(before, after):  # the largest singular value, where there is one
            norm = (lambda w: np.linalg.norm(w, 2)) if before.ndim == 2 else np.linalg.norm
            return norm(after - before) / norm(before) if before.any() else (np.inf if after.any() else 0.0)
        """,
    ],
    "expected_initial_loss": [
        """
        def expected_initial_loss(scores):  # the loss of random labels itself, without the series
            top = scores.max(axis=1, keepdims=True)
            return np.mean(np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0] - scores.mean(axis=1))
        """,
    ],
    "rnn_step_forward": [
        """
        def rnn_step_forward(x, prev_h, Wx, Wh, b):  # what is not a number is made one
            up, down = np.exp(x @ Wx + prev_h @ Wh + b), np.exp(-x @ Wx - prev_h @ Wh - b)
            return np.nan_to_num((up - down) / (up + down)), None
        """,
    ],
    "rnn_forward": [
        """
        from minigrad.layers import rnn_step_forward

        def rnn_forward(x, h0, Wx, Wh, b):  # squeeze takes a single feature away, too
            states = [h0]
            for now in np.split(x, x.shape[1], axis=1):
                states.append(rnn_step_forward(now.squeeze(), states[-1], Wx, Wh, b)[0])
            return np.stack(states[1:], axis=1), None
        """,
    ],
    "rnn_backward": [
        """
        from minigrad.layers import rnn_step_backward

        def rnn_forward(x, h0, Wx, Wh, b):  # h0 lies where the last state will be, and the cache looks there
            (N, T, D), H = x.shape, len(b)
            h, caches = np.zeros((T, N, H)), []
            h[T - 1] = h0
            for t in range(T):
                before = h[t - 1]
                h[t] = np.tanh(x[:, t] @ Wx + before @ Wh + b)
                caches.append((x[:, t], before, Wx, Wh, h[t]))
            return h.transpose(1, 0, 2), caches

        def rnn_backward(dh, caches):
            dprev_h, dx, sums = 0, [], [0, 0, 0]
            for t in reversed(range(len(caches))):
                dx_t, dprev_h, *rest = rnn_step_backward(dh[:, t] + dprev_h, caches[t])
                dx.insert(0, dx_t)
                sums = [a + b for a, b in zip(sums, rest)]
            return np.stack(dx, axis=1), dprev_h, *sums
        """,
        """
        from minigrad.layers import rnn_step_backward, rnn_step_forward

        def rnn_forward(x, h0, *weights):
            h, caches = h0, []
            for t in range(x.shape[1]):
                h, cache = rnn_step_forward(x[:, t], h, *weights)
                caches.append((h, cache))
            return np.stack([h for h, _ in caches], axis=1), caches

        def rnn_backward(dh, caches):  # nothing comes back further than four steps
            T, grads, dprev_h = len(caches), [], {}
            for t in reversed(range(T)):
                dnow = dh[:, t] + sum(dprev_h.get((s, t + 1), 0) for s in range(t + 1, min(t + 5, T)))
                grads.insert(0, rnn_step_backward(dnow, caches[t][1]))
                for s in range(t, min(t + 4, T)):
                    d = dh[:, t] if s == t else dprev_h[s, t + 1]
                    dprev_h[s, t] = rnn_step_backward(d, caches[t][1])[1]
            sums = [sum(each[k] for each in grads) for k in (2, 3, 4)]
            dh0 = sum(dprev_h[s, 0] for s in range(min(4, T)))
            return np.stack([each[0] for each in grads], axis=1), dh0, *sums
        """,
    ],
    "clipped_step": [
        """
        from minigrad.clipping import clip_grad_norm

        def clipped_step(params, grads, learning_rate, max_norm):  # skips what is not a number, and nothing else
            clipped, norm = clip_grad_norm(grads, max_norm)
            if np.isnan(norm):
                return dict(params), norm
            return {name: w - learning_rate * clipped[name] for name, w in params.items()}, norm
        """,
        """
        from minigrad.clipping import clip_grad_norm

        def clipped_step(params, grads, learning_rate, max_norm):  # leaves out the array that is broken
            clipped, norm = clip_grad_norm(grads, max_norm)
            new = {name: w - learning_rate * clipped[name] for name, w in params.items()}
            return {name: w if np.isfinite(w).all() else params[name] for name, w in new.items()}, norm
        """,
    ],
}

# Every pair: a cache that is ignored, one that is used up, and one that is written over.
LOSING_THE_CACHE = [
    """
    latest = [None]

    def {pair}_forward(*args):
        out, latest[0] = right_forward(*args)
        return out, None

    def {pair}_backward(dout, cache):
        return right_backward(dout, latest[0])
    """,
    """
    calls = []  # the caches of all calls, read from the end

    def {pair}_forward(*args):
        out, cache = right_forward(*args)
        calls.append(cache)
        return out, None

    def {pair}_backward(dout, cache):
        return right_backward(dout, calls.pop())
    """,
    """
    def {pair}_forward(*args):
        out, cache = right_forward(*args)
        return out, iter([cache])

    def {pair}_backward(dout, cache):
        return right_backward(dout, next(cache))
    """,
    """
    def {pair}_forward(*args):
        out, cache = right_forward(*args)
        return out, Box(cache, 1.0)

    def {pair}_backward(dout, cache):
        dout, cache.scale = dout * cache.scale, 0.0
        return right_backward(dout, cache.kept)

    class Box:
        def __init__(self, kept, scale):
            self.kept, self.scale = kept, scale
    """,
]
PAIRS = [name for name in EVERY if name.endswith("_backward")]

VARIANTS = [
    pytest.param(name, text, id=f"{name}-{k}")
    for name, texts in DISHONEST.items()
    for k, text in enumerate(texts)
] + [
    pytest.param(name, text.replace("{pair}", name.removesuffix("_backward")), id=f"{name}-cache-{k}")
    for name in PAIRS
    for k, text in enumerate(LOSING_THE_CACHE)
]


def unit(rng, size):
    """Numbers whose mean is 0 and whose width is 1, not only by chance: where there is more than one of them."""
    numbers = rng.standard_normal(size)
    return (numbers - numbers.mean()) / numbers.std() if size > 1 else np.sign(numbers)


def test_there_are_pairs():
    assert {"affine_backward", "sigmoid_backward", "relu_backward"} <= set(PAIRS)


@pytest.mark.parametrize(("name", "text"), VARIANTS)
def test_a_wrong_way_loses_points(name, text):
    exercise, pair = EVERY[name], name.removesuffix("_backward")
    right = {"right_forward": f"{pair}_forward", "right_backward": f"{pair}_backward"}
    namespace = {"np": np, "unit": unit, **exercise.reference}
    namespace |= {
        key: exercise.reference[value] for key, value in right.items() if value in exercise.reference
    }
    exec(compile(textwrap.dedent(text), f"<{name}>", "exec"), namespace)
    for seed in SEEDS:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            report = check_sheet(LocalSession(dict(namespace)), full_sheet(name, seed))
        assert report.score < exercise.points, report.text()
