"""`stagekeeper plan` and `apply` as processes of their own: what they print, how they leave, what they refuse."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.practice import set_up_practice
from connector.sandbox import Sandbox, SandboxOptions
from tests.practice import INBOUND, write_config
from tests.running import Ran, stagekeeper

PACK = """version: 1
pack: small
ladder: [contact, lead]
settings: {enough: 50}
stages:
  - {id: asked, stage: lead, when: {sk_source: {is: inbound}}, because: They asked.}
  - {id: scored, stage: lead, when: {sk_unanswered: {at_least: $enough}}, because: They scored.}
  - {id: others, stage: contact, because: They did not.}
"""


class Place:
    """A folder with a configuration for a practice portal."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.pack = folder / "small.yaml"
        self.pack.write_text(PACK, encoding="utf-8")
        write_config(folder, [sandbox], rules=self.pack)

    def run(self, *arguments: object) -> Ran:
        return stagekeeper(*arguments, folder=self.folder)

    def configure(self, old: str, new: str) -> None:
        path = self.folder / "config.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Sandbox(SandboxOptions(port=0)) as sandbox:
        set_up_practice(sandbox)
        for number in range(20):
            sandbox.create_contact({"email": f"p{number}@example.com", **(INBOUND if number == 7 else {})})
        yield Place(tmp_path, sandbox)


def test_the_exit_code_says_whether_anything_is_pending_only_when_asked(place: Place) -> None:
    assert place.run("plan").code == 0
    assert place.run("plan", "--detailed-exitcode").code == 6
    assert place.run("plan", "--out", "plan.json").code == 0
    assert place.run("apply", "plan.json", "--consent").code == 0
    assert place.run("plan", "--detailed-exitcode").code == 0


def test_the_data_is_for_scripts_and_the_page_for_people(place: Place) -> None:
    data = json.loads(place.run("plan", "--format", "json").out)
    assert (data["version"], data["portal"], data["contacts"], data["changed"]) == (1, 4242, 20, 20)
    assert {(move["to"]["stage"], move["contacts"]) for move in data["moves"]} == {("contact", 19), ("lead", 1)}
    page = place.run("plan", "--format", "html").out
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", ""), "the page needs nothing else"


def test_a_plan_of_a_portal_that_is_not_configured_is_refused(place: Place) -> None:
    place.run("plan", "--out", "plan.json")
    place.configure("id: 4242", "id: 4343")
    refused = place.run("apply", "plan.json", "--consent")
    assert refused.code == 7
    assert "the plan is of portal 4242; configured are 4343" in refused.err


def test_nothing_is_applied_in_shadow_mode(place: Place) -> None:
    place.run("plan", "--out", "plan.json")
    place.configure("app_id: 7001", "app_id: 7001\n    mode: shadow")
    refused = place.run("apply", "plan.json", "--consent")
    assert refused.code == 7
    assert "shadow mode" in refused.err


def test_a_pack_that_has_changed_since_the_plan_is_refused(place: Place) -> None:
    place.run("plan", "--out", "plan.json")
    place.pack.write_text(PACK.replace("enough: 50", "enough: 60"), encoding="utf-8")
    refused = place.run("apply", "plan.json", "--consent")
    assert (refused.code, "small.yaml has been changed since the plan was made" in refused.err) == (7, True)


def test_a_pack_that_does_not_load_names_every_problem(place: Place) -> None:
    place.pack.write_text(PACK.replace("is: inbound", "iss: inbound"), encoding="utf-8")
    other = place.folder / "other.yaml"
    other.write_text(PACK.replace("lead]", "led]"), encoding="utf-8")
    refused = place.run("plan", "--rules", "other.yaml")
    assert refused.code == 3
    assert "unknown-stage" in refused.err


def test_a_candidate_beside_the_live_pack_can_be_planned_and_says_that_it_is_not_live(place: Place) -> None:
    candidate = place.folder / "candidate.yaml"
    candidate.write_text(PACK.replace("{is: inbound}", "{known: true}"), encoding="utf-8")
    place.run("plan", "--rules", "candidate.yaml", "--out", "plan.json")
    done = place.run("apply", "plan.json", "--consent")
    assert done.code == 0
    assert "runs by" in done.err


def test_a_revoked_token_leaves_with_5_and_no_plan(place: Place) -> None:
    place.sandbox.revoke_token()
    failed = place.run("plan", "--out", "plan.json")
    assert failed.code == 5
    assert not (place.folder / "plan.json").exists()


@pytest.mark.parametrize("arguments", [("--cell", "lead"), ("--sample", "0"), ("--portal", "1")])
def test_options_that_make_no_sense_are_usage_errors(place: Place, arguments: tuple[str, str]) -> None:
    assert place.run("plan", *arguments).code == 2


def test_a_missing_plan_says_how_to_make_one(place: Place) -> None:
    failed = place.run("apply", "nothing.json")
    assert failed.code == 7
    assert "make it anew with `stagekeeper plan --out`" in failed.err
