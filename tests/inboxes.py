"""What tests of the inbox share: a clock that stands still, events, claims."""

import random
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from connector.delivery import Delivery
from connector.inbox import Claim, Inbox, Placed
from connector.moments import MINUTE, SECOND
from connector.store.engine import insert_into, reading, writing
from connector.store.tables import contacts
from connector.waitinglist import WaitingRow

PORTAL = 4242
LEASE = MINUTE
SETTLE = 2 * SECOND
START = 1_790_000_000_000
OUR_APP = "7001"


class Hands:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def move(self, by: int) -> int:
        self.now += by
        return self.now


def event(
    contact: str | None = "1", key: str = "a", *, portal: int = PORTAL, echo: bool = False, value: object = "x",
    occurred_at: int = START,
) -> dict[str, Any]:
    """Make an event as HubSpot spells it: the same of the same contact and key; malformed without a contact."""
    told = {
        "eventId": zlib.crc32(key.encode()), "subscriptionType": "contact.propertyChange", "portalId": portal,
        "occurredAt": occurred_at, "propertyName": "sk_intent", "propertyValue": value, "attemptNumber": 0,
        "changeSource": "INTEGRATION" if echo else "CRM_UI", "sourceId": OUR_APP if echo else "userId:1",
    }  # fmt: skip
    return told if contact is None else {**told, "objectId": int(contact)}


def delivery(*told: Mapping[str, Any], portals: Collection[int] = ()) -> Delivery:
    """Put events into a request that speaks for their portals."""
    apps = dict.fromkeys([*(int(one["portalId"]) for one in told), *portals], OUR_APP)
    return Delivery(body=orjson.dumps(told), number=len(told), apps=apps, nameless=PORTAL)


def take_in(inbox: Inbox, told: Sequence[Mapping[str, Any]], *, settle_ms: int = SETTLE) -> Placed:
    """Have events stored and placed."""
    inbox.accept(delivery(*told), settle_ms=settle_ms)
    return inbox.place()


def accept(inbox: Inbox, *contacts: str, portal: int = PORTAL) -> None:
    """Have events stored; whoever looks into the inbox places them."""
    told = [event(c, key=f"{c}{random.random()}", portal=portal) for c in contacts]
    inbox.accept(delivery(*told), settle_ms=SETTLE)


def claim(inbox: Inbox, *, limit: int = 100) -> Claim:
    found = inbox.claim(lease_ms=LEASE, limit=limit)
    assert found is not None
    return found


def settle(inbox: Inbox, engine: sa.Engine, found: Claim, looks: Mapping[str, int | None]) -> None:
    """Settle contacts of a claim as the pipeline does: what is known of each says when it is looked at next."""
    with writing(engine) as connection:
        inbox.finish(found, connection, settled=looks)
        for contact, due in looks.items():
            judge(connection, contact, due, portal=found.portal)


def judge(connection: sa.Connection, contact: str, look: int | None, *, portal: int = PORTAL) -> None:
    """Note what would be known of a contact that was judged, with its next look."""
    insert = insert_into(connection.engine, contacts)
    insert = insert.on_conflict_do_update(index_elements=["portal", "contact"], set_={"next_look_at": look})
    connection.execute(insert, known_of(contact, look, portal=portal))


def known_of(contact: str, look: int | None, *, portal: int = PORTAL) -> dict[str, Any]:
    """Give the row of a contact that was judged."""
    return {
        "portal": portal, "contact": contact, "since": START, "rule": "r", "because": "…", "marks": {},
        "pack_hash": "h", "fingerprint": "f", "snapshot": {}, "unwritten": {}, "decided_at": START,
        "next_look_at": look,
    }  # fmt: skip


def stored(engine: sa.Engine, table: sa.Table) -> list[tuple[Any, ...]]:
    """Give the rows of a table in the order of its key."""
    with reading(engine) as connection:
        return [tuple(one) for one in connection.execute(sa.select(table).order_by(*table.primary_key))]


def named(found: Claim | None) -> list[str]:
    return [] if found is None else sorted(held.contact for held in found.contacts)


def row(inbox: Inbox, contact: str = "1") -> WaitingRow | None:
    return inbox.show(PORTAL, contact).waiting
