"""Where a test keeps its data: in a SQLite file, or, when STAGEKEEPER_TEST_POSTGRES names a server, in PostgreSQL.

A test asks for the address that belongs to a path, and gets the same one for the same path. What it has made in
PostgreSQL is dropped when it ends.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.store.engine import open_database

POSTGRES = "STAGEKEEPER_TEST_POSTGRES"
"""Names the environment variable with the address of a PostgreSQL server on which databases may be made."""

_TEMPLATE = "stagekeeper_template"
_LOCK = 5_746_391_099  # CREATE DATABASE wants its template for itself


def is_postgres() -> bool:
    """Ask whether tests that may run on either database run on PostgreSQL now."""
    return bool(os.environ.get(POSTGRES))


def database_url(path: Path) -> str:
    """Give the address of the database that belongs to a path; all tables are there already."""
    if is_postgres():
        return _url(path, template=_TEMPLATE)
    if not path.exists():
        shutil.copyfile(_template_file(), path)
    return f"sqlite:///{path}"


def empty_url(path: Path) -> str:
    """Give the address of a database without any tables."""
    return _url(path, template="template0") if is_postgres() else f"sqlite:///{path}"


def driver_url(path: Path) -> sa.URL:
    """Give the same address for a stranger, who has SQLAlchemy and none of our settings."""
    address = sa.make_url(database_url(path))
    return address.set(drivername="postgresql+psycopg") if is_postgres() else address


def _url(path: Path, *, template: str) -> str:
    name = f"{_prefix()}{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]}"
    with _server() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))  # until the end of the session
        if not _is_there(connection, name):  # else this test, or the one that started this process, has asked before
            if template == _TEMPLATE:
                _make_template(connection)
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return _named(name)


@cache
def _template_file() -> Path:
    """Make a file with all tables, to be copied; it lives as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="stagekeeper"))
    atexit.register(shutil.rmtree, folder)
    open_database(f"sqlite:///{folder / 'template.db'}").dispose()
    return folder / "template.db"


def _prefix() -> str:
    """Begin the names of databases of this process and of those that it starts, whichever others test beside it."""
    return f"stagekeeper_test_{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}_"


def _make_template(connection: sa.Connection) -> None:
    """Make a database with all tables, to be copied; it lives as long as the server."""
    if not _is_there(connection, _TEMPLATE):
        connection.exec_driver_sql(f"CREATE DATABASE {_TEMPLATE}")
        open_database(_named(_TEMPLATE)).dispose()


def _is_there(connection: sa.Connection, name: str) -> bool:
    query = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
    return connection.scalar(query, {"name": name}) is not None


def _named(name: str) -> str:
    return sa.make_url(os.environ[POSTGRES]).set(database=name).render_as_string(hide_password=False)


@contextmanager
def _server() -> Iterator[sa.Connection]:
    url = sa.make_url(os.environ[POSTGRES]).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the test's data in SQLite: for what is told of its files, locks and plans."""
    monkeypatch.delenv(POSTGRES, raising=False)


@pytest.fixture(autouse=True, scope="module")
def _no_database_left_behind() -> Iterator[None]:
    """Drop the databases of a module; a server of it may have used one for all its tests."""
    yield
    if is_postgres():
        with _server() as connection:
            ours = sa.text("SELECT datname FROM pg_database WHERE starts_with(datname, :name)")
            for name in connection.scalars(ours, {"name": _prefix()}).all():
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def _no_connection_left_behind() -> Iterator[None]:
    """Close what a test has left open in this process: on PostgreSQL connections are few."""
    opened: list[Any] = []

    def remember(connection: Any, _record: object) -> None:
        opened.append(connection)

    if is_postgres():
        sa.event.listen(sa.pool.Pool, "connect", remember)
    yield
    if is_postgres():
        sa.event.remove(sa.pool.Pool, "connect", remember)
        for connection in opened:
            connection.close()
