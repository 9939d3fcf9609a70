"""The manual for rule authors is true: every block is run, every table of answers judged, every code explained."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson
import pytest

from connector import cli
from connector.cli.test import run_files
from connector.config import load_config
from connector.errors import FilesInvalid
from connector.moments import read_moment
from connector.packs import load_packs
from connector.problems import Place, Problem
from connector.proving.prover import prove
from connector.rollout.source import of_file
from connector.rulebook import pack as pack_shapes
from connector.rulebook.cases import BeforeEntry, CaseEntry, CaseFileEntry, CaseSubject, ExpectEntry, load_cases
from connector.rulebook.checking import RESERVED, check_pack, load_pack, load_pack_text
from connector.rulebook.courses import NO, UNKNOWN, YES, all_of, any_of, negated
from connector.rulebook.coverage import AnswerReach, Coverage, RuleReach
from connector.rulebook.judging import NOTHING_KNOWN, Rulebook
from connector.rulebook.operators import OPERATORS
from connector.rulebook.reading import MAX_BYTES, read_bytes, read_file
from connector.rulebook.shape import Shape
from connector.rulebook.shipped import shipped_folder, shipped_packs
from tests.manual import FIRST_PACK, MANUAL, Block, Table, anchor, read_manual
from tests.problem_codes import OF_A_PORTAL, PROVEN, problem_codes
from tests.unit.test_proving_portal import misfits

BOOK = read_manual()
YAML = [block for block in BOOK.blocks if block.language == "yaml"]
NOW = (read_moment("2026-03-02T09:00:00Z") or (0, 0))[0]
PROBLEMS = "Problems and their cures"
ALL_OPERATORS = (OPERATORS | RESERVED) - {"now"}
WORDS = {"yes": YES, "no": NO, "unknown": UNKNOWN}
BASE_PORTAL = {
    "id": 4242, "access_token": "a", "client_secret": "b", "webhook_url": "https://hooks.example.com/",
    "rules": "rules/first.yaml",
}  # fmt: skip


def _named(blocks: Iterable[Block]) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in blocks]


def _of(kind: str) -> list[Any]:
    return _named(block for block in YAML if block.kind == kind)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with the manual's whole packs and the shipped ones."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in BOOK.packs().items():
        folder.joinpath(f"{name}.yaml").write_text(text, encoding="utf-8")
    for path in shipped_packs().values():
        shutil.copy(path, folder)
    return folder


# --- what blocks do ---------------------------------------------------------------------------------------------------


def _pack_problems(text: str, code: str | None = None) -> list[Problem]:
    """Give a pack's problems of shape; for a block that shows what only a proof finds, those that are proven too."""
    document, problems = read_bytes(text.encode(), file="pack.yaml")
    pack, problems = (None, problems) if document is None else check_pack(document, problems)
    if document is None or pack is None or code not in PROVEN:
        return problems
    proof = prove(pack, document, with_overlaps=code == "rules-overlap")
    return [*problems, *(finding.problem for finding in proof.findings)]


def _config_problems(text: str, rules: Path) -> list[Problem]:
    path = rules.parent / "config.yaml"
    path.write_text(text, encoding="utf-8")
    config, problems = load_config(path, environment={})
    return problems if config is None else [*problems, *load_packs(config)[1]]


def _portal(block: Block) -> str:
    return orjson.dumps({"version": 1, "portals": [{**BASE_PORTAL, **block.data}]}).decode()


def _case_problems(block: Block, rules: Path) -> list[Problem]:
    """Run a case file; give the problems of the file, or of the cases that could not be judged."""
    path = rules / "block_test.yaml"
    path.write_text(block.text, encoding="utf-8")
    before = BOOK.before(block)
    if before is not None:
        rules.joinpath("my-pack.yaml").write_text(before, encoding="utf-8")
    try:
        results = run_files([path])
    except FilesInvalid as error:
        return list(error.problems)
    assert [(result.name, result.differences) for result in results if result.result == "failed"] == []
    return [problem for result in results for problem in result.problems]


def _problems_of(block: Block, rules: Path) -> list[Problem]:
    if block.is_cases:
        return _case_problems(block, rules)
    if block.is_config or block.section == "portal" or block.kind == "portal":
        return _config_problems(block.text if block.is_config else _portal(block), rules)
    whole = block.kind == "whole" or (block.kind == "problem" and block.section is None)
    return _pack_problems(block.text if whole else BOOK.composed(block), block.code)


@pytest.mark.parametrize("block", _of("whole"))
def test_a_whole_file_has_no_problem_and_its_cases_pass(block: Block, rules: Path) -> None:
    assert _problems_of(block, rules) == []


@pytest.mark.parametrize("block", _of("fragment"))
def test_a_fragment_has_no_problem_in_the_first_pack(block: Block, rules: Path) -> None:
    assert [problem for problem in _problems_of(block, rules) if problem.code != "unused-fact"] == []


@pytest.mark.parametrize("block", _of("portal"))
def test_keys_of_a_portal_are_right(block: Block, rules: Path) -> None:
    assert _problems_of(block, rules) == []


@pytest.mark.parametrize("block", _of("problem"))
def test_a_bad_example_has_exactly_the_problem_that_it_shows(block: Block, rules: Path) -> None:
    found = {problem.code for problem in _problems_of(block, rules)} - ({"unused-fact"} - {block.code})
    assert (found, block.heading) == ({block.code}, block.code)


def test_every_block_is_of_a_language_that_is_run() -> None:
    assert {block.language for block in BOOK.blocks} == {"yaml", "sh", "text"}


# --- tables of answers ------------------------------------------------------------------------------------------------

ANSWERED = [block for block in YAML if block.answers and block.answers.head[-1] == "answer"]


def _judged(block: Block, rulebook: Rulebook, fact: str, row: tuple[str, ...]) -> str:
    assert block.answers is not None
    contact: dict[str, str | None] = {}
    company: dict[str, str | None] = {}
    deals: list[dict[str, str | None]] = []
    for head, cell in zip(block.answers.head[:-1], row[:-1], strict=True):
        of, _, name = head.rpartition(".")
        if of == "deal":
            deals = [{name: value.strip()} for value in cell.split(",")] if cell != "(no deal)" else []
        else:
            (company if of == "company" else contact)[name] = None if cell == "(empty)" else cell
    subject = CaseSubject(properties=contact, company=company, deals=tuple(deals))
    return rulebook.judge(subject, NOTHING_KNOWN, NOW)[0].facts[fact]


@pytest.mark.parametrize("block", _named(ANSWERED))
def test_a_table_gives_the_answers_of_the_block_above_it(block: Block) -> None:
    pack, _ = load_pack_text(BOOK.composed(block))
    assert pack is not None
    assert block.answers is not None
    fact = next(iter(block.data if block.section else block.data["facts"]))
    rulebook = Rulebook(pack)
    found = [(*row[:-1], _judged(block, rulebook, fact, row)) for row in block.answers.rows]
    assert found == list(block.answers.rows)


def _table(first: str, width: int) -> Table:
    return next(table for table in BOOK.tables if table.head[0] == first and len(table.head) == width)


def test_the_table_of_all_and_any_is_kleenes_logic() -> None:
    rows = _table("a", 4).rows
    shown = {(WORDS[a], WORDS[b]): (WORDS[both], WORDS[either]) for a, b, both, either in rows}
    assert shown == {pair: (all_of(pair), any_of(pair)) for pair in shown}
    assert {frozenset(pair) for pair in shown} == {frozenset({a, b}) for a in WORDS.values() for b in WORDS.values()}


def test_the_table_of_not_is_kleenes_logic() -> None:
    assert {WORDS[a]: WORDS[b] for a, b in _table("a", 2).rows} == {a: negated(a) for a in WORDS.values()}


def test_the_table_of_packs_tells_their_ladders_and_statuses() -> None:
    shown = {row[0]: (row[1], set(row[5].split(", "))) for row in _table("pack", 6).rows}
    found = {}
    for name, path in shipped_packs().items():
        pack, _ = load_pack(path)
        assert pack is not None
        found[name] = (", ".join(pack.ladder), {rule.status for rule in pack.statuses})
    assert shown == found


def test_the_table_of_seven_people_says_what_the_packs_cases_expect() -> None:
    table = _table("person", 7)
    for column, name in enumerate(table.head[1:], start=1):
        shown = {row[0][0]: row[column] for row in table.rows}
        file, problems = load_cases(shipped_folder() / f"{name}_test.yaml")
        assert (file is not None, problems) == (True, [])
        assert file is not None
        people = {case.name[6]: case.expect for case in file.cases if case.name.startswith("table ")}
        assert shown == {letter: _standing(expect) for letter, expect in people.items()}


def _standing(expect: ExpectEntry) -> str:
    return (expect.stage or "none") + (f", {expect.status}" if expect.status else "")


# --- the first chapter ------------------------------------------------------------------------------------------------


def _commands() -> Iterator[tuple[str, str | None]]:
    """Give the shell blocks with the output that stands below each."""
    following = list(BOOK.blocks)[1:]
    for block, after in zip_longest(BOOK.blocks, following):
        if block.language == "sh":
            yield block.text, after.text if after is not None and after.language == "text" else None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.fixture
def first_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the reader of the first chapter has on disk."""
    cases = next(block for block in YAML if block.is_cases and block.kind == "whole")
    folder = tmp_path / "rules"
    folder.mkdir()
    folder.joinpath("first.yaml").write_text(BOOK.packs()[FIRST_PACK], encoding="utf-8")
    folder.joinpath("first_test.yaml").write_text(cases.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _argument(command: str) -> list[str]:
    before, quote, after = command.partition('"')
    return [*before.split()[1:], *([after.removesuffix(quote)] if quote else [])]


def test_commands_of_the_first_chapter_print_what_is_shown(
    first_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = [(text, shown) for text, shown in _commands() if text.startswith(("stagekeeper test", "stagekeeper explain"))]
    assert len(run) == 2
    for text, shown in run:
        assert cli.run(_argument(text.strip())) == 0
        printed = _lines(capsys.readouterr().out)
        assert [line for line in _lines(shown or "") if line not in printed] == []


def test_a_mistyped_fact_is_reported_as_shown(first_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "rules"]) == 0
    assert capsys.readouterr().out == ""
    path = first_folder / "rules" / "first.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("when: asked,", "when: askd,"), encoding="utf-8")
    assert cli.run(["check", "rules"]) == 3
    shown = next(shown for text, shown in _commands() if text.startswith("stagekeeper check"))
    printed = _lines(capsys.readouterr().out)
    assert [line for line in _lines(shown or "") if line not in printed] == []


def test_every_command_that_is_shown_exists_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [line for text, _ in _commands() for line in text.splitlines() if line.startswith("stagekeeper")]
    assert len(shown) == 6
    for line in shown:
        name, *rest = line.split()[1:]
        assert cli.run([name, "--help"]) == 0
        options = {word for word in rest if word.startswith("--")}
        printed = capsys.readouterr().out
        assert {option for option in options if option not in printed} == set()


# --- nothing is left out ----------------------------------------------------------------------------------------------


def test_every_operator_has_its_heading_with_an_example() -> None:
    assert sorted(BOOK.under("Operators")) == sorted(ALL_OPERATORS)
    shown = {block.heading for block in YAML if block in ANSWERED or (block.is_cases and block.kind == "whole")}
    assert ALL_OPERATORS - shown == set()
    assert [name for name in ALL_OPERATORS if not any(f"{name}:" in block.text for block in _under(name))] == []


def _under(heading: str) -> list[Block]:
    return [block for block in YAML if block.heading == heading]


def test_every_problem_code_has_its_heading_and_every_such_heading_is_a_code() -> None:
    assert sorted(BOOK.under(PROBLEMS)) == sorted(problem_codes())


def test_every_problem_code_is_shown_by_an_example_or_made_here() -> None:
    shown = {block.code for block in YAML if block.kind == "problem"}
    assert problem_codes() - shown == set(MADE_HERE)


EXPLAINED: list[tuple[str, int, list[type[Shape]]]] = [
    ("How a pack is laid out", 0, [pack_shapes.PackFile]),
    ("Stages", 0, [pack_shapes.StageEntry]),
    ("Statuses", 0, [pack_shapes.StatusEntry]),
    ("Tasks", 0, [pack_shapes.TaskEntry]),
    ("Cadences", 0, [pack_shapes.CadenceEntry]),
    ("Case files", 0, [CaseFileEntry, CaseEntry]),
    ("Case files", 1, [ExpectEntry]),
]


def _keys(shapes: Iterable[type[Shape]]) -> set[str]:
    return {field.alias or name for model in shapes for name, field in model.model_fields.items()}


@pytest.mark.parametrize(("heading", "place", "shapes"), EXPLAINED)
def test_a_table_of_keys_names_them_all_and_no_others(heading: str, place: int, shapes: list[type[Shape]]) -> None:
    tables = [table for table in BOOK.tables if table.heading == heading and table.head[0] == "key"]
    shown = {key for row in tables[place].rows for key in row[0].replace("`", "").split(", ")}
    assert shown == _keys(shapes)


def test_every_other_key_is_named() -> None:
    others = (
        pack_shapes.ValueEntry, pack_shapes.AfterwardsEntry, pack_shapes.ActionEntry, pack_shapes.DealEntry,
        pack_shapes.DerivedEntry, BeforeEntry,
    )  # fmt: skip
    assert {key for key in _keys(others) if f"`{key}`" not in BOOK.text and f"{key}:" not in BOOK.text} == set()


def test_every_anchor_of_a_link_exists_once_and_every_linked_file_is_there() -> None:
    anchors = [anchor(heading) for _, heading in BOOK.headings]
    wrong = []
    for number, link in BOOK.links:
        file, _, name = link.partition("#")
        if (file and not MANUAL.parent.joinpath(file).exists()) or (name and anchors.count(name) != 1):
            wrong.append((number, link))
    assert wrong == []


def test_no_two_headings_have_the_same_anchor() -> None:
    anchors = [anchor(heading) for _, heading in BOOK.headings]
    assert [name for name in anchors if anchors.count(name) > 1] == []


def test_the_table_of_contents_names_every_chapter() -> None:
    chapters = [f"#{anchor(heading)}" for level, heading in BOOK.headings if level == 2]
    assert [link for _, link in BOOK.links if link.startswith("#")][: len(chapters)] == chapters


def test_no_line_of_prose_is_longer_than_a_page_is_wide() -> None:
    long = [line for line in BOOK.text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []


# --- problems that no block can show ----------------------------------------------------------------------------------

_PLACE = Place(file="x.yaml")


def _of_a_missing_file(folder: Path) -> list[Problem]:
    return read_file(folder / "not-there.yaml")[1]


def _of_a_large_file(_: Path) -> list[Problem]:
    return read_bytes(b"#" * (MAX_BYTES + 1), file="x.yaml")[1]


def _of_latin_letters(_: Path) -> list[Problem]:
    return read_bytes("pack: Köln".encode("latin-1"), file="x.yaml")[1]


def _of_a_broken_snapshot(folder: Path) -> list[Problem]:
    (folder / "contacts.jsonl").write_text('{"contact": "1"}\n', encoding="utf-8")
    with pytest.raises(FilesInvalid) as refused:
        list(of_file(folder / "contacts.jsonl"))
    return list(refused.value.problems)


def _of_untested_rules(_: Path) -> list[Problem]:
    reach = RuleReach(section="tasks", id="call", place=_PLACE, cases=0)
    return Coverage(pack="x", rules=(reach,), conditions=(), facts=()).gaps()


def _of_untested_answers(_: Path) -> list[Problem]:
    both = frozenset({"yes", "no"})
    reach = AnswerReach(of="fact", text="fits", place=_PLACE, wanted=both, seen=frozenset())
    return Coverage(pack="x", rules=(), conditions=(), facts=(reach,)).gaps()


MADE_HERE: dict[str, Callable[[Path], list[Problem]]] = {
    "file-unreadable": _of_a_missing_file,
    "file-too-large": _of_a_large_file,
    "not-utf-8": _of_latin_letters,
    "wrong-snapshot": _of_a_broken_snapshot,
    "untested-rule": _of_untested_rules,
    "untested-answer": _of_untested_answers,
    **{code: lambda _, code=code: misfits(code) for code in OF_A_PORTAL},  # type: ignore[misc]
}


@pytest.mark.parametrize("code", sorted(MADE_HERE))
def test_a_problem_that_no_block_can_show_comes_about_as_the_manual_says(code: str, tmp_path: Path) -> None:
    assert {problem.code for problem in MADE_HERE[code](tmp_path)} == {code}
