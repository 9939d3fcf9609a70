"""`stagekeeper test` as people and machines use it: filters, watching, reports, coverage, and rewriting on request."""

import json
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.running import Ran, running, stagekeeper, wait_until

PACK = """version: 1
pack: small
ladder: [contact, lead]
facts:
  fits: {sk_fits: {is: yes}}
stages:
  - {id: fits, stage: lead, when: fits, because: They fit.}
  - {id: everyone, stage: contact, because: So it is.}
statuses:
  - {id: hot, of: lead, status: hot, when: {sk_hot: {is: yes}}}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet}
"""
CASES = """pack: small.yaml
cases:
  - name: fits, and is a lead
    contact: {sk_fits: yes}
    expect: {stage: lead, tasks: [greet]}
  # to be corrected
  - name: fits, wrongly a contact   # stays
    contact: {sk_fits: yes, sk_hot: yes}
    expect: {stage: contact,  no_tasks: [greet]}
  - name: knows <no> bounds & "quotes" \\a
    contact: {}
    expect: {stage: lead}
  - name: names what is not there
    expect: {rule: fitz}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one pack whose cases pass, fail and error."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "small.yaml").write_text(PACK, encoding="utf-8")
    (rules / "small_test.yaml").write_text(CASES.replace("\\a", "bell"), encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: object) -> Ran:
    return stagekeeper("test", "rules", *arguments, folder=folder)


def names(done: Ran) -> list[str]:
    return [case["name"] for case in json.loads(done.out)["cases"]]


# --- filters ----------------------------------------------------------------------------------------------------------

FITS, WRONGLY, BOUNDS, ABSENT = (
    "fits, and is a lead", "fits, wrongly a contact", 'knows <no> bounds & "quotes" bell', "names what is not there",
)  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "kept", "code"),
    [
        ([], [FITS, WRONGLY, BOUNDS, ABSENT], 4), (["-k", "FITS"], [FITS, WRONGLY], 4), (["-k", "lead"], [FITS], 0),
        (["--case", FITS], [FITS], 0), (["--case", FITS, "--case", ABSENT], [FITS, ABSENT], 4),
        (["--rule", "greet"], [FITS, WRONGLY], 4), (["--rule", "hot"], [WRONGLY], 4),
        (["--rule", "fits", "-k", "wrong"], [WRONGLY], 4), (["--rule", "everyone"], [BOUNDS], 4),
    ],
    ids=str,
)  # fmt: skip
def test_only_the_cases_that_are_asked_for_are_run(
    folder: Path, filters: list[str], kept: list[str], code: int
) -> None:
    done = run(folder, *filters, "--format", "json")
    assert (names(done), done.code) == (kept, code)


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (["--rule", "grete"], "no pack has a rule 'grete'; did you mean 'greet'?"),
        (["--case", "fits, and is a leed"], "did you mean 'fits, and is a lead'?"),
        (["-k", "nothing like it"], "none of 4 cases fits"), (["-k", "lead", "--rule", "hot"], "none of 4 cases fits"),
    ],
    ids=str,
)  # fmt: skip
def test_asking_for_no_case_at_all_is_a_mistake(folder: Path, filters: list[str], said: str) -> None:
    done = run(folder, *filters)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


# --- reports ----------------------------------------------------------------------------------------------------------


def test_json_is_as_the_contract_says_and_holds_nothing_else(folder: Path) -> None:
    data = json.loads(run(folder, "--format", "json").out)
    assert {key: data[key] for key in data if key != "cases"} == {"passed": 1, "failed": 2, "errored": 1}
    assert {tuple(case) for case in data["cases"]} == {("file", "name", "result", "differences")}
    assert {tuple(one) for case in data["cases"] for one in case["differences"]} == {("path", "expected", "actual")}
    assert data["cases"][1] == {
        "file": "rules/small_test.yaml", "name": WRONGLY, "result": "failed",
        "differences": [
            {"path": "stage", "expected": "contact", "actual": "lead"},
            {"path": "no_tasks", "expected": "no greet", "actual": ["greet"]},
        ],
    }  # fmt: skip
    (why,) = data["cases"][3]["differences"]
    assert (data["cases"][3]["result"], why["path"]) == ("errored", "unknown-name")
    assert "'fitz'" in why["actual"]
    assert "'fits'" in why["expected"]


def test_junit_is_what_build_servers_read(folder: Path) -> None:
    done = run(folder, "--format", "junit")
    assert done.out.startswith('<?xml version="1.0" encoding="utf-8"?>\n<testsuite ')
    suite = ET.fromstring(done.out)  # noqa: S314 - our own output
    head = dict(suite.attrib)
    assert re.fullmatch(r"\d+\.\d{3}", head.pop("time"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", head.pop("timestamp"))
    assert (suite.tag, head) == ("testsuite", {
        "name": "stagekeeper", "tests": "4", "failures": "2", "errors": "1", "skipped": "0"})  # fmt: skip

    cases = list(suite)
    assert {case.tag for case in cases} == {"testcase"}
    assert [(case.get("classname"), case.get("name"), case.get("file"), case.get("line")) for case in cases] == [
        ("rules/small_test.yaml", name, "rules/small_test.yaml", line)
        for name, line in ((FITS, "3"), (WRONGLY, "7"), (BOUNDS, "10"), (ABSENT, "13"))
    ]
    assert all(re.fullmatch(r"\d+\.\d{3}", case.get("time") or "") for case in cases)
    assert [[(one.tag, one.get("type")) for one in case] for case in cases] == [
        [], [("failure", "expectation")], [("failure", "expectation")], [("error", "unknown-name")],
    ]  # fmt: skip
    failure = cases[1][0]
    assert failure.get("message") == "stage: expected 'contact', got 'lead'"
    assert (failure.text or "").splitlines() == [
        "stage: expected 'contact', got 'lead'", "no_tasks: expected 'no greet', got ['greet']"]  # fmt: skip


def test_junit_stays_well_formed_whatever_a_case_is_called(folder: Path) -> None:
    (folder / "rules" / "small_test.yaml").write_text(
        'pack: small.yaml\ncases: [{name: "bell \\a, null \\0, \\uffff <&>", expect: {stage: lead}}]\n'
    )
    suite = ET.fromstring(run(folder, "--format", "junit").out)  # noqa: S314 - our own output
    assert suite[0].get("name") == "bell \ufffd, null \ufffd, \ufffd <&>"


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_coverage_says_which_rules_and_answers_are_reached(folder: Path) -> None:
    data = json.loads(run(folder, "-k", "fits", "--coverage", "--format", "json").out)["coverage"]
    (pack,) = data["packs"]
    assert (pack["pack"], pack["file"], pack["reached"], pack["wanted"]) == ("small", "rules/small.yaml", 8, 14)
    assert data["percent"] == pack["percent"] == 57.1
    assert [(rule["section"], rule["id"], rule["cases"]) for rule in pack["rules"]] == [
        ("stages", "fits", 2), ("stages", "everyone", 0), ("statuses", "hot", 1), ("tasks", "greet", 2)]  # fmt: skip
    by_text = {one["text"]: (one["of"], one["seen"], one["missing"]) for one in pack["conditions"]}
    assert by_text == {
        "sk_fits is yes": ("contact", ["yes"], ["no", "unknown"]),
        "sk_hot is yes": ("contact", ["yes", "unknown"], ["no"]),
        "entered lead": ("decision", ["yes"], ["no"]),
    }
    assert pack["facts"] == [{
        "of": "fact", "text": "fits", "place": "rules/small.yaml:5:20", "wanted": ["yes", "no"], "seen": ["yes"],
        "missing": ["no"]}]  # fmt: skip


def test_coverage_is_a_table_for_people(folder: Path) -> None:
    done = run(folder, "-k", "fits", "--coverage")
    assert "rules/small.yaml: 8 of 14 rules and answers reached (57.1 %)" in done.out
    rows = [line.split() for line in done.out.splitlines()]
    assert ["stages", "everyone", "none", "rules/small.yaml:8:5"] in rows
    assert ["contact", "sk_hot", "is", "yes", "seen", "missing", "seen", "rules/small.yaml:10:54"] in rows


@pytest.mark.parametrize(("percent", "code"), [(57, 0), (58, 4)])
def test_too_little_coverage_fails_where_that_is_asked_for(folder: Path, percent: int, code: int) -> None:
    (folder / "rules" / "small_test.yaml").write_text(CASES.replace("stage: contact,  no_tasks", "tasks"))
    assert run(folder, "-k", "fits", "--fail-under", percent).code == code


# --- rewriting --------------------------------------------------------------------------------------------------------


def test_nothing_is_rewritten_unless_it_is_asked_for(folder: Path) -> None:
    path = folder / "rules" / "small_test.yaml"
    before = path.read_bytes()
    for more in ([], ["--coverage"], ["--format", "json"], ["--format", "junit"]):
        run(folder, *more)
    assert path.read_bytes() == before


def test_update_rewrites_what_failed_and_tells_it(folder: Path) -> None:
    path = folder / "rules" / "small_test.yaml"
    before = path.read_text()
    done = run(folder, "--update")
    assert path.read_text() == before.replace(
        "{stage: contact,  no_tasks: [greet]}", "{stage: lead,  no_tasks: []}"
    ).replace("expect: {stage: lead}\n", "expect: {stage: contact}\n")
    assert done.out.splitlines()[:3] == [
        f"updated rules/small_test.yaml: {WRONGLY}: stage: 'contact' is now 'lead'",
        f"updated rules/small_test.yaml: {WRONGLY}: no_tasks: ['greet'] is now []",
        f"updated rules/small_test.yaml: {BOUNDS}: stage: 'lead' is now 'contact'",
    ]
    assert done.out.endswith("3 passed, 0 failed, 1 errored\n")
    assert done.code == 4, "what could not be judged is not corrected by rewriting"


def test_update_with_a_filter_rewrites_those_cases_alone(folder: Path) -> None:
    path = folder / "rules" / "small_test.yaml"
    before = path.read_text()
    done = run(folder, "--update", "--rule", "everyone", "--format", "json")
    assert path.read_text() == before.replace("expect: {stage: lead}\n", "expect: {stage: contact}\n")
    data = json.loads(done.out)
    assert done.code == 0
    assert data["updated"] == [{
        "file": "rules/small_test.yaml", "case": BOUNDS, "path": "stage", "before": "lead", "after": "contact",
        "left_alone": ""}]  # fmt: skip
    assert (data["passed"], data["failed"]) == (1, 0)


def test_update_of_cases_that_pass_changes_nothing(folder: Path) -> None:
    path = folder / "rules" / "small_test.yaml"
    before = path.stat().st_mtime_ns
    assert run(folder, "--update", "--case", FITS).out == "1 passed, 0 failed, 0 errored\n"
    assert path.stat().st_mtime_ns == before


# --- watching ---------------------------------------------------------------------------------------------------------


def test_watch_runs_again_after_each_change_and_ends_well(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pack = folder / "rules" / "small.yaml"
    with running("test", "rules", "-k", "fits", "--watch", folder=folder, log=log) as process:
        wait_until(lambda: b"1 passed, 1 failed" in log.read_bytes(), what="the first run")
        wait_until(lambda: b"waiting for changes" in log.read_bytes(), what="the first wait")
        pack.write_text(PACK.replace("stage: lead, when: fits", "stage: leed, when: fits"))
        wait_until(lambda: b"unknown-stage" in log.read_bytes(), what="the run with a fault")
        pack.write_text(PACK.replace("sk_fits", "sk_other"))
        wait_until(lambda: b"expected 'lead', got 'contact'" in log.read_bytes(), what="the run after the change")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    said = log.read_text()
    assert "Traceback" not in said
    assert "\x1b" not in said, "a screen is cleared on a terminal only"


@pytest.mark.parametrize("more", [["--update"], ["--format", "json"], ["--format", "junit"]], ids=" ".join)
def test_watching_is_for_people(folder: Path, more: list[str]) -> None:
    done = run(folder, "--watch", *more)
    assert (done.code, done.out) == (2, "")
