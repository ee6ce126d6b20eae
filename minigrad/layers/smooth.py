"""Smooth relatives of the ReLU: softplus, SiLU and GELU. They have a slope everywhere, and it is seldom zero."""

import math

import numpy as np

from minigrad.layers._arrays import Array, as_float, as_numbers, upstream
from minigrad.layers._normal import upper_tail
from minigrad.layers.activations import sigmoid_forward

SQRT_2_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # fitted by the authors of GELU


def softplus_forward(x: Array) -> tuple[Array, Array]:
    r"""Softplus: a ReLU with its corner rounded off.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``log(1 + exp(x))``, element by element. Finite for any finite x.
    cache : ndarray, shape of `x`
        The output: all that `softplus_backward` needs.

    Notes
    -----
    The formula overflows at x = 710, where the answer is 710. Take the larger of the two terms out of the logarithm,
    and what is left in the exponential is never positive:

    .. math:: \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|}) \qquad out' = \sigma(x) = 1 - e^{-out}

    The slope is the sigmoid, so it fades on the left as a sigmoid does, and is 1 on the right: deep stacks keep
    their gradient where a sigmoid would lose three quarters at every layer. The mean of the outputs is far from
    zero, which is why it is rarer in hidden layers than where a number must be positive, such as a variance.

    (``min(x, -x)`` is ``-|x|``, but lets the complex step through.)

    References
    ----------
    .. [1] C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau and R. Garcia, "Incorporating Second-Order Functional Knowledge
       for Better Option Pricing", NIPS 2000.

    Examples
    --------
    >>> out, _ = softplus_forward(np.array([-1000.0, 0.0, 1000.0]))
    >>> print(*out.round(4))
    0.0 0.6931 1000.0
    """
    x = as_float(x)
    out = np.negative(x, out=np.empty_like(x))
    np.minimum(x, out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    out += np.maximum(x, np.zeros(x.shape[-1:], x.dtype))
    return out, out


def softplus_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `softplus_forward`: ``dout * sigmoid(x)``, from the output alone.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : ndarray, shape of `dout`
        From `softplus_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = softplus_forward(np.array([-1000.0, 0.0, 1000.0]))
    >>> print(*softplus_backward(np.ones(3), cache))
    0.0 0.5 1.0
    """
    out = cache
    dout = upstream("softplus_backward", dout, out.shape)
    dx = np.negative(out, out=np.empty_like(out))
    np.expm1(dx, out=dx)  # keeps the digits of a small slope, which 1 - exp(-out) would round away
    np.negative(dx, out=dx)
    dx *= dout
    return dx


def silu_forward(x: Array) -> tuple[Array, tuple]:
    r"""Sigmoid linear unit, also called swish: each number, weighted by its own sigmoid.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``x * sigmoid(x)``, element by element.
    cache : tuple
        What `silu_backward` needs.

    Notes
    -----
    By the product rule, with :math:`s = \sigma(x)` and :math:`s' = s (1 - s)`,

    .. math:: out = x\,s \qquad out' = s + x\,s\,(1 - s) = s + out\,(1 - s)

    The function dips to -0.278 at x = -1.278 and comes back to 0. So its slope is negative on the left of the dip, at
    worst -0.1, and above 1 around x = 2.4, at most 1.1. Far on the left it fades like :math:`x e^x`: no unit is dead,
    but some are slow.

    References
    ----------
    .. [1] S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function
       Approximation in Reinforcement Learning", Neural Networks 107, 2018.

    Examples
    --------
    >>> out, _ = silu_forward(np.array([-10.0, -1.0, 0.0, 10.0]))
    >>> print(*out.round(4))
    -0.0005 -0.2689 0.0 9.9995
    """
    x = as_float(x)
    s, _ = sigmoid_forward(x)
    out = np.asarray(x * s)
    return out, (s, out)


def silu_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `silu_forward`: ``dout * (s + out * (1 - s))``, with s the sigmoid.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : tuple
        From `silu_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = silu_forward(np.array([-10.0, -1.0, 0.0, 10.0]))
    >>> print(*silu_backward(np.ones(4), cache).round(4))
    -0.0004 0.0723 0.5 1.0004
    """
    s, out = cache
    dout = upstream("silu_backward", dout, s.shape)
    dx = np.subtract(1, s, out=np.empty_like(s))
    dx *= out
    dx += s
    dx *= dout
    return dx


def gelu_forward(x: Array) -> tuple[Array, tuple]:
    r"""Gaussian error linear unit: each number, weighted by how likely a normal number is to be below it.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        ``x * Phi(x)``, with Phi the distribution function of the normal distribution; exact to rounding.
    cache : tuple
        What `gelu_backward` needs.

    Notes
    -----
    .. math::
        \Phi(x) = \tfrac12 \left(1 + \operatorname{erf}(x / \sqrt 2)\right) \qquad
        \Phi'(x) = \varphi(x) = e^{-x^2/2} / \sqrt{2 \pi}

    .. math:: out = x\,\Phi(x) \qquad out' = \Phi(x) + x\,\varphi(x)

    On the right of zero :math:`\Phi(x) = 1 - q`, and on the left :math:`\Phi(x) = q`, with :math:`q = \Phi(-|x|)` the
    smaller of the two tails. So both halves are one formula, in which nothing cancels:

    .. math:: out = \max(x, 0) - |x|\,q \qquad \Phi(x) = \left| [x > 0] - q \right|

    A ReLU, minus a bump. As for SiLU the slope is negative on the left of a dip (-0.17, at x = -0.75), and more than
    1 on the right, at most 1.13. On the left it fades like :math:`e^{-x^2/2}`, much faster than an exponential: at
    x = -10 the slope is -8e-22. Still not zero; but an update of that size changes no weight.

    References
    ----------
    .. [1] D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415, 2016.

    Examples
    --------
    >>> out, _ = gelu_forward(np.array([-10.0, -1.0, 0.0, 1.0]))
    >>> print(*out.round(4))
    -0.0 -0.1587 0.0 0.8413
    """
    x = as_float(x)
    a = np.abs(x, out=np.empty_like(x))
    # Where the density is zero, the tail is too; beyond, only the powers of a would overflow.
    np.minimum(a, np.full(x.shape[-1:], _end_of_the_bell(x.dtype), x.dtype), out=a)
    bell = np.square(a, out=np.empty_like(a))
    bell *= -0.5
    np.exp(bell, out=bell)
    q = upper_tail(a, bell)
    a *= q
    out = np.maximum(x, np.zeros(x.shape[-1:], x.dtype), out=np.empty_like(x))
    out -= a
    return out, (x, bell, q)


def gelu_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `gelu_forward`: ``dout * (Phi(x) + x * phi(x))``.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : tuple
        From `gelu_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = gelu_forward(np.array([-10.0, -1.0, 0.0, 1.0]))
    >>> print(*gelu_backward(np.ones(4), cache).round(4))
    -0.0 -0.0833 0.5 1.0833
    """
    x, bell, q = cache
    dout = upstream("gelu_backward", dout, x.shape)
    Phi = as_numbers(x > 0, q.dtype)
    Phi -= q
    np.abs(Phi, out=Phi)
    dx = np.asarray(x * bell)
    dx *= 1 / math.sqrt(2 * math.pi)  # x phi(x)
    dx += Phi
    dx *= dout
    return dx


def _end_of_the_bell(dtype: np.dtype) -> float:
    """From here on ``exp(-a**2 / 2)`` is zero in this precision."""
    return math.sqrt(-2 * math.log(np.finfo(dtype).smallest_subnormal)) + 1


def gelu_tanh_forward(x: Array) -> tuple[Array, tuple]:
    r"""GELU by its usual approximation, with a hyperbolic tangent in the place of the error function.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of `x`
        Within 5e-4 of `gelu_forward`.
    cache : tuple
        What `gelu_tanh_backward` needs.

    Notes
    -----
    .. math::
        out = \tfrac12 x\,(1 + t) \qquad t = \tanh u \qquad u = \sqrt{2/\pi}\,(x + 0.044715\,x^3)

    Product rule, then chain rule:

    .. math::
        out' = \tfrac12 (1 + t) + \tfrac12 x\,(1 - t^2)\,u' \qquad u' = \sqrt{2/\pi}\,(1 + 3 \cdot 0.044715\,x^2)

    GPT-2 and many after it were trained with this one. Load their weights into the other, and the outputs differ in
    the fourth digit. On the left the slope is exactly zero from about x = -7.3 in float64, because 1 + t is: here
    units can die.

    References
    ----------
    .. [1] D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415, 2016.

    Examples
    --------
    >>> out, _ = gelu_tanh_forward(np.array([-10.0, -1.0, 0.0, 1.0]))
    >>> print(*out.round(4))
    -0.0 -0.1588 0.0 0.8412
    """
    x = as_float(x)
    ends = np.full(x.shape[-1:], 20, x.dtype)  # t is +-1 long before; beyond, x**3 would overflow
    near = np.minimum(x, ends, out=np.empty_like(x))
    np.maximum(near, -ends, out=near)
    t = np.square(near, out=np.empty_like(x))
    t *= CUBIC
    t += 1
    t *= near
    t *= SQRT_2_PI  # u
    np.tanh(t, out=t)
    out = np.asarray(t + 1)
    out *= 0.5
    out *= x
    return out, (near, t)


def gelu_tanh_backward(dout: Array, cache: tuple) -> Array:
    """Gradient of `gelu_tanh_forward`.

    Parameters
    ----------
    dout : ndarray, any shape
        Upstream gradient.
    cache : tuple
        From `gelu_tanh_forward`.

    Returns
    -------
    dx : ndarray, shape of `dout`
        Gradient for `x`.

    Raises
    ------
    ValueError
        If `dout` does not have the shape of the output.

    Examples
    --------
    >>> _, cache = gelu_tanh_forward(np.array([-1.0, 0.0, 1.0]))
    >>> print(*gelu_tanh_backward(np.ones(3), cache).round(4))
    -0.083 0.5 1.083
    """
    x, t = cache
    dout = upstream("gelu_tanh_backward", dout, x.shape)
    du = np.square(x, out=np.empty_like(x))
    du *= 3 * CUBIC * SQRT_2_PI
    du += SQRT_2_PI
    dx = np.square(t, out=np.empty_like(t))
    np.subtract(1, dx, out=dx)
    dx *= du
    dx *= x  # x (1 - t**2) u'
    dx += t
    dx += 1
    dx *= 0.5
    dx *= dout
    return dx
