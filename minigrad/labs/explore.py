"""Turn a lab into sliders, and ask kindly for what a cell of a notebook still needs.

Only numpy is needed to import this module. matplotlib, IPython and ipywidgets are imported when something is
shown.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping
from typing import Any

from minigrad import plots
from minigrad.labs import Lab

__all__ = ["explore", "predicted", "ready", "whose"]


def predicted(text: str) -> bool:
    """Say whether a prediction was written, and ask for it if not.

    Parameters
    ----------
    text : str
        The student's words.

    Returns
    -------
    bool
        True if there are any, or if the environment variable `MINIGRAD_REVEAL` is set (for a run of the whole
        notebook by an instructor).
    """
    if str(text).strip() or os.environ.get("MINIGRAD_REVEAL"):
        return True
    print("Write your prediction in the cell above, run that cell, then run this one again.")
    return False


def ready(*functions: Callable[..., Any]) -> bool:
    """Say whether these functions are written, and name those that are not.

    Parameters
    ----------
    *functions : callable
        Functions of the student. One that still raises `NotImplementedError` in its body is not written.

    Returns
    -------
    bool
    """
    waiting = [function.__name__ for function in functions if _is_stub(function)]
    if waiting:
        print(f"Not written yet: {_and(waiting)}. Run this cell again when you have.")
    return not waiting


def whose(name: str, function: Callable[..., Any]) -> str:
    """Say in words where a function comes from.

    Parameters
    ----------
    name : str
    function : callable

    Returns
    -------
    str
        "your NAME" for a function that was defined in a notebook, otherwise the name with its module.
    """
    module = getattr(function, "__module__", None)
    return f"your {name}" if module in (None, "__main__") else f"{name} from {module} (not yours)"


def explore(lab: Lab, **functions: Callable[..., Any]) -> None:
    """Show a lab: sliders where there is a notebook, one drawing where there is not.

    Parameters
    ----------
    lab : module
        A lab (see `minigrad.labs`).
    **functions : callable
        The functions that it runs, by name: `explore(lab, numerical_gradient=numerical_gradient)`.
    """
    missing = [name for name in lab.REQUIRES if name not in functions or _is_stub(functions[name])]
    if missing:
        print(f"This lab runs your own code. Write {_and(missing)} first, then run this cell again.")
        return
    print(f"This lab runs {_and([whose(name, functions[name]) for name in lab.REQUIRES])}.")
    values = {slider.name: slider.default for slider in lab.PARAMETERS}
    if not _sliders(lab, values, functions):
        message, result = _run(lab, values, functions)
        if message:
            print(message)
        else:
            plots.show(_figure(lab, result), lab.describe(result))


def _sliders(lab: Lab, values: dict[str, float], functions: Mapping[str, Callable[..., Any]]) -> bool:
    """Show the lab with sliders; False where that is not possible."""
    try:
        import ipywidgets
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return False
    if get_ipython() is None:  # type: ignore[no-untyped-call]
        return False
    picture = ipywidgets.HTML()

    def redraw() -> None:
        message, result = _run(lab, values, functions)
        if message:
            picture.value = f"<p>{html.escape(message)}</p>"
        else:
            text = lab.describe(result)
            picture.value = f"{plots.as_html(_figure(lab, result), text)}<p>{html.escape(text)}</p>"

    def moved(change: Mapping[str, Any]) -> None:
        values[change["owner"].name] = change["new"]
        redraw()

    controls = []
    for slider in lab.PARAMETERS:
        control = ipywidgets.FloatSlider(
            value=slider.default,
            min=slider.min,
            max=slider.max,
            step=slider.step,
            description=slider.label,
            style={"description_width": "12em"},
            layout={"width": "36em"},
        )
        control.name = slider.name
        control.observe(moved, names="value")
        controls.append(control)
    redraw()
    display(ipywidgets.VBox([*controls, picture]))  # type: ignore[no-untyped-call]
    return True


def _run(
    lab: Lab, values: Mapping[str, float], functions: Mapping[str, Callable[..., Any]]
) -> tuple[str, Any]:
    """Run the lab; an error of the student's functions becomes a message."""
    try:
        return "", lab.simulate(dict(values), dict(functions))
    except NotImplementedError:
        return f"One of {_and(list(lab.REQUIRES))} is not finished: it raised NotImplementedError.", None
    except Exception as error:
        return f"The lab ran {_and(list(lab.REQUIRES))} and got {type(error).__name__}: {error}", None


def _figure(lab: Lab, result: Any) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.6), dpi=90, facecolor=plots.PAPER)
    lab.draw(result, figure)
    return figure


def _is_stub(function: Callable[..., Any]) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and "NotImplementedError" in code.co_names


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
