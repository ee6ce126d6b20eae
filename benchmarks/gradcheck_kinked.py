"""Right gradients of networks with kinks in unlucky places: nobody may call them wrong."""

from __future__ import annotations

import numpy as np
from gradcheck_cases import Case, Kit

from minigrad.network import Network

POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}
FAMILIES = ("relu", "leaky_relu", "batchnorm and relu", "max_pool")


def kinked(seed: int) -> Case:
    """A network of random size, with what puts units on their kinks: zeros, copies, and units that are dead.

    Every fifth is in float32.
    """
    kit = Kit(seed, {})
    rng, family = kit.rng, FAMILIES[seed % 4]
    n, classes = int(rng.integers(2, 8)), int(rng.integers(2, 5))
    if family == "max_pool":
        channels, filters, side = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.choice([2, 4, 6]))
        parts: list[Network] = [
            kit.conv(filters, channels),
            kit.layer("relu"),
            kit.layer("max_pool", None, POOL),
        ]
        parts += [kit.affine(filters * (side // 2) ** 2, classes)]
        x = rng.normal(size=(n, channels, side, side))
        if rng.integers(2):
            x[..., ::2] = x[..., 1::2]  # neighbours are equal, so that places of a window tie
    else:
        between = family.split(" and ")
        hidden = rng.integers(1, 10, int(rng.integers(1, 5)))
        parts = kit.mlp((int(rng.integers(1, 7)), *map(int, hidden), classes), *between)
        x = rng.normal(size=(n, parts[0].params["w"].shape[0]))
    if rng.integers(2):
        x[rng.integers(n)] = 0
    if rng.integers(2):
        x[0] = x[-1]
    case = kit.case(parts, x, kit.labels(classes, n), "softmax_loss")
    zero_biases, dead = rng.integers(2), rng.integers(2)
    for name, w in case.point.items():
        if name.endswith(".b") and zero_biases:
            w[...] = 0
        if name == "0.b" and dead:
            w[0] = -10
    if seed % 5 == 0:
        case.x, case.point = x.astype(np.float32), {k: w.astype(np.float32) for k, w in case.point.items()}
    return case
