"""Gradient checking: measure the slope, and compare it with the gradient that somebody derived.

Three parts:

* `numerical_gradient` and `numerical_gradient_array` measure; `relative_error` compares.
* `gradient_check` does both for a random subset of a network's parameters.
* `describe_difference` says in words what is wrong with a gradient.

To measure, an array is changed in place, one element at a time, and put back. So a function that ignores
its argument and reads the array from the surrounding scope works too. CS231n's names stand at the end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
Index = tuple[int, ...]

# ------------------------------------------------------------------------------
# Measure
# ------------------------------------------------------------------------------


def numerical_gradient(
    f: Callable[[Array], Any], x: Array, h: float = 1e-5, method: str = "centred"
) -> Array:
    r"""Gradient of a scalar function, measured by moving one element at a time.

    Parameters
    ----------
    f : callable
        Takes `x`, or ignores it and reads the same array from its closure; returns one number.
    x : ndarray of floats, any shape
        Where to measure. Changed in place while `f` runs, and restored exactly, also when `f` raises.
    h : float
        Step.
    method : {"centred", "one-sided"}
        Measure at x + h and x - h, or at x + h and x.

    Returns
    -------
    grad : ndarray, shape and dtype of `x`

    Raises
    ------
    TypeError
        If `x` is not an array of floating-point numbers: `h` would be rounded away.
    ValueError
        If `method` or `h` is impossible, or `f` returns more than one number.

    Notes
    -----
    By Taylor's theorem, the two formulas make an error of first and of second order in the step:

    .. math::
        \frac{f(x+h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \dots \qquad
        \frac{f(x+h) - f(x-h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \dots

    A smaller step is better only until round-off takes over: `f` is known to about :math:`\epsilon |f|`, and
    the division makes :math:`\epsilon |f| / h` of it. For the centred formula the sum of both is least near
    :math:`h = \epsilon^{1/3}`, 6e-6 in float64. In float32 there is no good step: measure in float64.

    References
    ----------
    .. [1] J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, Springer, 2006, section 8.1.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> numerical_gradient(lambda x: (x**2).sum(), x).round(6)
    array([2., 4., 6.])
    >>> numerical_gradient(lambda x: (x**2).sum(), x, h=0.1, method="one-sided").round(6)
    array([2.1, 4.1, 6.1])
    """
    if method not in ("centred", "one-sided"):
        raise ValueError(f'numerical_gradient: method must be "centred" or "one-sided", not {method!r}')
    _require_movable("numerical_gradient", "x", x, h)
    grad = np.zeros_like(x)
    here = _number(f(x)) if method == "one-sided" and x.size else 0.0
    for index in np.ndindex(x.shape):
        if method == "centred":
            grad[index] = _slope(f, x, index, h)
        else:
            with _moved(x, index, h):
                grad[index] = (_number(f(x)) - here) / h
    return grad


def numerical_gradient_array(f: Callable[[Array], Array], x: Array, df: ArrayLike, h: float = 1e-5) -> Array:
    r"""Gradient of ``sum(f(x) * df)``: what a backward pass returns for the upstream gradient `df`.

    Parameters
    ----------
    f : callable
        Takes `x`, or ignores it and reads the same array from its closure; returns an array.
    x : ndarray of floats, any shape
        Where to measure. Changed in place while `f` runs, and restored exactly, also when `f` raises.
    df : array_like, shape of ``f(x)``
        Upstream gradient.
    h : float
        Step of the centred difference.

    Returns
    -------
    grad : ndarray, shape and dtype of `x`

    Raises
    ------
    TypeError
        If `x` is not an array of floating-point numbers.
    ValueError
        If `df` does not have the shape of ``f(x)``, or `h` is impossible.

    Notes
    -----
    The slope of :math:`L = \sum_k df_k f_k(x)`. The outputs are subtracted before they are summed, so that
    many large outputs do not drown a small change in one of them.

    Draw `df` at random. With ones, every mistake that a sum cannot see stays hidden: `dout` transposed, or
    one row of it used for all.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> numerical_gradient_array(lambda x: x**2, x, np.array([1.0, -1.0])).round(6)
    array([ 2., -4.])
    """
    _require_movable("numerical_gradient_array", "x", x, h)
    df = np.asarray(df)
    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        with _moved(x, index, +h):
            plus = np.array(f(x))  # a copy: f may return x itself, or a view of it
        with _moved(x, index, -h):
            minus = np.array(f(x))
        if plus.shape != df.shape:
            raise ValueError(
                f"numerical_gradient_array: df has shape {df.shape} but f(x) has shape {plus.shape}"
            )
        grad[index] = np.sum((plus - minus) * df) / (2 * h)
    return grad


def _slope(f: Callable[[Array], Any], x: Array, index: Index, h: float) -> float:
    """Centred difference of `f` along one element of `x`."""
    with _moved(x, index, +h):
        plus = _number(f(x))
    with _moved(x, index, -h):
        minus = _number(f(x))
    return (plus - minus) / (2 * h)


@contextmanager
def _moved(x: Array, index: Index, step: float) -> Iterator[None]:
    """One element of `x` moved, then put back. The old value is kept, since (x + h) - h need not be x."""
    old = x[index]
    x[index] = old + step
    try:
        yield
    finally:
        x[index] = old


def _number(value: Any) -> float:
    """What a scalar function returned, as a Python number: a copy, should it be a view of x."""
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"f must return one number, but returned an array of shape {array.shape}")
    return array.item()


def _require_movable(function: str, name: str, x: Any, h: float) -> None:
    """Refuse what cannot be moved in place: its differences would all be zero, and look like a result."""
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating):
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        raise TypeError(f"{function}: {name} must be an array of floats, which moves in place; it is {kind}")
    if not 0 < h < np.inf:
        raise ValueError(f"{function}: the step h must be positive and finite, not {h}")


# ------------------------------------------------------------------------------
# Compare
# ------------------------------------------------------------------------------


def relative_error(a: ArrayLike, b: ArrayLike) -> float:
    r"""Relative error of the worst element.

    Parameters
    ----------
    a, b : array_like, same shape
        What to compare, usually an analytic and a numerical gradient.

    Returns
    -------
    error : float
        The largest :math:`|a_i - b_i| / \max(|a_i|, |b_i|)`: 0 where both are zero, 2 for opposite signs, and
        0 for empty arrays. It is infinite as soon as any element of either is nan or infinite, even where the
        two agree: such a gradient is never right, and nan would make every comparison with a tolerance false.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Nothing is added to the denominator. A constant there would hide every error in gradients smaller than
    itself, and those are the ones that this course is about. The price: where the true gradient is exactly
    zero and the numerical one is round-off, the error is 1. Look at the values before you believe it.

    Examples
    --------
    >>> round(relative_error([1.0, 2.0, 0.0], [1.0, 2.002, 0.0]), 6)
    0.000999
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"relative_error: a has shape {a.shape} but b has shape {b.shape}")
    return float(np.max(_relative_errors(a, b), initial=0.0))


def _relative_errors(a: NDArray, b: NDArray) -> Array:
    """Relative error of each element."""
    wide = np.result_type(a, b, np.float64)
    a, b = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        scale = np.maximum(abs(a), abs(b))
        errors = abs(_over(a, scale) - _over(b, scale))  # a - b may overflow
    errors = np.where(scale == 0, 0.0, errors)
    return np.where(np.isfinite(scale), errors, np.inf)


# ------------------------------------------------------------------------------
# Check a network
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckedElement:
    """One parameter, and what the two sides say its gradient is."""

    name: str
    index: Index
    analytic: float
    numerical: float
    error: float  # relative

    def __str__(self) -> str:
        return (
            f"{self.name}{_subscript(self.index)}: analytic {self.analytic:.6g}, "
            f"numerical {self.numerical:.6g}, relative error {self.error:.1e}"
        )


@dataclass(frozen=True)
class GradientReport:
    """What `gradient_check` found: every element that it looked at, in the order of the parameters."""

    elements: tuple[CheckedElement, ...]

    @property
    def errors(self) -> dict[str, float]:
        """Worst relative error of each tensor."""
        return {name: worst.error for name, worst in self.worst_by_tensor.items()}

    @property
    def worst_by_tensor(self) -> dict[str, CheckedElement]:
        """Worst element of each tensor."""
        worst: dict[str, CheckedElement] = {}
        for element in self.elements:
            if element.name not in worst or element.error > worst[element.name].error:
                worst[element.name] = element
        return worst

    @property
    def worst(self) -> CheckedElement:
        """Worst element of all."""
        return max(self.elements, key=lambda element: element.error)

    def passed(self, tolerance: float) -> bool:
        """Whether no element is further off than `tolerance`."""
        return self.worst.error <= tolerance

    def __str__(self) -> str:
        width = max(len(name) for name in self.errors)
        lines = []
        for name, error in self.errors.items():
            count = sum(element.name == name for element in self.elements)
            lines.append(f"{name:{width}}  {count:4} checked  worst relative error {error:.1e}")
        return "\n".join([*lines, f"worst of all: {self.worst}"])


def gradient_check(
    loss: Callable[[dict[str, Array]], Any],
    params: dict[str, Array],
    grads: dict[str, Any],
    rng: np.random.Generator,
    *,
    num_checks: int = 10,
    h: float = 1e-5,
) -> GradientReport:
    """Compare the gradients of a network with centred differences, at a few random elements of each tensor.

    Parameters
    ----------
    loss : callable
        Takes `params`, returns one number. It must be the same function at each call: draw the batch and the
        dropout masks before.
    params : dict of str to ndarray
        Parameters. Changed in place while `loss` runs, and restored exactly, also when it raises.
    grads : dict of str to array_like
        The gradient of each parameter, under the same name and of the same shape. Others are ignored.
    rng : Generator
        Chooses the elements.
    num_checks : int
        How many elements of each tensor to look at; all of them where there are not more.
    h : float
        Step of the centred difference.

    Returns
    -------
    report : GradientReport

    Raises
    ------
    KeyError
        If a parameter has no gradient.
    TypeError
        If a parameter is not an array of floating-point numbers.
    ValueError
        If a gradient does not have the shape of its parameter, or there is nothing to check.

    Notes
    -----
    A full check of P parameters costs 2P evaluations of the loss, and most bugs are wrong nearly everywhere:
    ten elements of each tensor find them. What a sample can miss is a bug in a single row.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}
    >>> def loss(params):
    ...     return (params["w"] ** 2).sum() + params["b"]
    >>> grads = {"w": 2 * params["w"], "b": np.array(2.0)}  # b is wrong
    >>> report = gradient_check(loss, params, grads, np.random.default_rng(0))
    >>> report.passed(1e-7)
    False
    >>> print(report.worst)
    b: analytic 2, numerical 1, relative error 5.0e-01
    """
    if num_checks < 1:
        raise ValueError(f"gradient_check: num_checks must be at least 1, not {num_checks}")
    if not any(np.size(x) for x in params.values()):
        raise ValueError("gradient_check: params has no elements, so there is nothing to check")
    for name, x in params.items():
        _require_movable("gradient_check", f"params[{name!r}]", x, h)
        if name not in grads:
            raise KeyError(f"gradient_check: grads has no gradient for {name!r}")
        if np.shape(grads[name]) != x.shape:
            raise ValueError(
                f"gradient_check: the gradient of {name!r} has shape {np.shape(grads[name])} "
                f"but {name!r} has shape {x.shape}"
            )
    elements = []
    for name, x in params.items():
        grad = np.asarray(grads[name])
        for flat in rng.choice(x.size, size=min(num_checks, x.size), replace=False):
            index = tuple(int(i) for i in np.unravel_index(flat, x.shape))
            analytic, numerical = grad[index].item(), _slope(lambda _: loss(params), x, index, h)
            elements.append(
                CheckedElement(name, index, analytic, numerical, relative_error(analytic, numerical))
            )
    return GradientReport(tuple(elements))


def _subscript(index: Index) -> str:
    """How an element is written after the name of its array: `[3, 1]`, or nothing for a scalar."""
    return f"[{', '.join(map(str, index))}]" if index else ""


# ------------------------------------------------------------------------------
# Say what is wrong
# ------------------------------------------------------------------------------


def describe_difference(ours: ArrayLike, expected: ArrayLike) -> str:
    """One sentence on how a gradient differs from the expected one: the most telling thing that is true.

    Parameters
    ----------
    ours, expected : array_like
        Any arrays: of different shapes, empty, complex, overflowing, even not of numbers. Nothing is raised
        and nothing is warned of.

    Returns
    -------
    sentence : str
        In this order: not numbers; another shape; nan or infinite; no difference; all zero; the opposite
        sign; a constant factor; transposed; right in every row or column but some; else how many elements
        differ, and the worst of them with both values.

    Notes
    -----
    "Differs" means by more than rounding, on the scale of the largest element of the tensor: 1e-7 of it, 1e-4
    where either array is float32, 1e-2 for float16.

    Examples
    --------
    >>> expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> describe_difference(expected / 2, expected)
    'It is 1/2 of the expected value everywhere.'
    >>> describe_difference(expected.T, expected)
    'It is the transpose of what is expected.'
    >>> describe_difference([[1.0, 2.0], [0.0, 0.0]], expected)
    'It is right in every row but row 1.'
    """
    a, b = _as_numbers(ours), _as_numbers(expected)
    if a is None:
        return f"It is not an array of numbers but of type {type(ours).__name__}."
    if b is None:
        return f"There is nothing to compare it with: a {type(expected).__name__} is expected."
    tolerance = max(_rounding(a), _rounding(b))
    with np.errstate(all="ignore"):
        a, b = _widened(a), _widened(b)
        if a.shape != b.shape:
            return _describe_shape(a, b, tolerance)
        nonfinite = ~np.isfinite(a) & np.isfinite(b)
        if nonfinite.any():
            if a.size == 1:
                return "It is nan or infinite."
            first = _subscript(_index_of_largest(nonfinite))
            return f"It is nan or infinite in {nonfinite.sum()} of {a.size} elements, first at {first}."
        errors = _errors_on_one_scale(a, b)
        wrong = errors > tolerance
        if not wrong.any():
            return "It agrees with what is expected, up to rounding."
        if np.isinf(errors).any():  # finite where nan is expected, or something as odd
            return _describe_worst(a, b, errors, wrong)
        finite = np.isfinite(b)  # elsewhere both have the same nan or infinity
        a, b = np.where(finite, a, 0), np.where(finite, b, 0)
        return (
            _describe_factor(a, b, tolerance)
            or _describe_transpose(a, b, tolerance)
            or _describe_slices(wrong)
            or _describe_worst(a, b, errors, wrong)
        )


def _describe_shape(a: NDArray, b: NDArray, tolerance: float) -> str:
    shapes = f"its shape is {a.shape} where {b.shape} is expected"
    if a.size == b.size > 0:
        if a.ndim == 2 and a.T.shape == b.shape and _agree(a.T, b, tolerance):
            return f"It is transposed: {shapes}."
        if _agree(a.ravel(), b.ravel(), tolerance):
            return f"The values are right, but {shapes}."
    return shapes.capitalize() + "."


def _describe_factor(a: NDArray, b: NDArray, tolerance: float) -> str | None:
    """All zero, the opposite sign, or the expected value times a constant."""
    if not a.any():
        return "It is zero everywhere."
    if not b.any():
        return None
    size_a, size_b = _largest(a), _largest(b)
    a, b = _over(a, size_a), _over(b, size_b)  # so that nothing below overflows
    factor = np.vdot(b, a) / np.vdot(b, b)  # least squares
    if not np.all(abs(a - factor * b) <= tolerance) or abs(factor.imag) > tolerance:
        return None
    ratio = float(factor.real * (size_a / size_b))
    words = _telling_factor(ratio, tolerance)
    if words is None and np.count_nonzero(b) > 1 and np.isfinite(ratio) and ratio:
        digits = round(-np.log10(tolerance)) + 1
        words = f"is {ratio:.{digits}g} times the expected value"  # one number is a multiple of any other
    if words is None:
        return None
    return f"It {words}." if b.size == 1 else f"It {words} everywhere."


def _telling_factor(ratio: float, tolerance: float) -> str | None:
    """What it says of a gradient to be -1, n or 1/n times the right one."""
    limit = 0.05 / tolerance  # beyond it, every number is a whole number up to rounding
    if not 1 / limit < abs(ratio) < limit:
        return None
    whole, part = round(ratio), round(1 / ratio)
    if abs(ratio + 1) <= tolerance:
        return "has the opposite sign"
    if abs(whole) > 1 and abs(ratio / whole - 1) <= tolerance:
        return f"is {whole} times the expected value"
    if abs(part) > 1 and abs(ratio * part - 1) <= tolerance:
        return f"is {'-' if part < 0 else ''}1/{abs(part)} of the expected value"
    return None


def _describe_transpose(a: NDArray, b: NDArray, tolerance: float) -> str | None:
    square = a.ndim == 2 and a.shape == a.T.shape
    return "It is the transpose of what is expected." if square and _agree(a.T, b, tolerance) else None


def _describe_slices(wrong: NDArray[np.bool_]) -> str | None:
    """Right in every row but some, when most of each of those rows is wrong; the same for the other axes."""
    if wrong.ndim < 2:
        return None
    found = []
    for axis, length in enumerate(wrong.shape):
        share = np.moveaxis(wrong, axis, 0).reshape(length, -1).mean(axis=1)  # (length,), of wrong elements
        if 0 in share and share[share > 0].min() > 0.5:
            found.append(((share > 0).mean(), axis, share))
    if not found:
        return None
    _, axis, share = min(found, key=lambda each: each[0])
    kind, where = (("row", "column")[axis], "") if wrong.ndim == 2 else ("slice", f" along axis {axis}")
    bad, good = np.flatnonzero(share), np.flatnonzero(share == 0)
    verdict, rest = ("right", bad) if len(bad) <= len(good) else ("wrong", good)
    return f"It is {verdict} in every {kind}{where} but {kind}{'s' if len(rest) > 1 else ''} {_list(rest)}."


def _describe_worst(a: NDArray, b: NDArray, errors: Array, wrong: NDArray[np.bool_]) -> str:
    index = _index_of_largest(errors)
    here, there = f"{a[index]:.6g}", f"{b[index]:.6g}"
    if here == there:
        here, there = str(a[index]), str(b[index])
    if a.size == 1:
        return f"It is {here} where {there} is expected."
    worst = f"at {_subscript(index)} it is {here} where {there} is expected"
    if wrong.sum() == 1:
        return f"1 of {a.size} elements differs: {worst}."
    return f"{wrong.sum()} of {a.size} elements differ; {worst}, the worst of them."


def _as_numbers(value: Any) -> NDArray | None:
    try:
        array = np.asarray(value)
    except Exception:  # a ragged list, or an object whose own conversion fails: it is the student's object
        return None
    return array if array.dtype.kind in "biufc" else None


def _rounding(a: NDArray) -> float:
    """The relative difference that rounding alone may make in a tensor of this dtype."""
    return {"e": 1e-2, "f": 1e-4, "F": 1e-4}.get(a.dtype.char, 1e-7)


def _widened(a: NDArray) -> NDArray:
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def _errors_on_one_scale(a: NDArray, b: NDArray) -> Array:
    """|a - b| over the largest element of both; 0 for the same nan or infinity, inf for a different one."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    scale = max(_largest(a[finite]), _largest(b[finite]))
    errors = abs(_over(a, scale) - _over(b, scale))
    return np.where(same, 0.0, np.where(finite, errors, np.inf))


def _agree(a: NDArray, b: NDArray, tolerance: float) -> bool:
    return bool(np.all(_errors_on_one_scale(a, b) <= tolerance))


def _largest(a: NDArray) -> float:
    """The largest real or imaginary part: the modulus of a complex number may overflow."""
    return float(max(np.max(abs(a.real), initial=0), np.max(abs(a.imag), initial=0)))


def _over(a: NDArray, scale: Any) -> NDArray:
    """`a / scale`, part by part: complex division goes through 1 / scale, which may overflow."""
    return a.real / scale + 1j * (a.imag / scale) if np.iscomplexobj(a) else a / scale


def _index_of_largest(a: NDArray) -> Index:
    return tuple(int(i) for i in np.unravel_index(np.argmax(a), a.shape))


def _list(indices: NDArray[np.intp]) -> str:
    """The indices in words: "3", "0 and 4", "0, 1, 2 and 7 more"."""
    words = [str(i) for i in indices]
    if len(words) > 4:
        words[3:] = [f"{len(words) - 3} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# ------------------------------------------------------------------------------
# The same under CS231n's names
# ------------------------------------------------------------------------------


def eval_numerical_gradient(
    f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 1e-5
) -> Array:
    """`numerical_gradient`, which prints each index and its slope unless told not to.

    Examples
    --------
    >>> grad = eval_numerical_gradient(lambda x: 3 * x.sum(), np.zeros(2))
    (0,) 3.0
    (1,) 3.0
    """
    grad = numerical_gradient(f, x, h)
    if verbose:
        for index in np.ndindex(grad.shape):
            print(index, grad[index])
    return grad


def eval_numerical_gradient_array(
    f: Callable[[Array], Array], x: Array, df: ArrayLike, h: float = 1e-5
) -> Array:
    """`numerical_gradient_array` by its other name.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> eval_numerical_gradient_array(lambda ignored: x**2, x, np.ones(2)).round(6)
    array([2., 4.])
    """
    return numerical_gradient_array(f, x, df, h)


def grad_check_sparse(
    f: Callable[[Array], Any],
    x: Array,
    analytic_grad: Array,
    num_checks: int = 10,
    h: float = 1e-5,
    *,
    rng: np.random.Generator | None = None,
) -> None:
    """Print the numerical and the analytic slope at random elements of `x`, drawn with replacement.

    The error is CS231n's: ``|numerical - analytic| / (|numerical| + |analytic|)``, at most 1, and here 0
    where both are zero. `rng` makes the choice repeatable.

    Examples
    --------
    >>> grad_check_sparse(lambda x: (x**2).sum(), np.ones(1), np.full(1, 3.0), num_checks=1)
    numerical: 2.000000 analytic: 3.000000, relative error: 2.000000e-01
    """
    _require_movable("grad_check_sparse", "x", x, h)
    rng = rng or np.random.default_rng()
    for _ in range(num_checks):
        index = tuple(int(rng.integers(length)) for length in x.shape)
        numerical, analytic = _slope(f, x, index, h), analytic_grad[index].item()
        total = abs(numerical) + abs(analytic)
        error = abs(numerical - analytic) / total if total else 0.0
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def rel_error(x: ArrayLike, y: ArrayLike) -> float:
    """CS231n's relative error of the worst element: |x - y| / max(1e-8, |x| + |y|).

    Up to half of what `relative_error` says, and blind to gradients far below 1e-8.

    Examples
    --------
    >>> rel_error([1.0, 2.0], [1.0, 2.0])
    0.0
    >>> rel_error(1e-12, 5e-12) < 1e-3  # five times too large, and not seen
    True
    """
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(abs(x - y) / np.maximum(1e-8, abs(x) + abs(y))))
