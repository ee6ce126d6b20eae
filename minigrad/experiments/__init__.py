"""Runs that fail, and what may be changed in them.

An experiment is a module with three names, in a file of its own:

- `SETTINGS`: what may be changed, by name, each a `Number` or an `Option`. Their defaults are the run that fails.
- `REQUIRES`: names of the functions of `minigrad.layers` (or `minigrad.initializers`) that it runs.
- `CHANGES`, if it is there: how many settings a remedy may change.
- `run(settings, functions, rng) -> record`: trains once. `settings` has a value for each setting, `functions` a
  function for each required name. The record maps names to numbers and arrays.

A remedy is a dict with some of the settings: data, so that whoever judges it can train with it. `measure` does.

An experiment holds no layer of its own: a student who opens the file finds the run and no answer. What a notebook
shows before anything is written comes from `recorded`: the same run, made once with the library's functions and
kept beside it. `python -m minigrad.experiments` makes them anew.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
import numbers
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minigrad._stored import DATA, stored

__all__ = ["Experiment", "Number", "Option", "complete", "find", "functions_of", "measure", "recorded"]

Functions = Mapping[str, Callable[..., Any]]
Record = dict[str, Any]

RECORDINGS = DATA / "recordings"

# Where the functions of an experiment are looked for.
_LIBRARY = (
    "minigrad.layers",
    "minigrad.initializers",
    "minigrad.losses",
    "minigrad.activity",
    "minigrad.loss_scaling",
    "minigrad.clipping",
    "minigrad.monitor",
)


@dataclass(frozen=True)
class Number:
    """A setting that is a number.

    Parameters
    ----------
    default : float
        Its value in the run that fails.
    low, high : float
        What a remedy may ask for.
    what : str
        What it does, in a few words.
    """

    default: float
    low: float
    high: float
    what: str


@dataclass(frozen=True)
class Option:
    """A setting that is one of several words.

    Parameters
    ----------
    default : str
        Its value in the run that fails.
    options : tuple of str
        What a remedy may ask for.
    what : str
        What it does, in a few words.
    """

    default: str
    options: tuple[str, ...]
    what: str


class Experiment(Protocol):
    """The names that an experiment has."""

    SETTINGS: Mapping[str, Number | Option]
    REQUIRES: tuple[str, ...]

    def run(self, settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator) -> Record:
        """Train once."""


def find(name: str) -> Experiment:
    """Return the experiment of that name.

    Parameters
    ----------
    name : str
        Of a module in this package.

    Returns
    -------
    Experiment

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in _names():
        raise ValueError(f"there is no experiment {name!r}; there are: {', '.join(_names())}")
    module: Any = importlib.import_module(f"{__name__}.{name}")
    return module  # type: ignore[no-any-return]


def complete(experiment: Experiment, remedy: Any) -> dict[str, Any]:
    """Add the settings that a remedy leaves as they are, and refuse what is none.

    Parameters
    ----------
    experiment : Experiment
    remedy : dict
        Some settings and their values.

    Returns
    -------
    dict
        A value for each setting.

    Raises
    ------
    ValueError
        If `remedy` is no dict, names or asks for something that the experiment does not have, or changes more than it
        takes; the text says what there is.
    """
    if not isinstance(remedy, Mapping):
        raise ValueError(f"should be a dict of settings and their values; yours is {_shown(remedy)}")
    settings = {name: setting.default for name, setting in experiment.SETTINGS.items()}
    for name, value in remedy.items():
        match experiment.SETTINGS.get(name) if isinstance(name, str) else None:
            case None:
                there = ", ".join(repr(each) for each in settings)
                raise ValueError(f"has no setting {_shown(name)}; this run has {there}")
            case Number(low=low, high=high):
                if isinstance(value, np.ndarray | np.generic) and value.size == 1:
                    value = value.item()
                number = isinstance(value, numbers.Real) and not isinstance(value, bool)
                if not number or not low <= value <= high:
                    raise ValueError(
                        f"sets {name!r} to {_shown(value)}; it takes a number from {low:g} to {high:g}"
                    )
                settings[name] = float(value)
            case Option(options=options):
                if not isinstance(value, str) or value not in options:
                    there = ", ".join(map(repr, options))
                    raise ValueError(f"sets {name!r} to {_shown(value)}; it takes one of {there}")
                settings[name] = value
    most = getattr(experiment, "CHANGES", len(settings))
    if len(remedy) > most:
        raise ValueError(f"sets {len(remedy)} things; this run takes {most}, or nobody knows what helped")
    return settings


def functions_of(experiment: Experiment, own: Functions | None = None) -> dict[str, Callable[..., Any]]:
    """Return the functions that an experiment runs: the library's, or where these are not there, `own`.

    Parameters
    ----------
    experiment : Experiment
    own : mapping, optional
        Functions of a student, by name. In the copy of the library that students are handed, what they are to
        write is missing.

    Returns
    -------
    dict

    Raises
    ------
    LookupError
        If a function is in neither; the text is its name.
    """
    found = {}
    for name in experiment.REQUIRES:
        function = _in_library(name)
        if function is None:
            function = (own or {}).get(name)
        if function is None:
            raise LookupError(name)
        found[name] = function
    return found


def measure(
    name: str, remedy: Mapping[str, Any], seeds: Iterable[int], own: Functions | None = None
) -> dict[str, float]:
    """Train with a remedy from several seeds and average what was measured.

    Parameters
    ----------
    name : str
        Of the experiment.
    remedy : dict
        Some of its settings.
    seeds : iterable of int
        One run for each.
    own : mapping, optional
        As in `functions_of`.

    Returns
    -------
    dict
        For each number in the records, its mean over the runs.

    Raises
    ------
    ValueError
        If the remedy is none.
    LookupError
        If a function is missing.
    """
    experiment = find(name)
    settings = complete(experiment, remedy)
    functions = functions_of(experiment, own)
    if all(_in_library(each) is function for each, function in functions.items()):
        return dict(_measured(name, json.dumps(settings, sort_keys=True), tuple(seeds)))
    return _mean([experiment.run(settings, functions, np.random.default_rng(seed)) for seed in seeds])


def recorded(name: str) -> Record:
    """Return the run that fails, as it was recorded with the library's own functions.

    Parameters
    ----------
    name : str
        Of the experiment.

    Returns
    -------
    dict
        Its record for the settings as they are, and seed 0.
    """
    return {key: value if value.ndim else value.item() for key, value in stored(f"recordings/{name}").items()}


def record(name: str) -> Record:
    """Run an experiment as it is, for `recorded`.

    Parameters
    ----------
    name : str
        Of the experiment.

    Returns
    -------
    dict
    """
    experiment = find(name)
    return experiment.run(complete(experiment, {}), functions_of(experiment), np.random.default_rng(0))


@functools.lru_cache(maxsize=256)  # many students of a class hand in the same remedy
def _measured(name: str, settings: str, seeds: tuple[int, ...]) -> Mapping[str, float]:
    experiment = find(name)
    functions = functions_of(experiment)
    return _mean(
        [experiment.run(json.loads(settings), functions, np.random.default_rng(seed)) for seed in seeds]
    )


def _mean(records: list[Record]) -> dict[str, float]:
    return {
        key: math.fsum(float(each[key]) for each in records) / len(records)
        for key, value in records[0].items()
        if np.ndim(value) == 0
    }


def _shown(value: Any) -> str:
    if isinstance(value, str | numbers.Real):
        return repr(value)[:40]
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"a {type(value).__name__}" if isinstance(value, list | tuple | Mapping) else "something else"


@functools.cache
def _names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]


@functools.cache
def _in_library(name: str) -> Callable[..., Any] | None:
    """The library's function, or None where it is a stub, or not there."""
    for module in _LIBRARY:
        function = getattr(importlib.import_module(module), name, None)
        if function is not None:
            return None if "NotImplementedError" in function.__code__.co_names else function  # type: ignore[no-any-return]
    return None
