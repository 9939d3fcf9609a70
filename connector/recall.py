"""What was decided about a contact and what became of it, the newest first, as the records tell.

A contact's records and those of all that were merged into it are one story; each entry says whose it is. Where the
oldest record that is left already knew something, older ones have been removed, and that is said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connector.moments import write_moment
from connector.store.engine import reading
from connector.store.tables import contacts, records

MOST = 100
_GONE = "gone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """The decisions about a contact, the newest first."""

    portal: int
    contact: str
    merged: tuple[str, ...]
    """Contacts that were merged into it, however many times over."""
    entries: tuple[Mapping[str, Any], ...]
    total: int
    """How many records there are; `entries` holds the newest of them."""
    is_pruned: bool
    """Older records have been removed."""

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "version": 1, "portal": self.portal, "contact": self.contact, "merged": list(self.merged),
            "records": self.total, "pruned": self.is_pruned, "history": [dict(entry) for entry in self.entries],
        }  # fmt: skip


def recall(engine: sa.Engine, portal: int, contact: str, *, most: int = MOST) -> Recalled:
    """Read the newest decisions about a contact and those merged into it."""
    with reading(engine) as connection:
        merged = tuple(sorted(_merged_into(connection, portal, contact)))
        ids = [contact, *merged]
        theirs = (records.c.portal == portal, records.c.contact.in_(ids))
        newest = sa.select(records).where(*theirs).order_by(records.c.id.desc()).limit(most + 1)
        rows = connection.execute(newest).all()
        entries, total = tuple(_entry(row) for row in rows[:most]), len(rows)
        oldest = rows[-1] if rows else None
        if total > most:  # few have so many; for the others that was all
            total = connection.scalar(sa.select(sa.func.count()).where(*theirs)) or 0
            oldest = connection.execute(sa.select(records).where(*theirs).order_by(records.c.id).limit(1)).first()
        is_known = connection.scalar(_judged(portal, ids)) is not None
    is_pruned = is_known if oldest is None else _knew_something(oldest)
    return Recalled(
        portal=portal, contact=contact, merged=merged, entries=entries, total=total, is_pruned=is_pruned
    )


def _merged_into(connection: sa.Connection, portal: int, contact: str) -> Iterator[str]:
    """Name those who were merged into a contact, or into one of those."""
    latest, seen = [contact], {contact}
    while latest:
        into = sa.select(contacts.c.contact).where(contacts.c.portal == portal, contacts.c.gone.in_(latest))
        latest = [each for each in connection.scalars(into) if each not in seen]
        seen.update(latest)
        yield from latest


def _judged(portal: int, ids: list[str]) -> sa.Select[Any]:
    """Ask whether anything was ever decided about these."""
    judged = (contacts.c.portal == portal, contacts.c.contact.in_(ids), contacts.c.fingerprint != "")
    return sa.select(sa.literal(1)).select_from(contacts).where(*judged).limit(1)


def _knew_something(row: sa.Row[Any]) -> bool:
    """Ask whether a record builds on an earlier one."""
    before = row.read.get("before") or {}
    return row.stage_before is not None or before.get("since") is not None


def _entry(row: sa.Row[Any]) -> dict[str, Any]:
    """Tell one record as plain data; texts of tasks and what was read are personal, and not told."""
    heading = {
        "contact": row.contact, "at": write_moment(row.decided_at), "pack": row.pack, "pack_hash": row.pack_hash,
        "claim": row.claim,
    }  # fmt: skip
    if row.rule == _GONE and not row.fingerprint:
        return {**heading, "gone": row.decided.get(_GONE)}
    done = row.done
    return {
        **heading,
        "stage_before": row.stage_before, "stage": row.stage, "status": row.status, "rule": row.rule or None,
        "because": row.decided.get("because"),
        "written": _written(row.planned, done),
        "made": _made(row.planned, done),
        "held": (done or row.planned).get("held"),
        "withheld": row.planned.get("withheld") or {},
        "error": None if done is None else done.get("error"),
        "is_done": done is not None,
        **({} if row.shadow is None else {"candidate": row.shadow}),
    }


def _written(planned: Mapping[str, Any], done: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the properties that were written, with the values before and after."""
    names = (done or {}).get("written", ())
    changes = planned.get("properties", {})
    return {name: dict(zip(("from", "to"), changes[name], strict=True)) for name in names if name in changes}


def _made(planned: Mapping[str, Any], done: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Give the effects that were planned then, or were completed then though planned before."""
    confirmed = (done or {}).get("effects", {})
    effects = {one["key"]: one for one in planned.get("effects", ())}
    every = {**{key: {"key": key, "kind": None, "rule": _rule_in(key)} for key in confirmed}, **effects}
    return [
        {
            "kind": one["kind"], "rule": one["rule"], "key": key, "hubspot_id": confirmed.get(key) or None,
            "is_done": key in confirmed,
        }
        for key, one in every.items()
    ]  # fmt: skip


def _rule_in(key: str) -> str:
    """Read the rule out of the name of an effect: portal, contact, rule, occurrence."""
    parts = key.split(":")
    return parts[2] if len(parts) > 2 else key
