"""Webhooks are missed, and nobody stays missing: what has changed is asked of HubSpot, compared, and looked at."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.identity.erasure import erase_person
from connector.reconciliation.reconciliation import Scope
from connector.store.tables import contacts
from tests.practice import Practice, practice, stages
from tests.reconciling import PACK, PLAIN, SEARCHES, by_itself, found, leads, looks, miss, reconcile, settled


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, rules=PACK, automations=()) as one:
        yield one


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, rules=PLAIN) as one:
        yield one


# --- none is missing in the end ---------------------------------------------------------------------------------------


def test_when_one_webhook_in_a_hundred_is_lost_nobody_is_missing_in_the_end(plain: Practice) -> None:
    """Three thousand contacts, one change each; the figures are those of the practice HubSpot's own log."""
    everybody = [plain.sandbox.create_contact({"email": f"p{number}@example.com"}) for number in range(3_000)]
    settled(plain)
    before = looks(plain)
    for contact in everybody:
        plain.sandbox.update_contact(contact, {"sk_source": "inbound"})
    events = list(plain.sandbox.webhooks.events)
    fresh = [one for one in events[plain.heard[plain.portal] :] if one.get("propertyName") == "sk_source"]
    dice = random.Random(20_260_921)
    heard = [one for one in fresh if dice.random() >= 0.01]
    miss(plain)
    plain.accept(heard)
    plain.move(seconds=3)
    plain.work()
    lost = len(fresh) - len(heard)
    missing = [contact for contact, stage in stages(plain).items() if stage != "lead"]
    assert (len(fresh), len(missing), 20 <= lost <= 45) == (3_000, lost, True)

    plain.sandbox.calls.reset()
    report = by_itself(plain)
    searches = plain.calls(SEARCHES["contacts"])
    assert (report.modified, found(report)) == ({"contacts": 3_000}, (lost, 0, 0, lost))
    assert (plain.sandbox.calls.total, report.calls, report.searches) == (searches, searches, searches)
    assert searches == 1 + 3_000 // 200
    plain.catch_up()
    assert set(stages(plain).values()) == {"lead"}
    assert looks(plain) - before == 3_000  # each once: who was heard of was not looked at again

    plain.sandbox.calls.reset()
    quiet = [by_itself(plain), by_itself(plain)]
    assert [found(each) for each in quiet] == [(0, 0, 0, 0)] * 2
    assert (plain.work(), looks(plain) - before) == (0, 3_000)


def test_own_writes_are_found_again_and_cause_no_look(plain: Practice) -> None:
    """They are changes like any other to HubSpot; a quiet portal comes to cost a single search."""
    leads(plain, 500)
    reconcile(plain)
    plain.catch_up()
    before = looks(plain)
    seen = []
    for _ in range(4):
        plain.sandbox.calls.reset()
        report = by_itself(plain)
        seen.append((report.modified["contacts"], found(report), plain.sandbox.calls.total))
        assert plain.work() == 0
    assert seen[0] == (500, (0, 0, 0, 0), 1 + 3)
    assert seen[-1] == (0, (0, 0, 0, 0), 1)
    assert looks(plain) == before


def test_what_rules_do_not_read_is_no_reason_to_look(plain: Practice) -> None:
    contact = plain.sandbox.create_contact({"email": "a@example.com", "sk_source": "inbound"})
    settled(plain)
    plain.sandbox.update_contact(contact, {"firstname": "Ana", "phone": "1"})
    miss(plain)
    report = by_itself(plain)
    assert (report.modified, found(report)) == ({"contacts": 1}, (0, 0, 0, 0))


def test_what_our_own_write_changed_of_what_rules_read_is_no_reason_to_look(plain: Practice) -> None:
    """`drip` is written because it is not known, and known from then on."""
    contact = plain.sandbox.create_contact({"email": "a@example.com"})
    plain.catch_up()
    assert plain.sandbox.contact(contact)["sk_drip"] == "true"
    (row,) = plain.rows(sa.select(contacts.c.snapshot))
    assert "sk_drip" not in row.snapshot["properties"]  # read before it was written, and not since
    assert found(reconcile(plain)) == (0, 0, 0, 0)
    plain.sandbox.update_contact(contact, {"sk_drip": ""})
    miss(plain)
    assert found(reconcile(plain)) == (1, 0, 0, 1)


def test_a_stage_that_a_person_moved_is_seen_though_the_webhook_was_lost(plain: Practice) -> None:
    """Forward, and back to what it was before our own move."""
    one, other = leads(plain, 2)
    settled(plain)
    assert set(stages(plain).values()) == {"lead"}
    plain.sandbox.update_contact(one, {"lifecyclestage": "customer"})
    plain.sandbox.update_contact(other, {"lifecyclestage": ""})
    miss(plain)
    assert found(by_itself(plain)) == (2, 0, 0, 2)


def test_a_value_changed_and_changed_back_is_no_change(plain: Practice) -> None:
    contact = leads(plain, 1)[0]
    settled(plain)
    plain.sandbox.update_contact(contact, {"sk_source": "event"})
    plain.sandbox.update_contact(contact, {"sk_source": "inbound"})
    miss(plain)
    assert found(by_itself(plain)) == (0, 0, 0, 0)


# --- who is unknown, erased, merged, deleted, restored ----------------------------------------------------------------


def test_contacts_nobody_ever_told_of_are_looked_at(plain: Practice) -> None:
    settled(plain)
    known = leads(plain, 1)[0]
    settled(plain)
    lost = leads(plain, 3)
    miss(plain)
    assert found(by_itself(plain)) == (0, 3, 0, 3)
    plain.catch_up()
    assert {contact: stages(plain)[contact] for contact in (known, *lost)} == dict.fromkeys((known, *lost), "lead")


def test_whoever_was_erased_here_is_not_brought_back(plain: Practice) -> None:
    kept, erased = leads(plain, 2)
    settled(plain)
    erase_person(plain.services.engine, plain.portal, erased, reason="asked", now=plain.time.now)
    for contact in (kept, erased):
        plain.sandbox.update_contact(contact, {"sk_source": "event"})
    miss(plain)
    assert found(by_itself(plain)) == (1, 0, 0, 1)
    assert found(reconcile(plain, Scope(everything=True))) == (1, 0, 0, 0)  # who waits already is not placed again


def test_a_merge_that_nobody_told_of_is_found_by_the_ids_that_the_survivor_names(plain: Practice) -> None:
    winner, loser = leads(plain, 2)
    settled(plain)
    survivor = plain.sandbox.merge_contacts(winner, loser)
    miss(plain)
    assert found(by_itself(plain)) == (0, 1, 2, 3)
    plain.catch_up()
    plain.move(seconds=10)
    plain.work()
    gone = dict(plain.rows(sa.select(contacts.c.contact, contacts.c.gone)))
    assert gone == {winner: survivor, loser: survivor, survivor: None}
    assert plain.titles(survivor) == []


def test_a_deletion_that_nobody_told_of_is_found_by_reading_all(plain: Practice) -> None:
    """No search shows it."""
    stays, goes = leads(plain, 2)
    settled(plain)
    plain.sandbox.delete_contact(goes)
    miss(plain)
    assert found(by_itself(plain)) == (0, 0, 0, 0)
    report = reconcile(plain, Scope(everything=True))
    assert (report.modified, found(report)) == ({"contacts": 1}, (0, 0, 1, 1))
    plain.catch_up()
    assert dict(plain.rows(sa.select(contacts.c.contact, contacts.c.gone))) == {stays: None, goes: "deleted"}
    assert found(reconcile(plain, Scope(everything=True))) == (0, 0, 0, 0)


def test_a_restored_contact_is_looked_at(plain: Practice) -> None:
    contact = leads(plain, 1)[0]
    settled(plain)
    plain.sandbox.delete_contact(contact)
    plain.catch_up()
    plain.sandbox.restore_contact(contact)
    miss(plain)
    assert found(reconcile(plain, Scope(everything=True))) == (0, 1, 0, 1)
    plain.catch_up()
    assert plain.rows(sa.select(contacts.c.gone)) == [(None,)]


# --- companies and deals ----------------------------------------------------------------------------------------------


def test_a_change_of_the_company_alone_is_found(the: Practice) -> None:
    """Its event names no contact, so nothing else would have them looked at."""
    company = the.sandbox.create_company({"name": "Acme", "numberofemployees": "10"})
    other = the.sandbox.create_company({"name": "Bolt", "numberofemployees": "10"})
    here, there = (
        the.sandbox.create_contact({"email": f"{n}@example.com", "sk_source": "inbound"}, company=firm)
        for n, firm in enumerate((company, other))
    )
    idle = the.sandbox.create_contact({"email": "idle@example.com"}, company=company)
    settled(the)
    the.sandbox.update_company(company, {"numberofemployees": "80"})
    the.sandbox.update_company(other, {"name": "Bolt & Nut"})
    report = by_itself(the)
    assert (report.modified["companies"], found(report)) == (2, (1, 0, 0, 1))
    the.catch_up()
    now = stages(the)
    assert (now[here], now[there], now[idle]) == ("salesqualifiedlead", "lead", "subscriber")
    assert found(by_itself(the)) == (0, 0, 0, 0)


def test_a_change_of_a_deal_alone_is_found(the: Practice) -> None:
    contact, other = leads(the, 2)
    deals = [the.sandbox.create_deal(_DEAL, contacts=those) for those in ([contact, other], [other])]
    settled(the)
    the.sandbox.update_deal(deals[0], {"amount": "5"})
    report = by_itself(the)
    assert (report.modified["deals"], found(report)) == (1, (0, 0, 0, 0))
    the.sandbox.update_deal(deals[1], {"dealstage": "contractsent"})
    assert found(by_itself(the)) == (1, 0, 0, 1)
    the.catch_up()
    assert (stages(the)[contact], stages(the)[other]) == ("lead", "salesqualifiedlead")


_DEAL = {"dealname": "A deal", "pipeline": "default", "dealstage": "appointmentscheduled"}


def test_a_deal_that_was_added_or_taken_away_is_found_by_its_number(the: Practice) -> None:
    contact = leads(the, 1)[0]
    settled(the)
    the.sandbox.create_deal({**_DEAL, "dealstage": "contractsent"}, contacts=[contact])
    miss(the)
    assert found(by_itself(the))[0] == 1
    the.catch_up()
    assert stages(the)[contact] == "salesqualifiedlead"


def test_companies_and_deals_that_no_rule_reads_are_not_asked_for(plain: Practice) -> None:
    plain.sandbox.create_company({"name": "Acme"})
    leads(plain, 1)
    settled(plain)
    assert [plain.calls(SEARCHES[kind]) for kind in ("companies", "deals")] == [0, 0]


def test_neighbours_changed_long_ago_are_found_by_reading_all(the: Practice) -> None:
    company = the.sandbox.create_company({"name": "Acme", "numberofemployees": "10"})
    one = the.sandbox.create_contact({"email": "a@example.com", "sk_source": "inbound"}, company=company)
    two = leads(the, 1)[0]
    deal = the.sandbox.create_deal(_DEAL, contacts=[two])
    settled(the)
    the.sandbox.update_company(company, {"numberofemployees": "80"})
    the.sandbox.update_deal(deal, {"dealstage": "contractsent"})
    miss(the)
    assert found(reconcile(the, Scope(everything=True))) == (2, 0, 0, 2)
    the.catch_up()
    assert [stages(the)[contact] for contact in (one, two)] == ["salesqualifiedlead"] * 2
