"""An INSERT compiled once, for the path on which HubSpot waits; values go to the driver as they are.

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
    """Inserts rows whose values are in the order of the columns, of which the first two are the key."""

    def __init__(self, engine: sa.Engine, statement: Insert, *, columns: Sequence[str]) -> None:
        make = _Arrays if engine.dialect.name == "postgresql" else _Values
        self._way: _Arrays | _Values = make(engine, statement, columns)

    def run(self, connection: sa.Connection, rows: Rows) -> None:
        """Insert the rows, no two of which have the same key."""
        self._way.run(connection, rows)

    def run_each(self, connection: sa.Connection, parts: Sequence[Rows]) -> list[int]:
        """Insert the rows of all parts and count for each those that took effect; of one key the first does."""
        return self._way.run_each(connection, parts)


class _Values:
    """SQLite: a list of values; the number of rows in it is part of the statement."""

    def __init__(self, engine: sa.Engine, statement: Insert, columns: Sequence[str]) -> None:
        self._text = str(statement.compile(dialect=engine.dialect, column_keys=columns))
        self._one = f"({', '.join('?' * len(columns))})"
        self._texts: dict[int, str] = {}

    def run(self, connection: sa.Connection, rows: Rows) -> int:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        number = 0
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            text = self._texts.get(len(part)) or self._text_for(len(part))
            number += driver.execute(text, tuple(itertools.chain.from_iterable(part))).rowcount
        return number

    def run_each(self, connection: sa.Connection, parts: Sequence[Rows]) -> list[int]:
        return [self.run(connection, rows) for rows in parts]

    def _text_for(self, rows: int) -> str:
        return self._texts.setdefault(rows, self._text.replace(self._one, ", ".join([self._one] * rows), 1))


class _Arrays:
    """PostgreSQL: an array for each column, so that one statement serves any number of rows."""

    def __init__(self, engine: sa.Engine, statement: Insert, columns: Sequence[str]) -> None:
        table = statement.table
        arrays = [sa.bindparam(name, type_=postgresql.ARRAY(_element(table.c[name]))) for name in columns]
        rows = sa.func.unnest(*arrays).table_valued(*columns).render_derived(name="given")
        filled = statement.from_select(columns, sa.select(*(rows.c[name] for name in columns)), include_defaults=False)
        key = (table.c[name] for name in columns[:2])
        self._columns = columns
        self._plain = str(filled.compile(dialect=engine.dialect))
        self._telling = str(filled.returning(*key).compile(dialect=engine.dialect))

    def run(self, connection: sa.Connection, rows: Rows) -> None:
        if rows:
            connection.exec_driver_sql(self._plain, self._as_arrays(rows))

    def run_each(self, connection: sa.Connection, parts: Sequence[Rows]) -> list[int]:
        """Insert all rows in the order of their keys: writers with the same ones wait for each other otherwise."""
        first: dict[tuple[object, ...], tuple[tuple[object, ...], int]] = {}
        for number, rows in enumerate(parts):
            for row in rows:
                first.setdefault(row[:2], (row, number))
        counts = [0] * len(parts)
        if first:
            ordered = [first[key][0] for key in sorted(first)]
            for inserted in connection.exec_driver_sql(self._telling, self._as_arrays(ordered)):
                counts[first[tuple(inserted)][1]] += 1
        return counts

    def _as_arrays(self, rows: Rows) -> dict[str, list[object]]:
        return {name: list(values) for name, values in zip(self._columns, zip(*rows, strict=True), strict=True)}


def _element(column: sa.ColumnClause[Any]) -> sa.types.TypeEngine[Any]:
    """Give the type of an array's element; text of a bounded length would be cut to it without a word."""
    return sa.Text() if isinstance(column.type, sa.String) else column.type
