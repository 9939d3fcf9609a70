"""The inbox keeps every event once, hands each contact to one worker at a time and forgets no reason to look."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from connector.delivery import Delivery
from connector.errors import ClaimLost
from connector.inbox import Claim, Failure, Inbox, Placed, Waiting
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.store.engine import reading, writing
from connector.store.tables import deliveries, events, portals, waiting
from connector.waitinglist import Count
from tests.inboxes import LEASE, PORTAL, SETTLE, START, Hands, accept, claim, delivery, event, named, row, take_in

# Taking in


def test_events_are_stored_once_and_their_contacts_wait_until_they_have_settled(inbox: Inbox) -> None:
    incoming = [event("1", "a"), event("1", "b"), event("2", "c"), event("1", "a")]
    assert take_in(inbox, incoming) == Placed(stored=3, duplicates=1, malformed=0)
    assert take_in(inbox, incoming[:2]) == Placed(stored=0, duplicates=2, malformed=0)
    assert [(r.contact, r.due, r.since, r.generation, r.attempts) for r in inbox.listing()] == [
        ("1", START + SETTLE, START, 1, 0), ("2", START + SETTLE, START, 1, 0),
    ]  # fmt: skip


def test_a_later_event_does_not_prolong_the_settling_and_grows_the_generation(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    inbox.counts()
    clock.move(SECOND)
    accept(inbox, "1")
    waits = row(inbox)
    assert waits is not None
    assert (waits.due, waits.since, waits.generation) == (START + SETTLE, START, 2)


def test_events_that_come_before_anybody_looks_count_as_one_reason(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SECOND)
    accept(inbox, "1")
    waits = row(inbox)
    assert waits is not None
    assert (waits.due, waits.since, waits.generation) == (START + SETTLE, START, 1)


def test_malformed_events_and_echoes_are_kept_and_nobody_waits_for_them(inbox: Inbox, engine: sa.Engine) -> None:
    incoming = [event(None, "a"), event("1", "b", echo=True), event("2", "c")]
    assert take_in(inbox, incoming) == Placed(stored=2, duplicates=0, malformed=1)
    assert [r.contact for r in inbox.listing()] == ["2"]
    with reading(engine) as connection:
        stored = connection.execute(sa.select(events.c.contact, events.c.malformed)).all()
    why = "objectId: found None; expected a positive whole number"
    assert sorted(map(tuple, stored), key=str) == [("1", None), ("2", None), (None, why)]


def test_nothing_is_stored_when_there_is_nothing(inbox: Inbox) -> None:
    assert take_in(inbox, []) == Placed(stored=0, duplicates=0, malformed=0)
    assert inbox.listing() == ()


def test_a_thousand_events_are_stored_in_one_go(inbox: Inbox) -> None:
    incoming = [event(str(n % 250 + 1), f"k{n}") for n in range(1_000)]
    assert take_in(inbox, incoming).stored == 1_000
    assert len(inbox.listing(limit=1_000)) == 250


def test_the_same_key_in_two_portals_is_two_events(inbox: Inbox) -> None:
    both = [event("1", "a", portal=1), event("1", "a", portal=2)]
    assert take_in(inbox, both).stored == 2


# Storing and placing


def lying_and_placed(engine: sa.Engine) -> list[int]:
    """Count the events in deliveries that lie there, and those that are placed."""
    with reading(engine) as connection:
        lying = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(deliveries.c.number), 0)))
        return [lying or 0, connection.scalar(sa.select(sa.func.count()).select_from(events)) or 0]


def test_what_is_stored_stays_as_it_came_until_somebody_looks(inbox: Inbox, engine: sa.Engine) -> None:
    first = delivery(event("1", "a"), event("2", "b"), event("1", "a"))
    inbox.accept(first, settle_ms=SETTLE)
    inbox.accept(delivery(event("2", "b"), event(None, "c"), event("3", "d")), settle_ms=SETTLE)
    inbox.accept(delivery(event(None, "c")), settle_ms=SETTLE)
    assert lying_and_placed(engine) == [7, 0]
    with reading(engine) as connection:
        assert connection.scalar(sa.select(deliveries.c.body).limit(1)) == first.body
    assert inbox.place() == Placed(stored=3, duplicates=3, malformed=1)
    assert lying_and_placed(engine) == [0, 4]
    assert inbox.place() == Placed()


def test_what_was_placed_is_told_once_it_is_on_disk(engine: sa.Engine, clock: Hands) -> None:
    told: list[tuple[Placed, list[int]]] = []
    inbox = Inbox(engine, clock, told=lambda placed: told.append((placed, lying_and_placed(engine))))
    inbox.accept(delivery(event("1", "a"), event("1", "a"), event(None, "b")), settle_ms=SETTLE)
    assert told == []
    inbox.counts()
    inbox.counts()
    assert told == [(Placed(stored=1, duplicates=1, malformed=1), [0, 2])]


def test_a_delivery_that_nobody_can_read_is_kept_whole_and_keeps_nobody_waiting(inbox: Inbox) -> None:
    inbox.accept(Delivery(body=b"[{", number=1, apps={PORTAL: None}), settle_ms=SETTLE)
    accept(inbox, "1")
    assert inbox.place() == Placed(stored=1, malformed=1)
    assert [one.contact for one in inbox.listing()] == ["1"]


def test_what_a_delivery_may_not_speak_for_is_not_kept(inbox: Inbox, engine: sa.Engine) -> None:
    told = delivery(event("1", "a"), event("2", "b", portal=77))
    inbox.accept(replace(told, apps={PORTAL: None}), settle_ms=SETTLE)
    assert inbox.place() == Placed(stored=1)
    assert [one.portal for one in inbox.listing()] == [PORTAL]
    assert lying_and_placed(engine) == [0, 1]


def test_many_small_and_few_large_deliveries_are_placed_in_small_rounds(engine: sa.Engine, clock: Hands) -> None:
    told: list[Placed] = []
    inbox = Inbox(engine, clock, told=told.append)
    for number in range(400):
        accept(inbox, str(number + 1))
    inbox.accept(delivery(*(event(str(1_000 + one), str(one)) for one in range(700))), settle_ms=SETTLE)
    accept(inbox, "1")
    assert inbox.place() == Placed(stored=1_101)
    assert [one.stored for one in told] == [300, 800, 1]
    assert len(inbox.listing(limit=2_000)) == 1_100


def test_a_duplicate_of_what_was_placed_makes_nobody_wait(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    take_in(inbox, [event("1", "a")])
    clock.move(SETTLE)
    inbox.finish(claim(inbox), settled={"1": None})
    assert take_in(inbox, [event("1", "a")]) == Placed(duplicates=1)
    assert inbox.listing() == ()
    assert lying_and_placed(engine) == [0, 1]


def test_a_contact_waits_since_its_event_came_and_not_since_it_was_placed(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(HOUR)
    waits = row(inbox)
    assert waits is not None
    assert (waits.since, waits.due) == (START, START + SETTLE)


@pytest.mark.parametrize("look", ["counts", "listing", "show", "claim", "retry", "drop"])
def test_every_look_into_the_inbox_places_first(inbox: Inbox, engine: sa.Engine, clock: Hands, look: str) -> None:
    for number in range(8):
        accept(inbox, *(str(number * 100 + at) for at in range(1, 101)))
    assert lying_and_placed(engine) == [800, 0]
    clock.move(MINUTE)
    looks: dict[str, Callable[[], object]] = {
        "counts": inbox.counts,
        "listing": inbox.listing,
        "show": lambda: inbox.show(PORTAL, "1"),
        "claim": lambda: inbox.claim(lease_ms=LEASE),
        "retry": inbox.retry,
        "drop": inbox.drop,
    }
    looks[look]()
    assert lying_and_placed(engine) == [0, 800]


# Handing out


def test_contacts_are_handed_out_once_they_have_settled(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    assert inbox.claim(lease_ms=LEASE) is None
    clock.move(SETTLE)
    found = claim(inbox)
    assert found == Claim(
        token=found.token,
        portal=PORTAL,
        contacts=(
            Waiting(contact="1", generation=1, attempts=1, since=START),
            Waiting(contact="2", generation=1, attempts=1, since=START),
        ),
        taken_at=clock.now,
        until=clock.now + LEASE,
        leaves_more=False,
        is_apart=False,
    )
    assert inbox.claim(lease_ms=LEASE) is None


def test_a_claim_takes_the_longest_due_first_and_no_more_than_its_limit(inbox: Inbox, clock: Hands) -> None:
    for contact in ("3", "1", "2"):
        accept(inbox, contact)
        clock.move(SECOND)
    clock.move(SETTLE)
    assert named(claim(inbox, limit=2)) == ["1", "3"]
    assert named(claim(inbox, limit=2)) == ["2"]


def test_portals_take_turns(inbox: Inbox, clock: Hands) -> None:
    for portal, number in ((1, 5), (2, 2), (3, 1)):
        accept(inbox, *map(str, range(1, number + 1)), portal=portal)
    clock.move(SETTLE)
    assert [claim(inbox, limit=1).portal for _ in range(8)] == [1, 2, 3, 1, 2, 1, 1, 1]


def test_only_the_portals_that_are_asked_for_are_handed_out(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", portal=1)
    accept(inbox, "2", portal=2)
    clock.move(SETTLE)
    assert inbox.claim(lease_ms=LEASE, portals=[3]) is None
    assert inbox.claim(lease_ms=LEASE, portals=[]) is None
    found = inbox.claim(lease_ms=LEASE, portals=[2, 3])
    assert found is not None
    assert found.portal == 2


def test_a_portal_in_trouble_waits_until_its_time(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    accept(inbox, "1")
    inbox.counts()
    clock.move(SETTLE)
    with writing(engine) as connection:
        connection.execute(sa.update(portals).values(trouble="unauthorised", trouble_until=clock.now + 1))
    assert inbox.claim(lease_ms=LEASE) is None
    clock.move(1)
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_a_claim_whose_lease_is_over_is_handed_out_again(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    first = claim(inbox)
    clock.move(LEASE - 1)
    assert inbox.claim(lease_ms=LEASE) is None
    clock.move(1)
    second = claim(inbox)
    assert [held.attempts for held in second.contacts] == [2]
    with pytest.raises(ClaimLost):
        inbox.renew(first, lease_ms=LEASE)
    with pytest.raises(ClaimLost):
        inbox.finish(first, settled={"1": None})
    inbox.finish(second, settled={"1": None})
    assert inbox.listing() == ()


def test_a_renewed_claim_is_held_for_longer(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    clock.move(LEASE - 1)
    assert inbox.renew(found, lease_ms=LEASE).until == clock.now + LEASE
    clock.move(LEASE - 1)
    assert inbox.claim(lease_ms=LEASE) is None
    inbox.finish(found, settled={"1": None})


def test_a_claim_is_lost_when_one_of_its_contacts_is(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    found = claim(inbox)
    with writing(engine) as connection:
        connection.execute(sa.delete(waiting).where(waiting.c.contact == "1"))
    for lost in (found, replace(found, contacts=found.contacts[:1])):
        with pytest.raises(ClaimLost), writing(engine) as connection:
            inbox.ensure_held(lost, connection)
    with writing(engine) as connection:
        inbox.ensure_held(replace(found, contacts=found.contacts[1:]), connection)
    with pytest.raises(ClaimLost):
        inbox.renew(found, lease_ms=LEASE)
    with pytest.raises(ClaimLost):
        inbox.finish(found, settled={"1": None, "2": None})
    inbox.finish(found, settled={"2": None})


def test_what_kills_its_worker_is_claimed_alone_and_then_given_up(inbox: Inbox, clock: Hands) -> None:
    """The worker dies with it in hand, each time; with the others all goes well. Its name sorts before theirs."""
    accept(inbox, "1", *(f"1{number:03}" for number in range(300)))
    clock.move(SETTLE)
    companions = []
    while not inbox.listing(dead=True):
        found = inbox.claim(lease_ms=LEASE, limit=500)
        if found is not None and named(found)[0] == "1":
            companions.append(len(found.contacts) - 1)
        elif found is not None:
            inbox.finish(found, settled=dict.fromkeys(named(found)))
        else:
            clock.move(LEASE)
    assert companions == [300, 300, 300, 124, 24, 4, 0, 0]
    assert len(inbox.listing()) == 1
    (dead,) = inbox.listing(dead=True)
    assert dead.contact == "1"
    assert dead.last_error is not None
    assert "its worker never came back" in dead.last_error


def test_who_may_be_given_up_soon_is_alone_before(engine: sa.Engine, clock: Hands) -> None:
    inbox = Inbox(engine, clock, last_attempt=2)
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    assert named(claim(inbox)) == ["1", "2"]
    clock.move(LEASE)
    assert [named(claim(inbox)) for _ in range(2)] == [["1"], ["2"]]


def test_with_any_number_of_attempts_the_dead_ones_contacts_pass_on(engine: sa.Engine, clock: Hands) -> None:
    inbox = Inbox(engine, clock, last_attempt=1_000)
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    for _ in range(6):
        assert named(claim(inbox)) == ["1", "2"]
        clock.move(LEASE)
    assert [named(claim(inbox)) for _ in range(2)] == [["1"], ["2"]]


def test_suspects_hold_up_nobody_else(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, *(f"1{number:03}" for number in range(375)))
    clock.move(SETTLE)
    for _ in range(3):
        inbox.claim(lease_ms=LEASE, limit=500)
        clock.move(LEASE)
    accept(inbox, "2")
    clock.move(SETTLE)
    found = [inbox.claim(lease_ms=LEASE, limit=500) for _ in range(4)]
    assert [len(one.contacts) for one in found if one] == [125, 125, 125, 1]


def test_one_by_one_suspects_keep_nobody_waiting_for_more_than_every_other_second(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, *(f"1{number:03}" for number in range(40)))
    clock.move(SETTLE)
    for _ in range(6):
        while inbox.claim(lease_ms=LEASE, limit=500):
            pass
        clock.move(LEASE)
    accept(inbox, *(f"2{number:03}" for number in range(40)))
    clock.move(SETTLE)
    found = []
    for _ in range(4):
        found.append([len(one.contacts) for _ in range(2) if (one := inbox.claim(lease_ms=LEASE, limit=500))])
        clock.move(SECOND)
    assert found == [[1, 1], [40, 1], [1, 1], [1, 1]]


def test_a_claim_tells_whether_it_leaves_more_and_whether_it_holds_suspects(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, *(f"1{number:03}" for number in range(300)))
    clock.move(SETTLE)
    for _ in range(3):
        found = claim(inbox, limit=500)
        assert (found.leaves_more, found.is_apart) == (False, False)
        clock.move(LEASE)
    parts = [claim(inbox, limit=500) for _ in range(3)]
    assert [(len(one.contacts), one.leaves_more, one.is_apart) for one in parts] == [
        (125, True, True), (125, True, True), (50, False, False),
    ]  # fmt: skip
    accept(inbox, "2", "3", "4")
    clock.move(SETTLE)
    assert [claim(inbox, limit=2).leaves_more for _ in range(2)] == [True, False]


# Taking back


def test_a_settled_contact_waits_no_longer(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    inbox.finish(claim(inbox), settled={"1": None, "2": None})
    assert inbox.listing() == ()
    assert inbox.counts() == {}


def test_an_event_during_a_claim_makes_the_contact_wait_again(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    found = claim(inbox)
    clock.move(SECOND)
    accept(inbox, "1")
    assert inbox.claim(lease_ms=LEASE) is None
    inbox.finish(found, settled={"1": None, "2": clock.now + DAY})
    again = claim(inbox)
    assert again.contacts == (Waiting(contact="1", generation=2, attempts=1, since=found.taken_at),)


def test_a_failed_contact_is_tried_again_at_its_time_with_its_attempts(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    inbox.finish(claim(inbox), failed={"1": Failure(error="HubSpot said 502", retry_at=clock.now + MINUTE)})
    assert inbox.claim(lease_ms=LEASE) is None
    waits = row(inbox)
    assert waits is not None
    assert (waits.last_error, waits.attempts, waits.since) == ("HubSpot said 502", 1, START)
    clock.move(MINUTE)
    assert claim(inbox).contacts == (Waiting(contact="1", generation=1, attempts=2, since=START),)


def test_a_contact_that_is_given_up_is_a_dead_letter_until_it_is_retried(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    found = claim(inbox)
    inbox.finish(found, settled={"2": None}, failed={"1": Failure(error="not valid", retry_at=None)})
    clock.move(DAY)
    assert inbox.claim(lease_ms=LEASE) is None
    assert inbox.counts() == {PORTAL: Count(pending=0, oldest_since=None, dead=1, claimed=0)}
    assert inbox.retry() == 1
    assert claim(inbox).contacts == (Waiting(contact="1", generation=2, attempts=1, since=START),)


def test_an_event_brings_a_dead_letter_back_with_all_its_attempts(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    inbox.finish(claim(inbox), failed={"1": Failure(error="not valid", retry_at=None)})
    clock.move(DAY)
    accept(inbox, "1")
    waits = row(inbox)
    assert waits is not None
    assert (waits.dead_at, waits.attempts, waits.due, waits.since) == (None, 0, clock.now + SETTLE, clock.now)


def test_an_event_that_nobody_has_placed_before_the_claim_ends_makes_the_contact_wait_anew(
    inbox: Inbox, clock: Hands
) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    found = claim(inbox)
    accept(inbox, "1", "2")
    inbox.finish(found, settled={"1": None}, failed={"2": Failure(error="not valid", retry_at=None)})
    assert inbox.claim(lease_ms=LEASE) is None
    clock.move(SETTLE)
    since = clock.now - SETTLE
    assert claim(inbox).contacts == (
        Waiting(contact="1", generation=1, attempts=1, since=since),
        Waiting(contact="2", generation=2, attempts=1, since=since),
    )


def test_a_contact_that_got_an_event_meanwhile_is_not_given_up(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    accept(inbox, "1")
    inbox.counts()
    inbox.finish(found, failed={"1": Failure(error="not valid", retry_at=None)})
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]


def test_contacts_named_in_neither_stay_in_the_claim_and_can_be_released(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1", "2")
    clock.move(SETTLE)
    found = claim(inbox)
    inbox.finish(found, settled={"1": None})
    assert inbox.claim(lease_ms=LEASE) is None
    inbox.release(found)
    assert claim(inbox).contacts == (Waiting(contact="2", generation=1, attempts=1, since=START),)


def test_finishing_is_part_of_the_callers_transaction(inbox: Inbox, engine: sa.Engine, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    with pytest.raises(sa.exc.IntegrityError), writing(engine) as connection:  # noqa: PT012 - the block is the point
        inbox.finish(found, connection, settled={"1": None})
        connection.execute(sa.insert(portals), {"portal": PORTAL, "calls": [], "searches": []})
    inbox.finish(found, settled={"1": None})
    assert inbox.listing() == ()


def test_an_empty_finish_changes_nothing(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    inbox.finish(claim(inbox))
    assert inbox.counts()[PORTAL].claimed == 1


# Looking without an event


def test_a_contact_can_be_looked_at_without_an_event(inbox: Inbox, clock: Hands) -> None:
    inbox.look_at(PORTAL, ["1", "2", "1"], due=clock.now)
    assert named(inbox.claim(lease_ms=LEASE)) == ["1", "2"]


def test_looking_later_does_not_make_a_contact_wait_longer(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    inbox.look_at(PORTAL, ["1"], due=clock.now + DAY)
    waits = row(inbox)
    assert waits is not None
    assert (waits.due, waits.since) == (START + SETTLE, START)


def test_a_look_that_is_asked_for_during_a_claim_is_not_lost(inbox: Inbox, clock: Hands) -> None:
    accept(inbox, "1")
    clock.move(SETTLE)
    found = claim(inbox)
    inbox.look_at(PORTAL, ["1"], due=clock.now)
    inbox.finish(found, settled={"1": None})
    assert named(inbox.claim(lease_ms=LEASE)) == ["1"]
