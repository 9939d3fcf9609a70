"""The records in PostgreSQL, a table for each month: what is old goes as a whole, and what is new lies together.

Months are made ahead of time; should nobody have come to it, rows of later months lie in the default partition until
somebody does, so that no record is ever refused. `records_before_…` holds all that is older than the first month. The
price: to look for all the records of a contact is to look into each month.

Nobody waits long for any of this: a month is made beside the others and then attached, and whoever cannot have a lock
within a second leaves the work for a later time.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from connector.moments import SECOND

AHEAD = 3
"""So many months are there, this one included."""
DEFAULT = "records_default"
_LOCK = 5_746_391_031  # beside the others
_LOCK_TIMEOUT = "1s"
_KEPT = "_kept"
_UNTIL = re.compile(r"TO \('(\d+)'\)")
_PARTITIONS = """
SELECT child.relname, pg_get_expr(child.relpartbound, child.oid)
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'records'::regclass ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A partition; `until` is the moment before which all of it lies, None for the one that takes the rest."""

    name: str
    bound: str
    until: int | None

    @property
    def is_thinned(self) -> bool:
        """Ask whether only the last records of contacts were kept in it."""
        return self.name.endswith(_KEPT)


def month_of(moment: int) -> tuple[int, int]:
    """Give the year and month in which a moment lies (UTC)."""
    at = datetime.fromtimestamp(moment / SECOND, UTC)
    return at.year, at.month


def begin_of(year: int, month: int) -> int:
    """Give the first moment of a month; months may be counted beyond twelve."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return calendar.timegm((year, month, 1, 0, 0, 0)) * SECOND


def parts(connection: sa.Connection) -> list[Part]:
    """List the partitions."""
    rows = connection.exec_driver_sql(_PARTITIONS).all()
    untils = [_UNTIL.search(bound) for _, bound in rows]
    return [
        Part(name=name, bound=bound, until=int(until[1]) if until else None)
        for (name, bound), until in zip(rows, untils, strict=True)
    ]


def make_months(connection: sa.Connection, moment: int, *, number: int = AHEAD) -> list[str]:
    """Make the months from a moment on that are not there yet, and take their rows out of the default partition."""
    _be_brief(connection)
    covered = max((part.until for part in parts(connection) if part.until is not None), default=0)
    made = []
    for begin, end, name in _months(moment, number):
        if begin >= covered:
            connection.exec_driver_sql(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
            _make_like(connection, name)
            here = f"decided_at >= {begin} AND decided_at < {end}"
            # All of it is made of our own names and numbers.
            moved = f"WITH moved AS (DELETE FROM {DEFAULT} WHERE {here} RETURNING *)"  # noqa: S608
            connection.exec_driver_sql(f"{moved} INSERT INTO {name} SELECT * FROM moved")  # noqa: S608
            _attach(connection, name, f"FOR VALUES FROM ({begin}) TO ({end})", here)
            made.append(name)
    return made


def thin_out(connection: sa.Connection, part: Part) -> tuple[int, int]:
    """Keep of a partition the last records of contacts, in one of the same months; how many were in it, and are now."""
    _be_brief(connection)
    name = part.name + _KEPT
    # Who changes an old record, to forget a person, waits as long as this takes; nobody else does.
    connection.exec_driver_sql(f"LOCK TABLE {part.name} IN SHARE MODE")
    before = connection.exec_driver_sql(f"SELECT count(*) FROM {part.name}").scalar_one()  # noqa: S608
    _make_like(connection, name)
    last = connection.exec_driver_sql(
        f"INSERT INTO {name} SELECT old.* FROM {part.name} old "  # noqa: S608
        "JOIN contacts ON contacts.portal = old.portal AND contacts.contact = old.contact "
        "WHERE contacts.decided_at <= old.decided_at"
    ).rowcount
    limits = [int(each) for each in re.findall(r"'(\d+)'", part.bound)]
    limited = zip(("<", ">="), reversed(limits), strict=False)  # the first has no lower limit
    here = " AND ".join(f"decided_at {sign} {limit}" for sign, limit in limited)
    connection.exec_driver_sql(f"ALTER TABLE records DETACH PARTITION {part.name}")
    _attach(connection, name, part.bound, here)
    connection.exec_driver_sql(f"DROP TABLE {part.name}")
    return before, last


def drop_empty(connection: sa.Connection, part: Part) -> bool:
    """Drop a partition in which nothing is left; tell whether it was."""
    some = f"SELECT 1 FROM {part.name} LIMIT 1"  # noqa: S608 - our own name
    if connection.exec_driver_sql(some).first() is not None:
        return False
    _be_brief(connection)
    connection.exec_driver_sql(f"LOCK TABLE {part.name} IN SHARE MODE")
    is_empty = connection.exec_driver_sql(some).first() is None
    if is_empty:
        connection.exec_driver_sql(f"DROP TABLE {part.name}")
    return is_empty


def is_mine(connection: sa.Connection) -> bool:
    """Be the only one who changes partitions until the transaction ends; False when another does."""
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))


def _be_brief(connection: sa.Connection) -> None:
    """Give up soon what others hold: while we wait for a table everybody else waits behind us."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")


def _months(moment: int, number: int) -> Iterator[tuple[int, int, str]]:
    year, month = month_of(moment)
    for later in range(number):
        begin, end = begin_of(year, month + later), begin_of(year, month + later + 1)
        yield begin, end, "records_{}_{:02}".format(*month_of(begin))


def _make_like(connection: sa.Connection, name: str) -> None:
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE records INCLUDING ALL)")


def _attach(connection: sa.Connection, name: str, bound: str, condition: str) -> None:
    """Attach a table that is known to hold nothing else, so that it is not read for it."""
    connection.exec_driver_sql(f"ALTER TABLE {name} ADD CONSTRAINT {name}_here CHECK ({condition})")
    connection.exec_driver_sql(f"ALTER TABLE records ATTACH PARTITION {name} {bound}")
    connection.exec_driver_sql(f"ALTER TABLE {name} DROP CONSTRAINT {name}_here")
