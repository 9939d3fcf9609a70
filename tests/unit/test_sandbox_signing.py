"""The sandbox's signatures, held against the published vectors."""

import pytest

from connector.sandbox.signing import sign_v1, sign_v3, signed_headers

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://www.example.com/webhook_uri"
DOCS_BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW",'
    b'"appId":54321}]'
)
SDK_BODY = b"{'example_field':'example_value'}"


@pytest.mark.parametrize(("body", "signature"), [
    (DOCS_BODY, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
    (SDK_BODY, "69fc6631a867edd4f9e9e627fc5c1148e3fbdd8b21837b6d2b8901c1fa57f750"),
])  # fmt: skip
def test_version_1_agrees_with_the_published_vectors(body: bytes, signature: str) -> None:
    assert sign_v1(SECRET, body) == signature


@pytest.mark.parametrize(("moment", "signature"), [
    (1_693_657_560_000, "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
    (1_700_000_300_000, "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
])  # fmt: skip
def test_version_3_agrees_with_the_published_vectors(moment: int, signature: str) -> None:
    assert sign_v3(SECRET, "POST", URL, SDK_BODY, moment) == signature


def test_version_3_decodes_the_twelve_sequences_of_the_url_before_signing() -> None:
    url = "https://example.com/api/hubspot/webhooks?src=hs%3Aapp%2Fv3&x=%28a%29"
    signature = sign_v3("autopilot-test-client-secret-0001", "POST", url, b"[]", 1_790_000_004_000)
    assert signature == "G8ddQlikFQ0ScZOZn+MHQ0E3WCV7vOJTzKlvrkvbvuk="


def test_version_3_leaves_other_sequences_as_they_are() -> None:
    coded, plain = ("https://example.com/?x=a%20b%3Dc", "https://example.com/?x=a b=c")
    assert sign_v3(SECRET, "POST", coded, b"", 1) != sign_v3(SECRET, "POST", plain, b"", 1)


def test_a_webhook_carries_both_versions_and_its_moment() -> None:
    headers = signed_headers(SECRET, URL, SDK_BODY, 1_693_657_560_000)
    assert {name: value for name, value in headers.items() if name.startswith("X-")} == {
        "X-HubSpot-Signature": "69fc6631a867edd4f9e9e627fc5c1148e3fbdd8b21837b6d2b8901c1fa57f750",
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
        "X-HubSpot-Request-Timestamp": "1693657560000",
    }
