"""Events that tell what is known already: a value that Stagekeeper itself wrote and HubSpot reports as somebody else's.

Our own writes are known by their source when they come in. Where the app's id is not configured, or HubSpot names
another source, they are known by their value: it is the one that we wrote at the last look at this contact, since when
nobody has read it otherwise, and no worker holds the contact. Only then is it no reason to look: whoever set another
value in between has an event of their own, and whoever holds the contact may have read it before. The price is one more
query for each few hundred events that are placed.
"""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from connector.moments import MINUTE
from connector.rivals.bouts import digest_of
from connector.store.tables import contacts, events, waiting

_CHANGE = "contact.propertyChange"
_FRESH = 10 * MINUTE


def find_echoes(connection: sa.Connection, ids: Collection[int], now: int) -> frozenset[int]:
    """Name those of these events that tell nothing but what we wrote at the last look."""
    query = (
        sa.select(events.c.id, events.c.body, contacts.c.bouts, contacts.c.decided_at)
        .join(contacts, _same(contacts))
        .outerjoin(waiting, _same(waiting))
        .where(
            events.c.id.in_(ids),
            events.c.type == _CHANGE,
            contacts.c.decided_at > now - _FRESH,
            contacts.c.bouts.is_not(None),
            waiting.c.claim.is_(None),
        )
    )
    rows = connection.execute(query).all()
    return frozenset(row.id for row in rows if _is_told(row.body, row.bouts or {}, row.decided_at))


def _same(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.portal == events.c.portal, table.c.contact == events.c.contact)


def _is_told(body: Mapping[str, Any], bouts: Mapping[str, Any], decided_at: int) -> bool:
    """Ask whether the event's value is the one that was written at the last look."""
    value = body.get("propertyValue")
    if not isinstance(value, str):
        return False
    bout = bouts.get(str(body.get("propertyName")), {}).get(digest_of(value))
    return bout is not None and max(bout["at"], default=0) >= decided_at
