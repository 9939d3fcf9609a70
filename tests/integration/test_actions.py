"""Actions and tasks: deals once per stay, forgetting only where it is allowed, owners in turn, queues."""

from pathlib import Path

import sqlalchemy as sa

from connector.store.tables import effects
from tests.practice import Practice, practice

OPPORTUNITY = {
    "firstname": "Cyrus", "lastname": "Weiss", "email": "cyrus@example.com", "sk_target_market": "yes",
    "sk_authority": "yes", "sk_need": "definite", "sk_committed": "yes",
}  # fmt: skip
TURNS = """
version: 1
pack: turns
ladder: [contact]
stages:
  - {id: all, stage: contact, because: Everybody is.}
tasks:
  - {id: call, when: {entered: contact}, title: Call, owner: [ana@acme.example, ben@acme.example], queue: "77"}
"""


def test_an_opportunity_gets_one_deal_with_its_contact_and_company(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        firm = the.sandbox.create_company({"name": "Weiss AG"})
        cyrus = the.sandbox.create_contact(OPPORTUNITY, company=firm)
        the.catch_up()
        the.look(cyrus)
        deals = the.sandbox.deals_of(cyrus)
        assert [deal["properties"]["dealstage"] for deal in deals] == ["appointmentscheduled"]
        everything = the.sandbox.everything_about(cyrus)
        assert deals[0]["id"] in str(everything)
        assert the.sandbox.contact(cyrus)["lifecyclestage"] == "opportunity"


def test_no_deal_is_opened_beside_one_that_is_open(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        cyrus = the.sandbox.create_contact(OPPORTUNITY)
        the.sandbox.create_deal({"dealname": "Theirs", "dealstage": "contractsent"}, contacts=[cyrus])
        the.catch_up()
        assert [deal["properties"]["dealname"] for deal in the.sandbox.deals_of(cyrus)] == ["Theirs"]


def test_a_portal_that_does_not_allow_deals_gets_none(tmp_path: Path) -> None:
    with practice(tmp_path, more="    allow: {create_deals: false}") as the:
        cyrus = the.sandbox.create_contact(OPPORTUNITY)
        the.catch_up()
        assert the.sandbox.deals_of(cyrus) == []


def test_whoever_asks_to_be_forgotten_is_unsubscribed_and_erased_where_the_portal_allows_it(tmp_path: Path) -> None:
    with practice(tmp_path, more="    allow: {erase_contacts: true}") as the:
        zita = the.sandbox.create_contact({"email": "zita@example.com", "sk_erasure_requested": "yes"})
        the.catch_up()
        routes = {call.route for call in the.sandbox.calls.log}
        assert any("unsubscribe-all" in route for route in routes)
        assert any("gdpr-delete" in route for route in routes)
        state = the.rows(sa.select(effects.c.kind, effects.c.state).where(effects.c.contact == zita))
        assert {row.state for row in state} <= {"confirmed", "failed"}


def test_elsewhere_a_person_gets_a_task_of_high_priority_and_nothing_else_is_done(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        zita = the.sandbox.create_contact({**OPPORTUNITY, "sk_erasure_requested": "yes"})
        the.catch_up()
        the.look(zita)
        (task,) = the.sandbox.tasks_of(zita)
        assert task["properties"]["hs_task_priority"] == "HIGH"
        assert task["properties"]["hs_task_subject"] == "Asked to be forgotten: unsubscribe and erase this contact"
        assert the.sandbox.deals_of(zita) == []
        assert the.sandbox.contact(zita)["sk_prospect_status"] == "closed"


def test_what_was_intended_before_the_wish_to_be_forgotten_is_never_done(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana = the.sandbox.create_contact({"firstname": "Ana", "sk_source": "inbound"})
        the.sandbox.faults.add("500", route="tasks/batch/create", times=None)
        the.catch_up()
        assert the.sandbox.tasks_of(ana) == []
        the.sandbox.faults.clear()
        the.sandbox.update_contact(ana, {"sk_erasure_requested": "yes"})
        the.catch_up()
        the.move(hours=12)
        the.work()
        assert the.titles(ana) == ["Asked to be forgotten: unsubscribe and erase this contact"]
        dropped = the.rows(sa.select(effects.c.error).where(effects.c.state == "failed"))
        assert {row.error for row in dropped} == {"the contact is closed"}


def test_texts_speak_of_the_open_deal_and_of_the_company(tmp_path: Path) -> None:
    pack = TURNS.replace("title: Call,", 'title: "{{ deal.dealname }} at {{ company.name }}",')
    pack = pack.replace(', owner: [ana@acme.example, ben@acme.example], queue: "77"', "")
    with practice(tmp_path, rules=pack) as the:
        firm = the.sandbox.create_company({"name": "Weiss AG"})
        ana = the.sandbox.create_contact({"firstname": "Ana"}, company=firm)
        the.sandbox.create_deal({"dealname": "Old", "dealstage": "closedlost"}, contacts=[ana])
        the.sandbox.create_deal({"dealname": "Renewal", "dealstage": "contractsent"}, contacts=[ana])
        the.catch_up()
        assert the.titles(ana) == ["Renewal at Weiss AG"]


def test_listed_owners_get_tasks_in_turn_and_in_the_queue(tmp_path: Path) -> None:
    with practice(tmp_path, rules=TURNS) as the:
        owners = {the.sandbox.add_owner(f"{name}@acme.example", name, "Acme"): name for name in ("ana", "ben")}
        people = [the.sandbox.create_contact({"firstname": f"P{number}"}) for number in range(6)]
        the.catch_up()
        given = [task_of(the, contact)["hubspot_owner_id"] for contact in people]
        assert sorted(owners[owner] for owner in given) == ["ana"] * 3 + ["ben"] * 3
        assert {task_of(the, contact)["hs_queue_membership_ids"] for contact in people} == {"77"}


def task_of(the: Practice, contact: str) -> dict[str, str]:
    (task,) = the.sandbox.tasks_of(contact)
    return dict(task["properties"])
