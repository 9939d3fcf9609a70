"""A database of the first release goes on in this one, one of a later release is refused, and a backup is as good."""

import re
import shlex
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connector.delivery import Delivery
from connector.inbox import Inbox, Placed
from connector.moments import SECOND, system_clock
from connector.store.engine import open_database
from connector.store.tables import effects
from tests.inboxes import delivery, event
from tests.integration.stocked import stock_in
from tests.practice import INBOUND, LEAD_TASKS, NOW, QUALIFIED, Practice, practice

pytestmark = pytest.mark.usefixtures("in_a_file")

TOP = Path(__file__).parents[2]
FIRST = TOP / "tests" / "data" / "first_release" / "stagekeeper.sql"
FROZEN_AT = NOW + 19 * SECOND
ANA, CARL, DORA, EVE, BOB, FINN, GINA = (str(97_000_000_001 + number) for number in range(7))
"""Judged; a dead letter; deleted; erased; tasks intended; waiting; an event that is stored and no more."""


def first_release(folder: Path) -> Path:
    """Make the database as the first release left it."""
    path = folder / "practice.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
    return path


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read every table with the columns that it has."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]  # noqa: S608
            for name in tables if not name.startswith(("sqlite_", "alembic_"))
        }  # fmt: skip


@pytest.fixture
def the(tmp_path: Path) -> Iterator[Practice]:
    """The first release's database beside the HubSpot that it knew."""
    first_release(tmp_path)
    with practice(tmp_path) as stage:
        stage.time.now = FROZEN_AT
        people = [
            ("ana", INBOUND), ("carl", {}), ("dora", INBOUND), ("eve", INBOUND), ("bob", INBOUND), ("finn", QUALIFIED),
            ("gina", INBOUND),
        ]  # fmt: skip
        for name, properties in people:
            stage.sandbox.create_contact({"email": f"{name}@example.com", "firstname": name.title(), **properties})
        yield stage


# --- upwards ----------------------------------------------------------------------------------------------------------


def test_the_frozen_database_has_rows_in_every_table_of_the_first_release(tmp_path: Path) -> None:
    counts = {name: len(found) for name, found in rows(first_release(tmp_path)).items()}
    assert counts == {
        "events": 43, "waiting": 3, "contacts": 3, "records": 4, "effects": 6, "receipts": 1, "portals": 2,
    }  # fmt: skip


def test_nothing_of_the_first_release_is_lost_or_changed_by_the_upgrade(tmp_path: Path) -> None:
    path = first_release(tmp_path)
    before = rows(path)
    open_database(f"sqlite:///{path}").dispose()
    after = rows(path)
    unplaced = [event for event in before["events"] if not event["placed"]]
    before["events"] = [{name: event[name] for name in event.keys() - {"due", "placed"}} for event in before["events"]]
    new = [row for row in after["waiting"] if row["contact"] == GINA]
    after["waiting"] = [row for row in after["waiting"] if row["contact"] != GINA]
    kept = {
        name: [{column: row[column] for column in old} for row, old in zip(after[name], found, strict=True)]
        for name, found in before.items()
    }
    assert kept == before
    assert [(row["contact"], row["due"], row["since"], row["generation"], row["attempts"]) for row in new] == [
        (GINA, min(event["due"] for event in unplaced), min(event["received_at"] for event in unplaced), 1, 0)
    ]


def test_what_the_first_release_left_is_worked_off_by_this_one(the: Practice) -> None:
    """Of Bob's two tasks the first release had made one before its answer was lost."""
    one_of_them = sa.select(effects).where(effects.c.contact == BOB, effects.c.rule == LEAD_TASKS[0])
    [key] = [row.key for row in the.rows(one_of_them)]
    the.sandbox.create_task({"hs_task_subject": "Made before", "sk_key": key, "hs_timestamp": NOW}, contacts=[BOB])
    the.move(seconds=10)
    the.work()

    assert the.keys(BOB) == LEAD_TASKS
    assert "Made before" in the.titles(BOB)
    assert the.keys(GINA) == LEAD_TASKS, "an event that was stored and not yet placed"
    assert the.sandbox.contact(FINN)["lifecyclestage"] == "salesqualifiedlead", "a contact that waited"
    assert list(the.dead()) == [CARL]
    assert the.keys(ANA) == [], "what was done is not done again"
    assert {row.state for row in the.rows(sa.select(effects))} == {"confirmed"}
    assert list(the.services.troubles.troubles()) == [4343]


def test_a_dead_letter_of_the_first_release_can_be_retried(the: Practice) -> None:
    assert the.services.inbox.retry(portal=4242, contact=CARL) == 1
    the.work()
    assert the.dead() == {}
    assert the.sandbox.contact(CARL)["lifecyclestage"] == "subscriber"


def test_an_event_that_the_first_release_stored_is_known_again(tmp_path: Path) -> None:
    path = first_release(tmp_path)
    old = rows(path)["events"][0]
    engine = open_database(f"sqlite:///{path}")
    inbox = Inbox(engine, system_clock)
    inbox.accept(Delivery(body=f"[{old['body']}]".encode(), number=1, apps={4242: None}), settle_ms=0)
    assert inbox.place() == Placed(duplicates=1)
    engine.dispose()


# --- downwards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("events", "list")])
def test_a_database_of_a_later_release_is_refused_with_a_clear_word(tmp_path: Path, command: tuple[str, ...]) -> None:
    stock = stock_in(tmp_path)
    stock.engine.dispose()
    with closing(sqlite3.connect(tmp_path / "stock.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        before = list(connection.iterdump())
    done = stock.run(*command)
    assert (done.returncode, done.stdout) == (5, "")
    said = r"database-newer: .*'0999'.*knows up to.*install the newer release or restore a backup"
    assert re.search(said, done.stderr)
    assert "Traceback" not in done.stderr
    with closing(sqlite3.connect(tmp_path / "stock.db")) as connection:
        assert list(connection.iterdump()) == before


# --- backups ----------------------------------------------------------------------------------------------------------


def documented(tool: str) -> list[str]:
    """Find the command of the README that takes a backup with this tool."""
    lines = (TOP / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if line.startswith(f"  {tool} ") and "copy.db" in line]
    assert len(found) == 1
    return shlex.split(found[0])


@pytest.mark.parametrize("tool", ["python3", "sqlite3"])
def test_a_backup_taken_while_events_come_in_is_whole_and_opens(tmp_path: Path, tool: str) -> None:
    if tool == "sqlite3":
        command = documented(tool)
        command = [sys.executable, "-c", _SHELL, *command[1:]]
    else:
        command = [sys.executable, *documented(tool)[1:]]
    engine = open_database(f"sqlite:///{tmp_path / 'stagekeeper.db'}")
    over = threading.Event()
    writer = threading.Thread(target=lambda: _write(Inbox(engine, system_clock), over))
    writer.start()
    try:
        for _ in range(3):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        over.set()
        writer.join()
    engine.dispose()

    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = connection.execute("SELECT sum(number) FROM deliveries").fetchone()[0]
    restored = open_database(f"sqlite:///{tmp_path / 'copy.db'}")
    assert Inbox(restored, system_clock).counts()[4242].pending == stored
    restored.dispose()


# What the tool `sqlite3` does at `.backup`, for machines without it: the same call of the same library.
_SHELL = """
import sqlite3, sys
source, command = sys.argv[1:]
verb, target = command.split()
assert verb == ".backup"
sqlite3.connect(source).backup(sqlite3.connect(target))
"""


def _write(inbox: Inbox, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        told = delivery(*(event(str(one), f"k{one}") for one in range(number + 1, number + 21)))
        inbox.accept(told, settle_ms=0)
        number += 20
