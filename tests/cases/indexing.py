import numpy as np
from hypothesis import strategies as st

from cases.base import Case, Rng, Shapes, sides


@st.composite
def table(draw: st.DrawFn, n: int) -> Shapes:
    return {"q": (n, draw(sides))}


def some_actions(rng: Rng, shapes: Shapes) -> tuple:
    n, a = shapes["q"]
    return (rng.integers(0, a, n),)


def torch_gather(tensors, params):
    import torch

    return tensors[0].gather(1, torch.from_numpy(params[0])[:, None])[:, 0]


@st.composite
def vectors(draw: st.DrawFn, n: int) -> Shapes:
    return {"W": (n, draw(sides))}


def some_words(rng: Rng, shapes: Shapes) -> tuple:
    """More places than words, so that some come more than once."""
    words, _ = shapes["W"]
    return (rng.integers(0, words, (words, 3)),)


def slow_word_embedding(x, W):
    return np.array([[W[word] for word in row] for row in x]).reshape(*x.shape, W.shape[1])


def torch_word_embedding(tensors, params):
    import torch

    return torch.nn.functional.embedding(torch.from_numpy(params[0]), tensors[0])


CASES: dict[str, Case] = {
    "gather": Case(
        shapes=table,
        slow=lambda q, actions: np.array([row[action] for row, action in zip(q, actions, strict=True)]),
        torch=torch_gather,
        analytic=True,
        params=some_actions,
        impossible=(
            ("q", {"q": (6,)}, (np.zeros(6, int),)),
            ("q", {"q": (2, 3, 4)}, (np.zeros(2, int),)),
            ("q", {"q": (2, 3)}, (np.zeros(3, int),)),
            ("q", {"q": (2, 3)}, (np.zeros((2, 1), int),)),  # these two would broadcast
            ("q", {"q": (2, 3)}, (np.zeros((), int),)),
        ),
    ),
    "word_embedding": Case(
        shapes=vectors,
        slow=slow_word_embedding,
        torch=torch_word_embedding,
        analytic=True,
        params=some_words,
        arrange=lambda inputs, params: (*params, *inputs),
        impossible=(
            ("W", {"W": (6,)}, (np.zeros((2, 3), int),)),
            ("W", {"W": (2, 3, 4)}, (np.zeros((2, 3), int),)),
        ),
    ),
}
