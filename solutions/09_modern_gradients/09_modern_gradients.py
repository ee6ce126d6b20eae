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
# # 09. Modern gradients
#
# *The failures of this course, in networks of today: the same ones, with more zeros.*
#
# When you are done you can
#
# - say which gradients float16 loses, and write the loss scaling that saves them;
# - name the array in which the first infinite number was made, when all of them look alike;
# - write a GELU, forward and backward, and say what it buys and what it does not;
# - take a network of today apart, and say from measurements which part does what for the gradient.
#
# **Time.** The core path takes 80 to 110 minutes and is worth 29 points. The stretch takes half an hour more, and its
# 8 points are extra.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it. All functions
# of the earlier assignments are there to use.

# %% tags=["setup"]
import math
from dataclasses import replace

import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.datasets import digits
from minigrad.experiments.half_precision import first_gradients
from minigrad.experiments.then_and_now import RECIPES
from minigrad.experiments.then_and_now import train as train_recipe
from minigrad.labs import loss_scaling
from minigrad.labs.explore import explore, predicted, ready
from minigrad.layers import (
    affine_backward,
    affine_forward,
    layernorm_backward,
    layernorm_forward,
    relu_backward,
    relu_forward,
    sigmoid_forward,
)
from minigrad.losses import softmax_loss

erf = np.vectorize(math.erf, otypes=[float])  # the error function; numpy has none

# %% [markdown]
# ## 1. See it fail: a loss that does not move
#
# A network with two hidden layers of 32 ReLU units reads handwritten digits, for 100 steps. It computes as graphics cards
# like to: what one layer hands to the next is float16, two bytes a number. The weights are kept in float32.
#
# The loss is a mean over a large batch, as large as in the training of a language model: DeepSeek-V3 was trained on 15,360
# sequences of about 4,096 tokens in each step, and 15,360 times 4,096 is 62,914,560. No machine holds them all. This one holds
# 128 examples, computes their part of the gradient of that mean, and all machines add up their parts, in float32. (The other
# machines are played by this one: its part counts as often as there are machines.)

# %% tags=["experiment"]
failed = experiments.recorded("half_precision")

print(f"{'':28s} float16   float32")
print(f"loss in the first step      {failed['losses'][0]:8.3f}  {failed['float32_losses'][0]:8.3f}")
print(f"mean of the last 20         {failed['losses'][-20:].mean():8.3f}  {failed['float32_losses'][-20:].mean():8.3f}")
print(f"accuracy after 100 steps    {failed['accuracy']:8.2f}  {failed['float32_accuracy']:8.2f}")
print(f"parameters that have changed, of 3,466, in float16: {failed['moved']:.0f}")

figure, axes = plots.canvas()
for name, losses, series in (
    ("float16", failed["losses"], plots.SERIES[1]),
    ("float32", failed["float32_losses"], plots.SERIES[0]),
):
    axes.plot(losses, label=name, markevery=20, **series)
axes.set(xlabel="step", ylabel="loss", ylim=(0, 3), title="The same network, data, weights and learning rate")
axes.legend()
plots.show(
    figure,
    "Loss over 100 steps. The float32 run falls from 2.2 to below 0.1. The float16 run starts at the same value and stays "
    "there, up and down a little from batch to batch.",
)

# %% [markdown]
# *The figure: the loss of the float32 run falls below 0.1. The loss of the float16 run stays where it began.*
#
# It wobbles, because each step sees another batch. But no parameter changed, not one bit of one of 3,466. No `nan`, no
# warning, and the forward pass is fine: in the first step both runs print 2.245.
#
# So look at the gradient. What share of its entries is exactly 0 in the first step? And what share in the float32 run?

# %% tags=["experiment"]
prediction_1 = ""  # two shares: exactly 0 in float16, exactly 0 in float32

# %% tags=["experiment"]
if predicted(prediction_1):
    print(f"gradients that are exactly 0 in the first step: float16 {failed['zeros']:.2f}, float32 {failed['float32_zeros']:.2f}")

# %% [markdown]
# All of them, against one in five. (The one in five are right: corner pixels are 0 in every digit, and some units are silent
# on this batch. You know both from assignment 03.)
#
# The backward pass is correct, in both runs, to the last line. Between two correct layers the numbers are stored, and that
# is where they are lost.

# %% [markdown]
# ## 2. What float16 holds
#
# Two bytes: one bit for the sign, five for the exponent, ten for the digits.

# %% tags=["experiment"]
half = np.finfo(np.float16)
print(f"largest number                       {half.max:.0f}")
print(f"smallest number with all its digits  {half.tiny:.1e}   (2^{np.log2(float(half.tiny)):.0f})")
print(f"smallest number                      {half.smallest_subnormal:.1e}   (2^{np.log2(float(half.smallest_subnormal)):.0f})")
print("\n      a number   in float16   off by")
for number in (1e-3, 1e-5, 1e-6, 1e-7, 3.1e-8, 2.9e-8, 1.6e-8):
    stored = float(np.float16(number))
    print(f"{number:14.1e}   {stored:10.2e}   {abs(stored - number) / number:5.0%}")
print(f"\n1 + 0.0004 in float16: {np.float16(1) + np.float16(0.0004)}")

# %% [markdown]
# Three regions. Down to $6.1 \cdot 10^{-5}$ a number keeps its three digits. Below that the exponent has reached its end, and
# digits go: $10^{-6}$ is off by 1 %, $10^{-7}$ by 19 %. The smallest number is $2^{-24}$, and what lies at or below half of it, $2^{-25}$ or
# $3.0 \cdot 10^{-8}$, rounds to 0.
#
# The last line is why the weights of section 1 are kept in float32. Near 1 the numbers of float16 are 0.001 apart, and a healthy
# update is about a thousandth of its weight (08). Smaller ones are rounded away.
#
# Now the gradient. Where backpropagation starts, an entry is $(p - y) / 62{,}914{,}560$, a probability minus 0 or 1. Its size
# is at most $1.6 \cdot 10^{-8}$: the last line of the table. (Some programs add first and divide later, and meet this later.
# Gradients get small in other ways too: you know what a dozen layers can do, from assignments 02 and 04.)
#
# Which of these would help? Decide before you read on: (a) a learning rate of 1,000 instead of 0.1; (b) Adam, which divides a
# gradient by its own size; (c) multiplying the loss by 1,000,000.

# %% tags=["experiment"]
prediction_2 = ""  # which of a, b, c, and why not the others

# %% tags=["experiment"]
if predicted(prediction_2):
    entry = 1.6e-8
    stored = float(np.float16(entry))
    print(f"(a) 1,000 times what was stored            {1000 * stored}")
    print(f"(b) what was stored, over its own size     {stored / (np.sqrt(stored**2) + 1e-8)}")
    print(f"(c) 1,000,000 times the entry, then stored {float(np.float16(1e6 * entry)):.4f}")

# %% [markdown]
# ## 3. Build it: loss scaling
#
# The learning rate and Adam come too late. They multiply and divide a 0.
#
# Backpropagation is linear in what comes from above. Multiply the upstream gradient by $S$ *before* it is rounded, and every
# gradient below comes out $S$ times as large. Divide by $S$ at the end, in float32, where there is room. What was too small to
# be stored has been carried across.
#
#     scaled = scale_gradient(dscores, config)              # float32, or float16
#     grads = backward(scaled)                              # float16
#     grads, overflow = unscale_gradients(grads, config)    # float32, of their true size
#     if not overflow:
#         ...                                               # the step of the optimizer
#     config = update_scale(overflow, config)
#
# All three read their numbers from a dict:
# `config = {"scale": 32768.0, "growth": 2.0, "backoff": 0.5, "interval": 2000, "good_steps": 0}`.
#
# **Exercise `scale_gradient`** (core, 2 points). Multiply by `config["scale"]`, and return the precision that came in. `dout` may
# be float16 itself, and the scale may be $2^{20}$, which float16 does not have: `np.float16(2.0**20)` is infinite, and 0 times
# infinity is `nan`. So multiply where there is room, and then go back. What is too large for float16 then becomes infinite,
# and should: that is the signal that somebody will look for. NumPy may warn of an overflow, also when your function is right.

# %% solution="scale_gradient"
def scale_gradient(dout, config):
    """Multiply the upstream gradient of the loss by the scale.

    Parameters
    ----------
    dout : ndarray, any shape
        float16, float32 or float64. It still belongs to the loss.
    config : dict
        With the scale, a float, under "scale".

    Returns
    -------
    scaled : ndarray, shape and dtype of dout
    """
    ### BEGIN SOLUTION
    with np.errstate(over="ignore"):
        return (dout.astype(np.float64) * config["scale"]).astype(dout.dtype)
    ### END SOLUTION

# %% check="scale_gradient"
check("scale_gradient")

# %% [markdown]
# On the way back two things are to be done. Divide; mind in which precision. And look: a scale that is too large makes
# some gradient infinite, and infinity minus infinity, or times 0, is `nan`. One such entry, in one array, and the step must
# not be made.
#
# How do you look? `np.isfinite` tells for each entry. A sum would be one number instead of many, and in float16
# $60000 + 60000$ is infinite too.
#
# **Exercise `unscale_gradients`** (core, 3 points).

# %% solution="unscale_gradients"
def unscale_gradients(grads, config):
    """Divide gradients by the scale, and say whether any of them is unusable.

    Parameters
    ----------
    grads : dict of str to ndarray
        Scaled gradients, float16. The dict and its arrays still belong to the network.
    config : dict
        With the scale under "scale".

    Returns
    -------
    unscaled : dict of str to ndarray
        New arrays, float32.
    overflow : bool
        Whether any entry of any array is infinite or nan.
    """
    ### BEGIN SOLUTION
    unscaled = {name: g.astype(np.float32) / np.float32(config["scale"]) for name, g in grads.items()}
    overflow = not all(np.isfinite(g).all() for g in grads.values())
    return unscaled, overflow
    ### END SOLUTION

# %% check="unscale_gradients"
check("unscale_gradients")

# %% [markdown]
# Which scale? A scale that is too low loses gradients and nobody notices. One that is too high makes infinities, and they
# are seen. So one can search from above, in every step:
#
# - after an overflow, multiply the scale by `backoff`, but not below 1, and start counting anew: `good_steps` is 0;
# - after a step without overflow, count it in `good_steps`. If that makes `interval` of them, multiply the scale by `growth`,
#   and start counting anew.
#
# **Exercise `update_scale`** (core, 3 points). Return the config; whether it is the same dict or a new one is up to you.

# %% solution="update_scale"
def update_scale(overflow, config):
    """Choose the scale of the next step.

    Parameters
    ----------
    overflow : bool
        Whether this step had to be skipped.
    config : dict
        With "scale", "growth", "backoff", "interval" and "good_steps".

    Returns
    -------
    config : dict
        The same entries, for the next step.
    """
    ### BEGIN SOLUTION
    config = dict(config)
    if overflow:
        config["scale"] = max(1.0, config["scale"] * config["backoff"])
        config["good_steps"] = 0
    else:
        config["good_steps"] += 1
        if config["good_steps"] >= config["interval"]:
            config["scale"] *= config["growth"]
            config["good_steps"] = 0
    return config
    ### END SOLUTION

# %% check="update_scale"
check("update_scale")

# %% [markdown]
# ## 4. Play: a window of forty powers of two
#
# The picture on the left counts the gradients of the network of section 1 by their exponents, after scaling. Behind them is
# float16: where numbers become 0, where they lose digits, where they become infinite. On the right, for each array, the share
# of its entries that was lost at each end. *Coarse* are those that came through, and are off by more than one hundredth.
#
# 1. At scale $2^0$, where are they? Move the scale up. From where on is less than one entry in a hundred lost?
# 2. Go on. Where does it end? Which array overflows first?
# 3. Go back to $2^0$, and move the batch down instead. With a mean over $2^7 = 128$ examples, how much does float16 lose?
# 4. At scale $2^4$ a part is lost in each array. Look at the scores: how much of theirs, and which entries would that be?

# %% tags=["lab"]
explore(loss_scaling, scale_gradient=scale_gradient, unscale_gradients=unscale_gradients)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. All of them lie below $2^{-25}$. From $2^{13}$ on each array has lost less than one in a hundred.
# 2. At $2^{38}$ nothing is infinite yet; at $2^{39}$ the weights of layers 2 and 1 have infinite entries. Those of the scores
#    have room left: the gradient of a weight is a sum over 128 examples.
# 3. No entry, though 2 to 4 % of the weights' are coarse. The factor in the mean is what pushed them out. This network on a small
#    batch would not have met any of this.
# 4. 72 % of the scores' gradients. Each example has ten. The class that is right has $p - 1$, and comes through. The nine that
#    are wrong have $p$, which is smaller: most of those are lost.
#
# </details>

# %% [markdown]
# ## 5. Measure: the window
#
# `first_gradients(scale, scale_gradient, dtype, seed)` returns the gradients of the parameters in the first step, still
# scaled, in float16 or float32. Take the network of seed 1.
#
# **Exercise `scale_window`** (core, 3 points). Call an entry *lost* if it is 0 in float16 and not 0 in float32. Over all entries of
# all arrays together, find
#
# - `lost_at_16`: of the entries that are not 0 in float32, the share that is lost at a scale of 16;
# - `smallest_exponent`: the smallest whole number $k$ for which a scale of $2^k$ loses less than one in a hundred;
# - `largest_exponent`: the largest whole number $k$ for which nothing overflows at $2^k$.

# %% solution="scale_window"
# first_gradients(2.0**k, scale_gradient, np.float16, seed=1) gives {"affine1.w": ..., ...}
# set lost_at_16, smallest_exponent and largest_exponent
### BEGIN SOLUTION
def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])


def share_lost(k):
    stored = flat(first_gradients(2.0**k, scale_gradient, np.float16, seed=1))
    return np.mean(stored[there] == 0)


def overflows(k):
    config = {"scale": 2.0**k}
    return unscale_gradients(first_gradients(2.0**k, scale_gradient, np.float16, seed=1), config)[1]


there = flat(first_gradients(1.0, scale_gradient, np.float32, seed=1)) != 0
lost_at_16 = share_lost(4)
smallest_exponent = min(k for k in range(45) if share_lost(k) < 0.01)
largest_exponent = max(k for k in range(45) if not overflows(k))
print(f"lost at 16: {lost_at_16:.3f}   window from 2^{smallest_exponent} to 2^{largest_exponent}")
### END SOLUTION

# %% check="scale_window"
check("scale_window")

# %% [markdown]
# From $2^{11}$ to $2^{36}$: 25 powers of two in which any scale will do. The range of float16 is 40 powers of two, and what
# is left over is the room that these gradients need.
#
# ### Half a gradient
#
# A scale of 16 loses a quarter of the entries of this network. Three quarters are kept. If you train with it, what accuracy do
# you expect after 100 steps? With no scaling it is that of random weights, about 0.1; in float32, 0.97.

# %% tags=["experiment"]
prediction_3 = ""  # accuracy at a scale of 16, and of 2^40

# %% tags=["experiment"]
def train(seed=0, **changes):
    """Train the network of section 1 in float16 with your functions and some settings changed."""
    run = experiments.find("half_precision")
    functions = {name: value for name, value in globals().items() if name in run.REQUIRES}
    return run.run(experiments.complete(run, changes), functions, np.random.default_rng(seed))


if predicted(prediction_3) and ready(scale_gradient, unscale_gradients, update_scale):
    print("scale   accuracy of four networks     loss at the end   steps skipped   (means)")
    for k in (0, 4, 8, 12, 24, 40):
        runs = [train(seed, scale=2.0**k) for seed in range(4)]
        scores = "  ".join(f"{each['accuracy']:.2f}" for each in runs)
        loss, skipped = (np.mean([each[key] for each in runs]) for key in ("loss", "skipped"))
        print(f"2^{k:<4d}  {scores}     {loss:15.2f}   {skipped:13.2f}")
    print("float32 " + "  ".join(f"{each['float32_accuracy']:.2f}" for each in runs))

# %% [markdown]
# At $2^{40}$ every step is skipped, and at $2^0$ every step is made of zeros: the same accuracies, to the digit, since nothing moves.
#
# At 16 the networks do move, and one of the four ends at 0.49. Which quarter is lost? Where the
# network puts a probability of 0.1 on a wrong class, the gradient that pushes it down is below $2^{-25}$ and gone. The one that
# pulls the right class up comes through. A gradient that is partly lost points somewhere else. The loss moves, the accuracy is
# not 0.1, and no check of the code would find anything.
#
# From $2^8$ on the four networks end where float32 does. That is below the window of the exercise: a lost entry in thirty does
# no harm here.
#
# ### A scale that looks after itself
#
# Start far too high, at $2^{50}$, with an interval of 10.

# %% tags=["experiment"]
if ready(scale_gradient, unscale_gradients, update_scale):
    searched = train(0, scale=2.0**50, interval=10)
    fixed = train(0, scale=2.0**50)
    exponents = np.log2(searched["scales"])
    print(f"fixed at 2^50       accuracy {fixed['accuracy']:.2f}   steps skipped {fixed['skipped']:.2f}")
    print(f"searched from 2^50  accuracy {searched['accuracy']:.2f}   steps skipped {searched['skipped']:.2f}")
    print(f"first step that was made: {np.argmin(np.diff(exponents) < 0)}, at a scale of 2^{exponents[np.argmin(np.diff(exponents) < 0)]:.0f}")

    figure, axes = plots.canvas()
    axes.step(np.arange(len(exponents)), exponents, where="mid", color=plots.COLOURS["blue"])
    down = np.flatnonzero(np.diff(exponents) < 0)
    axes.plot(down, exponents[down], "x", color=plots.COLOURS["vermillion"], label="overflow, step skipped")
    axes.set(xlabel="step", ylabel="log2 of the scale", title="Down at an overflow, up after ten steps without one")
    axes.legend()
    plots.show(
        figure,
        "The scale over 100 steps, on a log axis. It falls from 2 to the 50 by one power each step for the first dozen steps, "
        "and then goes up and down between 2 to the 35 and 2 to the 39.",
    )

# %% [markdown]
# *The figure: the scale falls by one power of two with each overflow, a cross each. Then it climbs every ten steps until the
# next overflow.*
#
# Thirteen steps are lost at the start, six more later, and the accuracy is the usual one. That is the price of not knowing the
# right scale in advance. Libraries start near $2^{16}$ and wait 2,000 steps, so they pay less often.
#
# Why powers of two? Multiplying by one changes the exponent and none of the digits: inside the window, scaling rounds
# nothing.

# %% [markdown]
# ## 6. Fix it
#
# Back to section 1. This is what may be changed:

# %% tags=["experiment"]
for name, setting in experiments.find("half_precision").SETTINGS.items():
    print(f"{name:14s} now {setting.default!s:5s}   {setting.what}")

# %% [markdown]
# **Exercise `remedy_09`** (core, 3 points). Write the settings that you change, and their values, into a dict. We train with
# them from five starting points, in float16. The accuracy must be at least 0.9.

# %% solution="remedy_09"
# remedy = {"setting": value, ...}
### BEGIN SOLUTION
remedy = {"scale": 2.0**24, "interval": 20.0}
# Ways that work, and ways that do not:
#
# - Any scale from $2^{8}$ to $2^{32}$ works, fixed or not. With an interval, so does any scale above that.
# - Learning rates of 1,000 and of 1,000,000 change nothing at all: no parameter moves.
# - `{"interval": 20}` alone does not. The scale starts at 1 and doubles every 20 steps, to 16 in the last of them. An overflow
#   would have brought it down at once, and a scale that is too low is silent. With an interval of 1, 2 or 3 it arrives in time.
#   Libraries start high instead, near $2^{16}$.
# - A scale of 16 does not. You saw why in section 5.
# - A scale of $2^{40}$ without an interval skips every step.
### END SOLUTION

# %% check="remedy_09"
check("remedy_09")

# %% [markdown]
# Did you try a learning rate of 1,000? No parameter moves: what is zero stays zero. The published solution lists the ways
# that work, and why an interval alone comes too late.

# %% [markdown]
# ## 7. Build it: where did it begin?
#
# Here is another accident. This network was trained for a while and its scores have grown. Somebody wrote the softmax by hand,
# as the formula says it, $e^{s_c} / \sum_k e^{s_k}$, and it runs in float16.

# %% tags=["experiment"]
def step(examples=64):
    """One forward and backward pass in float16: all its arrays, by name, and the loss."""
    draw = np.random.default_rng(0)
    x, y = digits()
    x, y = x[:examples].astype(np.float16), y[:examples]
    w1 = (draw.standard_normal((64, 32)) / 4).astype(np.float16)
    w2 = (2.5 * draw.standard_normal((32, 10))).astype(np.float16)
    hidden, cache1 = affine_forward(x, w1, np.zeros(32, np.float16))
    active, cache_relu = relu_forward(hidden)
    scores, cache2 = affine_forward(active, w2, np.zeros(10, np.float16))
    powers = np.exp(scores)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(probabilities[np.arange(examples), y].astype(np.float32)))
    dscores = probabilities.copy()
    dscores[np.arange(examples), y] -= 1
    dactive, dw2, db2 = affine_backward(dscores / np.float16(examples), cache2)
    _, dw1, db1 = affine_backward(relu_backward(dactive, cache_relu), cache1)
    activations = {"x": x, "hidden": hidden, "active": active, "scores": scores, "powers": powers, "probabilities": probabilities}
    return activations, {"w1": dw1, "b1": db1, "w2": dw2, "b2": db2}, loss


with np.errstate(all="ignore"):
    activations, gradients, loss = step()
broken = [name for name, array in {**activations, **gradients}.items() if not np.isfinite(array).all()]
print(f"loss {loss}")
print(f"not finite: {', '.join(broken)}")

# %% [markdown]
# Six arrays of ten are broken, and so is the loss. After one update with these gradients the parameters would be broken too, and
# in the next step every array but `x`. What you want to know is which one came *first*.
#
# The forward pass computes its arrays in the order of the dict. The backward pass comes after it, and goes the other way: the
# gradients of the last layer are computed first. A network keeps them in the order of its layers.
#
# **Exercise `first_nonfinite`** (core, 3 points). Name the array that was computed first among those that hold an infinite
# number or a `nan`, and say where in it the first one stands.

# %% solution="first_nonfinite"
def first_nonfinite(activations, gradients):
    """Name the first array of a step that holds infinity or nan, and the first such entry in it.

    Parameters
    ----------
    activations : dict of str to ndarray
        What the forward pass computed, in the order in which it did.
    gradients : dict of str to ndarray
        What the backward pass computed, in the order of the layers, from the first to the last.

    Returns
    -------
    name : str or None
        None if all numbers are finite.
    index : tuple of int
        One number for each axis of that array; () if all numbers are finite.
    """
    # np.argwhere(mask) lists the positions at which a mask is True
    ### BEGIN SOLUTION
    computed = list(activations.items()) + list(gradients.items())[::-1]
    for name, array in computed:
        places = np.argwhere(~np.isfinite(array))
        if len(places):
            return name, tuple(int(i) for i in places[0])
    return None, ()
    ### END SOLUTION

# %% check="first_nonfinite"
check("first_nonfinite")

# %% tags=["experiment"]
if ready(first_nonfinite):
    name, index = first_nonfinite(activations, gradients)
    print(f"first: {name}, at {[int(i) for i in index]}")
    if name == "powers":
        score = activations["scores"][index]
        print(f"the score that went in: {score}, of which the exponential is {math.exp(score):.0f}")

# %% [markdown]
# `powers`, at one example and one class. The array itself is not to blame, the operation that made it is: $e^{s}$ passes 65504
# at $s = 11.09$. In float64 the same line fails at 709, and that is assignment 08. Subtract the largest score before the
# exponential, and both are gone.
#
# An example that is broken before it comes in would be named too: `x`, with the row of the data to look at.

# %% [markdown]
# ## 8. 2016 against today
#
# So far for precision. What else has changed since 2016? In a network of today each layer adds to its input instead of
# replacing it (04), normalizes what goes into that addition (05), has a GELU where there was a ReLU, and is trained with a
# learning rate that is warmed up: here it rises from near 0 over the first 20 steps. Each of these is said to help gradients.
#
# Take them out, one at a time. Twelve blocks of width 32, trained on digits with Adam, 60 steps at a rate of 0.02. In the line
# *2016* all four are out. In the lines with *after*, the normalization stands after the addition.
#
# | | residual paths | normalization | activation | warm-up |
# |---|---|---|---|---|
# | today | yes | in the branch | GELU | yes |
# | normalized after | yes | after the addition | GELU | yes |
# | 2016 | no | no | ReLU | no |
#
# Which part will be missed most? Which will not be missed at all?

# %% tags=["experiment"]
prediction_4 = ""  # the part that matters most, and one that does not matter here

# %% tags=["experiment"]
if predicted(prediction_4):
    table = experiments.recorded("then_and_now")
    print(f"{'':24s} accuracy of three       mean   loss before training   gradient, first block over last")
    for k, name in enumerate(RECIPES):
        scores, first, ratios = (table[key][k] for key in ("accuracy", "first_loss", "ratio"))
        each = "  ".join(f"{score:.2f}" for score in scores)
        print(f"{name:24s} {each:22s}  {scores.mean():4.2f}   {first.mean():20.1f}   {ratios.mean():20.1f}")

    figure, axes = plots.canvas(height=3.8)
    places = np.arange(len(RECIPES))[::-1]
    means = table["accuracy"].mean(axis=1)
    axes.barh(places, means, color=plots.COLOURS["sky"], label="mean")
    for k in range(3):
        axes.plot(table["accuracy"][:, k], places, "D", color=plots.INK, markersize=4, label="one network" if k == 0 else None)
    axes.set(xlim=(0, 1), xlabel="accuracy after 60 steps", title="One part taken out at a time")
    axes.set_yticks(places, list(RECIPES))
    axes.legend(loc="lower right")
    plots.show(
        figure,
        "Bars of accuracy. Around 0.9: today, without normalization, ReLU instead of GELU, without warm-up. About 0.5: "
        "normalized after the addition. About 0.2: without residual paths; normalized after, without warm-up; and 2016.",
    )

# %% [markdown]
# *The figure: four bars near 0.9, one at 0.5, three near 0.2 or below. The diamonds are the single networks.*
#
# In this run, of these parts, two matter for the accuracy.
#
# - **Residual paths.** Without them 0.90 becomes 0.19.
# - **Where the normalization stands.** After the addition, as in the first transformers, it is on the residual path itself: 0.50.
#   There the warm-up is worth a lot, 0.50 against 0.21. With the normalization inside the branch it is worth nothing that you
#   can see, 0.90 against 0.92.
#
# Two you may have expected to matter do not.
#
# - **Normalization at all.** Taking it out leaves 0.89. Look at the loss before training: 14.2 where `today` starts at 2.7.
#   Twelve branches add up, and nothing holds the sum. Adam repairs most of that in 60 steps; at fifty blocks you saw more of it, in 04.
# - **The GELU.** A ReLU does as well, 0.93 against 0.90, and the single networks overlap.
#
# Three networks are few for the small differences. With twenty of each, the normalization turns out to be worth a few
# hundredths. The GELU is still worth nothing, nor is the warm-up while the normalization is in the branch.
#
# Now the last column. It compares gradients at the bottom and at the top before training, and it is between 0.5 and 3.2 in
# every line. Nothing vanishes and nothing explodes, not even in the networks that fail: the weights were drawn as 04 says.
# So it was not the size of the gradient that the residual paths saved. What else is there? A gradient has a direction.
# The stretch, section 11, measures it.
#
# One question is open: all lines had the same learning rate. Would your verdict be the same at a tenth of it? You can ask that
# once you have a GELU.

# %% [markdown]
# ## 9. Build it: the GELU
#
# In section 8 it made no difference that you could see. It is in most transformers all the same, and it is a good exercise
# in the product rule.
#
# A ReLU multiplies a number by 0 or 1. A GELU multiplies it by a probability: how likely is it that a number drawn from the
# standard normal distribution is below $x$?
#
# $$\text{out} = x \, \Phi(x) \qquad \Phi(x) = \tfrac12 \left(1 + \operatorname{erf}(x / \sqrt 2)\right)$$
#
# What comes out at $x = 10$? At $-10$? At 0? And is the output ever smaller than at $-10$?
#
# Two functions go by this name. The one above is exact. The other replaces $\Phi$ by
# $\tfrac12 (1 + \tanh(\sqrt{2/\pi}\,(x + 0.044715\,x^3)))$, which was faster once; GPT-2 was trained with it. **Here it is the exact
# one**: the check tells them apart. `erf(x)` is given, for arrays of any shape.
#
# **Exercise `gelu_forward`** (core, 3 points).

# %% solution="gelu_forward"
def gelu_forward(x):
    """Gaussian error linear unit: each number, times the probability that a normal number is below it.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations. They still belong to the caller: do not write into them.

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What gelu_backward needs.
    """
    ### BEGIN SOLUTION
    probability = 0.5 * (1 + erf(x / np.sqrt(2)))
    return x * probability, (x, probability)
    ### END SOLUTION

# %% check="gelu_forward"
check("gelu_forward")

# %% [markdown]
# Backward. $x$ occurs twice in $x \, \Phi(x)$, so when $x$ grows a little, two things change. The derivative of a distribution
# function is its density. Here that is the bell whose area is 1:
#
# $$\Phi'(x) = \varphi(x) = \frac{1}{\sqrt{2\pi}} \, e^{-x^2/2}$$
#
# Write the slope down with the product rule, then look at $x = 0$: what is it there? Between the two slopes of a ReLU?
#
# **Exercise `gelu_backward`** (core, 4 points).

# %% solution="gelu_backward"
def gelu_backward(dout, cache):
    """Send the upstream gradient back through gelu_forward.

    Parameters
    ----------
    dout : ndarray, any shape
        The gradient of the loss for each output. It still belongs to the caller.
    cache : anything
        What gelu_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    x, probability = cache
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return dout * (probability + x * density)
    ### END SOLUTION

# %% check="gelu_backward"
check("gelu_backward")

# %% [markdown]
# Is the slope of a GELU ever 0? Ever negative? Larger than 1?

# %% tags=["experiment"]
prediction_5 = ""  # the smallest and the largest slope, roughly

# %% tags=["experiment"]
if predicted(prediction_5) and ready(gelu_forward, gelu_backward):
    x = np.linspace(-6, 6, 1201)
    out, cache = gelu_forward(x)
    slope = gelu_backward(np.ones_like(x), cache)
    tanh_form = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    print(f"lowest output {out.min():.3f}, at x = {x[out.argmin()]:.2f}")
    print(f"slopes from {slope.min():.3f}, at x = {x[slope.argmin()]:.2f}, to {slope.max():.3f}, at x = {x[slope.argmax()]:.2f}")
    print(f"largest difference to the tanh form {np.abs(out - tanh_form).max():.1e}")

    far = np.array([-2.0, -5.0, -8.0, -40.0])
    _, cache = gelu_forward(far)
    for value, steep in zip(far, gelu_backward(np.ones(4), cache), strict=True):
        print(f"x = {value:5.0f}   slope {steep:9.1e}   in float16 {np.float16(steep):9.1e}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    left.plot(x, np.maximum(x, 0), label="ReLU", markevery=100, **plots.SERIES[1])
    left.plot(x, out, label="GELU", markevery=100, **plots.SERIES[0])
    right.plot(x, x > 0, label="ReLU", markevery=100, **plots.SERIES[1])
    right.plot(x, slope, label="GELU", markevery=100, **plots.SERIES[0])
    left.set(xlabel="x", ylabel="output", title="Output", xlim=(-4, 3), ylim=(-0.5, 3))
    right.set(xlabel="x", ylabel="slope", title="Slope", xlim=(-4, 3))
    left.legend()
    right.legend()
    plots.show(
        figure,
        "Left: the GELU follows the ReLU, rounds its corner and dips below zero between -3 and 0. Right: its slope falls from "
        "1.13 at 1.4 through one half at 0 to -0.13 at -1.4 and returns to zero from below.",
    )

# %% [markdown]
# *The figure: output and slope of a GELU, beside those of a ReLU. The slope overshoots 1 on the right and 0 on the left.*
#
# The slope is exactly 0 at one point, $x = -0.75$, and close to 0 everywhere on the far left. At $-5$ it is $-7 \cdot 10^{-6}$. In
# float64 that is a gradient. In float16 it has lost digits, and at $-8$ it is 0. "No dead units" is a statement about real
# numbers. What a unit gets depends on how far it was thrown, and on the numbers that carry it: you saw the first in
# assignment 03.
#
# Now the open question of section 8, with your GELU in all twelve blocks: the first network of three lines, at the rate they had
# and at a tenth of it. Which of them do you expect to be helped?

# %% tags=["experiment"]
if ready(gelu_forward, gelu_backward):
    own = {
        "affine_forward": affine_forward, "affine_backward": affine_backward,
        "layernorm_forward": layernorm_forward, "layernorm_backward": layernorm_backward,
        "gelu_forward": gelu_forward, "gelu_backward": gelu_backward, "softmax_loss": softmax_loss,
    }  # fmt: skip
    seeds = np.random.default_rng(0).integers(2**32, size=3)
    recorded = dict(zip(RECIPES, experiments.recorded("then_and_now")["accuracy"][:, 0], strict=True))
    print(f"{'':24s} 0.02, recorded   0.02, yours   0.002, yours")
    for name in ("today", "without residual paths", "after, without warm-up"):
        recipes = RECIPES[name], replace(RECIPES[name], learning_rate=0.002)
        fast, slow = (train_recipe(recipe, own, np.random.default_rng(int(seeds[0])))["accuracy"] for recipe in recipes)
        print(f"{name:24s} {recorded[name]:14.2f}   {fast:11.2f}   {slow:12.2f}")

# %% [markdown]
# At a tenth of the rate the network that is normalized after the addition catches up, without warm-up too: 0.90, where it had
# 0.18. So the place of the normalization did not decide whether this network can learn. It decided how large a step it
# can take. The residual paths are still missed: 0.65 here, where `today` has 0.94. (Your 0.17 may be another number near 0.2. In
# this network a difference in the last digit of your GELU grows from step to step. Section 11 says why.)
#
# A table of parts holds for the rate at which it was made.
#
# ### A GELU on He weights
#
# He weights, from assignment 04, make up for the half that a ReLU drops. Take fifty plain layers with such weights and put a GELU
# into each. What is its slope near 0, and what will that do to the gradient?

# %% tags=["experiment"]
if ready(gelu_forward, gelu_backward):
    for label, forward, backward in (("ReLU", relu_forward, relu_backward), ("GELU", gelu_forward, gelu_backward)):
        draw = np.random.default_rng(0)
        h, caches = draw.standard_normal((32, 64)), []
        for _ in range(50):
            h, cache_affine = affine_forward(h, draw.standard_normal((64, 64)) * np.sqrt(2 / 64), np.zeros(64))
            h, cache = forward(h)
            caches.append((cache_affine, cache))
        dout = dtop = draw.standard_normal(h.shape)
        for cache_affine, cache in caches[::-1]:
            dout = affine_backward(backward(dout, cache), cache_affine)[0]
        size = np.linalg.norm(dout) / np.linalg.norm(dtop)
        print(f"{label}   activations of the last layer {h.std():.1e}   gradient at the bottom over the top {size:.1e}")

# %% [markdown]
# $3 \cdot 10^{-1}$ against $9 \cdot 10^{-6}$. A GELU lets less through than a ReLU, so the activations shrink from layer to layer. The
# smaller they are, the closer each slope is to 1/2, and a square of 1/2 is 1/4, where He weights count on a mean square of 1/2.
# So such a stack needs larger weights. In a block of today nobody notices, because the normalization brings the size back before
# each GELU.

# %% [markdown]
# ## 10. A head that has died
#
# A transformer reads text as *tokens*, pieces of words, each a vector. Attention compares each token's *query* with the *keys* of
# all tokens, turns the dot products (logits) into weights with a
# softmax, and averages with them. A query and a key are vectors of $d$ numbers. If those numbers have a variance of 1, a dot
# product is a sum of $d$ terms: what is its standard deviation? And what does a softmax do with logits of that size?

# %% tags=["experiment"]
prediction_6 = ""  # what happens to the gradient of the logits when d goes from 4 to 1024

# %% tags=["experiment"]
def attention(d, factor, grown=1, normalize=False, tokens=64):
    """Weights of one head on random queries and keys, and the gradient of its logits."""
    draw = np.random.default_rng(0)
    queries, keys = grown * draw.standard_normal((2, tokens, d))
    if normalize:
        queries, keys = (each / np.sqrt((each**2).mean(axis=1, keepdims=True)) for each in (queries, keys))
    logits = factor * queries @ keys.T  # (tokens, tokens)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights = powers / powers.sum(axis=1, keepdims=True)
    dweights = draw.standard_normal((tokens, tokens))
    dlogits = weights * (dweights - (dweights * weights).sum(axis=1, keepdims=True))
    return logits, weights, dlogits


if predicted(prediction_6):
    for label, power in (("q . k", 0.0), ("q . k / sqrt(d)", -0.5)):
        print(label)
        for d in (4, 64, 256, 1024):
            logits, weights, dlogits = attention(d, d**power)
            largest = weights.max(axis=1).mean()
            size = np.median(np.linalg.norm(dlogits, axis=1))
            zero = np.mean(dlogits.astype(np.float16) == 0)
            print(f"  d = {d:4d}   std of the logits {logits.std():5.1f}   largest weight {largest:.2f}", end="")
            print(f"   gradient of a token {size:.1e}   0 in float16 {zero:.2f}")

# %% [markdown]
# At $d = 1024$ the logits have a standard deviation of 32. The largest of 64 weights is 0.95 on average: nearly every token
# looks at a single token, chosen by chance, before anything was learned. The gradient of its logits is $4 \cdot 10^{-4}$
# where a scaled head has $2 \cdot 10^{-1}$, and in float16 95 % of it is 0. Such a head hardly moves from its first choice.
#
# You know this failure. A softmax that has decided is flat, like a sigmoid at its ends; it saturates, and the cure is
# that of assignment 02: start where there is a slope. Divided by $\sqrt d$, all sizes of $d$ look the same.
#
# The factor is about the start. In training, queries and keys can grow. Let them be three and six times as large, with the
# factor in place, at $d = 64$. What happens, and which remedy of this course would you try?

# %% tags=["experiment"]
for grown in (1, 3, 6):
    for normalize in (False, True):
        logits, weights, dlogits = attention(64, 1 / 8, grown, normalize)
        size = np.median(np.linalg.norm(dlogits, axis=1))
        label = f"{grown} times as large{', normalized' if normalize else ''}"
        print(f"{label:28s} std of the logits {logits.std():5.1f}", end="")
        print(f"   largest weight {weights.max(axis=1).mean():.2f}   gradient of a token {size:.1e}")

# %% [markdown]
# At six times the size the logits are 36 times as large, and the gradient has fallen to $10^{-4}$: people call such a head dead.
# The remedy is that of assignment 05. Normalize queries and keys before the product, and the head no longer sees how large
# they are.

# %% [markdown]
# ## 11. Stretch: the other gate, and a block of today
#
# The SiLU puts a sigmoid where the GELU has $\Phi$: $\text{out} = x \, \sigma(x)$. Your sigmoid of assignment 02 is here as
# `sigmoid_forward`.
#
# **Exercise `silu_forward`** (stretch, 1 point).

# %% solution="silu_forward"
def silu_forward(x):
    """Sigmoid linear unit: each number, times its own sigmoid.

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What silu_backward needs.
    """
    ### BEGIN SOLUTION
    gate, _ = sigmoid_forward(x)
    return x * gate, (x, gate)
    ### END SOLUTION

# %% check="silu_forward"
check("silu_forward")

# %% [markdown]
# **Exercise `silu_backward`** (stretch, 2 points). The product rule again; the slope of a sigmoid can be had from its output.

# %% solution="silu_backward"
def silu_backward(dout, cache):
    """Send the upstream gradient back through silu_forward.

    Parameters
    ----------
    dout : ndarray, any shape
    cache : anything
        What silu_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    x, gate = cache
    return dout * (gate + x * gate * (1 - gate))
    ### END SOLUTION

# %% check="silu_backward"
check("silu_backward")

# %% [markdown]
# Now half of a transformer, out of your own parts. The feed-forward block of today:
#
# $$\text{out} = x + f(x) \qquad f = \text{layernorm}, \text{ then affine } (w_1, b_1), \text{ then GELU, then affine } (w_2, b_2)$$
#
# **Exercise `ffn_block_forward`** (stretch, 2 points). Call functions; there is no formula to write. `layernorm_forward` takes a
# dict of options last, and `{}` will do. The GELU is your own: if its check is not green, this one cannot be.

# %% solution="ffn_block_forward"
def ffn_block_forward(x, gamma, beta, w1, b1, w2, b2):
    """Pre-norm feed-forward block of a transformer.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        N tokens.
    gamma, beta : ndarray, shape (D,)
        Of the layernorm.
    w1, b1 : ndarray, shapes (D, H) and (H,)
    w2, b2 : ndarray, shapes (H, D) and (D,)

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : anything
        What ffn_block_backward needs.
    """
    ### BEGIN SOLUTION
    normal, norm_cache = layernorm_forward(x, gamma, beta, {})
    inside, cache1 = affine_forward(normal, w1, b1)
    hidden, gelu_cache = gelu_forward(inside)
    branch, cache2 = affine_forward(hidden, w2, b2)
    return x + branch, (norm_cache, cache1, gelu_cache, cache2)
    ### END SOLUTION

# %% check="ffn_block_forward"
check("ffn_block_forward")

# %% [markdown]
# Backward, in the opposite order. Two ways lead away from `x`, so two gradients come back to it.
#
# **Exercise `ffn_block_backward`** (stretch, 3 points).

# %% solution="ffn_block_backward"
def ffn_block_backward(dout, cache):
    """Send the upstream gradient back through ffn_block_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
    cache : anything
        What ffn_block_forward returned.

    Returns
    -------
    dx, dgamma, dbeta, dw1, db1, dw2, db2 : ndarray
        Each of the shape of what it is the gradient for.
    """
    ### BEGIN SOLUTION
    norm_cache, cache1, gelu_cache, cache2 = cache
    dhidden, dw2, db2 = affine_backward(dout, cache2)
    dinside = gelu_backward(dhidden, gelu_cache)
    dnormal, dw1, db1 = affine_backward(dinside, cache1)
    dx, dgamma, dbeta = layernorm_backward(dnormal, norm_cache)
    return dx + dout, dgamma, dbeta, dw1, db1, dw2, db2
    ### END SOLUTION

# %% check="ffn_block_backward"
check("ffn_block_backward")

# %% [markdown]
# Stack 24 of your blocks, send a random gradient down, and see what arrives. Then move all weights by a little, as a step of
# training does, send the same gradient down again, and compare. Does it still point the same way?
#
# Then do the same without the residual paths: subtract `x` from what your forward returns, and `dout` from what your backward
# returns.

# %% tags=["experiment"]
def what_arrives(residual, moved=0.0, depth=24):
    """The gradient below a stack of blocks, over the size of that above it, when weights have moved by a share of their size."""
    draw, nudge = np.random.default_rng(0), np.random.default_rng(1)
    h, caches = draw.standard_normal((16, 32)), []
    for _ in range(depth):
        w1, w2 = draw.standard_normal((32, 128)) / np.sqrt(32), draw.standard_normal((128, 32)) / np.sqrt(128)
        w1, w2 = (w + moved * w.std() * nudge.standard_normal(w.shape) for w in (w1, w2))
        out, cache = ffn_block_forward(h, np.ones(32), np.zeros(32), w1, np.zeros(128), w2, np.zeros(32))
        h = out if residual else out - h
        caches.append(cache)
    dout = dtop = draw.standard_normal(h.shape)
    for cache in caches[::-1]:
        dx = ffn_block_backward(dout, cache)[0]
        dout = dx if residual else dx - dout
    return dout / np.linalg.norm(dtop)


if ready(gelu_forward, gelu_backward, ffn_block_forward, ffn_block_backward):
    print(f"{'':21s}size at the bottom over the top   cosine when weights have moved by 1 %, 3 %, 10 %")
    for residual in (True, False):
        before = what_arrives(residual)
        turned = [what_arrives(residual, moved) for moved in (0.01, 0.03, 0.1)]
        cosines = [np.sum(before * after) / np.linalg.norm(before) / np.linalg.norm(after) for after in turned]
        label = "with residual paths" if residual else "without"
        print(f"{label:20s} {np.linalg.norm(before):31.2f}   {'   '.join(f'{cosine:5.2f}' for cosine in cosines)}")

# %% [markdown]
# The sizes, 3.81 and 2.18: nothing vanishes, as in section 8. The layernorms see to that.
#
# The directions: with residual paths the gradient hardly turns. When all weights have moved by a tenth of their size, it still
# has a cosine of 0.95 with what it was. Without them 3 % is enough for 0.16, and after a tenth the two know nothing of each
# other.
#
# A gradient says which way the loss falls from here. Without residual paths *here* is a very small place. That fits
# section 9: smaller steps helped, and did not make up for it. Balduzzi and others, who moved the input and not the
# weights, called it *shattering*.

# %% [markdown]
# ## 12. Say it
#
# **Exercise `quiz_09`** (core, 5 points). One letter each.
#
# **1.** Somebody takes the residual paths out of a deep transformer and leaves everything else. What gradient does the embedding
# get, the first layer, at the very bottom?
#
# - a) Much the same one: the layernorms keep its size.
# - b) A far smaller one, and Adam makes up for that.
# - c) One of much the same size, turned by every branch on its way.
# - d) Next to none: it dies in the GELUs, whose slopes are below 1.
#
# **2.** In float16 all gradients are exactly 0, and the loss is flat. Which change can help?
#
# - a) A learning rate a thousand times as large.
# - b) A loss a million times as large, and gradients divided by as much in float32.
# - c) Adam in place of SGD.
# - d) Weights kept in float64.
#
# **3.** Dynamic scaling raises the scale again after many steps without overflow. Why, if everything went well?
#
# - a) To speed up training: a larger scale makes larger steps.
# - b) To make up for the steps that were skipped.
# - c) Because the weights grow in training, and the scale has to follow them.
# - d) Because a scale that is too low is silent: it loses small gradients and nothing reports it.
#
# **4.** The loss prints `nan` at step 812. What do you do first?
#
# - a) Run that step again, and find the array that was the first to hold a number that is not finite.
# - b) Look for `nan` in the parameters after step 812.
# - c) Replace `nan` by 0 in the gradients, and go on.
# - d) Lower the learning rate by ten.
#
# **5.** The logits of an attention head have a standard deviation of 32, and its gradient has almost vanished. What is that
# most like?
#
# - a) A dead ReLU.
# - b) A saturated sigmoid.
# - c) An underflow in float16.
# - d) An exploding gradient.

# %% solution="quiz_09"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "...", "5": "..."}
### BEGIN SOLUTION
quiz = {"1": "c", "2": "b", "3": "d", "4": "a", "5": "b"}
### END SOLUTION

# %% check="quiz_09"
check("quiz_09")

# %% [markdown]
# **In your own words** (not graded). A colleague trains in float16 with a fixed scale of 16. The loss falls, slowly, and the
# accuracy is poor. They say: "The gradients are not zero, so it is not a problem of precision. I will raise the learning rate." Answer in six
# sentences at most. Use at least two numbers that you measured. Say what you would look at first, and what you would change.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# Not zero is not the same as right. In the network that I measured, a scale of 16 kept three quarters of the entries, and
# one run in four ended at an accuracy of 0.49 where float32 reaches 0.97. What is lost is not a random quarter: the small
# entries, those of the wrong classes, round to 0, and the large ones of the right class come through, so the gradient points
# somewhere else. A larger learning rate goes further in that direction. I would first compare the gradients of one step with
# the same step in float32, and count the entries that are 0 in one and not in the other. Then I would start at a scale of
# $2^{16}$, or higher, and let it be lowered after an overflow: here everything from $2^{11}$ to $2^{36}$ lost less than one in a
# hundred.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Both claims.** Did you answer the one about zeros and the one about the learning rate, each with a number or a reason?
# 2. **Mechanism.** Did you say which entries are lost, and what that does to the direction?
# 3. **Test.** Did you name a measurement that would show it, before any cure?
# 4. **Cure.** Does your change act before the numbers are rounded, and what tells you that it has gone too far?
#
# One point each. Three or four: go on. One or two: read sections 3 and 5 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A gradient can be right in every line of the code and lost between two of them. In float16, what lies at or below $2^{-25}$ is 0.
# - Backpropagation is linear in the upstream gradient. So scale before the rounding, unscale where there is room.
# - Too low is silent, too high is loud. Search from above.
# - A gradient that is lost in part points somewhere else.
# - When everything is `nan`, ask for the order: what was computed first?
# - Without residual paths the gradient arrives in full size, and turns with every step. A tenth of the rate did not make up for
#   that. The place of the normalization decides how large a rate a network stands.
#
# ## The ladder
#
# This is the last notebook. From the ground up, this is what you know now, and where you learned it:
#
# | rung | what you can do | where |
# |---|---|---|
# | 0 | read a training curve, and know that code that runs can fail to learn | 00 |
# | 1 | derive a gradient, and check it with numbers that owe nothing to the derivation | 01 |
# | 2 | say what a gradient should look like: its size per layer, its zeros, the update it makes beside the weight | 02, 03, 04, 08 |
# | 3 | name a failure from what it leaves behind: saturated, dead, vanishing, exploding, clipped away | 02, 03, 04, 06, 07 |
# | 4 | pick the repair that acts on that cause: initialization, slopes, residual paths, normalization, clipping norms | 02 to 06 |
# | 5 | notice when the gradient is exact and of the wrong thing | 05, 07 |
# | 6 | diagnose a run from its record, in an order that separates causes from consequences | 08 |
# | 7 | carry all of it to numbers with less room and to networks with more layers | 09 |
#
# Frameworks derive gradients. They do not look at them. You can.
#
# ## Where this shows up today
#
# - **bfloat16** has the eight exponent bits of float32 and seven for the digits. Nothing of section 2 underflows in it, so it needs
#   no loss scaling. What it lacks is digits, which is another failure: small updates to large weights are rounded away.
# - **float8** has come into training with a scale for each tensor, or for each block of one: section 3, many times over.
# - **`torch.amp.GradScaler`** is your three functions. It starts at $2^{16}$, backs off by one half, and grows after 2,000 steps.
# - **`torch.autograd.detect_anomaly`** asks the question of section 7 of the backward pass. It looks for `nan`, not for infinity.
# - **Pre-norm** is in most large language models, and **normalized queries and keys** in many of the newer ones. You have
#   measured what each of them does.
#
# ## References
#
# - David Balduzzi and others, *The Shattered Gradients Problem*, ICML 2017. What depth does to the direction of a gradient.
# - Paulius Micikevicius and others, *Mixed Precision Training*, ICLR 2018. Loss scaling, and histograms like those of the lab.
# - Dan Hendrycks and Kevin Gimpel, *Gaussian Error Linear Units (GELUs)*, 2016.
# - Stefan Elfwing, Eiji Uchibe and Kenji Doya, *Sigmoid-Weighted Linear Units*, Neural Networks 107, 2018. SiLU.
# - Ashish Vaswani and others, *Attention Is All You Need*, NIPS 2017. Section 3.2.1 has the factor $1/\sqrt d$ and its reason.
# - Ruibin Xiong and others, *On Layer Normalization in the Transformer Architecture*, ICML 2020. Before or after, and warm-up.
# - DeepSeek-AI, *DeepSeek-V3 Technical Report*, 2024. A batch of 15,360 sequences.
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. Where this course began.
