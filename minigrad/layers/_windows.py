"""Windows that slide over an image: how many there are, and the numbers that say how they slide."""

import operator
from collections.abc import Mapping
from typing import Any


def window_count(size: int, window: int, stride: int) -> int:
    """How many windows fit side by side; what is left over at the far end belongs to none."""
    return (size - window) // stride + 1


def whole_number(function: str, params: str, given: Mapping[str, Any], key: str, least: int) -> int:
    """``given[key]``, where that is a whole number and not less than `least`; else ValueError in words."""
    if key not in given:
        raise ValueError(f"{function}: {params} has no {key!r}, only {sorted(given, key=str)}")
    try:
        number = operator.index(given[key])  # refuses 2.0, which range() and slices would refuse later on
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"{function}: {params}[{key!r}] must be a whole number from {least} on, not {given[key]!r}"
        )
    return number
