"""Whoever is to be looked at by himself waits when his time has come, and not before; what is stale is dropped."""

import pytest
import sqlalchemy as sa

from connector.errors import ClaimLost
from connector.identity.erasure import erase_person, remove_people
from connector.inbox import Failure, Inbox, Waiting
from connector.looks import Looks, due_looks, first_look
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.store.engine import reading, writing
from connector.store.tables import contacts, looks
from connector.waitinglist import Count
from tests.inboxes import LEASE, PORTAL, SETTLE, START, Hands, accept, claim, known_of, named, row, settle, stored


def looked_at(inbox: Inbox, engine: sa.Engine, clock: Hands, *ids: str, due: int | None) -> None:
    """Have contacts judged because of an event, and give them a next look."""
    accept(inbox, *ids)
    clock.move(SETTLE)
    settle(inbox, engine, claim(inbox), dict.fromkeys(ids, due))


# --- one look ---------------------------------------------------------------------------------------------------------


def test_a_settled_contact_with_a_next_look_waits_when_its_time_has_come(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    look = START + 14 * DAY
    looked_at(inbox, engine, clock, "1", due=look)
    assert (inbox.listing(), inbox.counts(), stored(engine, looks)) == ((), {}, [(PORTAL, look, "1")])
    assert inbox.show(PORTAL, "1").next_look_at == look
    clock.now = look - 1
    assert inbox.claim(lease_ms=LEASE) is None
    clock.now = look
    assert claim(inbox).contacts == (Waiting(contact="1", generation=1, attempts=1, since=look),)
    assert stored(engine, looks) == []


def test_an_event_comes_before_a_next_look_which_is_stale_then(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    first, second = START + DAY, START + 3 * DAY
    looked_at(inbox, engine, clock, "1", due=first)
    looked_at(inbox, engine, clock, "1", due=second)
    assert stored(engine, looks) == [(PORTAL, first, "1"), (PORTAL, second, "1")]
    clock.now = first
    assert inbox.claim(lease_ms=LEASE) is None
    assert stored(engine, looks) == [(PORTAL, second, "1")]
    clock.now = second
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_a_contact_with_another_event_meanwhile_gets_no_look(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    accept(inbox, "1")
    inbox.counts()
    settle(inbox, engine, found, {"1": clock.now + DAY})
    assert stored(engine, looks) == []
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_a_look_whose_time_comes_while_its_contact_is_judged_is_written_anew(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    """What was judged before that time may know nothing of it: it names the same time again."""
    look = START + DAY
    looked_at(inbox, engine, clock, "1", due=look)
    clock.now = look - SETTLE - 1
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    clock.now = look
    inbox.counts()
    assert stored(engine, looks) == []
    settle(inbox, engine, found, {"1": look})
    assert stored(engine, looks) == [(PORTAL, look, "1")]
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_a_retry_keeps_its_time_and_a_dead_letter_stays_one(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    look = START + HOUR
    looked_at(inbox, engine, clock, "1", "2", due=look)
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    later = Failure(error="HubSpot said 502", retry_at=look + HOUR)
    inbox.finish(claim(inbox), failed={"1": later, "2": Failure(error="not valid", retry_at=None)})
    clock.now = look
    assert inbox.claim(lease_ms=LEASE) is None
    assert (row(inbox, "1").due, row(inbox, "2").dead_at) == (look + HOUR, START + 2 * SETTLE)  # type: ignore[union-attr]
    assert stored(engine, looks) == []


def test_who_was_to_be_looked_at_later_without_a_reason_does_not_wait_longer_for_it(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    """Reconciliation lets many wait, one after the other, for hours."""
    look = START + MINUTE
    looked_at(inbox, engine, clock, "1", due=look)
    inbox.look_at(PORTAL, ["1", "2"], due=look + HOUR)
    clock.now = look
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


@pytest.mark.parametrize("number", [299, 300, 10_000])
def test_ten_thousand_looks_of_one_millisecond_come_in_small_steps_and_none_is_left_out(
    engine: sa.Engine, clock: Hands, number: int
) -> None:
    look, pauses = START + DAY, list[float]()
    inbox = Inbox(engine, clock)
    accept(inbox, "1")
    inbox.counts()
    with writing(engine) as connection:
        ids = [str(97_000_000_000 + one) for one in range(number)]
        connection.execute(sa.insert(contacts), [known_of(one, look) for one in ids])
        connection.execute(sa.insert(looks), [{"portal": PORTAL, "due": look, "contact": one} for one in ids])
    clock.now = look
    Looks(engine, clock, pause=pauses.append, alone=1).promote(rounds=1_000)
    assert len(pauses) == number // 300
    assert stored(engine, looks) == []
    assert {one.contact for one in inbox.listing(limit=20_000)} == {"1", *ids}


def test_a_clock_that_is_set_back_loses_and_doubles_nothing(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    look = START + DAY
    looked_at(inbox, engine, clock, "1", due=look)
    clock.now = look
    inbox.counts()
    clock.now = START + HOUR
    assert inbox.claim(lease_ms=LEASE) is None
    clock.now = look
    settle(inbox, engine, claim(inbox), {"1": None})
    assert (inbox.listing(), stored(engine, looks)) == ((), [])


def test_portals_have_looks_of_their_own(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    for portal, due in ((1, START + DAY), (2, START + HOUR)):
        accept(inbox, "7", portal=portal)
        clock.move(SETTLE)
        settle(inbox, engine, claim(inbox), {"7": due})
    clock.now = START + HOUR
    assert [(one.portal, one.contact) for one in inbox.listing()] == [(2, "7")]
    clock.now = START + DAY
    assert [(one.portal, one.contact) for one in inbox.listing()] == [(1, "7"), (2, "7")]


# --- who asks ---------------------------------------------------------------------------------------------------------


def test_it_is_known_beforehand_when_the_next_is_due(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    look = START + DAY
    looked_at(inbox, engine, clock, "1", due=START + HOUR)
    looked_at(inbox, engine, clock, "1", due=look)
    clock.now = START + HOUR - SECOND
    assert inbox.due_in(PORTAL, within=MINUTE) is None, "a stale look is no reason to wake"
    clock.now = look - 3 * SECOND
    assert inbox.due_in(PORTAL, within=SECOND) is None
    assert inbox.due_in(PORTAL, within=5 * SECOND) == 3 * SECOND
    inbox.look_at(PORTAL, ["2"], due=look - SECOND)
    assert inbox.due_in(PORTAL, within=5 * SECOND) == 2 * SECOND
    clock.now = look
    assert (inbox.due_in(PORTAL, within=SECOND), inbox.portals_with_work()) == (10, [PORTAL])


def test_looks_that_are_due_are_counted_by_whoever_lets_nobody_wait(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    looked_at(inbox, engine, clock, "1", "2", "3", due=START + HOUR)
    looked_at(inbox, engine, clock, "2", due=START + HOUR + SECOND)
    clock.now = START + HOUR + MINUTE
    with reading(engine) as connection:
        assert due_looks(connection, PORTAL, clock.now, most=10) == (3, START + HOUR)
        assert due_looks(connection, PORTAL, clock.now, most=2) == (2, START + HOUR)
        assert due_looks(connection, PORTAL, START, most=10) == (0, None)
        assert first_look(connection, PORTAL, until=clock.now) == START + HOUR
    assert inbox.counts() == {PORTAL: Count(pending=3, oldest_since=START + HOUR, dead=0, claimed=0)}
    with reading(engine) as connection:
        assert due_looks(connection, PORTAL, clock.now, most=10) == (0, None)


def test_who_has_nothing_but_a_look_can_be_tried_at_once_or_let_go(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    looked_at(inbox, engine, clock, "1", "2", "3", due=START + DAY)
    assert (inbox.retry(), inbox.drop(), inbox.retry(portal=PORTAL, contact="1", only_dead=True)) == (0, 0, 0)
    assert inbox.retry(portal=PORTAL, contact="1") == 1
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]
    assert inbox.drop(portal=PORTAL, contact="2") == 1
    assert inbox.show(PORTAL, "2").next_look_at is None
    assert inbox.drop(portal=PORTAL, contact="2") == 0
    clock.now = START + DAY + LEASE
    assert named(inbox.claim(lease_ms=LEASE)) == ["1", "3"]


def test_a_dead_letter_that_is_dropped_does_not_come_back_by_itself(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    looked_at(inbox, engine, clock, "1", due=START + DAY)
    accept(inbox, "1")
    clock.move(SETTLE)
    inbox.finish(claim(inbox), failed={"1": Failure(error="not valid", retry_at=None)})
    assert inbox.drop() == 1
    clock.now = START + 2 * DAY
    assert inbox.claim(lease_ms=LEASE) is None
    assert stored(engine, looks) == []


@pytest.mark.usefixtures("in_a_file")
def test_when_nothing_is_due_one_cheap_query_says_so(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    looked_at(inbox, engine, clock, "1", "2", due=START + DAY)
    sent: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
    assert inbox.claim(lease_ms=LEASE) is None
    [asked] = [statement for statement in sent if "looks" in statement]
    with reading(engine) as connection:
        plan = [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
    assert "SEARCH looks USING PRIMARY KEY (portal=?)" in plan


# --- erasure ----------------------------------------------------------------------------------------------------------


def test_nothing_names_an_erased_contact_stale_looks_included(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    for days in (1, 2, 3):
        looked_at(inbox, engine, clock, "1", "2", "3", due=START + days * DAY)
    with writing(engine) as connection:
        connection.execute(sa.update(contacts).where(contacts.c.contact == "3").values(gone="1", next_look_at=None))
    receipt = erase_person(engine, PORTAL, "1", reason="asked", now=clock.now)
    assert receipt.counts == {"events": 6, "waiting": 0, "contacts": 2, "records": 0, "effects": 0}
    assert {contact for _, _, contact in stored(engine, looks)} == {"2"}
    clock.now = START + 3 * DAY
    assert named(inbox.claim(lease_ms=LEASE)) == ["2"]


def test_all_looks_are_read_once_however_many_are_erased_and_not_for_strangers(
    inbox: Inbox, engine: sa.Engine, clock: Hands
) -> None:
    looked_at(inbox, engine, clock, "1", "2", "3", due=START + DAY)
    sent: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
    with writing(engine) as connection:
        remove_people(connection, PORTAL, ["1", "2"], reason="privacy_deletion", now=clock.now)
        remove_people(connection, PORTAL, ["8", "9"], reason="privacy_deletion", now=clock.now)
    assert len([statement for statement in sent if statement.startswith("DELETE FROM looks")]) == 1
    assert stored(engine, looks) == [(PORTAL, START + DAY, "3")]


def test_a_claim_that_was_lost_leaves_no_look(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    late = claim(inbox)
    clock.move(LEASE)
    claim(inbox)
    with pytest.raises(ClaimLost):
        settle(inbox, engine, late, {"1": clock.now + DAY})
    assert (stored(engine, looks), stored(engine, contacts)) == ([], [])
