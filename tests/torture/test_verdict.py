"""The verdict can fail: each kind of harm is seen, and named as what it is."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.decision import NO_MEMORY, decide
from connector.moments import SECOND
from connector.rulebook.checking import load_pack
from connector.rulebook.judging import Rulebook
from connector.rulebook.shipped import shipped_packs
from connector.snapshot import Snapshot
from tests.torture.lives import Life, Step, make_lives
from tests.torture.oracle import ends_of, judge
from tests.torture.verdict import Found, compare_contact

NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)
LIFE = Life(
    number=7, kind="lead", company_type="", times=(0.0,),
    steps=(Step(properties={"firstname": "Ana", "lastname": "Novák", "sk_source": "inbound"}),),
)  # fmt: skip
SEEK, FORM = ("Seek a meeting with Ana Novák", "TODO"), ("Send Ana Novák the profile form", "EMAIL")
WELL = {
    "lifecyclestage": "lead", "sk_rule": "worth-a-look", "sk_reason": "There is a sign that they might buy.",
}  # fmt: skip


def contact(*tasks: tuple[str, str], **properties: str) -> Mapping[str, Any]:
    """Make what the practice HubSpot shows of a contact."""
    made = [{"properties": {"hs_task_subject": title, "hs_task_type": kind}} for title, kind in tasks]
    return {"id": "1", "properties": {**WELL, **properties}, "tasks": made, "deals": []}


def found(there: Mapping[str, Any]) -> Found:
    return compare_contact(LIFE, there, NOW)


def test_nothing_is_said_against_a_contact_that_is_where_it_should_be() -> None:
    assert not found(contact(SEEK, FORM))


def test_a_task_that_is_missing_is_lost() -> None:
    assert found(contact(SEEK)).lost == ("Send Ana Novák the profile form (EMAIL)",)


def test_a_task_that_is_there_again_is_twice_whatever_its_marker() -> None:
    assert found(contact(SEEK, FORM, FORM)).twice == ("Send Ana Novák the profile form (EMAIL)",)


@pytest.mark.parametrize("name", WELL)
def test_a_property_with_another_value_is_wrong(name: str) -> None:
    assert found(contact(SEEK, FORM, **{name: "opportunity"})).wrong


def test_the_oracle_and_the_pack_judge_the_last_state_of_two_thousand_lives_alike() -> None:
    """Written apart, they would not be wrong in the same way; when the default pack changes, so must the oracle."""
    pack, problems = load_pack(shipped_packs()["default"])
    assert pack is not None, problems
    rulebook = Rulebook(pack)
    for life in make_lives(2_000, seed=11, seconds=60, today=NOW):
        last = life.states()[-1]
        properties = {**last.properties, "lifecyclestage": last.pushed}
        state = replace(last, properties=properties)
        company = {"type": state.company_type} if state.company_type else {}
        deals = ({"dealstage": state.deal},) if state.deal else ()
        snapshot = Snapshot(contact="1", properties=properties, company=company, deals=deals)
        decision = decide(rulebook, snapshot, NO_MEMORY, round(NOW.timestamp() * SECOND))
        verdict = judge(state, NOW)
        assert (decision.stage or "", decision.status or "", decision.rule) == (
            verdict.stage, verdict.status, verdict.rule,
        ), life  # fmt: skip
        made = sorted(rule.id for rule in (*decision.tasks, *decision.actions))
        assert [tuple(made)] == [end.made for end in ends_of((state,), NOW)], life
