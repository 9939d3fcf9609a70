"""Why not another stage: the smallest changes that lead there, checked against trying them all."""

from itertools import combinations, product

import pytest
from hypothesis import given

from connector.proving.reaching import Reach, Route
from connector.rulebook.columns import Subject
from connector.rulebook.judging import NOTHING_KNOWN, Known, Rulebook
from connector.whynot import sentence, why_not
from tests.rulebooks import NOW, SEEDS, Person, person, proof, rulebook_of, shipped, some_contact

SMALL = """
version: 1
pack: small
ladder: [contact, lead, prospect]
facts:
  qualified: {all: [{sk_budget: {is: yes}}, {sk_authority: {is: yes}}, {sk_unanswered: {at_most: 4}}]}
  soon: {sk_ready_by: {within_next: 30 days}}
stages:
  - {id: customer, stage: contact, because: They bought., when: {sk_relationship: {is: customer}}}
  - {id: ready, stage: prospect, because: Ready., when: {all: [qualified, soon]}}
  - {id: dealing, stage: prospect, because: A deal., when: {any_deal: {dealstage: {is: contractsent}}}}
  - {id: asked, stage: lead, because: They asked., when: {any: [{sk_source: {is: inbound}}, {sk_need: {is: definite}}]}}
  - {id: rest, stage: contact, because: Nothing yet.}
"""
VALUES = {
    "sk_budget": ("yes", "no"), "sk_authority": ("yes", "no"), "sk_unanswered": ("4", "5"),
    "sk_ready_by": ("2026-03-20", "2027-03-20"), "sk_relationship": ("customer", "other"),
    "sk_source": ("inbound", "event"), "sk_need": ("definite", "none"),
}  # fmt: skip


def routes(rulebook: Rulebook, subject: Subject, stage: str, known: Known = NOTHING_KNOWN) -> list[Route]:
    return Reach(rulebook).routes(subject, known, NOW, stage=stage)


def changed(route: Route) -> list[tuple[str, str]]:
    return [(step.property, step.then) for step in route.steps]


def test_it_names_every_smallest_way() -> None:
    found = routes(rulebook_of(SMALL), person(sk_budget="yes"), "prospect")
    assert [(route.rule, [step.property for step in route.steps]) for route in found] == [
        ("dealing", ["dealstage"]),
        ("ready", ["sk_authority", "sk_ready_by", "sk_unanswered"]),
    ]


def test_what_is_not_known_comes_before_what_would_have_to_change() -> None:
    found = routes(rulebook_of(SMALL), person(sk_source="event"), "lead")
    assert [changed(route) for route in found] == [[("sk_need", "definite")], [("sk_source", "inbound")]]


def test_a_rule_above_that_wins_has_to_be_undone_too() -> None:
    found = routes(rulebook_of(SMALL), person(sk_relationship="customer", sk_source="inbound"), "lead")
    assert [step.property for step in found[0].steps] == ["sk_relationship"]
    assert found[0].steps[0].then != "customer"


def test_a_stage_that_only_another_stage_leads_to_has_no_way() -> None:
    text = SMALL.replace("when: {all: [qualified, soon]}", "when: {stage: lead}").replace("contractsent", "nothing")
    text = text.replace("  - {id: dealing", "  - {id: never")
    rulebook = rulebook_of(text.replace("any_deal: {dealstage: {is: nothing}}", "all: [{stage: lead}, qualified]"))
    answer = why_not(rulebook, person(), NOTHING_KNOWN, NOW, stage="prospect")
    assert answer.routes == ()
    assert "ask for another stage" in answer.say()[0]
    assert routes(rulebook, person(sk_need="definite"), "contact", Known("lead", None, NOW)) != []


def test_who_is_there_already_is_told_so() -> None:
    answer = why_not(rulebook_of(SMALL), person(), NOTHING_KNOWN, NOW, stage="contact")
    assert answer.as_data()["say"] == ["The rules decide contact already."]


def test_sentences_speak_as_people_do() -> None:
    (first, *_) = routes(rulebook_of(SMALL), person(sk_source="event"), "lead")
    assert sentence(first.steps[0]) == "find out Need (sk_need), which is not known: it would have to be 'Definite'"
    (_, ready) = routes(rulebook_of(SMALL), person(sk_budget="no"), "prospect")
    said = {step.property: sentence(step) for step in ready.steps}
    assert said["sk_budget"] == "Budget (sk_budget) would have to be 'Yes' instead of 'No'"
    assert "“within next 30 days”" in said["sk_ready_by"]


@given(seed=SEEDS)
@proof(60)
def test_no_smaller_way_exists_than_those_found(seed: int) -> None:
    rulebook = rulebook_of(SMALL)
    drawn = some_contact(seed)
    subject = Person(properties={name: drawn.properties.get(name) for name in VALUES})
    for stage in rulebook.pack.ladder:
        if rulebook.judge(subject, NOTHING_KNOWN, NOW)[0].stage == stage:
            continue
        found = [len(route.steps) for route in routes(rulebook, subject, stage)]
        assert found == sorted(found)
        assert (min(found) if found else 99) <= smallest_by_trying(rulebook, subject, stage)


def smallest_by_trying(rulebook: Rulebook, subject: Person, stage: str) -> int:
    for size in (1, 2, 3):
        for names in combinations(VALUES, size):
            for values in product(*(VALUES[name] for name in names)):
                tried = Person(properties={**subject.properties, **dict(zip(names, values, strict=True))})
                if rulebook.judge(tried, NOTHING_KNOWN, NOW)[0].stage == stage:
                    return size
    return 99


@pytest.mark.parametrize("name", sorted(shipped()))
@given(seed=SEEDS)
@proof(15)
def test_every_way_leads_where_it_says_and_no_part_of_it_does(name: str, seed: int) -> None:
    rulebook = shipped()[name]
    subject = some_contact(seed)
    here = rulebook.judge(subject, NOTHING_KNOWN, NOW)[0].stage
    for stage in set(rulebook.pack.ladder) - {here}:
        for route in routes(rulebook, subject, stage):
            if any(step.object not in ("contact", "company") for step in route.steps):
                continue
            steps = list(route.steps)
            assert rulebook.judge(with_steps(subject, steps), NOTHING_KNOWN, NOW)[0].stage == stage
            for left_out in steps:
                less = [step for step in steps if step is not left_out]
                judged = rulebook.judge(with_steps(subject, less), NOTHING_KNOWN, NOW)[0]
                assert judged.stage != stage, (left_out, route)


def with_steps(subject: Person, steps: list) -> Person:  # type: ignore[type-arg]
    of_contact = {step.property: step.then for step in steps if step.object == "contact"}
    of_company = {step.property: step.then for step in steps if step.object == "company"}
    return Person(
        properties={**subject.properties, **of_contact}, company={**(subject.company or {}), **of_company},
        deals=subject.deals,
    )  # fmt: skip
