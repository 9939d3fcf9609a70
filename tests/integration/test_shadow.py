"""A candidate judges beside the live pack: a copy never differs, another one differs where a plan would say so."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy import event

from connector.config import load_config
from connector.errors import FilesInvalid, Stopped
from connector.identity.erasure import erase_person
from connector.moments import DAY
from connector.packs import every_problem
from connector.rollout.document import read_plan
from connector.rollout.run import Options, preview
from connector.rulebook.shipped import shipped_packs
from connector.services import open_services
from connector.shadow.agreement import Agreement, agreement_of
from connector.store.tables import contacts, effects, records
from connector.telemetry import build_metrics
from tests.integration.test_replay import STRICT, visitors
from tests.merging import ACTS, PACK, Story, tell
from tests.practice import READ_COMPANIES, READ_DEALS, Practice, practice
from tests.seasons import live

FIRM = (STRICT % 2).replace(
    "facts: {", "facts: {firm: {all: [{num_conversion_events: {at_least: 3}}, {company.type: {is: VENDOR}}]}, "
).replace("when: keen", "when: {any: [firm, keen]}")  # fmt: skip
SILENT = """
version: 1
pack: silent
ladder: [contact, lead]
facts: {silent: {hs_sales_email_last_replied: {not_within_last: 14 days}}}
stages:
  - {id: silent, when: silent, stage: lead, because: They have been silent.}
  - {id: others, stage: contact, because: Not yet.}
"""
OTHERS = """
version: 1
pack: others
ladder: [contact, lead]
stages: [{id: others, stage: contact, because: Not yet.}]
"""
WEEKLY = """
version: 1
pack: weekly
ladder: [contact]
stages: [{id: all, stage: contact, because: Everybody is.}]
cadences: [{id: write, while: {stage: contact}, every: %s, task: {title: Write}}]
"""


@contextmanager
def beside(folder: Path, live_pack: str, candidate: str, **options: Any) -> Iterator[Practice]:
    """Run a practice portal with a candidate beside the live pack; both are given as YAML."""
    (folder / "candidate.yaml").write_text(candidate, encoding="utf-8")
    with practice(folder, rules=live_pack, more="    shadow: candidate.yaml", **options) as the:
        yield the


def agreement(the: Practice) -> Agreement:
    candidate = the.services.portals[the.portal].pipeline._candidate
    assert candidate is not None
    return agreement_of(the.services.engine, the.portal, candidate.pack.hash, lambda *_: None)


def differing(the: Practice) -> dict[str, Mapping[str, Any]]:
    """What stands in the newest record of each contact about whom the two differed then."""
    rows = the.rows(sa.select(records.c.contact, records.c.shadow).order_by(records.c.id))
    return {row.contact: row.shadow for row in {row.contact: row for row in rows}.values() if row.shadow is not None}


def count(the: Practice, name: str) -> float:
    samples = [s for m in the.services.metrics.registry.collect() for s in m.samples if s.name == f"stagekeeper_{name}"]
    return sum(sample.value for sample in samples)


def text_of(pack: str) -> str:
    return shipped_packs()[pack].read_text(encoding="utf-8")


# --- a copy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_a_copy_of_the_live_pack_never_differs_and_costs_no_call(tmp_path: Path, name: str) -> None:
    seen = []
    for number, candidate in enumerate((None, name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        more = f"    shadow: {shipped_packs()[candidate]}" if candidate else ""
        with practice(folder, rules=shipped_packs()[name], more=more) as the:
            everybody = live(the, 7, steps=30)
            assert the.rows(sa.select(records).where(records.c.shadow.is_not(None))) == []
            assert count(the, "shadow_disagreements_total") == 0
            columns = (records.c.contact, records.c.decided_at, records.c.decided, records.c.read)
            decided = the.rows(sa.select(*columns).order_by(records.c.id))
            kept = {row.contact for row in the.rows(sa.select(contacts).where(contacts.c.shadow.is_not(None)))}
            assert kept == ({row.contact for row in decided} if candidate else set())
            routes = {route: the.calls(route) for route in (READ_COMPANIES, READ_DEALS)}
            assert len(decided) > 20
            seen.append((everybody, decided, the.sandbox.calls.count(), routes))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_never_differs_through_merges_deletions_crashes_and_lost_answers(tmp_path: Path, seed: int) -> None:
    with beside(tmp_path, PACK, PACK, merging_makes_third=bool(seed % 2)) as the:
        story = Story(the, seed)
        tell(story, [(story.random.choice(ACTS), story.random.randrange(99_999)) for _ in range(60)])
        story.check()
        assert the.rows(sa.select(records).where(records.c.shadow.is_not(None))) == []
        found = agreement(story.the)
        assert (found.agree, found.unjudged) == (len(story.living), 0)


def test_a_survivor_takes_over_what_the_candidate_knew_of_the_other(tmp_path: Path) -> None:
    with beside(tmp_path, PACK, PACK, merging_makes_third=False) as the:
        lead = the.sandbox.create_contact({"email": "a@example.com", "sk_source": "inbound"})
        other = the.sandbox.create_contact({"email": "b@example.com"})
        the.catch_up()
        assert the.sandbox.merge_contacts(other, lead) == other
        the.catch_up()
        [shadow] = [row.shadow for row in the.rows(sa.select(contacts).where(contacts.c.contact == other))]
        assert (shadow["memory"]["stage"], sorted(shadow["memory"]["marks"])) == ("lead", ["chase"])
        assert differing(the) == {}


# --- another pack -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", [1, 3, 5])
def test_a_changed_threshold_differs_about_those_whom_a_plan_names(tmp_path: Path, raised: int) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % raised) as the:
        visitors(the, 0, 1, 2, 3, 4, 5)
        the.catch_up()
        portal = the.config.portals[0]
        assert portal.shadow is not None
        options = Options(portal=portal, rules=portal.shadow, out=tmp_path / "plan.json")
        preview(the.config, options, clock=the.time, release="0", progress=lambda *_: None)
        planned = {entry.contact for entry in read_plan(tmp_path / "plan.json").entries()}
        assert {one.contact for one in agreement(the).listed()} == planned == set(differing(the))
        assert count(the, "shadow_disagreements_total") == len(planned) > 0


def test_a_record_says_what_the_candidate_decided_otherwise_and_since_when(tmp_path: Path) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        first = the.time.now - 1
        [other] = differing(the).values()
        assert (other["stage"], other["rule"], other["differs"], other["tasks"]) == (
            "contact", "others", ["stage", "tasks"], [],
        )  # fmt: skip
        the.move(days=3)
        the.look(ana)
        [one] = agreement(the).listed()
        assert (one.contact, one.differs, str(one.pair.live), str(one.pair.candidate)) == (
            ana, ("stage",), "lead", "contact",
        )  # fmt: skip
        assert first - 10 < one.since <= first
        the.sandbox.update_contact(ana, {"num_conversion_events": "9"})
        the.look(ana)
        assert agreement(the).listed() == []
        assert agreement(the).share == 1


def test_hubspot_gets_the_live_packs_values_only(tmp_path: Path) -> None:
    with beside(tmp_path, STRICT % 4, STRICT % 1) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        assert the.sandbox.contact(ana)["lifecyclestage"] == "subscriber"
        assert the.keys(ana) == []
        assert the.rows(sa.select(effects)) == []
        assert agreement(the).work == {("tasks", "greet", "candidate"): 1}


def test_the_candidate_has_a_memory_of_its_own(tmp_path: Path) -> None:
    """By the live pack every fifth day, by the candidate every second: each from its own last time."""
    with beside(tmp_path, WEEKLY % "5 days", WEEKLY % "2 days") as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        for _ in range(20 * 4):
            the.move(hours=6)
            the.work()
        assert len(the.sandbox.tasks_of(ana)) == 5  # at 0, 5, 10, 15 and 20 days
        rows = the.rows(sa.select(records.c.shadow, records.c.decided).order_by(records.c.id))
        due = [(len(row.decided["tasks"]), len(row.shadow["tasks"]) if row.shadow else None) for row in rows]
        assert sum(live for live, _ in due) == 5
        assert sum(live if other is None else other for live, other in due) == 11  # at 0, 2 … 20
        assert agreement(the).work == {("tasks", "write", "candidate"): 8, ("tasks", "write", "live"): 2}


def test_the_contact_is_woken_for_the_candidate_when_the_live_pack_sleeps(tmp_path: Path) -> None:
    with beside(tmp_path, OTHERS, SILENT) as the:
        ana = the.sandbox.create_contact({"email": "a@example.com"})
        the.sandbox.update_contact(ana, {"hs_sales_email_last_replied": str(the.time.now)})
        until = the.time.now + 14 * DAY
        the.look(ana)
        assert differing(the) == {}
        assert the.next_look(ana) == until
        the.time.now = until
        the.work()
        assert differing(the)[ana]["stage"] == "lead"
        assert the.next_look(ana) is None


def test_it_is_woken_too_when_the_live_pack_reads_what_it_writes_itself(tmp_path: Path) -> None:
    reads = OTHERS.replace("stages: [", "stages: [{id: bought, when: {lifecyclestage: {is: customer}}, stage: contact, "
                                        "because: They bought.}, ")  # fmt: skip
    with beside(tmp_path, reads, SILENT) as the:
        replied = {"email": "a@example.com", "hs_sales_email_last_replied": str(the.time.now)}
        ana = the.sandbox.create_contact(replied)
        until = the.time.now + 14 * DAY
        the.look(ana)
        assert the.sandbox.contact(ana)["lifecyclestage"] == "subscriber"
        assert the.next_look(ana) == until


def test_what_the_live_pack_writes_is_seen_by_a_candidate_that_reads_it(tmp_path: Path) -> None:
    reads = (STRICT % 2).replace("num_conversion_events: {at_least: $enough}", "lifecyclestage: {is: lead}")
    with beside(tmp_path, STRICT % 2, reads) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        assert agreement(the).listed() == []
        assert [row.shadow is None for row in the.rows(sa.select(records).order_by(records.c.id))] == [False, False]
        assert differing(the)[ana]["tasks"] == ["greet"], "at the second look, when the stage had been written"
        assert the.next_look(ana) is None


def test_it_begins_from_what_the_live_pack_knows(tmp_path: Path) -> None:
    with practice(tmp_path, rules=STRICT % 2) as the:
        [ana] = visitors(the, 3)
        the.catch_up()
        (tmp_path / "candidate.yaml").write_text(STRICT % 2, encoding="utf-8")
        config = tmp_path / "config.yaml"
        config.write_text(config.read_text(encoding="utf-8") + "\n    shadow: candidate.yaml\n", encoding="utf-8")
        the.config = load_config(config)[0] or the.config
        shadowed = the.again()
        assert (agreement(shadowed).contacts, agreement(shadowed).unjudged) == (0, 1)
        shadowed.look(ana)
        assert differing(shadowed) == {}
        assert agreement(shadowed).agree == 1
        (tmp_path / "candidate.yaml").write_text(STRICT % 1, encoding="utf-8")
        changed = shadowed.again()
        assert (agreement(changed).contacts, agreement(changed).unjudged) == (0, 1), "another version begins anew"
        the.look(ana)
        assert [row.shadow for row in the.rows(sa.select(contacts))] == [None], "a worker without it clears it"
        changed.move(days=1)
        changed.look(ana)
        assert differing(changed) == {}


# --- companies and deals ----------------------------------------------------------------------------------------------


def vendor(the: Practice, visits: int) -> str:
    ana = the.sandbox.create_contact({"email": "ana@acme.example", "num_conversion_events": str(visits)})
    firm = the.sandbox.create_company({"name": "Acme", "type": "VENDOR"})
    the.sandbox.associate("contact", ana, "company", firm, type_id=1)
    return ana


def test_companies_are_read_for_the_candidate_only_where_its_decision_depends_on_them(tmp_path: Path) -> None:
    candidate = FIRM.replace("enough: 2", "enough: 9")
    with beside(tmp_path, STRICT % 9, candidate) as the:
        visitors(the, 0, 1)
        ana = vendor(the, 4)
        the.catch_up()
        assert the.calls(READ_COMPANIES) == 1
        assert {c: one["stage"] for c, one in differing(the).items()} == {ana: "lead"}
        [read] = [row.read for row in the.rows(sa.select(records).where(records.c.contact == ana))]
        assert read["company"] == {}, "the live decision was made without"


def test_one_call_serves_both_where_both_read_companies(tmp_path: Path) -> None:
    candidate = FIRM.replace("enough: 2", "enough: 9")
    live_pack = candidate.replace("company.type: {is: VENDOR}", "company.name: {is: Nobody}")
    with beside(tmp_path, live_pack, candidate) as the:
        ana = vendor(the, 4)
        the.catch_up()
        assert the.calls(READ_COMPANIES) == 1
        assert differing(the)[ana]["stage"] == "lead"


# --- what goes wrong in it --------------------------------------------------------------------------------------------


def break_candidate(the: Practice, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    candidate = the.services.portals[the.portal].pipeline._candidate

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(candidate._rulebook, "read", fail)  # type: ignore[union-attr]


def test_a_candidate_that_breaks_is_told_once_and_counted_and_the_live_decision_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        ana, bob = visitors(the, 3, 9)
        the.look(ana)
        before = the.rows(sa.select(contacts.c.shadow))[0].shadow
        with structlog.testing.capture_logs() as logs, monkeypatch.context() as patched:
            break_candidate(the, patched, KeyError("whatever"))
            the.look(ana, bob)
            the.move(days=1)
            the.look(ana, bob)
        assert the.sandbox.contact(bob)["lifecyclestage"] == "lead"
        assert the.dead() == {}
        told = [line for line in logs if line["event"] == "shadow.failed"]
        assert [(line["log_level"], line["portal"], line["pack"], line["error"]) for line in told] == [
            ("error", the.portal, "strict", "KeyError: 'whatever'")
        ]
        assert count(the, "shadow_failures_total") == 4
        assert (agreement(the).contacts, agreement(the).unjudged) == (0, 2)
        after = the.rows(sa.select(contacts.c.shadow).where(contacts.c.contact == ana))[0].shadow
        assert after == before, "it keeps its memory"
        the.move(days=1)
        the.look(ana, bob)
        assert (agreement(the).agree, agreement(the).contacts) == (1, 2)


def test_hubspots_refusal_of_what_only_the_candidate_reads_is_the_candidates_trouble(tmp_path: Path) -> None:
    candidate = FIRM.replace("enough: 2", "enough: 9")
    with beside(tmp_path, STRICT % 9, candidate) as the:
        ana = vendor(the, 4)
        the.sandbox.faults.add("403_missing_scope", route="companies")
        the.catch_up()
        assert the.sandbox.contact(ana)["lifecyclestage"] == "subscriber"
        assert the.services.troubles.troubles() == {}
        assert count(the, "shadow_failures_total") == 1


def test_the_end_of_the_process_is_not_contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        [ana] = visitors(the, 3)
        with monkeypatch.context() as patched:
            break_candidate(the, patched, Stopped())
            the.services.inbox.look_at(the.portal, [ana], due=the.time.now)
            the.worker.work_once()
        assert the.rows(sa.select(records)) == []
        the.work()
        assert list(differing(the)) == [ana]


def test_a_candidate_that_does_not_load_refuses_the_start_and_is_named(tmp_path: Path) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        (tmp_path / "candidate.yaml").write_text("version: 1\npack: broken\n", encoding="utf-8")
        with pytest.raises(FilesInvalid, match=r"candidate.yaml:1:1: missing-key"):
            open_services(the.config, metrics=build_metrics(), clock=the.time)
        (tmp_path / "candidate.yaml").unlink()
        with pytest.raises(FilesInvalid, match=r"candidate.yaml:1:1: file-unreadable"):
            open_services(the.config, metrics=build_metrics(), clock=the.time)
        assert [problem.code for problem in every_problem(tmp_path / "config.yaml")] == ["file-unreadable"]


# --- people who go ----------------------------------------------------------------------------------------------------


def test_who_is_erased_leaves_nothing_in_the_shadow(tmp_path: Path) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        ana, bob = visitors(the, 3, 3)
        the.catch_up()
        the.catch_up()  # what we wrote comes back as events
        erase_person(the.services.engine, the.portal, ana, reason="asked", now=the.time.now)
        the.sandbox.privacy_delete(bob)
        the.catch_up()
        found = agreement(the)
        assert (found.contacts, found.unjudged, found.decisions, found.listed()) == (0, 0, 0, [])
        assert the.rows(sa.select(contacts)) == the.rows(sa.select(records)) == []


def test_who_was_deleted_or_merged_no_longer_counts(tmp_path: Path) -> None:
    with beside(tmp_path, STRICT % 2, STRICT % 4) as the:
        ana, bob, cem = visitors(the, 3, 3, 3)
        the.catch_up()
        the.sandbox.delete_contact(ana)
        survivor = the.sandbox.merge_contacts(bob, cem)
        the.catch_up()
        assert [one.contact for one in agreement(the).listed()] == [survivor]


# --- without ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_a_file")
def test_without_a_candidate_a_claim_asks_the_database_no_more_than_it_did(tmp_path: Path) -> None:
    """One statement of the first claim tells once what the pack reads."""

    def statements(folder: Path, more: str = "") -> list[list[str]]:
        folder.mkdir()
        (folder / "candidate.yaml").write_text(STRICT % 2, encoding="utf-8")
        with practice(folder, rules=STRICT % 2, more=more) as the:
            [ana] = visitors(the, 3)
            heard: list[str] = []
            event.listen(the.services.engine, "before_cursor_execute", lambda *given: heard.append(given[2]))
            found = []
            for _ in range(2):
                heard.clear()
                the.look(ana)
                found.append([text for text in heard if not text.startswith("BEGIN")])
            return found

    without = statements(tmp_path / "without")
    beside_ = statements(tmp_path / "beside", more="    shadow: candidate.yaml")
    assert without == beside_
    assert [sum("packs" in text for text in claim) for claim in without] == [1, 0]
