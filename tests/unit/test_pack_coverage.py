"""The cases of the shipped packs reach every rule and every answer; and what coverage means, on a small pack."""

from pathlib import Path

import pytest

from connector.decision import see_case
from connector.problems import Place, Problem
from connector.rulebook.cases import load_cases
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.coverage import AnswerReach, Coverage, RuleReach, cover
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.rulebook.shipped import shipped_packs

SMALL = """version: 1
pack: small
ladder: [lead, prospect]
facts:
  fits: {sk_target_market: {is: yes}}
stages:
  - {id: open-deal, stage: prospect, when: {any_deal: {dealstage: {is: won}}}, because: They have a deal.}
  - {id: fits, stage: lead, when: fits, because: They fit.}
  - {id: nobody, stage: null, because: Nothing is known.}
tasks:
  - {id: call, when: {entered: lead}, title: Call them}
"""
CASES = """pack: small.yaml
cases:
  - {name: fits, contact: {sk_target_market: "yes"}, expect: {stage: lead}}
  - {name: stays, contact: {sk_target_market: "yes"}, before: {stage: lead}, expect: {stage: lead}}
  - {name: has a deal, deals: [{dealstage: won}, {dealstage: lost}], expect: {stage: prospect}}
"""


def _covered(pack: Pack, cases: Path) -> Coverage:
    rulebook = Rulebook(pack)
    file, problems = load_cases(cases)
    assert problems == []
    assert file is not None
    return cover(rulebook, ((case, see_case(rulebook, case, case.now or 0)) for case in file.cases))


@pytest.fixture
def small(tmp_path: Path) -> Coverage:
    cases = tmp_path / "small_test.yaml"
    cases.write_text(CASES, encoding="utf-8")
    pack, problems = load_pack_text(SMALL, file="small.yaml")
    assert problems == []
    assert pack is not None
    return _covered(pack, cases)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_cases_of_a_shipped_pack_reach_every_rule_and_every_answer(name: str) -> None:
    path = shipped_packs()[name]
    pack, _ = load_pack(path)
    assert pack is not None
    covered = _covered(pack, path.with_name(f"{name}_test.yaml"))
    assert covered.gaps() == []
    assert len(covered.rules) == len(list(pack.rules()))
    assert {reach.text for reach in covered.facts} == set(pack.facts)


def test_a_rule_counts_where_it_has_won_or_its_consequence_is_due(small: Coverage) -> None:
    place = "small.yaml"
    assert small.rules == (
        RuleReach(section="stages", id="open-deal", place=Place(file=place, line=7, column=5), cases=1),
        RuleReach(section="stages", id="fits", place=Place(file=place, line=8, column=5), cases=2),
        RuleReach(section="stages", id="nobody", place=Place(file=place, line=9, column=5), cases=0),
        RuleReach(section="tasks", id="call", place=Place(file=place, line=11, column=5), cases=1),
    )


def test_a_condition_shows_the_answers_that_it_gave_and_those_that_it_can_give(small: Coverage) -> None:
    seen = {(reach.of, reach.text): (reach.wanted, reach.seen) for reach in small.conditions}
    three, two = frozenset({"yes", "no", "unknown"}), frozenset({"yes", "no"})
    assert seen == {
        ("contact", "sk_target_market is yes"): (three, frozenset({"yes", "unknown"})),
        ("contact", "any deal with dealstage is won"): (three, two),
        ("deal", "dealstage is won"): (three, two),
        ("decision", "entered lead"): (two, two),
    }


def test_a_fact_shows_its_answers_and_need_not_have_been_unknown(small: Coverage) -> None:
    place = Place(file="small.yaml", line=5, column=29)
    assert small.facts == (
        AnswerReach(
            of="fact", text="fits", place=place, wanted=frozenset({"yes", "no"}), seen=frozenset({"yes", "unknown"})
        ),
    )


def test_what_no_case_reaches_is_a_warning_at_its_place(small: Coverage) -> None:
    gaps = [(problem.place.line, problem.code, problem.found) for problem in small.gaps()]
    assert gaps == [
        (5, "untested-answer", "in no case has 'fits' been no"),
        (5, "untested-answer", "in no case has 'sk_target_market is yes' been no"),
        (7, "untested-answer", "in no case has 'any deal with dealstage is won' been unknown"),
        (7, "untested-answer", "in no case has 'dealstage is won' been unknown"),
        (9, "untested-rule", "no case reaches 'nobody' of `stages`"),
    ]
    assert {problem.severity for problem in small.gaps()} == {"warning"}


def test_values_of_a_closed_contact_do_not_count(tmp_path: Path) -> None:
    text = """version: 1
pack: closed
ladder: [lead]
stages: [{id: all, stage: lead, because: Everybody.}]
statuses: [{id: closed, status: closed, because: They asked for it.}]
values: [{id: drip, set: {sk_drip: "true"}}]
"""
    cases = tmp_path / "closed_test.yaml"
    cases.write_text("pack: closed.yaml\ncases: [{name: anybody, expect: {status: closed}}]\n", encoding="utf-8")
    pack, problems = load_pack_text(text, file="closed.yaml")
    assert problems == []
    assert pack is not None
    assert _covered(pack, cases).gaps() == [
        Problem(
            place=Place(file="closed.yaml", line=6, column=10),
            code="untested-rule",
            found="no case reaches 'drip' of `values`",
            cure="add a case that expects it",
            severity="warning",
        )
    ]
