"""What the README promises is executed or checked: every block, its commands, links, tables and charts."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from connector.cli import COMMANDS, stagekeeper
from connector.cli.test import run_files
from connector.config import load_config
from connector.errors import DatabaseUnavailable, FilesInvalid, Refused, StagekeeperError, UsageError
from connector.rulebook.checking import load_pack, load_pack_text
from connector.rulebook.shipped import shipped_packs
from tests.logged import documented
from tests.promql import catalogue
from tests.readme import TOP, Block, blocks, chapter, prose, text

SESSION = "Change a rule, and see what it does first"
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


@pytest.mark.parametrize("block", of_kind("sh"), ids=str)
def test_every_command_of_a_block_is_one_that_there_is(block: Block) -> None:
    """The session of one chapter is executed as it stands, in tests/acceptance/test_readme_session.py."""
    assert block.text.strip()
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words and block.chapter != SESSION:
            check_command(words)


def check_command(words: list[str]) -> None:
    """Check a command as far as that goes without running it; what takes seconds is run elsewhere."""
    program, *rest = words
    if program == "make":
        assert re.search(rf"^{rest[0]}:", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), words
    elif program == "stagekeeper":
        parse(rest)
    elif program == "pip":
        assert rest[0] == "install"
        extras = re.findall(r"\[(\w+)\]", " ".join(rest))
        assert all(f"\n{extra} = [" in (TOP / "pyproject.toml").read_text(encoding="utf-8") for extra in extras), words
    else:
        assert program in ("export", "python3", "sqlite3", "docker", "systemctl", "sudo", "curl", "cp"), words
        assert [word for word in rest if word.startswith("deploy/") and not (TOP / word).exists()] == []


def parse(words: list[str]) -> None:
    """Have click read a command line without running it."""
    command: click.Command = stagekeeper
    context = click.Context(command, info_name="stagekeeper")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    if "--help" not in words:
        command.make_context(command.name, [*words], parent=context, resilient_parsing=False)


def test_the_commands_that_take_a_backup_are_run_by_the_test_of_upgrades() -> None:
    assert "copy.db" in chapter("Backup, restoring, upgrading")
    assert "documented(tool)" in (TOP / "tests/integration/test_upgrade.py").read_text(encoding="utf-8")


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


# --- commands ---------------------------------------------------------------------------------------------------------


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `stagekeeper ([a-z]+)", chapter("Commands"), re.MULTILINE)
    assert sorted(set(listed)) == sorted(COMMANDS)


def inline_commands() -> list[str]:
    spans = re.findall(r"`(stagekeeper [^`]+)`", prose().replace("\n", " "))
    return sorted({span for span in spans if not re.search(r"[|…\[]", span)})


@pytest.mark.parametrize("span", inline_commands())
def test_every_command_in_the_prose_can_be_typed(span: str) -> None:
    words = shlex.split(span)[1:]
    arguments = [re.sub(r"^ID$", "4242", word) for word in words]
    try:
        parse(arguments)
    except click.MissingParameter:  # it is named without what it is about
        assert len(words) <= 2


@pytest.mark.parametrize(
    ("failure", "code"), [(UsageError, 2), (FilesInvalid, 3), (DatabaseUnavailable, 5), (Refused, 7)]
)
def test_exit_codes_are_those_of_the_table(failure: type[StagekeeperError], code: int) -> None:
    assert failure.exit_code == code
    assert f"{code} " in text().split("Exit codes:", 1)[1].split("\n\n", 1)[0].replace("\n", " ")


def test_every_make_target_that_the_readme_names_is_there() -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|^ *)make ([a-z-]+)", text(), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_module_that_is_named_to_be_run_is_there() -> None:
    for module in set(re.findall(r"python -m (tests\.[\w.]+)", text())):
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        assert subprocess.run([sys.executable, "-c", code], cwd=TOP, check=False).returncode == 0, module


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
