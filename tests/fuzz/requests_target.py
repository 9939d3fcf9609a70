"""What anybody may send to the receiver: bodies, headers, signatures, whole requests."""

import base64
import contextlib
import functools
import gzip
import hashlib
import hmac
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from flask.testing import FlaskClient

from connector.delivery import events_of
from connector.events import BodyUnreadable, read_elements, read_events
from connector.receiver import create_app
from connector.webhook import PortalKey, Verdict, sift, verify
from tests.fuzz.mutations import spoil_bytes, spoil_tree, strange
from tests.receivers import PORTAL, SECRET, URL, change, make_parts, packed, signed

NOW = 1_790_000_000_000
KEY = PortalKey(portal=PORTAL, secrets=(SECRET,), webhook_url=URL, allow_v1=True, app_id=7001)
V3, STAMP, V1 = "X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp", "X-HubSpot-Signature"
ANSWERS = {204, 400, 401, 413}

BODIES: tuple[list[dict[str, Any]], ...] = (
    [change(1)],
    [change(1), change(2, subscriptionType="contact.creation"), change(3, subscriptionType="contact.deletion")],
    [change(1, subscriptionType="contact.merge", primaryObjectId=1, mergedObjectIds=[2, 3], newObjectId=4)],
    [change(1, subscriptionType="contact.associationChange", associationType="CONTACT_TO_COMPANY", fromObjectId=1,
            toObjectId=9, associationRemoved=False)],
    [change(1, subscriptionType="object.propertyChange", objectTypeId="0-1")],
    [change(1, subscriptionType="object.merge", objectTypeId="0-1", primaryObjectId=1, mergedObjectIds=[2])],
    [change(1, subscriptionType="contact.privacyDeletion"), change(2, changeSource="INTEGRATION", sourceId="7001")],
    [change(1, subscriptionType="deal.propertyChange"), change(2, portalId=999), change(3, subscriptionType="x.y")],
    [],
)  # fmt: skip
RAW = tuple(packed(*body) for body in BODIES)


def a_body(rng: random.Random) -> bytes:
    """Make a body, real or spoilt."""
    match rng.randrange(10):
        case 0:
            return rng.choice(RAW)
        case 1:
            return rng.randbytes(rng.randrange(60))
        case 2 | 3 | 4:
            return spoil_bytes(rng, rng.choice(RAW), RAW)
        case 5:
            return orjson.dumps(strange(rng))
        case 6:
            return gzip.compress(rng.choice(RAW), 1)
        case _:
            return orjson.dumps(spoil_tree(rng, rng.choice(BODIES)))


def read_a_body(rng: random.Random) -> str:
    """Read a body as events and sift them."""
    raw = a_body(rng)
    try:
        elements, events = read_elements(raw), read_events(raw)
    except BodyUnreadable:
        return "refused as no array of objects"
    for event in events:
        assert event.malformed is None or 0 < len(event.malformed) <= 200
        assert event.contact is None or (event.malformed is None and event.contact.isdigit())
        orjson.loads(event.body)
    delivery = sift(elements, raw, verdict=Verdict(portals=frozenset({PORTAL})), keys=[KEY]).delivery
    assert all(event.portal in (PORTAL, 0) for event in (events_of(delivery) if delivery else ()))
    malformed = any(event.malformed for event in events)
    return "read, some events malformed" if malformed else "read"


def a_signature(rng: random.Random, body: bytes) -> list[tuple[Any, Any]]:
    """Make headers as HubSpot does, or nearly."""
    headers = signed(body, at=NOW)
    headers.pop("Content-Type")
    headers[V1] = hashlib.sha256(SECRET.encode() + body).hexdigest()
    headers["X-HubSpot-Signature-Version"] = "v1"
    pairs: list[tuple[Any, Any]] = list(headers.items())
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        if not pairs:
            break
        at = rng.randrange(len(pairs))
        name, value = pairs[at]
        match rng.randrange(6):
            case 0:
                del pairs[at]
            case 1:
                pairs.append((name, value))
            case 2:
                pairs[at] = (str(name).upper(), value)
            case 3:
                others = ("", " ", f" {value}", f"{value} ", "é", "x" * 9_000, "0" * 400, str(NOW))
                pairs[at] = (name, rng.choice(others))
            case _:
                spoilt = spoil_bytes(rng, str(value).encode("utf-8", "replace"))
                pairs[at] = (name, spoilt.decode("latin-1").translate({10: None, 13: None, 0: None}))
    rng.shuffle(pairs)
    return pairs


def verify_a_signature(rng: random.Random) -> str:
    """Verify headers; only what was signed as a whole may be believed."""
    body = a_body(rng)
    pairs = a_signature(rng, body)
    sent = body if rng.random() < 0.8 else spoil_bytes(rng, body)
    verdict = verify(pairs, sent, method="POST", keys=[KEY], now=NOW + rng.choice((0, 0, 1, -300_001, 300_001, 10**15)))
    if verdict.refusal is not None:
        return f"refused: {verdict.refusal}"
    given = [str(value).encode("latin-1", "replace") for _, value in pairs]
    digests = {V3: hmac.digest(SECRET.encode(), b"POST" + URL.encode() + sent + str(NOW).encode(), "sha256")}
    v1 = hashlib.sha256(SECRET.encode() + sent).hexdigest().encode()
    assert base64.b64encode(digests[V3]) in given or v1 in given, "believed without a signature"
    return "believed"


@contextlib.contextmanager
def receiver() -> Iterator[Callable[[random.Random], str]]:
    """Make a receiver with a database of its own and give what sends one request to it."""
    with tempfile.TemporaryDirectory(prefix="stagekeeper-fuzz-") as folder:
        parts = make_parts(Path(folder) / "fuzz.db", clock=lambda: NOW)
        client = create_app(replace(parts, ops_token="token-of-nobody")).test_client()
        yield functools.partial(_send, client)
        parts.inbox._engine.dispose()


def _send(client: FlaskClient, rng: random.Random) -> str:
    body = a_body(rng)
    headers = [*signed(body, at=NOW).items()] if rng.random() < 0.5 else a_signature(rng, body)
    headers += [_another(rng) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    path, method = "/webhooks/hubspot", "POST"
    if rng.random() < 0.1:
        path = spoil_bytes(rng, path.encode()).decode("latin-1").translate({0: None})[:2_000] or "/"
        method = rng.choice(("POST", "GET", "PUT", "HEAD", "OPTIONS", "PATCH", "BREW"))
    if not path.startswith("/") or path.startswith("//"):
        path = f"/{path.strip('/')}"
    answer = client.open(path, method=method, data=body, headers=headers)
    usual = ANSWERS if (path, method) == ("/webhooks/hubspot", "POST") else ANSWERS | {200, 308, 404, 405}
    assert answer.status_code in usual, answer.status_code
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return str(answer.status_code)


def _another(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(("Content-Encoding", "X-Forwarded-For", "Host", "Authorization", "Cookie", "Expect", "X-Odd",
                       "Content-Type", "Range", "If-None-Match", "X-HTTP-Method-Override"))  # fmt: skip
    value = rng.choice(("gzip", "127.0.0.1", "evil.example", "Basic !!!", "a=b; a=b", "100-continue", "é", "",
                        "multipart/form-data; boundary=", "bytes=0-", "x" * 8_000, "Bearer \xff"))  # fmt: skip
    return name, value
