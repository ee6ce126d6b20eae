import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shapes, sides


@st.composite
def block_shapes(draw: st.DrawFn, n: int) -> Shapes:
    d, h = draw(sides), draw(sides)
    return {"x": (n, d), "w1": (d, h), "b1": (h,), "w2": (h, d), "b2": (d,)}


def slow_residual(x, w1, b1, w2, b2, scale):
    out = np.zeros(x.shape)
    for n, row in enumerate(x):
        hidden = [max(0.0, sum(row[d] * w1[d, h] for d in range(len(row))) + b1[h]) for h in range(len(b1))]
        for d in range(len(row)):
            out[n, d] = row[d] + scale * (sum(hidden[h] * w2[h, d] for h in range(len(b1))) + b2[d])
    return out


def torch_residual(tensors, params):
    x, w1, b1, w2, b2 = tensors
    return x + params[0] * ((x @ w1 + b1).relu() @ w2 + b2)


GOOD = {"x": (5, 3), "w1": (3, 4), "b1": (4,), "w2": (4, 3), "b2": (3,)}

CASES: dict[str, Case] = {
    "residual": Case(
        shapes=block_shapes,
        slow=slow_residual,
        torch=torch_residual,
        analytic=False,  # a ReLU inside
        params=lambda rng, shapes: (float(rng.uniform(0.1, 2)),),
        impossible=tuple(
            (argument, {**GOOD, argument: shape})
            for argument, shape in (
                ("x", (5, 4)),
                ("x", (3,)),
                ("x", (5, 3, 1)),
                ("w1", (3,)),
                ("b1", (1,)),  # this one would broadcast, silently
                ("b1", ()),
                ("w2", (4, 1)),  # this one too
                ("w2", (3, 4)),
                ("b2", (1,)),
                ("b2", (5, 3)),
            )
        ),
    ),
}
