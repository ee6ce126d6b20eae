"""Say in words what is wrong with a gradient, given the right one."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minigrad.gradcheck._kinds import of_channels, of_cuts
from minigrad.gradcheck.numerical import Array, Index, _over, _subscript


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
        sign; a constant factor; transposed; right in every row or column but some; cut by a wrong mask; a
        factor for each row or column; else how many elements differ, and the worst of them with both values.

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
            or _describe_kind(a, b, tolerance)
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


def _describe_kind(a: NDArray, b: NDArray, tolerance: float) -> str | None:
    """A mask that is wrong, or a factor for each channel."""
    if np.iscomplexobj(a) or np.iscomplexobj(b) or not np.isfinite(a).all():
        return None
    size = max(_largest(a), _largest(b))
    a, b = _over(a, size), _over(b, size)
    found = of_cuts(a, b, tolerance) or of_channels(a, b, tolerance)
    return found[1] if found else None


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


def _index_of_largest(a: NDArray) -> Index:
    return tuple(int(i) for i in np.unravel_index(np.argmax(a), a.shape))


def _list(indices: NDArray[np.intp]) -> str:
    """The indices in words: "3", "0 and 4", "0, 1, 2 and 7 more"."""
    words = [str(i) for i in indices]
    if len(words) > 4:
        words[3:] = [f"{len(words) - 3} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
