"""The packs that a configuration names, loaded and checked beside it: every problem at once, or a refusal to start.

Needs neither the database nor HubSpot, so that whoever only asks about files need not load what speaks to them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from connector.config import Config, Portal, load_config, named_packs
from connector.errors import FilesInvalid
from connector.problems import Place, Problem, is_broken
from connector.rulebook.checking import load_pack
from connector.rulebook.pack import Pack


def load_packs(config: Config) -> tuple[dict[int, Pack], list[Problem]]:
    """Load every portal's pack, and check it and the portal's candidate against the portal; each problem once."""
    packs, _, problems = _load_rules(config)
    return packs, problems


def _load_rules(config: Config) -> tuple[dict[int, Pack], dict[int, Pack], list[Problem]]:
    """Load every portal's pack and candidate."""
    packs, problems = _load(config, {portal.id: portal.rules for portal in config.portals})
    candidates, more = _load_candidates(config)
    return packs, candidates, sorted(problems | more)


def _load_candidates(config: Config) -> tuple[dict[int, Pack], set[Problem]]:
    return _load(config, {portal.id: portal.shadow for portal in config.portals if portal.shadow is not None})


def _load(config: Config, files: Mapping[int, Path]) -> tuple[dict[int, Pack], set[Problem]]:
    loaded = {file: load_pack(file) for file in dict.fromkeys(files.values())}
    packs: dict[int, Pack] = {}
    problems: set[Problem] = set()
    for portal in config.portals:
        pack, found = loaded[files[portal.id]] if portal.id in files else (None, [])
        problems.update(_named(each, f"the portal {portal.id}") for each in found)
        if pack is not None:
            packs[portal.id] = pack
            problems.update(unmapped_stages(pack, portal))
    return packs, problems


def _named(problem: Problem, by: str) -> Problem:
    """Say who wants a file, if it cannot be read."""
    cure = f"{by} names it: correct that, or put a pack there"
    return replace(problem, cure=cure) if problem.code == "file-unreadable" else problem


def every_problem(path: Path) -> list[Problem]:
    """Give every problem of a configuration and of the packs that it names, also when it is broken itself."""
    config, problems = load_config(path)
    if config is not None:
        return sorted({*problems, *load_packs(config)[1]})
    found = (problem for pack in named_packs(path, also_missing=True) for problem in load_pack(pack)[1])
    return sorted({*problems, *(_named(problem, "a portal") for problem in found)})


def unmapped_stages(pack: Pack, portal: Portal) -> list[Problem]:
    """Find stages of the ladder for which the portal names no lifecycle stage."""
    missing = [stage for stage in pack.ladder if stage not in portal.stages]
    cure = f"add {', '.join(f'`{stage}: …`' for stage in missing)} under `stages:` of the portal"
    found = f"the portal {portal.id} does not say which lifecycle stage {', '.join(map(repr, missing))} is"
    found += f" (it names {', '.join(portal.stages)})" if portal.stages else ""
    place = Place(file=pack.file)
    return [Problem(place=place, code="unmapped-stage", found=found, cure=cure)] if missing else []


def checked_packs(config: Config) -> dict[int, Pack]:
    """Load the packs or refuse to start; raises FilesInvalid with every problem, those of candidates among them."""
    return checked_rules(config)[0]


def checked_rules(config: Config) -> tuple[dict[int, Pack], dict[int, Pack]]:
    """Load every portal's pack and candidate or refuse to start."""
    packs, candidates, problems = _load_rules(config)
    if is_broken(problems):
        raise FilesInvalid([problem for problem in problems if problem.severity == "error"])
    return packs, candidates
