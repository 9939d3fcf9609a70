"""The claims in one worker's hands: a second one only beside a backlog that goes well, and nothing beside suspects."""

import threading

import pytest

from connector.hands import Hands
from connector.inbox import Claim, Waiting

PORTAL, OTHER = 4242, 4243


class Hour:
    now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def hour() -> Hour:
    return Hour()


@pytest.fixture
def hands(hour: Hour) -> Hands:
    return Hands([PORTAL, OTHER], most=2, clock=hour)


def claim(token: str, *, leaves_more: bool = False, is_apart: bool = False) -> Claim:
    held = Waiting(contact="1", generation=1, attempts=1, since=0)
    return Claim(
        token=token, portal=PORTAL, contacts=(held,), taken_at=0, until=1, leaves_more=leaves_more, is_apart=is_apart
    )


def begin_well(hands: Hands) -> None:
    first = claim("first")
    hands.take(first)
    hands.put_down(first, went_well=True)


@pytest.mark.parametrize(
    ("second", "is_free"),
    [
        (claim("second"), False),
        (claim("second", leaves_more=True), True),
        (claim("second", leaves_more=True, is_apart=True), False),
    ],
)
def test_another_claim_is_taken_beside_one_only_where_there_is_more_and_it_holds_no_suspects(
    hands: Hands, second: Claim, is_free: bool
) -> None:
    begin_well(hands)
    hands.take(second)
    assert (PORTAL in hands.free()) is is_free
    assert OTHER in hands.free()


def test_a_portal_that_does_not_go_well_gets_one_claim_at_a_time(hands: Hands) -> None:
    begin_well(hands)
    failing, beside = claim("failing", leaves_more=True), claim("beside", leaves_more=True)
    hands.take(failing)
    hands.take(beside)
    hands.put_down(failing, went_well=False)
    assert PORTAL not in hands.free()
    hands.put_down(beside, went_well=False)
    assert PORTAL in hands.free()


def test_no_more_claims_are_taken_than_are_allowed_at_once(hands: Hands) -> None:
    begin_well(hands)
    for token in ("a", "b"):
        assert PORTAL in hands.free()
        hands.take(claim(token, leaves_more=True))
    assert PORTAL not in hands.free()


def test_a_portal_rests_as_long_as_it_is_told_to(hands: Hands, hour: Hour) -> None:
    found = claim("a")
    hands.take(found)
    hands.put_down(found, went_well=True, rest_ms=500)
    hour.now += 499
    assert PORTAL not in hands.free()
    hour.now += 1
    assert PORTAL in hands.free()


def test_beside_suspects_nothing_is_claimed_until_they_are_put_down(hands: Hands) -> None:
    suspects = claim("suspects", is_apart=True)
    assert hands.reach_out(PORTAL, lambda: suspects) is suspects
    assert hands.are_tied(PORTAL)
    assert not hands.are_tied(OTHER)
    assert hands.reach_out(PORTAL, lambda: pytest.fail("it was asked for another claim")) is None
    hands.put_down(suspects, went_well=True)
    assert hands.reach_out(PORTAL, lambda: None) is None
    assert hands.held() == ()


def test_of_many_that_reach_out_at_once_one_comes_to_hold_suspects(hands: Hands) -> None:
    together = threading.Barrier(8)
    asked: list[str] = []

    def reach_out() -> None:
        together.wait(10)
        token = threading.current_thread().name
        hands.reach_out(PORTAL, lambda: (asked.append(token), claim(token, is_apart=True))[1])

    threads = [threading.Thread(target=reach_out) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [one.token for one in hands.held()] == asked
    assert len(asked) == 1
