import numpy as np

from cases.base import Case, Rng, Shapes, elementwise_shapes


def some_dropout(rng: Rng, shapes: Shapes) -> tuple:
    param = {
        "p": float(rng.uniform(0.1, 1)),
        "mode": str(rng.choice(["train", "test"])),
        "unknown": "ignored",
    }
    return ({**param, "seed": int(rng.integers(100))},)


def the_mask(x_shape, param):
    kept = np.random.default_rng(param["seed"]).random(x_shape, np.float32) < param["p"]
    return kept / param["p"] if param["mode"] == "train" else np.ones(x_shape)


def slow_dropout(x, param):
    mask = the_mask(x.shape, param)
    return np.array([a * m for a, m in zip(x.flat, mask.flat, strict=True)]).reshape(x.shape)


def torch_dropout(tensors, params):
    """PyTorch draws its own mask, so this is only the product with ours."""
    import torch

    return tensors[0] * torch.from_numpy(the_mask(tensors[0].shape, *params))


CASES: dict[str, Case] = {
    "dropout": Case(
        shapes=elementwise_shapes,
        slow=slow_dropout,
        torch=torch_dropout,
        analytic=True,
        params=some_dropout,
    ),
}
