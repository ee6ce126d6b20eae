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
# # 07. A clipped loss
#
# *An agent finds a treasure again and again and learns nothing from it. The line that was to protect it from outliers is
# to blame.*
#
# When you are done you can
#
# - pick one number from each row of an array, forward and backward: the `Q[range(N), a]` of Q-learning;
# - derive the gradient of a loss with a clip in it, and say for which examples it is exactly zero;
# - write a Huber loss, and say what it clips;
# - write the loss of Q-learning, and say where its gradient must not go, and why;
# - tell a wrong gradient from a right gradient of the wrong loss.
#
# **Time.** 75 to 110 minutes, 29 points. All of it is core; this notebook has no stretch. You need no reinforcement
# learning: what is used of it is explained here.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments, plots
from minigrad.experiments.q_learning import WORLD, learn
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.labs import clip_against_huber, q_learning
from minigrad.labs.explore import explore, predicted, ready

# %% [markdown]
# ## 1. See it fail: the coin and the treasure
#
# A world of 4 x 4 cells. An agent starts in the top left corner and moves up, right, down or left. In the top right
# corner lies a coin: every move that ends there pays 0.1, as often as one likes. In the bottom right corner lies a
# treasure: it pays 10, and the episode is over. An episode has 20 moves at most.
#
# Somebody wandered about in it at random for 1,000 moves. From a record of those moves a small network learns, for each
# action in each cell, what doing it is worth: the reward, and whatever can be earned from there on, a move later
# counting 0.9 times as much. It learns for 600 steps, on 32 of the moves at a time. Its *error* on a move is what it
# said about the move, minus what the move turned out to bring.
#
# Rewards of 10 among rewards of 0 and 0.1 are outliers. So the author clipped every error to $\pm 1$ before squaring
# it. Every 20 steps we let the agent play one episode, in which it does in each cell what looks best.

# %% tags=["experiment"]
failed = experiments.recorded("q_learning")

print(f"treasures found in 1,000 moves             {failed['treasures']:.0f}")
print(f"times that one of them was in a batch      {failed['seen']:.0f}")
print(f"loss, mean of the first 50 steps           {failed['losses'][:50].mean():.4f}")
print(f"loss, mean of the last 50 steps            {failed['loss']:.4f}")
print(f"what an episode pays after 600 steps       {failed['reward']:.1f}")

figure, (left, right) = plots.canvas(1, 2, width=9.6)
left.plot(failed["losses"], ".", markersize=4, color=plots.COLOURS["vermillion"])
left.set(xlabel="step", ylabel="loss", ylim=(-0.002, 0.08), title="Loss of each batch")
right.plot(failed["counted"], failed["rewards"], markersize=4, **plots.SERIES[1])
right.axhline(10.0, color=plots.INK, linestyle=":")
right.text(300, 9.3, "the treasure", color=plots.INK, ha="center", fontsize=9)
right.set(xlabel="step", ylabel="reward", ylim=(-0.4, 11), title="What an episode pays")
plots.show(
    figure,
    "Left: the loss of each batch, as points. From the first step to the last they lie on a few level rows: at 0, near "
    "0.016, near 0.031 and above. Right: what an episode pays goes from 0 to 1.8 within 60 steps and stays there, far below "
    "a dotted line at 10.",
)

# %% [markdown]
# *The figure: a loss that is small all the time, in level rows of points, and an agent that earns 1.8 in every episode
# from step 60 on.*
#
# It learned something. It walks to the coin in three moves and stays there: 18 times 0.1. The mean loss is below 0.01
# at the beginning and at the end, and nothing is `nan`.
#
# But the treasure was in the record 17 times, and those 17 moves came up in the batches 342 times. What does the
# network now think that the last move before the treasure is worth? It pays 10. And how large was the gradient that
# these 342 examples sent back?

# %% tags=["experiment"]
prediction_1 = ""  # two numbers: the value of that move, and the gradient from the treasures

# %% tags=["experiment"]
if predicted(prediction_1):
    print(f"value of the last move before the treasure   {failed['value']:.2f}")
    print(f"treasures whose gradient was exactly 0       {failed['silent']:.0f} of {failed['seen']:.0f}")
    print(f"the same for all other examples              {100 * failed['silent_others']:.1f} %")

    figure, (left, right) = plots.canvas(1, 2, width=7.4, height=3.6)
    q_learning.draw_values(left, failed["values"], "What the network learned")
    q_learning.draw_values(right, WORLD.optimal_q(0.9), "What is true")
    plots.show(
        figure,
        "Two pictures of the 16 cells, each with a value and an arrow for the move that looks best. Left: learned values "
        "from 0.6 to 1.0, and from the start the arrows lead to the coin. Right: true values from 6.0 at the start to 10.0 "
        "beside the treasure, and all arrows lead there.",
    )

# %% [markdown]
# *The figure: on the left the values that were learned, none above 1.0. On the right the true ones, up to 10.0. The
# arrows show the best move in each cell.*
#
# 0.87, after 342 times 10. The gradient was exactly 0 in 342 of 342 cases. The 0.87 is what spilled over from the
# neighbouring cells; the move itself taught the network nothing. Close to the treasure a few arrows do point at it,
# for a lead of 0.1. From the start, they lead to the coin.
#
# Look at the first figure again. Its rows are 0.0156 apart. That is $\frac12 / 32$: each treasure in a batch costs one
# half, in the first step as in the last.
#
# Of the other examples 1.9 % were silent too. The rest sent gradients, and those were right: being on the coin is worth
# 1.0, and the network knows it. The guard against outliers removed the one thing in this world that is worth knowing.
#
# You will now write this loss, then the one that its author had in mind, and run both.

# %% [markdown]
# ## 2. Build it: one number of each row
#
# The network gives a row of values for each example: one for each action. The record says which action was taken. Only
# the value of *that* action can be compared with what happened.
#
# $$\text{out}_n = q_{n, a_n}$$
#
# With $N$ rows and an integer array $a$ of $N$ columns, this is the `Q[range(N), a]` of the papers. Mind that `q[:, a]` is
# something else. What shape does it have?
#
# **Exercise `gather_forward`** (core, 2 points).

# %% solution="gather_forward"
def gather_forward(q, actions):
    """Pick from each row the column that actions names.

    Parameters
    ----------
    q : ndarray, shape (N, A)
    actions : ndarray of int, shape (N,)
        A column for each row.

    Returns
    -------
    out : ndarray, shape (N,)
    cache : anything
        What gather_backward needs.
    """
    ### BEGIN SOLUTION
    return q[np.arange(len(q)), actions], (actions, q.shape)
    ### END SOLUTION

# %% check="gather_forward"
check("gather_forward")

# %% [markdown]
# Backward, `dout` has $N$ numbers and `dq` has $N \cdot A$. Which entries of $q$ did the output depend on? How many
# entries of `dq` can be different from 0?
#
# **Exercise `gather_backward`** (core, 3 points).

# %% solution="gather_backward"
def gather_backward(dout, cache):
    """Send the upstream gradient back through gather_forward.

    Parameters
    ----------
    dout : ndarray, shape (N,)
    cache : anything
        What gather_forward returned.

    Returns
    -------
    dq : ndarray, shape (N, A)
    """
    ### BEGIN SOLUTION
    actions, shape = cache
    dq = np.zeros(shape, dtype=dout.dtype)
    dq[np.arange(shape[0]), actions] = dout
    return dq
    ### END SOLUTION

# %% check="gather_backward"
check("gather_backward")

# %% [markdown]
# ## 3. Build it: the loss that failed
#
# Prediction $x$, target $t$, error $e = x - t$. The author's line says: clip the error to $[-\delta, \delta]$, square
# it, take half of the mean.
#
# $$L = \frac{1}{2N} \sum_n c(e_n)^2 \qquad c(e) = \operatorname{clip}(e, -\delta, \delta)$$
#
# The forward pass does what was intended. An error of 10 costs no more than an error of $\delta$.
#
# Now go back through it by hand. The chain rule has two factors for each example: $L$ changes with $c$, and $c$ changes
# with $e$. The first is $c / N$. For the second, take $\delta = 1$ and $e = 0.3$. Increase $e$ by 0.1: by how much does
# $c$ increase? Now the same at $e = 5$.
#
# At exactly $\pm\delta$ the clip has a kink and no derivative. We take the slope of the inside.
#
# **Exercise `clipped_delta_loss`** (core, 4 points). Arrays of any shape; $N$ is the number of all elements.

# %% solution="clipped_delta_loss"
def clipped_delta_loss(x, target, delta=1.0):
    """Half the mean square of the error, with each error clipped to [-delta, delta] before.

    Parameters
    ----------
    x, target : ndarray, any shape, the same for both
        Predictions, and what they should be.
    delta : float

    Returns
    -------
    loss : float
    dx : ndarray, shape of x
        Its gradient.
    """
    ### BEGIN SOLUTION
    error = x - target
    clipped = np.clip(error, -delta, delta)
    slope_of_clip = np.abs(error) <= delta  # 1 inside, 0 outside
    return np.mean(clipped**2) / 2, clipped * slope_of_clip / x.size
    ### END SOLUTION

# %% check="clipped_delta_loss"
check("clipped_delta_loss")

# %% [markdown]
# Is the gradient right? You have had an instrument for that since assignment 01. Before you run it: what will it say
# about a loss that does not learn?

# %% tags=["experiment"]
if ready(clipped_delta_loss):
    draw = np.random.default_rng(0)
    x, target = 3 * draw.standard_normal((5, 4)), np.zeros((5, 4))
    _, dx = clipped_delta_loss(x, target)
    measured = numerical_gradient(lambda _: float(clipped_delta_loss(x, target)[0]), x)
    print(f"errors outside of [-1, 1]: {np.sum(np.abs(x) > 1)} of {x.size}")
    print(f"relative error of dx: {relative_error(dx, measured):.0e}\n")

    for error in (0.5, 0.9, 1.1, 10.0, 1000.0):
        loss, dx = clipped_delta_loss(np.array([error]), np.zeros(1))
        print(f"error {error:7.1f}   loss {loss:.3f}   gradient {dx[0]:.3f}")

# %% [markdown]
# The check is content, and it is right. 14 of the 20 errors lay outside, the measured slope there was 0, and so was yours.
#
# **A gradient check compares a backward pass with its forward pass. It cannot know what you wanted.** This gradient is
# the right gradient of the wrong loss. From an error of 0.9 something is learned, from an error of 1000 nothing: the
# worse the mistake, the less it counts.

# %% [markdown]
# ## 4. Build it: the loss that was meant
#
# What did the author want? That one example with an error of 1000 does not decide the whole step. So what should be
# bounded? Not the error but its *pull*, and the pull is the gradient.
#
# Start from the gradient, then. We want $e$ near the target, as with half the square, and never more than $\delta$ in size:
#
# $$\frac{dL}{de} = \operatorname{clip}(e, -\delta, \delta)$$
#
# Which loss has this gradient? Inside it is $e^2/2$. Outside it is a straight line: $\delta\,|e| + \text{a constant}$.
# There is one constant with which the two parts meet at $\pm\delta$. Find it on paper. Check with $\delta = 2$, where
# an error of 5 should cost 8.
#
# **Exercise `huber_loss`** (core, 4 points). Again the mean over all elements.

# %% solution="huber_loss"
def huber_loss(x, target, delta=1.0):
    """Huber loss: square near the target, straight further out.

    Parameters
    ----------
    x, target : ndarray, any shape, the same for both
        Predictions, and what they should be.
    delta : float
        Where the straight part begins.

    Returns
    -------
    loss : float
    dx : ndarray, shape of x
        Its gradient.
    """
    ### BEGIN SOLUTION
    error = x - target
    size = np.abs(error)
    loss = np.where(size <= delta, error**2 / 2, delta * (size - delta / 2))
    return np.mean(loss), np.clip(error, -delta, delta) / x.size
    ### END SOLUTION

# %% check="huber_loss"
check("huber_loss")

# %% [markdown]
# Both losses contain a `clip`. One clips the error, and large errors stop pulling. The other clips the gradient, and
# they go on pulling, with a force of $\delta$.

# %% [markdown]
# ## 5. Play: three losses
#
# Half the square, the clipped error squared, and Huber, each for a single example. On the left what it costs, on the
# right how it pulls. The last two are your functions.
#
# 1. At $\delta = 1$, move *error* from 0 to 6. Where does each gradient stop growing, and at which value?
# 2. Set *error* to 3. Move $\delta$ from 0.1 to 5. Which of the three gradients change? Is there a jump?
# 3. Set $\delta = 5$. On errors up to 5, can you tell the three losses apart?
# 4. With $\delta = 0.1$, how hard does an error of 3 pull with the Huber loss? What would you have to change to learn
#    as fast as before?

# %% tags=["lab"]
explore(clip_against_huber, clipped_delta_loss=clipped_delta_loss, huber_loss=huber_loss)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. Half the square never stops. Huber stops at 1 and stays there. The clipped one grows to 1 and then drops to 0.
# 2. Half the square does not know $\delta$. Huber follows $\delta$ up to 3 and stays there. The clipped one is 0 until
#    $\delta$ reaches 3, and jumps to 3.
# 3. No. With no error outside of the bounds, all three are the same.
# 4. With 0.1. The learning rate would have to be larger, and then small errors pull too hard.
#
# </details>

# %% [markdown]
# ## 6. Build it: the loss of Q-learning
#
# What is the target? One move from the record says: in this state I did $a$, it paid $r$, and I came to another state.
# If the values of that next state are known, then the move was worth
#
# $$t_n = r_n + \gamma \max_a q'_{n a}$$
#
# the reward, and from there on what somebody gets who does the best. $\gamma$ is the discount, 0.9 in our world. The
# difference between what the network said, $q_{n a_n}$, and this target is the *temporal-difference error*.
#
# Two questions before you write it.
#
# - The move that ends an episode also has a "next state" in the record. What comes after it?
# - The same network makes $q$ and $q'$, or an older copy of it does. Should the gradient of the loss go to both? The
#   target plays the part of the label. You do not train a label. So there is a gradient for `q` and none for `next_q`;
#   section 8 shows what happens otherwise.
#
# **Exercise `td_loss`** (core, 5 points). The argument `loss` is called as `loss(prediction, target, delta)`. It is your
# `huber_loss` unless another one is given, so that the two can be compared. You have written
# everything else that it needs.

# %% solution="td_loss"
def td_loss(q, actions, rewards, next_q, done, gamma=0.99, delta=1.0, loss=huber_loss):
    """Loss of the temporal-difference errors of a batch of moves.

    Parameters
    ----------
    q : ndarray, shape (N, A)
        Values of all actions in the states in which the moves were made.
    actions : ndarray of int, shape (N,)
        What was done.
    rewards : ndarray, shape (N,)
        What it paid.
    next_q : ndarray, shape (N, A)
        Values of all actions in the states that came after.
    done : ndarray of bool, shape (N,)
        Whether the episode ended with this move.
    gamma : float
        Discount.
    delta : float
        Is handed on to the loss.
    loss : callable
        loss(prediction, target, delta) gives a number and the gradient of the prediction.

    Returns
    -------
    loss : float
    dq : ndarray, shape (N, A)
    """
    ### BEGIN SOLUTION
    target = rewards + gamma * np.where(done, 0.0, next_q.max(axis=1))
    taken, cache = gather_forward(q, actions)
    value, dtaken = loss(taken, target, delta)
    return value, gather_backward(dtaken, cache)
    ### END SOLUTION

# %% check="td_loss"
check("td_loss")

# %% [markdown]
# ### Play: with and without the clip
#
# The run of section 1, with your functions. Each press of the button is 100 steps more. The grid on the left shows what
# is learned, the one in the middle what is true.
#
# 1. *clipped*, $\delta = 1$: press six times. Read the last sentence.
# 2. *huber*, $\delta = 1$: press once, twice, six times. From where to where do the values spread?
# 3. *clipped* again, with a larger $\delta$. From which $\delta$ on does it learn?
# 4. *clipped*, $\delta = 1$, and a smaller *factor on all rewards*. From which factor on does it learn?

# %% tags=["lab"]
explore(q_learning, td_loss=td_loss, huber_loss=huber_loss, clipped_delta_loss=clipped_delta_loss)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. 1.8 for each episode, and 342 of 342 treasures without a gradient.
# 2. From the treasure outwards. After 100 steps the agent finds it, and the start is valued at 0.4; after 200 at 5.8.
#    In the end an episode pays 10.1 and not 10: the way leads over the coin.
# 3. From 9.5 on. At 9 nothing has changed yet.
# 4. At 0.1 the treasure is worth 1 to the network, which is just inside. At 0.15 it is not.
#
# </details>

# %% [markdown]
# ## 7. Measure: what would it take?
#
# `learn(seed, td_loss, huber_loss, clipped_delta_loss, **changes)` makes the run of section 1 from another seed, with
# your functions and some settings changed, such as `loss="huber"` or `delta=2.0`. It returns a dict. Its `"value"` is
# what the network expects of the last move before the treasure, its `"reward"` what an episode pays.
#
# **Exercise `measured_clip`** (core, 3 points). For seed 1, find
#
# - `clipped_value`: `"value"` with everything as it is;
# - `huber_value`: the same with your Huber loss;
# - `needed_delta`: the smallest `delta` with which the *clipped* loss learns the treasure, to about 5 %. Say it has
#   learned it if `"value"` is above 5.
#
# A run takes about a tenth of a second, and the grader makes yours again: twenty are enough, two hundred are too many.

# %% solution="measured_clip"
# set clipped_value, huber_value and needed_delta
### BEGIN SOLUTION
def value(**changes):
    return learn(1, td_loss, huber_loss, clipped_delta_loss, **changes)["value"]


clipped_value, huber_value = value(), value(loss="huber")

too_small, needed_delta = 1.0, 20.0
while needed_delta - too_small > 0.1:
    middle = (too_small + needed_delta) / 2
    if value(delta=middle) > 5:
        needed_delta = middle
    else:
        too_small = middle
print(f"clipped {clipped_value:.2f}   huber {huber_value:.2f}   the clipped loss learns it from delta = {needed_delta:.2f} on")
### END SOLUTION

# %% check="measured_clip"
check("measured_clip")

# %% [markdown]
# The reward is 10, the network expects something between 0 and 1, so the error lies between 9 and 10. The clipped loss
# is blind until $\delta$ is as large as that. Of a $\delta$ of 2, 5 or 8 one could think that it is "less strict". It
# is not: outside is outside.
#
# Now the things that people try first. Which of them will teach the agent the treasure?

# %% tags=["experiment"]
prediction_2 = ""  # a learning rate of 0.001, 0.03, 1 or 3; three times as many moves; delta = 5: which of them help?

# %% tags=["experiment"]
TRIES = [
    {}, {"learning_rate": 0.001}, {"learning_rate": 0.03}, {"learning_rate": 1.0}, {"learning_rate": 3.0},
    {"moves": 3000}, {"delta": 5.0}, {"loss": "huber"},
]  # fmt: skip

if predicted(prediction_2) and ready(gather_forward, gather_backward, clipped_delta_loss, huber_loss, td_loss):
    print("                         an episode pays   value of the last move   treasures without gradient   (3 networks)")
    for changes in TRIES:
        runs = [learn(seed, td_loss, huber_loss, clipped_delta_loss, **changes) for seed in range(3)]
        words = ", ".join(f"{name} = {setting}" for name, setting in changes.items()) or "as it is"
        pays, last = ("  ".join(f"{run[key]:4.1f}" for run in runs) for key in ("reward", "value"))
        share = sum(run["silent"] for run in runs) / sum(run["seen"] for run in runs)
        print(f"{words:22s}   {pays}   {last}         {100 * share:5.1f} %")

# %% [markdown]
# None of them, except the last. A learning rate multiplies the gradient, and a multiple of 0 is 0. More data bring more
# treasures, and every one of them is deleted. With a rate of 3 the values are thrown about so widely that a few
# treasures come within reach of the clip by accident. What that leaves is not knowledge: look at the first column.
#
# What kind of failure is this? In assignment 02 the gradient shrank on its way down, in 03 a unit turned it off. Here
# it is zero at the source, in the loss itself, and only for the examples that matter. The others send gradients as they
# should, and in the gradient of a *batch* nobody is missed. You find it by asking example by example.

# %% [markdown]
# ## 8. A gradient that must not flow
#
# One move: the network says 2.0 for the action that was taken, nothing was paid, and the best that comes next is worth
# 9.0. Suppose that the 9.0 is right. The target is $0.9 \cdot 9 = 8.1$.
#
# The loss depends on `next_q` too. Your `td_loss` does not say so, and it should not, but your instrument from
# assignment 01 can measure it. What happens to the 9.0 if somebody follows that gradient as well, as a framework does
# unless it is told not to?

# %% tags=["experiment"]
prediction_3 = ""  # where the 2.0 and the 9.0 end, with a gradient for both

# %% tags=["experiment"]
if predicted(prediction_3) and ready(gather_forward, gather_backward, huber_loss, td_loss):
    for follow_target in (False, True):
        q, next_q = np.array([[2.0, 0.0]]), np.array([[1.0, 9.0]])
        move = (np.array([0]), np.array([0.0]))  # the action and the reward

        def error_of(next_q, q=q, move=move):
            return float(td_loss(q, *move, next_q, np.array([False]), gamma=0.9)[0])

        for _ in range(300):
            _, dq = td_loss(q, *move, next_q, np.array([False]), gamma=0.9)
            dnext = numerical_gradient(error_of, next_q) if follow_target else 0.0
            q -= 0.1 * dq
            next_q -= 0.1 * dnext
        words = "for both      " if follow_target else "for q alone   "
        print(f"gradient {words}   this move {q[0, 0]:.2f}   best next move {next_q[0, 1]:.2f}")

# %% [markdown]
# With the gradient for `q` alone, the move learns that it is worth 8.1. With both, they meet: 5.37 here, and the 9.0,
# which was right, has become 5.97. The loss is 0 in both cases. Almost half of the gap was closed from the wrong side.
#
# In numpy the cut is free: you do not write the second gradient. In a framework it has to be written: `detach`,
# `stop_gradient`, a frozen copy of the network. Forget it and nothing complains.

# %% [markdown]
# ## 9. The relatives
#
# A forward pass that looks sensible, a backward pass that nobody thought of. Three more, in a few lines each.

# %% tags=["experiment"]
weights = np.array([0.26, -1.7, 3.4])
print("rounding:  slope of the sum of round(w):", numerical_gradient(lambda _: float(np.sum(np.round(weights))), weights))

x = np.array([4.0, 0.0])
positive = x > 0
out = np.where(positive, np.sqrt(x), 0.0)
to_the_root = np.where(positive, 1.0, 0.0)  # what the backward pass of `where` hands to the branch, for a dout of 1
with np.errstate(all="ignore"):
    dx = to_the_root * 0.5 / np.sqrt(x)
print(f"where:     out = {out}   dx = {dx}")

w = np.array([3.0])
measured = numerical_gradient(lambda _: float(np.sum(w * w)), w)
held = w.copy()  # what a framework calls detached
print(f"detached:  slope of w * w measured {measured[0]:.1f}   with one w detached {held[0]:.1f}")

# %% [markdown]
# - **Rounding** is a staircase: flat nearly everywhere, so its gradient is 0. Whoever trains quantised weights pretends
#   that it is 1, on purpose, and calls it the straight-through estimator. A lie, but one that is written down.
# - **`where`** evaluates both branches. For $x = 0$ the forward pass picks the 0 and drops the square root. Backward,
#   the dropped branch gets a gradient of 0, and its own slope there is infinite: $0 \cdot \infty$ is `nan`. The cure is
#   to give the branch a harmless input *before* the root: `np.sqrt(np.where(positive, x, 1.0))`.
# - **A detached branch** is a constant to the backward pass. In the target of section 8 that is what we want. Here it
#   takes away half of the gradient.
#
# Which of these would a gradient check find? Think before you open this.
#
# <details>
# <summary>Answer</summary>
#
# The last two: the `nan`, and 3.0 where 6.0 was measured. Rounding passes, as the clip did: the loss really is flat
# there. And for a detached target the check complains although all is well, unless it holds the target fixed as well.
#
# </details>

# %% [markdown]
# ## 10. Fix it
#
# Back to section 1. This is what may be changed:

# %% tags=["experiment"]
for name, setting in experiments.find("q_learning").SETTINGS.items():
    print(f"{name:15s} now {setting.default!s:8s}   {setting.what}")

# %% [markdown]
# **Exercise `remedy_07`** (core, 4 points). Write the settings that you change, and their values, into a dict. We train
# with them from ten starting points. An episode must pay 9 or more, and the network must expect between 9 and 11 of
# the last move before the treasure.
#
# There are three ways, each a single change. Find one, and be able to say why it works.
#
# Then a second question, which the grader does not ask. Next year everything in this world pays three times as much: 30
# for the treasure. Nobody tells the author of your remedy. Does it still hold? The last line of the cell after the check
# shows it, in the rewards of this year. Decide before you look.

# %% solution="remedy_07"
# remedy = {"setting": value, ...}
### BEGIN SOLUTION
remedy = {"loss": "huber"}
# Ways that work, and ways that do not:
#
# - `{"loss": "huber"}`: outliers pull, with a bounded force. That is what was meant. Next year 600 steps do not
#   suffice: an episode pays 6.7, and the last move is valued at 8.94. A bounded force takes longer to go further; with
#   2,400 steps, all three networks find the treasure.
# - `{"delta": 20.0}`: no error is outside any more, so nothing is clipped and nothing is guarded. It is half the square
#   until an error of 30 comes up. That one is deleted: next year an episode pays 1.8 again, and the value is 0.69.
# - `{"reward_scale": 0.1}`: the errors are made to fit the clip. Three times the rewards, and they do not fit: 1.8, and
#   a value of 0.68.
#
# Two of the three moved the bound out of the way of one reward. One put a slope where there was none.
### END SOLUTION

# %% check="remedy_07"
check("remedy_07")

# %% tags=["experiment"]
if "remedy" in globals() and ready(gather_forward, gather_backward, clipped_delta_loss, huber_loss, td_loss):
    richer = {**remedy, "reward_scale": 3 * remedy.get("reward_scale", 1.0)}
    for label, changes in (("as it is", {}), ("with your remedy", remedy), ("the same, next year", richer)):
        runs = [learn(seed, td_loss, huber_loss, clipped_delta_loss, **changes) for seed in range(3)]
        pays, last, loss = (float(np.mean([run[key] for run in runs])) for key in ("reward", "value", "loss"))
        print(f"{label:19s}   an episode pays {pays:4.1f}   value of the last move {last:5.2f}   loss at the end {loss:.5f}")

# %% [markdown]
# There are three ways that pass, and "next year" tells them apart: did yours move the bound out of the way of one reward, or
# put a slope where there was none? The published solution lists all three, with their numbers.

# %% [markdown]
# ## 11. Say it
#
# **Exercise `quiz_07`** (core, 4 points). One letter each.
#
# **1.** A published implementation of deep Q-learning clipped the temporal-difference error to $[-1, 1]$, squared it,
# and let the framework differentiate. What does a move with an error of 10 contribute to the step?
#
# - a) A gradient of size 1: the clip bounds it.
# - b) A gradient of size 10: a clip changes values and lets gradients pass.
# - c) A gradient of exactly 0: outside of its bounds, the output of the clip does not change with its input.
# - d) A gradient close to 0, which a larger learning rate makes up for.
#
# **2.** A gradient check of that loss gives a relative error of $10^{-10}$. What do you know?
#
# - a) That the backward pass belongs to the forward pass. Whether the forward pass is what was wanted, the check cannot
#   say.
# - b) That the check looked only at errors inside of the bounds.
# - c) That the bug is somewhere else, since the gradients are right.
# - d) That the step was too large to see the kink.
#
# **3.** What does a Huber loss do with an outlier?
#
# - a) It stops rising there, so the outlier costs no more than an error of $\delta$.
# - b) It throws the outlier away.
# - c) It lets it pull in proportion to its error, as the square does.
# - d) It lets it pull with the bounded force $\delta$, however large the error is.
#
# **4.** In a framework one network makes `q` and `next_q`, and nobody cuts the gradient at the target. What changes?
#
# - a) Nothing: the target is a number, and numbers have no gradient.
# - b) The loss can also be lowered by moving the value of the next state towards that of this one.
# - c) Nothing: the max has no gradient.
# - d) The two gradients cancel, and the network stops learning.

# %% solution="quiz_07"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "c", "2": "a", "3": "d", "4": "b"}
### END SOLUTION

# %% check="quiz_07"
check("quiz_07")

# %% [markdown]
# **In your own words** (not graded). A colleague predicts exam results between 0 and 100. Before the squared loss they
# clip the *prediction* to $[0, 100]$: "No result lies outside, so this can only help." After some training, a few
# students are predicted at exactly 0, and stay there. Answer in six sentences at most: what happened, how you would
# show it, and what you would do instead. Use one number that you measured.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# For some students the raw prediction has gone below 0. There the clip is flat, its slope is 0, and the chain rule
# multiplies the gradient of the loss with it: however wrong the prediction of 0 is, nothing pulls it back. I have
# measured that with a clipped error: 342 treasures were seen and 342 sent a gradient of exactly 0. I would print the
# gradient of the raw prediction example by example; it will be exactly 0 for the stuck ones, and a gradient check will
# find nothing wrong, since the loss really is flat there. I would train on the raw prediction and clip only when I
# report a result. If the range must be built in, I would use a sigmoid times 100, and watch its saturation.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Cause.** Did you say that the slope of the clip is 0 outside of its range, and that the chain rule multiplies
#    with it?
# 2. **Who is hit.** Did you say that it is the worst predictions that stop learning, and only those?
# 3. **Evidence.** Did you give a measurement that would show it, example by example, and a number of yours?
# 4. **Cure.** Does what you propose leave a gradient where the prediction is wrong?
#
# One point each. Three or four: go on. One or two: read sections 3, 4 and 7 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - A clipped number does not move with its input. Outside of the bounds its gradient is 0, and no learning rate brings
#   that back.
# - Clip the gradient, not the error. The Huber loss is the loss whose gradient is clipped.
# - A gradient check finds wrong gradients. It does not find right gradients of the wrong loss.
# - A target is not a prediction. Cut its gradient.
# - When something rare is not learned, look at the gradient of those examples alone. In the norm of a batch they do not
#   show.
#
# ## Where this shows up today
#
# - **`torch.nn.HuberLoss`** is yours. `SmoothL1Loss` is the same divided by its `beta`: it keeps a slope of 1 outside,
#   whatever `beta` is.
# - **`torch.clamp` and `jnp.clip`** have the gradient that you derived. So does every clip that you put between weights
#   and loss.
# - **PPO**, which many language models are tuned with, clips a probability ratio inside of its loss. There the zero
#   gradient is intended: an example that has moved far enough is to stop pulling. A minimum beside the clip sees to it
#   that it stops on one side only.
# - **Straight-through estimators** train quantised networks and discrete codes: a backward pass that is wrong on purpose.
# - **Rewards clipped** to $[-1, 1]$, as in the first deep Q-networks, make the errors fit, and make all treasures equal.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The section on the clipped error, which was found in a
#   published implementation.
# - Volodymyr Mnih et al., *Human-level control through deep reinforcement learning*, Nature 518, 2015. Deep Q-learning.
#   The methods section speaks of clipping the error term, and says a sentence later that the absolute value is meant
#   outside.
# - Peter Huber, *Robust Estimation of a Location Parameter*, Annals of Mathematical Statistics 35, 1964.
# - Richard Sutton and Andrew Barto, *Reinforcement Learning: An Introduction*, 2nd edition, MIT Press, 2018. Chapter 6 for
#   temporal-difference learning; section 11.5 for what happens when the gradient goes into the target.
# - Yoshua Bengio, Nicholas Léonard and Aaron Courville, *Estimating or Propagating Gradients Through Stochastic
#   Neurons*, 2013. The straight-through estimator.
