"""An event followed to what came of it: the first look at its contact after it had come in.

An event says no more than "look at this contact", and whatever is read after it came in has seen its change. So the
first record since then is the one that tells what was decided and written for it; its claim stands on every log line of
that unit of work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from connector.filing import events_about
from connector.inbox import Claim
from connector.store.engine import reading
from connector.store.tables import events, records
from connector.waitinglist import StoredEvent

_MOST_RECORDS = 1_000
_MOST_EVENTS = 128  # as many as OpenTelemetry keeps links of a span


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One look at a contact: the claim, what was decided, what was written."""

    claim: str
    decided_at: int
    rule: str
    stage_before: str | None
    stage: str | None
    status: str | None
    written: tuple[str, ...] = ()
    effects: Mapping[str, str] = field(default_factory=dict)
    """Markers of what is in HubSpot, with HubSpot's ids."""
    error: str | None = None
    is_over: bool = True


def follow(
    engine: sa.Engine, portal: int, contact: str, stored: Sequence[StoredEvent]
) -> tuple[Look | None, ...]:  # fmt: skip
    """Give for each event the look that it led to; None where there was none yet."""
    if not stored:
        return ()
    looks = _looks(engine, portal, contact, since=min(event.received_at for event in stored))
    return tuple(next((look for look in looks if look.decided_at >= event.received_at), None) for event in stored)


def events_behind(engine: sa.Engine, claim: Claim) -> list[tuple[int, str]]:
    """Give the portal and the key of each of the newest events that the contacts of a claim wait for."""
    since = {held.contact: held.since for held in claim.contacts}
    query = (
        sa.select(events.c.contact, events.c.key, events.c.received_at)
        .where(events_about(claim.portal, list(since), since=min(since.values())))
        .order_by(events.c.id.desc())
        .limit(_MOST_EVENTS)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [(claim.portal, row.key) for row in rows if row.received_at >= since[row.contact]]


def _looks(engine: sa.Engine, portal: int, contact: str, *, since: int) -> list[Look]:
    """List the looks since a moment, the earliest first."""
    names = ("claim", "decided_at", "rule", "stage_before", "stage", "status", "done")
    query = (
        sa.select(*(records.c[name] for name in names))
        .where(records.c.portal == portal, records.c.contact == contact, records.c.decided_at >= since)
        .order_by(records.c.id)
        .limit(_MOST_RECORDS)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        Look(
            claim=row.claim, decided_at=row.decided_at, rule=row.rule, stage_before=row.stage_before, stage=row.stage,
            status=row.status, is_over=row.done is not None, written=tuple((row.done or {}).get("written", ())),
            effects=(row.done or {}).get("effects", {}), error=(row.done or {}).get("error"),
        )
        for row in rows
    ]  # fmt: skip
