"""Networks: the few lines that give a pair its parameters.

A pair is a pure function and its gradient. A `Layer` remembers what the pair must be called with: parameters,
and the cache between forward and backward. `Sequential` applies layers one after another, `Residual` adds
what goes in to what comes out. All three are a `Network`, so they nest::

    network = Sequential(
        affine1=Layer(affine_forward, affine_backward, {"w": w1, "b": b1}),
        relu1=Layer(relu_forward, relu_backward),
        affine2=Layer(affine_forward, affine_backward, {"w": w2, "b": b2}),
    )
    scores = network.forward(x)
    loss, dscores = softmax_loss(scores, y)
    network.backward_params(dscores)  # or dx = network.backward(dscores), if you want to know that too
    network.grads["affine1.w"]

Parameters and gradients are plain dicts with one name for each array. Any two functions that keep the contract
of a pair will do, your own too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minigrad._named_arrays import Array, Arrays, fitting, read, refuse_names, write
from minigrad.layers.affine import affine_backward, affine_parameter_gradients

__all__ = ["Layer", "Network", "Residual", "Sequential", "from_zero_state"]

MODES = ("train", "test")


class Network:
    """What layers and networks have in common.

    `params`, `grads` and `state` are dicts of arrays by name, such as ``{"affine1.w": ...}``. Training never
    writes into an array of parameters but replaces it, so a dict that was asked for before a step still holds
    what the parameters were.
    """

    _mode = "train"

    def forward(self, x: Array) -> Array:
        """The output for a batch; what `backward` will need is kept."""
        raise NotImplementedError

    def backward(self, dout: Array) -> Array:
        """The gradient for the input of the last `forward`; those of the parameters go to `grads`."""
        raise NotImplementedError

    def backward_params(self, dout: Array) -> None:
        """What `backward` does, without the gradient for the input: in training that is data, and stays as it is."""
        self.backward(dout)

    @property
    def params(self) -> Arrays:
        """Parameters. Assign a dict with the same names and shapes to replace them all."""
        return self._params_by_name()

    @params.setter
    def params(self, arrays: Mapping[str, ArrayLike]) -> None:
        self._set_params(fitting(f"{type(self).__name__}.params", arrays, self.params))

    @property
    def grads(self) -> Arrays:
        """Gradients of the parameters, from the last `backward`; they replace the ones before."""
        raise NotImplementedError

    @property
    def state(self) -> Arrays:
        """What layers keep beside parameters, such as running averages: learnt, but not by gradients."""
        raise NotImplementedError

    @property
    def mode(self) -> str:
        """Either "train" or "test"; batchnorm and dropout, for instance, do not do the same in both."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f'{type(self).__name__}.mode: must be "train" or "test", not {mode!r}')
        self._set_mode(mode)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters and state to a file in numpy's npz format.

        Raises
        ------
        ValueError
            If something is not an array of numbers: only code could restore it, and a file must not hold code.
        """
        write(f"{type(self).__name__}.save", path, self.params | self.state)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what `save` wrote. Nothing changes unless all of it fits.

        Raises
        ------
        ValueError
            If the file is not in the npz format, or if names or shapes are not those of this network.
        """
        who = f"{type(self).__name__}.load"
        arrays = read(who, path)
        known = self.params
        state = {name: array for name, array in arrays.items() if name not in known and self._may_keep(name)}
        params = {name: array for name, array in arrays.items() if name not in state}
        params, state = fitting(who, params, known), fitting(who, state, self.state, partly=True)
        self._set_params(params)
        self._set_state(state)

    # What the three classes below have to provide.

    def _params_by_name(self) -> Arrays:
        raise NotImplementedError

    def _set_params(self, arrays: Arrays) -> None:
        raise NotImplementedError

    def _set_state(self, arrays: Arrays) -> None:
        raise NotImplementedError

    def _may_keep(self, name: str) -> bool:
        """Whether there is a layer that could have state of that name."""
        raise NotImplementedError

    def _set_mode(self, mode: str) -> None:
        self._mode = mode


class Layer(Network):
    """A pair and its parameters.

    Parameters
    ----------
    forward, backward : callable
        A pair. `forward` is called with the input, the parameters in the order of `params`, and `options`.
    params : mapping of str to array_like
        Parameters, each under the name that it goes by: ``{"w": w, "b": b}``.
    *options
        The arguments of `forward` without a gradient: a dict such as `bn_param`, of which the layer keeps a
        copy of its own, or a number. A dict with a ``"mode"`` is told when the mode changes.

    Examples
    --------
    >>> from minigrad.layers import affine_backward, affine_forward
    >>> layer = Layer(affine_forward, affine_backward, {"w": np.eye(2), "b": np.zeros(2)})
    >>> layer.forward(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    >>> layer.backward(np.array([[10.0, 0.0]]))
    array([[10.,  0.]])
    >>> layer.grads["w"]
    array([[10.,  0.],
           [20.,  0.]])
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        params: Mapping[str, ArrayLike] | None = None,
        *options: Any,
    ):
        refuse_names("Layer", params or {})
        self._forward, self._backward = forward, backward
        self._params: Arrays = {name: np.asarray(array) for name, array in (params or {}).items()}
        self._grads: Arrays = {}
        self._cache: list[Any] = []  # of the last forward; empty before the first
        self.options = tuple(dict(option) if isinstance(option, dict) else option for option in options)
        self.mode = "train"

    def forward(self, x: Array) -> Array:
        """The output of the pair; its cache is kept for `backward`."""
        out, cache = self._forward(x, *self._params.values(), *self.options)
        self._cache = [cache]
        return out

    def backward(self, dout: Array) -> Array:
        """The gradient for the input; those of the parameters go to `grads`."""
        grads = self._backward(dout, self._last_cache())
        dx, *dparams = grads if isinstance(grads, tuple) else (grads,)
        if len(dparams) != len(self._params):
            raise ValueError(
                f"Layer.backward: {len(dparams)} gradients of parameters came back, "
                f"but there are {len(self._params)} parameters ({', '.join(self._params)})"
            )
        self._grads = dict(zip(self._params, dparams, strict=True))
        return dx

    def backward_params(self, dout: Array) -> None:
        """The gradients of the parameters go to `grads`; for an affine layer, nothing else is computed."""
        if self._backward is affine_backward:  # the first layer of most networks, and often the largest
            dparams = affine_parameter_gradients(dout, self._last_cache())
            self._grads = dict(zip(self._params, dparams, strict=True))
        else:
            self.backward(dout)

    def _last_cache(self) -> Any:
        if not self._cache:
            raise RuntimeError("Layer.backward: there is no cache; call forward first")
        return self._cache[0]

    @property
    def grads(self) -> Arrays:
        """Gradients of the parameters, from the last `backward`."""
        return dict(self._grads)

    @property
    def state(self) -> Arrays:
        """The arrays in the layer's dicts of options."""
        return {
            name: value
            for option in self._dicts()
            for name, value in option.items()
            if isinstance(value, np.ndarray)
        }

    def _dicts(self) -> list[dict[str, Any]]:
        return [option for option in self.options if isinstance(option, dict)]

    def _params_by_name(self) -> Arrays:
        return dict(self._params)

    def _set_params(self, arrays: Arrays) -> None:
        self._params = {name: arrays[name] for name in self._params}

    def _set_state(self, arrays: Arrays) -> None:
        for name in self.state:
            for option in self._dicts():
                option.pop(name, None)
        for option in self._dicts()[:1]:
            option.update(arrays)

    def _may_keep(self, name: str) -> bool:
        return "." not in name and bool(self._dicts())

    def _set_mode(self, mode: str) -> None:
        super()._set_mode(mode)
        for option in self._dicts():
            if "mode" in option:
                option["mode"] = mode


class Sequential(Network):
    """Networks one after another: the output of each is the input of the next.

    Parameters
    ----------
    *numbered : Network
        The parts, called "0", "1" and so on: their parameters are "0.w", "0.b", ...
    **named : Network
        Parts with names of your choice, which come after those.

    Attributes
    ----------
    parts : dict of str to Network
        In the order of `forward`.

    Examples
    --------
    >>> from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward
    >>> def affine(w):
    ...     return Layer(affine_forward, affine_backward, {"w": w, "b": np.zeros(w.shape[1])})
    >>> network = Sequential(
    ...     first=affine(np.array([[1.0, -1.0]])),
    ...     relu=Layer(relu_forward, relu_backward),
    ...     second=affine(np.array([[1.0], [1.0]])),
    ... )
    >>> network.forward(np.array([[3.0], [-2.0]]))  # the absolute value, of two neurons
    array([[3.],
           [2.]])
    >>> network.backward(np.ones((2, 1)))
    array([[ 1.],
           [-1.]])
    >>> list(network.grads)
    ['first.w', 'first.b', 'second.w', 'second.b']
    """

    def __init__(self, *numbered: Network, **named: Network):
        self.parts: dict[str, Network] = {str(k): part for k, part in enumerate(numbered)}
        for name in named.keys() & self.parts.keys():
            raise ValueError(f"{type(self).__name__}: two parts are called {name!r}")
        self.parts |= named
        refuse_names(type(self).__name__, self.parts)
        self.mode = "train"

    def forward(self, x: Array) -> Array:
        """The output of the last part."""
        for part in self.parts.values():
            x = part.forward(x)
        return x

    def backward(self, dout: Array) -> Array:
        """The gradient for the input of the first part."""
        for part in reversed(self.parts.values()):
            dout = part.backward(dout)
        return dout

    def backward_params(self, dout: Array) -> None:
        """All of `backward`, but for the gradient for the input of the first part."""
        parts = list(self.parts.values())
        for part in reversed(parts[1:]):
            dout = part.backward(dout)
        if parts:
            parts[0].backward_params(dout)

    @property
    def grads(self) -> Arrays:
        """Gradients of all parts, from the last `backward`."""
        return self._gather(lambda part: part.grads)

    @property
    def state(self) -> Arrays:
        """State of all parts."""
        return self._gather(lambda part: part.state)

    def _gather(self, of: Callable[[Network], Arrays]) -> Arrays:
        return {f"{key}.{name}": a for key, part in self.parts.items() for name, a in of(part).items()}

    def _scatter(self, arrays: Arrays, to: Callable[[Network], Callable[[Arrays], None]]) -> None:
        found: dict[str, Arrays] = {key: {} for key in self.parts}
        for name, a in arrays.items():
            key, _, rest = name.partition(".")
            found[key][rest] = a
        for key, part in self.parts.items():
            to(part)(found[key])

    def _params_by_name(self) -> Arrays:
        return self._gather(lambda part: part.params)

    def _set_params(self, arrays: Arrays) -> None:
        self._scatter(arrays, lambda part: part._set_params)

    def _set_state(self, arrays: Arrays) -> None:
        self._scatter(arrays, lambda part: part._set_state)

    def _may_keep(self, name: str) -> bool:
        key, _, rest = name.partition(".")
        return key in self.parts and self.parts[key]._may_keep(rest)

    def _set_mode(self, mode: str) -> None:
        super()._set_mode(mode)
        for part in self.parts.values():
            part.mode = mode


class Residual(Sequential):
    """A branch beside the identity: ``out = x + scale * branch(x)``.

    Parameters
    ----------
    *numbered, **named : Network
        The parts of the branch, as for `Sequential`. What comes out of it has the shape of what went in.
    scale : float
        How much the branch counts.

    Notes
    -----
    The gradient has two ways back: through the branch, and straight past it.

    Examples
    --------
    >>> from minigrad.layers import relu_backward, relu_forward
    >>> block = Residual(Layer(relu_forward, relu_backward))
    >>> block.forward(np.array([1.0, -1.0]))
    array([ 2., -1.])
    >>> block.backward(np.array([1.0, 1.0]))  # the dead unit lets the gradient past
    array([2., 1.])
    """

    def __init__(self, *numbered: Network, scale: float = 1.0, **named: Network):
        super().__init__(*numbered, **named)
        self.scale = float(scale)

    def forward(self, x: Array) -> Array:
        """The input and what the branch adds to it."""
        branch = super().forward(x)
        if np.shape(branch) != np.shape(x):
            raise ValueError(
                f"Residual.forward: x has shape {np.shape(x)} but the branch returns {np.shape(branch)}"
            )
        return x + self.scale * branch

    def backward(self, dout: Array) -> Array:
        """The gradient for the input, from both ways."""
        return dout + super().backward(self.scale * dout)

    def backward_params(self, dout: Array) -> None:
        """The gradients of the branch go to `grads`; that of the input is left out."""
        super().backward_params(self.scale * dout)


def from_zero_state(
    forward: Callable[..., Any], backward: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A recurrent pair as a `Layer` wants it: every sequence starts at a state of zeros, which has no gradient.

    Parameters
    ----------
    forward, backward : callable
        Such as `rnn_forward`, which takes ``(x, h0, Wx, Wh, b)``, and `rnn_backward`.

    Returns
    -------
    forward, backward : callable
        The pair that takes ``(x, Wx, Wh, b)``, and returns their gradients.

    Examples
    --------
    >>> from minigrad.layers import rnn_backward, rnn_forward
    >>> params = {"Wx": np.ones((1, 2)), "Wh": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> layer = Layer(*from_zero_state(rnn_forward, rnn_backward), params)
    >>> layer.forward(np.zeros((1, 3, 1))).shape
    (1, 3, 2)
    """

    def forward_from_zero(x: Array, Wx: Array, Wh: Array, b: Array) -> tuple[Array, Any]:
        h0 = np.zeros((len(x), len(Wh)), Wh.dtype)
        out, cache = forward(x, h0, Wx, Wh, b)
        return out, cache

    def backward_from_zero(dout: Array, cache: Any) -> tuple[Array, ...]:
        dx, _, *dweights = backward(dout, cache)
        return dx, *dweights

    return forward_from_zero, backward_from_zero
