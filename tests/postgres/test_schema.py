"""The tables in PostgreSQL are those of the code, however the database came to them."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from connector.errors import DatabaseUnavailable
from connector.inbox import Failure, Inbox
from connector.store.engine import check_writing, open_database, reading, writing
from connector.store.tables import metadata, portals, waiting
from tests.databases import empty_url
from tests.inboxes import START, accept, claim, event, take_in

ROW = {"portal": 1, "calls": [], "searches": []}
SETTINGS = ("synchronous_commit", "plan_cache_mode", "jit", "lock_timeout", "idle_in_transaction_session_timeout")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return empty_url(tmp_path / "empty")


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave Procrastinate's tables out, and the months of the records."""
    return kind != "table" or name is None or not name.startswith(("procrastinate_", "records_"))


def test_the_revisions_make_exactly_the_tables_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, metadata) == []


def test_the_revisions_make_every_index_with_its_condition(engine: sa.Engine, tmp_path: Path) -> None:
    made = sa.create_engine(sa.make_url(empty_url(tmp_path / "made")).set(drivername="postgresql+psycopg"))
    metadata.create_all(made)
    statement = sa.text(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' "
        "AND tablename NOT LIKE 'procrastinate%' AND tablename NOT LIKE 'records#_%' ESCAPE '#' "
        "ORDER BY 1"
    )
    with made.connect() as expected, engine.connect() as found:
        apart = [(name, _of_a_part(text)) for name, text in expected.execute(statement)]
        assert [tuple(row) for row in found.execute(statement)] == apart
    made.dispose()


def _of_a_part(text: str) -> str:
    """Write an index of the records as it is said of a table in parts, whose key has the moment as well."""
    if " ON public.records " not in text:
        return text
    return text.replace(" ON public.records ", " ON ONLY public.records ").replace("(id)", "(id, decided_at)")


def test_a_session_is_as_durable_and_as_patient_as_is_promised_whatever_the_server_says(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    impatient = open_database(engine.url.render_as_string(hide_password=False), busy_timeout_ms=2_000)
    with writing(impatient) as connection:
        found = [connection.scalar(sa.text(f"SHOW {setting}")) for setting in SETTINGS]
        assert found == ["on", "force_custom_plan", "off", "2s", "1min"]
        assert connection.scalar(sa.text("SHOW transaction_isolation")) == "read committed"
    with reading(impatient) as connection:
        assert connection.scalar(sa.text("SHOW transaction_isolation")) == "repeatable read"
        assert connection.scalar(sa.text("SHOW transaction_read_only")) == "on"
    impatient.dispose()


def test_more_than_off_is_left_as_the_server_has_it(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    other = open_database(engine.url.render_as_string(hide_password=False))
    with reading(other) as connection:
        assert connection.scalar(sa.text("SHOW synchronous_commit")) == "remote_apply"
    other.dispose()


def test_a_reader_sees_one_moment(engine: sa.Engine) -> None:
    with reading(engine) as reader:
        assert reader.scalars(sa.select(portals.c.portal)).all() == []
        with writing(engine) as writer:
            writer.execute(sa.insert(portals), ROW)
        assert reader.scalars(sa.select(portals.c.portal)).all() == []
    with reading(engine) as reader:
        assert reader.scalars(sa.select(portals.c.portal)).all() == [1]


# When it cannot be had


def test_a_row_that_is_held_too_long_is_unavailable(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(portals), ROW)
    impatient = open_database(engine.url.render_as_string(hide_password=False), busy_timeout_ms=50)
    change = sa.update(portals).values(served_at=1)
    with writing(engine) as holder:
        holder.execute(change)
        expected = pytest.raises(DatabaseUnavailable, match=r"lock timeout.*pg_stat_activity")
        with expected, writing(impatient) as connection:
            connection.execute(change)
    impatient.dispose()


def test_a_server_that_takes_no_writes_is_unavailable(engine: sa.Engine) -> None:
    with writing(engine) as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    standby = open_database(engine.url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailable, match="takes no writes"):
        check_writing(standby)
    standby.dispose()
    check_writing(engine)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"database": "not_there"}, "does not exist.*takes connections"), ({"port": 1}, "check that the server runs")],
)
def test_what_cannot_be_reached_says_what_to_do_and_tells_no_password(
    engine: sa.Engine, change: dict[str, object], words: str
) -> None:
    wrong = engine.url.set(password="s3cret").set(**change)  # type: ignore[arg-type]  # any part of an address
    with pytest.raises(DatabaseUnavailable, match=words) as caught:
        open_database(wrong.render_as_string(hide_password=False))
    assert "s3cret" not in str(caught.value)


def test_values_are_not_told_when_something_fails(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, writing(engine) as connection:
        connection.execute(sa.insert(portals), [{**ROW, "trouble_text": "ana@example.com"}] * 2)
    assert "ana@example.com" not in str(caught.value)


# What PostgreSQL does not take


def test_text_that_postgresql_cannot_hold_stops_nobody(engine: sa.Engine) -> None:
    inbox = Inbox(engine, lambda: START)
    assert take_in(inbox, [event("1", value="\0 \N{GRINNING FACE}")], settle_ms=0).stored == 1
    held = claim(inbox)
    inbox.finish(held, failed={"1": Failure(error="HubSpot said \x00 nothing", retry_at=None)})
    with reading(engine) as connection:
        assert connection.scalar(sa.select(waiting.c.last_error)) == "HubSpot said \ufffd nothing"


def test_a_request_of_many_events_is_one_statement(engine: sa.Engine) -> None:
    sent: list[str] = []
    inbox = Inbox(engine, lambda: START)
    accept(inbox, "1")
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, text, *_: sent.append(text))
    accept(inbox, *map(str, range(1, 101)))
    assert [text.split()[0:3] for text in sent] == [["INSERT", "INTO", "deliveries"]]
    sent.clear()
    assert inbox.place().stored == 101
    assert [text.split()[0:3] for text in sent].count(["INSERT", "INTO", "events"]) == 1
    assert [text.split()[0:3] for text in sent].count(["INSERT", "INTO", "waiting"]) == 1
