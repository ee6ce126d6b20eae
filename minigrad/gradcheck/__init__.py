"""Gradient checking: measure the slope, and compare it with the gradient that somebody derived.

- `numerical_gradient`, `numerical_gradient_array` and, for many parameters, `measure_gradients` measure;
  `relative_error` compares.
- `gradient_check` says of every gradient of a network whether it is right, wrong, or cannot be told, and what sort of
  mistake a wrong one looks like. `check_network` does it for a `Sequential`, and names the layer.
- `describe_difference` says in words what is wrong with a gradient.

CS231n's names (`eval_numerical_gradient`, `grad_check_sparse`, `rel_error`) are here too.
"""

from minigrad.gradcheck._kinds import KINDS
from minigrad.gradcheck.checker import gradient_check
from minigrad.gradcheck.cs231n import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    grad_check_sparse,
    rel_error,
)
from minigrad.gradcheck.describe import describe_difference
from minigrad.gradcheck.layerwise import NetworkReport, check_network
from minigrad.gradcheck.measured import measure_gradients
from minigrad.gradcheck.numerical import numerical_gradient, numerical_gradient_array, relative_error
from minigrad.gradcheck.report import CheckedElement, CheckedTensor, GradientReport

__all__ = [
    "KINDS",
    "CheckedElement",
    "CheckedTensor",
    "GradientReport",
    "NetworkReport",
    "check_network",
    "describe_difference",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "grad_check_sparse",
    "gradient_check",
    "measure_gradients",
    "numerical_gradient",
    "numerical_gradient_array",
    "rel_error",
    "relative_error",
]
