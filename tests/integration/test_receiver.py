"""A webhook is answered 204 once it is durable; whatever else happens has one of the contract's answers."""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import flask
import orjson
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from connector.errors import DatabaseUnavailable
from connector.receiver import LARGEST_BODY, Check, ReceiverParts, create_app, gunicorn_options
from tests.databases import driver_url
from tests.receivers import OTHER, OTHER_SECRET, PORTAL, SECRET, change, make_parts, packed, signed

NOW = 1_790_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "stagekeeper.db"


@pytest.fixture
def parts(database: Path) -> Iterator[ReceiverParts]:
    parts = make_parts(database, clock=lambda: NOW)
    yield parts
    parts.inbox._engine.dispose()


@pytest.fixture
def client(parts: ReceiverParts) -> FlaskClient:
    return create_app(parts).test_client()


def post(client: FlaskClient, body: bytes, *, secret: str = SECRET, at: int = NOW) -> int:
    return client.post("/webhooks/hubspot", data=body, headers=signed(body, at=at, secret=secret)).status_code


def waiting(parts: ReceiverParts) -> list[tuple[int, str]]:
    return [(row.portal, row.contact) for row in parts.inbox.listing()]


def metric(client: FlaskClient, name: str) -> dict[str, float]:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    found = [line.rsplit(" ", 1) for line in lines if line.startswith(f"stagekeeper_{name}")]
    return {labels.removeprefix(f"stagekeeper_{name}"): float(value) for labels, value in found}


# The webhook


def test_a_signed_request_is_answered_204_without_a_body_and_its_contacts_wait(
    client: FlaskClient, parts: ReceiverParts
) -> None:
    body = packed(change(1), change(2, subscriptionType="contact.creation"))
    answer = client.post("/webhooks/hubspot", data=body, headers=signed(body, at=NOW))
    assert (answer.status_code, answer.data) == (204, b"")
    assert waiting(parts) == [(PORTAL, "1"), (PORTAL, "2")]


def test_a_redelivery_is_answered_204_and_stored_once(client: FlaskClient, parts: ReceiverParts) -> None:
    for attempt in range(3):
        assert post(client, packed(change(1, attemptNumber=attempt))) == 204
    assert len(parts.inbox.show(PORTAL, "1").events) == 1
    assert metric(client, "events_duplicate_total") == {"": 2.0}


def stored(database: Path) -> list[tuple[str | None, int]]:
    """Give the stored events as a stranger reads them: contact, and whether it is placed; those not placed last."""
    stranger = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with stranger.connect() as connection:
        placed = [(contact, 1) for (contact,) in connection.execute(sa.text("SELECT contact FROM events ORDER BY id"))]
        bodies = connection.execute(sa.text("SELECT body FROM deliveries ORDER BY id"))
        told = [one for (body,) in bodies for one in orjson.loads(body)]
        return [*placed, *((str(one["objectId"]), 0) for one in told)]


def test_duplicates_within_a_request_and_across_two_are_dropped_and_counted_when_they_are_placed(
    client: FlaskClient, database: Path
) -> None:
    assert post(client, packed(change(1), change(2), change(1, attemptNumber=3, subscriptionId=9))) == 204
    assert stored(database) == [("1", 0), ("2", 0), ("1", 0)]
    assert metric(client, "events_duplicate_total") == {"": 1.0}
    assert post(client, packed(change(2), change("x"), change("x"))) == 204
    assert stored(database) == [("1", 1), ("2", 1), ("2", 0), ("x", 0), ("x", 0)]
    assert metric(client, "events_duplicate_total") == {"": 3.0}
    assert stored(database) == [("1", 1), ("2", 1), (None, 1)]
    assert metric(client, "events_rejected_total") == {'{reason="malformed"}': 1.0}
    assert metric(client, "events_received_total") == {'{portal="4242",type="contact.propertyChange"}': 6.0}


def test_duplicates_in_requests_at_the_same_moment_are_dropped_and_counted(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "many.db", clock=lambda: NOW, busy_timeout_ms=20_000)
    app = create_app(parts)
    together = threading.Barrier(8)
    answers: list[int] = []

    def send() -> None:
        together.wait(10)
        answers.append(post(app.test_client(), packed(*(change(contact) for contact in range(1, 101)), change("x"))))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [204] * 8
    assert len(stored(tmp_path / "many.db")) == 8 * 101
    assert metric(app.test_client(), "events_duplicate_total") == {"": 7 * 101.0}
    assert metric(app.test_client(), "events_rejected_total") == {'{reason="malformed"}': 1.0}
    parts.inbox._engine.dispose()


def test_an_empty_array_is_answered_204(client: FlaskClient) -> None:
    assert post(client, b"[]") == 204


@pytest.mark.parametrize("off", [-300_000, 300_000])
def test_a_request_of_five_minutes_ago_or_ahead_is_taken(client: FlaskClient, off: int) -> None:
    assert post(client, packed(change()), at=NOW + off) == 204


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "signature_missing"),
        ({"X-HubSpot-Signature-v3": "x"}, "timestamp_missing"),
        ({"X-HubSpot-Signature-v3": "x", "X-HubSpot-Request-Timestamp": "soon"}, "timestamp_unreadable"),
        ({"X-HubSpot-Signature-v3": "x", "X-HubSpot-Request-Timestamp": str(NOW)}, "signature_wrong"),
        (signed(b"[]", at=NOW - 300_001), "timestamp_off"),
        (signed(b"[]", at=NOW + 300_001), "timestamp_off"),
        ({"X-HubSpot-Signature": "x", "X-HubSpot-Signature-Version": "v1"}, "v1_refused"),
    ],
)
def test_what_is_not_proven_is_answered_401_with_the_reason(
    client: FlaskClient, parts: ReceiverParts, headers: dict[str, str], code: str
) -> None:
    answer = client.post("/webhooks/hubspot", data=b"[]", headers=headers)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, code)
    assert metric(client, "events_rejected_total") == {f'{{reason="{code}"}}': 1.0}
    assert waiting(parts) == []


def test_v1_is_taken_where_the_portal_allows_it(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "v1.db", clock=lambda: NOW, allow_v1=True)
    body = packed(change())
    digest = hashlib.sha256(SECRET.encode() + body).hexdigest()
    headers = {"X-HubSpot-Signature": digest, "X-HubSpot-Signature-Version": "v1"}
    assert create_app(parts).test_client().post("/webhooks/hubspot", data=body, headers=headers).status_code == 204
    assert waiting(parts) == [(PORTAL, "1")]


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b"[1]", b"[null]", b'[{"a":NaN}]', b"\xff", b"[" * 3000])
def test_a_body_that_is_no_array_of_objects_is_answered_400(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/webhooks/hubspot", data=body, headers=signed(body, at=NOW))
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "body-unreadable")


def test_a_body_is_not_read_before_it_is_proven(client: FlaskClient) -> None:
    assert client.post("/webhooks/hubspot", data=b"nonsense").status_code == 401


def test_a_malformed_event_is_kept_with_the_reason_and_its_neighbours_wait(
    client: FlaskClient, parts: ReceiverParts
) -> None:
    assert post(client, packed(change(1), change("x"), change(2))) == 204
    assert waiting(parts) == [(PORTAL, "1"), (PORTAL, "2")]
    assert metric(client, "events_rejected_total") == {'{reason="malformed"}': 1.0}


def test_unknown_portals_and_types_are_answered_204_counted_and_not_stored(
    client: FlaskClient, parts: ReceiverParts
) -> None:
    assert post(client, packed(change(1, portalId=999), change(2, subscriptionType="ticket.creation"))) == 204
    assert waiting(parts) == []
    assert metric(client, "events_received_total") == {
        '{portal="unknown",type="contact.propertyChange"}': 1.0, '{portal="4242",type="unknown"}': 1.0,
    }  # fmt: skip
    assert metric(client, "events_rejected_total") == {'{reason="portal_unknown"}': 1.0, '{reason="type_unknown"}': 1.0}


def test_the_secret_of_one_portal_writes_no_events_for_another(client: FlaskClient, parts: ReceiverParts) -> None:
    assert post(client, packed(change(1), change(2, portalId=OTHER))) == 204
    assert waiting(parts) == [(PORTAL, "1")]
    assert metric(client, "events_rejected_total") == {'{reason="portal_mismatch"}': 1.0}
    assert metric(client, "events_received_total") == {'{portal="4242",type="contact.propertyChange"}': 1.0}
    assert post(client, packed(change(2, portalId=OTHER)), secret=OTHER_SECRET) == 204
    assert waiting(parts) == [(PORTAL, "1"), (OTHER, "2")]


def test_a_change_of_a_deal_is_counted_and_makes_nobody_wait(client: FlaskClient, parts: ReceiverParts) -> None:
    assert post(client, packed(change(1, subscriptionType="deal.propertyChange"))) == 204
    assert waiting(parts) == []
    assert metric(client, "events_received_total") == {'{portal="4242",type="deal.propertyChange"}': 1.0}


def test_our_own_writes_come_back_without_making_anybody_wait(client: FlaskClient, parts: ReceiverParts) -> None:
    assert post(client, packed(change(1, changeSource="INTEGRATION", sourceId="7001"))) == 204
    assert waiting(parts) == []


def test_two_mebibytes_are_taken_and_one_byte_more_is_answered_413(client: FlaskClient) -> None:
    full = packed(change()) + b" " * (LARGEST_BODY - len(packed(change())))
    assert post(client, full) == 204
    assert post(client, full + b" ") == 413
    assert metric(client, "events_rejected_total") == {'{reason="too_large"}': 1.0}


def test_a_body_of_unsaid_length_is_bounded_too(client: FlaskClient) -> None:
    def send(body: bytes) -> int:
        return client.post(
            "/webhooks/hubspot", input_stream=BytesIO(body), headers=signed(body, at=NOW),
            environ_overrides={"wsgi.input_terminated": True},
        ).status_code  # fmt: skip

    full = packed(change()) + b" " * (LARGEST_BODY - len(packed(change())))
    assert (send(packed(change())), send(full), send(full + b" ")) == (204, 204, 413)


@pytest.mark.usefixtures("in_a_file")
def test_503_and_a_time_are_answered_when_events_cannot_be_stored(
    client: FlaskClient, parts: ReceiverParts, database: Path
) -> None:
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    body = packed(change())
    answer = client.post("/webhooks/hubspot", data=body, headers=signed(body, at=NOW))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    other.close()
    assert metric(client, "events_received_total") == {}
    assert post(client, body) == 204
    assert waiting(parts) == [(PORTAL, "1")]
    parts.inbox._engine.dispose()


def test_what_nobody_foresaw_is_answered_503_and_told_to_the_log_alone(parts: ReceiverParts) -> None:
    def fail() -> int:
        raise ZeroDivisionError("secret detail")

    client = create_app(replace(parts, clock=fail)).test_client()
    with capture_logs() as logs:
        answer = client.post("/webhooks/hubspot", data=b"[]")
    assert answer.status_code == 503
    assert answer.get_json() == {
        "error": {"code": "unavailable", "message": "The request could not be served now; send it again."}
    }
    assert [(log["event"], log["code"]) for log in logs] == [("request.failed", "unexpected")]
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize("path", ["/webhooks/hubspot/", "/", "/nowhere", "/webhooks"])
def test_other_routes_are_answered_404_in_json(client: FlaskClient, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "not_found")


def test_another_method_is_answered_405_with_those_allowed(client: FlaskClient) -> None:
    answer = client.get("/webhooks/hubspot")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nowhere", "/webhooks/hubspot"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_page_brings_its_own_policy(parts: ReceiverParts) -> None:
    page = flask.Blueprint("page", __name__)

    @page.get("/")
    def show() -> flask.Response:
        return flask.Response("hello", headers={"Content-Security-Policy": "default-src 'self'"})

    answer = create_app(replace(parts, page=page)).test_client().get("/")
    assert (answer.data, answer.headers["Content-Security-Policy"]) == (b"hello", "default-src 'self'")


# Health and metrics


def test_livez_and_readyz_name_each_check(client: FlaskClient) -> None:
    assert client.get("/livez").get_json() == {"status": "ok", "checks": {"process": {"ok": True}}}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "checks": {"database": {"ok": True}}})


def unreachable() -> Check:
    raise DatabaseUnavailable("database: gone; start it")


@pytest.mark.parametrize(
    ("check", "hint"), [(unreachable, "database: gone; start it"), (lambda: Check(ok=False, hint="rise"), "rise")]
)
def test_readyz_is_503_with_a_hint_for_what_is_not_well(
    parts: ReceiverParts, check: Callable[[], Check], hint: str
) -> None:
    checks = {"first": lambda: Check(ok=True), "second": check}
    answer = create_app(replace(parts, checks=checks)).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {
        "status": "unavailable", "checks": {"first": {"ok": True}, "second": {"ok": False, "hint": hint}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "headers", "status"),
    [
        ("127.0.0.1", {}, 200), ("127.8.9.1", {}, 200), ("::1", {}, 200), ("::ffff:127.0.0.1", {}, 200),
        ("10.0.0.5", {}, 403), ("::ffff:10.0.0.5", {}, 403), ("", {}, 403), ("nonsense", {}, 403),
        ("10.0.0.5", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403), ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("127.0.0.1", {"X-Real-IP": "1.2.3.4"}, 403), ("127.0.0.1", {"X-Forwarded-Proto": "https"}, 403),
    ],
)  # fmt: skip
def test_without_a_token_metrics_are_for_this_machine_alone(
    client: FlaskClient, sender: str, headers: dict[str, str], status: int
) -> None:
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": sender})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer right", 200), ("bearer right", 200), ("Bearer wrong", 401), ("Bearer ", 401), ("right", 401),
        ("Basic right", 401), (None, 401), ("Bearer rightt", 401), ("Bearer \xff", 401),
    ],
)  # fmt: skip
def test_with_a_token_metrics_are_for_those_who_have_it(
    parts: ReceiverParts, authorization: str | None, status: int
) -> None:
    client = create_app(replace(parts, ops_token="right")).test_client()
    answer = client.get("/metrics", headers={"Authorization": authorization} if authorization else {})
    assert answer.status_code == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_metrics_tell_what_waits(client: FlaskClient) -> None:
    post(client, packed(change(1), change(2)))
    text = client.get("/metrics")
    assert text.content_type.startswith("text/plain; version=0.0.4")
    assert (metric(client, "inbox_pending"), metric(client, "dead_letters")) == ({"": 2.0}, {"": 0.0})


def test_gunicorn_is_given_nothing_that_it_does_not_know_and_writes_nothing_outside() -> None:
    options = gunicorn_options(bind="127.0.0.1:0")
    assert options["control_socket_disable"] is True
    assert (options["worker_class"], options["accesslog"]) == ("gthread", None)
