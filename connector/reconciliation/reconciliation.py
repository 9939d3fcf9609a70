"""Reconciliation of one portal: contacts whose webhooks were missed are found by asking HubSpot what has changed.

Changed contacts, and the contacts of changed companies and deals where the rules read those, are compared with their
last look; only those whose rule inputs differ are let wait, in the transaction that moves the watermark. So a portal
costs a search for every two hundred changes, and nothing for what is known. Deleted contacts are in no search: they are
found when they are next looked at, or by reading all, which lists every contact of the portal.
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import sqlalchemy as sa

from connector.hubspot.batch import Record
from connector.hubspot.changes import modified_at
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError
from connector.hubspot.records import record_id
from connector.hubspot.transport import CallSeen
from connector.inbox import Inbox
from connector.moments import SECOND, Clock
from connector.reconciliation.comparison import Comparison, Differences, Inputs
from connector.reconciliation.watermarks import OVERLAP, Kind, Mark, Turn, Watermarks
from connector.rulebook.pack import Pack
from connector.snapshot import Snapshot, Snapshots, Wanted, with_companies, with_deals
from connector.store.engine import again_when_collided, reading, writing
from connector.store.tables import waiting

PLACED_A_SECOND = 100
"""Many contacts are made due one after the other, at a pace that leaves room for whoever has an event."""
_LISTED_AT_ONCE = 100
_KNOWN_AT_ONCE = 1_000

Progress = Callable[[str, int, int], None]
"""Hears what is done, how many of them, out of how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What to reconcile: since the watermark, since another moment, or everything; a trial changes nothing."""

    since: int | None = None
    everything: bool = False
    trial: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a reconciliation found and did."""

    portal: int
    modified: Mapping[str, int]
    """By kind: how many records have changed; of everything, how many there are."""
    changed: int
    unknown: int
    gone: int
    placed: int
    """Contacts that were let wait; in a trial: would be."""
    calls: int
    searches: int
    watermark: int | None
    is_whole: bool = True
    """False: it was stopped on its way, and goes on from there another time."""


class CallTally:
    """Counts the calls of one client."""

    def __init__(self) -> None:
        self._seen: Counter[bool] = Counter()

    def __call__(self, call: CallSeen) -> None:
        """Count one call."""
        self._seen[call.endpoint.endswith("/search")] += 1

    def counts(self) -> tuple[int, int]:
        """Give the number of calls, and of searches among them."""
        return self._seen.total(), self._seen[True]


class Reconciliation:
    """Reconciles one portal, one turn at a time."""

    def __init__(  # noqa: PLR0913 - the portal's parts, all named
        self, *, portal: int, pack: Pack, hubspot: HubSpotPortal, tally: CallTally, engine: sa.Engine, inbox: Inbox,
        watermarks: Watermarks, clock: Clock, settle_ms: int,
    ) -> None:  # fmt: skip
        self.portal = portal
        self.watermarks = watermarks
        self._hubspot = hubspot
        self._tally = tally
        self._engine = engine
        self._inbox = inbox
        self._clock = clock
        self._settle_ms = settle_ms
        self._wanted = Wanted.by(pack)
        self._comparison = Comparison(engine, portal=portal, pack=pack)

    def run(
        self, scope: Scope, turn: Turn | None, *, progress: Progress | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Report:  # fmt: skip
        """Reconcile within a turn (a trial needs none); raises HubSpotError with all that was found before kept.

        The turn is not given back: whoever took it does that.
        """
        under_way = _UnderWay(scope, turn, turn.marks if turn else self.watermarks.marks(self.portal), self._tally)
        kinds: Sequence[Kind] = self._kinds() if not scope.everything else ()
        steps = [self._search(under_way, kind) for kind in kinds] or [self._list(under_way)]
        for step in steps:
            for what, done, total in step:
                if progress is not None:
                    progress(what, done, max(total, done))
                if stopping():
                    return replace(self._report(under_way), is_whole=False)
        return self._report(under_way)

    def _kinds(self) -> list[Kind]:
        """Name the kinds of records whose changes the rules may read."""
        kinds: list[tuple[Kind, bool]] = [
            ("contacts", True), ("companies", bool(self._comparison.companies)),
            ("deals", self._comparison.reads_deals),
        ]  # fmt: skip
        return [kind for kind, is_read in kinds if is_read]

    def _report(self, under_way: "_UnderWay") -> Report:
        calls, searches = self._tally.counts()
        calls_before, searches_before = under_way.tallied
        counts = under_way.counts
        return Report(
            portal=self.portal, modified=dict(under_way.modified), changed=counts["changed"],
            unknown=counts["unknown"], gone=counts["gone"], placed=counts["placed"],
            calls=calls - calls_before, searches=searches - searches_before,
            watermark=self.watermarks.marks(self.portal)["contacts"].moment,
        )  # fmt: skip

    # --- what has changed ---------------------------------------------------------------------------------------------

    def _search(self, under_way: "_UnderWay", kind: Kind) -> Iterator[tuple[str, int, int]]:
        """Go through the records of a kind that changed since the watermark, a page a step."""
        under_way.modified[kind] = 0
        mark = under_way.marks[kind]
        begin = self._beginning(under_way.scope, mark, kind)
        if begin is None:
            return
        names, compare = self._comparing(kind)
        is_without_gap = mark.begins_after is None or begin <= mark.begins_after
        for page in self._hubspot.changes_after(kind, begin, names):
            found = compare(page.records) if page.records else Differences()
            under_way.modified[kind] += len(page.records)
            fresh = _fresh(kind, page.records, mark)
            self._keep(under_way, found, kind=kind, reached=page.reached if is_without_gap else None, fresh=fresh)
            yield kind, under_way.modified[kind], page.total
        if is_without_gap and under_way.turn is not None:
            self.watermarks.settle(under_way.turn, kind)

    def _beginning(self, scope: Scope, mark: Mark, kind: Kind) -> int | None:
        """Say after which moment to look; at the first time, what has changed of late; None without any records."""
        if scope.since is not None:
            return scope.since - 1
        if mark.begins_after is not None:
            return mark.begins_after
        newest = self._hubspot.newest_change(kind)
        return None if newest is None else newest - OVERLAP

    def _comparing(self, kind: Kind) -> tuple[Iterable[str], Callable[[Sequence[Record]], Differences]]:
        if kind == "contacts":
            return self._comparison.contacts, self._of_contacts
        if kind == "companies":
            return self._comparison.companies, self._of_companies
        return (), self._of_deals

    def _of_contacts(self, page: Sequence[Record]) -> Differences:
        inputs = _inputs(page)
        return self._comparison.of_contacts(inputs) | self._of_deals_of(self._comparison.counting_other_deals(inputs))

    def _of_companies(self, page: Sequence[Record]) -> Differences:
        contacts_of = self._hubspot.companies.contacts_of([record_id(record) for record in page])
        return self._comparison.of_companies(_inputs(page), contacts_of)

    def _of_deals(self, page: Sequence[Record]) -> Differences:
        contacts_of = self._hubspot.deals.contacts_of([record_id(record) for record in page])
        belonging = {contact for contacts in contacts_of.values() for contact in contacts}
        concerned = self._comparison.reading_deals(belonging)
        return replace(self._of_deals_of(concerned.changed), unknown=concerned.unknown)

    def _of_deals_of(self, ids: Collection[str]) -> Differences:
        """Compare the deals of contacts, read now, with those that they were judged by."""
        asked = [Snapshot(contact=contact, properties={}) for contact in sorted(ids)]
        if not asked:
            return Differences()
        found, unread = _read(with_deals(self._hubspot, self._wanted, asked))
        return self._comparison.of_deals(found) | unread

    # --- everything ---------------------------------------------------------------------------------------------------

    def _list(self, under_way: "_UnderWay") -> Iterator[tuple[str, int, int]]:
        """Go through all contacts, with the companies and deals that their decisions needed, and find who is gone."""
        under_way.modified["contacts"] = 0
        listed = array("Q")
        listing = self._hubspot.contacts.all(self._comparison.contacts)
        while page := list(islice(listing, _LISTED_AT_ONCE)):
            listed.extend(int(record_id(record)) for record in page)
            found = self._comparison.of_contacts(_inputs(page))
            self._keep(under_way, found | self._of_neighbours(page, found))
            under_way.modified["contacts"] = len(listed)
            yield "contacts", len(listed), 0
        for gone in self._unlisted(array("Q", sorted(listed))):
            self._keep(under_way, Differences(gone=gone))
            yield "contacts that are gone", under_way.counts["gone"], 0

    def _of_neighbours(self, page: Sequence[Record], found: Differences) -> Differences:
        """Compare the companies and deals of contacts that are themselves as they were."""
        same = [Snapshot(contact=c, properties=inputs) for c, inputs in _inputs(page).items() if c not in found.every]
        differences = Differences()
        if same and self._comparison.companies:
            read, unread = _read(with_companies(self._hubspot, self._wanted, same))
            differences |= self._comparison.of_primary_companies(read) | unread
        if same and self._comparison.reads_deals:
            concerned = self._comparison.reading_deals([one.contact for one in same])
            differences |= self._of_deals_of(concerned.changed)
        return differences

    def _unlisted(self, listed: "array[int]") -> Iterator[frozenset[str]]:
        """Give those who are taken for living and were not listed: deleted, or merged into somebody."""
        last = ""
        while known := self._comparison.known_after(last, limit=_KNOWN_AT_ONCE):
            last = known[-1]
            gone = frozenset(contact for contact in known if not _is_in(listed, contact))
            if gone:
                yield gone

    # --- keeping ------------------------------------------------------------------------------------------------------

    @again_when_collided
    def _keep(
        self, under_way: "_UnderWay", found: Differences, *, kind: Kind = "contacts", reached: int | None = None,
        fresh: Collection[str] | None = (),
    ) -> None:  # fmt: skip
        """Let the contacts wait, and note how far we are, in one transaction."""
        placed = sorted(found.every - self._left_alone(found.every, fresh))
        if under_way.turn is not None:
            with writing(self._engine) as connection:
                for due, contacts in self._paced(placed, before=under_way.counts["placed"]):
                    self._inbox.look_at(self.portal, contacts, due=due, connection=connection)
                # Last, as claims do it: contacts first, the portal then. Who has lost the turn lets nobody wait.
                self.watermarks.go_on(connection, under_way.turn, kind=kind, reached=reached)
        under_way.count(found, placed)

    def _paced(self, contacts: Sequence[str], *, before: int) -> Iterator[tuple[int, Sequence[str]]]:
        """Give the contacts with the moment at which they are due."""
        now = self._clock() + self._settle_ms
        for start in range(0, len(contacts), PLACED_A_SECOND):
            yield now + (before + start) // PLACED_A_SECOND * SECOND, contacts[start : start + PLACED_A_SECOND]

    def _left_alone(self, ids: Collection[str], fresh: Collection[str] | None) -> set[str]:
        """Name those who need no further reason to be looked at; of the fresh (None: all) something new is known.

        Who waits for a first look is read later than now. A retry or a dead letter is hurried by what is new alone.
        """
        theirs = (waiting.c.portal == self.portal, waiting.c.contact.in_(ids))
        waits = waiting.c.claim.is_(None) & (waiting.c.since <= self._clock())
        query = sa.select(waiting.c.contact, waiting.c.attempts, waiting.c.dead_at).where(
            *theirs, waits | waiting.c.dead_at.is_not(None)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all() if ids else []
        return {
            row.contact
            for row in rows
            if (row.attempts == 0 and row.dead_at is None) or (fresh is not None and row.contact not in fresh)
        }


class _UnderWay:
    """What a reconciliation has found so far."""

    def __init__(self, scope: Scope, turn: Turn | None, marks: Mapping[Kind, Mark], tally: CallTally) -> None:
        self.scope = scope
        self.turn = None if scope.trial else turn
        self.marks = marks
        self.tallied = tally.counts()
        self.modified: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self._counted: set[str] = set()

    def count(self, found: Differences, placed: Sequence[str]) -> None:
        """Count contacts, each once; a listing names each once, and may be too long to keep."""
        new = found.every - self._counted
        self.counts["changed"] += len(found.changed & new)
        self.counts["unknown"] += len(found.unknown & new)
        self.counts["gone"] += len(found.gone & new)
        self.counts["placed"] += len(new.intersection(placed))
        if not self.scope.everything:
            self._counted |= new


def _fresh(kind: Kind, page: Sequence[Record], mark: Mark) -> set[str] | None:
    """Name the contacts that changed after the watermark (None: all), those before it were looked through already."""
    if mark.moment is None:
        return None
    changed = {record_id(record) for record in page if modified_at(kind, record) > mark.moment}
    if kind == "contacts":
        return changed
    return None if changed else set()


def _inputs(page: Iterable[Record]) -> dict[str, Inputs]:
    """Give the properties of records as text, by id."""
    return {record_id(record): _texts(record.get("properties")) for record in page}


def _texts(properties: Any) -> dict[str, str | None]:
    given = properties if isinstance(properties, Mapping) else {}
    return {str(name): None if value is None else str(value) for name, value in given.items()}


def _read(answer: Snapshots) -> tuple[Mapping[str, Snapshot], Differences]:
    """Give what could be read; who can never be is looked at like one who has changed, and fails there by himself."""
    for meaning in answer.failed.values():
        if meaning.retryable:
            raise HubSpotError(meaning=meaning)
    return answer.found, Differences(changed=frozenset(answer.failed))


def _is_in(ordered: "array[int]", contact: str) -> bool:
    place = bisect_left(ordered, int(contact))
    return place < len(ordered) and ordered[place] == int(contact)
