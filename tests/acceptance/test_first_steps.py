"""A stranger's first mistakes: each is told with its place and its cure, in one line, and nothing is started."""

import re
import socket
from pathlib import Path

import pytest

from connector.cli import run
from connector.moments import MINUTE, system_clock
from connector.portals import Portals
from connector.sandbox import Sandbox, SandboxOptions
from connector.store.engine import open_database
from tests.running import running, wait_until

NO_CONFIG = (
    "file-unreadable: cannot be read ({}); `stagekeeper init` writes one into this folder; another one is named by "
    "--config or STAGEKEEPER_CONFIG"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("STAGEKEEPER_CONFIG", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def begun(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Give a folder with what `init` writes, and with the secrets of a practice HubSpot."""
    assert run(["init"]) == 0
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-sandbox")
    monkeypatch.setenv("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
    capsys.readouterr()
    return folder


def change(old: str, new: str) -> None:
    file = Path("config.yaml")
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("line", ["serve", "worker", "setup", "plan", "explain 1", "events list", "reconcile", "test"])
def test_who_has_no_configuration_is_told_how_to_get_one(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 3
    place = f"config.yaml:1:1: {NO_CONFIG.format('No such file or directory')}"
    assert told(capsys) == [place, "1 problem; nothing was started"]


@pytest.mark.usefixtures("folder")
def test_a_folder_is_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", ".", "plan"]) == 3
    assert told(capsys)[0] == f".:1:1: {NO_CONFIG.format('Is a directory')}"


@pytest.mark.usefixtures("folder")
def test_where_there_is_nothing_to_prove_nobody_is_told_that_nothing_was(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.cli.check.is_installed", lambda: False)
    assert run(["check"]) == 3
    assert told(capsys) == ["1 error, 0 warnings"]


@pytest.mark.usefixtures("begun")
def test_cases_run_before_there_are_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN")
    assert run(["test", "-k", "customer"]) == 0
    assert " passed, 0 failed, 0 errored" in capsys.readouterr().out


def test_a_pack_that_is_not_there_is_told_with_the_portal_that_names_it(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change("rules/default.yaml", "rules/defualt.yaml")
    assert run(["serve"]) == 3
    assert told(capsys)[0] == (
        f"{begun / 'rules' / 'defualt.yaml'}:1:1: file-unreadable: cannot be read (No such file or directory); "
        "the portal 4242 names it: correct that, or put a pack there"
    )


@pytest.mark.usefixtures("begun")
def test_a_stage_that_is_mistyped_in_the_configuration_is_told_beside_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    change("stages: {contact:", "stages: {contcat:")
    assert run(["plan"]) == 3
    assert "does not say which lifecycle stage 'contact' is (it names contcat, lead, prospect, opp" in told(capsys)[0]


@pytest.mark.usefixtures("begun")
def test_a_wrong_token_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "wrong")
    with Sandbox(SandboxOptions(port=0, contacts=0)) as sandbox:
        change("https://api.hubapi.com", sandbox.address)
        assert run(["setup"]) == 5
    [line] = told(capsys)
    assert line.startswith("error: portal-trouble: HubSpot portal 4242: ")
    assert "set a valid `access_token` for this portal" in line


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("line", ["explain ana@example.com", "explain ana@example.com --history", "explain ../5"])
def test_a_person_is_asked_for_by_number(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    [said] = told(capsys)
    assert said.startswith("error: usage: expected the number that HubSpot gave the contact, as in 501")
    assert "ana@example.com" not in said


@pytest.mark.usefixtures("begun")
def test_a_choice_that_nobody_meets_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox(SandboxOptions(port=0, contacts=1)) as sandbox:
        change("https://api.hubapi.com", sandbox.address)
        assert run(["plan", "--where", "{sk_x: {known: true}}"]) == 0
    assert told(capsys) == [
        "nobody meets --where '{sk_x: {known: true}}'; are its properties and values spelled as HubSpot spells them?"
    ]


@pytest.mark.usefixtures("begun")
def test_the_list_of_those_who_wait_says_why_a_whole_portal_does(capsys: pytest.CaptureFixture[str]) -> None:
    engine = open_database(f"sqlite:///{Path('stagekeeper.db').absolute()}")
    Portals(engine, system_clock).begin_trouble(
        4242, code="invalid", text="a property is missing; run `stagekeeper setup`", until=system_clock() + MINUTE
    )
    engine.dispose()
    assert run(["events", "list"]) == 0
    assert told(capsys) == [
        "0 shown", "portal 4242 waits as a whole: a property is missing; run `stagekeeper setup`",
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["init", "schema --out rules/x/pack.json"])
def test_a_file_where_a_folder_is_to_be_is_told(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder.joinpath("rules").touch()
    assert run(line.split()) == 1
    assert re.fullmatch(r"error: file-unusable: rules\S*: .+; check the path, its permissions and .+", told(capsys)[0])


def test_a_port_that_is_taken_is_told_by_the_practice_hubspot(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["sandbox", "--port", str(port)]) == 1
    said = f"error: address-taken: 127.0.0.1:{port}: Address already in use; end what listens there, or name another"
    assert told(capsys) == [f"{said} port with --port (0 takes a free one)"]


def test_a_prepared_practice_hubspot_says_where_it_is_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "sandbox.log"
    with running("sandbox", "--prepared", "--port", 0, "--contacts", 3, folder=tmp_path, log=log):
        wait_until(lambda: "Ctrl-C" in log.read_text("utf-8"), what="its address")
    assert re.fullmatch(
        r"practice HubSpot on http://127\.0\.0\.1:\d+ \(portal 4242\); stop it with Ctrl-C\n", log.read_text("utf-8")
    )
