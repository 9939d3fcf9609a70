"""`replay`, `report shadow` and `explain --history` as processes of their own: what they print and how they leave."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_replay import STRICT, git, visitors
from tests.practice import Practice, practice
from tests.running import Ran, stagekeeper


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    """Five visitors, judged by the live pack (two visits are enough) and by a candidate (four are)."""
    (tmp_path / "candidate.yaml").write_text(STRICT % 4, encoding="utf-8")
    with practice(tmp_path, rules=STRICT % 2, more="    shadow: candidate.yaml") as stage:
        visitors(stage, 0, 1, 2, 3, 4)
        stage.catch_up()
        yield stage


def run(the: Practice, *arguments: object) -> Ran:
    return stagekeeper(*arguments, folder=the.folder)


def rows(text: str) -> list[list[str]]:
    """Give the lines of tables as words."""
    return [line.split() for line in text.splitlines() if line.strip()]


# --- replay -----------------------------------------------------------------------------------------------------------


def test_replay_says_that_nothing_flips_under_the_same_pack(the: Practice) -> None:
    done = run(the, "replay")
    assert (done.code, done.err) == (0, "")
    assert "0 flipped, of 0 contacts; 0 more would set or make something else" in done.out
    data = json.loads(run(the, "replay", "--format", "json").out)
    pack = the.services.portals[the.portal].pack
    assert (data["decisions"], data["flipped"], data["otherwise"], data["pack_hash"]) == (5, 0, 0, pack.hash)
    assert data["decided_by"] == [{"pack": "strict", "pack_hash": pack.hash, "decisions": 5}]


def test_replay_under_another_file_shows_the_matrix_and_names_who_flips(the: Practice) -> None:
    done = run(the, "replay", "--rules", "candidate.yaml", "--flipped")
    assert "2 flipped, of 2 contacts" in done.out
    assert ["lead", "contact", "2", "flipped"] in rows(done.out)
    assert ["keen", "others", "2"] in rows(done.out)
    data = json.loads(run(the, "replay", "--rules", "candidate.yaml", "--flipped", "--format", "json").out)
    assert [(one["from"]["stage"], one["to"]["stage"], one["rule_now"]) for one in data["flipped_decisions"]] == [
        ("lead", "contact", "others")
    ] * 2
    assert len({one["contact"] for one in data["flipped_decisions"]}) == data["flipped_contacts"] == 2


def test_replay_under_an_earlier_revision(the: Practice) -> None:
    git(the.folder, "init", "--quiet")
    for number in (4, 2):
        (the.folder / "pack.yaml").write_text(STRICT % number, encoding="utf-8")
        git(the.folder, "add", "pack.yaml")
        git(the.folder, "commit", "--quiet", "--message", f"at least {number}")
    assert "2 flipped" in run(the, "replay", "--rev", "HEAD~1").out
    assert "0 flipped" in run(the, "replay", "--rev", "HEAD").out
    missing = run(the, "replay", "--rev", "v9")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("error: no-such-revision: --rev v9: the repository of ")


def test_replay_refuses_a_date_that_is_none_and_a_pack_that_does_not_load(the: Practice) -> None:
    assert run(the, "replay", "--since", "yesterday").code == 2
    (the.folder / "broken.yaml").write_text("version: 1\npack: broken\n", encoding="utf-8")
    broken = run(the, "replay", "--rules", "broken.yaml")
    assert broken.code == 3
    assert "broken.yaml:1:1: missing-key" in broken.err
    assert json.loads(run(the, "replay", "--since", "2030-01-01", "--format", "json").out)["decisions"] == 0


# --- report shadow ----------------------------------------------------------------------------------------------------


def test_report_shadow_says_how_far_the_two_agree_and_wherein_not(the: Practice) -> None:
    done = run(the, "report", "shadow", "--contacts")
    assert (done.code, done.err) == (0, "")
    assert "3 of 5 contacts agree (60.0%)" in done.out
    assert ["lead", "contact", "2"] in rows(done.out)
    assert ["keen", "others", "2"] in rows(done.out)
    assert ["task", "greet", "live", "2"] in rows(done.out)
    data = json.loads(run(the, "report", "shadow", "--contacts", "--format", "json").out)
    assert (data["contacts"], data["agree"], data["share"], data["unjudged"], data["decisions"]) == (5, 3, 0.6, 0, 2)
    assert (data["differs"], data["work"]) == (
        {"stage": 2}, [{"kind": "tasks", "rule": "greet", "only": "live", "decisions": 2}],
    )  # fmt: skip
    assert [one["candidate"]["rule"] for one in data["listed"]] == ["others"] * 2


def test_report_shadow_gives_csv_of_pairs_and_of_contacts(the: Practice) -> None:
    pairs = list(csv.DictReader(io.StringIO(run(the, "report", "shadow", "--format", "csv").out)))
    assert [(one["live_stage"], one["candidate_stage"], one["agrees"], one["contacts"]) for one in pairs] == [
        ("contact", "contact", "true", "2"), ("lead", "contact", "false", "2"), ("lead", "lead", "true", "1"),
    ]  # fmt: skip
    listed = list(csv.DictReader(io.StringIO(run(the, "report", "shadow", "--contacts", "--format", "csv").out)))
    assert {(one["live"], one["candidate"], one["differs"]) for one in listed} == {("lead", "contact", "stage")}
    assert len(listed) == 2


def test_report_shadow_of_a_portal_without_a_candidate_says_what_to_write(the: Practice) -> None:
    config = the.folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("shadow: candidate.yaml", ""), encoding="utf-8")
    done = run(the, "report", "shadow")
    assert done.code == 2
    assert "portal 4242 has no `shadow`; name a candidate pack" in done.err


def test_a_candidate_that_does_not_load_stops_the_start_and_check_names_it(the: Practice) -> None:
    (the.folder / "candidate.yaml").write_text("version: 1\npack: broken\n", encoding="utf-8")
    for command in ("check", "worker", "serve"):
        done = run(the, command)
        assert done.code == 3, command
        assert "candidate.yaml:1:1: missing-key" in done.out + done.err, command


# --- explain --history ------------------------------------------------------------------------------------------------


def test_the_history_of_a_contact_is_listed_newest_first(the: Practice) -> None:
    contact = json.loads(run(the, "replay", "--rules", "candidate.yaml", "--flipped", "--format", "json").out)[
        "flipped_decisions"
    ][0]["contact"]
    the.sandbox.update_contact(contact, {"num_conversion_events": "9"})
    the.look(contact)
    done = run(the, "explain", contact, "--history")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"portal 4242, contact {contact}: 2 records\n")
    lines = [line.strip() for line in done.out.splitlines()]
    assert "set lifecyclestage: (empty) → lead" in lines
    assert any(line.startswith("task greet (") for line in lines)
    candidate = [line for line in lines if line.startswith("the candidate strict ")]
    assert candidate[-1].endswith("differs in stage, tasks: contact, rule others")
    data = json.loads(run(the, "explain", contact, "--history", "--last", 1, "--format", "json").out)
    assert (data["records"], len(data["history"]), data["history"][0]["candidate"]["differs"]) == (2, 1, ["tasks"])


def test_the_history_of_somebody_unknown_is_an_error_and_it_goes_with_no_case(the: Practice) -> None:
    unknown = run(the, "explain", "1", "--history")
    assert (unknown.code, unknown.out) == (1, "")
    assert "contact-unknown" in unknown.err
    assert run(the, "explain", "1", "--history", "--why-not", "lead").code == 2
