"""Facts: named conditions in Kleene's logic, and rules brought down to plain conjunctions of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector.problems import Place
from connector.rulebook.conditions import All, AnyOf, Condition, FactTest, Not, PropertyTest, StageFor, StateTest
from connector.rulebook.courses import NO, UNKNOWN, UNREAD, YES, all_of, any_of, negated
from connector.rulebook.facts import FactBook, View
from connector.rulebook.judging import Known
from connector.rulebook.operators import make_test
from tests.rulebooks import NOW, Person, person, proof, rulebook_of

HERE = Place(file="pack.yaml")
NAMES = ("a", "b", "c", "d")
PROPERTIES = tuple(
    PropertyTest("contact", name, make_test("is", "yes", {}), HERE, f"{name} is yes") for name in ("p", "q", "r")
)
STAY = StageFor(5, HERE, "in the stage for at least 5")
STATES = (
    StateTest("stage", ("lead",), HERE, "stage lead"), StateTest("stage", (None,), HERE, "stage none"),
    StateTest("status", ("hot", None), HERE, "status hot or none"),
    StateTest("entered", ("lead",), HERE, "entered lead"),
)  # fmt: skip


def fact(name: str, answers: tuple[int, int, int] = (NO, UNKNOWN, YES)) -> FactTest:
    """Test a fact's answer."""
    return FactTest(name, answers, HERE, name)


_SHAPES = st.sampled_from([(NO, UNKNOWN, YES), (YES, UNKNOWN, NO), (YES, NO, YES), (NO, YES, NO), (YES, UNKNOWN, YES)])
_LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(fact, st.sampled_from(NAMES), _SHAPES),
    st.sampled_from(PROPERTIES),
    st.sampled_from(STATES),
    st.just(STAY),
)
_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=4).map(lambda parts: AnyOf(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=24,
)
_ANSWERS = st.sampled_from([NO, UNREAD, UNKNOWN, YES])
_VIEWS = st.builds(
    lambda answers, stay, stage, status, entered: View(
        answers=bytes(answers), stage_for=bytes([stay]), stage=stage, status=status, entered=entered
    ),
    st.lists(_ANSWERS, min_size=7, max_size=7), st.sampled_from([NO, UNKNOWN, YES]),
    st.sampled_from(["lead", None, "contact"]),
    st.sampled_from(["hot", None, "cold"]), st.booleans(),
)  # fmt: skip


def plainly(condition: Condition, view: View, facts: dict[str, int]) -> int:
    """Evaluate a condition by walking it, with no compiling and no names."""
    match condition:
        case All():
            return all_of([plainly(part, view, facts) for part in condition.parts])
        case AnyOf():
            return any_of([plainly(part, view, facts) for part in condition.parts])
        case Not():
            return negated(plainly(condition.part, view, facts))
        case FactTest():
            no, unknown, yes = condition.answers
            return {NO: no, UNREAD: UNREAD, UNKNOWN: unknown, YES: yes}[facts[condition.fact]]
        case StageFor():
            return view.stage_for[0]
        case StateTest():
            value = view.status if condition.kind == "status" else view.stage
            return YES if value in condition.names and (condition.kind != "entered" or view.entered) else NO
        case PropertyTest():
            return view.answers[4 + PROPERTIES.index(condition)]
    raise AssertionError(condition)


def book() -> FactBook:
    """Make a book whose facts a to d are the answers to four tests of their own."""
    own = {name: PropertyTest("contact", f"own_{name}", make_test("is", "yes", {}), HERE, name) for name in NAMES}
    tests: dict[Any, int] = {test: place for place, test in enumerate((*own.values(), *PROPERTIES))}
    return FactBook(own, tests=tests, stage_for={STAY: 0})


@given(st.lists(_CONDITIONS, min_size=1, max_size=6), _VIEWS)
@proof(1200)
def test_a_rule_applies_exactly_when_all_its_literals_have_their_answers(
    conditions: list[Condition], view: View
) -> None:
    facts = book()
    literals = [facts.literals(condition) for condition in conditions]
    answers = facts.answers(view)
    for condition, wanted in zip(conditions, literals, strict=True):
        applies = all(answers[name] == answer for name, answer in wanted)
        assert applies is (plainly(condition, view, answers) == YES)
        assert len(wanted) <= 16


@given(_CONDITIONS, _VIEWS)
@proof(600)
def test_a_rule_that_unread_values_may_still_change_never_applies_and_never_seems_settled(
    condition: Condition, view: View
) -> None:
    """Were anything unread read, whatever it said, a settled answer would stand."""
    facts = book()
    wanted = facts.literals(condition)
    answers = facts.answers(view)
    applies = all(answers[name] == answer for name, answer in wanted)
    open_ = not applies and all(answers[name] in (UNREAD, answer) for name, answer in wanted)
    for reading in (NO, UNKNOWN, YES):
        read = bytes(reading if answer == UNREAD else answer for answer in view.answers)
        later = View(answers=read, stage_for=view.stage_for, stage=view.stage, status=view.status, entered=view.entered)
        then = facts.answers(later)
        if all(then[name] == answer for name, answer in wanted) != applies:
            assert open_


def test_a_conjunction_of_facts_becomes_their_names_and_answers() -> None:
    facts = book()
    assert facts.literals(All((fact("a"), Not(fact("b"))))) == (("a", YES), ("b", NO))
    assert facts.literals(fact("c", (NO, YES, NO))) == (("c", UNKNOWN),)
    assert facts.literals(Not(fact("c", (YES, NO, YES)))) == (("c", UNKNOWN),)
    assert facts.literals(All(())) == ()


def test_a_part_that_is_no_fact_gets_one_of_its_own_and_the_same_part_the_same() -> None:
    facts = book()
    either = AnyOf((fact("a"), fact("b")))
    first, second = facts.literals(All((fact("c"), either))), facts.literals(either)
    assert first == (("c", YES), second[0])
    assert second[0][0].startswith("(")


def test_a_conjunction_of_more_than_sixteen_parts_becomes_one_fact() -> None:
    facts = book()
    assert len(facts.literals(All(tuple(fact("a") for _ in range(16))))) == 1  # sixteen times the same
    assert facts.literals(All(tuple(fact("a") for _ in range(17))))[0][0].startswith("(")


PACK = """version: 1
pack: example
ladder: [contact, lead, prospect]
facts:
  last: {all: [third, {not: second}]}
  third: {any: [second, {z: {is: yes}}]}
  second: first
  first: {y: {is: yes}}
  vendor: {company.type: {is: VENDOR}}
stages:
  - {id: vendor, stage: contact, when: vendor, because: b}
  - {id: last, stage: prospect, when: last, because: b}
  - {id: everyone, stage: lead, because: b}
"""


def test_facts_may_stand_in_any_order_and_build_on_each_other() -> None:
    rulebook = rulebook_of(PACK)
    facts = rulebook.judge(person(y="no", z="yes"), Known(), NOW)[0].facts
    assert facts == {"first": "no", "second": "no", "third": "yes", "last": "yes", "vendor": "unknown"}


def test_unread_never_decides() -> None:
    rulebook = rulebook_of(PACK)
    unread = Person(properties={"y": "no", "z": "yes"}, company=None, deals=None)
    judgement = rulebook.judge(unread, Known(), NOW)[0]
    assert (judgement.stage, judgement.undetermined) == ("prospect", True)
    read = Person(properties=unread.properties, company={"type": "PROSPECT"}, deals=None)
    assert rulebook.judge(read, Known(), NOW)[0].undetermined is False


def test_a_rule_that_won_before_what_is_unread_is_settled() -> None:
    rulebook = rulebook_of(PACK.replace("  - {id: vendor, stage: contact, when: vendor, because: b}\n", "")
                           + "  - {id: late, stage: contact, when: vendor, because: b}\n")  # fmt: skip
    judgement = rulebook.judge(Person(properties={}, company=None, deals=None), Known(), NOW)[0]
    assert (judgement.stage, judgement.undetermined) == ("lead", False)


def test_a_chain_of_a_thousand_facts_is_answered() -> None:
    links = "\n".join(f"  f{number}: f{number + 1}" for number in range(1_000))
    stages = "stages:\n  - {id: s, stage: a, when: f0, because: b}\n"
    text = f"version: 1\npack: p\nladder: [a]\nfacts:\n{links}\n  f1000: {{x: {{is: yes}}}}\n{stages}"
    assert rulebook_of(text).judge(person(x="yes"), Known(), NOW)[0].stage == "a"
