"""How a lab becomes controls, what every lab keeps to, and what a student sees who is not there yet."""

from __future__ import annotations

import importlib
import inspect
import linecache
import math
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from minigrad import plots
from minigrad.gradcheck import numerical_gradient, relative_error
from minigrad.labs import Button, Menu, Slider, alone, explore, gradient_checking

FUNCTIONS = {"numerical_gradient": numerical_gradient, "relative_error": relative_error}


def in_notebook(source: str) -> Any:
    """Define a function as a cell of a notebook does, and return it."""
    linecache.cache["<a cell>"] = (len(source), None, source.splitlines(keepends=True), "<a cell>")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<a cell>", "exec"), namespace)
    return next(value for value in namespace.values() if isinstance(value, types.FunctionType))


# -- every lab


@pytest.fixture(params=alone.labs())
def lab(request):
    return importlib.import_module(f"minigrad.labs.{request.param}")


def settings(lab):
    """The defaults, then each control at its ends with the others left alone, buttons pressed up to twice."""
    start = {control.name: control.default for control in lab.PARAMETERS}
    yield start
    for control in lab.PARAMETERS:
        match control:
            case Slider():
                values = (control.min, control.max)
            case Menu():
                values = control.options
            case Button():
                values = (1, 2)
        for value in values:
            yield {**start, control.name: value}


class TestEveryLab:
    def test_controls_make_sense(self, lab):
        names = [control.name for control in lab.PARAMETERS]
        assert len(set(names)) == len(names)
        for control in lab.PARAMETERS:
            assert control.label.strip()
            if isinstance(control, Slider):
                assert control.min < control.max
                assert control.min <= control.default <= control.max
                steps = (control.default - control.min) / control.step
                assert math.isclose(steps, round(steps), abs_tol=1e-6), (
                    f"{control.name} cannot return to its default"
                )
            elif isinstance(control, Menu):
                assert control.default in control.options
                assert len(control.options) > 1

    def test_what_it_runs_is_in_the_library(self, lab):
        for name in lab.REQUIRES:
            assert callable(explore._library(name)), name

    def test_shows_and_says_something_at_every_setting(self, lab):
        functions = {name: explore._library(name) for name in lab.REQUIRES}
        for parameters in settings(lab):
            given = dict(parameters)
            result = lab.simulate(parameters, functions)
            assert parameters == given
            figure = Figure(figsize=getattr(lab, "SIZE", (8.0, 3.6)))
            lab.draw(result, figure)
            assert len(plots.png(figure, colours=256)) < 60_000, (
                "a drag would pass what a Jupyter server lets through"
            )
            assert lab.describe(result).strip()

    def test_each_control_changes_the_words(self, lab):
        """After one press of each button: before it, a learning rate may have nothing to say."""
        functions = {name: explore._library(name) for name in lab.REQUIRES}

        def say(parameters):
            return lab.describe(lab.simulate(parameters, functions))

        start = {each.name: 1 if isinstance(each, Button) else each.default for each in lab.PARAMETERS}
        for control in lab.PARAMETERS:
            others = [values[control.name] for values in settings(lab)]
            assert len({say({**start, control.name: value}) for value in others}) > 1, control.name

    def test_same_parameters_same_words(self, lab):
        functions = {name: explore._library(name) for name in lab.REQUIRES}
        parameters = next(settings(lab))
        first, second = (lab.describe(lab.simulate(parameters, functions)) for _ in range(2))
        assert first == second


def test_no_two_functions_of_the_library_share_a_name():
    """So that a name in REQUIRES means one function."""
    for name in {
        name for lab in alone.labs() for name in importlib.import_module(f"minigrad.labs.{lab}").REQUIRES
    }:
        function = explore._library(name)
        others = [
            module
            for module in list(sys.modules)
            if module.startswith("minigrad.")
            and getattr(getattr(sys.modules[module], name, None), "__module__", None) == module
        ]
        assert others == [function.__module__]


# -- controls


def echo() -> types.SimpleNamespace:
    """A lab that says what it was given."""
    return types.SimpleNamespace(
        PARAMETERS=[
            Slider("x", 0.0, 2.0, 0.5, 1.0, "the number"),
            Menu("word", ("one", "two"), "one", "the word"),
            Button("first", "Step"),
            Button("second", "Leap"),
        ],
        REQUIRES=(),
        SIZE=(3.0, 2.0),
        simulate=lambda parameters, functions: dict(parameters),
        draw=lambda result, figure: figure.subplots().plot([0, result["x"]]),
        describe=lambda result: " ".join(f"{name}={value}" for name, value in result.items()),
    )


@pytest.fixture
def shown(monkeypatch):
    """What is displayed in a notebook that these tests pretend to be."""
    IPython = pytest.importorskip("IPython")
    pytest.importorskip("ipywidgets")
    boxes = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", boxes.append)
    return boxes


class TestControls:
    def show(self, shown, lab, **functions):
        explore.explore(lab, **functions)
        *controls, picture, words = shown[0].children
        return controls, picture, words

    def test_in_the_order_of_the_parameters(self, shown):
        (slider, menu, row), _, words = self.show(shown, echo())
        assert slider.description == "the number"
        assert (slider.min, slider.max, slider.step, slider.value) == (0.0, 2.0, 0.5, 1.0)
        assert slider.readout_format == ".1f"
        assert (menu.description, menu.options) == ("the word", ("one", "two"))
        assert [button.description for button in row.children] == ["Step", "Leap", "Start again"]
        assert "x=1.0 word=one first=0 second=0" in words.value

    def test_a_move_redraws(self, shown):
        (slider, menu, *_), picture, words = self.show(shown, echo())
        before = picture.value
        slider.value = 2.0
        assert "x=2.0" in words.value
        assert picture.value != before
        menu.value = "two"
        assert "x=2.0 word=two" in words.value

    def test_presses_are_counted_until_something_moves(self, shown):
        (slider, menu, row), _, words = self.show(shown, echo())
        first, second, again = row.children
        first.click()
        first.click()
        second.click()
        assert "first=2 second=1" in words.value
        for restart in (
            lambda: setattr(slider, "value", 0.5),
            lambda: setattr(menu, "value", "two"),
            again.click,
        ):
            first.click()
            assert "first=0" not in words.value
            restart()
            assert "first=0 second=0" in words.value
        assert "x=0.5 word=two" in words.value

    def test_a_front_end_that_rounds_badly(self, shown):
        (slider, *_), _, words = self.show(shown, echo())
        slider.value = 1.4999999999999998
        assert "x=1.5 " in words.value

    def test_without_buttons_nothing_starts_again(self, shown):
        controls, _, _ = self.show(shown, gradient_checking, **FUNCTIONS)
        assert [control.description for control in controls] == ["point w", "log10 of the step h"]

    def test_a_failure_takes_the_figure_away_and_a_move_brings_it_back(self, shown):
        lab = echo()
        lab.simulate = lambda parameters, functions: {"x": 1 / parameters["x"]}
        (slider, *_), picture, words = self.show(shown, lab)
        slider.value = 0.0
        assert picture.value == ""
        assert "ZeroDivisionError" in words.value
        slider.value = 2.0
        assert "x=0.5" in words.value
        assert "<img" in picture.value

    def test_an_interrupt_ends_one_move_only(self, shown):
        lab = echo()

        def simulate(parameters, functions):
            if parameters["x"] == 2.0:
                raise KeyboardInterrupt
            return dict(parameters)

        lab.simulate = simulate
        (slider, *_), _, words = self.show(shown, lab)
        slider.value = 2.0
        assert "Stopped" in words.value
        slider.value = 0.5
        assert "x=0.5" in words.value

    def test_what_a_function_prints_is_not_shown(self, shown, capsys):
        lab = echo()
        lab.simulate = lambda parameters, functions: print("noise") or dict(parameters)
        self.show(shown, lab)
        assert "noise" not in capsys.readouterr().out

    @pytest.mark.parametrize(("step", "decimals"), [(0.25, 2), (1.0, 0), (10.0, 0), (1e-5, 5), (0.1, 1)])
    def test_the_readout_tells_positions_apart(self, step, decimals):
        assert explore._decimals(step) == decimals


# -- whose functions


class TestExplore:
    def test_names_a_function_that_is_not_written(self, capsys):
        def numerical_gradient(f, x, h=1e-5):
            raise NotImplementedError()

        explore.explore(gradient_checking, numerical_gradient=numerical_gradient)
        assert "Write numerical_gradient first" in capsys.readouterr().out

    def test_names_a_function_that_nobody_has(self, capsys):
        lab = echo()
        lab.REQUIRES = ("backward_of_nothing",)
        explore.explore(lab)
        assert "Write backward_of_nothing first" in capsys.readouterr().out

    def test_the_library_stands_in_and_says_so(self, capsys):
        explore.explore(gradient_checking, relative_error=in_notebook("def relative_error(a, b): return 0.5"))
        said, words = capsys.readouterr().out.splitlines()
        assert "numerical_gradient from minigrad.gradcheck" in said
        assert "(not yours) and your relative_error" in said
        assert "centred 8.75" in words
        assert "relative error 5.0e-01" in words

    def test_refuses_a_function_that_it_does_not_run(self):
        with pytest.raises(TypeError, match="numerical_gradient and relative_error, not relative_eror"):
            explore.explore(gradient_checking, relative_eror=relative_error)

    def test_an_error_names_function_and_line(self, capsys):
        broken = in_notebook("def numerical_gradient(f, x, h):\n    y = 2 * h\n    return 1 / (y - y)\n")
        explore.explore(gradient_checking, numerical_gradient=broken)
        said = capsys.readouterr().out
        assert "numerical_gradient raised ZeroDivisionError" in said
        assert "return 1 / (y - y)" in said

    def test_a_strange_answer_is_a_message_too(self, capsys):
        explore.explore(gradient_checking, numerical_gradient=in_notebook("def f(f, x, h): pass"))
        assert "numerical_gradient returned shape ()" in capsys.readouterr().out

    def test_without_a_notebook_it_draws_once_and_says_what(self, capsys):
        explore.explore(gradient_checking, **FUNCTIONS)
        assert "At w = 1.5 with h = 1.0e-05" in capsys.readouterr().out

    def test_says_whose_functions_it_runs(self):
        mine = in_notebook("def numerical_gradient(f, x): pass")
        assert explore.whose("numerical_gradient", mine) == "your numerical_gradient"
        assert "not yours" in explore.whose("relative_error", relative_error)


@pytest.mark.parametrize("absent", ["ipywidgets", "IPython"])
def test_without_a_package_that_a_notebook_has(absent):
    """A script says in words what a notebook would show."""
    code = f"import sys; sys.modules[{absent!r}] = None\n" + inspect.cleandoc(
        """
        from minigrad.labs import gradient_checking
        from minigrad.labs.explore import explore
        explore(gradient_checking)
        """
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert "derivative 8.75" in done.stdout, done.stderr
    assert done.stderr == ""


class TestReady:
    def test_written(self, capsys):
        assert explore.ready(numerical_gradient, relative_error)
        assert capsys.readouterr().out == ""

    def test_unwritten(self, capsys):
        def unwritten():
            raise NotImplementedError()

        assert not explore.ready(relative_error, unwritten)
        assert "Not written yet: unwritten." in capsys.readouterr().out


class TestPredicted:
    def test_empty(self, monkeypatch, capsys):
        monkeypatch.delenv("MINIGRAD_REVEAL", raising=False)
        assert not explore.predicted("  ")
        assert "prediction" in capsys.readouterr().out

    def test_written(self, monkeypatch):
        monkeypatch.delenv("MINIGRAD_REVEAL", raising=False)
        assert explore.predicted("it falls")

    def test_revealed(self, monkeypatch):
        monkeypatch.setenv("MINIGRAD_REVEAL", "1")
        assert explore.predicted("")


# -- figures


def test_importing_a_lab_needs_numpy_alone():
    names = [f"minigrad.labs.{name}" for name in (*alone.labs(), "alone", "bumps", "explore", "suspects")]
    code = (
        f"import sys, minigrad.plots, {', '.join(names)}\n"
        "print([m for m in ('matplotlib', 'ipywidgets', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_figures_carry_a_text_alternative():
    figure, axes = plots.canvas(width=5.0, height=2.0)
    axes.plot([0, 1], [0, 1], **plots.SERIES[0])
    image = plots.as_html(figure, 'a line, "rising"')
    assert image.startswith('<img alt="a line, &quot;rising&quot;" width="550" height="220"')


def test_a_figure_is_as_large_as_it_says():
    figure, _ = plots.canvas(width=5.0, height=2.0)
    for colours in (None, 256):
        assert np.frombuffer(plots.png(figure, colours)[16:24], ">u4").tolist() == [550, 220]
