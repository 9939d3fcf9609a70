"""Workers on many machines: a claim is one statement, waits for nobody, and is leased by the database's clock."""

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.inbox import Claim, Failure, Inbox
from connector.moments import MINUTE, system_clock
from connector.store.clock import DatabaseClock
from connector.store.engine import clock_of, open_database, writing
from connector.store.tables import waiting
from tests.inboxes import LEASE, PORTAL, Hands, accept, claim, named, row
from tests.integration.deaths import let_die


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def inbox(engine: sa.Engine, hands: Hands) -> Inbox:
    inbox = Inbox(engine, hands)
    accept(inbox, *map(str, range(1, 11)))
    hands.move(MINUTE)
    inbox.counts()
    return inbox


def test_a_claim_takes_its_contacts_in_one_statement(engine: sa.Engine, inbox: Inbox) -> None:
    sent: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, text, *_: sent.append(text))
    assert len(claim(inbox).contacts) == 10
    [taking] = [text for text in sent if "waiting" in text and not text.startswith("SELECT")]
    assert all(words in taking for words in ("FOR UPDATE SKIP LOCKED", "UPDATE waiting SET", "RETURNING"))


def test_a_claim_steps_over_what_somebody_else_holds_just_now(engine: sa.Engine, inbox: Inbox) -> None:
    held = sa.select(waiting.c.contact).where(waiting.c.contact.in_(["2", "3"])).with_for_update()
    with writing(engine) as other:
        other.execute(held)
        began = time.monotonic()
        assert named(claim(inbox)) == ["1", "10", "4", "5", "6", "7", "8", "9"]
        assert time.monotonic() - began < 5
    assert named(claim(inbox)) == ["2", "3"]


def test_who_is_left_out_of_a_claim_of_suspects_is_as_before(inbox: Inbox, hands: Hands) -> None:
    for _ in range(5):
        assert len(claim(inbox).contacts) == 10
        hands.move(LEASE)
    before = {contact: row(inbox, contact) for contact in map(str, range(1, 11))}
    apart = named(claim(inbox))
    assert len(apart) == 5
    after = {contact: row(inbox, contact) for contact in before}
    assert {contact for contact in before if before[contact] != after[contact]} == set(apart)


def test_many_that_claim_at_once_share_out_the_contacts(url: str, engine: sa.Engine, hands: Hands) -> None:
    inbox = Inbox(engine, hands)
    accept(inbox, *map(str, range(1, 1_001)))
    hands.move(MINUTE)
    inbox.counts()
    together = threading.Barrier(12)
    claims: list[Claim] = []

    def work() -> None:
        own = Inbox(open_database(url), hands)
        together.wait(30)
        while (found := own.claim(lease_ms=LEASE, limit=17)) is not None:
            claims.append(found)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    held = [one.contact for found in claims for one in found.contacts]
    assert sorted(held, key=int) == list(map(str, range(1, 1_001)))


def test_two_workers_never_hold_one_contact_and_nothing_is_lost_however_many_are_killed(
    url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    let_die(url, engine, tmp_path, posters=3, workers=6, seed=11, every_s=(0.2, 0.5))


# The clock


@pytest.mark.parametrize("wrong_by", [10 * MINUTE, -10 * MINUTE])
def test_a_machine_whose_clock_is_wrong_claims_as_the_others_do(
    url: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch, wrong_by: int
) -> None:
    right = Inbox(engine, clock_of(engine))
    right_now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right_now() + wrong_by * 1_000_000)
    other = open_database(url)
    wrong = Inbox(other, clock_of(other))
    wrong.counts()  # whatever it does first, the database tells it the time

    right.look_at(PORTAL, ["1"], due=clock_of(engine)())
    held = claim(right)
    assert wrong.claim(lease_ms=LEASE) is None  # not before its time, however late it seems
    right.finish(held, failed={"1": Failure(error="x", retry_at=clock_of(engine)())})
    again = wrong.claim(lease_ms=LEASE)  # and not after it, however early it seems
    assert named(again) == ["1"]
    assert right.claim(lease_ms=LEASE) is None
    assert again is not None
    assert abs(again.until - LEASE - right_now() // 1_000_000) < 5_000
    other.dispose()


def test_the_database_is_asked_for_the_time_once_a_minute(engine: sa.Engine) -> None:
    ran = [0]
    clock = DatabaseClock(own=lambda: 5, running=lambda: ran[0])
    assert clock() == 5
    sent: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, text, *_: sent.append(text))
    with engine.connect() as connection:
        for moment in (0, 59_000, 60_000, 61_000):
            ran[0] = moment
            clock.maybe_ask(connection)
            assert abs(clock() - system_clock()) <= moment + 5_000
    assert sum("clock_timestamp" in text for text in sent) == 2
