"""The main job: what happens in a portal leads to stages, reasons and tasks there, once, and to records here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.moments import DAY, write_moment
from connector.store.tables import contacts, records
from tests.practice import (
    CREATE_DEALS,
    CREATE_TASKS,
    NOW,
    READ_COMPANIES,
    READ_CONTACTS,
    READ_DEALS,
    WRITE_CONTACTS,
    Practice,
    practice,
)

QUALIFIED = {
    "sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite", "sk_budget": "yes", "sk_winnable": "yes",
    "sk_requirements": "yes", "sk_intent": "wants_to_buy",
}  # fmt: skip
WRITTEN = ("lifecyclestage", "sk_prospect_status", "sk_lead_status", "sk_reason", "sk_rule", "sk_decided_at")

SMALL = """
version: 1
pack: small
ladder: [contact, lead]
facts:
  asked: {sk_source: {is: inbound}}
stages:
  - {id: asked, stage: lead, when: asked, because: They asked.}
  - {id: others, stage: contact, because: They did not ask.}
tasks:
  - {id: answer, when: {entered: lead}, title: "Answer {{ contact.firstname }}"}
"""


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


def written(the: Practice, contact: str) -> dict[str, str]:
    return {name: value for name, value in the.sandbox.contact(contact).items() if name in WRITTEN}


# --- first and second look ------------------------------------------------------------------------------------------


def test_first_look_writes_stage_and_reason_and_makes_the_tasks(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "firstname": "Ana", "sk_source": "inbound"})

    assert the.catch_up() == 1

    decided_at = the.rows(sa.select(contacts.c.decided_at))[0].decided_at
    assert written(the, ana) == {
        "lifecyclestage": "lead",
        "sk_reason": "There is a sign that they might buy.",
        "sk_rule": "worth-a-look",
        "sk_decided_at": write_moment(decided_at),
    }
    assert the.titles(ana) == ["Seek a meeting with Ana", "Send Ana the profile form"]
    task = the.sandbox.tasks_of(ana)[0]["properties"]
    assert {name: task[name] for name in task if name in {"hs_task_type", "hs_task_priority", "hs_task_status"}} == {
        "hs_task_type": "TODO", "hs_task_priority": "MEDIUM", "hs_task_status": "NOT_STARTED",
    }  # fmt: skip
    assert task["hs_timestamp"] == write_moment(decided_at + 2 * DAY)
    assert the.waiting(ana) is None


def test_a_burst_of_events_costs_one_look(the: Practice) -> None:
    ids = [the.sandbox.create_contact({"email": f"p{n}@example.com", "sk_source": "inbound"}) for n in range(30)]
    for one in ids:
        for step in ("1", "2", "3"):
            the.sandbox.update_contact(one, {"sk_unanswered": step})

    assert the.catch_up() == 1
    assert the.calls(READ_CONTACTS) == the.calls(WRITE_CONTACTS) == the.calls(CREATE_TASKS) == 1


def test_second_look_writes_nothing(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    the.catch_up()
    before = the.sandbox.everything_about(ana)
    the.sandbox.calls.reset()

    assert the.look(ana) == 1

    assert (the.calls(READ_CONTACTS), the.calls(WRITE_CONTACTS), the.calls(CREATE_TASKS)) == (1, 0, 0)
    assert the.sandbox.everything_about(ana) == before


def test_own_writes_that_come_back_cause_no_second_round(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    the.catch_up()
    assert the.deliver() > 0, "the practice HubSpot tells of our own writes"
    the.move(seconds=10)

    assert the.work() == 0
    assert the.waiting(ana) is None


def test_the_same_events_delivered_again_cause_no_look(the: Practice) -> None:
    the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    told = list(the.sandbox.webhooks.events)
    the.catch_up()

    the.accept([{**event, "attemptNumber": 3} for event in told])
    the.move(seconds=10)

    assert the.work() == 0


def test_a_record_says_what_was_read_decided_and_done(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    the.catch_up()

    [row] = the.rows(sa.select(records))
    assert (row.contact, row.pack, row.stage_before, row.stage, row.rule) == (
        ana, "default", None, "lead", "worth-a-look",
    )  # fmt: skip
    assert row.read["properties"] == {"sk_source": "inbound"}
    assert row.decided["tasks"] == ["seek-meeting", "ask-missing-answer"]
    assert row.planned["properties"]["lifecyclestage"] == ["", "lead"]
    assert row.done["written"] == ["lifecyclestage", "sk_decided_at", "sk_reason", "sk_rule"]
    assert sorted(row.done["effects"].values()) == [task["id"] for task in the.sandbox.tasks_of(ana)]
    assert row.done["error"] is None


def test_a_contact_moves_through_all_stages(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com"})
    seen = []
    for step in ({"sk_source": "inbound"}, QUALIFIED, {"sk_committed": "yes"}):
        the.catch_up()
        seen.append(written(the, ana)["lifecyclestage"])
        the.sandbox.update_contact(ana, step)
    the.catch_up()
    seen.append(written(the, ana)["lifecyclestage"])

    assert seen == ["subscriber", "lead", "salesqualifiedlead", "opportunity"]
    [deal] = the.sandbox.deals_of(ana)
    assert (deal["properties"]["dealname"], deal["properties"]["dealstage"]) == (
        "ana@example.com", "appointmentscheduled",
    )  # fmt: skip


# --- what is read -----------------------------------------------------------------------------------------------------


def test_company_is_read_only_where_it_could_still_matter_and_once(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        firm = the.sandbox.create_company({"name": "Northwind", "type": "VENDOR"})
        plain = [the.sandbox.create_contact({"email": f"a{n}@example.com"}, company=firm) for n in range(5)]
        the.sandbox.create_contact({"email": "b@example.com", "sk_relationship": "customer"}, company=firm)
        the.catch_up()

        reads = [call for call in the.sandbox.calls.log if call.route == READ_COMPANIES]
        assert [call.inputs for call in reads] == [1]
        assert {the.sandbox.contact(one)["sk_rule"] for one in plain} == {"business-relation"}


def test_company_and_deals_are_not_read_by_a_pack_that_names_neither(tmp_path: Path) -> None:
    with practice(tmp_path, rules=SMALL) as the:
        firm = the.sandbox.create_company({"name": "Northwind"})
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"}, company=firm)
        the.sandbox.create_deal({"dealname": "x"}, contacts=[ana])
        the.catch_up()

        called = {call.route for call in the.sandbox.calls.log}
        once_an_hour = {"/crm/properties/contacts/{name}", "/account-info/details"}
        assert called == once_an_hour | {READ_CONTACTS, WRITE_CONTACTS, CREATE_TASKS}


def test_deals_are_read_where_an_action_depends_on_them(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", **QUALIFIED, "sk_committed": "yes"})
    bob = the.sandbox.create_contact({"email": "bob@example.com", **QUALIFIED, "sk_committed": "yes"})
    eve = the.sandbox.create_contact({"email": "eve@example.com"})
    the.sandbox.create_deal({"dealname": "running", "dealstage": "contractsent", "pipeline": "default"}, contacts=[bob])
    the.catch_up()

    assert (len(the.sandbox.deals_of(ana)), len(the.sandbox.deals_of(bob)), len(the.sandbox.deals_of(eve))) == (1, 1, 0)
    assert the.calls(READ_DEALS) == the.calls(CREATE_DEALS) == 1


# --- who is gone ------------------------------------------------------------------------------------------------------


def test_a_deleted_contact_is_recorded_as_gone_and_its_data_is_forgotten(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "firstname": "Ana", "sk_source": "inbound"})
    the.catch_up()
    the.sandbox.delete_contact(ana)
    the.catch_up()

    [row] = the.rows(sa.select(contacts))
    assert (row.gone, row.next_look_at, row.snapshot, row.unwritten) == ("deleted", None, {}, {})
    kept = str(the.rows(sa.text("SELECT body FROM effects"))) + str(the.rows(sa.select(records)))
    assert "Ana" not in kept
    assert "ana@example.com" not in kept
    assert the.waiting(ana) is None
    assert the.dead() == {}


def test_a_restored_contact_is_not_given_its_tasks_again(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    the.catch_up()
    the.sandbox.delete_contact(ana)
    the.catch_up()
    the.sandbox.restore_contact(ana)
    the.catch_up()

    assert the.keys(ana) == ["ask-missing-answer", "seek-meeting"]
    assert [row.gone for row in the.rows(sa.select(contacts))] == [None]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_is_known_of_merged_contacts_moves_on_to_the_survivor(the: Practice, one_by_one: bool) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    bob = the.sandbox.create_contact({"email": "bob@example.com"})
    the.catch_up()
    tasks = the.keys(ana) + the.keys(bob)
    survivor = the.sandbox.merge_contacts(ana, bob)
    if one_by_one:  # somebody else's event is worked off before the merge is told
        the.look(bob)
        the.look(ana)
    the.catch_up()

    known = {row.contact: (row.gone, row.stage) for row in the.rows(sa.select(contacts))}
    assert known == {ana: (survivor, "lead"), bob: (survivor, "contact"), survivor: (None, "lead")}
    assert written(the, survivor)["lifecyclestage"] == "lead"
    assert the.keys(survivor) == sorted(tasks)
    assert the.dead() == {}


def test_an_unknown_id_is_looked_at_once_and_forgotten(the: Practice) -> None:
    assert the.look("123456") == 1
    assert the.waiting("123456") is None
    assert [row.decided for row in the.rows(sa.select(records))] == [{"gone": "deleted"}]


def test_a_contact_that_vanishes_between_reading_and_writing_is_buried(
    the: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
    bob = the.sandbox.create_contact({"email": "bob@example.com", "sk_source": "inbound"})
    pipeline = the.services.portals[the.portal].pipeline
    update = pipeline.hubspot.contacts.update

    def delete_first(changes):  # type: ignore[no-untyped-def]
        if ana in changes:
            the.sandbox.delete_contact(ana)
        return update(changes)

    monkeypatch.setattr(pipeline.hubspot.contacts, "update", delete_first)
    the.catch_up()

    assert {row.contact: row.gone for row in the.rows(sa.select(contacts))} == {ana: "deleted", bob: None}
    assert written(the, bob)["lifecyclestage"] == "lead"
    assert the.dead() == {}


# --- time -------------------------------------------------------------------------------------------------------------


def test_time_alone_wakes_a_contact_once(the: Practice) -> None:
    soon = write_moment(NOW + 40 * DAY)[:10]
    ana = the.sandbox.create_contact({"email": "ana@example.com", **QUALIFIED, "sk_ready_by": soon})
    the.catch_up()
    assert written(the, ana)["sk_prospect_status"] == "warm"
    the.deliver()
    assert (the.next_look(ana) or 0) > the.time.now

    statuses = {}
    for day in range(1, 21):
        the.move(days=1)
        looks = the.work()
        statuses[day] = (looks, written(the, ana)["sk_prospect_status"])

    first_hot = next(day for day, (_, status) in statuses.items() if status == "hot")
    assert 9 <= first_hot <= 11
    assert [day for day, (looks, _) in statuses.items() if looks and day != first_hot] in ([7, 14], [8, 15])


def test_a_cadence_makes_its_tasks_in_time_and_then_what_follows(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "a@example.com", "sk_source": "purchased_list", "sk_contacted": "yes"})
    the.catch_up()
    counts = [the.keys(ana).count("lead-follow-up")]
    for _ in range(8):
        the.move(days=1, minutes=1)
        the.work()
        the.deliver()
        counts.append(the.keys(ana).count("lead-follow-up"))

    assert counts == [1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert the.sandbox.contact(ana)["sk_drip"] == "true"
    assert the.waiting(ana) is None


def test_values_that_the_rules_read_are_looked_at_again_after_writing_them(the: Practice) -> None:
    ana = the.sandbox.create_contact(
        {"email": "ana@example.com", **QUALIFIED, "sk_accepted_step": "discovery_meeting", "sk_sales_step": "proposal"}
    )
    the.catch_up()
    assert the.sandbox.contact(ana)["sk_accepted_step"] == "proposal"
    the.sandbox.update_contact(ana, {"sk_sales_step": "presentation"})
    the.catch_up()

    assert the.sandbox.contact(ana)["sk_accepted_step"] == "presentation"
    assert the.sandbox.contact(ana)["sk_next_step"] == "final_review"
    assert {"next-step-presentation", "next-step-final-review"} <= set(the.keys(ana))


RESTLESS = """
version: 1
pack: restless
ladder: [contact]
facts: {on: {sk_drip: {known: true, is: "true"}}}
stages: [{id: all, stage: contact, because: Everybody.}]
values:
  - {id: turn-off, when: on, set: {sk_drip: ""}}
  - {id: turn-on, when: {not: on}, set: {sk_drip: "true"}}
"""


def test_a_pack_whose_own_writes_never_come_to_rest_does_not_run_on(tmp_path: Path) -> None:
    with practice(tmp_path, rules=RESTLESS) as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com"})
        the.catch_up()

        assert the.calls(WRITE_CONTACTS) == 1
        assert (the.next_look(ana) or 0) > the.time.now + DAY // 2


# --- shadow -----------------------------------------------------------------------------------------------------------


def test_shadow_mode_writes_nothing_and_records_everything(tmp_path: Path) -> None:
    with practice(tmp_path, more="    mode: shadow\n") as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
        the.catch_up()
        before = the.sandbox.everything_about(ana)
        the.look(ana)

        writes = [call for call in the.sandbox.calls.log if call.route in {WRITE_CONTACTS, CREATE_TASKS, CREATE_DEALS}]
        assert writes == []
        assert written(the, ana) == {}
        assert the.sandbox.everything_about(ana) == before
        rows = the.rows(sa.select(records).order_by(records.c.id))
        assert [(row.stage, row.planned["properties"]["lifecyclestage"]) for row in rows] == [
            ("lead", ["", "lead"]), ("lead", ["", "lead"]),
        ]  # fmt: skip
        assert the.rows(sa.text("SELECT count(*) FROM effects"))[0][0] == 0


def test_going_live_after_shadow_moves_the_stages(tmp_path: Path) -> None:
    with practice(tmp_path, more="    mode: shadow\n") as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound"})
        the.catch_up()
        live = the.config.model_copy(
            update={"portals": [the.config.portals[0].model_copy(update={"mode": "live"})]}
        )
        the.config = live
        now_live = the.again()
        now_live.look(ana)

        assert written(now_live, ana)["lifecyclestage"] == "lead"
