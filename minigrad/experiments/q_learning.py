"""Q-learning in a world with a small reward that is near and a large one that is far: the large one is not learned.

A square of 4 x 4 cells. A coin in the top right corner pays 0.1 with every move that ends there, a treasure in the
bottom right corner pays 10 and ends the episode. Somebody wandered about for 1000 moves. A network with one hidden
layer of 64 units learns from those moves alone, 32 of them in each of 600 steps. Errors are clipped to +-1.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.experiments import Number, Option, complete
from minigrad.gridworld import GridWorld
from minigrad.initializers import normal
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
from minigrad.network import Layer, Sequential

WORLD = GridWorld(side=4, reward=10.0, coin=0.1)
GAMMA = 0.9
HIDDEN = 64
STEPS = 600
BATCH = 32
COPIED = 20  # steps from one copy of the network to the next; targets are made with the copy
EPISODE = 20  # moves, at most

SETTINGS: Mapping[str, Number | Option] = {
    "loss": Option("clipped", ("clipped", "huber"), "loss of the temporal-difference errors"),
    "delta": Number(1.0, 0.01, 100.0, "where it clips, or becomes straight"),
    "reward_scale": Number(1.0, 0.01, 100.0, "factor by which all rewards are multiplied before learning"),
    "learning_rate": Number(0.3, 0.0, 3.0, "learning rate"),
    "moves": Number(1000, 100, 3000, "moves to learn from"),
}
REQUIRES = (
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "huber_loss",
    "clipped_delta_loss",
    "td_loss",
)

Functions = Mapping[str, Callable[..., Any]]
Array = NDArray[Any]


def run(
    settings: Mapping[str, Any], functions: Functions, rng: np.random.Generator, steps: int = STEPS
) -> dict[str, Any]:
    """Learn values, and see on the way what somebody would earn who trusts them.

    Parameters
    ----------
    settings : mapping
        A value for each of `SETTINGS`.
    functions : mapping
        A function for each of `REQUIRES`.
    rng : numpy.random.Generator
        Draws the moves, the weights and the batches.
    steps : int
        Of gradient descent.

    Returns
    -------
    dict
        `reward`, what an episode pays at the end, in which each move is the one that looks best; `rewards`, the same
        after each of the steps in `counted`. `value`, what the network expects of the last move before the treasure,
        and `values` of each action in each state, of shape (16, 4), both in rewards as they are paid. `losses` at
        each step, `loss` the mean of the last 50. `treasures` among the moves; `seen`, how many times one was in a
        batch; `silent`, how many times of those its gradient was exactly zero; `silent_others`, the share of all
        other examples of which that is true.
    """
    scale, delta = settings["reward_scale"], settings["delta"]
    loss = functions["huber_loss" if settings["loss"] == "huber" else "clipped_delta_loss"]
    moves = WORLD.wander(int(settings["moves"]), rng)
    network = _network(functions, rng)
    cells = WORLD.one_hot(np.arange(WORLD.states))  # (16, 16)
    q = copy = network.forward(cells)
    losses, counted, rewards = [], [0], [_episode(q)]
    silent, treasure = [], []
    for step in range(steps):
        if step % COPIED == 0:
            copy = network.forward(cells)
        batch = moves.batch(BATCH, rng)
        value, dq = functions["td_loss"](
            network.forward(cells[batch.states]),
            batch.actions,
            scale * batch.rewards,
            copy[batch.next_states],
            batch.done,
            GAMMA,
            delta,
            loss,
        )
        network.backward_params(dq)
        grads = network.grads
        network.params = {
            name: w - settings["learning_rate"] * grads[name] for name, w in network.params.items()
        }
        losses.append(float(value))
        silent.append(~np.any(dq, axis=1))
        treasure.append(batch.done)
        if (step + 1) % COPIED == 0:
            counted.append(step + 1)
            rewards.append(_episode(network.forward(cells)))
    q = network.forward(cells) / scale
    mute, paid = np.array(silent, bool).reshape(-1), np.array(treasure, bool).reshape(-1)
    return {
        "reward": rewards[-1],
        "value": float(q[WORLD.goal - 1, 1]),
        "loss": float(np.mean(losses[-50:])) if losses else 0.0,
        "treasures": float(moves.done.sum()),
        "seen": float(paid.sum()),
        "silent": float((mute & paid).sum()),
        "silent_others": float(np.mean(mute[~paid])) if len(mute) else 0.0,
        "losses": np.array(losses),
        "counted": np.array(counted),
        "rewards": np.array(rewards),
        "values": q,
    }


def learn(
    seed: int,
    td_loss: Callable[..., Any],
    huber_loss: Callable[..., Any],
    clipped_delta_loss: Callable[..., Any],
    steps: int = STEPS,
    **changes: Any,
) -> dict[str, Any]:
    """Run it with some settings changed, and with losses that somebody wrote.

    Parameters
    ----------
    seed : int
    td_loss, huber_loss, clipped_delta_loss : callable
    steps : int
        Of gradient descent.
    **changes
        Some of `SETTINGS`.

    Returns
    -------
    dict
        As of `run`.

    Raises
    ------
    ValueError
        If there is no such setting, or it cannot have that value.
    """
    own: Functions = {
        "affine_forward": affine_forward,
        "affine_backward": affine_backward,
        "relu_forward": relu_forward,
        "relu_backward": relu_backward,
        "td_loss": td_loss,
        "huber_loss": huber_loss,
        "clipped_delta_loss": clipped_delta_loss,
    }
    this: Any = sys.modules[__name__]  # found by name, it would not be there behind the walls of the grader
    return run(complete(this, changes), own, np.random.default_rng(seed), steps)


def _network(functions: Functions, rng: np.random.Generator) -> Sequential:
    """One hidden layer of ReLUs. The last layer starts at zero: the network expects nothing of any move."""
    affine = functions["affine_forward"], functions["affine_backward"]
    w = normal((WORLD.states, HIDDEN), rng, std=1.0)
    return Sequential(
        hidden=Layer(*affine, {"w": w, "b": np.zeros(HIDDEN)}),
        relu=Layer(functions["relu_forward"], functions["relu_backward"]),
        values=Layer(*affine, {"w": np.zeros((HIDDEN, WORLD.actions)), "b": np.zeros(WORLD.actions)}),
    )


def _episode(q: Array) -> float:
    """What an episode from the start pays, with the best move of `q` in each state."""
    state, paid = np.array([0]), 0.0
    for _ in range(EPISODE):
        state, reward, done = WORLD.step(state, q[state].argmax(axis=1))
        paid += float(reward[0])
        if done[0]:
            break
    return paid
