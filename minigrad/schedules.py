r"""Learning rates as functions of the step.

Each takes the step, counted from 0, and the learning rate that it changes, and returns a number. So they nest::

    config["learning_rate"] = warm_up(step, cosine(step, 1e-3, steps=1000), steps=100)
"""

import math


def constant(step: int, learning_rate: float) -> float:
    """Return the same rate at every step, so that a schedule can be switched off without changing the loop.

    Parameters
    ----------
    step : int
        Steps made so far.
    learning_rate : float
        The rate.

    Returns
    -------
    float

    Examples
    --------
    >>> constant(1000, 0.1)
    0.1
    """
    _at_least("constant", "step", step, 0)
    return float(learning_rate)


def step_decay(step: int, learning_rate: float, every: int, factor: float = 0.1) -> float:
    r"""Multiply the rate by a factor every so many steps.

    Parameters
    ----------
    step : int
        Steps made so far.
    learning_rate : float
        The rate at the start.
    every : int
        Steps between two decays.
    factor : float
        What each decay leaves.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `step` is negative, or `every` less than 1.

    Notes
    -----
    .. math:: \eta_t = \eta\, f^{\lfloor t / \mathit{every} \rfloor}

    The loss falls visibly at each decay: the noise of the large rate was hiding what had been learned.

    Examples
    --------
    >>> [step_decay(step, 1.0, every=10, factor=0.5) for step in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """
    _at_least("step_decay", "step", step, 0)
    _at_least("step_decay", "every", every, 1)
    return float(learning_rate * factor ** (step // every))


def cosine(step: int, learning_rate: float, steps: int, final: float = 0.0) -> float:
    r"""Let the rate fall along half a cosine: slowly, then fast, then slowly.

    Parameters
    ----------
    step : int
        Steps made so far.
    learning_rate : float
        The rate at the start.
    steps : int
        When `final` is reached.
    final : float
        The rate from there on.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `step` is negative, or `steps` less than 1.

    Notes
    -----
    .. math:: \eta_t = \eta_{end} + \frac{\eta - \eta_{end}}{2} \Big(1 + \cos \frac{\pi t}{T}\Big)

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> [round(cosine(step, 1.0, steps=100), 3) for step in (0, 25, 50, 100, 200)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    _at_least("cosine", "step", step, 0)
    _at_least("cosine", "steps", steps, 1)
    share = min(step / steps, 1.0)
    return float(final + (learning_rate - final) * 0.5 * (1 + math.cos(math.pi * share)))


def warm_up(step: int, learning_rate: float, steps: int) -> float:
    r"""Let the rate rise in a straight line over the first steps, then leave it alone.

    Parameters
    ----------
    step : int
        Steps made so far.
    learning_rate : float
        The rate after the warm-up; another schedule may have made it.
    steps : int
        Length of the warm-up; 0 for none.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `step` or `steps` is negative.

    Notes
    -----
    .. math:: \eta_t = \eta \cdot \min\Big(1, \frac{t + 1}{T}\Big)

    Not from 0, which would waste the first step. Early gradients are large and agree with each other, and Adam's
    second moment has seen few of them: full steps at that time can do harm that is never repaired.

    Examples
    --------
    >>> [warm_up(step, 1.0, steps=4) for step in (0, 1, 3, 100)]
    [0.25, 0.5, 1.0, 1.0]
    """
    _at_least("warm_up", "step", step, 0)
    _at_least("warm_up", "steps", steps, 0)
    return float(learning_rate * min(1.0, (step + 1) / max(steps, 1)))


def _at_least(function: str, name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{function}: {name} must be at least {least}, not {value}")
