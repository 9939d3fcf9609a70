"""One Stagekeeper and one Chromium for all checks of a run; each check begins with no cookie and a wide window."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.driving import WIDE, Visit, chromium, resize
from tests.browser.ground import Ground, connecting_ground, ground


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """What is looked at."""
    folder: Path = tmp_path_factory.mktemp("ground")
    with ground(folder) as made:
        yield made


@pytest.fixture
def to_connect(tmp_path: Path) -> Iterator[Ground]:
    """What is looked at by those who install the OAuth app."""
    with connecting_ground(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def _window() -> Iterator[Visit]:
    with chromium() as driver:
        yield Visit(driver, "")


@pytest.fixture
def visit(_window: Visit, place: Ground) -> Visit:
    """A browser that nobody has logged in with."""
    driver = _window.driver
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    resize(driver, WIDE)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.get("about:blank")
    driver.get_log("browser")
    return Visit(driver, place.address)
