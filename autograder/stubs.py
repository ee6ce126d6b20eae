"""Stand-ins for what a notebook imports but a grader has no use for: widgets, displays, the grader itself.

Student code that imports `autograder` in the sandbox gets an object that accepts everything and means
nothing. Each attribute, call and item of a `Nothing` is a `Nothing`.
"""

import builtins
import contextlib
import sys
import types
from typing import Any

NAMES = (
    "autograder autograder.checking IPython IPython.display IPython.core IPython.core.display ipywidgets google.colab"
).split()


class Nothing:
    """Accepts every use and does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Nothing()

    def __call__(self, *args: Any, **kwargs: Any) -> "Nothing":
        """Another nothing."""
        return Nothing()

    def __getitem__(self, key: Any) -> "Nothing":
        return Nothing()

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __iter__(self) -> Any:
        return iter(())

    def __enter__(self) -> "Nothing":
        return self

    def __exit__(self, *details: object) -> None: ...

    def __float__(self) -> float:
        return 0.0

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "0.0"


class _Module(types.ModuleType):
    def __init__(self, name: str):
        super().__init__(name)
        self.__path__: list[str] = []  # a package, so that what lies below can be imported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Nothing()


class _Shell:
    """What `get_ipython()` returns: magics that run code run it, all others do nothing."""

    def run_line_magic(self, name: str, line: str, *args: Any) -> None:
        if name == "time":
            self._run(line)

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        if name in ("time", "timeit", "capture", "prun"):
            self._run(cell)

    @staticmethod
    def _run(code: str) -> None:
        exec(compile(code, "<magic>", "exec", dont_inherit=True), sys.modules["__main__"].__dict__)

    def __getattr__(self, name: str) -> Nothing:
        return Nothing()


SHELL = _Shell()


def install() -> None:
    """Put the stand-ins where `import` and notebooks look for them."""
    for name in NAMES:
        parent, _, child = name.rpartition(".")
        module = _Module(name)
        sys.modules[name] = module
        if parent:
            with contextlib.suppress(KeyError):
                setattr(sys.modules[parent], child, module)
    sys.modules["IPython"].get_ipython = lambda: SHELL  # type: ignore[attr-defined]
    sys.modules["IPython"].version_info = (9, 0, 0)  # type: ignore[attr-defined]  # matplotlib asks
    builtins.get_ipython = lambda: SHELL  # type: ignore[attr-defined]
    builtins.display = Nothing()  # type: ignore[attr-defined]
