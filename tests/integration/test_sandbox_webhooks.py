"""Webhooks of the practice HubSpot, received over real sockets: what is told, how it is signed, what is told again."""

import base64
import hashlib
import hmac

import pytest

from connector.sandbox import Sandbox
from connector.sandbox.options import SandboxOptions
from tests.integration.sandbox_calls import NOW, Api, Received, Ticking, calling, receiving

URL = "https://hooks.example.com/webhooks/hubspot?portal=4242"
FAST = {"batch_window_ms": 1, "retry_delay_ms": 1}


def has_v3_signature(webhook: Received, url: str) -> bool:
    """Verify by the published recipe, without the sandbox's own code."""
    source = b"POST" + url.encode() + webhook.body + webhook.headers["x-hubspot-request-timestamp"].encode()
    digest = hmac.new(b"sandbox-secret", source, hashlib.sha256).digest()
    return base64.b64encode(digest).decode() == webhook.headers["x-hubspot-signature-v3"]


def test_a_creation_and_a_change_per_property_set_arrive_with_one_moment_and_the_creation_in_between() -> None:
    clock = Ticking()
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, clock=clock, **FAST) as (
        sandbox, _,
    ):  # fmt: skip
        contact = sandbox.create_contact({"email": "ana@example.com", "phone": "1", "num_notes": "3"})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert len(receiver.received) == 1
        events = receiver.received[0].events
        assert [(e["subscriptionType"], e.get("propertyName"), e.get("propertyValue")) for e in events] == [
            ("contact.propertyChange", "email", "ana@example.com"),
            ("contact.creation", None, None),
            ("contact.propertyChange", "phone", "1"),
        ]
        assert {e["occurredAt"] for e in events} == {NOW}
        event = events[1]
        del event["eventId"], event["subscriptionId"]
        assert event == {
            "portalId": 4242, "appId": 7001, "occurredAt": NOW, "subscriptionType": "contact.creation",
            "attemptNumber": 0, "objectId": int(contact), "changeFlag": "CREATED", "changeSource": "CRM_UI",
            "sourceId": "userId:1",
        }  # fmt: skip
        assert all(0 <= one["eventId"] < 2**32 for one in sandbox.webhooks.events)


def test_both_signatures_cover_the_configured_url_and_not_the_one_connected_to() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, **FAST) as (sandbox, _):
        sandbox.create_contact({"email": "zoë@example.com"})
        assert sandbox.webhooks.wait_until_quiet(5)
        webhook = receiver.received[0]
        assert webhook.path == "/webhooks/hubspot?portal=4242"
        assert has_v3_signature(webhook, URL)
        assert not has_v3_signature(webhook, receiver.address + "/webhooks/hubspot?portal=4242")
        assert webhook.headers["x-hubspot-signature-version"] == "v1"
        v1 = hashlib.sha256(b"sandbox-secret" + webhook.body).hexdigest()
        assert webhook.headers["x-hubspot-signature"] == v1


def test_deliver_to_may_have_a_path_of_its_own() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address + "/inner", **FAST) as (
        sandbox, _,
    ):  # fmt: skip
        sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert receiver.received[0].path == "/inner"


def test_the_apps_own_writes_come_back_as_its_own() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, **FAST) as (sandbox, api):
        contact = sandbox.create_contact({"phone": "1"})
        api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": "2"}})
        api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": "2"}})
        api("PATCH", f"/crm/v3/objects/contacts/{contact}", {"properties": {"phone": ""}})
        assert sandbox.webhooks.wait_until_quiet(5)
        own = [e for e in receiver.of("contact.propertyChange") if e["changeSource"] == "INTEGRATION"]
        assert [(e["sourceId"], e["propertyValue"]) for e in sorted(own, key=lambda e: e["occurredAt"])] == [
            ("7001", "2"), ("7001", ""),
        ]  # fmt: skip


def test_dates_are_milliseconds_in_events_and_iso_in_answers() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, **FAST) as (sandbox, _):
        contact = sandbox.create_contact({"closedate": "2026-03-01"})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert receiver.of("contact.propertyChange")[0]["propertyValue"] == "1772323200000"
        assert sandbox.contact(contact)["closedate"] == "2026-03-01T00:00:00Z"


def test_calculated_and_read_only_properties_do_not_fire_unless_counters_may() -> None:
    changes = {"num_conversion_events": "1", "hs_sales_email_last_replied": "2026-01-01T00:00:00Z"}
    for counters, fired in ((False, []), (True, ["hs_sales_email_last_replied"])):
        with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, counters_fire=counters,
                                              **FAST) as (sandbox, _):  # fmt: skip
            contact = sandbox.create_contact({})
            sandbox.update_contact(contact, changes, source="EMAIL", source_id="x")
            assert sandbox.webhooks.wait_until_quiet(5)
            assert sandbox.contact(contact)["num_conversion_events"] == "1"
            names = [e["propertyName"] for e in receiver.of("contact.propertyChange")]
            assert [name for name in names if name in changes] == fired


def test_generic_events_name_the_type_and_sensitive_values_are_masked_in_classic_ones() -> None:
    for generic, kind, value in ((True, "object.propertyChange", "1"), (False, "contact.propertyChange", "REDACTED")):
        with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, generic_events=generic,
                                              sensitive=("phone",), **FAST) as (sandbox, _):  # fmt: skip
            sandbox.create_contact({"phone": "1"})
            assert sandbox.webhooks.wait_until_quiet(5)
            event = receiver.of(kind)[0]
            assert event["propertyValue"] == value
            assert (event.get("objectTypeId"), event.get("isSensitive")) == (("0-1", True) if generic else (None, None))


def test_a_primary_company_is_told_from_both_sides_with_and_without_the_label_and_without_an_object_id() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, **FAST) as (sandbox, _):
        company = sandbox.create_company({"name": "A"})
        contact = sandbox.create_contact({}, company=company)
        assert sandbox.webhooks.wait_until_quiet(5)
        mine = receiver.of("contact.associationChange")
        theirs = receiver.of("company.associationChange")
        assert sorted(e["isPrimaryAssociation"] for e in mine) == [False, True]
        assert {(e["associationType"], e["fromObjectId"], e["toObjectId"]) for e in mine + theirs} == {
            ("CONTACT_TO_COMPANY", int(contact), int(company)), ("COMPANY_TO_CONTACT", int(company), int(contact)),
        }  # fmt: skip
        assert not any("objectId" in e for e in mine + theirs)
        assert [e["propertyValue"] for e in receiver.of("contact.propertyChange")] == [company]


def test_a_batch_holds_a_hundred_events_at_most() -> None:
    with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, batch_window_ms=30) as (
        sandbox, _,
    ):  # fmt: skip
        for _ in range(250):
            sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(5)
        sizes = [len(one.events) for one in receiver.received]
        assert (sum(sizes), max(sizes)) == (250, 100)
        assert len(sizes) < 10


@pytest.mark.parametrize("status", [301, 400, 401, 410, 500, 503])
def test_whatever_is_not_2xx_is_sent_again_with_a_higher_attempt_number_and_a_new_signature(status: int) -> None:
    clock = Ticking()
    with receiving(status, status) as receiver, calling(webhook_url=URL, deliver_to=receiver.address, clock=clock,
                                                        **FAST) as (sandbox, _):  # fmt: skip
        sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert [one.events[0]["attemptNumber"] for one in receiver.received] == [0, 1, 2]
        assert len({one.events[0]["eventId"] for one in receiver.received}) == 1
        assert all(has_v3_signature(one, URL) for one in receiver.received)
        counts = sandbox.webhooks.counts()
        assert (counts["delivered"], counts["given_up"], counts["failed_requests"]) == (1, 0, 2)


def test_after_ten_retries_an_event_is_given_up() -> None:
    with receiving(*[500] * 50) as receiver, calling(webhook_url=URL, deliver_to=receiver.address, **FAST) as (
        sandbox, _,
    ):  # fmt: skip
        sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(10)
        assert [one.events[0]["attemptNumber"] for one in receiver.received] == list(range(11))
        assert sandbox.webhooks.counts()["given_up"] == 1


def test_a_receiver_that_is_too_slow_or_not_there_is_tried_again() -> None:
    with receiving(0) as receiver, calling(webhook_url=URL, deliver_to=receiver.address, response_timeout_ms=100,
                                           **FAST) as (sandbox, _):  # fmt: skip
        sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(5)
        assert [one.events[0]["attemptNumber"] for one in receiver.received] == [0, 1]
        sandbox.webhooks.retarget(URL, "http://127.0.0.1:9")
        sandbox.create_contact({})
        assert sandbox.webhooks.wait_until_quiet(10)
        assert sandbox.webhooks.counts()["given_up"] == 1


def test_events_are_doubled_dropped_and_shuffled_as_often_as_asked_and_alike_for_the_same_seed() -> None:
    def orders(**options: float | bool) -> tuple[list[str], dict[str, int]]:
        with receiving() as receiver, calling(webhook_url=URL, deliver_to=receiver.address, batch_window_ms=1,
                                              **options) as (sandbox, _):  # fmt: skip
            sandbox.webhooks.pause()
            for number in range(40):
                sandbox.create_contact({"phone": str(number)})
            sandbox.webhooks.resume()
            assert sandbox.webhooks.wait_until_quiet(5)
            values = [e.get("propertyValue", "created") for e in receiver.events]
            return values, sandbox.webhooks.counts()

    plain, _ = orders()
    doubled, counted = orders(double_rate=0.5)
    dropped, lost = orders(drop_rate=0.5)
    shuffled, _ = orders(shuffle=True)
    assert len(plain) == 80
    assert len(doubled) == 80 + counted["doubled"]
    assert len(dropped) == 80 - lost["dropped"]
    assert 20 < counted["doubled"] < 60
    assert 20 < lost["dropped"] < 60
    assert (sorted(shuffled), shuffled == plain) == (sorted(plain), False)
    assert orders(drop_rate=0.5)[0] == dropped


def test_without_a_target_events_are_kept_in_a_log_and_nothing_is_pending() -> None:
    with calling() as (sandbox, _):
        sandbox.create_contact({"phone": "1"})
        assert sandbox.webhooks.pending == 0
        kinds = [event["subscriptionType"] for event in sandbox.webhooks.events]
        assert kinds == ["contact.creation", "contact.propertyChange"]


def test_people_who_were_there_before_are_not_told_of() -> None:
    with calling(contacts=20) as (sandbox, api):
        assert list(sandbox.webhooks.events) == []
        assert len(api("GET", "/sandbox/contacts").body["results"]) == 20


def test_a_receiver_that_closed_an_idle_connection_costs_no_attempt() -> None:
    with receiving() as receiver:
        options = SandboxOptions(port=0, webhook_url=receiver.address + "/w", batch_window_ms=1)
        with Sandbox(options) as sandbox:
            sandbox.create_contact({})
            assert sandbox.webhooks.wait_until_quiet(5)
            for connection in sandbox.webhooks._connections:
                assert connection.sock is not None
                connection.sock.shutdown(2)
            sandbox.create_contact({})
            assert sandbox.webhooks.wait_until_quiet(5)
            assert sandbox.webhooks.counts()["failed_requests"] == 0
            Api(sandbox).close()
        assert [one.events[0]["attemptNumber"] for one in receiver.received] == [0, 0]
