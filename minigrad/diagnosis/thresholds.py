"""Where the rules draw their lines."""

# Ratios, and none of them to an absolute gradient: between layers, to the weights, to the first step, to guessing.
THRESHOLDS: dict[str, float] = {
    "against": -0.2,  # cosine between update and negative gradient
    "accumulated turn": 0.95,  # cosine between gradients of successive steps
    "accumulated least": 0.8,  # the same in a fifth of the steps, where the norm grows and the loss rises too
    "accumulated rises": 0.25,  # share of the steps in which the loss rises all the same
    "accumulated growth": 3.0,  # of the gradient norm
    "dead": 0.5,  # share of the units of a layer
    "killed": 0.3,  # share of the units that died since the start
    "saturated": 0.4,  # share of the outputs
    "grown": 20.0,  # root mean square of a layer's output, relative to that of the inputs
    "shrunk": 1e-2,  # the same of the last hidden layer, relative to the first
    "vanished": 3e-3,  # gradient of the first weights relative to the last ones, per element
    "vanished in time": 1e-6,  # gradient of the first input of a sequence relative to the last one
    "exploded in time": 1e3,
    "dropped": 0.25,  # between test and training mode, on the training data
    "decayed": 0.6,  # norm of the weights, relative to the start
    "decay": 0.3,  # cosine between update and negative weights
    "ratio": 0.3,  # of the update to the weights, at one step
    "lasting ratio": 0.05,  # the same, in half of the steps
    "spike": 10.0,  # learning rate of a step, relative to the usual one
    "falls": 0.1,  # how much of the loss goes in the second half of a run that is not done
    "moved on": 0.6,  # the same, in a run whose loss still falls
    "gentle": 1e-3,  # update ratio of such a run
    "moved": 0.15,  # how far weights are from where they began, relative to their size
    "noise": 0.05,  # how much better many neighbours know a label than the nearest one
    "no structure": 0.1,  # how far neighbours agree above chance
    "gap": 0.1,  # between training and held-out data
    "moved away": 2.0,  # median feature of the held-out data, in deviations of the training data
    "spread": 3.0,  # its deviation, relative to that of the training data, or the other way round
    "unknown": 0.4,  # how far above chance neighbours know held-out labels, relative to those of the training data
}
