"""What an author writes: exercises, their cases, and what is expected.

An `Exercise` has reference functions, cases, points, and *misconceptions*, plausible wrong answers with a hint for
the student who gave them.

A case is a short straight-line program: calls of the student's functions whose outputs get names. The same program
is played with the reference functions to learn what is expected, with each misconception in place of one of them to
learn what that mistake looks like, and with the student's functions to check them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RTOL = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4}


@dataclass(frozen=True)
class Ref:
    """An output of an earlier call of the same case, by name."""

    name: str


@dataclass(frozen=True)
class Probe:
    """A function given to the student's function, named so that it can be written down as data.

    `over` is the position of the argument that the function closes over, for those that ignore what they
    are called with (see `probes`).
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    over: int | None = None


@dataclass(frozen=True)
class Call:
    """Call a function of the notebook: ``out = function(*args)``.

    A single name in `out` is the value itself; several names unpack a tuple of that length. Outputs that no
    check reads (a cache) stay with the student. `inout` is as in `Session.call`. `writes` names dicts that the
    function may write to, by position: as it left them they are outputs too, of which the arrays are checked.
    """

    function: str
    args: tuple
    out: tuple[str, ...]
    inout: tuple[int, ...] = ()
    writes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetch:
    """Read a variable of the notebook."""

    name: str


@dataclass(frozen=True)
class Close:
    """Expect `value`: shapes equal, and the largest difference small beside the largest entry.

    `noise` is an absolute bound on honest round-off, for results such as finite differences.
    """

    value: Any
    rtol: float = RTOL[np.dtype(np.float64)]
    noise: float = 0.0


@dataclass(frozen=True)
class Between:
    """Expect a number from `low` to `high`; otherwise say `text`, in which ``{value}`` is what was seen."""

    low: float
    high: float
    text: str = ""


@dataclass(frozen=True)
class Exactly:
    """Expect this very text, or None: the name of something."""

    value: str | None


@dataclass(frozen=True)
class Choice:
    """Expect one answer of several. Answers are stored as salted digests, so that a sheet does not read as a key.

    `notes` holds, for each digest, what to say to the student who chose that answer.
    """

    salt: str
    right: str
    notes: Mapping[str, str]

    @classmethod
    def of(cls, question: str, key: str, right: str, wrong: Mapping[str, str]) -> "Choice":
        """Build from plain answers: the key with its confirmation, each wrong answer with its explanation."""
        salt = hashlib.sha256(question.encode()).hexdigest()[:12]
        notes = {cls.digest(salt, answer): note for answer, note in {**wrong, key: right}.items()}
        return cls(
            salt, cls.digest(salt, key), dict(sorted(notes.items()))
        )  # sorted: the key must not stand last

    @staticmethod
    def digest(salt: str, answer: str) -> str:
        """Digest of an answer, whatever its case and spacing."""
        text = f"{salt}:{' '.join(answer.lower().split())}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


Expectation = Close | Between | Exactly | Choice


@dataclass(frozen=True)
class Train:
    """Run an experiment with the settings that a variable holds, on this side of the boundary.

    `experiment` names a module of `minigrad.experiments`, `settings` an output of an earlier step. Each name in
    `out` is a number of its record, averaged over `seeds`. A remedy is data: nothing of the student's runs here.
    The seeds are the same for everybody and hide nothing, so that what passes at home passes in grading.
    """

    experiment: str
    settings: Ref
    out: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Measure:
    """Numbers about outputs of earlier calls, worked out on this side: for what may be right in many ways.

    `what` names one of `measures`; its numbers get the names in `out`.
    """

    what: str
    args: tuple[Ref, ...]
    out: tuple[str, ...]


Step = Call | Fetch | Train | Measure


@dataclass(frozen=True)
class Case:
    """One situation in which functions are checked.

    Parameters
    ----------
    label : str
        The situation in a few words, for the reader of a verdict: ``"x of shape (3, 2, 5)"``.
    steps : sequence of Call, Fetch, Train and Measure
        What to do, and what to measure of it.
    expect : mapping, optional
        Expectation for an output where it is not simply the reference's value (of a dict, the values of its
        arrays). A dot reads a key of a dict
        (``"errors.W1"``); ``"calls"`` is the number of times that a probe was called, ``"drew"``
        whether a generator was drawn from (1.0) or not (0.0).
    noise : mapping, optional
        Bound on honest round-off for an output.
    ignore : tuple of str
        Outputs that this case does not check.
    float32 : bool
        Give every float64 array as float32; the expected values are those of float64.
    """

    label: str
    steps: Sequence[Step]
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    ignore: tuple[str, ...] = ("cache",)
    float32: bool = False


@dataclass(frozen=True)
class Misconception:
    """A plausible wrong answer, and what to say to the student who gave it (never the answer)."""

    id: str
    hint: str
    functions: Mapping[str, Any]  # and values of variables


@dataclass(frozen=True)
class Exercise:
    """What is graded under one name.

    Parameters
    ----------
    name : str
        As in ``check(name)``.
    title : str
        For people.
    points : float
        Shared among the checks by their weights.
    grades : tuple of str
        The functions or variables that the student writes for this exercise.
    reference : mapping
        A right function for each name that the cases call; a remedy that heals, for a variable that is trained with.
    visible, hidden : callable
        Take a Generator and return cases. Hidden ones are drawn from a secret seed.
    misconceptions : sequence of Misconception
        The bank.
    labels : mapping
        Output name to what a passed check says: ``{"dx": "dx is the gradient of x"}``. One check each.
    pure : bool
        Whether leaving the arguments as they were is a check of its own.
    stretch : bool
        Beyond the core path.
    together : bool
        No points for a part: a remedy that keeps units alive and learns nothing has healed nothing.
    """

    name: str
    title: str
    points: float
    grades: tuple[str, ...]
    reference: Mapping[str, Any]
    visible: Callable[[np.random.Generator], Iterable[Case]]
    hidden: Callable[[np.random.Generator], Iterable[Case]] | None = None
    misconceptions: Sequence[Misconception] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    pure: bool = True
    stretch: bool = False
    together: bool = False
