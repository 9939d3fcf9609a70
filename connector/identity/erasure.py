"""A person is forgotten: everything that Stagekeeper's own tables hold goes in one transaction, and a receipt stays.

The receipt names nobody: it is found by the digest, the SHA-256 of `portal:contact`, by whoever knows the contact's id
(or tries them all, for ids are numbers); each id that was merged into the contact has one of its own, of no rows.
HubSpot is not touched. An event that comes afterwards brings back a trace: it goes again when HubSpot, asked for the
contact, knows none; where it does, everything begins anew, as with any contact never seen. The price: backups, and
PostgreSQL's dead rows until its next vacuum, are out of reach; of a SQLite file the freed pages are overwritten, those
in its write-ahead log with the next checkpoints.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from connector.errors import Refused
from connector.events import merged_in, survivor_in
from connector.filing import events_about, merges_about
from connector.identity.receipts import Reason, Receipt, erased_among, leave_further, leave_receipt
from connector.intake import stop_placing
from connector.looks import erase_looks
from connector.moments import HOUR, SECOND, Clock, write_moment
from connector.store.engine import again_when_collided, insert_into, overwriting, reading, writing
from connector.store.tables import contacts, effects, events, records, waiting

PATIENCE_MS = 5 * SECOND
STILL_SHOWN = HOUR
"""So long after a privacy deletion HubSpot may still show a contact; that is no reason to begin anew."""
_STEP_S = 0.25
_AT_ONCE = 500
_ERASING = "erasing"
"""Stands as the claim of rows that are gone before anybody else can see them."""
_TOLD: sa.ColumnElement[str] = sa.literal_column("'contact.privacyDeletion'")  # written out: the condition of an index
_KNOWN = ("contacts", "records", "effects")
_TABLES = {"events": events, "waiting": waiting, "contacts": contacts, "records": records, "effects": effects}
_NAMES_CONTACTS = ("objectId", "fromObjectId", "toObjectId", "primaryObjectId", "mergedObjectIds", "newObjectId")


class UnderWay(Refused):
    """A worker is at work on this contact; nothing was erased."""

    code = "under-way"

    def __init__(self, contact: str, *, until: int) -> None:
        super().__init__(
            f"contact {contact} is in a worker's hands until {write_moment(until)} at the latest; nothing was erased; "
            "expected nobody at work on it; try again when the worker has finished"
        )
        self.until = until


@again_when_collided
def erase_person(engine: sa.Engine, portal: int, contact: str, *, reason: Reason, now: int) -> Receipt:
    """Erase all that is held of a contact and of those that were merged into it.

    Raises UnderWay while a worker holds it: what the worker is about to write would otherwise outlive the erasure.
    """
    with writing(engine) as connection:
        _refuse_claimed(connection, portal, _same_person(connection, portal, contact), now)
        return remove_person(connection, portal, contact, reason=reason, now=now)


def erase_reported(engine: sa.Engine, *, now: int) -> tuple[Receipt, ...]:
    """Erase whom HubSpot says to have deleted for good; whoever is in a worker's hands follows with a later call.

    HubSpot is not asked first: it has signed what it says, and cannot take it back. The events that say so go, too.
    """
    query = sa.select(events.c.portal, events.c.contact).where(events.c.type == _TOLD, events.c.contact.is_not(None))
    with reading(engine) as connection:
        reported = connection.execute(query.distinct().limit(_AT_ONCE)).all()
    done = []
    for portal, contact in reported:
        with contextlib.suppress(UnderWay):
            done.append(_erase_reported(engine, portal, contact, now))
    return tuple(receipt for receipt in done if receipt is not None)


@again_when_collided
def _erase_reported(engine: sa.Engine, portal: int, contact: str, now: int) -> Receipt | None:
    """Erase one; no receipt when another worker has been faster, or nothing but events has come since the last."""
    this = (events.c.portal == portal, events.c.contact == contact, events.c.type == _TOLD)
    with writing(engine) as connection:
        _refuse_claimed(connection, portal, _same_person(connection, portal, contact), now)
        if not connection.scalars(sa.select(events.c.id).where(*this).with_for_update()).all():
            return None
        if erased_among(connection, portal, [contact]) and not _is_known(connection, portal, contact):
            remove_traces(connection, portal, [contact], now=now)
            return None
        return remove_person(connection, portal, contact, reason="privacy_deletion", now=now)


def remove_traces(connection: sa.Connection, portal: int, ids: Collection[str], *, now: int) -> None:
    """Remove what later events have brought back of people who were erased.

    They have their receipts; an id of theirs that turns up only now gets one of no rows.
    """
    with overwriting(connection):
        erase_looks(connection, portal, ids)
        for table in _TABLES.values():
            connection.execute(sa.delete(table).where(_of(table, portal, ids)))
    further = frozenset(ids) - erased_among(connection, portal, ids)
    leave_further(connection, portal, further, reason="privacy_deletion", now=now)


def remove_malformed(engine: sa.Engine, portals: Collection[int]) -> int:
    """Remove events that could not be understood and that name somebody who was erased; their number."""
    query = _unfiled({*portals, 0})
    with reading(engine) as connection:
        named = {row.id: (row.portal, _ids_in(row.body)) for row in connection.execute(query)}
        over = [
            id_
            for id_, (portal, ids) in named.items()
            if any(erased_among(connection, each, ids) for each in ((portal,) if portal else portals))
        ]
    if over:
        with writing(engine) as connection, overwriting(connection):
            connection.execute(sa.delete(events).where(events.c.id.in_(over)))
    return len(over)


def erase_when_free(
    engine: sa.Engine, portal: int, contact: str, *, reason: Reason, clock: Clock, sleep: Callable[[float], None],
) -> Receipt:  # fmt: skip
    """Erase a contact as soon as no worker is at work on it; raises UnderWay when that takes more than some seconds."""
    deadline = clock() + PATIENCE_MS
    while True:
        try:
            return erase_person(engine, portal, contact, reason=reason, now=clock())
        except UnderWay:
            if clock() >= deadline:
                raise
            sleep(_STEP_S)


def remove_person(connection: sa.Connection, portal: int, contact: str, *, reason: Reason, now: int) -> Receipt:
    """Erase a contact inside the caller's transaction, whatever holds it, and leave the receipt."""
    [receipt] = remove_people(connection, portal, [contact], reason=reason, now=now)
    return receipt


def remove_people(
    connection: sa.Connection, portal: int, people: Collection[str], *, reason: Reason, now: int
) -> list[Receipt]:
    """Erase contacts inside the caller's transaction, whatever holds them, and leave a receipt of each."""
    alike = {contact: _same_person(connection, portal, contact) for contact in people}
    if alike:
        with overwriting(connection):
            erase_looks(connection, portal, frozenset[str]().union(*alike.values()))
    return [_remove(connection, portal, contact, ids, reason=reason, now=now) for contact, ids in alike.items()]


def _remove(
    connection: sa.Connection, portal: int, contact: str, ids: frozenset[str], *, reason: Reason, now: int
) -> Receipt:
    with overwriting(connection):
        malformed = _malformed_about(connection, portal, ids)
        counts = {
            name: connection.execute(sa.delete(table).where(_of(table, portal, ids))).rowcount
            for name, table in _TABLES.items()
        }
        if malformed:
            counts["events"] += connection.execute(sa.delete(events).where(events.c.id.in_(malformed))).rowcount
    leave_further(connection, portal, ids - {contact}, reason=reason, now=now)
    return leave_receipt(connection, portal, contact, reason=reason, now=now, counts=counts)


def count_person(engine: sa.Engine, portal: int, contact: str) -> Mapping[str, int]:
    """Count by table what erasing a contact would remove."""
    with reading(engine) as connection:
        ids = _same_person(connection, portal, contact)
        counts = {
            name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(_of(table, portal, ids))
            ).scalar_one()
            for name, table in _TABLES.items()
        }
        counts["events"] += len(_malformed_about(connection, portal, ids))
    return counts


def _same_person(connection: sa.Connection, portal: int, contact: str) -> frozenset[str]:
    """Name the contact and those that were merged into it, however many times over."""
    ids, latest = {contact}, {contact}
    while latest:
        into = sa.select(contacts.c.contact).where(contacts.c.portal == portal, contacts.c.gone.in_(latest))
        latest = {*connection.scalars(into), *_told_to_be(connection, portal, latest)} - ids
        ids |= latest
    return frozenset(ids)


def _told_to_be(connection: sa.Connection, portal: int, survivors: Collection[str]) -> Iterator[str]:
    """Name those who, by the events of merges, became one of these: they may not have been looked at since."""
    for body in connection.scalars(sa.select(events.c.body).where(merges_about(portal, survivors))):
        if survivor_in(body) in survivors:
            yield from merged_in(body)


def _is_known(connection: sa.Connection, portal: int, contact: str) -> bool:
    """Ask whether more than events is held of a contact."""
    return any(
        connection.scalar(sa.select(sa.literal(1)).where(_of(_TABLES[name], portal, [contact])).limit(1))
        for name in _KNOWN
    )


def _refuse_claimed(connection: sa.Connection, portal: int, ids: Collection[str], now: int) -> None:
    """Raise UnderWay when a claim whose lease is not over holds any of these; nobody takes one before the commit.

    Who does not wait is let wait and taken back at once: until then others cannot let him wait either.
    """
    stop_placing(connection)  # it would let the contact wait, between two looks of ours, because of an event that goes
    row = {"portal": portal, "due": now, "since": now, "generation": 1, "attempts": 0, "claim": _ERASING}
    insert = insert_into(connection.engine, waiting)
    locking = insert.on_conflict_do_update(
        index_elements=["portal", "contact"], set_={"contact": insert.excluded.contact}
    ).returning(waiting.c.contact, waiting.c.claim, waiting.c.claimed_until)
    rows = connection.execute(locking, [{**row, "contact": contact} for contact in sorted(ids)]).all()
    connection.execute(sa.delete(waiting).where(_of(waiting, portal, ids), waiting.c.claim == _ERASING))
    for one in rows:
        if one.claim not in (None, _ERASING) and one.claimed_until > now:
            raise UnderWay(one.contact, until=one.claimed_until)


def _of(table: sa.Table, portal: int, ids: Collection[str]) -> sa.ColumnElement[bool]:
    if table is events:
        return events_about(portal, ids)
    return sa.and_(table.c.portal == portal, table.c.contact.in_(ids))


def _malformed_about(connection: sa.Connection, portal: int, ids: Collection[str]) -> list[int]:
    """Find events that could not be understood, so that no contact stands beside them, and that yet name one of these.

    Those whose portal could not be read are kept under 0.
    """
    rows = connection.execute(_unfiled({portal, 0}))
    return [row.id for row in rows if not _ids_in(row.body).isdisjoint(ids)]


def _unfiled(portals: Collection[int]) -> sa.Select[Any]:
    these = (events.c.portal.in_(portals), events.c.contact.is_(None), events.c.malformed.is_not(None))
    return sa.select(events.c.id, events.c.portal, events.c.body).where(*these)


def _ids_in(body: Any) -> set[str]:
    """Name every id in the body of an event that could be a contact's."""
    found = [body.get(name) for name in _NAMES_CONTACTS] if isinstance(body, Mapping) else []
    flat = [each for value in found for each in (value if isinstance(value, list) else [value])]
    return {str(each).strip() for each in flat if isinstance(each, int | str)}
