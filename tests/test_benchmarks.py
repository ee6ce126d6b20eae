"""The benchmarks run, and miss nothing that they are for. What they measure is for them to say, not for a test."""

import importlib
from pathlib import Path

import pytest
from cases import CASES

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_every_pair_is_measured_at_some_size(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch", reason="PyTorch, which the layers are timed against, is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    layer_sizes = importlib.import_module("layer_sizes")
    assert set(layer_sizes.SIZES) <= set(CASES)
    assert set(layer_sizes.IN_TORCH) <= set(CASES)
    for name, case in CASES.items():
        if not isinstance(case.torch, str):
            assert layer_sizes.sizes_of(name)


def test_the_gradient_checker_is_measured(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch", reason="PyTorch, whose checker is called, is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    gradcheck = importlib.import_module("gradcheck")
    tally = gradcheck.detect("tied", columns=((0.0, 1e-6),), bugs=("twice", "bias zero", "penalty left out"))
    assert (tally.planted, tally.left_out) == (2, 0)  # there is no penalty to leave out
    assert tally.found["minigrad", (0.0, 1e-6)] == 2
    assert tally.found["PyTorch", (0.0, 1e-6)] == 0  # its tolerance is absolute
    assert {kind for mistake in gradcheck.mistakes() for kind in mistake.kinds} == set(gradcheck.KINDS)
    assert not gradcheck.alarm(3).alarms
