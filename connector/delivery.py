"""A request of HubSpot's whose signature was proven: a hundred events at most, kept as it came until they are placed.

HubSpot waits for its answer while it is stored, so nothing is read of it then but what decides whether it may be kept.
Reading its events is pure and gives the same whenever, and wherever, it is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from connector.errors import StagekeeperError
from connector.events import KNOWN_TYPES, Event, key_of, read_events

_FAULTS = (StagekeeperError, ValueError, TypeError, LookupError, RecursionError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What is kept of a request."""

    body: bytes
    """A JSON array of objects."""
    number: int
    """Of the events in it, as HubSpot counts them."""
    apps: Mapping[int, str | None]
    """The portals that it speaks for, each with the id of our own app there, where that is known."""
    nameless: int = 0
    """The portal of the events that name none; 0: it could be any."""


def events_of(delivery: Delivery) -> list[Event]:
    """Read the events that are kept: malformed, or about a contact of a portal that the delivery may speak for.

    What cannot be read at all, which would be a fault of ours, is kept whole as a malformed event: it must not keep
    those that came after it from being placed.
    """
    try:
        found = read_events(delivery.body)
    except _FAULTS as error:
        return [_unreadable(delivery, error)]
    return [_told(event, delivery) for event in found if is_kept(event, delivery.apps)]


def is_kept(event: Event, portals: Mapping[int, object]) -> bool:
    """Ask whether an event says something about a contact of these portals, or is kept because nobody knows."""
    if event.portal is None:
        return True  # malformed, always
    if event.portal not in portals:
        return False
    return event.malformed is not None or (event.contact is not None and event.type in KNOWN_TYPES)


def _told(event: Event, delivery: Delivery) -> Event:
    if event.portal is None:
        return event._replace(portal=delivery.nameless)
    is_ours = event.app is not None and event.app == delivery.apps[event.portal]
    return event._replace(echo=True) if is_ours else event


def _unreadable(delivery: Delivery, error: Exception) -> Event:
    portal = delivery.nameless or next(iter(delivery.apps), 0)
    text = delivery.body.decode("utf-8", "replace")
    return Event(
        portal, "unknown", None, key_of([text], None), None, orjson.dumps(text).decode(), f"body: {error}"[:200]
    )
