"""What normalizations ask of their arguments, and where batch normalization keeps its running statistics."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minigrad.layers._arrays import Array, as_float


def in_one_dtype(x: ArrayLike, gamma: ArrayLike, beta: ArrayLike) -> tuple[Array, Array, Array]:
    """As floats, and all in the widest dtype among them."""
    x, gamma, beta = as_float(x), as_float(gamma), as_float(beta)
    if x.dtype == gamma.dtype == beta.dtype:
        return x, gamma, beta
    dtype = np.result_type(x, gamma, beta)
    return x.astype(dtype, copy=False), gamma.astype(dtype, copy=False), beta.astype(dtype, copy=False)


def check_features(function: str, x: Array, gamma: Array, beta: Array, fit: bool, layout: str) -> None:
    """Refuse shapes that do not fit: `fit` says whether those of `x` and `gamma` do, `layout` how they would."""
    if not fit:
        raise ValueError(
            f"{function}: x has shape {x.shape} but gamma has shape {gamma.shape}; they must be {layout}"
        )
    if beta.shape != gamma.shape:
        raise ValueError(
            f"{function}: beta has shape {beta.shape} but gamma has shape {gamma.shape}; "
            "there is one scale and one shift for each feature"
        )


def check_something_to_average(function: str, x: Array, count: int) -> None:
    """Refuse a mean over nothing."""
    if count == 0:
        raise ValueError(f"{function}: x has shape {x.shape}, and there is no mean of no numbers")


def read_eps(function: str, param: Mapping[str, Any]) -> float:
    """What is added to a variance before its root is taken."""
    eps = float(param.get("eps", 1e-5))
    if not 0 <= eps < np.inf:
        raise ValueError(f"{function}: eps must be finite and not negative, not {eps}")
    return eps


def is_training(function: str, bn_param: Mapping[str, Any]) -> bool:
    """Whether the mode is "train", and not "test"."""
    mode = bn_param.get("mode")
    if mode not in ("train", "test"):
        raise ValueError(f'{function}: mode must be "train" or "test", not {mode!r}')
    return bool(mode == "train")


def running_statistics(
    function: str, bn_param: Mapping[str, Any], x: Array, features: int
) -> tuple[Array, Array]:
    """Running mean and variance of each feature; zeros before the first batch."""
    found = []
    for key in ("running_mean", "running_var"):
        value = as_float(bn_param[key]) if key in bn_param else np.zeros(features, x.dtype)
        if value.shape != (features,):
            raise ValueError(
                f"{function}: {key} has shape {value.shape} but x has shape {x.shape}; "
                "there is one number for each feature"
            )
        found.append(value)
    return found[0], found[1]


def update_running(
    function: str, bn_param: MutableMapping[str, Any], x: Array, mean: Array, var: Array
) -> None:
    """Move the running statistics towards those of this batch: new arrays in the caller's dict."""
    momentum = float(bn_param.get("momentum", 0.9))
    if not 0 <= momentum <= 1:
        raise ValueError(f"{function}: momentum must be between 0 and 1, not {momentum}")
    running_mean, running_var = running_statistics(function, bn_param, x, len(mean))
    bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * mean
    bn_param["running_var"] = momentum * running_var + (1 - momentum) * var
