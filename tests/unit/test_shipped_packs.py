"""The six packs as they ship: their cases, every rule of theirs, and one contact with six answers."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.decision import NO_MEMORY, Memory, decide, decide_case, see_case
from connector.moments import DAY
from connector.rulebook.cases import CaseFile, judge_case, load_cases
from connector.rulebook.checking import load_pack
from connector.rulebook.columns import Properties
from connector.rulebook.shipped import shipped_folder, shipped_packs
from tests.rulebooks import NOW, SEEDS, Person, moment, person, plain, proof, shipped, some_contact, some_memory

PACKS = ("bant", "buying-intent", "default", "follow-up", "sales-process", "two-way")
TABLE_NOW = moment("2026-03-02T09:00:00Z")


def test_the_six_packs_ship_and_nothing_else() -> None:
    assert tuple(shipped_packs()) == PACKS
    assert tuple(shipped()) == PACKS


@pytest.mark.parametrize("name", PACKS)
def test_a_shipped_pack_has_no_problem_and_not_even_a_warning(name: str) -> None:
    pack, problems = load_pack(shipped_packs()[name])
    assert problems == []
    assert pack is not None
    assert (pack.name, Path(pack.file).stem) == (name, name)
    assert pack.description


def _cases(name: str) -> CaseFile:
    file, problems = load_cases(shipped_folder() / f"{name}_test.yaml")
    assert problems == []
    assert file is not None
    return file


@pytest.mark.parametrize("name", PACKS)
def test_every_case_of_a_shipped_pack_passes(name: str) -> None:
    rulebook = shipped()[name]
    file = _cases(name)
    results = [judge_case(case, rulebook.pack, lambda case, now: see_case(rulebook, case, now)) for case in file.cases]
    assert [(each.name, each.result, each.differences) for each in results if each.result != "passed"] == []
    assert file.pack.resolve() == shipped_packs()[name].resolve()


@pytest.mark.parametrize("name", PACKS)
def test_every_stage_rule_and_every_status_of_a_shipped_pack_wins_in_some_case(name: str) -> None:
    rulebook = shipped()[name]
    decisions = [decide_case(rulebook, case, case.now or 0) for case in _cases(name).cases]
    assert {decision.rule for decision in decisions} == {rule.id for rule in rulebook.pack.stages}
    assert {decision.status for decision in decisions} >= {rule.status for rule in rulebook.pack.statuses}


@pytest.mark.parametrize("name", PACKS)
def test_every_task_cadence_and_action_of_a_shipped_pack_is_due_in_some_case(name: str) -> None:
    rulebook = shipped()[name]
    decisions = [decide_case(rulebook, case, case.now or 0) for case in _cases(name).cases]
    due = {rule.id for decision in decisions for rule in (*decision.tasks, *decision.actions)}
    assert due == {rule.id for rule in (*rulebook.pack.tasks, *rulebook.pack.cadences, *rulebook.pack.actions)}


@pytest.mark.parametrize("name", PACKS)
def test_a_shipped_pack_writes_only_the_properties_that_setup_makes(name: str) -> None:
    assert shipped()[name].pack.written() <= {"sk_accepted_step", "sk_next_step", "sk_drip"}


# --- one contact, six answers -----------------------------------------------------------------------------------------

PEOPLE = {
    "A": "sk_source inbound, sk_interest form, sk_target_market no",
    "B": "sk_engagement email_click, sk_target_market yes",
    "C": "sk_target_market yes, sk_meeting_scheduled yes, sk_authority no, sk_need definite, sk_winnable yes",
    "D": "sk_target_market yes, sk_budget yes, sk_authority yes, sk_knowledge yes, sk_requirements yes, "
         "sk_ready_by 2028-03-01, sk_need possible, sk_engagement email_reply, sk_positive_response no, "
         "sk_intent unwilling",
    "E": "sk_relationship customer, sk_target_market no",
    "F": "sk_source purchased_list, sk_target_market yes, sk_contacted no",
    "G": "sk_erasure_requested yes",
}  # fmt: skip
ORDER = ("sales-process", "two-way", "bant", "follow-up", "buying-intent", "default")
NONE = (None, None)
CLOSED = (None, "closed")
LEAD, CONTACT, PROSPECT = ("lead", None), ("contact", None), ("prospect", None)
ANSWERS = {
    "A": (LEAD, LEAD, LEAD, CONTACT, LEAD, LEAD),
    "B": (LEAD, ("prospect", "unverified"), LEAD, LEAD, LEAD, LEAD),
    "C": (PROSPECT, LEAD, PROSPECT, PROSPECT, LEAD, LEAD),
    "D": (LEAD, LEAD, CONTACT, LEAD, ("prospect", "cold"), LEAD),
    "E": (CONTACT, NONE, CONTACT, CONTACT, NONE, CONTACT),
    "F": (LEAD, LEAD, NONE, LEAD, LEAD, LEAD),
    "G": (CLOSED, CLOSED, CLOSED, CLOSED, ("prospect", "closed"), CLOSED),
}


@pytest.mark.parametrize("letter", PEOPLE)
@pytest.mark.parametrize("name", ORDER)
def test_one_contact_gets_six_answers(letter: str, name: str) -> None:
    decision = decide(shipped()[name], person(**plain(PEOPLE[letter])), NO_MEMORY, TABLE_NOW)
    assert (decision.stage, decision.status) == ANSWERS[letter][ORDER.index(name)]


# --- the sales step, row by row ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sales-process", "default"])
@pytest.mark.parametrize(
    ("recorded", "accepted", "moved_by", "now_accepted", "task", "next_step", "skipped"),
    [
        (None, "proposal", None, "proposal", "next-step-presentation", "presentation", False),
        (None, None, None, "discovery_meeting", "next-step-proposal", "proposal", False),
        ("final_review", None, "seller", "final_review", "close", "close", False),
        ("proposal", "proposal", None, "proposal", "next-step-presentation", "presentation", False),
        ("presentation", "proposal", "seller", "presentation", "next-step-final-review", "final_review", False),
        ("discovery_meeting", "close", "seller", "discovery_meeting", "next-step-proposal", "proposal", False),
        ("close", "proposal", "customer", "close", None, "", False),
        ("final_review", "discovery_meeting", "customer", "final_review", "close", "close", False),
        ("close", "presentation", "seller", "presentation", "next-step-final-review", "final_review", True),
        ("close", "final_review", "seller", "close", None, "", False),
        ("presentation", "discovery_meeting", None, "discovery_meeting", "next-step-proposal", "proposal", True),
    ],
)
def test_the_sales_step_is_accepted_as_the_table_says(  # noqa: PLR0917 - the columns of the table
    name: str, recorded: str | None, accepted: str | None, moved_by: str | None, now_accepted: str, task: str | None,
    next_step: str, skipped: bool,
) -> None:  # fmt: skip
    base = plain("sk_target_market yes, sk_need definite, sk_winnable yes, sk_authority yes")
    steps: Properties = {"sk_sales_step": recorded, "sk_accepted_step": accepted, "sk_step_moved_by": moved_by}
    decision = decide(shipped()[name], person(**base, **steps), Memory(stage="prospect"), NOW)
    tasks = {rule.id for rule in decision.tasks} - {"prospect-follow-up", "understand-intent"}
    if name == "default" and recorded is None:  # a portal that does not use the steps hears nothing of them
        assert tasks == set()
        assert "sk_accepted_step" not in decision.set
        return
    assert tasks == {*([task] if task else []), *(["skipped-steps"] if skipped else [])}
    assert (decision.set["sk_accepted_step"], decision.set["sk_next_step"]) == (now_accepted, next_step)


# --- statuses at their boundaries -------------------------------------------------------------------------------------

QUALIFIED = {
    "buying-intent": "sk_target_market yes, sk_budget yes, sk_knowledge yes, sk_requirements yes, sk_authority yes",
    "default": "sk_target_market yes, sk_authority yes, sk_need definite",
}


@pytest.mark.parametrize("name", QUALIFIED)
@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ("", "new"), ("sk_intent interested", "new"), ("sk_intent wants_to_buy", "new"),
        ("sk_intent wants_to_buy, sk_ready_by 2026-03-02", "hot"),
        ("sk_intent wants_to_buy, sk_ready_by 2026-03-01", "new"),
        ("sk_intent wants_to_buy, sk_ready_by 2026-04-02", "warm"),
        ("sk_intent wants_to_buy, sk_ready_by 2026-04-01", "hot"),
        ("sk_intent wants_to_buy, sk_ready_by 2026-03-31", "hot"),
        ("sk_intent interested, sk_ready_by 2026-03-31", "new"),
        ("sk_intent interested, sk_ready_by 2026-04-02", "warm"),
        ("sk_ready_by 2026-08-28", "new"), ("sk_ready_by 2026-08-30", "cold"),
        ("sk_intent unclear, sk_ready_by 2028-01-01", "cold"),
        ("sk_intent interested, sk_blocked_by contract", "warm"),
        ("sk_intent interested, sk_blocked_by contract, sk_blocked_until 2026-03-02, sk_ready_by 2030-01-01", "warm"),
        ("sk_intent interested, sk_blocked_by contract, sk_blocked_until 2026-03-01, sk_ready_by 2030-01-01", "cold"),
        ("sk_blocked_by contract", "new"),
    ],
)  # fmt: skip
def test_a_prospects_status_follows_the_table(name: str, properties: str, status: str) -> None:
    decision = decide(shipped()[name], person(**plain(QUALIFIED[name]), **plain(properties)), NO_MEMORY, NOW)
    assert (decision.stage, decision.status) == ("prospect", status)


# --- looking ahead ----------------------------------------------------------------------------------------------------


def _visible(name: str, subject: Person, memory: Memory, now: int) -> tuple[object, ...]:
    decision = decide(shipped()[name], subject, memory, now)
    return decision.stage, decision.status, decision.rule, decision.set, decision.tasks, decision.actions


@given(SEEDS, st.sampled_from(PACKS))
@proof(1200)
def test_nothing_differs_before_the_next_look_and_something_does_at_it(seed: int, name: str) -> None:
    rulebook, subject, rng = shipped()[name], some_contact(seed), random.Random(seed)
    decision = decide(rulebook, subject, some_memory(seed, rulebook.pack, lived=True), NOW)
    memory, look = decision.memory, decision.next_look_at
    steady = _visible(name, subject, memory, NOW)
    assert steady[:3] == (decision.stage, decision.status, decision.rule)
    assert steady[4:] == ((), ())
    until = look if look is not None else NOW + 3_000 * DAY
    samples = [NOW + 1, until - 1, (NOW + until) // 2, *(rng.randrange(NOW, until) for _ in range(3))]
    for sample in samples:
        if NOW <= sample < until:
            assert _visible(name, subject, memory, sample) == steady
    if look is not None:
        assert look > NOW
        before, then = (decide(rulebook, subject, memory, at) for at in (look - 1, look))
        assert (_visible(name, subject, memory, look), then.facts, then.memory.marks) != (
            steady,
            before.facts,
            before.memory.marks,
        )
