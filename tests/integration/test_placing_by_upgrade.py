"""What a release that stored events before placing them left unplaced waits after the upgrade, on either database."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command

from connector.inbox import Inbox
from connector.store.engine import open_database, reading
from connector.store.migrations import script_config
from connector.store.tables import events, portals, waiting
from tests.databases import empty_url, is_postgres

_EVENTS = [
    # portal, key, contact, received_at, due, malformed, placed
    (4242, "a", "1", 100, 2_100, None, 0), (4242, "b", "1", 90, 2_090, None, 0), (4242, "c", "2", 95, 2_095, None, 0),
    (4242, "d", "3", 10, 2_010, None, 1), (4242, "e", "4", 80, None, None, 0), (4242, "f", None, 70, None, "why", 0),
    (4343, "g", "5", 60, 2_060, None, 0), (4242, "h", "6", 50, 2_050, None, 0), (4242, "i", "7", 40, 2_040, None, 0),
]  # fmt: skip
_WAITING: list[tuple[Any, ...]] = [
    # contact, due, since, generation, claim, claimed_until, attempts, dead_at, last_error
    ("2", 5_000, 5_000, 3, None, None, 0, None, None), ("6", 1_000, 30, 4, "token", 9_000, 2, None, "slow"),
    ("7", 800, 20, 2, None, None, 8, 700, "never"), ("8", 6_000, 6_000, 1, None, None, 0, None, None),
]  # fmt: skip


def _store(connection: sa.Connection) -> None:
    row = "(:portal, :key, 'contact.propertyChange', :contact, 1, :received, :due, :malformed, '{}', :placed)"
    columns = "portal, key, type, contact, occurred_at, received_at, due, malformed, body, placed"
    names = ("portal", "key", "contact", "received", "due", "malformed", "placed")
    rows = [dict(zip(names, one, strict=True)) for one in _EVENTS]
    connection.execute(sa.text(f"INSERT INTO events ({columns}) VALUES {row}"), rows)  # noqa: S608
    names = ("contact", "due", "since", "generation", "claim", "claimed_until", "attempts", "dead_at", "last_error")
    columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    waits = [dict(zip(names, one, strict=True)) for one in _WAITING]
    connection.execute(sa.text(f"INSERT INTO waiting (portal, {columns}) VALUES (4242, {values})"), waits)  # noqa: S608


def test_whoever_has_an_unplaced_event_waits_as_if_it_had_been_placed(tmp_path: Path) -> None:
    url = empty_url(tmp_path / "old.db")
    old = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg") if is_postgres() else url)
    config = script_config()
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        _store(connection)
    old.dispose()

    engine = open_database(url)
    with reading(engine) as connection:
        names = ("contact", "due", "since", "generation", "claim", "attempts", "dead_at")
        columns = (waiting.c[name] for name in names)
        found = {tuple(row) for row in connection.execute(sa.select(waiting.c.portal, *columns))}
        assert connection.scalar(sa.select(sa.func.count()).select_from(events)) == len(_EVENTS)
        assert {row.portal: row.calls for row in connection.execute(sa.select(portals))} == {4242: [], 4343: []}
    assert found == {
        (4242, "1", 2_090, 90, 1, None, 0, None),
        (4242, "2", 2_095, 95, 4, None, 0, None),
        (4343, "5", 2_060, 60, 1, None, 0, None),
        (4242, "6", 1_000, 30, 5, "token", 2, None),
        (4242, "7", 2_040, 40, 3, None, 0, None),
        (4242, "8", 6_000, 6_000, 1, None, 0, None),
    }
    inbox = Inbox(engine, lambda: 10_000)
    claimed = [claim for _ in range(3) if (claim := inbox.claim(lease_ms=1_000)) is not None]
    assert sorted(held.contact for claim in claimed for held in claim.contacts) == ["1", "2", "5", "6", "7", "8"]
    engine.dispose()
