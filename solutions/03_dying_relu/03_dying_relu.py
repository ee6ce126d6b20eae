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
# # 03. Dying ReLUs
#
# *A training run that ends at 95 % accuracy, with a network that is smaller than it looks.*
#
# When you are done you can
#
# - write a ReLU and a leaky ReLU, forward and backward, without touching anybody else's arrays;
# - say what makes a unit dead, count the dead ones, and show that their gradient is exactly zero;
# - tell units that were never alive from units that a step has killed, and treat each cause with what helps;
# - say what a leaky slope, a positive bias and centred inputs do about it, from your own measurements.
#
# **Time.** The core path takes 60 to 90 minutes and is worth 26 points. The stretch takes half an hour more, and its
# 7 points are extra.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.experiments.dying_relu import data, first_step, network
from minigrad.experiments.rectifiers import ACTIVATIONS
from minigrad.labs import dying_relu
from minigrad.labs.explore import explore, predicted, ready
from minigrad.layers import affine_backward, affine_forward
from minigrad.losses import svm_loss
from minigrad.network import Layer, Sequential
from minigrad.optimizers import sgd
from minigrad.training import fit

# %% [markdown]
# ## 1. See it fail: a run that looks fine
#
# The data are 1,797 handwritten digits of 8 x 8 pixels, each pixel a grey value from 0 to 1. The network has one hidden
# layer of 100 ReLU units. It trains for 150 steps on batches of 100 digits, with a learning rate of 0.1, on a hinge loss: the
# score of the right digit should be larger than each other score by 1.
#
# Somebody set the rate of the *first* step to 4. Perhaps a warm-up that was forgotten. Perhaps one batch with large
# gradients; to the weights it is the same.

# %% tags=["experiment"]
failed = experiments.recorded("dying_relu")
losses = failed["losses"]

print(f"loss before the first step   {losses[0]:8.2f}")
print(f"loss after the first step    {losses[1]:8.2f}")
print(f"loss after ten steps         {losses[10]:8.2f}")
print(f"loss in the last step        {losses[-1]:8.2f}")
print(f"accuracy after 150 steps     {failed['accuracy']:8.2f}")

figure, axes = plots.canvas()
axes.semilogy(losses, color=plots.COLOURS["blue"])
axes.set(xlabel="step", ylabel="loss (log axis)", title="One step that was too long, at the very beginning")
plots.show(
    figure,
    "The loss on a log axis over 150 steps: it jumps from 9 to 88 in the first step, is near 1 after ten steps, and ends "
    "near 0.2.",
)

# %% [markdown]
# *The figure: the loss jumps once and then falls for the rest of the run.*
#
# A spike, and then it trains. At the end 95 % of the digits are right. Most people would not look again.
#
# A ReLU hands on positive numbers and turns negative ones into 0. Send all 1,797 digits through the trained network and
# look at each of the 100 hidden units: for how many of them is the output 0 for *every* digit? And was that so before the
# first step?

# %% tags=["experiment"]
prediction_1 = ""  # two numbers: silent units before the first step, silent units at the end

# %% tags=["experiment"]
if predicted(prediction_1):
    counted, shares = failed["counted"], failed["silent_shares"]
    for step, share in zip(counted[:4], shares[:4], strict=True):
        print(f"after {step:3d} steps   {100 * share:.0f} of 100 units are silent for every digit")
    print(f"after {counted[-1]:3d} steps   {100 * shares[-1]:.0f} of 100")

    figure, axes = plots.canvas()
    axes.plot(counted, 100 * shares, markersize=4, **plots.SERIES[1])
    axes.set(xlabel="step", ylabel="silent units, of 100", ylim=(0, 50), title="Silent for every digit of the training set")
    plots.show(figure, "The number of silent units: 8 before the first step, 41 after it, and 41 at every count until the end.")

# %% [markdown]
# *The figure: the number of silent units goes from 8 to 41 in one step. After that the line is flat.*
#
# 8 were silent from the start. One step made it 41. At every later count it was 41 again, while the loss fell four
# hundredfold. Those units take up memory and time, and the network might as well not have them. They are
# *dead*.
#
# Why does none of them come back? For that you need the backward pass.

# %% [markdown]
# ## 2. Build it: the ReLU
#
# $$\text{out} = \max(x, 0)$$
#
# for each number on its own, however small or large. **Exercise `relu_forward`** (core, 2 points). Cache what backward will
# need: other calls come before this one goes back.

# %% solution="relu_forward"
def relu_forward(x):
    """Rectified linear unit: negative numbers become zero.

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations. They still belong to the caller: do not write into them.

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What relu_backward needs.
    """
    ### BEGIN SOLUTION
    return np.maximum(x, 0), x > 0
    ### END SOLUTION

# %% check="relu_forward"
check("relu_forward")

# %% [markdown]
# ### Backward
#
# Take one number $x$. If it is 2 and grows by a little, by how much does the output grow? If it is $-2$?
#
# And at exactly 0? The slope is 1 to the right of it and 0 to the left, so there is no derivative. Any value between
# 0 and 1 is a *subgradient*, and training works with all of them. This course takes 0, as PyTorch does: at 0, nothing
# passes.
#
# Two things to watch for. What decides is $x$, which you saw in the forward pass, and not the sign of what comes from
# above. And `dout` is not yours: in a network with a skip connection another branch reads the same array after you.
#
# **Exercise `relu_backward`** (core, 4 points).

# %% solution="relu_backward"
def relu_backward(dout, cache):
    """Send the upstream gradient back through relu_forward.

    Parameters
    ----------
    dout : ndarray, any shape
        The gradient of the loss for each output. It still belongs to the caller.
    cache : anything
        What relu_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    active = cache
    return np.where(active, dout, 0.0)
    ### END SOLUTION

# %% check="relu_backward"
check("relu_backward")

# %% [markdown]
# ## 3. Build it: a counter
#
# Half of the outputs of a healthy ReLU layer are 0, so zeros are nothing to worry about. A *dead* unit is one that is 0
# for **every** example.
#
# Which examples? A batch is not enough. Units differ in how often they fire, and one that waits for a rare digit may be
# silent in most batches. How large is the difference? Write the counter first.
#
# **Exercise `count_dead_relus`** (core, 4 points). A dict comes in: for each layer, its outputs for all examples. The
# first axis counts examples. Every position after it is a unit: a convolutional layer of shape (N, 8, 5, 5) has 200.

# %% solution="count_dead_relus"
def count_dead_relus(activations):
    """Count the units of each layer that are zero for every example.

    Parameters
    ----------
    activations : dict of str to ndarray, shape (N, ...)
        Outputs of each ReLU layer over the whole data set.

    Returns
    -------
    dict of str to int
        The number of dead units of each layer, under the name of the layer.
    """
    ### BEGIN SOLUTION
    return {name: int(np.sum(np.all(out == 0, axis=0))) for name, out in activations.items()}
    ### END SOLUTION

# %% check="count_dead_relus"
check("count_dead_relus")

# %% [markdown]
# `first_step(rate, relu_forward, relu_backward)` builds the network of section 1, makes one step at that rate with your
# functions, and returns the pre-activations of the hidden units on all digits, `"before"` and `"after"`, of shape
# (1797, 100). Here it is at the rate of section 1, seen through batches of different sizes.

# %% tags=["experiment"]
if ready(relu_forward, relu_backward, count_dead_relus):
    fired, _ = relu_forward(first_step(4.0, relu_forward, relu_backward)["before"])
    for size in (10, 32, 100, 500, 1797):
        print(f"seen on {size:4d} digits   {count_dead_relus({'hidden': fired[:size]})['hidden']:2d} of 100 units look dead")

# %% [markdown]
# That is the network before any training. On 10 digits 34 units look dead, and 26 of them are not. A batch can only
# overestimate. When a tool reports dead units, ask it what data it looked at.

# %% [markdown]
# ## 4. A death, one step at a time
#
# Now follow one unit that is alive before the step and dead after it.

# %% tags=["experiment"]
if ready(relu_forward, relu_backward, count_dead_relus):
    seen = first_step(4.0, relu_forward, relu_backward)
    highest = {when: seen[when].max(axis=0) for when in ("before", "after")}
    killed = np.flatnonzero((highest["before"] > 0) & (highest["after"] <= 0))
    unit = killed[0]

    print(f"{len(killed)} units were killed; the first of them is unit {unit}")
    for when in ("before", "after"):
        z = seen[when][:, unit]
        print(f"{when:6s} it fires for {np.sum(z > 0):4d} of {len(z)} digits; pre-activations from {z.min():.2f} to {z.max():.2f}")

    figure, axes = plots.canvas()
    edges = np.linspace(-9, 2, 67)
    axes.hist(seen["before"][:, unit], edges, color=plots.COLOURS["blue"], label="before the step")
    axes.hist(
        seen["after"][:, unit], edges, color=plots.COLOURS["vermillion"], hatch="///", fill=False,
        edgecolor=plots.COLOURS["vermillion"], label="after the step",
    )
    axes.axvline(0, color=plots.INK)
    axes.set(xlabel="pre-activation", ylabel="digits", title=f"Unit {unit} on all 1,797 digits")
    axes.legend(loc="upper left")
    plots.show(
        figure,
        "Two histograms of the pre-activation of one unit over all digits. Before the step they lie around zero, most of "
        "them above it. After the step all of them lie below zero.",
    )

# %% [markdown]
# *The figure: before the step the pre-activations of this unit lie on both sides of 0. After it, all of them are on
# the left.*
#
# Before you run the next cell: it makes the long step and then 149 more steps at 0.1, and it looks at this unit's
# weights. What is their gradient, over all 1,797 digits? Zero, or almost zero? And how far do the weights move?

# %% tags=["experiment"]
prediction_2 = ""  # the gradient of the dead unit's weights, and how far they move in 149 steps

# %% tags=["experiment"]
if predicted(prediction_2) and ready(relu_forward, relu_backward, count_dead_relus):
    own = {
        "affine_forward": affine_forward,
        "affine_backward": affine_backward,
        "relu_forward": relu_forward,
        "relu_backward": relu_backward,
        "count_dead_relus": count_dead_relus,
    }
    draw = np.random.default_rng(0)
    x, y = data("raw")
    net = network(Layer(relu_forward, relu_backward), -0.3, own, draw)

    def rate(step, usual):
        return 4.0 if step == 0 else usual

    watched = []
    for _ in fit(net, (x, y), svm_loss, sgd, steps=150, learning_rate=0.1, rng=draw, batch_size=100, schedule=rate):
        watched.append(net.params["hidden.w"][:, unit])

    loss, dscores = svm_loss(net.forward(x), y)
    net.backward(dscores)
    print(f"largest gradient of a weight of unit {unit}   {np.abs(net.grads['hidden.w'][:, unit]).max()}")
    print(f"largest gradient of any weight          {np.abs(net.grads['hidden.w']).max():.4f}")
    print(f"the same for the weights that lead out of it   {np.abs(net.grads['scores.w'][unit]).max()}")
    print(f"its 64 weights equal, to the last bit, after steps 1 and 150: {np.array_equal(watched[0], watched[-1])}")

# %% [markdown]
# Not almost. Exactly. The gradient of a weight is a sum over examples,
#
# $$\frac{\partial L}{\partial w_{d}} = \sum_n \text{dout}_n \cdot [z_n > 0] \cdot x_{nd}$$
#
# and every bracket is 0. The same holds for the bias, with 1 in place of $x_{nd}$. So the weights stay, so the
# pre-activations on the same digits stay, so the brackets stay. Even the weights that lead *out* of the unit get a
# gradient of 0, since what they multiply is 0.
#
# 1. A step moves the weights of the unit.
# 2. Its pre-activation is at or below 0 for every example.
# 3. Its output is 0 for every example.
# 4. Its gradient is 0 for every example.
# 5. Back to 2, with the same numbers.
#
# Note what step 5 needs: the same *inputs*. Keep that in mind for section 9.

# %% [markdown]
# ## 5. Play: twenty units
#
# Here is a problem small enough to draw. 60 points of two classes, 20 ReLU units. Each unit has a line in the plane: on
# one side of it the unit fires, on the other it is silent. A unit is dead when no point lies on its firing side.
#
# Each press of the button is one step, with your `relu_forward` and `relu_backward`.
#
# 1. With a learning rate of 0.1, press ten times. How many die?
# 2. Now 2.0. How many die in the first step, how many later? Does one ever come back?
# 3. Go back to step 0, and move *shift of the inputs* from 0.6 to 2. What happens before any training? Look at the lines.
# 4. Set the shift to 0 and try rates of 1, 2 and 3 again.
#
# The picture on the left shows the points and the line of each unit: solid for alive, dashed for dead. On the right
# is a bar for each unit, from its lowest to its highest pre-activation, with a circle for alive and a cross for dead. The
# sentence below says which units are dead, and the largest gradient among them.

# %% tags=["lab"]
explore(
    dying_relu, relu_forward=relu_forward, relu_backward=relu_backward, count_dead_relus=count_dead_relus
)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. None.
# 2. At 2.0, two die in the first step, six more in the second, and none afterwards. None of them comes back.
# 3. At a shift of 2, 9 of 20 are dead before any training. The lines start at the origin because the biases are 0, the
#    points are far from it, and whole half-planes hold no point.
# 4. With the points around the origin, two are dead after eight steps at 2.0. The same rate killed eight at a shift of 0.6.
#
# </details>

# %% [markdown]
# ## 6. Measure: two causes
#
# In the run of section 1, 8 units were dead before the first step and 41 after it. Those are two different accidents.
#
# - **Dead at the start**: the random weights, the bias and the data happen to give no positive pre-activation. No step was
#   needed. The biases of this network start at $-0.3$, which somebody chose "to make the activations sparse".
# - **Killed by a step**.
#
# How much of each is an accident of that one start? Measure another one. And how long must a step be to kill anybody?
#
# **Exercise `measured_shares`** (core, 3 points). For the network of seed 1, `first_step(..., seed=1)`, find
#
# - `dead_at_start`: the share of its 100 units that are dead before the step;
# - `dead_after_step`: the share that are dead after a step at rate 4;
# - `killing_rate`: the smallest rate at which one step kills a unit, to about 5 %.

# %% solution="measured_shares"
# first_step(rate, relu_forward, relu_backward, seed=1) gives {"before": ..., "after": ...}, each of shape (1797, 100)
# what it gives are pre-activations; the counter wants outputs
# set dead_at_start, dead_after_step and killing_rate
### BEGIN SOLUTION
def dead_share(z):
    fired, _ = relu_forward(z)
    return count_dead_relus({"hidden": fired})["hidden"] / z.shape[1]


long_step = first_step(4.0, relu_forward, relu_backward, seed=1)
dead_at_start, dead_after_step = dead_share(long_step["before"]), dead_share(long_step["after"])

harmless, killing_rate = 0.0, 4.0
while killing_rate - harmless > 0.005:
    middle = (harmless + killing_rate) / 2
    if dead_share(first_step(middle, relu_forward, relu_backward, seed=1)["after"]) > dead_at_start:
        killing_rate = middle
    else:
        harmless = middle
print(f"at the start {dead_at_start:.2f}   after the step {dead_after_step:.2f}   a step kills from {killing_rate:.3f} on")
### END SOLUTION

# %% check="measured_shares"
check("measured_shares")

# %% [markdown]
# Other numbers, the same picture. In this network a step at the usual rate of 0.1 kills nobody, and one at 0.14 does. There was
# less room than it seemed.
#
# ### Does a small positive bias help?
#
# A common piece of advice: start the biases of ReLU layers at a small positive number such as 0.01, so that units begin
# on the firing side. Which of the two numbers, at the start and after the long step, will change with the bias?

# %% tags=["experiment"]
prediction_3 = ""  # what a bias of 0.01 does to each of the two shares, against a bias of 0; and a bias of 1

# %% tags=["experiment"]
def train(seed=0, **changes):
    """Train the network of section 1 with your functions and some settings changed."""
    run = experiments.find("dying_relu")
    functions = {name: value for name, value in globals().items() if name in run.REQUIRES}
    return run.run(experiments.complete(run, changes), functions, np.random.default_rng(seed))


def mean(runs, key):
    return float(np.mean([each[key] for each in runs]))


if predicted(prediction_3) and ready(relu_forward, relu_backward, count_dead_relus):
    print("  bias   dead at the start   after the long step   at the end   accuracy   (mean of 3 networks)")
    for bias in (-0.3, 0.0, 0.01, 0.5, 1.0):
        runs = [train(seed, bias=bias) for seed in range(3)]
        start, after, end = (mean(runs, key) for key in ("silent_at_start", "silent_after_step", "silent"))
        print(f"{bias:6.2f}   {start:17.2f}   {after:19.2f}   {end:10.2f}   {mean(runs, 'accuracy'):8.2f}")

# %% [markdown]
# The bias acts on the first column, once it is large enough: from 0.13 at $-0.3$ to 0.04 at 0, and to 0 at 0.5. At 0.01 it
# is still 0.04. The pre-activations of unit 1 went from $-0.91$ to 1.03; against that, 0.01 is nothing.
#
# From the second column it does not protect: at each of these biases the step kills about a third of the network. And
# a large bias has a price in this run. At 1, more units die in the steps that follow, 0.78 are dead at the end, and the accuracy
# is the lowest of the table.
#
# Two causes, two cures. A bias is about the start.

# %% [markdown]
# ### Why did so many die at once?
#
# Here is the step, seen from one unit. Its pre-activation on digit $m$ is $z_m = w \cdot x_m + b$. A step on a batch changes
# it by
#
# $$\Delta z_m = -\text{rate} \cdot \sum_n dz_n \, (x_n \cdot x_m + 1)$$
#
# where $dz_n$ is what `relu_backward` returned for digit $n$. Derive it from the gradients of $w$ and $b$: it takes two
# lines. Now look at the bracket. A pixel is between 0 and 1. Can the bracket be negative?

# %% tags=["experiment"]
if ready(relu_forward, relu_backward):
    for inputs in ("raw", "centred"):
        x, _ = data(inputs)
        products = x[:300] @ x[:300].T + 1
        seen = first_step(4.0, relu_forward, relu_backward, inputs=inputs)
        moves = seen["after"] - seen["before"]
        up, down = np.all(moves > 0, axis=0).sum(), np.all(moves < 0, axis=0).sum()
        print(f"{inputs:8s} brackets of 300 digits from {products.min():5.2f} to {products.max():5.2f}   ", end="")
        print(f"units that moved up on all 1,797: {up:2d}   down on all: {down:2d}   median move {np.median(np.abs(moves)):.2f}")

# %% [markdown]
# On raw pixels the smallest bracket is 5.30. So all terms of the sum that have the same sign of $dz_n$ pull the same way on
# *every* digit: a batch that wants this unit lower lowers it for the whole training set. 37 units moved down on all 1,797
# digits, and 33 units died.
#
# Subtract from each pixel its mean, and brackets of both signs appear. Not one unit moved to one side on all digits: what
# goes down somewhere goes up elsewhere. The moves are also shorter, 0.18 against 1.05, because most of the long move was the
# part that all digits have in common.
#
# That is the cause under the cause. A rate of 4 was too long *for inputs that all point the same way*.

# %% [markdown]
# ## 7. Build it: a leak
#
# The zero slope is what makes death final. So keep a slope:
#
# $$\text{out} = \begin{cases} x & x > 0 \\ \alpha x & x \le 0 \end{cases} \qquad 0 \le \alpha \le 1, \text{ usually } 0.01$$
#
# **Exercise `leaky_relu_forward`** (core, 2 points).

# %% solution="leaky_relu_forward"
def leaky_relu_forward(x, alpha=0.01):
    """Leaky ReLU: negative numbers are scaled by alpha.

    Parameters
    ----------
    x : ndarray, any shape
    alpha : float, from 0 to 1
        Slope on the left of zero.

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What leaky_relu_backward needs.
    """
    ### BEGIN SOLUTION
    slope = np.where(x > 0, 1.0, alpha)
    return x * slope, slope
    ### END SOLUTION

# %% check="leaky_relu_forward"
check("leaky_relu_forward")

# %% [markdown]
# **Exercise `leaky_relu_backward`** (core, 3 points). At exactly 0, take the slope of the left side: $\alpha$. With
# $\alpha = 0$ it should be your ReLU.

# %% solution="leaky_relu_backward"
def leaky_relu_backward(dout, cache):
    """Send the upstream gradient back through leaky_relu_forward.

    Parameters
    ----------
    dout : ndarray, any shape
    cache : anything
        What leaky_relu_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    slope = cache
    return dout * slope
    ### END SOLUTION

# %% check="leaky_relu_backward"
check("leaky_relu_backward")

# %% [markdown]
# ## 8. Measure: does the leak bring them back?
#
# No gradient is exactly 0 now. We train the run of section 1 with your leaky ReLU, long first step and all. Of the units
# that the step pushes below 0 for every digit, how many come back in the next 149 steps?
#
# One question of words first. A leaky unit has no output that is exactly 0, so `count_dead_relus` will say 0 whatever
# happens. What we can ask is whether the pre-activation is positive for *any* digit. If it is for none, call the unit
# **silent**. With a ReLU, silent means dead.

# %% tags=["experiment"]
prediction_4 = ""  # silent at the end, of about 40 that are silent after the step: with slopes 0.01, 0.1 and 0.3

# %% tags=["experiment"]
if predicted(prediction_4) and ready(relu_forward, relu_backward, count_dead_relus, leaky_relu_forward, leaky_relu_backward):
    print("one long step, then 0.1        (mean of 3 networks)")
    for slope in (0.0, 0.01, 0.1, 0.3):
        runs = [train(seed, negative_slope=slope) for seed in range(3)]
        after, end = mean(runs, "silent_after_step"), mean(runs, "silent")
        print(f"slope {slope:4.2f}   silent after the step {after:.2f}   at the end {end:.2f}   accuracy {mean(runs, 'accuracy'):.2f}")

    print("\nall 150 steps at 0.5, bias 0")
    for slope in (0.0, 0.01, 0.1, 0.3):
        runs = [train(seed, negative_slope=slope, first_rate=0.5, learning_rate=0.5, bias=0.0) for seed in range(3)]
        scores = " ".join(f"{each['accuracy']:.2f}" for each in runs)
        print(f"slope {slope:4.2f}   silent at the end {mean(runs, 'silent'):.2f}   accuracy of each network {scores}")

# %% [markdown]
# After one long step: with a slope of 0.01 the share goes from 0.41 to 0.42. With 0.1, from 0.40 to 0.39. Even at 0.3 only 0.06
# come back. The step had thrown unit 1 so far that its *best* digit was at $-1.90$. The way back goes through a slope
# of 0.01, so each step brings it a hundredth as far as a unit that fires. And while it crawls, the other units learn the
# digits, the loss falls, and less comes down from above to push it.
#
# When all steps are too long, the leak is worth everything. In the ReLU networks 0.99 of the units are silent, and they
# guess; with a slope of 0.1 the same networks end at 0.97 and 0.98. Here units are thrown out in every step.
# A ReLU loses each of them for good. A leaky ReLU loses them for a while, and the loss stays high enough to push them.
#
# So a leak takes away the *final* from death. Whether a unit comes back depends on how far it was thrown, on the slope, and
# on whether there is still something to learn.

# %% [markdown]
# ### The family
#
# Other activations fade out on the left instead of stopping. ELU is in the stretch part of this notebook, GELU and SiLU are
# assignment 09; these are recorded runs. *No gradient* is the share of the units whose weights get a gradient of exactly 0
# from all digits, right after the long step. The last column is from three starts, with a bias of 0.

# %% tags=["experiment"]
family = experiments.recorded("rectifiers")
print("             one long step                       all steps at 0.5")
print("             no gradient   silent   accuracy     accuracy of three networks")
for k, name in enumerate(ACTIVATIONS):
    one = f"{family['frozen'][k]:11.2f}   {family['silent'][k]:6.2f}   {family['accuracy'][k]:8.2f}"
    print(f"{name:10s}   {one}     {' '.join(f'{each:.2f}' for each in family['accuracy_all_steps'][k])}")

# %% [markdown]
# Of the other four, none has a unit without a gradient. That is what tables mean when they call these activations free of dead
# units. Silent is another matter: after the one long step 27 to 43 of 100 units stay silent, whatever the activation.
#
# And a gradient that is not zero can still be nothing. With all steps at 0.5 the ELU ends where the ReLU ends, at 0.10 twice
# and at 0.17. Its slope on the left is $e^x$: far out it is not zero, but you could not tell. The GELU survives in two of three
# networks, the SiLU in all three. Why the SiLU does better than the ELU in this run, this notebook cannot say. It can say that
# "no dead units" was not the reason: both have none.

# %% [markdown]
# ## 9. Measure: for ever?
#
# "A dead ReLU never recovers." You have seen 149 steps in which none did. But the argument of section 4 needed inputs
# that stay the same. Put a second hidden layer on top of the first. The inputs of its units are the outputs of the first
# layer, and those move.
#
# What do you expect of the units that the long step kills in each layer?

# %% tags=["experiment"]
prediction_5 = ""  # how many of them come back, in the lower layer and in the upper one

# %% tags=["experiment"]
def two_layers(seed):
    """Train two hidden layers of 100, the first step at rate 1; which units are dead after it, and at the end?"""
    draw = np.random.default_rng(seed)
    x, y = data("raw")

    def affine(inputs, units):
        w = draw.standard_normal((inputs, units)) / np.sqrt(inputs)
        return Layer(affine_forward, affine_backward, {"w": w, "b": np.zeros(units)})

    net = Sequential(
        affine1=affine(64, 100), relu1=Layer(relu_forward, relu_backward),
        affine2=affine(100, 100), relu2=Layer(relu_forward, relu_backward),
        scores=affine(100, 10),
    )  # fmt: skip

    def dead():
        z1 = net.parts["affine1"].forward(x)
        z2 = net.parts["affine2"].forward(relu_forward(z1)[0])
        return np.array([z1.max(axis=0) <= 0, z2.max(axis=0) <= 0])

    def rate(step, usual):
        return 1.0 if step == 0 else usual

    steps = fit(net, (x, y), svm_loss, sgd, steps=150, learning_rate=0.1, rng=draw, batch_size=100, schedule=rate)
    next(steps)
    killed = dead()  # (2, 100)
    for _ in steps:
        pass
    return killed, dead()


if predicted(prediction_5) and ready(relu_forward, relu_backward):
    for seed in range(3):
        for layer, killed, end in zip(("lower", "upper"), *two_layers(seed), strict=True):
            back = np.sum(killed & ~end)
            print(f"network {seed}   {layer} layer   dead after the first step {killed.sum():2d}   of these alive at the end {back:2d}")

# %% [markdown]
# In the lower layer, none of 41. In the upper layer, 68 of 99.
#
# Nobody gave the upper units a gradient while they were dead, and their weights did not move. Their *inputs* did, because
# the layer below went on learning, until some digit came out on the firing side again. So the sentence needs a condition.
# A dead unit never recovers **as long as its inputs stay as they are**. In the first layer the inputs are the data, and it
# holds. Further up it holds for some of them, and you cannot count on either.

# %% [markdown]
# ## 10. Fix it
#
# Back to section 1. This is what may be changed:

# %% tags=["experiment"]
for name, setting in experiments.find("dying_relu").SETTINGS.items():
    print(f"{name:15s} now {setting.default!s:5s}   {setting.what}")

# %% [markdown]
# **Exercise `remedy_03`** (core, 4 points). Write the settings that you change, and their values, into a dict. We train with
# them from ten starting points. At most 5 % of the units may be silent at the end, and accuracy must be at least 0.96,
# more than the 0.95 of the failed run. A silent unit counts whatever the slope on its left.
#
# There is more than one way, and most single changes are not enough. How many causes did you measure?

# %% solution="remedy_03"
# remedy = {"setting": value, ...}
### BEGIN SOLUTION
remedy = {"inputs": "centred", "bias": 0.0, "first_rate": 0.1}
# Ways that work, and ways that do not:
#
# Two things were wrong: biases that start below 0, and a step too long for inputs that all point the same way.
#
# - `{"inputs": "centred"}` alone works: it takes the common direction out of both. About 2 % are silent.
# - `{"bias": 0.0, "first_rate": 0.1}` works: about 3 % are still dead from the start. With a bias of 0.5 instead, next to none.
# - `{"first_rate": 0.1}` alone does not: the 12 % that never lived are still there.
# - `{"bias": 0.01}` or any other bias alone does not: the step kills them.
# - `{"negative_slope": 0.3}` alone does not: more than a quarter stay silent.
# - Lower rates for everything, such as 0.01, leave units alive and the digits unlearned: the accuracy stays below 0.93.
### END SOLUTION

# %% check="remedy_03"
check("remedy_03")

# %% tags=["experiment"]
if "remedy" in globals() and ready(relu_forward, relu_backward, count_dead_relus, leaky_relu_forward, leaky_relu_backward):
    for label, changes in (("as it is", {}), ("with your remedy", remedy)):
        runs = [train(seed, **changes) for seed in range(3)]
        print(f"{label:16s}   silent {mean(runs, 'silent'):.2f}   accuracy {mean(runs, 'accuracy'):.3f}   (mean of 3 networks)")

# %% [markdown]
# Which single changes did you try that were not enough, and which of the two causes did each leave in place? The published
# solution lists the ways that work, with what they reach.

# %% [markdown]
# ## 11. Stretch: a slope that learns, and one that fades
#
# Who says that the slope should be 0.01? PReLU makes it a parameter, one for each unit, and lets gradient descent find it.
#
# **Exercise `prelu_forward`** (stretch, 1 point). `x` has shape (N, C) and `alpha` shape (C,). A slope that learns may end
# up anywhere: below 0, at 0, above 1.

# %% solution="prelu_forward"
def prelu_forward(x, alpha):
    """Parametric ReLU: a leaky ReLU whose slope is a parameter of each unit.

    Parameters
    ----------
    x : ndarray, shape (N, C)
    alpha : ndarray, shape (C,)

    Returns
    -------
    out : ndarray, shape (N, C)
    cache : anything
        What prelu_backward needs.
    """
    ### BEGIN SOLUTION
    return np.where(x > 0, x, alpha * x), (x, alpha)
    ### END SOLUTION

# %% check="prelu_forward"
check("prelu_forward")

# %% [markdown]
# Backward has two gradients to return. For `dalpha`, ask as for the bias of an affine layer: which outputs does `alpha[c]`
# touch, and by how much does each of them change with it?
#
# **Exercise `prelu_backward`** (stretch, 3 points).

# %% solution="prelu_backward"
def prelu_backward(dout, cache):
    """Send the upstream gradient back through prelu_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, C)
    cache : anything
        What prelu_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, C)
    dalpha : ndarray, shape (C,)
    """
    ### BEGIN SOLUTION
    x, alpha = cache
    dx = np.where(x > 0, dout, alpha * dout)
    dalpha = np.where(x > 0, 0.0, x * dout).sum(axis=0)
    return dx, dalpha
    ### END SOLUTION

# %% check="prelu_backward"
check("prelu_backward")

# %% [markdown]
# ELU bends the left side towards $-\alpha$ instead of going on for ever:
#
# $$\text{out} = \begin{cases} x & x > 0 \\ \alpha \, (e^x - 1) & x \le 0 \end{cases}$$
#
# **Exercise `elu_forward`** (stretch, 1 point). It should give a number for $x = 1000$, where $e^x$ does not.

# %% solution="elu_forward"
def elu_forward(x, alpha=1.0):
    """Exponential linear unit: negative numbers bend towards -alpha.

    Parameters
    ----------
    x : ndarray, any shape
    alpha : float

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What elu_backward needs.
    """
    ### BEGIN SOLUTION
    left = np.minimum(x, 0)  # exp never sees a positive number
    return np.where(x > 0, x, alpha * np.expm1(left)), (x, alpha)
    ### END SOLUTION

# %% check="elu_forward"
check("elu_forward")

# %% [markdown]
# **Exercise `elu_backward`** (stretch, 2 points).

# %% solution="elu_backward"
def elu_backward(dout, cache):
    """Send the upstream gradient back through elu_forward.

    Parameters
    ----------
    dout : ndarray, any shape
    cache : anything
        What elu_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    x, alpha = cache
    return dout * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))
    ### END SOLUTION

# %% check="elu_backward"
check("elu_backward")

# %% tags=["experiment"]
if ready(elu_forward, elu_backward):
    far = np.array([0.0, -1.0, -10.0, -100.0, -1000.0])
    _, cache = elu_forward(far)
    for x_value, slope in zip(far, elu_backward(np.ones(5), cache), strict=True):
        print(f"x = {x_value:7.0f}   slope of an ELU {slope:.1e}")

# %% [markdown]
# At $x = -10$ the slope is $5 \cdot 10^{-5}$, and at $-1000$ it is exactly 0. An activation that fades does not die; it
# saturates, and you know that one from assignment 02.

# %% [markdown]
# ## 12. Say it
#
# **Exercise `quiz_03`** (core, 4 points). One letter each.
#
# **1.** After a large step, a unit of the first hidden layer has a pre-activation at or below zero on every training example.
# What happens to it in the following steps, and why?
#
# - a) Its gradient is small, so it recovers slowly if training goes on for long enough.
# - b) Its weights and bias get a gradient of exactly zero from every example, so they stay, and so does its silence.
# - c) Only its weights are stuck. The bias does not depend on the input and can lift it again.
# - d) The layer above notices that the loss would fall if the unit fired, and sends back a gradient that wakes it.
#
# **2.** A layer has 100 ReLU units. On a batch of 32 examples, 30 of them are silent; over the training set, 4. How many
# are dead?
#
# - a) 30: on this batch they get no gradient.
# - b) Somewhere between: the share on a batch estimates the share of dead units.
# - c) 4: the others fire for some example, and learn from it.
# - d) That cannot be said without the test set.
#
# **3.** After one long step on raw pixels, 63 of 100 units had moved to the same side on all 1,797 digits; on centred pixels
# none had. Why?
#
# - a) The dot product of two raw digits is never negative, so what pushes a unit down on one digit pushes it down on all.
# - b) Centred digits make smaller gradients, so the units move less.
# - c) Raw pixels are positive, so the slope of a ReLU is 1 on all of them.
# - d) On raw pixels the biases were negative.
#
# **4.** Somebody replaces the ReLU by a leaky ReLU with slope 0.01. The long first step stays. `count_dead_relus` now says 0.
# What do you know?
#
# - a) The units that the step silenced will fire again, since all of them have a gradient.
# - b) The step no longer pushes units below zero on every example.
# - c) The counter has a bug: it should count units with small outputs too.
# - d) No unit has a gradient of exactly zero. Whether those that were silenced ever fire again has to be measured separately.

# %% solution="quiz_03"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "b", "2": "c", "3": "a", "4": "d"}
### END SOLUTION

# %% check="quiz_03"
check("quiz_03")

# %% [markdown]
# **In your own words** (not graded). A colleague's network ends at 95 % accuracy with 41 of 100 hidden units dead. They say:
# "It works, so the dead units do not matter. And if they did, I would start the biases at 0.01." Answer in six sentences at
# most. Use at least two numbers that you measured. Say what you would look at first, and what you would change.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# 41 dead units mean that 59 did the work, and that I paid for 100. And 0.95 is not what this network can do: with my remedy
# it reached 0.98 in the same 150 steps. They will not come back by themselves: every term of their gradient has
# the slope of the ReLU as a factor, which is 0 on each of the 1,797 digits, and in section 4 the weights were the same to
# the last bit after 149 more steps. First I would count at the start and after the first step: here it was 8 and 41, so
# a step killed most of them. A bias of 0.01 acts on the 8 at most; the share killed by the step was as large with it as
# without. I would centre the inputs and shorten the first step, and count again on the whole training set.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Both claims.** Did you answer the one about accuracy and the one about the bias, each with a number?
# 2. **Mechanism.** Did you say why a dead unit stays dead, and not only that it does?
# 3. **Cause.** Did you ask when they died, at the start or in a step, before you proposed a cure?
# 4. **Cure.** Does what you propose act on that cause, and did you say how you would see that it worked?
#
# One point each. Three or four: go on. One or two: read sections 4, 6 and 8 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A unit that is at or below zero for every example gets a gradient of exactly zero. If its inputs do not change, that is
#   for ever.
# - A falling loss does not show it. Count, and count on the whole training set.
# - Ask when they died. Dead at the start is a matter of bias, weights and inputs; killed later is a matter of the length of a
#   step.
# - Where inputs are never negative, a step can move a unit in one direction on all examples at once. Centre them.
# - A slope on the left keeps the gradient, and that is not yet a rescue.
#
# ## Where this shows up today
#
# - **Warm-up.** Large models start with a small learning rate and raise it over the first steps, so that no step from random
#   weights is taken at full length.
# - **Normalisation.** Batchnorm and layernorm (assignment 05) centre what each layer sees, in every step, and take
#   away the common direction of section 6.
# - **GELU and SiLU** took the place of the ReLU in transformers (assignment 09). They let a little through on the left; you
#   have seen in section 8 what that is worth in this run.
# - **Sparse autoencoders**, which are used to look into language models, are ReLU layers with tens of thousands of units.
#   Papers about them report the share of dead ones, and how they revive them.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The section on dying ReLUs.
# - Xavier Glorot, Antoine Bordes and Yoshua Bengio, *Deep Sparse Rectifier Neural Networks*, AISTATS 2011. ReLUs, when
#   they were new.
# - Andrew Maas, Awni Hannun and Andrew Ng, *Rectifier Nonlinearities Improve Neural Network Acoustic Models*, ICML 2013. The
#   leak.
# - Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, *Delving Deep into Rectifiers*, ICCV 2015. PReLU.
# - Yann LeCun, Leon Bottou, Genevieve Orr and Klaus-Robert Müller, *Efficient BackProp*, 1998. Section 4.3 says why inputs
#   should be centred, with the argument of section 6.
# - Lu Lu, Yeonjong Shin, Yanhui Su and George Karniadakis, *Dying ReLU and Initialization: Theory and Numerical Examples*,
#   2020. How likely a whole network is dead at the start.
