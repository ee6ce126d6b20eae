"""Losses: how wrong an output is, as one number, and the gradient that starts the way back.

``loss, dx = name_loss(x, ...)``: `dx` has the shape of `x` and is the gradient of `loss`, which is a mean. So the 1/N
of the mean is in `dx`, and in no other place of a network. Nothing is written to; float32 stays float32.

`clipped_delta_loss` is wrong, on purpose.
"""

from minigrad.losses.classes import bce_with_logits_loss, softmax_loss, svm_loss, temporal_softmax_loss
from minigrad.losses.errors import clipped_delta_loss, huber_loss, mse_loss
from minigrad.losses.temporal_difference import td_loss

__all__ = [
    "bce_with_logits_loss",
    "clipped_delta_loss",
    "huber_loss",
    "mse_loss",
    "softmax_loss",
    "svm_loss",
    "td_loss",
    "temporal_softmax_loss",
]
