"""What a layer does to the variance of what goes through it: its fans, and the gain of its activation."""

import math

Shape = tuple[int, ...]


_GAINS = {
    "linear": 1.0,
    "sigmoid": 4.0,  # 1 / sigmoid'(0)
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "gelu": 1.4811,  # 1 / sqrt(mean of gelu'(z)**2), z standard normal
    "silu": 1.6233,  # and of silu'
}


def gain(activation: str, slope: float = 0.01) -> float:
    r"""Factor on the weights that makes up for what an activation takes away from the gradient.

    Parameters
    ----------
    activation : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu"}
        What follows the layer.
    slope : float
        Of "leaky_relu", on the negative side.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there is no such activation.

    Notes
    -----
    The gradient is multiplied by the slope :math:`f'(z)`, so its mean square by :math:`E[f'(z)^2]`, and the gain
    is one over the root of that. A ReLU is off for half of its inputs: :math:`\sqrt 2`, exactly, for any symmetric
    `z`. For the smooth ones it depends on how wide `z` is; GELU and SiLU are given for a standard normal.

    A sigmoid has a slope of 1/4 at most, hence 4; with a gain of 1, as PyTorch's `calculate_gain` has it, every
    layer quarters the gradient. For tanh, 5/3 is a convention: near zero 1 would do, but a stack of layers drifts
    towards zero with it.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers", ICCV 2015.

    Examples
    --------
    >>> round(gain("relu"), 4)
    1.4142
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    if activation not in _GAINS:
        names = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"gain: activation must be one of {names}, not {activation!r}")
    return _GAINS[activation]


def fans(shape: Shape) -> tuple[int, int]:
    """How many numbers go into each output of a layer, and how many outputs each input reaches.

    Parameters
    ----------
    shape : tuple of int
        (D, M) for an affine layer, (F, C, HH, WW) for a convolution.

    Returns
    -------
    fan_in, fan_out : int

    Raises
    ------
    ValueError
        If the shape has less than two axes.

    Notes
    -----
    The axes stand in the other order: an affine layer multiplies its input from the right, so its inputs come
    first, while a convolution has its filters first. (PyTorch has the outputs first in both.)

    Examples
    --------
    >>> fans((784, 256))
    (784, 256)
    >>> fans((32, 3, 5, 5))
    (75, 800)
    """
    if len(shape) < 2:
        raise ValueError(f"fans: shape must have two axes or more, not {shape}: a bias has no fan-in")
    if len(shape) == 2:
        return shape[0], shape[1]
    places = math.prod(shape[2:])
    return shape[1] * places, shape[0] * places
