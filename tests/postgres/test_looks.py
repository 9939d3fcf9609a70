"""Next looks where several work at once: whoever promotes and whoever settles never lose one between them."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from connector.inbox import Inbox
from connector.moments import DAY, MINUTE
from connector.store.engine import open_database, writing
from connector.store.tables import contacts, looks, waiting
from tests.contending import at_once
from tests.inboxes import LEASE, PORTAL, SETTLE, START, Hands, accept, claim, judge, named, settle, stored

LOOK = START + DAY


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def other(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    yield engine
    engine.dispose()


def in_hand(engine: sa.Engine, hands: Hands) -> Inbox:
    """Have a contact claimed that has a look, whose time then comes."""
    inbox = Inbox(engine, hands)
    accept(inbox, "1")
    hands.move(SETTLE)
    settle(inbox, engine, claim(inbox), {"1": LOOK})
    hands.now = LOOK - SETTLE - 1
    accept(inbox, "1")
    return inbox


@pytest.mark.parametrize("decided", [LOOK, LOOK + DAY])
def test_a_look_that_is_just_being_written_again_is_left_where_it_is(
    engine: sa.Engine, other: sa.Engine, hands: Hands, decided: int
) -> None:
    """Whoever settles names the very moment that has just come, be it the decision's or not."""
    inbox = in_hand(engine, hands)
    found = claim(Inbox(other, lambda: LOOK - 1))
    hands.now = LOOK
    with writing(other) as connection:
        judge(connection, "1", decided)
    with writing(other) as connection:
        judge(connection, "1", LOOK)
        inbox.finish(found, connection, settled={"1": LOOK})
        inbox.counts()
        assert stored(engine, looks) == [(PORTAL, LOOK, "1")]
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_who_settles_waits_for_whoever_promotes_and_writes_the_look_anew(
    engine: sa.Engine, other: sa.Engine, hands: Hands
) -> None:
    inbox = in_hand(engine, hands)
    hands.now = LOOK
    found = claim(Inbox(other, lambda: LOOK - 1))
    settled = threading.Thread(target=lambda: settle(Inbox(other, hands), other, found, {"1": LOOK}))
    with writing(engine) as connection:
        promote = inbox._intake._looks._promote_some  # the one place where the two can meet
        assert promote(connection, [PORTAL], LOOK) == 1
        settled.start()
        settled.join(0.5)
        assert settled.is_alive()
    settled.join(30)
    assert stored(engine, looks) == [(PORTAL, LOOK, "1")]
    assert stored(engine, waiting) == []
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_workers_that_promote_settle_and_erase_at_once_lose_nobody(url: str, hands: Hands) -> None:
    """Times come while contacts are in hand, and are named again; whoever has a time in the end waits or has a look."""
    ids = [str(number) for number in range(1, 40)]
    engines = [open_database(url) for _ in range(4)]
    inboxes = [Inbox(engine, hands) for engine in engines]
    accept(inboxes[0], *ids)
    hands.move(MINUTE)
    settle(inboxes[0], engines[0], claim(inboxes[0]), dict.fromkeys(ids, hands.now))
    def work(number: int) -> None:
        inbox, engine = inboxes[number], engines[number]
        found = inbox.claim(lease_ms=MINUTE, limit=7)
        if found is not None:
            coming = {contact: hands.now + int(contact) % 3 for contact in named(found)}
            with writing(engine) as connection:
                for contact, due in coming.items():
                    judge(connection, contact, due + int(contact) % 2)
            hands.move(1)
            settle(inbox, engine, found, coming)

    def promote() -> None:
        hands.move(1)
        inboxes[3].counts()

    assert at_once(lambda: work(0), lambda: work(1), lambda: work(2), promote, seconds=6) == []
    waits = {row[1] for row in stored(engines[0], waiting)}
    there = {(contact, due) for _, due, contact in stored(engines[0], looks)}
    with engines[0].connect() as connection:
        known = {row.contact: row.next_look_at for row in connection.execute(sa.select(contacts))}
    assert sorted(known) == sorted(ids)
    assert {(contact, due) for contact, due in known.items() if contact not in waits} <= there
