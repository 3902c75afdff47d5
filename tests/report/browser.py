"""A real headless Chromium, driven by Selenium; without the network, and without asking for any."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FLAGS = (
    *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars"),
    *("disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"),
)
DESKTOP, PHONE = 1100, 390  # pixels


class Browser:
    """One tab: its theme, width, what it logged, what it asked for, and what it looks like."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def show(self, file: Path, *, width: int = DESKTOP, theme: str = "light") -> None:
        """Open a file and return once its plots are drawn."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.theme(theme)
        self.driver.get(file.resolve().as_uri())

    def theme(self, name: str) -> None:
        """Say that the person prefers ``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def ask(self, script: str, *arguments):
        """Return what a script gives on the page."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[dict]:
        """Return what the console holds: errors, warnings, refused requests."""
        return self.driver.get_log("browser")

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call: not those inside a page, or of a new tab."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "chrome"))]

    def pixels(self, selector: str) -> np.ndarray:
        """Return what an element looks like, (height, width, 3), once all plots are drawn."""
        self.driver.execute_async_script("drawn.then(() => arguments[0]())")
        box = self.ask(
            "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height, scale: 1}",
            selector,
        )
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": box})
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB"))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile; skip the test where it is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed, so no page can be looked at")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"user-data-dir={profile}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
