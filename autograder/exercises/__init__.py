"""The exercises of the course, one module for each assignment that has them.

A module names its ``ASSIGNMENT`` and lists its ``EXERCISES``; it is found by being here. Another module may add
exercises to the same assignment. Where the course is handed to students (a bundle), the modules are absent and the
visible sheets stand in their place, under ``sheets/``.
"""

import dataclasses
import functools
import importlib
import pkgutil
from pathlib import Path

import numpy as np

from ..exercise import Exercise
from ..sheet import Sheet, compile_sheet

VISIBLE_SEED = 2016  # the year of the post that the course is about
SHEETS = Path(__file__).with_name("sheets")

# Which assignment asks for which function of the library: there, and before, students get a stub of it.
# A table, not a list drawn from the exercises, because an assignment is graded before the later ones have
# any, and because a second implementation belongs to the exercise that it would give away. A function of the
# library stands here or in UNGRADED; the tests see to that.
GRADED_IN: dict[str, str] = {
    "minigrad.gradcheck.numerical.numerical_gradient": "01_gradient_checking",
    "minigrad.gradcheck.numerical.numerical_gradient_array": "01_gradient_checking",
    "minigrad.gradcheck.numerical.relative_error": "01_gradient_checking",
    "minigrad.gradcheck.measured.measure_gradients": "01_gradient_checking",
    "minigrad.gradcheck.checker.gradient_check": "01_gradient_checking",
    "minigrad.gradcheck.cs231n.eval_numerical_gradient": "01_gradient_checking",
    "minigrad.gradcheck.cs231n.eval_numerical_gradient_array": "01_gradient_checking",
    "minigrad.gradcheck.cs231n.grad_check_sparse": "01_gradient_checking",
    "minigrad.gradcheck.cs231n.rel_error": "01_gradient_checking",
    "minigrad.layers.affine.affine_forward": "01_gradient_checking",
    "minigrad.layers.affine.affine_backward": "01_gradient_checking",
    "minigrad.layers.affine.affine_parameter_gradients": "01_gradient_checking",
    "minigrad.layers.activations.relu_forward": "03_dying_relu",
    "minigrad.layers.activations.relu_backward": "03_dying_relu",
    "minigrad.layers.activations.sigmoid_forward": "02_sigmoid_saturation",
    "minigrad.layers.activations.sigmoid_backward": "02_sigmoid_saturation",
    "minigrad.layers.activations.tanh_forward": "02_sigmoid_saturation",
    "minigrad.layers.activations.tanh_backward": "02_sigmoid_saturation",
    "minigrad.layers.sandwich.affine_sigmoid_forward": "02_sigmoid_saturation",
    "minigrad.layers.sandwich.affine_sigmoid_backward": "02_sigmoid_saturation",
    "minigrad.layers.smooth.softplus_forward": "02_sigmoid_saturation",
    "minigrad.layers.smooth.softplus_backward": "02_sigmoid_saturation",
    "minigrad.layers.rectifiers.leaky_relu_forward": "03_dying_relu",
    "minigrad.layers.rectifiers.leaky_relu_backward": "03_dying_relu",
    "minigrad.layers.rectifiers.prelu_forward": "03_dying_relu",
    "minigrad.layers.rectifiers.prelu_backward": "03_dying_relu",
    "minigrad.layers.rectifiers.elu_forward": "03_dying_relu",
    "minigrad.layers.rectifiers.elu_backward": "03_dying_relu",
    "minigrad.layers.residual.residual_forward": "04_vanishing_exploding",
    "minigrad.layers.residual.residual_backward": "04_vanishing_exploding",
    "minigrad.layers.indexing.gather_forward": "07_clipped_loss",
    "minigrad.layers.indexing.gather_backward": "07_clipped_loss",
    "minigrad.layers.smooth.gelu_forward": "09_modern_gradients",
    "minigrad.layers.smooth.gelu_backward": "09_modern_gradients",
    "minigrad.layers.smooth.gelu_tanh_forward": "09_modern_gradients",
    "minigrad.layers.smooth.gelu_tanh_backward": "09_modern_gradients",
    "minigrad.layers.smooth.silu_forward": "09_modern_gradients",
    "minigrad.layers.smooth.silu_backward": "09_modern_gradients",
    "minigrad.layers.feed_forward.ffn_block_forward": "09_modern_gradients",
    "minigrad.layers.feed_forward.ffn_block_backward": "09_modern_gradients",
    "minigrad.losses.classes.bce_with_logits_loss": "02_sigmoid_saturation",
    "minigrad.losses.errors.clipped_delta_loss": "07_clipped_loss",
    "minigrad.losses.errors.huber_loss": "07_clipped_loss",
    "minigrad.losses.temporal_difference.td_loss": "07_clipped_loss",
    "minigrad.losses.classes.softmax_loss": "08_training_clinic",
    "minigrad.losses.classes.temporal_softmax_loss": "08_training_clinic",
    "minigrad.layers.recurrent.rnn_step_forward": "06_exploding_rnn",
    "minigrad.layers.recurrent.rnn_step_backward": "06_exploding_rnn",
    "minigrad.layers.recurrent.rnn_forward": "06_exploding_rnn",
    "minigrad.layers.recurrent.rnn_backward": "06_exploding_rnn",
    "minigrad.layers.lstm.lstm_step_forward": "06_exploding_rnn",
    "minigrad.layers.lstm.lstm_step_backward": "06_exploding_rnn",
    "minigrad.layers.lstm.lstm_forward": "06_exploding_rnn",
    "minigrad.layers.lstm.lstm_backward": "06_exploding_rnn",
    "minigrad.layers.gru.gru_step_forward": "06_exploding_rnn",
    "minigrad.layers.gru.gru_step_backward": "06_exploding_rnn",
    "minigrad.layers.gru.gru_forward": "06_exploding_rnn",
    "minigrad.layers.gru.gru_backward": "06_exploding_rnn",
    "minigrad.layers.temporal.temporal_affine_forward": "01_gradient_checking",
    "minigrad.layers.temporal.temporal_affine_backward": "01_gradient_checking",
    "minigrad.layers.convolution.conv_forward_naive": "01_gradient_checking",
    "minigrad.layers.convolution.conv_backward_naive": "01_gradient_checking",
    "minigrad.layers.convolution.conv_forward": "01_gradient_checking",
    "minigrad.layers.convolution.conv_backward": "01_gradient_checking",
    "minigrad.layers.normalization.batchnorm_forward": "05_batchnorm",
    "minigrad.layers.normalization.batchnorm_backward": "05_batchnorm",
    "minigrad.layers.normalization.batchnorm_backward_alt": "05_batchnorm",
    "minigrad.layers.normalization.layernorm_forward": "05_batchnorm",
    "minigrad.layers.normalization.layernorm_backward": "05_batchnorm",
    "minigrad.layers.spatial_normalization.spatial_batchnorm_forward": "05_batchnorm",
    "minigrad.layers.spatial_normalization.spatial_batchnorm_backward": "05_batchnorm",
    "minigrad.layers.spatial_normalization.spatial_groupnorm_forward": "05_batchnorm",
    "minigrad.layers.spatial_normalization.spatial_groupnorm_backward": "05_batchnorm",
    "minigrad.activity.saturated_fraction": "02_sigmoid_saturation",
    "minigrad.activity.count_dead_relus": "03_dying_relu",
    "minigrad.gains.gain": "04_vanishing_exploding",
    "minigrad.initializers.xavier_init": "02_sigmoid_saturation",
    "minigrad.initializers.xavier_normal": "02_sigmoid_saturation",
    "minigrad.initializers.xavier_uniform": "02_sigmoid_saturation",
    "minigrad.initializers.he_init": "04_vanishing_exploding",
    "minigrad.initializers.he_normal": "04_vanishing_exploding",
    "minigrad.initializers.he_uniform": "04_vanishing_exploding",
    "minigrad.clipping.clip_grad_norm": "04_vanishing_exploding",
    "minigrad.clipping.clip_grad_value": "04_vanishing_exploding",
    "minigrad.diagnosis.gradient_flow.check_gradient_flow": "04_vanishing_exploding",
    "minigrad.monitor.sizes.update_ratio": "08_training_clinic",
    "minigrad.loss_scaling.scale_gradient": "09_modern_gradients",
    "minigrad.loss_scaling.unscale_gradients": "09_modern_gradients",
    "minigrad.loss_scaling.update_scale": "09_modern_gradients",
    "minigrad.anomaly.first_nonfinite": "09_modern_gradients",
}
# Those of them that no exercise asks for, and what each would give away.
SECOND_IMPLEMENTATIONS: dict[str, str] = {
    "minigrad.gradcheck.numerical.numerical_gradient_array": "numerical_gradient",
    "minigrad.gradcheck.measured.measure_gradients": "numerical_gradient",
    "minigrad.gradcheck.cs231n.eval_numerical_gradient": "numerical_gradient",
    "minigrad.gradcheck.cs231n.eval_numerical_gradient_array": "numerical_gradient",
    "minigrad.gradcheck.cs231n.grad_check_sparse": "gradient_check",
    "minigrad.gradcheck.cs231n.rel_error": "relative_error",
    "minigrad.layers.smooth.softplus_forward": "sigmoid_forward",
    "minigrad.layers.smooth.softplus_backward": "sigmoid_forward",
    "minigrad.layers.smooth.gelu_tanh_forward": "gelu_forward",
    "minigrad.layers.smooth.gelu_tanh_backward": "gelu_backward",
    "minigrad.losses.classes.bce_with_logits_loss": "sigmoid_forward",
    "minigrad.losses.classes.temporal_softmax_loss": "softmax_loss",
    "minigrad.layers.lstm.lstm_forward": "lstm_step_forward",
    "minigrad.layers.lstm.lstm_backward": "lstm_step_backward",
    "minigrad.layers.gru.gru_step_forward": "lstm_step_forward",
    "minigrad.layers.gru.gru_step_backward": "lstm_step_backward",
    "minigrad.layers.gru.gru_forward": "lstm_step_forward",
    "minigrad.layers.gru.gru_backward": "lstm_step_backward",
    "minigrad.layers.affine.affine_parameter_gradients": "affine_backward",
    "minigrad.layers.temporal.temporal_affine_forward": "affine_forward",
    "minigrad.layers.temporal.temporal_affine_backward": "affine_backward",
    "minigrad.layers.convolution.conv_forward_naive": "affine_forward",
    "minigrad.layers.convolution.conv_backward_naive": "affine_backward",
    "minigrad.layers.convolution.conv_forward": "affine_forward",
    "minigrad.layers.convolution.conv_backward": "affine_backward",
    "minigrad.layers.spatial_normalization.spatial_batchnorm_forward": "batchnorm_forward",
    "minigrad.layers.spatial_normalization.spatial_batchnorm_backward": "batchnorm_backward",
    "minigrad.layers.spatial_normalization.spatial_groupnorm_forward": "layernorm_forward",
    "minigrad.layers.spatial_normalization.spatial_groupnorm_backward": "layernorm_backward",
    "minigrad.gains.gain": "he_init",
    "minigrad.initializers.xavier_normal": "xavier_init",
    "minigrad.initializers.xavier_uniform": "xavier_init",
    "minigrad.initializers.he_normal": "he_init",
    "minigrad.initializers.he_uniform": "he_init",
}
# Functions that always work, and why they may.
UNGRADED: dict[str, str] = {
    "minigrad.network.from_zero_state": "calls the pair that it is given",
    "minigrad.training.fit": "the loop that experiments run; it calls what it is given, and holds no gradient",
    "minigrad.training.evaluate": "a forward pass in test mode",
    "minigrad.training.accuracy": "what experiments report",
    "minigrad.monitor.watching.watch": "records a run; it calls what it is given",
    "minigrad.monitor.watching.leaves": "the layers of a network, by name",
    "minigrad.monitor.watching.outputs_of": "a forward pass that somebody listens to",
    "minigrad.monitor.record.read_record": "reads a file",
    "minigrad.monitor.record.as_json": "writes a line of a file",
    "minigrad.diagnosis.before_training.preflight": "asks a network and a loss; it computes no gradient of its own",
    "minigrad.diagnosis.losses.check_loss": "asks a loss; it holds none",
    "minigrad.diagnosis.data.describe_data": "measures data",
    "minigrad.diagnosis.data.check_data": "words what was measured",
    "minigrad.diagnosis.data.familiarity": "measures data",
    "minigrad.diagnosis.data.not_finite": "words what was measured",
    "minigrad.diagnosis.data.symmetric": "words what was measured",
    "minigrad.diagnosis.data.out_of_reach": "words what was measured",
    "minigrad.diagnosis.debugging.debug_training": "trains with what it is given, and says what it saw",
    "minigrad.diagnosis.evaluation.check_agreement": "calls what it is given twice",
    "minigrad.diagnosis.evaluation.measure_evaluation": "accuracy, and the explained share of a variance",
    "minigrad.diagnosis.figure.draw": "a figure of a record",
    "minigrad.diagnosis.finding.arranged": "puts findings in order",
    "minigrad.diagnosis.finding.revived": "a finding from the dict that it was written as",
    "minigrad.diagnosis.rules.diagnose": "reads a record",
    "minigrad.bridges.torch.watch": "the same for a model of PyTorch",
    "minigrad.datasets.blobs": "data",
    "minigrad.datasets.circles": "data",
    "minigrad.datasets.spirals": "data",
    "minigrad.datasets.memory_task": "data",
    "minigrad.datasets.adding_task": "data",
    "minigrad.datasets.digits": "data",
    "minigrad.datasets.split": "data",
    "minigrad.layers.temporal.last_step_forward": "picks a step; what matters is how the gradient gets there",
    "minigrad.layers.temporal.last_step_backward": "puts the gradient of one step back in its place",
    "minigrad.gradcheck.layerwise.check_network": "calls gradient_check, and is a stub where that is one",
    "minigrad.gradcheck.describe.describe_difference": "checks word their verdicts with it, in the student's kernel",
    "minigrad.layers.embedding.word_embedding_forward": "no assignment asks for a table of words",
    "minigrad.layers.embedding.word_embedding_backward": "no assignment asks for a table of words",
    "minigrad.layers.dropout.dropout_forward": "no assignment asks for dropout",
    "minigrad.layers.dropout.dropout_backward": "no assignment asks for dropout",
    "minigrad.layers.sandwich.affine_relu_forward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.affine_relu_backward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.affine_bn_relu_forward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.affine_bn_relu_backward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_relu_forward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_relu_backward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_bn_relu_forward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_bn_relu_backward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_relu_pool_forward": "calls its parts, and is a stub where one of them is",
    "minigrad.layers.sandwich.conv_relu_pool_backward": "calls its parts, and is a stub where one of them is",
    "minigrad.losses.errors.mse_loss": "what assignment 07 starts from",
    "minigrad.losses.classes.svm_loss": "no assignment asks for a hinge",
    "minigrad.layers.convolution.conv_forward_fast": "another name for conv_forward, and a stub where that is one",
    "minigrad.layers.convolution.conv_backward_fast": "another name for conv_backward, and a stub where that is one",
    "minigrad.layers.pooling.max_pool_forward_naive": "no assignment asks for pooling",
    "minigrad.layers.pooling.max_pool_backward_naive": "no assignment asks for pooling",
    "minigrad.layers.pooling.max_pool_forward": "no assignment asks for pooling",
    "minigrad.layers.pooling.max_pool_backward": "no assignment asks for pooling",
    "minigrad.layers.pooling.avg_pool_forward": "no assignment asks for pooling",
    "minigrad.layers.pooling.avg_pool_backward": "no assignment asks for pooling",
    "minigrad.layers.pooling.max_pool_forward_fast": "another name for max_pool_forward",
    "minigrad.layers.pooling.max_pool_backward_fast": "another name for max_pool_backward",
    "minigrad.gains.fans": "reads two numbers off a shape",
    "minigrad.initializers.constant": "the same number everywhere",
    "minigrad.initializers.normal": "one width for all layers: what goes wrong, not what puts it right",
    "minigrad.initializers.orthogonal": "no assignment asks for it",
    "minigrad.optimizers.sgd": "no assignment asks for an optimizer; all of them train with one",
    "minigrad.optimizers.sgd_momentum": "no assignment asks for an optimizer; all of them train with one",
    "minigrad.optimizers.rmsprop": "no assignment asks for an optimizer; all of them train with one",
    "minigrad.optimizers.adam": "no assignment asks for an optimizer; all of them train with one",
    "minigrad.optimizers.adamw": "no assignment asks for an optimizer; all of them train with one",
    "minigrad.schedules.constant": "no assignment asks for a schedule",
    "minigrad.schedules.step_decay": "no assignment asks for a schedule",
    "minigrad.schedules.cosine": "no assignment asks for a schedule",
    "minigrad.schedules.warm_up": "no assignment asks for a schedule",
}


@functools.cache
def assignments() -> dict[str, dict[str, Exercise]]:
    """Exercises by assignment and name, in the order in which they are listed."""
    found: dict[str, dict[str, Exercise]] = {}
    for name in (module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        for exercise in module.EXERCISES:
            if any(exercise.name in group for group in found.values()):
                raise ValueError(f"{module.__name__}: there is another exercise named {exercise.name!r}")
            found.setdefault(module.ASSIGNMENT, {})[exercise.name] = exercise
    return dict(sorted(found.items()))


def find(name: str) -> Exercise:
    """The exercise of that name; names are unique in the course."""
    every = {key: exercise for group in assignments().values() for key, exercise in group.items()}
    if name not in every:
        raise KeyError(f"there is no exercise {name!r}; there are: {', '.join(every)}")
    return every[name]


@functools.cache
def visible_sheet(name: str) -> Sheet:
    """The sheet that students may have: compiled here, or read where only the sheets were handed out."""
    if SHEETS.is_dir():
        if not (SHEETS / f"{name}.sheet").is_file():
            there = ", ".join(sorted(path.stem for path in SHEETS.glob("*.sheet")))
            raise KeyError(f"there is no exercise {name!r}; there are: {there}")
        return Sheet.from_bytes((SHEETS / f"{name}.sheet").read_bytes())
    # Numpy's own settings: this runs in the student's kernel, where np.seterr(all="raise") finds a nan
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        return compile_sheet(find(name), VISIBLE_SEED)


@functools.cache
def full_sheet(name: str, hidden_seed: int) -> Sheet:
    """The sheet of the grader, hidden cases included.

    The cases that students see are drawn anew as well: a function that has learnt their numbers by heart fails.
    """
    return compile_sheet(find(name), hidden_seed + 1, hidden_seed)


@functools.cache
def version(name: str) -> str:
    """A name for what decides about the points of an exercise: its cases for a fixed seed, and what they expect."""
    right = dataclasses.replace(find(name), misconceptions=())  # they explain; and they take long to work out
    return compile_sheet(right, VISIBLE_SEED, VISIBLE_SEED).version
