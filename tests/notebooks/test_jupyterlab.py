"""JupyterLab as `make lab` opens it: a person changes a parameter, runs all cells, sees a figure.

Needs Chromium (or Chrome) with its driver: `apt-get install chromium chromium-driver` on Debian.
$RAGFT_SCREENSHOT names a file for a picture of the page.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import ragft

ROOT = Path(ragft.__file__).parents[1]
NAME = "00_start_here.ipynb"
QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--window-size=1400,1600"
).split()

pytestmark = pytest.mark.long


def found(*names: str) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture
def browser(tmp_path) -> Iterator[Any]:
    """Return a browser without a window; skips where there is none."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = found("chromium", "google-chrome"), found("chromedriver")
    if not program or not driver:
        pytest.skip("no browser: install chromium and its chromedriver")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for option in (*QUIET, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(option)
    opened = selenium.Chrome(options, selenium.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture
def lab(tmp_path) -> Iterator[tuple[str, Path]]:
    """Return the address of a JupyterLab, {} in it a page, and its copy of the notebooks."""
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, own = secrets.token_hex(16), {"RAGFT_CACHE": tmp_path / "cache"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        own[name] = tmp_path / name.lower()
    options = re.search(r"^LAB_OPTIONS := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    options += ["--no-browser", "--allow-root", f"--IdentityProvider.token={token}"]
    options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **{k: str(v) for k, v in own.items()}},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(address) or ended(server, tmp_path / "lab.log"), 120)
        yield f"{address}/{{}}?token={token}", folder
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        return "version" in json.load(urllib.request.urlopen(f"{address}/api", timeout=10))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def ended(server: subprocess.Popen, log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    return False


def until(what: Callable[[], Any], seconds: float) -> Any:
    """Return what a question gives once that is true; fails with its name after some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := what():
            return value
        time.sleep(0.5)
    raise AssertionError(f"{seconds:g} s, and not yet: {what.__name__}")


class Page:
    """What a person does and sees in JupyterLab."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def shown(self, selector: str, text: str = "", seconds: float = 120) -> Any:
        """Wait for an element that is shown and holds a text."""
        from selenium.common.exceptions import StaleElementReferenceException

        def there() -> Any:
            try:
                matching = (e for e in self.all(selector) if e.is_displayed() and text in e.text)
                return next(matching, None)
            except StaleElementReferenceException:  # drawn anew in the meantime
                return None

        there.__name__ = f"{selector} {text}"
        return until(there, seconds)

    def double_click(self, element: Any) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).double_click(element).perform()

    def type(self, text: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(text).perform()

    def choose(self, menu: str, command: str) -> None:
        self.shown(".lm-MenuBar-itemLabel", menu).click()
        self.shown(f'.lm-Menu-item[data-command="{command}"]').click()


def test_start_here_runs_in_a_browser_after_a_parameter_is_changed(browser, lab):
    address, folder = lab
    page = Page(browser)
    browser.get(address.format(f"lab/tree/{NAME}"))

    def kernel_waits() -> bool:
        """Ask the server: the page shows 'idle' before there is a kernel, and then starts two."""
        sessions = json.load(urllib.request.urlopen(address.format("api/sessions"), timeout=10))
        kernels = [session["kernel"] for session in sessions if session["kernel"]]
        return [k["execution_state"] for k in kernels if k["connections"]] == ["idle"]

    until(kernel_waits, 120)
    page.double_click(page.shown(".jp-CodeCell .cm-line span", '"cpu"'))
    page.type("smoke")
    page.choose("Run", "runmenu:run-all")

    def run() -> list[Any] | None:
        """Save, and look into the file: cells out of sight are not on the page."""
        page.choose("File", "docmanager:save")
        try:
            cells = nbformat.read(folder / NAME, as_version=4).cells
        except nbformat.reader.NotJSONError:  # read while it is written
            return None
        code = [cell for cell in cells if cell.cell_type == "code"]
        failed = [x for cell in code for x in cell.outputs if x.output_type == "error"]
        assert not failed, failed
        return code if all(cell.execution_count for cell in code) else None

    code = until(run, 600)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert code[0].source.startswith('profile = "smoke"')
    (drawn,) = (cell for cell in code if "report.publish" in cell.source)
    assert any("image/png" in output.get("data", {}) for output in drawn.outputs)
    picture = see_picture(page)
    assert picture["naturalWidth"] > 300 and picture["naturalHeight"] > 200
    assert page.all('.jp-OutputArea-output[data-mime-type*="stderr"]') == []
    where = os.environ.get("RAGFT_SCREENSHOT")
    if where:
        assert browser.save_screenshot(where)
    assert (folder.parent / "figures" / "00_start_here.png").exists()


def see_picture(page: Page) -> dict[str, int]:
    """Scroll down the notebook until its figure is in sight; return the size of the picture."""
    selector = ".jp-RenderedImage img"

    def in_sight() -> Any:
        if pictures := page.all(selector):
            return pictures[-1]
        page.browser.execute_script(
            "const n = document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook');"
            "n.scrollBy(0, n.clientHeight / 2)"
        )
        return None

    picture = until(in_sight, 60)
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    until(picture.is_displayed, 10)
    return {name: picture.get_property(name) for name in ("naturalWidth", "naturalHeight")}
