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
# # 04. Vanishing and exploding gradients
#
# *One layer changes a signal by a factor. Fifty layers change it by that factor, fifty times.*
#
# When you are done you can
#
# - derive how large the weights of a ReLU network have to be, and say for what the derivation speaks: one network or many;
# - tell what the gradients of the weights show from what they hide;
# - clip a gradient in two ways, and say what each of them does to its direction;
# - build a residual block, and say why it keeps gradients from vanishing and not from exploding;
# - make fifty layers learn, with and without shortcuts.
#
# **Time.** The core path takes 80 to 110 minutes and is worth 29 points. The stretch takes 15 minutes more, and its 2
# points are extra.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.labs import gradient_flow
from minigrad.labs.explore import explore, predicted, ready
from minigrad.layers import affine_backward, affine_forward, relu_backward, relu_forward

# %% [markdown]
# ## 1. See it fail: fifty layers, three times
#
# The data are 360 handwritten digits, zeros and ones. No easier task will come up in this course. The network has 50
# affine layers with ReLUs between them, 32 units wide.
#
# It is trained three times: the same data, the same random numbers, the same learning rate, 60 steps. The only difference
# is a factor on the initial weights: their standard deviation is 0.1, 0.25 or 0.5.

# %% tags=["experiment"]
run = experiments.recorded("weight_scales")
stds = (0.1, 0.25, 0.5)

for std, losses, accuracy in zip(stds, run["losses"], run["accuracy"], strict=True):
    print(f"weights of {std:4.2f}   loss {losses[0]:8.2g}, then {losses[1]:7.4f}, in the last step {losses[-1]:7.4f}   accuracy {accuracy:.2f}")

figure, axes = plots.canvas()
for k, series in ((0, plots.SERIES[1]), (1, plots.SERIES[0])):
    axes.plot(run["losses"][k], label=f"weights of {stds[k]}", markevery=5, **series)
axes.set(xlabel="step", ylabel="loss", title="Zeros and ones, 50 layers (weights of 0.5: nan)")
axes.legend()
plots.show(
    figure,
    "Loss against step. With weights of 0.1 it is a flat line at 1. With weights of 0.25 it goes up and down for 15 "
    "steps and then falls to nearly 0, with one bump at step 50. The run with weights of 0.5 cannot be drawn: its second loss is nan.",
)

# %% [markdown]
# *The figure: with weights of 0.1 the loss is a flat line at 1. With 0.25 it falls to nearly 0.*
#
# At 0.25 the network learns. At 0.1 all scores are so near 0 that the hinge loss is 1, and there it stays: the
# network guesses. At 0.5 the loss of the first step has thirteen digits, and the second loss is `nan`.
#
# A factor of five in the weights lies between the first run and the third. The backward pass is right in all three.
# At 0.1 a gradient check could not even confirm that: a nudge of $10^{-5}$ moves the loss by about $10^{-26}$. Next to a
# loss of 1 this is rounded away, and the centred difference is exactly 0.

# %% [markdown]
# ## 2. Predict: what does a layer see?
#
# Look at the first backward pass of each run, before any training. Two things are measured in each of the 50 layers: the
# norm of the gradient that *arrives* at its output from above, and the norm of the gradient of its *weights*.
#
# Take the run with weights of 0.1. By which factor is the first layer behind the last one, in each of the two? And do you
# expect the same of the run with weights of 0.5, the other way round?

# %% tags=["experiment"]
prediction_1 = ""  # first layer over last layer: for the gradient that arrives, and for the gradient of the weights

# %% tags=["experiment"]
if predicted(prediction_1):
    for std, arrives, weights in zip(stds, run["activation_gradients"], run["weight_gradients"], strict=True):
        print(f"weights of {std:4.2f}   arrives: first layer {arrives[0]:7.1e}, last {arrives[-1]:7.1e}   of the weights: first {weights[0]:7.1e}, last {weights[-1]:7.1e}, largest over smallest {max(weights) / min(weights):.0f}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    layers = np.arange(1, 51)
    for k, series in ((0, plots.SERIES[1]), (1, plots.SERIES[0]), (2, plots.SERIES[2])):
        left.semilogy(layers, run["activation_gradients"][k], label=f"weights of {stds[k]}", markevery=5, **series)
        right.semilogy(layers, run["weight_gradients"][k], label=f"weights of {stds[k]}", markevery=5, **series)
    for axes, title in ((left, "Gradient that arrives from above"), (right, "Gradient of the weights")):
        axes.set(xlabel="layer (1 is the first)", ylabel="norm (log axis)", ylim=(1e-23, 1e17), title=title)
    left.legend()
    plots.show(
        figure,
        "Left, on a log axis: the gradient that arrives falls in a straight line from layer 50 to layer 1, from 0.25 down to "
        "1e-21, with weights of 0.1; it stays near 0.1 with 0.25; it climbs to 1e13 with 0.5. Right: the gradient of the "
        "weights is a nearly flat line in all three, near 1e-20, near 1, and near 1e15.",
    )

# %% [markdown]
# *The figure: on log axes the gradient that arrives is a straight line that falls, stays or climbs towards the first
# layer. The gradient of the weights is nearly flat in all three runs, at three very different heights.*
#
# Straight lines on a log axis mean a factor again. With weights of 0.1 it is about 0.4 in each layer, and $0.4^{50}$ is
# $10^{-20}$.
#
# The right side is odd. The usual account is that a vanishing gradient starves the first layers, and the usual advice is
# to print the gradient norm of each parameter. Print it here, and all 50 layers agree to within a factor of 18, or of 74
# at 0.5, where the gradient that arrives spans 13 powers of ten. And they agree on numbers near $10^{-20}$ in one
# network, near 1 in the next, and near $10^{15}$ in the third.
#
# Why are they equal? Keep the question. You will answer it in section 5, with your own numbers.

# %% [markdown]
# ## 3. Build it: weights for a ReLU
#
# What is the right size? A pre-activation is a sum of `fan_in` products, $z = \sum_d x_d w_d$. The weights are
# independent of each other and of $x$, with mean 0. So the cross terms have mean 0, and
#
# $$\operatorname{mean}(z^2) = \text{fan\_in} \cdot \operatorname{var}(w) \cdot \operatorname{mean}(x^2)$$
#
# In assignment 02 that was the whole story. Now a ReLU follows. The weights are as often positive as negative, so $z$ is
# distributed evenly around 0. Three questions, on paper:
#
# - The ReLU sets half of the $z$ to 0 and keeps the others. What is left of $\operatorname{mean}(z^2)$?
# - Which variance of $w$ makes up for that?
# - Which standard deviation does that give for 32 inputs? You have seen the number.
#
# Which fan counts, in or out? Going up, a unit adds `fan_in` terms; going down, `fan_out`. Take `fan_in`, and the
# mean square of the gradient is off by `fan_out / fan_in` in each layer. Multiply these ratios over all layers of a
# network: the `fan_out` of one is the `fan_in` of the next, and all widths but the first and the last cancel. So there
# is no need for the mean of both.
#
# **Exercise `he_init`** (core, 3 points). Draw each weight on its own from the `rng` that you are given. Normal or
# uniform, as you like.

# %% solution="he_init"
def he_init(fan_in, fan_out, rng):
    """Draw the initial weights of an affine layer that a ReLU follows.

    Parameters
    ----------
    fan_in, fan_out : int
        Number of inputs and outputs.
    rng : numpy.random.Generator

    Returns
    -------
    w : ndarray, shape (fan_in, fan_out)
    """
    ### BEGIN SOLUTION
    return np.sqrt(2 / fan_in) * rng.standard_normal((fan_in, fan_out))
    ### END SOLUTION

# %% check="he_init"
check("he_init")

# %% [markdown]
# ## 4. Play: up and down
#
# A chain of layers of 50 units: your `he_init`, times a factor; ReLUs; no biases. Random inputs go up, a random
# gradient comes down. On the left what each layer sees: the activations that come from below, and the gradient that
# comes from above. On the right the gradient of its weights. The sentence below says the same in numbers.
#
# 1. Factor 1, 20 layers. Are the lines on the left flat? Change the draw of the weights a few times. Do they stay flat?
# 2. *Bet first.* Factor 0.6. In which layers are the activations small? In which is their gradient small?
# 3. And the gradient of the weights? Look for a factor and a depth at which it is *not* flat.
# 4. Factor 0.95, 50 layers. How much do 5 % cost?

# %% tags=["lab"]
explore(gradient_flow, he_init=he_init)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. Nearly. Over 20 layers they wander by a factor of a few, up or down, and each draw wanders in its own way.
# 2. They are crossed: activations shrink on the way up and are smallest in the last layer; gradients shrink on the way down
#    and are smallest in the first.
# 3. There is none. The line moves up and down as a whole, and stays flat to within a factor of ten or so.
# 4. $0.95^{50}$ is 0.08. And $0.8^{50}$ is $10^{-5}$.
#
# </details>

# %% [markdown]
# ## 5. Measure: what the weight gradients hide
#
# The next cell builds the chain of the lab and returns three lists, from the first layer to the last: the weights of
# each layer, the gradient `da` of its output, and the gradient `dw` of its weights. Read it: it is a whole forward
# and backward pass.

# %% tags=["setup"]
def chain(depth, factor, bias=0.0, seed=0):
    """Return for each layer its weights, the gradient of its output, and the gradient of its weights."""
    draw = np.random.default_rng(seed)
    h, dout = draw.standard_normal((32, 50)), draw.standard_normal((32, 50))
    weights, caches, da, dw = [], [], [], []
    for _ in range(depth):
        weights.append(factor * he_init(50, 50, draw))
        z, affine_cache = affine_forward(h, weights[-1], bias * draw.standard_normal(50))
        h, relu_cache = relu_forward(z)
        caches.append((affine_cache, relu_cache))
    for affine_cache, relu_cache in reversed(caches):
        da.append(dout)
        dout, dweights, _ = affine_backward(relu_backward(dout, relu_cache), affine_cache)
        dw.append(dweights)
    return weights, da[::-1], dw[::-1]

# %% [markdown]
# **Exercise `weight_gradients`** (core, 2 points). For 20 layers at a factor of 0.5, set
#
# - `activation_ratio`: the norm of `da` of the first layer over that of the last;
# - `weight_ratio`: the norm of `dw` of the first layer over that of the last;
# - `product_spread`: for each layer, multiply `w` and `dw` entry by entry and add it all up. You get 20 numbers. Set it to
#   the largest divided by the smallest, minus 1. Print the 20 numbers before you do.

# %% solution="weight_gradients"
# weights, da, dw = chain(20, 0.5)
# set activation_ratio, weight_ratio and product_spread
### BEGIN SOLUTION
weights, da, dw = chain(20, 0.5)
activation_ratio = np.linalg.norm(da[0]) / np.linalg.norm(da[-1])
weight_ratio = np.linalg.norm(dw[0]) / np.linalg.norm(dw[-1])
sums = [np.sum(w * g) for w, g in zip(weights, dw, strict=True)]
product_spread = max(sums) / min(sums) - 1
print(f"activations {activation_ratio:.1e}   weights {weight_ratio:.2f}   sums from {min(sums):.12e} to {max(sums):.12e}")
### END SOLUTION

# %% check="weight_gradients"
check("weight_gradients")

# %% [markdown]
# From the first layer to the last the gradient that arrives differs by a factor of more than 500,000, the gradient of the
# weights by less than 3. And the 20 sums are *equal*, but for the last digits that float64 has. Why? There are two ways
# to the answer.
#
# **By sizes.** The weight gradient of layer $l$ is what comes from below times what comes from above,
# $dW_l = a_{l-1}^\top dz_l$. Let each layer multiply by $g$ on the way up, and by $g$ on the way down. Then $a_{l-1}$ has
# the size $g^{l-1}$ and $dz_l$ has the size $g^{L-l}$. What is their product, and where did $l$ go?
#
# **Exactly.** Multiply all weights of one layer by $t > 0$. A ReLU lets a positive factor through, and without biases
# nothing else is added, so the output is multiplied by $t$, *whichever layer it was*. Now move $t$ a little away from
# 1, and write down in two ways how fast the loss changes. By way of the weights it is $\sum W_l \cdot dW_l$. By way
# of the output it is $\sum \text{out} \cdot \text{dout}$. It is one and the same number, and the second form knows
# nothing of $l$.
#
# So flat weight gradients are no sign of health. They are what such a chain gives, at any size of the weights.
#
# The derivation has a condition. Where did it need "without biases"? Before you run the next cell: what will biases
# of size 0.1 do to `activation_ratio` and to `weight_ratio`?

# %% tags=["experiment"]
prediction_2 = ""  # both ratios, with biases of size 0.1

# %% tags=["experiment"]
if predicted(prediction_2) and ready(he_init):
    for factor in (0.5, 1.0, 1.5):
        for bias in (0.0, 0.1):
            _, arrives, of_weights = chain(20, factor, bias)
            above, below = (np.linalg.norm(g[0]) / np.linalg.norm(g[-1]) for g in (arrives, of_weights))
            print(f"factor {factor:.1f}, biases of {bias:.1f}   first layer over last: arrives {above:7.1e}   of the weights {below:7.1e}")

# %% [markdown]
# The gradient that arrives hardly changes. But the activations do not vanish any more: from some layer on they are
# what the biases put there. So nothing makes up for the small gradient, and at a factor of 0.5 the first layer's
# weight gradient is 0.00003 of the last one's. *This* is the starved first layer of the usual account. In a chain of
# ReLUs it takes biases, which PyTorch draws at random from the start. The sigmoids of assignment 02 did it without:
# $\sigma(0) = 0.5$, so their activations never vanish. At a factor of 1.5 the activations outgrow biases of 0.1, and the
# line is flat.
#
# What to look at, then? The weight gradients *and* the activations. A gradient of $10^{-20}$ in all layers is no better
# than one of $10^{-20}$ in the first.

# %% [markdown]
# ## 6. Measure: one network, and many
#
# He initialization keeps the mean square of the signal. You derived it, the check agrees, and in the lab the lines
# wandered all the same. What is a derivation about *means* worth to the one network that you train?
#
# The next cell sends one input up through 10 layers of 20 units, and returns the mean square after each layer,
# divided by that of the input. One row for each network. (The networks are small so that you can draw many.)

# %% tags=["setup"]
def mean_squares(networks, depth=10, width=20, seed=0):
    """Return the mean square after each layer, relative to that of the input, shape (networks, depth)."""
    draw = np.random.default_rng(seed)
    found = np.empty((networks, depth))
    for k in range(networks):
        h = draw.standard_normal((1, width))
        start = np.mean(h**2)
        for layer in range(depth):
            h, _ = relu_forward(h @ he_init(width, width, draw))
            found[k, layer] = np.mean(h**2) / start
    return found

# %% [markdown]
# Three bets. After 10 layers, over 400 networks: the mean of this number, its median (the number of the network in the
# middle), and the share of networks that have lost half or more?

# %% tags=["experiment"]
prediction_3 = ""  # the mean, the median, and the share that lost half or more

# %% [markdown]
# **Exercise `ensemble`** (core, 2 points). From `mean_squares(400)`, and its last column, set `mean_growth`,
# `median_growth` and `share_below_half`, the share of networks with a number below 0.5.

# %% solution="ensemble"
# growth = mean_squares(400)[:, -1]
# set mean_growth, median_growth and share_below_half
### BEGIN SOLUTION
growth = mean_squares(400)[:, -1]
mean_growth, median_growth = np.mean(growth), np.median(growth)
share_below_half = np.mean(growth < 0.5)
print(f"mean {mean_growth:.2f}   median {median_growth:.2f}   below one half {share_below_half:.2f}")
print(f"smallest {growth.min():.4f}   largest {growth.max():.1f}")
### END SOLUTION

# %% check="ensemble"
check("ensemble")

# %% tags=["experiment"]
if predicted(prediction_3) and ready(he_init):
    found = mean_squares(400)
    figure, axes = plots.canvas(height=3.8)
    layers = np.arange(1, 11)
    axes.semilogy(layers, found[:30].T, color="#8C8C8C", linewidth=0.7, alpha=0.6)
    axes.semilogy(layers, found.mean(axis=0), label="mean of 400 networks", **plots.SERIES[0])
    axes.semilogy(layers, np.median(found, axis=0), label="median", **plots.SERIES[1])
    axes.axhline(1, color=plots.INK, linewidth=1.0, linestyle=":")
    axes.set(xlabel="layer", ylabel="mean square, relative (log axis)", title="He initialization: 30 networks (grey), and 400 together")
    axes.legend(loc="lower left")
    plots.show(
        figure,
        "Mean square after each layer on a log axis. Thirty grey lines fan out from near 1 to between 0.015 and 6. The mean of 400 stays "
        "near 1 over all 10 layers. Their median falls steadily to about 0.3.",
    )

    final = found[:, -1]
    print(f"after 10 layers of 20   mean {final.mean():.2f}   median {np.median(final):.3f}   share that gained {np.mean(final > 1):.2f}   largest {final.max():.0f}")
    for depth, width in ((5, 10), (5, 20), (20, 20)):
        print(f"after {depth:2d} layers of {width}   median {np.median(mean_squares(400, depth, width)[:, -1]):.3f}")

# %% [markdown]
# *The figure: single networks (grey) fan out over more than two powers of ten. The mean stays at 1. The median falls.*
#
# The formula is right: the mean is near 1. And the median is down to 0.3, while nearly a quarter of the networks have gained,
# one of them thirtyfold, and hold the mean up. (With uniform weights your digits differ.) Each layer multiplies by a random
# number whose mean is 1. The mean of a product of independent numbers is the product of their means, that is 1; but a
# typical product is *smaller*, because gaining 10 % and losing 10 % makes 0.99.
#
# So a statement about the variance is one about the ensemble: all the networks that you might have drawn. How far a
# single one strays depends on depth over width: 5 layers of 10 units lose about as much as 10 layers of 20, 5 layers of
# 20 units lose less, and 20 layers of 20 are down to 0.07. The network of section 1 had 50 layers of 32.

# %% [markdown]
# ### A product of matrices
#
# Near one input, a ReLU network without biases is a matrix: the product of its layers' Jacobians, each of them the
# weights with the columns of the silent units set to 0. The *singular values* of a matrix are the factors by which it
# stretches its own set of perpendicular directions. You will read: "if the singular values of the factors are below 1
# the gradient vanishes, above 1 it explodes". Which singular value?

# %% tags=["experiment"]
if ready(he_init):
    draw = np.random.default_rng(0)
    h, product = draw.standard_normal((1, 50)), np.eye(50)
    for layer in range(1, 51):
        w = he_init(50, 50, draw)
        h, _ = relu_forward(h @ w)
        product = product @ (w * (h > 0))
        if layer in (1, 2, 5, 10, 20, 50):
            values = np.linalg.svd(product, compute_uv=False)
            print(f"product of {layer:2d} Jacobians   largest {values[0]:.2f}   root mean square {np.sqrt(np.mean(values**2)):.2f}   share below a thousandth of the largest {np.mean(values < 1e-3 * values[0]):.2f}")

# %% [markdown]
# A single factor has some of either kind: the largest is 2.2, and half are 0, since half of the units are silent.
# $2.2^{50}$ would be $10^{17}$; the largest of the product of 50 is 2.3. The largest singular values do not multiply,
# because the direction that one layer stretches most is no special direction for the next. Their product is a bound, and
# far from the number.
#
# What does multiply, in the mean over networks, is the mean *square* of the singular values: it is what happens to a
# gradient of random direction, and He sets it to 1. (This draw is one of those that lost.)
#
# The last column shows a loss that no factor can repair. After 50 layers, nine directions in ten have less than a
# thousandth of the largest. The end of section 9 shows what that does to the inputs.

# %% [markdown]
# ## 7. Build it: clipping
#
# If a gradient comes out a thousand times too long, why not cut it? There are two ways.
#
# **By norm.** Write all gradients, of all parameters, below each other as one long vector. If it is longer than
# `max_norm`, multiply all of it by one factor, so that it is as long as `max_norm`. If not, leave it alone.
#
# **By value.** Look at each entry on its own. If it is above `max_value`, set it to `max_value`; if it is below
# `-max_value`, to `-max_value`.
#
# Both take a dict of arrays and return a *new* dict of new arrays: the caller may want to look at the old ones. Both also
# return what they measured *before* clipping. The limit has the units of the gradient: with a loss in other units the same
# limit clips every step, or none. Only that number tells.
#
# **Exercise `clip_grad_norm`** (core, 3 points). A gradient may also be all zeros.

# %% solution="clip_grad_norm"
def clip_grad_norm(grads, max_norm):
    """Shorten the gradient, all arrays together, to a largest norm.

    Parameters
    ----------
    grads : dict of str to ndarray
        Gradients by the name of their parameter.
    max_norm : float
        The largest norm that is left alone.

    Returns
    -------
    clipped : dict of str to ndarray
        New arrays, under the same names.
    norm : float
        Norm of all gradients together, before clipping.
    """
    ### BEGIN SOLUTION
    norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    factor = max_norm / norm if norm > max_norm else 1.0
    return {name: factor * g for name, g in grads.items()}, float(norm)
    ### END SOLUTION

# %% check="clip_grad_norm"
check("clip_grad_norm")

# %% [markdown]
# **Exercise `clip_grad_value`** (core, 1 point).

# %% solution="clip_grad_value"
def clip_grad_value(grads, max_value):
    """Cut every entry of the gradient off at a largest size.

    Parameters
    ----------
    grads : dict of str to ndarray
        Gradients by the name of their parameter.
    max_value : float
        Entries are cut to between -max_value and max_value.

    Returns
    -------
    clipped : dict of str to ndarray
        New arrays, under the same names.
    largest : float
        Size of the largest entry before clipping.
    """
    ### BEGIN SOLUTION
    clipped = {name: np.clip(g, -max_value, max_value) for name, g in grads.items()}
    return clipped, float(max(np.max(np.abs(g)) for g in grads.values()))
    ### END SOLUTION

# %% check="clip_grad_value"
check("clip_grad_value")

# %% [markdown]
# ### Measure: which way does it point?
#
# Here is a gradient with two faults. It is too long, and it vanishes: 20 layers, a factor of 0.6, with biases. Clip
# it both ways. Before you do: by how many degrees does each turn it? And what happens to the ratio between the first
# layer and the last, which is the real complaint?

# %% tags=["setup"]
def vanishing_gradient():
    """Return the gradients of the weights of 20 layers, by name: "w1" is the first layer, "w20" the last."""
    _, _, dw = chain(20, 0.6, bias=0.1)
    return {f"w{k}": g for k, g in enumerate(dw, start=1)}


def degrees_between(grads, others):
    """Return the angle between two gradients, each taken as one long vector."""
    a, b = (np.concatenate([g.ravel() for g in each.values()]) for each in (grads, others))
    cosine = np.sum(a * b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

# %% tags=["experiment"]
prediction_4 = ""  # two angles, and what becomes of the ratio

# %% [markdown]
# **Exercise `angles`** (core, 2 points). Clip the gradient by norm to 1.0, and by value to 0.1. Set
#
# - `angle_norm` and `angle_value`: the angle in degrees between the gradient before and after;
# - `ratio_norm`: the norm of `w1` over that of `w20` after clipping by norm, divided by the same ratio before.

# %% solution="angles"
# grads = vanishing_gradient()
# set angle_norm, angle_value and ratio_norm
### BEGIN SOLUTION
grads = vanishing_gradient()
by_norm, norm = clip_grad_norm(grads, 1.0)
by_value, largest = clip_grad_value(grads, 0.1)
angle_norm, angle_value = degrees_between(grads, by_norm), degrees_between(grads, by_value)


def first_over_last(g):
    return np.linalg.norm(g["w1"]) / np.linalg.norm(g["w20"])


ratio_norm = first_over_last(by_norm) / first_over_last(grads)
print(f"norm {norm:.1f}, largest entry {largest:.2f}")
print(f"by norm {angle_norm:.6f} degrees   by value {angle_value:.1f} degrees")
### END SOLUTION

# %% check="angles"
check("angles")

# %% tags=["experiment"]
if predicted(prediction_4) and ready(he_init, clip_grad_norm, clip_grad_value):
    long_one = vanishing_gradient()

    def report(label, g):
        first, last = np.linalg.norm(g["w1"]), np.linalg.norm(g["w20"])
        print(f"{label:16s} turned by {degrees_between(long_one, g):4.1f} degrees   layer 1 {first:.5f}   layer 20 {last:8.5f}   ratio {first / last:.5f}")

    report("as it was", long_one)
    for limit in (10.0, 1.0):
        report(f"norm of {limit:g}", clip_grad_norm(long_one, limit)[0])
    for limit in (1.0, 0.1, 0.01):
        report(f"values of {limit:g}", clip_grad_value(long_one, limit)[0])

# %% [markdown]
# Clipping by norm turns the gradient by 0 degrees: it is the same direction, and every ratio in it is what it was.
# The first layer still has 0.0007 of the last layer's gradient. Clipping by value turns it by 45 degrees at 0.1, and by
# 59 at 0.01, towards the corner of a box where all entries have the same size. The ratio does rise, to 0.004 and more,
# but only because the last layer was cut down: the first one has its 0.00924 in all three lines.
#
# So clipping is a brake. It limits what one bad batch can do to the weights; assignment 06 has a run that needs it. It
# repairs neither a gradient that has vanished nor the forward pass that made one explode: the activations of the next
# step are as large as they were.

# %% [markdown]
# ## 8. Build it: a shortcut
#
# Everything so far tunes a factor so that its 50th power is not far from 1. Another idea: make the factor 1 by
# construction, and add to it. A residual block hands its input on, and a small network, the *branch*, adds something:
#
# $$\text{out} = x + s \cdot f(x), \qquad f(x) = \operatorname{relu}(x W_1 + b_1) \, W_2 + b_2$$
#
# with a fixed number $s$, the `scale`. **Exercise `residual_forward`** (core, 2 points). You may call
# `affine_forward` and `relu_forward`.

# %% solution="residual_forward"
def residual_forward(x, w1, b1, w2, b2, scale=1.0):
    """Residual block: the input, plus a scaled branch of affine, ReLU, affine.

    Parameters
    ----------
    x : ndarray, shape (N, D)
    w1 : ndarray, shape (D, H)
    b1 : ndarray, shape (H,)
    w2 : ndarray, shape (H, D)
    b2 : ndarray, shape (D,)
    scale : float
        How much the branch counts.

    Returns
    -------
    out : ndarray, shape (N, D)
    cache : anything
        What residual_backward needs.
    """
    ### BEGIN SOLUTION
    a, cache1 = affine_forward(x, w1, b1)
    h, cache2 = relu_forward(a)
    branch, cache3 = affine_forward(h, w2, b2)
    return x + scale * branch, (cache1, cache2, cache3, scale)
    ### END SOLUTION

# %% check="residual_forward"
check("residual_forward")

# %% [markdown]
# ### Backward
#
# `x` is used twice: once in the branch, once beside it. Draw the two ways, and send `dout` back along both. What
# happens where they meet again? And which of them passes the scale?
#
# **Exercise `residual_backward`** (core, 4 points).

# %% solution="residual_backward"
def residual_backward(dout, cache):
    """Send the upstream gradient back through residual_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, D)
    cache : anything
        What residual_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dw1 : ndarray, shape (D, H)
    db1 : ndarray, shape (H,)
    dw2 : ndarray, shape (H, D)
    db2 : ndarray, shape (D,)
    """
    ### BEGIN SOLUTION
    cache1, cache2, cache3, scale = cache
    dh, dw2, db2 = affine_backward(scale * dout, cache3)
    da = relu_backward(dh, cache2)
    dx, dw1, db1 = affine_backward(da, cache1)
    return dout + dx, dw1, db1, dw2, db2
    ### END SOLUTION

# %% check="residual_backward"
check("residual_backward")

# %% [markdown]
# ### Fifty blocks, with and without
#
# The next cell stacks 50 of your blocks, 50 wide, and measures by which factor a signal grows on the way up and a
# gradient on the way down. It does so with your blocks as they are, and with *plain* blocks, from which `x` is taken
# away again. The weights come in two sizes: those of He, and 0.41 of that, which is about what `nn.Linear` of PyTorch
# starts with.
#
# You know what a factor does 50 times. Predict the four numbers roughly: vanishes, stays, or explodes?

# %% tags=["experiment"]
prediction_5 = ""  # plain and residual, with weights of 0.41 and of 1 times He

# %% tags=["experiment"]
def stack(factor, shortcut, scale=1.0, depth=50, width=50, seed=0):
    """Return the growth of the signal on the way up, and the norm of the gradient from the bottom to the top."""
    draw = np.random.default_rng(seed)
    x, dout = draw.standard_normal((16, width)), draw.standard_normal((16, width))
    start, norms, zeros, caches = np.linalg.norm(x), [np.linalg.norm(dout)], np.zeros(width), []
    for _ in range(depth):
        w1, w2 = (factor * he_init(width, width, draw) for _ in range(2))
        out, cache = residual_forward(x, w1, zeros, w2, zeros, scale)
        x = out if shortcut else out - x
        caches.append(cache)
    for cache in reversed(caches):
        dx = residual_backward(dout, cache)[0]
        dout = dx if shortcut else dx - dout
        norms.append(np.linalg.norm(dout))
    return np.linalg.norm(x) / start, np.array(norms[::-1])


if predicted(prediction_5) and ready(he_init, residual_forward, residual_backward):
    figure, axes = plots.canvas(height=3.8)
    for k, (shortcut, factor) in enumerate(((False, 0.41), (False, 1.0), (True, 0.41), (True, 1.0))):
        name = f"{'residual' if shortcut else 'plain'} blocks, {factor:g} times He"
        up, norms = zip(*(stack(factor, shortcut, seed=seed) for seed in range(5)), strict=True)
        down = [each[0] / each[-1] for each in norms]
        print(f"{name:29s} up {np.mean(up):7.1e}   down {np.mean(down):7.1e}   (mean of 5 networks)")
        axes.semilogy(np.mean(norms, axis=0), label=name, markevery=5, **plots.SERIES[k])
    axes.set(xlabel="blocks below (50 is the top)", ylabel="norm (log axis)", title="The gradient on its way down")
    axes.legend(loc="lower right")
    plots.show(
        figure,
        "Norm of the gradient on a log axis, from the top on the right to the bottom on the left. Plain blocks with small "
        "weights: a straight line down to 1e-30. Plain blocks with He weights: up to 1e9. Residual blocks with small "
        "weights: flat. Residual blocks with He weights: up to 1e13, the steepest of the two that rise.",
    )

# %% [markdown]
# *The figure, read from right to left: one line falls by 31 powers of ten, one is flat, and two rise, the residual one
# with He weights faster than the plain one.*
#
# The plain blocks lose 31 powers of ten with small weights. With the same weights the residual ones multiply by 4:
# what the branch does not pass on, the shortcut does. **A gradient that has a way past the branch does not vanish with
# the branch.** (It would take a branch that undoes the shortcut, such as $s \cdot f(x) = -x$.)
#
# It can explode. With He weights the residual blocks multiply by more than $10^{11}$, and that is *worse* than the
# plain ones. Do the arithmetic of section 3 again. He makes up for a ReLU, and there is only one ReLU between the two
# matrices of the branch. So the branch returns twice the mean square that it was given. The shortcut adds what was given.
# The signs of $W_2$ are random, so the cross term has mean 0 and the mean squares add. Out comes three times the mean
# square, and in size $\sqrt{3}^{\,50} = 3^{25} \approx 8 \cdot 10^{11}$.
#
# You will read "$+1$, so the gradient cannot vanish". That leaves out the other side: $(1 + \text{something})^{50}$.
#
# So make the something small. The scale multiplies the branch: its mean square becomes $2 s^2$ of the input's. After
# $L$ blocks that is $(1 + 2 s^2)^L$. For which $s$ does this stay below $e$, however deep the network? You need $(1 +
# 1/L)^L < e$, and nothing else.

# %% tags=["experiment"]
if ready(he_init, residual_forward, residual_backward):
    for scale in (1.0, 0.5, 0.2, 0.1, 0.02, 0.0):
        up, norms = zip(*(stack(1.0, True, scale, seed=seed) for seed in range(5)), strict=True)
        down = np.mean([each[0] / each[-1] for each in norms])
        print(f"scale {scale:4.2f}   up {np.mean(up):7.1e}   down {down:7.1e}   from the formula {(1 + 2 * scale**2) ** 25:7.1e}")

# %% [markdown]
# At $s = 1/\sqrt{2L}$, which is 0.1 for 50 blocks, both are near 1.65, which is $\sqrt{e}$. At a scale of 0 nothing
# grows and nothing vanishes, and no branch does anything. So perfect gradient flow is not the goal.

# %% [markdown]
# ## 9. Fix it: fifty layers, twice
#
# **Without shortcuts.** This is the flat line of section 1. It may be changed in three places.

# %% tags=["experiment"]
for name in ("deep_plain", "deep_residual"):
    print(name)
    for key, setting in experiments.find(name).SETTINGS.items():
        print(f"   {key:14s} now {setting.default:<7g} from {setting.low:g} to {setting.high:g}: {setting.what}")
blown = experiments.recorded("deep_residual")
print(f"deep_residual as it is: loss {blown['losses'][0]:.1e} in the first step, {blown['losses'][-1]} in the last, accuracy {blown['accuracy']:.2f}")

# %% [markdown]
# The hidden layers are 32 wide. Section 1 shows one number that works. Where does it come from, and how far off may
# it be?
#
# **Exercise `remedy_04_plain`** (core, 3 points). Set `remedy_plain` to a dict with the settings of `deep_plain` that
# you change. The check trains from five starting points: the mean accuracy must be at least 0.8. Guessing gives 0.5.

# %% solution="remedy_04_plain"
# remedy_plain = {"...": ...}   names of settings, and their new values
### BEGIN SOLUTION
remedy_plain = {"weight_std": 0.25}
### END SOLUTION

# %% check="remedy_04_plain"
check("remedy_04_plain")

# %% [markdown]
# **With shortcuts.** Fifty residual blocks of width 16, He weights, scale 1. The data are 400 points on two rings,
# one inside the other. No straight line separates them, so the branches have to do some work. The network of
# `deep_residual` starts with a loss of $10^{12}$ and ends with `nan`.
#
# Two things to try on the way: write them into `remedy_residual` and run the check, which says what accuracy came out.
# What does `max_norm` do for it? And a lower learning rate: how low would it have to be to do no harm, and what would it
# do then?
#
# **Exercise `remedy_04_residual`** (core, 3 points). Set `remedy_residual`. The same bar: 0.8, from five starting points.

# %% solution="remedy_04_residual"
# remedy_residual = {"...": ...}
### BEGIN SOLUTION
remedy_residual = {"branch_scale": 0.1}
# Ways that work, and ways that do not:
#
# **Plain.** $\sqrt{2/32} = 0.25$. At 0.22 the network guesses, at 0.3 the loss is `nan`: the window is narrow, since
# $0.88^{50}$ is 0.002. A learning rate does not help weights of 0.1. Their gradients are near $10^{-20}$; only the biases of
# the last layers have gradients of the usual size. At a rate of 1 the network still guesses, and at 1000 the loss is
# `nan`.
#
# **Residual.** A scale of 0.1, or of 0.05 or 0.14. Clipping ends the `nan` and heals nothing: it shortens the step, and
# in the last steps the loss is still in the tens of millions. With a learning rate of $10^{-12}$ the loss is still `nan`.
# At $10^{-20}$ it stays near $10^{12}$: such a rate does no harm, and nothing else. A scale of 0 switches all branches
# off: what is left is an affine layer, and a straight line gets about 0.55.
#
# **Branches that start at zero.** With `second_scale` 0 each block starts as the identity. The start is perfect, and
# it fails all the same from some starting points: after one step at the usual rate fifty branches are there at once,
# with scale 1. With a lower learning rate of 0.001 it works from all of them. Both ideas are in use, and together: a
# scale that goes down with depth, and a last matrix that starts at zero.
### END SOLUTION

# %% check="remedy_04_residual"
check("remedy_04_residual")

# %% tags=["experiment"]
def train(name, changes, seeds=3):
    """Train with some settings changed: mean accuracy, and the last losses of the first starting point."""
    run = experiments.find(name)
    functions = {key: value for key, value in globals().items() if key in run.REQUIRES}
    settings = experiments.complete(run, changes)
    with np.errstate(all="ignore"):  # some of them explode
        runs = [run.run(settings, functions, np.random.default_rng(seed)) for seed in range(seeds)]
    return f"accuracy {np.mean([each['accuracy'] for each in runs]):.2f}   loss {runs[0]['loss']:7.1e}   {changes}"


if "remedy_plain" in globals() and "remedy_residual" in globals() and ready(he_init, clip_grad_norm, residual_forward, residual_backward):
    for changes in ({"learning_rate": 1.0}, {"learning_rate": 1000.0}, {"weight_std": 0.22}, {"weight_std": 0.25}, {"weight_std": 0.28}, {"weight_std": 0.3}, remedy_plain):
        print("plain   ", train("deep_plain", changes))
    for changes in ({"max_norm": 1.0}, {"learning_rate": 1e-12}, {"learning_rate": 1e-20}, {"branch_scale": 0.0}, {"branch_scale": 0.1}, {"branch_scale": 0.3}, {"second_scale": 0.0}, {"second_scale": 0.0, "learning_rate": 0.001}, remedy_residual):
        print("residual", train("deep_residual", changes))

# %% [markdown]
# Two of these rows deserve a second look. A learning rate cannot wake weights of 0.1: their gradients are near $10^{-20}$. And
# clipping ends the `nan` and heals nothing: it shortens the step and leaves the scores as large as they were. The published
# solution says more about each row.
#
# ### What a right size does not repair
#
# One more measurement, and no exercise. Take 16 random inputs and look at the cosine between two of them, on their
# way up.

# %% tags=["experiment"]
if ready(he_init, residual_forward):
    def mean_cosine(h):
        rows = h / np.linalg.norm(h, axis=1, keepdims=True)
        return (np.sum(rows @ rows.T) - len(h)) / (len(h) * (len(h) - 1))

    draw = np.random.default_rng(0)
    zeros = np.zeros(50)
    plain = residual = draw.standard_normal((16, 50))
    for layer in range(1, 51):
        plain, _ = relu_forward(plain @ he_init(50, 50, draw))
        residual, _ = residual_forward(residual, he_init(50, 50, draw), zeros, he_init(50, 50, draw), zeros, 0.1)
        if layer in (1, 5, 20, 50):
            print(f"after {layer:2d} layers   mean cosine between two inputs: plain, He {mean_cosine(plain):.3f}   residual, scale 0.1 {mean_cosine(residual):.3f}")

# %% [markdown]
# The plain network has the right size in every layer, and after 50 of them all inputs look alike: the cosine is
# 0.999. Zeros and ones can still be told apart, as your remedy shows. In the residual network the cosine is 0.29: the
# inputs still differ. The right size is needed, and it is not enough.

# %% [markdown]
# ## 10. Stretch: a test before training
#
# A useful tool asks a network for its gradient flow before a single step is made.
#
# **Exercise `check_gradient_flow`** (stretch, 2 points). Build `depth` affine layers without biases, a ReLU after
# each, and weights drawn with a standard deviation of `weight_scale`. Send a batch of standard normal numbers up.
# There is no loss: send standard normal numbers down, too, from the output of the last ReLU. Return for each layer,
# from the first to the last, the norm of the gradient of its *output*. (Not of its weights. Section 5 says why.)
#
# Section 5 has most of the parts. In which order you draw all this is up to you. The check looks at the last number,
# at the factor from layer to layer, and at how many numbers there are.

# %% solution="check_gradient_flow"
def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):
    """Measure the gradient at the output of each layer of a deep ReLU network.

    Parameters
    ----------
    depth : int
        Layers.
    weight_scale : float
        Standard deviation of the weights.
    rng : numpy.random.Generator
        Draws weights and inputs.
    width : int
        Units of each layer.
    examples : int
        Rows of the batch.

    Returns
    -------
    norms : ndarray, shape (depth,)
        For each layer, from the first on, the norm of the gradient of its output.
    """
    ### BEGIN SOLUTION
    h = rng.standard_normal((examples, width))
    caches = []
    for _ in range(depth):
        z, affine_cache = affine_forward(h, weight_scale * rng.standard_normal((width, width)), np.zeros(width))
        h, relu_cache = relu_forward(z)
        caches.append((affine_cache, relu_cache))
    dout = rng.standard_normal(h.shape)
    norms = []
    for affine_cache, relu_cache in reversed(caches):
        norms.append(np.linalg.norm(dout))
        dout, _, _ = affine_backward(relu_backward(dout, relu_cache), affine_cache)
    return np.array(norms[::-1])
    ### END SOLUTION

# %% check="check_gradient_flow"
check("check_gradient_flow")

# %% [markdown]
# A tutorial prints this for ten layers of 50 units. At a weight scale of 0.1 the numbers climb from $2 \cdot 10^{-8}$
# in the first layer, about 25-fold in each layer. Which factor do you expect, for 50 units? Its listing also asks the
# layers for the gradients of their *weights*, and builds them without biases.

# %% tags=["experiment"]
if ready(check_gradient_flow):
    for scale in (0.1, 0.2, 0.5):
        flow = check_gradient_flow(10, scale, np.random.default_rng(0))
        growth = (flow[-1] / flow[0]) ** (1 / 9)
        print(f"weight scale {scale}   first layer {flow[0]:.1e}   last {flow[-1]:.1e}   factor from layer to layer {growth:.2f}")

# %% [markdown]
# At 0.1 the factor is 1.95 in this network, and 2 in the mean: $0.1 \cdot \sqrt{50/2} = 0.5$ on the way down. It is
# not 25. And the weight gradients, which that listing prints, are nearly flat. The printed numbers cannot come from the
# printed program. You could have known that from section 5, without running it.

# %% [markdown]
# ## 11. Say it
#
# **Exercise `quiz_04`** (core, 4 points). One letter each.
#
# **1.** Somebody stacks 50 layers. Depending on the size of the weights, the gradient that arrives at the first one is $10^{-21}$,
# or $10^{13}$. What is it about depth that does this?
#
# - a) Round-off: each layer loses some digits of the gradient, and after 50 layers none is left.
# - b) The learning rate has to be smaller in deeper networks, and is too large here.
# - c) On the way back the gradient is multiplied by one Jacobian for each layer, and a factor that is not near 1 is taken to the
#   50th power.
# - d) A ReLU stops the gradient of half of the units, in each layer.
#
# **2.** A monitor prints the norm of every weight gradient of a fresh 50-layer network: affine layers, ReLUs, all biases 0. They agree
# to within a factor of three. What do you know about the flow of the gradient?
#
# - a) It is healthy: neither vanishing nor exploding.
# - b) Little: in such a network they agree whatever the weights are. Look at the activations and their gradients.
# - c) The weights were drawn with He initialization.
# - d) There must be a bug, since they should fall towards the first layer.
#
# **3.** In a network the first layer's gradient is a million times longer than the last layer's. It is clipped by norm, all
# arrays together, to 1. What is true of the step that follows?
#
# - a) It points where it pointed before, and the last layer gets a millionth of what the first one gets.
# - b) Both layers get a gradient of norm 1.
# - c) It points elsewhere, because large entries were cut and small ones were not.
# - d) The loss falls, since the explosion is over.
#
# **4.** Fifty residual blocks, He weights in both matrices of each branch, scale 1, biases 0. What happens to the gradient on
# its way down?
#
# - a) It stays as it is: the shortcut hands it on with a factor of exactly 1.
# - b) It vanishes, because the ReLUs of the branches stop half of it.
# - c) It keeps its size in the mean, because the weights are those of He.
# - d) It grows, by about $\sqrt{3}$ in each block, because the branch adds to what the shortcut hands on.

# %% solution="quiz_04"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "c", "2": "b", "3": "a", "4": "d"}
### END SOLUTION

# %% check="quiz_04"
check("quiz_04")

# %% [markdown]
# **In your own words** (not graded). A colleague's 50-layer network does not learn. "It is not vanishing gradients,"
# they say. "The weight gradients are the same in all layers. I clip by norm, so it is not exploding either. I will
# try more layers." Answer in six sentences at most. Use at least two numbers that you measured. Say what you would
# look at, and what you would change.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# Equal weight gradients say nothing here: in my chain with a factor of 0.5 those of the first and the last of 20
# layers differed by 1.4, while the gradient that arrives differed by 500,000. Without biases the activations shrink
# on the way up as the gradient does on the way down, and their product is the same everywhere. Clipping by norm
# multiplies everything by one factor: it turned my gradient by 0 degrees and left the ratio of the layers at 0.0007.
# I would print the size of the activations and of their gradients, layer by layer, on a log axis, and look for a
# straight line that is not flat. If there is one I would draw the weights with a variance of 2 / fan_in, or add
# shortcuts with branches scaled by about 1 / sqrt(2 L), and not with scale 1, which made 10^11 of my gradient. More
# layers would take the same factor to a higher power.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Both claims.** Did you answer the one about equal weight gradients and the one about clipping, each with a number?
# 2. **Mechanism.** Did you say why the weight gradients are equal, and not only that they may be?
# 3. **Evidence to come.** Did you name what to print, and which picture means what?
# 4. **Cure.** Does what you propose act on the factor of each layer, with its value?
#
# One point each. Three or four: go on. One or two: read sections 5, 7 and 8 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - Depth takes a factor to a power. With 50 layers, 12 % less in the weights leave a 600th.
# - He: a variance of 2 / fan_in, since a ReLU leaves half of the mean square. True of the mean over networks; a single one
#   wanders, and the typical one shrinks.
# - A weight gradient is activation times gradient. In a ReLU chain without biases it is flat at any size. Look at both factors.
# - Clipping by norm keeps the direction, clipping by value does not. Neither brings a vanished gradient back.
# - A shortcut keeps gradients from vanishing, not from exploding. Scale the branch.
#
# ## Where this shows up today
#
# - **Transformers** are residual networks, two branches a layer. GPT-2 scales the last matrix of each branch by
#   $1/\sqrt{N}$ at the start, with $N$ the number of branches. You have seen what happens without.
# - **Clipping by norm**, at 1.0, is a line in the training loop of most language models. Its norm is logged, because a sudden jump
#   in it is an early sign of trouble.
# - **`nn.Linear`** of PyTorch draws from $\pm 1/\sqrt{\text{fan\_in}}$: a standard deviation of 0.41 times He. Fifty of them with ReLUs
#   between lose nineteen powers of ten of the gradient. A normalization between the layers hides it: that is assignment 05.
# - **Recurrent networks** multiply by the *same* matrix in every step. That is assignment 06.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016.
# - Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, *Delving Deep into Rectifiers*, ICCV 2015. The derivation of section 3.
# - Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, *Deep Residual Learning for Image Recognition*, CVPR 2016; *Identity
#   Mappings in Deep Residual Networks*, ECCV 2016. The shortcut, and why nothing should stand on it.
# - Razvan Pascanu, Tomas Mikolov and Yoshua Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013.
#   Clipping by norm, and singular values.
# - Boris Hanin and David Rolnick, *How to Start Training: The Effect of Initialization and Architecture*, NeurIPS 2018. Why a single
#   network wanders, and why width helps.
# - Hongyi Zhang, Yann Dauphin and Tengyu Ma, *Fixup Initialization: Residual Learning Without Normalization*, ICLR 2019. Branches
#   that start at zero, and the rest of what they need.
