"""Data: shapes, balance, seeds, and truths that are known in closed form."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minigrad import datasets
from minigrad.datasets import adding_task, blobs, circles, digits, memory_task, spirals, split
from minigrad.gridworld import GridWorld

MADE: dict[str, Callable] = {
    "blobs": lambda rng: blobs(50, rng),
    "circles": lambda rng: circles(50, rng),
    "spirals": lambda rng: spirals(50, rng),
    "memory_task": lambda rng: memory_task(50, 8, rng, noise=0.1),
    "adding_task": lambda rng: adding_task(50, 8, rng),
    "split": lambda rng: split(np.arange(50), np.arange(50), 0.5, rng)[0],
    "wander": lambda rng: tuple(GridWorld(slip=0.3).wander(50, rng)),
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("name", MADE)
def test_the_seed_decides_everything(name: str):
    def made(seed: int) -> bytes:
        return b"".join(array.tobytes() for array in MADE[name](np.random.default_rng(seed)))

    assert made(1) == made(1)
    assert made(1) != made(2)


# ------------------------------------------------------------------------------
# Points in the plane
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [blobs, circles, spirals])
@pytest.mark.parametrize(("n", "classes"), [(0, 2), (1, 3), (2, 5), (100, 1), (101, 4)])
def test_points_are_shared_out_evenly(make: Callable, n: int, classes: int, rng: np.random.Generator):
    x, y = make(n, rng, classes=classes)
    assert x.shape == (n, 2)
    assert x.dtype == np.float64
    assert y.dtype == np.int64
    counts = np.bincount(y, minlength=classes)
    assert len(counts) == classes
    assert counts.sum() == n
    assert np.ptp(counts) <= 1


@pytest.mark.parametrize("make", [blobs, circles, spirals])
def test_impossible_numbers_of_points_are_refused(make: Callable, rng: np.random.Generator):
    for n, classes in ((-1, 2), (5, 0)):
        with pytest.raises(
            ValueError, match=rf"^{make.__name__}: there cannot be {n} points in {classes} classes"
        ):
            make(n, rng, classes=classes)


def test_without_noise_the_points_lie_where_they_should(rng: np.random.Generator):
    x, y = blobs(6, rng, classes=2, noise=0)
    np.testing.assert_allclose(x, np.where(y[:, None] == 0, [1, 0], [-1, 0]), atol=1e-12)
    x, y = circles(90, rng, classes=3, noise=0)
    np.testing.assert_allclose(np.hypot(*x.T), (y + 1) / 3)
    x, y = spirals(90, rng, classes=3, noise=0)
    for arm in range(3):
        assert np.hypot(*x[y == arm][0]) == 0
        assert np.hypot(*x[y == arm][-1]) == pytest.approx(1)
    np.testing.assert_allclose(x[y == 1], x[y == 0] @ rotation(2 * np.pi / 3), atol=1e-12)


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


# ------------------------------------------------------------------------------
# Sequences
# ------------------------------------------------------------------------------


def test_only_the_first_step_says_what_to_remember(rng: np.random.Generator):
    x, y = memory_task(200, 6, rng, symbols=5)
    assert x.shape == (200, 6, 5)
    np.testing.assert_array_equal(x[:, 0].argmax(axis=1), y)
    np.testing.assert_array_equal(x[:, 0].sum(axis=1), np.ones(200))
    assert not x[:, 1:].any()
    assert set(y) == set(range(5))
    noisy, _ = memory_task(200, 6, rng, noise=0.5)
    assert noisy[:, 1:].std() == pytest.approx(0.5, rel=0.1)
    assert set(np.unique(noisy[:, 0])) == {0, 1}
    with pytest.raises(ValueError, match=r"^memory_task: there cannot be 0 steps with 4 symbols"):
        memory_task(3, 0, rng)


@pytest.mark.parametrize("steps", [2, 3, 50])
def test_one_number_of_each_half_is_marked(steps: int, rng: np.random.Generator):
    x, y = adding_task(500, steps, rng)
    assert x.shape == (500, steps, 2)
    assert y.shape == (500, 1)
    values, marks = x[..., 0], x[..., 1]
    half = steps // 2
    np.testing.assert_array_equal(marks[:, :half].sum(axis=1), np.ones(500))
    np.testing.assert_array_equal(marks[:, half:].sum(axis=1), np.ones(500))
    np.testing.assert_allclose((values * marks).sum(axis=1), y[:, 0])
    assert marks.any(axis=0).all()


def test_the_variance_of_the_sum_is_one_sixth(rng: np.random.Generator):
    _, y = adding_task(100_000, 2, rng)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.02)
    with pytest.raises(ValueError, match=r"^adding_task: two numbers cannot be marked in 1 steps"):
        adding_task(3, 1, rng)


# ------------------------------------------------------------------------------
# Digits
# ------------------------------------------------------------------------------


def test_the_digits_are_those_of_the_repository():
    x, y = digits()
    assert x.shape == (1797, 64)
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(np.bincount(y), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(x * 16, np.rint(x * 16))
    np.testing.assert_array_equal(16 * x[0, :8], [0, 0, 5, 13, 9, 1, 0, 0])
    assert (16 * x).sum() == 561718
    small, _ = digits(np.float32)
    np.testing.assert_array_equal(small, x)
    assert small.dtype == np.float32


def test_the_digits_are_the_callers_own():
    digits()[0][...] = 7
    assert digits()[0].max() == 1


def test_the_data_say_where_they_come_from_and_under_which_licence():
    folder = Path(datasets.__file__).with_name("data")
    text = (folder / "README.txt").read_text("utf-8")
    for path in folder.iterdir():
        assert path.name in text or path.name == "README.txt"
    assert "CC BY 4.0" in text
    assert "10.24432/C50P49" in text
    assert (folder / "digits.npz").stat().st_size < 60_000


@pytest.mark.parametrize(("share", "sizes"), [(0, (0, 10)), (0.25, (2, 8)), (0.8, (8, 2)), (1, (10, 0))])
def test_a_split_loses_nothing(share: float, sizes: tuple[int, int], rng: np.random.Generator):
    x = np.arange(20).reshape(10, 2)
    train, test = split(x, 10 * x[:, 0], share, rng)
    assert (len(train[0]), len(test[0])) == sizes
    assert sorted(np.concatenate([train[0], test[0]]).tolist()) == x.tolist()
    for part in (train, test):
        np.testing.assert_array_equal(10 * part[0][:, 0], part[1])


def test_impossible_splits_are_refused(rng: np.random.Generator):
    with pytest.raises(ValueError, match=r"^split: x has shape \(3,\) but y has shape \(2,\)"):
        split(np.ones(3), np.ones(2), 0.5, rng)
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"^split: share must be between 0 and 1"):
            split(np.ones(3), np.ones(3), share, rng)


# ------------------------------------------------------------------------------
# The grid world
# ------------------------------------------------------------------------------


def test_moves_lead_to_neighbours_and_stop_at_walls():
    world = GridWorld(side=3)
    moves = [world.step(np.full(4, state), np.arange(4))[0].tolist() for state in range(8)]
    assert moves == [
        [0, 1, 3, 0],
        [1, 2, 4, 0],
        [2, 2, 5, 1],
        [0, 4, 6, 3],
        [1, 5, 7, 3],
        [2, 5, 8, 4],
        [3, 7, 6, 6],
        [4, 8, 7, 6],
    ]


def test_only_the_treasure_pays_and_ends():
    world = GridWorld(side=3, reward=20.0, cost=0.5)
    states, actions = np.divmod(np.arange(8 * 4), 4)
    after, rewards, done = world.step(states, actions)
    np.testing.assert_array_equal(done, after == world.goal)
    np.testing.assert_array_equal(rewards, np.where(done, 19.5, -0.5))


def test_the_treasure_is_rare(rng: np.random.Generator):
    seen = GridWorld().wander(20_000, rng)
    assert 0.005 < seen.done.mean() < 0.02
    assert set(seen.rewards) == {0.0, 10.0}
    np.testing.assert_array_equal(seen.rewards == 10, seen.done)
    np.testing.assert_array_equal(seen.states[1:], np.where(seen.done, 0, seen.next_states)[:-1])
    assert seen.states[0] == 0
    np.testing.assert_allclose(np.bincount(seen.actions) / 20_000, 0.25, atol=0.02)


def test_transitions_can_be_drawn_and_unpacked(rng: np.random.Generator):
    seen = GridWorld().wander(300, rng)
    batch = seen.batch(50, rng)
    assert len(seen) == 300
    assert len(batch) == 50
    states, actions, rewards, next_states, done = batch
    rows = set(zip(*(column.tolist() for column in seen), strict=True))
    assert set(zip(*(column.tolist() for column in batch), strict=True)) <= rows
    assert [a.dtype.kind for a in (states, actions, rewards, next_states, done)] == ["i", "i", "f", "i", "b"]
    assert len(GridWorld().wander(0, rng)) == 0


def test_the_best_values_are_the_discounted_treasure():
    world, gamma = GridWorld(side=4, reward=10.0), 0.8
    row, column = np.divmod(np.arange(16), 4)
    distance = 6 - row - column
    best = world.optimal_q(gamma).max(axis=1)
    np.testing.assert_allclose(best[:-1], 10 * gamma ** (distance[:-1] - 1.0), rtol=1e-12)
    assert best[-1] == 0


def test_a_coin_is_small_and_there_again_for_every_move_that_ends_on_it():
    world = GridWorld(side=3, coin=0.5)
    after, rewards, done = world.step(np.array([1, 2, 2, 2, 5]), np.array([1, 0, 1, 2, 2]))
    assert after.tolist() == [2, 2, 2, 5, 8]
    assert rewards.tolist() == [0.5, 0.5, 0.5, 0.0, 10.0]
    assert done.tolist() == [False, False, False, False, True]
    only = GridWorld(side=3, reward=0.0, coin=0.5).optimal_q(0.8)  # 0.5 for ever: 0.5 / (1 - 0.8)
    np.testing.assert_allclose(only[[2, 1, 0]].max(axis=1), [2.5, 2.5, 2.0], rtol=1e-12)


def test_the_best_values_keep_the_equation_they_are_the_solution_of(rng: np.random.Generator):
    """Bellman's, by simulation: the mean of many moves in a world where one slips."""
    world, gamma = GridWorld(side=3, cost=0.1, slip=0.4), 0.9
    q = world.optimal_q(gamma)
    for state, action in ((0, 1), (5, 2), (7, 0)):
        after, rewards, done = world.step(np.full(40_000, state), np.full(40_000, action), rng)
        targets = rewards + gamma * np.where(done, 0, q.max(axis=1)[after])
        assert q[state, action] == pytest.approx(targets.mean(), abs=4 * targets.std() / 200 + 1e-9)


def test_tabular_q_learning_arrives_there(rng: np.random.Generator):
    world, gamma = GridWorld(side=3), 0.9
    q = np.zeros((9, 4))
    for s, a, r, after, done in zip(*world.wander(20_000, rng), strict=True):
        q[s, a] += 0.5 * (r + gamma * (not done) * q[after].max() - q[s, a])
    np.testing.assert_allclose(q, world.optimal_q(gamma), atol=1e-3)


def test_one_hot_states():
    world = GridWorld(side=2)
    np.testing.assert_array_equal(world.one_hot(np.array([3, 0])), [[0, 0, 0, 1], [1, 0, 0, 0]])
    assert world.one_hot(np.array([1]), np.float32).dtype == np.float32
    assert world.one_hot(np.array([1])).shape == (1, world.states)


def test_what_cannot_be_is_refused():
    world = GridWorld(side=3, slip=0.5)
    for wrong, complaint in (
        (lambda: GridWorld(side=1), "GridWorld: side must be at least 2, not 1"),
        (lambda: GridWorld(slip=1.5), "GridWorld: slip must be between 0 and 1, not 1.5"),
        (lambda: world.step(np.array([8]), np.array([0])), "GridWorld.step: states must be between 0 and 7"),
        (lambda: world.step(np.array([-1]), np.array([0])), "GridWorld.step: states"),
        (lambda: world.step(np.array([0]), np.array([4])), "GridWorld.step: actions must be between 0 and 3"),
        (lambda: world.step(np.array([0]), np.array([0])), "GridWorld.step: rng is needed"),
        (lambda: world.optimal_q(1.0), "GridWorld.optimal_q: gamma must be at least 0 and below 1, not 1.0"),
    ):
        with pytest.raises(ValueError, match=f"^{complaint}"):
            wrong()
