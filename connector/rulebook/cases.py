"""Case files: named contacts with what a pack must decide about them. *Errored* is not *failed*.

A case errors when it cannot be judged (no `now` although time matters, an expectation on something the pack does not
have) and fails when it is judged otherwise than expected.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, StrictInt

from connector.moments import read_moment
from connector.problems import Place, Problem, nearest
from connector.rulebook.operands import as_text
from connector.rulebook.pack import Name, Pack
from connector.rulebook.reading import Document, Path_, read_file
from connector.rulebook.shape import Shape, shape

Scalar = str | int | float | bool | None
Row = dict[str, Scalar | list[Scalar]]
_WORDS = ("yes", "no", "unknown")


class BeforeEntry(Shape):
    """What Stagekeeper knew of the contact."""

    stage: Name | None = None
    status: str | None = None
    since: str | None = None
    done: dict[Name, StrictInt] = {}


class ExpectEntry(Shape):
    """What must be decided; what is not named is not judged."""

    stage: Name | None = None
    status: str | None = None
    rule: Name | None = None
    tasks: list[Name] | None = None
    no_tasks: list[Name] | None = None
    set: dict[Name, Scalar] | None = None
    actions: list[Name] | None = None
    facts: dict[Name, str] | None = None


class CaseEntry(Shape):
    """One named contact."""

    name: str = Field(min_length=1)
    now: str | None = None
    contact: Row = {}
    company: Row | None = None
    deals: list[Row] = []
    before: BeforeEntry | None = None
    expect: ExpectEntry


class CaseFileEntry(Shape):
    """A case file as it stands."""

    pack: str
    now: str | None = None
    cases: list[CaseEntry] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseSubject:
    """A contact out of a case file, in HubSpot's spelling."""

    properties: Mapping[str, str | None]
    company: Mapping[str, str | None]
    deals: tuple[Mapping[str, str | None], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A case, ready to be judged; `problems` say why it cannot be."""

    file: str
    name: str
    place: Place
    subject: CaseSubject
    stage: str | None
    status: str | None
    since: int | None
    done: Mapping[str, int]
    now: int | None
    expect: ExpectEntry
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFile:
    """The cases of one file and the pack that they are for."""

    file: str
    pack: Path
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was decided, in the words of a case's expectations."""

    stage: str | None
    status: str | None
    rule: str | None
    tasks: tuple[str, ...]
    actions: tuple[str, ...]
    set: Mapping[str, str]
    facts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One expectation that was not met."""

    path: str
    expected: Any
    actual: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """How a case went: passed, failed or errored."""

    file: str
    name: str
    result: str
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()
    seen: Seen | None = field(default=None)


def load_cases(path: Path, *, shown_as: str | None = None) -> tuple[CaseFile | None, list[Problem]]:
    """Read a case file; no cases when its shape is wrong."""
    document, problems = read_file(path, shown_as=shown_as)
    if document is None:
        return None, problems
    entry, shape_problems = shape(CaseFileEntry, document)
    problems += shape_problems
    if entry is None:
        return None, sorted(problems)
    cases = tuple(_case(document, entry, number) for number in range(len(entry.cases)))
    problems += _doubled(document, entry)
    return CaseFile(file=document.file, pack=(path.parent / entry.pack), cases=cases), sorted(problems)


def _doubled(document: Document, entry: CaseFileEntry) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, case in enumerate(entry.cases):
        if case.name in first:
            other = document.value_place(("cases", first[case.name], "name"))
            found = f"the case {case.name!r} stands twice; the first is at {other.line}:{other.column}"
            place = document.value_place(("cases", number, "name"))
            yield Problem(place=place, code="duplicate-case", found=found, cure="give one of them another name")
        first.setdefault(case.name, number)


def _case(document: Document, file: CaseFileEntry, number: int) -> Case:
    entry = file.cases[number]
    path: Path_ = ("cases", number)
    before = entry.before or BeforeEntry()
    problems: list[Problem] = []

    def moment(text: str | None, *where: str | int) -> int | None:
        found = read_moment(text) if text is not None else None
        if text is not None and found is None:
            place = document.value_place((*path, *where) if where != ("now",) or entry.now else ("now",))
            cure = "write 2026-03-02T09:00:00Z"
            problems.append(Problem(place=place, code="unreadable-moment", found=f"found {text!r}", cure=cure))
        return found[0] if found else None

    if not entry.expect.model_fields_set:
        place = document.place((*path, "expect"))
        cure = "name at least one thing"
        problems.append(Problem(place=place, code="empty-expect", found="nothing is expected", cure=cure))
    return Case(
        file=document.file,
        name=entry.name,
        place=document.value_place(path),
        subject=CaseSubject(
            properties=_spelled(entry.contact),
            company=_spelled(entry.company or {}),
            deals=tuple(_spelled(deal) for deal in entry.deals),
        ),
        stage=before.stage,
        status=before.status,
        since=moment(before.since, "before", "since"),
        done=before.done,
        now=moment(entry.now or file.now, "now"),
        expect=entry.expect,
        problems=tuple(problems),
    )


def _spelled(row: Row) -> dict[str, str | None]:
    """Spell values as HubSpot does: all text, lists joined by semicolons."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: Scalar | list[Scalar]) -> str | None:
    if isinstance(value, list):
        return ";".join(as_text(item) for item in value if item is not None)
    return None if value is None else as_text(value)


def missing_pack(cases: CaseFile) -> list[Problem]:
    """Say that the pack of a case file is not there, if so."""
    found = f"the pack {str(cases.pack)!r} is not there"
    problem = Problem(place=Place(file=cases.file), code="missing-pack", found=found, cure="correct `pack:`")
    return [] if cases.pack.exists() else [problem]


def case_problems(case: Case, pack: Pack) -> list[Problem]:
    """Say why a case cannot be judged."""
    problems = [*case.problems, *_unknown_names(case, pack)]
    if case.now is None and pack.depends_on_time and not case.problems:
        cure = "add `now: 2026-03-02T09:00:00Z` to the file or the case"
        problems.append(Problem(place=case.place, code="missing-now", found="the pack depends on time", cure=cure))
    return problems


def judge_case(case: Case, pack: Pack, see: Callable[[Case, int], Seen]) -> CaseResult:
    """Judge one case by `see`, which decides as the product does, and compare."""
    if problems := case_problems(case, pack):
        return CaseResult(file=case.file, name=case.name, result="errored", problems=tuple(problems))
    seen = see(case, case.now or 0)
    differences = tuple(_differences(case.expect, seen))
    result = "failed" if differences else "passed"
    return CaseResult(file=case.file, name=case.name, result=result, differences=differences, seen=seen)


def _unknown_names(case: Case, pack: Pack) -> Iterator[Problem]:
    """Find expectations on things that the pack does not have: they could never fail, or never pass."""
    expect = case.expect
    tasks = {rule.id for rule in pack.tasks} | {rule.id for rule in pack.cadences}
    actions = {rule.id for rule in pack.actions}
    named = (
        ("task", [*(expect.tasks or ()), *(expect.no_tasks or ())], tasks),
        ("action", expect.actions or (), actions),
        ("rule", [expect.rule] if expect.rule else (), {rule.id for rule in pack.stages}),
        ("stage", [name for name in (expect.stage, case.stage) if name], set(pack.ladder)),
        ("fact", list(expect.facts or ()), set(pack.facts)),
        ("task, cadence or action", list(case.done), tasks | actions),
        ("answer", list((expect.facts or {}).values()), set(_WORDS)),
    )
    for what, names, known in named:
        for name in names:
            if name not in known:
                found = f"the case {case.name!r} names the {what} {name!r}, which the pack does not have"
                yield Problem(place=case.place, code="unknown-name", found=found, cure=nearest(name, known))


def _differences(expect: ExpectEntry, seen: Seen) -> Iterator[Difference]:
    for key in ("stage", "status", "rule"):
        if key in expect.model_fields_set and getattr(expect, key) != getattr(seen, key):
            yield Difference(path=key, expected=getattr(expect, key), actual=getattr(seen, key))
    for key in ("tasks", "actions"):
        wanted = getattr(expect, key)
        if wanted is not None and sorted(set(wanted)) != sorted(getattr(seen, key)):
            yield Difference(path=key, expected=wanted, actual=list(getattr(seen, key)))
    for name in expect.no_tasks or ():
        if name in seen.tasks:
            yield Difference(path="no_tasks", expected=f"no {name}", actual=list(seen.tasks))
    for name, value in (expect.set or {}).items():
        if not _same_value(value, seen.set.get(name)):
            yield Difference(path=f"set.{name}", expected=value, actual=seen.set.get(name))
    for name, answer in (expect.facts or {}).items():
        if seen.facts.get(name) != answer:
            yield Difference(path=f"facts.{name}", expected=answer, actual=seen.facts.get(name))


def _same_value(wanted: Scalar, actual: str | None) -> bool:
    """Compare a set value; null means that the property is cleared or not touched, "" that it is cleared."""
    return not actual if wanted is None else as_text(wanted) == actual
