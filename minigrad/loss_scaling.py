r"""Loss scaling: keep float16 gradients from rounding to zero.

Below :math:`2^{-25}`, about 3e-8, a float16 number rounds to zero, and below 6.1e-5 it loses digits; gradients are
often smaller. But they are linear in the upstream gradient: multiply that by 2^15, and all of them come out 2^15
times as large. Divide in float32, where there is room, and nothing was lost. What became too large instead, above
65504, is infinite: skip that step, and use a smaller scale from then on.

One step::

    grads = backward(scale_gradient(dout, config))        # float16
    grads, overflow = unscale_gradients(grads, config)    # float32
    if not overflow:
        w, ... = optimizer(w, grads, ...)
    update_scale(overflow, config)

`config` is a dict, as for the optimizers: ``scale`` (2**15), ``growth`` (2), ``backoff`` (0.5), ``interval`` (2000
steps without overflow before the scale grows; None for a static scale), ``good_steps`` (0).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Config = dict[str, Any]

_DEFAULTS: Config = {"scale": 2.0**15, "growth": 2.0, "backoff": 0.5, "interval": 2000, "good_steps": 0}


def scale_gradient(dout: Array, config: Config) -> Array:
    """Multiply the upstream gradient of the loss by the scale.

    Parameters
    ----------
    dout : ndarray, any shape
        Where backpropagation starts: the gradient of the loss for the outputs of the network.
    config : dict
        As above; what is missing is filled in.

    Returns
    -------
    scaled : ndarray, shape and dtype of `dout`
        Infinite where it is too large for that dtype.

    Raises
    ------
    ValueError
        If the scale is not a positive number.

    Examples
    --------
    >>> dout = np.array([1e-3], np.float16)
    >>> scale_gradient(dout, {"scale": 1024.0})
    array([1.024], dtype=float16)
    """
    dout = np.asarray(dout)
    with np.errstate(over="ignore"):  # an overflow is found later, in what comes of it
        return (dout * np.float64(_filled("scale_gradient", config)["scale"])).astype(dout.dtype)


def unscale_gradients(grads: Mapping[str, Array], config: Config) -> tuple[dict[str, Array], bool]:
    """Divide gradients by the scale, in float32, and say whether any of them is unusable.

    Parameters
    ----------
    grads : dict of str to ndarray
        Scaled gradients by the name of their parameter. Not written to.
    config : dict
        As above; what is missing is filled in.

    Returns
    -------
    unscaled : dict of str to ndarray
        New arrays: float32 for float16, any other dtype stays.
    overflow : bool
        Whether an entry is infinite or NaN: then skip the step.

    Raises
    ------
    ValueError
        If the scale is not a positive number.

    Examples
    --------
    >>> unscale_gradients({"W": np.array([1024.0], np.float16)}, {"scale": 2.0**40})
    ({'W': array([9.313226e-10], dtype=float32)}, False)
    >>> unscale_gradients({"W": np.array([np.inf], np.float16)}, {})[1]
    True
    """
    scale = _filled("unscale_gradients", config)["scale"]
    wide = {name: np.asarray(g) for name, g in grads.items()}
    unscaled = {name: g.astype(np.result_type(g.dtype, np.float32)) / scale for name, g in wide.items()}
    return unscaled, not all(np.isfinite(g).all() for g in wide.values())


def update_scale(overflow: bool, config: Config) -> Config:
    """Choose the scale of the next step: smaller after an overflow, larger after a long time without one.

    Parameters
    ----------
    overflow : bool
        Whether this step had to be skipped.
    config : dict
        As above; what is missing is filled in. ``scale`` and ``good_steps`` are written, unless ``interval`` is
        None.

    Returns
    -------
    config : dict
        The same dict.

    Raises
    ------
    ValueError
        If the scale is not a positive number.

    Notes
    -----
    The largest scale that does not overflow changes during training, so it is searched for all the time: up by
    `growth` every `interval` good steps, down by `backoff` at each overflow, at the price of one lost step. With
    powers of two, scaling changes exponents only and rounds nothing.

    The scale never goes below 1. If it stays there and every step overflows, scaling is not the problem: some
    array is not finite for another reason, and no scale will cure it.

    References
    ----------
    .. [1] P. Micikevicius et al., "Mixed Precision Training", ICLR 2018.

    Examples
    --------
    >>> config = {"scale": 1024.0, "interval": 2}
    >>> [update_scale(overflow, config)["scale"] for overflow in (False, False, True, False)]
    [1024.0, 2048.0, 1024.0, 1024.0]
    """
    config = _filled("update_scale", config)
    if config["interval"] is None:
        return config
    config["good_steps"] = 0 if overflow else config["good_steps"] + 1
    if overflow:
        config["scale"] = min(config["scale"], max(1.0, config["scale"] * config["backoff"]))
    elif config["good_steps"] >= config["interval"]:
        config["scale"] *= config["growth"]
        config["good_steps"] = 0
    return config


def _filled(function: str, config: Config) -> Config:
    """The same dict, with what was missing in it."""
    for key, default in _DEFAULTS.items():
        config.setdefault(key, default)
    config["scale"] = float(config["scale"])  # a numpy float64 would widen float32
    if not 0 < config["scale"] < np.inf:
        raise ValueError(f"{function}: scale must be a positive number, not {config['scale']}")
    return config
