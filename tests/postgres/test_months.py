"""Records lie in a table for each month: made ahead, thinned out as a whole, and nothing is lost on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from connector.moments import DAY
from connector.pruning import Pruner, known_since
from connector.store import months
from connector.store.engine import open_database, reading, writing
from connector.store.migrations import script_config
from connector.store.months import begin_of, make_months, month_of, parts
from connector.store.tables import portals, records
from tests.databases import empty_url
from tests.integration.stocked import PORTAL, Stock, stock_in

KEEP = 100 * DAY
INSERT = (
    "INSERT INTO records "
    "(portal, contact, claim, decided_at, pack, pack_hash, rule, fingerprint, read, decided, planned)"
)


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    stock = stock_in(tmp_path)
    stock.put(portals, {"portal": PORTAL, "calls": [], "searches": []})
    yield stock
    stock.engine.dispose()


def names(engine: sa.Engine) -> list[str]:
    with reading(engine) as connection:
        return [part.name for part in parts(connection)]


def where(engine: sa.Engine) -> dict[str, list[str]]:
    """Give by partition the contacts whose records lie in it."""
    query = sa.text("SELECT tableoid::regclass::text AS part, contact FROM records ORDER BY id")
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        for row in connection.execute(query):
            found.setdefault(row.part, []).append(row.contact)
    return found


def later(engine: sa.Engine, *, number: int) -> tuple[int, str]:
    """Give the first moment of a month after those that are there, and the name of its table."""
    with reading(engine) as connection:
        last = max(part.until for part in parts(connection) if part.until is not None)
    year, month = month_of(last)
    begin = begin_of(year, month + number)
    return begin, "records_{}_{:02}".format(*month_of(begin))


def test_a_new_database_has_this_month_and_the_next_two_and_a_table_for_all_else(stock: Stock) -> None:
    found = names(stock.engine)
    assert len(found) == 5
    assert found[-1] == "records_default"
    assert sum(name.startswith("records_before_") for name in found) == 1


def test_a_record_of_a_month_that_nobody_has_made_is_taken_and_moves_when_it_is_made(stock: Stock) -> None:
    begin, name = later(stock.engine, number=1)
    stock.record("1", "lead", decided_at=begin)
    assert where(stock.engine) == {"records_default": ["1"]}
    with writing(stock.engine) as connection:
        assert name in make_months(connection, begin)
    assert where(stock.engine) == {name: ["1"]}
    with writing(stock.engine) as connection:
        assert make_months(connection, begin) == []


def test_the_worker_makes_the_months_ahead(stock: Stock) -> None:
    begin, name = later(stock.engine, number=0)
    assert name not in names(stock.engine)
    Pruner(stock.engine, keep_ms=None).step(begin - 1)
    assert name in names(stock.engine)


def test_an_old_month_is_exchanged_for_the_last_records_of_contacts(stock: Stock) -> None:
    begin, name = later(stock.engine, number=0)
    with writing(stock.engine) as connection:
        make_months(connection, begin)
    stock.record("last", "lead", decided_at=begin + 1)
    stock.contact("last", "lead", decided_at=begin + 1)
    stock.record("superseded", "lead", decided_at=begin + 2)
    stock.record("superseded", "lead", decided_at=begin + 90 * DAY)
    stock.contact("superseded", "lead", decided_at=begin + 90 * DAY)
    stock.record("forgotten", "lead", decided_at=begin + 3)
    now = begin + 31 * DAY + KEEP + 31 * DAY
    pruner = Pruner(stock.engine, keep_ms=KEEP, pause=lambda _: None)
    while pruner.step(now):
        pass
    found = where(stock.engine)
    assert found.pop(f"{name}_kept") == ["last"]
    assert sorted(contact for some in found.values() for contact in some) == ["superseded"]
    assert name not in names(stock.engine)
    with reading(stock.engine) as connection:
        assert known_since(connection, PORTAL) == begin_of(*month_of(now - KEEP))


def test_a_thinned_month_goes_when_nothing_is_left_in_it(stock: Stock) -> None:
    begin, name = later(stock.engine, number=0)
    with writing(stock.engine) as connection:
        make_months(connection, begin)
    stock.record("1", "lead", decided_at=begin)
    stock.contact("1", "lead", decided_at=begin)
    now = begin + 31 * DAY + KEEP + 31 * DAY
    pruner = Pruner(stock.engine, keep_ms=KEEP, pause=lambda _: None)
    while pruner.step(now):
        pass
    with writing(stock.engine) as connection:
        connection.execute(sa.text("UPDATE contacts SET decided_at = :now"), {"now": now})
    for day in (1, 2):
        while pruner.step(now + day * DAY):
            pass
    assert f"{name}_kept" not in names(stock.engine)
    assert where(stock.engine) == {}


def test_who_reads_for_long_only_postpones_it(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "_LOCK_TIMEOUT", "50ms")
    begin, name = later(stock.engine, number=0)
    stock.record("1", "lead", decided_at=begin)
    pruner = Pruner(stock.engine, keep_ms=KEEP)
    with reading(stock.engine) as reader:
        reader.execute(sa.select(records.c.id)).all()
        pruner.step(begin)
        assert name not in names(stock.engine)
    pruner.step(begin + DAY)
    assert where(stock.engine) == {name: ["1"]}


def test_the_records_of_an_earlier_release_are_kept_where_they_lie(tmp_path: Path) -> None:
    url = sa.make_url(empty_url(tmp_path / "old")).set(drivername="postgresql+psycopg")
    old = sa.create_engine(url)
    config = script_config()
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.exec_driver_sql(
            f"{INSERT} SELECT 4242, n::text, 'c', (extract(epoch FROM now()) * 1000)::bigint - n * 86400000, 'p', 'h', "  # noqa: S608
            "'r', 'f', '{\"n\": 1}', '{}', '{}' FROM generate_series(-400::bigint, 400) AS numbers(n)"
        )
        connection.exec_driver_sql(
            "INSERT INTO effects (portal, contact, key, kind, rule, state, body, intended_at) "
            "SELECT 4242, n::text, n::text, 'task', 'call', 'confirmed', '{}', 1 FROM generate_series(1, 7) n"
        )
        before = connection.exec_driver_sql("SELECT id, contact, decided_at, read::text FROM records ORDER BY id").all()
    old.dispose()
    engine = open_database(url.render_as_string(hide_password=False))
    with engine.begin() as connection:
        after = connection.exec_driver_sql("SELECT id, contact, decided_at, read::text FROM records ORDER BY id").all()
        assert after == before
        assert connection.exec_driver_sql("SELECT * FROM turns").all() == [(4242, "call", 7)]
        new = connection.exec_driver_sql(
            INSERT + " VALUES (4242, 'new', 'c', 5, 'p', 'h', 'r', 'f', '{}', '{}', '{}') RETURNING id"  # noqa: S608
        ).scalar_one()
        assert new == max(row.id for row in before) + 1
    assert {len(rows) > 0 for rows in where(engine).values()} == {True}
    assert len(where(engine)) >= 4, "what a wrong clock dated ahead lies in the months to come"
    engine.dispose()
