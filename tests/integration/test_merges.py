"""Whoever is merged goes on as the survivor, with what was known, done and under way, in any order of events."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector.store.tables import contacts, effects, records, waiting
from tests.merging import ACTS, PACK, Story, tell
from tests.practice import CREATE_TASKS, INBOUND, LEAD_TASKS, Practice, leads, practice, stages, wait_out

READ_ONE = "/crm/objects/contacts/{id}"
AS_DRAWN = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example takes a second: finding a smaller one that fails would take minutes."""
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 99_999)), min_size=6, max_size=30)


@pytest.fixture(params=["a third", "the winner"])
def the(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, merging_makes_third=request.param == "a third") as stage:
        yield stage


def known(the: Practice) -> dict[str, tuple[str | None, str | None, int]]:
    """What is known of everybody: the stage, where they went, whether that waits for an heir."""
    query = sa.select(contacts.c.contact, contacts.c.stage, contacts.c.gone, contacts.c.heir_waits)
    return {row.contact: (row.stage, row.gone, row.heir_waits) for row in the.rows(query)}


def lead_tasks(the: Practice, contact: str) -> list[str]:
    return [rule for rule in the.keys(contact) if rule in LEAD_TASKS]


def under_way(the: Practice) -> list[Any]:
    return the.rows(sa.select(effects.c.contact, effects.c.state).where(effects.c.state == "intended"))


# --- any order ----------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=AS_DRAWN)
@given(steps=STEPS, seed=st.integers(0, 999), third=st.booleans(), binned=st.booleans())
def test_whatever_happens_in_whatever_order_everybody_is_in_their_stage_and_nothing_is_done_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], seed: int, third: bool, binned: bool
) -> None:
    folder = tmp_path_factory.mktemp("story")
    with practice(folder, rules=PACK, merging_makes_third=third, merged_are_binned=binned) as the:
        story = Story(the, seed)
        tell(story, steps)
        story.check()


def test_what_waited_under_an_id_that_was_never_judged_is_done_for_its_survivor(tmp_path: Path) -> None:
    """Two are merged while their tasks are under way, and their survivor is merged before anybody looks at it."""
    with practice(tmp_path, rules=PACK) as the:
        ana, bob, cem = leads(the, 3)
        the.sandbox.faults.add("500", route="tasks/batch/create", times=1)
        the.catch_up()
        middle = the.sandbox.merge_contacts(ana, bob)
        the.look(ana, bob)
        last = the.sandbox.merge_contacts(middle, cem)
        the.catch_up()
        wait_out(the, 2)

        assert under_way(the) == []
        assert the.keys(last) == ["chase"] * 3 + ["greet"] * 3
        assert {one: gone for one, (_, gone, _) in known(the).items()} == {
            ana: last, bob: last, cem: last, middle: last, last: None,
        }  # fmt: skip


# --- what passes --------------------------------------------------------------------------------------------------


def test_a_survivor_that_was_judged_before_takes_over_what_was_done_for_the_other(the: Practice) -> None:
    ana = the.sandbox.create_contact({"email": "ana@example.com"})
    [bob] = leads(the, 1)
    the.catch_up()
    survivor = the.sandbox.merge_contacts(ana, bob)
    the.catch_up()

    assert lead_tasks(the, survivor) == LEAD_TASKS
    assert stages(the)[survivor] == "lead"
    assert known(the)[bob] == ("lead", survivor, 0)
    assert the.dead() == {}


def test_the_survivor_tells_of_the_merge_itself_when_no_event_does(the: Practice) -> None:
    ana, bob = leads(the, 2)
    the.catch_up()
    survivor = the.sandbox.merge_contacts(ana, bob)
    the.look(survivor)

    merged = {one: (row[1], row[2]) for one, row in known(the).items() if one != survivor}
    assert set(merged.values()) == {(survivor, 0)}
    assert the.keys(survivor) == sorted(LEAD_TASKS * 2)
    assert the.calls(READ_ONE) == 0


def test_what_is_known_waits_until_the_survivor_is_judged(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana, bob = leads(the, 2)
        the.catch_up()
        survivor = the.sandbox.merge_contacts(ana, bob)
        the.services.inbox.look_at(the.portal, [ana], due=the.time.now)
        the.worker.work_once()
        assert known(the)[ana] == ("lead", survivor, 1)
        assert the.waiting(survivor).due > the.time.now

        the.move(seconds=6)
        the.work()
        assert known(the) == {ana: ("lead", survivor, 0), bob: ("lead", survivor, 0), survivor: ("lead", None, 0)}
        assert the.keys(survivor) == sorted(LEAD_TASKS * 2)


def test_the_stay_goes_on_and_counts_are_kept(tmp_path: Path) -> None:
    with practice(tmp_path, rules=PACK) as the:
        [ana] = leads(the, 1)
        the.catch_up()
        since = the.rows(sa.select(contacts.c.since))[0].since
        the.move(days=4)
        the.work()
        assert the.keys(ana) == ["chase", "chase", "greet"]
        bob = the.sandbox.create_contact({"email": "bob@example.com"})
        survivor = the.sandbox.merge_contacts(bob, ana)
        for _ in range(5):
            the.catch_up()
            the.move(days=4)

        assert the.keys(survivor) == ["chase", "chase", "greet"]
        [row] = the.rows(sa.select(contacts.c.since).where(contacts.c.contact == survivor))
        assert row.since == since


def test_a_stage_that_a_person_set_stays_for_its_time_after_a_merge(the: Practice) -> None:
    [ana] = leads(the, 1)
    bob = the.sandbox.create_contact({"email": "bob@example.com"})
    the.catch_up()
    the.sandbox.update_contact(ana, {"lifecyclestage": ""})
    the.catch_up()
    assert stages(the)[ana] is None
    survivor = the.sandbox.merge_contacts(ana, bob)
    the.catch_up()

    [row] = the.rows(sa.select(contacts.c.theirs_until).where(contacts.c.contact == survivor))
    assert row.theirs_until is not None


def test_whoever_merges_two_contacts_has_moved_no_stage(the: Practice) -> None:
    [ana] = leads(the, 1)
    bob = the.sandbox.create_contact({"email": "bob@example.com"})
    the.catch_up()
    survivor = the.sandbox.merge_contacts(bob, ana)
    the.sandbox.update_contact(survivor, {
        "sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite", "sk_intent": "wants_to_buy",
    })  # fmt: skip
    the.catch_up()

    assert stages(the)[survivor] == "salesqualifiedlead"


# --- at the worst moment ------------------------------------------------------------------------------------------


def test_a_task_that_may_have_been_made_before_a_merge_is_found_on_the_survivor(the: Practice) -> None:
    ana, bob = leads(the, 2)
    the.sandbox.faults.add("reset_after", route=CREATE_TASKS.replace("/crm/objects", ""), times=1)
    the.catch_up()
    survivor = the.sandbox.merge_contacts(ana, bob)
    the.catch_up()
    wait_out(the, 3)

    assert the.keys(survivor) == sorted(LEAD_TASKS * 2)
    assert under_way(the) == []
    assert the.dead() == {}


def test_a_merge_between_reading_and_writing_loses_no_task(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    [ana] = leads(the, 1)
    bob = the.sandbox.create_contact({"email": "bob@example.com"})
    found = the.services.portals[the.portal].hubspot.contacts
    update, survivors = found.update, list[str]()

    def merge_first(changes: Any) -> Any:
        if not survivors:
            survivors.append(the.sandbox.merge_contacts(bob, ana))
        return update(changes)

    monkeypatch.setattr(found, "update", merge_first)
    the.catch_up()
    wait_out(the, 3)

    assert lead_tasks(the, survivors[0]) == LEAD_TASKS
    assert stages(the) == {survivors[0]: "lead"}
    assert under_way(the) == []
    assert the.dead() == {}


def test_a_merge_just_before_the_look_up_makes_no_second_task(the: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up finds nothing under the old id, because HubSpot has moved the task to the survivor."""
    ana, bob = leads(the, 2)
    the.sandbox.faults.add("reset_after", route=CREATE_TASKS.replace("/crm/objects", ""), times=1)
    the.catch_up()
    tasks = the.services.portals[the.portal].hubspot.tasks
    marked, survivors = tasks.marked, list[str]()

    def merge_first(ids: Any) -> Any:
        if not survivors:
            survivors.append(the.sandbox.merge_contacts(bob, ana))
        return marked(ids)

    monkeypatch.setattr(tasks, "marked", merge_first)
    wait_out(the, 4)

    assert the.keys(survivors[0]) == sorted(LEAD_TASKS * 2)
    assert under_way(the) == []
    assert the.dead() == {}


def test_a_survivor_waits_while_another_worker_is_at_work_on_a_merged_one(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana, bob = leads(the, 2)
        the.deliver()
        the.move(seconds=3)
        other = the.services.inbox.claim(lease_ms=300_000)
        assert other is not None
        survivor = the.sandbox.merge_contacts(ana, bob)
        the.look(survivor)
        assert the.keys(survivor) == []
        assert "another worker is at work" in the.waiting(survivor).last_error

        the.services.inbox.release(other)
        wait_out(the, 3)
        assert the.keys(survivor) == LEAD_TASKS
        assert the.dead() == {}


def test_a_worker_that_died_on_a_merged_one_does_not_stop_the_survivor(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana, bob = leads(the, 2)
        the.deliver()
        the.move(seconds=3)
        assert the.services.inbox.claim(lease_ms=300_000) is not None
        survivor = the.sandbox.merge_contacts(ana, bob)
        the.look(survivor)
        wait_out(the, 4)

        assert the.keys(survivor) == LEAD_TASKS
        assert the.rows(sa.select(waiting.c.contact).where(waiting.c.contact != survivor)) == []


# --- deletions and restores ---------------------------------------------------------------------------------------


def test_a_deletion_that_is_told_after_the_restore_buries_nobody(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        [ana] = leads(the, 1)
        the.catch_up()
        since = the.rows(sa.select(contacts.c.since))[0].since
        the.sandbox.delete_contact(ana)
        the.move(days=80)
        the.sandbox.restore_contact(ana)
        deletion, restore = (
            [event for event in the.sandbox.webhooks.events if event["subscriptionType"] == f"contact.{name}"]
            for name in ("deletion", "restore")
        )
        for told in (restore, deletion):
            the.accept(told)
            the.move(seconds=3)
            the.work()

        assert known(the)[ana] == ("lead", None, 0)
        assert the.rows(sa.select(contacts.c.since))[0].since == since
        assert set(the.keys(ana)) >= set(LEAD_TASKS)
        assert the.keys(ana).count(LEAD_TASKS[0]) == 1


def test_whoever_was_deleted_restored_and_merged_hands_on_what_was_done(the: Practice) -> None:
    ana, bob = leads(the, 2)
    the.catch_up()
    the.sandbox.delete_contact(bob)
    the.catch_up()
    assert known(the)[bob] == ("lead", "deleted", 0)
    the.sandbox.restore_contact(bob)
    survivor = the.sandbox.merge_contacts(ana, bob)
    the.catch_up()

    assert the.keys(survivor) == sorted(LEAD_TASKS * 2)
    assert known(the)[bob] == ("lead", survivor, 0)


def test_a_deleted_contact_has_nothing_under_way_and_wakes_nobody(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        [ana] = leads(the, 1)
        the.sandbox.faults.add("500", route="tasks/batch/create", times=None)
        the.catch_up()
        assert len(under_way(the)) == 2
        the.sandbox.delete_contact(ana)
        the.catch_up()
        wait_out(the, 2)

        assert under_way(the) == []
        assert the.waiting(ana) is None
        assert [row.body for row in the.rows(sa.select(effects.c.body))] == [{}, {}]
        assert the.rows(sa.select(contacts.c.next_look_at))[0].next_look_at is None


def test_a_contact_deleted_just_before_its_task_is_made_is_no_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with practice(tmp_path, rules=PACK) as the:
        ana, bob = leads(the, 2)
        the.catch_up()
        tasks = the.services.portals[the.portal].hubspot.tasks
        create, deleted = tasks.create, list[str]()

        def delete_first(inputs: Any, **more: Any) -> Any:
            if not deleted:
                the.sandbox.delete_contact(ana)
                deleted.append(ana)
            return create(inputs, **more)

        monkeypatch.setattr(tasks, "create", delete_first)
        the.move(days=4)
        the.work()

        assert deleted == [ana]
        assert the.dead() == {}
        assert known(the)[ana][1] == "deleted"
        assert the.keys(bob) == ["chase", "chase", "greet"]


# --- many at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binned", [False, True])
def test_many_deletions_cost_a_call_for_each_hundred_and_merges_one_each(tmp_path: Path, binned: bool) -> None:
    with practice(tmp_path, merged_are_binned=binned) as the:
        ids = leads(the, 240)
        the.catch_up()
        for one in ids[:230]:
            the.sandbox.delete_contact(one)
        survivor = the.sandbox.merge_contacts(ids[230], ids[231])
        the.sandbox.calls.reset()
        the.catch_up()

        assert the.calls(READ_ONE) == 2
        assert the.calls("/crm/objects/contacts/batch/read") <= 3 + 3 + 1
        gone = [row[1] for row in known(the).values()]
        assert (gone.count("deleted"), gone.count(survivor), gone.count(None)) == (230, 2, 9)


def test_a_bin_that_cannot_be_read_is_done_without(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = leads(the, 3)
        the.catch_up()
        for one in ids:
            the.sandbox.delete_contact(one)
        hubspot = the.services.portals[the.portal].hubspot
        the.sandbox.faults.add("400", route="contacts/batch/read", times=None)
        found = hubspot.contacts.in_bin(ids)
        the.sandbox.faults.clear()
        assert found == frozenset()
        the.catch_up()
        assert {row[1] for row in known(the).values()} == {"deleted"}


def test_an_outage_while_asking_where_contacts_went_is_noticed_at_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with practice(tmp_path) as the:
        ids = leads(the, 6)
        fine = the.sandbox.create_contact({"email": "fine@example.com", **INBOUND})
        the.catch_up()
        for one in ids:
            the.sandbox.privacy_delete(one)
        the.sandbox.update_contact(fine, {"jobtitle": "Buyer"})
        the.sandbox.calls.reset()
        the.sandbox.faults.add("503", route=r"contacts/\d+$", times=None)
        the.look(*ids, fine)
        assert the.calls(READ_ONE) <= 4, "the tries of one"
        the.sandbox.faults.clear()
        wait_out(the, 2)

        assert {row[1] for row in known(the).values()} == {None, "deleted"}
        assert the.dead() == {}


def test_a_merged_contact_that_was_never_judged_is_known_to_be_the_survivor(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ana, bob = leads(the, 2)
        survivor = the.sandbox.merge_contacts(ana, bob)
        the.catch_up()

        assert known(the) == {ana: (None, survivor, 0), bob: (None, survivor, 0), survivor: ("lead", None, 0)}
        assert {row.decided["gone"] for row in the.rows(sa.select(records)) if row.rule == "gone"} == {survivor}
