"""Conditions as they are written: what each form means, and what it says when it is wrong."""

from collections.abc import Sequence
from typing import Any

import pytest

from connector.moments import DAY
from connector.problems import Problem
from connector.rulebook.checking import load_pack_text
from connector.rulebook.columns import Properties
from connector.rulebook.judging import Known
from connector.rulebook.pack import Pack
from tests.rulebooks import NOW, Person, person, plain, rulebook_of

HEAD = """version: 1
pack: example
ladder: [contact, lead, prospect]
settings: {enough: 5, long: 30 days, some: [a, b]}
facts:
  fits: {sk_fits: {is: yes}}
  lifecyclestage: {contact.lifecyclestage: {is: customer}}
"""
TAIL = """stages:
  - {id: everyone, stage: contact, because: So it is.}
"""
NOTHING_READ = Person(properties={}, company=None, deals=None)


def fact(condition: str, subject: Person, known: Known | None = None) -> str:
    """Answer a condition, as a fact."""
    rulebook = rulebook_of(f"{HEAD}  asked: {condition}\n{TAIL}")
    return rulebook.judge(subject, known or Known(), NOW)[0].facts["asked"]


def problems(condition: str) -> Sequence[Problem]:
    """Give what is wrong with a condition."""
    found = load_pack_text(f"{HEAD}  asked: {condition}\n{TAIL}")[1]
    return [problem for problem in found if problem.severity == "error"]


@pytest.mark.parametrize(
    ("condition", "properties", "answer"),
    [
        ("fits", "sk_fits yes", "yes"), ("fits", "sk_fits no", "no"), ("fits", "", "unknown"),
        ("{not: fits}", "sk_fits no", "yes"), ("{not: fits}", "", "unknown"),
        ("{not: {not: fits}}", "sk_fits yes", "yes"),
        ("{all: [fits, {x: {is: 1}}]}", "sk_fits no", "no"), ("{all: [fits, {x: {is: 1}}]}", "sk_fits yes", "unknown"),
        ("{any: [fits, {x: {is: 1}}]}", "sk_fits yes", "yes"), ("{any: [fits, {x: {is: 1}}]}", "sk_fits no", "unknown"),
        ("{x: {at_least: 1, at_most: 5}}", "x 3", "yes"), ("{x: {at_least: 1, at_most: 5}}", "x 6", "no"),
        ("{x: {is: 1}, y: {is: 2}}", "x 1, y 2", "yes"), ("{x: {is: 1}, y: {is: 2}}", "x 1, y 3", "no"),
        ("{x: {is: 1}, y: {is: 2}}", "x 1", "unknown"), ("{any: [fits], x: {is: 1}}", "sk_fits yes, x 2", "no"),
        ("{x: {known: true, is: yes}}", "", "no"), ("{x: {known: false}}", "", "yes"),
        ("{contact.x: {is: 1}}", "x 1", "yes"), ("{x: {in: $some}}", "x B", "yes"),
        ("{x: {at_least: $enough}}", "x 5", "yes"),
    ],
)  # fmt: skip
def test_a_condition_joins_its_parts_by_kleenes_logic(condition: str, properties: str, answer: str) -> None:
    assert fact(condition, person(**plain(properties))) == answer


@pytest.mark.parametrize(
    ("condition", "no", "unknown", "yes"),
    [
        ("{fits: {known: true}}", "yes", "no", "yes"), ("{fits: {known: false}}", "no", "yes", "no"),
        ("{fits: {is: yes}}", "no", "unknown", "yes"), ("{fits: {is: no}}", "yes", "unknown", "no"),
        ("{fits: {is_not: yes}}", "yes", "unknown", "no"), ("{fits: {in: [yes, no]}}", "yes", "unknown", "yes"),
        ("{fits: {known: true, is: no}}", "yes", "no", "no"), ("{not: {fits: {known: true}}}", "no", "yes", "no"),
        ("{any: [{not: fits}, {fits: {known: false}}]}", "yes", "yes", "no"),
    ],
)  # fmt: skip
def test_a_fact_is_tested_like_a_property(condition: str, no: str, unknown: str, yes: str) -> None:
    people = [person(sk_fits="no"), person(), person(sk_fits="yes")]
    assert [fact(condition, each) for each in people] == [no, unknown, yes]


@pytest.mark.parametrize(
    "operand", ["{is: unknown}", "{is: true}", "{is: maybe}", "{within_last: 30 days}", "{at_least: 5}"]
)
def test_a_test_that_no_fact_can_pass_is_an_error(operand: str) -> None:
    assert [problem.code for problem in problems(f"{{fits: {operand}}}")] == ["wrong-operand"]


def test_a_fact_hides_the_property_of_its_name_and_the_prefix_contact_shows_it() -> None:
    customer = person(lifecyclestage="customer")
    assert fact("lifecyclestage", customer) == "yes"
    assert fact("{lifecyclestage: {is: yes}}", customer) == "yes"
    assert fact("{contact.lifecyclestage: {is: customer}}", customer) == "yes"
    assert fact("{lifecyclestage: {known: true}}", person()) == "no"


@pytest.mark.parametrize("name", ["company.fits", "contact.fits", "deal.amount"])
def test_a_fact_that_would_hide_a_property_is_refused(name: str) -> None:
    _, problems = load_pack_text(f'{HEAD}  "{name}": {{sk_fits: {{is: yes}}}}\n{TAIL}')
    assert [problem.code for problem in problems if problem.severity == "error"] == ["reserved-name"]


def test_a_company_that_there_is_not_leaves_its_properties_unknown() -> None:
    assert fact("{company.type: {is: VENDOR}}", person()) == "unknown"
    assert fact("{company.type: {is: VENDOR}}", person(company={"type": "vendor"})) == "yes"


OPEN = "{dealstage: {not_in: [closedwon, closedlost]}}"


@pytest.mark.parametrize(
    ("deals", "any_deal"),
    [
        ([], "no"), ([{"dealstage": "closedwon"}], "no"), ([{"dealstage": "contractsent"}], "yes"),
        ([{"dealstage": "closedwon"}, {"dealstage": "contractsent"}], "yes"), ([{}], "unknown"),
        ([{"dealstage": "closedlost"}, {"dealstage": None}], "unknown"),
        ([{"dealstage": ""}, {"dealstage": "new"}], "yes"),
    ],
)  # fmt: skip
def test_no_deal_is_the_negation_of_any_deal(deals: list[Properties], any_deal: str) -> None:
    negated = {"yes": "no", "no": "yes", "unknown": "unknown"}
    assert fact(f"{{any_deal: {OPEN}}}", person(deals=deals)) == any_deal
    assert fact(f"{{no_deal: {OPEN}}}", person(deals=deals)) == negated[any_deal]


def test_one_and_the_same_deal_must_meet_all_parts_of_a_condition_on_deals() -> None:
    condition = "{any_deal: {dealstage: {is: won}, amount: {at_least: 100}}}"
    apart = [{"dealstage": "won", "amount": "5"}, {"dealstage": "open", "amount": "500"}]
    together = [{"dealstage": "won", "amount": "500"}]
    assert [fact(condition, person(deals=deals)) for deals in (apart, together)] == ["no", "yes"]


@pytest.mark.parametrize(
    "inner", ["{all: [{a: {is: 1}}, {b: {is: 2}}]}", "{not: {any: [{a: {is_not: 1}}, {b: {is_not: 2}}]}}"]
)
def test_conditions_on_deals_know_all_any_and_not(inner: str) -> None:
    assert fact(f"{{any_deal: {inner}}}", person(deals=[{"a": "1", "b": "2"}])) == "yes"
    assert fact(f"{{any_deal: {inner}}}", person(deals=[{"a": "1"}])) == "unknown"


def test_what_was_not_read_is_unknown_and_says_so() -> None:
    rulebook = rulebook_of(f"{HEAD}  asked: {{any: [{{company.type: {{is: x}}}}, {{any_deal: {OPEN}}}]}}\n{TAIL}")
    judgement, _ = rulebook.judge(NOTHING_READ, Known(), NOW)
    assert (judgement.facts["asked"], judgement.undetermined) == ("unknown", False)
    assert [finding.source for finding in rulebook.findings(NOTHING_READ, NOW)][-2:] == [
        "company (not read)",
        "deals (not read)",
    ]


@pytest.mark.parametrize(
    ("condition", "known", "answer"),
    [
        ("{stage: lead}", Known("lead"), "no"), ("{stage: contact}", Known("lead"), "yes"),
        ("{stage: [lead, contact]}", Known(), "yes"), ("{stage: null}", Known(), "no"),
        ("{status: null}", Known(), "yes"),
        ("{status: [hot, null]}", Known(status="hot"), "yes"), ("{status: hot}", Known(status="hot"), "no"),
        ("{entered: contact}", Known("lead"), "yes"), ("{entered: contact}", Known("contact"), "no"),
        ("{entered: contact}", Known(), "yes"), ("{entered: lead}", Known("contact"), "no"),
        ("{entered: [contact, lead]}", Known(), "yes"),
        ("{stage_for_at_least: $long}", Known("contact", None, NOW - 30 * DAY), "yes"),
        ("{stage_for_at_least: 30 days}", Known("contact", None, NOW - 30 * DAY + 1), "no"),
        ("{stage_for_at_least: 30 days}", Known("lead", None, NOW - 90 * DAY), "no"),
        ("{stage_for_at_least: 30 days}", Known("contact", None, None), "unknown"),
    ],
)  # fmt: skip
def test_a_condition_may_ask_what_is_decided(condition: str, known: Known, answer: str) -> None:
    assert fact(condition, person(), known) == answer


@pytest.mark.parametrize(
    ("condition", "code", "cure"),
    [
        ("fitz", "unknown-fact", "did you mean 'fits'?"), ("{fits: yes}", "wrong-condition", "write `fits: {is: …}`"),
        ("[]", "wrong-condition", ""), ("null", "wrong-condition", ""), ("{}", "wrong-condition", ""),
        ("5", "wrong-condition", ""),
        ("{all: []}", "wrong-condition", ""), ("{any: fits}", "wrong-condition", ""),
        ("{not: []}", "wrong-condition", ""),
        ("{x: {}}", "wrong-condition", ""), ("{x: [1]}", "wrong-condition", ""), ("{x: null}", "wrong-condition", ""),
        ("{x: {equals: 1}}", "unknown-operator", ""),
        ("{x: {with_in_last: 3 days}}", "unknown-operator", "'within_last'"),
        ("{x: {is: [a]}}", "wrong-operand", "use `in`"), ("{x: {in: a}}", "wrong-operand", "[a, b]"),
        ("{x: {is: $enogh}}", "unknown-setting", "did you mean 'enough'?"),
        ("{x: {within_last: $enough}}", "unreadable-duration", ""),
        ("{x: {matches: '['}}", "bad-pattern", "RE2"), ("{deal.x: {is: 1}}", "unknown-object", "any_deal"),
        ("{owner.x: {is: 1}}", "unknown-object", "company."), ("{company.: {is: 1}}", "unknown-object", ""),
        ("{Job title: {is: x}}", "wrong-property", "internal name"), ("{<<: {is: x}}", "wrong-property", ""),
        ("{any_deal: fits}", "wrong-condition", "operator"),
        ("{any_deal: {no_deal: {a: {is: 1}}}}", "wrong-condition", ""),
        ("{any_deal: {contact.a: {is: 1}}}", "unknown-object", ""),
        ("{any_deal: {company.a: {is: 1}}}", "unknown-object", ""),
        ("{stage: leed}", "unknown-stage", "did you mean 'lead'?"), ("{entered: nobody}", "unknown-stage", ""),
        ("{stage: [lead, leed]}", "unknown-stage", ""), ("{stage: {is: lead}}", "wrong-operand", ""),
        ("{stage: []}", "wrong-operand", ""),
        ("{status: colt}", "unknown-status", "did you mean 'cold'?"), ("{status: 5}", "wrong-operand", ""),
        ("{stage_for_at_least: 30}", "unreadable-duration", "30 days"),
        ("{stage_for_at_least: $nope}", "unknown-setting", ""),
    ],
)  # fmt: skip
def test_a_wrong_condition_says_what_to_do(condition: str, code: str, cure: str) -> None:
    found = problems(condition)
    assert [problem.code for problem in found] == [code]
    assert cure in str(found[0])
    assert found[0].place.line == 8


def test_every_fault_of_one_condition_is_reported() -> None:
    found = problems("{all: [fitz, {x: {iz: 1, at_least: many}}, {not: {stage: leed}}, {any_deal: {a.b: {is: 1}}}]}")
    assert [problem.code for problem in found] == [
        "unknown-fact", "unknown-operator", "wrong-operand", "unknown-stage", "unknown-object",
    ]  # fmt: skip


def test_two_conditions_that_read_alike_and_are_not_are_kept_apart() -> None:
    """`in: ["a, b"]` and `in: [a, b]` are shown by the same words."""
    text = f"""{HEAD}  one: {{x: {{in: ["a, b"]}}}}
  other: {{x: {{in: [a, b]}}}}
stages:
  - {{id: one, stage: lead, when: {{all: [fits, {{x: {{in: ["a, b"]}}}}]}}, because: b}}
  - {{id: other, stage: prospect, when: {{all: [fits, {{x: {{in: [a, b]}}}}]}}, because: b}}
"""
    rulebook = rulebook_of(text)
    judgements = [rulebook.judge(person(sk_fits="yes", x=x), Known(), NOW)[0] for x in ("a, b", "b")]
    assert [(each.stage, each.facts["one"], each.facts["other"]) for each in judgements] == [
        ("lead", "yes", "no"), ("prospect", "no", "yes"),
    ]  # fmt: skip


def test_a_pack_names_all_that_it_reads() -> None:
    text = f"""{HEAD}  asked:
    all: [{{company.type: {{is: x}}}}, {{any_deal: {{amount: {{at_least: 1}}}}}}, {{y: {{after: now}}}}]
{TAIL}tasks:
  - {{id: t, when: asked, title: "{{{{ contact.firstname }}}} of {{{{ company.name }}}}"}}
"""
    pack: Pack = rulebook_of(text).pack
    seen: dict[str, Any] = {of: pack.properties(of) for of in ("contact", "company", "deal")}
    assert seen == {"contact": {"sk_fits", "lifecyclestage", "y"}, "company": {"type"}, "deal": {"amount"}}
    assert (pack.properties_in_texts("contact"), pack.properties_in_texts("company")) == ({"firstname"}, {"name"})
    assert (pack.reads_deals, pack.depends_on_time) == (True, True)
