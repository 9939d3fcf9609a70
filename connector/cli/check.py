"""`stagekeeper check`: every problem of packs, case files and the configuration, in one run."""

from collections.abc import Iterator
from pathlib import Path

import click

from connector.cli.options import common, output, path_of_config
from connector.cli.render import print_problems
from connector.errors import UsageError
from connector.problems import Problem, is_broken
from connector.rulebook.cases import load_cases
from connector.rulebook.checking import load_pack
from connector.services import every_problem


@click.command("check")
@click.argument("rules", nargs=-1, type=click.Path(path_type=Path), metavar="[RULES]...")
@output()
@common
def command(rules: tuple[Path, ...], format_: str) -> int:
    """Check packs and case files (files or folders); without any, the configuration and the packs that it names.

    Each problem is one line: file:line:column: code: what is wrong; what was expected; what to do.
    """
    problems = sorted({*check_files(rules)} if rules else {*check_configuration()})
    print_problems(problems, format_)
    return 3 if is_broken(problems) else 0


def check_files(given: tuple[Path, ...]) -> Iterator[Problem]:
    """Give the problems of packs and case files."""
    for path in yaml_files(given):
        yield from load_cases(path)[1] if path.name.endswith("_test.yaml") else load_pack(path)[1]


def check_configuration() -> Iterator[Problem]:
    """Give the problems of the configuration and of the packs that it names; without one, of the folder `rules`."""
    path = path_of_config()
    if not path.exists() and Path("rules").is_dir():
        yield from check_files((Path("rules"),))
        return
    yield from every_problem(path)


def yaml_files(given: tuple[Path, ...]) -> list[Path]:
    """Give the files that are named, and the YAML files of the folders that are."""
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            found = sorted(path.glob("*.yaml"))
            if not found:
                raise UsageError(f"{path}: no .yaml file in this folder; name a pack, or a folder of packs")
            files += found
        else:
            files.append(path)
    return files
