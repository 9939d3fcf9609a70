"""The database, opened: what is committed is on disk, and only one transaction writes at a time.

The price is one fsync per commit. `writing` and `reading` are the two ways in; every transaction that is not opened by
`reading` takes the write lock of SQLite at its start, because one that asks for it half-way fails instead of waiting.
"""

import contextlib
import functools
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from connector.errors import Collided, DatabaseUnavailable
from connector.moments import SECOND, Clock, system_clock
from connector.store import migrations, queuetables
from connector.store.postgres import CLOCK, cure_of, has_collided, is_held, open_pg, said_by

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

BUSY_TIMEOUT_MS = 30 * SECOND
_COLLISIONS, _STEP_ASIDE_S = 4, 0.01
_READS_ONLY = "stagekeeper_reads_only"
_TURN = "stagekeeper_turn"
_PATIENCE = "stagekeeper_patience"
# The driver's words alone: the statement's values would be personal data in a log.
_MESSAGE = "database: {}; expected one that can be read and written; {}"
_LOOK_AGAIN_S, _LOOK_LATER_S = 0.001, 0.005
_EAGER_S = 0.1

# https://www.sqlite.org/rescode.html, the primary codes that the world around us causes, and what to do about each.
_CURES = {
    sqlite3.SQLITE_PERM: "give this user the right to read and write the file and its folder",
    sqlite3.SQLITE_BUSY: "another process holds the write lock; find it and let it finish, then try again",
    sqlite3.SQLITE_LOCKED: "another connection holds the table; let it finish, then try again",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_IOERR: "check the disk, and that the file is not on a network file system",
    sqlite3.SQLITE_CORRUPT: "restore a backup; the file is damaged",
    sqlite3.SQLITE_FULL: "free space on the disk",
    sqlite3.SQLITE_CANTOPEN: "check that the path is a file that this user can open",
    sqlite3.SQLITE_PROTOCOL: "another process holds the lock; let it finish, then try again",
    sqlite3.SQLITE_NOTADB: "give the path of a SQLite file in `database`",
}


def open_database(url: str, *, migrate: bool = True, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sa.Engine:
    """Open the database at `url`, bring its tables up to date, and give the engine; after a fork, never before."""
    address = _read_url(url)
    if address.get_backend_name() == "sqlite":
        engine = _open_sqlite(address, durable=True, busy_timeout_ms=busy_timeout_ms)
    else:
        engine = open_pg(address, patience_ms=busy_timeout_ms, to_json=_write_json, from_json=orjson.loads)
    if migrate:
        with storing():
            migrations.upgrade(engine)
            if not is_sqlite(engine):
                queuetables.upgrade(engine)
    return engine


def without_fsync(engine: sa.Engine) -> sa.Engine:
    """Give a second engine to the same SQLite file, for what may be lost at a power cut; on PostgreSQL the same one."""
    if not is_sqlite(engine):
        return engine
    turn = engine.get_execution_options()[_TURN]
    return _open_sqlite(engine.url, durable=False, busy_timeout_ms=BUSY_TIMEOUT_MS).execution_options(**{_TURN: turn})


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """Turn what the driver says when the database cannot be reached or cannot take more into `DatabaseUnavailable`."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        message = "database: no connection came free in time; expected fewer at once; use fewer threads"
        raise DatabaseUnavailable(message) from error
    except sqlite3.Error as error:  # said by the driver itself, where it is asked past the library
        if (cure := _cure(error)) is None:
            raise
        raise DatabaseUnavailable(_MESSAGE.format(error, cure)) from error
    except DBAPIError as error:
        is_file = isinstance(error.orig, sqlite3.Error)
        cure = _cure(error.orig) if isinstance(error.orig, sqlite3.Error) else cure_of(error)
        if cure is None:
            raise
        kind = Collided if not is_file and has_collided(error) else DatabaseUnavailable
        raise kind(_MESSAGE.format(error.orig if is_file else said_by(error), cure)) from error


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that may write; it is committed at the end of the block.

    The threads of one process take turns before they ask SQLite, whose own waiting is sleeping: ten times slower.
    """
    turn: _Turn | None = engine.get_execution_options().get(_TURN)
    with storing(), turn or contextlib.nullcontext(), engine.begin() as connection:
        yield connection


def again_when_collided(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Call a function that makes a transaction once more when it was given up for the sake of another one.

    PostgreSQL ends a deadlock that way; nothing of the transaction has happened then.
    """

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for collision in range(_COLLISIONS):
            with contextlib.suppress(Collided):
                return function(*args, **kwargs)
            # The other one has yet to wake up: whoever comes back sooner takes the first row from under it.
            time.sleep(_STEP_ASIDE_S * 2**collision)
        return function(*args, **kwargs)

    return call


def is_alone(connection: sa.Connection, lock: int) -> bool:
    """Be the only one at some work until the transaction ends; False when another is at it.

    On SQLite whoever may write is alone anyway. The number is an advisory lock of PostgreSQL's.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(lock))))


def be_alone(connection: sa.Connection, lock: int) -> None:
    """Wait until nobody else is at some work, and keep everybody from it until the transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))


def was_locked(error: DatabaseUnavailable) -> bool:
    """Ask whether PostgreSQL is there, and only somebody else held what was asked for."""
    return isinstance(error, Collided) or (isinstance(error.__cause__, DBAPIError) and is_held(error.__cause__))


def clock_of(engine: sa.Engine) -> Clock:
    """Give the clock that leases are counted by: the database's where several machines may share it."""
    clock: Clock = engine.get_execution_options().get(CLOCK, system_clock)
    return clock


class _Turn:
    """One thread at a time; not the same as waiting for ever."""

    def __init__(self, *, timeout_ms: int) -> None:
        self._lock = threading.RLock()
        self._timeout = timeout_ms / SECOND

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._timeout):
            message = "database: another thread of this process has been writing for too long; expected its turn"
            raise DatabaseUnavailable(f"{message}; look for what blocks it in the log")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that only reads: it sees one moment of the database and never waits for a writer."""
    how: dict[str, object] = {_READS_ONLY: True}
    if not is_sqlite(engine):
        how |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with storing(), engine.connect() as connection, connection.execution_options(**how).begin():
        yield connection


@contextlib.contextmanager
def overwriting(connection: sa.Connection) -> Iterator[None]:
    """Have SQLite fill what is deleted with zeros; https://www.sqlite.org/pragma.html#pragma_secure_delete."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    before = driver.execute("PRAGMA secure_delete").fetchone()[0]
    driver.execute("PRAGMA secure_delete = ON").close()
    try:
        yield
    finally:
        driver.execute(f"PRAGMA secure_delete = {int(before)}").close()


def check_writing(engine: sa.Engine) -> None:
    """Raise DatabaseUnavailable when nothing can be written now: locked, read-only, full, not there."""
    with writing(engine) as connection:
        if is_sqlite(engine):
            # A number in the file's head that nobody else uses: only what is written shows that writing is possible.
            version = connection.scalar(sa.text("PRAGMA user_version")) or 0
            connection.execute(sa.text(f"PRAGMA user_version = {1 - version % 2}"))
        else:
            # Locking is writing, which a standby refuses; it leaves nothing to clear away, and many can do it at once.
            connection.execute(sa.text("SELECT version_num FROM alembic_version FOR SHARE"))


def insert_into(engine: sa.Engine, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that can say what to do on a conflict; both databases spell that alike, the library does not."""
    return sqlite.insert(table) if is_sqlite(engine) else postgresql.insert(table)


def is_sqlite(engine: sa.Engine) -> bool:
    """Ask whether this is SQLite, the database that knows one writer at a time."""
    return engine.dialect.name == "sqlite"


def file_of(url: str) -> Path | None:
    """Give the file of a SQLite address; None for any other database, and for what is no address."""
    try:
        address = _read_url(url)
    except DatabaseUnavailable:
        return None
    return Path(address.database or "").absolute() if address.get_backend_name() == "sqlite" else None


def password_in(url: str) -> str:
    """Give the password in an address, which must not be shown; empty where there is none, or no address."""
    try:
        return sa.make_url(url).password or ""
    except ArgumentError:
        return url


def _read_url(url: str) -> sa.URL:
    wanted = "expected sqlite:///path/to/file.db or postgresql://user:password@host/name; correct `database`"
    try:
        address = sa.make_url(url)
    except ArgumentError as error:
        # Whatever stands there may be a password, so it is not repeated.
        raise DatabaseUnavailable(f"database: the address cannot be read; {wanted}") from error
    if address.get_backend_name() in {"postgresql", "postgres"}:
        return address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        raise DatabaseUnavailable(f"database: {address.drivername!r} is not supported; {wanted}")
    if address.database in {None, "", ":memory:"}:
        raise DatabaseUnavailable(f"database: {url!r} names no file; {wanted}")
    return address


def _open_sqlite(address: sa.URL, *, durable: bool, busy_timeout_ms: int) -> sa.Engine:
    folder = Path(address.database or "").absolute().parent
    if not folder.is_dir():
        message = f"database: the folder {str(folder)!r} does not exist; expected one to keep the file in; make it"
        raise DatabaseUnavailable(message)
    engine = sa.create_engine(
        address,
        connect_args={"timeout": busy_timeout_ms / SECOND, "cached_statements": 256},
        pool_size=16,
        max_overflow=48,
        pool_use_lifo=True,  # a connection reads anew whatever another one has written, so the last writer writes best
        json_serializer=_write_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,
        execution_options={_TURN: _Turn(timeout_ms=busy_timeout_ms)},
    )
    prepare = functools.partial(_prepare_sqlite, durable=durable, busy_timeout_ms=busy_timeout_ms)
    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", functools.partial(_begin_sqlite, busy_timeout_ms=busy_timeout_ms))
    return engine


def _prepare_sqlite(driver: sqlite3.Connection, _record: object, *, durable: bool, busy_timeout_ms: int) -> None:
    """Set up one connection; https://www.sqlite.org/pragma.html."""
    driver.isolation_level = None  # the driver's own BEGIN comes late and deferred; `_begin_sqlite` says it instead
    driver.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    cursor = _when_free(driver, "PRAGMA journal_mode = WAL", busy_timeout_ms / SECOND)
    if cursor.fetchone() != ("wal",):
        message = "database: the file takes no write-ahead log; expected a local disk; move it off the network"
        raise DatabaseUnavailable(message)
    cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What one claim of five hundred changes in a large file; with less, pages go out and come back meanwhile.
    cursor.execute("PRAGMA cache_size = -8192")
    # Pages of contacts at work change in claim after claim; the longer the log, the more rarely each goes to its place.
    cursor.execute("PRAGMA wal_autocheckpoint = 4000")
    if sys.platform == "darwin":
        cursor.execute("PRAGMA fullfsync = 1")  # fsync alone does not empty the drive's own cache there
    cursor.close()


def _begin_sqlite(connection: sa.Connection, *, busy_timeout_ms: int) -> None:
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    patience, info = busy_timeout_ms if reads_only else 0, connection.connection.info
    if info.get(_PATIENCE) != patience:  # a connection mostly does what it did before
        driver.execute(f"PRAGMA busy_timeout = {patience}").close()
        info[_PATIENCE] = patience
    if reads_only:
        driver.execute("BEGIN").close()
    else:
        _when_free(driver, "BEGIN IMMEDIATE", busy_timeout_ms / SECOND).close()


def _when_free(driver: sqlite3.Connection, statement: str, patience_s: float) -> sqlite3.Cursor:
    """Execute a statement as soon as the lock that it needs is free.

    SQLite's own waiting looks again after 1, 2, 5, 10, 15 … 100 ms: a webhook would sleep while the way is free, and
    whoever comes later and looks more often would go first. For some locks it does not wait at all.
    """
    began = time.monotonic()
    while True:
        try:
            return driver.execute(statement)
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if _code(error) != sqlite3.SQLITE_BUSY or waited >= patience_s:
                raise
        time.sleep(_LOOK_AGAIN_S if waited < _EAGER_S else _LOOK_LATER_S)


def _write_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _cure(error: sqlite3.Error) -> str | None:
    """Say what to do when the world around the file is at fault, None when the statement is."""
    return _CURES.get(_code(error))


def _code(error: sqlite3.Error) -> int:
    # The low byte is the primary code; the driver sets none when it is the one that complains.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
