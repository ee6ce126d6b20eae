"""The page docs/grading.md: each benchmark writes its own section, and leaves the words around it alone."""

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "grading.md"


def write(section: str, lines: Iterable[str]) -> None:
    """Put lines between the marks of a section, and print them."""
    text = "\n".join(lines)
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- {section} -->\n")
    _, end, after = rest.partition(f"<!-- end of {section} -->\n")
    if not begin or not end:
        raise ValueError(f"{PAGE} has no section {section!r}")
    PAGE.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")
    print(text)
