"""Drives a worker by looking into the inbox again and again: nothing beside the database, and the default on SQLite.

Several processes may do so at once. Idle, each costs a look every quarter of a second.
"""

from connector.driving.driver import Duties
from connector.errors import DatabaseUnavailable

_DATABASE_WAIT_S = 2.0


class ThreadDriver:
    """Looks by itself."""

    def run(self, duties: Duties) -> None:
        """Drive until the worker is to stop."""
        with duties.reconcile_meanwhile():
            while not duties.stopping.is_set():
                self._look(duties)

    def stop(self) -> None:
        """Do nothing: the next look notices."""

    def _look(self, duties: Duties) -> None:
        """Begin a claim, or tidy up when there is none."""
        duties.go_round()
        try:
            begun = duties.begin_claim()
            if not begun:
                duties.tidy()
            duties.be_answered()
        except DatabaseUnavailable as error:
            duties.absence.notice(error)
            duties.stopping.wait(_DATABASE_WAIT_S)
            return
        if not begun:
            duties.rest()
