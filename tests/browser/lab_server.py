"""JupyterLab on a free port, with settings of its own, over one temporary directory."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN = 60.0  # seconds
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page, also out of sight
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextmanager
def lab_server(folder: Path, reveal: bool) -> Iterator[str]:
    """Serve ``folder/notebooks``; the address, with its token, is what is yielded.

    The kernels are those of the interpreter that runs the tests. `reveal` sets MINIGRAD_REVEAL for them.
    """
    (folder / "notebooks").mkdir()
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    own = (
        "JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR JUPYTERLAB_WORKSPACES_DIR IPYTHONDIR".split()
    )
    environment = {name: value for name, value in os.environ.items() if name != "MINIGRAD_REVEAL"}
    environment |= {name: str(folder / name.lower()) for name in own}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    environment |= {"MINIGRAD_REVEAL": "1"} if reveal else {}
    token, port = secrets.token_hex(16), _free_port()
    options = {
        "ServerApp.root_dir": folder / "notebooks",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.extension_manager": "readonly",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *words],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        address = f"http://127.0.0.1:{port}/"
        try:
            wait_for(f"{address}api/status?token={token}", process)
        except TimeoutError:
            said = log.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"JupyterLab did not start:\n{said}") from None
        yield f"{address}?token={token}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(address: str, process: subprocess.Popen) -> None:
    """Wait until a process answers at an address. TimeoutError if it does not, or has ended."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)  # between two looks at a condition
    raise TimeoutError(f"nobody answers at {address}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
