"""Old records go in small steps, each contact's last one stays, and reports say from when on they know."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector import pruning
from connector.inbox import Inbox
from connector.moments import DAY, SECOND
from connector.pruning import Pruner, known_since
from connector.recall import recall
from connector.store.engine import reading, writing
from connector.store.months import begin_of, month_of
from connector.store.tables import portals, records
from tests.databases import is_postgres
from tests.inboxes import delivery, event
from tests.integration.stocked import NOW, PORTAL, Stock, stock_in

KEEP = 100 * DAY
OTHER = 4343


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    stock = stock_in(tmp_path)
    for portal in (PORTAL, OTHER):
        stock.put(portals, {"portal": portal, "calls": [], "searches": []})
    yield stock
    stock.engine.dispose()


def left(stock: Stock) -> list[tuple[str, int]]:
    """Give contact and age in days of the records that are left, the oldest first."""
    query = sa.select(records.c.contact, records.c.decided_at).order_by(records.c.decided_at, records.c.id)
    with reading(stock.engine) as connection:
        return [(row.contact, (NOW - row.decided_at) // DAY) for row in connection.execute(query)]


def history(stock: Stock, contact: str, *ages: int, portal: int = PORTAL) -> None:
    """Put a contact that was decided so many days ago, each time."""
    for age in ages:
        stock.record(contact, "lead", portal=portal, decided_at=NOW - age * DAY)
    stock.contact(contact, "lead", portal=portal, decided_at=NOW - min(ages) * DAY)


def prune(stock: Stock, *, keep: int | None = KEEP, now: int = NOW) -> int:
    """Do a whole round; the number of steps."""
    pruner = Pruner(stock.engine, keep_ms=keep, pause=lambda _: None)
    return sum(1 for _ in iter(lambda: pruner.step(now), 0))


def test_what_is_older_goes_but_for_the_last_of_each_contact(stock: Stock) -> None:
    history(stock, "old", 400, 300, 200)
    history(stock, "both", 350, 250, 10)
    history(stock, "young", 60, 50)
    prune(stock)
    assert left(stock) == [("old", 200), ("young", 60), ("young", 50), ("both", 10)]


def test_what_was_told_of_a_contact_after_its_last_decision_stays(stock: Stock) -> None:
    history(stock, "1", 400, 300)
    stock.record("1", None, decided_at=NOW - 200 * DAY, rule="gone", fingerprint="")
    prune(stock)
    assert left(stock) == [("1", 300), ("1", 200)]


def test_nothing_goes_when_records_are_kept_forever(stock: Stock) -> None:
    history(stock, "1", 4_000, 300)
    assert prune(stock, keep=None) == 0
    assert left(stock) == [("1", 4_000), ("1", 300)]


def test_a_portal_says_since_when_its_records_are_whole(stock: Stock) -> None:
    history(stock, "1", 400, 300)
    with reading(stock.engine) as connection:
        assert known_since(connection, PORTAL) is None
    prune(stock)
    expected = begin_of(*month_of(NOW - KEEP)) if is_postgres() else NOW - KEEP
    with reading(stock.engine) as connection:
        assert known_since(connection, PORTAL) == expected
        assert is_postgres() or known_since(connection, OTHER) is None


def test_the_history_of_a_contact_says_that_older_records_are_gone(stock: Stock) -> None:
    history(stock, "1", 400, 300)
    stock.record("1", "prospect", decided_at=NOW, stage_before="lead")
    with writing(stock.engine) as connection:
        connection.execute(sa.text("UPDATE contacts SET decided_at = :now"), {"now": NOW})
    assert not recall(stock.engine, PORTAL, "1").is_pruned
    prune(stock)
    found = recall(stock.engine, PORTAL, "1")
    assert (found.total, found.is_pruned) == (1, True)


def test_many_are_removed_a_few_at_a_time(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "LOOKED_AT_ONCE", 10)
    monkeypatch.setattr(pruning, "REMOVED_AT_ONCE", 4)
    for number in range(30):
        history(stock, str(number), 400, 300)
    deleted: list[int] = []

    def count(_c: object, cursor: sa.engine.interfaces.DBAPICursor, text: str, *_: object) -> None:
        if text.startswith("DELETE FROM records"):
            deleted.append(cursor.rowcount)

    sa.event.listen(stock.engine, "after_cursor_execute", count)
    prune(stock)
    assert len(left(stock)) == 30
    assert sum(deleted) == 30
    assert max(deleted) <= 4


def test_the_next_round_is_a_day_later_and_finds_what_has_been_superseded_since(stock: Stock) -> None:
    history(stock, "1", 400, 300)
    pruner = Pruner(stock.engine, keep_ms=KEEP, pause=lambda _: None)
    while pruner.step(NOW):
        pass
    stock.record("1", "lead", decided_at=NOW)
    with writing(stock.engine) as connection:
        connection.execute(sa.text("UPDATE contacts SET decided_at = :now"), {"now": NOW})
    assert pruner.step(NOW + DAY - 1) == 0
    assert len(left(stock)) == 2
    while pruner.step(NOW + DAY):
        pass
    assert left(stock) == [("1", 0)]


def test_webhooks_are_taken_while_records_go(stock: Stock) -> None:
    with writing(stock.engine) as connection:
        row = {"portal": PORTAL, "claim": "c", "pack": "p", "pack_hash": "h", "stage": "lead", "rule": "r",
               "fingerprint": "f", "read": {"text": "x" * 500}, "decided": {}, "planned": {}}  # fmt: skip
        rows = [{**row, "contact": str(n % 997), "decided_at": NOW - 400 * DAY + n} for n in range(20_000)]
        connection.execute(sa.insert(records), rows)
    inbox = Inbox(stock.engine, lambda: NOW)
    taken: list[int] = []
    is_over = threading.Event()

    def post() -> None:
        while not is_over.is_set():
            batch = [event("1", f"{len(taken)}-{each}") for each in range(100)]
            inbox.accept(delivery(*batch), settle_ms=2 * SECOND)
            taken.append(inbox.place().stored)

    thread = threading.Thread(target=post)
    thread.start()
    steps = 0
    while Pruner(stock.engine, keep_ms=KEEP).step(NOW):
        steps += 1
    is_over.set()
    thread.join()
    assert left(stock) == []
    assert set(taken) == {100}
    assert len(taken) > steps > 1, "none waited for the whole of it"
