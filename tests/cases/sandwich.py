"""Made of pairs that have cases of their own: here the slow forms, and PyTorch's, of the parts one after another."""

from hypothesis import strategies as st

from cases import activations, affine, convolution, normalization
from cases.base import Case, Rng, Shapes

relu, sigmoid = activations.CASES["relu"], activations.CASES["sigmoid"]
dense, conv, pool = affine.CASES["affine"], convolution.CASES["conv"], convolution.CASES["max_pool"]
bn, spatial_bn = normalization.CASES["batchnorm"], normalization.CASES["spatial_batchnorm"]


def with_features(shapes):
    """The arguments of a normalization beside those of the layer below."""

    def more(n: int) -> st.SearchStrategy[Shapes]:
        def added(below: Shapes) -> Shapes:
            return {**below, "gamma": below["b"], "beta": below["b"]}

        return shapes(n).map(added)

    return more


def evaluation(rng: Rng, shapes: Shapes) -> tuple:
    """In training the gradient for b is round-off; tests/test_sandwich.py looks at that."""
    (bn_param,) = normalization.either_mode(rng, shapes)
    return ({**bn_param, "mode": "test"},)


def evaluation_of_images(rng: Rng, shapes: Shapes) -> tuple:
    return *conv.params(rng, shapes), *evaluation(rng, shapes)


def small_windows(rng: Rng, shapes: Shapes) -> tuple:
    """One by one pixel at least is left of any image; all of it counts."""
    conv_param = {"stride": 1, "pad": int(rng.integers(3))}
    return conv_param, {"pool_height": 1, "pool_width": 1, "stride": int(rng.integers(1, 3))}


def slow_affine_bn_relu(x, w, b, gamma, beta, bn_param):
    return relu.slow(bn.slow(dense.slow(x, w, b), gamma, beta, bn_param))


def torch_affine_bn_relu(tensors, params):
    a = dense.torch(tensors[:3], ())
    return bn.torch([a, *tensors[3:]], params).relu()


def slow_conv_bn_relu(x, w, b, gamma, beta, conv_param, bn_param):
    return relu.slow(spatial_bn.slow(conv.slow(x, w, b, conv_param), gamma, beta, bn_param))


def torch_conv_bn_relu(tensors, params):
    a = conv.torch(tensors[:3], params[:1])
    return spatial_bn.torch([a, *tensors[3:]], params[1:]).relu()


def slow_conv_relu_pool(x, w, b, conv_param, pool_param):
    return pool.slow(relu.slow(conv.slow(x, w, b, conv_param)), pool_param)


CASES: dict[str, Case] = {
    "affine_relu": Case(
        shapes=dense.shapes,
        slow=lambda x, w, b: relu.slow(dense.slow(x, w, b)),
        torch=lambda tensors, params: dense.torch(tensors, params).relu(),
        analytic=False,
        parts=("affine", "relu"),
    ),
    "affine_sigmoid": Case(
        shapes=dense.shapes,
        slow=lambda x, w, b: sigmoid.slow(dense.slow(x, w, b)),
        torch=lambda tensors, params: dense.torch(tensors, params).sigmoid(),
        analytic=True,
        parts=("affine", "sigmoid"),
    ),
    "affine_bn_relu": Case(
        shapes=with_features(dense.shapes),
        slow=slow_affine_bn_relu,
        torch=torch_affine_bn_relu,
        analytic=False,
        params=evaluation,
        parts=("affine", "batchnorm", "relu"),
    ),
    "conv_relu": Case(
        shapes=conv.shapes,
        slow=lambda x, w, b, conv_param: relu.slow(conv.slow(x, w, b, conv_param)),
        torch=lambda tensors, params: conv.torch(tensors, params).relu(),
        analytic=False,
        params=conv.params,
        parts=("conv", "relu"),
    ),
    "conv_bn_relu": Case(
        shapes=with_features(conv.shapes),
        slow=slow_conv_bn_relu,
        torch=torch_conv_bn_relu,
        analytic=False,
        params=evaluation_of_images,
        parts=("conv", "spatial_batchnorm", "relu"),
    ),
    "conv_relu_pool": Case(
        shapes=conv.shapes,
        slow=slow_conv_relu_pool,
        torch=lambda tensors, params: pool.torch([conv.torch(tensors, params[:1]).relu()], params[1:]),
        analytic=False,
        params=small_windows,
        parts=("conv", "relu", "max_pool"),
    ),
}
