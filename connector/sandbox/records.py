"""Records of one kind: what they hold, what they held, where to find them.

A record's `values` are replaced at every change and never altered, so that answers and the search index may point at
them without copying. History is bounded as HubSpot's is.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.moments import write_moment
from connector.sandbox.kinds import Kind

LONGEST_HISTORY = 45
Values = Mapping[str, str]


class Author(NamedTuple):
    """Who changes something: HubSpot's `changeSource` and `sourceId`."""

    source: str
    source_id: str

    @property
    def is_restricted(self) -> bool:
        """Ask whether stages may only move forward: so for integrations, imports and forms, not for people."""
        return self.source in ("INTEGRATION", "API", "IMPORT", "FORM")


class Version(NamedTuple):
    """One value that a property had."""

    value: str
    moment: int
    author: Author


@dataclass(slots=True)
class Record:
    """One contact, company, deal or task."""

    id: str
    kind: Kind
    values: Values
    created: int
    updated: int
    history: dict[str, list[Version]] = field(default_factory=dict)
    archived_at: int | None = None


@dataclass(slots=True)
class SearchIndex:
    """What search sees: the values as they were a moment ago."""

    lag: int
    seen: dict[str, Values] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    coming: deque[tuple[int, str, Values | None]] = field(default_factory=deque)
    version: int = 0
    remembered: tuple[object, Sequence[int]] = (None, ())
    """The latest question, and the ids that answered it."""

    def note(self, record_id: str, values: Values | None, now: int) -> None:
        """Note a change that search will see after the lag; None removes."""
        self.coming.append((now + self.lag, record_id, values))
        self.catch_up(now)

    def catch_up(self, now: int) -> None:
        """Take in what is due."""
        while self.coming and self.coming[0][0] <= now:
            _, record_id, values = self.coming.popleft()
            self.version += 1
            if values is None:
                if self.seen.pop(record_id, None) is not None:
                    self.order.remove(int(record_id))
                continue
            if record_id not in self.seen:
                insort(self.order, int(record_id))
            self.seen[record_id] = values


class RecordStore:
    """All records of one kind, in order of their ids."""

    def __init__(self, kind: Kind, search_lag: int) -> None:
        self.kind = kind
        self.live: dict[str, Record] = {}
        self.binned: dict[str, Record] = {}
        self.aliases: dict[str, str] = {}
        self.unique: dict[str, dict[str, str]] = {}
        self.order: list[int] = []
        self.index = SearchIndex(lag=search_lag)
        self._next = kind.first_id

    def find(self, record_id: str) -> Record | None:
        """Find a live record by its own id."""
        return self.live.get(record_id)

    def resolve(self, record_id: str) -> Record | None:
        """Find a live record by its id or by one that was merged into it, as single calls do and batches do not."""
        return self.live.get(record_id) or self.live.get(self.aliases.get(record_id, ""))

    def find_by(self, name: str, value: str) -> Record | None:
        """Find a live record by the value of a unique property."""
        found = self.unique.get(name, {}).get(value.strip().lower())
        return self.live.get(found) if found else None

    def add(self, values: Mapping[str, str], now: int, author: Author) -> Record:
        """Make a record and give it an id."""
        record_id = str(self._next)
        self._next += 1
        record = Record(id=record_id, kind=self.kind, values={}, created=now, updated=now)
        self.live[record_id] = record
        self.order.append(int(record_id))
        stamp = write_moment(now)
        self.change(record, {**values, "hs_object_id": record_id, self.kind.created: stamp}, now, author)
        return record

    def change(self, record: Record, changes: Mapping[str, str], now: int, author: Author) -> dict[str, str]:
        """Set or clear ("") values and give those that really changed; without any, nothing happens at all."""
        old = record.values
        changed = {name: value for name, value in changes.items() if old.get(name, "") != value}
        if not changed:
            return changed
        values = {**old, **changed, self.kind.modified: write_moment(now)}
        for name, value in changed.items():
            versions = record.history.setdefault(name, [])
            versions.append(Version(value, now, author))
            if len(versions) > LONGEST_HISTORY:
                del versions[0]
            if name in self.unique:
                self._index_unique(name, record.id, old.get(name, ""), value)
            if not value:
                del values[name]
        record.values = values
        record.updated = now
        self.index.note(record.id, values, now)
        return changed

    def remove(self, record: Record, now: int, *, keep: bool) -> None:
        """Take a record away, into the recycle bin when it is to be kept."""
        del self.live[record.id]
        place = bisect_left(self.order, int(record.id))
        del self.order[place]
        for name in self.unique:
            self._index_unique(name, record.id, record.values.get(name, ""), "")
        self.index.note(record.id, None, now)
        if keep:
            record.archived_at = now
            self.binned[record.id] = record

    def bring_back(self, record: Record, now: int) -> None:
        """Take a record out of the recycle bin."""
        del self.binned[record.id]
        record.archived_at = None
        self.live[record.id] = record
        insort(self.order, int(record.id))
        for name in self.unique:
            self._index_unique(name, record.id, "", record.values.get(name, ""))
        self.index.note(record.id, record.values, now)

    def make_unique(self, name: str) -> None:
        """Keep an index of a property's values from now on."""
        self.unique[name] = {}
        for record in self.live.values():
            self._index_unique(name, record.id, "", record.values.get(name, ""))

    def after(self, record_id: int) -> Iterator[Record]:
        """Go through the live records whose ids are greater."""
        for place in range(bisect_right(self.order, record_id), len(self.order)):
            yield self.live[str(self.order[place])]

    def _index_unique(self, name: str, record_id: str, old: str, new: str) -> None:
        index = self.unique[name]
        if old and index.get(old.lower()) == record_id:
            del index[old.lower()]
        if new:
            index[new.lower()] = record_id
