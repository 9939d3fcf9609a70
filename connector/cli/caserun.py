"""Running case files: which cases are meant, what became of each, and what to watch for the next run."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.decision import see_case
from connector.errors import FilesInvalid, UsageError
from connector.problems import Problem, is_broken, nearest
from connector.rulebook.cases import Case, CaseFile, CaseResult, judge_case, load_cases, missing_pack
from connector.rulebook.checking import load_pack
from connector.rulebook.coverage import Coverage, applied_rules, cover
from connector.rulebook.judging import Rulebook


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A case that has been run, under which rules, and how long it took."""

    case: Case
    result: CaseResult
    rulebook: Rulebook
    pack: Path
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which cases are wanted: all of what is named must fit, and one of several names does."""

    text: str = ""
    names: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Ask whether nothing is left out."""
        return not (self.text or self.names or self.rules)

    def takes(self, run: Run) -> bool:
        """Ask whether a case is wanted; one of a rule expects it, or has it applied."""
        if self.text.casefold() not in run.case.name.casefold() or (self.names and run.case.name not in self.names):
            return False
        return not self.rules or not _rules_of(run).isdisjoint(self.rules)


def _rules_of(run: Run) -> frozenset[str]:
    expect = run.case.expect
    named = {*(expect.tasks or ()), *(expect.no_tasks or ()), *(expect.actions or ()), expect.rule or ""}
    seen = run.result.seen
    return frozenset(named) | (applied_rules(run.rulebook, run.case, seen) if seen else frozenset())


def run_cases(files: Sequence[Path], selection: Selection) -> list[Run]:
    """Run the wanted cases; raises FilesInvalid with the problems of all files, UsageError when no case is wanted."""
    problems: list[Problem] = []
    runs: list[Run] = []
    rulebooks: dict[Path, Rulebook | None] = {}
    for path in files:
        cases, found = load_cases(path)
        problems += found
        if cases is not None:
            runs += _runs(cases, problems, rulebooks)
    if is_broken(problems):
        raise FilesInvalid([problem for problem in sorted(set(problems)) if problem.severity == "error"])
    taken = [run for run in runs if selection.takes(run)]
    if not taken and not selection.is_all:
        raise UsageError(_nothing(selection, runs))
    return taken


def _runs(cases: CaseFile, problems: list[Problem], rulebooks: dict[Path, Rulebook | None]) -> Iterator[Run]:
    path = cases.pack
    if lost := missing_pack(cases):
        problems += lost
        return
    if path not in rulebooks:
        pack, found_in_pack = load_pack(path)
        problems += found_in_pack
        rulebooks[path] = Rulebook(pack) if pack is not None else None
    rulebook = rulebooks[path]
    if rulebook is not None:
        yield from (_run(case, rulebook, path) for case in cases.cases)


def _run(case: Case, rulebook: Rulebook, pack: Path) -> Run:
    started = time.perf_counter()
    result = judge_case(case, rulebook.pack, lambda case, now: see_case(rulebook, case, now))
    return Run(case=case, result=result, rulebook=rulebook, pack=pack, seconds=time.perf_counter() - started)


def _nothing(selection: Selection, runs: Sequence[Run]) -> str:
    """Say why no case fits."""
    ids = {rule.id for run in runs for rule in run.rulebook.pack.rules()}
    for rule in selection.rules:
        if rule not in ids:
            return f"--rule: no pack has a rule {rule!r}; {nearest(rule, ids)}"
    names = {run.case.name for run in runs}
    for name in selection.names:
        if name not in names:
            return f"--case: there is no case {name!r}; {nearest(name, names)}"
    return f"none of {len(runs)} cases fits; `stagekeeper test` without -k, --case and --rule runs them all"


def coverage_of(runs: Iterable[Run]) -> Mapping[Path, Coverage]:
    """Say what the cases reach of each pack; those that could not be judged reach nothing."""
    by_pack: dict[Path, list[Run]] = {}
    for run in runs:
        by_pack.setdefault(run.pack, []).append(run)
    return {
        path: cover(ones[0].rulebook, [(run.case, run.result.seen) for run in ones if run.result.seen])
        for path, ones in by_pack.items()
    }
