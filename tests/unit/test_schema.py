"""The schemas for editors: valid draft-07, at peace with every good file, and loud about wrong ones."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from connector.config import load_config
from connector.rulebook.checking import load_pack_text
from connector.rulebook.operators import OPERATORS as KNOWN_OPERATORS
from connector.rulebook.reading import read_bytes, read_file
from connector.schema.conditions import GRAMMAR
from connector.schema.files import KINDS, Kind, modeline, schema_of, schema_text
from connector.schema.operators import OPERATORS
from connector.schema.patterns import DURATION, MOMENT, NOW, NUMBER, any_case, listed, whole
from tests.manual import read_manual

TOP = Path(__file__).parent.parent.parent
BAD = TOP / "tests" / "data" / "rules_bad"
HEAD = """version: 1
pack: small
ladder: [contact, lead]
stages: [{id: everyone, stage: contact, because: Everybody.}]
"""
VALIDATORS = {kind: Draft7Validator(schema_of(kind)) for kind in KINDS}
SHAPE = frozenset({
    "wrong-type", "wrong-value", "wrong-condition", "wrong-operand", "wrong-action", "wrong-property", "unknown-key",
    "unknown-operator", "unknown-status", "unknown-step", "missing-key", "unreadable-duration", "unreadable-moment",
    "own-property", "reserved-name", "nested-setting", "duplicate-stage", "empty-expect", "unknown-owner",
    "missing-secret", "wrong-url",
})  # fmt: skip
"""What a schema can say; the rest needs the whole file, its neighbours or HubSpot."""


def kind_of(path: Path) -> Kind:
    """Say which schema a file is for, by its name."""
    return "cases" if path.name.endswith("_test.yaml") else "config" if path.name.startswith("config") else "pack"


def faults(kind: Kind, data: Any) -> list[str]:
    """Give what the schema finds wrong."""
    return [f"{list(error.absolute_path)}: {error.message}" for error in VALIDATORS[kind].iter_errors(data)]


def faults_of(path: Path) -> list[str]:
    document, _ = read_file(path)
    assert document is not None
    return faults(kind_of(path), document.data)


# --- good files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_valid_draft_07(kind: Kind) -> None:
    schema = json.loads(schema_text(kind))
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema)


GOOD = [*sorted((TOP / "rules").glob("*.yaml")), TOP / "config.example.yaml",
        *sorted((TOP / "tests" / "data" / "rules_proven").glob("*.yaml"))]  # fmt: skip


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_every_good_file_is_taken(path: Path) -> None:
    assert faults_of(path) == []


def _examples() -> Iterator[Any]:
    book = read_manual()
    for block in book.blocks:
        if block.language == "yaml" and block.kind in ("whole", "fragment"):
            kind: Kind = "cases" if block.is_cases else "config" if block.is_config else "pack"
            text = book.composed(block) if block.kind == "fragment" else block.text
            yield pytest.param(kind, text, id=block.name)


@pytest.mark.parametrize(("kind", "text"), [*_examples()])
def test_every_example_of_the_manual_is_taken(kind: Kind, text: str) -> None:
    document, _ = read_bytes(text.encode(), file="block.yaml")
    assert document is not None
    assert faults(kind, document.data) == []


# --- bad files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.name)
def test_a_file_with_a_problem_of_shape_is_underlined_and_no_other(path: Path) -> None:
    document, _ = read_file(path)
    if document is None:
        return  # no YAML at all: an editor says so by itself
    said = set(re.findall(r"^# expect: (?:\S+\.yaml:)?\d+:\d+ (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert bool(faults_of(path)) == bool(said & SHAPE)


def _problems() -> Iterator[Any]:
    book = read_manual()
    for block in book.blocks:
        if block.kind == "problem" and block.code in SHAPE and block.section in (None, "facts", "tasks", "stages"):
            yield pytest.param(block, id=str(block.code))


@pytest.mark.parametrize("block", [*_problems()])
def test_the_manuals_problems_of_shape_are_underlined(block: Any) -> None:
    text = block.text if block.section is None else read_manual().composed(block)
    document, _ = read_bytes(text.encode(), file="block.yaml")
    assert document is not None
    kind: Kind = "cases" if block.is_cases else "config" if block.is_config else "pack"
    assert faults(kind, document.data) != []


# --- what is said -----------------------------------------------------------------------------------------------------


def _keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, shape in {"": schema, **schema["definitions"]}.items():
        if shape.get("additionalProperties") is False:
            yield from ((f"{name}.{key}", one) for key, one in shape["properties"].items())


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_a_description(kind: Kind) -> None:
    assert [name for name, one in _keys(schema_of(kind)) if not one.get("description")] == []


def test_every_operator_is_described_with_an_example_that_the_schema_and_the_product_take() -> None:
    assert set(OPERATORS) == KNOWN_OPERATORS
    settings = "settings: {immediate: 30 days, later: 180 days}"
    for name, operator in OPERATORS.items():
        assert f"{name}:" in operator.example
        text = f"{HEAD}{settings}\nfacts:\n  one: {{{operator.example}}}\n"
        pack, problems = load_pack_text(text)
        assert pack is not None, problems
        document, _ = read_bytes(text.encode(), file="pack.yaml")
        assert document is not None
        assert faults("pack", document.data) == []


@pytest.mark.parametrize(("name", "taken"), [("company.size", False), ("deal.x", False), ("fits.v2", True)])
def test_a_fact_is_not_called_like_a_property_with_its_object(name: str, taken: bool) -> None:
    text = f"{HEAD}facts:\n  {name}: {{x: {{is: 1}}}}\n"
    document, _ = read_bytes(text.encode(), file="pack.yaml")
    assert document is not None
    assert (faults("pack", document.data) == []) is taken
    assert [problem.code for problem in load_pack_text(text)[1] if problem.severity == "error"] == (
        [] if taken else ["reserved-name"]
    )


def test_properties_are_offered_by_name_with_their_options() -> None:
    offered = schema_of("pack")["definitions"]
    condition = offered["condition"]["properties"]
    assert condition["sk_need"]["description"] == "Need: Do they need what we sell? (one option)"
    assert [one["const"] for one in offered["contact.sk_need"]["anyOf"][:3]] == ["none", "possible", "definite"]
    assert set(GRAMMAR) | {"company.industry"} <= set(condition)
    assert "dealstage" in offered["deal_condition"]["properties"]


def test_a_file_names_its_schema_from_where_it_stands() -> None:
    assert modeline("pack", Path("rules", "a.yaml")) == (
        "# yaml-language-server: $schema=../.stagekeeper/pack.schema.json\n"
    )
    assert modeline("config", Path("config.yaml")) == (
        "# yaml-language-server: $schema=.stagekeeper/config.schema.json\n"
    )


@pytest.mark.parametrize(
    ("pattern", "taken", "not_taken"),
    [
        (whole(DURATION), ["30 days", "1 Day", "2s", " 90 MINUTES ", "1.5 weeks", "3hours", "5 ms", "2 secs"],
         ["30", "days", "1 month", "2 years", "-3 days", "3 dayss", "now"]),
        (whole(MOMENT), ["2026-03-02", "2026-03-02T09:00:00Z", "2026-03-02 09:00", "1772442000000", "2026-W10-1T09:00"],
         ["2026-13-02", "2026-3-2", "tomorrow", "12:00", "2026"]),
        (whole(NOW), ["now", "NOW + 30 days", "now-$later", "now - 2 weeks"], ["now 30 days", "now + 1 month"]),
        (whole(NUMBER), ["5", "-5.", ".5", "1e9", "+0.5"], ["", "5%", "1,000", "five"]),
        (f"^{any_case('a.B+')}$", ["a.b+", "A.B+"], ["axb+", "a.bb"]),
        (whole(listed(["one", "t wo"])), ["ONE", "one;T wo", "t wo ; one;"], ["one two", ";", "three"]),
    ],
)  # fmt: skip
def test_a_pattern_takes_what_the_product_reads(pattern: str, taken: list[str], not_taken: list[str]) -> None:
    assert [text for text in taken if not re.search(pattern, text)] == []
    assert [text for text in not_taken if re.search(pattern, text)] == []


# --- configuration ---------------------------------------------------------------------------------------------------


def _values(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _values(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _values(value, (*path, number))
    else:
        yield path


def test_any_value_of_a_configuration_may_be_a_reference() -> None:
    document, _ = read_file(TOP / "config.example.yaml")
    assert document is not None
    for path in _values(document.data):
        if path == ("version",):
            continue
        changed = json.loads(json.dumps(document.data))
        below = changed
        for step in path[:-1]:
            below = below[step]
        below[path[-1]] = "${TAKEN_FROM_ELSEWHERE:-5}"
        assert faults("config", changed) == [], path


@pytest.mark.parametrize(
    "portal",
    ["id: '4242'", "app_id: '7001'", "allow: {create_deals: yes}", "limits: {reserve: '0.2'}", "human_wins_for: 3 days",
     "calendar: {quiet_hours: {from: 18:30, to: 08:00}}", "owners: {default: null}", "stages: {lead: 104836278}"],
)  # fmt: skip
def test_a_portal_that_check_takes_is_taken(tmp_path: Path, portal: str) -> None:
    values = {"id": "1", "access_token": "a", "client_secret": "b", "webhook_url": "https://a.example/", "rules": "a"}
    name, _, value = portal.partition(": ")
    lines = "".join(f"    {key}: {one}\n" for key, one in {**values, name: value}.items())
    path = tmp_path / "config.yaml"
    path.write_text(f"version: 1\nportals:\n  -\n{lines}", encoding="utf-8")
    assert load_config(path)[1] == []
    assert faults_of(path) == []
