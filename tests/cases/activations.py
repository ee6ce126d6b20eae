import math

import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Rng, Shape, Shapes, away_from_zero, elementwise_shapes


def each_number(function):
    """The slow form of an activation: one number at a time."""

    def slow(x, *params):
        return np.array([function(value, *params) for value in x.flat]).reshape(x.shape)

    return slow


def in_torch(name, **more):
    """A function of `torch.nn.functional` with these parameters."""

    def call(tensors, params):
        import torch

        return getattr(torch.nn.functional, name)(*tensors, *params, **more)

    return call


def logistic(x):
    return 1 / (1 + math.exp(-x))


@st.composite
def prelu_shapes(draw: st.DrawFn, n: int) -> Shapes:
    x = draw(elementwise_shapes(n))["x"]
    return {"x": x, "alpha": draw(st.sampled_from([(), (1,), *([x[1:2]] if len(x) > 1 else [])]))}


def slow_prelu(x, alpha):
    channel = np.zeros(x.shape, int)
    if alpha.size > 1:
        channel = np.indices(x.shape)[1]
    slopes = alpha.ravel()[channel]
    return np.array([a if a > 0 else s * a for a, s in zip(x.flat, slopes.flat, strict=True)]).reshape(
        x.shape
    )


def torch_prelu(tensors, params):
    import torch

    x, alpha = tensors
    return torch.nn.functional.prelu(x, alpha.reshape(-1))  # it wants an axis, also for one slope


def some_slope(rng: Rng, shapes: Shapes) -> tuple:
    return (float(rng.uniform(-0.5, 2)),)


def wide(rng: Rng, shape: Shape) -> np.ndarray:
    """Into the tails, where a formula that cancels shows."""
    return 4 * rng.standard_normal(shape)


CASES: dict[str, Case] = {
    "sigmoid": Case(
        shapes=elementwise_shapes,
        slow=each_number(logistic),
        torch=in_torch("sigmoid"),
        analytic=True,
        draw=wide,
    ),
    "tanh": Case(
        shapes=elementwise_shapes,
        slow=each_number(math.tanh),
        torch=in_torch("tanh"),
        analytic=True,
    ),
    "relu": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x: x if x > 0 else 0.0),
        torch=in_torch("relu"),
        analytic=False,  # a kink at zero, where an imaginary part has no side to be on
        draw=away_from_zero,
    ),
    "leaky_relu": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x, alpha: x if x > 0 else alpha * x),
        torch=in_torch("leaky_relu"),
        analytic=False,
        draw=away_from_zero,
        params=some_slope,
    ),
    "prelu": Case(
        shapes=prelu_shapes,
        slow=slow_prelu,
        torch=torch_prelu,
        analytic=False,
        draw={"x": away_from_zero},
        impossible=(
            ("alpha", {"x": (4, 3), "alpha": (2,)}),
            ("alpha", {"x": (4, 3), "alpha": (4,)}),  # one for each example
            ("alpha", {"x": (4, 3), "alpha": (3, 1)}),
            ("alpha", {"x": (4, 3), "alpha": (1, 1)}),
            ("alpha", {"x": (4, 2, 3), "alpha": (3,)}),  # along the wrong axis: this one would broadcast
            ("alpha", {"x": (4,), "alpha": (4,)}),
        ),
    ),
    "elu": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x, alpha: x if x > 0 else alpha * (math.exp(x) - 1)),
        torch=in_torch("elu"),
        analytic=False,
        draw=away_from_zero,
        params=lambda rng, shapes: (float(rng.uniform(0.2, 2)),),
    ),
    "softplus": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x: math.log(1 + math.exp(x))),
        torch=in_torch("softplus", threshold=800),  # from there on it would return x, 2e-9 off at its default
        analytic=True,
        draw=wide,
    ),
    "silu": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x: x * logistic(x)),
        torch=in_torch("silu"),
        analytic=True,
        draw=wide,
    ),
    "gelu": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        torch=in_torch("gelu"),
        analytic=False,  # an absolute value inside, though the whole is smooth
    ),
    "gelu_tanh": Case(
        shapes=elementwise_shapes,
        slow=each_number(lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2),
        torch=in_torch("gelu", approximate="tanh"),
        analytic=True,
    ),
}
