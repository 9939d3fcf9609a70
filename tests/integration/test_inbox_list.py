"""What waits and what was given up can be counted, listed, shown, retried, dropped and forgotten."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from connector.identity.erasure import erase_person
from connector.inbox import Failure, Inbox, next_try_at, retry_delay_ms
from connector.moments import DAY, HOUR
from connector.store.engine import reading
from connector.store.tables import events, waiting
from connector.waitinglist import Count
from tests.inboxes import LEASE, PORTAL, SETTLE, START, Hands, accept, claim, delivery, event

# The list


def test_counts_tell_what_waits_per_portal(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", portal=1)
    clock.move(SETTLE)
    inbox.finish(claim(inbox), failed={"1": Failure(error="x", retry_at=None)})
    accept(inbox, "2", "3", portal=1)
    accept(inbox, "4", portal=2)
    inbox.look_at(2, ["5"], due=clock.now + HOUR)
    inbox.look_at(2, ["6"], due=clock.now + 30 * DAY)
    clock.move(SETTLE)
    claim(inbox, limit=1)
    assert inbox.counts() == {
        1: Count(pending=2, oldest_since=START + SETTLE, dead=1, claimed=0),
        2: Count(pending=1, oldest_since=START + SETTLE, dead=0, claimed=1),
    }
    state = inbox.state()
    assert (state.pending, state.oldest_seconds, state.dead_letters) == (3, 2.0, 1)


def test_an_empty_inbox_counts_nothing(inbox: Inbox) -> None:
    assert inbox.counts() == {}
    state = inbox.state()
    assert (state.pending, state.oldest_seconds, state.dead_letters) == (0, 0, 0)


def test_the_list_goes_on_behind_what_was_seen(inbox: Inbox) -> None:
    for portal in (1, 2):
        accept(inbox, "1", "2", "3", portal=portal)
    seen: list[tuple[int, str]] = []
    while page := inbox.listing(limit=4, after=seen[-1] if seen else None):
        seen += [(found.portal, found.contact) for found in page]
    assert seen == [(1, "1"), (1, "2"), (1, "3"), (2, "1"), (2, "2"), (2, "3")]
    assert [found.contact for found in inbox.listing(portal=2, after=(2, "1"))] == ["2", "3"]


def test_the_list_tells_dead_letters_from_others(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    inbox.finish(claim(inbox, limit=1), failed={"1": Failure(error="x" * 5_000, retry_at=None)})
    assert [found.contact for found in inbox.listing(dead=True)] == ["1"]
    assert [found.contact for found in inbox.listing(dead=False)] == ["2"]
    assert len(inbox.listing(dead=True)[0].last_error or "") == 2_000


def test_a_contact_is_shown_with_its_events_in_order(inbox: Inbox, clock: Hands) -> None:
    first, second = event("1", "b"), event("1", "a", value="y")
    inbox.accept(delivery(first, event("2", "x")), settle_ms=SETTLE)
    clock.move(1)
    inbox.accept(delivery(second), settle_ms=SETTLE)
    shown = inbox.show(PORTAL, "1")
    assert [(found.received_at, found.body) for found in shown.events] == [(START, first), (START + 1, second)]
    assert shown.waiting is not None
    nobody = inbox.show(PORTAL, "9")
    assert (nobody.waiting, nobody.events) == (None, ())


def dead_letters(inbox: Inbox, clock: Hands) -> None:
    for portal in (1, 2):
        accept(inbox, "1", "2", portal=portal)
    clock.move(SETTLE)
    for _ in range(2):
        inbox.finish(claim(inbox), failed={c: Failure(error="x", retry_at=None) for c in ("1", "2")})


@pytest.mark.parametrize(
    ("which", "number"),
    [({}, 4), ({"portal": 1}, 2), ({"portal": 2, "contact": "1"}, 1), ({"contact": "2"}, 2), ({"portal": 3}, 0)],
)
def test_dead_letters_are_retried_and_dropped(
    inbox: Inbox, clock: Hands, which: Mapping[str, int | str], number: int
) -> None:
    dead_letters(inbox, clock)
    assert inbox.retry(**which) == number  # type: ignore[arg-type]  # one table for both
    assert len(inbox.listing(dead=True)) == 4 - number
    assert all((found.due, found.attempts) == (clock.now, 0) for found in inbox.listing(dead=False))
    assert inbox.drop() == 4 - number
    assert len(inbox.listing()) == number


def test_only_a_contact_that_is_named_is_dropped_alive_and_none_from_a_claim(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    assert inbox.drop() == 0
    assert inbox.drop(portal=PORTAL, contact="2") == 1
    clock.move(SETTLE)
    claim(inbox)
    assert inbox.drop(portal=PORTAL, contact="1") == 0
    assert inbox.retry(portal=PORTAL, contact="1") == 0
    clock.move(LEASE)
    assert inbox.drop(portal=PORTAL, contact="1") == 1


def test_old_events_expire_once_they_are_judged(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    inbox.accept(delivery(event("1", "a"), event("2", "b"), event(None, "c")), settle_ms=SETTLE)
    clock.move(SETTLE)
    found = claim(inbox)
    accept(inbox, "2")
    inbox.finish(found, settled={"1": clock.now + 30 * DAY, "2": None})
    inbox.place()
    clock.move(3 * DAY)
    assert inbox.expire(received_before=clock.now) == 3
    with reading(engine) as connection:
        assert connection.scalars(sa.select(events.c.contact)).all() == ["2"]
    assert inbox.expire(received_before=clock.now) == 0


@pytest.mark.usefixtures("in_a_file")
def test_claims_and_accepts_read_no_more_than_they_need(engine: sa.Engine, inbox: Inbox) -> None:
    accept(inbox, "1")
    inbox.counts()
    with reading(engine) as connection:
        for statement, index in (
            ("SELECT 1 FROM waiting WHERE portal = 1 AND dead_at IS NULL AND due <= 5 ORDER BY due, contact LIMIT 100",
             "ix_waiting_portal_dead_at_due"),
        ):  # fmt: skip
            plan = " ".join(str(found) for found in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {statement}")))
            assert f"INDEX {index}" in plan
            assert "SCAN waiting" not in plan
        assert connection.scalar(sa.select(sa.func.count()).select_from(waiting)) == 1


def plans(engine: sa.Engine, look: Callable[[], object]) -> list[str]:
    """Give the plan of every statement about events, as SQLite makes it for the statement that is really sent."""
    sent: list[tuple[str, Any]] = []

    def keep(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", keep)
    look()
    sa.event.remove(engine, "before_cursor_execute", keep)
    with reading(engine) as connection:
        found = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for statement, parameters in sent
            if "events" in statement
        ]
    return [" ".join(str(row[3]) for row in rows) for rows in found]


@pytest.mark.usefixtures("in_a_file")
def test_events_are_found_by_indexes_and_never_by_reading_them_all(engine: sa.Engine, inbox: Inbox) -> None:
    accept(inbox, "1", "2")
    placing = plans(engine, inbox.counts)
    assert placing
    showing = plans(engine, lambda: inbox.show(PORTAL, "1"))
    erasing = plans(engine, lambda: erase_person(engine, PORTAL, "2", reason="asked", now=START))
    expiring = plans(engine, lambda: inbox.expire(received_before=START))
    for found in (showing, erasing):
        assert any("ix_events_period_portal_contact (<expr>=? AND portal=? AND contact=?)" in plan for plan in found)
        assert not any("sqlite_autoindex_events" in plan for plan in found)
    assert "ix_events_received_at" in expiring[0]
    everything = [*placing, *showing, *erasing, *expiring]
    assert [plan for plan in everything if "SCAN events" in plan] == []


# Delays


def test_delays_grow_threefold_up_to_six_hours_with_a_fifth_of_chance() -> None:
    even = [retry_delay_ms(attempts, lambda: 0.5) for attempts in range(1, 12)]
    assert even == [5_000 * 3**n for n in range(8)] + [6 * HOUR] * 3
    assert (retry_delay_ms(1, lambda: 0.0), retry_delay_ms(1, lambda: 1.0)) == (4_000, 6_000)
    assert retry_delay_ms(10**9, lambda: 1.0) == 6 * HOUR
    assert retry_delay_ms(0, lambda: 0.5) == 5_000


def test_there_is_no_next_try_after_the_last_attempt() -> None:
    assert [next_try_at(n, now=START, random=lambda: 0.5) is None for n in range(1, 10)] == [False] * 7 + [True] * 2
    assert next_try_at(2, now=START, random=lambda: 0.5, last=2) is None
    assert next_try_at(1, now=START, random=lambda: 0.5, last=2) == START + 5_000
