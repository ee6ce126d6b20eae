"""Layers as pairs of pure functions.

The contract, stated once for all of them::

    out, cache = name_forward(x, ..., param)
    dx, ... = name_backward(dout, cache)

* `backward` returns one gradient for each differentiable argument of `forward`, in that order and of that
  shape; the array itself when there is only one.
* Nothing is written to: no argument, no upstream gradient, no cache. `backward` may be called twice.
* float32 in, float32 out; integers are taken as float64. Where the maths is analytic, complex numbers pass
  through, so that the complex step works.
* A cache may share memory with forward's arguments and outputs: do not change those before `backward` has run.
* An impossible shape raises `ValueError`, which names the function, the argument and both shapes.
"""

from minigrad.layers.activations import (
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from minigrad.layers.affine import affine_backward, affine_forward
from minigrad.layers.convolution import (
    conv_backward,
    conv_backward_fast,
    conv_backward_naive,
    conv_forward,
    conv_forward_fast,
    conv_forward_naive,
)
from minigrad.layers.dropout import dropout_backward, dropout_forward
from minigrad.layers.embedding import word_embedding_backward, word_embedding_forward
from minigrad.layers.feed_forward import ffn_block_backward, ffn_block_forward
from minigrad.layers.gru import gru_backward, gru_forward, gru_step_backward, gru_step_forward
from minigrad.layers.indexing import gather_backward, gather_forward
from minigrad.layers.lstm import lstm_backward, lstm_forward, lstm_step_backward, lstm_step_forward
from minigrad.layers.normalization import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
)
from minigrad.layers.pooling import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_backward_fast,
    max_pool_backward_naive,
    max_pool_forward,
    max_pool_forward_fast,
    max_pool_forward_naive,
)
from minigrad.layers.rectifiers import (
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    prelu_backward,
    prelu_forward,
)
from minigrad.layers.recurrent import rnn_backward, rnn_forward, rnn_step_backward, rnn_step_forward
from minigrad.layers.residual import residual_backward, residual_forward
from minigrad.layers.sandwich import (
    affine_bn_relu_backward,
    affine_bn_relu_forward,
    affine_relu_backward,
    affine_relu_forward,
    affine_sigmoid_backward,
    affine_sigmoid_forward,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)
from minigrad.layers.smooth import (
    gelu_backward,
    gelu_forward,
    gelu_tanh_backward,
    gelu_tanh_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)
from minigrad.layers.spatial_normalization import (
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)
from minigrad.layers.temporal import (
    last_step_backward,
    last_step_forward,
    temporal_affine_backward,
    temporal_affine_forward,
)

__all__ = [
    "affine_backward",
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_forward",
    "affine_relu_backward",
    "affine_relu_forward",
    "affine_sigmoid_backward",
    "affine_sigmoid_forward",
    "avg_pool_backward",
    "avg_pool_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward",
    "conv_backward_fast",
    "conv_backward_naive",
    "conv_bn_relu_backward",
    "conv_bn_relu_forward",
    "conv_forward",
    "conv_forward_fast",
    "conv_forward_naive",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "ffn_block_backward",
    "ffn_block_forward",
    "gather_backward",
    "gather_forward",
    "gelu_backward",
    "gelu_forward",
    "gelu_tanh_backward",
    "gelu_tanh_forward",
    "gru_backward",
    "gru_forward",
    "gru_step_backward",
    "gru_step_forward",
    "last_step_backward",
    "last_step_forward",
    "layernorm_backward",
    "layernorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "lstm_backward",
    "lstm_forward",
    "lstm_step_backward",
    "lstm_step_forward",
    "max_pool_backward",
    "max_pool_backward_fast",
    "max_pool_backward_naive",
    "max_pool_forward",
    "max_pool_forward_fast",
    "max_pool_forward_naive",
    "prelu_backward",
    "prelu_forward",
    "relu_backward",
    "relu_forward",
    "residual_backward",
    "residual_forward",
    "rnn_backward",
    "rnn_forward",
    "rnn_step_backward",
    "rnn_step_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softplus_backward",
    "softplus_forward",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "tanh_backward",
    "tanh_forward",
    "temporal_affine_backward",
    "temporal_affine_forward",
    "word_embedding_backward",
    "word_embedding_forward",
]
