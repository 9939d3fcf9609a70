"""A database moves into another one: every row, as it was; all or nothing; never while somebody works with it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.errors import Refused
from connector.inbox import Inbox
from connector.moments import DAY, MINUTE
from connector.store import copying
from connector.store.copying import copy_database
from connector.store.engine import open_database, reading, writing
from connector.store.tables import events, metadata, records
from tests.databases import empty_url
from tests.inboxes import START, accept, claim
from tests.practice import NOW, leads, practice
from tests.running import stagekeeper

Rows = dict[str, list[tuple[object, ...]]]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[sa.Engine]:
    """A database in SQLite in which something of everything has happened."""
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.delenv("STAGEKEEPER_TEST_POSTGRES", raising=False)
        with practice(tmp_path) as the:
            leads(the, 120)
            the.catch_up()
            the.sandbox.create_contact({"sk_source": "inbound"})
            the.deliver()
            the.services.engine.dispose()
            yield the.services.engine
            the.services.engine.dispose()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(empty_url(tmp_path / "target.db"))
    yield engine
    engine.dispose()


def contents(engine: sa.Engine) -> Rows:
    with reading(engine) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table)).all()), key=repr)
            for table in metadata.sorted_tables
        }


def told(_table: str, _done: int, _total: int) -> None:
    """Hear of progress and say nothing."""


def copied(source: sa.Engine, target: sa.Engine, *, now: int = NOW + DAY) -> dict[str, int]:
    return dict(copy_database(source, target, now=now, tell=told))


def test_every_row_of_every_table_arrives_as_it_was(
    source: sa.Engine, target: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 50)
    there = contents(source)
    assert copied(source, target) == {name: len(rows) for name, rows in there.items()}
    assert len(there["records"]) == 120
    assert contents(target) == there


def test_what_is_absent_stays_absent_and_a_null_within_json_stays_one(source: sa.Engine, target: sa.Engine) -> None:
    with writing(source) as connection:
        some = sa.select(sa.func.min(records.c.id)).scalar_subquery()
        connection.execute(sa.update(records).where(records.c.id == some).values(done=sa.null(), planned=sa.JSON.NULL))
    copied(source, target)
    with reading(target) as connection:
        undone = connection.execute(sa.select(records.c.planned).where(records.c.done.is_(None))).all()
    assert [tuple(row) for row in undone] == [(None,)]


def test_numbers_go_on_behind_the_last_one(source: sa.Engine, target: sa.Engine) -> None:
    copied(source, target)
    inbox = Inbox(target, lambda: START)
    inbox.place()
    with reading(target) as connection:
        last = connection.scalar(sa.select(sa.func.max(events.c.id))) or 0
    accept(inbox, "9001")
    inbox.place()
    with reading(target) as connection:
        assert connection.scalar(sa.select(sa.func.max(events.c.id))) == last + 1


def test_a_target_that_holds_anything_is_refused(source: sa.Engine, target: sa.Engine) -> None:
    accept(Inbox(target, lambda: START), "1")
    before = contents(target)
    with pytest.raises(Refused, match=r"holds something already, in deliveries"):
        copied(source, target)
    assert contents(target) == before


def test_what_is_broken_off_leaves_the_target_empty(source: sa.Engine, target: sa.Engine) -> None:
    def break_off(table: str, _done: int, _total: int) -> None:
        if table == "records":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_database(source, target, now=NOW + DAY, tell=break_off)
    assert not any(contents(target).values())
    assert copied(source, target)["records"] == 120


def test_nothing_is_copied_while_a_worker_holds_contacts(source: sa.Engine, target: sa.Engine) -> None:
    assert Inbox(source, lambda: NOW + DAY).claim(lease_ms=MINUTE)
    with pytest.raises(Refused, match=r"contacts are in a worker's hands.*end the workers"):
        copied(source, target)


def test_nothing_is_copied_while_another_process_has_the_file_open(source: sa.Engine, target: sa.Engine) -> None:
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM events'); "
        "print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(source.url.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Refused, match=r"1 other of Stagekeeper's have the source database open.*end every `serve`"):
            copied(source, target)
        process.communicate(b"\n")
    assert copied(source, target)["records"] == 120


def test_a_database_is_not_copied_into_itself(source: sa.Engine) -> None:
    with pytest.raises(Refused, match="the same database"):
        copied(source, source)


def test_the_way_back_is_open_too(source: sa.Engine, target: sa.Engine, tmp_path: Path) -> None:
    copied(source, target)
    back = open_database(f"sqlite:///{tmp_path / 'back.db'}")
    copied(target, back)
    assert contents(back) == contents(source)
    back.dispose()


def test_the_command_copies_and_says_how_much(source: sa.Engine, tmp_path: Path) -> None:
    moved = open_database(f"sqlite:///{tmp_path / 'moved.db'}")  # this process itself has the first one open
    copied(source, moved)
    moved.dispose()
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("practice.db", "moved.db"), "utf-8")
    target = empty_url(tmp_path / "by-command.db")
    ran = stagekeeper("db", "copy", "--to", target, folder=tmp_path)
    assert (ran.code, "120 records" in ran.out, "write it under `database:`" in ran.err) == (0, True, True), ran
    again = stagekeeper("db", "copy", folder=tmp_path, env={"STAGEKEEPER_COPY_TO": target})
    assert again.code == 7
    assert "holds something already" in again.err
    engine = open_database(target)
    assert claim(Inbox(engine, lambda: NOW + DAY)).contacts
    engine.dispose()
