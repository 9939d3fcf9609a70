"""`stagekeeper test`: case files against their packs."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import click

from connector.cli.check import yaml_files
from connector.cli.options import common, output, path_of_config, read_config, tell
from connector.cli.render import print_json
from connector.errors import FilesInvalid, UsageError
from connector.pipeline import see_case
from connector.problems import Place, Problem, is_broken
from connector.rulebook.cases import CaseFile, CaseResult, judge_case, load_cases
from connector.rulebook.checking import load_pack
from connector.rulebook.judging import Rulebook

_SUFFIX = "_test.yaml"


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILES]...")
@output("junit")
@common
def command(files: tuple[Path, ...], format_: str) -> int:
    """Run case files (or those of packs, or of folders); without any, those beside the configured packs.

    Leaves with 4 when a case failed or could not be judged, with 3 when a file is invalid.
    """
    started = time.perf_counter()
    results = run_files(case_files(files))
    seconds = time.perf_counter() - started
    {"text": _print_text, "json": _print_json, "junit": _print_junit}[format_](results, seconds)
    return 0 if all(result.result == "passed" for result in results) else 4


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
    if not path_of_config().exists() and Path("rules").is_dir():
        return (Path("rules"),)
    return tuple({portal.rules: None for portal in read_config().portals})


def run_files(files: Sequence[Path]) -> list[CaseResult]:
    """Run every case of the files; raises FilesInvalid with the problems of all of them."""
    problems: list[Problem] = []
    results: list[CaseResult] = []
    for path in files:
        cases, found = load_cases(path)
        problems += found
        if cases is not None:
            results += _run(cases, problems)
    if is_broken(problems):
        raise FilesInvalid([problem for problem in sorted(set(problems)) if problem.severity == "error"])
    return results


def _run(cases: CaseFile, problems: list[Problem]) -> list[CaseResult]:
    if not cases.pack.exists():
        place = Place(file=cases.file)
        found = f"the pack {str(cases.pack)!r} is not there"
        problems.append(Problem(place=place, code="missing-pack", found=found, cure="correct `pack:`"))
        return []
    pack, found_in_pack = load_pack(cases.pack)
    problems += found_in_pack
    if pack is None:
        return []
    rulebook = Rulebook(pack)
    return [judge_case(case, pack, lambda case, now: see_case(rulebook, case, now)) for case in cases.cases]


def _count(results: Sequence[CaseResult]) -> dict[str, int]:
    return {name: sum(result.result == name for result in results) for name in ("passed", "failed", "errored")}


def _print_text(results: Sequence[CaseResult], seconds: float) -> None:
    for result in results:
        if result.result == "passed":
            continue
        click.secho(f"{result.result.upper()} {result.file}: {result.name}", fg="red", bold=True)
        for difference in result.differences:
            click.echo(f"    {difference.path}: expected {difference.expected!r}, got {difference.actual!r}")
        for problem in result.problems:
            click.echo(f"    {problem}")
    counts = _count(results)
    click.echo(f"{counts['passed']} passed, {counts['failed']} failed, {counts['errored']} errored")
    files = len({result.file for result in results})
    tell(f"{len(results)} cases in {files} file{'' if files == 1 else 's'}, {seconds:.2f} s")


def _print_json(results: Sequence[CaseResult], _: float) -> None:
    print_json({**_count(results), "cases": [_as_json(result) for result in results]})


def _as_json(result: CaseResult) -> dict[str, Any]:
    return {
        "file": result.file,
        "name": result.name,
        "result": result.result,
        "differences": [asdict(difference) for difference in result.differences],
        "problems": [problem.as_json() for problem in result.problems],
    }


def _print_junit(results: Sequence[CaseResult], seconds: float) -> None:
    counts = _count(results)
    suite = Element(
        "testsuite", name="stagekeeper", tests=str(len(results)), failures=str(counts["failed"]),
        errors=str(counts["errored"]), time=f"{seconds:.3f}",
    )  # fmt: skip
    for result in results:
        case = SubElement(suite, "testcase", classname=result.file, name=result.name)
        if result.result == "failed":
            lines = [f"{each.path}: expected {each.expected!r}, got {each.actual!r}" for each in result.differences]
            SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
        elif result.result == "errored":
            text = "\n".join(map(str, result.problems))
            SubElement(case, "error", message=text.splitlines()[0]).text = text
    click.echo('<?xml version="1.0" encoding="utf-8"?>')
    click.echo(tostring(suite, encoding="unicode"))
