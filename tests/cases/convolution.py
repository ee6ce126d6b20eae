import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shape, Shapes


@st.composite
def images(draw: st.DrawFn, n: int) -> Shapes:
    return {"x": (n, draw(st.integers(1, 2)), draw(st.integers(1, 5)), draw(st.integers(1, 5)))}


@st.composite
def images_and_filters(draw: st.DrawFn, n: int) -> Shapes:
    x = draw(images(n))["x"]
    filters = draw(st.integers(1, 2))
    height, width = (draw(st.integers(1, min(side, 3))) for side in x[2:])
    return {"x": x, "w": (filters, x[1], height, width), "b": (filters,)}


def conv_param(rng: np.random.Generator, shapes: Shapes) -> tuple:
    return ({"stride": int(rng.integers(1, 4)), "pad": int(rng.integers(4)), "unknown": "ignored"},)


def pool_param(rng: np.random.Generator, shapes: Shapes) -> tuple:
    height, width = (int(rng.integers(1, min(side, 3) + 1)) for side in shapes["x"][2:])
    return ({"pool_height": height, "pool_width": width, "stride": int(rng.integers(1, 4)), "unknown": 0},)


def all_different(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """No two elements within 0.1 of each other: a small step does not change which one is the largest."""
    return (rng.permutation(int(np.prod(shape))).reshape(shape) - 3.0) / 10


def slow_conv(x, w, b, param):
    """No padded copy: what lies outside of the image is left out of the sum."""
    stride, pad = param["stride"], param["pad"]
    tops = range(-pad, x.shape[2] + pad - w.shape[2] + 1, stride)
    lefts = range(-pad, x.shape[3] + pad - w.shape[3] + 1, stride)
    out = np.zeros((len(x), len(w), len(tops), len(lefts)))
    for n, f, i, j in np.ndindex(out.shape):
        out[n, f, i, j] = b[f]
        for c, u, v in np.ndindex(w.shape[1:]):
            row, column = tops[i] + u, lefts[j] + v
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                out[n, f, i, j] += x[n, c, row, column] * w[f, c, u, v]
    return out


def slow_pool(choose):
    """`choose` makes one number of the list of those in a window."""

    def slow(x, param):
        height, width, stride = param["pool_height"], param["pool_width"], param["stride"]
        tops = range(0, x.shape[2] - height + 1, stride)
        lefts = range(0, x.shape[3] - width + 1, stride)
        out = np.zeros((*x.shape[:2], len(tops), len(lefts)))
        for n, c, i, j in np.ndindex(out.shape):
            places = [(tops[i] + u, lefts[j] + v) for u in range(height) for v in range(width)]
            out[n, c, i, j] = choose([x[n, c, row, column] for row, column in places])
        return out

    return slow


def torch_conv(tensors, params):
    import torch

    return torch.nn.functional.conv2d(*tensors, stride=params[0]["stride"], padding=params[0]["pad"])


def torch_max_pool(tensors, params):
    import torch

    window = params[0]["pool_height"], params[0]["pool_width"]
    return torch.nn.functional.max_pool2d(*tensors, window, params[0]["stride"])


def torch_avg_pool(tensors, params):
    import torch

    window = params[0]["pool_height"], params[0]["pool_width"]
    return torch.nn.functional.avg_pool2d(*tensors, window, params[0]["stride"])


SQUARE = ({"pool_height": 2, "pool_width": 2, "stride": 2},)
NO_IMAGES = tuple(
    ("x", {"x": shape}, SQUARE) for shape in [(3, 4, 5), (4, 5), (), (1, 2, 3, 4, 5), (2, 3, 1, 5)]
)

CASES: dict[str, Case] = {
    "conv": Case(
        shapes=images_and_filters,
        slow=slow_conv,
        analytic=True,
        params=conv_param,
        torch=torch_conv,
        impossible=(
            ("w", {"x": (2, 3, 4, 4), "w": (3, 2, 3, 3), "b": (3,)}),  # filters of another depth
            ("w", {"x": (2, 3, 4, 4), "w": (3, 1, 3, 3), "b": (3,)}),  # this one would broadcast
            ("x", {"x": (3, 4, 4), "w": (2, 3, 3, 3), "b": (2,)}),  # one image without its batch axis
            ("x", {"x": (2, 48), "w": (2, 3, 3, 3), "b": (2,)}),
            ("w", {"x": (2, 3, 4, 4), "w": (3, 3, 3), "b": (3,)}),
            ("w", {"x": (2, 3, 4, 4), "w": (2, 3, 12, 2), "b": (2,)}),  # higher than any padded image
            ("w", {"x": (2, 3, 4, 4), "w": (2, 3, 2, 12), "b": (2,)}),
            ("w", {"x": (2, 3, 4, 4), "w": (2, 3, 0, 2), "b": (2,)}),
            ("b", {"x": (2, 3, 4, 4), "w": (2, 3, 3, 3), "b": (3,)}),
            ("b", {"x": (2, 3, 4, 4), "w": (2, 3, 3, 3), "b": (1,)}),  # these two would broadcast
            ("b", {"x": (2, 3, 4, 4), "w": (2, 3, 3, 3), "b": ()}),
        ),
    ),
    "max_pool": Case(
        shapes=images,
        slow=slow_pool(max),
        analytic=False,  # a kink where the largest two are equal
        draw=all_different,
        params=pool_param,
        torch=torch_max_pool,
        impossible=NO_IMAGES,
    ),
    "avg_pool": Case(
        shapes=images,
        slow=slow_pool(lambda values: sum(values) / len(values)),
        analytic=True,
        params=pool_param,
        torch=torch_avg_pool,
        impossible=NO_IMAGES,
    ),
}
