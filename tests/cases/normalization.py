import math

import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shapes, sides

# An eps this large keeps the gradient for x away from zero: with 1e-5, a batch of two has hardly any left, and
# what is left is rounding. tests/test_normalization.py has the usual one.
EPS = 0.4


@st.composite
def row_shapes(draw: st.DrawFn, n: int) -> Shapes:
    d = draw(sides)
    return {"x": (n, d), "gamma": (d,), "beta": (d,)}


@st.composite
def deep_row_shapes(draw: st.DrawFn, n: int) -> Shapes:
    between, d = draw(st.lists(sides, max_size=2)), draw(st.integers(2, 5))  # of one feature, nothing is left
    return {"x": (n, *between, d), "gamma": (d,), "beta": (d,)}


@st.composite
def image_shapes(draw: st.DrawFn, n: int) -> Shapes:
    c, h, w = draw(sides), draw(sides), draw(sides)
    return {"x": (n, c, h, w), "gamma": (c,), "beta": (c,)}


@st.composite
def group_shapes(draw: st.DrawFn, n: int) -> Shapes:
    c, h, w = draw(st.integers(1, 6)), draw(sides), draw(st.integers(2, 4))
    features = draw(st.sampled_from([(1, c, 1, 1), (c,)]))
    return {"x": (n, c, h, w), "gamma": features, "beta": features}


def either_mode(rng: np.random.Generator, shapes: Shapes) -> tuple:
    features = shapes["gamma"]
    return (
        {
            "mode": str(rng.choice(["train", "test"])),
            "eps": EPS,
            "momentum": 0.7,
            "running_mean": rng.normal(size=features),
            "running_var": rng.uniform(0.1, 2.0, features),
            "a key of somebody else": 3,
        },
    )


def some_groups(rng: np.random.Generator, shapes: Shapes) -> tuple:
    channels = shapes["x"][1]
    divisors = [g for g in range(1, channels + 1) if channels % g == 0]
    return int(rng.choice(divisors)), {"eps": EPS}


def normalized(values, eps):
    """A list of numbers with mean 0 and variance 1."""
    mean = sum(values) / len(values)
    var = sum((value - mean) ** 2 for value in values) / len(values)
    return [(value - mean) / math.sqrt(var + eps) for value in values]


def slow_batchnorm(x, gamma, beta, bn_param):
    out = np.zeros(x.shape)
    for d in range(len(gamma)):
        if bn_param["mode"] == "train":
            column = normalized(list(x[:, d]), bn_param["eps"])
        else:
            std = math.sqrt(bn_param["running_var"][d] + bn_param["eps"])
            column = [(value - bn_param["running_mean"][d]) / std for value in x[:, d]]
        for n, value in enumerate(column):
            out[n, d] = gamma[d] * value + beta[d]
    return out


def slow_layernorm(x, gamma, beta, ln_param):
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape[:-1]):
        for d, value in enumerate(normalized(list(x[index]), ln_param["eps"])):
            out[(*index, d)] = gamma[d] * value + beta[d]
    return out


def slow_spatial_batchnorm(x, gamma, beta, bn_param):
    """A row for each pixel, as CS231n has it."""
    N, C, H, W = x.shape
    pixels = x.transpose(0, 2, 3, 1).reshape(N * H * W, C)
    return slow_batchnorm(pixels, gamma, beta, bn_param).reshape(N, H, W, C).transpose(0, 3, 1, 2)


def slow_spatial_groupnorm(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    gamma, beta, size = gamma.ravel(), beta.ravel(), C // G
    out = np.zeros(x.shape)
    for n in range(N):
        for first in range(0, C, size):
            places = [(n, c, h, w) for c in range(first, first + size) for h in range(H) for w in range(W)]
            values = normalized([x[place] for place in places], gn_param["eps"])
            for place, value in zip(places, values, strict=True):
                out[place] = gamma[place[1]] * value + beta[place[1]]
    return out


def torch_batchnorm(tensors, params):
    import torch

    (bn_param,) = params
    mean, var = (torch.tensor(bn_param[key]) for key in ("running_mean", "running_var"))
    # The function itself, since torch.nn.functional.batch_norm refuses to train on a batch of one.
    return torch.native_batch_norm(*tensors, mean, var, bn_param["mode"] == "train", 0.1, bn_param["eps"])[0]


def torch_layernorm(tensors, params):
    import torch

    x, gamma, beta = tensors
    return torch.nn.functional.layer_norm(x, gamma.shape, gamma, beta, params[0]["eps"])


def torch_groupnorm(tensors, params):
    import torch

    x, gamma, beta = tensors
    return torch.nn.functional.group_norm(x, params[0], gamma.flatten(), beta.flatten(), params[1]["eps"])


BATCH, LAYER, GROUPS = ({"mode": "train"},), ({},), (2, {})

CASES: dict[str, Case] = {
    "batchnorm": Case(
        shapes=row_shapes,
        slow=slow_batchnorm,
        torch=torch_batchnorm,
        analytic=True,
        params=either_mode,
        writes=("running_mean", "running_var"),
        impossible=(
            ("x", {"x": (5,), "gamma": (5,), "beta": (5,)}, BATCH),
            ("x", {"x": (5, 3, 2), "gamma": (2,), "beta": (2,)}, BATCH),
            ("x", {"x": (), "gamma": (), "beta": ()}, BATCH),
            ("gamma", {"x": (5, 3), "gamma": (5,), "beta": (5,)}, BATCH),
            ("gamma", {"x": (5, 3), "gamma": (1,), "beta": (3,)}, BATCH),  # these would broadcast
            ("gamma", {"x": (5, 3), "gamma": (1, 3), "beta": (1, 3)}, BATCH),
            ("beta", {"x": (5, 3), "gamma": (3,), "beta": ()}, BATCH),
            ("beta", {"x": (5, 3), "gamma": (3,), "beta": (5, 3)}, BATCH),
        ),
    ),
    "layernorm": Case(
        shapes=deep_row_shapes,
        slow=slow_layernorm,
        torch=torch_layernorm,
        analytic=True,
        params=({"eps": EPS},),
        impossible=(
            ("x", {"x": (3,), "gamma": (3,), "beta": (3,)}, LAYER),
            ("gamma", {"x": (5, 3), "gamma": (5,), "beta": (5,)}, LAYER),
            ("gamma", {"x": (4, 5, 3), "gamma": (5, 3), "beta": (5, 3)}, LAYER),
            ("beta", {"x": (5, 3), "gamma": (3,), "beta": (1,)}, LAYER),
        ),
    ),
    "spatial_batchnorm": Case(
        shapes=image_shapes,
        slow=slow_spatial_batchnorm,
        torch=torch_batchnorm,
        analytic=True,
        params=either_mode,
        writes=("running_mean", "running_var"),
        impossible=(
            ("x", {"x": (5, 3), "gamma": (3,), "beta": (3,)}, BATCH),
            ("gamma", {"x": (5, 3, 2, 2), "gamma": (2,), "beta": (2,)}, BATCH),
            ("gamma", {"x": (5, 3, 2, 2), "gamma": (1, 3, 1, 1), "beta": (1, 3, 1, 1)}, BATCH),
            ("beta", {"x": (5, 3, 2, 2), "gamma": (3,), "beta": (1,)}, BATCH),
        ),
    ),
    "spatial_groupnorm": Case(
        shapes=group_shapes,
        slow=slow_spatial_groupnorm,
        torch=torch_groupnorm,
        analytic=True,
        params=some_groups,
        impossible=(
            ("x", {"x": (5, 4), "gamma": (4,), "beta": (4,)}, GROUPS),
            ("x", {"x": (4,), "gamma": (4,), "beta": (4,)}, GROUPS),
            ("x", {"x": (), "gamma": (), "beta": ()}, GROUPS),
            ("gamma", {"x": (5, 4, 2, 2), "gamma": (2,), "beta": (2,)}, GROUPS),
            ("gamma", {"x": (5, 4, 2, 2), "gamma": (1, 1, 1, 1), "beta": (1, 1, 1, 1)}, GROUPS),
            ("beta", {"x": (5, 4, 2, 2), "gamma": (1, 4, 1, 1), "beta": (4,)}, GROUPS),
        ),
    ),
}
