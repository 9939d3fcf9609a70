"""The call budget of a portal as one row that all workers on all machines share; a change of it is one transaction.

It is written without an fsync: a power cut may forget the calls of the last moments, which HubSpot's own
answers put right, and otherwise every call to HubSpot would wait for the disk.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import sqlalchemy as sa

from connector.store.engine import insert_into, is_sqlite, without_fsync, writing
from connector.store.tables import portals

State = TypeVar("State")
Result = TypeVar("Result")


class DatabaseBudgets(Generic[State]):
    """Keeps the budget of every portal in `portals`, whatever the type that describes it."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        to_row: Callable[[State], Mapping[str, object]],
        from_row: Callable[[Mapping[str, object]], State],
    ) -> None:
        self._engine = without_fsync(engine)
        self._to_row = to_row
        self._from_row = from_row

    def change(self, portal: int, update: Callable[[State], tuple[State, Result]]) -> Result:
        """Replace the portal's budget by what `update` makes of it, with nobody in between, and give its result.

        Never call it inside another transaction of the same thread: SQLite has one writer, which would be waited for.
        """
        with writing(self._engine) as connection:
            before = self._from_row(self._row(connection, portal))
            after, result = update(before)
            if after != before:
                row = self._to_row(after)
                connection.execute(sa.update(portals).where(portals.c.portal == portal).values(row))
        return result

    def _row(self, connection: sa.Connection, portal: int) -> Mapping[str, object]:
        # On PostgreSQL the same is said for this transaction alone.
        hurry = () if is_sqlite(self._engine) else (sa.func.set_config("synchronous_commit", "off", True),)
        query = sa.select(portals, *hurry).where(portals.c.portal == portal).with_for_update()
        row = connection.execute(query).mappings().first()
        if row is None:
            new = {"portal": portal, "calls": [], "searches": []}
            connection.execute(insert_into(self._engine, portals).on_conflict_do_nothing(), new)
            row = connection.execute(query).mappings().one()
        return {str(name): value for name, value in row.items()}
