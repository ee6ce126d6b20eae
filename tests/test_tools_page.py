"""The page about the tools: every block runs, and prints what stands under it.

``python tests/test_tools_page.py`` draws its picture anew.
"""

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from minigrad.plots import png

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")


def run(with_torch: bool) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """What each block printed beside what the page says, and the names that they left."""
    names: dict[str, Any] = {}
    pairs = []
    for code, said in BLOCK.findall((DOCS / "tools.md").read_text("utf-8")):
        if "import torch" in code and not with_torch:
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "tools.md", "exec"), names)
        pairs.append((printed.getvalue(), said))
    return pairs, names


@pytest.mark.parametrize("with_torch", [False, True])
def test_the_page_says_what_its_blocks_print(with_torch):
    if with_torch:
        pytest.importorskip("torch")
    pairs, names = run(with_torch)
    assert len(pairs) == 5 + with_torch
    for printed, said in pairs:
        # Numbers after many steps differ in their last digits from one BLAS to the next; the words do not.
        assert NUMBER.sub("#", printed) == NUMBER.sub("#", said)
        ours, theirs = ([float(n) for n in NUMBER.findall(text)] for text in (printed, said))
        assert ours == pytest.approx(theirs, rel=0.3, abs=1e-9)
    (alternative,) = re.findall(r"!\[(.*?)\]\(clinic.png\)", (DOCS / "tools.md").read_text("utf-8"))
    assert "learning rate spike" in alternative
    assert "learning rate spike" in names["alt"]


if __name__ == "__main__":
    (DOCS / "clinic.png").write_bytes(png(run(with_torch=False)[1]["figure"], colours=256))
    sys.exit(0)
