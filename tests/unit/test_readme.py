"""What the README promises is executed or checked: its YAML, links, tables and charts.

Its shell lines are run by tests/acceptance/test_readme_commands.py and test_readme_session.py.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from connector.cli import COMMANDS, stagekeeper
from connector.cli.test import run_files
from connector.config import Allow, load_config
from connector.errors import DatabaseUnavailable, FilesInvalid, Refused, StagekeeperError, UsageError
from connector.needs import scopes, subscriptions
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.shipped import shipped_packs
from tests.logged import documented
from tests.promql import catalogue
from tests.readme import TOP, Block, blocks, chapter, prose, text

BLOCKS = blocks()


def of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind]


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_every_block_is_of_a_kind_that_is_executed_or_checked() -> None:
    assert {str(block) for block in BLOCKS if block.kind not in ("sh", "yaml", "mermaid", "nginx", "text")} == set()
    assert [line for line in prose().splitlines() if re.match(r" {4,}[^ -]", line)] == []


def test_the_pack_in_the_readme_is_well_and_its_case_passes(tmp_path: Path) -> None:
    pack, cases = [block.text for block in of_kind("yaml") if block.chapter == "Rules"]
    assert load_pack_text(pack)[1] == []
    (tmp_path / "tiny.yaml").write_text(pack, encoding="utf-8")
    (tmp_path / "tiny_test.yaml").write_text(cases, encoding="utf-8")
    assert [result.result for result in run_files([tmp_path / "tiny_test.yaml"])] == ["passed"]


@pytest.mark.parametrize("block", [b for b in of_kind("yaml") if b.chapter != "Rules"], ids=str)
def test_every_other_yaml_is_a_part_of_a_file_that_is_read(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = YAML(typ="safe").load(block.text)
    if data is None:
        assert block.text.startswith("# yaml-language-server: $schema=")
    elif "repos" in data:
        offered = {hook["id"] for hook in YAML(typ="safe").load((TOP / ".pre-commit-hooks.yaml").read_text())}
        assert {hook["id"] for repository in data["repos"] for hook in repository["hooks"]} <= offered
    else:
        for name in ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_CLIENT_SECRET", "STAGEKEEPER_OPS_TOKEN"):
            monkeypatch.setenv(name, "x" * 20)
        whole = YAML(typ="safe").load((TOP / "config.example.yaml").read_text(encoding="utf-8"))
        for portal in whole["portals"]:
            portal["rules"] = str(TOP / "rules" / "default.yaml")
        with (tmp_path / "config.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({**whole, **data}, file)
        assert load_config(tmp_path / "config.yaml")[1] == []


@pytest.mark.parametrize("block", of_kind("nginx"), ids=str)
def test_the_proxy_of_the_readme_is_written_as_nginx_is(block: Block) -> None:
    lines = [line.strip() for line in block.text.splitlines() if line.strip()]
    assert [line for line in lines if not line.endswith((";", "{", "}"))] == []
    assert block.text.count("{") == block.text.count("}")
    example = (TOP / "config.example.yaml").read_text(encoding="utf-8")
    [target] = re.findall(r"proxy_pass http://([^;]+);", block.text)
    assert f"bind: {target}" in example
    assert "X-Forwarded-Proto" in block.text
    assert "X-Forwarded-For" in block.text


_NODE = r"\w+(?:\[[^\[\]]+\]|\[\([^()]+\)\])?"
_FLOW_LINE = re.compile(rf"{_NODE} -- [^-]+ --> {_NODE}")
_STATE_LINE = re.compile(r"(\[\*\]|\w+) --> (\w+)(: [^:]+)?|state \w+ \{|\}")


@pytest.mark.parametrize("block", of_kind("mermaid"), ids=str)
def test_a_chart_is_built_as_mermaid_is_and_shows_what_there_is(block: Block) -> None:
    first, *lines = [line.strip() for line in block.text.splitlines() if line.strip()]
    if first == "flowchart LR":
        assert [line for line in lines if not _FLOW_LINE.fullmatch(line)] == []
    else:
        assert first == "stateDiagram-v2"
        assert [line for line in lines if not _STATE_LINE.fullmatch(line)] == []
        named = {name for line in lines for name in re.findall(r"(?:^|> )(\w+)(?: -|:|$)", line)}
        pack, _ = load_pack(shipped_packs()["default"])
        assert pack is not None
        assert named <= {*pack.ladder, *(rule.status for rule in pack.statuses)}
        assert named >= {*pack.ladder}


def test_what_is_shown_as_text_is_compared_with_what_comes_out() -> None:
    flow, table = [block.text for block in of_kind("text")]
    modules = {path.stem for path in (TOP / "connector").glob("*.py")}
    steps = set(re.findall(r"\w+", flow)) - {"conditions", "facts", "rules"}
    assert steps <= modules
    assert table.startswith("from ")  # by test_readme_session.py


def test_the_scopes_and_subscriptions_are_those_that_shipped_packs_need_and_no_others() -> None:
    environment = {"HUBSPOT_ACCESS_TOKEN": "a", "HUBSPOT_CLIENT_SECRET": "b"}
    config, _ = load_config(TOP / "config.example.yaml", environment)
    assert config is not None
    portal = config.portals[0].model_copy(update={"allow": Allow(create_deals=True, erase_contacts=True)})
    packs = [pack for path in shipped_packs().values() if (pack := load_pack(path)[0])]
    told = chapter("Connect a portal")
    named = set(re.findall(r"`((?:crm|communication_preferences)\.[\w.]+)`", told))
    assert {scope.name for pack in packs for scope in scopes(portal, pack)} == named
    assert {one.type for pack in packs for one in subscriptions(pack)} == set(re.findall(r"`(contact\.\w+)`", told))


def test_a_service_is_told_to_keep_its_database_where_it_may_write() -> None:
    unit = (TOP / "deploy" / "systemd" / "stagekeeper.service").read_text("utf-8")
    assert "StateDirectory=stagekeeper\n" in unit
    assert all("sqlite:////var/lib/stagekeeper/stagekeeper.db" in each for each in (unit, chapter("Install")))


# --- commands ---------------------------------------------------------------------------------------------------------


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `stagekeeper ([a-z]+)", chapter("Commands"), re.MULTILINE)
    assert sorted(set(listed)) == sorted(COMMANDS)


def rows_of_commands() -> list[tuple[list[str], set[str]]]:
    """List the rows of the table of commands: the names of a command, and the options that its row tells of."""
    rows = re.findall(r"^\| `stagekeeper ([^`]+)` \| (.*) \|$", chapter("Commands"), re.MULTILINE)
    found = []
    for line, told in rows:
        names = re.findall(r"[a-z]+", " ".join(re.findall(r"^[a-z]+|(?<= )[a-z|\\]+$", line)))
        found.append((names, set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line + told))))
    return found


@pytest.mark.parametrize(("names", "told"), rows_of_commands(), ids=lambda each: " ".join(sorted(each))[:20])
def test_every_option_of_the_table_is_one_that_its_command_takes(names: list[str], told: set[str]) -> None:
    context = click.Context(stagekeeper, info_name="stagekeeper")
    command = stagekeeper.get_command(context, names[0])
    assert command is not None
    under = command.commands if isinstance(command, click.Group) else {}
    assert set(names[1:]) <= {*under, *(c for p in command.params for c in getattr(p.type, "choices", ()))}
    options = {option for one in (command, *under.values()) for param in one.params for option in param.opts}
    assert told <= options


@pytest.mark.parametrize(
    ("failure", "code"), [(UsageError, 2), (FilesInvalid, 3), (DatabaseUnavailable, 5), (Refused, 7)]
)
def test_exit_codes_are_those_of_the_table(failure: type[StagekeeperError], code: int) -> None:
    assert failure.exit_code == code
    assert f"{code} " in text().split("Exit codes:", 1)[1].split("\n\n", 1)[0].replace("\n", " ")


def test_every_module_that_is_named_to_be_run_is_there() -> None:
    for module in set(re.findall(r"python -m (tests\.[\w.]+)", text())):
        assert find_spec(module) is not None, module


# --- links, metrics, log ----------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """Give the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_leads_somewhere() -> None:
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", prose(), re.MULTILINE)}
    links = set(re.findall(r"\]\(([^)]+)\)", prose()))
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside <= anchors
    assert {link for link in links if not link.startswith(("#", "https://")) and not (TOP / link).exists()} == set()


def test_the_contents_name_every_chapter() -> None:
    chapters = re.findall(r"^## (.+)$", prose(), re.MULTILINE)
    named = re.findall(r"\[([^\]]+)\]\(#", prose().split("\n## ", 1)[0].replace("\n", " "))
    assert named == chapters


def test_the_table_of_metrics_names_every_one_with_its_labels() -> None:
    told: dict[str, set[str]] = {}
    table = chapter("Metrics, alerts and dashboards")
    for names, labels in re.findall(r"^\| (`[^|]+) \| *([^|]*?) *\|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            told[name] = set(re.findall(r"`(\w+)`", labels))
    there = {
        re.sub(r"_(bucket|count|sum)$", "", name.removeprefix("stagekeeper_")): set(labels) - {"le"}
        for name, labels in catalogue().items()
    }
    assert told.keys() == there.keys()
    shared = {"reconcile_every_seconds"}  # stands in a row with one that has a label
    assert {n: labels for n, labels in told.items() if n not in shared} == {
        n: labels for n, labels in there.items() if n not in shared
    }


def test_every_event_of_the_log_that_is_named_is_logged() -> None:
    areas = {name.partition(".")[0] for name in documented()}
    named = {name for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", prose()) if name.partition(".")[0] in areas}
    settings = {"worker", "server", "limits", "log", "oauth", "records"}
    unknown = {name for name in named - set(documented()) if name.partition(".")[0] not in settings}
    types = {name for name in unknown if name.startswith(("contact.", "company.", "deal."))}
    assert unknown - types == set()
