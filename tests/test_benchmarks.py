"""The benchmark of the layers misses no pair. How fast they are is for it to say, not for a test."""

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
