"""A request is believed only when a portal's own secret signed its bytes, for its URL, at its time."""

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.delivery import Delivery, events_of
from connector.events import read_elements
from connector.webhook import PortalKey, Sifted, Verdict, sift, verify

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://www.example.com/webhook_uri"
NOW = 1_790_000_000_000
B1 = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":'
    b'"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
B2 = b"{'example_field':'example_value'}"
B3 = (
    '[{"appId":7100001,"eventId":4100000003,"subscriptionId":5100002,"portalId":12345678,"occurredAt":1790000002000,'
    '"subscriptionType":"object.creation","attemptNumber":1,"objectId":903,"objectTypeId":"0-1","changeSource":"FORM",'
    '"note":"Zoë — café ☕"}]'
).encode()
QUERY_URL = "https://example.com/api/hubspot/webhooks?src=hs%3Aapp%2Fv3&x=%28a%29"


def key(
    portal: int = 1, secret: str = SECRET, url: str = URL, *, allow_v1: bool = False, app_id: int | None = None
) -> PortalKey:
    return PortalKey(portal=portal, secrets=(secret,), webhook_url=url, allow_v1=allow_v1, app_id=app_id)


def sign(body: bytes, *, secret: str = SECRET, url: str = URL, at: int | str = NOW, method: str = "POST") -> str:
    source = f"{method}{url}".encode() + body + str(at).encode()
    return base64.b64encode(hmac.digest(secret.encode(), source, "sha256")).decode()


def v3(signature: object, at: object = NOW) -> dict[str, object]:
    return {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": at if at is None else str(at)}


def v1(signature: object, version: object = "v1") -> dict[str, object]:
    return {"X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version}


def judge(headers: Mapping[str, object], body: bytes = b"[]", *keys: PortalKey, now: int = NOW) -> Verdict:
    return verify(headers, body, method="POST", keys=keys or (key(),), now=now)


PROVEN = Verdict(portals=frozenset({1}))


def refused(code: str) -> Verdict:
    return Verdict(portals=frozenset(), refusal=code)


@pytest.mark.parametrize(
    ("secret", "url", "body", "at", "signature"),
    [
        (SECRET, URL, B2, 1693657560000, "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
        (SECRET, URL, B2, 1700000300000, "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
        ("autopilot-test-client-secret-0001", QUERY_URL, b"[]", 1790000004000,
         "G8ddQlikFQ0ScZOZn+MHQ0E3WCV7vOJTzKlvrkvbvuk="),
        ("autopilot-test-client-secret-0001", "https://example.com/api/hubspot/webhooks", B3, 1790000003000,
         "iwUOcQxOJMXtoVai85f7uLyYuAp58oXpeyP5gPQKS2k="),
    ],
)  # fmt: skip
def test_published_v3_signatures_are_accepted(secret: str, url: str, body: bytes, at: int, signature: str) -> None:
    assert judge(v3(signature, at), body, key(secret=secret, url=url), now=at) == PROVEN


def test_the_signature_of_the_undecoded_url_is_refused() -> None:
    headers = v3("KKwrtu49d26FrUsDQdYcfAcwFssKn+cmyppOAUwOO/Q=", 1790000004000)
    keys = key(secret="autopilot-test-client-secret-0001", url=QUERY_URL)
    assert judge(headers, b"[]", keys, now=1790000004000) == refused("signature_wrong")


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (B1, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
        (B2, "69fc6631a867edd4f9e9e627fc5c1148e3fbdd8b21837b6d2b8901c1fa57f750"),
    ],
)
def test_published_v1_signatures_are_accepted_only_where_a_portal_asks_for_them(body: bytes, signature: str) -> None:
    assert judge(v1(signature), body, key(allow_v1=True)) == PROVEN
    assert judge(v1(signature), body, key()) == refused("v1_refused")


@pytest.mark.parametrize(
    ("method", "body", "signature"),
    [
        ("POST", b'{"example_field":"example_value"}',
         "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"),
        ("GET", b"", "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
        ("POST", B2, "4fe4e3a7d3cf09db53be39d0a58130e2aaba074ec123a9e355b876a689a1c383"),
    ],
)  # fmt: skip
def test_v2_is_the_signature_of_workflows_and_proves_no_webhook(method: str, body: bytes, signature: str) -> None:
    assert hashlib.sha256(f"{SECRET}{method}{URL}".encode() + body).hexdigest() == signature
    for version in ("v2", "v1"):
        verdict = verify(v1(signature, version), body, method=method, keys=[key(allow_v1=True)], now=NOW)
        assert verdict == refused("signature_wrong")


@pytest.mark.parametrize("off", [-300_000, -1, 0, 1, 300_000])
def test_five_minutes_off_either_way_is_accepted(off: int) -> None:
    assert judge(v3(sign(b"[]", at=NOW + off), NOW + off)) == PROVEN


@pytest.mark.parametrize("off", [-300_001, 300_001, -(10**9), 10 * 365 * 86_400_000])
def test_more_than_five_minutes_off_is_refused(off: int) -> None:
    assert judge(v3(sign(b"[]", at=NOW + off), NOW + off)) == refused("timestamp_off")


@pytest.mark.parametrize("stamp", ["", "nan", "inf", "1e13", " 1790000000000", "-1", "+1790000000000", "1" * 400, "١"])
def test_a_timestamp_that_is_not_plain_digits_is_refused(stamp: str) -> None:
    assert judge(v3(sign(b"[]", at=stamp), stamp)) == refused("timestamp_unreadable")


def test_seconds_instead_of_milliseconds_are_refused() -> None:
    assert judge(v3(sign(b"[]", at=NOW // 1000), NOW // 1000)) == refused("timestamp_off")


def test_a_missing_timestamp_is_refused() -> None:
    assert judge({"X-HubSpot-Signature-v3": sign(b"[]")}) == refused("timestamp_missing")


def test_a_request_without_any_signature_is_refused() -> None:
    assert judge({}) == refused("signature_missing")
    assert judge({"X-HubSpot-Request-Timestamp": str(NOW)}) == refused("signature_missing")


@pytest.mark.parametrize(
    "changed",
    [
        lambda signature: signature.lower(),
        lambda signature: signature.rstrip("="),
        lambda signature: f" {signature}",
        lambda signature: f"{signature},{signature}",
        lambda signature: signature[:-2] + "A=",
        lambda _: "",
        lambda _: "é" * 44,
        lambda _: "\udcff" * 44,
        lambda _: b"\xff" * 44,
        lambda _: "A" * 1_000_000,
        lambda _: 5,
    ],
)
def test_whatever_is_not_the_signature_is_refused(changed: object) -> None:
    assert callable(changed)
    assert judge(v3(changed(sign(b"[]")))) == refused("signature_wrong")


def test_v1_is_no_way_out_when_v3_is_wrong() -> None:
    headers = {**v3("wrong"), **v1(hashlib.sha256(SECRET.encode() + b"[]").hexdigest())}
    assert judge(headers, b"[]", key(allow_v1=True)) == refused("signature_wrong")


def test_header_names_are_read_in_any_case_and_as_bytes() -> None:
    signature = sign(b"[]")
    pairs = [(b"x-hubspot-signature-V3", signature.encode()), ("X-HUBSPOT-REQUEST-TIMESTAMP", str(NOW))]
    assert verify(pairs, b"[]", method="post", keys=[key()], now=NOW) == PROVEN


def test_a_repeated_signature_header_is_refused() -> None:
    pairs = [*v3(sign(b"[]")).items(), ("X-HubSpot-Signature-v3", sign(b"[]"))]
    assert verify(pairs, b"[]", method="POST", keys=[key()], now=NOW) == refused("signature_wrong")


@pytest.mark.parametrize(
    ("configured", "signed"),
    [
        ("%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", ":/?@!$'()*,;"),
        ("%20%3D%26%23%25%2B", "%20%3D%26%23%25%2B"),
        ("%253A", "%253A"),
        ("%3a%2f", "%3a%2f"),
        ("%3a%2F", "%3a/"),
        ("%3a%2F", ":/"),
        ("é", "é"),
    ],
)
def test_exactly_twelve_sequences_are_decoded_lower_case_ones_either_way(configured: str, signed: str) -> None:
    verdict = judge(v3(sign(b"[]", url=f"{URL}?q={signed}")), b"[]", key(url=f"{URL}?q={configured}"))
    assert verdict == PROVEN


@pytest.mark.parametrize(("configured", "signed"), [("%20", " "), ("%3D", "="), ("%253A", "%3A"), ("%253A", ":")])
def test_no_other_sequence_is_decoded(configured: str, signed: str) -> None:
    verdict = judge(v3(sign(b"[]", url=f"{URL}?q={signed}")), b"[]", key(url=f"{URL}?q={configured}"))
    assert verdict == refused("signature_wrong")


@pytest.mark.parametrize("url", [URL + "/", URL + "?a=1", URL.replace("https", "http"), URL.upper()])
def test_a_signature_for_another_url_is_refused(url: str) -> None:
    assert judge(v3(sign(b"[]", url=url))) == refused("signature_wrong")


def test_every_byte_of_the_body_is_signed() -> None:
    assert judge(v3(sign(B3)), B3.replace("ë".encode(), b"e")) == refused("signature_wrong")
    assert judge(v3(sign(B3)), B3 + b" ") == refused("signature_wrong")


def test_a_request_proves_only_the_portals_whose_own_secret_signed_it() -> None:
    keys = [key(1, "a"), key(2, "b"), key(3, "a"), key(4, "a", URL + "/other")]
    assert judge(v3(sign(b"[]", secret="a")), b"[]", *keys).portals == {1, 3}
    assert judge(v3(sign(b"[]", secret="b")), b"[]", *keys).portals == {2}
    assert judge(v3(sign(b"[]", secret="a", url=URL + "/other")), b"[]", *keys).portals == {4}


def test_any_of_several_secrets_proves_a_portal_and_an_empty_one_never_does() -> None:
    several = PortalKey(portal=1, secrets=("old", "", "new"), webhook_url=URL, allow_v1=True)
    assert judge(v3(sign(b"[]", secret="new")), b"[]", several) == PROVEN
    assert judge(v3(sign(b"[]", secret="")), b"[]", several) == refused("signature_wrong")
    assert judge(v1(hashlib.sha256(b"[]").hexdigest()), b"[]", several) == refused("signature_wrong")


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(key())


ANYTHING = st.one_of(st.none(), st.text(), st.binary(), st.integers(), st.floats(), st.lists(st.text()))


@given(st.dictionaries(st.sampled_from([*v3(""), *v1("")]), ANYTHING), st.binary(max_size=50))
def test_no_header_makes_it_raise(headers: dict[str, object], body: bytes) -> None:
    assert verify(headers, body, method="POST", keys=[key(allow_v1=True)], now=NOW).portals == frozenset()


# What is kept, and what is counted


def told(portal: object, name: object = "contact.creation", **fields: object) -> dict[str, object]:
    return {"portalId": portal, "subscriptionType": name, "objectId": 5, "occurredAt": NOW, "eventId": 1, **fields}


def sifted(
    *bodies: dict[str, object], keys: Sequence[PortalKey] = (key(1), key(2)), proven: Verdict = PROVEN
) -> Sifted:
    raw = orjson.dumps(bodies)
    return sift(read_elements(raw), raw, verdict=proven, keys=keys)


def left(received: Mapping[tuple[str, str], int], rejected: Mapping[str, int]) -> Sifted:
    return Sifted(delivery=None, contacts=frozenset(), received=received, rejected=rejected)


def kept(found: Sifted) -> list[tuple[int | None, str | None, bool, bool]]:
    """Give what is read of the delivery; of whom it is was known before it was read."""
    events = events_of(found.delivery) if found.delivery else []
    assert found.contacts == {event.contact for event in events if event.contact is not None}
    return [(event.portal, event.contact, event.malformed is not None, event.echo) for event in events]


def test_events_of_the_proven_portals_are_kept_and_all_are_counted_by_portal_and_type() -> None:
    found = sifted(told(1), told(1, objectId="x"), told("1", "contact.deletion"), told(9), told(1, "ticket.creation"))
    assert kept(found) == [(1, "5", False, False), (1, None, True, False), (1, "5", False, False)]
    assert found.received == {
        ("1", "contact.creation"): 2, ("1", "contact.deletion"): 1, ("unknown", "contact.creation"): 1,
        ("1", "unknown"): 1,
    }  # fmt: skip
    assert found.rejected == {"portal_unknown": 1, "type_unknown": 1}


def test_events_for_a_portal_whose_secret_did_not_sign_are_left_and_not_counted_as_its_own() -> None:
    assert sifted(told(2), told(2, objectId="x")) == left({}, {"portal_mismatch": 2})


def test_what_is_malformed_and_of_an_unknown_portal_is_not_kept() -> None:
    assert kept(sifted(told(9, objectId="x"))) == []
    assert sifted(told(9, objectId="x")).rejected == {"portal_unknown": 1}


def test_a_change_of_a_deal_is_counted_and_neither_kept_nor_rejected() -> None:
    found = sifted(told(1, "deal.creation"))
    assert found == left({("1", "deal.creation"): 1}, {})


def test_our_own_write_come_back_is_an_echo_and_nobody_elses_is() -> None:
    keys = [key(1, app_id=77)]
    own = told(1, "contact.propertyChange", changeSource="INTEGRATION", sourceId="77")
    others = [{**own, "sourceId": "7"}, {**own, "changeSource": "CRM_UI"}, told(1, "contact.deletion", sourceId="77")]
    assert kept(sifted(own, {**own, "sourceId": 77}, keys=keys)) == [(1, "5", False, True)] * 2
    assert kept(sifted(*others, keys=keys)) == [(1, "5", False, False)] * 3
    assert kept(sifted(own)) == [(1, "5", False, False)]


def test_an_event_without_a_portal_belongs_to_the_only_proven_one_or_to_none() -> None:
    assert kept(sifted(told(None))) == [(1, None, True, False)]
    both = Verdict(portals=frozenset({1, 2}))
    assert kept(sifted(told(None), proven=both)) == [(0, None, True, False)]


def test_nothing_is_kept_of_nothing() -> None:
    assert sifted() == left({}, {})


def test_what_a_sender_makes_up_does_not_become_a_label() -> None:
    found = sifted(*(told(index, f"made.up{index}") for index in range(1, 50)), keys=[key(1)])
    assert set(found.received) == {("unknown", "unknown"), ("1", "unknown")}


def test_events_of_any_shape_are_counted_and_what_cannot_be_understood_is_kept() -> None:
    nested = b"[" * 900 + b"]" * 900
    deep = b'{"portalId":1,"subscriptionType":"object.creation","objectTypeId":' + nested + b"}"
    odd: list[dict[str, object]] = [told([1]), told({}), {"portalId": 1}, {"subscriptionType": ["x"]}]
    raw = orjson.dumps(odd)[:-1] + b"," + deep + b"]"
    found = sift(read_elements(raw), raw, verdict=PROVEN, keys=[key(1)])
    assert found.received == {("unknown", "contact.creation"): 2, ("1", "unknown"): 2, ("unknown", "unknown"): 1}
    assert kept(found) == [(1, None, True, False)] * 5


def test_what_is_kept_whole_is_kept_byte_for_byte_and_of_the_rest_only_what_may_be() -> None:
    raw = b' [ {"portalId":1, "subscriptionType":"contact.creation","objectId":5} ]\n'
    whole = sift(read_elements(raw), raw, verdict=PROVEN, keys=[key(1, app_id=77), key(2)])
    assert whole.delivery == Delivery(body=raw, number=1, apps={1: "77"}, nameless=1)
    part = sifted(told(1), told(9, propertyValue="of a stranger"), told(1, "deal.creation")).delivery
    assert part == Delivery(body=orjson.dumps([told(1)]), number=1, apps={1: None}, nameless=1)


def test_of_what_is_nested_too_deeply_to_be_written_again_nothing_is_kept_that_may_not_be() -> None:
    nested = b"[" * 900 + b"]" * 900
    raw = b'[{"portalId":1,"odd":' + nested + b'},{"portalId":9,"subscriptionType":"contact.creation","objectId":5}]'
    found = sift(read_elements(raw), raw, verdict=PROVEN, keys=[key(1)])
    assert kept(found) == [(1, None, True, False)]


@given(st.lists(st.sampled_from([told(1), told(2), told(9), told(1, objectId="x"), told(None), told(1.0), told(True),
                                 told(1, "object.creation", objectTypeId="0-1"), told(1, "deal.creation"),
                                 told(1, "contact.merge", mergedObjectIds=[7, 8])]), max_size=6))  # fmt: skip
def test_a_request_of_any_mixture_is_counted_and_kept_as_its_events_are_one_by_one(bodies: list[Any]) -> None:
    together, alone = sifted(*bodies), [sifted(body) for body in bodies]
    assert kept(together) == [event for one in alone for event in kept(one)]
    assert Counter(together.rejected) == sum((Counter(one.rejected) for one in alone), Counter())
    assert sum(together.received.values()) == sum(sum(one.received.values()) for one in alone)
