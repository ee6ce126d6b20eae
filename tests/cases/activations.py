import numpy as np

from cases.base import Case, away_from_zero, elementwise_shapes


def slow_relu(x):
    return np.array([value if value > 0 else 0.0 for value in x.flat]).reshape(x.shape)


CASES: dict[str, Case] = {
    "relu": Case(
        shapes=elementwise_shapes,
        slow=slow_relu,
        analytic=False,  # a kink at zero, where an imaginary part has no side to be on
        draw=away_from_zero,
    ),
}
