"""The configuration: every fault with its place, references filled in, secrets shown nowhere."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from connector.config import Config, config_path, load_config
from connector.moments import MINUTE, SECOND, WEEK
from connector.problems import Problem
from connector.rulebook.shipped import example_config

SECRET = "s3cret-v4lue"
PORTAL = """portals:
  - id: 4242
    access_token: ${TOKEN}
    client_secret: ${file:client-secret}
    webhook_url: https://hooks.example.com/webhooks/hubspot
    rules: rules/default.yaml
"""
ENVIRONMENT = {"TOKEN": SECRET}


def load(
    tmp_path: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT
) -> tuple[Config | None, list[Problem]]:
    """Read a configuration beside which a secret lies."""
    (tmp_path / "client-secret").write_text(f"{SECRET}\n", "utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    return load_config(path, environment)


def good(tmp_path: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT) -> Config:
    """Read a configuration that must be without faults."""
    config, problems = load(tmp_path, text, environment)
    assert problems == []
    assert config is not None
    return config


def faults(tmp_path: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT) -> list[str]:
    """Give `line:column code` of every fault; none of them may show the secret."""
    config, problems = load(tmp_path, text, environment)
    assert config is None
    assert SECRET not in "\n".join(map(str, problems))
    return [f"{problem.place.line}:{problem.place.column} {problem.code}" for problem in problems]


@pytest.mark.parametrize(("written", "read"), [("never", None), ("15 minutes", 900_000), ("1h", 3_600_000)])
def test_how_often_to_reconcile_is_a_duration_or_never(tmp_path: Path, written: str, read: int | None) -> None:
    config = good(tmp_path, f"version: 1\nworker: {{reconcile_every: {written}}}\n{PORTAL}")
    assert config.worker.reconcile_every == read


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    config = good(tmp_path, f"version: 1\n{PORTAL}")
    portal = config.portals[0]
    assert (config.server.bind, config.server.ops_token, config.worker.settle, config.worker.lease) == (
        "127.0.0.1:8080", None, 2 * SECOND, 5 * MINUTE,
    )  # fmt: skip
    assert (portal.mode, portal.api_url, portal.allow_v1, portal.limits.reserve, portal.human_wins_for) == (
        "live", "https://api.hubapi.com", False, 0.1, WEEK,
    )  # fmt: skip
    assert (portal.allow.backward_moves, portal.allow.create_deals, portal.allow.erase_contacts) == (False, True, False)
    assert portal.stages == {
        "contact": "subscriber", "lead": "lead", "prospect": "salesqualifiedlead", "opportunity": "opportunity",
    }  # fmt: skip


def test_the_example_that_ships_is_without_faults() -> None:
    config, problems = load_config(example_config(), {"HUBSPOT_ACCESS_TOKEN": "a", "HUBSPOT_CLIENT_SECRET": "b"})
    assert problems == []
    assert config is not None
    assert config.portals[0].rules.is_file()


def settings_of(model: type[BaseModel]) -> Iterator[str]:
    """Name every setting of a mapping and of those in it."""
    for name, one in model.model_fields.items():
        yield one.alias or name
        for inner in (one.annotation, *get_args(one.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from settings_of(inner)


def test_the_example_names_every_setting_and_those_behind_a_hash_as_they_are_without_it(tmp_path: Path) -> None:
    text = example_config().read_text("utf-8")
    assert {name for name in settings_of(Config) if not re.search(rf"\b{name}:\s", text)} == set()
    given = re.sub(r"^( +)# (?!oauth|shadow|metrics)(\w+: )", r"\1\2", text, flags=re.MULTILINE)
    assert given != text
    environment = {"HUBSPOT_ACCESS_TOKEN": "a", "HUBSPOT_CLIENT_SECRET": "b"}
    loaded = []
    for each in (text, given):
        (tmp_path / "config.yaml").write_text(each, "utf-8")
        loaded.append(load_config(tmp_path / "config.yaml", environment))
    assert loaded[0] == loaded[1]
    assert loaded[0][1] == []


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "environment", "read"),
    [
        ("${A}", {"A": "x"}, "x"), ("a ${A} b ${B}", {"A": "x", "B": "y"}, "a x b y"), ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-d}", {"A": "x"}, "x"), ("${A:-}", {}, ""), ("${A:-a b/c:d}", {}, "a b/c:d"), ("$A", {"A": "x"}, "$A"),
        ("${A}", {"A": "${B}", "B": "no"}, "${B}"), ("${file:client-secret}", {}, SECRET), ("$${A}", {"A": "x"}, "$x"),
    ],
)  # fmt: skip
def test_a_reference_is_filled_in(tmp_path: Path, written: str, environment: dict[str, str], read: str) -> None:
    config = good(tmp_path, f'version: 1\n{PORTAL}    name: "{written}"\n', {**ENVIRONMENT, **environment})
    assert config.portals[0].name == read


def test_a_reference_may_stand_for_a_number_a_duration_and_true(tmp_path: Path) -> None:
    text = PORTAL.replace("4242", "${ID}") + "    allow: {erase_contacts: '${ERASE:-true}'}\n"
    config = good(
        tmp_path, f"version: 1\nworker: {{settle: '${{SETTLE}}'}}\n{text}", {**ENVIRONMENT, "ID": "77", "SETTLE": "5s"}
    )
    assert (config.portals[0].id, config.worker.settle, config.portals[0].allow.erase_contacts) == (
        77,
        5 * SECOND,
        True,
    )


def test_a_file_is_read_beside_the_configuration_or_where_it_is_named_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("other\n", "utf-8")
    config = good(tmp_path, f"version: 1\n{PORTAL.replace('${TOKEN}', '${file:' + str(tmp_path / 'elsewhere') + '}')}")
    assert config.portals[0].access_token.get_secret_value() == "other"
    assert config.portals[0].client_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("${NOBODY}", "missing-variable"), ("${file:nowhere}", "missing-variable"), ("${file:.}", "missing-variable"),
        ('"${file:\\0}"', "missing-variable"), ("${TOKEN", "wrong-reference"), ("${TO-KEN}", "wrong-reference"),
        ("${NOBODY:-${TOKEN}}", "wrong-reference"), ("${}", "wrong-reference"), ('""', "missing-secret"),
        ("${EMPTY:-}", "missing-secret"),
        ("null", "wrong-type"), ("[a]", "wrong-type"), ("12345678", "wrong-type"),
    ],
)  # fmt: skip
def test_a_secret_that_is_not_there_is_reported_where_it_should_stand(tmp_path: Path, written: str, code: str) -> None:
    assert faults(tmp_path, f"version: 1\n{PORTAL.replace('${TOKEN}', written)}") == [f"4:19 {code}"]


def test_a_file_that_is_nothing_but_a_reference_is_no_configuration(tmp_path: Path) -> None:
    assert faults(tmp_path, "${TOKEN}\n") == ["1:1 wrong-type"]


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "    mode: ${TOKEN}", "    app_id: ${TOKEN}", "    webhook_url: ${TOKEN}",
        "    limits: {reserve: '${TOKEN}'}", "    allow: ${TOKEN}",
        "    stages: ['${TOKEN}']",
        "    calendar: {time_zone: '${TOKEN}', holidays: '${TOKEN}', working_days: ['${TOKEN}']}",
        f"    client_secret: !{SECRET}", f"    client_secret: *{SECRET}", f"    client_secret: {{{SECRET}: x}}",
        f"    client_secret: [{SECRET}]", f"    client_secret: @{SECRET}", f"    client_secret: %{SECRET}",
        f"    client_secret: '{SECRET}",
    ],
)  # fmt: skip
def test_no_message_shows_what_a_reference_or_a_secret_stood_for(tmp_path: Path, line: str) -> None:
    key = line.strip().split(":")[0]
    rest = "".join(row for row in PORTAL.splitlines(keepends=True) if not row.strip().startswith(f"{key}:"))
    assert faults(tmp_path, f"version: 1\n{rest}{line}\n") != []


def test_no_secret_is_in_what_a_configuration_shows_of_itself(tmp_path: Path) -> None:
    head = f"version: 1\ndatabase: postgresql://user:{SECRET}@host/name\nserver: {{ops_token: {SECRET}}}\n"
    config = good(tmp_path, head + PORTAL)
    assert config.database.endswith(f":{SECRET}@host/name")
    assert SECRET not in repr(config) + str(config) + repr(config.portals) + repr(config.server)


def test_an_empty_token_for_operations_is_none(tmp_path: Path) -> None:
    config = good(tmp_path, "version: 1\nserver: {ops_token: '${NOBODY:-}'}\n" + PORTAL)
    assert config.server.ops_token is None


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "line", "found"),
    [
        ("version: 2", "", ["1:10 wrong-value"]), ("versoin: 1", "", ["1:1 missing-key", "1:1 unknown-key"]),
        ("version: 1\nversion: 1", "", ["2:1 duplicate-key"]),
        ("version: 1\nserver: {bind: 127.0.0.1}", "", ["2:16 wrong-value"]),
        ("version: 1\nserver: {bind: 'a:99999'}", "", ["2:16 wrong-value"]),
        ("version: 1\nserver: {threads: 0}", "", ["2:19 wrong-value"]),
        ("version: 1\nworker: {settle: 2}", "", ["2:18 unreadable-duration"]),
        ("version: 1\nworker: {settle: 2 moons}", "", ["2:18 unreadable-duration"]),
        ("version: 1\nworker: {reconcile_every: 0s}", "", ["2:27 unreadable-duration"]),
        ("version: 1\nworker: {reconcile_every: off}", "", ["2:27 unreadable-duration"]),
        ("version: 1\nlog: {format: xml}", "", ["2:15 wrong-value"]),
        ("version: 1\nlog: json", "", ["2:6 wrong-type"]),
        ("version: 1", "    acess_token: x", ["8:5 unknown-key"]),
        ("version: 1", "    allow: {erase: true}", ["8:13 unknown-key"]),
        ("version: 1", "    limits: {calls_per_10s: 0, reserve: 1}", ["8:29 wrong-value", "8:41 wrong-value"]),
        ("version: 1", "    mode: dry", ["8:11 wrong-value"]),
        ("version: 1", "    api_url: api.hubapi.com", ["8:14 wrong-url"]),
        ("version: 1", "    stages: {a b: x}", ["8:14 wrong-value"]),
        ("version: 1", "    stages: {lead: [x]}", ["8:20 wrong-type"]),
        ("version: 1", "    calendar: {time_zone: Mars/Base}", ["8:27 unknown-time-zone"]),
        ("version: 1", "    calendar: {time_zone: ''}", ["8:27 unknown-time-zone"]),
        ("version: 1", "    calendar: {holidays: DE-XX}", ["8:26 unknown-country"]),
        ("version: 1", "    calendar: {holidays: Germany}", ["8:26 unknown-country"]),
        ("version: 1", "    calendar: {quiet_hours: {from: '25:00', to: noon}}",
         ["8:36 wrong-value", "8:49 wrong-value"]),
        ("version: 1", "  - {id: 4242, access_token: a, client_secret: b, webhook_url: 'https://a.b/', rules: r}",
         ["8:10 duplicate-portal"]),
    ],
)  # fmt: skip
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, head: str, line: str, found: list[str]) -> None:
    text = f"{head}\n{PORTAL}{line}\n"
    shift = head.count("\n")
    assert faults(tmp_path, text) == [_shifted(each, shift) for each in found]


def _shifted(fault: str, lines: int) -> str:
    line, rest = fault.split(":", 1)
    return f"{int(line) + (lines if int(line) > 7 else 0)}:{rest}"


@pytest.mark.parametrize("holidays", ["DE", "DE-BY", "US", "GB-SCT"])
def test_a_country_may_have_a_region(tmp_path: Path, holidays: str) -> None:
    assert (
        good(tmp_path, f"version: 1\n{PORTAL}    calendar: {{holidays: {holidays}}}\n").portals[0].calendar.holidays
        == holidays
    )


@pytest.mark.parametrize(
    ("wrong", "right"), [("acess_token", "access_token"), ("webhok_url", "webhook_url"), ("stagse", "stages")]
)
def test_an_unknown_key_suggests_the_nearest(tmp_path: Path, wrong: str, right: str) -> None:
    _, problems = load(tmp_path, f"version: 1\n{PORTAL}    {wrong}: x\n")
    assert [problem.cure for problem in problems] == [f"did you mean {right!r}?"]


def test_all_faults_are_reported_at_once_in_their_order(tmp_path: Path) -> None:
    text = "version: 3\nlog: {level: loud}\nportals:\n  - {id: 0, rules: a, access_token: '${NOBODY}'}\n  - {}\n"
    assert faults(tmp_path, text) == [
        "1:10 wrong-value", "2:14 wrong-value", "4:5 missing-key", "4:5 missing-key", "4:10 wrong-value",
        "4:37 missing-variable",
        *["5:5 missing-key"] * 5,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "- a\n", "5\n", "portals: []\nversion: 1\n", "version: 1\n", "a: [\n"]
)
def test_what_is_no_configuration_is_a_problem_and_no_exception(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) != []


def test_a_configuration_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    config, problems = load_config(tmp_path / "nowhere.yaml", {})
    assert (config, [problem.code for problem in problems]) == (None, ["file-unreadable"])


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///data/a.db", "sqlite:///{folder}/data/a.db"), ("sqlite:////var/a.db", "sqlite:////var/a.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"), ("sqlite+pysqlite:///a.db", "sqlite+pysqlite:///{folder}/a.db"),
        ("postgresql://u:p@h/n", "postgresql://u:p@h/n"), ("postgresql:///n", "postgresql:///n"),
    ],
)  # fmt: skip
def test_a_sqlite_file_is_relative_to_the_configuration(tmp_path: Path, written: str, read: str) -> None:
    config = good(tmp_path, f"version: 1\ndatabase: '{written}'\n{PORTAL}")
    assert config.database == read.format(folder=tmp_path)


def test_rules_are_relative_to_the_configuration_wherever_the_command_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert good(tmp_path, f"version: 1\n{PORTAL}").portals[0].rules == tmp_path / "rules" / "default.yaml"
    (tmp_path / "link.yaml").symlink_to(tmp_path / "config.yaml")
    config, _ = load_config(Path("../link.yaml"), ENVIRONMENT)
    assert config is not None
    assert config.portals[0].rules.resolve() == (tmp_path / "rules" / "default.yaml").resolve()
    absolute = good(tmp_path, f"version: 1\n{PORTAL.replace('rules/default.yaml', '/etc/rules.yaml')}")
    assert absolute.portals[0].rules == Path("/etc/rules.yaml")


def test_the_configuration_is_the_given_one_else_the_one_here_else_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"STAGEKEEPER_CONFIG": "/etc/stagekeeper.yaml"}
    assert config_path("given.yaml", environment) == Path("given.yaml")
    assert config_path(None, environment) == Path("/etc/stagekeeper.yaml")
    assert config_path(None, {}) == Path("config.yaml")
    (tmp_path / "config.yaml").write_text("", "utf-8")
    assert config_path(None, environment) == Path("config.yaml")


def test_a_portal_is_found_by_its_id(tmp_path: Path) -> None:
    config = good(tmp_path, f"version: 1\n{PORTAL}")
    assert config.portal(4242) is config.portals[0]
    assert config.portal(1) is None
