"""Assignment 05: batch normalization. References, cases, points and misconceptions."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.layers import (
    affine_forward,
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    tanh_forward,
)

from ..answers import choices
from ..caches import cache_cases, cache_mistakes
from ..exercise import Between, Call, Case, Exercise, Fetch, Misconception, Ref

ASSIGNMENT = "05_batchnorm"

Array = np.ndarray
Rng = np.random.Generator
Cases = Iterator[Case]


def _arguments(rng: Rng, N: int, D: int) -> tuple[Array, Array, Array]:
    """Features with different means and widths, so that no two of them can stand for each other."""
    x = rng.normal(size=(N, D)) * rng.uniform(0.5, 3, D) + rng.uniform(2, 6, D) * rng.choice([-1, 1], D)
    return x, rng.uniform(0.5, 2, D) * rng.choice([-1, 1], D), rng.normal(size=D)


# -- stages, forward


def _forward_stages(x: Array, gamma: Array, beta: Array, eps: float, **wrong: Callable) -> dict[str, Array]:
    """The graph, with some of its nodes replaced; each takes the values so far, and eps."""
    right: dict[str, Callable] = {
        "mu": lambda v, eps: v["x"].mean(axis=0),
        "xc": lambda v, eps: v["x"] - v["mu"],
        "var": lambda v, eps: (v["xc"] ** 2).mean(axis=0),
        "std": lambda v, eps: np.sqrt(v["var"] + eps),
        "xhat": lambda v, eps: v["xc"] / v["std"],
        "out": lambda v, eps: v["gamma"] * v["xhat"] + v["beta"],
    }
    values = {"x": x, "gamma": gamma, "beta": beta}
    for name, node in (right | wrong).items():
        values[name] = node(values, eps)
    return values


def _computed(x: Array, gamma: Array, beta: Array, eps: float) -> dict[str, Array]:
    """What a student has to add to the three arrays that are given."""
    values = _forward_stages(x, gamma, beta, eps)
    return {name: value for name, value in values.items() if name not in ("x", "gamma", "beta")}


def _stages_case(label: str, *args: Any) -> Case:
    # in a batch of one xc and xhat are 0, or what is left of x / std - mu / std
    return Case(label, [Call("forward_stages", args, ("values",))], noise={"values": 1e-12})


def _forward_stages_visible(rng: Rng) -> Cases:
    yield _stages_case("x of shape (5, 3)", *_arguments(rng, 5, 3), 1e-5)
    yield _stages_case("x of shape (4, 2), eps = 0.5", *_arguments(rng, 4, 2), 0.5)


def _forward_stages_hidden(rng: Rng) -> Cases:
    yield _stages_case("as many examples as features", *_arguments(rng, 4, 4), 0.1)
    yield _stages_case("a batch of one", *_arguments(rng, 1, 3), 0.2)
    yield _stages_case("one feature", *_arguments(rng, 7, 1), 1e-3)
    x, gamma, beta = _arguments(rng, 6, 3)
    x[:, 1] = 2.0
    yield _stages_case("a feature that is the same for all examples", x, gamma, beta, 1e-2)


def _node(**wrong: Callable) -> dict[str, Callable]:
    return {"forward_stages": lambda x, gamma, beta, eps: _forward_stages(x, gamma, beta, eps, **wrong)}


def _centred_in_place(x: Array, gamma: Array, beta: Array, eps: float) -> dict[str, Array]:
    values = _forward_stages(x, gamma, beta, eps)
    x -= values["mu"]
    return values


forward_stages = Exercise(
    name="forward_stages",
    title="The graph, forward",
    points=3,
    grades=("forward_stages",),
    reference={"forward_stages": _computed},
    visible=_forward_stages_visible,
    hidden=_forward_stages_hidden,
    labels={
        "values.mu": "mu is the mean of each feature",
        "values.xc": "xc is x without it",
        "values.var": "var is the mean of the squares of xc",
        "values.std": "std is the root of var and eps",
        "values.xhat": "xhat is xc in units of std",
        "values.out": "out is xhat, scaled and shifted",
    },
    misconceptions=[
        Misconception(
            "mean_of_an_example",
            "Your mu has a number for each example. Which numbers are to have mean 0 in the end: those of one example, "
            "or those of one feature?",
            _node(
                mu=lambda v, eps: v["x"].mean(axis=1),
                xc=lambda v, eps: v["x"] - v["x"].mean(axis=1, keepdims=True),
            ),
        ),
        Misconception(
            "one_mean",
            "Your mu is one number. How many features are there, and do they have the same mean?",
            _node(mu=lambda v, eps: v["x"].mean()),
        ),
        Misconception(
            "sample_variance",
            "You divide the sum of squares by N - 1. That estimates the variance of more data; here we want that of "
            "this batch.",
            _node(var=lambda v, eps: v["x"].var(axis=0, ddof=1) if len(v["x"]) > 1 else 0 * v["mu"]),
        ),
        Misconception(
            "sum_of_squares",
            "Your var grows with the number of examples. Which word in its definition is missing?",
            _node(var=lambda v, eps: (v["xc"] ** 2).sum(axis=0)),
        ),
        Misconception(
            "squares_not_centred",
            "You average the squares of x, not of xc.",
            _node(var=lambda v, eps: (v["x"] ** 2).mean(axis=0)),
        ),
        Misconception(
            "eps_subtracted",
            "You subtract eps. What is the root of 0 - eps, for a feature that is the same in all examples?",
            _node(std=lambda v, eps: np.sqrt(v["var"] - eps)),
        ),
        Misconception(
            "eps_outside",
            "You add eps after the root. On which side of the root does it stand in the formula?",
            _node(std=lambda v, eps: np.sqrt(v["var"]) + eps),
        ),
        Misconception(
            "eps_left_out",
            "eps is not in your std. What comes out for a feature that is the same in all examples?",
            _node(std=lambda v, eps: np.sqrt(v["var"])),
        ),
        Misconception(
            "eps_fixed",
            "You add 1e-5 whatever eps is.",
            _node(std=lambda v, eps: np.sqrt(v["var"] + 1e-5)),
        ),
        Misconception(
            "no_root",
            "Your std is a variance. In which unit is it, if x is in metres?",
            _node(std=lambda v, eps: v["var"] + eps),
        ),
        Misconception(
            "not_centred",
            "Your xhat divides x itself. What is its mean?",
            _node(xhat=lambda v, eps: v["x"] / v["std"]),
        ),
        Misconception(
            "divided_by_var",
            "Your xhat divides by var. In which unit is it, if x is in metres?",
            _node(xhat=lambda v, eps: v["xc"] / v["var"]),
        ),
        Misconception(
            "not_scaled",
            "Your out is xhat. gamma and beta are missing.",
            _node(out=lambda v, eps: v["xhat"].copy()),
        ),
        Misconception(
            "gamma_and_beta_swapped",
            "gamma and beta have changed places. Which of the two multiplies?",
            _node(out=lambda v, eps: v["beta"] * v["xhat"] + v["gamma"]),
        ),
        Misconception(
            "scaled_before",
            "You scale the sum of xhat and beta. By how much does out move when beta grows by 1?",
            _node(out=lambda v, eps: v["gamma"] * (v["xhat"] + v["beta"])),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"forward_stages": _centred_in_place},
        ),
    ],
)


# -- stages, backward


def _backward_stages(dout: Array, values: Mapping[str, Array], **wrong: Callable) -> dict[str, Array]:
    """The graph, backward, with some of its nodes replaced; each takes the values, the gradients so far, and N."""
    right: dict[str, Callable] = {
        "beta": lambda v, g, N: g["out"].sum(axis=0),
        "gamma": lambda v, g, N: (g["out"] * v["xhat"]).sum(axis=0),
        "xhat": lambda v, g, N: g["out"] * v["gamma"],
        "std": lambda v, g, N: -(g["xhat"] * v["xc"]).sum(axis=0) / v["std"] ** 2,
        "var": lambda v, g, N: g["std"] * 0.5 / v["std"],
        "xc": lambda v, g, N: g["xhat"] / v["std"] + g["var"] * 2 * v["xc"] / N,
        "mu": lambda v, g, N: -g["xc"].sum(axis=0),
        "x": lambda v, g, N: g["xc"] + g["mu"] / N,
    }
    gradients = {"out": dout}
    for name, node in (right | wrong).items():
        gradients[name] = node(values, gradients, len(dout))
    del gradients["out"]
    return gradients


def _back_case(label: str, rng: Rng, *args: Any) -> Case:
    # once to be looked at, and once to stay as it is: a dict of the student's own kind may have attributes too
    seen, kept = (Call("forward_stages", args, (name,)) for name in ("values", "kept"))
    backward = Call("backward_stages", (rng.normal(size=args[0].shape), Ref("kept")), ("gradients",))
    noise = {"values": 1e-12, "gradients": 1e-12}  # in a batch of one, xhat and the gradient of x are 0
    return Case(label, [seen, kept, backward], noise=noise, ignore=("kept",))


def _backward_stages_visible(rng: Rng) -> Cases:
    yield _back_case("x of shape (5, 3)", rng, *_arguments(rng, 5, 3), 1e-5)
    yield _back_case("x of shape (4, 2), eps = 0.5", rng, *_arguments(rng, 4, 2), 0.5)


def _backward_stages_hidden(rng: Rng) -> Cases:
    yield _back_case("as many examples as features", rng, *_arguments(rng, 4, 4), 0.1)
    yield _back_case("a batch of one", rng, *_arguments(rng, 1, 3), 0.2)
    yield _back_case("one feature", rng, *_arguments(rng, 7, 1), 1e-3)
    yield _back_case("30 examples", rng, *_arguments(rng, 30, 4), 1e-2)


def _back(**wrong: Callable) -> dict[str, Callable]:
    return {"backward_stages": lambda dout, values: _backward_stages(dout, values, **wrong)}


def _overwritten(dout: Array, values: Mapping[str, Array], name: str, by: str) -> dict[str, Array]:
    gradients = _backward_stages(dout, values)
    return gradients | {name: gradients[by]}


def _scales_dout(dout: Array, values: Mapping[str, Array]) -> dict[str, Array]:
    gradients = _backward_stages(dout, values)
    dout *= values["gamma"]
    return gradients


backward_stages = Exercise(
    name="backward_stages",
    title="The graph, backward",
    points=5,
    grades=("backward_stages",),
    reference={"forward_stages": _forward_stages, "backward_stages": _backward_stages},
    visible=_backward_stages_visible,
    hidden=_backward_stages_hidden,
    labels={
        "gradients.beta": "beta: added in every row",
        "gradients.gamma": "gamma: multiplies xhat in every row",
        "gradients.xhat": "xhat: is multiplied by gamma",
        "gradients.std": "std: divides in every row",
        "gradients.var": "var: goes through the root",
        "gradients.xc": "xc: goes two ways",
        "gradients.mu": "mu: is subtracted in every row",
        "gradients.x": "x: goes two ways",
    },
    misconceptions=[
        Misconception(
            "dbeta_not_summed",
            "Your gradient of beta has a row for each example. All examples share one beta: what does that mean for "
            "its gradient?",
            _back(beta=lambda v, g, N: g["out"].copy()),
        ),
        Misconception(
            "dbeta_averaged",
            "Your gradient of beta is a mean over the examples. Nothing on its way divides by N.",
            _back(beta=lambda v, g, N: g["out"].mean(axis=0)),
        ),
        Misconception(
            "dgamma_not_summed",
            "Your gradient of gamma has a row for each example. All examples share one gamma.",
            _back(gamma=lambda v, g, N: g["out"] * v["xhat"]),
        ),
        Misconception(
            "dgamma_with_x",
            "Your gradient of gamma is made with x. What is gamma multiplied with in the forward pass?",
            _back(gamma=lambda v, g, N: (g["out"] * v["x"]).sum(axis=0)),
        ),
        Misconception(
            "dgamma_with_xc",
            "Your gradient of gamma is made with xc. What is gamma multiplied with in the forward pass?",
            _back(gamma=lambda v, g, N: (g["out"] * v["xc"]).sum(axis=0)),
        ),
        Misconception(
            "gamma_skipped",
            "Your gradient of xhat is that of out. What stands between the two?",
            _back(xhat=lambda v, g, N: g["out"].copy()),
        ),
        Misconception(
            "std_sign",
            "Your gradient of std has the wrong sign. If std grows, does xhat grow?",
            _back(std=lambda v, g, N: (g["xhat"] * v["xc"]).sum(axis=0) / v["std"] ** 2),
        ),
        Misconception(
            "std_power",
            "You divide by std once. What is the derivative of xc / std for std?",
            _back(std=lambda v, g, N: -(g["xhat"] * v["xc"]).sum(axis=0) / v["std"]),
        ),
        Misconception(
            "std_from_xhat",
            "You multiply by xhat and divide by std twice. xhat has been divided by std once already.",
            _back(std=lambda v, g, N: -(g["xhat"] * v["xhat"]).sum(axis=0) / v["std"] ** 2),
        ),
        Misconception(
            "std_not_summed",
            "Your gradient of std has a row for each example. One std divides all of them.",
            _back(
                std=lambda v, g, N: -g["xhat"] * v["xc"] / v["std"] ** 2,
                var=lambda v, g, N: g["std"].sum(axis=0) * 0.5 / v["std"],
            ),
        ),
        Misconception(
            "no_half",
            "Your gradient of var is twice too large. What is the derivative of a root?",
            _back(var=lambda v, g, N: g["std"] / v["std"]),
        ),
        Misconception(
            "divided_by_var",
            "You divide by the square of std. What is the derivative of a root, written with the root itself?",
            _back(var=lambda v, g, N: g["std"] * 0.5 / v["std"] ** 2),
        ),
        Misconception(
            "var_without_eps",
            "You divide by the root of var. The forward pass took the root of something else: which name does it have?",
            _back(var=lambda v, g, N: g["std"] * 0.5 / np.sqrt(v["var"])),
        ),
        Misconception(
            "xhat_overwritten",
            "Your gradient of xhat holds that of xc. Do two names stand for one array? += and /= write into it.",
            {"backward_stages": lambda dout, values: _overwritten(dout, values, "xhat", "xc")},
        ),
        Misconception(
            "xc_overwritten",
            "Your gradient of xc holds that of x. Do two names stand for one array? += writes into it.",
            {"backward_stages": lambda dout, values: _overwritten(dout, values, "xc", "x")},
        ),
        Misconception(
            "variance_path_dropped",
            "Only what comes from xhat arrives at your xc. Which other arrow starts there in the forward graph?",
            _back(xc=lambda v, g, N: g["xhat"] / v["std"]),
        ),
        Misconception(
            "straight_path_dropped",
            "Only what comes from var arrives at your xc. Which other arrow starts there in the forward graph?",
            _back(xc=lambda v, g, N: g["var"] * 2 * v["xc"] / N),
        ),
        Misconception(
            "variance_without_n",
            "What comes from var is N times too large. var is a mean of squares: how much of it is one square?",
            _back(xc=lambda v, g, N: g["xhat"] / v["std"] + g["var"] * 2 * v["xc"]),
        ),
        Misconception(
            "square_without_two",
            "What comes from var is half of what it should be. What is the derivative of a square?",
            _back(xc=lambda v, g, N: g["xhat"] / v["std"] + g["var"] * v["xc"] / N),
        ),
        Misconception(
            "sample_variance",
            "You divide by N - 1 on the way back. By what did you divide on the way there?",
            _back(xc=lambda v, g, N: g["xhat"] / v["std"] + g["var"] * 2 * v["xc"] / max(N - 1, 1)),
        ),
        Misconception(
            "mu_sign",
            "Your gradient of mu has the wrong sign. If mu grows, does xc grow?",
            _back(mu=lambda v, g, N: g["xc"].sum(axis=0)),
        ),
        Misconception(
            "mean_path_dropped",
            "Only what comes from xc arrives at your x. Which other arrow starts there in the forward graph?",
            _back(x=lambda v, g, N: g["xc"].copy()),
        ),
        Misconception(
            "mean_without_n",
            "What comes from mu is N times too large. mu is a mean: how much of it is one row?",
            _back(x=lambda v, g, N: g["xc"] + g["mu"]),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            {"backward_stages": _scales_dout},
        ),
    ],
)


# -- batchnorm_forward


def _train_case(label: str, args: tuple, bn_param: dict, float32: bool = False) -> Case:
    call = Call("batchnorm_forward", (*args, bn_param), ("out", "cache"), writes={3: "bn_param"})
    return Case(label, [call], float32=float32)


def _test_case(label: str, rng: Rng, args: tuple, **settings: Any) -> Case:
    bn_param = {"mode": "test", **_statistics(rng, args[0].shape[1]), **settings}
    call = Call(
        "batchnorm_forward", (*args, bn_param), ("out_test", "cache"), writes={3: "bn_param_after_test"}
    )
    return Case(label, [call])


def _statistics(rng: Rng, D: int) -> dict[str, Array]:
    return {"running_mean": rng.normal(size=D), "running_var": rng.uniform(0.5, 2, D)}


def _batchnorm_forward_visible(rng: Rng) -> Cases:
    x, gamma, beta = _arguments(rng, 5, 3)
    # features so narrow that an eps of 1e-5 can be seen
    yield _train_case("mode train, x of shape (5, 3)", (x / 20, gamma, beta), {"mode": "train"})
    settings = {"mode": "train", "eps": 0.5, "momentum": 0.7, **_statistics(rng, 2)}
    yield _train_case(
        "mode train, eps = 0.5, momentum = 0.7, with running statistics", _arguments(rng, 4, 2), settings
    )
    x, gamma, beta = _arguments(rng, 6, 2)
    yield _train_case("mode train, x around a million", (x + 1e6, gamma, beta), {"mode": "train"})
    yield _test_case("mode test, eps = 0.5", rng, _arguments(rng, 4, 3), eps=0.5)


def _batchnorm_forward_hidden(rng: Rng) -> Cases:
    yield _train_case("mode train, as many examples as features", _arguments(rng, 4, 4), {"mode": "train"})
    yield _train_case("mode train, a batch of one", _arguments(rng, 1, 3), {"mode": "train", "eps": 0.1})
    x, gamma, beta = _arguments(rng, 6, 3)
    x[:, 1] = 2.0
    yield _train_case(
        "mode train, a feature that is the same for all examples", (x, gamma, beta), {"mode": "train"}
    )
    first, second = _arguments(rng, 5, 3), _arguments(rng, 7, 3)
    yield Case(
        "mode train, two batches in a row",
        [
            Call(
                "batchnorm_forward",
                (*first, {"mode": "train", "momentum": 0.6}),
                ("out_first", "cache_first"),
                writes={3: "between"},
            ),
            Call("batchnorm_forward", (*second, Ref("between")), ("out", "cache"), writes={3: "bn_param"}),
        ],
        ignore=("out_first", "cache_first", "between", "cache"),
    )
    yield _test_case("mode test, one example", rng, _arguments(rng, 1, 3))
    yield _test_case("mode test, momentum = 0.3", rng, _arguments(rng, 5, 2), momentum=0.3)
    yield _train_case("mode train, float32", _arguments(rng, 30, 3), {"mode": "train"}, float32=True)


Param = dict[str, Any]


def _own_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    bn_param: Param,
    *,
    mean: Callable = lambda x: x.mean(axis=0),
    var: Callable = lambda x: x.var(axis=0),
    stored_var: Callable | None = None,
    std: Callable = lambda var, eps: np.sqrt(var + eps),
    running: Callable = lambda old, new, m: m * old + (1 - m) * new,
    start_var: float = 0.0,
    batch_at_test: bool = False,
    update_at_test: bool = False,
    test_out: Callable = lambda xhat, gamma, beta: gamma * xhat + beta,
) -> tuple:
    """Batch normalization with one part replaced."""
    training = bn_param["mode"] == "train"
    eps, m, D = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9), x.shape[1]
    old = bn_param.get("running_mean", np.zeros(D)), bn_param.get("running_var", np.full(D, start_var))
    mu, variance = (mean(x), var(x)) if training or batch_at_test else old
    if training or update_at_test:
        new_var = variance if stored_var is None else stored_var(x)
        if update_at_test and not training:
            bn_param["running_mean"], bn_param["running_var"] = (
                running(old[0], mean(x), m),
                running(old[1], var(x), m),
            )
        else:
            bn_param["running_mean"], bn_param["running_var"] = (
                running(old[0], mu, m),
                running(old[1], new_var, m),
            )
    xhat = (x - mu) / std(variance, eps)
    return (gamma * xhat + beta if training else test_out(xhat, gamma, beta)), None


def _forward(**replaced: Any) -> dict[str, Callable]:
    return {
        "batchnorm_forward": lambda x, gamma, beta, bn_param: _own_forward(
            x, gamma, beta, bn_param, **replaced
        )
    }


def _keeps_nothing(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    return batchnorm_forward(x, gamma, beta, dict(bn_param))


def _keeps_the_mean_alone(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, cache = batchnorm_forward(x, gamma, beta, own := dict(bn_param))
    if bn_param["mode"] == "train":
        bn_param["running_mean"] = own["running_mean"]
    return out, cache


def _ignores(key: str, value: float) -> dict[str, Callable]:
    def forward(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
        own = {**bn_param, key: value}
        out, cache = batchnorm_forward(x, gamma, beta, own)
        bn_param.update({name: own[name] for name in ("running_mean", "running_var") if name in own})
        return out, cache

    return {"batchnorm_forward": forward}


def _default_eps(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, cache = batchnorm_forward(x, gamma, beta, own := {"eps": 1e-8, **bn_param})
    bn_param.update({name: own[name] for name in ("running_mean", "running_var") if name in own})
    return out, cache


def _stores_eps(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, cache = batchnorm_forward(x, gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        share = 1 - bn_param.get("momentum", 0.9)
        bn_param["running_var"] = bn_param["running_var"] + share * bn_param.get("eps", 1e-5)
    return out, cache


def _stores_rows(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, cache = batchnorm_forward(x, gamma, beta, bn_param)
    if bn_param["mode"] == "train":
        for name in ("running_mean", "running_var"):
            bn_param[name] = bn_param[name][None]
    return out, cache


def _centres_x(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, cache = batchnorm_forward(x, gamma, beta, bn_param)
    x -= x.mean(axis=0)
    return out, cache


def _without_eps_at_test(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    if bn_param["mode"] == "train":
        return batchnorm_forward(x, gamma, beta, bn_param)
    return batchnorm_forward(x, gamma, beta, {**bn_param, "eps": 0.0})


def _averages_in_training(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    _, cache = batchnorm_forward(x, gamma, beta, bn_param)
    return batchnorm_forward(x, gamma, beta, {**bn_param, "mode": "test"})[0], cache


def _sample(x: Array) -> Array:
    return x.var(axis=0) * len(x) / max(len(x) - 1, 1)


batchnorm_forward_exercise = Exercise(
    name="batchnorm_forward",
    title="Batch normalization, forward",
    points=5,
    grades=("batchnorm_forward",),
    reference={"batchnorm_forward": batchnorm_forward},
    visible=_batchnorm_forward_visible,
    hidden=_batchnorm_forward_hidden,
    labels={
        "out": "in training, each feature is normalized by this batch",
        "bn_param.running_mean": "in training, running_mean moves a little towards the mean of this batch",
        "bn_param.running_var": "in training, running_var moves alike",
        "out_test": "in test mode, the running statistics normalize",
        "bn_param_after_test.running_mean": "in test mode, running_mean stays",
        "bn_param_after_test.running_var": "in test mode, running_var stays",
    },
    misconceptions=[
        Misconception(
            "eps_subtracted",
            "You subtract eps under the root. What is the root of 0 - eps, for a feature that is the same in all "
            "examples?",
            _forward(std=lambda var, eps: np.sqrt(var - eps)),
        ),
        Misconception(
            "eps_outside",
            "You add eps after the root. On which side of the root does it stand in the formula?",
            _forward(std=lambda var, eps: np.sqrt(var) + eps),
        ),
        Misconception(
            "eps_left_out",
            "eps is missing under the root. What comes out for a feature that is the same in all examples?",
            _forward(std=lambda var, eps: np.sqrt(var)),
        ),
        Misconception(
            "eps_left_out_at_test",
            "In test mode eps is missing under the root.",
            {"batchnorm_forward": _without_eps_at_test},
        ),
        Misconception(
            "eps_fixed",
            "You add 1e-5 whatever bn_param says. Where does the caller say how much eps is?",
            _ignores("eps", 1e-5),
        ),
        Misconception(
            "eps_of_1e-8",
            "Where bn_param has no eps you take 1e-8. Look into the table: what is it then?",
            {"batchnorm_forward": _default_eps},
        ),
        Misconception(
            "eps_stored",
            "Your running_var has eps in it, and in test mode it is added once more. What is the variance of this "
            "batch?",
            {"batchnorm_forward": _stores_eps},
        ),
        Misconception(
            "statistics_are_rows",
            "Your running statistics have a second axis, of length 1. They hold one number for each feature: which "
            "shape does the table give?",
            {"batchnorm_forward": _stores_rows},
        ),
        Misconception(
            "sample_variance",
            "You divide by N - 1. That estimates the variance of more data; what is normalized here is this batch.",
            _forward(var=_sample),
        ),
        Misconception(
            "sample_variance_stored",
            "What you store is the variance with N - 1. PyTorch does that too; this course stores the one that it "
            "divides by.",
            _forward(stored_var=_sample),
        ),
        Misconception(
            "mean_of_squares",
            "You compute the variance as a mean of squares minus the square of the mean. Around a million both are "
            "1e12: how many of their digits are left in the difference?",
            _forward(var=lambda x: (x**2).mean(axis=0) - x.mean(axis=0) ** 2),
        ),
        Misconception(
            "momentum_swapped",
            "Your running statistics are mostly this batch. With a momentum of 0.9, how much of the old value stays?",
            _forward(running=lambda old, new, m: (1 - m) * old + m * new),
        ),
        Misconception(
            "momentum_fixed",
            "You use a momentum of 0.9 whatever bn_param says.",
            _ignores("momentum", 0.9),
        ),
        Misconception(
            "latest_batch",
            "Your running statistics are those of the latest batch. What became of the batches before?",
            _forward(running=lambda old, new, m: new),
        ),
        Misconception(
            "added_up",
            "Your running statistics grow with each batch. How much of the old value is to stay?",
            _forward(running=lambda old, new, m: old + (1 - m) * new),
        ),
        Misconception(
            "running_std",
            "You store a standard deviation in running_var.",
            _forward(stored_var=lambda x: x.std(axis=0)),
        ),
        Misconception(
            "starts_at_one",
            "Your running_var starts at 1 where the caller gave none. Which start did we agree on?",
            _forward(start_var=1.0),
        ),
        Misconception(
            "not_written_back",
            "The running statistics are not in bn_param when you are done. How is the next call to know of this one?",
            {"batchnorm_forward": _keeps_nothing},
        ),
        Misconception(
            "mean_alone_written",
            "You write back the mean and not the variance.",
            {"batchnorm_forward": _keeps_the_mean_alone},
        ),
        Misconception(
            "batch_at_test",
            "In test mode you use the statistics of this batch. What comes out when somebody asks about one example?",
            _forward(batch_at_test=True),
        ),
        Misconception(
            "averages_in_training",
            "In training you normalize with the running statistics. Which numbers have mean 0 then?",
            {"batchnorm_forward": _averages_in_training},
        ),
        Misconception(
            "updated_at_test",
            "In test mode you move the running statistics. Should a network learn from the data that it is tested on?",
            _forward(update_at_test=True),
        ),
        Misconception(
            "not_scaled_at_test",
            "In test mode gamma and beta are missing. The layers above have learnt with them.",
            _forward(test_out=lambda xhat, gamma, beta: xhat),
        ),
        Misconception(
            "over_the_features",
            "You normalize each example over its features. That is another layer, in the stretch part. What is to have "
            "mean 0 here?",
            _forward(
                mean=lambda x: x.mean(axis=1, keepdims=True), var=lambda x: x.var(axis=1, keepdims=True)
            ),
        ),
        Misconception(
            "one_mean",
            "You take one mean and one variance over all features together. Do they have the same?",
            _forward(
                mean=lambda x: np.full(x.shape[1], x.mean()), var=lambda x: np.full(x.shape[1], x.var())
            ),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"batchnorm_forward": _centres_x},
        ),
    ],
)


# -- batchnorm_backward, and its shorter form

GRADIENTS = ("dx", "dgamma", "dbeta")


def _pair_case(
    label: str, rng: Rng, args: tuple, bn_param: Param, backward: str, float32: bool = False
) -> Case:
    dout = rng.normal(size=args[0].shape)
    bn_param = {"eps": 1e-5, **bn_param}  # given: who takes another default has paid for it in forward
    steps = [
        Call("batchnorm_forward", (*args, bn_param), ("out", "cache")),
        Call(backward, (dout, Ref("cache")), GRADIENTS),
    ]
    return Case(label, steps, noise={"dx": 1e-12, "dgamma": 1e-12}, float32=float32)  # 0 in a batch of one


def _train(rng: Rng, N: int, D: int) -> tuple:
    return (*_arguments(rng, N, D), {"mode": "train", "eps": 1e-5})


def _batchnorm_backward_visible(rng: Rng, backward: str = "batchnorm_backward") -> Cases:
    yield _pair_case("x of shape (5, 3)", rng, _arguments(rng, 5, 3), {"mode": "train"}, backward)
    yield _pair_case("eps = 0.5", rng, _arguments(rng, 4, 2), {"mode": "train", "eps": 0.5}, backward)


def _batchnorm_backward_hidden(rng: Rng, backward: str = "batchnorm_backward") -> Cases:
    yield _pair_case("as many examples as features", rng, _arguments(rng, 4, 4), {"mode": "train"}, backward)
    yield _pair_case("a batch of one", rng, _arguments(rng, 1, 3), {"mode": "train", "eps": 0.1}, backward)
    yield _pair_case("one feature", rng, _arguments(rng, 9, 1), {"mode": "train"}, backward)
    x, gamma, beta = _arguments(rng, 6, 3)
    x[:, 1] = 2.0
    yield _pair_case(
        "a feature that is the same for all examples",
        rng,
        (x, gamma, beta),
        {"mode": "train", "eps": 0.1},
        backward,
    )
    yield _pair_case("float32", rng, _arguments(rng, 30, 3), {"mode": "train"}, backward, float32=True)


def _keeps_arguments(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple:
    out, _ = batchnorm_forward(x, gamma, beta, bn_param)
    return out, (x.copy(), gamma.copy(), float(bn_param.get("eps", 1e-5)))


def _wrong(
    name: str = "batchnorm_backward",
    dx: Callable | None = None,
    dgamma: Callable | None = None,
    dbeta: Callable | None = None,
) -> dict[str, Callable]:
    """The backward pass with one gradient replaced; each takes dout, x, gamma, xhat, and s, the root."""

    def backward(dout: Array, cache: tuple) -> tuple:
        x, gamma, eps = cache
        s = np.sqrt(x.var(axis=0) + eps)
        xhat = (x - x.mean(axis=0)) / s
        right = gamma / s * (dout - dout.mean(axis=0) - xhat * (dout * xhat).mean(axis=0))
        return (
            right if dx is None else dx(dout, x, gamma, xhat, s),
            (dout * xhat).sum(axis=0) if dgamma is None else dgamma(dout, x, gamma, xhat, s),
            dout.sum(axis=0) if dbeta is None else dbeta(dout, x, gamma, xhat, s),
        )

    return {"batchnorm_forward": _keeps_arguments, name: backward}


def _backward_mistakes(name: str) -> list[Misconception]:
    """What is wrong in either form of the backward pass."""
    return [
        Misconception(
            "constants",
            "You treat mean and deviation as constants. When one example moves, do they stay?",
            _wrong(name, dx=lambda dout, x, gamma, xhat, s: gamma / s * dout),
        ),
        Misconception(
            "mean_path_dropped",
            "Your dx knows that the deviation depends on x, and forgets that the mean does.",
            _wrong(
                name,
                dx=lambda dout, x, gamma, xhat, s: gamma / s * (dout - xhat * (dout * xhat).mean(axis=0)),
            ),
        ),
        Misconception(
            "variance_path_dropped",
            "Your dx knows that the mean depends on x, and forgets that the deviation does.",
            _wrong(name, dx=lambda dout, x, gamma, xhat, s: gamma / s * (dout - dout.mean(axis=0))),
        ),
        Misconception(
            "sums_for_means",
            "What comes back through mean and deviation is N times too large. Both are means: how much of a mean is "
            "one example?",
            _wrong(
                name,
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma / s * (dout - dout.sum(axis=0) - xhat * (dout * xhat).sum(axis=0))
                ),
            ),
        ),
        Misconception(
            "sample_variance",
            "You divide by N - 1 on the way back through the variance. By what did you divide on the way there?",
            _wrong(
                name,
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma
                    / s
                    * (dout - dout.mean(axis=0) - xhat * (dout * xhat).sum(axis=0) / max(len(x) - 1, 1))
                ),
            ),
        ),
        Misconception(
            "gamma_skipped",
            "gamma is not in your dx. It stands between out and xhat.",
            _wrong(
                name,
                dx=lambda dout, x, gamma, xhat, s: (
                    1 / s * (dout - dout.mean(axis=0) - xhat * (dout * xhat).mean(axis=0))
                ),
            ),
        ),
        Misconception(
            "eps_left_out",
            "Your backward pass divides by the deviation without eps. What did the forward pass divide by?",
            _wrong(name, dx=_without_eps),
        ),
        Misconception(
            "dgamma_not_summed",
            "Your dgamma has a row for each example. They share one gamma: what does that mean for its gradient?",
            _wrong(name, dgamma=lambda dout, x, gamma, xhat, s: dout * xhat),
        ),
        Misconception(
            "dgamma_with_x",
            "Your dgamma is made with x. What is gamma multiplied with in the forward pass?",
            _wrong(name, dgamma=lambda dout, x, gamma, xhat, s: (dout * x).sum(axis=0)),
        ),
        Misconception(
            "sums_are_rows",
            "Your dgamma and dbeta have a second axis, of length 1. Which shape does gamma have?",
            _wrong(
                name,
                dgamma=lambda dout, x, gamma, xhat, s: (dout * xhat).sum(axis=0, keepdims=True),
                dbeta=lambda dout, x, gamma, xhat, s: dout.sum(axis=0, keepdims=True),
            ),
        ),
        Misconception(
            "dgamma_averaged",
            "Your dgamma is a mean over the examples. Nothing on its way divides by N.",
            _wrong(name, dgamma=lambda dout, x, gamma, xhat, s: (dout * xhat).mean(axis=0)),
        ),
        Misconception(
            "dbeta_not_summed",
            "Your dbeta has a row for each example. They share one beta: what does that mean for its gradient?",
            _wrong(name, dbeta=lambda dout, x, gamma, xhat, s: dout.copy()),
        ),
        Misconception(
            "dbeta_averaged",
            "Your dbeta is a mean over the examples. Nothing on its way divides by N.",
            _wrong(name, dbeta=lambda dout, x, gamma, xhat, s: dout.mean(axis=0)),
        ),
        Misconception(
            "order_swapped",
            "Your dgamma and dbeta have changed places. In which order do gamma and beta stand in batchnorm_forward?",
            _wrong(
                name,
                dgamma=lambda dout, x, gamma, xhat, s: dout.sum(axis=0),
                dbeta=lambda dout, x, gamma, xhat, s: (dout * xhat).sum(axis=0),
            ),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            _writes_into_dout(name),
        ),
    ]


def _without_eps(dout: Array, x: Array, gamma: Array, xhat: Array, s: Array) -> Array:
    bare = x.std(axis=0)
    xhat = (x - x.mean(axis=0)) / bare
    return gamma / bare * (dout - dout.mean(axis=0) - xhat * (dout * xhat).mean(axis=0))


def _writes_into_dout(name: str) -> dict[str, Callable]:
    def backward(dout: Array, cache: tuple) -> tuple:
        gradients = batchnorm_backward(dout, cache)
        dout *= 2
        return gradients

    return {name: backward}


batchnorm_backward_exercise = Exercise(
    name="batchnorm_backward",
    title="Batch normalization, backward",
    points=3,
    grades=("batchnorm_backward",),
    reference={"batchnorm_forward": batchnorm_forward, "batchnorm_backward": batchnorm_backward},
    visible=lambda rng: iter(
        [
            *_batchnorm_backward_visible(rng),
            *cache_cases("batchnorm", lambda: _train(rng, 4, 3), (4, 3), rng, GRADIENTS),
        ]
    ),
    hidden=_batchnorm_backward_hidden,
    labels={
        "dx": "dx comes from three ways",
        "dgamma": "dgamma hears from every example",
        "dbeta": "dbeta hears from every example",
    },
    misconceptions=[
        *_backward_mistakes("batchnorm_backward"),
        *cache_mistakes("batchnorm", batchnorm_forward, batchnorm_backward),
    ],
)


# -- measured


measured_reach = Exercise(
    name="measured_reach",
    title="What it buys, measured",
    points=3,
    grades=("factor_per_layer", "largest_rate_plain", "largest_rate_batchnorm"),
    reference={},
    visible=lambda rng: iter(
        [
            Case(
                "network 1",
                [Fetch("factor_per_layer")],
                {
                    "factor_per_layer": Between(
                        0.24,
                        0.31,
                        "factor_per_layer is {value}. Wanted is the spread of a layer over that of the layer below, "
                        "before any training and without normalization. It is smaller than 1, and about the same for "
                        "any two neighbours",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("largest_rate_plain")],
                {
                    "largest_rate_plain": Between(
                        0.19,
                        0.21,
                        "largest_rate_plain is {value}. Wanted is the largest rate of the list at which network 1 "
                        'still ends at 0.7 or better with normalization="none". Is it really network 1, and is '
                        "weight_scale the one that the exercise asks for?",
                    )
                },
            ),
            Case(
                "network 1",
                [Fetch("largest_rate_batchnorm")],
                {
                    "largest_rate_batchnorm": Between(
                        0.79,
                        0.81,
                        "largest_rate_batchnorm is {value}. Wanted is the largest rate of the list at which network 1 "
                        'still ends at 0.7 or better with normalization="batch". Is it really network 1, and is '
                        "weight_scale the one that the exercise asks for?",
                    )
                },
            ),
        ]
    ),
    labels={
        "factor_per_layer": "what one layer makes of the spread of the one below",
        "largest_rate_plain": "the largest rate without normalization",
        "largest_rate_batchnorm": "the largest rate with it",
    },
    pure=False,
)


# -- fix: a loop that evaluates


def _predict(
    x: Array,
    params: Mapping[str, Array],
    bn_params: list[Param],
    setting: Callable[[Param, int], Param] = lambda p, k: {**p, "mode": "test"},
    activation: Callable = tanh_forward,
) -> Array:
    h = x
    for k, bn_param in enumerate(bn_params, start=1):
        z, _ = affine_forward(h, params[f"w{k}"], params[f"b{k}"])
        z, _ = batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], setting(bn_param, k))
        h, _ = activation(z)
    scores, _ = affine_forward(h, params["w_scores"], params["b_scores"])
    return scores


def _trained(rng: Rng, layers: int, mode: str = "train", **settings: Any) -> tuple[dict, list[Param]]:
    """Parameters and bn_params of a network, as if it had been trained."""
    sizes = [4, *[3] * layers]
    params = {"w_scores": rng.normal(size=(3, 2)), "b_scores": rng.normal(size=2)}
    for k in range(1, layers + 1):
        _, gamma, beta = _arguments(rng, 1, sizes[k])
        params |= {f"w{k}": rng.normal(size=(sizes[k - 1], sizes[k])), f"b{k}": rng.normal(size=sizes[k])}
        params |= {f"gamma{k}": gamma, f"beta{k}": beta}
    # all settings are there, so that a layer which writes its defaults into the dict changes nothing
    settings = {"eps": 1e-5, "momentum": 0.9, **settings}
    return params, [{"mode": mode, **settings, **_statistics(rng, size)} for size in sizes[1:]]


def _predict_case(label: str, x: Array, network: tuple, out: str = "scores") -> Case:
    return Case(label, [Call("predict", (x, *network), (out,))])


def _predict_visible(rng: Rng) -> Cases:
    # The student's own layer comes first: where that is wrong in test mode, there is where to look.
    args, bn_param = _arguments(rng, 4, 3), {"mode": "test", **_statistics(rng, 3)}
    yield Case(
        "a batch of 5, two layers",
        [
            Call("batchnorm_forward", (*args, bn_param), ("out", "cache")),
            Call("predict", (rng.normal(size=(5, 4)), *_trained(rng, 2)), ("scores",)),
        ],
    )
    yield _predict_case("one example", rng.normal(size=(1, 4)), _trained(rng, 2), "scores_of_one")
    yield _predict_case(
        "somebody had set the mode already", rng.normal(size=(3, 4)), _trained(rng, 2, "test")
    )


def _predict_hidden(rng: Rng) -> Cases:
    yield _predict_case(
        "three layers, eps = 0.3", rng.normal(size=(6, 4)), _trained(rng, 3, eps=0.3, momentum=0.5)
    )
    yield _predict_case("all examples alike", np.tile(rng.normal(size=4), (5, 1)), _trained(rng, 2))


def _with(setting: Callable[[Param, int], Param]) -> dict[str, Callable]:
    return {"predict": lambda x, params, bn_params: _predict(x, params, bn_params, setting)}


def _switches(bn_param: Param, k: int) -> Param:
    bn_param["mode"] = "test"
    return bn_param


def _switches_back(x: Array, params: Mapping[str, Array], bn_params: list[Param]) -> Array:
    scores = _predict(x, params, bn_params, _switches)
    for bn_param in bn_params:
        bn_param["mode"] = "train"
    return scores


predict = Exercise(
    name="predict",
    title="An evaluation that tells the truth",
    points=4,
    grades=("predict",),
    reference={"predict": _predict, "batchnorm_forward": batchnorm_forward},
    visible=_predict_visible,
    hidden=_predict_hidden,
    labels={
        "scores": "the scores are those of the network that was trained",
        "scores_of_one": "also those of one example on its own",
    },
    misconceptions=[
        Misconception(
            "training_mode",
            "The scores of an example depend on who else is in the batch. Which mode did training leave in bn_params?",
            _with(lambda p, k: p),
        ),
        Misconception(
            "left_in_test_mode",
            "bn_params say mode test when you are done. What will the next training step do?",
            _with(_switches),
        ),
        Misconception(
            "set_to_train_afterwards",
            "You set the mode to train when you are done. Was it that before?",
            {"predict": _switches_back},
        ),
        Misconception(
            "statistics_lost",
            "You pass a dict without the running statistics. What are they, where the caller gives none?",
            _with(lambda p, k: {"mode": "test"}),
        ),
        Misconception(
            "settings_lost",
            "You pass on the statistics and lose the other settings of the layer. Which are there?",
            _with(lambda p, k: {"mode": "test", **{key: p[key] for key in ("running_mean", "running_var")}}),
        ),
        Misconception(
            "first_layer_only",
            "Only the first layer is in test mode.",
            _with(lambda p, k: {**p, "mode": "test"} if k == 1 else dict(p)),
        ),
        Misconception(
            "tanh_lost",
            "The tanh is missing between the layers.",
            {
                "predict": lambda x, params, bn_params: _predict(
                    x, params, bn_params, activation=lambda z: (z, None)
                )
            },
        ),
    ],
)


# -- quiz


QUIZ = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["quiz"]

quiz = choices(ASSIGNMENT, "quiz_05", QUIZ, 4)


# -- batchnorm_backward_alt (stretch)


batchnorm_backward_alt_exercise = Exercise(
    name="batchnorm_backward_alt",
    title="Batch normalization, backward, on one line",
    points=4,
    grades=("batchnorm_backward_alt",),
    reference={"batchnorm_forward": batchnorm_forward, "batchnorm_backward_alt": batchnorm_backward_alt},
    visible=lambda rng: _batchnorm_backward_visible(rng, "batchnorm_backward_alt"),
    hidden=lambda rng: _batchnorm_backward_hidden(rng, "batchnorm_backward_alt"),
    labels={
        "dx": "dx is what the staged one gives",
        "dgamma": "dgamma hears from every example",
        "dbeta": "dbeta hears from every example",
    },
    misconceptions=[
        *_backward_mistakes("batchnorm_backward_alt"),
        Misconception(
            "divided_by_variance",
            "You divide by the variance. Scale x by 10: what happens to xhat, and what should happen to dx?",
            _wrong(
                "batchnorm_backward_alt",
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma / s**2 * (dout - dout.mean(axis=0) - xhat * (dout * xhat).mean(axis=0))
                ),
            ),
        ),
        Misconception(
            "times_deviation",
            "You multiply by the deviation. Scale x by 10: what happens to xhat, and what should happen to dx?",
            _wrong(
                "batchnorm_backward_alt",
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma * s * (dout - dout.mean(axis=0) - xhat * (dout * xhat).mean(axis=0))
                ),
            ),
        ),
        Misconception(
            "features_for_examples",
            "You divide the sums by the number of features. Over how many numbers did the forward pass average?",
            _wrong(
                "batchnorm_backward_alt",
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma
                    / s
                    * (dout - dout.sum(axis=0) / x.shape[1] - xhat * (dout * xhat).sum(axis=0) / x.shape[1])
                ),
            ),
        ),
        Misconception(
            "added_not_subtracted",
            "You add what comes back through mean and deviation. If an example moves the mean up, do the others go up?",
            _wrong(
                "batchnorm_backward_alt",
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma / s * (dout + dout.mean(axis=0) + xhat * (dout * xhat).mean(axis=0))
                ),
            ),
        ),
        Misconception(
            "gamma_twice",
            "gamma is in some of your terms twice. Where did you replace dout by the gradient of xhat, and where not?",
            _wrong(
                "batchnorm_backward_alt",
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma / s * (dout - gamma * dout.mean(axis=0) - xhat * gamma * (dout * xhat).mean(axis=0))
                ),
            ),
        ),
    ],
    stretch=True,
)


# -- layernorm (stretch)


def _ln_case(label: str, args: tuple, ln_param: dict, float32: bool = False) -> Case:
    # entries that a student adds to ln_param (a mode, for a layernorm out of batchnorm_forward) do no harm
    call = Call("layernorm_forward", (*args, ln_param), ("out", "cache"), writes={3: "ln_param"})
    return Case(label, [call], ignore=("cache", "ln_param"), float32=float32)


def _ln_forward_visible(rng: Rng) -> Cases:
    x, gamma, beta = _arguments(rng, 3, 5)
    # features so close together that an eps of 1e-5 can be seen
    yield _ln_case("x of shape (3, 5)", (x / 50, gamma, beta), {})
    yield _ln_case("as many examples as features, eps = 0.5", _arguments(rng, 4, 4), {"eps": 0.5})


def _ln_forward_hidden(rng: Rng) -> Cases:
    yield _ln_case("a batch of one", _arguments(rng, 1, 6), {})
    yield _ln_case("more examples than features", _arguments(rng, 7, 2), {"eps": 0.1})
    x, gamma, beta = _arguments(rng, 4, 3)
    x[1] = 2.0
    yield _ln_case("an example whose features are all equal", (x, gamma, beta), {"eps": 0.01})
    yield _ln_case("float32", _arguments(rng, 20, 6), {}, float32=True)


def _own_layernorm(
    mean: Callable = lambda x: x.mean(axis=1, keepdims=True),
    var: Callable = lambda x: x.var(axis=1, keepdims=True),
    std: Callable = lambda var, eps: np.sqrt(var + eps),
    out: Callable = lambda xhat, gamma, beta: gamma * xhat + beta,
) -> dict[str, Callable]:
    def forward(x: Array, gamma: Array, beta: Array, ln_param: Param) -> tuple:
        xhat = (x - mean(x)) / std(var(x), ln_param.get("eps", 1e-5))
        return out(xhat, gamma, beta), None

    return {"layernorm_forward": forward}


def _scales_x(x: Array, gamma: Array, beta: Array, ln_param: Param) -> tuple:
    out, cache = layernorm_forward(x, gamma, beta, ln_param)
    x -= x.mean(axis=1, keepdims=True)
    return out, cache


layernorm_forward_exercise = Exercise(
    name="layernorm_forward",
    title="Layer normalization, forward",
    points=2,
    grades=("layernorm_forward",),
    reference={"layernorm_forward": layernorm_forward},
    visible=_ln_forward_visible,
    hidden=_ln_forward_hidden,
    labels={"out": "each example is normalized over its features"},
    misconceptions=[
        Misconception(
            "over_the_batch",
            "You normalize each feature over the batch: that was batchnorm. Along which axis do the features of one "
            "example lie?",
            _own_layernorm(mean=lambda x: x.mean(axis=0), var=lambda x: x.var(axis=0)),
        ),
        Misconception(
            "axis_not_kept",
            "Your means have one axis, and numpy lines them up with the features. Which shape fits the examples?",
            _own_layernorm(mean=lambda x: x.mean(axis=1), var=lambda x: x.var(axis=1)),
        ),
        Misconception(
            "sample_variance",
            "You divide by D - 1. What is normalized here are these D numbers.",
            _own_layernorm(var=lambda x: x.var(axis=1, ddof=1, keepdims=True)),
        ),
        Misconception(
            "one_mean",
            "You take one mean and one variance over all examples together. May one change the output of another?",
            _own_layernorm(mean=lambda x: x.mean(), var=lambda x: x.var()),
        ),
        Misconception(
            "eps_left_out",
            "eps is missing under the root. What comes out for an example whose features are all equal?",
            _own_layernorm(std=lambda var, eps: np.sqrt(var)),
        ),
        Misconception(
            "eps_fixed",
            "You add 1e-5 whatever ln_param says.",
            _own_layernorm(std=lambda var, eps: np.sqrt(var + 1e-5)),
        ),
        Misconception(
            "eps_of_1e-8",
            "Where ln_param has no eps you take 1e-8. What is it then?",
            {
                "layernorm_forward": lambda x, gamma, beta, ln_param: layernorm_forward(
                    x, gamma, beta, {"eps": 1e-8, **ln_param}
                )
            },
        ),
        Misconception(
            "eps_outside",
            "You add eps after the root. On which side of the root does it stand?",
            _own_layernorm(std=lambda var, eps: np.sqrt(var) + eps),
        ),
        Misconception(
            "scaled_by_example",
            "You scale each example by a gamma of its own. gamma and beta still belong to the features.",
            _own_layernorm(
                out=lambda xhat, gamma, beta: (
                    np.resize(gamma, len(xhat))[:, None] * xhat + np.resize(beta, len(xhat))[:, None]
                )
            ),
        ),
        Misconception(
            "not_scaled",
            "gamma and beta are missing.",
            _own_layernorm(out=lambda xhat, gamma, beta: xhat),
        ),
        Misconception(
            "writes_into_x",
            "You write into x. The caller still needs it: make a new array.",
            {"layernorm_forward": _scales_x},
        ),
    ],
    stretch=True,
)


def _ln_pair_case(label: str, rng: Rng, args: tuple, ln_param: dict, float32: bool = False) -> Case:
    ln_param = {"eps": 1e-5, **ln_param}  # as in `_pair_case`
    steps = [
        Call("layernorm_forward", (*args, ln_param), ("out", "cache")),
        Call("layernorm_backward", (rng.normal(size=args[0].shape), Ref("cache")), GRADIENTS),
    ]
    return Case(label, steps, float32=float32)


def _ln_backward_visible(rng: Rng) -> Cases:
    yield _ln_pair_case("x of shape (3, 5)", rng, _arguments(rng, 3, 5), {})
    yield _ln_pair_case("as many examples as features, eps = 0.5", rng, _arguments(rng, 4, 4), {"eps": 0.5})
    yield from cache_cases(
        "layernorm", lambda: (*_arguments(rng, 4, 3), {"eps": 0.1}), (4, 3), rng, GRADIENTS
    )


def _ln_backward_hidden(rng: Rng) -> Cases:
    yield _ln_pair_case("a batch of one", rng, _arguments(rng, 1, 6), {})
    yield _ln_pair_case("more examples than features", rng, _arguments(rng, 7, 3), {"eps": 0.1})
    yield _ln_pair_case("float32", rng, _arguments(rng, 20, 6), {}, float32=True)


def _ln_wrong(
    dx: Callable | None = None, dgamma: Callable | None = None, dbeta: Callable | None = None
) -> dict[str, Callable]:
    """The backward pass with one gradient replaced; each takes dout, x, gamma, xhat, and s, the root."""

    def forward(x: Array, gamma: Array, beta: Array, ln_param: Param) -> tuple:
        out, _ = layernorm_forward(x, gamma, beta, ln_param)
        return out, (x.copy(), gamma.copy(), float(ln_param.get("eps", 1e-5)))

    def backward(dout: Array, cache: tuple) -> tuple:
        x, gamma, eps = cache
        s = np.sqrt(x.var(axis=1, keepdims=True) + eps)
        xhat = (x - x.mean(axis=1, keepdims=True)) / s
        given = dout, x, gamma, xhat, s
        return (
            _ln_dx(given) if dx is None else dx(*given),
            (dout * xhat).sum(axis=0) if dgamma is None else dgamma(*given),
            dout.sum(axis=0) if dbeta is None else dbeta(*given),
        )

    return {"layernorm_forward": forward, "layernorm_backward": backward}


def _ln_dx(given: tuple, mean: float = 1.0, deviation: float = 1.0) -> Array:
    """The gradient, with what comes back through mean and deviation scaled by these factors."""
    dout, _, gamma, xhat, s = given
    dxhat = dout * gamma
    return (
        dxhat
        - mean * dxhat.mean(axis=1, keepdims=True)
        - deviation * xhat * (dxhat * xhat).mean(axis=1, keepdims=True)
    ) / s


def _ln_writes_into_dout(dout: Array, cache: tuple) -> tuple:
    gradients = layernorm_backward(dout, cache)
    dout *= 2
    return gradients


layernorm_backward_exercise = Exercise(
    name="layernorm_backward",
    title="Layer normalization, backward",
    points=3,
    grades=("layernorm_backward",),
    reference={"layernorm_forward": layernorm_forward, "layernorm_backward": layernorm_backward},
    visible=_ln_backward_visible,
    hidden=_ln_backward_hidden,
    labels={
        "dx": "dx stays within its example",
        "dgamma": "dgamma hears from every example",
        "dbeta": "dbeta hears from every example",
    },
    misconceptions=[
        Misconception(
            "gamma_outside",
            "You multiply by gamma last, as in batchnorm. There it was the same number for all that is averaged. Here?",
            _ln_wrong(
                dx=lambda dout, x, gamma, xhat, s: (
                    gamma
                    / s
                    * (
                        dout
                        - dout.mean(axis=1, keepdims=True)
                        - xhat * (dout * xhat).mean(axis=1, keepdims=True)
                    )
                )
            ),
        ),
        Misconception(
            "gamma_skipped",
            "gamma is not in your dx. It stands between out and xhat.",
            _ln_wrong(dx=lambda dout, x, gamma, xhat, s: _ln_dx((dout, x, 1.0 + 0 * gamma, xhat, s))),
        ),
        Misconception(
            "constants",
            "You treat mean and deviation as constants. When one feature moves, do they stay?",
            _ln_wrong(dx=lambda *given: _ln_dx(given, mean=0.0, deviation=0.0)),
        ),
        Misconception(
            "mean_path_dropped",
            "Your dx knows that the deviation depends on x, and forgets that the mean does.",
            _ln_wrong(dx=lambda *given: _ln_dx(given, mean=0.0)),
        ),
        Misconception(
            "variance_path_dropped",
            "Your dx knows that the mean depends on x, and forgets that the deviation does.",
            _ln_wrong(dx=lambda *given: _ln_dx(given, deviation=0.0)),
        ),
        Misconception(
            "sums_for_means",
            "What comes back through mean and deviation is D times too large. How much of a mean is one feature?",
            _ln_wrong(dx=lambda *given: _ln_dx(given, mean=given[1].shape[1], deviation=given[1].shape[1])),
        ),
        Misconception(
            "mean_over_the_batch",
            "You average over the batch. Which numbers did the forward pass average?",
            _ln_wrong(
                dx=lambda dout, x, gamma, xhat, s: (
                    (dout * gamma - (dout * gamma).mean(axis=0) - xhat * (dout * gamma * xhat).mean(axis=0))
                    / s
                )
            ),
        ),
        Misconception(
            "dgamma_over_the_features",
            "Your dgamma has a number for each example. Whom does a gamma belong to?",
            _ln_wrong(dgamma=lambda dout, x, gamma, xhat, s: (dout * xhat).sum(axis=1)),
        ),
        Misconception(
            "dgamma_with_x",
            "Your dgamma is made with x. What is gamma multiplied with in the forward pass?",
            _ln_wrong(dgamma=lambda dout, x, gamma, xhat, s: (dout * x).sum(axis=0)),
        ),
        Misconception(
            "dgamma_with_gamma",
            "gamma is in your dgamma. What is the derivative of gamma * xhat for gamma?",
            _ln_wrong(dgamma=lambda dout, x, gamma, xhat, s: (dout * gamma * xhat).sum(axis=0)),
        ),
        Misconception(
            "dbeta_with_gamma",
            "gamma is in your dbeta. Does it stand between out and beta?",
            _ln_wrong(dbeta=lambda dout, x, gamma, xhat, s: (dout * gamma).sum(axis=0)),
        ),
        Misconception(
            "dbeta_over_the_features",
            "Your dbeta has a number for each example. Whom does a beta belong to?",
            _ln_wrong(dbeta=lambda dout, x, gamma, xhat, s: dout.sum(axis=1)),
        ),
        Misconception(
            "sums_are_rows",
            "Your dgamma and dbeta have a second axis, of length 1. Which shape does gamma have?",
            _ln_wrong(
                dgamma=lambda dout, x, gamma, xhat, s: (dout * xhat).sum(axis=0, keepdims=True),
                dbeta=lambda dout, x, gamma, xhat, s: dout.sum(axis=0, keepdims=True),
            ),
        ),
        Misconception(
            "dbeta_not_summed",
            "Your dbeta has a row for each example. They share one beta: what does that mean for its gradient?",
            _ln_wrong(dbeta=lambda dout, x, gamma, xhat, s: dout.copy()),
        ),
        Misconception(
            "writes_into_dout",
            "You write into dout. The layer above owns it and may use it again: make a new array.",
            {"layernorm_backward": _ln_writes_into_dout},
        ),
        *cache_mistakes("layernorm", layernorm_forward, layernorm_backward),
    ],
    stretch=True,
)


EXERCISES = [
    forward_stages,
    backward_stages,
    batchnorm_forward_exercise,
    batchnorm_backward_exercise,
    measured_reach,
    predict,
    quiz,
    batchnorm_backward_alt_exercise,
    layernorm_forward_exercise,
    layernorm_backward_exercise,
]
