"""The claims that one worker process has in hand, by portal: how many more of a portal it may take, and when.

A portal gets a second claim beside the first only while it has a backlog and goes well. So little work is gathered into
few calls, a backlog uses the whole call budget, a portal in trouble is tried by one claim at a time, and one whose
calls hang holds up nobody but itself. Suspects of killing workers are alone in hand, so that they kill nobody else's.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from connector.inbox import Claim
from connector.moments import Clock


@dataclass(slots=True)
class _Hand:
    """What one portal has in hand."""

    claims: list[Claim] = field(default_factory=list)
    reaching_out: threading.Lock = field(default_factory=threading.Lock)
    has_backlog: bool = False
    """The latest claim left more behind."""
    goes_well: bool = False
    rests_until: int = 0


class Hands:
    """Keeps the claims in hand; thread-safe."""

    def __init__(self, portals: Iterable[int], *, most: int, clock: Clock) -> None:
        self._hands = {portal: _Hand() for portal in portals}
        self._most = most
        self._clock = clock
        self._changed = threading.Condition()

    def free(self) -> frozenset[int]:
        """Name the portals of which another claim may be taken now."""
        now = self._clock()
        with self._changed:
            return frozenset(portal for portal, hand in self._hands.items() if self._is_free(hand, now))

    def take(self, claim: Claim) -> None:
        """Take a claim in hand."""
        with self._changed:
            hand = self._hands[claim.portal]
            hand.claims.append(claim)
            hand.has_backlog = claim.leaves_more

    def reach_out(self, portal: int, claim: Callable[[], Claim | None]) -> Claim | None:
        """Claim something of a portal and take it in hand, unless suspects are in hand already; one at a time."""
        with self._hands[portal].reaching_out:
            if self.are_tied(portal) or (found := claim()) is None:
                return None
            self.take(found)
            return found

    def are_tied(self, portal: int) -> bool:
        """Ask whether suspects are in hand: whoever has them takes no other claim of their portal."""
        with self._changed:
            return _are_tied(self._hands[portal])

    def goes_well(self, portal: int) -> bool:
        """Ask whether the latest claim of a portal that was put down went well."""
        with self._changed:
            return self._hands[portal].goes_well

    def put_down(self, claim: Claim, *, went_well: bool, rest_ms: int = 0) -> None:
        """Let go of a claim that is worked off; the portal may be given a rest, for more to gather."""
        with self._changed:
            hand = self._hands[claim.portal]
            hand.claims.remove(claim)
            hand.goes_well = went_well
            hand.rests_until = self._clock() + rest_ms
            self._changed.notify_all()

    def held(self) -> tuple[Claim, ...]:
        """List the claims in hand."""
        with self._changed:
            return tuple(claim for hand in self._hands.values() for claim in hand.claims)

    def wait(self, seconds: float) -> None:
        """Wait until a claim is put down, but no longer than that."""
        with self._changed:
            self._changed.wait(seconds)

    def wait_until_empty(self, seconds: float) -> bool:
        """Wait until nothing is in hand; tell whether it came to that in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(hand.claims for hand in self._hands.values()), seconds)

    def _is_free(self, hand: _Hand, now: int) -> bool:
        if not hand.claims:
            return hand.rests_until <= now
        return len(hand.claims) < self._most and hand.has_backlog and hand.goes_well and not _are_tied(hand)


def _are_tied(hand: _Hand) -> bool:
    return any(claim.is_apart for claim in hand.claims)
