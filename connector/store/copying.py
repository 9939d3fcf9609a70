"""A whole database copied into another one, from SQLite to PostgreSQL or back: all of it or nothing, ids as they were.

The other database is filled in one transaction: whoever breaks it off leaves it empty, and begins again. While it runs
nobody writes to either: a SQLite source is locked, so webhooks are answered 503 and come again; on PostgreSQL it is
refused while anybody else is connected. The price is that work rests meanwhile.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connector.errors import Refused
from connector.store.engine import is_sqlite, reading, writing
from connector.store.tables import metadata, waiting

_AT_ONCE = 2_000
_OTHERS = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stagekeeper' "
    "AND pid <> ALL(:own)"
)
Tell = Callable[[str, int, int], None]
"""Hears of a table: so many of its rows are done, of so many."""


def copy_database(source: sa.Engine, target: sa.Engine, *, now: int, tell: Tell) -> Mapping[str, int]:
    """Copy every table into a database whose tables are empty, and give the number of rows of each.

    Raises Refused when the target holds anything, or when somebody works with either.
    """
    if _place(source) == _place(target):
        raise Refused("source and target are the same database; nothing was copied; name another one")
    _check_alone(source, "source")
    _check_alone(target, "target")
    hold = writing if is_sqlite(source) else reading
    with hold(source) as reader, writing(target) as writer:
        _check_idle(reader, now)
        if not is_sqlite(target):
            names = ", ".join(table.name for table in metadata.sorted_tables)
            writer.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        _check_empty(writer)
        copied = {table.name: _copy(reader, writer, table, tell) for table in metadata.sorted_tables}
        _check_counts(writer, copied)
    return copied


def _copy(reader: sa.Connection, writer: sa.Connection, table: sa.Table, tell: Tell) -> int:
    """Copy one table and let its numbers go on behind the last one."""
    total = reader.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    put = _put_pg if writer.dialect.name == "postgresql" else _put_sqlite
    done = 0
    for rows in _batches(reader, table):
        put(writer, table, rows)
        done += len(rows)
        tell(table.name, done, total)
    if writer.dialect.name == "postgresql" and table.autoincrement_column is not None and "id" in table.c:
        last = f"(SELECT max(id) FROM {table.name})"  # noqa: S608 - a name of our own
        writer.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last})")
    return done


def _batches(reader: sa.Connection, table: sa.Table) -> Iterator[Sequence[sa.Row[Any]]]:
    """Read a table in the order of its key, each batch from where the last one ended; JSON as the text that it is."""
    key = list(table.primary_key)
    query = sa.select(*(_as_text(column, reader.dialect.name) for column in table.c)).order_by(*key).limit(_AT_ONCE)
    rows = reader.execute(query).all()
    while rows:
        yield rows
        last = [rows[-1]._mapping[column.name] for column in key]
        behind = sa.tuple_(*key) > sa.tuple_(*last) if len(key) > 1 else key[0] > last[0]
        rows = reader.execute(query.where(behind)).all()


def _as_text(column: sa.Column[Any], dialect: str) -> sa.ColumnElement[Any]:
    """Select JSON without reading it, so that a null in it does not become the absence of it."""
    if not isinstance(column.type, sa.JSON):
        return column
    text = sa.type_coerce(column, sa.Text) if dialect == "sqlite" else sa.cast(column, sa.Text)
    return text.label(column.name)


def _put_pg(writer: sa.Connection, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> None:
    session: Any = writer.connection.driver_connection
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    with session.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as stream:
        for row in rows:
            stream.write_row(row)


def _put_sqlite(writer: sa.Connection, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> None:
    places = ", ".join(itertools.repeat("?", len(table.c)))
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608 - names of our own
    writer.exec_driver_sql(statement, [tuple(row) for row in rows])


# --- refusals ---------------------------------------------------------------------------------------------------------


def _check_alone(engine: sa.Engine, which: str) -> None:
    """Refuse while others have the database open, as far as that can be told."""
    others = _file_users(engine) if is_sqlite(engine) else _sessions(engine)
    if others:
        found = f"{others} other{'' if others == 1 else 's'} of Stagekeeper's have the {which} database open"
        raise Refused(f"{found}; nothing was copied; end every `serve` and `worker` that uses it, then copy again")


def _sessions(engine: sa.Engine) -> int:
    with reading(engine) as connection:
        own = [connection.scalar(sa.text("SELECT pg_backend_pid()"))]
        return connection.scalar(_OTHERS, {"own": own}) or 0


def _file_users(engine: sa.Engine) -> int:
    """Count the other processes that have a SQLite file open; none where the system does not say."""
    file = str(Path(engine.url.database or "").resolve())
    processes = (folder for folder in Path("/proc").glob("[0-9]*") if folder.name != str(_own_pid()))
    return sum(any(link == file for link in _open_files(folder)) for folder in processes)


def _open_files(process: Path) -> Iterator[str]:
    try:
        for each in (process / "fd").iterdir():
            yield str(each.readlink())
    except OSError:  # it has ended meanwhile, or is somebody else's
        return


@functools.cache
def _own_pid() -> str:
    return Path("/proc/self").resolve().name


def _check_idle(reader: sa.Connection, now: int) -> None:
    held = sa.select(sa.func.count()).select_from(waiting).where(waiting.c.claimed_until > now)
    if number := reader.scalar(held):
        found = f"{number} contacts are in a worker's hands"
        raise Refused(f"{found}; nothing was copied; end the workers, or wait until their leases have run out")


def _check_empty(writer: sa.Connection) -> None:
    full = [
        table.name for table in metadata.sorted_tables
        if writer.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]  # fmt: skip
    if full:
        found = f"the target database holds something already, in {', '.join(full)}"
        raise Refused(f"{found}; nothing was copied; name a database that is new or empty")


def _check_counts(writer: sa.Connection, copied: Mapping[str, int]) -> None:
    for name, number in copied.items():
        there = writer.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name]))
        if there != number:
            raise Refused(f"{name}: {number} rows were copied and {there} are there; nothing was kept; copy again")


def _place(engine: sa.Engine) -> tuple[object, ...]:
    url = engine.url
    if is_sqlite(engine):
        return "sqlite", str(Path(url.database or "").resolve())
    return "postgresql", url.host, url.port, url.database
