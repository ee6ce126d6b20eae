"""Two ways to lose a cache, as cases and as misconceptions: for every backward pass that an exercise asks for.

A network calls one forward function for many layers before the first backward call, and a gradient check calls backward
twice with one cache.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from .exercise import Call, Case, Misconception, Ref


def cache_cases(
    pair: str, draw: Callable[[], tuple], dout_shape: tuple[int, ...], rng: np.random.Generator, out: tuple
) -> Iterator[Case]:
    """Cases in which another forward or backward call comes in between.

    Parameters
    ----------
    pair : str
        Such as ``"relu"``, for ``relu_forward`` and ``relu_backward``.
    draw : callable
        Gives arguments of the forward pass, of the same shapes each time.
    dout_shape : tuple of int
        Of its output.
    rng : numpy.random.Generator
        For the upstream gradients.
    out : tuple of str
        What the backward pass returns.
    """
    first = tuple(f"{name}_first" for name in out)

    def forward(*names: str) -> Call:
        return Call(f"{pair}_forward", draw(), names)

    def backward(names: tuple) -> Call:
        return Call(f"{pair}_backward", (rng.normal(size=dout_shape), Ref("cache")), names)

    yield Case(
        "forward is called for another x before backward",
        [forward("out", "cache"), forward("out_between", "cache_between"), backward(out)],
        ignore=("cache", "out_between", "cache_between"),
    )
    yield Case(
        "backward is called a second time with the same cache",
        [forward("out", "cache"), backward(first), backward(out)],
        ignore=("cache", *first),
    )


def cache_mistakes(pair: str, forward: Callable, backward: Callable) -> list[Misconception]:
    """What those cases are for."""
    kept: dict[str, Any] = {}

    def remembers(*args: Any) -> tuple:
        out, kept["cache"] = forward(*args)
        return out, None

    def wraps(*args: Any) -> tuple:
        out, cache = forward(*args)
        return out, SimpleNamespace(
            stack=[cache]
        )  # of a kind that does not travel: a copy would be full again

    return [
        Misconception(
            "latest_call",
            "Your backward pass goes back through the latest forward call, whichever cache it is given. Which call was "
            "the latest when a network of ten layers begins to go back?",
            {
                f"{pair}_forward": remembers,
                f"{pair}_backward": lambda dout, cache: backward(dout, kept["cache"]),
            },
        ),
        Misconception(
            "cache_used_up",
            "The first call takes something out of the cache, and the second one finds it missing. Read it, and leave "
            "it as it was.",
            {
                f"{pair}_forward": wraps,
                f"{pair}_backward": lambda dout, cache: backward(dout, cache.stack.pop()),
            },
        ),
    ]
