"""The page Funnel: what it makes of decisions, day by day, and the forecast that it reads when asked."""

import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from connector.days import Day, Stand, count_on
from connector.moments import DAY, HOUR, MINUTE
from connector.store.engine import reading, writing
from connector.store.tables import records
from connector.web import days
from connector.web.days import Days
from connector.web.funnel import levels, percentile, stage_counts
from tests.pages import READ, SERVER, Browser, browser_beside
from tests.practice import INBOUND, QUALIFIED, Practice, leads, practice

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, worker=SERVER, time_zone="Europe/Berlin") as made:
        yield made


def words(browser: Browser, path: str) -> str:
    """The words of a page."""
    assert browser.get(path).status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", browser.page_text)).split())


def two_days(the: Practice) -> list[str]:
    """Three leads of whom one becomes a prospect after two days and one is deleted."""
    made = leads(the, 3)
    the.catch_up()
    the.move(days=2)
    the.sandbox.update_contact(made[0], QUALIFIED)
    the.sandbox.delete_contact(made[1])
    the.catch_up()
    return made


def test_every_day_follows_from_the_day_after(the: Practice) -> None:
    two_days(the)
    period = Days(the.services.engine, the.time).latest(the.portal, 7, BERLIN)
    assert period.is_whole
    assert len(period.days) == 7
    now = stage_counts(the.services.engine, the.portal)
    prospect = next(stand for stand in now if stand.stage == "prospect")
    assert now == {Stand("lead", ""): 1, prospect: 1}
    found = levels(now, period)
    assert found == [{}, {}, {}, {}, {}, {Stand("lead", ""): 3}, {Stand("lead", ""): 3}, now]


def test_it_says_who_came_who_moved_and_how_long_stages_last(the: Practice) -> None:
    two_days(the)
    text = words(browser_beside(the), "/funnel?days=7")
    assert "First seen 3 in 7 days" in text
    assert "Moved forward 1 in 7 days Moved back 0 in 7 days" in text
    assert "first seen → lead: 3" in text
    assert "lead → prospect: 1" in text
    assert "lead 1 2 d 2 d" in text
    assert "lead 1 50.0% +1" in text


def test_moves_back_are_told_apart(the: Practice) -> None:
    made = two_days(the)
    the.sandbox.update_contact(made[0], {"sk_target_market": "no", "sk_source": ""})
    the.catch_up()
    text = words(browser_beside(the), "/funnel?days=30")
    assert "Moved back 1 in 30 days" in text
    assert 'class="band backward"' in browser_beside(the).get("/funnel").text


def test_pictures_are_sound_and_carry_no_style(the: Practice) -> None:
    two_days(the)
    browser = browser_beside(the)
    browser.get("/funnel")
    pictures = re.findall(r"<svg.*?</svg>", browser.page_text, re.DOTALL)
    assert len(pictures) > 3
    for picture in pictures:
        for element in ET.fromstring(picture).iter():  # noqa: S314 - our own
            assert element.tag in {"svg", "title", "path", "rect", "line", "text"}
            assert not {"style", "onclick", "href"} & element.attrib.keys()


def test_a_store_that_takes_long_is_read_in_turns(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    two_days(the)
    monkeypatch.setattr(days, "_AT_ONCE_S", -1.0)
    browser = browser_beside(the)
    assert "The newest 1 of 7 days have been read so far" in words(browser, "/funnel?days=7")
    assert "The newest 2 of 7 days have been read so far" in words(browser, "/funnel?days=7")
    for _ in range(5):
        text = words(browser, "/funnel?days=7")
    assert "have been read so far" not in text


def test_days_that_are_over_are_read_once(the: Practice) -> None:
    two_days(the)
    known = Days(the.services.engine, the.time)
    first = known.latest(the.portal, 7, BERLIN)
    with writing(the.services.engine) as connection:
        connection.execute(sa.delete(records))
    assert known.latest(the.portal, 7, BERLIN) == first
    the.move(minutes=2)
    later = known.latest(the.portal, 7, BERLIN)
    assert later.days[:-1] == first.days[:-1]
    assert later.days[-1].decisions == 0


def test_a_day_is_as_long_as_it_is_where_the_portal_is(the: Practice) -> None:
    the.time.now = 1_793_000_000_000  # a week after the clocks of Berlin went back
    found = Days(the.services.engine, the.time).latest(the.portal, 30, BERLIN)
    lengths = [day.ends - day.begins for day in found.days]
    assert lengths.count(25 * HOUR) == 1
    assert lengths.count(DAY) == 29


def test_decisions_of_other_portals_and_days_do_not_count(tmp_path: Path) -> None:
    with practice(tmp_path, worker=SERVER, portals=(4242, 5353)) as the:
        leads(the, 2)
        the.sandboxes[1].create_contact(INBOUND)
        the.catch_up()
        now = the.time.now
        with reading(the.services.engine) as connection:

            def decisions(portal: int, begins: int, ends: int) -> int:
                return count_on(connection, portal, Day.uncounted(begins, ends), ends).decisions

            assert decisions(4242, now - HOUR, now + HOUR) == 2
            assert decisions(5353, now - HOUR, now + HOUR) == 1
            assert decisions(5353, now + HOUR, now + 2 * HOUR) == 0
        browser = browser_beside(the)
        assert "Contacts 2 First seen" in words(browser, "/funnel")
        assert "Contacts 1 First seen" in words(browser, "/funnel?portal=5353")


def test_percentiles_are_lengths_that_were() -> None:
    assert [percentile({MINUTE: 1}, each) for each in (50, 90)] == [MINUTE, MINUTE]
    assert [percentile(dict.fromkeys(range(1, 11), 1), each) for each in (50, 90)] == [5, 9]
    assert [percentile({2: 1, 1: 1}, each) for each in (50, 90, 100)] == [1, 2, 2]
    assert [percentile({1: 5, 9: 4, 7: 1}, each) for each in (50, 51, 60, 61)] == [1, 7, 7, 9]


# --- the forecast -----------------------------------------------------------------------------------------------------


def finish_reading() -> None:
    """Wait for what is read beside the requests."""
    for thread in threading.enumerate():
        if thread.name.startswith("forecast-"):
            thread.join(20)


def test_the_forecast_is_read_when_somebody_asks_and_kept(the: Practice) -> None:
    contact = the.sandbox.create_contact({**QUALIFIED, "sk_accepted_step": "proposal"})
    the.sandbox.create_deal({"dealname": "One", "amount": "1200", "dealstage": "contractsent"}, contacts=[contact])
    the.catch_up()
    browser = browser_beside(the)
    text = words(browser, "/funnel")
    assert "are read from HubSpot when somebody asks" in text
    assert browser.submit("/funnel/forecast").status_code == 303
    finish_reading()
    text = words(browser, "/funnel")
    assert "proposal 1 1 EUR 1,200.00" in text
    assert "total 1 1 EUR 1,200.00" in text
    calls = the.sandbox.calls.count()
    browser.get("/funnel")
    assert the.sandbox.calls.count() == calls


def test_a_forecast_that_cannot_be_read_says_why(the: Practice) -> None:
    the.sandbox.create_contact(QUALIFIED)
    the.catch_up()
    browser = browser_beside(the)
    browser.get("/funnel")
    the.sandbox.faults.add("401")
    browser.submit("/funnel/forecast")
    finish_reading()
    assert "It could not be read: " in words(browser, "/funnel")


def test_who_may_only_look_begins_no_forecast(the: Practice) -> None:
    browser = browser_beside(the, READ)
    assert "<button>Read" not in browser.get("/funnel").text
    key = browser.form("/logout").fields["form_key"]
    assert browser.post("/funnel/forecast", {"form_key": key}).status_code == 403
