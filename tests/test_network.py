"""Networks: parameters by name, gradients that fit together, modes, and files."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minigrad.layers import (
    affine_backward,
    affine_forward,
    batchnorm_backward,
    batchnorm_forward,
    dropout_backward,
    dropout_forward,
    gru_backward,
    gru_forward,
    last_step_backward,
    last_step_forward,
    lstm_backward,
    lstm_forward,
    relu_backward,
    relu_forward,
    rnn_backward,
    rnn_forward,
)
from minigrad.network import Layer, Network, Residual, Sequential, from_zero_state


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def affine(rng: np.random.Generator, d: int, m: int) -> Layer:
    return Layer(
        affine_forward, affine_backward, {"w": rng.standard_normal((d, m)), "b": rng.standard_normal(m)}
    )


def relu() -> Layer:
    return Layer(relu_forward, relu_backward)


def running_forward(x, scale, param):
    """A pair with a mode and a state, in the way of batchnorm: x * scale, less a running mean in test mode."""
    if param["mode"] == "test":
        return (x - param["running_mean"]) * scale, (x - param["running_mean"], scale)
    param["running_mean"] = 0.5 * param.get("running_mean", np.zeros(x.shape[1:])) + 0.5 * x.mean(axis=0)
    return x * scale, (x, scale)


def running_backward(dout, cache):
    x, scale = cache
    return dout * scale, (dout * x).sum(axis=0)


def running(width: int = 3) -> Layer:
    return Layer(running_forward, running_backward, {"scale": np.full(width, 2.0)}, {"mode": "train"})


def deep(rng: np.random.Generator) -> Sequential:
    branch = Residual(inner=affine(rng, 3, 3), bend=relu(), outer=affine(rng, 3, 3))
    return Sequential(affine(rng, 2, 3), branch, running(), head=affine(rng, 3, 2))


NAMES = (
    "0.w 0.b 1.inner.w 1.inner.b 1.outer.w 1.outer.b 2.scale head.w head.b"  # as in `deep`
).split()

# ------------------------------------------------------------------------------
# Names
# ------------------------------------------------------------------------------


def test_parameters_and_gradients_have_the_same_names(rng: np.random.Generator):
    network = deep(rng)
    assert list(network.params) == NAMES
    assert network.grads == {}
    out = network.forward(rng.standard_normal((5, 2)))
    network.backward(np.ones_like(out))
    assert list(network.grads) == NAMES
    assert all(network.grads[name].shape == network.params[name].shape for name in NAMES)
    assert list(network.state) == ["2.running_mean"]


def test_names_that_cannot_be_told_apart_are_refused(rng: np.random.Generator):
    with pytest.raises(ValueError, match=r"^Sequential: 'a.b' cannot be a name"):
        Sequential(**{"a.b": relu()})
    with pytest.raises(ValueError, match=r"^Sequential: two parts are called '0'"):
        Sequential(relu(), **{"0": relu()})
    with pytest.raises(ValueError, match=r"^Residual: two parts are called '0'"):
        Residual(relu(), **{"0": relu()})
    for name in ("", "a.b"):
        with pytest.raises(ValueError, match=r"^Layer: '.*' cannot be a name"):
            Layer(affine_forward, affine_backward, {name: np.ones(1)})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda params: params.pop("b"), r"the names do not fit: missing b$"),
        (lambda params: params.update(c=np.ones(1)), r"the names do not fit: not of this network c$"),
        (
            lambda params: params.update(w=np.ones((3, 2))),
            r"w has shape \(3, 2\) but here it has shape \(2, 3\)$",
        ),
        (lambda params: params.update(b=np.ones(())), r"b has shape \(\) but here it has shape \(3,\)$"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(change, complaint: str, rng: np.random.Generator):
    layer = affine(rng, 2, 3)
    before = layer.params
    wrong = dict(before)
    change(wrong)
    with pytest.raises(ValueError, match=rf"^Layer.params: {complaint}"):
        layer.params = wrong
    assert all(layer.params[name] is before[name] for name in before)


def test_parameters_are_replaced_and_not_written_to(rng: np.random.Generator):
    network = deep(rng)
    before = network.params
    copies = {name: array.copy() for name, array in before.items()}
    network.params = {name: array + 1 for name, array in before.items()}
    for name, array in network.params.items():
        np.testing.assert_array_equal(before[name], copies[name])
        np.testing.assert_array_equal(array, copies[name] + 1)
    before["0.w"] = np.zeros(1)  # a dict that was asked for is the caller's own
    assert network.params["0.w"].shape == (2, 3)


# ------------------------------------------------------------------------------
# Gradients
# ------------------------------------------------------------------------------


def check(network: Network, x: np.ndarray, rng: np.random.Generator) -> None:
    """All gradients, those of the input included, against centred differences."""
    dout = rng.standard_normal(network.forward(x).shape)
    dx = network.backward(dout)
    params, grads = network.params | {"x": x}, network.grads | {"x": dx}
    assert list(grads) == list(params)

    def loss(name: str, index: tuple[int, ...], step: float) -> float:
        moved = {key: array.copy() for key, array in params.items()}
        moved[name][index] += step
        x = moved.pop("x")
        network.params = moved
        return (network.forward(x) * dout).sum()

    for name, grad in grads.items():
        slope = np.empty_like(grad)
        for index in np.ndindex(grad.shape):
            slope[index] = (loss(name, index, 1e-5) - loss(name, index, -1e-5)) / 2e-5
        np.testing.assert_allclose(grad, slope, rtol=1e-6, atol=1e-8)

    network.params = {name: array for name, array in params.items() if name != "x"}
    network.forward(x)
    network.backward(dout)
    everything = network.grads
    network.backward_params(3 * dout)  # another one, so that the old gradients would show
    assert list(network.grads) == list(everything)
    for name, grad in network.grads.items():
        np.testing.assert_allclose(grad, 3 * everything[name], rtol=1e-12, atol=1e-12)


def test_gradients_of_a_network_of_networks(rng: np.random.Generator):
    check(deep(rng), rng.standard_normal((5, 2)), rng)


@pytest.mark.parametrize(
    ("blocks", "pair"),
    [(1, (rnn_forward, rnn_backward)), (4, (lstm_forward, lstm_backward)), (3, (gru_forward, gru_backward))],
    ids=["rnn", "lstm", "gru"],
)
def test_gradients_of_a_recurrent_network(blocks: int, pair: tuple, rng: np.random.Generator):
    shapes = {"Wx": (2, 3 * blocks), "Wh": (3, 3 * blocks), "b": (3 * blocks,)}
    weights = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    network = Sequential(
        recurrent=Layer(*from_zero_state(*pair), weights),
        last=Layer(last_step_forward, last_step_backward),
        head=affine(rng, 3, 2),
    )
    check(network, rng.standard_normal((4, 5, 2)), rng)


def test_from_zero_state_keeps_float32():
    layer = Layer(
        *from_zero_state(rnn_forward, rnn_backward),
        {"Wx": np.ones((1, 2), "f4"), "Wh": np.ones((2, 2), "f4"), "b": np.ones(2, "f4")},
    )
    assert layer.forward(np.ones((1, 3, 1), "f4")).dtype == np.float32


def test_a_network_without_parts_is_the_identity():
    x = np.ones((2, 3))
    network = Sequential()
    assert network.forward(x) is x
    assert network.backward(x) is x
    assert network.params == network.grads == network.state == {}


@pytest.mark.parametrize("scale", [1, 0.3, 0])
def test_a_branch_counts_as_much_as_its_scale(scale: float, rng: np.random.Generator):
    branch = affine(rng, 3, 3)
    block = Residual(branch, scale=scale)
    x = rng.standard_normal((5, 3))
    np.testing.assert_allclose(block.forward(x), x + scale * branch.forward(x))
    check(block, x, rng)
    assert Residual(branch, scale=np.float64(scale)).forward(x.astype("f4")).dtype == np.float64  # w is wide
    branch.params = {name: array.astype("f4") for name, array in branch.params.items()}
    assert Residual(branch, scale=np.float64(scale)).forward(x.astype("f4")).dtype == np.float32


def test_the_branch_of_a_residual_keeps_the_shape(rng: np.random.Generator):
    block = Residual(affine(rng, 3, 1))  # would broadcast
    with pytest.raises(
        ValueError, match=r"^Residual.forward: x has shape \(5, 3\) but the branch returns \(5, 1\)"
    ):
        block.forward(np.ones((5, 3)))


def test_gradients_are_those_of_the_last_backward(rng: np.random.Generator):
    layer = affine(rng, 2, 3)
    for scale in (1.0, 3.0):
        layer.forward(np.ones((5, 2)))
        layer.backward(np.full((5, 3), scale))
        np.testing.assert_array_equal(layer.grads["b"], np.full(3, 5 * scale))


def test_backward_before_forward_says_so(rng: np.random.Generator):
    with pytest.raises(RuntimeError, match="call forward first"):
        affine(rng, 2, 3).backward(np.ones((5, 3)))


def test_a_pair_with_the_wrong_number_of_gradients_says_so(rng: np.random.Generator):
    layer = Layer(
        affine_forward, lambda dout, cache: affine_backward(dout, cache)[:2], affine(rng, 2, 3).params
    )
    layer.forward(np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"^Layer.backward: 1 gradients .* 2 parameters \(w, b\)"):
        layer.backward(np.ones((5, 3)))


# ------------------------------------------------------------------------------
# Modes
# ------------------------------------------------------------------------------


def test_the_mode_reaches_every_layer_that_has_one(rng: np.random.Generator):
    network = Sequential(Residual(Sequential(running())), other=affine(rng, 3, 2))
    assert network.mode == "train"
    x = rng.standard_normal((5, 3))
    network.forward(x)
    mean = network.state["0.0.0.running_mean"]
    np.testing.assert_allclose(mean, 0.5 * x.mean(axis=0))
    network.mode = "test"
    assert {part.mode for part in (network, *network.parts.values())} == {"test"}
    network.forward(x)
    network.forward(x)
    np.testing.assert_array_equal(network.state["0.0.0.running_mean"], mean)
    network.mode = "train"
    network.forward(x)
    assert (network.state["0.0.0.running_mean"] != mean).all()


def test_a_layer_keeps_a_dict_of_its_own():
    param = {"mode": "test", "running_mean": np.zeros(3)}
    layer = Layer(running_forward, running_backward, {"scale": np.ones(3)}, param)
    layer.forward(np.ones((2, 3)))  # a new network is in train mode
    assert param["mode"] == "test"
    assert not param["running_mean"].any()


def test_batchnorm_and_dropout_in_both_modes(rng: np.random.Generator, tmp_path: Path):
    def make() -> Sequential:
        scale = {"gamma": np.ones(3), "beta": np.zeros(3)}
        return Sequential(
            bn=Layer(batchnorm_forward, batchnorm_backward, scale, {"mode": "train"}),
            drop=Layer(dropout_forward, dropout_backward, None, {"mode": "train", "p": 0.5, "rng": rng}),
        )

    network, x = make(), 5 + rng.standard_normal((200, 3))
    for _ in range(100):
        out = network.forward(x)
    assert 0.3 < np.mean(out == 0) < 0.7
    network.mode = "test"
    out = network.forward(x)
    np.testing.assert_allclose(out, (x - x.mean(axis=0)) / x.std(axis=0), atol=1e-2)
    network.save(tmp_path / "network.npz")
    other = make()
    other.load(tmp_path / "network.npz")
    other.mode = "test"
    np.testing.assert_array_equal(other.forward(x), out)
    check(other, x[:5], rng)


@pytest.mark.parametrize("mode", ["eval", "Train", "", None, True])
def test_there_are_two_modes(mode, rng: np.random.Generator):
    network = deep(rng)
    with pytest.raises(ValueError, match=r'^Sequential.mode: must be "train" or "test", not'):
        network.mode = mode
    assert network.mode == "train"


# ------------------------------------------------------------------------------
# Files
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["network.npz", "network", "network.weights"])
def test_what_was_saved_is_loaded_to_the_last_bit(name: str, rng: np.random.Generator, tmp_path: Path):
    network, other = deep(rng), deep(rng)
    x = rng.standard_normal((5, 2))
    network.forward(x)
    network.params = {name: a.astype(np.float32) for name, a in network.params.items()}
    network.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    other.load(tmp_path / name)
    for ours, theirs in ((network.params, other.params), (network.state, other.state)):
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key], strict=True)
    network.mode = other.mode = "test"
    np.testing.assert_array_equal(network.forward(x), other.forward(x), strict=True)


def test_a_network_saved_before_training_has_no_state_afterwards(rng: np.random.Generator, tmp_path: Path):
    network = deep(rng)
    network.save(tmp_path / "new.npz")
    network.forward(rng.standard_normal((5, 2)))
    assert network.state
    network.load(tmp_path / "new.npz")
    assert not network.state


def test_a_file_of_another_network_is_refused_and_changes_nothing(rng: np.random.Generator, tmp_path: Path):
    network = deep(rng)
    network.forward(rng.standard_normal((5, 2)))
    before, state = network.params, network.state
    arrays = before | state
    path = tmp_path / "wrong.npz"
    for change, complaint in (
        (lambda a: a.pop("head.b"), "missing head.b$"),
        (lambda a: a.update({"3.w": np.ones(1)}), "not of this network 3.w$"),
        (lambda a: a.update({"head.running_mean": np.ones(1)}), "not of this network head.running_mean$"),
        (lambda a: a.update({"2.deeper.mean": np.ones(1)}), "not of this network 2.deeper.mean$"),
        (
            lambda a: a.update({"head.b": np.ones(5)}),
            r"head.b has shape \(5,\) but here it has shape \(2,\)$",
        ),
        (lambda a: a.update({"2.running_mean": np.ones(5)}), r"2.running_mean has shape \(5,\) but"),
    ):
        wrong = dict(arrays)
        change(wrong)
        np.savez(path, **wrong)
        with pytest.raises(ValueError, match=f"^Sequential.load: .*{complaint}"):
            network.load(path)
        assert all(network.params[name] is before[name] for name in before)
        assert network.state.keys() == state.keys()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a file was allowed to run code",))


def test_a_file_cannot_run_code(rng: np.random.Generator, tmp_path: Path):
    network = deep(rng)
    objects = io.BytesIO()
    np.save(objects, np.array([Bomb()], dtype=object), allow_pickle=True)
    for content in (pickle.dumps(Bomb()), objects.getvalue()):
        (tmp_path / "bomb").write_bytes(content)
        with pytest.raises(
            ValueError, match=r"^Sequential.load: .*bomb is not a file of named arrays of numbers"
        ):
            network.load(tmp_path / "bomb")
    for name, content in (("head.w.npy", objects.getvalue()), ("2.running_mean", b"not an array")):
        with zipfile.ZipFile(tmp_path / "bomb", "w") as archive:
            archive.writestr(name, content)
        with pytest.raises(ValueError, match="is not a file of named arrays of numbers"):
            network.load(tmp_path / "bomb")


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", b"PK\x03\x04 cut off"])
def test_a_broken_file_is_refused(content: bytes, rng: np.random.Generator, tmp_path: Path):
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file of named arrays of numbers"):
        deep(rng).load(tmp_path / "broken")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match="is not a file of named arrays of numbers"):
        deep(rng).load(tmp_path / "one.npy")
    with pytest.raises(FileNotFoundError):
        deep(rng).load(tmp_path / "absent")


def test_objects_are_not_saved(tmp_path: Path):
    layer = Layer(running_forward, running_backward, {"scale": np.array([None])}, {"mode": "train"})
    with pytest.raises(ValueError, match=r"^Layer.save: scale is not an array of numbers, but of object"):
        layer.save(tmp_path / "objects.npz")
