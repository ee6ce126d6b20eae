r"""Optimizers: from a gradient to a step. CS231n's form, one parameter array at a time.

The contract, stated once for all of them::

    next_w, config = optimizer(w, dw, config)

* `config` holds what the user chose and what the optimizer remembers. What is missing is filled in, with the
  defaults; the memory is written back, as new arrays. Pass the same dict with the same parameter each time.
* Neither `w` nor `dw` is written to. The gradient is taken in the precision of `w`, and so is all memory:
  a float16 gradient of a float32 parameter is not squared in float16, where it would vanish.
* Shapes that differ raise `ValueError`.

An update is not ``learning_rate * dw``, but for plain SGD: when you compare updates with weights, measure
``w - next_w``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Config = dict[str, Any]

# Defaults of Adam; zeros_like makes its memory.
_ADAM: Config = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "m": np.zeros_like,
    "v": np.zeros_like,
    "t": 0,
}


def sgd(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    r"""Stochastic gradient descent: a step against the gradient.

    Parameters
    ----------
    w : ndarray, any shape
        Parameters.
    dw : ndarray, shape of `w`
        Gradient of the loss.
    config : dict, optional
        ``learning_rate`` (1e-2).

    Returns
    -------
    next_w : ndarray, shape and dtype of `w`
    config : dict
        The same dict.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    .. math:: w \leftarrow w - \eta\,dw

    The size of a step is that of the gradient: where gradients vanish, learning stops, and where they explode,
    the weights follow. Every remedy in this course is visible here, because nothing else hides it.

    Examples
    --------
    >>> next_w, _ = sgd(np.array([1.0, 2.0]), np.array([10.0, -10.0]), {"learning_rate": 0.1})
    >>> next_w
    array([0., 3.])
    """
    w, dw, config = _prepared("sgd", w, dw, config, learning_rate=1e-2)
    step = np.multiply(dw, config["learning_rate"], out=np.empty_like(w))
    return np.subtract(w, step, out=step), config  # a second new array would cost as much as the arithmetic


def sgd_momentum(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    r"""SGD with momentum: steps add up in directions that stay, and cancel in those that change.

    Parameters
    ----------
    w : ndarray, any shape
        Parameters.
    dw : ndarray, shape of `w`
        Gradient of the loss.
    config : dict, optional
        ``learning_rate`` (1e-2), ``momentum`` (0.9), ``velocity`` (zeros), shape of `w`.

    Returns
    -------
    next_w : ndarray, shape and dtype of `w`
    config : dict
        The same dict, with the new ``velocity``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    .. math:: v \leftarrow \rho\,v - \eta\,dw \qquad w \leftarrow w + v

    Under a constant gradient the steps grow until they are :math:`1/(1-\rho)` times as long, ten times for 0.9.
    So does the harm of one exploding gradient: it stays in the velocity long after it has passed.

    (PyTorch keeps :math:`v / -\eta` instead: the same while the learning rate is constant.)

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in
       deep learning", ICML 2013.

    Examples
    --------
    >>> w, config = np.array([0.0]), {"learning_rate": 1.0}
    >>> for _ in range(3):
    ...     w, config = sgd_momentum(w, np.array([1.0]), config)
    >>> config["velocity"].round(2)  # 1 + 0.9 + 0.81
    array([-2.71])
    """
    w, dw, config = _prepared(
        "sgd_momentum", w, dw, config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like
    )
    velocity = config["momentum"] * config["velocity"] - config["learning_rate"] * dw
    config["velocity"] = velocity
    return w + velocity, config


def rmsprop(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    r"""RMSProp: each parameter's gradient is divided by its own recent size.

    Parameters
    ----------
    w : ndarray, any shape
        Parameters.
    dw : ndarray, shape of `w`
        Gradient of the loss.
    config : dict, optional
        ``learning_rate`` (1e-2), ``decay_rate`` (0.99), ``epsilon`` (1e-8), ``cache`` (zeros), shape of `w`: the
        running mean of squared gradients.

    Returns
    -------
    next_w : ndarray, shape and dtype of `w`
    config : dict
        The same dict, with the new ``cache``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    .. math::
        c \leftarrow \beta\,c + (1 - \beta)\,dw^2 \qquad w \leftarrow w - \eta\,\frac{dw}{\sqrt{c} + \epsilon}

    The scale of the gradient cancels. That hides a vanishing gradient as well: the weights move at full speed,
    in a direction that may be rounding noise. And `c` starts at zero, so the first step is
    :math:`1/\sqrt{1-\beta}` = 10 times too long; Adam corrects that.

    References
    ----------
    .. [1] T. Tieleman and G. Hinton, "Lecture 6.5: rmsprop", COURSERA: Neural Networks for Machine Learning, 2012.

    Examples
    --------
    >>> next_w, _ = rmsprop(np.zeros(2), np.array([1.0, 1e-6]), {"epsilon": 0.0})
    >>> next_w.round(3)  # however small the gradient
    array([-0.1, -0.1])
    """
    w, dw, config = _prepared(
        "rmsprop", w, dw, config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8, cache=np.zeros_like
    )
    decay_rate = config["decay_rate"]
    cache = decay_rate * config["cache"] + (1 - decay_rate) * dw**2
    config["cache"] = cache
    return w - config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"]), config


def adam(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    r"""Adam: momentum, divided by the recent size of the gradient, both corrected for their start at zero.

    Parameters
    ----------
    w : ndarray, any shape
        Parameters.
    dw : ndarray, shape of `w`
        Gradient of the loss.
    config : dict, optional
        ``learning_rate`` (1e-3), ``beta1`` (0.9), ``beta2`` (0.999), ``epsilon`` (1e-8), ``m`` and ``v`` (zeros),
        shape of `w`: running means of the gradient and of its square, ``t`` (0): steps made so far.

    Returns
    -------
    next_w : ndarray, shape and dtype of `w`
    config : dict
        The same dict, with the new ``m``, ``v`` and ``t``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    With `t` counted from 1 at the first step,

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1)\,dw \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,dw^2 \qquad
        w \leftarrow w - \eta\,\frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    A running mean that started at zero is :math:`1 - \beta^t` too small after `t` steps of a constant gradient:
    hence the divisions. No step is much longer than the learning rate, so an exploding gradient cannot throw the
    weights far; but it stays in `v` for a thousand steps, and makes them all short. Gradients below `epsilon`
    vanish after all.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Examples
    --------
    >>> next_w, config = adam(np.zeros(3), np.array([1.0, -1e-3, 1e3]))
    >>> next_w.round(6)
    array([-0.001,  0.001, -0.001])
    >>> config["t"]
    1
    """
    w, dw, config = _prepared("adam", w, dw, config, **_ADAM)
    return w - config["learning_rate"] * _adam_direction(dw, config), config


def adamw(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    r"""AdamW: Adam, with weight decay beside the gradient instead of in it.

    Parameters
    ----------
    w : ndarray, any shape
        Parameters.
    dw : ndarray, shape of `w`
        Gradient of the loss, without a term for the decay.
    config : dict, optional
        As for `adam`, and ``weight_decay`` (1e-2).

    Returns
    -------
    next_w : ndarray, shape and dtype of `w`
    config : dict
        The same dict, with the new ``m``, ``v`` and ``t``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    .. math:: w \leftarrow (1 - \eta\lambda)\,w - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}

    An L2 penalty adds :math:`\lambda w` to the gradient, and Adam divides it by the gradient's size: weights with
    large gradients are decayed less. Here all are decayed alike.

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> next_w, _ = adamw(np.array([1.0]), np.array([0.0]), {"learning_rate": 0.1, "weight_decay": 0.5})
    >>> next_w
    array([0.95])
    """
    w, dw, config = _prepared("adamw", w, dw, config, weight_decay=1e-2, **_ADAM)
    learning_rate = config["learning_rate"]
    decayed = (1 - learning_rate * config["weight_decay"]) * w
    return decayed - learning_rate * _adam_direction(dw, config), config


def _adam_direction(dw: Array, config: Config) -> Array:
    """The corrected running mean over the root of the corrected running mean of squares; counts the step."""
    beta1, beta2 = config["beta1"], config["beta2"]
    config["t"] = t = config["t"] + 1
    config["m"] = beta1 * config["m"] + (1 - beta1) * dw
    config["v"] = beta2 * config["v"] + (1 - beta2) * dw**2
    m_hat = config["m"] / (1 - beta1**t)
    v_hat = config["v"] / (1 - beta2**t)
    return m_hat / (np.sqrt(v_hat) + config["epsilon"])


def _prepared(
    function: str, w: Array, dw: Array, config: Config | None, **defaults: Any
) -> tuple[Array, Array, Config]:
    """`w` and `dw` as floats of one precision, and `config` with what was missing in it.

    A default that is a function makes the memory of an optimizer from `w`.
    """
    w = np.asarray(w)
    w = w if w.dtype.kind in "fc" else w.astype(np.float64)
    dw = np.asarray(dw).astype(w.dtype, copy=False)
    if dw.shape != w.shape:
        raise ValueError(f"{function}: dw has shape {dw.shape} but w has shape {w.shape}")
    config = {} if config is None else config
    for key, default in defaults.items():
        if not callable(default):
            value = config.setdefault(key, default)
            config[key] = value if key == "t" else float(value)  # a numpy float64 would widen float32
            continue
        memory = np.asarray(config[key]).astype(w.dtype, copy=False) if key in config else default(w)
        if memory.shape != w.shape:
            raise ValueError(f"{function}: {key} has shape {memory.shape} but w has shape {w.shape}")
        config[key] = memory
    return w, dw, config
