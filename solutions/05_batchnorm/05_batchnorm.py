# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05. Batch normalization
#
# *A layer that takes the scale of the weights out of the game, and puts everybody else in the batch into it.*
#
# When you are done you can
#
# - write batch normalization, forward and backward, one node of its graph at a time;
# - say which part of a gradient it does not let through, and why that is a good thing;
# - say what it buys in a deep network and what it does not, from your own measurements;
# - explain how one trained network can be right on 97 % of the digits or on 9 %, and mend the code that evaluates it.
#
# **Time.** The core path takes 90 to 120 minutes and is worth 27 points. The stretch takes an hour more, and its 9
# points are extra.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.experiments.drifting_activations import data, network, train
from minigrad.experiments.evaluation_mode import trained
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.labs import batchnorm, batchnorm_graph
from minigrad.labs.explore import explore, predicted, ready
from minigrad.layers import affine_backward, affine_forward, tanh_backward, tanh_forward
from minigrad.losses import svm_loss
from minigrad.optimizers import sgd
from minigrad.training import accuracy, fit

# %% [markdown]
# ## 1. See it fail: weights that are a little too small
#
# Six hidden layers of 30 tanh units, then ten scores and a hinge loss, as in assignment 03. 1,200 digits to train on,
# 597 held out. The pixels are centred, the learning rate is 0.05, and it trains for 150 steps. The initial weights are
# random numbers with a standard deviation of 0.05, which looks like a reasonable small number.

# %% tags=["experiment"]
failed = experiments.recorded("drifting_activations")
print(f"loss in the first step {failed['losses'][0]:.2f}, in the last ten {failed['loss']:.2f}")
print(f"accuracy on held-out digits after 150 steps: {failed['accuracy']:.2f}")

figure, axes = plots.canvas(height=2.8)
axes.plot(failed["losses"], markevery=25, **plots.SERIES[1])
axes.set(xlabel="step", ylabel="loss", ylim=(0, 12), title="Six tanh layers, initial weights of spread 0.05")
plots.show(figure, "The loss against the step: a line that stays at 9 from the first step to the last.")

# %% [markdown]
# *The figure: the loss stays at 9. That is what ten equal scores cost: each of nine wrong ones should lie 1 below the
# right one, and lies level with it.*
#
# Nothing saturates here, and every slope is near 1. So look at what arrives. The first layer hands its tanh numbers
# with a standard deviation, or *spread*, of 0.11. What arrives at the tanh of the sixth layer?

# %% tags=["experiment"]
prediction_1 = ""  # the spread in layer 6, if it is 0.11 in layer 1

# %% tags=["experiment"]
if predicted(prediction_1):
    start = failed["spreads"][0]
    for k, value in enumerate(start, start=1):
        print(f"layer {k}   spread {value:.5f}" + (f"   {value / start[k - 2]:.2f} of the one below" if k > 1 else ""))

# %% [markdown]
# Each layer passes on about a quarter of what it gets, and after five of them 0.00013 is left. To the sixth layer all
# digits look alike. Make the weights larger, and the same happens the other way round: the numbers grow until every
# tanh is saturated. You have met both in assignments 02 and 04, and the answer there was to choose the initial weights
# well. That helps on the first day. From then on the weights move.
#
# So here is another idea. If a layer needs inputs with mean 0 and spread 1, *compute* inputs with mean 0 and spread 1:
# in each step, for each feature, from the batch that is there.

# %% [markdown]
# ## 2. Build it: the graph
#
# For one feature of a batch of $N$ examples:
#
# $$\mu = \frac1N \sum_n x_n \qquad \text{xc}_n = x_n - \mu \qquad \text{var} = \frac1N \sum_n \text{xc}_n^2$$
# $$\text{std} = \sqrt{\text{var} + \epsilon} \qquad \text{xhat}_n = \frac{\text{xc}_n}{\text{std}} \qquad
# \text{out}_n = \gamma \, \text{xhat}_n + \beta$$
#
# So `std` is the standard deviation, *deviation* for short, but for the small $\epsilon$. That one is for a feature that
# is the same in all examples. $\gamma$ and $\beta$ are learned: if the network needs another spread or another mean, it
# can have them.
#
# Six small steps. Write them one by one, under these names: a drawing below takes your numbers from there.
# **Exercise `forward_stages`** (core, 3 points).

# %% solution="forward_stages"
def forward_stages(x, gamma, beta, eps):
    """Batch normalization of one batch, with everything that was computed on the way.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        N examples of D features.
    gamma, beta : ndarray, shape (D,)
    eps : float

    Returns
    -------
    values : dict of str to ndarray
        "x", "xc", "xhat" and "out" of shape (N, D); "mu", "var", "std", "gamma" and "beta" of shape (D,).
    """
    values = {"x": x, "gamma": gamma, "beta": beta}
    # add mu, xc, var, std, xhat and out, in this order
    ### BEGIN SOLUTION
    values["mu"] = x.mean(axis=0)
    values["xc"] = x - values["mu"]
    values["var"] = (values["xc"] ** 2).mean(axis=0)
    values["std"] = np.sqrt(values["var"] + eps)
    values["xhat"] = values["xc"] / values["std"]
    values["out"] = gamma * values["xhat"] + beta
    ### END SOLUTION
    return values

# %% check="forward_stages"
check("forward_stages")

# %% [markdown]
# ### Backward
#
# Now from right to left, one node at a time. `gradients[name]` is the gradient of the loss for `values[name]`, with
# its shape. At each node ask: *which arrows start here in the forward direction?* Each of them brings something back,
# and it is added.
#
# - `beta` and `gamma` touch every row. So do `std` and `mu`. What does that mean for their gradients?
# - `var` goes through a root. Write its derivative with `std`.
# - `xc` goes two ways: to `xhat`, and to `var`. Of the mean of $N$ squares, how much is one square?
# - `x` goes two ways: to `xc`, and to `mu`.
#
# Most mistakes in batch normalization are one forgotten arrow. **Exercise `backward_stages`** (core, 5 points).

# %% solution="backward_stages"
def backward_stages(dout, values):
    """Go back through the graph of forward_stages.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
        The gradient of the loss for each output.
    values : dict
        What forward_stages returned.

    Returns
    -------
    gradients : dict of str to ndarray
        For each name in `values` the gradient of the loss, in the shape of the value.
    """
    gradients = {"out": dout}
    # add beta, gamma, xhat, std, var, xc, mu and x, in this order
    ### BEGIN SOLUTION
    N = len(dout)
    gradients["beta"] = dout.sum(axis=0)
    gradients["gamma"] = (dout * values["xhat"]).sum(axis=0)
    gradients["xhat"] = dout * values["gamma"]
    gradients["std"] = -(gradients["xhat"] * values["xc"]).sum(axis=0) / values["std"] ** 2
    gradients["var"] = gradients["std"] / (2 * values["std"])
    gradients["xc"] = gradients["xhat"] / values["std"] + gradients["var"] * 2 * values["xc"] / N
    gradients["mu"] = -gradients["xc"].sum(axis=0)
    gradients["x"] = gradients["xc"] + gradients["mu"] / N
    ### END SOLUTION
    return gradients

# %% check="backward_stages"
check("backward_stages")

# %% [markdown]
# Here is your own graph, for a batch of four numbers: 1, 2, 4 and 9, with $\gamma = 2$ and $\beta = 0.5$. The loss
# looks at the first output alone: its upstream gradient is 1, and the others are 0.

# %% tags=["experiment"]
def graph(dout, x=(1.0, 2.0, 4.0, 9.0), gamma=2.0, beta=0.5):
    """Send one feature forward and `dout` back through your stages."""
    values = forward_stages(np.array(x)[:, None], np.array([gamma]), np.array([beta]), 1e-5)
    return values, backward_stages(np.array(dout)[:, None], values)


if ready(forward_stages, backward_stages):
    values, gradients = graph([1.0, 0.0, 0.0, 0.0])
    plots.show(batchnorm_graph.draw(values, gradients), batchnorm_graph.describe(values, gradients))

# %% [markdown]
# *The figure: each box is a node, with its values on the left and their gradients on the right, after a d. Solid
# arrows lead forward, dashed ones back.*
#
# The loss asks about one example, and all four get a gradient. Follow the dashed arrows to see how: nothing comes to
# the examples 2, 3 and 4 from their own outputs. What reaches them came through `std` and `mu`, which all four share.
#
# Now two other questions. Let every output have the same upstream gradient, 1: the loss wants all four outputs higher.
# Which `dx` comes out? And if `dout` is `xhat` itself: the loss wants the four outputs further apart?

# %% tags=["experiment"]
prediction_2 = ""  # dx for a dout of ones, and for a dout that is xhat

# %% tags=["experiment"]
if predicted(prediction_2) and ready(forward_stages, backward_stages):
    xhat = forward_stages(np.array([[1.0], [2.0], [4.0], [9.0]]), np.ones(1), np.zeros(1), 1e-5)["xhat"][:, 0]
    for label, dout in (("one example", [1.0, 0.0, 0.0, 0.0]), ("ones", np.ones(4)), ("xhat", xhat)):
        values, gradients = graph(dout)
        print(f"dout {label:12s}   largest entry of dx {np.abs(gradients['x']).max():.1e}", end="")
        print(f"   dgamma {gradients['gamma'][0]:6.2f}   dbeta {gradients['beta'][0]:6.2f}")

    values, gradients = graph(np.ones(4))
    plots.show(batchnorm_graph.draw(values, gradients), batchnorm_graph.describe(values, gradients))

# %% [markdown]
# *The figure: with ones above, what comes back to x through xc and what comes back through mu cancel in each row.*
#
# Nothing gets through. Whoever moves all four numbers up by the same amount finds the mean moved too, and the outputs
# where they were. So there is no use in asking for it, and the gradient knows. The same for stretching them, up to
# $\epsilon$. Those two wishes go to $\beta$ and $\gamma$ instead, which are there for them.
#
# So **batch normalization removes two things from a gradient: what is constant over the batch, and what is
# proportional to xhat**. Everything else passes.

# %% [markdown]
# ## 3. See it fail again: one network, two answers
#
# Before you build the layer, a question that it raises. An output depends on who else is in the batch. During training
# that is fine. Afterwards somebody brings one digit and wants to know what it is.
#
# The usual answer has two parts. In training, keep a running average of the means and variances that were seen. In
# evaluation, use those instead of the batch. The layer has a switch, `mode`, and somebody has to set it.
#
# Here is a network with batch normalization, trained from good initial weights. It was evaluated on the 597 held-out
# digits: in test mode; with the switch forgotten and all digits as one batch; in batches of 64, sorted by their class,
# as they lie on many disks; and one digit at a time. Always the same weights, the same digits. What do you expect of
# each?

# %% tags=["experiment"]
prediction_3 = ""  # four accuracies: test mode; forgotten: one batch of 597, sorted batches of 64, one at a time

# %% tags=["experiment"]
if predicted(prediction_3):
    seen = experiments.recorded("evaluation_mode")
    print(f"test mode                                    {seen['accuracy']:.2f}")
    print(f"switch forgotten, all 597 at once            {seen['shuffled'][-1]:.2f}")
    print(f"switch forgotten, 64 at a time, by class     {seen['by_class'][-2]:.2f}")
    print(f"switch forgotten, one at a time              {seen['shuffled'][0]:.2f}")
    print(f"test mode again, after that last evaluation  {seen['afterwards']:.2f}")

    figure, axes = plots.canvas()
    axes.plot(seen["sizes"], seen["shuffled"], label="forgotten, random order", **plots.SERIES[0])
    axes.plot(seen["sizes"], seen["by_class"], label="forgotten, sorted by class", **plots.SERIES[1])
    axes.axhline(seen["accuracy"], color=plots.INK, linestyle=":", label="test mode")
    axes.set(xscale="log", xlabel="digits in a batch (log axis)", ylabel="accuracy", ylim=(0, 1.02))
    axes.set_xticks(seen["sizes"], [str(size) for size in seen["sizes"]])
    axes.minorticks_off()
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=9)
    plots.show(
        figure,
        "Accuracy against the size of the evaluation batch, with the switch forgotten. In random order it climbs from 0.09 "
        "at size 1 to 0.96 at size 597. Sorted by class it stays below 0.27 up to size 64. A dotted line at 0.97 marks test "
        "mode.",
    )

# %% [markdown]
# *The figure: with the switch forgotten, accuracy depends on how many digits are in a batch, and on which.*
#
# 0.97, 0.96, 0.26, 0.09. The second number is the dangerous one. Somebody forgets the switch, evaluates on a large
# shuffled test set, loses one digit in a hundred, and ships it.
#
# And the last line of the table: evaluating *changed the network*. In training mode every batch moves the running
# averages, also a batch that nobody meant to train on. After 597 batches of one digit, 0.55 is left of the 0.97, with
# the switch set right.
#
# Why 0.09 for single digits? Take a pencil: in a batch of one, what is $\mu$? What is xhat? What is the output?

# %% [markdown]
# ## 4. Build it: the layer
#
# The running averages live in a dict that the caller owns, `bn_param`. In training:
#
# $$\text{running} \leftarrow \text{momentum} \cdot \text{running} + (1 - \text{momentum}) \cdot \text{this batch}$$
#
# for the mean and for the variance, the one with $1/N$ that you divide by.
#
# | key | meaning | if it is not there |
# |---|---|---|
# | `"mode"` | `"train"` or `"test"` | it is always there |
# | `"eps"` | $\epsilon$ | 1e-5 |
# | `"momentum"` | how much of the old average stays | 0.9 |
# | `"running_mean"`, `"running_var"` | the averages, each of shape (D,) | zeros |
#
# In mode `"train"`, normalize with this batch and write the new averages into the dict. In mode `"test"`, normalize
# with the averages, and leave them alone. **Exercise `batchnorm_forward`** (core, 5 points).

# %% solution="batchnorm_forward"
def batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalization, in training or in test mode.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        It still belongs to the caller: do not write into it.
    gamma, beta : ndarray, shape (D,)
    bn_param : dict
        See the table. In training, "running_mean" and "running_var" are written into it.

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : anything
        What batchnorm_backward needs.
    """
    # bn_param.get("eps", 1e-5) is the value of a key, or 1e-5 where there is none
    ### BEGIN SOLUTION
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        xhat = (x - running_mean) / np.sqrt(running_var + eps)
        return gamma * xhat + beta, None
    values = forward_stages(x, gamma, beta, eps)
    bn_param["running_mean"] = momentum * running_mean + (1 - momentum) * values["mu"]
    bn_param["running_var"] = momentum * running_var + (1 - momentum) * values["var"]
    return values["out"], values
    ### END SOLUTION

# %% check="batchnorm_forward"
check("batchnorm_forward")

# %% [markdown]
# **Exercise `batchnorm_backward`** (core, 3 points). For a forward pass in training mode. You have done the work
# already, if the cache holds what `backward_stages` needs.

# %% solution="batchnorm_backward"
def batchnorm_backward(dout, cache):
    """Send the upstream gradient back through batchnorm_forward in training mode.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
    cache : anything
        What batchnorm_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dgamma, dbeta : ndarray, shape (D,)
    """
    ### BEGIN SOLUTION
    gradients = backward_stages(dout, cache)
    return gradients["x"], gradients["gamma"], gradients["beta"]
    ### END SOLUTION

# %% check="batchnorm_backward"
check("batchnorm_backward")

# %% [markdown]
# Now the answer to the pencil question, with your code. And your three gradients beside numerical ones, which know
# nothing of arrows.

# %% tags=["experiment"]
if ready(forward_stages, backward_stages, batchnorm_forward, batchnorm_backward):
    gamma, beta = np.array([2.0, 3.0]), np.array([0.5, -1.0])
    for digit in ([7.0, -4.0], [100.0, 0.0]):
        out, _ = batchnorm_forward(np.array([digit]), gamma, beta, {"mode": "train"})
        print(f"a batch of one: x = {digit}   out = {out[0]}   beta = {beta}")

    draw = np.random.default_rng(0)
    x, dout = 3 * draw.standard_normal((5, 2)) + 4, draw.standard_normal((5, 2))

    def loss(_):
        return float(np.sum(batchnorm_forward(x, gamma, beta, {"mode": "train"})[0] * dout))

    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    for name, array, gradient in zip(("dx", "dgamma", "dbeta"), (x, gamma, beta), batchnorm_backward(dout, cache), strict=True):
        print(f"{name:6s} relative error {relative_error(gradient, numerical_gradient(loss, array)):.0e}")

# %% [markdown]
# In a batch of one, each number is its own mean. xhat is 0, and the output is $\beta$, whatever the input. So the
# scores were the same for all 597 digits, and 9 % of them happen to be of the class that won.

# %% [markdown]
# ## 5. Play: six layers, with and without
#
# Two networks with the same initial weights, trained on the same batches. The upper row is the network of section 1,
# the lower row the same with your batch normalization before each tanh. Each histogram shows what goes into the tanh
# of a layer; above it stands its spread. Beyond the dotted lines at $\pm 2$ the slope of a tanh is below 0.07.
#
# 1. Do not train yet. Find the spread of the weights at which the upper row looks most like the lower one. Which two
#    numbers is it made of, for layers of 30 tanh units? (Assignment 02.)
# 2. Go to the smallest and to the largest weights. What happens to each row?
# 3. At weights of spread 1 (0 on the slider), train for 150 steps. Compare the two rows, and the two accuracies.
# 4. Start again at $-0.75$, train for 150 steps, and raise the learning rate from $-1.25$ to 0. Which network breaks
#    first, and what do you see in its histograms?

# %% tags=["lab"]
explore(batchnorm, batchnorm_forward=batchnorm_forward, batchnorm_backward=batchnorm_backward)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. At $-0.5$, a spread of 0.32: layer 1 has 0.65, and layer 6 has 1.1. With $1 / \sqrt{30} = 0.18$ the variance of a
#    sum of 30 products stays what it was. A tanh takes a little away each time; a gain of 5/3 gives it back, and 5/3
#    of 0.18 is 0.30.
# 2. The upper row collapses to a spike at 0, or is pushed out to both ends. The lower row looks the same at every
#    setting, as long as nobody trains.
# 3. Without: 0.60, and two thirds of what arrives at the tanh lies beyond the lines. With: 0.87. Better, and not good:
#    see section 7.
# 4. The one without. It ends at 0.71 with the slider at $-0.5$, and at 0.22 with $-0.25$: its numbers are pushed far
#    out, where nothing comes back. The other one has 0.94, 0.89, and at 0 still more than 0.75. At 0.25 it breaks as
#    well. (Near the edge rounding decides, so that your numbers may differ.)
#
# </details>

# %% [markdown]
# ## 6. Measure: what does it buy?
#
# You will find the claims in many places: learning rates ten times as high, less care with initial weights, training
# two or three times as fast, better on new data. For this network you can measure each of them.
#
# ### Initial weights

# %% tags=["experiment"]
prediction_4 = ""  # which of the four claims hold here?

# %% tags=["experiment"]
if predicted(prediction_4) and ready(batchnorm_forward, batchnorm_backward, forward_stages, backward_stages):
    print("spread of the weights   accuracy without   with    (networks 0, 1 and 2)")
    for scale in (0.01, 0.05, 30**-0.5, 1.0, 5.0):
        plain, normalized = (
            " ".join(
                f"{train(batchnorm_forward, batchnorm_backward, seed, normalization=name, weight_scale=scale)['accuracy']:.2f}"
                for seed in range(3)
            )
            for name in ("none", "batch")
        )
        print(f"{scale:21.2f}   {plain}     {normalized}")

# %% [markdown]
# The claim about initial weights holds. Without, 0.05 is already too small. With, every spread from 0.01 to 0.18 ends
# at 0.89 or better. But weights of spread 5 end below 0.8, though what they pass on is normalized. Section 7 asks why.
#
# ### Learning rate
#
# **Exercise `measured_reach`** (core, 3 points). Network 1, that is `seed=1`.
#
# - `factor_per_layer`: without normalization and with the weights of section 1, the spread of a layer over that of the
#   layer below, before any training. `train(...)["spreads"][0]` has the six spreads.
# - `largest_rate_plain` and `largest_rate_batchnorm`: of the rates 0.1, 0.2, 0.4, 0.8 and 1.6, the largest at which
#   50 steps end with an accuracy of at least 0.7. From good weights: `weight_scale=30**-0.5`.

# %% solution="measured_reach"
# train(batchnorm_forward, batchnorm_backward, seed=1, steps=50, normalization="none", weight_scale=0.05, learning_rate=0.05)
# gives a dict with "accuracy" and "spreads"; the other normalization is "batch"
# set factor_per_layer, largest_rate_plain and largest_rate_batchnorm
### BEGIN SOLUTION
def run_1(**changes):
    return train(batchnorm_forward, batchnorm_backward, seed=1, steps=50, **changes)


def largest_rate(normalization):
    rates = [0.1, 0.2, 0.4, 0.8, 1.6]
    good = [
        rate
        for rate in rates
        if run_1(normalization=normalization, weight_scale=30**-0.5, learning_rate=rate)["accuracy"] >= 0.7
    ]
    return max(good)


before_training = run_1(normalization="none", weight_scale=0.05)["spreads"][0]
factor_per_layer = before_training[1] / before_training[0]
largest_rate_plain, largest_rate_batchnorm = largest_rate("none"), largest_rate("batch")
print(f"per layer {factor_per_layer:.3f}   largest rate without {largest_rate_plain}, with {largest_rate_batchnorm}")
### END SOLUTION

# %% check="measured_reach"
check("measured_reach")

# %% [markdown]
# The factor is near $0.05 \cdot \sqrt{30} = 0.27$: each number is a sum of 30 products, and variances add. And the rate
# may be four times as high. Other networks give other factors; whoever says "ten times" has measured another one.
#
# ### Speed, and new data
#
# Two claims are left. How many steps does it take until 9 of 10 held-out digits are right? And what if there are only
# 200 digits to learn from, so that a network can learn them by heart?

# %% tags=["experiment"]
def own_functions():
    """What a network is made of, with your batch normalization."""
    return {
        "affine_forward": affine_forward, "affine_backward": affine_backward,
        "tanh_forward": tanh_forward, "tanh_backward": tanh_backward,
        "batchnorm_forward": batchnorm_forward, "batchnorm_backward": batchnorm_backward,
    }  # fmt: skip


def steps_to_90(normalized, rate, seed):
    """Steps until 0.9 of the held-out digits are right, looked at every 5 steps."""
    draw = np.random.default_rng(seed)
    digits, (new_x, new_y) = data()
    net = network(normalized, 30**-0.5, own_functions(), draw)
    for step in fit(net, digits, svm_loss, sgd, steps=150, learning_rate=rate, rng=draw, batch_size=64):
        if step.step % 5 == 4:
            net.mode = "test"  # fit sets it back
            if accuracy(net.forward(new_x), new_y) >= 0.9:
                return f"{step.step + 1:4d}"
    return "   -"


def few_digits(normalized, seed):
    """Train on 200 digits for 200 steps of 16; accuracy on those, and on held-out ones."""
    draw = np.random.default_rng(seed)
    (x, y), (new_x, new_y) = data()
    x, y = x[:200], y[:200]
    net = network(normalized, 30**-0.5, own_functions(), draw)
    for _ in fit(net, (x, y), svm_loss, sgd, steps=200, learning_rate=0.1, rng=draw, batch_size=16):
        pass
    net.mode = "test"
    return accuracy(net.forward(x), y), accuracy(net.forward(new_x), new_y)


if ready(batchnorm_forward, batchnorm_backward, forward_stages, backward_stages):
    print("steps until 0.9                 without        with    (networks 0, 1 and 2)")
    for rate in (0.02, 0.05, 0.1):
        plain, normalized = ("".join(steps_to_90(norm, rate, seed) for seed in range(3)) for norm in (False, True))
        print(f"rate {rate:4.2f}                  {plain}  {normalized}")

    print("\n200 digits, mean of 6 networks   accuracy on them   on new ones")
    for label, normalized in (("without", False), ("with", True)):
        scores = np.array([few_digits(normalized, seed) for seed in range(6)])
        print(f"{label:31s}   {scores[:, 0].mean():16.3f}   {scores[:, 1].mean():.3f} (from {scores[:, 1].min():.3f} to {scores[:, 1].max():.3f})")

# %% [markdown]
# At the low rate of 0.02, the slowest of the three networks needs 65 steps in place of 145. At 0.1, where both do
# best, it is 20 to 25 steps in place of 20 to 35: a fifth less on average, and each step is more work.
#
# And on new digits: 0.902 against 0.897, while single networks lie anywhere from 0.881 to 0.928. That is no
# difference. The noise of small batches is said to act as a regularizer. In this network, with this much data, it
# cannot be seen.
#
# So of the four claims, two hold here, one a little, one not. With batch normalization you can care less about the
# start and be bolder about the rate. Where both were chosen well already, it buys little.

# %% [markdown]
# ## 7. Why does it work?
#
# The authors of 2015 gave a reason in the title of their paper: the inputs of each layer keep moving because the
# layers below learn, which they called *internal covariate shift*, and normalization stops that. In 2018 Santurkar and
# others added random shifts after the normalization, in every step. The inputs moved more than ever, and the network
# trained nearly as well. Their own explanation: the loss becomes smoother, so that the gradient is still right a
# longer step away. Others point to the length of the weights. The question is open. Here is one piece of it that you
# can measure.
#
# An affine layer, and your batch normalization on top. Make its weights ten times as large. What happens to the
# output? And to the gradient of the weights?

# %% tags=["experiment"]
prediction_5 = ""  # output, and gradient of the weights, with weights ten times as large

# %% tags=["experiment"]
if predicted(prediction_5) and ready(batchnorm_forward, batchnorm_backward, forward_stages, backward_stages):
    draw = np.random.default_rng(0)
    x, w, b, dout = (draw.standard_normal(shape) for shape in ((64, 30), (30, 30), (30,), (64, 30)))

    def through(w, b):
        """An affine layer with batch normalization: its output, and the gradients of its weights and biases."""
        z, affine_cache = affine_forward(x, w, b)
        out, cache = batchnorm_forward(z, np.ones(30), np.zeros(30), {"mode": "train"})
        _, dw, db = affine_backward(batchnorm_backward(dout, cache)[0], affine_cache)
        return out, dw, db

    out, dw, db = through(w, b)
    for factor in (10.0, 100.0):
        larger, smaller, _ = through(factor * w, b)
        print(f"weights times {factor:3.0f}   largest change of an output {np.abs(larger - out).max():.0e}", end="")
        print(f"   norm of dw over what it was {np.linalg.norm(smaller) / np.linalg.norm(dw):.4f}")
    print(f"dw and w at a right angle: cosine {np.sum(dw * w) / np.linalg.norm(dw) / np.linalg.norm(w):.0e}")
    print(f"the largest gradient of a bias: {np.abs(db).max():.0e}")

    (digits, labels), _ = data()
    for scale in (30**-0.5, 5.0):
        draw = np.random.default_rng(0)
        net = network(True, scale, own_functions(), draw)
        first = net.params["affine3.w"]
        for _ in fit(net, (digits, labels), svm_loss, sgd, steps=150, learning_rate=0.05, rng=draw, batch_size=64):
            pass
        last = net.params["affine3.w"]
        cosine = np.sum(first * last) / np.linalg.norm(first) / np.linalg.norm(last)
        print(f"weights of spread {scale:.2f}: in 150 steps those of layer 3 turn by {np.degrees(np.arccos(cosine)):.2f} degrees")

# %% [markdown]
# The output stays, but for $\epsilon$: the scale of the weights is divided out. And the gradient becomes a tenth. So
# with weights ten times as large, the step is a tenth as long, and the weights that it is to turn are ten times as
# long. They turn by a *hundredth* of the angle.
#
# That explains the table of section 6. At a spread of 5 the signal is fine, and in 150 steps the weights of layer 3
# turn by 0.18 degrees, where good ones turn by 10.22. It also says why a high rate does less harm: `dw` stands at a
# right angle to `w`, so a step that is too long makes the weights longer, and longer weights turn less in the next
# step. The layer slows itself down.
#
# And the bias below a batch normalization gets a gradient of 0 but for rounding. Which of the two things that are
# removed from a gradient is that? In practice it is left out.

# %% [markdown]
# ## 8. Fix it: a loop that evaluates
#
# `trained(...)` trains the network of section 3 with your layer, and hands over its parameters and the `bn_param` of
# each layer, as training left them. Somebody wrote `predict_as_found` to get scores. `report` asks it for the held-out
# digits all at once, then one at a time, and looks at the first layer's averages and mode. Read it before you run it:
# which of the four lines will be wrong?

# %% tags=["experiment"]
def predict_as_found(x, params, bn_params):
    """Scores of digits, of shape (N, 10)."""
    h = x
    for k, bn_param in enumerate(bn_params, start=1):
        z, _ = affine_forward(h, params[f"w{k}"], params[f"b{k}"])
        z, _ = batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], bn_param)
        h, _ = tanh_forward(z)
    scores, _ = affine_forward(h, params["w_scores"], params["b_scores"])
    return scores


def report(function):
    """Evaluate a trained network in two ways, and look at it before and after."""
    params, bn_params = trained(batchnorm_forward, batchnorm_backward)
    _, (x, y) = data()
    before = bn_params[0]["running_mean"].copy()
    print(f"all at once         {accuracy(function(x, params, bn_params), y):.2f}")
    scores = np.concatenate([function(x[n : n + 1], params, bn_params) for n in range(len(x))])
    print(f"one at a time       {accuracy(scores, y):.2f}")
    print(f"the first running mean moved by {np.abs(bn_params[0]['running_mean'] - before).max():.2f}")
    print(f"the mode is now     {bn_params[0]['mode']}")


if ready(batchnorm_forward, batchnorm_backward, forward_stages, backward_stages):
    report(predict_as_found)

# %% [markdown]
# **Exercise `predict`** (core, 4 points). Mend it. The scores of a digit must not depend on which other digits are in
# the batch. And whoever calls it is in the middle of training: when `predict` returns, parameters, statistics and the
# mode must be what they were.

# %% solution="predict"
def predict(x, params, bn_params):
    """Scores of examples, by a network that is trained or still training.

    Parameters
    ----------
    x : ndarray, shape (N, D)
    params : dict of str to ndarray
        "w1", "b1", "gamma1" and "beta1" of the first hidden layer, and so on; "w_scores" and "b_scores".
    bn_params : list of dict
        That of each hidden layer. They still belong to the caller.

    Returns
    -------
    scores : ndarray, shape (N, C)
    """
    ### BEGIN SOLUTION
    h = x
    for k, bn_param in enumerate(bn_params, start=1):
        z, _ = affine_forward(h, params[f"w{k}"], params[f"b{k}"])
        z, _ = batchnorm_forward(z, params[f"gamma{k}"], params[f"beta{k}"], {**bn_param, "mode": "test"})
        h, _ = tanh_forward(z)
    scores, _ = affine_forward(h, params["w_scores"], params["b_scores"])
    return scores
    ### END SOLUTION

# %% check="predict"
check("predict")

# %% tags=["experiment"]
if ready(predict, batchnorm_forward, batchnorm_backward, forward_stages, backward_stages):
    report(predict)

# %% [markdown]
# One more way to be wrong in test mode: too early. The averages start at 0, and after $t$ steps they hold $1 - 0.9^t$
# of what they should. After one step `running_var` is a tenth of the variance, and the layer divides by a third of the
# deviation. After how many steps would you trust test mode?

# %% tags=["experiment"]
seen = experiments.recorded("evaluation_mode")
for step, averages, one_batch in zip(seen["early"], seen["averages"], seen["one_batch"], strict=True):
    print(f"after {step:3d} steps   test mode {averages:.2f}   statistics of all 597 digits {one_batch:.2f}   1 - 0.9^t = {1 - 0.9**step:.2f}")

# %% [markdown]
# For the first ten steps test mode is behind, and after twenty it is not. With a momentum of 0.99, the averages need
# 105 steps to hold as much as these hold after ten.

# %% [markdown]
# ## 9. Which normalization for which network?
#
# All of them subtract a mean and divide by a deviation. They differ in *whose*.
#
# | network | usual choice | averages over | why |
# |---|---|---|---|
# | image classifier, large batches | batchnorm | examples and positions, for each channel | many numbers in each mean; folds into the weights after training |
# | detection, segmentation, small batches | groupnorm | positions and a group of channels of one example | a mean over 2 examples is mostly noise |
# | transformer, recurrent network | layernorm, RMSNorm | the features of one token | lengths differ, batches may be of one, training and evaluation are one function |
# | image generator | instancenorm, groupnorm | positions of one channel of one example | an image must not depend on its neighbours in the batch |
#
# RMSNorm leaves out the mean. The second column is what you will find in code; it is habit as much as law. The
# question to ask of any of them is that of section 3: who else can change my output?

# %% [markdown]
# ## 10. Stretch: on paper
#
# The six lines from `xhat` to `x` can become one. Put them together, for one feature, and let everything fall out that
# is a mean of `xhat` (it is 0) or of its square (nearly 1).
#
# A way that needs less algebra: follow a small change $\delta x$ forward. The mean takes away its average. The
# deviation grows by the mean of $\text{xhat} \cdot \delta x$. What is $\delta \text{xhat}$? You have found a linear
# map. Gradients go back through its transpose. What is the transpose of this one?
#
# **Exercise `batchnorm_backward_alt`** (stretch, 4 points). The same gradients from the same cache. The check cannot
# see how you got them; the clock can.

# %% solution="batchnorm_backward_alt"
def batchnorm_backward_alt(dout, cache):
    """The gradients of batchnorm_backward, in one formula.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
    cache : anything
        What batchnorm_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dgamma, dbeta : ndarray, shape (D,)
    """
    ### BEGIN SOLUTION
    values = cache
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * values["xhat"]).sum(axis=0)
    dx = values["gamma"] / values["std"] * (dout - dbeta / N - values["xhat"] * (dgamma / N))
    return dx, dgamma, dbeta
    ### END SOLUTION

# %% check="batchnorm_backward_alt"
check("batchnorm_backward_alt")

# %% tags=["experiment"]
import time

if ready(batchnorm_forward, batchnorm_backward, batchnorm_backward_alt, forward_stages, backward_stages):
    draw = np.random.default_rng(0)
    x, dout = draw.standard_normal((500, 100)), draw.standard_normal((500, 100))
    _, cache = batchnorm_forward(x, np.ones(100), np.zeros(100), {"mode": "train"})
    pairs = zip(batchnorm_backward(dout, cache), batchnorm_backward_alt(dout, cache), strict=True)
    print("largest relative error between the two:", f"{max(relative_error(a, b) for a, b in pairs):.0e}")
    times = {batchnorm_backward: [], batchnorm_backward_alt: []}
    for _ in range(50):
        for function, taken in times.items():
            start = time.perf_counter()
            function(dout, cache)
            taken.append(time.perf_counter() - start)
    staged, short = (1e6 * float(np.median(taken)) for taken in times.values())
    print(f"staged {staged:.0f} microseconds, on one line {short:.0f}: a factor of {staged / short:.1f} (median of 50)")

# %% [markdown]
# The two agree to rounding. How much time it saves depends on your code and on the machine; the number above is yours.
# Where it comes from is easy to say: fewer walks over an array of N times D numbers.
#
# ## 11. Stretch: layer normalization
#
# Now normalize each *example* over its features. $\gamma$ and $\beta$ still belong to the features. `ln_param` holds
# `"eps"` if anything. There is no mode and no average: why not?
#
# **Exercise `layernorm_forward`** (stretch, 2 points).

# %% solution="layernorm_forward"
def layernorm_forward(x, gamma, beta, ln_param):
    """Layer normalization: each example gets mean 0 and variance 1 over its features.

    Parameters
    ----------
    x : ndarray, shape (N, D)
    gamma, beta : ndarray, shape (D,)
    ln_param : dict
        "eps", or nothing (then it is 1e-5).

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : anything
        What layernorm_backward needs.
    """
    ### BEGIN SOLUTION
    xc = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((xc**2).mean(axis=1, keepdims=True) + ln_param.get("eps", 1e-5))  # (N, 1)
    xhat = xc / std
    return gamma * xhat + beta, (xhat, std, gamma)
    ### END SOLUTION

# %% check="layernorm_forward"
check("layernorm_forward")

# %% [markdown]
# **Exercise `layernorm_backward`** (stretch, 3 points). One thing is not as before. In batch normalization $\gamma$
# was the same number for all that is averaged.

# %% solution="layernorm_backward"
def layernorm_backward(dout, cache):
    """Send the upstream gradient back through layernorm_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
    cache : anything
        What layernorm_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dgamma, dbeta : ndarray, shape (D,)
    """
    ### BEGIN SOLUTION
    xhat, std, gamma = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=1, keepdims=True) - xhat * (dxhat * xhat).mean(axis=1, keepdims=True)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)
    ### END SOLUTION

# %% check="layernorm_backward"
check("layernorm_backward")

# %% tags=["experiment"]
if ready(layernorm_forward):
    x = np.random.default_rng(0).standard_normal((64, 30))
    together, _ = layernorm_forward(x, np.ones(30), np.zeros(30), {})
    alone = np.concatenate([layernorm_forward(x[n : n + 1], np.ones(30), np.zeros(30), {})[0] for n in range(64)])
    print(f"layernorm, an example alone or among 64: the outputs differ by {np.abs(together - alone).max():.0e} at most")

# %% [markdown]
# An example has the same output alone and in company. So nothing has to be averaged for later, and one function does for
# training and for evaluation.

# %% [markdown]
# ## 12. Say it
#
# **Exercise `quiz_05`** (core, 4 points). One letter each.
#
# **1.** A network of many tanh layers trains with batch normalization before each tanh, and not without. What does the
# normalization do for the gradient?
#
# - a) It cuts off gradients that are too large.
# - b) It gives the gradient a second way down, past the activations.
# - c) It sets the spread of what goes into each tanh, whatever the weights below make of it.
# - d) It makes the features normally distributed and independent of each other.
#
# **2.** A network reaches 0.96 on a shuffled test set of 597 digits, evaluated as one batch. Then it runs in an app,
# one digit at a time, and answers with the same class every time. What is likely?
#
# - a) It has overfitted to the test set.
# - b) It runs in training mode.
# - c) The running statistics are wrong, because the training set was too small.
# - d) The scores of a single digit suffer from rounding.
#
# **3.** An affine layer with a bias, and batch normalization right above it, in training mode. What is the gradient of
# the bias?
#
# - a) That of a layer without normalization, divided by the deviation.
# - b) The same as that of beta.
# - c) Smaller than usual, since it is averaged over the batch.
# - d) 0, up to rounding.
#
# **4.** A model writes text one token at a time, and learns from sequences of all lengths. Which normalization, and
# why?
#
# - a) Layernorm: it needs nothing but the token itself.
# - b) Batchnorm: in test mode it uses running averages, so that the batch does not matter.
# - c) Batchnorm in training mode, since it was trained in that mode.
# - d) None: with good initial weights, activations do not drift.

# %% solution="quiz_05"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "c", "2": "b", "3": "d", "4": "a"}
### END SOLUTION

# %% check="quiz_05"
check("quiz_05")

# %% [markdown]
# **In your own words** (not graded). A colleague writes: "I put batchnorm into our network. It makes training ten
# times faster, and we need not care about initial weights any more. Validation says 0.96." Their validation runs on
# shuffled batches, each of 597 images. Answer in six sentences at most, with at least two numbers that you measured.
# Say what you would check before the network is used on single examples, and how.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# Ten times is what somebody else measured: in my network the largest rate went from 0.2 to 0.8, and at a rate that is
# good for both it took a fifth fewer steps. Initial weights matter less, not nothing: from 0.01 to 0.18 all went
# well, and at 5 accuracy fell below 0.8, because a large weight turns slowly under a gradient that shrinks with it.
# And 0.96 says little about single examples: with the mode forgotten I got 0.96 on 597 shuffled digits too, and 0.09
# one at a time, since a batch of one comes out as beta. I would score the same example alone and inside a batch, and
# ask for equal numbers. I would also compare the running statistics and the mode before and after an evaluation, since
# mine had moved, and 0.97 had become 0.55.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Both claims.** Did you answer the one about speed and the one about initial weights, each with a number?
# 2. **Mode.** Did you say that 0.96 on large shuffled batches does not tell whether the mode was set?
# 3. **Mechanism.** Did you say what comes out for a batch of one, and why?
# 4. **Check.** Did you propose a test that would have failed, such as one example alone against the same one in a
#    batch?
#
# One point each. Three or four: go on. One or two: read sections 3, 6 and 8 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - Batch normalization gives each feature mean 0 and spread 1 over the batch. The scale of the weights below is
#   divided out.
# - On the way back every example hears of every other, through the mean and through the deviation. What is constant
#   over the batch, and what is proportional to xhat, is removed.
# - It buys initial weights and learning rates. What else it buys has to be measured, and may be nothing.
# - Training and evaluation are two functions. A large shuffled batch hides that the wrong one is running. Ask about
#   one example, alone and in company.
# - In training mode even looking changes the network.
#
# ## Where this shows up today
#
# - **Every framework has the switch**, and forgetting it is still among the most frequent bugs: `model.eval()`.
#   PyTorch's momentum is one minus this one, and its stored variance divides by $N - 1$.
# - **Transformers** use layernorm or RMSNorm. Whether it stands inside the residual branch or after the sum matters for
#   deep ones: assignment 09.
# - **Inference** folds batch normalization into the weights of the layer below. Two constants for each feature, and it
#   costs nothing.
# - **Contrastive learning** had networks that cheated through it: the statistics of a batch told which examples belong
#   together.
#
# ## References
#
# - Sergey Ioffe and Christian Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal
#   Covariate Shift*, ICML 2015.
# - Shibani Santurkar, Dimitris Tsipras, Andrew Ilyas and Aleksander Madry, *How Does Batch Normalization Help
#   Optimization?*, NeurIPS 2018. The noise experiment of section 7.
# - Sanjeev Arora, Zhiyuan Li and Kaifeng Lyu, *Theoretical Analysis of Auto Rate-Tuning by Batch Normalization*, ICLR
#   2019. The right angle, and what follows from it.
# - Jimmy Lei Ba, Jamie Ryan Kiros and Geoffrey Hinton, *Layer Normalization*, 2016.
# - Yuxin Wu and Justin Johnson, *Rethinking "Batch" in BatchNorm*, 2021. A long list of ways in which the batch
#   matters.
