"""A plan shows what would be done and does nothing; applying it does exactly that, once, or refuses."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connector.errors import FilesInvalid
from connector.hubspot.failure import HubSpotError
from connector.inbox import ClaimLost
from connector.rollout.application import (
    Applied,
    HalfApplied,
    NeedsConsent,
    NotAsPlanned,
    Tools,
    apply_plan,
    refuse_without_consent,
)
from connector.rollout.document import PlanFile, PlanUnreadable, read_plan
from connector.rollout.run import Cell, Options, Preview, open_one, pack_of, preview
from connector.telemetry import build_metrics
from tests.practice import CREATE_TASKS, INBOUND, NOW, QUALIFIED, WRITE_CONTACTS, Practice, practice, stages

LEADS, QUALIFIEDS = 3, 2


def people(the: Practice) -> list[str]:
    """Three leads and two prospects, of whom nothing has been decided yet."""
    made = [the.sandbox.create_contact({"email": f"l{n}@example.com", **INBOUND}) for n in range(LEADS)]
    return made + [the.sandbox.create_contact({"email": f"q{n}@example.com", **QUALIFIED}) for n in range(QUALIFIEDS)]


def planned(the: Practice, *, out: str | None = "plan.json", **options: Any) -> Preview:
    """Plan; whoever waits for a turn sees time pass."""

    def clock() -> int:
        the.time.now += 300
        return the.time.now

    portal = the.config.portals[0]
    chosen = Options(portal=portal, rules=portal.rules, out=the.folder / out if out else None, **options)
    passing = clock if chosen.sample else the.time
    return preview(the.config, chosen, clock=passing, release="0", progress=lambda *_: None)


def applied(the: Practice, *, skip_changed: bool = False, sleep: Any = None) -> Applied:
    plan = read_plan(the.folder / "plan.json")
    portal = the.config.portals[0]
    services = open_one(
        the.config, portal, pack_of(Path(plan.heading.pack_file)), clock=the.time, metrics=build_metrics()
    )
    parts = services.portals[portal.id]
    tools = Tools(
        pipeline=parts.pipeline, recorder=parts.recorder, inbox=services.inbox, terms=parts.pipeline.terms(),
        now=the.time, sleep=sleep or the.time.sleep, lease_ms=the.config.worker.lease, portal=portal.id,
        progress=lambda *_: None,
    )  # fmt: skip
    return apply_plan(plan, tools, skip_changed=skip_changed)


def numbers(made: Preview) -> Sequence[tuple[str, str, int]]:
    return sorted((str(move.before), str(move.after), number) for move, number in made.summary.moves.items())


def test_a_plan_counts_moves_and_what_would_be_made_and_writes_nothing(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        made = planned(the)
        assert numbers(made) == [("none", "lead", LEADS), ("none", "prospect new", QUALIFIEDS)]
        assert made.summary.made("task")["seek-meeting"] == LEADS
        assert made.summary.read_calls > 0
        assert set(stages(the).values()) == {None}
        assert the.calls(WRITE_CONTACTS) == 0


def test_the_cost_that_a_plan_names_is_what_applying_takes(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        made = planned(the)
        the.sandbox.calls.reset()
        applied(the)
        writes = the.calls(WRITE_CONTACTS) + the.calls(CREATE_TASKS)
        assert writes == made.summary.write_calls() - 1, "the one besides reads the contacts again"


def test_applying_does_what_the_worker_would_do_and_the_next_plan_is_empty(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        planned(the)
        done = applied(the)
        assert (done.done, done.changed, done.failed) == (LEADS + QUALIFIEDS, [], {})
        assert sorted(filter(None, stages(the).values())) == ["lead"] * LEADS + ["salesqualifiedlead"] * QUALIFIEDS
        assert the.keys(ids[0]) == ["ask-missing-answer", "seek-meeting"]
        assert planned(the).summary.changed == 0
        the.catch_up()
        assert the.keys(ids[0]) == ["ask-missing-answer", "seek-meeting"]


def test_applying_again_does_nothing_twice(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        planned(the)
        applied(the)
        again = applied(the)
        assert (again.done, again.done_before, again.changed) == (0, LEADS + QUALIFIEDS, [])
        assert the.keys(ids[0]) == ["ask-missing-answer", "seek-meeting"]


def test_a_contact_that_has_changed_since_stops_all_of_it_unless_told_to_leave_it(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        planned(the)
        the.sandbox.update_contact(ids[0], {"sk_relationship": "customer"})
        with pytest.raises(NotAsPlanned, match=f"1 of 5 contacts have changed since .*{ids[0]}.*nothing was done"):
            applied(the)
        assert set(stages(the).values()) == {None}
        done = applied(the, skip_changed=True)
        assert (done.done, done.changed) == (4, [ids[0]])
        assert stages(the)[ids[0]] is None


def test_a_contact_that_is_gone_counts_as_changed(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        planned(the)
        the.sandbox.delete_contact(ids[1])
        assert applied(the, skip_changed=True).changed == [ids[1]]


def test_what_an_interrupted_run_has_begun_is_completed(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        planned(the)
        the.sandbox.faults.add("500", route="tasks/batch/create")
        with pytest.raises(HalfApplied, match=r"of 5 contacts are done, then: .*start the same command again"):
            applied(the)
        the.sandbox.faults.clear()
        the.move(minutes=1)
        second = applied(the)
        assert second.changed == []
        assert second.done + second.done_before == LEADS + QUALIFIEDS
        for contact in ids[:LEADS]:
            assert the.keys(contact) == ["ask-missing-answer", "seek-meeting"]


def test_a_portal_that_fails_half_way_leaves_no_plan_behind(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        (tmp_path / "plan.json").write_text("an older plan", encoding="utf-8")
        the.sandbox.faults.add("401", route="/crm/.*contacts")
        with pytest.raises(HubSpotError):
            planned(the)
        assert (tmp_path / "plan.json").read_text(encoding="utf-8") == "an older plan"
        assert list(tmp_path.glob("*.part")) == []


def test_contacts_in_a_workers_hands_are_left_until_they_are_free(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        planned(the)
        the.deliver()
        the.move(seconds=3)
        inbox = the.services.inbox
        claim = inbox.claim(lease_ms=60_000, limit=2)
        assert claim is not None
        released = iter([lambda: inbox.release(claim)])

        def sleep(_: float) -> None:
            next(released, lambda: None)()

        done = applied(the, sleep=sleep)
        assert done.done == LEADS + QUALIFIEDS
        with pytest.raises(ClaimLost):
            inbox.renew(claim, lease_ms=1)


def test_more_than_a_tenth_needs_consent_and_less_does_not(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        planned(the)
        plan = read_plan(tmp_path / "plan.json")
        with pytest.raises(NeedsConsent, match=r"changes 5 of 5 contacts .*--consent"):
            refuse_without_consent(plan, consent=False)
        refuse_without_consent(plan, consent=True)
        applied(the)
        for number in range(20):
            the.sandbox.create_contact({"email": f"n{number}@example.com"})
        planned(the)
        applied(the)
        the.sandbox.create_contact({"email": "new@example.com", **INBOUND})
        planned(the)
        refuse_without_consent(read_plan(tmp_path / "plan.json"), consent=False)


def test_only_whom_the_condition_names_is_planned(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        made = planned(the, where="{sk_source: {is: inbound}}")
        assert (made.summary.contacts, made.summary.changed) == (LEADS, LEADS)
        applied(the)
        assert sum(stage is not None for stage in stages(the).values()) == LEADS
        with pytest.raises(FilesInvalid, match=r"--where:1:.*unknown-operator"):
            planned(the, where="{sk_source: {iss: inbound}}")


def test_the_names_behind_a_cell_are_given_on_request(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        made = planned(the, cells=(Cell("", "prospect"),))
        assert [(one.contact, one.name, one.after) for one in made.named] == [
            (ids[3], "q0@example.com", "prospect new"), (ids[4], "q1@example.com", "prospect new"),
        ]  # fmt: skip
        assert "example.com" not in (tmp_path / "plan.json").read_text(encoding="utf-8")


def test_what_was_read_can_be_kept_and_planned_again_without_the_portal(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        first = planned(the, save=tmp_path / "read.jsonl")
        the.sandbox.calls.reset()
        second = planned(the, file=tmp_path / "read.jsonl")
        assert second.summary.moves == first.summary.moves
        assert second.summary.effects == first.summary.effects
        assert the.sandbox.calls.count() == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "no JSON"),
        ("[]", "found no `properties`"),
        ('{"contact": "1"}', "found no `properties`"),
        ('{"properties": {}, "deals": {}}', "`deals` is a list"),
        ('{"properties": {}, "deals": [1]}', "`deals` is a list"),
    ],
)
def test_a_line_that_is_no_contact_is_named_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    with practice(tmp_path) as the:
        path = tmp_path / "bad.jsonl"
        path.write_text(f'{{"properties": {{}}}}\n\n{line}\n', encoding="utf-8")
        with pytest.raises(FilesInvalid, match=f"bad.jsonl:3:1: wrong-snapshot: .*{said}"):
            planned(the, file=path)


def edited(text: str) -> str:
    return text.replace('"lead"', '"opportunity"', 1)


def cut_off(text: str) -> str:
    return text[: len(text) // 2]


def of_another_version(text: str) -> str:
    return text.replace('"version":1', '"version":2')


def without_its_contacts(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if '{"contact"' not in line)


def emptied(_: str) -> str:
    return ""


@pytest.mark.parametrize("spoil", [edited, cut_off, of_another_version, without_its_contacts, emptied])
def test_a_plan_that_is_not_as_it_was_written_is_refused(tmp_path: Path, spoil: Any) -> None:
    with practice(tmp_path) as the:
        people(the)
        planned(the)
        path = tmp_path / "plan.json"
        path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
        with pytest.raises(PlanUnreadable, match=r"plan\.json: it .*make it anew"):
            read_plan(path)


def test_a_plan_file_is_json_that_other_tools_can_read(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        people(the)
        made = planned(the)
        data = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
        assert data["plan"]["portal"] == the.portal
        assert data["plan"]["made_at"] == NOW
        assert len(data["contacts"]) == made.summary.changed == data["summary"]["changed"]
        plan: PlanFile = read_plan(tmp_path / "plan.json")
        assert [entry.contact for entry in plan.entries()] == [one["contact"] for one in data["contacts"]]


# --- a sample ---------------------------------------------------------------------------------------------------------


def drawn(the: Practice, sample: int) -> list[str]:
    planned(the, sample=sample)
    return [entry.contact for entry in read_plan(the.folder / "plan.json").entries()]


@pytest.mark.parametrize("sample", [30, 60])  # by search; by listing
def test_a_sample_comes_from_all_of_the_portal_and_is_the_same_one_again(tmp_path: Path, sample: int) -> None:
    with practice(tmp_path) as the:
        ids = [the.sandbox.create_contact({"email": f"s{n}@example.com", **INBOUND}) for n in range(400)]
        the.move(minutes=1)
        first = drawn(the, sample)
        assert (len(first), len(set(first))) == (sample, sample)
        assert drawn(the, sample) == first
        thirds = {ids.index(contact) // 134 for contact in first}
        assert thirds == {0, 1, 2}


def test_a_sample_larger_than_the_portal_is_all_of_it(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        ids = people(the)
        assert planned(the, sample=1_000).summary.contacts == len(ids)


def test_a_sample_of_a_file_comes_from_all_of_it(tmp_path: Path) -> None:
    with practice(tmp_path) as the:
        file = the.folder / "contacts.jsonl"
        lines = [{"contact": str(n), "properties": {"email": f"f{n}@example.com", **INBOUND}} for n in range(1_000)]
        file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        planned(the, sample=100, file=file)
        found = [int(entry.contact) for entry in read_plan(the.folder / "plan.json").entries()]
        assert len(set(found)) == 100
        assert {number // 200 for number in found} == {0, 1, 2, 3, 4}
