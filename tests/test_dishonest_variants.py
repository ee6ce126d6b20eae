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
