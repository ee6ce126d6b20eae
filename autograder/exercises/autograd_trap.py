"""Assignment 00: the autograd trap. Numbers worked out by hand, diagnoses and a quiz; no functions to write."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..answers import choices
from ..exercise import Between, Case, Exercise, Fetch, Misconception

ASSIGNMENT = "00_autograd_trap"

Numbers = dict[str, float]


def _asked_for(variable: str, right: Numbers, slack: float) -> Case:
    """A dict of numbers. Worked out by hand or measured with a nudge of 0.001: both are within the slack."""
    text = "yours is {value}, and nudging that input by 0.001 measures another number"
    return Case(
        "",
        [Fetch(variable)],
        {f"{variable}.{key}": Between(value - slack, value + slack, text) for key, value in right.items()},
    )


def _bank(variable: str, right: Numbers, mistakes: Mapping[str, tuple[str, Numbers]]) -> list[Misconception]:
    """Each mistake with the entries that it changes."""
    return [
        Misconception(name, hint, {variable: {**right, **wrong}}) for name, (hint, wrong) in mistakes.items()
    ]


# -- one gate at a time


GATES = {
    "add_a": 5.0,
    "add_b": 5.0,
    "multiply_a": -10.0,
    "multiply_b": 15.0,
    "max_a": 5.0,
    "max_b": 0.0,
    "copy_a": 3.0,
    "squash_a": 0.0493,
}

gates = Exercise(
    name="gates",
    title="One gate at a time",
    points=2,
    grades=("gates",),
    reference={"gates": GATES},
    visible=lambda rng: iter([_asked_for("gates", GATES, 0.004)]),
    labels={f"gates.{key}": f"{key.replace('_', ' gate: what reaches ')}" for key in GATES},
    misconceptions=_bank(
        "gates",
        GATES,
        {
            "add_like_multiply": (
                "You multiply by the other input, as a multiply gate would. Nudge one input of a sum "
                "by 0.001: by how "
                "much does the sum move, and does it matter what the other input is?",
                {"add_a": -10.0, "add_b": 15.0},
            ),
            "add_shares": (
                "You split the gradient between the two inputs. Nudge one of them alone: does the "
                "sum move by half "
                "of it, or by all of it?",
                {"add_a": 2.5, "add_b": 2.5},
            ),
            "multiply_own_input": (
                "You multiply by the input itself. Nudge a by 0.001: the product changes by 0.001 "
                "times what?",
                {"multiply_a": 15.0, "multiply_b": -10.0},
            ),
            "multiply_like_add": (
                "You hand on what arrived, as an add gate would. Nudge a by 0.001 and look by how "
                "much the product moves.",
                {"multiply_a": 5.0, "multiply_b": 5.0},
            ),
            "max_to_both": (
                "You hand the gradient to both inputs of the max. Nudge the smaller one by 0.001: "
                "does the output move?",
                {"max_b": 5.0},
            ),
            "max_to_the_smaller": (
                "You hand the gradient to the other input. Which of the two, nudged by 0.001, moves "
                "the maximum?",
                {"max_a": 0.0, "max_b": 5.0},
            ),
            "max_shares": (
                "You split the gradient between both inputs of the max. Nudge each in turn: which "
                "one moves the output, "
                "and by how much?",
                {"max_a": 2.5, "max_b": 2.5},
            ),
            "copy_keeps_the_first": (
                "You count one of the two copies. Nudge a: do both copies move?",
                {"copy_a": 5.0},
            ),
            "copy_keeps_the_last": (
                "You count one of the two copies. Nudge a: do both copies move?",
                {"copy_a": -2.0},
            ),
            "copy_multiplies": (
                "You multiply the two gradients that come back. One nudge moves both copies, and the "
                "result moves for "
                "two reasons: what do you do with two contributions to one change?",
                {"copy_a": -10.0},
            ),
            "copy_averages": (
                "You average the two gradients that come back. One nudge moves both copies by the "
                "whole nudge, not by half.",
                {"copy_a": 1.5},
            ),
            "squash_uses_the_output": (
                "You multiply by the output of tanh, which is near 1. What counts is how much the "
                "output moves when "
                "the input does.",
                {"squash_a": 4.975},
            ),
            "squash_like_add": (
                "You hand on what arrived. At an input of 3, does tanh move by as much as its input does?",
                {"squash_a": 5.0},
            ),
            "upstream_forgotten": (
                "You give the local gradient. From above a 5 arrives: what does the gate do with it?",
                {
                    "add_a": 1.0,
                    "add_b": 1.0,
                    "multiply_a": -2.0,
                    "multiply_b": 3.0,
                    "max_a": 1.0,
                    "copy_a": 2.0,
                    "squash_a": 0.00986,
                },
            ),
            "upstream_added": (
                "You add the local gradient to what arrived. A gate passes its nudge on enlarged or "
                "shrunk by a factor: "
                "which operation is that?",
                {
                    "add_a": 6.0,
                    "add_b": 6.0,
                    "multiply_a": 3.0,
                    "multiply_b": 8.0,
                    "max_a": 6.0,
                    "squash_a": 5.00986,
                },
            ),
        },
    ),
    pure=False,
)


# -- a circuit with a fork: s = x + z, p = x * y, m = max(p, w), f = s * m at x = 5, y = 3, z = -1, w = 4


CIRCUIT = {"s": 15.0, "m": 4.0, "w": 0.0, "y": 20.0, "z": 15.0, "x": 27.0}

circuit = Exercise(
    name="circuit",
    title="A circuit by hand",
    points=3,
    grades=("circuit",),
    reference={"circuit": CIRCUIT},
    visible=lambda rng: iter([_asked_for("circuit", CIRCUIT, 0.05)]),
    labels={f"circuit.{key}": f"how much f moves when {key} does" for key in CIRCUIT},
    misconceptions=_bank(
        "circuit",
        CIRCUIT,
        {
            "multiply_own_input": (
                "You multiply by the gate's own input. Nudge s by 0.001 and hold m still: f = s * m "
                "changes by 0.001 times what?",
                {"s": 4.0, "m": 15.0, "x": 79.0, "y": 45.0, "z": 4.0},
            ),
            "add_like_multiply": (
                "You send the gradient through s = x + z as if it were a product. By how much does s "
                "move when z does?",
                {"z": 75.0, "x": -3.0},
            ),
            "max_to_both": (
                "You let the max pass its gradient to both inputs. Nudge w by 0.001: which of the "
                "two inputs is m "
                "equal to, before and after?",
                {"w": 4.0},
            ),
            "max_to_the_smaller": (
                "You let the max pass its gradient to the smaller input. Which of p and w, nudged by "
                "0.001, moves m?",
                {"w": 4.0, "y": 0.0, "x": 15.0},
            ),
            "max_shares": (
                "You let the max split its gradient. Nudge p, then w: does each of them move m by "
                "half a nudge?",
                {"w": 2.0, "y": 10.0, "x": 21.0},
            ),
            "fork_keeps_the_sum": (
                "You follow x along one of its two paths, through s. Where else does x go?",
                {"x": 15.0},
            ),
            "fork_keeps_the_product": (
                "You follow x along one of its two paths, through p. Where else does x go?",
                {"x": 12.0},
            ),
            "fork_multiplies": (
                "You multiply what comes back along the two paths of x. A nudge of x moves f for two "
                "reasons: what do "
                "you do with two contributions to one change?",
                {"x": 180.0},
            ),
            "fork_averages": (
                "You average what comes back along the two paths of x. A nudge moves both copies of "
                "x, each by the whole nudge.",
                {"x": 13.5},
            ),
            "upstream_forgotten": (
                "You give the local gradient of the gate that the input enters. On its way to f the "
                "nudge passes more "
                "gates: what does each of them do to it?",
                {"y": 5.0, "z": 1.0, "x": 4.0},
            ),
            "relay_adds": (
                "You add up the local gradients along the way. Each gate enlarges or shrinks the "
                "nudge by a factor: "
                "which operation is that?",
                {"y": 10.0, "z": 16.0, "x": 24.0},
            ),
        },
    ),
    pure=False,
)


# -- the relay, counted


RELAY = {"gates_to_vanish": 10.0, "gates_to_explode": 35.0, "factor_to_halve": 0.9862}
_SLACK = {"gates_to_vanish": 0.1, "gates_to_explode": 0.1, "factor_to_halve": 0.0008}

relay = Exercise(
    name="relay",
    title="The relay, counted",
    points=1.5,
    grades=tuple(RELAY),
    reference=RELAY,
    visible=lambda rng: iter(
        Case(
            "",
            [Fetch(name)],
            {
                name: Between(
                    value - _SLACK[name],
                    value + _SLACK[name],
                    "yours is {value}; multiply it out, and see whether it does what is asked for",
                )
            },
        )
        for name, value in RELAY.items()
    ),
    labels={
        "gates_to_vanish": "gates of 0.25 until less than a millionth arrives",
        "gates_to_explode": "gates of 1.5 until more than a million times as much arrives",
        "factor_to_halve": "the factor of each of 50 gates that let half of it through",
    },
    misconceptions=[
        Misconception(name, hint, {**RELAY, **wrong})
        for name, hint, wrong in (
            (
                "one_too_few",
                "With one gate fewer than are needed the product has not crossed the mark. Multiply "
                "yours out: "
                "0.25 ** n, and 1.5 ** n.",
                {"gates_to_vanish": 9, "gates_to_explode": 34},
            ),
            (
                "one_too_many",
                "The mark was crossed one gate earlier. Do you count the gradient that enters as a gate?",
                {"gates_to_vanish": 11, "gates_to_explode": 36},
            ),
            (
                "a_thousand",
                "Your count is the one for a thousand. How many zeros has a million?",
                {"gates_to_vanish": 5, "gates_to_explode": 18},
            ),
            (
                "another_base",
                "Your count looks like the logarithm of a million alone. What is the factor of one "
                "gate here?",
                {"gates_to_vanish": 14, "gates_to_explode": 14},
            ),
            (
                "factors_added",
                "You add where the relay multiplies: 50 gates take away a share of what is left, not "
                "of what was there "
                "at the start.",
                {"gates_to_vanish": 4, "gates_to_explode": 666_667, "factor_to_halve": 0.99},
            ),
            (
                "half_at_each_gate",
                "That is what the whole chain lets through. Each of its 50 gates lets through more "
                "than that: raise yours "
                "to the power of 50.",
                {"factor_to_halve": 0.5},
            ),
            (
                "divided_by_the_gates",
                "You divide by the number of gates. Raise your factor to the power of 50: is it one half?",
                {"factor_to_halve": 0.01},
            ),
        )
    ],
    pure=False,
)


# -- diagnoses and quiz


_KEYS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

diagnosis = choices(
    ASSIGNMENT,
    "diagnosis",
    _KEYS["diagnosis"],
    1.5,
    variable="diagnosis",
    title="Three runs, diagnosed",
    label="run",
)
signatures = choices(
    ASSIGNMENT,
    "signatures",
    _KEYS["signatures"],
    2,
    variable="signatures",
    title="Four more runs, diagnosed",
    label="run",
)
quiz = choices(ASSIGNMENT, "quiz_00", _KEYS["quiz"], 4)

EXERCISES = [gates, circuit, relay, diagnosis, signatures, quiz]
