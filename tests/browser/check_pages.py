"""The page in a real browser: every page, both actions, login and logout, by mouse, by keyboard, without script."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.driving import Visit, chromium
from tests.browser.ground import Ground
from tests.pages import OPS, READ

PAGES = {
    "/": "Latest decisions",
    "/funnel": "Contacts by stage and status over time",
    "/funnel?days=90": "Time in stage",
    "/contact": "Id or e-mail address",
    "/rules": "Rules that never won",
    "/trouble": "Dead letters",
    "/trouble/drop": "Drop all dead letters of all portals?",
    "/nothing": "There is no such page.",
}


def a_prospect(place: Ground) -> str:
    """The page of a contact that has come a long way."""
    people = place.people[2:12]
    return f"/contact/4242/{max(people, key=lambda one: len(place.the.titles(one)))}"


@pytest.mark.parametrize("path", PAGES)
def test_each_page_shows_and_the_browser_complains_of_nothing(visit: Visit, path: str) -> None:
    visit.log_in(OPS)
    assert PAGES[path].lower() in visit.go(path).lower()
    assert [each for each in visit.complaints() if "404" not in each or path != "/nothing"] == []
    assert visit.ask("return document.querySelectorAll('link[rel=stylesheet]')[0].sheet.cssRules.length") > 50


def test_a_contact_shows_why_it_is_there(visit: Visit, place: Ground) -> None:
    words = visit.log_in(OPS, a_prospect(place))
    for title in ("Why not another stage?", "Every condition", "Facts", "Tasks, deals and what else", "History"):
        assert title in words
    assert visit.complaints() == []


def test_charts_are_drawn(visit: Visit) -> None:
    visit.log_in(OPS, "/funnel")
    for selector in (".areas .area", ".sankey .band"):
        shapes = visit.all(selector)
        assert len(shapes) > 3
        assert all(shape.size["width"] > 100 for shape in shapes)
        fills = {shape.value_of_css_property("fill") for shape in shapes}
        assert len(fills) > 2
    visit.go("/")
    assert len(visit.all(".bars .bar")) == 30


def test_login_tells_a_wrong_token_and_leads_back_to_where_one_was(visit: Visit) -> None:
    visit.go("/rules")
    visit.find("#token").send_keys("wrong")
    visit.click("main button")
    visit.until(lambda: "This token is not the right one." in visit.words)
    visit.find("#token").send_keys(OPS)
    visit.click("main button")
    visit.until(lambda: visit.path == "/rules")
    assert "full access" in visit.words
    visit.click("header form button")
    visit.until(lambda: visit.path == "/login")
    visit.driver.back()
    assert "Rules that never won" not in visit.go("/rules")


def test_who_may_only_look_is_offered_nothing_to_do(visit: Visit, place: Ground) -> None:
    words = visit.log_in(READ, "/trouble")
    assert "read-only" in words
    assert visit.all("main form, main .danger") == []
    visit.go(a_prospect(place))
    assert visit.all("main form") == []
    assert "Find" in visit.go("/contact")


def test_retry_and_drop_one_dead_letter(visit: Visit, place: Ground) -> None:
    one, other = place.people[12:14]
    place.bury(one, other)
    visit.log_in(OPS, "/trouble")
    _row(visit, one, "button").click()
    visit.until(lambda: "1 retried." in visit.words)
    assert place.the.waiting(one).dead_at is None
    _row(visit, other, "a.button").click()
    visit.until(lambda: f"Drop the dead letter 4242/{other}?" in visit.words)
    visit.click("main button")
    visit.until(lambda: "1 dropped." in visit.words)
    assert place.the.waiting(other) is None


def test_retry_and_drop_all_of_a_portal(visit: Visit, place: Ground) -> None:
    kept = list(place.the.dead())
    visit.log_in(OPS, "/trouble?portal=4242")
    visit.click(".bar button")
    visit.until(lambda: f"{len(kept)} retried." in visit.words)
    assert place.the.dead() == {}
    place.bury(*kept)
    visit.go("/trouble?portal=4242")
    visit.click(".bar a.danger")
    visit.until(lambda: "Drop all dead letters of portal 4242?" in visit.words)
    visit.click("main button")
    visit.until(lambda: f"{len(kept)} dropped." in visit.words)
    assert place.the.dead() == {}
    place.bury(*kept)


def _row(visit: Visit, contact: str, selector: str):
    rows = [row for row in visit.all("tbody tr") if f"4242/{contact}" in row.text]
    return rows[0].find_element("css selector", f"td {selector}")


def test_a_contact_is_found_by_its_address_and_judged_again(visit: Visit, place: Ground) -> None:
    contact = place.people[20]
    address = place.the.sandbox.contact(contact)["email"]
    visit.log_in(OPS, "/contact")
    visit.find("#query").send_keys(address, Keys.ENTER)
    visit.until(lambda: visit.path == f"/contact/4242/{contact}")
    assert "@" not in visit.driver.current_url
    visit.click(".head form button")
    visit.until(lambda: "within seconds" in visit.words)
    assert place.the.waiting(contact).due <= place.the.time.now
    visit.go("/contact")
    visit.find("#query").send_keys("<script>alert(1)</script>", Keys.ENTER)
    visit.until(lambda: "neither an id, which is a number, nor an e-mail address" in visit.words)


def test_the_forecast_is_read_when_asked_for(visit: Visit) -> None:
    visit.log_in(OPS, "/funnel")
    visit.click("#forecast button")
    visit.until(lambda: visit.path.endswith("#forecast"))

    def has_come() -> bool:
        visit.driver.refresh()
        return "Weighted" in visit.find("#forecast").text

    visit.until(has_come, 20)
    assert re.search(r"total \d+", " ".join(visit.find("#forecast").text.split()))


def test_now_refreshes_itself_until_told_to_pause(visit: Visit, place: Ground) -> None:
    visit.log_in(OPS, "/")
    number = len(place.the.dead())
    visit.ask("window.same = true")
    place.bury(place.people[15])
    visit.until(lambda: visit.all(".figures dd")[-2].text == str(number + 1))
    assert visit.ask("return window.same") is True
    visit.click("#live-controls button")
    assert visit.find("#live-controls button").get_attribute("aria-pressed") == "true"
    assert visit.complaints() == []


def test_everything_but_the_refresh_works_without_script(place: Ground) -> None:
    contact = place.people[16]
    place.bury(contact)
    with chromium(script=False) as driver:
        visit = Visit(driver, place.address)
        visit.log_in(OPS, "/")
        assert visit.all("#live-controls button") == []
        for path, words in PAGES.items():
            assert words.lower() in visit.go(path).lower()
        visit.go("/trouble")
        _row(visit, contact, "button").click()
        visit.until(lambda: "1 retried." in visit.words)
        visit.go("/contact")
        visit.find("#query").send_keys(contact, Keys.ENTER)
        visit.until(lambda: visit.path == f"/contact/4242/{contact}")
        visit.click("header form button")
        visit.until(lambda: visit.path == "/login")


def test_a_session_that_has_run_out_asks_to_log_in_and_changes_nothing(visit: Visit, place: Ground) -> None:
    visit.log_in(OPS, "/trouble")
    dead = place.the.dead()
    place.the.move(hours=9)
    visit.click(".bar button")
    visit.until(lambda: bool(visit.all("#token")))
    assert place.the.dead() == dead
