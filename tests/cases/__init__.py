"""One table: for every pair in `minigrad.layers`, how to draw inputs and what is true of it.

`test_pairs.py` finds the pairs by itself and looks here for each. Adding a layer is adding a row to the module of
its kind; a module is found by being here.
"""

import importlib
import pkgutil

from cases.base import Case, Shapes

__all__ = ["CASES", "Case", "Shapes"]

CASES: dict[str, Case] = {}
for _module in pkgutil.iter_modules(__path__):
    for _name, _case in getattr(importlib.import_module(f"{__name__}.{_module.name}"), "CASES", {}).items():
        assert _name not in CASES, f"two cases for {_name}"
        CASES[_name] = _case
