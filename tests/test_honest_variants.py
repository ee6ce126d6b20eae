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
