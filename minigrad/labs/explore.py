"""Turn a lab into sliders, and ask kindly for what a cell of a notebook still needs.

Only numpy is needed to import this module. matplotlib, IPython and ipywidgets are imported when something is
shown.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import io
import linecache
import os
import pkgutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import minigrad
from minigrad import plots
from minigrad.labs import Button, Control, Lab, Menu, Slider

__all__ = ["explore", "predicted", "ready", "whose"]

_ALT = "The figure of the lab. The text below it says what it shows."

# What widgets leave out for those who hear a page: the words are read out when they change, and the knob of a
# slider has a name. The elements are the front end's own, so this runs there, whenever a figure has loaded.
_ONLOAD = """
for (const words of document.querySelectorAll('.minigrad-words .widget-html-content'))
    words.setAttribute('aria-live', 'polite');
for (const slider of document.querySelectorAll('.minigrad-lab .widget-slider'))
    for (const part of slider.querySelectorAll('[role=slider], [contenteditable]'))
        part.setAttribute('aria-label', slider.querySelector('.widget-label').textContent);
"""


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
    """Show a lab: with controls where there is a notebook, one drawing where there is not.

    Parameters
    ----------
    lab : module
        A lab (see `minigrad.labs`).
    **functions : callable
        The functions that it runs, by name: `explore(lab, numerical_gradient=numerical_gradient)`. For one that
        is left out the library's own stands in, and the lab says so.

    Raises
    ------
    TypeError
        If a function is given that the lab does not run.
    """
    unknown = [name for name in functions if name not in lab.REQUIRES]
    if unknown:
        raise TypeError(f"this lab runs {_and(lab.REQUIRES)}, not {_and(unknown)}")
    found = {name: functions[name] if name in functions else _library(name) for name in lab.REQUIRES}
    used = {name: function for name, function in found.items() if function and not _is_stub(function)}
    missing = [name for name in found if name not in used]
    if missing:
        print(f"This lab runs your own code. Write {_and(missing)} first, then run this cell again.")
        return
    if used:
        print(f"This lab runs {_and([whose(name, function) for name, function in used.items()])}.")
    view = _View(lab, used)
    if _widgets_work():
        view.show_controls()
    elif view.run():
        plots.show(view.figure, view.words)
    else:
        print(view.words)


class _View:
    """One lab on show: the values of its controls, and the figure and the words that follow from them."""

    def __init__(self, lab: Lab, functions: Mapping[str, Callable[..., Any]]):
        from matplotlib.figure import Figure

        self.lab, self.functions = lab, functions
        self.values: dict[str, Any] = {control.name: control.default for control in lab.PARAMETERS}
        size = getattr(lab, "SIZE", (8.0, 3.6))
        self.figure = Figure(figsize=size, dpi=90, facecolor=plots.PAPER)
        self.buttons = [control.name for control in lab.PARAMETERS if isinstance(control, Button)]
        self.words = ""

    def run(self) -> bool:
        """Compute and draw; False if that failed, and then the words say how."""
        self.figure.clear()
        try:
            # a function that prints would print hundreds of lines a move
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                result = self.lab.simulate(dict(self.values), dict(self.functions))
            self.lab.draw(result, self.figure)
            self.words = self.lab.describe(result)
        except (Exception, KeyboardInterrupt) as error:
            self.words = _what_went_wrong(error, self.functions)
            return False
        return True

    def show_controls(self) -> None:
        """Show the controls with the figure and the words below them."""
        import ipywidgets
        from IPython.display import display

        self.picture, self.text = ipywidgets.HTML(), ipywidgets.HTML()
        self.text.add_class("minigrad-words")
        again = ipywidgets.Button(description="Start again", layout={"width": "auto"})
        again.on_click(lambda _: self._restart())
        rows: list[Any] = []
        for are_buttons, group in groupby(self.lab.PARAMETERS, lambda each: isinstance(each, Button)):
            controls = list(group)
            widgets = [self._widget(control) for control in controls]
            if are_buttons:
                last = controls[-1].name == self.buttons[-1]
                rows.append(ipywidgets.HBox([*widgets, again] if last else widgets))
            else:
                rows += widgets
        self._redraw()
        box = ipywidgets.VBox([*rows, self.picture, self.text])
        box.add_class("minigrad-lab")
        display(box)  # type: ignore[no-untyped-call]

    def _widget(self, control: Control) -> Any:
        import ipywidgets

        if isinstance(control, Button):
            button = ipywidgets.Button(description=control.label, layout={"width": "auto"})
            button.on_click(lambda _: self._pressed(control.name))
            return button
        look = {"style": {"description_width": "14em"}, "layout": {"width": "38em", "max_width": "98%"}}
        widget: Any
        if isinstance(control, Menu):
            widget = ipywidgets.Dropdown(
                options=control.options, value=control.default, description=control.label, **look
            )
        elif isinstance(control, Slider):
            widget = ipywidgets.FloatSlider(
                value=control.default,
                min=control.min,
                max=control.max,
                step=control.step,
                description=control.label,
                readout_format=f".{_decimals(control.step)}f",
                **look,
            )
        else:
            raise TypeError(f"a lab has sliders, menus and buttons, not {type(control).__name__}")
        widget.observe(lambda change: self._moved(control, change["new"]), names="value")
        return widget

    def _moved(self, control: Control, value: Any) -> None:
        self.values[control.name] = _position(control, value) if isinstance(control, Slider) else value
        self._restart()

    def _pressed(self, name: str) -> None:
        self.values[name] += 1
        self._redraw()

    def _restart(self) -> None:
        self.values.update(dict.fromkeys(self.buttons, 0))
        self._redraw()

    def _redraw(self) -> None:
        # In the kernel's own thread and at once: the front end holds back the next value of a slider until this
        # one is drawn, so that a drag leaves no queue, and "interrupt" stops a function that does not end.
        if self.run():
            # few colours, few bytes: a Jupyter server drops messages above a megabyte a second
            self.picture.value = plots.as_html(self.figure, _ALT, colours=256, onload=_ONLOAD)
        else:
            self.picture.value = ""
        self.text.value = f"<p style='margin:0;line-height:1.4'>{html.escape(self.words)}</p>"


def _widgets_work() -> bool:
    """Say whether there is a notebook that can show controls."""
    try:
        import ipywidgets  # noqa: F401
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()  # type: ignore[no-untyped-call]
    return shell is not None and not type(shell).__module__.startswith("IPython.terminal")


def _library(name: str) -> Callable[..., Any] | None:
    """Return the library's function of this name."""
    for found in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
        if not found.name.startswith("minigrad.labs"):
            function = vars(importlib.import_module(found.name)).get(name)
            if getattr(function, "__module__", None) == found.name:  # defined there, not imported
                return function
    return None


def _what_went_wrong(error: BaseException, functions: Mapping[str, Callable[..., Any]]) -> str:
    """Say which of the student's functions failed, how, and in which line."""
    if isinstance(error, KeyboardInterrupt):
        return "Stopped. Move a control to run the lab again."
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    theirs = {getattr(function, "__code__", None) for function in functions.values()}
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code in theirs or frame.f_globals.get("__name__") == "__main__":
            line = linecache.getline(frame.f_code.co_filename, number).strip()
            where = f", at the line  {line}" if line else ""
            return f"{frame.f_code.co_name} raised {said}{where}"
    return f"The lab ran {_and(list(functions))}, and could not use what came back. {said}"


def _is_stub(function: Callable[..., Any]) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and "NotImplementedError" in code.co_names


def _position(slider: Slider, value: float) -> float:
    """Return the position of a slider that is meant; a front end may say 7.999999999999998 for 8."""
    steps = round((value - slider.min) / slider.step)
    return round(slider.min + steps * slider.step, 12)


def _decimals(step: float) -> int:
    """Return how many decimals tell the positions of a slider apart."""
    exponent = Decimal(str(step)).normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _and(words: Sequence[str]) -> str:
    if not words:
        return "no function of yours"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
