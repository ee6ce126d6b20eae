"""What the layers share: it does what its plain form does, and leaves numpy as it was."""

import subprocess
import sys

import numpy as np
import pytest

from minigrad import layers
from minigrad.layers._arrays import as_numbers, dot_rows, row_by_row

LONG = (64, 512)  # rows of 4 KB in float64: `row_by_row` makes the buffer small
NORMALIZATIONS = {
    "batchnorm": (LONG, ({"mode": "train"},)),
    "layernorm": (LONG, ({},)),
    "spatial_batchnorm": ((4, 8, 32, 32), ({"mode": "train"},)),
    "spatial_groupnorm": ((4, 8, 32, 32), (2, {})),
}


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (0, 4), (3, 0)])
def test_dot_rows_is_einsum(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape))
    np.testing.assert_allclose(dot_rows(x, y), np.einsum("...d,...d->...", x, y), rtol=1e-13, atol=1e-15)


def test_as_numbers_is_astype():
    mask = np.random.default_rng(0).random((4, 6)) < 0.5
    for dtype in map(np.dtype, (np.float16, np.float32, np.float64, np.complex64, np.uint64)):
        for where in (mask, mask.T[::2], mask[0, 0]):
            np.testing.assert_array_equal(
                as_numbers(where, dtype), np.asarray(where).astype(dtype), strict=True
            )


def test_the_buffer_is_small_while_it_lasts_and_as_before_afterwards():
    before = np.getbufsize()
    with row_by_row(np.zeros(LONG)):
        assert np.getbufsize() < LONG[1]
    assert np.getbufsize() == before
    with pytest.raises(ZeroDivisionError), row_by_row(np.zeros(LONG)):
        raise ZeroDivisionError
    assert np.getbufsize() == before
    with row_by_row(np.zeros((4, 8))):
        assert np.getbufsize() == before


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_long_rows_come_out_as_short_ones(name: str, monkeypatch: pytest.MonkeyPatch):
    """The contract is checked on small arrays only, where the buffer stays as it is."""
    shape, params = NORMALIZATIONS[name]
    rng = np.random.default_rng(0)
    x, dout, (gamma, beta) = *rng.standard_normal((2, *shape)), rng.standard_normal((2, shape[1]))

    def run() -> list[np.ndarray]:
        out, cache = getattr(layers, f"{name}_forward")(x, gamma, beta, *params)
        return [out, *getattr(layers, f"{name}_backward")(dout, cache)]

    before = np.getbufsize()
    results = run()
    assert np.getbufsize() == before
    monkeypatch.setattr(np, "setbufsize", lambda size: size)
    np.testing.assert_equal(results, run())


@pytest.mark.parametrize(
    "name", "sigmoid tanh relu leaky_relu elu softplus silu gelu gelu_tanh dropout prelu".split()
)
def test_a_single_number_comes_out_as_an_array(name: str):
    params = {"dropout": ({"p": 0.5, "mode": "train", "seed": 0},), "prelu": (0.1,)}.get(name, ())
    out, cache = getattr(layers, f"{name}_forward")(0.5, *params)
    grads = getattr(layers, f"{name}_backward")(2.0, cache)
    for array in (out, *(grads if isinstance(grads, tuple) else (grads,))):
        assert isinstance(array, np.ndarray)
        assert array.shape == ()


def test_importing_the_layers_does_not_load_random_numbers():
    program = "import sys, minigrad.layers; print('numpy.random' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
