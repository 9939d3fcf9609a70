"""`test --update`: what differs is replaced where it stands, and nothing else in the file changes."""

from pathlib import Path

import pytest

from connector.decision import see_case
from connector.rulebook.cases import CaseResult, judge_case, load_cases
from connector.rulebook.rewriting import Rewrite, rewritten
from connector.rulebook.splicing import spelled
from tests.rulebooks import rulebook_of

PACK = """version: 1
pack: example
ladder: [contact, lead]
facts:
  fits: {sk_fits: {is: yes}}
  fine: {sk_fine: {is: yes}}
stages:
  - {id: fits, stage: lead, when: fits, because: They fit.}
  - {id: everyone, stage: contact, because: So it is.}
statuses:
  - {id: hot, of: lead, status: hot, when: fine}
values:
  - {when: fits, set: {sk_next_step: "call, then mail", sk_drip: ""}}
tasks:
  - {id: greet, when: {entered: lead}, title: Greet}
  - {id: visit, when: {all: [{stage: lead}, fine]}, title: Visit}
  - {id: ring, when: {stage: lead}, title: Ring}
actions:
  - {id: open-deal, when: {entered: lead}, create_deal: {stage: new}}
"""
FITS, FINE = "{sk_fits: yes}", "{sk_fits: yes, sk_fine: yes}"


def judged(text: str, tmp_path: Path) -> list[CaseResult]:
    """Judge the cases of a file."""
    path = tmp_path / "example_test.yaml"
    path.write_bytes(text.encode())
    rulebook = rulebook_of(PACK)
    file, problems = load_cases(path, shown_as="example_test.yaml")
    assert problems == []
    assert file is not None
    return [judge_case(case, rulebook.pack, lambda case, now: see_case(rulebook, case, now)) for case in file.cases]


def update(text: str, tmp_path: Path) -> tuple[str, list[Rewrite]]:
    """Rewrite what fails."""
    failed = [result for result in judged(text, tmp_path) if result.result == "failed"]
    return rewritten(text, failed)


def file_of(expect: str, contact: str = FITS) -> str:
    """Make a case file with one case; the text of `expect` begins behind the colon."""
    return f"pack: example.yaml\ncases:\n  - name: one\n    contact: {contact}\n    expect:{expect}\n"


@pytest.mark.parametrize(
    ("contact", "before", "after"),
    [
        (FITS, " {stage: contact}", " {stage: lead}"),
        ("{}", " {stage:   'lead' ,rule: \"fits\"}   # why", " {stage:   'contact' ,rule: \"everyone\"}   # why"),
        ("{}", "\n      # above\n      stage: lead     # beside\n\n      # below\n      status: null",
               "\n      # above\n      stage: contact     # beside\n\n      # below\n      status: null"),
        (FINE, " {status: null, stage: lead}", " {status: hot, stage: lead}"),
        (FINE, "\n      status:      # none yet\n      stage: lead",
               "\n      status: hot      # none yet\n      stage: lead"),
        (FINE, " {status, stage: }", " {status: hot, stage: lead }"),
        (FITS, " {status: hot}", " {status: null}"),
        (FITS, " {facts: {fits: no,   fine: 'yes'}}", " {facts: {fits: yes,   fine: 'unknown'}}"),
        (FITS, "\n      set:\n        sk_next_step: mail\n        sk_drip: x   # cleared",
               "\n      set:\n        sk_next_step: call, then mail\n        sk_drip: \"\"   # cleared"),
        (FITS, " {set: {sk_next_step: mail, sk_drip: null}}",
               " {set: {sk_next_step: \"call, then mail\", sk_drip: null}}"),
        (FITS, "\n      set:\n        sk_next_step: |\n          mail\n      stage: contact",
               "\n      set:\n        sk_next_step: call, then mail\n      stage: lead"),
        ("{}", " {set: {sk_next_step: mail}}", " {set: {sk_next_step: null}}"),
        (FITS, " {actions: []}", " {actions: [open-deal]}"), ("{}", " {actions: [ open-deal ]}", " {actions: []}"),
        (FITS, " {tasks: [visit, ring,greet]}", " {tasks: [ring,greet]}"),
        (FITS, " {tasks: [ visit ]}", " {tasks: [ greet, ring ]}"),
        (FITS, " {tasks: [greet, visit]}", " {tasks: [greet, ring]}"),
        (FITS, " {tasks: [greet, greet, visit]}", " {tasks: [greet, greet, ring]}"),
        (FINE, " {tasks: ['greet']}", " {tasks: ['greet', visit, ring]}"),
        (FITS, "\n      tasks: [\n        greet,   # first\n        visit,   # second\n      ]",
               "\n      tasks: [\n        greet, ring,   # second\n      ]"),
        (FITS, " {no_tasks: [ring, visit, greet]}", " {no_tasks: [visit]}"),
        (FITS, " {no_tasks: [ring]}", " {no_tasks: []}"),
        (FINE, "\n      tasks:\n        # said of greet\n        - greet   # beside\n        # below",
               ("\n      tasks:\n        # said of greet\n        - greet   # beside\n        - visit\n        - ring\n"
                "        # below")),
        (FITS, "\n      tasks:\n      - greet\n      - visit # gone\n      - ring",
               "\n      tasks:\n      - greet\n      - ring"),
        (FITS, "\n      tasks:\n        - 'visit'   # beside",
               "\n      tasks:\n        - 'greet'   # beside\n        - ring"),
        ("{}", "\n      tasks:  # none\n        - greet\n        - ring\n      stage: contact",
               "\n      tasks: []  # none\n      stage: contact"),
    ],
)  # fmt: skip
def test_an_expectation_is_replaced_where_it_stands(contact: str, before: str, after: str, tmp_path: Path) -> None:
    new, rewrites = update(file_of(before, contact), tmp_path)
    assert new == file_of(after, contact)
    assert [rewrite.left_alone for rewrite in rewrites] == [""] * len(rewrites)
    assert [result.result for result in judged(new, tmp_path)] == ["passed"]


TWO = """# about this file
pack: example.yaml   # the pack

cases:
  # passes: nobody touches it
  - name: passes
    contact: { sk_fits: yes }
    expect:   { stage: lead,   tasks: [ ring , greet ] }


  - name: fails
    expect: {stage: lead}   # wrong
"""


def test_what_was_changed_is_told_and_a_case_that_passes_is_not_touched(tmp_path: Path) -> None:
    new, rewrites = update(TWO, tmp_path)
    assert new == TWO.replace("{stage: lead}   # wrong", "{stage: contact}   # wrong")
    assert rewrites == [Rewrite(case="fails", path="stage", before="lead", after="contact")]


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    text = "\ufeff" + file_of("\n      tasks:\n        - greet").replace("\n", "\r\n")
    new, _ = update(text, tmp_path)
    assert new == "\ufeff" + file_of("\n      tasks:\n        - greet\n        - ring").replace("\n", "\r\n")


def test_the_last_line_need_not_end(tmp_path: Path) -> None:
    text = file_of("\n      tasks:\n        - greet").rstrip("\n")
    assert update(text, tmp_path)[0] == f"{text}\n        - ring"
    text = file_of("\n      stage: lead\n      tasks:\n        - greet\n        - ring\n        - visit").rstrip("\n")
    assert update(text, tmp_path)[0] == text.removesuffix("        - visit")


def test_what_an_alias_shares_is_left_alone(tmp_path: Path) -> None:
    text = """pack: example.yaml
cases:
  - {name: one, contact: {sk_fits: yes}, expect: &all {stage: contact}}
  - {name: two, contact: {}, expect: *all}
  - {name: three, contact: {sk_fits: yes}, expect: {stage: &s contact}}
  - {name: four, contact: {sk_fits: yes}, expect: {rule: everyone}}
"""
    new, rewrites = update(text, tmp_path)
    assert new == text.replace("{rule: everyone}", "{rule: fits}")
    assert [(one.case, bool(one.left_alone)) for one in rewrites] == [("one", True), ("three", True), ("four", False)]


@pytest.mark.parametrize(
    ("value", "style", "flow", "text"),
    [
        ("lead", None, False, "lead"), ("lead", "'", False, "'lead'"), ("lead", '"', True, '"lead"'),
        ("it's", "'", False, "'it''s'"), ("a: b", None, False, '"a: b"'), ("a, b", None, False, "a, b"),
        ("a, b", None, True, '"a, b"'), ("a # b", None, False, '"a # b"'), ("true", None, False, '"true"'),
        ("yes", None, False, "yes"), ("5", None, False, '"5"'), ("", None, False, '""'), ("null", None, True, '"null"'),
        ("two\nlines", "'", False, '"two\\nlines"'), ("*a", None, False, '"*a"'), ("]", None, True, '"]"'),
        ("- a", None, False, '"- a"'), (" a", None, False, '" a"'), (None, "'", True, "null"), ("ü", None, False, "ü"),
    ],
)  # fmt: skip
def test_a_value_is_written_so_that_it_is_read_as_the_same(
    value: str | None, style: str | None, flow: bool, text: str
) -> None:
    assert spelled(value, style=style, flow=flow) == text
