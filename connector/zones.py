"""Where portals are: the time zone that HubSpot named, else the one of their calendar, else UTC."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from connector.store.tables import portals


def zone_of(*names: str) -> tzinfo:
    """Give the first of these time zones that this machine knows."""
    for name in filter(None, names):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return UTC


def read_zones(connection: sa.Connection, own: Mapping[int, str]) -> Mapping[int, tzinfo]:
    """Read the time zones of portals; `own` names those of their calendars."""
    query = sa.select(portals.c.portal, portals.c.time_zone).where(portals.c.portal.in_(list(own)))
    named = {row.portal: row.time_zone for row in connection.execute(query)}
    return {portal: zone_of(named.get(portal, ""), calendar) for portal, calendar in own.items()}
