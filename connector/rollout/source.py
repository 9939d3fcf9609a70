"""The contacts that a plan is about: all of a portal, some of it, or those of a file; a batch at a time.

A file holds one contact a line: `{"contact": "1", "properties": {…}, "company": {…}, "deals": […], "before": {…}}`, as
`stagekeeper plan --save` writes it. What is left out was not read, and counts as unknown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import orjson

from connector.decision import NO_MEMORY, Mark, Memory
from connector.errors import FilesInvalid
from connector.hubspot.batch import Record
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.records import record_id
from connector.problems import Place, Problem
from connector.record import Held
from connector.snapshot import Properties, Snapshot, Wanted, snapshot_of

BATCH = 500
_T = TypeVar("_T")
_MOST_PROBLEMS = 20
_LISTED = 10
"""Up to so many times the sample, listing all contacts costs no more calls than searching for some."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """A contact of a file: what was read of it, and what Stagekeeper knew."""

    snapshot: Snapshot
    memory: Memory = NO_MEMORY

    @property
    def held(self) -> Held:
        """Give what is known of it as the pipeline wants it."""
        return Held(memory=self.memory)


def of_portal(hubspot: HubSpotPortal, wanted: Wanted, *, sample: int | None = None) -> Iterator[list[Snapshot]]:
    """List the contacts of a portal; companies and deals stay unread until a decision depends on them.

    A `sample` is drawn at random, and is the same one each time while the portal stays as it is.
    """
    names, contacts = wanted.contact, hubspot.contacts
    if sample is None:
        records: Iterable[Record] = contacts.all(names)
    elif contacts.count() <= _LISTED * sample:
        records = _drawn(contacts.all(names), sample, _dice())
    else:
        records = contacts.some(sample, names, dice=_dice())
    yield from batches(snapshot_of(record_id(record), record, wanted) for record in records)


def of_file(path: Path, *, sample: int | None = None) -> Iterator[list[Contact]]:
    """Read the contacts of a file; raises FilesInvalid with the first lines that are none."""
    contacts = _contacts(path)
    yield from batches(contacts if sample is None else _drawn(contacts, sample, _dice()))


def _dice() -> Random:
    """Two rule packs are compared on the same sample."""
    return Random(0)  # noqa: S311 - nobody gains by guessing it


def _drawn(items: Iterable[_T], number: int, dice: Random) -> list[_T]:
    """Draw so many of a stream, each as likely as any other (Vitter's algorithm R)."""
    kept: list[_T] = []
    for place, item in enumerate(items):
        if place < number:
            kept.append(item)
        elif (other := dice.randint(0, place)) < number:
            kept[other] = item
    return kept


def as_line(one: Snapshot, memory: Memory) -> bytes:
    """Write a contact as a line of such a file."""
    marks = {rule: mark.count for rule, mark in memory.marks.items()}
    before = {"stage": memory.stage, "status": memory.status, "since": memory.since, "done": marks}
    data = {"contact": one.contact, "properties": one.properties, "company": one.company, "deals": one.deals}
    return orjson.dumps({**data, **({"before": before} if memory != NO_MEMORY else {})}) + b"\n"


def batches(items: Iterable[_T]) -> Iterator[list[_T]]:
    """Cut into batches."""
    left = iter(items)
    while batch := list(islice(left, BATCH)):
        yield batch


def _contacts(path: Path) -> Iterator[Contact]:
    problems: list[Problem] = []
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                found = _contact(line)
                if isinstance(found, Contact):
                    yield found
                    continue
                place = Place(file=str(path), line=number)
                problems.append(Problem(place=place, code="wrong-snapshot", found=found, cure=_CURE))
                if len(problems) >= _MOST_PROBLEMS:
                    break
    except OSError as error:
        found = f"cannot be read: {error.strerror}"
        raise FilesInvalid([Problem(place=Place(file=str(path)), code="file-unreadable", found=found)]) from error
    if problems:
        raise FilesInvalid(problems)


_CURE = 'write `{"contact": "1", "properties": {"email": "ana@example.com"}}`, one contact a line'


def _contact(line: bytes) -> Contact | str:
    """Read a line, or say what is wrong with it."""
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    if not isinstance(data, dict) or not isinstance(data.get("properties"), dict):
        return "found no `properties`"
    company, deals, before = data.get("company"), data.get("deals"), data.get("before") or {}
    if not isinstance(company, dict | None) or not isinstance(deals, list | None) or not isinstance(before, dict):
        return "`company` and `before` hold properties, `deals` is a list of such"
    if not all(isinstance(deal, dict) for deal in deals or ()):
        return "`deals` is a list of properties"
    snapshot = Snapshot(
        contact=str(data.get("contact") or ""), properties=_texts(data["properties"]),
        company=None if company is None else _texts(company),
        deals=None if deals is None else tuple(map(_texts, deals)),
    )  # fmt: skip
    return Contact(snapshot=snapshot, memory=_memory(before)) if before else Contact(snapshot=snapshot)


def _texts(properties: dict[str, Any]) -> Properties:
    """Give values as HubSpot gives them: texts."""
    if _TEXTS.issuperset(map(type, properties.values())):
        return properties
    return {name: None if value is None else _text(value) for name, value in properties.items()}


_TEXTS = frozenset({str, type(None)})


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _memory(before: dict[str, Any]) -> Memory:
    done = before.get("done")
    counts = done.items() if isinstance(done, dict) else ()
    marks = {str(rule): Mark(count) for rule, count in counts if type(count) is int}
    stage, status, since = (before.get(name) for name in ("stage", "status", "since"))
    return Memory(
        stage=stage if isinstance(stage, str) else None, status=status if isinstance(status, str) else None,
        since=since if type(since) is int else None, marks=marks,
    )  # fmt: skip
