"""Mutants that are no mistakes: the changed function computes the same, or differs where nothing is asked for."""

SIGN = "the sign cancels under the absolute value or the norm"
AT_ZERO = "at exactly 0 both branches give the same"
AT_THE_EDGE = "at exactly the limit both branches give the same"
UNUSED = "a value that is only there to be thrown away"
DEFAULT = "a default: the exercise names it as a suggestion, and the cases accept any that does the work"
ANY_NEGATIVE = "numpy takes any negative number here for 'the rest'"

# (function, statement, change) to the reason.
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("relative_error", "scale = np.where(scale == 0, 1.0, scale)", "1.0 to 2"): UNUSED,
    ("relative_error", "return float(np.max(np.abs(a - b) / scale))", "b - a"): SIGN,
    ("numerical_gradient", "def numerical_gradient(f, x, h=1e-05):", "1e-05 to 2e-05"): DEFAULT,
    ("affine_forward", "rows = x.reshape(x.shape[0], -1)", "1 to 2"): ANY_NEGATIVE,
    ("affine_backward", "rows = x.reshape(x.shape[0], -1)", "1 to 2"): ANY_NEGATIVE,
    (
        "gradient_check",
        "def gradient_check(loss, params, grads, rng, num_checks=10, h=1e-05):",
        "10 to 11",
    ): DEFAULT,
    (
        "gradient_check",
        "def gradient_check(loss, params, grads, rng, num_checks=10, h=1e-05):",
        "1e-05 to 2e-05",
    ): DEFAULT,
    (
        "gradient_check",
        "for k, flat in enumerate(rng.choice(tensor.size, size=count, replace=False)):",
        "False to True",
    ): "an element may be drawn twice; the exercise asks for a random subset and does not say how to draw it",
    ("saturated_fraction", "return float(np.mean((out < low + edge) | (out > high - edge)))", "< to <="): (
        "whether the edge itself counts is left open"
    ),
    ("saturated_fraction", "return float(np.mean((out < low + edge) | (out > high - edge)))", "> to >="): (
        "whether the edge itself counts is left open"
    ),
    ("prelu_forward", "return (np.where(x > 0, x, alpha * x), (x, alpha))", "> to >="): AT_ZERO,
    ("prelu_backward", "dalpha = np.where(x > 0, 0.0, x * dout).sum(axis=0)", "> to >="): AT_ZERO,
    ("elu_forward", "return (np.where(x > 0, x, alpha * np.expm1(left)), (x, alpha))", "> to >="): AT_ZERO,
    ("elu_forward", "left = np.minimum(x, 0)", "0 to 1"): "between 0 and 1 the other branch is taken",
    (
        "elu_backward",
        "return dout * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))",
        "0 to 1",
    ): "between 0 and 1 the other branch is taken",
    (
        "elu_backward",
        "return dout * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))",
        "> to >=",
    ): "at exactly 0 there is a kink unless alpha is 1, and either slope is accepted",
    (
        "clip_grad_norm",
        "factor = max_norm / norm if norm > max_norm else 1.0",
        "> to >=",
    ): AT_THE_EDGE,
    (
        "huber_loss",
        "loss = np.where(size <= delta, error ** 2 / 2, delta * (size - delta / 2))",
        "<= to <",
    ): AT_THE_EDGE,
    (
        "has_overfitted",
        "return bool(np.isfinite(losses).all() and losses[-1] <= share * losses[0])",
        "<= to <",
    ): "whether exactly the share counts is left open",
    (
        "check_gradient_flow",
        "def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):",
        "50 to 51",
    ): DEFAULT,
    (
        "check_gradient_flow",
        "def check_gradient_flow(depth, weight_scale, rng, width=50, examples=64):",
        "64 to 65",
    ): DEFAULT,
    (
        "update_ratio",
        "moved, size = (np.linalg.norm((after - before).ravel()), np.linalg.norm(before.ravel()))",
        "before - after",
    ): SIGN,
}
