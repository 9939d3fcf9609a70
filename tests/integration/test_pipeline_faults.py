"""What goes wrong about one contact hurts that one; whatever breaks off is done once, and nothing is forgotten."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from connector import examiner as examiner_module
from connector import pipeline as pipeline_module
from connector.store.tables import contacts, effects
from tests.practice import (
    CREATE_DEALS,
    INBOUND,
    LEAD_TASKS,
    NOTED,
    QUALIFIED,
    WRITE_CONTACTS,
    Practice,
    leads,
    practice,
    stages,
    wait_out,
)


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path) as stage:
        yield stage


# --- one contact's fault --------------------------------------------------------------------------------------------

def test_a_bad_value_in_one_of_a_hundred_hurts_that_one_only(tmp_path: Path) -> None:
    with practice(tmp_path, rules=NOTED.replace("hs_timezone", "hs_lead_status")) as the:
        ids = [the.sandbox.create_contact({"email": f"p{n}@example.com"}) for n in range(99)]
        odd = the.sandbox.create_contact({"email": "odd@example.com", "jobtitle": "odd"})
        the.deliver()
        the.move(seconds=3)
        assert the.work() == 1

        assert {stage for one, stage in stages(the).items() if one != odd} == {"lead"}
        assert all(the.keys(one) == ["greet"] for one in ids)
        assert list(the.dead()) == [odd]
        assert "hs_lead_status" in the.dead()[odd]
        assert "no such zone" not in the.dead()[odd], "values may be personal"
        assert the.calls(WRITE_CONTACTS) <= 15


def test_a_dead_letter_comes_back_with_the_next_event(tmp_path: Path) -> None:
    with practice(tmp_path, rules=NOTED.replace("hs_timezone", "hs_lead_status")) as the:
        odd = the.sandbox.create_contact({"email": "odd@example.com", "jobtitle": "odd"})
        the.catch_up()
        assert list(the.dead()) == [odd]
        the.sandbox.update_contact(odd, {"jobtitle": "even"})
        the.catch_up()

        assert the.dead() == {}
        assert stages(the) == {odd: "lead"}


def test_a_property_that_the_pack_writes_and_the_portal_lacks_is_named(tmp_path: Path) -> None:
    with practice(tmp_path, rules=NOTED.replace("hs_timezone", "no_such_property")) as the:
        even = the.sandbox.create_contact({"email": "even@example.com"})
        odd = the.sandbox.create_contact({"email": "odd@example.com", "jobtitle": "odd"})
        the.catch_up()

        assert list(the.dead()) == [odd]
        assert "no_such_property" in the.dead()[odd]
        assert stages(the)[even] == "lead"


def test_an_exception_on_one_contact_leaves_the_others_alone(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = leads(the, 5)
    judge = examiner_module.judge

    def judge_but_one(rulebook: Any, snapshot: Any, *more: Any) -> Any:
        if snapshot.contact == ids[2]:
            raise ValueError("a bug that this contact brings out")
        return judge(rulebook, snapshot, *more)

    monkeypatch.setattr(examiner_module, "judge", judge_but_one)
    with capture_logs():
        the.catch_up()
    assert {one for one, stage in stages(the).items() if stage != "lead"} == {ids[2]}
    assert the.waiting(ids[2]).last_error == "ValueError: a bug that this contact brings out"

    with capture_logs():
        wait_out(the, 8, minutes=7 * 60)
    assert list(the.dead()) == [ids[2]]


def test_an_address_that_cannot_be_unsubscribed_does_not_keep_others_from_it(tmp_path: Path) -> None:
    with practice(tmp_path, more="    allow: {erase_contacts: true}\n") as the:
        asked = {"sk_erasure_requested": "yes"}
        both = {the.sandbox.create_contact({"email": f"{name}@example.com", **asked}) for name in ("ana", "bob")}
        the.sandbox.faults.add("400", route="unsubscribe-all", times=1)
        the.catch_up()

        assert len(the.dead()) == 1
        assert set(stages(the)) == set(the.dead()), "the other one has been erased"
        assert both > set(the.dead())


# --- the stage --------------------------------------------------------------------------------------------------------


def advance_before_writing(the: Practice, contact: str, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody move the contact on between our reading and our writing, once."""
    found = the.services.portals[the.portal].hubspot.contacts
    update = found.update
    done: list[str] = []

    def update_late(changes: Mapping[str, Mapping[str, str]]) -> Any:
        if not done:
            done.append(stage)
            the.sandbox.update_contact(contact, {"lifecyclestage": stage})
        return update(changes)

    monkeypatch.setattr(found, "update", update_late)


@pytest.mark.parametrize(
    ("backward_writes", "left", "says"),
    [
        ("ignore", "opportunity", "HubSpot kept the stage 'opportunity' instead of 'lead'"),
        ("refuse", "opportunity", "HubSpot refused the stage 'lead'"),
        ("accept", "lead", None),
    ],
)
def test_whatever_hubspot_does_with_a_backward_write_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backward_writes: str, left: str, says: str | None
) -> None:
    with practice(tmp_path, backward_writes=backward_writes) as the:
        [ana] = leads(the, 1)
        advance_before_writing(the, ana, "opportunity", monkeypatch)
        the.catch_up()

        assert stages(the) == {ana: left}
        assert the.sandbox.contact(ana)["sk_rule"] == "worth-a-look", "all else is written"
        assert the.keys(ana) == LEAD_TASKS
        held = the.services.portals[the.portal].recorder.latest(ana)["done"]["held"]  # type: ignore[index]
        assert (held or "").startswith(says or "")
        assert bool(held) == bool(says)
        the.catch_up()
        assert the.dead() == {}


def test_a_stage_ahead_of_the_rules_stays_and_is_not_written_at(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", **INBOUND, "lifecyclestage": "opportunity"})
    the.catch_up()

    assert stages(the) == {ana: "opportunity"}
    record = the.services.portals[the.portal].recorder.latest(ana)
    assert record is not None
    said = "HubSpot's stage 'opportunity' is ahead of 'lead', which the rules decided; it stays"
    assert record["done"]["held"] == said


BACKWARD = """
version: 1
pack: backward
ladder: [contact, lead, prospect]
facts: {hot: {sk_intent: {is: wants_to_buy}}}
stages:
  - {id: hot, stage: prospect, when: hot, because: They want to buy.}
  - {id: rest, stage: lead, because: They do not, backward: true}
"""


@pytest.mark.parametrize("backward_writes", ["ignore", "refuse", "accept"])
def test_a_backward_move_that_pack_and_portal_allow_clears_and_sets(tmp_path: Path, backward_writes: str) -> None:
    more = "    allow: {backward_moves: true}\n"
    with practice(tmp_path, rules=BACKWARD, more=more, backward_writes=backward_writes) as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_intent": "wants_to_buy"})
        the.catch_up()
        assert stages(the) == {ana: "salesqualifiedlead"}
        the.sandbox.update_contact(ana, {"sk_intent": "unclear"})
        the.catch_up()

        assert stages(the) == {ana: "lead"}


def test_a_crash_between_clearing_and_setting_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with practice(tmp_path, rules=BACKWARD, more="    allow: {backward_moves: true}\n") as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_intent": "wants_to_buy"})
        the.catch_up()
        the.sandbox.update_contact(ana, {"sk_intent": "unclear"})
        update = the.services.portals[the.portal].hubspot.contacts.update

        def crash_after_clearing(changes: Mapping[str, Mapping[str, str]]) -> Any:
            update(changes)
            raise KeyboardInterrupt

        monkeypatch.setattr(the.services.portals[the.portal].hubspot.contacts, "update", crash_after_clearing)
        with pytest.raises(KeyboardInterrupt):
            the.catch_up()
        assert stages(the) == {ana: None}

        after = the.again()
        after.move(minutes=6)
        after.work()
        assert stages(after) == {ana: "lead"}


def test_a_backward_move_that_the_portal_does_not_allow_is_held(tmp_path: Path) -> None:
    with practice(tmp_path, rules=BACKWARD) as the:
        ana = the.sandbox.create_contact({"email": "ana@example.com", "sk_intent": "wants_to_buy"})
        the.catch_up()
        the.sandbox.update_contact(ana, {"sk_intent": "unclear"})
        the.catch_up()

        assert stages(the) == {ana: "salesqualifiedlead"}


# --- owners -----------------------------------------------------------------------------------------------------------


def test_a_task_whose_owner_has_left_is_made_without_one(the: Practice) -> None:
    [ana] = leads(the, 1)
    owner = the.sandbox.add_owner("gone@example.com")
    the.sandbox.update_contact(ana, {"hubspot_owner_id": owner})
    del the.sandbox.portal.owners[owner]
    the.catch_up()

    assert the.keys(ana) == LEAD_TASKS
    assert [task["properties"].get("hubspot_owner_id") for task in the.sandbox.tasks_of(ana)] == [None, None]


def test_a_task_goes_to_the_contacts_owner_else_to_the_default_else_to_nobody(tmp_path: Path) -> None:
    with practice(tmp_path, more="    owners: {default: desk@acme.example}\n") as the:
        desk, ann = the.sandbox.add_owner("desk@acme.example"), the.sandbox.add_owner("ann@acme.example")
        mine, free = leads(the, 2)
        the.sandbox.update_contact(mine, {"hubspot_owner_id": ann})
        the.catch_up()

        owners = {one: {task["properties"].get("hubspot_owner_id") for task in the.sandbox.tasks_of(one)}
                  for one in (mine, free)}  # fmt: skip
        assert owners == {mine: {ann}, free: {desk}}


def test_a_default_owner_whom_the_portal_does_not_know_costs_no_task(tmp_path: Path) -> None:
    with practice(tmp_path, more="    owners: {default: nobody@acme.example}\n") as the:
        [ana] = leads(the, 1)
        the.catch_up()
        assert the.keys(ana) == LEAD_TASKS


# --- effects once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after"])
@pytest.mark.parametrize("unique", [True, False])
def test_an_answer_lost_after_tasks_were_made_never_makes_a_second_task(
    tmp_path: Path, fault: str, unique: bool
) -> None:
    with practice(tmp_path, unique_task_properties=unique) as the:
        ids = leads(the, 3)
        the.sandbox.faults.add(fault, route=r"tasks/batch/create", times=1, seconds=0.1)
        the.catch_up()
        wait_out(the, 3)

        assert [the.keys(one) for one in ids] == [LEAD_TASKS] * 3
        states = {row.state for row in the.rows(sa.select(effects))}
        assert states == {"confirmed"}
        made = sorted(task["id"] for one in ids for task in the.sandbox.tasks_of(one))
        assert sorted(row.hubspot_id for row in the.rows(sa.select(effects))) == made
        assert the.dead() == {}


def test_an_answer_lost_after_a_deal_was_opened_never_opens_a_second(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com", **QUALIFIED, "sk_committed": "yes"})
    the.sandbox.faults.add("reset_after", route=r"deals/batch/create", times=1)
    the.catch_up()
    wait_out(the, 3)

    assert len(the.sandbox.deals_of(ana)) == 1
    assert the.calls(CREATE_DEALS) <= 2
    assert the.dead() == {}


@pytest.mark.parametrize("moment", ["before anything", "after the properties", "after the tasks"])
def test_a_crash_between_intending_and_confirming_is_done_once_afterwards(
    the: Practice, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    [ana] = leads(the, 1)
    hubspot = the.services.portals[the.portal].hubspot

    def crash(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    if moment == "before anything":
        monkeypatch.setattr(pipeline_module, "carry_out", crash)
    elif moment == "after the properties":
        monkeypatch.setattr(hubspot.tasks, "create", crash)
    else:
        create = hubspot.tasks.create
        monkeypatch.setattr(hubspot.tasks, "create", lambda inputs, **more: crash(create(inputs, **more)))
    the.deliver()
    the.move(seconds=3)
    with pytest.raises(KeyboardInterrupt):
        the.worker.work_once()
    monkeypatch.undo()

    after = the.again()
    after.move(minutes=6)
    after.work()

    assert stages(after) == {ana: "lead"}
    assert after.keys(ana) == LEAD_TASKS
    assert {row.state for row in after.rows(sa.select(effects))} == {"confirmed"}
    assert after.rows(sa.select(contacts.c.unwritten))[0].unwritten == {}


AFTERWARDS = """
version: 1
pack: afterwards
ladder: [contact, lead]
facts: {asked: {sk_source: {is: inbound}}}
stages:
  - {id: asked, stage: lead, when: asked, because: They asked.}
  - {id: others, stage: contact, because: They did not.}
values:
  - {id: once, when: {entered: lead}, set: {sk_next_step: greet}}
"""


def test_a_value_that_is_decided_once_survives_a_crash_before_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with practice(tmp_path, rules=AFTERWARDS) as the:
        [ana] = leads(the, 1)

        def crash(*_: object, **__: object) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(pipeline_module, "carry_out", crash)
        with pytest.raises(KeyboardInterrupt):
            the.catch_up()
        monkeypatch.undo()
        after = the.again()
        after.move(minutes=6)
        after.work()

        assert after.sandbox.contact(ana)["sk_next_step"] == "greet"


def test_values_left_unwritten_do_not_overrule_what_people_did_meanwhile(
    the: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    [ana] = leads(the, 1)

    def crash(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline_module, "carry_out", crash)
    with pytest.raises(KeyboardInterrupt):
        the.catch_up()
    monkeypatch.undo()
    the.sandbox.update_contact(ana, {"lifecyclestage": "customer"})
    after = the.again()
    after.move(minutes=6)
    after.work()

    assert stages(after) == {ana: "customer"}


def test_a_look_up_that_fails_keeps_only_the_doubtful_contacts_waiting(the: Practice) -> None:
    doubtful = leads(the, 1)[0]
    the.sandbox.faults.add("reset_after", route=r"tasks/batch/create", times=1)
    the.catch_up()
    fine = the.sandbox.create_contact({"email": "fine@example.com", **INBOUND})
    the.sandbox.faults.add("500", route=r"associations/contacts/tasks/batch/read", times=4)
    the.deliver()
    the.move(seconds=10)
    the.work()
    assert the.keys(fine) == LEAD_TASKS
    assert the.keys(doubtful) == LEAD_TASKS

    wait_out(the, 3)
    assert (the.keys(doubtful), the.keys(fine)) == (LEAD_TASKS, LEAD_TASKS)
    assert the.dead() == {}
