"""Who sent a request, proven from its bytes, and what may be kept of it. Nothing here touches the world.

A request that nobody's secret signed is refused as a whole. In a proven one every event is taken for the portals alone
whose own secret signed it: whoever owns the secret of one portal cannot write into another.
"""

import base64
import functools
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from connector.delivery import Delivery, is_kept
from connector.events import (
    ABOUT_ONE,
    KNOWN_TYPES,
    BodyUnreadable,
    Element,
    Event,
    read_element,
    read_elements,
    read_id,
)
from connector.moments import MINUTE

__all__ = [
    "BodyUnreadable", "PortalKey", "Sifted", "Verdict", "read_elements", "sift", "verify",
]  # fmt: skip

# https://developers.hubspot.com/docs/api/webhooks/validating-requests; the future is bounded too, HubSpot names none.
_WINDOW = 5 * MINUTE

_SIGNATURE_V3 = "x-hubspot-signature-v3"
_TIMESTAMP = "x-hubspot-request-timestamp"
_SIGNATURE_V1 = "x-hubspot-signature"
_VERSION = "x-hubspot-signature-version"
_HEADERS = frozenset({_SIGNATURE_V3, _TIMESTAMP, _SIGNATURE_V1, _VERSION})
_DIGITS = re.compile(rb"[0-9]{1,16}")

# The twelve sequences that HubSpot decodes before it signs, and no other: a full unquote gives another signature.
_DECODED = r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)"

Headers = Mapping[str, object] | Iterable[tuple[object, object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PortalKey:
    """What proves that a request is about this portal: the secrets of its app and the URL that HubSpot calls."""

    portal: int
    secrets: tuple[str, ...] = field(repr=False)
    webhook_url: str
    """Byte for byte as set in HubSpot; what the request says of itself is never used."""
    allow_v1: bool = False
    app_id: int | None = None
    """Changes that this app made itself come back with this id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The portals whose own secret signed the request; without any, why it is refused."""

    portals: frozenset[int]
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sifted:
    """What is kept of a proven request; its events are counted by (portal, type), those left by why they are."""

    delivery: Delivery | None
    """None: nothing is kept."""
    contacts: frozenset[str]
    """Whom the events that are kept are about."""
    received: Mapping[tuple[str, str], int]
    rejected: Mapping[str, int]


def verify(headers: Headers, raw_body: bytes, *, method: str, keys: Sequence[PortalKey], now: int) -> Verdict:
    """Say whose secret signed this request."""
    found = _pick(headers)
    if _SIGNATURE_V3 in found:
        return _verify_v3(found, method.upper().encode("utf-8", "replace"), raw_body, keys=keys, now=now)
    if _SIGNATURE_V1 in found:
        return _verify_v1(found, raw_body, keys=keys)
    return _refused("signature_missing")


def sift(elements: Sequence[Element], raw_body: bytes, *, verdict: Verdict, keys: Sequence[PortalKey]) -> Sifted:
    """Pick the events to keep: malformed, or about a contact of a portal whose own secret signed them."""
    apps = {key.portal: None if key.app_id is None else str(key.app_id) for key in keys}
    plain = _count_plain(elements, verdict.portals & apps.keys())
    if plain is None:
        return _sift_each(elements, raw_body, verdict=verdict, apps=apps)
    told = {portal: apps[portal] for portal, _ in plain}
    return Sifted(
        delivery=Delivery(body=raw_body, number=len(elements), apps=told, nameless=_nameless(verdict)),
        contacts=_named(elements),
        received={(str(portal), kind): number for (portal, kind), number in plain.items()},
        rejected={},
    )


def _count_plain(elements: Sequence[Element], sure: Collection[int]) -> Mapping[tuple[int, str], int] | None:
    """Count events by portal and type where each is certain to be kept, as nearly always; None where one may not be."""
    getters = [element.get for element in elements]
    try:
        counted = Counter([(get("portalId"), type(get("portalId")), get("subscriptionType")) for get in getters])
    except TypeError:  # a list or an object where a name should be
        return None
    found: dict[tuple[int, str], int] = {}
    for (portal, is_a, kind), number in counted.items():
        if is_a is not int or not isinstance(portal, int) or portal not in sure or kind not in ABOUT_ONE:
            return None
        found[portal, str(kind)] = number
    return found or None


def _named(elements: Iterable[Element]) -> frozenset[str]:
    """Name the contacts that events about one each are about, as `read_element` would."""
    named = {read_id(element.get("objectId")) for element in elements}
    return frozenset(contact for contact in named if contact is not None)


def _sift_each(
    elements: Sequence[Element], raw_body: bytes, *, verdict: Verdict, apps: Mapping[int, str | None]
) -> Sifted:
    sure = {portal: apps[portal] for portal in verdict.portals & apps.keys()}
    kept: list[Element] = []
    told: list[Event] = []
    rejected: Counter[str] = Counter()
    received: Counter[tuple[int | None, str]] = Counter()
    for element in elements:
        for event in read_element(element):
            reason = _reason_to_leave(event, verdict=verdict, configured=apps)
            if reason != "portal_mismatch":
                received[event.portal, event.type] += 1
            if reason is not None:
                rejected[reason] += 1
            elif is_kept(event, sure):
                told.append(event)
                if not kept or kept[-1] is not element:
                    kept.append(element)
    portals = {event.portal for event in told if event.portal is not None}
    delivery = Delivery(
        body=raw_body if len(kept) == len(elements) else _written(kept, raw_body), number=len(kept),
        apps={portal: sure[portal] for portal in portals}, nameless=_nameless(verdict),
    )  # fmt: skip
    return Sifted(
        delivery=delivery if kept else None,
        contacts=frozenset(event.contact for event in told if event.contact is not None),
        received=_labelled(received, apps),
        rejected=rejected,
    )


def _nameless(verdict: Verdict) -> int:
    """Give the portal of what names none: without a choice the one whose secret signed it, else none."""
    return next(iter(verdict.portals)) if len(verdict.portals) == 1 else 0


def _written(kept: Sequence[Element], raw_body: bytes) -> bytes:
    try:
        return orjson.dumps(kept)
    except orjson.JSONEncodeError:  # nested deeper than is written; whoever reads the whole sifts it again
        return raw_body


def _labelled(received: Mapping[tuple[int | None, str], int], known: Collection[int]) -> Mapping[tuple[str, str], int]:
    """Name what was counted by names that we know: a sender must not be able to make metrics without end."""
    labelled: Counter[tuple[str, str]] = Counter()
    for (portal, kind), number in received.items():
        labels = str(portal) if portal in known else "unknown", kind if kind in KNOWN_TYPES else "unknown"
        labelled[labels] += number
    return labelled


def _reason_to_leave(event: Event, *, verdict: Verdict, configured: Collection[int]) -> str | None:
    if event.portal is None:
        return None  # malformed, and kept as such
    if event.portal not in configured:
        return "portal_unknown"
    if event.portal not in verdict.portals:
        return "portal_mismatch"
    return None if event.type in KNOWN_TYPES or event.malformed is not None else "type_unknown"


def _verify_v3(
    found: Mapping[str, bytes], method: bytes, raw_body: bytes, *, keys: Sequence[PortalKey], now: int
) -> Verdict:
    stamp = found.get(_TIMESTAMP)
    if stamp is None:
        return _refused("timestamp_missing")
    if not _DIGITS.fullmatch(stamp):
        return _refused("timestamp_unreadable")
    if abs(now - int(stamp)) > _WINDOW:
        return _refused("timestamp_off")
    # Many portals share the secret of one app, so each pair is tried once.
    pairs = {(secret, key.webhook_url) for key in keys for secret in key.secrets if secret}
    signed = {
        (secret, url)
        for secret, url in pairs
        for spelling in _spellings(url)
        if _is_v3(found[_SIGNATURE_V3], secret, method + spelling + raw_body + stamp)
    }
    proven = frozenset(key.portal for key in keys if any((secret, key.webhook_url) in signed for secret in key.secrets))
    return Verdict(portals=proven) if proven else _refused("signature_wrong")


def _is_v3(signature: bytes, secret: str, source: bytes) -> bool:
    expected = base64.b64encode(hmac.digest(secret.encode(), source, "sha256"))
    return hmac.compare_digest(signature, expected)


def _verify_v1(found: Mapping[str, bytes], raw_body: bytes, *, keys: Sequence[PortalKey]) -> Verdict:
    """Accept the old signature where a portal asks for it; it is bound to no URL and no time, so it can be replayed."""
    willing = [key for key in keys if key.allow_v1]
    if not willing:
        return _refused("v1_refused")
    if found.get(_VERSION, b"").lower() != b"v1":
        return _refused("signature_wrong")
    proven = frozenset(
        key.portal for key in willing if any(_is_v1(found[_SIGNATURE_V1], s, raw_body) for s in key.secrets if s)
    )
    return Verdict(portals=proven) if proven else _refused("signature_wrong")


def _is_v1(signature: bytes, secret: str, raw_body: bytes) -> bool:
    return hmac.compare_digest(signature, hashlib.sha256(secret.encode() + raw_body).hexdigest().encode())


def _refused(code: str) -> Verdict:
    return Verdict(portals=frozenset(), refusal=code)


@functools.lru_cache(maxsize=1_024)
def _spellings(url: str) -> tuple[bytes, ...]:
    """Decode the URL as HubSpot does; whether it decodes lower-case hex is not documented, so both are tried."""
    exact = re.sub(_DECODED, _decode, url)
    lenient = re.sub(_DECODED, _decode, url, flags=re.IGNORECASE)
    return tuple(spelling.encode() for spelling in dict.fromkeys((exact, lenient)))


def _decode(match: re.Match[str]) -> str:
    return chr(int(match[0][1:], 16))


def _pick(headers: Headers) -> dict[str, bytes]:
    """Pick the four headers that matter; one that is repeated is joined as HTTP does and then fits no signature."""
    found: dict[str, bytes] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        lowered = _bytes(name).decode("latin-1").lower()
        if lowered in _HEADERS and value is not None:
            found[lowered] = found[lowered] + b"," + _bytes(value) if lowered in found else _bytes(value)
    return found


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
