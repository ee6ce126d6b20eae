"""The controls of a lab as hands, keyboard and screen reader meet them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE, Open
from lab_server import wait_for
from notebook_page import NotebookPage
from playwright.sync_api import Browser, Locator, expect

SOLVED = Path(__file__).resolve().parents[2] / "solutions/01_gradient_checking/01_gradient_checking.ipynb"
# A lab whose words are what it was given and how often it ran, so that the page shows what the kernel saw.
ECHO = """
import itertools, time, types
from minigrad.labs import Button, Menu, Slider
from minigrad.labs.explore import explore

runs = itertools.count(1)

def simulate(parameters, functions):
    time.sleep(0.1)
    return {**parameters, "runs": next(runs)}

explore(types.SimpleNamespace(
    PARAMETERS=[
        Slider("x", 0.0, 100.0, 1.0, 50.0, "the number"),
        Menu("word", ("one", "two"), "one", "the word"),
        Button("steps", "Train one step"),
    ],
    REQUIRES=(),
    simulate=simulate,
    draw=lambda result, figure: figure.subplots().plot([0, result["x"], result["steps"]]),
    describe=lambda result: " ".join(f"{name}={value}" for name, value in result.items()),
))
"""


@pytest.fixture
def lab(tmp_path: Path, open_notebook: Open) -> Iterator[tuple[NotebookPage, Locator]]:
    path = tmp_path / "echo.ipynb"
    cell = {"cell_type": "code", "execution_count": None, "id": "echo", "metadata": {}, "outputs": []}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": [{**cell, "source": ECHO}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    notebook = open_notebook(path)
    notebook.run("echo")
    lab = notebook.view("echo").locator(".minigrad-lab")
    expect(lab.locator("img")).to_be_visible()
    return notebook, lab


def test_keyboard_alone(lab: tuple[NotebookPage, Locator]) -> None:
    notebook, lab = lab
    keys, words = notebook.page.keyboard, lab.locator(".minigrad-words")
    lab.get_by_role("slider", name="the number").focus()
    keys.press("ArrowRight")
    expect(words).to_contain_text("x=51.0 word=one steps=0")
    keys.press("Tab")  # the number beside the slider, which can be typed over
    keys.press("Tab")
    expect(lab.get_by_role("combobox", name="the word")).to_be_focused()
    for key in ("Enter", "ArrowDown", "Enter"):  # a notebook takes the arrows of a menu that is not open
        keys.press(key)
    expect(words).to_contain_text("x=51.0 word=two steps=0")
    keys.press("Tab")
    expect(lab.get_by_role("button", name="Train one step")).to_be_focused()
    for count in (1, 2):
        keys.press("Space")
        expect(words).to_contain_text(f"x=51.0 word=two steps={count}")
    keys.press("Tab")
    expect(lab.get_by_role("button", name="Start again")).to_be_focused()
    keys.press("Enter")
    expect(words).to_contain_text("x=51.0 word=two steps=0")


def test_what_a_screen_reader_is_told(lab: tuple[NotebookPage, Locator]) -> None:
    _, lab = lab
    region = lab.locator("[aria-live=polite]")
    expect(region).to_have_count(1)
    element = region.element_handle()
    before = region.inner_text()
    lab.get_by_role("slider", name="the number").press("ArrowRight")
    expect(region).to_contain_text("x=51.0")
    assert before != region.inner_text()
    assert element.evaluate("region => region.isConnected"), "a new region is not read out, a changed one is"
    assert lab.get_by_role("img").get_attribute("alt")
    assert lab.get_by_role("slider").get_attribute("aria-valuetext") == "51"


def test_a_drag_leaves_no_queue(lab: tuple[NotebookPage, Locator]) -> None:
    """Forty moves in less time than the kernel needs for ten: those in between are dropped, the last is not."""
    notebook, lab = lab
    mouse, words = notebook.page.mouse, lab.locator(".minigrad-words")
    box = lab.get_by_role("slider").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 60, y, steps=40)
    mouse.up()
    value = lab.get_by_role("slider").get_attribute("aria-valuenow")
    assert float(value) > 60
    expect(words).to_contain_text(f"x={float(value)}")
    runs = int(words.inner_text().rpartition("runs=")[2])
    assert runs < 20, f"{runs} runs for one drag"


def test_minigrad_lab(tmp_path: Path, browser: Browser) -> None:
    """What the command opens runs as it is, and Ctrl-C ends it."""
    shutil.copy(SOLVED, tmp_path)
    words = [sys.executable, "-m", "autograder.cli", "lab", "gradient_checking", "--no-browser"]
    own = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    with subprocess.Popen(
        words,
        cwd=tmp_path,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            addresses = (re.search(r"http://127\S+", line) for line in process.stdout)
            address = next(found[0] for found in addresses if found)
            wait_for(address, process)  # it is printed a moment before anybody listens
            page.goto(address)
            expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=PATIENCE)
            page.locator(".jp-Cell .cm-content").click()
            page.keyboard.press("Shift+Enter")
            expect(page.locator(".minigrad-lab img")).to_be_visible(timeout=PATIENCE)
            said = page.locator(".jp-OutputArea").first
            expect(said).to_contain_text("This lab runs your numerical_gradient and your relative_error.")
            page.close()
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
