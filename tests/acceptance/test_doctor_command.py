"""`stagekeeper doctor` and `stagekeeper setup --hubspot-project` as people call them: output, exit codes, files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.sandbox import Sandbox, SandboxOptions
from tests.practice import prepare, write_config
from tests.running import stagekeeper


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0)) as one:
        prepare(one)
        yield one


def test_a_set_up_that_is_well_is_told_line_by_line_with_a_summary(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path, [sandbox])
    ran = stagekeeper("doctor", folder=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    *lines, summary = ran.out.splitlines()
    assert summary.endswith(" 0 broken")
    assert {line[:10].strip() for line in lines} <= {"ok", "warning", ""}
    assert any(line.startswith("ok        4242 token: valid") for line in lines)
    quiet = stagekeeper("--quiet", "doctor", folder=tmp_path)
    assert not [line for line in quiet.out.splitlines() if line.startswith("ok")]


def test_the_json_counts_what_it_lists(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path, [sandbox])
    sandbox.portal.missing_scopes.add("crm.objects.companies.read")
    ran = stagekeeper("doctor", "--portal", 4242, "--format", "json", folder=tmp_path)
    told = json.loads(ran.out)
    assert (ran.code, ran.err) == (5, "")
    assert [*told] == ["version", "checks", "broken", "warnings"]
    states = [check["state"] for check in told["checks"]]
    assert (told["version"], told["broken"], told["warnings"]) == (1, states.count("broken"), states.count("warning"))
    assert {tuple(check) for check in told["checks"]} == {("id", "portal", "state", "found", "cure")}
    assert {check["portal"] for check in told["checks"]} == {None, 4242}
    missing = next(check for check in told["checks"] if check["id"] == "scopes")
    assert "crm.objects.companies.read is missing: companies are read for" in missing["found"]


@pytest.mark.parametrize(("what", "code"), [("token", 5), ("configuration", 3), ("rules", 3), ("portal", 2)])
def test_the_exit_code_says_what_is_broken(tmp_path: Path, sandbox: Sandbox, what: str, code: int) -> None:
    path = write_config(tmp_path, [sandbox])
    if what == "token":
        sandbox.revoke_token()
    elif what == "configuration":
        path.write_text(path.read_text("utf-8") + "nonsense: 1\n", encoding="utf-8")
    elif what == "rules":
        (tmp_path / "pack.yaml").write_text("version: 1\n", encoding="utf-8")
        write_config(tmp_path, [sandbox], rules=tmp_path / "pack.yaml")
    ran = stagekeeper("doctor", *(["--portal", 1] if what == "portal" else []), folder=tmp_path)
    assert ran.code == code, ran.out + ran.err
    assert "Traceback" not in ran.err


def test_the_project_is_written_once_kept_and_never_overwritten_unasked(tmp_path: Path, sandbox: Sandbox) -> None:
    write_config(tmp_path, [sandbox])
    first = stagekeeper("setup", "--hubspot-project", "app", folder=tmp_path)
    assert (first.code, [line.split()[0] for line in first.out.splitlines()]) == (0, ["made"] * 3)
    assert "hs project upload" in first.err
    again = stagekeeper("setup", "--hubspot-project", "app", "--format", "json", folder=tmp_path)
    assert [file["outcome"] for file in json.loads(again.out)["files"]] == ["found"] * 3
    (tmp_path / "app/hsproject.json").write_text("{}", encoding="utf-8")
    refused = stagekeeper("setup", "--hubspot-project", "app", folder=tmp_path)
    assert (refused.code, refused.out) == (7, "")
    assert "app/hsproject.json would be overwritten" in refused.err
    forced = stagekeeper("setup", "--hubspot-project", "app", "--force", folder=tmp_path)
    assert [line.split()[0] for line in forced.out.splitlines()] == ["changed", "found", "found"]
    assert sandbox.calls.total == 0


def test_the_project_needs_no_secrets_which_come_from_the_app_only_when_it_is_there(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    config = write_config(tmp_path, [sandbox])
    text = config.read_text("utf-8").replace("pat-sandbox", "${NOT_YET}").replace("sandbox-secret", "${NOR_THIS}")
    config.write_text(text, encoding="utf-8")
    assert stagekeeper("setup", "--hubspot-project", "app", folder=tmp_path).code == 0
    assert stagekeeper("setup", folder=tmp_path).code == 3
    config.write_text(text.replace("https://", "https://${HOST}"), encoding="utf-8")
    refused = stagekeeper("setup", "--hubspot-project", "elsewhere", folder=tmp_path)
    assert (refused.code, "'HOST'" in refused.err, (tmp_path / "elsewhere").exists()) == (3, True, False)


def test_of_several_portals_one_must_be_named_and_force_needs_a_folder(tmp_path: Path, sandbox: Sandbox) -> None:
    with Sandbox(SandboxOptions(port=0, portal=4343)) as other:
        write_config(tmp_path, [sandbox, other])
        assert stagekeeper("setup", "--hubspot-project", "app", folder=tmp_path).code == 2
        assert stagekeeper("setup", "--hubspot-project", "app", "--portal", 4343, folder=tmp_path).code == 0
        assert stagekeeper("setup", "--force", folder=tmp_path).code == 2


def test_an_app_with_the_scopes_of_the_project_can_be_set_up_and_has_all_that_is_needed(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(port=0)) as fresh:
        assert _after_setup(tmp_path, fresh) == (0, 0)


def _after_setup(tmp_path: Path, sandbox: Sandbox) -> tuple[int, int]:
    """Give the app the scopes that the project asks for and no others, and say how setup and doctor leave."""
    pack = tmp_path / "pack.yaml"
    pack.write_text(
        "version: 1\npack: tiny\nladder: [contact]\nstages: [{id: all, stage: contact, because: Everybody.}]\n",
        encoding="utf-8",
    )
    write_config(tmp_path, [sandbox], rules=pack)
    stagekeeper("setup", "--hubspot-project", "app", folder=tmp_path)
    app = json.loads((tmp_path / "app/src/app/app-hsmeta.json").read_text("utf-8"))
    asked = set(app["config"]["auth"]["requiredScopes"])
    everything = {f"crm.{w}.{k}.{r}" for w in ("objects", "schemas") for k in ("contacts", "companies", "deals")
                  for r in ("read", "write")} | {"crm.objects.owners.read"}  # fmt: skip
    sandbox.portal.missing_scopes = everything - asked
    return stagekeeper("setup", folder=tmp_path).code, stagekeeper("doctor", folder=tmp_path).code
