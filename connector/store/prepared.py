"""An INSERT compiled once, for what runs for each webhook; values go to the driver as they are.

It runs for many rows in one step: at each the driver lets other threads in, or the network is crossed, and either costs
more than a row.
"""

import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert
Rows = Sequence[tuple[object, ...]]
_ROWS_AT_ONCE = 100


class Prepared:
    """Inserts rows whose values are in the order of the columns."""

    def __init__(self, engine: sa.Engine, statement: Insert, *, columns: Sequence[str]) -> None:
        make = _Arrays if engine.dialect.name == "postgresql" else _Values
        self._way: _Arrays | _Values = make(engine, statement, columns)

    def run(self, connection: sa.Connection, rows: Rows) -> None:
        """Insert the rows, no two of which have the same key."""
        self._way.run(connection, rows)

    def run_telling(self, connection: sa.Connection, rows: Rows) -> list[tuple[Any, ...]]:
        """Insert rows into a table numbered by `id`; give the number and the first two values of those that are new.

        Of rows with the same key the first is inserted, when the statement says to do nothing on a conflict.
        """
        return self._way.run_telling(connection, rows)


class _Values:
    """SQLite: a list of values; the number of rows in it is part of the statement."""

    def __init__(self, engine: sa.Engine, statement: Insert, columns: Sequence[str]) -> None:
        self._text = str(statement.compile(dialect=engine.dialect, column_keys=columns))
        self._one = f"({', '.join('?' * len(columns))})"
        self._texts: dict[int, str] = {}
        table = statement.table.name
        first, second = columns[:2]
        self._last = f"SELECT coalesce(max(id), 0) FROM {table}"  # noqa: S608 - our own names
        self._new = f"SELECT id, {first}, {second} FROM {table} WHERE id > ?"  # noqa: S608

    def run(self, connection: sa.Connection, rows: Rows) -> None:
        driver = _driver(connection)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            text = self._texts.get(len(part)) or self._text_for(len(part))
            driver.execute(text, tuple(itertools.chain.from_iterable(part))).close()

    def run_telling(self, connection: sa.Connection, rows: Rows) -> list[tuple[Any, ...]]:
        """Tell the new ones by their numbers: there is one writer, and RETURNING came late to SQLite."""
        driver = _driver(connection)
        last = driver.execute(self._last).fetchone()
        self.run(connection, rows)
        return driver.execute(self._new, last).fetchall()

    def _text_for(self, rows: int) -> str:
        return self._texts.setdefault(rows, self._text.replace(self._one, ", ".join([self._one] * rows), 1))


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    return connection.connection.driver_connection  # type: ignore[return-value]


class _Arrays:
    """PostgreSQL: an array for each column, so that one statement serves any number of rows."""

    def __init__(self, engine: sa.Engine, statement: Insert, columns: Sequence[str]) -> None:
        table = statement.table
        arrays = [sa.bindparam(name, type_=postgresql.ARRAY(_element(table.c[name]))) for name in columns]
        rows = sa.func.unnest(*arrays).table_valued(*columns).render_derived(name="given")
        filled = statement.from_select(columns, sa.select(*(rows.c[name] for name in columns)), include_defaults=False)
        self._columns = columns
        self._plain = str(filled.compile(dialect=engine.dialect))
        told = (table.c[name] for name in ("id", *columns[:2]) if name in table.c)
        self._telling = str(filled.returning(*told).compile(dialect=engine.dialect))

    def run(self, connection: sa.Connection, rows: Rows) -> None:
        if rows:
            connection.exec_driver_sql(self._plain, self._as_arrays(rows))

    def run_telling(self, connection: sa.Connection, rows: Rows) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(self._telling, self._as_arrays(rows))] if rows else []

    def _as_arrays(self, rows: Rows) -> dict[str, list[object]]:
        return {name: list(values) for name, values in zip(self._columns, zip(*rows, strict=True), strict=True)}


def _element(column: sa.ColumnClause[Any]) -> sa.types.TypeEngine[Any]:
    """Give the type of an array's element; text of a bounded length would be cut to it without a word."""
    return sa.Text() if isinstance(column.type, sa.String) else column.type
