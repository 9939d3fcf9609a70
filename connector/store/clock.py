"""The database's clock, for all machines that share it: a lease means the same to whoever took it and whoever waits.

It is asked inside transactions that are made anyway, once a minute, and counted on from there by a clock that nobody
sets. Until the first answer, and with SQLite, which is on one machine only, this machine's clock is as good.
"""

import threading
import time

import sqlalchemy as sa

from connector.moments import MINUTE, SECOND, Clock, system_clock

_ASKED_EVERY = MINUTE
_QUICK = SECOND  # an answer that took longer says too little
_NOW = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
_RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps, where there is one


def _running_ms() -> int:
    return time.clock_gettime_ns(_RUNNING) // 1_000_000


class DatabaseClock:
    """Gives the present moment by the database's clock."""

    def __init__(self, own: Clock = system_clock, running: Clock = _running_ms) -> None:
        self._own = own
        self._running = running
        self._lock = threading.Lock()
        self._answer: tuple[int, int] | None = None
        """What the database said, and what ran here at that moment."""

    def __call__(self) -> int:
        """Give the present moment in epoch milliseconds."""
        answer = self._answer
        return self._own() if answer is None else answer[0] + self._running() - answer[1]

    def maybe_ask(self, connection: sa.Connection) -> None:
        """Ask the database, inside a transaction that has just begun, when its last answer is old."""
        answer = self._answer
        if answer is not None and self._running() - answer[1] < _ASKED_EVERY:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._ask(connection)
            finally:
                self._lock.release()

    def _ask(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("SELECT 1").close()  # the driver begins the transaction with the first statement
        before = self._running()
        moment = int(connection.exec_driver_sql(_NOW).scalar_one())
        after = self._running()
        if self._answer is None or after - before <= _QUICK:
            self._answer = moment, (before + after) // 2
