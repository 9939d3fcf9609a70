"""The installed command, as people and scripts use it: real processes, exit codes, what is printed and what is not."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.sandbox import Sandbox, SandboxOptions
from tests.ports import free_port
from tests.running import SECRETS, Ran, installed, stagekeeper

ENV = {"HUBSPOT_ACCESS_TOKEN": SECRETS[0], "HUBSPOT_CLIENT_SECRET": SECRETS[1]}
PROBLEM = re.compile(r"^\S+:\d+:\d+: [a-z-]+: .+$")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `stagekeeper init` leaves it."""
    done = stagekeeper("init", folder=tmp_path)
    assert done.code == 0, done.err
    return tmp_path


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0, access_token=SECRETS[0], client_secret=SECRETS[1])) as one:
        yield one


def pointed_at(folder: Path, address: str) -> Path:
    """Point the configuration of `init` at a practice HubSpot, which every portal's admin does with the real one."""
    path = folder / "config.yaml"
    text = path.read_text().replace("https://api.hubapi.com", address).replace("127.0.0.1:8080", "127.0.0.1:0")
    path.write_text(text)
    return path


def run(*arguments: object, folder: Path) -> Ran:
    done = stagekeeper(*arguments, folder=folder, env=ENV)
    for secret in SECRETS:
        assert secret not in done.out + done.err
    return done


# --- init, check ------------------------------------------------------------------------------------------------------


def test_init_fills_an_empty_folder_and_leaves_what_is_there(tmp_path: Path) -> None:
    first = stagekeeper("init", folder=tmp_path)
    made = ["config.yaml", "rules/default.yaml", "rules/default_test.yaml", ".stagekeeper/pack.schema.json",
            ".stagekeeper/cases.schema.json", ".stagekeeper/config.schema.json"]  # fmt: skip
    assert (first.code, first.out.splitlines()) == (0, [f"wrote {path}" for path in made])
    (tmp_path / "config.yaml").write_text("mine")
    again = stagekeeper("init", folder=tmp_path)
    assert again.out.splitlines() == [f"kept  {path}" for path in made]
    assert (tmp_path / "config.yaml").read_text() == "mine"


def test_what_init_writes_passes_check_and_test(folder: Path) -> None:
    assert run("check", folder=folder).code == 0
    assert run("test", folder=folder).code == 0


def test_check_reports_every_problem_with_its_place_and_exits_3(folder: Path) -> None:
    config, pack = folder / "config.yaml", folder / "rules" / "default.yaml"
    config.write_text(config.read_text().replace("level: info", "level: loud").replace("worker:", "wörker:"))
    pack.write_text(pack.read_text().replace("stage: prospect\n", "stage: prospekt\n", 1))

    done = run("check", folder=folder)
    lines = done.out.splitlines()
    assert done.code == 3
    assert all(PROBLEM.match(line) for line in lines), lines
    assert [Path(line.partition(":")[0]).name for line in lines] == ["default.yaml", "config.yaml", "config.yaml"]

    done = run("check", "rules", folder=folder)
    assert done.code == 3
    assert len(done.out.splitlines()) == 1
    assert done.out.startswith("rules/default.yaml:")
    assert "'prospekt'" in done.out
    assert "'prospect'" in done.out


def test_check_names_a_missing_pack_beside_other_faults(folder: Path) -> None:
    config = folder / "config.yaml"
    text = config.read_text().replace("level: info", "level: loud")
    config.write_text(text.replace("rules: rules/default.yaml", "rules: rules/lost.yaml"))
    done = run("check", folder=folder)
    lost, loud = sorted(line.split(" ")[1] for line in done.out.splitlines())
    assert (done.code, lost, loud) == (3, "file-unreadable:", "wrong-value:")


def test_check_finds_what_cases_cannot_be_judged_by(folder: Path) -> None:
    cases = folder / "rules" / "odd_test.yaml"
    cases.write_text("pack: default.yaml\ncases:\n  - {name: one, expect: {stage: moon, tasks: [nothing]}}\n")
    done = run("check", "rules", folder=folder)
    found = sorted(line.split(": ")[1] for line in done.out.splitlines())
    assert (done.code, found) == (3, ["missing-now", "unknown-name", "unknown-name"])
    cases.write_text("pack: lost.yaml\ncases:\n  - {name: one, expect: {}}\n")
    done = run("check", "rules/odd_test.yaml", folder=folder)
    found = sorted(line.split(": ")[1] for line in done.out.splitlines())
    assert (done.code, found) == (3, ["empty-expect", "missing-pack"])


def test_check_as_json_gives_the_same_problems_as_data(folder: Path) -> None:
    pack = folder / "rules" / "default.yaml"
    pack.write_text(pack.read_text().replace("stage: prospect\n", "stage: prospekt\n", 1))
    done = run("check", "rules", "--format", "json", folder=folder)
    data = json.loads(done.out)

    assert done.code == 3
    assert data["errors"] == len(data["problems"]) >= 1
    assert {"file", "line", "column", "code", "found"} <= set(data["problems"][0])


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_nothing_starts_on_a_broken_pack_or_configuration(folder: Path, command: str) -> None:
    pack = folder / "rules" / "default.yaml"
    whole = pack.read_text()
    pack.write_text(whole.replace("stage: prospect\n", "stage: prospekt\n", 1))
    done = run(command, folder=folder)
    assert done.code == 3
    assert "unknown-stage" in done.err
    assert "nothing was started" in done.err

    pack.write_text(whole)
    (folder / "config.yaml").write_text("version: 1\nversion: 1\n")
    done = run(command, folder=folder)
    assert done.code == 3
    assert PROBLEM.match(done.err.splitlines()[0])


def test_a_missing_secret_is_named_and_stops_every_start(folder: Path) -> None:
    done = stagekeeper("serve", folder=folder)
    assert done.code == 3
    assert "HUBSPOT_CLIENT_SECRET" in done.err


def test_what_starts_from_nothing_does_as_what_has_the_libraries_already(folder: Path) -> None:
    """The other tests run commands that are forked from a process which has them; here is what people start."""
    pack = folder / "rules" / "default.yaml"
    pack.write_text(pack.read_text().replace("stage: prospect\n", "stage: prospekt\n", 1))
    for arguments in (["--version"], ["check", "--format", "json"], ["events", "list"], ["schema"], ["explian"]):
        assert installed(*arguments, folder=folder, env=ENV) == run(*arguments, folder=folder), arguments


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["serve", "--bogus"], ["check", "--format", "xml"], ["events"], ["explain"], ["events", "retry"]],
    ids=" ".join,
)
def test_a_command_line_that_nobody_understands_exits_2(folder: Path, arguments: list[str]) -> None:
    done = run(*arguments, folder=folder)
    assert (done.code, done.out) == (2, "") or (done.code == 2 and arguments == ["events"])
    assert "Traceback" not in done.err


def test_a_mistyped_command_is_guessed(folder: Path) -> None:
    assert "did you mean 'check'?" in run("chekc", folder=folder).err


def test_help_names_every_command_and_the_exit_codes(folder: Path) -> None:
    done = run("--help", folder=folder)
    assert done.code == 0
    assert all(name in done.out for name in ("init", "setup", "check", "test", "explain", "serve", "worker", "events"))
    assert "3 configuration or rules invalid" in " ".join(done.out.split())


# --- test -------------------------------------------------------------------------------------------------------------


CASES = """
pack: default.yaml
now: 2026-03-02T09:00:00Z
cases:
  - {name: right, contact: {sk_source: inbound}, expect: {stage: lead}}
  - {name: wrong, contact: {sk_source: inbound}, expect: {stage: prospect, tasks: [no-such-task]}}
"""


def test_failing_cases_exit_4_and_are_told_in_three_forms(folder: Path) -> None:
    cases = folder / "rules" / "default_test.yaml"
    cases.write_text(CASES.replace(", tasks: [no-such-task]", ""))
    text = run("test", folder=folder)
    assert text.code == 4
    assert "stage: expected 'prospect', got 'lead'" in text.out
    assert text.out.endswith("1 passed, 1 failed, 0 errored\n")

    as_json = run("test", "--format", "json", folder=folder)
    data = json.loads(as_json.out)
    assert as_json.code == 4
    assert {name: data[name] for name in ("passed", "failed", "errored")} == {"passed": 1, "failed": 1, "errored": 0}
    wrong = data["cases"][1]
    assert (wrong["name"], wrong["result"]) == ("wrong", "failed")
    assert wrong["differences"] == [{"path": "stage", "expected": "prospect", "actual": "lead"}]
    assert set(wrong) >= {"file", "name", "result", "differences"}

    junit = run("test", "--format", "junit", folder=folder)
    suite = ET.fromstring(junit.out)  # noqa: S314 - our own output
    assert junit.code == 4
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("testsuite", "2", "1", "0")
    assert [case.get("name") for case in suite.iter("testcase")] == ["right", "wrong"]
    assert len(list(suite.iter("failure"))) == 1


def test_a_case_file_that_cannot_be_read_exits_3(folder: Path) -> None:
    (folder / "rules" / "default_test.yaml").write_text(CASES.replace("expect:", "expekt:"))
    done = run("test", folder=folder)
    assert done.code == 3
    assert "expekt" in done.out + done.err


# --- explain ----------------------------------------------------------------------------------------------------------

EXPLAINED = {"stage", "status", "because", "rule", "facts", "conditions", "effects", "next_look_at"}


def test_explain_gives_every_condition_with_wanted_and_actual(folder: Path, sandbox: Sandbox) -> None:
    config = pointed_at(folder, sandbox.address)
    assert run("setup", folder=folder).code == 0
    ana = sandbox.create_contact({"email": "ana@example.com", "sk_source": "inbound", "sk_target_market": "no"})
    before = sandbox.everything_about(ana)

    done = run("--config", config, "explain", ana, "--portal", 4242, "--format", "json", folder=folder)
    data = json.loads(done.out)
    assert done.code == 0, done.err
    assert set(data) >= EXPLAINED
    assert (data["stage"], data["status"], data["rule"]) == ("lead", None, "outside-market-enquiry")
    assert data["because"].startswith("They are outside our market")
    assert data["facts"]["fits_market"] == "no"
    assert data["facts"]["has_authority"] == "unknown"
    assert all(set(one) >= {"text", "wanted", "actual", "result", "source"} for one in data["conditions"])
    by_text = {one["text"]: one for one in data["conditions"]}
    asked = next(one for text, one in by_text.items() if "sk_source" in text and one["result"] == "yes")
    assert (asked["actual"], asked["source"]) == ("inbound", "contact.sk_source")
    assert {"kind": "property", "name": "lifecyclestage", "from": "", "to": "lead"} in data["effects"]
    assert sandbox.everything_about(ana) == before, "explaining writes nothing"

    text = run("--config", config, "explain", ana, folder=folder)
    assert text.code == 0
    assert "outside-market-enquiry" in text.out


def test_explain_names_properties_that_the_portal_lacks(folder: Path, sandbox: Sandbox) -> None:
    pointed_at(folder, sandbox.address)
    ana = sandbox.create_contact({"email": "ana@example.com"})
    data = json.loads(run("explain", ana, "--format", "json", folder=folder).out)
    assert "sk_source" in data["missing_properties"]


def test_explain_of_a_contact_that_is_not_there_exits_1_and_says_so(folder: Path, sandbox: Sandbox) -> None:
    pointed_at(folder, sandbox.address)
    done = run("explain", "123", folder=folder)
    assert done.code == 1
    assert "no contact '123'" in done.err


def test_explain_of_a_case_needs_no_hubspot(folder: Path) -> None:
    (folder / "rules" / "default_test.yaml").write_text(CASES.replace(", tasks: [no-such-task]", ""))
    done = run("explain", "--case", "rules/default_test.yaml", "right", "--format", "json", folder=folder)
    data = json.loads(done.out)
    assert done.code == 0
    assert set(data) >= EXPLAINED
    assert data["rule"] == "worth-a-look"


# --- setup, and what cannot be reached --------------------------------------------------------------------------------


def test_setup_makes_what_is_missing_and_then_finds_it(folder: Path, sandbox: Sandbox) -> None:
    pointed_at(folder, sandbox.address)
    made = json.loads(run("setup", "--format", "json", folder=folder).out)["steps"]
    assert {step["outcome"] for step in made} <= {"made", "found"}
    assert {step["name"] for step in made if step["outcome"] == "made"} >= {"sk_reason", "sk_key", "sk_source"}

    found = json.loads(run("setup", "--format", "json", folder=folder).out)["steps"]
    assert {step["outcome"] for step in found} == {"found"}
    assert len(found) == len(made)
    assert run("setup", folder=folder).code == 0


def test_hubspot_unreachable_exits_5(folder: Path) -> None:
    pointed_at(folder, f"http://127.0.0.1:{free_port()}")
    done = run("setup", folder=folder)
    assert done.code == 5
    assert "Traceback" not in done.err


def test_hubspot_unauthorised_exits_5_and_names_the_cure(folder: Path, sandbox: Sandbox) -> None:
    pointed_at(folder, sandbox.address)
    sandbox.revoke_token()
    for command in (["setup"], ["explain", "123"]):
        done = run(*command, folder=folder)
        assert done.code == 5
        assert "access_token" in done.err


@pytest.mark.parametrize("database", ["sqlite:////no/such/folder/x.db", "postgresql://u:p4ssw0rd@127.0.0.1:1/x"])
@pytest.mark.parametrize("command", [["events", "list"], ["serve"], ["worker"]], ids=" ".join)
def test_a_database_that_cannot_be_opened_exits_5(folder: Path, database: str, command: list[str]) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("sqlite:///stagekeeper.db", database))
    done = run(*command, folder=folder)
    assert done.code == 5, done.err
    assert done.err.startswith("error: database-unavailable")
    assert "p4ssw0rd" not in done.err


def test_a_database_that_there_cannot_be_is_a_fault_of_the_configuration(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("sqlite:///stagekeeper.db", "mysql://u:p4ssw0rd@h/x"))
    for command in (["check"], ["events", "list"], ["serve"]):
        done = run(*command, folder=folder)
        assert done.code == 3, done.err
        assert "wrong-url" in done.out + done.err
        assert "p4ssw0rd" not in done.out + done.err


def test_the_demo_shows_stages_and_ends_well(tmp_path: Path) -> None:
    done = stagekeeper("demo", "--seconds", 8, "--port", 0, folder=tmp_path)
    assert done.code == 0, done.err
    assert "web page http://127.0.0.1:" in done.err
    assert "lead" in done.out
    assert "contact → lead" in done.out
    assert list(tmp_path.iterdir()) == []
