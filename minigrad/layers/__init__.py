"""Layers as pairs of pure functions.

The contract, stated once for all of them::

    out, cache = name_forward(x, ..., param)
    dx, ... = name_backward(dout, cache)

* `backward` returns one gradient for each differentiable argument of `forward`, in that order and of that
  shape; the array itself when there is only one.
* Nothing is written to: no argument, no upstream gradient, no cache. `backward` may be called twice.
* float32 in, float32 out; integers are taken as float64. Where the maths is analytic, complex numbers pass
  through, so that the complex step works.
* A cache may share memory with forward's arguments: do not change those before `backward` has run.
* An impossible shape raises `ValueError`, which names the function, the argument and both shapes.
"""

from minigrad.layers.activations import relu_backward, relu_forward
from minigrad.layers.affine import affine_backward, affine_forward

__all__ = [
    "affine_backward",
    "affine_forward",
    "relu_backward",
    "relu_forward",
]
