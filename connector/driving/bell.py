"""The receiver's bell: it wakes workers after events are stored, and keeps no webhook waiting for that.

It is rung from a thread of its own, once for all requests that came meanwhile. A ring that fails is only told: a worker
finds the contacts within five seconds by itself.
"""

import threading
from collections.abc import Callable, Iterable

import structlog

from connector.errors import DatabaseUnavailable

_log = structlog.get_logger()


class Bell:
    """Rings for portals; thread-safe."""

    def __init__(self, wake: Callable[[int], None]) -> None:
        self._wake = wake
        self._portals: set[int] = set()
        self._rung = threading.Condition()
        self._thread: threading.Thread | None = None

    def ring(self, portals: Iterable[int]) -> None:
        """Have workers woken for these portals soon; never fails, never waits."""
        with self._rung:
            self._portals.update(portals)
            if self._thread is None:  # not before: the process may have been forked after this was made
                self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
                self._thread.start()
            self._rung.notify()

    def _run(self) -> None:
        while True:
            with self._rung:
                self._rung.wait_for(lambda: self._portals)
                portals, self._portals = self._portals, set()
            for portal in sorted(portals):
                try:
                    self._wake(portal)
                except DatabaseUnavailable as error:
                    _log.warning("bell.failed", portal=portal, error=str(error))
