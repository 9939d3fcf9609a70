"""The laws of the packs, over random contacts, memories and all six packs; examples are the same in every run.

Law 7 (one deal) is about writing, and is proven where writing is. Laws 6 and 10 are also run through simulated weeks.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from connector.decision import CLOSED, NO_MEMORY, Decision, Memory, decide
from connector.moments import DAY, HOUR, WEEK
from connector.rulebook.judging import Rulebook
from tests.rulebooks import (
    DATES,
    ENUMERATIONS,
    MOMENTS,
    NOW,
    SEEDS,
    SETS,
    STEPS,
    YES_NO_PROPERTIES,
    Person,
    person,
    proof,
    shipped,
    some_contact,
    some_memory,
    some_value,
)

PACKS = tuple(shipped())
EXAMPLES = 300


def each(seed: int, subject: Person) -> Iterator[tuple[Rulebook, Memory, Decision]]:
    """Decide about a contact under every pack, each with a memory of its own."""
    for name, rulebook in shipped().items():
        memory = some_memory(seed, rulebook.pack)
        note(f"{name}: {subject} {memory}")
        yield rulebook, memory, decide(rulebook, subject, memory, NOW)


def ids(rules: tuple[object, ...]) -> tuple[str, ...]:
    """Name rules."""
    return tuple(str(getattr(rule, "id")) for rule in rules)  # noqa: B009 - tasks, cadences and actions alike


@given(SEEDS)
@proof(EXAMPLES)
def test_law_1_the_same_input_gives_the_same_decision_whatever_the_order_of_keys(seed: int) -> None:
    subject = some_contact(seed)
    shuffled = Person(
        properties=dict(reversed(list(subject.properties.items()))), company=subject.company, deals=subject.deals
    )
    for rulebook, memory, decision in each(seed, subject):
        turned = replace(memory, marks=dict(reversed(list(memory.marks.items()))))
        assert decide(rulebook, shuffled, turned, NOW) == decision
        rulebook._judgements.clear()  # judged anew, not remembered
        assert decide(rulebook, shuffled, turned, NOW) == decision


@given(SEEDS)
@proof(EXAMPLES)
def test_law_2_there_is_one_stage_of_the_ladder_or_none_and_one_rule(seed: int) -> None:
    subject = some_contact(seed)
    for rulebook, _, decision in each(seed, subject):
        assert decision.stage is None or decision.stage in rulebook.pack.ladder
        rules = {rule.id: rule for rule in rulebook.pack.stages}
        assert decision.rule is not None
        assert (rules[decision.rule].stage, rules[decision.rule].because) == (decision.stage, decision.because)


@given(SEEDS, st.booleans())
@proof(EXAMPLES)
def test_law_3_erasure_wins(seed: int, asked: bool) -> None:
    subject = some_contact(seed)
    wish = "yes" if asked else subject.properties.get("sk_erasure_requested", "").replace("yes", "no")
    subject = replace(subject, properties={**subject.properties, "sk_erasure_requested": wish})
    for rulebook, memory, decision in each(seed, subject):
        if not asked:
            assert decision.status != CLOSED
            assert "forget" not in ids(decision.actions)
            continue
        assert (decision.rule, decision.status, decision.tasks) == ("erasure", CLOSED, ())
        assert decision.set == {"sk_prospect_status": CLOSED}
        assert ids(decision.actions) == (() if "forget" in memory.marks else ("forget",))
        assert decision.stage == ("prospect" if rulebook.pack.name == "buying-intent" else None)
        assert decision.next_look_at is None


def accepted_step(properties: Mapping[str, str | None]) -> tuple[str, bool]:
    """Say which step is accepted and whether the seller skipped, from the table of the packs' specification."""
    recorded, old = properties.get("sk_sales_step") or "", properties.get("sk_accepted_step") or ""
    if not recorded:
        return old or STEPS[0], False
    ahead = STEPS.index(recorded) - STEPS.index(old) if old else 0
    if ahead < 2 or properties.get("sk_step_moved_by") == "customer":
        return recorded, False
    return old, True


@given(SEEDS)
@proof(EXAMPLES)
def test_law_4_there_is_no_closing_task_before_the_final_review_and_no_skip_by_the_seller(seed: int) -> None:
    subject = some_contact(seed)
    for rulebook, _, decision in each(seed, subject):
        if rulebook.pack.name not in ("sales-process", "default"):
            continue
        accepted, skipped = accepted_step(subject.properties)
        assert {name for name, answer in decision.facts.items() if name.startswith("at_") and answer == "yes"} == {
            f"at_{accepted}"
        }
        assert decision.facts["skipped_by_seller"] == ("yes" if skipped else "no")
        assert decision.set.get("sk_accepted_step") in (None, accepted)
        tasks = ids(decision.tasks)
        assert "close" not in tasks or accepted == "final_review"
        assert "skipped-steps" not in tasks or skipped
        assert len([name for name in tasks if name.startswith("next-step-") or name == "close"]) <= 1


@given(SEEDS)
@proof(EXAMPLES)
def test_law_5_nobody_is_called_cold_but_a_lead_whom_nobody_approached(seed: int) -> None:
    subject = some_contact(seed)
    for _, _, decision in each(seed, subject):
        if "cold-call" in ids(decision.tasks):
            assert (decision.stage, decision.facts["approached"]) == ("lead", "no")


@given(SEEDS)
@proof(EXAMPLES)
def test_law_6_no_cadence_exceeds_its_cap_in_one_decision(seed: int) -> None:
    subject = some_contact(seed)
    for rulebook, memory, decision in each(seed, subject):
        caps = {rule.id: rule.at_most for rule in rulebook.pack.cadences if rule.at_most is not None}
        for name in set(ids(decision.tasks)) & set(caps):
            count = memory.marks[name].count if name in memory.marks else 0
            assert count < caps[name]
            assert decision.memory.marks[name].count == count + 1


@given(SEEDS)
@proof(EXAMPLES)
def test_law_8_nothing_that_costs_much_effort_is_due_before_they_qualify(seed: int) -> None:
    subject = some_contact(seed)
    for rulebook, _, decision in each(seed, subject):
        efforts = {rule.body.effort for rule in decision.tasks}
        if rulebook.pack.name in ("buying-intent", "default") and decision.facts["qualified"] != "yes":
            assert "high" not in efforts
        if rulebook.pack.name not in ("buying-intent", "default"):
            assert "high" not in efforts


@given(SEEDS, st.sampled_from([*YES_NO_PROPERTIES, "sk_erasure_requested"]))
@proof(2 * EXAMPLES)
def test_law_9_filling_in_no_never_raises_the_stage(seed: int, name: str) -> None:
    subject = some_contact(seed)
    empty = replace(subject, properties={key: value for key, value in subject.properties.items() if key != name})
    filled = replace(subject, properties={**empty.properties, name: "no"})
    for rulebook, memory, decision in each(seed, empty):
        rungs = {None: -1, **{stage: rung for rung, stage in enumerate(rulebook.pack.ladder)}}
        assert rungs[decide(rulebook, filled, memory, NOW).stage] <= rungs[decision.stage]


# --- simulated weeks --------------------------------------------------------------------------------------------------


def _turn(rng: random.Random, properties: dict[str, str | None], now: int) -> None:
    """Change something about a contact."""
    name = rng.choice([*ENUMERATIONS, *SETS, *DATES, *MOMENTS])
    properties[name] = some_value(rng, name, now) if rng.random() < 0.7 else None


def live(rulebook: Rulebook, rng: random.Random, weeks: int) -> Iterator[tuple[int, Decision, frozenset[str]]]:
    """Live through weeks: random changes, every look ahead kept, own writes read back; with the cadences that hold."""
    now, end = NOW, NOW + weeks * WEEK
    properties: dict[str, str | None] = {"sk_target_market": rng.choice(["yes", "no", None]), "sk_contacted": "yes"}
    memory = NO_MEMORY
    change = now
    while now < end:
        subject = person(**properties)
        decision = decide(rulebook, subject, memory, now)
        holding = rulebook.judge(subject, memory.known, now)[0].cadences
        yield now, decision, frozenset(rule.id for rule in holding)
        memory = decision.memory
        properties |= decision.set
        look = decision.next_look_at
        if now >= change:
            change = now + rng.choice([1, HOUR, DAY, 3 * DAY, 11 * DAY, 40 * DAY])
        now = min(change, look) if look is not None else change
        if now == change:
            _turn(rng, properties, now)


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("seed", range(12))
def test_laws_6_and_10_hold_through_simulated_weeks(name: str, seed: int) -> None:
    rulebook = shipped()[name]
    caps = {rule.id: rule.at_most for rule in rulebook.pack.cadences}
    every = {rule.id: rule.every for rule in rulebook.pack.cadences}
    in_stay: dict[str, int] = {}
    last: dict[str, int] = {}
    for now, decision, holding in live(rulebook, random.Random(f"{name} {seed}"), 120):
        in_stay = {cadence: count for cadence, count in in_stay.items() if cadence in holding}
        for cadence in set(ids(decision.tasks)) & set(caps):
            in_stay[cadence] = in_stay.get(cadence, 0) + 1
            assert caps[cadence] is None or in_stay[cadence] <= (caps[cadence] or 0), (seed, cadence)
            assert now - last.get(cadence, now - every[cadence]) >= every[cadence], (seed, cadence)
            last[cadence] = now


@pytest.mark.parametrize(
    ("name", "properties", "cadence", "times"),
    [
        ("sales-process", {}, "weekly-update", 26), ("default", {}, "weekly-update", 26),
        ("bant", {"sk_interest": "form"}, "nurture", 7),
        ("follow-up", {"sk_contacted": "yes"}, "lead-follow-up", 2),
        ("follow-up", {"sk_positive_response": "yes"}, "prospect-follow-up", 8),
        ("default", {"sk_source": "inbound", "sk_contacted": "yes"}, "lead-follow-up", 2),
    ],
)  # fmt: skip
def test_who_is_left_alone_for_half_a_year_gets_each_cadence_on_the_day(
    name: str, properties: dict[str, str | None], cadence: str, times: int
) -> None:
    rulebook = shipped()[name]
    every = next(rule.every for rule in rulebook.pack.cadences if rule.id == cadence)
    made, memory, now, drip = [], NO_MEMORY, NOW, []
    while now is not None and now < NOW + 26 * WEEK:
        decision = decide(rulebook, person(**properties), memory, now)
        made += [now] if cadence in ids(decision.tasks) else []
        drip += [now] if decision.set.get("sk_drip") == "true" else []
        memory, now = decision.memory, decision.next_look_at
    assert made == [NOW + turn * every for turn in range(times)]
    capped = next(rule.at_most for rule in rulebook.pack.cadences if rule.id == cadence) is not None
    assert drip == ([NOW + times * every] if capped else [])


def test_the_random_contacts_reach_every_stage_rule_and_every_task_cadence_and_action() -> None:
    """Otherwise the laws would be proven of nobody."""
    for rulebook in shipped().values():
        decisions = [
            decide(rulebook, some_contact(seed), some_memory(seed, rulebook.pack), NOW) for seed in range(2_000)
        ]
        assert {decision.rule for decision in decisions} == {rule.id for rule in rulebook.pack.stages}
        due = {name for decision in decisions for name in (*ids(decision.tasks), *ids(decision.actions))}
        assert due == {rule.id for rule in (*rulebook.pack.tasks, *rulebook.pack.cadences, *rulebook.pack.actions)}
