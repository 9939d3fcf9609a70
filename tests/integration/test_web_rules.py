"""The page Rules: the pack as a document, what each rule came to, and where a candidate differs."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from connector.rulebook.checking import load_pack
from connector.rulebook.shipped import shipped_packs
from connector.web.document import Clause, chapters_of, facts_of
from tests.pages import READ, SERVER, Browser, browser_beside
from tests.practice import INBOUND, LEAD_TASKS, QUALIFIED, Practice, leads, practice

LIVE = """
version: 1
pack: live
description: "<b>Who</b> is who."
ladder: [contact, lead]
settings: {often: 3 days}
facts:
  asked: {sk_source: {is: inbound}}
  odd: {all: [asked, {not: {any: [{sk_need: {is: none}}, {company.industry: {in: [RETAIL]}}]}}]}
  rich: {any_deal: {amount: {at_least: 1000}}}
stages:
  - {id: never, stage: lead, when: {all: [odd, rich]}, because: "Never <i>this</i>."}
  - {id: asked, stage: lead, when: asked, because: They asked.}
  - {id: rest, stage: contact, because: The rest.}
statuses: [{id: cool, of: lead, status: cold, when: odd, because: Cool.}]
values: [{id: drip, when: odd, set: {sk_drip: "true", sk_next_step: ""}}]
tasks: [{id: greet, when: {entered: lead}, title: "Greet {{ contact.email }}", due: 1 business day}]
cadences:
  - {id: nag, while: {stage: contact}, every: $often, at_most: 2, task: {title: Nag},
     afterwards: {set: {sk_drip: "true"}}}
actions: [{id: deal, when: rich, create_deal: {stage: contractsent}}]
"""


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path, worker=SERVER) as made:
        yield made


def words(browser: Browser, path: str = "/rules") -> str:
    """The words of a page."""
    assert browser.get(path).status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", browser.page_text)).split())


def test_the_pack_is_told_as_a_document(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LIVE, worker=SERVER) as the:
        text = words(browser_beside(the))
    for said in (
        "<b>Who</b> is who.", "contact → lead", "often 3 days", "Never <i>this</i>.", "cold of lead",
        "set sk_drip to “true”, clear sk_next_step", "todo “Greet {{ contact.email }}”, due in 1 business day",
        "todo “Nag” every 3 days, 2 times at most; afterwards set sk_drip to “true”", "open a deal at contractsent",
        "odd all of asked not any of sk_need is none company.industry in RETAIL", "rich any deal with amount at least",
    ):  # fmt: skip
        assert said in text, said


def test_it_counts_how_often_each_rule_won_and_names_those_that_never_did(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LIVE, worker=SERVER) as the:
        leads(the, 2)
        the.sandbox.create_contact({"email": "c@example.com"})
        the.catch_up()
        browser = browser_beside(the, READ)
        text = words(browser)
        never = re.findall(r'class="pill warn" href="#rule-(\w+)-(\w+)"', browser.page_text)
    assert never == [("stages", "never"), ("actions", "deal")]
    assert "They asked. asked 2 contacts won 2 times" in text
    assert re.search(r"The rest\. always 1 contact\b", text)
    assert "entered lead 2 times" in text
    assert "example.com" not in text


def test_a_rule_that_won_of_late_is_none_that_never_did(tmp_path: Path) -> None:
    with practice(tmp_path, rules=LIVE, worker=SERVER) as the:
        contact = leads(the, 1)[0]
        the.catch_up()
        the.move(days=3)
        the.sandbox.update_contact(contact, {"sk_source": ""})
        the.catch_up()
        browser = browser_beside(the)
        assert "They asked. asked 0 contacts won 1 time " in words(browser)
        assert re.findall(r'class="pill warn" href="#rule-stages-(\w+)"', browser.page_text) == ["never"]
        the.move(days=95)
        assert "They asked. asked 0 contacts won 0 times" in words(browser_beside(the))


def test_counts_are_taken_once_in_five_minutes(the: Practice) -> None:
    browser = browser_beside(the)
    assert "Contacts decided about 0" in words(browser)
    leads(the, 1)
    the.catch_up()
    assert "Contacts decided about 0" in words(browser)
    the.move(minutes=5)
    assert "Contacts decided about 1" in words(browser)


def test_where_a_candidate_differs_is_listed_with_both_rules(tmp_path: Path) -> None:
    candidate = tmp_path / "candidate.yaml"
    text = shipped_packs()["default"].read_text("utf-8")
    candidate.write_text(text.replace("id: worth-a-look", "id: other-look").replace("later: 180", "later: 60"), "utf-8")
    with practice(tmp_path, worker=SERVER, more=f"    shadow: {candidate}") as the:
        contact = the.sandbox.create_contact({**QUALIFIED, "sk_ready_by": "2027-01-01", "email": "a@example.com"})
        the.catch_up()
        assert LEAD_TASKS
        browser = browser_beside(the)
        text = words(browser)
        link = f'href="/contact/{the.portal}/{contact}"' in browser.page_text
    assert "The candidate candidate.yaml in shadow" in text
    assert "1 decision of the records would have been otherwise" in text
    assert "prospect warm prospect cold status" in text
    assert "qualified qualified 1" in text
    assert link


def test_without_a_candidate_none_is_spoken_of(the: Practice) -> None:
    the.sandbox.create_contact(INBOUND)
    the.catch_up()
    assert "candidate" not in words(browser_beside(the))


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_every_shipped_pack_can_be_told(name: str) -> None:
    pack, _ = load_pack(shipped_packs()[name])
    assert pack is not None
    told = [one for chapter in chapters_of(pack) for one in chapter.paragraphs]
    assert [one.id for one in told] == [rule.id for rule in pack.rules()]
    assert [fact for fact, _ in facts_of(pack)] == list(pack.facts)

    def facts(clause: Clause) -> Iterator[str]:
        yield from [clause.fact] if clause.fact else []
        for part in clause.parts:
            yield from facts(part)

    for one in told:
        assert one.does
        assert set(facts(one.when)) <= set(pack.facts)
