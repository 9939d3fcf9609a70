"""Every requirement of the shipped packs is proved: by a case that cites it, or here, or where `proved_by` says."""

import re
from collections import Counter
from pathlib import Path

import pytest

from connector.problems import Problem
from connector.rulebook.checking import load_pack
from connector.rulebook.pack import CadenceRule, Pack, TaskRule
from connector.rulebook.shipped import shipped_folder, shipped_packs
from tests import requirements
from tests.requirements import Requirement, Survey, citations, load_requirements, survey

REQUIRED = load_requirements()
COUNTS = {"SP": 24, "TW": 23, "BA": 14, "FU": 19, "BI": 19, "DE": 16}
PACKS = sorted(shipped_packs())
TOP = Path(__file__).parent.parent.parent


def _pack(name: str) -> tuple[Pack, list[Problem]]:
    pack, problems = load_pack(shipped_packs()[name])
    assert pack is not None
    return pack, problems


def _rule(pack: str, id_: str) -> TaskRule | CadenceRule:
    rules: list[TaskRule | CadenceRule] = [*_pack(pack)[0].tasks, *_pack(pack)[0].cadences]
    return {rule.id: rule for rule in rules}[id_]


def test_every_requirement_is_proved_and_every_cited_id_exists() -> None:
    found = survey(REQUIRED, citations(sorted(shipped_folder().glob("*_test.yaml"))))
    assert (found.uncited, found.unknown) == ((), ())
    assert found.is_complete


def test_requirements_are_numbered_without_holes() -> None:
    wanted = [f"{prefix}-{number:02}" for prefix, last in COUNTS.items() for number in range(1, last + 1)]
    assert list(REQUIRED) == wanted


def test_requirements_say_something_each() -> None:
    twice = [text for text, times in Counter(each.says for each in REQUIRED.values()).items() if times > 1]
    assert twice == []
    assert [each.id for each in REQUIRED.values() if len(each.says) < 20] == []


def test_files_that_are_named_as_proof_are_there() -> None:
    proofs = " ".join(each.proved_by for each in REQUIRED.values() if each.proved_by)
    named = sorted(set(re.findall(r"tests/\S+?\.py", proofs)))
    assert "tests/unit/test_requirements.py" in named
    assert [name for name in named if not TOP.joinpath(name).exists()] == []


def test_the_script_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert requirements.main() == 0
    assert "0 by nothing" in capsys.readouterr().out


def test_the_script_leaves_with_1_when_an_id_is_not_cited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("x_test.yaml").write_text("cases:\n  # SP-01 SP-99\n", encoding="utf-8")
    monkeypatch.setattr(requirements, "RULES", tmp_path)
    assert requirements.main() == 1
    out = capsys.readouterr().out.splitlines()
    assert "SP-02 is cited by no case: Anybody may be a contact, wherever we know them from." in out
    assert "SP-99 does not exist, but is cited at x_test.yaml:2" in out


def test_a_survey_tells_uncited_from_proved_elsewhere_and_cited_in_vain() -> None:
    required = {
        "SP-01": Requirement(id="SP-01", says="cited"),
        "SP-02": Requirement(id="SP-02", says="not cited"),
        "SP-03": Requirement(id="SP-03", says="not cited", proved_by="the report"),
    }
    assert survey(required, {"SP-01": ["a:1"], "SP-77": ["a:2"]}) == Survey(
        uncited=("SP-02",), proved_elsewhere=("SP-03",), unknown=("SP-77",)
    )


def test_only_comments_cite(tmp_path: Path) -> None:
    path = tmp_path / "x_test.yaml"
    path.write_text("  # SP-01, edge: TW-2\n  - name: SP-03 is only named\n", encoding="utf-8")
    assert citations([path]) == {"SP-01": ["x_test.yaml:1"], "TW-2": ["x_test.yaml:1"]}


# --- what no contact can prove ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "pack", "rule", "words"),
    [
        ("SP-15", "sales-process", "research-lead", ("what might be", "in particular")),
        ("SP-15", "sales-process", "seek-meeting", ("may be",)),
        ("SP-23", "sales-process", "next-step-proposal", ("what they said themselves",)),
        ("SP-23", "sales-process", "next-step-presentation", ("what they said themselves",)),
        ("SP-23", "sales-process", "next-step-final-review", ("what they said themselves",)),
        ("TW-07", "two-way", "nurture", ("known and wanted",)),
        ("TW-09", "two-way", "find-out-role-needs-goals", ("conversation", "what troubles them")),
        ("TW-23", "two-way", "find-out-role-needs-goals", ("the price first",)),
        ("FU-19", "follow-up", "lead-follow-up", ("small piece of value",)),
    ],
)
def test_the_notes_of_a_task_say_what_is_required(id_: str, pack: str, rule: str, words: tuple[str, ...]) -> None:
    notes = " ".join(_rule(pack, rule).body.notes.split())
    assert REQUIRED[id_].proved_by
    assert [word for word in words if word not in notes] == []


def test_follow_up_gives_leads_a_low_priority_and_prospects_a_high_one() -> None:
    ids = ("cold-call", "lead-follow-up", "prospect-follow-up")
    found = {id_: _rule("follow-up", id_).body.priority for id_ in ids}
    assert found == {"cold-call": "low", "lead-follow-up": "low", "prospect-follow-up": "high"}


def test_every_setting_and_fact_of_follow_up_decides_something() -> None:
    pack, problems = _pack("follow-up")
    text = shipped_packs()["follow-up"].read_text(encoding="utf-8")
    assert [name for name in pack.settings if f"${name}" not in text] == []
    assert problems == []  # a fact that no rule uses would be a warning


@pytest.mark.parametrize("name", PACKS)
def test_each_stage_rule_says_why(name: str) -> None:
    assert [rule.id for rule in _pack(name)[0].stages if len(rule.because) < 10] == []


@pytest.mark.parametrize("name", PACKS)
def test_each_status_says_why(name: str) -> None:
    assert [rule.id for rule in _pack(name)[0].statuses if len(rule.because) < 10] == []
