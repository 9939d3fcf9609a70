"""An event says "look at this contact", nothing more; this is how the body of a request is read as events.

Values in events are late, unordered, doubled and differently spelled, so only who is concerned is read. An event that
cannot be understood is kept with the reason and does no harm to its neighbours. https://developers.hubspot.com/docs/api/webhooks
"""

import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from connector.errors import StagekeeperError

_CHANGES = ("creation", "deletion", "merge", "propertyChange", "restore", "associationChange")
KNOWN_TYPES = frozenset(f"{name}.{change}" for name in ("contact", "company", "deal") for change in _CHANGES) | {
    "contact.privacyDeletion"
}
"""The types that can say something about a contact; all others of HubSpot's are counted and left."""

ABOUT_ONE = KNOWN_TYPES & {f"contact.{name}" for name in (*_CHANGES, "privacyDeletion")} - {
    "contact.merge", "contact.associationChange",
}  # fmt: skip
"""Those of them that are about one contact, which stands in `objectId`."""

_CONTACT = "0-1"
_NAMES = {_CONTACT: "contact", "0-2": "company", "0-3": "deal"}  # objectTypeId of the generic `object.*` types

# What makes two deliveries the same change, besides the fields of every change. Never attemptNumber, which grows with
# every delivery; never subscriptionId, because two overlapping subscriptions tell one change twice; never eventId
# alone, because it is not unique.
_ASSOCIATION = ("fromObjectId", "toObjectId", "associationType", "associationRemoved")
_MERGE = ("primaryObjectId", "mergedObjectIds", "newObjectId")
_NOT_THE_CHANGE = frozenset({"attemptNumber", "subscriptionId"})

_ID = re.compile(r"[1-9][0-9]{0,18}")
_LARGEST = 2**63 - 1
_LATEST = 10**15  # some thirty thousand years from now: a time beyond is none

MERGE = "contact.merge"
Element = dict[str, object]
"""An event as HubSpot spells it."""


class BodyUnreadable(StagekeeperError):
    """The body is not a JSON array of objects."""

    code = "body-unreadable"


class Event(NamedTuple):
    """What HubSpot said, as far as it matters: that something about a contact has changed.

    A tuple and no dataclass, because a burst makes ten thousand of them a second.
    """

    portal: int | None
    """None when the event names no portal that could exist; such an event is always malformed."""
    type: str
    """`contact.*` also for the generic `object.*` of a contact, so that the two coalesce."""
    contact: str | None
    key: str
    """The same for every delivery of one change; begins with its time, so that an index of keys grows at one end."""
    occurred_at: int | None
    body: str
    """As HubSpot sent it: JSON."""
    malformed: str | None = None
    app: str | None = None
    """The app that changed the property, when it was one; https://developers.hubspot.com/docs/api/webhooks."""
    echo: bool = False
    """Our own write come back: kept, but no reason to look again."""


class _Malformed(ValueError):
    """Says why an event cannot be understood."""


def read_events(raw_body: bytes) -> list[Event]:
    """Read the body or raise BodyUnreadable; one HubSpot event becomes an event for each contact that it is about."""
    events: list[Event] = []
    for element in read_elements(raw_body):
        plain = _read_plain(element)
        if plain is None:
            events += read_element(element)
        else:
            events.append(plain)
    return events


def read_elements(raw_body: bytes) -> list[Element]:
    """Read the body as what it must be, an array of objects, or raise BodyUnreadable."""
    try:
        elements = orjson.loads(raw_body)
    except orjson.JSONDecodeError as error:
        try:
            elements = _read_odd(raw_body)
        except (ValueError, RecursionError):
            raise BodyUnreadable(f"body: {error}; expected a JSON array of objects") from error
    if not isinstance(elements, list):
        raise BodyUnreadable(f"body: found {_shown(elements)}; expected a JSON array of objects")
    for index, element in enumerate(elements):
        if not isinstance(element, dict):
            raise BodyUnreadable(f"body: element {index} is {_shown(element)}; expected an object")
    return elements


def _read_odd(raw_body: bytes) -> object:
    """Read what JSON allows and orjson does not: half a surrogate pair, a number beyond all bounds; raises ValueError.

    A value that was cut in the middle of an emoji must not cost its neighbours their delivery.
    """
    return _whole(json.loads(raw_body.decode(), parse_constant=_refuse, parse_int=_read_number))


def _refuse(name: str) -> object:
    raise ValueError(name)


def _read_number(text: str) -> int | float:
    return int(text) if len(text) <= len(str(_LARGEST)) else float(text)


def _whole(value: object) -> object:
    """Put a question mark where half a surrogate pair stands, which no database keeps."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return {_whole(name): _whole(item) for name, item in value.items()} if isinstance(value, dict) else value


def _read_plain(body: dict[str, object]) -> Event | None:
    """Read an event about one contact that is spelled as HubSpot spells it, which nearly all are; None for any other.

    It gives just what `read_element` gives, in half the time: a burst brings ten thousand a second.
    """
    get = body.get
    kind, portal, contact, occurred_at = get("subscriptionType"), get("portalId"), get("objectId"), get("occurredAt")
    if type(kind) is not str or kind not in ABOUT_ONE or type(portal) is not int or type(contact) is not int:
        return None
    if type(occurred_at) is not int or not (0 < portal <= _LARGEST and 0 < contact <= _LARGEST):
        return None
    number = str(contact)
    change = (portal, kind, number, get("propertyName"), get("propertyValue"), occurred_at, get("eventId"))
    try:
        text, key = orjson.dumps(body).decode(), key_of(change, occurred_at)
    except orjson.JSONEncodeError:
        return None
    app = str(get("sourceId")) if get("changeSource") == "INTEGRATION" and kind == "contact.propertyChange" else None
    return Event(portal, kind, number, key, occurred_at, text, None, app) if 0 < occurred_at < _LATEST else None


def read_element(body: Mapping[str, object]) -> Sequence[Event]:
    """Read one event of HubSpot's, however it is spelled; what cannot be understood becomes one with the reason."""
    portal = read_id(body.get("portalId"))
    kind = "unknown"
    try:
        text = orjson.dumps(body).decode()  # it reads deeper nesting than it writes
        kind = _read_type(body)
        if portal is None:
            raise _Malformed(_expected_id("portalId", body.get("portalId")))
        contacts = _read_contacts(kind, body) or (None,)
    except _Malformed as problem:
        return [_malformed(body, portal=portal, kind=kind, reason=str(problem))]
    except orjson.JSONEncodeError:
        flat = {name: value for name, value in body.items() if not isinstance(value, dict | list)}
        return [_malformed(flat, portal=portal, kind=kind, reason="body: nested too deeply; expected plain values")]
    occurred_at = _read_moment(body.get("occurredAt"))
    app = _read_app(kind, body)
    number = int(portal)
    keys = [key_of(_change(body, number, kind, contact), occurred_at) for contact in contacts]
    return [
        Event(number, kind, contact, key, occurred_at, text, None, app)
        for contact, key in zip(contacts, keys, strict=True)
    ]


def _malformed(body: Mapping[str, object], *, portal: str | None, kind: str, reason: str) -> Event:
    occurred_at = _read_moment(body.get("occurredAt"))
    change = sorted((name, value) for name, value in body.items() if name not in _NOT_THE_CHANGE)
    return Event(
        portal=None if portal is None else int(portal),
        type=kind if kind in KNOWN_TYPES else "unknown",
        contact=None,
        key=key_of(change, occurred_at),
        occurred_at=occurred_at,
        body=orjson.dumps(body).decode(),
        malformed=reason[:200],
    )


def _change(body: Mapping[str, object], portal: int, kind: str, contact: str | None) -> list[object]:
    get = body.get
    change = [portal, kind, contact, get("propertyName"), get("propertyValue"), get("occurredAt"), get("eventId")]
    if kind in ABOUT_ONE:
        return change
    if kind.endswith("associationChange"):
        change += map(get, _ASSOCIATION)
    elif kind.endswith("merge"):
        change += map(get, _MERGE)
    return change


def key_of(change: Sequence[object], occurred_at: int | None) -> str:
    """Name a change, the same for every delivery of it; a portal's names are in order of their time."""
    # A digest alone would touch a page of the index for every event; in order of time a batch touches a few, and the
    # shorter the keys, the fewer.
    digest = hashlib.blake2b(orjson.dumps(change), digest_size=12).digest()
    return f"{occurred_at or 0:012x}{binascii.b2a_base64(digest, newline=False).decode()}"


def _read_app(kind: str, body: Mapping[str, object]) -> str | None:
    if kind != "contact.propertyChange" or body.get("changeSource") != "INTEGRATION":
        return None
    return str(body.get("sourceId"))


def _read_type(body: Mapping[str, object]) -> str:
    # HubSpot's own table says `eventType`; every real delivery says `subscriptionType`.
    name = body.get("subscriptionType") or body.get("eventType")
    if not isinstance(name, str) or len(name) > 70:
        raise _Malformed(f"subscriptionType: found {_shown(name)}; expected a name such as contact.propertyChange")
    if name in ABOUT_ONE:
        return name
    subject, dot, change = name.partition(".")
    if subject == "object":
        number = body.get("objectTypeId") or body.get("fromObjectTypeId")
        known = _NAMES.get(number) if isinstance(number, str) else None
        return f"{known}.{change}" if known and dot else name
    return name


def _read_contacts(kind: str, body: Mapping[str, object]) -> tuple[str, ...]:
    """Name the contacts that an event concerns; none for a change of a company or a deal itself."""
    if kind in ABOUT_ONE:
        return _ids("objectId", (body.get("objectId"),))
    if kind not in KNOWN_TYPES:
        return ()
    subject, _, change = kind.partition(".")
    if change == "associationChange":
        return _read_sides(subject, body)
    if subject != "contact":
        return ()
    merged = body.get("mergedObjectIds")
    others = merged if isinstance(merged, list) else [merged]
    return _ids("newObjectId", [body.get("newObjectId"), body.get("primaryObjectId"), *others])


def survivor_in(body: Mapping[str, object]) -> str | None:
    """Name what the contacts of a merge became, by the event's word."""
    return read_id(body.get("newObjectId")) or read_id(body.get("primaryObjectId"))


def merged_in(body: Mapping[str, object]) -> frozenset[str]:
    """Name every contact that a merge concerns."""
    return frozenset(_read_contacts(MERGE, body))


def _read_sides(subject: str, body: Mapping[str, object]) -> tuple[str, ...]:
    """Name the contact on either side of an association; classic types name the sides, generic ones number them."""
    left, between, right = str(body.get("associationType")).partition("_TO_")
    if not between:
        left, right = (_NAMES.get(str(body.get(name)), "") for name in ("fromObjectTypeId", "toObjectTypeId"))
    fields = [f for f, side in (("fromObjectId", left), ("toObjectId", right)) if side.lower() == "contact"]
    if not fields and subject != "contact":
        return ()
    named = [body.get(name) for name in fields]
    if subject == "contact" and not any(map(read_id, named)):
        named = [body.get("objectId") or body.get("fromObjectId")]
    return _ids(fields[0] if fields else "objectId", named)


def _ids(name: str, values: Sequence[object]) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(filter(None, map(read_id, values))))
    if not ids:
        raise _Malformed(_expected_id(name, values[0]))
    return ids


def read_id(value: object) -> str | None:
    """Read an id, a number in events and text in the API; None when it can be none of HubSpot's."""
    if type(value) is int:  # not isinstance: True is no id
        return str(value) if 0 < value <= _LARGEST else None
    if isinstance(value, str) and _ID.fullmatch(value) and int(value) <= _LARGEST:
        return value
    return None


def _read_moment(value: object) -> int | None:
    moment = value if type(value) is int else int(read_id(value) or 0)
    return moment if 0 < moment < _LATEST else None


def _expected_id(name: str, value: object) -> str:
    return f"{name}: found {_shown(value)}; expected a positive whole number"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:40])
    return repr(value)[:40] if value is None or isinstance(value, int | float) else f"a {type(value).__name__}"
