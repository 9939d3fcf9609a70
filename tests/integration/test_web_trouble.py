"""The page Trouble: what it shows of dead letters, portals and fights, and what its two actions do."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.inbox import Failure
from connector.moments import MINUTE, SECOND
from connector.store.engine import writing
from connector.store.tables import fights, records
from tests.inboxes import SETTLE, accept, claim, row
from tests.pages import PORTALS, Browser, Pages, make_pages

RETRY, DROP = "/trouble/retry", "/trouble/drop"


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    return make_pages(tmp_path)


def shown(browser: Browser, path: str = "/trouble") -> list[str]:
    """The dead letters on a page, in their order."""
    answer = browser.get(path)
    assert answer.status_code == 200
    return re.findall(r'<th scope="row"><a [^>]*>(\d+/[^<]+)</a></th>', answer.text)


def link(browser: Browser, word: str) -> str | None:
    """Where a link leads that has this word."""
    assert browser.answer is not None
    found = re.search(rf'<a href="([^"]*)">{word}</a>', browser.answer.text)
    return found and found[1].replace("&amp;", "&")


def test_nothing_is_nothing(pages: Pages) -> None:
    browser = pages.logged_in()
    assert shown(browser) == []
    assert browser.page.text.count("None: ") == 3
    assert [form.action for form in browser.page.forms] == ["/logout"]


def test_a_dead_letter_is_shown_with_its_error_and_its_ids_and_without_personal_data(pages: Pages) -> None:
    pages.bury("7", error="invalid (400 VALIDATION_ERROR): ana@example.com was wrong (correlation id 0a1b-2c) [email]")
    told = {"pack": "p", "pack_hash": "h", "rule": "r", "fingerprint": "f", "read": {}, "decided": {}, "planned": {}}
    with writing(pages.engine) as connection:
        for name in ("older", "newer"):
            one = {"portal": 4242, "contact": "7", "claim": name, "decided_at": 1, **told}
            connection.execute(sa.insert(records), one)
    browser = pages.logged_in()
    assert shown(browser) == ["4242/7"]
    text = browser.get("/trouble").text
    assert "invalid (400 VALIDATION_ERROR): ***@*** was wrong  [email]" in text
    assert ["<code>0a1b-2c</code>" in text, "<code>newer</code>" in text, "older" in text, "example" in text] == [
        True, True, False, False,
    ]  # fmt: skip
    assert '<td class="number" data-label="Attempts">1</td>' in text


def test_dead_letters_are_paged_the_newest_first_over_all_portals(pages: Pages) -> None:
    expected: list[str] = []
    for number in range(12):
        names = [f"1{number:02}{place}" for place in range(5)]
        portal = PORTALS[number % 2]
        pages.bury(*names, portal=portal)
        expected = [f"{portal}/{name}" for name in names] + expected
    browser, found = pages.logged_in(), []
    path: str | None = "/trouble"
    while path:
        found.append(shown(browser, path))
        path = link(browser, "Older")
    assert [len(page) for page in found] == [50, 10]
    assert [name for page in found for name in page] == expected
    assert link(browser, "Back to the newest") == "/trouble"
    assert shown(browser, "/trouble?portal=5353") == [name for name in expected if name.startswith("5353")]
    assert "4242 Practice: 30" in browser.page.text


def test_those_that_died_at_the_same_moment_are_each_shown_once(pages: Pages) -> None:
    accept(pages.inbox, *[f"1{number:03}" for number in range(120)], portal=4242)
    accept(pages.inbox, *[f"1{number:03}" for number in range(5)], portal=5353)
    pages.time.move(SETTLE)
    pages.inbox.listing()
    pages.time.now += 60 * MINUTE
    for _ in range(2):
        held = claim(pages.inbox, limit=200)
        failed = {one.contact: Failure(error="no", retry_at=None) for one in held.contacts}
        pages.inbox.finish(held, failed=failed)
    browser, found = pages.logged_in(), []
    path: str | None = "/trouble"
    while path:
        found += shown(browser, path)
        path = link(browser, "Older")
    assert found == [f"4242/1{number:03}" for number in range(120)] + [f"5353/1{number:03}" for number in range(5)]


def test_a_place_behind_the_last_one_says_so(pages: Pages) -> None:
    pages.bury("1")
    browser = pages.logged_in()
    assert shown(browser, "/trouble?after=1-4242-1") == []
    assert link(browser, "back to the newest") == "/trouble"


def test_retry_lets_one_contact_wait_again_with_all_its_attempts(pages: Pages) -> None:
    pages.bury("1", "2")
    browser = pages.logged_in()
    browser.get("/trouble")
    browser.submit(RETRY, portal="4242", contact="1")
    assert "1 retried." in browser.follow().text
    assert shown(browser) == ["4242/2"]
    held = row(pages.inbox, "1")
    assert held is not None
    assert (held.dead_at, held.attempts, held.due) == (None, 0, pages.time.now)


def test_retry_all_means_all_of_the_portal_that_is_shown(pages: Pages) -> None:
    pages.bury("1", "2")
    pages.bury("1", "3", portal=5353)
    browser = pages.logged_in()
    browser.get("/trouble?portal=5353")
    answer = browser.submit(RETRY, portal="5353")
    assert answer.headers["Location"] == "/trouble?done=retried&number=2&portal=5353"
    assert pages.dead() == [(4242, "1"), (4242, "2")]
    browser.get("/trouble")
    browser.submit(RETRY, portal="")
    assert "2 retried." in browser.follow().text
    assert pages.dead() == []


def test_drop_asks_first_and_then_lets_go(pages: Pages) -> None:
    pages.bury("1", "2")
    browser = pages.logged_in()
    browser.get("/trouble")
    answer = browser.get("/trouble/drop?portal=4242&contact=1")
    assert "Drop the dead letter 4242/1?" in answer.text
    assert len(pages.dead()) == 2
    browser.submit(DROP)
    assert "1 dropped." in browser.follow().text
    assert pages.dead() == [(4242, "2")]
    assert row(pages.inbox, "1") is None


@pytest.mark.parametrize(
    ("path", "question", "left"),
    [("/trouble/drop", "Drop all dead letters of all portals?", []),
     ("/trouble/drop?portal=4242", "Drop all dead letters of portal 4242?", [(5353, "3")])],
)  # fmt: skip
def test_drop_all_says_what_all_is(pages: Pages, path: str, question: str, left: list[tuple[int, str]]) -> None:
    pages.bury("1", "2")
    pages.bury("3", portal=5353)
    browser = pages.logged_in()
    assert question in browser.get(path).text
    browser.submit(DROP)
    assert pages.dead() == left


@pytest.mark.parametrize("path", [RETRY, DROP])
def test_what_came_alive_since_the_page_was_shown_is_left_as_it_is(pages: Pages, path: str) -> None:
    """A drop would otherwise lose the event that brought it back."""
    pages.bury("1")
    browser = pages.logged_in()
    browser.get("/trouble")
    form = browser.form(RETRY, contact="1")
    accept(pages.inbox, "1")
    browser.post(path, form.fields)
    assert "it is no dead letter any more" in browser.follow().text
    before = row(pages.inbox, "1")
    assert before is not None
    assert (before.dead_at, before.due) == (None, pages.time.now + SETTLE)
    assert browser.post(path, {**form.fields, "contact": "999"}).headers["Location"].endswith("number=0")


def test_all_does_not_touch_what_waits(pages: Pages) -> None:
    pages.bury("1")
    accept(pages.inbox, "2")
    browser = pages.logged_in()
    browser.get(DROP)
    browser.submit(DROP)
    assert [one.contact for one in pages.inbox.listing()] == ["2"]


def test_portals_in_trouble_and_fights_are_shown_with_their_cures(pages: Pages) -> None:
    text = "HubSpot portal 5353: forbidden; give the app the scopes crm.x in HubSpot; ana@example.com"
    pages.troubles.begin_trouble(5353, code="forbidden", text=text)
    now = pages.time.now
    fight = {"portal": 4242, "property": "lifecyclestage", "rival": "AUTOMATION_PLATFORM 77", "began_at": now}
    with writing(pages.engine) as connection:
        connection.execute(sa.insert(fights), {**fight, "seen_at": now, "times": 3})
    pages.time.move(SECOND)
    answer = pages.logged_in().get("/trouble")
    assert "give the app the scopes crm.x in HubSpot; ***@***" in answer.text
    assert "fight over lifecyclestage" in answer.text
    assert "AUTOMATION_PLATFORM 77 sets lifecyclestage back" in answer.text


def test_actions_are_logged_without_secrets(pages: Pages, capsys: pytest.CaptureFixture[str]) -> None:
    pages.bury("1")
    browser = pages.logged_in()
    browser.get("/trouble")
    browser.submit(RETRY, contact="1")
    out = capsys.readouterr().out
    assert "dead_letters.retried" in out
    assert "token" not in out.replace("ops_token", "")
