"""A database whose next looks stood in the waiting line passes to one where they do not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from connector.inbox import Inbox
from connector.moments import DAY, HOUR
from connector.store.engine import open_database, reading, writing
from connector.store.migrations import script_config
from connector.store.tables import contacts, looks, portals, waiting
from tests.databases import empty_url
from tests.inboxes import LEASE, PORTAL, START, Hands, known_of, named, stored

LOOK = START + DAY


def migrate(engine: sa.Engine, to: str) -> None:
    with writing(engine) as connection:
        config = script_config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def waits(contact: str, **values: Any) -> dict[str, Any]:
    row = {
        "portal": PORTAL, "contact": contact, "due": LOOK, "since": LOOK, "generation": 3, "claim": None,
        "claimed_until": None, "attempts": 0, "last_error": None, "dead_at": None,
    }  # fmt: skip
    return row | values


KNOWN: dict[str, int | None] = {
    "look": LOOK, "held": LOOK, "earlier": LOOK - 1, "none": None, "event": LOOK + 1, "claimed": LOOK, "retried": LOOK,
    "dead": LOOK, "over": LOOK, "gone": None,
}  # fmt: skip
MOVED = ("earlier", "held", "look", "none")
"""Whose row said when they are looked at next and nothing else; of some the decision named another time."""
STAYS = (
    waits("claimed", claim="token", claimed_until=LOOK),
    waits("dead", dead_at=START, attempts=8, last_error="no", since=START),
    waits("event", due=START, since=START - 2_000),
    waits("gone"),
    waits("retried", attempts=1, last_error="no", since=START),
    waits("stranger"),
)


@pytest.fixture
def before() -> str | None:
    found = ScriptDirectory.from_config(script_config()).get_revision("0011").down_revision
    assert isinstance(found, str)
    return found


@pytest.fixture
def old(tmp_path: Path, before: str) -> Iterator[sa.Engine]:
    """A database of before, with a contact of every kind."""
    engine = open_database(empty_url(tmp_path / "old.db"), migrate=False)
    migrate(engine, before)
    with writing(engine) as connection:
        connection.execute(sa.insert(portals), {"portal": PORTAL, "calls": [], "searches": []})
        rows = [known_of(one, look) | {"gone": "7" if one == "gone" else None} for one, look in KNOWN.items()]
        connection.execute(sa.insert(contacts), rows)
        connection.execute(sa.insert(waiting), [*(waits(contact) for contact in MOVED), *STAYS])
    yield engine
    engine.dispose()


def next_looks(engine: sa.Engine) -> dict[str, int | None]:
    with reading(engine) as connection:
        rows = connection.execute(sa.select(contacts.c.contact, contacts.c.next_look_at))
        return {row.contact: row.next_look_at for row in rows}


def test_what_is_nothing_but_a_next_look_moves_and_all_else_stays(old: sa.Engine) -> None:
    migrate(old, "0011")
    assert stored(old, looks) == [(PORTAL, LOOK, contact) for contact in MOVED]
    assert stored(old, waiting) == [tuple(row.values()) for row in STAYS]
    assert next_looks(old) == {**KNOWN, **dict.fromkeys(MOVED, LOOK), "over": None}


def test_after_it_everybody_is_looked_at_who_was_to_be(old: sa.Engine) -> None:
    migrate(old, "0011")
    hands = Hands()
    hands.now = LOOK + HOUR
    assert named(Inbox(old, hands).claim(lease_ms=LEASE)) == sorted({*KNOWN, "stranger"} - {"dead", "over"})
    assert stored(old, looks) == []
