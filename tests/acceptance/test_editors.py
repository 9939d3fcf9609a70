"""`stagekeeper schema` and what `init` leaves for editors: as a person finds it in the folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from connector.rulebook.reading import read_bytes, read_file
from connector.sandbox import Sandbox, SandboxOptions
from connector.schema.files import KINDS
from tests.ports import free_port
from tests.running import SECRETS, Ran, stagekeeper

ENV = {"HUBSPOT_ACCESS_TOKEN": SECRETS[0], "HUBSPOT_CLIENT_SECRET": SECRETS[1]}
HEAD = """version: 1
pack: mine
ladder: [contact, lead]
stages: [{id: everyone, stage: contact, because: Everybody.}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `stagekeeper init` leaves it."""
    assert stagekeeper("init", folder=tmp_path).code == 0
    return tmp_path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0, access_token=SECRETS[0], client_secret=SECRETS[1])) as one:
        yield one


def run(folder: Path, *arguments: object) -> Ran:
    return stagekeeper(*arguments, folder=folder, env=ENV)


def schema(done: Ran) -> dict[str, Any]:
    assert done.code == 0, done.err
    made: dict[str, Any] = json.loads(done.out)
    Draft7Validator.check_schema(made)
    return made


def named_in(path: Path) -> Path:
    """Give the schema that the first line of a file names, as an editor finds it."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    return (path.parent / first.partition("=")[2]).resolve()


def test_what_init_makes_names_its_schema_and_keeps_to_it(folder: Path) -> None:
    files = [folder / "config.yaml", *sorted((folder / "rules").glob("*.yaml"))]
    assert [named_in(path).name for path in files] == ["config.schema.json", "pack.schema.json", "cases.schema.json"]
    for path in files:
        document, problems = read_file(path)
        assert document is not None
        assert problems == []
        validator = Draft7Validator(json.loads(named_in(path).read_text(encoding="utf-8")))
        assert [error.message for error in validator.iter_errors(document.data)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_that_init_makes_are_those_that_are_printed(folder: Path, kind: str) -> None:
    printed = run(folder, "schema", kind)
    assert (folder / ".stagekeeper" / f"{kind}.schema.json").read_text(encoding="utf-8") == printed.out
    assert schema(printed)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_the_pack_is_what_is_meant_when_nothing_is_said(folder: Path) -> None:
    assert run(folder, "schema").out == run(folder, "schema", "pack").out


def test_a_schema_is_written_where_it_is_wanted(folder: Path) -> None:
    done = run(folder, "schema", "cases", "--out", "made/cases.json")
    assert (done.code, done.out, done.err) == (0, "", "wrote made/cases.json\n")
    assert (folder / "made" / "cases.json").read_text(encoding="utf-8") == run(folder, "schema", "cases").out


def test_all_three_are_renewed_in_their_folder(folder: Path) -> None:
    place = folder / ".stagekeeper"
    before = {path.name: path.read_text(encoding="utf-8") for path in place.iterdir()}
    for path in place.iterdir():
        path.write_text("{}", encoding="utf-8")
    assert run(folder, "schema", "--out", ".stagekeeper").code == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in place.iterdir()} == before


def test_a_schema_that_nobody_knows_is_a_mistake(folder: Path) -> None:
    done = run(folder, "schema", "rules")
    assert (done.code, done.out) == (2, "")
    assert "'pack', 'cases', 'config'" in done.err


# --- with a portal ----------------------------------------------------------------------------------------------------


def pointed_at(folder: Path, address: str) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("https://api.hubapi.com", address), encoding="utf-8")


def faults(schema: dict[str, Any], text: str) -> list[list[Any]]:
    """Give where a schema finds something wrong."""
    document, problems = read_bytes(f"{HEAD}{text}".encode(), file="pack.yaml")
    assert document is not None
    assert problems == []
    return [list(error.absolute_path) for error in Draft7Validator(schema).iter_errors(document.data)]


@pytest.fixture(scope="module")
def of_portal(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schema of packs for a portal that has been set up."""
    folder = tmp_path_factory.mktemp("portal")
    assert run(folder, "init").code == 0
    with Sandbox(SandboxOptions(port=0, access_token=SECRETS[0], client_secret=SECRETS[1])) as sandbox:
        pointed_at(folder, sandbox.address)
        assert run(folder, "setup").code == 0
        sandbox.calls.reset()
        made = schema(run(folder, "schema", "pack", "--portal", 4242))
        assert sandbox.calls.count() == sandbox.calls.count("GET") == 5
    return made


def test_a_portals_properties_are_offered_with_their_labels(of_portal: dict[str, Any]) -> None:
    offered = of_portal["definitions"]["condition"]["properties"]
    assert offered["sk_need"]["description"].startswith("Need: Do they need what we sell?")
    assert {"email", "hs_analytics_source", "company.industry"} <= set(offered)
    assert "dealname" in of_portal["definitions"]["deal_condition"]["properties"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("facts: {one: {sk_need: {is: definite}}}", []), ("facts: {one: {sk_need: {is: ' Definite '}}}", []),
        ("facts: {one: {sk_need: {is: definit}}}", [["facts", "one", "sk_need", "is"]]),
        ("facts: {one: {sk_need: {in: [none, possible]}}}", []),
        ("facts: {one: {sk_need: {in: [none, maybe]}}}", [["facts", "one", "sk_need", "in"]]),
        ("facts: {one: {sk_need: {is: $need, in: $needs}}}", []), ("facts: {one: {sk_drip: {is: true}}}", []),
        ("facts: {one: {sk_interest: {is: form;seminar, contains: semi}}}", []),
        ("facts: {one: {any_deal: {dealstage: {is: contractsent}}}}", []),
        ("facts: {one: {any_deal: {dealstage: {is: signed}}}}",
         [["facts", "one", "any_deal", "dealstage", "is"]]),
        ("facts: {one: {not_in_this_portal: {is: x}}}", []),
        ("actions: [{id: a, create_deal: {stage: contractsent}}]", []),
        ("actions: [{id: a, create_deal: {pipeline: default, stage: signed}}]",
         [["actions", 0, "create_deal"]]),
        ("actions: [{id: a, create_deal: {pipeline: other, stage: contractsent}}]",
         [["actions", 0, "create_deal"]]),
        ("tasks: [{id: a, title: b, owner: Sales@acme.example}]", []),
        ("tasks: [{id: a, title: b, owner: contact_owner}]", []),
        ("tasks: [{id: a, title: b, owner: nobody@acme.example}]", [["tasks", 0, "owner"]]),
        ("tasks: [{id: a, title: b, owner: [sales@acme.example, nobody@acme.example]}]", [["tasks", 0, "owner"]]),
    ],
)  # fmt: skip
def test_what_the_portal_does_not_have_is_underlined(of_portal: dict[str, Any], text: str, wrong: list[Any]) -> None:
    assert faults(of_portal, text) == wrong


def test_shipped_files_keep_to_the_schemas_of_a_portal_that_is_set_up(folder: Path, sandbox: Sandbox) -> None:
    pointed_at(folder, sandbox.address)
    assert run(folder, "setup").code == 0
    assert run(folder, "schema", "--portal", 4242, "--out", ".stagekeeper").code == 0
    for path in (folder / "config.yaml", *(folder / "rules").glob("*.yaml")):
        document, _ = read_file(path)
        assert document is not None
        validator = Draft7Validator(json.loads(named_in(path).read_text(encoding="utf-8")))
        assert [error.message for error in validator.iter_errors(document.data)] == []


def test_an_unreachable_or_unknown_portal_is_told_and_nothing_is_written(folder: Path) -> None:
    pointed_at(folder, f"http://127.0.0.1:{free_port()}")
    before = (folder / ".stagekeeper" / "pack.schema.json").read_bytes()
    done = run(folder, "schema", "--portal", 4242, "--out", ".stagekeeper")
    assert (done.code, done.out) == (5, "")
    assert (folder / ".stagekeeper" / "pack.schema.json").read_bytes() == before
    assert run(folder, "schema", "--portal", 1).code == 2
