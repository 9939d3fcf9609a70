"""YAML 1.2 with places, strictly: every fault of a file in one run, and no bytes that raise."""

import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.problems import Place
from connector.rulebook.cases import load_cases
from connector.rulebook.checking import check_pack, load_pack_text
from connector.rulebook.reading import MAX_BYTES, Document, read_bytes, read_file, walk
from tests.rulebooks import proof


def data(text: str | bytes) -> Any:
    """Read a text that must be without faults."""
    document, problems = read_bytes(text if isinstance(text, bytes) else text.encode(), file="f.yaml")
    assert problems == []
    assert document is not None
    return document.data


def faults(text: str | bytes) -> list[str]:
    """Give `line:column code` of every fault."""
    problems = read_bytes(text if isinstance(text, bytes) else text.encode(), file="f.yaml")[1]
    return [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in problems]


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "Yes", "NO", "y", "n"])
@pytest.mark.parametrize("head", ["", "%YAML 1.2\n---\n", "%YAML 1.1\n---\n"])
def test_yes_no_and_on_are_text_whatever_version_the_file_claims(word: str, head: str) -> None:
    assert data(f"{head}a: {word}\n") == {"a": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("!!bool yes", "yes"), ("null", None), ("~", None), ("", None), ("5", 5),
        ("-5", -5),
        ("0x1F", 31), ("0o17", 15), ("010", 10), ("1.50", 1.5), ("1e3", 1000.0), (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("12_34", "12_34"), ("1:30", "1:30"), ("2026-03-02", "2026-03-02"),
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("+49 30", "+49 30"), ("'5'", "5"), ('"yes"', "yes"), ("!!str 5", "5"), ("!!int x", "x"), ("1.2.3", "1.2.3"),
        ("1" * 30, int("1" * 30)), ("1" * 5000, "1" * 5000), ("$name", "$name"), ("a b", "a b"), ("=", "="),
        ("<<", "<<"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    assert data(f"a: {text}\n") == {"a": value}
    assert type(data(f"a: {text}\n")["a"]) is type(value)


def test_a_folded_text_is_one_line_and_nothing_of_its_breaks_is_left() -> None:
    assert data("a: >\n  one\n  two\n\n  three\nb: >-\n  last\n  line\n") == {
        "a": "one two\nthree\n", "b": "last line",
    }  # fmt: skip


def test_keys_are_texts() -> None:
    assert data("5: a\ntrue: b\n~: c\n2026-03-02: d\n") == {"5": "a", "true": "b", "~": "c", "2026-03-02": "d"}


def test_anchors_and_aliases_are_taken_and_an_anchor_may_be_given_anew() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data("a: &x [1]\nb: *x\nc: &x 2\nd: *x\n") == {"a": [1], "b": [1], "c": 2, "d": 2}


def test_every_key_and_value_knows_its_place() -> None:
    document, _ = read_bytes(b"a:\n  - b: 1\n    c: x\n", file="f.yaml")
    assert document is not None
    assert document.place(("a", 0, "c")) == Place(file="f.yaml", line=3, column=5)
    assert document.value_place(("a", 0, "c")) == Place(file="f.yaml", line=3, column=8)
    assert document.value_place(("a", 0, "missing")) == Place(file="f.yaml", line=2, column=5)
    assert document.place(("nothing",)) == Place(file="f.yaml")


def test_walking_gives_every_value_with_its_path_from_the_top_down() -> None:
    assert list(walk({"a": [1, {"b": 2}]})) == [
        ((), {"a": [1, {"b": 2}]}), (("a",), [1, {"b": 2}]), (("a", 0), 1), (("a", 1), {"b": 2}), (("a", 1, "b"), 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", ["3:1 duplicate-key"]),
        ("a: 1\nb: {c: 1, c: 2}\na: 3\n", ["2:11 duplicate-key", "3:1 duplicate-key"]),
        ("1: a\n'1': b\n", ["2:1 duplicate-key"]),
        ("a: !!python/object/apply:os.system [x]\n", ["1:4 unsafe-tag"]),
        ("a: !x {b: !y 1}\n!z c: 1\n", ["1:4 unsafe-tag", "1:11 unsafe-tag", "2:1 unsafe-tag"]),
        ("!!python/name:os.system a: 1\n", ["1:1 unsafe-tag"]),
        ("a: !!binary aGk=\nb: !!set {x}\nc: !!omap [x: 1]\n", ["1:4 unsafe-tag", "2:4 unsafe-tag", "3:4 unsafe-tag"]),
        ("? [a]\n: b\n? {c: d}\n: e\n", ["1:3 wrong-key", "3:3 wrong-key"]),
        ("a: \"\\ud800\"\n\"\\udc00\": 1\n", ["1:4 broken-text", "2:1 broken-text"]),
        ("a: 1\n---\nb: 2\n", ["2:1 yaml-syntax"]),
        ("a: 1\n...\n---\nb: 2\n", ["3:1 yaml-syntax"]),
        ("a: [1, 2\nb: 3\n", ["2:2 yaml-syntax"]),
        ("a:\n\t- b\n", ["2:1 yaml-syntax"]),
        ("a: b: c\n", ["1:5 yaml-syntax"]),
        ("a: *nobody\n", ["1:4 yaml-syntax"]),
        ("a: {{ contact.x }}\n", ["1:5 wrong-key"]),
        ("a: @b\n", ["1:4 yaml-syntax"]),
        ("%YAML 3.0\n---\na: 1\n", ["1:1 yaml-syntax"]),
        ("a: \x00\n", ["1:1 yaml-syntax"]),
        ("", ["1:1 empty-file"]), ("# only words\n", ["1:1 empty-file"]), ("\ufeff", ["1:1 empty-file"]),
        ("---\n...\n", []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_with_its_place(text: str, found: list[str]) -> None:
    assert faults(text) == found


def test_a_key_that_stands_twice_cites_the_first() -> None:
    problems = read_bytes(b"a: 1\n\n  \na: 2\n", file="f.yaml")[1]
    assert str(problems[0]) == "f.yaml:4:1: duplicate-key: 'a' stands twice; the first is at 1:1; remove one of them"


def test_a_byte_order_mark_and_windows_line_ends_are_taken() -> None:
    assert data(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "raw", [b"a: 1\nb: \xe4\n", b"a: 1\n\xff\xfea", "a: 1\nb: ä\n".encode("latin-1"), b"a: 1\n\xed\xa0\x80"]
)
def test_what_is_not_utf_8_is_reported_with_its_line(raw: bytes) -> None:
    assert faults(raw) == ["2:1 not-utf-8"]


def test_utf_16_is_not_utf_8() -> None:
    assert faults("a: 1\n".encode("utf-16")) == ["1:1 not-utf-8"]


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert [fault.split()[1] for fault in faults("\n".join(lines))] == ["too-much"]


def test_an_alias_inside_itself_is_refused() -> None:
    assert faults("a: &a [*a]\n") == ["1:4 too-much"]
    assert faults("a: &a {b: *a}\n") == ["1:4 too-much"]


@pytest.mark.parametrize(
    "text", ["[" * 2_000, "{a: " * 100_000, "- " * 100_000, "[" * 70 + "]" * 70, "a: " + "[" * 900]
)
def test_deep_nesting_is_refused(text: str) -> None:
    assert [fault.split()[1] for fault in faults(text)] in (["yaml-syntax"], ["too-much"])


@pytest.mark.parametrize(
    "text",
    ["a: b #" + "#" * 1_000_000, "!" * 1_000_000, "[" + "a," * 500_000 + "]", "- !x y\n" * 140_000, "- a\n" * 250_000,
     "a: 1\n" * 200_000, "{" * 1_000_000, "? " * 500_000],
)  # fmt: skip
def test_a_file_that_would_take_long_is_given_up(text: str) -> None:
    """Each of these takes the parser minutes, or hours."""
    began = time.monotonic()
    assert [fault.split()[1] for fault in faults(text)] in (["too-much"], ["yaml-syntax"])
    assert time.monotonic() - began < 60


def test_faults_without_end_are_reported_up_to_a_thousand() -> None:
    assert len(faults("a: 1\n" * 3_000)) == 1_000


def test_fifty_levels_are_not_deep() -> None:
    assert faults("[" * 50 + "]" * 50) == []


def test_a_file_over_one_mebibyte_is_refused_without_being_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * MAX_BYTES)
    document, problems = read_file(path, shown_as="large.yaml")
    assert (document, [problem.code for problem in problems]) == (None, ["file-too-large"])


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_a_problem_and_no_exception(tmp_path: Path, name: str) -> None:
    document, problems = read_file(tmp_path / name)
    assert (document, [problem.code for problem in problems]) == (None, ["file-unreadable"])
    assert str(problems[0].place).endswith(":1:1")


_YAML_LIKE = st.text(alphabet="abn:-?,[]{}#&*!|>'\"%@`~=.<\\ \t\n\r0159_xT\ufeff\u2028\x85é", max_size=60)
_PIECES = st.lists(
    st.sampled_from([
        "a: ", "- ", "? ", ": ", "[", "]", "{", "}", ",", "\n", "  ", "\t", "&x ", "*x", "!t ", "!!str ", "!!map ",
        "!<", ">", "|", "|2-",
        "'", '"', "\\u", "#", "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", "%", "<<: ", "=", "null", "1e", "0x",
        "2026-03-02", "é",
    ]),
    max_size=24,
).map("".join)  # fmt: skip


@given(st.one_of(st.binary(max_size=60), _YAML_LIKE.map(str.encode), _PIECES.map(str.encode)))
@example(b"!<tag:yaml.org,2002:map> [1]")
@example(b"? ? ?")
@example(b"&a *a")
@example(b"- !!int\n- !!float\n- !!null x\n- !!timestamp y")
@proof(3000)
def test_no_bytes_raise_and_a_value_is_given_only_without_syntax_errors(raw: bytes) -> None:
    document, problems = read_bytes(raw, file="f.yaml")
    assert (document is None) == any(p.code in ("yaml-syntax", "not-utf-8", "empty-file", "too-much") for p in problems)
    if document is not None:
        for path, _ in walk(document.data):
            assert document.value_place(path).line >= 1


_PACK_WORDS = st.sampled_from([
    "version", "pack", "ladder", "settings", "facts", "stages", "statuses", "values", "tasks", "cadences", "actions",
    "id", "when",
    "while", "stage", "status", "because", "set", "title", "every", "at_most", "task", "afterwards", "create_deal",
    "do", "all", "any",
    "not", "is", "in", "known", "after", "within_last", "between", "any_deal", "entered", "a", "lead", "$a",
    "now + $a", "3 days", "erase",
    "derived", "min_stay", "name", "contact", "expect", "before", "cases", "now", "done", "deals", "company", "x.y",
    "matches", "(",
])  # fmt: skip
_LEAVES = st.one_of(_PACK_WORDS, st.integers(-3, 10**25), st.booleans(), st.none(), st.floats(), st.text(max_size=5))
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_PACK_WORDS, inner, max_size=6)),
    max_leaves=30,
)
_SECTIONS = ("facts", "stages", "statuses", "values", "tasks", "cadences", "actions", "settings", "ladder", "derived")


def _document(tree: Any) -> Document:
    return Document(file="f.yaml", data=tree, keys={}, values={})


@given(st.one_of(_TREES, st.dictionaries(st.sampled_from(_SECTIONS), _TREES, max_size=8)))
@proof(400)
def test_checking_any_tree_as_a_pack_never_raises(tree: Any) -> None:
    pack, problems = check_pack(_document(tree))
    assert (pack is None) == any(problem.severity == "error" for problem in problems)


_WHOLE = """version: 1
pack: p
ladder: [contact, lead]
settings: {a: 3 days}
facts: {a: {x: {is: yes}}}
stages: [{id: s, stage: lead, when: a, because: b}]
statuses: [{id: t, of: lead, status: hot, when: a}]
values: [{id: v, when: a, set: {y: "1"}}]
tasks: [{id: t, when: a, title: x}]
cadences: [{id: c, while: a, every: $a, at_most: 2, task: {title: x}, afterwards: {set: {y: "1"}}}]
actions: [{id: d, when: a, create_deal: {stage: s}}]
"""


@given(st.data())
@proof(300)
def test_checking_a_pack_with_any_part_replaced_by_anything_never_raises(draw: st.DataObject) -> None:
    document, _ = read_bytes(_WHOLE.encode(), file="f.yaml")
    assert document is not None
    paths = [path for path, _ in walk(document.data) if path]
    for path in draw.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        target = document.data
        for step in path[:-1]:
            target = target[step] if _has(target, step) else {}
        if _has(target, path[-1]):
            target[path[-1]] = draw.draw(_TREES)
    pack, problems = check_pack(document)
    assert (pack is None) == any(problem.severity == "error" for problem in problems)
    assert all(problem.place.file == "f.yaml" for problem in problems)


def _has(target: Any, step: str | int) -> bool:
    if isinstance(target, dict):
        return step in target
    return isinstance(target, list) and isinstance(step, int) and step < len(target)


@given(_TREES)
@proof(400)
def test_reading_any_tree_as_cases_never_raises(tree: Any) -> None:
    import json  # noqa: PLC0415 - JSON is YAML, and the file must exist
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p_test.yaml"
        path.write_text(
            json.dumps({"pack": "p.yaml", "cases": tree}, allow_nan=False) if _finite(tree) else "a", "utf-8"
        )
        cases, problems = load_cases(path)
    assert cases is not None or problems


def _finite(tree: Any) -> bool:
    return all(not isinstance(value, float) or abs(value) < float("inf") for _, value in walk(tree))


def test_a_pack_may_hold_numbers_beyond_sixty_four_bits() -> None:
    pack, problems = load_pack_text(
        _WHOLE.replace("{a: 3 days}", "{a: 3 days, b: 99999999999999999999999}"), file="f.yaml"
    )
    assert problems == []
    assert pack is not None
