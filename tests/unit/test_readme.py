"""What the README promises is executed: its packs and cases, its list of commands, its exit codes."""

import re
from pathlib import Path

import pytest

from connector.cli import COMMANDS
from connector.cli.test import run_files
from connector.errors import DatabaseUnavailable, FilesInvalid, Refused, StagekeeperError, UsageError
from connector.rulebook.checking import load_pack_text

TOP = Path(__file__).parent.parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


def test_the_pack_in_the_readme_is_well_and_its_case_passes(tmp_path: Path) -> None:
    pack, cases = BLOCKS
    assert load_pack_text(pack)[1] == []
    (tmp_path / "tiny.yaml").write_text(pack, encoding="utf-8")
    (tmp_path / "tiny_test.yaml").write_text(cases, encoding="utf-8")
    assert [result.result for result in run_files([tmp_path / "tiny_test.yaml"])] == ["passed"]


def test_the_readme_lists_every_command_and_no_other() -> None:
    table = README.split("## Commands", 1)[1].split("## Rules", 1)[0]
    assert sorted(set(re.findall(r"^\| `stagekeeper ([a-z]+)", table, re.MULTILINE))) == sorted(COMMANDS)


def test_every_command_that_the_readme_speaks_of_exists() -> None:
    assert set(re.findall(r"`stagekeeper ([a-z]+)", README)) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("failure", "code"), [(UsageError, 2), (FilesInvalid, 3), (DatabaseUnavailable, 5), (Refused, 7)]
)
def test_exit_codes_are_those_of_the_table(failure: type[StagekeeperError], code: int) -> None:
    assert failure.exit_code == code
    assert f"{code} " in README.split("Exit codes:", 1)[1].split("\n\n", 1)[0].replace("\n", " ")


def test_every_make_target_that_the_readme_names_is_there() -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", README)) - {"sure"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


