"""The database is away: one alert when it goes, one line when it is back, however many threads run into it."""

import threading

import structlog

from connector.errors import Collided, DatabaseUnavailable
from connector.moments import Clock

_log = structlog.get_logger()


class Absence:
    """What one process knows of whether its database is there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: int | None = None

    def notice(self, error: DatabaseUnavailable) -> None:
        """Hear that the database could not be used; alert unless that is known."""
        if isinstance(error, Collided):  # it was there, and busy
            _log.warning("database.collided", error=str(error))
            return
        with self._lock:
            known, self._since = self._since, self._since or self._clock()
        tell = _log.error if known is None else _log.debug
        tell("database.went_away", error=str(error))

    def end(self) -> None:
        """Hear that the database was used."""
        if self._since is None:  # nearly always
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            _log.warning("database.came_back", lasted_ms=max(self._clock() - since, 0))
