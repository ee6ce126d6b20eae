"""A small world to learn values in, whose one reward is large and rare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:  # importing numpy.random takes as long as all the rest
    from numpy.random import Generator as Rng

__all__ = ["GridWorld", "Transitions"]

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Transitions:
    """What was seen in a world: M moves, one after another.

    Parameters
    ----------
    states, actions : ndarray of int, shape (M,)
        Where, and which way.
    rewards : ndarray, shape (M,)
        What it paid.
    next_states : ndarray of int, shape (M,)
        Where that led.
    done : ndarray of bool, shape (M,)
        Whether the episode ended there: then nothing of `next_states` counts.
    """

    states: Ints
    actions: Ints
    rewards: Floats
    next_states: Ints
    done: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """In the order of the fields, to be unpacked."""
        return iter((self.states, self.actions, self.rewards, self.next_states, self.done))

    def batch(self, size: int, rng: Rng) -> Transitions:
        """Some of them, drawn with replacement."""
        rows = rng.integers(0, len(self), size)
        return Transitions(*(column[rows] for column in self))


@dataclass(frozen=True)
class GridWorld:
    """A square of cells with a treasure in the far corner: a reward that is large, and rare.

    Parameters
    ----------
    side : int
        Cells along each side. State ``row * side + column``; the start is 0, the treasure at the last.
    reward : float
        What the treasure pays; then the episode ends.
    cost : float
        What every move costs.
    slip : float
        Probability that a move goes in a random direction instead.
    coin : float
        What every move pays that ends in the top right corner: little, and as often as one likes.

    Notes
    -----
    Actions 0, 1, 2, 3 are up, right, down, left; a move into the wall stays where it is. Someone who wanders about
    at random finds the treasure of the default world about once in 100 moves, so that nearly all temporal-difference
    errors are small, and the one that matters is large. A loss whose gradient is cut off there does not
    see it.

    `optimal_q` is what a learner should arrive at.

    Examples
    --------
    >>> world = GridWorld(side=3)
    >>> world.step(np.array([0, 5]), np.array([1, 2]), np.random.default_rng(0))
    (array([1, 8]), array([ 0., 10.]), array([False,  True]))
    """

    side: int = 5
    reward: float = 10.0
    cost: float = 0.0
    slip: float = 0.0
    coin: float = 0.0

    actions = 4

    def __post_init__(self) -> None:
        if self.side < 2:
            raise ValueError(f"GridWorld: side must be at least 2, not {self.side}")
        if not 0 <= self.slip <= 1:
            raise ValueError(f"GridWorld: slip must be between 0 and 1, not {self.slip}")

    @property
    def states(self) -> int:
        """How many there are."""
        return self.side**2

    @property
    def goal(self) -> int:
        """Where the treasure is."""
        return self.states - 1

    def step(
        self, states: Ints, actions: Ints, rng: Rng | None = None
    ) -> tuple[Ints, Floats, NDArray[np.bool_]]:
        """Make a move in each of M worlds.

        Parameters
        ----------
        states, actions : ndarray of int, shape (M,)
            Not the goal, where the episode is over.
        rng : Generator, optional
            Decides who slips; needed where anybody may.

        Returns
        -------
        next_states : ndarray of int, shape (M,)
        rewards : ndarray, shape (M,)
        done : ndarray of bool, shape (M,)

        Raises
        ------
        ValueError
            If there is no such state or action, an episode is over, or `rng` is missing.
        """
        states, actions = np.asarray(states), np.asarray(actions)
        if np.any((states < 0) | (states >= self.states) | (states == self.goal)):
            raise ValueError(f"GridWorld.step: states must be between 0 and {self.goal - 1}")
        if np.any((actions < 0) | (actions >= self.actions)):
            raise ValueError(f"GridWorld.step: actions must be between 0 and {self.actions - 1}")
        next_states = self._moves()[states, self._made(actions, rng)]
        return next_states, self._pays(next_states), next_states == self.goal

    def wander(self, moves: int, rng: Rng) -> Transitions:
        """Transitions of someone who moves at random, and starts again at each treasure."""
        actions = rng.integers(0, self.actions, moves)
        to, path, state = self._moves().tolist(), [], 0
        for action in self._made(actions, rng).tolist():
            path.append(to[state][action])
            state = 0 if path[-1] == self.goal else path[-1]
        after = np.array(path, dtype=np.int64)
        done = after == self.goal
        before = np.concatenate([[0], np.where(done, 0, after)])[:moves]
        return Transitions(before, actions, self._pays(after), after, done)

    def one_hot(self, states: Ints, dtype: DTypeLike = np.float64) -> Floats:
        """States as the input of a network, shape (M, states)."""
        return np.eye(self.states, dtype=dtype)[states]

    def optimal_q(self, gamma: float) -> Floats:
        """Values of each action in each state, for someone who then acts best: shape (states, 4).

        Found by value iteration, which needs to know the world; `gamma` below 1. The goal's row is 0.
        """
        if not 0 <= gamma < 1:
            raise ValueError(f"GridWorld.optimal_q: gamma must be at least 0 and below 1, not {gamma}")
        to = self._moves()  # (states, 4)
        pays = self._pays(to)
        q = np.zeros(to.shape)
        while True:
            sure = pays + gamma * np.where(to == self.goal, 0.0, q.max(axis=1)[to])
            better = (1 - self.slip) * sure + self.slip * sure.mean(axis=1, keepdims=True)
            better[self.goal] = 0
            if np.max(abs(better - q)) <= 1e-13 * (1 + np.max(abs(better))):
                return better
            q = better

    def _made(self, actions: Ints, rng: Rng | None) -> Ints:
        """The moves that are made by those who ask for `actions`: some slip."""
        if not self.slip:
            return actions
        if rng is None:
            raise ValueError("GridWorld.step: rng is needed in a world where one may slip")
        slips = rng.uniform(size=actions.shape) < self.slip
        return np.where(slips, rng.integers(0, self.actions, actions.shape), actions)

    def _pays(self, next_states: Ints) -> Floats:
        """What a move brings, by where it ends."""
        treasure = np.where(next_states == self.goal, self.reward, 0.0)
        return treasure + np.where(next_states == self.side - 1, self.coin, 0.0) - self.cost

    def _moves(self) -> Ints:
        """Where each action leads from each state, shape (states, 4)."""
        row, column = np.divmod(np.arange(self.states), self.side)
        rows = np.stack([row - 1, row, row + 1, row], axis=1).clip(0, self.side - 1)
        columns = np.stack([column, column + 1, column, column - 1], axis=1).clip(0, self.side - 1)
        return rows * self.side + columns
