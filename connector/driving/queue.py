"""Jobs in Procrastinate's queue: put there by whoever knows of work, unless the like waits there already.

A job says "look at this portal", nothing more. It may be lost, or come twice; so it is committed without waiting for
the disk. https://procrastinate.readthedocs.io/en/stable/howto/advanced/locks.html
"""

import contextlib
import functools
from typing import TYPE_CHECKING

import sqlalchemy as sa

from connector.errors import DatabaseUnavailable
from connector.store.engine import writing

if TYPE_CHECKING:
    from procrastinate import App

QUEUE = "stagekeeper"
DRAIN, RECONCILE = "stagekeeper.drain", "stagekeeper.reconcile"
DEAD_AFTER_S = 5.0
"""A worker that has been silent for so long is taken for dead; it shows life every second."""
_WAITS = sa.text(
    "SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'), "
    "set_config('synchronous_commit', 'off', true)"
)


class JobQueue:
    """Puts jobs into the queue; thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def wake(self, portal: int, lane: int = 0) -> None:
        """Have some worker look at a portal; raises DatabaseUnavailable.

        One job of a lane runs at a time. While a portal has a backlog, its jobs open further lanes.
        """
        self._put(DRAIN, f"drain:{portal}:{lane}", portal=portal, lane=lane)

    def reconcile(self, portal: int) -> None:
        """Have some worker reconcile a portal; raises DatabaseUnavailable."""
        self._put(RECONCILE, f"reconcile:{portal}", portal=portal)

    def _put(self, task: str, lock: str, **arguments: int) -> None:
        """Put a job there; looking first, because the server logs each one that it refuses as an error."""
        from procrastinate.exceptions import AlreadyEnqueued, ConnectorException  # noqa: PLC0415 - only with PostgreSQL

        with contextlib.suppress(AlreadyEnqueued), writing(self._engine) as connection:
            if connection.execute(_WAITS, {"lock": lock}).one()[0]:
                return
            session = connection.connection.driver_connection
            job = _app().configure_task(task, queue=QUEUE, lock=lock, queueing_lock=lock, connection=session)
            try:
                job.defer(**arguments)
            except AlreadyEnqueued:
                raise
            except ConnectorException as error:
                raise DatabaseUnavailable(f"database: {error.__cause__ or error}; no job could be put there") from error


def living_workers(connection: sa.Connection) -> int:
    """Count the workers whose heart beats, on whatever machine."""
    beats = sa.text(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :dead_after)"
    )
    return connection.scalar(beats, {"dead_after": DEAD_AFTER_S}) or 0


@functools.cache
def _app() -> "App":
    """Give what puts jobs into a session that it is handed; it opens none of its own."""
    from procrastinate import App, SyncPsycopgConnector  # noqa: PLC0415 - only with PostgreSQL

    return App(connector=SyncPsycopgConnector())
