"""The page Contact: finding somebody, what is told of them and why, and what a search may not do."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.identity.erasure import erase_person
from connector.inbox import Failure
from connector.store.engine import writing
from connector.store.tables import contacts, records
from connector.web.asking import CallsBusy, _wait_a_little
from connector.web.contact import hubspot_link
from tests.pages import OPS, READ, SERVER, Browser, app_beside, browser_beside
from tests.practice import INBOUND, NOW, QUALIFIED, Practice, practice

HOSTILE = [
    "<script>alert(1)</script>", "' OR 1=1 --", "1; DROP TABLE contacts", "%", "_", "*", "١٢٣", "-1", "1e9", "0x1",
    "../../etc/passwd", "{{7*7}}", "a@b@c", "@", "a@", "@b", "a b@example.com", "a@exam\nple.com", "\x00", "9" * 21,
    "x" * 300 + "@example.com", "ana@example.com\r\nX-Evil: 1", "\U0001f600", "",
]  # fmt: skip


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    zone = "    calendar: {time_zone: Europe/Berlin}"
    with practice(tmp_path, worker=SERVER, more=zone, time_zone="Europe/Berlin") as made:
        yield made


def somebody(the: Practice, **properties: str) -> str:
    """A lead who has become a prospect a day later."""
    contact = the.sandbox.create_contact({"email": "ana@example.com", "firstname": "Ana", **INBOUND, **properties})
    the.catch_up()
    the.move(days=1)
    the.sandbox.update_contact(contact, QUALIFIED)
    the.catch_up()
    return contact


def search(browser: Browser, text: str, **more: str) -> int:
    """Search as a person does."""
    browser.get("/contact")
    return browser.submit("/contact", given={"query": text, **more}).status_code


def words(browser: Browser) -> str:
    """The words of a page, without how they are laid out."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", browser.page_text)).split())


def test_a_contact_is_shown_with_the_reason_every_condition_and_what_was_done(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    assert browser.get(f"/contact/{the.portal}/{contact}").status_code == 200
    text = words(browser)
    kept = the.services.portals[the.portal].recorder.latest(contact)
    assert kept is not None
    assert f"{kept['stage']} {kept['status']}" in text
    assert kept["decided"]["because"] in text
    assert "contact.sk_authority yes yes is yes" in text
    assert "contact.sk_sales_step empty" in text
    assert "app.hubspot.com" not in browser.page_text  # the practice HubSpot has no pages to lead to
    tasks = [task["id"] for task in the.sandbox.tasks_of(contact)]
    assert tasks
    for task in tasks:
        assert f'<td data-label="In HubSpot">{task}</td>' in browser.page_text
    assert "set lifecyclestage: lead → salesqualifiedlead" in text
    assert "2 decisions kept, the newest first" in text


def test_it_says_of_every_other_stage_what_would_bring_the_contact_there(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    browser.get(f"/contact/{the.portal}/{contact}")
    text = words(browser).split("Why not another stage?", 1)[1]
    assert "find out Committed (sk_committed), which is not known: it would have to be 'Yes'" in text
    pack = the.services.portals[the.portal].pack
    others = [stage for stage in pack.ladder if stage != "prospect"]
    assert all(re.search(rf"\b{stage}\b", text) for stage in others)


def test_moments_are_told_where_the_portal_is_and_exactly_for_machines(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    text = browser.get(f"/contact/{the.portal}/{contact}").text
    assert '<time datetime="2026-09-21T14:13:23Z">2026-09-21 16:13:23 CEST</time>' in text
    assert NOW == 1_790_000_000_000


def test_looking_costs_no_call_and_writes_nothing_but_that_somebody_looked(
    the: Practice, capsys: pytest.CaptureFixture[str]
) -> None:
    contact = somebody(the)
    browser = browser_beside(the, READ)
    calls = the.sandbox.calls.count()
    browser.get(f"/contact/{the.portal}/{contact}")
    assert the.sandbox.calls.count() == calls
    logged = capsys.readouterr().out
    assert re.search(rf"page.contact_viewed .*contact={contact} .*role=read", logged)
    assert "example.com" not in logged


@pytest.mark.parametrize("token", [OPS, READ])
def test_a_contact_is_found_by_id_and_by_address_whoever_may_look(the: Practice, token: str) -> None:
    contact = somebody(the)
    browser = browser_beside(the, token)
    for text in (contact, f"  {contact} ", "ana@example.com", "ANA@example.com"):
        assert search(browser, text) == 303, text
        assert browser.answer is not None
        assert browser.answer.headers["Location"] == f"/contact/{the.portal}/{contact}"


def test_an_address_stands_in_no_address_bar_and_in_no_log(
    the: Practice, capsys: pytest.CaptureFixture[str]
) -> None:
    somebody(the)
    browser = browser_beside(the)
    capsys.readouterr()
    search(browser, "ana@example.com")
    assert browser.answer is not None
    assert "example.com" not in str(browser.answer.headers) + browser.answer.text
    assert search(browser, "nobody@example.com") == 404
    assert "nobody" not in browser.answer.text
    assert "example.com" not in capsys.readouterr().out
    assert not [call for call in the.sandbox.calls.counts if "@" in call[1]]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_id_and_no_address_is_refused_in_plain_words(the: Practice, text: str) -> None:
    browser = browser_beside(the)
    calls = the.sandbox.calls.count()
    assert search(browser, text) == 400
    assert "neither an id, which is a number, nor an e-mail address" in words(browser)
    assert browser.answer is not None
    assert len(text) < 5 or text not in browser.answer.text
    assert the.sandbox.calls.count() == calls


def test_an_id_that_is_not_known_is_told_so(the: Practice) -> None:
    browser = browser_beside(the)
    assert search(browser, "12345") == 404
    assert "No contact with this id is known here" in words(browser)
    assert browser.get(f"/contact/{the.portal}/12345").status_code == 404
    assert "Nothing is known here of such a contact" in words(browser)


def test_while_hubspot_cannot_be_asked_the_search_says_so(the: Practice) -> None:
    browser = browser_beside(the)
    the.sandbox.faults.add("401")
    assert search(browser, "ana@example.com") == 503
    assert "HubSpot could not be asked" in words(browser)
    assert browser.answer is not None
    assert "ana@" not in browser.answer.text


def test_a_page_does_not_wait_for_hubspots_budget() -> None:
    _wait_a_little(0)
    with pytest.raises(CallsBusy, match="try again in about 60 seconds"):
        _wait_a_little(60)


def test_an_id_that_several_portals_know_can_be_chosen(tmp_path: Path) -> None:
    with practice(tmp_path, worker=SERVER, portals=(4242, 5353)) as the:
        contact = the.sandbox.create_contact(INBOUND)
        assert the.sandboxes[1].create_contact(INBOUND) == contact
        the.catch_up()
        browser = browser_beside(the)
        assert search(browser, contact) == 200
        assert [f"/contact/{portal}/{contact}" in browser.page_text for portal in (4242, 5353)] == [True, True]
        assert search(browser, contact, portal="5353") == 303
        assert search(browser, contact, portal="1") == 404
        assert search(browser, contact, portal="x") == 400


def test_scripts_may_look_at_a_contact_and_not_search(the: Practice) -> None:
    contact = somebody(the)
    client = app_beside(the).test_client()
    headers = {"Authorization": f"Bearer {READ}", "Accept": "text/html"}
    assert client.get(f"/contact/{the.portal}/{contact}", headers=headers).status_code == 200
    assert client.post("/contact", data={"query": contact}, headers=headers).status_code == 403


# --- judging again ----------------------------------------------------------------------------------------------------


def test_who_may_act_has_a_contact_judged_again(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    path = f"/contact/{the.portal}/{contact}"
    browser.get(path)
    assert browser.submit(f"{path}/look").status_code == 303
    assert "within seconds" in browser.follow().text
    before = the.services.portals[the.portal].recorder.latest(contact)
    the.work()
    after = the.services.portals[the.portal].recorder.latest(contact)
    assert before is not None
    assert after is not None
    assert after["id"] > before["id"]


def test_who_may_only_look_has_nobody_judged(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the, READ)
    path = f"/contact/{the.portal}/{contact}"
    text = browser.get(path).text
    assert "Judge again" not in text
    key = browser.form("/logout").fields["form_key"]
    assert browser.post(f"{path}/look", {"form_key": key}).status_code == 403


def test_a_tampered_form_has_nobody_judged(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    path = f"/contact/{the.portal}/{contact}"
    browser.get(path)
    key = browser.form(f"{path}/look").fields["form_key"]
    waits = the.waiting(contact)
    assert browser.post(f"{path}/look", {"form_key": key[:-1] + "x"}).status_code == 403
    assert browser.post(f"{path}/look", {"form_key": key}, Sec_Fetch_Site="cross-site").status_code == 403
    assert browser.post(f"/contact/{the.portal}/999/look", {"form_key": key}).status_code == 404
    assert browser.post("/contact/1/1/look", {"form_key": key}).status_code == 404
    assert the.waiting(contact) == waits
    assert the.waiting("999") is None


# --- where there is something to say ----------------------------------------------------------------------------------


def test_it_says_when_it_is_looked_at_next_and_that_it_waits_when_that_time_has_come(the: Practice) -> None:
    contact = somebody(the)
    look = the.next_look(contact)
    assert look is not None
    browser = browser_beside(the)
    browser.get(f"/contact/{the.portal}/{contact}")
    assert "Next look by itself 20" in words(browser)
    assert "It waits to be looked at" not in words(browser)
    the.time.now = look
    browser = browser_beside(the)
    browser.get(f"/contact/{the.portal}/{contact}")
    assert "It waits to be looked at, since" in words(browser)


def test_a_dead_letter_says_why_it_was_given_up(the: Practice) -> None:
    contact = somebody(the)
    the.services.inbox.look_at(the.portal, [contact], due=the.time.now)
    held = the.services.inbox.claim(lease_ms=1_000)
    assert held is not None
    the.services.inbox.finish(held, failed={contact: Failure(error="no: bob@example.com is wrong", retry_at=None)})
    browser = browser_beside(the)
    browser.get(f"/contact/{the.portal}/{contact}")
    assert "It was given up" in words(browser)
    assert "no: ***@*** is wrong" in words(browser)


def test_who_was_merged_leads_to_the_survivor_whose_history_has_both(the: Practice) -> None:
    one, other = somebody(the), the.sandbox.create_contact({"email": "b@example.com", **INBOUND})
    the.catch_up()
    survivor = the.sandbox.merge_contacts(one, other)
    the.catch_up()
    browser = browser_beside(the)
    assert browser.get(f"/contact/{the.portal}/{other}").status_code == 200
    assert f'<a href="/contact/{the.portal}/{survivor}">' in browser.page_text
    browser.get(f"/contact/{the.portal}/{survivor}")
    assert f"as contact {other}" in words(browser)


def test_who_was_deleted_is_told_so_and_who_was_forgotten_is_not_there(the: Practice) -> None:
    contact = somebody(the)
    browser = browser_beside(the)
    the.sandbox.delete_contact(contact)
    the.catch_up()
    browser.get(f"/contact/{the.portal}/{contact}")
    assert "It was deleted in HubSpot" in words(browser)
    assert "conditions cannot be shown" in words(browser)
    erase_person(the.services.engine, the.portal, contact, reason="asked", now=the.time.now)
    assert browser.get(f"/contact/{the.portal}/{contact}").status_code == 404


def test_a_decision_of_another_version_of_the_rules_is_told_as_such(the: Practice) -> None:
    contact = somebody(the)
    with writing(the.services.engine) as connection:
        connection.execute(sa.update(records).values(pack_hash="another"))
        connection.execute(sa.update(contacts).values(pack_hash="another", rule="<b>gone</b>"))
    browser = browser_beside(the)
    browser.get(f"/contact/{the.portal}/{contact}")
    assert "Another version of the rules decided last" in words(browser)
    assert "<b>gone</b>" in words(browser)


def test_a_long_history_is_shown_in_parts(the: Practice) -> None:
    contact = somebody(the)
    for _ in range(12):
        the.move(hours=1)
        the.look(contact)
    browser = browser_beside(the)
    path = f"/contact/{the.portal}/{contact}"
    assert browser.get(path).text.count("claim <code>") == 10
    assert browser.get(f"{path}?all=1").text.count("claim <code>") > 10


@pytest.mark.parametrize(
    ("api_url", "leads_there"),
    [("https://api.hubapi.com", True), ("https://api.hubapi.com:443/", True), ("https://eu1.hubapi.com", True),
     ("http://127.0.0.1:9009", False), ("https://hubapi.com.example.com", False), ("https://nothubapi.com", False)],
)  # fmt: skip
def test_links_lead_into_hubspot_where_it_is_hubspots_own(the: Practice, api_url: str, leads_there: bool) -> None:
    portal = the.config.portals[0].model_copy(update={"api_url": api_url})
    found = [hubspot_link(portal, kind, "17") for kind in ("contact", "task", "deal", "erase")]
    there = [f"https://app.hubspot.com/contacts/4242/record/{kind}/17" for kind in ("0-1", "0-27", "0-3")]
    assert found == ([*there, None] if leads_there else [None] * 4)
    assert hubspot_link(portal, "contact", None) is None
    assert hubspot_link(portal, "contact", "../settings") is None
