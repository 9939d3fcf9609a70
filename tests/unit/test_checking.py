"""Files with faults, each saying itself which faults it has: all are found in one run, with line and column."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.test import run_files
from connector.config import load_config
from connector.decision import see_case
from connector.errors import FilesInvalid
from connector.packs import load_packs
from connector.problems import Place, Problem, is_broken, nearest
from connector.rulebook.cases import judge_case, load_cases
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.coverage import cover
from connector.rulebook.judging import Rulebook
from tests.problem_codes import OF_A_PORTAL, PROVEN, problem_codes

FOLDER = Path(__file__).parent.parent / "data" / "rules_bad"
FILES = sorted(FOLDER.glob("*.yaml"))
ENVIRONMENT = {"MODE": "sombre-secret"}
SHOWN_ELSEWHERE = {"file-unreadable", "file-too-large", "wrong-snapshot"}
"""These cannot stand in a file of the folder; `test_reading.py` and `test_plan_and_apply.py` show them."""


def problems_of(path: Path) -> set[Problem]:
    """Find everything that `check`, `test` and a start would find in a file."""
    if path.name.endswith("_test.yaml"):
        return set(_in_cases(path))
    if path.name.startswith("config"):
        config, found = load_config(path, ENVIRONMENT)
        return {*found, *(load_packs(config)[1] if config else ())}
    return set(load_pack(path)[1])


def _in_cases(path: Path) -> Iterator[Problem]:
    try:
        run_files([path])
    except FilesInvalid as error:
        yield from error.problems
    cases, found = load_cases(path)
    yield from found
    if cases is None or not cases.pack.exists():
        return
    pack, _ = load_pack(cases.pack)
    assert pack is not None
    rulebook = Rulebook(pack)
    judged = [(case, judge_case(case, pack, lambda case, now: see_case(rulebook, case, now))) for case in cases.cases]
    for _, result in judged:
        yield from result.problems
    if path.name.startswith("untested"):
        yield from cover(rulebook, [(case, result.seen) for case, result in judged if result.seen]).gaps()


def said(problem: Problem) -> str:
    """Write a problem as the headers of the files do."""
    mark = " warning" if problem.severity == "warning" else ""
    other = "" if Path(problem.place.file).name in {path.name for path in FILES} else "?"
    return f"{other}{Path(problem.place.file).name}:{problem.place.line}:{problem.place.column} {problem.code}{mark}"


def expected(path: Path) -> list[str]:
    """Read the faults that a file says it has: `# expect: 7:5 code`, or `# expect: other.yaml:7:5 code`."""
    lines = re.findall(rb"^# expect: (?:(\S+\.yaml):)?(\d+:\d+ .+)$", path.read_bytes(), re.MULTILINE)
    return sorted(f"{file.decode() or path.name}:{rest.decode().strip()}" for file, rest in lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fault_of_a_file_is_found_in_one_run_at_its_place(path: Path) -> None:
    assert sorted(said(problem) for problem in problems_of(path)) == expected(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_problem_says_where_and_what_in_one_line_and_what_to_do(path: Path) -> None:
    for problem in problems_of(path):
        assert re.fullmatch(r"\S+\.yaml:\d+:\d+: [a-z0-9-]+: (warning: )?\S.*", str(problem))
        assert problem.expected or problem.cure, problem
        assert "\n" not in str(problem)


def test_no_problem_of_a_configuration_shows_a_value_that_may_be_secret() -> None:
    said = "\n".join(map(str, problems_of(FOLDER / "config.yaml")))
    assert "sombre" not in said
    assert "12345678" not in said


# --- every code -------------------------------------------------------------------------------------------------------

def test_every_code_that_the_product_knows_is_shown_by_a_file() -> None:
    shown = {problem.code for path in FILES for problem in problems_of(path)}
    assert problem_codes() - SHOWN_ELSEWHERE - PROVEN - OF_A_PORTAL == shown


# --- what a file in the folder cannot show ----------------------------------------------------------------------------


def test_a_pack_with_warnings_alone_is_taken() -> None:
    pack, problems = load_pack(FOLDER / "warnings.yaml")
    assert pack is not None
    assert problems != []
    assert not is_broken(problems)


def test_a_pack_is_the_same_by_its_hash_exactly_when_its_data_is() -> None:
    text = (FOLDER / "good.yaml").read_text("utf-8")
    hashes = [load_pack_text(each)[0] for each in (text, "# a comment\n" + text, text.replace("30 days", "31 days"))]
    assert [pack.hash == hashes[0].hash for pack in hashes if pack and hashes[0]] == [True, True, False]


def test_a_broken_ladder_and_missing_facts_are_not_blamed_on_every_condition() -> None:
    text = """version: 1
pack: p
ladder: none
stages:
  - {id: a, stage: lead, when: {stage: lead, x: {iz: 1}}, because: b}
  - {id: b, stage: lead, when: fits, because: b}
"""
    assert [problem.code for problem in load_pack_text(text)[1]] == ["wrong-type", "unknown-operator"]


def test_the_nearest_word_is_suggested_and_without_one_the_words_there_are() -> None:
    assert nearest("staus", ["status", "stage"]) == "did you mean 'status'?"
    assert nearest("zzz", ["b", "a"]) == "there is: a, b"
    assert nearest("zzz", map(str, range(20))).endswith("and 8 more")
    assert nearest("zzz", []) == ""


def test_a_problem_is_one_line_of_text_and_the_same_fields_as_data() -> None:
    problem = Problem(
        place=Place(file="a.yaml", line=2, column=3), code="x", found="f", expected="e", cure="c", severity="warning"
    )
    assert str(problem) == "a.yaml:2:3: x: warning: f; e; c"
    assert problem.as_json() == {
        "place": "a.yaml:2:3", "file": "a.yaml", "line": 2, "column": 3, "code": "x", "found": "f", "expected": "e",
        "cure": "c", "severity": "warning",
    }  # fmt: skip
