"""The database is opened durable, brought up to date once by however many start together, and refused when newer."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from connector.errors import DatabaseUnavailable
from connector.store.engine import open_database, reading, storing, without_fsync, writing
from connector.store.migrations import revisions, script_config
from connector.store.tables import metadata, portals

ROW = {"portal": 1, "calls": [], "searches": []}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'stagekeeper.db'}"


@pytest.mark.filterwarnings("ignore:.*expression-based index")  # SQLite's are compared below
def test_the_revisions_make_exactly_the_tables_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_revisions_make_every_index_and_uniqueness_of_the_code(engine: sa.Engine, tmp_path: Path) -> None:
    made = sa.create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(made)
    statement = sa.text(
        "SELECT name, tbl_name, CASE type WHEN 'index' THEN sql END FROM sqlite_master "
        "WHERE tbl_name <> 'alembic_version' ORDER BY 1, 2"
    )
    with made.connect() as expected, engine.connect() as found:
        assert found.execute(statement).all() == expected.execute(statement).all()
    made.dispose()


def test_revisions_follow_each_other_as_their_files_are_numbered() -> None:
    """Whether anything is to be done is read from their names; Alembic reads what stands in them."""
    known = ScriptDirectory.from_config(script_config()).walk_revisions()  # newest first
    assert [each.revision for each in known] == revisions()[::-1]


def test_opening_what_is_up_to_date_does_not_even_load_what_changes_tables(url: str, engine: sa.Engine) -> None:
    opening = f"from connector.store.engine import open_database; open_database({url!r})"
    code = f"import sys; {opening}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tables_can_be_made_in_postgresql_too() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert "CREATE" in str(CreateIndex(index).compile(dialect=dialect))


def test_opening_again_changes_nothing(url: str, engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(portals), ROW)
    again = open_database(url)
    with reading(again) as connection:
        assert connection.scalars(sa.select(portals.c.portal)).all() == [1]
    again.dispose()


def test_the_engine_is_durable_and_waits_for_other_writers(engine: sa.Engine) -> None:
    with reading(engine) as connection:
        values = [
            connection.scalar(sa.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert values == ["wal", 2, 1, 30_000]


def test_what_may_be_lost_is_written_without_waiting_for_the_disk(engine: sa.Engine) -> None:
    quick = without_fsync(engine)
    with reading(quick) as connection:
        assert connection.scalar(sa.text("PRAGMA synchronous")) == 1
    quick.dispose()


def test_a_reader_sees_one_moment_and_does_not_wait_for_a_writer(engine: sa.Engine) -> None:
    with writing(engine) as writer:
        writer.execute(sa.insert(portals), ROW)
        with reading(engine) as reader:
            assert reader.scalars(sa.select(portals.c.portal)).all() == []
    with reading(engine) as reader:
        assert reader.scalars(sa.select(portals.c.portal)).all() == [1]


def test_a_failed_block_leaves_nothing_behind(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:  # noqa: PT012 - the block is the point
        connection.execute(sa.insert(portals), {**ROW, "portal": 2})
        connection.execute(sa.insert(portals), [ROW, ROW])
    with reading(engine) as connection:
        assert connection.scalars(sa.select(portals.c.portal)).all() == []


def test_threads_take_turns_at_writing(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(portals), {**ROW, "calls_today": 0})

    def add() -> None:
        for _ in range(25):
            with writing(engine) as connection:
                today = connection.scalar(sa.select(portals.c.calls_today)) or 0
                connection.execute(sa.update(portals).values(calls_today=today + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(sa.select(portals.c.calls_today)) == 100


# When it cannot be had


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"nowhere.*does not exist.*make it"):
        open_database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")


def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="unable to open database file"):
        open_database(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database " * 100)
    with pytest.raises(DatabaseUnavailable, match="give the path of a SQLite file"):
        open_database(f"sqlite:///{tmp_path / 'x.db'}")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/name", "nonsense", "", "://secret@"])
def test_an_address_that_cannot_serve_says_what_is_expected(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"expected sqlite:///.* or postgresql://") as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_lock_that_is_held_too_long_is_unavailable(url: str, engine: sa.Engine, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "stagekeeper.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = open_database(url, migrate=False, busy_timeout_ms=10)
    locked = r"database is locked.*another process holds the write lock"
    with pytest.raises(DatabaseUnavailable, match=locked), writing(impatient):
        pass
    other.close()
    impatient.dispose()


def test_a_thread_that_holds_the_turn_too_long_is_unavailable(url: str, engine: sa.Engine) -> None:
    impatient = open_database(url, migrate=False, busy_timeout_ms=10)
    raised: list[str] = []

    def write() -> None:
        try:
            with writing(impatient):
                pass
        except DatabaseUnavailable as error:
            raised.append(str(error))

    with writing(impatient):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    impatient.dispose()
    assert len(raised) == 1
    assert "another thread of this process has been writing for too long" in raised[0]


def test_a_full_disk_is_unavailable(engine: sa.Engine) -> None:
    with reading(engine) as connection:
        pages = connection.scalar(sa.text("PRAGMA page_count"))
        connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(DatabaseUnavailable, match=r"full.*free space on the disk"), writing(engine) as connection:
        connection.execute(sa.insert(portals), {**ROW, "trouble_text": "x" * 1_000_000})


def test_a_wrong_statement_is_no_matter_of_the_database_being_there(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.OperationalError, match="no such table"), storing(), engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM elsewhere"))
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:
        connection.execute(sa.insert(portals), [ROW, ROW])


def test_values_are_not_told_when_something_fails(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, writing(engine) as connection:
        connection.execute(sa.insert(portals), [{**ROW, "trouble_text": "ana@example.com"}] * 2)
    assert "ana@example.com" not in str(caught.value)


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseUnavailable, match="pip install"):
        open_database("postgresql://user:secret@localhost/name")
