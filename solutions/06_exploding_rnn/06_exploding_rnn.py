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
# # 06. Exploding recurrent networks
#
# *One matrix, used at every step of a sequence. What it does once, it does T times.*
#
# When you are done you can
#
# - write a recurrent network and backpropagation through time, and check them;
# - say what an eigenvalue of the recurrent matrix tells about the gradient, what a singular value tells, and what
#   neither of them does;
# - clip a gradient in a training loop, and say what that mends and what it leaves as it was;
# - explain why an LSTM remembers where this network does not, and when it does not either.
#
# **Time.** The core path takes 80 to 110 minutes and is worth 31 points. The stretch takes half an hour more, and its
# 7 points are extra.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.clipping import clip_grad_norm
from minigrad.datasets import memory_task
from minigrad.experiments import memory
from minigrad.experiments.exploding_rnn import matrix
from minigrad.experiments.exploding_rnn import spectral_radius as radius_of
from minigrad.labs import spectral_radius
from minigrad.labs.explore import explore, predicted, ready
from minigrad.labs.spectral_radius import draw_matrix, jacobian_norms
from minigrad.layers import affine_backward, affine_forward, sigmoid_forward
from minigrad.losses import svm_loss

# %% [markdown]
# ## 1. See it fail: a run that diverges
#
# The task takes a memory and nothing else. A sequence has 20 steps. The first one shows one of four symbols, all others a
# little noise. After the last step the network has to say which symbol it was. Guessing gives 0.25.
#
# The network has 32 units. At each step it computes a new state from the input and the old state, always with the same
# two matrices:
#
# $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b)$$
#
# An affine layer turns the last state into four scores. The loss is a hinge: 3 for a network that gives all four symbols
# the same score, 0 where the right symbol is ahead by 1 of each other.
#
# It trains for 80 steps of plain gradient descent. A *step* will be a step of the sequence from here on; the others we call
# training steps.

# %% tags=["experiment"]
failed = experiments.recorded("exploding_rnn")
losses, gradients = failed["losses"], failed["gradients"]

print("training step             1      2      3      4      5")
print("loss             ", "".join(f"{value:7.1f}" for value in losses[:5]))
print("norm of dWh      ", "".join(f"{value:7.1f}" for value in gradients[:5]))
print(f"largest loss of the run         {failed['worst_loss']:6.1f}")
print(f"accuracy after 80 training steps{failed['accuracy']:6.2f}")

figure, axes = plots.canvas()
training_steps = np.arange(1, 81)
axes.semilogy(training_steps, losses, markevery=10, **plots.SERIES[1])
axes.set(xlabel="training step", ylabel="loss (log axis)", title="80 training steps")
plots.show(
    figure,
    "The loss on a log axis: it starts at 2.8, is above 50 at the fourth training step, and jumps between 11 and 105 for the rest.",
)

# %% [markdown]
# *The figure: the loss jumps twentyfold within four training steps, and never comes back.*
#
# At the start the loss is 2.8. At the fourth training step it is 55.5, and at the end the network is as good as a guess.
#
# Here is what whoever built it had in mind. "On the way back through 20 steps, the gradient passes $W_h$ 19 times. So I made
# $W_h$ small: its largest eigenvalue has the absolute value 0.7. Nothing can explode, since $0.7^{19}$ is 0.001."
#
# The largest absolute value of the eigenvalues is called the **spectral radius**. It was 0.7 before the first training step. What
# do you think it was before the second, the fifth, and the last?

# %% tags=["experiment"]
prediction_1 = ""  # three numbers, and where the plan went wrong

# %% tags=["experiment"]
if predicted(prediction_1):
    radii = failed["radii"]
    print(f"the plan: 0.7 to the power of 19 is {0.7**19:.3f}")
    print("training step             1      2      3      4      5     80")
    print("spectral radius  ", "".join(f"{radii[k]:7.2f}" for k in (0, 1, 2, 3, 4, 79)))
    print(f"norm of dWh       {gradients[3]:.1f} at training step 4   {np.median(gradients[5:]):.4f} in the median from 6 on")
    print(f"share of the states within 0.02 of -1 or 1, after training   {failed['saturated']:.2f}")

    figure, (left, right) = plots.canvas(1, 2, width=9.6)
    left.semilogy(training_steps, radii, markevery=10, **plots.SERIES[0])
    left.axhline(1, color=plots.INK, linewidth=1)
    left.set(xlabel="training step", ylabel="spectral radius of Wh (log axis)", title="The matrix")
    right.semilogy(training_steps, gradients, markevery=10, **plots.SERIES[1])
    right.set(xlabel="training step", ylabel="norm of dWh (log axis)", title="Its gradient")
    plots.show(
        figure,
        "Left: the spectral radius rises from 0.7 to 31 within four training steps and stays near 29. Right: the norm of "
        "the gradient of Wh rises to 19 at the fourth training step, then falls. But for peaks at 6 and 49 it lies between "
        "0.0001 and 0.1.",
    )

# %% [markdown]
# *The figure: on the left the spectral radius goes from 0.7 to 30.7 in four training steps, and stays near there. On the right
# the gradient of the same matrix rises with it, and then, but for a few training steps, it is next to nothing.*
#
# Two things happened, one after the other.
#
# - The plan was about the *start*. Each training step changes $W_h$, and a large gradient makes a large change, which makes the next
#   gradient larger. After four of them the radius was 30.7.
# - Then the gradient of $W_h$ vanished: 0.002 in the median. With weights that large, 0.95 of the states lie next to $-1$ or
#   $1$, where a tanh is flat, so the matrix hardly moves. The loss still jumps: the layer above goes on learning, from states
#   that say nothing.
#
# It exploded, and then it saturated. To see how a gradient comes back through 20 steps at all, you have to write it.

# %% [markdown]
# ## 2. Build it: one step
#
# $$h' = \tanh(x W_x + h W_h + b)$$
#
# You have written all parts of this: two affine maps, and a tanh. N examples at once: `x` is (N, D), the states are
# (N, H). **Exercise `rnn_step_forward`** (core, 2 points).

# %% solution="rnn_step_forward"
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    """One step of a recurrent network with a tanh.

    Parameters
    ----------
    x : ndarray, shape (N, D)
        The input at this step.
    prev_h : ndarray, shape (N, H)
        The state after the step before. It still belongs to the caller.
    Wx : ndarray, shape (D, H)
    Wh : ndarray, shape (H, H)
    b : ndarray, shape (H,)

    Returns
    -------
    next_h : ndarray, shape (N, H)
    cache : anything
        What rnn_step_backward needs.
    """
    ### BEGIN SOLUTION
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)
    ### END SOLUTION

# %% check="rnn_step_forward"
check("rnn_step_forward")

# %% [markdown]
# ### Backward
#
# Go back in two stages. First through the tanh: call what is inside the bracket $a$. What is $da$, if `dnext_h` arrives? From
# there on it is an affine layer with two inputs.
#
# A warning. $W_h$ is square, so a forgotten or a superfluous transpose gives no error. Follow the axes: which of them belongs
# to the state before the step, which to the state after it?
#
# **Exercise `rnn_step_backward`** (core, 5 points).

# %% solution="rnn_step_backward"
def rnn_step_backward(dnext_h, cache):
    """Send the upstream gradient back through one step.

    Parameters
    ----------
    dnext_h : ndarray, shape (N, H)
        The gradient of the loss for the state after the step. It still belongs to the caller.
    cache : anything
        What rnn_step_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dprev_h : ndarray, shape (N, H)
    dWx : ndarray, shape (D, H)
    dWh : ndarray, shape (H, H)
    db : ndarray, shape (H,)
    """
    ### BEGIN SOLUTION
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)
    ### END SOLUTION

# %% check="rnn_step_backward"
check("rnn_step_backward")

# %% [markdown]
# ## 3. Build it: through time
#
# Now T steps, with the same weights at each of them. `x` is (N, T, D). The state after each step goes out, as (N, T, H), and
# into the next step. **Exercise `rnn_forward`** (core, 3 points).

# %% solution="rnn_forward"
def rnn_forward(x, h0, Wx, Wh, b):
    """A recurrent network over whole sequences.

    Parameters
    ----------
    x : ndarray, shape (N, T, D)
    h0 : ndarray, shape (N, H)
        The state before the first step.
    Wx, Wh, b : ndarray
        As in rnn_step_forward, the same at every step.

    Returns
    -------
    h : ndarray, shape (N, T, H)
        The state after each step.
    cache : anything
        What rnn_backward needs.
    """
    # rnn_step_forward is there to be used
    ### BEGIN SOLUTION
    states, caches, state = [], [], h0
    for t in range(x.shape[1]):
        state, cache = rnn_step_forward(x[:, t], state, Wx, Wh, b)
        states.append(state)
        caches.append(cache)
    return np.stack(states, axis=1), caches
    ### END SOLUTION

# %% check="rnn_forward"
check("rnn_forward")

# %% [markdown]
# ### Backpropagation through time
#
# Draw three steps on paper: three boxes in a row, $h_0$ enters on the left, an $x$ comes into each box from below, and each $h_t$
# leaves upwards to the loss *and* to the right into the next box. Then go back with two questions.
#
# - How many arrows leave $h_2$? Each of them brings a gradient home. `dh[:, 1]` is what the loss says of $h_2$ directly.
# - In how many boxes does $W_h$ stand? In assignment 01 a weight was used by all examples of a batch, and its gradient was a
#   sum over them. Here it is also used at all steps.
#
# **Exercise `rnn_backward`** (core, 6 points).

# %% solution="rnn_backward"
def rnn_backward(dh, cache):
    """Backpropagation through time.

    Parameters
    ----------
    dh : ndarray, shape (N, T, H)
        What the loss says of each state directly, without what comes back from later steps.
    cache : anything
        What rnn_forward returned. It may be read a second time: leave it as it was.

    Returns
    -------
    dx : ndarray, shape (N, T, D)
    dh0 : ndarray, shape (N, H)
    dWx : ndarray, shape (D, H)
    dWh : ndarray, shape (H, H)
    db : ndarray, shape (H,)
    """
    # rnn_step_backward is there to be used; what do you start with at the last step?
    ### BEGIN SOLUTION
    dx, dWx, dWh, db = [], 0, 0, 0
    dprev = np.zeros_like(dh[:, 0])
    for t in reversed(range(dh.shape[1])):
        dx_t, dprev, dWx_t, dWh_t, db_t = rnn_step_backward(dh[:, t] + dprev, cache[t])
        dx.append(dx_t)
        dWx, dWh, db = dWx + dWx_t, dWh + dWh_t, db + db_t
    return np.stack(dx[::-1], axis=1), dprev, dWx, dWh, db
    ### END SOLUTION

# %% check="rnn_backward"
check("rnn_backward")

# %% [markdown]
# ### What arrives?
#
# The symbol is shown at step 1, and the loss looks at step 20. So what the network can learn about the symbol has to come back
# 19 steps. Your functions can say how much arrives. We take two kinds of $W_h$: *normal*, a matrix of independent normal numbers,
# and *orthogonal*, a rotation (or a reflection). Both are scaled to the radius.
#
# Before you run it: if the gradient for the input of step 20 is 1, what is it for step 1, with the spectral radius of 0.7 of
# the failed run, and with 1.2?

# %% tags=["experiment"]
prediction_2 = ""  # what arrives at step 1, for 0.7 and for 1.2

# %% tags=["experiment"]
if predicted(prediction_2) and ready(rnn_forward, rnn_backward):
    for start in ("normal", "orthogonal"):
        for radius in (0.7, 1.0, 1.2):
            draw = np.random.default_rng(0)
            x, y = memory_task(32, 20, draw, noise=0.1)
            h0, Wx, Wh = np.zeros((32, 32)), draw.standard_normal((4, 32)), matrix(start, radius, 32, draw)
            h, cache = rnn_forward(x, h0, Wx, Wh, np.zeros(32))
            dh = np.zeros_like(h)
            dh[:, -1] = draw.standard_normal((32, 32))  # a loss that looks at the last state only
            arrived = np.linalg.norm(rnn_backward(dh, cache)[0], axis=(0, 2))
            shares = "   ".join(f"step {step:2d}: {arrived[step - 1] / arrived[-1]:.0e}" for step in (20, 15, 10, 1))
            print(f"{start:10s} radius {radius}   {shares}")

# %% [markdown]
# With the 0.7 of the failed run, 0.00004 of the gradient arrives. The plan did keep it from exploding at the start. It also cut the
# network off from what it was to learn.
#
# Would you have seen that in the log? Section 1 printed a norm of 0.8 for the gradient of $W_h$ at the first training step, and
# that looks healthy. It is a sum over the steps, and the last few of them make it up. What vanishes in a recurrent network is
# one part of the sum: the one that knows of the first step.
#
# And the radius is not the whole story. At a radius of 1, three times as much comes back from the rotation as from the normal
# numbers. We need a cleaner look.

# %% [markdown]
# ## 4. Measure: the same matrix, a hundred times
#
# Take the tanh away: $h_t = h_{t-1} W_h$. Then $dh_T / dh_0$ is a product of T equal matrices.
# `jacobian_norms(Wh, steps)` does the steps back and returns, for $k = 0, 1, \dots$, the norm of $dh_T / dh_{T-k}$: by how much
# the gradient that grows most has grown after $k$ steps. Its first entry is 1.
#
# Start with rotations, multiplied by a number. All eigenvalues then have that number as their absolute value. What do you
# expect after 100 steps at 0.9, at 1, and at 1.1?

# %% tags=["experiment"]
prediction_3 = ""  # three numbers; only the powers of ten

# %% [markdown]
# And one matrix of another kind. It is triangular: zeros below the diagonal, 0.8 on it, 0.3 times normal numbers above. The
# eigenvalues of a triangular matrix stand on its diagonal, so every one of them is 0.8.
#
# **Exercise `measured_growth`** (core, 4 points). Set
#
# - `growth_09`, `growth_10` and `growth_11`: the norm after 100 steps for a rotation times 0.9, 1 and 1.1;
# - `peak`: the largest norm *on the way* through 400 steps of the triangular matrix.

# %% solution="measured_growth"
# draw_matrix("orthogonal", 0.9, 24, np.random.default_rng(6)) is a rotation times 0.9
triangular = draw_matrix("triangular", 0.8, 24, np.random.default_rng(6))
# set growth_09, growth_10, growth_11 and peak
### BEGIN SOLUTION
growth_09, growth_10, growth_11 = (
    jacobian_norms(draw_matrix("orthogonal", radius, 24, np.random.default_rng(6)), 100)[-1]
    for radius in (0.9, 1.0, 1.1)
)
peak = jacobian_norms(triangular, 400).max()
### END SOLUTION

# %% check="measured_growth"
check("measured_growth")

# %% tags=["experiment"]
if predicted(prediction_3) and "peak" in globals():
    for radius in (0.9, 1.0, 1.1):
        rotation = draw_matrix("orthogonal", radius, 24, np.random.default_rng(6))
        norm = jacobian_norms(rotation, 100)[-1]
        print(f"rotation times {radius}   after 100 steps {norm:12.7g}   {radius} to the power of 100: {radius**100:.7g}")
    norms = jacobian_norms(triangular, 400)
    stretch = np.linalg.norm(triangular, 2)
    print(f"triangular   spectral radius {radius_of(triangular):.2f}   largest singular value {stretch:.2f}")
    print(f"             after 1 step {norms[1]:.2f}   largest {norms.max():,.0f}, after {norms.argmax()} steps   at 400 {norms[-1]:.0e}")

    figure, axes = plots.canvas()
    k = np.arange(401)
    axes.semilogy(k, norms, label="triangular, all eigenvalues 0.8", markevery=40, **plots.SERIES[0])
    axes.semilogy(k[:12], stretch ** k[:12], label="its largest singular value to the power k", markevery=5, **plots.SERIES[1])
    axes.semilogy(k, 0.8**k, label="0.8 to the power k", markevery=40, **plots.SERIES[2])
    axes.set(xlabel="k steps back", ylabel="norm of dh_T / dh_(T-k)", ylim=(1e-18, 1e6), title="A linear recurrence")
    axes.legend()
    plots.show(
        figure,
        "On a log axis: the norm for the triangular matrix climbs from 1 to 8,608 at 45 steps back, then falls to 1e-15 at "
        "400. The powers of 0.8 fall from the start. The powers of the largest singular value lie above both.",
    )

# %% [markdown]
# *The figure: the norm for the triangular matrix leaves with the powers of its largest singular value, turns round at 45 steps,
# and falls from there on. The powers of 0.8 fall from the start.*
#
# For the rotations it is as simple as with numbers: 0.000027, 1 and 13,781. That is how little room there is between nothing and
# too much.
#
# The triangular matrix has all its eigenvalues at 0.8, and the gradient grows to 8,608 before it falls. Both statements are
# true, and they are about different things.
#
# - **Singular values** bound every single step. No step back stretches a gradient by more than the largest one. At 2.36 there is
#   room to grow. If it is below 1, there is none, at no step.
# - **Eigenvalues** say what happens *in the limit*, for as long as the recurrence is linear. Below 1 it ends at 0, above 1 it ends
#   at infinity. How far it climbs on the way, they do not say.
#
# A sequence is not infinite. On its way back through 45 steps, with a spectral radius of 0.8, a gradient of 1 had become 8,608.

# %% [markdown]
# ### One matrix, or a hundred
#
# How much of this is the *same* matrix? Draw a matrix of 24 x 24 normal numbers, of a width at which a step keeps lengths on
# average. Multiply it by itself 100 times. Or draw a new one for each of the 100 factors, as in a network of 100 layers. Twenty
# times each. Which of the two do you expect to spread more?

# %% tags=["experiment"]
same, different, radii_drawn = [], [], []
for seed in range(20):
    matrices = np.random.default_rng(seed).standard_normal((100, 24, 24)) / np.sqrt(24)
    radii_drawn.append(radius_of(matrices[0]))
    same.append(np.linalg.norm(np.linalg.matrix_power(matrices[0], 100), 2))
    product = np.eye(24)
    for each in matrices:
        product = product @ each
    different.append(np.linalg.norm(product, 2))
print(f"the same matrix, 100 times   norm of the product from {min(same):.1g} to {max(same):.0e}")
print(f"100 different matrices       norm of the product from {min(different):.1g} to {max(different):.0f}")
print(f"spectral radius of the first matrices, from {min(radii_drawn):.2f} to {max(radii_drawn):.2f}")
print(f"{max(radii_drawn):.2f} to the power of 100: {max(radii_drawn) ** 100:.0e}")

# %% [markdown]
# The products of different matrices lie between 0.2 and 35, those of one matrix between 0.9 and $9 \cdot 10^{13}$. Different matrices
# stretch different directions, and much of it averages out. One matrix stretches the same direction every time: of the 20,
# one had a radius of 1.38, and its hundredth power is of the size of the largest product.

# %% [markdown]
# ### All eigenvalues at 0
#
# One more, small enough to do by hand: $W_h = \begin{pmatrix} 2 & -2 \\ 2 & -2 \end{pmatrix}$. Square it on paper. What are its
# eigenvalues?
#
# In a network there are slopes between the matrices. Suppose that those of the two units are 1 and 0.05, at all steps.

# %% tags=["experiment"]
Wh = np.array([[2.0, -2.0], [2.0, -2.0]])
print(f"Wh squared {(Wh @ Wh).tolist()}")
slopes = np.diag([1.0, 0.05])  # a step back takes the gradient dh to dh @ slopes @ Wh.T
for steps in (1, 2, 10, 30):
    linear = np.linalg.matrix_power(Wh.T, steps)
    with_slopes = np.linalg.matrix_power(slopes @ Wh.T, steps)
    print(f"{steps:2d} steps   norm without slopes {np.linalg.norm(linear, 2):.1f}   with slopes {np.linalg.norm(with_slopes, 2):.2g}")

# %% [markdown]
# The square is 0, so both eigenvalues are 0, and the linear recurrence has forgotten everything after two steps. With one
# unit nearly flat, the same matrix multiplies the gradient by $3.4 \cdot 10^8$ in 30 steps. A slope of 0.05 *shrinks*, and yet it
# lets the product grow: the two units had cancelled each other, and now they do not.
#
# So a small spectral radius does not keep a nonlinear network from exploding. And section 1 showed that it does not stay small.

# %% [markdown]
# ## 5. Play: radius, slopes, time
#
# The lab draws the eigenvalues in the plane, with the unit circle, and beside them the norm of $dh_T / dh_{T-k}$ for a recurrence of
# 24 units. Two lines are there to compare: the powers of the spectral radius and of the largest singular value. With tanh, the lab
# runs your functions.
#
# 1. Linear, normal. Move the radius from 0.9 to 1.1. Which of the two lines does the measured one run parallel to?
# 2. Linear, triangular, radius 0.5, then 0.9. All 24 eigenvalues are on one point. For how many steps does the gradient grow?
# 3. tanh, normal, radius 1.1. Does it grow? Read the mean slope in the title, and multiply it by the radius.
# 4. tanh, radius 1.1, and move the size of the inputs from 0 to 1. Then find a radius at which the norm after 100 steps is near 1, with
#    inputs of 0.3.
# 5. ReLU, normal, radius 1.5. The mean slope is near one half. Why?

# %% tags=["lab"]
explore(spectral_radius, rnn_step_forward=rnn_step_forward, rnn_step_backward=rnn_step_backward)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. To the powers of the spectral radius, a little above them. The singular value is only right about the first step.
# 2. At 0.5 for 7 steps. At 0.9 it still grows after 100.
# 3. It does not: about $10^{-5}$ is left after 100 steps. The mean slope is 0.80, and 1.1 times 0.80 is 0.88.
# 4. The larger the inputs, the flatter the units, and the faster it falls. With inputs of 0.3, normal matrices come out below 1 even at
#    a radius of 1.5; a rotation passes 1 between 1.4 and 1.45, and is at 33 there. It is a narrow place to hit.
# 5. About half of the units are off at each step.
#
# </details>

# %% [markdown]
# ## 6. Measure: why does tanh vanish at 1.1?
#
# One matrix may be an accident. Take 20 of them, each with a spectral radius of 1.1. Of how many will the gradient be smaller after
# 100 steps than before? For the linear recurrence, for tanh without inputs, and for tanh with inputs of size 0.3?

# %% tags=["experiment"]
prediction_4 = ""  # three numbers, each of 20

# %% tags=["experiment"]
if predicted(prediction_4) and ready(rnn_step_forward, rnn_step_backward):
    own = {"rnn_step_forward": rnn_step_forward, "rnn_step_backward": rnn_step_backward}
    print("                    shrinks     after 100 steps: median, and from ... to    mean slope")
    for recurrence, inputs in (("linear", 0.0), ("tanh", 0.0), ("tanh", 0.1), ("tanh", 0.3)):
        ends, slopes = [], []
        for seed in range(20):
            draw = np.random.default_rng(seed)
            Wh = draw_matrix("normal", 1.1, 24, draw)
            result = spectral_radius.measure(Wh, 100, recurrence, inputs, draw, own)
            ends.append(result.norms[-1])
            slopes.append(result.slope)
        print(
            f"{recurrence:6s} inputs {inputs}   {sum(end < 1 for end in ends):2d} of 20   {np.median(ends):12.1e}"
            f"    {min(ends):.0e} to {max(ends):.0e}   {np.mean(slopes):14.2f}"
        )
    print(f"1.1 times 0.80, to the power of 100: {(1.1 * 0.80) ** 100:.1e}")

# %% [markdown]
# The linear recurrence grows, 20 times out of 20. With a tanh and inputs of 0.3 the gradient vanishes, 20 times out of 20.
#
# Each step back multiplies by $W_h$ *and* by the slopes of the units. Inputs push the units away from 0, where a tanh is less
# steep: the mean slope is 0.80. And $(1.1 \cdot 0.80)^{100}$ is $2.8 \cdot 10^{-6}$, about what the median says.
#
# Without inputs it can go either way, 13 to 7, and the median is 0.49: growth and flatness nearly balance.
#
# That is why a vanilla network usually forgets, and why section 1 surprised its builder: both radius and slopes change while it
# trains. At 0.7 next to nothing came back, until a few long training steps had made a matrix through which too much did.

# %% [markdown]
# ## 7. Build it: clipping in the loop
#
# In assignment 04 you wrote `clip_grad_norm(grads, max_norm)`. It returns clipped gradients and the norm from before. Here is the
# place where it is needed most.
#
# **Exercise `clipped_step`** (core, 3 points). One step of gradient descent on a dict of parameters, with the gradient clipped.
# One thing that clipping cannot do: if an entry of the gradient is infinite or not a number, there is no direction to keep. Then
# make no step.

# %% solution="clipped_step"
def clipped_step(params, grads, learning_rate, max_norm):
    """One step of gradient descent with the gradient clipped.

    Parameters
    ----------
    params : dict of str to ndarray
        They still belong to the caller: do not write into them.
    grads : dict of str to ndarray
        The names and shapes of params.
    learning_rate : float
    max_norm : float
        The largest norm of the gradient, all arrays together, that is left as it is.

    Returns
    -------
    new : dict of str to ndarray
        The parameters after the step; as they were, if the gradient is not finite.
    norm : float
        The norm of the gradient before clipping.
    """
    # clip_grad_norm(grads, max_norm) returns (clipped, norm)
    ### BEGIN SOLUTION
    clipped, norm = clip_grad_norm(grads, max_norm)
    if not np.isfinite(norm):
        return dict(params), norm
    return {name: w - learning_rate * clipped[name] for name, w in params.items()}, norm
    ### END SOLUTION

# %% check="clipped_step"
check("clipped_step")

# %% [markdown]
# Now the loop itself, with everything you wrote. It is the run of section 1, from the same kind of start: radius 0.7, learning rate 2.
#
# What will clipping at 0.1 do to the largest loss of the run, and what to the accuracy?

# %% tags=["experiment"]
prediction_5 = ""  # the largest loss, and the accuracy, with the gradient clipped at 0.1

# %% tags=["experiment"]
def train_by_hand(max_norm, seed, steps=80):
    """Train the network of section 1 with your functions; return losses, accuracy, and what arrives at step 1."""
    draw = np.random.default_rng(seed)
    params = {
        "Wx": draw.standard_normal((4, 32)), "Wh": matrix("normal", 0.7, 32, draw), "b": np.zeros(32),
        "w": draw.standard_normal((32, 4)) / np.sqrt(32), "c": np.zeros(4),
    }  # fmt: skip

    def forward(x):
        h, rnn_cache = rnn_forward(x, np.zeros((len(x), 32)), params["Wx"], params["Wh"], params["b"])
        scores, affine_cache = affine_forward(h[:, -1], params["w"], params["c"])
        return scores, (h.shape, rnn_cache, affine_cache)

    losses, arrives = [], []
    for _ in range(steps):
        x, y = memory_task(32, 20, draw, noise=0.1)
        scores, (shape, rnn_cache, affine_cache) = forward(x)
        loss, dscores = svm_loss(scores, y)
        dlast, dw, dc = affine_backward(dscores, affine_cache)
        dh = np.zeros(shape)
        dh[:, -1] = dlast  # the loss looks at the last state only
        dx, _, dWx, dWh, db = rnn_backward(dh, rnn_cache)
        grads = {"Wx": dWx, "Wh": dWh, "b": db, "w": dw, "c": dc}
        params, _ = clipped_step(params, grads, 2.0, max_norm)
        losses.append(loss)
        arrives.append(np.linalg.norm(dx[:, 0]) / np.linalg.norm(dx[:, -1]))
    x, y = memory_task(512, 20, draw, noise=0.1)
    return losses, np.mean(forward(x)[0].argmax(axis=1) == y), arrives


if predicted(prediction_5) and ready(rnn_forward, rnn_backward, clipped_step):
    for max_norm in (np.inf, 1.0, 0.1):
        runs = [train_by_hand(max_norm, seed) for seed in range(5)]
        worst = " ".join(f"{max(losses):5.1f}" for losses, _, _ in runs)
        shares = " ".join(f"{share:.2f}" for _, share, _ in runs)
        print(f"clipped at {max_norm:3}   largest loss of five runs {worst}   accuracy {shares}")
    print("share of the gradient that reaches the first step, clipped at 0.1")
    for label, part in (("in training step 1", slice(0, 1)), ("in the last ten", slice(-10, None))):
        reach = "   ".join(f"{np.median(arrives[part]):.0e}" for _, _, arrives in runs)
        print(f"    {label:18s}   {reach}")

# %% [markdown]
# Clipping at 0.1 does what it is for: no run rises above 3.9, where without it each of them went beyond 50. The accuracy says the
# rest. It is 0.74 at best, and little more with a limit of 1. No network of the table tells all four symbols apart. (Your numbers
# in the first two rows may be others: in a run that jumps like this, the order in which you add up is enough to change it.)
#
# The networks no longer explode. What keeps them from learning is in the last two rows: at the start, 0.0001 of the gradient
# reaches the first step. Clipping multiplies the whole gradient by one number, at most 1. It makes a long gradient shorter. It cannot
# bring back a part that has vanished from it.
#
# By the end, two of the five have found a matrix that lets it through, and theirs are the two best accuracies. Could they have
# started with one?

# %% [markdown]
# ## 8. Fix it
#
# Two things are wrong, then. This is what may be changed:

# %% tags=["experiment"]
for name, setting in experiments.find("exploding_rnn").SETTINGS.items():
    print(f"{name:15s} now {setting.default!s:7s}   {setting.what}")

# %% [markdown]
# **Exercise `remedy_06`** (core, 4 points). Write the settings that you change, and their values, into a dict. We train with them from
# ten starting points, 80 training steps each. The largest loss of a run must stay below 12, and accuracy must be at least 0.95, in
# the mean of the ten.
#
# Ask twice: what lets the gradient through at the start, and what keeps it in bounds later? The table of section 3 and the lab
# have something to say about the first.

# %% solution="remedy_06"
# remedy = {"setting": value, ...}
### BEGIN SOLUTION
remedy = {"start": "orthogonal", "radius": 1.2, "clip_norm": 0.1}
# Ways that work, and ways that do not:
#
# - `{"start": "orthogonal", "radius": 1.2, "clip_norm": 0.1}` works: all directions come back at the start, the slopes are made up for
#   by a radius a little above 1, and the clipping keeps it from running away. From 1.1 to 1.5 it works as well, and so do
#   normal numbers at 1.2. At a radius of
#   1 three of the ten starts end below 0.8, and the mean is 0.91: nothing makes up for the slopes.
# - `{"clip_norm": 0.1}` alone does not. You saw why in section 7.
# - `{"start": "orthogonal", "radius": 1.2}` alone does not: the gradient arrives, and long training steps throw the weights far off.
# - A smaller radius, to be safe, does not, clipped or not.
# - A lower learning rate alone does not: a network that hears nothing learns nothing, only more slowly. With a rotation of 1.2 *and* a
#   rate of 0.01 it can be done without clipping. That is a two hundredth of the rate at all times, for a gradient that is
#   too long now and then.
# - Clipping at 1 is not enough at a learning rate of 2: a training step may then still be 2 long.
### END SOLUTION

# %% check="remedy_06"
check("remedy_06")

# %% tags=["experiment"]
if "remedy" in globals() and ready(rnn_forward, rnn_backward):
    run = experiments.find("exploding_rnn")
    for label, changes in (("as it is", {}), ("with your remedy", remedy)):
        runs = [
            run.run(
                experiments.complete(run, changes),
                {"rnn_forward": rnn_forward, "rnn_backward": rnn_backward},
                np.random.default_rng(seed),
            )
            for seed in range(3)
        ]
        worst, share = (np.mean([each[key] for each in runs]) for key in ("worst_loss", "accuracy"))
        radius = np.median([each["radii"][-1] for each in runs])
        print(f"{label:16s}   largest loss {worst:5.1f}   accuracy {share:.2f}   radius at the end {radius:.1f}   (3 networks)")

# %% [markdown]
# Which of your attempts failed although the gradient was clipped, and which although it arrived? The published solution
# lists the ways that work, with what they reach.

# %% [markdown]
# ## 9. Another way back
#
# Everything so far comes from one fact: to get back one step, the gradient passes $W_h$ and a slope. What if there were a path on
# which it passes neither?
#
# An LSTM keeps a second state, the **cell** $c$. At each step it is not made anew but kept, in part, and added to:
#
# $$c_t = f_t \, c_{t-1} + i_t \, g_t \qquad h_t = o_t \tanh(c_t)$$
#
# $g$ is a proposal between $-1$ and 1. The gates $i$, $f$ and $o$ lie between 0 and 1, and the network computes them from $x_t$ and
# $h_{t-1}$ at each step. Now go one step back along the cell: what is $\partial c_t / \partial c_{t-1}$, if the gates are taken as
# given?
#
# It is $f_t$: a number for each unit, no matrix and no slope. If the network learns to keep a forget gate near 1, the gradient passes.
#
# Here is the memory task again, twice as long, with more noise. Four networks of 16 units, six starts each, all trained alike,
# with clipping. Two are vanilla networks, as so far; one of them starts like the remedy of section 8, with a rotation times 1.2. The
# other two are LSTMs, which differ in the bias of their forget gates at the start: 0 or 4. Which of the four remember?

# %% tags=["experiment"]
prediction_6 = ""  # which of: normal radius 0.9, orthogonal radius 1.2, LSTM forget bias 0, LSTM forget bias 4

# %% tags=["experiment"]
if predicted(prediction_6):
    remembered = experiments.recorded("memory")
    for name, shares in zip(memory.NETWORKS, remembered["accuracies"], strict=True):
        print(f"{name:23s} accuracy of six networks {' '.join(f'{share:.2f}' for share in shares)}")
    for bias in (0, 1, 4):
        gate = 1 / (1 + np.exp(-bias))
        print(f"forget bias {bias}   gate {gate:.3f}   of the gradient along the cell, 40 steps back {gate**40:.0e}")

    figure, axes = plots.canvas()
    for name, losses, series in zip(memory.NETWORKS, remembered["losses"], plots.SERIES, strict=True):
        smooth = np.convolve(losses.mean(axis=0), np.ones(10) / 10, mode="valid")
        axes.plot(np.arange(len(smooth)) + 5, smooth, label=name, markevery=20, markersize=5, **series)
    axes.set(xlabel="training step", ylabel="loss, mean of six starts", ylim=(0, None), title="40 steps to remember")
    axes.legend()
    plots.show(
        figure,
        "Four losses over 150 training steps. The LSTM with forget bias 0 stays at 3. The vanilla networks stay there for "
        "100 training steps and end at 2.8 (normal) and 2.0 (orthogonal). The LSTM with forget bias 4 falls from the start "
        "and ends at 0.35.",
    )

# %% [markdown]
# *The figure: one of the four losses falls from the start, that of the LSTM whose forget gates start open. The others stay near 3
# for 100 training steps.*
#
# With a bias of 4, four of the six LSTMs are right in 0.91 and more, the other two in about 0.7. The best vanilla network comes to
# 0.65: what was enough for 20 steps is not enough for 40.
#
# And the LSTM with a bias of 0 guesses, though it has the same additive path. Its forget gates start at one half, and $0.5^{40}$ is
# $9 \cdot 10^{-13}$: next to nothing comes back that could teach them to open. The path has to have a factor near 1. "An LSTM
# solves vanishing gradients" needs a condition: where the forget gates are open.

# %% [markdown]
# ## 10. Stretch: one step of an LSTM
#
# The three gates and the proposal come from one affine map, $a = x W_x + h W_h + b$, of shape (N, 4H). Its columns hold four blocks
# of H in this order: $i$, $f$, $o$, $g$. The first three go through a sigmoid, $g$ through a tanh.
#
# **Exercise `lstm_step_forward`** (stretch, 2 points). `sigmoid_forward` is imported; like yours in assignment 02, it returns a
# pair.

# %% solution="lstm_step_forward"
def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    """One step of an LSTM.

    Parameters
    ----------
    x : ndarray, shape (N, D)
    prev_h, prev_c : ndarray, shape (N, H)
        State and cell after the step before.
    Wx : ndarray, shape (D, 4H)
        H columns each for i, f, o and g.
    Wh : ndarray, shape (H, 4H)
    b : ndarray, shape (4H,)

    Returns
    -------
    next_h, next_c : ndarray, shape (N, H)
    cache : anything
        What lstm_step_backward needs.
    """
    ### BEGIN SOLUTION
    ai, af, ao, ag = np.split(x @ Wx + prev_h @ Wh + b, 4, axis=1)
    (i, _), (f, _), (o, _) = sigmoid_forward(ai), sigmoid_forward(af), sigmoid_forward(ao)
    g = np.tanh(ag)
    next_c = f * prev_c + i * g
    tanh_c = np.tanh(next_c)
    return o * tanh_c, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c)
    ### END SOLUTION

# %% check="lstm_step_forward"
check("lstm_step_forward")

# %% [markdown]
# Backward, two gradients arrive, and both of them reach the cell. Write down everything that $c_t$ goes into before you start;
# then everything it was made of.
#
# **Exercise `lstm_step_backward`** (stretch, 5 points).

# %% solution="lstm_step_backward"
def lstm_step_backward(dnext_h, dnext_c, cache):
    """Send both upstream gradients back through one step of an LSTM.

    Parameters
    ----------
    dnext_h, dnext_c : ndarray, shape (N, H)
        The gradients for state and cell; dnext_c is without what reaches the cell through the state. They still
        belong to the caller: do not write into them.
    cache : anything
        What lstm_step_forward returned.

    Returns
    -------
    dx : ndarray, shape (N, D)
    dprev_h, dprev_c : ndarray, shape (N, H)
    dWx : ndarray, shape (D, 4H)
    dWh : ndarray, shape (H, 4H)
    db : ndarray, shape (4H,)
    """
    ### BEGIN SOLUTION
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * prev_c * f * (1 - f),
            dnext_h * tanh_c * o * (1 - o),
            dc * i * (1 - g**2),
        ],
        axis=1,
    )
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)
    ### END SOLUTION

# %% check="lstm_step_backward"
check("lstm_step_backward")

# %% [markdown]
# Your step, 40 times forward and 40 times back. How much of a gradient for the last cell arrives at the first, for three biases of
# the forget gate, and small weights? And the last line: what do larger weights change?

# %% tags=["experiment"]
if ready(lstm_step_forward, lstm_step_backward):
    for bias, size in ((0.0, 1 / 16), (1.0, 1 / 16), (4.0, 1 / 16), (4.0, 1 / 4)):
        draw = np.random.default_rng(0)
        Wx, Wh, b = 0.5 * draw.standard_normal((4, 64)), size * draw.standard_normal((16, 64)), np.zeros(64)
        b[16:32] = bias
        h, c, caches = np.zeros((32, 16)), np.zeros((32, 16)), []
        for _ in range(40):
            h, c, cache = lstm_step_forward(0.5 * draw.standard_normal((32, 4)), h, c, Wx, Wh, b)
            caches.append(cache)
        dh, dc = np.zeros((32, 16)), draw.standard_normal((32, 16))
        before = np.linalg.norm(dc)
        for cache in reversed(caches):
            _, dh, dc, *_ = lstm_step_backward(dh, dc, cache)
        print(f"forget bias {bias}   weights of size {size:.2f}   arrives at the first cell {np.linalg.norm(dc) / before:.1g}")

# %% [markdown]
# With a bias of 4 and small weights, 0.9 of it arrives. The gates alone would leave 0.5; the rest came through the states, which pass
# $W_h$ at each step. With larger weights that path grows, and ten times as much arrives as was sent. The gradient of an LSTM can
# grow on its way back like any other, which is why those of section 9 were clipped too.

# %% [markdown]
# ## 11. Say it
#
# **Exercise `quiz_06`** (core, 4 points). One letter each.
#
# **1.** Why is a recurrent network over 100 steps more likely to lose or to blow up its gradient than a feedforward network of 100
# layers with random weights of the same size?
#
# - a) Its tanh is steeper than 1 for large states.
# - b) It multiplies by the same matrix each time, so what one step does to a direction is raised to a power.
# - c) Its weight gradients are sums over 100 steps.
# - d) It has one state for all examples of a batch.
#
# **2.** All eigenvalues of $W_h$ are 0.8, and the recurrence is linear. What do you know about the gradient on its way back?
#
# - a) It shrinks at each step, by a factor of 0.8.
# - b) Nothing: eigenvalues say nothing about gradients.
# - c) It grows without bound if the largest singular value is above 1.
# - d) It goes to 0 in the end, and may grow a long way before that.
#
# **3.** With a tanh, a spectral radius of 1.1 and inputs of size 0.3, the gradient vanished in 20 of 20 networks. Why?
#
# - a) The slopes of the units are below 1, and their product with the radius was too.
# - b) Rounding errors add up over 100 steps.
# - c) A radius of 1.1 is too small for 100 steps, with or without a tanh.
# - d) The spectral radius of a random matrix is only right in the mean.
#
# **4.** Somebody clips the norm of the gradient at 1. The loss no longer jumps. The network still cannot say what the first input
# was, 20 steps ago. Why?
#
# - a) The limit is too low: clipping made the part that comes from the first input too small.
# - b) Norm clipping turned the gradient away from the first input.
# - c) Clipping makes all parts of the gradient smaller by one factor. The part from the first input was next to nothing before.
# - d) The gradient of the first input is not computed, because the loss looks at the last step only.

# %% solution="quiz_06"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "b", "2": "d", "3": "a", "4": "c"}
### END SOLUTION

# %% check="quiz_06"
check("quiz_06")

# %% [markdown]
# **In your own words** (not graded). A colleague trains a vanilla recurrent network on sequences of 100 steps. They say: "I start with
# a spectral radius of 0.9, so it cannot explode, and I clip at 1, so it will learn." Answer in six sentences at most. Use at least
# two numbers that you measured. Say what you would look at during training, and what you would change.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# A radius of 0.9 is a statement about the start, and about the limit. In section 1 it went from 0.7 to 30.7 in four training steps.
# And with all eigenvalues at 0.8, a linear recurrence let the gradient grow to 8,608 on the way. Clipping will keep the loss from
# jumping, but of a rotation times 0.9 only 0.000027 of the gradient is left after 100 steps, even without a tanh, and clipping makes
# nothing larger: in section 7 the best of the clipped networks came to 0.74. I would log the norm of the gradient before clipping, the spectral radius
# and the mean slope of the states. I would start with a rotation a little above 1 and keep the clipping, or take an LSTM whose forget gates
# start open.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Both claims.** Did you answer the one about the radius and the one about clipping, each with a number?
# 2. **Limit and way.** Did you say what a radius below 1 does promise, and for which recurrence?
# 3. **Two failures.** Did you keep exploding and vanishing apart, and say which of them clipping is for?
# 4. **Next step.** Does what you would change let the gradient through, and did you say what you would look at?
#
# One point each. Three or four: go on. One or two: read sections 4, 6 and 7 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - The gradient of a weight that is used at every step is a sum over steps. A state has two readers, and their gradients add up.
# - Through T steps the gradient passes the same matrix T times, and T slopes. In the limit of a linear recurrence the eigenvalues
#   decide; each single step is bounded by the largest singular value.
# - A small radius at the start is no protection: the matrix is trained.
# - What vanishes is the part of the gradient that comes from far back. The sum over the steps may look healthy.
# - Clipping is for the gradient that is too long. It does not bring back one that has vanished.
# - What lets it through from the start: with a tanh, a rotation times a little more than 1. Over more steps, an additive path with
#   a factor near 1. In an LSTM that factor is the forget gate, and it has to start open.
#
# ## Where this shows up today
#
# - **Clipping** is in nearly every training script for language models, at a norm of 1.0 as a rule, and the norm before clipping is one of
#   the curves that people watch.
# - **Truncated backpropagation** cuts the way back after some tens of steps, to save time and memory. To whatever lies further back,
#   the gradient is then exactly 0.
# - **Orthogonal initialisation** of recurrent matrices is the default of `keras.layers.LSTM`; its `unit_forget_bias` starts the forget gates
#   at a bias of 1. In PyTorch the forget bias has to be set by hand.
# - **State-space models** such as S4 and Mamba are recurrences, linear in their state, whose eigenvalues are kept inside the unit
#   circle by the way in which they are parametrised. Section 4 is about them.
# - **Transformers** do away with the recurrence: from any step to any other it is one hop of attention. Their additive path runs through
#   the layers.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The section on exploding gradients in RNNs.
# - Sepp Hochreiter and Jürgen Schmidhuber, *Long Short-Term Memory*, Neural Computation 9(8), 1997.
# - Yoshua Bengio, Patrice Simard and Paolo Frasconi, *Learning Long-Term Dependencies with Gradient Descent is Difficult*, IEEE
#   Transactions on Neural Networks 5(2), 1994.
# - Razvan Pascanu, Tomas Mikolov and Yoshua Bengio, *On the Difficulty of Training Recurrent Neural Networks*, ICML 2013. Norm clipping,
#   and singular values against eigenvalues.
# - Rafal Jozefowicz, Wojciech Zaremba and Ilya Sutskever, *An Empirical Exploration of Recurrent Network Architectures*, ICML 2015. On the
#   bias of the forget gate.
# - Quoc Le, Navdeep Jaitly and Geoffrey Hinton, *A Simple Way to Initialize Recurrent Networks of Rectified Linear Units*, 2015. The
#   identity matrix as a start.
