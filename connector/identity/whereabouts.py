"""Where contacts went that HubSpot's batches do not find: deleted, or merged into another.

A batch says of both alike that there is nothing; only a single read follows a merged id to its survivor. So the bin is
read first, a hundred a call, and only who is not in it, or was told to have been merged, is asked for alone.
https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import sqlalchemy as sa

from connector.events import survivor_in
from connector.filing import merges_about
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.failure import HubSpotError, PortalTrouble
from connector.hubspot.meaning import Meaning
from connector.record import DELETED
from connector.store.engine import reading
from connector.store.tables import events


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where contacts went, by id."""

    gone: dict[str, str] = field(default_factory=dict)
    """The id that each was merged into, or "deleted"."""
    lost: dict[str, Meaning] = field(default_factory=dict)
    """What kept HubSpot from telling."""


def find_whereabouts(
    hubspot: HubSpotPortal, engine: sa.Engine, missing: Collection[str], *, still_held: Callable[[], None]
) -> Whereabouts:
    """Say where each of these contacts went; `still_held` raises when their claim has been lost meanwhile."""
    where = Whereabouts()
    told = _told_of_merges(engine, hubspot.portal, missing)
    deleted = (_in_bin(hubspot, missing) if len(missing) > 1 else frozenset()) - told.keys()
    where.gone.update(dict.fromkeys(deleted, DELETED))
    outage: Meaning | None = None
    for contact in sorted(set(missing) - deleted):
        if outage is not None:
            where.lost[contact] = outage
            continue
        still_held()
        try:
            record = hubspot.contacts.read_one(contact, ["hs_object_id"])
        except PortalTrouble:
            raise
        except HubSpotError as error:
            where.lost[contact] = error.meaning
            outage = error.meaning if error.meaning.retryable else None  # asked again with the next attempt
            continue
        # Whose survivor has been deleted is found nowhere; that it was merged is known from the event alone.
        survivor = str(record["id"]) if record else told.get(contact, DELETED)
        where.gone[contact] = survivor if survivor != contact else DELETED
    return where


def _in_bin(hubspot: HubSpotPortal, missing: Collection[str]) -> frozenset[str]:
    """Name those that are in the recycle bin; what cannot be read there is asked for alone."""
    try:
        return frozenset(hubspot.contacts.in_bin(missing))
    except PortalTrouble:
        raise
    except HubSpotError:
        return frozenset()


def _told_of_merges(engine: sa.Engine, portal: int, ids: Collection[str]) -> dict[str, str]:
    """Give those of whom an event says that they were merged, with what they became by its word."""
    if not ids:
        return {}
    query = sa.select(events.c.contact, events.c.body).where(merges_about(portal, ids)).order_by(events.c.id)
    with reading(engine) as connection:
        told = {row.contact: survivor_in(row.body) for row in connection.execute(query)}
    return {contact: survivor for contact, survivor in told.items() if survivor not in (None, contact)}
