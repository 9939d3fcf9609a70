"""A person is forgotten: everything that Stagekeeper's own tables hold goes in one transaction, and a receipt stays.

The receipt names nobody: it is found by the digest, the SHA-256 of `portal:contact`, by whoever knows the contact's id
(or tries them all, for ids are numbers). HubSpot is not touched. What an event brings of the same contact afterwards
begins anew, as with any contact never seen. The price: backups, and PostgreSQL's dead rows until its next vacuum, are
out of reach; of a SQLite file the freed pages are overwritten, those in its write-ahead log with the next checkpoints.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from connector.errors import Refused
from connector.intake import placed_or_not
from connector.moments import SECOND, Clock, write_moment
from connector.store.engine import reading, writing
from connector.store.tables import contacts, effects, events, receipts, records, waiting

Reason = Literal["asked", "privacy_deletion"]

PATIENCE_MS = 5 * SECOND
_STEP_S = 0.25
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """That somebody was erased, when, why, and how many rows of each table that took; not who."""

    id: int
    portal: int
    digest: str
    reason: Reason
    erased_at: int
    counts: Mapping[str, int]


def digest_of(portal: int, contact: str) -> str:
    """Give what a receipt is found by."""
    return hashlib.sha256(f"{portal}:{contact}".encode()).hexdigest()


def erase_person(engine: sa.Engine, portal: int, contact: str, *, reason: Reason, now: int) -> Receipt:
    """Erase all that is held of a contact and of those that were merged into it.

    Raises UnderWay while a worker holds it: what the worker is about to write would otherwise outlive the erasure.
    """
    ids = _same_person(engine, portal, contact)
    with writing(engine) as connection:
        _refuse_claimed(connection, portal, ids, now)
        return remove_person(connection, portal, contact, merged=ids - {contact}, reason=reason, now=now)


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


def remove_person(
    connection: sa.Connection, portal: int, contact: str, *, merged: Collection[str] = (), reason: Reason, now: int
) -> Receipt:
    """Erase a contact inside the caller's transaction, whatever holds it, and leave the receipt."""
    ids = {contact, *merged}
    with _overwriting(connection):
        malformed = _malformed_about(connection, portal, ids)
        counts = {
            name: connection.execute(sa.delete(table).where(_of(table, portal, ids))).rowcount
            for name, table in _TABLES.items()
        }
        if malformed:
            counts["events"] += connection.execute(sa.delete(events).where(events.c.id.in_(malformed))).rowcount
    row = {
        "portal": portal, "digest": digest_of(portal, contact), "reason": reason, "erased_at": now, "counts": counts,
    }  # fmt: skip
    inserted = connection.execute(sa.insert(receipts).values(row)).inserted_primary_key
    return Receipt(
        id=inserted[0] if inserted else 0, portal=portal, digest=digest_of(portal, contact), reason=reason,
        erased_at=now, counts=counts,
    )  # fmt: skip


def count_person(engine: sa.Engine, portal: int, contact: str) -> Mapping[str, int]:
    """Count by table what erasing a contact would remove."""
    ids = _same_person(engine, portal, contact)
    with reading(engine) as connection:
        counts = {
            name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(_of(table, portal, ids))
            ).scalar_one()
            for name, table in _TABLES.items()
        }
        counts["events"] += len(_malformed_about(connection, portal, ids))
    return counts


def _same_person(engine: sa.Engine, portal: int, contact: str) -> frozenset[str]:
    """Name the contact and those that were merged into it, however many times over."""
    ids, latest = {contact}, {contact}
    with reading(engine) as connection:
        while latest:
            into = sa.select(contacts.c.contact).where(contacts.c.portal == portal, contacts.c.gone.in_(latest))
            latest = set(connection.scalars(into)) - ids
            ids |= latest
    return frozenset(ids)


def _refuse_claimed(connection: sa.Connection, portal: int, ids: Collection[str], now: int) -> None:
    """Raise UnderWay when a claim whose lease is not over holds any of these; locks their rows otherwise."""
    query = (
        sa.select(waiting.c.contact, waiting.c.claim, waiting.c.claimed_until)
        .where(_of(waiting, portal, ids))
        .order_by(waiting.c.contact)
        .with_for_update()
    )
    for row in connection.execute(query).all():
        if row.claim is not None and row.claimed_until > now:
            raise UnderWay(row.contact, until=row.claimed_until)


def _of(table: sa.Table, portal: int, ids: Collection[str]) -> sa.ColumnElement[bool]:
    theirs = sa.and_(table.c.portal == portal, table.c.contact.in_(ids))
    return placed_or_not(theirs) if table is events else theirs


def _malformed_about(connection: sa.Connection, portal: int, ids: Collection[str]) -> list[int]:
    """Find events that could not be understood, so that no contact stands beside them, and that yet name one of these.

    Those whose portal could not be read are kept under 0.
    """
    unfiled = sa.select(events.c.id, events.c.body).where(
        placed_or_not(events.c.portal.in_({portal, 0}), events.c.contact.is_(None))
    )
    return [row.id for row in connection.execute(unfiled) if not _ids_in(row.body).isdisjoint(ids)]


def _ids_in(body: Any) -> set[str]:
    """Name every id in the body of an event that could be a contact's."""
    found = [body.get(name) for name in _NAMES_CONTACTS] if isinstance(body, Mapping) else []
    flat = [each for value in found for each in (value if isinstance(value, list) else [value])]
    return {str(each).strip() for each in flat if isinstance(each, int | str)}


@contextlib.contextmanager
def _overwriting(connection: sa.Connection) -> Iterator[None]:
    """Have SQLite fill what is deleted with zeros; https://www.sqlite.org/pragma.html#pragma_secure_delete."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()
    connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA secure_delete = {int(before)}").close()
