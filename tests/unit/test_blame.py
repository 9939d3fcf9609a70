"""The blame: just those conditions that keep a rule from applying, down to the tests."""

import random

import pytest
from hypothesis import given

from connector.decision import Memory
from connector.rulebook.blame import Blame
from connector.rulebook.conditions import DealsTest, PropertyTest
from connector.rulebook.courses import NO, UNKNOWN, YES
from connector.rulebook.judging import NOTHING_KNOWN, Rulebook
from tests.rulebooks import NOW, SEEDS, person, proof, rulebook_of, shipped, some_contact, some_memory

HEAD = "version: 1\npack: p\nladder: [contact, lead]\n"


def blamed(rulebook: Rulebook, **properties: str) -> list[str]:
    subject = person(**properties)
    answers = rulebook.answered(rulebook.read(subject), NOW)
    return [leaf.text for leaf in Blame(rulebook.pack, answers, NOTHING_KNOWN, NOW).of(rulebook.pack.stages[0].when)]


@pytest.mark.parametrize(
    ("when", "properties", "expected"),
    [
        ("{x: {is: a}}", {"x": "b"}, ["x is a"]),
        ("{x: {is: a}}", {"x": "a"}, []),
        ("{all: [{x: {is: a}}, {y: {is: b}}]}", {"x": "a"}, ["y is b"]),
        ("{any: [{x: {is: a}}, {y: {is: b}}]}", {"y": "c"}, ["x is a", "y is b"]),
        ("{not: {any: [{x: {is: a}}, {y: {is: b}}]}}", {"x": "a", "y": "c"}, ["x is a"]),
        ("{not: {all: [{x: {is: a}}, {y: {is: b}}]}}", {"x": "a", "y": "b"}, ["x is a", "y is b"]),
        ("{all: [good, {not: bad}]}", {"x": "a", "z": "c"}, ["z is c"]),
        ("{good: {known: false}}", {"x": "a"}, ["good not known"]),
        ("{all: [{stage: lead}, {x: {is: a}}]}", {"x": "a"}, ["stage lead"]),
    ],
)
def test_it_names_what_would_have_to_be_otherwise(when: str, properties: dict[str, str], expected: list[str]) -> None:
    facts = "facts: {good: {x: {is: a}}, bad: {z: {is: c}}}\n"
    rules = f"stages: [{{id: r, stage: lead, because: b, when: {when}}}, {{id: rest, stage: contact, because: b}}]\n"
    assert blamed(rulebook_of(HEAD + facts + rules), **properties) == expected


@pytest.mark.parametrize("name", sorted(shipped()))
@given(seed=SEEDS)
@proof(60)
def test_turning_all_that_is_blamed_makes_a_rule_apply_and_turning_none_does_not(name: str, seed: int) -> None:
    rulebook = shipped()[name]
    memory: Memory = some_memory(seed, rulebook.pack)
    answers = rulebook.answered(rulebook.read(some_contact(seed)), NOW)
    rule = random.Random(seed).choice(rulebook.pack.stages)
    blame = Blame(rulebook.pack, answers, memory.known, NOW).of(rule.when)
    if not blame or not all(isinstance(leaf, PropertyTest | DealsTest) for leaf in blame):
        return
    # What is to blame is not yes where yes is wanted; each may stand for either, so all turns are tried.
    for wanted in ((YES, NO), (NO, YES)):
        turned = dict(answers)
        for leaf in blame:
            turned[leaf] = wanted[0] if answers[leaf] in (NO, UNKNOWN) else wanted[1]  # type: ignore[index]
        if not Blame(rulebook.pack, turned, memory.known, NOW).of(rule.when):
            return
    mixed = {leaf: answers[leaf] for leaf in blame}  # type: ignore[index]
    assert UNKNOWN in mixed.values(), "known answers are turned one way only"
