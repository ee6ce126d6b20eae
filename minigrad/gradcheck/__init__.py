"""Gradient checking: measure the slope, and compare it with the gradient that somebody derived.

- `numerical_gradient` and `numerical_gradient_array` measure; `relative_error` compares.
- `gradient_check` does both for all the parameters of a network.
- `describe_difference` says in words what is wrong with a gradient.

CS231n's names (`eval_numerical_gradient`, `grad_check_sparse`, `rel_error`) are here too.
"""

from minigrad.gradcheck.checker import CheckedElement, GradientReport, gradient_check
from minigrad.gradcheck.cs231n import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    grad_check_sparse,
    rel_error,
)
from minigrad.gradcheck.describe import describe_difference
from minigrad.gradcheck.numerical import numerical_gradient, numerical_gradient_array, relative_error

__all__ = [
    "CheckedElement",
    "GradientReport",
    "describe_difference",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "grad_check_sparse",
    "gradient_check",
    "numerical_gradient",
    "numerical_gradient_array",
    "rel_error",
    "relative_error",
]
