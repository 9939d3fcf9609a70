"""PostgreSQL, opened: what is committed is on disk, a reader sees one moment, and nobody waits for ever.

Whatever the server's own settings say, each session sets what the promises rest on. So a pooler between must keep a
client on one session (PgBouncer: `pool_mode = session`). The price is one statement more per connection.
"""

import functools
import weakref
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from connector.errors import DatabaseUnavailable
from connector.moments import MINUTE, SECOND
from connector.store.clock import DatabaseClock

CLOCK = "stagekeeper_clock"
_LEFT_ALONE = MINUTE  # a worker that froze inside a transaction must not hold its rows for longer
_SILENCE_S = 10

# https://www.postgresql.org/docs/current/errcodes-appendix.html, what the world around us causes, by class or by code.
_CURES = {
    "08": "check that the server runs and takes connections",
    "25006": "the server takes no writes: give the address of the one that does",
    "42501": "give the user the right to use these tables (it must own them to bring them up to date)",
    "53100": "free space on the server's disk",
    "53300": "raise the server's max_connections, or run fewer processes",
    "53": "give the server what it lacks",
    "55P03": "another session holds a row for too long; look into pg_stat_activity",
    "57": "let the server come up again; work goes on by itself",
}
_COLLIDED = frozenset({"40001", "40P01"})


def open_pg(
    address: sa.URL, *, patience_ms: int, to_json: Callable[[Any], str], from_json: Callable[[str], Any]
) -> sa.Engine:
    """Give an engine, before anything is connected; raises DatabaseUnavailable when the driver is not installed."""
    clock = DatabaseClock()
    try:
        engine = sa.create_engine(
            address,
            connect_args=session_arguments(patience_ms),
            isolation_level="READ COMMITTED",
            pool_size=16,
            max_overflow=16,
            pool_timeout=patience_ms / SECOND,
            pool_use_lifo=True,  # what a burst has opened lies idle and is closed by whoever counts connections
            pool_pre_ping=True,
            json_serializer=to_json,
            json_deserializer=from_json,
            hide_parameters=True,
            execution_options={CLOCK: clock},
        )  # fmt: skip
    except ModuleNotFoundError as error:
        message = "database: PostgreSQL is asked for, psycopg 3 is not installed"
        cure = "run `pip install 'stagekeeper[postgres]'` or `pip install 'psycopg[binary]'`"
        raise DatabaseUnavailable(f"{message}; {cure}") from error
    sa.event.listen(engine, "connect", lambda connection, _: _prepare(connection, patience_ms))
    sa.event.listen(engine, "begin", clock.maybe_ask)
    weakref.finalize(engine, engine.pool.dispose)  # at the end of the process, too: the server is told good-bye
    return engine


def session_arguments(patience_ms: int = _SILENCE_S * SECOND) -> dict[str, Any]:
    """Give libpq's arguments under which nobody waits for ever for a server that has gone silent."""
    return {
        # libpq knows no less than two seconds; a partner that has gone silent is given up after ten.
        "connect_timeout": min(max(patience_ms // SECOND, 2), _SILENCE_S), "client_encoding": "utf8",
        "keepalives_idle": _SILENCE_S, "keepalives_interval": 2, "keepalives_count": 3,
        "tcp_user_timeout": _SILENCE_S * SECOND, "application_name": "stagekeeper",
    }  # fmt: skip


def _prepare(connection: DBAPIConnection, patience_ms: int) -> None:
    """Set up one session; https://www.postgresql.org/docs/current/runtime-config-client.html."""
    settings = {
        "lock_timeout": patience_ms, "idle_in_transaction_session_timeout": _LEFT_ALONE,
        # A plan made while a table was small is kept for ever otherwise; compiling pays for none of our statements.
        "plan_cache_mode": "force_custom_plan", "jit": "off",
    }  # fmt: skip
    connection.autocommit = True
    cursor = connection.cursor()
    # Any other value is as durable or more so: it is left as the server has it.
    durable = "set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)"
    others = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    cursor.execute(f"SELECT {', '.join([durable, *others])}")
    cursor.close()
    connection.autocommit = False
    # HubSpot's texts may hold U+0000, which no text of PostgreSQL's can.
    connection.adapters.register_dumper(str, _without_nul())


@functools.cache
def _without_nul() -> type[Any]:
    from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415 - only where there is PostgreSQL

    class Dumper(StrDumperUnknown):
        """Writes U+FFFD in place of U+0000."""

        def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
            return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)

    return Dumper


def state_of(error: sa.exc.DBAPIError) -> str:
    """Give the five characters by which the server names an error; "08000" when it could not even say that."""
    code = getattr(error.orig, "sqlstate", None)
    if code:
        return str(code)
    is_lost = error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return "08000" if is_lost else ""


def has_collided(error: sa.exc.DBAPIError) -> bool:
    """Ask whether this transaction was given up for the sake of another one; made again, it goes through."""
    return state_of(error) in _COLLIDED


def is_held(error: sa.exc.DBAPIError) -> bool:
    """Ask whether a lock was not to be had in time."""
    return state_of(error) == "55P03"


def cure_of(error: sa.exc.DBAPIError) -> str | None:
    """Say what to do when the world around the database is at fault, None when the statement is."""
    code = state_of(error)
    if code in _COLLIDED:
        return "nothing to do: it is tried again"
    return _CURES.get(code) or _CURES.get(code[:2])


def said_by(error: sa.exc.DBAPIError) -> str:
    """Give the server's words without the detail, in which values may stand."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return str(primary or error.orig).strip().replace("\n", " ")
