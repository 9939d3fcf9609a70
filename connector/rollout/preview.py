"""Judging many contacts without doing anything: the very functions of the worker, up to the plan."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from connector.errors import FilesInvalid
from connector.examiner import Examiner, judge
from connector.plan import Terms
from connector.record import Judged, Recorder
from connector.rollout.entry import Entry, make_entry
from connector.rollout.source import Contact
from connector.rulebook.conditions import ConditionReader
from connector.rulebook.judging import Rulebook
from connector.rulebook.pack import Pack
from connector.rulebook.reading import read_bytes
from connector.snapshot import Snapshot

WHERE = "--where"
"""The name of the fact that `--where` adds; an admin's own cannot be called so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What became of a batch: each contact as judged with its part in the plan, and how many could not be read."""

    judged: tuple[tuple[Judged, Entry], ...]
    failed: int = 0


def of_snapshots(
    examiner: Examiner, recorder: Recorder, batches: Iterable[list[Snapshot]], terms: Terms, now: int
) -> Iterator[Seen]:
    """Judge contacts as a portal holds them, each with what is known of it."""
    plain = _Plain(examiner.rulebook.pack, terms)
    for batch in batches:
        held = recorder.held([one.contact for one in batch])
        found = {one.contact: one for one in batch}
        judged, failed, _ = examiner.judge_all(found, held, terms, now)
        yield Seen(judged=tuple(plain.wanted(judged.values())), failed=len(failed))


def of_contacts(rulebook: Rulebook, batches: Iterable[list[Contact]], terms: Terms, now: int) -> Iterator[Seen]:
    """Judge contacts of a file, each with what the file says was known of it."""
    plain = _Plain(rulebook.pack, terms)
    for batch in batches:
        judged = (judge(rulebook, one.snapshot, one.held, terms, now) for one in batch)
        yield Seen(judged=tuple(plain.wanted(judged)))


def with_filter(pack: Pack, text: str) -> Pack:
    """Add the condition of `--where` to a pack as one more fact; raises FilesInvalid when it is none."""
    document, problems = read_bytes(text.encode(), file=WHERE)
    if document is None:
        raise FilesInvalid(problems)
    reader = ConditionReader(
        document, settings=pack.settings, facts=pack.facts, ladder=pack.ladder, problems=problems
    )
    condition = reader.read(document.data, ())
    if problems:
        raise FilesInvalid(problems)
    return replace(pack, facts={**pack.facts, WHERE: condition})


class _Plain:
    """Makes entries of what was judged, and leaves out whom the filter does."""

    def __init__(self, pack: Pack, terms: Terms) -> None:
        self._stages: Mapping[str, str] = {value: stage for stage, value in terms.stages.items()}
        own = replace(pack, facts={name: fact for name, fact in pack.facts.items() if name != WHERE})
        self._inputs = own.properties("contact")
        self._is_filtered = WHERE in pack.facts

    def wanted(self, judged: Iterable[Judged]) -> Iterator[tuple[Judged, Entry]]:
        for one in judged:
            if not self._is_filtered or one.decision.facts[WHERE] == "yes":
                yield one, make_entry(one, stages=self._stages, inputs=self._inputs)
