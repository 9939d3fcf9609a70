"""`stagekeeper check`: every problem of packs, case files and the configuration, in one run, and what can be proven."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from connector.cli.options import common, output, path_of_config, portal_id, read_config, tell
from connector.cli.render import counted_problems, print_json
from connector.config import Portal, named_packs
from connector.errors import UsageError
from connector.moments import system_clock
from connector.packs import every_problem
from connector.problems import Place, Problem, is_broken
from connector.proving.findings import Finding
from connector.proving.portal import PortalFacts, configured_problems, portal_problems, read_portal
from connector.proving.prover import prove
from connector.proving.solving import is_installed
from connector.rulebook.cases import case_problems, load_cases, missing_pack
from connector.rulebook.checking import check_pack, load_pack
from connector.rulebook.contradictions import KNOWN_FORMS
from connector.rulebook.pack import Pack
from connector.rulebook.reading import Document, read_file

_NO_SOLVER = "nothing was proven: z3-solver is not installed; `pip install 'stagekeeper[prove]'`, or use --no-proofs"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What a run is to do beside looking at the shape."""

    proofs: bool
    overlaps: bool
    facts: PortalFacts | None


@click.command("check")
@click.argument("rules", nargs=-1, type=click.Path(path_type=Path), metavar="[RULES]...")
@click.option("--portal", type=int, metavar="ID", help="Also compare with what this portal holds; reads HubSpot.")
@click.option("--no-proofs", is_flag=True, help="Only look at the shape: no search for contacts that show a fault.")
@click.option("--overlaps", is_flag=True, help="Also list stage and status rules that fit one and the same contact.")
@output()
@common
def command(
    rules: tuple[Path, ...], portal: int | None, no_proofs: bool, overlaps: bool, format_: str
) -> int:
    """Check packs and case files (files or folders); without any, the configuration and the packs that it names.

    Each problem is one line: file:line:column: code: what is wrong; what was expected; what to do. What is proven about
    contacts is followed by one that shows it, as an entry for a case file.
    """
    proofs = not no_proofs and is_installed()
    chosen = _portal(portal) if portal is not None else None
    asked = _Asked(proofs=proofs, overlaps=overlaps, facts=_read(chosen) if chosen else None)
    paths = yaml_files(rules) if rules else [chosen.rules] if chosen else []
    problems = [*check_files(paths)] if rules else [*check_configuration()]
    packs = paths or _configured_packs()
    if packs and not (no_proofs or proofs):
        tell(_NO_SOLVER)
    found, undecided = _beyond_shape(packs, asked)
    found += _of_configuration(chosen, asked.facts) if chosen and asked.facts else []
    if asked.facts is not None:  # HubSpot's own word on options takes the place of what is known without asking
        problems = [problem for problem in problems if problem.code != "unknown-option"]
    ordered = sorted({Finding(problem=problem) for problem in problems} | set(found), key=lambda each: each.problem)
    _print(ordered, undecided, format_)
    return 3 if is_broken(each.problem for each in ordered) else 0


# --- the shape --------------------------------------------------------------------------------------------------------


def check_files(given: Sequence[Path]) -> Iterator[Problem]:
    """Give the problems of packs and case files."""
    for path in yaml_files(given):
        yield from _check_cases(path) if path.name.endswith("_test.yaml") else load_pack(path)[1]


def _check_cases(path: Path) -> Iterator[Problem]:
    """Give the problems of a case file, and those of its cases that cannot be judged."""
    cases, problems = load_cases(path)
    yield from problems
    if cases is not None:
        yield from missing_pack(cases)
        pack = load_pack(cases.pack)[0] if cases.pack.exists() else None
        for case in cases.cases:
            yield from case.problems if pack is None else case_problems(case, pack)


def check_configuration() -> Iterator[Problem]:
    """Give the problems of the configuration and of the packs that it names; without one, of the folder `rules`."""
    path = path_of_config()
    if not path.exists() and Path("rules").is_dir():
        yield from check_files((Path("rules"),))
        return
    yield from every_problem(path)


def yaml_files(given: Iterable[Path]) -> list[Path]:
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


def _configured_packs() -> list[Path]:
    path = path_of_config()
    if not path.exists() and Path("rules").is_dir():
        return yaml_files((Path("rules"),))
    return named_packs(path)


# --- beyond shape -----------------------------------------------------------------------------------------------------


def _beyond_shape(paths: Iterable[Path], asked: _Asked) -> tuple[list[Finding], list[str]]:
    """Prove packs that are well written, and compare them with the portal."""
    found: list[Finding] = []
    undecided: list[str] = []
    for path in dict.fromkeys(paths):
        document, problems = read_file(path) if not path.name.endswith("_test.yaml") else (None, [])
        pack = check_pack(document, problems)[0] if document is not None else None
        if document is None or pack is None:
            continue
        if asked.facts is not None:
            found += [Finding(problem=problem) for problem in portal_problems(pack, document, asked.facts)]
        if asked.proofs:
            findings, open_ = _proven(pack, document, asked)
            found += findings
            undecided += [f"{path}: {question}" for question in open_]
    return found, undecided


def _proven(pack: Pack, document: Document, asked: _Asked) -> tuple[Sequence[Finding], Sequence[str]]:
    facts = asked.facts
    proof = prove(
        pack, document, forms=KNOWN_FORMS if facts is None else facts.forms, strict=facts is not None,
        with_overlaps=asked.overlaps,
    )  # fmt: skip
    return proof.findings, proof.undecided


def _portal(given: int) -> Portal:
    config = read_config()
    return next(portal for portal in config.portals if portal.id == portal_id(config, given))


def _read(portal: Portal) -> PortalFacts:
    from connector.hubspot.budget import MemoryBudgetStore  # noqa: PLC0415 - half of what a check takes without it
    from connector.oauth.keyring import access_of  # noqa: PLC0415
    from connector.services import open_hubspot  # noqa: PLC0415

    access = access_of(read_config(), portal, clock=system_clock)
    hubspot, _ = open_hubspot(portal, store=MemoryBudgetStore(), access=access)
    return read_portal(hubspot)


def _of_configuration(portal: Portal, facts: PortalFacts) -> list[Finding]:
    pack, _ = load_pack(portal.rules)
    place = Place(file=str(path_of_config()))
    ladder = pack.ladder if pack else tuple(portal.stages)
    problems = configured_problems(portal.stages, portal.owners.default, ladder, place, facts)
    return [Finding(problem=problem) for problem in problems]


# --- output -----------------------------------------------------------------------------------------------------------


def _print(found: Sequence[Finding], undecided: Sequence[str], format_: str) -> None:
    counts = counted_problems([each.problem for each in found])
    if format_ == "json":
        problems = [each.as_json() for each in found]
        print_json({"version": 1, **counts, "problems": problems, "undecided": list(undecided)})
        return
    for each in found:
        click.echo(str(each.problem))
        for line in each.witness.splitlines():
            click.echo(f"  {line}")
    for question in undecided:
        click.echo(f"{question}: not proven within the time", err=True)
    told = {word: number for word, number in counts.items() if number or word != "notes"}
    click.echo(", ".join(f"{number} {word if number != 1 else word[:-1]}" for word, number in told.items()), err=True)
