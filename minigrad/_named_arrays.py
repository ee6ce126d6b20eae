"""Arrays by name, as networks keep them: whether they fit, and how they go to a file and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.inexact]
Arrays = dict[str, Array]

NUMBERS = "biufc"  # kinds of dtypes that are plain numbers


def refuse_names(where: str, names: Mapping[str, Any]) -> None:
    """Refuse names that could not be told apart once parts are nested."""
    for name in names:
        if not name or "." in name:
            raise ValueError(f"{where}: {name!r} cannot be a name; a dot joins the names of nested parts")


def fitting(where: str, arrays: Mapping[str, ArrayLike], expected: Arrays, partly: bool = False) -> Arrays:
    """The arrays, if their names and shapes are the expected ones; `partly` if names may be missing or new."""
    found = {name: np.asarray(array) for name, array in arrays.items()}
    missing, unknown = (sorted(a.keys() - b.keys()) for a, b in ((expected, found), (found, expected)))
    if (missing or unknown) and not partly:
        complaints = [f"missing {', '.join(missing)}"] * bool(missing)
        complaints += [f"not of this network {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{where}: the names do not fit: {'; '.join(complaints)}")
    for name in found.keys() & expected.keys():
        if found[name].shape != expected[name].shape:
            raise ValueError(
                f"{where}: {name} has shape {found[name].shape} but here it has shape {expected[name].shape}"
            )
    return found


def write(where: str, path: str | os.PathLike[str], arrays: Arrays) -> None:
    """Write arrays to a file in numpy's npz format. ValueError for what could be read only by running code."""
    for name, array in arrays.items():
        if array.dtype.kind not in NUMBERS:
            raise ValueError(f"{where}: {name} is not an array of numbers, but of {array.dtype}")
    with open(path, "wb") as file:  # a name alone would have .npz added to it
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read(where: str, path: str | os.PathLike[str]) -> Arrays:
    """The arrays in an npz file, by name."""
    from zipfile import BadZipFile
    from zlib import error as BadlyCompressed

    complaint = f"{where}: {os.fspath(path)} is not a file of named arrays of numbers"
    with open(path, "rb") as stream:
        try:
            file = np.load(stream, allow_pickle=False)
            arrays: dict[str, Any] = dict(file) if isinstance(file, Mapping) else {"": None}
        except (ValueError, OSError, EOFError, BadZipFile, BadlyCompressed) as error:
            raise ValueError(complaint) from error
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in NUMBERS for array in arrays.values()):
        raise ValueError(complaint)
    return arrays
