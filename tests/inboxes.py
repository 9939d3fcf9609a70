"""What tests of the inbox share: a clock that stands still, events, claims."""

import random

from connector.events import Event
from connector.inbox import Claim, Inbox
from connector.moments import MINUTE, SECOND
from connector.waitinglist import WaitingRow

PORTAL = 4242
LEASE = MINUTE
SETTLE = 2 * SECOND
START = 1_790_000_000_000


class Hands:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def move(self, by: int) -> int:
        self.now += by
        return self.now


def event(
    contact: str | None = "1",
    key: str = "a",
    *,
    portal: int = PORTAL,
    malformed: str | None = None,
    echo: bool = False,
    body: str = '{"a":1}',
) -> Event:
    return Event(
        portal=portal, type="contact.propertyChange", contact=contact, key=key, occurred_at=START, body=body,
        malformed=malformed, echo=echo,
    )  # fmt: skip


def accept(inbox: Inbox, *contacts: str, portal: int = PORTAL) -> None:
    inbox.accept([event(c, key=f"{c}{random.random()}", portal=portal) for c in contacts], settle_ms=SETTLE)


def claim(inbox: Inbox, *, limit: int = 100) -> Claim:
    found = inbox.claim(lease_ms=LEASE, limit=limit)
    assert found is not None
    return found


def named(found: Claim | None) -> list[str]:
    return [] if found is None else sorted(held.contact for held in found.contacts)


def row(inbox: Inbox, contact: str = "1") -> WaitingRow | None:
    return inbox.show(PORTAL, contact).waiting
