"""`stagekeeper test`: case files against their packs."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from connector.cli.caserun import Run, Selection, coverage_of, run_cases
from connector.cli.check import yaml_files
from connector.cli.coverage_view import as_data as coverage_data
from connector.cli.coverage_view import percent, print_coverage
from connector.cli.junit import as_junit, lines_of
from connector.cli.options import common, output, path_of_config, read_config, tell
from connector.cli.render import print_json
from connector.cli.updating import Updated, print_updated, update
from connector.cli.updating import as_data as updated_data
from connector.cli.watching import INTERVAL_S, changes
from connector.config import load_config, named_packs
from connector.errors import FilesInvalid, StagekeeperError, UsageError
from connector.moments import system_clock
from connector.rulebook.cases import CaseResult

_SUFFIX = "_test.yaml"
FAILED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """What is asked for besides the files."""

    selection: Selection
    format: str
    coverage: bool
    fail_under: float | None
    update: bool


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES]...")
@click.option("-k", "text", default="", metavar="TEXT", help="Only cases with this text in their name.")
@click.option("--case", "names", multiple=True, metavar="NAME", help="Only the case of this name; may be repeated.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only cases that expect this rule or reach it.")
@click.option("--coverage", is_flag=True, help="Say which rules and which answers of conditions the cases reach.")
@click.option("--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail when they reach less.")
@click.option("--update", "updating", is_flag=True, help="Rewrite what failed cases expect to what is decided now.")
@click.option("--watch", is_flag=True, help="Run again whenever a pack or case file changes, until Ctrl-C.")
@output("junit")
@common
def command(  # noqa: PLR0913 - one argument an option
    *, files: tuple[Path, ...], text: str, names: tuple[str, ...], rules: tuple[str, ...], coverage: bool,
    fail_under: float | None, updating: bool, watch: bool, format_: str,
) -> int:  # fmt: skip
    """Run case files (or those of packs, or of folders); without any, those beside the configured packs.

    Leaves with 4 when a case failed or could not be judged, or less is reached than --fail-under wants; with 3 when a
    file is invalid.
    """
    selection = Selection(text=text, names=names, rules=rules)
    wish = _Wish(selection=selection, format=format_, coverage=coverage, fail_under=fail_under, update=updating)
    if watch and (updating or format_ != "text"):
        raise click.UsageError("--watch goes with text alone, and not with --update")
    if watch:
        _watch(files, wish, pause=lambda: threading.Event().wait(INTERVAL_S))
        return 0
    return _run(case_files(files), wish)


def _watch(files: tuple[Path, ...], wish: _Wish, *, pause: Callable[[], object]) -> None:
    """Run now and after every change, until Ctrl-C; what is wrong with files is shown and waited out."""
    try:
        for _ in changes(lambda: _watched(files), pause=pause):
            click.clear()  # on a terminal only
            try:
                _run(case_files(files), wish)
            except FilesInvalid as error:
                click.echo("\n".join(map(str, error.problems)))
            except StagekeeperError as error:
                click.echo(f"error: {error.code}: {error}")
            tell("waiting for changes; Ctrl-C ends it")
    except KeyboardInterrupt:
        tell("")


def _watched(files: tuple[Path, ...]) -> Iterable[Path]:
    """Name what a run may depend on: the files that are named, and all YAML in the folders where they are."""
    given = files or (*([Path("rules")] if Path("rules").is_dir() else []), path_of_config())
    try:
        found = [*given, *case_files(files)]
    except (UsageError, FilesInvalid):
        found = list(given)
    folders = {path if path.is_dir() else path.parent for path in found}
    return sorted({*found, *(each for folder in folders for each in folder.glob("*.yaml"))})


def _run(files: Sequence[Path], wish: _Wish) -> int:
    started, clock = system_clock(), time.perf_counter()
    runs = run_cases(files, wish.selection)
    updated: list[Updated] = []
    if wish.update:
        updated = update(runs)
        runs = _again(files, runs) if any(one.changed for one in updated) else runs
    seconds = time.perf_counter() - clock
    if wish.format == "junit":
        click.echo(as_junit(runs, started=started, seconds=seconds))
    elif wish.format == "json":
        print_json(_as_data(runs, updated, wish))
    else:
        _print_text(runs, updated, wish, seconds)
    if wish.fail_under is not None and percent(coverage_of(runs).values()) < wish.fail_under:
        tell(f"less than {wish.fail_under:g} % of rules and answers are reached; --coverage shows which are not")
        return FAILED
    return 0 if all(run.result.result == "passed" for run in runs) else FAILED


def _again(files: Sequence[Path], runs: Sequence[Run]) -> list[Run]:
    """Run the same cases once more; what they expect may no longer be what they were chosen by."""
    chosen = {(run.result.file, run.result.name) for run in runs}
    return [run for run in run_cases(files, Selection()) if (run.result.file, run.result.name) in chosen]


def case_files(given: tuple[Path, ...]) -> list[Path]:
    """Give the case files that are meant: the named ones, those of named packs and folders, those of the portals."""
    if not given:
        given = _configured()
    found = []
    for path in yaml_files(given):
        beside = path if path.name.endswith(_SUFFIX) else path.with_name(f"{path.stem}{_SUFFIX}")
        if beside != path and not beside.exists() and path not in given:
            continue
        found.append(beside if path.exists() or beside != path else path)
    cases = list(dict.fromkeys(found))
    if not cases:
        raise UsageError(f"no case file was found; case files are called <pack>{_SUFFIX} and stand beside their pack")
    return cases


def _configured() -> tuple[Path, ...]:
    """Name the packs of the configuration, which may lack its secrets: cases need none."""
    path = path_of_config()
    if not path.exists() and Path("rules").is_dir():
        return (Path("rules"),)
    config, problems = load_config(path)
    if config is None and {problem.code for problem in problems} == {"missing-variable"}:
        return tuple(named_packs(path))
    return tuple({portal.rules: None for portal in read_config().portals})


def run_files(files: Sequence[Path]) -> list[CaseResult]:
    """Run every case of the files; raises FilesInvalid with the problems of all of them."""
    return [run.result for run in run_cases(files, Selection())]


def _count(runs: Sequence[Run]) -> dict[str, int]:
    return {name: sum(run.result.result == name for run in runs) for name in ("passed", "failed", "errored")}


def _print_text(runs: Sequence[Run], updated: Sequence[Updated], wish: _Wish, seconds: float) -> None:
    print_updated(updated)
    for run in runs:
        if run.result.result != "passed":
            click.secho(f"{run.result.result.upper()} {run.result.file}: {run.result.name}", fg="red", bold=True)
            for line in lines_of(run.result):
                click.echo(f"    {line}")
    if wish.coverage:
        print_coverage(coverage_of(runs))
        click.echo()
    counts = _count(runs)
    click.echo(f"{counts['passed']} passed, {counts['failed']} failed, {counts['errored']} errored")
    files = len({run.result.file for run in runs})
    tell(f"{len(runs)} cases in {files} file{'' if files == 1 else 's'}, {seconds:.2f} s")


def _as_data(runs: Sequence[Run], updated: Sequence[Updated], wish: _Wish) -> dict[str, Any]:
    data: dict[str, Any] = {**_count(runs), "cases": [_case(run.result) for run in runs]}
    if wish.coverage:
        data["coverage"] = coverage_data(coverage_of(runs))
    if wish.update:
        data["updated"] = updated_data(updated)
    return data


def _case(result: CaseResult) -> dict[str, Any]:
    """Give a result as data; why a case could not be judged stands where its differences would."""
    differences = [asdict(difference) for difference in result.differences]
    differences += [
        {"path": one.code, "expected": "; ".join(part for part in (one.expected, one.cure) if part), "actual": str(one)}
        for one in result.problems
    ]
    return {"file": result.file, "name": result.name, "result": result.result, "differences": differences}
