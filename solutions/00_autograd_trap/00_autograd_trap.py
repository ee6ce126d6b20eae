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
# # 00. The autograd trap
#
# *Seven runs. Every gradient in them is right. One of the seven is well.*
#
# When you are done you can
#
# - send a gradient back through a small circuit by hand, and check it by nudging;
# - say what a sum, a product, a maximum, a copy and a squashing function do to a gradient that arrives;
# - explain how a gradient can be right and useless;
# - tell a saturated, a vanishing, a dead and an exploding run apart by their numbers.
#
# **Time.** 45 to 60 minutes, 14 points, all of them core. There are no functions to write here; from assignment 01 on there are.
#
# **How it works.** Run the cells from top to bottom. Write where a cell says `YOUR CODE HERE`. After each exercise a cell
# says `check("...")`: run it as often as you like, it costs nothing. You need the derivative of a product, paper, and a pencil.

# %% tags=["setup"]
import numpy as np

from autograder import check
from minigrad import plots
from minigrad.experiments import recorded
from minigrad.labs import autograd_trap, relay
from minigrad.labs.autograd_trap import readings
from minigrad.labs.explore import explore, predicted

# %% [markdown]
# ## 1. See it fail: three correct programs
#
# 1,797 pictures of handwritten digits, 8 by 8 pixels each, and three small networks that learn to read them. A network that
# knows nothing gives each digit a tenth, and its loss is $\ln 10 = 2.303$.
#
# The three runs below were recorded with the code that you will write yourself in the course. The same data, the same loop,
# 200 steps.

# %% tags=["experiment"]
record = recorded("autograd_trap")

figure, axes = plots.canvas(height=3.6)
for run, series in zip("ABC", plots.SERIES, strict=False):
    losses = record[f"{run}_losses"]
    print(f"run {run}   loss at first {losses[0]:.3f}   highest {losses.max():8.1f}   ", end="")
    print(f"at the end {losses[-20:].mean():.3f}   accuracy on new images {record[f'{run}_accuracy']:.0%}")
    look = {**series, "linewidth": 2.6 if run == "B" else 1.3}
    axes.plot(losses, label=f"run {run}", markevery=(10, 40), **look)
axes.axhline(np.log(10), color=plots.INK, linewidth=0.8, linestyle=":")
axes.set(xlabel="step", ylabel="loss", ylim=(0, 4))
axes.legend(loc="lower left")
plots.show(
    figure,
    "Run A stays at 2.3 for all 200 steps. Run B falls from 2.3 to 0.2. Run C falls exactly as B does until step 100, leaves "
    "the figure at the top, comes back to 2.4 and stays there.",
)

# %% [markdown]
# *The figure: run A is flat, run B falls, and run C lies on top of run B until step 100, shoots out of the picture, and is
# flat from there on. The dotted line is $\ln 10$.*
#
# In one of the three programs somebody forgot a factor in a backward pass. Or in two of them. Or in none. What is your guess,
# and what do you see in the curves that speaks for it? Write it between the quotes. Nobody grades it for being right.

# %% tags=["experiment"]
prediction_1 = ""  # which of A, B and C has a mistake in its gradient, and why you think so

# %% tags=["experiment"]
if predicted(prediction_1):
    print("mistakes in the gradients of A, B and C: none")
    same = record["B_losses"] == record["C_losses"]
    print(f"first step at which the losses of B and C differ: {np.argmin(same)}")
    print("run C from step 98 on:", *[f"{loss:.2f}" for loss in record["C_losses"][98:108]])

# %% [markdown]
# None. Before the first step, the gradients of all three were compared with those of PyTorch's automatic differentiation, on 64
# images: they agree to ten digits. B and C are even the same run, to the last bit, for a hundred steps. At step 100 somebody raised
# the learning rate of C from 0.2 to 10.
#
# So this is the trap. Autograd promises a *right* gradient, and it keeps the promise. You wanted a gradient that *trains*. Run
# A has had 200 right gradients, and has learnt nothing at all.
#
# The curves of A and of the second half of C look alike: flat, near 2.3. Are they ill in the same way? The curve does not say.
# For that you have to see the gradient on its way through the layers. So first: what happens to a gradient on its way?

# %% [markdown]
# ## 2. Build it: one gate at a time
#
# Take any program that ends in one number, and cut it into steps so small that each is a single operation. We call such a step
# a *gate*. Here are three: $a + b$, $a \cdot b$ and $\max(a, b)$, at $a = 4$ and $b = 0.5$.
#
# Nudge $a$ by 0.001. By how much does the output of each gate move, as a multiple of the nudge? And when you nudge $b$?

# %% tags=["experiment"]
prediction_2 = ""  # six numbers: add (a, b), multiply (a, b), max (a, b)

# %% tags=["experiment"]
if predicted(prediction_2):
    a, b = 4.0, 0.5
    for name, gate in (("a + b", lambda a, b: a + b), ("a * b", lambda a, b: a * b), ("max(a, b)", max)):
        nudging_a = (gate(a + 0.001, b) - gate(a, b)) / 0.001
        nudging_b = (gate(a, b + 0.001) - gate(a, b)) / 0.001
        print(f"{name:10s} moves by {nudging_a:4.1f} times a nudge of a, and by {nudging_b:4.1f} times a nudge of b")

# %% [markdown]
# These factors are the *local gradients* of a gate. To find them, a gate needs its own inputs and nothing else. It does not know
# what it is part of.
#
# Look at the product once more. Its local gradient for $a$ is the *other* input, 0.5. A big $a$ makes the gradient of $b$ big.
#
# ### What arrives, and what is handed on
#
# Now put the gate into a program. Somewhere further on there is a final number, the loss. Say the loss moves by 2 when the output
# of this gate moves by 1. That 2 is the *upstream gradient*: it arrives at the gate from above.
#
# At the product above, a nudge of $a$ moves the output by 0.5 times the nudge, and the loss by 2 times *that*. So $a$
# is told $2 \cdot 0.5 = 1$. Every gate does the same: **it multiplies what arrives by its local gradient, and hands that on.**
#
# Two more gates, and one question about each.
#
# A *copy* sends the same $a$ to two places. When you nudge $a$, both copies move. From one place a gradient of 5 comes back, from
# the other a gradient of $-2$. What is $a$ told?
#
# A *squashing* gate bends the whole line into a short interval, as $\tanh$ does. What are its local gradients? No formula today:
# nudge it.

# %% tags=["experiment"]
for a in (0.0, 1.0, 2.0, 3.0, 5.0, 10.0):
    local = (np.tanh(a + 0.001) - np.tanh(a)) / 0.001
    print(f"a = {a:4.1f}   tanh(a) = {np.tanh(a):.6f}   local gradient {local:.1e}")

# %% [markdown]
# At 0 it lets everything through, at 3 one part in a hundred, at 10 one part in a hundred million. The output is a decent number
# all the way. The gradient is not.
#
# **Exercise `gates`** (core, 2 points). At $a = 3$ and $b = -2$. At the gates with one output, a gradient of 5 arrives from above.
# At the copy, 5 comes back from one place and $-2$ from the other. What is handed on to each input? Work them out by hand; only the
# last one needs the table above.

# %% solution="gates"
# gates = {
#     "add_a": ..., "add_b": ...,             # out = a + b
#     "multiply_a": ..., "multiply_b": ...,   # out = a * b
#     "max_a": ..., "max_b": ...,             # out = max(a, b)
#     "copy_a": ...,                          # two copies of a; 5 and -2 come back
#     "squash_a": ...,                        # out = tanh(a)
# }
### BEGIN SOLUTION
gates = {
    "add_a": 5,
    "add_b": 5,
    "multiply_a": 5 * -2,
    "multiply_b": 5 * 3,
    "max_a": 5,
    "max_b": 0,
    "copy_a": 5 - 2,
    "squash_a": 5 * 9.9e-3,
}
### END SOLUTION

# %% check="gates"
check("gates")

# %% [markdown]
# That is the first verdict of the course. Each line says what was looked at. A line that is not `ok` says what was seen, and where we
# know the mistake, it says which one it looks like. It never says the answer.

# %% [markdown]
# ## 3. Build it: a circuit
#
# Four gates make a circuit. Note that $x$ goes to two of them.
#
#     s = x + z            x = 5
#     p = x * y            y = 3
#     m = max(p, w)        z = -1
#     f = s * m            w = 4
#
# First go forward: write the value of $s$, $p$, $m$ and $f$ beside each line. ($f$ is 60.) Then go backward, from the last line to
# the first. At $f$ itself a gradient of 1 arrives, because $f$ moves by 1 when $f$ moves by 1. What do $s$ and $m$ get? What do they
# hand on?
#
# **Exercise `circuit`** (core, 3 points). By how much does $f$ move, as a multiple of a small nudge of each? Pencil first.

# %% solution="circuit"
# circuit = {"s": ..., "m": ..., "w": ..., "y": ..., "z": ..., "x": ...}
### BEGIN SOLUTION
circuit = {
    "s": 15,  # m
    "m": 4,  # s
    "w": 0,  # the smaller input of the max
    "y": 4 * 1 * 5,
    "z": 15 * 1,
    "x": 15 * 1 + 4 * 1 * 3,  # through s, and through p
}
### END SOLUTION

# %% check="circuit"
check("circuit")

# %% [markdown]
# Do not take our word for it. The next cell nudges $w$ and measures $f$; change it to nudge the other inputs, and compare with
# what you worked out.

# %% tags=["experiment"]
def f(x=5.0, y=3.0, z=-1.0, w=4.0):
    return (x + z) * max(x * y, w)


print(f"{(f(w=4.0 + 0.001) - f(w=4.0)) / 0.001:.3f}")

# %% [markdown]
# $w$ may be nudged up or down, and $f$ does not move: the maximum listens to $p$. If $w$ were a weight of your network, it would
# get a gradient of 0 in this step. A *right* gradient of 0.

# %% [markdown]
# ## 4. Play: the relay
#
# In a deep network, the gradient of an early weight has come a long way. At each gate of one path it was multiplied by a local
# gradient, like a message in a relay where every runner changes it by a factor. (Where paths meet, they are added.)
#
# A lab is a picture with controls. This one is a single path. Answer first, then move the sliders:
#
# 1. Ten gates of 0.5. What is left of 1: about a tenth, a hundredth, a thousandth?
# 2. 50 gates of 0.9. 50 gates of 1.1. Both factors are close to 1. Are the results?
# 3. 50 gates of 2, and one of 0 in the middle. How much is left after it, and can the gates behind it make it good?

# %% tags=["lab"]
explore(relay)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. About a thousandth: 0.000977.
# 2. 0.00515 and 117. The one is 23,000 times the other.
# 3. Nothing, and no. Twice nothing is nothing.
#
# </details>
#
# **Exercise `relay`** (core, 1.5 points). Three numbers, with the lab, a loop or a logarithm.
#
# - `gates_to_vanish`: each gate has a local gradient of 0.25. After how many gates is less than a millionth left?
# - `gates_to_explode`: each has 1.5. After how many is more than a million times as much there?
# - `factor_to_halve`: 50 equal gates let exactly one half through. What is the local gradient of each, to three decimals?

# %% solution="relay"
# set gates_to_vanish, gates_to_explode and factor_to_halve
### BEGIN SOLUTION
gates_to_vanish = 10  # 0.25 ** 9 is 3.8e-06, 0.25 ** 10 is 9.5e-07
gates_to_explode = 35  # 1.5 ** 34 is 9.7e+05, 1.5 ** 35 is 1.5e+06
factor_to_halve = 0.5 ** (1 / 50)
### END SOLUTION

# %% check="relay"
check("relay")

# %% [markdown]
# The third number is the one to remember. At 50 gates, a chain that is to lose no more than half must keep each factor within
# about one percent and a half of 1. Nothing in a network sees to that by itself. Most of this course is about who does.

# %% [markdown]
# ## 5. Measure: where did the gradient go?
#
# Back to the three runs, with instruments. `readings` prints what was recorded:
#
# - the norm (the length) of the gradient of each layer's weights, at five steps; layer 1 is next to the input;
# - how far the layer's weights moved in a step, as a share of their own norm: the median over the run;
# - at the end, the share of the layer's units that are *idle*: a ReLU unit, $\max(0, \cdot)$, that is 0 for every image, or a sigmoid
#   unit, a squashing gate from 0 to 1, within a hundredth of either end.
#
# Before you run it: which layer of run A do you expect to have the smallest gradient, and how small?

# %% tags=["experiment"]
prediction_3 = ""  # the layer of run A with the smallest gradient, and the size of it

# %% tags=["experiment"]
if predicted(prediction_3):
    for run in "ABC":
        print(readings(run), end="\n\n")

# %% [markdown]
# In run B all layers have gradients of a like size. In run A, layer 4 has a gradient as good as any, and layer 1 has one of
# $10^{-16}$: the relay again, with three bad gates in a row. A step moves the weights of layer 1 by less than a
# $10^{-18}$th of their size. float64 keeps 16 digits, so most of these weights are, after 200 steps, the very numbers that they
# started as. And run C ends with something that is neither large nor small.
#
# **Exercise `diagnosis`** (core, 1.5 points). One word for the state that each run is in *at the end*, spelled as here:
#
# | word | what it means |
# |---|---|
# | `healthy` | gradients of a like size in all layers, and the loss falls |
# | `saturated` | squashing units sit at the ends of their range, and next to nothing gets past them |
# | `vanishing` | no unit is stuck, yet every layer hands on only a part of what it gets |
# | `dead` | ReLU units are 0 whatever the input, and the gradient is exactly 0 |
# | `exploding` | the gradient grows by powers of ten until it is no number any more |
# | `rate too high` | gradients of ordinary size, and steps so long that the loss jumps up and down |
# | `wrong labels` | everything that a gradient shows is in order, and what is learnt is wrong |

# %% solution="diagnosis"
# diagnosis = {"A": "...", "B": "...", "C": "..."}
### BEGIN SOLUTION
diagnosis = {"A": "saturated", "B": "healthy", "C": "dead"}
### END SOLUTION

# %% check="diagnosis"
check("diagnosis")

# %% [markdown]
# ### At what moment?
#
# The end of run C says what state it is in. It does not say why. Step through the run: on the left the loss, with the step marked,
# on the right the gradient of each layer at that step, beside run B.
#
# 1. Run C, steps 98 to 108, one at a time. At which step is the gradient largest? From which step on is it 0?
# 2. Would a smaller learning rate at step 150 bring run C back? What would the update be?
# 3. Run A has been flat from the first step, run C since step 110. Which of the two could still learn if you waited long enough?

# %% tags=["lab"]
explore(autograd_trap)

# %% [markdown]
# <details>
# <summary>What there is to find (open it after you have tried)</summary>
#
# 1. It is largest at step 103, where the norm of layer 2 is 9,600, and 0 in all three layers from step 106 on.
# 2. No. The update is the rate times the gradient, and the gradient is 0. Nothing but new weights would help.
# 3. Neither. In C nothing moves but the bias of the last layer. In A layer 4 moves, but the three layers below it send it the same
#    numbers for every image.
#
# </details>
#
# Mind the order of events. **The last state of a run is not the cause.** The units of run C are dead, and what killed them was a
# learning rate, in six steps. Look for the first number that went wrong.

# %% [markdown]
# ## 6. Fix it: four more
#
# You cannot mend a run before you know what ails it, and a wrong diagnosis costs days: a smaller learning rate does nothing for a
# saturated network, and new initial weights do nothing for wrong labels. Mending starts with assignment 02. Here are four more runs
# to name. First the curves alone.

# %% tags=["experiment"]
figure, panels = plots.canvas(1, 4, width=11.0, height=2.8)
for run, axes in zip("DEFG", panels, strict=True):
    losses = record[f"{run}_losses"]
    axes.plot(losses, color=plots.COLOURS["blue"], linewidth=1.2)
    axes.plot(0, losses[0], color=plots.COLOURS["blue"], marker="o")
    axes.set(xlabel="step", title=f"run {run}", xlim=(-8, 203), ylim=(0, 20 if run in "FG" else 4))
    print(f"run {run}: {len(losses)} steps, highest loss {np.nanmax(losses):.3g}, the first ones", *[f"{x:.3g}" for x in losses[:5]])
panels[0].set_ylabel("loss")
plots.show(
    figure,
    "Run D is flat at 2.3. Run E falls smoothly from 2.3 to 0.2. Run F is a single dot at 18.9: its next losses are off the "
    "figure. Run G leaps out of the figure at once, comes back after a few steps, and leaps to 5.5 twice more.",
)

# %% [markdown]
# *The figure: D is flat at 2.3, E falls like run B. F is a dot at 18.9, and its next values lie outside. G leaps out of the picture,
# comes back, and leaps to 5.5 twice more.*
#
# Which of the four can you name from the curve alone? Write it down, then look at the readings.

# %% tags=["experiment"]
prediction_4 = ""  # a word from the table for each of D, E, F and G

# %% tags=["experiment"]
if predicted(prediction_4):
    for run in "DEFG":
        print(readings(run), end="\n\n")

# %% [markdown]
# **Exercise `signatures`** (core, 2 points). The same words as in section 5. A word may occur twice, or not at all.

# %% solution="signatures"
# signatures = {"D": "...", "E": "...", "F": "...", "G": "..."}
### BEGIN SOLUTION
signatures = {"D": "vanishing", "E": "wrong labels", "F": "exploding", "G": "rate too high"}
### END SOLUTION

# %% check="signatures"
check("signatures")

# %% [markdown]
# ### Rules of thumb, and where they trip
#
# You will find rules with numbers in them: *a norm above 1,000 is an explosion; early layers a thousand times smaller means vanishing;
# an update above a tenth of the weights means that the rate is too high*. Which of the seven runs does each of them accuse?

# %% tags=["experiment"]
print("      largest norm   layer 1 / last layer   largest update   largest update")
print("run   all layers     half way through       at step 0        after it, median")
for run in "ABCDEFG":
    gradients, updates = record[f"{run}_gradients"].astype(float), record[f"{run}_updates"]
    norms, half_way = np.linalg.norm(gradients, axis=1), gradients[len(gradients) // 2]
    print(f"{run:6s}{np.nanmax(norms):<15.3g}{half_way[0] / half_way[-1]:<23.1e}", end="")
    print(f"{updates[0].max():<17.2f}{np.nanmedian(updates[1:].max(axis=1)):.2g}")

# %% [markdown]
# - *Norm above 1,000.* F, and rightly so: its gradient was above 1,200 before a single update was made. And C, which is dead: its
#   norm was 9,670 for one step, and its loss never became `nan`. The number also depends on the unit of the loss: sum the loss
#   over a batch of 64 where you used to average it, and every gradient is 64 times larger, in a healthy run too.
# - *Early layers a thousand times smaller.* A and D, which are two different illnesses. In A every unit is idle, in D not one is.
#   They need different cures.
# - *Update above a tenth of the weights.* In its first step, the healthy run B moves its last layer by 0.43, because these weights
#   start out small. A and D have more than a tenth all along, in their last layer, and their trouble is elsewhere. And G, whose rate *is* too high, has 46
#   in the first step, and 0.043 from then on: its weights have grown, and the share has become small.
#
# So use the table the way a doctor uses a thermometer. Read several instruments together, and ask what would make all of them
# show what they show.
#
# | the loss | the gradient | look for | seen in |
# |---|---|---|---|
# | flat from the start | tiny below the last layer, all units idle | saturation: weights or inputs too large | A |
# | flat from the start | smaller from layer to layer, no unit idle | vanishing: depth, initial weights, kind of unit | D |
# | falls, then leaps, then flat | exactly 0 | dead units; the cause lies before the leap | C |
# | `inf`, then `nan` | powers of ten larger at each step | explosion: initial weights, depth | F |
# | jumps up and down | of ordinary size | a rate that is too high | G |
# | falls as it should, accuracy poor | as in a healthy run | the data: labels, preprocessing, the loss itself | E |
#
# "Gradients of about 0 everywhere" you will find in many such tables as the sign of saturation. In run A it holds for three layers
# of four: the last layer, which no squashing gate separates from the loss, always gets its gradient.

# %% [markdown]
# ## 7. Say it
#
# **Exercise `quiz_00`** (core, 4 points). One letter each.
#
# **1.** A framework differentiates any program that you write. Why is that not enough?
#
# - a) Its derivatives are approximations, and their errors add up in a deep network.
# - b) A gradient can be right and still too small, too large or too zero to train with, and nothing tells you.
# - c) It takes too long for networks of a useful size.
# - d) It cannot handle functions with kinks or flat parts, such as the maximum.
#
# **2.** A loss has been at $2.30 = \ln 10$ for a hundred steps. What do you know about the cause?
#
# - a) The last layer is not being trained.
# - b) The hidden units are saturated.
# - c) The learning rate is too high.
# - d) Not much, before you have seen the gradient of each layer.
#
# **3.** Ten gates in a chain: nine with a local gradient of 0.9, one with 0. A gradient of 1 enters. What comes out at the other end?
#
# - a) 0
# - b) 0.81, the average
# - c) 0.39, which is $0.9^9$
# - d) That depends on where in the chain the gate with 0 is.
#
# **4.** At some step, the norm of all gradients of a run is 1,800. Is the run exploding?
#
# - a) Yes. Above 1,000, a gradient has exploded.
# - b) No, as long as the loss is falling.
# - c) That depends on how the loss is scaled, and on whether the norm grows from step to step.
# - d) Only the accuracy on new images can tell.

# %% solution="quiz_00"
# quiz = {"1": "...", "2": "...", "3": "...", "4": "..."}
### BEGIN SOLUTION
quiz = {"1": "b", "2": "d", "3": "a", "4": "c"}
### END SOLUTION

# %% check="quiz_00"
check("quiz_00")

# %% [markdown]
# **In your own words** (not graded). A friend has a network whose loss does not move. "The gradients come from autograd," they say,
# "so the gradients are fine." Answer in five sentences at most. Use one number from this notebook. Say what you would print
# first, and what you would conclude from two different outcomes.

# %% [markdown] solution="written_answer"
# ### BEGIN SOLUTION
# The gradients are right, and that says nothing about whether they can train. In run A every gradient was right, and the one of layer
# 1 was 2e-16: its weights moved by less than a rounding error in each step. I would print the norm of the gradient of each layer,
# and the share of units that sit at the end of their range. If the lower layers have next to nothing and the units are stuck, the
# inputs or the first weights are too large. If the gradient becomes smaller from layer to layer and no unit is stuck, it is
# the depth.
# ### END SOLUTION

# %% [markdown]
# <details>
# <summary>Rubric: read your answer again with these four questions</summary>
#
# 1. **Distinction.** Did you separate a *right* gradient from a gradient that can *train*?
# 2. **Evidence.** Is there a number in it, and does it come from a run?
# 3. **Method.** Would your friend know what to print: of which layers, at which step?
# 4. **Conclusion.** Do your two outcomes lead to two different causes?
#
# One point each. Three or four: go on. One or two: read sections 1 and 5 once more and write it again.
#
# </details>

# %% [markdown]
# ## What to remember
#
# - Each gate multiplies what arrives by its local gradient. A sum hands it on, a product multiplies by the *other* input, a maximum
#   sends it to the larger input, and where a value was copied the gradients are added.
# - A chain is a product. Factors a little below 1 leave nothing, factors a little above 1 leave too much, and one 0 decides.
# - Autograd gives the right gradient. Whether it can train is decided by the numbers on the way, and those you have to look at.
# - Look at every layer, not only at the loss. Two curves that look alike can come from two illnesses.
# - Ask what went wrong *first*. The last state of a run is seldom the cause.
#
# Before you go on, check the whole notebook at once, in a terminal:
#
#     minigrad check 00_autograd_trap.ipynb
#
# It runs the notebook from top to bottom and says what each check sees. What you hand in is the notebook.
#
# In assignment 01 you build the instrument that was used here without much talk: how do we *know* that the gradients of those runs were right?
#
# ## Where this shows up today
#
# - **Every training framework** is a set of gates with local gradients and a loop that multiplies them backwards. `loss.backward()`
#   is section 3, a few million times.
# - **Gradient norms in the log.** Large runs print the norm of the gradient at every step; PyTorch's `clip_grad_norm_` returns it.
#   A leap in it, as at steps 101 to 103 of run C, is called a loss spike, and people roll the run back.
# - **`torch.autograd.set_detect_anomaly(True)`** stops at the first backward operation that returns `nan`. That finds run F. About
#   the other six it has nothing to say, and five of them are ill.
#
# ## References
#
# - Andrej Karpathy, *Yes you should understand backprop*, 2016. The essay behind this course: backpropagation as a leaky abstraction.
# - Joel Spolsky, *The Law of Leaky Abstractions*, 2002. Where the phrase comes from.
# - Stanford CS231n, course notes *Backpropagation, Intuitions*. Circuits, gates and local gradients.
# - Sepp Hochreiter, *Untersuchungen zu dynamischen neuronalen Netzen*, diploma thesis, TU München, 1991. The relay, and why its
#   product vanishes, before anybody called it that.
# - Xavier Glorot and Yoshua Bengio, *Understanding the difficulty of training deep feedforward neural networks*, AISTATS 2010. Reading
#   a network's health off its layers.
