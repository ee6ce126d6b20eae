"""What a student does works on systems that cannot fork, which Windows cannot and macOS should not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOLVED = sorted(ROOT.glob("solutions/*/*.ipynb"))
# Take away what only POSIX has, before anything of the course is imported.
WITHOUT_FORK = """
import multiprocessing.context, os, sys
for name in ("fork", "forkpty", "register_at_fork", "geteuid", "getuid", "setsid", "killpg"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("fcntl", "grp", "pwd", "resource"):
    sys.modules[name] = None
multiprocessing.context._concrete_contexts = {"spawn": multiprocessing.context.SpawnContext()}
multiprocessing.context._default_context = multiprocessing.context.DefaultContext(
    multiprocessing.context._concrete_contexts["spawn"]
)
"""
COMMAND = WITHOUT_FORK + "from autograder.cli import app; app()"


def run(code: str, *words: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_fork_is_taken_away(tmp_path):
    attempts = ("os.fork()", "multiprocessing.get_context('fork')", "__import__('resource')")
    for attempt in attempts:
        with pytest.raises(AssertionError, match=r"AttributeError|cannot find context|ModuleNotFoundError"):
            run(f"{WITHOUT_FORK}\nimport multiprocessing\n{attempt}", cwd=tmp_path)


def test_start(tmp_path):
    run(COMMAND, "start", "mine", cwd=tmp_path)
    copied = {path.name for path in (tmp_path / "mine").iterdir()}
    assert copied == {path.name for path in ROOT.glob("assignments/*/*.ipynb")}


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_check(tmp_path, path):
    shutil.copy(path, tmp_path)
    said = run(COMMAND, "check", path.name, cwd=tmp_path)
    earned, points = re.findall(r"^([\d.]+) of ([\d.]+) points$", said, re.MULTILINE)[-1]
    assert earned == points, said


def test_lab(tmp_path):
    code = "from minigrad.labs import explore, gradient_checking; explore.explore(gradient_checking)"
    assert "derivative 8.75" in run(WITHOUT_FORK + code, cwd=tmp_path)
    assert "gradient_checking" in run(COMMAND, "lab", cwd=tmp_path)
