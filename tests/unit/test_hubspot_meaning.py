"""What HubSpot's answers mean, shape by shape."""

import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.hubspot.meaning import (
    BROKEN,
    Code,
    Kind,
    Meaning,
    json_of,
    meaning_of,
    meanings_within,
    unclear,
    unreachable,
)

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
HIDDEN = (
    'Property values were not valid: [{"isValid":false,"message":"Ana Lopez was not one of the allowed options: '
    '[a, b]","error":"INVALID_OPTION","name":"lifecyclestage","portalId":1},'
    '{"error":"PROPERTY_DOESNT_EXIST","name":"sk_reason"}]'
)


def tell(status: int, body: object = None, headers: dict[str, str] | None = None) -> Meaning:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return meaning_of(status, headers or {}, json_of(raw))


TABLE: dict[str, tuple[int, object, dict[str, str], Meaning]] = {
    "a plain success": (200, {"results": []}, {}, Meaning(kind="done", status=200)),
    "a success without a body": (204, None, {}, Meaning(kind="done", status=204)),
    "a success that is not JSON": (200, b"<html>", {}, Meaning(
        kind="unclear", status=200, message="the answer is not JSON")),
    "a success cut off in the middle": (200, b'{"results":[{"id":"1"', {}, Meaning(
        kind="unclear", status=200, message="the answer is not JSON")),
    "a partly done batch": (
        207,
        {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [
            {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": ["1"]}}]},
        {},
        Meaning(kind="partly", status=207, ids=("1",)),
    ),
    "a 200 with errors inside": (
        200, {"results": [], "errors": [{"category": "VALIDATION_ERROR"}]}, {}, Meaning(kind="partly", status=200)),
    "an unknown property": (
        400,
        {"status": "error", "message": "Property \"testproperty\" does not exist", "correlationId": "c-1",
         "category": "VALIDATION_ERROR", "subCategory": "s",
         "errors": [{"message": "m", "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": ["testproperty"]}}]},
        {},
        Meaning(kind="invalid", status=400, category="VALIDATION_ERROR", subcategory="s",
                message="Property … does not exist", codes=(Code(name="PROPERTY_DOESNT_EXIST",
                properties=("testproperty",)),), correlation_id="c-1"),
    ),
    "reasons hidden inside the message": (
        400, {"message": HIDDEN, "category": "VALIDATION_ERROR"}, {},
        Meaning(kind="invalid", status=400, category="VALIDATION_ERROR", message="Property values were not valid",
                codes=(Code(name="INVALID_OPTION", properties=("lifecyclestage",)),
                       Code(name="PROPERTY_DOESNT_EXIST", properties=("sk_reason",)))),
    ),
    "duplicate ids": (
        400,
        {"message": "Duplicate IDs found in batch input: [12, 34]. IDs must be unique", "context": {"ids": ["12"]}},
        {},
        Meaning(kind="invalid", status=400, message="Duplicate IDs found in batch input", ids=("12", "34")),
    ),
    "a traced input": (
        400, {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["w-1"]}}, {},
        Meaning(kind="invalid", status=400, category="VALIDATION_ERROR", traces=("w-1",))),
    "a revoked refresh token": (
        400, {"error": "invalid_grant", "status": "BAD_REFRESH_TOKEN", "message": "refresh token is invalid"}, {},
        Meaning(kind="unauthorised", status=400, message="refresh token is invalid")),
    "an expired token": (
        401, {"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"},
        {"X-HubSpot-Correlation-Id": "h-1"},
        Meaning(kind="unauthorised", status=401, category="EXPIRED_AUTHENTICATION", message="expired",
                correlation_id="h-1")),
    "missing scopes": (
        403,
        {"category": "MISSING_SCOPES", "message": "This app hasn't been granted all required scopes",
         "errors": [{"context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}]},
        {},
        Meaning(kind="forbidden", status=403, category="MISSING_SCOPES",
                message="This app hasn't been granted all required scopes", scopes=("crm.objects.deals.read",)),
    ),
    "a record that is gone": (
        404, {"message": "resource not found"}, {}, Meaning(kind="gone", status=404, message="resource not found")),
    "a 404 without a body": (404, None, {}, Meaning(kind="gone", status=404)),
    "a page for a wrong path": (404, HTML, {"Content-Type": "text/html"}, Meaning(
        kind="invalid", status=404, message="a page (text/html) came where JSON was expected")),
    "a conflict": (
        409, {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 123"}, {},
        Meaning(kind="conflict", status=409, category="CONFLICT",
                message="Contact already exists. Existing ID: 123", ids=("123",))),
    "an address that is too long": (414, HTML, {}, Meaning(
        kind="too_long", status=414, message="a page (unknown type) came where JSON was expected")),
    "a lock": (423, {"message": "locked"}, {}, Meaning(
        kind="locked", status=423, message="locked", retry_after_ms=2_000)),
    "a lock that asks for less than its two seconds": (423, None, {"Retry-After": "1"}, Meaning(
        kind="locked", status=423, retry_after_ms=2_000)),
    "the ten-secondly limit": (
        429, {"message": "You have reached your ten_secondly_rolling limit.", "errorType": "RATE_LIMIT",
              "policyName": "TEN_SECONDLY_ROLLING", "correlationId": "c"}, {},
        Meaning(kind="limited", status=429, category="RATE_LIMIT", policy="ten_secondly",
                message="You have reached your ten_secondly_rolling limit.", correlation_id="c")),
    "the daily limit": (
        429, {"message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}, {},
        Meaning(kind="limited", status=429, category="RATE_LIMIT", policy="daily",
                message="You have reached your daily limit.")),
    "the daily limit by its wording alone": (
        429, {"message": "You have reached your daily limit."}, {},
        Meaning(kind="limited", status=429, policy="daily", message="You have reached your daily limit.")),
    "the limit of searches, which names no policy": (
        429, {"status": "error", "message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}, {},
        Meaning(kind="limited", status=429, category="RATE_LIMITS", policy="secondly",
                message="You have reached your secondly limit.")),
    "a limit that asks for a wait": (429, None, {"retry-after": "7"}, Meaning(
        kind="limited", status=429, policy="ten_secondly", retry_after_ms=7_000)),
    "a limit that asks for nonsense": (429, None, {"Retry-After": "soon"}, Meaning(
        kind="limited", status=429, policy="ten_secondly")),
    "a move of the account": (477, None, {"Retry-After": "86400"}, Meaning(
        kind="migrating", status=477, retry_after_ms=86_400_000)),
    "a wait as a date": (
        477, None,
        {"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT", "Date": "Sun, 22 Nov 2026 12:00:00 GMT"},
        Meaning(kind="migrating", status=477, retry_after_ms=30_000)),
    "an error of HubSpot's": (500, {"category": "INTERNAL_ERROR", "message": "internal error"}, {}, Meaning(
        kind="unavailable", status=500, category="INTERNAL_ERROR", message="internal error")),
    "an error page": (502, HTML, {"Content-Type": "text/html"}, Meaning(
        kind="unavailable", status=502, message="a page (text/html) came where JSON was expected")),
    "a failed TLS handshake behind HubSpot's edge": (525, None, {}, Meaning(kind="unavailable", status=525)),
    "a redirect": (301, None, {"Location": "https://elsewhere"}, Meaning(
        kind="invalid", status=301,
        message="redirected; redirects are not followed: `api_url` should be the final address")),
    "a status that nobody announced": (418, {"message": "teapot"}, {}, Meaning(
        kind="invalid", status=418, message="teapot")),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_each_answer_has_its_meaning(name: str) -> None:
    status, body, headers, expected = TABLE[name]
    assert tell(status, body, headers) == expected


def test_each_error_inside_a_batch_has_a_meaning_of_its_own() -> None:
    body = {
        "errors": [
            {"category": "OBJECT_NOT_FOUND", "message": "no", "context": {"ids": ["1", "2"]}},
            {"category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["k"]}, "correlationId": "c"},
            {"category": "RATE_LIMITS", "message": "You have reached your secondly limit."},
            {"category": "INTERNAL_ERROR"},
            {"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
             "context": {"fromObjectId": ["515"]}},
            {"category": "SOMETHING_NEW"},
            "not an error at all",
        ]
    }  # fmt: skip
    assert meanings_within(body) == (
        Meaning(kind="gone", status=404, category="OBJECT_NOT_FOUND", message="no", ids=("1", "2")),
        Meaning(kind="invalid", status=400, category="VALIDATION_ERROR", traces=("k",), correlation_id="c"),
        Meaning(kind="limited", status=429, category="RATE_LIMITS", policy="secondly",
                message="You have reached your secondly limit."),
        Meaning(kind="unavailable", status=500, category="INTERNAL_ERROR"),
        Meaning(kind="gone", status=404, category="OBJECT_NOT_FOUND",
                subcategory="crm.associations.NO_ASSOCIATIONS_FOUND", ids=("515",)),
        Meaning(kind="invalid", status=400, category="SOMETHING_NEW"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "retryable", "may_have_happened"),
    [
        ("done", False, True), ("partly", False, True), ("invalid", False, False), ("unauthorised", False, False),
        ("forbidden", False, False), ("gone", False, False), ("conflict", False, False), ("too_long", False, False),
        ("locked", True, False), ("limited", True, False), ("migrating", True, False), ("unavailable", True, True),
        ("unclear", True, True), ("unreachable", True, False),
    ],
)  # fmt: skip
def test_a_meaning_tells_whether_to_try_again_and_whether_it_may_have_happened(
    kind: Kind, retryable: bool, may_have_happened: bool
) -> None:
    meaning = replace(unclear(""), kind=kind)
    assert (meaning.retryable, meaning.may_have_happened) == (retryable, may_have_happened)


def test_a_failed_tls_handshake_is_not_worth_another_try() -> None:
    assert not tell(526).retryable


@pytest.mark.parametrize(
    "message",
    [
        "Contact ana.lopez+x@example.com already exists",
        "Email address ana.lopez@example is invalid",
        "no contact at ana.lopez%40example.com",
        "Property values were not valid: [{\"message\":\"ana.lopez@example.com\"}]",
        "Ana Lopez was not one of the allowed options",
        "the value 'Ana Lopez' cannot be used",
        "the number +34 600 123 456 (ana.lopez@example.com) is taken",
    ],
)  # fmt: skip
def test_messages_carry_no_personal_data(message: str) -> None:
    said = str(tell(400, {"message": message}))
    assert [part for part in ("ana", "Lopez", "600 123", "example") if part in said] == []


def test_a_meaning_reads_as_one_line() -> None:
    assert str(tell(400, {"message": HIDDEN, "category": "VALIDATION_ERROR"})) == (
        "invalid (400 VALIDATION_ERROR): Property values were not valid [lifecyclestage, sk_reason]"
    )
    assert str(unreachable("refused")) == "unreachable: refused"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ("status", "message", "category", "subCategory", "errors", "context", "policyName", "correlationId", "results")
HOSTILE = st.dictionaries(st.sampled_from(FIELDS), JSON | st.lists(st.dictionaries(
    st.sampled_from(("code", "context", "message", "category", "id", "ids", "propertyName")), JSON, max_size=5)))


@given(st.integers(100, 599), JSON | HOSTILE | st.just(BROKEN))
def test_no_body_makes_it_fail(status: int, body: object) -> None:
    assert isinstance(meaning_of(status, {}, body), Meaning)
    assert all(isinstance(each, Meaning) for each in meanings_within(body))


@given(st.dictionaries(st.sampled_from(("Retry-After", "Date", "Content-Type")), st.text(max_size=40)))
def test_no_header_makes_it_fail(headers: dict[str, str]) -> None:
    assert meaning_of(477, headers, None).kind == "migrating"


def test_a_deeply_nested_body_is_not_json() -> None:
    assert json_of(b"[" * 100_000) is BROKEN
    assert json_of(b'{"a":' * 5_000 + b"1" + b"}" * 5_000) is BROKEN


def test_a_huge_body_yields_a_small_meaning() -> None:
    body = {
        "message": "x@" * 500_000,
        "errors": [{"code": "c" * 9_999, "context": {"propertyName": ["p" * 9_999] * 5_000}}] * 5_000,
    }
    meaning = meaning_of(400, {}, body)
    assert len(orjson.dumps(meaning)) < 100_000
    assert len(meaning.message) <= 200


def test_a_retry_after_that_is_no_number_of_seconds_is_not_believed() -> None:
    waits = [tell(477, None, {"Retry-After": text}).retry_after_ms for text in ("nan", "inf", "-5", "1e400", "1e300")]
    assert waits == [None, None, None, None, 86_400_000]


def test_what_stands_in_the_place_of_a_name_is_told_only_when_it_is_one() -> None:
    echo = "ana@example.com is not valid"
    body = {
        "category": echo, "subCategory": echo, "correlationId": echo, "message": "no",
        "errors": [{"code": echo, "context": {"propertyName": ["email", echo], "missingScopes": [echo]}}],
    }  # fmt: skip
    told = meaning_of(400, {"X-HubSpot-Correlation-Id": echo, "Content-Type": echo}, body)
    assert "ana" not in f"{told}{told!r}"
    assert "ana" not in str(meaning_of(502, {"Content-Type": echo}, BROKEN))
