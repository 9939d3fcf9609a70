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

from connector.events import KNOWN_TYPES, BodyUnreadable, Event, read_events
from connector.moments import MINUTE

__all__ = [
    "BodyUnreadable", "Event", "PortalKey", "Sifted", "Verdict", "read_events", "sift", "verify",
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
    """The events of a proven request that are kept; all counted by (portal, type), the rest by why they are left."""

    kept: Sequence[Event]
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


def sift(events: Iterable[Event], *, verdict: Verdict, keys: Sequence[PortalKey]) -> Sifted:
    """Pick the events to keep: malformed, or about a contact of a portal whose own secret signed them."""
    apps = {key.portal: None if key.app_id is None else str(key.app_id) for key in keys}
    # Without a choice, what names no portal belongs to the one whose secret signed it, else to none.
    only = next(iter(verdict.portals)) if len(verdict.portals) == 1 else 0
    kept: list[Event] = []
    rejected: Counter[str] = Counter()
    received: Counter[tuple[int | None, str]] = Counter()
    sure = verdict.portals & apps.keys()
    for event in events:
        portal = event.portal
        if portal in sure and event.contact is not None and event.type in KNOWN_TYPES:  # nearly all
            received[portal, event.type] += 1
            echo = event.app is not None and event.app == apps[portal]
            kept.append(event._replace(echo=True) if echo else event)
            continue
        reason = _reason_to_leave(event, verdict=verdict, configured=apps)
        if reason != "portal_mismatch":
            received[event.portal, event.type] += 1
        if reason is not None:
            rejected[reason] += 1
        elif event.portal is None:
            kept.append(event._replace(portal=only))
        elif event.malformed is not None:
            kept.append(event)
    return Sifted(kept=kept, received=_labelled(received, apps), rejected=rejected)


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
