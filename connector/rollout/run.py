"""Making a plan from its options: where the contacts come from, under which pack, and what is kept of it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from connector.config import Config, Portal
from connector.errors import FilesInvalid
from connector.moments import Clock
from connector.packs import unmapped_stages
from connector.problems import is_broken
from connector.record import Judged
from connector.rollout.document import Heading, writing_plan
from connector.rollout.entry import Entry, Position
from connector.rollout.preview import Seen, of_contacts, of_snapshots, with_filter
from connector.rollout.source import as_line, of_file, of_portal
from connector.rollout.summary import Summary
from connector.rulebook.checking import load_pack
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.services import Services, open_services, terms_of
from connector.telemetry import Metrics, build_metrics

MOST_NAMED = 1_000
"""So many contacts of a cell are named at most."""
_NAMES = ("firstname", "lastname", "email")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the matrix by name; an empty side means any."""

    before: str
    after: str

    def holds(self, before: Position, after: Position) -> bool:
        """Ask whether a contact stands in this cell: the name of a stage means it with every status."""
        return _is_called(before, self.before) and _is_called(after, self.after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a plan is to be about."""

    portal: Portal
    rules: Path
    file: Path | None = None
    sample: int | None = None
    where: str | None = None
    cells: Sequence[Cell] = ()
    out: Path | None = None
    save: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A contact in a cell that was asked for; its name only if HubSpot has one."""

    contact: str
    before: str
    after: str
    name: str


@dataclass(kw_only=True, slots=True)
class Preview:
    """A plan, made: the numbers, and the contacts of the cells that were asked for."""

    heading: Heading
    pack: Pack
    summary: Summary = field(default_factory=Summary)
    named: list[Named] = field(default_factory=list)


def pack_of(path: Path) -> Pack:
    """Load a pack; raises FilesInvalid with everything that is wrong with it."""
    pack, problems = load_pack(path)
    if pack is None or is_broken(problems):
        raise FilesInvalid([problem for problem in problems if problem.severity == "error"])
    return pack


def preview(config: Config, options: Options, *, clock: Clock, release: str, progress: Progress) -> Preview:
    """Judge everybody, count, and keep what is asked for; raises HubSpotError half-way without keeping anything."""
    now = clock()
    pack = pack_of(options.rules)
    heading = Heading(
        portal=options.portal.id, pack=pack.name, pack_file=str(options.rules.resolve()), pack_hash=pack.hash,
        made_at=now, stagekeeper=release,
    )  # fmt: skip
    filtered = with_filter(pack, options.where) if options.where else pack
    made = Preview(heading=heading, pack=pack)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(writing_plan(options.out, heading)) if options.out else None
        saved = stack.enter_context(options.save.open("wb")) if options.save else None
        if options.file is not None:
            batches = _of_file(options.file, options, filtered, now=now, progress=progress)
        else:
            batches = _of_portal(
                config, options, filtered, summary=made.summary, clock=clock, now=now, progress=progress
            )
        for seen in batches:
            made.summary.failed += seen.failed
            for one, entry in seen.judged:
                _count(made, one, entry, options.cells)
                if writer is not None and not entry.is_empty:
                    writer.add(entry)
                if saved is not None:
                    saved.write(as_line(one.snapshot, one.held.memory))
        if writer is not None:
            writer.finish(made.summary.as_data(rate_of(options.portal)))
    return made


def _count(made: Preview, one: Judged, entry: Entry, cells: Sequence[Cell]) -> None:
    made.summary.add(entry)
    if len(made.named) < MOST_NAMED and any(cell.holds(entry.before, entry.after) for cell in cells):
        said = (one.snapshot.properties.get(name) for name in _NAMES)
        named = Named(
            contact=entry.contact, before=str(entry.before), after=str(entry.after), name=" ".join(filter(None, said))
        )
        made.named.append(named)


def _of_file(path: Path, options: Options, pack: Pack, *, now: int, progress: Progress) -> Iterator[Seen]:
    """Judge the contacts of a file; no portal is asked for anything."""
    terms, done = terms_of(options.portal, pack), 0
    for seen in of_contacts(Rulebook(pack), of_file(path, sample=options.sample), terms, now):
        done += len(seen.judged)
        progress("judging", done, options.sample or 0)
        yield seen


def _of_portal(  # noqa: PLR0913 - where contacts come from, and what is told on the way
    config: Config, options: Options, pack: Pack, *, summary: Summary, clock: Clock, now: int, progress: Progress
) -> Iterator[Seen]:
    """Judge the contacts of a portal, and count the calls that takes."""
    metrics, done = build_metrics(), 0
    parts = open_one(config, options.portal, pack, clock=clock, metrics=metrics).portals[options.portal.id]
    total = parts.hubspot.contacts.count()
    total = min(total, options.sample or total)
    examiner = parts.pipeline.examiner
    names = frozenset(_NAMES) if options.cells else frozenset()
    wanted = replace(examiner.wanted, contact=examiner.wanted.contact | names)
    batches = of_portal(parts.hubspot, wanted, sample=options.sample)
    for seen in of_snapshots(examiner, parts.recorder, batches, parts.pipeline.terms(), now):
        done += len(seen.judged) + seen.failed
        progress("judging", done, max(done, total))
        summary.read_calls = metrics.calls_made()
        yield seen


def open_one(config: Config, portal: Portal, pack: Pack, *, clock: Clock, metrics: Metrics) -> Services:
    """Open the services of one portal alone, under a pack; raises FilesInvalid when it lacks one of its stages."""
    if problems := unmapped_stages(pack, portal):
        raise FilesInvalid(problems)
    alone = config.model_copy(update={"portals": [portal]})
    return open_services(alone, metrics=metrics, clock=clock, packs={portal.id: pack})


def rate_of(portal: Portal) -> float:
    """Give the calls that Stagekeeper may make in ten seconds."""
    return portal.limits.calls_per_10s * (1 - portal.limits.reserve)


def _is_called(position: Position, name: str) -> bool:
    return name in ("", str(position), position.stage or "none")
