"""The page Now: what it counts, and what it costs when there is much to count."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.hubspot.allowance import BudgetState
from connector.inbox import Inbox
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.store.budgets import DatabaseBudgets
from connector.store.engine import writing
from connector.store.tables import contacts, records, waiting
from connector.web import now as page
from connector.web.layout import span
from tests.inboxes import SETTLE, accept, settle
from tests.pages import PORTALS, Browser, Pages, make_pages


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    return make_pages(tmp_path)


def rows(browser: Browser) -> dict[str, list[str]]:
    """The cells of the table of portals, by portal."""
    answer = browser.get("/")
    assert answer.status_code == 200
    body = answer.text.split('id="portals"', 1)[1].split("</tbody>", 1)[0]
    found = {}
    for row in re.findall(r"<tr>\s*<th scope=\"row\">(.*?)</tr>", body, re.DOTALL):
        cells = [re.sub(r"<[^>]*>", "", cell).split() for cell in re.split(r"</t[hd]>", row)]
        found[" ".join(cells[0]).removesuffix(" Practice")] = [" ".join(cell) for cell in cells[1:-1]]
    return found


def decide(
    pages: Pages, contact: str, *, portal: int = PORTALS[0], at: int | None = None, gone: str | None = None
) -> None:
    """Note a decision about a contact."""
    row = {
        "portal": portal, "contact": contact, "stage": "lead", "status": None, "since": 0, "rule": "asked",
        "because": "They asked.", "marks": {}, "pack_hash": "", "fingerprint": "", "unwritten": {}, "gone": gone,
        "snapshot": {"email": "ana@example.com"}, "decided_at": pages.time.now if at is None else at,
    }  # fmt: skip
    with writing(pages.engine) as connection:
        connection.execute(sa.insert(contacts), row)


def note(
    pages: Pages, contact: str, *, portal: int = PORTALS[0], at: int, fingerprint: str = "f", rule: str = "asked"
) -> None:
    """Note a record."""
    row = {
        "portal": portal, "contact": contact, "claim": "c", "decided_at": at, "pack": "default", "pack_hash": "h",
        "stage": "lead", "rule": rule, "fingerprint": fingerprint, "read": {"properties": {"email": "a@example.com"}},
        "decided": {"because": "They asked.", "next_look_at": None}, "planned": {},
    }  # fmt: skip
    with writing(pages.engine) as connection:
        connection.execute(sa.insert(records), row)


def test_a_fresh_installation_says_what_comes_next(pages: Pages) -> None:
    browser = pages.logged_in()
    assert rows(browser) == {
        str(portal): ["default", "live", "0", "0", "–", "0", "90 of 90", "225,000 of 225,000", "well"]
        for portal in PORTALS
    }
    assert "As soon as HubSpot's first webhook arrives" in browser.page.text


def test_it_shows_what_came_what_waits_and_what_was_given_up(pages: Pages) -> None:
    pages.bury("7", "8", portal=PORTALS[1])
    pages.time.move(2 * MINUTE)
    accept(pages.inbox, "1", "2", "2", "3")
    pages.inbox.listing()
    pages.time.move(42 * SECOND)
    browser = pages.logged_in()
    shown = rows(browser)
    assert shown["4242"][2:6] == ["4", "3", "42 s", "0"]
    assert shown["5353"][2:6] == ["0", "0", "–", "2"]
    assert '<a href="/trouble?portal=5353" id="dead-5353">2</a>' in browser.get("/").text
    pages.time.move(HOUR)
    assert rows(browser)["4242"][2:6] == ["0", "3", "1 h", "0"]


def test_what_is_to_be_looked_at_later_does_not_wait(pages: Pages) -> None:
    pages.inbox.look_at(PORTALS[0], ["1"], due=pages.time.now + HOUR)
    pages.inbox.look_at(PORTALS[0], ["2"], due=pages.time.now + 30 * DAY)
    browser = pages.logged_in()
    assert rows(browser)["4242"][3:5] == ["0", "–"]
    pages.time.move(2 * HOUR)
    assert rows(browser)["4242"][3:5] == ["1", "1 h"]


def test_next_looks_whose_time_has_come_wait_though_no_worker_has_taken_them_up(pages: Pages) -> None:
    accept(pages.inbox, "1", "2", "3")
    pages.time.move(SETTLE)
    found = pages.inbox.claim(lease_ms=MINUTE)
    assert found is not None
    due = {"1": pages.time.now + HOUR, "2": pages.time.now + 2 * HOUR, "3": pages.time.now + 2 * HOUR}
    settle(pages.inbox, pages.engine, found, due)
    accept(pages.inbox, "3")
    pages.inbox.listing()
    browser = pages.logged_in()
    assert rows(browser)["4242"][3:5] == ["1", "0 s"]
    pages.inbox.drop(portal=PORTALS[0], contact="3")
    assert rows(browser)["4242"][3:5] == ["0", "–"]
    pages.time.move(HOUR + MINUTE)
    assert rows(browser)["4242"][3:5] == ["1", "1 min"]
    pages.inbox.listing()
    assert rows(browser)["4242"][3:5] == ["1", "1 min"]
    pages.time.move(DAY)
    browser = pages.logged_in()
    assert rows(browser)["4242"][3:5] == ["2", "1 d"]


def test_looking_changes_nothing_and_says_when_no_worker_takes_events_up(pages: Pages) -> None:
    accept(pages.inbox, "1", "2")
    browser = pages.logged_in()
    assert "No worker takes events up" not in browser.get("/").text
    assert rows(browser)["4242"][2:5] == ["2", "0", "–"]
    pages.time.move(90 * SECOND)
    text = browser.get("/").text
    assert "<dt>Events not taken up yet</dt><dd>2</dd>" in text
    assert "No worker takes events up</strong>, since 1 min 30 s." in text
    pages.inbox.listing()
    assert "No worker takes events up" not in browser.get("/").text


def test_it_shows_what_is_left_of_the_budget_as_the_workers_count_it(pages: Pages) -> None:
    budgets = DatabaseBudgets(pages.engine, to_row=BudgetState.as_row, from_row=BudgetState.of_row)
    state = BudgetState(calls=((pages.time.now, 30),), day="2026-09-21", calls_today=1_000)
    budgets.change(PORTALS[0], lambda _: (state, None))
    browser = pages.logged_in()
    assert rows(browser)["4242"][6:8] == ["60 of 90", "224,000 of 225,000"]
    pages.time.move(11 * SECOND)
    assert rows(browser)["4242"][6:8] == ["90 of 90", "224,000 of 225,000"]
    pages.time.move(DAY)
    browser = pages.logged_in()
    assert rows(browser)["4242"][6:8] == ["90 of 90", "225,000 of 225,000"]
    assert rows(browser)["5353"][6:8] == ["90 of 90", "225,000 of 225,000"]


def test_a_portal_in_trouble_is_shown_with_its_cure_and_without_personal_data(pages: Pages) -> None:
    text = "HubSpot portal 4242: unauthorised for ana@example.com; set a valid `access_token`"
    pages.troubles.begin_trouble(PORTALS[0], code="unauthorised", text=text)
    pages.time.move(3 * MINUTE)
    browser = pages.logged_in()
    shown = rows(browser)
    assert [shown["4242"][8], shown["5353"][8]] == ["unauthorised", "well"]
    told = " ".join(browser.page.text.split())
    cure = "HubSpot portal 4242: unauthorised for ***@***; set a valid access_token"
    assert f"Portal 4242 Practice: unauthorised, for 3 min. {cure}. Its events are kept" in told


def test_it_shows_the_latest_decisions_of_its_portals_by_id_alone(pages: Pages) -> None:
    for number in range(40):
        note(pages, str(number), at=pages.time.now + number)
    note(pages, "gone", at=pages.time.now + 100, fingerprint="", rule="gone")
    note(pages, "elsewhere", portal=999, at=pages.time.now + 100)
    text = pages.logged_in().get("/").text
    assert re.findall(r">4242/(\w+)</a></th>", text) == [str(number) for number in range(39, 24, -1)]
    assert text.count("They asked.") == 15
    assert "example.com" not in text
    assert "elsewhere" not in text


def test_what_is_large_is_counted_to_a_bound(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {"_MOST_EVENTS": 5, "_MOST_WAITING": 4, "_MOST_DEAD": 3}.items():
        monkeypatch.setattr(page, name, most)
    pages.bury("7", "8", "9", "10")
    accept(pages.inbox, *"123456")
    browser = pages.logged_in()
    text = browser.get("/").text
    assert "<dt>Events in the last minute</dt><dd>5 or more</dd>" in text
    assert "<dt>Events not taken up yet</dt><dd>5 or more</dd>" in text
    pages.inbox.listing()
    assert rows(browser)["4242"][3:6] == ["4 or more", "0 s", "3 or more"]


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[tuple[str, object]]]:
    """Gather what is asked of the database."""
    asked: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.usefixtures("in_a_file")
@pytest.mark.parametrize(
    "path",
    ["/", "/contact", "/contact/4242/1", "/trouble", "/trouble?portal=4242", "/trouble?after=1790000002000-4242-1",
     "/trouble/drop"],
)  # fmt: skip
def test_no_page_walks_through_a_table_or_writes(pages: Pages, path: str) -> None:
    """All but Funnel and Rules, which count every contact once in five minutes."""
    pages.bury("1", "2")
    browser = pages.logged_in()
    with statements(pages.engine) as asked:
        assert browser.get(path).status_code == 200
    assert len(asked) < 40
    with pages.engine.connect() as connection:
        for statement, parameters in asked:
            assert statement.startswith(("SELECT", "BEGIN")), statement
            if statement == "BEGIN":
                continue
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()  # type: ignore[arg-type]
            large = re.compile(r"SCAN (events|waiting|looks|contacts|records|effects)\b")
            assert not [step.detail for step in plan if large.match(step.detail)], statement
            assert not [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step.detail], statement


def test_the_page_funnel_counts_contacts_once_in_five_minutes(pages: Pages) -> None:
    browser = pages.logged_in()
    decide(pages, "1")
    decide(pages, "2", gone="deleted")
    assert '</span>lead</span></th><td class="number">1</td>' in browser.get("/funnel").text
    decide(pages, "3")
    pages.time.move(4 * MINUTE)
    assert '</span>lead</span></th><td class="number">1</td>' in browser.get("/funnel").text
    pages.time.move(MINUTE)
    assert '</span>lead</span></th><td class="number">2</td>' in browser.get("/funnel").text


@pytest.mark.parametrize(
    ("length", "text"),
    [(-5, "0 s"), (0, "0 s"), (999, "0 s"), (61 * SECOND, "1 min 1 s"), (2 * HOUR, "2 h"), (26 * HOUR + 5, "1 d 2 h"),
     (DAY + SECOND, "1 d"), (HOUR + 42 * SECOND, "1 h"), (400 * DAY, "400 d")],
)  # fmt: skip
def test_lengths_of_time_are_written_for_people(length: int, text: str) -> None:
    assert span(length) == text


def test_a_dead_letter_that_lives_again_is_no_dead_letter(pages: Pages) -> None:
    pages.bury("1")
    browser = pages.logged_in()
    assert rows(browser)["4242"][5] == "1"
    accept(Inbox(pages.engine, pages.time), "1")
    pages.inbox.listing()
    assert rows(browser)["4242"][5] == "0"
    with pages.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(waiting)) == 1
