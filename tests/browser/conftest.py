"""What the tests of this directory share: servers, a browser, notebooks. `make test-browser` runs them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab_server import lab_server
from notebook_page import NotebookPage
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "google-chrome")
PATIENCE = 60_000  # milliseconds that anything may take before it counts as stuck
FAILED = pytest.StashKey[bool]()

Open = Callable[..., NotebookPage]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", type=Path, metavar="DIR", help="photograph the notebooks in both themes into DIR"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is installed (on Debian: apt install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], tuple[Path, str]]]:
    """Start a server when one is first asked for, with or without MINIGRAD_REVEAL: its folder, its address."""
    running: dict[bool, tuple[Path, str]] = {}
    with ExitStack() as stack:

        def get(reveal: bool) -> tuple[Path, str]:
            if reveal not in running:
                folder = tmp_path_factory.mktemp("jupyter")
                running[reveal] = folder / "notebooks", stack.enter_context(lab_server(folder, reveal))
            return running[reveal]

        yield get


@pytest.fixture
def open_notebook(request: pytest.FixtureRequest, browser: Browser, server: Callable) -> Iterator[Open]:
    """Open a copy of a notebook. If the test fails, a picture of the page is left in a temporary directory."""
    context = browser.new_context(viewport={"width": 1100, "height": 1400})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    def open_it(path: Path, reveal: bool = False) -> NotebookPage:
        folder, address = server(reveal)
        shutil.copy(path, folder)
        return NotebookPage(page, address, path.name)

    yield open_it
    if request.node.stash.get(FAILED, False):
        picture = Path(tempfile.mkdtemp(prefix="minigrad-browser-"), f"{request.node.name}.png")
        page.screenshot(path=picture)
        print(f"what the browser showed: {picture}")
    context.close()
