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
# # 08. The training clinic
#
# *Eight runs that do not learn. Nothing crashes, and you get to see the instruments only.*
#
# When you are done you can
#
# - write a softmax loss, with its gradient, that gives a number for any scores;
# - say which loss a network should have before its first step, and why that is not simply the logarithm of the number of
#   classes;
# - measure how far a step really moved the weights, whatever the optimizer;
# - read the record of a run from its first step on, name what is wrong, and change the one thing that heals it.
#
# **Time.** 90 to 120 minutes, all of it core, worth 31 points. Of these, 16 are for the eight patients. If time is short,
# leave out patients 5 and 7.
#
# **How it works.** As before: write where a cell says `YOUR CODE HERE`, then run the `check("...")` below it. Everything from
# the assignments before this one works here, batchnorm and clipping too.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import experiments
from minigrad.activity import count_dead_relus
from minigrad.diagnosis.thresholds import THRESHOLDS
from minigrad.gradcheck import gradient_check
from minigrad.labs import pathology_debugger
from minigrad.labs.explore import explore, predicted, ready
from minigrad.labs.pathology_debugger import Setup, build, chart, data, one_step, train
from minigrad.optimizers import sgd_momentum
from minigrad.training import fit

# %% [markdown]
# ## 1. See it fail: patient 1
#
# A network of three hidden layers of 24 ReLU units is to read digits. It trains for 100 steps on batches of 64 images, with
# momentum. Beside the loss, instruments at each layer wrote down three things:
#
# - the root mean square of the weight gradient;
# - the *update ratio*: how far the step moved the weights, as a share of their size;
# - the share of the hidden units that are dead on all 1,000 training images.
#
# This is all you get. The sentences below the figure say the same in numbers, and a few things more.

# %% tags=["experiment"]
chart(experiments.recorded("patient_1"))

# %% [markdown]
# *The figure: the loss jumps, then settles near ln 10. Three lines in each of the other panels, for steps 0, 9 and 99, from
# the first layer to the last. The band in the panel of the update ratios goes from 0.0001 to 0.05: below it
# a run is slow, above it it breaks. Section 5 measures both.*
#
# What is wrong with this run? And in which step did it go wrong?

# %% tags=["experiment"]
prediction_1 = ""  # your diagnosis, and the number in the record that it rests on

# %% tags=["experiment"]
if predicted(prediction_1):
    first = experiments.recorded("patient_1")
    for look in (0, 1, 2, 3, 5, -1):
        step, loss = int(first["looked"][look]), first["losses"][int(first["looked"][look])]
        moved, dead = first["updates"][look].max(), first["idle"][look].mean()
        print(f"step {step:2d}   loss {loss:5.2f}   largest update ratio {moved:.5f}   dead hidden units {dead:.2f}")

# %% [markdown]
# Look at the last line alone. Nearly all units are dead and the weights hardly move. "Dead ReLUs", one would say, "start the
# biases higher", or "the learning rate is too low".
#
# Now read from the top. After step 0, 7 % of the units were dead. But that step had moved one of the weight matrices by 54 % of
# its size, and the next two did it again, by 49 % and 36 %. By step 9 two units of three were dead. They did not start it.
#
# **Read a record forwards.** The last snapshot shows how a run died. The first strange number shows of what.
#
# There is an order in which to look, and it can be code. You will write it now, and then use it on eight patients. The first
# thing that it needs is a loss.

# %% [markdown]
# ## 2. Build it: the softmax loss
#
# The network gives a score $x_k$ to each of $C$ classes. Softmax makes probabilities of them, and the loss of an example is
# minus the logarithm of the probability of the right class $y$:
#
# $$p_k = \frac{e^{x_k}}{\sum_j e^{x_j}} \qquad L = -\log p_y$$
#
# What does the formula give, as it stands, for the scores 1000 and 0, and the right class the second?

# %% tags=["experiment"]
scores = np.array([1000.0, 0.0])
with np.errstate(all="ignore"):
    p = np.exp(scores) / np.exp(scores).sum()
    print("probabilities", p, "  loss", -np.log(p[1]))

# %% [markdown]
# It should be 1000. Two things went wrong, one after the other. $e^{1000}$ is too large for float64. And if it were not, the
# second probability would still be rounded to 0, whose logarithm is minus infinity.
#
# For the first: add the same number to all scores of an example. What happens to its probabilities? For the second: put
# the fraction into the logarithm and simplify, before you compute anything.
#
# Then the gradient. Derive it from the simplified form; each of its two terms has a derivative of one line. The loss of a batch
# is the mean over its examples.
#
# **Exercise `softmax_loss`** (core, 3 points).

# %% solution="softmax_loss"
def softmax_loss(x, y):
    """Mean cross-entropy of the softmax of scores, and its gradient.

    Parameters
    ----------
    x : ndarray, shape (N, C)
        Scores. They still belong to the caller.
    y : ndarray of int, shape (N,)
        The right class of each example.

    Returns
    -------
    loss : float
    dx : ndarray, shape (N, C)
    """
    ### BEGIN SOLUTION
    rows = np.arange(len(x))
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dx = np.exp(log_p)
    dx[rows, y] -= 1
    return -log_p[rows, y].mean(), dx / len(x)
    ### END SOLUTION

# %% check="softmax_loss"
check("softmax_loss")

# %% tags=["experiment"]
if ready(softmax_loss):
    for gap in (0.0, 5.0, 20.0, 1000.0):
        loss, dx = softmax_loss(np.array([[gap, 0.0]]), np.array([1]))
        print(f"the wrong class is ahead by {gap:6.0f}   loss {loss:8.3f}   gradient of the two scores {dx[0].round(3)}")

# %% [markdown]
# The further the network is off, the closer the gradient comes to 1, and it stays there. Softmax saturates, like
# the sigmoid of assignment 02. But the logarithm has a slope of $1/p$, and takes out exactly what the softmax put in. That is why
# the two are one function.

# %% [markdown]
# ## 3. First on the list: the loss before the first step
#
# Ten classes, a network that knows nothing. If all scores were equal, every class would get $1/10$ and the loss would be $\ln 10
# = 2.30$. So a rule says: the loss at step 0 should be the logarithm of the number of classes.
#
# Here are five networks with three hidden layers, inputs and weights as they should be. What will their losses be?

# %% tags=["experiment"]
prediction_2 = ""  # five losses before training, about

# %% tags=["experiment"]
if predicted(prediction_2) and ready(softmax_loss):
    for seed in range(5):
        draw = np.random.default_rng(seed)
        (x, y), _ = data(Setup(), draw)
        scores = build(Setup(), draw).forward(x)
        print(f"network {seed}   loss at step 0: {softmax_loss(scores, y)[0]:.2f}   variance of the scores of an example {scores.var(axis=1).mean():.2f}")

# %% [markdown]
# All are above 2.30, by 0.4 to 1.0, and nothing is wrong with any of them: section 6 trains twenty such networks. What raises the
# loss? Random scores are not equal. A network that knows nothing is still sure of something.
#
# Write the loss of an example as $L = \log \sum_k e^{x_k} - x_y$, and let $\mu$ and $\sigma^2$ be the mean and the variance of
# its $C$ scores. The label knows nothing of the scores, so $x_y$ is $\mu$ on average. In the sum, expand
# $e^{x_k - \mu}$ to the second order, and then the logarithm with $\ln(1 + u) \approx u$. You get $\ln C$ and one more
# term. Which?
#
# **Exercise `expected_initial_loss`** (core, 2 points). From the scores of a batch, the loss to expect of it before training:
# the average over the examples of what you derived.

# %% solution="expected_initial_loss"
def expected_initial_loss(scores):
    """The loss that scores should have which know nothing of the labels, to second order.

    Parameters
    ----------
    scores : ndarray, shape (N, C)

    Returns
    -------
    float
    """
    ### BEGIN SOLUTION
    return float(np.log(scores.shape[1]) + scores.var(axis=1).mean() / 2)
    ### END SOLUTION

# %% check="expected_initial_loss"
check("expected_initial_loss")

# %% tags=["experiment"]
if ready(softmax_loss, expected_initial_loss):
    print("means of 20 networks")
    for factor in (0.1, 0.5, 1, 2, 3, 10):
        measured, expected = [], []
        for seed in range(20):
            draw = np.random.default_rng(seed)
            (x, y), _ = data(Setup(), draw)
            scores = factor * build(Setup(), draw).forward(x)
            measured.append(softmax_loss(scores, y)[0])
            expected.append(expected_initial_loss(scores))
        print(f"scores times {factor:4}   measured {np.mean(measured):6.2f}   expected {np.mean(expected):6.2f}   ln 10 {np.log(10):.2f}")

# %% [markdown]
# At half of the scores the two agree within 0.01, at the scores as they are within 0.13, and a single network may be further off.
# At ten times the size the series says 89.63, where 19.94 was measured: a second-order term has no business there. But nobody
# needs the exact number then. A loss of 20 before the first step says that the scores are much too large, and where to look:
# weights, inputs, and what stands between them.

# %% [markdown]
# ## 4. The rest of the list
#
# Six questions, in the order in which they are cheap to ask.
#
# 1. Is the **loss before the first step** what random scores should have?
# 2. Can the network learn **a handful of examples by heart**? If not, more data will not help.
# 3. Does the **gradient** reach the first layer?
# 4. Do the **activations** keep their size from layer to layer, away from the ends of their range?
# 5. Are units **dead**, on all the data?
# 6. Does the **gradient check** pass for everything that you wrote yourself?
#
# You have 4, 5 and 6 from earlier assignments. Write 2 and 3.
#
# **Exercise `has_overfitted`** (core, 2 points). Losses of a run on a few examples come in, one for each step. Has it learnt
# them? Look at where it ended, compared with where it began. Runs that blew up have not.

# %% solution="has_overfitted"
def has_overfitted(losses, share=0.05):
    """Whether the last loss is at most a share of the first.

    Parameters
    ----------
    losses : ndarray, shape (steps,)
    share : float

    Returns
    -------
    bool
        False if any loss is not finite.
    """
    ### BEGIN SOLUTION
    return bool(np.isfinite(losses).all() and losses[-1] <= share * losses[0])
    ### END SOLUTION

# %% check="has_overfitted"
check("has_overfitted")

# %% [markdown]
# **Exercise `gradient_ratio`** (core, 1 point). Weight gradients come in, in the order of the layers. Layers differ in size, so
# compare what one entry gets: the root mean square.

# %% solution="gradient_ratio"
def gradient_ratio(grads):
    """Root mean square of the first gradient, over that of the last.

    Parameters
    ----------
    grads : dict of str to ndarray
        Weight gradients, from the first layer to the last.

    Returns
    -------
    float
    """
    ### BEGIN SOLUTION
    sizes = [np.sqrt(np.mean(g**2)) for g in grads.values()]
    return float(sizes[0] / sizes[-1])
    ### END SOLUTION

# %% check="gradient_ratio"
check("gradient_ratio")

# %% [markdown]
# Now the list as code. `examine` builds a network and asks it all six questions. It never trains on more than eight images.

# %% tags=["experiment"]
def examine(setup):
    """Ask a network the six questions."""
    draw = np.random.default_rng(0)
    (x, y), _ = data(setup, draw)
    network = build(setup, draw)
    scores = network.forward(x)
    loss, dscores = softmax_loss(scores, y)
    network.backward(dscores)
    weights = {name: g for name, g in network.grads.items() if name.endswith(".w")}
    ratio = gradient_ratio(weights)

    hidden, outputs = {}, x
    for name, part in list(network.parts.items())[:-1]:
        outputs = hidden[name] = part.forward(outputs)
    stds = [float(out.std()) for out in hidden.values()]
    dead = count_dead_relus(hidden) if setup.activation == "relu" else {}

    few, labels = x[:8], y[:8]
    params = network.params

    def loss_of(changed):
        network.params = changed
        return softmax_loss(network.forward(few), labels)[0]

    _, dscores = softmax_loss(network.forward(few), labels)
    network.backward(dscores)
    errors = gradient_check(loss_of, dict(params), network.grads, draw)
    network.params = params

    steps = fit(
        network, (few, labels), softmax_loss, sgd_momentum,
        steps=60, learning_rate=setup.learning_rate, rng=draw, batch_size=8, config={"momentum": 0.9},
    )
    losses = np.array([step.loss for step in steps])
    print(f"  1. loss before the first step {loss:.2f}, expected {expected_initial_loss(scores):.2f}")
    print(f"  2. eight images by heart: {has_overfitted(losses)}, from {losses[0]:.2f} to {losses[-1]:.2g}")
    print(f"  3. gradient of the first layer over that of the last {ratio:.2g}")
    print(f"  4. deviation of the activations, first hidden layer {stds[0]:.2f}, last {stds[-1]:.2f}")
    print(f"  5. dead units {sum(dead.values()) if dead else 'none: no ReLUs'}")
    print(f"  6. worst relative error of the gradient {max(each.error for each in errors.tensors):.0e}")


if ready(softmax_loss, expected_initial_loss, has_overfitted, gradient_ratio):
    for label, setup in (
        ("a healthy network", Setup()),
        ("eight layers of sigmoids", Setup(layers=8, activation="sigmoid")),
        ("weights four times too large", Setup(weights=4.0)),
    ):
        print(label)
        examine(setup)

# %% [markdown]
# The healthy one passes. Its measured loss is 0.53 below the expected one: its scores have a variance of 2.65, much for a series.
#
# Of the sigmoids, 1.9e-05 of the gradient arrives, and the eight images are not learnt: the loss goes to 0.91 and not to 0. That
# is what can be had without looking at them: how often each digit comes among the eight, which leaves a loss of 0.90. The loss
# at step 0 looks perfect. It is small *because* nothing gets through, in either direction.
#
# The large weights show in numbers 1 and 4: a loss of 146, activations that grow from 2.87 to 60.20. Number 2 says `True`, at a
# loss of 1.2: it started at 85, and 5 % of that is much. No single number is a verdict. And number 6 passes for all three. The
# gradients are right in each of these networks; in two of them they are of no use.

# %% [markdown]
# ## 5. Build it: the update ratio
#
# One instrument is left, and it sees most. How far did a step move the weights, compared with how large they are?
#
# $$\frac{\lVert w_{\text{after}} - w_{\text{before}} \rVert}{\lVert w_{\text{before}} \rVert}$$
#
# **Exercise `update_ratio`** (core, 2 points). The norm is the root of the sum of all squares. A bias may start at zero: then
# any move is infinitely large, and no move is 0.

# %% solution="update_ratio"
def update_ratio(before, after):
    """How far an update moved the weights, relative to their size.

    Parameters
    ----------
    before, after : ndarray, of the same shape

    Returns
    -------
    float
        Infinite where weights of zero moved; 0 where nothing did.
    """
    ### BEGIN SOLUTION
    moved, size = np.linalg.norm((after - before).ravel()), np.linalg.norm(before.ravel())
    if size == 0:
        return np.inf if moved else 0.0
    return float(moved / size)
    ### END SOLUTION

# %% check="update_ratio"
check("update_ratio")

# %% [markdown]
# ### Measure: the formula and the update
#
# Many texts give another formula: learning rate times norm of the gradient, over norm of the weights. It asks for nothing but
# what is at hand. For which optimizers are the two the same?
#
# `one_step(optimizer, softmax_loss)` trains a healthy network for 50 steps with `"sgd"`, `"momentum"` (0.9) or `"adam"` and
# returns the weights of the first layer before the last of these steps and after it, their gradient, and the learning
# rate.

# %% tags=["experiment"]
prediction_3 = ""  # by which factor the formula is off: for sgd, for momentum, for adam

# %% [markdown]
# **Exercise `measured_ratios`** (core, 2 points). Fill two dicts with an entry for each of the three optimizers: `real`, with
# your `update_ratio`, and `formula`.

# %% solution="measured_ratios"
# one_step(optimizer, softmax_loss) gives before, after, gradient, learning_rate
# real = {"sgd": ..., "momentum": ..., "adam": ...}
# formula = {"sgd": ..., "momentum": ..., "adam": ...}
### BEGIN SOLUTION
real, formula = {}, {}
for optimizer in ("sgd", "momentum", "adam"):
    before, after, gradient, learning_rate = one_step(optimizer, softmax_loss)
    real[optimizer] = update_ratio(before, after)
    formula[optimizer] = learning_rate * np.linalg.norm(gradient) / np.linalg.norm(before)
### END SOLUTION

# %% check="measured_ratios"
check("measured_ratios")

# %% tags=["experiment"]
if predicted(prediction_3) and "real" in globals() and "formula" in globals():
    for optimizer in real:
        factor = real[optimizer] / formula[optimizer]
        print(f"{optimizer:9s} update {real[optimizer]:.5f}   formula {formula[optimizer]:.5f}   factor {factor:.1f}")

# %% [markdown]
# For plain SGD they are the same number. With momentum the update is 2.7 times as long as the formula says, since the steps
# before it push on; it could be up to $1 / (1 - 0.9)$, ten times. With Adam the factor is 24, and it would be another one for
# another scale of the loss: Adam divides the gradient by its own size, so the gradient says nothing about the length of
# the step.
# Patient 1 has it the other way round. Its last gradients are exactly zero, and its weights still moved.
#
# Keep the old weights, subtract, and you need not know the optimizer.

# %% [markdown]
# ### Measure: which ratio is a good one?
#
# "About 0.001" is a number that you will meet. Here is a healthy network, trained for 100 steps at nine learning rates. In
# which line is the score best, and what is the ratio there?

# %% tags=["experiment"]
prediction_4 = ""  # the update ratio of the best line

# %% tags=["experiment"]
if predicted(prediction_4) and ready(softmax_loss, update_ratio):
    own = {"softmax_loss": softmax_loss, "update_ratio": update_ratio}
    print("learning rate   update ratio, steps 9 and 49   score   (means of three networks)")
    for rate in (0.00001, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        runs = [train(Setup(learning_rate=rate), own, np.random.default_rng(seed)) for seed in range(3)]
        early, late = (np.mean([np.median(run["updates"][look]) for run in runs]) for look in (3, 7))
        score = np.mean([run["score"] for run in runs])
        print(f"{rate:13.5f}   {early:12.5f}   {late:12.5f}   {score:12.2f}")

# %% [markdown]
# The best score is 0.94, at 0.03 and at 0.1. There the weights move by 1.3 % and 3.0 % in step 9. At a ratio near 0.001 this
# network learns too, but 100 steps take it to 0.48. And at 6.1 %, twice the larger of these, it guesses.
#
# So 0.001 is no law. It is slow here, and in a run of a million steps slow may be right. What has to be known is the edge. In this
# network it lies between 3 and 6 % a step. And the last line shows why the *first* steps have to be looked at: at a rate of 1 the
# ratio is 0.25 at step 9, and 0.004 at step 49, when there is nothing left that moves.

# %% [markdown]
# ## 6. One table of thresholds
#
# Where does "strange" begin? Books, posts and tools give numbers, and they contradict each other. This course uses one
# table, that of `minigrad.diagnosis`.

# %% tags=["experiment"]
for name in ("lasting ratio", "ratio", "vanished", "dead", "saturated"):
    print(f"{name:14s} {THRESHOLDS[name]}")

# %% [markdown]
# | question | strange if | you will also read | why this one |
# |---|---|---|---|
# | update ratio | above 0.05 in half of the steps, or above 0.3 in one | above 0.1; outside 0.0001 to 0.01; below 0.00001 | section 5: 0.03 learnt best, 0.06 broke the network; a small ratio is slow, and slow is not broken |
# | gradients that explode | the update ratio says it | norm above 100; norm above 1000 | what a norm does depends on the learning rate that it is multiplied with |
# | gradient, first layer over last | below 0.003, by root mean square | norm below $10^{-7}$; a thousandth | a norm depends on the scale of the loss and the size of the layer; a ratio of root mean squares on neither |
# | dead units | more than half of a layer | more than 10 % | below: three healthy networks of 20 have such a layer |
# | saturated outputs | more than 0.4 of a layer | 0.5, and "near 0 or 1" | a unit may saturate on some examples; that is what it learnt |
# | loss at step 0 | far above $\ln C + \sigma^2 / 2$ | $\ln C$ | section 3: every healthy network was above $\ln C$ |
# | gradient check | relative error above $10^{-5}$, smooth and float64 | $10^{-3}$ to $10^{-7}$ | assignment 01: at a kink, or in float32, it says less |
#
# A rule can be tried on networks that are well. Twenty healthy runs, and how many of them some of these rules call ill:

# %% tags=["experiment"]
if ready(softmax_loss, update_ratio):
    own = {"softmax_loss": softmax_loss, "update_ratio": update_ratio}
    runs = [train(Setup(), own, np.random.default_rng(seed)) for seed in range(20)]
    print(f"scores from {min(run['score'] for run in runs):.2f} to {max(run['score'] for run in runs):.2f}")
    print("loss at step 0 more than 0.5 above ln 10:", sum(run["losses"][0] > np.log(10) + 0.5 for run in runs))
    print("some layer with more than 10 % dead at the end:", sum(run["idle"][-1].max() > 0.1 for run in runs))
    print("some layer with more than half dead at the end:", sum(run["idle"][-1].max() > 0.5 for run in runs))
    print("an update ratio above 0.01 after step 2:", sum(run["updates"][3:].max() > 0.01 for run in runs))
    print("an update ratio above 0.05:", sum(run["updates"].max() > 0.05 for run in runs))

# %% [markdown]
# All twenty reach 0.87 or more. 14 of them start more than 0.5 above $\ln 10$. Three have a layer with more than 10 % dead units.
# All of them move by more than 1 % in some later step, where "healthy" is often said to end. The rules of the table call none of
# them ill.
#
# That is one half of what a threshold has to show. The other is that it does speak when something is wrong: a rule that never
# speaks has no false alarms. Your patients come next.

# %% [markdown]
# ## 7. Play: six layers
#
# The same chart, live. Each position of the controls is a run of 100 steps with your `softmax_loss` and your `update_ratio`.
#
# 1. As it stands, the network learns. Note the shape of its four panels.
# 2. Choose `sigmoid`. Follow the gradient at step 0 down to the first layer. Are the sigmoids saturated? Then move the weights up
#    to 5.
# 3. Back to `relu`, weights at 3. What is the loss at step 0? Which of these helps: a smaller rate, clipping at 1, `batch`?
# 4. Weights at 1 again. Take the rate to $-5$ and then to 0. Which panel tells the two apart?
# 5. `tanh` with weights at 8. Which layers are saturated? Where is the gradient largest?
# 6. Find a setting in which `batch` does not help.

# %% tags=["lab"]
explore(pathology_debugger, softmax_loss=softmax_loss, update_ratio=update_ratio)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. The score is 0.89. The gradient at step 0 is between 0.03 and 0.06 in all layers.
# 2. From 0.03 in the last layer to 0.00001 in the first, with no output saturated. At weights of 5 it is 0.0007 in the
#    first layer, and 4 to 43 % of the outputs are saturated; the score is 0.32, and 0.87 if the rate goes up to $-0.5$.
# 3. The loss is 729. A rate of $-3$ or $-4$ does not help, nor does clipping at 1: the scores 0.09, 0.10 and 0.17 are those of
#    guessing or little more. `batch` does: 0.84.
# 4. In both cases nothing is learnt. The update ratios tell the two apart: below 0.00001 in all layers at step 0 in the first
#    case, 0.11 to 0.35 in the second, which then ends with most of its units dead.
# 5. All of them: 74 to 80 % of the outputs. The gradient is largest in the *first* layer, 0.36, and smallest in the sixth,
#    0.009. Saturated and vanishing are two things.
# 6. The rate at $-5$, for instance, or at 1.
#
# </details>

# %% [markdown]
# ## 8. Eight patients
#
# You know one of them. For each you get the chart and nothing else, you say what it has, and you change one thing. We train with
# your change from five starting points.
#
# **What they may have.** Each letter may come up once, several times or not at all.
#
# - a) The learning rate is too high.
# - b) The learning rate is too low.
# - c) The gradient vanishes on its way down through the layers.
# - d) The initial weights are too large.
# - e) Units are dead from the start.
# - f) The inputs are on a wrong scale.
# - g) The labels do not belong to the images.
# - h) The loss has no gradient for large errors.
# - i) The network is evaluated in training mode.
# - j) The backward pass of a layer is wrong.
# - k) There is too little data: it was learnt by heart.
#
# **What you may change.** A number is relative to what the patient has, of which you know nothing.

# %% tags=["experiment"]
for name, setting in experiments.find("patient_1").SETTINGS.items():
    choices = " | ".join(getattr(setting, "options", ())) or f"{setting.low:g} to {setting.high:g}"
    print(f"{name:20s} {setting.what}\n{'':20s}    now: {setting.default}   may be: {choices}")

# %% [markdown]
# Batchnorm is not among them. In the lab it helped sigmoids, large weights and saturated tanh alike, so that it helped says little
# about what was wrong. And a remedy sets **one** of these. If you change three and the run heals, nobody knows which of them did it.
#
# A patient is healed when the score on held-out images is at least 0.8; patient 7 is a regression, its score is the share of the
# variance that is explained, and 0.6 is enough.

# %% [markdown]
# ### Patient 1
#
# You have seen its chart in section 1, and its first steps. What would you change?
#
# **Exercise `patient_1`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_1"))

# %% [markdown]
# *The figure: as in section 1.*

# %% solution="patient_1"
# diagnosis_patient_1 = "..."        one letter
# remedy_patient_1 = {...}           one setting and its value
### BEGIN SOLUTION
# Healed by 0.01 to 0.1 times the rate, also by clip_norm up to 0.3: both shorten the first steps. (Scores here are means of five
# networks; healed is 0.8, for patient 7 it is 0.6.) 0.2 times the rate gives 0.56; 0.003 times is too slow for 100 steps, 0.68.
# More bias or tanh does not help: 0.10. A sigmoid, which cannot die, gets to 0.71.
diagnosis_patient_1 = "a"
remedy_patient_1 = {"learning_rate_times": 0.03}
### END SOLUTION

# %% check="patient_1"
check("patient_1")

# %% [markdown]
# ### Patient 2
#
# Ten classes, 200 steps.
#
# **Exercise `patient_2`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_2"))

# %% [markdown]
# *The figure: the loss wanders about ln 10. At step 0, gradient and update ratio rise from the first layer to the last; at the
# end less so. The share of saturated outputs is at 0.*

# %% solution="patient_2"
# diagnosis_patient_2 = "..."        one letter
# remedy_patient_2 = {...}           one setting and its value
### BEGIN SOLUTION
# Healed by tanh, relu, or weights times 3 to 8. Ten times the rate does not help: 0.11.
diagnosis_patient_2 = "c"
remedy_patient_2 = {"activation": "tanh"}
### END SOLUTION

# %% check="patient_2"
check("patient_2")

# %% [markdown]
# ### Patient 3
#
# Ten classes, 100 steps.
#
# **Exercise `patient_3`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_3"))

# %% [markdown]
# *The figure: the loss stays within 0.02 of ln 10. Gradients and update ratios lie on the bottom line of their panels, where
# exact zeros are drawn. The dead units do not change.*

# %% solution="patient_3"
# diagnosis_patient_3 = "..."        one letter
# remedy_patient_3 = {...}           one setting and its value
### BEGIN SOLUTION
# Healed by bias_plus from 1.5 to 3. With 1.0 it is 0.53, with 4 it is 0.74. tanh gets to 0.63.
diagnosis_patient_3 = "e"
remedy_patient_3 = {"bias_plus": 2.0}
### END SOLUTION

# %% check="patient_3"
check("patient_3")

# %% [markdown]
# ### Patient 4
#
# Ten classes, 100 steps.
#
# **Exercise `patient_4`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_4"))

# %% [markdown]
# *The figure: the loss falls from 3.4 to ln 10 in a few steps and stays there. The lines of the layers are flat.*

# %% solution="patient_4"
# diagnosis_patient_4 = "..."        one letter
# remedy_patient_4 = {...}           one setting and its value
### BEGIN SOLUTION
# Of the 32 changes that were tried, only the labels heal.
diagnosis_patient_4 = "g"
remedy_patient_4 = {"labels": "paired again"}
### END SOLUTION

# %% check="patient_4"
check("patient_4")

# %% [markdown]
# ### Patient 5
#
# Ten classes, 100 steps.
#
# **Exercise `patient_5`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_5"))

# %% [markdown]
# *The figure: the loss falls a little, with much noise. The gradient falls from the first layer to the fifth. The share of
# saturated outputs is above 0.8 everywhere.*

# %% solution="patient_5"
# diagnosis_patient_5 = "..."        one letter
# remedy_patient_5 = {...}           one setting and its value
### BEGIN SOLUTION
# Healed by weights_times from 0.05 to 0.2. At 0.3 it is 0.78. Other rates do not help; a ReLU with these weights explodes.
diagnosis_patient_5 = "d"
remedy_patient_5 = {"weights_times": 0.08}
### END SOLUTION

# %% check="patient_5"
check("patient_5")

# %% [markdown]
# ### Patient 6
#
# Ten classes, 100 steps.
#
# **Exercise `patient_6`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_6"))

# %% [markdown]
# *The figure: the loss falls, and rises again. In the first layer, nearly all outputs are saturated, and at step 99 the gradient
# has fallen by nine orders of magnitude; in the others neither.*

# %% solution="patient_6"
# diagnosis_patient_6 = "..."        one letter
# remedy_patient_6 = {...}           one setting and its value
### BEGIN SOLUTION
# Only the inputs. A tenth of the rate gets to 0.53.
diagnosis_patient_6 = "f"
remedy_patient_6 = {"inputs": "standardized"}
### END SOLUTION

# %% check="patient_6"
check("patient_6")

# %% [markdown]
# ### Patient 7
#
# A regression: the digit itself, from 0 to 9, is to be predicted as a number. The score is the share of the variance that is
# explained; below 0 is worse than always saying the mean, and it is cut off at $-1$.
#
# **Exercise `patient_7`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_7"))

# %% [markdown]
# *The figure: the loss falls from 0.49 to about 0.40. Next to no unit is dead.*

# %% solution="patient_7"
# diagnosis_patient_7 = "..."        one letter
# remedy_patient_7 = {...}           one setting and its value
### BEGIN SOLUTION
# Only huber. squared is 0.19: a sound loss, but large errors make large steps, and for those this rate is too high.
diagnosis_patient_7 = "h"
remedy_patient_7 = {"loss": "huber"}
### END SOLUTION

# %% check="patient_7"
check("patient_7")

# %% [markdown]
# ### Patient 8
#
# Ten classes, 100 steps.
#
# **Exercise `patient_8`** (core, 2 points: one for the diagnosis, one for the remedy).

# %% tags=["experiment"]
chart(experiments.recorded("patient_8"))

# %% [markdown]
# *The figure: the loss falls to 0.17. Gradients, update ratios and units are as in a healthy run.*

# %% solution="patient_8"
# diagnosis_patient_8 = "..."        one letter
# remedy_patient_8 = {...}           one setting and its value
### BEGIN SOLUTION
# Only the mode of the evaluation. Nothing was wrong with the network.
diagnosis_patient_8 = "i"
remedy_patient_8 = {"evaluation": "test mode"}
### END SOLUTION

# %% check="patient_8"
check("patient_8")

# %% [markdown]
# ### What changed
#
# Here are the scores of all patients for whom you have a remedy, trained with your own `softmax_loss`, as they were and as they
# are now. `chart(trained(2, remedy_patient_2, 0))`, in a cell of your own below it, shows the chart of patient 2 after yours.

# %% tags=["experiment"]
def trained(patient, remedy, seed):
    """Train a patient with your functions; its record."""
    run = experiments.find(f"patient_{patient}")
    own = {"softmax_loss": softmax_loss, "update_ratio": update_ratio}
    return run.run(experiments.complete(run, remedy), own, np.random.default_rng(seed))


if ready(softmax_loss, update_ratio):
    for patient in range(1, 9):
        remedy = globals().get(f"remedy_patient_{patient}")
        if remedy:
            try:
                experiments.complete(experiments.find(f"patient_{patient}"), remedy)
            except ValueError as error:
                print(f"patient {patient}   the remedy {error}")
                continue
            pairs = [(trained(patient, {}, seed)["score"], trained(patient, remedy, seed)["score"]) for seed in range(3)]
            before, after = np.mean(pairs, axis=0)
            print(f"patient {patient}   score before {before:5.2f}   after {after:5.2f}   (means of three networks)")

# %% [markdown]
# How many settings could have healed each of them? Of 32 single changes that we tried, patients 4, 6, 7 and 8 were healed by
# one. Patients 1, 2, 3 and 5 were healed by several, and others came close. A run that heals is evidence for a diagnosis, and
# no proof of it: that is in the record.

# %% [markdown]
# ## 9. Say it
#
# **Exercise `quiz_08`** (core, 3 points). One letter each.
#
# **1.** The loss of a new network stays at its first value. What do you look at first?
#
# - a) Another optimizer: Adam gets over many difficulties.
# - b) The gradient of each layer after one backward pass: is there any, and does it reach the first layer?
# - c) A deeper network: this one may be too small for the task.
# - d) Nothing yet: some runs need a few thousand steps to get going.
#
# **2.** A run on 10 classes has a loss of 3.1 before its first step. Is something broken?
#
# - a) Yes: it must be $\ln 10 = 2.30$.
# - b) Yes: a loss above that of guessing can only come from a wrong loss function.
# - c) Probably the labels were shuffled.
# - d) Not if the scores of an example have a variance of about 1.6.
#
# **3.** At the end of a run, all units of the last hidden layer are dead. What was the cause?
#
# - a) The biases started too low.
# - b) The learning rate was too high.
# - c) That cannot be said from the end of the run: look at the first steps.
# - d) The activation: a leaky ReLU would have learnt.

# %% solution="quiz_08"
# quiz = {"1": "...", "2": "...", "3": "..."}
### BEGIN SOLUTION
quiz = {"1": "b", "2": "d", "3": "c"}
### END SOLUTION

# %% check="quiz_08"
check("quiz_08")

# %% [markdown]
# **In your own words** (not graded). A friend writes: "My network on ten classes stays at a loss of 2.30. I tried five learning
# rates, Adam, and two more layers." Answer in six sentences at most. Name three different diseases from this notebook that look
# exactly like this from outside, and for each the one number that would tell it from the others.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# 2.30 is ln 10, the loss of a network that guesses, and everything that keeps the network from hearing the data ends there.
# Patient 3 did: the units of its last hidden layer were dead from the start, and the number is their share at step 0, 1. Patient 2
# did: the gradient vanished on its way down, and the number is the gradient of the first layer over that of the last, 0.006,
# with no unit saturated. Patient 4 did: the labels were shuffled, all layers were healthy, with update ratios near 0.01, and the
# loss came down to 2.30 from 3.43. So before you try anything else, run one backward pass and print the gradient
# of each layer, and look at a few images with their labels. Rates, optimizers and layers multiply what arrives; first find out
# whether anything does.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Three.** Are there three diseases with different causes, and not three names for one?
# 2. **Numbers.** Does each have a number that can be measured before or in the first steps?
# 3. **Told apart.** Would the number of one come out differently for the other two?
# 4. **Order.** Did you say what to look at first, and why that and not another optimizer?
#
# One point each. Three or four: go on. One or two: read the charts of patients 2, 3 and 4 side by side and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - Read a record forwards. The end of a run shows symptoms; the first strange number is near the cause.
# - Before the first step the loss should be $\ln C$ and half of the variance of the scores.
# - Measure the update that was made, not the one from a formula.
# - A threshold without a measured false alarm rate is an opinion. Prefer ratios: between layers, to the weights, to the start.
# - Change one thing. If you change three and it works, you have learnt that one of three was it.
# - When all layers are well, look at what goes in, what is asked for, and how it is measured.
#
# ## Where this shows up today
#
# - **Dashboards.** TensorBoard and Weights & Biases draw losses, gradients and histograms of a run. The reading is left to you.
# - **Large runs** log the gradient norm at each step. After a spike they go back to a state that was saved before it.
# - **Debuggers for training**, such as AutoTrainer, DeepDiagnosis or SageMaker Debugger, are tables of thresholds. You know now what to
#   ask of them: how often do they speak when nothing is wrong?
# - `minigrad.diagnosis.debug_training` does what you did here, on your own networks. How often it is right stands in
#   `docs/diagnosis.md`, with the false alarms.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016, and *A Recipe for Training Neural Networks*, 2019. The list of
#   section 4 has its roots in the second.
# - Ian Goodfellow, Yoshua Bengio and Aaron Courville, *Deep Learning*, MIT Press, 2016. Section 6.2.2.3 on the softmax, 11.5 on
#   debugging.
# - Xiaoyu Zhang, Juan Zhai, Shiqing Ma and Chao Shen, *AutoTrainer: An Automatic DNN Training Problem Detection and Repair
#   System*, ICSE 2021.
# - Mohammad Wardat, Breno Dantas Cruz, Wei Le and Hridesh Rajan, *DeepDiagnosis: Automatically Diagnosing Faults and Recommending
#   Actionable Fixes in Deep Learning Programs*, ICSE 2022.
