"""A notebook in a browser, as a person uses it: run a cell, type into one, move a control, look."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

# Both are JupyterLab's own objects; the server was told to lend them (`expose_app_in_browser`).
_NOTEBOOK = "const panel = window.jupyterapp.shell.currentWidget; const cells = panel.content.widgets;"
_RUN = f"""async id => {{
    {_NOTEBOOK}
    panel.content.activeCellIndex = cells.findIndex(cell => cell.model.id === id);
    await window.jupyterapp.commands.execute('notebook:run-cell');
}}"""
_READY = f"""() => {{
    if (!window.jupyterapp || !window.jupyterapp.shell.currentWidget) return false;
    {_NOTEBOOK}
    const kernel = panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel;
    return kernel && kernel.status === 'idle' && cells && cells.every(cell => cell.isAttached);
}}"""
# From the key to the moment when another picture is in the page, in milliseconds of the page's own clock.
_WATCH = """lab => {
    const before = lab.querySelector('img').src;
    window.latency = new Promise((resolve, reject) => {
        let pressed;
        lab.addEventListener('keydown', event => { pressed = event.timeStamp; }, {capture: true, once: true});
        const observer = new MutationObserver(() => {
            const image = lab.querySelector('img');
            if (image && image.src !== before) {
                observer.disconnect();
                resolve(performance.now() - pressed);
            }
        });
        observer.observe(lab, {subtree: true, childList: true, attributes: true, attributeFilter: ['src']});
        const late = () => reject(new Error('no other picture 20 s after a key; the lab says: ' + lab.innerText));
        setTimeout(late, 20000);
    });
    window.latency.catch(() => {});  // nobody may be waiting for it yet
}"""
_LOOK = """lab => [...lab.querySelectorAll('img')].map(image => image.src)
    + lab.querySelector('.minigrad-words').innerText"""

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


class NotebookPage:
    """One notebook, open in JupyterLab.

    Parameters
    ----------
    page : playwright.sync_api.Page
    address : str
        Of a running server, with its token.
    """

    def __init__(self, page: Page, address: str, name: str):
        self.page = page
        base, _, token = address.partition("?")
        page.goto(f"{base}doc/tree/{name}?{token}")
        page.wait_for_function(_READY)

    def cells(self) -> list[dict[str, Any]]:
        """The cells as they are now: source, metadata, outputs."""
        return self.page.evaluate(f"() => {{ {_NOTEBOOK} return cells.map(cell => cell.model.toJSON()); }}")

    def cell(self, cell_id: str) -> dict[str, Any]:
        """One of them, by its id."""
        return next(cell for cell in self.cells() if cell["id"] == cell_id)

    def view(self, cell_id: str) -> Locator:
        """The same cell as it shows."""
        index = [cell["id"] for cell in self.cells()].index(cell_id)
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def run(self, cell_id: str) -> dict[str, Any]:
        """Run one cell to its end; returns it."""
        self.page.evaluate(_RUN, cell_id)
        return self.cell(cell_id)

    def run_all(self) -> list[dict[str, Any]]:
        """Run all code cells, whatever they raise; returns them."""
        for cell in self.cells():
            if cell["cell_type"] == "code":
                self.page.evaluate(_RUN, cell["id"])
        return [cell for cell in self.cells() if cell["cell_type"] == "code"]

    def type_into(self, cell_id: str, text: str) -> None:
        """Replace what a cell says, with the keyboard."""
        editor = self.view(cell_id).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)

    def nudge(self, lab: Locator, handle: Locator, key: str) -> float:
        """Move a slider by one key press and wait for another picture; returns the milliseconds that it took."""
        lab.evaluate(_WATCH)
        handle.press(key)
        return self.page.evaluate("() => window.latency")

    def do(self, lab: Locator, action: Callable[[], object]) -> None:
        """Press or choose something, and wait until the picture or the words are others."""
        before = lab.evaluate(_LOOK)
        action()
        self.page.wait_for_function(
            f"([lab, before]) => ({_LOOK})(lab) !== before", arg=[lab.element_handle(), before]
        )

    def pictures(self, folder: Path, stem: str, theme: str) -> None:
        """Photograph the whole notebook in one theme, a screenful at a time."""
        self.page.evaluate(
            f"""async () => {{
                const command = 'apputils:change-theme', theme = {json.dumps(THEMES[theme])};
                await window.jupyterapp.commands.execute(command, {{theme}});
            }}"""
        )
        self.page.wait_for_selector(f"body[data-jp-theme-name='{THEMES[theme]}']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        folder.mkdir(parents=True, exist_ok=True)
        scroller = self.page.locator(".jp-WindowedPanel-outer").first
        height, visible = scroller.evaluate("box => [box.scrollHeight, box.clientHeight]")
        for number, top in enumerate(range(0, height, visible), 1):
            scroller.evaluate("(box, top) => { box.scrollTop = top; }", top)
            scroller.screenshot(path=folder / f"{stem}_{theme}_{number:02}.png")


def errors(cell: dict[str, Any]) -> list[str]:
    """What a cell raised."""
    return [f"{out['ename']}: {out['evalue']}" for out in cell["outputs"] if out["output_type"] == "error"]


def shown(cell: dict[str, Any]) -> str:
    """All the text that a cell put out."""
    texts = []
    for out in cell["outputs"]:
        data = out.get("data", {})
        for text in (out.get("text", ""), data.get("text/html", ""), data.get("text/plain", "")):
            texts.append(text if isinstance(text, str) else "".join(text))
    return "\n".join(texts)
