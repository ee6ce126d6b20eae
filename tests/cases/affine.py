import math

import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shapes, sides


@st.composite
def affine_shapes(draw: st.DrawFn, n: int) -> Shapes:
    each, m = draw(st.lists(sides, max_size=3)), draw(sides)
    return {"x": (n, *each), "w": (math.prod(each), m), "b": (m,)}


def slow_affine(x, w, b):
    out = np.zeros((len(x), len(b)))
    for n in range(len(x)):
        for m in range(len(b)):
            out[n, m] = sum(value * w[d, m] for d, value in enumerate(x[n].flat)) + b[m]
    return out


def torch_affine(tensors, params):
    x, w, b = tensors
    return x.flatten(1) @ w + b if x.ndim > 1 else x[:, None] @ w + b


CASES: dict[str, Case] = {
    "affine": Case(
        shapes=affine_shapes,
        slow=slow_affine,
        torch=torch_affine,
        analytic=True,
        impossible=(
            ("x", {"x": (5, 3), "w": (4, 2), "b": (2,)}),  # D is not d1 * ... * dk
            ("x", {"x": (4, 5, 3), "w": (3, 2), "b": (2,)}),  # numpy's matmul alone would broadcast this
            ("x", {"x": (6,), "w": (6, 2), "b": (2,)}),  # one example without its batch axis
            ("x", {"x": (), "w": (1, 2), "b": (2,)}),
            ("w", {"x": (5, 3), "w": (3,), "b": ()}),
            ("w", {"x": (5, 3), "w": (3, 5, 1), "b": (5, 1)}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (3,)}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (1,)}),  # these three would broadcast, silently
            ("b", {"x": (5, 3), "w": (3, 2), "b": ()}),
            ("b", {"x": (5, 3), "w": (3, 2), "b": (5, 2)}),
        ),
    ),
}
