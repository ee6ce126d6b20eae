"""Assignment 08: the training clinic. References, cases, points, misconceptions, and what the patients have."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.losses import softmax_loss
from minigrad.monitor import update_ratio

from ..answers import choices
from ..exercise import Between, Call, Case, Choice, Exercise, Fetch, Misconception, Ref, Train

ASSIGNMENT = "08_training_clinic"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


# -- softmax_loss


def _labels(rng: Rng, n: int, classes: int) -> Array:
    return rng.integers(0, classes, n)


def _loss_case(label: str, x: Array, y: Array, far: bool = False, float32: bool = False) -> Case:
    out = ("loss_far", "dx_far") if far else ("loss", "dx")
    return Case(label, [Call("softmax_loss", (x, y), out)], float32=float32)


def _softmax_visible(rng: Rng) -> Cases:
    yield _loss_case("4 examples, 3 classes", rng.normal(size=(4, 3)), np.array([0, 2, 1, 2]))
    yield _loss_case("all scores equal", np.full((5, 10), rng.normal()), _labels(rng, 5, 10))
    x = rng.normal(size=(3, 4)) + np.array([[1000.0, 0, 0, 0], [0, 0, 0, -1000.0], [0, 1000.0, 0, 0]])
    yield _loss_case("scores of 1000 and -1000", x, np.array([0, 3, 2]), far=True)
    apart = rng.normal(size=(2, 3)) + np.array([[0.0], [-2000.0]])
    yield _loss_case("one row 2000 below the other", apart, np.array([1, 2]), far=True)


def _softmax_hidden(rng: Rng) -> Cases:
    yield _loss_case("7 examples, 2 classes", 2 * rng.normal(size=(7, 2)), _labels(rng, 7, 2))
    yield _loss_case("a batch of one", rng.normal(size=(1, 6)), np.array([4]))
    yield _loss_case(
        "a class that comes several times", rng.normal(size=(6, 5)), np.array([3, 3, 3, 0, 3, 1])
    )
    yield _loss_case(
        "a large batch, float32", rng.normal(size=(200, 10)), _labels(rng, 200, 10), float32=True
    )
    far = 1e4 * rng.normal(size=(5, 4)) + rng.normal(size=(5, 1))
    yield _loss_case("scores of size 10,000", far, _labels(rng, 5, 4), far=True)
    apart = rng.normal(size=(4, 3)) + np.array([[3000.0], [0.0], [-3000.0], [10.0]])
    yield _loss_case("rows 3000 apart", apart, _labels(rng, 4, 3), far=True)


def _softmax(x: Array) -> Array:
    p = np.exp(x - x.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def _wrong_softmax(
    loss: Callable[[Array, Array, Array], Any] | None = None,
    dx: Callable[[Array, Array, Array], Any] | None = None,
) -> dict[str, Callable]:
    """The loss, or its gradient, replaced by a function of scores, labels and probabilities."""

    def function(x: Array, y: Array) -> tuple:
        value, gradient = softmax_loss(x, y)
        p = _softmax(x)
        return value if loss is None else loss(x, y, p), gradient if dx is None else dx(x, y, p)

    return {"softmax_loss": function}


def _hit(y: Array, p: Array) -> Array:
    """1 at the right class of each row."""
    return np.eye(p.shape[1])[y]


def _from_exponentials(shift: Callable[[Array], Any], eps: float = 0.0) -> dict[str, Callable]:
    """The formula as it stands in a book, after a shift."""

    def function(x: Array, y: Array) -> tuple:
        e = np.exp(x - shift(x))
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        return -np.mean(np.log(p[rows, y] + eps)), (p - _hit(y, p)) / len(y)

    return {"softmax_loss": function}


def _in_logs(shift: Callable[[Array], Any]) -> dict[str, Callable]:
    """The logarithm taken of the sum, after a shift that is not the right one."""

    def function(x: Array, y: Array) -> tuple:
        log_p = x - shift(x)
        log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        return -np.mean(log_p[np.arange(len(y)), y]), (np.exp(log_p) - _hit(y, log_p)) / len(y)

    return {"softmax_loss": function}


def _by_columns(x: Array, y: Array) -> tuple:
    e = np.exp(x - x.max(axis=0))
    p = e / e.sum(axis=0)
    return -np.mean(np.log(p[np.arange(len(y)), y])), (p - _hit(y, p)) / len(y)


def _column_of_the_class(x: Array, y: Array, p: Array) -> Array:
    dx = p.copy()
    dx[:, y] -= 1
    return dx / len(y)


def _into_x(x: Array, y: Array) -> tuple:
    result = softmax_loss(x, y)
    x -= x.max(axis=1, keepdims=True)
    return result


FLOOR_UNDER_THE_LOG = (
    "You keep the probability away from 0 before the log, so your loss has a ceiling. What should it be for an example "
    "that is wrong by 1000? Can you write log(exp(a) / s) without the exp?"
)


softmax_exercise = Exercise(
    name="softmax_loss",
    title="Softmax loss",
    points=3,
    grades=("softmax_loss",),
    reference={"softmax_loss": softmax_loss},
    visible=_softmax_visible,
    hidden=_softmax_hidden,
    labels={
        "loss": "the loss is the mean of -log of the probability of the right class",
        "dx": "dx is its gradient",
        "loss_far": "the loss is right for scores far from zero and far apart",
        "dx_far": "and so is dx",
    },
    misconceptions=[
        Misconception(
            "exp_overflows",
            "You take exp of the scores as they are. What is exp(1000) in float64? And which number may be subtracted "
            "from a row of scores without changing its probabilities?",
            _from_exponentials(lambda x: 0.0),
        ),
        Misconception(
            "exp_overflows_in_the_sum",
            "You take exp of the scores as they are. What is exp(1000) in float64? And which number may be subtracted "
            "from a row of scores without changing its probabilities?",
            _in_logs(lambda x: 0.0),
        ),
        Misconception(
            "one_maximum_for_all",
            "You subtract the largest score of the whole batch. What becomes of a row that lies 2000 below it?",
            _from_exponentials(lambda x: x.max()),
        ),
        Misconception(
            "one_maximum_in_the_sum",
            "You subtract the largest score of the whole batch. What becomes of a row that lies 2000 below it?",
            _in_logs(lambda x: x.max()),
        ),
        Misconception(
            "mean_subtracted",
            "You subtract the mean of each row. How far above its mean can the largest score of a row lie?",
            _from_exponentials(lambda x: x.mean(axis=1, keepdims=True)),
        ),
        Misconception(
            "mean_in_the_sum",
            "You subtract the mean of each row. How far above its mean can the largest score of a row lie?",
            _in_logs(lambda x: x.mean(axis=1, keepdims=True)),
        ),
        Misconception(
            "log_of_zero",
            "A probability may be exactly 0 in floating point, and then its log is infinite. Can you write "
            "log(exp(a) / s) without the exp?",
            _from_exponentials(lambda x: x.max(axis=1, keepdims=True)),
        ),
        Misconception(
            "small_number_added",
            FLOOR_UNDER_THE_LOG,
            _from_exponentials(lambda x: x.max(axis=1, keepdims=True), 1e-8),
        ),
        *(
            Misconception(
                f"floor_of_1e-{digits}",
                FLOOR_UNDER_THE_LOG,
                _from_exponentials(lambda x: x.max(axis=1, keepdims=True), 10.0**-digits),
            )
            for digits in (5, 10, 12, 13, 15)
        ),
        Misconception(
            "sum_not_mean",
            "Loss and gradient grow with the size of the batch. Over what is a mean taken?",
            {"softmax_loss": lambda x, y: tuple(len(y) * each for each in softmax_loss(x, y))},
        ),
        Misconception(
            "loss_summed",
            "Your gradient is that of a mean, but your loss is a sum.",
            _wrong_softmax(loss=lambda x, y, p: len(y) * softmax_loss(x, y)[0]),
        ),
        Misconception(
            "dx_without_n",
            "Your loss is a mean over the batch. Its gradient has that factor as well.",
            _wrong_softmax(dx=lambda x, y, p: p - _hit(y, p)),
        ),
        Misconception(
            "dx_without_right_class",
            "Your dx is the probabilities, over N. The score of the right class occurs in the loss once more: where?",
            _wrong_softmax(dx=lambda x, y, p: p / len(y)),
        ),
        Misconception(
            "dx_wrong_sign",
            "Your dx points uphill. What should happen to the loss when the score of the right class grows?",
            _wrong_softmax(dx=lambda x, y, p: (_hit(y, p) - p) / len(y)),
        ),
        Misconception(
            "whole_columns",
            "dx[:, y] picks whole columns, for all examples. How do you pick one entry in each row?",
            _wrong_softmax(dx=_column_of_the_class),
        ),
        Misconception(
            "only_the_right_class",
            "Your dx is zero except at the right class. Do the other scores not matter to the loss?",
            _wrong_softmax(dx=lambda x, y, p: (p - 1) * _hit(y, p) / len(y)),
        ),
        Misconception(
            "divided_by_classes_too",
            "You average over the examples and the classes. The loss has one number for each example.",
            {"softmax_loss": lambda x, y: tuple(each / x.shape[1] for each in softmax_loss(x, y))},
        ),
        Misconception(
            "wrong_sign",
            "Your loss is below zero. A probability is at most 1: what is the sign of its log?",
            _wrong_softmax(loss=lambda x, y, p: -softmax_loss(x, y)[0]),
        ),
        Misconception(
            "probability_not_log",
            "Your loss is 1 minus the probability of the right class. Where is the log?",
            _wrong_softmax(loss=lambda x, y, p: np.mean(1 - p[np.arange(len(y)), y])),
        ),
        Misconception(
            "wrong_axis",
            "Your probabilities sum to 1 over the examples. Over what should they?",
            {"softmax_loss": _by_columns},
        ),
        Misconception(
            "right_score_not_shifted",
            "You shift the scores inside the exponential, and use the right score without the shift.",
            _wrong_softmax(loss=lambda x, y, p: softmax_loss(x, y)[0] - np.mean(x.max(axis=1))),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"softmax_loss": _into_x},
        ),
    ],
)


# -- expected_initial_loss


def expected_initial_loss(scores: Array) -> float:
    """The loss that scores should have which know nothing of the labels, to second order."""
    return float(np.log(scores.shape[1]) + np.mean(np.var(scores, axis=1)) / 2)


def _initial_case(label: str, scores: Array, float32: bool = False) -> Case:
    return Case(label, [Call("expected_initial_loss", (scores,), ("expected",))], float32=float32)


def _initial_visible(rng: Rng) -> Cases:
    yield _initial_case("all scores equal, 10 classes", np.full((4, 10), rng.normal()))
    yield _initial_case("scores of size 1", rng.normal(size=(6, 10)))
    yield _initial_case("rows that lie apart", rng.normal(size=(5, 4)) + 10 * rng.normal(size=(5, 1)))


def _initial_hidden(rng: Rng) -> Cases:
    yield _initial_case("2 classes", rng.normal(size=(8, 2)))
    yield _initial_case("a batch of one", rng.normal(size=(1, 5)))
    yield _initial_case("scores of size 3", 3 * rng.normal(size=(3, 7)) + 5 * rng.normal(size=(3, 1)))
    yield _initial_case("float32", rng.normal(size=(50, 10)), float32=True)


def _initial(function: Callable[[Array], Any]) -> dict[str, Callable]:
    return {"expected_initial_loss": lambda scores: float(function(scores))}


initial_exercise = Exercise(
    name="expected_initial_loss",
    title="The loss that random scores should have",
    points=2,
    grades=("expected_initial_loss",),
    reference={"expected_initial_loss": expected_initial_loss},
    visible=_initial_visible,
    hidden=_initial_hidden,
    labels={"expected": "what scores should cost that know nothing of the labels, to second order"},
    misconceptions=[
        Misconception(
            "ln_c_only",
            "You return ln C whatever the scores are. What did the measured loss have on top of it?",
            _initial(lambda s: np.log(s.shape[1])),
        ),
        Misconception(
            "whole_variance",
            "You add the whole variance. Which factor has the second term of the series?",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(np.var(s, axis=1))),
        ),
        Misconception(
            "standard_deviation",
            "You add half of the standard deviation. Which power of the deviations stands in the second term?",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(np.std(s, axis=1)) / 2),
        ),
        Misconception(
            "variance_of_all",
            "You take one variance of all scores. A number that is added to a whole row does not change its loss: does "
            "it change yours?",
            _initial(lambda s: np.log(s.shape[1]) + np.var(s) / 2),
        ),
        Misconception(
            "variance_over_examples",
            "You take the variance of each class over the examples. Which scores does one softmax compare?",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(np.var(s, axis=0)) / 2),
        ),
        Misconception(
            "mean_of_squares",
            "You take the mean of the squares. From what are deviations measured?",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(s**2) / 2),
        ),
        Misconception(
            "sample_variance",
            "You divide by C - 1. The mean inside the log is over all C classes.",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(np.var(s, axis=1, ddof=1)) / 2),
        ),
        Misconception(
            "ln_n",
            "You take the log of the number of examples. Among how many does a guess choose?",
            _initial(lambda s: np.log(len(s)) + np.mean(np.var(s, axis=1)) / 2),
        ),
        Misconception(
            "always_ten_classes",
            "You take ln 10. How many classes do these scores have?",
            _initial(lambda s: np.log(10) + np.mean(np.var(s, axis=1)) / 2),
        ),
        Misconception(
            "logarithm_not_expanded",
            "There is still a logarithm in your second term. What is ln(1 + u) to first order in u?",
            _initial(lambda s: np.log(s.shape[1]) + np.mean(np.log1p(np.var(s, axis=1) / 2))),
        ),
        Misconception(
            "not_expanded",
            "Your loss is exact: the mean over all labels that an example might have. Asked for is the short formula, "
            "the series to second order.",
            _initial(lambda s: np.mean(np.log(np.exp(s - s.mean(axis=1, keepdims=True)).sum(axis=1)))),
        ),
        Misconception(
            "common_logarithm",
            "You take another logarithm than the loss does.",
            _initial(lambda s: np.log10(s.shape[1]) + np.mean(np.var(s, axis=1)) / 2),
        ),
        Misconception(
            "other_logarithm",
            "You take another logarithm than the loss does.",
            _initial(lambda s: np.log2(s.shape[1]) + np.mean(np.var(s, axis=1)) / 2),
        ),
        Misconception(
            "wrong_sign",
            "You subtract the variance. Do random scores make the loss smaller?",
            _initial(lambda s: np.log(s.shape[1]) - np.mean(np.var(s, axis=1)) / 2),
        ),
    ],
)


# -- has_overfitted


def has_overfitted(losses: Array, share: float = 0.05) -> bool:
    """Whether the last loss is at most a share of the first."""
    return bool(np.all(np.isfinite(losses)) and losses[-1] <= share * losses[0])


def _overfit_case(label: str, losses: Any, out: str, *share: float) -> Case:
    return Case(label, [Call("has_overfitted", (np.asarray(losses, float), *share), (out,))])


def _falling(rng: Rng, first: float, last: float, steps: int = 40) -> Array:
    """A loss that falls like a geometric series, with some noise that leaves its ends alone."""
    losses = np.geomspace(first, last, steps) * np.exp(0.05 * rng.normal(size=steps))
    losses[0], losses[-1] = first, last
    return losses


def _overfit_visible(rng: Rng) -> Cases:
    yield _overfit_case("from 2.3 to 0.01", _falling(rng, 2.3, 0.01), "done")
    yield _overfit_case("from 2.3 to 1.9", _falling(rng, 2.3, 1.9), "done")
    back = np.concatenate([_falling(rng, 2.3, 0.01), _falling(rng, 0.01, 4.0)])
    yield _overfit_case("down to 0.01 and up again", back, "done")
    yield _overfit_case("from 2.3 to 2.25", _falling(rng, 2.3, 2.25), "done")
    yield _overfit_case("from 90 to 2", _falling(rng, 90.0, 2.0), "done")
    up = np.concatenate([_falling(rng, 2.3, 70.0), _falling(rng, 70.0, 2.0)])
    yield _overfit_case("up to 70 and down to 2", up, "done")
    yield _overfit_case("starts at infinity", [np.inf, *_falling(rng, 9.0, 1.0)], "broken")
    yield _overfit_case("ends at nan", [*_falling(rng, 2.0, 0.5), np.nan], "broken")


def _overfit_hidden(rng: Rng) -> Cases:
    yield _overfit_case("from 0.03 to 0.02", _falling(rng, 0.03, 0.02), "done")
    yield _overfit_case("share of 0.5: from 8 to 3", _falling(rng, 8.0, 3.0), "done", 0.5)
    yield _overfit_case("share of 0.001: from 8 to 0.1", _falling(rng, 8.0, 0.1), "done", 0.001)
    yield _overfit_case("nan in between", [2.0, np.nan, 1.0, 0.01], "broken")
    yield _overfit_case("down to exactly 0", [*_falling(rng, 2.0, 0.5), 0.0], "done")
    yield _overfit_case(
        "from 10 to 0.4, most of it in the first step", [10.0, *_falling(rng, 1.0, 0.4)], "done"
    )
    yield _overfit_case("from 10 to 0.7", _falling(rng, 10.0, 0.7), "done")


def _overfitted(function: Callable[[Array, float], Any]) -> dict[str, Callable]:
    return {"has_overfitted": lambda losses, share=0.05: bool(function(losses, share))}


overfit_exercise = Exercise(
    name="has_overfitted",
    title="Has the run learnt a few examples by heart?",
    points=2,
    grades=("has_overfitted",),
    reference={"has_overfitted": has_overfitted},
    visible=_overfit_visible,
    hidden=_overfit_hidden,
    labels={
        "done": "True where the last loss is at most a share of the first, otherwise False",
        "broken": "False where a loss is not finite",
    },
    misconceptions=[
        Misconception(
            "smallest_loss",
            "You look at the smallest loss. What does a run show that was there and went up again?",
            _overfitted(
                lambda losses, share: np.isfinite(losses).all() and losses.min() <= share * losses[0]
            ),
        ),
        Misconception(
            "largest_loss",
            "You compare with the largest loss. A run that jumps to 70 and comes back to where it began has learnt "
            "nothing: with what should its end be compared?",
            _overfitted(
                lambda losses, share: np.isfinite(losses).all() and losses[-1] <= share * losses.max()
            ),
        ),
        Misconception(
            "fixed_threshold",
            "You compare the last loss with share itself. A run that starts at 0.03 passes without learning anything: "
            "with what should it be compared?",
            _overfitted(lambda losses, share: np.isfinite(losses).all() and losses[-1] <= share),
        ),
        Misconception(
            "any_improvement",
            "You ask whether the loss fell at all. Where does share enter?",
            _overfitted(lambda losses, share: np.isfinite(losses).all() and losses[-1] < losses[0]),
        ),
        Misconception(
            "nan_passes",
            "Every comparison with nan is False, so a `not` in front of it is True. What does your function say of a "
            "run that blew up?",
            _overfitted(lambda losses, share: not losses[-1] > share * losses[0]),
        ),
        Misconception(
            "infinity_passes",
            "A loss of infinity gets through: a share of infinity is infinity. Which of the losses do you ask for "
            "being finite, and does your question find infinity?",
            _overfitted(lambda losses, share: np.isfinite(losses[-1]) and losses[-1] <= share * losses[0]),
        ),
        Misconception(
            "wrong_way_round",
            "You return True where the loss has not fallen enough.",
            _overfitted(lambda losses, share: np.isfinite(losses).all() and losses[-1] > share * losses[0]),
        ),
        Misconception(
            "has_fallen_by_share",
            "You ask whether the loss has fallen *by* a share. It has to fall *to* a share.",
            _overfitted(
                lambda losses, share: np.isfinite(losses).all() and losses[-1] <= (1 - share) * losses[0]
            ),
        ),
        Misconception(
            "mean_of_the_run",
            "You average over the whole run. Where it began does not matter; where it ends does.",
            _overfitted(
                lambda losses, share: np.isfinite(losses).all() and losses.mean() <= share * losses[0]
            ),
        ),
    ],
)


# -- gradient_ratio


def gradient_ratio(grads: dict[str, Array]) -> float:
    """Root mean square of the first gradient, over that of the last."""
    rms = [np.sqrt(np.mean(g**2)) for g in grads.values()]
    return float(rms[0] / rms[-1])


def _flow_case(label: str, grads: dict[str, Array]) -> Case:
    return Case(label, [Call("gradient_ratio", (grads,), ("ratio",))])


def _flow_visible(rng: Rng) -> Cases:
    shapes = {"hidden1": (6, 5), "hidden2": (5, 5), "scores": (5, 3)}
    sizes = (1e-4, 1e-2, 1.0)
    grads = {name: s * rng.normal(size=shape) for (name, shape), s in zip(shapes.items(), sizes, strict=True)}
    yield _flow_case("three layers", grads)
    yield _flow_case(
        "the same, other numbers of units", {"a": rng.normal(size=(20, 8)), "b": rng.normal(size=(8, 2))}
    )


def _flow_hidden(rng: Rng) -> Cases:
    many = {f"hidden{k}": 3.0**k * rng.normal(size=(4, 4)) for k in range(1, 12)}
    yield _flow_case("eleven layers", many)
    yield _flow_case(
        "it grows downwards", {"w1": 50 * rng.normal(size=(9, 4)), "w2": rng.normal(size=(4, 4))}
    )
    yield _flow_case("nothing arrives", {"w1": np.zeros((3, 4)), "w2": rng.normal(size=(4, 2))})
    yield _flow_case(
        "last to first by name", {"z": rng.normal(size=(5, 2)), "a": 7 * rng.normal(size=(2, 6))}
    )


def _flow(size: Callable[[Array], Any]) -> dict[str, Callable]:
    """Another size of a gradient than its root mean square."""
    return {"gradient_ratio": lambda grads: _first_over_last([size(g) for g in grads.values()])}


def _first_over_last(sizes: list) -> float:
    return float(np.divide(sizes[0], sizes[-1]))


def _rms(g: Array) -> Any:
    return np.sqrt(np.mean(g**2))


flow_exercise = Exercise(
    name="gradient_ratio",
    title="What arrives at the first layer",
    points=1,
    grades=("gradient_ratio",),
    reference={"gradient_ratio": gradient_ratio},
    visible=_flow_visible,
    hidden=_flow_hidden,
    labels={"ratio": "the root mean square of the first gradient, over that of the last"},
    misconceptions=[
        Misconception(
            "norms",
            "You compare norms. A matrix with more entries has a larger norm, without any of them being larger.",
            _flow(np.linalg.norm),
        ),
        Misconception(
            "mean_square",
            "The root of the mean square is missing.",
            _flow(lambda g: np.mean(g**2)),
        ),
        Misconception(
            "signed_mean",
            "You average with signs, so that large entries cancel.",
            _flow(np.mean),
        ),
        Misconception(
            "mean_absolute",
            "You average absolute values. Which mean was asked for?",
            _flow(lambda g: np.mean(np.abs(g))),
        ),
        Misconception(
            "largest_entry",
            "You compare the largest entries: one entry of many thousands decides.",
            _flow(lambda g: np.abs(g).max()),
        ),
        Misconception(
            "upside_down",
            "You divide the last by the first. What should be small when the gradient vanishes on its way down?",
            {"gradient_ratio": lambda grads: _first_over_last([_rms(g) for g in reversed(grads.values())])},
        ),
        Misconception(
            "sorted_by_name",
            "You sort the names: hidden10 comes before hidden2. The dict has the order of the layers.",
            {"gradient_ratio": lambda grads: _first_over_last([_rms(grads[name]) for name in sorted(grads)])},
        ),
        Misconception(
            "smallest_over_largest",
            "You compare the smallest with the largest, wherever they are. Which two layers were asked for?",
            {
                "gradient_ratio": lambda grads: float(
                    min(map(_rms, grads.values())) / max(map(_rms, grads.values()))
                )
            },
        ),
        Misconception(
            "neighbours",
            "You compare the first layer with the second. Which one is the last?",
            {"gradient_ratio": lambda grads: _first_over_last([_rms(g) for g in grads.values()][:2])},
        ),
    ],
)


# -- update_ratio


def _ratio_case(label: str, before: Array, after: Array, out: str = "ratio", float32: bool = False) -> Case:
    return Case(label, [Call("update_ratio", (before, after), (out,))], float32=float32)


def _ratio_visible(rng: Rng) -> Cases:
    w = rng.normal(size=(4, 3))
    yield _ratio_case("weights of shape (4, 3)", w, w + 0.1 * rng.normal(size=(4, 3)))
    yield _ratio_case("a long step", w, w + 3 * rng.normal(size=(4, 3)))
    yield _ratio_case("a bias that starts at zero, and moves", np.zeros(5), rng.normal(size=5), "from_zero")


def _ratio_hidden(rng: Rng) -> Cases:
    b = rng.normal(size=7)
    yield _ratio_case("a bias", b, b - 0.01 * rng.normal(size=7))
    tiny = 1e-9 * rng.normal(size=(6, 2))
    yield _ratio_case("weights of size 1e-9", tiny, 0.9 * tiny + 1e-10 * rng.normal(size=(6, 2)))
    w = rng.normal(size=(2, 3, 3, 3))
    yield _ratio_case("a convolution", w, w + 0.01 * rng.normal(size=w.shape))
    yield _ratio_case("nothing moved", w, w.copy())
    yield _ratio_case("a bias of zeros that stays", np.zeros(3), np.zeros(3), "from_zero")
    flat = rng.normal(size=(30, 4))
    yield _ratio_case("the weights shrink", flat, 0.5 * flat)
    yield _ratio_case("some weights are zero", flat * (flat > 0), flat + 0.1)
    yield _ratio_case("float32", flat, flat + 0.01 * rng.normal(size=(30, 4)), float32=True)


def _wrong_ratio(function: Callable[[Array, Array], Any]) -> dict[str, Callable]:
    """A wrong quotient, right where the weights are zero."""

    def ratio(before: Array, after: Array) -> float:
        return float(function(before, after)) if np.any(before) else update_ratio(before, after)

    return {"update_ratio": ratio}


def _quotient(a: Any, b: Any) -> float:
    return float(np.divide(a, b))


def _largest(w: Array) -> Any:
    """Singular value; of anything but a matrix, the norm."""
    return np.linalg.norm(w, 2) if w.ndim == 2 else _norm(w)


def _norm(w: Array) -> Any:
    return np.linalg.norm(w.ravel())


ratio_exercise = Exercise(
    name="update_ratio",
    title="Update ratio",
    points=2,
    grades=("update_ratio",),
    reference={"update_ratio": update_ratio},
    visible=_ratio_visible,
    hidden=_ratio_hidden,
    labels={
        "ratio": "the norm of the update over the norm of the weights before it",
        "from_zero": "weights of zero: infinite if they moved, 0 if they did not",
    },
    misconceptions=[
        Misconception(
            "after_below",
            "You divide by the size that the weights have after the step. A step that throws them far away makes what "
            "it is compared with larger: which size should that be?",
            _wrong_ratio(lambda before, after: _quotient(_norm(after - before), _norm(after))),
        ),
        Misconception(
            "squared",
            "Your ratio is that of the squares.",
            _wrong_ratio(lambda before, after: _quotient(_norm(after - before) ** 2, _norm(before) ** 2)),
        ),
        Misconception(
            "largest_entries",
            "You compare the largest entries. Which norm was asked for?",
            _wrong_ratio(lambda before, after: _quotient(np.abs(after - before).max(), np.abs(before).max())),
        ),
        Misconception(
            "spectral_norm",
            "You compare largest singular values: np.linalg.norm(w, 2) of a matrix is that. Which norm was asked for?",
            _wrong_ratio(lambda before, after: _quotient(_largest(after - before), _largest(before))),
        ),
        Misconception(
            "absolute_values",
            "You compare sums of absolute values. Which norm was asked for?",
            _wrong_ratio(lambda before, after: _quotient(np.abs(after - before).sum(), np.abs(before).sum())),
        ),
        Misconception(
            "difference_of_norms",
            "You take the difference of two norms. Weights that turn keep their norm: did they not move?",
            _wrong_ratio(lambda before, after: _quotient(abs(_norm(after) - _norm(before)), _norm(before))),
        ),
        Misconception(
            "entry_by_entry",
            "You divide entry by entry and average. One weight near zero decides about everything.",
            _wrong_ratio(lambda before, after: np.mean(np.abs(after - before) / np.abs(before))),
        ),
        Misconception(
            "not_relative",
            "You return the size of the update. The same step is a lot for small weights and nothing for large ones.",
            _wrong_ratio(lambda before, after: _norm(after - before)),
        ),
        Misconception(
            "upside_down",
            "You divide the weights by the update.",
            _wrong_ratio(lambda before, after: _quotient(_norm(before), _norm(after - before))),
        ),
        Misconception(
            "small_number_added",
            "You add a small number below the line. What is your ratio for weights that are themselves that small?",
            {"update_ratio": lambda before, after: float(_norm(after - before) / (_norm(before) + 1e-8))},
        ),
        Misconception(
            "zero_where_zero",
            "Where the weights are zero you return 0, although they moved. Is that a small update or a large one?",
            {
                "update_ratio": lambda before, after: (
                    float(_norm(after - before) / _norm(before)) if np.any(before) else 0.0
                )
            },
        ),
        Misconception(
            "sizes_of_both",
            "You divide the norm after the step by the norm before it: a step of zero gives 1.",
            _wrong_ratio(lambda before, after: _quotient(_norm(after), _norm(before))),
        ),
    ],
)


# -- measured_ratios


def _between(path: str, bounds: list[float], text: str) -> Case:
    low, high = bounds
    return Case("network 0, step 50", [Fetch(path.partition(".")[0])], {path: Between(low, high, text)})


_REAL = "is {value}. It is the update_ratio of the weights before and after the step"
_FORMULA = (
    "is {value}. It is the learning rate times the norm of the gradient, over the norm of the weights before"
)

measured_ratios = Exercise(
    name="measured_ratios",
    title="The update that was made, and the one from the formula",
    points=2,
    grades=("real", "formula"),
    reference={},
    visible=lambda rng: iter(
        [
            _between(f"{name}.{optimizer}", MEASURED[name][optimizer], f"{name}['{optimizer}'] {text}")
            for name, text in (("real", _REAL), ("formula", _FORMULA))
            for optimizer in MEASURED[name]
        ]
    ),
    labels={
        "real.momentum": "the update that momentum made",
        "real.adam": "the update that Adam made",
        "formula.momentum": "what the formula says for momentum",
        "formula.adam": "what the formula says for Adam",
    },
    pure=False,
)


# -- patients

DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PATIENTS, SIGNS, QUIZ = DATA["patients"], DATA["signs"], DATA["quiz"]
MEASURED: dict[str, dict[str, list[float]]] = DATA["measured"]
SEEDS = tuple(range(5))


def _patient(number: str, chart: dict[str, Any]) -> Exercise:
    """Name what a patient has, and heal it."""
    diagnosis, remedy = f"diagnosis_patient_{number}", f"remedy_patient_{number}"
    wrong = {
        letter: chart.get("instead", {}).get(letter, f"{sign} {chart['look']}")
        for letter, sign in SIGNS.items()
        if letter != chart["key"]
    }
    choice = Choice.of(f"{ASSIGNMENT} {diagnosis}", chart["key"], chart["right"], wrong)
    text = (
        f"after training from {len(SEEDS)} starts, the score on held-out images is {{value}}; healed, this patient "
        f"reaches {chart['healed']}"
    )
    return Exercise(
        name=f"patient_{number}",
        title=f"Patient {number}",
        points=2,
        grades=(diagnosis, remedy),
        reference={diagnosis: chart["key"], remedy: chart["remedy"]},
        visible=lambda rng: iter(
            [
                Case("", [Fetch(diagnosis)], {diagnosis: choice}),
                Case(
                    f"trained from {len(SEEDS)} starts",
                    [Fetch(remedy), Train(f"patient_{number}", Ref(remedy), ("score",), SEEDS)],
                    {"score": Between(chart["healed"], 1.0, text)},
                ),
            ]
        ),
        labels={diagnosis: "the diagnosis", "score": "the remedy heals"},
        pure=False,
    )


# -- quiz


quiz = choices(ASSIGNMENT, "quiz_08", QUIZ, 3)


EXERCISES = [
    softmax_exercise,
    initial_exercise,
    overfit_exercise,
    flow_exercise,
    ratio_exercise,
    measured_ratios,
    *(_patient(number, chart) for number, chart in PATIENTS.items()),
    quiz,
]
