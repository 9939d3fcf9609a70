"""What tests of the receiver share: its parts, and requests signed as HubSpot signs them."""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from connector.inbox import Inbox
from connector.moments import Clock, system_clock
from connector.receiver import Check, ReceiverParts
from connector.store.engine import open_database
from connector.telemetry import build_metrics, render_metrics
from connector.webhook import PortalKey
from tests.databases import database_url

SECRET = "client-secret-of-portal-4242"
OTHER_SECRET = "client-secret-of-portal-5353"
URL = "https://hooks.example.com/webhooks/hubspot"
PORTAL = 4242
OTHER = 5353


def make_parts(
    database: Path,
    *,
    clock: Clock = system_clock,
    ops_token: str | None = None,
    checks: Mapping[str, Callable[[], Check]] | None = None,
    allow_v1: bool = False,
    busy_timeout_ms: int = 100,
) -> ReceiverParts:
    """Make the parts of a receiver of two portals with a secret each."""
    metrics = build_metrics()
    engine = open_database(database_url(database), busy_timeout_ms=busy_timeout_ms)
    inbox = Inbox(engine, clock, told=metrics.count_placed)
    first = PortalKey(portal=PORTAL, secrets=(SECRET,), webhook_url=URL, allow_v1=allow_v1, app_id=7001)
    return ReceiverParts(
        keys=(first, replace(first, portal=OTHER, secrets=(OTHER_SECRET,))),
        inbox=inbox,
        settle_ms=2_000,
        clock=clock,
        metrics=metrics,
        render_metrics=lambda: render_metrics(metrics, inbox.state),
        checks=checks if checks is not None else {"database": lambda: Check(ok=True)},
        ops_token=ops_token,
    )


def change(contact: object = 1, **fields: object) -> dict[str, object]:
    """Make an event."""
    return {
        "eventId": 1, "subscriptionId": 2, "portalId": PORTAL, "appId": 7001, "occurredAt": 1_790_000_000_000,
        "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": contact,
        "propertyName": "sk_intent", "propertyValue": "interested", "changeSource": "CRM_UI", **fields,
    }  # fmt: skip


def packed(*events: object) -> bytes:
    """Make a body."""
    return orjson.dumps(events)


def signed(body: bytes, *, at: int | None = None, secret: str = SECRET) -> dict[str, str]:
    """Make the headers of a v3 signature."""
    stamp = str(system_clock() if at is None else at)
    digest = hmac.digest(secret.encode(), b"POST" + URL.encode() + body + stamp.encode(), "sha256")
    return {
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": stamp,
        "Content-Type": "application/json",
    }
