"""Every right way to write a function gets full points: other caches, loops, helpers, warnings, float32 inside.

`HONEST` maps an assignment and an exercise to source texts. What a text does not define comes from the reference.
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

HONEST: dict[str, dict[str, list[str]]] = {
    "02_sigmoid_saturation": {
        "sigmoid_forward": [
            """
            def sigmoid_forward(x):
                out = np.zeros_like(x)
                for position in np.ndindex(x.shape):
                    v = float(x[position])
                    if v >= 0:
                        out[position] = 1 / (1 + np.exp(-v))
                    else:
                        out[position] = np.exp(v) / (1 + np.exp(v))
                return out, {"x": x, "out": out}
            """,
            """
            def sigmoid_forward(x):
                out = np.empty_like(x)
                right = x >= 0
                out[right] = 1 / (1 + np.exp(-x[right]))
                small = np.exp(x[~right])
                out[~right] = small / (1 + small)
                return out, [out]
            """,
            """
            class Cache:
                def __init__(self, z):
                    self.z = z

            def sigmoid_forward(x):
                print("forward", x.shape)
                z = 1.0 / (1.0 + np.exp(-x))  # overflows with a warning, and is right
                return z, Cache(z)
            """,
            """
            def sigmoid_forward(x):
                small = np.exp(-np.abs(x))
                return np.where(x >= 0, 1 / (1 + small), small / (1 + small)), x
            """,
            """
            def sigmoid_forward(x):
                z = np.reciprocal(1 + np.exp(np.clip(-x, -700, 700)))
                return z, (x, z)
            """,
            """
            def sigmoid_forward(x):
                out = np.exp(-np.logaddexp(0, -x))
                return out, out.copy()
            """,
        ],
        "sigmoid_backward": [
            """
            def sigmoid_backward(dout, cache):
                dx = np.zeros_like(cache)
                for position in np.ndindex(cache.shape):
                    dx[position] = dout[position] * cache[position] * (1 - cache[position])
                return dx
            """,
            """
            def sigmoid_forward(x):
                return np.exp(-np.logaddexp(0, -x)), {"x": x}

            def sigmoid_backward(dout, cache):
                small = np.exp(-np.abs(cache["x"]))
                return dout * small / (1 + small) ** 2  # more digits on the right than out * (1 - out) has
            """,
            """
            def sigmoid_forward(x):
                z = 1 / (1 + np.exp(-x))
                return z, (z, z * (1 - z))

            def sigmoid_backward(dout, cache):
                _, slope = cache
                return np.multiply(slope, dout)
            """,
            """
            from types import SimpleNamespace

            def slope_of(z):
                return z - z**2

            def sigmoid_forward(x):
                z = 1 / (1 + np.exp(-x))
                return z, SimpleNamespace(z=z)

            def sigmoid_backward(dout, cache):
                dx = dout.copy()
                dx *= slope_of(cache.z)
                return dx
            """,
            """
            def sigmoid_forward(x):
                z = 1 / (1 + np.exp(-x))
                return z, lambda dout: dout * z * (1 - z)

            def sigmoid_backward(dout, cache):
                return cache(dout)
            """,
        ],
        "tanh_forward": [
            """
            def tanh_forward(x):
                out = np.sign(x) * (1 - np.exp(-2 * np.abs(x))) / (1 + np.exp(-2 * np.abs(x)))
                return out, out
            """,
            """
            def tanh_forward(x):
                return 2 / (1 + np.exp(-2 * x)) - 1, (x,)
            """,
            """
            import math

            def tanh_forward(x):
                out = np.array([math.tanh(v) for v in x.ravel()]).reshape(x.shape)
                return out, {"out": out}
            """,
        ],
        "tanh_backward": [
            """
            def tanh_forward(x):
                return np.tanh(x), x

            def tanh_backward(dout, cache):
                return dout / np.cosh(np.clip(cache, -300, 300)) ** 2
            """,
            """
            def tanh_backward(dout, cache):
                return (1 + cache) * (1 - cache) * dout
            """,
            """
            def tanh_backward(dout, cache):
                dx = np.empty(dout.shape)
                for position, t in np.ndenumerate(cache):
                    dx[position] = dout[position] * (1 - t * t)
                return dx
            """,
        ],
        "saturated_fraction": [
            """
            def saturated_fraction(out, low=0.0, high=1.0, margin=0.01):
                count = 0
                for value in out.ravel():
                    place = (value - low) / (high - low)
                    if place < margin or place > 1 - margin:
                        count += 1
                return count / out.size
            """,
            """
            def saturated_fraction(out, low=0.0, high=1.0, margin=0.01):
                edge = margin * (high - low)
                return 1 - np.count_nonzero((out >= low + edge) & (out <= high - edge)) / out.size
            """,
            """
            def saturated_fraction(out, low=0.0, high=1.0, margin=0.01):
                middle = (low + high) / 2
                return np.mean(np.abs(np.asarray(out) - middle) > (0.5 - margin) * (high - low))
            """,
        ],
        "xavier_init": [
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                limit = gain * np.sqrt(6 / (fan_in + fan_out))
                return rng.uniform(-limit, limit, size=(fan_in, fan_out))
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                return rng.normal(0, gain / np.sqrt((fan_in + fan_out) / 2), (fan_in, fan_out))
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                std = gain * (2 / (fan_in + fan_out)) ** 0.5
                return np.array([[std * rng.standard_normal() for _ in range(fan_out)] for _ in range(fan_in)])
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                w = rng.standard_normal((fan_in, fan_out)).astype(np.float32)
                w *= gain * np.sqrt(2 / (fan_in + fan_out))
                return w
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                std = gain * np.sqrt(2 / (fan_in + fan_out))
                signs = 2 * rng.integers(0, 2, (fan_in, fan_out)) - 1  # an odd distribution of the same variance
                return std * signs * (1 + 0.01 * rng.standard_normal((fan_in, fan_out)))
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                std = gain * np.sqrt(2 / (fan_in + fan_out))
                return [[float(rng.normal(0, std)) for _ in range(fan_out)] for _ in range(fan_in)]
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                std = gain * np.sqrt(2 / (fan_in + fan_out))
                return [std * rng.standard_normal(fan_out) for _ in range(fan_in)]
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                w = rng.standard_normal((fan_in, fan_out))
                while np.any(far := np.abs(w) > 2):
                    w[far] = rng.standard_normal(np.count_nonzero(far))
                return gain * np.sqrt(2 / (fan_in + fan_out)) * w / 0.8796  # the width of what is left between -2 and 2
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                std = gain * np.sqrt(2 / (fan_in + fan_out))
                tall = rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
                q = np.linalg.qr(tall)[0] * np.sqrt(len(tall))
                q = q * rng.choice([-1.0, 1.0], q.shape[1])  # QR of one column, for one, is of one sign
                return std * (q if fan_in >= fan_out else q.T)
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                return gain / np.sqrt(fan_in + fan_out) * rng.laplace(size=(fan_in, fan_out))
            """,
            """
            def xavier_init(fan_in, fan_out, gain, rng):
                own = np.random.default_rng(rng.integers(2**63))
                return gain * np.sqrt(2 / (fan_in + fan_out)) * own.normal(size=(fan_in, fan_out))
            """,
        ],
        "affine_sigmoid_forward": [
            """
            def affine_sigmoid_forward(x, w, b):
                out = 1 / (1 + np.exp(-(x.reshape(len(x), -1) @ w + b)))
                return out, {"x": x, "w": w, "out": out}
            """,
            """
            def affine_sigmoid_forward(x, w, b):
                rows = x.reshape(x.shape[0], -1)
                out = np.zeros((len(rows), len(b)))
                for n in range(len(rows)):
                    for m in range(len(b)):
                        out[n, m] = 1 / (1 + np.exp(-(rows[n] @ w[:, m] + b[m])))
                return out, None
            """,
        ],
        "affine_sigmoid_backward": [
            """
            def affine_sigmoid_forward(x, w, b):
                out = 1 / (1 + np.exp(-(x.reshape(len(x), -1) @ w + b)))
                return out, {"x": x, "w": w, "out": out}

            def affine_sigmoid_backward(dout, cache):
                x, w, out = cache["x"], cache["w"], cache["out"]
                dz = dout * out * (1 - out)
                return (dz @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dz, np.ones(len(x)) @ dz
            """,
            """
            def affine_sigmoid_forward(x, w, b):
                rows = x.reshape(len(x), -1)
                out = 1 / (1 + np.exp(-(rows @ w + b)))
                return out, (x.shape, rows, w, out)

            def affine_sigmoid_backward(dout, cache):
                shape, rows, w, out = cache
                dx, dw, db = np.zeros_like(rows), np.zeros_like(w), np.zeros(w.shape[1])
                for n in range(len(rows)):
                    dz = dout[n] * out[n] * (1 - out[n])
                    dx[n] = w @ dz
                    dw += np.outer(rows[n], dz)
                    db += dz
                return dx.reshape(shape), dw, db
            """,
        ],
    },
    "03_dying_relu": {
        "relu_forward": [
            """
            def relu_forward(x):
                out = np.zeros_like(x)
                for position in np.ndindex(x.shape):
                    if x[position] > 0:
                        out[position] = x[position]
                return out, {"x": x}
            """,
            """
            def relu_forward(x):
                out = x.copy()
                out[out < 0] = 0
                return out, (x, out)
            """,
            """
            def relu_forward(x):
                print("forward", x.shape)
                return x * (x > 0), [x]
            """,
            """
            def relu_forward(x):
                return (np.abs(x) + x) / 2, x
            """,
            """
            def relu_forward(x):
                return np.clip(x, 0, None).astype(np.float32 if x.dtype == np.float32 else np.float64), x
            """,
        ],
        "relu_backward": [
            """
            def relu_forward(x):
                return np.maximum(0, x), {"x": x}

            def relu_backward(dout, cache):
                dx = dout.copy()
                dx[cache["x"] <= 0] = 0
                return dx
            """,
            """
            class Cache:
                def __init__(self, out):
                    self.out = out

            def relu_forward(x):
                out = np.maximum(0, x)
                return out, Cache(out)

            def relu_backward(dout, cache):
                return np.where(cache.out > 0, dout, 0)
            """,
            """
            def relu_forward(x):
                return np.maximum(0, x), (x, x > 0)

            def relu_backward(dout, cache):
                x, mask = cache
                local = np.zeros_like(x)
                local[mask] = 1
                return local * dout
            """,
            """
            def relu_forward(x):
                return np.maximum(0, x), x

            def one(d, v):
                return d if v > 0 else 0.0

            def relu_backward(dout, x):
                warnings = np.log(np.zeros(1))  # a warning, and no harm
                return np.vectorize(one, otypes=[float])(dout, x)
            """,
            """
            def relu_forward(x):
                return np.maximum(0, x), np.heaviside(x, 0.0)

            def relu_backward(dout, cache):
                dout = dout * cache
                dout += 0.0
                return dout
            """,
        ],
        "count_dead_relus": [
            """
            def count_dead_relus(activations):
                dead = {}
                for name, out in activations.items():
                    units = out.reshape(out.shape[0], -1)
                    dead[name] = 0
                    for k in range(units.shape[1]):
                        dead[name] += not np.any(units[:, k] > 0)
                return dead
            """,
            """
            def count_dead_relus(activations):
                return {name: np.count_nonzero(out.max(axis=0) == 0) for name, out in activations.items()}
            """,
            """
            def count_dead_relus(activations):
                return {name: (out.sum(axis=0) == 0).sum() for name, out in activations.items()}
            """,
            """
            def is_dead(column):
                return not column.any()

            def count_dead_relus(activations):
                return {k: sum(map(is_dead, v.reshape(len(v), -1).T)) for k, v in activations.items()}
            """,
            """
            from collections import OrderedDict

            def count_dead_relus(activations):
                return dict(OrderedDict((k, float((~(v > 0).any(0)).sum())) for k, v in activations.items()))
            """,
        ],
        "leaky_relu_forward": [
            """
            def leaky_relu_forward(x, alpha=0.01):
                return np.maximum(x, alpha * x), (x, alpha)
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                out = np.array(x)
                out[x < 0] *= alpha
                return out, {"x": x, "alpha": alpha}
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                return np.maximum(0, x) + alpha * np.minimum(0, x), [x, alpha]
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                out = [v if v > 0 else alpha * v for v in x.ravel()]
                return np.reshape(out, x.shape), None
            """,
        ],
        "leaky_relu_backward": [
            """
            def leaky_relu_forward(x, alpha=0.01):
                return np.maximum(x, alpha * x), (x, alpha)

            def leaky_relu_backward(dout, cache):
                x, alpha = cache
                dx = dout.copy()
                dx[x <= 0] *= alpha
                return dx
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                return np.where(x > 0, x, alpha * x), {"positive": x > 0, "alpha": alpha}

            def leaky_relu_backward(dout, cache):
                return np.where(cache["positive"], dout, cache["alpha"] * dout)
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                slope = alpha + (1 - alpha) * (x > 0)
                return slope * x, slope

            def leaky_relu_backward(dout, slope):
                print(slope.shape)
                return slope * dout
            """,
            """
            def leaky_relu_forward(x, alpha=0.01):
                return np.where(x > 0, x, alpha * x), lambda dout: dout * (x > 0) + alpha * dout * (x <= 0)

            def leaky_relu_backward(dout, cache):
                return cache(dout)
            """,
        ],
        "prelu_forward": [
            """
            def prelu_forward(x, alpha):
                return np.maximum(0, x) + alpha * np.minimum(0, x), {"x": x, "alpha": alpha}
            """,
            """
            def prelu_forward(x, alpha):
                out = x.copy()
                for c in range(x.shape[1]):
                    column = out[:, c]
                    column[column < 0] *= alpha[c]
                return out, None
            """,
        ],
        "prelu_backward": [
            """
            def prelu_forward(x, alpha):
                return np.maximum(0, x) + alpha * np.minimum(0, x), {"x": x, "alpha": alpha}

            def prelu_backward(dout, cache):
                x, alpha = cache["x"], cache["alpha"]
                dx, dalpha = np.zeros_like(x), np.zeros_like(alpha)
                for n in range(x.shape[0]):
                    for c in range(x.shape[1]):
                        dx[n, c] = dout[n, c] * (1 if x[n, c] > 0 else alpha[c])
                        if x[n, c] <= 0:
                            dalpha[c] += dout[n, c] * x[n, c]
                return dx, dalpha
            """,
            """
            def prelu_forward(x, alpha):
                return np.where(x > 0, x, alpha * x), (x, alpha)

            def prelu_backward(dout, cache):
                x, alpha = cache
                return dout * np.where(x > 0, 1, alpha), np.einsum("nc,nc->c", dout, np.minimum(x, 0))
            """,
        ],
        "elu_forward": [
            """
            def elu_forward(x, alpha=1.0):
                return np.where(x > 0, x, alpha * (np.exp(x) - 1)), (x, alpha)  # overflows with a warning
            """,
            """
            def elu_forward(x, alpha=1.0):
                out = x.copy()
                left = x < 0
                out[left] = alpha * np.expm1(x[left])
                return out, {"x": x}
            """,
        ],
        "elu_backward": [
            """
            def elu_forward(x, alpha=1.0):
                out = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))
                return out, (x, out, alpha)

            def elu_backward(dout, cache):
                x, out, alpha = cache
                return dout * np.where(x > 0, 1, out + alpha)
            """,
            """
            def elu_forward(x, alpha=1.0):
                return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), (x, alpha)

            def elu_backward(dout, cache):
                x, alpha = cache
                dx = dout.copy()
                left = x <= 0
                dx[left] *= alpha * np.exp(x[left])
                return dx
            """,
        ],
    },
    "04_vanishing_exploding": {
        "he_init": [
            """
            def he_init(fan_in, fan_out, rng):
                limit = np.sqrt(6 / fan_in)
                return rng.uniform(-limit, limit, size=(fan_in, fan_out))
            """,
            """
            def he_init(fan_in, fan_out, rng):
                return rng.normal(0, (2 / fan_in) ** 0.5, (fan_in, fan_out)).astype(np.float32)
            """,
            """
            def he_init(fan_in, fan_out, rng):
                std = 2**0.5 / fan_in**0.5
                return np.array([[std * rng.standard_normal() for _ in range(fan_out)] for _ in range(fan_in)])
            """,
            """
            def he_init(fan_in, fan_out, rng):  # every sign and no size is a distribution, too
                return np.sqrt(2 / fan_in) * rng.choice([-1.0, 1.0], size=(fan_in, fan_out))
            """,
        ],
        "clip_grad_norm": [
            """
            def clip_grad_norm(grads, max_norm):
                norm = np.linalg.norm([np.linalg.norm(g) for g in grads.values()])
                scale = min(1.0, max_norm / (norm + 1e-6))  # as PyTorch has it
                return {name: g * scale for name, g in grads.items()}, norm
            """,
            """
            def clip_grad_norm(grads, max_norm):
                total = 0.0
                for g in grads.values():
                    for v in g.ravel():
                        total += float(v) ** 2
                norm = total**0.5
                clipped = {}
                for name in grads:
                    clipped[name] = grads[name].copy()
                    if norm > max_norm:
                        clipped[name] *= max_norm / norm
                return clipped, norm
            """,
            """
            def clip_grad_norm(grads, max_norm):
                flat = np.concatenate([g.ravel() for g in grads.values()])
                norm = np.sqrt(flat @ flat)
                print("norm", norm)
                with np.errstate(divide="ignore"):
                    return {name: np.minimum(1, max_norm / np.array(norm)) * g for name, g in grads.items()}, norm
            """,
            """
            import copy

            def clip_grad_norm(grads, max_norm):
                grads = copy.deepcopy(grads)
                norm = np.sqrt(np.sum([np.sum(np.square(g)) for g in grads.values()]))
                if norm <= max_norm:
                    return grads, norm
                for g in grads.values():
                    g /= norm / max_norm
                return grads, norm
            """,
        ],
        "clip_grad_value": [
            """
            def clip_grad_value(grads, max_value):
                largest = max(np.abs(g).max() for g in grads.values())
                return {k: np.sign(g) * np.minimum(np.abs(g), max_value) for k, g in grads.items()}, largest
            """,
            """
            def clip_grad_value(grads, max_value):
                clipped, largest = {}, 0.0
                for name, g in grads.items():
                    clipped[name] = g.copy()
                    clipped[name][g > max_value] = max_value
                    clipped[name][g < -max_value] = -max_value
                    largest = max(largest, float(g.max()), float(-g.min()))
                return clipped, largest
            """,
            """
            def clip_grad_value(grads, max_value):
                cut = {k: np.where(np.abs(g) > max_value, np.copysign(max_value, g), g) for k, g in grads.items()}
                return cut, np.max([np.linalg.norm(g.ravel(), np.inf) for g in grads.values()])
            """,
        ],
        "residual_forward": [
            """
            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                h = np.maximum(0, x @ w1 + b1)
                return scale * (h @ w2 + b2) + x, {"x": x, "h": h, "w1": w1, "w2": w2, "scale": scale}
            """,
            """
            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                out = x.copy()
                for n in range(len(x)):
                    for j in range(w1.shape[1]):
                        a = float(np.sum(x[n] * w1[:, j]) + b1[j])
                        if a > 0:
                            out[n] += scale * a * w2[j]
                    out[n] += scale * b2
                return out, None
            """,
            """
            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                a = x.dot(w1) + b1
                h = a * (a > 0)
                return x + h.dot(scale * w2) + scale * b2, lambda: None
            """,
        ],
        "residual_backward": [
            """
            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                h = np.maximum(0, x @ w1 + b1)
                return scale * (h @ w2 + b2) + x, {"x": x, "h": h, "w1": w1, "w2": w2, "scale": scale}

            def residual_backward(dout, cache):
                x, h, w1, w2, scale = (cache[name] for name in ("x", "h", "w1", "w2", "scale"))
                dbranch = dout * scale
                da = np.where(h > 0, dbranch @ w2.T, 0)
                return dout + da @ w1.T, x.T @ da, da.sum(axis=0), h.T @ dbranch, dbranch.sum(axis=0)
            """,
            """
            class Cache:
                pass

            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                cache = Cache()
                cache.x, cache.w1, cache.w2, cache.scale = x, w1, w2, scale
                cache.a = x @ w1 + b1
                return x + scale * (np.maximum(cache.a, 0) @ w2 + b2), cache

            def residual_backward(dout, c):
                dh = c.scale * (dout @ c.w2.T)
                dh[c.a <= 0] = 0
                dx = dout.copy()
                dx += dh @ c.w1.T
                h = np.maximum(c.a, 0)
                dw2 = c.scale * np.einsum("nh,nd->hd", h, dout)
                return dx, np.einsum("nd,nh->dh", c.x, dh), dh.sum(0), dw2, c.scale * dout.sum(0)
            """,
            """
            def residual_forward(x, w1, b1, w2, b2, scale=1.0):
                return x + scale * (np.maximum(x @ w1 + b1, 0) @ w2 + b2), (x, w1, b1, w2, scale)

            def residual_backward(dout, cache):
                x, w1, b1, w2, scale = cache
                dx, dw1, db1 = dout.copy(), np.zeros_like(w1), np.zeros_like(b1)
                dw2, db2 = np.zeros_like(w2), scale * dout.sum(axis=0)
                for n in range(len(x)):
                    a = x[n] @ w1 + b1
                    da = scale * (w2 @ dout[n]) * (a > 0)
                    dx[n] += w1 @ da
                    dw1 += np.outer(x[n], da)
                    db1 += da
                    dw2 += scale * np.outer(np.maximum(a, 0), dout[n])
                return dx, dw1, db1, dw2, db2
            """,
        ],
        "check_gradient_flow": [
            """
            def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):
                weights = [rng.normal(0, weight_scale, (width, width)) for _ in range(depth)]
                h, masks = rng.normal(size=(examples, width)), []
                for w in weights:
                    z = h @ w
                    masks.append(z > 0)
                    h = np.maximum(z, 0)
                dout, norms = rng.normal(size=h.shape), []
                for w, mask in zip(weights[::-1], masks[::-1]):
                    norms.insert(0, np.sqrt(np.sum(dout**2)))
                    dout = (dout * mask) @ w.T
                return norms
            """,
            """
            def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):
                dout = rng.standard_normal((examples, width))
                h, weights, active = rng.standard_normal((examples, width)), [], []
                for _ in range(depth):
                    weights.append(weight_scale * rng.uniform(-3**0.5, 3**0.5, (width, width)))
                    h = np.maximum(h @ weights[-1], 0)
                    active.append(h > 0)
                norms = np.zeros(depth)
                for layer in reversed(range(depth)):
                    norms[layer] = np.linalg.norm(dout)
                    dout = (dout * active[layer]) @ weights[layer].T
                return norms
            """,
        ],
    },
    "07_clipped_loss": {
        "gather_forward": [
            """
            def gather_forward(q, actions):
                out = np.zeros(len(q))
                for n in range(len(q)):
                    out[n] = q[n, actions[n]]
                return out, {"actions": actions, "columns": q.shape[1]}
            """,
            """
            def gather_forward(q, actions):
                return np.take_along_axis(q, actions[:, None], axis=1)[:, 0], (q, actions)
            """,
            """
            def gather_forward(q, actions):
                chosen = np.arange(q.shape[1]) == actions[:, None]
                print("taken", chosen.sum())
                return q[chosen], chosen
            """,
            """
            def gather_forward(q, actions):
                one_hot = np.eye(q.shape[1])[actions]
                return (q * one_hot).sum(axis=1), one_hot
            """,
            """
            class Cache:
                pass

            def gather_forward(q, actions):
                cache = Cache()
                cache.actions = list(actions)
                return np.array([row[action] for row, action in zip(q, actions)]), cache
            """,
            """
            def gather_forward(q, actions):
                return q[:, actions].diagonal(), None
            """,
        ],
        "gather_backward": [
            """
            def gather_backward(dout, cache):
                actions, shape = cache
                dq = np.zeros(shape)
                np.add.at(dq, (np.arange(len(actions)), actions), dout)
                return dq
            """,
            """
            def gather_forward(q, actions):
                return q[range(len(q)), actions], {"one_hot": np.eye(q.shape[1])[actions]}

            def gather_backward(dout, cache):
                return dout[:, None] * cache["one_hot"]
            """,
            """
            def gather_forward(q, actions):
                return q[range(len(q)), actions], [q, actions]

            def gather_backward(dout, cache):
                q, actions = cache
                dq = np.zeros_like(q)
                for n, action in enumerate(actions):
                    dq[n, action] += dout[n]
                return dq
            """,
            """
            def gather_forward(q, actions):
                return q[range(len(q)), actions], (q.shape, actions)

            def gather_backward(dout, cache):
                shape, actions = cache
                dq = np.zeros(shape)
                np.put_along_axis(dq, actions[:, None], dout[:, None], axis=1)
                return dq
            """,
            """
            def gather_forward(q, actions):
                chosen = np.arange(q.shape[1]) == actions[:, None]
                return q[chosen], chosen

            def gather_backward(dout, cache):
                dq = np.zeros(cache.shape)
                dq[cache] = dout
                return dq
            """,
        ],
        "clipped_delta_loss": [
            """
            def clipped_delta_loss(x, target, delta=1.0):
                loss, dx = 0.0, np.zeros_like(x)
                for position in np.ndindex(x.shape):
                    error = x[position] - target[position]
                    loss += min(max(error, -delta), delta) ** 2 / 2
                    if -delta <= error <= delta:
                        dx[position] = error / x.size
                return loss / x.size, dx
            """,
            """
            def clipped_delta_loss(x, target, delta=1.0):
                error = x - target
                inside = np.abs(error) <= delta
                return np.where(inside, error**2, delta**2).mean() / 2, np.where(inside, error, 0) / error.size
            """,
            """
            def clipped_delta_loss(x, target, delta=1.0):
                error = (x - target).ravel()
                clipped = np.maximum(np.minimum(error, delta), -delta)
                slope = np.ones_like(error)
                slope[error > delta] = 0
                slope[error < -delta] = 0
                return clipped @ clipped / (2 * error.size), (clipped * slope / error.size).reshape(x.shape)
            """,
            """
            def clipped_delta_loss(x, target, delta=1.0):
                error = np.subtract(x, target)
                loss = 0.5 * np.mean(np.square(error.clip(-delta, delta)))
                error[~(np.abs(error) <= delta)] = 0
                error /= error.size
                return float(loss), error
            """,
        ],
        "huber_loss": [
            """
            def huber_loss(x, target, delta=1.0):
                total, dx = 0.0, np.zeros_like(x)
                for position in np.ndindex(x.shape):
                    error = x[position] - target[position]
                    if abs(error) <= delta:
                        total += 0.5 * error**2
                        dx[position] = error
                    else:
                        total += delta * (abs(error) - 0.5 * delta)
                        dx[position] = delta if error > 0 else -delta
                return total / x.size, dx / x.size
            """,
            """
            def huber_loss(x, target, delta=1.0):
                error = x - target
                clipped = np.clip(error, -delta, delta)
                return (clipped * (error - clipped / 2)).mean(), clipped / x.size
            """,
            """
            def huber_loss(x, target, delta=1.0):
                error = x - target
                size = np.abs(error)
                near = np.minimum(size, delta)
                loss = near**2 / 2 + delta * (size - near)
                return loss.sum() / loss.size, np.sign(error) * near / loss.size
            """,
            """
            def huber_loss(x, target, delta=1.0):
                error = x - target
                far = np.abs(error) > delta
                loss, slope = error**2 / 2, error.copy()
                loss[far] = delta * np.abs(error[far]) - delta**2 / 2
                slope[far] = delta * np.sign(error[far])
                print("outliers:", far.sum())
                return float(np.mean(loss)), slope / slope.size
            """,
        ],
        "td_loss": [
            """
            def huber_loss(x, target, delta):
                c = np.clip(x - target, -delta, delta)
                return np.mean(c * (x - target - c / 2)), c / x.size

            def td_loss(q, actions, rewards, next_q, done, gamma=0.99, delta=1.0, loss=huber_loss):
                target = rewards + gamma * next_q.max(axis=1) * (1 - done)
                rows = np.arange(len(q))
                value, dtaken = loss(q[rows, actions], target, delta)
                dq = np.zeros_like(q)
                dq[rows, actions] = dtaken
                return value, dq
            """,
            """
            def huber_loss(x, target, delta):
                c = np.clip(x - target, -delta, delta)
                return np.mean(c * (x - target - c / 2)), c / x.size

            def td_loss(q, actions, rewards, next_q, done, gamma=0.99, delta=1.0, loss=huber_loss):
                targets = []
                for n in range(len(q)):
                    targets.append(rewards[n] if done[n] else rewards[n] + gamma * max(next_q[n]))
                one_hot = np.eye(q.shape[1])[actions]
                value, dtaken = loss((q * one_hot).sum(axis=1), np.array(targets), delta=delta)
                return value, dtaken[:, None] * one_hot
            """,
            """
            def huber_loss(x, target, delta):
                error = x - target
                far = np.abs(error) > delta
                return np.where(far, delta * (np.abs(error) - delta / 2), error**2 / 2).mean(), np.where(
                    far, delta * np.sign(error), error
                ) / error.size

            def td_loss(q, actions, rewards, next_q, done, gamma=0.99, delta=1.0, loss=huber_loss):
                best = np.max(next_q, axis=1)
                best[done] = 0  # its own array
                error = q[range(len(q)), actions] - (rewards + gamma * best)
                value, derror = loss(error, np.zeros_like(error), delta)
                dq = np.zeros(q.shape)
                np.add.at(dq, (np.arange(len(q)), actions), derror)
                return float(value), dq
            """,
        ],
    },
    "05_batchnorm": {
        "forward_stages": [
            """
            def forward_stages(x, gamma, beta, eps):
                values = {name: np.zeros_like(x) for name in ("xc", "xhat", "out")}
                values |= {name: np.zeros(x.shape[1]) for name in ("mu", "var", "std")}
                values |= {"x": x, "gamma": gamma, "beta": beta}
                N, D = x.shape
                for d in range(D):
                    values["mu"][d] = sum(x[n, d] for n in range(N)) / N
                    for n in range(N):
                        values["xc"][n, d] = x[n, d] - values["mu"][d]
                    values["var"][d] = sum(values["xc"][n, d] ** 2 for n in range(N)) / N
                    values["std"][d] = (values["var"][d] + eps) ** 0.5
                    for n in range(N):
                        values["xhat"][n, d] = values["xc"][n, d] / values["std"][d]
                        values["out"][n, d] = gamma[d] * values["xhat"][n, d] + beta[d]
                return values
            """,
            """
            def forward_stages(x, gamma, beta, eps):
                mu, var = np.mean(x, 0), np.var(x, 0)
                std = np.sqrt(var + eps)
                xc = x - mu
                xhat = xc / std
                return dict(
                    x=x.copy(), gamma=gamma, beta=beta, mu=mu, xc=xc, var=var, std=std, xhat=xhat,
                    out=gamma * xhat + beta, note="done", inverse=1 / std,
                )
            """,
        ],
        "backward_stages": [
            """
            def backward_stages(dout, values):
                x, xc, xhat, std = (values[name] for name in ("x", "xc", "xhat", "std"))
                N = x.shape[0]
                g = {"out": dout, "beta": np.ones(N) @ dout, "gamma": np.einsum("nd,nd->d", dout, xhat)}
                g["xhat"] = values["gamma"] * dout
                inverse = 1 / std
                g["std"] = -np.sum(g["xhat"] * xc, axis=0) * inverse**2
                g["var"] = 0.5 * g["std"] * (values["var"] * 0 + std**2) ** -0.5
                g["xc"] = g["xhat"] * inverse
                g["xc"] += np.ones_like(xc) * g["var"] / N * 2 * xc
                g["mu"] = -np.sum(g["xc"], axis=0)
                g["x"] = g["xc"].copy()
                g["x"] += np.ones_like(x) * g["mu"] / N
                return g
            """,
            """
            def backward_stages(dout, values):
                # xc adds up to zero, so the way through the variance may be left out of the sum for mu
                N = len(dout)
                dxhat = dout * values["gamma"]
                dstd = -(dxhat * values["xhat"]).sum(0) / values["std"]
                dvar = 0.5 * dstd / values["std"]
                dxc = dxhat / values["std"] + 2 / N * dvar * values["xc"]
                dmu = -(dxhat / values["std"]).sum(0)
                return {
                    "beta": dout.sum(0), "gamma": (dout * values["xhat"]).sum(0), "xhat": dxhat, "std": dstd,
                    "var": dvar, "xc": dxc, "mu": dmu, "x": dxc + dmu / N,
                }
            """,
        ],
        "batchnorm_forward": [
            """
            def batchnorm_forward(x, gamma, beta, bn_param):
                mode = bn_param["mode"]
                eps = bn_param.get("eps", 1e-5)
                momentum = bn_param.get("momentum", 0.9)
                N, D = x.shape
                bn_param.setdefault("running_mean", np.zeros(D, dtype=x.dtype))
                bn_param.setdefault("running_var", np.zeros(D, dtype=x.dtype))
                if mode == "train":
                    mu, var = x.mean(axis=0), x.var(axis=0)
                    bn_param["running_mean"] *= momentum
                    bn_param["running_mean"] += (1 - momentum) * mu
                    bn_param["running_var"] *= momentum
                    bn_param["running_var"] += (1 - momentum) * var
                elif mode == "test":
                    mu, var = bn_param["running_mean"], bn_param["running_var"]
                else:
                    raise ValueError("no such mode")
                xhat = (x - mu) / np.sqrt(var + eps)
                return gamma * xhat + beta, {"xhat": xhat, "gamma": gamma, "var": var, "eps": eps}
            """,
            """
            def batchnorm_forward(x, gamma, beta, bn_param):
                bn_param["eps"] = eps = bn_param.get("eps", 1e-5)
                bn_param["momentum"] = momentum = bn_param.get("momentum", 0.9)
                bn_param["seen"] = bn_param.get("seen", 0) + 1
                old_mean, old_var = (bn_param.get(f"running_{name}", 0) for name in ("mean", "var"))
                if bn_param["mode"] == "train":
                    mean = np.ones(len(x)) @ x / len(x)
                    var = ((x - mean) ** 2).sum(0) / len(x)
                    bn_param["running_mean"] = old_mean + (1 - momentum) * (mean - old_mean)
                    bn_param["running_var"] = old_var + (1 - momentum) * (var - old_var)
                else:
                    mean, var = old_mean, old_var
                out = np.empty(x.shape)
                for n, row in enumerate(x):
                    out[n] = gamma * (row - mean) / (var + eps) ** 0.5 + beta
                return out, None
            """,
        ],
        "batchnorm_backward": [
            """
            class Cache:
                pass

            def batchnorm_forward(x, gamma, beta, bn_param):
                cache = Cache()
                eps = bn_param.get("eps", 1e-5)
                cache.x, cache.gamma, cache.ivar = x, gamma, 1 / np.sqrt(x.var(axis=0) + eps)
                return gamma * (x - x.mean(axis=0)) * cache.ivar + beta, cache

            def batchnorm_backward(dout, cache):
                N, D = dout.shape
                xmu = cache.x - cache.x.mean(axis=0)
                dxhat = dout * cache.gamma
                divar = np.sum(dxhat * xmu, axis=0)
                dxmu1 = dxhat * cache.ivar
                dsqrtvar = -(cache.ivar**2) * divar
                dvar = 0.5 * cache.ivar * dsqrtvar
                dsq = np.ones((N, D)) / N * dvar
                dxmu2 = 2 * xmu * dsq
                dx1 = dxmu1 + dxmu2
                dmu = -np.sum(dxmu1 + dxmu2, axis=0)
                return dx1 + np.ones((N, D)) / N * dmu, np.sum(dout * xmu * cache.ivar, axis=0), dout.sum(axis=0)
            """,
            """
            def batchnorm_forward(x, gamma, beta, bn_param):
                mean, std = x.mean(axis=0), np.sqrt(x.var(axis=0) + bn_param.get("eps", 1e-5))
                xhat = (x - mean) / std

                def back(dout):
                    print("back")
                    N = len(dout)
                    total = N * dout - dout.sum(axis=0) - xhat * (dout * xhat).sum(axis=0)
                    return gamma / (N * std) * total, (dout * xhat).sum(axis=0), dout.sum(axis=0)

                return gamma * xhat + beta, back

            def batchnorm_backward(dout, cache):
                return cache(dout)
            """,
        ],
        "predict": [
            """
            def predict(x, params, bn_params):
                before = [bn_param["mode"] for bn_param in bn_params]
                for bn_param in bn_params:
                    bn_param["mode"] = "test"
                try:
                    h = x
                    for k, bn_param in enumerate(bn_params, start=1):
                        z = h @ params[f"w{k}"] + params[f"b{k}"]
                        z, _ = batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], bn_param)
                        h = np.tanh(z)
                    return h @ params["w_scores"] + params["b_scores"]
                finally:
                    for bn_param, mode in zip(bn_params, before):
                        bn_param["mode"] = mode
            """,
            """
            import copy

            def predict(x, params, bn_params):
                own = copy.deepcopy(bn_params)
                for k in range(len(own)):
                    own[k]["mode"] = "test"
                rows = []
                for row in x:
                    h = row[None]
                    for k, p in enumerate(own):
                        z = h @ params[f"w{k + 1}"] + params[f"b{k + 1}"]
                        h = np.tanh(batchnorm_forward(z, params[f"gamma{k + 1}"], params[f"beta{k + 1}"], p)[0])
                    rows.append(h @ params["w_scores"] + params["b_scores"])
                return np.concatenate(rows)
            """,
            """
            def predict(x, params, bn_params):
                h = x
                for k, p in enumerate(bn_params, start=1):
                    z = h @ params[f"w{k}"] + params[f"b{k}"]
                    xhat = (z - p["running_mean"]) / np.sqrt(p["running_var"] + p.get("eps", 1e-5))
                    h = np.tanh(params[f"gamma{k}"] * xhat + params[f"beta{k}"])
                return h @ params["w_scores"] + params["b_scores"]
            """,
        ],
        "batchnorm_backward_alt": [
            """
            def batchnorm_forward(x, gamma, beta, bn_param):
                std = np.sqrt(x.var(axis=0) + bn_param.get("eps", 1e-5))
                xhat = (x - x.mean(axis=0)) / std
                return gamma * xhat + beta, [xhat, gamma, std]

            def batchnorm_backward_alt(dout, cache):
                xhat, gamma, std = cache
                N = dout.shape[0]
                dbeta, dgamma = dout.sum(axis=0), (dout * xhat).sum(axis=0)
                return gamma * (N * dout - dbeta - xhat * dgamma) / (N * std), dgamma, dbeta
            """,
            """
            def batchnorm_forward(x, gamma, beta, bn_param):
                std = np.sqrt(x.var(axis=0) + bn_param.get("eps", 1e-5))
                xhat = (x - x.mean(axis=0)) / std
                return gamma * xhat + beta, (xhat, gamma, std)

            def batchnorm_backward_alt(dout, cache):
                xhat, gamma, std = cache
                dx = np.empty(dout.shape)
                for d in range(dout.shape[1]):
                    N, h = len(dout), xhat[:, d]
                    jacobian = (np.eye(N) - 1 / N - np.outer(h, h) / N) / std[d]
                    dx[:, d] = jacobian.T @ dout[:, d] * gamma[d]
                return dx, np.sum(dout * xhat, axis=0), np.sum(dout, axis=0)
            """,
        ],
        "layernorm_forward": [
            """
            def layernorm_forward(x, gamma, beta, ln_param):
                out = np.zeros(x.shape)
                for n in range(len(x)):
                    out[n] = gamma * (x[n] - x[n].mean()) / (x[n].var() + ln_param.get("eps", 1e-5)) ** 0.5 + beta
                return out, x
            """,
            """
            def layernorm_forward(x, gamma, beta, ln_param):
                rows = x.T
                xhat = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + ln_param.get("eps", 1e-5))
                return gamma * xhat.T + beta, {"xhat": xhat}
            """,
        ],
        "layernorm_backward": [
            """
            def layernorm_forward(x, gamma, beta, ln_param):
                std = np.sqrt(x.var(axis=1) + ln_param.get("eps", 1e-5))
                xhat = (x.T - x.mean(axis=1)) / std  # (D, N)
                return gamma * xhat.T + beta, {"xhat": xhat, "std": std, "gamma": gamma}

            def layernorm_backward(dout, cache):
                xhat, std = cache["xhat"], cache["std"]
                back = (dout * cache["gamma"]).T
                dx = (back - back.mean(axis=0) - xhat * (back * xhat).mean(axis=0)) / std
                return dx.T, (dout.T * xhat).sum(axis=1), dout.sum(axis=0)
            """,
            """
            def layernorm_forward(x, gamma, beta, ln_param):
                eps = ln_param.get("eps", 1e-5)
                xc = x - x.mean(axis=1)[:, None]
                return gamma * xc / np.sqrt(x.var(axis=1)[:, None] + eps) + beta, (x, gamma, eps)

            def layernorm_backward(dout, cache):
                x, gamma, eps = cache
                dx, dgamma, dbeta = np.zeros_like(x), 0, 0
                for n in range(len(x)):
                    std = np.sqrt(x[n].var() + eps)
                    xhat = (x[n] - x[n].mean()) / std
                    back = dout[n] * gamma
                    dx[n] = (back - back.mean() - xhat * np.mean(back * xhat)) / std
                    dgamma = dgamma + dout[n] * xhat
                    dbeta = dbeta + dout[n]
                return dx, dgamma, dbeta
            """,
        ],
    },
    "08_training_clinic": {
        "softmax_loss": [
            """
            def softmax_loss(x, y):
                loss, dx = 0.0, np.zeros(x.shape)
                for n in range(len(x)):
                    row = [float(v) - float(max(x[n])) for v in x[n]]
                    total = sum(np.exp(v) for v in row)
                    loss += np.log(total) - row[y[n]]
                    for c in range(len(row)):
                        dx[n, c] = np.exp(row[c]) / total - (c == y[n])
                return loss / len(x), dx / len(x)
            """,
            """
            def softmax_loss(x, y):
                log_sum = np.logaddexp.reduce(x, axis=1, keepdims=True)
                target = np.eye(x.shape[1])[y]
                print("loss of", len(x))
                return np.mean(log_sum[:, 0] - np.sum(target * x, axis=1)), (np.exp(x - log_sum) - target) / len(y)
            """,
            """
            def log_softmax(x):
                x = x - np.amax(x, 1)[:, None]
                return x - np.log(np.exp(x).sum(1))[:, None]

            def softmax_loss(x, y):
                log_p = log_softmax(x)
                picked = np.take_along_axis(log_p, y[:, None], axis=1)
                dx = np.exp(log_p)
                np.put_along_axis(dx, y[:, None], np.take_along_axis(dx, y[:, None], axis=1) - 1, axis=1)
                dx /= x.shape[0]
                return float(-picked.mean()), dx
            """,
        ],
        "expected_initial_loss": [
            """
            def expected_initial_loss(scores):
                total = 0
                for row in scores:
                    total += sum((s - sum(row) / len(row)) ** 2 for s in row) / len(row)
                return np.log(len(scores[0])) + total / len(scores) / 2
            """,
            """
            def expected_initial_loss(scores):
                n, c = scores.shape
                return -np.log(1 / c) + 0.5 * np.mean(scores.std(axis=1) ** 2)
            """,
        ],
        "has_overfitted": [
            """
            def has_overfitted(losses, share=0.05):
                for loss in losses:
                    if np.isnan(loss) or np.isinf(loss):
                        return False
                if losses[-1] > losses[0] * share:
                    return False
                return True
            """,
            """
            def has_overfitted(losses, share=0.05):
                losses = np.array(losses)
                left = losses[-1] / losses[0]  # inf / inf warns, and is nan
                return np.logical_and(np.isfinite(losses.sum()), left <= share)
            """,
        ],
        "gradient_ratio": [
            """
            def gradient_ratio(grads):
                names = list(grads)
                first, last = grads[names[0]], grads[names[-1]]
                return np.linalg.norm(first) / first.size**0.5 / (np.linalg.norm(last) / last.size**0.5)
            """,
            """
            def gradient_ratio(grads):
                first, *_, last = [np.mean(np.square(g)) for g in grads.values()]
                return np.sqrt(first / last)
            """,
        ],
        "update_ratio": [
            """
            def update_ratio(before, after):
                moved = sum(float(d) ** 2 for d in (after - before).flatten()) ** 0.5
                size = sum(float(w) ** 2 for w in before.flatten()) ** 0.5
                if size == 0:
                    return float("inf") if moved > 0 else 0
                return moved / size
            """,
            """
            def update_ratio(before, after):
                if np.array_equal(before, after):
                    return 0.0
                return np.sqrt(((after - before) ** 2).sum()) / np.sqrt((before**2).sum())  # 1 / 0 warns
            """,
            """
            def update_ratio(before, after):
                moved, size = np.linalg.norm(after - before), np.linalg.norm(before)
                return np.where(size > 0, moved / np.where(size > 0, size, 1), np.where(moved > 0, np.inf, 0.0))
            """,
        ],
    },
    "09_modern_gradients": {
        "scale_gradient": [
            """
            def scale_gradient(dout, config):
                return np.array(dout.astype(np.float32) * np.float32(config["scale"]), dtype=dout.dtype)
            """,
            """
            def scale_gradient(dout, config):
                scaled = np.zeros(dout.shape)
                for position in np.ndindex(dout.shape):
                    scaled[position] = float(dout[position]) * config["scale"]
                return scaled.astype(dout.dtype)  # with a warning
            """,
        ],
        "unscale_gradients": [
            """
            def unscale_gradients(grads, config):
                unscaled, overflow = {}, False
                for name in grads:
                    unscaled[name] = grads[name].astype(np.float64) / config["scale"]
                    if np.isnan(grads[name]).any() or np.isinf(grads[name]).any():
                        overflow = True
                return unscaled, overflow
            """,
            """
            def unscale_gradients(grads, config):
                for g in grads.values():
                    if not np.all(np.isfinite(g)):
                        return {}, True
                inverse = np.float32(1 / config["scale"])
                return {name: np.float32(g) * inverse for name, g in grads.items()}, False
            """,
            """
            def unscale_gradients(grads, config):
                wide = {name: g.astype(np.float32) for name, g in grads.items()}
                for g in wide.values():
                    g /= config["scale"]
                overflow = np.any([np.any(~np.isfinite(g)) for g in wide.values()])
                print("overflow", overflow)
                return wide, int(overflow)
            """,
        ],
        "update_scale": [
            """
            def update_scale(overflow, config):
                if overflow:
                    config["scale"] *= config["backoff"]
                    if config["scale"] < 1:
                        config["scale"] = 1
                    config["good_steps"] = 0
                    return config
                config["good_steps"] = config["good_steps"] + 1
                if config["good_steps"] == config["interval"]:
                    config["scale"] = config["scale"] * config["growth"]
                    config["good_steps"] = 0
                return config
            """,
            """
            def update_scale(overflow, config):
                good = 0 if overflow else config["good_steps"] + 1
                factor = config["backoff"] if overflow else 1.0
                if good >= config["interval"]:
                    good, factor = 0, config["growth"]
                return {**config, "scale": np.maximum(1.0, config["scale"] * factor), "good_steps": good}
            """,
        ],
        "first_nonfinite": [
            """
            def first_nonfinite(activations, gradients):
                for group, names in ((activations, list(activations)), (gradients, list(gradients)[::-1])):
                    for name in names:
                        for position in np.ndindex(group[name].shape):
                            if not np.isfinite(group[name][position]):
                                return name, position
                return None, ()
            """,
            """
            def first_nonfinite(activations, gradients):
                def find(pairs):
                    for name, array in pairs:
                        bad = np.isnan(array) | np.isinf(array)
                        if np.any(bad):
                            return name, np.unravel_index(np.argmax(bad), bad.shape)
                    return None

                return find(activations.items()) or find(reversed(gradients.items())) or (None, ())
            """,
            """
            def first_nonfinite(activations, gradients):
                ordered = {**activations, **dict(reversed(list(gradients.items())))}
                bad = [name for name, array in ordered.items() if not np.all(np.isfinite(array))]
                if not bad:
                    return None, np.array([])
                return bad[0], list(np.argwhere(~np.isfinite(ordered[bad[0]]))[0])
            """,
        ],
        "gelu_forward": [
            """
            import math

            def gelu_forward(x):
                out = np.zeros_like(x)
                for position in np.ndindex(x.shape):
                    v = float(x[position])
                    out[position] = v * 0.5 * (1 + math.erf(v / math.sqrt(2)))
                return out, {"x": x}
            """,
            """
            import math

            def phi(v):
                return 0.5 * math.erfc(-v / math.sqrt(2))

            def gelu_forward(x):
                p = np.vectorize(phi)(x)
                print("forward")
                return p * x, [x, p]
            """,
            """
            import math

            def gelu_forward(x):
                erf = np.array([math.erf(v) for v in (x / 2**0.5).ravel()]).reshape(x.shape)
                return (x + x * erf) / 2, None
            """,
        ],
        "gelu_backward": [
            """
            import math
            erf = np.vectorize(math.erf, otypes=[float])

            def gelu_forward(x):
                return 0.5 * x * (1 + erf(x / np.sqrt(2))), {"x": x}

            def gelu_backward(dout, cache):
                x = cache["x"]
                cdf = 0.5 * (1 + erf(x / np.sqrt(2)))
                pdf = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
                return dout * cdf + dout * x * pdf
            """,
            """
            import math
            erf = np.vectorize(math.erf, otypes=[float])

            class Cache:
                def __init__(self, slope):
                    self.slope = slope

            def gelu_forward(x):
                cdf = 0.5 * (1 + erf(x / np.sqrt(2)))
                return x * cdf, Cache(cdf + x * np.exp(-np.square(x) / 2) * 0.3989422804014327)

            def gelu_backward(dout, cache):
                return cache.slope * dout
            """,
            """
            import math

            def gelu_forward(x):
                return np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / 2**0.5)))(x), (x,)

            def gelu_backward(dout, cache):
                (x,) = cache
                dx = dout.copy()
                for position in np.ndindex(x.shape):
                    v = float(x[position])
                    dx[position] *= 0.5 * (1 + math.erf(v / 2**0.5)) + v * math.exp(-v * v / 2) / math.sqrt(2 * math.pi)
                return dx
            """,
        ],
        "silu_forward": [
            """
            def silu_forward(x):
                return x / (1 + np.exp(-x)), x  # overflows with a warning, and is right
            """,
            """
            def silu_forward(x):
                small = np.exp(-np.abs(x))
                return x * np.where(x >= 0, 1 / (1 + small), small / (1 + small)), {"x": x}
            """,
        ],
        "silu_backward": [
            """
            def silu_forward(x):
                s = 1 / (1 + np.exp(-x))
                return x * s, {"x": x, "s": s}

            def silu_backward(dout, cache):
                x, s = cache["x"], cache["s"]
                return dout * s * (1 + x * (1 - s))
            """,
            """
            def silu_forward(x):
                s = 1 / (1 + np.exp(-x))
                return x * s, (s, x * s)

            def silu_backward(dout, cache):
                s, out = cache
                dx = dout * (s + out - out * s)
                return dx
            """,
        ],
        "ffn_block_forward": [
            """
            import math

            def ffn_block_forward(x, gamma, beta, w1, b1, w2, b2):
                centred = x - x.mean(axis=1, keepdims=True)
                normal = centred / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * gamma + beta
                a = normal @ w1 + b1
                h = a * 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(a / np.sqrt(2)))
                return h @ w2 + b2 + x, None
            """,
        ],
        "ffn_block_backward": [
            """
            from minigrad.layers import affine_backward, affine_forward, gelu_backward, gelu_forward
            from minigrad.layers import layernorm_backward, layernorm_forward

            def ffn_block_forward(x, gamma, beta, w1, b1, w2, b2):
                tape = []
                h, cache = layernorm_forward(x, gamma, beta, {})
                tape.append((layernorm_backward, cache))
                h, cache = affine_forward(h, w1, b1)
                tape.append((affine_backward, cache))
                h, cache = gelu_forward(h)
                tape.append((gelu_backward, cache))
                h, cache = affine_forward(h, w2, b2)
                tape.append((affine_backward, cache))
                return x + h, tape

            def ffn_block_backward(dout, cache):
                grads, d = [], dout
                for backward, one in reversed(cache):
                    d = backward(d, one)
                    if isinstance(d, tuple):
                        grads = [*d[1:], *grads]
                        d = d[0]
                return (dout + d, *grads)
            """,
        ],
    },
    "06_exploding_rnn": {
        "rnn_step_forward": [
            """
            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                a = np.dot(x, Wx)
                a += np.dot(prev_h, Wh)
                a += b
                next_h = np.tanh(a, out=a)
                return next_h, {"x": x, "prev_h": prev_h, "Wx": Wx, "Wh": Wh, "h": next_h}
            """,
            """
            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                both = np.concatenate([x, prev_h], axis=1) @ np.concatenate([Wx, Wh]) + b
                return np.tanh(both), both
            """,
            """
            import math

            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                next_h = np.zeros(prev_h.shape)
                for n in range(x.shape[0]):
                    for k in range(b.shape[0]):
                        a = b[k] + sum(x[n] * Wx[:, k]) + sum(prev_h[n] * Wh[:, k])
                        next_h[n, k] = math.tanh(a)
                return next_h, None
            """,
        ],
        "rnn_step_backward": [
            """
            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                a = x @ Wx + prev_h @ Wh + b
                return np.tanh(a), (x, prev_h, Wx, Wh, a)

            def rnn_step_backward(dnext_h, cache):
                x, prev_h, Wx, Wh, a = cache
                da = dnext_h / np.cosh(a) ** 2
                return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, np.ones(len(da)) @ da
            """,
            """
            class Step:
                def __init__(self, *parts):
                    self.x, self.h, self.Wx, self.Wh, self.out = parts

            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                out = np.tanh(x @ Wx + prev_h @ Wh + b)
                return out.copy(), Step(x, prev_h, Wx, Wh, out)

            def rnn_step_backward(dnext_h, s):
                da = dnext_h.copy()
                da *= (1 - s.out) * (1 + s.out)
                dWx = sum(np.outer(x, d) for x, d in zip(s.x, da))
                dWh = sum(np.outer(h, d) for h, d in zip(s.h, da))
                return np.dot(da, s.Wx.T), np.dot(da, s.Wh.T), dWx, dWh, np.sum(da, 0)
            """,
            """
            from minigrad.layers import affine_backward, affine_forward, tanh_backward, tanh_forward

            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                a, cache_x = affine_forward(x, Wx, b)
                more, cache_h = affine_forward(prev_h, Wh, 0 * b)
                out, cache_a = tanh_forward(a + more)
                return out, (cache_x, cache_h, cache_a)

            def rnn_step_backward(dnext_h, cache):
                cache_x, cache_h, cache_a = cache
                da = tanh_backward(dnext_h, cache_a)
                dx, dWx, db = affine_backward(da, cache_x)
                dprev_h, dWh, _ = affine_backward(da, cache_h)
                return dx, dprev_h, dWx, dWh, db
            """,
            """
            def rnn_step_forward(x, prev_h, Wx, Wh, b):
                out = np.tanh(x @ Wx + prev_h @ Wh + b)

                def back(d):
                    da = d * (1 - out**2)
                    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)

                return out, back

            def rnn_step_backward(dnext_h, cache):
                return cache(dnext_h)
            """,
        ],
        "rnn_forward": [
            """
            def rnn_forward(x, h0, Wx, Wh, b):
                N, T, D = x.shape
                h = np.zeros((N, T, h0.shape[1]))
                for t in range(T):
                    before = h0 if t == 0 else h[:, t - 1]
                    h[:, t] = np.tanh(x[:, t] @ Wx + before @ Wh + b)
                return h, (x, h0, h)
            """,
            """
            from minigrad.layers import rnn_step_forward

            def rnn_forward(x, h0, Wx, Wh, b):
                states = [(h0, None)]
                for x_t in x.transpose(1, 0, 2):
                    states.append(rnn_step_forward(x_t, states[-1][0], Wx, Wh, b))
                return np.array([h for h, _ in states[1:]]).transpose(1, 0, 2), states
            """,
            """
            def rnn_forward(x, h0, Wx, Wh, b):
                print("forward", x.shape)
                projected = np.einsum("ntd,dh->nth", x, Wx) + b
                h, out = h0.copy(), np.empty_like(projected)
                for t in range(x.shape[1]):
                    h = np.tanh(projected[:, t] + np.einsum("nh,hk->nk", h, Wh))
                    out[:, t, :] = h
                return out, {"h": out}
            """,
        ],
        "rnn_backward": [
            """
            from minigrad.layers import rnn_step_backward, rnn_step_forward

            def rnn_forward(x, h0, Wx, Wh, b):
                h, hs, caches = h0, [], []
                for t in range(x.shape[1]):
                    h, cache = rnn_step_forward(x[:, t, :], h, Wx, Wh, b)
                    hs.append(h)
                    caches.append(cache)
                return np.stack(hs, 1), (x, caches, Wx, Wh, b)

            def rnn_backward(dh, cache):
                x, caches, Wx, Wh, b = cache
                dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)
                dprev_h = np.zeros_like(dh[:, 0])
                for t in range(x.shape[1] - 1, -1, -1):
                    dx[:, t], dprev_h, dwx, dwh, dbias = rnn_step_backward(dh[:, t] + dprev_h, caches[t])
                    dWx += dwx
                    dWh += dwh
                    db += dbias
                return dx, dprev_h, dWx, dWh, db
            """,
            """
            def rnn_forward(x, h0, Wx, Wh, b):
                hs = [h0]
                for t in range(x.shape[1]):
                    hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh + b))
                return np.stack(hs[1:], 1), {"x": x, "hs": hs, "Wx": Wx, "Wh": Wh}

            def rnn_backward(dh, cache):
                x, hs, Wx, Wh = cache["x"], cache["hs"], cache["Wx"], cache["Wh"]
                das, carried = [], 0
                for t in reversed(range(len(hs) - 1)):
                    das.insert(0, (dh[:, t] + carried) * (1 - hs[t + 1] ** 2))
                    carried = das[0] @ Wh.T
                da = np.stack(das, 1)
                before = np.stack(hs[:-1], 1)
                dWx, dWh = np.einsum("ntd,nth->dh", x, da), np.einsum("ntk,nth->kh", before, da)
                return da @ Wx.T, carried, dWx, dWh, da.sum(axis=(0, 1))
            """,
            """
            def rnn_forward(x, h0, Wx, Wh, b):
                h, hs = h0, []
                for t in range(x.shape[1]):
                    h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
                    hs.append(h)
                return np.stack(hs, axis=1), (x, h0, hs, Wx, Wh)

            def rnn_backward(dh, cache):  # from h_t to all earlier steps, for each t on its own
                x, h0, hs, Wx, Wh = cache
                N, T, D = x.shape
                dx, dh0, dWx, dWh, db = np.zeros(x.shape), 0, 0, 0, 0
                for last in range(T):
                    d = dh[:, last]
                    for t in range(last, -1, -1):
                        da = d * (1 - hs[t] ** 2)
                        dx[:, t] += da @ Wx.T
                        dWx = dWx + x[:, t].T @ da
                        dWh = dWh + (hs[t - 1] if t else h0).T @ da
                        db = db + da.sum(axis=0)
                        d = da @ Wh.T
                    dh0 = dh0 + d
                return dx, dh0, dWx, dWh, db
            """,
        ],
        "clipped_step": [
            """
            from minigrad.clipping import clip_grad_norm

            def clipped_step(params, grads, learning_rate, max_norm):
                clipped, norm = clip_grad_norm(grads, max_norm)
                new = {}
                for key in params:
                    new[key] = params[key].copy()
                    if np.isfinite(norm):
                        new[key] -= learning_rate * clipped[key]
                return new, norm
            """,
            """
            def clipped_step(params, grads, learning_rate, max_norm):
                norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
                if np.isnan(norm) or np.isinf(norm):
                    return params, norm
                rate = learning_rate * min(1, max_norm / (norm + 1e-300))
                return {key: params[key] - rate * grads[key] for key in params}, norm
            """,
            """
            def clipped_step(params, grads, learning_rate, max_norm):
                norm = float(np.linalg.norm(np.concatenate([g.ravel() for g in grads.values()])))
                new = dict(params)
                if norm < np.inf:
                    scale = max_norm / norm if norm > max_norm else 1.0
                    for key, g in grads.items():
                        new[key] = new[key] - learning_rate * (scale * g)
                return new, norm
            """,
        ],
        "lstm_step_forward": [
            """
            def sigmoid(a):
                return 1 / (1 + np.exp(-a))  # overflows with a warning, and is right

            def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
                H = prev_h.shape[1]
                a = x @ Wx + prev_h @ Wh + b
                i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
                g = np.tanh(a[:, 3 * H :])
                c = f * prev_c + i * g
                return o * np.tanh(c), c, [i, f, o, g, c]
            """,
            """
            from minigrad.layers import sigmoid_forward, tanh_forward

            def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
                ai, af, ao, ag = np.hsplit(np.dot(x, Wx) + np.dot(prev_h, Wh) + b, 4)
                (i, _), (f, _), (o, _), (g, _) = (
                    sigmoid_forward(ai), sigmoid_forward(af), sigmoid_forward(ao), tanh_forward(ag)
                )
                c = prev_c.copy()
                c *= f
                c += i * g
                return np.tanh(c) * o, c, None
            """,
        ],
        "lstm_step_backward": [
            """
            def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
                i, f, o, g = (x @ Wx + prev_h @ Wh + b).reshape(len(x), 4, -1).swapaxes(0, 1)
                i, f, o, g = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o)), np.tanh(g)
                c = f * prev_c + i * g
                return o * np.tanh(c), c, dict(x=x, h=prev_h, c0=prev_c, c=c, Wx=Wx, Wh=Wh, i=i, f=f, o=o, g=g)

            def lstm_step_backward(dnext_h, dnext_c, k):
                t = np.tanh(k["c"])
                dc = dnext_h * k["o"] * (1 - t * t)
                dc += dnext_c
                H = t.shape[1]
                da = np.zeros((len(t), 4 * H))
                da[:, :H] = dc * k["g"] * k["i"] * (1 - k["i"])
                da[:, H : 2 * H] = dc * k["c0"] * k["f"] * (1 - k["f"])
                da[:, 2 * H : 3 * H] = dnext_h * t * k["o"] * (1 - k["o"])
                da[:, 3 * H :] = dc * k["i"] * (1 - k["g"] ** 2)
                dx, dh, db = np.dot(da, k["Wx"].T), np.dot(da, k["Wh"].T), np.sum(da, axis=0)
                return dx, dh, dc * k["f"], k["x"].T @ da, k["h"].T @ da, db
            """,
            """
            from minigrad.layers import affine_backward, affine_forward, sigmoid_backward, sigmoid_forward
            from minigrad.layers import tanh_backward, tanh_forward

            def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
                both, cache = affine_forward(np.hstack([x, prev_h]), np.vstack([Wx, Wh]), b)
                ai, af, ao, ag = np.split(both, 4, axis=1)
                (i, ci), (f, cf), (o, co) = sigmoid_forward(ai), sigmoid_forward(af), sigmoid_forward(ao)
                g, cg = tanh_forward(ag)
                c = f * prev_c + i * g
                t, ct = tanh_forward(c)
                return o * t, c, (cache, prev_c, i, f, o, g, t, ci, cf, co, cg, ct, x.shape[1])

            def lstm_step_backward(dnext_h, dnext_c, all_of_it):
                cache, prev_c, i, f, o, g, t, ci, cf, co, cg, ct, D = all_of_it
                dc = dnext_c + tanh_backward(dnext_h * o, ct)
                pieces = [
                    sigmoid_backward(dc * g, ci), sigmoid_backward(dc * prev_c, cf),
                    sigmoid_backward(dnext_h * t, co), tanh_backward(dc * i, cg),
                ]
                dboth, dW, db = affine_backward(np.hstack(pieces), cache)
                return dboth[:, :D], dboth[:, D:], dc * f, dW[:D], dW[D:], db
            """,
        ],
    },
}

VARIANTS = [
    pytest.param(assignment, name, text, id=f"{name}-{k}")
    for assignment, group in HONEST.items()
    for name, texts in group.items()
    for k, text in enumerate(texts)
]


@pytest.mark.parametrize(("assignment", "name", "text"), VARIANTS)
def test_a_right_way_gets_all_points(assignment, name, text):
    exercise = exercises.assignments()[assignment][name]
    namespace = {"np": np, **exercise.reference}
    exec(compile(textwrap.dedent(text), f"<{name}>", "exec"), namespace)
    for seed in (0, 1):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # a warning costs a student nothing
            report = check_sheet(LocalSession(dict(namespace)), full_sheet(name, seed))
        assert report.score == exercise.points, report.text()


@pytest.mark.parametrize("assignment", HONEST)
def test_every_function_of_an_assignment_has_a_variant(assignment):
    group = exercises.assignments()[assignment]
    functions = {name for name, exercise in group.items() if any(map(callable, exercise.reference.values()))}
    assert functions == set(HONEST[assignment])
