"""Case files: passed, failed and errored; what is expected and not named is not judged."""

from pathlib import Path
from typing import Any

import pytest

from connector.decision import see_case
from connector.problems import Problem
from connector.rulebook.cases import CaseFile, CaseResult, judge_case, load_cases
from tests.rulebooks import rulebook_of

TIMELESS = """version: 1
pack: example
ladder: [contact, lead]
facts:
  fits: {sk_fits: {is: yes}}
stages:
  - {id: erasure, stage: null, when: {forget: {is: yes}}, because: They asked.}
  - {id: fits, stage: lead, when: fits, because: They fit.}
  - {id: everyone, stage: contact, because: So it is.}
statuses:
  - {id: closed, status: closed, when: {forget: {is: yes}}}
  - {id: hot, of: lead, status: hot, when: {any_deal: {amount: {at_least: 100}}}}
values:
  - {when: fits, set: {sk_next_step: call, sk_drip: ""}}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet}
  - {id: visit, when: {all: [{stage: lead}, {company.city: {is: Berlin}}]}, title: Visit}
actions:
  - {id: open-deal, when: {entered: lead}, create_deal: {stage: new}}
"""
TIMED = (
    TIMELESS
    + """cadences:
  - {id: write, while: {stage: contact}, every: 7 days, task: {title: Write}}
"""
)


def run(tmp_path: Path, cases: str, pack: str = TIMELESS, head: str = "") -> list[CaseResult]:
    """Run cases written as YAML under a pack."""
    file = load(tmp_path, f"pack: example.yaml\n{head}cases:\n{cases}")
    rulebook = rulebook_of(pack)
    return [judge_case(case, rulebook.pack, lambda case, now: see_case(rulebook, case, now)) for case in file.cases]


def load(tmp_path: Path, text: str) -> CaseFile:
    """Read a case file that must be without faults."""
    file, problems = _load(tmp_path, text)
    assert problems == []
    assert file is not None
    return file


def _load(tmp_path: Path, text: str) -> tuple[CaseFile | None, list[Problem]]:
    path = tmp_path / "example_test.yaml"
    path.write_text(text, "utf-8")
    return load_cases(path, shown_as="example_test.yaml")


def outcome(tmp_path: Path, contact: str, expect: str, **more: str) -> tuple[str, list[Any]]:
    """Give the result of one case, with the path, the expected and the actual of each difference."""
    lines = "".join(f"    {key}: {value}\n" for key, value in more.items())
    (result,) = run(tmp_path, f"  - name: one\n    contact: {contact}\n{lines}    expect: {expect}\n")
    return result.result, [(each.path, each.expected, each.actual) for each in result.differences]


FITS = "{sk_fits: yes}"


@pytest.mark.parametrize(
    ("contact", "expect"),
    [
        (FITS, "{stage: lead}"), (FITS, "{rule: fits}"), (FITS, "{status: null}"),
        ("{forget: yes}", "{stage: null, status: closed}"),
        (FITS, "{tasks: [greet]}"), (FITS, "{tasks: [greet, greet]}"), ("{}", "{tasks: []}"),
        (FITS, "{no_tasks: [visit]}"),
        (FITS, "{actions: [open-deal]}"), ("{}", "{actions: []}"), (FITS, "{facts: {fits: yes}}"),
        ("{}", "{facts: {fits: unknown}}"),
        (FITS, "{set: {sk_next_step: call}}"), (FITS, '{set: {sk_drip: ""}}'), (FITS, "{set: {sk_drip: null}}"),
        ("{}", "{set: {sk_drip: null}}"), ("{}", '{set: {sk_prospect_status: ""}}'), ("{}", "{set: {}}"),
        ("{sk_fits: null}", "{facts: {fits: unknown}}"), ('{sk_fits: ""}', "{facts: {fits: unknown}}"),
        ("{sk_fits: ' YES '}", "{stage: lead}"),
    ],
)  # fmt: skip
def test_a_case_passes_when_all_that_it_names_is_so(tmp_path: Path, contact: str, expect: str) -> None:
    assert outcome(tmp_path, contact, expect) == ("passed", [])


@pytest.mark.parametrize(
    ("contact", "expect", "difference"),
    [
        (FITS, "{stage: contact}", ("stage", "contact", "lead")), (FITS, "{stage: null}", ("stage", None, "lead")),
        ("{}", "{rule: fits}", ("rule", "fits", "everyone")), (FITS, "{status: hot}", ("status", "hot", None)),
        (FITS, "{tasks: []}", ("tasks", [], ["greet"])), ("{}", "{tasks: [greet]}", ("tasks", ["greet"], [])),
        (FITS, "{no_tasks: [greet, visit]}", ("no_tasks", "no greet", ["greet"])),
        (FITS, "{actions: []}", ("actions", [], ["open-deal"])),
        (FITS, "{facts: {fits: no}}", ("facts.fits", "no", "yes")),
        (FITS, "{set: {sk_next_step: mail}}", ("set.sk_next_step", "mail", "call")),
        (FITS, "{set: {sk_next_step: null}}", ("set.sk_next_step", None, "call")),
        ("{}", '{set: {sk_drip: ""}}', ("set.sk_drip", "", None)),
        ("{}", "{set: {sk_drip: true}}", ("set.sk_drip", True, None)),
    ],
)  # fmt: skip
def test_a_case_fails_with_what_was_expected_and_what_was_so(
    tmp_path: Path, contact: str, expect: str, difference: tuple[Any, ...]
) -> None:
    assert outcome(tmp_path, contact, expect) == ("failed", [difference])


def test_all_differences_of_a_case_are_told(tmp_path: Path) -> None:
    result, differences = outcome(
        tmp_path, FITS, "{stage: contact, rule: everyone, tasks: [], actions: [], facts: {fits: no}}"
    )
    assert (result, [each[0] for each in differences]) == (
        "failed",
        ["stage", "rule", "tasks", "actions", "facts.fits"],
    )


@pytest.mark.parametrize(
    ("more", "expect"),
    [
        ({"company": "{city: Berlin}"}, "{tasks: [greet, visit]}"), ({"company": "{city: null}"}, "{tasks: [greet]}"),
        ({"deals": "[{amount: 50}, {amount: 100.0}]"}, "{status: hot}"), ({"deals": "[]"}, "{status: null}"),
        ({"before": "{stage: lead}"}, "{tasks: [], actions: []}"), ({"before": "{stage: contact}"}, "{tasks: [greet]}"),
        ({"before": "{stage: contact, done: {greet: 1}}"}, "{tasks: []}"),
        ({"before": "{stage: null, status: null}"}, "{tasks: [greet]}"),
        ({"before": "{stage: contact, done: {greet: 0, open-deal: 2}}"}, "{tasks: [greet], actions: []}"),
    ],
)  # fmt: skip
def test_a_case_may_have_a_company_deals_and_a_past(tmp_path: Path, more: dict[str, str], expect: str) -> None:
    assert outcome(tmp_path, FITS, expect, **more) == ("passed", [])


def test_values_are_spelled_as_hubspot_does(tmp_path: Path) -> None:
    file = load(
        tmp_path,
        "pack: p.yaml\ncases:\n  - name: one\n"
        "    contact: {a: true, b: 5, c: 5.0, d: 1.5, e: [x, null, y], f: null, g: 2026-03-02, h: no}\n"
        "    expect: {stage: null}\n",
    )
    assert file.cases[0].subject.properties == {
        "a": "true", "b": "5", "c": "5", "d": "1.5", "e": "x;y", "f": None, "g": "2026-03-02", "h": "no",
    }  # fmt: skip


# --- errored is not failed --------------------------------------------------------------------------------------------


def errors(results: list[CaseResult]) -> list[tuple[str, list[str]]]:
    """Give each result with the codes of its problems."""
    return [(result.result, [problem.code for problem in result.problems]) for result in results]


CASE = "  - name: one\n    expect: {stage: contact}\n"


def test_a_case_without_now_errors_as_soon_as_anything_depends_on_time(tmp_path: Path) -> None:
    assert errors(run(tmp_path, CASE)) == [("passed", [])]
    assert errors(run(tmp_path, CASE, TIMED)) == [("errored", ["missing-now"])]
    assert errors(run(tmp_path, CASE, TIMED, "now: 2026-03-02\n")) == [("passed", [])]
    assert errors(run(tmp_path, CASE + "    now: 2026-03-02T09:00:00Z\n", TIMED)) == [("passed", [])]


def test_the_now_of_a_case_comes_before_that_of_the_file(tmp_path: Path) -> None:
    before = "    before: {stage: contact, since: 2026-03-01, done: {write: 1}}\n"
    cases = (
        f"  - name: too early\n{before}    expect: {{tasks: []}}\n"
        f"  - name: in time\n    now: 2026-03-08\n{before}    expect: {{tasks: [write]}}\n"
    )
    assert errors(run(tmp_path, cases, TIMED, "now: 2026-03-07T23:59:59.999Z\n")) == [("passed", [])] * 2


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "12:00", "2026"])
def test_a_time_that_nobody_can_read_is_an_error(tmp_path: Path, text: str) -> None:
    for where in (f"    now: '{text}'\n", f"    now: 2026-03-02\n    before: {{since: '{text}'}}\n"):
        assert errors(run(tmp_path, CASE + where)) == [("errored", ["unreadable-moment"])]


@pytest.mark.parametrize(
    "expect",
    ["{tasks: [grete]}", "{no_tasks: [grete]}", "{actions: [greet]}", "{rule: fitz}", "{stage: leed}",
     "{facts: {fitz: yes}}",
     "{facts: {fits: maybe}}"],
)  # fmt: skip
def test_expecting_what_the_pack_does_not_have_is_an_error(tmp_path: Path, expect: str) -> None:
    assert errors(run(tmp_path, f"  - name: one\n    expect: {expect}\n")) == [("errored", ["unknown-name"])]


@pytest.mark.parametrize("before", ["{stage: leed}", "{done: {grete: 1}}"])
def test_a_past_that_the_pack_does_not_know_is_an_error(tmp_path: Path, before: str) -> None:
    assert errors(run(tmp_path, CASE + f"    before: {before}\n")) == [("errored", ["unknown-name"])]


def test_expecting_nothing_is_an_error(tmp_path: Path) -> None:
    assert errors(run(tmp_path, "  - name: one\n    expect: {}\n")) == [("errored", ["empty-expect"])]


def test_one_case_that_errors_leaves_the_others_to_pass_and_fail(tmp_path: Path) -> None:
    cases = CASE + "  - name: two\n    expect: {stage: lead}\n  - name: three\n    expect: {stage: leed}\n"
    assert [result.result for result in run(tmp_path, cases)] == ["passed", "failed", "errored"]


# --- the shape of the file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pack: p.yaml\ncases: []\n", ["2:8 wrong-value"]),
        ("cases:\n  - {name: a, expect: {stage: x}}\n", ["1:1 missing-key"]),
        ("pack: p.yaml\ncases:\n  - {name: a, expect: {stages: x}}\n", ["3:24 unknown-key"]),
        ("pack: p.yaml\ncases:\n  - {name: a, contact: [x], expect: {stage: x}}\n", ["3:24 wrong-type"]),
        ("pack: p.yaml\ncases:\n  - {name: a, expect: {tasks: x}, before: {done: {x: many}}}\n",
         ["3:31 wrong-type", "3:54 wrong-type"]),
        ("pack: p.yaml\ncases:\n  - {name: a, expect: {stage: x}}\n  - {name: a, expect: {stage: x}}\n",
         ["4:12 duplicate-case"]),
        ("pack: p.yaml\ncases:\n  - {name: a, name: b, expect: {stage: x}}\n", ["3:15 duplicate-key"]),
        ("- a\n", ["1:1 wrong-type"]), ("pack: [\n", ["2:1 yaml-syntax"]),
    ],
)  # fmt: skip
def test_a_wrong_case_file_says_where(tmp_path: Path, text: str, found: list[str]) -> None:
    _, problems = _load(tmp_path, text)
    assert [f"{each.place.line}:{each.place.column} {each.code}" for each in problems] == found


def test_a_case_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    file, problems = load_cases(tmp_path / "nobody_test.yaml")
    assert (file, [problem.code for problem in problems]) == (None, ["file-unreadable"])


def test_the_pack_is_looked_for_beside_the_cases(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "pack: ../rules/p.yaml\ncases:\n  - {name: a, expect: {stage: x}}\n").pack
        == tmp_path / "../rules/p.yaml"
    )
