"""How many contacts of a portal share a value: all of them counted along one index, less the few who are gone.

That costs a tenth of reading their rows: of a million contacts it takes about a tenth of a second.
"""

from collections import Counter
from typing import Any

import sqlalchemy as sa

from connector.store.tables import contacts


def headcount(connection: sa.Connection, portal: int, *by: sa.Column[Any]) -> Counter[tuple[Any, ...]]:
    """Count the contacts that are not gone by the values of columns of theirs, which an index begins with."""
    mine = contacts.c.portal == portal
    # By itself first: grouping at once, SQLite would rather read every contact in the order of the groups.
    gone = sa.select(*by).where(mine, contacts.c.gone.is_not(None)).cte("gone").prefix_with("MATERIALIZED")
    found: Counter[tuple[Any, ...]] = Counter()
    for *values, number in connection.execute(sa.select(*by, sa.func.count()).where(mine).group_by(*by)):
        found[tuple(values)] += number
    for *values, number in connection.execute(sa.select(*gone.c, sa.func.count()).group_by(*gone.c)):
        found[tuple(values)] -= number
    return +found
