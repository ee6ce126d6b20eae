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
# # 02. Sigmoid saturation
#
# *The gradients are right, the loss is flat. This notebook finds out where the gradient goes, layer by layer.*
#
# When you are done you can
#
# - write sigmoid and tanh, forward and backward, so that no input breaks them;
# - say why a slope that is never zero on paper is exactly zero in a computer, and on one side only;
# - take a vanishing gradient apart into two factors, and say which of them is to blame;
# - choose initial weights with which a deep sigmoid network learns, and derive the number on paper.
#
# **Time.** The core path takes 75 to 110 minutes and is worth 29 points. The stretch takes half an hour more, and its 4
# points are extra.
#
# **How it works.** Write where a cell says `YOUR CODE HERE`. After each exercise a cell says `check("...")`: run
# it as often as you like. A function leaves its arguments as they were, unless its description says otherwise.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.labs import saturation
from minigrad.labs.explore import explore, predicted, ready
from minigrad.layers import affine_backward, affine_forward
from minigrad.network import Layer, Sequential

# %% [markdown]
# ## 1. See it fail: a flat line
#
# The data are 1,797 handwritten digits of 8 by 8 pixels. Two networks learn them, with the same loss, the same learning
# rate, the same 300 steps. One has a single hidden layer of 32 sigmoids. The other has six such layers.

# %% tags=["experiment"]
run = experiments.recorded("deep_sigmoid")

print(f"one hidden layer    accuracy {run['shallow_accuracy']:.3f}   loss {run['shallow_losses'][0]:5.2f} to {run['shallow_losses'][-1]:.2f}")
print(f"six hidden layers   accuracy {run['accuracy']:.3f}   loss {run['losses'][0]:5.2f} to {run['losses'][-1]:.2f}")

figure, axes = plots.canvas()
for key, name, series in (("shallow_losses", "one hidden layer", plots.SERIES[0]), ("losses", "six hidden layers", plots.SERIES[1])):
    axes.plot(run[key], label=name, markevery=50, **series)
axes.set(xlabel="step", ylabel="loss", ylim=(0, 13), title="Same data, same learning rate")
axes.legend()
plots.show(
    figure,
    "Loss against step. With one hidden layer it falls from 9 to below 1 within 100 steps. With six it stays near 9 from "
    "the first step to the last.",
)

# %% [markdown]
# *The figure: with one hidden layer the loss falls from about 9 to below 1 within 100 steps. With six it stays where it
# began.*
#
# There are ten classes, so an accuracy of 0.1 is what guessing gives, and this loss is 9 when all ten scores are equal. The
# deep network has learned nothing.
#
# Its gradients pass every check of assignment 01. Nothing in the code is wrong. The only difference between the two runs is
# five more layers.

# %% [markdown]
# ## 2. Predict: where did the gradient go?
#
# The deep network has seven affine layers: six with a sigmoid after them, and a last one that gives the ten scores. In the
# first step each of them got a gradient for its weights. Compare its norm in the first layer with its norm in the last.
# Larger, the same, smaller? By which factor? And after 300 steps: how far has each layer moved from where it started, in
# per cent of its size?

# %% tags=["experiment"]
prediction_1 = ""  # first layer over last layer: a factor; and how far each of the two has moved

# %% tags=["experiment"]
if predicted(prediction_1):
    for k, (gradient, moved) in enumerate(zip(run["gradients"], run["moved"], strict=True), start=1):
        print(f"layer {k}   gradient {gradient:.4f}   moved by {100 * moved:6.2f} %")
    print(f"first over last: {run['gradients'][0] / run['gradients'][-1]:.5f}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    layers = np.arange(1, 8)
    left.semilogy(layers, run["gradients"], **plots.SERIES[1])
    left.set(xlabel="layer (1 is the first)", ylabel="norm (log axis)", title="Gradient of the weights, first step")
    right.semilogy(layers, run["moved"], **plots.SERIES[0])
    right.set(xlabel="layer (1 is the first)", ylabel="relative to its size (log axis)", title="Moved in 300 steps")
    plots.show(
        figure,
        "Left: on a log axis the norm of the weight gradient climbs in nearly equal steps from 0.001 in layer 1 to 3 in "
        "layer 7. Right: the distance that the weights moved climbs alike, from 0.4 % to 89 % in layer 6; in layer 7 it is "
        "31 %.",
    )

# %% [markdown]
# *The figure: on log axes the gradient climbs from layer to layer in nearly equal steps, from 0.001 to 3. The distance
# that the weights moved climbs with it up to layer 6.*
#
# Equal steps on a log axis mean a factor. Each layer on the way down takes about three quarters of the gradient, and after
# six of them less than a thousandth is left. Gradient descent moves each weight in proportion to its gradient: the first
# layer has moved by 0.36 % of its size, and layer 6 by 89 %. The first layer is still as random as it began, and the
# layers above it try to learn from what it lets through.
#
# Where do the three quarters go? There are only two kinds of parts on the way: affine layers, which you wrote in assignment
# 01, and sigmoids.

# %% [markdown]
# ## 3. Build it: the sigmoid
#
# $$\sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# On paper it takes any number to a number between 0 and 1. In a computer $e^{1000}$ is infinity, so it matters how you
# write it: an infinity in the right place does no harm, and in the wrong place it gives `nan`. numpy may warn about an
# overflow. The result must be finite and right for every number, also far on the left, where it is tiny long before it is
# 0.
#
# **Exercise `sigmoid_forward`** (core, 3 points). For arrays of any shape.

# %% solution="sigmoid_forward"
def sigmoid_forward(x):
    """Squash every element into (0, 1).

    Parameters
    ----------
    x : ndarray, any shape
        Pre-activations.

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What sigmoid_backward needs.
    """
    ### BEGIN SOLUTION
    with np.errstate(over="ignore"):  # exp may become infinite, and 1 / infinity is 0, as it should be
        out = 1 / (1 + np.exp(-x))
    return out, out
    ### END SOLUTION

# %% check="sigmoid_forward"
check("sigmoid_forward")

# %% [markdown]
# Now the way back. Differentiate $\sigma$ on paper. You get a fraction with a square below. Then try to write it with
# $\sigma(x)$ alone, without any $x$ or exponential: the forward pass has computed that number already, and it is finite
# for every input. That is what a cache is for. Each call has its own, and other calls may come before it is read, or it is
# read twice.
#
# Each output depends on one input only. So there is nothing to sum: the gradient of each input is `dout` at the same
# place times the slope there.
#
# **Exercise `sigmoid_backward`** (core, 4 points).

# %% solution="sigmoid_backward"
def sigmoid_backward(dout, cache):
    """Send the upstream gradient back through sigmoid_forward.

    Parameters
    ----------
    dout : ndarray, any shape
        The gradient of the loss for each output.
    cache : anything
        What sigmoid_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    out = cache
    return dout * out * (1 - out)
    ### END SOLUTION

# %% check="sigmoid_backward"
check("sigmoid_backward")

# %% [markdown]
# Check it yourself, with the instrument of assignment 01, and then look at the slope alone: with a `dout` of ones, `dx` is
# the slope. Where is it largest, and how large is it there?

# %% tags=["experiment"]
if ready(sigmoid_forward, sigmoid_backward):
    draw = np.random.default_rng(0)
    x, dout = draw.standard_normal((4, 5)), draw.standard_normal((4, 5))
    dx = sigmoid_backward(dout, sigmoid_forward(x)[1])
    measured = numerical_gradient(lambda _: float(np.sum(sigmoid_forward(x)[0] * dout)), x)
    print(f"relative error of dx: {relative_error(dx, measured):.0e}")

    x = np.linspace(-10.0, 10.0, 201)
    out, cache = sigmoid_forward(x)
    slope = sigmoid_backward(np.ones_like(x), cache)
    print(f"largest slope {slope.max():.4f} at x = {x[np.argmax(slope)]:.1f};  at 5: {slope[150]:.4f};  at 10: {slope[200]:.1e}")

    figure, axes = plots.canvas(height=3.0)
    axes.plot(x, out, label="your sigmoid", markevery=20, **plots.SERIES[0])
    axes.plot(x, slope, label="its slope", markevery=20, **plots.SERIES[1])
    axes.axhline(0.25, color=plots.INK, linewidth=1.0, linestyle=":")
    axes.set(xlabel="x", title="A sigmoid and its slope")
    axes.legend()
    plots.show(
        figure,
        "The sigmoid rises from 0 to 1 between -5 and 5. Its slope is a hill of height 0.25 at 0, and nearly 0 beyond 5 and "
        "-5.",
    )

# %% [markdown]
# *The figure: the sigmoid rises from 0 to 1, and its slope is a low hill with its top at 0.25.*
#
# There are the three quarters. **The best that a sigmoid can do is to multiply the gradient by 1/4**, and that happens at
# $x = 0$ only. At $x = 5$ it is 0.0066. A unit out there is called *saturated*: the curve is flat, the output hardly depends
# on the input, and hardly any gradient gets through.

# %% [markdown]
# ## 4. Measure: exact zeros
#
# How flat can it get? If the weights are large, pre-activations may lie anywhere, say between -400 and 400. The slope is
# $z (1 - z)$ with $z = \sigma(x)$. On paper it is never 0.
#
# Which share of these slopes will be *exactly* zero in float64? And in float32, with half the digits? And in which places?
# One hint for the bet: $\sigma(-400)$ is about $10^{-174}$, and the smallest normal float64 is about $10^{-308}$.

# %% tags=["experiment"]
prediction_2 = ""  # share of exact zeros in float64, in float32, and where they are

# %% tags=["setup"]
pre_activations = np.linspace(-400.0, 400.0, 100_001)  # float64

# %% [markdown]
# **Exercise `zeros`** (core, 2 points). Compute `z` with your `sigmoid_forward`, and set `zeros_float64` to the share of
# entries of `z * (1 - z)` that are `== 0`. Then the same for `pre_activations.astype(np.float32)`.

# %% solution="zeros"
# set zeros_float64 and zeros_float32, each from 0 to 1
### BEGIN SOLUTION
z, _ = sigmoid_forward(pre_activations)
zeros_float64 = np.mean(z * (1 - z) == 0)
z, _ = sigmoid_forward(pre_activations.astype(np.float32))
zeros_float32 = np.mean(z * (1 - z) == 0)
print(f"float64 {zeros_float64:.3f}   float32 {zeros_float32:.3f}")
### END SOLUTION

# %% check="zeros"
check("zeros")

# %% tags=["experiment"]
if predicted(prediction_2) and ready(sigmoid_forward):
    for kind in (np.float64, np.float32):
        x = pre_activations.astype(kind)
        z, _ = sigmoid_forward(x)
        zero = z * (1 - z) == 0
        print(f"{kind.__name__}: zero on the left {np.mean(zero[x < 0]):.3f}, on the right {np.mean(zero[x > 0]):.3f}")
        print(f"         not zero from {x[~zero].min():.1f} to {x[~zero].max():.1f}")
    for x in (-400.0, -37.0, 36.0, 37.0, 400.0):
        z = sigmoid_forward(np.array([x]))[0][0]
        print(f"x = {x:6.1f}   z = {z:<24.17g} 1 - z = {1 - z:<24.17g} slope {z * (1 - z):.1e}")

# %% [markdown]
# In float64, 45 % are exact zeros, and every one of them is on the right. Why not on the left? The exact slope at 37 is the
# same as at -37, about $10^{-16}$, and float64 has no trouble with such a number. But on the right it is computed with a $z$
# next to 1, where floating point numbers are $10^{-16}$ apart. Beyond 36.7 the nearest one to $z$ is 1 itself, and `1 - z`
# is 0. On the left $z$ is next to 0. Floating point numbers lie much closer together there, and the tiny $z$ keeps its
# digits.
#
# In float32 the same thing happens beyond 16.6. And on the left $e^{-x}$ overflows once $x$ is below -88.7, so $z$ itself
# is 0. That makes 87 %.
#
# To a network a slope of $10^{-174}$ is as good as 0. But an exact 0 is easy to count: in float64, many entries `== 0` in
# the gradient of a sigmoid layer say that its pre-activations are far out, and on the right.

# %% [markdown]
# ## 5. Build it: tanh, and a gauge
#
# The hyperbolic tangent is a sigmoid in other units: $\tanh(x) = 2\,\sigma(2x) - 1$, from -1 to 1. numpy has it. What is
# the slope at 0, by the chain rule? Write the slope with the output alone, as before.
#
# **Exercises `tanh_forward`** (core, 1 point) **and `tanh_backward`** (core, 2 points).

# %% solution="tanh_forward"
def tanh_forward(x):
    """Squash every element into (-1, 1).

    Parameters
    ----------
    x : ndarray, any shape

    Returns
    -------
    out : ndarray, shape of x
    cache : anything
        What tanh_backward needs.
    """
    ### BEGIN SOLUTION
    out = np.tanh(x)
    return out, out
    ### END SOLUTION

# %% check="tanh_forward"
check("tanh_forward")

# %% solution="tanh_backward"
def tanh_backward(dout, cache):
    """Send the upstream gradient back through tanh_forward.

    Parameters
    ----------
    dout : ndarray, any shape
    cache : anything
        What tanh_forward returned.

    Returns
    -------
    dx : ndarray, shape of dout
    """
    ### BEGIN SOLUTION
    out = cache
    return dout * (1 - out**2)
    ### END SOLUTION

# %% check="tanh_backward"
check("tanh_backward")

# %% tags=["experiment"]
if ready(sigmoid_forward, sigmoid_backward, tanh_forward, tanh_backward):
    x = np.array([0.0, 0.5, 1.0, 2.0, 5.0])
    ones = np.ones_like(x)
    print("x               ", x)
    print("slope of sigmoid", np.round(sigmoid_backward(ones, sigmoid_forward(x)[1]), 4))
    print("slope of tanh   ", np.round(tanh_backward(ones, tanh_forward(x)[1]), 4))

# %% [markdown]
# Near 0, tanh lets the whole gradient through: its slope is 1 there, four times that of the sigmoid. Far out it is the
# worse of the two: at $x = 5$ its slope is 0.0002. It has a better best case, and it saturates sooner.
#
# Now a gauge that you can hold to any layer.
#
# **Exercise `saturated_fraction`** (core, 2 points). The share of outputs that lie within `margin` of either end of the
# range, where `margin` is a share of the range itself: with `low=-1, high=1` a margin of 0.01 is 0.02 wide. (No test has an
# output exactly on the border.)

# %% solution="saturated_fraction"
def saturated_fraction(out, low=0.0, high=1.0, margin=0.01):
    """Return the share of outputs near the ends of their range.

    Parameters
    ----------
    out : ndarray, any shape
        Outputs of a sigmoid, or of tanh with low = -1.
    low, high : float
        The ends of the range.
    margin : float
        How near is near, as a share of high - low.

    Returns
    -------
    float
        From 0 to 1.
    """
    ### BEGIN SOLUTION
    edge = margin * (high - low)
    return float(np.mean((out < low + edge) | (out > high - edge)))
    ### END SOLUTION

# %% check="saturated_fraction"
check("saturated_fraction")

# %% [markdown]
# ### A printed number that cannot be right
#
# A tutorial draws pre-activations from a normal distribution and prints the mean slope of a sigmoid: 0.194 when their
# standard deviation is 1, and 0.0156 when it is 5. The second number is impossible, and you can show it without a computer.
#
# With a standard deviation of 5, what share of the pre-activations lies between -1 and 1? (Between -0.2 and 0.2 standard
# deviations: about 16 %.) The slope at 1 is 0.197, and it is larger inside. So the mean slope is at least how much?

# %% tags=["experiment"]
prediction_3 = ""  # a lower bound for the mean slope at standard deviation 5

# %% tags=["experiment"]
if predicted(prediction_3) and ready(sigmoid_forward, sigmoid_backward):
    draw = np.random.default_rng(0)
    for std in (1.0, 5.0):
        x = std * draw.standard_normal(1_000_000)
        slope = sigmoid_backward(np.ones_like(x), sigmoid_forward(x)[1])
        inside = np.abs(x) < 1
        print(f"standard deviation {std:.0f}: mean slope {slope.mean():.4f};", end="")
        print(f" {100 * inside.mean():.0f} % lie between -1 and 1, and they alone give {np.mean(slope * inside):.4f}")

# %% [markdown]
# Your bound is $0.16 \cdot 0.197 \approx 0.031$, twice what is printed, and it counts those 16 % only. The whole mean is
# 0.075. The first number is wrong too, 0.207 and not 0.194, but for that one you need the computer.
#
# A printed output is a claim like any other. Bound it, or run it.

# %% [markdown]
# ## 6. Build it: weights of the right size
#
# The slope is one factor of the gradient. The other is the matrix, and its size is for us to choose.
#
# A pre-activation is a sum of `fan_in` products, $z = \sum_d x_d w_d$. If the weights are independent with mean 0, their
# variances add: the variance of $z$ is $\text{fan\_in} \cdot \operatorname{var}(w)$ times the mean square of the inputs. So
# with $\operatorname{var}(w) = 1/\text{fan\_in}$ a signal keeps its size on the way up. On the way down, each input
# collects from `fan_out` units, and by the same argument $\operatorname{var}(w) = 1/\text{fan\_out}$ keeps the gradient's.
#
# You cannot have both unless the layer is square. Xavier initialization divides by the *mean* of the two fans, and
# multiplies the standard deviation by a `gain`. For now the gain is 1.
#
# **Exercise `xavier_init`** (core, 3 points). Draw each weight on its own from the `rng` that you are given, with mean 0.
# Normal or uniform, as you like: of the distribution only the standard deviation counts.

# %% solution="xavier_init"
def xavier_init(fan_in, fan_out, gain, rng):
    """Draw the initial weights of an affine layer.

    Parameters
    ----------
    fan_in, fan_out : int
        Number of inputs and outputs.
    gain : float
        Factor on the standard deviation.
    rng : numpy.random.Generator

    Returns
    -------
    w : ndarray, shape (fan_in, fan_out)
    """
    ### BEGIN SOLUTION
    std = gain * np.sqrt(2 / (fan_in + fan_out))
    return std * rng.standard_normal((fan_in, fan_out))
    ### END SOLUTION

# %% check="xavier_init"
check("xavier_init")

# %% [markdown]
# The flat network of section 1 used these very weights, with a gain of 1. Each matrix left the gradient about as large as it
# was, and each sigmoid multiplied it by nearly 1/4.

# %% [markdown]
# ## 7. Play: who takes the gradient?
#
# A stack of layers of 30 units, random inputs, a random upstream gradient. All layers run on your functions. Two sliders:
# the gain, as a power of ten, and the number of layers. On the left the gradient of the weights, layer by layer. In the
# middle the two factors by which the gradient changes on its way down through each layer. On the right what your gauge
# says, and the share of slopes that are exactly 0. The sentence below says the same in numbers; what is too small for
# the axes lies at their foot.
#
# 1. Gain 1 (the slider at 0), 5 layers. Which of the two factors makes the gradient small? Is any output saturated?
# 2. Make it 10 layers. What happens to the first gradient?
# 3. *Bet first.* You raise the gain, step by step. Pre-activations grow, sigmoids saturate, slopes fall. Does the gradient
#    of the first layer fall too?
# 4. Go on to the end of the slider. Where does the picture turn over, and what does the right panel look like there?

# %% tags=["lab"]
explore(
    saturation,
    sigmoid_forward=sigmoid_forward,
    sigmoid_backward=sigmoid_backward,
    xavier_init=xavier_init,
    saturated_fraction=saturated_fraction,
)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. The slopes: about 1/4 in each layer, while the weights multiply by about 1. Nothing is saturated, not a single output.
#    The gradient vanishes all the same.
# 2. It shrinks by another factor of more than a thousand. $4^5$ is 1,024.
# 3. No. It *grows*. Slopes fall, but the weights multiply by more than the slopes lose. At a gain of 10 half of all outputs
#    are saturated, and the gradient of the first layer is about as large as that of the last.
# 4. With 10 layers the largest gradient is near a gain of 100 (the slider at 2); where exactly depends on the draw of the
#    weights. There about 95 % of the outputs are saturated, and a third of the slopes are exactly 0. Beyond that it
#    collapses, down to exact zeros.
#
# So "large weights make the gradient vanish" is true of very large weights. In between they make it explode.
#
# </details>

# %% [markdown]
# ## 8. Measure: the gradient and the weights
#
# Now in numbers. The next cell builds the same stack out of your functions and returns two things: the norm of each layer's
# weight gradient, from the first to the last, and the share of saturated outputs. Read it: it is a whole forward and
# backward pass.

# %% tags=["setup"]
def layer_gradients(depth, gain, seed=0):
    """Return the gradient norm of each layer, from the first to the last, and the share of saturated outputs."""
    draw = np.random.default_rng(seed)
    x, dout = draw.standard_normal((30, 30)), draw.standard_normal((30, 30))
    parts = []
    for _ in range(depth):
        w = xavier_init(30, 30, gain, draw)
        parts += [Layer(affine_forward, affine_backward, {"w": w, "b": np.zeros(30)}), Layer(sigmoid_forward, sigmoid_backward)]
    saturated = []
    for part in parts:
        x = part.forward(x)
        saturated.append(saturated_fraction(x))
    network = Sequential(*parts)
    network.backward(dout)
    norms = [np.linalg.norm(gradient) for name, gradient in network.grads.items() if name.endswith(".w")]
    return np.array(norms), np.mean(saturated[1::2])  # every second part is a sigmoid

# %% [markdown]
# **Exercise `gradient_flow`** (core, 3 points). For a depth of 10, set
#
# - `ratio_at_1`: at a gain of 1, the gradient of the first layer divided by that of the last;
# - `saturated_at_1`: at a gain of 1, the share of saturated outputs;
# - `peak_gain`: the gain at which the gradient of the *first* layer is largest. Try gains from 0.1 to 10,000, evenly spaced
#   in the logarithm. One draw of the weights is luck: take the median over ten seeds at each gain.

# %% solution="gradient_flow"
# gains = 10.0 ** np.arange(-1, 4.01, 0.25)
# set ratio_at_1, saturated_at_1 and peak_gain
### BEGIN SOLUTION
norms, saturated_at_1 = layer_gradients(10, 1.0)
ratio_at_1 = norms[0] / norms[-1]
gains = 10.0 ** np.arange(-1, 4.01, 0.25)
first = [np.median([layer_gradients(10, gain, seed)[0][0] for seed in range(10)]) for gain in gains]
peak_gain = gains[np.argmax(first)]
print(f"ratio {ratio_at_1:.1e}   saturated {saturated_at_1:.3f}   largest at a gain of {peak_gain:.0f}")
### END SOLUTION

# %% check="gradient_flow"
check("gradient_flow")

# %% tags=["experiment"]
if ready(sigmoid_forward, sigmoid_backward, xavier_init, saturated_fraction):
    gains = 10.0 ** np.arange(-1, 3.51, 0.25)
    figure, axes = plots.canvas(height=3.8)
    for depth, series in ((5, plots.SERIES[0]), (10, plots.SERIES[1])):
        found = [[layer_gradients(depth, gain, seed) for seed in range(10)] for gain in gains]
        ratios = np.array([np.median([norms[0] / norms[-1] for norms, _ in each]) for each in found])
        axes.loglog(gains, np.maximum(ratios, 1e-20), label=f"{depth} layers", **series)
        bound = 0.25 ** (depth - 1)
        axes.axhline(bound, color=series["color"], linestyle=":", linewidth=1.0)
        for gain in (1.0, 10**0.5, 10.0, 10**1.75):
            k = int(np.argmin(np.abs(np.log(gains / gain))))
            saturated = np.mean([share for _, share in found[k]])
            print(f"{depth:2d} layers, gain {gains[k]:4.1f}: first over last {ratios[k]:.1e}, saturated {saturated:.3f}   (0.25^{depth - 1} = {bound:.1e})")
    axes.set(xlabel="gain (log axis)", ylabel="ratio (log axis)", ylim=(1e-20, 1e5), title="Gradient of the first layer over that of the last")
    axes.legend(loc="lower center")
    plots.show(
        figure,
        "Ratio of the first layer's gradient to the last one's against the gain, on log axes. Both curves rise steeply, meet "
        "a ratio of 1 near a gain of 10, peak between 30 and 100, and fall off a cliff beyond 200. Dotted lines show 0.25 to "
        "the power of 4 and of 9; the curves pass them near a gain of 1.",
    )

# %% [markdown]
# *The figure: the ratio rises with the gain, passes 1 near a gain of 10, and collapses beyond 200. The dotted lines are
# $0.25^4$ and $0.25^9$.*
#
# Three things are worth a second look.
#
# **Vanishing without saturation.** At a gain of 1 no output is saturated. The ratio over ten layers is a few millionths,
# near $0.25^9$: every sigmoid is at its best, and its best is 1/4. If you watch saturated units only, this network looks
# healthy.
#
# **A bound on the wrong thing.** "With $L$ sigmoid layers the gradient is at most $0.25^L$" is a sentence that you will meet.
# It bounds the product of the *slopes*. The gradient also goes through the matrices, and beyond a gain of 1 both curves lie
# above their dotted line. The tutorial of section 5 prints a table as well: for "weight scale 3" it multiplies 0.05 by
# itself five times, and calls the result the gradient. Near a gain of 3 you measured a ratio of about 0.1 over five layers.
#
# **The cliff.** Why does the gradient go on growing while nine outputs of ten are saturated? The tenth is still on the slope,
# and its weights are large. That ends when in some layer no unit is left there.

# %% [markdown]
# ## 9. Fix it: a deep sigmoid network that learns
#
# Back to the flat line of section 1. You may change three settings. The depth stays at six.

# %% tags=["experiment"]
deep_sigmoid = experiments.find("deep_sigmoid")
for name, setting in deep_sigmoid.SETTINGS.items():
    print(f"{name:14s} now {setting.default:<5g} from {setting.low:g} to {setting.high:g}: {setting.what}")

# %% [markdown]
# Trying is allowed, but derive a number first. On paper:
#
# - By which factor does a layer multiply the gradient, at a gain of 1, if all pre-activations are near 0?
# - The matrix multiplies by the gain. Which gain makes the product of both factors 1?
# - Pre-activations are not all near 0. Is the gain that you really need larger or smaller than that?
#
# And before you reach for the learning rate: it multiplies the steps of *all* layers by one number. What does that do to
# the factor of more than two thousand between the first layer and the last?
#
# **Exercise `remedy_02`** (core, 4 points). Set `remedy` to a dict with the settings that you change, and leave out those
# that you do not. The check trains the network from five starting points: it has to learn.

# %% solution="remedy_02"
# remedy = {"...": ...}   names of settings, and their new values
### BEGIN SOLUTION
remedy = {"gain": 4.0}
### END SOLUTION

# %% check="remedy_02"
check("remedy_02")

# %% [markdown]
# The same run once more, on your functions and with your remedy.

# %% tags=["experiment"]
if "remedy" not in globals():
    print("Set your remedy in the cell above first.")
elif ready(sigmoid_forward, sigmoid_backward, xavier_init):
    own = {
        "affine_forward": affine_forward,
        "affine_backward": affine_backward,
        "sigmoid_forward": sigmoid_forward,
        "sigmoid_backward": sigmoid_backward,
        "xavier_init": xavier_init,
    }

    def train(settings, seed=0):
        return deep_sigmoid.run(experiments.complete(deep_sigmoid, settings), own, np.random.default_rng(seed))

    before, after = train({}), train(remedy)
    print(f"accuracy {before['accuracy']:.3f} before, {after['accuracy']:.3f} after")
    print(f"gradient of layer 1 over that of layer 6: {before['gradients'][0] / before['gradients'][5]:.4f} before, {after['gradients'][0] / after['gradients'][5]:.4f} after")
    print(f"layer 1 moved by {100 * before['moved'][0]:.2f} % before, {100 * after['moved'][0]:.2f} % after")
    for gain in (1.0, 2.0, 4.0, 6.0, 12.0, 30.0):
        print(f"gain {gain:4.1f}: accuracy {np.mean([train({'gain': gain}, seed)['accuracy'] for seed in range(3)]):.3f}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    for each, name, series in ((before, "as it was", plots.SERIES[1]), (after, "your remedy", plots.SERIES[0])):
        left.plot(each["losses"], label=name, markevery=50, **series)
        right.semilogy(np.arange(1, 8), each["gradients"], label=name, **series)
    left.set(xlabel="step", ylabel="loss", ylim=(0, 16), title="Six hidden layers of sigmoids")
    right.set(xlabel="layer (1 is the first)", ylabel="norm (log axis)", title="Gradient of the weights, first step")
    left.legend()
    right.legend()
    plots.show(
        figure,
        "Left: as it was, the loss stays near 9; with the remedy of the solution it falls below 1. Right: as it was, the "
        "gradient falls nearly a thousandfold from layer 6 to layer 1; with the remedy it falls tenfold.",
    )

# %% [markdown]
# *The figure: with a remedy that works the loss falls, and the gradients of the layers come closer together.*
#
# With a slope of 1/4 and a gain of $g$, a layer multiplies the gradient by $g/4$. That asks for $g = 4$. But real
# pre-activations spread and real slopes are below 1/4, so a little more is better: in the list above 6 beats 4. At 30 the
# accuracy is down to 0.43, for too many units are saturated before the first step. There is a window, and plain Xavier lies
# outside of it.
#
# A network that learns only inside a window of its initial weights is a nuisance. It is one reason why hidden layers of
# sigmoids gave way to an activation whose slope is 1. That one has a failure of its own, and assignment 03 is about it.

# %% [markdown]
# ## 10. Stretch: both in one
#
# The listing that this story usually comes with treats one layer as a unit: $z = \sigma(xW + b)$, with the *local* gradients
# of `x` and of `W` for a single example. In a network there is a batch, and there is a `dout`.
#
# **Exercises `affine_sigmoid_forward`** (stretch, 1 point) **and `affine_sigmoid_backward`** (stretch, 3 points). You may
# call what you have: `affine_forward` and `affine_backward` are here, and so are your own two. Or write it in one piece.

# %% solution="affine_sigmoid_forward"
def affine_sigmoid_forward(x, w, b):
    """Multiply each example by a matrix, add a bias, and squash.

    Parameters
    ----------
    x : ndarray, shape (N, d_1, ..., d_k)
    w : ndarray, shape (D, M), with D = d_1 * ... * d_k
    b : ndarray, shape (M,)

    Returns
    -------
    out : ndarray, shape (N, M)
    cache : anything
        What affine_sigmoid_backward needs.
    """
    ### BEGIN SOLUTION
    z, affine_cache = affine_forward(x, w, b)
    out, sigmoid_cache = sigmoid_forward(z)
    return out, (affine_cache, sigmoid_cache)
    ### END SOLUTION

# %% check="affine_sigmoid_forward"
check("affine_sigmoid_forward")

# %% solution="affine_sigmoid_backward"
def affine_sigmoid_backward(dout, cache):
    """Send the upstream gradient back through affine_sigmoid_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
    cache : anything
        What affine_sigmoid_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, d_1, ..., d_k)
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)
    """
    ### BEGIN SOLUTION
    affine_cache, sigmoid_cache = cache
    dz = sigmoid_backward(dout, sigmoid_cache)
    return affine_backward(dz, affine_cache)
    ### END SOLUTION

# %% check="affine_sigmoid_backward"
check("affine_sigmoid_backward")

# %% [markdown]
# Check it with large weights too. What do you expect of `dw` when all pre-activations lie far on the right?

# %% tags=["experiment"]
if ready(affine_sigmoid_forward, affine_sigmoid_backward):
    draw = np.random.default_rng(5)
    x, dout = draw.uniform(0.5, 1.0, (8, 20)), draw.standard_normal((8, 4))
    for scale in (0.1, 1.0, 10.0):
        w = scale * draw.uniform(0.5, 1.0, (20, 4))
        out, cache = affine_sigmoid_forward(x, w, np.zeros(4))
        dw = affine_sigmoid_backward(dout, cache)[1]
        print(f"weights of size {scale:4.1f}: outputs from {out.min():.4f} to {out.max():.4f}, largest entry of dw {np.abs(dw).max():.1e}")

# %% [markdown]
# With weights of size 10 every output is exactly 1 and every gradient exactly 0. No learning rate in the world moves this
# layer.

# %% [markdown]
# ## 11. Say it
#
# **Exercise `quiz_02`** (core, 5 points). One letter each.
#
# **1.** Ten layers, weights of the usual size, sigmoids between them: the first layers do not learn. What has the sigmoid to
# do with it?
#
# - a) Where it saturates it has no derivative, so that the backward pass has nothing to multiply with.
# - b) Its exponential overflows, and the gradient turns into `nan`.
# - c) Its outputs are all positive, and that makes the gradients small.
# - d) Its slope is at most 1/4, and the gradient is multiplied by a slope once in every layer.
#
# **2.** "With five sigmoid layers, the gradient of the first is at most $0.25^5 \approx 0.001$ of what leaves the loss." What
# is wrong with that?
#
# - a) Nothing: each slope is at most 0.25, and the chain rule multiplies.
# - b) It leaves out the weight matrices, which multiply the gradient as well.
# - c) It holds only as long as no unit is saturated.
# - d) It is the bound for tanh; for the sigmoid it is $1^5$.
#
# **3.** For $x$ between -400 and 400, 45 % of $z(1 - z)$ are exactly 0 in float64, all of them for positive $x$. Why?
#
# - a) $e^{-x}$ overflows there.
# - b) The exact slope is smaller than the smallest float64.
# - c) $z$ is rounded to 1, so $1 - z$ is 0. A $z$ next to 0 keeps its digits.
# - d) The sigmoid is flatter on the right than on the left.
#
# **4.** A monitor reports that 0 % of the outputs are saturated, in every layer. Can the gradient of the first layer be
# vanishing?
#
# - a) Yes: at its best a sigmoid takes three quarters of the gradient, and small weights do not give it back.
# - b) No: a unit that is not saturated passes the gradient on.
# - c) Yes, but only because a margin of 0.01 is too narrow to find the saturated outputs.
# - d) Only in the first layer, whose outputs the monitor does not see.
#
# **5.** Why does a larger learning rate not heal the network of section 1?
#
# - a) The learning rate has no effect on layers below a sigmoid.
# - b) It multiplies the steps of all layers alike, and the layers differ by a factor of more than a thousand.
# - c) The gradients of the first layer point in a wrong direction.
# - d) Any learning rate above 1 makes a network diverge.

# %% solution="quiz_02"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "...", "5": "..."}
### BEGIN SOLUTION
quiz = {"1": "d", "2": "b", "3": "c", "4": "a", "5": "b"}
### END SOLUTION

# %% check="quiz_02"
check("quiz_02")

# %% [markdown]
# **In your own words** (not graded). A colleague trains ten layers of sigmoids. The loss is flat. "I have checked everything,"
# they say. "The gradient check gives $10^{-9}$, and not one unit is saturated. So it must be the data." Answer in five
# sentences at most. Use two numbers that you measured in this notebook, and say what you would look at and what you would
# change.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# A gradient can be right and useless: your check says that the numbers are correct, not that they are large enough to
# learn from. I measured a stack of ten sigmoid layers with plain Xavier weights: 0 % of the outputs were saturated, and the
# first layer's gradient was three millionths of the last one's, because a sigmoid multiplies the gradient by 1/4 at best.
# I would print the norm of the weight gradient of each layer on a log axis; if it falls in a straight line towards the
# first layer, it is this. Then I would start with weights about four times as large, since a gain of 4 makes up for a slope
# of 1/4: with that, six layers went from an accuracy of 0.10 to above 0.9 on the same data. If the gradients of all layers
# were about equal, I would believe you about the data.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **What the checks show.** Did you say what a passed gradient check does mean, and what it does not?
# 2. **Evidence.** Did you use two numbers of your own, and do they bear on *this* case, vanishing without saturation?
# 3. **Reason.** Did you name both factors, the slope and the weights, and not only "the sigmoid"?
# 4. **Next step.** Could somebody act on it: what to print, which result means what, what to change and to which value?
#
# One point each. Three or four: go on. One or two: read sections 2, 8 and 9 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A sigmoid multiplies the gradient by 1/4 at best, and by next to nothing where it is saturated. tanh: by 1 at best.
# - The gradient of a layer is a product of slopes *and* matrices. $0.25^L$ bounds one of the two.
# - Vanishing needs no saturation. Look at the gradient of each layer, not at the units alone.
# - Where one factor is lost in each layer, put it back in each layer: a gain of about 4. One learning rate for all cannot.
# - Computed as $z (1 - z)$, the slope of a sigmoid is exactly 0 beyond 37 in float64, and beyond 17 in float32.
#
# ## Where this shows up today
#
# - **Gates.** LSTM and GRU cells open and close with sigmoids, and there saturation is wanted: a gate that is shut should
#   stay shut. The bias of the forget gate is often set to start it open. Assignment 06 builds one.
# - **Losses.** A sigmoid in front of a cross-entropy is computed as one function
#   (`torch.nn.BCEWithLogitsLoss`): its gradient is $z - y$, without the slope, so a confident mistake still learns.
# - **Attention.** A softmax is a relative of the sigmoid, and saturates like one. Scores are divided by $\sqrt{d}$ so
#   that they stay where it has a slope.
# - **`torch.nn.init.calculate_gain("sigmoid")`** returns 1. You know what that does to ten layers.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The saturated sigmoid is its first example.
# - Sepp Hochreiter, *Untersuchungen zu dynamischen neuronalen Netzen*, diploma thesis, TU München, 1991; Yoshua Bengio,
#   Patrice Simard and Paolo Frasconi, *Learning long-term dependencies with gradient descent is difficult*, IEEE
#   Transactions on Neural Networks 5(2), 1994. Where the vanishing gradient was found.
# - Xavier Glorot and Yoshua Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS
#   2010. The initialization, and what sigmoids do without it.
# - Yann LeCun, Léon Bottou, Genevieve Orr and Klaus-Robert Müller, *Efficient BackProp*, in *Neural Networks: Tricks of the
#   Trade*, Springer, 1998. Why tanh and not the logistic function.
