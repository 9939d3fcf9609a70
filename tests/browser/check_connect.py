"""Installing the OAuth app in a real browser: to the practice HubSpot, its question, and back to the page Connect."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.check_access import OUTLINED, faults
from tests.browser.driving import NARROW, Visit, chromium, resize
from tests.browser.ground import Ground
from tests.oauth import CLIENT_ID, kept
from tests.pages import OPS, READ

CONNECTED = "Portal 4242 is connected; work goes on by itself."


@pytest.fixture
def visiting(visit: Visit, to_connect: Ground) -> Visit:
    """The browser at the page that leads to HubSpot."""
    return Visit(visit.driver, to_connect.address)


def install(visit: Visit, answer: str) -> None:
    """Follow the link to HubSpot and answer its question there."""
    visit.click("main a.button")
    visit.until(lambda: "Install the app into portal 4242?" in visit.words)
    assert visit.driver.current_url.startswith("http://127.0.0.1:")
    visit.click(f"button[value={answer}]")
    visit.until(lambda: visit.driver.current_url.startswith(visit.address) and "One moment" not in visit.words)


def widths(visit: Visit) -> Iterator[tuple[int, int]]:
    """How wide the page is and how much room it has, on telephones."""
    for size in (NARROW, (320, 640)):
        resize(visit.driver, size)
        yield visit.ask("return document.documentElement.scrollWidth"), size[0]


def test_an_app_is_installed_through_hubspots_own_page(visiting: Visit, to_connect: Ground) -> None:
    assert "not connected yet; its events are kept" in visiting.log_in(OPS, "/connect")
    assert [faults(visiting), visiting.complaints()] == [[], []]
    install(visiting, "yes")
    visiting.until(lambda: CONNECTED in visiting.words)
    assert visiting.path == "/connect?portal=4242"
    assert [each for each in visiting.complaints() if visiting.address in each] == []
    assert faults(visiting) == []
    visiting.as_at_night()
    assert faults(visiting) == []
    to_connect.the.work()
    assert to_connect.the.sandbox.contact(to_connect.people[0])["lifecyclestage"] == "lead"


def test_who_declines_in_hubspot_is_told_that_nothing_was_installed(visiting: Visit, to_connect: Ground) -> None:
    visiting.log_in(OPS, "/connect")
    install(visiting, "no")
    visiting.until(lambda: "it was declined in HubSpot" in visiting.words)
    assert faults(visiting) == []
    assert kept(to_connect.the).find(to_connect.the.portal) is None


def test_it_is_installed_by_keyboard_alone_on_a_telephone(visiting: Visit) -> None:
    resize(visiting.driver, NARROW)
    visiting.log_in(OPS, "/connect")
    seen = {}
    while f"Install {CLIENT_ID} into a portal…" not in seen:
        visiting.press(Keys.TAB)
        one = visiting.ask(OUTLINED)
        seen[one["text"]] = one
        assert len(seen) < 20
    assert [one for one in seen.values() if one["outline"] < 2 or not one["seen"]] == []
    visiting.press(Keys.ENTER)
    visiting.until(lambda: "Install the app into portal 4242?" in visiting.words)
    visiting.press(Keys.TAB, Keys.ENTER)
    visiting.until(lambda: CONNECTED in visiting.words)


def test_it_is_installed_without_script(to_connect: Ground) -> None:
    with chromium(script=False) as driver:
        visit = Visit(driver, to_connect.address)
        visit.log_in(OPS, "/connect")
        install(visit, "yes")
        visit.until(lambda: CONNECTED in visit.words)


def test_a_portal_that_is_not_configured_shows_what_to_write_on_every_screen(
    visiting: Visit, to_connect: Ground
) -> None:
    kept(to_connect.the).keep(portal=7331, client_id=CLIENT_ID, sealed="x", scopes=(), expires_at=0)
    words = visiting.log_in(OPS, "/connect?portal=7331")
    assert "Portal 7331 is connected, but not in the configuration." in words
    assert f"oauth: {{client_id: {CLIENT_ID}}}" in words
    for night in (False, True):
        if night:
            visiting.as_at_night()
        assert faults(visiting) == []
        assert [wide for wide, room in widths(visiting) if wide > room] == []
        assert faults(visiting) == []


def test_who_may_only_look_is_led_nowhere(visiting: Visit) -> None:
    words = visiting.log_in(READ, "/connect")
    assert "You may look, but not act." in words
    assert visiting.all("main a.button") == []
