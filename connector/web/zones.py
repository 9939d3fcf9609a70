"""Where a portal is: the time zone that HubSpot named, else the one of its calendar; moments are told in it.

HubSpot's is read at most once a minute. What a machine has no table for is told in UTC.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

import sqlalchemy as sa
from markupsafe import Markup

from connector.config import Config
from connector.moments import MINUTE, SECOND, Clock, write_moment
from connector.store.engine import reading
from connector.zones import read_zones

_ANEW_AFTER = MINUTE


class Zones:
    """Tells the time zones of portals; thread-safe."""

    def __init__(self, config: Config, engine: sa.Engine, clock: Clock) -> None:
        self._own = {portal.id: portal.calendar.time_zone for portal in config.portals}
        self._engine = engine
        self._clock = clock
        self._read_at: int | None = None
        self._zones: Mapping[int, tzinfo] = {}
        self._lock = threading.Lock()

    def of(self, portal: int | None) -> tzinfo:
        """Give the time zone of a portal; without one, that of all portals when it is the same, else UTC."""
        zones = self._all()
        if portal is not None:
            return zones.get(portal, UTC)
        named = {str(zone): zone for zone in zones.values()}
        return next(iter(named.values())) if len(named) == 1 else UTC

    def moment(self, value: int | None, portal: int | None = None) -> Markup:
        """Write a moment for people, to the second, with the moment itself for machines."""
        return Markup("–") if value is None else tell(value, self.of(portal))

    def _all(self) -> Mapping[int, tzinfo]:
        now = self._clock()
        with self._lock:
            if self._read_at is None or not 0 <= now - self._read_at < _ANEW_AFTER:
                with reading(self._engine) as connection:
                    self._zones = read_zones(connection, self._own)
                self._read_at = now
            return self._zones



def tell(value: int, zone: tzinfo) -> Markup:
    """Write a moment in a time zone; what no calendar holds is written as it is."""
    exact = write_moment(value // SECOND * SECOND)
    try:
        shown = f"{datetime.fromtimestamp(value // SECOND, zone):%Y-%m-%d %H:%M:%S %Z}"
    except (OverflowError, ValueError, OSError):
        shown = exact
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)
