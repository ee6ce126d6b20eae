import math

import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Shapes, sides


@st.composite
def block_shapes(draw: st.DrawFn, n: int) -> Shapes:
    d, h = draw(st.integers(3, 5)), draw(sides)  # of two features a layernorm leaves only their order
    return {"x": (n, d), "gamma": (d,), "beta": (d,), "w1": (d, h), "b1": (h,), "w2": (h, d), "b2": (d,)}


def slow_ffn_block(x, gamma, beta, w1, b1, w2, b2):
    out = np.zeros(x.shape)
    for n, row in enumerate(x):
        mean = sum(row) / len(row)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + 1e-5)
        normal = [gamma[d] * (row[d] - mean) / deviation + beta[d] for d in range(len(row))]
        inside = [sum(normal[d] * w1[d, h] for d in range(len(row))) + b1[h] for h in range(len(b1))]
        hidden = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in inside]
        for d in range(len(row)):
            out[n, d] = row[d] + sum(hidden[h] * w2[h, d] for h in range(len(b1))) + b2[d]
    return out


def torch_ffn_block(tensors, params):
    import torch

    x, gamma, beta, w1, b1, w2, b2 = tensors
    normal = torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta)
    return x + torch.nn.functional.gelu(normal @ w1 + b1) @ w2 + b2


def narrow(rng, shape):
    """Pre-activations at which a GELU has a slope: where it has none, no gradient is left to compare."""
    return 0.3 * rng.normal(size=shape)


GOOD = {"x": (5, 3), "gamma": (3,), "beta": (3,), "w1": (3, 4), "b1": (4,), "w2": (4, 3), "b2": (3,)}

CASES: dict[str, Case] = {
    "ffn_block": Case(
        shapes=block_shapes,
        slow=slow_ffn_block,
        torch=torch_ffn_block,
        draw={"w1": narrow, "b1": narrow},
        analytic=False,  # the GELU looks on which side of zero a number lies
        impossible=tuple(
            (argument, {**GOOD, argument: shape})
            for argument, shape in (
                ("x", (5, 4)),
                ("x", (3,)),
                ("x", (5, 3, 1)),
                ("gamma", (1,)),
                ("w1", (3,)),
                ("b1", (1,)),  # this one would broadcast, silently
                ("w2", (4, 1)),  # this one too
                ("w2", (3, 4)),
                ("b2", (1,)),
            )
        ),
    ),
}
