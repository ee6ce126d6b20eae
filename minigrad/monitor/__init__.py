"""What to record of a training run: a few numbers for each layer, every so many steps, and nothing about networks.

A `GradientMonitor` is told twice in a step what the named arrays are::

    for step in range(steps):
        monitor.before(step, params)
        ...                                     # forward, loss, backward, update: whatever yours look like
        monitor.after(step, params, grads, loss, activations=activations)

and keeps a `Record`, which is data: numbers by name, that go to a file and come back. What they mean is for
`minigrad.diagnosis` to say. For a network of this library, `watch` makes both calls::

    monitor = GradientMonitor()
    for step in watch(network, fit(network, data, softmax_loss, adam, ...), monitor):
        ...
"""

from minigrad.monitor.gradient_monitor import INPUT, GradientMonitor
from minigrad.monitor.record import Record, Snapshot, read_record
from minigrad.monitor.sizes import update_ratio
from minigrad.monitor.watching import leaves, outputs_of, watch

__all__ = [
    "INPUT",
    "GradientMonitor",
    "Record",
    "Snapshot",
    "leaves",
    "outputs_of",
    "read_record",
    "update_ratio",
    "watch",
]
