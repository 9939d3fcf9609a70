"""The database, opened: what is committed is on disk, and only one transaction writes at a time.

The price is one fsync per commit. `writing` and `reading` are the two ways in; every transaction that is not opened by
`reading` takes the write lock of SQLite at its start, because one that asks for it half-way fails instead of waiting.
"""

import contextlib
import functools
import itertools
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from connector.errors import DatabaseUnavailable
from connector.moments import SECOND
from connector.store import migrations

BUSY_TIMEOUT_MS = 30 * SECOND
_ROWS_AT_ONCE = 100
_READS_ONLY = "stagekeeper_reads_only"
_TURN = "stagekeeper_turn"

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
        engine = _open_pg(address)
    if migrate:
        with storing():
            migrations.upgrade(engine)
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
    except DBAPIError as error:
        cure = _cure(error)
        if cure is None:
            raise
        # The driver's words alone: the statement's values would be personal data in a log.
        message = f"database: {error.orig}; expected one that can be read and written; {cure}"
        raise DatabaseUnavailable(message) from error


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that may write; it is committed at the end of the block.

    The threads of one process take turns before they ask SQLite, whose own waiting is sleeping: ten times slower.
    """
    turn: _Turn | None = engine.get_execution_options().get(_TURN)
    with storing(), turn or contextlib.nullcontext(), engine.begin() as connection:
        yield connection


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
    with storing(), engine.connect().execution_options(**{_READS_ONLY: True}) as connection, connection.begin():
        yield connection


class Prepared:
    """An INSERT compiled once, for the path on which HubSpot waits; values go to the driver as they are.

    On SQLite it runs for many rows in one step: at each the driver lets other threads in, which costs more than a row.
    """

    def __init__(self, engine: sa.Engine, statement: sa.Insert, *, columns: Sequence[str]) -> None:
        compiled = statement.compile(dialect=engine.dialect, column_keys=columns)
        self._text = str(compiled)
        self._columns = columns
        self._one = f"({', '.join('?' * len(columns))})" if compiled.positional else None
        self._texts: dict[int, str] = {}

    def run(self, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> int:
        """Insert the rows, whose values are in the order of the columns; the number of those that took effect."""
        if self._one is None:
            named = [dict(zip(self._columns, row, strict=True)) for row in rows]
            return connection.exec_driver_sql(self._text, named).rowcount if named else 0
        number = 0
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            text = self._texts.get(len(part)) or self._text_for(len(part), self._one)
            number += connection.exec_driver_sql(text, tuple(itertools.chain.from_iterable(part))).rowcount
        return number

    def _text_for(self, rows: int, one: str) -> str:
        return self._texts.setdefault(rows, self._text.replace(one, ", ".join([one] * rows), 1))


def insert_into(engine: sa.Engine, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that can say what to do on a conflict; both databases spell that alike, the library does not."""
    return sqlite.insert(table) if is_sqlite(engine) else postgresql.insert(table)


def is_sqlite(engine: sa.Engine) -> bool:
    """Ask whether this is SQLite, the database that knows one writer at a time."""
    return engine.dialect.name == "sqlite"


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
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: object, *, durable: bool, busy_timeout_ms: int) -> None:
    """Set up one connection; https://www.sqlite.org/pragma.html."""
    connection.isolation_level = None  # the driver's own BEGIN comes late and deferred; `_begin_sqlite` says it instead
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    cursor.execute("PRAGMA journal_mode = WAL")
    if cursor.fetchone() != ("wal",):
        message = "database: the file takes no write-ahead log; expected a local disk; move it off the network"
        raise DatabaseUnavailable(message)
    cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    cursor.execute("PRAGMA foreign_keys = ON")
    if sys.platform == "darwin":
        cursor.execute("PRAGMA fullfsync = 1")  # fsync alone does not empty the drive's own cache there
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _open_pg(address: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(
            address,
            connect_args={"connect_timeout": 10},
            pool_pre_ping=True,
            json_serializer=_write_json,
            json_deserializer=orjson.loads,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        message = "database: PostgreSQL is asked for, psycopg 3 is not installed; run `pip install 'psycopg[binary]'`"
        raise DatabaseUnavailable(message) from error


def _write_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _cure(error: DBAPIError) -> str | None:
    """Say what to do when the world around the database is at fault, None when the statement is."""
    if isinstance(error.orig, sqlite3.Error):
        # The low byte is the primary code; the driver sets none when it is the one that complains.
        return _CURES.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return "check that the server runs and takes connections"
    return None
