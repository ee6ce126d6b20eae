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
# # 01. Gradient checking
#
# *A backward pass can be wrong and say nothing. This notebook builds the instrument that hears it.*
#
# When you are done you can
#
# - measure any gradient by nudging, and say how far the measurement can be trusted;
# - explain why the centred difference, and why a step near $10^{-5}$ and not $10^{-12}$;
# - write the forward and backward pass of an affine layer, and check it with your own checker;
# - tell a wrong gradient from a right one that only looks wrong, and name what is wrong with it.
#
# **Time.** The core path takes 60 to 90 minutes and is worth 26 points. The stretch at the end takes half an hour
# more, and its 4 points are extra.
#
# **How it works.** Write where a cell says `YOUR CODE HERE`. After each exercise a cell says `check("...")`: run
# it as often as you like. A function leaves its arguments as they were, unless its description says otherwise. You need
# `numpy`, the chain rule, and something to write on.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import plots
from minigrad.labs import bumps, gradient_checking
from minigrad.labs.explore import explore, predicted, ready
from minigrad.labs.gradient_checking import cubic, cubic_slope, one_sided_gradient
from minigrad.labs.suspects import KINDS, SUSPECTS

rng = np.random.default_rng(1)

# %% [markdown]
# ## 1. See it fail: a run with nothing to see
#
# Here is a small model. It draws a curve as a sum of six bumps. Each bump has a height, a centre and a width, so
# there are 18 parameters, and gradient descent fits them to 120 noisy points.
#
# Somebody wrote its gradient by hand. We train for 2,000 steps.

# %% tags=["experiment"]
run_a = bumps.train("A")
losses = run_a["losses"]

print(f"loss before training        {losses[0]:.4f}")
print(f"loss after 2,000 steps      {losses[-1]:.4f}")
print(f"steps on which it went up   {np.sum(np.diff(losses) > 0)}")

figure, axes = plots.canvas()
axes.plot(losses, color=plots.COLOURS["vermillion"], linestyle="--")
axes.set(xlabel="step", ylabel="loss", ylim=(0, 0.3), title="Run A")
plots.show(figure, "Run A: the loss falls from 0.28 to 0.08 in 250 steps, and then slowly to 0.03, without ever rising.")

# %% [markdown]
# *The figure: a loss that falls fast, then slowly. It looks like any loss curve in any paper.*
#
# It fell to a tenth of where it started, and it did not go up once in 2,000 steps. No exception, no warning, no
# `nan`.
#
# Is the gradient right? Write down what you think, and what you would look at to find out. Nobody grades this for
# being correct. It is worth doing anyway: you cannot be surprised by a result that you did not bet on.

# %% tags=["experiment"]
prediction_1 = ""  # between the quotes: right or wrong, and how you would find out

# %% tags=["experiment"]
if predicted(prediction_1):
    run_b = bumps.train("B")  # same data, same start, same learning rate; another person's gradient
    t, y = bumps.data()

    print(f"after 2,000 steps   run A {run_a['losses'][-1]:.4f}   run B {run_b['losses'][-1]:.4f}")
    for version in ("A", "B"):
        ends = [bumps.train(version, seed=seed)["losses"][-1] for seed in range(1, 6)]
        print(f"five other starts   version {version} ends between {min(ends):.4f} and {max(ends):.4f}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    right.plot(t, y, ".", color="#8C8C8C", markersize=4, label="data")
    for name, run, series in (("A", run_a, plots.SERIES[1]), ("B", run_b, plots.SERIES[0])):
        look = {"color": series["color"], "linestyle": series["linestyle"]}
        left.semilogy(run["losses"], label=f"run {name}", marker=series["marker"], markevery=400, **look)
        right.plot(t, bumps.predict(run["params"], t), label=f"run {name}", **look)
    left.set(xlabel="step", ylabel="loss (log axis)", title="Loss")
    right.set(xlabel="t", ylabel="prediction", title="After training")
    left.legend()
    right.legend()
    plots.show(
        figure,
        "Left: on a log axis the loss of run B falls below 0.01 within 400 steps; run A is still near 0.03 after 2,000. "
        "Right: both curves have the shape of the data. Run B follows it closely, run A stops short in both valleys.",
    )

# %% [markdown]
# *The figure: the loss of both runs on a log axis, and both fitted curves over the data. Run B ends five times
# lower and reaches the bottom of both valleys, where run A stops half way.*
#
# Luck? From five other starting points the picture is the same: the worst end of version B is far below the best end of
# version A.
#
# Run A had a mistake in its gradient. One factor is missing in one line. The other lines were good enough to pull
# the loss down for 2,000 steps, and the run ended at 0.0276 where 0.0050 was possible.
#
# You could not see that from run A. You saw it because run B was there, and in your own project there is no run B.
# **A falling loss says that the direction is not hopeless. It does not say that the gradient is right.** For that
# you have to measure the gradient itself.

# %% [markdown]
# ## 2. Build it: a ruler
#
# Suppose somebody hands you two gradients, theirs and a measured one. They will never agree to the last digit.
# How close is close?
#
# | theirs | measured | difference |
# |---|---|---|
# | 1000.0 | 1000.1 | 0.1 |
# | 0.000001 | 0.000003 | 0.000002 |
#
# By the difference the first pair is the worse one, by far. But the first pair agrees to four digits, and in the
# second pair one is three times the other. Gradients in a network spread over many powers of ten, so the difference has
# to be measured against the numbers themselves:
#
# $$\text{relative error} = \frac{|a - b|}{\max(|a|, |b|)}$$
#
# For arrays we want the *worst* element. A mean would let one broken element hide among a million good ones.
#
# Two corners need a decision. Where both are exactly 0 they agree, and the error is 0. Where only one of them is 0,
# what does the formula give? That is the answer we want: a gradient that is 0 and should not be is as wrong as can be.
#
# You will meet versions that write $\max(|a|, |b|, 10^{-8})$, so as not to divide by zero. Do not. Below $10^{-8}$
# that ruler goes soft: it calls $10^{-12}$ and $3 \cdot 10^{-12}$ equal to three digits, and this course will look at
# gradients that small.
#
# **Exercise `relative_error`** (core, 2 points). No loop over elements, and no warnings about division.

# %% solution="relative_error"
def relative_error(a, b):
    """Return the largest elementwise relative difference of two arrays.

    Parameters
    ----------
    a, b : array_like
        The same shape; floats, or arrays of any number of axes.

    Returns
    -------
    float
        The worst element's |a - b| / max(|a|, |b|), and 0 for an element where both are exactly 0.
    """
    ### BEGIN SOLUTION
    a, b = np.asarray(a), np.asarray(b)
    scale = np.maximum(np.abs(a), np.abs(b))
    scale = np.where(scale == 0, 1.0, scale)  # both are 0 there, and so is the difference
    return float(np.max(np.abs(a - b) / scale))
    ### END SOLUTION

# %% check="relative_error"
check("relative_error")

# %% tags=["experiment"]
if ready(relative_error):
    for a, b in ((1000.0, 1000.1), (1e-6, 3e-6), (1e-12, 3e-12), (0.0, 0.0), (0.0, 1e-12), (2.0, -2.0)):
        soft = abs(a - b) / max(abs(a), abs(b), 1e-8)
        print(f"a = {a:<8g} b = {b:<8g} yours {relative_error(a, b):.1e}   with a floor of 1e-8: {soft:.1e}")

# %% [markdown]
# The third line is the one to remember: 0.67 with your ruler, 0.0002 with the soft one. And a wrong sign, in the last
# line, gives 2, which is as large as this number gets.
#
# People who check gradients in float64 read it like this:
#
# | relative error | reading |
# |---|---|
# | below $10^{-7}$ | right |
# | $10^{-7}$ to $10^{-5}$ | probably right; look at the worst element |
# | $10^{-5}$ to $10^{-3}$ | suspicious; find out why |
# | above $10^{-3}$ | wrong, until you have found another reason |
#
# These bands are a habit and not a theorem. Section 9 breaks them three times.

# %% [markdown]
# ## 3. Predict: a slope out of two values
#
# How do you measure a gradient that you cannot derive? The definition of the derivative tells you: move a little,
# see how much the value changes, divide.
#
# $$f'(w) \approx \frac{f(w + h) - f(w)}{h}$$
#
# This is the *one-sided* difference, given to you as `one_sided_gradient(f, x, h)`. Try it on a function whose
# derivative we know: $f(w) = w^3 + 2w$ at $w = 1.5$, where $f'(w) = 3w^2 + 2 = 8.75$.

# %% tags=["experiment"]
if ready(relative_error):
    w = np.array([1.5])
    for h in (1e-1, 1e-3, 1e-5):
        measured = one_sided_gradient(cubic, w, h)
        print(f"h = {h:.0e}   measured {measured[0]:.8f}   relative error {relative_error(measured, cubic_slope(w)):.1e}")

# %% [markdown]
# Each time the step shrinks by 100, the error shrinks by 100. At $h = 10^{-5}$ it is $5 \cdot 10^{-6}$.
#
# What will it be at $h = 10^{-7}$? At $10^{-10}$? At $10^{-13}$? Write down three numbers.

# %% tags=["experiment"]
prediction_2 = ""  # the relative error at h = 1e-7, 1e-10 and 1e-13

# %% tags=["experiment"]
if predicted(prediction_2) and ready(relative_error):
    w = np.array([1.5])
    for exponent in range(-5, -16, -1):
        measured = one_sided_gradient(cubic, w, 10.0**exponent)
        print(f"h = 1e{exponent:03d}   measured {measured[0]:.8f}   relative error {relative_error(measured, cubic_slope(w)):.1e}")

# %% [markdown]
# Down to $10^{-8}$ things go as they should. Then the error turns round and climbs. At $h = 10^{-13}$ it is
# $10^{-3}$, and at $10^{-15}$ it is one tenth: a "more exact" step, and one digit left.
#
# What happened? At $w = 1.5$ the value of $f$ is 6.375, and float64 keeps about 16 digits of it. $f(w + h)$ and
# $f(w)$ agree in the first 13 digits or so when $h = 10^{-13}$. Subtract them, and those digits are gone. What
# remains is the noise at the end of both numbers, and we divide it by $10^{-13}$.
#
# So two errors pull in opposite directions.
#
# - **Truncation**: the function is not a straight line. This error shrinks with $h$.
# - **Round-off**: about $10^{-16} \cdot |f| / h$. This error grows as $h$ shrinks.
#
# There is no getting rid of the second. But the first can shrink *faster*, and then we can afford a larger $h$. Look
# to both sides instead of one:
#
# $$f'(w) \approx \frac{f(w + h) - f(w - h)}{2h}$$
#
# Write both Taylor series, $f(w \pm h) = f(w) \pm h f'(w) + \tfrac{h^2}{2} f''(w) \pm \tfrac{h^3}{6} f'''(w) + \dots$,
# and subtract them on paper. Which terms cancel? What is the first one that survives?

# %% [markdown]
# ## 4. Build it: the instrument
#
# **Exercise `numerical_gradient`** (core, 5 points). The centred difference, for an array of any shape, one element at
# a time.
#
# One thing about the way it is called. In a course like this, `f` is often a closure that ignores its argument:
#
#     f = lambda _: loss(w)          # w is a variable out here
#     numerical_gradient(f, w)
#
# If you hand `f` a changed *copy* of `w`, nothing changes: the loss looks at the original and your gradient is 0
# everywhere. So nudge the element of `x` itself, in place, call `f(x)`, nudge it the other way, call `f(x)` again. Then
# put back the very number that was there. (Adding $h$ and subtracting it again does not always give the number you
# started with. Keep it.)

# %% solution="numerical_gradient"
def numerical_gradient(f, x, h=1e-5):
    """Measure the gradient of f at x with centred differences.

    Parameters
    ----------
    f : callable
        f(x) -> float. It may ignore its argument and look at x from outside.
    x : ndarray, any shape
        Floating point. Changed in place while measuring, and restored to the bit.
    h : float
        The step.

    Returns
    -------
    ndarray, shape of x
        (f(x + h e) - f(x - h e)) / 2h for each unit vector e.
    """
    # np.ndindex(x.shape) runs through all positions of an array of any shape
    ### BEGIN SOLUTION
    grad = np.zeros_like(x)
    for position in np.ndindex(x.shape):
        original = x[position]
        x[position] = original + h
        above = f(x)
        x[position] = original - h
        below = f(x)
        x[position] = original
        grad[position] = (above - below) / (2 * h)
    return grad
    ### END SOLUTION

# %% check="numerical_gradient"
check("numerical_gradient")

# %% [markdown]
# ### Who broke run A?
#
# You now hold the instrument that section 1 lacked. Three arrays, two versions of the gradient, no second run needed.
# Which lines of the table do you expect to be large?

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    params = bumps.start()
    for version in ("A", "B"):
        grads = bumps.gradients(params, version)
        for name, value in params.items():
            measured = numerical_gradient(lambda _: bumps.loss(params), value)
            print(f"version {version}   {name:8s} relative error {relative_error(grads[name], measured):.1e}")

# %% [markdown]
# One line out of six is not small. Version A has the right heights, the right widths, and wrong centres: 1.2, where
# everything else is below $10^{-8}$. An error above 1 also tells you something: two numbers of the same sign never get
# there, so at least one centre starts out in the *opposite* direction.
#
# It took 72 evaluations of the loss. Training took 2,000 steps and told you nothing.

# %% [markdown]
# ## 5. Build it: the affine layer
#
# Now a layer of your own. An affine layer multiplies by a matrix and adds a vector:
#
# $$\text{out}[n, m] = \sum_d x[n, d] \, w[d, m] + b[m]$$
#
# The input is a minibatch of $N$ examples. An example may itself be an array, such as a picture of shape
# $(d_1, \dots, d_k)$, so it is flattened to $D = d_1 \cdots d_k$ numbers first. The `cache` is whatever your backward
# pass will want to see again. Each call has its own: a network calls the same function once for every layer before the
# first of them goes back.
#
# **Exercise `affine_forward`** (core, 3 points).

# %% solution="affine_forward"
def affine_forward(x, w, b):
    """Multiply each example by a matrix and add a bias.

    Parameters
    ----------
    x : ndarray, shape (N, d_1, ..., d_k)
        A minibatch of N examples.
    w : ndarray, shape (D, M), with D = d_1 * ... * d_k
    b : ndarray, shape (M,)

    Returns
    -------
    out : ndarray, shape (N, M)
    cache : anything
        What affine_backward needs.
    """
    ### BEGIN SOLUTION
    rows = x.reshape(x.shape[0], -1)  # (N, D)
    out = rows @ w + b  # (N, M)
    return out, (x, w)
    ### END SOLUTION

# %% check="affine_forward"
check("affine_forward")

# %% [markdown]
# ### Backward
#
# `dout[n, m]` arrives from the layer above. It says by how much the loss changes when `out[n, m]` changes by one unit.
# You have to say the same about `x`, `w` and `b`.
#
# Take one number at a time and ask two questions: *which outputs does it touch, and how strongly?* Then add up, over
# those outputs, strength times `dout`.
#
# - `b[m]` is added in every row. Which entries of `out` does it touch? How many terms does the sum have?
# - `w[d, m]` touches one entry in each row. What is it multiplied by there?
# - `x[n, d]` touches one row only. Which entries in it, each multiplied by what?
#
# Write the three sums with indices first. Each of them is a matrix product, or simpler. If a shape does not fit, the
# index that is summed is in the wrong place. And `dx` goes back to whoever made `x`, in the shape that they know.
#
# **Exercise `affine_backward`** (core, 5 points).

# %% solution="affine_backward"
def affine_backward(dout, cache):
    """Send the upstream gradient back through affine_forward.

    Parameters
    ----------
    dout : ndarray, shape (N, M)
        The gradient of the loss for each output.
    cache : anything
        What affine_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, d_1, ..., d_k)
    dw : ndarray, shape (D, M)
    db : ndarray, shape (M,)
    """
    ### BEGIN SOLUTION
    x, w = cache
    rows = x.reshape(x.shape[0], -1)  # (N, D)
    dx = (dout @ w.T).reshape(x.shape)  # (N, d_1, ..., d_k)
    dw = rows.T @ dout  # (D, M)
    db = dout.sum(axis=0)  # (M,)
    return dx, dw, db
    ### END SOLUTION

# %% check="affine_backward"
check("affine_backward")

# %% [markdown]
# ### Check it yourself
#
# The cell above used our inputs. Next time there will be no such cell, so do it once by hand.
#
# There is one obstacle. `numerical_gradient` wants a function that returns *one number*, and the layer returns a matrix.
# The way out: pretend that the loss is $L = \sum_{n,m} \text{out}[n, m] \cdot \text{dout}[n, m]$ with some fixed array
# `dout`. Then the gradient of $L$ for `out` is exactly `dout`, and what `affine_backward(dout, cache)` returns must be the
# gradient of $L$ for `x`, `w` and `b`.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient, affine_forward, affine_backward):
    draw = np.random.default_rng(7)
    x = draw.standard_normal((4, 2, 3))  # 4 examples of shape (2, 3)
    w = draw.standard_normal((6, 5))
    b = draw.standard_normal(5)
    dout = draw.standard_normal((4, 5))

    out, cache = affine_forward(x, w, b)
    gradients = affine_backward(dout, cache)
    for name, value, gradient in zip(("dx", "dw", "db"), (x, w, b), gradients, strict=True):
        measured = numerical_gradient(lambda _: np.sum(affine_forward(x, w, b)[0] * dout), value)
        print(f"{name}   shape {np.shape(gradient)!s:10}   relative error {relative_error(gradient, measured):.1e}")

# %% [markdown]
# All three are far below $10^{-7}$. An affine layer is a straight line in each of its arguments, so the centred
# difference has no truncation error here at all. What you see is round-off.

# %% [markdown]
# ## 6. A check that passes by luck
#
# Why did `dout` have to be random? A sum is simpler: with $L = \sum \text{out}$ the upstream gradient is an array of
# ones.
#
# Here is the square of each element, with a backward pass that has lost something. What will the check say with a
# `dout` of ones, and what with a random one?

# %% tags=["experiment"]
def square_backward_broken(dout, x):
    return 2 * x


if ready(relative_error, numerical_gradient):
    draw = np.random.default_rng(3)
    x = draw.standard_normal((3, 4))
    for name, dout in (("ones", np.ones((3, 4))), ("random", draw.standard_normal((3, 4)))):
        measured = numerical_gradient(lambda _, dout=dout: np.sum(x**2 * dout), x)
        print(f"dout {name:6s}   relative error {relative_error(square_backward_broken(dout, x), measured):.1e}")

# %% [markdown]
# With ones it is as good as any gradient in this notebook. It never looks at `dout`. In a network, every layer below would
# receive a gradient that has nothing to do with the loss.
#
# Ones are also the same in every row and every column, so they hide a `dout` that was transposed, or averaged, or summed
# along the wrong axis. **A test input with a symmetry cannot see a mistake that has the same symmetry.** Use random
# upstream gradients, sizes that all differ, and more than one example.

# %% [markdown]
# ## 7. Play: the step
#
# Both differences again on $f(w) = w^3 + 2w$, with sliders for the point and for the step. The curves come from your
# `numerical_gradient` and your `relative_error`. Try to answer these by moving the sliders.
#
# 1. Where is the bottom of each curve? How many digits do you get there?
# 2. Both curves climb to the left. Do they differ there? Why should they not?
# 3. Move $w$ to 0. Two things change. What is $f''(0)$? And what is $f(0)$, and what does that do to the round-off?
#
# The picture below the sliders shows the relative error against the step, both on log axes, with the current step marked;
# the sentence under it says the same in numbers. An error of exactly 0 lies at the foot of the plot.

# %% tags=["lab"]
explore(gradient_checking, numerical_gradient=numerical_gradient, relative_error=relative_error)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. At $w = 1.5$ the one-sided curve bottoms out near $h = 10^{-8}$ with 8 or 9 digits, the centred one near $10^{-5}$ with
#    10 or 11.
# 2. They do not differ. Round-off does not know which formula it sits in: it is the last digit of $f$, divided by about $h$.
# 3. $f''(0) = 0$, so the term that spoils the one-sided difference is gone, and it becomes as good as the centred one. And
#    $f(0) = 0$: near zero, floating point numbers are as fine as you like, so no digits are lost and there is no left arm.
#    A function is rarely this kind at the point where you need its gradient.
#
# </details>

# %% [markdown]
# ## 8. Measure: the order of a formula
#
# In the right half of the lab, both curves are straight lines on log axes. If the error is $C h^p$, then
# $\log(\text{error}) = \log C + p \log h$: the slope of the line is the exponent $p$. It is called the *order* of the
# formula. Order 1: a step ten times smaller gives an error ten times smaller. Order 2: a hundred times.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    w = np.array([1.5])
    steps = 10.0 ** np.arange(-14, 0.01, 0.5)
    errors = {
        "one-sided": [relative_error(one_sided_gradient(cubic, w, h), cubic_slope(w)) for h in steps],
        "centred": [relative_error(numerical_gradient(cubic, w, h), cubic_slope(w)) for h in steps],
    }

    figure, axes = plots.canvas(height=3.8)
    for (name, values), series in zip(errors.items(), (plots.SERIES[1], plots.SERIES[0]), strict=True):
        best = int(np.argmin(values))
        print(f"{name:9s}   smallest error {values[best]:.0e}, at h = {steps[best]:.0e}", end="")
        print(f"   (at h = 1e-05 {values[18]:.0e}, at h = 1e-12 {values[4]:.0e})")
        hollow = {"markerfacecolor": "none", "markersize": 8} if name == "one-sided" else {"markersize": 4}
        axes.loglog(steps, values, label=name, **series, **hollow)
    axes.axvspan(1e-4, 1e-1, color="#DDDDDD", alpha=0.5)
    axes.text(3e-3, 2e-11, "truncation rules", ha="center", color=plots.INK, fontsize=9)
    axes.text(1e-11, 2e-11, "round-off rules", ha="center", color=plots.INK, fontsize=9)
    axes.set(xlabel="step h", ylabel="relative error", title="f(w) = w³ + 2w at w = 1.5")
    axes.legend(loc="upper center")
    plots.show(
        figure,
        "Relative error against step on log axes. Both curves are V-shaped. To the left they coincide and rise as the "
        "step shrinks. To the right the centred line is steeper and lies lower; its bottom is near 1e-5.",
    )

# %% [markdown]
# *The figure: two V-shaped curves on log axes. On the left they coincide. On the right, in the shaded band, the centred
# one is steeper and lies far below.*
#
# **Exercise `orders`** (core, 2 points). Measure both slopes, and set `order_one_sided` and `order_centred`. Choose steps
# where truncation rules: a fit that includes the left half of the figure measures nothing. Take the relative error
# against the known slope at several steps, then the slope of a straight line through the logarithms.

# %% solution="orders"
# cubic(x) and cubic_slope(x) are the function and its derivative
# np.polyfit(u, v, 1)[0] is the slope of the best straight line through the points (u, v)
# set order_one_sided and order_centred
### BEGIN SOLUTION
point = np.array([1.5])
truncating = 10.0 ** np.arange(-4.0, -1.9, 0.25)


def measured_order(estimate):
    errors = [relative_error(estimate(cubic, point, h), cubic_slope(point)) for h in truncating]
    return np.polyfit(np.log(truncating), np.log(errors), 1)[0]


order_one_sided = measured_order(one_sided_gradient)
order_centred = measured_order(numerical_gradient)
print(f"one-sided {order_one_sided:.3f}   centred {order_centred:.3f}")
### END SOLUTION

# %% check="orders"
check("orders")

# %% [markdown]
# So that is what the second evaluation buys: not an error half as large, but another exponent. At its best step the
# one-sided formula has 8 or 9 good digits on this function, and the centred one has 10 or 11.
#
# It also says where to put $h$. Truncation falls like $h^2$ and round-off climbs like $10^{-16}/h$. They meet where
# $h^3$ is about $10^{-16}$, which is $h \approx 5 \cdot 10^{-6}$. That is why `h=1e-5` is the default, in your function
# and in many others.

# %% [markdown]
# ## 9. Measure: three false alarms
#
# The bands of section 2 say that above $10^{-3}$ a gradient is wrong. In each of the next three cells the gradient is
# *right*, exactly so, and the number is above $10^{-3}$. Find the reason before you read on.
#
# ### A kink
#
# $f(x) = \sum |x|$. Its gradient is the sign of $x$.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    x = np.array([0.8, -1.3, 0.000003])
    for h in (1e-4, 1e-5, 1e-6, 1e-7):
        measured = numerical_gradient(lambda v: np.sum(np.abs(v)), x, h)
        print(f"h = {h:.0e}   measured {np.round(measured, 4)}   relative error {relative_error(measured, np.sign(x)):.1e}")

# %% [markdown]
# The third element is $3 \cdot 10^{-6}$. With $h = 10^{-5}$ the nudge down lands on the *other side of the kink*, and the
# difference averages the two slopes: 0.3, which is the slope of nothing. With $h = 10^{-6}$ both nudges stay on one side
# and the error is gone.
#
# Networks are full of such corners. The sign to look for: a few bad elements, and an error that jumps when $h$ changes.
# **A bug in a formula does not care about $h$.**
#
# ### Single precision
#
# $f(x) = \frac{1}{4} \sum x^4$ over four elements, gradient $x^3$. Once with float64, once with float32.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    x64 = np.array([0.8, -1.3, 1.7, 0.4])
    x32 = x64.astype(np.float32)
    for h in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        double = relative_error(numerical_gradient(lambda v: np.mean(v**4), x64, h), x64**3)
        single = relative_error(numerical_gradient(lambda v: np.mean(v**4), x32, h), x32**3)
        print(f"h = {h:.0e}   float64 {double:.1e}   float32 {single:.1e}")

# %% [markdown]
# At $h = 10^{-5}$, where float64 has 9 good digits, float32 has one. float32 keeps 7 digits of a number and float64 keeps
# 16, so round-off takes over much sooner: no step on this list gets below $10^{-4}$.
#
# Check in float64, whatever you train in. A model that is right in float64 and wrong in float32 has another problem, and
# assignment 09 is about it.
#
# ### A tiny gradient
#
# $f(x) = \sum e^x$ at $x = (1, 0, -20)$. The gradient is $e^x$, and the third element of it is about $2 \cdot 10^{-9}$.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    x = np.array([1.0, 0.0, -20.0])
    value = np.sum(np.exp(x))
    measured = numerical_gradient(lambda v: np.sum(np.exp(v)), x)
    for k in range(3):
        difference = abs(measured[k] - np.exp(x[k]))
        print(f"x = {x[k]:5.1f}   gradient {np.exp(x[k]):.1e}   difference {difference:.0e}   relative {difference / np.exp(x[k]):.0e}")
    print(f"round-off of f, divided by h: {np.spacing(value) / 1e-5:.0e}")

# %% [markdown]
# The differences are all near $10^{-11}$, whatever the gradient. That is the last digit of $f$ divided by $h$: the
# noise floor of the instrument. No gradient can be measured better than that. A gradient of 1 does not mind. A gradient of
# $2 \cdot 10^{-9}$ has two or three digits left.
#
# So when a tiny element fails, compare the *difference* with the floor, $10^{-16} |f| / h$. If it is no larger, the check has
# said nothing about this element, good or bad. Measure it where it is larger, or make $f$ smaller: leave out the parts of
# the loss that this parameter does not touch.

# %% [markdown]
# ## 10. Fix it: the bug hunt
#
# Five suspects, each a forward pass and a backward pass. The forward passes are right. You cannot see the code, only run
# it. (It is in the package, of course. Then you have read five backward passes and learned nothing.)

# %% tags=["experiment"]
for name, suspect in SUSPECTS.items():
    print(f"{name}   {suspect.formula}")
print()
for kind, meaning in KINDS.items():
    print(f"{kind:13s} {meaning}")

# %% [markdown]
# Here is what somebody in a hurry would do: one input, one step, one number each.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    draw = np.random.default_rng(1)
    for name, suspect in SUSPECTS.items():
        x = suspect.example(draw)
        dout = draw.standard_normal(np.shape(suspect.forward(x)))
        measured = numerical_gradient(lambda v, s=suspect, d=dout: float(np.sum(d * s.forward(v))), x)
        print(f"{name}   x {x.shape!s:7} worst relative error {relative_error(suspect.backward(dout, x), measured):.1e}")

# %% [markdown]
# Somebody in a hurry now convicts A, B and E, frowns at C, and goes home. But one number is not evidence. Ask better
# questions:
#
# - Does the error change with $h$? Which of the reasons in section 9 does that, and does a bug?
# - Print both gradients beside each other. Is their ratio the same for all elements? Which number is it? Does it change when
#   you pass a smaller `x`?
# - What if `dout` is 0 everywhere except in one place? Then only one path through the function is lit.
#
# The next cell is yours to change.

# %% tags=["experiment"]
if ready(relative_error, numerical_gradient):
    suspect = SUSPECTS["A"]
    x = suspect.example(rng)  # another one each time
    dout = np.ones(np.shape(suspect.forward(x)))
    h = 1e-5

    print("x         ", x)
    print("backward  ", suspect.backward(dout, x))
    print("measured  ", numerical_gradient(lambda v: float(np.sum(dout * suspect.forward(v))), x, h))

# %% [markdown]
# **Exercise `bug_hunt`** (core, 5 points). One kind for each suspect, spelled as in the list above. A kind may occur twice,
# or not at all.

# %% solution="bug_hunt"
# bug_hunt = {"A": "...", "B": "...", "C": "...", "D": "...", "E": "..."}
### BEGIN SOLUTION
bug_hunt = {
    "A": "not summed",
    "B": "right",
    "C": "missing term",
    "D": "right",
    "E": "missing 1/N",
}
### END SOLUTION

# %% check="bug_hunt"
check("bug_hunt")

# %% [markdown]
# ## 11. Stretch: a check that you can afford
#
# What does a full check cost? Two evaluations of the loss for each parameter. Count them for one affine layer of the kind
# that CS231n starts with: 3,072 inputs, 100 units.

# %% tags=["experiment"]
if ready(affine_forward):
    from time import perf_counter

    draw = np.random.default_rng(0)
    x, w, b = draw.standard_normal((64, 3072)), draw.standard_normal((3072, 100)), np.zeros(100)
    begin = perf_counter()
    for _ in range(20):
        np.sum(affine_forward(x, w, b)[0])
    seconds = (perf_counter() - begin) / 20
    evaluations = 2 * (w.size + b.size)
    print(f"this layer: {evaluations:,} evaluations at {1000 * seconds:.2f} ms each, {evaluations * seconds / 60:.0f} minutes")
    print(f"25 million parameters at 0.1 s each: {2 * 25_000_000 * 0.1 / 86_400:.0f} days")

# %% [markdown]
# More than 600,000 forward passes for a single layer. And the price grows twice, with the number of parameters and with the
# cost of a forward pass: at 25 million parameters, the size of a ResNet-50, it is 58 days. Nobody waits for that, and nobody
# has to. A wrong formula is usually wrong in most elements of a tensor, so ten of them, drawn at random from *each* tensor, find it. What ten do not find is a
# bug that sits in a corner: the last row, a border, one index out of a thousand. Other draws on other days help.
#
# When is it worth running?
#
# - After you wrote or changed a backward pass, a loss or a custom operation. Once, on a small model, and then as a test that
#   stays.
# - In float64, on a handful of examples, with everything random switched off or seeded: a dropout mask that changes between
#   $f(x + h)$ and $f(x - h)$ measures the mask.
# - Before training, and again after some steps. A fresh network can sit at a special point (all biases 0, symmetric weights)
#   where a mistake does not show.
# - With the regularisation switched off, and then once with it on. A large penalty with a right gradient hides a small data
#   term with a wrong one.
# - Not on every training step, and not for a model made only of your framework's own operations.
#
# **Exercise `gradient_check`** (stretch, 4 points). `loss(params)` takes the dict and returns one number. Draw with `rng`
# and without replacement; a small tensor is checked whole. Nudge in place, restore, and report the worst relative error for
# each name.

# %% solution="gradient_check"
def gradient_check(loss, params, grads, rng, num_checks=10, h=1e-5):
    """Compare gradients with centred differences on a random subset of each tensor.

    Parameters
    ----------
    loss : callable
        loss(params) -> float.
    params : dict of str to ndarray
        Changed in place while measuring, and restored to the bit.
    grads : dict of str to ndarray
        The gradients to be checked: the names and shapes of params.
    rng : numpy.random.Generator
        Draws the elements, without replacement.
    num_checks : int
        How many elements of each tensor are checked, at most.
    h : float
        The step.

    Returns
    -------
    dict of str to float
        For each name, the worst relative error over the elements that were checked.
    """
    # rng.choice(size, size=count, replace=False) draws flat positions, np.unravel_index(flat, shape) turns them round
    ### BEGIN SOLUTION
    worst = {}
    for name, tensor in params.items():
        count = min(num_checks, tensor.size)
        analytic, measured = np.zeros(count), np.zeros(count)
        for k, flat in enumerate(rng.choice(tensor.size, size=count, replace=False)):
            position = np.unravel_index(flat, tensor.shape)
            original = tensor[position]
            tensor[position] = original + h
            above = loss(params)
            tensor[position] = original - h
            below = loss(params)
            tensor[position] = original
            analytic[k] = grads[name][position]
            measured[k] = (above - below) / (2 * h)
        worst[name] = relative_error(analytic, measured)
    return worst
    ### END SOLUTION

# %% check="gradient_check"
check("gradient_check")

# %% [markdown]
# Run A once more, with two elements of each tensor instead of six.

# %% tags=["experiment"]
if ready(relative_error, gradient_check):
    params = bumps.start()
    for version in ("A", "B"):
        found = gradient_check(bumps.loss, params, bumps.gradients(params, version), np.random.default_rng(5), num_checks=2)
        print(f"version {version}  ", "   ".join(f"{name} {error:.0e}" for name, error in found.items()))

# %% [markdown]
# ### No subtraction, no round-off
#
# The trouble with small steps came from subtracting two nearly equal numbers. There is a way without: step into the
# *imaginary* direction. For an analytic $f$, Taylor gives $f(w + ih) = f(w) + i h f'(w) - \dots$, so the derivative is the
# imaginary part divided by $h$. Nothing is subtracted. How small may $h$ be?

# %% tags=["experiment"]
w = 1.5
for h in (1e-2, 1e-5, 1e-10, 1e-50, 1e-200):
    slope = ((w + 1j * h) ** 3 + 2 * (w + 1j * h)).imag / h
    print(f"h = {h:.0e}   measured {slope:.12f}   relative error {abs(slope - 8.75) / 8.75:.1e}")

# %% [markdown]
# As small as you like. It works only where every operation on the way is analytic and passes complex numbers on: no
# `abs`, no `max`, no comparison. Later checks in this course use it where they can.

# %% [markdown]
# ## 12. Say it
#
# **Exercise `quiz_01`** (core, 4 points). One letter each.
#
# **1.** When you check a gradient, why use the centred difference $(f(x+h) - f(x-h)) / 2h$ and not the one-sided
# $(f(x+h) - f(x)) / h$?
#
# - a) It needs fewer evaluations of $f$ for each parameter.
# - b) It has less round-off, so that $h$ may be as small as $10^{-12}$.
# - c) The terms in $h$ cancel, so its truncation error falls like $h^2$ and not like $h$.
# - d) It is right at a kink, where the one-sided difference is wrong.
#
# **2.** On $f(w) = w^3 + 2w$ the centred relative error is $2 \cdot 10^{-11}$ at $h = 10^{-5}$ and $4 \cdot 10^{-5}$ at
# $h = 10^{-12}$. Why did it get worse?
#
# - a) $f(w+h)$ and $f(w-h)$ share most of their digits; the subtraction leaves their round-off, and dividing by $2h$ enlarges it.
# - b) The truncation error grows when $h$ shrinks.
# - c) $h = 10^{-12}$ is too small for a float64, so $w + h$ equals $w$.
# - d) The analytic derivative is slightly wrong, and only a small step shows it.
#
# **3.** The relative error of one tensor is $2 \cdot 10^{-4}$, at $h = 10^{-3}$, at $10^{-4}$, at $10^{-5}$ and at $10^{-6}$.
# Which is the most likely reason?
#
# - a) Round-off: the check should be run with a larger $h$.
# - b) Truncation: the check should be run with a smaller $h$.
# - c) A kink near one of the elements.
# - d) The backward pass is wrong by something small, such as a penalty whose gradient was forgotten.
#
# **4.** A colleague checks a layer with $L = \sum \text{out}$ and gets $10^{-11}$. You check the same layer with a random `dout`
# and get 1.4. What do you tell them?
#
# - a) That a random `dout` is not the gradient of any loss, so their result counts.
# - b) That their `dout` was all ones, which hides a backward pass that uses `dout` wrongly or not at all.
# - c) That random numbers bring round-off, so you should try again with a larger $h$.
# - d) That the layer is right for sums and needs a second backward pass for other losses.

# %% solution="quiz_01"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "c", "2": "a", "3": "d", "4": "b"}
### END SOLUTION

# %% check="quiz_01"
check("quiz_01")

# %% [markdown]
# **In your own words** (not graded). A colleague says: "My loss goes down nicely, so my gradients are right." Answer in five
# sentences at most. Use one number that you measured in this notebook. Say what you would run, and which result would
# convince you, either way.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# In section 1 a loss fell to a tenth and did not rise once in 2,000 steps, and one of its three gradients was wrong: it
# ended at 0.0276 where the right gradient reaches 0.0050. A falling loss only says that the step has a component downhill.
# I would compare each parameter's gradient with a centred difference, in float64, at h = 1e-5, with a random upstream
# gradient, on a few examples. Below 1e-7 for every tensor I would believe the gradients at this input; an error above 1e-5
# that stays the same when I change h would convince me of a bug. If the error moves with h, I would first look for a kink or
# for an element below the noise floor.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Evidence.** Did you give a counterexample with a number, and not only "not necessarily"?
# 2. **Reason.** Did you say what a falling loss does show, and why that is less than the colleague thinks?
# 3. **Method.** Could somebody run your check from your description: which difference, which step, which precision, which
#    input?
# 4. **Verdict.** Did you name a result that would make you say "right", one that would make you say "wrong", and one that
#    would make you look again?
#
# One point each. Three or four: go on. One or two: read sections 1, 8 and 9 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A wrong gradient usually trains. Only a measurement of the gradient shows that it is wrong.
# - Measure with the centred difference, in float64, near $h = 10^{-5}$. Its error falls like $h^2$ until round-off, which
#   climbs like $1/h$, takes over.
# - Compare with the relative error of the worst element, without a floor.
# - Use a random upstream gradient, and inputs without symmetry.
# - Change $h$ before you believe a verdict. A bug stays; a kink and round-off move.
#
# And where this course goes next: from assignment 02 on, your gradients will pass every check in this notebook, and the
# network will not learn. A gradient can be correct and useless.
#
# ## Where this shows up today
#
# - **Custom operations.** Frameworks differentiate their own operations. The moment somebody writes a backward pass by hand,
#   as a `torch.autograd.Function`, a `jax.custom_vjp` or a fused GPU kernel, it can be wrong in silence.
# - **`torch.autograd.gradcheck`** is your `numerical_gradient` with the same centred difference. By default it steps by
#   $10^{-6}$ and expects double precision; its documentation warns of single precision for the reason in section 9.
# - **`scipy.optimize.check_grad`** is one-sided. Its default step is $1.5 \cdot 10^{-8}$. Look at the figure in section 8
#   and say why.
# - **`jax.test_util.check_grads`** checks a single random direction $v$: a few evaluations compare $\nabla f \cdot v$ with the
#   slope along $v$, however many parameters there are. It is the cheap cousin of your random subset.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The essay behind this course.
# - Stanford CS231n, course notes *Neural Networks Part 3: Learning and Evaluation*, section on gradient checks. Kinks,
#   step size and the bands, from people who have checked many.
# - Andreas Griewank and Andrea Walther, *Evaluating Derivatives*, 2nd edition, SIAM, 2008. How derivatives are computed
#   when they matter.
# - William Squire and George Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Review
#   40(1), 1998. The complex step, in three pages.
# - Nicholas Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, SIAM, 2002. Where the round-off comes
#   from.
