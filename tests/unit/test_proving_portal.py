"""What `check --portal` compares: the pack and the configuration against what HubSpot says the portal holds."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector import cli
from connector.problems import Place, Problem
from connector.proving.portal import PortalFacts, configured_problems, portal_problems, read_portal
from connector.proving.prover import prove
from connector.rulebook.checking import check_pack
from connector.rulebook.pack import Pack
from connector.rulebook.reading import Document, read_bytes
from tests.practice import practice
from tests.problem_codes import OF_A_PORTAL

PACK = """version: 1
pack: p
ladder: [contact, lead]
stages:
  - {id: large, stage: lead, when: {company.size_of_it: {at_least: 50}}, because: b}
  - {id: asked, stage: lead, when: {sk_source: {is: letter}}, because: b}
  - {id: long, stage: lead, when: {score: {within_last: 3 days}}, because: b}
  - {id: rest, stage: contact, because: b}
values:
  - {when: {sk_need: {known: true}}, set: {sk_drip: maybe, score: many, createdate: "2026-03-02", nothing: x}}
tasks:
  - {id: call, when: {stage: lead}, title: "Call {{ contact.nickname }}", owner: nobody@example.com}
cadences:
  - id: again
    while: {stage: lead}
    every: 3 days
    starts_anew_on: [sk_source, nowhere]
    task: {title: Again, owner: [ana@example.com, ben@example.com]}
actions:
  - {id: one, when: {entered: lead}, create_deal: {pipeline: sales, stage: new}}
  - {id: two, when: {entered: lead}, create_deal: {stage: Contract Sent}}
"""


def options(*values: str) -> list[Mapping[str, str]]:
    return [{"value": value, "label": value.title()} for value in values]


FACTS = PortalFacts(
    definitions={
        "contact": {
            "sk_source": {"type": "enumeration", "fieldType": "select", "options": options("inbound", "research")},
            "sk_need": {"type": "enumeration", "fieldType": "radio", "options": options("none", "definite")},
            "sk_drip": {"type": "bool", "fieldType": "booleancheckbox", "options": options("true", "false")},
            "score": {"type": "number", "fieldType": "number"},
            **{name: {"type": "string", "fieldType": "text"} for name in ("email", "lastname", "company")},
            "createdate": {"type": "datetime", "modificationMetadata": {"readOnlyValue": True}},
            "lifecyclestage": {"type": "enumeration", "fieldType": "radio", "options": options("subscriber", "lead")},
            "owner": {"type": "enumeration", "options": [], "externalOptions": True},
        },
        "company": {"numberofemployees": {"type": "number"}},
        "deal": {"dealstage": {"type": "enumeration", "options": []}, "amount": {"type": "number"}},
    },
    pipelines={"default": {"appointmentscheduled": "Appointment Scheduled", "17": "Contract sent"}},
    owners=frozenset({"ana@example.com"}),
)  # fmt: skip


def checked(text: str) -> tuple[Pack, Document]:
    document, problems = read_bytes(text.encode(), file="pack.yaml")
    assert document is not None
    pack, problems = check_pack(document, problems)
    assert pack is not None, problems
    return pack, document


def misfits(code: str) -> list[Problem]:
    """Give the problems of one code of a pack that fits its portal badly."""
    return [problem for problem in portal_problems(*checked(PACK), FACTS) if problem.code == code]


def said(problems: list[Problem]) -> list[str]:
    return [f"{each.place.line}:{each.place.column} {each.code} {each.severity}" for each in sorted(problems)]


def test_everything_that_contradicts_the_portal_is_found_at_its_place() -> None:
    assert said(list(portal_problems(*checked(PACK), FACTS))) == [
        "5:58 unknown-property error",
        "6:49 unknown-option warning",
        "7:44 property-type error",
        "10:53 unknown-option error",
        "10:67 property-type error",
        "10:85 read-only-property error",
        "10:99 unknown-property error",
        "11:1 unknown-property warning",
        "12:82 no-such-owner error",
        "17:33 unknown-property error",
        "18:33 no-such-owner error",
        "20:62 unknown-pipeline error",
        "21:59 unknown-deal-stage error",
    ]


@pytest.mark.parametrize("code", sorted(OF_A_PORTAL))
def test_every_problem_of_a_portal_says_what_to_do(code: str) -> None:
    found = misfits(code)
    assert found
    assert all(problem.cure for problem in found)


def test_a_stage_that_is_named_by_its_label_is_told_its_id() -> None:
    (problem,) = misfits("unknown-deal-stage")
    assert problem.cure == "the stage that is called so has the id '17'"


def test_what_the_portal_holds_decides_over_what_is_known_without_asking() -> None:
    pack, document = checked(PACK.replace("{sk_source: {is: letter}}", "{sk_source: {is: research}}"))
    more = dict(FACTS.definitions["contact"])
    more["sk_source"] = {"type": "enumeration", "fieldType": "select", "options": options("letter", "inbound")}
    facts = replace(FACTS, definitions={**FACTS.definitions, "contact": more})
    found = [problem for problem in portal_problems(pack, document, facts) if problem.code == "unknown-option"]
    assert [problem.place.line for problem in found] == [6, 10]


def test_proofs_take_the_portals_options_for_all_there_are() -> None:
    text = """version: 1
pack: p
ladder: [contact, lead]
stages:
  - {id: none, stage: contact, when: {sk_need: {is: none}}, because: b}
  - {id: definite, stage: lead, when: {sk_need: {is: definite}}, because: b}
  - {id: known, stage: lead, when: {sk_need: {known: true}}, because: b}
  - {id: rest, stage: contact, because: b}
"""
    pack, document = checked(text)
    assert prove(pack, document).findings == ()
    (finding,) = prove(pack, document, forms=FACTS.forms, strict=True).findings
    assert (finding.problem.code, finding.problem.place.line) == ("never-wins", 7)


def test_the_configurations_stages_and_owner_must_be_there() -> None:
    place = Place(file="config.yaml")
    stages = {"contact": "subscriber", "lead": "17"}
    found = list(configured_problems(stages, "x@example.com", ["contact", "lead"], place, FACTS))
    assert [problem.code for problem in found] == ["unknown-option", "no-such-owner"]
    assert list(configured_problems({"contact": "subscriber"}, "Ana@example.com", ["contact"], place, FACTS)) == []


RULES = """version: 1
pack: p
ladder: [contact, lead]
stages:
  - {id: asked, stage: lead, when: {sk_source: {is: inbound}}, because: b}
  - {id: odd, stage: lead, when: {no_such_thing: {is: x}}, because: b}
  - {id: rest, stage: contact, because: b}
actions:
  - {id: open, when: {entered: lead}, create_deal: {stage: nowhere}}
"""


def test_check_reads_a_real_portal_and_exits_3_when_the_rules_contradict_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with practice(tmp_path, rules=RULES) as the:
        facts = read_portal(the.services.portals[the.portal].hubspot)
        assert facts.forms["contact", "sk_interest"][0] == "several"
        assert "closedwon" in facts.forms["deal", "dealstage"][1]
        assert facts.owners
        config = next(path for path in tmp_path.rglob("*.yaml") if "portals:" in path.read_text("utf-8"))
        code, said_ = run(["--config", str(config), "check", "--portal", str(the.portal)], capsys)
    assert (code, re.findall(r"yaml:(\d+):\d+: ([a-z-]+): (?!warning)", said_.out)) == (
        3, [("6", "unknown-property"), ("9", "unknown-deal-stage")],
    )  # fmt: skip


def test_check_says_so_when_the_portal_cannot_be_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with practice(tmp_path, rules=RULES) as the:
        config = next(path for path in tmp_path.rglob("*.yaml") if "portals:" in path.read_text("utf-8"))
        text = config.read_text("utf-8").replace("pat-sandbox", "pat-wrong")
        config.write_text(text, encoding="utf-8")
        code, said_ = run(["--config", str(config), "check", "--portal", str(the.portal)], capsys)
    assert (code, said_.out) == (5, "")
    assert "portal" in said_.err


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    """Run the command; give its exit code and what it printed, and nothing that was printed before."""
    capsys.readouterr()
    code = cli.run(arguments)
    return code, capsys.readouterr()
