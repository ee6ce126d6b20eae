"""The memory that benchmarks report is that of the whole tree of processes, each page once."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
MEGABYTE = 2**20
HOLD = "x = bytearray(b'1') * (100 << 20); time.sleep(0.5)"
# What a command does, and how many megabytes it and its descendants hold.
CASES = {
    "one process": (HOLD, 100),
    "pages shared by four": ("x = bytearray(b'1') * (100 << 20); os.fork(); os.fork(); time.sleep(0.5)", 100),
    "two, with pages of their own": (f"os.fork(); {HOLD}", 200),
    "a child in a session of its own": (f"os.fork() and os._exit(os.wait()[1]); os.setsid(); {HOLD}", 100),
    "an orphan": (
        f"os.fork() and (time.sleep(1), os._exit(0)); os.setsid(); os.fork() and os._exit(0); {HOLD}",
        100,
    ),
    "a child without an environment": (
        f"os.fork() and os._exit(os.wait()[1]); code = {'import time; ' + HOLD!r}; "
        "os.execve(sys.executable, [sys.executable, '-I', '-c', code], {})",
        100,
    ),
}


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], tuple[float, int]]:
    if not sys.platform.startswith("linux"):
        pytest.skip("it reads /proc")
    monkeypatch.syspath_prepend(BENCHMARKS)
    import process_tree

    return lambda code: process_tree.peak_memory(
        [sys.executable, "-I", "-c", f"import os, sys, time; {code}"], tmp_path
    )


@pytest.mark.parametrize("case", CASES)
def test_every_page_of_the_tree_is_counted_once(case: str, measure: Callable[[str], tuple[float, int]]):
    code, megabytes = CASES[case]
    assert megabytes <= measure(code)[1] / MEGABYTE < megabytes + 40  # Python itself takes 5 to 10


def test_what_a_command_leaves_behind_is_ended(measure: Callable[[str], tuple[float, int]], tmp_path: Path):
    number = tmp_path / "pid"
    measure(f"pid = os.fork(); pid and open({str(number)!r}, 'w').write(str(pid)); pid or time.sleep(600)")
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_a_failing_command_ends_the_benchmark_with_what_it_said(measure: Callable[[str], tuple[float, int]]):
    with pytest.raises(SystemExit, match="no such course"):
        measure("sys.exit('no such course')")
