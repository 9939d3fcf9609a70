"""The history of a contact: every decision with its moment, its rules' version, and what became of it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.identity.erasure import erase_person
from connector.recall import Recalled, recall
from connector.store.engine import writing
from connector.store.tables import records
from tests.integration.test_replay import STRICT, visitors
from tests.practice import Practice, practice

GREETED = (STRICT % 2).replace("tasks: [", 'values: [{id: drip, when: keen, set: {sk_drip: "true"}}]\ntasks: [')


def told(the: Practice, contact: str, *, most: int = 100) -> Recalled:
    return recall(the.services.engine, the.portal, contact, most=most)


def test_a_decision_is_told_with_what_was_written_and_made(tmp_path: Path) -> None:
    with practice(tmp_path, rules=GREETED) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        found = told(the, ana)
        pack = the.services.portals[the.portal].pack
        [entry] = found.entries
        moment = the.sandbox.contact(ana)["sk_decided_at"]
        [task] = the.sandbox.tasks_of(ana)
        key = task["properties"]["sk_key"]
        assert {name: value for name, value in entry.items() if name != "claim"} == {
            "contact": ana, "at": moment, "pack": "strict", "pack_hash": pack.hash,
            "stage_before": None, "stage": "lead", "status": None, "rule": "keen",
            "because": "They came often enough.",
            "written": {
                "lifecyclestage": {"from": "", "to": "lead"}, "sk_drip": {"from": "", "to": "true"},
                "sk_reason": {"from": "", "to": "They came often enough."}, "sk_rule": {"from": "", "to": "keen"},
                "sk_decided_at": {"from": "", "to": moment},
            },
            "made": [{"kind": "task", "rule": "greet", "key": key, "hubspot_id": task["id"], "is_done": True}],
            "held": None, "withheld": {}, "error": None, "is_done": True,
        }  # fmt: skip
        assert (found.total, found.merged, found.is_pruned) == (1, (), False)


def test_errors_and_what_was_completed_later_are_told(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        the.sandbox.faults.add("500", route="tasks/batch/create")
        the.catch_up()
        the.sandbox.faults.clear()
        the.move(minutes=10)
        the.work()
        later, first = told(the, ana).entries
        assert first["error"].startswith("unclear: ")
        assert [(one["rule"], one["is_done"]) for one in first["made"]] == [("greet", False)]
        assert [(one["rule"], one["is_done"]) for one in later["made"]] == [("greet", True)]


def test_what_was_held_is_told(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        the.sandbox.update_contact(ana, {"lifecyclestage": "customer"})
        the.catch_up()
        [entry] = told(the, ana).entries
        assert "is ahead of" in entry["held"]


def test_who_was_merged_is_one_story_with_the_survivor(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2, merging_makes_third=True) as the:
        ana, bob, cem = visitors(the, 3, 0, 1)
        the.catch_up()
        middle = the.sandbox.merge_contacts(ana, bob)
        the.catch_up()
        last = the.sandbox.merge_contacts(middle, cem)
        the.catch_up()
        found = told(the, last)
        assert found.merged == tuple(sorted([ana, bob, cem, middle]))
        seen = [(entry["contact"], entry.get("gone")) for entry in found.entries]
        assert {(ana, middle), (bob, middle), (middle, last), (cem, last)} <= set(seen)
        assert [each for each in seen if each[0] == ana][-1] == (ana, None), "its own decision is the oldest of its"
        assert not found.is_pruned
        assert told(the, ana).entries[0]["gone"] == middle


def test_only_the_newest_are_given_when_there_are_many(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        for _ in range(5):
            the.look(ana)
            the.move(days=1)
        found = told(the, ana, most=2)
        assert (len(found.entries), found.total, found.is_pruned) == (2, 5, False)
        assert found.entries[0]["at"] > found.entries[1]["at"]


@pytest.mark.parametrize("left", [1, 0])
def test_it_says_that_older_records_were_removed(tmp_path: Path, left: int) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        for _ in range(3):
            the.look(ana)
            the.move(days=1)
        ids = [row.id for row in the.rows(sa.select(records.c.id).order_by(records.c.id))]
        with writing(the.services.engine) as connection:
            connection.execute(sa.delete(records).where(records.c.id.in_(ids[: 3 - left])))
        found = told(the, ana)
        assert (found.total, found.is_pruned) == (left, True)


def test_of_who_was_erased_or_never_seen_nothing_is_told(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        erase_person(the.services.engine, the.portal, ana, reason="asked", now=the.time.now)
        for contact in (ana, "1"):
            assert told(the, contact).as_data() == {
                "version": 1, "portal": the.portal, "contact": contact, "merged": [], "records": 0, "pruned": False,
                "history": [],
            }  # fmt: skip
