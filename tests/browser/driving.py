"""Chromium without a head, driven by selenium; each browser has a folder of its own, which is gone afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip
_PLACES = ("chromium", "chromium-browser", "google-chrome")
_GOING = ("does not belong to the document", "aborted by navigation", "Cannot find context", "execution context")
"""What Chromium says when it is asked about a page that it is just leaving."""
_CHANGING = (NoSuchElementException, StaleElementReferenceException)
WIDE, NARROW = (1280, 900), (360, 740)


class BrowserMissing(Exception):
    """There is no Chromium with its driver on this machine; `make browser` says how to install them."""


@contextmanager
def chromium(*, script: bool = True) -> Iterator[webdriver.Chrome]:
    """Start a browser."""
    binary = next(filter(None, map(shutil.which, _PLACES)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        raise BrowserMissing("apt-get install chromium chromium-driver")
    with tempfile.TemporaryDirectory(prefix="stagekeeper-browser-") as folder:
        options = Options()
        options.binary_location = binary
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*_FLAGS, f"--user-data-dir={Path(folder, 'profile')}", "--window-size={},{}".format(*WIDE)):
            options.add_argument(flag)
        if not script:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            browser.set_page_load_timeout(30)
            resize(browser, WIDE)
            yield browser
        finally:
            browser.quit()


def resize(browser: webdriver.Chrome, size: tuple[int, int], *, scale: float = 1) -> None:
    """Give the page so much room; a window cannot be made as narrow as a telephone."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@dataclass(frozen=True, slots=True)
class Visit:
    """A person at a browser."""

    driver: webdriver.Chrome
    address: str

    def go(self, path: str) -> str:
        """Go to a page and give its words."""
        self.driver.get(self.address + path)
        return self.words

    def log_in(self, token: str, path: str = "/") -> str:
        """Go to a page and log in there."""
        self.go(path)
        self.find("#token").send_keys(token)
        self.click("main button")
        self.until(lambda: not self.all("#token"))
        self.driver.get_log("browser")  # that one had to log in is told there as an error
        return self.words

    @property
    def words(self) -> str:
        """What can be read."""
        return " ".join(self.find("body").text.split())

    @property
    def path(self) -> str:
        """Where the browser is, within the site."""
        return self.driver.current_url.removeprefix(self.address)

    def find(self, selector: str) -> WebElement:
        """Find the first element of a selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Find all elements of a selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.find(selector).click()

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def until(self, holds: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something holds."""

        def looked() -> bool:
            try:
                return holds()
            except WebDriverException as error:
                if any(said in str(error.msg) for said in _GOING):
                    return False
                raise

        WebDriverWait(self.driver, seconds, 0.05, _CHANGING).until(lambda _: looked())

    def ask(self, script: str) -> Any:
        """Ask the page itself."""
        return self.driver.execute_script(script)

    def complaints(self) -> list[str]:
        """Say what the browser complains of: errors of scripts, what its content policy has stopped, missing files."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def as_at_night(self) -> None:
        """Prefer dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
