"""Receipts of erasures: that somebody was erased, when and why; not who.

A receipt is found by the digest of portal and contact, so that whatever comes in later can be recognised as a trace.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from connector.store.tables import receipts

Reason = Literal["asked", "privacy_deletion"]


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


def leave_receipt(
    connection: sa.Connection, portal: int, contact: str, *, reason: Reason, now: int, counts: Mapping[str, int]
) -> Receipt:
    """Leave a receipt and give it."""
    row = {
        "portal": portal, "digest": digest_of(portal, contact), "reason": reason, "erased_at": now, "counts": counts,
    }  # fmt: skip
    inserted = connection.execute(sa.insert(receipts).values(row)).inserted_primary_key
    return Receipt(
        id=inserted[0] if inserted else 0, portal=portal, digest=digest_of(portal, contact), reason=reason,
        erased_at=now, counts=counts,
    )  # fmt: skip


def leave_further(connection: sa.Connection, portal: int, ids: Collection[str], *, reason: Reason, now: int) -> None:
    """Leave receipts of no rows, for further ids of somebody who was erased."""
    rows: list[dict[str, Any]] = [
        {"portal": portal, "digest": digest_of(portal, each), "reason": reason, "erased_at": now, "counts": {}}
        for each in sorted(ids)
    ]
    if rows:
        connection.execute(sa.insert(receipts), rows)


def erased_among(
    connection: sa.Connection, portal: int, ids: Iterable[str], *, reason: Reason | None = None, since: int = 0
) -> frozenset[str]:
    """Name those of these contacts who have been erased, for this reason or any, after a moment."""
    mine = (receipts.c.portal == portal, receipts.c.erased_at > since)
    asked = frozenset(ids)
    if not asked or connection.scalar(sa.select(sa.literal(1)).where(*mine).limit(1)) is None:
        return frozenset()  # nearly always, and cheaper than so many digests
    by_digest = {digest_of(portal, contact): contact for contact in asked}
    found = sa.select(receipts.c.digest).where(*mine, receipts.c.digest.in_(by_digest))
    if reason is not None:
        found = found.where(receipts.c.reason == reason)
    return frozenset(by_digest[each] for each in connection.scalars(found))
