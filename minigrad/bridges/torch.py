"""Watch a `torch.nn.Module` train, and get the same report as for a network of this library.

    watcher = watch(model, optimizer, data=(x, y))
    for batch, labels in loader:
        optimizer.zero_grad()
        loss = loss_function(model(batch), labels)
        loss.backward()
        optimizer.step()
        watcher.step(loss)
    print(watcher.report())

Outputs are those of modules: a `torch.nn.ReLU` is seen, a call of `torch.nn.functional.relu` is not.
"""

from __future__ import annotations

import importlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.diagnosis import Finding, describe_data, diagnose
from minigrad.monitor import INPUT, GradientMonitor

__all__ = ["Watcher", "watch"]

BOUNDS = {
    "Sigmoid": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "RNN": (-1.0, 1.0),
    "GRU": (-1.0, 1.0),
    "LSTM": (-1.0, 1.0),
}
PROBED = 256


def watch(
    model: Any,
    optimizer: Any,
    every: int = 10,
    data: tuple[Any, Any] | None = None,
    stream: IO[str] | None = None,
) -> Watcher:
    """Record the training of a module.

    Parameters
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
        Steps are recorded as it makes them.
    every : int
        Steps from one snapshot to the next.
    data : (x, y) tensors, optional
        Training data, as the model takes them. With them dead units are counted, and the data themselves are looked at.
    stream : text file, optional
        As for `GradientMonitor`.

    Returns
    -------
    Watcher
        Call its `step` with the loss after each ``optimizer.step()``.

    Notes
    -----
    Of recurrent modules the gradient through time is not seen, and nothing is checked before training: what
    `preflight` proves about a loss has to be concluded here from the run.
    """
    return Watcher(model, optimizer, every, data, stream)


class Watcher:
    """What `watch` returns.

    Attributes
    ----------
    monitor : GradientMonitor
        Its `record` can be kept, drawn and diagnosed like any other.
    """

    def __init__(
        self, model: Any, optimizer: Any, every: int, data: tuple[Any, Any] | None, stream: IO[str] | None
    ):
        modules = {name: m for name, m in model.named_modules() if not list(m.children())}
        bounds = {n: BOUNDS[type(m).__name__] for n, m in modules.items() if type(m).__name__ in BOUNDS}
        self.monitor = GradientMonitor(every, self._probe if data else None, stream, bounds)
        if data:
            self.monitor.record.facts["data"] = describe_data(*(_array(part) for part in data))
        self._model, self._optimizer, self._data = model, optimizer, data
        self._step = 0
        self._seen: dict[str, NDArray[Any]] = {}
        self._grads: dict[str, NDArray[Any]] = {}
        self._listening = self._probing = False
        self._handles = [m.register_forward_hook(self._heard(name)) for name, m in modules.items()]
        self._handles += [model.register_forward_pre_hook(self._entered)]
        self._handles += [optimizer.register_step_pre_hook(self._before)]

    def step(self, loss: Any, accuracy: float | None = None) -> None:
        """Take the loss of the step that the optimizer has just made.

        Parameters
        ----------
        loss : tensor or float
        accuracy : float, optional
            Of the batch.
        """
        monitor, step = self.monitor, self._step
        monitor.after(
            step,
            self._params(),
            self._grads,
            float(loss.detach() if hasattr(loss, "detach") else loss),
            self._seen,
            accuracy,
            self._optimizer.param_groups[0]["lr"],
            state={n: _array(b) for n, b in self._model.named_buffers() if b.is_floating_point()},
        )
        self._step, self._seen, self._grads = step + 1, {}, {}

    def findings(self) -> list[Finding]:
        """What is wrong, as of `diagnose`."""
        return diagnose(self.monitor.record)

    def report(self) -> str:
        """The same as text."""
        return "\n".join(map(str, self.findings())) or "nothing found"

    def close(self) -> None:
        """Stop watching: the model and the optimizer are as they were."""
        for handle in self._handles:
            handle.remove()

    def _params(self) -> dict[str, NDArray[Any]]:
        return {name: _array(p) for name, p in self._model.named_parameters() if p.requires_grad}

    def _before(self, *_: Any) -> None:
        # Copies: an optimizer updates in place, and gradients are set to zero in place.
        named = self._model.named_parameters()
        self._grads = {name: _array(p.grad).copy() for name, p in named if p.grad is not None}
        if self.monitor.due(self._step) or not self._step:
            self.monitor.before(self._step, self._params())

    def _entered(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self._listening = self._probing or (self._model.training and self.monitor.due(self._step))
        if self._listening:
            x = _array(inputs[0])
            self._seen = {} if x.dtype.kind == "i" else {INPUT: x}  # numbers of words have no size

    def _heard(self, name: str) -> Any:
        def hook(_: Any, __: Any, out: Any) -> None:
            if self._listening:
                self._seen[name] = _array(out[0] if isinstance(out, tuple) else out)

        return hook

    def _probe(self) -> dict[str, NDArray[Any]]:
        kept, training = self._seen, self._model.training
        self._model.eval()
        self._probing = True
        try:
            with importlib.import_module("torch").no_grad():  # here: all else is done by what was handed in
                self._model(self._some())
            return {name: out for name, out in self._seen.items() if name != INPUT}
        finally:
            self._model.train(training)
            self._probing, self._seen = False, kept

    def _some(self) -> Any:
        assert self._data is not None
        x = self._data[0]
        return x[:: max(1, len(x) // PROBED)][:PROBED]


def _array(tensor: Any) -> NDArray[Any]:
    """The numbers of a tensor, without a copy where there need not be one."""
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
